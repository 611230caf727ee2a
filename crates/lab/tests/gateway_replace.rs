//! A gateway that takes the place of a running one: nobody is refused, nobody's session is lost, and
//! nothing is left behind.
//!
//! It needs root; without it the tests are skipped aloud.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod boxed;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use twoport_lab::foreign::clients::served;
use twoport_lab::foreign::nodes::{Client, PATIENCE, Served, connect, network, wait_for};
use twoport_networks::{Family, Network, Node, Process};

const CLIENT: &[&str] = &["--seat", "client", "--lan", "lan"];

/// The box's inner address, and the client's.
const BOX: &str = "192.168.0.1";
const INSIDE: &str = "192.168.0.107";

const CONTENT: &[u8] = b"the whole of it\r\n";

/// More than what the buffers on the way can hold.
const BULK: usize = 40_000_000;

struct Stage {
    network: Network,
    /// Where the gateways are.
    node: &'static str,
    _served: Served,
    works: Vec<TempDir>,
}

impl Stage {
    /// A server with files, behind a box that hides the clients.
    fn set(name: &str) -> Option<Self> {
        let network = network(name)?;
        let served = Served::start(network.server().unwrap(), &[]);
        std::fs::write(served.file("small"), CONTENT).unwrap();
        std::fs::write(served.file("bulk"), vec![7; BULK]).unwrap();
        Some(Self { network, node: "client-box", _served: served, works: Vec::new() })
    }

    /// A gateway in the box.
    fn start(&mut self, arguments: &[&str]) -> Process {
        let work = TempDir::new().unwrap();
        let gateway = boxed::start(&self.network, self.node, arguments, &work);
        self.works.push(work);
        gateway
    }

    /// One that takes the place of that which runs.
    fn replace(&mut self, arguments: &[&str]) -> Process {
        self.start(&[arguments, &["--replace"]].concat())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.works.last().unwrap().path().join("log")).unwrap()
    }

    fn server(&self) -> IpAddr {
        self.network.topology.dialled(Family::V4)
    }

    fn node(&self, name: &str) -> &Node {
        self.network.node(name).unwrap()
    }

    fn gateway(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(served::program().unwrap());
        let told = self.node(self.node).output(command.arg("gateway").args(arguments)).unwrap();
        let said = [told.stdout, told.stderr].concat();
        (told.status.success(), String::from_utf8(said).unwrap())
    }

    fn rules(&self) -> String {
        boxed::rules(self.node(self.node))
    }

    fn tables(&self) -> usize {
        self.rules().matches("table inet twoport-gateway-").count()
    }

    fn is_clear(&self) -> bool {
        !self.rules().contains("twoport")
    }

    /// Both ways of a data connection.
    fn transfers(&self, client: &mut Client) {
        let to = client.pasv();
        let data = connect(self.node("client"), to, PATIENCE).unwrap();
        client.asks("RETR small", "150");
        assert_eq!(whole(data), CONTENT);
        client.says("226");
        let listen = || TcpListener::bind((INSIDE, 0));
        let listener = self.node("client").inside(listen).unwrap().unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = INSIDE.replace('.', ",");
        client.asks(&format!("PORT {address},{},{}", port / 256, port % 256), "200");
        client.asks("RETR small", "150");
        assert_eq!(whole(listener.accept().unwrap().0), CONTENT);
        client.says("226");
    }

    /// A download of which only the beginning has come.
    fn bulk(&self, client: &mut Client) -> TcpStream {
        let to = client.pasv();
        let mut data = connect(self.node("client"), to, PATIENCE).unwrap();
        client.asks("RETR bulk", "150");
        let mut first = [0; 1000];
        data.read_exact(&mut first).unwrap();
        data
    }
}

fn whole(mut data: TcpStream) -> Vec<u8> {
    let mut content = Vec::new();
    data.set_read_timeout(Some(PATIENCE)).unwrap();
    data.read_to_end(&mut content).unwrap();
    content
}

/// One who comes, is greeted and goes.
fn visit(at: SocketAddr) -> std::io::Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(at)?);
    stream.get_ref().set_read_timeout(Some(PATIENCE))?;
    let mut hears = |code: &str| {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        match line.starts_with(code) {
            true => stream.get_mut().write_all(b"QUIT\r\n"),
            false => Err(std::io::Error::other(format!("{code}: {line:?}"))),
        }
    };
    hears("220")?;
    // Who is gone after QUIT does not hear the next one.
    let _: std::io::Result<()> = hears("221");
    Ok(())
}

