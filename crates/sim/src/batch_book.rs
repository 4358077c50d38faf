//! Files and batches that a simulator keeps.
//!
//! Owns a bounded memory of both. A batch is answered when it is made and told step by step: how far it seems to be depends on how
//! often it was looked at, so that a client's polling has an end without anybody waiting. Must not know any dialect's form of them.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;

use crate::script::{BatchEnd, BatchScript};

/// How many files are remembered, and how many batches.
const CAPACITY: usize = 256;

/// A file.
#[derive(Clone, Debug)]
pub(crate) struct KeptFile {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) purpose: String,
    pub(crate) content: Bytes,
}

/// A batch.
#[derive(Clone, Debug)]
pub(crate) struct KeptBatch {
    pub(crate) id: String,
    /// The object at its beginning.
    pub(crate) object: Value,
    /// How often it was looked at.
    pub(crate) looks: u32,
    pub(crate) is_cancelled: bool,
    /// One line for each request that succeeded, and each that did not.
    pub(crate) succeeded: Vec<Value>,
    pub(crate) failed: Vec<Value>,
}

/// How far a batch seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody has looked at it yet.
    Waiting,
    Running,
    /// It was told to stop.
    Stopping,
    Stopped,
    Over(BatchEnd),
}

impl KeptBatch {
    pub(crate) fn phase(&self, script: BatchScript) -> Phase {
        match self.looks {
            0 if self.is_cancelled => Phase::Stopping,
            _ if self.is_cancelled => Phase::Stopped,
            0 if script.looks > 0 => Phase::Waiting,
            looks if looks < script.looks => Phase::Running,
            _ => Phase::Over(script.end),
        }
    }

    /// Tells it to stop.
    pub(crate) fn cancel(&mut self) {
        self.is_cancelled = true;
        self.looks = 0;
    }
}

/// The memory of one simulator.
#[derive(Debug, Default)]
pub(crate) struct BatchBook {
    files: Mutex<VecDeque<KeptFile>>,
    batches: Mutex<VecDeque<KeptBatch>>,
    /// Files of results that were made, whether or not they are still there.
    made: Mutex<VecDeque<String>>,
}

impl BatchBook {
    pub(crate) fn keep_file(&self, file: KeptFile) {
        let mut files = self.files.lock();
        while files.len() >= CAPACITY {
            files.pop_front();
        }
        files.push_back(file);
    }

    pub(crate) fn file(&self, id: &str) -> Option<KeptFile> {
        self.files.lock().iter().find(|file| file.id == id).cloned()
    }

    /// Whether a file of results is asked for the first time.
    pub(crate) fn is_first(&self, id: &str) -> bool {
        let mut made = self.made.lock();
        let is_first = !made.iter().any(|known| known == id);
        if is_first {
            while made.len() >= 2 * CAPACITY {
                made.pop_front();
            }
            made.push_back(id.to_owned());
        }
        is_first
    }

    /// All files, newest first.
    pub(crate) fn files(&self) -> Vec<KeptFile> {
        self.files.lock().iter().rev().cloned().collect()
    }

    /// Forgets a file; tells whether it was there.
    pub(crate) fn forget_file(&self, id: &str) -> bool {
        let mut files = self.files.lock();
        let before = files.len();
        files.retain(|file| file.id != id);
        files.len() < before
    }

    pub(crate) fn keep_batch(&self, batch: KeptBatch) {
        let mut batches = self.batches.lock();
        while batches.len() >= CAPACITY {
            batches.pop_front();
        }
        batches.push_back(batch);
    }

    /// Changes a batch and returns it as it is then.
    pub(crate) fn edit_batch(&self, id: &str, edit: impl FnOnce(&mut KeptBatch)) -> Option<KeptBatch> {
        let mut batches = self.batches.lock();
        let batch = batches.iter_mut().find(|batch| batch.id == id)?;
        edit(batch);
        Some(batch.clone())
    }

    /// All batches whose ids begin like this, newest first.
    pub(crate) fn batches(&self, prefix: &str) -> Vec<KeptBatch> {
        self.batches.lock().iter().rev().filter(|batch| batch.id.starts_with(prefix)).cloned().collect()
    }

    /// Forgets a batch; tells whether it was there.
    pub(crate) fn forget_batch(&self, id: &str) -> bool {
        let mut batches = self.batches.lock();
        let before = batches.len();
        batches.retain(|batch| batch.id != id);
        batches.len() < before
    }
}

/// The lines of a file that are not blank.
pub(crate) fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty())
}

/// A page of objects behind a cursor, and whether there are more.
pub(crate) fn page<T>(
    all: Vec<T>,
    id: impl Fn(&T) -> &str,
    after: Option<&str>,
    limit: usize,
) -> (Vec<T>, bool) {
    let start = after.and_then(|after| all.iter().position(|one| id(one) == after)).map_or(0, |at| at + 1);
    let has_more = all.len() > start + limit;
    (all.into_iter().skip(start).take(limit).collect(), has_more)
}
