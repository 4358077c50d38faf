//! Files and batches: what is kept, and how fast lines are sent.

use crate::compile::server::time;
use crate::compile::{Compiler, bucket};
use crate::file::{BatchUpstream, File};
use crate::scalar;
use crate::snapshot::BatchPolicy;

/// The most that is promised where the store is memory.
const LARGEST_IN_MEMORY: u64 = 256_000_000;
/// The largest share that leaves batches anything.
const MOST_HEADROOM: f64 = 0.95;

/// Compiles the settings of files and batches; mistakes leave the default.
pub(crate) fn compile(file: &File, compiler: &mut Compiler<'_>) -> BatchPolicy {
    let default = BatchPolicy::default();
    let Some(settings) = &file.batches else { return default };
    let headroom = compiler.read(&["batches", "headroom"], settings.headroom.as_ref(), |text| {
        let share = scalar::share(text)?;
        if share > MOST_HEADROOM {
            return Err(format!("`{text}` leaves batches nothing: at most 95%"));
        }
        Ok(share)
    });
    let max_file = compiler.read(&["batches", "max_file"], settings.max_file.as_ref(), scalar::size);
    let max_bytes = compiler.read(&["batches", "max_size"], settings.max_size.as_ref(), scalar::size);
    let policy = BatchPolicy {
        concurrency: compiler
            .at_least_one(&["batches", "concurrency"], settings.concurrency)
            .unwrap_or(default.concurrency),
        headroom: headroom.unwrap_or(default.headroom),
        max_file: max_file.unwrap_or(default.max_file),
        max_bytes: max_bytes.unwrap_or(default.max_bytes),
        keep: time(&["batches", "keep"], settings.keep.as_ref(), 3_600, compiler).unwrap_or(default.keep),
        upstream: settings.upstream.unwrap_or(default.upstream),
        upstream_least: compiler
            .at_least_one(&["batches", "upstream_least"], settings.upstream_least)
            .unwrap_or(default.upstream_least),
    };
    if policy.upstream == BatchUpstream::Never && settings.upstream_least.is_some() {
        compiler.error(
            &["batches", "upstream_least"],
            "this cannot take effect: no lines go to providers' batch APIs (`batches.upstream: never`)",
            Some("take it out, or set `upstream: auto`".to_owned()),
        );
    }
    bucket::unused(file, compiler);
    if settings.max_file.is_some() && policy.max_file > policy.max_bytes {
        compiler.error(
            &["batches", "max_file"],
            format!(
                "this cannot take effect: all files together may have {} bytes (`batches.max_size`)",
                policy.max_bytes
            ),
            Some("raise `batches.max_size`, or lower this".to_owned()),
        );
    }
    if file.store.as_deref() == Some("memory") && max_bytes.is_some_and(|size| size > LARGEST_IN_MEMORY) {
        compiler.error(
            &["batches", "max_size"],
            "this cannot take effect: the store is `memory`, which keeps at most 256 MB of files and batches",
            Some("set `store: sqlite:PATH`, or take it out".to_owned()),
        );
    }
    policy
}
