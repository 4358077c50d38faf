//! `POST /rerank` of the agent runtime, the sister service that orders documents.
//!
//! Owns its form. It takes signed requests only, names models by ARN, and says nothing of what an answer cost. Source: the
//! service's model (`bedrock-agent-runtime` 2023-07-26).

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::{Context, Inbound, Output, Refusal};
use super::check::{admit, constraint, known, missing};
use super::signature;
use crate::embedding;

/// The most documents, and the most results.
const MOST: usize = 1_000;
/// The most characters of a text.
const MOST_CHARACTERS: usize = 32_000;

/// Where the model stands in a body.
const MODEL: &str = "/rerankingConfiguration/bedrockRerankingConfiguration/modelConfiguration/modelArn";

/// The model that a body names, without the rest of its ARN.
pub(super) fn model(inbound: &Inbound) -> Option<String> {
    let arn = inbound.json().ok()?.pointer(MODEL)?.as_str()?;
    Some(arn.rsplit_once('/').map_or(arn, |(_, model)| model).to_owned())
}

pub(super) fn answer(
    inbound: &Inbound,
    body: &Map<String, Value>,
    context: &Context<'_>,
) -> Result<Output, Refusal> {
    // Where no keys are known there are no API keys to tell from credentials either.
    if inbound.bearer().is_some() && !context.config.keys.is_empty() {
        let message = "API keys are not accepted for this operation.".to_owned();
        return Err(Refusal::parameter("", Some("AccessDeniedException"), message));
    }
    known(body, &["queries", "sources", "rerankingConfiguration", "nextToken"])?;
    let queries = body.get("queries").and_then(Value::as_array).ok_or_else(|| missing("queries"))?;
    let [query] = queries.as_slice() else {
        let rule = "Member must have length less than or equal to 1";
        return Err(constraint(&json!(queries.len()), "queries", rule));
    };
    is(query, "type", &["TEXT"], "queries.1.member.type")?;
    let query = text(query.get("textQuery"), "queries.1.member.textQuery.text")?;
    let sources = body.get("sources").and_then(Value::as_array).ok_or_else(|| missing("sources"))?;
    if sources.is_empty() || sources.len() > MOST {
        let rule = "Member must have length between 1 and 1000";
        return Err(constraint(&json!(sources.len()), "sources", rule));
    }
    let mut texts = Vec::with_capacity(sources.len());
    for (index, source) in sources.iter().enumerate() {
        texts.push(document(source, &format!("sources.{}.member", index + 1))?);
    }
    let top = configuration(inbound, body, context)?;
    let results: Vec<Value> = embedding::ranked(query, &texts, top)
        .into_iter()
        .map(|(index, score)| json!({"index": index, "relevanceScore": score}))
        .collect();
    Ok(Output::json(StatusCode::OK, &json!({"results": results}), 0))
}

/// Checks the model and gives the number of results wanted.
fn configuration(
    inbound: &Inbound,
    body: &Map<String, Value>,
    context: &Context<'_>,
) -> Result<Option<u64>, Refusal> {
    let outer = body.get("rerankingConfiguration").ok_or_else(|| missing("rerankingConfiguration"))?;
    is(outer, "type", &["BEDROCK_RERANKING_MODEL"], "rerankingConfiguration.type")?;
    let place = "rerankingConfiguration.bedrockRerankingConfiguration";
    let inner = outer.get("bedrockRerankingConfiguration").ok_or_else(|| missing(place))?;
    let arn = inner.pointer("/modelConfiguration/modelArn").and_then(Value::as_str);
    let arn = arn.ok_or_else(|| missing(&format!("{place}.modelConfiguration.modelArn")))?;
    let parts: Vec<&str> = arn.split(':').collect();
    let named = match parts.as_slice() {
        ["arn", partition, "bedrock", region, _, model @ ..] if partition.starts_with("aws") => {
            let here = signature::region(inbound).is_none_or(|signed| signed == *region);
            model.first().filter(|_| here).and_then(|model| model.strip_prefix("foundation-model/"))
        }
        _ => None,
    };
    if named.is_none_or(str::is_empty) {
        return Err(Refusal::invalid("The provided model identifier is invalid."));
    }
    admit(&model(inbound).unwrap_or_default(), context.config)?;
    match inner.get("numberOfResults") {
        None => Ok(None),
        Some(number) => match number.as_u64() {
            Some(wanted) if (1..=MOST as u64).contains(&wanted) => Ok(Some(wanted)),
            _ => {
                let rule = "Member must have value between 1 and 1000";
                Err(constraint(number, &format!("{place}.numberOfResults"), rule))
            }
        },
    }
}

/// The text of a source: documents in JSON are refused here, the gateway sends none.
fn document<'a>(source: &'a Value, place: &str) -> Result<&'a str, Refusal> {
    is(source, "type", &["INLINE"], &format!("{place}.type"))?;
    let place = format!("{place}.inlineDocumentSource");
    let document = source.get("inlineDocumentSource").ok_or_else(|| missing(&place))?;
    is(document, "type", &["TEXT", "JSON"], &format!("{place}.type"))?;
    if document["type"] == "JSON" {
        return Err(Refusal::invalid("This simulator orders texts only."));
    }
    text(document.get("textDocument"), &format!("{place}.textDocument.text"))
}

fn text<'a>(holder: Option<&'a Value>, place: &str) -> Result<&'a str, Refusal> {
    let text = holder.and_then(|holder| holder.get("text")).ok_or_else(|| missing(place))?;
    match text.as_str() {
        Some(text) if !text.is_empty() && text.chars().count() <= MOST_CHARACTERS => Ok(text),
        _ => Err(constraint(
            &Value::from("..."),
            place,
            "Member must have length between 1 and 32000, inclusive",
        )),
    }
}

/// Checks a member with few possible values.
fn is(holder: &Value, name: &str, allowed: &[&str], place: &str) -> Result<(), Refusal> {
    match holder.get(name) {
        None => Err(missing(place)),
        Some(value) if value.as_str().is_some_and(|value| allowed.contains(&value)) => Ok(()),
        Some(value) => {
            let rule = format!("Member must satisfy enum value set: [{}]", allowed.join(", "));
            Err(constraint(value, place, &rule))
        }
    }
}
