//! Files with every kind of mistake, and what is said about each; the order of file and flags.

use std::path::Path;
use std::time::Duration;

use super::account::permission_words;
use super::ports::Ports;
use super::settings::Setting;
use super::words::{Anonymous, ForeignData, LogFormat, RequireReuse};
use super::*;
use crate::tls::requirement;
use twoport_proto::server::Requirement;

const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
                    +/Vqx9bn5jVIUb2AVt+I0mA4TMZfmeUHIYGZ1nCyXaE";

fn draft(text: &str) -> Draft {
    let mut draft = Draft::new();
    draft.read_text(Path::new("/etc/twoport/twoport.toml"), text);
    draft
}

/// What is said about a file, its path left out.
fn said(text: &str) -> String {
    let problems = draft(text).finish().unwrap_err().to_string();
    problems.replace("/etc/twoport/twoport.toml", "F")
}

#[test]
fn an_empty_file_is_the_defaults() {
    let (config, warnings) = draft("").finish().unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(warnings, []);
    assert_eq!(config.timeouts.idle_timeout, Duration::from_secs(300));
    assert_eq!(config.data.passive_ports, Ports { low: 61_000, high: 65_535 });
    assert_eq!(config.server.listen, None);
    assert_eq!(config.accounts.anonymous, Anonymous::Off);
    assert!(config.storage.durable && config.data.active);
}

#[test]
fn a_file_sets_and_flags_override() {
    let mut draft = draft(
        "[server]\nroot = \"srv\"\nlisten = [\"[::]:2121\", \"0.0.0.0:2121\"]\n\
         [timeouts]\nidle-timeout = \"10m\"\nsession-timeout = 7200\n\
         [data]\nforeign-data = \"allow\"\n[log]\nlog-format = \"json\"\n",
    );
    let set = |draft: &mut Draft, key, text| draft.set(Setting::find(key).unwrap(), text);
    set(&mut draft, "idle-timeout", "60");
    set(&mut draft, "session-timeout", "off");
    let (config, _) = draft.finish().unwrap();
    assert_eq!(config.server.root.as_deref(), Some(Path::new("/etc/twoport/srv")));
    assert_eq!(config.server.listen.map(|listen| listen.len()), Some(2));
    assert_eq!(config.timeouts.idle_timeout, Duration::from_secs(60));
    assert_eq!(config.timeouts.session_timeout, None);
    assert_eq!(config.data.foreign_data, ForeignData::Allow);
    assert_eq!(config.log.log_format, LogFormat::Json);
}

