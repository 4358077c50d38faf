//! An uploaded file taken apart into the lines of a batch.
//!
//! Owns reading the file in chunks, cutting it into lines and writing them page by page; what is in memory is a chunk, a page and
//! the line that stands across their border. Must not judge a line: that is `check`. A batch with any mistake is not begun.

use super::check::{self, Mistake};
use super::details::Details;
use crate::clock;
use serde_json::json;
use trunkline_store::{BatchStoreError, Batches, NewLine, StoredBatch};

/// Most lines of a file.
const MOST_LINES: u64 = 50_000;
/// Most mistakes that are told.
const MOST_MISTAKES: usize = 100;
/// Lines written at a time, and bytes at which fewer are.
const PAGE: usize = 500;
const PAGE_BYTES: usize = 4 << 20;

/// Checks a batch's file and begins the batch, or ends it with what is wrong. May wait for a disk, and long.
///
/// # Errors
/// When the database fails.
pub(super) fn validate(
    store: &Batches,
    batch: &StoredBatch,
    longest_line: usize,
) -> Result<(), BatchStoreError> {
    store.clear_lines(&batch.id)?;
    let mut details = Details::read(&batch.details);
    let mut reading = Reading {
        store,
        batch,
        endpoint: details.endpoint.clone(),
        longest_line,
        page: Vec::new(),
        page_bytes: 0,
        number: 0,
        lines: 0,
        mistakes: Vec::new(),
        models: Models::None,
    };
    match reading.read() {
        Ok(()) => {}
        Err(BatchStoreError::Full { wanted, kept, most }) => {
            let full = BatchStoreError::Full { wanted, kept, most };
            reading.mistakes.push(Mistake::of_file("store_full", format!("failed to {full}")));
        }
        Err(error) => return Err(error),
    }
    let now = clock::unix_seconds();
    if reading.mistakes.is_empty() {
        details.model = reading.models.only();
        return store.start(&batch.id, now, &details.write());
    }
    reading.mistakes.sort_by_key(|mistake| mistake.line);
    let errors = json!({"object": "list", "data": reading.mistakes});
    store.fail(&batch.id, now, &errors.to_string())
}

/// The models of the lines so far.
enum Models {
    None,
    One(String),
    Several,
}

impl Models {
    fn add(&mut self, model: &str) {
        match self {
            Self::None => *self = Self::One(model.to_owned()),
            Self::One(known) if known != model => *self = Self::Several,
            _ => {}
        }
    }

    fn only(self) -> Option<String> {
        match self {
            Self::One(model) => Some(model),
            _ => None,
        }
    }
}

struct Reading<'a> {
    store: &'a Batches,
    batch: &'a StoredBatch,
    endpoint: String,
    longest_line: usize,
    page: Vec<NewLine>,
    page_bytes: usize,
    /// The number of the line that is being read.
    number: u64,
    /// Lines that are not blank.
    lines: u64,
    mistakes: Vec<Mistake>,
    models: Models,
}

