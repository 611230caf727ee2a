//! A client made of `openssl s_client`, one process a connection: OpenSSL as it is, with no FTP client's
//! own care around it.
//!
//! Each data connection is offered the session of the control connection, where that is wanted.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Error, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::{Security, Site};

/// A control connection.
#[derive(Debug)]
pub struct Openssl {
    control: Child,
    commands: ChildStdin,
    replies: BufReader<ChildStdout>,
    address: SocketAddr,
    arguments: Vec<String>,
    session: PathBuf,
    resumes: bool,
    told: PathBuf,
}

impl Openssl {
    /// Whether the program is there.
    #[must_use]
    pub fn is_installed() -> bool {
        Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_ok()
    }

    /// Connects, logs in, and has data connections protected. Files of its own are in `work`.
    ///
    /// # Errors
    ///
    /// The system's, or a refusal; what openssl said stands with it.
    pub fn log_in(site: &Site<'_>, work: &Path, resumes: bool) -> io::Result<Self> {
        let tls = site.tls.ok_or(ErrorKind::InvalidInput)?;
        let (session, told) = (work.join("openssl-session"), work.join("openssl-told"));
        let arguments = arguments(&tls);
        let mut command = s_client(site.address, &arguments, &told)?;
        command.args(["-crlf", "-sess_out"]).arg(&session);
        if !tls.implicit {
            command.args(["-starttls", "ftp"]);
        }
        let mut control = command.spawn()?;
        let commands = control.stdin.take().ok_or(ErrorKind::BrokenPipe)?;
        let replies = BufReader::new(control.stdout.take().ok_or(ErrorKind::BrokenPipe)?);
        let address = site.address;
        let mut client =
            Self { control, commands, replies, address, arguments, session, resumes, told };
        if tls.implicit {
            client.expect(220)?;
        }
        client.ask(&format!("USER {}", site.user), 331)?;
        client.ask(&format!("PASS {}", site.password), 230)?;
        client.ask("PBSZ 0", 200)?;
        client.ask("PROT P", 200)?;
        client.ask("TYPE I", 200)?;
        Ok(client)
    }

    /// What a transfer verb brings.
    ///
    /// # Errors
    ///
    /// The system's, or a refusal.
    pub fn get(&mut self, command: &str) -> io::Result<Vec<u8>> {
        let mut data = self.passive(command, &["-ign_eof"])?;
        let mut bytes = Vec::new();
        // It ends where its input does, unless that stays open.
        let _open = data.stdin.take();
        data.stdout.take().ok_or(ErrorKind::BrokenPipe)?.read_to_end(&mut bytes)?;
        data.wait()?;
        self.expect(226)?;
        Ok(bytes)
    }

    /// Uploads.
    ///
    /// # Errors
    ///
    /// The system's, or a refusal.
    pub fn put(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut data = self.passive(&format!("STOR {name}"), &["-no_ign_eof"])?;
        data.stdin.take().ok_or(ErrorKind::BrokenPipe)?.write_all(bytes)?;
        data.wait()?;
        self.expect(226).map(|_| ())
    }

    /// Takes leave.
    ///
    /// # Errors
    ///
    /// The system's, or another reply.
    pub fn quit(mut self) -> io::Result<()> {
        self.ask("QUIT", 221).map(|_| ())
    }

    fn passive(&mut self, command: &str, end: &[&str]) -> io::Result<Child> {
        let text = self.ask("EPSV", 229)?;
        let port = text.split('|').nth(3).and_then(|port| port.parse().ok());
        let port: u16 = port.ok_or_else(|| Error::other(text))?;
        let address = SocketAddr::new(self.address.ip(), port);
        let mut data = s_client(address, &self.arguments, &self.told)?;
        if self.resumes {
            data.arg("-sess_in").arg(&self.session);
        }
        let data = data.args(end).spawn()?;
        self.ask(command, 150)?;
        Ok(data)
    }

    fn ask(&mut self, line: &str, code: u16) -> io::Result<String> {
        // What went wrong is better told by what it said, or by the end of it.
        let _gone = self.commands.write_all(format!("{line}\n").as_bytes());
        self.expect(code)
    }

    fn expect(&mut self, code: u16) -> io::Result<String> {
        loop {
            let mut line = String::new();
            if self.replies.read_line(&mut line)? == 0 {
                let told = std::fs::read_to_string(&self.told)?;
                return Err(Error::new(ErrorKind::UnexpectedEof, told));
            }
            let is_last = line.as_bytes().get(3) == Some(&b' ');
            let found: Option<u16> = line.get(..3).and_then(|digits| digits.parse().ok());
            match found {
                Some(found) if is_last && found == code => return Ok(line),
                Some(_) if is_last => return Err(Error::other(format!("not {code}: {line}"))),
                _ => {}
            }
        }
    }
}

impl Drop for Openssl {
    fn drop(&mut self) {
        let _gone_already = (self.control.kill(), self.control.wait());
    }
}

fn arguments(tls: &Security<'_>) -> Vec<String> {
    let version = format!("-tls{}", tls.version.replace('.', "_"));
    let mut arguments = vec![version, "-CAfile".into(), tls.authority.into()];
    arguments.push("-verify_return_error".into());
    if let Some((certificate, key)) = tls.certificate {
        arguments.extend(["-cert", certificate, "-key", key].map(str::to_owned));
    }
    arguments
}

/// A line of data that begins with Q or R would be a command to it, were it not told otherwise.
fn s_client(address: SocketAddr, arguments: &[String], told: &Path) -> io::Result<Command> {
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-quiet", "-nocommands", "-connect", &address.to_string()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(File::options().create(true).append(true).open(told)?);
    Ok(command)
}
