//! Answers of routers, and requests of hosts: what is read is read the same with more behind it, every
//! request has an answer that fits a message, and who may come is somebody of the host's family.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use twoport_proto::pcp::filter::Change;
use twoport_proto::pcp::router::{Outcome, Request, answer, read};
use twoport_proto::pcp::{LONGEST, parse};

fuzz_target!(|bytes: &[u8]| {
    if let Some(answer) = parse(bytes) {
        let longer = [bytes, &[0xff]].concat();
        assert_eq!(parse(&longer), Some(answer));
    }
    // Who it says it comes from is who it comes from, so that the rest is read.
    let client = bytes.get(8..24).and_then(|it| <[u8; 16]>::try_from(it).ok()).map(IpAddr::from);
    let source = client.unwrap_or(IpAddr::from([0; 16])).to_canonical();
    let Some(request) = read(bytes, source) else { return };
    let outcome = match request {
        Ok(Request::Map(_, changes)) => {
            for change in &changes {
                if let Change::Add(filter) = change {
                    assert_eq!(filter.network().is_ipv4(), source.is_ipv4());
                    assert!(filter.covers(filter) && filter.network() <= filter.last());
                }
            }
            Outcome::Mapped { external: 1, address: source, lifetime: 1 }
        }
        Ok(Request::Peer(_, peer)) => {
            assert!(peer.port() != 0 && peer.is_ipv4() == source.is_ipv4());
            Outcome::Mapped { external: 1, address: source, lifetime: 1 }
        }
        Ok(Request::Announce | Request::Address) => Outcome::Announced,
        Err(refusal) => Outcome::Refused(refusal),
    };
    assert!(answer(bytes, outcome, 7).len() <= LONGEST);
});
