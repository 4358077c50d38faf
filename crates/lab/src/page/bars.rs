//! Bars: one figure per row, with an interval where one is known.
//!
//! Owns their drawing. Horizontal, because names are long and there may be many.

use super::axis::{Axis, drawable};
use super::html::escape;
use std::fmt::Write as _;

/// A chart of bars.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bars {
    /// What it shows.
    pub title: String,
    /// The bars from top to bottom.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Its name.
    pub name: String,
    /// Its length; may be negative.
    pub value: f64,
    /// Where the true value lies, if that is known.
    pub interval: Option<(f64, f64)>,
    /// The value in words.
    pub label: String,
    /// Bars of one group have one colour.
    pub group: usize,
}

const WIDTH: f64 = 760.0;
const NAMES: f64 = 210.0;
const LABELS: f64 = 110.0;
const ROW: f64 = 26.0;
/// Most characters of a name.
const LONGEST_NAME: usize = 32;

impl Bars {
    /// The chart as SVG.
    pub(super) fn write_svg(&self, out: &mut String) {
        let height = ROW * self.bars.len() as f64 + 12.0;
        let values = self.bars.iter().flat_map(|bar| {
            let (low, high) = bar.interval.unwrap_or((bar.value, bar.value));
            [low, bar.value, high]
        });
        let (low, high) = values
            .filter_map(drawable)
            .fold((0.0, 0.0), |(low, high): (f64, f64), value| (low.min(value), high.max(value)));
        let axis = Axis::new(low, high, false, NAMES, WIDTH - LABELS);
        let zero = axis.place(0.0);
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\"><title>{}</title>",
            escape(&self.title)
        );
        for (row, bar) in self.bars.iter().enumerate() {
            let top = row as f64 * ROW + 6.0;
            let middle = top + ROW / 2.0 - 1.0;
            let end = axis.place(drawable(bar.value).unwrap_or(0.0));
            let (left, width) = (zero.min(end), (zero - end).abs().max(1.0));
            let _ = write!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" class=\"name\">{}</text>\
                 <rect x=\"{left:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" class=\"c{}\"/>",
                NAMES - 8.0,
                middle + 4.0,
                escape(&shortened(&bar.name)),
                top + 3.0,
                ROW - 8.0,
                bar.group % 6,
            );
            let mut right = zero.max(end);
            if let Some((low, high)) = bar.interval {
                let (low, high) = (axis.place(low), axis.place(high));
                right = right.max(high);
                let (above, below) = (middle - 5.0, middle + 5.0);
                let _ = write!(
                    out,
                    "<path class=\"interval\" d=\"M{low:.1} {middle:.1}H{high:.1}M{low:.1} {above:.1}V{below:.1}\
                     M{high:.1} {above:.1}V{below:.1}\"/>"
                );
            }
            let _ = write!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" class=\"label\">{}</text>",
                right + 6.0,
                middle + 4.0,
                escape(&bar.label)
            );
        }
        let _ = write!(out, "<path class=\"axis\" d=\"M{zero:.1} 0V{height}\"/></svg>");
    }
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= LONGEST_NAME {
        return name.to_owned();
    }
    let mut text: String = name.chars().take(LONGEST_NAME - 1).collect();
    text.push('…');
    text
}
