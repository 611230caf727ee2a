//! A server that cannot be reached where it listens is asked to connect, where that is the policy.

use super::*;

const FAR: &str = "227 Entering Passive Mode (203,0,113,10,195,80).\r\n";

fn auto(way: Way) -> Rig {
    let mut rig = Rig::new(Policy { mode: Mode::Auto, ..Policy::default() });
    rig.way = way;
    rig.log_in();
    rig
}

#[test]
fn a_closed_port_is_not_announced_and_the_server_connects() {
    for verb in ["PASV", "EPSV"] {
        let mut rig = auto(Way::Closed);
        rig.client(&format!("{verb}\r\n"));
        rig.server(if verb == "PASV" { FAR } else { "229 listening (|||50000|)\r\n" });
        let seen = rig.take();
        assert!(seen.contains("Probe(203.0.113.10:50000)"), "{seen}");
        assert!(seen.contains("Hole { client: Dials, server: Dials }"), "{seen}");
        assert!(seen.ends_with("S PORT 218,2,135,1,214,218"), "nothing is said yet: {seen}");
        // Not before the server's consent, which the client's own door waits for, too.
        rig.client("RETR a\r\n");
        assert_eq!(rig.take(), "");
        rig.server("200 ok\r\n");
        let seen = rig.take();
        let door = if verb == "PASV" { "227 Entering Passive Mode (192,168,0,1" } else { "229 " };
        assert!(seen.starts_with(&format!("Commit(HoleId(1))\nC {door}")), "{seen}");
        assert!(seen.ends_with("Commit(HoleId(1))\nS RETR a"), "{seen}");
        rig.server("150 here\r\n226 done\r\n");
        assert_eq!(rig.take(), "C 150 here\nClose(HoleId(1), None)\nC 226 done");
    }
}

#[test]
fn a_server_that_will_not_connect_is_announced_as_it_was() {
    for refusal in ["500 no\r\n", FAR] {
        let mut rig = auto(Way::Closed);
        rig.client("PASV\r\n");
        rig.server(FAR);
        rig.take();
        rig.server(refusal);
        let seen = rig.take();
        assert!(seen.contains("server: Listens(203.0.113.10:50000)"), "{seen}");
        assert!(seen.ends_with("C 227 Entering Passive Mode (192,168,0,1,214,217)."), "{seen}");
        assert!(!seen.contains("C 500"), "{seen}");
    }
}

#[test]
fn a_way_that_was_found_may_be_spent_and_one_that_was_known_is_not() {
    let mut rig = auto(Way::Found);
    rig.client("PASV\r\n");
    rig.server(FAR);
    assert!(rig.take().ends_with("Probe(203.0.113.10:50000)\nS PASV"));
    rig.server("227 Entering Passive Mode (203,0,113,10,195,81).\r\n");
    let seen = rig.take();
    assert!(!seen.contains("Probe") && seen.contains("Listens(203.0.113.10:50001)"), "{seen}");
    rig.client("PASV\r\n");
    rig.server(FAR);
    assert!(!rig.take().contains("Probe"), "once in a session");

    let mut rig = auto(Way::Known);
    rig.client("EPSV\r\n");
    rig.server("229 listening (|||50000|)\r\n");
    let seen = rig.take();
    assert!(!seen.contains("S P") && seen.contains("Commit(HoleId(1))\nC 229"), "{seen}");
}

#[test]
fn what_goes_with_a_transfer_behind_it_or_after_epsv_all_goes_as_it_was_asked() {
    let mut rig = auto(Way::Closed);
    rig.client("PASV\r\nRETR a\r\n");
    rig.server(FAR);
    let seen = rig.take();
    assert!(!seen.contains("Probe") && seen.contains("C 227"), "{seen}");

    let mut rig = auto(Way::Closed);
    rig.client("EPSV ALL\r\n");
    rig.server("200 ok\r\n");
    rig.client("EPSV\r\n");
    rig.server("229 listening (|||50000|)\r\n");
    assert!(!rig.take().contains("Probe"));
}

#[test]
fn the_end_of_the_session_while_a_port_is_tried_is_its_end() {
    let mut rig = auto(Way::Closed);
    rig.doors = None;
    rig.client("PASV\r\n");
    rig.server(FAR);
    assert!(rig.wire().contains("C 425"), "no doors at all");
    rig.input(Input::Probed("203.0.113.10:50000".parse().unwrap(), Way::Closed));
    assert_eq!(rig.take(), "", "nobody asked");
}

#[test]
fn a_server_that_refuses_port_is_asked_to_listen() {
    for verb in ["PORT 192,168,0,107,156,65", "EPRT |1|192.168.0.107|40001|"] {
        let mut rig = auto(Way::Known);
        rig.client(&format!("{verb}\r\nRETR a\r\n"));
        rig.take();
        rig.server("500 not to you\r\n");
        let seen = rig.take();
        assert!(seen.ends_with("S PASV") && !seen.contains("C 500"), "{seen}");
        rig.server(FAR);
        let seen = rig.take();
        assert!(seen.contains("Listens(192.168.0.107:40001), server: Listens(203.0.113.10:50000)"));
        assert!(seen.contains("C 200") && seen.ends_with("S RETR a\nDial(HoleId(2))"), "{seen}");
    }
    // A server that will do neither is told of as one that has no way.
    let mut rig = auto(Way::Known);
    rig.client("PORT 192,168,0,107,156,65\r\n");
    rig.server("500 no\r\n502 no\r\n");
    let wire = rig.wire();
    assert!(wire.contains("S PASV\nC 451"), "{wire}");
    // Behind a NOOP that was said meanwhile the answer would come too late.
    rig.client("PORT 192,168,0,107,156,65\r\nNOOP\r\n");
    rig.server("500 no\r\n200 ok\r\n");
    assert!(rig.wire().ends_with("C 500 no\nC 200 ok"));
}
