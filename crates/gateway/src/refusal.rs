//! What a client is told when no deployment may serve its request: whose fault it is, and a way out.
//!
//! Owns reading the reasons of a decision that has no plan. Must not choose. What the request itself rules out is no outage: coming back
//! later would not help, so it must not look like one.

use smallvec::SmallVec;
use trunkline_model::capability::{Capability, Support};
use trunkline_model::dialect::Operation;
use trunkline_model::error::ErrorCode;
use trunkline_route::caller::AllowList;
use trunkline_route::filter::{Reason, Rejection, Remedy};
use trunkline_route::fleet::{Deployment, DeploymentIndex, Fleet};

/// Most deployments told to a client that could serve what the ones it asked do not.
const TOLD_DEPLOYMENTS: usize = 4;

type Needs = SmallVec<[Capability; 4]>;

/// Whose fault it is.
pub(crate) fn code(rejections: &[Rejection], fleet: &Fleet) -> ErrorCode {
    let any = |remedy| rejections.iter().any(|rejection| rejection.reason.remedy() == remedy);
    // A key that may use nothing of what there is must not be told to come back later.
    let only_the_key = rejections.iter().all(|rejection| rejection.reason == Reason::NotOnKeyList);
    if only_the_key && !rejections.is_empty() {
        return ErrorCode::NotAllowed;
    }
    // Who could do it is only away.
    let (needs, operation) = (needs(rejections), operation(rejections));
    let is_away = |rejection: &Rejection| {
        let deployment = fleet.deployment(rejection.deployment);
        rejection.reason.remedy() == Remedy::Time
            && operation.is_none_or(|operation| deployment.operations.contains(&operation))
            && needs.iter().all(|need| deployment.capabilities.support(*need).may_work())
    };
    if rejections.iter().any(is_away) {
        ErrorCode::NoEligibleDeployment
    } else if any(Remedy::Request) {
        ErrorCode::UnsupportedParameter
    } else if any(Remedy::Size) {
        ErrorCode::ContextTooLong
    } else {
        ErrorCode::NoEligibleDeployment
    }
}

/// What the request needs and deployments lack.
fn needs(rejections: &[Rejection]) -> Needs {
    let mut needs = Needs::new();
    for rejection in rejections {
        if let Reason::CapabilityMissing { capability } | Reason::CapabilityUnconfirmed { capability } =
            rejection.reason
            && !needs.contains(&capability)
        {
            needs.push(capability);
        }
    }
    needs
}

/// What the client can do, as the end of a sentence; empty where there is nothing to say.
pub(crate) fn way_out(rejections: &[Rejection], fleet: &Fleet, allow: &AllowList) -> String {
    let mut ways = Vec::new();
    let needs = needs(rejections);
    if let Some(operation) = operation(rejections).filter(|_| needs.is_empty()) {
        ways.extend(served(rejections, fleet));
        ways.push(match able(fleet, allow, |deployment| deployment.operations.contains(&operation)) {
            Some(names) => format!("{operation} requests are served by {names}"),
            None => format!("no model that may be asked serves {operation} requests"),
        });
    }
    if !needs.is_empty() {
        let words: Vec<&str> = needs.iter().map(|need| need.as_str()).collect();
        let has_all = |deployment: &Deployment| {
            deployment.operations.contains(&Operation::Chat)
                && needs.iter().all(|need| deployment.capabilities.support(*need) == Support::Yes)
        };
        let words = words.join(" and ");
        ways.push(match able(fleet, allow, has_all) {
            Some(names) => {
                format!("ask for no {words}, or for a model that is known to do it: {names}")
            }
            None => format!("ask for no {words}: no configured model is known to do it"),
        });
    }
    let any = |is: fn(&Reason) -> bool| rejections.iter().any(|rejection| is(&rejection.reason));
    if any(|reason| matches!(reason, Reason::ParameterUnsupported { .. })) {
        ways.push("leave out what is not taken, or do not require support of every parameter".to_owned());
    }
    if any(|reason| matches!(reason, Reason::AnswerTooLong { .. })) {
        ways.push("ask for a shorter answer".to_owned());
    }
    if any(|reason| reason.remedy() == Remedy::Size) {
        ways.push("send a shorter prompt, or ask for a model that takes more".to_owned());
    }
    ways.into_iter().map(|way| format!("; {way}")).collect()
}

/// The operation, where somebody asked does not serve it.
fn operation(rejections: &[Rejection]) -> Option<Operation> {
    rejections.iter().find_map(|rejection| match rejection.reason {
        Reason::Operation { operation } => Some(operation),
        _ => None,
    })
}

