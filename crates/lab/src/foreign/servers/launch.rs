//! How each foreign server is launched: with a configuration of its own, in the foreground, without
//! names, logs and limits that a test would trip over.
//!
//! It starts nothing. The settings are those of a plain server: what differs from the server's own
//! defaults is needed to run it from a folder, or to let one user write.

use std::env;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::paper::Paper;
use super::{Kind, Security, peers};

/// The user and group `daemon` of Debian, as whom sessions run: one without rights of which the
/// home exists, since vsftpd enters it before the root that it serves.
pub(super) const DAEMON: u32 = 1;

/// `twoport` in the way of crypt(3), `$1$`: the cheapest that all servers read.
const HASH: &str = "$1$ab$Ols0EZ1j7xSgK5/zm3g7N/";

const LOGIN: (&str, &str) = ("ann", "twoport");

/// Where a server is to run.
pub(super) struct Place<'a> {
    pub(super) work: &'a Path,
    pub(super) root: &'a Path,
    pub(super) host: IpAddr,
    pub(super) port: u16,
    pub(super) tls: Option<(&'a Paper, Security)>,
}

/// What is to be started.
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) libraries: String,
    pub(super) login: (&'static str, &'static str),
    /// Where below the log-in directory the served files are, with a slash.
    pub(super) directory: &'static str,
}

pub(super) fn of(kind: Kind, place: &Place<'_>) -> io::Result<Launch> {
    match kind {
        Kind::Vsftpd => vsftpd(place),
        Kind::PureFtpd => pure_ftpd(place),
        Kind::Proftpd => proftpd(place),
        Kind::Pyftpdlib => pyftpdlib(place),
    }
}

pub(super) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// The anonymous user may write: local users would need accounts of the system. Its root may not be
/// writable, so that the files are a directory below it.
fn vsftpd(place: &Place<'_>) -> io::Result<Launch> {
    needs_root()?;
    let program = find(Kind::Vsftpd, "vsftpd")?;
    let empty = place.work.join("empty");
    fs::create_dir(&empty)?;
    let listen = match place.host {
        IpAddr::V4(host) => format!("listen=YES\nlisten_address={host}\n"),
        IpAddr::V6(host) => format!("listen=NO\nlisten_ipv6=YES\nlisten_address6={host}\n"),
    };
    let yes = [
        "anonymous_enable",
        "no_anon_password",
        "write_enable",
        "anon_upload_enable",
        "anon_mkdir_write_enable",
        "anon_other_write_enable",
    ];
    let no = [
        "background",
        "local_enable",
        "xferlog_enable",
        "anon_world_readable_only",
        "isolate",
        "isolate_network",
        "seccomp_sandbox",
        "connect_from_port_20",
    ];
    let set = |keys: &[&str], value: &str| -> String {
        keys.iter().map(|key| format!("{key}={value}\n")).collect()
    };
    let text = format!(
        "{listen}listen_port={}\nanon_root={}\nftp_username=daemon\nsecure_chroot_dir={}\nanon_umask=022\n{}{}",
        place.port,
        place.work.display(),
        empty.display(),
        set(&yes, "YES"),
        set(&no, "NO"),
    );
    let text = text + &vsftpd_tls(place);
    let file = write(place, "vsftpd.conf", &text)?;
    let (login, directory) = (("anonymous", "twoport@"), "root/");
    let libraries = libraries(Kind::Vsftpd);
    Ok(Launch { program, arguments: vec![file], libraries, login, directory })
}

