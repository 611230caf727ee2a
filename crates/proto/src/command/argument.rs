//! The arguments of commands: their forms, read and written.
//!
//! Addresses are read in [`addr`], dates in [`time`](crate::time).

use alloc::string::ToString as _;
use alloc::vec::Vec;

use super::{Command, Password};
use crate::addr::{self, AddressError};
use crate::path::FtpPath;
use crate::reason::Reason;
use crate::short::Short;
use crate::time::{Timestamp, decimal};
use crate::verb::Verb;

/// What ALGS asks of a gateway from IPv6 to IPv4 (RFC 6384 §11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algs {
    /// Does it translate?
    Status,
    /// It shall.
    Enable,
    /// It shall not.
    Disable,
}

impl Algs {
    const fn word(self) -> &'static str {
        match self {
            Self::Status => "STATUS64",
            Self::Enable => "ENABLE64",
            Self::Disable => "DISABLE64",
        }
    }
}

/// What EPSV asks for (RFC 2428 §3 and §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epsv {
    /// The family of the control connection.
    Default,
    /// A network protocol by its number, known or not.
    Protocol(u64),
    /// From now on nothing but EPSV.
    All,
}

/// The algorithms of HASH and of the X verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are their names")]
pub enum HashAlgorithm {
    Crc32,
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

impl HashAlgorithm {
    /// Each with its name in HASH (the registry of draft-bryan-ftpext-hash), the best first.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Sha256, "SHA-256"),
        (Self::Sha512, "SHA-512"),
        (Self::Sha1, "SHA-1"),
        (Self::Md5, "MD5"),
        (Self::Crc32, "CRC32"),
    ];

    /// The name in HASH.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(algorithm, _)| *algorithm == self).map_or("", |(_, name)| name)
    }

    fn parse(name: &[u8]) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find(|(_, known)| known.as_bytes().eq_ignore_ascii_case(name)).map(|(a, _)| *a)
    }
}

/// What LIST and NLST ask for. Many clients send options of `ls`, which no RFC has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The letters of the options at the beginning, such as `la`.
    pub options: Vec<u8>,
    /// What is left behind the options.
    pub path: Option<FtpPath>,
    /// The whole argument, for a file that is really named `-a`.
    pub literal: Option<FtpPath>,
}

/// The security mechanism that AUTH asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// `TLS`, or its older word `TLS-C`: data connections begin in clear (RFC 4217 §4).
    Tls,
    /// `SSL`, or `TLS-P`: a draft that never became an RFC, with data protected from the start.
    Ssl,
}

/// The protection of data connections (RFC 4217 §9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protection {
    /// C.
    #[default]
    Clear,
    /// P: TLS.
    Private,
}

/// What OPTS sets (RFC 2389 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opts {
    /// `UTF8 ON` or `OFF`; without a word it means on.
    Utf8(bool),
    /// `MLST` with its facts as they came.
    Mlst(Vec<u8>),
    /// `HASH`, which without an algorithm asks for the current one.
    Hash(Option<HashAlgorithm>),
}

/// The representation types (RFC 959 §3.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Representation {
    /// A: text, converted at both ends. What a session begins with.
    #[default]
    Ascii,
    /// I, and L 8: bytes as they are.
    Image,
}

/// What SITE asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Site {
    /// `HELP [command]`.
    Help(Option<Vec<u8>>),
    /// `CHMOD mode path`, the mode read as octal.
    Chmod(u32, FtpPath),
    /// `UTIME date path` or `UTIME path atime mtime ctime UTC`.
    Utime(Timestamp, FtpPath),
}

/// The file structures (RFC 959 §3.1.2): one is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Structure {
    /// F.
    File,
}

/// The transmission modes (RFC 959 §3.4): one is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferMode {
    /// S.
    Stream,
}

