use super::*;
use alloc::string::{String, ToString as _};
use alloc::vec;

const fn at(milliseconds: u64) -> Time {
    Time(Duration::from_millis(milliseconds))
}

/// One of 10 ms without a NAT, but that no packet ends in it.
fn network(peer: &str) -> Network {
    let peer: SocketAddr = peer.parse().unwrap();
    let local = if peer.is_ipv4() { "192.0.2.1:40000" } else { "[2001:db8::1]:40000" };
    Network {
        peer,
        local: local.parse().unwrap(),
        round_trip: Duration::from_millis(10),
        worked: None,
        external: None,
        seen: Some(Seen { address: None, port: None }),
        can_listen: true,
    }
}

/// A set-up over an imagined network of 10 ms. Inputs are written as words, effects as well.
struct Ladder {
    open: Open,
    now: u64,
    dialled: Vec<SocketAddr>,
}

impl Ladder {
    fn new(mode: Mode, peer: &str) -> Self {
        Self::on(mode, network(peer))
    }

    fn on(mode: Mode, network: Network) -> Self {
        Self { open: Open::new(at(0), mode, network), now: 0, dialled: vec![] }
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
                Effect::Dial { to, .. } => {
                    self.dialled.clone_from(&to);
                    let each = to.iter().map(|to| alloc::format!(" {to}"));
                    alloc::format!("dial{}", each.collect::<String>())
                }
                Effect::Listen => "listen".to_string(),
                Effect::Punch => "punch".to_string(),
                Effect::Map => "map".to_string(),
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
            "refused" => self.dial_failed(Reason::DataRefused),
            "silence" => self.dial_failed(Reason::DataDialTimeout),
            "listening" => {
                let local = self.open.network.local.ip();
                Input::Listening(SocketAddr::new(local, 40000))
            }
            "no listener" => Input::ListenFailed(Reason::DataListenFailed),
            "mapped" => Input::Listening("218.2.135.1:50007".parse().unwrap()),
            "no router" => Input::ListenFailed(Reason::RouterSilent),
            "no room" => Input::ListenFailed(Reason::PunchNoRoom),
            "in again" => Input::Reconnected,
            "eof" => Input::Lost(Reason::ControlLost),
            "425" => Input::Unusable {
                reason: Reason::ControlRefused,
                reply: Some(Reply::line(Code::NO_DATA_CONNECTION, "no")),
            },
            "nobody" => Input::Unusable { reason: Reason::ActiveNotConnected, reply: None },
            "wait" => {
                self.now += 2000;
                Input::Timer
            }
            line => {
                let (code, text) = line.split_once(' ').unwrap();
                let code = Code::parse(code.as_bytes().try_into().unwrap()).unwrap();
                let lines = text.split('/').map(|line| line.as_bytes().to_vec()).collect();
                Input::Reply(Reply::heard(code, lines))
            }
        };
        self.open.handle(at(self.now), input);
        self.effects().join("; ")
    }

    fn dial_failed(&self, reason: Reason) -> Input {
        Input::DialFailed(self.dialled.iter().map(|to| (*to, reason)).collect())
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
        "227 (127,0,0,1,195,101)",
    ] {
        let seen = Ladder::run(Mode::Pasv, PEER, &[reply, "connected"]);
        assert_eq!(seen, ["PASV", "dial 192.0.2.9:50021", "ready PASV"], "{reply}");
    }
}

