//! The hard cases of function: what is right but unusual must be carried right. A test for each, played
//! whole and a byte at a time where that could matter.
//!
//! Those that need packets are in `crates/lab/tests/gateway_hard.rs`; what must not be carried is in
//! `hostile`.

use super::*;

/// Plays `work` with lines that come whole, and a byte at a time.
fn in_pieces(work: impl Fn(&mut Rig)) {
    for feed in [usize::MAX, 9, 1] {
        let mut rig = Rig::logged_in();
        rig.feed = feed;
        work(&mut rig);
    }
}

/// Opens a passive pinhole.
fn passive(rig: &mut Rig, reply: &str) -> String {
    rig.client("PASV\r\n");
    rig.server(reply);
    rig.take()
}

const ANSWER: &str = "227 Entering Passive Mode (203,0,113,10,195,80).\r\n";
const OPENED: &str =
    "Prepare(HoleId(1), Hole { client: Dials, server: Listens(203.0.113.10:50000) })";

#[test]
fn a_port_split_within_a_number_is_one_port() {
    let mut rig = Rig::logged_in();
    for piece in ["PO", "RT 192,168,0,10", "7,15", "6,6", "5\r", "\n"] {
        rig.client(piece);
    }
    assert!(rig.take().ends_with("S PORT 218,2,135,1,214,218"));
}

#[test]
fn lines_may_end_in_lf_alone_and_verbs_in_any_case() {
    in_pieces(|rig| {
        rig.client("port 192,168,0,107,156,65\n");
        assert!(rig.wire().ends_with("S PORT 218,2,135,1,214,218"));
        rig.server("200 ok\n");
        rig.client("pAsV\n");
        rig.server("227 (203,0,113,10,195,80)\n");
        assert!(rig.wire().ends_with("C 227 Entering Passive Mode (192,168,0,1,214,217)."));
    });
}

#[test]
fn any_delimiter_of_eprt_and_of_229_is_read() {
    for delimiter in ['|', '!', '#', '$', '~'] {
        let mut rig = Rig::logged_in();
        let line = "EPRT |1|192.168.0.107|40001|\r\n".replace('|', &delimiter.to_string());
        rig.client(&line);
        assert!(rig.wire().ends_with("S EPRT |1|218.2.135.1|55002|"), "{delimiter}");
        rig.server("200 ok\r\n");
        rig.client("EPSV\r\n");
        rig.server(&"229 go (|||50000|)\r\n".replace('|', &delimiter.to_string()));
        let wire = rig.wire();
        assert!(wire.ends_with("C 229 Entering Extended Passive Mode (|||55001|)"), "{wire}");
    }
}

#[test]
fn servers_word_227_as_they_like() {
    for reply in [
        "227 Entering Passive Mode (203,0,113,10,195,80).\r\n",
        "227 203,0,113,10,195,80\r\n",
        "227 =203,0,113,10,195,80\r\n",
        "227 Entering Passive Mode. 203, 0, 113, 10, 195, 80\r\n",
        "227-Entering\r\n227 Passive Mode (203,0,113,10,195,80)\r\n",
        "227-(203,0,113,10,195,80)\r\n noise 1,2\r\n227 end\r\n",
        "227 \u{0442}\u{0435}\u{043a}\u{0441}\u{0442} (203,0,113,10,195,80)\r\n",
        "227 v6.2.1 build 7, ready at (203,0,113,10,195,80)\r\n",
    ] {
        in_pieces(|rig| {
            let seen = passive(rig, reply);
            assert!(seen.contains(OPENED), "{reply}: {seen}");
            assert!(seen.ends_with("C 227 Entering Passive Mode (192,168,0,1,214,217)."), "{seen}");
        });
    }
}

#[test]
fn a_server_that_does_not_know_its_address_is_found_at_its_own() {
    for address in ["0,0,0,0", "10,0,0,5", "127,0,0,1", "255,255,255,255"] {
        let mut rig = Rig::logged_in();
        let seen = passive(&mut rig, &format!("227 Entering Passive Mode ({address},195,80).\r\n"));
        assert!(seen.contains(OPENED), "{address}: {seen}");
        assert!(seen.contains("rewrite 227 reason=data-address-foreign"), "{seen}");
    }
}

#[test]
fn a_227_without_an_address_opens_nothing_and_passes() {
    let mut rig = Rig::logged_in();
    let seen = passive(&mut rig, "227 Entering Passive Mode.\r\n");
    assert!(!seen.contains("Prepare"), "{seen}");
    assert!(seen.ends_with("C 227 Entering Passive Mode."), "{seen}");
    let seen = passive(&mut rig, ANSWER);
    assert!(seen.contains("Commit"), "the next one is answered as ever: {seen}");
}

