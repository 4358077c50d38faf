//! What was already asked, kept in a file.
//!
//! Owns one JSON line per outcome, appended and flushed one by one: what was paid for survives a crash. A line cut by one is
//! skipped, and what failed is asked again.

use super::Question;
use anyhow::Context;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use trunkline_lab::evaluate::{Asked, Outcome};

pub(super) struct State {
    file: Option<(PathBuf, File)>,
    known: HashMap<Asked, Outcome>,
}

impl State {
    pub(super) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self { file: None, known: HashMap::new() }) };
        let failed = || format!("use the state file {}", path.display());
        let text =
            if path.exists() { std::fs::read_to_string(path).with_context(failed)? } else { String::new() };
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Outcome>(line).ok());
        let known: HashMap<Asked, Outcome> = lines.map(|outcome| (outcome.asked.clone(), outcome)).collect();
        anyhow::ensure!(
            !known.is_empty() || text.trim().is_empty(),
            "use the state file {}: it holds something else",
            path.display()
        );
        let mut file = OpenOptions::new().create(true).append(true).open(path).with_context(failed)?;
        if !text.is_empty() && !text.ends_with('\n') {
            // A line cut by a crash is closed, so that it does not swallow the next one.
            file.write_all(b"\n").with_context(failed)?;
        }
        Ok(Self { file: Some((path.to_owned(), file)), known })
    }

    /// Takes the known outcomes of questions out; returns them and the questions that are left.
    pub(super) fn known(&mut self, questions: Vec<Question>) -> (Vec<Outcome>, Vec<Question>) {
        let (mut outcomes, mut open) = (Vec::new(), Vec::new());
        for question in questions {
            match self.known.remove(&question.asked) {
                Some(outcome) if outcome.error.is_none() => outcomes.push(outcome),
                _ => open.push(question),
            }
        }
        (outcomes, open)
    }

    pub(super) fn keep(&mut self, outcome: &Outcome) -> anyhow::Result<()> {
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        let mut line = serde_json::to_vec(outcome)?;
        line.push(b'\n');
        file.write_all(&line).with_context(|| format!("write the state file {}", path.display()))
    }
}
