//! The promises of the queue, over both kinds of database.

use super::*;
use std::collections::HashSet;

fn opened(folder: &Path) -> Batches {
    let kind = StoreKind::Sqlite(folder.join("log.db"));
    Batches::open(&BatchStoreSettings { kind, max_bytes: 1_000_000 }).unwrap()
}

fn batch(id: &str, owner: &str) -> StoredBatch {
    StoredBatch {
        id: id.to_owned(),
        owner: owner.to_owned(),
        kind: "kind".to_owned(),
        status: BatchStatus::Validating,
        times: BatchTimes { created: 100, expires: 200, ..BatchTimes::default() },
        counts: BatchCounts::default(),
        usage: BatchUsage::default(),
        input_file: None,
        output_file: None,
        error_file: None,
        details: "{}".to_owned(),
        errors: None,
    }
}

fn lines(numbers: std::ops::RangeInclusive<u64>) -> Vec<NewLine> {
    numbers
        .map(|number| NewLine {
            number,
            custom_id: format!("line-{number}"),
            target: if number % 2 == 0 { "even" } else { "odd" }.to_owned(),
            request: Bytes::from(format!("request {number}")),
        })
        .collect()
}

fn started(batches: &Batches, id: &str, count: u64) {
    batches.create(&batch(id, "ann")).unwrap();
    assert!(batches.add_lines(id, &lines(1..=count)).unwrap().is_empty());
    batches.start(id, 101, "{}").unwrap();
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn claim(batches: &Batches, limit: usize) -> Vec<ClaimedLine> {
    batches.claim(1_000, &names(&["b", "checked"]), &HashSet::new(), &HashSet::new(), limit).unwrap()
}

fn all(batches: &Batches, file: &StoredFile) -> Vec<u8> {
    let (mut whole, mut from) = (Vec::new(), 0);
    loop {
        let piece = batches.piece(file, from).unwrap();
        whole.extend_from_slice(&piece.data);
        match piece.next {
            Some(next) => from = next,
            None => return whole,
        }
    }
}

fn upload(batches: &Batches, owner: &str, id: &str, pieces: &[&[u8]]) -> Result<StoredFile, BatchStoreError> {
    let file = StoredFile {
        id: id.to_owned(),
        owner: owner.to_owned(),
        created: 100,
        expires: Some(300),
        name: "a.jsonl".to_owned(),
        purpose: "batch".to_owned(),
        bytes: 0,
        results: None,
    };
    batches.begin_file(&file)?;
    for (number, piece) in pieces.iter().enumerate() {
        batches.append(id, number as u64, piece)?;
    }
    batches.finish_file(&file)
}

#[test]
fn files_belong_to_their_owners_and_come_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    for batches in [Batches::in_memory(), opened(folder.path())] {
        let file = upload(&batches, "ann", "file-1", &[b"one\n", b"two\n"]).unwrap();
        assert_eq!(file.bytes, 8);
        assert_eq!(batches.file("ann", "file-1").unwrap(), Some(file.clone()));
        assert_eq!(all(&batches, &file), b"one\ntwo\n");
        assert!(batches.file("bob", "file-1").unwrap().is_none());
        assert!(!batches.delete_file("bob", "file-1").unwrap());
        upload(&batches, "ann", "file-2", &[b"x"]).unwrap();
        upload(&batches, "ann", "file-3", &[b"x"]).unwrap();
        let query = |after: Option<&str>, ascending| FileQuery {
            purpose: Some("batch".to_owned()),
            after: after.map(str::to_owned),
            ascending,
            limit: 2,
        };
        let ids = |query: FileQuery| {
            let (files, more) = batches.files("ann", &query).unwrap();
            (files.into_iter().map(|file| file.id).collect::<Vec<_>>(), more)
        };
        assert_eq!(ids(query(None, false)), (vec!["file-3".to_owned(), "file-2".to_owned()], true));
        assert_eq!(ids(query(Some("file-2"), false)), (vec!["file-1".to_owned()], false));
        assert_eq!(ids(query(None, true)), (vec!["file-1".to_owned(), "file-2".to_owned()], true));
        assert!(batches.delete_file("ann", "file-1").unwrap());
        assert!(!batches.delete_file("ann", "file-1").unwrap());
        batches.retain(300, 0).unwrap();
        assert_eq!(ids(query(None, true)), (Vec::new(), false), "their time has come");
        assert_eq!(batches.stats().unwrap().bytes, 0);
    }
}

