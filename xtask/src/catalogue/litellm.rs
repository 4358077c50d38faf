//! Reading LiteLLM's price list, the primary source: prices by token, by context tier and by service tier, and flags.
//!
//! Owns the meaning of its keys. It knows nothing of the other source. An absent flag stays unknown: the list is written by
//! volunteers who state what they checked. See the `sample_spec` entry of the list for the keys.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use anyhow::Context as _;
use serde_json::{Map, Value};
use trunkline_model::capability::{Capability, Support};
use trunkline_model::catalogue::{
    Kind, ModelEntry, ReasoningEffort, ServiceTier, TokenClass, UnitKind, UnitPrice,
};
use trunkline_model::money::PricePerMillion;

use super::presets::PresetFacts;

/// What one source says of one model.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    /// The facts; `max_input_tokens` holds whatever the source calls the input limit, which may be the whole window.
    pub(super) entry: ModelEntry,
    /// The complete list of reasoning efforts, where the source has one.
    pub(super) efforts: Vec<ReasoningEffort>,
    /// Single reasoning efforts the source affirms or denies.
    pub(super) effort_flags: Vec<(ReasoningEffort, bool)>,
}

/// Claims by model id.
pub(super) type Claims = BTreeMap<String, Claim>;

/// Every entry of the list whose provider has a preset.
pub(super) fn read(list: &Value, presets: &[PresetFacts]) -> anyhow::Result<Claims> {
    let entries = list.as_object().context("failed to read the price list: no object")?;
    let mut owners: BTreeMap<&str, &PresetFacts> = BTreeMap::new();
    let mut single: BTreeMap<&str, &PresetFacts> = BTreeMap::new();
    for preset in presets {
        for source in &preset.sources.litellm {
            owners.insert(source, preset);
        }
        for key in &preset.sources.litellm_models {
            anyhow::ensure!(
                entries.contains_key(key),
                "the price list has no `{key}`, which {} wants",
                preset.id
            );
            single.insert(key, preset);
        }
    }
    let mut claims = Claims::new();
    for (key, fields) in entries {
        let Some(fields) = fields.as_object() else { continue };
        let Some(source) = fields.get("litellm_provider").and_then(Value::as_str) else { continue };
        let Some(preset) = single.get(key.as_str()).or_else(|| owners.get(source)) else { continue };
        let Some(kind) = kind(fields) else { continue };
        let Some(model) = model_name(key, source) else { continue };
        if is_fee(fields) {
            continue;
        }
        let prefix = prefix(entries, source, preset, model);
        let entry = ModelEntry::new(format!("{}/{}{model}", preset.id, prefix.unwrap_or_default()), kind)?;
        let mut claim = claim(entry, fields);
        if prefix.is_some() {
            claim.entry.aliases.push(model.to_owned().into());
        }
        match claims.entry(claim.entry.id().to_owned()) {
            Entry::Vacant(place) => {
                place.insert(claim);
            }
            // One model under its full and its short name: the facts of the full one, and the short one as an alias.
            Entry::Occupied(mut place) if prefix.is_some() => {
                place.get_mut().entry.aliases = claim.entry.aliases
            }
            Entry::Occupied(mut place) => {
                claim.entry.aliases = std::mem::take(&mut place.get_mut().entry.aliases);
                place.insert(claim);
            }
        }
    }
    Ok(claims)
}

/// The provider's own name of a model, or nothing for lines that are no models (price brackets by size, picture formats).
fn model_name<'a>(key: &'a str, source: &str) -> Option<&'a str> {
    let family = source.split('-').next().unwrap_or(source);
    let prefixes = [source.to_owned(), family.to_owned(), source.replace('_', "-")];
    for prefix in &prefixes {
        if let Some(model) = key.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_prefix('/')) {
            return (!model.is_empty()).then_some(model);
        }
    }
    let bracket = source.contains('_') && key.starts_with(&source.replace('_', "-"));
    let bracket = bracket || key.starts_with(&family.replace('_', "-")) && family.contains('_');
    (!key.contains('/') && !bracket).then_some(key)
}

/// What a short name lacks to be the provider's own: the prefix whose full name the list has too, else the usual one.
fn prefix<'a>(
    entries: &Map<String, Value>,
    source: &str,
    preset: &'a PresetFacts,
    model: &str,
) -> Option<&'a str> {
    let prefixes = &preset.sources.model_prefixes;
    if model.contains('/') {
        return None;
    }
    let listed = prefixes.iter().find(|prefix| entries.contains_key(&format!("{source}/{prefix}{model}")));
    listed.or(prefixes.first()).map(String::as_str)
}

/// Whether a line is a fee for a tool and no model.
fn is_fee(fields: &Map<String, Value>) -> bool {
    fields.contains_key("code_interpreter_cost_per_session") && !fields.contains_key("input_cost_per_token")
}

