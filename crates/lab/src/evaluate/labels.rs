//! Outcomes as rows to train on.
//!
//! Owns the lines: for each row of the data set the user's last turn, and what every model's answer was worth. A model is named as
//! it answered, so that a route that was asked teaches about the deployments behind it.

use super::dataset::Row;
use super::summary::Outcome;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// What was found out, one line for each row with a graded answer, in the form that `trunkline train --data` reads. Of several
/// answers of one model to one row the first counts.
#[must_use]
pub fn labelled_lines(rows: &[Arc<Row>], outcomes: &[Outcome]) -> String {
    let mut models: HashMap<&str, Map<String, Value>> = HashMap::new();
    for outcome in outcomes {
        let Some(grade) = &outcome.grade else { continue };
        let name = outcome.deployment.as_deref().unwrap_or(&outcome.asked.target);
        let mut known = json!({ "score": grade.score });
        if let Some(cost) = outcome.cost_usd {
            known["cost"] = json!(cost);
        }
        models.entry(&outcome.asked.row).or_default().entry(name).or_insert(known);
    }
    let mut text = String::new();
    for row in rows {
        if let Some(models) = models.remove(row.id.as_str()) {
            text += &json!({"prompt": last_turn(row), "group": "eval", "models": models}).to_string();
            text.push('\n');
        }
    }
    text
}

/// The text a router would read.
fn last_turn(row: &Row) -> &str {
    let messages = row.body.get("messages").and_then(Value::as_array).into_iter().flatten();
    let last = messages.rev().find(|message| message["role"] == "user");
    last.and_then(|message| message["content"].as_str()).unwrap_or(&row.input)
}

#[cfg(test)]
mod tests {
    use super::super::{Asked, Defaults, Grade, parse};
    use super::*;
    use crate::dataset::generic;

    #[test]
    fn what_was_evaluated_can_be_trained_on() {
        let data = concat!(
            "{\"id\": \"a\", \"input\": \"Capital of France?\", \"expected\": \"Paris\"}\n",
            "{\"id\": \"b\", \"input\": [{\"role\": \"user\", \"content\": \"hi\"}, {\"role\": \"assistant\", \"content\": \"yes?\"}, \
             {\"role\": \"user\", \"content\": \"2 + 2?\"}], \"expected\": \"4\"}\n",
            "{\"id\": \"c\", \"input\": \"nobody answered\", \"expected\": \"4\"}\n",
        );
        let defaults = Defaults { checks: Vec::new(), max_output_tokens: 10, has_judge: false };
        let rows: Vec<Arc<Row>> = parse("x", data, &defaults).unwrap().into_iter().map(Arc::new).collect();
        let outcome = |row: &str, target: &str, deployment: Option<&str>, score: Option<f64>| Outcome {
            asked: Asked {
                row: row.to_owned(),
                fingerprint: String::new(),
                target: target.to_owned(),
                config: String::new(),
                judge: String::new(),
            },
            error: None,
            answer: None,
            grade: score.map(|score| Grade {
                score,
                passed: score > 0.5,
                refused: false,
                format: None,
                checks: Vec::new(),
            }),
            deployment: deployment.map(str::to_owned),
            cost_usd: Some(0.25),
            judge_cost_usd: None,
            total_ms: 1.0,
        };
        let outcomes = [
            outcome("a", "route", Some("acme/small"), Some(0.5)),
            outcome("a", "acme/large", Some("acme/large"), Some(1.0)),
            outcome("a", "acme/small", Some("acme/small"), Some(0.0)),
            outcome("b", "acme/large", None, Some(0.75)),
            outcome("c", "acme/large", None, None),
        ];
        let lines = labelled_lines(&rows, &outcomes);
        let read = generic("lines", &lines).unwrap();
        let prompts: Vec<&str> = read.rows.iter().map(|row| row.prompt.as_str()).collect();
        assert_eq!(prompts, ["Capital of France?", "2 + 2?"]);
        assert_eq!(read.models, ["acme/large", "acme/small"]);
        assert_eq!(read.rows[0].scores, [1.0, 0.5]);
        assert_eq!((read.rows[1].scores[0], read.rows[1].costs[0]), (0.75, 0.25));
    }
}
