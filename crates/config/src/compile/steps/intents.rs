//! Labelled examples, learned.
//!
//! Owns gathering them from the file, the log and the configuration itself, and training. Every step that names them shares what was
//! learned.

use super::encoders::Encoders;
use super::examples;
use super::kinds::find;
use crate::compile::Compiler;
use crate::file::{File, IntentsHead, IntentsSettings, StepSettings};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use trunkline_model::nearest::nearest;
use trunkline_route::classify::{Classifier, Example, Head, TrainError, Training};
use trunkline_route::steps::{EncodeBy, EncodedIntents, Encoder, Intents, Learned};

/// Examples of a label below which its class is guesswork.
const FEW: usize = 3;

pub(super) fn compile(
    file: &File,
    encoders: &Encoders,
    compiler: &mut Compiler<'_>,
) -> BTreeMap<String, Option<Arc<Intents>>> {
    file.intents
        .iter()
        .map(|(name, settings)| {
            let mapped = mapped(file, name);
            (name.clone(), intents(name, settings, &mapped, encoders, compiler).map(Arc::new))
        })
        .collect()
}

/// The labels that steps send somewhere.
fn mapped<'a>(file: &'a File, name: &str) -> BTreeSet<&'a str> {
    let steps = file.routes.values().flat_map(|route| &route.decide);
    let reads = |step: &&StepSettings| {
        step.semantic.as_deref() == Some(name)
            || step.hybrid.as_ref().is_some_and(|hybrid| hybrid.intents == name)
    };
    steps.filter(reads).flat_map(|step| step.map.keys().map(String::as_str)).collect()
}

fn intents(
    name: &str,
    settings: &IntentsSettings,
    mapped: &BTreeSet<&str>,
    encoders: &Encoders,
    compiler: &mut Compiler<'_>,
) -> Option<Intents> {
    let path = ["intents", name];
    let mut texts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (label, examples) in &settings.examples {
        let empty = examples.is_empty() || examples.iter().any(|text| text.trim().is_empty());
        if empty {
            let hint = "write a few sentences as users would".to_owned();
            let place = ["intents", name, "examples", label];
            compiler.error(
                &place,
                format!("the label `{label}` has no example, or an empty one"),
                Some(hint),
            );
            return None;
        }
        texts.entry(label).or_default().extend(examples.iter().map(String::as_str));
    }
    let rows = match &settings.file {
        None => Vec::new(),
        Some(file) => {
            let read = compiler.read_file(file).map_err(|cause| format!("failed to read `{file}`: {cause}"));
            match read.and_then(|bytes| examples::read(file, &bytes)) {
                Ok(rows) => rows,
                Err(message) => {
                    let hint = "each line is for example `{\"text\": \"where is my refund\", \"label\": \"billing\"}`; relative paths \
                                start at the configuration's folder";
                    compiler.error(&["intents", name, "file"], message, Some(hint.to_owned()));
                    return None;
                }
            }
        }
    };
    for row in &rows {
        texts.entry(&row.label).or_default().push(&row.text);
    }
    misspelt(name, &rows, &texts, mapped, compiler)?;
    let gathered = from_log(name, settings, compiler)?;
    let own: HashSet<&str> = texts.values().flatten().copied().collect();
    // What the configuration says of a text is not overruled by what users say.
    for (text, label) in gathered.iter().filter(|(text, _)| !own.contains(text.as_str())) {
        texts.entry(label).or_default().push(text);
    }
    if texts.is_empty() {
        let hint = "add `file` or `examples: { billing: [...], legal: [...] }`, or wait for labels where there is `from_log`".to_owned();
        compiler.error(&path, format!("`{name}` has no examples"), Some(hint));
        return None;
    }
    for (label, examples) in texts.iter().filter(|(_, examples)| examples.len() < FEW) {
        let message = format!("the label `{label}` has {} example(s): that is guesswork", examples.len());
        compiler.warning(&path, message, Some("ten or more make a class".to_owned()));
    }
    let encoder = match &settings.encoder {
        None => None,
        Some(written) => {
            let found = find(&["intents", name, "encoder"], written, "encoders", encoders, compiler);
            Some(found?)
        }
    };
    let goes_out = |encoder: &Arc<Encoder>| matches!(encoder.by, EncodeBy::Deployment { .. });
    if !settings.from_log.is_empty() && encoder.as_ref().is_some_and(goes_out) {
        compiler.error(
            &["intents", name, "from_log"],
            "texts of the log would go to the encoder's provider, whatever was demanded of the requests they came with",
            Some("name an encoder with a `folder`, take `encoder` out, or write examples of your own".to_owned()),
        );
        return None;
    }
    train(name, settings, &texts, encoder, compiler)
}

