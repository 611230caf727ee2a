//! The blocking face: the same session for programs without a runtime.
//!
//! It holds a runtime on the calling thread. From inside a runtime use [`crate::Session`].

use std::io::{Read, Write};
use std::path::Path;

use tokio::runtime::{Builder, Runtime};

use twoport_proto::command::Command;
use twoport_proto::path::FtpPath;
use twoport_proto::reply::Reply;

use crate::{Class, Config, Error, GetOptions, Listing, PutOptions, Report, TreeReport, Url};

/// A session with one server. Each method is the one of [`crate::Session`].
///
/// ```no_run
/// use twoport_client::{Config, Url, blocking};
///
/// # fn main() -> Result<(), twoport_client::Error> {
/// let url = Url::parse("ftp://ftp.example.net/pub")?;
/// let mut session = blocking::Session::connect(&url, Config::default())?;
/// print!("{}", session.list(Some(url.path()))?.names());
/// session.quit();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Session {
    runtime: Runtime,
    session: crate::Session,
}

impl Session {
    /// Connects and logs in.
    ///
    /// # Errors
    /// See [`crate::Session::connect`].
    pub fn connect(url: &Url, config: Config) -> Result<Self, Error> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| Error::new(Class::Local, "the runtime").with_source(error))?;
        let session = runtime.block_on(crate::Session::connect(url, config))?;
        Ok(Self { runtime, session })
    }

    /// Downloads a file.
    ///
    /// # Errors
    /// See [`crate::Session::get`].
    pub fn get(
        &mut self,
        remote: &FtpPath,
        local: &Path,
        options: &GetOptions,
    ) -> Result<Report, Error> {
        self.runtime.block_on(self.session.get(remote, local, options))
    }

    /// Downloads into a writer, which is called on a thread of its own.
    ///
    /// # Errors
    /// See [`crate::Session::get_to`].
    pub fn get_to<W: Write + Send + 'static>(
        &mut self,
        remote: &FtpPath,
        writer: W,
        options: &GetOptions,
    ) -> Result<Report, Error> {
        self.runtime.block_on(self.session.get_to(remote, writer, options))
    }

    /// Downloads a tree.
    ///
    /// # Errors
    /// See [`crate::Session::get_tree`].
    pub fn get_tree(
        &mut self,
        remote: &FtpPath,
        local: &Path,
        options: &GetOptions,
    ) -> Result<TreeReport, Error> {
        self.runtime.block_on(self.session.get_tree(remote, local, options))
    }

    /// Uploads a file.
    ///
    /// # Errors
    /// See [`crate::Session::put`].
    pub fn put(
        &mut self,
        local: &Path,
        remote: &FtpPath,
        options: &PutOptions,
    ) -> Result<Report, Error> {
        self.runtime.block_on(self.session.put(local, remote, options))
    }

    /// Uploads what a reader gives, which is called on a thread of its own.
    ///
    /// # Errors
    /// See [`crate::Session::put_from`].
    pub fn put_from<R: Read + Send + 'static>(
        &mut self,
        reader: R,
        remote: &FtpPath,
        options: &PutOptions,
    ) -> Result<Report, Error> {
        self.runtime.block_on(self.session.put_from(reader, remote, options))
    }

    /// Uploads a tree.
    ///
    /// # Errors
    /// See [`crate::Session::put_tree`].
    pub fn put_tree(
        &mut self,
        local: &Path,
        remote: &FtpPath,
        options: &PutOptions,
    ) -> Result<TreeReport, Error> {
        self.runtime.block_on(self.session.put_tree(local, remote, options))
    }

    /// Lists a directory.
    ///
    /// # Errors
    /// See [`crate::Session::list`].
    pub fn list(&mut self, path: Option<&FtpPath>) -> Result<Listing, Error> {
        self.runtime.block_on(self.session.list(path))
    }

    /// Sends a command that moves no data.
    ///
    /// # Errors
    /// See [`crate::Session::command`].
    pub fn command(&mut self, command: &Command) -> Result<Reply, Error> {
        self.runtime.block_on(self.session.command(command))
    }

    /// Says good-bye.
    pub fn quit(self) {
        self.runtime.block_on(self.session.quit());
    }
}
