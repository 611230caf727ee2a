//! The requests to the authority: HTTPS on the TLS that the rest of the server uses.
//!
//! Each has a connection of its own: an order takes ten of them, every two months. What is said on
//! it is the library's.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::http::HeaderValue;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long a request may take. Origin: what certbot allows (45 s); finalising asks the authority for
/// a signature.
const PATIENCE: Duration = Duration::from_secs(45);

/// The longest answer. Origin: a chain of certificates is a few kilobytes.
const LONGEST: usize = 1 << 20;

type Failed = Box<dyn StdError + Send + Sync>;

/// Speaks to the authority.
pub(super) struct Https {
    tls: TlsConnector,
}

impl Https {
    pub(super) fn new(config: ClientConfig) -> Self {
        Self { tls: Arc::new(config).into() }
    }
}

impl HttpClient for Https {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let (tls, uri) = (self.tls.clone(), request.uri().clone());
        Box::pin(async move {
            let answer = timeout(PATIENCE, exchange(tls, request)).await;
            let answer = answer.unwrap_or_else(|_| Err("no answer in time".into()));
            answer.map_err(|error| Error::Other(format!("{uri}: {}", in_full(&*error)).into()))
        })
    }
}

async fn exchange(
    tls: TlsConnector,
    mut request: Request<BodyWrapper<Bytes>>,
) -> Result<BytesResponse, Failed> {
    let uri = request.uri().clone();
    // RFC 8555 §6.1.
    if uri.scheme_str() != Some("https") {
        return Err("the authority names a URL that is not of HTTPS".into());
    }
    let (Some(host), Some(authority)) = (uri.host(), uri.authority()) else {
        return Err("the authority names a URL without a host".into());
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let tcp = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(443))).await?;
    let stream = tls.connect(ServerName::try_from(host)?, tcp).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // The answer says what became of it.
    tokio::spawn(async { drop(connection.await) });
    request.headers_mut().insert(HOST, HeaderValue::from_str(authority.as_str())?);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse::<Uri>()?;
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, LONGEST).collect().await?.to_bytes();
    Ok(BytesResponse { parts, body: Box::new(body) })
}

/// An error with its causes: the last one says what was wrong.
fn in_full(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    text
}