/// Labels of a file that no step maps and that look like one that is mapped. With a few examples only, one is taken for a slip: it
/// would become a class of its own, and its texts would go nowhere.
fn misspelt(
    name: &str,
    rows: &[examples::Row],
    texts: &BTreeMap<&str, Vec<&str>>,
    mapped: &BTreeSet<&str>,
    compiler: &mut Compiler<'_>,
) -> Option<()> {
    let path = ["intents", name, "file"];
    let mut told: BTreeSet<&str> = BTreeSet::new();
    let mut slip = false;
    for row in rows.iter().filter(|row| !mapped.contains(row.label.as_str())) {
        let near = nearest(&row.label, mapped.iter().copied(), 1);
        // One name within another is no slip of the pen.
        let alike = |meant: &&&str| meant.len().abs_diff(row.label.len()) <= 2;
        let Some(meant) = near.first().filter(alike).filter(|_| told.insert(&row.label)) else { continue };
        let message = format!("{}: no step maps the label `{}`", row.place, row.label);
        if texts.get(row.label.as_str()).is_some_and(|texts| texts.len() < FEW) {
            slip = true;
            compiler.error(
                &path,
                message,
                Some(format!("did you mean `{meant}`? Correct it there, or map it")),
            );
        } else {
            let hint =
                format!("its texts are left to the next step; if `{meant}` is meant, correct it there");
            compiler.warning(&path, message, Some(hint));
        }
    }
    (!slip).then_some(())
}

/// Examples kept of the log at the most, the newest of them.
const MOST_FROM_LOG: usize = 10_000;

/// The texts of the log with the labels that are asked for; of several labels of one text the newest.
fn from_log(
    name: &str,
    settings: &IntentsSettings,
    compiler: &mut Compiler<'_>,
) -> Option<BTreeMap<String, String>> {
    let wanted = &settings.from_log;
    if wanted.is_empty() {
        return Some(BTreeMap::new());
    }
    let path = ["intents", name, "from_log"];
    let labelled = match compiler.labelled() {
        Some(Ok(labelled)) => labelled,
        Some(Err(message)) => {
            compiler.error(&path, format!("the labels of the log cannot be read: {message}"), None);
            return None;
        }
        None => {
            let hint = "set for example `store: sqlite:trunkline.db`, or take `from_log` out".to_owned();
            let message = "this has no effect: the store is `memory`, which keeps no texts";
            compiler.error(&path, message, Some(hint));
            return None;
        }
    };
    let newest = labelled.into_iter().rev().filter(|(_, label)| wanted.contains(label));
    let mut texts = BTreeMap::new();
    for (text, label) in newest.take(MOST_FROM_LOG) {
        texts.entry(text).or_insert(label);
    }
    for label in wanted.iter().filter(|label| !texts.values().any(|known| known == *label)) {
        let hint = "routes with `learn: { keep: text }` keep the texts that feedback can label";
        compiler.warning(
            &path,
            format!("no text of the log has the label `{label}` yet"),
            Some(hint.to_owned()),
        );
    }
    Some(texts)
}

fn train(
    name: &str,
    settings: &IntentsSettings,
    texts: &BTreeMap<&str, Vec<&str>>,
    encoder: Option<Arc<Encoder>>,
    compiler: &mut Compiler<'_>,
) -> Option<Intents> {
    let head = match settings.head.unwrap_or_default() {
        IntentsHead::Logistic => Head::Logistic,
        IntentsHead::Centroid => Head::Centroid,
    };
    let default = Training::default();
    let training = Training { head, keep: settings.keep.map_or(default.keep, |keep| keep as f32) };
    let examples: Vec<Example<'_>> = texts
        .values()
        .enumerate()
        .flat_map(|(label, texts)| texts.iter().map(move |text| Example { text, label }))
        .collect();
    let labels = texts.keys().map(|label| Box::from(*label)).collect();
    let learned = match encoder {
        None => Classifier::train(labels, &examples, &training).map(Learned::Static),
        Some(encoder) => EncodedIntents::new(encoder, labels, &examples, training).map(Learned::Encoded),
    };
    match learned {
        Ok(learned) => Some(Intents { name: name.into(), learned }),
        Err(error) => {
            let path = ["intents", name, "keep"];
            let path = if matches!(error, TrainError::Keep { .. }) { &path[..] } else { &path[..2] };
            compiler.error(path, format!("failed to train the classifier: {error}"), None);
            None
        }
    }
}
