//! A client of IPv6 before a server of IPv4 (RFC 6384): ALGS, NOOP in the place of what the server does
//! not hear, and no negotiations of Telnet from end to end.
//!
//! How EPSV and EPRT become PASV and PORT is in [`commands`](super::commands).

use alloc::vec::Vec;

use super::effect::{Decision, Leg, Note};
use super::policy::Mode;
use super::{Own, Pending, Progress, Relay};
use crate::addr::Family;
use crate::code::{Class, Code};
use crate::command::{Algs, Command};
use crate::reason::Reason;
use crate::reply::Reply;

impl Relay {
    /// Whether the client has IPv6 and its server IPv4.
    pub(super) fn is_nat64(&self) -> bool {
        matches!(
            (self.ends.family(Leg::Client), self.ends.family(Leg::Server)),
            (Family::V6, Family::V4)
        )
    }

    /// Whether the words of one family become those of the other. Where the owner says who connects,
    /// ALGS has no say.
    pub(super) fn translates(&self) -> bool {
        let is_left_alone = self.is_left_alone && self.policy.mode == Mode::AsAsked;
        self.is_translated() && !is_left_alone
    }

    /// ALGS (RFC 6384 §11).
    pub(super) fn algs(&mut self, command: Option<&Command>) {
        match command {
            Some(Command::Algs(Algs::Enable)) => self.is_left_alone = false,
            Some(Command::Algs(Algs::Disable)) => self.is_left_alone = true,
            Some(Command::Algs(Algs::Status)) => {}
            _ => return self.refuse("ALGS", Reason::AlgsUnknown),
        }
        let said = match self.translates() {
            true => "EPSVEPRT EPSV becomes PASV, and EPRT becomes PORT.",
            false => "NONE EPSV and EPRT pass as they are.",
        };
        self.reply(&Reply::line(Code::ALGS_STATUS, said));
    }

    /// What the relay answers itself the server does not hear: it hears NOOP, so that it knows, too, that
    /// the client is there (RFC 6384 §12). Before the login servers refuse it.
    pub(super) fn keep_awake(&mut self) {
        if self.is_nat64() && self.progress == Progress::Known {
            self.pass(b"NOOP\r\n".to_vec(), Pending::Own(Own::Noop));
        }
    }

    /// The answer to that goes nowhere; a server that has another one than 200 is not in step (§12).
    pub(super) fn awake(&mut self, code: Code) {
        match code {
            Code::SERVICE_CLOSING => self.end(Reason::ControlClosing),
            code if code.class() == Class::Completion => {}
            _ => self.end(Reason::ControlRefused),
        }
    }

    /// A line without the negotiations of Telnet, which are refused here (RFC 6384 §5, RFC 1123
    /// §4.1.2.12).
    pub(super) fn heard(&mut self, leg: Leg, line: Vec<u8>) -> Vec<u8> {
        if !self.is_nat64() || !line.contains(&IAC) {
            return line;
        }
        let (text, refusals) = negotiated(&line);
        if !refusals.is_empty() {
            self.note(Note::good(Decision::Refuse, "Telnet"));
            self.write(leg, refusals);
        }
        text
    }
}

const IAC: u8 = 255;
const DONT: u8 = 254;
const DO: u8 = 253;
const WONT: u8 = 252;
const WILL: u8 = 251;

/// A line without the negotiations in it (RFC 854), and what is said to the peer about each: no.
fn negotiated(line: &[u8]) -> (Vec<u8>, Vec<u8>) {
    #[derive(Clone, Copy)]
    enum At {
        Text,
        Iac,
        Option(u8),
    }
    let (mut text, mut refusals) = (Vec::with_capacity(line.len()), Vec::new());
    let mut at = At::Text;
    for &byte in line {
        at = match (at, byte) {
            (At::Text, IAC) => At::Iac,
            (At::Iac, WILL..=DONT) => At::Option(byte),
            (At::Iac, byte) => {
                text.extend([IAC, byte]);
                At::Text
            }
            // The end of the line is no option.
            (At::Text, byte) | (At::Option(_), byte @ b'\n') => {
                text.push(byte);
                At::Text
            }
            (At::Option(WILL), option) => {
                refusals.extend([IAC, DONT, option]);
                At::Text
            }
            (At::Option(DO), option) => {
                refusals.extend([IAC, WONT, option]);
                At::Text
            }
            (At::Option(_), _) => At::Text,
        };
    }
    (text, refusals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_refused_and_the_rest_stays() {
        let said =
            b"\xff\xfb\x03US\xff\xfd\x06ER\xff\xff\xff\xf4\xff\xf2\xff\xfc\x03\xff\xfe\x06x\r\n";
        let expected =
            (b"USER\xff\xff\xff\xf4\xff\xf2x\r\n".to_vec(), b"\xff\xfe\x03\xff\xfc\x06".to_vec());
        assert_eq!(negotiated(said), expected);
        assert_eq!(negotiated(b"NOOP\xff\xfd\n"), (b"NOOP\n".to_vec(), Vec::new()));
    }
}
