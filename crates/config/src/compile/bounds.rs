//! Bounds of a route: prices, times, attempts, hedges.
//!
//! Owns their notations, defaults and contradictions. Must not know tiers or deployments.

use crate::compile::Compiler;
use crate::file::{HedgeSettings, RouteSettings};
use crate::scalar;
use std::time::Duration;
use trunkline_model::money::PricePerMillion;
use trunkline_route::caller::PriceCap;
use trunkline_route::plan::{Hedge, HedgeDelay, Timeouts};

pub(super) fn price_cap(route: &str, settings: &RouteSettings, compiler: &mut Compiler<'_>) -> PriceCap {
    let mut read = |field: &str, text: Option<&String>| {
        compiler.read(&["routes", route, field], text, |text| {
            PricePerMillion::from_decimal_str(text).map_err(|error| format!("failed to {error}"))
        })
    };
    PriceCap {
        input: read("max_input_price", settings.max_input_price.as_ref()),
        output: read("max_output_price", settings.max_output_price.as_ref()),
        request: None,
    }
}

pub(super) fn timeouts(route: &str, settings: &RouteSettings, compiler: &mut Compiler<'_>) -> Timeouts {
    let default = Timeouts::default();
    let given = settings.timeouts.clone().unwrap_or_default();
    let mut read = |field: &str, text: Option<&String>, default: Duration| {
        let path = ["routes", route, "timeouts", field];
        let time = compiler.read(&path, text, scalar::duration).unwrap_or(default);
        if time.is_zero() {
            compiler.error(&path, format!("`{field}` must be longer than nothing"), None);
        }
        time
    };
    let total = read("total", given.total.as_ref(), default.total);
    // What was not stated leaves time for a second attempt within the total; otherwise one hang would be the end of the request.
    let within = |time: Duration| time.min(total / 2);
    let first_token = read("first_token", given.first_token.as_ref(), within(default.first_token));
    let timeouts = Timeouts {
        connect: read("connect", given.connect.as_ref(), within(default.connect)),
        first_token,
        whole_answer: read("whole_answer", given.whole_answer.as_ref(), (total / 2).max(first_token)),
        between_tokens: read("between_tokens", given.between_tokens.as_ref(), within(default.between_tokens)),
        total,
    };
    let stated = [
        ("connect", given.connect.is_some(), timeouts.connect),
        ("first_token", given.first_token.is_some(), timeouts.first_token),
        ("whole_answer", given.whole_answer.is_some(), timeouts.whole_answer),
        ("between_tokens", given.between_tokens.is_some(), timeouts.between_tokens),
    ];
    for (field, given, time) in stated {
        if given && time > timeouts.total {
            let path = ["routes", route, "timeouts", field];
            compiler.error(
                &path,
                "this has no effect: the total timeout is shorter",
                Some("lower it, or raise `total`".to_owned()),
            );
        }
    }
    timeouts
}

pub(super) fn attempts(route: &str, settings: &RouteSettings, compiler: &mut Compiler<'_>) -> u32 {
    match settings.attempts {
        Some(attempts) if (1..=20).contains(&attempts) => attempts,
        Some(_) => {
            compiler.error(&["routes", route, "attempts"], "`attempts` must be from 1 to 20", None);
            trunkline_route::policy::DEFAULT_ATTEMPTS
        }
        None => trunkline_route::policy::DEFAULT_ATTEMPTS,
    }
}

pub(super) fn hedge(
    route: &str,
    settings: Option<&HedgeSettings>,
    timeouts: &Timeouts,
    compiler: &mut Compiler<'_>,
) -> Option<Hedge> {
    let settings = settings?;
    let after = compiler.read(&["routes", route, "hedge", "after"], settings.after.as_ref(), hedge_delay);
    let spend_cap = compiler
        .read(&["routes", route, "hedge", "spend_cap"], settings.spend_cap.as_ref(), scalar::share)
        .unwrap_or(0.05);
    if spend_cap <= 0.0 {
        let path = ["routes", route, "hedge", "spend_cap"];
        compiler.error(
            &path,
            "this hedge can never fire: it may spend nothing",
            Some("raise it, or take `hedge` out".to_owned()),
        );
    }
    if let Some(HedgeDelay::Fixed(delay)) = after {
        let path = ["routes", route, "hedge", "after"];
        if delay.is_zero() {
            compiler.error(&path, "`after` must be longer than nothing", None);
        } else if delay >= timeouts.first_token.min(timeouts.total) {
            let hint = "shorten it below `first_token` and `total`".to_owned();
            compiler.error(&path, "this hedge can never fire: the attempt has timed out before", Some(hint));
        }
    }
    Some(Hedge { after: after.unwrap_or(HedgeDelay::Quantile(0.95)), spend_cap })
}

fn hedge_delay(text: &str) -> Result<HedgeDelay, String> {
    if let Some(digits) = text.strip_prefix('p') {
        return match digits.parse::<u8>() {
            Ok(percent @ 50..=99) => Ok(HedgeDelay::Quantile(f64::from(percent) / 100.0)),
            _ => Err(format!("`{text}` is not a quantile; write `p50` to `p99`")),
        };
    }
    scalar::duration(text).map(HedgeDelay::Fixed)
}
