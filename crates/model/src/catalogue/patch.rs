//! Changes to the catalogue that a configuration makes: corrected prices, private models, better facts.
//!
//! Owns [`ModelPatch`] and how patches are laid over entries. It knows no configuration syntax and no clock: the caller says
//! what day it is, and a patch with a later `effective_at` waits. A patch states only what it changes, because restating a
//! whole entry to correct one price would freeze the other facts at the day it was written.

use super::{Catalogue, Date, Kind, ModelEntry, Rates, ReasoningEffort, ServiceTier, Text, UnitPrice};
use crate::capability::Capabilities;
use crate::catalogue::entry::ModelIdError;

/// Prices that a patch states for one service tier and context tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PricePatch {
    /// The service tier.
    pub service: ServiceTier,
    /// The context tier: prompts longer than this many tokens; the base when absent.
    pub above: Option<u64>,
    /// The prices; classes that are not stated keep theirs.
    pub rates: Rates,
}

/// What a configuration says of one model. Absent and empty fields change nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelPatch {
    /// The id `provider/model`; an id the catalogue lacks adds a model.
    pub id: String,
    /// From this day on; at once when absent.
    pub effective_at: Option<Date>,
    /// What the model is for; a model that is added without it is for chat.
    pub kind: Option<Kind>,
    /// Tokens of prompt and answer together.
    pub context_window: Option<u64>,
    /// Tokens of the prompt.
    pub max_input_tokens: Option<u64>,
    /// Tokens of the answer.
    pub max_output_tokens: Option<u64>,
    /// Token prices.
    pub prices: Vec<PricePatch>,
    /// Prices for other things than tokens.
    pub units: Vec<UnitPrice>,
    /// What the model is known to be able or unable to do.
    pub capabilities: Capabilities,
    /// The reasoning efforts it accepts.
    pub reasoning_efforts: Vec<ReasoningEffort>,
    /// Length of the vectors it makes.
    pub embedding_dimensions: Option<u32>,
    /// The day it came out.
    pub released: Option<Date>,
    /// The day it is switched off.
    pub retires: Option<Date>,
    /// More names for it.
    pub aliases: Vec<String>,
}

impl Catalogue {
    /// This catalogue with the patches that are in effect on `today` laid over it: those without a day first, then by day,
    /// then in the order given, so that of two prices the more recent one holds.
    ///
    /// # Errors
    /// [`ModelIdError`] for the first patch whose id is not `provider/model`.
    pub fn patched(&self, patches: &[ModelPatch], today: Date) -> Result<Self, ModelIdError> {
        let mut due: Vec<&ModelPatch> =
            patches.iter().filter(|patch| patch.effective_at.is_none_or(|day| day <= today)).collect();
        due.sort_by_key(|patch| patch.effective_at);
        let mut changed: Vec<ModelEntry> = Vec::new();
        for patch in due {
            let at = match changed.iter().position(|entry| entry.id() == patch.id) {
                Some(at) => at,
                None => {
                    changed.push(match self.by_id(&patch.id) {
                        Some(entry) => entry.clone(),
                        None => ModelEntry::new(patch.id.clone(), patch.kind.unwrap_or(Kind::Chat))?,
                    });
                    changed.len() - 1
                }
            };
            patch.lay_over(&mut changed[at]);
        }
        Ok(self.with(changed))
    }
}

impl ModelPatch {
    fn lay_over(&self, entry: &mut ModelEntry) {
        /// Replaces a fact by the patch's, where it has one.
        fn put<T: Copy>(fact: &mut Option<T>, stated: Option<T>) {
            *fact = stated.or(*fact);
        }
        entry.kind = self.kind.unwrap_or(entry.kind);
        put(&mut entry.context_window, self.context_window);
        put(&mut entry.max_input_tokens, self.max_input_tokens);
        put(&mut entry.max_output_tokens, self.max_output_tokens);
        put(&mut entry.embedding_dimensions, self.embedding_dimensions);
        put(&mut entry.released, self.released);
        put(&mut entry.retires, self.retires);
        entry.capabilities = entry.capabilities.overlaid_with(self.capabilities);
        if !self.reasoning_efforts.is_empty() {
            entry.reasoning_efforts.clone_from(&self.reasoning_efforts);
        }
        for alias in &self.aliases {
            if !entry.aliases.iter().any(|known| known == alias) {
                entry.aliases.push(Text::Owned(alias.clone()));
            }
        }
        for price in &self.prices {
            price.lay_over(entry);
        }
        for stated in &self.units {
            entry.prices.units.retain(|known| known.unit != stated.unit);
            entry.prices.units.push(*stated);
        }
        // Whoever corrects a fact has settled what the sources disagree about.
        let settled: Vec<&str> = self.settled();
        entry.disagreements.retain(|side| !settled.contains(&side.fact.as_ref()));
    }

