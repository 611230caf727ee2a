//! What a router's gateway leaves behind that was killed: expected connections, and the anchor once nothing
//! needs it any more. For a process that outlives it.
//!
//! The gateway's table needs nobody: it is gone with its owner.

use std::io;
use std::thread::park_timeout;
use std::time::Duration;

use super::message::{Netlink, find};
use super::router::ANCHOR;
use super::routing;
use crate::conntrack::Conntrack;

/// How often it is looked for expectations, and how long between. Origin: the kernel closes the files
/// of a process one after the other, and those tell whose an expectation was.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// How often it is looked whether a transfer needs the anchor. Origin: a second more does no harm.
const WATCH: Duration = Duration::from_secs(1);

/// Takes away what is left of a gateway that has just ended, as soon as that breaks nothing.
///
/// # Errors
/// What the kernel says.
pub fn clear_away() -> io::Result<()> {
    let mut conntrack = Conntrack::open()?;
    for _ in 0..LOOKS {
        conntrack.tidy();
        park_timeout(PAUSE);
    }
    let mut netlink = Netlink::open()?;
    while !weigh(&mut netlink, &mut conntrack)? {
        park_timeout(WATCH);
    }
    Ok(())
}

/// Whether nothing is left to [`clear_away`].
///
/// # Errors
/// What the kernel says.
pub fn is_clear() -> io::Result<bool> {
    let tables = tables(&mut Netlink::open()?)?;
    Ok(has_gateway(&tables) || !has_anchor(&tables))
}

/// Takes the anchor away, unless another gateway is there, whose it is then, or a transfer needs it: then
/// it is to be asked again.
pub(super) fn weigh(netlink: &mut Netlink, conntrack: &mut Conntrack) -> io::Result<bool> {
    let before = tables(netlink)?;
    if has_gateway(&before) || !has_anchor(&before) {
        return Ok(true);
    }
    if conntrack.translates()? {
        return Ok(false);
    }
    // Another that ends at this moment may have taken it.
    let _gone: io::Result<()> = netlink.commit(&[routing::end(ANCHOR)]);
    // One that began at this moment may have found it.
    if has_gateway(&tables(netlink)?) {
        netlink.commit(&routing::anchor(ANCHOR))?;
    }
    Ok(true)
}

/// Whether there is no gateway but that of a table.
pub(super) fn is_alone(netlink: &mut Netlink, own: &str) -> io::Result<bool> {
    let mut others = tables(netlink)?;
    others.retain(|name| name != own.as_bytes());
    Ok(!has_gateway(&others))
}

fn has_gateway(tables: &[Vec<u8>]) -> bool {
    tables.iter().any(|name| name.starts_with(b"twoport-gateway-"))
}

fn has_anchor(tables: &[Vec<u8>]) -> bool {
    tables.iter().any(|name| name == ANCHOR.as_bytes())
}

fn tables(netlink: &mut Netlink) -> io::Result<Vec<Vec<u8>>> {
    const GET_TABLE: u16 = 1;
    const NFTA_TABLE_NAME: u16 = 1;
    let listed = netlink.list(GET_TABLE)?.into_iter();
    let name = |table: &[u8]| find(table, NFTA_TABLE_NAME)?.strip_suffix(&[0]).map(<[u8]>::to_vec);
    Ok(listed.filter_map(|(_, table)| name(&table)).collect())
}
