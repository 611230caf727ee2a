//! The gateway before many servers: who is sent where, by HOST, by the name in the TLS handshake and by
//! USER; who is left out; and what a reload changes.
//!
//! Servers and clients of others are skipped aloud where they are not installed.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::fs;
use std::io::{BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use twoport_lab::foreign::boxes::haproxy;
use twoport_lab::foreign::clients::served::Served;
use twoport_lab::foreign::clients::{Client as Foreign, Mode, Outcome, Site, skipped};
use twoport_lab::foreign::nodes::{Client, PATIENCE, wait_for};
use twoport_lab::foreign::servers::paper::Paper;
use twoport_lab::foreign::servers::{Kind, Security, Server, start_with_or_skip};

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn dial(address: SocketAddr) -> Client {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Client(BufReader::new(stream))
}

/// A server of one file, which tells which one it is.
struct Own {
    root: TempDir,
    served: Served,
}

impl Own {
    fn start(name: &str, more: &[&str]) -> Self {
        let root = TempDir::new().unwrap();
        fs::write(root.path().join("which"), name).unwrap();
        let mut arguments = vec!["--listen", "127.0.0.1:0", "--anonymous=write"];
        arguments.extend(more);
        let served = Served::start(root.path(), &arguments).unwrap();
        Self { root, served }
    }

    fn at(&self) -> SocketAddr {
        *self.served.addresses().first().unwrap()
    }
}

/// Which server a session has come to.
fn which(client: &mut Client) -> String {
    let port = client.epsv();
    client.send("RETR which");
    let mut data = TcpStream::connect((HOST, port)).unwrap();
    client.says("150");
    let mut name = String::new();
    data.read_to_string(&mut name).unwrap();
    client.says("226");
    name
}

fn log_in(client: &mut Client) {
    client.asks("USER anonymous", "331");
    client.asks("PASS x", "230");
}

fn signal(served: &Served, signal: Signal) {
    let process = Pid::from_raw(served.id().try_into().unwrap()).unwrap();
    kill_process(process, signal).unwrap();
}

/// Up and down through the gateway by others' clients.
fn by_others(server: &Server, gateway: SocketAddr) {
    for name in ["curl", "lftp", "ftplib"] {
        let client = Foreign::find(name).unwrap();
        if client.program().is_none() {
            skipped(name);
            continue;
        }
        let local = TempDir::new().unwrap();
        let file = |name: &str| local.path().join(name).to_str().unwrap().to_owned();
        let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        fs::write(file("up"), &content).unwrap();
        for mode in [Mode::Epsv, Mode::Pasv, Mode::Port] {
            let site = Site {
                address: gateway,
                user: server.user,
                password: server.password,
                mode,
                tls: None,
            };
            let stored = format!("{name}-{}", mode.word());
            let remote = String::from_utf8(server.path(&stored).0.into_vec()).unwrap();
            let up = client.run(&site, "put", &[&file("up"), &remote]).unwrap();
            if matches!(up, Outcome::Unsupported) {
                continue;
            }
            assert!(matches!(up, Outcome::Done(_)), "{name} {mode:?}: {up:?}");
            assert!(fs::read(server.root().join(&stored)).unwrap() == content, "{stored}");
            let down = client.run(&site, "get", &[&remote, &file("down")]).unwrap();
            assert!(matches!(down, Outcome::Done(_)), "{name} {mode:?}: {down:?}");
            assert!(fs::read(file("down")).unwrap() == content, "{stored}");
        }
    }
}

#[test]
fn users_find_their_servers_by_their_names() {
    let start = |kind| start_with_or_skip(kind, HOST, Security::Clear);
    let (Some(one), Some(other)) = (start(Kind::Vsftpd), start(Kind::Pyftpdlib)) else { return };
    assert_ne!(one.user, other.user);
    let servers = [format!("{},group=a", one.address), format!("{},group=b", other.address)];
    let routes = [format!("user:{}=a", one.user), format!("user:{}=b", other.user)];
    let gateway = Served::gateway(&[
        "--listen",
        "127.0.0.1:0",
        "--data-ports",
        "47200-47299",
        "--server",
        &servers[0],
        "--server",
        &servers[1],
        "--route",
        &routes[0],
        "--route",
        &routes[1],
    ])
    .unwrap();
    let at = *gateway.addresses().first().unwrap();
    for server in [&one, &other] {
        by_others(server, at);
    }
    let mut nobody = dial(at);
    nobody.says("220");
    nobody.asks("USER nobody", "530");
}

#[test]
fn hosts_and_names_in_handshakes_choose_as_well() {
    let (blue, green) = (Own::start("blue", &[]), Own::start("green", &[]));
    let work = TempDir::new().unwrap();
    let paper = Paper::make(work.path(), ["ftp.green.example".to_owned()]).unwrap();
    let servers = [format!("{},group=blue", blue.at()), format!("{},group=green", green.at())];
    let (certificate, key) = (paper.certificate.to_str().unwrap(), paper.key.to_str().unwrap());
    let gateway = Served::gateway(&[
        "--listen",
        "127.0.0.1:0",
        "--data-ports",
        "47300-47329",
        "--certificate",
        certificate,
        "--key",
        key,
        "--upstream-no-verify",
        "--server",
        &servers[0],
        "--server",
        &servers[1],
        "--route",
        "host:ftp.blue.example=blue",
        "--route",
        "sni:ftp.green.example=green",
    ])
    .unwrap();
    let at = *gateway.addresses().first().unwrap();
    let mut client = dial(at);
    client.says("220");
    client.asks("HOST ftp.red.example", "504");
    client.asks("HOST FTP.Blue.example", "220");
    log_in(&mut client);
    assert_eq!(which(&mut client), "blue");

    let curl = Foreign::find("curl").unwrap();
    let Some(program) = curl.program() else { return skipped("curl") };
    let url = format!("ftp://ftp.green.example:{}/which", at.port());
    let place = format!("ftp.green.example:{}:127.0.0.1", at.port());
    let mut command = Command::new(program);
    command.args(["-s", "-S", "--ssl-reqd", "--tls-max", "1.2", "--resolve", &place, "--cacert"]);
    let output = command.arg(&paper.authority).arg(&url).output().unwrap();
    assert!(output.stdout == b"green", "{output:?} {}", gateway.log());
}

/// A file for the gateway, written anew.
fn write(file: &Path, listen: &str, servers: &[String], more: &str) {
    let servers = servers.iter().map(|server| format!("{server:?}")).collect::<Vec<_>>();
    let servers = servers.join(", ");
    let text = format!(
        "data-ports = \"47330-47399\"\n[[seat]]\nlisten = \"{listen}\"\nserver = [{servers}]\n{more}\n"
    );
    fs::write(file, text).unwrap();
}

#[test]
fn a_reload_changes_what_new_sessions_get_and_no_session() {
    let (one, other) = (Own::start("one", &[]), Own::start("other", &[]));
    let work = TempDir::new().unwrap();
    let file = work.path().join("gateway.toml");
    // A port below those that the system gives out.
    let listen = "127.0.0.1:27841";
    let at = |server: &Own| server.at().to_string();
    write(&file, listen, &[at(&one)], "");
    let gateway = Served::gateway(&["--config", file.to_str().unwrap()]).unwrap();
    let address = listen.parse().unwrap();
    let mut before = dial(address);
    before.says("220");
    log_in(&mut before);
    let reloads = |more: usize| {
        signal(&gateway, Signal::HUP);
        let read = || gateway.log().matches("the configuration was read again").count() == more;
        assert!(wait_for(read), "{}", gateway.log());
    };
    let comes_to = |name: &str| {
        let mut client = dial(address);
        client.says("220");
        log_in(&mut client);
        assert_eq!(which(&mut client), name);
    };

    write(&file, listen, &[format!("{},drain", at(&one)), at(&other)], "health-interval = \"off\"");
    reloads(1);
    for _ in 0..4 {
        comes_to("other");
    }
    assert_eq!(which(&mut before), "one", "it goes on where it was");

    fs::write(&file, "[[seat]]\nservr = 1\n").unwrap();
    signal(&gateway, Signal::HUP);
    assert!(wait_for(|| gateway.log().contains("the old configuration stays")));
    assert!(wait_for(|| gateway.log().contains("gateway.toml:2:1: servr")), "{}", gateway.log());
    comes_to("other");

    write(&file, listen, &[at(&other)], "drain = true");
    reloads(2);
    dial(address).says("421 The gateway takes no new sessions");
    assert_eq!(which(&mut before), "one");

    // Another address in its place: the old one closes, the session goes on.
    let next = "127.0.0.1:27842";
    write(&file, next, &[at(&other)], "");
    reloads(3);
    assert!(wait_for(|| TcpStream::connect(address).is_err()));
    let mut client = dial(next.parse().unwrap());
    client.says("220");
    log_in(&mut client);
    assert_eq!(which(&mut client), "other");
    assert_eq!(which(&mut before), "one");

    signal(&gateway, Signal::TERM);
    before.says("421");
    assert!(wait_for(|| gateway.log().contains("stopped")), "{}", gateway.log());
}

#[test]
fn a_server_that_does_not_greet_is_left_out_until_it_does() {
    let good = Own::start("good", &[]);
    // It takes connections and says nothing good: sessions alone would not find that out.
    let bad = TcpListener::bind("127.0.0.1:0").unwrap();
    let bad_at = bad.local_addr().unwrap();
    let bad = std::thread::spawn(move || {
        use std::io::Write as _;
        for stream in bad.incoming() {
            let Ok(mut stream) = stream else { return };
            // A check may have gone.
            let _gone = stream.write_all(b"421 full\r\n");
        }
    });
    let servers = [good.at().to_string(), bad_at.to_string()];
    let gateway = Served::gateway(&[
        "--listen",
        "127.0.0.1:0",
        "--data-ports",
        "47400-47429",
        "--server",
        &servers[0],
        "--server",
        &servers[1],
        "--balance",
        "sessions",
        "--health-interval",
        "100ms",
        "--health-fall",
        "2",
    ])
    .unwrap();
    let at = *gateway.addresses().first().unwrap();
    assert!(wait_for(|| gateway.log().contains("upstream-down")), "{}", gateway.log());
    let line = gateway.log();
    let line = line.lines().find(|line| line.contains("upstream-down")).unwrap().to_owned();
    assert!(line.contains(&bad_at.to_string()), "{line}");
    let mut kept: Vec<Client> = Vec::new();
    for _ in 0..5 {
        let mut client = dial(at);
        client.says("220");
        kept.push(client);
    }
    assert!(!bad.is_finished());
    assert!(!gateway.log().contains("upstream-up"), "{}", gateway.log());
}

#[test]
fn the_least_busy_server_gets_the_next_session() {
    let (one, other) = (Own::start("one", &[]), Own::start("other", &[]));
    let servers = [one.at().to_string(), other.at().to_string()];
    let gateway = Served::gateway(&[
        "--listen",
        "127.0.0.1:0",
        "--data-ports",
        "47430-47459",
        "--server",
        &servers[0],
        "--server",
        &servers[1],
        "--balance",
        "sessions",
    ])
    .unwrap();
    let at = *gateway.addresses().first().unwrap();
    let mut clients: Vec<Client> = (0..6).map(|_| dial(at)).collect();
    let mut names: Vec<String> = Vec::new();
    for client in &mut clients {
        client.says("220");
        log_in(client);
        names.push(which(client));
    }
    assert_eq!(names.iter().filter(|name| *name == "one").count(), 3, "{names:?}");
}

#[test]
fn servers_that_believe_the_gateway_are_told_who_the_client_is() {
    const CLIENT: &str = "127.0.40.7";
    for (version, port) in [("v1", "47460-47469"), ("v2", "47470-47479")] {
        let server = Own::start("told", &["--trusted-proxies", "127.0.0.1"]);
        let at = format!("{},proxy={version}", server.at());
        let gateway = Served::gateway(&[
            "--listen",
            "127.0.0.1:0",
            "--data-ports",
            port,
            "--server",
            &at,
            "--health-interval",
            "100ms",
        ])
        .unwrap();
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&format!("{CLIENT}:0").parse::<SocketAddr>().unwrap().into()).unwrap();
        socket.connect(&(*gateway.addresses().first().unwrap()).into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Client(BufReader::new(stream));
        client.says("220");
        log_in(&mut client);
        // Active mode, since the door of passive mode is for the client's own address: the server
        // listens all the same, as it would not dial the gateway.
        let listener = TcpListener::bind((CLIENT, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        client.asks(&format!("EPRT |1|{CLIENT}|{port}|"), "200");
        client.send("RETR which");
        let mut got = String::new();
        listener.accept().unwrap().0.read_to_string(&mut got).unwrap();
        client.says("150");
        client.says("226");
        assert_eq!(got, "told");
        let told = format!("peer={CLIENT} user=\"anonymous\"");
        assert!(wait_for(|| server.served.log().contains(&told)), "{}", server.served.log());
        assert!(!gateway.log().contains("upstream-down"), "{}", gateway.log());
        assert!(server.root.path().exists());
    }
}

#[test]
fn behind_a_load_balancer_it_knows_its_clients() {
    const BALANCER: &str = "127.0.41.1";
    let server = Own::start("behind", &[]);
    let at = server.at().to_string();
    let running = haproxy(&format!(
        "listen control\n    bind {BALANCER}:27843\n    server s 127.0.41.2 source {BALANCER} send-proxy-v2\n\
         listen data\n    bind {BALANCER}:27844-27847\n    server s 127.0.41.2 source {BALANCER} send-proxy-v2\n"
    ))
    .unwrap();
    let Some(_balancer) = running else { return };
    let gateway = Served::gateway(&[
        "--listen",
        "127.0.41.2:27843",
        "--data-ports",
        "27844-27847",
        "--server",
        &at,
        "--trusted-proxies",
        BALANCER,
    ])
    .unwrap();
    let address: SocketAddr = format!("{BALANCER}:27843").parse().unwrap();
    assert!(wait_for(|| TcpStream::connect(address).is_ok()));
    let mut client = dial(address);
    client.says("220");
    log_in(&mut client);
    // 227 names the balancer, where the client has connected to.
    let reply = client.asks("PASV", "227");
    assert!(reply.contains("(127,0,41,1,"), "{reply}");
    let numbers: Vec<u16> =
        reply.split(['(', ')']).nth(1).unwrap().split(',').map(|n| n.parse().unwrap()).collect();
    client.send("RETR which");
    let port = numbers[4] * 256 + numbers[5];
    let mut data = TcpStream::connect((BALANCER, port)).unwrap();
    client.says("150");
    let mut got = String::new();
    data.read_to_string(&mut got).unwrap();
    client.says("226");
    assert_eq!(got, "behind");
    // Who is no balancer brings no header.
    let mut stranger = dial("127.0.41.2:27843".parse().unwrap());
    stranger.says("220");
    stranger.asks("PROXY TCP4 192.0.2.7 192.0.2.1 50000 21", "421");
    assert!(gateway.log().contains("ready"));
}
