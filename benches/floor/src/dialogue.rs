//! What is said on the control connection: lines in, steps and replies out. No socket is touched.

use std::net::{Ipv4Addr, SocketAddr};

pub const OPENING: &[u8] = b"150 Opening\r\n";
pub const DONE: &[u8] = b"226 Done\r\n";
pub const BOTH: &[u8] = b"150 Opening\r\n226 Done\r\n";

/// What a line asks for.
pub enum Step {
    /// Nothing but this reply.
    Reply(&'static [u8]),
    /// A passive port, in the form of EPSV or of PASV.
    Passive { extended: bool },
    /// Data go to this address.
    Port(SocketAddr),
    /// A file is sent.
    Retrieve(String),
    /// A file is received.
    Store(String),
    /// A directory is listed.
    List(Form, String),
    /// The end.
    Quit,
}

/// How a directory is listed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As `ls -l` does.
    Unix,
    /// As MLSD does.
    Facts,
}

/// The next step, if its line is there.
pub fn next(lines: &mut Vec<u8>) -> Option<Step> {
    let end = lines.iter().position(|&byte| byte == b'\n')?;
    let step = step(std::str::from_utf8(&lines[..end]).unwrap_or_default().trim_end());
    lines.drain(..=end);
    Some(step)
}

fn step(line: &str) -> Step {
    let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
    match verb {
        "USER" => Step::Reply(b"331 Password\r\n"),
        "PASS" => Step::Reply(b"230 Logged in\r\n"),
        "TYPE" | "NOOP" => Step::Reply(b"200 OK\r\n"),
        "PASV" => Step::Passive { extended: false },
        "EPSV" => Step::Passive { extended: true },
        "PORT" => port(argument).map_or(Step::Reply(b"501 No address\r\n"), Step::Port),
        "RETR" => Step::Retrieve(argument.into()),
        "STOR" => Step::Store(argument.into()),
        "LIST" => Step::List(Form::Unix, argument.into()),
        "MLSD" => Step::List(Form::Facts, argument.into()),
        "QUIT" => Step::Quit,
        _ => Step::Reply(b"502 Not here\r\n"),
    }
}

fn port(argument: &str) -> Option<SocketAddr> {
    let numbers: Vec<u8> = argument.split(',').map_while(|part| part.parse().ok()).collect();
    let [a, b, c, d, high, low] = numbers.try_into().ok()?;
    Some((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into())
}

/// The reply that names a passive port.
pub fn passive(extended: bool, port: u16) -> String {
    let [high, low] = port.to_be_bytes();
    match extended {
        true => format!("229 Passive (|||{port}|)\r\n"),
        false => format!("227 Passive (127,0,0,1,{high},{low})\r\n"),
    }
}
