use super::*;
use crate::path::FtpPath;
use alloc::string::String;
use alloc::vec;

const fn at(milliseconds: u64) -> Time {
    Time(Duration::from_millis(milliseconds))
}

const PATIENCE: Patience =
    Patience { greeting: Duration::from_secs(20), reply: Duration::from_secs(10) };

struct Peer(Conversation);

impl Peer {
    /// A conversation of which the greeting was read.
    fn greeted() -> Self {
        let mut peer = Self(Conversation::new(at(0), Duration::from_millis(10), PATIENCE));
        assert_eq!(peer.says(10, "220 Hello."), ["reply 220"]);
        peer
    }

    fn does(&mut self, milliseconds: u64, input: Input<'_>) -> Vec<String> {
        self.0.handle(at(milliseconds), input);
        let mut seen = vec![];
        while let Some(effect) = self.0.poll() {
            seen.push(match effect {
                Effect::Send(line) => alloc::format!("send {}", line.escape_ascii()),
                Effect::Reply(reply) => alloc::format!("reply {}", reply.code),
                Effect::Stray(reply) => alloc::format!("stray {}", reply.code),
                Effect::Lost(reason) => alloc::format!("lost {reason}"),
            });
        }
        seen
    }

    fn says(&mut self, milliseconds: u64, line: &str) -> Vec<String> {
        self.does(milliseconds, Input::Bytes(alloc::format!("{line}\r\n").as_bytes()))
    }

    fn hears(&mut self, milliseconds: u64, command: &Command) {
        assert_eq!(self.does(milliseconds, Input::Command(command)).len(), 1);
    }
}

fn retr() -> Command {
    Command::Retr(FtpPath::from(&b"a"[..]))
}

#[test]
fn one_command_one_reply() {
    let mut peer = Peer::greeted();
    assert_eq!(peer.does(20, Input::Command(&Command::Noop)), ["send NOOP\\r\\n"]);
    assert_eq!(peer.says(25, "200 Fine."), ["reply 200"]);
    assert_eq!(peer.0.round_trip(), Duration::from_millis(5));
    assert_eq!(peer.0.deadline(), None);
}

#[test]
fn ready_soon_before_ready() {
    let mut peer = Peer(Conversation::new(at(0), Duration::ZERO, PATIENCE));
    assert_eq!(peer.says(15_000, "120 In a minute."), ["stray 120"]);
    assert_eq!(peer.0.deadline(), Some(at(35_000)));
    assert_eq!(peer.says(30_000, "220 Now."), ["reply 220"]);
}

#[test]
fn silence_nonsense_and_the_end_are_told_apart() {
    let mut peer = Peer::greeted();
    peer.hears(20, &Command::Noop);
    assert_eq!(peer.does(10_020, Input::Timer), ["lost reply-missing"]);
    assert_eq!(peer.does(10_030, Input::Command(&Command::Noop)), ["lost reply-missing"]);
    let mut peer = Peer::greeted();
    peer.hears(20, &Command::Noop);
    assert!(peer.says(21, "fine").is_empty());
    assert_eq!(peer.does(10_020, Input::Timer), ["lost reply-malformed"]);
    let mut peer = Peer::greeted();
    peer.hears(20, &Command::Noop);
    assert_eq!(peer.does(30, Input::Eof), ["lost control-lost"]);
    let mut peer = Peer(Conversation::new(at(0), Duration::ZERO, PATIENCE));
    assert_eq!(peer.says(1, "SSH-2.0-OpenSSH"), ["lost not-ftp"]);
}

#[test]
fn the_server_says_421_whenever_it_likes() {
    let mut peer = Peer::greeted();
    assert_eq!(peer.says(20, "421 Idle."), ["stray 421"]);
    assert_eq!(peer.does(30, Input::Command(&Command::Noop)), ["lost control-closing"]);
    let mut peer = Peer::greeted();
    peer.hears(20, &retr());
    assert_eq!(peer.says(30, "150 Here."), ["reply 150"]);
    assert_eq!(peer.says(40, "421 Going down."), ["reply 421"]);
    assert!(peer.does(50, Input::Eof).is_empty());
}

#[test]
fn a_last_line_without_its_end_counts() {
    let mut peer = Peer::greeted();
    peer.hears(20, &retr());
    peer.does(30, Input::Bytes(b"150 Here.\r\n226 Done."));
    assert_eq!(peer.does(40, Input::Eof), ["reply 226"]);
}

#[test]
fn the_second_end_of_a_transfer_answers_no_other_command() {
    let mut peer = Peer::greeted();
    peer.hears(20, &retr());
    assert_eq!(peer.says(30, "150 Here.\r\n226 Done."), ["reply 150", "reply 226"]);
    peer.hears(40, &Command::Epsv(crate::command::Epsv::Default));
    assert!(peer.says(41, "226 Done again.").is_empty());
    assert_eq!(
        peer.says(42, "150 Stray.\r\n229 (|||1024|)"),
        ["stray 226", "stray 150", "reply 229"]
    );
    assert_eq!(peer.says(43, "226 Thrice."), ["stray 226"]);
}

#[test]
fn an_odd_answer_is_an_answer_when_no_other_comes() {
    let mut peer = Peer::greeted();
    peer.hears(20, &Command::Type(crate::command::Representation::Image));
    assert_eq!(peer.says(21, "226 Type set."), ["reply 226"], "before any transfer at once");
    peer.hears(30, &retr());
    peer.says(31, "150 Here.\r\n226 Done.");
    peer.hears(40, &Command::Type(crate::command::Representation::Image));
    assert!(peer.says(41, "226 Type set.").is_empty());
    assert_eq!(peer.0.deadline(), Some(at(341)));
    assert_eq!(peer.does(341, Input::Timer), ["reply 226"]);
}

#[test]
fn no_argument_becomes_a_second_command() {
    let mut peer = Peer::greeted();
    let evil = Command::Retr(FtpPath::from(&b"a\r\nDELE b"[..]));
    assert_eq!(peer.does(20, Input::Command(&evil)), ["lost bad-name"]);
}

/// Curl case 983: what follows the 234 in clear is never the answer to a command under TLS.
#[test]
fn clear_text_behind_the_234_ends_the_conversation() {
    let auth = Command::Auth(crate::command::Mechanism::Tls);
    for behind in ["331 Password?\r\n", "3", "230-In\r\n", "nonsense\r\n"] {
        let mut peer = Peer::greeted();
        peer.hears(20, &auth);
        let both = alloc::format!("234 Go on.\r\n{behind}");
        peer.0.handle(at(30), Input::Bytes(both.as_bytes()));
        assert!(matches!(peer.0.poll(), Some(Effect::Reply(_))));
        assert!(peer.does(31, Input::Secure).is_empty(), "{behind:?}");
        assert_eq!(peer.0.closed(), Some(Reason::ClearBehindAuth), "{behind:?}");
        let user = Command::User(b"ann".to_vec());
        assert_eq!(peer.does(32, Input::Command(&user)), ["lost clear-text-behind-auth"]);
    }
    let mut peer = Peer::greeted();
    peer.hears(20, &auth);
    assert_eq!(peer.says(30, "234 Go on."), ["reply 234"]);
    assert!(peer.does(31, Input::Secure).is_empty());
    assert_eq!(peer.0.closed(), None);
}