impl Reading<'_> {
    fn read(&mut self) -> Result<(), BatchStoreError> {
        let id = self.batch.input_file.clone().unwrap_or_default();
        let Some(file) = self.store.file(&self.batch.owner, &id)? else {
            self.mistakes.push(Mistake::of_file("file_not_found", "the input file was deleted"));
            return Ok(());
        };
        let mut rest: Vec<u8> = Vec::new();
        let mut next = Some(0);
        while let Some(from) = next {
            let piece = self.store.piece(&file, from)?;
            next = piece.next;
            let mut data = &piece.data[..];
            while let Some(end) = data.iter().position(|byte| *byte == b'\n') {
                let (head, tail) = (&data[..end], &data[end + 1..]);
                data = tail;
                if rest.is_empty() {
                    self.line(head)?;
                } else {
                    rest.extend_from_slice(head);
                    let whole = std::mem::take(&mut rest);
                    self.line(&whole)?;
                }
                if self.is_enough() {
                    return Ok(());
                }
            }
            rest.extend_from_slice(data);
            if rest.len() > self.longest_line {
                // Its end may be far away: nothing behind it is looked at.
                self.number += 1;
                self.too_long();
                return self.write();
            }
        }
        self.line(&rest)?;
        self.write()?;
        if self.lines == 0 && self.mistakes.is_empty() {
            self.mistakes.push(Mistake::of_file("empty_file", "the input file has no lines"));
        }
        Ok(())
    }

    fn is_enough(&self) -> bool {
        self.mistakes.len() >= MOST_MISTAKES || self.lines > MOST_LINES
    }

    fn line(&mut self, text: &[u8]) -> Result<(), BatchStoreError> {
        self.number += 1;
        let text = text.trim_ascii();
        // A byte order mark is no part of the first line.
        let text = text.strip_prefix(b"\xef\xbb\xbf".as_slice()).unwrap_or(text);
        if text.is_empty() {
            return Ok(());
        }
        self.lines += 1;
        if self.lines > MOST_LINES {
            let message = format!("the input file has more than {MOST_LINES} lines, the most there may be");
            self.mistakes.push(Mistake::of_file("too_many_lines", message));
            return Ok(());
        }
        if text.len() > self.longest_line {
            self.too_long();
            return Ok(());
        }
        match check::check(text, self.number, &self.endpoint, &self.batch.owner) {
            Ok(checked) => {
                self.models.add(&checked.model);
                self.page_bytes += checked.line.request.len();
                self.page.push(checked.line);
            }
            Err(mistake) => self.mistakes.push(mistake),
        }
        if self.page.len() >= PAGE || self.page_bytes >= PAGE_BYTES {
            self.write()?;
        }
        Ok(())
    }

    fn too_long(&mut self) {
        let message = format!(
            "line {} is longer than the limit of {} bytes for a request (`server.body_limit`)",
            self.number, self.longest_line
        );
        let mistake = Mistake { line: Some(self.number), ..Mistake::of_file("line_too_long", message) };
        self.mistakes.push(mistake);
    }

    fn write(&mut self) -> Result<(), BatchStoreError> {
        self.page_bytes = 0;
        let page = std::mem::take(&mut self.page);
        if page.is_empty() {
            return Ok(());
        }
        let twice = self.store.add_lines(&self.batch.id, &page)?;
        self.mistakes.extend(twice.into_iter().map(Mistake::twice));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batches::details::OPENAI;
    use trunkline_store::{BatchCounts, BatchStatus, BatchTimes, BatchUsage, StoredFile};

    fn line(name: usize) -> String {
        format!(
            r#"{{"custom_id": "{name}", "method": "POST", "url": "/v1/chat/completions", "body": {{"model": "m{}"}}}}"#,
            name % 2
        )
    }

    /// What becomes of a file that was uploaded in chunks of a size.
    fn validated(content: &[u8], chunk: usize) -> (StoredBatch, Batches) {
        let store = Batches::in_memory();
        let file = StoredFile {
            id: "file-1".to_owned(),
            owner: String::new(),
            created: 1,
            expires: None,
            name: "a".to_owned(),
            purpose: "batch".to_owned(),
            bytes: 0,
            results: None,
        };
        store.begin_file(&file).unwrap();
        for (number, piece) in content.chunks(chunk).enumerate() {
            store.append("file-1", number as u64, piece).unwrap();
        }
        store.finish_file(&file).unwrap();
        let details = Details { endpoint: "/v1/chat/completions".to_owned(), ..Details::default() };
        let batch = StoredBatch {
            id: "batch_1".to_owned(),
            owner: String::new(),
            kind: OPENAI.to_owned(),
            status: BatchStatus::Validating,
            times: BatchTimes::default(),
            counts: BatchCounts::default(),
            usage: BatchUsage::default(),
            input_file: Some("file-1".to_owned()),
            output_file: None,
            error_file: None,
            details: details.write(),
            errors: None,
        };
        store.create(&batch).unwrap();
        validate(&store, &batch, 400).unwrap();
        (store.batch("", "batch_1").unwrap().unwrap(), store)
    }

    fn claimed(store: &Batches) -> Vec<trunkline_store::ClaimedLine> {
        let none = std::collections::HashSet::new();
        store.claim(1, &["batch_1".to_owned()], &none, &none, 9).unwrap()
    }

    #[test]
    fn lines_are_the_same_however_the_file_is_cut() {
        let content = format!("\u{feff}{}\r\n\n{}\n{}", line(1), line(2), line(3));
        for chunk in [1, 7, 100, 10_000] {
            let (batch, store) = validated(content.as_bytes(), chunk);
            assert_eq!(
                (batch.status, batch.counts.total),
                (BatchStatus::InProgress, 3),
                "{:?}",
                batch.errors
            );
            let lines = claimed(&store);
            let found: Vec<_> = lines.iter().map(|line| (line.number, line.custom_id.as_str())).collect();
            assert_eq!(found, [(1, "1"), (3, "2"), (4, "3")]);
            assert_eq!(Details::read(&batch.details).model, None);
        }
        let (batch, _) = validated(line(1).as_bytes(), 50);
        assert_eq!(Details::read(&batch.details).model.as_deref(), Some("m1"));
    }

    #[test]
    fn a_file_with_mistakes_is_not_begun() {
        let long =
            format!("{}{}", line(4), " ".repeat(10)).replace("\"m0\"", &format!("\"{}\"", "m".repeat(400)));
        let content = format!("{}\nnonsense\n{}\n{long}\n{}\n", line(1), line(1), line(5));
        let (batch, store) = validated(content.as_bytes(), 90);
        assert_eq!((batch.status, batch.counts.total), (BatchStatus::Failed, 0));
        assert!(claimed(&store).is_empty());
        let told = |batch: &StoredBatch| {
            let errors: serde_json::Value = serde_json::from_str(batch.errors.as_deref().unwrap()).unwrap();
            let data = errors["data"].as_array().unwrap().iter();
            data.map(|error| format!("{} {}: {}", error["line"], error["code"], error["message"]))
                .collect::<Vec<_>>()
                .join("\n")
        };
        insta::assert_snapshot!(told(&batch));
        insta::assert_snapshot!(told(&validated(b" \n\n", 2).0), @r#"null "empty_file": "the input file has no lines""#);
        let many: String = (0..=50_000).map(|name| line(name) + "\n").collect();
        insta::assert_snapshot!(told(&validated(many.as_bytes(), 1 << 20).0), @r#"null "too_many_lines": "the input file has more than 50000 lines, the most there may be""#);
        let nonsense = "x\n".repeat(500);
        let (batch, _) = validated(nonsense.as_bytes(), 100);
        assert_eq!(told(&batch).lines().count(), MOST_MISTAKES);
    }
}
