//! Client and server, machine to machine under virtual time: all modes, all networks that a test
//! can think of, and never a confirmation of what did not happen.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::time::Duration;

use twoport_lab::pair::{Network, Pair, Played, Port};
use twoport_proto::client::transfer::Verdict;
use twoport_proto::reason::Reason;

const CONTENT: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const SETUP: &str = "user ann pass secret   file /a.bin \"0123456789abcdefghijklmnopqrstuvwxyz\"";

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn network(latency: Duration) -> Network {
    Network { latency, data_latency: latency, ..Network::default() }
}

fn run(network: Network, errand: &str) -> (Pair, Played) {
    let mut pair = Pair::new(SETUP, network).unwrap();
    let played = pair.run(errand, CONTENT).unwrap();
    (pair, played)
}

fn verdict(played: &Played) -> Option<Verdict> {
    played.outcome.as_ref().map(|outcome| outcome.verdict)
}

/// Whether the client knows that it has not all.
fn is_broken(played: &Played) -> bool {
    matches!(verdict(played), Some(Verdict::Truncated(_) | Verdict::Refused(_)))
}

#[test]
fn every_mode_moves_files_both_ways_over_every_distance() {
    for latency in [0, 1, 20, 300, 2000] {
        for mode in ["auto", "epsv", "pasv", "eprt", "port"] {
            let (_, played) = run(network(ms(latency)), &format!("{mode} \"RETR a.bin\""));
            assert_eq!(verdict(&played), Some(Verdict::Confirmed), "{mode} {latency} {played:?}");
            assert_eq!(played.received, CONTENT);
            let (pair, played) = run(network(ms(latency)), &format!("{mode} \"STOR b.bin\""));
            assert_eq!(verdict(&played), Some(Verdict::Confirmed), "{mode} {latency} {played:?}");
            assert_eq!(pair.stored("/b.bin").unwrap().as_deref(), Some(CONTENT));
            let (_, played) = run(network(ms(latency)), &format!("{mode} NLST"));
            assert_eq!(verdict(&played), Some(Verdict::Confirmed), "{mode} {latency} {played:?}");
            assert_eq!(played.received, b"a.bin\r\n");
        }
    }
}

#[test]
fn a_firewall_before_the_passive_ports_is_climbed_around_in_seconds() {
    for (passive, reason) in [(Port::Silent, "passive-silent"), (Port::Refused, "passive-refused")]
    {
        let (_, played) = run(Network { passive, ..network(ms(20)) }, "auto \"RETR a.bin\"");
        assert_eq!(verdict(&played), Some(Verdict::Confirmed), "{played:?}");
        for step in ["EPSV", "PASV"] {
            let tried = format!("tried {step} reason={reason}");
            assert!(played.client.contains(&tried), "{tried}: {:?}", played.client);
        }
        assert!(played.client.contains(&"ready EPRT".into()));
        assert!(played.elapsed < Duration::from_secs(4), "{:?}", played.elapsed);
    }
}

#[test]
fn the_final_reply_may_overtake_the_data() {
    let slow = Network { data_latency: ms(3000), ..network(ms(10)) };
    let (_, played) = run(slow, "epsv \"RETR a.bin\"");
    assert_eq!(verdict(&played), Some(Verdict::Confirmed), "{played:?}");
    assert_eq!(played.received, CONTENT);
}

#[test]
fn a_client_behind_nat_hears_of_its_silent_port_from_the_server() {
    let (_, played) = run(Network { active: Port::Refused, ..network(ms(10)) }, "port NLST");
    let refused = played.server.iter().any(|note| note.contains("data-refused"));
    assert!(refused, "{played:?}");
    assert!(matches!(verdict(&played), Some(Verdict::Refused(_))), "{played:?}");
}

#[test]
fn a_control_connection_that_a_nat_forgot_leaves_a_download_unconfirmed() {
    let forgets = Network { forgets_control: true, ..network(ms(10)) };
    let (_, played) = run(forgets, "epsv \"RETR a.bin\"");
    let unconfirmed = Verdict::Unconfirmed(Reason::FinalReplyMissing);
    assert_eq!(verdict(&played), Some(unconfirmed), "{played:?}");
    assert_eq!(played.received, CONTENT);
}

#[test]
fn nothing_is_confirmed_that_was_cut_and_no_half_file_is_ever_seen() {
    for cut in 0..CONTENT.len() as u64 {
        for latency in [0, 15] {
            let broken = Network { cut: Some(cut), ..network(ms(latency)) };
            let (_, played) = run(broken, "epsv \"RETR a.bin\"");
            assert!(is_broken(&played), "{cut}: {played:?}");
            assert!(CONTENT.starts_with(&played.received));
            let (pair, played) = run(broken, "epsv \"STOR b.bin\"");
            assert!(is_broken(&played), "{cut}: {played:?}");
            assert_eq!(pair.stored("/b.bin").unwrap(), None, "{cut}");
            let (pair, _) = run(broken, "epsv \"STOR a.bin\"");
            assert_eq!(pair.stored("/a.bin").unwrap().as_deref(), Some(CONTENT), "{cut}");
        }
    }
}

#[test]
fn what_was_cut_is_resumed_to_the_whole() {
    for cut in 2..CONTENT.len() as u64 {
        let mut pair = Pair::new(SETUP, Network { cut: Some(cut), ..network(ms(15)) }).unwrap();
        pair.run("epsv \"STOR b.bin\"", CONTENT).unwrap();
        pair.set_network(network(ms(15)));
        let errand = format!("epsv \"STOR b.bin\" restart={}", cut - 1);
        let played = pair.run(&errand, CONTENT).unwrap();
        assert_eq!(verdict(&played), Some(Verdict::Confirmed), "{cut}: {played:?}");
        assert_eq!(pair.stored("/b.bin").unwrap().as_deref(), Some(CONTENT), "{cut}");
    }
}
