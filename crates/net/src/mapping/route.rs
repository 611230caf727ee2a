//! The router of the default route, and the own address towards it: read from the kernel's tables.
//!
//! It changes no route.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

use twoport_proto::pcp::PORT;

/// The router for connections of `local`'s family, at the port of PCP. One of IPv6 has a link-local
/// address, and with it the number of its link.
///
/// # Errors
/// There is none, or the kernel does not tell.
pub fn gateway(local: IpAddr) -> io::Result<SocketAddr> {
    let found = match local.to_canonical() {
        IpAddr::V4(_) => gateway_v4(&read("route")?),
        IpAddr::V6(_) => match gateway_v6(&read("ipv6_route")?) {
            Some((address, link)) => {
                let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
                let number = rustix::net::netdevice::name_to_index(&socket, &link)?;
                Some(SocketAddrV6::new(address, PORT, 0, number).into())
            }
            None => None,
        },
    };
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no default route"))
}

/// The own IPv4 address towards the router.
///
/// # Errors
/// There is no default route.
pub fn local_v4() -> io::Result<IpAddr> {
    local_towards(gateway(Ipv4Addr::UNSPECIFIED.into())?)
}

/// The own address towards `peer`. Nothing is sent.
///
/// # Errors
/// There is no way there.
pub fn local_towards(peer: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match peer {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(peer)?;
    Ok(socket.local_addr()?.ip())
}

/// The table of the network namespace that this thread is in.
fn read(table: &str) -> io::Result<String> {
    fs::read_to_string(format!("/proc/thread-self/net/{table}"))
}

/// Of several the one with the lowest metric.
fn gateway_v4(table: &str) -> Option<SocketAddr> {
    let routes = table.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let &[_, destination, gateway, _, _, _, metric, mask, ..] = columns.as_slice() else {
            return None;
        };
        let is_default = destination == "00000000" && mask == "00000000";
        // The kernel prints the number as it lies in memory.
        let gateway = Ipv4Addr::from(u32::from_str_radix(gateway, 16).ok()?.to_ne_bytes());
        (is_default && !gateway.is_unspecified()).then(|| metric.parse().ok().zip(Some(gateway)))?
    });
    let best = routes.min_by_key(|&(metric, _): &(u32, Ipv4Addr)| metric);
    best.map(|(_, gateway)| (gateway, PORT).into())
}

fn gateway_v6(table: &str) -> Option<(Ipv6Addr, String)> {
    let routes = table.lines().filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let &[destination, length, _, _, gateway, metric, .., link] = columns.as_slice() else {
            return None;
        };
        let is_default = length == "00" && destination.bytes().all(|digit| digit == b'0');
        let gateway = Ipv6Addr::from(u128::from_str_radix(gateway, 16).ok()?);
        let metric = u32::from_str_radix(metric, 16).ok()?;
        (is_default && !gateway.is_unspecified()).then(|| (metric, gateway, link.to_owned()))
    });
    let best = routes.min_by_key(|&(metric, ..)| metric);
    best.map(|(_, gateway, link)| (gateway, link))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_default_route_of_ipv4_with_the_lowest_metric() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
            eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
            wlan0\t00000000\t0101A8C0\t0003\t0\t0\t50\t00000000\t0\t0\t0\n\
            eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(gateway_v4(table), Some("192.168.1.1:5351".parse().unwrap()));
        assert_eq!(gateway_v4("Iface\n"), None);
    }

    #[test]
    fn the_default_route_of_ipv6_and_its_link() {
        let zero = "0".repeat(32);
        let table = format!(
            "fe800000000000000000000000000000 40 {zero} 00 {zero} 00000100 00000001 00000000 00000001 eth0\n\
             {zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 00000003 00000000 00450003 eth0\n\
             {zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200 lo\n"
        );
        assert_eq!(gateway_v6(&table), Some(("fe80::1".parse().unwrap(), "eth0".into())));
    }
}