#[test]
fn set_up_and_transfer_in_one_segment_are_in_step() {
    in_pieces(|rig| {
        rig.client("PASV\r\nRETR a\r\nPASV\r\nRETR b\r\n");
        assert_eq!(rig.wire(), "S PASV\nS RETR a\nS PASV\nS RETR b");
        rig.server(ANSWER);
        assert!(rig.take().contains("Commit(HoleId(1))"));
        rig.server("150 here\r\n");
        rig.input(Input::Used(HoleId(1)));
        rig.server("226 done\r\n");
        rig.take();
        rig.server(ANSWER);
        assert!(rig.take().contains("Commit(HoleId(2))"));
        rig.server("150 here\r\n226 done\r\n");
        assert!(rig.take().contains("Close(HoleId(2), None)\nC 226 done"));
    });
}

#[test]
fn a_transfer_behind_port_waits_until_its_hole_is_open() {
    in_pieces(|rig| {
        rig.client("PORT 192,168,0,107,156,65\r\nRETR a\r\nNOOP\r\n");
        assert_eq!(rig.wire(), "S PORT 218,2,135,1,214,218");
        rig.server("200 ok\r\n");
        assert_eq!(rig.take(), "C 200 ok\nCommit(HoleId(1))\nS RETR a\nS NOOP");
    });
    let mut rig = Rig::logged_in();
    rig.client("PORT 192,168,0,107,156,65\r\nRETR a\r\n");
    rig.server("500 no\r\n");
    let seen = rig.take();
    assert!(seen.ends_with("Close(HoleId(1), Some(ControlRefused))\nC 500 no\nS RETR a"), "{seen}");
}

#[test]
fn a_whole_log_in_in_one_segment_has_its_pinhole() {
    for line in ["PASV\r\n", "PORT 192,168,0,107,156,65\r\n"] {
        let mut rig = Rig::new(Policy::default());
        rig.client(&format!("USER ann\r\nPASS x\r\n{line}"));
        assert_eq!(rig.wire(), "S USER ann\nS PASS x", "what needs a user waits for one");
        rig.server("220 ready\r\n331 password\r\n230 in\r\n");
        rig.server(ANSWER);
        assert!(rig.take().contains("Prepare"), "{line}");
    }
}

#[test]
fn the_second_of_two_passive_ports_is_the_one() {
    in_pieces(|rig| {
        assert!(passive(rig, ANSWER).contains("Commit(HoleId(1))"));
        let seen = passive(rig, ANSWER);
        assert!(seen.starts_with("Close(HoleId(1), None)\nS PASV\nPrepare(HoleId(2)"), "{seen}");
        assert!(seen.contains("Commit(HoleId(2))"), "{seen}");
    });
    // Pipelined.
    let mut rig = Rig::logged_in();
    rig.client("PASV\r\nPASV\r\n");
    rig.server(&ANSWER.repeat(2));
    let seen = rig.take();
    let (first, second) = (seen.find("Close(HoleId(1)"), seen.find("Commit(HoleId(2))"));
    assert!(first.is_some() && first < second, "{seen}");
}

#[test]
fn epsv_with_a_family_is_epsv_and_with_nonsense_it_keeps_step() {
    let mut rig = Rig::logged_in();
    rig.client("EPSV 1\r\n");
    rig.server("229 ok (|||50000|)\r\n");
    assert!(rig.take().contains("Commit(HoleId(1))"));
    rig.client("EPSV |1|203.0.113.10|50000|\r\n");
    rig.server("229 ok (|||50000|)\r\n");
    let seen = rig.take();
    assert!(!seen.contains("Prepare") && seen.contains("ignore 227"), "{seen}");
    // The reply above has been counted: this one belongs to PORT.
    rig.client("PORT 192,168,0,107,156,65\r\n");
    rig.server("200 ok\r\n");
    rig.client("RETR a\r\n");
    assert!(rig.take().ends_with("Commit(HoleId(2))\nS RETR a"));
}

