//! Data set-up and transfers: PASV to EPRT, RETR, STOR, LIST and their kin, ABOR.
//!
//! The order of a transfer's replies is decided here and nowhere else. The bytes are the driver's.

use super::files::{Pending, Request};
use super::{
    Core, DataEvent, Decision, Effect, Form, Job, ListTarget, Note, Outcome, Ticket, Upload,
};
use crate::addr::{self, Family};
use crate::code::Code;
use crate::command::{Command, Epsv, Listing};
use crate::data::{self, Channel};
use crate::path::{FtpPath, PathBytes, VirtualPath};
use crate::reason::Reason;
use crate::reply::{Reply, Text};
use crate::text::Escaped;
use crate::time::Time;
use crate::verb::Permission;
use alloc::boxed::Box;
use alloc::string::String;
use core::net::SocketAddr;
use core::time::Duration;

/// A transfer from its verb to its final reply.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) ticket: Ticket,
    intent: Intent,
    path: PathBytes,
    ascii: bool,
    size: Option<u64>,
    phase: Phase,
    /// Why a connection that came was not taken for the client's.
    unproven: Option<Reason>,
}

/// How long a passive port goes on waiting behind a connection that was not proven to be the
/// client's. Origin: the right one, if it is another, is on its way already.
const GRACE: Duration = Duration::from_secs(3);

/// What a transfer is for. Its name stands in notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intent {
    Append,
    List,
    ListFacts,
    Retrieve,
    Store,
    StoreUnique,
}

/// How far it has come.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// A job opens the file, or sees whether it could be written.
    Opening,
    /// Passive: 150 is sent, the client has yet to connect.
    Expecting { until: Time },
    /// Active: the server connects. 150 is sent once it has: a 150 and then a 425 confuses clients.
    Dialling { until: Time },
    /// The connection is up, and TLS begins on it.
    Securing { until: Time },
    /// Bytes flow.
    Moving,
    /// It was cancelled; the driver has yet to say that it has ended.
    Cancelling { reason: Reason },
}

impl Intent {
    const fn name(self) -> &'static str {
        match self {
            Self::Append => "Append",
            Self::List | Self::ListFacts => "List",
            Self::Retrieve => "Retrieve",
            Self::Store => "Store",
            Self::StoreUnique => "StoreUnique",
        }
    }
}

impl Transfer {
    pub(super) const fn deadline(&self) -> Option<Time> {
        match self.phase {
            Phase::Expecting { until } | Phase::Dialling { until } | Phase::Securing { until } => {
                Some(until)
            }
            Phase::Opening | Phase::Moving | Phase::Cancelling { .. } => None,
        }
    }

    /// Whether it only has to be heard of that it has ended.
    pub(super) const fn is_cancelling(&self) -> bool {
        matches!(self.phase, Phase::Cancelling { .. })
    }

    /// For STAT.
    pub(super) fn describe(&self, bytes: u64) -> String {
        let (name, path) = (self.intent.name(), Escaped(&self.path));
        match (self.phase, self.size) {
            (Phase::Moving, Some(size)) => {
                alloc::format!("{name} {path}: {bytes} of {size} bytes transferred")
            }
            (Phase::Moving, None) => alloc::format!("{name} {path}: {bytes} bytes transferred"),
            _ => alloc::format!("{name} {path}: waiting for the data connection"),
        }
    }
}

