//! What a session allocates: nothing for a command that needs no thread once it has done so before, and
//! for the transfer of a short file no more than is counted here.
//!
//! It is a process of its own, and its client allocates nothing while it counts.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test ends at what it did not expect"
)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use tempfile::TempDir;
use twoport_proto::text::escape;
use twoport_server::Server;
use twoport_server::accounts::Accounts;
use twoport_server::accounts::hash::PasswordHash;
use twoport_server::accounts::password::Password;
use twoport_server::config::Draft;
use twoport_server::config::account::AccountEntry;
use twoport_server::config::problem::Place;
use twoport_server::config::settings::Setting;
use twoport_sys::allocations::Counting;

#[global_allocator]
static COUNTING: Counting = Counting::new();

/// How often each thing is done before it is counted, and while. Odd allocations of the runtime (a queue
/// that grows) are fewer than the latter.
const WARM: usize = 100;
const COUNTED: usize = 400;

/// A client that allocates nothing while it talks.
struct Client {
    control: TcpStream,
    heard: [u8; 1024],
    length: usize,
}

impl Client {
    fn says(&mut self, code: &[u8; 3]) {
        self.length = 0;
        while !self.heard[..self.length].ends_with(b"\r\n") {
            let read = self.control.read(&mut self.heard[self.length..]).unwrap();
            assert!(read > 0, "the session ended");
            self.length += read;
        }
        let heard = &self.heard[..self.length];
        assert!(heard.starts_with(code), "{}", escape(heard));
    }

    fn asks(&mut self, line: &[u8], code: &[u8; 3]) {
        self.control.write_all(line).unwrap();
        self.says(code);
    }

    fn passive(&mut self) -> SocketAddr {
        self.asks(b"EPSV\r\n", b"229");
        let digits = self.heard[..self.length].iter().filter(|byte| byte.is_ascii_digit()).skip(3);
        let port = digits.fold(0, |port, digit| port * 10 + u16::from(digit - b'0'));
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn retrieves(&mut self, mut data: TcpStream) {
        let mut content = [0; 2048];
        let mut length = 0;
        loop {
            match data.read(&mut content[length..]).unwrap() {
                0 => break,
                read => length += read,
            }
        }
        assert_eq!(length, 1024);
        drop(data);
        self.ends();
    }

    /// The final reply, which may have come in one piece with the 150.
    fn ends(&mut self) {
        let first = self.heard[..self.length].iter().position(|&byte| byte == b'\n');
        if first.is_some_and(|first| first + 1 < self.length) {
            return;
        }
        self.says(b"226");
    }
}

/// How much is allocated each time.
fn counted(client: &mut Client, mut done: impl FnMut(&mut Client)) -> f64 {
    (0..WARM).for_each(|_| done(client));
    let before = COUNTING.count();
    (0..COUNTED).for_each(|_| done(client));
    let allocated = COUNTING.count() - before;
    f64::from(u32::try_from(allocated).unwrap()) / f64::from(u32::try_from(COUNTED).unwrap())
}

#[test]
fn commands_allocate_nothing_and_short_transfers_little() {
    // In memory: what waits for a disk does so on a thread, which takes more.
    let root = TempDir::new_in("/dev/shm").unwrap();
    std::fs::create_dir(root.path().join("directory")).unwrap();
    std::fs::write(root.path().join("file"), [7; 1024]).unwrap();
    let mut draft = Draft::new();
    let mut set = |key: &str, text: &str| draft.set(Setting::find(key).unwrap(), text);
    set("root", root.path().to_str().unwrap());
    set("listen", "127.0.0.1:0");
    set("durable", "false");
    let hash = PasswordHash::of(&Password::new("secret")).unwrap();
    draft.set_account(AccountEntry::new("ann".to_owned(), hash, Place::CommandLine));
    let (config, _) = draft.finish().unwrap();
    let (accounts, _) = Accounts::load(&config).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let inside = runtime.enter();
    let server = Server::bind(config, accounts).unwrap();
    let address = *server.addresses().first().unwrap();
    runtime.spawn(server.run());
    drop(inside);

    let control = TcpStream::connect(address).unwrap();
    control.set_nodelay(true).unwrap();
    let mut client = Client { control, heard: [0; 1024], length: 0 };
    client.says(b"220");
    client.asks(b"USER ann\r\n", b"331");
    client.asks(b"PASS secret\r\n", b"230");
    client.asks(b"TYPE I\r\n", b"200");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let port = format!("PORT 127,0,0,1,{},{}\r\n", port / 256, port % 256);
    let (port, mut each) = (port.as_bytes(), Vec::with_capacity(32));

    for (line, code) in [
        (&b"NOOP\r\n"[..], b"200"),
        (b"TYPE I\r\n", b"200"),
        (b"PWD\r\n", b"257"),
        (b"PASV\r\n", b"227"),
        (b"EPSV\r\n", b"229"),
        (port, b"200"),
        (b"CWD /directory\r\n", b"250"),
        (b"SIZE /file\r\n", b"213"),
        (b"MDTM /file\r\n", b"213"),
        (b"REST 0\r\n", b"350"),
        (b"ALLO 1024\r\n", b"200"),
    ] {
        let allocated = counted(&mut client, |client| client.asks(line, code));
        each.push((line, allocated, 0.0));
    }
    let allocated = counted(&mut client, |client| {
        let data = TcpStream::connect(client.passive()).unwrap();
        client.asks(b"RETR /file\r\n", b"150");
        client.retrieves(data);
    });
    each.push((b"EPSV, RETR", allocated, RETR));
    let allocated = counted(&mut client, |client| {
        client.asks(port, b"200");
        client.control.write_all(b"RETR /file\r\n").unwrap();
        let (data, _) = listener.accept().unwrap();
        client.says(b"150");
        client.retrieves(data);
    });
    each.push((b"PORT, RETR", allocated, ACTIVE));
    let allocated = counted(&mut client, |client| {
        let mut data = TcpStream::connect(client.passive()).unwrap();
        client.asks(b"STOR /file\r\n", b"150");
        data.write_all(&[7; 1024]).unwrap();
        drop(data);
        client.ends();
    });
    each.push((b"EPSV, STOR", allocated, STOR));

    let mut report = String::new();
    for (what, allocated, most) in &each {
        let what = escape(what.trim_ascii_end());
        report += &format!("{what:16} {allocated:6.2}, at most {most}\n");
    }
    let is_kept = each.iter().all(|(_, allocated, most)| *allocated < most + 0.1);
    assert!(is_kept, "allocations each:\n{report}");
    print!("allocations each:\n{report}");
    runtime.shutdown_background();
}

/// What a RETR of a file in memory takes: its transfer in the machine, what is open, and its file.
const RETR: f64 = 3.0;

/// The same by PORT, with the future that dials and what the runtime knows of its connection.
const ACTIVE: f64 = 7.0;

/// What a STOR takes: its transfer, what is open, the future that receives, what ends it, what the runtime
/// knows of its connection, the room for the bytes; and the names of its temporary, of what may be kept,
/// and of the file.
const STOR: f64 = 14.0;
