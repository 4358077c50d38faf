//! Checking the checks: a sample of the answers that passed is answered by the better tier as well.
//!
//! Owns the second call and its record. Must not delay or change the answer that is audited: it runs beside, on a bounded number
//! of places, and is dropped when none is free. Its cost is a request of its own in the log, decided by `audit`, under the same
//! key and route.

use crate::admit::Admitted;
use crate::ask;
use crate::case::{self, Case};
use crate::perform::{self, Performed};
use crate::state::Gateway;
use crate::subject::Subject;
use std::sync::Arc;
use trunkline_embed::Embedder;
use trunkline_model::id::Name;
use trunkline_model::record::Outcome;
use trunkline_route::cascade::{Answer, Cascade, Inspection, similarity};
use trunkline_route::plan::{Leg, Plan};

/// Audits the answer, if it is one of the sample.
pub(crate) fn consider(
    gateway: &Arc<Gateway>,
    subject: &Subject<'_>,
    plan: &Plan,
    cascade: &Arc<Cascade>,
    case: &Case,
    answer: &Answer,
) {
    let Some(audit) = cascade.audit.filter(|audit| audit.chooses(case.id().seed())) else { return };
    let Ok(permit) = Arc::clone(&gateway.background).try_acquire_owned() else { return };
    let Some(place) = gateway.enter(u32::MAX) else { return };
    let admitted = subject.admitted().duplicate();
    let plan = second_opinion(plan);
    let (gateway, answer) = (Arc::clone(gateway), answer.clone());
    let version = admitted.generation.snapshot.version;
    let mut second = Case::open(
        Arc::clone(&gateway),
        place,
        case::new_id(),
        admitted.dialect,
        admitted.operation,
        version,
    );
    note(&mut second, case);
    tokio::spawn(async move {
        let _permit = permit;
        match perform::perform(&gateway, &admitted, plan, &mut second).await {
            Ok(Performed { mut drive, opened }) => {
                let better = opened.relay.answer().cloned().unwrap_or_default();
                note_served(&admitted, &mut second, &opened.attempt.leg);
                second.record.warnings.clone_from(&opened.warnings);
                drive.succeeded(opened.attempt.number);
                ask::conclude(&gateway, &mut second, *opened);
                let like = similarity(&answer, &better, &mut Embedder::bundled());
                report(&gateway, &admitted, &audit, like >= audit.agree);
                second.finish(Outcome::Served);
            }
            Err(error) => second.refused(&error),
        }
    });
}

/// The way to the better tier: the same attempt machine as for any request, with its own deadline and attempt budget, and the
/// answer read whole.
fn second_opinion(plan: &Plan) -> Plan {
    Plan {
        legs: plan.on_bad_answer.clone(),
        on_rate_limit: Vec::new(),
        on_context_length: Vec::new(),
        on_content_filter: Vec::new(),
        on_bad_answer: Vec::new(),
        conceded: plan.conceded.clone(),
        inspection: Some(Inspection::reading()),
        timeouts: plan.timeouts,
        attempts: plan.attempts,
        hedge: None,
        continuation: false,
    }
}

fn note(second: &mut Case, first: &Case) {
    let (record, of) = (&mut second.record, &first.record);
    record.key.clone_from(&of.key);
    record.user.clone_from(&of.user);
    record.session.clone_from(&of.session);
    record.route.clone_from(&of.route);
    record.requested_model = Arc::clone(&of.requested_model);
    record.request_bytes = of.request_bytes;
    record.decided_by = Some(Name::from("audit"));
    record.tags = vec![(Name::from("audit_of"), Name::from(of.id.to_string()))];
}

fn note_served(admitted: &Admitted, second: &mut Case, leg: &Leg) {
    let deployment = admitted.generation.snapshot.fleet.deployment(leg.deployment.index());
    let record = &mut second.record;
    record.deployment = Some(Arc::clone(&deployment.id));
    record.provider = Some(Arc::clone(&deployment.provider));
    record.model = Some(Arc::clone(&deployment.model));
    record.tier = Some(Arc::clone(&leg.tier));
    record.status = 200;
}

fn report(gateway: &Gateway, admitted: &Admitted, audit: &trunkline_route::cascade::Audit, agreed: bool) {
    let route = &admitted.route.name;
    gateway.metrics.audited(route, agreed);
    let Some(book) = admitted.generation.audit_book(route) else { return };
    let before = book.report(audit).loses;
    let report = book.count(audit, agreed);
    if report.loses && !before {
        tracing::warn!(
            route = &**route,
            audited = report.audited,
            error_rate = report.error_rate,
            break_even = audit.break_even,
            "the checks of this route's cascade let too many bad answers through: choosing beforehand would be better"
        );
    }
}
