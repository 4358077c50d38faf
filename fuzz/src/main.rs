//! The entry of libFuzzer.
//!
//! Owns finding the target, named by the environment variable `FUZZ_TARGET`. One program for all targets: building one for each
//! took longer than running them.

#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    trunkline_fuzz::find(&name).unwrap_or_else(|| panic!("FUZZ_TARGET={name} names no target"))
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
