use super::*;
use alloc::string::{String, ToString as _};
use alloc::vec;

const fn at(milliseconds: u64) -> Time {
    Time(Duration::from_millis(milliseconds))
}

/// A set-up over an imagined network of 10 ms. Inputs are written as words, effects as well.
struct Ladder {
    open: Open,
    now: u64,
}

impl Ladder {
    fn new(mode: Mode, peer: &str) -> Self {
        let round_trip = Duration::from_millis(10);
        Self { open: Open::new(at(0), mode, peer.parse().unwrap(), round_trip, None), now: 0 }
    }

    fn effects(&mut self) -> Vec<String> {
        let mut seen = vec![];
        while let Some(effect) = self.open.poll() {
            seen.push(match effect {
                Effect::Command(command) => {
                    let mut line = vec![];
                    command.encode(&mut line).unwrap();
                    line.trim_ascii().escape_ascii().to_string()
                }
                Effect::Dial { to, .. } => alloc::format!("dial {to}"),
                Effect::Listen => "listen".to_string(),
                Effect::Reconnect => "reconnect".to_string(),
                Effect::Ready(step) => alloc::format!("ready {}", step.name()),
                Effect::Failed(failures) => {
                    let each =
                        failures.iter().map(|f| alloc::format!(" {} {}", f.step.name(), f.reason));
                    alloc::format!("failed{}", each.collect::<String>())
                }
            });
        }
        seen
    }

    fn input(&mut self, word: &str) -> String {
        self.now += 10;
        let input = match word {
            "connected" => Input::Connected,
            "refused" => Input::DialFailed(Reason::DataRefused),
            "silence" => Input::DialFailed(Reason::DataDialTimeout),
            "listening" => Input::Listening("192.0.2.1:40000".parse().unwrap()),
            "no listener" => Input::ListenFailed,
            "in again" => Input::Reconnected,
            "eof" => Input::Lost(Reason::ControlLost),
            "425" => Input::Unusable(Reason::ControlRefused),
            "nobody" => Input::Unusable(Reason::ActiveNotConnected),
            "wait" => {
                self.now += 2000;
                Input::Timer
            }
            line => {
                let (code, text) = line.split_once(' ').unwrap();
                let code = Code::parse(code.as_bytes().try_into().unwrap()).unwrap();
                let lines = text.split('/').map(|line| line.as_bytes().to_vec()).collect();
                Input::Reply(Reply { code, lines })
            }
        };
        self.open.handle(at(self.now), input);
        self.effects().join("; ")
    }

    /// Feeds the words; the answer is what was done, in order.
    fn run(mode: Mode, peer: &str, inputs: &[&str]) -> Vec<String> {
        let mut ladder = Self::new(mode, peer);
        let mut seen = ladder.effects();
        seen.extend(inputs.iter().map(|word| ladder.input(word)));
        seen
    }
}

const PEER: &str = "192.0.2.9:21";

#[test]
fn extended_passive_in_every_wording() {
    for reply in [
        "229 Entering Extended Passive Mode (|||50021|)",
        "229 (!!!50021!)",
        "229 |||50021|",
        "229 (||50021|)",
        "229 (|1|10.0.0.1|50021|)",
        "200 ok (|||50021|)",
        "227 Entering Passive Mode (192,0,2,9,195,101)",
    ] {
        let seen = Ladder::run(Mode::Auto, PEER, &[reply, "connected"]);
        assert_eq!(seen, ["EPSV", "dial 192.0.2.9:50021", "ready EPSV"], "{reply}");
    }
}

#[test]
fn passive_in_every_wording() {
    for reply in [
        "227 Entering Passive Mode (192,0,2,9,195,101).",
        "227 Entering Passive Mode 192,0,2,9,195,101",
        "227 =192,0,2,9,195,101",
        "227 (192, 0, 2, 9, 195, 101)",
        "227 (192,000,002,009,195,101)",
        "227 somehow other words 192,0,2,9,195,101 end",
        "200 Entering Passive Mode (192,0,2,9,195,101)",
        "227 First line/Entering Passive Mode (192,0,2,9,195,101)",
        "227 (0,0,0,0,195,101)",
        "227 (10,0,0,1,195,101)",
        "227 (203,0,113,5,195,101)",
        "227 (127,0,0,1,195,101)",
    ] {
        let seen = Ladder::run(Mode::Pasv, PEER, &[reply, "connected"]);
        assert_eq!(seen, ["PASV", "dial 192.0.2.9:50021", "ready PASV"], "{reply}");
    }
}

#[test]
fn the_announced_address_comes_second_if_it_is_allowed() {
    let inputs = ["227 (203,0,113,5,195,101)", "refused", "connected"];
    let seen = Ladder::run(Mode::Pasv, PEER, &inputs);
    assert_eq!(seen, ["PASV", "dial 192.0.2.9:50021", "dial 203.0.113.5:50021", "ready PASV"]);
    let seen = Ladder::run(Mode::Pasv, PEER, &["227 (10,0,0,1,195,101)", "silence"]);
    let failed = "failed PASV data-address-foreign PASV passive-silent";
    assert_eq!(seen, ["PASV", "dial 192.0.2.9:50021", failed]);
}

