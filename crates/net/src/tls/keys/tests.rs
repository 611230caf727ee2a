use super::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of its own, gone at the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("twoport-keys-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("keys")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap().lines().filter(|line| !line.starts_with('#')).count()
}

#[test]
fn a_ring_in_memory_turns_and_opens_what_it_sealed_before() {
    let keys = TicketKeys::new(None).unwrap();
    let start = now();
    let first = keys.seal(start, b"plain").unwrap();
    assert!(!first.windows(5).any(|part| part == b"plain"));
    assert_eq!(keys.open(start, &first).unwrap(), b"plain");
    keys.turn_at(start + TURN - 10).unwrap();
    assert_eq!(keys.ring().keys.len(), 1, "it is not yet time");
    keys.turn_at(start + TURN).unwrap();
    assert_eq!(keys.ring().keys.len(), 2);
    let second = keys.seal(start + TURN, b"plain").unwrap();
    assert_ne!(first[..NAME], second[..NAME]);
    let last = start + TURN + u64::from(LIFETIME) - 1;
    assert_eq!(keys.open(last, &first).unwrap(), b"plain");
    assert_eq!(keys.open(last + 1, &first), None, "its time is over");
    (2..9).for_each(|turns| keys.turn_at(start + turns * TURN).unwrap());
    assert_eq!(keys.ring().keys.len(), 3, "old keys are dropped");
}

#[test]
fn a_forged_ticket_does_not_open() {
    let (keys, other) = (TicketKeys::new(None).unwrap(), TicketKeys::new(None).unwrap());
    let ticket = keys.seal(now(), b"plain").unwrap();
    assert_eq!(other.open(now(), &ticket), None);
    for end in 0..ticket.len() {
        assert_eq!(keys.open(now(), &ticket[..end]), None);
    }
    for at in 0..ticket.len() {
        let mut forged = ticket.clone();
        forged[at] ^= 1;
        assert_eq!(keys.open(now(), &forged), None, "{at}");
    }
}

#[test]
fn nodes_share_a_file_that_one_of_them_makes_and_one_of_them_turns() {
    let place = Place::new();
    let node = || TicketKeys::new(Some(place.file())).unwrap();
    let (one, two) = (node(), node());
    assert_eq!(fs::metadata(place.file()).unwrap().mode() & 0o777, 0o600);
    let start = now();
    let ticket = one.seal(start, b"plain").unwrap();
    assert_eq!(two.open(start, &ticket).unwrap(), b"plain");
    let due = start + TURN + 1;
    one.turn_at(due).unwrap();
    two.turn_at(due).unwrap();
    assert_eq!(lines(&place.file()), 2, "one of them turned it");
    let before = one.seal(due, b"plain").unwrap();
    assert_eq!(before[..NAME], ticket[..NAME], "the new key waits until all have read it");
    let after = one.seal(due + AHEAD, b"plain").unwrap();
    assert_ne!(after[..NAME], ticket[..NAME]);
    for ticket in [ticket, before, after] {
        assert_eq!(two.open(due + AHEAD, &ticket).unwrap(), b"plain");
    }
    assert_eq!(fs::metadata(place.file()).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(&place.0).unwrap().count(), 1, "nothing else is left");
    (2..9).for_each(|turns| one.turn_at(start + turns * (TURN + AHEAD)).unwrap());
    assert_eq!(lines(&place.file()), 3, "old ones are taken out");
}

#[test]
fn many_nodes_that_turn_at_a_time_add_one_key() {
    let place = Place::new();
    let nodes: Vec<_> = (0..8).map(|_| TicketKeys::new(Some(place.file())).unwrap()).collect();
    let due = now() + TURN + 1;
    std::thread::scope(|scope| {
        for node in &nodes {
            scope.spawn(move || node.turn_at(due).unwrap());
        }
    });
    assert_eq!(lines(&place.file()), 2);
}

#[test]
fn a_file_that_went_wrong_is_told_once_and_the_keys_stay() {
    let place = Place::new();
    let keys = TicketKeys::new(Some(place.file())).unwrap();
    let ticket = keys.seal(now(), b"plain").unwrap();
    for wrong in ["", "# nothing\n", "1 abc\n", "x 00\n", &format!("1 {}\n", "g".repeat(64))] {
        fs::write(place.file(), wrong).unwrap();
        let told = keys.turn().unwrap_err().to_string();
        assert!(told.contains("keys: "), "{told}");
        keys.turn().unwrap();
        assert_eq!(keys.open(now(), &ticket).unwrap(), b"plain");
        assert!(TicketKeys::new(Some(place.file())).is_err());
    }
    fs::write(place.file(), format!("# mine\n 1 {}\n", "0A".repeat(32))).unwrap();
    keys.turn().unwrap();
    assert_eq!(keys.open(now(), &ticket), None);
    assert!(!format!("{keys:?}").contains("0a"));
}
