//! `@ gateway`: the rules of a gateway between the client and the server of a conversation.
//!
//! It judges nothing: the relay's machine does.

use std::fmt;

use twoport_proto::relay::{Auth, Mode, Names, Policy};
use twoport_proto::verb::Permissions;

use super::setup::number;
use super::words::Words;

/// A rule of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// `auth=refuse`: what happens at AUTH.
    Auth(Auth),
    /// `mode=passive`: who connects on the server's side.
    Mode(Mode),
    /// `read-only=on`: nothing is changed on the server.
    ReadOnly,
    /// `deny-verb=DELE`, or `deny-verb=SITE_CHMOD` with a blank for the line.
    DenyVerb(String),
    /// `deny-name=*.key`.
    DenyName(String),
    /// `allow-name=*.csv`.
    AllowName(String),
    /// `unknown=3`: how many unknown commands in a row end the session.
    Unknown(u32),
}

const AUTHS: [(Auth, &str); 2] = [(Auth::Pass, "pass"), (Auth::Refuse, "refuse")];

const MODES: [(Mode, &str); 4] = [
    (Mode::AsAsked, "as-asked"),
    (Mode::Auto, "auto"),
    (Mode::Passive, "passive"),
    (Mode::Active, "active"),
];

/// What a word of a table stands for.
fn named<T: Copy>(table: &[(T, &str)], word: &str) -> Result<T, String> {
    let names = || table.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", ");
    let found = table.iter().find(|(_, name)| *name == word);
    found.map(|(it, _)| *it).ok_or_else(|| format!("{word:?} is none of: {}", names()))
}

fn name_of<'a, T: PartialEq>(table: &[(T, &'a str)], wanted: &T) -> &'a str {
    table.iter().find(|(it, _)| it == wanted).map_or("", |(_, name)| name)
}

/// Reads the rules behind `gateway`; there may be none.
pub(super) fn guards(words: &mut Words<'_>) -> Result<Vec<Guard>, String> {
    let mut guards = Vec::new();
    while let Some((key, value)) = words.assignment()? {
        guards.push(match (key.as_str(), value.as_str()) {
            ("auth", word) => Guard::Auth(named(&AUTHS, word)?),
            ("mode", word) => Guard::Mode(named(&MODES, word)?),
            ("read-only", "on") => Guard::ReadOnly,
            ("deny-verb", verb) => Guard::DenyVerb(verb.replace('_', " ")),
            ("deny-name", pattern) => Guard::DenyName(pattern.into()),
            ("allow-name", pattern) => Guard::AllowName(pattern.into()),
            ("unknown", count) => Guard::Unknown(number(count)?),
            (key, value) => return Err(format!("no gateway has {key}={value}")),
        });
    }
    Ok(guards)
}

/// The policy of a gateway with these rules.
#[must_use]
pub fn policy(guards: &[Guard]) -> Policy {
    let mut policy = Policy::default();
    let (mut denied, mut allowed) = (Vec::new(), Vec::new());
    for guard in guards {
        match guard {
            Guard::Auth(auth) => policy.auth = *auth,
            Guard::Mode(mode) => policy.mode = *mode,
            Guard::ReadOnly => policy.permissions = Permissions::READ_ONLY,
            Guard::DenyVerb(verb) => policy.denied_verbs.push(verb.clone().into_bytes()),
            Guard::DenyName(pattern) => denied.push(pattern.as_str()),
            Guard::AllowName(pattern) => allowed.push(pattern.as_str()),
            Guard::Unknown(count) => policy.unknown_limit = *count,
        }
    }
    policy.names = Names::new(denied, allowed);
    policy
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auth(auth) => write!(f, "auth={}", name_of(&AUTHS, auth)),
            Self::Mode(mode) => write!(f, "mode={}", name_of(&MODES, mode)),
            Self::ReadOnly => f.write_str("read-only=on"),
            Self::DenyVerb(verb) => write!(f, "deny-verb={}", verb.replace(' ', "_")),
            Self::DenyName(pattern) => write!(f, "deny-name={pattern}"),
            Self::AllowName(pattern) => write!(f, "allow-name={pattern}"),
            Self::Unknown(count) => write!(f, "unknown={count}"),
        }
    }
}
