//! One fit from beginning to end.
//!
//! Owns the order: held-out predictions for every penalty, the penalty, the head on all rows, neighbours on what is left, the
//! guard, held-out rows for thresholds, and the figures of the file. Penalty and blend are chosen on predictions made while the
//! row was held out, never on a row the head was fitted to.

use super::guard::guard;
use super::head::heads;
use super::local::{local, loss};
use super::prepared::Prepared;
use crate::measure::{Curve, Interval, Outcome};
use crate::random::{Random, folds};
use trunkline_route::learned::{
    Artefact, ArtefactError, Calibration, DataFacts, EmbedderFacts, FORMAT, FORMAT_NAME, Head, Kind, LEXICAL,
    TextFeatures, TrainingMetrics, USUAL_NEIGHBOURS,
};

/// The labels of a fit: per row the scores of all models, not a number where not known.
pub type Labels = Vec<Vec<f32>>;

/// What a fit may vary.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Penalties that are tried, falling.
    pub penalties: Vec<f32>,
    /// Inner folds.
    pub folds: usize,
    /// Rows that are kept as neighbours at the most; at most [`trunkline_route::learned::MOST_NEIGHBOURS`].
    pub neighbours: usize,
    /// Of everything random.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { penalties: vec![24.0, 12.0, 6.0, 3.0], folds: 4, neighbours: USUAL_NEIGHBOURS, seed: 1 }
    }
}

impl Settings {
    /// Fewer inner folds and penalties, for a first look.
    #[must_use]
    pub fn quick() -> Self {
        Self { penalties: vec![20.0, 8.0], folds: 2, ..Self::default() }
    }
}

/// The least rows that can be fitted: below it no figure means anything.
pub const LEAST_ROWS: usize = 30;

/// Held-out rows a file keeps for its thresholds.
const CALIBRATION_ROWS: usize = 2_048;

/// Why there is no fit. Reads after "failed to".
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FitError {
    /// Too few rows.
    #[error("train on {rows} rows: at least {LEAST_ROWS} are needed, a few hundred to be of use")]
    FewRows {
        /// How many there are.
        rows: usize,
    },
    /// A model with too few scores.
    #[error(
        "train for `{model}`: it has {scores} scores, at least {LEAST_ROWS} are needed; leave it out or collect more"
    )]
    FewScores {
        /// Which.
        model: String,
        /// How many.
        scores: usize,
    },
    /// The result does not pass the server's own check.
    #[error("{0}")]
    Artefact(#[from] ArtefactError),
}

/// A fit and how it came about.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// The file, its creation time and source left empty.
    pub artefact: Artefact,
    /// The penalty that was chosen.
    pub penalty: f32,
    /// The blend of neighbours that was chosen.
    pub blend: f32,
    /// What was predicted for each row while it was held out, in the order of the rows given.
    pub held_out: Labels,
}

/// Told after each step of a fit, from any thread.
pub type Progress<'a> = &'a (dyn Fn() + Sync);

/// For those who do not watch.
pub fn nothing_to_report() {}

impl Settings {
    /// How often a fit reports progress.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.folds as u64 + 2
    }
}

