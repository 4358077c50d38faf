//! Old and surplus records go, newer ones stay, and nothing else is touched.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::id::RequestId;
use trunkline_model::record::RequestRecord;
use trunkline_store::{Query, Recorder, Settings, StoreKind};

const HOUR: u64 = 3_600_000;

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A record of some size that does not pack well.
fn record(milliseconds: u64, number: u64) -> RequestRecord {
    let id = RequestId::new(milliseconds, u128::from(number));
    let mut record = RequestRecord::new(id, Dialect::OpenAi, Operation::Chat, 1);
    let mut state = number.wrapping_add(1);
    let noise: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:016x}", state ^ (state >> 29))
    })
    .take(60)
    .collect();
    record.decision = Some(format!("{{\"noise\":\"{noise}\"}}").into());
    record
}

fn settings(path: &Path) -> Settings {
    // Looked after in every round of the writer: `flush` waits for two of them.
    Settings { retention_interval: Duration::ZERO, ..Settings::new(StoreKind::Sqlite(path.to_owned())) }
}

fn all(recorder: &Recorder) -> Vec<RequestId> {
    let mut query = Query { limit: 1_000, ..Query::default() };
    let mut ids = Vec::new();
    loop {
        let page = recorder.search(&query).unwrap();
        ids.extend(page.records.iter().map(|record| record.id));
        match page.next {
            Some(next) => query.before = Some(next),
            None => return ids,
        }
    }
}

#[test]
fn what_is_older_than_the_limit_goes_and_what_is_newer_stays() {
    let folder = tempfile::tempdir().unwrap();
    let keep = Duration::from_millis(24 * HOUR);
    let recorder = Recorder::open(Settings { keep, ..settings(&folder.path().join("log.db")) }).unwrap();
    let now = now();
    // One every hour over two days, those at the limit itself left out: they depend on how long the test takes.
    let ages: Vec<u64> = (0..48).filter(|hours| *hours != 24).collect();
    for age in &ages {
        recorder.record(record(now - age * HOUR, *age));
    }
    recorder.flush();
    recorder.flush();
    let kept: Vec<RequestId> =
        ages.iter().filter(|age| **age < 24).map(|age| record(now - age * HOUR, *age).id).collect();
    assert_eq!(all(&recorder), kept);
    assert_eq!(recorder.stats().deleted, (ages.len() - kept.len()) as u64);
}

#[test]
fn a_database_that_outgrows_its_limit_loses_its_oldest_records_and_gives_room_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let limit = 2_000_000;
    let recorder = Recorder::open(Settings { max_bytes: limit, ..settings(&path) }).unwrap();
    let now = now() - HOUR;
    let total = 12_000;
    for number in 0..total {
        recorder.record(record(now + number, number));
        if number % 500 == 499 {
            recorder.flush();
        }
    }
    // Each round deletes a slice and gives some pages back, until there is nothing left to do.
    let mut before = None;
    while before != Some(recorder.stats().deleted) {
        before = Some(recorder.stats().deleted);
        recorder.flush();
        recorder.flush();
    }
    let kept = all(&recorder);
    assert!(kept.len() > 500, "{} records are far fewer than fit", kept.len());
    assert_eq!(kept.len() as u64 + recorder.stats().deleted, total);
    let newest: Vec<RequestId> =
        (0..kept.len() as u64).map(|back| record(now + total - 1 - back, total - 1 - back).id).collect();
    assert_eq!(kept, newest, "the newest are kept");
    drop(recorder);
    let bytes = std::fs::metadata(&path).unwrap().len();
    // What is in use is within the limit; a sixteenth, at least a megabyte, is kept free for the next records.
    assert!(bytes <= limit + 1_200_000, "the file has {bytes} bytes");
}

#[test]
fn nothing_is_deleted_within_the_limits() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::open(settings(&folder.path().join("log.db"))).unwrap();
    let now = now();
    (0..300).for_each(|number| recorder.record(record(now - number, number)));
    recorder.flush();
    recorder.flush();
    assert_eq!(all(&recorder).len(), 300);
    assert_eq!(recorder.stats().deleted, 0);
}
