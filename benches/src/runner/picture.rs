//! The summary picture: bars for the heaviest workloads, as an SVG that is readable on light and dark pages.

use std::fmt::Write;
use std::fs;

use super::pages::Pages;
use super::results::{Results, Row, median};
use super::servers::{Kind, SERVERS};
use super::tables::number;
use super::workloads::Measure;
use crate::Result;

/// The panels: the workload, the name of the cell, and the heading.
const PANELS: [(&str, &str, &str); 6] = [
    ("echo", "20 B × 100 × 1", "echo, 20 B, 1 in flight"),
    ("echo", "20 B × 100 × 16", "echo, 20 B, 16 in flight"),
    ("echo", "1 KiB × 100 × 16", "echo, 1 KiB, 16 in flight"),
    ("echo", "16 KiB × 100 × 16", "echo, 16 KiB, 16 in flight"),
    ("broadcast", "64 B to 1000, 16 a tick", "broadcast, 64 B to 1000, 16 at once"),
    ("handshakes", "a browser's head", "opening handshake, a browser's head"),
];

const WIDTH: usize = 900;
const PANEL: usize = 450;
const LABEL: usize = 155;
const BAR: usize = 220;
const LINE: usize = 16;
const HEADING: usize = 34;

/// The colors of each class, which depend on the color scheme of the page.
const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2328}.h{font-weight:600;font-size:13px}.v{font-size:11px;fill:#59636e}\
.ours{fill:#c4422b}.peer{fill:#8c959f}.floor{fill:#d1d9e0}.n{font-weight:600}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.v{fill:#9198a1}.ours{fill:#ff7b5f}.peer{fill:#6e7681}.floor{fill:#3d444d}}";

/// One bar.
struct Bar {
    name: &'static str,
    class: &'static str,
    value: f64,
}

/// Writes the picture if there are results for at least one panel.
///
/// # Errors
///
/// Returns an error if a file cannot be read or written.
pub fn write(pages: &Pages) -> Result<()> {
    let mut panels = Vec::new();
    for (workload, cell, heading) in PANELS {
        let Some(results) = pages.find::<Results>(workload)? else { continue };
        let row = results.rows.iter().find(|row| row.name == cell);
        panels.extend(row.map(|row| (heading, bars(row))));
    }
    if panels.is_empty() {
        return Ok(());
    }
    Ok(fs::write(pages.picture(), draw(&panels)?)?)
}

/// Returns the best figure of each library, the lowest first. For Sockeye, only the closure is shown.
fn bars(row: &Row) -> Vec<Bar> {
    let mut bars: Vec<Bar> = Vec::new();
    for server in SERVERS {
        let Some(figure) = row.figure(server.name, Measure::Processor) else { continue };
        let class = match server.kind {
            Kind::Floor => "floor",
            Kind::Ours => "ours",
            Kind::Peer => "peer",
        };
        let name = server.name.split(',').next().unwrap_or(server.name);
        match bars.iter_mut().find(|bar| bar.name == name) {
            // The first entry of Sockeye is the closure. Its other variants are ignored.
            Some(_) if server.kind == Kind::Ours => {}
            Some(bar) => bar.value = bar.value.min(figure.value),
            None => bars.push(Bar { name, class, value: figure.value }),
        }
    }
    bars.sort_by(|one, other| one.value.total_cmp(&other.value));
    bars
}

fn draw(panels: &[(&str, Vec<Bar>)]) -> Result<String> {
    let tallest = panels.iter().map(|(_, bars)| bars.len()).max().unwrap_or(0);
    let height = HEADING + tallest * LINE + 14;
    let rows = panels.len().div_ceil(2);
    let mut svg = String::new();
    write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {0}\" width=\"{WIDTH}\" height=\"{0}\" \
         role=\"img\"><title>Processor time of the server, in microseconds, for each message, delivery or handshake; \
         shorter is better</title><style>{STYLE}</style>",
        rows * height + 26
    )?;
    for (number, (heading, bars)) in panels.iter().enumerate() {
        panel(&mut svg, number % 2 * PANEL, number / 2 * height, heading, bars)?;
    }
    let foot =
        "Processor time of the server in µs for each message, delivery or handshake; shorter is better.";
    writeln!(svg, "<text class=\"v\" x=\"8\" y=\"{}\">{foot}</text></svg>", rows * height + 14)?;
    Ok(svg)
}

fn panel(svg: &mut String, left: usize, top: usize, heading: &str, bars: &[Bar]) -> Result<()> {
    writeln!(svg, "<text class=\"h\" x=\"{}\" y=\"{}\">{heading}</text>", left + 8, top + 22)?;
    let longest = bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
    // If one server is much slower than the others, its bar is truncated, so that the others can be compared.
    let scale = median(bars.iter().map(|bar| bar.value).collect())
        .map_or(longest, |middle| longest.min(middle * 3.0));
    for (place, bar) in bars.iter().enumerate() {
        let (y, x) = (top + HEADING + place * LINE, left + LABEL);
        let length = (bar.value / scale).min(1.0) * BAR as f64;
        let own = if bar.class == "ours" { " class=\"n\"" } else { "" };
        let cut = if bar.value > scale { " →" } else { "" };
        writeln!(svg, "<text{own} x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", x - 6, y + 10, bar.name)?;
        writeln!(
            svg,
            "<rect class=\"{}\" x=\"{x}\" y=\"{y}\" width=\"{length:.1}\" height=\"12\" rx=\"2\"/>",
            bar.class
        )?;
        let end = x as f64 + length + 6.0;
        writeln!(svg, "<text class=\"v\" x=\"{end:.1}\" y=\"{}\">{}{cut}</text>", y + 10, number(bar.value))?;
    }
    Ok(())
}