/// Reads the argument of a verb; blank arguments come as empty ones.
pub(super) fn read(verb: Verb, argument: &[u8]) -> Result<Command, Reason> {
    let path = || FtpPath::from(argument);
    let optional = || (!argument.is_empty()).then(path);
    let text = || argument.to_vec();
    Ok(match verb {
        Verb::Abor => Command::Abor,
        Verb::Acct => Command::Acct(text()),
        Verb::Algs => Command::Algs(algs(argument)?),
        Verb::Allo => Command::Allo(decimal(word(argument).0)),
        Verb::Appe => Command::Appe(path()),
        Verb::Auth => Command::Auth(mechanism(argument)?),
        Verb::Avbl => Command::Avbl(optional()),
        Verb::Ccc => Command::Ccc,
        Verb::Cdup => Command::Cdup,
        Verb::Clnt => Command::Clnt(text()),
        Verb::Comb => comb(argument)?,
        Verb::Csid => Command::Csid(text()),
        Verb::Cwd => Command::Cwd(optional()),
        Verb::Dele => Command::Dele(path()),
        Verb::Eprt => Command::Eprt(eprt(argument)?),
        Verb::Epsv => Command::Epsv(epsv(argument)?),
        Verb::Feat => Command::Feat,
        Verb::Hash => Command::Hash { path: path(), algorithm: None, range: None },
        Verb::Help => Command::Help((!argument.is_empty()).then(text)),
        Verb::Host => Command::Host(text()),
        Verb::Lang => Command::Lang((!argument.is_empty()).then(text)),
        Verb::List => Command::List(listing(argument)),
        Verb::Lprt => Command::Lprt,
        Verb::Lpsv => Command::Lpsv,
        Verb::Mdtm => mdtm(argument),
        Verb::Mfct => dated(argument).map(|(date, path)| Command::Mfct { date, path })?,
        Verb::Mff => mff(argument)?,
        Verb::Mfmt => dated(argument).map(|(date, path)| Command::Mfmt { date, path })?,
        Verb::Mkd => Command::Mkd(path()),
        Verb::Mlsd => Command::Mlsd(optional()),
        Verb::Mlst => Command::Mlst(optional()),
        Verb::Mode => Command::Mode(mode(argument)?),
        Verb::Nlst => Command::Nlst(listing(argument)),
        Verb::Noop => Command::Noop,
        Verb::Opts => Command::Opts(opts(argument)?),
        Verb::Pass => Command::Pass(Password(text())),
        Verb::Pasv => Command::Pasv,
        Verb::Pbsz => Command::Pbsz(decimal(argument.trim_ascii()).ok_or(Reason::BadArgument)?),
        Verb::Port => Command::Port(addr::parse_port(argument).map_err(|_| Reason::PortMalformed)?),
        Verb::Prot => Command::Prot(protection(argument)?),
        Verb::Pwd => Command::Pwd,
        Verb::Quit => Command::Quit,
        Verb::Rang => rang(argument)?,
        Verb::Rein => Command::Rein,
        Verb::Rest => Command::Rest(decimal(argument).ok_or(Reason::BadArgument)?),
        Verb::Retr => Command::Retr(path()),
        Verb::Rmd => Command::Rmd(path()),
        Verb::Rnfr => Command::Rnfr(path()),
        Verb::Rnto => Command::Rnto(path()),
        Verb::Site => Command::Site(site(argument)?),
        Verb::Size => Command::Size(path()),
        Verb::Stat => Command::Stat(optional()),
        Verb::Stor => Command::Stor(path()),
        Verb::Stou => Command::Stou(optional()),
        Verb::Stru => Command::Stru(structure(argument)?),
        Verb::Syst => Command::Syst,
        Verb::Type => Command::Type(representation(argument)?),
        Verb::User => Command::User(text()),
        Verb::Xcrc => checksum(argument, HashAlgorithm::Crc32)?,
        Verb::Xmd5 => checksum(argument, HashAlgorithm::Md5)?,
        Verb::Xsha1 => checksum(argument, HashAlgorithm::Sha1)?,
        Verb::Xsha256 => checksum(argument, HashAlgorithm::Sha256)?,
        Verb::Xsha512 => checksum(argument, HashAlgorithm::Sha512)?,
    })
}

/// Splits at the first blank; the blanks that follow belong to what comes behind.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&b| b == b' ').unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, b""));
    (word, rest.strip_prefix(b" ").unwrap_or(rest))
}

