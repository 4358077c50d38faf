//! What the record promises: searchable, bounded, exactly once through locks, crashes and restarts.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use proptest::prelude::*;
use std::path::Path;
use trunkline_model::comparison::{Comparison, KeptAnswers, ServedAnswer};
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
        user: (number % 4 == 1).then(|| "a \"user\"".into()),
        session: (number % 4 == 2).then(|| "s".into()),
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
        error_code: (number % 4 == 3).then(|| "rate_limited".into()),
        error_message: None,
        finish: Some("stop".into()),
        usage: Usage { input: 10, output: 5, ..Usage::default() },
        usage_source: UsageSource::Reported,
        cost: Cost::exact(NanoDollars(1_234)),
        attempts: Vec::new(),
        judged: Vec::new(),
        asked: None,
        warnings: Vec::new(),
        first_token_us: Some(1),
        total_us: 2,
        overhead_us: 1,
        request_bytes: 3,
        response_bytes: 4,
        config_version: 7,
        decision: Some("{}".into()),
        shadow: number.is_multiple_of(5).then(|| Box::new(comparison(number))),
    }
}

fn comparison(number: u64) -> Comparison {
    Comparison {
        of: RequestId::new(900 + number, u128::from(number)),
        served: ServedAnswer {
            deployment: Some("acme/large".into()),
            cost: Cost::exact(NanoDollars(2_345)),
            first_token_us: Some(3),
            total_us: None,
            finish: None,
            in_form: Some(true),
        },
        similarity: Some(0.5),
        agreed: Some(false),
        in_form: None,
        answers: Some(Box::new(KeptAnswers { served: "\u{1}\"".to_owned(), candidate: "é".to_owned() })),
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
        Query { shadow: true, ..Query::default() },
        Query {
            outcome: Some(Outcome::Served),
            status: Some(200),
            provider: Some("acme".into()),
            ..Query::default()
        },
        Query { id: Some(record(3).id), ..Query::default() },
        Query { route: Some("other".into()), ..Query::default() },
        Query { user: Some("a \"user\"".into()), ..Query::default() },
        Query { session: Some("s".into()), ..Query::default() },
        Query { tags: vec![("team".into(), "search".into())], limit: 4, ..Query::default() },
        Query { tags: vec![("search".into(), "team".into())], ..Query::default() },
        Query { error_code: Some("rate_limited".into()), ..Query::default() },
    ];
    let found = queries.iter().map(|query| sqlite.search(query).unwrap().records.len());
    assert_eq!(found.skip(9).collect::<Vec<_>>(), [5, 5, 4, 0, 5]);
    let copies = sqlite.search(&Query { shadow: true, ..Query::default() }).unwrap();
    assert_eq!(
        copies.records.iter().map(|record| record.id).collect::<Vec<_>>(),
        [15, 10, 5, 0].map(|number| record(number).id)
    );
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
fn a_database_of_the_first_form_is_carried_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    // As the first version wrote it.
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(
        "PRAGMA journal_mode = WAL;
         CREATE TABLE requests (
            seq INTEGER PRIMARY KEY, id BLOB NOT NULL,
            key TEXT, route TEXT, provider TEXT, deployment TEXT, requested_model TEXT NOT NULL,
            outcome TEXT NOT NULL, status INTEGER NOT NULL, attempts INTEGER NOT NULL,
            prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
            cost_nano_dollars INTEGER, cost_confidence TEXT NOT NULL,
            record TEXT NOT NULL, decision TEXT
         );
         CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
         INSERT INTO meta VALUES ('schema', '1');",
    )
    .unwrap();
    for number in 0..2_500u64 {
        let mut kept = record(number);
        let decision = kept.decision.take();
        old.execute(
            "INSERT INTO requests VALUES (?1, ?2, 'odd', 'auto', 'acme', 'acme/small', 'auto', 'served', 200, 0, 10, 5,
             1234, 'exact', ?3, ?4)",
            rusqlite::params![
                ((1_000 + number.cast_signed()) << 22) | number.cast_signed(),
                &kept.id.bits().to_be_bytes()[..],
                serde_json::to_string(&kept).unwrap(),
                decision.as_deref()
            ],
        )
        .unwrap();
    }
    // Searched by itself, before any gateway has opened it.
    let query = Query { limit: 1_000, ..Query::default() };
    let page = trunkline_store::search_file(&path, &query).unwrap();
    assert_eq!(page.records.len(), 1_000);
    assert_eq!(page.records[0], record(2_499));
    drop(old);
    let recorder = open(&path);
    recorder.record(record(2_500));
    // While it is carried over, after each round, everything is there once.
    for _ in 0..4 {
        recorder.flush();
        let mut query = query.clone();
        let mut found = Vec::new();
        loop {
            let page = recorder.search(&query).unwrap();
            found.extend(page.records.iter().map(|record| record.id.unix_milliseconds() - 1_000));
            match page.next {
                Some(next) => query.before = Some(next),
                None => break,
            }
        }
        assert_eq!(found, (0..=2_500).rev().collect::<Vec<_>>());
    }
    let tables = rusqlite::Connection::open(&path).unwrap();
    let left: i64 = tables
        .query_row("SELECT count(*) FROM sqlite_master WHERE name = 'requests'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0, "the old table is gone");
}

