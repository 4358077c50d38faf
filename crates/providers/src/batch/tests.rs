//! What goes to batch APIs, and what is read of their answers.

use super::*;
use proptest::prelude::*;

const FORMS: [BatchForm; 8] = [
    BatchForm::Files,
    BatchForm::Inline,
    BatchForm::Operations,
    BatchForm::Jobs,
    BatchForm::Pages,
    BatchForm::Bundles,
    BatchForm::Invocations,
    BatchForm::Predictions,
];

pub(super) fn api(form: BatchForm) -> BatchApi {
    at(form, "https://api.example/v1", "")
}

/// A bucket, and the store it is in.
pub(super) fn bucket_of(kind: StoreKind, url: Option<&str>) -> (BatchStore, Bucket) {
    let (scheme, address, service, role) = match kind {
        StoreKind::S3 => (
            "s3",
            "https://s3.{region}.store.example",
            Some("s3"),
            Some("arn:aws:iam::123456789012:role/batches"),
        ),
        StoreKind::Gcs => ("gs", "https://store.example", None, None),
    };
    let store = BatchStore { kind, url: address.to_owned(), service: service.map(str::to_owned) };
    let settings = BucketSettings {
        bucket: Some(format!("{scheme}://our-bucket/batches")),
        role: role.map(str::to_owned),
        url: url.map(str::to_owned),
    };
    let bucket = Bucket::read(&store, &settings).unwrap();
    (store, bucket)
}

/// The same in the store that a form reads from.
fn bucket_for(form: BatchForm) -> Option<(BatchStore, Bucket)> {
    let kind = if form == BatchForm::Predictions { StoreKind::Gcs } else { StoreKind::S3 };
    form.needs_bucket().then(|| bucket_of(kind, None))
}

pub(super) fn at(form: BatchForm, base: &str, query: &str) -> BatchApi {
    let submit = (form == BatchForm::Operations).then(|| "/models/{model}:batchGenerateContent".to_owned());
    let support = BatchSupport {
        form,
        endpoints: vec![Endpoint::Chat, Endpoint::Embeddings],
        least_lines: 1,
        most_lines: 10,
        most_bytes: 1_000,
        store: bucket_for(form).map(|(store, _)| store),
        bucket: bucket_for(form).map(|(_, bucket)| bucket),
        submit,
        submit_embeddings: (form == BatchForm::Operations)
            .then(|| "/models/{model}:asyncBatchEmbedContent".to_owned()),
        manner: Manner::default(),
        apart: false,
        deployments: BTreeMap::new(),
        percent: None,
        percent_of: Vec::new(),
        source: String::new(),
    };
    let (files, batches) = (format!("/files{query}"), format!("/batches{query}"));
    let path = |endpoint| match endpoint {
        Endpoint::Files => Some(&*files),
        Endpoint::Chat => Some("/publishers/one/models/{model}:ask"),
        _ => Some(&*batches),
    };
    BatchApi::new(&support, base, ("a model", "a%20model"), Some("us-east-1"), path).unwrap()
}

pub(super) fn order<'a>(endpoint: &'a str, file: Option<&'a str>, lines: &'a Bytes) -> Order<'a> {
    Order { mark: "01ab", endpoint, file, lines }
}

pub(super) fn shown(request: Option<BatchRequest>) -> String {
    let Some(request) = request else { return "none".to_owned() };
    let body: Vec<u8> = request.body.iter().flat_map(|piece| piece.to_vec()).collect();
    let body = String::from_utf8(body).unwrap().replace('\r', "");
    let content_type = request.content_type.map(|value| value.to_str().unwrap().to_owned());
    let headers: String = request.headers.iter().map(|(name, value)| format!(" {name}: {value}")).collect();
    format!("{} {} {}{headers}\n{body}", request.method, request.uri, content_type.unwrap_or_default())
}