/// Clients that come all the time, while `work` goes on: how many were served, and what went wrong.
fn crowd(node: &Node, at: SocketAddr, work: impl FnOnce()) -> (usize, Vec<String>) {
    let is_over = AtomicBool::new(false);
    let come = || {
        let (mut served, mut wrong) = (0, Vec::new());
        while !is_over.load(Ordering::Relaxed) {
            match visit(at) {
                Ok(()) => served += 1,
                Err(error) => wrong.push(error.to_string()),
            }
        }
        (served, wrong)
    };
    std::thread::scope(|scope| {
        let clients = [(); 4].map(|()| scope.spawn(|| node.inside(come)));
        work();
        is_over.store(true, Ordering::Relaxed);
        let ended = clients.into_iter().map(|client| client.join().unwrap().unwrap());
        ended.fold((0, Vec::new()), |(all, mut wrong), (served, more)| {
            wrong.extend(more);
            (all + served, wrong)
        })
    })
}

/// What NAT-PMP says of the outer address.
fn outer_address(node: &Node) -> [u8; 12] {
    let socket = node.inside(|| UdpSocket::bind((INSIDE, 0))).unwrap().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(&[0, 0], (BOX, 5351)).unwrap();
    let mut answer = [0; 12];
    socket.recv_from(&mut answer).unwrap();
    answer
}

#[test]
fn sessions_and_transfers_of_a_router_go_on_in_the_old_one_until_they_end() {
    let Some(mut stage) = Stage::set("nat/routed") else { return };
    let arguments = [CLIENT, &["--pcp", "lan", "--metrics", "9402"]].concat();
    let first = stage.start(&arguments);
    let mut client = Client::log_in(stage.node("client"), stage.server());
    let mut other = Client::log_in(stage.node("client"), stage.server());
    stage.transfers(&mut client);
    let data = stage.bulk(&mut other);
    // Without being asked it does not.
    let (is_done, said) = stage.gateway(&arguments);
    assert!(!is_done && said.contains("another gateway") && said.contains("--replace"), "{said}");

    let second = stage.replace(&arguments);
    assert_eq!((stage.tables(), stage.rules().matches("redirect to").count()), (2, 1));
    let (_, said) = stage.gateway(&["status"]);
    let drained = ", which was replaced, has 2 sessions left";
    assert!(said.contains(drained) && said.starts_with("0 sessions"), "{said}");
    stage.transfers(&mut client);
    assert_eq!(whole(data).len(), BULK - 1000);
    other.says("226");
    stage.transfers(&mut other);
    let mut fresh = Client::log_in(stage.node("client"), stage.server());
    stage.transfers(&mut fresh);
    let (_, said) = stage.gateway(&["status"]);
    assert!(said.starts_with("1 sessions"), "{said}");
    assert_eq!(outer_address(stage.node("client"))[..4], [0, 128, 0, 0]);

    // The old one ends with its last session, and leaves no rule.
    client.asks("QUIT", "221");
    stage.transfers(&mut other);
    assert_eq!(stage.tables(), 2);
    other.asks("QUIT", "221");
    assert!(first.ended().unwrap().success());
    assert_eq!(stage.tables(), 1);
    stage.transfers(&mut fresh);
    boxed::signal(&second, Signal::TERM);
    assert!(second.ended().unwrap().success());
    assert!(wait_for(|| stage.is_clear()), "{}", stage.rules());
}

