//! The numbers of tokens in log-probabilities, which one dialect alone has.
//!
//! Owns the name they are carried by in the canonical entries and how they are left out for clients whose protocol has none. Must not
//! know which these are.

use serde_json::Value;
use std::borrow::Cow;
use trunkline_model::json::Json;

/// The member of a canonical entry.
pub(crate) const NAME: &str = "token_id";

/// Log-probabilities as chat completions have them.
pub(crate) fn without(json: &Json) -> Cow<'_, Json> {
    // In a text the quotes would be escaped: no token can be mistaken for the member.
    if memchr::memmem::find(json.text().as_bytes(), b"\"token_id\":").is_none() {
        return Cow::Borrowed(json);
    }
    let mut value = json.value();
    for list in ["content", "refusal"] {
        value.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().for_each(leave_out);
    }
    Cow::Owned(Json::of(&value))
}

/// Takes the numbers out of an entry and of its alternatives.
pub(crate) fn leave_out(entry: &mut Value) {
    let Value::Object(fields) = entry else { return };
    fields.shift_remove(NAME);
    fields.get_mut("top_logprobs").and_then(Value::as_array_mut).into_iter().flatten().for_each(leave_out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_left_out_and_texts_that_look_like_them_are_not() {
        let entry = r#"{"token":"\"token_id\":1","logprob":-0.5,"bytes":null,"top_logprobs":["#;
        let read = |text: String| Json::parse(text).unwrap();
        let plain = read(format!(r#"{{"content":[{entry}]}}],"refusal":null}}"#));
        assert!(matches!(without(&plain), Cow::Borrowed(_)));
        let numbered = read(format!(
            r#"{{"content":[{}{{"token":"b","token_id":-7,"logprob":-1.25}}],"token_id":9}}],"refusal":null}}"#,
            entry.replacen("\"logprob\"", "\"token_id\":0,\"logprob\"", 1)
        ));
        insta::assert_snapshot!(without(&numbered).text(), @r#"{"content":[{"token":"\"token_id\":1","logprob":-0.5,"bytes":null,"top_logprobs":[{"token":"b","logprob":-1.25}]}],"refusal":null}"#);
    }
}
