//! What a gateway listens at, by name, as one process hands it to the next: no client finds a port closed
//! while they change.
//!
//! It opens and sends nothing: how the sockets get there is the program's matter.

use std::io;
use std::os::fd::OwnedFd;

use tokio::net::TcpListener;

/// Listening sockets, each with what it is for. A name may be there more than once.
#[derive(Debug, Default)]
pub struct Sockets(Vec<(String, OwnedFd)>);

impl Sockets {
    /// Another one.
    pub fn add(&mut self, name: impl Into<String>, socket: impl Into<OwnedFd>) {
        self.0.push((name.into(), socket.into()));
    }

    /// The first one of a name.
    pub fn take(&mut self, name: &str) -> Option<OwnedFd> {
        let at = self.0.iter().position(|(own, _)| own == name)?;
        Some(self.0.remove(at).1)
    }

    /// The names of those that are left.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The first one of a name, of TCP.
    pub(crate) fn listener(&mut self, name: &str) -> io::Result<Option<TcpListener>> {
        let Some(socket) = self.take(name) else { return Ok(None) };
        let listener = std::net::TcpListener::from(socket);
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener).map(Some)
    }

    /// All of them.
    pub(crate) fn listeners(&mut self, name: &str) -> io::Result<Vec<TcpListener>> {
        std::iter::from_fn(|| self.listener(name).transpose()).collect()
    }
}

impl Extend<(String, OwnedFd)> for Sockets {
    fn extend<T: IntoIterator<Item = (String, OwnedFd)>>(&mut self, more: T) {
        self.0.extend(more);
    }
}

impl IntoIterator for Sockets {
    type Item = (String, OwnedFd);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_of_one_name_come_in_their_order_and_others_stay() {
        let port = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (first, second) = (port(), port());
        let wanted = [&first, &second].map(|one| one.local_addr().unwrap());
        let mut sockets = Sockets::default();
        sockets.add("a", first);
        sockets.add("b", port());
        sockets.add("a", second);
        let addresses = ["a", "a"].map(|name| {
            std::net::TcpListener::from(sockets.take(name).unwrap()).local_addr().unwrap()
        });
        assert_eq!(addresses, wanted);
        assert!(sockets.take("a").is_none());
        assert_eq!(sockets.names(), ["b"]);
    }
}
