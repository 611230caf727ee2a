//! Verbs on files and directories that move no data: CWD to COMB, and their replies.
//!
//! Each asks the driver for one job and answers with its outcome.

use super::login::LoggedIn;
use super::{Core, Decision, Job, Note, Outcome, State};
use crate::code::Code;
use crate::command::{Command, HashAlgorithm, Site, permission_bits};
use crate::glob;
use crate::path::{FtpPath, PathError, VirtualPath};
use crate::reason::Reason;
use crate::reply::{Reply, Text};
use crate::time::Timestamp;
use crate::verb::{Permission, Row};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// What the outcome of a job will be the answer to.
#[derive(Debug)]
pub(super) enum Pending {
    Identify,
    LogIn,
    /// PASV (true) or EPSV (false).
    Listen {
        short: bool,
    },
    ChangeDirectory(VirtualPath),
    /// Done is this reply; a refusal names the path.
    Simple {
        verb: &'static str,
        path: VirtualPath,
        code: Code,
        done: &'static str,
    },
    MakeDirectory(VirtualPath),
    RenameFrom(VirtualPath),
    /// A number or a date of a file.
    Value {
        verb: &'static str,
        path: VirtualPath,
    },
    Facts(VirtualPath),
    Status {
        path: VirtualPath,
        pattern: bool,
    },
    SetModified {
        verb: &'static str,
        path: VirtualPath,
        date: Timestamp,
    },
    /// The facts of MFF that are still to be set, in reverse.
    SetFacts(Box<SetFacts>),
    Hash {
        verb: &'static str,
        path: VirtualPath,
        algorithm: HashAlgorithm,
    },
}

/// What MFF has still to do.
#[derive(Debug)]
pub(super) struct SetFacts {
    path: VirtualPath,
    rest: Vec<FactChange>,
    text: Vec<u8>,
}

/// One fact that MFF sets.
#[derive(Clone, Copy, Debug)]
pub(super) enum FactChange {
    Modify(Timestamp),
    Mode(u32),
}

/// A logged-in user's command in the making: what is needed to read its paths and refuse it.
pub(super) struct Request<'a> {
    pub(super) verb: &'static str,
    pub(super) user: &'a LoggedIn,
}

impl Core {
    /// Handles any command of a logged-in user.
    pub(super) fn logged_in(
        &mut self,
        row: &'static Row,
        command: Command,
        user: LoggedIn,
        rename_from: Option<VirtualPath>,
    ) -> State {
        let request = Request { verb: row.name, user: &user };
        match command {
            Command::Rnto(path) => self.rename_to(&request, rename_from, &path),
            Command::Pwd => {
                let mut text = Text::new();
                user.directory.quote(&mut text);
                text.extend_from_slice(b" is the current directory.");
                self.line(Code::PATH, text);
            }
            Command::Cwd(_) | Command::Cdup => self.change_directory(&request, command),
            command => {
                let command = self.transfer_verb(&request, command);
                let command = command.and_then(|command| self.file_verb(&request, command));
                if let Some(command) = command {
                    self.inform(command, Some(&user));
                }
            }
        }
        State::Ready(user)
    }

    /// Reads a path, or refuses the command.
    pub(super) fn path(&mut self, request: &Request<'_>, path: &FtpPath) -> Option<VirtualPath> {
        match request.user.directory.join(&path.0) {
            Ok(path) => Some(path),
            Err(error) => {
                let reason = match error {
                    PathError::ControlByte => Reason::BadName,
                    PathError::TooLong => Reason::NameTooLong,
                };
                self.refuse(request.verb, reason);
                None
            }
        }
    }

    fn optional_path(&mut self, r: &Request<'_>, path: Option<&FtpPath>) -> Option<VirtualPath> {
        path.map_or_else(|| Some(r.user.directory.clone()), |path| self.path(r, path))
    }

    fn change_directory(&mut self, request: &Request<'_>, command: Command) {
        let path = match command {
            Command::Cwd(Some(path)) => self.path(request, &path),
            // Without an argument it means home, which is the root.
            Command::Cwd(None) => Some(VirtualPath::root()),
            _ => Some(request.user.directory.parent()),
        };
        if let Some(path) = path {
            self.run(Job::ChangeDirectory(path.clone()), Pending::ChangeDirectory(path));
        }
    }

