//! What a gateway says when it cannot start: what is wrong, and what to do.
//!
//! What is wrong in a file is tested in `gateway_file.rs`. The seats on a router need root; without it
//! those tests are skipped aloud.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod boxed;

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;
use twoport_lab::foreign::clients::served;
use twoport_lab::foreign::nodes::{network, wait_for};

/// The exit code and what is said of a gateway that does not start.
fn told(
    run: impl FnOnce(&mut Command) -> std::process::Output,
    arguments: &[&str],
) -> (i32, String) {
    let mut command = Command::new(served::program().unwrap());
    let output = run(command.arg("gateway").args(arguments));
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn here(command: &mut Command) -> std::process::Output {
    command.output().unwrap()
}

#[test]
fn an_address_in_use_and_one_of_another_host_are_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for address in [&taken.local_addr().unwrap().to_string(), "192.0.2.1:2121"] {
        let (code, said) = told(here, &["--server", "127.0.0.1:9", "--listen", address]);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(address) && said.contains("choose another address"), "{said}");
    }
}

#[test]
fn a_certificate_of_another_key_and_what_is_none_are_told_apart() {
    let work = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = work.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let pair = || {
        let made = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    };
    let ((certificate, own), (_, other)) = (pair(), pair());
    let (certificate, own) = (file("a.pem", &certificate), file("a.key", &own));
    let (other, junk) = (file("b.key", &other), file("junk.pem", "junk"));
    let start = |certificate: &str, key: &str| {
        let files = ["--certificate", certificate, "--key", key];
        told(here, &[&["--server", "127.0.0.1:9", "--listen", "127.0.0.1:0"][..], &files].concat())
    };
    for (certificate, key, what) in [
        (&certificate, &other, "b.key belongs to another one"),
        (&junk, &own, "no certificate"),
        (&certificate, &junk, "no "),
        (&work.path().join("none").to_str().unwrap().to_owned(), &own, "No such file"),
    ] {
        let (code, said) = start(certificate, key);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(what) && said.contains("in PEM form"), "{said}");
    }
}

#[test]
fn an_interface_that_is_not_there_is_named() {
    let Some(network) = network("nat/routed") else { return };
    let node = network.node("client-box").unwrap();
    for arguments in [
        &["--seat", "client", "--lan", "nosuch"][..],
        &["--seat", "server", "--wan", "nosuch", "--server", "10.0.0.10:21"],
        &["--seat", "client", "--lan", "lan", "--pcp", "nosuch"],
    ] {
        let (code, said) = told(|command| node.output(command).unwrap(), arguments);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("nosuch") && said.contains("ip link"), "{said}");
    }
    let rules = boxed::rules(node);
    assert!(!rules.contains("twoport"), "{rules}");
}

#[test]
fn two_gateways_do_not_take_the_same_connections() {
    let Some(network) = network("nat/routed") else { return };
    let (node, work) = (network.node("client-box").unwrap(), TempDir::new().unwrap());
    let seat = ["--seat", "client", "--lan", "lan"];
    let first = boxed::start(&network, "client-box", &seat, &work);
    let (code, said) = told(|command| node.output(command).unwrap(), &seat);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("another gateway on this host takes port 21"), "{said}");
    assert_eq!(boxed::rules(node).matches("table inet twoport-gateway").count(), 1);
    // Another seat, other ports, and a gateway behind the first one's end are no matter.
    let other = TempDir::new().unwrap();
    let _far = boxed::start(&network, "client-box", &["--seat", "server", "--wan", "wan"], &other);
    let ports = [&seat[..], &["--port", "2121"]].concat();
    let third = TempDir::new().unwrap();
    let _third = boxed::start(&network, "client-box", &ports, &third);
    boxed::signal(&first, Signal::KILL);
    assert!(wait_for(|| boxed::rules(node).matches("table inet twoport-gateway").count() == 2));
    let again = TempDir::new().unwrap();
    let _again = boxed::start(&network, "client-box", &seat, &again);
}

#[test]
fn without_privileges_a_router_is_none() {
    if !Path::new("/usr/bin/setpriv").exists() || !rustix::process::getuid().is_root() {
        println!("skipped: needs root and setpriv");
        return;
    }
    let copy = TempDir::new().unwrap();
    let program = copy.path().join("twoport");
    std::fs::copy(served::program().unwrap(), &program).unwrap();
    let anybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(copy.path(), anybody).unwrap();
    let drop = ["--reuid", "65534", "--clear-groups", "--bounding-set", "-all"];
    let output = Command::new("/usr/bin/setpriv")
        .args(drop)
        .arg(program)
        .args(["gateway", "--seat", "client", "--lan", "lo"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("CAP_NET_ADMIN"), "{said}");
}
