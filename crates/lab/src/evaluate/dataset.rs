//! The form of a data set: one JSON object per line.
//!
//! Owns reading and checking every line before anything is sent, because the tenth request should not be the one to find out that
//! the twentieth line is wrong. Must not keep what grading does not need.

use super::mistake::{Mistake, Mistakes};
use regex::Regex;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use trunkline_embed::{Embedder, Embedding};
use trunkline_model::nearest::nearest;
use trunkline_route::cascade::{AnswerCondition, Check, Expected, TOP_SCORE};

/// One line of a data set, checked.
#[derive(Debug)]
pub struct Row {
    /// Its name: `id`, or the number of its line.
    pub id: String,
    /// Counted from 1.
    pub line: usize,
    /// Of everything that bears on its grade; another one means that it must be asked again.
    pub fingerprint: String,
    /// The body of a chat request, without `model`.
    pub body: Map<String, Value>,
    /// The user's text, for a judge.
    pub input: String,
    /// What is checked.
    pub checks: Vec<RowCheck>,
}

/// One check of a row.
#[derive(Debug)]
pub enum RowCheck {
    /// The text is this, white space around it aside.
    Exact(String),
    /// The text holds this.
    Contains(String),
    /// A check that needs only the answer.
    Answer {
        /// It.
        check: Check,
        /// The schema, for a check against one.
        expected: Expected,
    },
    /// The meaning is near that of the expected answer.
    Similar {
        /// Of the expected answer.
        vector: Box<Embedding>,
        /// The least cosine.
        least: f64,
    },
    /// A judge is content.
    Judge {
        /// What makes an answer good.
        rubric: String,
        /// The least score of ten that passes.
        least: u8,
    },
}

/// What holds for rows that do not say otherwise.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Checks of rows without any; names such as `exact`.
    pub checks: Vec<Value>,
    /// Most tokens of an answer.
    pub max_output_tokens: u64,
    /// Whether somebody can judge.
    pub has_judge: bool,
}

/// The longest line, in bytes.
pub const LONGEST_LINE: usize = 8 << 20;
const FIELDS: [&str; 7] = ["id", "input", "system", "expected", "checks", "max_tokens", "request"];
const CHECKS: [&str; 9] =
    ["exact", "contains", "regex", "json", "json_schema", "cel", "similar", "judge", "not_refusal"];
/// The least cosine that counts as the same meaning, when a row does not say.
const USUAL_SIMILARITY: f64 = 0.8;
/// The least score of ten, when a row does not say.
const USUAL_JUDGEMENT: u8 = 7;

/// Reads a data set; `path` is for messages.
///
/// # Errors
/// Every [`Mistake`] in it.
pub fn parse(path: &str, text: &str, defaults: &Defaults) -> Result<Vec<Row>, Mistakes> {
    let mut reader = Reader { mistakes: Vec::new(), line: 0, defaults, embedder: Embedder::bundled() };
    let (mut rows, mut ids) = (Vec::new(), HashSet::new());
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        reader.line = number + 1;
        if let Some(row) = reader.row(line) {
            if !ids.insert(row.id.clone()) {
                reader.wrong("id", format!("`{}` is the id of an earlier line", row.id));
            }
            rows.push(row);
        }
    }
    if rows.is_empty() && reader.mistakes.is_empty() {
        reader.line = 1;
        reader.wrong("", "it holds no line; write one JSON object per line".to_owned());
    }
    if reader.mistakes.is_empty() {
        Ok(rows)
    } else {
        Err(Mistakes { path: path.to_owned(), all: reader.mistakes })
    }
}

struct Reader<'a> {
    mistakes: Vec<Mistake>,
    line: usize,
    defaults: &'a Defaults,
    embedder: Embedder<'static>,
}

