//! The settings that are a choice of words.
//!
//! What a word does is decided where the setting is used.

use std::path::Path;

use twoport_net::tls::accept::Reuse;
use twoport_proto::data::ActivePrivate;
use twoport_proto::server::Requirement;

use super::ports::Ports;
use super::value::{Form, Misread, Optional, Toml, Value};
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

/// Which port active data connections come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ActiveSource {
    /// The one below the control port, where it can be had (RFC 959 §3.2).
    #[default]
    BelowControl,
    /// Whichever the system chooses.
    Any,
    /// One of these.
    Range(Ports),
}

impl Value for ActiveSource {
    const FORM: Form = Form {
        placeholder: "20|any|LO-HI",
        noun: "a port to come from",
        describe: "\"20\", \"any\", or a range of ports such as \"50000-50999\"",
        toml: Toml::Text,
        words: &["20", "any"],
    };

    fn read(text: &str, base: &Path) -> Result<Self, Misread> {
        match text {
            "20" => Ok(Self::BelowControl),
            "any" => Ok(Self::Any),
            range => Ports::read(range, base).map(Self::Range),
        }
    }
}

/// What lets passive data connections in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OpenFirewall {
    /// Somebody else: the range is open, or forwarded, by hand.
    #[default]
    Off,
    /// The own host's nftables, for one peer and port at a time.
    Nft,
    /// The router, by PCP, NAT-PMP or UPnP.
    Pcp,
}

/// What the log tells of sessions. What concerns the server itself is always told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Every decision.
    #[default]
    Info,
    /// What was broken off or closed, and what went wrong.
    Warn,
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

/// Whether TLS is there, and whether it must be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsPolicy {
    /// There is none.
    #[default]
    Off,
    /// Clients may use it.
    Optional,
    /// Clients must use it.
    Required,
}

impl From<TlsPolicy> for Requirement {
    fn from(policy: TlsPolicy) -> Self {
        match policy {
            TlsPolicy::Off => Self::Off,
            TlsPolicy::Optional => Self::Optional,
            TlsPolicy::Required => Self::Required,
        }
    }
}

impl Optional for TlsPolicy {
    const ABSENT: &'static str = "auto";
    const OPTIONAL_FORM: Form = Form {
        placeholder: "auto|off|optional|required",
        describe: "\"auto\", \"off\", \"optional\" or \"required\"",
        words: &["auto", "off", "optional", "required"],
        ..Self::FORM
    };
}

/// What is asked of the TLS of data connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequireReuse {
    /// Nothing.
    Off,
    /// That they resume the session of their control connection, or else a line in the log.
    #[default]
    Prefer,
    /// That they resume it, or else they are refused.
    Required,
}

impl From<RequireReuse> for Reuse {
    fn from(reuse: RequireReuse) -> Self {
        match reuse {
            RequireReuse::Off => Self::Off,
            RequireReuse::Prefer => Self::Prefer,
            RequireReuse::Required => Self::Required,
        }
    }
}

/// Where passive data connections come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passive {
    /// At ports of the range, unless it is known that only the control port can be reached.
    #[default]
    Auto,
    /// At ports of the range.
    Ports,
    /// At the control port.
    ControlPort,
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not.
    #[default]
    Off,
    /// They are, and may have none.
    Request,
    /// They must have one.
    Require,
    /// They are, and the right one logs in without password.
    Login,
}

/// How a domain is proven to an authority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AcmeChallenge {
    /// By a certificate shown on port 443 (RFC 8737).
    #[default]
    TlsAlpn01,
    /// By a page on port 80 (RFC 8555 §8.3).
    Http01,
}

words! {
    AcmeChallenge {
        "\"tls-alpn-01\" or \"http-01\"" "tls-alpn-01" TlsAlpn01, "http-01" Http01,
    }
    Anonymous { "\"off\", \"read\" or \"write\"" "off" Off, "read" Read, "write" Write, }
    OpenFirewall { "\"off\", \"nft\" or \"pcp\"" "off" Off, "nft" Nft, "pcp" Pcp, }
    ActivePrivate {
        "\"refuse\" or \"use-peer\""
        "refuse" Refuse, "use-peer" UsePeer,
    }
    ForeignData { "\"refuse\" or \"allow\"" "refuse" Refuse, "allow" Allow, }
    Links { "\"refuse\", \"follow\" or \"hide\"" "refuse" Refuse, "follow" Follow, "hide" Hide, }
    ClientCertificates {
        "\"off\", \"request\", \"require\" or \"login\""
        "off" Off, "request" Request, "require" Require, "login" Login,
    }
    Passive {
        "\"auto\", \"ports\" or \"control-port\""
        "auto" Auto, "ports" Ports, "control-port" ControlPort,
    }
    RequireReuse {
        "\"off\", \"prefer\" or \"required\"" "off" Off, "prefer" Prefer, "required" Required,
    }
    TlsPolicy {
        "\"off\", \"optional\" or \"required\""
        "off" Off, "optional" Optional, "required" Required,
    }
    LogFormat { "\"human\" or \"json\"" "human" Human, "json" Json, }
    LogLevel { "\"info\" or \"warn\"" "info" Info, "warn" Warn, }
}