#[test]
fn what_does_not_fit_is_refused_with_the_figures() {
    let folder = tempfile::tempdir().unwrap();
    let batches = opened(folder.path());
    upload(&batches, "ann", "file-1", &[&[7; 600_000]]).unwrap();
    let error = upload(&batches, "ann", "file-2", &[&[7; 300_000], &[7; 300_000]]).unwrap_err();
    insta::assert_snapshot!(error, @"keep 300000 bytes more: 900000 of 1000000 bytes are used by files and batches");
    batches.abandon_file("file-2").unwrap();
    assert_eq!(batches.stats().unwrap().bytes, 600_000);
    batches.create(&batch("b", "ann")).unwrap();
    let big = NewLine { request: Bytes::from(vec![7; 500_000]), ..lines(1..=1)[0].clone() };
    assert!(matches!(batches.add_lines("b", &[big]), Err(BatchStoreError::Full { .. })));
}

#[test]
fn every_line_is_handed_out_once_and_its_result_is_kept_once() {
    for batches in [Batches::in_memory()] {
        started(&batches, "b", 5);
        let first = claim(&batches, 3);
        assert_eq!(first.iter().map(|line| line.number).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(claim(&batches, 3).iter().map(|line| line.number).collect::<Vec<_>>(), [4, 5]);
        assert!(claim(&batches, 3).is_empty());
        batches.finish_line("b", 1, LineEnd::Succeeded, b"one", None).unwrap();
        batches.finish_line("b", 1, LineEnd::Errored, b"again", None).unwrap();
        batches.finish_line("b", 2, LineEnd::Errored, b"two", None).unwrap();
        batches.put_back("b", 3, PutBack { not_before: 2_000, attempted: true }).unwrap();
        assert!(claim(&batches, 3).is_empty(), "not before its time");
        let third = batches.claim(2_000, &names(&["b"]), &HashSet::new(), &HashSet::new(), 3).unwrap();
        assert_eq!((third[0].number, third[0].attempts, third[0].interrupted), (3, 1, 0));
        for number in 3..=5 {
            assert!(!batches.conclude("b", 150, None).unwrap());
            batches.finish_line("b", number, LineEnd::Succeeded, b"more", None).unwrap();
        }
        let files =
            ResultFiles { output: "file-o".to_owned(), errors: "file-e".to_owned(), expires: Some(900) };
        assert!(batches.conclude("b", 150, Some(&files)).unwrap());
        assert!(!batches.conclude("b", 151, Some(&files)).unwrap(), "once");
        let over = batches.batch("ann", "b").unwrap().unwrap();
        assert_eq!((over.status, over.times.ended), (BatchStatus::Completed, Some(150)));
        assert_eq!(over.counts, BatchCounts { total: 5, succeeded: 4, errored: 1, ..BatchCounts::default() });
        let output = batches.file("ann", &over.output_file.unwrap()).unwrap().unwrap();
        assert_eq!(all(&batches, &output), b"one\nmore\nmore\nmore\n");
        assert_eq!(output.bytes, 19);
        let errors = batches.file("ann", &over.error_file.unwrap()).unwrap().unwrap();
        assert_eq!(all(&batches, &errors), b"two\n");
        assert!(batches.delete_file("ann", "file-o").unwrap());
        assert_eq!(all(&batches, &output), b"", "the results go with their file");
        assert_eq!(batches.stats().unwrap(), BatchStats { open: 0, lines: 0, bytes: 3 });
    }
}

#[test]
fn batches_take_turns_and_held_targets_wait() {
    let batches = Batches::in_memory();
    started(&batches, "long", 100);
    started(&batches, "short", 2);
    let both = names(&["long", "short"]);
    let taken = batches.claim(1_000, &both, &HashSet::new(), &HashSet::new(), 4).unwrap();
    let of = |id: &str| taken.iter().filter(|line| line.batch == id).count();
    assert_eq!((of("long"), of("short")), (2, 2));
    let held = HashSet::from(["even".to_owned()]);
    let taken = batches.claim(1_000, &names(&["short", "long"]), &held, &HashSet::new(), 10).unwrap();
    assert_eq!(taken.len(), 10, "what one batch leaves is for the others");
    assert!(taken.iter().all(|line| line.target == "odd"));
    started(&batches, "unknown", 2);
    let taken = batches.claim(1_000, &both, &HashSet::new(), &HashSet::new(), 200).unwrap();
    assert!(
        taken.iter().all(|line| line.batch == "long"),
        "nothing of a batch that the caller does not know"
    );
}

#[test]
fn a_process_that_was_killed_loses_nothing_and_repeats_only_what_was_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let batches = opened(folder.path());
    started(&batches, "b", 4);
    claim(&batches, 2);
    batches.finish_line("b", 1, LineEnd::Succeeded, b"one", None).unwrap();
    batches
        .create(&StoredBatch { input_file: Some("file-1".to_owned()), ..batch("checked", "ann") })
        .unwrap();
    batches.add_lines("checked", &lines(1..=2)).unwrap();
    batches
        .begin_file(&StoredFile {
            id: "file-half".to_owned(),
            owner: "ann".to_owned(),
            created: 1,
            expires: None,
            name: String::new(),
            purpose: String::new(),
            bytes: 0,
            results: None,
        })
        .unwrap();
    batches.append("file-half", 0, b"half").unwrap();
    drop(batches);
    let batches = opened(folder.path());
    let again = claim(&batches, 10);
    let seen: Vec<_> = again.iter().map(|line| (line.number, line.attempts, line.interrupted)).collect();
    assert_eq!(seen, [(2, 1, 1), (3, 0, 0), (4, 0, 0)]);
    assert_eq!(batches.batch("ann", "checked").unwrap().unwrap().counts.total, 0, "it is checked anew");
    assert!(batches.add_lines("checked", &lines(1..=2)).unwrap().is_empty());
    assert!(batches.batch("ann", "unconfirmed").unwrap().is_none());
    assert!(batches.abandon_file("file-half").is_ok());
    assert_eq!(batches.interrupt().unwrap(), 3);
    assert_eq!(claim(&batches, 10)[0].interrupted, 2);
}

