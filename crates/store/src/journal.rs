//! The local journal: where records go when the database cannot take them.
//!
//! Owns append-only files of JSON lines beside the database. Must not interpret records. A line is complete only with its
//! newline, so a crash in the middle of a write loses at most that line. A file is set aside before it is replayed, so that
//! nobody who appends waits for a replay, and removed only after its last record is committed; the database is told that
//! records may repeat, which makes the replay exactly-once.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use trunkline_model::record::RequestRecord;

/// Records handed over at once.
const BATCH: usize = 512;

/// The journal of one database.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    aside: PathBuf,
    file: Option<File>,
    bytes: u64,
    bytes_aside: u64,
    limit: u64,
}

impl Journal {
    /// The journal at a path, at most `limit` bytes; nothing is created before the first append.
    pub(crate) fn new(path: PathBuf, limit: u64) -> Self {
        let mut aside = path.clone().into_os_string();
        aside.push(".replay");
        let aside = PathBuf::from(aside);
        let (bytes, bytes_aside) = (length(&path), length(&aside));
        Self { path, aside, file: None, bytes, bytes_aside, limit }
    }

    /// Appends records in one write: all of them or, with an error, none.
    pub(crate) fn append(&mut self, records: &[RequestRecord]) -> io::Result<()> {
        let mut text = Vec::with_capacity(records.len() * 1_024);
        for record in records {
            serde_json::to_writer(&mut text, record)?;
            text.push(b'\n');
        }
        if self.bytes().saturating_add(text.len() as u64) > self.limit {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the journal is at its size limit"));
        }
        if self.file.is_none() {
            let torn = ends_torn(&self.path)?;
            let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            if torn {
                // A line cut by a crash is closed, so that it does not swallow the first new one.
                file.write_all(b"\n")?;
            }
            self.bytes = length(&self.path);
            self.file = Some(file);
        }
        let file = self.file.as_mut().ok_or_else(|| io::Error::other("the journal is closed"))?;
        if let Err(error) = file.write_all(&text) {
            // Part of it may be there, as on a full disk: it is taken back, and if not even that works, closed off later.
            if file.set_len(self.bytes).is_err() {
                self.file = None;
            }
            self.bytes = length(&self.path);
            return Err(error);
        }
        self.bytes += text.len() as u64;
        Ok(())
    }

    /// Bytes waiting.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes + self.bytes_aside
    }

    /// Sets what has been appended aside for a replay and returns where it is; `None` when there is nothing to replay.
    pub(crate) fn set_aside(&mut self) -> io::Result<Option<PathBuf>> {
        // What an interrupted replay left goes first.
        if self.bytes_aside == 0 {
            if self.bytes == 0 {
                return Ok(None);
            }
            self.file = None;
            std::fs::rename(&self.path, &self.aside)?;
            self.bytes_aside = std::mem::take(&mut self.bytes);
        }
        Ok(Some(self.aside.clone()))
    }

    /// Removes what was set aside: the database has it.
    pub(crate) fn replayed(&mut self) -> io::Result<()> {
        std::fs::remove_file(&self.aside)?;
        self.bytes_aside = 0;
        Ok(())
    }
}

/// Hands all records of a file to `take` in batches. Unreadable lines are counted.
pub(crate) fn read<E>(
    path: &Path,
    mut take: impl FnMut(&mut [RequestRecord]) -> Result<(), E>,
) -> Result<Replayed, ReplayError<E>> {
    let mut replayed = Replayed::default();
    let file = File::open(path).map_err(ReplayError::Read)?;
    let mut batch = Vec::new();
    for line in BufReader::new(file).split(b'\n') {
        let line = line.map_err(ReplayError::Read)?;
        if line.is_empty() {
            continue;
        }
        match serde_json::from_slice::<RequestRecord>(&line) {
            Ok(record) => batch.push(record),
            Err(_) => replayed.unreadable += 1,
        }
        if batch.len() >= BATCH {
            take(&mut batch).map_err(ReplayError::Take)?;
            replayed.records += batch.len();
            batch.clear();
        }
    }
    take(&mut batch).map_err(ReplayError::Take)?;
    replayed.records += batch.len();
    Ok(replayed)
}

/// What a replay brought back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replayed {
    /// Records handed over.
    pub(crate) records: usize,
    /// Lines cut by a crash.
    pub(crate) unreadable: usize,
}

/// Why a replay stopped.
#[derive(Debug)]
pub(crate) enum ReplayError<E> {
    /// The file could not be read.
    Read(io::Error),
    /// The database did not take a batch.
    Take(E),
}

fn length(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

fn ends_torn(path: &Path) -> io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    let Ok(mut file) = File::open(path) else { return Ok(false) };
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0u8];
    file.read_exact(&mut last)?;
    Ok(last[0] != b'\n')
}
