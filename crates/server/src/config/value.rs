//! How the text of a setting becomes a value: counts, durations, sizes, addresses, paths, words.
//!
//! It knows no particular setting, and touches neither disk nor network.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::storage::disk::Links;

/// What is wrong with a value, and what to write instead: `what; remedy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong, naming the text.
    pub what: String,
    /// What to write.
    pub remedy: String,
}

impl Wrong {
    /// A value that is wrong in a way of its own.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

impl std::error::Error for Wrong {}

/// Why a text is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misread {
    /// It has not the [`Form`]: what to write instead is in the form.
    Form,
    /// It is wrong in a way of its own.
    Wrong(Wrong),
}

/// How a kind of value is written.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Its name in usage lines, such as `SECONDS`.
    pub placeholder: &'static str,
    /// What it is, in words that follow "is not".
    pub noun: &'static str,
    /// What may be written, in words that follow "write".
    pub describe: &'static str,
    /// What it may be in TOML.
    pub toml: Toml,
    /// The words to choose from, where it is a choice.
    pub words: &'static [&'static str],
}

impl Form {
    /// What is wrong with a text that has not this form.
    #[must_use]
    pub fn wrong(&self, text: &str) -> Wrong {
        Wrong::new(format!("{text:?} is not {}", self.noun), format!("write {}", self.describe))
    }
}

/// Which TOML values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toml {
    /// `true` or `false`.
    Boolean,
    /// A number without quotes.
    Number,
    /// A number, or a string with a unit or a word.
    NumberOrText,
    /// A string.
    Text,
    /// A string, or an array of strings.
    TextOrList,
}

/// A type that a setting can have.
pub trait Value: Sized {
    /// How it is written.
    const FORM: Form;

    /// Reads the text of a flag, or of a TOML value. A relative path starts from `base`.
    fn read(text: &str, base: &Path) -> Result<Self, Misread>;
}

/// A value that can be left out by a word.
pub trait Optional: Value {
    /// The word for none: `off` where something does not happen, `auto` where twoport finds it out.
    const ABSENT: &'static str;
    /// How it is written, the word included.
    const OPTIONAL_FORM: Form;
}

impl<T: Optional> Value for Option<T> {
    const FORM: Form = T::OPTIONAL_FORM;

    fn read(text: &str, base: &Path) -> Result<Self, Misread> {
        if text == T::ABSENT { Ok(None) } else { T::read(text, base).map(Some) }
    }
}

/// The highest count that makes sense for anything counted: a typing error is above it.
const MOST: u32 = 10_000_000;

impl Value for u32 {
    const FORM: Form = Form {
        placeholder: "NUMBER",
        noun: "a count of at least 1",
        describe: "a number from 1 to 10000000",
        toml: Toml::Number,
        words: &[],
    };

    fn read(text: &str, _: &Path) -> Result<Self, Misread> {
        text.parse().ok().filter(|n| (1..=MOST).contains(n)).ok_or(Misread::Form)
    }
}

impl Value for bool {
    const FORM: Form = Form {
        placeholder: "true|false",
        noun: "true or false",
        describe: "true or false",
        toml: Toml::Boolean,
        words: &["true", "false"],
    };

    fn read(text: &str, _: &Path) -> Result<Self, Misread> {
        text.parse().map_err(|_| Misread::Form)
    }
}

/// A number and the unit behind it.
fn with_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim_start()))
}

/// A year: whatever is longer is a typing error, or means `off`.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

impl Value for Duration {
    const FORM: Form = Form {
        placeholder: "SECONDS",
        noun: "a duration from 1ms to 366d",
        describe: "seconds, or a number with a unit such as \"90s\", \"5m\", \"24h\" or \"7d\"",
        toml: Toml::NumberOrText,
        words: &[],
    };

    fn read(text: &str, _: &Path) -> Result<Self, Misread> {
        let read = || {
            let (number, unit) = with_unit(text)?;
            let seconds = |each: u64| number.checked_mul(each).map(Self::from_secs);
            match unit {
                "ms" => Some(Self::from_millis(number)),
                "" | "s" => seconds(1),
                "m" => seconds(60),
                "h" => seconds(3600),
                "d" => seconds(86_400),
                _ => None,
            }
        };
        let fits = |duration: &Self| !duration.is_zero() && *duration <= LONGEST;
        read().filter(fits).ok_or(Misread::Form)
    }
}