#[test]
fn error_replies_and_malformed_ones_climb_on() {
    for reply in [
        "500 What?",
        "502 No.",
        "522 Use (2)",
        "425 Cannot.",
        "530 TLS?",
        "229 Entering Extended Passive Mode (|||0|)",
        "229 nothing here",
        "227 (300,0,0,1,195,101)",
        "227 (192,0,2,9,0,0)",
        "200 ok",
        "150 what?",
        "331 what?",
    ] {
        let seen = Ladder::run(Mode::Auto, PEER, &[reply]);
        assert_eq!(seen, ["EPSV", "PASV"], "{reply}");
    }
}

#[test]
fn a_closed_or_black_holed_port_climbs_on() {
    let inputs =
        ["229 (|||50021|)", "silence", "227 (192,0,2,9,195,102)", "refused", "listening", "200 ok"];
    let seen = Ladder::run(Mode::Auto, PEER, &inputs);
    assert_eq!(seen[1..3], ["dial 192.0.2.9:50021", "PASV"]);
    assert_eq!(seen[3..5], ["dial 192.0.2.9:50022", "listen"]);
    assert_eq!(seen[5..], ["EPRT |1|192.0.2.1|40000|", "ready EPRT"]);
}

#[test]
fn silence_and_421_need_a_new_connection() {
    for word in ["wait", "421 Bye.", "eof"] {
        let seen = Ladder::run(Mode::Auto, PEER, &[word, "in again"]);
        assert_eq!(seen, ["EPSV", "reconnect", "PASV"], "{word}");
    }
    let seen = Ladder::run(Mode::Epsv, PEER, &["eof"]);
    assert_eq!(seen, ["EPSV", "failed EPSV control-lost"]);
}

#[test]
fn the_last_rungs_and_the_whole_list_of_failures() {
    let inputs = ["500 a", "500 b", "listening", "500 c", "listening", "501 d"];
    let seen = Ladder::run(Mode::Auto, PEER, &inputs);
    let each =
        "EPSV control-refused PASV control-refused EPRT control-refused PORT control-refused";
    assert_eq!(seen[5], "PORT 192,0,2,1,156,64");
    assert_eq!(seen[6], alloc::format!("failed {each}"));
    let seen = Ladder::run(Mode::Port, PEER, &["no listener"]);
    assert_eq!(seen, ["listen", "failed PORT data-listen-failed"]);
}

#[test]
fn a_way_that_carries_nothing_is_left_for_the_next() {
    let seen = Ladder::run(Mode::Auto, PEER, &["229 (|||50021|)", "connected", "425"]);
    assert_eq!(seen, ["EPSV", "dial 192.0.2.9:50021", "ready EPSV", "PASV"]);
}

#[test]
fn where_the_server_cannot_reach_us_the_other_active_mode_is_not_tried() {
    let inputs = ["500 a", "500 b", "listening", "200 c", "nobody"];
    let seen = Ladder::run(Mode::Auto, PEER, &inputs);
    let failed = "failed EPSV control-refused PASV control-refused EPRT active-not-connected";
    assert_eq!(seen[4..], ["ready EPRT", failed]);
}

#[test]
fn over_ipv6_there_is_no_port_command() {
    let inputs = ["500 a", "500 b", "listening", "522 c"];
    let seen = Ladder::run(Mode::Auto, "[2001:db8::9]:21", &inputs);
    assert!(seen.last().unwrap().starts_with("failed"), "{seen:?}");
    let mut ladder = Ladder::new(Mode::Port, "[2001:db8::9]:21");
    ladder.effects();
    ladder.open.handle(at(1), Input::Listening("[2001:db8::1]:40000".parse().unwrap()));
    assert_eq!(ladder.effects(), ["failed PORT port-needs-ipv4"]);
    // vsftpd answers PASV there with 0.0.0.0, and the port works.
    let seen = Ladder::run(Mode::Pasv, "[2001:db8::9]:21", &["227 (0,0,0,0,195,101)"]);
    assert_eq!(seen[1], "dial [2001:db8::9]:50021");
}

#[test]
fn patience_is_short_only_where_there_is_another_way() {
    let open = |mode| {
        let round_trip = Duration::from_millis(500);
        let mut open = Open::new(at(0), mode, PEER.parse().unwrap(), round_trip, None);
        assert!(open.poll().is_some());
        let reply = Reply::line(Code::EXTENDED_PASSIVE, "(|||50021|)");
        open.handle(at(1), Input::Reply(reply));
        open.poll()
    };
    let to = "192.0.2.9:50021".parse().unwrap();
    let patience = Some(Duration::from_millis(1500));
    assert_eq!(open(Mode::Auto), Some(Effect::Dial { to, patience }));
    assert_eq!(open(Mode::Epsv), Some(Effect::Dial { to, patience: None }));
}

#[test]
fn what_worked_is_tried_first() {
    let peer = PEER.parse().unwrap();
    let mut open = Open::new(at(0), Mode::Auto, peer, Duration::ZERO, Some(Step::Pasv));
    assert_eq!(open.poll(), Some(Effect::Command(Command::Pasv)));
    assert_eq!(open.left, [Step::Epsv, Step::Eprt, Step::Port]);
}
