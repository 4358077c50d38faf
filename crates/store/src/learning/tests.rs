//! Feedback, prompts and arms: kept when it is said so, found again, bounded.

use super::*;
use std::time::{SystemTime, UNIX_EPOCH};

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn feedback(id: RequestId, score: f64) -> Feedback {
    Feedback {
        id,
        given: 12_345,
        key: Some("app".into()),
        score: Some(score),
        label: Some("billing".into()),
        comment: Some("it's \"fine\"\n".to_owned()),
    }
}

fn settings(folder: &Path) -> LearningSettings {
    let kind = StoreKind::Sqlite(folder.join("log.db"));
    LearningSettings { kind, keep: Duration::from_secs(86_400), max_bytes: 100_000_000 }
}

#[test]
fn the_last_word_on_a_request_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (id, other) = (RequestId::new(now(), 1), RequestId::new(now(), 2));
    for learning in [Learning::in_memory(), Learning::open(&settings(folder.path())).unwrap()] {
        learning.give(feedback(id, 0.25)).unwrap();
        assert_eq!(learning.feedback(id).unwrap(), Some(feedback(id, 0.25)));
        assert_eq!(learning.feedback(other).unwrap(), None);
        learning.give(feedback(id, 0.75)).unwrap();
        assert_eq!(learning.feedback(id).unwrap(), Some(feedback(id, 0.75)));
    }
}

#[test]
fn what_was_kept_is_there_after_a_restart_and_for_readers_beside() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.db");
    assert!(LearningFile::beside(&log).unwrap().is_none());
    let at = now();
    let ids: Vec<RequestId> = (0..600).map(|number| RequestId::new(at + number, 7)).collect();
    let learning = Learning::open(&settings(folder.path())).unwrap();
    std::thread::scope(|scope| {
        for part in ids.chunks(100) {
            let learning = &learning;
            scope.spawn(move || part.iter().for_each(|id| learning.give(feedback(*id, 0.5)).unwrap()));
        }
    });
    let beside = LearningFile::beside(&log).unwrap().unwrap();
    assert_eq!(beside.feedback(ids[3]).unwrap(), Some(feedback(ids[3], 0.5)));
    drop(learning);
    let learning = Learning::open(&settings(folder.path())).unwrap();
    assert_eq!(learning.feedback(ids[599]).unwrap(), Some(feedback(ids[599], 0.5)));
    let mut seen = Vec::new();
    beside.all_feedback(at + 100, |feedback| seen.push(feedback.id)).unwrap();
    assert_eq!(seen, ids[100..]);
}

#[test]
fn what_is_too_old_or_too_much_goes() {
    let folder = tempfile::tempdir().unwrap();
    let connection = database::open(&folder.path().join("x")).unwrap();
    let at = 1_000_000;
    for number in 0..5_000 {
        database::put(&connection, &feedback(RequestId::new(at + number, 0), 1.0)).unwrap();
    }
    let oldest = |connection: &Connection| {
        let mut ids = Vec::new();
        database::all(connection, 0, |feedback| ids.push(feedback.id.unix_milliseconds())).unwrap();
        (ids.first().copied(), ids.len())
    };
    database::retain(&connection, at + 100, u64::MAX).unwrap();
    assert_eq!(oldest(&connection), (Some(at + 100), 4_900));
    let half = crate::sqlite::size(&connection).unwrap().used / 2;
    database::retain(&connection, 0, half).unwrap();
    assert!(crate::sqlite::size(&connection).unwrap().used <= half);
    let (first, left) = oldest(&connection);
    assert!(left > 0 && first.unwrap() > at + 1_000, "{first:?} {left}");
    let mut table = Table::default();
    for number in 0..=memory::MOST as u64 {
        table.put(feedback(RequestId::new(at + number, 0), 1.0));
    }
    assert!(table.find(RequestId::new(at, 0)).is_none());
    assert!(table.find(RequestId::new(at + 1, 0)).is_some());
}

#[test]
fn a_database_that_cannot_be_written_is_said_and_not_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let learning = Learning::open(&settings(folder.path())).unwrap();
    let id = RequestId::new(now(), 1);
    learning.give(feedback(id, 1.0)).unwrap();
    let holder = Connection::open(learning_file(&folder.path().join("log.db"))).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let refused = learning.give(feedback(id, 0.0)).unwrap_err();
    insta::assert_snapshot!(refused, @"keep the feedback: database is locked");
    holder.execute_batch("ROLLBACK").unwrap();
    assert_eq!(learning.feedback(id).unwrap(), Some(feedback(id, 1.0)));
    learning.give(feedback(id, 0.0)).unwrap();
    assert_eq!(learning.feedback(id).unwrap(), Some(feedback(id, 0.0)));
}

#[test]
fn prompts_are_written_without_anybody_waiting_and_go_with_their_requests() {
    let folder = tempfile::tempdir().unwrap();
    let at = now();
    let prompt = |number: u64| StoredPrompt { id: RequestId::new(at + number, 0), body: vec![7; 2_000] };
    let learning = Learning::open(&settings(folder.path())).unwrap();
    for number in 0..2_000 {
        learning.keep_prompt(prompt(number));
    }
    learning.flush();
    assert_eq!(learning.lost_prompts(), 0);
    let beside = LearningFile::beside(&folder.path().join("log.db")).unwrap().unwrap();
    assert_eq!(beside.prompt(prompt(3).id).unwrap(), Some(prompt(3).body));
    drop(learning);
    let connection = database::open(&learning_file(&folder.path().join("log.db"))).unwrap();
    database::put(&connection, &feedback(prompt(5).id, 1.0)).unwrap();
    database::retain(&connection, at + 4, 3_000_000).unwrap();
    let there = |number| beside.prompt(prompt(number).id).unwrap().is_some();
    assert_eq!((there(3), there(5), there(1_999)), (false, false, true));
    assert!(beside.feedback(prompt(5).id).unwrap().is_some(), "prompts go first");
}