impl Optional for Duration {
    const ABSENT: &'static str = "off";
    const OPTIONAL_FORM: Form = Form {
        placeholder: "SECONDS|off",
        describe: "seconds, a number with a unit such as \"90s\", \"5m\" or \"24h\", or \"off\"",
        ..Self::FORM
    };
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Value for Bytes {
    const FORM: Form = Form {
        placeholder: "BYTES",
        noun: "a size",
        describe: "a number of bytes, or one with a unit of 1024 such as \"64k\", \"1m\" or \"2g\"",
        toml: Toml::NumberOrText,
        words: &[],
    };

    fn read(text: &str, _: &Path) -> Result<Self, Misread> {
        let read = || {
            let (number, unit) = with_unit(text)?;
            let shift = match unit {
                "" => 0,
                "k" => 10,
                "m" => 20,
                "g" => 30,
                _ => return None,
            };
            number.checked_mul(1 << shift).map(Self)
        };
        read().ok_or(Misread::Form)
    }
}

/// A range of ports for data connections, both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// The lowest.
    pub low: u16,
    /// The highest, not below the lowest.
    pub high: u16,
}

/// Ports on which a middlebox may run a helper for another protocol, which then changes or blocks
/// what it takes for that: FTP, TFTP, RTSP, H.323, PPTP, Skinny, SIP. A passive range skips them.
pub const HELPER_PORTS: [u16; 8] = [21, 69, 554, 1720, 1723, 2000, 5060, 5061];

impl Ports {
    /// Every port of the range that may be announced: all but [`HELPER_PORTS`].
    pub fn usable(self) -> impl Iterator<Item = u16> {
        (self.low..=self.high).filter(|port| !HELPER_PORTS.contains(port))
    }

    /// How many ports may be announced.
    #[must_use]
    pub fn usable_count(self) -> usize {
        self.usable().count()
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.low, self.high)
    }
}

impl Value for Ports {
    const FORM: Form = Form {
        placeholder: "LO-HI",
        noun: "a range of ports",
        describe: "two ports from 1024 to 65535, the lower first, such as \"50000-50999\"",
        toml: Toml::Text,
        words: &[],
    };

    fn read(text: &str, _: &Path) -> Result<Self, Misread> {
        let read = || {
            let (low, high) = text.split_once('-')?;
            Some(Self { low: low.trim().parse().ok()?, high: high.trim().parse().ok()? })
        };
        let ports = read()
            .filter(|ports| ports.low >= 1024 && ports.low <= ports.high)
            .ok_or(Misread::Form)?;
        if ports.usable_count() == 0 {
            let what =
                format!("{text:?} holds only ports that middleboxes know for other protocols");
            let wrong = Wrong::new(what, "choose a range with other ports in it");
            return Err(Misread::Wrong(wrong));
        }
        Ok(ports)
    }
}

impl Value for IpAddr {
    const FORM: Form = Form {
        placeholder: "ADDR",
        noun: "an IP address",
        describe: "an IP address such as \"203.0.113.7\"",
        toml: Toml::Text,
        words: &[],
    };

    fn read(text: &str, _: &Path) -> Result<Self, Misread> {
        let address: Self = text.parse().map_err(|_| Misread::Form)?;
        if address.is_unspecified() || address.is_multicast() {
            let what = format!("{address} is not an address that a client could connect to");
            let remedy = "write the address by which clients reach this server";
            return Err(Misread::Wrong(Wrong::new(what, remedy)));
        }
        Ok(address)
    }
}

impl Optional for IpAddr {
    const ABSENT: &'static str = "auto";
    const OPTIONAL_FORM: Form = Form {
        placeholder: "ADDR|auto",
        describe: "an IP address such as \"203.0.113.7\" (not a name), or \"auto\"",
        ..Self::FORM
    };
}

impl Value for Vec<SocketAddr> {
    const FORM: Form = Form {
        placeholder: "ADDR:PORT",
        noun: "an address with a port",
        describe: "an address and a port such as \"0.0.0.0:2121\" or \"[::]:2121\"",
        toml: Toml::TextOrList,
        words: &[],
    };

    fn read(text: &str, _: &Path) -> Result<Self, Misread> {
        let one = |part: &str| part.trim().parse().map_err(|_| Misread::Form);
        text.split(',').map(one).collect()
    }
}

impl Optional for Vec<SocketAddr> {
    const ABSENT: &'static str = "auto";
    const OPTIONAL_FORM: Form = Form {
        describe: "an address and a port such as \"0.0.0.0:2121\" or \"[::]:2121\", or \"auto\"",
        ..Self::FORM
    };
}

impl Value for PathBuf {
    const FORM: Form = Form {
        placeholder: "PATH",
        noun: "a path",
        describe: "a path",
        toml: Toml::Text,
        words: &[],
    };

    fn read(text: &str, base: &Path) -> Result<Self, Misread> {
        if text.is_empty() || text.contains('\0') {
            return Err(Misread::Form);
        }
        Ok(base.join(text))
    }
}

impl Optional for PathBuf {
    const ABSENT: &'static str = "off";
    const OPTIONAL_FORM: Form = Form { describe: "a path, or \"off\"", ..Self::FORM };
}

/// One printable line: text that goes out in a reply.
impl Value for String {
    const FORM: Form = Form {
        placeholder: "TEXT",
        noun: "one short line of text",
        describe: "one line of at most 500 bytes without control characters",
        toml: Toml::Text,
        words: &[],
    };

