//! Checks that need nothing but the answer and what the request asked for.
//!
//! Owns each check and the words for what it found. Must not ask anyone. A check that cannot be applied (no schema was asked
//! for, no log-probabilities came) says so by passing or failing as its own documentation states, never at random.

use super::answer::Answer;
use super::condition::AnswerCondition;
use regex::Regex;
use serde_json::Value;
use std::fmt;
use trunkline_model::event::Finish;

/// One check.
#[derive(Clone, Debug)]
pub enum Check {
    /// The text is one JSON value, and so are the arguments of every tool call.
    Json,
    /// The text fits the schema that the request gave. Without a schema: as [`Check::Json`] where the request asked for a
    /// JSON object, otherwise it passes.
    JsonSchema,
    /// It is no refusal: not marked as one, and not worded like one.
    NotRefusal,
    /// It was not cut off by a limit, and is not empty.
    Complete,
    /// The text matches.
    Matches(Regex),
    /// A rule over the answer holds. One that cannot be evaluated does not.
    Condition(AnswerCondition),
    /// The mean log-probability of its tokens is at least this. Without log-probabilities it passes: a check that always
    /// fails would send everything to the dear model.
    Confidence {
        /// A natural logarithm, below 0.
        least: f64,
    },
}

impl Check {
    /// The name used in configuration, warnings, logs and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::JsonSchema => "json_schema",
            Self::NotRefusal => "not_refusal",
            Self::Complete => "complete",
            Self::Matches(_) => "matches",
            Self::Condition(_) => "condition",
            Self::Confidence { .. } => "confidence",
        }
    }
}

/// What the request said its answer must be.
#[derive(Debug, Default)]
pub enum Expected {
    /// Nothing in particular.
    #[default]
    Anything,
    /// Some JSON object.
    Object,
    /// JSON of this schema.
    Schema(Box<jsonschema::Validator>),
    /// JSON of a schema that is none, which is the client's mistake and checks nothing but syntax.
    Unreadable,
}

impl Expected {
    /// The expectation of a schema as the client wrote it.
    #[must_use]
    pub fn of_schema(schema: &str) -> Self {
        let Ok(schema) = serde_json::from_str::<Value>(schema) else { return Self::Unreadable };
        match jsonschema::validator_for(&schema) {
            Ok(validator) => Self::Schema(Box::new(validator)),
            Err(_) => Self::Unreadable,
        }
    }
}

/// What a check found wanting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortcoming {
    /// The check's name.
    pub check: &'static str,
    /// What is wrong, in a short lower-case phrase that repeats nothing of the answer.
    pub why: String,
}

impl fmt::Display for Shortcoming {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.check, self.why)
    }
}

/// Applies checks in order.
///
/// # Errors
/// What the first one that failed found.
pub fn examine(checks: &[Check], answer: &Answer, expected: &Expected) -> Result<(), Shortcoming> {
    for check in checks {
        apply(check, answer, expected).map_err(|why| Shortcoming { check: check.name(), why })?;
    }
    Ok(())
}

fn apply(check: &Check, answer: &Answer, expected: &Expected) -> Result<(), String> {
    match check {
        Check::Json => json(answer),
        Check::JsonSchema => json_schema(answer, expected),
        Check::NotRefusal => not_refusal(answer),
        Check::Complete => complete(answer),
        Check::Matches(pattern) if pattern.is_match(&answer.text) => Ok(()),
        Check::Matches(_) => Err("the text does not match the pattern".to_owned()),
        Check::Condition(condition) => match condition.holds(answer) {
            Ok(true) => Ok(()),
            Ok(false) => Err("the rule does not hold".to_owned()),
            Err(fault) => Err(format!("the rule cannot be told: {fault}")),
        },
        Check::Confidence { least } => match answer.mean_log_probability() {
            Some(mean) if mean < *least => {
                Err(format!("the mean log-probability is {mean:.3}, below {least}"))
            }
            _ => Ok(()),
        },
    }
}

fn json(answer: &Answer) -> Result<(), String> {
    for call in &answer.calls {
        if !call.arguments.trim().is_empty() && parsed(&call.arguments).is_err() {
            return Err(format!("the arguments of the call of `{}` are not JSON", call.name));
        }
    }
    if !answer.calls.is_empty() && answer.text.trim().is_empty() {
        return Ok(());
    }
    parsed(&answer.text).map(drop)
}

fn json_schema(answer: &Answer, expected: &Expected) -> Result<(), String> {
    if !answer.calls.is_empty() && answer.text.trim().is_empty() {
        // It wants tools called first; the text comes in a later turn.
        return json(answer);
    }
    match expected {
        Expected::Anything => Ok(()),
        Expected::Unreadable => json(answer),
        Expected::Object => match parsed(&answer.text)? {
            Value::Object(_) => Ok(()),
            _ => Err("the JSON is no object".to_owned()),
        },
        Expected::Schema(schema) => {
            let value = parsed(&answer.text)?;
            match schema.iter_errors(&value).next() {
                None => Ok(()),
                Some(error) => {
                    let place = error.instance_path().to_string();
                    let place = if place.is_empty() { "its top level".to_owned() } else { place };
                    Err(format!("the JSON breaks the schema at {place}"))
                }
            }
        }
    }
}

