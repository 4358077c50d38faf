//! Fuzzing: every decoder fed what coverage leads to.
//!
//! Owns building the fuzz workspace with libFuzzer's coverage counters and running its targets. It must not know what the targets
//! are: they are the folders of the corpus. The counters are an LLVM pass that the ordinary compiler has too, so this needs neither
//! nightly nor a tool to install. Address sanitizing is left out: the code under test is safe Rust.

use crate::workspace;
use anyhow::{Context as _, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;

/// What libFuzzer needs compiled in (<https://llvm.org/docs/LibFuzzer.html#fuzz-target>), for everything but build scripts.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing";
/// Longest input, in bytes: more than any seed, small enough to be fast.
const LONGEST_INPUT: u32 = 16_384;
/// An input that takes longer is a finding, in seconds.
const SLOWEST_INPUT: u32 = 10;
/// A process that grows beyond this is a finding, in megabytes.
const MOST_MEMORY: u32 = 2_048;

/// What is fuzzed, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Targets; all of them when none is named.
    targets: Vec<String>,
    /// For how long each, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// How many at the same time [default: one a core].
    #[arg(long)]
    jobs: Option<usize>,
}

/// Builds and runs the targets. A finding is kept in `fuzz/artifacts` and makes the run a failure.
///
/// # Errors
/// When it cannot be built or a target is unknown.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let folder = workspace::root().join("fuzz");
    let targets = chosen(&folder, &options.targets)?;
    let program = build(&folder)?;
    let jobs =
        options.jobs.or_else(|| std::thread::available_parallelism().ok().map(Into::into)).unwrap_or(1);
    println!("{} targets, {} seconds each, {jobs} at a time", targets.len(), options.seconds);
    let waiting = Mutex::new(targets.iter().rev().collect::<Vec<_>>());
    let next = || waiting.lock().ok()?.pop();
    let findings: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1))
            .map(|_| {
                scope.spawn(|| {
                    let mut findings = 0;
                    while let Some(target) = next() {
                        findings += usize::from(!fuzz(&program, &folder, target, options.seconds));
                    }
                    findings
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or(1)).sum()
    });
    println!("{} targets fuzzed, {findings} with findings", targets.len());
    Ok(if findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(folder: &Path, named: &[String]) -> anyhow::Result<Vec<String>> {
    let corpus = folder.join("corpus");
    let entries =
        std::fs::read_dir(&corpus).with_context(|| format!("failed to read {}", corpus.display()))?;
    let mut all: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    all.sort();
    ensure!(!all.is_empty(), "failed to find a target: {} is empty", corpus.display());
    if let Some(unknown) = named.iter().find(|name| !all.contains(name)) {
        bail!("failed to find a target `{unknown}`; there are {}", all.join(", "));
    }
    Ok(if named.is_empty() { all } else { named.to_vec() })
}

fn build(folder: &Path) -> anyhow::Result<PathBuf> {
    let target = folder.join("target");
    let host = host()?;
    let mut command = workspace::cargo();
    command.current_dir(folder).env("RUSTFLAGS", COVERAGE).env("CARGO_TARGET_DIR", &target);
    command.args(["build", "--release", "--locked", "--bin", "decoders", "--target", &host]);
    ensure!(command.status().context("failed to start cargo")?.success(), "the targets do not compile");
    Ok(target.join(host).join("release/decoders"))
}

/// The platform compiled for: named, flags leave build scripts alone.
fn host() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("failed to start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("failed to learn the platform: `rustc -vV` does not say `host:`")
}

/// Runs one target; whether nothing was found.
fn fuzz(program: &Path, folder: &Path, target: &str, seconds: u32) -> bool {
    let found = folder.join("target/found").join(target);
    let artifacts = folder.join("artifacts").join(target);
    for needed in [&found, &artifacts] {
        if let Err(error) = std::fs::create_dir_all(needed) {
            println!("{target}: failed to make {}: {error}", needed.display());
            return false;
        }
    }
    let output = Command::new(program)
        .env("FUZZ_TARGET", target)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={LONGEST_INPUT}"))
        .arg(format!("-timeout={SLOWEST_INPUT}"))
        .arg(format!("-rss_limit_mb={MOST_MEMORY}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args([&found, &folder.join("corpus").join(target)])
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            println!("{target}: failed to start: {error}");
            return false;
        }
    };
    let told = String::from_utf8_lossy(&output.stderr);
    let runs = told.lines().rev().find(|line| line.starts_with("Done "));
    let coverage = told.lines().rev().find_map(|line| line.split_once("cov: ")?.1.split(' ').next());
    match runs.filter(|_| output.status.success()) {
        Some(runs) => println!("{target}: {}, {} edges covered", runs.trim(), coverage.unwrap_or("?")),
        None => println!("{target}: FOUND something; kept in {}\n{}", artifacts.display(), last(&told, 30)),
    }
    runs.is_some() && output.status.success()
}

fn last(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
