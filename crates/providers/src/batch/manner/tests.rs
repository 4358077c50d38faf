//! What goes to those who copied a form and changed something, and what is read of their answers.

use super::super::tests::{of_preset, order, shown, two_lines};
use super::super::{Progress, TheirEnd};
use bytes::Bytes;

/// Those who copied the form `files` and changed something: each with its batch as it answers an order, and as it tells one that is over.
const MANNERS: [(&str, &str, &str); 3] = [
    (
        "together",
        r#"{"job": {"id": "0123-45", "user_id": "u", "input_file_id": "file-in", "status": "VALIDATING", "created_at": "1970-01-01T00:00:09Z"},
        "warning": ""}"#,
        r#"{"id": "0123-45", "input_file_id": "file-in", "status": "COMPLETED", "created_at": "1970-01-01T00:00:09Z", "progress": 100,
        "output_file_id": "file-out"}"#,
    ),
    (
        "novita",
        r#"{"id": "batch_1", "input_file_id": "file_in", "output_file_id": "", "error_file_id": "", "status": "validating", "errors": "",
        "created_at": "1970-01-01T08:00:09.949816948+08:00", "metadata": null, "request_counts": {"total": 0}}"#,
        r#"{"id": "batch_1", "input_file_id": "file_in", "output_file_id": "file_out", "error_file_id": "", "status": "COMPLETED", "errors": "",
        "created_at": "1970-01-01T08:00:09.949816948+08:00", "metadata": null, "request_counts": {"total": 2}}"#,
    ),
    (
        "zhipu",
        r#"{"id": "batch_1", "object": "batch", "input_file_id": "1791_in", "status": "validating", "created_at": 9, "request_counts": 0,
        "metadata": {"trunkline_handover": "01ab"}}"#,
        r#"{"id": "batch_1", "object": "batch", "input_file_id": "1791_in", "status": "completed", "created_at": 9, "request_counts": {"total": 2},
        "output_file_id": "1791_out", "metadata": {"trunkline_handover": "01ab"}}"#,
    ),
];

#[test]
fn what_copies_of_a_form_changed_is_data() {
    let calls: Vec<String> = MANNERS
        .iter()
        .map(|(id, ..)| {
            let (api, _) = of_preset(id, "a-model");
            let lines = two_lines(&api);
            let order = order("/v1/chat/completions", Some("file-in"), &lines);
            let all = [api.upload("01ab", &lines), api.submit(&order), api.list(None), api.uploads("01ab")];
            let all: Vec<String> = all.into_iter().map(shown).collect();
            format!("# {id}, {} hours\n{}", api.window / 3_600, all.join("\n"))
        })
        .collect();
    insta::assert_snapshot!(calls.join("\n"));
}

#[test]
fn what_copies_of_a_form_answer_is_read() {
    for (id, made, done) in MANNERS {
        let (api, _) = of_preset(id, "a-model");
        let made = api.read(made.as_bytes()).unwrap();
        assert_eq!((made.progress, made.created, made.lines), (Progress::Running, Some(9), None), "{id}");
        let read = api.read(done.as_bytes()).unwrap();
        assert_eq!((&read.id, &read.progress), (&made.id, &Progress::Ended), "{id}");
        assert_eq!((api.results(&read).len(), api.discard(&read).len()), (1, 2), "{id}");
        // Found again by the mark, or by the file of its lines.
        assert_eq!(api.is_marked(&read, "01ab"), Some(id == "zhipu"), "{id}");
        assert!(read.input.is_some_and(|input| input.ends_with("in")), "{id}");
        let page = if id == "together" { format!("[{done}]") } else { format!("{{\"data\": [{done}]}}") };
        assert_eq!(api.read_page(page.as_bytes(), None).unwrap().batches.len(), 1, "{id}");
    }
    let (novita, _) = of_preset("novita", "a-model");
    let status =
        |status: &str| novita.read(format!(r#"{{"id": "b", "status": "{status}"}}"#).as_bytes()).unwrap();
    assert_eq!(status("PROGRESS").progress, Progress::Running);
    assert_eq!(status("CANCELLING").progress, Progress::Stopping);
    let (together, _) = of_preset("together", "a-model");
    let failed = together.read(br#"{"id": "b", "status": "FAILED", "error": "no such model"}"#).unwrap();
    assert_eq!(failed.progress, Progress::Refused("no such model".to_owned()));
    let line = Bytes::from_static(
        br#"{"custom_id": "a", "error": {"message": "Request timeout", "code": "timeout"}}"#,
    );
    assert_eq!(together.read_result(&line).unwrap().end, TheirEnd::Failed("Request timeout".to_owned()));
}
