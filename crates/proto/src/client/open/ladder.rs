//! Which steps a mode has, in which order, and which of them a failure makes pointless.
//!
//! It keeps no state.

use alloc::collections::VecDeque;

use super::terms::{Mode, Step};
use crate::addr::Family;
use crate::reason::Reason;

/// The steps of a mode. PORT carries no IPv6 address. PASV does not either, but servers answer it
/// there with a port that works on the address of the control connection.
pub(super) fn ladder(mode: Mode, family: Family, can_listen: bool) -> VecDeque<Step> {
    use Step::{Eprt, Epsv, Pasv, Port, PunchEprt, PunchPort};
    let steps: &[Step] = match (mode, family) {
        (Mode::Auto, _) if !can_listen => &[Epsv, Pasv],
        (Mode::Auto, Family::V4) => &Step::ALL,
        (Mode::Auto, Family::V6) => &[Epsv, Pasv, PunchEprt, Eprt],
        (Mode::Epsv, _) => &[Epsv],
        (Mode::Pasv, _) => &[Pasv],
        (Mode::Eprt, _) => &[Eprt],
        (Mode::Port, _) => &[Port],
        (Mode::Punch, Family::V4) => &[PunchEprt, PunchPort],
        (Mode::Punch, Family::V6) => &[PunchEprt],
    };
    steps.iter().copied().collect()
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
        let alike = step.is_punched() == failed.is_punched();
        step.is_passive() || !(alike || connected && same_address)
    });
}
