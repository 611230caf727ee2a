//! Uploads where they are scanned: what the server hears, and when; and what it never does.

use super::*;

const NOTHING: Scan = Scan { pass_unscanned: false, pass_parts: false };
const ID: HoleId = HoleId(1);
const DELIVERY: HoleId = HoleId(2);

/// Logged in, with a port that the server has announced and `verb` answered by the gateway.
fn taking(scan: Scan, line: &str) -> Rig {
    let mut rig = ready(scan);
    passive(&mut rig);
    rig.client(line);
    rig
}

fn ready(scan: Scan) -> Rig {
    let mut rig = Rig::new(Policy { scan: Some(scan), ..Policy::default() });
    rig.log_in();
    rig
}

fn passive(rig: &mut Rig) {
    rig.client("PASV\r\n");
    rig.server("227 Entering Passive Mode (203,0,113,10,195,80).\r\n");
    rig.take();
}

fn scanned(rig: &mut Rig, verdict: Verdict<'_>) {
    rig.input(Input::Used(ID));
    rig.input(Input::Scanned(ID, verdict));
}

/// The server has heard the verb.
fn sent(rig: &mut Rig) {
    scanned(rig, Verdict::Clean);
    rig.server("227 Entering Passive Mode (203,0,113,10,195,90).\r\n");
}

#[test]
fn a_clean_upload_is_said_to_the_server_anew_once_it_is_held() {
    let mut rig = taking(NOTHING, "STOR a b.txt\r\n");
    assert_eq!(
        rig.take(),
        "Commit(HoleId(1))\nC 150 Send it; it is scanned before it is stored.\n\
         Take(HoleId(1), Subject { verb: \"STOR\", name: [97, 32, 98, 46, 116, 120, 116], \
         user: [97, 110, 110] })"
    );
    scanned(&mut rig, Verdict::Clean);
    assert_eq!(rig.take(), "scan STOR\nS PASV");
    rig.server("227 Entering Passive Mode (10,0,0,1,195,90).\r\n");
    assert_eq!(
        rig.take(),
        "Prepare(HoleId(2), Hole { client: Kept, server: Listens(203.0.113.10:50010) })\n\
         Commit(HoleId(2))\nS STOR a b.txt\nDial(HoleId(2))"
    );
    rig.server("150 go on\r\n");
    rig.input(Input::Used(DELIVERY));
    rig.input(Input::Delivered(DELIVERY, Ok(())));
    assert_eq!(rig.take(), "");
    rig.server("226 stored\r\n");
    assert_eq!(rig.take(), "Discard\nC 226 stored");
    assert!(!rig.relay.awaits_reply());
}

#[test]
fn what_was_found_is_named_and_the_server_hears_nothing() {
    let mut rig = taking(NOTHING, "STOR x\r\n");
    rig.take();
    scanned(&mut rig, Verdict::Infected(b"Eicar\r\n226 fine"));
    assert_eq!(
        rig.take(),
        "refuse STOR reason=upload-infected\nDiscard\n\
         C 550 The scanner found something in the upload, and it was not stored: \
         Eicar\\x0d\\x0a226 fine."
    );
    rig.client("NOOP\r\n");
    assert_eq!(rig.take(), "S NOOP");
}

#[test]
fn without_a_verdict_the_owner_decides() {
    for (pass_unscanned, expected) in [
        (false, "refuse STOR reason=scan-failed\nDiscard\nC 451"),
        (true, "scan STOR reason=scan-failed\nS PASV"),
    ] {
        let mut rig = taking(Scan { pass_unscanned, ..NOTHING }, "STOR x\r\n");
        rig.take();
        scanned(&mut rig, Verdict::Unscanned(Reason::ScanFailed));
        let seen = rig.take();
        assert!(seen.starts_with(expected), "{seen}");
    }
    // Half a file is none, whoever could not scan it.
    let mut rig = taking(Scan { pass_unscanned: true, ..NOTHING }, "STOR x\r\n");
    rig.take();
    scanned(&mut rig, Verdict::Broken(Reason::TlsTruncated));
    assert!(rig.take().starts_with("refuse STOR reason=tls-truncated\nDiscard\nC 426"));
}

