//! The FTP server's side of sockets and disks: it carries out what the protocol core decides.
//! Which reply a client gets is decided in `twoport-proto`, not here.

pub mod accounts;
pub mod config;
pub mod storage;
