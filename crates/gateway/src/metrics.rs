//! Figures for Prometheus.
//!
//! Owns every metric's name, labels and buckets. Must not be called more than a few times per request: counters are touched
//! when a request ends, gauges are read when somebody asks.

use crate::series::{Series, address};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64};
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::failure::FailureClass;
use trunkline_model::id::Name;
use trunkline_model::money::{Cost, CostConfidence};
use trunkline_model::record::{AttemptKind, Outcome, RequestRecord};
use trunkline_model::usage::Usage;

/// All metrics that are counted as things happen.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    tokens: Family<TokenLabels, Counter>,
    cost: Family<ServedLabels, Counter<f64, AtomicU64>>,
    unknown_cost: Family<ServedLabels, Counter>,
    attempts: Family<AttemptLabels, Counter>,
    failures: Family<FailureLabels, Counter>,
    first_token: Family<ServedLabels, Histogram, fn() -> Histogram>,
    duration: Family<ServedLabels, Histogram, fn() -> Histogram>,
    overhead: Histogram,
    checks: Family<CheckLabels, Counter>,
    audits: Family<CheckLabels, Counter>,
    feedback: Family<CheckLabels, Counter>,
    shadows: Family<CheckLabels, Counter>,
    shadow_cost: Family<RouteLabels, Counter<f64, AtomicU64>>,
    request_bytes: Counter,
    reloads: Counter,
    open: Gauge<i64, AtomicI64>,
    ended: Series<EndedKey, Ended>,
    tried: Series<TriedKey, Tried>,
    served: Series<[usize; 3], Served>,
}

/// Addresses of route and key, and the rest of the labels of [`RequestLabels`].
type EndedKey = (usize, usize, Operation, Dialect, bool, Outcome, u16);
/// Address of the deployment, and the rest of the labels of [`AttemptLabels`].
type TriedKey = (usize, AttemptKind, Option<FailureClass>);

/// The series of requests that ended alike. The labels keep the names alive whose addresses are its key.
struct Ended {
    _labels: RequestLabels,
    requests: Counter,
}

/// The series of attempts that ended alike.
struct Tried {
    _labels: AttemptLabels,
    attempts: Counter,
}

/// The series of requests served by the same model. Each is made when there is something to count, so that none is shown
/// that never was.
struct Served {
    labels: ServedLabels,
    tokens: [OnceLock<Counter>; 5],
    cost: OnceLock<Counter<f64, AtomicU64>>,
    unknown_cost: OnceLock<Counter>,
    first_token: OnceLock<Histogram>,
    duration: OnceLock<Histogram>,
}

/// A label that shares its text with the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Label(Option<Name>);

