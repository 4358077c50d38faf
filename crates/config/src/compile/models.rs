//! What the configuration says of models, laid over the catalogue.
//!
//! Owns prices, facts and their days: a change that is due holds, one that is not waits, and both are checked. Must not ask what day
//! it is.

use crate::compile::Compiler;
use crate::file::{ModelChangeSettings, ModelSettings, PriceSettings};
use crate::problem::did_you_mean;
use indexmap::IndexMap;
use trunkline_model::capability::{Capability, Support};
use trunkline_model::catalogue::{
    Date, ModelEntry, Rates, Schedule, ServiceTier, TokenClass, UnitKind, UnitPrice,
};
use trunkline_model::money::PricePerMillion;

/// Models that retire within this time are told of, in days.
const SOON: i64 = 90;

/// Lays a model's settings over its entry. Tells the next day on which that would come out differently.
pub(super) fn apply(
    entry: &mut ModelEntry,
    id: &str,
    settings: &ModelSettings,
    compiler: &mut Compiler<'_>,
) -> Option<Date> {
    let path = ["models", id];
    Stated::of(settings).lay_over(entry, &path, compiler);
    if let Some(day) = compiler.read(&["models", id, "retires"], settings.retires.as_ref(), day) {
        entry.retires = Some(day);
    }
    let mut dated: Vec<(Date, usize)> = Vec::new();
    for (position, change) in settings.changes.iter().enumerate() {
        let number = position.to_string();
        match &change.effective_at {
            Some(text) => {
                let path = ["models", id, "changes", &number, "effective_at"];
                dated.extend(compiler.read(&path, Some(text), day).map(|day| (day, position)));
            }
            None => compiler.error(
                &["models", id, "changes", &number],
                "a change needs `effective_at`, the day from which it holds",
                Some("write it as `2027-01-31`; what holds at once stands beside `changes`".to_owned()),
            ),
        }
    }
    dated.sort_unstable();
    let today = compiler.inputs.today;
    // What is still to come is checked as well: its mistakes must not wait for their day.
    let mut later = entry.clone();
    for (day, position) in &dated {
        let number = position.to_string();
        let path = ["models", id, "changes", &number];
        let target = if *day <= today { &mut *entry } else { &mut later };
        Stated::of_change(&settings.changes[*position]).lay_over(target, &path, compiler);
    }
    dated.into_iter().map(|(day, _)| day).find(|day| *day > today)
}

/// Warns of a model that its provider switches off soon, or has.
pub(super) fn warn_of_retirement(
    entry: Option<&ModelEntry>,
    name: &str,
    path: &[&str],
    compiler: &mut Compiler<'_>,
) {
    let Some(retires) = entry.and_then(|entry| entry.retires) else { return };
    let left = retires.unix_days() - compiler.inputs.today.unix_days();
    if left <= SOON {
        let verb = if left <= 0 { "was" } else { "is" };
        compiler.warning(path, format!("`{name}` {verb} retired by its provider on {retires}"), None);
    }
}

fn day(text: &str) -> Result<Date, String> {
    text.parse().map_err(|error| format!("failed to {error}"))
}

/// What is stated of a model, at once or from a day on.
struct Stated<'a> {
    prices: [(&'static str, ServiceTier, Option<&'a PriceSettings>); 4],
    per: &'a IndexMap<String, String>,
    context_window: Option<u64>,
    max_output_tokens: Option<u64>,
    capabilities: &'a IndexMap<String, bool>,
}

impl<'a> Stated<'a> {
    fn of(settings: &'a ModelSettings) -> Self {
        Self {
            prices: [
                ("price", ServiceTier::Standard, settings.price.as_ref()),
                ("batch_price", ServiceTier::Batch, settings.batch_price.as_ref()),
                ("flex_price", ServiceTier::Flex, settings.flex_price.as_ref()),
                ("priority_price", ServiceTier::Priority, settings.priority_price.as_ref()),
            ],
            per: &settings.per,
            context_window: settings.context_window,
            max_output_tokens: settings.max_output_tokens,
            capabilities: &settings.capabilities,
        }
    }

