//! The owner's rules for a seat: who may go where, and what may be done there.
//!
//! How they are obeyed is the business of the relay and of the gateway crate.

use std::num::NonZeroU64;
use std::path::Path;

use twoport_gateway::{Access, AccessRule, Mode, Names, Policy};
use twoport_proto::verb::{Permissions, find};
use twoport_server::config::problem::Problem;
use twoport_server::config::value::{Bytes, Value as _};

use super::words::Words;

/// Who may go where.
///
/// # Errors
/// A rule that is none.
pub(super) fn access(words: &Words) -> Result<Access, Problem> {
    let rules = |key: &str| -> Result<Vec<AccessRule>, Problem> {
        let wrong = |what: String| {
            words.wrong(key, what, "write NETWORK or NETWORK@NETWORK, such as 10.0.0.0/8@192.0.2.1")
        };
        words.texts(key).map(|text| text.parse().map_err(wrong)).collect()
    };
    Ok(Access { allowed: rules("allow-clients")?, denied: rules("deny-clients")? })
}

/// What may be done.
///
/// # Errors
/// A verb that there is not.
pub(super) fn over(words: &Words, mut policy: Policy) -> Result<Policy, Problem> {
    if words.is_set("read-only") {
        policy.permissions = Permissions::READ_ONLY;
    }
    policy.mode = match words.word("upstream-mode") {
        Some("passive") => Mode::Passive,
        Some("active") => Mode::Active,
        Some("auto") => Mode::Auto,
        _ => Mode::AsAsked,
    };
    for text in words.texts("deny-verb") {
        let verb = text.split(' ').next().unwrap_or_default();
        if find(verb.as_bytes()).is_none() {
            let what = format!("{verb:?} is no verb");
            return Err(words.wrong("deny-verb", what, "write one such as DELE or \"SITE CHMOD\""));
        }
        policy.denied_verbs.push(text.as_bytes().to_vec());
    }
    policy.names = Names::new(words.texts("deny-name"), words.texts("allow-name"));
    policy.client_tls = words.word("client-tls") == Some("required");
    Ok(policy)
}

/// The interface on which hosts ask for ports.
///
/// # Errors
/// This seat is on no router.
pub(super) fn pcp(words: &Words) -> Result<Option<String>, Problem> {
    let interface = words.word("pcp").map(str::to_owned);
    if interface.is_some() && !matches!(words.word("seat"), Some("client" | "server")) {
        let what = "this seat is on no router";
        return Err(words.wrong("pcp", what, "it goes with seat client and seat server"));
    }
    Ok(interface)
}

/// Bytes a second.
///
/// # Errors
/// Not a size.
pub(super) fn rate_limit(words: &Words, key: &str) -> Result<Option<NonZeroU64>, Problem> {
    let Some(text) = words.word(key) else { return Ok(None) };
    let wrong = || {
        let what = format!("{text:?} is no number of bytes a second");
        words.wrong(key, what, "write one such as 500k or 2m")
    };
    let size = Bytes::read(text, Path::new("")).map_err(|_| wrong())?;
    NonZeroU64::new(size.0).map(Some).ok_or_else(wrong)
}
