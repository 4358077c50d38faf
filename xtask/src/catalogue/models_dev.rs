//! Reading models.dev, the cross-check: cleaner limits, modalities, dates; prices per million.
//!
//! Owns the meaning of its fields. It knows nothing of the other source. Its booleans are stated for every model, so a
//! `false` is a statement here; a medium counts as refused only when the list of modalities and `attachment` agree.

use std::collections::BTreeMap;

use serde_json::Value;
use trunkline_model::capability::{Capability, Support};
use trunkline_model::catalogue::{Date, Kind, ModelEntry, Rates, ReasoningEffort, TokenClass};
use trunkline_model::money::PricePerMillion;

use super::litellm::{Claim, Claims, whole_number};
use super::presets::PresetFacts;

/// Every model whose provider has a preset, but for those its list calls deprecated.
pub(super) fn read(list: &Value, presets: &[PresetFacts]) -> anyhow::Result<Claims> {
    let providers = list.get("providers").unwrap_or(list);
    let mut claims = Claims::new();
    for preset in presets {
        let Some(source) = &preset.sources.models_dev else { continue };
        let models =
            providers.get(source).and_then(|provider| provider.get("models")).and_then(Value::as_object);
        for (model, fields) in models.into_iter().flatten() {
            if model.is_empty() || fields.get("status").and_then(Value::as_str) == Some("deprecated") {
                continue;
            }
            let entry = ModelEntry::new(format!("{}/{model}", preset.id), kind(model, fields))?;
            let claim = claim(entry, fields);
            claims.insert(claim.entry.id().to_owned(), claim);
        }
    }
    Ok(claims)
}

fn modalities<'a>(fields: &'a Value, direction: &str) -> Vec<&'a str> {
    let list = fields.get("modalities").and_then(|both| both.get(direction)).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// What a model is for; the list does not say, but its name and modalities do.
fn kind(model: &str, fields: &Value) -> Kind {
    let name = model.to_lowercase();
    let (takes, makes) = (modalities(fields, "input"), modalities(fields, "output"));
    let only = |medium: &str| makes == [medium];
    if name.contains("rerank") {
        Kind::Rerank
    } else if name.contains("embed") {
        Kind::Embedding
    } else if takes == ["audio"] && only("text") {
        Kind::Transcription
    } else if only("audio") {
        Kind::Speech
    } else if only("image") {
        Kind::Image
    } else if only("video") {
        Kind::Video
    } else {
        Kind::Chat
    }
}

fn claim(mut entry: ModelEntry, fields: &Value) -> Claim {
    let limit = |name: &str| {
        fields
            .get("limit")
            .and_then(|limits| limits.get(name))
            .and_then(whole_number)
            .filter(|limit| *limit > 0)
    };
    entry.context_window = limit("context");
    entry.max_input_tokens = limit("input");
    entry.max_output_tokens = limit("output");
    entry.released = fields.get("release_date").and_then(Value::as_str).and_then(day);
    entry.source = Some("https://models.dev".into());
    if let Some(cost) = fields.get("cost") {
        entry.prices.standard.base = rates(cost);
        for tier in cost.get("tiers").and_then(Value::as_array).into_iter().flatten() {
            let above = tier.get("tier").and_then(|tier| tier.get("size")).and_then(whole_number);
            entry.prices.standard.above.extend(above.map(|above| (above, rates(tier))));
        }
        entry.prices.standard.above.sort_by_key(|(above, _)| *above);
    }
    read_capabilities(&mut entry, fields);
    let mut efforts = Vec::new();
    for option in fields.get("reasoning_options").and_then(Value::as_array).into_iter().flatten() {
        match option.get("type").and_then(Value::as_str) {
            Some("effort") => {
                let values = option.get("values").and_then(Value::as_array).into_iter().flatten();
                efforts.extend(values.filter_map(|value| value.as_str()?.parse::<ReasoningEffort>().ok()));
            }
            Some("budget_tokens") => {
                entry.capabilities = entry.capabilities.with(Capability::ReasoningBudget, Support::Yes);
            }
            _ => {}
        }
    }
    Claim { entry, efforts, effort_flags: Vec::new() }
}

fn read_capabilities(entry: &mut ModelEntry, fields: &Value) {
    let flags = BTreeMap::from([
        ("tool_call", Capability::Tools),
        ("reasoning", Capability::Reasoning),
        ("structured_output", Capability::JsonSchema),
        ("temperature", Capability::SamplingParameters),
        ("open_weights", Capability::OpenWeights),
    ]);
    let stated = |name: &str| fields.get(name).and_then(Value::as_bool);
    for (name, capability) in flags {
        if let Some(stated) = stated(name) {
            entry.capabilities = entry.capabilities.with(capability, Support::from(stated));
        }
    }
    let (takes, makes) = (modalities(fields, "input"), modalities(fields, "output"));
    let media = [
        ("image", Capability::ImageInput),
        ("pdf", Capability::PdfInput),
        ("audio", Capability::AudioInput),
        ("video", Capability::VideoInput),
    ];
    for (medium, capability) in media {
        if takes.contains(&medium) {
            entry.capabilities = entry.capabilities.with(capability, Support::Yes);
        } else if !takes.is_empty() && stated("attachment") == Some(false) {
            entry.capabilities = entry.capabilities.with(capability, Support::No);
        }
    }
    for (medium, capability) in [("image", Capability::ImageOutput), ("audio", Capability::AudioOutput)] {
        if makes.contains(&medium) {
            entry.capabilities = entry.capabilities.with(capability, Support::Yes);
        }
    }
}

fn rates(cost: &Value) -> Rates {
    let classes = [
        ("input", TokenClass::Input),
        ("output", TokenClass::Output),
        ("cache_read", TokenClass::CacheRead),
        ("cache_write", TokenClass::CacheWrite5m),
        ("reasoning", TokenClass::Reasoning),
        ("input_audio", TokenClass::AudioInput),
        ("output_audio", TokenClass::AudioOutput),
    ];
    classes.iter().filter_map(|(name, class)| Some((*class, per_million(cost.get(*name)?)?))).collect()
}

/// Dollars per million, rounded to what a price can hold: the list has floats with noise.
fn per_million(value: &Value) -> Option<PricePerMillion> {
    let text = value.as_number()?.to_string();
    match text.split_once(['e', 'E']) {
        None => PricePerMillion::from_decimal_str_per_unit(&format!("{text}e-6")).ok(),
        Some((mantissa, exponent)) => {
            let exponent: i32 = exponent.parse().ok()?;
            PricePerMillion::from_decimal_str_per_unit(&format!("{mantissa}e{}", exponent - 6)).ok()
        }
    }
}

/// A day; dates without one count from the first of the month.
fn day(text: &str) -> Option<Date> {
    text.parse().ok().or_else(|| format!("{text}-01").parse().ok())
}