#[test]
fn every_mistake_of_a_file_is_named_with_place_and_remedy() {
    let text = "\
[limits]
max-session = 10
login-attempts = \"3\"
max-sessions = 0
listing-limit = 1.5
idle-timeout = 5
[timeouts]
stall-timeout = \"5 minutes\"
session-timeout = 0
[storage]
umask = 22
links = \"folow\"
durable = \"yes\"
[data]
passive-ports = \"2000-1000\"
public-address = \"203.0.113\"
[server]
listen = [\"localhost:21\"]
[log]
log-format = 3
colour = true
[colours]
x = 1
root = \"/srv\"
";
    let expected = "\
F:2:1: max-session: unknown key in [limits]; did you mean max-sessions?
F:3:18: login-attempts: it is a string; write 3 without quotes
F:4:16: max-sessions: \"0\" is not a count of at least 1; write a number from 1 to 10000000
F:5:17: listing-limit: it is a number with a fraction; write a number from 1 to 10000000
F:6:1: idle-timeout: unknown key in [limits]; it belongs in [timeouts]
F:8:17: stall-timeout: \"5 minutes\" is not a duration from 1ms to 366d; write seconds, or a number with a unit such as \"90s\", \"5m\", \"24h\" or \"7d\"
F:9:19: session-timeout: \"0\" is not a duration from 1ms to 366d; write seconds, a number with a unit such as \"90s\", \"5m\" or \"24h\", or \"off\"
F:11:9: umask: it is a number; write three octal digits in quotes, such as \"022\" or \"077\"
F:12:9: links: \"folow\" is not one of the words; write \"refuse\", \"follow\" or \"hide\"
F:13:11: durable: it is a string; write true or false
F:15:17: passive-ports: \"2000-1000\" is not a range of ports; write two ports from 1024 to 65535, the lower first, such as \"50000-50999\"
F:16:18: public-address: \"203.0.113\" is not an address to announce; write an IP address such as \"203.0.113.7\", a name, or \"auto\"; or for some clients \"10.0.0.0/8=10.0.0.10\"
F:18:10: listen: \"localhost:21\" is not an address with a port; write an address and a port such as \"0.0.0.0:2121\" or \"[::]:2121\", or \"auto\"
F:20:14: log-format: it is a number; write \"human\" or \"json\"
F:21:1: colour: unknown key in [log]; the keys are log-format, log-level, xferlog
F:22:2: colours: unknown section; the sections are server, accounts, data, tls, limits, timeouts, storage, log, account, listener";
    assert_eq!(said(text), expected);
}

#[test]
fn lines_that_are_no_toml_are_all_named_once() {
    let said =
        said("[limits]\nmax-sessions =\n[log\n[storage]\nlinks = \"hide\"\nlinks = \"hide\"\n");
    for place in ["F:2:", "F:3:", "F:6:"] {
        assert!(said.contains(place), "{place} in {said}");
    }
    assert_eq!(said.lines().count(), 3, "{said}");
}

#[test]
fn what_belongs_elsewhere_says_where() {
    assert_eq!(
        said("idle-timeout = 5\n[acounts]\n[[server]]\n"),
        "F:1:1: idle-timeout: unknown section; it belongs in [timeouts]\n\
         F:2:2: acounts: unknown section; did you mean accounts?\n\
         F:3:1: server: not a section; write [server] on a line of its own"
    );
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    assert_eq!(
        said("[limits]\nlogin-delay = \"20s\"\n"),
        "F:2:15: login-delay: the first delay is longer than the longest; lower login-delay, or \
         raise login-delay-max"
    );
    let account = format!("[[account]]\nname = \"ftp\"\npassword-hash = \"{HASH}\"\n");
    assert!(draft(&account).finish().is_ok());
    let visitors = format!("[accounts]\nanonymous = \"read\"\n{account}");
    assert!(said(&visitors).contains("F:3:1: account: \"ftp\" is a name of visitors"));
    assert!(said(&format!("{account}{account}")).starts_with("F:4:1: account: account \"ftp\""));
}

#[test]
fn listeners_take_what_they_leave_out_from_the_section() {
    let (config, _) = draft(
        "[[listener]]\nlisten = [\"127.0.0.1:21\", \"[::1]:21\"]\ntls = \"off\"\n\
         [[listener]]\nimplicit-tls = \"127.0.0.1:990\"\nrequire-reuse = \"required\"\n\
         client-ca = \"ca.pem\"\n\
         [tls]\nclear-commands = true\n",
    )
    .finish()
    .unwrap();
    let doors = config.doors();
    let shown: Vec<_> = doors
        .iter()
        .map(|(door, tls)| (door.address.unwrap().to_string(), door.implicit, requirement(tls)))
        .collect();
    assert_eq!(
        shown,
        [
            ("127.0.0.1:21".to_owned(), false, Requirement::Off),
            ("[::1]:21".to_owned(), false, Requirement::Off),
            ("127.0.0.1:990".to_owned(), true, Requirement::Optional)
        ],
        "and no port 21 of all addresses"
    );
    assert!(doors.iter().all(|(_, tls)| tls.clear_commands), "the section may come behind");
    assert_eq!(doors[2].1.require_reuse, RequireReuse::Required);
    assert_eq!(doors[2].1.client_ca.as_deref(), Some(Path::new("/etc/twoport/ca.pem")));
    assert_eq!(Config::default().doors().len(), 1);
}

#[test]
fn mistakes_in_listeners_are_named() {
    assert_eq!(
        said(
            "[[listener]]\ntls = \"of\"\n[[listener]]\nlisten = \"127.0.0.1:21\"\ntsl = 1\n\
             [[listener]]\nlisten = \"127.0.0.1:21\"\ntls = \"off\"\ndata-tls = \"required\"\n\
             idle-timeout = 5\n[[listener]]\nimplicit-tls = \"127.0.0.1:990\"\ntls = \"off\"\n"
        ),
        "F:5:1: tsl: unknown key in [listener]; did you mean tls?\n\
         F:10:1: idle-timeout: unknown key in [listener]; it belongs in [timeouts]\n\
         F:2:7: tls: \"of\" is not one of the words; write \"auto\", \"off\", \"optional\" or \"required\"\n\
         F:9:12: data-tls: data cannot be under TLS where the control connection cannot; set tls to \
         \"optional\" or \"required\"\n\
         F:12:16: implicit-tls: there is no TLS with tls = \"off\"; set tls to \"optional\" or \"required\"\n\
         F:7:10: listen: 127.0.0.1:21 is there twice; remove one of them"
    );
    assert_eq!(
        said("[[listener]]\nclear-commands = true\n"),
        "F:1:1: listener: it listens nowhere; name an address and a port with listen or implicit-tls"
    );
    assert!(said("listener = 1\n").contains("begin each listener with a line [[listener]]"));
}

#[test]
fn doors_outlive_the_configuration_that_opened_them() {
    let listener = "[[listener]]\nlisten = \"127.0.0.1:21\"\ntls = \"required\"\n";
    let config = |text: &str| draft(text).finish().unwrap().0;
    let former = config(listener);
    let now = config("[server]\nlisten = \"127.0.0.1:2121\"\n").with_doors_of(&former);
    let again = Config::default().with_doors_of(&now);
    for (config, count) in [(&now, 2), (&again, 3)] {
        let doors = config.doors();
        assert_eq!(doors.len(), count);
        let kept = doors.iter().find(|(door, _)| door.address == "127.0.0.1:21".parse().ok());
        assert_eq!(requirement(kept.unwrap().1), Requirement::Required, "as strict as it was");
    }
}

#[test]
fn accounts_are_read_with_every_key() {
    let text = format!(
        "[[account]]\nname = \"ann\"\npassword-hash = \"{HASH}\"\nroot = \"ann\"\n\
         permissions = [\"list\", \"write\"]\nenabled = false\ntls = \"required\"\n\
         data-tls = \"required\"\n\
         [[account]]\nname = \"bob@example.com\"\npassword-hash = \"{HASH}\"\n\
         permissions = \"read-only\"\n"
    );
    let (config, _) = draft(&text).finish().unwrap();
    let [ann, bob] = config.account.as_slice() else { panic!("two accounts") };
    assert_eq!((ann.name.as_str(), ann.root.as_path()), ("ann", Path::new("ann")));
    assert_eq!(permission_words(ann.permissions), ["list", "write"]);
    assert!(!ann.enabled && bob.enabled);
    assert!(ann.tls && ann.data_tls && !bob.tls && !bob.data_tls);
    assert_eq!(permission_words(bob.permissions), ["read-only"]);
    assert_eq!(bob.root, Path::new("."));
}

#[test]
fn mistakes_in_accounts_are_named_and_no_password_is_repeated() {
    let said = said(
        "[[account]]\nname = \"a:b\"\npassword-hash = \"open sesame\"\nroot = \"../up\"\n\
         permissions = [\"list\", \"wite\"]\nenabled = 1\npasswd = \"x\"\ntls = \"yes\"\n[[account]]\nname = \"ann\"\n",
    );
    assert_eq!(
        said,
        "F:2:8: name: \"a:b\" cannot be a name; write 1 to 128 characters, none of them a control \
         character, a colon or a slash, and no blank at the ends\n\
         F:3:17: password-hash: it is not a password hash; make it with `twoport account passwd`\n\
         F:4:8: root: \"../up\" leads up with `..`; write an absolute path to leave the served directory\n\
         F:5:15: permissions: \"wite\" is not a permission; did you mean \"write\"?\n\
         F:6:11: enabled: it is a number; write true or false\n\
         F:7:1: passwd: unknown key in [account]; the keys are name, password-hash, root, permissions, enabled, tls, data-tls, certificate, certificate-name\n\
         F:8:7: tls: \"yes\" is not one of the words; write \"optional\" or \"required\"\n\
         F:9:1: account: it has no password-hash; make the account with `twoport account add`"
    );
}

#[test]
fn doubtful_settings_are_warned_about_with_their_place() {
    let (_, warnings) = draft(
        "[data]\npassive-ports = \"5059-5070\"\npublic-address = \"10.0.0.1\"\n\
         [accounts]\nanonymous = \"write\"\n[limits]\nmax-sessions = 11\n",
    )
    .finish()
    .unwrap();
    let said: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert!(said.iter().all(|line| line.starts_with("/etc/twoport/twoport.toml:")), "{said:?}");
    for part in [
        ":2:17: passive-ports: 10 ports for up to 11 sessions; sessions share them",
        ":2:17: passive-ports: middleboxes take 5060, 5061 for other protocols; these ports are skipped",
        ":3:18: public-address: 10.0.0.1 cannot be reached from the Internet; write the address",
        ":5:13: anonymous: anybody can fill the disk; serve a file system of its own",
    ] {
        assert!(said.iter().any(|line| line.contains(part)), "{part} in {said:#?}");
    }
}

#[test]
fn ports_and_addresses_of_the_outside_are_judged() {
    let warned = |text: &str| -> Vec<String> {
        let (_, warnings) = draft(text).finish().unwrap();
        warnings.iter().map(ToString::to_string).collect()
    };
    let said = warned(
        "[server]\ntrusted-proxies = \"0.0.0.0/0\"\n[data]\npassive-ports = \"61000-61009\"\n\
         public-address = [\"10.0.0.0/8=10.0.0.1\", \"192.168.1.1\"]\n\
         public-ports = \"61000-61008=5055-5063\"\n",
    );
    for part in [
        ":2:19: trusted-proxies: everybody can pretend to be any client",
        "public-address: 192.168.1.1 cannot be reached from the Internet",
        "public-ports: 1 of the passive ports have no number outside",
    ] {
        assert!(said.iter().any(|line| line.contains(part)), "{part} in {said:#?}");
    }
    assert!(!said.iter().any(|line| line.contains("10.0.0.1 ")), "{said:#?}");
    let moved =
        "[data]\npassive-ports = \"61000-61009\"\npublic-ports = \"61000-61009=5055-5064\"\n";
    let said = warned(moved);
    assert!(said.iter().any(|line| line.contains("middleboxes take 5060")), "{said:#?}");
    let pool = "[data]\nopen-firewall = \"pcp\"\n";
    assert!(warned(pool).iter().any(|line| line.contains("32 ports for up to 2000 sessions")));
    let both = "[data]\nopen-firewall = \"nft\"\nforeign-data = \"allow\"\n";
    assert!(draft(both).finish().is_err());
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let mut draft = Draft::new();
    draft.read_file(Path::new("/nonexistent/twoport.toml"));
    let said = draft.finish().unwrap_err().to_string();
    assert!(said.starts_with("/nonexistent/twoport.toml: cannot be read: No such file"), "{said}");
}