impl Reader<'_> {
    fn wrong(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        self.mistakes.push(Mistake { line: self.line, field: field.into(), problem: problem.into() });
    }

    fn row(&mut self, line: &str) -> Option<Row> {
        if line.len() > LONGEST_LINE {
            self.wrong("", "the line is longer than 8 MiB");
            return None;
        }
        let value = match serde_json::from_str::<Value>(line) {
            Ok(Value::Object(value)) => value,
            Ok(_) => {
                self.wrong("", "expected a JSON object");
                return None;
            }
            Err(error) => {
                self.wrong("", format!("not JSON: {error}"));
                return None;
            }
        };
        let before = self.mistakes.len();
        for name in value.keys().filter(|name| !FIELDS.contains(&name.as_str())) {
            let hint = hint(name, &FIELDS);
            self.wrong(name.clone(), format!("there is no such field{hint}"));
        }
        let id = match value.get("id") {
            None => self.line.to_string(),
            Some(Value::String(id)) if !id.is_empty() => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            Some(_) => {
                self.wrong("id", "expected a text or a number");
                String::new()
            }
        };
        let expected = self.expected(value.get("expected"));
        let (body, input) = self.body(&value);
        let written = match value.get("checks") {
            None if self.defaults.checks.is_empty() && expected.is_some() => vec![json!("exact")],
            None => self.defaults.checks.clone(),
            Some(Value::Array(checks)) => checks.clone(),
            Some(_) => {
                self.wrong("checks", "expected a list");
                Vec::new()
            }
        };
        let checks: Vec<RowCheck> = written
            .iter()
            .enumerate()
            .filter_map(|(number, check)| self.check(number, check, expected.as_deref()))
            .collect();
        if checks.is_empty() && self.mistakes.len() == before {
            self.wrong("checks", "nothing is checked: give `expected`, `checks`, or --check for all lines");
        }
        if self.mistakes.len() > before {
            return None;
        }
        let fingerprint = fingerprint(&body, &written, expected.as_deref());
        Some(Row { id, line: self.line, fingerprint, body, input, checks })
    }

    fn expected(&mut self, value: Option<&Value>) -> Option<String> {
        match value? {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    }

    fn body(&mut self, row: &Map<String, Value>) -> (Map<String, Value>, String) {
        let mut body = match row.get("request") {
            None => Map::new(),
            Some(Value::Object(request)) => request.clone(),
            Some(_) => {
                self.wrong("request", "expected an object of request parameters");
                Map::new()
            }
        };
        for field in ["model", "messages", "stream"] {
            if body.contains_key(field) {
                self.wrong(format!("request.{field}"), "this is set by the evaluation; leave it out");
            }
        }
        let mut messages = Vec::new();
        match row.get("system") {
            None => {}
            Some(Value::String(system)) => messages.push(json!({"role": "system", "content": system})),
            Some(_) => self.wrong("system", "expected a text"),
        }
        let mut input = String::new();
        match row.get("input") {
            Some(Value::String(text)) => {
                input.clone_from(text);
                messages.push(json!({"role": "user", "content": text}));
            }
            Some(Value::Array(list)) if !list.is_empty() => {
                for (number, message) in list.iter().enumerate() {
                    if !message["role"].is_string() || message.get("content").is_none() {
                        let field = format!("input[{number}]");
                        self.wrong(field, "expected a message with `role` and `content`");
                    }
                }
                input = serde_json::to_string(list).unwrap_or_default();
                messages.extend(list.iter().cloned());
            }
            Some(_) => self.wrong("input", "expected a text or a list of messages"),
            None => self.wrong("input", "it is missing: a text or a list of messages"),
        }
        body.insert("messages".to_owned(), Value::Array(messages));
        let most = match row.get("max_tokens").map(Value::as_u64) {
            None => self.defaults.max_output_tokens,
            Some(Some(most)) if most > 0 => most,
            Some(_) => {
                self.wrong("max_tokens", "expected a whole number above 0");
                1
            }
        };
        let limits = ["max_tokens", "max_completion_tokens"];
        if !limits.iter().any(|name| body.contains_key(*name)) {
            body.insert("max_tokens".to_owned(), most.into());
        }
        (body, input)
    }

    /// A check: its name, or an object with the name as its only field and its argument.
    fn check(&mut self, number: usize, check: &Value, expected: Option<&str>) -> Option<RowCheck> {
        let field = format!("checks[{number}]");
        let (name, argument) = match check {
            Value::String(name) => (name.as_str(), &Value::Null),
            Value::Object(check) if check.len() == 1 => {
                check.iter().next().map(|(name, argument)| (name.as_str(), argument))?
            }
            _ => {
                self.wrong(field, "expected a name such as \"exact\", or an object with one such field");
                return None;
            }
        };
        let inside = format!("{field}.{name}");
        let plain = argument.is_null() || *argument == Value::Bool(true);
        let made = match name {
            "exact" => text_or_expected(argument, expected).map(RowCheck::Exact),
            "contains" => text_or_expected(argument, expected).map(RowCheck::Contains),
            "regex" => regex(argument, expected),
            "json" if plain => Ok(of_answer(Check::Json)),
            "not_refusal" if plain => Ok(of_answer(Check::NotRefusal)),
            "json" | "not_refusal" => Err("it takes nothing but `true`".to_owned()),
            "json_schema" => schema(argument),
            "cel" => rule(argument),
            "similar" => self.similar(argument, expected),
            "judge" => self.judge(argument),
            _ => {
                let hint = hint(name, &CHECKS);
                self.wrong(field, format!("there is no check `{name}`{hint}"));
                return None;
            }
        };
        made.map_err(|problem| self.wrong(inside, problem)).ok()
    }

    fn similar(&mut self, argument: &Value, expected: Option<&str>) -> Result<RowCheck, String> {
        let expected = expected.ok_or("it compares with `expected`, which is missing")?;
        let least = match argument {
            Value::Null | Value::Bool(true) => USUAL_SIMILARITY,
            _ => argument
                .as_f64()
                .filter(|least| (0.0..=1.0).contains(least))
                .ok_or("expected the least similarity, from 0 to 1")?,
        };
        Ok(RowCheck::Similar { vector: Box::new(self.embedder.embed(expected)), least })
    }

    fn judge(&mut self, argument: &Value) -> Result<RowCheck, String> {
        if !self.defaults.has_judge {
            return Err("nobody judges: name a deployment with --judge".to_owned());
        }
        let (rubric, least) = match argument {
            Value::String(rubric) => (rubric.as_str(), None),
            Value::Object(fields) => {
                (fields.get("rubric").and_then(Value::as_str).unwrap_or(""), fields.get("least"))
            }
            _ => ("", None),
        };
        if rubric.trim().is_empty() {
            return Err("expected a rubric: a text, or {\"rubric\": \"...\", \"least\": 7}".to_owned());
        }
        let least = match least {
            None => USUAL_JUDGEMENT,
            Some(least) => least
                .as_u64()
                .and_then(|least| u8::try_from(least).ok())
                .filter(|least| *least <= TOP_SCORE)
                .ok_or("`least` must be a whole number from 0 to 10")?,
        };
        Ok(RowCheck::Judge { rubric: rubric.to_owned(), least })
    }
}

