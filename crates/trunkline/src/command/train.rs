//! `trunkline train`: from labelled prompts to a router's file.
//!
//! Owns the files, the refusal of a worse router, and the words; the fit is the lab's. The file is written beside its place and
//! moved there, so that a server that watches it never reads half of one.

mod vectors;

use super::bench_router::progress;
use super::from_log::Stretch;
use super::outcome;
use anyhow::{Context, bail};
use clap::Args;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use trunkline_lab::dataset::{Dataset, generic};
use trunkline_lab::fit::{Fitted, LEAST_ROWS, Labels, Prepared, Settings, fit};
use trunkline_lab::from_log::Gathered;
use trunkline_lab::labelled;
use trunkline_lab::measure::{Outcome, compare};
use trunkline_route::learned::{Artefact, MOST_NEIGHBOURS, TrainingMetrics, USUAL_NEIGHBOURS};

/// Options of `train`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// JSONL files, or folders of them: `{"prompt": ..., "models": {"provider/model": {"score": 0.8, "cost": 0.001}}}` per line.
    #[arg(long, value_name = "FILE|DIR", required_unless_present = "from_log", num_args = 1..)]
    data: Vec<PathBuf>,
    /// Learn from the request log: feedback and judges' scores on prompts that `learn: { keep: ... }` of a route has kept.
    #[arg(long)]
    from_log: bool,
    #[command(flatten)]
    stretch: Stretch,
    /// Read the prompts by this encoder too, a name under `encoders` of `--config`; the server then needs the same one.
    #[arg(long, value_name = "NAME")]
    encoder: Option<String>,
    /// Where to write the router.
    #[arg(long, value_name = "FILE", default_value = "quality.router.json")]
    out: PathBuf,
    /// Replace a router that is better by its own figures; the reason is kept in the file.
    #[arg(long, value_name = "REASON")]
    force: Option<String>,
    /// Prompts that are kept as neighbours at the most; each takes some 260 bytes of the server's memory and 350 of the file.
    #[arg(long, value_name = "ROWS", default_value_t = USUAL_NEIGHBOURS as u32,
          value_parser = clap::value_parser!(u32).range(..=MOST_NEIGHBOURS as i64))]
    neighbours: u32,
    /// The seed of the folds.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// Trains and writes. The exit code is 1 when the router is refused.