fn kind(fields: &Map<String, Value>) -> Option<Kind> {
    Some(match fields.get("mode").and_then(Value::as_str)? {
        "chat" => Kind::Chat,
        "responses" => Kind::Responses,
        "completion" => Kind::Completion,
        "embedding" => Kind::Embedding,
        "image_generation" | "image_edit" => Kind::Image,
        "video_generation" => Kind::Video,
        "audio_transcription" => Kind::Transcription,
        "audio_speech" => Kind::Speech,
        "realtime" => Kind::Realtime,
        "rerank" => Kind::Rerank,
        "moderation" => Kind::Moderation,
        "ocr" => Kind::Ocr,
        _ => return None,
    })
}

fn claim(mut entry: ModelEntry, fields: &Map<String, Value>) -> Claim {
    let number = |key: &str| fields.get(key).and_then(whole_number).filter(|number| *number > 0);
    entry.max_input_tokens = number("max_input_tokens");
    entry.max_output_tokens = number("max_output_tokens");
    entry.embedding_dimensions = number("output_vector_size").and_then(|size| u32::try_from(size).ok());
    entry.retires = fields.get("deprecation_date").and_then(Value::as_str).and_then(|date| date.parse().ok());
    let source = fields.get("source").and_then(Value::as_str).map(str::trim);
    entry.source = source
        .filter(|source| source.starts_with("http") && !source.contains(char::is_whitespace))
        .map(|source| source.to_owned().into());
    read_prices(&mut entry, fields);
    for (flag, capability) in FLAGS {
        if let Some(stated) = fields.get(*flag).and_then(Value::as_bool) {
            entry.capabilities = entry.capabilities.with(*capability, Support::from(stated));
        }
    }
    let efforts = fields
        .get("reasoning_effort_levels")
        .and_then(Value::as_array)
        .map(|levels| levels.iter().filter_map(|level| level.as_str()?.parse().ok()).collect())
        .unwrap_or_default();
    let effort_flags = EFFORT_FLAGS
        .iter()
        .filter_map(|(flag, effort)| Some((*effort, fields.get(*flag)?.as_bool()?)))
        .collect();
    Claim { entry, efforts, effort_flags }
}

const FLAGS: &[(&str, Capability)] = &[
    ("supports_function_calling", Capability::Tools),
    ("supports_parallel_function_calling", Capability::ParallelTools),
    ("supports_tool_choice", Capability::ToolChoice),
    ("supports_image_input", Capability::ImageInput),
    ("supports_vision", Capability::ImageInput),
    ("supports_pdf_input", Capability::PdfInput),
    ("supports_audio_input", Capability::AudioInput),
    ("supports_audio_output", Capability::AudioOutput),
    ("supports_video_input", Capability::VideoInput),
    ("supports_response_schema", Capability::JsonSchema),
    ("supports_native_structured_output", Capability::JsonSchema),
    ("supports_reasoning", Capability::Reasoning),
    ("supports_adaptive_thinking", Capability::AdaptiveReasoning),
    ("supports_legacy_thinking", Capability::ReasoningBudget),
    ("supports_prompt_caching", Capability::PromptCaching),
    ("supports_system_messages", Capability::SystemMessages),
    ("supports_assistant_prefill", Capability::AssistantPrefill),
    ("supports_native_streaming", Capability::Streaming),
    ("supports_sampling_params", Capability::SamplingParameters),
    ("supports_web_search", Capability::WebSearch),
    ("supports_computer_use", Capability::ComputerUse),
    ("supports_url_context", Capability::UrlContext),
];

const EFFORT_FLAGS: &[(&str, ReasoningEffort)] = &[
    ("supports_none_reasoning_effort", ReasoningEffort::None),
    ("supports_minimal_reasoning_effort", ReasoningEffort::Minimal),
    ("supports_low_reasoning_effort", ReasoningEffort::Low),
    ("supports_xhigh_reasoning_effort", ReasoningEffort::ExtraHigh),
    ("supports_max_reasoning_effort", ReasoningEffort::Max),
];

const CLASSES: &[(&str, TokenClass)] = &[
    ("input_cost_per_token_cache_hit", TokenClass::CacheRead),
    ("cache_read_input_token_cost", TokenClass::CacheRead),
    ("input_cost_per_token", TokenClass::Input),
    ("output_cost_per_token", TokenClass::Output),
    ("cache_creation_input_token_cost", TokenClass::CacheWrite5m),
    ("cache_creation_input_token_cost_above_1hr", TokenClass::CacheWrite1h),
    ("output_cost_per_reasoning_token", TokenClass::Reasoning),
    ("input_cost_per_audio_token", TokenClass::AudioInput),
    ("output_cost_per_audio_token", TokenClass::AudioOutput),
    ("input_cost_per_image_token", TokenClass::ImageInput),
    ("output_cost_per_image_token", TokenClass::ImageOutput),
];

