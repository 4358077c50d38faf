//! The experiments: who is held back from whom.
//!
//! Owns the splits. A score is the predicted gain of the strong model, or what the prompt's length stands for where the guard
//! does not trust the prediction: exactly what the step compares with its threshold.

use super::report::ChoiceRow;
use super::{Data, Options};
use crate::dataset::Dataset;
use crate::fit::{FitError, Labels, Prepared, Progress, fit};
use crate::measure::{Comparison, Interval, Outcome, compare};
use crate::parallel;
use crate::random::{Random, folds};
use std::collections::HashSet;
use trunkline_route::learned::{Artefact, Familiarity, Predictor, Scratch, Thresholds};

/// Positions of the two models in the data.
const WEAK: usize = 0;
const STRONG: usize = 1;

pub(super) fn compared(scores: &[f32], data: &Dataset, seed: u64) -> Comparison {
    let outcomes: Vec<Outcome> =
        data.rows.iter().map(|row| Outcome { weak: row.scores[WEAK], strong: row.scores[STRONG] }).collect();
    let lengths: Vec<f32> = data.rows.iter().map(|row| row.prompt.len() as f32).collect();
    compare(scores, &lengths, &outcomes, seed)
}

fn prepared(data: &Dataset) -> (Prepared, Labels) {
    let prepared = Prepared::new(data.rows.iter().map(|row| row.prompt.as_str()));
    (prepared, data.rows.iter().map(|row| row.scores.clone()).collect())
}

/// The score of each row from a router trained on the other folds; on `labels` of their rows where that is given.
///
/// # Errors
/// When a fold is too small to fit.
pub fn cross_validate(
    data: &Dataset,
    options: &Options,
    labels: Option<usize>,
    progress: Progress<'_>,
) -> Result<Vec<f32>, FitError> {
    let (prepared, scores) = prepared(data);
    let fold = folds(data.rows.len(), options.folds, options.seed);
    let numbers: Vec<usize> = (0..options.folds).collect();
    let parts = parallel::map(&numbers, |held| {
        let (mut inside, outside): (Vec<usize>, Vec<usize>) =
            (0..fold.len()).partition(|row| fold[*row] != *held);
        if let Some(labels) = labels {
            Random::new(options.seed.wrapping_add(*held as u64)).shuffle(&mut inside);
            inside.truncate(labels);
        }
        let fitted = fit(&prepared, &scores, &inside, &data.models, &options.fit, progress)?;
        let (found, _) = held_out_scores(fitted.artefact, &prepared, &outside)?;
        Ok::<_, FitError>((outside, found))
    });
    let mut all = vec![0.0; data.rows.len()];
    for part in parts {
        let (rows, found): (Vec<usize>, Vec<f32>) = part?;
        for (row, score) in rows.into_iter().zip(found) {
            all[row] = score;
        }
    }
    Ok(all)
}

/// The scores of rows a router has not seen, and the share of them that the guard kept from it.
///
/// # Errors
/// When the file cannot be used.
pub fn held_out_scores(
    artefact: Artefact,
    prepared: &Prepared,
    rows: &[usize],
) -> Result<(Vec<f32>, f64), FitError> {
    let models = artefact.models.len();
    let predictor = Predictor::new(artefact)?;
    let Some(thresholds) = Thresholds::new(predictor.calibration(), models, &[WEAK], &[STRONG]) else {
        return Ok((vec![0.0; rows.len()], 0.0));
    };
    let mut scratch = Scratch::default();
    let mut guarded = 0u32;
    let scores = rows
        .iter()
        .map(|row| {
            prepared.restore(*row, &mut scratch.text);
            match predictor.predict_read(prepared.vector(*row), prepared.encoded(*row), &mut scratch) {
                Familiarity::Familiar => scratch.quality[STRONG] - scratch.quality[WEAK],
                Familiarity::Unfamiliar(_) => {
                    guarded += 1;
                    thresholds.gain_of_length(prepared.lengths()[*row] as usize)
                }
            }
        })
        .collect();
    Ok((scores, f64::from(guarded) / rows.len().max(1) as f64))
}

