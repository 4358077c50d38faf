//! Larger encoders of texts.
//!
//! Owns their settings: a deployment that serves embeddings, or the folder of a sentence transformer. Folders are read through
//! [`crate::Inputs::files`] like every file, and only by builds that can use them; others say so.

use super::waiting::{Waiting, waiting};
use crate::compile::Compiler;
use crate::compile::fleet::CompiledFleet;
use crate::file::{EncoderSettings, File};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::dialect::Operation;
use trunkline_route::steps::{EncodeBy, Encoder};

/// How long a vector is waited for when the settings do not say.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The most components to ask for.
const MOST_DIMENSIONS: u32 = 4_096;

/// The encoders by name; `None` for one that cannot be used, which is reported once.
pub(crate) type Encoders = BTreeMap<String, Option<Arc<Encoder>>>;

/// Compiles the encoders of a configuration.
pub(super) fn compile(file: &File, fleet: &CompiledFleet, compiler: &mut Compiler<'_>) -> Encoders {
    let compiled = |(name, settings): (&String, &EncoderSettings)| {
        let used = file.intents.values().any(|intents| intents.encoder.as_ref() == Some(name))
            || file.learned.values().any(|learned| learned.encoder.as_ref() == Some(name));
        if !used {
            compiler.warning(&["encoders", name], format!("nothing uses the encoder `{name}`"), None);
        }
        (name.clone(), encoder(name, settings, fleet, compiler).map(Arc::new))
    };
    file.encoders.iter().map(compiled).collect()
}

fn encoder(
    name: &str,
    settings: &EncoderSettings,
    fleet: &CompiledFleet,
    compiler: &mut Compiler<'_>,
) -> Option<Encoder> {
    let path = |field| ["encoders", name, field];
    let said = (settings.timeout.as_ref(), settings.keep.as_ref());
    let Waiting { timeout, keep } = waiting(["encoders", name], said, TIMEOUT, compiler)?;
    let (by, identity) = match (&settings.deployment, &settings.folder) {
        (Some(deployment), None) => remote(name, deployment, settings.dimensions, fleet, compiler)?,
        (None, Some(_)) if settings.dimensions.is_some() => {
            let message = "this has no effect: a folder's model has the dimensions that it has";
            compiler.error(&path("dimensions"), message, None);
            return None;
        }
        (None, Some(folder)) => local(name, folder, compiler)?,
        _ => {
            let hint = "for example `deployment: openai/text-embedding-3-small`, or `folder: models/all-MiniLM-L6-v2`";
            let message = format!("the encoder `{name}` needs exactly one of `deployment` and `folder`");
            compiler.error(&["encoders", name], message, Some(hint.to_owned()));
            return None;
        }
    };
    Some(Encoder { name: name.into(), by, identity, timeout, keep })
}

fn remote(
    name: &str,
    written: &str,
    dimensions: Option<u32>,
    fleet: &CompiledFleet,
    compiler: &mut Compiler<'_>,
) -> Option<(EncodeBy, [u8; 16])> {
    let path = ["encoders", name, "deployment"];
    let deployment = fleet.resolve(&path, written, compiler)?;
    let described = fleet.fleet.deployment(deployment);
    if !described.operations.contains(&Operation::Embeddings) {
        let able = |(_, other): &(_, &trunkline_route::fleet::Deployment)| {
            other.operations.contains(&Operation::Embeddings)
        };
        let hint = fleet.fleet.iter().find(able).map(|(_, other)| format!("`{}` serves them", other.id));
        compiler.error(&path, format!("`{}` serves no embeddings", described.id), hint);
        return None;
    }
    if let Some(dimensions) = dimensions.filter(|dimensions| !(1..=MOST_DIMENSIONS).contains(dimensions)) {
        let message = format!("`dimensions` is {dimensions}, not from 1 to {MOST_DIMENSIONS}");
        compiler.error(&["encoders", name, "dimensions"], message, None);
        return None;
    }
    let mut hash = Sha256::new();
    hash.update(described.id.as_bytes());
    hash.update([0]);
    if let Some(origin) = fleet.origins.get(deployment.position()) {
        hash.update(origin.upstream.as_bytes());
    }
    hash.update(dimensions.unwrap_or(0).to_le_bytes());
    Some((EncodeBy::Deployment { deployment, dimensions }, identity(hash)))
}

fn identity(hash: Sha256) -> [u8; 16] {
    let mut identity = [0; 16];
    identity.copy_from_slice(&hash.finalize()[..16]);
    identity
}

#[cfg(feature = "encoder")]
fn local(name: &str, folder: &str, compiler: &mut Compiler<'_>) -> Option<(EncodeBy, [u8; 16])> {
    let mut hash = Sha256::new();
    let loaded = trunkline_route::sentence::SentenceEncoder::load(&mut |file| {
        let bytes = compiler.read_file(&format!("{}/{file}", folder.trim_end_matches('/')))?;
        hash.update(Sha256::digest(&bytes));
        Ok(bytes)
    });
    match loaded {
        Ok(model) => Some((EncodeBy::Local(Arc::new(model)), identity(hash))),
        Err(error) => {
            let hint = "a folder as sentence-transformers saves it; relative paths start at the configuration's folder";
            let path = ["encoders", name, "folder"];
            compiler.error(&path, format!("failed to {error}"), Some(hint.to_owned()));
            None
        }
    }
}

#[cfg(not(feature = "encoder"))]
fn local(name: &str, _folder: &str, compiler: &mut Compiler<'_>) -> Option<(EncodeBy, [u8; 16])> {
    compiler.error(
        &["encoders", name, "folder"],
        "this build cannot use the folders of sentence transformers",
        Some("build it with `--features encoder`, or name a `deployment` that serves embeddings".to_owned()),
    );
    None
}
