//! The outer address as a cloud's metadata service has it: AWS (IMDSv2), GCP and Azure.
//!
//! It asks the link-local address 169.254.169.254 and no other, and takes an address or nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const SERVICE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);

/// How long one answer may take. Origin: the service is in the same host; elsewhere nobody answers.
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest answer that is read. Origin: an address and some headers.
const LONGEST: u64 = 4096;

/// The outer address of this host, if a cloud knows one.
pub(super) async fn address() -> Option<IpAddr> {
    let (aws, gcp, azure) = tokio::join!(aws(), gcp(), azure());
    aws.or(gcp).or(azure)
}

async fn aws() -> Option<IpAddr> {
    let token = ask("PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 60").await?;
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let header = format!("X-aws-ec2-metadata-token: {token}");
    ask("GET", "/latest/meta-data/public-ipv4", &header).await?.parse().ok()
}

async fn gcp() -> Option<IpAddr> {
    let path = "/computeMetadata/v1/instance/network-interfaces/0/access-configs/0/external-ip";
    ask("GET", path, "Metadata-Flavor: Google").await?.parse().ok()
}

async fn azure() -> Option<IpAddr> {
    let path = "/metadata/instance/network/interface/0/ipv4/ipAddress/0/publicIpAddress\
                ?api-version=2021-02-01&format=text";
    ask("GET", path, "Metadata: true").await?.parse().ok()
}

/// The text of a good answer. HTTP/1.0 has no chunks, and ends with the connection.
async fn ask(method: &str, path: &str, header: &str) -> Option<String> {
    let asked = async {
        let mut stream = TcpStream::connect(SERVICE).await?;
        let request = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\n{header}\r\nContent-Length: 0\r\n\r\n",
            SERVICE.ip()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(LONGEST).read_to_end(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer = timeout(PATIENCE, asked).await.ok()?.ok()?;
    body(std::str::from_utf8(&answer).ok()?).map(str::to_owned)
}

fn body(answer: &str) -> Option<&str> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut words = head.lines().next()?.split(' ');
    let is_good = words.next()?.starts_with("HTTP/1.") && words.next()? == "200";
    is_good.then(|| body.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_answers_have_a_body_and_others_none() {
        assert_eq!(body("HTTP/1.0 200 OK\r\nA: b\r\n\r\n203.0.113.7\n"), Some("203.0.113.7"));
        for bad in ["HTTP/1.1 404 Not Found\r\n\r\n203.0.113.7", "203.0.113.7", "SSH-2.0\r\n\r\nx"]
        {
            assert_eq!(body(bad), None, "{bad}");
        }
    }
}
