//! Everybody else's clients against `twoport serve`: each operation that each client has, and
//! pyftpdlib's own functional suite.
//!
//! A client that is not installed is skipped aloud: `tests/clients/install` installs them.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::process::Command;

use tempfile::TempDir;
use twoport_lab::foreign::clients::cases::{ACCOUNT, Bench};
use twoport_lab::foreign::clients::served::{self, Served};
use twoport_lab::foreign::clients::{Client, directory, repository, say, skipped};

/// Runs all cases of one client, and tells the whole row of the table if one failed or if
/// `TWOPORT_VERBOSE` is set.
fn all_cases(name: &str) {
    let client = Client::find(name).unwrap();
    if client.program().is_none() {
        return skipped(name);
    }
    let (root, work) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let settings = ["--user", ACCOUNT, "--anonymous", "--login-delay", "off"];
    let served = Served::start(root.path(), &settings).unwrap();
    let addresses = served.addresses().try_into().unwrap();
    let verdicts = Bench::new(client, addresses, root.path(), work.path()).all();
    let mut failures = String::new();
    let (mut passed, mut lacking) = (0, 0);
    for verdict in &verdicts {
        let told = match &verdict.trial {
            Ok(true) => "pass".into(),
            Ok(false) => "cannot".into(),
            Err(why) => format!("FAIL {why}"),
        };
        passed += usize::from(matches!(verdict.trial, Ok(true)));
        lacking += usize::from(matches!(verdict.trial, Ok(false)));
        let line = format!("{name} | {} | {told}", verdict.case);
        if std::env::var_os("TWOPORT_VERBOSE").is_some() {
            say(&line);
        }
        if verdict.trial.is_err() {
            failures.push_str(&line);
            failures.push('\n');
        }
    }
    say(&format!("{name}: {passed} cases passed, {lacking} are beyond this client"));
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn curl() {
    all_cases("curl");
}

#[test]
fn lftp() {
    all_cases("lftp");
}

#[test]
fn tnftp() {
    all_cases("tnftp");
}

#[test]
fn wget() {
    all_cases("wget");
}

#[test]
fn rclone() {
    all_cases("rclone");
}

#[test]
fn busybox() {
    all_cases("busybox");
}

#[test]
fn python_ftplib() {
    all_cases("ftplib");
}

#[test]
fn python_aioftp() {
    all_cases("aioftp");
}

#[test]
fn node_basic_ftp() {
    all_cases("basic-ftp");
}

#[test]
fn perl_net_ftp() {
    all_cases("net-ftp");
}

#[test]
fn java_commons_net() {
    all_cases("commons-net");
}

#[test]
fn go_jlaffaye_ftp() {
    all_cases("jlaffaye");
}

/// The suite knows which tests fail and why: `tests/clients/pyftpdlib_suite.expected`.
#[test]
fn pyftpdlib_functional_suite() {
    if !directory().unwrap().join("pyftpdlib").exists() {
        return skipped("pyftpdlib");
    }
    let suite = repository().unwrap().join("tests/clients/pyftpdlib_suite");
    let output = Command::new(&suite)
        .arg("--binary")
        .arg(served::program().unwrap())
        .arg("--expected")
        .arg(suite.with_extension("expected"))
        .output()
        .unwrap();
    let told = twoport_proto::text::escape(&output.stdout).replace("\\x0a", "\n");
    say(told.trim_end().lines().last().unwrap_or_default());
    let error = twoport_proto::text::escape(&output.stderr);
    assert!(output.status.success(), "{told}\n{error}");
}
