//! Jobs of predictions: what is ordered, how far it is, what it wrote.

use super::super::tests::{at, bucket_of, order, shown, two_lines};
use super::super::{BatchForm, StoreKind, Upload};
use super::*;

const LINES: &str = "batches/trunkline-01ab/lines.jsonl";

fn api() -> BatchApi {
    at(BatchForm::Predictions, "https://api.example/v1/projects/p/locations/l", "")
}

fn calls(calls: &[BatchRequest]) -> Vec<String> {
    calls.iter().map(|call| format!("{} {}", call.method, call.uri)).collect()
}

#[test]
fn a_job_reads_from_the_bucket_and_writes_beside_it() {
    let api = api();
    let lines = two_lines(&api);
    insta::assert_snapshot!(shown(api.upload("01ab", &lines)));
    let answer = br#"{"kind": "storage#object", "name": "x"}"#;
    assert_eq!(api.read_upload("01ab", answer).unwrap(), Upload { id: LINES.to_owned(), is_ready: true });
    insta::assert_snapshot!(shown(api.submit(&order("generateContent", Some(LINES), &lines))));
    assert_eq!(api.submit(&order("generateContent", None, &lines)), None);
    let path = "https://api.example/v1/projects/p/locations/l/batches/77";
    assert_eq!(api.look("77").unwrap().uri, path);
    let cancel = api.cancel("77").unwrap();
    assert_eq!((cancel.method, cancel.uri.to_string()), (Method::POST, format!("{path}:cancel")));
    let list = api.list(Some("x/=")).unwrap().uri.to_string();
    assert!(
        list.ends_with("?pageSize=100&filter=labels.trunkline_handover%3A%2A&pageToken=x%2F%3D"),
        "{list}"
    );
    let uploads = api.uploads("01ab").unwrap().uri.to_string();
    assert!(
        uploads.ends_with("/b/our-bucket/o?maxResults=1000&prefix=batches%2Ftrunkline-01ab%2F"),
        "{uploads}"
    );
}