#[test]
fn a_database_of_a_later_form_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    drop(open(&path));
    let later = rusqlite::Connection::open(&path).unwrap();
    later.execute("UPDATE meta SET value = '9' WHERE name = 'schema'", []).unwrap();
    let told =
        |error: trunkline_store::StoreError| error.to_string().replace(path.to_str().unwrap(), "log.db");
    let error = Recorder::open(Settings::new(StoreKind::Sqlite(path.clone()))).unwrap_err();
    insta::assert_snapshot!(told(error), @"use the request log log.db: it has form 9, written by a newer version; this one knows 2");
    let error = trunkline_store::search_file(&path, &Query::default()).unwrap_err();
    insta::assert_snapshot!(told(error), @"use the request log log.db: it has form 9, written by a newer version; this one knows 2");
}

/// Nothing can be written, as on a full disk: not the database, which is locked, not the journal, which is `/dev/full`.
#[cfg(target_os = "linux")]
#[test]
fn what_neither_database_nor_journal_takes_waits_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let journal = folder.path().join("log.db.journal");
    std::os::unix::fs::symlink("/dev/full", &journal).unwrap();
    let recorder =
        Recorder::open(Settings { queue: 100, ..Settings::new(StoreKind::Sqlite(path.clone())) }).unwrap();
    let blocker = rusqlite::Connection::open(&path).unwrap();
    blocker.execute_batch("BEGIN EXCLUSIVE").unwrap();
    for number in 0..100 {
        recorder.record(record(number));
        if number % 30 == 0 {
            recorder.flush();
        }
    }
    recorder.flush();
    let stats = recorder.stats();
    assert_eq!((stats.queued, stats.lost, stats.written), (100, 0, 0));
    assert!(stats.database_errors > 0);
    // The memory for it is bounded, and what goes beyond is counted.
    (100..107).for_each(|number| recorder.record(record(number)));
    recorder.flush();
    assert_eq!((recorder.stats().queued, recorder.stats().lost), (100, 7));
    blocker.execute_batch("COMMIT").unwrap();
    while recorder.stats().queued > 0 {
        recorder.flush();
    }
    recorder.flush();
    assert_eq!(ids(&recorder), (0..100).rev().collect::<Vec<_>>());
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
    fn pages_of_any_size_show_every_match_once_and_newest_first(
        batches in prop::collection::vec(prop::collection::vec(0u64..40_000, 1..60), 1..8),
        limit in 1usize..50,
        since in prop::option::of(0u64..40_000),
        until in prop::option::of(0u64..40_000),
        odd in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = open(&folder.path().join("log.db"));
        let memory = Recorder::open(Settings::new(StoreKind::Memory)).unwrap();
        let mut seen = std::collections::HashSet::new();
        // Long requests are recorded after short ones that came later.
        for batch in batches {
            for number in batch.into_iter().filter(|number| seen.insert(*number)) {
                sqlite.record(record(number));
                memory.record(record(number));
            }
            sqlite.flush();
        }
        memory.flush();
        let mut query = Query { limit, key: odd.then(|| "odd".to_owned()), since, until, ..Query::default() };
        loop {
            let page = sqlite.search(&query).unwrap();
            prop_assert_eq!(&page, &memory.search(&query).unwrap());
            match page.next {
                Some(next) => query.before = Some(next),
                None => break,
            }
        }
    }

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
