//! The steps that look at the code without running it: format, tidy, lints, licences.
//!
//! Owns their command lines, so that a desk and continuous integration check the same thing.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context as _;

use super::Outcome;
use crate::{tidy, workspace};

/// Release of cargo-deny that continuous integration installs.
const CARGO_DENY: &str = "0.20.2";

/// `cargo fmt --check` over the workspace.
pub(super) fn format() -> anyhow::Result<Outcome> {
    let mut command = workspace::cargo();
    command.args(["fmt", "--all", "--check"]);
    verdict(command, "run `cargo fmt --all`")
}

/// The invariants of the repository, in this process.
pub(super) fn tidy() -> anyhow::Result<Outcome> {
    let clean = tidy::run()? == ExitCode::SUCCESS;
    Ok(if clean { Outcome::passed() } else { Outcome::failed("see the findings above") })
}

/// Clippy on every target of every crate, warnings refused.
pub(super) fn lints() -> anyhow::Result<Outcome> {
    let mut command = workspace::cargo();
    command.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--quiet",
        "--",
        "--deny",
        "warnings",
    ]);
    verdict(command, "see the lints above")
}

/// Licences, banned packages and sources. Advisories are left out: they need a database from the network, and a new
/// one would fail a build in which nothing has changed.
pub(super) fn licences() -> anyhow::Result<Outcome> {
    let program = match installed_cargo_deny()? {
        Some(program) => program,
        None if workspace::is_continuous_integration() => install_cargo_deny()?,
        None => {
            let reason = format!(
                "cargo-deny is not installed; `cargo install cargo-deny --locked --version {CARGO_DENY}`"
            );
            return Ok(Outcome::unavailable(&reason));
        }
    };
    let mut command = Command::new(program);
    command.current_dir(workspace::root());
    command.args([
        "--log-level",
        "error",
        "--workspace",
        "check",
        "--hide-inclusion-graph",
        "licenses",
        "bans",
        "sources",
    ]);
    verdict(command, "see deny.toml for what is allowed and why")
}

fn verdict(mut command: Command, remedy: &str) -> anyhow::Result<Outcome> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("failed to start {shown}"))?;
    Ok(if status.success() { Outcome::passed() } else { Outcome::failed(remedy) })
}

fn tools() -> anyhow::Result<PathBuf> {
    Ok(workspace::target_directory()?.join("tools"))
}

fn installed_cargo_deny() -> anyhow::Result<Option<PathBuf>> {
    let candidates = [PathBuf::from("cargo-deny"), tools()?.join("bin/cargo-deny")];
    Ok(candidates.into_iter().find(|program| {
        Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
    }))
}

fn install_cargo_deny() -> anyhow::Result<PathBuf> {
    let root = tools()?;
    let mut command = workspace::cargo();
    command
        .args(["install", "cargo-deny", "--locked", "--quiet", "--version", CARGO_DENY, "--root"])
        .arg(&root);
    let status = command.status().context("failed to start cargo install")?;
    anyhow::ensure!(status.success(), "failed to install cargo-deny {CARGO_DENY}");
    Ok(root.join("bin/cargo-deny"))
}
