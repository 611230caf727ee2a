//! Every session file in every way that there is to play it.
//!
//! `TWOPORT_SESSION=retrieve` plays the files with that in their path; `TWOPORT_BLESS=1` writes the
//! manual's index anew; `TWOPORT_SEED` cuts what goes over sockets in another way.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use twoport_lab::player::machine::{Feed, server};
use twoport_lab::player::relay::{Outside, relayed};
use twoport_lab::player::{Failure, client, codec, conversation, corpus, files, manual, sockets};
use twoport_lab::script::{Says, Script};

/// Plays all files, and shows every one that fails.
fn each(play: impl Fn(&Script) -> Result<(), Failure>) {
    let scripts = files::chosen().unwrap();
    let failures: Vec<String> =
        scripts.iter().filter_map(|script| play(script).err()).map(|f| f.to_string()).collect();
    let (failed, all) = (failures.len(), scripts.len());
    assert!(failures.is_empty(), "{failed} of {all} failed\n\n{}\n", failures.join("\n\n"));
}

#[test]
fn each_line_comes_back_from_the_codec_as_it_was() {
    each(codec::round_trip);
}

#[test]
fn the_server_machine_plays_each_line_whole() {
    alone(|script| server(script, Feed::Whole));
}

#[test]
fn the_server_machine_plays_a_byte_at_a_time() {
    alone(|script| server(script, Feed::Bytewise));
}

#[test]
fn the_relay_machine_passes_each_line_on() {
    of_ours(|script| relayed(script, Feed::Whole, Outside::Same));
}

#[test]
fn the_relay_machine_passes_each_line_on_a_byte_at_a_time() {
    of_ours(|script| relayed(script, Feed::Bytewise, Outside::Same));
}

#[test]
fn the_relay_machine_tells_of_other_addresses() {
    of_ours(|script| {
        let is_seen_beyond = script.lines.iter().any(|line| matches!(line.says, Says::Beyond(_)));
        if is_seen_beyond { relayed(script, Feed::Bytewise, Outside::Other) } else { Ok(()) }
    });
}

#[test]
fn the_clients_end_of_the_control_connection_plays_what_one_client_says() {
    each(conversation::control);
}

#[test]
fn the_client_machines_play_what_they_are_asked_to_do() {
    each(|script| script.errand().map_or(Ok(()), |errand| client::client(script, errand)));
}

/// Plays the files in which the server is ours.
fn of_ours(play: impl Fn(&Script) -> Result<(), Failure>) {
    each(|script| if script.is_foreign() { Ok(()) } else { play(script) });
}

/// Those of them in which no gateway answers.
fn alone(play: impl Fn(&Script) -> Result<(), Failure>) {
    of_ours(|script| if script.gateway().is_some() { Ok(()) } else { play(script) });
}

/// On some threads: each session waits most of its time.
fn on_sockets(seed: u64) {
    let mut scripts = files::chosen().unwrap();
    scripts.retain(sockets::can_play);
    let (failures, next) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(script) = scripts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let failure = sockets::server(script, seed).err();
                    failures.lock().unwrap().extend(failure.map(|failure| failure.to_string()));
                }
            });
        }
    });
    let (failures, all) = (failures.into_inner().unwrap(), scripts.len());
    let failed = failures.len();
    assert!(failed == 0, "{failed} of {all} failed, seed {seed}\n\n{}\n", failures.join("\n\n"));
}

#[test]
fn a_real_server_plays_each_line_whole() {
    on_sockets(0);
}

#[test]
fn a_real_server_plays_lines_in_pieces() {
    let seed = std::env::var("TWOPORT_SEED").ok().and_then(|seed| seed.parse().ok());
    on_sockets(seed.unwrap_or(0x5eed_0001));
}

#[test]
fn every_file_is_printed_as_it_stands() {
    each(|script| {
        let source = std::fs::read_to_string(files::root().join(&script.file)).unwrap();
        let stands = source.lines().zip(&script.lines);
        let other = stands.into_iter().find(|(stands, line)| **stands != line.to_string());
        match other {
            Some((stands, line)) => Err(Failure::at(script, line, stands)),
            None => Ok(()),
        }
    });
}

#[test]
fn titles_are_unique_and_name_where_the_rule_is_from() {
    let scripts = files::all().unwrap();
    for (number, script) in scripts.iter().enumerate() {
        let (origin, title) = script.title().split_once(": ").unwrap_or_default();
        assert!(!origin.is_empty() && title.ends_with('.'), "{}: # ORIGIN: title.", script.file);
        let before = scripts.iter().take(number).find(|other| other.title() == script.title());
        assert!(before.is_none(), "{}: the title of {}", script.file, before.unwrap().file);
    }
}

#[test]
fn the_sessions_are_seeds_for_the_fuzzers() {
    let corpus = tempfile::tempdir().unwrap();
    corpus::write(&files::all().unwrap(), corpus.path()).unwrap();
    let seed = std::fs::read(corpus.path().join("line/rfc959-retrieve")).unwrap();
    assert!(seed.starts_with(b"USER ann\r\nPASS secret\r\n"));
}

#[test]
fn the_manual_lists_the_sessions() {
    let path = files::root().join("docs/manual/sessions.md");
    let page = manual::index(&files::all().unwrap());
    if std::env::var_os("TWOPORT_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "docs/manual/sessions.md is out of date: TWOPORT_BLESS=1 writes it anew"
    );
}