fn mechanism(argument: &[u8]) -> Result<Mechanism, Reason> {
    match argument.trim_ascii().to_ascii_uppercase().as_slice() {
        b"TLS" | b"TLS-C" => Ok(Mechanism::Tls),
        b"SSL" | b"TLS-P" => Ok(Mechanism::Ssl),
        _ => Err(Reason::MechanismUnknown),
    }
}

fn protection(argument: &[u8]) -> Result<Protection, Reason> {
    match argument.trim_ascii().to_ascii_uppercase().as_slice() {
        b"C" => Ok(Protection::Clear),
        b"P" => Ok(Protection::Private),
        b"S" | b"E" => Err(Reason::ProtectionUnsupported),
        _ => Err(Reason::ProtectionUnknown),
    }
}

fn eprt(argument: &[u8]) -> Result<core::net::SocketAddr, Reason> {
    addr::parse_eprt(argument).map_err(|error| match error {
        AddressError::Malformed => Reason::EprtMalformed,
        AddressError::UnknownProtocol => Reason::NetworkProtocol,
    })
}

fn algs(argument: &[u8]) -> Result<Algs, Reason> {
    let is_it = |algs: &Algs| argument.trim_ascii().eq_ignore_ascii_case(algs.word().as_bytes());
    [Algs::Status, Algs::Enable, Algs::Disable].into_iter().find(is_it).ok_or(Reason::AlgsUnknown)
}

fn epsv(argument: &[u8]) -> Result<Epsv, Reason> {
    match argument.trim_ascii() {
        b"" => Ok(Epsv::Default),
        all if all.eq_ignore_ascii_case(b"ALL") => Ok(Epsv::All),
        number => decimal(number).map(Epsv::Protocol).ok_or(Reason::NetworkProtocolUnknown),
    }
}

fn listing(argument: &[u8]) -> Listing {
    let literal = (!argument.is_empty()).then(|| FtpPath::from(argument));
    let mut options = Vec::new();
    let mut rest = argument;
    while let [b'-', ..] = rest {
        let (first, behind) = word(rest);
        options.extend(first.iter().filter(|b| b.is_ascii_alphanumeric()));
        rest = behind;
        if first == b"--" {
            break;
        }
    }
    let rest = if rest.trim_ascii().is_empty() { b"" } else { rest };
    Listing { options, path: (!rest.is_empty()).then(|| FtpPath::from(rest)), literal }
}

/// `MDTM date path` sets the date, as several clients do; a lone argument is a path, even a date.
fn mdtm(argument: &[u8]) -> Command {
    match dated(argument) {
        Ok((date, path)) => Command::Mdtm { set: Some(date), path },
        Err(_) => Command::Mdtm { set: None, path: FtpPath::from(argument) },
    }
}

fn dated(argument: &[u8]) -> Result<(Timestamp, FtpPath), Reason> {
    let (date, path) = word(argument);
    if path.is_empty() {
        return Err(Reason::ArgumentMissing);
    }
    let date = Timestamp::parse(date).ok_or(Reason::TimeInvalid)?;
    Ok((date, FtpPath::from(path)))
}

/// `fact=value;fact=value; path` (draft-somers-ftp-mfxx §5).
fn mff(argument: &[u8]) -> Result<Command, Reason> {
    let (facts, path) = word(argument);
    if path.is_empty() {
        return Err(Reason::ArgumentMissing);
    }
    let facts = facts.split(|&b| b == b';').filter(|fact| !fact.is_empty()).map(|fact| {
        let equals = fact.iter().position(|&b| b == b'=').ok_or(Reason::BadArgument)?;
        let (name, value) = fact.split_at_checked(equals).ok_or(Reason::BadArgument)?;
        Ok((name.to_ascii_lowercase(), value.get(1..).unwrap_or_default().to_vec()))
    });
    let facts: Vec<_> = facts.collect::<Result<_, _>>()?;
    if facts.is_empty() {
        Err(Reason::BadArgument)
    } else {
        Ok(Command::Mff { facts, path: FtpPath::from(path) })
    }
}

