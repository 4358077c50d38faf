//! Weights that no balancing reads.
//!
//! Owns one check over all tiers. Must not know how balancing works beyond which kinds read weights. A finding and no error:
//! outside tiers, a request for the bare name of a model still spreads over its deployments by weight. A weight of 0 always
//! has its effect, because it drains the deployment.

use crate::compile::Compiler;
use crate::file::{Balance, File};

/// Reports the weights of named deployments that none of their tiers reads.
pub(crate) fn check(file: &File, compiler: &mut Compiler<'_>) {
    for (name, settings) in &file.deployments {
        if settings.weight.is_none_or(|weight| weight == 0) {
            continue;
        }
        let mut deaf = Vec::new();
        let mut heard = false;
        for (route, settings) in &file.routes {
            for (tier, settings) in &settings.tiers {
                if settings.deployments.len() > 1 && settings.deployments.contains(name) {
                    heard |= reads_weights(settings.balance.unwrap_or_default());
                    deaf.push(format!("`{tier}` of the route `{route}`"));
                }
            }
        }
        if !heard && !deaf.is_empty() {
            compiler.warning(
                &["deployments", name, "weight"],
                format!("this has no effect in {}: its balance does not go by weight", deaf.join(" and ")),
                Some(
                    "balance by `weighted`, `round-robin` or `least-outstanding`, or leave the weight out"
                        .to_owned(),
                ),
            );
        }
    }
}

const fn reads_weights(balance: Balance) -> bool {
    match balance {
        Balance::Weighted | Balance::RoundRobin | Balance::LeastOutstanding => true,
        Balance::Latency | Balance::Cost | Balance::Headroom => false,
    }
}
