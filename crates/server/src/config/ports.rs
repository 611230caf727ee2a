//! The range of ports for passive data connections.
//!
//! Which of them are in use is the ledger's business, in [`twoport_net::data::ports`].

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;

use twoport_net::data::ports::HELPER_PORTS;

use super::value::{Form, Misread, Toml, Value, Wrong};

/// A range of ports for data connections, both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// The lowest.
    pub low: u16,
    /// The highest, not below the lowest.
    pub high: u16,
}

impl Ports {
    /// Every port of the range that may be announced: all but [`HELPER_PORTS`].
    pub fn usable(self) -> impl Iterator<Item = u16> {
        self.range().filter(|port| !HELPER_PORTS.contains(port))
    }

    /// The range, the ports that are never announced included.
    #[must_use]
    pub const fn range(self) -> RangeInclusive<u16> {
        self.low..=self.high
    }

    /// Its first ports, at most `count`.
    #[must_use]
    pub fn pool(self, count: u16) -> Self {
        Self {
            low: self.low,
            high: self.high.min(self.low.saturating_add(count.saturating_sub(1))),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Ports> {
        Ports::read(text, Path::new("")).ok()
    }

    #[test]
    fn ranges_leave_out_what_helpers_know() {
        let ports: Ports = read("5059-5062").unwrap();
        assert_eq!(ports.usable().collect::<Vec<_>>(), [5059, 5062]);
        assert_eq!(read("65535-65535").unwrap().usable_count(), 1);
        for bad in ["5060-5061", "100-200", "3000-2000", "2000", "1024-70000", "-"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