/// As strict as it can be: data connections resume the control connection's session, and each
/// direction ends with `close_notify`.
fn vsftpd_tls(place: &Place<'_>) -> String {
    let Some((paper, security)) = place.tls else { return String::new() };
    let implicit = if security == Security::Implicit { "YES" } else { "NO" };
    let mutual = match security {
        Security::Mutual => {
            let authority = paper.authority.display();
            format!("ca_certs_file={authority}\nrequire_cert=YES\nvalidate_cert=YES\n")
        }
        Security::Clear | Security::Explicit | Security::Implicit => String::new(),
    };
    format!(
        "{mutual}ssl_enable=YES\nallow_anon_ssl=YES\nforce_anon_logins_ssl=YES\nforce_anon_data_ssl=YES\n\
         require_ssl_reuse=YES\nstrict_ssl_read_eof=YES\nstrict_ssl_write_shutdown=YES\n\
         ssl_ciphers=HIGH\nrsa_cert_file={}\nrsa_private_key_file={}\nimplicit_ssl={implicit}\n",
        paper.certificate.display(),
        paper.key.display(),
    )
}

fn pure_ftpd(place: &Place<'_>) -> io::Result<Launch> {
    needs_root()?;
    let program = find(Kind::PureFtpd, "pure-ftpd")?;
    let maker = find(Kind::PureFtpd, "pure-pw")?;
    let (user, _) = LOGIN;
    let root = place.root.display();
    let line = format!("{user}:{HASH}:{DAEMON}:{DAEMON}::{root}/./::::::::::::\n");
    let users = write(place, "users", &line)?;
    let database = place.work.join("users.pdb").display().to_string();
    let made = Command::new(maker)
        .args(["mkdb", &database, "-f", &users])
        .env("LD_LIBRARY_PATH", libraries(Kind::PureFtpd))
        .status()?;
    if !made.success() {
        return Err(io::Error::other(format!("pure-pw ended with {made}")));
    }
    let listen = format!("{},{}", place.host, place.port);
    let process = place.work.join("pid").display().to_string();
    let login = format!("puredb:{database}");
    let arguments =
        ["-S", &listen, "-l", &login, "-E", "-H", "-u", "1", "-f", "none", "-g", &process];
    let mut arguments = arguments.map(str::to_owned).to_vec();
    if let Some((paper, _)) = place.tls {
        arguments.push("--tls=2".to_owned());
        arguments.push(format!("--certfile={}", paper.both.display()));
    }
    let libraries = libraries(Kind::PureFtpd);
    Ok(Launch { program, arguments, libraries, login: LOGIN, directory: "" })
}

fn proftpd(place: &Place<'_>) -> io::Result<Launch> {
    needs_root()?;
    let program = find(Kind::Proftpd, "proftpd")?;
    let (user, _) = LOGIN;
    let (work, root) = (place.work.display(), place.root.display());
    let users = format!("{user}:{HASH}:{DAEMON}:{DAEMON}::{root}:/bin/false\n");
    let users = write(place, "users", &users)?;
    let groups = write(place, "groups", &format!("daemon:x:{DAEMON}:\n"))?;
    for file in [&users, &groups] {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(file, fs::Permissions::from_mode(0o600))?;
    }
    let ipv6 = if place.host.is_ipv6() { "on" } else { "off" };
    let text = format!(
        "ServerType standalone\nServerName lab\nDefaultServer on\nPort {}\nDefaultAddress {}\n\
         SocketBindTight on\nUseIPv6 {ipv6}\nUser daemon\nGroup daemon\nUseReverseDNS off\n\
         WtmpLog off\nTransferLog none\nSystemLog none\nScoreboardFile none\nDelayEngine off\n\
         PidFile {work}/pid\nAuthOrder mod_auth_file.c\nAuthUserFile {users}\n\
         AuthGroupFile {groups}\nRequireValidShell off\nDefaultRoot ~\nUmask 022\n\
         AllowOverwrite on\nAllowStoreRestart on\nAllowRetrieveRestart on\n",
        place.port, place.host,
    );
    let file = write(place, "proftpd.conf", &(proftpd_tls(place)? + &text))?;
    let arguments = ["-n", "-q", "-c", &file].map(str::to_owned).to_vec();
    let libraries = libraries(Kind::Proftpd);
    Ok(Launch { program, arguments, libraries, login: LOGIN, directory: "" })
}