    fn file_verb(&mut self, r: &Request<'_>, command: Command) -> Option<Command> {
        match command {
            Command::Dele(path) => {
                self.simple(r, &path, Code::FILE_OK, "File removed.", Job::Delete)
            }
            Command::Rmd(path) => {
                self.simple(r, &path, Code::FILE_OK, "Directory removed.", Job::RemoveDirectory);
            }
            Command::Mkd(path) => {
                if let Some(path) = self.path(r, &path) {
                    self.run(Job::MakeDirectory(path.clone()), Pending::MakeDirectory(path));
                }
            }
            Command::Rnfr(path) => {
                if let Some(path) = self.path(r, &path) {
                    self.run(Job::CheckRename(path.clone()), Pending::RenameFrom(path));
                }
            }
            Command::Size(path) => {
                let ascii = self.settings.is_ascii();
                self.value(r, Some(&path), |path| Job::Size { path, ascii });
            }
            Command::Mdtm { set: None, path } => self.value(r, Some(&path), Job::Modified),
            Command::Avbl(path) => self.value(r, path.as_ref(), Job::SpaceLeft),
            Command::Mdtm { set: Some(date), path } | Command::Mfmt { date, path } => {
                self.set_modified(r, &path, date);
            }
            Command::Site(Site::Utime(date, path)) => self.set_modified(r, &path, date),
            Command::Site(Site::Chmod(mode, path)) if self.may(r, Permission::Attributes) => {
                let done = "SITE CHMOD successful.";
                self.simple(r, &path, Code::OK, done, |path| Job::SetMode(path, mode));
            }
            Command::Site(Site::Chmod(..)) => {}
            Command::Mfct { path, .. } => {
                self.refuse_path(r.verb, &path.0, Reason::NotSupported);
            }
            Command::Mff { facts, path } => self.set_facts(r, &facts, &path),
            Command::Mlst(path) => {
                let facts = self.settings.facts;
                if let Some(path) = self.optional_path(r, path.as_ref()) {
                    self.run(Job::Facts(path.clone(), facts), Pending::Facts(path));
                }
            }
            Command::Stat(Some(path)) if self.may(r, Permission::List) => {
                let pattern = glob::is_pattern(&path.0);
                if let Some(path) = self.path(r, &path) {
                    self.run(Job::Status(path.clone()), Pending::Status { path, pattern });
                }
            }
            Command::Stat(Some(_)) => {}
            Command::Hash { path, algorithm, range } => self.hash(r, &path, algorithm, range),
            Command::Comb { target, parts } => self.combine(r, &target, &parts),
            other => return Some(other),
        }
        None
    }

    /// A permission that the verb's row cannot name, since it depends on the argument.
    fn may(&mut self, request: &Request<'_>, permission: Permission) -> bool {
        let may = request.user.grant.permissions.has(permission);
        if !may {
            self.refuse(request.verb, Reason::PermissionDenied);
        }
        may
    }

    fn simple(
        &mut self,
        request: &Request<'_>,
        path: &FtpPath,
        code: Code,
        done: &'static str,
        job: impl FnOnce(VirtualPath) -> Job,
    ) {
        if let Some(path) = self.path(request, path) {
            let verb = request.verb;
            self.run(job(path.clone()), Pending::Simple { verb, path, code, done });
        }
    }

    fn value(
        &mut self,
        request: &Request<'_>,
        path: Option<&FtpPath>,
        job: impl FnOnce(VirtualPath) -> Job,
    ) {
        if let Some(path) = self.optional_path(request, path) {
            self.run(job(path.clone()), Pending::Value { verb: request.verb, path });
        }
    }

    fn set_modified(&mut self, request: &Request<'_>, path: &FtpPath, date: Timestamp) {
        if self.may(request, Permission::Attributes)
            && let Some(path) = self.path(request, path)
        {
            let pending = Pending::SetModified { verb: request.verb, path: path.clone(), date };
            self.run(Job::SetModified(path, date), pending);
        }
    }

    /// MFF: all facts are understood before the first is set.
    fn set_facts(&mut self, r: &Request<'_>, facts: &[(Vec<u8>, Vec<u8>)], path: &FtpPath) {
        let mut changes = Vec::new();
        let mut text = Vec::new();
        for (name, value) in facts {
            let change = match name.as_slice() {
                b"modify" => Timestamp::parse(value).map(FactChange::Modify),
                b"unix.mode" => permission_bits(value).map(FactChange::Mode),
                _ => return self.refuse(r.verb, Reason::FactsInvalid),
            };
            let Some(change) = change else { return self.refuse(r.verb, Reason::BadArgument) };
            changes.push(change);
            text.extend_from_slice(&[&name[..], b"=", value, b";"].concat());
        }
        changes.reverse();
        if let Some(path) = self.path(r, path) {
            text.extend_from_slice(b" ");
            text.extend_from_slice(path.as_bytes());
            self.next_fact(path, changes, text);
        }
    }

