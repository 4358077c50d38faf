//! What the log teaches, shown on made-up records.

use super::*;
use crate::labelled::dataset;
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::id::RequestId;
use trunkline_model::record::JudgedAnswer;
use trunkline_route::learned::KeepPrompts;

fn record(number: u64) -> RequestRecord {
    let mut record =
        RequestRecord::new(RequestId::new(1_000 + number, 1), Dialect::OpenAi, Operation::Chat, 1);
    record.route = Some("auto".into());
    record.deployment = Some("big".into());
    record.provider = Some("acme".into());
    record.model = Some("large".into());
    record.outcome = Outcome::Served;
    record.decision = Some(r#"{"propensity":0.25,"more":[1]}"#.into());
    record
}

fn said(record: &RequestRecord, score: Option<f64>, label: Option<&str>) -> Option<Feedback> {
    let label = label.map(Into::into);
    Some(Feedback { id: record.id, given: 0, key: None, score, label, comment: None })
}

fn text(text: &str) -> Option<Result<KeptPrompt, UnknownForm>> {
    Some(Ok(KeptPrompt::Text(text.to_owned())))
}

#[test]
fn feedback_is_on_what_was_served_and_judges_on_what_they_saw() {
    let mut escalated = record(0);
    let judged =
        |deployment: &str, score| JudgedAnswer { deployment: deployment.into(), tier: "any".into(), score };
    escalated.judged = vec![judged("acme/small", 0.2), judged("acme/small", 0.3), judged("big", 0.9)];
    let feedback = said(&escalated, None, Some("bad"));
    let mut gathered = Gathered::default();
    gathered.add(Logged { record: &escalated, feedback, prompt: text("why?") });
    let rows: Vec<(&str, f32)> = gathered.rows.iter().map(|row| (row.model.as_str(), row.score)).collect();
    assert_eq!(rows, [("acme/large", 0.0), ("acme/small", 0.3)]);
    assert!(gathered.rows.iter().all(|row| row.route == "auto" && row.propensity == 0.25));
    let (data, _) = dataset(gathered.rows);
    assert_eq!(
        (data.rows.len(), data.models.as_slice()),
        (1, &["acme/large".to_owned(), "acme/small".to_owned()][..])
    );
}

#[test]
fn feedback_on_a_request_without_an_answer_is_no_row() {
    let mut failed = record(0);
    failed.outcome = Outcome::Failed;
    let mut gathered = Gathered::default();
    gathered.add(Logged { record: &failed, feedback: said(&failed, Some(1.0), None), prompt: text("why?") });
    assert_eq!((gathered.rows.len(), gathered.scored), (0, 0));
}

#[test]
fn labels_make_examples_and_the_newest_counts() {
    let mut gathered = Gathered::default();
    for (number, label) in [(0, "billing"), (1, "legal")] {
        let record = record(number);
        let feedback = said(&record, Some(0.5), Some(label));
        gathered.add(Logged { record: &record, feedback, prompt: text("where is my refund") });
    }
    assert_eq!(
        gathered.examples.into_iter().collect::<Vec<_>>(),
        [("where is my refund".to_owned(), "legal".to_owned())]
    );
    assert_eq!(gathered.rows.len(), 2);
}

#[test]
fn what_cannot_be_learned_from_is_said_with_the_setting_that_helps() {
    let mut gathered = Gathered::default();
    let plain = record(0);
    gathered.add(Logged { record: &plain, feedback: None, prompt: text("hello") });
    let mut told = gathered.shortcomings();
    for number in 1..4 {
        let record = record(number);
        gathered.add(Logged { record: &record, feedback: said(&record, Some(1.0), None), prompt: None });
    }
    let record = record(5);
    let kept = KeptPrompt::of("hello", KeepPrompts::Vectors);
    let feedback = said(&record, None, Some("billing"));
    gathered.add(Logged { record: &record, feedback: feedback.clone(), prompt: Some(Ok(kept)) });
    gathered.add(Logged { record: &record, feedback, prompt: Some(Err(UnknownForm)) });
    assert_eq!((gathered.requests, gathered.scored, gathered.labelled, gathered.rows.len()), (6, 3, 2, 0));
    told.extend(gathered.shortcomings());
    insta::assert_snapshot!(told.join("\n"));
}
