//! The client finds its way through networks of other people: vsftpd as Debian ships it, behind and
//! before NATs and firewalls, in clear and under TLS.
//!
//! The whole matrix is `twoport lab`; here are the networks that only the ladder's own steps pass.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::env;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use twoport_networks::{Family, Network, Process, Topology, missing};

const CONTENT: &[u8] = b"the whole file, byte for byte";

/// The user `daemon` of Debian, whom vsftpd lets upload.
const DAEMON: u32 = 1;

fn may_run() -> bool {
    match missing().or_else(|| vsftpd().is_none().then(|| "vsftpd is not installed".to_owned())) {
        Some(why) => println!("skipped: {why}"),
        None => return true,
    }
    false
}

/// Unpacked by tests/peers/install.
fn vsftpd() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers");
    let peers = env::var_os("TWOPORT_PEERS").map_or(root, PathBuf::from);
    let program = peers.join("vsftpd/usr/sbin/vsftpd");
    program.exists().then_some(program)
}

/// A network with vsftpd at its server's end.
struct Place {
    network: Network,
    dir: tempfile::TempDir,
    _server: Process,
}

impl Place {
    fn new(name: &str, tls: bool, extra: &str) -> Self {
        let network = Network::build(Topology::named(name).unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let up = dir.path().join("root/up");
        fs::create_dir_all(&up).unwrap();
        fs::create_dir(dir.path().join("empty")).unwrap();
        std::os::unix::fs::chown(&up, Some(DAEMON), Some(DAEMON)).unwrap();
        fs::write(up.join("a.bin"), CONTENT).unwrap();
        fs::write(dir.path().join("b.bin"), CONTENT).unwrap();
        let secure = if tls { certificate(dir.path()) } else { String::new() };
        let conf = format!(
            "listen=NO\nlisten_ipv6=YES\nbackground=NO\nanonymous_enable=YES\nno_anon_password=YES\n\
             write_enable=YES\nanon_upload_enable=YES\nanon_mkdir_write_enable=YES\n\
             anon_world_readable_only=NO\nlocal_enable=NO\nxferlog_enable=NO\nisolate=NO\n\
             isolate_network=NO\nseccomp_sandbox=NO\nanon_root={0}/root\nftp_username=daemon\n\
             secure_chroot_dir={0}/empty\nanon_umask=022\n{secure}{extra}",
            dir.path().display()
        );
        let file = dir.path().join("vsftpd.conf");
        fs::write(&file, conf).unwrap();
        let program = vsftpd().unwrap();
        let libraries = program.ancestors().nth(3).unwrap().join("usr/lib/x86_64-linux-gnu");
        let mut command = Command::new(&program);
        command.arg(&file).env("LD_LIBRARY_PATH", libraries);
        let mut server = network.server().unwrap().spawn(&mut command).unwrap();
        let node = network.server().unwrap();
        while node.inside(|| TcpStream::connect("127.0.0.1:21")).unwrap().is_err() {
            let ended = server.wait(Duration::from_millis(50)).unwrap();
            assert_eq!(ended, None, "vsftpd does not start");
        }
        Self { network, dir, _server: server }
    }

    /// What the program says to a command line, `URL` being the directory: exit code, standard
    /// output and standard error.
    fn run(&self, family: Family, line: &str) -> (i32, String, String) {
        let host = match self.network.topology.dialled(family) {
            std::net::IpAddr::V4(host) => host.to_string(),
            std::net::IpAddr::V6(host) => format!("[{host}]"),
        };
        let url = format!("ftp://{host}/up/");
        let words = line.split(' ').map(|word| word.replace("URL", &url));
        let mut command = Command::new(env!("CARGO_BIN_EXE_twoport"));
        command.args(words).current_dir(self.dir.path()).env("XDG_STATE_HOME", self.dir.path());
        let output = self.network.client().unwrap().output(&mut command).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// LIST, RETR and STOR in a mode, each byte for byte.
    fn works(&self, family: Family, mode: &str) -> Result<(), String> {
        let name = &self.network.topology;
        let check = |what: &str, line: &str, holds: &dyn Fn(&str) -> bool| {
            let (code, out, err) = self.run(family, line);
            match code == 0 && holds(&out) {
                true => Ok(()),
                false => Err(format!("{name} {family:?} {mode} {what}: {code} {out} {err}")),
            }
        };
        let flags = format!("--mode {mode} --no-verify");
        let _not_there_at_first = fs::remove_file(self.dir.path().join("got"));
        check("LIST", &format!("ls {flags} URL"), &|out| out.contains("a.bin"))?;
        check("RETR", &format!("get {flags} --json URLa.bin got"), &|_| {
            fs::read(self.dir.path().join("got")).is_ok_and(|got| got == CONTENT)
        })?;
        let stored = self.dir.path().join("root/up/b.bin");
        let _not_there_at_first = fs::remove_file(&stored);
        check("STOR", &format!("put {flags} b.bin URL"), &|_| {
            fs::read(&stored).is_ok_and(|got| got == CONTENT)
        })
    }

    /// The reason and the time of a `get --json` that must fail.
    fn fails(&self, family: Family, line: &str) -> String {
        let (code, out, err) = self.run(family, line);
        assert_eq!(code, 6, "{}: {line}: {out} {err}", self.network.topology);
        let at = out.find("\"reason\":\"").unwrap() + 10;
        out.split_at(at).1.split('"').next().unwrap().to_owned()
    }
}

fn certificate(dir: &Path) -> String {
    let key = KeyPair::generate().unwrap();
    let names = vec!["server.example".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let both = dir.join("both.pem");
    fs::write(&both, certificate.pem() + &key.serialize_pem()).unwrap();
    fs::set_permissions(&both, fs::Permissions::from_mode(0o600)).unwrap();
    format!(
        "ssl_enable=YES\nallow_anon_ssl=YES\nforce_anon_logins_ssl=YES\nforce_anon_data_ssl=YES\n\
         require_ssl_reuse=YES\nssl_ciphers=HIGH\nrsa_cert_file={}\n",
        both.display()
    )
}

/// Runs several at a time: they wait for what does not come.
fn all(
    cells: impl IntoIterator<Item = (String, bool)>,
    check: impl Fn(&str, bool) -> Result<(), String> + Sync,
) {
    let problems = std::thread::scope(|scope| {
        let check = &check;
        let running: Vec<_> =
            cells.into_iter().map(|(name, tls)| scope.spawn(move || check(&name, tls))).collect();
        let ended = running.into_iter().filter_map(|one| one.join().unwrap().err());
        ended.collect::<Vec<_>>()
    });
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

const PORT_20: &str = "connect_from_port_20=YES\n";

#[test]
fn punched_active_mode_passes_every_side_of_a_client() {
    if !may_run() {
        return;
    }
    let clients = ["routed", "firewall", "firewall-helper", "nat", "nat-helper", "nat-carrier"];
    let cells = clients.into_iter().flat_map(|client| {
        [("firewall", false), ("nat", false), ("nat", true)]
            .map(|(server, tls)| (format!("{client}/{server}"), tls))
    });
    all(cells, |name, tls| {
        let place = Place::new(name, tls, PORT_20);
        place.works(Family::V4, "punch")?;
        place.works(Family::V4, "auto")?;
        // The ladder was climbed once, and is not climbed again.
        let (_, remembered, _) = place.run(Family::V4, "network --json");
        match remembered.contains("\"mode\":\"punch-eprt\"") {
            true => Ok(()),
            false => Err(format!("{name}: remembered is {remembered:?}")),
        }
    });
}

#[test]
fn punched_active_mode_passes_firewalls_over_ipv6() {
    if !may_run() {
        return;
    }
    let cells = [("routed/firewall", false), ("firewall/firewall", true)];
    all(cells.map(|(name, tls)| (name.to_owned(), tls)), |name, tls| {
        let place = Place::new(name, tls, PORT_20);
        place.works(Family::V6, "punch")?;
        place.works(Family::V6, "auto")
    });
}

#[test]
fn a_mode_that_cannot_work_says_why() {
    if !may_run() {
        return;
    }
    let cases = [
        ("nat/nat", PORT_20, "epsv", "passive-silent"),
        ("nat/nat", PORT_20, "pasv", "passive-silent"),
        ("nat/nat", PORT_20, "eprt", "active-address-refused"),
        ("nat/nat", PORT_20, "port", "active-address-refused"),
        ("firewall/nat", PORT_20, "eprt", "active-not-connected"),
        ("firewall/nat", PORT_20, "port", "active-not-connected"),
        // It dials from whichever port is free.
        ("nat/nat", "connect_from_port_20=NO\n", "punch", "punch-not-met"),
        ("nat-symmetric/nat", PORT_20, "punch", "punch-not-met"),
    ];
    let check = |(name, extra, mode, reason): (&str, &str, &str, &str)| {
        let place = Place::new(name, false, extra);
        let line = format!("get --json --mode {mode} URLa.bin got");
        assert_eq!(place.fails(Family::V4, &line), reason, "{name} {mode}");
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = cases.map(|case| scope.spawn(move || check(case))).into();
        for one in running {
            one.join().unwrap();
        }
    });
}
