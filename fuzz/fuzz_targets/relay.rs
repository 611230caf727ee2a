//! A relay between any two peers: the same however bytes are cut; pinholes one at a time, only
//! towards the two peers, never below port 1024, and none before they were prepared.
#![no_main]

use std::net::SocketAddr;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use twoport_proto::relay::{
    Auth, Doors, Effect, Ends, Hole, HoleId, Input, Leg, Legs, Mode, Policy, Relay, Side, Upstream,
};
use twoport_proto::time::Time;

const CLIENT: &str = "192.168.0.107:40000";
const SERVER: &str = "203.0.113.10:21";

struct World {
    relay: Relay,
    now: Time,
    prepared: Vec<(HoleId, Hole)>,
    open: Option<HoleId>,
    ended: bool,
    to_client: Vec<u8>,
    to_server: Vec<u8>,
}

impl World {
    fn new(policy: Policy) -> Self {
        let ends = Ends { client: CLIENT.parse().unwrap(), server: SERVER.parse().unwrap() };
        Self {
            relay: Relay::new(ends, Legs::default(), policy),
            now: Time::ZERO,
            prepared: Vec::new(),
            open: None,
            ended: false,
            to_client: Vec::new(),
            to_server: Vec::new(),
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.relay.handle(self.now, input);
        while let Some(effect) = self.relay.poll() {
            assert!(!self.ended, "{effect:?} after the end");
            self.carry_out(effect);
        }
        assert!(self.relay.deadline().is_none_or(|due| due > self.now), "a timer stays due");
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Write(Leg::Client, bytes) => self.to_client.extend(bytes),
            Effect::Write(Leg::Server, bytes) => self.to_server.extend(bytes),
            Effect::Prepare(id, hole) => {
                check(hole.client, CLIENT);
                check(hole.server, SERVER);
                self.prepared.push((id, hole));
                let door = |text: &str| text.parse().ok();
                let doors =
                    Doors { client: door("192.168.0.1:55001"), server: door("218.2.135.1:55002") };
                self.relay.handle(self.now, Input::Prepared(id, Ok(doors)));
            }
            Effect::Commit(id) => {
                assert!(self.prepared.iter().any(|(prepared, _)| *prepared == id));
                assert!(self.open.is_none_or(|open| open == id), "two at a time");
                self.open = Some(id);
            }
            Effect::Close(id, _) => {
                self.open.take_if(|open| *open == id);
            }
            Effect::Secure(leg) => self.relay.handle(self.now, Input::Secured(leg, Ok(()))),
            Effect::End => {
                assert_eq!(self.open, None, "a pinhole outlives its session");
                self.ended = true;
            }
            Effect::Dial(_)
            | Effect::Protect(_)
            | Effect::Opaque
            | Effect::Shutdown(_)
            | Effect::Note(_) => {}
        }
    }
}

fn check(side: Side, peer: &str) {
    let peer: SocketAddr = peer.parse().unwrap();
    if let Side::Listens(at) = side {
        assert_eq!(at.ip(), peer.ip());
        assert!(at.port() >= 1024 || at.port() == peer.port());
    }
}

fn policy(bits: u8) -> Policy {
    Policy {
        auth: [Auth::Pass, Auth::Terminate, Auth::Refuse][usize::from(bits % 3)],
        upstream: [Upstream::Offered, Upstream::Required, Upstream::Always, Upstream::Off]
            [usize::from(bits >> 2 & 3)],
        client_tls: bits & 16 != 0,
        mode: [Mode::AsAsked, Mode::Passive, Mode::Active][usize::from(bits >> 5) % 3],
        ..Policy::default()
    }
}

fn play(bits: u8, dialogue: &[u8], bytewise: bool) -> (Vec<u8>, Vec<u8>) {
    let mut world = World::new(policy(bits));
    for (turn, said) in dialogue.split(|byte| *byte == 0).enumerate() {
        let leg = if turn % 2 == 0 { Leg::Server } else { Leg::Client };
        let size = if bytewise { 1 } else { said.len().max(1) };
        for chunk in said.chunks(size) {
            world.input(Input::Bytes(leg, chunk));
        }
        if turn % 16 == 15 {
            world.now = world.now.after(Duration::from_secs(20));
            world.input(Input::Timer);
        }
    }
    for leg in [Leg::Client, Leg::Server] {
        world.input(Input::Eof(leg));
    }
    (world.to_client, world.to_server)
}

fuzz_target!(|input: &[u8]| {
    let Some((&bits, dialogue)) = input.split_first() else { return };
    let whole = play(bits, dialogue, false);
    // Clear text behind AUTH ends a session; a byte at a time it cannot come behind it.
    if bits % 3 != 1 {
        assert_eq!(play(bits, dialogue, true), whole);
    } else {
        play(bits, dialogue, true);
    }
});
