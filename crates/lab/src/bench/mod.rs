//! The benchmark of routers on public data: what was reached, beside what is published and what was wanted.
//!
//! Owns which experiments there are and how their rows are split. Must not read files or draw progress: texts are arguments and
//! steps are reported. Every figure comes from the predictor that the server runs, on rows that neither the fit nor any choice of
//! a setting has seen; the guard is on everywhere, as in production.

mod experiments;
mod intents;
mod report;

pub use experiments::{cross_validate, held_out_scores, nine_models, trained_on};
pub use intents::{IntentFigures, IntentTexts, Intents, MeasureIntents, intents};
pub use report::{ChoiceRow, Report, RoutingRow, Wanted};

use crate::dataset::{Dataset, DatasetError, routellm, ulab};
use crate::fit::{FitError, Progress, Settings};

/// The texts of the data folder.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    /// `routellm/compact.jsonl`.
    pub routellm: &'a str,
    /// `ulab_llmrouter/dcrouter_train.json`.
    pub ulab_train: &'a str,
    /// `ulab_llmrouter/dcrouter_test.json`.
    pub ulab_test: &'a str,
}

/// The data, read.
#[derive(Clone, Debug)]
pub struct Data {
    /// 14,042 questions with choices.
    pub mmlu: Dataset,
    /// 1,319 word problems.
    pub gsm8k: Dataset,
    /// Nine models on mixed tasks.
    pub ulab_train: Dataset,
    /// 500 further queries.
    pub ulab_test: Dataset,
}

impl Data {
    /// Reads the texts.
    ///
    /// # Errors
    /// The first row that cannot be read, by file, line and field.
    pub fn read(texts: Texts<'_>) -> Result<Self, DatasetError> {
        let both = routellm("routellm/compact.jsonl", texts.routellm)?;
        Ok(Self {
            mmlu: both.of_group("MMLU", |row| row.group == "mmlu"),
            gsm8k: both.of_group("GSM8K", |row| row.group == "gsm8k"),
            ulab_train: ulab("ulab_llmrouter/dcrouter_train.json", texts.ulab_train)?,
            ulab_test: ulab("ulab_llmrouter/dcrouter_test.json", texts.ulab_test)?,
        })
    }
}

/// How much is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Outer folds.
    pub folds: usize,
    /// Of the splits.
    pub seed: u64,
    /// What each fit may vary.
    pub fit: Settings,
    /// Only every n-th row of MMLU, for a first look.
    pub thin: usize,
    /// How many different splits the small dataset is measured on: with 1,300 rows the split alone moves a figure by 0.01.
    pub splits: u64,
}

impl Options {
    /// The published protocol: five folds, all rows.
    #[must_use]
    pub fn full(seed: u64) -> Self {
        Self { folds: 5, seed, fit: Settings::default(), thin: 1, splits: 5 }
    }

    /// A few times faster and rougher.
    #[must_use]
    pub fn quick(seed: u64) -> Self {
        Self { folds: 3, seed, fit: Settings::quick(), thin: 4, splits: 1 }
    }

    /// How often [`run`] reports progress.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        // MMLU, its learning curve, GSM8K; two transfers; ulab as published and without repeated questions.
        ((2 + self.splits) * self.folds as u64 + 4) * self.fit.steps()
    }
}

/// Labels of a learning curve's one point.
const FEW_LABELS: usize = 1_500;

/// Runs every experiment.
///
/// # Errors
/// When a dataset is too small to fit.
pub fn run(
    data: &Data,
    options: &Options,
    intents: Option<MeasureIntents<'_>>,
    progress: Progress<'_>,
) -> Result<Report, FitError> {
    let thinned = |data: &Dataset| {
        let mut data = data.clone();
        let mut number = 0;
        data.rows.retain(|_| {
            number += 1;
            number % options.thin == 0
        });
        data
    };
    let mmlu = thinned(&data.mmlu);
    let gsm8k = &data.gsm8k;
    let mut routing = Vec::new();
    let measured = |name: &str, wanted, scores: &[f32], data: &Dataset| {
        RoutingRow::new(name, wanted, experiments::compared(scores, data, options.seed))
    };
    let scores = cross_validate(&mmlu, options, None, progress)?;
    routing.push(measured("MMLU", Wanted::MMLU, &scores, &mmlu));
    let mut found = Vec::new();
    for split in 0..options.splits.max(1) {
        let options = Options { seed: options.seed + split, ..options.clone() };
        let scores = cross_validate(gsm8k, &options, None, progress)?;
        found.push(experiments::compared(&scores, gsm8k, options.seed));
    }
    routing.push(RoutingRow::over_splits("GSM8K", Wanted::GSM8K, found));
    let (scores, guarded) = trained_on(gsm8k, &mmlu, options, progress)?;
    routing.push(measured("GSM8K -> MMLU", Wanted::TO_MMLU, &scores, &mmlu).guarded(guarded));
    let (scores, guarded) = trained_on(&mmlu, gsm8k, options, progress)?;
    routing.push(measured("MMLU -> GSM8K", Wanted::TO_GSM8K, &scores, gsm8k).guarded(guarded));
    let scores = cross_validate(&mmlu, options, Some(FEW_LABELS), progress)?;
    routing.push(measured("MMLU, 1,500 labels", Wanted::FEW_LABELS, &scores, &mmlu));
    let choices = experiments::nine_models(data, options, progress)?;
    Ok(Report {
        routing,
        choices,
        intents: intents.map(|measure| measure()),
        seed: options.seed,
        folds: options.folds,
        thin: options.thin,
    })
}
