use super::*;
use core::time::Duration;

use alloc::vec;
use std::string::String;

const LOCAL: &str = "192.0.2.1:21";
const PEER: &str = "192.0.2.7:40000";

/// A session and the driver's part played by hand.
struct Played {
    session: Session,
    now: Time,
    seen: Vec<Effect>,
}

impl Played {
    fn new(policy: Policy) -> Self {
        let (local, peer) = (LOCAL.parse().unwrap(), PEER.parse().unwrap());
        let session = Session::new(Arc::new(policy), local, peer, Time::ZERO);
        let mut played = Self { session, now: Time::ZERO, seen: vec![] };
        assert_eq!(played.replies(), ["220 twoport ready."]);
        played
    }

    fn logged_in() -> Self {
        let mut played = Self::new(Policy::default());
        played.say("USER ann");
        played.say("PASS secret");
        played.done(Outcome::LoggedIn(Grant::of(crate::verb::Permissions::ALL)));
        played.seen.clear();
        played
    }

    fn give(&mut self, input: Input) {
        self.session.handle(self.now, input);
        while let Some(effect) = self.session.poll() {
            self.seen.push(effect);
        }
    }

    fn say(&mut self, line: &str) {
        self.line(line);
        if matches!(self.seen.last(), Some(Effect::Run(_, Job::Identify { .. }))) {
            self.done(Outcome::Done);
        }
    }

    /// Says it, and leaves a name to be answered by the test.
    fn line(&mut self, line: &str) {
        self.give(Input::Line(line.into()));
    }

    /// Answers the last job or transfer.
    fn done(&mut self, outcome: Outcome) {
        let ticket = self.seen.iter().rev().find_map(|effect| match effect {
            Effect::Run(ticket, _) | Effect::Transfer(ticket) | Effect::Cancel(ticket) => {
                Some(*ticket)
            }
            _ => None,
        });
        self.give(Input::Done(ticket.unwrap(), outcome));
    }

    fn passes(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.give(Input::Timer);
    }

    fn replies(&mut self) -> Vec<String> {
        while let Some(effect) = self.session.poll() {
            self.seen.push(effect);
        }
        self.seen
            .drain(..)
            .filter_map(|effect| match effect {
                Effect::Reply(reply) => Some(alloc::format!("{reply:?}")),
                _ => None,
            })
            .collect()
    }

    fn codes(&mut self) -> Vec<String> {
        self.replies().iter().map(|reply| reply[..3].into()).collect()
    }
}

#[test]
fn lines_wait_while_a_job_runs_and_are_answered_in_order() {
    let mut played = Played::logged_in();
    played.say("SIZE a");
    played.say("NOOP");
    assert!(played.seen.iter().all(|effect| matches!(effect, Effect::Run(..))));
    played.done(Outcome::Number(7));
    assert_eq!(played.replies(), ["213 7", "200 I successfully did nothing."]);
}

#[test]
fn the_passive_connection_may_come_before_the_verb_or_after_the_150() {
    for early in [true, false] {
        let mut played = Played::logged_in();
        played.say("EPSV");
        played.done(Outcome::Listening("192.0.2.1:50021".parse().unwrap()));
        if early {
            played.give(Input::Data(DataEvent::Arrived));
        }
        played.say("RETR a");
        played.done(Outcome::Opened { size: Some(7), name: None });
        if !early {
            assert_eq!(played.session.deadline(), Some(Time(Duration::from_secs(30))));
            played.give(Input::Data(DataEvent::Arrived));
        }
        assert!(matches!(played.seen.last(), Some(Effect::Transfer(_))));
        played.done(Outcome::Moved { bytes: 7, cut: None });
        assert_eq!(played.codes(), ["229", "150", "226"]);
    }
}

#[test]
fn port_connects_nowhere_until_a_transfer_verb_comes() {
    let mut played = Played::logged_in();
    played.say("PORT 192,0,2,7,8,1");
    assert!(!played.seen.iter().any(|effect| matches!(effect, Effect::Dial(_))));
    played.say("RETR a");
    played.done(Outcome::Opened { size: None, name: None });
    assert_eq!(played.seen.last(), Some(&Effect::Dial("192.0.2.7:2049".parse().unwrap())));
    assert_eq!(played.codes(), ["200"], "no 150 before the connection is up");
    played.give(Input::Data(DataEvent::DialFailed(Reason::DataRefused)));
    assert_eq!(played.codes(), ["425"]);
}