/// Data connections must resume the control connection's session, which is its default.
fn proftpd_tls(place: &Place<'_>) -> io::Result<String> {
    let Some((paper, _)) = place.tls else { return Ok(String::new()) };
    let unpacked = peers().join(Kind::Proftpd.name()).join("usr/lib/proftpd");
    let system = PathBuf::from("/usr/lib/proftpd");
    let modules = [unpacked, system].into_iter().find(|path| path.join("mod_tls.so").is_file());
    let modules = modules.ok_or(io::ErrorKind::NotFound)?;
    Ok(format!(
        "ModulePath {}\nLoadModule mod_tls.c\nTLSEngine on\nTLSRequired on\n\
         TLSProtocol TLSv1.2 TLSv1.3\nTLSECCertificateFile {}\nTLSECCertificateKeyFile {}\n\
         TLSVerifyClient off\nTLSLog {}/tls.log\n",
        modules.display(),
        paper.certificate.display(),
        paper.key.display(),
        place.work.display(),
    ))
}

fn pyftpdlib(place: &Place<'_>) -> io::Result<Launch> {
    const PROGRAM: &str = "\
import sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib import handlers
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
host, port, root, user, password, certificate = sys.argv[1:]
handler = handlers.TLS_FTPHandler if certificate else FTPHandler
if certificate:
    handler.certfile = certificate
    handler.tls_control_required = handler.tls_data_required = True
handler.authorizer = DummyAuthorizer()
handler.authorizer.add_user(user, password, root, perm='elradfmwMT')
FTPServer((host, int(port)), handler).serve_forever()
";
    let program = peers().join("venv/bin/python");
    if !program.exists() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let file = write(place, "server.py", PROGRAM)?;
    let (user, password) = LOGIN;
    let arguments = vec![
        file,
        place.host.to_string(),
        place.port.to_string(),
        place.root.display().to_string(),
        user.to_owned(),
        password.to_owned(),
        place.tls.map_or_else(String::new, |(paper, _)| paper.both.display().to_string()),
    ];
    Ok(Launch { program, arguments, libraries: String::new(), login: LOGIN, directory: "" })
}

fn needs_root() -> io::Result<()> {
    if is_root() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "it needs root, to change its user"))
}

fn write(place: &Place<'_>, name: &str, text: &str) -> io::Result<String> {
    let path = place.work.join(name);
    fs::write(&path, text)?;
    Ok(path.display().to_string())
}

/// A program of a peer: unpacked, else installed on the system.
fn find(kind: Kind, program: &str) -> io::Result<PathBuf> {
    find_in(kind.name(), program)
}

/// A program of what was unpacked into the folder `name`, else installed on the system.
pub(in crate::foreign) fn find_in(name: &str, program: &str) -> io::Result<PathBuf> {
    let unpacked = peers().join(name);
    let places = ["usr/sbin", "usr/bin"].map(|place| unpacked.join(place));
    let system = env::var_os("PATH").unwrap_or_default();
    let mut all = places.into_iter().chain(env::split_paths(&system)).chain(
        // Where servers are, though seldom on the path of a user.
        ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from),
    );
    all.find_map(|place| Some(place.join(program)).filter(|path| path.is_file()))
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The folders of an unpacked peer that hold shared libraries.
fn libraries(kind: Kind) -> String {
    libraries_in(kind.name())
}

/// The same for the folder `name`.
pub(in crate::foreign) fn libraries_in(name: &str) -> String {
    let unpacked = peers().join(name);
    let mut found = Vec::new();
    for place in ["usr/lib", "lib"] {
        let place = unpacked.join(place);
        let inside = fs::read_dir(&place).into_iter().flatten().flatten().map(|entry| entry.path());
        found.extend(inside.filter(|path| path.to_string_lossy().contains("-linux-gnu")));
        found.push(place);
    }
    let paths: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
    paths.join(":")
}
