//! What worked in which network: the step of the ladder that the next session with the same server
//! begins with.
//!
//! It is a hint and no more: what fails is tried anew, and an unreadable file is an empty one.

use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use twoport_net::mapping::route;
use twoport_proto::client::open::Step;

/// How long an entry counts. Origin: the rules of a network change seldom; a week costs at most one
/// climb of the ladder a week.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// The most entries; the oldest go. Origin: nobody uses as many servers in a week, and the file stays
/// below 100 KiB.
const MOST: usize = 500;

/// What worked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The network: its gateway's address, and its hardware address where the system knows it.
    pub network: String,
    /// The server, as the user named it, with its port.
    pub server: String,
    /// The step.
    pub step: Step,
    /// When, in seconds since 1970.
    pub at: u64,
}

impl Remembered {
    /// When it is forgotten, in seconds since 1970.
    #[must_use]
    pub const fn until(&self) -> u64 {
        self.at + LIFETIME.as_secs()
    }
}

/// The network that `local` is in.
pub(crate) fn network(local: IpAddr) -> String {
    let Ok(gateway) = route::gateway(local) else { return "direct".to_owned() };
    let table = fs::read_to_string("/proc/thread-self/net/arp").unwrap_or_default();
    match hardware(&table, gateway) {
        Some(address) => format!("{} {address}", gateway.ip()),
        None => gateway.ip().to_string(),
    }
}

fn hardware(table: &str, gateway: SocketAddr) -> Option<&str> {
    let ip = gateway.ip().to_string();
    let line = table.lines().find(|line| line.split_whitespace().next() == Some(&ip))?;
    line.split_whitespace().nth(3).filter(|address| *address != "00:00:00:00:00:00")
}

/// All entries of a file that count, the newest first. None where there is no file.
///
/// # Errors
/// The file cannot be read, or holds something else.
pub fn read(file: &Path) -> io::Result<Vec<Remembered>> {
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let value: Value = serde_json::from_slice(&text)?;
    let list = value.as_array().ok_or(io::ErrorKind::InvalidData)?;
    let now = seconds();
    let entry = |value: &Value| {
        let text = |key: &str| value.get(key)?.as_str().map(str::to_owned);
        let step = Step::of(value.get("mode")?.as_str()?)?;
        let at = value.get("at")?.as_u64()?;
        Some(Remembered { network: text("network")?, server: text("server")?, step, at })
    };
    let mut found: Vec<Remembered> = list.iter().filter_map(entry).collect();
    found.retain(|entry| entry.at <= now && now < entry.until());
    found.sort_by_key(|entry| std::cmp::Reverse(entry.at));
    Ok(found)
}

/// The step that worked last.
///
/// # Errors
/// As for [`read`].
pub(crate) fn recall(file: &Path, network: &str, server: &str) -> io::Result<Option<Step>> {
    let found = read(file)?.into_iter();
    let mut found = found.filter(|entry| entry.network == network && entry.server == server);
    Ok(found.next().map(|entry| entry.step))
}

/// Writes down what worked, or that nothing did. The file is replaced in one step, and is its
/// owner's alone.
pub(crate) fn keep(file: &Path, network: &str, server: &str, step: Option<Step>) -> io::Result<()> {
    let mut entries = read(file).unwrap_or_default();
    entries.retain(|entry| entry.network != network || entry.server != server);
    if let Some(step) = step {
        let (network, server) = (network.to_owned(), server.to_owned());
        entries.insert(0, Remembered { network, server, step, at: seconds() });
    }
    entries.truncate(MOST);
    let lines: Vec<Value> = entries
        .iter()
        .map(|entry| {
            json!({
                "network": entry.network,
                "server": entry.server,
                "mode": entry.step.id(),
                "at": entry.at,
            })
        })
        .collect();
    let directory = file.parent().ok_or(io::ErrorKind::InvalidFilename)?;
    fs::create_dir_all(directory)?;
    let temporary = directory.join(format!(".networks.{}", std::process::id()));
    let mut new = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    new.write_all(format!("{:#}\n", Value::from(lines)).as_bytes())?;
    fs::rename(&temporary, file)
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_worked_is_kept_by_network_and_server_and_forgotten_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state/networks.json");
        assert_eq!(read(&file).unwrap(), []);
        keep(&file, "home", "a:21", Some(Step::PunchEprt)).unwrap();
        keep(&file, "work", "a:21", Some(Step::Pasv)).unwrap();
        assert_eq!(recall(&file, "home", "a:21").unwrap(), Some(Step::PunchEprt));
        assert_eq!(recall(&file, "home", "b:21").unwrap(), None);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        keep(&file, "home", "a:21", None).unwrap();
        assert_eq!(recall(&file, "home", "a:21").unwrap(), None);
        assert_eq!(read(&file).unwrap().len(), 1);
        let old = seconds() - LIFETIME.as_secs();
        let text = fs::read_to_string(&file).unwrap();
        let at = read(&file).unwrap()[0].at.to_string();
        fs::write(&file, text.replace(&at, &old.to_string())).unwrap();
        assert_eq!(read(&file).unwrap(), []);
    }

    #[test]
    fn a_file_that_holds_something_else_is_said_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("networks.json");
        fs::write(&file, "no json").unwrap();
        assert!(read(&file).is_err() && recall(&file, "n", "s").is_err());
        keep(&file, "n", "s", Some(Step::Epsv)).unwrap();
        assert_eq!(recall(&file, "n", "s").unwrap(), Some(Step::Epsv));
        fs::write(&file, "[{\"network\":1}, 7]").unwrap();
        assert_eq!(read(&file).unwrap(), []);
    }

    #[test]
    fn the_gateways_hardware_address() {
        let table = "IP address HW type Flags HW address Mask Device\n\
                     192.168.0.1 0x1 0x2 aa:bb:cc:dd:ee:ff * eth0\n\
                     192.168.0.2 0x1 0x0 00:00:00:00:00:00 * eth0\n";
        let at = |ip: &str| hardware(table, SocketAddr::new(ip.parse().unwrap(), 1));
        assert_eq!(at("192.168.0.1"), Some("aa:bb:cc:dd:ee:ff"));
        assert_eq!((at("192.168.0.2"), at("192.168.0.10")), (None, None));
    }
}
