//! Jobs over a bucket: what is ordered, how far it is, what it wrote.

use super::super::tests::{at, order, shown, two_lines};
use super::super::{BatchForm, Service, Upload};
use super::*;

fn api() -> BatchApi {
    at(BatchForm::Invocations, "https://api.example", "")
}

const LINES: &str = "batches/trunkline-01ab/lines.jsonl";

fn calls(calls: &[BatchRequest]) -> Vec<String> {
    calls.iter().map(|call| format!("{} {}", call.method, call.uri)).collect()
}

#[test]
fn a_job_reads_from_the_bucket_and_writes_beside_it() {
    let api = api();
    let lines = two_lines(&api);
    assert_eq!(
        lines,
        "{\"recordId\":\"a-1\",\"modelInput\":{\"x\": 1}}\n{\"recordId\":\"a-2\",\"modelInput\":{}}\n"
    );
    insta::assert_snapshot!(shown(api.upload("01ab", &lines)));
    assert_eq!(api.read_upload("01ab", b"").unwrap(), Upload { id: LINES.to_owned(), is_ready: true });
    insta::assert_snapshot!(shown(api.submit(&order("Converse", Some(LINES), &lines))));
    assert_eq!(api.submit(&order("Converse", None, &lines)), None);
    let services = [api.upload("01ab", &lines), api.uploads("01ab"), api.look("abc"), api.list(None)];
    let services = services.map(|call| call.unwrap().service);
    assert_eq!(services, [Service::Store, Service::Store, Service::Api, Service::Api]);
    assert_eq!(api.look("abc").unwrap().uri, "https://api.example/batches/abc");
    let stop = api.cancel("abc").unwrap();
    assert_eq!(
        (stop.method, stop.uri.to_string()),
        (Method::POST, "https://api.example/batches/abc/stop".to_owned())
    );
    assert_eq!(api.list(None).unwrap().uri.path(), "/batchess", "the plural of what the preset says");
    assert!(api.is_newest_first());
}

