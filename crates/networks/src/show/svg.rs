//! A network as a drawing: its hosts in a line from the client to the server, as inline SVG.
//!
//! It draws what is planned. Colours come from the page around it.

use std::fmt::Write as _;

use super::picture::{about, enters, wrapped};
use crate::plan::{Host, Plan};
use crate::side::Extra;
use crate::topology::Topology;

const WIDTH: usize = 170;
const GAP: usize = 26;
const HEIGHT: usize = 150;

/// The drawing.
pub(super) fn drawing(topology: &Topology) -> String {
    let plan = Plan::of(topology);
    let wide = plan.hosts.len() * (WIDTH + GAP) - GAP;
    let mut svg =
        format!("<svg viewBox=\"0 0 {wide} {HEIGHT}\" role=\"img\" aria-label=\"{topology}\">\n");
    for (index, host) in plan.hosts.iter().enumerate() {
        let left = index * (WIDTH + GAP);
        if index > 0 {
            let _infallible =
                writeln!(svg, "<line x1=\"{}\" y1=\"40\" x2=\"{left}\" y2=\"40\"/>", left - GAP);
        }
        draw(&mut svg, left, host, topology);
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, left: usize, host: &Host, topology: &Topology) {
    let middle = left + WIDTH / 2;
    let is_box = host.name.ends_with("-box") || host.name == "carrier";
    let kind = match host.name {
        "public" => "public",
        _ if is_box => "box",
        _ => "end",
    };
    let _infallible = writeln!(
        svg,
        "<rect class=\"{kind}\" x=\"{left}\" y=\"4\" width=\"{WIDTH}\" height=\"{}\" rx=\"6\"/>\n\
         <text class=\"name\" x=\"{middle}\" y=\"22\">{}</text>",
        HEIGHT - 8,
        host.name
    );
    let mut lines: Vec<(&str, String)> = Vec::new();
    let addresses = host.interfaces.iter().flat_map(|(_, addresses)| addresses);
    lines.extend(addresses.map(|(ip, _)| ("address", ip.to_string())));
    lines.extend(wrapped(&about(host.name, topology), 29).into_iter().map(|line| ("about", line)));
    let side = match host.name {
        "client-box" => Some(topology.client),
        "server-box" => Some(topology.server),
        _ => None,
    };
    if let Some(side) = side.filter(|side| side.extra != Extra::Inside) {
        let text = format!("in: {}", enters(side));
        lines.extend(wrapped(&text, 29).into_iter().map(|line| ("enters", line)));
    }
    for (index, (class, line)) in lines.iter().filter(|(_, line)| !line.is_empty()).enumerate() {
        let y = 38 + index * 12;
        let _infallible =
            writeln!(svg, "<text class=\"{class}\" x=\"{middle}\" y=\"{y}\">{line}</text>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_is_drawn_and_every_line_is_inside() {
        for topology in Topology::all() {
            let svg = drawing(&topology);
            assert_eq!(svg.matches("<rect").count(), Plan::of(&topology).hosts.len());
            let lowest = svg.split(" y=\"").skip(1).filter_map(|rest| rest.split('"').next());
            let lowest = lowest.filter_map(|y| y.parse::<usize>().ok()).max();
            assert!(lowest.is_some_and(|y| y < HEIGHT), "{topology}: {lowest:?}");
        }
    }
}
