//! The portable session files on the servers of others: what they agree on is no invention of ours.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::net::IpAddr;

use twoport_lab::foreign::servers::{Kind, start_or_skip};
use twoport_lab::player::{files, sockets};

fn agrees(kind: Kind) {
    let Some(server) = start_or_skip(kind, IpAddr::from([127, 0, 0, 1])) else { return };
    let mut scripts = files::chosen().unwrap();
    scripts.retain(sockets::is_portable);
    let played = scripts.iter().map(|script| sockets::foreign(script, &server, 0));
    let failures: Vec<String> = played.filter_map(|p| p.err().map(|f| f.to_string())).collect();
    let (failed, all, name) = (failures.len(), scripts.len(), kind.name());
    assert!(failed == 0, "{failed} of {all} failed on {name}\n\n{}\n", failures.join("\n\n"));
}

#[test]
fn vsftpd_agrees() {
    agrees(Kind::Vsftpd);
}

#[test]
fn pure_ftpd_agrees() {
    agrees(Kind::PureFtpd);
}

#[test]
fn proftpd_agrees() {
    agrees(Kind::Proftpd);
}

#[test]
fn pyftpdlib_agrees() {
    agrees(Kind::Pyftpdlib);
}
