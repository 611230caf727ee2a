//! `twoport network`: what is remembered of networks, for people or as JSON; and where.
//!
//! What is written there, and when, is the client library's business.

use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;

use clap::ArgMatches;
use serde_json::json;

use twoport_client::memory::{self, Remembered};

use super::exit::Exit;
use super::output::data;
use super::{Failure, Outcome};

/// The file, in the user's own place for what programs remember (XDG Base Directory Specification);
/// none where the user has no home.
pub(crate) fn file() -> Option<PathBuf> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let state = env::var_os("XDG_STATE_HOME").map(PathBuf::from).and_then(absolute);
    let home = || env::var_os("HOME").map(PathBuf::from).and_then(absolute);
    let state = state.or_else(|| home().map(|home| home.join(".local/state")))?;
    Some(state.join("twoport/networks.json"))
}

pub(crate) fn run(matches: &ArgMatches) -> Outcome {
    let file = file().ok_or_else(|| {
        Failure::here("there is no place to remember things in: set HOME or XDG_STATE_HOME")
    })?;
    if matches.get_flag("forget") {
        return match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Failure::here(format!("{}: {error}", file.display())))
            }
            _ => Ok(Exit::Done),
        };
    }
    let found = memory::read(&file).map_err(|error| {
        let file = file.display();
        Failure::here(format!(
            "{file} cannot be read: {error}; `twoport network --forget` removes it"
        ))
    })?;
    if matches.get_flag("json") {
        let lines = found.iter().map(|entry| {
            let line = json!({
                "network": entry.network,
                "server": entry.server,
                "mode": entry.step.id(),
                "at": entry.at,
                "until": entry.until(),
            });
            format!("{line}\n")
        });
        return data(&lines.collect::<String>());
    }
    data(&table(&found))
}

fn table(found: &[Remembered]) -> String {
    let mut rows = vec![["NETWORK", "SERVER", "MODE", "UNTIL"].map(str::to_owned)];
    rows.extend(found.iter().map(|entry| {
        let seconds = i64::try_from(entry.until()).unwrap_or(i64::MAX);
        let date = twoport_proto::time::Timestamp::from_seconds(seconds).civil();
        let until = format!("{:04}-{:02}-{:02}", date.year, date.month, date.day);
        let safe = |text: &str| twoport_proto::text::escape(text.as_bytes());
        [safe(&entry.network), safe(&entry.server), entry.step.name().to_owned(), until]
    }));
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let [a, b, c] = [0, 1, 2].map(|column| width(column).unwrap_or(0));
    rows.iter()
        .map(|[network, server, mode, until]| {
            format!("{network:a$}  {server:b$}  {mode:c$}  {until}\n")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use twoport_client::Step;

    #[test]
    fn a_table_of_what_worked() {
        let entry = Remembered {
            network: "192.168.0.1 aa:bb".to_owned(),
            server: "ftp.example:21".to_owned(),
            step: Step::PunchEprt,
            at: 1_795_354_848,
        };
        assert_eq!(
            table(&[entry]),
            "NETWORK            SERVER          MODE          UNTIL\n\
             192.168.0.1 aa:bb  ftp.example:21  punched EPRT  2026-11-29\n"
        );
    }
}
