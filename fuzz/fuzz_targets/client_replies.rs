//! Replies of any peer: the reader ends, keeps to its bound, and reads the same replies however
//! their bytes are cut; a conversation gives one answer to a command.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use twoport_proto::client::conversation::{Conversation, Effect, Input, Patience};
use twoport_proto::client::replies::ReplyReader;
use twoport_proto::code::Class;
use twoport_proto::command::Command;
use twoport_proto::time::Time;

fn read(chunks: &[&[u8]]) -> (Vec<String>, bool) {
    let mut reader = ReplyReader::default();
    let mut replies = Vec::new();
    for chunk in chunks {
        reader.push(Time::ZERO, chunk);
        while let Some(reply) = reader.next_reply(Time::ZERO, true) {
            match reply {
                Ok(reply) => replies.push(format!("{reply:?}")),
                Err(_) => return (replies, true),
            }
        }
    }
    replies.extend(reader.finish(true).iter().map(|reply| format!("{reply:?}")));
    (replies, false)
}

fn converse(bytes: &[u8], cuts: &[u8]) {
    let second = Duration::from_secs(1);
    let patience = Patience { greeting: 5 * second, reply: 5 * second };
    let mut now = Time::ZERO;
    let mut conversation = Conversation::new(now, Duration::from_millis(10), patience);
    let (mut asked, mut answered) = (1, 0);
    let mut drain = |conversation: &mut Conversation, asked: usize| {
        while let Some(effect) = conversation.poll() {
            match effect {
                Effect::Reply(reply) if reply.code.class() == Class::Preliminary => {}
                Effect::Reply(_) | Effect::Lost(_) => answered += 1,
                Effect::Send(_) | Effect::Stray(_) => {}
            }
        }
        assert!(answered <= asked, "more answers than commands");
        answered
    };
    let commands =
        [Command::Noop, Command::Abor, Command::Pasv, Command::Retr(b"a".as_slice().into())];
    let mut rest = bytes;
    for (turn, cut) in cuts.iter().enumerate() {
        let (chunk, behind) = rest.split_at(usize::from(*cut).min(rest.len()));
        rest = behind;
        conversation.handle(now, Input::Bytes(chunk));
        if drain(&mut conversation, asked) == asked && conversation.closed().is_none() {
            asked += 1;
            conversation.handle(now, Input::Command(&commands[turn % commands.len()]));
            drain(&mut conversation, asked);
        }
        now = now.after(Duration::from_millis(u64::from(*cut) * 40));
        for _ in 0..8 {
            if conversation.deadline().is_none_or(|deadline| deadline > now) {
                break;
            }
            conversation.handle(now, Input::Timer);
            drain(&mut conversation, asked);
        }
        let due = conversation.deadline().is_some_and(|deadline| deadline <= now);
        assert!(!due, "a timer stays due");
    }
    conversation.handle(now, Input::Eof);
    assert_eq!(drain(&mut conversation, asked), asked, "a command without an answer");
}

fuzz_target!(|input: (&[u8], Vec<u8>)| {
    let (bytes, cuts) = input;
    let whole = read(&[bytes]);
    let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(&bytewise), whole);
    converse(bytes, &cuts);
});