impl Core {
    /// Handles the verbs of this file; hands others back.
    pub(super) fn transfer_verb(&mut self, r: &Request<'_>, command: Command) -> Option<Command> {
        if command.moves_data()
            && let Some(reason) = self.data_refusal(r.user)
        {
            self.refuse(r.verb, reason);
            return None;
        }
        match command {
            Command::Pasv => self.pasv(),
            Command::Epsv(argument) => self.epsv(argument),
            Command::Port(target) => self.aim(r.verb, Family::V4, target.into()),
            Command::Eprt(target) => self.aim(r.verb, Family::of(target.ip()), target),
            Command::Lprt | Command::Lpsv => self.refuse(r.verb, Reason::LongAddress),
            Command::Retr(path) => self.retrieve(r, &path),
            Command::Stor(path) => self.store(r, &path),
            Command::Appe(path) => self.append(r, &path),
            Command::Stou(path) => self.store_unique(r, path.as_ref()),
            Command::List(listing) => self.list(r, listing, Form::Unix),
            Command::Nlst(listing) if listing.options.contains(&b'l') => {
                self.list(r, listing, Form::Unix);
            }
            Command::Nlst(listing) => self.list(r, listing, Form::Names),
            Command::Mlsd(path) => {
                let form = Form::Facts(self.settings.facts);
                self.list(r, Listing { path, ..Listing::default() }, form);
            }
            other => return Some(other),
        }
        None
    }

    const fn family(&self) -> Family {
        Family::of(self.local.ip())
    }

    fn pasv(&mut self) {
        if self.settings.epsv_all {
            self.refuse("PASV", Reason::EpsvAll);
        } else if self.family() == Family::V6 {
            self.refuse("PASV", Reason::PassiveNeedsIpv4);
        } else {
            self.listen(Pending::Listen { short: true });
        }
    }

    fn epsv(&mut self, argument: Epsv) {
        match argument {
            Epsv::All => {
                self.settings.epsv_all = true;
                self.line(Code::OK, "Other commands other than EPSV are now disabled.");
            }
            Epsv::Protocol(number) if number != u64::from(self.family().number()) => {
                let known = matches!(number, 1 | 2);
                let unknown = Reason::NetworkProtocolUnknown;
                self.refuse_protocol("EPSV", if known { Reason::NetworkProtocol } else { unknown });
            }
            Epsv::Default | Epsv::Protocol(_) => self.listen(Pending::Listen { short: false }),
        }
    }

    /// 522 names the protocol that can be used, in parentheses (RFC 2428 §2).
    pub(super) fn refuse_protocol(&mut self, verb: &'static str, reason: Reason) {
        self.note(Note::why(Decision::Refuse, verb, reason));
        let (why, family) = (reason.describe(), self.family().number());
        self.line(super::code(reason), format_args!("{why}, use ({family})."));
    }

    fn listen(&mut self, pending: Pending) {
        self.channel = Channel::Idle;
        self.run(Job::Listen(self.family()), pending);
    }

    /// On the control port an offer is not believed in any more when its client turns to something
    /// else: the next connection may be a log-in.
    pub(super) fn doze(&mut self, command: &Command) {
        let waits = self.channel == Channel::Offered { arrived: false } && self.transfer.is_none();
        if waits && !command.goes_before_data() {
            self.effects.push_back(Effect::Doze);
        }
    }

    pub(super) fn listening(&mut self, short: bool, outcome: &Outcome) {
        let address = match outcome {
            Outcome::Listening(address) => *address,
            Outcome::Failed(reason) => {
                return self.refuse(if short { "PASV" } else { "EPSV" }, *reason);
            }
            _ => return self.refuse("PASV", Reason::LocalError),
        };
        self.channel = Channel::Offered { arrived: false };
        match address {
            SocketAddr::V4(v4) if short => self.line(Code::PASSIVE, addr::format_227(v4)),
            address => self.line(Code::EXTENDED_PASSIVE, addr::format_229(address.port())),
        }
    }

