//! The system calls twoport needs, each behind a safe function: files beneath a directory that
//! nothing leads out of, and names in a directory that cannot move under one's feet.
//!
//! It decides nothing: which links may be followed, what an error means to a peer and when data
//! must be on the disk is said by the caller. Errors are the kernel's own numbers.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

pub mod allocations;
pub mod beneath;
pub mod directory;
pub mod entries;
pub mod file;
pub mod hops;
pub mod memory;
pub mod namespace;
pub mod passing;
pub mod socket;

pub use rustix::io::Errno;

/// What a system call gives, or the kernel's number for why not.
pub type Result<T> = core::result::Result<T, Errno>;

/// Bytes that nobody can guess, from the kernel: at most 256.
///
/// # Errors
/// Only where a sandbox forbids the call.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    // Up to 256 bytes are given whole or not at all (getrandom(2)), so the count needs no loop.
    const { assert!(N <= 256, "getrandom(2) may give a part of more") };
    let mut bytes = [0; N];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes)
}
