//! Pebble, Let's Encrypt's test server for ACME, with a DNS of its own that leads every name here.
//!
//! It installs nothing: `tests/peers/install` does.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::park_timeout;
use std::time::Duration;

use tempfile::TempDir;

use super::servers::{paper::Paper, peers};

/// A running authority. It is killed when dropped, and forgets all that it has issued.
#[derive(Debug)]
pub struct Pebble {
    processes: Vec<Child>,
    work: TempDir,
    paper: Paper,
    addresses: [SocketAddr; 2],
    /// Where it looks for the proof of tls-alpn-01.
    pub tls: SocketAddr,
    /// Where it looks for the proof of http-01.
    pub http: SocketAddr,
}

impl Pebble {
    /// Starts it on free ports; its certificates are good for so many seconds.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`]: it is not installed.
    pub fn start(lifetime: u32) -> io::Result<Self> {
        let [directory, management, tls, http] = [free()?, free()?, free()?, free()?];
        let work = TempDir::new()?;
        let paper = Paper::make(work.path(), ["localhost".to_owned()])?;
        let addresses = [directory, management];
        let mut pebble = Self { processes: Vec::new(), work, paper, addresses, tls, http };
        pebble.launch(lifetime)?;
        Ok(pebble)
    }

    /// Starts it anew at the same addresses: it knows no account and no certificate any more.
    ///
    /// # Errors
    /// What the system says.
    pub fn restart(&mut self, lifetime: u32) -> io::Result<()> {
        self.stop();
        self.launch(lifetime)
    }

    /// The URL of its ACME directory.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.addresses[0].port())
    }

    /// The authority of its own HTTPS.
    #[must_use]
    pub fn authority(&self) -> &Path {
        &self.paper.authority
    }

    /// Fetches the authority of the certificates that it issues, with curl.
    ///
    /// # Errors
    /// What the system or curl says.
    pub fn root(&self) -> io::Result<PathBuf> {
        let url = format!("https://localhost:{}/roots/0", self.addresses[1].port());
        let (authority, path) = (&self.paper.authority, self.work.path().join("root.pem"));
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--ipv4", "--noproxy", "*"]);
        let status = curl.arg("--cacert").arg(authority).arg("-o").arg(&path).arg(url).status()?;
        if status.success() { Ok(path) } else { Err(io::Error::other(format!("curl: {status}"))) }
    }

    fn launch(&mut self, lifetime: u32) -> io::Result<()> {
        let bin = peers().join("pebble/usr/bin");
        let (program, names) = (bin.join("pebble"), bin.join("pebble-challtestsrv"));
        if !program.exists() || !names.exists() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (dns, [directory, management]) = (free()?, self.addresses);
        let (certificate, key) = (&self.paper.certificate, &self.paper.key);
        let config = format!(
            "{{\"pebble\": {{\"listenAddress\": \"{directory}\", \
             \"managementListenAddress\": \"{management}\", \"certificate\": {certificate:?}, \
             \"privateKey\": {key:?}, \"httpPort\": {}, \"tlsPort\": {}, \
             \"ocspResponderURL\": \"\", \"externalAccountBindingRequired\": false, \
             \"certificateValidityPeriod\": {lifetime}}}}}",
            self.http.port(),
            self.tls.port(),
        );
        let path = self.work.path().join("config.json");
        fs::write(&path, config)?;
        let log = fs::File::create(self.work.path().join("log"))?;
        let (dns, any) = (dns.to_string(), free()?.to_string());
        let start = |command: &mut Command| {
            let (log, errors) = (log.try_clone()?, log.try_clone()?);
            command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn()
        };
        let mut answering = Command::new(names);
        answering.args(["-dns01", &dns, "-management", &any, "-defaultIPv6", ""]);
        answering.args(["-http01", "", "-https01", "", "-tlsalpn01", ""]);
        self.processes.push(start(&mut answering)?);
        let mut issuing = Command::new(program);
        issuing.arg("-config").arg(path).args(["-dnsserver", &dns]);
        // It looks at once, and does not believe what was proven before.
        issuing.envs([("PEBBLE_VA_NOSLEEP", "1"), ("PEBBLE_AUTHZREUSE", "0")]);
        self.processes.push(start(&mut issuing)?);
        for address in [directory, management] {
            await_ready(address).map_err(|error| {
                let log = fs::read_to_string(self.work.path().join("log")).unwrap_or_default();
                io::Error::new(error.kind(), format!("pebble does not listen: {log}"))
            })?;
        }
        Ok(())
    }

    fn stop(&mut self) {
        for mut process in self.processes.drain(..) {
            let _gone_already = (process.kill(), process.wait());
        }
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn await_ready(address: SocketAddr) -> io::Result<()> {
    for _ in 0..400 {
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        park_timeout(Duration::from_millis(25));
    }
    Err(io::ErrorKind::TimedOut.into())
}
