//! The server on real sockets over the loopback, with the client's bytes cut and delayed by a seed.
//!
//! Left out are files whose story needs what a real server cannot be made to do, or minutes.

mod address;
mod host;
mod served;
mod wire;

use std::net::{Shutdown, SocketAddr, TcpListener};
use std::thread::park_timeout;
use std::time::Duration;

use self::address::Places;
use self::host::Host;
use self::wire::Wire;
use super::{Failure, Stage, Step, difference, machine, play, show};
use crate::chop::Chop;
use crate::foreign::servers;
use crate::script::{Captures, Event, Rule, Says, Script, Setup, Text};

/// The longest time that is really waited.
const LONGEST: Duration = Duration::from_secs(4);

/// How long silence is listened to.
const SILENCE: Duration = Duration::from_millis(60);

/// How long bytes that are under way may take over the loopback before a reset overtakes them.
const FLIGHT: Duration = Duration::from_millis(100);

/// Whether a file can be played here.
#[must_use]
pub fn can_play(script: &Script) -> bool {
    let setup = script.setup().all(|item| match item {
        Setup::Room(_) | Setup::Fault(..) | Setup::Foreign | Setup::Gateway(_) => false,
        Setup::User { terms, .. } => terms.is_empty(),
        Setup::Policy(rules) => !rules.iter().any(|rule| {
            matches!(
                rule,
                Rule::Unknown(_)
                    | Rule::Foreign(_)
                    | Rule::ActivePrivate(_)
                    | Rule::Tls(_)
                    | Rule::DataTls(_)
            )
        }),
        _ => true,
    });
    // The player's sockets know no TLS.
    let events = script.events().all(|event| {
        !matches!(
            event,
            Event::TransferFails(_)
                | Event::ConnectUnreachable
                | Event::TlsBegins
                | Event::TlsBeginsWith(_)
                | Event::TlsFails(_)
        )
    });
    setup && events && !script.lines.windows(2).any(|pair| waits_for(pair.first(), pair.last()))
}

/// A long wait counts only if what comes next is what came of it; else it is left out.
fn waits_for(first: Option<&crate::script::Line>, next: Option<&crate::script::Line>) -> bool {
    let is_long = matches!(first.map(|line| &line.says),
        Some(Says::Event(Event::Wait(time))) if *time > LONGEST);
    let decides =
        matches!(next.map(|line| &line.says), Some(Says::Server(_) | Says::Event(Event::Silence)));
    is_long && decides
}

/// Whether a file is also true of other servers, and can be played on them.
#[must_use]
pub fn is_portable(script: &Script) -> bool {
    can_play(script) && script.setup().any(|item| *item == Setup::Portable)
}

/// Plays a script against a real server of ours. A seed of 0 cuts nothing.
///
/// # Errors
/// The first line that is not as the file has it.
pub fn server(script: &Script, seed: u64) -> Result<(), Failure> {
    on_stage(script, Host::ours(script).and_then(|host| Sockets::new(script, host, seed)))
}

/// Plays a portable script against a server of others, which is given the script's files.
///
/// # Errors
/// The first line that is not as the file has it.
pub fn foreign(script: &Script, server: &servers::Server, seed: u64) -> Result<(), Failure> {
    let host = Host::foreign(script, server);
    on_stage(script, host.and_then(|host| Sockets::new(script, host, seed)))
}

fn on_stage(script: &Script, stage: Step<Sockets<'_>>) -> Result<(), Failure> {
    let (file, says) = (script.file.clone(), "the setup".into());
    let stage = stage.map_err(|found| Failure { file, line: 1, says, found });
    play(script, &mut stage?)
}

struct Sockets<'a> {
    host: Host<'a>,
    places: Places,
    control: Wire,
    data: Option<Wire>,
    /// Where the server may connect to.
    listener: Option<TcpListener>,
    /// Whether the client's data port is to refuse.
    refuses: bool,
    chop: Chop,
}

impl<'a> Sockets<'a> {
    fn new(script: &Script, host: Host<'a>, seed: u64) -> Step<Self> {
        let places = host.places();
        let control = Wire::new(wire::connect(places.peer, host.address())?)?;
        let refuses = script.events().any(|event| *event == Event::ConnectRefused);
        let chop = Chop::new(seed);
        Ok(Self { host, places, control, data: None, listener: None, refuses, chop })
    }

    fn connect(&mut self, port: &Text, captures: &Captures) -> Step {
        let port = machine::port_in(&port.fill(captures)?)?;
        let to = SocketAddr::new(self.places.local, port);
        self.data = Some(Wire::new(wire::connect(self.places.peer, to)?)?);
        Ok(())
    }

    /// A stranger is closed without a byte.
    fn stranger(&mut self, port: &Text, captures: &Captures) -> Step {
        let port = machine::port_in(&port.fill(captures)?)?;
        let to = SocketAddr::new(self.places.local, port);
        let mut stranger = Wire::new(wire::connect(self.places.stranger, to)?)?;
        stranger.ended()
    }

