//! The table.
//!
//! Owns its rows, what is published and wanted, and its text. Must not compute.

use super::intents::{IntentFigures, Intents};
use crate::measure::{Comparison, Interval};
use serde::Serialize;
use std::fmt;

/// Everything that was measured in one run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Choices between a weak and a strong model.
    pub routing: Vec<RoutingRow>,
    /// Choices among many models.
    pub choices: Vec<ChoiceRow>,
    /// Intents, where measured.
    pub intents: Option<Intents>,
    /// Of the splits.
    pub seed: u64,
    /// Outer folds.
    pub folds: usize,
    /// Only every n-th row of MMLU was used; 1 is all.
    pub thin: usize,
}

/// What is published for an experiment and what was wanted of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Wanted {
    /// Published, in words.
    pub published: &'static str,
    /// At least this area.
    pub apgr: f64,
    /// At most this share.
    pub cpt50: Option<f64>,
    /// At most this share.
    pub cpt80: Option<f64>,
}

impl Wanted {
    /// On questions with choices.
    pub const MMLU: Self =
        Self { published: ".603 / 35.4 / 70.3", apgr: 0.67, cpt50: Some(0.29), cpt80: Some(0.59) };
    /// On word problems.
    pub const GSM8K: Self =
        Self { published: ".622 / 32.8 / 63.3", apgr: 0.66, cpt50: Some(0.32), cpt80: Some(0.59) };
    /// Trained on word problems, asked questions with choices.
    pub const TO_MMLU: Self = Self { published: ".537 to .589", apgr: 0.586, cpt50: None, cpt80: None };
    /// Trained on questions with choices, asked word problems.
    pub const TO_GSM8K: Self = Self { published: ".537 to .589", apgr: 0.601, cpt50: None, cpt80: None };
    /// With few labels.
    pub const FEW_LABELS: Self = Self { published: ".597 to .603", apgr: 0.63, cpt50: None, cpt80: None };
}

/// One experiment with two models.
#[derive(Clone, Debug, Serialize)]
pub struct RoutingRow {
    /// Its name.
    pub name: String,
    /// What it is held against.
    pub wanted: Wanted,
    /// What was found, beside the controls.
    pub found: Comparison,
    /// Share of prompts that the guard kept from the prediction, where the experiment is about that.
    pub guarded: Option<f64>,
    /// Whether everything wanted was reached.
    pub reached: bool,
    /// The area on each split, where there were several; the figures are their means.
    pub splits: Vec<f64>,
}

impl RoutingRow {
    /// A row.
    #[must_use]
    pub fn new(name: &str, wanted: Wanted, found: Comparison) -> Self {
        // Figures are compared as they are printed: three digits, and a tenth of a per cent.
        let area = (found.apgr.value * 1e3).round() / 1e3;
        let share = |share: f64| (share * 1e3).round() / 1e3;
        let reached = area >= wanted.apgr
            && wanted.cpt50.is_none_or(|most| share(found.cpt50) <= most)
            && wanted.cpt80.is_none_or(|most| share(found.cpt80) <= most);
        Self { name: name.to_owned(), wanted, found, guarded: None, reached, splits: Vec::new() }
    }

    /// A row of means over several splits. Intervals are the first split's, moved to the mean. Empty lists have no figures.
    #[must_use]
    pub fn over_splits(name: &str, wanted: Wanted, mut found: Vec<Comparison>) -> Self {
        let splits: Vec<f64> = found.iter().map(|found| found.apgr.value).collect();
        let mean = |figure: fn(&Comparison) -> f64| {
            found.iter().map(figure).sum::<f64>() / found.len().max(1) as f64
        };
        let (apgr, cpt50, cpt80) =
            (mean(|found| found.apgr.value), mean(|found| found.cpt50), mean(|found| found.cpt80));
        let at_third = mean(|found| found.at_third);
        let mut first = found.swap_remove(0);
        let moved = apgr - first.apgr.value;
        for interval in [&mut first.apgr, &mut first.over_length] {
            interval.value += moved;
            interval.lower += moved;
            interval.upper += moved;
        }
        (first.cpt50, first.cpt80, first.at_third) = (cpt50, cpt80, at_third);
        Self { splits, ..Self::new(name, wanted, first) }
    }

    /// The row with what the guard did.
    #[must_use]
    pub fn guarded(mut self, share: f64) -> Self {
        self.guarded = Some(share);
        self
    }
}

/// One experiment with many models.
#[derive(Clone, Debug, Serialize)]
pub struct ChoiceRow {
    /// Its name.
    pub name: String,
    /// How many models.
    pub models: usize,
    /// Mean quality of the chosen model's answers.
    pub quality: Interval,
    /// Mean quality when the model that is best on the training rows always answers.
    pub best_single: f64,
    /// The difference, on the same resamples.
    pub over_single: Interval,
    /// Mean quality of a model drawn by lot.
    pub random: f64,
    /// Mean quality when the router's own choices are dealt out at random.
    pub shuffled: Interval,
    /// Mean quality of the best answer to each query.
    pub oracle: f64,
    /// Share of queries that the guard kept from the prediction.
    pub guarded: f64,
    /// The best published figure.
    pub published: f64,
    /// At least this.
    pub wanted: f64,
}

impl ChoiceRow {
    /// Whether the wanted quality was reached.
    #[must_use]
    pub fn reached(&self) -> bool {
        is_at_least(self.quality.value, self.wanted)
    }

    /// The finding in words.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        if self.over_single.lower > 0.0 && self.quality.value > self.shuffled.upper {
            "better than the best single model and than its own choices shuffled"
        } else if self.quality.value > self.shuffled.upper {
            "better than its own choices shuffled; NOT shown to be better than the best single model"
        } else {
            "NOT better than its own choices shuffled: do not switch it on for this"
        }
    }
}

