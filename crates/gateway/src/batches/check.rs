//! The lines of an uploaded file, checked one by one.
//!
//! Owns what a line must have, and the words for what is wrong with it. Must not read files or send anything: bytes in, a line or
//! its mistake out. What can only be known when a line is sent (does the model exist, may the key use it) becomes the line's result.

use super::shown;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use trunkline_store::NewLine;

/// The longest `custom_id`, in bytes.
const LONGEST_NAME: usize = 512;

/// What is wrong with a batch's file, as its client sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Mistake {
    /// What kind of mistake.
    pub(super) code: &'static str,
    /// What is wrong.
    pub(super) message: String,
    /// Where in the line.
    pub(super) param: Option<String>,
    /// In which line, counted from 1.
    pub(super) line: Option<u64>,
}

impl Mistake {
    pub(super) fn of_file(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), param: None, line: None }
    }

    fn of_line(line: u64, code: &'static str, param: &str, message: impl Into<String>) -> Self {
        let param = (!param.is_empty()).then(|| param.to_owned());
        Self { code, message: message.into(), param, line: Some(line) }
    }

    /// A `custom_id` that another line has.
    pub(super) fn twice(line: u64) -> Self {
        let message = "this `custom_id` is that of an earlier line; each must be unique in its file";
        Self::of_line(line, "duplicate_custom_id", "custom_id", message)
    }
}

/// A line that is right, and the model it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) line: NewLine,
    pub(super) model: String,
}

#[derive(Deserialize)]
struct Form<'a> {
    #[serde(borrow)]
    custom_id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    url: Option<&'a RawValue>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    stream: Option<&'a RawValue>,
}

/// Checks a line of a batch of an endpoint.
///
/// # Errors
/// The first mistake in it.
pub(super) fn check(text: &[u8], number: u64, endpoint: &str, owner: &str) -> Result<Checked, Mistake> {
    let mistake = |code, param: &str, message: String| Err(Mistake::of_line(number, code, param, message));
    let form: Form<'_> = match serde_json::from_slice(text) {
        Ok(_) if !text.starts_with(b"{") => {
            let message = "this line is JSON, but not an object that describes a request".to_owned();
            return mistake("invalid_json_line", "", message);
        }
        Ok(form) => form,
        Err(error) => {
            let message = format!("this line is not JSON that describes a request: {error}");
            return mistake("invalid_json_line", "", message);
        }
    };
    let custom_id = text_of(form.custom_id, number, "custom_id")?;
    if custom_id.is_empty() || custom_id.len() > LONGEST_NAME {
        let message = format!("`custom_id` takes 1 to {LONGEST_NAME} bytes");
        return mistake("invalid_custom_id", "custom_id", message);
    }
    let method = text_of(form.method, number, "method")?;
    if method != "POST" {
        let message = format!("`method` must be POST, not `{}`", shown(&method));
        return mistake("invalid_method", "method", message);
    }
    let url = text_of(form.url, number, "url")?;
    if url != endpoint {
        let message = format!("`url` is `{}`, and the batch was created for `{endpoint}`", shown(&url));
        return mistake("mismatched_endpoint", "url", message);
    }
    let Some(body) = form.body else {
        return mistake("missing_required_parameter", "body", "`body` is missing".to_owned());
    };
    let parts = body.get().starts_with('{').then(|| serde_json::from_str::<Body<'_>>(body.get()).ok());
    let Some(Some(parts)) = parts else {
        let message = "`body` must be a JSON object: the body of the request".to_owned();
        return mistake("invalid_request", "body", message);
    };
    let model = text_of(parts.model, number, "body.model")?;
    if model.is_empty() {
        return mistake("missing_required_parameter", "body.model", "`body.model` is empty".to_owned());
    }
    if parts.stream.is_some_and(|stream| !matches!(stream.get(), "false" | "null")) {
        let message = "a line of a batch cannot be streamed; leave out `stream`".to_owned();
        return mistake("invalid_request", "body.stream", message);
    }
    let request = Bytes::copy_from_slice(body.get().as_bytes());
    Ok(Checked { line: NewLine { number, custom_id, target: target(owner, &model), request }, model })
}

/// What lines are held back together by: they need the same deployments, under the same limits.
pub(super) fn target(owner: &str, model: &str) -> String {
    format!("{owner}\n{model}")
}

fn text_of(value: Option<&RawValue>, line: u64, name: &str) -> Result<String, Mistake> {
    let Some(value) = value.filter(|value| value.get() != "null") else {
        let message = format!("`{name}` is missing");
        return Err(Mistake::of_line(line, "missing_required_parameter", name, message));
    };
    serde_json::from_str(value.get())
        .map_err(|_| Mistake::of_line(line, "invalid_request", name, format!("`{name}` must be a text")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m", "messages": []}}"#;

    fn wrong(text: &str) -> String {
        let mistake = check(text.as_bytes(), 7, "/v1/chat/completions", "ann").unwrap_err();
        serde_json::to_string(&mistake).unwrap()
    }

    #[test]
    fn a_line_is_its_name_and_the_bytes_of_its_request() {
        let checked = check(GOOD.as_bytes(), 3, "/v1/chat/completions", "ann").unwrap();
        assert_eq!((checked.line.custom_id.as_str(), checked.line.number), ("a", 3));
        assert_eq!(&checked.line.request[..], br#"{"model": "m", "messages": []}"#);
        assert_eq!((checked.model.as_str(), checked.line.target.as_str()), ("m", "ann\nm"));
    }

    #[test]
    fn mistakes_are_named_with_their_line_and_place() {
        let cases = [
            "{\"custom_id\": ",
            "[1]",
            r#"["a", "POST", "/v1/chat/completions", {"model": "m"}]"#,
            &GOOD.replace("\"custom_id\": \"a\", ", ""),
            &GOOD.replace("\"a\"", "\"\""),
            &GOOD.replace("\"a\"", "12"),
            &GOOD.replace("POST", "GET"),
            &GOOD.replace("/v1/chat/completions", "/v1/embeddings"),
            r#"{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions"}"#,
            &GOOD.replace("{\"model\": \"m\", \"messages\": []}", "[]"),
            &GOOD.replace("{\"model\": \"m\", \"messages\": []}", "[\"m\", null]"),
            &GOOD.replace("\"model\": \"m\", ", ""),
            &GOOD.replace("\"m\"", "3"),
            &GOOD.replace("\"messages\"", "\"stream\": true, \"messages\""),
        ];
        let told: Vec<String> = cases.iter().map(|case| wrong(case)).collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_it_panic_and_what_passes_keeps_its_bytes(text in ".{0,60}", cut in 0..120usize) {
            let _ = check(text.as_bytes(), 1, "/v1/chat/completions", "");
            let cut = &GOOD.as_bytes()[..cut.min(GOOD.len())];
            let checked = check(cut, 1, "/v1/chat/completions", "");
            proptest::prop_assert_eq!(checked.is_ok(), cut.len() == GOOD.len());
        }
    }
}
