use super::*;
use std::collections::BTreeMap;
use std::vec;

const OFFICE: &str = "203.0.113.7";
const PATIENCE: Duration = Duration::from_millis(300);

/// One thing that a client does. Sessions have small numbers, their data connections the same plus
/// ten, log-ins 100 and more.
#[derive(Clone, Copy, Debug)]
enum Step {
    Claim(u64, Guard<u64>),
    Verb(u64, Guard<u64>, Direction),
    Withdraw(u64),
    Arrive(u64),
    Say(u64, Said<u64>),
}

use Direction::{Download, Upload};
use Step::{Arrive, Claim as Claims, Say, Verb, Withdraw};

/// A state of the world, and what became of each connection and when.
#[derive(Clone)]
struct World {
    door: Door<u64>,
    now: Time,
    came: BTreeMap<u64, Time>,
    fate: BTreeMap<u64, (Time, Verdict)>,
    refused: Vec<u64>,
    trace: Vec<Step>,
}

impl World {
    fn new(kind: Kind) -> Self {
        let now = Time(Duration::from_secs(1000));
        let (came, fate) = (BTreeMap::new(), BTreeMap::new());
        Self { door: Door::new(kind), now, came, fate, refused: vec![], trace: vec![] }
    }

    /// Whether the step could be done; a claim may have to wait its turn.
    fn step(&mut self, step: Step) -> bool {
        let now = self.now;
        let peer = Some(OFFICE.parse().unwrap());
        match step {
            Claims(owner, guard) => {
                let offer = Offer { owner, peer, guard, patience: PATIENCE, alone: PATIENCE };
                if self.door.claim(now, offer).is_err() {
                    return false;
                }
            }
            Verb(owner, guard, direction) => self.door.verb(now, owner, guard, direction),
            Withdraw(owner) => self.door.withdraw(now, owner),
            Arrive(connection) => {
                self.came.insert(connection, now);
                self.door.arrive(now, connection, OFFICE.parse().unwrap());
            }
            Say(connection, said) => self.door.say(now, connection, said),
        }
        self.trace.push(step);
        self.drain();
        true
    }

    fn pass(&mut self, until: Time) {
        self.now = until;
        self.door.handle_timer(until);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(verdict) = self.door.poll() {
            match verdict {
                Verdict::Data { connection, .. }
                | Verdict::Control { connection }
                | Verdict::Close { connection, .. } => {
                    let former = self.fate.insert(connection, (self.now, verdict));
                    assert!(former.is_none(), "{connection} is judged twice: {:?}", self.trace);
                }
                Verdict::Refuse { owner, .. } => self.refused.push(owner),
            }
        }
    }

    fn fate(&self, connection: u64) -> Verdict {
        let fate = self.fate.get(&connection);
        fate.unwrap_or_else(|| panic!("{connection} hangs: {:?}", self.trace)).1
    }

    /// A log-in is greeted, and soon.
    fn assert_greeted(&self, login: u64) {
        assert_eq!(self.fate(login), Verdict::Control { connection: login }, "{:?}", self.trace);
        let waited = self.fate[&login].0.since(self.came[&login]);
        assert!(waited <= LONGEST_HOLD + PATIENCE, "{waited:?}: {:?}", self.trace);
    }

    fn assert_not_of_another(&self, owner: u64) {
        if let Verdict::Data { owner: taken, .. } = self.fate(owner + 10) {
            assert_eq!(taken, owner, "{:?}", self.trace);
        }
    }
}