    fn read(text: &str, _: &Path) -> Result<Self, Misread> {
        let fits = text.len() <= 500 && !text.contains(char::is_control) && !text.is_empty();
        if fits { Ok(text.to_owned()) } else { Err(Misread::Form) }
    }
}

/// The permission bits that new files and directories do not get, as umask(2) has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Umask(pub u32);

impl Value for Umask {
    const FORM: Form = Form {
        placeholder: "OCTAL",
        noun: "a mask of three octal digits",
        describe: "three octal digits in quotes, such as \"022\" or \"077\"",
        toml: Toml::Text,
        words: &[],
    };

    fn read(text: &str, _: &Path) -> Result<Self, Misread> {
        let octal = text.len() <= 4 && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        let bits = u32::from_str_radix(text, 8).ok().filter(|&bits| octal && bits <= 0o777);
        bits.map(Self).ok_or(Misread::Form)
    }
}

macro_rules! words {
    ($($type:ty { $describe:literal $($word:literal $variant:ident,)* })*) => {$(
        impl Value for $type {
            const FORM: Form = Form {
                placeholder: concat!($("|", $word),*).split_at(1).1,
                noun: "one of the words",
                describe: $describe,
                toml: Toml::Text,
                words: &[$($word),*],
            };

            fn read(text: &str, _: &Path) -> Result<Self, Misread> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(Misread::Form),
                }
            }
        }
    )*};
}

/// What visitors without an account may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Anonymous {
    /// They cannot log in.
    #[default]
    Off,
    /// They list and read.
    Read,
    /// They also create files and directories; what exists they neither replace nor delete.
    Write,
}

/// Whether PORT and EPRT may name, and passive ports accept, another address than the client's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForeignData {
    /// They may not (RFC 2577 §3).
    #[default]
    Refuse,
    /// They may: for transfers between two servers (FXP), and clients with several addresses.
    Allow,
}

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object.
    Json,
}

words! {
    Anonymous { "\"off\", \"read\" or \"write\"" "off" Off, "read" Read, "write" Write, }
    ForeignData { "\"refuse\" or \"allow\"" "refuse" Refuse, "allow" Allow, }
    Links { "\"refuse\", \"follow\" or \"hide\"" "refuse" Refuse, "follow" Follow, "hide" Hide, }
    LogFormat { "\"human\" or \"json\"" "human" Human, "json" Json, }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Value>(text: &str) -> Option<T> {
        T::read(text, Path::new("/base")).ok()
    }

    #[test]
    fn durations_are_seconds_or_have_a_unit() {
        assert_eq!(read("300"), Some(Duration::from_secs(300)));
        assert_eq!(read("5m"), Some(Duration::from_secs(300)));
        assert_eq!(read("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(read("1 d"), Some(Duration::from_secs(86_400)));
        for bad in ["", "0", "m", "-5", "1.5", "5 minutes", "9999d", "99999999999999999999", "1w"] {
            assert_eq!(read::<Duration>(bad), None, "{bad}");
        }
        assert_eq!(read::<Option<Duration>>("off"), Some(None));
        assert_eq!(read::<Option<Duration>>("0"), None);
    }

    #[test]
    fn sizes_and_counts_and_masks() {
        assert_eq!(read("64k"), Some(Bytes(65_536)));
        assert_eq!(read("0"), Some(Bytes(0)));
        assert_eq!(read::<Bytes>("99999999999g"), None);
        assert_eq!(read::<u32>("1"), Some(1));
        assert_eq!(read::<u32>("0"), None);
        assert_eq!(read("022"), Some(Umask(0o22)));
        for bad in ["8", "", "+22", "01000", "22222"] {
            assert_eq!(read::<Umask>(bad), None, "{bad}");
        }
    }

    #[test]
    fn ranges_leave_out_what_helpers_know() {
        let ports: Ports = read("5059-5062").unwrap();
        assert_eq!(ports.usable().collect::<Vec<_>>(), [5059, 5062]);
        assert_eq!(read::<Ports>("65535-65535").unwrap().usable_count(), 1);
        for bad in ["5060-5061", "100-200", "3000-2000", "2000", "1024-70000", "-"] {
            assert_eq!(read::<Ports>(bad), None, "{bad}");
        }
    }

    #[test]
    fn addresses_and_paths() {
        assert_eq!(
            read::<Vec<SocketAddr>>("[::]:21,0.0.0.0:21").map(|addresses| addresses.len()),
            Some(2)
        );
        assert_eq!(read::<Option<IpAddr>>("auto"), Some(None));
        assert_eq!(read::<IpAddr>("0.0.0.0"), None);
        assert_eq!(read::<IpAddr>("ftp.example.com"), None);
        assert_eq!(read("a"), Some(PathBuf::from("/base/a")));
        assert_eq!(read("/a"), Some(PathBuf::from("/a")));
    }
}
