//! What somebody says of an answer they got.
//!
//! Owns the form of feedback, its bounds and what it comes to as a number. Must not know where it is kept nor who may give it. A
//! label is open on purpose: `good` and `bad` are verdicts on the answer, every other one says what kind of request it was.

use crate::id::{Name, RequestId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest label, in bytes.
pub const LONGEST_LABEL: usize = 100;
/// The longest comment, in bytes.
pub const LONGEST_COMMENT: usize = 4_000;

/// What somebody said of one answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feedback {
    /// The request that was answered; its decision has the same id.
    pub id: RequestId,
    /// When it was said, in Unix milliseconds.
    #[serde(default)]
    pub given: u64,
    /// The virtual key that said it; `None` where there are no keys or it came from a file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<Name>,
    /// How good the answer was, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub score: Option<f64>,
    /// `good`, `bad`, or what kind of request it was: a class of examples, a tier.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub label: Option<Name>,
    /// Words for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub comment: Option<String>,
}

/// What is wrong with feedback and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct FeedbackError {
    /// The field; empty for the whole.
    pub field: &'static str,
    /// What is wrong and what to do.
    pub problem: String,
}

impl FeedbackError {
    fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self { field, problem: problem.into() }
    }
}

impl Feedback {
    /// Reads what was said: `{"decision": ID, "score": 0..1, "label": ..., "comment": ...}`. Who and when is not in it.
    ///
    /// # Errors
    /// The first field that is not what it should be.
    pub fn read(value: &Value) -> Result<Self, FeedbackError> {
        let Some(fields) = value.as_object() else {
            let problem = format!("expected an object, found {}", shown(value));
            return Err(FeedbackError::new("", problem));
        };
        const KNOWN: [&str; 5] = ["decision", "request_id", "score", "label", "comment"];
        if let Some(name) = fields.keys().find(|name| !KNOWN.contains(&name.as_str())) {
            let name: String = name.chars().take(40).collect();
            let problem = format!("`{name}` is not known here; there are {}", KNOWN.join(", "));
            return Err(FeedbackError::new("", problem));
        }
        let feedback = Self {
            id: id(value)?,
            given: 0,
            key: None,
            score: score(value)?,
            label: label(value)?,
            comment: text(value, "comment", LONGEST_COMMENT)?.map(str::to_owned),
        };
        match (feedback.score, feedback.verdict()) {
            (None, None) if feedback.label.is_none() => {
                let problem = "it says nothing: give a `score` from 0 to 1 or a `label`";
                Err(FeedbackError::new("score", problem))
            }
            (Some(_), Some(_)) => {
                let problem = "`good` and `bad` are scores themselves: give the label or the score";
                Err(FeedbackError::new("label", problem))
            }
            _ => Ok(feedback),
        }
    }

    /// How good the answer was, 0 to 1, where that was said.
    #[must_use]
    pub fn quality(&self) -> Option<f64> {
        self.score.or_else(|| self.verdict())
    }

    /// What kind of request it was, where that was said.
    #[must_use]
    pub fn class(&self) -> Option<&str> {
        self.label.as_deref().filter(|_| self.verdict().is_none())
    }

    fn verdict(&self) -> Option<f64> {
        match self.label.as_deref() {
            Some("good") => Some(1.0),
            Some("bad") => Some(0.0),
            _ => None,
        }
    }

    /// The word metrics count it under: `good` from a half on, `bad` below, `class` without a score.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.quality() {
            None => "class",
            Some(quality) if quality >= 0.5 => "good",
            Some(_) => "bad",
        }
    }
}

fn id(value: &Value) -> Result<RequestId, FeedbackError> {
    let read = |field: &'static str| {
        let Some(text) = text(value, field, 64)? else { return Ok(None) };
        let wrong = |error| FeedbackError::new(field, format!("failed to {error}"));
        text.parse::<RequestId>().map(Some).map_err(wrong)
    };
    match (read("decision")?, read("request_id")?) {
        (Some(one), Some(other)) if one != other => Err(FeedbackError::new(
            "request_id",
            "it is not the request of `decision`; one of them is enough",
        )),
        (Some(id), _) | (None, Some(id)) => Ok(id),
        (None, None) => {
            let problem = "it is missing: send the id in the answer's `x-trunkline-decision` header";
            Err(FeedbackError::new("decision", problem))
        }
    }
}