#[test]
fn epsv_all_passes_where_the_server_is_asked_for_nothing_else() {
    let mut rig = Rig::logged_in();
    rig.client("EPSV ALL\r\n");
    rig.server("200 ok\r\n");
    assert_eq!(rig.take(), "S EPSV ALL\nC 200 ok");
    rig.client("EPSV\r\n");
    rig.server("229 ok (|||50000|)\r\n");
    assert!(rig.take().contains("Commit(HoleId(1))"));

    let mut rig = Rig::between("[2001:db8::7]:40000", SERVER, Policy::default());
    rig.log_in();
    rig.client("EPSV ALL\r\n");
    rig.server("200 ok\r\n");
    let seen = rig.take();
    assert!(seen.contains("C 504 ") && !seen.contains("S EPSV"), "PASV would be refused: {seen}");
    rig.client("EPSV\r\n");
    rig.server(ANSWER);
    assert!(rig.wire().ends_with("C 229 Entering Extended Passive Mode (|||55001|)"));
}

#[test]
fn abor_with_and_without_synch_keeps_replies_in_step() {
    for abor in [&b"ABOR\r\n"[..], b"\xff\xf4\xff\xf2ABOR\r\n"] {
        for feed in [usize::MAX, 1] {
            let mut rig = Rig::logged_in();
            passive(&mut rig, ANSWER);
            rig.client("RETR a\r\n");
            rig.server("150 here\r\n");
            rig.take();
            rig.feed = feed;
            let mut relayed = Vec::new();
            for chunk in abor.chunks(feed.min(abor.len())) {
                rig.relay.handle(rig.now, Input::Bytes(Leg::Client, chunk));
                while let Some(effect) = rig.relay.poll() {
                    if let Effect::Write(Leg::Server, bytes) = effect {
                        relayed.extend(bytes);
                    }
                }
            }
            assert_eq!(relayed, abor, "as it came, Synch and all");
            rig.server("426 aborted\r\n226 so it is\r\n");
            assert!(!rig.relay.awaits_reply());
            assert!(passive(&mut rig, ANSWER).contains("Commit(HoleId(2))"));
        }
    }
}

#[test]
fn abor_that_has_one_reply_less_does_not_cost_the_next_transfer() {
    let mut rig = Rig::logged_in();
    passive(&mut rig, ANSWER);
    rig.client("RETR a\r\nABOR\r\n");
    rig.server("150 here\r\n226 aborted, and nothing more\r\n");
    let seen = passive(&mut rig, ANSWER);
    assert!(seen.contains("Commit(HoleId(2))"), "{seen}");
    assert!(!rig.relay.awaits_reply(), "what the 227 overtook is not waited for");
}

#[test]
fn a_421_within_a_transfer_is_passed_on_and_closes_the_hole() {
    in_pieces(|rig| {
        passive(rig, ANSWER);
        rig.client("RETR a\r\n");
        rig.server("150 here\r\n421 shutting down\r\n");
        let seen = rig.take();
        assert!(seen.contains("Close(HoleId(1), Some(ControlRefused))\nC 421"), "{seen}");
        rig.input(Input::Eof(Leg::Server));
        assert_eq!(rig.take(), "End");
    });
}

#[test]
fn after_rein_nothing_opens_before_the_next_user() {
    let mut rig = Rig::logged_in();
    passive(&mut rig, ANSWER);
    rig.client("REIN\r\n");
    rig.server("220 again\r\n");
    assert!(rig.take().contains("Close(HoleId(1), None)\nC 220 again"));
    let seen = passive(&mut rig, ANSWER);
    assert!(!seen.contains("Prepare"), "{seen}");
    rig.client("USER bob\r\n");
    rig.server("331 password\r\n");
    assert!(passive(&mut rig, ANSWER).contains("Commit(HoleId(2))"));
}

#[test]
fn a_second_user_is_a_user() {
    let mut rig = Rig::logged_in();
    rig.client("USER bob\r\n");
    rig.server("530 no\r\n");
    assert!(passive(&mut rig, ANSWER).contains("Commit(HoleId(1))"));
}

#[test]
fn long_lines_pass_and_longer_ones_are_answered_in_turn() {
    let name = "n".repeat(8187);
    in_pieces(|rig| {
        rig.client(&format!("CWD {name}\r\n"));
        assert_eq!(rig.wire(), format!("S CWD {name}"));
        rig.server(&format!("250 {name}\r\n"));
        assert_eq!(rig.wire(), format!("C 250 {name}"));
    });
    let mut rig = Rig::logged_in();
    rig.client(&format!("NOOP\r\nCWD {}\r\nNOOP\r\n", "n".repeat(70_000)));
    assert_eq!(rig.wire(), "S NOOP\nS NOOP");
    rig.server("200 one\r\n200 two\r\n");
    let wire = rig.wire();
    let codes: Vec<&str> = wire.lines().filter_map(|line| line.get(..5)).collect();
    assert_eq!(codes, ["C 200", "C 500", "C 200"]);
}

