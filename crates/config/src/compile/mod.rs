//! From settings to a snapshot: names resolved, units read, secrets expanded, policies compiled.
//!
//! Owns the meaning of every setting. Must not read files or the environment: both are arguments. It goes on after a mistake
//! with whatever still makes sense, so that one run reports them all.

mod auto;
mod batches;
mod bounds;
mod bucket;
mod cascade;
mod effort;
mod fallback;
mod fleet;
mod identity;
mod keys;
mod learn;
mod learned;
mod media;
mod models;
mod providers;
mod routes;
mod server;
mod signature;
mod steps;
mod weights;

use crate::file::File;
use crate::problem::{Place, Problem, Problems};
use crate::snapshot::{Snapshot, Store};
use crate::source::{Node, Source, Value};
use sha2::{Digest, Sha256};
use std::path::Path;
use trunkline_model::catalogue::Date;
use trunkline_providers::upstream::Account;

/// What compiling needs from outside.
pub struct Inputs<'a> {
    /// The environment.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// Today, for what holds of models from a day on and for warnings about those that retire.
    pub today: Date,
    /// The content of a file that the configuration names, or why it cannot be read.
    pub files: &'a dyn Fn(&str) -> Result<Vec<u8>, String>,
    /// The texts that feedback gave a label, kept beside a log.
    pub labelled: &'a dyn Fn(&Path) -> Labelled,
}

/// Texts with the labels that feedback gave them.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// The file they are kept in, to be watched; absolute.
    pub file: String,
    /// Texts and labels, oldest first, or why they cannot be read.
    pub texts: Result<Vec<(String, String)>, String>,
}

/// Walks through one compilation.
pub(crate) struct Compiler<'a> {
    pub(crate) root: &'a Node,
    sources: &'a [Source],
    /// Where the form is wrong: what follows from that is not said again.
    mistaken: Vec<Place>,
    pub(crate) problems: &'a mut Problems,
    pub(crate) inputs: &'a Inputs<'a>,
    pub(crate) stand_in: StandIn<'a>,
    /// Where the log is.
    pub(crate) store: Store,
    /// The files that were named, with a digest of each: they are part of the configuration's version.
    read: Vec<(String, [u8; 32])>,
}

/// What takes the place of an account, once per deployment: see [`crate::load_standing_in`].
pub(crate) type StandIn<'a> = Option<&'a dyn Fn(&Account) -> Account>;

