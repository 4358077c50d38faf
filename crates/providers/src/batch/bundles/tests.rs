//! What goes to a batch API that takes lines and gives results in one body, and what is read of its answers.

use super::super::tests::{of_preset, order, shown, two_lines};
use super::super::{Progress, TheirEnd};
use bytes::Bytes;
use serde_json::{Value, json};

const DONE: &str = r#"{"id": "batch_1", "object": "batch", "endpoint": "/v1/chat/completions", "model": "openai/gpt-4o",
    "completion_window": "24h", "status": "completed", "created_at": 9, "finalized_at": 10,
    "request_counts": {"total": 2, "completed": 1, "failed": 1}, "usage": {"prompt_tokens": 20, "cost": 0.000225},
    "results": [
        {"id": "batch_req_1", "custom_id": "a-1", "response": {"status_code": 200, "request_id": "request_1", "body": {"id": "gen-1"}},
         "error": null},
        {"id": "batch_req_2", "custom_id": "a-2", "response": null, "error": {"code": "invalid", "message": "no such tool"}}],
    "error": null}"#;

#[test]
fn lines_stand_in_the_order_behind_what_they_ask() {
    let (api, _) = of_preset("openrouter", "openai/gpt-4o");
    let lines = two_lines(&api);
    assert_eq!(shown(api.upload("01ab", &lines)), "none");
    insta::assert_snapshot!(shown(api.submit(&order("/v1/chat/completions", None, &lines))), @r#"
    POST https://api.example/v1/batches application/json
    {"endpoint":"/v1/chat/completions","model":"openai/gpt-4o","requests":[{"custom_id":"a-1","body":{"x": 1}},{"custom_id":"a-2","body":{}}]}
    "#);
    assert_eq!(shown(api.cancel("batch_1")), "none");
    let listed = |cursor| api.list(cursor).map(|request| request.uri.to_string());
    assert_eq!(listed(None).as_deref(), Some("https://api.example/v1/batches?limit=100"));
    assert_eq!(
        listed(Some("batch_1")).as_deref(),
        Some("https://api.example/v1/batches?limit=100&after=batch_1")
    );
    assert_eq!(listed(Some("../keys")), None);
}

#[test]
fn results_are_read_from_the_batch_itself() {
    let (api, _) = of_preset("openrouter", "openai/gpt-4o");
    let body = Bytes::from_static(DONE.as_bytes());
    let done = api.read(&body).unwrap();
    assert_eq!((&done.progress, done.created, done.lines), (&Progress::Ended, Some(9), Some(2)));
    assert_eq!(api.is_marked(&done, "01ab"), None);
    let [fetch] = &api.results(&done)[..] else { panic!("one call") };
    assert_eq!(fetch.uri.path(), "/v1/batches/batch_1");
    let page = api.read_result_page(&done, &body).unwrap();
    assert_eq!(page.next, None);
    let ends: Vec<_> = page.results.into_iter().map(Result::unwrap).map(|one| (one.name, one.end)).collect();
    let answer = TheirEnd::Answered(Bytes::from_static(br#"{"id": "gen-1"}"#), Some("request_1".to_owned()));
    let failed = TheirEnd::Failed("no such tool".to_owned());
    assert_eq!(ends, [("a-1".to_owned(), answer), ("a-2".to_owned(), failed)]);
    assert_eq!(api.discard(&done).len(), 1);
}

#[test]
fn every_state_is_known_and_one_without_results_answered_nothing() {
    let (api, _) = of_preset("openrouter", "openai/gpt-4o");
    let told = |status: &str| {
        let text = json!({"id": "batch_1", "status": status, "created_at": 9, "results": null, "error": {"message": "too big"}});
        Bytes::from(text.to_string())
    };
    for (status, progress) in [
        ("validating", Progress::Running),
        ("in_progress", Progress::Running),
        ("finalizing", Progress::Running),
        ("cancelling", Progress::Stopping),
        ("cancelled", Progress::Ended),
        ("expired", Progress::Ended),
        ("failed", Progress::Refused("too big".to_owned())),
    ] {
        let read = api.read(&told(status)).unwrap();
        assert_eq!(read.progress, progress, "{status}");
        assert!(api.read_result_page(&read, &told(status)).unwrap().results.is_empty());
    }
    assert!(api.read(&told("lost")).is_err());
    assert!(api.read(br#"{"id": "../keys", "status": "completed"}"#).is_err());
}

#[test]
fn lines_that_a_batch_refuses_or_charges_otherwise_stay() {
    let (api, _) = of_preset("openrouter", "openai/gpt-4o");
    let with = |model: &str, more: Value| {
        let mut body = json!({"model": model, "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]});
        for (name, value) in more.as_object().unwrap() {
            body[name.as_str()] = value.clone();
        }
        api.takes("/v1/chat/completions", &|| body.to_string().into_bytes())
    };
    assert!(with("openai/gpt-4o", json!({"temperature": 0, "tools": [{"type": "function"}]})));
    assert!(with("openai/gpt-4o", json!({"response_format": {"type": "json_object"}})));
    assert!(with("openai/gpt-4o", json!({"input": [{"type": "function_call_output", "output": "x"}]})));
    for more in [
        json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]}),
        json!({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "u"}]}]}),
        json!({"modalities": ["text", "audio"]}),
        json!({"provider": {"zdr": true}}),
        json!({"plugins": [{"id": "web"}]}),
        json!({"tools": [{"type": "openrouter:web_search"}]}),
    ] {
        assert!(!with("openai/gpt-4o", more.clone()), "{more}");
    }
    // All of a batch, or none.
    assert!(!with("google/gemini-3-flash", json!({"response_format": {"type": "json_object"}})));
    assert!(!api.takes("/v1/chat/completions", &|| b"nonsense".to_vec()));
}