#[test]
fn lines_have_names_of_their_own_or_in_their_labels() {
    let api = api();
    assert_eq!(api.endpoint(Dialect::Gemini, Operation::Chat), Some("generateContent"));
    assert_eq!(api.endpoint(Dialect::Anthropic, Operation::Chat), Some("rawPredict"));
    assert_eq!(api.endpoint(Dialect::Gemini, Operation::Embeddings), None);
    let written = |endpoint| {
        let mut lines = Vec::new();
        api.write_line(endpoint, "a-1", [&b" "[..], b"{\"contents\":", b"[{}]}"].into_iter(), &mut lines);
        String::from_utf8(lines).unwrap()
    };
    assert_eq!(
        written("generateContent"),
        "{\"request\": {\"labels\":{\"trunkline_line\":\"a-1\"},\"contents\":[{}]}}\n"
    );
    assert_eq!(written("rawPredict"), "{\"custom_id\":\"a-1\",\"request\": {\"contents\":[{}]}}\n");
    let takes = |endpoint, body: &str| api.takes(endpoint, &|| body.as_bytes().to_vec());
    assert!(takes("generateContent", r#"{"contents": [{"labels": {}}]}"#));
    for body in [r#"{"contents": [], "labels": {"team": "x"}}"#, "{}", "["] {
        assert!(!takes("generateContent", body), "{body}");
    }
    assert!(takes("rawPredict", "{}"));
}

#[test]
fn jobs_tell_how_far_they_are() {
    let api = api();
    let job = |state: &str| {
        format!(
            r#"{{"name": "projects/9/locations/l/batchPredictionJobs/77", "displayName": "trunkline-01ab", "state": "{state}",
            "labels": {{"trunkline_handover": "01ab"}}, "createTime": "1970-01-01T00:00:09.5Z", "error": {{"code": 13, "message": "no room"}},
            "inputConfig": {{"instancesFormat": "jsonl", "gcsSource": {{"uris": ["gs://our-bucket/{LINES}"]}}}}}}"#
        )
    };
    let read = api.read(job("JOB_STATE_SUCCEEDED").as_bytes()).unwrap();
    assert_eq!((&*read.id, read.created, read.input.as_deref()), ("77", Some(9), Some(LINES)));
    assert_eq!((api.is_marked(&read, "01ab"), api.is_marked(&read, "02cd")), (Some(true), Some(false)));
    for (state, progress) in [
        ("JOB_STATE_QUEUED", Progress::Running),
        ("JOB_STATE_PENDING", Progress::Running),
        ("JOB_STATE_RUNNING", Progress::Running),
        ("JOB_STATE_PAUSED", Progress::Running),
        ("JOB_STATE_UPDATING", Progress::Running),
        ("JOB_STATE_CANCELLING", Progress::Stopping),
        ("JOB_STATE_CANCELLED", Progress::Ended),
        ("JOB_STATE_EXPIRED", Progress::Ended),
        ("JOB_STATE_PARTIALLY_SUCCEEDED", Progress::Ended),
        ("JOB_STATE_FAILED", Progress::Refused("no room".to_owned())),
    ] {
        assert_eq!(api.read(job(state).as_bytes()).unwrap().progress, progress, "{state}");
    }
    assert!(api.read(job("ASLEEP").as_bytes()).is_err());
    assert!(api.read(br#"{"name": "projects/9/.."}"#).is_err());
    let page =
        format!(r#"{{"batchPredictionJobs": [{}], "nextPageToken": "x/="}}"#, job("JOB_STATE_RUNNING"));
    let page = api.read_page(page.as_bytes(), None).unwrap();
    assert_eq!((page.batches.len(), page.next.as_deref()), (1, Some("x/=")));
    assert_eq!(api.read_page(b"{}", None).unwrap(), Page { batches: Vec::new(), next: None });
}

#[test]
fn what_a_job_left_is_what_stands_in_its_folder_and_the_job() {
    let api = api();
    let folder = "batches/trunkline-01ab";
    let place = format!("{folder}/prediction-model-2026-11-21T10:00:00.5Z");
    let names = [
        LINES.to_owned(),
        format!("{place}/incremental_predictions.jsonl"),
        format!("{place}/predictions.jsonl"),
        format!("{place}/prediction.errors_stats-00000-of-00001"),
    ];
    let items: Vec<Value> = names.iter().map(|name| serde_json::json!({"name": name})).collect();
    let listing = serde_json::json!({"items": items}).to_string();
    let results = api.read_uploads(listing.as_bytes(), "01ab").unwrap();
    assert_eq!(results, names);
    assert!(api.read_uploads(b"{}", "01ab").unwrap().is_empty(), "what is empty is left out");
    let left =
        TheirBatch { id: "77".to_owned(), results, input: Some(LINES.to_owned()), ..TheirBatch::nothing() };
    let objects = "https://store.example/storage/v1/b/our-bucket/o";
    let time = "2026-11-21T10%3A00%3A00.5Z";
    assert_eq!(
        calls(&api.results(&left)),
        [format!(
            "GET {objects}/batches%2Ftrunkline-01ab%2Fprediction-model-{time}%2Fpredictions.jsonl?alt=media"
        )]
    );
    let discarded = calls(&api.discard(&left));
    assert_eq!(discarded[0], format!("DELETE {objects}/batches%2Ftrunkline-01ab%2Flines.jsonl"));
    assert_eq!(discarded.len(), 5);
    assert_eq!(discarded[4], "DELETE https://api.example/v1/projects/p/locations/l/batches/77");
    assert!(api.discard(&TheirBatch::nothing()).is_empty());
}

#[test]
fn results_are_responses_or_a_status() {
    let read = |text: &str| api().read_result(&Bytes::copy_from_slice(text.as_bytes()));
    let labelled = r#""request": {"contents": [], "labels": {"trunkline_line": "a-1", "other": "x"}}"#;
    let answered =
        read(&format!(r#"{{"status": "", {labelled}, "response": {{"candidates": []}}}}"#)).unwrap();
    assert_eq!(answered.name, "a-1");
    assert_eq!(answered.end, TheirEnd::Answered(Bytes::from_static(b"{\"candidates\": []}"), None));
    let named = read(r#"{"custom_id": "a-2", "request": {}, "response": {"id": "m"}}"#).unwrap();
    assert_eq!(
        (&*named.name, named.end),
        ("a-2", TheirEnd::Answered(Bytes::from_static(b"{\"id\": \"m\"}"), None))
    );
    let failed = read(&format!(r#"{{"status": "Bad Request: no", {labelled}, "response": {{}}}}"#)).unwrap();
    assert_eq!(failed.end, TheirEnd::Failed("Bad Request: no".to_owned()));
    let empty = read(&format!(r#"{{"status": "", {labelled}, "response": {{}}}}"#)).unwrap();
    assert_eq!(empty.end, TheirEnd::Failed("no reason was given".to_owned()));
    assert!(read(r#"{"request": {}, "response": {"x": 1}}"#).is_err(), "nobody knows whose it is");
}

#[test]
fn a_store_elsewhere_is_reached_below_its_address() {
    let (store, bucket) = bucket_of(StoreKind::Gcs, Some("http://127.0.0.1:9000/"));
    let reach = bucket::Reach::new(&store, &bucket, None).unwrap();
    let put = reach.put("01ab", &Bytes::from_static(b"{}\n")).unwrap();
    assert_eq!(
        put.uri,
        "http://127.0.0.1:9000/upload/storage/v1/b/our-bucket/o?uploadType=media&name=batches%2Ftrunkline-01ab%2Flines.jsonl"
    );
}
