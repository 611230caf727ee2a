//! Looks at a client's hello before anybody answers it: the bytes stay in the socket for whoever
//! does the handshake.
//!
//! What is in it is read by `twoport_proto::hello`; which session it names is known to
//! [`tickets`](super::tickets).

use std::io;

use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;

use twoport_proto::hello::{First, MAX_HELLO};

/// What the client says first, as far as it must come to know what it is. It ends when the client
/// has said enough; who waits for it sets a time. Nothing is lost if it is dropped.
///
/// # Errors
/// The connection ended before, or what the system says.
pub async fn first(tcp: &TcpStream) -> io::Result<First> {
    let mut space = vec![0; MAX_HELLO];
    loop {
        let ready = tcp.ready(Interest::READABLE).await?;
        let looked = tcp.try_io(Interest::READABLE, || {
            let (length, _) = rustix::net::recv(tcp, &mut space, RecvFlags::PEEK)?;
            match First::read(space.get(..length).unwrap_or_default()) {
                First::Partial if length == 0 || ready.is_read_closed() => {
                    Err(io::ErrorKind::UnexpectedEof.into())
                }
                // The runtime wakes us again when more has come.
                First::Partial => Err(io::ErrorKind::WouldBlock.into()),
                first => Ok(first),
            }
        });
        match looked {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            looked => return looked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::pair;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;

    #[tokio::test]
    async fn it_waits_for_all_of_it_and_takes_nothing_away() {
        let (mut client, mut server) = pair().await;
        let hello = [
            &b"\x16\x03\x01\0\x30\x01\0\0\x2c\x03\x03"[..],
            &[0; 32],
            b"\x01x\0\x02\x13\x01\x01\0",
        ];
        let hello = [&hello.concat()[..], &[0, 0]].concat();
        let looking = tokio::spawn(async move { (first(&server).await, server) });
        for byte in &hello {
            client.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let (found, server_again) = looking.await.unwrap();
        server = server_again;
        let First::Hello(found) = found.unwrap() else { panic!("not a hello") };
        assert_eq!(found.session_id, b"x");
        let mut whole = vec![0; hello.len()];
        server.read_exact(&mut whole).await.unwrap();
        assert_eq!(whole, hello);
    }

    #[tokio::test]
    async fn a_silent_client_keeps_it_waiting_and_the_end_ends_it() {
        let (mut client, server) = pair().await;
        assert!(timeout(Duration::from_millis(20), first(&server)).await.is_err());
        client.write_all(b"\x16\x03").await.unwrap();
        assert!(timeout(Duration::from_millis(20), first(&server)).await.is_err());
        drop(client);
        assert_eq!(first(&server).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn other_words_are_seen_at_once() {
        let (mut client, server) = pair().await;
        client.write_all(b"USER ann\r\n").await.unwrap();
        assert_eq!(first(&server).await.unwrap(), First::Other);
    }
}
