//! THE TABLE of the server's settings, one row each: the type, the default and where it comes from.
//!
//! The file's keys, the flags of `twoport serve`, the manual and the man pages are made from it.
//! What a setting does is elsewhere. (A table of uniform rows: exempt from the length of files.)

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use twoport_net::reflect::Reflector;
use twoport_proto::data::ActivePrivate;

use super::Config;
use super::names::{Contact, Domain, HttpsUrl};
use super::networks::Networks;
use super::ports::Ports;
use super::public::{PublicAddress, PublicPorts};
use super::value::{Bytes, Form, Misread, Umask, Value, Wrong};
use super::words::{
    AcmeChallenge, ActiveSource, Anonymous, ClientCertificates, ForeignData, LogFormat, LogLevel,
    OpenFirewall, Passive, RequireReuse, TlsPolicy,
};
use crate::storage::disk::Links;

/// How a setting stands on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// As a flag that the short help shows too.
    Common,
    /// As a flag that only the long help and the manual show.
    Rare,
    /// As the argument DIR.
    Argument,
}

/// One row of the table.
#[derive(Debug)]
pub struct Setting {
    /// The section of the file that it belongs to.
    pub section: &'static str,
    /// Its name in the file, and with `--` before it on the command line. No two are the same.
    pub key: &'static str,
    /// How its value is written.
    pub form: Form,
    /// The default as it would be written; empty if there is none.
    pub default: &'static str,
    /// What it sets: a sentence without full stop.
    pub about: &'static str,
    /// Why the default is what it is: a sentence without full stop.
    pub origin: &'static str,
    /// How it stands on the command line.
    pub flag: Flag,
    apply: fn(&mut Config, &str, &Path) -> Result<(), Misread>,
}

impl Setting {
    /// The row of a key.
    #[must_use]
    pub fn find(key: &str) -> Option<&'static Self> {
        TABLE.iter().find(|setting| setting.key == key)
    }

    /// Reads `text` and sets the value; a relative path starts from `base`.
    pub fn apply(&self, config: &mut Config, text: &str, base: &Path) -> Result<(), Wrong> {
        (self.apply)(config, text, base).map_err(|misread| match misread {
            Misread::Form => self.form.wrong(text),
            Misread::Wrong(wrong) => wrong,
        })
    }

    /// Whether `text` can be a value of this setting.
    pub fn check(&self, text: &str) -> Result<(), Wrong> {
        self.apply(&mut Config::blank(), text, Path::new(""))
    }

    /// A value as it stands in a file: strings in quotes, numbers and booleans bare.
    #[must_use]
    pub fn in_toml(&self, text: &str) -> String {
        use super::value::Toml;
        let bare = match self.form.toml {
            Toml::Boolean | Toml::Number => true,
            Toml::NumberOrText => text.bytes().all(|b| b.is_ascii_digit()),
            Toml::Text | Toml::TextOrList => false,
        };
        if bare { text.to_owned() } else { format!("{text:?}") }
    }
}

/// A section of the file.
#[derive(Debug)]
pub struct Section {
    /// Its name between brackets.
    pub name: &'static str,
    /// What its settings have in common.
    pub title: &'static str,
}

macro_rules! settings {
    ($($type:ident $section:ident $title:literal {
        $($field:ident $key:literal: $kind:ty = $default:literal, $flag:ident, $about:literal, $origin:literal;)*
    })*) => {
        $(
            #[doc = concat!("Section `", stringify!($section), "`: ", $title, ".")]
            #[derive(Clone, Debug, Default, PartialEq, Eq)]
            pub struct $type {
                $(#[doc = concat!("`", $key, "`: ", $about, ". Default `", $default, "`: ", $origin, ".")]
                pub $field: $kind,)*
            }
        )*

        /// The sections, in the order of the manual.
        pub static SECTIONS: &[Section] =
            &[$(Section { name: stringify!($section), title: $title },)*];

        /// The table.
        pub static TABLE: &[Setting] = &[$($(Setting {
            section: stringify!($section),
            key: $key,
            form: <$kind as Value>::FORM,
            default: $default,
            about: $about,
            origin: $origin,
            flag: Flag::$flag,
            apply: |config, text, base| {
                config.$section.$field = Value::read(text, base)?;
                Ok(())
            },
        },)*)*];
    };
}

