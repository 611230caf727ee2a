//! The server's end of TLS: handshakes on control and data connections, and the proof that a data
//! connection belongs to its session.
//!
//! The proof: each ticket that is given out on a control connection, or on one of its data
//! connections, has the session's identity sealed in it. Who resumes with such a ticket holds the
//! secrets of that session's TLS. Nothing is kept on the server for it.

use std::sync::Arc;
use std::time::Duration;

use rustls::{HandshakeKind, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use twoport_proto::reason::Reason;

use super::TlsError;
use crate::stream::Stream;

/// A session's identity in its tickets: random, so that a ticket of another session, server or day
/// never fits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Identity([u8; 16]);

impl Identity {
    /// A new one.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

/// It is as good as a key: never shown.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("•••")
    }
}

/// Whether a data connection must resume the TLS session of its control connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reuse {
    /// It is not looked at.
    Off,
    /// A connection that resumes another session is refused, one that resumes none is taken.
    #[default]
    Prefer,
    /// Only one that resumes this session is taken.
    Required,
}

/// What came out of a handshake on a control connection.
#[derive(Debug)]
pub struct Accepted {
    /// The connection under TLS.
    pub stream: Stream,
    /// The client's certificate in DER, if it gave one; it was verified.
    pub certificate: Option<Vec<u8>>,
}

/// Does the server's part of the handshake on a control connection, within `patience`.
///
/// # Errors
/// Why it failed. The connection is closed then.
pub async fn control(
    tcp: TcpStream,
    config: Arc<ServerConfig>,
    identity: Identity,
    patience: Duration,
) -> Result<Accepted, TlsError> {
    let stream = handshake(tcp, config, identity, patience).await?;
    let certificates = stream.get_ref().1.peer_certificates();
    let certificate = certificates.and_then(<[_]>::first).map(|first| first.to_vec());
    let stream = tokio_rustls::TlsStream::Server(stream).into();
    Ok(Accepted { stream, certificate })
}

/// Does the server's part of the handshake on a data connection of the session, and looks at the
/// proof.
///
/// # Errors
/// Why it failed. The connection is closed then.
pub async fn data(
    tcp: TcpStream,
    config: Arc<ServerConfig>,
    identity: Identity,
    reuse: Reuse,
    patience: Duration,
) -> Result<Stream, TlsError> {
    let stream = handshake(tcp, config, identity, patience).await?;
    let session = stream.get_ref().1;
    let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
    let own = session.received_resumption_data() == Some(&identity.0);
    let proven = match reuse {
        Reuse::Off => true,
        Reuse::Prefer => own || !resumed,
        Reuse::Required => own && resumed,
    };
    if proven {
        Ok(tokio_rustls::TlsStream::Server(stream).into())
    } else {
        Err(TlsError::new(Reason::TlsNotResumed))
    }
}

async fn handshake(
    tcp: TcpStream,
    config: Arc<ServerConfig>,
    identity: Identity,
    patience: Duration,
) -> Result<tokio_rustls::server::TlsStream<TcpStream>, TlsError> {
    let accept = TlsAcceptor::from(config)
        .accept_with(tcp, |session| session.set_resumption_data(&identity.0));
    match tokio::time::timeout(patience, accept).await {
        Ok(accepted) => Ok(accepted?),
        Err(_) => Err(TlsError::new(Reason::TlsSilent)),
    }
}
