//! The pages of the manual that are made from the protocol core's tables are what the tables say.
//! `TWOPORT_BLESS=1 cargo test -p twoport-lab --test manual` writes them anew.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::fmt::Write as _;

use twoport_lab::player::files;
use twoport_proto::code::Code;
use twoport_proto::reason::Reason;
use twoport_proto::server;
use twoport_proto::verb::{Permission, Row, TABLE};

fn is_up_to_date(page: &str, text: &str) {
    let path = files::root().join("docs/manual").join(page);
    if std::env::var_os("TWOPORT_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "docs/manual/{page} is out of date: TWOPORT_BLESS=1 writes it anew");
}

/// A bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn reasons() -> String {
    let mut page = "\
# Reasons

Every decision of twoport has a reason: each refusal, each broken transfer, each closed session. The
reply says it in words, the log has its name in `reason`, and here is what it means and what to do.
This page is made from the table in `crates/proto/src/reason.rs`; the reply codes are those of
`crates/proto/src/server/refusal.rs`.
"
    .to_owned();
    let (server, client): (Vec<_>, Vec<_>) =
        Reason::ALL.iter().copied().partition(|reason| is_of_a_server(*reason));
    page.push_str("\n## What the server says\n\n");
    page.push_str("| reason | reply | what happened | cause and remedy |\n|---|---|---|---|\n");
    for reason in server {
        let (describe, explain) = (cell(reason.describe()), cell(reason.explain()));
        let code = server::code(reason);
        writeln!(page, "| `{reason}` | {code} | {describe} | {explain} |").unwrap();
    }
    page.push_str("\n## What only the client says, or the server's log\n\n");
    page.push_str("| reason | what happened | cause and remedy |\n|---|---|---|\n");
    for reason in client {
        let (describe, explain) = (cell(reason.describe()), cell(reason.explain()));
        writeln!(page, "| `{reason}` | {describe} | {explain} |").unwrap();
    }
    page
}

/// The map from reasons to codes gives 451 to what it does not know.
fn is_of_a_server(reason: Reason) -> bool {
    let is_local = matches!(reason, Reason::LocalError | Reason::ListingLimit);
    is_local || server::code(reason) != Code::LOCAL_ERROR
}

fn verbs() -> String {
    let mut page = "\
# Verbs

What the server understands. This page is made from the table in `crates/proto/src/verb.rs`. *Now*:
answered while a transfer runs; all others wait for its end. *Permission*: what the account must be
allowed; some verbs need one only for some arguments (a date that is set, a file that is replaced).

| verb | defined in | login | now | permission | in FEAT | how it is used |
|---|---|---|---|---|---|---|
"
    .to_owned();
    TABLE.iter().for_each(|row| page.push_str(&line(row)));
    page
}

fn line(row: &Row) -> String {
    let yes = |is: bool| if is { "yes" } else { "" };
    let permission = row.permission.and_then(|needed| {
        Permission::ALL.iter().find(|(permission, _)| *permission == needed).map(|(_, word)| *word)
    });
    let permission = permission.map_or_else(String::new, |word| format!("`{word}`"));
    let feature = row.feature.map_or_else(String::new, |feature| format!("`{feature}`"));
    let (login, now) = (yes(row.login), yes(row.transfer));
    let help = cell(row.help);
    format!(
        "| `{}` | {} | {login} | {now} | {permission} | {feature} | {help} |\n",
        row.name, row.rfc
    )
}

#[test]
fn the_reasons_are_those_of_the_table() {
    is_up_to_date("reasons.md", &reasons());
}

#[test]
fn the_verbs_are_those_of_the_table() {
    is_up_to_date("verbs.md", &verbs());
}