/// Fits on some rows.
///
/// # Errors
/// Too little to fit on.
pub fn fit(
    prepared: &Prepared,
    labels: &Labels,
    rows: &[usize],
    models: &[String],
    settings: &Settings,
    progress: Progress<'_>,
) -> Result<Fitted, FitError> {
    check(labels, rows, models)?;
    let held_out = held_out_heads(prepared, labels, rows, settings, progress);
    let chosen = (0..settings.penalties.len())
        .map(|penalty| (penalty, loss(rows, labels, &held_out[penalty], None)))
        .min_by(|one, other| one.1.total_cmp(&other.1))
        .map_or(0, |(penalty, _)| penalty);
    let mut predicted = held_out.into_iter().nth(chosen).unwrap_or_default();
    let penalty = settings.penalties.get(chosen).copied().unwrap_or(1.0);
    let head = heads(prepared, labels, rows, &[penalty]).pop().unwrap_or_default();
    progress();
    let local = local(prepared, rows, labels, &predicted, (settings.neighbours, settings.seed));
    progress();
    if let Some(local) = &local {
        for (predicted, added) in predicted.iter_mut().flatten().zip(local.added.iter().flatten()) {
            *predicted += added;
        }
    }
    let similarities = local.as_ref().map(|local| local.similarities.clone()).unwrap_or_default();
    let blend = local.as_ref().map_or(0.0, |local| local.facts.blend);
    let artefact = Artefact {
        format: FORMAT_NAME.to_owned(),
        version: FORMAT,
        kind: Kind::Quality,
        created: String::new(),
        data: DataFacts { fingerprint: String::new(), rows: rows.len() as u32, source: String::new() },
        features: LEXICAL.map(str::to_owned).to_vec(),
        embedder: EmbedderFacts::bundled(),
        encoder: prepared.encoder.clone(),
        models: models.to_vec(),
        metrics: metrics(prepared, labels, rows, &predicted, settings.seed),
        head,
        neighbours: local.map(|local| local.facts),
        guard: guard(prepared, rows, &similarities),
        calibration: calibration(prepared, labels, rows, &predicted, settings.seed),
    };
    artefact.check()?;
    Ok(Fitted { artefact, penalty, blend, held_out: predicted })
}

fn check(labels: &Labels, rows: &[usize], models: &[String]) -> Result<(), FitError> {
    if rows.len() < LEAST_ROWS {
        return Err(FitError::FewRows { rows: rows.len() });
    }
    for (position, model) in models.iter().enumerate() {
        let scores = rows.iter().filter(|row| !labels[**row][position].is_nan()).count();
        if scores < LEAST_ROWS {
            return Err(FitError::FewScores { model: model.clone(), scores });
        }
    }
    Ok(())
}

/// For each penalty, what heads predict for rows they were not fitted to, in the order of `rows`.
fn held_out_heads(
    prepared: &Prepared,
    labels: &Labels,
    rows: &[usize],
    settings: &Settings,
    progress: Progress<'_>,
) -> Vec<Labels> {
    let fold = folds(rows.len(), settings.folds, settings.seed);
    let mut predicted: Vec<Labels> =
        settings.penalties.iter().map(|_| vec![Vec::new(); rows.len()]).collect();
    let mut features = TextFeatures::default();
    for held in 0..settings.folds {
        let inside: Vec<usize> =
            rows.iter().zip(&fold).filter(|(_, fold)| **fold != held).map(|(row, _)| *row).collect();
        let heads = heads(prepared, labels, &inside, &settings.penalties);
        for (place, row) in rows.iter().enumerate().filter(|(place, _)| fold[*place] == held) {
            prepared.restore(*row, &mut features);
            for (head, predicted) in heads.iter().zip(&mut predicted) {
                let (vector, encoded) = (prepared.vector(*row), prepared.encoded(*row));
                Head::apply(head, &features, vector, encoded, &mut predicted[place]);
            }
        }
        progress();
    }
    predicted
}

/// Rows with all labels, for thresholds; with a few known ones only, what is predicted stands in for what is not known.
fn calibration(
    prepared: &Prepared,
    labels: &Labels,
    rows: &[usize],
    predicted: &Labels,
    seed: u64,
) -> Calibration {
    let mut places: Vec<usize> = (0..rows.len()).collect();
    Random::new(seed ^ 0xca11).shuffle(&mut places);
    let complete = |place: &usize| labels[rows[*place]].iter().all(|label| !label.is_nan());
    let (mut kept, others): (Vec<usize>, Vec<usize>) = places.into_iter().partition(complete);
    if kept.len() < LEAST_ROWS {
        kept.extend(others);
    }
    kept.truncate(CALIBRATION_ROWS);
    let mut calibration = Calibration::default();
    for place in kept {
        let row = rows[place];
        calibration.lengths.0.push(prepared.lengths[row]);
        calibration.predicted.0.extend(&predicted[place]);
        let known = labels[row].iter().zip(&predicted[place]);
        calibration
            .actual
            .0
            .extend(known.map(|(label, predicted)| if label.is_nan() { *predicted } else { *label }));
    }
    calibration
}

/// Resamples of the file's own intervals.
const RESAMPLES: usize = 300;

