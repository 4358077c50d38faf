//! One cell of the drill: one request of one kind while one fault is played.
//!
//! Owns a gateway of its own for each request, so that no breaker, waiting time or rejected credential of one cell shows in
//! another. The gateway is the real one over loopback HTTP; only the addresses of providers are played.

use super::client::{self, Asked, Exchange};
use super::endpoint::Endpoint;
use super::judge::{Seen, judge};
use super::stage::{Line, Part, Stage, tls};
use super::strike::{self, Expected, Reach};
use anyhow::Context;
use bytes::Bytes;
use serde::Serialize;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use trunkline_gateway::BodyPrompt;
use trunkline_gateway::{Gateway, server};
use trunkline_model::dialect::Delivery;
use trunkline_model::failure::FailureClass;
use trunkline_model::id::{Name, RequestId};
use trunkline_model::moment::Moment;
use trunkline_model::money::CostConfidence;
use trunkline_model::record::RequestRecord;
use trunkline_net::{Origin, Roots, Transport, TransportConfig};
use trunkline_route::balance::Rotation;
use trunkline_route::caller::Caller;
use trunkline_route::decide::{DecideInput, decide};
use trunkline_route::features::WallClock;
use trunkline_route::fleet::DeploymentIndex;
use trunkline_route::plan::Plan;
use trunkline_route::policy::Route;
use trunkline_route::view::AllFresh;
use trunkline_sim::{Fault, Simulator, Tls};
use trunkline_store::{Query, Recorder};

/// How long the client waits beyond the whole request's own deadline.
const GRACE: Duration = Duration::from_secs(5);
/// A balancer may draw another deployment than the drill did; then the request is sent again to a fresh gateway.
const DRAWS: u32 = 40;
/// How often and how long the record of a request is waited for.
const LOOKS: u32 = 200;
const LOOK: Duration = Duration::from_millis(10);

/// One kind of request to one route.
pub(super) struct Sheet {
    pub(super) route: Arc<Route>,
    pub(super) endpoint: Endpoint,
    pub(super) delivery: Delivery,
    body: Bytes,
    plan: Plan,
    first: DeploymentIndex,
}

/// What came of one cell.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Cell {
    /// The route asked.
    pub(super) route: String,
    /// The endpoint asked.
    pub(super) endpoint: Endpoint,
    /// Plain or streamed.
    pub(super) delivery: Delivery,
    /// The fault played.
    pub(super) fault: Fault,
    /// Whom it hit.
    pub(super) struck: String,
    /// What the client saw.
    pub(super) seen: Seen,
    /// The deployment that answered or was asked last.
    pub(super) deployment: Option<Name>,
    /// The upstream calls, each as `deployment: outcome`.
    pub(super) attempts: Vec<String>,
    /// What the client waited, in milliseconds.
    pub(super) milliseconds: u64,
    /// What it cost, in dollars; nothing when unknown.
    pub(super) cost_usd: Option<String>,
    /// How sure that is.
    pub(super) cost_confidence: &'static str,
    /// What that means.
    pub(super) verdict: Verdict,
    /// Why it is not what it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// There was a timeout that the fault is not the cause of: this machine was too busy to tell.
    #[serde(skip)]
    pub(super) doubtful: bool,
}

/// What a cell means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// The client got a complete answer.
    Survived,
    /// The client got an error it can handle, and nothing better was possible.
    Visible,
    /// The client got less than was possible.
    NotSurvived,
}

impl Sheet {
    /// Prepares a kind of request.
    ///
    /// # Errors
    /// Why no deployment of the route may serve it.
    pub(super) fn new(
        stage: &Stage,
        route: &Arc<Route>,
        endpoint: Endpoint,
        delivery: Delivery,
    ) -> anyhow::Result<Self> {
        let body = endpoint.body(&route.name, delivery);
        let envelope = endpoint.envelope(&route.name, delivery, &body)?;
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let prompt = BodyPrompt::new(endpoint.dialect(), endpoint.operation(), &envelope, &body);
        let decision = decide(&DecideInput {
            id: RequestId::new(unix * 1_000, 0),
            fleet: &stage.snapshot.fleet,
            views: &AllFresh,
            route,
            shape: &envelope.shape,
            prompt: Some(&prompt),
            caller: &Caller::default(),
            clock: WallClock::from_unix(unix, 0),
            now: Moment::ORIGIN,
            seed: 0,
            rotation: Rotation::Fixed(0),
            config_version: stage.snapshot.version,
        });
        let plan = decision.plan.map_err(|none| anyhow::anyhow!("{none}"))?;
        let first = plan.legs.first().context("the plan is empty")?.deployment.index();
        Ok(Self { route: Arc::clone(route), endpoint, delivery, body, plan, first })
    }

