//! The owner's rules of a gateway: who may go where, what may be done there and how fast, by flags and as
//! a client hears of it.
//!
//! How a line is judged is tested beside the relay machine (`relay/rules.rs` in `twoport-proto`).

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::io::{BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use twoport_lab::foreign::clients::served::{self, Served};
use twoport_lab::foreign::nodes::{Client, PATIENCE, wait_for};
use twoport_net::clock;

struct Stage {
    root: TempDir,
    _server: Served,
    gateway: Served,
}

impl Stage {
    /// A gateway with these rules before a server on which everybody may write.
    fn set(data_ports: &str, rules: &[&str]) -> Self {
        let root = TempDir::new().unwrap();
        let server = Served::start(root.path(), &["--anonymous=write"]).unwrap();
        let at = server.addresses().first().unwrap().to_string();
        let seat = ["--listen", "127.0.0.1:0", "--server", &at, "--data-ports", data_ports];
        let gateway = Served::gateway(&[&seat, rules].concat()).unwrap();
        Self { root, _server: server, gateway }
    }

    fn address(&self) -> SocketAddr {
        *self.gateway.addresses().first().unwrap()
    }

    fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client(BufReader::new(stream))
    }

    fn log_in(&self) -> Client {
        self.connect().logged_in()
    }

    /// A data connection in passive mode.
    fn dial(&self, client: &mut Client) -> TcpStream {
        let port = client.epsv();
        let data = TcpStream::connect((self.address().ip(), port)).unwrap();
        data.set_read_timeout(Some(PATIENCE)).unwrap();
        data
    }

    fn stores(&self, client: &mut Client, name: &str, content: &[u8]) {
        let mut data = self.dial(client);
        client.asks(&format!("STOR {name}"), "150");
        data.write_all(content).unwrap();
        data.shutdown(Shutdown::Write).unwrap();
        client.says("226");
    }
}

#[test]
fn what_may_not_be_done_is_refused_with_its_reason_and_logged() {
    let rules = [
        "--deny-verb",
        "DELE",
        "--deny-verb",
        "SITE",
        "--deny-name",
        "*.exe",
        "--allow-name",
        "*.txt",
    ];
    let stage = Stage::set("46000-46019", &rules);
    let mut client = stage.log_in();
    stage.stores(&mut client, "a.txt", b"content");
    client.asks("DELE a.txt", "502 This command may not pass the gateway.");
    client.asks("SITE HELP", "502");
    client.asks("STOR b.exe", "550 This name may not pass the gateway.");
    client.asks("STOR b.bin", "550");
    client.asks("RNFR x.EXE", "550");
    client.asks("XFOO", "500");
    client.asks("RETR a.txt\0", "500");
    client.asks("SIZE a.txt", "213 7");
    assert!(stage.root.path().join("a.txt").exists());
    for reason in ["verb-forbidden", "name-forbidden", "unknown-command", "nul-in-line"] {
        let is_told = || stage.gateway.log().contains(reason);
        assert!(wait_for(is_told), "{reason}: {}", stage.gateway.log());
    }
}