    /// The facts of disagreements that this patch decides.
    fn settled(&self) -> Vec<&'static str> {
        let mut settled = Vec::new();
        if self.context_window.is_some() {
            settled.push("window");
        }
        if self.max_output_tokens.is_some() {
            settled.push("output");
        }
        let standard = self
            .prices
            .iter()
            .filter(|price| price.service == ServiceTier::Standard && price.above.is_none());
        settled.extend(standard.flat_map(|price| price.rates.stated().map(|(class, _)| class.price_fact())));
        settled
    }
}

impl PricePatch {
    fn lay_over(&self, entry: &mut ModelEntry) {
        let schedule = entry.prices.service_mut(self.service);
        let Some(threshold) = self.above else {
            schedule.base = schedule.base.overlaid_with(&self.rates);
            return;
        };
        match schedule.above.iter_mut().find(|(known, _)| *known == threshold) {
            Some((_, rates)) => *rates = rates.overlaid_with(&self.rates),
            None => {
                schedule.above.push((threshold, self.rates));
                schedule.above.sort_by_key(|(threshold, _)| *threshold);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::{Capability, Support};
    use crate::catalogue::{TokenClass, parse};
    use crate::money::PricePerMillion;

    fn catalogue() -> Catalogue {
        let text = "acme/road-1\tchat\twindow=1000\tprice=input:3,output:15\tdiffers=price.input:3/2.5,window:1000/2000\n";
        Catalogue::new(parse(text).expect("a catalogue"))
    }

    fn day(text: &str) -> Date {
        text.parse().expect("a day")
    }

    fn input_price(price: &str, from: Option<&str>) -> ModelPatch {
        let price = PricePerMillion::from_decimal_str(price).expect("a price");
        ModelPatch {
            id: "acme/road-1".to_owned(),
            effective_at: from.map(day),
            prices: vec![PricePatch {
                service: ServiceTier::Standard,
                above: None,
                rates: [(TokenClass::Input, price)].into_iter().collect(),
            }],
            ..ModelPatch::default()
        }
    }

    fn price_on(patches: &[ModelPatch], today: &str) -> Option<u64> {
        let patched = catalogue().patched(patches, day(today)).expect("a catalogue");
        let entry = patched.by_id("acme/road-1").expect("the model");
        assert_eq!(entry.prices.at(0).of(TokenClass::Output), Some(PricePerMillion(15_000_000_000)));
        entry.prices.at(0).of(TokenClass::Input).map(|price| price.0 / 1_000_000_000)
    }

    #[test]
    fn the_latest_price_in_effect_holds() {
        let patches = [
            input_price("9", Some("2027-01-01")),
            input_price("7", None),
            input_price("8", Some("2026-06-01")),
        ];
        assert_eq!(price_on(&[], "2026-01-01"), Some(3));
        assert_eq!(price_on(&patches, "2026-01-01"), Some(7));
        assert_eq!(price_on(&patches, "2026-06-01"), Some(8));
        assert_eq!(price_on(&patches, "2030-06-01"), Some(9));
    }

    #[test]
    fn a_patch_changes_what_it_states_and_settles_it() {
        let patch = ModelPatch {
            capabilities: Capabilities::UNKNOWN.with(Capability::Tools, Support::Yes),
            max_output_tokens: Some(5),
            ..input_price("4", None)
        };
        let patched = catalogue().patched(&[patch], day("2026-01-01")).expect("a catalogue");
        let entry = patched.by_id("acme/road-1").expect("the model");
        assert_eq!((entry.context_window, entry.max_output_tokens), (Some(1000), Some(5)));
        assert_eq!(entry.support(Capability::Tools), Support::Yes);
        let left: Vec<&str> = entry.disagreements.iter().map(|side| side.fact.as_ref()).collect();
        assert_eq!(left, ["window"]);
    }

    #[test]
    fn an_unknown_id_adds_a_model_and_a_wrong_one_is_refused() {
        let named = |id: &str| ModelPatch { id: id.to_owned(), ..ModelPatch::default() };
        let patched = catalogue().patched(&[named("edge/qwen")], day("2026-01-01")).expect("a catalogue");
        assert_eq!(patched.by_id("edge/qwen").map(|entry| entry.kind), Some(Kind::Chat));
        let error = catalogue().patched(&[named("qwen")], day("2026-01-01")).expect_err("no id");
        insta::assert_snapshot!(error, @"read a model id from `qwen`: expected provider/model");
    }
}
