//! OpenRouter's vocabulary in a body: `models` and `provider`.
//!
//! Owns reading those two fields where a client sends them. Must not honour them: choosing does. They are read leniently,
//! because to most clients they are an extension: a value of another shape is left for the provider to judge.

use serde::Deserialize;
use trunkline_model::id::Name;
use trunkline_model::money::PricePerMillion;
use trunkline_route::caller::{DataCollection, Fallbacks, ParameterSupport, Preferences, PriceCap, Sort};
use trunkline_wire::codec::Envelope;

/// Most names read from one list.
const MOST_NAMES: usize = 32;

#[derive(Deserialize, Default)]
struct Provider {
    #[serde(default)]
    order: Option<Vec<Name>>,
    #[serde(default)]
    only: Option<Vec<Name>>,
    #[serde(default)]
    ignore: Option<Vec<Name>>,
    #[serde(default)]
    sort: Option<String>,
    #[serde(default)]
    allow_fallbacks: Option<bool>,
    #[serde(default)]
    require_parameters: Option<bool>,
    #[serde(default)]
    data_collection: Option<String>,
    #[serde(default)]
    zdr: Option<bool>,
    #[serde(default)]
    max_price: Option<MaxPrice>,
}

#[derive(Deserialize, Default)]
struct MaxPrice {
    #[serde(default)]
    prompt: Option<serde_json::Number>,
    #[serde(default)]
    completion: Option<serde_json::Number>,
}

/// Reads the preferences of a body.
#[must_use]
pub(crate) fn read(envelope: &Envelope, body: &[u8]) -> Preferences {
    let mut preferences = Preferences::default();
    if let Some(field) = envelope.field(body, "models")
        && let Some(text) = body.get(field.value.clone())
        && let Ok(models) = serde_json::from_slice::<Vec<Name>>(text)
    {
        preferences.models = bounded(Some(models));
    }
    let Some(field) = envelope.field(body, "provider") else { return preferences };
    let Some(text) = body.get(field.value.clone()) else { return preferences };
    let Ok(provider) = serde_json::from_slice::<Provider>(text) else { return preferences };
    preferences.order = bounded(provider.order);
    preferences.only = bounded(provider.only);
    preferences.ignore = bounded(provider.ignore);
    preferences.sort = provider.sort.as_deref().and_then(Sort::parse);
    if provider.allow_fallbacks == Some(false) {
        preferences.fallbacks = Fallbacks::Refused;
    }
    if provider.require_parameters == Some(true) {
        preferences.parameters = ParameterSupport::MustBeSure;
    }
    if provider.data_collection.as_deref() == Some("deny") {
        preferences.data_collection = DataCollection::Deny;
    }
    preferences.zdr = provider.zdr == Some(true);
    let price = |number: Option<serde_json::Number>| {
        number.and_then(|number| PricePerMillion::from_decimal_str(&number.to_string()).ok())
    };
    if let Some(cap) = provider.max_price {
        preferences.max_price =
            PriceCap { input: price(cap.prompt), output: price(cap.completion), request: None };
    }
    preferences
}

fn bounded(names: Option<Vec<Name>>) -> Vec<Name> {
    let mut names = names.unwrap_or_default();
    names.truncate(MOST_NAMES);
    names
}