/// Plays all interleavings of what some clients do, with time passing to the next deadline at any
/// point or, if `prompt`, only when nobody has anything left to do.
fn explore(kind: Kind, actors: &[Vec<Step>], prompt: bool, check: &dyn Fn(&World)) -> usize {
    fn go(
        world: &World,
        actors: &[&[Step]],
        prompt: bool,
        check: &dyn Fn(&World),
        ends: &mut usize,
    ) {
        let mut moved = false;
        for (number, actor) in actors.iter().enumerate() {
            let Some((step, rest)) = actor.split_first() else { continue };
            let mut next = world.clone();
            if next.step(*step) {
                moved = true;
                let mut left = actors.to_vec();
                left[number] = rest;
                go(&next, &left, prompt, check, ends);
            }
        }
        let waits = world.door.deadline().filter(|deadline| *deadline > world.now);
        match waits {
            Some(deadline) if !prompt || !moved => {
                let mut next = world.clone();
                next.pass(deadline);
                go(&next, actors, prompt, check, ends);
            }
            None if !moved && actors.iter().any(|actor| !actor.is_empty()) => {
                // Somebody waits its turn: ghosts go, or sleepers are found.
                let mut next = world.clone();
                next.pass(world.now.after(GHOST));
                go(&next, actors, prompt, check, ends);
            }
            None if !moved => {
                *ends += 1;
                check(world);
            }
            _ => {}
        }
    }
    let mut ends = 0;
    let actors: Vec<&[Step]> = actors.iter().map(Vec::as_slice).collect();
    go(&World::new(kind), &actors, prompt, check, &mut ends);
    ends
}

fn private(owner: u64) -> Guard<u64> {
    Guard::Private(owner)
}

/// The two orders in which clients go about it, under TLS: the hello comes behind the verb.
fn under_tls(owner: u64, named: bool) -> [Vec<Step>; 2] {
    let (guard, data) = (private(owner), owner + 10);
    let hello = Say(data, Said::Hello(named.then_some(owner)));
    let verb = Verb(owner, guard, Download);
    [
        vec![Claims(owner, guard), Arrive(data), verb, hello],
        vec![Claims(owner, guard), verb, Arrive(data), hello],
    ]
}

fn in_clear(owner: u64, direction: Direction) -> [Vec<Step>; 2] {
    let data = owner + 10;
    let verb = Verb(owner, Guard::Clear, direction);
    let mut orders = [
        vec![Claims(owner, Guard::Clear), Arrive(data), verb],
        vec![Claims(owner, Guard::Clear), verb, Arrive(data)],
    ];
    if direction == Upload {
        orders.iter_mut().for_each(|order| order.push(Say(data, Said::Other)));
    }
    orders
}

#[test]
fn under_tls_one_passive_port_serves_all_sessions_of_one_address_and_crosses_none() {
    let mut ends = 0;
    for one in under_tls(1, true) {
        for two in under_tls(2, true) {
            let given_up = vec![Claims(3, private(3)), Withdraw(3), Arrive(13)];
            for third in [under_tls(3, true)[0].clone(), given_up] {
                ends +=
                    explore(Kind::Passive, &[one.clone(), two.clone(), third], true, &|world| {
                        for owner in [1, 2] {
                            let data = Verdict::Data { connection: owner + 10, owner };
                            assert_eq!(world.fate(owner + 10), data, "{:?}", world.trace);
                        }
                        world.assert_not_of_another(3);
                    });
            }
        }
    }
    assert!(ends > 50_000, "{ends}");
}

#[test]
fn a_hello_without_a_name_is_taken_only_where_one_session_can_be_meant() {
    let mut alone = 0;
    for one in under_tls(1, false) {
        explore(Kind::Passive, std::slice::from_ref(&one), true, &|world| {
            assert_eq!(world.fate(11), Verdict::Data { connection: 11, owner: 1 });
        });
        for two in under_tls(2, false) {
            alone += explore(Kind::Passive, &[one.clone(), two], true, &|world| {
                world.assert_not_of_another(1);
                world.assert_not_of_another(2);
            });
        }
        // One that came for a session that gave up is not the next one's.
        let given_up =
            vec![Claims(2, private(2)), Withdraw(2), Arrive(12), Say(12, Said::Hello(None))];
        explore(Kind::Passive, &[one.clone(), given_up], true, &|world| {
            world.assert_not_of_another(2);
        });
    }
    assert!(alone > 100, "{alone}");
}