#[test]
fn the_announced_address_comes_second_if_it_is_allowed() {
    let inputs = ["227 (203,0,113,5,195,101)", "connected"];
    let seen = Ladder::run(Mode::Pasv, PEER, &inputs);
    assert_eq!(seen, ["PASV", "dial 192.0.2.9:50021 203.0.113.5:50021", "ready PASV"]);
    let seen = Ladder::run(Mode::Pasv, PEER, &[inputs[0], "silence"]);
    assert_eq!(seen[2], "failed PASV passive-silent PASV passive-silent");
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
    let inputs = [
        "229 (|||50021|)",
        "silence",
        "227 (192,0,2,9,195,102)",
        "refused",
        "no room",
        "listening",
        "200 ok",
    ];
    let seen = Ladder::run(Mode::Auto, PEER, &inputs);
    assert_eq!(seen[1..3], ["dial 192.0.2.9:50021", "PASV"]);
    assert_eq!(seen[3..6], ["dial 192.0.2.9:50022", "punch", "listen"]);
    assert_eq!(seen[6..], ["EPRT |1|192.0.2.1|40000|", "ready EPRT"]);
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
    let inputs = [
        "500 a",
        "500 b",
        "listening",
        "500 c",
        "listening",
        "500 d",
        "listening",
        "500 e",
        "listening",
        "501 f",
        "no router",
    ];
    let seen = Ladder::run(Mode::Auto, PEER, &inputs);
    let each: String = ["EPSV", "PASV", "punched EPRT", "punched PORT", "EPRT", "PORT"]
        .map(|step| alloc::format!(" {step} control-refused"))
        .concat();
    assert_eq!(seen[9], "PORT 192,0,2,1,156,64");
    assert_eq!(seen[10], "map");
    assert_eq!(seen[11], alloc::format!("failed{each} mapped EPRT router-silent"));
    let seen = Ladder::run(Mode::Port, PEER, &["no listener"]);
    assert_eq!(seen, ["listen", "failed PORT data-listen-failed"]);
}

#[test]
fn a_way_that_carries_nothing_is_left_for_the_next() {
    let seen = Ladder::run(Mode::Auto, PEER, &["229 (|||50021|)", "connected", "425"]);
    assert_eq!(seen, ["EPSV", "dial 192.0.2.9:50021", "ready EPSV", "PASV"]);
}

#[test]
fn where_the_server_cannot_reach_us_what_would_name_the_same_address_is_not_tried() {
    // The hole was for the own address, and so would be a plain port.
    let inputs = ["500 a", "500 b", "listening", "200 c", "nobody", "in again", "no router"];
    let seen = Ladder::run(Mode::Auto, PEER, &inputs);
    let failed = "failed EPSV control-refused PASV control-refused punched EPRT punch-not-met \
                  mapped EPRT router-silent";
    assert_eq!(seen[4..], ["ready punched EPRT", "reconnect", "map", failed]);
    // There was no hole.
    let mut inputs = vec!["500 a", "500 b", "no room", "listening", "200 c", "nobody"];
    inputs.extend(["in again", "no router"]);
    let seen = Ladder::run(Mode::Auto, PEER, &inputs);
    let failed = "failed EPSV control-refused PASV control-refused punched EPRT punch-no-room \
                  EPRT active-not-connected mapped EPRT router-silent";
    assert_eq!(seen[5..], ["ready EPRT", "reconnect", "map", failed]);
}

/// A client behind a NAT, with a server in public.
fn behind_nat() -> Network {
    let local = "192.168.0.107:40000".parse().unwrap();
    Network { local, seen: None, ..network("203.0.113.10:21") }
}

fn run_on(mode: Mode, network: Network, inputs: &[&str]) -> Vec<String> {
    let mut ladder = Ladder::on(mode, network);
    let mut seen = ladder.effects();
    seen.extend(inputs.iter().map(|word| ladder.input(word)));
    seen
}

#[test]
fn behind_a_nat_the_server_is_asked_where_it_sees_us() {
    let inputs = ["211 State:/ Connected to 218.2.135.1/End", "listening", "200 ok"];
    let seen = run_on(Mode::Punch, behind_nat(), &inputs);
    let eprt = "EPRT |1|218.2.135.1|40000|";
    assert_eq!(seen, ["STAT", "punch", eprt, "ready punched EPRT"]);
    let known = Some("198.51.100.7".parse().unwrap());
    let network = Network { external: known, ..behind_nat() };
    let seen = run_on(Mode::Punch, network, &["listening", "500 what?", "listening", "200 ok"]);
    let port = "PORT 198,51,100,7,156,64";
    assert_eq!(seen[2..], ["punch", port, "ready punched PORT"]);
    // What is told for certain is announced in plain active mode, too.
    assert_eq!(run_on(Mode::Port, network, &["listening"])[1], port);
}

#[test]
fn what_makes_a_hole_pointless_is_said_and_the_rest_is_tried() {
    for (reply, reason) in [
        ("502 no", "external-address-unknown"),
        ("211 State:/ Connected from 218.2.135.1:50000/End", "nat-changes-ports"),
    ] {
        let seen = run_on(Mode::Punch, behind_nat(), &[reply]);
        assert_eq!(seen, ["STAT", &alloc::format!("failed punched EPRT {reason}")]);
        let inputs =
            ["500 a", "500 b", reply, "listening", "500 illegal", "listening", "500 again"];
        let seen = run_on(Mode::Auto, behind_nat(), &inputs);
        assert_eq!(seen[3..5], ["listen", "EPRT |1|192.168.0.107|40000|"]);
        assert_eq!(seen.last().unwrap(), "map");
    }
}

