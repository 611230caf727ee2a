//! A relay between any two peers, and the lobby before it: the same however bytes are cut; pinholes one at
//! a time, only towards the two peers, never below port 1024, and none before they were prepared; where
//! uploads are scanned, no verb of one reaches the server but for each that was found clean.
#![no_main]

use std::net::SocketAddr;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use twoport_proto::reason::Reason;
use twoport_proto::relay::{
    Auth, By, Desk, Doors, Effect, Ends, Heard, Hole, HoleId, Input, Leg, Legs, Lobby, Mode,
    Opening, Policy, Relay, Route, Routes, Scan, Side, Task, Upstream, Verdict, Way, Wish,
};
use twoport_proto::time::Time;

const CLIENT: &str = "192.168.0.107:40000";
const CLIENT_V6: &str = "[2001:db8::7]:40000";
const SERVER: &str = "203.0.113.10:21";

struct World {
    relay: Relay,
    client: &'static str,
    now: Time,
    prepared: Vec<(HoleId, Hole)>,
    open: Option<HoleId>,
    ended: bool,
    scans: bool,
    /// The upload that is held, and whether it was found clean and is not yet with the server.
    taken: Option<HoleId>,
    clean: bool,
    to_client: Vec<u8>,
    to_server: Vec<u8>,
}

impl World {
    fn new(client: &'static str, policy: Policy) -> Self {
        let scans = policy.scan.is_some();
        let relay = Relay::new(ends(client), Legs::default(), policy);
        Self { scans, ..Self::around(client, relay) }
    }

    fn around(client: &'static str, relay: Relay) -> Self {
        Self {
            relay,
            client,
            now: Time::ZERO,
            prepared: Vec::new(),
            open: None,
            ended: false,
            scans: false,
            taken: None,
            clean: false,
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
            Effect::Write(Leg::Server, bytes) => {
                if self.scans && is_upload(&bytes) {
                    assert!(std::mem::take(&mut self.clean), "an upload that nobody has scanned");
                }
                self.to_server.extend(bytes);
            }
            Effect::Prepare(id, hole) => {
                check(hole.client, self.client);
                check(hole.server, SERVER);
                self.prepared.push((id, hole));
                let door = |text: &str| text.parse().ok();
                let doors =
                    Doors { client: door("192.168.0.1:55001"), server: door("218.2.135.1:55002") };
                self.relay.handle(self.now, Input::Prepared(id, Ok(doors)));
            }
            Effect::Probe(at) => {
                check(Side::Listens(at), SERVER);
                let way = [Way::Known, Way::Found, Way::Closed][usize::from(at.port() % 3)];
                self.relay.handle(self.now, Input::Probed(at, way));
            }
            Effect::Admit(id, hole) => {
                assert!(self.prepared.contains(&(id, hole)), "{hole:?} was never prepared");
                assert_eq!(hole.server, Side::Dials, "nobody comes from there");
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
            Effect::Take(id, subject) => {
                assert!(self.open == Some(id), "an upload without a pinhole");
                assert!(self.taken.is_none(), "two uploads at a time");
                self.taken = Some(id);
                // What the client says meanwhile comes before the verdict, or behind it.
                if subject.name.first().is_some_and(|first| first % 2 == 0) {
                    self.verdict();
                }
            }
            Effect::Discard => (self.taken, self.clean) = (None, false),
            Effect::Opaque => assert!(!self.scans, "nobody scans what nobody reads"),
            Effect::Dial(_) | Effect::Protect(_) | Effect::Shutdown(_) | Effect::Note(_) => {}
        }
    }
}

impl World {
    /// The scanner answers.
    fn verdict(&mut self) {
        let Some(id) = self.taken else { return };
        let verdict = match id.0 % 4 {
            0 => Verdict::Infected(b"Eicar\r\n"),
            1 | 2 => Verdict::Clean,
            _ => Verdict::Broken(Reason::DataReset),
        };
        self.clean = matches!(verdict, Verdict::Clean);
        self.open.take_if(|open| *open == id);
        self.relay.handle(self.now, Input::Used(id));
        self.relay.handle(self.now, Input::Scanned(id, verdict));
    }
}

/// Whether a line is one of the verbs that bring a file.
fn is_upload(line: &[u8]) -> bool {
    let verb = line.trim_ascii_start().to_ascii_uppercase();
    [&b"STOR"[..], b"STOU", b"APPE"].iter().any(|upload| {
        let rest = verb.strip_prefix(*upload);
        rest.is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_alphanumeric))
    })
}

