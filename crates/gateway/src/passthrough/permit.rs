//! Whether a request may be passed on, and where to.
//!
//! Owns the checks of a passed request: the key, its list of providers, its requirements and limits, options that would have no
//! effect. Must not read the body: nobody unknown makes the gateway hold memory, and nothing here needs more than its length.

use super::target;
use crate::authenticate;
use crate::case::Case;
use crate::options::{self, Options};
use crate::state::{Gateway, Generation};
use http::header::CONTENT_TYPE;
use http::uri::Uri;
use http::{HeaderMap, Method};
use hyper::body::{Body as _, Incoming};
use std::sync::Arc;
use trunkline_config::VirtualKey;
use trunkline_model::dialect::Dialect;
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_model::id::Name;
use trunkline_model::moment::Moment;
use trunkline_providers::upstream::Upstream;
use trunkline_route::fleet::Deployment;
use trunkline_route::limit::{Account, Estimate, Reservation};

/// What a client sent, without the body.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) dialect: Dialect,
}

/// A request that may be passed on.
pub(super) struct Permitted {
    pub(super) provider: Name,
    pub(super) upstream: Arc<Upstream>,
    /// Where to.
    pub(super) uri: Uri,
    /// When it must be over, if anybody says so.
    pub(super) deadline: Option<Moment>,
}

/// Whether the request may be passed on, and where to. Nothing of its body is read for that.
pub(super) fn permit(
    gateway: &Gateway,
    generation: &Generation,
    asked: &Asked,
    body: &Incoming,
    case: &mut Case,
) -> Result<Permitted, ClientError> {
    let query = asked.uri.query();
    let key = authenticate::check(generation, &asked.headers, query, asked.dialect)?;
    let key = key.as_deref();
    case.record.key = key.map(|key| Arc::clone(&key.name));
    let options = options::read(&asked.headers)?;
    note(&options, key, case);
    check_options(&asked.headers, &options)?;
    if asked.method == Method::TRACE {
        // Its answer is the request as the provider got it, with the gateway's credential in it.
        return Err(ClientError::new(ErrorCode::MethodNotAllowed, "TRACE is not passed on"));
    }
    let (name, rest) = target::split(asked.uri.path()).ok_or_else(|| unknown(generation, key, ""))?;
    let (deployment, upstream) = find(generation, name).ok_or_else(|| unknown(generation, key, name))?;
    let provider = Arc::clone(&deployment.provider);
    check_allowed(generation, key, &provider, &options)?;
    let uri = target::address(&upstream.base, upstream.dialect, rest, query)
        .map_err(|error| ClientError::new(ErrorCode::InvalidRequest, error.to_string()).at("path"))?;
    case.record.provider = Some(Arc::clone(&provider));
    reserve(gateway, generation, key, prompt_bytes(asked, body), case)?;
    let deadline = options.timeout.map(|timeout| case.started() + timeout);
    Ok(Permitted { provider, upstream: Arc::clone(upstream), uri, deadline })
}

/// Writes into the record who asks for what, besides the key.
fn note(options: &Options, key: Option<&VirtualKey>, case: &mut Case) {
    let record = &mut case.record;
    record.user.clone_from(&options.user);
    record.session.clone_from(&options.session);
    record.tags = key.map(|key| key.tags.clone()).unwrap_or_default();
    for (name, value) in &options.tags {
        // The key's own tags cannot be overwritten: they say who pays.
        if !record.tags.iter().any(|(known, _)| known == name) {
            record.tags.push((Arc::clone(name), Arc::clone(value)));
        }
    }
    record.tags.sort();
}

/// Refuses what would have no effect: a dry run that is none would be the worst of it.
fn check_options(headers: &HeaderMap, options: &Options) -> Result<(), ClientError> {
    let ours = headers.keys().filter_map(|name| name.as_str().strip_prefix("x-trunkline-"));
    let idle = |option: &&str| matches!(*option, "route" | "pin" | "effort" | "strict" | "dry-run" | "as");
    let found = ours.filter(idle).min().or_else(|| options.require_parameters.then_some("require"));
    let Some(option) = found else { return Ok(()) };
    let header = format!("x-trunkline-{option}");
    let what = if option == "require" { "`parameters` in the header" } else { "the header" };
    let message =
        format!("{what} `{header}` has no effect on a request that is passed as it is; leave it out");
    Err(ClientError::new(ErrorCode::InvalidRequest, message).at(header))
}

