//! The proof that a domain leads to this server, shown to whoever comes while it is asked for:
//! tls-alpn-01 (RFC 8737) and http-01 (RFC 8555 §8.3).
//!
//! It judges nothing: the authority comes, looks, and says what it found.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use instant_acme::KeyAuthorization;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::config::names::Domain;
use crate::config::words::AcmeChallenge;
use crate::listen::{listen, listen_anywhere};

/// How long a visitor may stay. Origin: a handshake or a request and its answer, from afar.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many visitors there may be at a time. Origin: Let's Encrypt comes from five places, and both
/// ports are known to scanners.
const VISITORS: usize = 64;

/// What is shown.
#[derive(Clone)]
pub(super) enum Proof {
    /// A certificate.
    Tls(TlsAcceptor),
    /// A page: where it is, and its text.
    Page(Arc<str>, Bytes),
}

impl Proof {
    /// The proof for a domain.
    ///
    /// # Errors
    /// The certificate cannot be made.
    pub(super) fn new(
        kind: AcmeChallenge,
        domain: &Domain,
        token: &str,
        authorization: &KeyAuthorization,
    ) -> io::Result<Self> {
        Ok(match kind {
            AcmeChallenge::TlsAlpn01 => {
                let config = certificate(domain, authorization).map_err(io::Error::other)?;
                Self::Tls(Arc::new(config).into())
            }
            AcmeChallenge::Http01 => {
                let path = format!("/.well-known/acme-challenge/{token}");
                let text = authorization.as_str().as_bytes();
                Self::Page(path.into(), Bytes::copy_from_slice(text))
            }
        })
    }

    async fn show(self, stream: TcpStream) {
        let shown = async {
            match self {
                Self::Tls(acceptor) => {
                    // The handshake is all that is looked at.
                    if let Ok(mut stream) = acceptor.accept(stream).await {
                        drop(stream.shutdown().await);
                    }
                }
                Self::Page(path, text) => {
                    let answer = service_fn(|request| answer(request, &path, &text));
                    let connection =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
                    drop(connection.await);
                }
            }
        };
        // Nobody misses a visitor who stays too long.
        let _: Result<(), _> = timeout(PATIENCE, shown).await;
    }
}

/// RFC 8737 §3: a certificate for the domain alone, with the digest in a critical extension, shown
/// under the protocol `acme-tls/1`.
fn certificate(
    domain: &Domain,
    authorization: &KeyAuthorization,
) -> Result<ServerConfig, Box<dyn std::error::Error + Send + Sync>> {
    let mut params = CertificateParams::new(vec![domain.0.clone()])?;
    let digest = authorization.digest();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest.as_ref())];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.der().clone();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let key = provider.key_provider.load_private_key(key)?;
    // Not by way of what checks certificates: that knows no such critical extension.
    let shown = SingleCertAndKey::from(CertifiedKey::new(vec![certificate], key));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    Ok(config)
}

/// A page of its own kind, since everybody may ask.
async fn answer(
    request: Request<Incoming>,
    path: &str,
    text: &Bytes,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_asked = request.uri().path() == path;
    let mut response = Response::new(Full::new(if is_asked { text.clone() } else { Bytes::new() }));
    if !is_asked {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(response)
}

/// Listens where the authority comes to.
///
/// # Errors
/// What the system says, with the address.
pub(super) fn listeners(
    kind: AcmeChallenge,
    addresses: Option<&[SocketAddr]>,
) -> io::Result<Vec<TcpListener>> {
    match addresses {
        Some(addresses) => addresses.iter().map(|address| listen(*address)).collect(),
        None => listen_anywhere(match kind {
            AcmeChallenge::TlsAlpn01 => 443,
            AcmeChallenge::Http01 => 80,
        }),
    }
}

/// Shows the proof to whoever comes, until the returned set is dropped.
pub(super) fn show(proof: &Proof, listeners: Vec<TcpListener>) -> JoinSet<()> {
    let mut showing = JoinSet::new();
    for listener in listeners {
        showing.spawn(receive(listener, proof.clone()));
    }
    showing
}

async fn receive(listener: TcpListener, proof: Proof) {
    let mut visitors = JoinSet::new();
    loop {
        while visitors.try_join_next().is_some() {}
        if visitors.len() >= VISITORS {
            visitors.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => drop(visitors.spawn(proof.clone().show(stream))),
            // Descriptors ran out, most likely.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}