fn mode(argument: &[u8]) -> Result<TransferMode, Reason> {
    match argument.to_ascii_uppercase().as_slice() {
        b"S" => Ok(TransferMode::Stream),
        b"B" | b"C" | b"Z" | b"E" => Err(Reason::ModeUnsupported),
        _ => Err(Reason::ModeUnknown),
    }
}

fn structure(argument: &[u8]) -> Result<Structure, Reason> {
    match argument.to_ascii_uppercase().as_slice() {
        b"F" => Ok(Structure::File),
        b"P" | b"R" => Err(Reason::StructureUnsupported),
        _ => Err(Reason::StructureUnknown),
    }
}

/// `L 7` is text: that is what one byte of seven bits held on the hosts that had it.
fn representation(argument: &[u8]) -> Result<Representation, Reason> {
    let mut compact = Short::<8>::new();
    compact.extend(argument.iter().filter(|b| **b != b' ').map(u8::to_ascii_uppercase));
    match &*compact {
        b"A" | b"AN" | b"L7" => Ok(Representation::Ascii),
        b"I" | b"L8" => Ok(Representation::Image),
        _ => Err(Reason::TypeUnsupported),
    }
}

fn opts(argument: &[u8]) -> Result<Opts, Reason> {
    let (name, value) = word(argument);
    match name.to_ascii_uppercase().as_slice() {
        b"UTF8" | b"UTF-8" => match value.trim_ascii().to_ascii_uppercase().as_slice() {
            b"" | b"ON" | b"NLST" => Ok(Opts::Utf8(true)),
            b"OFF" => Ok(Opts::Utf8(false)),
            _ => Err(Reason::BadArgument),
        },
        b"MLST" if value.trim_ascii().contains(&b' ') => Err(Reason::FactsCount),
        b"MLST" if !value.is_empty() && !value.trim_ascii().ends_with(b";") => {
            Err(Reason::FactsInvalid)
        }
        b"MLST" => Ok(Opts::Mlst(value.trim_ascii().to_vec())),
        b"HASH" if value.is_empty() => Ok(Opts::Hash(None)),
        b"HASH" => HashAlgorithm::parse(value.trim_ascii())
            .map(|algorithm| Opts::Hash(Some(algorithm)))
            .ok_or(Reason::HashUnknown),
        _ => Err(Reason::OptionUnknown),
    }
}

/// `RANG first last`; a last before the first, such as `RANG 1 0`, takes the range back.
fn rang(argument: &[u8]) -> Result<Command, Reason> {
    let (first, last) = word(argument);
    let first = decimal(first).ok_or(Reason::BadArgument)?;
    let last = decimal(last.trim_ascii()).ok_or(Reason::BadArgument)?;
    Ok(Command::Rang((first <= last).then_some((first, last))))
}

/// `XCRC path`, `XCRC "path" first behind`: only a quoted path can have numbers behind it, since
/// an unquoted one may end with them.
fn checksum(argument: &[u8], algorithm: HashAlgorithm) -> Result<Command, Reason> {
    let algorithm = Some(algorithm);
    let Some(quoted) = argument.strip_prefix(b"\"") else {
        return Ok(Command::Hash { path: FtpPath::from(argument), algorithm, range: None });
    };
    let end = quoted.iter().rposition(|&b| b == b'"').ok_or(Reason::BadArgument)?;
    let path = FtpPath::from(quoted.get(..end).unwrap_or_default());
    let (first, behind) = word(quoted.get(end + 1..).unwrap_or_default().trim_ascii());
    let number = |text: &[u8]| decimal(text.trim_ascii()).ok_or(Reason::BadArgument);
    let range = match (first, behind) {
        (b"", _) => None,
        (first, b"") => Some((number(first)?, u64::MAX)),
        (first, behind) => Some((number(first)?, number(behind)?)),
    };
    Ok(Command::Hash { path, algorithm, range })
}

