//! Which commands the owner of a gateway lets through: by what they do, by their verb, by the names
//! that they touch.
//!
//! It answers nothing: the relay does, in the command's turn.

use alloc::vec::Vec;

use super::policy::Policy;
use crate::command::Command;
use crate::glob::Glob;
use crate::reason::Reason;
use crate::verb::{Permission, Permissions, Row, Verb};

/// Names that may be touched, and names that may not, in any case of letters: a server may tell `A`
/// and `a` apart, or may not.
#[derive(Clone, Debug, Default)]
pub struct Names {
    denied: Vec<Glob>,
    allowed: Vec<Glob>,
}

impl Names {
    /// Rules of patterns. A denied one holds for every part of a path, an allowed one for the last
    /// part of what is uploaded or downloaded; without allowed ones all are.
    #[must_use]
    pub fn new<'a>(
        denied: impl IntoIterator<Item = &'a str>,
        allowed: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let low = |pattern: &str| pattern.to_ascii_lowercase().into_bytes();
        Self {
            denied: denied.into_iter().map(|pattern| Glob::new(&plain(&low(pattern)))).collect(),
            allowed: allowed.into_iter().map(|pattern| Glob::new(&low(pattern))).collect(),
        }
    }

    const fn is_empty(&self) -> bool {
        self.denied.is_empty() && self.allowed.is_empty()
    }
}

impl Policy {
    /// Whether there are rules that a word could get round which only the server knows.
    fn restricts(&self) -> bool {
        self.permissions != Permissions::ALL
            || !self.denied_verbs.is_empty()
            || !self.names.is_empty()
            || self.scan.is_some()
    }

    /// Why a line does not pass; `text` is what it says.
    pub(super) fn judge(
        &self,
        row: Option<&Row>,
        command: Option<&Command>,
        text: &[u8],
    ) -> Option<Reason> {
        if !self.restricts() {
            return None;
        }
        // Some servers take it for the end of a line: what follows would be a command of its own.
        if text.contains(&b'\r') {
            return Some(Reason::UnknownCommand);
        }
        let Some(row) = row else { return Some(Reason::UnknownCommand) };
        if self.denied_verbs.iter().any(|denied| is_denied(denied, row, text)) {
            return Some(Reason::VerbForbidden);
        }
        let needed = match (row.verb, command) {
            (Verb::Mdtm, Some(Command::Mdtm { set: None, .. })) => row.permission,
            (Verb::Mdtm, _) => Some(Permission::Attributes),
            _ => row.permission,
        };
        if needed.is_some_and(|needed| !self.permissions.has(needed)) {
            return Some(Reason::PermissionDenied);
        }
        // What SITE can do is known to its server alone.
        if row.verb == Verb::Site && !says(text, b"SITE HELP") {
            let is_free = self.permissions == Permissions::ALL && self.names.is_empty();
            return (!is_free).then_some(Reason::PermissionDenied);
        }
        if !self.may_touch(row, text) {
            return Some(Reason::NameForbidden);
        }
        self.unscannable(row, command)
    }

    fn may_touch(&self, row: &Row, text: &[u8]) -> bool {
        let said = text.trim_ascii_start();
        let argument = said.splitn(2, |&byte| byte == b' ').nth(1).unwrap_or_default();
        let argument = argument.to_ascii_lowercase();
        // Servers of Windows know all three, the last for what is in a file beside its content.
        let parts = || argument.split(|byte| b"/\\:".contains(byte));
        let has_path = row.permission.is_some() || row.verb == Verb::Cwd;
        // Beside dates, facts and ranges stand names between blanks or in quotes.
        let words = |part: &[u8]| -> Vec<Vec<u8>> {
            let words = part.split(|byte| b" \"".contains(byte)).map(<[u8]>::to_vec);
            let is_alone = matches!(row.verb, Verb::Retr | Verb::Stor | Verb::Appe | Verb::Cwd);
            if is_alone { Vec::new() } else { words.collect() }
        };
        let fits = |name: &[u8]| self.names.denied.iter().any(|glob| glob.matches(&plain(name)));
        let is_denied = |part: &[u8]| {
            fits(part) || fits(bare(part)) || words(part).iter().any(|word| fits(bare(word)))
        };
        if has_path && parts().any(is_denied) {
            return false;
        }
        let is_transfer = matches!(row.verb, Verb::Retr | Verb::Stor | Verb::Appe | Verb::Stou);
        if !is_transfer || self.names.allowed.is_empty() {
            return true;
        }
        // A part such as `..` behind the name would make it another one.
        let last = parts().next_back().unwrap_or_default();
        self.names.allowed.iter().any(|glob| glob.matches(last))
    }
}

