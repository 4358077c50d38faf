//! What a request would cost and weigh on a deployment before it is sent.
//!
//! Owns the estimates that rankings, caps and the runner-up's cost rest on. Must not be used for bills: those come from what
//! the provider reports.

use crate::fleet::Deployment;
use trunkline_model::catalogue::{ServiceTier, TokenCounts, price};
use trunkline_model::dialect::Operation;
use trunkline_model::money::{Cost, CostConfidence};
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
    price(entry, ServiceTier::Standard, &tokens).no_surer_than(CostConfidence::Estimated)
}