#[test]
fn names_are_unique_in_a_batch_and_wrong_lines_are_forgotten() {
    let batches = Batches::in_memory();
    batches.create(&batch("b", "ann")).unwrap();
    batches.add_lines("b", &lines(1..=2)).unwrap();
    let twice = NewLine { number: 3, ..lines(1..=1)[0].clone() };
    assert_eq!(batches.add_lines("b", &[twice]).unwrap(), [3]);
    batches.clear_lines("b").unwrap();
    assert!(batches.add_lines("b", &lines(1..=2)).unwrap().is_empty(), "a check can begin anew");
    batches.fail("b", 120, "[]").unwrap();
    let failed = batches.batch("ann", "b").unwrap().unwrap();
    assert_eq!((failed.status, failed.counts.total), (BatchStatus::Failed, 0));
    assert_eq!(failed.errors.as_deref(), Some("[]"));
    assert!(claim(&batches, 9).is_empty());
    assert_eq!(batches.delete("bob", "b").unwrap(), Deletion::Unknown);
    assert_eq!(batches.delete("ann", "b").unwrap(), Deletion::Done);
}

#[test]
fn a_cancelled_batch_waits_for_what_is_under_way() {
    let batches = Batches::in_memory();
    started(&batches, "b", 3);
    claim(&batches, 1);
    assert!(batches.cancel("bob", "b", 120).unwrap().is_none());
    let cancelling = batches.cancel("ann", "b", 120).unwrap().unwrap();
    assert_eq!((cancelling.status, cancelling.times.cancelling), (BatchStatus::Cancelling, Some(120)));
    assert!(claim(&batches, 9).is_empty());
    assert_eq!(batches.delete("ann", "b").unwrap(), Deletion::Busy);
    let name = |number: u64, name: &str| format!("{number} {name}").into_bytes();
    batches.give_up("b", LineEnd::Canceled, name).unwrap();
    assert!(!batches.conclude("b", 130, None).unwrap());
    batches.finish_line("b", 1, LineEnd::Succeeded, b"one", None).unwrap();
    assert!(batches.conclude("b", 130, None).unwrap());
    let over = batches.cancel("ann", "b", 140).unwrap().unwrap();
    assert_eq!((over.status, over.times.ended), (BatchStatus::Cancelled, Some(130)));
    assert_eq!((over.counts.succeeded, over.counts.canceled), (1, 2));
    assert_eq!(&batches.results("b", Results::All, 0).unwrap().data[..], b"one\n2 line-2\n3 line-3\n");
    batches.retain(0, 101).unwrap();
    assert!(batches.batch("ann", "b").unwrap().is_none(), "old batches go");
}

