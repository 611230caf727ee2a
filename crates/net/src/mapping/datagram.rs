//! PCP and NAT-PMP over UDP: one request, repeated until its answer comes.
//!
//! The messages themselves are in `twoport_proto::pcp`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use twoport_proto::pcp::filter::Filter;
use twoport_proto::pcp::{self, Answer, LONGEST, Nonce, Wish};

use super::{Granted, MappingError, Protocol, nonce};

/// How long the first answer may take; each further one twice as long. Origin: RFC 6886 §3.1.
const FIRST: Duration = Duration::from_millis(250);

/// How often a request is sent. Origin: four of them take 3.75 s; who has not answered then will not.
const TRIES: u32 = 4;

/// A port that nobody uses for TCP: mapped for a moment, to learn the outer address by PCP, which
/// tells it with a mapping only.
const DISCARD: u16 = 9;

/// A router, and the own address towards it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Datagram {
    pub(super) protocol: Protocol,
    local: IpAddr,
    gateway: SocketAddr,
}

impl Datagram {
    pub(super) async fn discover(
        local: IpAddr,
        gateway: SocketAddr,
        patience: Duration,
    ) -> Result<Self, MappingError> {
        let router = |protocol| Self { protocol, local, gateway };
        let probe = router(Protocol::Pcp);
        // A router of NAT-PMP alone may be silent to PCP, though it should not be.
        let old = router(Protocol::NatPmp);
        let probed = async {
            let announce = pcp::announce(local);
            let by_pcp = probe.exchange(&announce, |_| true);
            let by_nat_pmp = async {
                tokio::time::sleep(FIRST).await;
                let request = pcp::address_by_nat_pmp();
                old.exchange(&request, |answer| matches!(answer, Answer::Address(_))).await
            };
            tokio::pin!(by_pcp, by_nat_pmp);
            tokio::select! {
                answer = &mut by_pcp => match answer {
                    Ok(Answer::OnlyNatPmp) => Ok(old),
                    Ok(_) => Ok(probe),
                    Err(error) if local.is_ipv6() => Err(error),
                    Err(_) => by_nat_pmp.await.map(|_| old),
                },
                answer = &mut by_nat_pmp, if local.is_ipv4() => match answer {
                    Ok(_) => Ok(old),
                    Err(_) => by_pcp.await.map(|_| probe),
                },
            }
        };
        timeout(patience, probed)
            .await
            .unwrap_or_else(|_| Err(MappingError::silent(format!("{} says nothing", gateway.ip()))))
    }

    pub(super) async fn external_address(&self) -> Result<IpAddr, MappingError> {
        if self.protocol == Protocol::NatPmp {
            return self.address_by_nat_pmp().await;
        }
        let nonce = nonce()?;
        let granted = self.map(DISCARD, 0, Duration::from_secs(60), nonce, None).await?;
        self.end(DISCARD, nonce).await;
        Ok(granted.external.ip())
    }