/// The scores of all rows of one dataset from a router trained on another, and the share that the guard kept from it.
///
/// # Errors
/// When the training data is too small to fit.
pub fn trained_on(
    training: &Dataset,
    test: &Dataset,
    options: &Options,
    progress: Progress<'_>,
) -> Result<(Vec<f32>, f64), FitError> {
    let (inside, labels) = prepared(training);
    let rows: Vec<usize> = (0..inside.len()).collect();
    let fitted = fit(&inside, &labels, &rows, &training.models, &options.fit, progress)?;
    let (outside, _) = prepared(test);
    let rows: Vec<usize> = (0..outside.len()).collect();
    held_out_scores(fitted.artefact, &outside, &rows)
}

/// Choosing among all models: as published, and without the training rows that repeat a test question.
///
/// # Errors
/// When the training data is too small to fit.
pub fn nine_models(
    data: &Data,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Vec<ChoiceRow>, FitError> {
    let asked: HashSet<&str> = data.ulab_test.rows.iter().map(|row| row.prompt.as_str()).collect();
    let strict = data.ulab_train.of_group("ulab", |row| !asked.contains(row.prompt.as_str()));
    let repeated = data.ulab_train.rows.len() - strict.rows.len();
    let cases = [
        ("ulab, nine models, files as published".to_owned(), &data.ulab_train),
        (format!("ulab, without the {repeated} training rows that repeat a test question"), &strict),
    ];
    let rows =
        parallel::map(&cases, |(name, training)| choose(name, training, &data.ulab_test, options, progress));
    rows.into_iter().collect()
}

/// Resamples of the interval.
const RESAMPLES: usize = 400;

fn choose(
    name: &str,
    training: &Dataset,
    test: &Dataset,
    options: &Options,
    progress: Progress<'_>,
) -> Result<ChoiceRow, FitError> {
    let (inside, labels) = prepared(training);
    let rows: Vec<usize> = (0..inside.len()).collect();
    let fitted = fit(&inside, &labels, &rows, &training.models, &options.fit, progress)?;
    let predictor = Predictor::new(fitted.artefact)?;
    let (outside, actual) = prepared(test);
    let best_of = |values: &[f64]| {
        (0..values.len()).max_by(|one, other| values[*one].total_cmp(&values[*other])).unwrap_or(0)
    };
    let single = best_of(&training.means());
    let mut scratch = Scratch::default();
    let mut guarded = 0u32;
    let chosen: Vec<usize> = (0..outside.len())
        .map(|row| {
            outside.restore(row, &mut scratch.text);
            match predictor.predict_read(outside.vector(row), outside.encoded(row), &mut scratch) {
                Familiarity::Familiar => {
                    best_of(&scratch.quality.iter().map(|quality| f64::from(*quality)).collect::<Vec<_>>())
                }
                // The named fallback: the model that is best on the training rows.
                Familiarity::Unfamiliar(_) => {
                    guarded += 1;
                    single
                }
            }
        })
        .collect();
    let got = |choice: &[usize]| -> Vec<f64> {
        choice.iter().enumerate().map(|(row, model)| f64::from(actual[row][*model])).collect()
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let own = got(&chosen);
    let alone = got(&vec![single; chosen.len()]);
    let mut random = Random::new(options.seed ^ 0x91);
    let mut draws = [const { Vec::new() }; 3];
    let mut dealt = chosen;
    for _ in 0..RESAMPLES {
        let picked: Vec<usize> = (0..own.len()).map(|_| random.below(own.len().max(1))).collect();
        let of = |values: &[f64]| mean(&picked.iter().map(|row| values[*row]).collect::<Vec<_>>());
        draws[0].push(of(&own));
        draws[1].push(of(&own) - of(&alone));
        random.shuffle(&mut dealt);
        draws[2].push(mean(&got(&dealt)));
    }
    let [quality, over_single, shuffled] = draws;
    let lot = actual.iter().flatten().map(|score| f64::from(*score)).sum::<f64>()
        / actual.iter().flatten().count().max(1) as f64;
    let oracle = mean(
        &actual
            .iter()
            .map(|row| f64::from(row.iter().fold(0.0f32, |best, score| best.max(*score))))
            .collect::<Vec<_>>(),
    );
    let shuffled_mean = mean(&shuffled);
    Ok(ChoiceRow {
        name: name.to_owned(),
        models: training.models.len(),
        quality: Interval::of(mean(&own), quality),
        best_single: mean(&alone),
        over_single: Interval::of(mean(&own) - mean(&alone), over_single),
        random: lot,
        shuffled: Interval::of(shuffled_mean, shuffled),
        oracle,
        guarded: f64::from(guarded) / outside.len().max(1) as f64,
        published: 0.563,
        wanted: 0.60,
    })
}