/// Names between quotes may hold blanks; others end at one.
fn comb(argument: &[u8]) -> Result<Command, Reason> {
    let mut paths = Vec::new();
    let mut rest = argument.trim_ascii_start();
    while !rest.is_empty() {
        let (path, behind) = match rest.strip_prefix(b"\"") {
            Some(quoted) => {
                let end = quoted.iter().position(|&b| b == b'"').ok_or(Reason::BadArgument)?;
                let (path, behind) = quoted.split_at_checked(end).ok_or(Reason::BadArgument)?;
                (path, behind.get(1..).unwrap_or_default())
            }
            None => word(rest),
        };
        paths.push(FtpPath::from(path));
        rest = behind.trim_ascii_start();
    }
    let mut paths = paths.into_iter();
    match paths.next() {
        Some(target) if paths.len() > 0 => Ok(Command::Comb { target, parts: paths.collect() }),
        _ => Err(Reason::ArgumentMissing),
    }
}

fn site(argument: &[u8]) -> Result<Site, Reason> {
    let (name, rest) = word(argument);
    match name.to_ascii_uppercase().as_slice() {
        b"HELP" if rest.is_empty() => Ok(Site::Help(None)),
        b"HELP" => Ok(Site::Help(Some(rest.to_ascii_uppercase()))),
        b"CHMOD" => chmod(rest),
        b"UTIME" => utime(rest),
        _ => Err(Reason::SiteUnknown),
    }
}

fn chmod(argument: &[u8]) -> Result<Site, Reason> {
    let (mode, path) = word(argument);
    match (mode, path) {
        (b"", _) => return Err(Reason::ArgumentMissing),
        (_, b"") => return Err(Reason::ChmodPathMissing),
        _ => {}
    }
    match permission_bits(mode).filter(|_| (3..=4).contains(&mode.len())) {
        Some(bits) => Ok(Site::Chmod(bits, FtpPath::from(path))),
        None => Err(Reason::ChmodMalformed),
    }
}

/// An octal mode, 777 at most.
pub(crate) fn permission_bits(text: &[u8]) -> Option<u32> {
    let bits = text.iter().try_fold(0_u32, |sum, digit| match digit {
        b'0'..=b'7' => Some(sum * 8 + u32::from(digit - b'0')).filter(|bits| *bits <= 0o777),
        _ => None,
    });
    bits.filter(|_| !text.is_empty())
}

/// `UTIME date path`, and the form of ncftp: `UTIME path atime mtime ctime UTC`.
fn utime(argument: &[u8]) -> Result<Site, Reason> {
    let mut words = argument.rsplitn(5, |&b| b == b' ');
    if words.next().is_some_and(|zone| zone.eq_ignore_ascii_case(b"UTC")) {
        let [_, modified, _, path] = [words.next(), words.next(), words.next(), words.next()];
        let modified = modified.and_then(site_date).ok_or(Reason::TimeInvalid)?;
        return Ok(Site::Utime(modified, path.map(FtpPath::from).ok_or(Reason::ArgumentMissing)?));
    }
    let (date, path) = word(argument);
    match path {
        b"" => Err(Reason::ArgumentMissing),
        path => Ok(Site::Utime(site_date(date).ok_or(Reason::TimeInvalid)?, FtpPath::from(path))),
    }
}

/// A date with or without seconds.
fn site_date(text: &[u8]) -> Option<Timestamp> {
    match text.len() {
        12 => Timestamp::parse(&[text, b"00"].concat()),
        _ => Timestamp::parse(text),
    }
}

/// Writes verb and argument without the end of line.
pub(super) fn write(command: &Command, out: &mut Vec<u8>) {
    let (name, argument) = encoded(command);
    out.extend_from_slice(name.as_bytes());
    if let Some(argument) = argument {
        out.push(b' ');
        out.extend_from_slice(&argument);
    }
}