settings! {
    Server server "What is served, and where" {
        root "root": Option<PathBuf> = "", Argument,
            "The directory that is served",
            "there is none: what is given to the network is named by its owner";
        listen "listen": Option<Vec<SocketAddr>> = "auto", Common,
            "Addresses and ports for control connections; in a file one string or a list of them, on the command line --listen as often as needed",
            "port 21 (RFC 959 §8) with the right to it, else 2121, on all addresses of IPv4 and IPv6";
        banner "banner": String = "FTP server ready", Rare,
            "The text of the 220 greeting",
            "it names neither product nor version: a scanner learns nothing";
        trusted_proxies "trusted-proxies": Networks = "", Common,
            "Load balancers whose connections, control and data, begin with a PROXY header (version 1 or 2) that says who the client is; in a file one string or a list",
            "whoever may send such a header can pretend to be any client";
    }
    Accounts accounts "Who may log in" {
        account_file "account-file": Option<PathBuf> = "off", Common,
            "The file that `twoport account` keeps accounts in",
            "accounts can also stand in `[[account]]` tables of the configuration itself";
        anonymous "anonymous": Anonymous = "off", Common,
            "What `anonymous` and `ftp` may do with any password: nothing; list and read; or also create files and directories, but replace and delete nothing",
            "an open server is a decision of its owner";
    }
    Data data "Data connections" {
        passive_ports "passive-ports": Ports = "61000-65535", Common,
            "Ports for passive data connections; open them in the firewall, too",
            "above the ports that Linux takes for outgoing connections (32768-60999), within IANA's dynamic range, so that no other program takes them by chance";
        passive "passive": Passive = "auto", Common,
            "Where passive data connections come in: at the passive-ports, or at the control port itself, which is then the only port that a firewall must let in",
            "auto is ports, unless no data connection arrives there, or the server is behind NAT and no passive-ports are set: then it is the control port";
        public_address "public-address": PublicAddress = "auto", Common,
            "The address that PASV announces: an IPv4 address, a name (looked up each minute), or `auto`; for some clients `NETWORK=ADDRESS`; in a file one string or a list, of which the first that fits counts",
            "auto is the address that the client's control connection came to where that is public or the client is in a private network, too; for others the outer address, as the router (PCP, NAT-PMP, UPnP), the cloud's metadata or the reflector tell it";
        public_address_tls "public-address-tls": PublicAddress = "", Rare,
            "The same for clients under TLS, whose replies no box on the way can read and rewrite",
            "without it public-address counts";
        public_ports "public-ports": PublicPorts = "", Rare,
            "The numbers that passive ports have outside, where the router forwards others: HERE=OUTSIDE, such as 50000-50100=40000-40100",
            "most forwardings keep the number";
        reflector "reflector": Option<Reflector> = "off", Rare,
            "Somebody outside who tells under which address this host is seen: a STUN server, or another twoport",
            "nobody outside is asked unless named";
        open_firewall "open-firewall": OpenFirewall = "off", Common,
            "What opens the way for passive data connections: nothing here; or the nftables of this host (`nft`), where the passive ports are closed and each PASV or EPSV opens its port for its client until the connection has come; or the router (`pcp`: PCP, NAT-PMP or UPnP), which maps the control port and the first 32 passive ports as long as the server runs",
            "it is a decision about the host, which needs CAP_NET_ADMIN, or about the router";
        active "active": bool = "true", Rare,
            "Whether PORT and EPRT (active mode) are served",
            "RFC 1123 §4.1.2.12 requires PORT, and old devices know nothing else";
        active_source_port "active-source-port": ActiveSource = "20", Common,
            "The port that active data connections come from: `20` is the port below the control port (20 for 21, 2120 for 2121), where it may be bound and is not in use towards the client; `any` leaves it to the system; or a range, of which a free one is taken",
            "RFC 959 §3.2; it costs nothing, and a client behind NAT that knows the port can open its own side for it: FEAT names it";
        active_private "active-private": ActivePrivate = "refuse", Rare,
            "What is done with a PORT or EPRT that names an address of the client's private network: it is refused, or the address of the control connection is dialled at the port that was named",
            "behind most NATs nobody would answer there, and the refusal tells the client to use passive mode";
        foreign_data "foreign-data": ForeignData = "refuse", Rare,
            "Whether data connections may go to, and come from, another address than the control connection's; FXP needs it",
            "RFC 2577 §3: it lets anybody scan and attack third parties through the server";
    }
    Tls tls "TLS" {
        tls "tls": Option<TlsPolicy> = "auto", Common,
            "Whether clients may, or must, protect the control connection with TLS (AUTH TLS)",
            "auto is optional where a certificate is given or got by ACME, else off: clients that find TLS with a certificate they cannot verify refuse to go on in clear (lftp does)";
        data_tls "data-tls": TlsPolicy = "optional", Rare,
            "Whether data connections may, or must, be under TLS (PROT P)",
            "vsftpd's force_local_data_ssl is on; here what the client chose is believed";
        certificate "certificate": Vec<PathBuf> = "", Common,
            "Certificate chains in PEM form, each for the names that it is made for; in a file one string or a list, on the command line as often as needed. Without one a self-signed certificate is made and kept",
            "there is none to assume";
        key "key": Vec<PathBuf> = "", Common,
            "The private keys of the certificates, in the same order",
            "there is none to assume";
        acme "acme": Vec<Domain> = "", Common,
            "Domains of this server for which certificates are got, and renewed, by ACME (RFC 8555): with it you agree to the terms of the authority",
            "there is none to assume";
        acme_directory "acme-directory": HttpsUrl = "https://acme-v02.api.letsencrypt.org/directory", Rare,
            "The authority that is asked: the URL of its ACME directory",
            "Let's Encrypt: it takes nothing and asks for no account beforehand";
        acme_challenge "acme-challenge": AcmeChallenge = "tls-alpn-01", Rare,
            "How a domain is proven: by TLS on port 443 (RFC 8737), or by HTTP on port 80 (RFC 8555 §8.3)",
            "TLS on 443 collides with no redirection of a web server, and nothing is said in clear";
        acme_listen "acme-listen": Option<Vec<SocketAddr>> = "auto", Rare,
            "Addresses and ports where the proof is shown while it is asked for; the authority always comes to 443 or 80, so another port needs a forwarding",
            "auto is port 443 or 80 of all addresses, as the challenge has it";
        acme_contact "acme-contact": Vec<Contact> = "", Rare,
            "Where the authority may write to about its certificates; given when the account is made",
            "RFC 8555 §7.3 leaves it to the client, and Let's Encrypt sends no warnings any more";
        acme_ca "acme-ca": Option<PathBuf> = "off", Rare,
            "The authorities whose certificate the ACME server itself may have, in PEM form, in place of the platform's: for a private one",
            "public ones are known to the platform";
        implicit_tls "implicit-tls": Vec<SocketAddr> = "", Common,
            "Addresses and ports where TLS comes first, before the greeting; 990 is the port for it",
            "RFC 4217 knows AUTH TLS only; implicit TLS is for clients that know nothing else";
        require_reuse "require-reuse": RequireReuse = "prefer", Common,
            "Whether data connections must resume the TLS session of their control connection, which proves that they are the same client's",
            "required turns away clients that cannot (Java's, and Node's of some versions); prefer takes them, and tells in the log";
        ticket_keys "ticket-keys": Option<PathBuf> = "off", Rare,
            "A file with the keys of the session tickets, which several servers of one name may share; it is made if it is missing",
            "off keeps them in memory: one server needs no more, and nobody finds them on its disk";
        client_ca "client-ca": Option<PathBuf> = "off", Rare,
            "The authorities whose client certificates are accepted, in PEM form",
            "there is none to assume";
        client_certificates "client-certificates": ClientCertificates = "off", Rare,
            "Whether clients are asked for a certificate, must have one, or log in by it: the accounts name theirs. Needs client-ca, but for certificates that accounts name by fingerprint",
            "passwords are what clients have";
        clear_commands "clear-commands": bool = "false", Rare,
            "Whether CCC may take the control connection back to clear text, so that NATs can read it",
            "names and paths become readable on the way";
        state_directory "state-directory": Option<PathBuf> = "off", Rare,
            "Where the self-signed certificate is kept, what was got by ACME, and which ports a router maps",
            "off is /var/lib/twoport for root, else twoport in the user's state directory (XDG)";
    }
    Limits limits "How much is allowed" {
        max_sessions "max-sessions": u32 = "2000", Common,
            "Control connections at a time",
            "vsftpd's max_clients; an idle session here is cheaper than vsftpd's two processes";
        max_sessions_per_ip "max-sessions-per-ip": u32 = "1000", Rare,
            "Control connections at a time from one IP address",
            "half of max-sessions: one address cannot shut out the others, and an office behind one NAT gets in";
        max_unauthenticated "max-unauthenticated": u32 = "1000", Rare,
            "Control connections at a time that are not logged in",
            "half of max-sessions: a flood before login leaves those who have a password half of the room";
        max_unauthenticated_per_ip "max-unauthenticated-per-ip": u32 = "750", Rare,
            "Control connections at a time from one IP address that are not logged in",
            "three quarters of max-unauthenticated: hundreds of clients behind one NAT can come back at once after a cut, and others still find room";
        login_attempts "login-attempts": u32 = "3", Rare,
            "Wrong passwords after which the connection is closed",
            "vsftpd's max_login_fails and pyftpdlib's max_login_attempts";
        login_delay "login-delay": Option<Duration> = "1s", Rare,
            "How long the answer to the first wrong password waits; each further one waits twice as long",
            "vsftpd's delay_failed_login";
        login_delay_max "login-delay-max": Duration = "10s", Rare,
            "The longest that the answer to a wrong password waits",
            "guessing gets slow, and no client gives up in that time (curl waits two minutes)";
        listing_limit "listing-limit": u32 = "100000", Rare,
            "Entries that one listing may look at; it is cut there",
            "ten times pure-ftpd's 10000, which real directories pass; a tenth of a second of work";
        ascii_size_limit "ascii-size-limit": Bytes = "1m", Rare,
            "The biggest file whose size is counted in TYPE A, where the whole file must be read for it",
            "FreeBSD's ftpd stops at 10 KiB, a figure of 1990; a MiB is read in a millisecond today";
    }
    Timeouts timeouts "How long things may take" {
        idle_timeout "idle-timeout": Duration = "300", Common,
            "How long a client may send no command while nothing is transferred",
            "vsftpd's idle_session_timeout, and the least that RFC 1123 §4.1.3.2 allows";
        login_timeout "login-timeout": Duration = "120", Rare,
            "How long a client may take to log in",
            "sshd's LoginGraceTime: enough to look a password up";
        data_timeout "data-timeout": Duration = "30", Rare,
            "How long a data connection may take to be established",
            "pyftpdlib's; four of Linux's repeated SYNs fit in it (1, 3, 7 and 15 s)";
        stall_timeout "stall-timeout": Duration = "300", Rare,
            "How long a transfer may move no byte",
            "vsftpd's data_connection_timeout and pyftpdlib's";
        session_timeout "session-timeout": Option<Duration> = "off", Rare,
            "How long a session may last in all",
            "a transfer of days is legal; proftpd's TimeoutSession is off, too";
        keep_alive "keep-alive": Duration = "60", Rare,
            "How often TCP probes a quiet control connection",
            "NATs drop idle connections after 5 minutes and less while long transfers run; Azure's after 4";
        shutdown_timeout "shutdown-timeout": Duration = "30", Rare,
            "How long transfers may go on after SIGTERM",
            "what Kubernetes waits before it kills (systemd waits 90 s)";
    }
    Storage storage "Files" {
        links "links": Links = "refuse", Rare,
            "What happens at symbolic links: those that leave the root are refused, all are followed, or all are hidden",
            "nothing outside the root can be reached unless its owner says so";
        durable "durable": bool = "true", Rare,
            "Whether an upload is on the disk, file and directory, before it is confirmed; and in clear, 5 ms or more are waited for the sign of a killed client",
            "a 226 is a promise; without it a power cut takes files that clients have deleted on their side";
        umask "umask": Umask = "022", Rare,
            "The permission bits that new files and directories do not get",
            "everybody on the machine may read, as most systems and the configuration that proftpd ships have it";
        partial_keep "partial-keep": Duration = "24h", Rare,
            "How long the received part of a cut upload is kept for resume",
            "a day: a nightly job that was cut can go on the next night";
    }
    Log log "What is told" {
        log_format "log-format": LogFormat = "human", Common,
            "What the lines of the log look like",
            "the first reader is a person";
        log_level "log-level": LogLevel = "info", Rare,
            "What the log tells of sessions: every decision, or only what was broken off or went wrong",
            "who asks why needs all of it; without the line of each transfer a short one takes a tenth less";
        xferlog "xferlog": Option<PathBuf> = "off", Rare,
            "A file that gets one line per transfer in wu-ftpd's format, for programs that read it",
            "the log holds all of it already";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keys_are_unique_kebab_case_and_few() {
        let keys: BTreeSet<_> = TABLE.iter().map(|setting| setting.key).collect();
        assert_eq!(keys.len(), TABLE.len());
        // More than one reads in one go would need profiles; networks and TLS take half of them.
        assert!(TABLE.len() <= 75);
        for key in keys {
            assert!(key.bytes().all(|b| b.is_ascii_lowercase() || b"-0123456789".contains(&b)));
        }
    }

    #[test]
    fn every_default_is_a_value_and_every_sentence_lacks_its_full_stop() {
        for setting in TABLE {
            if !setting.default.is_empty() {
                assert_eq!(setting.check(setting.default), Ok(()), "{}", setting.key);
            }
            assert!(!setting.about.ends_with('.') && !setting.origin.ends_with('.'));
        }
    }

    #[test]
    fn words_are_all_accepted() {
        for setting in TABLE {
            for word in setting.form.words {
                assert_eq!(setting.check(word), Ok(()), "{}", setting.key);
            }
        }
    }
}