#[test]
fn a_server_that_still_tries_to_connect_is_left_alone() {
    let told = "211 State:/ Connected to 218.2.135.1/End";
    let inputs = ["500 a", "500 b", told, "listening", "200 c", "nobody", "in again", "listening"];
    let seen = run_on(Mode::Auto, behind_nat(), &inputs);
    // An FTP helper may open for the own address.
    let plain = ["reconnect", "listen", "EPRT |1|192.168.0.107|40000|"];
    assert_eq!(seen[6..], plain);
    // A 425 leaves the control connection in order.
    let inputs = ["500 a", "500 b", told, "listening", "200 c", "425"];
    assert_eq!(run_on(Mode::Auto, behind_nat(), &inputs)[6], "listen");
}

#[test]
fn a_stat_that_is_swallowed_costs_the_connection_and_is_not_repeated() {
    let inputs = ["500 a", "500 b", "wait", "in again", "listening"];
    let seen = run_on(Mode::Auto, behind_nat(), &inputs);
    assert_eq!(seen[2..], ["STAT", "reconnect", "listen", "EPRT |1|192.168.0.107|40000|"]);
}

#[test]
fn a_router_that_maps_ports_is_the_last_step() {
    let network = behind_nat();
    let inputs = ["listening", "500 illegal", "mapped", "500 what?"];
    let seen = run_on(Mode::Port, network, &inputs);
    let failed = "failed PORT active-address-refused mapped PORT control-refused";
    assert_eq!(seen[2..], ["map", "PORT 218,2,135,1,195,87", failed]);
    let inputs = ["listening", "500 illegal", "mapped", "200 ok"];
    let seen = run_on(Mode::Eprt, network, &inputs);
    assert_eq!(seen[2..], ["map", "EPRT |1|218.2.135.1|50007|", "ready mapped EPRT"]);
    // In public there is nothing to map, and a forwarded port is there already.
    assert_eq!(Ladder::run(Mode::Port, PEER, &["listening", "500 no"]).len(), 3);
    let external = Some("198.51.100.7".parse().unwrap());
    let network = Network { external, ..behind_nat() };
    let seen = run_on(Mode::Eprt, network, &["listening", "500 no"]);
    assert_eq!(seen[2], "failed EPRT control-refused");
}

#[test]
fn through_a_proxy_nobody_connects_to_us() {
    let network = Network { can_listen: false, ..behind_nat() };
    let seen = run_on(Mode::Auto, network, &["500 a", "500 b"]);
    assert_eq!(seen[2], "failed EPSV control-refused PASV control-refused");
    for mode in [Mode::Eprt, Mode::Port, Mode::Punch] {
        let seen = run_on(mode, network, &[]);
        assert!(seen[0].ends_with("proxy-passive-only"), "{seen:?}");
    }
}

#[test]
fn over_ipv6_there_is_no_port_command() {
    let inputs = ["500 a", "500 b", "no room", "listening", "522 c", "no router"];
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
        let mut open = Open::new(at(0), mode, Network { round_trip, ..network(PEER) });
        assert!(open.poll().is_some());
        let reply = Reply::line(Code::EXTENDED_PASSIVE, "(|||50021|)");
        open.handle(at(1), Input::Reply(reply));
        open.poll()
    };
    let to: Vec<SocketAddr> = vec!["192.0.2.9:50021".parse().unwrap()];
    let patience = Some(Duration::from_millis(1500));
    assert_eq!(open(Mode::Auto), Some(Effect::Dial { to: to.clone(), patience }));
    assert_eq!(open(Mode::Epsv), Some(Effect::Dial { to, patience: None }));
}

#[test]
fn what_worked_is_tried_first() {
    let worked = Some(Step::PunchPort);
    let mut open = Open::new(at(0), Mode::Auto, Network { worked, ..network(PEER) });
    assert_eq!(open.poll(), Some(Effect::Punch));
    let rest = [Step::Epsv, Step::Pasv, Step::PunchEprt, Step::Eprt, Step::Port];
    assert_eq!(open.left.iter().copied().take(5).collect::<Vec<_>>(), rest);
}
