//! Data sets are checked before anything is sent, answers are graded by every kind of check, and minimums are held to.

use super::*;
use serde_json::json;
use trunkline_model::event::Finish;
use trunkline_route::cascade::Answer;

fn defaults() -> Defaults {
    Defaults { checks: Vec::new(), max_output_tokens: 100, has_judge: true }
}

fn rows(text: &str) -> Vec<Row> {
    parse("golden.jsonl", text, &defaults()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn said(text: &str) -> Answer {
    let mut answer = Answer::default();
    answer.text = text.to_owned();
    answer.finish = Some(Finish::Stop);
    answer
}

#[test]
fn a_row_becomes_a_request() {
    let row = &rows(
        r#"{"id": "a", "system": "Be brief.", "input": "2+2?", "expected": 4, "request": {"temperature": 0}, "max_tokens": 5}"#,
    )[0];
    assert_eq!(
        serde_json::Value::Object(row.body.clone()),
        json!({"temperature": 0, "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}],
               "max_tokens": 5})
    );
    assert_eq!((row.id.as_str(), row.checks.len(), row.checks[0].name()), ("a", 1, "exact"));
    let same = &rows(r#"{"input": "2+2?", "expected": "4"}"#)[0];
    let other = &rows(r#"{"input": "2+2?", "expected": "5"}"#)[0];
    assert_ne!(same.fingerprint, other.fingerprint, "another expectation is another grade");
}

#[test]
fn every_check_grades() {
    let row = |checks: &str| {
        let line = format!(r#"{{"input": "x", "expected": "The capital is Paris", "checks": [{checks}]}}"#);
        rows(&line).remove(0)
    };
    let lines = [
        (r#""exact""#, "The capital is Paris\n"),
        (r#""exact""#, "Paris"),
        (r#"{"contains": "Paris"}"#, "It is Paris."),
        (r#"{"regex": "(?i)^paris$"}"#, "PARIS"),
        (r#"{"regex": "^[0-9]+$"}"#, "four"),
        (r#""json""#, "{\"a\": 1}"),
        (r#""json""#, "Sure! {}"),
        (r#"{"json_schema": {"type": "object", "required": ["n"]}}"#, "{\"n\": 1}"),
        (r#"{"json_schema": {"type": "object", "required": ["n"]}}"#, "{}"),
        (r#"{"cel": "answer.words < 3 && answer.finish == 'stop'"}"#, "two words"),
        (r#"{"cel": "answer.words < 3"}"#, "these are four words"),
        (r#"{"similar": 0.7}"#, "Paris is the capital"),
        (r#"{"similar": 0.7}"#, "Nitrogen boils at 77 kelvin"),
        (r#""not_refusal""#, "I'm sorry, but I can't help with that."),
    ];
    let shown = lines.map(|(checks, text)| {
        let grade = grade(&row(checks), &said(text), &Vec::new());
        let why = grade.checks[0].why.clone().unwrap_or_else(|| "passed".to_owned());
        format!("{checks} of {text:?}: {why}")
    });
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn judges_give_points_and_several_checks_a_mean() {
    let row = &rows(
        r#"{"input": "x", "expected": "y", "checks": ["exact", {"judge": "Polite?"}, {"judge": {"rubric": "Short?", "least": 3}}]}"#,
    )[0];
    let found = grade(row, &said("y"), &vec![Ok(5), Ok(10)]);
    assert!(!found.passed && (found.score - (1.0 + 0.5 + 1.0) / 3.0).abs() < 1e-12, "{found:?}");
    assert!(grade(row, &said("y"), &vec![Ok(7), Ok(3)]).passed);
    let unjudged = grade(row, &said("y"), &vec![Err("no JSON".to_owned()), Ok(9)]);
    assert_eq!(unjudged.checks[1].why.as_deref(), Some("not judged: no JSON"));
}

#[test]
fn mistakes_are_told_with_file_line_and_field() {
    let text = [
        r#"{"input": "fine", "expected": "x"}"#,
        r#"{"input": "no checks"}"#,
        r#"{"inptu": "misspelt", "expected": "x"}"#,
        r#"["not", "an object"]"#,
        r#"{"input": "broken"#,
        r#"{"input": 5, "expected": "x"}"#,
        r#"{"input": "x", "checks": ["exact"]}"#,
        r#"{"input": "x", "checks": [{"regex": "("}]}"#,
        r#"{"input": "x", "checks": [{"json_schema": {"type": 5}}]}"#,
        r#"{"input": "x", "checks": [{"cel": "answer.txt == 'a'"}]}"#,
        r#"{"input": "x", "checks": ["exakt"]}"#,
        r#"{"input": "x", "expected": "y", "checks": [{"similar": 3}]}"#,
        r#"{"input": "x", "checks": [{"judge": ""}]}"#,
        r#"{"input": [{"content": "who?"}], "expected": "x"}"#,
        r#"{"input": "x", "expected": "y", "request": {"model": "mine"}}"#,
        r#"{"input": "x", "expected": "y", "max_tokens": 0}"#,
        r#"{"id": "1", "input": "x", "expected": "y"}"#,
    ];
    let mistakes = parse("golden.jsonl", &text.join("\n"), &defaults()).expect_err("mistakes");
    insta::assert_snapshot!(mistakes);
    assert!(parse("empty.jsonl", "\n", &defaults()).is_err());
    let nobody = Defaults { has_judge: false, ..defaults() };
    let told = parse("golden.jsonl", r#"{"input": "x", "checks": [{"judge": "Good?"}]}"#, &nobody)
        .expect_err("no judge");
    assert!(told.to_string().contains("--judge"), "{told}");
}

fn outcome(row: usize, target: &str, score: Option<f64>) -> Outcome {
    let grade = score.map(|score| Grade {
        score,
        passed: score >= 1.0,
        refused: false,
        format: None,
        checks: Vec::new(),
    });
    Outcome {
        asked: Asked {
            row: row.to_string(),
            fingerprint: String::new(),
            target: target.to_owned(),
            config: String::new(),
            judge: String::new(),
        },
        error: grade.is_none().then(|| "upstream_failed".to_owned()),
        answer: None,
        grade,
        deployment: None,
        cost_usd: score.map(|_| 0.01),
        judge_cost_usd: None,
        total_ms: 100.0,
    }
}

#[test]
fn targets_are_compared_row_by_row() {
    let mut outcomes = Vec::new();
    for row in 0..100 {
        // Hard rows are hard for both; the second loses every tenth row besides, and fails one.
        let hard = row % 3 == 0;
        outcomes.push(outcome(row, "a", Some(if hard { 0.0 } else { 1.0 })));
        let second = if hard || row % 10 == 1 { 0.0 } else { 1.0 };
        outcomes.push(outcome(row, "b", (row != 50).then_some(second)));
    }
    let targets = summarize(&["a".to_owned(), "b".to_owned()], &outcomes);
    assert_eq!((targets[0].against_first, targets[1].errors), (None, 1));
    let difference = targets[1].against_first.expect("a second target");
    assert!(difference.high < 0.0 && difference.low > -0.2, "{difference:?}");
    let quality = targets[1].quality.expect("rows");
    assert!(quality.low < quality.value && quality.value < quality.high && quality.value < 0.66);
    assert_eq!(targets[1].total_p95_ms, Some(100.0));
}

#[test]
fn minimums_are_missed_by_what_is_below_or_unknown() {
    let outcomes: Vec<Outcome> =
        (0..50).map(|row| outcome(row, "a", Some(if row < 45 { 1.0 } else { 0.0 }))).collect();
    let targets = summarize(&["a".to_owned()], &outcomes);
    let missed = |minimum: Minimum| minimum.missed(&targets);
    assert_eq!(
        missed(Minimum { quality: Some(0.9), passed: Some(0.9), cost_usd: Some(0.02), ..Minimum::default() }),
        Vec::<String>::new()
    );
    let all = Minimum {
        quality: Some(0.9),
        format: Some(1.0),
        cost_usd: Some(0.005),
        total_p95_ms: Some(50.0),
        surely: true,
        ..Minimum::default()
    };
    let told = missed(all);
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told[0].starts_with("a: quality is 0.8"), "the bound counts: {told:?}");
    assert!(told.contains(&"a: format is not known, wanted is 1".to_owned()));
}
