//! The messages of ICAP: requests as text, and what an answer says.
//!
//! It connects to nobody and sends nothing.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use twoport_proto::text::escape;

use super::super::About;
use super::super::spool::Held;
use super::read_at;

/// The longest head of an answer. Origin: Squid's limit for the heads of replies.
const LONGEST_HEAD: u64 = 64 * 1024;

/// Headers by which services say that they have found something: of the draft of ICAP extensions, and
/// older ones that some still send.
const FOUND: [&str; 3] = ["x-infection-found", "x-virus-id", "x-violations-found"];

/// What is said of an answer that is there in the upload's place and names nothing.
const REPLACED: &[u8] = b"the service answers with something else";

/// How an upload is shown (RFC 3507 §3.1, §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// As a request that a service may change or answer.
    Reqmod,
    /// As a reply that it may change.
    Respmod,
}

/// What a service says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) method: Method,
    /// How many bytes it wants to see before it decides whether it wants the rest.
    pub(super) preview: Option<u64>,
    pub(super) ttl: Option<Duration>,
}

/// What a service makes of an upload.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Clean,
    /// With its name.
    Found(Vec<u8>),
    /// It wants the rest.
    Continue,
}

/// The first lines of an answer.
#[derive(Debug)]
pub(super) struct Head {
    status: u16,
    /// With names in small letters.
    headers: Vec<(String, String)>,
}

