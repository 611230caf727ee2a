//! A data connection between its set-up and its transfer, as it came.
//!
//! Whether the runtime has to know it is seen when it is used: a short file is sent without that.

use std::io;
use std::net::TcpStream as Socket;

use tokio::net::TcpStream;

use twoport_net::data::dial::Dialled;
use twoport_net::stream::Stream;

/// A data connection that is up and not in use.
pub(super) enum Connection {
    /// Just accepted, or dialled without a wait: the runtime does not know it yet.
    Fresh(Socket),
    /// Waited for, secured, or handed over by a desk.
    Known(Stream),
}

impl From<Dialled> for Connection {
    fn from(dialled: Dialled) -> Self {
        match dialled {
            Dialled::Fresh(socket) => Self::Fresh(socket),
            Dialled::Known(stream) => Self::Known(stream.into()),
        }
    }
}

impl Connection {
    /// For whoever has to wait for it.
    pub(super) fn known(self) -> io::Result<Stream> {
        match self {
            Self::Fresh(socket) => TcpStream::from_std(socket).map(Stream::from),
            Self::Known(stream) => Ok(stream),
        }
    }

    /// Whether the end of its data is proven.
    pub(super) const fn is_tls(&self) -> bool {
        match self {
            Self::Fresh(_) => false,
            Self::Known(stream) => stream.is_tls(),
        }
    }
}
