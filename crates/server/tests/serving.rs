//! The server over real sockets, spoken to by hand: what the session files cannot show, since it
//! is about sockets, processes and disks.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at what it did not expect")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use twoport_server::accounts::Accounts;
use twoport_server::config::Draft;
use twoport_server::config::settings::Setting;
use twoport_server::{Handle, Server};

struct Served {
    root: TempDir,
    address: SocketAddr,
    handle: Handle,
    runtime: Option<tokio::runtime::Runtime>,
    done: Option<tokio::task::JoinHandle<()>>,
}

impl Served {
    fn new(settings: &[(&str, &str)]) -> Self {
        Self::below(TempDir::new().unwrap(), settings)
    }

    fn below(root: TempDir, settings: &[(&str, &str)]) -> Self {
        let mut draft = Draft::new();
        let mut set = |key: &str, text: &str| draft.set(Setting::find(key).unwrap(), text);
        set("root", root.path().to_str().unwrap());
        set("listen", "127.0.0.1:0");
        set("anonymous", "write");
        settings.iter().for_each(|(key, text)| set(key, text));
        let (config, _) = draft.finish().unwrap();
        let (accounts, _) = Accounts::load(&config).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _inside = runtime.enter();
        let server = Server::bind(config, accounts).unwrap();
        let (address, handle) = (*server.addresses().first().unwrap(), server.handle());
        let done = Some(runtime.spawn(server.run()));
        drop(_inside);
        Self { root, address, handle, runtime: Some(runtime), done }
    }

    fn client(&self) -> Client {
        let mut client = Client::connect(self.address);
        client.says("220");
        client
    }

    fn logged_in(&self) -> Client {
        let mut client = self.client();
        client.asks("USER anonymous", "331");
        client.asks("PASS x", "230");
        client.asks("TYPE I", "200");
        client
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.root.path().join(name)).ok()
    }

    fn ended(&mut self) {
        let (runtime, done) = (self.runtime.take().unwrap(), self.done.take().unwrap());
        runtime.block_on(done).unwrap();
    }
}

struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    fn send(&mut self, line: &str) {
        self.reader.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line
    }

    #[track_caller]
    fn says(&mut self, code: &str) -> String {
        let line = self.line();
        assert!(line.starts_with(code), "expected {code}, got {line:?}");
        line
    }

    #[track_caller]
    fn asks(&mut self, line: &str, code: &str) -> String {
        self.send(line);
        self.says(code)
    }

    /// All that one read of the control connection gives.
    fn heard_at_once(&mut self) -> String {
        assert!(self.reader.buffer().is_empty());
        let heard = self.reader.fill_buf().unwrap().to_vec();
        self.reader.consume(heard.len());
        String::from_utf8(heard).unwrap()
    }

    fn epsv(&mut self) -> SocketAddr {
        let reply = self.asks("EPSV", "229");
        let port = reply.split('|').nth(3).unwrap().parse().unwrap();
        (self.reader.get_ref().peer_addr().unwrap().ip(), port).into()
    }
}

fn wait_until(mut fact: impl FnMut() -> bool) {
    for _ in 0..400 {
        if fact() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(25));
    }
    panic!("it did not become true in ten seconds");
}

#[test]
fn upload_and_download_in_passive_and_active_mode() {
    let served = Served::new(&[]);
    let mut client = served.logged_in();
    let content: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut data = TcpStream::connect(client.epsv()).unwrap();
    client.asks("STOR big", "150");
    data.write_all(&content).unwrap();
    drop(data);
    client.says("226");
    assert_eq!(served.read("big").as_deref(), Some(&content[..]));

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    client.asks(&format!("EPRT |1|127.0.0.1|{port}|"), "200");
    client.send("RETR big");
    let (mut data, from) = listener.accept().unwrap();
    assert_eq!(from.ip(), served.address.ip());
    client.says("150");
    let mut got = vec![];
    data.read_to_end(&mut got).unwrap();
    client.says("226");
    assert!(got == content);
}

