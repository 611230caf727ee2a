//! Servers killed and connections cut in the middle of uploads: a file is the old one, whole, or
//! the new one, whole; and after a 226 it is the new one.
//!
//! `TWOPORT_KILLS` says how often (20 if it does not): `TWOPORT_KILLS=200 cargo test -p twoport-lab
//! --test kill9`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at what it did not expect"
)]

use std::fs;
use std::io::Write as _;
use std::net::Shutdown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::park_timeout;
use std::time::Duration;

use tempfile::TempDir;
use twoport_lab::foreign::clients::cases::ACCOUNT;
use twoport_lab::foreign::clients::files::seeded;
use twoport_lab::foreign::clients::plain::{Plain, reset};
use twoport_lab::foreign::clients::served::Served;
use twoport_lab::foreign::clients::{Client, Mode, Outcome, Site, say, skipped};

fn rounds() -> u64 {
    std::env::var("TWOPORT_KILLS").map_or(20, |number| number.parse().unwrap())
}

fn serve(root: &Path) -> Served {
    Served::start(root, &["--user", ACCOUNT, "--listen", "127.0.0.1:0"]).unwrap()
}

fn log_in(served: &Served) -> Plain {
    Plain::log_in(served.addresses()[0], "ann", "secret").unwrap()
}

/// Numbers without a pattern, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

#[track_caller]
fn whole(path: &Path, allowed: &[Option<&[u8]>], round: u64) {
    let found = fs::read(path).ok();
    if !allowed.contains(&found.as_deref()) {
        let lengths: Vec<_> = allowed.iter().map(|bytes| bytes.map(<[u8]>::len)).collect();
        panic!(
            "round {round}: {:?} bytes, allowed are {lengths:?}",
            found.map(|bytes| bytes.len())
        );
    }
}

#[test]
fn the_server_is_killed_in_the_middle_of_an_upload() {
    let root = TempDir::new().unwrap();
    let mut dice = Dice(1);
    let (mut halves, mut unconfirmed, mut confirmed, mut committed) = (0, 0, 0, 0);
    for round in 0..rounds() {
        let mut served = serve(root.path());
        let name = format!("file-{}", dice.below(3));
        let path = root.path().join(&name);
        let old = fs::read(&path).ok();
        let new = seeded(round, dice.below(4 << 20) + 1);
        let mut client = log_in(&served);
        let mut data = client.passive().unwrap();
        client.ask(&format!("STOR {name}"), 150).unwrap();
        // A third is killed with a part sent; the others near the moment in which it is stored.
        let part = if dice.below(3) == 0 { dice.below(new.len()) } else { new.len() };
        data.write_all(&new[..part]).unwrap();
        let mut is_confirmed = false;
        if part == new.len() {
            data.shutdown(Shutdown::Write).unwrap();
            if dice.below(4) == 0 {
                client.expect(226).unwrap();
                is_confirmed = true;
            } else {
                park_timeout(Duration::from_micros(dice.below(25_000) as u64));
            }
        }
        served.kill();
        // The 226 may have been on its way.
        is_confirmed |= client.expect(226).is_ok();
        if is_confirmed {
            confirmed += 1;
            whole(&path, &[Some(&new)], round);
        } else if part < new.len() {
            halves += 1;
            whole(&path, &[old.as_deref()], round);
        } else {
            unconfirmed += 1;
            whole(&path, &[old.as_deref(), Some(&new)], round);
            committed += usize::from(fs::read(&path).ok().as_ref() == Some(&new));
        }
    }
    say(&format!(
        "kill -9: {halves} in the middle, {unconfirmed} before the 226 ({committed} of them stored), \
         {confirmed} after it; all files whole"
    ));
    what_is_left_is_hidden(&root);
}

/// Names of leftovers are in nobody's listing, and the files can be written again.
fn what_is_left_is_hidden(root: &TempDir) {
    let served = serve(root.path());
    let mut client = log_in(&served);
    let data = client.passive().unwrap();
    client.ask("NLST -a", 150).unwrap();
    let listed = std::io::read_to_string(data).unwrap();
    client.expect(226).unwrap();
    assert!(listed.lines().all(|name| name.starts_with("file-")), "{listed}");
    let mut data = client.passive().unwrap();
    client.ask("STOR file-0", 150).unwrap();
    data.write_all(b"after all").unwrap();
    drop(data);
    client.expect(226).unwrap();
    assert_eq!(fs::read(root.path().join("file-0")).unwrap(), b"after all");
}

/// How a connection goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// The data connection is reset.
    DataReset,
    /// The control connection is reset, and then the data connection.
    AllReset,
    /// The control connection ends, and then the data connection, as when the client's process is
    /// killed and its kernel closes one after the other.
    AllClosed,
    /// The same, the last opened first.
    AllClosedBackwards,
    /// The control connection is reset; the data connection stays.
    ControlReset,
}

