use super::*;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

fn reply(text: &str) -> Input {
    let (digits, text) = text.split_at(3);
    let code = Code::parse(digits.as_bytes().try_into().unwrap()).unwrap();
    Input::Reply(Reply::line(code, text.trim_start()))
}

/// What the machine wants done after each input.
fn play(mut machine: Secure, inputs: Vec<Input>) -> Vec<String> {
    let mut seen = vec![];
    let mut drain = |machine: &mut Secure| {
        while let Some(effect) = machine.poll() {
            seen.push(match effect {
                Effect::Command(command) => {
                    let mut line = vec![];
                    command.encode(&mut line).unwrap();
                    alloc::format!("{}", line.trim_ascii().escape_ascii())
                }
                Effect::StartTls => "handshake".into(),
                Effect::Done(Start::Greeted(reply)) => {
                    alloc::format!("log in after {}", reply.code.number())
                }
                Effect::Done(Start::Implicit(reply)) => {
                    alloc::format!("log in under TLS after {}", reply.code.number())
                }
                Effect::Done(Start::Anew) => "log in".into(),
                Effect::Failed(reason, _) => alloc::format!("out {reason}"),
            });
        }
    };
    drain(&mut machine);
    for input in inputs {
        machine.handle(Time::ZERO, input);
        drain(&mut machine);
    }
    seen
}

#[test]
fn explicit_implicit_and_off() {
    let secured = || vec![reply("220 Hello."), reply("234 Go on."), Input::Secured];
    for policy in [Policy::Auto, Policy::Required] {
        let sent = play(Secure::explicit(policy), secured());
        assert_eq!(sent, ["AUTH TLS", "handshake", "log in"], "{policy:?}");
    }
    let sent = play(Secure::implicit(), vec![Input::Secured, reply("220 Hello.")]);
    assert_eq!(sent, ["handshake", "log in under TLS after 220"]);
    let sent = play(Secure::explicit(Policy::Off), vec![reply("220 Hello.")]);
    assert_eq!(sent, ["log in after 220"]);
}

#[test]
fn a_server_without_tls_is_used_in_clear_only_where_that_is_allowed() {
    for no in ["500 AUTH?", "502 No.", "530 Log in first.", "534 No.", "431 Not now.", "200 What?"]
    {
        let inputs = || vec![reply("220 Hello."), reply(no)];
        let auto = play(Secure::explicit(Policy::Auto), inputs());
        assert_eq!(auto, ["AUTH TLS", "log in after 220"], "{no}");
        let required = play(Secure::explicit(Policy::Required), inputs());
        assert_eq!(required, ["AUTH TLS", "out tls-refused"], "{no}");
    }
}

#[test]
fn a_handshake_that_fails_is_never_followed_by_a_login() {
    for policy in [Policy::Auto, Policy::Required] {
        let failed = Input::Failed(Reason::CertificateUnknownIssuer);
        let inputs = vec![reply("220 Hello."), reply("234 Go on."), failed, reply("220 Hello.")];
        let sent = play(Secure::explicit(policy), inputs);
        assert_eq!(sent, ["AUTH TLS", "handshake", "out certificate-unknown-issuer"]);
    }
}

#[test]
fn a_greeting_in_clear_that_needs_no_login_does_not_do() {
    let inputs = || vec![reply("230 You are in."), reply("500 AUTH?")];
    let required = play(Secure::explicit(Policy::Required), inputs());
    assert_eq!(required, ["AUTH TLS", "out tls-refused"]);
    let auto = play(Secure::explicit(Policy::Auto), inputs());
    assert_eq!(auto, ["AUTH TLS", "log in after 230"]);
}

#[test]
fn a_busy_server_and_a_lost_connection_are_told_as_such() {
    let busy = play(Secure::explicit(Policy::Required), vec![reply("421 Too many.")]);
    assert_eq!(busy, ["log in after 421"], "the login explains it");
    let inputs = vec![reply("220 Hello."), reply("421 Bye.")];
    let closing = play(Secure::explicit(Policy::Auto), inputs);
    assert_eq!(closing, ["AUTH TLS", "out control-closing"]);
    let inputs = vec![reply("220 Hello."), Input::Lost(Reason::ControlLost)];
    let lost = play(Secure::explicit(Policy::Auto), inputs);
    assert_eq!(lost, ["AUTH TLS", "out control-lost"]);
}