    /// PORT and EPRT: the address is kept for the next transfer, nothing is connected.
    fn aim(&mut self, verb: &'static str, family: Family, target: SocketAddr) {
        let (foreign, private) = (self.policy.foreign_data, self.policy.active_private);
        let checked = if !self.policy.active {
            Err(Reason::ActiveOff)
        } else if self.settings.epsv_all {
            Err(Reason::EpsvAll)
        } else if family != self.family() {
            let is_port = verb == "PORT";
            Err(if is_port { Reason::PortNeedsIpv4 } else { Reason::NetworkProtocol })
        } else {
            data::check_target(target, self.peer.ip(), foreign, private)
        };
        match checked {
            Err(Reason::NetworkProtocol) => self.refuse_protocol(verb, Reason::NetworkProtocol),
            Err(reason) => {
                let note = Note::why(Decision::Refuse, verb, reason);
                self.note(note.about(format_args!("{target}")));
                self.reply(Reply::why(super::code(reason), reason));
            }
            Ok(dialled) => {
                self.effects.push_back(Effect::Unlisten);
                self.channel = Channel::Aimed(dialled);
                self.line(Code::OK, format_args!("{verb} command successful."));
            }
        }
    }

    fn retrieve(&mut self, request: &Request<'_>, path: &FtpPath) {
        let (offset, length) = self.take_range();
        let ascii = self.settings.is_ascii();
        if ascii && (offset > 0 || length.is_some()) {
            return self.refuse(request.verb, Reason::RestInAscii);
        }
        if let Some(path) = self.path(request, path) {
            let shown = path.as_bytes().into();
            self.begin(Intent::Retrieve, shown, Job::OpenRead { path, offset, length, ascii });
        }
    }

    fn store(&mut self, request: &Request<'_>, path: &FtpPath) {
        let overwrite = request.user.grant.permissions.has(Permission::Overwrite);
        let how = match self.take_range() {
            (0, _) => Upload::Replace { overwrite },
            // It may go on within a file that is there, and write over its end. APPE does not.
            _ if !overwrite => {
                return self.refuse_path(request.verb, &path.0, Reason::PermissionDenied);
            }
            (offset, _) => Upload::Resume { offset },
        };
        if self.settings.is_ascii() && matches!(how, Upload::Resume { .. }) {
            return self.refuse(request.verb, Reason::RestInAscii);
        }
        if let Some(path) = self.path(request, path) {
            self.upload(Intent::Store, path, how);
        }
    }

    fn append(&mut self, request: &Request<'_>, path: &FtpPath) {
        if self.take_range() != (0, None) {
            return self.refuse(request.verb, Reason::RestBeforeAppend);
        }
        if let Some(path) = self.path(request, path) {
            self.upload(Intent::Append, path, Upload::Append);
        }
    }

    fn store_unique(&mut self, request: &Request<'_>, path: Option<&FtpPath>) {
        if self.take_range() != (0, None) {
            return self.refuse(request.verb, Reason::RestBeforeUnique);
        }
        let default = FtpPath(b"ftp".into());
        if let Some(path) = self.path(request, path.unwrap_or(&default)) {
            self.upload(Intent::StoreUnique, path, Upload::Unique);
        }
    }

    fn upload(&mut self, intent: Intent, path: VirtualPath, how: Upload) {
        let ascii = self.settings.is_ascii();
        let announced = core::mem::take(&mut self.settings.announced);
        let is_new = matches!(how, Upload::Replace { .. } | Upload::Unique);
        // What is counted is on the wire, and as long as the file only if nothing was there before.
        let size = (announced > 0 && is_new && !ascii).then_some(announced);
        let shown = path.as_bytes().into();
        self.begin(intent, shown, Job::OpenWrite { path, how, ascii, size });
    }

    fn list(&mut self, request: &Request<'_>, listing: Listing, form: Form) {
        let has_options = !listing.options.is_empty();
        let literal = listing.literal.filter(|_| has_options);
        let literal = match literal {
            Some(path) => match self.path(request, &path) {
                Some(path) => Some(path),
                None => return,
            },
            None => None,
        };
        let argument = listing.path.unwrap_or_else(|| FtpPath(PathBytes::new()));
        let Some(path) = self.path(request, &argument) else { return };
        let slash = argument.0.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
        let prefix = argument.0.get(..slash).unwrap_or_default().to_vec();
        let files = !matches!(form, Form::Facts(_));
        let shown = path.as_bytes().into();
        let target = ListTarget { literal, path, prefix, form, files };
        let intent = if files { Intent::List } else { Intent::ListFacts };
        self.begin(intent, shown, Job::OpenList(target));
    }

