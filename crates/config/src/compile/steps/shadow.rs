//! A route's shadow.
//!
//! Owns its bounds: a share of the requests, a share of the spending, an amount for each day. A candidate without prices is a
//! mistake, because no cap could be kept.

use crate::compile::Compiler;
use crate::compile::fleet::CompiledFleet;
use crate::file::ShadowSettings;
use crate::scalar;
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::money::NanoDollars;
use trunkline_model::shape::Shape;
use trunkline_route::estimate::worst_cost;
use trunkline_route::policy::Shadow;
use trunkline_route::shadow::ShadowCaps;

/// Compiles a route's shadow.
pub(crate) fn shadow(
    route: &str,
    settings: Option<&ShadowSettings>,
    fleet: &CompiledFleet,
    compiler: &mut Compiler<'_>,
) -> Option<Shadow> {
    let settings = settings?;
    let path = |field| ["routes", route, "shadow", field];
    if settings.deployment.is_empty() {
        let hint = "for example `shadow: { deployment: openai/gpt-5-mini, share: 1% }`".to_owned();
        compiler.error(&["routes", route, "shadow"], "`shadow` has no `deployment`", Some(hint));
        return None;
    }
    let deployment = fleet.resolve(&path("deployment"), &settings.deployment, compiler);
    let share = match settings.share.as_ref() {
        None => Some(0.01),
        written => compiler.read(&path("share"), written, |text| {
            scalar::share(text).and_then(|share| match share > 0.0 {
                true => Ok(share),
                false => Err("a shadow with a share of 0 never gets a copy".to_owned()),
            })
        }),
    };
    let caps = caps(route, settings, compiler);
    let agree = settings.agree.unwrap_or(0.8);
    if !(0.0..=1.0).contains(&agree) || agree == 0.0 {
        compiler.error(&path("agree"), "`agree` must be above 0 and at most 1", None);
    }
    let (deployment, share) = (deployment?, share?);
    let candidate = fleet.fleet.deployment(deployment);
    if worst_cost(candidate, &Shape::new(Dialect::OpenAi, Operation::Chat)).is_none() {
        let hint = format!(
            "give them, for example `models: {{ {}/{}: {{ price: {{ input: \"0.25\", output: \"2\" }} }} }}`",
            candidate.provider, candidate.model
        );
        let message = format!(
            "nothing can be sent to `{}`: without its prices no cap on what copies cost can be kept",
            candidate.id
        );
        compiler.error(&path("deployment"), message, Some(hint));
    }
    let keeps_answers = settings.keep_answers.unwrap_or(false);
    Some(Shadow { deployment, share, caps: caps?, agree, keeps_answers })
}

fn caps(route: &str, settings: &ShadowSettings, compiler: &mut Compiler<'_>) -> Option<ShadowCaps> {
    let path = |field| ["routes", route, "shadow", field];
    let nothing = "nothing may be spent, so no copy is ever sent";
    let share = match settings.spend_cap.as_ref() {
        None if settings.spend_per_day.is_some() => Some(None),
        None => Some(Some(0.05)),
        written => compiler
            .read(&path("spend_cap"), written, |text| {
                scalar::share(text)
                    .and_then(|share| if share > 0.0 { Ok(share) } else { Err(nothing.to_owned()) })
            })
            .map(Some),
    };
    let daily = match settings.spend_per_day.as_ref() {
        None => Some(None),
        written => compiler
            .read(&path("spend_per_day"), written, |text| {
                match NanoDollars::from_decimal_str(text).map_err(|error| format!("failed to {error}"))? {
                    amount if amount > NanoDollars::ZERO => Ok(amount),
                    _ => Err(nothing.to_owned()),
                }
            })
            .map(Some),
    };
    Some(ShadowCaps { share: share?, daily: daily? })
}
