//! HASH, XCRC and their kin: the hash of a file or of a range in it.
//!
//! The algorithms are those of the `RustCrypto` crates and `crc32fast`.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

use twoport_proto::command::HashAlgorithm;
use twoport_proto::path::VirtualPath;
use twoport_proto::reason::Reason;
use twoport_proto::server::Outcome;

use super::{Result, open, read_all};
use crate::world::World;

/// A hash under way.
enum State {
    Crc32(crc32fast::Hasher),
    Md5(Md5),
    Sha1(Sha1),
    Sha256(Sha256),
    Sha512(Sha512),
}

impl State {
    fn new(algorithm: HashAlgorithm) -> Self {
        match algorithm {
            HashAlgorithm::Crc32 => Self::Crc32(crc32fast::Hasher::new()),
            HashAlgorithm::Md5 => Self::Md5(Md5::new()),
            HashAlgorithm::Sha1 => Self::Sha1(Sha1::new()),
            HashAlgorithm::Sha256 => Self::Sha256(Sha256::new()),
            HashAlgorithm::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    fn update(&mut self, chunk: &[u8]) {
        match self {
            Self::Crc32(state) => state.update(chunk),
            Self::Md5(state) => state.update(chunk),
            Self::Sha1(state) => state.update(chunk),
            Self::Sha256(state) => state.update(chunk),
            Self::Sha512(state) => state.update(chunk),
        }
    }

    /// CRC-32 is written in capitals, as its clients compare it; the others in small letters.
    fn hex(self) -> Vec<u8> {
        match self {
            Self::Crc32(state) => format!("{:08X}", state.finalize()).into_bytes(),
            Self::Md5(state) => lower(&state.finalize()),
            Self::Sha1(state) => lower(&state.finalize()),
            Self::Sha256(state) => lower(&state.finalize()),
            Self::Sha512(state) => lower(&state.finalize()),
        }
    }
}

fn lower(digest: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: &u8| [usize::from(byte >> 4), usize::from(byte & 15)];
    digest.iter().flat_map(digits).filter_map(|digit| DIGITS.get(digit).copied()).collect()
}

/// Hashes the bytes from the first up to but without the one behind the last.
pub(super) fn run(
    world: &World,
    path: &VirtualPath,
    algorithm: HashAlgorithm,
    range: Option<(u64, u64)>,
) -> Result<Outcome> {
    let (first, behind) = range.unwrap_or((0, u64::MAX));
    if behind < first {
        return Err(Reason::BadArgument);
    }
    let mut source = open(world, path, first)?;
    let behind = behind.min(source.size());
    let mut state = State::new(algorithm);
    read_all(&mut *source, behind.saturating_sub(first), |chunk| state.update(chunk))?;
    Ok(Outcome::Digest { hex: state.hex(), first, behind })
}
