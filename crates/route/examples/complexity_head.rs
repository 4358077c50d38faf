//! Trains the bundled complexity head and prints how it fares against the length of the prompt.
//!
//! `cargo run --release -p trunkline-route --example complexity_head -- FOLDER > crates/route/data/complexity.json`
//!
//! The folder holds `routellm/compact.jsonl`: which of two models answered MMLU and GSM8K prompts right
//! (<https://github.com/lm-sys/RouteLLM>, Apache-2.0). The score orders prompts by the chance that the
//! stronger model helps. Figures go to standard error; they are of five-fold cross-validation, and of a
//! benchmark the head never saw.

#![expect(clippy::disallowed_methods, reason = "a file given by name is what this example reads")]

use trunkline_embed::Embedding;
use trunkline_route::features::embed;
use trunkline_route::steps::ComplexityHead;

const COUNTS: usize = 10;
const CENTRES: usize = 24;
const PASSES: usize = 12;

struct Row {
    grade_school: bool,
    bytes: usize,
    counts: [f32; COUNTS],
    vector: Embedding,
    helped: bool,
    gain: f64,
}

struct Fit {
    weights: [f64; COUNTS + 256],
    bias: f64,
}

fn main() {
    let Some(folder) = std::env::args().nth(1) else {
        eprintln!("usage: complexity_head FOLDER, which holds routellm/compact.jsonl");
        std::process::exit(2);
    };
    let path = std::path::Path::new(&folder).join("routellm/compact.jsonl");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("failed to read {}: {error}", path.display());
            std::process::exit(1);
        }
    };
    let rows: Vec<Row> = text.lines().filter_map(row).collect();
    let known: Vec<&Row> = rows.iter().filter(|row| !row.grade_school).collect();
    let mut scored = vec![0.0; known.len()];
    for fold in 0..5 {
        let kept = known.iter().enumerate().filter(|(at, _)| at % 5 != fold).map(|(_, row)| *row);
        let fitted = fit(&kept.collect::<Vec<_>>());
        for (at, row) in known.iter().enumerate().filter(|(at, _)| at % 5 == fold) {
            scored[at] = fitted.score(row);
        }
    }
    let fitted = fit(&known);
    let centres = centres(&known);
    let mut supports: Vec<f32> = known.iter().map(|row| nearest(&centres, &row.vector).1).collect();
    supports.sort_by(f32::total_cmp);
    let unknown: Vec<&Row> = rows.iter().filter(|row| row.grade_school).collect();
    let mut strange: Vec<f32> = unknown.iter().map(|row| nearest(&centres, &row.vector).1).collect();
    strange.sort_by(f32::total_cmp);
    // GSM8K stands for the unknown: 99 in 100 of its prompts must be left to the length.
    let least_support = supports[supports.len() / 20].max(strange[strange.len() * 99 / 100]);
    let above = supports.iter().filter(|support| **support >= least_support).count();
    let mut head = ComplexityHead {
        format: 1,
        provenance: String::new(),
        counts: fitted.weights[..COUNTS].iter().map(|weight| rounded(*weight)).collect(),
        vector: fitted.weights[COUNTS..].iter().map(|weight| rounded(*weight)).collect(),
        bias: fitted.bias,
        scores: knots(known.iter().map(|row| fitted.score(row)).collect()),
        lengths: knots(known.iter().map(|row| row.bytes as f64).collect()),
        centres: centres
            .iter()
            .map(|centre| centre.iter().map(|part| rounded((*part).into())).collect())
            .collect(),
        least_support: f64::from(least_support),
    };
    let by_length =
        |rows: &mut dyn Iterator<Item = &Row>| apgr(rows.map(|row| (row.bytes as f64, row.gain)).collect());
    let guarded = |row: &Row| {
        let (score, support) = head.score_of(&row.counts, &row.vector);
        if support >= head.least_support { score } else { head.by_length(row.bytes) }
    };
    let figures = format!(
        "APGR on MMLU {:.3} in five-fold cross-validation (length alone {:.3}), of which the guard lets {:.0} % be scored so; on GSM8K, \
         which set the guard and was not learned from, {:.3} (length alone {:.3}).",
        apgr(known.iter().zip(&scored).map(|(row, score)| (*score, row.gain)).collect()),
        by_length(&mut known.iter().copied()),
        100.0 * above as f64 / known.len() as f64,
        apgr(unknown.iter().map(|row| (guarded(row), row.gain)).collect()),
        by_length(&mut unknown.iter().copied()),
    );
    eprintln!("{figures}");
    head.provenance = format!(
        "Trained by examples/complexity_head.rs on RouteLLM's evaluation data (github.com/lm-sys/RouteLLM, Apache-2.0): MMLU prompts \
         (MIT), where gpt-4-1106 was right and mixtral-8x7b was not. {figures}"
    );
    println!("{}", serde_json::to_string(&head).expect("numbers and texts"));
}

