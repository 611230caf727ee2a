//! A session: connected, under TLS where that is wanted, and logged in, with what is known of the
//! server.
//!
//! It connects, and connects again where a data set-up cost the control connection. What is done
//! with a session stands in `ops`, `get`, `put` and `walk`.

use std::net::SocketAddr;

use twoport_net::clock;
use twoport_net::control::ControlStream;
use twoport_net::data::ports::Ports;
use twoport_net::tls::Facts;
use twoport_net::tls::connect::{Guard, Versions};
use twoport_net::tls::trust::Fingerprint;
use twoport_proto::client::conversation::Patience;
use twoport_proto::client::login::{self, Credentials, Welcome};
use twoport_proto::client::open::Step;
use twoport_proto::client::secure::{self, Policy, Start};
use twoport_proto::client::{Conversation, Features, Login, Secure};
use twoport_proto::code::{Class as ReplyClass, Code};
use twoport_proto::command::{Command, Representation};
use twoport_proto::reason::Reason;
use twoport_proto::reply::Reply;

use crate::config::Config;
use crate::data::Way;
use crate::error::{Class, Error};
use crate::proxied;
use crate::tls;
use crate::trace::Trace;
use crate::url::{Scheme, Url};
use crate::wire::{Event, Wire};

/// How long QUIT waits for its reply: servers that never answer it are measured.
const QUIT: std::time::Duration = std::time::Duration::from_secs(1);

/// A session with one server. It is used by one task at a time.
///
/// Paths are relative to the log-in directory unless they begin with `/`: a session never changes
/// its directory, so that a new control connection stands where the old one stood.
pub struct Session {
    pub(crate) config: Config,
    pub(crate) wire: Wire,
    pub(crate) welcome: Welcome,
    /// What worked last: tried first for the next transfer.
    pub(crate) worked: Option<Step>,
    pub(crate) ports: Ports,
    /// What was found out about the way to the server.
    pub(crate) way: Way,
    /// Whether the server still answers an earlier transfer: the next command needs another
    /// connection.
    pub(crate) is_dirty: bool,
    /// Whether SIZE, MDTM and MLSD are worth asking; an unknown verb is not asked twice.
    pub(crate) knows: Knows,
    /// The TLS of this very control connection; none in clear.
    pub(crate) guard: Option<Guard>,
    /// What is wanted. Once there was TLS, it is required: the next connection is no downgrade.
    policy: Policy,
    /// Those that may be spoken, see [`renew_sessions`](Self::renew_sessions).
    versions: Versions,
    scheme: Scheme,
    representation: Option<Representation>,
    credentials: Credentials,
    host: String,
    peer: SocketAddr,
    introduced: Option<Fingerprint>,
}