#[test]
fn what_bandits_learned_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let arms = |state: &str| StoredArms {
        route: "main".to_owned(),
        step: "bandit-0".to_owned(),
        saved: now(),
        state: state.to_owned(),
    };
    let learning = Learning::open(&settings(folder.path())).unwrap();
    assert_eq!(learning.arms().unwrap(), []);
    assert!(learning.keep_arms(vec![arms("one")]));
    assert!(learning.keep_arms(vec![arms("two")]));
    drop(learning);
    let learning = Learning::open(&settings(folder.path())).unwrap();
    let states: Vec<String> = learning.arms().unwrap().into_iter().map(|arms| arms.state).collect();
    assert_eq!(states, ["two"]);
}

#[test]
fn accounts_say_after_a_restart_what_they_said_last_and_old_days_go() {
    let folder = tempfile::tempdir().unwrap();
    let account = |name: &str, day: u64, state: &str| StoredAccount {
        kind: "shadow".to_owned(),
        name: name.to_owned(),
        day,
        state: state.to_owned(),
    };
    let today = now() / 86_400_000;
    let learning = Learning::open(&settings(folder.path())).unwrap();
    assert_eq!(learning.accounts().unwrap(), []);
    assert!(
        learning.keep_accounts(vec![account("main", today - 1, "one"), account("old", today - 9, "old")])
    );
    assert!(learning.keep_accounts(vec![account("main", today, "two")]));
    drop(learning);
    let learning = Learning::open(&settings(folder.path())).unwrap();
    let kept = [account("main", today, "two"), account("old", today - 9, "old")];
    let told = learning.accounts().unwrap();
    assert!(told == kept || told == kept[..1], "the old one may be gone already: {told:?}");
    let beside = LearningFile::beside(&folder.path().join("log.db")).unwrap().unwrap();
    assert_eq!(beside.accounts().unwrap()[0], kept[0]);
    drop(learning);
    let connection = database::open(&learning_file(&folder.path().join("log.db"))).unwrap();
    database::retain(&connection, now() - 86_400_000, u64::MAX).unwrap();
    assert_eq!(database::accounts(&connection).unwrap(), kept[..1]);
    assert!(Learning::in_memory().keep_accounts(vec![account("main", today, "two")]));
}

#[test]
fn what_was_given_lately_is_found_whoever_brought_it() {
    let folder = tempfile::tempdir().unwrap();
    let own = Learning::open(&settings(folder.path())).unwrap();
    let other = Learning::open(&settings(folder.path())).unwrap();
    let at = now();
    for (number, given) in [(1, 500), (2, 700), (3, 600)] {
        other.give(Feedback { given, ..feedback(RequestId::new(at, number), 1.0) }).unwrap();
    }
    let given = |since, most| -> Vec<u64> {
        own.given_since(since, most).unwrap().into_iter().map(|feedback| feedback.given).collect()
    };
    assert_eq!(given(0, 10), [500, 600, 700]);
    assert_eq!(given(600, 10), [600, 700]);
    assert_eq!(given(0, 2), [500, 600]);
}

#[test]
fn vectors_are_kept_over_a_restart_and_the_unused_go_first() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let key = |number: u16| {
        let mut key = VectorKey::default();
        key[..2].copy_from_slice(&number.to_le_bytes());
        key
    };
    let stored = |number: u16| StoredVector { key: key(number), vector: vec![f32::from(number), -0.5, 0.25] };
    {
        let learning = Learning::open(&settings).unwrap();
        assert!(learning.keep_vectors((0..3).map(stored).collect()));
        learning.flush();
    }
    let learning = Learning::open(&settings).unwrap();
    let found = learning.vectors(&[key(2), key(9), key(0)]).unwrap();
    assert_eq!(found, [Some(vec![2.0, -0.5, 0.25]), None, Some(vec![0.0, -0.5, 0.25])]);
    drop(learning);
    // What was read last stays; a file that is too large gives vectors up before feedback.
    let connection = database::open(&learning_file(&folder.path().join("log.db"))).unwrap();
    connection.execute("UPDATE vectors SET used = 5 WHERE key = ?1", [key(1)]).unwrap();
    connection.execute("UPDATE vectors SET body = zeroblob(40 << 20) WHERE key != ?1", [key(2)]).unwrap();
    for number in 10..1_009 {
        database::put_vector(&connection, &stored(number), 4).unwrap();
    }
    database::retain(&connection, 0, 1 << 30).unwrap();
    let left = |number| database::vector(&connection, &key(number)).unwrap().is_some();
    assert!(left(2) && left(0) && !left(1) && !left(10), "the least used are gone");
    database::retain(&connection, 0, 1_000).unwrap();
    assert!(!left(2) && !left(0));
    let memory = Learning::in_memory();
    assert!(memory.keep_vectors(vec![stored(1)]));
    assert_eq!(memory.vectors(&[key(1)]).unwrap(), [None]);
}