    /// Begins a transfer: the file is looked at first, so that no 150 promises what a 550 takes back.
    fn begin(&mut self, intent: Intent, path: PathBytes, job: Job) {
        // A restart beyond the end is told even so: the client has to choose another offset first.
        let restarts = matches!(job, Job::OpenRead { offset: 1.., .. })
            || matches!(job, Job::OpenWrite { how: Upload::Resume { .. }, .. });
        if self.channel == Channel::Idle && !restarts {
            return self.refuse(intent.name(), Reason::DataSetupMissing);
        }
        let ticket = self.ticket();
        let lists = matches!(intent, Intent::List | Intent::ListFacts);
        let ascii = lists || self.settings.is_ascii();
        self.progress = 0;
        let phase = Phase::Opening;
        // Boxed: an idle session has none.
        let (size, unproven) = (None, None);
        let transfer = Transfer { ticket, intent, path, ascii, size, phase, unproven };
        self.transfer = Some(Box::new(transfer));
        self.effects.push_back(Effect::Run(ticket, job));
    }

    /// An outcome under the transfer's ticket.
    pub(super) fn transfer_done(&mut self, outcome: Outcome) {
        let Some(mut transfer) = self.transfer.take() else { return };
        match (transfer.phase, outcome) {
            (Phase::Opening, Outcome::Opened { size, name }) => {
                transfer.size = size;
                let is_named = name.is_some();
                if let Some(name) = name {
                    transfer.path = name.as_bytes().into();
                }
                self.opened(transfer, is_named);
            }
            // RFC 3659 §7: MLSD of what is no directory is 501, and not 550.
            (Phase::Opening, Outcome::Failed(reason @ Reason::NotADirectory))
                if transfer.intent == Intent::ListFacts =>
            {
                let name = transfer.intent.name();
                self.note(Note::why(Decision::Refuse, name, reason).about(transfer.path.clone()));
                self.reply(Reply::about(Code::BAD_ARGUMENT, &transfer.path, reason));
            }
            (Phase::Opening, Outcome::Failed(reason)) => {
                self.refuse_path(transfer.intent.name(), &transfer.path, reason);
            }
            (Phase::Cancelling { reason: Reason::Aborted }, Outcome::Moved { bytes, .. }) => {
                self.complete(&transfer, bytes, None);
                self.line(Code::TRANSFER_COMPLETE, "ABOR command successful.");
            }
            (Phase::Cancelling { reason }, outcome) => {
                let bytes = match outcome {
                    Outcome::Broken { bytes, .. } => bytes,
                    _ => 0,
                };
                self.broken(&transfer, reason, bytes);
                if reason == Reason::Aborted {
                    self.line(Code::TRANSFER_COMPLETE, "ABOR command successful.");
                }
            }
            (_, Outcome::Moved { bytes, cut }) => self.complete(&transfer, bytes, cut),
            (_, Outcome::Broken { reason, bytes }) => self.broken(&transfer, reason, bytes),
            (_, Outcome::Failed(reason)) => self.broken(&transfer, reason, 0),
            (_, _) => self.broken(&transfer, Reason::LocalError, 0),
        }
    }

    /// The file is open: now the data connection.
    fn opened(&mut self, mut transfer: Box<Transfer>, is_named: bool) {
        let until = self.now.after(self.policy.data_timeout);
        let phase = match self.channel {
            Channel::Offered { arrived } => {
                self.announce(&transfer, is_named);
                if arrived {
                    self.connected(transfer.ticket, until)
                } else {
                    Phase::Expecting { until }
                }
            }
            Channel::Aimed(target) => {
                self.effects.push_back(Effect::Dial(target));
                Phase::Dialling { until }
            }
            Channel::Idle => {
                let reason = transfer.unproven.unwrap_or(Reason::DataSetupMissing);
                return self.no_data(&transfer, reason);
            }
        };
        transfer.phase = phase;
        self.transfer = Some(transfer);
    }