#[test]
fn telnet_commands_within_a_line_do_not_hide_it() {
    let mut rig = Rig::logged_in();
    rig.bytes(Leg::Client, b"\xff\xfd\x06PO\xff\xf1RT 192,168,0,107,156,65\r\n");
    assert!(rig.wire().ends_with("S PORT 218,2,135,1,214,218"));
}

#[test]
fn a_banner_that_names_other_codes_is_one_reply() {
    let mut rig = Rig::new(Policy::default());
    rig.server("220-hello\r\n227 (1,2,3,4,5,6)\r\n 220 not yet\r\n230-\r\n220 ready\r\n");
    rig.client("USER ann\r\n");
    rig.server("230 in\r\n");
    let seen = rig.take();
    assert!(!seen.contains("ignore"), "{seen}");
    assert!(passive(&mut rig, ANSWER).contains("Commit(HoleId(1))"));
}

#[test]
fn the_hole_is_open_before_the_server_hears_of_the_transfer() {
    let mut rig = Rig::logged_in();
    rig.client("PORT 192,168,0,107,156,65\r\n");
    rig.server("200 ok\r\n");
    rig.take();
    for verb in ["RETR a", "STOR a", "APPE a", "STOU", "LIST", "NLST", "MLSD"] {
        let mut rig = Rig::logged_in();
        rig.client("PORT 192,168,0,107,156,65\r\n");
        rig.server("200 ok\r\n");
        rig.take();
        rig.client(&format!("{verb}\r\n"));
        assert_eq!(rig.take(), format!("Commit(HoleId(1))\nS {verb}"));
    }
}

#[test]
fn data_may_come_and_go_before_the_preliminary_reply() {
    in_pieces(|rig| {
        passive(rig, ANSWER);
        rig.input(Input::Used(HoleId(1)));
        rig.client("STOR a\r\n");
        rig.server("150 here\r\n226 done\r\n");
        assert_eq!(
            rig.take(),
            "S STOR a\nC 150 here\nC 226 done",
            "used once, and not opened again"
        );
    });
}

#[test]
fn a_transfer_without_a_preliminary_reply_ends_all_the_same() {
    let mut rig = Rig::logged_in();
    passive(&mut rig, ANSWER);
    rig.client("LIST\r\n");
    rig.server("226 nothing there\r\n");
    assert!(rig.take().ends_with("Close(HoleId(1), None)\nC 226 nothing there"));
    assert!(!rig.relay.awaits_reply());
}

#[test]
fn ten_transfers_in_a_row_have_ten_holes() {
    in_pieces(|rig| {
        for number in 1..=10 {
            assert!(passive(rig, ANSWER).contains(&format!("Commit(HoleId({number}))")));
            rig.client("RETR a\r\n");
            rig.server("150 here\r\n");
            rig.input(Input::Used(HoleId(number)));
            rig.server("226 done\r\n");
            rig.take();
        }
    });
}

#[test]
fn a_handshake_behind_auth_is_not_read_as_lines() {
    let hello = b"\x16\x03\x01\0\x0aPORT 192,168,0,107,156,65\n\0\0POST /\n";
    let mut rig = Rig::logged_in();
    rig.client("AUTH TLS\r\n");
    rig.relay.handle(rig.now, Input::Bytes(Leg::Client, hello));
    rig.drain();
    assert_eq!(rig.take(), "S AUTH TLS");
    rig.relay.handle(rig.now, Input::Bytes(Leg::Server, b"234 go\r\n"));
    let mut passed = Vec::new();
    while let Some(effect) = rig.relay.poll() {
        if let Effect::Write(Leg::Server, bytes) = effect {
            passed.extend(bytes);
        }
    }
    assert_eq!(passed, hello);
    assert!(rig.relay.is_opaque());
    // Refused, what waits is lines again.
    let mut rig = Rig::logged_in();
    rig.client("AUTH TLS\r\nPASV\r\n");
    rig.server("502 no\r\n");
    assert_eq!(rig.wire(), "S AUTH TLS\nC 502 no\nS PASV");
}

#[test]
fn both_ends_may_close_at_once_and_either_first() {
    for order in [[Leg::Client, Leg::Server], [Leg::Server, Leg::Client]] {
        let mut rig = Rig::logged_in();
        passive(&mut rig, ANSWER);
        rig.client("QUI");
        rig.server("221 by");
        for leg in order {
            rig.input(Input::Eof(leg));
        }
        let seen = rig.take();
        assert!(seen.contains("Close(HoleId(1), None)") && seen.ends_with("End"), "{seen}");
        assert!(seen.contains("C 221 by"), "what came without its end passes: {seen}");
        assert_eq!(rig.relay.poll(), None);
    }
}

