//! What each foreign client must get done with `twoport serve`: every operation byte-exact, checked
//! against the files on both sides.
//!
//! What a client has no words for is no failure, and is told apart from success.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::files::{Trial, absent, plant, planted, random, same, write};
use super::{Client, Mode, Outcome, Site};

/// The account that cases log in with; the server also takes `anonymous`.
pub const ACCOUNT: &str = "ann:secret";

/// Names that clients and servers have tripped over.
const NAMES: [&str; 6] = [
    "two words.txt",
    "gr\u{fc}n \u{65e5}\u{672c}.txt",
    "it's \"quoted\".txt",
    "-dash.txt",
    "semi;colon#100%41.txt",
    "[brackets]+{braces}&.txt",
];

/// A client before a server with a root directory.
#[derive(Debug)]
pub struct Bench<'a> {
    /// The client under test.
    pub client: Client,
    /// The server's addresses: IPv4, then IPv6.
    pub addresses: [SocketAddr; 2],
    /// What it serves.
    pub root: &'a Path,
    /// Where local files are.
    pub work: &'a Path,
    mode: Mode,
    address: SocketAddr,
    login: (&'static str, &'static str),
}

/// One cell of the table of clients and cases.
#[derive(Debug)]
pub struct Verdict {
    /// What was tried.
    pub case: String,
    /// Whether it worked; why not.
    pub trial: Trial,
}

impl<'a> Bench<'a> {
    /// A bench with the client's own way to make data connections, over IPv4.
    #[must_use]
    pub const fn new(
        client: Client,
        addresses: [SocketAddr; 2],
        root: &'a Path,
        work: &'a Path,
    ) -> Self {
        let [address, _] = addresses;
        let login = ("ann", "secret");
        Self { client, addresses, root, work, mode: Mode::Default, address, login }
    }

    /// Tries everything, and tells what came of each case.
    #[must_use]
    pub fn all(mut self) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for (case, trial) in CASES {
            verdicts.push(Verdict { case: case.into(), trial: trial(&self) });
        }
        for name in NAMES {
            let trial = self.name(name);
            verdicts.push(Verdict { case: format!("name {name}"), trial });
        }
        let [v4, v6] = self.addresses;
        for (family, address) in [("v4", v4), ("v6", v6)] {
            for mode in Mode::ALL {
                let foreign = address.is_ipv6() && matches!(mode, Mode::Pasv | Mode::Port);
                if foreign || (mode == Mode::Default && address.is_ipv4()) {
                    continue;
                }
                (self.mode, self.address) = (mode, address);
                let trial = self.transfers();
                verdicts.push(Verdict { case: format!("{family} {}", mode.word()), trial });
            }
        }
        verdicts
    }

    /// The standard output of an operation that worked; `None` where the client has no words for it.
    fn does(&self, operation: &str, args: &[&str]) -> Result<Option<Vec<u8>>, String> {
        match self.attempt(operation, args)? {
            Outcome::Done(output) => Ok(Some(output)),
            Outcome::Unsupported => Ok(None),
            Outcome::Failed(why) => Err(format!("{operation} {args:?}: {why}")),
        }
    }

    fn attempt(&self, operation: &str, args: &[&str]) -> Result<Outcome, String> {
        let (user, password) = self.login;
        let site = Site { address: self.address, user, password, mode: self.mode, tls: None };
        self.client.run(&site, operation, args)
    }

    /// It must fail, and say so.
    fn fails(&self, operation: &str, args: &[&str]) -> Trial {
        match self.attempt(operation, args)? {
            Outcome::Failed(_) => Ok(true),
            Outcome::Unsupported => Ok(false),
            Outcome::Done(_) => Err(format!("{operation} {args:?} did not fail")),
        }
    }

    /// A file on the server.
    fn served(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, String> {
        write(&self.root.join(name), bytes)
    }

    /// A path on the client's side at which nothing is.
    fn local(&self, name: &str) -> Result<String, String> {
        let path = self.work.join(name);
        let _nothing_there = fs::remove_file(&path);
        path.into_os_string().into_string().map_err(|_| "the work directory is not UTF-8".into())
    }

    /// A file on the client's side.
    fn local_file(&self, name: &str, bytes: &[u8]) -> Result<String, String> {
        let path = self.local(name)?;
        write(Path::new(&path), bytes)?;
        Ok(path)
    }

    fn get_bytes(&self, name: &str, bytes: &[u8]) -> Trial {
        self.served(name, bytes)?;
        let local = self.local("got")?;
        let Some(_) = self.does("get", &[name, &local])? else { return Ok(false) };
        same(&local, bytes)
    }

    fn put_bytes(&self, name: &str, bytes: &[u8]) -> Trial {
        let remote = self.root.join(name);
        let _nothing_there = fs::remove_file(&remote);
        let local = self.local_file("given", bytes)?;
        let Some(_) = self.does("put", &[&local, name])? else { return Ok(false) };
        same(&remote, bytes)
    }

    /// A name there and back, renamed and deleted, as far as the client can.
    fn name(&self, name: &str) -> Trial {
        let bytes = name.as_bytes();
        if !self.put_bytes(name, bytes)? {
            self.served(name, bytes)?;
        }
        if !self.get_bytes(name, bytes)? {
            return Ok(false);
        }
        let moved = format!("moved {name}");
        if self.does("rename", &[name, &moved])?.is_none() {
            return Ok(true);
        }
        same(self.root.join(&moved), bytes)?;
        absent(&self.root.join(name))?;
        if self.does("delete", &[&moved])?.is_some() {
            absent(&self.root.join(&moved))?;
        }
        Ok(true)
    }

    /// Every kind of data connection in one mode.
    fn transfers(&self) -> Trial {
        let bytes = random(300_000);
        let got = self.get_bytes("mode-get", &bytes)?;
        let put = self.put_bytes("mode-put", &bytes)?;
        let listed = listing(self, "list")?;
        Ok(got || put || listed)
    }
}

