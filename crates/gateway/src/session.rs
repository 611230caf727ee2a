//! One relayed session: what comes on either leg goes into the relay machine, and its effects are
//! carried out in their order.
//!
//! It reads no line and knows no verb.

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::sync::watch;

use twoport_net::clock;
use twoport_net::control::ControlStream;
use twoport_net::timer::Timer;
use twoport_net::tls::accept;
use twoport_net::tls::connect::Guard;
use twoport_net::tls::tickets::{Identity, SessionTls};
use twoport_proto::proxy;
use twoport_proto::reason::Reason;
use twoport_proto::relay::{
    self, Decision, Effect, Input, Introduction, Leg, Legs, Mode, Note, Policy, Relay,
};
use twoport_proto::time::Time;

use crate::board::Entry;
use crate::gateway::Shared;
use crate::hole::{Ends, Event, Holes, lock};
use crate::log::{self, Who};
use crate::passes::Pass;
use crate::pool::Guest;
use crate::seat::{self, IMPLICIT, Seat};
use crate::upstream;
use crate::visitor::{Implicit, Visitor};

/// How often TCP probes a quiet control connection. Origin: the server's keep-alive.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// How long a handshake on a control connection may take. Origin: the server's login-timeout is
/// longer; a handshake is the lesser part of a log-in.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(30);

/// How long a transfer may run on after the gateway was told to stop. Origin: supervisors wait ten
/// seconds for a service to end, and more for those that ask (systemd: 90).
const DRAIN: Duration = Duration::from_secs(8);

/// How long a session may be silent once nothing can be read: data may flow that are not seen. Origin:
/// RFC 5382 REQ-5, two hours and four minutes.
const UNREAD: Duration = Duration::from_secs(7440);

/// How often a session that is to end looks whether it may.
const PAUSE: Duration = Duration::from_millis(50);

struct Session {
    /// On the board as long as this is held.
    _entry: Entry,
    /// Counted at its server as long as this is held.
    _guest: Option<Guest>,
    policy: Policy,
    shared: Arc<Shared>,
    who: Who,
    relay: Relay,
    client: ControlStream,
    server: ControlStream,
    tls: Option<SessionTls>,
    /// The name that the server's certificate must have.
    host: String,
    ends: Arc<Ends>,
    holes: Holes,
    /// To any port of the server, where nothing can be read.
    pass: Option<Pass>,
    events: mpsc::UnboundedReceiver<Event>,
    greeting_expected: bool,
    has_ended: bool,
}

/// Relays one client until either side ends it, or `stop` is set. What happens once in a session is
/// boxed, here and below: the task of one that is held has no room for it.
pub(crate) async fn run(
    shared: Arc<Shared>,
    number: u64,
    client: TcpStream,
    told: Option<proxy::Ends>,
    stop: watch::Receiver<bool>,
) {
    let Ok(mut visitor) = visitor(shared, number, client, told) else { return };
    let config = &visitor.shared.config;
    // Where a client says later whom it wants to reach, it is asked then.
    let is_meant = config.seat != Seat::Forward;
    if is_meant && !config.access.permits(visitor.who.client.ip(), visitor.meant.ip()) {
        let reason = Some(Reason::ClientForbidden);
        let (decision, subject) = (Decision::Refuse, "session");
        let note = Note { decision, subject, reason, object: None };
        visitor.shared.board.note(&note);
        log::note(&visitor.who, &note);
        return visitor.send_away(Reason::ClientForbidden).await;
    }
    let desk = config.desk.clone();
    if visitor.implicit() == Implicit::Passes {
        visitor.expects_tls = true;
        // Nothing of it could be scanned.
        if visitor.shared.config.scan.is_some() {
            return visitor.send_away(Reason::TlsNotScanned).await;
        }
    }
    let chosen = match desk {
        Some(desk) => match Box::pin(visitor.receive(desk, stop.clone())).await {
            Some(chosen) => Some(chosen),
            None => return,
        },
        None => None,
    };
    let (wish, introduction) = chosen.unzip();
    let upstream = match Box::pin(upstream::connect(&visitor, wish.as_ref())).await {
        Ok(upstream) => upstream,
        Err(reason) => return visitor.send_away(reason).await,
    };
    let implicit = visitor.implicit();
    match Session::new(visitor, upstream) {
        Ok(mut session) => match Box::pin(session.begin(implicit, introduction)).await {
            Ok(()) => session.serve(stop).await,
            Err(reason) => session.close(reason).await,
        },
        Err(error) => {
            tracing::warn!(target: "twoport", session = number, %error, "the session cannot begin");
        }
    }
}

