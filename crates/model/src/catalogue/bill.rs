//! What a call cost: its tokens, or whatever else its model is paid by.
//!
//! Owns the choice between the two. Must not know providers. Tokens come first, because a provider that reports them bills
//! them; a price for pictures, seconds, characters or searches counts where there are none. Searches alone come before tokens
//! where they are what is sold (documents put in order), and beside them everywhere else, as does a fee for the request itself. What
//! has no price is unknown and never free.

use super::price::classes;
use super::{Kind, ModelEntry, ServiceTier, TokenClass, UnitKind};
use crate::money::{Cost, CostConfidence, NanoDollars};
use crate::usage::{Terms, Usage};

/// Milliseconds in the second that prices are for.
const MILLISECONDS: u64 = 1_000;

/// What a call with this usage costs at the model's prices: those of the `service` it was sent by, or else of the terms on which
/// the provider says it served it.
#[must_use]
pub fn bill(model: &ModelEntry, service: ServiceTier, usage: &Usage) -> Cost {
    let service = if service == ServiceTier::Standard { usage.terms.service() } else { service };
    let cost = by_service(model, service, usage);
    if usage.terms == Terms::Unlisted { cost.no_surer_than(CostConfidence::Estimated) } else { cost }
}

fn by_service(model: &ModelEntry, service: ServiceTier, usage: &Usage) -> Cost {
    let cost = metered(model, service, usage);
    // Whatever was done is a request; where nothing was, nothing is known to be one.
    let is_request = usage.total() > 0 || usage.searches > 0;
    if is_request { cost.plus(Cost::exact(request_fee(model))) } else { cost }
}

/// What a request costs besides whatever it is metered by; mostly nothing.
#[must_use]
pub fn request_fee(model: &ModelEntry) -> NanoDollars {
    model.prices.unit(UnitKind::Request).map_or(NanoDollars(0), |price| price.cost_of_parts(1, 1))
}

fn metered(model: &ModelEntry, service: ServiceTier, usage: &Usage) -> Cost {
    if usage.searches > 0 {
        let cost = match units(model, UnitKind::Query, usage.searches, 1) {
            Cost::UNKNOWN => units(model, UnitKind::SearchedRequest, 1, 1),
            cost => cost,
        };
        let is_priced = cost.confidence != CostConfidence::Unknown;
        if usage.total() == 0 || (is_priced && model.kind == Kind::Rerank) {
            return cost;
        }
        let tokens = tokens(model, service, usage);
        if is_priced {
            return tokens.plus(cost);
        }
        // The tokens have a price and the searches none: they may cost something beside.
        return tokens.no_surer_than(CostConfidence::Estimated);
    }
    if usage.total() > 0 {
        // Whoever tells both for texts bills the characters, and tokens are a figure for orientation.
        if usage.media.characters > 0 && model.prices.unit(UnitKind::CharacterIn).is_some() {
            return units(model, UnitKind::CharacterIn, usage.media.characters, 1);
        }
        let cost = tokens(model, service, usage);
        if cost.confidence != CostConfidence::Unknown {
            return cost;
        }
        return other(model, usage).filter(|cost| cost.confidence != CostConfidence::Unknown).unwrap_or(cost);
    }
    // Nothing at all costs nothing.
    other(model, usage).unwrap_or(Cost::NOTHING)
}

fn tokens(model: &ModelEntry, service: ServiceTier, usage: &Usage) -> Cost {
    // The tier of a price goes by the whole prompt, billed or not.
    let prompt = usage.prompt();
    let usage = &usage.billed();
    let media = &usage.media;
    let written = [
        (TokenClass::Input, usage.input.saturating_sub(media.image_input.saturating_add(media.audio_input))),
        (TokenClass::CacheRead, usage.cache_read),
        (TokenClass::CacheWrite5m, usage.cache_write),
        (TokenClass::CacheWrite1h, usage.cache_write_long),
        (
            TokenClass::Output,
            usage.output.saturating_sub(media.image_output.saturating_add(media.audio_output)),
        ),
        (TokenClass::Reasoning, usage.reasoning),
        (TokenClass::ImageInput, media.image_input),
        (TokenClass::AudioInput, media.audio_input),
        (TokenClass::ImageOutput, media.image_output),
        (TokenClass::AudioOutput, media.audio_output),
    ];
    classes(model, service, prompt, written)
}

