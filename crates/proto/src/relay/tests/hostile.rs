//! The hard cases of security: what a client, a server or a web page may say to have opened what is not
//! theirs, or done what the owner forbids. A test for each.
//!
//! Who may come through a hole that is open is a matter of packets: `crates/lab/tests/gateway_hard.rs`.

use super::*;

const ANSWER: &str = "227 Entering Passive Mode (203,0,113,10,195,80).\r\n";

/// What was said reaches nobody and opens nothing; the client is answered with this code.
#[track_caller]
fn refused(line: &[u8], code: &str) {
    let mut rig = Rig::logged_in();
    rig.bytes(Leg::Client, line);
    let seen = rig.take();
    assert!(seen.contains(&format!("C {code} ")), "{seen}");
    assert!(!seen.contains("Prepare") && !seen.contains("\nS "), "{seen}");
    rig.client("NOOP\r\n");
    assert_eq!(rig.wire(), "S NOOP", "the session goes on");
}

#[test]
fn ports_of_services_are_not_aimed_at_in_either_direction() {
    for port in ["0,0", "0,22", "3,255"] {
        refused(format!("PORT 192,168,0,107,{port}\r\n").as_bytes(), "501");
        let mut rig = Rig::logged_in();
        rig.client("PASV\r\n");
        rig.server(&format!("227 go (203,0,113,10,{port})\r\n"));
        let seen = rig.take();
        assert!(seen.contains("C 425 ") && !seen.contains("Prepare"), "{seen}");
    }
    refused(b"EPRT |1|192.168.0.107|445|\r\n", "501");
    let mut rig = Rig::logged_in();
    rig.client("EPSV\r\n");
    rig.server("229 go (|||22|)\r\n");
    assert!(!rig.take().contains("Prepare"));
}

#[test]
fn no_address_but_the_clients_own_is_aimed_at() {
    for line in [
        &b"PORT 192,168,0,50,156,65\r\n"[..],
        b"PORT 8,8,8,8,156,65\r\n",
        b"PORT 127,0,0,1,156,65\r\n",
        b"EPRT |1|192.168.0.50|40001|\r\n",
    ] {
        refused(line, "501");
    }
    // Of the other family, which a server with both would dial.
    refused(b"EPRT |2|::1|40001|\r\n", "522");
    refused(b"EPRT |2|::ffff:192.168.0.50|40001|\r\n", "501");
    refused(b"EPRT |3|x|40001|\r\n", "522");
    let mut rig = Rig::between("[2001:db8::7]:40000", SERVER, Policy::default());
    rig.log_in();
    for line in ["PORT 10,0,0,5,0,22\r\n", "EPRT |1|10.0.0.5|40001|\r\n"] {
        rig.client(line);
        rig.server("200 ok\r\n");
        let seen = rig.take().replace("\nS NOOP", "");
        assert!(seen.contains("C 522 ") && !seen.contains("\nS "), "{seen}");
    }
}

#[test]
fn addresses_that_are_read_differently_elsewhere_do_not_pass() {
    for line in [
        &b"PORT 10,0,0,5,0,22,1\r\n"[..],
        b"PORT 10,0,0,5,0\r\n",
        b"PORT 10.0.0.5,0,22\r\n",
        b"PORT 192,168,0,107,156,65;10,0,0,5,0,22\r\n",
        b"PORT 192,168,0,107,156,321\r\n",
        b"PORT -1,0,0,5,0,22\r\n",
        b"PORT\r\n",
        b"EPRT |1|10.0.0.5|22\r\n",
        b"EPRT |1|10.0.0.5|22||\r\n",
        b"EPRT |1|010.0.0.5|40001|\r\n",
        b"EPRT |1|192.168.0.107|99999|\r\n",
    ] {
        refused(line, "501");
    }
}

#[test]
fn a_nul_hides_no_command() {
    for line in [
        &b"PORT 10,0,0,5,0,22\0\r\n"[..],
        b"\0PORT 10,0,0,5,0,22\r\n",
        b"NOOP\0\nPOST",
        b"DELE a\0b\r\n",
    ] {
        let mut rig = Rig::logged_in();
        rig.bytes(Leg::Client, line);
        let seen = rig.take();
        assert!(seen.starts_with("refuse line reason=nul-in-line\nC 500 "), "{seen}");
        assert!(!seen.contains("\nS "), "{seen}");
    }
}

#[test]
fn nothing_opens_for_who_has_not_been_greeted_or_has_no_user() {
    // Before the greeting.
    let mut rig = Rig::new(Policy::default());
    rig.client("PORT 192,168,0,107,156,65\r\nPASV\r\n");
    rig.server(&format!("200 ok\r\n{ANSWER}"));
    assert!(!rig.take().contains("Prepare"));
    // A greeting that is none, as of a mail server.
    let mut rig = Rig::new(Policy::default());
    rig.server("554 go away\r\n");
    rig.client("PASV\r\n");
    rig.server(ANSWER);
    assert!(!rig.take().contains("Prepare"));
    // A user who was refused.
    let mut rig = Rig::new(Policy::default());
    rig.server("220 ready\r\n");
    rig.client("USER eve\r\nPASV\r\n");
    rig.server("530 no\r\n");
    rig.server(ANSWER);
    assert!(!rig.take().contains("Prepare"));
}

