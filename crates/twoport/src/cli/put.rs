//! `twoport put`: which local file goes where.
//!
//! How it gets there is the client library's business.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use clap::ArgMatches;

use twoport_client::{Config, FtpPath, Progress, PutOptions, Representation, Url, join};

use super::client::{self, Sessions};
use super::meter::Meter;
use super::results::Results;
use super::{Failure, Outcome};

/// The command line, taken apart. No system call has been made.
#[derive(Debug)]
struct Request {
    from: Vec<PathBuf>,
    url: Url,
    config: Config,
    resume: bool,
    recursive: bool,
    json: bool,
}

pub(crate) fn run(matches: &ArgMatches) -> Outcome {
    let request = Request::new(matches)?;
    client::run(request.serve())
}

impl Request {
    fn new(matches: &ArgMatches) -> Result<Self, Failure> {
        let mut words = client::words(matches);
        let Some(last) = words.pop_if(|last| client::is_url(last)) else {
            return Err(Failure::usage(
                "the last argument is no URL; write ftp://host/path behind LOCAL",
            ));
        };
        if words.is_empty() {
            return Err(Failure::usage("there is nothing to upload; name a file before the URL"));
        }
        let url = client::url(&last)?;
        let flag = |name| matches.get_flag(name);
        let request = Self {
            from: words.into_iter().map(PathBuf::from).collect(),
            url,
            config: client::config(matches)?,
            resume: flag("resume"),
            recursive: flag("recursive"),
            json: flag("json"),
        };
        request.check()?;
        Ok(request)
    }

    fn check(&self) -> Result<(), Failure> {
        let input = self.from.iter().any(|from| from == Path::new("-"));
        if input && (self.resume || self.to_directory()) {
            let message = "standard input needs the name of a remote file, and cannot be resumed; write ftp://host/file";
            return Err(Failure::usage(message));
        }
        Ok(())
    }

    /// Whether the URL means a directory that files go into.
    fn to_directory(&self) -> bool {
        self.from.len() > 1 || self.url.file_name().is_none()
    }

    async fn serve(self) -> Outcome {
        let mut sessions = Sessions::new(self.config.clone());
        let mut results = Results::new(self.json);
        for from in &self.from {
            if from.is_dir() && !self.recursive {
                let from = from.display();
                return Err(Failure::usage(format!("{from} is a directory; add --recursive")));
            }
        }
        for from in &self.from {
            self.one(from, &mut sessions, &mut results).await?;
        }
        sessions.close().await;
        Ok(results.exit())
    }

    async fn one(&self, from: &Path, sessions: &mut Sessions, results: &mut Results) -> Outcome {
        let progress = Progress::default();
        let length = from.metadata().ok().filter(|found| found.is_file()).map(|found| found.len());
        let _meter = Meter::show(from.display().to_string(), length, progress.clone());
        let options = PutOptions {
            resume: self.resume,
            ascii: self.url.representation() == Some(Representation::Ascii),
            progress,
            ..PutOptions::default()
        };
        let session = match sessions.to(&self.url).await {
            Ok(session) => session,
            Err(error) => return results.failed(&self.url, &error),
        };
        let target = self.target(from);
        if from.is_dir() {
            let result = session.put_tree(from, &target, &options).await;
            sessions.after(&result);
            return results.tree(&self.url, &result);
        }
        let result = if from == Path::new("-") {
            session.put_from(io::stdin(), &target, &options).await
        } else {
            session.put(from, &target, &options).await
        };
        sessions.after(&result);
        results.file(&self.url, from, &result)
    }

    fn target(&self, from: &Path) -> FtpPath {
        match from.file_name() {
            Some(name) if self.to_directory() => join(self.url.path(), name.as_bytes()),
            _ => self.url.path().clone(),
        }
    }
}
