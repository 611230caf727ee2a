//! Which steps a mode has, in which order, and which of them a failure makes pointless.
//!
//! It keeps no state.

use alloc::collections::VecDeque;

use super::address::is_hidden_from;
use super::terms::{Mode, Network, Step};
use crate::addr::Family;
use crate::reason::Reason;

/// The steps of a mode. PORT carries no IPv6 address. PASV does not either, but servers answer it
/// there with a port that works on the address of the control connection.
pub(super) fn ladder(mode: Mode, network: &Network) -> VecDeque<Step> {
    use Step::{Eprt, Epsv, MapEprt, MapPort, Pasv, Port, PunchEprt, PunchPort};
    let steps: &[Step] = match (mode, Family::of(network.peer.ip())) {
        (Mode::Auto, _) if !network.can_listen => &[Epsv, Pasv],
        (Mode::Auto, Family::V4) => &Step::ALL,
        (Mode::Auto, Family::V6) => &[Epsv, Pasv, PunchEprt, Eprt, MapEprt],
        (Mode::Epsv, _) => &[Epsv],
        (Mode::Pasv, _) => &[Pasv],
        (Mode::Eprt, _) => &[Eprt, MapEprt],
        (Mode::Port, _) => &[Port, MapPort],
        (Mode::Punch, Family::V4) => &[PunchEprt, PunchPort],
        (Mode::Punch, Family::V6) => &[PunchEprt],
    };
    // A port that is forwarded needs no mapping; and who asks for a plain mode in public gets it.
    let hidden = is_hidden_from(network.local.ip(), network.peer.ip());
    let may_map =
        network.can_listen && network.external.is_none() && (hidden || mode == Mode::Auto);
    steps.iter().copied().filter(|step| may_map || !step.is_mapped()).collect()
}

/// Puts what worked in front. What failed before it comes behind it in its old order.
pub(super) fn begin_with(left: &mut VecDeque<Step>, worked: Option<Step>) {
    if let Some(index) = left.iter().position(|step| Some(*step) == worked)
        && let Some(step) = left.remove(index)
    {
        left.push_front(step);
    }
}

/// Drops the steps that would fail as `failed` did. `same_address`: what a plain active step would
/// announce is what the punched one has announced.
pub(super) fn prune(left: &mut VecDeque<Step>, failed: Step, reason: Reason, same_address: bool) {
    let refused = matches!(
        reason,
        Reason::ControlRefused | Reason::ActiveAddressRefused | Reason::ReplyMalformed
    );
    // The verb was not to the server's liking: the other one may be.
    if refused || failed.is_passive() {
        return;
    }
    let connected = matches!(reason, Reason::ActiveNotConnected | Reason::PunchNotMet);
    left.retain(|step| {
        let kind = |step: Step| (step.is_punched(), step.is_mapped());
        let alike = kind(*step) == kind(failed);
        let same = same_address && !step.is_mapped();
        step.is_passive() || !(alike || connected && same)
    });
}