#[test]
fn a_refusal_closes_what_was_prepared_or_open() {
    for (commands, reply) in [
        ("PORT 192,168,0,107,156,65\r\n", "500 no\r\n"),
        ("PORT 192,168,0,107,156,65\r\n", "421 no\r\n"),
        ("PORT 192,168,0,107,156,65\r\n", "425 no\r\n425 still no\r\n"),
        ("PORT 192,168,0,107,156,65\r\n", "227 odd (203,0,113,10,195,80)\r\n"),
        ("PORT 192,168,0,107,156,65\r\nRETR a\r\n", "200 ok\r\n550 no\r\n"),
        ("EPSV\r\nRETR a\r\n", "229 ok (|||50000|)\r\n425 no\r\n"),
    ] {
        let mut rig = Rig::logged_in();
        rig.client(commands);
        reply.split_inclusive("\r\n").for_each(|line| rig.server(line));
        let seen = rig.take();
        assert!(seen.contains("Close(HoleId(1), Some("), "{commands}{reply}: {seen}");
        assert_eq!(rig.relay.deadline(), None);
    }
}

#[test]
fn an_aimed_hole_never_opens_for_an_announcement() {
    let mut rig = Rig::logged_in();
    rig.client("PORT 192,168,0,107,156,65\r\n");
    rig.server(ANSWER);
    rig.client("RETR a\r\n");
    assert!(!rig.take().contains("Commit"));
}

#[test]
fn every_http_verb_ends_the_session_at_once() {
    for verb in ["GET", "POST", "HEAD", "PUT", "CONNECT", "OPTIONS"] {
        let mut rig = Rig::logged_in();
        rig.client(&format!("{verb} / HTTP/1.1\r\nPORT 192,168,0,107,156,65\r\n"));
        let seen = rig.take();
        assert!(seen.contains("C 421 ") && seen.ends_with("End"), "{verb}: {seen}");
        assert!(!seen.contains("Prepare") && !seen.contains("S "), "{verb}: {seen}");
    }
}

#[test]
fn a_page_without_an_http_verb_runs_out_of_unknown_words() {
    let mut rig = Rig::logged_in();
    for _ in 0..10 {
        rig.client("------WebKitFormBoundary\r\n");
    }
    assert!(!rig.take().contains("End"));
    rig.client("Content-Type: text/plain\r\nPORT 192,168,0,107,156,65\r\n");
    let seen = rig.take();
    assert!(seen.contains("reason=too-many-unknown") && seen.ends_with("End"), "{seen}");
    assert!(!seen.contains("Prepare"));
}

#[test]
fn announcements_that_nobody_asked_for_open_nothing_and_break_nothing() {
    let mut rig = Rig::logged_in();
    rig.server(ANSWER);
    rig.client("NOOP\r\n");
    rig.server(ANSWER);
    rig.server("200 ok\r\n");
    let seen = rig.take();
    assert!(!seen.contains("Prepare") && seen.matches("ignore 227").count() == 2, "{seen}");
    rig.client("PASV\r\n");
    rig.server(ANSWER);
    assert!(rig.take().contains("Commit(HoleId(1))"));
}

#[test]
fn an_announcement_within_another_reply_is_text() {
    let mut rig = Rig::logged_in();
    rig.client("HELP\r\n");
    rig.server("214-\r\n227 Entering Passive Mode (203,0,113,10,195,80).\r\n214 end\r\n");
    assert!(!rig.take().contains("Prepare"));
}

#[test]
fn an_open_hole_ends_with_its_time_and_not_with_talk() {
    let mut rig = Rig::logged_in();
    rig.client("PASV\r\n");
    rig.server(ANSWER);
    rig.take();
    let deadline = rig.relay.deadline().unwrap();
    assert_eq!(deadline, rig.now.after(LIFETIME));
    rig.now = rig.now.after(Duration::from_secs(29));
    rig.client("NOOP\r\n");
    rig.server("200 ok\r\n");
    assert_eq!(rig.relay.deadline(), Some(deadline));
    rig.now = deadline;
    rig.input(Input::Timer);
    assert!(rig.take().ends_with("Close(HoleId(1), Some(DataNotConnected))"));
    // A transfer verb does not open it again.
    rig.client("RETR a\r\n");
    assert_eq!(rig.take(), "S RETR a");
}

#[test]
fn a_client_that_never_waits_is_made_to() {
    let mut rig = Rig::new(Policy { auth: Auth::Terminate, ..Policy::default() });
    rig.server("220 ready\r\n");
    rig.client("NOOP\r\nAUTH TLS\r\n");
    assert!(rig.relay.takes(Leg::Client));
    // AUTH is held until NOOP has its reply; nothing behind it is read, and it is not collected for ever.
    for _ in 0..3 {
        rig.client(&"NOOP\r\n".repeat(1000));
    }
    assert!(!rig.relay.takes(Leg::Client));
}

#[test]
fn under_tls_nobody_returns_to_clear_by_rein_or_ccc() {
    let mut rig = Rig::new(terminating());
    rig.server("220 ready\r\n");
    rig.client("AUTH TLS\r\n");
    rig.server("234 go\r\n");
    rig.take();
    rig.client("REIN\r\nCCC\r\n");
    let seen = rig.take();
    assert_eq!(seen.matches("reason=clear-refused").count(), 2, "{seen}");
    assert!(!seen.contains("\nS "), "{seen}");
}
