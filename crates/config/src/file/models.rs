//! What a configuration says of models, over the bundled catalogue or beyond it.
//!
//! Owns these settings of the file, as a user writes them. Must not know the catalogue, nor which day it is. A change repeats the fields of a
//! model because settings are neither flattened nor untagged: each has one place and one form.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Facts and prices of a model.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ModelSettings {
    /// Dollars per million tokens.
    pub price: Option<PriceSettings>,
    /// The same for requests that go through the provider's own batch API.
    pub batch_price: Option<PriceSettings>,
    /// The same for the provider's cheaper, slower service tier.
    pub flex_price: Option<PriceSettings>,
    /// The same for the provider's dearer, faster service tier.
    pub priority_price: Option<PriceSettings>,
    /// Dollars for one of something else than tokens: `image_in`, `image_out`, `second_in`, `second_out`, `character_in`, `page`,
    /// `query`, `searched_request` or `request`, as decimal texts.
    pub per: IndexMap<String, String>,
    /// Prompt and answer together, in tokens.
    pub context_window: Option<u64>,
    /// The longest answer, in tokens.
    pub max_output_tokens: Option<u64>,
    /// What it can do: capability name to true or false.
    pub capabilities: IndexMap<String, bool>,
    /// The day on which its provider switches it off: `2027-01-31`.
    pub retires: Option<String>,
    /// What changes later: each from a day of its own on, without a restart.
    pub changes: Vec<ModelChangeSettings>,
}

/// Facts and prices of a model from a day on. What is not stated stays as it was.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ModelChangeSettings {
    /// The first day, in UTC: `2027-01-31`.
    pub effective_at: Option<String>,
    /// Dollars per million tokens.
    pub price: Option<PriceSettings>,
    /// The same for requests that go through the provider's own batch API.
    pub batch_price: Option<PriceSettings>,
    /// The same for the provider's cheaper, slower service tier.
    pub flex_price: Option<PriceSettings>,
    /// The same for the provider's dearer, faster service tier.
    pub priority_price: Option<PriceSettings>,
    /// Dollars for one of something else than tokens.
    pub per: IndexMap<String, String>,
    /// Prompt and answer together, in tokens.
    pub context_window: Option<u64>,
    /// The longest answer, in tokens.
    pub max_output_tokens: Option<u64>,
    /// What it can do: capability name to true or false.
    pub capabilities: IndexMap<String, bool>,
}

/// Prices in dollars per million tokens, as decimal texts so that no digit is lost.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PriceSettings {
    /// Plain prompt tokens.
    pub input: Option<String>,
    /// Generated tokens.
    pub output: Option<String>,
    /// Prompt tokens read from the provider's cache.
    pub cache_read: Option<String>,
    /// Prompt tokens written to the provider's cache.
    pub cache_write: Option<String>,
    /// Prompt tokens written to the provider's cache for an hour, where that is priced apart from `cache_write`.
    pub cache_write_1h: Option<String>,
    /// Reasoning tokens, where priced apart from `output`.
    pub reasoning: Option<String>,
    /// Prompt tokens that carry sound, where priced apart from `input`.
    pub audio_input: Option<String>,
    /// Generated tokens that carry sound, where priced apart from `output`.
    pub audio_output: Option<String>,
    /// Prompt tokens that carry pictures, where priced apart from `input`.
    pub image_input: Option<String>,
    /// Generated tokens that carry pictures, where priced apart from `output`.
    pub image_output: Option<String>,
}
