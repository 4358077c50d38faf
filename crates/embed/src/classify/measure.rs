//! How good the classifier is on labelled test texts.
//!
//! Owns the two published figures: accuracy on texts that belong, and how well the scope score tells them from texts that do
//! not. Must not see the test texts before training is over.

use super::classifier::{Classifier, Example, Reader, TrainError, Training};

/// A text with the name of its label; none for one that belongs to no label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledText {
    /// The text.
    pub text: String,
    /// Its label.
    pub label: Option<String>,
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IntentFigures {
    /// The share of test texts that belong whose label was found.
    pub accuracy: f64,
    /// The area under the curve of the scope score, texts that belong against those that do not; `None` without the latter.
    pub out_of_scope_auroc: Option<f64>,
    /// The share of texts that belong which the threshold lets pass.
    pub kept: f64,
    /// The share of texts that do not belong which the threshold stops.
    pub stopped: Option<f64>,
    /// The mean probability of the chosen label: near the accuracy when probabilities are honest.
    pub confidence: f64,
}

/// Trains on the first texts and measures on the second. Texts to train on that have no label are not used.
///
/// # Errors
/// [`TrainError`] when the first texts make no classifier.
pub fn measure_intents(
    train: &[LabelledText],
    test: &[LabelledText],
    training: &Training,
) -> Result<(Classifier, IntentFigures), TrainError> {
    let mut labels: Vec<&str> = train.iter().filter_map(|text| text.label.as_deref()).collect();
    labels.sort_unstable();
    labels.dedup();
    let examples: Vec<Example<'_>> = train
        .iter()
        .filter_map(|text| {
            let label = labels.binary_search(&text.label.as_deref()?).ok()?;
            Some(Example { text: &text.text, label })
        })
        .collect();
    let names = labels.iter().map(|label| Box::from(*label)).collect();
    let classifier = Classifier::train(names, &examples, training)?;
    let figures = judge(&classifier, test);
    Ok((classifier, figures))
}

fn judge(classifier: &Classifier, test: &[LabelledText]) -> IntentFigures {
    let mut reader = Reader::bundled();
    let (mut right, mut kept, mut stopped, mut confidence) = (0usize, 0usize, 0usize, 0.0);
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for text in test {
        let reading = classifier.classify(&text.text, &mut reader);
        match &text.label {
            Some(label) => {
                right += usize::from(*classifier.labels()[reading.label] == **label);
                kept += usize::from(reading.is_in_scope());
                confidence += f64::from(reading.probability);
                inside.push(reading.scope);
            }
            None => {
                stopped += usize::from(!reading.is_in_scope());
                outside.push(reading.scope);
            }
        }
    }
    let share = |count: usize, of: usize| count as f64 / of.max(1) as f64;
    IntentFigures {
        accuracy: share(right, inside.len()),
        out_of_scope_auroc: (!outside.is_empty()).then(|| auroc(&inside, &outside)),
        kept: share(kept, inside.len()),
        stopped: (!outside.is_empty()).then(|| share(stopped, outside.len())),
        confidence: confidence / inside.len().max(1) as f64,
    }
}

/// The probability that a text that belongs scores above one that does not; equal scores count half.
fn auroc(inside: &[f32], outside: &[f32]) -> f64 {
    let mut outside = outside.to_vec();
    outside.sort_by(f32::total_cmp);
    let wins: f64 = inside
        .iter()
        .map(|score| {
            let below = outside.partition_point(|other| other < score);
            let up_to = outside.partition_point(|other| other <= score);
            f64::midpoint(below as f64, up_to as f64)
        })
        .sum();
    wins / (inside.len() as f64 * outside.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::auroc;

    #[test]
    fn the_area_is_the_share_of_pairs_in_order() {
        assert!((auroc(&[2.0, 3.0], &[0.0, 1.0]) - 1.0).abs() < 1e-9);
        assert!((auroc(&[0.0, 1.0], &[0.0, 1.0]) - 0.5).abs() < 1e-9);
        assert!((auroc(&[0.0, 2.0], &[1.0]) - 0.5).abs() < 1e-9);
    }
}
