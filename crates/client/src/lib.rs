//! The FTP client: connects, logs in, and moves files and trees in whichever mode the network allows.
//!
//! It decides nothing about the protocol (that is `twoport-proto`) and prints nothing (that is the
//! command line). There is an asynchronous face, [`Session`], and a blocking one, [`blocking`].
//!
//! ```no_run
//! # async fn example() -> Result<(), twoport_client::Error> {
//! use twoport_client::{Config, GetOptions, Session, Url};
//!
//! let url = Url::parse("ftp://ann:secret@ftp.example.net/pub/data.tar")?;
//! let mut session = Session::connect(&url, Config::default()).await?;
//! let target = std::path::Path::new("data.tar");
//! let report = session.get(url.path(), target, &GetOptions::default()).await?;
//! println!("{} bytes, {:?}", report.bytes, report.outcome);
//! session.quit().await;
//! # Ok(())
//! # }
//! ```
//!
//! # How it ends
//!
//! Every error has a [`Class`], and each class its exit code. The numbers are stable.
//!
//! | code | class | meaning |
//! |---|---|---|
//! | 0 | - | done and confirmed by the server |
//! | 2 | [`Class::Usage`] | the URL or an argument is not usable |
//! | 3 | [`Class::Connect`] | name not found, no connection, or the control connection was lost |
//! | 4 | [`Class::Login`] | the login was refused |
//! | 5 | [`Class::Refused`] | the server refused: no such file, no permission, no space |
//! | 6 | [`Class::NoData`] | no mode gave a data connection |
//! | 7 | [`Class::Truncated`] | data are missing; the part is kept for `--resume` |
//! | 8 | [`Class::Unconfirmed`] | all data seem to be there, the server did not say so |
//! | 9 | [`Class::Timeout`] | no answer, or no byte moved, in time |
//! | 10 | [`Class::Local`] | a local file or directory failed |
//! | 11 | [`Class::Protocol`] | the peer speaks no FTP, or nonsense |
//! | 12 | [`Class::Tls`] | TLS was refused or failed, or the server's certificate is not believed |
//!
//! A transfer that is complete by its length but not confirmed is no error here: its [`Report`]
//! says [`Outcome::Unconfirmed`], and [`Outcome::exit_code`] gives the 8.
//!
//! # TLS
//!
//! `ftpes://` begins in clear, and goes on only under TLS; `ftps://` is under TLS from the first byte
//! (port 990); `ftp://` follows [`Tls::policy`]. Certificates are verified by default, those of data
//! connections against the name of the control connection, whose TLS sessions they resume. A session
//! that was under TLS once never goes on in clear.
//!
//! # Files that arrive
//!
//! A download goes to `.NAME.twoport-part` beside its target and gets its name by a rename, once its
//! length was checked: under the final name there is always a whole file. The part of a download
//! that failed stays for `resume`, with a note beside it (`.NAME.twoport-note`) of what the remote
//! file was. The file is not flushed to the disk before the rename unless [`Config::durable`] says
//! so: after a crash of the machine a download can be repeated, and a tree of small files loads
//! several times faster.

#![forbid(unsafe_code)]

pub mod blocking;
mod config;
mod data;
mod error;
mod get;
mod known;
mod listing;
mod local;
pub mod memory;
mod ops;
mod proxied;
mod put;
mod report;
mod resume;
mod session;
mod tls;
mod trace;
mod url;
mod walk;
mod wire;

pub use self::config::Config;
pub use self::error::{Class, Error};
pub use self::get::GetOptions;
pub use self::listing::{Listing, Source};
pub use self::ops::join;
pub use self::proxied::parse_proxy;
pub use self::put::PutOptions;
pub use self::report::{Outcome, Report};
pub use self::session::Session;
pub use self::tls::{Tls, Trust};
pub use self::trace::{Observer, Trace};
pub use self::url::{Scheme, Url};
pub use self::walk::{TreeFile, TreeReport};
pub use twoport_net::pump::Progress;
pub use twoport_net::reflect::Reflector;
pub use twoport_net::tls::Facts;
pub use twoport_net::tls::connect::Versions;
pub use twoport_net::tls::trust::Fingerprint;
pub use twoport_net::tunnel::Proxy;
pub use twoport_proto::client::login::Credentials;
pub use twoport_proto::client::open::{Failure, Mode, Step};
pub use twoport_proto::client::secure::Policy;
pub use twoport_proto::command::{Password, Representation};
pub use twoport_proto::path::FtpPath;
pub use twoport_proto::reason::Reason;
