//! Whether the request may be served now.
//!
//! Owns finding the route a request names and reserving its worst case on the key's limits. Must not choose a deployment.
//! What is reserved here is settled by the record, whatever happens in between.

use crate::accept::Accepted;
use crate::authenticate::Identified;
use crate::case::Case;
use crate::clock;
use crate::effort::EffortOrder;
use crate::endpoint::StreamForm;
use crate::learn;
use crate::makers::Maker;
use crate::media::Supply;
use crate::options::Options;
use crate::responses::Turn;
use crate::state::{Gateway, Generation};
use crate::support;
use crate::tokens::Prompt;
use bytes::Bytes;
use http::HeaderMap;
use std::sync::{Arc, OnceLock};
use trunkline_config::VirtualKey;
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_model::id::Name;
use trunkline_model::warning::Warning;
use trunkline_route::caller::{AllowList, Caller, Fallbacks, ParameterSupport, PinnedBy};
use trunkline_route::limit::{Account, Estimate, Reservation};
use trunkline_route::policy::{Route, RouteKind};
use trunkline_wire::codec::{Envelope, PathParts};
use trunkline_wire::responses::Echo;

/// A request that may be served, with the route that will.
pub(crate) struct Admitted {
    /// The configuration and health it is served under.
    pub generation: Arc<Generation>,
    /// The protocol.
    pub dialect: Dialect,
    /// What is asked for.
    pub operation: Operation,
    /// What the path says.
    pub path: PathParts,
    /// How a stream is framed.
    pub stream_form: StreamForm,
    /// The client's headers.
    pub headers: HeaderMap,
    /// What it says in our own headers.
    pub options: Options,
    /// The body as it came.
    pub body: Bytes,
    /// The look at it.
    pub envelope: Envelope,
    /// The route that serves it.
    pub route: Arc<Route>,
    /// Who asks, as choosing sees it.
    pub caller: Caller,
    /// Refuse instead of warn.
    pub strict: bool,
    /// How deeply it is to reason, where somebody else than its body says so.
    pub effort: EffortOrder,
    /// What it is beyond its conversation, in the responses API.
    pub turn: Option<Arc<Turn>>,
    /// What the answer repeats of the request, where that is not what its body says.
    pub echo: Option<Arc<Echo>>,
    /// Who made the sealed state in its conversation, where that is known.
    pub maker: Option<Maker>,
    /// Files that were fetched for it.
    pub supply: OnceLock<Arc<Supply>>,
}

impl Admitted {
    /// The same request once more, to be sent beside.
    #[must_use]
    pub(crate) fn duplicate(&self) -> Self {
        let mut headers = self.headers.clone();
        // A provider would give the answer it already gave.
        headers.remove("idempotency-key");
        Self {
            generation: Arc::clone(&self.generation),
            dialect: self.dialect,
            operation: self.operation,
            path: self.path.clone(),
            stream_form: self.stream_form,
            headers,
            options: self.options.clone(),
            body: self.body.clone(),
            envelope: self.envelope.clone(),
            route: Arc::clone(&self.route),
            caller: self.caller.clone(),
            strict: self.strict,
            effort: self.effort.clone(),
            turn: self.turn.clone(),
            echo: self.echo.clone(),
            maker: self.maker.clone(),
            supply: self.supply.clone(),
        }
    }
}

/// The answer length assumed for the worst case where neither client nor model states one, in tokens.
const ASSUMED_OUTPUT: u64 = 4_096;

