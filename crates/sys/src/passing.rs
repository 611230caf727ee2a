//! Open files that one process passes to another, in packets of text: a door with a name in this network
//! namespace, and the two ends of a dialogue at it.
//!
//! It knows nothing of what is passed, and asks nobody who he is: it tells that.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use rustix::cmsg_space;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, connect,
    listen, recvmsg, sendmsg, socket_with,
};

/// The longest text of a packet.
pub const LONGEST: usize = 4096;

/// Opens a door of a name; it has no file, and is gone with the last process that holds it.
///
/// # Errors
/// Somebody has the name.
pub fn open(name: &str) -> io::Result<UnixListener> {
    let door = socket()?;
    bind(&door, &SocketAddrUnix::new_abstract_name(name.as_bytes())?)?;
    listen(&door, 8)?;
    Ok(door.into())
}

fn socket() -> io::Result<OwnedFd> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    Ok(socket_with(family, kind, SocketFlags::CLOEXEC, None)?)
}

/// One end of a dialogue.
#[derive(Debug)]
pub struct Dialogue(OwnedFd);

/// Whose process is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its user.
    pub user: u32,
    /// Its number, as seen here; 0 if it is not.
    pub process: i32,
}

impl Dialogue {
    /// Knocks at a door; who waits longer than `patience` gets an error, then and later.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn begin(name: &str, patience: Duration) -> io::Result<Self> {
        let own = socket()?;
        connect(&own, &SocketAddrUnix::new_abstract_name(name.as_bytes())?)?;
        Self(own).patient(patience)
    }

    /// With one who has knocked, and was accepted.
    ///
    /// # Errors
    /// What the system says.
    pub fn with(accepted: UnixStream, patience: Duration) -> io::Result<Self> {
        accepted.set_nonblocking(false)?;
        Self(accepted.into()).patient(patience)
    }

    fn patient(self, patience: Duration) -> io::Result<Self> {
        for way in [Timeout::Recv, Timeout::Send] {
            set_socket_timeout(&self.0, way, Some(patience))?;
        }
        Ok(self)
    }

    /// Who is at the other end: of one who has knocked that of then, of a door its owner's when it was
    /// opened.
    ///
    /// # Errors
    /// What the system says.
    pub fn peer(&self) -> io::Result<Peer> {
        let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
        let mut length = libc::socklen_t::try_from(size_of::<libc::ucred>()).unwrap_or_default();
        // SAFETY: the descriptor is open while `self` is borrowed; the kernel writes at most `length`
        // bytes, which is the size of `peer`, whose numbers may be any.
        let result = unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERCRED,
                (&raw mut peer).cast(),
                &raw mut length,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Peer { user: peer.uid, process: peer.pid })
    }

    /// Sends a text, and with it a file.
    ///
    /// # Errors
    /// What the system says; the other end is gone.
    pub fn send(&self, text: &str, file: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let files: Vec<BorrowedFd<'_>> = file.into_iter().collect();
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&files)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        sendmsg(&self.0, &[IoSlice::new(text.as_bytes())], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next text, and the file that came with it; none at the end.
    ///
    /// # Errors
    /// What the system says; a text that is none, or too long.
    pub fn receive(&self) -> io::Result<Option<(String, Option<OwnedFd>)>> {
        let mut bytes = vec![0; LONGEST + 1];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        // Another program that is started meanwhile must not hold the file.
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags)?;
        let files = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(files) => Some(files),
            _ => None,
        });
        let file = files.flatten().next();
        if received.bytes == 0 {
            return Ok(None);
        }
        bytes.truncate(received.bytes);
        match String::from_utf8(bytes) {
            Ok(text) if text.len() <= LONGEST => Ok(Some((text, file))),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;

    #[test]
    fn a_listener_is_passed_with_its_name_and_both_ends_know_each_other() {
        let name = format!("twoport-test {}", std::process::id());
        assert!(Dialogue::begin(&name, Duration::from_secs(5)).is_err());
        let door = open(&name).unwrap();
        assert_eq!(open(&name).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let near = Dialogue::begin(&name, Duration::from_millis(50)).unwrap();
        let far = Dialogue::with(door.accept().unwrap().0, Duration::from_secs(5)).unwrap();
        let peer = far.peer().unwrap();
        assert_eq!(u32::try_from(peer.process), Ok(std::process::id()));
        assert_eq!(peer.user, rustix::process::getuid().as_raw());
        assert_eq!(near.peer().unwrap(), peer);

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        far.send("a door", Some(listener.as_fd())).unwrap();
        far.send("and a word", None).unwrap();
        drop(listener);
        let (text, file) = near.receive().unwrap().unwrap();
        let passed = TcpListener::from(file.unwrap());
        assert_eq!((text.as_str(), passed.local_addr().unwrap()), ("a door", address));
        let mut client = TcpStream::connect(address).unwrap();
        passed.accept().unwrap().0.write_all(b"here").unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "here");
        let (text, file) = near.receive().unwrap().unwrap();
        assert_eq!((text.as_str(), file.is_none()), ("and a word", true));
        // It has no more to say, and then it is gone.
        assert_eq!(near.receive().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(far);
        assert!(near.receive().unwrap().is_none());
    }
}
