//! How networks and results look: a picture in text, a matrix at a glance, JSON, and a page.
//!
//! It builds and plays nothing.

mod html;
mod matrix;
mod picture;
mod svg;

pub use self::html::page;
pub use self::matrix::table;
pub use self::picture::{picture, rules};

use serde_json::{Value, json};

use crate::play::{Cell, Outcome};

/// A cell as one JSON object.
#[must_use]
pub fn json(cell: &Cell) -> Value {
    let (outcome, mode, reason, said) = match &cell.outcome {
        Outcome::Works(mode) => ("works", mode.as_deref(), None, None),
        Outcome::Fails { reason, said } => {
            ("fails", None, Some(reason.as_str()), Some(said.as_str()))
        }
        Outcome::Lacks(why) => ("lacks", None, None, Some(*why)),
    };
    json!({
        "network": cell.topology.to_string(),
        "client_side": cell.topology.client.name,
        "server_side": cell.topology.server.name,
        "family": cell.family.digit(),
        "protection": cell.protection.word(),
        "mode": cell.mode.word(),
        "operation": cell.operation.word(),
        "outcome": outcome,
        "by": mode,
        "reason": reason,
        "said": said,
        "milliseconds": u64::try_from(cell.took.as_millis()).unwrap_or(u64::MAX),
    })
}
