//! Grading one answer.
//!
//! Owns applying the checks of a row. Must not ask a judge: what it said is handed in.

use super::dataset::{Row, RowCheck};
use serde::{Deserialize, Serialize};
use trunkline_embed::Embedder;
use trunkline_route::cascade::{Answer, Check, Expected, TOP_SCORE, examine};

/// What an answer is worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grade {
    /// The mean of its checks, 0 to 1.
    pub score: f64,
    /// Every check passed.
    pub passed: bool,
    /// It declined to answer.
    pub refused: bool,
    /// Whether it has the form that was asked for; `None` where none was.
    pub format: Option<bool>,
    /// Each check.
    pub checks: Vec<CheckResult>,
}

/// What one check said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// The check.
    pub check: String,
    /// Whether it passed.
    pub passed: bool,
    /// 0 to 1.
    pub score: f64,
    /// Why it did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What judges said of an answer: one entry per check of a judge, in order. A text is why there is no judgement.
pub type Judged = Vec<Result<u8, String>>;

/// Grades an answer.
#[must_use]
pub fn grade(row: &Row, answer: &Answer, judged: &Judged) -> Grade {
    let mut judged = judged.iter();
    let checks: Vec<CheckResult> = row
        .checks
        .iter()
        .map(|check| {
            let (score, why) = match apply(check, answer, &mut judged) {
                Ok(score) => (score, None),
                Err((score, why)) => (score, Some(why)),
            };
            CheckResult { check: check.name().to_owned(), passed: why.is_none(), score, why }
        })
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "a handful of checks")]
    let count = checks.len().max(1) as f64;
    let formats: Vec<bool> = checks
        .iter()
        .filter(|result| matches!(result.check.as_str(), "json" | "json_schema"))
        .map(|result| result.passed)
        .collect();
    Grade {
        score: checks.iter().map(|result| result.score).sum::<f64>() / count,
        passed: checks.iter().all(|result| result.passed),
        refused: examine(&[Check::NotRefusal], answer, &Expected::Anything).is_err(),
        format: (!formats.is_empty()).then(|| formats.iter().all(|passed| *passed)),
        checks,
    }
}

/// The score of a check that passed, or the score and the reason of one that did not.
fn apply<'a>(
    check: &RowCheck,
    answer: &Answer,
    judged: &mut impl Iterator<Item = &'a Result<u8, String>>,
) -> Result<f64, (f64, String)> {
    let failed = |why: &str| Err((0.0, why.to_owned()));
    match check {
        RowCheck::Exact(expected) if answer.text.trim() == expected.trim() => Ok(1.0),
        RowCheck::Exact(_) => failed("the text is another one"),
        RowCheck::Contains(part) if answer.text.contains(part) => Ok(1.0),
        RowCheck::Contains(_) => failed("the text does not hold it"),
        RowCheck::Answer { check, expected } => examine(std::slice::from_ref(check), answer, expected)
            .map(|()| 1.0)
            .map_err(|shortcoming| (0.0, shortcoming.why)),
        RowCheck::Similar { vector, least } => {
            let found = Embedder::bundled().embed(&answer.text);
            let cosine: f64 =
                vector.iter().zip(&found).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum();
            let why = format!("its similarity is {cosine:.3}, below {least}");
            if cosine >= *least { Ok(1.0) } else { Err((0.0, why)) }
        }
        RowCheck::Judge { least, .. } => match judged.next() {
            Some(Ok(points)) => {
                let score = f64::from(*points) / f64::from(TOP_SCORE);
                let why = format!("the judge gives {points} of {TOP_SCORE}, below {least}");
                if points >= least { Ok(score) } else { Err((score, why)) }
            }
            Some(Err(why)) => Err((0.0, format!("not judged: {why}"))),
            None => failed("not judged"),
        },
    }
}
