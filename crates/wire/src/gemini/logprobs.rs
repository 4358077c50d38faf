//! Log-probabilities between Gemini's form and the canonical one.
//!
//! Owns `logprobsResult`: the tokens chosen and, step by step, the likeliest ones. Must not know candidates. The canonical form
//! carries the numbers of tokens for clients of this dialect; Gemini has no bytes: they follow from the text, but where a token is a
//! piece of a character, which nobody can tell from its text. Source: `LogprobsResult` in `generative_service.proto`.

use crate::json_text::JsonText;
use crate::token_ids;
use bytes::BytesMut;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use trunkline_model::json::Json;

/// What OpenAI's specification gives for a token that is practically impossible, where Gemini has no finite number.
const IMPOSSIBLE: f64 = -9999.0;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireResult {
    #[serde(default)]
    chosen_candidates: Vec<WireToken>,
    #[serde(default)]
    top_candidates: Vec<WireStep>,
}

#[derive(Deserialize)]
struct WireStep {
    #[serde(default)]
    candidates: Vec<WireToken>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireToken {
    #[serde(default)]
    token: String,
    /// A number; whatever else it is must not cost the rest.
    #[serde(default)]
    token_id: Option<Value>,
    /// The JSON form of protocol buffers leaves zeros out, and writes what is not finite as a string.
    #[serde(default)]
    log_probability: WireNumber,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WireNumber {
    Finite(f64),
    Word(String),
}

impl Default for WireNumber {
    fn default() -> Self {
        Self::Finite(0.0)
    }
}

impl WireNumber {
    fn value(&self) -> f64 {
        match self {
            Self::Finite(value) => *value,
            Self::Word(word) => {
                word.parse().ok().filter(|value: &f64| value.is_finite()).unwrap_or(IMPOSSIBLE)
            }
        }
    }
}

/// A result in canonical form; nothing when it has no chosen tokens or is of another shape.
pub(super) fn canonical(result: &RawValue) -> Option<Json> {
    let result: WireResult = serde_json::from_str(result.get()).ok()?;
    if result.chosen_candidates.is_empty() {
        return None;
    }
    let mut out = BytesMut::with_capacity(result.chosen_candidates.len() * 96);
    out.open_object();
    out.key("content");
    out.open_array();
    for (step, chosen) in result.chosen_candidates.iter().enumerate() {
        open_entry(chosen, &mut out);
        out.key("top_logprobs");
        out.open_array();
        for token in result.top_candidates.get(step).map_or(&[][..], |step| &step.candidates) {
            open_entry(token, &mut out);
            out.close_object();
        }
        out.close_array();
        out.close_object();
    }
    out.close_array();
    out.key("refusal");
    out.null();
    out.close_object();
    Json::parse(String::from_utf8(out.to_vec()).ok()?).ok()
}

fn open_entry(token: &WireToken, out: &mut BytesMut) {
    out.open_object();
    out.field("token", &token.token);
    write_number(token_ids::NAME, token.token_id.as_ref(), out);
    out.key("logprob");
    out.float(token.log_probability.value());
    out.key("bytes");
    if token.token.contains(char::REPLACEMENT_CHARACTER) {
        out.null();
        return;
    }
    out.open_array();
    token.token.bytes().for_each(|byte| out.unsigned(u64::from(byte)));
    out.close_array();
}

#[derive(Default, Deserialize)]
struct Lists {
    #[serde(default)]
    content: Option<Vec<Entry>>,
    #[serde(default)]
    refusal: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    token: String,
    #[serde(default)]
    token_id: Option<Value>,
    #[serde(default)]
    logprob: Option<f64>,
    #[serde(default)]
    top_logprobs: Option<Vec<Entry>>,
}

/// Canonical log-probabilities on their way into a candidate.
///
/// A stream writes and forgets them with each of its chunks; only the figures for the mean stay.
#[derive(Default)]
pub(super) struct Pending {
    chosen: BytesMut,
    top: BytesMut,
    has_alternatives: bool,
    /// Of the entries not written yet.
    sum: f64,
    total: f64,
    count: u32,
}

impl Pending {
    /// Takes the entries of one event.
    pub(super) fn push(&mut self, json: &Json) {
        let lists: Lists = json.read().unwrap_or_default();
        for entry in lists.content.into_iter().chain(lists.refusal).flatten() {
            let value = entry.logprob.unwrap_or_default();
            self.sum += value;
            self.total += value;
            self.count += 1;
            write_token(&entry, &mut self.chosen);
            self.top.open_object();
            self.top.key("candidates");
            self.top.open_array();
            for other in entry.top_logprobs.iter().flatten() {
                self.has_alternatives = true;
                write_token(other, &mut self.top);
            }
            self.top.close_array();
            self.top.close_object();
        }
    }

    /// Writes what was not written yet as a member of a candidate.
    pub(super) fn write(&mut self, out: &mut BytesMut) {
        if self.chosen.is_empty() {
            return;
        }
        out.key("logprobsResult");
        out.open_object();
        if self.has_alternatives {
            write_list("topCandidates", &self.top, out);
        }
        write_list("chosenCandidates", &self.chosen, out);
        out.key("logProbabilitySum");
        out.float(self.sum);
        out.close_object();
        self.chosen.clear();
        self.top.clear();
        self.sum = 0.0;
        self.has_alternatives = false;
    }

    /// Writes the mean of all entries as a member of a candidate.
    pub(super) fn write_mean(&self, out: &mut BytesMut) {
        if self.count > 0 {
            out.key("avgLogprobs");
            out.float(self.total / f64::from(self.count));
        }
    }
}

fn write_token(entry: &Entry, out: &mut BytesMut) {
    out.open_object();
    out.field("token", &entry.token);
    write_number("tokenId", entry.token_id.as_ref(), out);
    if let Some(value) = entry.logprob {
        out.key("logProbability");
        out.float(value);
    }
    out.close_object();
}

fn write_number(name: &str, id: Option<&Value>, out: &mut BytesMut) {
    if let Some(id) = id.and_then(Value::as_i64) {
        out.key(name);
        out.signed(id);
    }
}

fn write_list(name: &str, elements: &BytesMut, out: &mut BytesMut) {
    out.key(name);
    out.extend_from_slice(b"[");
    out.extend_from_slice(elements);
    out.close_array();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<Json> {
        canonical(&RawValue::from_string(text.to_owned()).unwrap())
    }

    fn written(json: &Json) -> String {
        let mut pending = Pending::default();
        pending.push(json);
        let mut out = BytesMut::from(&b"{"[..]);
        pending.write(&mut out);
        pending.write_mean(&mut out);
        out.close_object();
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn the_tokens_chosen_and_their_rivals_cross_over() {
        let json = read(
            r#"{"topCandidates":[{"candidates":[{"token":"Hé","tokenId":7,"logProbability":-0.25},{"token":"Ho"}]}, {}],
                "chosenCandidates":[{"token":"Hé","tokenId":7,"logProbability":-0.25},{"token":"\ufffd","logProbability":"-Infinity"}]}"#,
        )
        .unwrap();
        insta::assert_snapshot!(json.text(), @r#"{"content":[{"token":"Hé","token_id":7,"logprob":-0.25,"bytes":[72,195,169],"top_logprobs":[{"token":"Hé","token_id":7,"logprob":-0.25,"bytes":[72,195,169]},{"token":"Ho","logprob":0,"bytes":[72,111]}]},{"token":"�","logprob":-9999,"bytes":null,"top_logprobs":[]}],"refusal":null}"#);
        insta::assert_snapshot!(written(&json), @r#"{"logprobsResult":{"topCandidates":[{"candidates":[{"token":"Hé","tokenId":7,"logProbability":-0.25},{"token":"Ho","logProbability":0}]},{"candidates":[]}],"chosenCandidates":[{"token":"Hé","tokenId":7,"logProbability":-0.25},{"token":"�","logProbability":-9999}],"logProbabilitySum":-9999.25},"avgLogprobs":-4999.625}"#);
    }

    #[test]
    fn what_says_nothing_of_chosen_tokens_is_nothing() {
        for text in ["{}", r#"{"chosenCandidates":[]}"#, r#"{"topCandidates":[{}]}"#, "[]", "null", "7"] {
            assert_eq!(read(text), None, "{text}");
        }
        for text in ["{}", r#"{"content":null,"refusal":null}"#, "[]", "null", r#"{"chosenCandidates":[]}"#] {
            assert_eq!(written(&Json::parse(text.to_owned()).unwrap()), "{}", "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost(tokens in proptest::collection::vec(("[^\u{fffd}]{0,6}", -50.0_f64..0.0, any::<i32>()), 1..8)) {
            let entries: Vec<_> = tokens
                .iter()
                .map(|(token, value, id)| serde_json::json!({"token": token, "token_id": id, "logprob": value, "bytes": token.as_bytes(), "top_logprobs": []}))
                .collect();
            let json = Json::of(&serde_json::json!({"content": entries, "refusal": null}));
            let result: serde_json::Value = serde_json::from_str(&written(&json)).unwrap();
            let again = read(&result["logprobsResult"].to_string()).unwrap();
            prop_assert_eq!(again.value(), json.value());
        }
    }
}
