//! `twoport check`: what is wrong with a configuration, before a server or a gateway reads it.
//!
//! It starts nothing, and changes nothing.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use serde_json::json;

use twoport_server::accounts::readable_by_all;
use twoport_server::config::problem::{Place, Problem};
use twoport_server::config::value::Wrong;
use twoport_server::config::{Config, Draft, read_account_file, unanswered};

use super::exit::Exit;
use super::output::{self, line_on_stderr};
use super::{Failure, Outcome, gateway};

/// What was found.
struct Findings {
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
}

pub(crate) fn run(matches: &ArgMatches) -> Outcome {
    let file = matches.get_one::<std::ffi::OsString>("FILE").map(PathBuf::from).unwrap_or_default();
    let findings = examine(&file);
    let count = findings.errors.len();
    if matches.get_flag("json") {
        output::data(&in_json(&file, &findings))?;
    } else {
        findings.errors.iter().for_each(line_on_stderr);
        for warning in &findings.warnings {
            line_on_stderr(format_args!("warning: {warning}"));
        }
    }
    match count {
        0 if matches.get_flag("json") => Ok(Exit::Done),
        0 => output::data(&format!("{}: no mistakes\n", file.display())),
        1 => Err(Failure::usage(format!("{}: 1 mistake", file.display()))),
        _ => Err(Failure::usage(format!("{}: {count} mistakes", file.display()))),
    }
}

fn examine(file: &Path) -> Findings {
    if gateway::file::is_gateways(file) {
        return Findings { errors: gateway::examine(file), warnings: Vec::new() };
    }
    let mut draft = Draft::new();
    draft.read_file(file);
    match draft.finish() {
        Err(problems) => Findings { errors: problems.0, warnings: Vec::new() },
        Ok((config, warnings)) => {
            let mut findings = Findings { errors: Vec::new(), warnings };
            examine_machine(&config, &mut findings);
            findings
        }
    }
}

/// What depends on this machine: a configuration may be checked on another.
fn examine_machine(config: &Config, findings: &mut Findings) {
    let missing = |key: &str, path: &Path, what: &str| {
        let wrong =
            Wrong::new(format!("{} {what}", path.display()), "make it, or correct the path");
        Problem::new(None, key, wrong)
    };
    if let Some(root) = config.server.root.as_ref().filter(|root| !root.is_dir()) {
        findings.warnings.push(missing("root", root, "is not a directory on this machine"));
    }
    let Some(path) = &config.accounts.account_file else { return };
    if !path.exists() {
        findings.warnings.push(missing("account-file", path, "is not there on this machine"));
    } else {
        match read_account_file(path) {
            Ok(accounts) => findings.warnings.extend(unanswered(config, &accounts)),
            Err(problems) => findings.errors.extend(problems.0),
        }
    }
    findings.warnings.extend(readable_by_all(path));
}

fn in_json(file: &Path, findings: &Findings) -> String {
    let errors = findings.errors.iter().map(|problem| ("error", problem));
    let warnings = findings.warnings.iter().map(|problem| ("warning", problem));
    errors.chain(warnings).map(|(severity, problem)| line(file, severity, problem)).collect()
}

fn line(file: &Path, severity: &str, problem: &Problem) -> String {
    let (at, line, column) = match &problem.place {
        Some(Place::Line(at, line, column)) => (at.as_path(), Some(line), Some(column)),
        Some(Place::File(at)) => (at.as_path(), None, None),
        Some(Place::CommandLine) | None => (file, None, None),
    };
    let object = json!({
        "severity": severity,
        "file": at.display().to_string(),
        "line": line,
        "column": column,
        "key": problem.key,
        "what": problem.wrong.what,
        "remedy": problem.wrong.remedy,
    });
    format!("{object}\n")
}