fn parsed(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Eof => "the text ends before its JSON is complete".to_owned(),
        _ => format!("the text is not JSON (line {}, column {})", error.line(), error.column()),
    })
}

fn complete(answer: &Answer) -> Result<(), String> {
    if answer.finish == Some(Finish::Length) || answer.clipped {
        return Err("it was cut off by the output limit".to_owned());
    }
    if answer.text.trim().is_empty() && answer.calls.is_empty() {
        return Err("it is empty".to_owned());
    }
    Ok(())
}

/// How refusals begin, in lower case with plain apostrophes. Only the beginning of a text is compared: a story in which
/// somebody apologises is no refusal.
const REFUSALS: [&str; 18] = [
    "i'm sorry, but i can't",
    "i'm sorry, but i cannot",
    "i'm sorry, i can't",
    "i am sorry, but i can",
    "sorry, but i can't",
    "sorry, i can't",
    "i can't assist",
    "i cannot assist",
    "i can't help with",
    "i cannot help with",
    "i can't provide",
    "i cannot provide",
    "i'm unable to",
    "i am unable to",
    "i'm not able to",
    "i am not able to",
    "i won't be able to",
    "as an ai language model, i can",
];
/// So much of a text is compared, in characters.
const REFUSAL_HEAD: usize = 80;

fn not_refusal(answer: &Answer) -> Result<(), String> {
    if answer.declined {
        return Err("the provider marked it as a refusal".to_owned());
    }
    let head: String = answer
        .text
        .trim_start()
        .chars()
        .take(REFUSAL_HEAD)
        .map(|letter| if letter == '\u{2019}' { '\'' } else { letter.to_ascii_lowercase() })
        .collect();
    if answer.calls.is_empty() && REFUSALS.iter().any(|refusal| head.starts_with(refusal)) {
        return Err("it is worded like a refusal".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Answer {
        Answer { text: text.to_owned(), finish: Some(Finish::Stop), ..Answer::default() }
    }

    fn found(check: Check, answer: &Answer, expected: &Expected) -> String {
        match examine(&[check], answer, expected) {
            Ok(()) => "passed".to_owned(),
            Err(shortcoming) => shortcoming.to_string(),
        }
    }

    #[test]
    fn each_check_says_what_it_found() {
        let schema = Expected::of_schema(
            r#"{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}"#,
        );
        let cut = Answer { finish: Some(Finish::Length), ..said("a long") };
        let call = |arguments: &str| Answer {
            calls: vec![super::super::ToolCall { name: "add".into(), arguments: arguments.into() }],
            ..Answer::default()
        };
        let regex = || Check::Matches(Regex::new("^[0-9]+$").unwrap());
        let lines = [
            found(Check::Json, &said("{\"n\": 1}"), &Expected::Anything),
            found(Check::Json, &said("{\"n\": "), &Expected::Anything),
            found(Check::Json, &said("Here you are: {}"), &Expected::Anything),
            found(Check::Json, &call("{\"a\":"), &Expected::Anything),
            found(Check::Json, &call("{\"a\":1}"), &Expected::Anything),
            found(Check::JsonSchema, &said("anything"), &Expected::Anything),
            found(Check::JsonSchema, &said("[]"), &Expected::Object),
            found(Check::JsonSchema, &said("{\"n\": 1}"), &schema),
            found(Check::JsonSchema, &said("{\"n\": \"1\"}"), &schema),
            found(Check::JsonSchema, &said("{}"), &schema),
            found(Check::JsonSchema, &said("{}"), &Expected::of_schema("{\"type\": 5}")),
            found(
                Check::NotRefusal,
                &said("I\u{2019}m sorry, but I can\u{2019}t help."),
                &Expected::Anything,
            ),
            found(Check::NotRefusal, &said("He said: I'm sorry, but I can't."), &Expected::Anything),
            found(Check::NotRefusal, &Answer { declined: true, ..Answer::default() }, &Expected::Anything),
            found(Check::Complete, &cut, &Expected::Anything),
            found(Check::Complete, &said("  "), &Expected::Anything),
            found(Check::Complete, &said("done"), &Expected::Anything),
            found(regex(), &said("42"), &Expected::Anything),
            found(regex(), &said("forty-two"), &Expected::Anything),
            found(Check::Confidence { least: -0.2 }, &said("42"), &Expected::Anything),
        ];
        insta::assert_snapshot!(lines.join("\n"));
    }
}