/// What is counted otherwise; nothing when nothing is.
fn other(model: &ModelEntry, usage: &Usage) -> Option<Cost> {
    let media = &usage.media;
    [
        (UnitKind::ImageOut, media.images, 1),
        (UnitKind::SecondIn, media.audio_milliseconds, MILLISECONDS),
        (UnitKind::CharacterIn, media.characters, 1),
    ]
    .into_iter()
    .filter(|(_, count, _)| *count > 0)
    .map(|(unit, count, parts)| units(model, unit, count, parts))
    .reduce(Cost::plus)
}

/// The price of `count` parts of a unit, `parts` to one of it.
fn units(model: &ModelEntry, unit: UnitKind, count: u64, parts: u64) -> Cost {
    match model.prices.unit(unit) {
        Some(price) => Cost::exact(price.cost_of_parts(count, parts)),
        None => Cost::UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{TokenCounts, UnitPrice, price};
    use crate::money::PricePerMillion;
    use crate::usage::{Media, Unbilled};
    use proptest::prelude::*;

    fn model(rates: &[(TokenClass, &str)], units: &[(UnitKind, &str)]) -> ModelEntry {
        let dollars = |text: &str| PricePerMillion::from_decimal_str(text).expect("a price");
        let mut model = ModelEntry::new("made-up/model", Kind::Image).expect("an id");
        model.prices.standard.base = rates.iter().map(|(class, text)| (*class, dollars(text))).collect();
        model.prices.units =
            units.iter().map(|(unit, text)| UnitPrice { unit: *unit, price: dollars(text) }).collect();
        model
    }

    fn cost(model: &ModelEntry, usage: Usage) -> Cost {
        bill(model, ServiceTier::Standard, &usage)
    }

    #[test]
    fn pictures_in_tokens_have_their_own_prices() {
        let model = model(
            &[(TokenClass::Input, "5"), (TokenClass::ImageInput, "10"), (TokenClass::ImageOutput, "40")],
            &[],
        );
        let media = Media { image_input: 300, image_output: 1_000, ..Media::default() };
        let usage = Usage { input: 400, output: 1_000, media, ..Usage::default() };
        // 100 x 5 + 300 x 10 + 1,000 x 40 millionths of a dollar.
        assert_eq!(cost(&model, usage), Cost::exact(NanoDollars(43_500_000)));
    }

    #[test]
    fn what_is_not_counted_in_tokens_is_priced_by_its_unit() {
        let model = model(
            &[],
            &[
                (UnitKind::ImageOut, "40000"),
                (UnitKind::SecondIn, "100"),
                (UnitKind::CharacterIn, "15"),
                (UnitKind::Query, "2000"),
            ],
        );
        let of = |media: Media| cost(&model, Usage { media, ..Usage::default() });
        assert_eq!(of(Media { images: 2, ..Media::default() }), Cost::exact(NanoDollars(80_000_000)));
        assert_eq!(
            of(Media { audio_milliseconds: 1_500, ..Media::default() }),
            Cost::exact(NanoDollars(150_000))
        );
        assert_eq!(of(Media { characters: 12, ..Media::default() }), Cost::exact(NanoDollars(180_000)));
        let embedded = Media { characters: 12, ..Media::default() };
        let embedded = Usage { input: 3, media: embedded, ..Usage::default() };
        assert_eq!(cost(&model, embedded), Cost::exact(NanoDollars(180_000)));
        let searched = Usage { searches: 1, input: 7, ..Usage::default() };
        let mut ranks = model.clone();
        ranks.kind = Kind::Rerank;
        assert_eq!(cost(&ranks, searched), Cost::exact(NanoDollars(2_000_000)));
        let by_tokens = self::model(&[(TokenClass::Input, "1")], &[]);
        assert_eq!(cost(&by_tokens, searched), Cost::estimated(NanoDollars(7_000)));
        assert_eq!(cost(&by_tokens, Usage { searches: 1, ..Usage::default() }), Cost::UNKNOWN);
    }

    #[test]
    fn searches_cost_beside_the_tokens_of_a_conversation() {
        let mut model = model(&[(TokenClass::Input, "3")], &[(UnitKind::Query, "10000")]);
        model.kind = Kind::Chat;
        let searched = Usage { searches: 2, input: 1_000, ..Usage::default() };
        assert_eq!(cost(&model, searched), Cost::exact(NanoDollars(23_000_000)));
        model.prices.units.clear();
        assert_eq!(cost(&model, searched), Cost::estimated(NanoDollars(3_000_000)));
    }

    #[test]
    fn requests_and_requests_with_searches_have_prices_of_their_own() {
        let searches = |count| Usage { searches: count, input: 1_000, ..Usage::default() };
        let mut model = model(&[(TokenClass::Input, "3")], &[(UnitKind::SearchedRequest, "35000")]);
        model.kind = Kind::Chat;
        assert_eq!(cost(&model, searches(0)), Cost::exact(NanoDollars(3_000_000)));
        assert_eq!(cost(&model, searches(1)), Cost::exact(NanoDollars(38_000_000)));
        assert_eq!(cost(&model, searches(4)), Cost::exact(NanoDollars(38_000_000)));
        model.prices.units[0].unit = UnitKind::Request;
        assert_eq!(cost(&model, searches(0)), Cost::exact(NanoDollars(38_000_000)));
        assert_eq!(cost(&model, searches(2)), Cost::estimated(NanoDollars(38_000_000)));
        assert_eq!(cost(&model, Usage::default()), Cost::NOTHING);
    }

    #[test]
    fn the_terms_an_answer_tells_decide_the_prices() {
        let mut model = model(&[(TokenClass::Input, "4")], &[]);
        let cheaper = PricePerMillion::from_decimal_str("2").expect("a price");
        model.prices.service_mut(ServiceTier::Flex).base.set(TokenClass::Input, Some(cheaper));
        let on = |terms| cost(&model, Usage { input: 1_000, terms, ..Usage::default() });
        assert_eq!(on(Terms::Usual), Cost::exact(NanoDollars(4_000_000)));
        assert_eq!(on(Terms::Flex), Cost::exact(NanoDollars(2_000_000)));
        assert_eq!(on(Terms::Priority), Cost::estimated(NanoDollars(4_000_000)));
        assert_eq!(on(Terms::Unlisted), Cost::estimated(NanoDollars(4_000_000)));
        // What was handed in as a batch is billed as one, whatever its lines say.
        let line = Usage { input: 1_000, terms: Terms::Flex, ..Usage::default() };
        assert_eq!(bill(&model, ServiceTier::Batch, &line), Cost::estimated(NanoDollars(4_000_000)));
    }

    #[test]
    fn what_the_provider_does_not_bill_costs_nothing() {
        let model = model(&[(TokenClass::Input, "2"), (TokenClass::Output, "10")], &[]);
        let unbilled = Unbilled { prompt: 66, completion: 2 };
        let usage = Usage { unbilled, ..Usage::from_inclusive(71, 64, 6, 0) };
        // Five tokens at two and four at ten millionths of a dollar; the cache read, which has no price, is not billed.
        assert_eq!(cost(&model, usage), Cost::exact(NanoDollars(50_000)));
        let free = Usage { unbilled: Unbilled { prompt: 71, completion: 6 }, ..usage };
        assert_eq!(cost(&model, free), Cost::exact(NanoDollars(0)));
    }

    #[test]
    fn tokens_that_are_billed_come_before_units_and_no_price_is_unknown() {
        let both =
            model(&[(TokenClass::Input, "1"), (TokenClass::Output, "2")], &[(UnitKind::SecondIn, "100")]);
        let media = Media { audio_milliseconds: 1_000, audio_input: 10, ..Media::default() };
        let usage = Usage { input: 10, output: 5, media, ..Usage::default() };
        assert_eq!(cost(&both, usage), Cost::estimated(NanoDollars(20_000)));
        let seconds = model(&[], &[(UnitKind::SecondIn, "100")]);
        assert_eq!(cost(&seconds, usage), Cost::exact(NanoDollars(100_000)));
        let none = model(&[], &[]);
        assert_eq!(cost(&none, usage), Cost::UNKNOWN);
        assert_eq!(cost(&none, Usage { media, ..Usage::default() }), Cost::UNKNOWN);
        assert_eq!(cost(&none, Usage::default()), Cost::NOTHING);
    }

    proptest! {
        #[test]
        fn without_media_it_is_the_price_of_the_tokens(input in 0u64..1 << 30, output in 0u64..1 << 30) {
            let model = model(&[(TokenClass::Input, "0.15"), (TokenClass::Output, "0.6")], &[]);
            let usage = Usage { input, output, ..Usage::default() };
            let expected = price(&model, ServiceTier::Standard, &TokenCounts::from(&usage));
            prop_assert_eq!(cost(&model, usage), expected);
        }
    }
}
