//! What the record promises: searchable, bounded, exactly once through locks, crashes and restarts.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use proptest::prelude::*;
use std::path::Path;
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::id::RequestId;
use trunkline_model::money::{Cost, NanoDollars};
use trunkline_model::record::{Outcome, RequestRecord};
use trunkline_model::usage::{Usage, UsageSource};
use trunkline_store::{Query, Recorder, Settings, StoreKind};

fn record(number: u64) -> RequestRecord {
    RequestRecord {
        id: RequestId::new(1_000 + number, u128::from(number)),
        key: Some(if number.is_multiple_of(2) { "even".into() } else { "odd".into() }),
        user: None,
        session: None,
        tags: vec![("team".into(), "search".into())],
        client: Dialect::OpenAi,
        operation: Operation::Chat,
        delivery: Delivery::Plain,
        requested_model: "auto".into(),
        route: Some("auto".into()),
        tier: Some("cheap".into()),
        deployment: Some("acme/small".into()),
        provider: Some("acme".into()),
        model: Some("small".into()),
        decided_by: Some("use".into()),
        outcome: Outcome::Served,
        status: 200,
        error_code: None,
        error_message: None,
        finish: Some("stop".into()),
        usage: Usage { input: 10, output: 5, ..Usage::default() },
        usage_source: UsageSource::Reported,
        cost: Cost::exact(NanoDollars(1_234)),
        attempts: Vec::new(),
        warnings: Vec::new(),
        first_token_us: Some(1),
        total_us: 2,
        overhead_us: 1,
        request_bytes: 3,
        response_bytes: 4,
        config_version: 7,
        asked: None,
        decision: Some("{}".into()),
    }
}

fn open(path: &Path) -> Recorder {
    Recorder::open(Settings::new(StoreKind::Sqlite(path.to_owned()))).unwrap()
}

fn ids(recorder: &Recorder) -> Vec<u64> {
    let page = recorder.search(&Query { limit: 1_000, ..Query::default() }).unwrap();
    page.records.iter().map(|record| record.id.unix_milliseconds() - 1_000).collect()
}

#[test]
fn what_was_recorded_is_found_again_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = open(&folder.path().join("log.db"));
    (0..10).for_each(|number| recorder.record(record(number)));
    recorder.flush();
    let page = recorder.search(&Query { key: Some("odd".into()), limit: 2, ..Query::default() }).unwrap();
    assert_eq!(page.records, [record(9), record(7)]);
    let older = recorder
        .search(&Query { key: Some("odd".into()), limit: 10, before: page.next, ..Query::default() })
        .unwrap();
    assert_eq!(older.records, [record(5), record(3), record(1)]);
    assert_eq!(older.next, None);
}

#[test]
fn both_backends_answer_alike() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = open(&folder.path().join("log.db"));
    let memory = Recorder::open(Settings::new(StoreKind::Memory)).unwrap();
    for number in 0..20 {
        sqlite.record(record(number));
        memory.record(record(number));
    }
    sqlite.flush();
    memory.flush();
    let queries = [
        Query::default(),
        Query { since: Some(1_005), until: Some(1_010), ..Query::default() },
        Query { model: Some("small".into()), limit: 3, ..Query::default() },
        Query { model: Some("large".into()), ..Query::default() },
        Query { failed_over: true, ..Query::default() },
        Query {
            outcome: Some(Outcome::Served),
            status: Some(200),
            provider: Some("acme".into()),
            ..Query::default()
        },
        Query { id: Some(record(3).id), ..Query::default() },
        Query { route: Some("other".into()), ..Query::default() },
    ];
    for query in queries {
        assert_eq!(sqlite.search(&query).unwrap(), memory.search(&query).unwrap(), "{query:?}");
    }
}

#[test]
fn a_locked_database_delays_but_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let recorder = open(&path);
    recorder.record(record(0));
    recorder.flush();
    let blocker = rusqlite::Connection::open(&path).unwrap();
    blocker.execute_batch("BEGIN EXCLUSIVE").unwrap();
    (1..50).for_each(|number| recorder.record(record(number)));
    recorder.flush();
    assert!(recorder.stats().database_errors > 0);
    assert!(recorder.stats().journal_bytes > 0);
    blocker.execute_batch("COMMIT").unwrap();
    while recorder.stats().journal_bytes > 0 {
        recorder.flush();
    }
    assert_eq!(ids(&recorder), (0..50).rev().collect::<Vec<_>>());
    assert_eq!(recorder.stats().lost, 0);
}

#[test]
fn a_journal_left_by_a_crash_is_replayed_exactly_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let journal = folder.path().join("log.db.journal");
    {
        let recorder = open(&path);
        recorder.record(record(1));
        recorder.flush();
    }
    // Record 1 is in both places, as after a crash between commit and removal; the last line is torn.
    let mut text = String::new();
    for number in 1..4 {
        text.push_str(&serde_json::to_string(&record(number)).unwrap());
        text.push('\n');
    }
    text.push_str("{\"id\":\"0000");
    std::fs::write(&journal, text).unwrap();
    for _ in 0..2 {
        let recorder = open(&path);
        recorder.flush();
        assert_eq!(ids(&recorder), [3, 2, 1]);
        assert!(!journal.exists());
    }
}

#[test]
fn a_full_queue_spills_and_everything_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let recorder = Recorder::open(Settings { queue: 4, ..Settings::new(StoreKind::Sqlite(path)) }).unwrap();
    (0..500).for_each(|number| recorder.record(record(number)));
    while recorder.stats().journal_bytes > 0 || recorder.stats().queued > 0 {
        recorder.flush();
    }
    assert_eq!(ids(&recorder).len(), 500);
}

#[test]
fn a_wrong_path_is_an_error_at_start_that_names_it() {
    let error =
        Recorder::open(Settings::new(StoreKind::Sqlite("/nonexistent/folder/log.db".into()))).unwrap_err();
    insta::assert_snapshot!(error, @"use the request log /nonexistent/folder/log.db: unable to open database file: /nonexistent/folder/log.db");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_interleaving_of_restarts_keeps_each_record_once(batches in prop::collection::vec(1u64..40, 1..6)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        let mut total = 0;
        for batch in batches {
            let recorder = open(&path);
            (total..total + batch).for_each(|number| recorder.record(record(number)));
            total += batch;
        }
        let recorder = open(&path);
        prop_assert_eq!(ids(&recorder), (0..total).rev().collect::<Vec<_>>());
    }
}
