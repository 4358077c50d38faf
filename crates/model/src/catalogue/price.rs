//! Prices of a model by token class, context tier and service tier, and the cost of a usage at them.
//!
//! Owns [`Prices`] and the one function that turns token counts into money, [`price`]. It knows no provider and no usage
//! format: callers bring disjoint [`TokenCounts`]. All classes are summed exactly before the one rounding, and a class
//! without a price borrows one by a fixed rule and says so, because a cost that silently leaves out cached tokens is wrong
//! by the factor that caching was meant to save.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ModelEntry;
use crate::money::{Charge, Cost, CostConfidence, PricePerMillion};

/// A name that is no member of a closed list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read a {what}: there is no `{name}`")]
pub struct UnknownName {
    /// What kind of name was expected, such as `token class`.
    pub what: &'static str,
    /// The name as given.
    pub name: String,
}

/// Declares a closed list with its names.
macro_rules! named_list {
    ($(#[$outer:meta])* $list:ident, $what:literal, { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $list {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl $list {
            /// Every member, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name used in configuration, catalogue data and messages.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }

        impl fmt::Display for $list {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl FromStr for $list {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                match name {
                    $($name => Ok(Self::$variant),)*
                    _ => Err(UnknownName { what: $what, name: name.to_owned() }),
                }
            }
        }
    };
}
pub(super) use named_list;

named_list! {
    /// A class of tokens with a price of its own. The first six are disjoint and add up to the provider's total; the media
    /// classes are parts of `input` and `output` that some models price apart.
    TokenClass, "token class", {
        /// Prompt tokens that were neither read from nor written to a cache.
        Input = "input",
        /// Prompt tokens served from a cache.
        CacheRead = "cache_read",
        /// Prompt tokens written to a cache for the default time (five minutes where there is a choice).
        CacheWrite5m = "cache_write_5m",
        /// Prompt tokens written to a cache for an hour.
        CacheWrite1h = "cache_write_1h",
        /// Answer tokens other than reasoning.
        Output = "output",
        /// Reasoning tokens.
        Reasoning = "reasoning",
        /// Prompt tokens that carry audio.
        AudioInput = "audio_input",
        /// Answer tokens that carry audio.
        AudioOutput = "audio_output",
        /// Prompt tokens that carry images.
        ImageInput = "image_input",
        /// Answer tokens that carry images.
        ImageOutput = "image_output",
    }
}

named_list! {
    /// How fast, and how dear, a provider was asked to serve a request.
    ServiceTier, "service tier", {
        /// The usual service.
        Standard = "standard",
        /// Asynchronous batches.
        Batch = "batch",
        /// Cheaper, slower, may be turned away.
        Flex = "flex",
        /// Dearer and faster.
        Priority = "priority",
    }
}

named_list! {
    /// What a price is for when it is not for tokens.
    UnitKind, "price unit", {
        /// One picture taken in.
        ImageIn = "image_in",
        /// One picture made.
        ImageOut = "image_out",
        /// One second of audio or video taken in.
        SecondIn = "second_in",
        /// One second of audio or video made.
        SecondOut = "second_out",
        /// One character taken in.
        CharacterIn = "character_in",
        /// One page read.
        Page = "page",
        /// One query or search.
        Query = "query",
        /// One request for which its provider searched, however often.
        SearchedRequest = "searched_request",
        /// One request, besides its tokens.
        Request = "request",
    }
}

impl TokenClass {
    /// What a [`Disagreement`](super::Disagreement) about the standard price of this class is called.
    #[must_use]
    pub const fn price_fact(self) -> &'static str {
        match self {
            Self::Input => "price.input",
            Self::CacheRead => "price.cache_read",
            Self::CacheWrite5m => "price.cache_write_5m",
            Self::CacheWrite1h => "price.cache_write_1h",
            Self::Output => "price.output",
            Self::Reasoning => "price.reasoning",
            Self::AudioInput => "price.audio_input",
            Self::AudioOutput => "price.audio_output",
            Self::ImageInput => "price.image_input",
            Self::ImageOutput => "price.image_output",
        }
    }
}

/// Prices by [`TokenClass`]; a class without one is absent, which is not the same as free.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates([Option<PricePerMillion>; TokenClass::ALL.len()]);

