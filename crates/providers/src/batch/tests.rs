//! What goes to batch APIs, and what is read of their answers.

use super::*;
use proptest::prelude::*;

fn api(form: BatchForm) -> BatchApi {
    let support = BatchSupport {
        form,
        endpoints: vec![Endpoint::Chat, Endpoint::Embeddings],
        most_lines: 10,
        most_bytes: 1_000,
        source: String::new(),
    };
    let root = |endpoint| {
        let path = if endpoint == Endpoint::Files { "files" } else { "batches" };
        Some(format!("https://api.example/v1/{path}"))
    };
    BatchApi::new(&support, root).unwrap()
}

fn shown(request: Option<BatchRequest>) -> String {
    let Some(request) = request else { return "none".to_owned() };
    let body: Vec<u8> = request.body.iter().flat_map(|piece| piece.to_vec()).collect();
    let body = String::from_utf8(body).unwrap().replace('\r', "");
    let content_type = request.content_type.map(|value| value.to_str().unwrap().to_owned());
    format!("{} {} {}\n{body}", request.method, request.uri, content_type.unwrap_or_default())
}

fn two_lines(api: &BatchApi) -> Bytes {
    let mut lines = Vec::new();
    for (name, body) in [("a-1", [&b"{\"x\":\n"[..], &b"1}"[..]]), ("a-2", [&b"{}"[..], &b""[..]])] {
        api.write_line("/v1/chat/completions", name, body.into_iter(), &mut lines);
    }
    lines.into()
}

