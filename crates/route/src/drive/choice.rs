//! Which of the plan's deployments is least bad now.
//!
//! Owns the order between them. Must not change anything: the same state, views and moment give the same choice. The plan's
//! own order decides between equals, because it is the decision's order of preference.

use super::machine::Tried;
use crate::fleet::DeploymentIndex;
use crate::plan::{Leg, Plan};
use crate::view::{Availability, Views};
use trunkline_model::moment::Moment;

/// What the failures so far say about where to go.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Leaning {
    /// The last failure was a rate limit: its own list applies.
    pub(super) rate_limited: bool,
    /// The prompt was too long somewhere: only larger windows from now on.
    pub(super) larger_context: bool,
    /// The content was refused somewhere: only the deployments for that from now on.
    pub(super) other_content: bool,
    /// An answer was found wanting: only the deployments for that from now on, where there are any.
    pub(super) better: bool,
    /// Credentials were rejected: those known to be out are no use.
    pub(super) other_credentials: bool,
    /// The answer that broke off here must be continued elsewhere.
    pub(super) not: Option<DeploymentIndex>,
}

/// The outcome of a choice.
#[derive(Clone, Debug)]
pub(super) enum Choice {
    /// This one, once the moment has come.
    Take {
        /// Where to go.
        leg: Leg,
        /// From when on.
        ready: Moment,
    },
    /// There are some, but none is ready by the latest acceptable moment.
    TooLate,
    /// There is none.
    Nothing,
}

/// The conditions of a choice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conditions {
    pub(super) leaning: Leaning,
    /// Whether nothing was tried yet: a half-open probe is as good as any then.
    pub(super) first: bool,
    pub(super) now: Moment,
    /// The latest moment worth waiting for.
    pub(super) latest: Moment,
}

/// Thousandths of badness of what a view says.
const PROBE: u64 = 1_000;
const FULL: u64 = 2_000;
const BROKEN: u64 = 4_000;
const CREDENTIALS_OUT: u64 = 8_000;
/// Of each failure of the deployment in this very request.
const FAILED: u64 = 3_000;
/// Of any wait, and of each second of it.
const WAIT: u64 = 500;
const WAIT_SECOND: u64 = 250;

/// Chooses among the legs that the leaning allows. When the ordinary ones are known to be rate limited, which other requests
/// found out, this one is spared the 429 and goes where the plan sends it after one.
pub(super) fn choose(plan: &Plan, tried: &[Tried], views: &dyn Views, conditions: &Conditions) -> Choice {
    let ordinary = least_bad(plan, tried, views, conditions);
    let at_once = |choice: &Choice| matches!(choice, Choice::Take { ready, .. } if *ready <= conditions.now);
    if at_once(&ordinary) || plan.on_rate_limit.is_empty() || !any_limited(plan, views, conditions.now) {
        return ordinary;
    }
    let leaning = Leaning { rate_limited: true, ..conditions.leaning };
    let instead = least_bad(plan, tried, views, &Conditions { leaning, ..*conditions });
    if at_once(&instead) { instead } else { ordinary }
}

fn any_limited(plan: &Plan, views: &dyn Views, now: Moment) -> bool {
    plan.legs.iter().any(|leg| {
        matches!(views.view(leg.deployment.index(), now).availability, Availability::RateLimited { .. })
    })
}

fn least_bad(plan: &Plan, tried: &[Tried], views: &dyn Views, conditions: &Conditions) -> Choice {
    let mut best: Option<(u64, Moment, &Leg)> = None;
    let mut late = false;
    for leg in candidates(plan, tried, conditions.leaning) {
        let Some((badness, ready)) = judge(leg, tried, views, conditions) else { continue };
        if ready > conditions.latest {
            late = true;
        } else if best.as_ref().is_none_or(|&(least, ..)| badness < least) {
            best = Some((badness, ready, leg));
        }
    }
    match best {
        Some((_, ready, leg)) => Choice::Take { leg: leg.clone(), ready },
        None if late => Choice::TooLate,
        None => Choice::Nothing,
    }
}

/// An open deployment that nothing was sent to in this request: what a hedge may use.
pub(super) fn idle(
    plan: &Plan,
    leaning: Leaning,
    tried: &[Tried],
    running: &[DeploymentIndex],
    views: &dyn Views,
    now: Moment,
) -> Option<Leg> {
    candidates(plan, tried, leaning)
        .find(|leg| {
            let index = leg.deployment.index();
            !running.contains(&index)
                && known(tried, index).is_none()
                && views.view(index, now).availability == Availability::Open
        })
        .cloned()
}

fn candidates<'a>(plan: &'a Plan, tried: &'a [Tried], leaning: Leaning) -> impl Iterator<Item = &'a Leg> {
    let better = leaning.better && !plan.on_bad_answer.is_empty();
    let narrow = leaning.larger_context || leaning.other_content || better;
    let list = if leaning.larger_context {
        &plan.on_context_length
    } else if leaning.other_content {
        &plan.on_content_filter
    } else if better {
        &plan.on_bad_answer
    } else if leaning.rate_limited && !plan.on_rate_limit.is_empty() {
        &plan.on_rate_limit
    } else {
        &plan.legs
    };
    // What was asked already may be asked again although the list for rate limits does not name it: that is the wait for
    // its Retry-After when nothing else is left.
    let again = if leaning.rate_limited && !narrow { plan.legs.as_slice() } else { &[] };
    let again = again.iter().filter(move |leg| known(tried, leg.deployment.index()).is_some());
    // Larger windows come first: behind one that was too small there are only smaller ones.
    let too_small = move |leg: &Leg| {
        leaning.larger_context && known(tried, leg.deployment.index()).is_some_and(|tried| tried.too_long)
    };
    let both = leaning.larger_context && leaning.other_content;
    list.iter()
        .take_while(move |leg| !too_small(leg))
        .chain(again)
        .filter(move |leg| leaning.not != Some(leg.deployment.index()))
        .filter(move |leg| {
            !both || plan.on_content_filter.iter().any(|other| other.deployment == leg.deployment)
        })
}

/// How bad a leg is and from when on it may be used; `None` when it is ruled out.
fn judge(leg: &Leg, tried: &[Tried], views: &dyn Views, conditions: &Conditions) -> Option<(u64, Moment)> {
    let index = leg.deployment.index();
    let known = known(tried, index);
    if known.is_some_and(|tried| tried.barred) {
        return None;
    }
    let mut ready = known.map_or(conditions.now, |tried| tried.ready.max(conditions.now));
    let mut badness = known.map_or(0, |tried| u64::from(tried.failures) * FAILED);
    badness += match views.view(index, conditions.now).availability {
        Availability::Open => 0,
        Availability::RateLimited { until } => {
            ready = ready.max(until);
            0
        }
        Availability::Broken { probe: true, .. } if conditions.first => 0,
        Availability::Broken { probe: true, .. } => PROBE,
        Availability::Full => FULL,
        Availability::Broken { probe: false, .. } => BROKEN,
        Availability::CredentialsOut { .. } | Availability::QuotaExhausted { .. } => {
            if conditions.leaning.other_credentials {
                return None;
            }
            CREDENTIALS_OUT
        }
    };
    let wait = ready.since(conditions.now);
    if !wait.is_zero() {
        badness = badness.saturating_add(WAIT).saturating_add(wait.as_secs().saturating_mul(WAIT_SECOND));
    }
    Some((badness, ready))
}

fn known(tried: &[Tried], deployment: DeploymentIndex) -> Option<&Tried> {
    tried.iter().find(|tried| tried.deployment == deployment)
}