fn nonsense(what: &str) -> io::Error {
    let what = format!("the service's answer makes no sense: {what}");
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl Head {
    /// Reads it, and the blank line behind it.
    pub(super) async fn read(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Self> {
        let mut from = from.take(LONGEST_HEAD);
        let first = line(&mut from).await?;
        let mut words = first.split(' ').filter(|word| !word.is_empty());
        let is_icap = words.next().is_some_and(|word| word.starts_with("ICAP/1."));
        let status = words.next().and_then(|word| word.parse().ok()).filter(|_| is_icap);
        let status = status.ok_or_else(|| nonsense("it is no ICAP"))?;
        let mut headers: Vec<(String, String)> = Vec::new();
        loop {
            let text = line(&mut from).await?;
            if text.is_empty() {
                return Ok(Self { status, headers });
            }
            match (text.split_once(':'), headers.last_mut()) {
                (_, Some((_, value))) if text.starts_with([' ', '\t']) => {
                    *value = format!("{value} {}", text.trim());
                }
                (Some((name, value)), _) => {
                    headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
                }
                (None, _) => return Err(nonsense("a header without a colon")),
            }
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// What the service has found, by its headers.
    fn found(&self) -> Option<Vec<u8>> {
        let value = FOUND.iter().find_map(|name| self.get(name))?;
        // `Type=0; Resolution=2; Threat=Eicar;`
        let threat = value.split(';').find_map(|part| part.trim().strip_prefix("Threat="));
        Some(threat.unwrap_or(value).trim().as_bytes().to_vec())
    }
}

/// A line without its end.
async fn line(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.read_until(b'\n', &mut bytes).await?;
    if bytes.pop() != Some(b'\n') {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the service has closed early"));
    }
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(&bytes);
    // Heads are of bytes, not of UTF-8.
    Ok(bytes.iter().map(|byte| char::from(*byte)).collect())
}

impl Options {
    /// From the answer to OPTIONS.
    pub(super) fn of(head: &Head) -> io::Result<Self> {
        if head.status != 200 {
            return Err(io::Error::other(format!("OPTIONS is answered {}", head.status)));
        }
        let methods = head.get("methods").unwrap_or_default().to_ascii_uppercase();
        let method = match () {
            // An upload is a request.
            () if methods.contains("REQMOD") => Method::Reqmod,
            () if methods.contains("RESPMOD") => Method::Respmod,
            () => return Err(nonsense("it knows neither REQMOD nor RESPMOD")),
        };
        let number = |name| head.get(name).and_then(|value| value.parse().ok());
        let ttl = number("options-ttl").map(Duration::from_secs);
        Ok(Self { method, preview: number("preview"), ttl })
    }
}

pub(super) fn options_request(service: &impl Display, host: &str) -> String {
    format!("OPTIONS {service} ICAP/1.0\r\nHost: {host}\r\nUser-Agent: twoport\r\n\r\n")
}

/// All before the content: the head, and the head of HTTP that it is wrapped in (RFC 3507 §4.4).
pub(super) fn request(
    options: &Options,
    service: &impl Display,
    host: &str,
    held: &Held,
    about: &About,
) -> String {
    let (server, length) = (about.server, held.length);
    let url = format!("ftp://{server}/{}", escaped_path(&about.subject.name));
    let content =
        format!("Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n");
    let (method, wrapped, parts) = match options.method {
        Method::Reqmod => {
            let wrapped = format!("PUT {url} HTTP/1.1\r\nHost: {server}\r\n{content}");
            let parts = format!("req-hdr=0, req-body={}", wrapped.len());
            ("REQMOD", wrapped, parts)
        }
        Method::Respmod => {
            let asked = format!("GET {url} HTTP/1.1\r\nHost: {server}\r\n\r\n");
            let wrapped = format!("{asked}HTTP/1.1 200 OK\r\n{content}");
            let parts = format!("req-hdr=0, res-hdr={}, res-body={}", asked.len(), wrapped.len());
            ("RESPMOD", wrapped, parts)
        }
    };
    let preview = options.preview.map(|preview| format!("Preview: {}\r\n", preview.min(length)));
    format!(
        "{method} {service} ICAP/1.0\r\nHost: {host}\r\nUser-Agent: twoport\r\nAllow: 204\r\n\
         X-Client-IP: {}\r\nX-Client-Username: {}\r\nX-Server-IP: {}\r\n{}\
         Encapsulated: {parts}\r\n\r\n{wrapped}",
        about.client,
        escape(&about.subject.user),
        server.ip(),
        preview.unwrap_or_default(),
    )
}

/// A name as a part of a URL (RFC 3986 §2.1).
fn escaped_path(name: &[u8]) -> String {
    let escaped = |byte: &u8| match byte {
        b'/' | b'-' | b'.' | b'_' | b'~' => char::from(*byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    name.iter().skip_while(|byte| **byte == b'/').map(escaped).collect()
}

/// A chunk (RFC 9112 §7.1).
pub(super) fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// What a service answers. One that does not say 204 gives back what it was shown; what differs from
/// that by a byte is something else.
pub(super) async fn answer(
    from: &mut (impl AsyncBufRead + Unpin),
    method: Method,
    held: &Held,
) -> io::Result<Answer> {
    let head = Head::read(from).await?;
    if let Some(name) = head.found() {
        return Ok(Answer::Found(name));
    }
    match head.status {
        100 => return Ok(Answer::Continue),
        204 => return Ok(Answer::Clean),
        200 => {}
        status => return Err(io::Error::other(format!("the service answers {status}"))),
    }
    let parts = head.get("encapsulated").ok_or_else(|| nonsense("nothing is encapsulated"))?;
    let parts = parts.split(',').map(|part| part.trim().split_once('='));
    let parts: Option<Vec<_>> = parts.collect();
    let parts = parts.ok_or_else(|| nonsense("encapsulated"))?;
    let last = parts.last().and_then(|(name, offset)| {
        let offset = offset.parse::<u64>().ok().filter(|offset| *offset <= LONGEST_HEAD)?;
        Some((name.to_ascii_lowercase(), usize::try_from(offset).ok()?))
    });
    let (body, heads_length) = last.ok_or_else(|| nonsense("encapsulated"))?;
    let mut heads = vec![0; heads_length];
    from.read_exact(&mut heads).await?;
    let is_request = parts.iter().all(|(name, _)| !name.to_ascii_lowercase().starts_with("res-"));
    let is_shown = match method {
        Method::Reqmod => is_request,
        Method::Respmod => !is_request && is_good(&heads),
    };
    let is_same = match body.as_str() {
        _ if !is_shown => false,
        "null-body" => held.length == 0,
        _ => gives_back(from, held).await?,
    };
    Ok(if is_same { Answer::Clean } else { Answer::Found(REPLACED.to_vec()) })
}

/// Whether the last head of HTTP among these is that of a good reply.
fn is_good(heads: &[u8]) -> bool {
    let lines = heads.split(|byte| *byte == b'\n');
    let mut statuses = lines.filter(|line| line.starts_with(b"HTTP/1."));
    let words = statuses.next_back().map(|line| line.split(|byte| *byte == b' '));
    words.and_then(|mut words| words.nth(1)) == Some(b"200")
}

/// Whether what comes in chunks is what is held.
async fn gives_back(from: &mut (impl AsyncBufRead + Unpin), held: &Held) -> io::Result<bool> {
    let mut at = 0;
    loop {
        let size = line(&mut from.take(LONGEST_HEAD)).await?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| nonsense("a chunk without size"))?;
        if size == 0 {
            return Ok(at == held.length);
        }
        let end = at.checked_add(size).filter(|end| *end <= held.length);
        let Some(end) = end else { return Ok(false) };
        while at < end {
            let wanted = read_at(held, at, end).await?;
            let mut given = vec![0; wanted.len()];
            from.read_exact(&mut given).await?;
            if given != wanted {
                return Ok(false);
            }
            at += u64::try_from(wanted.len()).unwrap_or_default();
        }
        line(&mut from.take(2)).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::spool::{Spool, create};
    use super::*;
    use twoport_net::pump::Sink as _;
    use twoport_proto::relay::Subject;

    fn held(content: &[u8]) -> Held {
        let mut spool = Spool::new(create(&std::env::temp_dir()).unwrap(), 1 << 20);
        spool.take(content).unwrap();
        spool.held()
    }

    async fn answered(method: Method, text: &str) -> io::Result<Answer> {
        answer(&mut text.as_bytes(), method, &held(b"hello")).await
    }

    #[tokio::test]
    async fn nothing_and_the_same_are_clean_and_all_else_is_found() {
        use Method::{Reqmod, Respmod};
        let replaced = Answer::Found(REPLACED.to_vec());
        let head = "PUT ftp://h/a HTTP/1.1\r\n\r\n";
        let good = "HTTP/1.1 200 OK\r\n\r\n";
        let bad = "HTTP/1.1 403 Forbidden\r\n\r\n";
        let with = |parts: &str, rest: String| {
            format!("ICAP/1.0 200 OK\r\nEncapsulated: {parts}\r\n\r\n{rest}")
        };
        let same = "2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n";
        let req = format!("req-hdr=0, req-body={}", head.len());
        let res = format!("res-hdr=0, res-body={}", good.len());
        let blocked = format!("res-hdr=0, res-body={}", bad.len());
        let none = format!("req-hdr=0, null-body={}", head.len());
        for (method, text, expected) in [
            (Reqmod, "ICAP/1.0 204 No modifications\r\n\r\n".into(), Answer::Clean),
            (Reqmod, "ICAP/1.0 100 Continue\r\n\r\n".into(), Answer::Continue),
            (Reqmod, with(&req, format!("{head}{same}")), Answer::Clean),
            (Respmod, with(&res, format!("{good}{same}")), Answer::Clean),
            (Respmod, with(&blocked, format!("{bad}{same}")), replaced),
        ] {
            assert_eq!(answered(method, &text).await.unwrap(), expected, "{text}");
        }
        let found =
            "ICAP/1.0 200 OK\r\nX-Infection-Found: Type=0; Resolution=2;\r\n Threat=Eicar;\r\n\r\n";
        assert_eq!(answered(Reqmod, found).await.unwrap(), Answer::Found(b"Eicar".to_vec()));
        let found = "ICAP/1.0 204 Fine\r\nX-Virus-ID: Eicar\r\n\r\n";
        assert_eq!(answered(Reqmod, found).await.unwrap(), Answer::Found(b"Eicar".to_vec()));
        for (method, text) in [
            (Reqmod, with(&req, format!("{head}5\r\nhellO\r\n0\r\n\r\n"))),
            (Reqmod, with(&req, format!("{head}4\r\nhell\r\n0\r\n\r\n"))),
            (Reqmod, with(&req, format!("{head}ffffffffffffffff\r\nhello"))),
            (Reqmod, with(&res, format!("{good}{same}"))),
            (Reqmod, with(&none, head.into())),
            (Respmod, with(&req, format!("{head}{same}"))),
        ] {
            let found = answered(method, &text).await.unwrap();
            assert_eq!(found, Answer::Found(REPLACED.to_vec()), "{text}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_none_is_an_error() {
        for text in [
            "",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "ICAP/1.0 404 Not found\r\n\r\n",
            "ICAP/1.0 204 cut off",
            "ICAP/1.0 200 OK\r\n\r\n",
            "ICAP/1.0 200 OK\r\nEncapsulated: req-body\r\n\r\n",
            "ICAP/1.0 200 OK\r\nEncapsulated: req-body=99999999\r\n\r\n",
            "ICAP/1.0 200 OK\r\nEncapsulated: req-body=0\r\n\r\n5\r\nhell",
            "ICAP/1.0 200 OK\r\nEncapsulated: req-body=0\r\n\r\nzz\r\n",
            "ICAP/1.0 200 OK\r\nnonsense\r\n\r\n",
        ] {
            assert!(answered(Method::Reqmod, text).await.is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn what_a_client_says_breaks_no_request() {
        let text = "ICAP/1.0 200 OK\r\nMethods: RESPMOD\r\nPreview: 4\r\nOptions-TTL: 9\r\n\r\n";
        let options = Options::of(&Head::read(&mut text.as_bytes()).await.unwrap()).unwrap();
        let ttl = Some(Duration::from_secs(9));
        assert_eq!(options, Options { method: Method::Respmod, preview: Some(4), ttl });
        let about = About {
            subject: Subject {
                verb: "STOR",
                name: b"/a b\r\nX: y".to_vec(),
                user: b"ann\r\nX: y".to_vec(),
            },
            client: "192.0.2.1".parse().unwrap(),
            server: "203.0.113.1:21".parse().unwrap(),
        };
        let said = request(&options, &"icap://h:1344/s", "h:1344", &held(b"hello"), &about);
        let (head, wrapped) = said.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\nX-Client-Username: ann\\x0d\\x0aX: y\r\n"), "{head}");
        assert!(head.contains("\r\nPreview: 4\r\n"), "{head}");
        let asked = "GET ftp://203.0.113.1:21/a%20b%0D%0AX%3A%20y HTTP/1.1\r\n";
        assert!(wrapped.starts_with(asked), "{wrapped}");
        let offset = wrapped.find("HTTP/1.1 200").unwrap();
        let parts = format!("req-hdr=0, res-hdr={offset}, res-body={}", wrapped.len());
        assert!(head.ends_with(&parts), "{head}");
        let text = "ICAP/1.0 200 OK\r\nMethods: LOOK\r\n\r\n";
        assert!(Options::of(&Head::read(&mut text.as_bytes()).await.unwrap()).is_err());
    }
}