#[test]
fn a_client_that_has_said_all_hears_all() {
    let mut rig = Rig::logged_in();
    rig.client("PWD\r\nQUIT\r\n");
    rig.input(Input::Eof(Leg::Client));
    assert_eq!(rig.take(), "S PWD\nS QUIT\nShutdown(Server)");
    rig.server("257 \"/\"\r\n221 bye\r\n");
    rig.input(Input::Eof(Leg::Server));
    assert_eq!(rig.take(), "C 257 \"/\"\nC 221 bye\nEnd");
}

#[test]
fn extended_verbs_name_families_of_either_kind() {
    let mut rig = Rig::between("[2001:db8::7]:40000", "[2001:db8:1::9]:21", Policy::default());
    rig.log_in();
    rig.client("EPRT |2|2001:DB8:0::7|40001|\r\n");
    assert!(rig.wire().ends_with("S EPRT |2|2001:db8::1|55002|"));
    rig.server("200 ok\r\n");
    rig.client("EPSV 2\r\n");
    rig.server("229 ok (|2|2001:db8:1::9|50000|)\r\n");
    assert!(rig.take().contains("server: Listens([2001:db8:1::9]:50000)"));
}

#[test]
fn a_listing_in_a_reply_is_as_long_as_it_is() {
    let mut rig = Rig::logged_in();
    rig.client("STAT /\r\nNOOP\r\n");
    rig.server("213-Status:\r\n");
    let line = format!(" {}\r\n", "x".repeat(98));
    for _ in 0..5000 {
        rig.server(&line);
    }
    rig.server("213 End\r\n200 ok\r\n");
    let seen = rig.take();
    let lines: usize = seen.matches("xxx~ x").count();
    assert!(lines > 4900 && !seen.contains("End\n200") && !seen.contains("421"), "{lines}");
    assert!(seen.contains("213 End\nC 200 ok"));
    // What must be read as a whole has an end.
    rig.client("PASV\r\n");
    rig.server("227-Passive:\r\n");
    for _ in 0..5000 {
        rig.server(&line);
    }
    let seen = rig.take();
    assert!(seen.contains("C 421") && !seen.contains("Prepare"));
}

#[test]
fn an_address_of_ipv4_may_be_written_as_one_of_ipv6() {
    let mut rig = Rig::logged_in();
    rig.client("EPRT |2|::ffff:192.168.0.107|40001|\r\n");
    let wire = rig.wire();
    assert_eq!(wire, "S EPRT |1|218.2.135.1|55002|");
    rig.client("EPRT |2|::ffff:192.168.0.108|40001|\r\n");
    rig.server("200 ok\r\n");
    assert!(!rig.wire().contains("S EPRT"), "another host");
}

#[test]
fn pasv_with_something_behind_it_is_pasv() {
    for line in ["PASV \r\n", "PASV x\r\n", "P@SW\r\n", "EPSV 1 \r\n"] {
        let mut rig = Rig::logged_in();
        rig.client(line);
        rig.server(ANSWER);
        let seen = rig.take();
        assert!(seen.contains("Commit"), "{line:?}: {seen}");
    }
}

#[test]
fn a_refused_transfer_or_a_second_preliminary_reply_keeps_step() {
    in_pieces(|rig| {
        passive(rig, ANSWER);
        rig.client("RETR a\r\n");
        rig.server("150 here\r\n125 and here\r\n110 MARK\r\n226 done\r\n");
        let seen = rig.take();
        assert_eq!(seen.matches("Close").count(), 1, "{seen}");
        rig.client("PASV\r\nNOOP\r\n");
        rig.server(ANSWER);
        rig.server("200 ok\r\n");
        let wire = rig.wire();
        assert!(wire.ends_with("C 200 ok") && wire.contains("C 227"), "{wire}");
    });
}

#[test]
fn a_server_that_is_full_says_so_and_goes() {
    in_pieces(|rig| {
        rig.client("LIST\r\n");
        rig.server("421-Too many\r\n421 users\r\n");
        rig.input(Input::Eof(Leg::Server));
        assert_eq!(rig.take(), "S LIST\nC 421-Too many~421 users\nEnd");
    });
}

#[test]
fn a_line_that_the_server_did_not_end_is_heard_before_the_end() {
    let mut rig = Rig::logged_in();
    rig.client("QUIT\r\n");
    rig.server("221-Good\r\n22");
    rig.input(Input::Eof(Leg::Server));
    assert_eq!(rig.take(), "S QUIT\nC 221-Good~22\nEnd");
}
