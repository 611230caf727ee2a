//! THE TABLE of flags, one row each, and the parser made from it. The flags of `serve` that set
//! something come from the table of settings, so that file and command line never differ.
//!
//! It makes no system call: a parsed command line is words. (A table of uniform rows: exempt from the
//! length of files.)

use clap::builder::{OsStringValueParser, PossibleValuesParser, StringValueParser};
use clap::{Arg, ArgAction, Command};

use twoport_server::config::settings::{Flag as Shown, SECTIONS, Setting, TABLE};
use twoport_server::config::value::Toml;

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Flag {
    /// The commands that have it.
    pub(crate) of: &'static [&'static str],
    /// Its name, without the dashes.
    pub(crate) long: &'static str,
    /// Its letter, where it has one.
    pub(crate) short: Option<char>,
    /// What follows it.
    pub(crate) takes: Takes,
    /// What it does: a sentence without full stop.
    pub(crate) about: &'static str,
    /// What else there is to know; may be empty.
    pub(crate) details: &'static str,
}

/// What follows a flag.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Takes {
    /// Nothing.
    Nothing,
    /// One of the words.
    Word(&'static [&'static str]),
    /// A text of this name.
    Text(&'static str),
    /// A path of this name, which need not be UTF-8.
    Path(&'static str),
    /// A text of this name, each time the flag is given.
    Texts(&'static str),
}

/// The modes of data connections, as `--mode` has them.
pub(crate) const MODES: &[&str] = &["auto", "epsv", "pasv", "eprt", "port", "punch"];

/// The flags, by command.
pub(crate) static FLAGS: &[Flag] = &[
    Flag {
        of: &["serve"],
        long: "config",
        short: Some('c'),
        takes: Takes::Path("FILE"),
        about: "Read settings and accounts from a TOML file; flags override it",
        details: "See twoport.toml(5). SIGHUP makes the server read the file again; a file with \
                  mistakes is refused, and the settings stay as they were.",
    },
    Flag {
        of: &["serve"],
        long: "user",
        short: Some('u'),
        takes: Takes::Texts("NAME:PASSWORD"),
        about: "Let NAME log in with PASSWORD and do everything below DIR",
        details: "Others on this machine can see the command line, and the password in it: for \
                  anything that lasts, use an account file (see twoport-account(1)).",
    },
    Flag {
        of: &["get", "put", "ls"],
        long: "mode",
        short: Some('m'),
        takes: Takes::Word(MODES),
        about: "How data connections are made: passive (epsv, pasv), active (eprt, port), active through the own NAT (punch), or auto",
        details: "auto tries them all: EPSV, PASV, active mode through a hole that is opened in the own NAT or firewall, plain active mode. It goes on \
                  where one is refused, malformed, silent for a second or three round trips, or makes the connection drop.",
    },
    Flag {
        of: &["get", "put", "ls"],
        long: "external-address",
        short: None,
        takes: Takes::Text("ADDRESS"),
        about: "Announce this address in active mode: the own one as the server sees it",
        details: "For a client behind a NAT that forwards --active-ports to it. Without it the server is asked where it sees the client.",
    },
    Flag {
        of: &["get", "put", "ls"],
        long: "reflector",
        short: None,
        takes: Takes::Text("URL"),
        about: "Ask stun://HOST:PORT, or another twoport at ftp://HOST:PORT, for the address to announce in active mode",
        details: "For a server that does not tell it by STAT. No other is asked than the one named here.",
    },
    Flag {
        of: &["get", "put", "ls"],
        long: "active-ports",
        short: None,
        takes: Takes::Text("LOW-HIGH"),
        about: "The ports to listen on in active mode [default: 49152-65535]",
        details: "",
    },
    Flag {
        of: &["get", "put", "ls"],
        long: "proxy",
        short: None,
        takes: Takes::Text("URL"),
        about: "Make both connections through a proxy: http://, socks5:// or socks5h://, with user:password@ where it wants some",
        details: "http:// means HTTP CONNECT. socks5:// looks names up here, socks5h:// and http:// let the proxy do it. There is no active mode \
                  through a proxy. Without the flag the environment variables ftp_proxy and all_proxy are used, unless no_proxy names the host.",
    },
    Flag {
        of: &["get", "put", "ls"],
        long: "ccc",
        short: None,
        takes: Takes::Nothing,
        about: "Go on in clear after a login under TLS (CCC), so that FTP helpers in the network can read the commands",
        details: "Everybody else on the way can read them, too: the names of files and directories, not their content, and not user and password. \
                  Many NATs and firewalls open the way for data connections only if they can read the commands.",
    },
    Flag {
        of: &["network"],
        long: "forget",
        short: None,
        takes: Takes::Nothing,
        about: "Forget all of it",
        details: "",
    },
    Flag {
        of: &["get", "put", "ls"],
        long: "punch-ttl",
        short: None,
        takes: Takes::Text("HOPS"),
        about: "How many hops the packets go that open the own NAT for --mode punch [default: as far as the farthest of the first six routers that answers]",
        details: "They must pass the client's NAT and end before the server.",
    },
    Flag {
        of: &["get", "put", "ls"],
        long: "tls",
        short: None,
        takes: Takes::Word(&["auto", "required", "off"]),
        about: "Whether ftp:// URLs are used under TLS [default: auto]",
        details: "auto asks for TLS and uses the server in clear if it refuses; required uses it under TLS only; off does not ask. With auto, too, a certificate that is not believed is an error: who offers TLS and cannot prove its name may be somebody else, and would get the password. ftps:// and ftpes:// are always under TLS.",
    },
    Flag {
        of: &["get", "put", "ls"],
        long: "ca",
        short: None,
        takes: Takes::Path("FILE"),
        about: "Believe certificates signed by an authority in FILE, and no others",
        details: "FILE is in PEM form and may hold several. Without it the authorities of the system are believed.",
    },
    Flag {
        of: &["get", "put", "ls"],
        long: "pin",
        short: None,
        takes: Takes::Text("SHA256"),
        about: "Believe the one certificate with this fingerprint, whoever signed it",
        details: "64 hexadecimal digits, with or without colons, as `openssl x509 -noout -fingerprint -sha256` shows them. The name in the certificate is not looked at.",
    },
    Flag {
        of: &["get", "put", "ls"],
        long: "trust-on-first-use",
        short: None,
        takes: Takes::Nothing,
        about: "Believe the first certificate that a server shows, and then no other",
        details: "It is for self-signed certificates: whoever is between at the first time is believed as well, later nobody else is. What was seen is kept in twoport/known-hosts in the user's state directory ($XDG_STATE_HOME, else ~/.local/state): a line with host and port, the SHA-256 and the day. Where a certificate has changed rightly, remove its line.",
    },
    Flag {
        of: &["get", "put", "ls"],
        long: "no-verify",
        short: None,
        takes: Takes::Nothing,
        about: "Believe every certificate: against eavesdroppers only",
        details: "Whoever is between can read and change everything. --pin is safe and as easy.",
    },
    Flag {
        of: &["get", "put", "ls"],
        long: "certificate",
        short: None,
        takes: Takes::Path("FILE"),
        about: "Show the server this certificate, in PEM form, with --key",
        details: "For servers that ask for a client certificate. Those above it may follow in FILE.",
    },
    Flag {
        of: &["get", "put", "ls"],
        long: "key",
        short: None,
        takes: Takes::Path("FILE"),
        about: "The key of --certificate, in PEM form",
        details: "",
    },
    Flag {
        of: &["get", "put", "ls"],
        long: "tls-version",
        short: None,
        takes: Takes::Word(&["1.2", "1.3"]),
        about: "Speak this version of TLS only [default: both]",
        details: "",
    },
    Flag {
        of: &["get", "put"],
        long: "resume",
        short: Some('c'),
        takes: Takes::Nothing,
        about: "Go on where an earlier transfer of the same file ended",
        details: "",
    },
    Flag {
        of: &["get", "put"],
        long: "recursive",
        short: Some('r'),
        takes: Takes::Nothing,
        about: "Transfer directories with all that is in them",
        details: "",
    },
    Flag {
        of: &["ls"],
        long: "long",
        short: Some('l'),
        takes: Takes::Nothing,
        about: "Show type, permissions, size and date of each entry",
        details: "",
    },
    Flag {
        of: &["get", "put", "ls"],
        long: "timeout",
        short: Some('t'),
        takes: Takes::Text("SECONDS"),
        about: "Give up when nothing comes for so long [default: 10 to 60, by what is waited for]",
        details: "Seconds, or a number with a unit such as 5m. It is the time for a connection, for each reply and \
                  for a transfer in which no byte moves, not for a transfer as a whole.",
    },
    Flag {
        of: &["gateway"],
        long: "config",
        short: Some('c'),
        takes: Takes::Path("FILE"),
        about: "Read seats from a TOML file; flags override it",
        details: "Each [[seat]] has the names of these flags as keys; what stands above the first holds for all. `twoport check FILE` finds every mistake.",
    },
    Flag {
        of: &["gateway"],
        long: "replace",
        short: None,
        takes: Takes::Nothing,
        about: "Take the place of the gateway that runs in this network, which keeps its sessions until they end",
        details: "It may be another version, with another configuration. What it listens at is handed over, so that nobody is refused in between, and its rules end with its last session. Where this one cannot begin the other goes on; where none runs this one just begins. Its own user and root may do it. SIGUSR2 has the running one start its successor itself.",
    },
    Flag {
        of: &["gateway"],
        long: "seat",
        short: None,
        takes: Takes::Word(&["client", "server", "reverse", "forward"]),
        about: "Where it stands [default: reverse]",
        details: "client is on the router of the clients' network, server on that of the servers: control connections that pass are taken by nftables rules of its own, clients and servers know nothing of it, and data in clear go through the kernel. Both need root. reverse is in front of servers, under an address of its own, without privileges; forward is where only it may go out: clients log in as USER name@host.",
    },
    Flag {
        of: &["gateway"],
        long: "lan",
        short: None,
        takes: Takes::Text("IF"),
        about: "The interface of the clients' network, with --seat client [default: any]",
        details: "",
    },
    Flag {
        of: &["gateway"],
        long: "wan",
        short: None,
        takes: Takes::Text("IF"),
        about: "The interface by which clients come, with --seat server [default: any]",
        details: "",
    },
    Flag {
        of: &["gateway"],
        long: "print-rules",
        short: None,
        takes: Takes::Nothing,
        about: "Write the rules that would be put in place, and touch nothing",
        details: "",
    },
    Flag {
        of: &["gateway"],
        long: "server",
        short: None,
        takes: Takes::Texts("HOST:PORT[,...]"),
        about: "A server behind it; more than one share the clients",
        details: "The next one takes the place of one that cannot be reached. Without a port it is 21. Behind it and a comma: group=NAME, for --route; proxy=v1 or proxy=v2, a PROXY header on control and data connections; proxy=v1-control or proxy=v2-control, on the control connection only; drain, no new sessions.",
    },
    Flag {
        of: &["gateway"],
        long: "route",
        short: None,
        takes: Takes::Texts("BY:PATTERN=GROUP"),
        about: "Who gives a name that fits gets a server of GROUP: host:, sni: or user:, such as user:*@blue.example=blue",
        details: "The first that fits counts; for whom none fits are the servers without a group. The gateway then greets clients itself, and connects once it has the name: of HOST (RFC 7151), of the TLS handshake, which may pass unread, or of USER.",
    },
    Flag {
        of: &["gateway"],
        long: "balance",
        short: None,
        takes: Takes::Word(&["address", "sessions"]),
        about: "Which server of a group a client gets [default: address]",
        details: "address: the one that its address falls upon, so that it finds the same one again; sessions: the one that has the fewest.",
    },
    Flag {
        of: &["gateway"],
        long: "health-interval",
        short: None,
        takes: Takes::Text("SECONDS|off"),
        about: "How often each server is looked at: it must greet with 220 [default: 10 if there is more than one]",
        details: "Sessions count, too: one that cannot connect is a failure.",
    },
    Flag {
        of: &["gateway"],
        long: "health-fall",
        short: None,
        takes: Takes::Text("N"),
        about: "How many failures in a row take a server out [default: 3]",
        details: "",
    },
    Flag {
        of: &["gateway"],
        long: "health-rise",
        short: None,
        takes: Takes::Text("N"),
        about: "How many successes in a row take it in again [default: 2]",
        details: "",
    },
    Flag {
        of: &["gateway"],
        long: "drain",
        short: None,
        takes: Takes::Nothing,
        about: "Take no new sessions: they hear 421, and those there are go on",
        details: "For a file that is read again at SIGHUP.",
    },
    Flag {
        of: &["gateway"],
        long: "trusted-proxies",
        short: None,
        takes: Takes::Texts("CIDR"),
        about: "Believe, and demand, PROXY headers of these load balancers, on control and data connections",
        details: "As often as needed.",
    },
    Flag {
        of: &["gateway"],
        long: "allow",
        short: None,
        takes: Takes::Texts("HOSTS[:PORTS]"),
        about: "With --seat forward: clients may go to these networks or names only [default: ports 21 and 990, anywhere but on this host and its links]",
        details: "As often as needed: 10.0.0.0/8, *.example.com, *:21-2121, [2001:db8::/32]:21. Without ports they are 21 and 990. A name leads to no address of this host; a network that has it does.",
    },
    Flag {
        of: &["gateway"],
        long: "socks-listen",
        short: None,
        takes: Takes::Texts("ADDRESS:PORT"),
        about: "With --seat forward: where clients ask for servers by SOCKS5",
        details: "Only for FTP: control connections to servers that are allowed, and the data connections that those announce.",
    },
    Flag {
        of: &["gateway"],
        long: "http-listen",
        short: None,
        takes: Takes::Texts("ADDRESS:PORT"),
        about: "With --seat forward: where clients ask for servers by HTTP CONNECT",
        details: "As --socks-listen.",
    },
    Flag {
        of: &["gateway"],
        long: "account-file",
        short: None,
        takes: Takes::Path("FILE"),
        about: "With --seat forward: clients must log in to the gateway first, with an account of FILE",
        details: "`twoport account` keeps it.",
    },
    Flag {
        of: &["gateway"],
        long: "listen",
        short: None,
        takes: Takes::Texts("ADDRESS:PORT"),
        about: "Where clients connect to [default: port 21 of all addresses]",
        details: "",
    },
    Flag {
        of: &["gateway"],
        long: "port",
        short: Some('p'),
        takes: Takes::Texts("N"),
        about: "The control port: of all addresses, or that clients dial through the router [default: 21]",
        details: "With --certificate the default is 21 and 990. At port 990 TLS begins with the first byte.",
    },
    Flag {
        of: &["gateway"],
        long: "data-ports",
        short: None,
        takes: Takes::Text("LO-HI"),
        about: "Ports for data connections; open them in the firewall, too [default: 61000-65535]",
        details: "",
    },
    Flag {
        of: &["gateway"],
        long: "tls",
        short: None,
        takes: Takes::Word(&["pass", "terminate"]),
        about: "What happens at AUTH TLS [default: terminate with --certificate, else pass]",
        details: "pass lets it through, and from then on nothing can be read: data connections work only where server and network need no help. terminate ends TLS here and begins it again towards the server.",
    },
    Flag {
        of: &["gateway"],
        long: "certificate",
        short: None,
        takes: Takes::Path("FILE"),
        about: "The certificate that clients see, in PEM form, with --key",
        details: "Those above it may follow in FILE.",
    },
    Flag {
        of: &["gateway"],
        long: "key",
        short: None,
        takes: Takes::Path("FILE"),
        about: "The key of --certificate, in PEM form",
        details: "",
    },
    Flag {
        of: &["gateway"],
        long: "upstream-tls",
        short: None,
        takes: Takes::Word(&["offered", "required", "always", "off"]),
        about: "Whether the server is spoken to under TLS, where it ends here [default: offered]",
        details: "offered: when the client asks for TLS and the server has it; required: when the client asks, and never without; always: also for clients that ask for none, before they are greeted; off: the server has none.",
    },
    Flag {
        of: &["gateway"],
        long: "upstream-ca",
        short: None,
        takes: Takes::Path("FILE"),
        about: "Believe server certificates signed by an authority in FILE, and no others",
        details: "Without it the authorities of the system are believed.",
    },
    Flag {
        of: &["gateway status"],
        long: "json",
        short: None,
        takes: Takes::Nothing,
        about: "Write one JSON object",
        details: "",
    },
    Flag {
        of: &["gateway status"],
        long: "metrics",
        short: None,
        takes: Takes::Nothing,
        about: "Write the text format of Prometheus, for a collector that reads files",
        details: "",
    },
    Flag {
        of: &["gateway"],
        long: "nat64",
        short: None,
        takes: Takes::Text("PREFIX"),
        about: "With --seat client: servers of IPv4 are behind this prefix of 96 bits, such as 64:ff9b::/96",
        details: "Clients of IPv6 then reach them without the translator (RFC 6384): EPSV becomes PASV, EPRT becomes PORT.",
    },
    Flag {
        of: &["gateway"],
        long: "max-sessions",
        short: None,
        takes: Takes::Text("N"),
        about: "Sessions at a time [default: 10000]",
        details: "",
    },
    Flag {
        of: &["gateway"],
        long: "max-sessions-per-ip",
        short: None,
        takes: Takes::Text("N"),
        about: "Sessions at a time from one address [default: 7500]",
        details: "",
    },
    Flag {
        of: &["gateway"],
        long: "upstream-name",
        short: None,
        takes: Takes::Text("NAME"),
        about: "The name that certificates of servers must have [default: as in --server, or as dialled]",
        details: "",
    },
    Flag {
        of: &["gateway"],
        long: "upstream-no-verify",
        short: None,
        takes: Takes::Nothing,
        about: "Believe every certificate of a server: against eavesdroppers only",
        details: "",
    },
    Flag {
        of: &["gateway"],
        long: "read-only",
        short: None,
        takes: Takes::Nothing,
        about: "Let through what lists and reads, and nothing that changes files",
        details: "",
    },
    Flag {
        of: &["gateway"],
        long: "allow-clients",
        short: None,
        takes: Takes::Texts("NETWORK[@NETWORK]"),
        about: "Only these clients may come, or may go to these servers [default: all]",
        details: "The second network is of servers, by the address that the client dials. All others hear 421.",
    },
    Flag {
        of: &["gateway"],
        long: "deny-clients",
        short: None,
        takes: Takes::Texts("NETWORK[@NETWORK]"),
        about: "These clients may not come, or may not go to these servers",
        details: "It is stronger than --allow-clients.",
    },
    Flag {
        of: &["gateway"],
        long: "client-tls",
        short: None,
        takes: Takes::Word(&["optional", "required"]),
        about: "Whether clients must use TLS [default: optional]",
        details: "required: USER in clear is refused and, where TLS ends here, transfers in clear are, too.",
    },
    Flag {
        of: &["gateway"],
        long: "deny-verb",
        short: None,
        takes: Takes::Texts("VERB"),
        about: "Let this verb not pass, such as DELE or \"SITE CHMOD\"",
        details: "It is answered 502. As with every rule about what may be done, words that are no known verbs do not pass either.",
    },
    Flag {
        of: &["gateway"],
        long: "deny-name",
        short: None,
        takes: Takes::Texts("PATTERN"),
        about: "Let no path pass that has a part like this, such as *.exe",
        details: "In any case of letters. It holds for all verbs that name files.",
    },
    Flag {
        of: &["gateway"],
        long: "allow-name",
        short: None,
        takes: Takes::Texts("PATTERN"),
        about: "Let only names like this be uploaded and downloaded",
        details: "",
    },
    Flag {
        of: &["gateway"],
        long: "scan-command",
        short: None,
        takes: Takes::Path("PROGRAM"),
        about: "Scan uploads with this program before the server hears of them",
        details: "It reads the upload at its standard input. Exit status 0: nothing found; 1: something, and the first line on standard output is its name; any other: no answer. TWOPORT_NAME, TWOPORT_USER, TWOPORT_VERB, TWOPORT_CLIENT, TWOPORT_SERVER and TWOPORT_SIZE are in its environment, with control bytes as \\xNN. No shell is involved.",
    },
    Flag {
        of: &["gateway"],
        long: "scan-arg",
        short: None,
        takes: Takes::Texts("ARGUMENT"),
        about: "An argument for --scan-command, each time it is given",
        details: "One that begins with a dash is written --scan-arg=--fdpass.",
    },
    Flag {
        of: &["gateway"],
        long: "scan-icap",
        short: None,
        takes: Takes::Texts("icap://HOST[:PORT]/SERVICE"),
        about: "Scan uploads by this ICAP service before the server hears of them",
        details: "It is asked by REQMOD, or by RESPMOD if that is all that it knows, with the preview that it wants. With several scanners all must find nothing.",
    },
    Flag {
        of: &["gateway"],
        long: "scan-failure",
        short: None,
        takes: Takes::Word(&["refuse", "pass"]),
        about: "What becomes of an upload that could not be scanned [default: refuse]",
        details: "It is for scanners that cannot be reached, fail or take too long. What is not whole, or bigger than --scan-max-size, never passes.",
    },
    Flag {
        of: &["gateway"],
        long: "scan-parts",
        short: None,
        takes: Takes::Word(&["refuse", "pass"]),
        about: "What becomes of APPE, REST before STOR, and COMB [default: refuse]",
        details: "They put a file together of parts. pass has each part scanned by itself, so that nobody sees the whole.",
    },
    Flag {
        of: &["gateway"],
        long: "scan-max-size",
        short: None,
        takes: Takes::Text("SIZE"),
        about: "The biggest upload that is scanned; others are refused [default: 2g]",
        details: "",
    },
    Flag {
        of: &["gateway"],
        long: "scan-timeout",
        short: None,
        takes: Takes::Text("SECONDS"),
        about: "How long a scan may take [default: 120]",
        details: "The time in which a scan waits for its turn does not count.",
    },
    Flag {
        of: &["gateway"],
        long: "scan-jobs",
        short: None,
        takes: Takes::Text("NUMBER"),
        about: "How many uploads are scanned at a time; others wait [default: 10]",
        details: "",
    },
    Flag {
        of: &["gateway"],
        long: "scan-spool",
        short: None,
        takes: Takes::Path("DIR"),
        about: "Where uploads are kept while they are scanned [default: /var/tmp]",
        details: "In files without names, which are gone with the gateway.",
    },
    Flag {
        of: &["gateway"],
        long: "rate-limit",
        short: None,
        takes: Takes::Text("SIZE"),
        about: "Bytes a second for each transfer, such as 500k [default: none]",
        details: "Data are then relayed and do not go through the kernel.",
    },
    Flag {
        of: &["gateway"],
        long: "client-rate-limit",
        short: None,
        takes: Takes::Text("SIZE"),
        about: "Bytes a second for all transfers of one client together, such as 2m [default: none]",
        details: "Whatever their sessions and directions; each of them gets its turn. A client is an address of IPv4, or a network of 64 bits of IPv6. Data are then relayed.",
    },
    Flag {
        of: &["gateway"],
        long: "pcp",
        short: None,
        takes: Takes::Text("IF"),
        about: "On a router: let hosts on this interface ask for ports, by PCP and NAT-PMP",
        details: "A client or a server there opens its own way for data connections, under TLS from end to end.",
    },
    Flag {
        of: &["gateway"],
        long: "metrics",
        short: None,
        takes: Takes::Text("[ADDRESS:]PORT"),
        about: "Show metrics for Prometheus at http://ADDRESS:PORT/metrics; a port alone is for this host",
        details: "Everybody who reaches the address may read them.",
    },
    Flag {
        of: &["gateway"],
        long: "upstream-mode",
        short: None,
        takes: Takes::Word(&["same", "auto", "passive", "active"]),
        about: "Who connects to whom on the server's side [default: same]",
        details: "passive: the server listens, whatever the client asked; active: the server connects. same is as the client asks, and so is auto, but where nobody gets to the port at which the server listens: there it connects, and where it refuses PORT it listens.",
    },
    Flag {
        of: &["gateway"],
        long: "log-format",
        short: None,
        takes: Takes::Word(&["human", "json"]),
        about: "What the lines of the log look like [default: human]",
        details: "",
    },
    Flag {
        of: &["account add", "account passwd", "account list", "account remove"],
        long: "file",
        short: Some('f'),
        takes: Takes::Path("FILE"),
        about: "The account file",
        details: "It is made if it is not there, for its owner only (mode 600), and replaced in one \
                  step. `account-file` in the configuration, or --account-file, names it to the server.",
    },
    Flag {
        of: &["account add"],
        long: "root",
        short: None,
        takes: Takes::Text("DIR"),
        about: "What the account sees as /: a directory below the served one, or an absolute path [default: .]",
        details: "",
    },
    Flag {
        of: &["account add"],
        long: "permissions",
        short: None,
        takes: Takes::Text("WORDS"),
        about: "What the account may do, with commas between: all, read-only, or list, read, write, overwrite, delete, rename, make-directory, attributes [default: all]",
        details: "",
    },
    Flag {
        of: &["account add"],
        long: "tls",
        short: None,
        takes: Takes::Word(&["optional", "required"]),
        about: "Whether the account may log in under TLS only [default: optional]",
        details: "optional is what the server asks of everybody.",
    },
    Flag {
        of: &["account add"],
        long: "data-tls",
        short: None,
        takes: Takes::Word(&["optional", "required"]),
        about: "Whether its data connections must be under TLS [default: optional]",
        details: "",
    },
    Flag {
        of: &["account add"],
        long: "certificate",
        short: None,
        takes: Takes::Texts("SHA256"),
        about: "Let the client certificate with this fingerprint log in without password",
        details: "As often as needed. The server must have client-certificates = \"login\". Whoever signed it: its holder's key is what counts.",
    },
    Flag {
        of: &["account add"],
        long: "certificate-name",
        short: None,
        takes: Takes::Texts("NAME"),
        about: "The same for certificates with this name: cn:NAME, email:ADDRESS or dns:HOST",
        details: "As often as needed. Only certificates that an authority of client-ca signed count.",
    },
    Flag {
        of: &["account add", "account passwd"],
        long: "generate",
        short: None,
        takes: Takes::Nothing,
        about: "Make a random password and print it, instead of asking for one",
        details: "",
    },
    Flag {
        of: &["lab run"],
        long: "server",
        short: None,
        takes: Takes::Text("NAME"),
        about: "The server: twoport, vsftpd, pure-ftpd or pyftpdlib [default: twoport]",
        details: "Servers of others are looked for below $TWOPORT_PEERS, where tests/peers/install unpacks them, then on the system.",
    },
    Flag {
        of: &["lab run"],
        long: "client",
        short: None,
        takes: Takes::Text("NAME"),
        about: "The client: twoport, ftplib, curl or lftp [default: twoport]",
        details: "ftplib is Python's, taught all four modes; it dials what the server announces, as clients did before they learned better.",
    },
    Flag {
        of: &["lab run"],
        long: "mode",
        short: Some('m'),
        takes: Takes::Texts("MODE"),
        about: "Only this mode; may be repeated [default: all]",
        details: "",
    },
    Flag {
        of: &["lab run"],
        long: "protection",
        short: None,
        takes: Takes::Texts("plain|explicit|implicit"),
        about: "Only under this protection; may be repeated [default: all three]",
        details: "",
    },
    Flag {
        of: &["lab run"],
        long: "operation",
        short: None,
        takes: Takes::Texts("list|retr|stor"),
        about: "Only this operation; may be repeated [default: all three]",
        details: "",
    },
    Flag {
        of: &["lab run"],
        long: "family",
        short: None,
        takes: Takes::Word(&["4", "6", "both"]),
        about: "The addresses that the client dials by [default: 4; 6 where a network has no 4]",
        details: "",
    },
    Flag {
        of: &["lab run"],
        long: "gateway",
        short: None,
        takes: Takes::Word(&["client", "server", "both"]),
        about: "Put twoport gateway into the boxes of a side, or of both",
        details: "It ends TLS with the certificate of the server.",
    },
    Flag {
        of: &["lab run"],
        long: "gateway-passes",
        short: None,
        takes: Takes::Nothing,
        about: "Let TLS pass in it",
        details: "",
    },
    Flag {
        of: &["lab run"],
        long: "gateway-auto",
        short: None,
        takes: Takes::Nothing,
        about: "Let it ask a server to connect that nobody gets to (--upstream-mode auto)",
        details: "",
    },
    Flag {
        of: &["lab run"],
        long: "jobs",
        short: Some('j'),
        takes: Takes::Text("NUMBER"),
        about: "Networks at a time [default: two for each core]",
        details: "Cells that fail wait most of the time, so that more than one for each core pays.",
    },
    Flag {
        of: &["lab run"],
        long: "patience",
        short: None,
        takes: Takes::Text("SECONDS"),
        about: "How long clients of others wait for a reply or a connection [default: 8]",
        details: "A cell that takes four times as long is ended. twoport has its own limits.",
    },
    Flag {
        of: &["lab run"],
        long: "html",
        short: None,
        takes: Takes::Path("FILE"),
        about: "Write the matrix as a page, with a drawing of each network",
        details: "",
    },
    Flag {
        of: &["lab show"],
        long: "rules",
        short: None,
        takes: Takes::Nothing,
        about: "Show the rules of the boxes, too, as nftables takes them",
        details: "",
    },
    Flag {
        of: &["get", "put", "ls", "check", "account list", "lab list", "lab run", "network"],
        long: "json",
        short: None,
        takes: Takes::Nothing,
        about: "Print the result as JSON, one object per line, on standard output",
        details: "",
    },
];

/// Adds the flags of a command to it.
pub(crate) fn with_flags(command: Command, name: &str) -> Command {
    FLAGS.iter().filter(|flag| flag.of.contains(&name)).fold(command, |command, flag| {
        let arg = takes(Arg::new(flag.long).long(flag.long).help(flag.about), flag.takes);
        let arg = if let Some(short) = flag.short { arg.short(short) } else { arg };
        let required = flag.long == "file";
        let long = if flag.details.is_empty() {
            format!("{}.", flag.about)
        } else {
            format!("{}.\n\n{}", flag.about, flag.details)
        };
        command.arg(arg.long_help(long).required(required))
    })
}

fn takes(arg: Arg, takes: Takes) -> Arg {
    match takes {
        Takes::Nothing => arg.action(ArgAction::SetTrue),
        Takes::Word(words) => {
            arg.value_name(words.join("|")).value_parser(PossibleValuesParser::new(words))
        }
        Takes::Text(name) => arg.value_name(name).value_parser(StringValueParser::new()),
        Takes::Texts(name) => {
            arg.value_name(name).value_parser(StringValueParser::new()).action(ArgAction::Append)
        }
        Takes::Path(name) => arg
            .value_name(name)
            .value_parser(OsStringValueParser::new())
            .value_hint(clap::ValueHint::FilePath),
    }
}

/// Adds a flag for every setting of the server, under the title of its section.
pub(crate) fn with_settings(command: Command) -> Command {
    TABLE.iter().filter(|setting| setting.flag != Shown::Argument).fold(
        command,
        |command, setting| {
            let title = SECTIONS.iter().find(|section| section.name == setting.section);
            let arg = setting_arg(setting).hide_short_help(setting.flag == Shown::Rare);
            command.arg(match title {
                Some(section) => arg.help_heading(section.title),
                None => arg,
            })
        },
    )
}

fn setting_arg(setting: &'static Setting) -> Arg {
    let arg = Arg::new(setting.key)
        .long(setting.key)
        .value_name(setting.form.placeholder)
        .help(format!("{} [default: {}]", setting.about, setting.default))
        .long_help(format!(
            "{}. Write {}.\n\nDefault {}: {}. In the file it is {} in [{}].",
            setting.about,
            setting.form.describe,
            setting.default,
            setting.origin,
            setting.key,
            setting.section
        ));
    let arg = match setting.form.words {
        [] => arg.value_parser(move |text: &str| setting.check(text).map(|()| text.to_owned())),
        words => arg.value_parser(PossibleValuesParser::new(words)),
    };
    match (setting.key, setting.form.toml) {
        (_, Toml::TextOrList) => arg.action(ArgAction::Append),
        ("anonymous", _) => optional(arg, "read"),
        (_, Toml::Boolean) => optional(arg, "true"),
        _ => arg,
    }
}

/// A flag that means `word` when it stands alone, and takes another only behind `=`.
fn optional(arg: Arg, word: &'static str) -> Arg {
    arg.num_args(0..=1).require_equals(true).default_missing_value(word)
}