fn metrics(
    prepared: &Prepared,
    labels: &Labels,
    rows: &[usize],
    predicted: &Labels,
    seed: u64,
) -> TrainingMetrics {
    let models = predicted.first().map_or(0, Vec::len);
    // Where the chosen model was not tried, the row says nothing of the choice.
    let chosen: Vec<f64> = rows
        .iter()
        .zip(predicted)
        .filter_map(|(row, predicted)| {
            let best = (0..models).max_by(|one, other| predicted[*one].total_cmp(&predicted[*other]))?;
            Some(f64::from(labels[*row][best])).filter(|score| !score.is_nan())
        })
        .collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let mut random = Random::new(seed ^ 0xb007);
    let draws = (0..RESAMPLES)
        .map(|_| {
            (0..chosen.len()).map(|_| chosen[random.below(chosen.len())]).sum::<f64>()
                / chosen.len().max(1) as f64
        })
        .collect();
    let quality = Interval::of(mean(&chosen), draws);
    let single = |model: usize| {
        mean(
            &rows
                .iter()
                .map(|row| f64::from(labels[*row][model]))
                .filter(|score| !score.is_nan())
                .collect::<Vec<_>>(),
        )
    };
    let best_single = (0..models).map(single).fold(0.0, f64::max);
    let mut metrics = TrainingMetrics {
        quality: quality.value,
        quality_lower: if quality.lower.is_nan() { 0.0 } else { quality.lower },
        best_single,
        ..TrainingMetrics::default()
    };
    if models == 2 {
        two_models(prepared, labels, rows, predicted, &mut random, &mut metrics);
    }
    rounded(metrics)
}

/// To six digits: more say nothing, and fewer digits read back from a file exactly as they were.
fn rounded(metrics: TrainingMetrics) -> TrainingMetrics {
    let round = |value: f64| (value * 1e6).round() / 1e6;
    TrainingMetrics {
        quality: round(metrics.quality),
        quality_lower: round(metrics.quality_lower),
        best_single: round(metrics.best_single),
        apgr: metrics.apgr.map(round),
        apgr_lower: metrics.apgr_lower.map(round),
        length_apgr: metrics.length_apgr.map(round),
    }
}

/// The area under the curve, the better model of the two as the strong one.
fn two_models(
    prepared: &Prepared,
    labels: &Labels,
    rows: &[usize],
    predicted: &Labels,
    random: &mut Random,
    metrics: &mut TrainingMetrics,
) {
    let both = |row: usize| labels[row].iter().all(|label| !label.is_nan());
    let places: Vec<usize> = (0..rows.len()).filter(|place| both(rows[*place])).collect();
    let mean = |model: usize| places.iter().map(|place| f64::from(labels[rows[*place]][model])).sum::<f64>();
    let (weak, strong) = if mean(0) <= mean(1) { (0, 1) } else { (1, 0) };
    let outcomes: Vec<Outcome> = places
        .iter()
        .map(|place| Outcome { weak: labels[rows[*place]][weak], strong: labels[rows[*place]][strong] })
        .collect();
    let scores: Vec<f32> =
        places.iter().map(|place| predicted[*place][strong] - predicted[*place][weak]).collect();
    let lengths: Vec<f32> = places.iter().map(|place| prepared.lengths[rows[*place]]).collect();
    let curve = Curve::new(&scores);
    let apgr = curve.apgr(&outcomes);
    if apgr.is_nan() {
        return;
    }
    let mut weights = vec![0u16; outcomes.len()];
    let draws = (0..RESAMPLES)
        .map(|_| {
            weights.fill(0);
            for _ in 0..outcomes.len() {
                let weight = &mut weights[random.below(outcomes.len())];
                *weight = weight.saturating_add(1);
            }
            curve.weighted_apgr(&outcomes, Some(&weights))
        })
        .collect();
    let interval = Interval::of(apgr, draws);
    metrics.apgr = Some(apgr);
    metrics.apgr_lower = Some(interval.lower).filter(|lower| lower.is_finite());
    metrics.length_apgr = Some(Curve::new(&lengths).apgr(&outcomes)).filter(|area| area.is_finite());
}