fn encoded(command: &Command) -> (&'static str, Option<Vec<u8>>) {
    let path = |path: &FtpPath| Some(path.0.to_vec());
    let optional = |path: &Option<FtpPath>| path.as_ref().map(|path| path.0.to_vec());
    let dated = |date: &Timestamp, path: &FtpPath| {
        Some([date.to_string().as_bytes(), b" ", &path.0].concat())
    };
    match command {
        Command::Abor => ("ABOR", None),
        Command::Acct(account) => ("ACCT", Some(account.clone())),
        Command::Algs(algs) => ("ALGS", Some(algs.word().as_bytes().to_vec())),
        Command::Allo(size) => ("ALLO", Some(size.unwrap_or(0).to_string().into_bytes())),
        Command::Appe(p) => ("APPE", path(p)),
        Command::Auth(Mechanism::Tls) => ("AUTH", Some(b"TLS".to_vec())),
        Command::Auth(Mechanism::Ssl) => ("AUTH", Some(b"SSL".to_vec())),
        Command::Avbl(p) => ("AVBL", optional(p)),
        Command::Ccc => ("CCC", None),
        Command::Cdup => ("CDUP", None),
        Command::Clnt(name) => ("CLNT", Some(name.clone())),
        Command::Comb { target, parts } => {
            let paths = core::iter::once(target).chain(parts);
            let words: Vec<Vec<u8>> = paths.map(comb_word).collect();
            ("COMB", Some(words.join(&b' ')))
        }
        Command::Csid(facts) => ("CSID", Some(facts.clone())),
        Command::Cwd(p) => ("CWD", optional(p)),
        Command::Dele(p) => ("DELE", path(p)),
        Command::Eprt(address) => ("EPRT", Some(addr::format_eprt(*address).into_bytes())),
        Command::Epsv(Epsv::Default) => ("EPSV", None),
        Command::Epsv(Epsv::Protocol(number)) => ("EPSV", Some(number.to_string().into_bytes())),
        Command::Epsv(Epsv::All) => ("EPSV", Some(b"ALL".to_vec())),
        Command::Feat => ("FEAT", None),
        Command::Hash { path: p, algorithm, range } => encoded_hash(p, *algorithm, *range),
        Command::Help(topic) => ("HELP", topic.clone()),
        Command::Host(name) => ("HOST", Some(name.clone())),
        Command::Lang(tag) => ("LANG", tag.clone()),
        Command::List(listing) => ("LIST", optional(&listing.literal)),
        Command::Lprt => ("LPRT", None),
        Command::Lpsv => ("LPSV", None),
        Command::Mdtm { set: Some(date), path: p } => ("MDTM", dated(date, p)),
        Command::Mdtm { set: None, path: p } => ("MDTM", path(p)),
        Command::Mfct { date, path: p } => ("MFCT", dated(date, p)),
        Command::Mff { facts, path: p } => {
            let mut argument = Vec::new();
            for (name, value) in facts {
                argument.extend_from_slice(&[&name[..], b"=", value, b";"].concat());
            }
            argument.push(b' ');
            argument.extend_from_slice(&p.0);
            ("MFF", Some(argument))
        }
        Command::Mfmt { date, path: p } => ("MFMT", dated(date, p)),
        Command::Mkd(p) => ("MKD", path(p)),
        Command::Mlsd(p) => ("MLSD", optional(p)),
        Command::Mlst(p) => ("MLST", optional(p)),
        Command::Mode(TransferMode::Stream) => ("MODE", Some(b"S".to_vec())),
        Command::Nlst(listing) => ("NLST", optional(&listing.literal)),
        Command::Noop => ("NOOP", None),
        Command::Opts(opts) => ("OPTS", Some(encoded_opts(opts))),
        Command::Pass(password) => ("PASS", Some(password.0.clone())),
        Command::Pasv => ("PASV", None),
        Command::Pbsz(size) => ("PBSZ", Some(size.to_string().into_bytes())),
        Command::Port(address) => ("PORT", Some(addr::format_port(*address).into_bytes())),
        Command::Prot(Protection::Clear) => ("PROT", Some(b"C".to_vec())),
        Command::Prot(Protection::Private) => ("PROT", Some(b"P".to_vec())),
        Command::Pwd => ("PWD", None),
        Command::Quit => ("QUIT", None),
        Command::Rang(range) => {
            let (first, last) = range.unwrap_or((1, 0));
            ("RANG", Some(alloc::format!("{first} {last}").into_bytes()))
        }
        Command::Rein => ("REIN", None),
        Command::Rest(offset) => ("REST", Some(offset.to_string().into_bytes())),
        Command::Retr(p) => ("RETR", path(p)),
        Command::Rmd(p) => ("RMD", path(p)),
        Command::Rnfr(p) => ("RNFR", path(p)),
        Command::Rnto(p) => ("RNTO", path(p)),
        Command::Site(site) => ("SITE", Some(encoded_site(site))),
        Command::Size(p) => ("SIZE", path(p)),
        Command::Stat(p) => ("STAT", optional(p)),
        Command::Stor(p) => ("STOR", path(p)),
        Command::Stou(p) => ("STOU", optional(p)),
        Command::Stru(Structure::File) => ("STRU", Some(b"F".to_vec())),
        Command::Syst => ("SYST", None),
        Command::Type(Representation::Ascii) => ("TYPE", Some(b"A".to_vec())),
        Command::Type(Representation::Image) => ("TYPE", Some(b"I".to_vec())),
        Command::User(name) => ("USER", Some(name.clone())),
    }
}