    pub(super) async fn map(
        &self,
        internal: u16,
        external: u16,
        lifetime: Duration,
        nonce: Nonce,
        from: Option<IpAddr>,
    ) -> Result<Granted, MappingError> {
        let seconds = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX).max(1);
        let wish = Wish { client: self.local, internal, external, lifetime: seconds, nonce };
        let mut answer = self.wish(&wish, from).await?;
        // Many a router knows no FILTER (RFC 6887 §7.4: 5, 6 and 13 are about options).
        if let (Answer::Refused(5 | 6 | 13), Some(_)) = (&answer, from) {
            answer = self.wish(&wish, None).await?;
        }
        let (port, address, lifetime) = match answer {
            Answer::Mapped { external, address, lifetime, .. } => (external, address, lifetime),
            other => return Err(refused(other)),
        };
        let address = match address {
            Some(address) => address,
            None => self.address_by_nat_pmp().await?,
        };
        let lifetime = Duration::from_secs(lifetime.into());
        Ok(Granted { external: SocketAddr::new(address, port), lifetime })
    }

    async fn address_by_nat_pmp(&self) -> Result<IpAddr, MappingError> {
        let is_mine = |answer: &Answer| !matches!(answer, Answer::Mapped { .. });
        match self.exchange(&pcp::address_by_nat_pmp(), is_mine).await? {
            Answer::Address(address) => Ok(address.into()),
            other => Err(refused(other)),
        }
    }

    /// Whether the router heard it does not matter: the mapping ends by itself, too.
    pub(super) async fn end(&self, internal: u16, nonce: Nonce) {
        let wish = Wish { client: self.local, internal, external: 0, lifetime: 0, nonce };
        let _heard: Result<Answer, _> = self.wish(&wish, None).await;
    }

    async fn wish(&self, wish: &Wish, from: Option<IpAddr>) -> Result<Answer, MappingError> {
        let request = match (self.protocol, from) {
            (Protocol::NatPmp, _) => pcp::map_by_nat_pmp(wish),
            (Protocol::Pcp | Protocol::Upnp, None) => pcp::map(wish),
            (Protocol::Pcp | Protocol::Upnp, Some(from)) => {
                pcp::map_from(wish, &Filter::host(from.to_canonical()))
            }
        };
        let is_mine = |answer: &Answer| match answer {
            Answer::Mapped { internal, nonce, .. } => {
                *internal == wish.internal && nonce.is_none_or(|nonce| nonce == wish.nonce)
            }
            Answer::Refused(_) | Answer::OnlyNatPmp => true,
            Answer::Announced | Answer::Address(_) => false,
        };
        self.exchange(&request, is_mine).await
    }

    /// The answer to a request, from the router's own address only (RFC 6887 §8.1.1).
    async fn exchange(
        &self,
        request: &[u8],
        is_mine: impl Fn(&Answer) -> bool,
    ) -> Result<Answer, MappingError> {
        let socket = UdpSocket::bind((self.local, 0)).await?;
        socket.connect(self.gateway).await?;
        let mut wait = FIRST;
        let mut last = io::Error::from(io::ErrorKind::TimedOut);
        for _ in 0..TRIES {
            socket.send(request).await?;
            match timeout(wait, answer(&socket, &is_mine)).await {
                Ok(Ok(answer)) => return Ok(answer),
                // Nobody listens: the router says so at once, and will say it again.
                Ok(Err(error)) => {
                    last = error;
                    break;
                }
                Err(_) => wait *= 2,
            }
        }
        Err(MappingError::silent(format!("{}: {last}", self.gateway.ip())))
    }
}

async fn answer(socket: &UdpSocket, is_mine: impl Fn(&Answer) -> bool) -> io::Result<Answer> {
    let mut space = [0; LONGEST];
    loop {
        let length = socket.recv(&mut space).await?;
        let answer = space.get(..length).and_then(pcp::parse);
        if let Some(answer) = answer.filter(|answer| is_mine(answer)) {
            return Ok(answer);
        }
    }
}

fn refused(answer: Answer) -> MappingError {
    let why = match answer {
        // RFC 6887 §7.4; 2 to 4 mean the same in RFC 6886 §3.5 but for 4.
        Answer::Refused(2) => "not authorised".to_owned(),
        Answer::Refused(3) => "malformed request, or no outer address".to_owned(),
        Answer::Refused(8) => "out of resources".to_owned(),
        Answer::Refused(10) => "too many mappings for this host".to_owned(),
        Answer::Refused(11) => "that outer port cannot be had".to_owned(),
        Answer::Refused(12) => "a NAT stands between this host and the router".to_owned(),
        Answer::Refused(number) => format!("result {number}"),
        Answer::OnlyNatPmp => "another version of the protocol".to_owned(),
        Answer::Announced | Answer::Address(_) | Answer::Mapped { .. } => {
            "an answer to another question".to_owned()
        }
    };
    MappingError::refused(why)
}
