//! `generationConfig` into canonical parameters.
//!
//! Owns sampling, limits, the answer's form and thinking, as Gemini spells them. Must not judge what a target can do.
//! Fields without a canonical name are kept under `generationConfig.` and put back there by this dialect's encoder.

use super::request_decode::{camel, keep};
use super::schema;
use crate::codec::BadRequest;
use crate::cursor::At;
use trunkline_model::json::Json;
use trunkline_model::request::{ChatRequest, Effort, OutputFormat, Reasoning, Visibility};

/// Where kept fields belong.
pub(super) const PREFIX: &str = "generationConfig.";

/// Reads the object.
pub(super) fn decode(config: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    let mut form = Form::default();
    let mut logprobs = Logprobs::default();
    for (name, value) in config.fields()? {
        if value.is_null() {
            continue;
        }
        let sampling = &mut request.sampling;
        match &*camel(name) {
            "temperature" => sampling.temperature = Some(ranged(&value, 0.0, 2.0)?),
            "topP" => sampling.top_p = Some(ranged(&value, 0.0, 1.0)?),
            "topK" => sampling.top_k = Some(value.unsigned()?),
            "frequencyPenalty" => sampling.frequency_penalty = Some(ranged(&value, -2.0, 2.0)?),
            "presencePenalty" => sampling.presence_penalty = Some(ranged(&value, -2.0, 2.0)?),
            "seed" => sampling.seed = Some(value.signed()?),
            "candidateCount" => {
                request.choices = Some(u32::try_from(positive(&value)?).unwrap_or(u32::MAX));
            }
            "maxOutputTokens" => request.max_output_tokens = Some(positive(&value)?),
            "stopSequences" => {
                request.stop = value.items()?.map(|stop| stop.string()).collect::<Result<_, _>>()?;
            }
            "responseLogprobs" => logprobs.wanted = value.boolean()?,
            "logprobs" => logprobs.alternatives = value.unsigned_32()?,
            "responseMimeType" => form.mime = Some(value.string()?),
            "responseSchema" => {
                form.schema = Some((schema::from_openapi(&value.object_json()?), value.json()?))
            }
            "responseJsonSchema" | "_responseJsonSchema" => {
                form.schema = Some((value.object_json()?, value.json()?));
            }
            "thinkingConfig" => thinking(&value, request)?,
            other => keep(request, format!("{PREFIX}{other}"), &value)?,
        }
    }
    if logprobs.wanted {
        request.logprobs = Some(logprobs.alternatives);
    } else if logprobs.alternatives > 0
        && let Some(value) = config.optional("logprobs")
    {
        // The alternatives to what is not asked for: nothing that another target could be asked for.
        keep(request, format!("{PREFIX}logprobs"), &value)?;
    }
    form.settle(config, request)
}

#[derive(Default)]
struct Logprobs {
    wanted: bool,
    alternatives: u32,
}

/// MIME type and schema, which mean something only together.
#[derive(Default)]
struct Form {
    mime: Option<String>,
    /// As JSON Schema, and as it came.
    schema: Option<(Json, Json)>,
}

impl Form {
    fn settle(self, config: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
        let mime = self.mime.as_deref().unwrap_or("text/plain");
        match (mime, self.schema) {
            ("application/json", Some((schema, _))) => {
                request.output =
                    OutputFormat::JsonSchema { name: None, description: None, schema, strict: None };
            }
            ("application/json", None) => request.output = OutputFormat::JsonObject,
            ("text/plain" | "", None) => {}
            ("text/plain" | "", Some(_)) => {
                let path = format!("{}.responseMimeType", config.path());
                let message = format!("{path}: expected \"application/json\", which a schema needs");
                return Err(BadRequest::at(path, message));
            }
            // Answers out of a list (`text/x.enum`), or a form of versions to come: known to this dialect only.
            (other, schema) => {
                let mime = Json::of(other);
                let origin = trunkline_model::dialect::Dialect::Gemini;
                let mut extra = |name: &str, value: Json| {
                    let name = format!("{PREFIX}{name}");
                    request.extras.push(trunkline_model::request::Extra { origin, name, value });
                };
                extra("responseMimeType", mime);
                if let Some((_, given)) = schema {
                    extra("responseSchema", given);
                }
            }
        }
        Ok(())
    }
}

fn ranged(value: &At<'_>, least: f64, most: f64) -> Result<f64, BadRequest> {
    let number = value.float()?;
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    Err(value.wrong(&format!("expected a number from {least} to {most}, found {number}")))
}

fn positive(value: &At<'_>) -> Result<u64, BadRequest> {
    match value.unsigned()? {
        0 => Err(value.wrong("expected a whole number, 1 or more")),
        number => Ok(number),
    }
}

fn thinking(config: &At<'_>, request: &mut ChatRequest) -> Result<(), BadRequest> {
    // Thoughts are left out of answers unless asked for.
    let mut reasoning = Reasoning { visibility: Visibility::Unasked, ..Reasoning::default() };
    for (name, value) in config.fields()? {
        if value.is_null() {
            continue;
        }
        match &*camel(name) {
            "includeThoughts" => {
                let is_shown = value.boolean()?;
                reasoning.visibility = if is_shown { Visibility::Shown } else { Visibility::Hidden };
            }
            "thinkingBudget" => match value.signed()? {
                -1 => reasoning.adaptive = true,
                0 => reasoning.effort = Some(Effort::None),
                budget => {
                    let expected = "expected -1 (the model decides), 0 (off) or a number of tokens";
                    let budget = u64::try_from(budget).map_err(|_| value.wrong(expected))?;
                    reasoning.budget_tokens = Some(budget);
                }
            },
            "thinkingLevel" => {
                let text = value.text()?;
                if !text.eq_ignore_ascii_case("THINKING_LEVEL_UNSPECIFIED") {
                    let expected = "expected \"MINIMAL\", \"LOW\", \"MEDIUM\", \"HIGH\" or \"XHIGH\"";
                    let effort = Effort::parse(&text).filter(|effort| *effort != Effort::None);
                    reasoning.effort = Some(effort.ok_or_else(|| value.wrong(expected))?);
                }
            }
            other => keep(request, format!("{PREFIX}thinkingConfig.{other}"), &value)?,
        }
    }
    request.reasoning = Some(reasoning);
    Ok(())
}
