//! `cargo xtask dist`: the binary that ships, laid out by what it really does.
//!
//! Owns two builds with a run between them: a build that counts how often its code runs, the benchmark's own traffic through it,
//! and the build that puts what runs often together. A request runs through more code than the processor's first cache holds, so
//! where that code lies counts for more than anything else that can be done to it. Plain `cargo build --release` stays what it is.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail, ensure};
use clap::Args;

use crate::workspace;

/// The profile of what ships.
const PROFILE: &str = "dist";

/// Options of `cargo xtask dist`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Cargo profile to build.
    #[arg(long, default_value = PROFILE)]
    profile: String,
    /// Build without the counts of a training run.
    #[arg(long)]
    plain: bool,
}

/// Builds what ships and says where it is.
///
/// # Errors
/// When a build, the training run or the merging of its counts fails.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let binary = built(options)?;
    println!("{}", binary.display());
    Ok(ExitCode::SUCCESS)
}

/// Builds what ships and gives its path.
///
/// # Errors
/// Those of [`run`].
pub(crate) fn make() -> anyhow::Result<PathBuf> {
    built(&Options { profile: PROFILE.to_owned(), plain: false })
}

/// Whether it can be made here.
///
/// # Errors
/// What is missing.
pub(crate) fn can_be_made() -> anyhow::Result<()> {
    merging_tool().map(drop)
}

fn built(options: &Options) -> anyhow::Result<PathBuf> {
    let folder = workspace::target_directory()?.join("shipped");
    let flags = if options.plain {
        String::new()
    } else {
        let counts = train(options, &folder)?;
        format!("-Cprofile-use={}", path(&counts)?)
    };
    build(options, &folder, &flags)
}

/// Builds the binary that counts, runs the benchmark's traffic through it, and merges what it counted.
fn train(options: &Options, folder: &Path) -> anyhow::Result<PathBuf> {
    let tool = merging_tool()?;
    let raw = folder.join("counted");
    let counts = folder.join("counts.profdata");
    println!("building what counts");
    let counting = build(options, &folder.join("counting"), &format!("-Cprofile-generate={}", path(&raw)?))?;
    if is_newer(&counts, &counting) {
        println!("it was counted before");
        return Ok(counts);
    }
    if raw.exists() {
        std::fs::remove_dir_all(&raw).with_context(|| format!("failed to empty {}", raw.display()))?;
    }
    println!("running the benchmark's traffic through it");
    exercise(&counting, &["--rows", "requests", "--rows", "streams", "--rows", "latency", "--seconds", "2"])?;
    // What was never run is laid out as if it never would be: every pair of protocols is, if only for a moment.
    exercise(&counting, &["--rows", "pairs", "--seconds", "0.1"])?;
    let mut merge = Command::new(&tool);
    merge.arg("merge").arg("-o").arg(&counts).arg(&raw);
    let status = merge.status().with_context(|| format!("failed to start {tool}"))?;
    ensure!(status.success(), "{tool} could not merge what was counted in {}", raw.display());
    Ok(counts)
}

/// Runs these rows of the benchmark against a binary.
fn exercise(binary: &Path, rows: &[&str]) -> anyhow::Result<()> {
    let mut bench = workspace::cargo();
    bench.args(["run", "--quiet", "--locked", "--package", "xtask", "--", "bench", "--quick"]);
    bench.args(["--only", "gateway"]).args(rows).arg("--gateway").arg(binary);
    ensure!(bench.status().context("failed to start the benchmark")?.success(), "the benchmark failed");
    Ok(())
}

/// Whether a file is there and newer than another.
fn is_newer(file: &Path, than: &Path) -> bool {
    let changed = |file: &Path| std::fs::metadata(file).and_then(|data| data.modified()).ok();
    matches!((changed(file), changed(than)), (Some(file), Some(than)) if file > than)
}

/// The build that counts and the one that uses the counts are optimised alike: counts of a build that is linked crate by crate do
/// not fit a program that is optimised as a whole, which is then slower than without any.
fn build(options: &Options, folder: &Path, flags: &str) -> anyhow::Result<PathBuf> {
    let mut build = workspace::cargo();
    build.args(["build", "--locked", "--package", "trunkline", "--profile", &options.profile]);
    // With a target named, build scripts and macros are left alone.
    let host = host()?;
    build.args(["--target", &host]).arg("--target-dir").arg(folder).env("RUSTFLAGS", flags);
    ensure!(build.status().context("failed to start cargo build")?.success(), "failed to build trunkline");
    let profile = if options.profile == "dev" { "debug" } else { &options.profile };
    Ok(folder.join(host).join(profile).join("trunkline"))
}

/// A path as a compiler's option takes it.
fn path(path: &Path) -> anyhow::Result<&str> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    ensure!(!text.contains(char::is_whitespace), "{text} has spaces, which RUSTFLAGS cannot hold");
    Ok(text)
}

/// The compiler's host, and the release of the code generator that the tool must match.
fn host() -> anyhow::Result<String> {
    Ok(compiler()?.0)
}

fn compiler() -> anyhow::Result<(String, String)> {
    let output = Command::new("rustc").arg("-vV").output().context("failed to start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    match (line("host: "), line("LLVM version: ")) {
        (Some(host), Some(release)) => Ok((host, release)),
        _ => bail!("rustc -vV says neither its host nor its LLVM version"),
    }
}

/// The `llvm-profdata` that reads what this compiler's programs write: rustup's, or a system's of the same release.
fn merging_tool() -> anyhow::Result<String> {
    let (host, release) = compiler()?;
    let major = release.split('.').next().unwrap_or_default();
    let sysroot =
        Command::new("rustc").args(["--print", "sysroot"]).output().context("failed to start rustc")?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    let rustups = sysroot.join("lib/rustlib").join(host).join("bin/llvm-profdata");
    let candidates =
        [rustups.display().to_string(), format!("llvm-profdata-{major}"), "llvm-profdata".to_owned()];
    for candidate in candidates {
        let Ok(output) = Command::new(&candidate).arg("--version").output() else { continue };
        if String::from_utf8_lossy(&output.stdout).contains(&format!("LLVM version {major}.")) {
            return Ok(candidate);
        }
    }
    bail!(
        "llvm-profdata of LLVM {major} is not here: `rustup component add llvm-tools`, the package llvm-{major}, or --plain"
    )
}
