//! The server's end of TLS: handshakes on control and data connections, and the proof that a data
//! connection belongs to its session.
//!
//! The proof: who resumes with a ticket that was given out on the session's control connection, or
//! on one of its data connections, holds the secrets of that session's TLS. That a ticket opens for
//! no other session is the matter of [`tickets`](super::tickets).

use std::sync::Arc;
use std::time::Duration;

use rustls::{HandshakeKind, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use twoport_proto::reason::Reason;

use super::TlsError;
use crate::stream::{Io, Stream};

/// Whether a data connection must resume the TLS session of its control connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reuse {
    /// It is not looked at.
    Off,
    /// It is looked at and told in the log; a connection without it is taken all the same.
    #[default]
    Prefer,
    /// Only a connection with it is taken.
    Required,
}

/// Does the server's part of the handshake on a control connection, within `patience`.
///
/// # Errors
/// Why it failed. The connection is closed then.
pub async fn control(
    tcp: TcpStream,
    config: Arc<ServerConfig>,
    patience: Duration,
) -> Result<Stream, TlsError> {
    let stream = handshake(tcp, config, patience).await?;
    Ok(tokio_rustls::TlsStream::Server(stream).into())
}

/// Does the server's part of the handshake on a data connection of the session, and looks at the
/// proof.
///
/// # Errors
/// Why it failed. The connection is closed then.
pub async fn data(
    tcp: TcpStream,
    config: Arc<ServerConfig>,
    reuse: Reuse,
    patience: Duration,
) -> Result<Stream, TlsError> {
    let stream = handshake(tcp, config, patience).await?;
    let is_proven = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
    match (reuse, is_proven) {
        (Reuse::Required, false) => return Err(TlsError::new(Reason::TlsNotResumed)),
        (Reuse::Prefer, false) => {
            let reason = Reason::TlsNotResumed;
            tracing::debug!(target: "twoport", %reason, "{}", reason.describe());
        }
        _ => {}
    }
    Ok(tokio_rustls::TlsStream::Server(stream).into())
}

async fn handshake(
    tcp: TcpStream,
    config: Arc<ServerConfig>,
    patience: Duration,
) -> Result<tokio_rustls::server::TlsStream<Io>, TlsError> {
    match tokio::time::timeout(patience, TlsAcceptor::from(config).accept(Io::new(tcp))).await {
        Ok(accepted) => Ok(accepted?),
        Err(_) => Err(TlsError::new(Reason::TlsSilent)),
    }
}