/// What those asked serve instead, all together.
fn served(rejections: &[Rejection], fleet: &Fleet) -> Option<String> {
    let asked = rejections.iter().filter(|rejection| matches!(rejection.reason, Reason::Operation { .. }));
    let mut served: Vec<Operation> = Vec::new();
    for rejection in asked.clone() {
        served.extend(&fleet.deployment(rejection.deployment).operations);
    }
    served.sort_unstable();
    served.dedup();
    served.retain(|operation| *operation != Operation::Passthrough);
    let names: Vec<&str> = served.iter().map(|operation| operation.name()).collect();
    let whose = if asked.count() == 1 { "it serves" } else { "they serve" };
    (!names.is_empty()).then(|| format!("{whose} {}", names.join(", ")))
}

/// A few deployments that are able, by name. A key is told of nothing it may not use.
fn able(fleet: &Fleet, allow: &AllowList, is_able: impl Fn(&Deployment) -> bool) -> Option<String> {
    let is_allowed = |index: DeploymentIndex| {
        allow.models.is_empty() || allow.models.iter().any(|pattern| fleet.matches(index, pattern))
    };
    let able = fleet.iter().filter(|(index, deployment)| is_able(deployment) && is_allowed(*index));
    let names: Vec<&str> = able.map(|(_, deployment)| &*deployment.id).take(TOLD_DEPLOYMENTS + 1).collect();
    match names.as_slice() {
        [] => None,
        few if few.len() <= TOLD_DEPLOYMENTS => Some(few.join(", ")),
        many => Some(format!("{} and others", many[..TOLD_DEPLOYMENTS].join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;
    use trunkline_model::capability::Capabilities;
    use trunkline_model::dialect::Dialect;
    use trunkline_model::facts::DataFacts;
    use trunkline_route::fleet::DeploymentLimits;
    use trunkline_route::pattern::Pattern;

    /// `a` can do nothing, `b` reasons, `c` takes tools and reasons, `d` orders documents.
    fn fleet() -> Fleet {
        let deployment = |id: &str, can: &[Capability]| {
            let mut capabilities = Capabilities::UNKNOWN;
            for capability in [Capability::Tools, Capability::Reasoning] {
                capabilities = capabilities.with(capability, Support::from(can.contains(&capability)));
            }
            Deployment {
                id: id.into(),
                provider: id.into(),
                model: id.into(),
                dialect: Dialect::OpenAi,
                operations: vec![Operation::Chat],
                weight: 1,
                facts: DataFacts::default(),
                capabilities,
                context_window: None,
                max_input_tokens: None,
                max_output_tokens: None,
                entry: None,
                limits: DeploymentLimits::default(),
            }
        };
        let mut orders = deployment("d", &[]);
        orders.operations = vec![Operation::Rerank];
        Fleet::new(vec![
            deployment("a", &[]),
            deployment("b", &[Capability::Reasoning]),
            deployment("c", &[Capability::Tools, Capability::Reasoning]),
            orders,
        ])
    }

    fn told(rejected: &[(&str, Reason)], allow: &AllowList) -> String {
        let fleet = fleet();
        let rejections: Vec<Rejection> = rejected
            .iter()
            .map(|(id, reason)| Rejection {
                deployment: fleet.find(id).expect("in the fleet"),
                reason: reason.clone(),
            })
            .collect();
        format!("{}{}", code(&rejections, &fleet).name(), way_out(&rejections, &fleet, allow))
    }

    #[test]
    fn what_the_request_rules_out_is_no_outage() {
        let lacks = |capability| Reason::CapabilityMissing { capability };
        let (tools, reasoning) = (lacks(Capability::Tools), lacks(Capability::Reasoning));
        let rerank = Reason::Operation { operation: Operation::Rerank };
        let long = Reason::PromptTooLong { estimated: 9, limit: 8 };
        let out = Reason::CredentialsOut { retry_in: Duration::from_secs(9) };
        let anyone = AllowList::default();
        let key = AllowList { models: vec![Pattern::new("b").expect("a pattern")], ..AllowList::default() };
        let lines = [
            told(&[("a", tools.clone())], &anyone),
            told(&[("a", tools.clone())], &key),
            told(&[("a", tools.clone()), ("b", long.clone())], &anyone),
            told(&[("a", reasoning.clone()), ("c", Reason::NotOnKeyList)], &key),
            told(&[("a", reasoning), ("b", tools.clone())], &anyone),
            told(&[("b", long)], &anyone),
            told(&[("b", Reason::AnswerTooLong { asked: 9, limit: 8 })], &anyone),
            told(&[("b", Reason::ParameterUnsupported { what: Arc::from("seed dropped") })], &anyone),
            told(&[("a", tools.clone()), ("c", Reason::Drained)], &anyone),
            told(&[("a", tools), ("b", out)], &anyone),
            told(&[("a", Reason::NotOnKeyList)], &anyone),
            told(&[("a", Reason::Ignored)], &anyone),
            told(&[("a", rerank.clone())], &anyone),
            told(&[("a", rerank.clone()), ("c", Reason::Drained)], &anyone),
            told(&[("a", rerank.clone()), ("d", Reason::Drained)], &anyone),
            told(&[("a", rerank.clone()), ("b", rerank)], &key),
        ];
        insta::assert_snapshot!(lines.join("\n"));
    }
}
