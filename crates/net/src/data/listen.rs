//! Waits on a leased port for the one peer that may connect: the client in active mode.
//!
//! It opens no port itself: see [`ports`](super::ports).

use std::net::IpAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use twoport_proto::data::is_client;
use twoport_proto::reason::Reason;

use super::ports::Lease;

/// How long to wait after an error of the system before asking it again.
const PAUSE: Duration = Duration::from_millis(50);

/// The connection of `peer` on a port. Strangers are closed without a word, and it keeps waiting.
///
/// # Errors
/// [`Reason::DataNotConnected`] after `patience`.
pub async fn accept_from(
    lease: &Lease,
    peer: IpAddr,
    patience: Duration,
) -> Result<TcpStream, Reason> {
    let wanted = async {
        loop {
            match lease.accept().await {
                Ok((stream, from)) if is_client(from.ip(), peer, false) => return stream,
                Ok(_) => {}
                // Out of file descriptors, say: the connection waits in the queue meanwhile.
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    };
    tokio::time::timeout(patience, wanted).await.map_err(|_| Reason::DataNotConnected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ports::Ports;
    use tokio::net::TcpSocket;

    #[tokio::test]
    async fn a_stranger_is_passed_over() {
        let any: IpAddr = "127.0.0.1".parse().unwrap();
        let lease = Ports::new(47330..=47339).lease("0.0.0.0".parse().unwrap()).unwrap();
        let port = lease.port();
        let stranger = TcpSocket::new_v4().unwrap();
        stranger.bind("127.0.0.7:0".parse().unwrap()).unwrap();
        let stranger = stranger.connect((any, port).into()).await.unwrap();
        let client = TcpStream::connect((any, port)).await.unwrap();
        let accepted = accept_from(&lease, any, Duration::from_secs(5)).await.unwrap();
        assert_eq!(accepted.peer_addr().unwrap(), client.local_addr().unwrap());
        let nobody = accept_from(&lease, any, Duration::from_millis(20)).await;
        assert_eq!(nobody.unwrap_err(), Reason::DataNotConnected);
        drop(stranger);
    }
}
