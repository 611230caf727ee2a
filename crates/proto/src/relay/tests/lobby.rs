use super::*;
use crate::command::Password;
use alloc::vec;

/// A client before a gateway that has routes, or is a forward proxy.
pub(super) struct Hall {
    pub(super) lobby: Lobby,
    seen: Vec<String>,
    pub(super) feed: usize,
    sni: Option<&'static [u8]>,
}

impl Hall {
    pub(super) fn new(desk: Desk, policy: Policy) -> Self {
        let mut hall = Self::opened(Lobby::new(desk, policy, Opening::Clear));
        assert!(hall.take().starts_with("C 220 "));
        hall
    }

    pub(super) fn opened(lobby: Lobby) -> Self {
        let mut hall = Self { lobby, seen: Vec::new(), feed: 1, sni: None };
        hall.drain();
        hall
    }

    pub(super) fn says(&mut self, text: &str) -> String {
        self.sends(text.as_bytes())
    }

    pub(super) fn sends(&mut self, bytes: &[u8]) -> String {
        for chunk in bytes.chunks(self.feed) {
            self.lobby.handle(Heard::Bytes(chunk));
            self.drain();
        }
        self.take()
    }

    fn drain(&mut self) {
        while let Some(task) = self.lobby.poll() {
            self.seen.push(match &task {
                Task::Write(bytes) => format!("C {}", shown(bytes).trim_end_matches('~')),
                Task::Note(note) => note.to_string(),
                task => format!("{task:?}"),
            });
            match task {
                Task::Secure => self.lobby.handle(Heard::Secured(Ok(self.sni))),
                Task::Check(user, password) => {
                    let is_right = user == b"gate" && password == Password(b"word".to_vec());
                    self.lobby.handle(Heard::Checked(is_right));
                }
                _ => {}
            }
        }
    }

    pub(super) fn take(&mut self) -> String {
        core::mem::take(&mut self.seen).join("\n")
    }

    /// What comes after the lobby.
    pub(super) fn relay(self, policy: Policy) -> Rig {
        let ends = Ends { client: CLIENT.parse().unwrap(), server: SERVER.parse().unwrap() };
        let mut rig = Rig::new(Policy::default());
        rig.relay = Relay::introduced(ends, self.lobby.introduce(), false, policy);
        rig
    }

    /// What its server hears once it has greeted, and what the client does.
    fn meet(self, policy: Policy, server_speaks: &[&str]) -> String {
        let mut rig = self.relay(policy);
        for said in server_speaks {
            rig.server(said);
        }
        rig.take()
    }
}

fn routes() -> Desk {
    let row = |by, pattern: &[u8]| Route::new(by, pattern, "blue".into());
    let rows = vec![
        row(By::User, b"*@blue.example"),
        row(By::Host, b"ftp.blue.example"),
        row(By::Sni, b"ftp.blue.example"),
    ];
    Desk::Routes(Routes { rows, otherwise: None })
}

const BLUE: &str = "Choose(Group(\"blue\"))";

#[test]
fn a_user_name_chooses_and_is_said_again_with_what_followed() {
    let mut hall = Hall::new(routes(), Policy::default());
    let refused = hall.says("USER ann\r\n");
    assert_eq!(refused, "refuse USER reason=route-unknown\nC 530 No server is behind this name.");
    assert!(hall.says("FEAT\r\n").contains("C 530"));
    assert!(hall.says("NOOP\r\n").contains("C 200"));
    hall.feed = 99;
    assert_eq!(hall.says("USER ann@blue.example\r\nPASS x\r\nPWD\r\n"), BLUE);
    let heard = hall
        .meet(Policy::default(), &["220-Blue\r\n220 ready\r\n", "331 password\r\n", "230 in\r\n"]);
    let expected = "Protect(Legs { client: false, server: false })\nS USER ann@blue.example\n\
                    S PASS x\nS PWD\nC 331 password\nC 230 in";
    assert_eq!(heard, expected);
}

#[test]
fn host_chooses_and_is_answered_once() {
    let mut hall = Hall::new(routes(), Policy::default());
    assert!(hall.says("HOST ftp.red.example\r\n").contains("C 504"));
    assert!(hall.says("HOST FTP.blue.example\r\n").contains("C 220"));
    assert_eq!(hall.says("USER ann\r\n"), BLUE);
    let heard =
        hall.meet(Policy::default(), &["220 ready\r\n", "500 what?\r\n", "331 password\r\n"]);
    assert!(heard.ends_with("S HOST FTP.blue.example\nS USER ann\nC 331 password"), "{heard}");
}

