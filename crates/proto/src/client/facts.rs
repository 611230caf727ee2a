//! What a server says about itself and its files in replies: FEAT, SIZE, MDTM, and the length in a 150.
//!
//! It trusts none of it: what is done with a number or a feature is the caller's decision.

use alloc::vec::Vec;

use crate::code::{Class, Code};
use crate::reply::Reply;
use crate::time::{Timestamp, decimal};

/// The features that FEAT listed (RFC 2389 §3). Empty where the server has none or refuses to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features(Vec<Vec<u8>>);

impl Features {
    /// The features of a reply to FEAT. Lines that repeat the code, as some servers send them, are
    /// read too; the first and the last line are prose.
    #[must_use]
    pub fn read(reply: &Reply) -> Self {
        if reply.code.class() != Class::Completion {
            return Self::default();
        }
        let last = reply.lines().len().saturating_sub(1);
        let body = reply.lines().take(last).skip(1);
        let lines = body.map(|line| line.trim_ascii().to_vec());
        Self(lines.filter(|line| !line.is_empty()).collect())
    }

    /// Whether a feature is listed, by its first word in any case of letters.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|line| {
            let word = line.split(|b| *b == b' ').next().unwrap_or_default();
            word.eq_ignore_ascii_case(name.as_bytes())
        })
    }

    /// Whether MLSD can be used: FEAT shows it as MLST (RFC 3659 §7.8), some servers as MLSD.
    #[must_use]
    pub fn has_mlsd(&self) -> bool {
        self.has("MLST") || self.has("MLSD")
    }

    /// The port that the server's active connections come from, where it says so: `DATA
    /// source-port 2020`, a word of twoport.
    #[must_use]
    pub fn source_port(&self) -> Option<u16> {
        self.0.iter().find_map(|line| {
            let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
            let told = [b"DATA".as_slice(), b"source-port"]
                .iter()
                .all(|wanted| words.next().is_some_and(|word| word.eq_ignore_ascii_case(wanted)));
            let port = words.next().filter(|_| told)?;
            u16::try_from(decimal(port)?).ok().filter(|port| *port != 0)
        })
    }

    /// Every line as it came.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }
}

/// The number in a reply to SIZE: `213 123`, also with words behind it.
#[must_use]
pub fn size_in(reply: &Reply) -> Option<u64> {
    first_word(reply).and_then(decimal)
}

/// The date in a reply to MDTM (RFC 3659 §3.3).
#[must_use]
pub fn date_in(reply: &Reply) -> Option<Timestamp> {
    first_word(reply).and_then(Timestamp::parse)
}

fn first_word(reply: &Reply) -> Option<&[u8]> {
    if reply.code != Code::FILE_STATUS {
        return None;
    }
    let line = reply.lines().next_back()?;
    line.split(|b| *b == b' ').find(|word| !word.is_empty())
}

/// The length in a 150: `Opening data connection for a (123 bytes).`
pub(super) fn length_in_150(reply: &Reply) -> Option<u64> {
    let line = reply.lines().next_back()?;
    let open = line.iter().rposition(|&b| b == b'(')?;
    let inner = line.get(open + 1..)?;
    let digits = inner.iter().take_while(|b| b.is_ascii_digit()).count();
    let (number, rest) = inner.split_at_checked(digits)?;
    rest.starts_with(b" byte").then(|| decimal(number))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn features_of_many_servers() {
        let body = [b" mlst type*;size*;".to_vec(), b"EPSV".to_vec(), b" UTF8 ".to_vec()];
        let features = Features::read(&Reply::block(Code::STATUS, "Features:", body, "End"));
        assert!(features.has("MLST") && features.has("epsv") && features.has("UTF8"));
        assert!(features.has_mlsd() && !features.has("ML") && !features.has("Features:"));
        assert_eq!(features.source_port(), None);
        for (line, port) in [
            ("DATA source-port 2020", Some(2020)),
            ("data  Source-Port 20 ", Some(20)),
            ("DATA control-port", None),
            ("DATA source-port 0", None),
            ("DATA source-port 70000", None),
            ("SITE source-port 20", None),
        ] {
            let body = [b"EPSV".to_vec(), line.as_bytes().to_vec()];
            let told = Features::read(&Reply::block(Code::STATUS, "Features:", body, "End"));
            assert_eq!(told.source_port(), port, "{line}");
        }
        for (code, lines) in [(Code::NOT_LOGGED_IN, vec![b"no".to_vec()]), (Code::STATUS, vec![])] {
            assert_eq!(Features::read(&Reply::heard(code, lines)), Features::default());
        }
    }

    #[test]
    fn sizes_with_and_without_words() {
        for (text, size) in [
            ("100", Some(100)),
            (" 100", Some(100)),
            ("100 bytes", Some(100)),
            ("0", Some(0)),
            ("big", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(size_in(&Reply::line(Code::FILE_STATUS, text)), size, "{text}");
        }
        assert_eq!(size_in(&Reply::line(Code::UNAVAILABLE, "100")), None);
        let date = Reply::line(Code::FILE_STATUS, "20261122134048");
        assert_eq!(date_in(&date), Some(Timestamp::from_seconds(1_795_354_848)));
    }

    #[test]
    fn the_length_in_a_150() {
        for (text, length) in [
            ("Opening BINARY mode data connection for a (100 bytes).", Some(100)),
            ("Opening (odd name) data connection for (100 bytes)", Some(100)),
            ("a (1 byte)", Some(1)),
            ("Opening data connection for a (2)", None),
            ("File status okay.", None),
        ] {
            assert_eq!(length_in_150(&Reply::line(Code::OPENING_DATA, text)), length, "{text}");
        }
    }
}
