//! The matrix in text: a row for each network, equal rows folded into one, and each reason a letter
//! that is explained below.
//!
//! It fits 80 columns, and uses no colour: the marks tell.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use twoport_proto::reason::Reason;

use crate::address::Family;
use crate::play::{Cell, Mode, Outcome, Protection};
use crate::topology::Topology;

const WORKS: char = '✓';
const LACKS: char = '·';

/// What a cell of the table shows: operations that end alike are one.
type Mark = Option<String>;

/// The table of all cells that were played with one server and one client.
#[must_use]
pub fn table(cells: &[Cell]) -> String {
    let families: BTreeSet<Family> = cells.iter().map(|cell| cell.family).collect();
    let mut text = String::new();
    for family in families {
        let of: Vec<&Cell> = cells.iter().filter(|cell| cell.family == family).collect();
        text.push_str(&Table::new(&of).drawn(family));
    }
    text
}

struct Table<'a> {
    cells: &'a [&'a Cell],
    /// The networks in their order.
    rows: Vec<Topology>,
    modes: Vec<Mode>,
    protections: Vec<Protection>,
    marks: BTreeMap<(String, Mode, Protection), Mark>,
    /// Each reason with its letter.
    letters: BTreeMap<String, char>,
}

impl<'a> Table<'a> {
    fn new(cells: &'a [&'a Cell]) -> Self {
        let modes: BTreeSet<Mode> = cells.iter().map(|cell| cell.mode).collect();
        let protections: BTreeSet<Protection> = cells.iter().map(|cell| cell.protection).collect();
        let mut rows: Vec<Topology> = Vec::new();
        let mut groups: BTreeMap<(String, Mode, Protection), Vec<&Cell>> = BTreeMap::new();
        for cell in cells {
            let name = cell.topology.to_string();
            if !rows.iter().any(|row| row.to_string() == name) {
                rows.push(cell.topology);
            }
            groups.entry((name, cell.mode, cell.protection)).or_default().push(cell);
        }
        let marks: BTreeMap<_, _> =
            groups.into_iter().map(|(key, group)| (key, merged(&group))).collect();
        Self {
            cells,
            rows,
            modes: modes.into_iter().collect(),
            protections: protections.into_iter().collect(),
            letters: letters(marks.values()),
            marks,
        }
    }

    fn drawn(&self, family: Family) -> String {
        let mut text = String::new();
        let works = self.cells.iter().filter(|c| matches!(c.outcome, Outcome::Works(_))).count();
        let played = self.cells.iter().filter(|c| !matches!(c.outcome, Outcome::Lacks(_))).count();
        let _infallible = writeln!(
            text,
            "IPv{}: {works} of {played} cells work, in {} networks\n",
            family.digit(),
            self.rows.len()
        );
        let mut left = self.modes.clone();
        for (title, side) in [("server", server as Name), ("client", client as Name)] {
            let (alone, others): (Vec<Mode>, Vec<Mode>) =
                left.into_iter().partition(|mode| self.is_decided_by(side, *mode));
            left = others;
            if !alone.is_empty() {
                let _infallible = writeln!(text, "The {title}'s side alone decides:\n");
                self.heading(&mut text, title, "", &alone);
                self.lines(&mut text, self.folded_by(side, &alone), &alone);
                text.push('\n');
            }
        }
        if !left.is_empty() {
            self.heading(&mut text, "client", "server", &left);
            self.lines(&mut text, self.folded(&left), &left);
            text.push('\n');
        }
        self.legend(&mut text);
        text
    }

    /// Whether the name of one side says what comes of a mode, among several names of both.
    fn is_decided_by(&self, side: Name, mode: Mode) -> bool {
        let count = |of: Name| self.rows.iter().map(of).collect::<BTreeSet<_>>().len();
        let mut seen: BTreeMap<&str, String> = BTreeMap::new();
        count(client) > 1
            && count(server) > 1
            && self.rows.iter().all(|row| {
                let marks = self.marks(row, &[mode]);
                *seen.entry(side(row)).or_insert_with(|| marks.clone()) == marks
            })
    }

    fn heading(&self, text: &mut String, one: &str, other: &str, modes: &[Mode]) {
        let side = |end: &str| if end.is_empty() { String::new() } else { format!("{end} side") };
        let modes: Vec<String> =
            modes.iter().map(|mode| format!("{:<5}", mode.word().to_uppercase())).collect();
        let line = format!("{:<18} {:<18} {}", side(one), side(other), modes.join(" "));
        let _infallible = writeln!(text, "{}", line.trim_end());
    }

    fn lines(&self, text: &mut String, folded: Vec<Fold>, modes: &[Mode]) {
        for Fold { clients, servers, row } in folded {
            for index in 0..clients.len().max(servers.len()) {
                let name = |names: &[&'static str]| names.get(index).copied().unwrap_or_default();
                let marks = if index == 0 { self.marks(&row, modes) } else { String::new() };
                let line = format!("{:<18} {:<18} {marks}", name(&clients), name(&servers));
                let _infallible = writeln!(text, "{}", line.trim_end());
            }
        }
    }

    fn legend(&self, text: &mut String) {
        let words: Vec<&str> = self.protections.iter().map(|p| p.word()).collect();
        let _infallible = writeln!(
            text,
            "Each group is {}. {WORKS} works, {LACKS} server or client has it not.",
            words.join(", ")
        );
        let mut letters: Vec<(&String, &char)> = self.letters.iter().collect();
        letters.sort_by_key(|(_, letter)| **letter);
        for (reason, letter) in letters {
            let line = format!("{letter} {reason:<22} {}", described(reason));
            let _infallible = writeln!(text, "{}", line.trim_end());
        }
        text.push('\n');
    }

    /// The names of one side, those with equal marks together.
    fn folded_by(&self, side: Name, modes: &[Mode]) -> Vec<Fold> {
        let mut folds: Vec<Fold> = Vec::new();
        for row in &self.rows {
            let name = side(row);
            let marks = self.marks(row, modes);
            match folds.iter_mut().find(|fold| self.marks(&fold.row, modes) == marks) {
                Some(fold) if fold.clients.contains(&name) => {}
                Some(fold) => fold.clients.push(name),
                None => folds.push(Fold { clients: vec![name], servers: Vec::new(), row: *row }),
            }
        }
        folds
    }

    /// Networks with equal rows, as products: these client sides with those server sides.
    fn folded(&self, modes: &[Mode]) -> Vec<Fold> {
        let mut alike: Vec<(String, Vec<Topology>)> = Vec::new();
        for row in &self.rows {
            let marks = self.marks(row, modes);
            match alike.iter_mut().find(|(other, _)| *other == marks) {
                Some((_, found)) => found.push(*row),
                None => alike.push((marks, vec![*row])),
            }
        }
        let mut folds: Vec<Fold> = Vec::new();
        for (_, networks) in alike {
            let first = folds.len();
            for row in &networks {
                let of = networks.iter().filter(|other| client(other) == client(row));
                let servers: Vec<&'static str> = of.map(server).collect();
                let earlier = folds.iter_mut().skip(first).find(|fold| fold.servers == servers);
                match earlier {
                    Some(fold) if fold.clients.contains(&client(row)) => {}
                    Some(fold) => fold.clients.push(client(row)),
                    None => folds.push(Fold { clients: vec![client(row)], servers, row: *row }),
                }
            }
        }
        folds
    }

    fn marks(&self, row: &Topology, modes: &[Mode]) -> String {
        let letter = |mark: &Mark| match mark {
            None => WORKS,
            Some(reason) if reason.is_empty() => LACKS,
            Some(reason) => self.letters.get(reason).copied().unwrap_or('?'),
        };
        let group = |mode: &Mode| {
            let name = row.to_string();
            let marks = self.protections.iter().map(|protection| {
                let key = (name.clone(), *mode, *protection);
                self.marks.get(&key).map_or(LACKS, letter)
            });
            format!("{:<5}", marks.collect::<String>())
        };
        modes.iter().map(group).collect::<Vec<String>>().join(" ").trim_end().to_owned()
    }
}

