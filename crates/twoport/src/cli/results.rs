//! What became of each transfer: told to people or as JSON, and summed up as the exit code.
//!
//! An error of one file does not hide what became of the others.

use std::path::Path;

use serde_json::{Value, json};

use twoport_client::{Error, Outcome as End, Reason, Report, Step, TreeReport, Url};

use super::Outcome;
use super::exit::Exit;
use super::output::{data, tell};

/// The results of a command.
pub(crate) struct Results {
    json: bool,
    exit: Exit,
}

impl Results {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json, exit: Exit::Done }
    }

    /// Tells what became of one file.
    pub(crate) fn file(
        &mut self,
        url: &Url,
        local: &Path,
        result: &Result<Report, Error>,
    ) -> Outcome {
        match result {
            Ok(report) => self.moved(&url.to_string(), local, report),
            Err(error) => self.failed(url, error),
        }
    }

    /// Tells what became of each file of a tree.
    pub(crate) fn tree(&mut self, url: &Url, result: &Result<TreeReport, Error>) -> Outcome {
        let report = match result {
            Err(error) => return self.failed(url, error),
            Ok(report) => report,
        };
        for file in &report.files {
            let remote = twoport_proto::text::escape(&file.remote.0);
            match &file.result {
                Ok(report) => self.moved(&remote, &file.local, report)?,
                Err(error) => self.failed(remote, error)?,
            };
        }
        for (name, why) in &report.skipped {
            self.count(Exit::Truncated);
            if self.json {
                data(&line(&json!({ "remote": name, "outcome": "skipped", "why": why })))?;
            } else {
                tell(format_args!("{name}: left out: {why}"));
            }
        }
        Ok(Exit::Done)
    }

    /// Tells of an error.
    pub(crate) fn failed(&mut self, what: impl std::fmt::Display, error: &Error) -> Outcome {
        self.count(Exit::of(error.class().exit_code()));
        if self.json {
            return data(&line(&json!({
                "remote": what.to_string(),
                "outcome": error.class().name(),
                "error": error.to_string(),
                "reason": error.reason().map(Reason::id),
                "explain": error.reason().map(Reason::explain),
                "code": error.reply().map(|reply| reply.code.number()),
                "steps": error.failures().iter().map(step).collect::<Vec<_>>(),
            })));
        }
        tell(format_args!("{what}: {error}"));
        error.reason().into_iter().for_each(explain);
        Ok(Exit::Done)
    }

    fn moved(&mut self, remote: &str, local: &Path, report: &Report) -> Outcome {
        let why = match report.outcome {
            End::Confirmed => None,
            End::Unconfirmed(reason) => Some(reason),
        };
        self.count(Exit::of(report.outcome.exit_code()));
        if self.json {
            return data(&line(&json!({
                "remote": remote,
                "local": local.display().to_string(),
                "outcome": report.outcome.name(),
                "bytes": report.bytes,
                "resumed_at": report.resumed_at,
                "mode": report.step.map(Step::id),
                "reason": why.map(Reason::id),
                "explain": why.map(Reason::explain),
                "warning": report.warning.map(Reason::id),
                "restarted": report.restarted.map(Reason::id),
            })));
        }
        if let Some(reason) = why {
            tell(format_args!("{remote}: not confirmed: {}", reason.describe()));
            explain(reason);
        }
        if let Some(reason) = report.warning {
            tell(format_args!("{remote}: warning: {}", reason.describe()));
        }
        if let Some(reason) = report.restarted {
            tell(format_args!("{remote}: began anew: {}", reason.describe()));
        }
        Ok(Exit::Done)
    }

    /// The first failure is the exit code; one that is merely unconfirmed gives way to others.
    fn count(&mut self, exit: Exit) {
        let gives_way = matches!(self.exit, Exit::Done | Exit::Unconfirmed);
        if gives_way && exit != Exit::Done {
            self.exit = exit;
        }
    }

    /// The exit code of all of them.
    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }
}

/// A step of the ladder that failed.
fn step(failure: &twoport_client::Failure) -> Value {
    json!({
        "mode": failure.step.id(),
        "reason": failure.reason.id(),
        "address": failure.address.map(|address| address.to_string()),
        "code": failure.reply.as_ref().map(|reply| reply.code.number()),
    })
}

fn explain(reason: Reason) {
    tell(reason.explain());
}

fn line(object: &Value) -> String {
    format!("{object}\n")
}