#[test]
fn in_active_mode_the_server_is_given_a_door_of_its_own() {
    let mut rig = ready(NOTHING);
    rig.client("PORT 192,168,0,107,156,65\r\nSTOR x\r\n");
    rig.server("200 ok\r\n");
    let seen = rig.take();
    assert!(seen.contains("\nC 200 ok\nCommit(HoleId(1))\nC 150"), "{seen}");
    assert!(!seen.contains("S STOR"), "{seen}");
    scanned(&mut rig, Verdict::Clean);
    let hole = "Hole { client: Kept, server: Dials }";
    assert_eq!(
        rig.take(),
        format!("scan STOR\nPrepare(HoleId(2), {hole})\nS PORT 218,2,135,1,214,218")
    );
    rig.server("200 ok\r\n");
    assert_eq!(rig.take(), "Commit(HoleId(2))\nS STOR x\nDial(HoleId(2))");
}

#[test]
fn the_server_is_asked_in_the_words_that_it_has_answered_before() {
    let mut rig = ready(NOTHING);
    rig.client("EPSV ALL\r\n");
    rig.server("200 ok\r\n");
    rig.client("EPSV\r\n");
    rig.server("229 here (|||50000|)\r\n");
    rig.client("STOR x\r\n");
    scanned(&mut rig, Verdict::Clean);
    assert!(rig.take().ends_with("scan STOR\nS EPSV"));
    rig.server("229 here (|||50010|)\r\n");
    assert!(rig.take().contains("server: Listens(203.0.113.10:50010)"));
}

#[test]
fn an_answer_counts_only_if_the_data_were_out() {
    let reset = Err(Reason::DataReset);
    for is_early in [false, true] {
        let mut rig = taking(NOTHING, "STOR x\r\n");
        sent(&mut rig);
        rig.take();
        if is_early {
            rig.server("226 stored\r\n");
            assert_eq!(rig.take(), "");
        }
        rig.input(Input::Delivered(DELIVERY, reset));
        if !is_early {
            rig.server("226 stored\r\n");
        }
        let seen = rig.take();
        assert!(seen.starts_with("refuse STOR reason=data-reset\n"), "{seen}");
        assert!(seen.contains("\nC 426"), "{seen}");
    }
    let mut rig = taking(NOTHING, "STOR x\r\n");
    sent(&mut rig);
    rig.server("226 stored\r\n");
    rig.take();
    rig.input(Input::Delivered(DELIVERY, Ok(())));
    assert_eq!(rig.take(), "Close(HoleId(2), None)\nDiscard\nC 226 stored");
}

#[test]
fn the_servers_refusal_is_the_final_reply() {
    let mut rig = taking(NOTHING, "STOR x\r\n");
    sent(&mut rig);
    rig.take();
    rig.server("553 not here\r\n");
    assert_eq!(rig.take(), "Close(HoleId(2), Some(ControlRefused))\nDiscard\nC 553 not here");
    for said in ["500 what?\r\n", "227 hm\r\n", "227 (1,2,3,4,0,22)\r\n"] {
        let mut rig = taking(NOTHING, "STOR x\r\n");
        scanned(&mut rig, Verdict::Clean);
        rig.take();
        rig.server(said);
        let seen = rig.take();
        assert!(seen.contains("\nDiscard\nC 425"), "{said} {seen}");
        assert!(!seen.contains("S STOR"), "{seen}");
    }
    let mut rig = taking(NOTHING, "STOR x\r\n");
    scanned(&mut rig, Verdict::Clean);
    rig.doors = None;
    rig.take();
    rig.server("227 Entering Passive Mode (203,0,113,10,195,90).\r\n");
    assert!(rig.take().contains(
        "refuse STOR reason=passive-range-full
Discard
C 425"
    ));
    let mut rig = Rig::new(Policy { scan: Some(NOTHING), auth: Auth::Refuse, ..Policy::default() });
    rig.log_in();
    rig.client("AUTH TLS\r\n");
    assert!(rig.wire().starts_with("C 534"));
}

#[test]
fn without_a_port_an_upload_does_not_pass_either() {
    let mut rig = ready(NOTHING);
    rig.client("STOR x\r\n");
    assert!(rig.wire().starts_with("C 425"));
    // A download has used the pinhole up.
    passive(&mut rig);
    rig.client("RETR y\r\nSTOR x\r\n");
    assert_eq!(rig.take(), "Commit(HoleId(1))\nS RETR y\nDial(HoleId(1))");
    rig.input(Input::Used(ID));
    rig.server("150 here\r\n226 done\r\n");
    let seen = rig.wire();
    assert!(seen.starts_with("C 150 here\nC 226 done\nC 425"), "{seen}");
    rig.client("STOR\r\nSTOR \r\n");
    assert_eq!(rig.wire().matches("C 501").count(), 2);
}