fn score(value: &Value) -> Result<Option<f64>, FeedbackError> {
    match value.get("score") {
        None | Some(Value::Null) => Ok(None),
        Some(found) => {
            let Some(score) = found.as_f64() else {
                let problem = format!("expected a number from 0 to 1, found {}", shown(found));
                return Err(FeedbackError::new("score", problem));
            };
            if (0.0..=1.0).contains(&score) {
                return Ok(Some(score));
            }
            Err(FeedbackError::new("score", format!("{score} is outside 0 to 1; scale it first")))
        }
    }
}

fn label(value: &Value) -> Result<Option<Name>, FeedbackError> {
    let Some(label) = text(value, "label", LONGEST_LABEL)? else { return Ok(None) };
    if label.is_empty() || label.trim() != label || label.chars().any(char::is_control) {
        let problem = "it is empty, or begins or ends with a blank, or holds a control character";
        return Err(FeedbackError::new("label", problem));
    }
    Ok(Some(label.into()))
}

fn text<'a>(value: &'a Value, field: &'static str, most: usize) -> Result<Option<&'a str>, FeedbackError> {
    match value.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= most => Ok(Some(text)),
        Some(Value::String(text)) => {
            let problem = format!("it has {} bytes, more than {most}", text.len());
            Err(FeedbackError::new(field, problem))
        }
        Some(found) => Err(FeedbackError::new(field, format!("expected a text, found {}", shown(found)))),
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    let end = text.floor_char_boundary(40);
    if end < text.len() { format!("{}...", &text[..end]) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const ID: &str = "01m7y3sqa53de31pj0tbt9nq1m";

    #[test]
    fn verdicts_are_scores_and_other_labels_are_classes() {
        let read = |value: Value| Feedback::read(&value).unwrap();
        let good = read(json!({"decision": ID, "label": "good"}));
        assert_eq!((good.quality(), good.class(), good.word()), (Some(1.0), None, "good"));
        let bad = read(json!({"request_id": format!("req_{ID}"), "label": "bad", "comment": "wrong city"}));
        assert_eq!((bad.quality(), bad.class(), bad.word()), (Some(0.0), None, "bad"));
        assert_eq!(bad.id, good.id);
        let both = read(json!({"decision": ID, "request_id": ID, "score": 0.25, "label": "billing"}));
        assert_eq!((both.quality(), both.class(), both.word()), (Some(0.25), Some("billing"), "bad"));
        let class = read(json!({"decision": ID, "label": "billing", "score": null}));
        assert_eq!((class.quality(), class.word()), (None, "class"));
    }

    #[test]
    fn every_mistake_is_named_with_its_field() {
        let wrong = [
            json!([1]),
            json!({}),
            json!({"decision": 5, "score": 1}),
            json!({"decision": "hello", "score": 1}),
            json!({"decision": ID, "request_id": "01m7y3sqa53de31pj0tbt9nq1n", "score": 1}),
            json!({"decision": ID}),
            json!({"decision": ID, "score": 1.5}),
            json!({"decision": ID, "score": "good"}),
            json!({"decision": ID, "score": true}),
            json!({"decision": ID, "label": 7}),
            json!({"decision": ID, "label": ""}),
            json!({"decision": ID, "label": "two\nlines"}),
            json!({"decision": ID, "label": "good", "score": 0.9}),
            json!({"decision": ID, "label": "x".repeat(LONGEST_LABEL + 1)}),
            json!({"decision": ID, "score": 1, "comment": ["no"]}),
            json!({"decision": ID, "score": 1, "comment": "x".repeat(LONGEST_COMMENT + 1)}),
            json!({"decision": ID, "scores": 1}),
        ];
        let told: Vec<String> = wrong
            .iter()
            .map(|value| {
                let error = Feedback::read(value).unwrap_err();
                format!("{}: {error}", error.field)
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    proptest! {
        #[test]
        fn what_is_read_is_within_bounds_and_survives_its_json(
            percent in prop::option::of(-100i32..200),
            label in prop::option::of("\\PC{0,120}"),
            comment in prop::option::of("\\PC{0,50}"),
        ) {
            let score = percent.map(|percent| f64::from(percent) / 100.0);
            let value = json!({"decision": ID, "score": score, "label": label, "comment": comment});
            if let Ok(feedback) = Feedback::read(&value) {
                prop_assert!(feedback.score.is_none_or(|score| (0.0..=1.0).contains(&score)));
                prop_assert!(feedback.quality().is_some() || feedback.class().is_some());
                let text = serde_json::to_string(&feedback).unwrap();
                prop_assert_eq!(serde_json::from_str::<Feedback>(&text).unwrap(), feedback);
            }
        }
    }
}