#[test]
fn decisions_are_counted_on_the_page_of_metrics() {
    let stage = Stage::set("46120-46139", &["--deny-verb", "DELE", "--metrics", "0"]);
    let mut client = stage.log_in();
    client.asks("DELE a", "502");
    client.asks("DELE b", "502");
    let log = stage.gateway.log();
    let page = log.split("http://").nth(1).unwrap().split("/metrics").next().unwrap();
    let ask = |request: &str| {
        let mut stream = TcpStream::connect(page).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for line in [
        "twoport_gateway_sessions 1\n",
        "twoport_gateway_decisions_total{decision=\"refuse\",reason=\"verb-forbidden\"} 2\n",
    ] {
        assert!(answer.contains(line), "{answer}");
    }
    assert!(ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 404"));
    assert!(ask("POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 405"));
}

#[test]
fn who_may_not_come_hears_why_and_the_server_does_not() {
    let stage = Stage::set("46020-46039", &["--deny-clients", "127.0.0.0/8@127.0.0.1"]);
    stage.connect().says("421 This gateway does not let you go there.");
    let is_told = || stage.gateway.log().contains("reason=\"client-forbidden\"");
    assert!(wait_for(is_told), "{}", stage.gateway.log());
    let stage = Stage::set("46020-46039", &["--allow-clients", "127.0.0.1"]);
    stage.log_in();
    let stage = Stage::set("46020-46039", &["--allow-clients", "192.0.2.0/24"]);
    stage.connect().says("421");
}

#[test]
fn clients_in_clear_are_refused_where_tls_is_required() {
    let stage = Stage::set("46040-46059", &["--client-tls", "required"]);
    let mut client = stage.connect();
    client.says("220");
    client.asks("FEAT", "211-");
    while !client.says("").starts_with("211 ") {}
    client.asks("USER anonymous", "530");
    let is_told = || stage.gateway.log().contains("tls-required");
    assert!(wait_for(is_told), "{}", stage.gateway.log());
}

#[test]
fn a_transfer_takes_as_long_as_its_rate_says() {
    let stage = Stage::set("46060-46079", &["--rate-limit", "400k"]);
    let mut client = stage.log_in();
    let content = vec![7; 600 << 10];
    let began = clock::now();
    stage.stores(&mut client, "a", &content);
    let mut data = stage.dial(&mut client);
    client.asks("RETR a", "150");
    let mut back = Vec::new();
    data.read_to_end(&mut back).unwrap();
    client.says("226");
    // A second and a half each; nothing says that it may not take longer.
    assert!(clock::now().since(began) >= Duration::from_millis(2900));
    assert!(back == content);
}

#[test]
fn the_transfers_of_a_client_take_as_long_together_as_its_rate_says() {
    let stage = Stage::set("46120-46139", &["--client-rate-limit", "400k"]);
    let content = vec![7; 300 << 10];
    stage.stores(&mut stage.log_in(), "there", &content);
    let began = clock::now();
    let lasted = std::thread::scope(|scope| {
        let up = scope.spawn(|| {
            stage.stores(&mut stage.log_in(), "up", &content);
            clock::now().since(began)
        });
        let down = scope.spawn(|| {
            let mut client = stage.log_in();
            let mut data = stage.dial(&mut client);
            client.asks("RETR there", "150");
            let mut back = Vec::new();
            data.read_to_end(&mut back).unwrap();
            client.says("226");
            assert!(back == content);
            clock::now().since(began)
        });
        [up.join().unwrap(), down.join().unwrap()]
    });
    // Alone each would take three quarters of a second; in turns both take twice as long, and nothing
    // says that they may not take longer.
    assert!(lasted.iter().all(|it| *it >= Duration::from_millis(1100)), "{lasted:?}");
    assert!(lasted.iter().any(|it| *it >= Duration::from_millis(1400)), "{lasted:?}");
}

#[test]
fn the_servers_side_has_the_mode_that_is_asked_of_it() {
    for (mode, port) in [("passive", 46_080), ("active", 46_100)] {
        let ports = format!("{port}-{}", port + 19);
        let stage = Stage::set(&ports, &["--upstream-mode", mode]);
        let mut client = stage.log_in();
        stage.stores(&mut client, "a", b"one");
        // And the other way: the client listens.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        client.asks(&format!("EPRT |1|127.0.0.1|{own}|"), "200");
        client.asks("RETR a", "150");
        let mut got = String::new();
        listener.accept().unwrap().0.read_to_string(&mut got).unwrap();
        assert_eq!(got, "one", "{mode}");
        client.says("226");
    }
}

#[test]
fn rules_that_are_none_are_refused_at_the_start() {
    for (flag, value) in [
        ("--deny-verb", "FROB"),
        ("--allow-clients", "everybody"),
        ("--deny-clients", "10.0.0.0/8@"),
        ("--rate-limit", "0"),
        ("--rate-limit", "fast"),
        ("--client-rate-limit", "0"),
    ] {
        let mut command = Command::new(served::program().unwrap());
        let output = command.args(["gateway", "--server", "127.0.0.1:9", flag, value]).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2), "{flag} {value}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(flag.trim_start_matches('-')), "{told}");
    }
}
