//! Decisions: the same whether asked beforehand, on the command line or afterwards; and how requests are spread.

use crate::support::{Answer, Face, Gateway, KEY, provider, simulator};
use http_body_util::Full;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;
use trunkline_sim::{DialectName, Fault, Simulator};

struct Fleet {
    simulators: Vec<Simulator>,
    gateway: Gateway,
}

const ROUTES: &str = "routes:
  ruled:
    require: [zdr]
    tiers:
      cheap: { deployments: [p0/gpt-4.1-mini, p1/gpt-4.1-mini] }
      strong: { deployments: [p0/gpt-4.1, p2/gpt-4.1] }
    decide:
      - { when: \"request.tools > 0\", use: strong }
      - { use: cheap }
    fallback: { error: [strong] }
  spread:
    tiers: { all: { deployments: [p0/gpt-4.1, p1/gpt-4.1, p2/gpt-4.1, p3/gpt-4.1], balance: round-robin } }
  held:
    sticky: session
    tiers: { all: { deployments: [p0/gpt-4.1, p1/gpt-4.1, p2/gpt-4.1, p3/gpt-4.1] } }
";

async fn fleet(routes: &str) -> Fleet {
    let mut simulators = Vec::new();
    let mut providers = String::new();
    for number in 0..4 {
        let simulator = simulator(DialectName::OpenAi).await;
        let line = provider(&format!("p{number}"), DialectName::OpenAi, &simulator.base_url());
        // One account keeps what it is sent.
        let zdr = number != 1;
        providers.push_str(&line.replace(" }\n", &format!(", data: {{ zdr: {zdr} }} }}\n")));
        simulators.push(simulator);
    }
    let gateway = Gateway::start(&format!("providers:\n{providers}{routes}")).await;
    Fleet { simulators, gateway }
}

impl Fleet {
    async fn ask(&self, body: String, headers: &[(&'static str, &str)]) -> Answer {
        let mut request = self.gateway.builder(Face::OpenAi.path());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.gateway.send(request.body(Full::new(body.into())).unwrap()).await
    }

    fn sent(&self) -> u64 {
        self.simulators.iter().map(|simulator| simulator.counters().requests).sum()
    }

    /// A decision by the command line.
    fn explained(&self, body: &str, seed: &Value) -> Value {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("request.json");
        std::fs::write(&path, body).unwrap();
        let seed = u64::from_str_radix(seed.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
        command.args(["explain", "--json", "--key", "app", "--seed", &seed.to_string()]);
        let output = command.arg("--config").arg(self.gateway.configuration()).arg(&path).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }
}

/// A decision without what is different each time it is made.
fn essence(decision: &Value) -> Value {
    let mut decision = decision.clone();
    let members = decision.as_object_mut().unwrap();
    for name in ["id", "seed", "turn", "expected", "runner_up"] {
        members.remove(name);
    }
    decision
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_an_explanation_and_the_log_tell_the_same_decision() {
    let fleet = fleet(ROUTES).await;
    let tools = serde_json::json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    for tools in [None, Some(tools)] {
        let mut body = Face::OpenAi.value("ruled", "Hello", false);
        if let Some(tools) = &tools {
            body["tools"] = tools.clone();
        }
        let body = body.to_string();
        let served = fleet.ask(body.clone(), &[]).await;
        assert_eq!(served.status, 200, "{}", served.text());
        let record = fleet.gateway.record(served.id()).await;
        let logged: Value = serde_json::from_str(record.decision.as_deref().unwrap()).unwrap();
        let past = fleet
            .gateway
            .get(&format!("/v1/decisions/{}", served.header("x-trunkline-decision")))
            .await
            .json();
        assert_eq!(past["decision"], logged);
        let sent = fleet.sent();
        // The plan is ordered by lot among equals, so the one with the logged seed is what must be the same.
        let explained = fleet.explained(&body, &logged["seed"]);
        assert_eq!(explained["seed"], logged["seed"]);
        assert_eq!(explained["plan"], logged["plan"]);
        assert_eq!(explained["rejected"], logged["rejected"]);
        assert_eq!(explained["steps"], logged["steps"]);
        let dry = fleet.ask(body.clone(), &[("x-trunkline-dry-run", "true")]).await;
        assert_eq!(dry.status, 200, "{}", dry.text());
        let asked = fleet.gateway.post("/v1/explain", body.clone()).await;
        for other in [dry.json(), asked.json()] {
            let offline = fleet.explained(&body, &other["seed"]);
            assert_eq!(essence(&offline)["plan"], essence(&other)["plan"]);
            assert_eq!(essence(&other)["tier"], essence(&logged)["tier"]);
            assert_eq!(essence(&other)["rejected"], essence(&logged)["rejected"]);
            assert_eq!(essence(&other)["steps"], essence(&logged)["steps"]);
            assert_eq!(essence(&other)["config_version"], essence(&logged)["config_version"]);
        }
        assert_eq!(fleet.sent(), sent, "asking sends nothing");
        let tier = if tools.is_some() { "strong" } else { "cheap" };
        assert_eq!((logged["tier"].as_str(), served.header("x-trunkline-tier")), (Some(tier), tier));
        assert!(
            logged["rejected"].to_string().contains("p1/gpt-4.1-mini"),
            "it keeps what it is sent: {logged}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_past_decision_is_shown_to_its_own_key_only() {
    let keys = format!("keys: {{ app: {{ key: {KEY} }}, other: {{ key: sk-other-0123456789abcdef }} }}\n");
    let fleet = fleet(&format!("{ROUTES}{keys}")).await;
    let served = fleet.ask(Face::OpenAi.body("ruled", "Hello", false), &[]).await;
    let path = format!("/v1/decisions/{}", served.id());
    assert_eq!(fleet.gateway.get(&path).await.status, 200);
    let mut request = fleet.gateway.builder(&path).body(Full::default()).unwrap();
    *request.method_mut() = http::Method::GET;
    request.headers_mut().insert("authorization", "Bearer sk-other-0123456789abcdef".parse().unwrap());
    assert_eq!(fleet.gateway.send(request).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_stays_with_its_deployment() {
    let fleet = fleet(ROUTES).await;
    let mut used = BTreeSet::new();
    for session in 0..12 {
        let session = format!("session-{session}");
        let mut own = BTreeSet::new();
        for streamed in [false, true, false] {
            let answer = fleet
                .ask(Face::OpenAi.body("held", "Hello", streamed), &[("x-trunkline-session", &session)])
                .await;
            own.insert(answer.header("x-trunkline-provider").to_owned());
        }
        assert_eq!(own.len(), 1, "{session} was served by {own:?}");
        used.extend(own);
    }
    assert!(used.len() > 1, "all sessions went to {used:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn round_robin_takes_turns() {
    let fleet = fleet(ROUTES).await;
    for _ in 0..8 {
        let answer = fleet.ask(Face::OpenAi.body("spread", "Hello", false), &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let each: Vec<u64> = fleet.simulators.iter().map(|simulator| simulator.counters().requests).collect();
    assert_eq!(each, [2, 2, 2, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demand_in_a_header_is_as_hard_as_one_in_the_route() {
    let fleet = fleet(ROUTES).await;
    for _ in 0..8 {
        let answer =
            fleet.ask(Face::OpenAi.body("spread", "Hello", false), &[("x-trunkline-require", "zdr")]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(fleet.simulators[1].counters().requests, 0);
    let answer =
        fleet.ask(Face::OpenAi.body("p1/gpt-4.1", "Hello", false), &[("x-trunkline-require", "zdr")]).await;
    assert_eq!((answer.status, answer.error_code()), (503, "no_eligible_deployment"));
    assert!(answer.text().contains("p1/gpt-4.1: "), "the reasons are told: {}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn strict_mode_refuses_what_is_otherwise_dropped_with_a_warning() {
    let anthropic = simulator(DialectName::Anthropic).await;
    let providers = provider("an", DialectName::Anthropic, &anthropic.base_url());
    let gateway = Gateway::start(&format!("providers:\n{providers}")).await;
    let mut body = Face::OpenAi.value("an/claude-sonnet-4-5", "Hello", false);
    body["logit_bias"] = serde_json::json!({"50256": -100});
    let lenient = gateway.post(Face::OpenAi.path(), body.to_string()).await;
    assert_eq!(lenient.status, 200, "{}", lenient.text());
    assert!(lenient.header("x-trunkline-warnings").contains("logit_bias"), "{lenient:?}");
    let record = gateway.record(lenient.id()).await;
    assert!(record.warnings.iter().any(|warning| warning.feature == "logit_bias"), "{record:?}");
    let request = gateway.builder(Face::OpenAi.path()).header("x-trunkline-strict", "true");
    let strict = gateway.send(request.body(Full::new(body.to_string().into())).unwrap()).await;
    assert_eq!((strict.status, strict.error_code()), (400, "unsupported_parameter"), "{}", strict.text());
    assert!(strict.json()["error"]["message"].as_str().unwrap().contains("logit_bias"), "{}", strict.text());
    assert_eq!(anthropic.counters().requests, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_that_names_nothing_is_the_client_s_mistake() {
    let fleet = fleet(ROUTES).await;
    let told = async |pin: &str| {
        let answer = fleet.ask(Face::OpenAi.body("held", "Hello", false), &[("x-trunkline-pin", pin)]).await;
        assert_eq!((answer.status, answer.error_code()), (404, "model_not_found"), "{}", answer.text());
        let error = answer.json()["error"].clone();
        assert_eq!(error["param"], "x-trunkline-pin", "{error}");
        error["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        told("p1/gpt-4.l").await,
        "there is no deployment or model `p1/gpt-4.l` to pin to; did you mean `p1/gpt-4.1`?"
    );
    assert_eq!(
        told("spread").await,
        "`spread` is a route, and a pin names a deployment or model; ask for the route in `model`"
    );
    assert_eq!(fleet.sent(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_names_its_decision_and_what_was_tried() {
    let fleet = fleet(ROUTES).await;
    fleet.simulators.iter().for_each(|simulator| simulator.fail_with(Fault::ServerError));
    for streamed in [false, true] {
        let failed = fleet.ask(Face::OpenAi.body("spread", "Hello", streamed), &[]).await;
        assert_eq!((failed.status, failed.error_code()), (502, "upstream_failed"), "{}", failed.shown());
        let names = ["route", "tier", "attempts", "cost-usd", "cost-confidence"];
        let told = names.map(|name| failed.header(&format!("x-trunkline-{name}")).to_owned());
        assert_eq!(told, ["spread", "all", "4", "0", "exact"]);
        let id = failed.header("x-trunkline-decision").to_owned();
        // Decisions are there once they are written.
        fleet.gateway.record(failed.id()).await;
        let past = fleet.gateway.get(&format!("/v1/decisions/{id}")).await;
        assert_eq!((past.status, &past.json()["decision"]["route"]), (200, &Value::from("spread")));
    }
    // Before there is a decision there is nothing to tell.
    let unknown = fleet.ask(Face::OpenAi.body("nowhere", "Hello", false), &[]).await;
    assert!(!unknown.headers.contains_key("x-trunkline-decision"), "{}", unknown.shown());
}
