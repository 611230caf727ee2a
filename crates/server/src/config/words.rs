//! The settings that are a choice of words.
//!
//! What a word does is decided where the setting is used.

use std::path::Path;

use super::value::{Form, Misread, Toml, Value};
use crate::storage::disk::Links;

macro_rules! words {
    ($($type:ty { $describe:literal $($word:literal $variant:ident,)* })*) => {$(
        impl Value for $type {
            const FORM: Form = Form {
                placeholder: concat!($("|", $word),*).split_at(1).1,
                noun: "one of the words",
                describe: $describe,
                toml: Toml::Text,
                words: &[$($word),*],
            };

            fn read(text: &str, _: &Path) -> Result<Self, Misread> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(Misread::Form),
                }
            }
        }
    )*};
}

/// What visitors without an account may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Anonymous {
    /// They cannot log in.
    #[default]
    Off,
    /// They list and read.
    Read,
    /// They also create files and directories; what exists they neither replace nor delete.
    Write,
}

/// Whether PORT and EPRT may name, and passive ports accept, another address than the client's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForeignData {
    /// They may not (RFC 2577 §3).
    #[default]
    Refuse,
    /// They may: for transfers between two servers (FXP), and clients with several addresses.
    Allow,
}

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object.
    Json,
}

words! {
    Anonymous { "\"off\", \"read\" or \"write\"" "off" Off, "read" Read, "write" Write, }
    ForeignData { "\"refuse\" or \"allow\"" "refuse" Refuse, "allow" Allow, }
    Links { "\"refuse\", \"follow\" or \"hide\"" "refuse" Refuse, "follow" Follow, "hide" Hide, }
    LogFormat { "\"human\" or \"json\"" "human" Human, "json" Json, }
}
