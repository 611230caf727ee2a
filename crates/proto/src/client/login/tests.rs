use super::*;
use alloc::string::{String, ToString as _};
use alloc::vec;

/// What a login sends when a server answers one reply after another, and how it ends.
fn play(credentials: Credentials, replies: &[(u16, &str)]) -> Vec<String> {
    let mut login = Login::new(credentials);
    let mut seen = vec![];
    for (number, text) in replies {
        let digits: [u8; 3] = number.to_string().into_bytes().try_into().unwrap();
        let body = text.split(' ').map(|word| word.as_bytes().to_vec());
        let reply = match *number {
            211 => Reply::block(Code::STATUS, "Features:", body, "End"),
            _ => Reply::line(Code::parse(digits).unwrap(), *text),
        };
        login.handle(Time::ZERO, Input::Reply(reply));
        while let Some(effect) = login.poll() {
            seen.push(match effect {
                Effect::Command(command) => {
                    let mut line = vec![];
                    command.encode(&mut line).unwrap();
                    line.trim_ascii().escape_ascii().to_string()
                }
                Effect::Done(welcome) => {
                    let features: Vec<_> =
                        welcome.features.lines().map(<[u8]>::escape_ascii).collect();
                    alloc::format!("in {} {}", features.len(), welcome.image)
                }
                Effect::Failed(reason, _) => alloc::format!("out {reason}"),
            });
        }
    }
    seen
}

fn ann() -> Credentials {
    let account = Some(Password(b"books".to_vec()));
    Credentials { user: b"ann".to_vec(), password: Password(b"secret".to_vec()), account }
}

#[test]
fn user_pass_feat_utf8_type() {
    let replies = [
        (220, "Hello."),
        (331, "Password?"),
        (230, "In."),
        (211, "UTF8 MLST"),
        (200, "UTF8 on."),
        (200, "Image."),
    ];
    let sent = ["USER ann", "PASS secret", "FEAT", "OPTS UTF8 ON", "TYPE I", "in 2 true"];
    assert_eq!(play(ann(), &replies), sent);
}

#[test]
fn the_short_ways_in() {
    let rest = [(500, "FEAT?"), (226, "Image.")];
    for (replies, sent) in [
        (&[(230, "Hello, you are in.")][..], &[][..]),
        (&[(220, "Hello."), (230, "In.")], &["USER ann"]),
        (&[(220, "Hello."), (232, "In.")], &["USER ann"]),
        (&[(220, "Hello."), (331, "?"), (202, "In.")], &["USER ann", "PASS secret"]),
        (&[(220, "Hello."), (332, "?"), (230, "In.")], &["USER ann", "ACCT books"]),
        (
            &[(220, "Hello."), (331, "?"), (332, "?"), (230, "In.")],
            &["USER ann", "PASS secret", "ACCT books"],
        ),
    ] {
        let replies = [replies, &rest].concat();
        let sent = [sent, &["FEAT", "TYPE I", "in 0 true"]].concat();
        assert_eq!(play(ann(), &replies), sent);
    }
}

#[test]
fn odd_answers_after_the_login_do_not_keep_it_out() {
    let replies = [(220, ""), (230, ""), (530, "FEAT: log in first"), (504, "TYPE?")];
    assert_eq!(play(ann(), &replies).last().unwrap(), "in 0 false");
    let replies = [(220, ""), (230, ""), (211, "UTF8"), (501, "OPTS?"), (200, "")];
    assert_eq!(play(ann(), &replies).last().unwrap(), "in 1 true");
}

#[test]
fn a_refusal_says_why() {
    for (replies, reason) in [
        (&[(530, "No.")][..], "out login-refused"),
        (&[(421, "Too many connections (50)")], "out server-busy"),
        (&[(421, "Going down.")], "out control-closing"),
        (&[(220, ""), (530, "Sorry, the maximum number of clients is reached")], "out server-busy"),
        (&[(220, ""), (530, "Non-anonymous sessions must use encryption.")], "out login-needs-tls"),
        (&[(220, ""), (331, ""), (530, "Login incorrect.")], "out login-refused"),
        (&[(220, ""), (331, ""), (633, "Odd.")], "out login-refused"),
        (&[(220, ""), (331, ""), (421, "Bye.")], "out control-closing"),
        (&[(331, "")], "out reply-malformed"),
    ] {
        assert_eq!(play(ann(), replies).last().unwrap(), reason);
    }
    let without = Credentials { account: None, ..ann() };
    let replies = [(220, ""), (331, ""), (332, "Account?")];
    assert_eq!(play(without, &replies).last().unwrap(), "out account-needed");
}

#[test]
fn no_password_is_shown() {
    let shown = alloc::format!("{:?} {:?}", ann(), Login::new(ann()));
    assert!(!shown.contains("secret") && !shown.contains("books"), "{shown}");
}

#[test]
fn under_tls_the_data_are_protected_before_anything_is_listed() {
    for (policy, prot, end) in [
        (Policy::Required, 200, "in 0 true, protected"),
        (Policy::Auto, 200, "in 0 true, protected"),
        (Policy::Auto, 534, "in 0 true, in clear"),
        (Policy::Auto, 500, "in 0 true, in clear"),
        (Policy::Required, 534, "out protection-refused"),
        (Policy::Required, 500, "out protection-refused"),
    ] {
        let seen = under_tls(Start::Anew, policy, prot);
        assert_eq!(seen[..4], ["USER ann", "PASS secret", "PBSZ 0", "PROT P"]);
        assert_eq!(seen.last().unwrap(), end, "{policy:?}");
    }
}

#[test]
fn implicit_tls_protects_data_where_nobody_knows_prot() {
    for (prot, end) in [
        (200, "in 0 true, protected"),
        (500, "in 0 true, protected as it must be"),
        (502, "in 0 true, protected as it must be"),
        (503, "in 0 true, protected as it must be"),
        (504, "in 0 true, protected as it must be"),
        (534, "out protection-refused"),
        (431, "out protection-refused"),
    ] {
        let greeting = Reply::line(Code::parse(*b"220").unwrap(), "Hello.");
        let seen = under_tls(Start::Implicit(greeting), Policy::Required, prot);
        assert_eq!(seen[..4], ["USER ann", "PASS secret", "PBSZ 0", "PROT P"]);
        assert_eq!(seen.last().unwrap(), end, "{prot}");
    }
}

/// What a login says, and how it ends, with a server that answers PROT so.
fn under_tls(start: Start, policy: Policy, prot: u16) -> Vec<String> {
    let mut login = Login::behind(start, ann(), policy);
    let mut seen = vec![];
    let mut replies = [331, 230, 503, prot, 500, 200].into_iter();
    while let Some(effect) = login.poll() {
        match effect {
            Effect::Command(command) => {
                let mut line = vec![];
                command.encode(&mut line).unwrap();
                seen.push(line.trim_ascii().escape_ascii().to_string());
                let digits = replies.next().unwrap().to_string().into_bytes();
                let code = Code::parse(digits.try_into().unwrap()).unwrap();
                login.handle(Time::ZERO, Input::Reply(Reply::line(code, "Said.")));
            }
            Effect::Done(welcome) => {
                let data = match (welcome.protected, welcome.assumed) {
                    (true, false) => "protected",
                    (true, true) => "protected as it must be",
                    (false, _) => "in clear",
                };
                seen.push(alloc::format!("in 0 {}, {data}", welcome.image));
            }
            Effect::Failed(reason, _) => seen.push(alloc::format!("out {reason}")),
        }
    }
    seen
}