    /// The name of the deployment that is asked first.
    pub(super) fn first<'a>(&self, stage: &'a Stage) -> &'a Name {
        &stage.snapshot.fleet.deployment(self.first).id
    }

    /// Plays one fault.
    ///
    /// # Errors
    /// When the drill itself cannot go on.
    pub(super) async fn play(
        &self,
        stage: &Stage,
        recorder: &Recorder,
        fault: Fault,
    ) -> anyhow::Result<Cell> {
        let fault = strike::scaled(fault, &self.route.timeouts);
        let struck = strike::struck(stage, self.route.candidates(), self.first, fault);
        for _ in 0..DRAWS {
            let (exchange, record) = self.perform(stage, recorder, fault, &struck).await?;
            let asked =
                record.attempts.first().and_then(|attempt| stage.snapshot.fleet.find(&attempt.deployment));
            if asked.is_none_or(|asked| struck.contains(&asked)) {
                return Ok(self.cell(stage, fault, &struck, &exchange, &record));
            }
        }
        anyhow::bail!("the route {} never asked {} first", self.route.name, self.first(stage))
    }

    async fn perform(
        &self,
        stage: &Stage,
        recorder: &Recorder,
        fault: Fault,
        struck: &[DeploymentIndex],
    ) -> anyhow::Result<(Exchange, RequestRecord)> {
        let house = House::open(self, stage, recorder, fault, struck).await?;
        let limit = self.route.timeouts.total + GRACE;
        let target = self.endpoint.target(&self.route.name, self.delivery);
        let content_type = self.endpoint.content_type();
        let asked = Asked { target: &target, content_type, body: self.body.clone() };
        let exchange = client::ask(house.address, asked, limit).await;
        let record = record(recorder, house.since, &exchange, &self.route.name).await?;
        Ok((exchange, record))
    }

    fn cell(
        &self,
        stage: &Stage,
        fault: Fault,
        struck: &[DeploymentIndex],
        exchange: &Exchange,
        record: &RequestRecord,
    ) -> Cell {
        let seen = judge(self.endpoint, self.delivery, exchange);
        let expected = strike::expected(fault, self.endpoint, self.delivery, &self.route, &self.plan, struck);
        let (verdict, reason) = self.verdict(stage, &seen, expected, struck);
        let is_struck =
            |name: &Name| stage.snapshot.fleet.find(name).is_some_and(|index| struck.contains(&index));
        let attempts = record.attempts.iter().map(|attempt| {
            let outcome = attempt.failure.map_or("answered", FailureClass::name);
            format!("{}: {outcome}", attempt.deployment)
        });
        let known = record.cost.amount.filter(|_| record.cost.confidence != CostConfidence::Unknown);
        Cell {
            route: self.route.name.to_string(),
            endpoint: self.endpoint,
            delivery: self.delivery,
            fault,
            struck: self.whom(stage, fault),
            seen,
            deployment: record.deployment.clone(),
            attempts: attempts.collect(),
            milliseconds: u64::try_from(exchange.took.as_millis()).unwrap_or(u64::MAX),
            cost_usd: known.map(|amount| amount.decimal().to_string()),
            cost_confidence: record.cost.confidence.as_str(),
            verdict,
            reason,
            doubtful: record.attempts.iter().any(|attempt| {
                let meant = strike::is_slow(fault) && is_struck(&attempt.deployment);
                match attempt.failure {
                    Some(FailureClass::ConnectTimeout) => true,
                    Some(
                        FailureClass::FirstTokenTimeout | FailureClass::Stall | FailureClass::TotalTimeout,
                    ) => !meant,
                    _ => false,
                }
            }),
        }
    }

    fn verdict(
        &self,
        stage: &Stage,
        seen: &Seen,
        expected: Expected,
        struck: &[DeploymentIndex],
    ) -> (Verdict, Option<String>) {
        let reason = match (seen, expected) {
            (Seen::Answer, _) => return (Verdict::Survived, None),
            (Seen::ErrorStatus { .. } | Seen::ErrorEvent { .. } | Seen::BrokenOff, Expected::Error) => {
                return (Verdict::Visible, None);
            }
            (Seen::Silent { what }, _) => format!("silent truncation: {what}"),
            (Seen::Untyped { what }, _) => what.clone(),
            (Seen::Hang, _) => "the client waited in vain".to_owned(),
            (Seen::BrokenOff, Expected::Answer) => "the sound broke off in the middle".to_owned(),
            (Seen::ErrorStatus { message, .. } | Seen::ErrorEvent { message, .. }, Expected::Answer) => {
                let standing = strike::standing(&self.plan, struck);
                match standing.first() {
                    None => "the fault hits every deployment of the route: nothing is left to fall back to"
                        .to_owned(),
                    Some(index) => {
                        let other = &stage.snapshot.fleet.deployment(*index).id;
                        format!("{other} could have answered: {message}")
                    }
                }
            }
        };
        (Verdict::NotSurvived, Some(reason))
    }

    /// Whom a fault hits, in words.
    fn whom(&self, stage: &Stage, fault: Fault) -> String {
        let provider = stage.provider(self.first);
        match strike::reach(fault) {
            Reach::Provider => provider.to_string(),
            Reach::Account => format!("{provider}'s key"),
            Reach::Model => stage.snapshot.fleet.path(self.first).to_string(),
        }
    }
}