/// What is there with its command, or fits into the kernel's hands, is over before it is announced.
#[test]
fn a_short_transfer_is_announced_together_with_its_end() {
    let served = Served::below(TempDir::new_in("/dev/shm").unwrap(), &[("durable", "false")]);
    let mut client = served.logged_in();
    let mut data = TcpStream::connect(client.epsv()).unwrap();
    data.write_all(b"hello").unwrap();
    drop(data);
    client.send("STOR a");
    let heard = client.heard_at_once();
    assert!(heard.starts_with("150 ") && heard.contains("\r\n226 "), "{heard:?}");
    assert_eq!(served.read("a").as_deref(), Some(&b"hello"[..]));

    let mut data = TcpStream::connect(client.epsv()).unwrap();
    client.send("RETR a");
    let heard = client.heard_at_once();
    assert!(heard.starts_with("150 ") && heard.contains("\r\n226 "), "{heard:?}");
    let mut got = vec![];
    data.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"hello");
}

#[test]
fn a_stranger_is_closed_without_a_word_and_the_client_is_served() {
    let served = Served::new(&[]);
    std::fs::write(served.root.path().join("a"), b"hello").unwrap();
    let mut client = served.logged_in();
    let port = client.epsv();
    let stranger = connect_from("127.0.0.2", port);
    client.asks("RETR a", "150");
    let mut nothing = vec![];
    assert!(matches!((&stranger).read_to_end(&mut nothing), Ok(0) | Err(_)));
    let mut got = vec![];
    TcpStream::connect(port).unwrap().read_to_end(&mut got).unwrap();
    assert_eq!(got, b"hello");
    client.says("226");
}

fn connect_from(source: &str, target: SocketAddr) -> TcpStream {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let source: IpAddr = source.parse().unwrap();
    socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
    socket.connect(&target.into()).unwrap();
    socket.into()
}

#[test]
fn the_same_port_serves_transfer_after_transfer_and_stale_connections_are_drained() {
    let served = Served::new(&[("passive-ports", "61210-61219")]);
    std::fs::write(served.root.path().join("a"), b"hello").unwrap();
    let mut client = served.logged_in();
    let first = client.epsv();
    let stale = TcpStream::connect(first).unwrap();
    for _ in 0..5 {
        let port = client.epsv();
        assert_eq!(port, first);
        let mut data = TcpStream::connect(port).unwrap();
        client.asks("RETR a", "150");
        let mut got = vec![];
        data.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"hello");
        client.says("226");
    }
    drop(stale);
}

#[test]
fn a_full_passive_range_is_425_and_never_another_port() {
    let served = Served::new(&[("passive-ports", "61221-61221")]);
    let (mut one, mut two) = (served.logged_in(), served.logged_in());
    assert_eq!(one.epsv().port(), 61221);
    let reply = two.asks("PASV", "425");
    assert!(reply.contains("No free passive port"));
    one.asks("QUIT", "221");
    drop(one);
    wait_until(|| {
        two.send("EPSV");
        two.line().starts_with("229")
    });
}

#[test]
fn a_client_that_dies_in_an_upload_leaves_the_old_file() {
    for closes_control_first in [true, false] {
        let served = Served::new(&[]);
        let mut client = served.logged_in();
        let mut data = TcpStream::connect(client.epsv()).unwrap();
        client.asks("STOR new", "150");
        data.write_all(&[b'x'; 100_000]).unwrap();
        // Other systems than Linux close a dead process's descriptors in order, the control's first.
        if closes_control_first {
            drop(client);
            drop(data);
        } else {
            client.send("ABOR");
            client.says("426");
            client.says("226");
        }
        wait_until(|| !closes_control_first || served.handle.sessions() == 0);
        assert_eq!(served.read("new"), None);
    }
}