#[test]
fn other_commands_wait_for_the_end_of_the_upload() {
    let mut rig = taking(NOTHING, "STOR x\r\nNOOP\r\n");
    rig.client("STOR y\r\nQUIT\r\n");
    rig.take();
    scanned(&mut rig, Verdict::Infected(b"Eicar"));
    let heard = rig.wire();
    assert!(heard.starts_with("C 550") && heard.ends_with("\nS NOOP"), "{heard}");
    rig.server("200 ok\r\n");
    let heard = rig.wire();
    assert!(heard.starts_with("C 200 ok\nC 425") && heard.ends_with("\nS QUIT"), "{heard}");
}

#[test]
fn abor_ends_an_upload_wherever_it_is() {
    let aborted = "Discard\nC 426 Transfer aborted via ABOR.\nC 226 ABOR command successful.";
    let mut rig = taking(NOTHING, "STOR x\r\n");
    rig.take();
    rig.client("ABOR\r\n");
    let seen = rig.take();
    assert!(seen.ends_with(aborted) && !seen.contains("S "), "{seen}");
    rig.input(Input::Scanned(ID, Verdict::Clean));
    assert_eq!(rig.take(), "", "the verdict comes too late");

    let mut rig = taking(NOTHING, "STOR x\r\n");
    scanned(&mut rig, Verdict::Clean);
    rig.take();
    rig.client("ABOR\r\nNOOP\r\n");
    assert!(rig.take().ends_with(&format!("{aborted}\nS NOOP")));
    rig.server("227 Entering Passive Mode (203,0,113,10,195,90).\r\n200 noop\r\n");
    assert_eq!(rig.take(), "C 200 noop", "the port is nobody's");
    let mut rig = taking(NOTHING, "STOR x\r\n");
    scanned(&mut rig, Verdict::Clean);
    rig.take();
    rig.client("ABOR\r\nPASV\r\n");
    rig.take();
    rig.server("227 Entering Passive Mode (203,0,113,10,195,90).\r\n");
    assert_eq!(rig.take(), "");
    rig.server("227 Entering Passive Mode (203,0,113,10,195,100).\r\n");
    assert!(rig.take().contains("Listens(203.0.113.10:50020)"));

    let mut rig = taking(NOTHING, "STOR x\r\n");
    sent(&mut rig);
    rig.take();
    rig.client("ABOR\r\n");
    assert_eq!(rig.take(), "Close(HoleId(2), Some(Aborted))\nDiscard\nS ABOR");
    rig.server("426 broken\r\n226 aborted\r\n");
    assert_eq!(rig.take(), "Discard\nC 426 broken\nC 226 aborted");
    assert!(!rig.relay.awaits_reply());
}

#[test]
fn a_client_that_is_gone_has_sent_no_whole_file() {
    let mut rig = taking(NOTHING, "STOR x\r\nNOOP\r\nSTOR y");
    rig.take();
    rig.input(Input::Eof(Leg::Client));
    assert_eq!(
        rig.take(),
        "refuse STOR reason=control-lost\nClose(HoleId(1), None)\nDiscard\n\
         C 426 The control connection was lost.\nShutdown(Server)"
    );

    let mut rig = taking(NOTHING, "STOR x\r\n");
    sent(&mut rig);
    rig.take();
    rig.input(Input::Eof(Leg::Client));
    assert!(rig.take().contains("Discard\n"));

    // Who has said QUIT has sent all.
    let mut rig = taking(NOTHING, "STOR x\r\nQUIT\r\n");
    rig.input(Input::Eof(Leg::Client));
    rig.take();
    sent(&mut rig);
    rig.input(Input::Delivered(DELIVERY, Ok(())));
    rig.server("226 stored\r\n");
    assert!(rig.take().ends_with("Discard\nC 226 stored\nS QUIT\nShutdown(Server)"));
}