#[test]
fn sessions_and_transfers_in_front_of_servers_go_on_and_the_listeners_are_those_of_the_new_one() {
    let Some(mut stage) = Stage::set("nat/routed") else { return };
    let server = format!("{}:21", stage.server());
    // The box lets nobody in from outside.
    let both = ["--server", &server, "--upstream-mode", "passive", "--listen", "0.0.0.0:2121"];
    let before = [&both[..], &["--listen", "0.0.0.0:2122"]].concat();
    let first = stage.start(&before);
    let dial = |port: u16| -> SocketAddr { SocketAddr::new(BOX.parse().unwrap(), port) };
    let log_in = |stage: &Stage, port| {
        let stream = connect(stage.node("client"), dial(port), PATIENCE).unwrap();
        Client(BufReader::new(stream)).logged_in()
    };
    let (mut client, mut other) = (log_in(&stage, 2121), log_in(&stage, 2122));
    let data = stage.bulk(&mut other);
    let after = [&["--listen", "0.0.0.0:2123"], &both[..]].concat();
    let second = stage.replace(&after);
    stage.transfers(&mut client);
    assert_eq!(whole(data).len(), BULK - 1000);
    other.says("226");
    stage.transfers(&mut other);
    for port in [2121, 2123] {
        let mut fresh = log_in(&stage, port);
        stage.transfers(&mut fresh);
        fresh.asks("QUIT", "221");
    }
    let closed = connect(stage.node("client"), dial(2122), PATIENCE).unwrap_err();
    assert_eq!(closed.kind(), std::io::ErrorKind::ConnectionRefused);
    // Told to end it does so, while the new one goes on.
    boxed::signal(&first, Signal::TERM);
    client.says("421");
    assert!(first.ended().unwrap().success());
    let mut fresh = log_in(&stage, 2121);
    stage.transfers(&mut fresh);
    boxed::signal(&second, Signal::TERM);
    assert!(second.ended().unwrap().success());
}

/// Three replacements in a row, while clients come.
fn three_in_a_row(stage: &mut Stage, arguments: &[&str], at: SocketAddr) {
    let mut gateways = vec![stage.start(arguments)];
    // Borrowed for the crowd, while gateways begin.
    let (network, node, works) = (&stage.network, stage.node, &mut stage.works);
    let (served, wrong) = crowd(network.node("client").unwrap(), at, || {
        for _ in 0..3 {
            std::thread::park_timeout(Duration::from_millis(300));
            let work = TempDir::new().unwrap();
            let replacing = [arguments, &["--replace"]].concat();
            gateways.push(boxed::start(network, node, &replacing, &work));
            works.push(work);
        }
        std::thread::park_timeout(Duration::from_millis(300));
    });
    assert!(wrong.is_empty(), "{} of {served}: {wrong:?}", wrong.len());
    assert!(served > 40, "{served}");
    let last = gateways.pop().unwrap();
    for gateway in gateways {
        assert!(gateway.ended().unwrap().success());
    }
    // Nothing that it needs went with the others.
    visit_in(network.node("client").unwrap(), at);
    boxed::signal(&last, Signal::TERM);
    assert!(last.ended().unwrap().success());
    assert!(wait_for(|| stage.is_clear()), "{}", stage.rules());
}

fn visit_in(node: &Node, at: SocketAddr) {
    node.inside(|| visit(at)).unwrap().unwrap();
}

#[test]
fn a_crowd_is_served_through_three_replacements_in_a_row() {
    let Some(mut stage) = Stage::set("nat/routed") else { return };
    let server = format!("{}:21", stage.server());
    let front = ["--server", &server, "--listen", "0.0.0.0:2121"];
    let at = SocketAddr::new(stage.server(), 21);
    three_in_a_row(&mut stage, CLIENT, at);
    three_in_a_row(&mut stage, &front, SocketAddr::new(BOX.parse().unwrap(), 2121));
}

#[test]
fn a_crowd_comes_through_the_servers_firewall_through_three_replacements_in_a_row() {
    let Some(stage) = Stage::set("routed/nat") else { return };
    let mut stage = Stage { node: "server-box", ..stage };
    let at = SocketAddr::new(stage.server(), 21);
    let seat = ["--seat", "server", "--wan", "wan", "--server", "10.0.0.10:21"];
    three_in_a_row(&mut stage, &seat, at);
}

#[test]
fn killed_while_it_has_sessions_left_it_leaves_nothing_and_hurts_nobody_else() {
    let Some(mut stage) = Stage::set("nat/routed") else { return };
    let first = stage.start(CLIENT);
    let mut lost = Client::log_in(stage.node("client"), stage.server());
    let second = stage.replace(CLIENT);
    let mut client = Client::log_in(stage.node("client"), stage.server());
    assert_eq!(stage.tables(), 2);
    boxed::signal(&first, Signal::KILL);
    assert!(wait_for(|| stage.tables() == 1));
    assert_eq!(lost.0.read_line(&mut String::new()).unwrap_or_default(), 0);
    stage.transfers(&mut client);
    // The other way round: what is left of the new one is the old one's.
    let third = stage.replace(CLIENT);
    boxed::signal(&third, Signal::KILL);
    assert!(wait_for(|| stage.tables() == 1));
    stage.transfers(&mut client);
    client.asks("QUIT", "221");
    assert!(second.ended().unwrap().success());
    assert!(wait_for(|| stage.is_clear()), "{}", stage.rules());
    // Where none runs it just begins.
    let fourth = stage.replace(CLIENT);
    boxed::signal(&fourth, Signal::TERM);
    assert!(wait_for(|| stage.is_clear()), "{}", stage.rules());
}

