//! The client's login, data set-up and transfer against any server and any network: no panic, one
//! end, and no timer that stays due.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use twoport_proto::client::{login, open, transfer};
use twoport_proto::code::Code;
use twoport_proto::command::Command;
use twoport_proto::reason::Reason;
use twoport_proto::reply::Reply;
use twoport_proto::time::Time;

#[derive(Arbitrary, Debug)]
enum Move {
    Reply(u8, u8, Vec<u8>),
    Lost(u8),
    Ends(u32),
    Fails(u8, u32),
    Connected,
    DialFailed(u8),
    Listening(u16),
    ListenFailed,
    Reconnected,
    Unusable(u8),
    Wait(u16),
}

#[derive(Arbitrary, Debug)]
struct Play {
    kind: u8,
    size: Option<u32>,
    restart: u32,
    moves: Vec<Move>,
}

const CODES: [&[u8; 3]; 24] = [
    b"110", b"120", b"125", b"150", b"200", b"202", b"211", b"213", b"220", b"225", b"226", b"227",
    b"229", b"230", b"250", b"331", b"332", b"350", b"421", b"425", b"426", b"451", b"500", b"550",
];

fn reply(code: u8, text: &[u8]) -> Reply {
    let code = Code::parse(*CODES[usize::from(code) % CODES.len()]).unwrap();
    Reply::line(code, text)
}

fn reason(number: u8) -> Reason {
    Reason::ALL[usize::from(number) % Reason::ALL.len()]
}

fn logs_in(moves: &[Move]) {
    let mut machine = login::Login::new(login::Credentials::default());
    let mut ends = 0;
    for step in moves {
        let input = match step {
            Move::Reply(code, _, text) => login::Input::Reply(reply(*code, text)),
            Move::Lost(why) => login::Input::Lost(reason(*why)),
            _ => continue,
        };
        machine.handle(Time::ZERO, input);
        while let Some(effect) = machine.poll() {
            ends += usize::from(!matches!(effect, login::Effect::Command(_)));
        }
        // Its driver listens to it no longer.
        if ends > 0 {
            break;
        }
    }
    assert!(ends <= 1, "it ended twice");
}

fn opens(kind: u8, moves: &[Move]) {
    use open::{Effect, Input, Mode, Network};
    let (_, mode) = Mode::ALL[usize::from(kind) % Mode::ALL.len()];
    let peer = if kind < 128 { "192.0.2.1:21" } else { "[2001:db8::1]:21" };
    let mut now = Time::ZERO;
    let round_trip = Duration::from_millis(20);
    let peer: std::net::SocketAddr = peer.parse().unwrap();
    let local = if kind % 4 < 2 { "192.168.0.7:40000" } else { "192.0.2.7:40000" };
    let network = Network {
        peer,
        local: local.parse().unwrap(),
        round_trip,
        worked: None,
        external: None,
        seen: None,
        can_listen: kind % 16 != 15,
    };
    let mut machine = open::Open::new(now, mode, network);
    let mut failed = 0;
    for step in moves {
        let input = match step {
            Move::Reply(code, octet, text) => {
                let text = if *octet < 64 {
                    format!("Entering Passive Mode (192,0,2,{octet},200,{octet}).").into_bytes()
                } else if *octet < 128 {
                    format!("Entering Extended Passive Mode (|||{octet}00|)").into_bytes()
                } else {
                    text.clone()
                };
                Input::Reply(reply(*code, &text))
            }
            Move::Lost(why) => Input::Lost(reason(*why)),
            Move::Connected => Input::Connected,
            Move::DialFailed(why) => Input::DialFailed(vec![(peer, reason(*why))]),
            Move::Listening(port) => Input::Listening(([192, 0, 2, 7], *port).into()),
            Move::ListenFailed => Input::ListenFailed(reason(0)),
            Move::Reconnected => Input::Reconnected,
            Move::Unusable(why) => {
                let reply = why.is_multiple_of(2).then(|| reply(*why, b"no"));
                Input::Unusable { reason: reason(*why), reply }
            }
            Move::Wait(time) => {
                now = now.after(Duration::from_millis(u64::from(*time)));
                Input::Timer
            }
            Move::Ends(_) | Move::Fails(..) => continue,
        };
        machine.handle(now, input);
        while let Some(effect) = machine.poll() {
            match effect {
                Effect::Dial { to, .. } => assert!(to.iter().all(|to| to.port() != 0)),
                Effect::Failed(_) => failed += 1,
                _ => {}
            }
        }
        if machine.deadline().is_some_and(|deadline| deadline <= now) {
            machine.handle(now, Input::Timer);
            while machine.poll().is_some() {}
            let due = machine.deadline().is_some_and(|deadline| deadline <= now);
            assert!(!due, "a timer stays due");
        }
    }
    assert!(failed <= 1, "it failed twice");
}

fn transfers(play: &Play) {
    use transfer::{Direction, Effect, Input, Patience, Plan, Verdict};
    let (command, direction) = match play.kind % 3 {
        0 => (Command::Retr(b"a".as_slice().into()), Direction::Download),
        1 => (Command::Mlsd(None), Direction::Listing),
        _ => (Command::Stor(b"a".as_slice().into()), Direction::Upload),
    };
    let second = Duration::from_secs(1);
    let patience = Patience { reply: 5 * second, confirm: 9 * second, round_trip: second / 50 };
    let (restart, size) = (play.restart.into(), play.size.map(u64::from));
    let mut now = Time::ZERO;
    let protected = play.kind & 0x80 != 0;
    let plan = Plan { command, direction, restart, size, patience, protected };
    let mut machine = transfer::Transfer::new(now, plan);
    let mut ends = 0;
    let mut moved = 0;
    for step in &play.moves {
        let input = match step {
            Move::Reply(code, _, text) => Input::Reply(reply(*code, text)),
            Move::Lost(why) => Input::Lost(reason(*why)),
            Move::Ends(bytes) => Input::DataEnded { bytes: (*bytes).into() },
            Move::Fails(why, bytes) => {
                Input::DataFailed { reason: reason(*why), bytes: (*bytes).into() }
            }
            Move::Wait(time) => {
                now = now.after(Duration::from_millis(u64::from(*time)));
                if machine.deadline().is_none_or(|deadline| deadline > now) {
                    continue;
                }
                moved += 1;
                Input::Timer { bytes: moved }
            }
            _ => continue,
        };
        machine.handle(now, input);
        while let Some(effect) = machine.poll() {
            assert_eq!(ends, 0, "an effect after the end: {effect:?}");
            if let Effect::Done(outcome) = effect {
                ends += 1;
                let confirmed = outcome.verdict == Verdict::Confirmed;
                assert!(!confirmed || outcome.reply.is_some(), "confirmed by nobody");
                if confirmed && direction == Direction::Download && restart == 0 {
                    let short = size.is_some_and(|size| size > outcome.bytes && size != 0);
                    assert!(!short, "confirmed with bytes missing: {outcome:?}");
                }
            }
        }
        assert!(machine.deadline().is_none_or(|at| at > now), "a timer stays due");
    }
}

fuzz_target!(|play: Play| {
    logs_in(&play.moves);
    opens(play.kind, &play.moves);
    transfers(&play);
});
