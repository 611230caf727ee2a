//! The matrix as one HTML page without scripts: the table with a colour for each cell, and a drawing of
//! each network with what failed in it and why.
//!
//! Everything that a peer said is escaped before it gets here, and once more for HTML.

use std::fmt::Write as _;

use super::matrix::described;
use super::svg::drawing;
use crate::address::Family;
use crate::play::{Cell, Mode, Operation, Outcome, Protection};
use crate::topology::Topology;

const STYLE: &str = "\
:root { color-scheme: light dark; --ok: #2e7d4f; --bad: #b3402e; --none: #8884; --ink: CanvasText }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; font-size: 13px }
th { text-align: left; font-weight: 600; padding: 2px 8px 2px 0; white-space: nowrap }
td { padding: 1px; } td.gap { padding-left: 12px }
td i { display: block; width: 1.05rem; height: 1.05rem; border-radius: 3px; background: var(--none) }
td i.ok { background: var(--ok) } td i.bad { background: var(--bad) }
a { color: inherit; text-decoration-color: #8888 }
section { margin: 2.5rem 0; border-top: 1px solid #8884; padding-top: .5rem }
svg { width: 100%; height: auto; display: block }
svg rect { fill: #8881; stroke: #8888 } svg rect.box { stroke: var(--bad); stroke-dasharray: 5 3 }
svg line { stroke: #8888; stroke-width: 2 }
svg text { text-anchor: middle; font: 10px system-ui, sans-serif; fill: var(--ink) }
svg text.name { font-weight: 700; font-size: 13px } svg text.address { font-family: monospace }
svg text.enters { font-style: italic }
code { font-size: 13px } li { margin: .2rem 0 }
";

/// The page.
#[must_use]
pub fn page(title: &str, cells: &[Cell]) -> String {
    let works = cells.iter().filter(|cell| matches!(cell.outcome, Outcome::Works(_))).count();
    let lacks = cells.iter().filter(|cell| matches!(cell.outcome, Outcome::Lacks(_))).count();
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{0}</title>\n\
         <style>\n{STYLE}</style>\n<h1>{0}</h1>\n<p>{works} of {1} cells work. Each square is one \
         transfer: green where every byte arrived, red where not; the text behind it says why.</p>\n",
        text(title),
        cells.len() - lacks,
    );
    for family in [Family::V4, Family::V6] {
        let of: Vec<&Cell> = cells.iter().filter(|cell| cell.family == family).collect();
        if !of.is_empty() {
            table(&mut html, family, &of);
        }
    }
    for topology in networks(cells.iter()) {
        section(&mut html, topology, cells);
    }
    html.push_str("</html>\n");
    html
}

fn table(html: &mut String, family: Family, cells: &[&Cell]) {
    let has = |mode, protection| {
        cells.iter().any(|cell| cell.mode == mode && cell.protection == protection)
    };
    let columns: Vec<(Protection, Mode)> = Protection::ALL
        .iter()
        .flat_map(|protection| Mode::ALL.iter().map(move |mode| (*protection, *mode)))
        .filter(|(protection, mode)| has(*mode, *protection))
        .collect();
    let _infallible = write!(html, "<h2>IPv{}</h2>\n<table>\n<tr><th>", family.digit());
    for (protection, mode) in &columns {
        let _infallible =
            write!(html, "<th colspan=\"3\">{}<br>{}", protection.word(), mode.word());
    }
    html.push('\n');
    for topology in networks(cells.iter().copied()) {
        let _infallible = write!(html, "<tr><th><a href=\"#{topology}\">{topology}</a>");
        for (protection, mode) in &columns {
            for operation in Operation::ALL {
                let found = cells.iter().find(|cell| {
                    (cell.protection, cell.mode, cell.operation) == (*protection, *mode, *operation)
                        && cell.topology.to_string() == topology.to_string()
                });
                let gap = if *operation == Operation::List { " class=\"gap\"" } else { "" };
                let (class, why) = found.map_or(("", String::new()), |cell| told(cell));
                let _infallible =
                    write!(html, "<td{gap}><i class=\"{class}\" title=\"{}\"></i>", text(&why));
            }
        }
        html.push('\n');
    }
    html.push_str("</table>\n");
}

/// The colour of a cell, and the words behind it.
fn told(cell: &Cell) -> (&'static str, String) {
    let name = format!("{} {} {}", cell.protection.word(), cell.mode.word(), cell.operation.word());
    match &cell.outcome {
        Outcome::Works(None) => ("ok", format!("{name}: works")),
        Outcome::Works(Some(by)) => ("ok", format!("{name}: works, by {by}")),
        Outcome::Fails { reason, said } => ("bad", format!("{name}: {reason}: {said}")),
        Outcome::Lacks(why) => ("", format!("{name}: {why}")),
    }
}

fn section(html: &mut String, topology: Topology, cells: &[Cell]) {
    let _infallible = write!(
        html,
        "<section id=\"{topology}\">\n<h2>{topology}</h2>\n<p>The client: {}. The server: {}.</p>\n{}",
        topology.client.about,
        topology.server.about,
        drawing(&topology),
    );
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    for cell in cells.iter().filter(|cell| cell.topology.to_string() == topology.to_string()) {
        if let Outcome::Fails { reason, .. } = &cell.outcome {
            let place = format!(
                "IPv{} {} {}",
                cell.family.digit(),
                cell.protection.word(),
                cell.mode.word()
            );
            match reasons.iter_mut().find(|(other, _)| other == reason) {
                Some((_, places)) if places.contains(&place) => {}
                Some((_, places)) => places.push(place),
                None => reasons.push((reason.clone(), vec![place])),
            }
        }
    }
    html.push_str("<ul>\n");
    for (reason, places) in &reasons {
        let _infallible = writeln!(
            html,
            "<li><code>{}</code> {}: {}",
            text(reason),
            text(described(reason)),
            places.join(", ")
        );
    }
    if reasons.is_empty() {
        html.push_str("<li>Everything that was played works here.\n");
    }
    html.push_str("</ul>\n</section>\n");
}

/// The networks of some cells, in their order.
fn networks<'a>(cells: impl Iterator<Item = &'a Cell>) -> Vec<Topology> {
    let mut found: Vec<Topology> = Vec::new();
    for cell in cells {
        if !found.iter().any(|other| other.to_string() == cell.topology.to_string()) {
            found.push(cell.topology);
        }
    }
    found
}

/// Text for HTML.
fn text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_a_peer_said_is_no_html() {
        let cell = Cell {
            topology: Topology::named("nat/nat").unwrap(),
            family: Family::V4,
            protection: Protection::Plain,
            mode: Mode::Epsv,
            operation: Operation::List,
            outcome: Outcome::Fails {
                reason: "passive-silent".into(),
                said: "\"><script>alert(1)</script>".into(),
            },
            took: Duration::ZERO,
        };
        let page = page("a & b", &[cell]);
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
        assert!(page.contains("a &amp; b") && page.contains("<svg"));
    }
}