///
/// # Errors
/// Data that cannot be read or is too little, a place that cannot be written.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let (data, gathered) = gather(options)?;
    let data = if options.encoder.is_some() { with_texts(&data)? } else { data };
    let labels: Labels = data.rows.iter().map(|row| row.scores.clone()).collect();
    let settings =
        Settings { seed: options.seed, neighbours: options.neighbours as usize, ..Settings::default() };
    let prepared = prepared(options, &data)?;
    let bar = progress(settings.steps(), "fitting");
    let rows: Vec<usize> = (0..prepared.len()).collect();
    let fitted = fit(&prepared, &labels, &rows, &data.models, &settings, &|| bar.inc(1))
        .map_err(|error| anyhow::anyhow!("failed to {error}"))?;
    bar.finish_and_clear();
    let findings = findings(&data, &prepared, &fitted, options.seed);
    let mut artefact = fitted.artefact;
    artefact.created = jiff::Timestamp::now().to_string();
    artefact.data.fingerprint = data.fingerprint();
    artefact.data.source = data.name;
    let standing = match current(&options.out)? {
        Some(current) => judge(&artefact.metrics, &current.metrics),
        None => Standing::First,
    };
    let refused = matches!(standing, Standing::Worse(_)) && options.force.is_none();
    if let (Standing::Worse(why), Some(reason)) = (&standing, &options.force) {
        eprintln!("warning: replaced although {why}; the reason given: {reason}");
        // Writing to a string cannot fail.
        let _ = write!(artefact.data.source, " (forced: {reason})");
    }
    if !refused {
        outcome::replace(&options.out, &artefact.to_text())?;
    }
    print(options, &artefact, &findings, gathered.as_ref(), &standing, refused)?;
    Ok(if refused { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// The rows whose text is known: no other can be encoded.
fn with_texts(data: &Dataset) -> anyhow::Result<Dataset> {
    let before = data.rows.len();
    let kept = data.of_group(&data.name, |row| row.features.is_none());
    if kept.rows.is_empty() {
        bail!(
            "none of {before} prompts has its text, and an encoder reads texts: `learn: {{ keep: text }}` keeps those to come"
        );
    }
    if kept.rows.len() < before {
        let left_out = before - kept.rows.len();
        eprintln!(
            "warning: left out, kept without their text, which an encoder needs: {left_out} of {before} prompts"
        );
    }
    Ok(kept)
}

/// The prompts as features, with an encoder's vectors where one is named.
fn prepared(options: &Options, data: &Dataset) -> anyhow::Result<Prepared> {
    let prepared = Prepared::of(&data.rows);
    let Some(name) = &options.encoder else { return Ok(prepared) };
    let prompts: Vec<&str> = data.rows.iter().map(|row| row.prompt.as_str()).collect();
    let encoded = vectors::encode(options.stretch.config(), name, &prompts)?;
    let cost = encoded.cost_usd.map_or_else(|| "an unknown amount".to_owned(), |cost| format!("${cost:.6}"));
    eprintln!("{} prompts encoded by `{name}`, for {cost}", prompts.len());
    prepared
        .encoded_by(encoded.encoder, &encoded.vectors)
        .map_err(|row| anyhow::anyhow!("the encoder `{name}` gave no vector for prompt {}", row + 1))
}

fn print(
    options: &Options,
    artefact: &Artefact,
    findings: &str,
    gathered: Option<&Gathered>,
    standing: &Standing,
    refused: bool,
) -> anyhow::Result<()> {
    let outcome = match (standing, refused) {
        (Standing::Worse(why), true) => {
            format!(
                "refused: {why}; the file in place stays. Train on more data, or give a reason with --force"
            )
        }
        _ => format!("written to {}", options.out.display()),
    };
    if options.json {
        let value = serde_json::json!({
            "written": !refused,
            "outcome": outcome,
            "log": gathered,
            "findings": findings.lines().collect::<Vec<_>>(),
            "models": artefact.models,
            "encoder": artefact.encoder,
            "data": artefact.data,
            "metrics": artefact.metrics,
        });
        println!("{}", serde_json::to_string_pretty(&value)?);
    } else {
        println!("{} prompts, data {}", artefact.data.rows, &artefact.data.fingerprint[..16]);
        print!("{findings}");
        println!("{outcome}");
    }
    Ok(())
}

/// The rows of the files, of the log, or of both.
fn gather(options: &Options) -> anyhow::Result<(Dataset, Option<Gathered>)> {
    if !options.from_log && options.stretch.is_given() {
        bail!("`--since` and `--route` choose from the log: add `--from-log`");
    }
    let files = if options.data.is_empty() { None } else { Some(read_all(&options.data)?) };
    if !options.from_log {
        return Ok((files.unwrap_or_default(), None));
    }
    let mut gathered = options.stretch.gather()?;
    let (log, _) = labelled::dataset(std::mem::take(&mut gathered.rows));
    let shortcomings = gathered.shortcomings();
    if log.rows.is_empty() && files.is_none() {
        let why =
            if shortcomings.is_empty() { "it holds no request".to_owned() } else { shortcomings.join("\n") };
        bail!("the log holds nothing to learn from:\n{why}");
    }
    eprintln!("{} prompts of the log with {} scored requests", log.rows.len(), gathered.scored);
    for shortcoming in &shortcomings {
        eprintln!("warning: {shortcoming}");
    }
    let data = match files {
        None => log,
        Some(files) => {
            let name = format!("{}, {}", files.name, log.name);
            Dataset::joined(&name, vec![files, log])
        }
    };
    let rare = rare(&data);
    if !rare.is_empty() && rare.len() < data.models.len() {
        eprintln!("warning: left out, with fewer than {LEAST_ROWS} scores each: {}", rare.join(", "));
        return Ok((data.without(&rare), Some(gathered)));
    }
    Ok((data, Some(gathered)))
}

/// Models that a log knows too little of to say anything.
fn rare(data: &Dataset) -> Vec<String> {
    let scores = |model: usize| data.rows.iter().filter(|row| !row.scores[model].is_nan()).count();
    let models = data.models.iter().enumerate();
    models.filter(|(model, _)| scores(*model) < LEAST_ROWS).map(|(_, name)| name.clone()).collect()
}

fn read_all(paths: &[PathBuf]) -> anyhow::Result<Dataset> {
    let mut files = Vec::new();
    for path in paths {
        let metadata =
            std::fs::metadata(path).with_context(|| format!("read the data {}", path.display()))?;
        if !metadata.is_dir() {
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        let entries =
            std::fs::read_dir(path).with_context(|| format!("read the folder {}", path.display()))?;
        files.extend(
            entries
                .filter_map(|entry| entry.ok().map(|entry| entry.path()))
                .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl")),
        );
        files[before..].sort();
        if files.len() == before {
            bail!("the folder {} holds no .jsonl file", path.display());
        }
    }
    let mut parts = Vec::with_capacity(files.len());
    for file in &files {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("read the data {}", file.display()))?;
        let part = generic(&file.display().to_string(), &text)
            .map_err(|error| anyhow::anyhow!("failed to {error}"))?;
        parts.push(part);
    }
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    Ok(Dataset::joined(&names.join(", "), parts))
}

/// The router in place; `None` where there is none or it is of another version of the form.
fn current(path: &Path) -> anyhow::Result<Option<Artefact>> {
    use trunkline_route::learned::ArtefactError;
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("read the router in place, {}", path.display()));
        }
    };
    match Artefact::parse(&text) {
        Ok(artefact) => Ok(Some(artefact)),
        Err(error @ (ArtefactError::Version { .. } | ArtefactError::Mismatch { .. })) => {
            eprintln!("warning: the router in place cannot be compared: failed to {error}");
            Ok(None)
        }
        Err(error) => bail!(
            "{} is in the way and is no router: failed to {error}; choose another --out",
            path.display()
        ),
    }
}