/// Any deployment of a provider: they share address and credential.
pub(super) fn find<'a>(
    generation: &'a Generation,
    provider: &str,
) -> Option<(&'a Deployment, &'a Arc<Upstream>)> {
    let snapshot = &generation.snapshot;
    let of_provider = |(_, deployment): &(_, &Deployment)| &*deployment.provider == provider;
    let (index, deployment) = snapshot.fleet.iter().find(of_provider)?;
    Some((deployment, &snapshot.upstreams[index.position()]))
}

fn unknown(generation: &Generation, key: Option<&VirtualKey>, name: &str) -> ClientError {
    let allowed =
        |provider: &str| key.is_none_or(|key| key.passthrough.iter().any(|one| one.matches(provider)));
    let mut names: Vec<&str> =
        generation.snapshot.fleet.iter().map(|(_, one)| &*one.provider).filter(|one| allowed(one)).collect();
    names.sort_unstable();
    names.dedup();
    let shown: String = name.chars().take(60).collect();
    let wrong = match name {
        "" => "the path names no provider: write `/passthrough/PROVIDER/...`".to_owned(),
        _ => format!("there is no provider `{shown}` to pass requests to"),
    };
    let message = if names.is_empty() { wrong } else { format!("{wrong}; there are {}", names.join(", ")) };
    ClientError::new(ErrorCode::NotFound, message).at("path")
}

fn check_allowed(
    generation: &Generation,
    key: Option<&VirtualKey>,
    provider: &str,
    options: &Options,
) -> Result<(), ClientError> {
    let refused = |message: String| Err(ClientError::new(ErrorCode::NotAllowed, message).at("path"));
    if let Some(key) = key
        && !key.passthrough.iter().any(|pattern| pattern.matches(provider))
    {
        return refused(format!(
            "the virtual key `{}` may not pass requests to `{provider}`; ask the operator to list it under the key's `passthrough`",
            key.name
        ));
    }
    let demands = key.map(|key| key.requirements.as_slice()).unwrap_or_default();
    // Which model is asked is not known, so that all of them must do.
    let all = generation.snapshot.fleet.iter().map(|(_, deployment)| deployment);
    let mut all = all.filter(|deployment| &*deployment.provider == provider);
    let unmet = all.find_map(|deployment| {
        demands.iter().chain(&options.require).find(|demand| !demand.is_satisfied_by(&deployment.facts))
    });
    match unmet {
        Some(demand) => refused(format!("`{provider}` is not known to meet the requirement `{demand}`")),
        None => Ok(()),
    }
}

/// Bytes of text that may become tokens: files and forms are not counted by their size.
fn prompt_bytes(asked: &Asked, body: &Incoming) -> u64 {
    let content_type = asked.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = content_type
        .is_some_and(|text| text.trim_start().to_ascii_lowercase().starts_with("application/json"));
    body.size_hint().exact().filter(|_| is_json).unwrap_or(0)
}

/// Reserves one request, and the tokens that its body may have.
fn reserve(
    gateway: &Gateway,
    generation: &Generation,
    key: Option<&VirtualKey>,
    bytes: u64,
    case: &mut Case,
) -> Result<(), ClientError> {
    let Some(limiter) = key.and_then(|key| generation.limiter(&key.name)) else { return Ok(()) };
    let account: Arc<dyn Account> = Arc::clone(limiter) as Arc<dyn Account>;
    let estimate = Estimate::tokens(bytes.div_ceil(4));
    let reservation = Reservation::new([account], &estimate, gateway.clock.now()).map_err(|refused| {
        ClientError::new(ErrorCode::RateLimited, format!("failed to {refused}"))
            .with_retry_after(refused.retry_after)
    })?;
    case.reserve(reservation);
    Ok(())
}
