//! The summary picture: bars for the heaviest workloads, as an SVG that is readable on light and dark pages.

use std::fmt::Write;

use super::archive::Archive;
use super::results::{Figure, Row, median};
use super::servers::{Kind, SERVERS, Task};
use super::tables::number;
use super::workloads::Measure;
use crate::Result;

/// The panels: the workload, the name of the cell, and the heading.
const PANELS: [(&str, &str, &str); 8] = [
    ("echo", "20 B × 100 × 1", "echo, 20 B, 1 in flight"),
    ("echo", "20 B × 100 × 16", "echo, 20 B, 16 in flight"),
    ("echo", "1 KiB × 100 × 16", "echo, 1 KiB, 16 in flight"),
    ("echo", "16 KiB × 100 × 16", "echo, 16 KiB, 16 in flight"),
    ("echo", "256 KiB × 100 × 1", "echo, 256 KiB, 1 in flight"),
    ("broadcast", "64 B to 1000, 16 a tick", "broadcast, 64 B to 1000, 16 at once"),
    ("tls", "16 KiB × 100 × 16", "echo over TLS, 16 KiB, 16 in flight"),
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
.ours{fill:#c4422b}.peer{fill:#8c959f}.floor{fill:#d1d9e0}.n{font-weight:600}.r{fill:#1f2328}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.v{fill:#9198a1}.ours{fill:#ff7b5f}.peer{fill:#6e7681}.floor{fill:#3d444d}.r{fill:#e6edf3}}";

/// The lines below the panels.
const FOOT: [&str; 2] = [
    "Processor time of the server in µs for each message, delivery or handshake; shorter is better. The line shows the range of the runs.",
    "* disturbed: processor time was missing in more than half of the runs. ° behind after one to three runs, and not run again.",
];

/// One bar.
#[derive(Debug)]
struct Bar {
    name: &'static str,
    class: &'static str,
    figure: Figure,
}

/// Draws the picture.
///
/// # Errors
///
/// Returns an error if the text cannot be written.
pub fn draw(archive: &Archive) -> Result<String> {
    let mut panels = Vec::new();
    for (workload, cell, heading) in PANELS {
        let task = archive.find(workload).map(|(workload, _)| workload.task);
        panels.extend(task.zip(archive.row(workload, cell)).map(|(task, row)| (heading, bars(row, task))));
    }
    draw_panels(&panels)
}

/// Returns the best figure of each other library and the figures of all kinds of handlers, the lowest first.
fn bars(row: &Row, task: Task) -> Vec<Bar> {
    let mut bars: Vec<Bar> = Vec::new();
    for server in SERVERS {
        let Some(figure) = row.figure(server.name, Measure::Processor) else { continue };
        let (class, name) = match server.kind {
            Kind::Variant => continue,
            Kind::Floor => ("floor", server.label(task)),
            Kind::Handler => ("ours", server.label(task)),
            Kind::Peer => ("peer", server.label(task).split(',').next().unwrap_or(server.name)),
        };
        match bars.iter_mut().find(|bar| bar.name == name) {
            Some(bar) if bar.figure.value > figure.value => bar.figure = figure,
            Some(_) => {}
            None => bars.push(Bar { name, class, figure }),
        }
    }
    bars.sort_by(|one, other| one.figure.value.total_cmp(&other.figure.value));
    bars
}

fn draw_panels(panels: &[(&str, Vec<Bar>)]) -> Result<String> {
    let tallest = panels.iter().map(|(_, bars)| bars.len()).max().unwrap_or(0);
    let height = HEADING + tallest * LINE + 14;
    let rows = panels.len().div_ceil(2);
    let mut svg = String::new();
    write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {0}\" width=\"{WIDTH}\" height=\"{0}\" \
         role=\"img\"><title>Processor time of the server, in microseconds, for each message, delivery or handshake; \
         shorter is better</title><style>{STYLE}</style>",
        rows * height + 10 + FOOT.len() * LINE
    )?;
    for (number, (heading, bars)) in panels.iter().enumerate() {
        panel(&mut svg, number % 2 * PANEL, number / 2 * height, heading, bars)?;
    }
    for (line, foot) in FOOT.iter().enumerate() {
        writeln!(svg, "<text class=\"v\" x=\"8\" y=\"{}\">{foot}</text>", rows * height + 14 + line * LINE)?;
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn panel(svg: &mut String, left: usize, top: usize, heading: &str, bars: &[Bar]) -> Result<()> {
    writeln!(svg, "<text class=\"h\" x=\"{}\" y=\"{}\">{heading}</text>", left + 8, top + 22)?;
    let longest = bars.iter().map(|bar| bar.figure.value).fold(f64::MIN_POSITIVE, f64::max);
    // If one server is much slower than the others, its bar is truncated, so that the others can be compared.
    let scale = median(bars.iter().map(|bar| bar.figure.value).collect())
        .map_or(longest, |middle| longest.min(middle * 3.0));
    for (place, bar) in bars.iter().enumerate() {
        let (y, x) = (top + HEADING + place * LINE, left + LABEL);
        let length = (bar.figure.value / scale).min(1.0) * BAR as f64;
        let own = if bar.class == "ours" { " class=\"n\"" } else { "" };
        let cut = if bar.figure.value > scale { " →" } else { "" };
        writeln!(svg, "<text{own} x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", x - 6, y + 10, bar.name)?;
        writeln!(
            svg,
            "<rect class=\"{}\" x=\"{x}\" y=\"{y}\" width=\"{length:.1}\" height=\"12\" rx=\"2\"/>",
            bar.class
        )?;
        // A thin line shows the range of the runs.
        let [low, high] = bar.figure.range.map(|value| (value / scale).min(1.0) * BAR as f64);
        writeln!(
            svg,
            "<rect class=\"r\" x=\"{:.1}\" y=\"{}\" width=\"{:.1}\" height=\"2\"/>",
            x as f64 + low,
            y + 5,
            (high - low).max(0.5)
        )?;
        let end = x as f64 + length.max(high) + 6.0;
        let text = format!("{}{}{cut}", number(bar.figure.value), bar.figure.marks());
        writeln!(svg, "<text class=\"v\" x=\"{end:.1}\" y=\"{}\">{text}</text>", y + 10)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::results::tests::{disturbed_runs, entry};
    use super::{Row, Task, bars, draw_panels};
    use crate::Result;

    #[test]
    fn marks_and_all_handlers_are_in_the_picture() -> Result<()> {
        let few = super::super::results::Entry { left_out: true, ..entry(&[9.25]) };
        let servers = [
            ("Sockeye", disturbed_runs(entry(&[1.25, 1.5]))),
            ("Sockeye, struct", entry(&[1.75, 1.75])),
            ("ws", few),
        ];
        let servers = servers.map(|(name, entry)| (name.to_owned(), entry));
        let row = Row { name: "cell".into(), servers: BTreeMap::from(servers), rate: None };
        let picture = draw_panels(&[("cell", bars(&row, Task::Echo))])?;
        for text in [">1.38*<", ">1.75<", ">9.25° →<", ">Sockeye, closure<", ">Sockeye, struct<"] {
            assert!(picture.contains(text), "{text} is missing in {picture}");
        }
        Ok(())
    }
}