/// The same where a client has asked for its server before, and that is connected.
pub(crate) async fn run_to(
    shared: Arc<Shared>,
    (client, told): (TcpStream, Option<proxy::Ends>),
    upstream: upstream::Upstream,
    stop: watch::Receiver<bool>,
) {
    let number = shared.board.number();
    let Ok(meant) = upstream.stream.peer_addr() else { return };
    let Ok(visitor) = visitor(shared, number, client, told) else { return };
    let visitor = Visitor { meant, ..visitor };
    let implicit = visitor.implicit();
    match Session::new(visitor, upstream) {
        Ok(mut session) => match Box::pin(session.begin(implicit, None)).await {
            Ok(()) => session.serve(stop).await,
            Err(reason) => session.close(reason).await,
        },
        Err(error) => {
            tracing::warn!(target: "twoport", session = number, %error, "the session cannot begin");
        }
    }
}

/// A client that has connected, and whom it meant to reach.
fn visitor(
    shared: Arc<Shared>,
    number: u64,
    client: TcpStream,
    told: Option<proxy::Ends>,
) -> io::Result<Visitor> {
    let taken = if shared.router.is_some() { seat::meant(&client) } else { None };
    let client = ControlStream::new(client, KEEP_ALIVE)?.on_behalf_of(told);
    let meant = taken.unwrap_or_else(|| client.local());
    let who = Who { session: number, client: client.peer(), server: None };
    let tls = match &shared.config.client_tls {
        Some(tls) => {
            let identity = Identity::random().map_err(io::Error::other)?;
            Some(tls.binder.bind(identity, &tls.config))
        }
        None => None,
    };
    Ok(Visitor { shared, who, client, meant, tls, expects_tls: false })
}

impl Session {
    fn new(visitor: Visitor, upstream: upstream::Upstream) -> io::Result<Box<Self>> {
        let Visitor { shared, who, client, meant, tls, .. } = visitor;
        let server = ControlStream::new(upstream.stream, KEEP_ALIVE)?.without_urgent_data();
        let who = Who { server: Some(server.peer()), ..who };
        let entry = shared.board.enter(who.session, who.client, server.peer());
        let client_seen = match &shared.router {
            Some(router) => router.seen(server.local(), server.peer()),
            None => server.local(),
        };
        let ends = Arc::new(Ends {
            server_seen: meant.ip().to_canonical(),
            client_seen: client_seen.ip(),
            router: shared.router.clone(),
            ports: shared.ports.clone(),
            client: client.peer().ip(),
            client_local: client.own().ip(),
            client_via: Some(client.maker()).filter(|maker| *maker != client.peer().ip()),
            server: server.peer(),
            server_local: server.local().ip(),
            asking: upstream.asking,
            introduction: upstream
                .header
                .filter(|header| header.on_data)
                .map(|header| header.bytes),
            accept: tls.as_ref().map(|tls| Arc::clone(&tls.receiving)),
            connect: Mutex::new(None),
            private: Mutex::new(Legs::default()),
            sparing: Arc::clone(&shared.sparing),
            live: Arc::clone(&entry.live),
            rate_limit: shared.config.rate_limit,
            scan: shared.config.scan.clone(),
            share: shared
                .config
                .client_rate_limit
                .map(|rate| shared.rates.share(client.peer().ip(), rate)),
            flowing: AtomicUsize::new(0),
        });
        let (sender, events) = mpsc::unbounded_channel();
        let holes = Holes::new(Arc::clone(&ends), sender);
        let legs = relay::Ends { client: client.peer(), server: server.peer() };
        let mut policy = shared.config.policy.clone();
        if upstream.is_told {
            // It takes the client for its peer, and would not connect to the gateway.
            policy.mode = Mode::Passive;
        }
        let relay = Relay::new(legs, Legs::default(), policy.clone());
        Ok(Box::new(Self {
            _entry: entry,
            _guest: upstream.guest,
            policy,
            shared,
            who,
            relay,
            client,
            server,
            tls,
            host: upstream.host,
            ends,
            holes,
            pass: None,
            events,
            greeting_expected: true,
            has_ended: false,
        }))
    }

