//! The figures as rows: what was measured, the ratio to the floor, what is to be reached and whether it was.
//!
//! Owns the goals and their judging. It must not run anything. A goal is judged on the very number that the row shows.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};
use serde::Serialize;

use super::subject::Subject;

/// What is to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) enum Goal {
    /// At most this many times the floor.
    RatioAtMost(f64),
    /// At most this, in the row's unit.
    AtMost(f64),
    /// At least this, in the row's unit.
    AtLeast(f64),
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Row {
    /// What was measured.
    pub(super) figure: String,
    /// In what.
    pub(super) unit: &'static str,
    /// The figure of each subject that took part.
    pub(super) values: Vec<(Subject, f64)>,
    /// What the gateway is to reach, where something is to be reached.
    pub(super) goal: Option<Goal>,
}

/// How a row compares to its goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Met,
    NotMet,
    /// The gateway took no part, or there is no floor to compare to.
    NotMeasured,
}

impl Row {
    /// The figure of `subject`.
    pub(super) fn value(&self, subject: Subject) -> Option<f64> {
        self.values.iter().find(|(other, _)| *other == subject).map(|(_, value)| *value)
    }

    /// The gateway's figure as a ratio to the floor's. A floor of zero or less (an added latency lost in noise) gives none.
    pub(super) fn ratio(&self) -> Option<f64> {
        let floor = self.value(Subject::Floor).filter(|floor| *floor > 0.0)?;
        Some(self.value(Subject::Gateway)? / floor)
    }

    fn verdict(&self) -> Option<Verdict> {
        let met = match self.goal? {
            Goal::RatioAtMost(limit) => self.ratio().map(|ratio| ratio <= limit),
            Goal::AtMost(limit) => self.value(Subject::Gateway).map(|value| value <= limit),
            Goal::AtLeast(limit) => self.value(Subject::Gateway).map(|value| value >= limit),
        };
        Some(met.map_or(Verdict::NotMeasured, |met| if met { Verdict::Met } else { Verdict::NotMet }))
    }
}

/// The table, with a column for each of `subjects`.
pub(super) fn render(rows: &[Row], subjects: &[Subject]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    let mut header = vec!["figure".to_owned(), "unit".to_owned()];
    header.extend(subjects.iter().map(|subject| subject.title().to_owned()));
    header.extend(["ratio to hyper", "to reach", "verdict"].map(str::to_owned));
    let columns = header.len();
    table.set_header(header);
    for row in rows {
        let mut cells = vec![Cell::new(&row.figure), Cell::new(row.unit)];
        for subject in subjects {
            let shown = row.value(*subject).map(number).unwrap_or_default();
            cells.push(Cell::new(shown).set_alignment(CellAlignment::Right));
        }
        let ratio = row.ratio().map(|ratio| format!("{ratio:.2} x")).unwrap_or_default();
        cells.push(Cell::new(ratio).set_alignment(CellAlignment::Right));
        cells.push(Cell::new(row.goal.map(|goal| goal_text(goal, row.unit)).unwrap_or_default()));
        cells.push(Cell::new(match row.verdict() {
            None => "",
            Some(Verdict::Met) => "met",
            Some(Verdict::NotMet) => "NOT met",
            Some(Verdict::NotMeasured) => "not measured",
        }));
        debug_assert_eq!(cells.len(), columns);
        table.add_row(cells);
    }
    table.to_string()
}

/// One line on how many goals were met.
pub(super) fn conclusion(rows: &[Row]) -> String {
    let verdicts: Vec<Verdict> = rows.iter().filter_map(Row::verdict).collect();
    let count = |wanted| verdicts.iter().filter(|verdict| **verdict == wanted).count();
    let missed: Vec<&str> = rows
        .iter()
        .filter(|row| row.verdict() == Some(Verdict::NotMet))
        .map(|row| row.figure.as_str())
        .collect();
    let mut text = format!("{} of {} goals met", count(Verdict::Met), verdicts.len());
    if count(Verdict::NotMeasured) > 0 {
        text.push_str(&format!(", {} not measured", count(Verdict::NotMeasured)));
    }
    if !missed.is_empty() {
        text.push_str(&format!("; not met: {}", missed.join(", ")));
    }
    text
}

fn goal_text(goal: Goal, unit: &str) -> String {
    match goal {
        Goal::RatioAtMost(limit) => format!("at most {limit} x"),
        Goal::AtMost(limit) => format!("at most {} {unit}", number(limit)),
        Goal::AtLeast(limit) => format!("at least {} {unit}", number(limit)),
    }
}

/// A number with as many digits as it is worth, thousands grouped.
fn number(value: f64) -> String {
    let places = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.places$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { format!("{sign}{grouped}") } else { format!("{sign}{grouped}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(floor: f64, gateway: f64, goal: Goal) -> Row {
        Row {
            figure: "CPU per request, 0.5 kB".to_owned(),
            unit: "us",
            values: vec![(Subject::Floor, floor), (Subject::Gateway, gateway)],
            goal: Some(goal),
        }
    }

    #[test]
    fn goals_are_judged_by_ratio_and_by_value() {
        assert_eq!(row(10.0, 16.0, Goal::RatioAtMost(1.6)).verdict(), Some(Verdict::Met));
        assert_eq!(row(10.0, 16.1, Goal::RatioAtMost(1.6)).verdict(), Some(Verdict::NotMet));
        assert_eq!(row(10.0, 100.0, Goal::AtMost(100.0)).verdict(), Some(Verdict::Met));
        assert_eq!(row(10.0, 14_999.0, Goal::AtLeast(15_000.0)).verdict(), Some(Verdict::NotMet));
        assert_eq!(row(0.0, 16.0, Goal::RatioAtMost(1.6)).verdict(), Some(Verdict::NotMeasured));
        assert_eq!(Row { goal: None, ..row(1.0, 1.0, Goal::AtMost(1.0)) }.verdict(), None);
    }

    #[test]
    fn numbers_are_short_and_grouped() {
        let shown = [0.5, 1.0, 12.34, 123.4, 15_000.0, 1_234_567.8, -42.04].map(number);
        assert_eq!(shown, ["0.5", "1", "12.3", "123", "15,000", "1,234,568", "-42"]);
    }

    #[test]
    fn the_table_tells_figure_ratio_goal_and_verdict() {
        let rows = [row(24.0, 36.0, Goal::RatioAtMost(1.6)), row(24.0, 60.0, Goal::RatioAtMost(2.2))];
        let text = render(&rows, &[Subject::Floor, Subject::Gateway]);
        let line = text.lines().find(|line| line.contains("1.50 x")).unwrap();
        for part in ["CPU per request, 0.5 kB", "us", "24", "36", "at most 1.6 x", "met"] {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert!(text.contains("NOT met"));
        assert_eq!(conclusion(&rows), "1 of 2 goals met; not met: CPU per request, 0.5 kB");
    }

    #[test]
    fn what_was_not_measured_is_said_to_be_so() {
        let rows = [Row { values: vec![(Subject::Floor, 24.0)], ..row(0.0, 0.0, Goal::RatioAtMost(1.6)) }];
        assert!(render(&rows, &[Subject::Floor]).contains("not measured"));
        assert_eq!(conclusion(&rows), "0 of 1 goals met, 1 not measured");
    }
}
