//! Control connections spoken by hand at both ends of a gateway, and the doors that it opens.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};

use twoport_lab::foreign::nodes::PATIENCE;

/// One end of a control connection.
pub(crate) struct End(pub(crate) BufReader<TcpStream>);

impl End {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    #[track_caller]
    pub(crate) fn hears(&mut self, wanted: &str) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert!(line.starts_with(wanted), "expected {wanted:?}, got {line:?}");
        line.trim_end().to_owned()
    }

    /// The client's end, through a log-in: the server has greeted and accepted a user.
    #[track_caller]
    pub(crate) fn logs_in(&mut self, server: &mut Self) {
        server.says("220 ready");
        self.hears("220");
        self.says("USER ann");
        server.hears("USER ann");
        server.says("230 in");
        self.hears("230");
    }

    pub(crate) fn says(&mut self, line: &str) {
        self.raw(format!("{line}\r\n").as_bytes());
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }
}

/// The address in PORT or 227.
pub(crate) fn door_in(line: &str) -> SocketAddr {
    let numbers = line.split(['(', ')', ' ']).find(|word| word.contains(',')).unwrap();
    let numbers: Vec<u16> = numbers.split(',').map(|n| n.trim().parse().unwrap()).collect();
    let &[a, b, c, d, high, low] = numbers.first_chunk().unwrap();
    format!("{a}.{b}.{c}.{d}:{}", high * 256 + low).parse().unwrap()
}

/// How many doors are open by these rules.
pub(crate) fn open_doors(rules: &str) -> usize {
    let set = rules.split("set gate4").nth(1).unwrap().split("map pin4").next().unwrap();
    set.split("elements = {").nth(1).map_or(0, |elements| elements.matches("expires").count())
}