    /// TLS from the first byte, on the legs that have it; and what the client has said already.
    async fn begin(
        &mut self,
        implicit: Implicit,
        introduction: Option<Introduction>,
    ) -> Result<(), Reason> {
        let legs = relay::Ends { client: self.client.peer(), server: self.server.peer() };
        let policy = self.policy.clone();
        if let Some(introduction) = introduction {
            let is_private = !introduction.passes() && self.server.peer().port() == IMPLICIT;
            if is_private {
                self.secure(Leg::Server).await?;
            }
            self.relay = Relay::introduced(legs, introduction, is_private, policy);
            self.drain().await;
            return Ok(());
        }
        match implicit {
            Implicit::No => {}
            Implicit::Passes => {
                self.relay = Relay::unread(legs, policy);
                self.pass = self.ends.open_all();
            }
            Implicit::EndsHere => {
                self.secure(Leg::Server).await?;
                self.secure(Leg::Client).await?;
                let both = Legs { client: true, server: true };
                *lock(&self.ends.private) = both;
                self.relay = Relay::new(legs, both, policy);
            }
        }
        Ok(())
    }

    async fn serve(mut self: Box<Self>, mut stop: watch::Receiver<bool>) {
        let (mut from_client, mut from_server) = (Vec::new(), Vec::new());
        let (mut client_ended, mut server_ended) = (false, false);
        let mut heard = clock::now();
        let (mut stopped, mut timer): (Option<Time>, _) = (None, Timer::default());
        while !self.has_ended {
            if stopped.is_some_and(|until| !self.is_busy() || clock::now() >= until) {
                return self.close(Reason::ShuttingDown).await;
            }
            let idle = heard.after(self.patience());
            let takes_more = !client_ended && self.relay.takes(Leg::Client);
            let due = [self.relay.deadline(), stopped.map(|_| clock::now().after(PAUSE))];
            let due = due.into_iter().flatten().fold(idle, Time::min);
            tokio::select! {
                read = self.client.read(&mut from_client), if takes_more => {
                    heard = clock::now();
                    client_ended = !matches!(read, Ok(1..));
                    let bytes = std::mem::take(&mut from_client);
                    self.heard(Leg::Client, &bytes, client_ended).await;
                }
                read = self.server.read(&mut from_server), if !server_ended => {
                    heard = clock::now();
                    server_ended = !matches!(read, Ok(1..));
                    let bytes = std::mem::take(&mut from_server);
                    self.heard(Leg::Server, &bytes, server_ended).await;
                }
                Some(event) = self.events.recv() => self.happened(event).await,
                () = poll_fn(|cx| timer.poll_reached(Some(due), cx)) => {
                    if clock::now() < idle {
                        self.input(Input::Timer).await;
                    } else if self.is_busy() {
                        heard = clock::now();
                    } else {
                        return self.close(Reason::ControlTimeout).await;
                    }
                }
                () = crate::gateway::stopped(&mut stop), if stopped.is_none() => {
                    stopped = Some(clock::now().after(DRAIN));
                }
            }
        }
    }

    /// How long nothing may happen.
    fn patience(&self) -> Duration {
        let idle = self.shared.config.idle_timeout;
        if self.relay.is_opaque() { idle.max(UNREAD) } else { idle }
    }

    /// Whether data flow, or may.
    fn is_busy(&self) -> bool {
        self.relay.awaits_reply() || self.ends.flowing.load(Ordering::Relaxed) > 0
    }

    async fn heard(&mut self, leg: Leg, bytes: &[u8], has_ended: bool) {
        if leg == Leg::Server && self.greeting_expected && !bytes.is_empty() {
            self.greeting_expected = false;
            self.shared.sparing.greets(self.server.peer(), bytes);
        }
        if leg == Leg::Server && matches!(bytes.first(), Some(b'1' | b'2')) {
            self.holes.meet().await;
        }
        if !bytes.is_empty() {
            self.input(Input::Bytes(leg, bytes)).await;
        }
        if has_ended {
            self.input(Input::Eof(leg)).await;
        }
    }

    /// Something has come of a pinhole.
    async fn happened(&mut self, event: Event) {
        match event {
            Event::Used(id) => {
                self.holes.used(id);
                self.input(Input::Used(id)).await;
            }
            Event::Scanned(id, found, held) => {
                self.holes.keep(id, held);
                self.input(Input::Scanned(id, found.verdict())).await;
            }
            Event::Delivered(id, result) => self.input(Input::Delivered(id, result)).await,
        }
    }

