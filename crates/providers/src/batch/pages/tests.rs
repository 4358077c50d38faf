//! What goes to an API whose batches have counts and whose results have pages, and what is read of its answers.

use super::super::tests::{api, order, shown, two_lines};
use super::super::{BatchForm, Progress, TheirBatch, TheirEnd};
use bytes::Bytes;

#[test]
fn counts_tell_how_far_a_batch_is() {
    let api = api(BatchForm::Pages);
    let lines = two_lines(&api);
    insta::assert_snapshot!(shown(api.submit(&order("/v1/chat/completions", Some("file_1"), &lines))), @r#"
    POST https://api.example/v1/batches application/json
    {"name":"trunkline-01ab","input_file_id":"file_1"}
    "#);
    assert_eq!(api.cancel("batch_1").unwrap().uri, "https://api.example/v1/batches/batch_1:cancel");
    let batch = |counts: [u64; 4], cancelled: &str, message: &str| {
        let [all, pending, success, error] = counts;
        format!(
            r#"{{"batch_id": "batch_1", "name": "trunkline-01ab", "create_time": "2026-08-28", "cancel_time": {cancelled},
            "cancel_by_xai_message": {message}, "input_file_id": "file_1", "state": {{"num_requests": {all}, "num_pending": {pending},
            "num_success": {success}, "num_error": {error}, "num_cancelled": 0}}}}"#
        )
    };
    let (at, why) = ("\"2026-08-28\"", "\"JSONL file validation failed\"");
    for (counts, cancelled, message, progress) in [
        ([0; 4], "null", "null", Progress::Running),
        ([2, 1, 1, 0], "null", "null", Progress::Running),
        ([2, 1, 1, 0], at, "null", Progress::Stopping),
        ([2, 0, 1, 1], "null", "null", Progress::Ended),
        ([2, 0, 1, 0], at, "null", Progress::Ended),
        ([0; 4], at, "null", Progress::Ended),
        ([0; 4], at, why, Progress::Refused("JSONL file validation failed".to_owned())),
        ([2, 0, 1, 0], at, why, Progress::Ended),
    ] {
        let read = api.read(batch(counts, cancelled, message).as_bytes()).unwrap();
        assert_eq!(read.progress, progress, "{counts:?} {cancelled} {message}");
        assert_eq!(api.is_marked(&read, "01ab"), Some(true));
    }
    let read = api.read(batch([2, 0, 2, 0], "null", "null").as_bytes()).unwrap();
    assert_eq!((read.input.as_deref(), read.lines, api.discard(&read).len()), (Some("file_1"), Some(2), 1));
    let page = format!(r#"{{"batches": [{}], "pagination_token": "x/="}}"#, batch([0; 4], "null", "null"));
    assert_eq!(api.read_page(page.as_bytes(), None).unwrap().next.as_deref(), Some("x/="));
    assert_eq!(api.read_page(br#"{"batches": [], "pagination_token": "x"}"#, None).unwrap().next, None);
}

#[test]
fn results_come_in_pages() {
    let api = api(BatchForm::Pages);
    assert!(api.has_result_pages());
    let batch = TheirBatch { id: "batch_1".to_owned(), ..TheirBatch::nothing() };
    assert_eq!(api.results(&batch)[0].uri, "https://api.example/v1/batches/batch_1/results?limit=100");
    let page = Bytes::from_static(
        br#"{"results": [
        {"batch_request_id": "a", "batch_result": {"response": {"chat_get_completion": {"id": "c", "x": 1.0}}}},
        {"batch_request_id": "b", "batch_result": {"error": "max_tokens must be positive"}},
        {"batch_request_id": "c", "batch_result": {"error": "Batch cancelled"}},
        {"batch_request_id": "d", "batch_result": {"error": {"code": 3, "message": "boom"}}},
        {"batch_request_id": "e", "batch_result": {}},
        {"odd": true}], "pagination_token": "a&b"}"#,
    );
    let read = api.read_result_page(&batch, &page).unwrap();
    let next = read.next.unwrap().uri;
    assert_eq!(next.query(), Some("limit=100&pagination_token=a%26b"));
    let ends: Vec<Option<TheirEnd>> = read.results.into_iter().map(|result| Some(result.ok()?.end)).collect();
    let failed = |why: &str| Some(TheirEnd::Failed(why.to_owned()));
    let expected = [
        Some(TheirEnd::Answered(Bytes::from_static(br#"{"id": "c", "x": 1.0}"#), None)),
        failed("max_tokens must be positive"),
        Some(TheirEnd::NotRun),
        failed("boom"),
        failed("no reason was given"),
        None,
    ];
    assert_eq!(ends, expected);
    assert_eq!(api.read_result_page(&batch, &Bytes::from_static(b"{}")).unwrap().next, None);
}

#[test]
fn what_a_batch_answers_otherwise_is_left_to_requests_of_the_moment() {
    let api = api(BatchForm::Pages);
    let takes = |body: &str| api.takes("/v1/chat/completions", &|| body.as_bytes().to_vec());
    for plain in [
        r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": null}]}"#,
        r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}], "tools": [{"type": "function"}]}"#,
    ] {
        assert!(takes(plain), "{plain}");
    }
    for other in [
        r#"{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}"#,
        r#"{"messages": [], "tools": [{"type": "web_search"}]}"#,
        r#"{"messages": [], "search_parameters": {"mode": "auto"}}"#,
    ] {
        assert!(!takes(other), "{other}");
    }
}
