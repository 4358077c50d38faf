//! What a past decision knew that the world has forgotten since.
//!
//! Owns reading it back from the written decision: which deployments took requests, what each bandit had learned, what classifier
//! models had answered. With it the same request decides as it did then. Must not guess: latencies and load are not written, so
//! where a tier is balanced by them the order within it may differ.

use super::Explanation;
use crate::fleet::{DeploymentIndex, Fleet};
use crate::policy::Route;
use crate::steps::{ANSWERED, ArmView, GivenAnswer, StepKind};
use crate::view::{Availability, View, Views};
use serde_json::Value;
use std::time::Duration;
use trunkline_model::id::Name;
use trunkline_model::moment::Moment;

/// How long what was unusable stays so; only the order among unusable ones hangs on it.
const UNUSABLE: Duration = Duration::from_secs(1);

/// The state a decision was made in, as far as it was written.
#[derive(Clone, Debug, Default)]
pub struct Recalled {
    states: Vec<View>,
    arms: Vec<(Name, Vec<(Name, ArmView)>)>,
    answers: Vec<(Name, Result<String, String>)>,
    config_version: String,
}

impl Recalled {
    /// Reads what a decision says of its state, for deciding at `now`.
    #[must_use]
    pub fn of(old: &Explanation, fleet: &Fleet, now: Moment) -> Self {
        let mut recalled = Self {
            states: states(old, fleet, now),
            config_version: old.config_version.clone(),
            ..Self::default()
        };
        for step in &old.steps {
            let name = Name::from(step.step.as_str());
            let arms: Vec<(Name, ArmView)> = step
                .measures
                .keys()
                .filter_map(|tier| ArmView::recalled(tier, |name| number(step.measures.get(name)?)))
                .collect();
            if !arms.is_empty() {
                recalled.arms.push((Name::clone(&name), arms));
            }
            let label = step.measures.keys().find_map(|measure| measure.strip_prefix(ANSWERED));
            match (label, &step.no_answer) {
                (Some(label), _) => recalled.answers.push((name, Ok(label.to_owned()))),
                (None, Some(why)) => recalled.answers.push((name, Err(why.clone()))),
                (None, None) => {}
            }
        }
        recalled
    }

    /// What the classifier models of a route had answered. That one failed counts only under the configuration of then: another
    /// might have asked somebody else.
    #[must_use]
    pub fn answers(&self, route: &Route, config_version: u64) -> Vec<GivenAnswer> {
        let same = self.config_version == format!("{config_version:016x}");
        let answer = |(step, answer): &(Name, Result<String, String>)| {
            let StepKind::Custom(custom) = &route.steps().iter().find(|known| known.name == *step)?.kind
            else {
                return None;
            };
            let labels = &custom.asks()?.labels;
            let answer = match answer {
                Ok(label) => Ok(labels.iter().position(|known| *known.label == **label)?),
                Err(why) if same => Err(why.clone()),
                Err(_) => return None,
            };
            Some(GivenAnswer { step: Name::clone(step), answer })
        };
        self.answers.iter().filter_map(answer).collect()
    }
}

impl Views for Recalled {
    fn view(&self, index: DeploymentIndex, _now: Moment) -> View {
        self.states.get(index.position()).copied().unwrap_or(View::FRESH)
    }

    fn arms(&self, step: &str) -> Option<&[(Name, ArmView)]> {
        self.arms.iter().find(|(name, _)| **name == *step).map(|(_, arms)| arms.as_slice())
    }
}

/// Measures are written in single precision; as doubles they are not the ones that were written.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().map(|number| f64::from(number as f32))
}

fn states(old: &Explanation, fleet: &Fleet, now: Moment) -> Vec<View> {
    let mut states = vec![View::FRESH; fleet.len()];
    let until = now + UNUSABLE;
    for candidate in &old.candidates {
        let Some(index) = fleet.find(&candidate.deployment) else { continue };
        states[index.position()].availability = match &*candidate.availability {
            "rate_limited" => Availability::RateLimited { until },
            "broken" => Availability::Broken { until, probe: false },
            "probing" => Availability::Broken { until: now, probe: true },
            "credentials_out" => Availability::CredentialsOut { until },
            "full" => Availability::Full,
            _ => Availability::Open,
        };
    }
    let out = old.rejected.iter().filter(|rejection| rejection.reason == "credentials_out");
    for index in out.filter_map(|rejection| fleet.find(&rejection.deployment)) {
        states[index.position()].availability = Availability::CredentialsOut { until };
    }
    states
}