#[test]
fn pages_lead_in_both_directions() {
    let batches = Batches::in_memory();
    for id in ["a", "b", "c", "d"] {
        batches.create(&batch(id, "ann")).unwrap();
    }
    batches.create(&batch("e", "bob")).unwrap();
    let ids = |after: Option<&str>, before: Option<&str>| {
        let query = BatchQuery {
            owner: Some("ann".to_owned()),
            kind: Some("kind".to_owned()),
            after: after.map(str::to_owned),
            before: before.map(str::to_owned),
            limit: 2,
        };
        let (found, more) = batches.list(&query).unwrap();
        (found.into_iter().map(|batch| batch.id).collect::<String>(), more)
    };
    assert_eq!(ids(None, None), ("dc".to_owned(), true));
    assert_eq!(ids(Some("c"), None), ("ba".to_owned(), false));
    assert_eq!(ids(None, Some("a")), ("cb".to_owned(), true));
    assert_eq!(batches.list(&BatchQuery { limit: 9, ..BatchQuery::default() }).unwrap().0.len(), 5);
    assert_eq!(batches.open_batches().unwrap().len(), 5);
}

#[test]
fn of_two_processes_that_overlap_one_drains_the_queue() {
    let folder = tempfile::tempdir().unwrap();
    let before = opened(folder.path());
    started(&before, "b", 3);
    claim(&before, 2);
    let after = opened(folder.path());
    assert!(!after.take_over().unwrap(), "the other one is still there");
    assert_eq!(after.interrupt().unwrap(), 0);
    before.finish_line("b", 1, LineEnd::Succeeded, b"one", None).unwrap();
    assert_eq!(after.batch("ann", "b").unwrap().unwrap().counts.succeeded, 1);
    drop(before);
    assert!(after.take_over().unwrap());
    let left: Vec<_> = claim(&after, 9).iter().map(|line| (line.number, line.interrupted)).collect();
    assert_eq!(left, [(2, 1), (3, 0)]);
}

fn handover(id: &str) -> StoredHandover {
    StoredHandover {
        id: id.to_owned(),
        batch: "b".to_owned(),
        deployment: "one/model".to_owned(),
        state: HandoverState::Preparing,
        made: 110,
        upstream: None,
        lines: 0,
        details: "{}".to_owned(),
    }
}

fn noted(numbers: &[u64]) -> Vec<(u64, String)> {
    numbers.iter().map(|number| (*number, format!("note {number}"))).collect()
}

