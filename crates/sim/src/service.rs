//! One request from its first byte to the body that plays its answer.
//!
//! Owns the order of things: read, record, find the fault, check key and limit, ask the dialect, stage. It must not know
//! any dialect's forms nor how steps are played.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::batch_book::BatchBook;
use crate::body::SimBody;
use crate::chance::{Chance, fingerprint};
use crate::config::SimConfig;
use crate::connection::Control;
use crate::dialect::{Context, Dialect, Inbound, Output, Refusal, Stamp};
use crate::fault::Fault;
use crate::limit::{Buckets, Exceeded, Scope};
use crate::observe::{Exchange, Observer, ReceivedRequest};
use crate::perform::{Opening, Performance, Staging, perform};
use crate::prompt_cache::PromptCache;
use crate::response_book::ResponseBook;
use crate::script::{Facts, Script};
use crate::tokens;
use crate::turn::Directives;

/// All that the requests of one simulator share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config: SimConfig,
    pub(crate) observer: Arc<Observer>,
    pub(crate) started: Instant,
    live: RwLock<Live>,
    cache: PromptCache,
    book: ResponseBook,
    batches: BatchBook,
    buckets: Mutex<Buckets>,
    /// Counts changes of the script, for those who wait for one.
    pub(crate) changes: watch::Sender<u64>,
}

/// The behaviour at this moment.
#[derive(Clone, Debug)]
struct Live {
    script: Arc<Script>,
    forced: Option<Forced>,
}

/// A fault switched on by hand.
#[derive(Clone, Copy, Debug)]
struct Forced {
    fault: Fault,
    left: Option<u64>,
}

impl State {
    pub(crate) fn new(config: SimConfig) -> Self {
        let started = Instant::now();
        let live = Live { script: Arc::new(config.script.clone()), forced: None };
        Self {
            observer: Arc::new(Observer::new(config.keep_requests)),
            started,
            live: RwLock::new(live),
            cache: PromptCache::default(),
            book: ResponseBook::default(),
            batches: BatchBook::default(),
            buckets: Mutex::new(Buckets::new(started)),
            changes: watch::Sender::new(0),
            config,
        }
    }

    pub(crate) fn edit(&self, edit: impl FnOnce(&mut Script)) {
        {
            let mut live = self.live.write();
            edit(Arc::make_mut(&mut live.script));
        }
        self.changes.send_modify(|changes| *changes += 1);
    }

    pub(crate) fn force(&self, fault: Option<Fault>, left: Option<u64>) {
        self.live.write().forced = fault.map(|fault| Forced { fault, left });
        self.changes.send_modify(|changes| *changes += 1);
    }

    pub(crate) fn script(&self) -> Arc<Script> {
        Arc::clone(&self.live.read().script)
    }

    /// The fault that holds for every request now: what decides whether the port is open.
    pub(crate) fn prevailing(&self) -> Option<Fault> {
        let live = self.live.read();
        if let Some(Forced { fault, left: None }) = live.forced {
            return Some(fault);
        }
        let elapsed = self.started.elapsed();
        live.script.rules.iter().find(|rule| rule.holds_for_all(elapsed)).map(|rule| rule.fault)
    }

    /// How long until a scheduled fault begins or ends.
    pub(crate) fn next_edge(&self) -> Option<Duration> {
        let elapsed = self.started.elapsed();
        let script = self.script();
        script.rules.iter().filter_map(|rule| rule.window?.next_edge(elapsed)).min()
    }

    fn fault(&self, facts: &Facts<'_>, chance: &mut Chance) -> Option<Fault> {
        let mut live = self.live.write();
        if let Some(forced) = &mut live.forced {
            let fault = forced.fault;
            match &mut forced.left {
                None => return Some(fault),
                Some(left) if *left > 0 => {
                    *left -= 1;
                    return Some(fault);
                }
                Some(_) => live.forced = None,
            }
        }
        let script = Arc::clone(&live.script);
        drop(live);
        directed(facts.body).or_else(|| script.fault(facts, chance))
    }
}

/// The fault that a prompt asks for. The last directive of the body counts, whichever message it stands in.
fn directed(body: &[u8]) -> Option<Fault> {
    let start = memchr::memmem::rfind(body, b"[[sim:")?;
    Directives::read(&String::from_utf8_lossy(&body[start..])).fault()
}

/// Answers one request.
pub(crate) async fn serve(
    state: Arc<State>,
    control: Arc<Control>,
    request: Request<Incoming>,
) -> Result<Response<SimBody>, std::convert::Infallible> {
    let (parts, body) = request.into_parts();
    let number = state.observer.next_number();
    let path = parts.uri.path().to_owned();
    let mut exchange = Exchange::new(Arc::clone(&state.observer), number, path.clone());
    let body = match Limited::new(body, state.config.body_limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Refusal::TooLarge),
        Err(_) => Err(Refusal::invalid("The request ended before its body was complete.")),
    };
    let (body, too_bad) = match body {
        Ok(body) => (body, None),
        Err(refusal) => (Bytes::new(), Some(refusal)),
    };
    let mut headers = parts.headers;
    for (name, value) in &mut headers {
        value.set_sensitive(matches!(
            name.as_str(),
            "authorization" | "x-api-key" | "x-goog-api-key" | "api-key"
        ));
    }
    // HTTP/2 has it in a pseudo-header.
    if let (None, Some(authority)) = (headers.get(http::header::HOST), parts.uri.authority())
        && let Ok(host) = http::HeaderValue::from_str(authority.as_str())
    {
        headers.insert(http::header::HOST, host);
    }
    let query = parts.uri.query().map(str::to_owned);
    let inbound = Inbound::new(parts.method, path, query, headers, body);
    let performance = stage(&state, &inbound, number, parts.version, too_bad);
    if !performance.delay.is_zero() {
        tokio::time::sleep(performance.delay).await;
    }
    match performance.opening {
        Opening::Respond => {}
        Opening::Hang => std::future::pending().await,
        Opening::Sever(how) => {
            exchange.sever();
            control.sever(how);
            std::future::pending().await
        }
    }
    let body = SimBody::new(performance.steps, performance.length, control, exchange);
    let mut response = Response::new(body);
    *response.status_mut() = performance.status;
    *response.headers_mut() = performance.headers;
    Ok(response)
}