#[test]
fn a_transfer_outlives_rein_but_its_user_does_not() {
    let mut played = Played::logged_in();
    played.say("PASV");
    played.done(Outcome::Listening("192.0.2.1:50021".parse().unwrap()));
    played.give(Input::Data(DataEvent::Arrived));
    played.say("RETR a");
    played.done(Outcome::Opened { size: Some(7), name: None });
    let ticket = played.seen.iter().find_map(|effect| match effect {
        Effect::Transfer(ticket) => Some(*ticket),
        _ => None,
    });
    played.say("REIN");
    played.say("LIST");
    assert_eq!(played.codes(), ["227", "150", "220", "530"]);
    played.give(Input::Done(ticket.unwrap(), Outcome::Moved { bytes: 7, cut: None }));
    assert_eq!(played.codes(), ["226"]);
}

#[test]
fn quit_waits_for_a_transfer_whose_user_has_logged_out() {
    let mut played = Played::logged_in();
    played.say("PASV");
    played.done(Outcome::Listening("192.0.2.1:50021".parse().unwrap()));
    played.give(Input::Data(DataEvent::Arrived));
    played.say("RETR a");
    played.done(Outcome::Opened { size: Some(7), name: None });
    let ticket = Ticket(played.session.core.next_ticket - 1);
    played.say("REIN");
    played.say("QUIT");
    assert_eq!(played.codes(), ["227", "150", "220"]);
    played.give(Input::Done(ticket, Outcome::Moved { bytes: 7, cut: None }));
    assert_eq!(played.seen.last(), Some(&Effect::Close));
    assert_eq!(played.codes(), ["226", "221"]);
}

#[test]
fn the_last_wrong_password_ends_a_transfer_that_outlived_its_user() {
    let mut played = Played::new(Policy { login_attempts: 1, ..Policy::default() });
    played.say("USER ann");
    played.say("PASS secret");
    played.done(Outcome::LoggedIn(Grant::of(crate::verb::Permissions::ALL)));
    played.say("PASV");
    played.done(Outcome::Listening("192.0.2.1:50021".parse().unwrap()));
    played.give(Input::Data(DataEvent::Arrived));
    played.say("STOR a");
    played.done(Outcome::Opened { size: None, name: None });
    let ticket = Ticket(played.session.core.next_ticket - 1);
    played.say("USER bob");
    played.say("PASS wrong");
    played.done(Outcome::Failed(Reason::LoginFailed));
    played.passes(Duration::from_secs(1));
    assert!(played.seen.contains(&Effect::Cancel(ticket)));
    let why = Note::why(Decision::Break, "Store", Reason::TooManyAttempts).about(&b"/a"[..]);
    assert!(played.seen.contains(&Effect::Note(why)));
    played.give(Input::Done(ticket, Outcome::Broken { reason: Reason::Aborted, bytes: 3 }));
    assert_eq!(played.seen.last(), Some(&Effect::Close), "nothing is said after the end");
}

#[test]
fn wrong_passwords_wait_longer_each_time_and_the_third_ends_the_connection() {
    let mut played = Played::new(Policy::default());
    for (attempt, delay) in [(1, 1000), (2, 2000), (3, 4000)] {
        played.say("USER ann");
        played.say("PASS wrong");
        played.done(Outcome::Failed(Reason::LoginFailed));
        assert_eq!(played.codes(), ["331"]);
        played.passes(Duration::from_millis(delay - 1));
        assert!(played.codes().is_empty());
        played.passes(Duration::from_millis(1));
        assert_eq!(played.seen.contains(&Effect::Close), attempt == 3);
        assert_eq!(played.codes(), ["530"]);
    }
}

#[test]
fn quit_and_the_end_of_the_connection_let_or_do_not_let_a_transfer_finish() {
    for (quits, expected) in [(true, &["226", "221"][..]), (false, &["426"])] {
        let mut played = Played::logged_in();
        played.say("PASV");
        played.done(Outcome::Listening("192.0.2.1:50021".parse().unwrap()));
        played.give(Input::Data(DataEvent::Arrived));
        played.say("STOR a");
        played.done(Outcome::Opened { size: None, name: None });
        played.codes();
        let ticket = Ticket(played.session.core.next_ticket - 1);
        if quits {
            played.say("QUIT");
        }
        played.give(Input::Eof);
        assert_eq!(played.seen.contains(&Effect::Cancel(ticket)), !quits);
        let broken = Outcome::Broken { reason: Reason::ControlLost, bytes: 3 };
        let whole = Outcome::Moved { bytes: 7, cut: None };
        played.give(Input::Done(ticket, if quits { whole } else { broken }));
        assert_eq!(played.seen.last(), Some(&Effect::Close));
        assert_eq!(played.codes(), expected);
    }
}

