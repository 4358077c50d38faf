//! Rerank, both ways and in both forms.

use super::*;
use crate::codec::{Decode as _, Encode as _, Frame, Observe as _, Profile};
use crate::scan;
use crate::testing::{context, profile};
use bytes::BytesMut;
use proptest::prelude::*;
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::event::Event;

const BODY: &str = r#"{"model":"auto","query":"q","documents":["a",{"text":"b","id":1}],"top_n":1,"return_documents":true,"max_tokens_per_doc":9,"odd":2}"#;

fn written(form: Form, profile: &Profile) -> (String, String) {
    let encoded = encode(form, &decode(BODY.as_bytes()).unwrap(), profile).unwrap();
    let warnings: Vec<String> = encoded.warnings.iter().map(ToString::to_string).collect();
    (String::from_utf8(encoded.body.to_vec()).unwrap(), warnings.join("\n"))
}

fn read(body: &str) -> Result<Vec<Event>, String> {
    let mut events = Vec::new();
    let mut decoder = Decoder::default();
    decoder
        .frame(Frame { event: "", data: body.as_bytes() }, &mut events)
        .map_err(|failure| failure.class.name().to_owned())?;
    decoder.end(&mut events).map_err(|failure| failure.message)?;
    Ok(events)
}

#[test]
fn requests_are_written_in_either_form() {
    let (body, warnings) = written(Form::Cohere, &profile());
    insta::assert_snapshot!(body, @r#"{"model":"target-model","query":"q","documents":["a","b"],"top_n":1,"max_tokens_per_doc":9}"#);
    insta::assert_snapshot!(warnings, @r"
    return_documents dropped: the target's dialect has nothing like it
    documents[1].id dropped: the target's dialect has nothing like it
    odd dropped: the target's dialect has nothing like it
    ");
    let renamed = Profile { renamed: vec![("top_n".to_owned(), "top_k".to_owned())], ..profile() };
    let (body, warnings) = written(Form::Compatible, &renamed);
    insta::assert_snapshot!(body, @r#"{"model":"target-model","query":"q","documents":["a","b"],"top_k":1,"return_documents":true,"odd":2}"#);
    insta::assert_snapshot!(warnings, @r"
    max_tokens_per_doc dropped: the target's dialect has nothing like it
    documents[1].id dropped: the target's dialect has nothing like it
    ");
}

#[test]
fn what_documents_hold_besides_their_texts_is_told_once() {
    let body = r#"{"model":"m","query":"q","documents":["a",{"text":"b","id":1},{"text":"c","id":2,"title":"t","note":null}]}"#;
    let names: Vec<String> =
        decode(body.as_bytes()).unwrap().extras.into_iter().map(|extra| extra.name).collect();
    assert_eq!(names, ["documents[1].id", "documents[2].title"]);
}

#[test]
fn mistakes_are_named_by_path() {
    let told = |body: &str| decode(body.as_bytes()).unwrap_err().message;
    insta::assert_snapshot!(
        [
            told(r#"{"model":"m","documents":["a"]}"#),
            told(r#"{"model":"m","query":"q"}"#),
            told(r#"{"model":"m","query":"q","documents":["a",3]}"#),
            told(r#"{"model":"m","query":"q","documents":["a"],"top_n":-1}"#),
        ]
        .join("\n"),
        @r"
    query: missing; expected a string
    documents: missing; expected a non-empty array of texts
    documents[1]: expected a string, or an object with a `text`, found a number
    top_n: expected a whole number of at least 0, found -1
    "
    );
}

#[test]
fn answers_of_many_forms_become_one() {
    let answers = [
        r#"{"id":"i","results":[{"index":1,"relevance_score":0.9},{"index":0,"relevance_score":0.25}],"meta":{"billed_units":{"search_units":1}}}"#,
        r#"{"model":"j","usage":{"total_tokens":15},"results":[{"index":1,"relevance_score":0.9,"document":{"text":"b"}},{"index":0,"relevance_score":0.25}]}"#,
        r#"{"object":"list","data":[{"relevance_score":0.25,"index":0},{"relevance_score":0.9,"index":1,"document":"b"}],"model":"v","usage":{"total_tokens":26}}"#,
    ];
    let told: Vec<String> = answers
        .iter()
        .map(|answer| {
            let mut encoder = Encoder::new(context());
            let mut out = BytesMut::new();
            read(answer).unwrap().iter().for_each(|event| encoder.event(event, &mut out));
            encoder.finish(&mut out);
            let mut observer = Observer::default();
            assert!(observer.frame(Frame { event: "", data: answer.as_bytes() }).unwrap().semantic);
            observer.end().unwrap();
            let usage = observer.summary().usage.unwrap();
            format!("{} ({} tokens, {} searches)", String::from_utf8_lossy(&out), usage.input, usage.searches)
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    {"id":"i","results":[{"index":1,"relevance_score":0.9},{"index":0,"relevance_score":0.25}],"meta":{"api_version":{"version":"2"},"billed_units":{"search_units":1}}} (0 tokens, 1 searches)
    {"id":"00000000000000000000000007","results":[{"index":1,"relevance_score":0.9,"document":{"text":"b"}},{"index":0,"relevance_score":0.25}],"meta":{"api_version":{"version":"2"},"billed_units":{"input_tokens":15}}} (15 tokens, 0 searches)
    {"id":"00000000000000000000000007","results":[{"index":1,"relevance_score":0.9,"document":{"text":"b"}},{"index":0,"relevance_score":0.25}],"meta":{"api_version":{"version":"2"},"billed_units":{"input_tokens":26}}} (26 tokens, 0 searches)
    "#);
    assert_eq!(read(r#"{"ok":true,"data":[1,2,3]}"#).unwrap_err(), "malformed");
    assert_eq!(read("<html>").unwrap_err(), "malformed");
}

#[test]
fn only_bodies_of_version_two_pass() {
    let passes = |body: &str| {
        let envelope =
            scan::envelope(Dialect::Cohere, Operation::Rerank, body.as_bytes(), &Default::default()).unwrap();
        may_pass(&envelope, body.as_bytes())
    };
    assert!(passes(r#"{"model":"m","query":"q","documents":["a","b"]}"#));
    assert!(!passes(r#"{"model":"m","query":"q","documents":["a",{"text":"b"}]}"#));
    assert!(!passes(r#"{"model":"m","query":"q","documents":["a"],"return_documents":false}"#));
}

proptest! {
    #[test]
    fn no_bytes_crash_it(data in "[\\[\\]{}:,\"a-z0-9 ]{0,60}") {
        let _ = decode(data.as_bytes());
        let _ = read(&data);
    }
}
