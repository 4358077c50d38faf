//! Where the repository is and what is in it, for every chore.
//!
//! Owns the root folder, the list of files and the calls to `cargo metadata`. It must not know what a chore does with
//! them. The file list comes from git, so that build products and editors' leftovers are never checked.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

/// The repository's root folder.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask lies directly under the repository's root").to_path_buf()
}

/// The `cargo` that started this program, so that a pinned toolchain stays the same one.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// True where nobody watches: what is skipped on a desk is a failure there.
pub(crate) fn is_continuous_integration() -> bool {
    std::env::var("CI").is_ok_and(|value| !value.is_empty() && value != "false" && value != "0")
}

/// Folder that holds build products: cargo's target directory.
///
/// # Errors
/// When `cargo metadata` fails or answers something unreadable.
pub(crate) fn target_directory() -> anyhow::Result<PathBuf> {
    #[derive(serde::Deserialize)]
    struct Answer {
        target_directory: PathBuf,
    }
    let answer: Answer =
        serde_json::from_slice(&metadata(&["--no-deps"])?).context("failed to read cargo metadata")?;
    Ok(answer.target_directory)
}

/// What `cargo metadata` prints, with `extra` arguments.
///
/// # Errors
/// When cargo cannot be started or refuses, for example because `Cargo.lock` is out of date.
pub(crate) fn metadata(extra: &[&str]) -> anyhow::Result<Vec<u8>> {
    let output = cargo()
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(extra)
        .output()
        .context("failed to start cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

/// Paths of every file that is committed or could be: tracked, or new and not ignored. Relative to the root, with `/`.
///
/// # Errors
/// When git is missing or this is not a git checkout.
pub(crate) fn files() -> anyhow::Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"])
        .current_dir(root())
        .output()
        .context("failed to start git, which names the files to check")?;
    if !output.status.success() {
        bail!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let listing = String::from_utf8(output.stdout).context("failed to read a file name as UTF-8")?;
    Ok(listing.split_terminator('\0').map(str::to_owned).collect())
}
