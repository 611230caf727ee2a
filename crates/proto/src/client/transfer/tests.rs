use super::*;
use crate::path::FtpPath;
use alloc::string::{String, ToString as _};
use alloc::vec;

const fn at(milliseconds: u64) -> Time {
    Time(Duration::from_millis(milliseconds))
}

const PATIENCE: Patience = Patience {
    reply: Duration::from_secs(30),
    confirm: Duration::from_secs(60),
    round_trip: Duration::from_millis(10),
};

fn plan(direction: Direction, size: Option<u64>, restart: u64) -> Plan {
    let path = FtpPath::from(&b"a"[..]);
    let command = match direction {
        Direction::Download => Command::Retr(path),
        Direction::Listing => Command::Mlsd(None),
        Direction::Upload => Command::Stor(path),
    };
    Plan { command, direction, restart, size, protected: false, patience: PATIENCE }
}

struct Run {
    transfer: Transfer,
    now: u64,
    bytes: u64,
}

impl Run {
    fn new(plan: Plan) -> Self {
        Self { transfer: Transfer::new(at(0), plan), now: 0, bytes: 0 }
    }

    fn effects(&mut self) -> String {
        let mut seen = vec![];
        while let Some(effect) = self.transfer.poll() {
            seen.push(match effect {
                Effect::Command(command) => {
                    let mut line = vec![];
                    command.encode(&mut line).unwrap();
                    line.trim_ascii().escape_ascii().to_string()
                }
                Effect::Start => "start".to_string(),
                Effect::Stop => "stop".to_string(),
                Effect::Done(outcome) => match outcome.verdict {
                    Verdict::Confirmed => match outcome.warning {
                        None => alloc::format!("confirmed {}", outcome.bytes),
                        Some(why) => alloc::format!("confirmed {} but {why}", outcome.bytes),
                    },
                    Verdict::Unconfirmed(why) => alloc::format!("unconfirmed {why}"),
                    Verdict::Truncated(why) => alloc::format!("truncated {why}"),
                    Verdict::Refused(why) => alloc::format!("refused {why}"),
                },
            });
        }
        seen.join("; ")
    }

    /// `bytes N` are on the way; `eof` and `reset` end the data; `wait` goes to the
    /// deadline, `wait long` on until something happens.
    fn word(&mut self, word: &str) -> String {
        if word == "wait long" {
            let mut waits = (0..100).map(|_| self.word("wait"));
            return waits.find(|end| !end.is_empty()).unwrap();
        }
        self.now += 10;
        let bytes = self.bytes;
        let input = match word.split_once(' ').unwrap_or((word, "")) {
            ("bytes", count) => {
                self.bytes += count.parse::<u64>().unwrap();
                return String::new();
            }
            ("eof", _) => Input::DataEnded { bytes },
            ("reset", _) => Input::DataFailed { reason: Reason::DataReset, bytes },
            ("cut", _) => Input::DataFailed { reason: Reason::TlsTruncated, bytes },
            ("resumed", _) => Input::Secured { resumed: true },
            ("anew", _) => Input::Secured { resumed: false },
            ("stranger", _) => Input::DataFailed { reason: Reason::CertificateWrongName, bytes },
            ("nobody", _) => Input::DataFailed { reason: Reason::ActiveNotConnected, bytes },
            ("lost", _) => Input::Lost(Reason::ControlLost),
            ("wait", _) => {
                let deadline = self.transfer.deadline().expect("something to wait for");
                self.now = u64::try_from(deadline.0.as_millis()).unwrap();
                Input::Timer { bytes }
            }
            (code, text) => {
                let code = Code::parse(code.as_bytes().try_into().unwrap()).unwrap();
                Input::Reply(Reply::line(code, text))
            }
        };
        self.transfer.handle(at(self.now), input);
        self.effects()
    }
}

/// The end of a transfer told in words, and the milliseconds it took.
fn end(plan: Plan, words: &[&str]) -> (String, u64) {
    let mut run = Run::new(plan);
    run.effects();
    let last = words.iter().map(|word| run.word(word)).last().unwrap_or_default();
    (last, run.now)
}

fn download(words: &[&str]) -> String {
    end(plan(Direction::Download, Some(100), 0), words).0
}

#[test]
fn both_ends_in_any_order() {
    for words in [
        &["150 ", "bytes 100", "eof", "226 "][..],
        &["150 ", "bytes 100", "226 ", "eof"],
        &["125 ", "bytes 100", "226 ", "eof"],
        &["bytes 100", "eof", "150 ", "226 "],
        &["226 ", "bytes 100", "eof"],
        &["bytes 100", "eof", "226 "],
        &["150 ", "bytes 100", "eof", "250 "],
        &["226 Double of the one before.", "150 ", "bytes 100", "226 ", "eof"],
        &["150 ", "bytes 100", "226 ", "reset"],
        &["150 ", "bytes 100", "reset", "226 "],
    ] {
        assert_eq!(download(words), "confirmed 100", "{words:?}");
    }
}

