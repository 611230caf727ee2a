use super::*;
use alloc::string::{String, ToString as _};
use alloc::vec;

const fn at(milliseconds: u64) -> Time {
    Time(Duration::from_millis(milliseconds))
}

/// The replies of bytes that all came at once, each as `code text`, and what a long wait adds.
fn replies(bytes: &[u8], preliminary: bool) -> Vec<String> {
    let chunked = |size: usize| {
        let mut reader = ReplyReader::default();
        reader.set_grace(grace(Duration::ZERO));
        let mut found = vec![];
        for chunk in bytes.chunks(size) {
            reader.push(at(0), chunk);
            while let Some(reply) = reader.next_reply(at(0), preliminary) {
                found.push(reply);
            }
        }
        found.extend(reader.next_reply(at(300), preliminary));
        let show = |reply: Result<Reply, Reason>| match reply {
            Ok(reply) => alloc::format!("{reply:?}"),
            Err(reason) => reason.to_string(),
        };
        found.into_iter().map(show).collect::<Vec<_>>()
    };
    let whole = chunked(usize::MAX);
    assert_eq!(chunked(1), whole, "a byte at a time");
    whole
}

#[test]
fn one_line_in_all_its_forms() {
    for (bytes, expected) in [
        (&b"220 Hello.\r\n"[..], "220 Hello."),
        (b"220 Hello.\n", "220 Hello."),
        (b"220\r\n", "220 "),
        (b"220 \r\n", "220 "),
        (b"2\x0020 He\0llo.\r\n", "220 Hello."),
        (b"\xff\xfb\x01\xff\xfd\x00220 Hello.\r\n", "220 Hello."),
        (b"633 Protected.\r\n", "533 Protected."),
        (b"\r\n\r\n220 Hello.\r\n", "220 Hello."),
        (b"warning: no reverse name\r\n220 Hello.\r\n", "220 Hello."),
    ] {
        assert_eq!(replies(bytes, false), [expected], "{}", bytes.escape_ascii());
    }
}

#[test]
fn blocks_in_all_their_forms() {
    for (bytes, expected) in [
        (&b"220-a\r\n b\r\n220 c\r\n"[..], "220 a  b c"),
        (b"220-a\n220-b\n220 c\n", "220 a b c"),
        (b"220-a\r\n220text\r\n220 c\r\n", "220 a 220text c"),
        (b"230-a\r\n530 not really\r\n230 c\r\n", "230 a not really c"),
        (b"230-a\r\nb\r\n230\r\n", "230 a b "),
        (b"250-a\r\n250 b\r\n", "250 a b"),
        (b"230-a\r\n530-b\r\n230 c\r\n", "230 a 530-b c"),
        (b"220-\r\n\r\n220 \r\n", "220   "),
    ] {
        assert_eq!(replies(bytes, false), [expected], "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_different_code_ends_the_block_only_when_nothing_follows_and_only_if_it_fits() {
    let glftpd = b"250-Directory\r\n150 Opening\r\n";
    assert_eq!(replies(glftpd, true), ["150 Directory Opening"]);
    assert!(replies(glftpd, false).is_empty(), "no 1yz may answer this command");
    let mut reader = ReplyReader::default();
    reader.set_grace(grace(Duration::from_millis(200)));
    reader.push(at(0), b"230-a\r\n530 inner\r\n");
    assert_eq!(reader.next_reply(at(0), false), None);
    assert_eq!(reader.deadline(), Some(at(400)));
    assert_eq!(reader.next_reply(at(399), false), None);
    reader.push(at(399), b"2");
    assert_eq!(reader.next_reply(at(900), false), None, "more is coming");
    reader.push(at(900), b"30 end\r\n");
    let reply = reader.next_reply(at(900), false).unwrap().unwrap();
    assert_eq!(reply.code, Code::LOGGED_IN);
}

#[test]
fn glued_replies_come_apart() {
    assert_eq!(replies(b"150 Here.\r\n226 Done.\r\n", true), ["150 Here.", "226 Done."]);
}

#[test]
fn long_replies_pass_and_endless_ones_do_not() {
    let mut banner = b"220 ".to_vec();
    banner.resize(70_000, b'x');
    banner.extend_from_slice(b"\r\n");
    assert_eq!(replies(&banner, false).len(), 1);
    let mut banner = b"220-".to_vec();
    for _ in 0..2800 {
        banner.extend_from_slice(&[b'y'; 72]);
        banner.extend_from_slice(b"\r\n");
    }
    banner.extend_from_slice(b"220 end\r\n");
    assert_eq!(replies(&banner, false).len(), 1);
    let mut reader = ReplyReader::default();
    reader.push(at(0), &vec![b'2'; MAX_REPLY + 2]);
    assert_eq!(reader.next_reply(at(0), false), Some(Err(Reason::ReplyTooLong)));
    let mut reader = ReplyReader::default();
    reader.push(at(0), b"220-");
    let line = [b"x".repeat(1000), b"\r\n".to_vec()].concat();
    let failed = (0..2000).any(|_| {
        reader.push(at(0), &line);
        reader.next_reply(at(0), false) == Some(Err(Reason::ReplyTooLong))
    });
    assert!(failed);
}

#[test]
fn other_protocols_are_named_at_once() {
    for greeting in [&b"HTTP/1.1 200 OK\r\n"[..], b"SSH-2.0-x\r\n"] {
        assert_eq!(replies(greeting, false), ["not-ftp"]);
    }
    assert_eq!(replies(&b"chatter\r\n".repeat(101), false)[0], "not-ftp");
}

#[test]
fn the_end_of_the_connection_ends_the_reply() {
    let mut reader = ReplyReader::default();
    reader.push(at(0), b"226 Done");
    assert_eq!(reader.next_reply(at(0), false), None);
    assert_eq!(reader.finish(false)[0].code, Code::TRANSFER_COMPLETE);
    let mut reader = ReplyReader::default();
    reader.push(at(0), b"230-a\r\n530 out\r\n");
    assert_eq!(reader.next_reply(at(0), false), None);
    assert_eq!(reader.finish(false)[0].code, Code::NOT_LOGGED_IN);
}

#[test]
fn a_doubtful_end_that_cannot_be_one_wakes_nobody_twice() {
    let mut reader = ReplyReader::default();
    reader.set_grace(grace(Duration::ZERO));
    reader.push(at(0), b"211-Features\r\n199 \r\n");
    assert_eq!(reader.next_reply(at(0), false), None);
    let due = reader.deadline().unwrap();
    assert_eq!(reader.next_reply(due, false), None, "a 1yz answers no such command");
    assert_eq!(reader.deadline(), None);
    reader.push(at(900), b"211 End\r\n");
    assert!(reader.next_reply(at(900), false).is_some());
}
