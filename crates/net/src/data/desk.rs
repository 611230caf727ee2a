//! A port that sessions share: what comes in is handed to the session that it is for.
//!
//! Whose a connection is, is decided by the machine in `twoport_proto::data::door`; this holds the
//! sockets meanwhile, reads what they say first, and carries out the verdicts.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::sleep_until;

use twoport_proto::data::door::{Conflict, Direction, Door, Guard, Kind, Offer, Said, Verdict};
use twoport_proto::hello::First;
use twoport_proto::proxy::Ends;
use twoport_proto::reason::Reason;
use twoport_proto::time::Time;

use super::ports::Lease;
use crate::clock;
use crate::proxy;
use crate::tls::hello;
use crate::tls::tickets::{Binder, Identity};

/// What happens to a connection that is no data connection.
type Greet = Box<dyn Fn(&Arc<Desk>, Arrived) + Send + Sync>;

/// Lets all arrive that the kernel has accepted already.
type CatchUp = Box<dyn Fn(&Arc<Desk>) + Send + Sync>;

/// Whether an address is of a load balancer that says whose connection it makes.
pub type Trusted = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// A shared port.
pub struct Desk {
    state: Mutex<State>,
    /// The passive port it stands at; the control port is accepted from elsewhere.
    passive: Option<(Lease, Trusted)>,
    greet: Option<Greet>,
    catch_up: Option<CatchUp>,
    /// Told whenever a claim goes.
    freed: Arc<Notify>,
    /// Told whenever what is held may be due at another time.
    turned: Notify,
}

struct State {
    door: Door<Identity>,
    next: u64,
    binder: Option<Arc<Binder>>,
    owners: HashMap<u64, mpsc::UnboundedSender<Came>>,
    held: HashMap<u64, oneshot::Sender<Sentence>>,
}

/// A verdict on one connection, and whom it is handed to.
type Sentence = (Verdict, Option<mpsc::UnboundedSender<Came>>);

/// A connection that has come.
#[derive(Debug)]
pub struct Arrived {
    /// The connection.
    pub stream: TcpStream,
    /// Where it comes from.
    pub from: SocketAddr,
    /// What a load balancer said of it.
    pub ends: Option<Ends>,
}

/// A connection with the verdict on its way.
struct Arrival {
    number: u64,
    arrived: Arrived,
    sentence: oneshot::Receiver<Sentence>,
}

/// What comes to a claim.
#[derive(Debug)]
pub enum Came {
    /// The data connection.
    Data(TcpStream),
    /// Nothing any more: the claim is gone.
    Refused(Reason),
}

/// A session's claim to the next connection of its client. It ends when it is dropped.
pub struct Claim {
    desk: Arc<Desk>,
    offer: Offer<Identity>,
    came: mpsc::UnboundedReceiver<Came>,
    verb: Option<(Guard<Identity>, Direction)>,
}

impl Desk {
    /// A desk at a passive port.
    #[must_use]
    pub fn passive(lease: Lease, trusted: Trusted, freed: Arc<Notify>) -> Arc<Self> {
        Self::new(Kind::Passive, Some((lease, trusted)), None, None, freed)
    }

    /// A desk at a control port; who is to be greeted goes to `greet`. `catch_up` lets all arrive
    /// that the kernel has accepted: whether a connection came before its verb makes a difference.
    #[must_use]
    pub fn control(
        implicit: bool,
        greet: impl Fn(&Arc<Self>, Arrived) + Send + Sync + 'static,
        catch_up: impl Fn(&Arc<Self>) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let kind = if implicit { Kind::Implicit } else { Kind::Explicit };
        let catch_up: CatchUp = Box::new(catch_up);
        Self::new(kind, None, Some(Box::new(greet)), Some(catch_up), Arc::default())
    }

    fn new(
        kind: Kind,
        passive: Option<(Lease, Trusted)>,
        greet: Option<Greet>,
        catch_up: Option<CatchUp>,
        freed: Arc<Notify>,
    ) -> Arc<Self> {
        let (owners, held) = (HashMap::new(), HashMap::new());
        let state = State { door: Door::new(kind), next: 1, binder: None, owners, held };
        let turned = Notify::new();
        Arc::new(Self { state: Mutex::new(state), passive, greet, catch_up, freed, turned })
    }