#[test]
fn connections_are_cut_in_the_middle_of_an_upload() {
    let root = TempDir::new().unwrap();
    let served = serve(root.path());
    let mut dice = Dice(2);
    let cuts =
        [Cut::DataReset, Cut::AllReset, Cut::AllClosed, Cut::AllClosedBackwards, Cut::ControlReset];
    for round in 0..rounds() {
        let name = format!("file-{}", dice.below(3));
        let path = root.path().join(&name);
        if dice.below(4) == 0 {
            fs::write(&path, seeded(round + 1_000_000, dice.below(100_000))).unwrap();
        }
        let old = fs::read(&path).ok();
        let new = seeded(round, dice.below(4 << 20) + 2);
        let mut client = log_in(&served);
        let mut data = client.passive().unwrap();
        client.ask(&format!("STOR {name}"), 150).unwrap();
        data.write_all(&new[..dice.below(new.len() - 1)]).unwrap();
        let cut = cuts[dice.below(cuts.len())];
        let mut kept = None;
        match cut {
            Cut::DataReset => {
                reset(&data).unwrap();
                drop(data);
                client.expect(426).unwrap();
                drop(client);
            }
            Cut::AllReset => {
                reset(client.socket()).unwrap();
                reset(&data).unwrap();
                drop(client);
                drop(data);
            }
            Cut::AllClosed => {
                drop(client);
                drop(data);
            }
            Cut::AllClosedBackwards => {
                drop(data);
                drop(client);
            }
            Cut::ControlReset => {
                reset(client.socket()).unwrap();
                drop(client);
                kept = Some(data);
            }
        }
        settled(&served);
        drop(kept);
        whole(&path, &[old.as_deref()], round);
    }
    say(&format!("{} cut connections: all files whole", rounds()));
}

/// Waits until no session is left.
fn settled(served: &Served) {
    for _ in 0..2000 {
        if served.is_idle().unwrap() {
            return;
        }
        park_timeout(Duration::from_millis(5));
    }
    panic!("a session does not end: {}", served.log());
}

/// curl, and what it uploads.
struct Uploading {
    curl: Client,
    local: PathBuf,
    bytes: Vec<u8>,
}

impl Uploading {
    fn new(work: &Path) -> Option<Self> {
        let curl = Client::find("curl")?;
        curl.program()?;
        let (local, bytes) = (work.join("local"), seeded(7, 6 << 20));
        fs::write(&local, &bytes).unwrap();
        Some(Self { curl, local, bytes })
    }

    /// Begins an upload that takes a good second, and is killed after this time.
    fn killed_after(&self, served: &Served, name: &str, time: Duration) {
        let url = format!("ftp://{}/{name}", served.addresses()[0]);
        let mut child = Command::new(self.curl.program().unwrap())
            .args(["-q", "-s", "--limit-rate", "4M", "-u", ACCOUNT, "-T"])
            .args([self.local.as_os_str(), url.as_ref()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        park_timeout(time);
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success(), "curl was not killed in time");
    }
}

#[test]
fn a_client_is_killed_in_the_middle_of_an_upload() {
    let (root, work) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let Some(upload) = Uploading::new(work.path()) else { return skipped("curl") };
    let served = serve(root.path());
    let mut dice = Dice(3);
    let path = root.path().join("file");
    for round in 0..rounds() {
        let old = (round % 2 == 1).then(|| seeded(round, 50_000));
        match &old {
            Some(old) => fs::write(&path, old).unwrap(),
            None => drop(fs::remove_file(&path)),
        }
        let time = Duration::from_millis(30 + dice.below(300) as u64);
        upload.killed_after(&served, "file", time);
        settled(&served);
        whole(&path, &[old.as_deref()], round);
    }
    say(&format!("{} killed clients: all files whole", rounds()));
}

/// A cut upload goes on with the client's own resume, and is byte-exact.
#[test]
fn a_cut_upload_is_resumed() {
    let (root, work) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let Some(upload) = Uploading::new(work.path()) else { return skipped("curl") };
    let served = serve(root.path());
    let site = Site {
        address: served.addresses()[0],
        user: "ann",
        password: "secret",
        mode: Mode::Default,
        tls: None,
    };
    let local = upload.local.to_str().unwrap();
    for name in ["curl", "lftp", "ftplib", "aioftp", "basic-ftp", "net-ftp", "jlaffaye"] {
        let client = Client::find(name).unwrap();
        if client.program().is_none() {
            skipped(name);
            continue;
        }
        let remote = format!("resumed-by-{name}");
        upload.killed_after(&served, &remote, Duration::from_millis(400));
        settled(&served);
        let offset = size(&served, &remote);
        match client.run(&site, "resume-put", &[local, &remote]).unwrap() {
            Outcome::Done(_) => {}
            // Some cannot resume what is not there; then they begin anew.
            Outcome::Failed(_) if offset.is_none() => {
                let outcome = client.run(&site, "put", &[local, &remote]).unwrap();
                assert!(matches!(outcome, Outcome::Done(_)), "{name}: {outcome:?}");
            }
            outcome => panic!("{name}: {outcome:?}"),
        }
        let found = fs::read(root.path().join(&remote)).unwrap();
        assert!(found == upload.bytes, "{name}: {} bytes, resumed at {offset:?}", found.len());
        say(&format!("{name}: resumed at {offset:?} of {}", upload.bytes.len()));
    }
}

fn size(served: &Served, name: &str) -> Option<u64> {
    let reply = log_in(served).ask(&format!("SIZE {name}"), 213).ok()?;
    reply.trim().rsplit(' ').next()?.parse().ok()
}
