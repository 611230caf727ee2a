//! An ICAP service as a scanner (RFC 3507): the upload is shown to it as a PUT (REQMOD) or as the
//! content of a reply (RESPMOD), whichever it knows.
//!
//! It changes no upload: a service that answers with something else in its place has found something.
//! What is written and read is in [`message`].

mod message;

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use twoport_net::clock;
use twoport_net::pump::blocking;
use twoport_proto::time::Time;

use self::message::{Answer, Head, Options, answer, chunk, options_request, request};
use super::About;
use super::spool::Held;
use crate::hole::lock;

/// The port of ICAP (RFC 3507 §4.2).
const PORT: u16 = 1344;

/// How much is sent at a time. Origin: c-icap's own buffers are 4 KiB to 64 KiB.
const CHUNK: usize = 64 * 1024;

/// How long what a service says of itself is believed at most. Origin: Squid's default for services
/// that name no time.
const LONGEST_TTL: Duration = Duration::from_secs(60);

/// An ICAP service.
#[derive(Debug)]
pub struct IcapScanner {
    host: String,
    port: u16,
    /// With its leading slash.
    path: String,
    /// What it said of itself, and until when that holds.
    options: Mutex<Option<(Options, Time)>>,
}

/// `icap://HOST[:PORT]/SERVICE`.
impl FromStr for IcapScanner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no address of an ICAP service");
        let rest = text.strip_prefix("icap://").ok_or_else(wrong)?;
        let (at, path) =
            rest.split_at_checked(rest.find('/').ok_or_else(wrong)?).ok_or_else(wrong)?;
        let is_bare = at.ends_with(']') || !at.contains(':');
        let (host, port) = match at.rsplit_once(':').filter(|_| !is_bare) {
            Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
            None => (at, PORT),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if host.is_empty() || path.len() < 2 || port == 0 || !is_plain(rest) {
            return Err(wrong());
        }
        let options = Mutex::new(None);
        Ok(Self { host: host.to_owned(), port, path: path.to_owned(), options })
    }
}

impl fmt::Display for IcapScanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "icap://{}{}", self.authority(), self.path)
    }
}

impl IcapScanner {
    fn authority(&self) -> String {
        let (host, port) = (&self.host, self.port);
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// The name of what was found.
    pub(super) async fn scan(&self, held: &Held, about: &About) -> io::Result<Option<Vec<u8>>> {
        let options = self.options().await?;
        let found = self.ask(&options, held, about).await;
        if found.is_err() {
            // It may have become another one.
            *lock(&self.options) = None;
        }
        found
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((&*self.host, self.port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// RFC 3507 §4.10.
    async fn options(&self) -> io::Result<Options> {
        let known = lock(&self.options).clone();
        if let Some((options, until)) = known
            && clock::now() < until
        {
            return Ok(options);
        }
        let mut stream = BufReader::new(self.connect().await?);
        stream.write_all(options_request(self, &self.authority()).as_bytes()).await?;
        let head = Head::read(&mut stream).await?;
        let options = Options::of(&head)?;
        let ttl = options.ttl.map_or(LONGEST_TTL, |ttl| ttl.min(LONGEST_TTL));
        *lock(&self.options) = Some((options.clone(), clock::now().after(ttl)));
        Ok(options)
    }

    async fn ask(
        &self,
        options: &Options,
        held: &Held,
        about: &About,
    ) -> io::Result<Option<Vec<u8>>> {
        let mut stream = self.connect().await?;
        let (reader, mut writer) = stream.split();
        let mut reader = BufReader::new(reader);
        let preview = options.preview.map(|preview| preview.min(held.length));
        let head = request(options, self, &self.authority(), held, about);
        writer.write_all(head.as_bytes()).await?;
        let mut sent = 0;
        if let Some(preview) = preview {
            show(&mut writer, held, 0..preview).await?;
            let is_all = preview == held.length;
            writer.write_all(if is_all { b"0; ieof\r\n\r\n" } else { b"0\r\n\r\n" }).await?;
            match answer(&mut reader, options.method, held).await? {
                Answer::Continue if !is_all => {}
                Answer::Continue => return Err(io::Error::other("it wants more than there is")),
                Answer::Clean => return Ok(None),
                Answer::Found(name) => return Ok(Some(name)),
            }
            sent = preview;
        }
        let rest = async {
            show(&mut writer, held, sent..held.length).await?;
            writer.write_all(b"0\r\n\r\n").await
        };
        let answered = answer(&mut reader, options.method, held);
        tokio::pin!(rest, answered);
        // A service may answer before it has seen all, and send back what it has not yet read.
        let answered = tokio::select! {
            answered = &mut answered => answered,
            sent = &mut rest => match (answered.await, sent) {
                (Err(_), Err(error)) => Err(error),
                (answered, _) => answered,
            },
        };
        match answered? {
            Answer::Clean => Ok(None),
            Answer::Found(name) => Ok(Some(name)),
            Answer::Continue => Err(io::Error::other("it wants to go on without a preview")),
        }
    }
}

/// Sends a part of what is held, in chunks.
async fn show(
    to: &mut (impl AsyncWrite + Unpin),
    held: &Held,
    part: std::ops::Range<u64>,
) -> io::Result<()> {
    let mut at = part.start;
    while at < part.end {
        let bytes = read_at(held, at, part.end).await?;
        at += u64::try_from(bytes.len()).unwrap_or_default();
        to.write_all(&chunk(&bytes)).await?;
    }
    to.flush().await
}

/// Some bytes from `at` on.
async fn read_at(held: &Held, at: u64, end: u64) -> io::Result<Vec<u8>> {
    use std::os::unix::fs::FileExt as _;
    let file = Arc::clone(&held.file);
    let length = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
    blocking(move || {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    })
    .await
}
