//! The program against itself: one serves, another gets, puts and lists.
//!
//! What the protocol does in detail is tested where it is decided; here it is that the two
//! commands meet, and what a script sees of it.

#![expect(
    clippy::unwrap_used,
    reason = "what every test does is in functions, which the lint counts"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

struct Served {
    dir: tempfile::TempDir,
    child: Child,
    _out: BufReader<ChildStdout>,
    url: String,
}

impl Served {
    /// A server of `srv`, that has made its own account unless `arguments` give another.
    fn new(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("srv")).unwrap();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_twoport"))
            .args(["serve", "srv", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut url = String::new();
        out.read_line(&mut url).unwrap();
        Self { dir, child, _out: out, url: url.trim_end().to_owned() }
    }

    fn twoport(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twoport"));
        command.args(arguments).current_dir(self.dir.path()).stdin(Stdio::null());
        command.output().unwrap()
    }

    /// Exit code and standard output.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.twoport(arguments);
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// Waits until the log holds `part`, ten seconds at most.
    #[expect(clippy::disallowed_methods, reason = "another process is waited for, on no runtime")]
    fn logs(&self, part: &str) {
        let mut tries = 0;
        while !self.log().contains(part) {
            assert!(tries < 1000, "{part} is not in {}", self.log());
            tries += 1;
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[test]
fn files_go_both_ways_in_every_mode() {
    let served = Served::new(&[]);
    let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(served.dir.path().join("a b%"), &bytes).unwrap();
    for mode in ["auto", "epsv", "pasv", "eprt", "port"] {
        let url = served.url(&format!("{mode}%25x"));
        assert_eq!(served.run(&["put", "--mode", mode, "a b%", &url]).0, 0, "{mode}");
        assert_eq!(fs::read(served.dir.path().join(format!("srv/{mode}%x"))).unwrap(), bytes);
        let (code, json) = served.run(&["get", "--json", "--mode", mode, &url]);
        assert_eq!(code, 0);
        let step = if mode == "auto" { "epsv" } else { mode };
        assert!(json.contains("\"outcome\":\"confirmed\"") && json.contains(step), "{json}");
        assert_eq!(fs::read(served.dir.path().join(format!("{mode}%x"))).unwrap(), bytes);
    }
    assert_eq!(served.twoport(&["get", &served.url("epsv%25x"), "-"]).stdout, bytes);
}

#[test]
fn trees_go_both_ways_and_are_listed() {
    let served = Served::new(&[]);
    fs::create_dir_all(served.dir.path().join("tree/sub")).unwrap();
    fs::write(served.dir.path().join("tree/sub/x"), "x").unwrap();
    assert_eq!(served.run(&["put", "-r", "tree", &served.url("up/")]).0, 0);
    assert_eq!(fs::read(served.dir.path().join("srv/up/tree/sub/x")).unwrap(), b"x");
    assert_eq!(served.run(&["get", "-r", &served.url("up"), "back"]).0, 0);
    assert_eq!(fs::read(served.dir.path().join("back/tree/sub/x")).unwrap(), b"x");
    assert_eq!(served.run(&["ls", &served.url("up/tree")]), (0, "sub\n".to_owned()));
    assert!(served.run(&["ls", "--long", &served.url("up/tree/")]).1.starts_with("directory"));
    assert!(served.run(&["ls", "--json", &served.url("")]).1.contains("\"name\":\"up\""));
}

#[test]
fn failures_have_their_exit_codes() {
    let served = Served::new(&[]);
    let wrong = served.url.replace("twoport:", "twoport:x");
    for (code, line) in [
        (2, &["get", "ftp:/x"][..]),
        (2, &["get", &served.url("")]),
        (2, &["put", "a"]),
        (2, &["get", "--timeout", "never", &served.url("a")]),
        (3, &["get", "ftp://127.0.0.1:1/x"]),
        (4, &["get", &format!("{wrong}x")]),
        (5, &["get", &served.url("gone")]),
        (10, &["put", "gone", &served.url("")]),
    ] {
        let output = served.twoport(line);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{line:?}: {said}");
        assert!(said.starts_with("twoport: "), "{said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn the_server_says_ready_reloads_and_stops_in_good_order() {
    let mut served = Served::new(&["--user", "ann:se-cret", "--config", "t.toml"]);
    // The file is not there: nothing was started.
    assert_eq!(served.child.wait().unwrap().code(), Some(2));
    assert!(served.log().contains("t.toml: cannot be read"), "{}", served.log());

    served = Served::new(&["--user", "ann:se-cret", "--log-format", "json"]);
    served.logs("ready");
    let login = served.url.replace("ftp://", "ftp://ann:se-cret@");
    assert_eq!(served.run(&["ls", &login]).0, 0);
    served.signal(Signal::HUP);
    served.logs("read again");
    assert_eq!(served.run(&["ls", &login]).0, 0);
    served.signal(Signal::TERM);
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
    let log = served.log();
    assert!(log.lines().all(|line| line.starts_with("{\"timestamp\"")), "{log}");
    assert!(!log.contains("se-cret") && !served.url.contains("se-cret"), "{log}");
}

/// What is told of sessions, by the default and by less.
#[test]
fn the_log_tells_every_decision_or_only_trouble() {
    for (level, tells) in [("info", true), ("warn", false)] {
        let served = Served::new(&["--log-level", level]);
        fs::write(served.dir.path().join("srv/x"), "x").unwrap();
        served.logs("ready");
        assert_eq!(served.run(&["get", &served.url("x"), "-"]), (0, "x".to_owned()));
        // A session that says HTTP is closed, and that is trouble.
        let (_, address) = served.url.rsplit_once('@').unwrap();
        let mut web = std::net::TcpStream::connect(address.trim_end_matches('/')).unwrap();
        web.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        served.logs("WARN close");
        let log = served.log();
        assert_eq!(log.contains("INFO login"), tells, "{log}");
        assert_eq!(log.contains("INFO complete"), tells, "{log}");
        served.signal(Signal::TERM);
        served.logs("stopped");
    }
}

#[test]
fn a_bad_new_configuration_is_refused_and_the_old_one_stays() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.toml");
    fs::write(&file, "[accounts]\nanonymous = \"read\"\n").unwrap();
    let served = Served::new(&["--config", file.to_str().unwrap()]);
    served.logs("ready");
    fs::write(&file, "[accounts]\nanonymos = \"off\"\n").unwrap();
    served.signal(Signal::HUP);
    served.logs("did you mean anonymous?; the old configuration stays");
    assert_eq!(served.run(&["ls", &served.url("")]).0, 0);
    fs::write(&file, "[accounts]\nanonymous = \"off\"\n").unwrap();
    served.signal(Signal::HUP);
    served.logs("read again");
    assert_eq!(served.run(&["ls", &served.url("")]).0, 4);
}

#[test]
fn a_reader_who_leaves_ends_a_download_in_good_order() {
    let served = Served::new(&["--anonymous"]);
    fs::write(served.dir.path().join("srv/big"), vec![b'x'; 4 << 20]).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_twoport"))
        .args(["get", &served.url("big"), "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 5];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