    /// The 150. Clients read the size of a download from it: `(7 bytes)`.
    fn announce(&mut self, transfer: &Transfer, is_named: bool) {
        let kind = if transfer.ascii { "ASCII" } else { "BINARY" };
        let path = Escaped(&transfer.path);
        let text: Text = match (transfer.intent, transfer.size) {
            // RFC 1123 §4.1.2.9 fixes this text.
            (Intent::StoreUnique, _) if is_named => format_args!("FILE: {path}").into(),
            (Intent::List | Intent::ListFacts, _) => {
                "File status okay. About to open data connection.".into()
            }
            (Intent::Retrieve, Some(size)) if !transfer.ascii => {
                format_args!("Opening BINARY mode data connection for {path} ({size} bytes).")
                    .into()
            }
            _ => format_args!("Opening {kind} mode data connection for {path}.").into(),
        };
        self.line(Code::OPENING_DATA, text);
    }

    /// Something happened to the data connection.
    pub(super) fn handle_data(&mut self, event: DataEvent) {
        match event {
            DataEvent::Stranger(address, reason) => {
                let note = Note::why(Decision::Ignore, "data", reason);
                return self.note(note.about(format_args!("{address}")));
            }
            DataEvent::Arrived => {
                if let Channel::Offered { arrived } = &mut self.channel {
                    *arrived = true;
                }
            }
            DataEvent::SecureFailed(reason) => {
                self.note(Note::why(Decision::Ignore, "data", reason));
                if let Channel::Offered { arrived } = &mut self.channel {
                    *arrived = false;
                }
            }
            DataEvent::Lost(reason) => {
                self.channel = Channel::Idle;
                if self.transfer.is_none() {
                    return self.note(Note::why(Decision::Ignore, "data", reason));
                }
            }
            DataEvent::Dialled | DataEvent::DialFailed(_) | DataEvent::Secured => {}
        }
        let Some(mut transfer) = self.transfer.take() else { return };
        match (transfer.phase, event) {
            (Phase::Dialling { .. }, DataEvent::DialFailed(reason))
            | (Phase::Expecting { .. }, DataEvent::Lost(reason)) => {
                return self.no_data(&transfer, reason);
            }
            (Phase::Dialling { until }, DataEvent::Dialled) => {
                let is_named = transfer.intent == Intent::StoreUnique;
                self.announce(&transfer, is_named);
                transfer.phase = self.connected(transfer.ticket, until);
            }
            (Phase::Expecting { until }, DataEvent::Arrived) => {
                transfer.phase = self.connected(transfer.ticket, until);
            }
            // Told once the file is open, or is not.
            (Phase::Opening, DataEvent::Lost(reason)) => transfer.unproven = Some(reason),
            (Phase::Securing { .. }, DataEvent::Secured) => {
                self.effects.push_back(Effect::Transfer(transfer.ticket));
                transfer.phase = Phase::Moving;
            }
            (Phase::Securing { until }, DataEvent::SecureFailed(reason)) => {
                if !matches!(self.channel, Channel::Offered { .. }) {
                    return self.no_data(&transfer, reason);
                }
                transfer.unproven = Some(reason);
                transfer.phase = Phase::Expecting { until: until.min(self.now.after(GRACE)) };
            }
            _ => {}
        }
        self.transfer = Some(transfer);
    }

    /// The data connection is up: TLS begins on it now, behind the 150, or else the bytes flow.
    fn connected(&mut self, ticket: Ticket, until: Time) -> Phase {
        if self.is_private() {
            self.effects.push_back(Effect::Secure);
            Phase::Securing { until }
        } else {
            self.effects.push_back(Effect::Transfer(ticket));
            Phase::Moving
        }
    }