#[test]
fn lines_are_conversations_without_tools_or_texts_for_vectors() {
    let api = api();
    assert_eq!(api.endpoint(Dialect::Converse, Operation::Chat), Some("Converse"));
    assert_eq!(api.endpoint(Dialect::Converse, Operation::Embeddings), Some("InvokeModel"));
    assert_eq!(api.endpoint(Dialect::Converse, Operation::Rerank), None);
    assert_eq!(api.endpoint(Dialect::OpenAi, Operation::Chat), None);
    let takes = |endpoint, body: &str| api.takes(endpoint, &|| body.as_bytes().to_vec());
    assert!(takes("Converse", r#"{"messages": [{"toolConfig": 1}]}"#));
    assert!(!takes("Converse", r#"{"messages": [], "toolConfig": {"tools": []}}"#));
    assert!(!takes("Converse", "["), "what nobody can read goes by itself");
    assert!(takes("InvokeModel", r#"{"inputText": "x"}"#));
    let files = at(BatchForm::Files, "https://api.example", "");
    assert!(files.takes("/v1/chat/completions", &|| panic!("nobody asked for the body")));
}

#[test]
fn jobs_tell_how_far_they_are() {
    let api = api();
    let job = |status: &str, more: &str| {
        format!(
            r#"{{"jobArn": "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghijkl", "jobName": "trunkline-01ab",
            "modelId": "m", "status": "{status}", "message": "too few records", "submitTime": "1970-01-01T00:00:09.5Z",
            "inputDataConfig": {{"s3InputDataConfig": {{"s3Uri": "s3://our-bucket/{LINES}"}}}}, "totalRecordCount": 2{more}}}"#
        )
    };
    let read = api.read(job("Completed", "").as_bytes()).unwrap();
    assert_eq!((&*read.id, read.created, read.lines), ("abcdefghijkl", Some(9), Some(2)));
    assert_eq!((read.input.as_deref(), api.is_marked(&read, "01ab")), (Some(LINES), Some(true)));
    assert_eq!(api.is_marked(&read, "02cd"), Some(false));
    for (status, more, progress) in [
        ("Submitted", "", Progress::Running),
        ("Validating", "", Progress::Running),
        ("Scheduled", "", Progress::Running),
        ("InProgress", "", Progress::Running),
        ("Stopping", "", Progress::Stopping),
        ("Stopped", "", Progress::Ended),
        ("PartiallyCompleted", "", Progress::Ended),
        ("Expired", "", Progress::Ended),
        ("Failed", "", Progress::Refused("too few records".to_owned())),
        ("Failed", ", \"successRecordCount\": 1", Progress::Ended),
    ] {
        assert_eq!(api.read(job(status, more).as_bytes()).unwrap().progress, progress, "{status}");
    }
    let error = api.read(job("Asleep", "").as_bytes()).unwrap_err().to_string();
    assert_eq!(error, "read the batch API's answer: the unknown status `Asleep`");
    let made = br#"{"jobArn": "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abcdefghijkl"}"#;
    assert_eq!(api.read(made).unwrap().progress, Progress::Running, "an order is answered by a name alone");
    assert!(api.read(br#"{"jobArn": "arn:x/../y?"}"#).is_err());
    let elsewhere = job("Completed", "").replace("our-bucket", "their-bucket");
    assert_eq!(api.read(elsewhere.as_bytes()).unwrap().input, None);
    let page = format!(
        r#"{{"invocationJobSummaries": [{}, {{"jobArn": "a", "status": "?"}}], "nextToken": "x/="}}"#,
        job("InProgress", "")
    );
    let page = api.read_page(page.as_bytes(), None).unwrap();
    assert_eq!((page.batches.len(), page.next.as_deref()), (1, Some("x/=")));
    assert_eq!(page.batches[0].input.as_deref(), Some(LINES));
    assert_eq!(api.read_page(b"{}", None).unwrap(), Page { batches: Vec::new(), next: None });
}

#[test]
fn what_a_job_left_is_what_stands_in_its_folder() {
    let api = api();
    assert!(api.leaves_objects());
    let folder = "batches/trunkline-01ab";
    let read = TheirBatch {
        input: Some(LINES.to_owned()),
        results: ["lines.jsonl", "abc/lines.jsonl.out", "abc/manifest.json.out"]
            .map(|name| format!("{folder}/{name}"))
            .to_vec(),
        ..TheirBatch::nothing()
    };
    let at = |name: &str| format!("https://our-bucket.s3.us-east-1.store.example/{folder}/{name}");
    assert_eq!(calls(&api.results(&read)), [format!("GET {}", at("abc/lines.jsonl.out"))]);
    assert_eq!(
        calls(&api.discard(&read)),
        ["lines.jsonl", "abc/lines.jsonl.out", "abc/manifest.json.out"]
            .map(|name| format!("DELETE {}", at(name)))
    );
    let unlisted = TheirBatch { results: Vec::new(), ..read };
    assert_eq!(calls(&api.discard(&unlisted)), [format!("DELETE {}", at("lines.jsonl"))]);
    assert!(api.discard(&TheirBatch { input: None, ..unlisted }).is_empty());
}

#[test]
fn results_are_outputs_or_errors() {
    let read = |text: &str| api().read_result(&Bytes::copy_from_slice(text.as_bytes())).unwrap();
    let answered = read(r#"{"recordId": "a-1", "modelInput": {}, "modelOutput": {"output": {}}}"#);
    assert_eq!(answered.name, "a-1");
    assert_eq!(answered.end, TheirEnd::Answered(Bytes::from_static(b"{\"output\": {}}"), None));
    let failed = read(
        r#"{"recordId": "a", "modelInput": {}, "error": {"errorCode": 400, "errorMessage": "bad request"}}"#,
    );
    assert_eq!(failed.end, TheirEnd::Failed("400: bad request".to_owned()));
    let nothing = read(r#"{"recordId": "a", "modelInput": {}}"#);
    assert_eq!(nothing.end, TheirEnd::Failed("no reason was given".to_owned()));
}
