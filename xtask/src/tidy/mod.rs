//! `cargo xtask tidy`: the invariants of the repository as checks.
//!
//! Owns the list of checks and the reading of files; each check is a pure function from files or from the package
//! graph to findings, in its own module, with tests that show it failing; one asks cargo. It must not repeat what the compiler,
//! clippy, rustfmt or cargo-deny already say. What it prints names the place, the problem and what to do, because
//! whoever meets it has usually not read the rule.

mod changelog;
mod finding;
mod graph;
mod lexer;
mod links;
mod lists;
mod marks;
mod modules;
mod purity;
mod vendors;

use std::process::ExitCode;

use anyhow::Context as _;

use self::finding::{Finding, Severity, SourceFile};
use crate::workspace;

/// Runs every check over the repository and prints what they found.
///
/// # Errors
/// When files or package metadata cannot be read; findings are not errors but a failing exit code.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let (findings, checked) = check_repository()?;
    for finding in &findings {
        println!("{finding}");
    }
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let warnings = findings.len() - errors;
    println!("tidy: {checked} files checked, {errors} errors, {warnings} warnings");
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check_repository() -> anyhow::Result<(Vec<Finding>, usize)> {
    let paths = workspace::files()?;
    let files = read_texts(&paths)?;
    let packages =
        graph::Packages::parse(&workspace::metadata(&[])?).context("failed to read cargo metadata")?;
    let mut findings = Vec::new();
    findings.extend(graph::check_directions(&packages));
    findings.extend(graph::check_purity(&packages));
    findings.extend(purity::check(&files));
    findings.extend(modules::check_docs(&files));
    findings.extend(modules::check_sizes(&files));
    findings.extend(vendors::check(&files));
    findings.extend(lists::check_presets(&files));
    findings.extend(lists::check_adapters(&files));
    findings.extend(changelog::check(&files));
    findings.extend(marks::check(&files));
    findings.extend(links::check(&files, &paths));
    findings.extend(check_fuzz_lock());
    findings.sort();
    Ok((findings, files.len()))
}

/// The fuzz workspace has its own `Cargo.lock`, which no build of this one touches: only cargo can say whether it still holds.
fn check_fuzz_lock() -> Option<Finding> {
    let problem = workspace::metadata(&["--manifest-path", "fuzz/Cargo.toml"]).err()?;
    let remedy = "run `cargo update --workspace --manifest-path fuzz/Cargo.toml`";
    Some(Finding::error("fuzz/Cargo.lock", 0, format!("{problem:#}"), remedy))
}

/// Reads every file that is text; a file deleted but not yet committed as such is passed over.
fn read_texts(paths: &[String]) -> anyhow::Result<Vec<SourceFile>> {
    let root = workspace::root();
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let bytes = match std::fs::read(root.join(path)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("failed to read {path}")),
        };
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(SourceFile { path: path.clone(), text });
        }
    }
    Ok(files)
}