#[test]
fn files_are_uploaded_and_named_in_the_order() {
    let api = api(BatchForm::Files);
    let lines = two_lines(&api);
    insta::assert_snapshot!(shown(api.upload("01ab", &lines)));
    insta::assert_snapshot!(shown(api.submit("01ab", "/v1/chat/completions", Some("file-1"), &lines)), @r#"
    POST https://api.example/v1/batches application/json
    {"input_file_id":"file-1","endpoint":"/v1/chat/completions","completion_window":"24h","metadata":{"trunkline_handover":"01ab"}}
    "#);
    assert_eq!(api.submit("01ab", "/v1/chat/completions", None, &lines), None);
    assert_eq!(BatchApi::read_upload(br#"{"id": "file-9"}"#).unwrap(), "file-9");
    assert!(BatchApi::read_upload(br#"{"id": "../keys"}"#).is_err());
    let uploads = br#"{"data": [{"id": "file-1", "filename": "trunkline-01ab.jsonl"}, {"id": "file-2", "filename": "mine.jsonl"}]}"#;
    assert_eq!(BatchApi::read_uploads(uploads, "01ab").unwrap(), ["file-1"]);
}

#[test]
fn requests_stand_in_the_order_itself() {
    let api = api(BatchForm::Inline);
    let lines = two_lines(&api);
    assert_eq!(api.upload("01ab", &lines), None);
    insta::assert_snapshot!(shown(api.submit("01ab", "/v1/messages", None, &lines)), @r#"
    POST https://api.example/v1/batches application/json
    {"requests":[{"custom_id":"a-1","params":{"x": 1}},{"custom_id":"a-2","params":{}}]}
    "#);
    assert_eq!(api.uploads(), None);
}

#[test]
fn no_name_from_outside_leads_elsewhere() {
    for form in [BatchForm::Files, BatchForm::Inline] {
        let api = api(form);
        assert_eq!(api.look("b_1").unwrap().uri, "https://api.example/v1/batches/b_1");
        for name in ["", "..", "a/b", "a?b", "a b", "é"] {
            assert_eq!((api.look(name), api.cancel(name)), (None, None), "{name:?}");
        }
        assert_eq!(api.list(Some("a&b")), None);
    }
}

#[test]
fn lines_ask_for_what_the_provider_takes() {
    let (files, inline) = (api(BatchForm::Files), api(BatchForm::Inline));
    assert_eq!(files.endpoint(Dialect::OpenAi, Operation::Chat), Some("/v1/chat/completions"));
    assert_eq!(files.endpoint(Dialect::OpenAi, Operation::Embeddings), Some("/v1/embeddings"));
    assert_eq!(files.endpoint(Dialect::Responses, Operation::Chat), None, "the preset does not list it");
    assert_eq!(files.endpoint(Dialect::Anthropic, Operation::Chat), None);
    assert_eq!(inline.endpoint(Dialect::Anthropic, Operation::Chat), Some("/v1/messages"));
    assert_eq!(inline.endpoint(Dialect::Anthropic, Operation::CountTokens), None);
}

#[test]
fn progress_is_read_in_both_forms() {
    let files = api(BatchForm::Files);
    let batch = |status: &str| {
        format!(
            r#"{{"id": "batch_1", "status": "{status}", "created_at": 7, "metadata": {{"trunkline_handover": "m"}},
            "errors": {{"data": [{{"message": "too much is waiting"}}]}}, "request_counts": {{"total": 2}},
            "input_file_id": "in", "output_file_id": "out", "error_file_id": null}}"#
        )
    };
    let read = files.read(batch("completed").as_bytes()).unwrap();
    assert_eq!((read.progress.clone(), read.created, read.lines), (Progress::Ended, Some(7), Some(2)));
    assert_eq!(files.is_marked(&read, "m"), Some(true));
    assert_eq!(files.is_marked(&read, "n"), Some(false));
    let fetched: Vec<String> = files.results(&read).iter().map(|call| call.uri.path().to_owned()).collect();
    assert_eq!(fetched, ["/v1/files/out/content"]);
    assert_eq!(files.discard(&read).len(), 2);
    for (status, progress) in [
        ("validating", Progress::Running),
        ("in_progress", Progress::Running),
        ("finalizing", Progress::Running),
        ("cancelling", Progress::Stopping),
        ("expired", Progress::Ended),
        ("cancelled", Progress::Ended),
        ("failed", Progress::Refused("too much is waiting".to_owned())),
    ] {
        assert_eq!(files.read(batch(status).as_bytes()).unwrap().progress, progress, "{status}");
    }
    let error = files.read(batch("asleep").as_bytes()).unwrap_err().to_string();
    assert_eq!(error, "read the batch API's answer: the unknown status `asleep`");
    let inline = api(BatchForm::Inline);
    let batch = r#"{"id": "msgbatch_1", "processing_status": "ended", "created_at": "1970-01-01T00:00:09Z",
        "request_counts": {"processing": 0, "succeeded": 2, "errored": 1, "canceled": 0, "expired": 0}, "results_url": "https://evil.example/"}"#;
    let read = inline.read(batch.as_bytes()).unwrap();
    assert_eq!((read.progress.clone(), read.created, read.lines), (Progress::Ended, Some(9), Some(3)));
    assert_eq!(inline.results(&read)[0].uri, "https://api.example/v1/batches/msgbatch_1/results");
    assert_eq!(inline.is_marked(&read, "m"), None);
    let page = format!("{{\"data\": [{batch}], \"has_more\": true}}");
    assert_eq!(inline.read_list(page.as_bytes()).unwrap(), (vec![read], true));
}

#[test]
fn results_are_answers_failures_or_nothing() {
    let read = |form, text: &str| api(form).read_result(&Bytes::copy_from_slice(text.as_bytes())).unwrap();
    let files = |rest: &str| read(BatchForm::Files, &format!("{{\"custom_id\": \"a\", {rest}}}")).end;
    let answered =
        files(r#""response": {"status_code": 200, "request_id": "r", "body": {"x": 1}}, "error": null"#);
    assert_eq!(answered, TheirEnd::Answered(Bytes::from_static(b"{\"x\": 1}"), Some("r".to_owned())));
    let failed = files(r#""response": {"status_code": 400, "body": {"error": {}}}, "error": null"#);
    assert_eq!(failed, TheirEnd::Failed("HTTP 400: {\"error\": {}}".to_owned()));
    assert_eq!(files(r#""response": null, "error": {"code": "batch_expired"}"#), TheirEnd::NotRun);
    assert_eq!(files(r#""response": null, "error": {"code": "odd"}"#), TheirEnd::Failed("odd".to_owned()));
    let inline = |rest: &str| {
        read(BatchForm::Inline, &format!("{{\"custom_id\": \"a\", \"result\": {{{rest}}}}}")).end
    };
    let answered = inline(r#""type": "succeeded", "message": {"id": "m"}"#);
    assert_eq!(answered, TheirEnd::Answered(Bytes::from_static(b"{\"id\": \"m\"}"), None));
    assert_eq!(inline(r#""type": "expired""#), TheirEnd::NotRun);
    let failed = inline(r#""type": "errored", "error": {"type": "error", "error": {"message": "no"}}"#);
    assert_eq!(failed, TheirEnd::Failed("no".to_owned()));
}

proptest! {
    #[test]
    fn what_is_written_is_lines_of_json(bodies in proptest::collection::vec("[a-z \\n\"\\\\é]{0,20}", 1..8)) {
        let bodies: Vec<String> = bodies.iter().map(|text| serde_json::json!({"x": text}).to_string()).collect();
        let files = api(BatchForm::Files);
        let inline = api(BatchForm::Inline);
        let (mut lines, mut requests) = (Vec::new(), Vec::new());
        for (number, body) in bodies.iter().enumerate() {
            let (head, tail) = body.as_bytes().split_at(body.len() / 2);
            files.write_line("/v1/x", &number.to_string(), [head, tail].into_iter(), &mut lines);
            inline.write_line("/v1/x", &number.to_string(), [head, tail].into_iter(), &mut requests);
        }
        let read: Vec<serde_json::Value> =
            String::from_utf8(lines).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let order = shown(inline.submit("m", "", None, &requests.into()));
        let order: serde_json::Value = serde_json::from_str(order.split_once('\n').unwrap().1).unwrap();
        prop_assert_eq!(read.len(), bodies.len());
        for (number, body) in bodies.iter().enumerate() {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            prop_assert_eq!(&read[number]["body"], &body);
            prop_assert_eq!(&order["requests"][number]["params"], &body);
        }
    }

    #[test]
    fn nothing_read_makes_it_panic(text in ".{0,80}") {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        for form in [BatchForm::Files, BatchForm::Inline] {
            let api = api(form);
            let _ = (api.read(&bytes), api.read_list(&bytes), api.read_result(&bytes));
        }
    }
}