#[test]
fn less_than_announced_is_truncated_even_after_226() {
    for words in [
        &["150 ", "bytes 50", "eof", "226 "][..],
        &["150 ", "bytes 50", "226 ", "eof"],
        &["150 ", "bytes 50", "lost", "eof"],
        &["150 ", "bytes 50", "eof", "wait"],
    ] {
        assert_eq!(download(words), "truncated length-short", "{words:?}");
    }
    assert_eq!(download(&["150 ", "bytes 50", "reset", "226 "]), "truncated data-reset");
    assert_eq!(download(&["150 ", "bytes 50", "reset", "426 "]), "truncated data-reset");
    assert_eq!(download(&["150 ", "bytes 50", "reset", "wait"]), "truncated data-reset");
}

#[test]
fn the_length_comes_from_size_or_from_the_150() {
    let short = "truncated length-short".to_string();
    let words = ["150 Opening for a (100 bytes).", "bytes 50", "eof", "226 "];
    assert_eq!(end(plan(Direction::Download, None, 0), &words).0, short);
    assert_eq!(end(plan(Direction::Download, Some(0), 0), &words).0, short);
    assert_eq!(end(plan(Direction::Download, Some(50), 0), &words).0, "confirmed 50");
    let words = ["350 ", "150 Opening for a (100 bytes).", "bytes 50", "eof", "226 "];
    assert_eq!(end(plan(Direction::Download, None, 50), &words).0, "confirmed 50");
    assert_eq!(end(plan(Direction::Download, Some(100), 50), &words).0, "confirmed 50");
    assert_eq!(end(plan(Direction::Download, Some(101), 50), &words).0, short);
    assert_eq!(end(plan(Direction::Download, None, 0), &["150 ", "eof", "226 "]).0, "confirmed 0");
    assert_eq!(
        end(plan(Direction::Download, Some(0), 0), &["150 ", "bytes 5", "eof", "226 "]).0,
        "confirmed 5"
    );
}

#[test]
fn a_refusal_counts_at_once() {
    for (words, expected) in [
        (&["550 No such file."][..], "stop; refused control-refused"),
        (&["425 No data connection."], "stop; refused control-refused"),
        (&["150 ", "425 No data connection."], "stop; refused control-refused"),
        (&["150 ", "bytes 50", "451 "], "stop; truncated control-refused"),
        (&["150 ", "bytes 50", "eof", "426 "], "truncated control-refused"),
        (&["150 ", "bytes 100", "eof", "451 "], "truncated control-refused"),
        (&["150 ", "421 Going down."], "stop; truncated control-closing"),
        (&["lost"], ""),
        (&["lost", "eof"], "truncated length-short"),
    ] {
        assert_eq!(download(words), expected, "{words:?}");
    }
}

#[test]
fn without_a_final_reply_it_is_unconfirmed() {
    let sized = plan(Direction::Download, Some(100), 0);
    let (last, took) = end(sized.clone(), &["150 ", "bytes 100", "eof", "wait"]);
    assert_eq!(last, "unconfirmed final-reply-missing");
    assert!(took < 3000, "{took} ms");
    let (last, _) = end(sized, &["150 ", "bytes 100", "lost", "eof"]);
    assert_eq!(last, "unconfirmed final-reply-missing");
    let unsized_plan = plan(Direction::Download, None, 0);
    let (last, took) = end(unsized_plan, &["150 ", "bytes 100", "eof", "wait"]);
    assert_eq!((last.as_str(), took > 9000), ("unconfirmed final-reply-missing", true));
}

#[test]
fn data_that_hang_after_the_final_reply() {
    assert_eq!(download(&["150 ", "bytes 50", "226 ", "wait"]), "");
    let (last, took) =
        end(plan(Direction::Download, Some(100), 0), &["226 ", "bytes 100", "wait long"]);
    assert_eq!(last, "stop; confirmed 100");
    assert!(took > 500 && took < 2000, "{took} ms");
    let words = ["150 ", "226 ", "bytes 50", "wait long"];
    assert_eq!(download(&words), "stop; truncated length-short");
    let words = ["150 ", "226 ", "bytes 50", "wait long"];
    let unknown = plan(Direction::Download, None, 0);
    assert_eq!(end(unknown, &words).0, "stop; unconfirmed data-stalled");
}

#[test]
fn empty_listings() {
    let listing = || plan(Direction::Listing, None, 0);
    assert_eq!(end(listing(), &["150 ", "eof", "226 "]).0, "confirmed 0");
    let (last, took) = end(listing(), &["226 ", "wait long"]);
    assert_eq!(last, "stop; confirmed 0");
    assert!(took < 3000, "{took} ms");
    assert_eq!(end(listing(), &["450 No files."]).0, "stop; refused control-refused");
}

#[test]
fn silence_after_the_verb() {
    assert_eq!(download(&["wait"]), "stop; refused reply-missing");
    assert_eq!(download(&["bytes 10", "wait"]), "", "data flow without a 150");
    assert_eq!(download(&["150 ", "nobody"]), "refused active-not-connected");
    assert_eq!(download(&["nobody"]), "refused active-not-connected");
}