impl Report {
    /// Whether everything that was wanted and measured was reached.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        let intents = match &self.intents {
            Some(Intents::Measured(figures)) => intent_rows(figures)
                .iter()
                .all(|(_, _, wanted, found)| found.is_some_and(|found| is_at_least(found, *wanted))),
            _ => true,
        };
        intents && self.routing.iter().all(|row| row.reached) && self.choices.iter().all(ChoiceRow::reached)
    }
}

/// Name, published, wanted, found.
const fn intent_rows(figures: &IntentFigures) -> [(&'static str, &'static str, f64, Option<f64>); 3] {
    [
        ("CLINC150 accuracy", ".927", 0.935, Some(figures.clinc150_accuracy)),
        ("CLINC150 out-of-scope AUROC", ".908", 0.93, figures.clinc150_out_of_scope),
        ("banking77 accuracy", "", 0.90, Some(figures.banking77_accuracy)),
    ]
}

/// As figures are printed: to three digits.
fn is_at_least(found: f64, wanted: f64) -> bool {
    (found * 1e3).round() / 1e3 >= wanted
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all =
            if self.thin == 1 { String::new() } else { format!(", every {}th row of MMLU only", self.thin) };
        writeln!(
            formatter,
            "{}-fold cross-validation, seed {}{all}; penalties and blends chosen inside the folds; APGR / CPT50 / CPT80",
            self.folds, self.seed
        )?;
        for row in &self.routing {
            write_routing(formatter, row)?;
        }
        for row in &self.choices {
            write_choice(formatter, row)?;
        }
        write_intents(formatter, self.intents.as_ref())
    }
}

fn mark(reached: bool) -> &'static str {
    if reached { "reached" } else { "NOT reached" }
}

fn write_routing(formatter: &mut fmt::Formatter<'_>, row: &RoutingRow) -> fmt::Result {
    let found = &row.found;
    let wanted = match (row.wanted.cpt50, row.wanted.cpt80) {
        (Some(half), Some(most)) => {
            format!("at least {:.3} / at most {:.0} / at most {:.0}", row.wanted.apgr, half * 1e2, most * 1e2)
        }
        _ => format!("at least {:.3}", row.wanted.apgr),
    };
    writeln!(formatter, "\n{} ({} prompts)", row.name, found.rows)?;
    writeln!(formatter, "  published    {}", row.wanted.published)?;
    writeln!(formatter, "  wanted       {wanted}")?;
    writeln!(
        formatter,
        "  this router  {} / {:.1} / {:.1}: {}",
        found.apgr,
        found.cpt50 * 1e2,
        found.cpt80 * 1e2,
        mark(row.reached)
    )?;
    if row.splits.len() > 1 {
        let splits: Vec<String> = row.splits.iter().map(|area| format!("{area:.3}")).collect();
        writeln!(formatter, "               means over {} splits: {}", row.splits.len(), splits.join(", "))?;
    }
    writeln!(formatter, "  random       {}", found.random)?;
    writeln!(
        formatter,
        "  shuffled     its own decisions at a third to strong recover {}, as chosen {:.3}",
        found.shuffled_third, found.at_third
    )?;
    writeln!(
        formatter,
        "  length       {} / {:.1} / {:.1}; the router's lead {}",
        found.length,
        found.length_cpt50 * 1e2,
        found.length_cpt80 * 1e2,
        found.over_length
    )?;
    if let Some(guarded) = row.guarded {
        writeln!(
            formatter,
            "  guard        kept {:.1} % of the prompts from the prediction; their length decides",
            guarded * 1e2
        )?;
        return Ok(());
    }
    writeln!(formatter, "  verdict      {}", found.verdict())
}

fn write_choice(formatter: &mut fmt::Formatter<'_>, row: &ChoiceRow) -> fmt::Result {
    writeln!(formatter, "\n{}", row.name)?;
    writeln!(formatter, "  published    best single {:.3}", row.published)?;
    writeln!(formatter, "  wanted       at least {:.3}", row.wanted)?;
    writeln!(formatter, "  this router  {}: {}", row.quality, mark(row.reached()))?;
    writeln!(formatter, "  best single  {:.3}; the router's lead {}", row.best_single, row.over_single)?;
    writeln!(formatter, "  random       {:.3}", row.random)?;
    writeln!(formatter, "  shuffled     {}", row.shuffled)?;
    writeln!(formatter, "  oracle       {:.3}", row.oracle)?;
    writeln!(formatter, "  guard        kept {:.1} % of the queries from the prediction", row.guarded * 1e2)?;
    writeln!(formatter, "  verdict      {}", row.verdict())
}

fn write_intents(formatter: &mut fmt::Formatter<'_>, intents: Option<&Intents>) -> fmt::Result {
    writeln!(formatter, "\nintents, static table")?;
    let figures = match intents {
        None => return writeln!(formatter, "  not measured"),
        Some(Intents::Absent(why)) => return writeln!(formatter, "  not measured: {why}"),
        Some(Intents::Measured(figures)) => figures,
    };
    for (name, published, wanted, found) in intent_rows(figures) {
        let published = if published.is_empty() { String::new() } else { format!("published {published}, ") };
        match found {
            Some(found) => writeln!(
                formatter,
                "  {name:<28} {published}wanted {wanted:.3}, found {found:.3}: {}",
                mark(is_at_least(found, wanted))
            )?,
            None => writeln!(formatter, "  {name:<28} {published}wanted {wanted:.3}, not measured")?,
        }
    }
    Ok(())
}
