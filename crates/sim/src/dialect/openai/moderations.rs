//! `POST /v1/moderations`: texts judged.
//!
//! Owns its form. A text is judged by its words: what names violence is flagged, all else is not.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::{Context, Output, Refusal};
use super::{check, identifier, models};

const CATEGORIES: &[&str] = &[
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];
const VIOLENT: &[&str] = &["kill", "murder", "stab"];

pub(super) fn answer(body: &Map<String, Value>, context: &Context<'_>) -> Result<Output, Refusal> {
    let model = body.get("model").and_then(Value::as_str).unwrap_or("omni-moderation-latest");
    models::admit(model, context.config)?;
    let texts: Vec<String> = match body.get("input") {
        Some(Value::String(text)) => vec![text.clone()],
        // Objects are parts of one input.
        Some(Value::Array(list)) if list.iter().all(Value::is_object) && !list.is_empty() => {
            vec![list.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n")]
        }
        Some(Value::Array(list)) if list.iter().all(Value::is_string) && !list.is_empty() => {
            list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        None => return Err(check::missing("input")),
        Some(_) => {
            return Err(check::wrong_type(
                "input",
                "one of a string or array of strings or array of objects",
            ));
        }
    };
    let results: Vec<Value> = texts.iter().map(|text| judged(text)).collect();
    let id = identifier(&mut context.chance(), "modr-", 24);
    Ok(Output::json(StatusCode::OK, &json!({"id": id, "model": model, "results": results}), 0))
}

fn judged(text: &str) -> Value {
    let lower = text.to_lowercase();
    let is_violent = VIOLENT.iter().any(|word| lower.contains(word));
    let (mut flags, mut scores, mut applied) = (Map::new(), Map::new(), Map::new());
    for category in CATEGORIES {
        let is_hit = is_violent && *category == "violence";
        flags.insert((*category).to_owned(), json!(is_hit));
        scores.insert((*category).to_owned(), json!(if is_hit { 0.97 } else { 0.001 }));
        applied.insert((*category).to_owned(), json!(["text"]));
    }
    json!({"flagged": is_violent, "categories": flags, "category_scores": scores,
        "category_applied_input_types": applied})
}
