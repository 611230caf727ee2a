use super::*;

const CLIENT_V6: &str = "[2001:db8::7]:40000";

fn behind_nat64() -> Rig {
    let mut rig = Rig::between(CLIENT_V6, SERVER, Policy::default());
    rig.log_in();
    rig
}

#[test]
fn ipv6_clients_reach_ipv4_servers() {
    let mut rig = Rig::between("[2001:db8::7]:40000", SERVER, Policy::default());
    rig.log_in();
    rig.client("EPSV\r\n");
    rig.server("227 Entering Passive Mode (203,0,113,10,195,80).\r\n");
    let wire = rig.wire();
    assert_eq!(wire, "S PASV\nC 229 Entering Extended Passive Mode (|||55001|)");
    rig.client("EPRT |2|2001:db8::7|40001|\r\n");
    assert_eq!(rig.wire(), "S PORT 218,2,135,1,214,218");
}

#[test]
fn algs_tells_and_changes_what_is_translated() {
    let mut rig = behind_nat64();
    let asks = |rig: &mut Rig, said: &str| {
        rig.client(&format!("ALGS {said}\r\n"));
        assert_eq!(rig.wire(), "S NOOP", "the server hears that the client is there");
        rig.server("200 ok\r\n");
        rig.wire()
    };
    let on = "C 216 EPSVEPRT EPSV becomes PASV, and EPRT becomes PORT.";
    let off = "C 216 NONE EPSV and EPRT pass as they are.";
    assert_eq!(asks(&mut rig, "STATUS64"), on);
    assert_eq!(asks(&mut rig, "disable64"), off);
    assert_eq!(asks(&mut rig, "STATUS64"), off);
    assert!(asks(&mut rig, "STATUS46").starts_with("C 504 ALGS takes STATUS64"));
    assert!(asks(&mut rig, "").starts_with("C 504 "));
    // As they are: the client's own words, and the port in the answer is one that it reaches.
    rig.client("EPSV ALL\r\n");
    assert_eq!(rig.wire(), "S EPSV ALL");
    rig.server("200 ok\r\n");
    rig.client("EPSV 2\r\n");
    rig.server("229 Entering Extended Passive Mode (|||50000|)\r\n");
    assert!(rig.wire().ends_with("S EPSV 2\nC 229 Entering Extended Passive Mode (|||55001|)"));
    rig.client("EPRT |2|2001:db8::7|40001|\r\n");
    assert_eq!(rig.take(), "Close(HoleId(1), None)\nignore EPRT\nS EPRT |2|2001:db8::7|40001|");
    rig.server("522 no\r\n");
    assert_eq!(rig.take(), "C 522 no");
    rig.client("EPRT |2|2001:db8::8|40001|\r\n");
    rig.server("200 ok\r\n");
    assert!(rig.take().contains("reason=foreign-address"), "of somebody else it passes never");
    assert_eq!(asks(&mut rig, "ENABLE64"), on);
    rig.client("EPSV\r\n");
    assert_eq!(rig.wire(), "S PASV");
}

#[test]
fn algs_passes_where_nothing_is_translated_from_ipv6_to_ipv4() {
    for (client, server) in [(CLIENT, SERVER), (CLIENT, "[2001:db8::1]:21")] {
        let mut rig = Rig::between(client, server, Policy::default());
        rig.log_in();
        rig.client("ALGS STATUS64\r\nALGS\r\n");
        rig.server("502 what?\r\n202 superfluous\r\n");
        assert_eq!(rig.wire(), "S ALGS STATUS64\nS ALGS\nC 502 what?\nC 202 superfluous");
    }
    let policy = Policy { mode: Mode::Passive, ..Policy::default() };
    let mut rig = Rig::between(CLIENT_V6, SERVER, policy);
    rig.log_in();
    rig.client("ALGS DISABLE64\r\n");
    rig.server("200 ok\r\n");
    assert!(rig.wire().contains("C 216 EPSVEPRT"), "the owner has decided");
}

#[test]
fn what_the_server_does_not_hear_it_hears_as_noop() {
    let mut rig = Rig::between(CLIENT_V6, SERVER, Policy::default());
    rig.server("220 ready\r\n");
    rig.client("ALGS STATUS64\r\n");
    assert!(rig.wire().ends_with("C 216 EPSVEPRT EPSV becomes PASV, and EPRT becomes PORT."));
    rig.log_in_greeted();
    rig.client("EPSV 1\r\nPWD\r\n");
    assert_eq!(rig.wire(), "S NOOP\nS PWD");
    rig.server("200 ok\r\n257 /\r\n");
    assert_eq!(rig.wire(), "C 522 Network protocol not supported, use (2).\nC 257 /");
    for (said, reason) in [("500 what?", "control-refused"), ("421 bye", "control-closing")] {
        let mut rig = behind_nat64();
        rig.client("EPSV ALL\r\n");
        rig.server(&format!("{said}\r\n"));
        let seen = rig.take();
        assert!(seen.contains(&format!("close session reason={reason}")), "{seen}");
        assert!(seen.ends_with("End"), "{seen}");
    }
}

#[test]
fn telnet_is_not_negotiated_from_end_to_end() {
    let mut rig = behind_nat64();
    rig.relay.handle(rig.now, Input::Bytes(Leg::Client, b"\xff\xfd\x06PWD\r\n"));
    rig.relay.handle(rig.now, Input::Bytes(Leg::Server, b"\xff\xfb\x01257 /\r\n"));
    let effects: Vec<Effect> = core::iter::from_fn(|| rig.relay.poll()).collect();
    let written = |leg, bytes: &[u8]| effects.contains(&Effect::Write(leg, bytes.to_vec()));
    assert!(written(Leg::Client, b"\xff\xfc\x06") && written(Leg::Server, b"PWD\r\n"));
    assert!(written(Leg::Server, b"\xff\xfe\x01") && written(Leg::Client, b"257 /\r\n"));
    // Of one family it is the peers' own matter.
    let mut rig = Rig::logged_in();
    rig.relay.handle(rig.now, Input::Bytes(Leg::Client, b"\xff\xfd\x06PWD\r\n"));
    assert_eq!(rig.relay.poll(), Some(Effect::Write(Leg::Server, b"\xff\xfd\x06PWD\r\n".to_vec())));
}

#[test]
fn a_security_exchange_of_another_kind_ends_all_reading_too() {
    for translated in [false, true] {
        let mut rig = if translated { behind_nat64() } else { Rig::logged_in() };
        rig.client("AUTH GSSAPI\r\n");
        rig.server("334 go on\r\n");
        rig.client("ADAT YQ==\r\n");
        rig.server("535 no\r\n");
        rig.client("EPSV\r\n");
        let expected = if translated { "S PASV" } else { "S EPSV" };
        assert!(rig.wire().ends_with(expected), "it has failed: all is as before");
        rig.server("500 no\r\n");
        rig.client("ADAT YQ==\r\n");
        rig.server("235 ADAT=Yg==\r\n");
        assert!(rig.take().ends_with("pass session\nC 235 ADAT=Yg==\nOpaque"));
        rig.client("MIC ZXBzdg==\r\n");
        assert_eq!(rig.take(), "S MIC ZXBzdg==");
    }
}

#[test]
fn a_transfer_without_a_set_up_passes_and_opens_nothing() {
    let mut rig = behind_nat64();
    rig.client("RETR a\r\n");
    rig.server("425 first PORT or PASV\r\n");
    assert_eq!(rig.take(), "S RETR a\nC 425 first PORT or PASV");
}