impl RowCheck {
    /// Its name in a data set.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Exact(_) => "exact",
            Self::Contains(_) => "contains",
            Self::Answer { check, .. } => match check {
                Check::Matches(_) => "regex",
                Check::Condition(_) => "cel",
                other => other.name(),
            },
            Self::Similar { .. } => "similar",
            Self::Judge { .. } => "judge",
        }
    }
}

fn of_answer(check: Check) -> RowCheck {
    RowCheck::Answer { check, expected: Expected::Anything }
}

fn text_or_expected(argument: &Value, expected: Option<&str>) -> Result<String, String> {
    match (argument, expected) {
        (Value::String(text), _) => Ok(text.clone()),
        (Value::Null | Value::Bool(true), Some(expected)) => Ok(expected.to_owned()),
        (Value::Null | Value::Bool(true), None) => {
            Err("it compares with `expected`, which is missing".to_owned())
        }
        _ => Err("expected a text".to_owned()),
    }
}

fn regex(argument: &Value, expected: Option<&str>) -> Result<RowCheck, String> {
    let source = text_or_expected(argument, expected)?;
    let pattern = Regex::new(&source).map_err(|error| format!("not a regular expression: {error}"))?;
    Ok(of_answer(Check::Matches(pattern)))
}

fn schema(argument: &Value) -> Result<RowCheck, String> {
    if !argument.is_object() {
        return Err("expected a JSON Schema".to_owned());
    }
    match Expected::of_schema(&argument.to_string()) {
        Expected::Unreadable => Err("not a JSON Schema".to_owned()),
        expected => Ok(RowCheck::Answer { check: Check::JsonSchema, expected }),
    }
}

fn rule(argument: &Value) -> Result<RowCheck, String> {
    let source = argument.as_str().ok_or("expected a rule over `answer`")?;
    let condition = AnswerCondition::compile(source).map_err(|error| error.to_string())?;
    Ok(of_answer(Check::Condition(condition)))
}

fn hint(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied(), 1).first() {
        Some(near) => format!("; did you mean `{near}`?"),
        None => format!("; there are {}", known.join(", ")),
    }
}

fn fingerprint(body: &Map<String, Value>, checks: &[Value], expected: Option<&str>) -> String {
    let mut hash = Sha256::new();
    hash.update(json!([body, checks, expected]).to_string());
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