const UNITS: &[(&str, UnitKind)] = &[
    ("input_cost_per_image", UnitKind::ImageIn),
    ("output_cost_per_image", UnitKind::ImageOut),
    ("input_cost_per_second", UnitKind::SecondIn),
    ("output_cost_per_second", UnitKind::SecondOut),
    ("input_cost_per_character", UnitKind::CharacterIn),
    ("ocr_cost_per_page", UnitKind::Page),
    ("input_cost_per_query", UnitKind::Query),
    ("input_cost_per_request", UnitKind::Request),
];

const SERVICES: &[(&str, ServiceTier)] =
    &[("_batches", ServiceTier::Batch), ("_flex", ServiceTier::Flex), ("_priority", ServiceTier::Priority)];

fn read_prices(entry: &mut ModelEntry, fields: &Map<String, Value>) {
    for (key, value) in fields {
        let Some(place) = Place::of(key) else { continue };
        let Some(price) = per_unit(value) else { continue };
        put(entry, place, price);
    }
    for (key, unit) in UNITS {
        if let Some(price) = fields.get(*key).and_then(per_unit).filter(|price| price.0 > 0) {
            entry.prices.units.push(UnitPrice { unit: *unit, price });
        }
    }
    let searches = searches(entry.id(), fields);
    entry.prices.units.extend(searches);
    let brackets =
        fields.get("tiered_pricing").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for bracket in brackets.iter().filter_map(Value::as_object) {
        let from = bracket.get("range").and_then(|range| whole_number(range.get(0)?));
        for (name, class) in CLASSES {
            if let (Some(from), Some(price)) = (from, bracket.get(*name).and_then(per_unit)) {
                let above = (from > 0).then_some(from);
                put(entry, Place { class: *class, service: ServiceTier::Standard, above }, price);
            }
        }
    }
    for service in ServiceTier::ALL {
        if entry.prices.service(*service).is_some() {
            entry.prices.service_mut(*service).above.sort_by_key(|(threshold, _)| *threshold);
        }
    }
}

/// What a search beside tokens costs, of vendors whose answers tell of searches and who have one price for all of them: by query, or by
/// request that was searched for. Models that search for every request have a price by request. Elsewhere it goes by the tool's
/// version: a price taken from the list would be a guess.
fn searches(id: &str, fields: &Map<String, Value>) -> Option<UnitPrice> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let always =
        text("mode") == Some("chat") && (id.contains("-search-preview") || id.contains("-search-api"));
    let unit = match text("litellm_provider")? {
        "anthropic" | "vertex_ai-anthropic_models" => UnitKind::Query,
        "openai" | "azure" if always => UnitKind::Request,
        "gemini" | "vertex_ai-language-models" | "vertex_ai" if id.contains("gemini") => {
            match text("web_search_billing_unit") {
                Some("per_query") => UnitKind::Query,
                None => UnitKind::SearchedRequest,
                Some(_) => return None,
            }
        }
        _ => return None,
    };
    let sizes = fields.get("search_context_cost_per_query")?.as_object()?;
    let mut prices = sizes.values().map(per_unit);
    let first = prices.next()??;
    let price = prices.all(|price| price == Some(first)).then_some(first).filter(|price| price.0 > 0)?;
    Some(UnitPrice { unit, price })
}

/// Where a price belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    class: TokenClass,
    service: ServiceTier,
    above: Option<u64>,
}

impl Place {
    /// Takes apart a key such as `input_cost_per_token_above_200k_tokens_priority`.
    fn of(key: &str) -> Option<Self> {
        let (rest, service) = SERVICES
            .iter()
            .find_map(|(suffix, service)| Some((key.strip_suffix(suffix)?, *service)))
            .unwrap_or((key, ServiceTier::Standard));
        let tier = rest.strip_suffix("k_tokens").and_then(|rest| rest.rsplit_once("_above_"));
        let (rest, above) = match tier {
            Some((rest, thousands)) => (rest, Some(thousands.parse::<u64>().ok()? * 1_000)),
            None => (rest, None),
        };
        let (_, class) = CLASSES.iter().find(|(name, _)| *name == rest)?;
        Some(Self { class: *class, service, above })
    }
}

fn put(entry: &mut ModelEntry, place: Place, price: PricePerMillion) {
    let schedule = entry.prices.service_mut(place.service);
    let rates = match place.above {
        None => &mut schedule.base,
        Some(above) => {
            let known = schedule.above.iter().position(|(threshold, _)| *threshold == above);
            let at = known.unwrap_or_else(|| {
                schedule.above.push((above, trunkline_model::catalogue::Rates::default()));
                schedule.above.len() - 1
            });
            &mut schedule.above[at].1
        }
    };
    rates.set(place.class, Some(price));
}

fn per_unit(value: &Value) -> Option<PricePerMillion> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    PricePerMillion::from_decimal_str_per_unit(&text).ok()
}

/// A count that may be written as a float or a text.
pub(super) fn whole_number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| number.as_f64().and_then(from_float)),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked before")]
fn from_float(number: f64) -> Option<u64> {
    (number.fract() == 0.0 && (0.0..1e15).contains(&number)).then_some(number as u64)
}
