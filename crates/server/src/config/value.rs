//! How the text of a setting becomes a value: counts, durations, sizes, addresses, paths.
//!
//! It knows no particular setting, and touches neither disk nor network.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

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

/// A path with a comma in it cannot be in the list.
impl Value for Vec<PathBuf> {
    const FORM: Form = Form { toml: Toml::TextOrList, ..PathBuf::FORM };

    fn read(text: &str, base: &Path) -> Result<Self, Misread> {
        text.split(',').map(|path| PathBuf::read(path, base)).collect()
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