type Case = (&'static str, fn(&Bench<'_>) -> Trial);

const CASES: [Case; 29] = [
    ("list", |bench| listing(bench, "list")),
    ("nlst", |bench| listing(bench, "nlst")),
    ("mlsd", |bench| listing(bench, "mlsd")),
    ("list of nothing", list_of_nothing),
    ("get", |bench| bench.get_bytes("plain.bin", &random(5000))),
    ("get of nothing", |bench| bench.get_bytes("empty", b"")),
    ("get 10 MiB", |bench| bench.get_bytes("big.bin", &random(10 << 20))),
    ("get below a directory", get_below),
    ("get what is missing", |bench| bench.fails("get", &["missing.txt", &bench.local("got")?])),
    ("resume get", resume_get),
    ("ascii get", ascii_get),
    ("put", |bench| bench.put_bytes("plain-put.bin", &random(5000))),
    ("put of nothing", |bench| bench.put_bytes("empty-put", b"")),
    ("put 10 MiB", |bench| bench.put_bytes("big-put.bin", &random(10 << 20))),
    ("put over a file", put_over),
    ("put where nothing is", put_nowhere),
    ("resume put", resume_put),
    ("append", append),
    ("ascii put", ascii_put),
    ("mkdir and rmdir", make_and_remove),
    ("rename", rename),
    ("delete", delete),
    ("mirror get", mirror_get),
    ("mirror put", mirror_put),
    ("size", |bench| told(bench, "size", 12345)),
    ("abort, and get", |bench| told(bench, "abort", 8 << 20)),
    ("put under a new name", put_unique),
    ("anonymous", anonymous),
    ("wrong password", wrong_password),
];

fn listing(bench: &Bench<'_>, how: &str) -> Trial {
    bench.served("pub/a.txt", b"a")?;
    bench.served("pub/b c.txt", b"bc")?;
    let Some(output) = bench.does(how, &["pub"])? else { return Ok(false) };
    let shows = |name: &str| output.windows(name.len()).any(|window| window == name.as_bytes());
    // wget shows a page of links.
    if shows("a.txt") && (shows("b c.txt") || shows("b%20c.txt")) {
        return Ok(true);
    }
    Err(format!("{how} does not show both files: {}", twoport_proto::text::escape(&output)))
}

fn list_of_nothing(bench: &Bench<'_>) -> Trial {
    fs::create_dir_all(bench.root.join("bare")).map_err(|error| error.to_string())?;
    let listed = bench.does("list", &["bare"])?.is_some();
    Ok(bench.does("nlst", &["bare"])?.is_some() || listed)
}

fn get_below(bench: &Bench<'_>) -> Trial {
    bench.get_bytes("sub dir/d\u{e9}ep/file.bin", &random(5000))
}

fn resume_get(bench: &Bench<'_>) -> Trial {
    // The beginning differs, so that only a resumed transfer gives what is expected.
    let bytes = random(3 << 20);
    bench.served("resume.bin", &bytes)?;
    let (expected, have) = resumed(&bytes);
    let local = bench.local_file("part", &have)?;
    let Some(_) = bench.does("resume-get", &["resume.bin", &local])? else { return Ok(false) };
    same(&local, &expected)
}

fn resume_put(bench: &Bench<'_>) -> Trial {
    let bytes = random(3 << 20);
    let (expected, have) = resumed(&bytes);
    let remote = bench.served("resume-put.bin", &have)?;
    let local = bench.local_file("given", &bytes)?;
    let Some(_) = bench.does("resume-put", &[&local, "resume-put.bin"])? else { return Ok(false) };
    same(&remote, &expected)
}

/// What a resumed transfer ends with, and what is there before it.
fn resumed(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let have = vec![b'#'; 1_000_001];
    let mut expected = have.clone();
    expected.extend(bytes.iter().skip(have.len()));
    (expected, have)
}

fn append(bench: &Bench<'_>) -> Trial {
    let remote = bench.served("log.txt", b"old\n")?;
    let local = bench.local_file("given", b"new\n")?;
    let Some(_) = bench.does("append", &[&local, "log.txt"])? else { return Ok(false) };
    same(&remote, b"old\nnew\n")
}

