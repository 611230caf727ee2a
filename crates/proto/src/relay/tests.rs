use super::*;
use alloc::format;
use alloc::string::{String, ToString as _};
use core::time::Duration;

const CLIENT: &str = "192.168.0.107:40000";
const SERVER: &str = "203.0.113.10:21";

/// A relay with its driver: doors are ready at once unless `doors` is empty.
struct Rig {
    relay: Relay,
    now: Time,
    doors: Option<Doors>,
    /// What comes of trying the server's port.
    way: Way,
    feed: usize,
    /// What went out and was done since the last look, a line each.
    seen: Vec<String>,
}

impl Rig {
    fn new(policy: Policy) -> Self {
        Self::between(CLIENT, SERVER, policy)
    }

    fn between(client: &str, server: &str, policy: Policy) -> Self {
        let ends = Ends { client: client.parse().unwrap(), server: server.parse().unwrap() };
        let v6 = ends.client.is_ipv6();
        let client_door = if v6 { "[64:ff9b::1]:55001" } else { "192.168.0.1:55001" };
        let server_door =
            if ends.server.is_ipv6() { "[2001:db8::1]:55002" } else { "218.2.135.1:55002" };
        let doors = Doors {
            client: Some(client_door.parse().unwrap()),
            server: Some(server_door.parse().unwrap()),
        };
        let relay = Relay::new(ends, Legs::default(), policy);
        let (now, feed) = (Time::ZERO, usize::MAX);
        Self { relay, now, doors: Some(doors), way: Way::Known, feed, seen: Vec::new() }
    }

    fn logged_in() -> Self {
        let mut rig = Self::new(Policy::default());
        rig.log_in();
        rig
    }

    fn log_in(&mut self) {
        self.server("220 ready\r\n");
        self.log_in_greeted();
    }

    fn log_in_greeted(&mut self) {
        self.client("USER ann\r\n");
        self.server("331 password\r\n");
        self.client("PASS secret\r\n");
        self.server("230 in\r\n");
        let seen = self.take();
        assert!(seen.contains("C 230 in") && seen.contains("S PASS secret"), "{seen}");
    }

    fn client(&mut self, text: &str) {
        self.bytes(Leg::Client, text.as_bytes());
    }

    fn server(&mut self, text: &str) {
        self.bytes(Leg::Server, text.as_bytes());
    }

