//! What a seat of the gateway was told, as words with their places: by flags, by a `[[seat]]` of a
//! file, or by what the file says for all seats.
//!
//! What the words mean is in [`config`](super::config).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::ArgMatches;

use twoport_server::config::problem::{Place, Problem};
use twoport_server::config::value::Wrong;

use super::super::flags::{FLAGS, Flag, Takes};

/// Flags that are no seat's: the rest of the table's rows are keys of a file, too.
const OF_THE_PROCESS: &[&str] = &["config", "print-rules", "replace", LOG_FORMAT];

/// The only key of a file that is not a seat's.
pub(super) const LOG_FORMAT: &str = "log-format";

/// The rows that are keys of a seat.
pub(super) fn rows() -> impl Iterator<Item = &'static Flag> {
    let is_seats =
        |flag: &&Flag| flag.of.contains(&"gateway") && !OF_THE_PROCESS.contains(&flag.long);
    FLAGS.iter().filter(is_seats)
}

/// The words for one seat.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    said: BTreeMap<&'static str, Said>,
    /// Where the seat itself stands, for what is missing.
    place: Option<Place>,
}

/// What was said of one key.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// The values: more than one where the flag may be repeated.
    pub(super) texts: Vec<OsString>,
    /// Where.
    pub(super) place: Place,
}

impl Words {
    /// No words yet, for a seat of a file.
    pub(super) fn at(place: Place) -> Self {
        Self { said: BTreeMap::new(), place: Some(place) }
    }

    /// The words of a command line.
    pub(super) fn of(matches: &ArgMatches) -> Self {
        let mut words = Self::default();
        for flag in rows() {
            let texts: Vec<OsString> = match flag.takes {
                Takes::Nothing if matches.get_flag(flag.long) => vec!["true".into()],
                Takes::Nothing => Vec::new(),
                Takes::Path(_) => {
                    matches.get_many(flag.long).unwrap_or_default().cloned().collect()
                }
                Takes::Word(_) | Takes::Text(_) | Takes::Texts(_) => {
                    let texts = matches.get_many::<String>(flag.long).unwrap_or_default();
                    texts.map(OsString::from).collect()
                }
            };
            if !texts.is_empty() {
                words.say(flag.long, Said { texts, place: Place::CommandLine });
            }
        }
        words
    }

    pub(super) fn say(&mut self, key: &'static str, said: Said) {
        self.said.insert(key, said);
    }

    /// These words, and where they say nothing of a key, those of `others`.
    pub(super) fn or(mut self, others: &Self) -> Self {
        for (key, said) in &others.said {
            self.said.entry(key).or_insert_with(|| said.clone());
        }
        self.place = self.place.or_else(|| others.place.clone());
        self
    }

    /// All values of a key.
    pub(super) fn texts(&self, key: &str) -> impl Iterator<Item = &str> {
        // A path may be no text; it is asked for by `file`.
        self.values(key).iter().filter_map(|text| text.to_str())
    }

    /// The value of a key.
    pub(super) fn word(&self, key: &str) -> Option<&str> {
        self.texts(key).last()
    }

    /// Whether a key is true.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.word(key) == Some("true")
    }

    /// The path of a key.
    pub(super) fn file(&self, key: &str) -> Option<PathBuf> {
        self.values(key).last().map(PathBuf::from)
    }

    /// What is wrong with a key, with its place.
    pub(super) fn wrong(
        &self,
        key: &str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Problem {
        let place = self.said.get(key).map(|said| said.place.clone());
        let place = place.or_else(|| self.place.clone()).unwrap_or(Place::CommandLine);
        Problem::new(Some(place), key, Wrong::new(what, remedy))
    }

    fn values(&self, key: &str) -> &[OsString] {
        self.said.get(key).map(|said| said.texts.as_slice()).unwrap_or_default()
    }
}