#[test]
fn uploads() {
    let upload = |words: &[&str]| end(plan(Direction::Upload, None, 0), words).0;
    assert_eq!(upload(&["150 "]), "start");
    assert_eq!(upload(&["wait"]), "start", "a server without a 150");
    for (words, expected) in [
        (&["150 ", "bytes 9", "eof", "226 "][..], "confirmed 9"),
        (&["wait", "bytes 9", "eof", "226 "], "confirmed 9"),
        (&["150 ", "bytes 9", "226 ", "eof"], "confirmed 9"),
        (&["150 ", "226 ", "wait", "bytes 9", "eof"], "unconfirmed final-reply-early"),
        (&["553 No."], "refused control-refused"),
        (&["150 ", "452 Full."], "stop; truncated control-refused"),
        (&["150 ", "bytes 9", "reset", "452 Full."], "truncated control-refused"),
        (&["150 ", "bytes 9", "reset", "426 Broken."], "truncated data-reset"),
        (&["150 ", "bytes 9", "reset", "226 "], "truncated data-reset"),
        (&["150 ", "bytes 9", "eof", "wait"], "unconfirmed final-reply-missing"),
        (&["150 ", "bytes 9", "eof", "lost"], "unconfirmed final-reply-missing"),
        (&["lost"], "refused control-lost"),
    ] {
        assert_eq!(upload(words), expected, "{words:?}");
    }
}

#[test]
fn restart() {
    let mut run = Run::new(plan(Direction::Download, Some(100), 40));
    assert_eq!(run.effects(), "REST 40");
    assert_eq!(run.word("350 "), "RETR a; start");
    let (last, _) = end(plan(Direction::Download, Some(100), 40), &["502 No."]);
    assert_eq!(last, "refused restart-refused");
}

fn protected(direction: Direction, size: Option<u64>) -> Plan {
    Plan { protected: true, ..plan(direction, size, 0) }
}

#[test]
fn under_tls_the_handshake_waits_for_the_1yz() {
    for direction in [Direction::Download, Direction::Listing, Direction::Upload] {
        let mut run = Run::new(protected(direction, None));
        assert!(!run.effects().contains("start"), "{direction:?}");
        assert_eq!(run.word("150 "), "start", "{direction:?}");
    }
    let mut run = Run::new(protected(Direction::Download, None));
    run.effects();
    assert_eq!(run.word("wait"), "start", "a server that sends no 1yz");
    let mut run = Run::new(protected(Direction::Download, None));
    run.effects();
    assert_eq!(run.word("550 "), "refused control-refused");
}

#[test]
fn a_missing_end_of_tls_is_a_warning_where_the_length_is_right() {
    let end = |size, words: &[&str]| end(protected(Direction::Download, size), words).0;
    let whole = ["150 ", "bytes 100", "cut", "226 "];
    assert_eq!(end(Some(100), &whole), "confirmed 100 but tls-truncated");
    assert_eq!(end(None, &whole), "truncated tls-truncated");
    assert_eq!(end(Some(101), &whole), "truncated tls-truncated");
    let late = ["150 ", "bytes 100", "226 ", "cut"];
    assert_eq!(end(Some(100), &late), "confirmed 100 but tls-truncated");
}

#[test]
fn a_server_that_misses_the_resumption_says_it_in_codes_or_in_words() {
    let end = |direction, words: &[&str]| end(protected(direction, None), words).0;
    let (up, down) = (Direction::Upload, Direction::Download);
    for (direction, words, expected) in [
        (down, &["150 ", "anew", "cut", "522 Failed."][..], "refused tls-not-resumed"),
        (down, &["150 ", "anew", "522 Failed."], "stop; refused tls-not-resumed"),
        (down, &["150 ", "anew", "cut", "425 Unable."], "refused tls-not-resumed"),
        (down, &["150 ", "anew", "cut", "450 No session reuse."], "refused tls-not-resumed"),
        (down, &["150 ", "anew", "cut", "426 Not resumed."], "refused tls-not-resumed"),
        (up, &["150 ", "anew", "bytes 9", "reset", "522 Failed."], "refused tls-not-resumed"),
        // These say something else.
        (down, &["150 ", "anew", "cut", "450 Busy."], "truncated control-refused"),
        (down, &["150 ", "anew", "bytes 9", "cut", "425 Oh."], "truncated tls-truncated"),
        (down, &["150 ", "resumed", "cut", "425 Unable."], "refused tls-truncated"),
        (down, &["150 ", "resumed", "cut", "522 Failed."], "truncated control-refused"),
        (down, &["425 No session reuse."], "refused control-refused"),
    ] {
        assert_eq!(end(direction, words), expected, "{words:?}");
    }
}

#[test]
fn a_handshake_that_fails_has_transferred_nothing() {
    let end = |words: &[&str]| end(protected(Direction::Upload, None), words).0;
    assert_eq!(end(&["150 ", "stranger", "425 "]), "refused certificate-wrong-name");
    assert_eq!(end(&["150 ", "stranger", "wait"]), "refused certificate-wrong-name");
}
