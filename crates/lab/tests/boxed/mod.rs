//! A gateway in a box of a network: how it starts, what it has put into nftables, how it ends.

use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use twoport_lab::foreign::clients::served;
use twoport_lab::foreign::nodes::wait_for;
use twoport_networks::{Network, Node, Process};

/// A gateway that is ready; its log is in `work`.
pub(crate) fn start(network: &Network, node: &str, seat: &[&str], work: &TempDir) -> Process {
    let path = work.path().join("log");
    let log = std::fs::File::create(&path).unwrap();
    let mut command = Command::new(served::program().unwrap());
    command.arg("gateway").args(seat).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let gateway = network.node(node).unwrap().spawn(&mut command).unwrap();
    let said = || std::fs::read_to_string(&path).unwrap();
    assert!(wait_for(|| said().contains(" ready")), "{}", said());
    gateway
}

pub(crate) fn rules(node: &Node) -> String {
    let listed = node.output(Command::new("nft").args(["list", "ruleset"])).unwrap();
    String::from_utf8(listed.stdout).unwrap()
}

pub(crate) fn signal(gateway: &Process, signal: Signal) {
    let id = i32::try_from(gateway.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
}