    fn next_fact(&mut self, path: VirtualPath, mut rest: Vec<FactChange>, text: Vec<u8>) {
        let job = match rest.pop() {
            Some(FactChange::Modify(date)) => Job::SetModified(path.clone(), date),
            Some(FactChange::Mode(mode)) => Job::SetMode(path.clone(), mode),
            None => {
                self.note(Note::good(Decision::Change, "MFF").about(path.as_bytes()));
                return self.line(Code::FILE_STATUS, text);
            }
        };
        self.run(job, Pending::SetFacts(Box::new(SetFacts { path, rest, text })));
    }

    fn hash(
        &mut self,
        request: &Request<'_>,
        path: &FtpPath,
        algorithm: Option<HashAlgorithm>,
        range: Option<(u64, u64)>,
    ) {
        let Some(path) = self.path(request, path) else { return };
        // RANG counts to the last byte, the X verbs to the one behind it.
        let range = match algorithm {
            Some(_) => range,
            None => self.settings.range.take().map(|(first, last)| (first, last.saturating_add(1))),
        };
        let algorithm = algorithm.unwrap_or(self.settings.hash);
        let pending = Pending::Hash { verb: request.verb, path: path.clone(), algorithm };
        self.run(Job::Hash { path, algorithm, range }, pending);
    }

    fn combine(&mut self, request: &Request<'_>, target: &FtpPath, parts: &[FtpPath]) {
        if !self.may(request, Permission::Delete) || !self.may(request, Permission::Overwrite) {
            return;
        }
        let Some(target) = self.path(request, target) else { return };
        let mut paths = Vec::new();
        for part in parts {
            let Some(part) = self.path(request, part) else { return };
            paths.push(part);
        }
        let (code, done) = (Code::FILE_OK, "Files combined.");
        let pending = Pending::Simple { verb: request.verb, path: target.clone(), code, done };
        self.run(Job::Combine { target, parts: paths }, pending);
    }

    fn rename_to(&mut self, r: &Request<'_>, from: Option<VirtualPath>, to: &FtpPath) {
        let Some(from) = from else { return self.refuse(r.verb, Reason::RenameFirst) };
        let Some(to) = self.path(r, to) else { return };
        let overwrite = r.user.grant.permissions.has(Permission::Overwrite);
        let (code, done) = (Code::FILE_OK, "Renaming ok.");
        let pending = Pending::Simple { verb: r.verb, path: to.clone(), code, done };
        self.run(Job::Rename { from, to, overwrite }, pending);
    }

    /// The outcome of a job becomes a reply.
    pub(super) fn job_done(
        &mut self,
        mut user: LoggedIn,
        pending: Pending,
        outcome: Outcome,
    ) -> State {
        match (pending, outcome) {
            (Pending::Listen { short }, outcome) => self.listening(short, &outcome),
            (Pending::ChangeDirectory(path), Outcome::Done) => {
                let mut text = Text::new();
                path.quote(&mut text);
                text.extend_from_slice(b" is the current directory.");
                self.line(Code::FILE_OK, text);
                user.directory = path;
            }
            (Pending::RenameFrom(path), Outcome::Done) => {
                self.line(Code::PENDING, "Ready for destination name.");
                return State::ExpectRnto(user, Box::new(path));
            }
            (Pending::SetFacts(facts), Outcome::Done) => {
                let SetFacts { path, rest, text } = *facts;
                self.next_fact(path, rest, text);
            }
            (Pending::Status { path, pattern: true }, Outcome::Failed(Reason::NotFound)) => {
                self.note(
                    Note::why(Decision::Refuse, "STAT", Reason::GlobNotSupported)
                        .about(path.as_bytes()),
                );
                self.reply(Reply::why(Code::UNAVAILABLE, Reason::GlobNotSupported));
            }
            (pending, Outcome::Failed(reason)) => self.job_failed(&pending, reason),
            (pending, outcome) => self.job_answered(pending, outcome),
        }
        State::Ready(user)
    }

