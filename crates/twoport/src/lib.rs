//! twoport as a library: the protocol without I/O, the server, the client and the gateway, under one roof.
//!
//! It adds nothing to them: each part has its own documentation.

#![forbid(unsafe_code)]

pub use twoport_client as client;
pub use twoport_gateway as gateway;
pub use twoport_net as net;
pub use twoport_proto as proto;
pub use twoport_server as server;