#[test]
fn a_reset_data_connection_is_426_and_no_file() {
    let served = Served::new(&[]);
    let mut client = served.logged_in();
    let data = TcpStream::connect(client.epsv()).unwrap();
    client.asks("STOR new", "150");
    (&data).write_all(&[b'x'; 1000]).unwrap();
    socket2::SockRef::from(&data).set_linger(Some(Duration::ZERO)).unwrap();
    drop(data);
    client.says("426");
    assert_eq!(served.read("new"), None);
}

#[test]
fn limits_of_sessions_are_told_with_a_421() {
    let served = Served::new(&[
        ("max-sessions", "3"),
        ("max-sessions-per-ip", "2"),
        ("max-unauthenticated", "3"),
        ("max-unauthenticated-per-ip", "3"),
    ]);
    let (one, _two) = (served.client(), served.client());
    let refused = Client::connect(served.address).says("421");
    assert!(refused.contains("from the same IP address"));
    drop(one);
    wait_until(|| Client::connect(served.address).line().starts_with("220"));
}

#[test]
fn a_graceful_stop_lets_a_transfer_finish_and_tells_the_idle() {
    let mut served = Served::new(&[]);
    let (mut busy, mut idle) = (served.logged_in(), served.logged_in());
    let mut data = TcpStream::connect(busy.epsv()).unwrap();
    busy.asks("STOR a", "150");
    data.write_all(b"first ").unwrap();
    served.handle.stop(true);
    assert!(idle.says("421").contains("shutting down"));
    wait_until(|| TcpStream::connect(served.address).is_err());
    data.write_all(b"second").unwrap();
    drop(data);
    busy.says("226");
    busy.says("421");
    assert_eq!(served.read("a").as_deref(), Some(&b"first second"[..]));
    drop((busy, idle));
    served.ended();
}

#[test]
fn a_stop_ends_a_transfer_that_takes_too_long() {
    let mut served = Served::new(&[("shutdown-timeout", "200ms")]);
    let mut busy = served.logged_in();
    let data = TcpStream::connect(busy.epsv()).unwrap();
    busy.asks("STOR a", "150");
    served.handle.stop(true);
    busy.says("421");
    assert_eq!(served.read("a"), None);
    drop((busy, data));
    served.ended();
}

#[test]
fn abor_as_urgent_data_is_heard() {
    let served = Served::new(&[]);
    let mut client = served.logged_in();
    let stream = socket2::SockRef::from(client.reader.get_ref());
    stream.send_out_of_band(b"\xff\xf4\xff").unwrap();
    stream.send_out_of_band(b"\xf2ABOR\r\n").unwrap();
    client.says("225");
}

#[test]
fn hundreds_of_sessions_are_nothing_special() {
    let served =
        Served::new(&[("max-unauthenticated", "600"), ("max-unauthenticated-per-ip", "600")]);
    let mut clients: Vec<Client> = (0..500).map(|_| served.logged_in()).collect();
    assert_eq!(served.handle.sessions(), 500);
    for client in &mut clients {
        client.asks("NOOP", "200");
    }
}

#[test]
fn nothing_outside_the_root_is_reached() {
    let served = Served::new(&[]);
    let outside = TempDir::new().unwrap();
    std::fs::write(outside.path().join("secret"), b"secret").unwrap();
    std::os::unix::fs::symlink(outside.path(), served.root.path().join("out")).unwrap();
    let mut client = served.logged_in();
    let up = Path::new("../../../..").join(outside.path().strip_prefix("/").unwrap());
    for path in [outside.path().to_str().unwrap(), up.to_str().unwrap(), "out/secret", "out"] {
        let port = client.epsv();
        client.asks(&format!("RETR {path}/secret"), "550");
        client.asks(&format!("STOR {path}/new"), "550");
        drop(TcpStream::connect(port));
    }
    client.asks("CWD out", "550");
    client.asks("MKD out/new", "550");
    assert!(!outside.path().join("new").exists());
}