/// How a new router stands to the one in place.
enum Standing {
    First,
    NotWorse,
    Worse(String),
}

/// Compares lower ends of intervals: what a router is worth at least.
fn judge(new: &TrainingMetrics, current: &TrainingMetrics) -> Standing {
    let (name, new, current) = match (new.apgr_lower, current.apgr_lower) {
        (Some(new), Some(current)) => ("APGR", new, current),
        _ => ("quality", new.quality_lower, current.quality_lower),
    };
    if new >= current {
        Standing::NotWorse
    } else {
        Standing::Worse(format!(
            "its {name} is at least {new:.4} and that of the router in place at least {current:.4}"
        ))
    }
}

/// What was found, beside the controls.
fn findings(data: &Dataset, prepared: &Prepared, fitted: &Fitted, seed: u64) -> String {
    let metrics = &fitted.artefact.metrics;
    let mut text = format!(
        "choosing the best predicted model: quality {:.3} (at least {:.3}); the best single model: {:.3}\n",
        metrics.quality, metrics.quality_lower, metrics.best_single
    );
    if metrics.quality_lower <= metrics.best_single {
        text.push_str("NOT shown to be better than the best single model when cost does not count\n");
    }
    let means = data.means();
    if let [one, other] = means.as_slice() {
        let (weak, strong) = if one <= other { (0, 1) } else { (1, 0) };
        let known =
            (0..data.rows.len()).filter(|row| data.rows[*row].scores.iter().all(|score| !score.is_nan()));
        let rows: Vec<usize> = known.collect();
        let outcomes: Vec<Outcome> = rows
            .iter()
            .map(|row| Outcome { weak: data.rows[*row].scores[weak], strong: data.rows[*row].scores[strong] })
            .collect();
        let scores: Vec<f32> =
            rows.iter().map(|row| fitted.held_out[*row][strong] - fitted.held_out[*row][weak]).collect();
        let lengths: Vec<f32> = rows.iter().map(|row| prepared.lengths()[*row]).collect();
        let found = compare(&scores, &lengths, &outcomes, seed);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "between `{}` and `{}`: APGR {}, random {}, prompt length alone {}\nCPT50 {:.1} %, CPT80 {:.1} %\n{}",
            data.models[weak],
            data.models[strong],
            found.apgr,
            found.random,
            found.length,
            found.cpt50 * 1e2,
            found.cpt80 * 1e2,
            found.verdict()
        );
    }
    text
}
