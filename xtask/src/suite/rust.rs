//! The steps that run Rust tests, by nextest where it is installed and by `cargo test` where it is not.
//!
//! Owns the passing on of their output while it is being counted. It must not know what the tests are.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Command, Stdio};

use anyhow::Context as _;

use super::Outcome;
use super::count::{self, Count};
use crate::workspace;

/// Every test of the workspace but the examples in documentation.
pub(super) fn tests() -> anyhow::Result<Outcome> {
    let mut command = workspace::cargo();
    if has_nextest() {
        command.args(["nextest", "run", "--workspace", "--all-targets", "--locked", "--no-fail-fast"]);
        if workspace::is_continuous_integration() {
            command.args(["--profile", "ci"]);
        }
        return counted(command, count::nextest);
    }
    println!("cargo-nextest is not installed: running `cargo test`, which cannot stop a test that hangs");
    command.args(["test", "--workspace", "--lib", "--bins", "--tests", "--locked", "--no-fail-fast"]);
    counted(command, count::libtest)
}

/// What only builds with features that are off by default have: a few tests, by their own binaries, so that no other is run twice.
pub(super) fn features() -> anyhow::Result<Outcome> {
    let mut command = workspace::cargo();
    let runner: &[&str] = if has_nextest() { &["nextest", "run", "--no-fail-fast"] } else { &["test"] };
    command.args(runner);
    command.args(["-p", "trunkline-embed", "-p", "trunkline-config", "--features", "encoder", "--locked"]);
    if has_nextest() {
        command.args(["-E", "binary(sentence) or package(trunkline-config) and test(encoders)"]);
        // What the expression leaves out is run by `tests`, and skipped by nobody.
        return counted(command, |output| Some(Count { skipped: 0, ..count::nextest(output)? }));
    }
    command.args(["--test", "sentence"]);
    counted(command, count::libtest)
}

/// The examples in documentation, which nextest does not run.
pub(super) fn doctests() -> anyhow::Result<Outcome> {
    let mut command = workspace::cargo();
    command.args(["test", "--workspace", "--doc", "--locked", "--no-fail-fast", "--quiet"]);
    counted(command, count::libtest)
}

fn has_nextest() -> bool {
    let mut command = workspace::cargo();
    command.args(["nextest", "--version"]).output().is_ok_and(|output| output.status.success())
}

/// Runs a test runner, shows what it prints and counts by `read`. A runner that failed without saying how many tests
/// did (it did not compile, it was killed) counts as one failure.
fn counted(command: Command, read: impl Fn(&str) -> Option<Count>) -> anyhow::Result<Outcome> {
    let (output, success) = passed_on(command)?;
    let mut count = read(&output).unwrap_or_default();
    let note = (!success && count.failed == 0).then(|| {
        count.failed = 1;
        "the runner failed before it could count".to_owned()
    });
    Ok(Outcome { count, note })
}

/// Runs a command to its end, showing both its streams as they come. Returns what it printed and whether it succeeded.
pub(super) fn passed_on(mut command: Command) -> anyhow::Result<(String, bool)> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start {shown}"))?;
    let stdout = child.stdout.take().expect("the stream was asked for above");
    let stderr = child.stderr.take().expect("the stream was asked for above");
    let other = std::thread::spawn(move || copied(stderr, |line| eprint!("{line}")));
    let mut output = copied(stdout, |line| print!("{line}"));
    output.push_str(&other.join().unwrap_or_default());
    let status = child.wait().with_context(|| format!("failed to wait for {shown}"))?;
    Ok((output, status.success()))
}

fn copied(stream: impl Read, show: impl Fn(&str)) -> String {
    let mut text = String::new();
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let shown = String::from_utf8_lossy(&line);
        show(&shown);
        text.push_str(&shown);
        line.clear();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_streams_are_read_and_counted() {
        let outcome =
            counted(shell("echo noise; echo 3 passed, 1 failed >&2; exit 1"), count::script).unwrap();
        assert_eq!(outcome.count, Count { passed: 3, failed: 1, skipped: 0 });
        assert_eq!(outcome.note, None);
    }

    #[test]
    fn a_runner_that_fails_without_counting_is_one_failure() {
        let outcome = counted(shell("echo could not compile; exit 101"), count::script).unwrap();
        assert_eq!(outcome.count.failed, 1);
        let outcome = counted(shell("echo 3 passed, 0 failed; exit 1"), count::script).unwrap();
        assert_eq!(outcome.count, Count { passed: 3, failed: 1, skipped: 0 });
    }
}