#[test]
fn a_reload_holds_for_new_sessions() {
    let served = Served::new(&[]);
    let mut old = served.client();
    let mut draft = Draft::new();
    let mut set = |key: &str, text: &str| draft.set(Setting::find(key).unwrap(), text);
    set("root", served.root.path().to_str().unwrap());
    set("banner", "after the reload");
    set("anonymous", "read");
    let (config, _) = draft.finish().unwrap();
    let (accounts, _) = Accounts::load(&config).unwrap();
    served.handle.reload(config, accounts).unwrap();
    assert!(Client::connect(served.address).says("220").contains("after the reload"));
    old.asks("NOOP", "200");
}

#[test]
fn a_client_that_is_gone_right_after_its_data_leaves_no_file() {
    let served = Served::new(&[]);
    for number in 0..20 {
        let mut client = served.logged_in();
        let mut data = TcpStream::connect(client.epsv()).unwrap();
        client.asks(&format!("STOR half-{number}"), "150");
        data.write_all(b"half").unwrap();
        // Linux closes the descriptors of a killed process in this order, the last opened first.
        drop(data);
        drop(client);
    }
    wait_until(|| served.handle.sessions() == 0);
    let names = std::fs::read_dir(served.root.path()).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_str().unwrap().starts_with("half")), "{names:?}");
}

#[test]
fn a_trusted_balancer_names_the_client_and_is_known_by_its_header_alone() {
    let served = Served::new(&[("trusted-proxies", "127.0.0.0/30")]);
    let mut client = Client::connect(served.address);
    client.send("PROXY TCP4 127.0.0.9 203.0.113.7 50000 21");
    client.says("220");
    client.asks("USER anonymous", "331");
    client.asks("PASS x", "230");
    let reply = client.asks("PASV", "227");
    assert!(reply.contains("(203,0,113,7,"), "{reply}");
    client.asks("EPRT |1|127.0.0.1|50000|", "501");
    client.asks("EPRT |1|127.0.0.9|50000|", "200");
    let port = client.epsv().port();

    // The balancer's own connection and one without a header are nobody's; a client that comes past
    // the balancer is who it is.
    let mut health = TcpStream::connect((served.address.ip(), port)).unwrap();
    health.write_all(b"PROXY UNKNOWN\r\n").unwrap();
    assert_eq!(health.read(&mut [0]).unwrap(), 0);
    let mut silent = TcpStream::connect((served.address.ip(), port)).unwrap();
    silent.write_all(b"data").unwrap();
    let _closed = silent.read(&mut [0]);
    let mut data = TcpStream::connect((served.address.ip(), port)).unwrap();
    data.write_all(b"PROXY TCP4 127.0.0.9 203.0.113.7 50001 21\r\nhello").unwrap();
    drop(data);
    client.asks("STOR a", "150");
    client.says("226");
    assert_eq!(served.read("a").as_deref(), Some(&b"hello"[..]));

    let mut unnamed = Client::connect(served.address);
    unnamed.send("USER anonymous");
    unnamed.says("421");
}

#[test]
fn active_connections_come_from_the_port_below_and_feat_says_so() {
    // Somebody else may have the port below the one that the system chose.
    let is_free = |served: &Served| {
        TcpListener::bind((served.address.ip(), served.address.port() - 1)).is_ok()
    };
    let served = (0..20).map(|_| Served::new(&[])).find(is_free).unwrap();
    std::fs::write(served.root.path().join("a"), b"hello").unwrap();
    let below = served.address.port() - 1;
    let mut client = served.logged_in();
    client.asks("FEAT", "211-");
    let mut features = Vec::new();
    while !features.last().is_some_and(|line: &String| line.starts_with("211 ")) {
        features.push(client.line());
    }
    let named = features.iter().any(|line| *line == format!(" DATA source-port {below}\r\n"));
    assert!(named, "{features:?}");
    for _ in 0..3 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        client.asks(&format!("EPRT |1|127.0.0.1|{port}|"), "200");
        client.send("RETR a");
        assert_eq!(listener.accept().unwrap().1.port(), below);
        client.says("150");
        client.says("226");
    }
}
