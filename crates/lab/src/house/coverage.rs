//! What the session files must show: each verb, and each reason that a server gives.

use twoport_proto::code::Code;
use twoport_proto::command::Command;
use twoport_proto::reason::Reason;
use twoport_proto::server;
use twoport_proto::verb::TABLE;

use crate::player::files;
use crate::script::{Says, Script};

/// Reasons that no session can show: the listener gives them, before there is a session.
const BEFORE_ANY_SESSION: [Reason; 4] = [
    Reason::DataUnclaimed,
    Reason::ProxyHeaderMissing,
    Reason::ServerFull,
    Reason::ServerFullForAddress,
];

/// Reasons that a gateway gives in the server's place: its own tests show them.
const OF_A_GATEWAY: [Reason; 9] = [
    Reason::ClientForbidden,
    Reason::EpsvAllTranslated,
    Reason::FormNotScanned,
    Reason::NameForbidden,
    Reason::TlsNotScanned,
    Reason::UploadInParts,
    Reason::UploadInfected,
    Reason::UploadTooBig,
    Reason::VerbForbidden,
];

/// The words of the verb table that no session file has a server understand.
///
/// # Errors
/// A session file that cannot be read.
pub fn verbs_without_session() -> Result<Vec<String>, String> {
    let scripts = files::all()?;
    let mut understood = Vec::new();
    for text in scripts.iter().flat_map(|script| &script.lines) {
        if let Says::Client(text, true) = &text.says {
            let line = text.sketch();
            understood.extend(Command::parse(&line).ok().map(|(row, _)| row.name));
        }
    }
    // LPRT and LPSV are commands, too: refused ones.
    let missing = TABLE.iter().filter(|row| !understood.contains(&row.name));
    Ok(missing.map(|row| format!("{}: no session file has it", row.name)).collect())
}

/// The reasons of a server's session that no `N:` line of a session file names.
///
/// # Errors
/// A session file that cannot be read.
pub fn reasons_without_session() -> Result<Vec<String>, String> {
    let scripts = files::all()?;
    let missing = Reason::ALL.iter().filter(|reason| {
        is_of_a_server(**reason)
            && !BEFORE_ANY_SESSION.contains(reason)
            && !OF_A_GATEWAY.contains(reason)
            && !noted(&scripts, **reason)
    });
    Ok(missing.map(|reason| format!("{reason}: no session file notes it")).collect())
}

/// Whether the map from reasons to reply codes has it; what only a client says has no code there.
fn is_of_a_server(reason: Reason) -> bool {
    let is_local = matches!(reason, Reason::LocalError | Reason::ListingLimit);
    is_local || server::code(reason) != Code::LOCAL_ERROR
}

fn noted(scripts: &[Script], reason: Reason) -> bool {
    let wanted = format!("reason={reason}");
    scripts.iter().flat_map(|script| &script.lines).any(|line| match &line.says {
        Says::Note(words) => words.split(' ').any(|word| word == wanted),
        _ => false,
    })
}

/// The verbs of `enum Verb` that have no row in the table.
///
/// # Errors
/// The file of the verbs cannot be read.
pub fn verbs_without_row() -> Result<Vec<String>, String> {
    let path = files::root().join("crates/proto/src/verb.rs");
    let source = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let body = source.split_once("pub enum Verb {").and_then(|(_, rest)| rest.split_once('}'));
    let (body, _) = body.ok_or("crates/proto/src/verb.rs: no enum Verb")?;
    let verbs = body.split(',').map(str::trim).filter(|verb| !verb.is_empty());
    let has_row = |verb: &&str| TABLE.iter().any(|row| format!("{:?}", row.verb) == **verb);
    let missing = verbs.filter(|verb| !has_row(verb));
    Ok(missing.map(|verb| format!("Verb::{verb}: no row in the table")).collect())
}