impl Rates {
    /// The price of one class as stated.
    #[must_use]
    pub const fn of(&self, class: TokenClass) -> Option<PricePerMillion> {
        self.0[class as usize]
    }

    /// States or removes the price of one class.
    pub const fn set(&mut self, class: TokenClass, price: Option<PricePerMillion>) {
        self.0[class as usize] = price;
    }

    /// Every stated price, in the order of [`TokenClass`].
    pub fn stated(&self) -> impl Iterator<Item = (TokenClass, PricePerMillion)> + '_ {
        TokenClass::ALL.iter().filter_map(|&class| self.of(class).map(|price| (class, price)))
    }

    /// Whether no price is stated at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// These prices with everything that `newer` states put over them.
    #[must_use]
    pub fn overlaid_with(mut self, newer: &Self) -> Self {
        for (class, price) in newer.stated() {
            self.set(class, Some(price));
        }
        self
    }
}

impl FromIterator<(TokenClass, PricePerMillion)> for Rates {
    fn from_iter<I: IntoIterator<Item = (TokenClass, PricePerMillion)>>(stated: I) -> Self {
        let mut rates = Self::default();
        for (class, price) in stated {
            rates.set(class, Some(price));
        }
        rates
    }
}

/// Prices of one service tier: the base, and those that replace them for long prompts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    /// Prices of a prompt of any length no tier covers.
    pub base: Rates,
    /// Prices for the whole request once its prompt is **longer than** this many tokens (input and cache together), by
    /// rising threshold.
    pub above: Vec<(u64, Rates)>,
}

impl Schedule {
    /// The tier that a prompt of this many tokens falls into, if it is above any threshold.
    #[must_use]
    pub fn tier(&self, prompt_tokens: u64) -> Option<&Rates> {
        self.above.iter().rev().find(|(threshold, _)| prompt_tokens > *threshold).map(|(_, rates)| rates)
    }

    /// Whether no price is stated at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.base.is_empty() && self.above.iter().all(|(_, rates)| rates.is_empty())
    }
}

/// A price for something other than tokens, per million of it so that it is as exact as the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitPrice {
    /// What one unit is.
    pub unit: UnitKind,
    /// The price of a million units.
    pub price: PricePerMillion,
}

/// Everything a model charges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prices {
    /// The usual service.
    pub standard: Schedule,
    /// Other service tiers that have prices of their own.
    pub services: Vec<(ServiceTier, Schedule)>,
    /// Prices for other things than tokens.
    pub units: Vec<UnitPrice>,
}

/// One price as it applies to a request, and how far it can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The price.
    pub price: PricePerMillion,
    /// [`CostConfidence::Exact`] when stated for this class and tier, else [`CostConfidence::Estimated`].
    pub confidence: CostConfidence,
}