impl EncodeLabelValue for Label {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.as_deref().unwrap_or("").encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: Label,
    key: Label,
    operation: &'static str,
    client: &'static str,
    delivery: &'static str,
    outcome: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServedLabels {
    route: Label,
    provider: Label,
    model: Label,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    route: Label,
    provider: Label,
    model: Label,
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    deployment: Label,
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    route: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    class: &'static str,
}

/// Seconds; the buckets the OpenTelemetry conventions name for time to first token, extended upwards.
fn seconds() -> Histogram {
    Histogram::new([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0])
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics at zero.
    #[must_use]
    pub fn new() -> Self {
        let metrics = Self {
            registry: Registry::with_prefix("trunkline"),
            requests: Family::default(),
            tokens: Family::default(),
            cost: Family::default(),
            unknown_cost: Family::default(),
            attempts: Family::default(),
            failures: Family::default(),
            first_token: Family::new_with_constructor(seconds),
            duration: Family::new_with_constructor(seconds),
            overhead: Histogram::new([
                25e-6, 50e-6, 100e-6, 200e-6, 400e-6, 800e-6, 1.6e-3, 5e-3, 25e-3, 0.1, 1.0,
            ]),
            checks: Family::default(),
            audits: Family::default(),
            feedback: Family::default(),
            shadows: Family::default(),
            shadow_cost: Family::default(),
            request_bytes: Counter::default(),
            reloads: Counter::default(),
            open: Gauge::default(),
            ended: Series::default(),
            tried: Series::default(),
            served: Series::default(),
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register("requests", "Requests by how they ended", self.requests.clone());
        registry.register("tokens", "Tokens by class", self.tokens.clone());
        registry.register("cost_dollars", "Cost in dollars, as far as known", self.cost.clone());
        registry.register(
            "unknown_cost_requests",
            "Requests whose cost is not fully known",
            self.unknown_cost.clone(),
        );
        registry.register("attempts", "Upstream calls by deployment, kind and result", self.attempts.clone());
        registry.register("failures", "Failed upstream calls by class", self.failures.clone());
        registry.register(
            "first_token_seconds",
            "From arrival to the first token sent, of streams",
            self.first_token.clone(),
        );
        registry.register("request_seconds", "From arrival to the last byte sent", self.duration.clone());
        registry.register(
            "overhead_seconds",
            "Time spent in the gateway before the first token",
            self.overhead.clone(),
        );
        registry.register(
            "cascade_checks",
            "Answers that a cascade looked at, by the check that failed or `passed`",
            self.checks.clone(),
        );
        registry.register(
            "cascade_audits",
            "Answers that passed and were answered by the better tier as well, by whether it agreed",
            self.audits.clone(),
        );
        registry.register(
            "feedback",
            "Feedback taken, by route and `good` (a score from 0.5 on), `bad` or `class`",
            self.feedback.clone(),
        );
        registry.register(
            "shadow_copies",
            "Requests drawn for a shadow, by whether the candidate agreed or why it was not asked",
            self.shadows.clone(),
        );
        registry.register(
            "shadow_cost_dollars",
            "Cost of copies in dollars, as far as known",
            self.shadow_cost.clone(),
        );
        registry.register("request_bytes", "Bytes of request bodies", self.request_bytes.clone());
        registry.register(
            "config_reloads",
            "Configurations put in force after the first",
            self.reloads.clone(),
        );
        registry.register("open_requests", "Requests being served", self.open.clone());
        self
    }

    /// A request arrived.
    pub fn opened(&self) {
        self.open.inc();
    }

    /// A request's body was read.
    pub fn accepted(&self, bytes: usize) {
        self.request_bytes.inc_by(bytes as u64);
    }

    /// A request ended without a record.
    pub fn forgotten(&self) {
        self.open.dec();
    }

    /// An upstream call failed.
    pub fn attempt_failed(&self, class: FailureClass) {
        self.failures.get_or_create(&FailureLabels { class: class.name() }).inc();
    }

    /// A cascade looked at an answer.
    pub fn checked(&self, route: &str, failed: Option<&'static str>) {
        let result = failed.unwrap_or("passed");
        self.checks.get_or_create(&CheckLabels { route: route.to_owned(), result }).inc();
    }

    /// The better tier gave its answer to a request whose answer had passed.
    pub fn audited(&self, route: &str, agreed: bool) {
        let result = if agreed { "agreed" } else { "differed" };
        self.audits.get_or_create(&CheckLabels { route: route.to_owned(), result }).inc();
    }

    /// Feedback was kept.
    pub fn feedback(&self, route: &str, result: &'static str) {
        self.feedback.get_or_create(&CheckLabels { route: route.to_owned(), result }).inc();
    }

    /// A request was drawn for a shadow, and this came of it.
    pub fn shadowed(&self, route: &str, result: &'static str) {
        self.shadows.get_or_create(&CheckLabels { route: route.to_owned(), result }).inc();
    }

    /// What a copy cost.
    pub fn shadow_cost(&self, route: &str, cost: Cost) {
        if let Some(amount) = cost.amount {
            let labels = RouteLabels { route: route.to_owned() };
            self.shadow_cost.get_or_create(&labels).inc_by(amount.to_f64().max(0.0));
        }
    }

    /// A new configuration is in force.
    pub fn reloaded(&self) {
        self.reloads.inc();
    }

    /// A request ended.
    pub fn closed(&self, record: &RequestRecord) {
        self.open.dec();
        let is_stream = record.delivery.is_stream();
        let key = (
            address(record.route.as_ref()),
            address(record.key.as_ref()),
            record.operation,
            record.client,
            is_stream,
            record.outcome,
            record.status,
        );
        let ended = self.ended.find(key, || {
            let labels = RequestLabels {
                route: Label(record.route.clone()),
                key: Label(record.key.clone()),
                operation: record.operation.name(),
                client: record.client.name(),
                delivery: if is_stream { "stream" } else { "plain" },
                outcome: record.outcome.name(),
                status: record.status,
            };
            Ended { requests: self.requests.get_or_create(&labels).clone(), _labels: labels }
        });
        ended.requests.inc();
        self.count_attempts(record);
        if !record.attempts.is_empty() {
            self.count_served(record);
        }
    }

    /// A request that no client asked for ended: its calls are counted, and no request.
    pub fn closed_beside(&self, record: &RequestRecord) {
        self.open.dec();
        self.count_attempts(record);
    }

    fn count_attempts(&self, record: &RequestRecord) {
        for attempt in &record.attempts {
            let key = (address(Some(&attempt.deployment)), attempt.kind, attempt.failure);
            let tried = self.tried.find(key, || {
                let labels = AttemptLabels {
                    deployment: Label(Some(Name::clone(&attempt.deployment))),
                    kind: attempt.kind.name(),
                    result: attempt.failure.map_or("ok", FailureClass::name),
                };
                Tried { attempts: self.attempts.get_or_create(&labels).clone(), _labels: labels }
            });
            tried.attempts.inc();
        }
    }

    fn count_served(&self, record: &RequestRecord) {
        let key = [&record.route, &record.provider, &record.model].map(|name| address(name.as_ref()));
        let served = self.served.find(key, || Served {
            labels: ServedLabels {
                route: Label(record.route.clone()),
                provider: Label(record.provider.clone()),
                model: Label(record.model.clone()),
            },
            tokens: Default::default(),
            cost: OnceLock::new(),
            unknown_cost: OnceLock::new(),
            first_token: OnceLock::new(),
            duration: OnceLock::new(),
        });
        let labels = &served.labels;
        self.count_tokens(&served, &record.usage);
        if let Some(amount) = record.cost.amount {
            let cost = served.cost.get_or_init(|| self.cost.get_or_create(labels).clone());
            cost.inc_by(amount.to_f64().max(0.0));
        }
        if record.cost.confidence == CostConfidence::Unknown {
            served.unknown_cost.get_or_init(|| self.unknown_cost.get_or_create(labels).clone()).inc();
        }
        // How long a provider's batch took says nothing about how fast requests are answered.
        let is_of_batch = record.attempts.iter().any(|attempt| attempt.kind == AttemptKind::Batch);
        if record.outcome == Outcome::Served && !is_of_batch {
            if let Some(first) = record.first_token_us {
                // That of a whole answer is the time of the answer, which is told below.
                if record.delivery == Delivery::Stream {
                    let series =
                        served.first_token.get_or_init(|| self.first_token.get_or_create(labels).clone());
                    series.observe(first as f64 / 1e6);
                }
                self.overhead.observe(record.overhead_us as f64 / 1e6);
            }
            let duration = served.duration.get_or_init(|| self.duration.get_or_create(labels).clone());
            duration.observe(record.total_us as f64 / 1e6);
        }
    }

    fn count_tokens(&self, served: &Served, usage: &Usage) {
        let classes = [
            ("input", usage.input),
            ("cache_read", usage.cache_read),
            ("cache_write", usage.cache_write.saturating_add(usage.cache_write_long)),
            ("output", usage.output),
            ("reasoning", usage.reasoning),
        ];
        for ((class, count), series) in
            classes.into_iter().zip(&served.tokens).filter(|((_, count), _)| *count > 0)
        {
            let series = series.get_or_init(|| {
                let labels = TokenLabels {
                    route: served.labels.route.clone(),
                    provider: served.labels.provider.clone(),
                    model: served.labels.model.clone(),
                    class,
                };
                self.tokens.get_or_create(&labels).clone()
            });
            series.inc_by(count);
        }
    }

    /// Everything in the text format, without its end marker.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail; the encoder's only errors are the writer's.
        let _ = prometheus_client::encoding::text::encode_registry(&mut text, &self.registry);
        text
    }

    /// Requests being served.
    #[must_use]
    pub fn open_requests(&self) -> i64 {
        self.open.get()
    }
}
