//! c-icap with its two services: one that asks ClamAV, which knows EICAR's test file and nothing
//! else, and one that gives everything back.
//!
//! It installs nothing: `tests/peers/install` does.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::park_timeout;
use std::time::Duration;

use tempfile::TempDir;

use super::servers::launch::{find_in, libraries_in};
use super::servers::peers;

/// What ClamAV looks for: the words in EICAR's test file.
pub const EICAR: &[u8] = b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE";

/// The folder of `tests/peers/install`.
const NAME: &str = "scanners";

/// A running service. It is killed when dropped, and its files are removed.
#[derive(Debug)]
pub struct Scanners {
    clamd: Child,
    icap: Child,
    work: TempDir,
    /// Where it is asked.
    pub address: SocketAddr,
}

impl Scanners {
    /// Starts it, or says aloud why the test is skipped.
    ///
    /// # Errors
    /// It is there and does not start.
    pub fn start_or_skip() -> io::Result<Option<Self>> {
        let (Ok(clamd), Ok(icap)) = (find_in(NAME, "clamd"), find_in(NAME, "c-icap")) else {
            eprintln!("skipped: c-icap and clamd are not installed; run tests/peers/install");
            return Ok(None);
        };
        let work = TempDir::new()?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        configure(work.path(), address)?;
        let spawn = |program: &Path, arguments: &[&str]| {
            let log = fs::File::create(work.path().join(arguments.concat().replace('/', "")))?;
            let mut command = Command::new(program);
            command
                .args(arguments)
                .current_dir(work.path())
                .env("LD_LIBRARY_PATH", libraries_in(NAME));
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()
        };
        let clamd = spawn(&clamd, &["-c", "clamd.conf"])?;
        let socket = work.path().join("clamd.sock");
        wait_for(|| UnixStream::connect(&socket).is_ok());
        let icap = spawn(&icap, &["-N", "-f", "c-icap.conf"])?;
        wait_for(|| TcpStream::connect(address).is_ok());
        Ok(Some(Self { clamd, icap, work, address }))
    }

    /// The address of a service: `avscan` or `echo`.
    #[must_use]
    pub fn service(&self, name: &str) -> String {
        format!("icap://{}/{name}", self.address)
    }

    /// ClamAV is no more, while c-icap still answers.
    pub fn kill_clamd(&mut self) {
        let _reaped = (self.clamd.kill(), self.clamd.wait());
    }

    /// What c-icap was asked.
    ///
    /// # Errors
    /// It has logged nothing.
    pub fn log(&self) -> io::Result<String> {
        fs::read_to_string(self.work.path().join("access.log"))
    }
}

impl Drop for Scanners {
    fn drop(&mut self) {
        for child in [&mut self.icap, &mut self.clamd] {
            let _reaped = (child.kill(), child.wait());
        }
    }
}

fn configure(work: &Path, address: SocketAddr) -> io::Result<()> {
    let at = work.display();
    let signature: String = EICAR.iter().map(|byte| format!("{byte:02x}")).collect();
    fs::create_dir(work.join("db"))?;
    fs::write(work.join("db/test.ndb"), format!("Eicar-Test:0:*:{signature}\n"))?;
    let user = if rustix::process::getuid().is_root() { "User root\n" } else { "" };
    let clamd = format!(
        "DatabaseDirectory {at}/db\nLocalSocket {at}/clamd.sock\nForeground yes\n\
         TemporaryDirectory {at}\n{user}"
    );
    fs::write(work.join("clamd.conf"), clamd)?;
    let root = peers().join(NAME);
    let root = fs::canonicalize(&root)?;
    let modules = fs::read_dir(root.join("usr/lib"))?.flatten().map(|entry| entry.path());
    let modules = modules.map(|path| path.join("c_icap")).find(|path| path.is_dir());
    let modules = modules.ok_or(io::ErrorKind::NotFound)?;
    let (modules, root) = (modules.display(), root.display());
    // One process: what it forks would outlive it.
    let icap = format!(
        "PidFile {at}/c-icap.pid\nCommandsSocket {at}/c-icap.ctl\nPort {address}\n\
         StartServers 1\nMaxServers 1\nThreadsPerChild 10\nMinSpareThreads 1\nMaxSpareThreads 10\n\
         TmpDir {at}\nModulesDir {modules}\nServicesDir {modules}\n\
         TemplateDir {root}/usr/share/c_icap/templates/\nTemplateDefaultLanguage en\n\
         LoadMagicFile {root}/etc/c-icap/c-icap.magic\n\
         ServerLog {at}/server.log\nAccessLog {at}/access.log\nDebugLevel 1\n\
         Service echo srv_echo.so\nService antivirus_module virus_scan.so\n\
         ServiceAlias avscan virus_scan?allow204=on&sizelimit=off&mode=simple\n\
         virus_scan.ScanFileTypes TEXT DATA EXECUTABLE ARCHIVE GIF JPEG MSOFFICE\n\
         virus_scan.MaxObjectSize 100M\nvirus_scan.DefaultEngine clamd\n\
         Module common clamd_mod.so\nclamd_mod.ClamdSocket {at}/clamd.sock\n"
    );
    fs::write(work.join("c-icap.conf"), icap)
}

/// Waits twenty seconds at most; who does not get ready is found out by who asks it.
fn wait_for(is_ready: impl Fn() -> bool) {
    for _ in 0..400 {
        if is_ready() {
            return;
        }
        park_timeout(Duration::from_millis(50));
    }
}
