//! From a connection in clear to another, through a pipe in the kernel.
//!
//! A pipe is held only while bytes flow. It knows one direction; the other is the caller's.

use std::io;
use std::net::Shutdown;

use rustix::pipe::{SpliceFlags, splice};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::pipe::Pipe;

/// Moves all that comes until the end, which is handed on. What was moved is counted in `moved`,
/// whatever happens.
///
/// # Errors
/// What the system says of either connection.
pub async fn relay(from: &TcpStream, to: &TcpStream, moved: &mut u64) -> io::Result<()> {
    loop {
        from.readable().await?;
        let pipe = Pipe::take()?;
        let has_ended = burst(&pipe, from, to, moved).await?;
        pipe.give_back();
        if has_ended {
            return SockRef::from(to).shutdown(Shutdown::Write);
        }
    }
}

/// What is at hand; whether it is all.
async fn burst(pipe: &Pipe, from: &TcpStream, to: &TcpStream, moved: &mut u64) -> io::Result<bool> {
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    loop {
        let taken = from.try_io(Interest::READABLE, || {
            Ok(splice(from, None, &pipe.into, None, pipe.size, flags)?)
        });
        let mut left = match taken {
            Ok(0) => return Ok(true),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        while left > 0 {
            to.writable().await?;
            let given = to
                .try_io(Interest::WRITABLE, || Ok(splice(&pipe.out, None, to, None, left, flags)?));
            match given {
                Ok(length) => {
                    left = left.saturating_sub(length);
                    *moved += u64::try_from(length).unwrap_or(u64::MAX);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::pair;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn all_bytes_and_the_end_come_through() {
        let content: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251).to_le_bytes()[0]).collect();
        let (mut source, inner) = pair().await;
        let (outer, mut sink) = pair().await;
        let relayed = tokio::spawn(async move {
            let mut moved = 0;
            relay(&inner, &outer, &mut moved).await.map(|()| moved)
        });
        let (wanted, mut got) = (content.clone(), Vec::new());
        let sent = tokio::spawn(async move { source.write_all(&content).await });
        sink.read_to_end(&mut got).await.unwrap();
        sent.await.unwrap().unwrap();
        assert_eq!(relayed.await.unwrap().unwrap(), 5_000_000);
        assert!(got == wanted);
    }
}
