//! The gateway from a file: several seats in one process, and mistakes that are told with their lines.
//!
//! What a seat does is tested beside it.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use twoport_lab::foreign::clients::served::{self, Served};

/// A control connection, whose greeting has come.
fn greeting(address: SocketAddr) -> (BufReader<TcpStream>, String) {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (mut stream, mut line) = (BufReader::new(stream), String::new());
    stream.read_line(&mut line).unwrap();
    (stream, line)
}

/// The greeting, the reply to a log-in as anonymous, and that to a deletion.
fn visit(address: SocketAddr) -> [String; 3] {
    let (mut stream, greeting) = greeting(address);
    let mut ask = |said: &str| {
        stream.get_mut().write_all(said.as_bytes()).unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        line
    };
    ask("USER anonymous\r\n");
    [greeting, ask("PASS x\r\n"), ask("DELE a\r\n")]
}

#[test]
fn two_seats_of_one_file_and_a_flag_for_both() {
    let root = TempDir::new().unwrap();
    std::fs::write(root.path().join("a"), "x").unwrap();
    let served = Served::start(root.path(), &["--anonymous=write"]).unwrap();
    let server = served.addresses().first().unwrap();
    let file = root.path().join("gateway.toml");
    let text = format!(
        "data-ports = \"47100-47199\"\n\
         [[seat]]\nlisten = [\"127.0.0.1:0\"]\nserver = \"{server}\"\nread-only = true\n\
         [[seat]]\nlisten = \"127.0.0.1:0\"\nserver = \"127.0.0.1:9\"\n"
    );
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let gateway = Served::gateway(&["--config", file, "--max-sessions", "5"]).unwrap();
    let &[first, second, ..] = gateway.addresses() else { unreachable!("{}", gateway.log()) };
    let [hello, welcome, refused] = visit(first);
    assert!(hello.starts_with("220"), "{hello}");
    assert!(welcome.starts_with("230"), "{welcome}");
    assert!(refused.starts_with("550"), "{refused}");
    assert!(root.path().join("a").exists());
    let (_, none) = greeting(second);
    assert!(none.starts_with("421"), "{none}");
}

#[test]
fn mistakes_are_told_by_check_and_by_the_gateway_alike() {
    let work = TempDir::new().unwrap();
    let file = work.path().join("gateway.toml");
    std::fs::write(&file, "[[seat]]\nservers = \"a\"\n").unwrap();
    let told = |arguments: &[&str]| {
        let output = Command::new(served::program().unwrap()).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let path = file.to_str().unwrap();
    let mistake = format!("{path}:2:1: servers: unknown key in [seat]; did you mean server?");
    for arguments in [&["check", path][..], &["gateway", "--config", path]] {
        let told = told(arguments);
        assert!(told.contains(&mistake), "{told}");
    }
    std::fs::write(
        &file,
        "[[seat]]\nlisten = \"x\"\n[[seat]]\nserver = \"a\"\ntls = \"terminate\"\n",
    )
    .unwrap();
    let told = told(&["check", path]);
    assert!(told.contains(":1:1: server: no server; name at least one"), "{told}");
    assert!(told.contains(":5:7: tls: terminate: clients need a certificate"), "{told}");
}
