//! `twoport ls`: a remote directory, for people or as JSON.
//!
//! What a listing looks like is the client library's business.

use clap::ArgMatches;

use twoport_client::{Config, FtpPath, Listing, Url};

use super::Outcome;
use super::client::{self, Sessions};
use super::output::{data, tell};
use super::results::Results;

pub(crate) fn run(matches: &ArgMatches) -> Outcome {
    let word = matches.get_one::<String>("URL").map(std::ffi::OsString::from).unwrap_or_default();
    let url = client::url(&word)?;
    let config = client::config(matches)?;
    client::run(list(url, config, matches.get_flag("long"), matches.get_flag("json")))
}

async fn list(url: Url, config: Config, long: bool, json: bool) -> Outcome {
    let mut sessions = Sessions::new(config);
    let mut results = Results::new(json);
    let path = directory(url.path());
    let mut result = match sessions.to(&url).await {
        Ok(session) => session.list(path.as_ref()).await,
        Err(error) => Err(error),
    };
    // By name, as `ls` does; servers list in the order of their file system.
    if let Ok(listing) = &mut result {
        listing.entries.sort_by(|a, b| a.name.cmp(&b.name));
    }
    sessions.after(&result);
    if let Ok(Listing { without_data: Some(why), .. }) = &result {
        tell(format_args!("{url}: listed over the control connection, files cannot move: {why}"));
    }
    match &result {
        Err(error) => results.failed(&url, error)?,
        Ok(listing) if json => data(&format!("{}\n", listing.to_json()))?,
        Ok(listing) if long => data(&listing.table())?,
        Ok(listing) => data(&listing.names())?,
    };
    sessions.close().await;
    Ok(results.exit())
}

/// The path without the slash at its end, which some servers take for an empty name; `None` for
/// the log-in directory.
fn directory(path: &FtpPath) -> Option<FtpPath> {
    let trimmed = path.0.strip_suffix(b"/").filter(|rest| !rest.is_empty()).unwrap_or(&path.0);
    (!trimmed.is_empty()).then(|| FtpPath::from(trimmed))
}
