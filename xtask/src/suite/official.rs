//! The step that drives the official Python clients against the gateway and the simulators.
//!
//! Owns their environment: a virtual environment under the target directory with pinned releases. It must not know
//! what the script tests; the script says `N passed, N failed` and an exit code. The environment is made once and
//! made again when the pinned releases change.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

use super::count::{self, Count};
use super::{Outcome, rust};
use crate::workspace;

const SCRIPT: &str = "tests/sdk/run.py";
const REQUIREMENTS: &str = "tests/sdk/requirements.txt";

/// Runs the script, or nothing when the repository has none.
pub(super) fn run() -> anyhow::Result<Option<Outcome>> {
    let root = workspace::root();
    if !root.join(SCRIPT).exists() {
        return Ok(None);
    }
    let target = workspace::target_directory()?;
    let python = match environment(&target.join("sdk"), &root.join(REQUIREMENTS)) {
        Ok(python) => python,
        Err(error) => return Ok(Some(Outcome::unavailable(&format!("{error:#}")))),
    };
    let binaries = built(&target)?;
    let mut command = Command::new(python);
    command.current_dir(&root).arg("-u").arg(SCRIPT).args(binaries);
    let (output, success) = rust::passed_on(command)?;
    let Some(mut count) = count::script(&output) else {
        return Ok(Some(Outcome::failed("the script did not say how many passed")));
    };
    if !success && count.failed == 0 {
        count += Count { failed: 1, ..Count::default() };
    }
    Ok(Some(Outcome { count, note: None }))
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

/// Makes the virtual environment unless it is there with the same requirements; returns its Python.
fn environment(folder: &Path, requirements: &Path) -> anyhow::Result<PathBuf> {
    let python = folder.join("bin/python");
    let stamp = folder.join("requirements.txt");
    let wanted = std::fs::read_to_string(requirements).context("failed to read the pinned releases")?;
    if python.exists() && std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder).context("failed to remove the old virtual environment")?;
    }
    quietly(
        Command::new("python3").args(["-m", "venv"]).arg(folder),
        "make a virtual environment with python3",
    )?;
    let install =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--requirement"];
    quietly(Command::new(&python).args(install).arg(requirements), "install the official clients with pip")?;
    std::fs::write(&stamp, wanted).context("failed to note the installed releases")?;
    Ok(python)
}

fn quietly(command: &mut Command, purpose: &str) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("failed to {purpose}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("no reason given");
    anyhow::ensure!(output.status.success(), "failed to {purpose}: {last}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_tool_is_reported_by_its_last_words() {
        let error = quietly(
            Command::new("sh").args(["-c", "echo first >&2; echo no network >&2; exit 1"]),
            "install",
        );
        assert_eq!(error.unwrap_err().to_string(), "failed to install: no network");
    }

    #[test]
    fn an_environment_with_the_same_releases_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let requirements = folder.path().join("wanted.txt");
        let environment_folder = folder.path().join("sdk");
        std::fs::create_dir_all(environment_folder.join("bin")).unwrap();
        for (path, text) in [
            (requirements.clone(), "a==1\n"),
            (environment_folder.join("requirements.txt"), "a==1\n"),
            (environment_folder.join("bin/python"), ""),
        ] {
            std::fs::write(path, text).unwrap();
        }
        assert_eq!(
            environment(&environment_folder, &requirements).unwrap(),
            environment_folder.join("bin/python")
        );
    }
}