pub(super) fn two_lines(api: &BatchApi) -> Bytes {
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
    insta::assert_snapshot!(shown(api.submit(&order("/v1/chat/completions", Some("file-1"), &lines))), @r#"
    POST https://api.example/v1/batches application/json
    {"input_file_id":"file-1","endpoint":"/v1/chat/completions","completion_window":"24h","metadata":{"trunkline_handover":"01ab"}}
    "#);
    assert_eq!(api.submit(&order("/v1/chat/completions", None, &lines)), None);
    let file = |status: &str| format!(r#"{{"id": "file-9"{status}}}"#);
    for (status, is_ready) in
        [("", true), (r#", "status": "processed""#, true), (r#", "status": "pending""#, false)]
    {
        let read = api.read_upload("01ab", file(status).as_bytes()).unwrap();
        assert_eq!(read, Upload { id: "file-9".to_owned(), is_ready }, "{status}");
    }
    assert_eq!(api.look_at_upload("file-9").unwrap().uri, "https://api.example/v1/files/file-9");
    assert!(api.read_upload("01ab", br#"{"id": "../keys"}"#).is_err());
    let uploads = br#"{"data": [{"id": "file-1", "filename": "trunkline-01ab.jsonl"}, {"id": "file-2", "filename": "mine.jsonl"}]}"#;
    assert_eq!(api.read_uploads(uploads, "01ab").unwrap(), ["file-1"]);
}

#[test]
fn requests_stand_in_the_order_itself() {
    let api = api(BatchForm::Inline);
    let lines = two_lines(&api);
    assert_eq!(api.upload("01ab", &lines), None);
    insta::assert_snapshot!(shown(api.submit(&order("/v1/messages", None, &lines))), @r#"
    POST https://api.example/v1/batches application/json
    {"requests":[{"custom_id":"a-1","params":{"x": 1}},{"custom_id":"a-2","params":{}}]}
    "#);
    assert_eq!(api.uploads("01ab"), None);
}

#[test]
fn no_name_from_outside_leads_elsewhere() {
    for form in FORMS {
        let api = api(form);
        assert_eq!(api.look("b_1").unwrap().uri, "https://api.example/v1/batches/b_1");
        for name in ["", "..", "a/b", "a?b", "a b", "é"] {
            assert_eq!((api.look(name), api.cancel(name)), (None, None), "{name:?}");
        }
        // Some forms' pages have names of any letters.
        let elsewhere = api.list(Some("a&b/c"));
        let encoded = elsewhere.map(|call| call.uri.query().unwrap_or_default().to_owned());
        let expected = match form {
            BatchForm::Operations => Some("pageSize=20&pageToken=a%26b%2Fc"),
            BatchForm::Pages => Some("limit=100&pagination_token=a%26b%2Fc"),
            BatchForm::Invocations => Some(
                "maxResults=100&nameContains=trunkline-&sortBy=CreationTime&sortOrder=Descending&nextToken=a%26b%2Fc",
            ),
            BatchForm::Predictions => {
                Some("pageSize=100&filter=labels.trunkline_handover%3A%2A&pageToken=a%26b%2Fc")
            }
            _ => None,
        };
        assert_eq!(encoded.as_deref(), expected);
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
        let batch = batch(status).replace("\"out\"", if status == "failed" { "null" } else { "\"out\"" });
        assert_eq!(files.read(batch.as_bytes()).unwrap().progress, progress, "{status}");
    }
    // What was answered before it failed was answered; a file that cannot be fetched is none that is missing.
    assert_eq!(files.read(batch("failed").as_bytes()).unwrap().progress, Progress::Ended);
    assert!(files.read(batch("completed").replace("\"out\"", "\"https://a.example/b\"").as_bytes()).is_err());
    let dated = r#"{"id": "b", "status": "Validating", "created_at": "1970-01-01T00:00:07.2491382+00:00", "request_counts": {"total": null}}"#;
    let dated = files.read(dated.as_bytes()).unwrap();
    assert_eq!((dated.progress, dated.created, dated.lines), (Progress::Running, Some(7), None));
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
    let next = Some("msgbatch_1".to_owned());
    assert_eq!(inline.read_page(page.as_bytes(), None).unwrap(), Page { batches: vec![read], next });
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

#[test]
fn operations_are_ordered_over_a_file() {
    let api = api(BatchForm::Operations);
    assert_eq!(api.endpoint(Dialect::Gemini, Operation::Chat), Some("generateContent"));
    assert_eq!(api.endpoint(Dialect::Gemini, Operation::Embeddings), Some("embedContent"));
    let lines = two_lines(&api);
    insta::assert_snapshot!(shown(api.upload("01ab", &lines)));
    insta::assert_snapshot!(shown(api.submit(&order("generateContent", Some("abc"), &lines))), @r#"
    POST https://api.example/v1/models/a%20model:batchGenerateContent application/json
    {"batch":{"displayName":"trunkline-01ab.jsonl","inputConfig":{"fileName":"files/abc"}}}
    "#);
    assert_eq!(api.read_upload("01ab", br#"{"file": {"name": "files/abc"}}"#).unwrap().id, "abc");
    let uploads =
        br#"{"files": [{"name": "files/abc", "displayName": "trunkline-01ab.jsonl"}, {"name": "files/d"}]}"#;
    assert_eq!(api.read_uploads(uploads, "01ab").unwrap(), ["abc"]);
    assert!(api.read_uploads(b"{}", "01ab").unwrap().is_empty(), "what is empty is left out");
    assert_eq!(api.cancel("b1").unwrap().uri, "https://api.example/v1/batches/b1:cancel");
    // A proxy below a path, and one that hides the version.
    let upload =
        |base| at(BatchForm::Operations, base, "").upload("m", &lines).map(|call| call.uri.to_string());
    let below = upload("http://proxy.example/google/v1beta");
    assert_eq!(below.as_deref(), Some("http://proxy.example/google/upload/v1beta/files"));
    assert_eq!(upload("http://proxy.example"), None);
}

#[test]
fn a_line_is_for_one_vector() {
    let api = api(BatchForm::Operations);
    let one = r#"{"requests": [ {"model": "models/m", "content": {"parts": [{"text": "a"}]}, "n": 1.0} ]}"#;
    let two = r#"{"requests": [{"content": {}}, {"content": {}}]}"#;
    let takes = |endpoint, body: &str| api.takes(endpoint, &|| body.as_bytes().to_vec());
    assert!(takes("embedContent", one) && !takes("embedContent", two) && !takes("embedContent", "{}"));
    assert!(takes("generateContent", two), "what is no vector is none of its business");
    let line = |endpoint, body: &str| {
        let (head, tail) = body.as_bytes().split_at(body.len() / 2);
        api.addressed(endpoint, [head, tail].into_iter()).map(|body| body.map(|body| body.concat()))
    };
    let request = r#"{"model": "models/m", "content": {"parts": [{"text": "a"}]}, "n": 1.0}"#;
    assert_eq!(line("embedContent", one), Ok(Some(request.as_bytes().to_vec())));
    assert!(line("embedContent", two).is_err());
    assert_eq!(line("generateContent", one), Ok(None));
    insta::assert_snapshot!(shown(api.submit(&order("embedContent", Some("abc"), &Bytes::new()))), @r#"
    POST https://api.example/v1/models/a%20model:asyncBatchEmbedContent application/json
    {"batch":{"displayName":"trunkline-01ab.jsonl","inputConfig":{"fileName":"files/abc"}}}
    "#);
    let read = |text: &str| match api.read_result(&Bytes::copy_from_slice(text.as_bytes())).unwrap().end {
        TheirEnd::Answered(body, None) => String::from_utf8(body.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    };
    let metered = r#"{"embedding":{"values": [1.0, -0.5e0]},"usageMetadata":{"promptTokenCount":3,"totalTokenCount":3}}"#;
    for count in ["3", "\"3\""] {
        let line = format!(
            r#"{{"key": "a", "response": {{"tokenCount": {count}, "embedding": {{"values": [1.0, -0.5e0]}}}}}}"#
        );
        assert_eq!(read(&line), metered);
    }
    for as_it_is in
        [r#"{"embedding": {"values": []}, "usageMetadata": {}}"#, r#"{"embedding": {}, "tokenCount": -1}"#]
    {
        assert_eq!(read(&format!(r#"{{"key": "a", "response": {as_it_is}}}"#)), as_it_is);
    }
}

#[test]
fn operations_tell_how_far_they_are() {
    let api = api(BatchForm::Operations);
    let operation = |state: &str, output: &str| {
        format!(
            r#"{{"name": "batches/b1", "metadata": {{"@type": "x", "state": "{state}", "displayName": "trunkline-01ab.jsonl",
            "createTime": "1970-01-01T00:00:09.5Z", "inputConfig": {{"fileName": "files/in"}}, "batchStats": {{"requestCount": "2"}}
            {output}}}, "error": {{"code": 13, "message": "no room"}}}}"#
        )
    };
    let output = r#", "output": {"responsesFile": "files/out"}"#;
    let read = api.read(operation("BATCH_STATE_SUCCEEDED", output).as_bytes()).unwrap();
    assert_eq!((&*read.id, read.created, read.lines), ("b1", Some(9), Some(2)));
    assert_eq!(api.is_marked(&read, "01ab"), Some(true));
    let calls = |calls: Vec<BatchRequest>| -> Vec<String> {
        calls.iter().map(|call| format!("{} {}", call.method, call.uri.path_and_query().unwrap())).collect()
    };
    assert_eq!(calls(api.results(&read)), ["GET /v1/files/out:download?alt=media"]);
    assert_eq!(
        calls(api.discard(&read)),
        ["DELETE /v1/files/in", "DELETE /v1/files/out", "DELETE /v1/batches/b1"]
    );
    for (state, output, progress) in [
        ("BATCH_STATE_PENDING", "", Progress::Running),
        ("BATCH_STATE_RUNNING", "", Progress::Running),
        ("BATCH_STATE_SUCCEEDED", "", Progress::Running),
        ("JOB_STATE_SUCCEEDED", output, Progress::Ended),
        ("BATCH_STATE_CANCELLED", "", Progress::Ended),
        ("BATCH_STATE_EXPIRED", "", Progress::Ended),
        ("BATCH_STATE_FAILED", "", Progress::Refused("no room".to_owned())),
    ] {
        assert_eq!(api.read(operation(state, output).as_bytes()).unwrap().progress, progress, "{state}");
    }
    assert!(api.read(operation("ASLEEP", "").as_bytes()).is_err());
    let page =
        format!(r#"{{"operations": [{}], "nextPageToken": "x/="}}"#, operation("BATCH_STATE_RUNNING", ""));
    let page = api.read_page(page.as_bytes(), None).unwrap();
    assert_eq!((page.batches.len(), page.next.as_deref()), (1, Some("x/=")));
    assert_eq!(api.read_page(b"{}", None).unwrap(), Page { batches: Vec::new(), next: None });
}

#[test]
fn operations_answer_with_lines_that_have_keys() {
    let read = |text: &str| {
        api(BatchForm::Operations).read_result(&Bytes::copy_from_slice(text.as_bytes())).unwrap().end
    };
    let answered = read(r#"{"response": {"candidates": []}, "key": "a"}"#);
    assert_eq!(answered, TheirEnd::Answered(Bytes::from_static(b"{\"candidates\": []}"), None));
    let failed = read(r#"{"key": "a", "error": {"code": 3, "message": "no contents"}}"#);
    assert_eq!(failed, TheirEnd::Failed("no contents".to_owned()));
    assert_eq!(read(r#"{"key": "a", "error": {"code": 1, "message": "cancelled"}}"#), TheirEnd::NotRun);
    assert_eq!(read(r#"{"key": "a"}"#), TheirEnd::Failed("no reason was given".to_owned()));
}

#[test]
fn jobs_are_for_one_model_and_tell_their_files() {
    let api = api(BatchForm::Jobs);
    assert_eq!(api.endpoint(Dialect::Mistral, Operation::Embeddings), Some("/v1/embeddings"));
    assert_eq!(api.endpoint(Dialect::OpenAi, Operation::Chat), None);
    let lines = two_lines(&api);
    assert_eq!(lines, "{\"custom_id\":\"a-1\",\"body\":{\"x\": 1}}\n{\"custom_id\":\"a-2\",\"body\":{}}\n");
    insta::assert_snapshot!(shown(api.submit(&order("/v1/chat/completions", Some("f-1"), &lines))), @r#"
    POST https://api.example/v1/batches application/json
    {"input_files":["f-1"],"endpoint":"/v1/chat/completions","model":"a model","timeout_hours":24,"metadata":{"trunkline_handover":"01ab"}}
    "#);
    let job = |status: &str, files: &str| {
        format!(
            r#"{{"id": "j-1", "object": "batch", "input_files": ["in"], "metadata": {{"trunkline_handover": "m"}}, "status": "{status}",
            "errors": [{{"message": "no such model", "count": 2}}], "created_at": 7, "total_requests": 2 {files}}}"#
        )
    };
    let files = r#", "output_file": "out", "error_file": "err""#;
    let read = api.read(job("SUCCESS", files).as_bytes()).unwrap();
    assert_eq!((read.created, read.lines, read.input.as_deref()), (Some(7), Some(2), Some("in")));
    assert_eq!(api.is_marked(&read, "m"), Some(true));
    let fetched: Vec<&str> = read.results.iter().map(String::as_str).collect();
    assert_eq!((fetched, api.discard(&read).len()), (vec!["out", "err"], 4));
    for (status, files, progress) in [
        ("QUEUED", "", Progress::Running),
        ("RUNNING", "", Progress::Running),
        ("CANCELLATION_REQUESTED", "", Progress::Stopping),
        ("CANCELLED", "", Progress::Ended),
        ("TIMEOUT_EXCEEDED", files, Progress::Ended),
        ("FAILED", files, Progress::Ended),
        ("FAILED", "", Progress::Refused("no such model".to_owned())),
    ] {
        assert_eq!(api.read(job(status, files).as_bytes()).unwrap().progress, progress, "{status}");
    }
    let all = vec![job("RUNNING", ""); 100].join(",");
    let page = api.read_page(format!(r#"{{"data": [{all}], "total": 300}}"#).as_bytes(), Some("1")).unwrap();
    assert_eq!((page.batches.len(), page.next.as_deref()), (100, Some("2")));
    assert_eq!(
        api.list(page.next.as_deref()).unwrap().uri.query(),
        Some("page=2&page_size=100&order_by=-created")
    );
    assert_eq!(api.read_page(br#"{"total": 0}"#, None).unwrap().next, None);
}

#[test]
fn a_query_that_every_address_has_stands_behind_the_path() {
    let api = at(BatchForm::Files, "https://a.example/openai", "?api-version=2025-03-01-preview");
    assert_eq!(
        api.look("b").unwrap().uri,
        "https://a.example/openai/batches/b?api-version=2025-03-01-preview"
    );
    assert_eq!(
        api.list(None).unwrap().uri,
        "https://a.example/openai/batches?api-version=2025-03-01-preview&limit=100"
    );
}

#[test]
fn lines_for_deployments_apart_name_those() {
    let support = |apart| BatchSupport {
        form: BatchForm::Files,
        endpoints: vec![Endpoint::Chat],
        least_lines: 1,
        most_lines: 10,
        most_bytes: 1_000,
        store: None,
        bucket: None,
        submit: None,
        submit_embeddings: None,
        manner: Manner::default(),
        apart,
        deployments: BTreeMap::from([("small".to_owned(), "small\" batch".to_owned())]),
        percent: None,
        percent_of: Vec::new(),
        source: String::new(),
    };
    let path = |_| Some("/x");
    let api = |apart, model| BatchApi::new(&support(apart), "https://a.example", (model, model), None, path);
    assert!(api(true, "large").is_none() && api(false, "large").is_some());
    let addressed = |apart, body: &str| {
        let (head, tail) = body.as_bytes().split_at(body.len() / 2);
        let pieces = api(apart, "small").unwrap().addressed("/v1/chat/completions", [head, tail].into_iter());
        pieces.map(|pieces| pieces.map(|pieces| String::from_utf8(pieces.concat()).unwrap()))
    };
    assert_eq!(addressed(false, "{}"), Ok(None));
    let body = r#"{"messages": [{"model": "no"}], "model" : "small", "n": 1.0}"#;
    let named = r#"{"messages": [{"model": "no"}], "model" : "small\" batch", "n": 1.0}"#;
    assert_eq!(addressed(true, body), Ok(Some(named.to_owned())));
    for wrong in ["{}", "[]", r#"{"model": "small", "model": "small"}"#] {
        assert!(addressed(true, wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_share_prices_what_has_no_price_of_its_own() {
    let text = "[batch]\nform = \"inline\"\nendpoints = [\"chat\"]\nmost_lines = 1\nmost_bytes = 1\npercent = 50\nsource = \"\"\n";
    #[derive(Deserialize)]
    struct Only {
        batch: BatchSupport,
    }
    let support = toml::from_str::<Only>(text).unwrap().batch;
    let catalogue = crate::bundled::catalogue(["mistral", "openai"]);
    let price = |entry: &ModelEntry, class| entry.prices.rate(class, ServiceTier::Batch, 0).unwrap();
    let mut unpriced = catalogue.by_id("mistral/mistral-small-latest").unwrap().clone();
    let before = unpriced.clone();
    BatchSupport { percent_of: vec!["another".to_owned()], ..support.clone() }.price(&mut unpriced);
    assert_eq!(unpriced, before, "said of another model");
    let usual = unpriced.prices.at(0).of(TokenClass::Input).unwrap();
    support.price(&mut unpriced);
    assert_eq!(price(&unpriced, TokenClass::Input).price.0 * 2, usual.0);
    let mut priced = catalogue.by_id("openai/gpt-4.1-mini").unwrap().clone();
    let before = priced.clone();
    BatchSupport { percent: Some(1), ..support }.price(&mut priced);
    assert_eq!(priced, before, "the catalogue goes before");
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
        let order = shown(inline.submit(&order("", None, &requests.into())));
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
        for form in FORMS {
            let api = api(form);
            let _ = (api.read(&bytes), api.read_page(&bytes, None), api.read_result(&bytes), api.read_upload("m", &bytes));
            let _ = api.read_uploads(&bytes, "m");
        }
    }
}

/// The batch API of a preset.
pub(super) fn of_preset(id: &str, model: &str) -> (BatchApi, Dialect) {
    use crate::upstream::{Account, Upstream};
    let account = Account {
        base_url: "https://api.example/v1".to_owned(),
        key: Some(trunkline_model::secret::Secret::new("k".to_owned())),
        signing: None,
        region: None,
        headers: Vec::new(),
        http2_cleartext: false,
    };
    let upstream = Upstream::new(&crate::preset::find(id).unwrap(), &account, model, None).unwrap();
    (upstream.batch.unwrap_or_else(|| panic!("{id}")), upstream.dialect)
}

#[test]
fn presets_that_have_one_reach_it() {
    for (id, model, submit) in [
        ("openai", "gpt-4.1-mini", "/batches"),
        ("anthropic", "claude-sonnet-4-5", "/messages/batches"),
        ("gemini", "gemini-2.5-flash", "/models/gemini-2.5-flash:batchGenerateContent"),
        ("mistral", "mistral-small-latest", "/batch/jobs"),
        ("together", "a-model", "/batches"),
        ("novita", "a-model", "/v1/batches"),
        ("zhipu", "a-model", "/batches"),
        ("parasail", "a-model", "/batches"),
        ("xai", "grok-4.3", "/batches"),
        ("openrouter", "openai/gpt-4o", "/batches"),
        ("doubleword", "a-model", "/batches"),
    ] {
        let (api, dialect) = of_preset(id, model);
        assert!(api.endpoint(dialect, Operation::Chat).is_some(), "{id}");
        let submitted = api.submit(&order("", Some("f"), &Bytes::new())).unwrap();
        assert_eq!(submitted.uri.path(), format!("/v1{submit}"));
    }
}