    /// The passive port it stands at.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.passive.as_ref().map(|(lease, _)| lease.port())
    }

    /// A desk at the same port of another address.
    pub(super) fn beside(&self, address: IpAddr) -> Option<Arc<Self>> {
        let (lease, trusted) = self.passive.as_ref()?;
        let lease = lease.beside(address).ok()?;
        Some(Self::passive(lease, Arc::clone(trusted), Arc::clone(&self.freed)))
    }

    /// Whether nobody waits for anything here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state().door.is_empty()
    }

    /// Claims the next connection. `binder` knows the sessions by the tickets of their clients.
    /// What came before is judged without the claim.
    ///
    /// # Errors
    /// It could not be told from another session's.
    pub fn try_claim(
        self: &Arc<Self>,
        offer: Offer<Identity>,
        binder: Option<&Arc<Binder>>,
    ) -> Result<Claim, Conflict> {
        self.catch_up();
        let mut early = Vec::new();
        let mut state = self.state();
        while let Some((stream, from)) =
            self.passive.as_ref().and_then(|(lease, _)| lease.accept_now())
        {
            early.extend(self.accepted(&mut state, stream, from));
        }
        if let Some(binder) = binder {
            state.binder = Some(Arc::clone(binder));
        }
        let claimed = state.door.claim(clock::now(), offer);
        let (sender, came) = mpsc::unbounded_channel();
        if claimed.is_ok() {
            state.owners.insert(offer.owner, sender);
        }
        self.hand_out(&mut state);
        drop(state);
        early.into_iter().for_each(|arrival| self.see_to(arrival));
        claimed.map(|()| Claim { desk: Arc::clone(self), offer, came, verb: None })
    }

    /// The same, waiting its turn until then.
    ///
    /// # Errors
    /// [`Reason::PassiveRangeFull`]: others wait for as long.
    pub async fn claim(
        self: &Arc<Self>,
        offer: Offer<Identity>,
        binder: Option<&Arc<Binder>>,
        until: Time,
    ) -> Result<Claim, Reason> {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            match self.try_claim(offer, binder) {
                Ok(claim) => return Ok(claim),
                Err(conflict) => wait(freed, conflict, until).await?,
            }
        }
    }

    /// A connection has come, of which is known where it comes from.
    pub fn arrive(self: &Arc<Self>, stream: TcpStream, from: SocketAddr, ends: Option<Ends>) {
        let arrival = self.arrived(&mut self.state(), Arrived { stream, from, ends });
        self.see_to(arrival);
    }

    /// Accepts the next connection to the passive port and sees to it. Between the two there is no
    /// moment in which a claim can be made: what came before an offer is no answer to it.
    ///
    /// # Errors
    /// What the system says; try again in a while.
    pub(super) async fn accept(self: &Arc<Self>) -> io::Result<()> {
        let Some((lease, _)) = &self.passive else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let accepted = poll_fn(|cx| {
            let mut state = self.state();
            match lease.poll_accept(cx) {
                Poll::Ready(Ok((stream, from))) => Poll::Ready(
                    TcpStream::from_std(stream)
                        .map(|stream| self.accepted(&mut state, stream, from)),
                ),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            }
        });
        if let Some(arrival) = accepted.await? {
            self.see_to(arrival);
        }
        Ok(())
    }

    /// A connection to the passive port; one of a load balancer must say first whose it is.
    fn accepted(
        self: &Arc<Self>,
        state: &mut State,
        stream: TcpStream,
        from: SocketAddr,
    ) -> Option<Arrival> {
        let (_, trusted) = self.passive.as_ref()?;
        if !trusted(from.ip()) {
            return Some(self.arrived(state, Arrived { stream, from, ends: None }));
        }
        let desk = Arc::clone(self);
        tokio::spawn(async move {
            match proxy::read_header(&stream, proxy::PATIENCE).await {
                Ok(ends) => desk.arrive(stream, proxy::source(ends, from), ends),
                Err(reason) => tell(from, reason),
            }
        });
        None
    }

    fn arrived(&self, state: &mut State, arrived: Arrived) -> Arrival {
        let number = state.next;
        state.next = number.wrapping_add(1);
        let (sender, sentence) = oneshot::channel();
        state.held.insert(number, sender);
        state.door.arrive(clock::now(), number, arrived.from.ip());
        self.hand_out(state);
        Arrival { number, arrived, sentence }
    }

    /// Tells everybody what the machine has decided.
    fn hand_out(&self, state: &mut State) {
        let mut is_freed = false;
        while let Some(verdict) = state.door.poll() {
            is_freed |= matches!(verdict, Verdict::Data { .. } | Verdict::Refuse { .. });
            match verdict {
                Verdict::Data { connection, owner } => {
                    let owner = state.owners.get(&owner).cloned();
                    if let Some(held) = state.held.remove(&connection) {
                        // Who does not listen any more is gone, and so is its connection.
                        let _: Result<_, _> = held.send((verdict, owner));
                    }
                }
                Verdict::Control { connection } | Verdict::Close { connection, .. } => {
                    if let Some(held) = state.held.remove(&connection) {
                        let _: Result<_, _> = held.send((verdict, None));
                    }
                }
                Verdict::Refuse { owner, reason } => {
                    if let Some(owner) = state.owners.get(&owner) {
                        let _: Result<_, _> = owner.send(Came::Refused(reason));
                    }
                }
            }
        }
        // A failed attempt must not wake those who wait: they would wake each other for ever.
        if is_freed {
            self.freed.notify_waiters();
        }
    }

    fn see_to(self: &Arc<Self>, mut arrival: Arrival) {
        match arrival.sentence.try_recv() {
            Ok(sentence) => self.carry_out(arrival.arrived, sentence),
            Err(_) => {
                tokio::spawn(Arc::clone(self).hold(arrival));
            }
        }
    }

    /// Keeps a connection until the machine knows whose it is.
    async fn hold(self: Arc<Self>, arrival: Arrival) {
        let Arrival { number, arrived, mut sentence } = arrival;
        let mut has_spoken = false;
        let sentence = loop {
            let turned = self.turned.notified();
            tokio::pin!(turned);
            turned.as_mut().enable();
            let deadline = self.state().door.deadline();
            tokio::select! {
                biased;
                sentence = &mut sentence => break sentence,
                () = turned => {}
                first = hello::first(&arrived.stream), if !has_spoken => {
                    has_spoken = true;
                    self.said(number, &first);
                }
                () = reached(deadline) => {
                    let mut state = self.state();
                    state.door.handle_timer(clock::now());
                    self.hand_out(&mut state);
                }
            }
        };
        if let Ok(sentence) = sentence {
            self.carry_out(arrived, sentence);
        }
    }

    fn catch_up(self: &Arc<Self>) {
        if let Some(catch_up) = &self.catch_up {
            catch_up(self);
        }
    }

    fn said(&self, number: u64, first: &io::Result<First>) {
        let mut state = self.state();
        let said = match first {
            Ok(First::Hello(hello)) => {
                Said::Hello(state.binder.as_ref().and_then(|binder| binder.name(hello)))
            }
            Ok(First::Partial | First::Other) => Said::Other,
            Err(_) => Said::End,
        };
        state.door.say(clock::now(), number, said);
        self.hand_out(&mut state);
    }

    fn carry_out(self: &Arc<Self>, arrived: Arrived, (verdict, owner): Sentence) {
        match verdict {
            Verdict::Data { .. } => {
                if let Some(owner) = owner {
                    let _: Result<_, _> = owner.send(Came::Data(arrived.stream));
                }
            }
            Verdict::Control { .. } => {
                if let Some(greet) = &self.greet {
                    greet(self, arrived);
                }
            }
            Verdict::Close { reason, .. } => tell(arrived.from, reason),
            Verdict::Refuse { .. } => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// The passive port, if it is not the control port.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.desk.port()
    }

    /// What comes. Nothing is lost if the future is dropped.
    pub async fn came(&mut self) -> Came {
        poll_fn(|cx| self.poll_came(cx)).await
    }

    /// The same, for who waits for more than one thing.
    pub fn poll_came(&mut self, cx: &mut Context<'_>) -> Poll<Came> {
        match self.came.poll_recv(cx) {
            Poll::Ready(Some(came)) => Poll::Ready(came),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// The transfer verb has come.
    pub fn verb(&mut self, guard: Guard<Identity>, direction: Direction) {
        self.verb = Some((guard, direction));
        self.desk.catch_up();
        self.with_door(|door, owner, now| door.verb(now, owner, guard, direction));
    }

    /// The transfer came to nothing before its connection did; the offer stands.
    pub fn verb_over(&mut self) {
        self.verb = None;
        self.with_door(|door, owner, now| door.verb_over(now, owner));
    }

    /// Another command came: the offer is not believed in any more until its verb comes.
    pub fn sleep(&self) {
        self.with_door(|door, owner, now| door.sleep(now, owner));
        self.desk.freed.notify_waiters();
    }

    /// Waits on: the connection that came was not proven to be the client's.
    #[must_use]
    pub fn again(self) -> Option<Self> {
        let verb = self.verb;
        let (desk, offer) = (Arc::clone(&self.desk), self.offer);
        drop(self);
        let mut again = desk.try_claim(offer, None).ok()?;
        if let Some((guard, direction)) = verb {
            again.verb(guard, direction);
        }
        Some(again)
    }

    fn with_door(&self, work: impl FnOnce(&mut Door<Identity>, u64, Time)) {
        let mut state = self.desk.state();
        work(&mut state.door, self.offer.owner, clock::now());
        self.desk.hand_out(&mut state);
        self.desk.turned.notify_waiters();
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let owner = self.offer.owner;
        let mut state = self.desk.state();
        state.owners.remove(&owner);
        state.door.withdraw(clock::now(), owner);
        self.desk.hand_out(&mut state);
        self.desk.freed.notify_waiters();
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("port", &self.port()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim").field("desk", &self.desk).finish_non_exhaustive()
    }
}

/// A connection was closed, and why.
fn tell(from: SocketAddr, reason: Reason) {
    let why = reason.describe();
    tracing::warn!(target: "twoport", %from, subject = "data", %reason, why, "ignore");
}

/// Waits until a claim may succeed.
pub(super) async fn wait(
    freed: impl Future<Output = ()>,
    conflict: Conflict,
    until: Time,
) -> Result<(), Reason> {
    if clock::now() >= until {
        return Err(Reason::PassiveRangeFull);
    }
    let next = conflict.until.map_or(until, |ghost| ghost.min(until));
    tokio::select! {
        () = freed => {}
        () = sleep_until(clock::instant(next)) => {}
    }
    Ok(())
}

async fn reached(deadline: Option<Time>) {
    match deadline {
        Some(deadline) => sleep_until(clock::instant(deadline)).await,
        None => std::future::pending().await,
    }
}