#[test]
fn in_clear_sessions_of_one_address_take_turns_at_a_passive_port() {
    let clear = |owner| vec![Claims(owner, Guard::Clear), Arrive(owner + 10)];
    let given_up = vec![Claims(3, Guard::Clear), Withdraw(3), Arrive(13)];
    let ends = explore(Kind::Passive, &[clear(1), clear(2), given_up], true, &|world| {
        for owner in [1, 2] {
            let data = Verdict::Data { connection: owner + 10, owner };
            assert_eq!(world.fate(owner + 10), data, "{:?}", world.trace);
        }
        world.assert_not_of_another(3);
    });
    assert_eq!(ends, 6, "each order of the three");
    // And with those under TLS.
    let [tls, _] = under_tls(2, true);
    explore(Kind::Passive, &[clear(1), tls], true, &|world| {
        for owner in [1, 2] {
            let data = Verdict::Data { connection: owner + 10, owner };
            assert_eq!(world.fate(owner + 10), data, "{:?}", world.trace);
        }
    });
}

#[test]
fn addresses_do_not_get_in_each_others_way() {
    let mut door: Door<u64> = Door::new(Kind::Passive);
    let now = Time::ZERO;
    let at = |number: u64| IpAddr::from([127, 0, 0, u8::try_from(number).unwrap()]);
    for owner in 1..100 {
        let (peer, guard) = (Some(at(owner)), Guard::Clear);
        door.claim(now, Offer { owner, peer, guard, patience: PATIENCE, alone: PATIENCE }).unwrap();
    }
    for owner in (1..100).rev() {
        door.arrive(now, owner, at(owner));
        assert_eq!(door.poll(), Some(Verdict::Data { connection: owner, owner }));
    }
    door.arrive(now, 7, at(7));
    let unclaimed = Verdict::Close { connection: 7, reason: Reason::DataUnclaimed };
    assert_eq!((door.poll(), door.is_empty()), (Some(unclaimed), true));
    let any =
        Offer { owner: 1, peer: None, guard: Guard::Clear, patience: PATIENCE, alone: PATIENCE };
    door.claim(now, any).unwrap();
    let other = Offer { owner: 2, peer: Some(at(2)), ..any };
    let conflict = Conflict { until: Some(now.after(AWAKE_PASSIVE)) };
    assert_eq!(door.claim(now, other), Err(conflict), "it could be anybody's");
}

#[test]
fn under_tls_no_log_in_is_lost_on_the_control_port_whatever_happens_when() {
    let mut ends = 0;
    for kind in [Kind::Explicit, Kind::Implicit] {
        // A log-in waits for the greeting, or, where TLS comes first, says a hello of its own.
        let login = |number| match kind {
            Kind::Implicit => vec![Arrive(number), Say(number, Said::Hello(None))],
            _ => vec![Arrive(number)],
        };
        let dead = vec![Claims(1, private(1))];
        let gone = vec![Claims(1, private(1)), Verb(1, private(1), Upload), Withdraw(1)];
        for one in under_tls(1, true).into_iter().chain([dead, gone]) {
            for two in under_tls(2, true) {
                let actors = [one.clone(), two, login(100)];
                ends += explore(kind, &actors, false, &|world| {
                    world.assert_greeted(100);
                    world.assert_not_of_another(2);
                    if one.len() == 4 {
                        world.assert_not_of_another(1);
                    }
                });
            }
        }
    }
    assert!(ends > 10_000, "{ends}");
}

#[test]
fn under_tls_data_arrive_on_the_control_port_beside_log_ins() {
    for kind in [Kind::Explicit, Kind::Implicit] {
        for one in under_tls(1, true) {
            explore(kind, &[one, vec![Arrive(100)], vec![Arrive(101)]], true, &|world| {
                let data = Verdict::Data { connection: 11, owner: 1 };
                assert_eq!(world.fate(11), data, "{:?}", world.trace);
                world.assert_greeted(100);
                world.assert_greeted(101);
            });
        }
    }
}

