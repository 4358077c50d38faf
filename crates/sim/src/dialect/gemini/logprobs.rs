//! How likely each token was: the log-probabilities of a candidate.
//!
//! Owns their form and the rules of asking for them. The figures are made up from the tokens, so that the same text has the same
//! ones, plain or streamed. Source: `LogprobsResult` and `GenerationConfig` of the protocol definitions.

use serde_json::{Map, Value, json};

use super::super::Refusal;
use super::member_of;
use crate::chance::{Chance, fingerprint};
use crate::tokens;

/// How many alternatives to each token are wanted, if log-probabilities are.
pub(super) fn wanted(config: &Map<String, Value>) -> Result<Option<usize>, Refusal> {
    let is_on = member_of(config, "responseLogprobs").and_then(Value::as_bool) == Some(true);
    let Some(alternatives) = member_of(config, "logprobs") else { return Ok(is_on.then_some(0)) };
    if !is_on {
        let message = "* GenerateContentRequest.generation_config.logprobs: logprobs can only be set when response_logprobs is true.\n";
        return Err(Refusal::invalid(message));
    }
    match alternatives.as_u64() {
        Some(count @ 0..=20) => Ok(Some(count as usize)),
        _ => Err(Refusal::invalid(
            "* GenerateContentRequest.generation_config.logprobs: logprobs must be in the range [0, 20].\n",
        )),
    }
}

/// The figures of a text's tokens.
pub(super) fn result(text: &str, alternatives: usize) -> Value {
    let mut sum = 0.0;
    let (mut chosen, mut top) = (Vec::new(), Vec::new());
    for token in tokens::split(text) {
        let mut chance = Chance::new(fingerprint(0, token.as_bytes()));
        let likely = -chance.unit();
        sum += likely;
        let id = fingerprint(1, token.as_bytes()) % 250_000;
        chosen.push(json!({"token": token, "tokenId": id, "logProbability": likely}));
        let others = (0..alternatives).map(|rank| match rank {
            0 => json!({"token": token, "tokenId": id, "logProbability": likely}),
            rank => {
                json!({"token": format!("~{rank}"), "tokenId": rank, "logProbability": likely - rank as f64})
            }
        });
        top.push(json!({"candidates": others.collect::<Vec<_>>()}));
    }
    let mut result = json!({"chosenCandidates": chosen, "logProbabilitySum": sum});
    if alternatives > 0 {
        result["topCandidates"] = json!(top);
    }
    result
}

/// The mean of the figures of a text.
pub(super) fn mean(text: &str) -> f64 {
    let count = tokens::count(text).max(1);
    let sum = result(text, 0)["logProbabilitySum"].as_f64().unwrap_or_default();
    sum / count as f64
}