#[test]
fn a_supervisor_has_it_replaced_by_a_signal_and_hears_which_process_it_is_now() {
    let Some(mut stage) = Stage::set("nat/routed") else { return };
    let work = TempDir::new().unwrap();
    let socket = work.path().join("notify");
    let notes = UnixDatagram::bind(&socket).unwrap();
    notes.set_read_timeout(Some(PATIENCE)).unwrap();
    let main = || {
        let mut note = [0; 100];
        let length = notes.recv(&mut note).unwrap();
        let note = String::from_utf8(note[..length].to_vec()).unwrap();
        note.strip_prefix("READY=1\nMAINPID=").unwrap().parse::<u32>().unwrap()
    };
    let mut command = Command::new(served::program().unwrap());
    command.arg("gateway").args(CLIENT).args(["--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", &socket).stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(std::fs::File::create(work.path().join("log")).unwrap());
    let first = stage.node(stage.node).spawn(&mut command).unwrap();
    stage.works.push(work);
    let mut processes = vec![main()];
    let mut client = Client::log_in(stage.node("client"), stage.server());
    boxed::signal(&first, Signal::USR2);
    processes.push(main());
    stage.transfers(&mut client);
    // The second time the one that has sessions left is asked in vain.
    boxed::signal(&first, Signal::USR2);
    assert!(wait_for(|| stage.log().contains("tell that")), "{}", stage.log());
    client.asks("QUIT", "221");
    assert!(first.ended().unwrap().success());
    assert_ne!(processes[0], processes[1]);
    let mut client = Client::log_in(stage.node("client"), stage.server());
    stage.transfers(&mut client);
    // Its successor's words are the same.
    let kill = format!("kill -USR2 {}", processes[1]);
    let told = stage.node(stage.node).output(Command::new("sh").args(["-c", &kill])).unwrap();
    assert!(told.status.success(), "{}", stage.log());
    processes.push(main());
    stage.transfers(&mut client);
    assert!(!processes[..2].contains(&processes[2]), "{processes:?}");
}

#[test]
fn one_that_cannot_begin_leaves_the_old_one_as_it_was() {
    let Some(mut stage) = Stage::set("nat/routed") else { return };
    let first = stage.start(CLIENT);
    let mut client = Client::log_in(stage.node("client"), stage.server());
    let listen = || TcpListener::bind("127.0.0.1:9402");
    let taken = stage.node("client-box").inside(listen).unwrap().unwrap();
    let broken = TempDir::new().unwrap();
    let file = broken.path().join("gateway.toml");
    std::fs::write(&file, "[[seat]]\nseat = \"client\"\nlna = \"lan\"\n").unwrap();
    for (arguments, what) in [
        (&["--config", file.to_str().unwrap()][..], "lna"),
        (&["--seat", "client", "--lan", "nosuch"], "ip link"),
        // It fails at the last.
        (&["--seat", "client", "--lan", "lan", "--metrics", "9402"], "--metrics"),
    ] {
        let (is_done, said) = stage.gateway(&[arguments, &["--replace"]].concat());
        assert!(!is_done && said.contains(what), "{said}");
        let is_met = !arguments.contains(&"--config");
        assert_eq!(said.contains("which was to be replaced, goes on"), is_met, "{said}");
        stage.transfers(&mut client);
        let mut fresh = Client::log_in(stage.node("client"), stage.server());
        stage.transfers(&mut fresh);
        fresh.asks("QUIT", "221");
        assert_eq!((stage.tables(), stage.rules().matches("redirect to").count()), (1, 1));
    }
    drop(taken);
    let (_, said) = stage.gateway(&["status"]);
    assert!(said.starts_with("1 sessions") && !said.contains("replaced"), "{said}");
    let second = stage.replace(CLIENT);
    assert!(stage.log().contains("sessions=\"1\""), "{}", stage.log());
    stage.transfers(&mut client);
    client.asks("QUIT", "221");
    assert!(first.ended().unwrap().success());
    boxed::signal(&second, Signal::TERM);
    assert!(wait_for(|| stage.is_clear()), "{}", stage.rules());
}
