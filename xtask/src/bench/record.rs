//! The file a run leaves behind, and what is known of the machine it ran on.
//!
//! Owns the JSON form: the rows as shown, every turn behind them, and the machine, so that two files can be compared
//! and a doubtful figure looked into.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use serde::Serialize;

use super::figures::{self, Found};
use super::measure::{Effort, Measured};
use super::memory::Memory;
use super::subject::Subject;
use super::table::Row;
use crate::workspace;

/// What is known of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Machine {
    processor: String,
    cores: usize,
    kernel: String,
    /// Load over the last minute when the run began: of others, since the run itself had not begun.
    load: String,
}

impl Machine {
    /// One line for a person.
    pub(super) fn summary(&self) -> String {
        format!("{} cores of {}, kernel {}, load {}", self.cores, self.processor, self.kernel, self.load)
    }
}

/// Looks at the machine, on which this process could use `cores` before it was pinned.
pub(super) fn machine(cores: usize) -> Machine {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let information = read("/proc/cpuinfo");
    let processor = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    Machine {
        processor: processor.map_or("unknown", |(_, name)| name).trim().to_owned(),
        cores,
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        load: read("/proc/loadavg").split_whitespace().next().unwrap_or("unknown").to_owned(),
    }
}

#[derive(Serialize)]
struct Record<'run> {
    unix_seconds: u64,
    commit: String,
    machine: Machine,
    rounds: usize,
    seconds_per_turn: f64,
    noise: Option<f64>,
    rows: &'run [Row],
    ratios: BTreeMap<&'run str, f64>,
    scenarios: &'run [Measured],
    memory_bytes: &'run BTreeMap<Subject, Memory>,
    start_milliseconds: &'run BTreeMap<Subject, f64>,
}

/// Writes the run to a file of its own and to `latest.json`; returns the first.
///
/// # Errors
/// When the files cannot be written.
pub(super) fn write(
    folder: &Path,
    machine: Machine,
    effort: Effort,
    rows: &[Row],
    found: &Found,
) -> anyhow::Result<PathBuf> {
    let unix_seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let record = Record {
        unix_seconds,
        commit: commit(),
        machine,
        rounds: effort.rounds,
        seconds_per_turn: effort.duration.as_secs_f64(),
        noise: figures::noise(found),
        rows,
        ratios: rows.iter().filter_map(|row| Some((row.figure.as_str(), row.ratio()?))).collect(),
        scenarios: &found.scenarios,
        memory_bytes: &found.memory,
        start_milliseconds: &found.start,
    };
    let text = serde_json::to_string_pretty(&record).context("failed to write the figures as JSON")?;
    let file = folder.join(format!("{unix_seconds}.json"));
    for path in [&file, &folder.join("latest.json")] {
        std::fs::write(path, &text).with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(file)
}

fn commit() -> String {
    let mut command = Command::new("git");
    command.args(["describe", "--always", "--dirty", "--abbrev=12"]).current_dir(workspace::root());
    match command.output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_written_under_its_own_name_and_as_the_latest() {
        let folder = tempfile::tempdir().unwrap();
        let effort = Effort { rounds: 1, duration: std::time::Duration::from_secs(1) };
        let row = Row {
            figure: "CPU per request".to_owned(),
            unit: "us",
            values: vec![(Subject::Floor, 20.0), (Subject::Gateway, 30.0)],
            goal: None,
        };
        let file = write(folder.path(), machine(2), effort, &[row], &Found::default()).unwrap();
        let read = |path: &Path| -> serde_json::Value {
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
        };
        let written = read(&file);
        assert_eq!(written["ratios"]["CPU per request"], 1.5);
        assert_eq!(written["rows"][0]["values"][0], serde_json::json!(["floor", 20.0]));
        assert_eq!(read(&folder.path().join("latest.json")), written);
    }
}