#[test]
fn a_server_that_goes_takes_the_upload_with_it() {
    let mut rig = taking(NOTHING, "STOR x\r\n");
    rig.take();
    rig.server("421 idle\r\n");
    rig.input(Input::Eof(Leg::Server));
    assert_eq!(rig.take(), "Close(HoleId(1), None)\nDiscard\nC 421 idle\nEnd");
    // One that speaks of a data connection out of turn, and stays, is not answered for.
    let mut rig = taking(NOTHING, "STOR x\r\n");
    rig.server("421 passive data channel timed out\r\n");
    scanned(&mut rig, Verdict::Clean);
    rig.server("426 closed\r\n227 Entering Passive Mode (203,0,113,10,195,90).\r\n");
    assert!(rig.take().ends_with("S STOR x\nDial(HoleId(2))"));
    let mut rig = taking(NOTHING, "STOR x\r\n");
    rig.take();
    rig.input(Input::Eof(Leg::Server));
    assert_eq!(rig.take(), "Close(HoleId(1), None)\nDiscard\nEnd");
}

#[test]
fn a_server_that_waits_long_hears_noop() {
    let mut rig = taking(NOTHING, "STOR x\r\n");
    rig.input(Input::Used(ID));
    rig.take();
    let minute = Duration::from_secs(60);
    for _ in 0..2 {
        assert_eq!(rig.relay.deadline(), Some(rig.now.after(minute)));
        rig.now = rig.now.after(minute);
        rig.input(Input::Timer);
        assert_eq!(rig.take(), "S NOOP");
        rig.server("200 ok\r\n");
        assert_eq!(rig.take(), "");
    }
    rig.now = rig.now.after(minute);
    rig.input(Input::Timer);
    rig.take();
    // One whose answer is late is not asked again, and its answer goes nowhere.
    rig.now = rig.now.after(minute);
    rig.input(Input::Timer);
    assert_eq!(rig.take(), "");
    rig.input(Input::Scanned(ID, Verdict::Clean));
    assert_eq!(rig.take(), "scan STOR\nS PASV");
    rig.server("200 ok\r\n227 Entering Passive Mode (203,0,113,10,195,90).\r\n");
    assert!(rig.take().ends_with("S STOR x\nDial(HoleId(2))"));
    rig.now = rig.now.after(minute);
    rig.input(Input::Timer);
    assert_eq!(rig.take(), "Close(HoleId(2), Some(DataNotConnected))");
    rig.server("226 stored\r\n");
    assert!(rig.take().contains("C 425"), "nobody can have stored it");
}

#[test]
fn nobody_waits_for_ever_for_a_server_that_says_nothing() {
    let mut rig = taking(NOTHING, "STOR x\r\n");
    scanned(&mut rig, Verdict::Clean);
    rig.take();
    rig.now = rig.now.after(LIFETIME);
    rig.input(Input::Timer);
    assert!(
        rig.take()
            .ends_with("refuse STOR reason=reply-missing\nDiscard\nC 425 No reply came in time.")
    );
}

#[test]
fn nobody_waits_for_ever_for_a_client_that_does_not_connect() {
    let mut rig = taking(NOTHING, "STOR x\r\n");
    rig.take();
    rig.now = rig.now.after(LIFETIME);
    rig.input(Input::Timer);
    let seen = rig.take();
    assert!(seen.starts_with("Close(HoleId(1), Some(DataNotConnected))\n"), "{seen}");
    assert!(seen.contains("Discard\nC 425"), "{seen}");
}

#[test]
fn the_name_that_a_server_chose_comes_with_its_final_reply() {
    let mut rig = taking(NOTHING, "STOU\r\n");
    sent(&mut rig);
    rig.take();
    rig.server("150 FILE: a.1\r\n226 stored\r\n");
    rig.input(Input::Delivered(DELIVERY, Ok(())));
    assert_eq!(rig.take(), "Close(HoleId(2), None)\nDiscard\nC 226-FILE: a.1~226 stored");
}

#[test]
fn it_makes_no_difference_how_the_lines_are_cut() {
    let mut seen = Vec::new();
    for feed in [usize::MAX, 1] {
        let mut rig = ready(NOTHING);
        rig.feed = feed;
        passive(&mut rig);
        rig.client("STOR x\r\nNOOP\r\nSTOR y\r\n");
        sent(&mut rig);
        rig.input(Input::Delivered(DELIVERY, Ok(())));
        rig.server("150 go on\r\n226 stored\r\n200 ok\r\n");
        seen.push(rig.take());
    }
    assert_eq!(seen[0], seen[1]);
}
