//! Both connections through real proxies: tinyproxy by HTTP CONNECT, microsocks by SOCKS5.
//!
//! What else a proxy may answer is tested where it is read.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A process that ends with its value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn serve(dir: &Path) -> (Running, BufReader<ChildStdout>, String) {
    fs::create_dir(dir.join("srv")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_twoport"))
        .args(["serve", "srv", "--listen", "127.0.0.1:0"])
        .current_dir(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut url = String::new();
    out.read_line(&mut url).unwrap();
    (Running(child), out, url.trim_end().to_owned())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[expect(clippy::disallowed_methods, reason = "another process is waited for, on no runtime")]
fn start(program: &str, arguments: &[&str], port: u16) -> Option<Running> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(child) = command.spawn() else {
        println!("skipped: {program} is not installed");
        return None;
    };
    let running = Running(child);
    let mut tries = 0;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(tries < 400, "{program} does not listen");
        tries += 1;
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    Some(running)
}

/// Everything through the proxy; and no active mode.
fn works_through(proxy: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (_server, _out, url) = serve(dir.path());
    fs::write(dir.path().join("a.bin"), "through").unwrap();
    let twoport = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twoport"));
        command.args(arguments).args(["--proxy", proxy]).current_dir(dir.path());
        let output = command.env("XDG_STATE_HOME", dir.path()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    };
    for mode in ["auto", "pasv"] {
        let (code, text) = twoport(&["put", "--mode", mode, "a.bin", &url]);
        assert_eq!(code, 0, "{proxy} {mode} {text}");
        assert!(twoport(&["ls", "--mode", mode, &url]).1.contains("a.bin"));
        let (code, text) = twoport(&["get", "--mode", mode, &format!("{url}a.bin"), "back"]);
        assert_eq!(code, 0, "{proxy} {mode} {text}");
        assert_eq!(fs::read(dir.path().join("back")).unwrap(), b"through");
    }
    let (code, text) = twoport(&["get", "--mode", "port", "--json", &format!("{url}a.bin"), "no"]);
    assert_eq!(code, 6, "{text}");
    assert!(text.contains("\"reason\":\"proxy-passive-only\""), "{text}");
}

#[test]
fn by_http_connect() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let conf = dir.path().join("tinyproxy.conf");
    let text = format!("Port {port}\nListen 127.0.0.1\nMaxClients 20\nTimeout 60\n");
    fs::write(&conf, text).unwrap();
    let conf = conf.display().to_string();
    if let Some(_proxy) = start("tinyproxy", &["-d", "-c", &conf], port) {
        works_through(&format!("http://127.0.0.1:{port}"));
    }
}

#[test]
fn by_socks() {
    let port = free_port();
    let number = port.to_string();
    let arguments = ["-i", "127.0.0.1", "-p", &number, "-u", "ann", "-P", "secret"];
    if let Some(_proxy) = start("microsocks", &arguments, port) {
        works_through(&format!("socks5://ann:secret@127.0.0.1:{port}"));
        works_through(&format!("socks5h://ann:secret@127.0.0.1:{port}"));
    }
}