impl Prices {
    /// Whether nothing at all is known of what the model charges.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.standard.is_empty()
            && self.services.iter().all(|(_, schedule)| schedule.is_empty())
            && self.units.is_empty()
    }

    /// The schedule of a service tier, where it has one of its own.
    #[must_use]
    pub fn service(&self, tier: ServiceTier) -> Option<&Schedule> {
        match tier {
            ServiceTier::Standard => Some(&self.standard),
            _ => self.services.iter().find(|(service, _)| *service == tier).map(|(_, schedule)| schedule),
        }
    }

    /// The schedule of a service tier, made empty if there was none.
    pub fn service_mut(&mut self, tier: ServiceTier) -> &mut Schedule {
        if tier == ServiceTier::Standard {
            return &mut self.standard;
        }
        let at = match self.services.iter().position(|(service, _)| *service >= tier) {
            Some(at) if self.services[at].0 == tier => at,
            Some(at) => {
                self.services.insert(at, (tier, Schedule::default()));
                at
            }
            None => {
                self.services.push((tier, Schedule::default()));
                self.services.len() - 1
            }
        };
        &mut self.services[at].1
    }

    /// The price of one million units of something other than tokens.
    #[must_use]
    pub fn unit(&self, unit: UnitKind) -> Option<PricePerMillion> {
        self.units.iter().find(|stated| stated.unit == unit).map(|stated| stated.price)
    }

    /// The prices of the usual service that apply to a prompt of this many tokens (input and cache together), for sorting
    /// and price caps: classes the tier does not state are those of the base.
    #[must_use]
    pub fn at(&self, prompt_tokens: u64) -> Rates {
        match self.standard.tier(prompt_tokens) {
            Some(tier) => self.standard.base.overlaid_with(tier),
            None => self.standard.base,
        }
    }

    /// What one class of tokens costs in a request, by the rules of [`price`].
    #[must_use]
    pub fn rate(&self, class: TokenClass, service: ServiceTier, prompt_tokens: u64) -> Option<Rate> {
        let stated = self.stated_rate(class, service, prompt_tokens);
        let borrowed = |from: TokenClass| {
            let rate = self.rate(from, service, prompt_tokens)?;
            Some(Rate { confidence: CostConfidence::Estimated, ..rate })
        };
        stated.or_else(|| match class {
            TokenClass::Input | TokenClass::Output => None,
            // Providers that do not price reasoning apart bill it as output, and say so.
            TokenClass::Reasoning => self.rate(TokenClass::Output, service, prompt_tokens),
            TokenClass::CacheWrite1h => borrowed(TokenClass::CacheWrite5m),
            TokenClass::CacheRead | TokenClass::CacheWrite5m => borrowed(TokenClass::Input),
            TokenClass::AudioInput | TokenClass::ImageInput => borrowed(TokenClass::Input),
            TokenClass::AudioOutput | TokenClass::ImageOutput => borrowed(TokenClass::Output),
        })
    }

    /// The first price stated for the class itself: in the tier of the service, its base, then the usual service.
    fn stated_rate(&self, class: TokenClass, service: ServiceTier, prompt_tokens: u64) -> Option<Rate> {
        let mut confidence = CostConfidence::Exact;
        let own = self.service(service).filter(|schedule| !schedule.is_empty());
        // A service tier that is silent about long prompts, where the usual service prices them apart, is not to be trusted.
        let tier_missing = self.standard.tier(prompt_tokens).is_some()
            && own.is_some_and(|schedule| schedule.tier(prompt_tokens).is_none());
        if own.is_none() || tier_missing {
            confidence = CostConfidence::Estimated;
        }
        let standard = if service == ServiceTier::Standard { None } else { Some(&self.standard) };
        for schedule in own.into_iter().chain(standard) {
            for rates in schedule.tier(prompt_tokens).into_iter().chain([&schedule.base]) {
                if let Some(price) = rates.of(class) {
                    return Some(Rate { price, confidence });
                }
                confidence = CostConfidence::Estimated;
            }
        }
        None
    }
}

/// Tokens of one request by disjoint class; they add up to the provider's total.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenCounts {
    /// Prompt tokens neither read from nor written to a cache.
    pub input: u64,
    /// Prompt tokens read from a cache.
    pub cache_read: u64,
    /// Prompt tokens written to a cache for the default time.
    pub cache_write_5m: u64,
    /// Prompt tokens written to a cache for an hour.
    pub cache_write_1h: u64,
    /// Answer tokens other than reasoning.
    pub output: u64,
    /// Reasoning tokens.
    pub reasoning: u64,
}

impl TokenCounts {
    /// All prompt tokens, which decide the context tier.
    #[must_use]
    pub const fn prompt(&self) -> u64 {
        self.input
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_write_5m)
            .saturating_add(self.cache_write_1h)
    }

    /// Every class with its count.
    #[must_use]
    pub const fn classes(&self) -> [(TokenClass, u64); 6] {
        [
            (TokenClass::Input, self.input),
            (TokenClass::CacheRead, self.cache_read),
            (TokenClass::CacheWrite5m, self.cache_write_5m),
            (TokenClass::CacheWrite1h, self.cache_write_1h),
            (TokenClass::Output, self.output),
            (TokenClass::Reasoning, self.reasoning),
        ]
    }
}

/// What a request with these tokens costs at the model's prices.
///
/// The context tier is chosen by all prompt tokens, cached ones included, and applies to the whole request. For each class
/// that has tokens the price is, in this order:
/// 1. the one stated for the class in the service tier and context tier: exact;
/// 2. the one stated for the class at the base of the service tier, then in the usual service: estimated; so is the first
///    when only the usual service prices prompts of this length apart;
/// 3. for reasoning the price of output, with its confidence; for a cache read or a five-minute cache write the price of
///    input, for a one-hour write that of a five-minute write: estimated;
/// 4. none: the cost is unknown, and the amount is what the priced classes add up to, or absent when there are none.
///
/// No tokens at all cost nothing, exactly, even without prices.
#[must_use]
pub fn price(model: &ModelEntry, service: ServiceTier, tokens: &TokenCounts) -> Cost {
    classes(model, service, tokens.prompt(), tokens.classes())
}