#[test]
fn a_name_in_the_handshake_chooses_and_tls_begins_again_towards_the_server() {
    let policy = Policy { auth: Auth::Terminate, ..Policy::default() };
    let mut hall = Hall::new(routes(), policy.clone());
    hall.sni = Some(b"ftp.blue.example");
    assert_eq!(hall.says("AUTH TLS\r\n"), "C 234 Begin TLS.\nSecure\nsecure client");
    assert!(hall.says("PBSZ 0\r\nPROT P\r\n").ends_with("C 200 Protection set."));
    assert_eq!(hall.says("USER ann\r\n"), BLUE);
    let speaks = ["220 ready\r\n", "234 go\r\n", "200 ok\r\n", "200 ok\r\n", "331 password\r\n"];
    let heard = hall.meet(policy, &speaks);
    let expected = "Protect(Legs { client: true, server: false })\nS AUTH TLS\nSecure(Server)\n\
                    secure server\nS PBSZ 0\nS PROT P\n\
                    Protect(Legs { client: true, server: true })\nS USER ann\nC 331 password";
    assert_eq!(heard, expected);
}

#[test]
fn a_server_without_tls_is_for_those_who_may_do_without() {
    for (upstream, word) in [(Upstream::Offered, "S USER"), (Upstream::Required, "C 421")] {
        let policy = Policy { auth: Auth::Terminate, upstream, ..Policy::default() };
        let mut hall = Hall::new(routes(), policy.clone());
        hall.says("AUTH TLS\r\n");
        hall.says("USER x@blue.example\r\n");
        let heard = hall.meet(policy, &["220 ready\r\n", "502 no\r\n"]);
        assert!(heard.contains(word), "{heard}");
    }
}

#[test]
fn a_server_that_does_not_greet_has_the_last_word() {
    let mut hall = Hall::new(routes(), Policy::default());
    hall.says("USER x@blue.example\r\n");
    let heard = hall.meet(Policy::default(), &["120 soon\r\n", "421 full\r\n"]);
    assert!(heard.ends_with("C 421 full\nEnd"), "{heard}");
    assert!(!heard.contains("S USER"), "{heard}");
}

#[test]
fn the_server_stands_behind_the_name_or_is_opened_before() {
    let forward = |needs_login| Hall::new(Desk::Forward { needs_login }, Policy::default());
    let server = |host: &str, port: u16| {
        format!("{:?}", Task::Choose(Wish::Server { host: host.into(), port }))
    };
    let mut hall = forward(false);
    assert!(hall.says("USER ann\r\n").contains("reason=destination-missing"));
    assert!(hall.says("USER ann@a/b\r\n").contains("reason=destination-missing"));
    assert_eq!(hall.says("USER a@b@ftp.example:2121\r\n"), server("ftp.example", 2121));
    let heard = hall.meet(Policy::default(), &["220 ready\r\n", "331 password\r\n"]);
    assert!(heard.ends_with("S USER a@b\nC 331 password"), "{heard}");

    for open in ["OPEN ftp.example\r\n", "site ftp.example\r\n"] {
        let mut hall = forward(false);
        assert_eq!(hall.says(open), server("ftp.example", 21));
        let heard = hall.meet(Policy::default(), &["220 ready\r\n"]);
        assert!(heard.ends_with("C 220 ready"), "{heard}");
    }

    let mut hall = forward(true);
    assert!(hall.says("USER ann@ftp.example\r\n").contains("C 530"));
    assert!(hall.says("OPEN ftp.example\r\n").contains("C 530"));
    assert!(hall.says("PASS x\r\n").contains("C 503"));
    hall.says("USER gate\r\n");
    assert!(hall.says("PASS wrong\r\n").contains("C 530"));
    hall.says("USER gate\r\n");
    assert!(hall.says("PASS word\r\n").contains("C 230"));
    assert_eq!(hall.says("USER ann@ftp.example\r\n"), server("ftp.example", 21));
}

#[test]
fn guesses_web_pages_and_nonsense_end_it() {
    let mut hall = Hall::new(Desk::Forward { needs_login: true }, Policy::default());
    let said = hall.says(&"USER gate\r\nPASS wrong\r\n".repeat(4));
    assert!(
        said.ends_with("C 421 Too many failed logins.\nEnd") || said.ends_with("End"),
        "{said}"
    );
    assert_eq!(said.matches("C 530").count(), 3, "{said}");
    for nonsense in ["GET / HTTP/1.1\r\n".to_string(), "XYZZY\r\n".repeat(11)] {
        let mut hall = Hall::new(routes(), Policy::default());
        assert!(hall.says(&nonsense).ends_with("End"), "{nonsense}");
        assert_eq!(hall.says("USER x@blue.example\r\n"), "", "nothing is heard any more");
    }
    let policy = Policy { auth: Auth::Terminate, ..Policy::default() };
    let mut hall = Hall::new(routes(), policy);
    hall.feed = 99;
    assert!(hall.says("AUTH TLS\r\nUSER x@blue.example\r\n").contains("clear-text-behind-auth"));
}