#[test]
fn each_deadline_says_what_it_was() {
    let mut played = Played::new(Policy::default());
    played.passes(Duration::from_secs(120));
    assert_eq!(played.replies(), ["421 No login in time."]);
    let mut played = Played::logged_in();
    played.passes(Duration::from_secs(300));
    assert_eq!(played.replies(), ["421 Control connection timed out."]);
    let mut played = Played::logged_in();
    played.say("PASV");
    played.done(Outcome::Listening("192.0.2.1:50021".parse().unwrap()));
    played.say("LIST");
    played.done(Outcome::Opened { size: None, name: None });
    played.passes(Duration::from_secs(30));
    assert_eq!(played.codes(), ["227", "150", "425"]);
}

fn with_tls(change: impl FnOnce(&mut Policy)) -> Played {
    let mut policy = Policy { tls: Requirement::Optional, ..Policy::default() };
    change(&mut policy);
    Played::new(policy)
}

#[test]
fn auth_flushes_the_login_and_obeys_nothing_that_came_in_clear() {
    let mut played = with_tls(|_| ());
    played.say("USER ann");
    played.say("PASS secret");
    played.done(Outcome::LoggedIn(Grant::of(crate::verb::Permissions::ALL)));
    played.say("AUTH TLS");
    assert_eq!(played.seen.last(), Some(&Effect::StartTls));
    assert_eq!(played.codes(), ["331", "230", "234"]);
    played.give(Input::Tls(Ok(())));
    played.say("PWD");
    played.say("AUTH TLS");
    assert_eq!(played.codes(), ["530", "503"]);

    let mut played = with_tls(|_| ());
    let lines = ["AUTH TLS", "USER ann"].map(|line| Ok(line.into()));
    played.session.queue.extend(lines);
    played.session.advance();
    assert_eq!(played.codes(), ["421"], "nobody said 234");
}

#[test]
fn required_tls_refuses_the_name_and_required_protection_the_data() {
    let mut played = with_tls(|policy| {
        policy.tls = Requirement::Required;
        policy.data_tls = Requirement::Required;
    });
    played.say("USER ann");
    played.say("PROT P");
    assert_eq!(
        played.replies(),
        [
            "530 TLS is required: send AUTH TLS first.",
            "533 Protect the control connection with AUTH TLS first."
        ]
    );
    played.say("AUTH TLS");
    played.give(Input::Tls(Ok(())));
    played.say("PROT P");
    played.say("USER ann");
    played.say("PASS secret");
    played.done(Outcome::LoggedIn(Grant::of(crate::verb::Permissions::ALL)));
    played.say("PASV");
    played.done(Outcome::Listening("192.0.2.1:50021".parse().unwrap()));
    for line in ["LIST", "PBSZ 0", "PROT C", "PROT S", "PROT P", "CCC"] {
        played.say(line);
    }
    assert_eq!(
        played.codes(),
        ["234", "503", "331", "230", "227", "521", "200", "534", "536", "200", "534"]
    );
}

