//! Labelled examples, learned.
//!
//! Owns gathering them from the file and from the configuration itself, and training. Every step that names them shares what was
//! learned.

use super::examples;
use crate::compile::Compiler;
use crate::file::{File, IntentsHead, IntentsSettings};
use std::collections::BTreeMap;
use std::sync::Arc;
use trunkline_route::classify::{Classifier, Example, Head, TrainError, Training};
use trunkline_route::steps::Intents;

/// Examples of a label below which its class is guesswork.
const FEW: usize = 3;

pub(super) fn compile(file: &File, compiler: &mut Compiler<'_>) -> BTreeMap<String, Option<Arc<Intents>>> {
    file.intents
        .iter()
        .map(|(name, settings)| (name.clone(), intents(name, settings, compiler).map(Arc::new)))
        .collect()
}

fn intents(name: &str, settings: &IntentsSettings, compiler: &mut Compiler<'_>) -> Option<Intents> {
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
    if texts.is_empty() {
        let hint = "add `file` or `examples: { billing: [...], legal: [...] }`".to_owned();
        compiler.error(&path, format!("`{name}` has no examples"), Some(hint));
        return None;
    }
    for (label, examples) in texts.iter().filter(|(_, examples)| examples.len() < FEW) {
        let message = format!("the label `{label}` has {} example(s): that is guesswork", examples.len());
        compiler.warning(&path, message, Some("ten or more make a class".to_owned()));
    }
    train(name, settings, &texts, compiler)
}

fn train(
    name: &str,
    settings: &IntentsSettings,
    texts: &BTreeMap<&str, Vec<&str>>,
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
    match Classifier::train(labels, &examples, &training) {
        Ok(classifier) => Some(Intents { name: name.into(), classifier }),
        Err(error) => {
            let path = ["intents", name, "keep"];
            let path = if matches!(error, TrainError::Keep { .. }) { &path[..] } else { &path[..2] };
            compiler.error(path, format!("failed to train the classifier: {error}"), None);
            None
        }
    }
}