    fn job_answered(&mut self, pending: Pending, outcome: Outcome) {
        match (pending, outcome) {
            (Pending::Simple { verb, path, code, done }, Outcome::Done) => {
                self.note(Note::good(Decision::Change, verb).about(path.as_bytes()));
                self.line(code, done);
            }
            (Pending::MakeDirectory(path), Outcome::Done) => {
                self.note(Note::good(Decision::Change, "MKD").about(path.as_bytes()));
                let mut text = Text::new();
                path.quote(&mut text);
                text.extend_from_slice(b" directory created.");
                self.line(Code::PATH, text);
            }
            (Pending::Value { .. }, Outcome::Number(number)) => {
                self.line(Code::FILE_STATUS, format_args!("{number}"));
            }
            (Pending::Value { .. }, Outcome::Date(date)) => {
                self.line(Code::FILE_STATUS, format_args!("{date}"));
            }
            (Pending::SetModified { verb, path, date }, Outcome::Done) => {
                self.note(Note::good(Decision::Change, verb).about(path.as_bytes()));
                let mut text = Text::from(format_args!("Modify={date}; "));
                text.extend_from_slice(path.as_bytes());
                self.line(Code::FILE_STATUS, text);
            }
            (Pending::Facts(path), Outcome::Lines(lines)) => {
                let mut first = b"Listing ".to_vec();
                path.quote(&mut first);
                first.push(b':');
                self.reply(Reply::block(Code::FILE_OK, first, lines, "End MLST."));
            }
            (Pending::Status { path, .. }, Outcome::Lines(lines)) => {
                let mut first = b"Status of ".to_vec();
                path.quote(&mut first);
                first.push(b':');
                self.reply(Reply::block(Code::FILE_STATUS, first, lines, "End of status."));
            }
            (Pending::Hash { verb, path, algorithm }, Outcome::Digest { hex, first, behind }) => {
                self.hashed(verb, &path, algorithm, &hex, (first, behind));
            }
            // The driver answered with something that was not asked for.
            (_, _) => self.refuse("job", Reason::LocalError),
        }
    }

    /// draft-bryan-ftpext-hash §4 for HASH; the X verbs answer 250 and the bare hash, on one line,
    /// since clients read no further.
    fn hashed(
        &mut self,
        verb: &'static str,
        path: &VirtualPath,
        algorithm: HashAlgorithm,
        hex: &[u8],
        (first, behind): (u64, u64),
    ) {
        if verb != "HASH" {
            return self.line(Code::FILE_OK, hex);
        }
        let last = behind.saturating_sub(1).max(first);
        let mut text = Text::from(format_args!("{} {first}-{last} ", algorithm.name()));
        text.extend_from_slice(hex);
        text.push(b' ');
        text.extend_from_slice(path.as_bytes());
        self.line(Code::FILE_STATUS, text);
    }

    fn job_failed(&mut self, pending: &Pending, reason: Reason) {
        let (verb, path) = match pending {
            Pending::Identify => ("USER", None),
            Pending::LogIn => ("PASS", None),
            Pending::Listen { .. } => ("PASV", None),
            Pending::ChangeDirectory(path) => ("CWD", Some(path)),
            Pending::Simple { verb, path, .. }
            | Pending::SetModified { verb, path, .. }
            | Pending::Hash { verb, path, .. } => (*verb, Some(path)),
            Pending::MakeDirectory(path) => ("MKD", Some(path)),
            Pending::RenameFrom(path) => ("RNFR", Some(path)),
            Pending::Facts(path) => ("MLST", Some(path)),
            Pending::Status { path, .. } => ("STAT", Some(path)),
            Pending::SetFacts(facts) => ("MFF", Some(&facts.path)),
            Pending::Value { verb, path } => return self.not_retrievable(verb, path, reason),
        };
        match path {
            Some(path) => self.refuse_path(verb, path.as_bytes(), reason),
            None => self.refuse(verb, reason),
        }
    }

    /// SIZE and MDTM: clients ask them to learn whether a file is there.
    fn not_retrievable(&mut self, verb: &'static str, path: &VirtualPath, reason: Reason) {
        self.note(Note::why(Decision::Refuse, verb, reason).about(path.as_bytes()));
        let code = super::code(reason);
        match reason {
            Reason::NotRetrievable => self.line(code, format_args!("{path} is not retrievable.")),
            reason => {
                let why = reason.describe();
                self.line(code, format_args!("{path} is not retrievable: {why}."));
            }
        }
    }
}