/// Finds the route and reserves the worst case.
///
/// # Errors
/// Unknown model, not allowed for this key, or one of the key's limits.
pub(crate) fn admit(
    gateway: &Gateway,
    generation: &Arc<Generation>,
    mut accepted: Accepted,
    identified: &Identified,
    case: &mut Case,
) -> Result<Box<Admitted>, ClientError> {
    let route = find_route(generation, &accepted)?;
    let mut caller = caller(&accepted, identified, case, &route);
    pin(generation, &mut caller, identified.key.as_deref(), &mut case.record.warnings)?;
    if let Some(bound) = accepted.turn.as_ref().and_then(|turn| turn.bound.as_ref())
        && caller.preferences.order.is_empty()
    {
        // State that only its maker can read: others can answer too, without it.
        caller.preferences.order.push(Name::from(bound.deployment.as_str()));
    }
    if let Some(session) = &caller.session
        && learn::reads_history(&route)
    {
        caller.history = gateway.sessions.find(caller.key.as_deref(), &route.name, session);
        case.remember_session();
    }
    let maker = follow_state(generation, &accepted, &mut caller);
    check_models(generation, &caller)?;
    check_pin(generation, &caller)?;
    let sure = caller.preferences.parameters == ParameterSupport::MustBeSure;
    caller.whole = sure || accepted.options.require_parameters || route.require_parameters;
    if caller.whole {
        let Caller { preferences, pin, .. } = &caller;
        caller.unsupported = support::unsupported(generation, &accepted, &route, preferences, pin.as_ref());
    }
    check_allowed(&caller, &route)?;
    case.record.route = Some(Arc::clone(&route.name));
    let limited = identified.key.as_ref().filter(|_| !accepted.options.unlimited);
    if let Some(limiter) = limited.and_then(|key| generation.limiter(&key.name)) {
        let shape = &accepted.envelope.shape;
        let output =
            shape.max_output_tokens.unwrap_or(ASSUMED_OUTPUT).saturating_mul(u64::from(shape.choices.max(1)));
        let estimate = Estimate::tokens(shape.estimated_input_tokens().saturating_add(output));
        let account: Arc<dyn Account> = Arc::clone(limiter) as Arc<dyn Account>;
        let reservation = Reservation::new([account], &estimate, gateway.clock.now()).map_err(|refused| {
            ClientError::new(ErrorCode::RateLimited, format!("failed to {refused}"))
                .with_retry_after(refused.retry_after)
        })?;
        case.reserve(reservation);
    }
    let effort =
        EffortOrder::new(identified.key.as_ref().and_then(|key| key.effort), accepted.options.effort);
    if effort.is_off(route.efforts.route) {
        // What does not reason may answer then.
        accepted.envelope.shape.wants_reasoning = false;
    }
    if let Some(prompt) = Prompt::of(&accepted.envelope, &accepted.body) {
        case.note_prompt(prompt);
    }
    let strict = accepted.options.strict.unwrap_or(route.strict);
    // Boxed at once: it lives as long as the answer, and every move of it would be a copy.
    Ok(Box::new(Admitted {
        generation: Arc::clone(generation),
        dialect: accepted.dialect,
        operation: accepted.operation,
        path: accepted.path,
        stream_form: accepted.stream_form,
        headers: accepted.headers,
        options: accepted.options,
        body: accepted.body,
        envelope: accepted.envelope,
        route,
        caller,
        strict,
        effort,
        echo: accepted.turn.as_ref().map(|turn| Arc::clone(&turn.echo)),
        turn: accepted.turn.map(Arc::from),
        maker,
        supply: OnceLock::new(),
    }))
}

/// Prefers the deployment that made the sealed state in the conversation.
fn follow_state(generation: &Generation, accepted: &Accepted, caller: &mut Caller) -> Option<Maker> {
    if !accepted.envelope.shape.has_opaque_state {
        return None;
    }
    let maker = generation.makers.of(&accepted.body, clock::unix_seconds())?;
    // With fallbacks refused, an order would be a limit: who asks for that gets the route's own first choice.
    if caller.preferences.order.is_empty() && caller.preferences.fallbacks == Fallbacks::Allowed {
        caller.preferences.order.push(Name::clone(&maker.deployment));
    }
    Some(maker)
}

/// The route a request names: by header, as a route, as `provider/model`, or as a bare model name.
fn find_route(generation: &Generation, accepted: &Accepted) -> Result<Arc<Route>, ClientError> {
    let snapshot = &generation.snapshot;
    if let Some(name) = &accepted.options.route {
        return snapshot.routes.find(name).cloned().ok_or_else(|| {
            let names: Vec<&str> = snapshot.routes.iter().map(|(name, _)| &**name).collect();
            let message = format!("there is no route `{name}`{}", nearest(name, &names));
            ClientError::new(ErrorCode::ModelNotFound, message).at("x-trunkline-route")
        });
    }
    let model = accepted.envelope.shape.model.as_str();
    if let Some(route) = snapshot.routes.find(model) {
        return Ok(Arc::clone(route));
    }
    if let Some(index) = snapshot.fleet.find(model) {
        return Ok(generation.direct(index));
    }
    let named = snapshot.fleet.named(model);
    match named {
        [] => Err(unknown_model(generation, model)),
        [one] => Ok(generation.direct(*one)),
        several => Ok(generation.shared(model, several)),
    }
}

/// The further models a body names (`models`) exist, like the one it asks for: a misspelt one would be a fallback that never
/// comes.
fn check_models(generation: &Generation, caller: &Caller) -> Result<(), ClientError> {
    let snapshot = &generation.snapshot;
    for model in &caller.preferences.models {
        if !snapshot.fleet.named(model).is_empty() {
            continue;
        }
        if snapshot.routes.find(model).is_some() {
            let message =
                format!("`{model}` is a route, and `models` lists models; ask for the route in `model`");
            return Err(ClientError::new(ErrorCode::ModelNotFound, message).at("models"));
        }
        let names: Vec<&str> = snapshot.fleet.iter().map(|(_, deployment)| &*deployment.id).collect();
        let shown: String = model.chars().take(200).collect();
        let message = format!(
            "there is no model `{shown}`, which `models` lists{}; GET /v1/models lists what there is",
            nearest(model, &names)
        );
        return Err(ClientError::new(ErrorCode::ModelNotFound, message).at("models"));
    }
    Ok(())
}

