//! `twoport get`: which remote file goes where.
//!
//! How it gets there is the client library's business.

use std::error::Error as _;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use clap::ArgMatches;

use twoport_client::{Config, Error, GetOptions, Progress, Representation, Url};

use super::client::{self, Sessions};
use super::exit::Exit;
use super::meter::Meter;
use super::results::Results;
use super::{Failure, Outcome};

/// The command line, taken apart. No system call has been made.
#[derive(Debug)]
struct Request {
    urls: Vec<Url>,
    to: To,
    config: Config,
    resume: bool,
    recursive: bool,
    json: bool,
}

/// Where files go.
#[derive(Debug, PartialEq, Eq)]
enum To {
    /// Into the current directory, under their own names.
    Here,
    /// To a file, or into a directory if it is one.
    Path(PathBuf),
    /// To standard output.
    Output,
}

pub(crate) fn run(matches: &ArgMatches) -> Outcome {
    let request = Request::new(matches)?;
    client::run(request.serve())
}

impl Request {
    fn new(matches: &ArgMatches) -> Result<Self, Failure> {
        let mut words = client::words(matches);
        let to = match words.pop_if(|last| !client::is_url(last)) {
            None => To::Here,
            Some(last) if last == "-" => To::Output,
            Some(last) => To::Path(last.into()),
        };
        if words.is_empty() {
            return Err(Failure::usage("there is no URL; write ftp://host/path before LOCAL"));
        }
        let urls = words.iter().map(client::url).collect::<Result<_, _>>()?;
        let flag = |name| matches.get_flag(name);
        let (resume, recursive, json) = (flag("resume"), flag("recursive"), flag("json"));
        let request = Self { urls, to, config: client::config(matches)?, resume, recursive, json };
        request.check()?;
        Ok(request)
    }

    fn check(&self) -> Result<(), Failure> {
        let output = self.to == To::Output;
        if output && (self.json || self.resume || self.recursive) {
            let message = "--json, --resume and --recursive do not go with standard output; name a file or a directory";
            return Err(Failure::usage(message));
        }
        match self.urls.iter().find(|url| !self.recursive && url.file_name().is_none()) {
            Some(url) => Err(Failure::usage(format!(
                "{url} names a directory; add --recursive, or show it with `twoport ls`"
            ))),
            None => Ok(()),
        }
    }

    async fn serve(self) -> Outcome {
        let mut sessions = Sessions::new(self.config.clone());
        let mut results = Results::new(self.json);
        if let To::Path(path) = &self.to
            && self.urls.len() > 1
            && !path.is_dir()
        {
            let path = path.display();
            return Err(Failure::usage(format!("{path} is no directory; several files need one")));
        }
        for url in &self.urls {
            let progress = Progress::default();
            let _meter = Meter::show(url.to_string(), None, progress.clone());
            let options = GetOptions {
                resume: self.resume,
                representation: url.representation().unwrap_or(Representation::Image),
                progress,
                ..GetOptions::default()
            };
            self.one(url, &options, &mut sessions, &mut results).await?;
        }
        sessions.close().await;
        Ok(results.exit())
    }

    async fn one(
        &self,
        url: &Url,
        options: &GetOptions,
        sessions: &mut Sessions,
        results: &mut Results,
    ) -> Outcome {
        let session = match sessions.to(url).await {
            Ok(session) => session,
            Err(error) => return results.failed(url, &error),
        };
        if self.recursive {
            let result = session.get_tree(url.path(), &self.tree_target(url), options).await;
            sessions.after(&result);
            return results.tree(url, &result);
        }
        let (result, local) = if self.to == To::Output {
            let output = output()?;
            let result = session.get_to(url.path(), output, options).await;
            if result.as_ref().is_err_and(is_broken_pipe) {
                return Ok(Exit::Done);
            }
            (result, PathBuf::from("-"))
        } else {
            let local = self.file_target(url);
            (session.get(url.path(), &local, options).await, local)
        };
        sessions.after(&result);
        results.file(url, &local, &result)
    }

    fn file_target(&self, url: &Url) -> PathBuf {
        let name = Path::new(OsStr::from_bytes(url.file_name().unwrap_or_default()));
        match &self.to {
            To::Path(path) if path.is_dir() || ends_with_slash(path) => path.join(name),
            To::Path(path) => path.clone(),
            To::Here | To::Output => name.to_owned(),
        }
    }

    /// A URL that ends with a slash means what is in the directory; another one, the directory.
    fn tree_target(&self, url: &Url) -> PathBuf {
        let name = url.file_name().map(|name| Path::new(OsStr::from_bytes(name)));
        match (&self.to, name) {
            (To::Path(path), Some(name)) if path.is_dir() => path.join(name),
            (To::Path(path), _) => path.clone(),
            (To::Here | To::Output, Some(name)) => name.to_owned(),
            (To::Here | To::Output, None) => PathBuf::from("."),
        }
    }
}

fn ends_with_slash(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b"/")
}

/// Standard output without the buffer that looks for line ends.
fn output() -> Result<File, Failure> {
    let output = io::stdout().as_fd().try_clone_to_owned();
    let failed = |error| Failure::here(format!("cannot write to standard output: {error}"));
    output.map(File::from).map_err(failed)
}

/// Whether the reader of standard output has gone: it has what it wanted.
fn is_broken_pipe(error: &Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