    pub(super) fn transfer_timer(&mut self) {
        let now = self.now;
        let due =
            |transfer: &mut Box<Transfer>| transfer.deadline().is_some_and(|until| until <= now);
        let Some(transfer) = self.transfer.take_if(due) else { return };
        let reason = match transfer.phase {
            Phase::Dialling { .. } => Reason::DataDialTimeout,
            Phase::Securing { .. } => Reason::TlsSilent,
            _ => transfer.unproven.unwrap_or(Reason::DataNotConnected),
        };
        self.no_data(&transfer, reason);
    }

    /// There is no data connection, so there is no transfer.
    fn no_data(&mut self, transfer: &Transfer, reason: Reason) {
        self.channel = Channel::Idle;
        self.effects.push_back(Effect::Cancel(transfer.ticket));
        self.refuse_path(transfer.intent.name(), &transfer.path, reason);
    }

    fn complete(&mut self, transfer: &Transfer, bytes: u64, cut: Option<Reason>) {
        self.channel = Channel::Idle;
        let mut note = Note::good(Decision::Complete, transfer.intent.name());
        note.reason = cut;
        self.note(note.about(transfer.path.clone()).bytes(bytes));
        match cut {
            Some(reason) => {
                let why = reason.describe();
                self.line(Code::TRANSFER_COMPLETE, format_args!("Transfer complete: {why}."));
            }
            None => self.line(Code::TRANSFER_COMPLETE, "Transfer complete."),
        }
    }

    fn broken(&mut self, transfer: &Transfer, reason: Reason, bytes: u64) {
        self.channel = Channel::Idle;
        let note = Note::why(Decision::Break, transfer.intent.name(), reason);
        self.note(note.about(transfer.path.clone()).bytes(bytes));
        self.reply(Reply::about(super::code(reason), &transfer.path, reason));
    }

    /// ABOR: 426 and 226 if something was under way, else 225 (RFC 959 §4.1.3). It closes the data
    /// connection in any case.
    pub(super) fn abort(&mut self) {
        if self.transfer.is_some() {
            return self.break_transfer(Reason::Aborted);
        }
        let had_channel = self.channel != Channel::Idle;
        self.channel = Channel::Idle;
        self.effects.push_back(Effect::Unlisten);
        if had_channel {
            self.line(Code::NO_TRANSFER, "ABOR command successful; data channel closed.");
        } else {
            self.refuse("ABOR", Reason::NoTransfer);
        }
    }

    /// Ends the transfer in progress; its replies follow when the driver has stopped it.
    pub(super) fn break_transfer(&mut self, reason: Reason) {
        let Some(mut transfer) = self.transfer.take() else { return };
        match transfer.phase {
            Phase::Cancelling { .. } => self.transfer = Some(transfer),
            Phase::Moving => {
                self.effects.push_back(Effect::Cancel(transfer.ticket));
                transfer.phase = Phase::Cancelling { reason };
                self.transfer = Some(transfer);
            }
            // Nothing moves yet: the driver only drops what it opened.
            Phase::Opening
            | Phase::Expecting { .. }
            | Phase::Dialling { .. }
            | Phase::Securing { .. } => {
                self.effects.push_back(Effect::Cancel(transfer.ticket));
                self.broken(&transfer, reason, 0);
                if reason == Reason::Aborted {
                    self.line(Code::TRANSFER_COMPLETE, "ABOR command successful.");
                }
            }
        }
    }

    /// The session ends: the transfer is stopped without a reply of its own.
    pub(super) fn drop_transfer(&mut self, reason: Reason) {
        if let Some(transfer) = self.transfer.take() {
            self.effects.push_back(Effect::Cancel(transfer.ticket));
            let note = Note::why(Decision::Break, transfer.intent.name(), reason);
            self.note(note.about(transfer.path));
        }
    }
}