fn ends(client: &str) -> Ends {
    Ends { client: client.parse().unwrap(), server: SERVER.parse().unwrap() }
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
        mode: [Mode::AsAsked, Mode::Passive, Mode::Active, Mode::Auto][usize::from(bits >> 5) % 4],
        scan: (bits & 128 != 0)
            .then_some(Scan { pass_unscanned: bits & 32 != 0, pass_parts: bits & 64 != 0 }),
        ..Policy::default()
    }
}

fn play(client: &'static str, bits: u8, dialogue: &[u8], bytewise: bool) -> (Vec<u8>, Vec<u8>) {
    let mut world = World::new(client, policy(bits));
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
        world.verdict();
        world.input(Input::Timer);
    }
    for leg in [Leg::Client, Leg::Server] {
        world.input(Input::Eof(leg));
    }
    (world.to_client, world.to_server)
}

/// What a client hears in a lobby, and what its server hears after it; the relay goes on from there.
fn visit(bits: u8, said: &[u8], bytewise: bool) -> (Vec<u8>, Option<Wish>, Vec<u8>) {
    let desk = match bits & 8 {
        0 => Desk::Forward { needs_login: bits & 4 != 0 },
        _ => {
            let row = |by, pattern: &[u8]| Route::new(by, pattern, "blue".into());
            let rows = vec![row(By::User, b"*@blue"), row(By::Host, b"ftp.*"), row(By::Sni, b"*")];
            Desk::Routes(Routes { rows, otherwise: (bits & 4 != 0).then(String::new) })
        }
    };
    let opening = match (bits & 64, bits % 3) {
        (0, _) => Opening::Clear,
        (_, 0) => Opening::Unread,
        _ => Opening::Secured(None),
    };
    let mut lobby = Lobby::new(desk, policy(bits), opening);
    let (mut heard, mut wish, mut is_over) = (Vec::new(), None, false);
    let size = if bytewise { 1 } else { said.len().max(1) };
    for chunk in said.chunks(size) {
        lobby.handle(Heard::Bytes(chunk));
        while let Some(task) = lobby.poll() {
            assert!(!is_over, "{task:?} after the end");
            match task {
                Task::Write(bytes) => heard.extend(bytes),
                Task::Secure => lobby.handle(Heard::Secured(Ok(Some(b"ftp.example")))),
                Task::Check(_, password) => lobby.handle(Heard::Checked(password.0 == b"right")),
                Task::Choose(chosen) => {
                    if let Wish::Server { host, port } = &chosen {
                        assert!(!host.is_empty() && !host.contains(['\r', '\n', ' ']) && *port > 0);
                    }
                    (wish, is_over) = (Some(chosen), true);
                }
                Task::End => is_over = true,
                Task::Note(_) => {}
            }
        }
    }
    if wish.is_none() {
        return (heard, None, Vec::new());
    }
    let introduction = lobby.introduce();
    let passes = introduction.passes() && !introduction.is_unread();
    let mut world =
        World::around(CLIENT, Relay::introduced(ends(CLIENT), introduction, false, policy(bits)));
    world.input(Input::Timer);
    for said in ["220 ready\r\n", "502 no\r\n", "331 go on\r\n"] {
        world.input(Input::Bytes(Leg::Server, said.as_bytes()));
        if passes {
            // After AUTH that was answered already, all that the server gets before its 234 are words.
            assert!(!world.to_server.starts_with(&[22]) && !world.to_client.starts_with(b"5"));
        }
    }
    world.input(Input::Eof(Leg::Server));
    (heard, wish, world.to_server)
}

fuzz_target!(|input: &[u8]| {
    let Some((&bits, dialogue)) = input.split_first() else { return };
    let whole = visit(bits, dialogue, false);
    let in_bytes = visit(bits, dialogue, true);
    // What came behind AUTH in clear ends it; a byte at a time it cannot come behind it.
    if bits % 3 == 2 || bits & 8 == 0 && bits % 3 == 0 {
        assert_eq!((&in_bytes.0, &in_bytes.1), (&whole.0, &whole.1));
    }
    for client in [CLIENT, CLIENT_V6] {
        let whole = play(client, bits, dialogue, false);
        let in_bytes = play(client, bits, dialogue, true);
        // Clear text behind AUTH, the client's or the relay's own, ends a session; a byte at a time it
        // cannot come behind it.
        if bits % 3 != 1 && policy(bits).upstream != Upstream::Always {
            assert_eq!(in_bytes, whole);
        }
    }
});