#[test]
fn lines_that_are_handed_over_get_their_results_once_or_come_back() {
    let batches = Batches::in_memory();
    started(&batches, "b", 6);
    let undecided = HashSet::from(["b".to_owned()]);
    let by_itself = |limit| batches.claim(1_000, &names(&["b"]), &HashSet::new(), &undecided, limit).unwrap();
    assert!(by_itself(9).is_empty(), "nobody has decided yet");
    let gathered: Vec<u64> = batches.gather("b", 1_000, 5).unwrap().iter().map(|line| line.number).collect();
    assert_eq!(gathered, [1, 2, 3, 4, 5]);
    batches.ungather("b", &[4], None).unwrap();
    batches.ungather("b", &[5], Some(3_000)).unwrap();
    assert_eq!(by_itself(9).iter().map(|line| line.number).collect::<Vec<_>>(), [4]);
    assert_eq!(batches.gather("b", 1_000, 5).unwrap().len(), 1, "the sixth; the fifth not before its time");
    batches.ungather("b", &[6], None).unwrap();
    let mut made = handover("h");
    batches.hand_over(&made, &noted(&[1, 2, 3])).unwrap();
    assert_eq!(batches.handover_stats().unwrap(), HandoverStats { open: 1, lines: 3 });
    made.state = HandoverState::Submitted;
    made.upstream = Some("theirs".to_owned());
    batches.advance(&made).unwrap();
    made.lines = 3;
    assert_eq!(batches.handovers().unwrap(), [made.clone()]);
    assert_eq!(
        batches.interrupt().unwrap(),
        1,
        "the fourth, which was claimed; what is at a provider stays there"
    );
    let found = batches.handed_lines(&made, &[1, 2, 4, 9]).unwrap();
    let found: Vec<_> = found.iter().map(|handed| (handed.line.number, handed.note.as_str())).collect();
    assert_eq!(found, [(1, "note 1"), (2, "note 2")]);
    let results = |numbers: &[u64]| -> Vec<_> {
        let usage = Some(LineUsage { input: 10, cached: 4, output: 3, reasoning: 1 });
        let result = |number: &u64| HandedResult {
            number: *number,
            end: LineEnd::Succeeded,
            result: b"done".to_vec(),
            usage,
        };
        numbers.iter().map(result).collect()
    };
    assert_eq!(batches.finish_handed(&made, &results(&[1])).unwrap(), [1]);
    assert_eq!(batches.finish_handed(&made, &results(&[1, 2, 4])).unwrap(), [2], "once, and only its own");
    batches.forget_handover("h").unwrap();
    assert_eq!(batches.handovers().unwrap().len(), 1, "not while a line of it is open");
    assert_eq!(batches.return_lines(&made, Some(&[1, 3]), Return::Failed).unwrap(), 1);
    assert_eq!(batches.return_lines(&made, None, Return::Unknown).unwrap(), 0);
    batches.forget_handover("h").unwrap();
    assert!(batches.handovers().unwrap().is_empty());
    let left: Vec<_> =
        by_itself(9).iter().map(|line| (line.number, line.attempts, line.interrupted)).collect();
    assert_eq!(left, [(3, 1, 0), (4, 1, 1), (6, 0, 0)]);
    batches.finish_line("b", 4, LineEnd::Succeeded, b"four", None).unwrap();
    let known = batches.batch("ann", "b").unwrap().unwrap();
    assert_eq!(
        (known.counts.succeeded, known.usage.metered),
        (3, 2),
        "the tokens of the fourth are not known"
    );
    assert_eq!(known.usage.sum, LineUsage { input: 20, cached: 8, output: 6, reasoning: 2 });
}

#[test]
fn what_was_only_gathered_when_a_process_was_killed_was_never_sent() {
    let folder = tempfile::tempdir().unwrap();
    let batches = opened(folder.path());
    started(&batches, "b", 4);
    batches.gather("b", 1_000, 3).unwrap();
    batches.hand_over(&handover("h"), &noted(&[1])).unwrap();
    drop(batches);
    let batches = opened(folder.path());
    let again: Vec<_> =
        batches.gather("b", 1_000, 9).unwrap().iter().map(|line| (line.number, line.interrupted)).collect();
    assert_eq!(again, [(2, 0), (3, 0), (4, 0)]);
    assert_eq!(batches.handovers().unwrap()[0].state, HandoverState::Preparing);
    assert_eq!(batches.return_lines(&handover("h"), None, Return::Unknown).unwrap(), 1);
    assert!(batches.gather("b", 1_000, 9).unwrap().is_empty(), "it is sent by itself now");
    assert_eq!(claim(&batches, 9)[0].interrupted, 1);
}

#[test]
fn a_database_of_before_is_taken_over_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let batches = opened(folder.path());
    started(&batches, "b", 2);
    drop(batches);
    {
        let old = Connection::open(folder.path().join("log.db.batches")).unwrap();
        old.execute_batch(
            "DROP INDEX lines_undecided; DROP INDEX lines_handed; DROP TABLE handovers;
             ALTER TABLE lines DROP COLUMN way; ALTER TABLE lines DROP COLUMN handover; ALTER TABLE lines DROP COLUMN note;
             ALTER TABLE batches DROP COLUMN metered; ALTER TABLE batches DROP COLUMN input_tokens;
             UPDATE meta SET value = '1' WHERE name = 'schema';",
        )
        .unwrap();
    }
    let looked = Batches::look(&folder.path().join("log.db")).unwrap().unwrap();
    assert_eq!(looked.list(&BatchQuery { limit: 9, ..BatchQuery::default() }).unwrap().0.len(), 1);
    drop(looked);
    let batches = opened(folder.path());
    assert_eq!(batches.gather("b", 1_000, 1).unwrap().len(), 1);
    batches.hand_over(&handover("h"), &noted(&[1])).unwrap();
    assert_eq!(claim(&batches, 9).iter().map(|line| line.number).collect::<Vec<_>>(), [2]);
    assert_eq!(batches.batch("ann", "b").unwrap().unwrap().counts.total, 2);
}