/// A gateway with its providers, for one request.
struct House {
    address: SocketAddr,
    /// Unix milliseconds of its opening.
    since: u64,
    serving: tokio::task::JoinHandle<server::Drained>,
    /// Lives as long as the house.
    _faulty: Simulator,
}

impl House {
    async fn open(
        sheet: &Sheet,
        stage: &Stage,
        recorder: &Recorder,
        fault: Fault,
        struck: &[DeploymentIndex],
    ) -> anyhow::Result<Self> {
        let target = stage.part(sheet.first);
        let secured = fault == Fault::Tls;
        let line = |part: &Part| if secured { Line::Secured } else { part.line };
        let kind = if secured { Tls::Bad } else { tls(line(target)) };
        let faulty = stage.simulator(target, kind).await?;
        if !matches!(fault, Fault::Tls | Fault::Dns) {
            faulty.fail_with(fault);
        }
        let mut dns_overrides = HashMap::new();
        let mut insecure_hosts = Vec::new();
        for index in sheet.route.candidates() {
            let part = stage.part(*index);
            let is_struck = struck.contains(index);
            let address = if is_struck {
                Some(faulty.addr())
            } else {
                stage.healthy(part, line(part)).map(Simulator::addr)
            };
            let reachable = address.filter(|_| !(is_struck && fault == Fault::Dns));
            dns_overrides.insert(part.host.clone(), reachable.into_iter().collect());
            if !(is_struck && secured) {
                insecure_hosts.push(part.host.clone());
            }
        }
        let snapshot = if secured { &stage.secured } else { &stage.snapshot };
        let cleartext = snapshot.upstreams.iter().filter(|upstream| upstream.http2_cleartext);
        let transport = Transport::new(&TransportConfig {
            dns_overrides,
            insecure_hosts,
            roots: Roots::Bundled,
            http2_prior_knowledge: cleartext
                .filter_map(|upstream| Origin::of(upstream.any_uri()?).ok())
                .collect(),
            ..TransportConfig::default()
        })?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis());
        let gateway = Gateway::new(snapshot.clone(), transport, recorder.clone());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen on a free port")?;
        let address = listener.local_addr().context("read the address listened on")?;
        let serving = tokio::spawn(server::run(gateway, listener, std::future::pending()));
        Ok(Self { address, since: u64::try_from(since).unwrap_or(0), serving, _faulty: faulty })
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Finds what the gateway wrote down about the request.
async fn record(
    recorder: &Recorder,
    since: u64,
    exchange: &Exchange,
    route: &Name,
) -> anyhow::Result<RequestRecord> {
    let id = exchange.head.as_ref().and_then(|(_, headers)| {
        headers.get("x-trunkline-request-id")?.to_str().ok()?.parse::<RequestId>().ok()
    });
    let Some(id) = id else {
        // Without a response there is no id, and without an id no telling the records of concurrent cells apart.
        let unanswered = RequestRecord::new(
            RequestId::new(since, 0),
            trunkline_model::dialect::Dialect::OpenAi,
            trunkline_model::dialect::Operation::Chat,
            0,
        );
        return Ok(RequestRecord { route: Some(Arc::clone(route)), ..unanswered });
    };
    for _ in 0..LOOKS {
        let for_search = recorder.clone();
        let page = tokio::task::spawn_blocking(move || {
            for_search.flush();
            for_search.search(&Query { id: Some(id), limit: 1, ..Query::default() })
        })
        .await
        .context("search the record")??;
        if let Some(record) = page.records.into_iter().next() {
            return Ok(record);
        }
        // The last byte reaches the client a moment before the record is written.
        tokio::time::sleep(LOOK).await;
    }
    anyhow::bail!("the gateway wrote no record of the request {id}")
}