/// The name of one side of a network.
type Name = fn(&Topology) -> &'static str;

fn client(network: &Topology) -> &'static str {
    network.client.name
}

fn server(network: &Topology) -> &'static str {
    network.server.name
}

/// Networks that are one row of the table, and one of them.
struct Fold {
    clients: Vec<&'static str>,
    servers: Vec<&'static str>,
    row: Topology,
}

/// What the operations of a cell come to: nothing to say where all work; an empty text where it cannot
/// be played.
fn merged(cells: &[&Cell]) -> Mark {
    let mut failed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let (mut all, mut lacking) = (0, 0);
    for cell in cells {
        all += 1;
        match &cell.outcome {
            Outcome::Works(_) => {}
            Outcome::Lacks(_) => lacking += 1,
            Outcome::Fails { reason, .. } => {
                failed.entry(reason).or_default().push(cell.operation.word());
            }
        }
    }
    if all == lacking {
        return Some(String::new());
    }
    let told: Vec<String> = failed
        .into_iter()
        .map(|(reason, of)| {
            if of.len() == all {
                reason.to_owned()
            } else {
                format!("{reason} ({})", of.join(", "))
            }
        })
        .collect();
    if told.is_empty() { None } else { Some(told.join("; ")) }
}

/// Letters go to reasons by how often they are: the commonest is `a`.
fn letters<'a>(marks: impl Iterator<Item = &'a Mark>) -> BTreeMap<String, char> {
    let mut count: BTreeMap<&String, usize> = BTreeMap::new();
    for reason in marks.flatten() {
        *count.entry(reason).or_default() += 1;
    }
    let mut all: Vec<(&String, usize)> =
        count.into_iter().filter(|(reason, _)| !reason.is_empty()).collect();
    all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    // After 26 reasons nobody reads on: `?` stands for the rest.
    let letters = ('a'..='z').chain(std::iter::repeat('?'));
    all.into_iter().map(|(reason, _)| reason.clone()).zip(letters).collect()
}