/// A name, or a pattern, whose first dot hides nothing.
fn plain(name: &[u8]) -> Vec<u8> {
    [b"_", name].concat()
}

/// Without what some servers leave out at the ends of a name.
fn bare(name: &[u8]) -> &[u8] {
    let name = name.trim_ascii_start();
    let length = name.iter().rposition(|byte| !b". ".contains(byte)).map_or(0, |last| last + 1);
    name.get(..length).unwrap_or_default()
}

/// Whether a rule such as `DELE` or `SITE CHMOD` is for a line; a verb stands for its other words, too.
fn is_denied(rule: &[u8], row: &Row, text: &[u8]) -> bool {
    if rule.contains(&b' ') {
        return says(text, rule);
    }
    row.name.as_bytes().eq_ignore_ascii_case(rule)
        || row.verb.name().as_bytes().eq_ignore_ascii_case(rule)
}

/// Whether a line begins with these words.
fn says(text: &[u8], words: &[u8]) -> bool {
    let mut found = text.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let mut wanted = words.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    wanted.all(|word| found.next().is_some_and(|found| found.eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(policy: &Policy, line: &str) -> Option<Reason> {
        let (row, command) = match Command::parse(line.as_bytes()) {
            Ok((row, command)) => (Some(row), Some(command)),
            Err(error) => (error.row, None),
        };
        policy.judge(row, command.as_ref(), line.as_bytes())
    }

    #[test]
    fn reading_is_reading_by_whatever_verb() {
        let policy = Policy { permissions: Permissions::READ_ONLY, ..Policy::default() };
        for line in ["RETR a", "LIST", "MDTM a", "CWD a", "SITE HELP", "NOOP", "EPSV", "SIZE a"] {
            assert_eq!(judged(&policy, line), None, "{line}");
        }
        for line in [
            "STOR a",
            "dele a",
            "MDTM 20200101000000 a",
            "SITE CHMOD 777 a",
            "site  chmod 777 a",
            "RNFR a",
            "XMKD a",
            "MFMT 20200101000000 a",
            "STOU",
            " DELE a",
        ] {
            assert_eq!(judged(&policy, line), Some(Reason::PermissionDenied), "{line}");
        }
        for line in ["XFOO a", "NOOP\rDELE a", "\tSTOR a"] {
            assert_eq!(judged(&policy, line), Some(Reason::UnknownCommand), "{line}");
        }
    }

    #[test]
    fn a_verb_is_denied_under_each_of_its_words() {
        let denied_verbs = [&b"DELE"[..], b"RMD", b"site chmod"].map(<[u8]>::to_vec).to_vec();
        let policy = Policy { denied_verbs, ..Policy::default() };
        for line in ["DELE a", "dele a", "XRMD a", "SITE CHMOD 7 a", "SITE  chmod"] {
            assert_eq!(judged(&policy, line), Some(Reason::VerbForbidden), "{line}");
        }
        for line in ["STOR a", "SITE UTIME x", "MKD a"] {
            assert_eq!(judged(&policy, line), None, "{line}");
        }
    }

    #[test]
    fn a_denied_name_is_found_wherever_it_stands() {
        let names = Names::new(["*.key", "secret"], []);
        let policy = Policy { names, ..Policy::default() };
        for line in [
            "RETR my.key",
            "RETR MY.KEY",
            "RETR .key",
            "STOR a/b/my.key",
            "RETR my.key/.",
            "RETR x\\my.key",
            "RETR my.key/x/..",
            "RETR secret/a",
            "CWD secret",
            "RNFR secret",
            "MFMT 20200101000000 secret",
            "XCRC \"secret\" 0 1",
            "COMB all x/secret y",
            "LIST secret",
            " RETR secret",
            "RETR  secret ",
            "RETR secret. .",
            "RETR secret::$DATA",
            "SIZE .key",
        ] {
            assert_eq!(judged(&policy, line), Some(Reason::NameForbidden), "{line}");
        }
        for line in ["RETR key", "RETR a.key.txt", "RETR top secret", "PASS secret", "LIST"] {
            assert_eq!(judged(&policy, line), None, "{line}");
        }
    }

    #[test]
    fn only_allowed_names_are_transferred() {
        let policy = Policy { names: Names::new([], ["*.csv", "*.txt"]), ..Policy::default() };
        for line in ["RETR a.csv", "STOR x.key/A.TXT", "DELE a.exe", "LIST"] {
            assert_eq!(judged(&policy, line), None, "{line}");
        }
        for line in ["RETR a.exe", "STOR a.csv/..", "STOR .csv", "STOU", "APPE a.csv.exe"] {
            assert_eq!(judged(&policy, line), Some(Reason::NameForbidden), "{line}");
        }
    }
}