    fn of_change(change: &'a ModelChangeSettings) -> Self {
        Self {
            prices: [
                ("price", ServiceTier::Standard, change.price.as_ref()),
                ("batch_price", ServiceTier::Batch, change.batch_price.as_ref()),
                ("flex_price", ServiceTier::Flex, change.flex_price.as_ref()),
                ("priority_price", ServiceTier::Priority, change.priority_price.as_ref()),
            ],
            per: &change.per,
            context_window: change.context_window,
            max_output_tokens: change.max_output_tokens,
            capabilities: &change.capabilities,
        }
    }

    fn lay_over(&self, entry: &mut ModelEntry, path: &[&str], compiler: &mut Compiler<'_>) {
        entry.context_window = self.context_window.or(entry.context_window);
        entry.max_output_tokens = self.max_output_tokens.or(entry.max_output_tokens);
        for (field, service, price) in self.prices {
            if let Some(price) = price {
                let path = [path, &[field]].concat();
                lay_prices(entry.prices.service_mut(service), &path, price, compiler);
            }
        }
        for (name, text) in self.per {
            let path = [path, &["per", name]].concat();
            let Some(unit) = UnitKind::ALL.iter().find(|unit| unit.as_str() == name) else {
                let hint = did_you_mean(name, UnitKind::ALL.iter().map(|unit| unit.as_str()));
                compiler.error(&path, format!("`{name}` is nothing that is priced"), hint);
                continue;
            };
            let price = compiler.read(&path, Some(text), |text| {
                PricePerMillion::from_decimal_str_per_unit(text).map_err(|error| format!("failed to {error}"))
            });
            if let Some(price) = price {
                entry.prices.units.retain(|known| known.unit != *unit);
                entry.prices.units.push(UnitPrice { unit: *unit, price });
            }
        }
        for (name, supported) in self.capabilities {
            match Capability::ALL.iter().find(|capability| capability.as_str() == name) {
                Some(capability) => {
                    entry.capabilities = entry.capabilities.with(*capability, Support::from(*supported));
                }
                None => {
                    let hint =
                        did_you_mean(name, Capability::ALL.iter().map(|capability| capability.as_str()));
                    let path = [path, &["capabilities", name]].concat();
                    compiler.error(&path, format!("`{name}` is not a capability"), hint);
                }
            }
        }
    }
}

fn lay_prices(schedule: &mut Schedule, path: &[&str], price: &PriceSettings, compiler: &mut Compiler<'_>) {
    let stated = [
        ("input", &price.input, TokenClass::Input),
        ("output", &price.output, TokenClass::Output),
        ("cache_read", &price.cache_read, TokenClass::CacheRead),
        ("cache_write", &price.cache_write, TokenClass::CacheWrite5m),
        ("cache_write_1h", &price.cache_write_1h, TokenClass::CacheWrite1h),
        ("reasoning", &price.reasoning, TokenClass::Reasoning),
        ("audio_input", &price.audio_input, TokenClass::AudioInput),
        ("audio_output", &price.audio_output, TokenClass::AudioOutput),
        ("image_input", &price.image_input, TokenClass::ImageInput),
        ("image_output", &price.image_output, TokenClass::ImageOutput),
    ];
    let mut rates = Rates::default();
    for (name, text, class) in stated {
        let path = [path, &[name]].concat();
        let value = compiler.read(&path, text.as_ref(), |text| {
            PricePerMillion::from_decimal_str(text).map_err(|error| format!("failed to {error}"))
        });
        if value.is_some() {
            rates.set(class, value);
        }
    }
    // A price in the configuration speaks for every context length: the catalogue's tiers are no longer this account's.
    schedule.base = schedule.base.overlaid_with(&rates);
    schedule.above.clear();
}
