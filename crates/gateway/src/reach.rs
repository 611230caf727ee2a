//! Which servers can be reached at the ports that they announce: asked once, remembered for a while.
//!
//! What follows from it is the relay machine's to say.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;

use twoport_net::clock;
use twoport_net::data::knock::Knock;
use twoport_net::nft::{Disguise, Router};
use twoport_proto::relay::Way;
use twoport_proto::time::Time;

use crate::hole::lock;
use crate::seat::own_address;

/// How long what was found out is believed. Origin: firewalls are changed by people, who try again
/// after some minutes.
const BELIEVED: Duration = Duration::from_secs(300);

/// How many servers are remembered. Origin: a site has fewer, and who is not remembered is asked again.
const MOST: usize = 4096;

/// What was found out; of a server under TLS apart, since a firewall that reads FTP on the way opens
/// ports in clear only.
#[derive(Debug, Default)]
pub(crate) struct Reach(Mutex<HashMap<(IpAddr, bool), (bool, Time)>>);

impl Reach {
    /// Whether a connection to a port comes up that a server has announced, under TLS or in clear. The
    /// server sees `seen`.
    pub(crate) async fn way(
        &self,
        router: Option<&Router>,
        (at, is_private): (SocketAddr, bool),
        seen: IpAddr,
    ) -> Way {
        let key = (at.ip(), is_private);
        let now = clock::now();
        let known = lock(&self.0).get(&key).copied();
        if let Some((is_open, _)) = known.filter(|(_, until)| now < *until) {
            return if is_open { Way::Known } else { Way::Closed };
        }
        let knocked = knock(router, at, seen).await;
        if let Err(error) = &knocked {
            let server = at.ip();
            tracing::warn!(target: "twoport", %server, %error, "it cannot be found out whether its passive ports are open: upstream-mode is same");
        }
        let (is_open, way) = match knocked {
            Ok(true) => (true, Way::Found),
            Ok(false) => (false, Way::Closed),
            Err(_) => (true, Way::Known),
        };
        let mut known = lock(&self.0);
        if known.len() >= MOST {
            known.retain(|_, (_, until)| now < *until);
        }
        if known.len() < MOST {
            known.insert(key, (is_open, clock::now().after(BELIEVED)));
        }
        way
    }
}

async fn knock(router: Option<&Router>, at: SocketAddr, seen: IpAddr) -> io::Result<bool> {
    let own = own_address(at)?;
    let knock = Knock::new(own, at)?;
    if let Some(router) = router
        && own != seen
        && own.is_ipv4() == seen.is_ipv4()
    {
        router.disguise(&Disguise { target: at, port: knock.port(), seen })?;
    }
    knock.answers().await
}
