//! The step that drives the official clients against the gateway and the simulators, and `cargo xtask conformance`.
//!
//! Owns the command line of the script. It must not know what the script tests; the script says `N passed, N failed` and an
//! exit code, and compares the page of documentation with what it saw.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use clap::Args;

use super::count::{self, Count};
use super::environment::{self, Environments};
use super::{Outcome, rust};
use crate::workspace;

const SCRIPT: &str = "tests/sdk/run.py";
const PAGE: &str = "docs/reference/conformance.md";

/// Options of `cargo xtask conformance`.
#[derive(Debug, Default, Args)]
pub(crate) struct ConformanceOptions {
    /// Write docs/reference/conformance.md instead of comparing it with what was seen.
    #[arg(long, conflicts_with = "only")]
    update: bool,
    /// Run only cases whose `client case provider` holds one of these texts; the page is left alone.
    #[arg(long, num_args = 1.., value_name = "TEXT")]
    only: Vec<String>,
    /// Say why cases do not apply.
    #[arg(long)]
    verbose: bool,
}

/// Runs the official clients as a chore of its own.
///
/// # Errors
/// When the environments cannot be made or the programs do not build.
pub(crate) fn chore(options: &ConformanceOptions) -> anyhow::Result<ExitCode> {
    let target = workspace::target_directory()?;
    let environments = environment::made(&workspace::root(), &target)?;
    let (_, success) = rust::passed_on(command(&environments, &built(&target)?, options))?;
    Ok(if success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the script as a step, or nothing when the repository has none.
pub(super) fn run() -> anyhow::Result<Option<Outcome>> {
    let root = workspace::root();
    if !root.join(SCRIPT).exists() {
        return Ok(None);
    }
    let target = workspace::target_directory()?;
    let environments = match environment::made(&root, &target) {
        Ok(environments) => environments,
        Err(error) => return Ok(Some(Outcome::unavailable(&format!("{error:#}")))),
    };
    let command = command(&environments, &built(&target)?, &ConformanceOptions::default());
    let (output, success) = rust::passed_on(command)?;
    let Some(mut count) = count::script(&output) else {
        return Ok(Some(Outcome::failed("the script did not say how many passed")));
    };
    if !success && count.failed == 0 {
        count += Count { failed: 1, ..Count::default() };
    }
    Ok(Some(Outcome { count, note: None }))
}

fn command(environments: &Environments, binaries: &[PathBuf; 2], options: &ConformanceOptions) -> Command {
    let mut command = Command::new(&environments.python);
    command.current_dir(workspace::root()).arg("-u").arg(SCRIPT).args(binaries);
    command.args(["--page", PAGE]);
    let node = [&environments.node, &environments.node_script].map(|path| quoted(path)).join(" ");
    command.args(["--half", "node", &node]);
    if options.update {
        command.arg("--update");
    }
    if options.verbose {
        command.arg("--verbose");
    }
    if !options.only.is_empty() {
        command.arg("--only").args(&options.only);
    }
    command
}

/// A path as one word of a command line.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

/// Builds the gateway and the simulators and returns the paths of their binaries.
fn built(target: &Path) -> anyhow::Result<[PathBuf; 2]> {
    let mut command = workspace::cargo();
    command.args([
        "build",
        "--locked",
        "--quiet",
        "--package",
        "trunkline",
        "--package",
        "trunkline-sim",
        "--bins",
    ]);
    let status = command.status().context("failed to start cargo build")?;
    anyhow::ensure!(status.success(), "failed to build the gateway and the simulators");
    let binaries = ["trunkline", "trunkline-sim"].map(|name| target.join("debug").join(name));
    for binary in &binaries {
        anyhow::ensure!(binary.exists(), "no binary {} after the build", binary.display());
    }
    Ok(binaries)
}