/// What a request is pinned to exists. A key's pin was checked with the configuration.
fn check_pin(generation: &Generation, caller: &Caller) -> Result<(), ClientError> {
    let snapshot = &generation.snapshot;
    let Some(pin) = &caller.pin else { return Ok(()) };
    if caller.pinned_by == PinnedBy::Key || !snapshot.fleet.named(pin).is_empty() {
        return Ok(());
    }
    let message = if snapshot.routes.find(pin).is_some() {
        format!("`{pin}` is a route, and a pin names a deployment or model; ask for the route in `model`")
    } else {
        let names: Vec<&str> = snapshot.fleet.iter().map(|(_, deployment)| &*deployment.id).collect();
        format!("there is no deployment or model `{pin}` to pin to{}", nearest(pin, &names))
    };
    Err(ClientError::new(ErrorCode::ModelNotFound, message).at("x-trunkline-pin"))
}

fn unknown_model(generation: &Generation, model: &str) -> ClientError {
    let snapshot = &generation.snapshot;
    let names: Vec<&str> = snapshot
        .routes
        .iter()
        .map(|(name, _)| &**name)
        .chain(snapshot.fleet.iter().map(|(_, deployment)| &*deployment.id))
        .collect();
    let shown: String = model.chars().take(200).collect();
    let message = format!(
        "there is no model or route `{shown}`{}; GET /v1/models lists what there is",
        nearest(model, &names)
    );
    ClientError::new(ErrorCode::ModelNotFound, message).at("model")
}

fn nearest(name: &str, known: &[&str]) -> String {
    let near = trunkline_model::nearest::nearest(name, known.iter().copied(), 3);
    if near.is_empty() {
        return String::new();
    }
    let quoted: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
    format!("; did you mean {}?", quoted.join(" or "))
}

fn check_allowed(caller: &Caller, route: &Route) -> Result<(), ClientError> {
    let allowed = match route.kind {
        RouteKind::Configured => caller.allow.allows_route(&route.name),
        RouteKind::Direct => caller.allow.allows_direct(),
    };
    if allowed {
        return Ok(());
    }
    let kind = if route.kind == RouteKind::Direct { "model" } else { "route" };
    let message = format!(
        "the virtual key `{}` may not use the {kind} `{}`; ask the operator to allow it",
        caller.key.as_deref().unwrap_or(""),
        route.name
    );
    Err(ClientError::new(ErrorCode::NotAllowed, message).at("model"))
}

fn caller(accepted: &Accepted, identified: &Identified, case: &mut Case, route: &Route) -> Caller {
    let options = &accepted.options;
    let key = identified.key.as_deref();
    let mut tags = key.map(|key| key.tags.clone()).unwrap_or_default();
    for (name, value) in &options.tags {
        // The key's own tags cannot be overwritten: they say who pays.
        if !tags.iter().any(|(known, _)| known == name) {
            tags.push((Arc::clone(name), Arc::clone(value)));
        }
    }
    tags.sort();
    case.record.tags.clone_from(&tags);
    let mut requirements = key.map(|key| key.requirements.clone()).unwrap_or_default();
    requirements.extend(options.require.iter().cloned());
    Caller {
        key: key.map(|key| Arc::clone(&key.name)),
        user: case.record.user.clone(),
        session: options.session.clone(),
        tags,
        headers: rule_headers(route, &accepted.headers),
        requirements,
        allow: key.map_or_else(AllowList::default, |key| key.allow.clone()),
        pin: options.pin.clone(),
        strict: options.strict.unwrap_or(route.strict),
        total_timeout: options.timeout,
        preferences: crate::preferences::read(&accepted.envelope, &accepted.body),
        ..Caller::default()
    }
}

/// Pins the request to the deployment of its key, whatever it asks for itself.
///
/// # Errors
/// When it is strict and asks for another one.
fn pin(
    generation: &Generation,
    caller: &mut Caller,
    key: Option<&VirtualKey>,
    warnings: &mut Vec<Warning>,
) -> Result<(), ClientError> {
    let Some(pinned) = key.and_then(|key| key.pin.as_ref()) else { return Ok(()) };
    let fleet = &generation.snapshot.fleet;
    let means_it = |asked: &Name| fleet.find(pinned).is_some_and(|index| fleet.named(asked).contains(&index));
    if caller.pin.as_ref().is_some_and(|asked| !means_it(asked)) {
        if caller.strict {
            let message = format!(
                "the virtual key is pinned to `{pinned}`, and a strict request gets no other than it asks for; leave the header out"
            );
            return Err(ClientError::new(ErrorCode::NotAllowed, message).at("x-trunkline-pin"));
        }
        warnings.push(Warning::overridden("pin", format!("set to {pinned} by the key")));
    }
    (caller.pin, caller.pinned_by) = (Some(Name::clone(pinned)), PinnedBy::Key);
    Ok(())
}

/// The headers a route's rules read.
fn rule_headers(route: &Route, headers: &HeaderMap) -> Vec<(Name, Name)> {
    route
        .headers()
        .iter()
        .filter_map(|name| {
            let value = headers.get(&**name)?.to_str().ok()?;
            Some((Arc::clone(name), Name::from(value)))
        })
        .collect()
}