#[test]
fn an_unproven_data_connection_is_passed_over_and_the_right_one_is_served() {
    let mut played = with_tls(|_| ());
    played.session.core.security = Security::IMPLICIT;
    played.say("USER ann");
    played.say("PASS secret");
    played.done(Outcome::LoggedIn(Grant::of(crate::verb::Permissions::ALL)));
    played.say("EPSV");
    played.done(Outcome::Listening("192.0.2.1:50021".parse().unwrap()));
    played.give(Input::Data(DataEvent::Arrived));
    played.say("RETR a");
    played.done(Outcome::Opened { size: Some(7), name: None });
    let ticket = Ticket(played.session.core.next_ticket - 1);
    assert_eq!(played.seen.last(), Some(&Effect::Secure), "the 150 comes before the handshake");
    played.give(Input::Data(DataEvent::SecureFailed(Reason::TlsNotResumed)));
    played.give(Input::Data(DataEvent::Arrived));
    assert_eq!(played.seen.last(), Some(&Effect::Secure));
    played.give(Input::Data(DataEvent::Secured));
    assert_eq!(played.seen.last(), Some(&Effect::Transfer(ticket)));
    played.give(Input::Done(ticket, Outcome::Moved { bytes: 7, cut: None }));
    assert_eq!(played.codes(), ["331", "230", "229", "150", "226"]);
    played.say("EPSV");
    played.done(Outcome::Listening("192.0.2.1:50021".parse().unwrap()));
    played.give(Input::Data(DataEvent::Arrived));
    played.say("RETR a");
    played.done(Outcome::Opened { size: Some(7), name: None });
    played.give(Input::Data(DataEvent::SecureFailed(Reason::TlsNotResumed)));
    played.passes(Duration::from_secs(3));
    assert_eq!(played.codes(), ["229", "150", "522"]);
}

#[test]
fn a_certificate_logs_in_at_user_and_a_password_behind_it_is_superfluous() {
    let mut played = with_tls(|_| ());
    played.say("AUTH TLS");
    played.give(Input::Tls(Ok(())));
    played.line("USER ann");
    assert!(matches!(
        played.seen.last(),
        Some(Effect::Run(_, Job::Identify { secured: true, .. }))
    ));
    let grant = Grant { data_tls: true, ..Grant::of(crate::verb::Permissions::ALL) };
    played.done(Outcome::LoggedIn(grant));
    for line in ["PASS secret", "PBSZ 0", "PROT C", "PROT P", "PWD"] {
        played.say(line);
    }
    played.line("USER bob");
    played.done(Outcome::Failed(Reason::CertificateOfAnother));
    played.say("PWD");
    assert_eq!(
        played.codes(),
        ["234", "232", "202", "200", "534", "200", "257", "331", "530"],
        "who asks for another name is logged out"
    );
}

#[test]
fn a_name_that_is_refused_leaves_the_old_login_and_takes_no_password() {
    let mut played = with_tls(|_| ());
    played.line("USER ann");
    assert!(matches!(
        played.seen.last(),
        Some(Effect::Run(_, Job::Identify { secured: false, .. }))
    ));
    played.done(Outcome::Failed(Reason::TlsRequired));
    played.say("PASS secret");
    assert!(!played.seen.iter().any(|effect| matches!(effect, Effect::Run(_, Job::LogIn { .. }))));
    played.say("USER bob");
    played.say("PASS secret");
    played.done(Outcome::LoggedIn(Grant::of(crate::verb::Permissions::ALL)));
    played.line("USER ann");
    played.done(Outcome::Failed(Reason::TlsRequired));
    played.say("PWD");
    assert_eq!(played.codes(), ["530", "503", "331", "230", "530", "257"]);
}

#[test]
fn on_the_control_port_an_offer_dozes_at_every_command_that_goes_elsewhere() {
    let policy = Policy { data_on_control_port: true, ..Policy::default() };
    let mut played = Played::new(policy);
    played.say("USER ann");
    played.say("PASS secret");
    played.done(Outcome::LoggedIn(Grant::of(crate::verb::Permissions::ALL)));
    for (line, dozes) in [("TYPE I", false), ("REST 7", false), ("PWD", true), ("FEAT", true)] {
        played.say("EPSV");
        played.done(Outcome::Listening(LOCAL.parse().unwrap()));
        played.seen.clear();
        played.say(line);
        assert_eq!(played.seen.contains(&Effect::Doze), dozes, "{line}");
    }
    let told = played.replies().join("\n");
    assert!(told.contains("DATA control-port"), "{told}");
}

#[test]
fn an_offer_that_became_void_is_refused_with_its_reason() {
    let mut played = Played::logged_in();
    for early in [true, false] {
        played.say("EPSV");
        played.done(Outcome::Listening(LOCAL.parse().unwrap()));
        played.say("RETR a");
        let lost = Input::Data(DataEvent::Lost(Reason::DataDoubtful));
        if early {
            played.give(lost.clone());
        }
        played.done(Outcome::Opened { size: Some(7), name: None });
        if !early {
            played.give(lost);
        }
        let last = played.replies().pop().unwrap();
        assert!(last.starts_with("425") && last.contains("another session's"), "{last}");
    }
}
