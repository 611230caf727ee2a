//! Reads the PROXY header of a connection that a load balancer has made, and not a byte more.
//!
//! Who may send one is the caller's decision.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::net::RecvFlags;
use tokio::net::TcpStream;

use twoport_proto::proxy::{self, Ends, LONGEST};
use twoport_proto::reason::Reason;

use crate::data::dial::canonical;

/// How long the header may take. Origin: it is sent with the first segment, and HAProxy's own
/// `timeout client-hs` is seldom longer.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Whose connection it is; none if it is the load balancer's own.
///
/// # Errors
/// [`Reason::ProxyHeaderMissing`]: there is no header, or not in time.
pub async fn read_header(stream: &TcpStream, patience: Duration) -> Result<Option<Ends>, Reason> {
    let header = tokio::time::timeout(patience, read(stream)).await;
    let ends = header.map_err(|_| Reason::ProxyHeaderMissing)??;
    Ok(ends.map(|ends| Ends {
        source: canonical(ends.source),
        destination: canonical(ends.destination),
    }))
}

async fn read(stream: &TcpStream) -> Result<Option<Ends>, Reason> {
    let mut header = Vec::new();
    loop {
        let known = header.len();
        let mut space = [0; LONGEST];
        let here = space.get_mut(known..).unwrap_or_default();
        // What is behind the header is the session's: it is looked at, and left in the kernel.
        let length = receive(stream, here, RecvFlags::PEEK).await?;
        header.extend_from_slice(here.get(..length).unwrap_or_default());
        let parsed = proxy::parse(&header).map_err(|_| Reason::ProxyHeaderMissing)?;
        let end = parsed.map_or(header.len(), |header| header.length);
        take(stream, end.saturating_sub(known)).await?;
        if let Some(parsed) = parsed {
            return Ok(parsed.ends);
        }
    }
}

/// Takes bytes out of the kernel that are known to be there.
async fn take(stream: &TcpStream, mut count: usize) -> Result<(), Reason> {
    let mut space = [0; LONGEST];
    while count > 0 {
        let space = space.get_mut(..count).unwrap_or_default();
        count = count.saturating_sub(receive(stream, space, RecvFlags::empty()).await?);
    }
    Ok(())
}

async fn receive(stream: &TcpStream, space: &mut [u8], flags: RecvFlags) -> Result<usize, Reason> {
    let received = async {
        loop {
            stream.readable().await?;
            let received = stream.try_io(tokio::io::Interest::READABLE, || {
                Ok(rustix::net::recv(stream, &mut *space, flags)?.0)
            });
            match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received,
            }
        }
    };
    match received.await {
        Ok(length @ 1..) => Ok(length),
        Ok(0) | Err(_) => Err(Reason::ProxyHeaderMissing),
    }
}

/// Where a connection comes from: what the load balancer said, or else itself.
#[must_use]
pub fn source(ends: Option<Ends>, peer: SocketAddr) -> SocketAddr {
    ends.map_or(peer, |ends| ends.source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::pair;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn a_header_in_pieces_is_read_and_what_follows_is_left() {
        let (mut near, mut far) = pair().await;
        near.set_nodelay(true).unwrap();
        let send = async {
            for piece in ["PRO", "XY TCP4 192.0.2.7 192.0.2.1 50000", " 21\r", "\nUSER ann\r\n"] {
                near.write_all(piece.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let (ends, ()) = tokio::join!(read_header(&far, PATIENCE), send);
        assert_eq!(ends.unwrap().unwrap().source, "192.0.2.7:50000".parse().unwrap());
        let mut rest = [0; 10];
        far.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"USER ann\r\n");
    }

    #[tokio::test]
    async fn no_header_is_told_at_once_or_in_time() {
        let (mut near, far) = pair().await;
        near.write_all(b"USER ann\r\n").await.unwrap();
        assert_eq!(read_header(&far, PATIENCE).await, Err(Reason::ProxyHeaderMissing));
        let (silent, far) = pair().await;
        let patience = Duration::from_millis(20);
        assert_eq!(read_header(&far, patience).await, Err(Reason::ProxyHeaderMissing));
        drop(silent);
    }
}