/// In clear this holds where the data connection is no slower than its session's patience.
#[test]
fn in_clear_no_log_in_is_lost_on_the_control_port_at_a_transfer() {
    for direction in [Download, Upload] {
        for one in in_clear(1, direction) {
            explore(Kind::Explicit, std::slice::from_ref(&one), true, &|world| {
                let data = Verdict::Data { connection: 11, owner: 1 };
                assert_eq!((world.fate(11), world.refused.len()), (data, 0), "{:?}", world.trace);
            });
            let actors = [one, vec![Arrive(100)], vec![Arrive(101)]];
            let ends = explore(Kind::Explicit, &actors, true, &|world| {
                world.assert_greeted(100);
                world.assert_greeted(101);
                let taken = world.fate(11) == Verdict::Data { connection: 11, owner: 1 };
                assert!(taken || world.refused == [1], "{:?}", world.trace);
            });
            assert!(ends > 10, "{ends}");
        }
    }
}

#[test]
fn a_passive_that_nobody_dials_swallows_no_log_in() {
    let endings: [Vec<Step>; 3] =
        [vec![], vec![Withdraw(1)], vec![Claims(1, Guard::Clear), Withdraw(1)]];
    for ending in endings {
        let one = [vec![Claims(1, Guard::Clear)], ending].concat();
        let ends =
            explore(Kind::Explicit, &[one, vec![Arrive(100)], vec![Arrive(101)]], false, &|w| {
                w.assert_greeted(100);
                w.assert_greeted(101);
            });
        assert!(ends > 5, "{ends}");
    }
}

#[test]
fn without_a_claim_nobody_waits_for_the_greeting() {
    for kind in [Kind::Explicit, Kind::Implicit] {
        let mut world = World::new(kind);
        world.step(Arrive(100));
        world.assert_greeted(100);
        world.step(Claims(1, Guard::Clear));
        world.pass(world.now.after(AWAKE));
        world.step(Arrive(101));
        assert_eq!(world.fate[&101].0, world.now, "an offer of long ago delays nobody");
        world.step(Verb(1, Guard::Clear, Download));
        world.step(Arrive(11));
        world.pass(world.now.after(PATIENCE));
        assert_eq!(world.fate(11), Verdict::Data { connection: 11, owner: 1 }, "it woke up");
    }
}

#[test]
fn a_sleeping_offer_gives_way_and_its_session_hears_of_it() {
    let mut world = World::new(Kind::Passive);
    assert!(world.step(Claims(1, Guard::Clear)));
    assert!(!world.step(Claims(2, Guard::Clear)));
    world.pass(world.now.after(AWAKE_PASSIVE));
    assert!(world.step(Claims(2, Guard::Clear)));
    assert_eq!(world.refused, [1]);
    world.step(Arrive(12));
    assert_eq!(world.fate(12), Verdict::Data { connection: 12, owner: 2 });
}

#[test]
fn a_guard_that_changed_behind_the_offer_ends_it() {
    let mut world = World::new(Kind::Passive);
    world.step(Claims(1, private(1)));
    world.step(Verb(1, Guard::Clear, Download));
    assert_eq!(world.refused, [1]);
}

#[test]
fn a_doubtful_connection_is_greeted_only_when_its_client_had_time_to_close_it() {
    for closed in [11, 100] {
        let mut world = World::new(Kind::Explicit);
        for step in
            [Claims(1, Guard::Clear), Arrive(11), Arrive(100), Verb(1, Guard::Clear, Download)]
        {
            assert!(world.step(step));
        }
        assert_eq!((&world.refused[..], world.fate.len()), (&[1][..], 0));
        world.step(Say(closed, Said::End));
        let reason = Reason::DataDoubtful;
        assert_eq!(world.fate(closed), Verdict::Close { connection: closed, reason });
        world.pass(world.door.deadline().unwrap());
        let left = 111 - closed;
        assert_eq!(world.fate(left), Verdict::Control { connection: left });
    }
}