/// Decides everything about the answer; what is left is to play it.
fn stage(
    state: &State,
    inbound: &Inbound,
    number: u64,
    version: Version,
    too_bad: Option<Refusal>,
) -> Performance {
    let dialect = dialect(state, inbound);
    let model = dialect.model(inbound);
    let mut chance = Chance::new(fingerprint(state.config.seed, &number.to_le_bytes()));
    let facts = Facts {
        number,
        elapsed: state.started.elapsed(),
        path: &inbound.path,
        model: model.as_deref(),
        headers: &inbound.headers,
        body: &inbound.body,
    };
    let fault = state.fault(&facts, &mut chance);
    let script = state.script();
    let now = Instant::now();
    state.observer.keep(ReceivedRequest {
        number,
        at: now,
        version,
        method: inbound.method.clone(),
        path: inbound.path.clone(),
        query: inbound.query.clone(),
        headers: inbound.headers.clone(),
        body: inbound.body.clone(),
        body_length: inbound.body.len(),
        fault,
    });
    let taken = take(state, inbound, &script, now);
    let headroom = state.buckets.lock().headroom(&script.limits, now);
    let stamp =
        Stamp { seed: chance.next(), now: SystemTime::now(), headroom, processing_ms: chance.next() % 400 };
    let context = Context {
        config: &state.config,
        script: &script,
        cache: &state.cache,
        book: &state.book,
        batches: &state.batches,
        stamp: &stamp,
        seed: fingerprint(state.config.seed, &inbound.body),
    };
    let answer = match too_bad {
        Some(refusal) => Err(refusal),
        None => check(state, dialect, inbound).and(taken).and_then(|()| dialect.answer(inbound, &context)),
    };
    let healthy = answer.unwrap_or_else(|refusal| dialect.refuse(&refusal, inbound, &stamp));
    let mut output = match fault {
        Some(fault) => substitute(fault, healthy, model.as_deref(), dialect, inbound, &context),
        None => healthy,
    };
    dialect.identify(&mut output.headers, &stamp);
    let quota = Refusal::RateLimited { scope: Scope::Tokens, retry_after: None };
    let staging = Staging {
        script: &script,
        http2: version == Version::HTTP_2,
        malformed: dialect.malformed(inbound),
        quota: dialect.refuse_in_stream(&quota, inbound, &stamp),
    };
    perform(output, fault, &staging, &mut chance)
}

fn dialect(state: &State, inbound: &Inbound) -> &'static dyn Dialect {
    let mut dialects = state.config.dialects.iter().map(|name| name.dialect());
    let first = dialects.clone().next().unwrap_or_else(|| crate::DialectName::OpenAi.dialect());
    dialects.find(|dialect| dialect.claims(inbound)).unwrap_or(first)
}

fn check(state: &State, dialect: &dyn Dialect, inbound: &Inbound) -> Result<(), Refusal> {
    let keys = &state.config.keys;
    match dialect.credential(inbound) {
        None => Err(Refusal::MissingKey),
        Some(key) if key.is_empty() => Err(Refusal::MissingKey),
        // A key that signs is written `ID:SECRET`, and shown by its id.
        Some(key) if !keys.is_empty() && !keys.iter().any(|known| known.split(':').next() == Some(&key)) => {
            Err(Refusal::WrongKey(key))
        }
        Some(_) => Ok(()),
    }
}

fn take(state: &State, inbound: &Inbound, script: &Script, now: Instant) -> Result<(), Refusal> {
    let limits = &script.limits;
    if limits.requests_per_minute.is_none() && limits.tokens_per_minute.is_none() {
        return Ok(());
    }
    // Providers estimate a request's tokens from its size when they let it in.
    let estimate = tokens::count(&String::from_utf8_lossy(&inbound.body));
    let taken = state.buckets.lock().take(limits, estimate, now);
    taken.map_err(|Exceeded { scope, wait }| Refusal::RateLimited { scope, retry_after: Some(wait) })
}

/// The output that a fault puts in place of the healthy one.
fn substitute(
    fault: Fault,
    healthy: Output,
    model: Option<&str>,
    dialect: &dyn Dialect,
    inbound: &Inbound,
    context: &Context<'_>,
) -> Output {
    let limit = context.config.context_tokens;
    if let Some(refusal) = Refusal::of(fault, model.unwrap_or("unknown"), limit, healthy.streamed) {
        return dialect.refuse(&refusal, inbound, context.stamp);
    }
    let html =
        |status| Output::whole(status, "text/html; charset=utf-8", Bytes::from_static(PAGE.as_bytes()), 0);
    match fault {
        Fault::HtmlOk => html(StatusCode::OK),
        Fault::HtmlBadGateway => html(StatusCode::BAD_GATEWAY),
        Fault::EmptyBody => Output { pieces: Vec::new(), streamed: false, ..healthy },
        Fault::WrongJson => {
            Output::json(StatusCode::OK, &serde_json::json!({"ok": true, "data": [1, 2, 3]}), 0)
        }
        _ => healthy,
    }
}

const PAGE: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
    <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>simulated proxy</center>\r\n</body>\r\n</html>\r\n";
