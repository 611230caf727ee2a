//! Reply codes, named by what they mean rather than by their digits.
//!
//! There is no sentinel: a reply that is not there is an `Option`.

use core::fmt;

/// A three-digit reply code, 100 to 599 (RFC 959 §4.2; a peer's 6yz is read as a 5yz by the client).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u16);

/// What the first digit says (RFC 959 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 1yz: the action was started, another reply follows.
    Preliminary,
    /// 2yz: done.
    Completion,
    /// 3yz: go on with the next command of the sequence.
    Intermediate,
    /// 4yz: refused now; the same command may succeed later.
    TransientNegative,
    /// 5yz: refused; the same command will be refused again.
    PermanentNegative,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $digits:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $name: Self = Self::literal($digits);)*
        }
    };
}

codes! {
    /// 120: the service will be ready in some minutes.
    READY_SOON = 120;
    /// 150: the file is there, the data connection is about to open.
    OPENING_DATA = 150;
    /// 200: done.
    OK = 200;
    /// 202: nothing had to be done.
    SUPERFLUOUS = 202;
    /// 211: system status, and the list of FEAT.
    STATUS = 211;
    /// 212: status of a directory.
    DIRECTORY_STATUS = 212;
    /// 213: status of a file: a size, a date, a hash.
    FILE_STATUS = 213;
    /// 214: help.
    HELP = 214;
    /// 215: the name of the system.
    SYSTEM = 215;
    /// 216: what a gateway from IPv6 to IPv4 translates (RFC 6384 §11).
    ALGS_STATUS = 216;
    /// 220: ready for a (new) user.
    READY = 220;
    /// 221: good-bye.
    CLOSING = 221;
    /// 225: no transfer is in progress.
    NO_TRANSFER = 225;
    /// 226: the transfer is complete, or was aborted as asked.
    TRANSFER_COMPLETE = 226;
    /// 227: passive mode, with address and port.
    PASSIVE = 227;
    /// 229: extended passive mode, with the port.
    EXTENDED_PASSIVE = 229;
    /// 230: logged in.
    LOGGED_IN = 230;
    /// 232: logged in by what the security exchange proved, without a password (RFC 2228 §4).
    AUTHORIZED = 232;
    /// 234: the security exchange may begin (RFC 4217 §4).
    AUTH_ACCEPTED = 234;
    /// 235: the security exchange is done, and what follows is protected (RFC 2228 §4).
    SECURED = 235;
    /// 250: the file action is done.
    FILE_OK = 250;
    /// 257: a path.
    PATH = 257;
    /// 331: the password is wanted.
    NEED_PASSWORD = 331;
    /// 332: an account is wanted.
    NEED_ACCOUNT = 332;
    /// 350: the next command of the pair is wanted.
    PENDING = 350;
    /// 421: the control connection will be closed.
    SERVICE_CLOSING = 421;
    /// 425: no data connection.
    NO_DATA_CONNECTION = 425;
    /// 426: the transfer was aborted.
    TRANSFER_ABORTED = 426;
    /// 450: not now: the file is busy.
    FILE_BUSY = 450;
    /// 451: a local error.
    LOCAL_ERROR = 451;
    /// 452: no space left.
    NO_SPACE = 452;
    /// 500: not a command.
    UNKNOWN_COMMAND = 500;
    /// 501: not an argument for this command.
    BAD_ARGUMENT = 501;
    /// 502: known, but not implemented.
    NOT_IMPLEMENTED = 502;
    /// 503: not at this point.
    BAD_SEQUENCE = 503;
    /// 504: not implemented for this argument.
    BAD_PARAMETER = 504;
    /// 521: the address families of RFC 1639 that are supported.
    LONG_ADDRESS = 521;
    /// 521: no data connection with this protection (RFC 4217 §10).
    DATA_PROTECTION = 521;
    /// 522: the network protocols of RFC 2428 that are supported.
    NETWORK_PROTOCOL = 522;
    /// 522: the security of the data connection was not what was asked for (RFC 4217 §10.2).
    DATA_SECURITY = 522;
    /// 530: not logged in.
    NOT_LOGGED_IN = 530;
    /// 533: the command needs protection that is not there (RFC 2228 §5).
    UNPROTECTED = 533;
    /// 534: refused by the policy on security (RFC 2228 §5).
    POLICY = 534;
    /// 536: the level of protection is not supported (RFC 2228 §5).
    PROTECTION_UNKNOWN = 536;
    /// 550: refused: no such file, or not allowed.
    UNAVAILABLE = 550;
    /// 552: over the allocation.
    OVER_QUOTA = 552;
    /// 553: not a file name.
    BAD_NAME = 553;
    /// 554: not a restart point (RFC 3659 §5.5).
    BAD_RESTART = 554;
}

impl Code {
    const fn literal(digits: u16) -> Self {
        assert!(digits >= 100 && digits <= 599, "a reply code has three digits, 1yz to 5yz");
        Self(digits)
    }

    /// The code of three digits as they came; `None` unless they are 1yz to 6yz. A 6yz is a
    /// protected reply of RFC 2228 to servers that speak it; to all others it is taken as 5yz.
    #[must_use]
    pub fn parse(digits: [u8; 3]) -> Option<Self> {
        let [first @ b'1'..=b'6', second @ b'0'..=b'9', third @ b'0'..=b'9'] = digits else {
            return None;
        };
        let value = |digit: u8| u16::from(digit - b'0');
        Some(Self(value(first).min(5) * 100 + value(second) * 10 + value(third)))
    }

    /// The number, 100 to 599.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The three digits as they go over the wire.
    #[must_use]
    pub fn digits(self) -> [u8; 3] {
        // 599 at most: each is one digit.
        [self.0 / 100, self.0 / 10 % 10, self.0 % 10].map(|digit| b'0' + digit.to_le_bytes()[0])
    }

    /// What the first digit says.
    #[must_use]
    pub const fn class(self) -> Class {
        match self.0 / 100 {
            1 => Class::Preliminary,
            2 => Class::Completion,
            3 => Class::Intermediate,
            4 => Class::TransientNegative,
            _ => Class::PermanentNegative,
        }
    }

    /// Whether it refuses: 4yz or 5yz.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 >= 400
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_three_digits_and_nothing_else() {
        assert_eq!(Code::parse(*b"226"), Some(Code::TRANSFER_COMPLETE));
        assert_eq!(Code::parse(*b"633").map(Code::number), Some(533));
        assert_eq!(Code::DATA_SECURITY.digits(), *b"522");
        for bad in [*b"026", *b"726", *b"2 6", *b"22x"] {
            assert_eq!(Code::parse(bad), None);
        }
    }
}