/// What tokens by class cost in a request whose prompt has `prompt_tokens`, by the rules of [`price`].
pub(super) fn classes(
    model: &ModelEntry,
    service: ServiceTier,
    prompt_tokens: u64,
    classes: impl IntoIterator<Item = (TokenClass, u64)>,
) -> Cost {
    let mut charge = Charge::ZERO;
    let mut confidence = CostConfidence::Exact;
    let (mut priced, mut used) = (false, false);
    for (class, count) in classes {
        if count == 0 {
            continue;
        }
        used = true;
        match model.prices.rate(class, service, prompt_tokens) {
            Some(rate) => {
                priced = true;
                charge = charge.plus(rate.price.charge(count));
                confidence = confidence.max(rate.confidence);
            }
            None => confidence = CostConfidence::Unknown,
        }
    }
    if used && !priced { Cost::UNKNOWN } else { Cost { amount: Some(charge.round()), confidence } }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::Kind;
    use crate::money::NanoDollars;

    fn dollars(text: &str) -> PricePerMillion {
        PricePerMillion::from_decimal_str(text).expect("a price")
    }

    fn rates(stated: &[(TokenClass, &str)]) -> Rates {
        stated.iter().map(|(class, price)| (*class, dollars(price))).collect()
    }

    fn model(prices: Prices) -> ModelEntry {
        let mut model = ModelEntry::new("made-up/model", Kind::Chat).expect("an id");
        model.prices = prices;
        model
    }

    fn full_model() -> ModelEntry {
        let standard = Schedule {
            base: rates(&[
                (TokenClass::Input, "3"),
                (TokenClass::CacheRead, "0.3"),
                (TokenClass::CacheWrite5m, "3.75"),
                (TokenClass::CacheWrite1h, "6"),
                (TokenClass::Output, "15"),
            ]),
            above: vec![(200_000, rates(&[(TokenClass::Input, "6"), (TokenClass::Output, "22.5")]))],
        };
        let batch = Schedule {
            base: rates(&[(TokenClass::Input, "1.5"), (TokenClass::Output, "7.5")]),
            above: Vec::new(),
        };
        model(Prices { standard, services: vec![(ServiceTier::Batch, batch)], units: Vec::new() })
    }

    #[test]
    fn every_class_is_charged_at_its_own_price() {
        let tokens = TokenCounts {
            input: 1_000,
            cache_read: 10_000,
            cache_write_5m: 100,
            cache_write_1h: 10,
            output: 500,
            reasoning: 200,
        };
        // 3,000 + 3,000 + 375 + 60 + 7,500 + 3,000 millionths of a dollar.
        let cost = price(&full_model(), ServiceTier::Standard, &tokens);
        assert_eq!(cost, Cost::exact(NanoDollars(16_935_000)));
    }

    #[test]
    fn cached_tokens_count_for_the_context_tier_and_the_threshold_itself_is_below_it() {
        let at = TokenCounts { input: 1, cache_read: 199_999, ..TokenCounts::default() };
        let above = TokenCounts { input: 1, cache_read: 200_000, ..TokenCounts::default() };
        assert_eq!(price(&full_model(), ServiceTier::Standard, &at), Cost::exact(NanoDollars(60_002_700)));
        // The tier states no price for cache reads: that of the base is borrowed, and the cost says so.
        assert_eq!(
            price(&full_model(), ServiceTier::Standard, &above),
            Cost::estimated(NanoDollars(60_006_000))
        );
    }

    #[test]
    fn a_service_tier_has_its_own_prices_and_borrows_the_rest() {
        let plain = TokenCounts { input: 1_000_000, ..TokenCounts::default() };
        let cached = TokenCounts { cache_read: 1_000_000, ..TokenCounts::default() };
        let mut model = full_model();
        assert_eq!(price(&model, ServiceTier::Batch, &plain).confidence, CostConfidence::Estimated);
        model.prices.standard.above.clear();
        assert_eq!(price(&model, ServiceTier::Batch, &plain), Cost::exact(NanoDollars(1_500_000_000)));
        assert_eq!(price(&model, ServiceTier::Batch, &cached), Cost::estimated(NanoDollars(300_000_000)));
        assert_eq!(price(&model, ServiceTier::Flex, &plain), Cost::estimated(NanoDollars(3_000_000_000)));
    }

    #[test]
    fn a_class_without_a_price_borrows_one_by_the_rule() {
        let model = model(Prices {
            standard: Schedule {
                base: rates(&[(TokenClass::Input, "2"), (TokenClass::Output, "8")]),
                above: Vec::new(),
            },
            ..Prices::default()
        });
        let only = |tokens: TokenCounts| price(&model, ServiceTier::Standard, &tokens);
        let million = 1_000_000;
        assert_eq!(
            only(TokenCounts { cache_read: million, ..TokenCounts::default() }),
            Cost::estimated(NanoDollars::from_dollars(2))
        );
        assert_eq!(
            only(TokenCounts { cache_write_1h: million, ..TokenCounts::default() }),
            Cost::estimated(NanoDollars::from_dollars(2))
        );
        assert_eq!(
            only(TokenCounts { reasoning: million, ..TokenCounts::default() }),
            Cost::exact(NanoDollars::from_dollars(8))
        );
    }

    #[test]
    fn without_a_price_the_cost_is_unknown_and_never_zero() {
        let unpriced = model(Prices::default());
        let tokens = TokenCounts { input: 1, ..TokenCounts::default() };
        assert_eq!(price(&unpriced, ServiceTier::Standard, &tokens), Cost::UNKNOWN);
        assert_eq!(price(&unpriced, ServiceTier::Standard, &TokenCounts::default()), Cost::NOTHING);
        let input_only = model(Prices {
            standard: Schedule { base: rates(&[(TokenClass::Input, "2")]), above: Vec::new() },
            ..Prices::default()
        });
        let both = TokenCounts { input: 1_000_000, output: 1, ..TokenCounts::default() };
        assert_eq!(
            price(&input_only, ServiceTier::Standard, &both),
            Cost { amount: Some(NanoDollars::from_dollars(2)), confidence: CostConfidence::Unknown }
        );
    }

    #[test]
    fn a_free_model_costs_exactly_nothing() {
        let free = model(Prices {
            standard: Schedule {
                base: rates(&[(TokenClass::Input, "0"), (TokenClass::Output, "0")]),
                above: Vec::new(),
            },
            ..Prices::default()
        });
        let tokens = TokenCounts { input: 5, output: 5, ..TokenCounts::default() };
        assert_eq!(price(&free, ServiceTier::Standard, &tokens), Cost::exact(NanoDollars::ZERO));
    }

    proptest! {
        #[test]
        fn splitting_a_usage_moves_its_cost_by_no_more_than_a_rounding(
            one in counts(), two in counts(), prices in proptest::collection::vec(0_u64..100_000_000_000, 6),
        ) {
            let base = TokenClass::ALL.iter().copied().zip(prices.into_iter().map(PricePerMillion)).collect();
            let model = model(Prices { standard: Schedule { base, above: Vec::new() }, ..Prices::default() });
            let both = TokenCounts {
                input: one.input + two.input,
                cache_read: one.cache_read + two.cache_read,
                cache_write_5m: one.cache_write_5m + two.cache_write_5m,
                cache_write_1h: one.cache_write_1h + two.cache_write_1h,
                output: one.output + two.output,
                reasoning: one.reasoning + two.reasoning,
            };
            let cost = |tokens: &TokenCounts| price(&model, ServiceTier::Standard, tokens);
            let apart = cost(&one).plus(cost(&two));
            let together = cost(&both);
            prop_assert_eq!(together.confidence, CostConfidence::Exact);
            let nanos = |cost: Cost| cost.amount.map_or(0, NanoDollars::nanos);
            prop_assert!((nanos(apart) - nanos(together)).abs() <= 1);
        }
    }

    prop_compose! {
        fn counts()(classes in proptest::array::uniform6(0_u64..2_000_000)) -> TokenCounts {
            let [input, cache_read, cache_write_5m, cache_write_1h, output, reasoning] = classes;
            TokenCounts { input, cache_read, cache_write_5m, cache_write_1h, output, reasoning }
        }
    }
}