/// What a reason means, where it is one.
pub(super) fn described(name: &str) -> &'static str {
    let found = Reason::ALL.iter().find(|reason| reason.id() == name);
    found.map_or("", |reason| reason.describe())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::play::Operation;
    use std::time::Duration;

    fn cell(network: &str, mode: Mode, operation: Operation, reason: Option<&str>) -> Cell {
        Cell {
            topology: Topology::named(network).unwrap(),
            family: Family::V4,
            protection: Protection::Plain,
            mode,
            operation,
            outcome: reason.map_or(Outcome::Works(None), |reason| Outcome::Fails {
                reason: reason.into(),
                said: "425".into(),
            }),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn equal_rows_are_one_and_a_reason_is_a_letter() {
        let mut cells = Vec::new();
        for network in ["routed/routed", "nat/routed", "routed/nat", "nat/nat"] {
            let fails = network.ends_with("/nat").then_some("passive-silent");
            for operation in [Operation::List, Operation::Stor] {
                cells.push(cell(network, Mode::Epsv, operation, fails));
            }
        }
        cells.push(cell("nat/nat", Mode::Pasv, Operation::List, Some("passive-refused")));
        cells.push(cell("nat/nat", Mode::Pasv, Operation::Stor, None));
        let table = table(&cells);
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            rows[..5],
            [
                "The server's side alone decides:",
                "",
                "server side                           EPSV",
                "routed                                ✓",
                "nat                                   a",
            ]
        );
        assert_eq!(
            rows[6..],
            [
                "client side        server side        PASV",
                "routed             routed             ·",
                "                   nat",
                "nat                routed             ·",
                "nat                nat                b",
                "",
                "Each group is plain. ✓ works, · server or client has it not.",
                "a passive-silent         The server's passive port did not answer",
                "b passive-refused (list)",
                "",
            ]
        );
    }
}