/// Between quotes, unless there is one in it: no form of quoting a quote is known to servers.
fn comb_word(path: &FtpPath) -> Vec<u8> {
    if path.0.contains(&b'"') { path.0.to_vec() } else { [b"\"", &path.0[..], b"\""].concat() }
}

/// Whether an argument keeps its parts apart. A path of COMB with a quote goes out bare, so a blank
/// or a quote at its beginning would make it another path.
pub(super) fn is_unambiguous(command: &Command) -> bool {
    let Command::Comb { target, parts } = command else { return true };
    let stands_bare = |path: &[u8]| {
        let starts = path.first().is_some_and(|&b| b != b'"' && !b.is_ascii_whitespace());
        starts && !path.contains(&b' ')
    };
    core::iter::once(target)
        .chain(parts)
        .all(|path| !path.0.contains(&b'"') || stands_bare(&path.0))
}

fn encoded_hash(
    path: &FtpPath,
    algorithm: Option<HashAlgorithm>,
    range: Option<(u64, u64)>,
) -> (&'static str, Option<Vec<u8>>) {
    let name = match algorithm {
        None => return ("HASH", Some(path.0.to_vec())),
        Some(HashAlgorithm::Crc32) => "XCRC",
        Some(HashAlgorithm::Md5) => "XMD5",
        Some(HashAlgorithm::Sha1) => "XSHA1",
        Some(HashAlgorithm::Sha256) => "XSHA256",
        Some(HashAlgorithm::Sha512) => "XSHA512",
    };
    let quoted = [b"\"", &path.0[..], b"\""].concat();
    let argument = match range {
        None => quoted,
        Some((first, u64::MAX)) => [&quoted[..], alloc::format!(" {first}").as_bytes()].concat(),
        Some((first, behind)) => {
            [&quoted[..], alloc::format!(" {first} {behind}").as_bytes()].concat()
        }
    };
    (name, Some(argument))
}

fn encoded_opts(opts: &Opts) -> Vec<u8> {
    match opts {
        Opts::Utf8(true) => b"UTF8 ON".to_vec(),
        Opts::Utf8(false) => b"UTF8 OFF".to_vec(),
        Opts::Mlst(facts) => [b"MLST ", &facts[..]].concat(),
        Opts::Hash(None) => b"HASH".to_vec(),
        Opts::Hash(Some(algorithm)) => [b"HASH ", algorithm.name().as_bytes()].concat(),
    }
}

fn encoded_site(site: &Site) -> Vec<u8> {
    match site {
        Site::Help(None) => b"HELP".to_vec(),
        Site::Help(Some(topic)) => [b"HELP ", &topic[..]].concat(),
        Site::Chmod(mode, path) => {
            [alloc::format!("CHMOD {mode:03o} ").as_bytes(), &path.0].concat()
        }
        Site::Utime(date, path) => [alloc::format!("UTIME {date} ").as_bytes(), &path.0].concat(),
    }
}