    fn bytes(&mut self, leg: Leg, bytes: &[u8]) {
        for chunk in bytes.chunks(self.feed.min(bytes.len()).max(1)) {
            self.input(Input::Bytes(leg, chunk));
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.relay.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(effect) = self.relay.poll() {
            let said = match &effect {
                Effect::Write(leg, bytes) => {
                    let leg = if *leg == Leg::Client { 'C' } else { 'S' };
                    format!("{leg} {}", shown(bytes))
                }
                Effect::Note(note) => note.to_string(),
                effect => format!("{effect:?}"),
            };
            self.seen.push(said.trim_end_matches('~').to_string());
            match effect {
                Effect::Prepare(id, _) => {
                    let doors = self.doors.ok_or(Reason::PassiveRangeFull);
                    self.relay.handle(self.now, Input::Prepared(id, doors));
                }
                Effect::Probe(at) => {
                    self.relay.handle(self.now, Input::Probed(at, self.way));
                }
                Effect::Secure(leg) => self.relay.handle(self.now, Input::Secured(leg, Ok(()))),
                _ => {}
            }
        }
    }

    /// What was seen since the last look.
    fn take(&mut self) -> String {
        core::mem::take(&mut self.seen).join("\n")
    }

    /// What the two ends were sent, without what was done.
    fn wire(&mut self) -> String {
        let seen = core::mem::take(&mut self.seen);
        let lines =
            seen.into_iter().filter(|line| line.starts_with("C ") || line.starts_with("S "));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// What was written, a record of TLS by what it is.
fn shown(bytes: &[u8]) -> String {
    match bytes {
        [21, 3, 3, 0, 2, 2, alert] => format!("alert {alert}"),
        [22, ..] => format!("hello of {} bytes", bytes.len()),
        _ => core::str::from_utf8(bytes).unwrap().replace("\r\n", "~"),
    }
}

#[test]
fn a_passive_answer_names_the_door_and_opens_it() {
    for feed in [usize::MAX, 1] {
        let mut rig = Rig::logged_in();
        rig.feed = feed;
        rig.client("PASV\r\n");
        rig.server("227 Entering Passive Mode (203,0,113,10,195,80).\r\n");
        let hole = "Hole { client: Dials, server: Listens(203.0.113.10:50000) }";
        let expected = format!(
            "S PASV\nPrepare(HoleId(1), {hole})\nrewrite 227\nCommit(HoleId(1))\n\
             C 227 Entering Passive Mode (192,168,0,1,214,217)."
        );
        assert_eq!(rig.take(), expected);
        rig.client("RETR a\r\n");
        rig.server("150 here\r\n226 done\r\n");
        let expected =
            "Commit(HoleId(1))\nS RETR a\nC 150 here\nClose(HoleId(1), None)\nC 226 done";
        assert_eq!(rig.take(), expected);
    }
}

#[test]
fn an_extended_answer_of_many_lines_is_understood() {
    let mut rig = Rig::logged_in();
    rig.client("EPSV\n");
    rig.server("229-listening\r\n229 (|||50000|)\r\n");
    let seen = rig.take();
    assert!(seen.starts_with("S EPSV\n\n") || seen.starts_with("S EPSV\n"), "{seen}");
    assert!(seen.ends_with("C 229 Entering Extended Passive Mode (|||55001|)"), "{seen}");
}

#[test]
fn active_mode_is_aimed_at_a_door_that_opens_when_the_server_agrees() {
    let mut rig = Rig::logged_in();
    rig.client("PORT 192,168,0,107,156,65\r\nLIST\r\n");
    let seen = rig.take();
    assert!(seen.contains("Prepare(HoleId(1), Hole { client: Listens(192.168.0.107:40001)"));
    assert!(seen.ends_with("S PORT 218,2,135,1,214,218"), "LIST would come too early: {seen}");
    rig.server("200 ok\r\n");
    assert_eq!(rig.take(), "C 200 ok\nCommit(HoleId(1))\nS LIST");

    rig.server("150 here\r\n226 done\r\n");
    assert!(rig.take().contains("Close(HoleId(1), None)"));
    rig.client("EPRT |1|192.168.0.107|40001|\r\n");
    rig.server("200 ok\r\n");
    let seen = rig.take();
    assert!(seen.ends_with("S EPRT |1|218.2.135.1|55002|\nC 200 ok"), "not open yet: {seen}");
    rig.client("RETR a\r\n");
    assert_eq!(rig.take(), "Commit(HoleId(2))\nS RETR a");
}

#[test]
fn a_refused_port_closes_its_hole() {
    let mut rig = Rig::logged_in();
    rig.client("PORT 192,168,0,107,156,65\r\n");
    rig.server("500 no\r\n");
    assert!(rig.take().ends_with("Close(HoleId(1), Some(ControlRefused))\nC 500 no"));
}

#[test]
fn nobody_else_and_no_service_is_aimed_at() {
    for (line, reason) in [
        ("PORT 192,168,0,50,156,65\r\n", "private-address"),
        ("EPRT !1!10.0.0.1!40001!\r\n", "private-address"),
        ("PORT 192,168,0,107,0,22\r\n", "privileged-port"),
    ] {
        let mut rig = Rig::logged_in();
        rig.client(line);
        let seen = rig.take();
        assert!(seen.contains(&format!("reason={reason}")), "{seen}");
        assert!(!seen.contains("Prepare") && !seen.contains("\nS "), "{seen}");
    }
    let mut rig = Rig::logged_in();
    rig.client("PASV\r\n");
    rig.server("227 Entering Passive Mode (203,0,113,10,0,22).\r\n");
    let seen = rig.take();
    assert!(seen.contains("C 425") && !seen.contains("Prepare"), "{seen}");
}

#[test]
fn an_announced_foreign_address_is_never_the_target() {
    let mut rig = Rig::logged_in();
    rig.client("PASV\r\n");
    rig.server("227 Entering Passive Mode (10,0,0,5,195,80).\r\n");
    assert!(rig.take().contains("server: Listens(203.0.113.10:50000)"));
}

#[test]
fn nothing_opens_before_a_user_name_was_accepted() {
    let mut rig = Rig::new(Policy::default());
    rig.client("PORT 192,168,0,107,156,65\r\n");
    rig.server("220 ready\r\n530 log in\r\n");
    rig.client("PASV\r\n");
    rig.server("227 Entering Passive Mode (203,0,113,10,195,80).\r\n");
    let seen = rig.take();
    assert!(!seen.contains("Prepare"), "{seen}");
    assert!(seen.contains("ignore PORT reason=login-required"), "{seen}");
}

#[test]
fn an_announcement_that_nobody_asked_for_opens_nothing() {
    let mut rig = Rig::logged_in();
    rig.server("227 Entering Passive Mode (203,0,113,10,195,80).\r\n");
    let seen = rig.take();
    assert!(!seen.contains("Prepare") && seen.contains("ignore 227"), "{seen}");
    rig.client("NOOP\r\n");
    rig.server("229 Entering Extended Passive Mode (|||50000|)\r\n");
    assert!(!rig.take().contains("Prepare"));
}

#[test]
fn a_web_page_finds_nothing_to_slip_through() {
    let mut rig = Rig::logged_in();
    rig.client("POST / HTTP/1.1\r\nHost: x\r\n\r\nPORT 192,168,0,107,0,22\r\n");
    let seen = rig.take();
    assert!(seen.contains("reason=http-on-control") && seen.ends_with("End"), "{seen}");
    assert!(!seen.contains("S "), "{seen}");

    let mut rig = Rig::logged_in();
    for _ in 0..11 {
        rig.client("Accept: everything\r\n");
    }
    assert!(rig.take().ends_with("End"));
}

#[test]
fn the_next_set_up_abor_and_time_close_what_was_open() {
    let open = |rig: &mut Rig| {
        rig.client("EPSV\r\n");
        rig.server("229 Entering Extended Passive Mode (|||50000|)\r\n");
        assert!(rig.take().contains("Commit"));
    };
    let mut rig = Rig::logged_in();
    open(&mut rig);
    rig.client("EPSV\r\n");
    assert_eq!(rig.take(), "Close(HoleId(1), None)\nS EPSV");
    rig.server("425 no\r\n");
    open(&mut rig);
    rig.client("ABOR\r\n");
    assert!(rig.take().starts_with("Close(HoleId(2), Some(Aborted))"));
    rig.server("226 ok\r\n");
    open(&mut rig);
    rig.now = rig.relay.deadline().unwrap();
    rig.input(Input::Timer);
    assert!(rig.take().contains("Close(HoleId(3), Some(DataNotConnected))"));
    open(&mut rig);
    rig.input(Input::Used(HoleId(4)));
    assert_eq!(rig.relay.deadline(), None);
    open(&mut rig);
    rig.input(Input::Eof(Leg::Client));
    assert_eq!(rig.take(), "Close(HoleId(5), None)\nShutdown(Server)");
    rig.input(Input::Eof(Leg::Server));
    assert_eq!(rig.take(), "End");
}

#[test]
fn a_gateway_without_doors_says_so() {
    let mut rig = Rig::logged_in();
    rig.doors = None;
    rig.client("PASV\r\n");
    rig.server("227 Entering Passive Mode (203,0,113,10,195,80).\r\n");
    assert!(rig.wire().contains("C 425 "));
    rig.client("PORT 192,168,0,107,156,65\r\n");
    assert!(rig.wire().contains("C 425 "));
}

#[test]
fn everything_else_passes_as_it_came() {
    let mut rig = Rig::logged_in();
    rig.client("\u{7f}  size  a b \r\nXFOO\n\r\n");
    rig.server("213 7\n500-what\r\n is\r\n500 that\r\nnoise\r\n");
    let sent = ["S \u{7f}  size  a b ", "S XFOO\n", "S "];
    let heard = ["C 213 7\n", "C 500-what~ is~500 that", "C noise"];
    assert_eq!(rig.wire(), [sent, heard].concat().join("\n"));
}

#[test]
fn auth_that_passes_ends_all_reading() {
    let mut rig = Rig::logged_in();
    rig.client("AUTH TLS\r\n");
    rig.server("234 go\r\n");
    rig.client("PORT 192,168,0,107,156,65\r\n");
    assert_eq!(
        rig.take(),
        "S AUTH TLS\npass session\nC 234 go\nOpaque\nS PORT 192,168,0,107,156,65"
    );
}

fn terminating() -> Policy {
    Policy { auth: Auth::Terminate, ..Policy::default() }
}

#[test]
fn tls_ends_here_and_begins_again_behind() {
    let mut rig = Rig::new(terminating());
    rig.server("220 ready\r\n");
    rig.client("FEAT\r\nAUTH TLS\r\n");
    rig.server("211-Features:\r\n EPSV\r\n211 End\r\n");
    assert!(rig.wire().contains("C 211-Features:~ AUTH TLS~ PBSZ~ PROT~ EPSV~211 End"));
    rig.server("234 go\r\n");
    let seen = rig.take();
    assert_eq!(
        seen,
        "Secure(Server)\nsecure server\nC 234 Begin TLS.\nSecure(Client)\nsecure client"
    );
    rig.client("PBSZ 0\r\nPROT P\r\n");
    rig.server("200 ok\r\n200 ok\r\n");
    assert!(rig.take().contains("Protect(Legs { client: true, server: true })"));
}

#[test]
fn a_server_without_tls_gets_it_in_front() {
    let mut rig = Rig::new(terminating());
    rig.server("220 ready\r\n");
    rig.client("AUTH TLS\r\n");
    rig.server("502 no\r\n");
    assert!(rig.take().ends_with("secure client"));
    rig.client("PBSZ 0\r\nPROT P\r\n");
    let seen = rig.take();
    assert!(seen.contains("C 200 PBSZ=0") && !seen.contains("S PBSZ"), "{seen}");
    assert!(seen.contains("Protect(Legs { client: true, server: false })"), "{seen}");

    let required = Policy { upstream: Upstream::Required, ..terminating() };
    let mut rig = Rig::new(required);
    rig.server("220 ready\r\n");
    rig.client("AUTH TLS\r\n");
    rig.server("502 no\r\n");
    assert!(rig.take().ends_with("End"));
}

#[test]
fn a_client_that_knows_no_tls_is_carried_over_it() {
    let policy = Policy { upstream: Upstream::Always, ..terminating() };
    let mut rig = Rig::new(policy);
    rig.client("USER ann\r\n");
    rig.server("220 ready\r\n");
    rig.server("234 go\r\n");
    rig.server("200 ok\r\n");
    rig.server("200 ok\r\n");
    let wire = rig.wire();
    assert_eq!(wire, "S AUTH TLS\nS PBSZ 0\nS PROT P\nC 220 ready\nS USER ann");
}

#[test]
fn clear_text_behind_auth_ends_the_session() {
    let mut rig = Rig::new(terminating());
    rig.server("220 ready\r\n");
    rig.client("AUTH TLS\r\nUSER eve\r\n");
    let seen = rig.take();
    assert!(seen.contains("reason=clear-text-behind-auth") && seen.ends_with("End"), "{seen}");
    let mut rig = Rig::new(terminating());
    rig.server("220 ready\r\n");
    rig.client("AUTH TLS\r\n");
    rig.server("234 go\r\n230 welcome\r\n");
    assert!(rig.take().ends_with("End"));
}

#[test]
fn modes_are_translated_by_policy() {
    let mut rig = Rig::new(Policy { mode: Mode::Passive, ..Policy::default() });
    rig.log_in();
    rig.client("PORT 192,168,0,107,156,65\r\n");
    rig.server("227 Entering Passive Mode (203,0,113,10,195,80).\r\n");
    rig.client("LIST\r\n");
    let seen = rig.take();
    assert!(seen.starts_with("S PASV\n") && seen.contains("Commit(HoleId(1))\nC 200 "), "{seen}");
    assert!(seen.ends_with("Commit(HoleId(1))\nS LIST\nDial(HoleId(1))"), "{seen}");

    let mut rig = Rig::new(Policy { mode: Mode::Active, ..Policy::default() });
    rig.log_in();
    rig.client("EPSV\r\n");
    rig.server("200 ok\r\n");
    let wire = rig.wire();
    assert!(wire.starts_with("S PORT 218,2,135,1,214,218\nC 229 "), "{wire}");
}

#[test]
fn what_policy_forbids_does_not_reach_the_server_and_is_answered_in_turn() {
    let policy = Policy {
        permissions: crate::verb::Permissions::READ_ONLY,
        names: Names::new(["*.key"], []),
        ..Policy::default()
    };
    let mut rig = Rig::new(policy);
    rig.log_in();
    rig.client("NOOP\r\nDELE a\r\nRETR /x/my.key\r\n");
    assert!(!rig.wire().contains("C "));
    rig.server("200 ok\r\n");
    let wire = rig.wire();
    assert_eq!(wire.matches("C 550").count(), 2, "{wire}");
    assert!(wire.starts_with("C 200 ok"), "{wire}");
}

#[test]
fn replies_that_overtake_a_transfer_do_not_close_its_hole() {
    let mut rig = Rig::logged_in();
    rig.client("EPSV\r\n");
    rig.server("229 Entering Extended Passive Mode (|||50000|)\r\n");
    rig.client("RETR a\r\nNOOP\r\n");
    rig.server("150 here\r\n200 ok\r\n");
    assert!(!rig.take().contains("Close"));
    rig.now = rig.now.after(Duration::from_secs(1));
    rig.server("226 done\r\n");
    assert!(rig.take().contains("Close"));
}

mod detour;
mod hard;
mod hostile;
mod lobby;
mod nat64;
mod passing;
mod scan;

#[test]
fn a_server_that_connects_before_it_answers_is_let_in_as_far_as_the_gateway() {
    let hole = "Hole { client: Listens(192.168.0.107:40001), server: Dials }";
    let mut rig = Rig::logged_in();
    rig.client("PORT 192,168,0,107,156,65\r\nTYPE I\r\n");
    assert!(!rig.take().contains("Admit"), "who answers at once is let in by nobody");
    // It waits for its first packet to be answered.
    rig.now = rig.relay.deadline().unwrap();
    rig.input(Input::Timer);
    assert_eq!(rig.take(), format!("Admit(HoleId(1), {hole})"));
    rig.server("200 connected\r\n200 binary\r\n");
    rig.client("RETR a\r\n");
    assert_eq!(rig.take(), "C 200 connected\nC 200 binary\nCommit(HoleId(1))\nS RETR a");
    // Another time nobody waits.
    rig.server("150 here\r\n226 done\r\n");
    rig.take();
    rig.client("PORT 192,168,0,107,156,65\r\n");
    let expected = format!("Admit(HoleId(2), {hole})\nS PORT 218,2,135,1,214,218");
    assert!(rig.take().ends_with(&expected));
}

#[test]
fn a_server_that_nobody_has_let_in_is_told_of_port_again_once() {
    let mut rig = Rig::logged_in();
    rig.client("PORT 192,168,0,107,156,65\r\n");
    rig.take();
    rig.server("425 cannot connect\r\n");
    let seen = rig.take();
    assert!(seen.contains("\nAdmit(HoleId(1), "), "{seen}");
    assert!(seen.ends_with("S PORT 218,2,135,1,214,218"), "{seen}");
    rig.server("425 cannot connect\r\n");
    let seen = rig.take();
    assert_eq!(seen, "Close(HoleId(1), Some(ControlRefused))\nC 425 cannot connect");
}

#[test]
fn replies_stay_in_their_order_where_port_would_have_to_be_told_again() {
    let mut rig = Rig::logged_in();
    rig.client("PORT 192,168,0,107,156,65\r\nTYPE I\r\n");
    rig.take();
    rig.server("425 cannot connect\r\n200 binary\r\n");
    let seen = rig.take();
    assert_eq!(seen, "Close(HoleId(1), Some(ControlRefused))\nC 425 cannot connect\nC 200 binary");
}