impl Compiler<'_> {
    /// The place of the value at a path, or of its nearest existing ancestor; of a list or map, the place of its name.
    pub(crate) fn place(&self, path: &[&str]) -> Place {
        self.root.shown_place(path)
    }

    /// Whether the form of the value at a path, or of a setting directly in it, is wrong.
    pub(crate) fn is_mistaken(&self, path: &[&str]) -> bool {
        let node = self.root.nearest(path);
        let wrong = |place: &Place| self.mistaken.contains(place);
        wrong(&node.place)
            || match &node.value {
                Value::Map(entries) => {
                    entries.iter().any(|(key, value)| wrong(&key.place) || wrong(&value.place))
                }
                Value::List(items) => items.iter().any(|item| wrong(&item.place)),
                _ => false,
            }
    }

    /// Reports a mistake at a value.
    pub(crate) fn error(&mut self, path: &[&str], message: impl Into<String>, hint: Option<String>) {
        let mut problem = Problem::new(self.place(path), message);
        problem.hint = hint;
        self.report(path, problem);
    }

    /// Reports a mistake in a text at a path, at a byte of that text where it stands there as it is.
    pub(crate) fn error_within(&mut self, path: &[&str], text: &str, offset: Option<usize>, message: String) {
        let mut place = self.place(path);
        let shown = self.sources.get(place.source).and_then(|source| source.text.get(place.span.clone()));
        if let (Some(offset), Some(start)) = (offset, shown.and_then(|shown| shown.find(text))) {
            let letter = text.get(offset..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
            place.span.start += start + offset;
            place.span.end = place.span.start + letter;
        }
        self.report(path, Problem::new(place, message));
    }

    /// Reports something that works but is probably not meant.
    pub(crate) fn warning(&mut self, path: &[&str], message: impl Into<String>, hint: Option<String>) {
        let mut problem = Problem::new(self.place(path), message).warning();
        problem.hint = hint;
        self.report(path, problem);
    }

    fn report(&mut self, path: &[&str], problem: Problem) {
        if !self.is_mistaken(path) {
            self.problems.push(problem);
        }
    }

    /// The content of a named file.
    pub(crate) fn read_file(&mut self, name: &str) -> Result<Vec<u8>, String> {
        let content = (self.inputs.files)(name);
        // A file that cannot be read is watched too: it may appear.
        let digest = Sha256::digest(content.as_deref().unwrap_or_default()).into();
        self.read.push((name.to_owned(), digest));
        content
    }

    /// The texts that feedback gave a label; `None` where the log is in memory and keeps none. They are part of the version.
    pub(crate) fn labelled(&mut self) -> Option<Result<Vec<(String, String)>, String>> {
        let Store::Sqlite(log) = &self.store else { return None };
        let labelled = (self.inputs.labelled)(log);
        let mut digest = Sha256::new();
        for (text, label) in labelled.texts.iter().flatten() {
            digest.update((text.len() as u64).to_le_bytes());
            digest.update(text);
            digest.update((label.len() as u64).to_le_bytes());
            digest.update(label);
        }
        self.read.push((labelled.file, digest.finalize().into()));
        Some(labelled.texts)
    }

    /// Reads a notation at a path, or reports what is wrong with it.
    pub(crate) fn read<T>(
        &mut self,
        path: &[&str],
        text: Option<&String>,
        reader: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match reader(text?) {
            Ok(value) => Some(value),
            Err(message) => {
                self.error(path, message, None);
                None
            }
        }
    }

    /// A number that must not be nothing, or reports that it is.
    pub(crate) fn at_least_one<T: Copy + PartialEq + Default>(
        &mut self,
        path: &[&str],
        number: Option<T>,
    ) -> Option<T> {
        let number = number?;
        if number != T::default() {
            return Some(number);
        }
        let name = path.last().copied().unwrap_or_default();
        self.error(path, format!("`{name}` must be at least 1"), None);
        None
    }

    /// Expands `${...}` in a text at a path.
    pub(crate) fn expand(&mut self, path: &[&str], text: &str) -> Option<String> {
        match crate::scalar::expand(text, self.inputs.environment) {
            Ok(text) => Some(text),
            Err(message) => {
                let hint = message.contains("variable").then(|| "set it, or take the setting out".to_owned());
                self.error(path, message, hint);
                None
            }
        }
    }
}

/// Compiles a checked file.
pub(crate) fn compile(
    file: &File,
    root: &Node,
    mistaken: Vec<Place>,
    sources: &[Source],
    problems: &mut Problems,
    inputs: &Inputs<'_>,
    stand_in: StandIn<'_>,
) -> Option<Snapshot> {
    let store = Store::Memory;
    let mut compiler =
        Compiler { root, sources, mistaken, problems, inputs, stand_in, store, read: Vec::new() };
    let server = server::compile(file, &mut compiler);
    compiler.store.clone_from(&server.store);
    let providers = providers::compile(file, &mut compiler);
    let fleet = fleet::compile(file, &providers, &mut compiler);
    let (routes, encoders) = routes::compile(file, &providers, &fleet, &mut compiler);
    weights::check(file, &mut compiler);
    let keys = keys::compile(file, &fleet, &routes, &mut compiler);
    let read = compiler.read;
    if problems.has_errors() {
        return None;
    }
    Some(Snapshot {
        version: fingerprint(sources, &read, providers.next_change),
        next_change: providers.next_change,
        files: read.into_iter().map(|(name, _)| name).collect(),
        server,
        fleet: fleet.fleet,
        upstreams: fleet.upstreams,
        origins: fleet.origins,
        catalogue: providers.catalogue,
        providers: providers.summaries,
        routes,
        encoders,
        keys,
    })
}

/// The first eight bytes of the SHA-256 of texts, named files and the next day on which they mean something else: names a version in
/// logs and records.
fn fingerprint(sources: &[Source], files: &[(String, [u8; 32])], next_change: Option<Date>) -> u64 {
    let mut hash = Sha256::new();
    for source in sources {
        hash.update(source.text.as_bytes());
        hash.update([0]);
    }
    for (_, digest) in files {
        hash.update(digest);
    }
    if let Some(day) = next_change {
        hash.update(day.unix_days().to_le_bytes());
    }
    let digest = hash.finalize();
    digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}
