//! What a request would cost and weigh on a deployment before it is sent.
//!
//! Owns the estimates that rankings, caps and the runner-up's cost rest on. Must not be used for bills: those come from what
//! the provider reports.

use crate::fleet::Deployment;
use trunkline_model::catalogue::{ServiceTier, TokenCounts, price, request_fee};
use trunkline_model::dialect::Operation;
use trunkline_model::money::{Cost, CostConfidence, NanoDollars};
use trunkline_model::shape::Shape;

/// Answer tokens that are assumed when nothing better is known. Only the order it gives matters: the same figure is used for
/// every candidate, and answers of a few hundred tokens are what chat traffic mostly consists of.
pub const ASSUMED_OUTPUT_TOKENS: u64 = 400;

/// Answer tokens to expect: the assumption, or the client's own limit where that is lower, for each answer it asks for.
#[must_use]
pub fn expected_output_tokens(shape: &Shape) -> u64 {
    match shape.operation {
        Operation::Chat | Operation::Completions => {
            let one =
                shape.max_output_tokens.map_or(ASSUMED_OUTPUT_TOKENS, |most| most.min(ASSUMED_OUTPUT_TOKENS));
            one.saturating_mul(u64::from(shape.choices.max(1)))
        }
        _ => 0,
    }
}

/// What a request of this shape would cost, at most as sure as an estimate; unknown without prices.
#[must_use]
pub fn expected_cost(deployment: &Deployment, shape: &Shape) -> Cost {
    let Some(entry) = &deployment.entry else { return Cost::UNKNOWN };
    let tokens = TokenCounts {
        input: shape.estimated_input_tokens(),
        output: expected_output_tokens(shape),
        ..TokenCounts::default()
    };
    let fee = Cost::exact(request_fee(entry));
    price(entry, ServiceTier::Standard, &tokens).plus(fee).no_surer_than(CostConfidence::Estimated)
}

/// Tokens of an answer that are taken for possible where neither the request, the model nor its window sets a limit.
const UNLIMITED_TOKENS: u64 = 131_072;
/// The most tokens a picture, document, sound or video of which only the address is in the body is taken for.
const LARGEST_MEDIUM: u64 = 100_000;

/// The most a request of this shape can cost on a deployment, for caps that must hold whatever happens; `None` when a price is
/// missing. A token is at least a byte, so the body bounds the prompt; the model's own limits bound both sides further. Prompt
/// and answer are taken at the dearest class that they may be billed as.
#[must_use]
pub fn worst_cost(deployment: &Deployment, shape: &Shape) -> Option<NanoDollars> {
    let entry = deployment.entry.as_ref()?;
    let window = entry.context_window.unwrap_or(u64::MAX);
    let media = u64::from(shape.images)
        .saturating_add(u64::from(shape.documents))
        .saturating_add(u64::from(shape.audio))
        .saturating_add(u64::from(shape.videos));
    let prompt = shape
        .body_bytes
        .max(shape.text_bytes)
        .saturating_add(media.saturating_mul(LARGEST_MEDIUM))
        .min(entry.max_input_tokens.unwrap_or(window))
        .min(window);
    let longest = [shape.max_output_tokens, entry.max_output_tokens, entry.context_window];
    let longest = longest.into_iter().flatten().min().unwrap_or(UNLIMITED_TOKENS);
    let answer = longest.saturating_mul(u64::from(shape.choices.max(1)));
    let bill = |input: u64, brief: u64, long: u64, output: u64, reasoning: u64| {
        let tokens = TokenCounts {
            input,
            cache_write_5m: brief,
            cache_write_1h: long,
            output,
            reasoning,
            ..TokenCounts::default()
        };
        price(entry, ServiceTier::Standard, &tokens)
    };
    let plain = bill(prompt, 0, 0, answer, 0);
    if plain.confidence == CostConfidence::Unknown {
        return None;
    }
    let prompts = [(prompt, 0, 0), (0, prompt, 0), (0, 0, prompt)];
    let bills = prompts.into_iter().flat_map(|(input, brief, long)| {
        [bill(input, brief, long, answer, 0), bill(input, brief, long, 0, answer)]
    });
    let fee = Cost::exact(request_fee(entry));
    bills.filter_map(|bill| bill.plus(fee).amount).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::deployment;
    use proptest::prelude::*;
    use std::sync::Arc;
    use trunkline_model::catalogue::{Kind, ModelEntry, Prices, Schedule, TokenClass};
    use trunkline_model::dialect::Dialect;
    use trunkline_model::money::PricePerMillion;

    fn priced(window: Option<u64>, longest: Option<u64>) -> Deployment {
        let mut entry = ModelEntry::new("made-up/model", Kind::Chat).unwrap();
        let rate = |class, text| (class, PricePerMillion::from_decimal_str(text).unwrap());
        let base = [
            rate(TokenClass::Input, "3"),
            rate(TokenClass::CacheRead, "0.3"),
            rate(TokenClass::CacheWrite1h, "6"),
            rate(TokenClass::Output, "15"),
        ];
        let above = [rate(TokenClass::Input, "7"), rate(TokenClass::Output, "22.5")];
        let standard = Schedule {
            base: base.into_iter().collect(),
            above: vec![(200_000, above.into_iter().collect())],
        };
        entry.prices = Prices { standard, services: Vec::new(), units: Vec::new() };
        (entry.context_window, entry.max_output_tokens) = (window, longest);
        let mut deployment = deployment("made-up", "model");
        deployment.entry = Some(Arc::new(entry));
        deployment
    }

    #[test]
    fn without_a_price_there_is_no_bound() {
        let mut free = priced(None, None);
        free.entry = None;
        assert_eq!(worst_cost(&free, &Shape::new(Dialect::OpenAi, Operation::Chat)), None);
    }

    proptest! {
        #[test]
        fn no_bill_is_above_the_worst_cost(
            body in 1u64..2_000_000, asked in proptest::option::of(1u64..100_000), choices in 1u32..4,
            window in proptest::option::of(1_000u64..1_000_000), longest in proptest::option::of(1u64..64_000),
            parts in proptest::array::uniform4(0.0f64..1.0),
        ) {
            let deployment = priced(window, longest);
            let mut shape = Shape::new(Dialect::OpenAi, Operation::Chat);
            (shape.body_bytes, shape.max_output_tokens, shape.choices) = (body, asked, choices);
            let worst = worst_cost(&deployment, &shape).unwrap();
            let prompt = body.min(window.unwrap_or(u64::MAX));
            let answer = [asked, longest, window].into_iter().flatten().min().unwrap_or(UNLIMITED_TOKENS);
            let part = |whole: u64, share: f64| (whole as f64 * share) as u64;
            let read = part(prompt, parts[0]);
            let written = part(prompt - read, parts[1]);
            let output = part(answer * u64::from(choices), parts[2]);
            let reasoning = part(answer * u64::from(choices) - output, parts[3]);
            let tokens = TokenCounts {
                input: prompt - read - written, cache_read: read, cache_write_1h: written, output, reasoning,
                ..TokenCounts::default()
            };
            let bill = price(deployment.entry.as_ref().unwrap(), ServiceTier::Standard, &tokens);
            prop_assert!(bill.amount.unwrap_or(NanoDollars::ZERO) <= worst, "{bill:?} {worst:?}");
        }
    }
}