    fn accept(&mut self) -> Step {
        let listener = self.listener.take().ok_or("the client listens nowhere")?;
        self.data = Some(Wire::new(wire::accept(&listener)?)?);
        Ok(())
    }

    /// PORT and EPRT name a port that the client really has; everything else goes as it is.
    fn aim(&mut self, line: &[u8]) -> Step<Vec<u8>> {
        let Some(target) = self.places.own_target(line) else { return Ok(line.to_vec()) };
        let mut real = SocketAddr::new(self.places.peer, target.port());
        if target.port() >= 1024 {
            let any = SocketAddr::new(self.places.peer, 0);
            let listener = TcpListener::bind(any).map_err(|error| error.to_string())?;
            real = listener.local_addr().map_err(|error| error.to_string())?;
            self.listener = (!self.refuses).then_some(listener);
        }
        Ok(address::aimed(line, real))
    }

    fn data(&mut self) -> Step<&mut Wire> {
        self.data.as_mut().ok_or_else(|| "there is no data connection".into())
    }

    fn stored(&self, path: &Text, captures: &Captures) -> Step<Option<Vec<u8>>> {
        self.host.content(&path.fill(captures)?)
    }
}

impl Stage for Sockets<'_> {
    fn say(&mut self, bytes: &[u8]) -> Step {
        let mut aimed = Vec::new();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match line.strip_suffix(b"\r\n") {
                Some(line) => {
                    let line = self.aim(line)?;
                    aimed.extend([&self.host.login(line)[..], b"\r\n"].concat());
                }
                None => aimed.extend_from_slice(line),
            }
        }
        self.control.send(&aimed, &mut self.chop)
    }

    fn logged_in(&mut self) -> Step {
        let Some(directory) = self.host.directory() else { return Ok(()) };
        self.control.send(&[b"CWD ", &directory[..], b"\r\n"].concat(), &mut self.chop)?;
        let reply = self.line()?;
        if reply.starts_with(b"250 ") { Ok(()) } else { Err(show(&reply)) }
    }

    fn line(&mut self) -> Step<Vec<u8>> {
        let mut line = self.control.line()?;
        if self.host.is_foreign() {
            // How many lines a reply has is everybody's own, and so is the choice between 125 and 150.
            while line.get(3) == Some(&b'-') || !line.first().is_some_and(u8::is_ascii_digit) {
                line = self.control.line()?;
            }
            if line.starts_with(b"125 ") {
                line.splice(..3, *b"150");
            }
        }
        Ok(self.places.written(line))
    }

    fn upload(&mut self, bytes: &[u8]) -> Step {
        let mut chop = self.chop.clone();
        self.data()?.send_as_far_as_it_goes(bytes, &mut chop);
        self.chop = chop;
        Ok(())
    }

    fn download(&mut self, length: usize) -> Step<Vec<u8>> {
        self.data()?.read(length)
    }

    fn event(&mut self, event: &Event, captures: &Captures) -> Step {
        match event {
            Event::ClientConnects(port) => self.connect(port, captures)?,
            Event::StrangerConnects(port) => self.stranger(port, captures)?,
            Event::ServerConnects => self.accept()?,
            Event::ClientClosesData => drop(self.data.take()),
            Event::DataReset => {
                park_timeout(FLIGHT);
                self.data.take().ok_or("there is no data connection")?.reset()?;
            }
            Event::DataClosedByServer => {
                if let Some(mut data) = self.data.take() {
                    data.ended()?;
                }
            }
            Event::ClientClosesControl => self.control.shutdown(Shutdown::Write)?,
            Event::ControlClosedByServer => self.control.ended()?,
            Event::Wait(time) if *time <= LONGEST => wait(*time),
            Event::Silence => self.control.silent(SILENCE)?,
            Event::ServerStops => self.host.stop(true),
            Event::ServerEnds => self.host.stop(false),
            Event::Stored(path, content) => match self.stored(path, captures)? {
                Some(found) if found == content.fill(captures)? => {}
                Some(found) => return Err(difference(&content.fill(captures)?, &found)),
                None => return Err("there is no such file".into()),
            },
            Event::Absent(path) => {
                if let Some(found) = self.stored(path, captures)? {
                    return Err(format!("the file is there: {}", show(&found)));
                }
            }
            Event::LogsIn(_)
            | Event::ConnectRefused
            | Event::ConnectUnreachable
            | Event::TransferFails(_)
            | Event::TlsBegins
            | Event::TlsBeginsWith(_)
            | Event::TlsFails(_)
            | Event::Wait(_) => {}
        }
        Ok(())
    }

    /// The log of a real server is not seen here.
    fn note(&mut self, _: &str) -> Step {
        Ok(())
    }

    fn finish(&mut self) -> Step {
        self.control.silent(Duration::from_millis(5))
    }
}

/// Waits, and a little more, for what is due then.
fn wait(time: Duration) {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    // Nothing is ever sent: the time-out is what is waited for.
    let _timeout = receiver.recv_timeout(time);
    drop(sender);
}
