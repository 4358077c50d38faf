//! Curves over two axes, with a legend.
//!
//! Owns their drawing. Points that are no numbers break a curve rather than bend it.

use super::axis::{Axis, drawable};
use super::html::escape;
use std::fmt::Write as _;

/// A chart of curves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lines {
    /// What it shows.
    pub title: String,
    /// What runs to the right.
    pub across: Scale,
    /// What runs upwards.
    pub up: Scale,
    /// The curves.
    pub lines: Vec<Line>,
}

/// One direction of a chart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scale {
    /// What it measures, with its unit.
    pub name: String,
    /// Whether equal steps are equal ratios.
    pub logarithmic: bool,
    /// Whether it begins at zero.
    pub from_zero: bool,
}

/// One curve.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Its points from left to right.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 44.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 10.0;
const LEGEND_ROW: f64 = 18.0;
const LEGEND_COLUMNS: usize = 3;

impl Lines {
    /// The chart as SVG.
    pub(super) fn write_svg(&self, out: &mut String) {
        let rows = self.lines.len().div_ceil(LEGEND_COLUMNS);
        let height = HEIGHT + rows as f64 * LEGEND_ROW;
        let across = self.axis(&self.across, |point| point.0, LEFT, WIDTH - RIGHT);
        let up = self.axis(&self.up, |point| point.1, HEIGHT - BOTTOM, TOP);
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\"><title>{}</title>",
            escape(&self.title)
        );
        for tick in across.ticks(8) {
            let x = across.place(tick);
            let _ = write!(
                out,
                "<path class=\"grid\" d=\"M{x:.1} {TOP}V{:.1}\"/><text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                HEIGHT - BOTTOM,
                HEIGHT - BOTTOM + 16.0,
                number(tick)
            );
        }
        for tick in up.ticks(6) {
            let y = up.place(tick);
            let _ = write!(
                out,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{:.1}\"/><text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0,
                number(tick)
            );
        }
        let _ = write!(
            out,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\
             <text class=\"tick\" transform=\"translate(12 {:.1}) rotate(-90)\">{}</text>",
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 8.0,
            escape(&self.across.name),
            (TOP + HEIGHT - BOTTOM) / 2.0,
            escape(&self.up.name)
        );
        for (position, line) in self.lines.iter().enumerate() {
            let colour = position % 6;
            let _ =
                write!(out, "<path class=\"line l{colour}\" d=\"{}\"/>", path(&line.points, &across, &up));
            let (column, row) = (position % LEGEND_COLUMNS, position / LEGEND_COLUMNS);
            let x = LEFT + column as f64 * (WIDTH - LEFT) / LEGEND_COLUMNS as f64;
            let y = HEIGHT + row as f64 * LEGEND_ROW;
            let _ = write!(
                out,
                "<rect class=\"c{colour}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"14\" height=\"4\"/>\
                 <text class=\"label\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                y + 3.0,
                x + 20.0,
                y + 9.0,
                escape(&line.name)
            );
        }
        out.push_str("</svg>");
    }

    fn axis(&self, scale: &Scale, part: impl Fn(&(f64, f64)) -> f64, from: f64, to: f64) -> Axis {
        let values = self.lines.iter().flat_map(|line| &line.points).map(part);
        let usable = values.filter_map(drawable).filter(|value| !scale.logarithmic || *value > 0.0);
        let (mut low, high) = usable
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if scale.from_zero && !scale.logarithmic {
            low = low.min(0.0);
        }
        Axis::new(low, high, scale.logarithmic, from, to)
    }
}

fn path(points: &[(f64, f64)], across: &Axis, up: &Axis) -> String {
    let mut path = String::new();
    let mut drawing = false;
    for (x, y) in points {
        if !x.is_finite() || !y.is_finite() {
            drawing = false;
            continue;
        }
        let command = if drawing { 'L' } else { 'M' };
        let _ = write!(path, "{command}{:.1} {:.1}", across.place(*x), up.place(*y));
        drawing = true;
    }
    path
}

/// A number beside an axis.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{}M", trimmed(value / 1e6)),
        size if size >= 10_000.0 => format!("{}k", trimmed(value / 1e3)),
        _ => trimmed(value),
    }
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
