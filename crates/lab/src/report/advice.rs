//! What a good consultant would say of a route.
//!
//! Owns the thresholds and the sentences. Each says what was seen and what to do; none is given on too little traffic.

use super::RouteReport;
use crate::page::words::{count, dollars, percent};
use std::collections::BTreeSet;
use trunkline_model::record::RequestRecord;
use trunkline_route::explain::Explanation;

/// Requests without which nothing is said.
const LEAST: u64 = 50;
/// Most decisions looked into, evenly taken: each is a page of JSON.
const MOST_DECISIONS: usize = 5_000;

pub(super) fn warnings(report: &RouteReport, records: &[&RequestRecord]) -> Vec<String> {
    if report.total.requests < LEAST {
        return vec![format!(
            "only {} requests: too few to say more than the figures do",
            count(report.total.requests)
        )];
    }
    let plans = Plans::of(records);
    let mut warnings = Vec::new();
    concentration(report, &plans, &mut warnings);
    fallbacks(&plans, &mut warnings);
    money(report, &mut warnings);
    quality(report, &plans, &mut warnings);
    service(report, &mut warnings);
    warnings
}

/// What plans held and what was used of it.
struct Plans {
    decisions: usize,
    /// Plans with nowhere else to go.
    alone: usize,
    planned: BTreeSet<String>,
    never_used: BTreeSet<String>,
}

impl Plans {
    fn of(records: &[&RequestRecord]) -> Self {
        let mut plans =
            Self { decisions: 0, alone: 0, planned: BTreeSet::new(), never_used: BTreeSet::new() };
        let step = records.len().div_ceil(MOST_DECISIONS).max(1);
        for record in records.iter().step_by(step) {
            let Some(text) = record.decision.as_deref() else { continue };
            let Ok(decision) = serde_json::from_str::<Explanation>(text) else { continue };
            let Some(plan) = decision.plan else { continue };
            plans.decisions += 1;
            plans.alone += usize::from(plan.legs.len() == 1);
            plans.planned.extend(plan.legs);
        }
        plans.never_used = plans.planned.clone();
        for attempt in records.iter().flat_map(|record| &record.attempts) {
            plans.never_used.remove(&*attempt.deployment);
        }
        plans
    }
}

fn concentration(report: &RouteReport, plans: &Plans, warnings: &mut Vec<String>) {
    let Some((provider, share)) = report.providers.iter().max_by(|one, other| one.1.total_cmp(other.1))
    else {
        return;
    };
    if *share > 0.9 {
        let others = if report.providers.len() > 1 || plans.planned.len() > 1 {
            "the others are hardly used: check that the steps decide what they should"
        } else {
            "when it goes down, so does the route: add a deployment of another provider"
        };
        warnings.push(format!("{} of the answers come from `{provider}`; {others}", percent(*share)));
    }
}

fn fallbacks(plans: &Plans, warnings: &mut Vec<String>) {
    if plans.decisions > 0 && plans.alone * 10 > plans.decisions * 9 {
        warnings
            .push("nearly every plan holds a single deployment: there is nothing to fail over to".to_owned());
    }
    if !plans.never_used.is_empty() {
        let names: Vec<String> = plans.never_used.iter().take(5).map(|name| format!("`{name}`")).collect();
        warnings.push(format!(
            "planned as a fallback and never exercised: {}; `trunkline drill` shows whether it would work",
            names.join(", ")
        ));
    }
}

fn money(report: &RouteReport, warnings: &mut Vec<String>) {
    let total = &report.total;
    if let Some(saved) = total.saved_usd {
        let strong = report.strong.as_deref().unwrap_or_default();
        if saved < 0.0 {
            warnings
                .push(format!("routing cost {} more than sending everything to `{strong}`", dollars(-saved)));
        } else if total.overhead_usd > saved && total.overhead_usd > 0.0 {
            warnings.push(format!(
                "calls that did not answer (failures, lost hedges, classifiers and checks) cost {}, more than the {} that routing saved",
                dollars(total.overhead_usd),
                dollars(saved)
            ));
        }
    } else {
        warnings.push("nothing to compare with: the price of the strong deployment is not known; name one with --strong".to_owned());
    }
    if total.unknown_cost * 20 > total.requests {
        warnings.push(format!(
            "the cost of {} of {} requests is not fully known: give prices in the configuration",
            count(total.unknown_cost),
            count(total.requests)
        ));
    }
    if total.hedges >= 20 && total.hedges_won * 10 < total.hedges {
        warnings.push(format!(
            "of {} hedges {} were quicker: start them later or switch them off",
            count(total.hedges),
            count(total.hedges_won)
        ));
    }
}

/// A route that could answer by several and answers by one is saving too.
fn quality(report: &RouteReport, plans: &Plans, warnings: &mut Vec<String>) {
    if report.measured == 0 && (report.deployments.len() > 1 || plans.planned.len() > 1) {
        warnings.push(
            "quality is not measured on this route: nobody knows what the savings cost; evaluate its deployments on a golden \
             data set, or give scores with --scores"
                .to_owned(),
        );
    }
}

fn service(report: &RouteReport, warnings: &mut Vec<String>) {
    let total = &report.total;
    let ended = total.served + total.failed;
    if total.failed * 100 > ended {
        #[expect(clippy::cast_precision_loss, reason = "a share for readers")]
        let share = total.failed as f64 / ended as f64;
        warnings.push(format!(
            "{} of the requests failed or broke off: more than one in a hundred",
            percent(share)
        ));
    }
    if total.failed_over * 20 > total.requests {
        warnings.push(format!(
            "{} of {} requests had to fail over: the first choice is not well",
            count(total.failed_over),
            count(total.requests)
        ));
    }
    if total.overhead_p99_us > 50_000 {
        warnings.push(format!(
            "one request in a hundred spends more than {} ms here rather than with a provider: look at the machine's load",
            total.overhead_p99_us / 1_000
        ));
    }
}
