//! The life of a request, in one straight line.
//!
//! Owns the order of the stages and nothing else. Each stage takes what the one before made and returns its own type, so a
//! request that was not admitted cannot be planned. A refusal at any stage leaves through the one place that turns errors
//! into answers.

use crate::accept::{self, Arrival};
use crate::admit::{self, Admitted};
use crate::answer;
use crate::authenticate;
use crate::body::AnswerBody;
use crate::case::{self, Case};
use crate::classify;
use crate::count;
use crate::explain;
use crate::headers;
use crate::limit_headers;
use crate::perform::{self, Performed};
use crate::planning;
use crate::respond;
use crate::responses::{self, Keeper, Served};
use crate::state::{Gateway, Generation, Place};
use http::Response;
use std::sync::Arc;
use trunkline_model::error::ClientError;
use trunkline_route::decision::Decision;

/// Serves one inference request.
pub(crate) async fn serve(gateway: Arc<Gateway>, arrival: Arrival, place: Place) -> Response<AnswerBody> {
    let generation = gateway.generation();
    let (dialect, operation) = (arrival.dialect, arrival.operation);
    let version = generation.snapshot.version;
    let mut case = Case::open(Arc::clone(&gateway), place, case::new_id(), dialect, operation, version);
    let left = match gateway.stop.before(stages(&gateway, &generation, arrival, &mut case)).await {
        Ok(left) => left,
        Err(stopped) => {
            case.stopped(stopped);
            Err(stopped.error())
        }
    };
    match left {
        Ok(Answered::Performed(admitted, performed)) => {
            let (served, turn) = (performed.served(&admitted), admitted.turn.clone());
            let keeper = turn.map(|turn| Keeper::new(gateway.responses.clone(), turn, served));
            let response = answer::answer(gateway, admitted, *performed, case);
            match keeper {
                Some(keeper) => responses::keep(keeper, response),
                None => response,
            }
        }
        Ok(Answered::Detached(admitted)) => responses::start(&gateway, admitted, case),
        Ok(Answered::DryRun(decision)) => explain::dry_run(case, &decision),
        Ok(Answered::Estimated(response)) => *response,
        Err(error) => {
            let mut response = respond::error(dialect, case.id(), &error);
            limit_headers::put(response.headers_mut(), &generation, &case);
            headers::put_course(response.headers_mut(), &case);
            case.refused(&error);
            response
        }
    }
}

/// How a request leaves the stages.
enum Answered {
    /// With an answer on its way.
    Performed(Box<Admitted>, Box<Performed>),
    /// With what there is of it: it runs in the background.
    Detached(Box<Admitted>),
    /// With nothing but its decision.
    DryRun(Box<Decision>),
    /// With an estimate of its tokens.
    Estimated(Box<Response<AnswerBody>>),
}

impl Answered {
    fn estimated(response: Response<AnswerBody>) -> Self {
        Self::Estimated(Box::new(response))
    }
}

async fn stages(
    gateway: &Arc<Gateway>,
    generation: &Arc<Generation>,
    arrival: Arrival,
    case: &mut Case,
) -> Result<Answered, ClientError> {
    let identified = match authenticate::authenticate(generation, &arrival, case) {
        Ok(identified) => identified,
        Err(error) => {
            accept::discard(arrival.body, &arrival.headers).await;
            return Err(error);
        }
    };
    let accepted = accept::accept(gateway, generation, arrival, case).await?;
    let accepted = responses::expand(gateway, accepted, &identified, case.id()).await?;
    let admitted = admit::admit(gateway, generation, accepted, &identified, case)?;
    if let Some(id) = &admitted.options.decide_as {
        if !admitted.options.dry_run {
            return Err(explain::only_dry());
        }
        return explain::again(gateway, &admitted, id).await.map(|past| Answered::DryRun(Box::new(past)));
    }
    if admitted.turn.as_ref().is_some_and(|turn| turn.background) && !admitted.options.dry_run {
        return Ok(Answered::Detached(admitted));
    }
    let decision = classify::plan(gateway, &admitted, case).await;
    if admitted.options.dry_run {
        return Ok(Answered::DryRun(Box::new(decision)));
    }
    if let Some(why) = count::unplanned(&admitted, &decision) {
        return count::stand_in(&admitted, case, &why).map(Answered::estimated);
    }
    let plan = planning::require_plan(decision, &admitted.caller.allow)?;
    match perform::perform(gateway, &admitted, plan, case).await {
        Ok(performed) => Ok(Answered::Performed(admitted, Box::new(performed))),
        Err(error) => {
            let Some(why) = count::unanswered(&admitted, &error) else { return Err(error) };
            count::stand_in(&admitted, case, &why).map(Answered::estimated).map_err(|_| error)
        }
    }
}

/// The stages behind admission, for a request that no client waits for.
///
/// # Errors
/// What the client would have been told.
pub(crate) async fn perform_admitted(
    gateway: &Arc<Gateway>,
    admitted: Box<Admitted>,
    mut case: Case,
) -> Result<(Served, Response<AnswerBody>), ClientError> {
    let performed = plan_and_perform(gateway, &admitted, &mut case).await;
    leave(gateway, admitted, case, performed)
}

/// As [`perform_admitted`], once `turn` has come, and not past the stop: somebody looks at what becomes of it.
///
/// # Errors
/// What the client would have been told.
pub(crate) async fn perform_detached(
    gateway: &Arc<Gateway>,
    admitted: Box<Admitted>,
    mut case: Case,
    turn: impl Future<Output = ()>,
) -> Result<(Served, Response<AnswerBody>), ClientError> {
    let stages = async {
        turn.await;
        plan_and_perform(gateway, &admitted, &mut case).await
    };
    let performed = match gateway.stop.before(stages).await {
        Ok(performed) => performed,
        Err(stopped) => {
            case.stopped(stopped);
            Err(stopped.error())
        }
    };
    leave(gateway, admitted, case, performed)
}

async fn plan_and_perform(
    gateway: &Arc<Gateway>,
    admitted: &Admitted,
    case: &mut Case,
) -> Result<Performed, ClientError> {
    let decision = classify::plan(gateway, admitted, case).await;
    let plan = planning::require_plan(decision, &admitted.caller.allow)?;
    perform::perform(gateway, admitted, plan, case).await
}

fn leave(
    gateway: &Arc<Gateway>,
    admitted: Box<Admitted>,
    case: Case,
    performed: Result<Performed, ClientError>,
) -> Result<(Served, Response<AnswerBody>), ClientError> {
    match performed {
        Ok(performed) => {
            let served = performed.served(&admitted);
            Ok((served, answer::answer(Arc::clone(gateway), admitted, performed, case)))
        }
        Err(error) => {
            case.refused(&error);
            Err(error)
        }
    }
}