fn row(line: &str) -> Option<Row> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    if value.get("contaminated")?.as_bool()? {
        return None;
    }
    let text = value.get("prompt")?.as_str()?;
    let right = |name: &str| value.get(name).and_then(serde_json::Value::as_f64);
    let (weak, strong) = (right("weak")?, right("strong")?);
    Some(Row {
        grade_school: value.get("bench")?.as_str()? == "gsm8k",
        bytes: text.len(),
        counts: ComplexityHead::counts_of(text),
        vector: embed(text).vector,
        helped: strong > weak,
        gain: strong - weak,
    })
}

impl Fit {
    fn score(&self, row: &Row) -> f64 {
        let counts: f64 =
            row.counts.iter().zip(&self.weights).map(|(count, weight)| f64::from(*count) * weight).sum();
        let parts = row.vector.iter().zip(&self.weights[COUNTS..]);
        let vector: f64 = parts.map(|(part, weight)| f64::from(*part) * weight).sum();
        1.0 / (1.0 + (-(counts + vector + self.bias)).exp())
    }
}

/// Logistic regression by gradient steps on standardised counts.
fn fit(rows: &[&Row]) -> Fit {
    let number = rows.len() as f64;
    let (mut means, mut deviations) = ([0.0; COUNTS], [0.0; COUNTS]);
    for at in 0..COUNTS {
        means[at] = rows.iter().map(|row| f64::from(row.counts[at])).sum::<f64>() / number;
        let squares: f64 = rows.iter().map(|row| (f64::from(row.counts[at]) - means[at]).powi(2)).sum();
        deviations[at] = (squares / number).sqrt().max(1e-6);
    }
    let mut weights = [0.0; COUNTS + 256];
    let mut bias = 0.0;
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let steps = (PASSES * rows.len()) as f64;
    let mut done = 0.0;
    for _ in 0..PASSES {
        for last in (1..order.len()).rev() {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            order.swap(last, (state % (last as u64 + 1)) as usize);
        }
        for at in &order {
            let row = rows[*at];
            let mut seen = [0.0; COUNTS + 256];
            for at in 0..COUNTS {
                seen[at] = (f64::from(row.counts[at]) - means[at]) / deviations[at] * 0.2;
            }
            for (seen, part) in seen[COUNTS..].iter_mut().zip(&row.vector) {
                *seen = f64::from(*part);
            }
            let logit: f64 =
                seen.iter().zip(&weights).map(|(seen, weight)| seen * weight).sum::<f64>() + bias;
            let step = 0.2 * (1.0 - done / steps);
            done += 1.0;
            let error = 1.0 / (1.0 + (-logit).exp()) - f64::from(u8::from(row.helped));
            for (weight, seen) in weights.iter_mut().zip(&seen) {
                *weight -= step * (error * seen + 1e-4 * *weight);
            }
            bias -= step * 0.1 * error;
        }
    }
    for at in 0..COUNTS {
        weights[at] *= 0.2 / deviations[at];
        bias -= weights[at] * means[at];
    }
    Fit { weights, bias }
}

/// Lloyd's algorithm on the sphere from evenly spaced rows.
fn centres(rows: &[&Row]) -> Vec<Embedding> {
    let mut centres: Vec<Embedding> = (0..CENTRES).map(|at| rows[at * rows.len() / CENTRES].vector).collect();
    for _ in 0..20 {
        let mut sums = vec![[0.0f32; 256]; CENTRES];
        for row in rows {
            let (at, _) = nearest(&centres, &row.vector);
            for (sum, part) in sums[at].iter_mut().zip(&row.vector) {
                *sum += part;
            }
        }
        for (centre, sum) in centres.iter_mut().zip(sums) {
            let length = sum.iter().map(|part| part * part).sum::<f32>().sqrt();
            if length > 0.0 {
                *centre = sum.map(|part| part / length);
            }
        }
    }
    centres
}

fn nearest(centres: &[Embedding], vector: &Embedding) -> (usize, f32) {
    centres
        .iter()
        .map(|centre| centre.iter().zip(vector).map(|(one, other)| one * other).sum::<f32>())
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |best, found| if found.1 > best.1 { found } else { best })
}

/// The area under the share of the gap that is won when the highest scores go to the strong model.
fn apgr(mut rows: Vec<(f64, f64)>) -> f64 {
    rows.sort_by(|one, other| other.0.total_cmp(&one.0));
    let gap: f64 = rows.iter().map(|(_, gain)| gain).sum();
    let (mut won, mut area) = (0.0, 0.0);
    for (_, gain) in &rows {
        area += (won + gain / 2.0) / gap;
        won += gain;
    }
    area / rows.len() as f64
}

/// The values below which 0, 1/16, ... 16/16 of the rows lie.
fn knots(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    (0..=16).map(|knot| (values[(values.len() - 1) * knot / 16] * 1e5).round() / 1e5).collect()
}

fn rounded(number: f64) -> f32 {
    ((number * 1e4).round() / 1e4) as f32
}