    /// One input, then its effects; some of them have an answer, which is an input again.
    async fn input(&mut self, input: Input<'_>) {
        self.relay.handle(now(), input);
        self.drain().await;
    }

    async fn drain(&mut self) {
        while let Some(effect) = self.relay.poll() {
            if self.carry_out(effect).await.is_err() {
                // A leg is gone: nothing more can be written there, and the session is over.
                self.has_ended = true;
                return;
            }
        }
    }

    async fn carry_out(&mut self, effect: Effect) -> io::Result<()> {
        match effect {
            Effect::Write(leg, bytes) => {
                // Who reads nothing would stop the session for ever, and its end, too.
                let patience = self.patience();
                self.leg(leg).write_within(&bytes, patience).await?;
            }
            Effect::Prepare(id, hole) => {
                let doors = self.holes.prepare(id, hole);
                self.relay.handle(now(), Input::Prepared(id, doors));
            }
            Effect::Probe(at) => {
                let router = self.shared.router.as_ref();
                let announced = (at, self.server.is_tls());
                let way = self.shared.reach.way(router, announced, self.ends.client_seen);
                let way = Box::pin(way).await;
                self.relay.handle(now(), Input::Probed(at, way));
            }
            Effect::Admit(id, hole) => self.holes.admit(id, hole),
            Effect::Commit(id) => {
                if let Err(error) = self.holes.commit(id) {
                    tracing::warn!(target: "twoport", session = self.who.session, %error, "a pinhole cannot be opened");
                }
            }
            Effect::Dial(id) => self.holes.dial(id),
            Effect::Take(id, subject) => self.holes.take(id, subject),
            Effect::Discard => self.holes.discard(),
            Effect::Close(id, _) => self.holes.close(id),
            Effect::Secure(leg) => {
                let secured = Box::pin(self.secure(leg)).await;
                self.relay.handle(now(), Input::Secured(leg, secured));
            }
            Effect::Protect(private) => *lock(&self.ends.private) = private,
            Effect::Note(note) => {
                self.shared.board.note(&note);
                log::note(&self.who, &note);
            }
            Effect::Shutdown(leg) => self.leg(leg).shutdown().await?,
            Effect::Opaque => self.pass = self.ends.open_all(),
            Effect::End => {
                self.has_ended = true;
                // The other end may be gone.
                let _: io::Result<()> = self.client.shutdown().await;
                let _: io::Result<()> = self.server.shutdown().await;
            }
        }
        Ok(())
    }

    const fn leg(&mut self, leg: Leg) -> &mut ControlStream {
        match leg {
            Leg::Client => &mut self.client,
            Leg::Server => &mut self.server,
        }
    }

    async fn secure(&mut self, leg: Leg) -> Result<(), Reason> {
        let secured = match leg {
            Leg::Client => {
                let tls = self.tls.as_ref().ok_or(Reason::TlsUnavailable)?;
                let config = Arc::clone(&tls.control);
                self.client.secure(|tcp| accept::control(tcp, config, HANDSHAKE)).await
            }
            Leg::Server => {
                let host = self.shared.config.server_name.as_ref().unwrap_or(&self.host);
                let versions = self.shared.sparing.versions(self.server.peer());
                let guard = Guard::new(host, &self.shared.config.trust, None, versions)
                    .map_err(|error| error.reason)?;
                *lock(&self.ends.connect) = Some(guard.clone());
                self.server.secure(|tcp| async move { guard.connect(tcp, HANDSHAKE).await }).await
            }
        };
        if leg == Leg::Server
            && secured.as_ref().is_err_and(|error| error.reason == Reason::TlsVersion)
        {
            self.shared.sparing.forget(self.server.peer());
        }
        secured.map_err(|error| error.reason)
    }

    /// The gateway ends the session: the client hears why.
    async fn close(mut self: Box<Self>, reason: Reason) {
        let words = self.relay.farewell(reason);
        tracing::info!(target: "twoport", session = self.who.session, reason = reason.id(), why = reason.describe(), "close");
        // The client may be gone.
        let _: io::Result<()> = self.client.write(&words).await;
        let _: io::Result<()> = self.client.shutdown().await;
    }
}

fn now() -> Time {
    clock::now()
}