/// The verbs that older servers lack.
#[derive(Clone, Copy)]
pub(crate) struct Knows {
    pub(crate) size: bool,
    pub(crate) mdtm: bool,
    pub(crate) mlsd: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Session {
    /// Connects to the host of a URL and logs in as its user, or as anonymous.
    ///
    /// # Errors
    /// [`Class::Connect`], [`Class::Login`], [`Class::Timeout`] or [`Class::Protocol`].
    pub async fn connect(url: &Url, config: Config) -> Result<Self, Error> {
        let (policy, versions) = (tls::policy(url, &config.tls)?, config.tls.versions);
        let credentials = url.credentials().cloned().unwrap_or_default();
        let (control, round_trip) = dial_any(url.host(), url.port(), &config).await?;
        let peer = control.peer();
        let wire = wire(control, round_trip, &config, &credentials);
        let ports = Ports::new(config.active_ports.clone());
        let knows = Knows { size: true, mdtm: true, mlsd: false };
        let mut session = Self {
            config,
            wire,
            welcome: Welcome::default(),
            worked: None,
            ports,
            way: Way::default(),
            is_dirty: false,
            knows,
            guard: None,
            policy,
            versions,
            scheme: url.scheme(),
            representation: None,
            credentials,
            host: url.host().to_owned(),
            peer,
            introduced: None,
        };
        session.begin().await?;
        session.reflect().await;
        session.recall().await;
        session.knows.mlsd = session.welcome.features.has_mlsd();
        Ok(session)
    }

    /// What the server offers by FEAT.
    #[must_use]
    pub const fn features(&self) -> &Features {
        &self.welcome.features
    }

    /// What the control connection's handshake agreed on; `None` in clear.
    #[must_use]
    pub fn tls(&self) -> Option<Facts> {
        self.wire.control.facts()
    }

    /// Whether data connections are under TLS.
    #[must_use]
    pub const fn is_protected(&self) -> bool {
        self.welcome.protected
    }

    /// The server's certificate, where it was believed because it was the first.
    #[must_use]
    pub const fn introduced(&self) -> Option<Fingerprint> {
        self.introduced
    }

    /// What is to be known of the session though nothing failed.
    #[must_use]
    pub fn notice(&self) -> Option<Reason> {
        self.welcome.assumed.then_some(Reason::ProtectionAssumed)
    }

    /// The server's address.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The server's name, as the user gave it.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The subject of messages that concern the connection.
    pub(crate) fn name(&self) -> String {
        format!("{} ({})", self.host, self.peer)
    }

    /// The server as the user named it: what a part of a download belongs to.
    pub(crate) fn origin(&self) -> String {
        format!("{}:{}", self.host, self.peer.port())
    }

    /// Sends one command and brings its reply, whatever it says. For commands that move no data.
    ///
    /// # Errors
    /// No reply came, or an argument holds a CR, LF or NUL.
    pub async fn command(&mut self, command: &Command) -> Result<Reply, Error> {
        self.revive().await?;
        self.ask(command).await
    }

    /// A new control connection where the old one is of no use.
    pub(crate) async fn revive(&mut self) -> Result<(), Error> {
        if self.is_dirty { self.reconnect().await } else { Ok(()) }
    }

    async fn ask(&mut self, command: &Command) -> Result<Reply, Error> {
        let asked = self.wire.ask(command).await;
        asked.map_err(|reason| Error::why(self.name(), reason, None))
    }

    /// Sends QUIT, waits a second at most for the reply, and closes.
    pub async fn quit(mut self) {
        let _closed_anyway = tokio::time::timeout(QUIT, self.wire.ask(&Command::Quit)).await;
    }

    /// Makes TYPE what it should be, asking only if it is not.
    pub(crate) async fn set_type(&mut self, wanted: Representation) -> Result<(), Error> {
        self.revive().await?;
        self.say_type(wanted).await
    }

    async fn say_type(&mut self, wanted: Representation) -> Result<(), Error> {
        if self.representation == Some(wanted) {
            return Ok(());
        }
        let reply = self.ask(&Command::Type(wanted)).await?;
        if reply.code.class() != ReplyClass::Completion {
            return Err(Error::why("TYPE", Reason::ControlRefused, Some(reply)));
        }
        self.representation = Some(wanted);
        Ok(())
    }

    /// A new control connection to the same address, logged in, in the same TYPE.
    pub(crate) async fn reconnect(&mut self) -> Result<(), Error> {
        self.is_dirty = false;
        // First the old one goes: some servers allow one connection an address.
        let _gone_already = self.wire.control.shutdown().await;
        let started = clock::now();
        let (control, round_trip) = match &self.config.proxy {
            Some(proxy) => {
                proxied::control(proxy, &self.host, self.peer.port(), &self.config).await?
            }
            None => {
                let (local, patience) = (self.config.local_address, self.config.connect_timeout);
                let control = ControlStream::dial(self.peer, local, patience).await;
                let lost = |error| Error::new(Class::Connect, self.name()).with_source(error);
                (control.map_err(lost)?, clock::now().since(started))
            }
        };
        self.wire = wire(control, round_trip, &self.config, &self.credentials);
        let wanted = self.representation;
        self.begin().await?;
        match wanted {
            Some(wanted) => self.say_type(wanted).await,
            None => Ok(()),
        }
    }

    /// A new control connection where all that could be resumed is used up: ProFTPD gives two
    /// tickets of TLS 1.3 on the control connection, none on data connections, and refuses those
    /// that resume nothing. In TLS 1.2 a session is resumed any number of times, so that it happens
    /// once, where that version is allowed and the server has it.
    pub(crate) async fn renew_sessions(&mut self) -> Result<(), Error> {
        let spent = self.guard.as_ref().is_some_and(Guard::is_spent);
        if !spent || !self.welcome.protected {
            return Ok(());
        }
        self.wire.trace(Trace::TicketsSpent);
        if self.versions != Versions::All {
            return self.reconnect().await;
        }
        self.versions = Versions::Only12;
        match self.reconnect().await {
            Err(error) if error.reason() == Some(Reason::TlsVersion) => {
                self.versions = Versions::Only13;
                self.reconnect().await
            }
            done => done,
        }
    }

    /// From a connection that is up to a session: TLS, then the login.
    async fn begin(&mut self) -> Result<(), Error> {
        let start = self.secure().await?;
        self.log_in(start).await?;
        match self.config.clear_commands && self.guard.is_some() {
            true => self.lay_bare().await,
            false => Ok(()),
        }
    }

    /// RFC 4217 §12.3: the control connection goes on in clear, data connections stay protected.
    async fn lay_bare(&mut self) -> Result<(), Error> {
        let reply = self.ask(&Command::Ccc).await?;
        if reply.code.class() != ReplyClass::Completion {
            return Err(Error::why("CCC", Reason::ControlRefused, Some(reply)));
        }
        let bared = self.wire.control.lay_bare();
        match tokio::time::timeout(self.config.connect_timeout, bared).await {
            Ok(Ok(())) => {
                self.wire.trace(Trace::Bared);
                Ok(())
            }
            Ok(Err(error)) => Err(Error::why("CCC", Reason::TlsFailed, None).with_source(error)),
            Err(_) => Err(Error::why("CCC", Reason::ReplyMissing, None)),
        }
    }

    /// Lets nothing secret go out before TLS is up, where it is wanted.
    async fn secure(&mut self) -> Result<Start, Error> {
        self.guard = None;
        let mut secure = match self.scheme {
            Scheme::Ftps => Secure::implicit(),
            Scheme::Ftp | Scheme::Ftpes => Secure::explicit(self.policy),
        };
        loop {
            let input = match secure.poll() {
                Some(secure::Effect::Command(command)) => {
                    self.wire.send(&command).await;
                    continue;
                }
                Some(secure::Effect::StartTls) => {
                    self.start_tls().await?;
                    secure::Input::Secured
                }
                Some(secure::Effect::Done(start)) => return Ok(start),
                Some(secure::Effect::Failed(reason, reply)) => {
                    return Err(Error::why(self.name(), reason, reply));
                }
                None => match self.wire.next(None).await {
                    Event::Reply(reply) => secure::Input::Reply(reply),
                    Event::Lost(reason) => secure::Input::Lost(reason),
                    Event::Due => continue,
                },
            };
            secure.handle(clock::now(), input);
        }
    }

    /// The handshake on the control connection. Each has a store of its own for what it may resume.
    async fn start_tls(&mut self) -> Result<(), Error> {
        let (place, tls) = ((self.host.as_str(), self.peer.port()), &self.config.tls);
        let guard = tls::guard(place.0, place.1, tls, self.versions).await?;
        let name = self.name();
        self.wire
            .secure(&guard, self.config.connect_timeout)
            .await
            .map_err(|error| tls::refused(&name, place, tls, &guard, error))?;
        let introduced = tls::introduce(place.0, place.1, tls, &guard).await?;
        self.introduced = introduced.or(self.introduced);
        if let Some(facts) = self.tls() {
            self.wire.trace(Trace::Secured(facts));
        }
        (self.guard, self.policy) = (Some(guard), Policy::Required);
        Ok(())
    }

    async fn log_in(&mut self, start: Start) -> Result<(), Error> {
        let protection = match self.guard {
            Some(_) => self.protection(),
            None => Policy::Off,
        };
        let mut login = Login::behind(start, self.credentials.clone(), protection);
        loop {
            while let Some(effect) = login.poll() {
                match effect {
                    login::Effect::Command(command) => self.wire.send(&command).await,
                    login::Effect::Done(welcome) => {
                        self.representation = welcome.image.then_some(Representation::Image);
                        self.welcome = welcome;
                        return Ok(());
                    }
                    login::Effect::Failed(reason, reply) => {
                        return Err(self.login_error(reason, reply));
                    }
                }
            }
            let input = match self.wire.next(None).await {
                Event::Reply(reply) => login::Input::Reply(reply),
                Event::Lost(reason) => login::Input::Lost(reason),
                Event::Due => continue,
            };
            login.handle(clock::now(), input);
        }
    }

    /// What is wanted for data connections: what the user said of TLS, or what there was before.
    fn protection(&self) -> Policy {
        let asked = match self.scheme {
            Scheme::Ftp => self.config.tls.policy,
            Scheme::Ftps | Scheme::Ftpes => Policy::Required,
        };
        if self.welcome.protected { Policy::Required } else { asked }
    }

    fn login_error(&self, reason: Reason, reply: Option<Reply>) -> Error {
        let class = match reason {
            Reason::LoginRefused | Reason::LoginNeedsTls | Reason::AccountNeeded => Class::Login,
            Reason::ServerBusy => match &reply {
                // A 530 for a full server comes at the login, a 421 at the connection.
                Some(reply) if reply.code != Code::SERVICE_CLOSING => Class::Login,
                _ => Class::Connect,
            },
            _ => return Error::why(self.name(), reason, reply),
        };
        Error::new(class, self.name()).because(reason).answered(reply)
    }
}

fn wire(
    control: ControlStream,
    round_trip: std::time::Duration,
    config: &Config,
    credentials: &Credentials,
) -> Wire {
    let patience = Patience { greeting: config.reply_timeout, reply: config.reply_timeout };
    let conversation = Conversation::new(clock::now(), round_trip, patience);
    let anonymous = *credentials == Credentials::default();
    let secret: &[u8] = if anonymous { b"" } else { &credentials.password.0 };
    Wire::new(control, conversation, config.observer.clone(), secret)
}

/// Connects to the first address of a host that answers.
async fn dial_any(
    host: &str,
    port: u16,
    config: &Config,
) -> Result<(ControlStream, std::time::Duration), Error> {
    if let Some(proxy) = &config.proxy {
        return proxied::control(proxy, host, port, config).await;
    }
    let subject = format!("{host} port {port}");
    let lookup = tokio::net::lookup_host((host, port));
    let found = match tokio::time::timeout(config.connect_timeout, lookup).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Err(Error::new(Class::Connect, subject).with_source(error)),
        Err(_) => {
            return Err(Error::new(Class::Connect, format!("{subject}: name lookup timed out")));
        }
    };
    let mut failed = Error::new(Class::Connect, format!("{subject}: the name has no address"));
    for address in found {
        let started = clock::now();
        let dialled =
            ControlStream::dial(address, config.local_address, config.connect_timeout).await;
        match dialled {
            Ok(control) => return Ok((control, clock::now().since(started))),
            Err(error) => {
                let subject = format!("{host} ({address})");
                failed = Error::new(Class::Connect, subject).with_source(error);
            }
        }
    }
    Err(failed)
}