fn ascii_get(bench: &Bench<'_>) -> Trial {
    bench.served("text.txt", b"one\ntwo\n\nfour\n")?;
    let local = bench.local("got")?;
    let Some(_) = bench.does("ascii-get", &["text.txt", &local])? else { return Ok(false) };
    let converted = bench.client.converts;
    let wire: &[u8] = b"one\r\ntwo\r\n\r\nfour\r\n";
    same(&local, if converted { b"one\ntwo\n\nfour\n" } else { wire })
}

fn ascii_put(bench: &Bench<'_>) -> Trial {
    let remote = bench.root.join("text-put.txt");
    let local = bench.local_file("given", b"one\ntwo\n\nfour\n")?;
    let Some(_) = bench.does("ascii-put", &[&local, "text-put.txt"])? else { return Ok(false) };
    same(&remote, b"one\ntwo\n\nfour\n")
}

fn put_over(bench: &Bench<'_>) -> Trial {
    let remote = bench.served("over.txt", &random(9000))?;
    let local = bench.local_file("given", b"short")?;
    let Some(_) = bench.does("put", &[&local, "over.txt"])? else { return Ok(false) };
    same(&remote, b"short")
}

fn put_nowhere(bench: &Bench<'_>) -> Trial {
    // Some clients make directories on the way; then the file must be there.
    let local = bench.local_file("given", b"x")?;
    match bench.attempt("put", &[&local, "no such directory/file"])? {
        Outcome::Failed(_) => absent(&bench.root.join("no such directory/file")),
        Outcome::Unsupported => Ok(false),
        Outcome::Done(_) => same(bench.root.join("no such directory/file"), b"x"),
    }
}

fn make_and_remove(bench: &Bench<'_>) -> Trial {
    let made = bench.root.join("made here");
    let Some(_) = bench.does("mkdir", &["made here"])? else { return Ok(false) };
    if !made.is_dir() {
        return Err("mkdir made no directory".into());
    }
    if bench.does("rmdir", &["made here"])?.is_some() {
        absent(&made)?;
    }
    Ok(true)
}

fn rename(bench: &Bench<'_>) -> Trial {
    let old = bench.served("old name.txt", b"x")?;
    fs::create_dir_all(bench.root.join("target")).map_err(|error| error.to_string())?;
    let Some(_) = bench.does("rename", &["old name.txt", "target/new name.txt"])? else {
        return Ok(false);
    };
    absent(&old)?;
    same(bench.root.join("target/new name.txt"), b"x")
}

fn delete(bench: &Bench<'_>) -> Trial {
    let file = bench.served("gone.txt", b"x")?;
    let Some(_) = bench.does("delete", &["gone.txt"])? else { return Ok(false) };
    absent(&file)
}

fn mirror_get(bench: &Bench<'_>) -> Trial {
    plant(&bench.root.join("tree"))?;
    let local = bench.local("tree-copy")?;
    let Some(_) = bench.does("mirror-get", &["tree", &local])? else { return Ok(false) };
    // wget leaves the listings that it could not remove; none is expected.
    planted(Path::new(&local))
}

fn mirror_put(bench: &Bench<'_>) -> Trial {
    plant(&bench.work.join("tree-given"))?;
    let local = bench.local("tree-given")?;
    let Some(_) = bench.does("mirror-put", &[&local, "tree-put"])? else { return Ok(false) };
    planted(&bench.root.join("tree-put"))?;
    if bench.does("rmtree", &["tree-put"])?.is_some() {
        absent(&bench.root.join("tree-put"))?;
    }
    Ok(true)
}

/// The client prints the length of a file: as SIZE says, or as received after an abort.
fn told(bench: &Bench<'_>, how: &str, length: usize) -> Trial {
    bench.served("told.bin", &random(length))?;
    let Some(output) = bench.does(how, &["told.bin"])? else { return Ok(false) };
    let output = twoport_proto::text::escape(output.trim_ascii());
    if output == length.to_string() { Ok(true) } else { Err(format!("{how} prints {output}")) }
}

fn put_unique(bench: &Bench<'_>) -> Trial {
    let bytes = b"under a name of the server's choice";
    let local = bench.local_file("given", bytes)?;
    let Some(_) = bench.does("unique", &[&local])? else { return Ok(false) };
    let entries = fs::read_dir(bench.root).map_err(|error| error.to_string())?;
    let is_it = |path: PathBuf| fs::read(path).is_ok_and(|found| found == bytes);
    let found = entries.flatten().any(|entry| is_it(entry.path()));
    if found { Ok(true) } else { Err("there is no new file".into()) }
}

fn anonymous(bench: &Bench<'_>) -> Trial {
    let login = ("anonymous", "mail@example.net");
    let bench = Bench { login, ..*bench };
    let got = bench.get_bytes("for-all.txt", b"for all")?;
    Ok(listing(&bench, "list")? || got)
}

fn wrong_password(bench: &Bench<'_>) -> Trial {
    bench.served("plain.txt", b"x")?;
    let bench = Bench { login: ("ann", "wrong"), ..*bench };
    bench.fails("get", &["plain.txt", &bench.local("got")?])
}
