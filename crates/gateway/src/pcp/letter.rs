//! The book of mappings as lines, for the process that takes the place of this one.
//!
//! It asks nobody whether what it reads is wise: it comes from the own user or root.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use twoport_proto::pcp::Nonce;
use twoport_proto::pcp::filter::Filter;
use twoport_proto::time::Time;

use super::book::{Book, Mapping, Name};

/// A line for each mapping.
pub(super) fn write(book: &Book, now: Time) -> Vec<String> {
    book.0.iter().map(|(name, mapping)| line(name, mapping, now)).collect()
}

fn line(name: &Name, mapping: &Mapping, now: Time) -> String {
    let Mapping { external, nonce, until, is_open, from } = mapping;
    let peer = name.peer.map_or_else(|| "-".to_owned(), |peer| peer.to_string());
    let nonce =
        nonce.map_or_else(|| "-".to_owned(), |nonce| data_encoding::HEXLOWER.encode(&nonce));
    let seconds = until.since(now).as_secs();
    let mut line = format!("{} {peer} {external} {nonce} {seconds} {is_open}", name.internal);
    for from in from {
        let (network, prefix, port) = (from.network(), from.prefix(), from.port());
        let _infallible = write!(line, " {network}/{prefix}/{port}");
    }
    line
}

/// A mapping that was written; none where it makes no sense.
pub(super) fn read(line: &str, now: Time) -> Option<(Name, Mapping)> {
    let mut words = line.split(' ');
    let internal = words.next()?.parse().ok()?;
    let peer: Option<SocketAddr> = match words.next()? {
        "-" => None,
        peer => Some(peer.parse().ok()?),
    };
    let external = words.next()?.parse().ok()?;
    let nonce: Option<Nonce> = match words.next()? {
        "-" => None,
        nonce => Some(data_encoding::HEXLOWER.decode(nonce.as_bytes()).ok()?.try_into().ok()?),
    };
    let until = now.after(Duration::from_secs(words.next()?.parse().ok()?));
    let is_open = words.next()?.parse().ok()?;
    let from: Option<Vec<Filter>> = words.map(filter).collect();
    Some((Name { internal, peer }, Mapping { external, nonce, until, is_open, from: from? }))
}

fn filter(word: &str) -> Option<Filter> {
    let mut parts = word.split('/');
    let (network, prefix, port) = (parts.next()?, parts.next()?, parts.next()?);
    Filter::new(network.parse().ok()?, prefix.parse().ok()?, port.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let network = Filter::new("203.0.113.0".parse().unwrap(), 24, 0).unwrap();
        let mapping = |external, nonce, from| {
            let until = Time::ZERO.after(Duration::from_secs(600));
            Mapping { external: at(external), nonce, until, is_open: true, from }
        };
        let (inside, peer) = (at("10.0.0.10:5000"), at("203.0.113.9:21"));
        let host = Filter::host(peer.ip()).at(21);
        let six = at("[2001:db8::1]:5000");
        let book = Book(
            [
                (
                    Name { internal: inside, peer: None },
                    mapping("198.51.100.1:5001", Some([7; 12]), vec![network, host]),
                ),
                (
                    Name { internal: inside, peer: Some(peer) },
                    mapping("198.51.100.1:5002", None, vec![host]),
                ),
                (
                    Name { internal: six, peer: None },
                    Mapping { is_open: false, ..mapping("[2001:db8::1]:5000", None, Vec::new()) },
                ),
            ]
            .into(),
        );
        let now = Time::ZERO.after(Duration::from_secs(100));
        let lines = write(&book, now);
        let again: Option<_> = lines.iter().map(|line| read(line, now)).collect();
        assert_eq!(again.map(Book).unwrap().0, book.0);
        // The clock of another process.
        let (_, late) = read(&lines[0], Time::ZERO).unwrap();
        assert_eq!(late.until.since(Time::ZERO), Duration::from_secs(500));
        for wrong in ["", "10.0.0.10:5000 - 198.51.100.1:5001 07 600 true", "a b c d e f"] {
            assert!(read(wrong, now).is_none(), "{wrong}");
        }
    }
}
