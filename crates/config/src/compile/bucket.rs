//! The bucket through which lines of batches go to a provider's batch API.
//!
//! Owns the checks that the settings can take effect where they stand. Must not know what a bucket or a role looks like: `providers`
//! does.

use crate::compile::Compiler;
use crate::file::{BatchUpstream, File, ProviderSettings};
use trunkline_providers::batch::{Bucket, BucketSettings};
use trunkline_providers::preset::Preset;

/// Notes the bucket, where the provider's batch API reads from one. Tells whether there is one that requests must be signed for.
pub(super) fn bucket(
    name: &str,
    preset: &mut Preset,
    settings: &ProviderSettings,
    compiler: &mut Compiler<'_>,
) -> bool {
    let Some(stated) = &settings.batch else { return false };
    let path = ["providers", name, "batch"];
    let Some((batch, store)) = preset.batch.as_mut().and_then(|batch| {
        let store = batch.store.clone()?;
        Some((batch, store))
    }) else {
        let problem =
            format!("this has no effect: `{}` has no batch API that reads from a bucket", preset.id);
        compiler.error(&path, problem, Some("remove it".to_owned()));
        return false;
    };
    let mut read = |field: &str, text: &Option<String>| -> Option<Option<String>> {
        match text {
            None => Some(None),
            Some(text) => compiler.expand(&["providers", name, "batch", field], text).map(Some),
        }
    };
    let expanded = (read("bucket", &stated.bucket), read("role", &stated.role), read("url", &stated.url));
    let (Some(bucket), Some(role), Some(url)) = expanded else { return false };
    match Bucket::read(&store, &BucketSettings { bucket, role, url }) {
        Ok(bucket) => {
            batch.bucket = Some(bucket);
            store.service.is_some()
        }
        Err(mistake) => {
            let inner = mistake.setting.map(|field| ["providers", name, "batch", field]);
            let path = inner.as_ref().map_or(&path[..], |inner| &inner[..]);
            compiler.error(path, mistake.message, Some(mistake.hint));
            false
        }
    }
}

/// Reports a bucket whose store takes signed requests, beside a key that signs nothing.
pub(super) fn unsigned(name: &str, compiler: &mut Compiler<'_>) {
    compiler.error(
        &["providers", name, "batch"],
        "this cannot take effect: the bucket's store takes signed requests only, and a key of the provider signs none",
        Some("take `key` out and let requests be signed (`access_key`, `profile`, or the usual chain)".to_owned()),
    );
}

/// Reports buckets that no line can go to, because no line goes to any batch API.
pub(super) fn unused(file: &File, compiler: &mut Compiler<'_>) {
    if file.batches.as_ref().and_then(|batches| batches.upstream) != Some(BatchUpstream::Never) {
        return;
    }
    for name in file.providers.iter().filter(|(_, settings)| settings.batch.is_some()).map(|(name, _)| name) {
        compiler.error(
            &["providers", name, "batch"],
            "this cannot take effect: no lines go to providers' batch APIs (`batches.upstream: never`)",
            Some("take it out, or set `upstream: auto`".to_owned()),
        );
    }
}
