//! Batch APIs whose models have deployments of their own for batches: lines go to those that the configuration names, and only to those.

use crate::batches::{ANN, CHAT, KEYS, begin, call, numbered, over, patient, results};
use crate::support::{Gateway, eventually, simulator};
use http::Method;
use serde_json::{Value, json};
use trunkline_model::money::NanoDollars;
use trunkline_model::record::AttemptKind;
use trunkline_sim::{DialectName, Fault, Rule, Simulator};

fn called(simulator: &Simulator, end: &str) -> usize {
    let all = simulator.requests();
    all.iter().filter(|request| request.method == Method::POST && request.path.ends_with(end)).count()
}

fn configured(simulator: &Simulator, more: &str) -> String {
    format!(
        "{KEYS}providers:\n  az: {{ preset: azure, url: \"{}\", models: [gpt-4.1], served_as: {{ gpt-4.1-mini: small }}, \
         batched_as: {{ gpt-4.1-mini: small-batch }}, {more} }}\n",
        simulator.base_url()
    )
}

async fn check(gateway: &Gateway, id: &str, lines: usize) -> Vec<Value> {
    let done = over(gateway, id).await;
    assert_eq!(done["request_counts"], json!({"total": lines, "completed": lines, "failed": 0}), "{done}");
    results(gateway, &done["output_file_id"]).await.into_values().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_go_to_the_deployments_for_batches() {
    let tokens = simulator(DialectName::Tokens).await;
    let entra = format!(
        "identity: {{ url: \"{}/t/oauth2/v2.0/token\", tenant: t, client_id: c, client_secret: hush-hush }}",
        tokens.base_url()
    );
    for more in ["key: k", "key: k, api_version: 2024-10-21", &entra] {
        let simulator = patient(|_| ()).await;
        let gateway = Gateway::start(&configured(&simulator, more)).await;
        let id = begin(&gateway, &numbered("az/gpt-4.1-mini", 3), "24h").await;
        for line in check(&gateway, &id, 3).await {
            let record = gateway.record(line["response"]["request_id"].as_str().unwrap()).await;
            assert_eq!(record.attempts[0].kind, AttemptKind::Batch);
            // Half of 40 cents and 1.60 dollars a million tokens.
            let nanos = record.usage.input * 200 + record.usage.output * 800;
            assert_eq!(record.cost.amount, Some(NanoDollars(i64::try_from(nanos).unwrap())), "{more}");
        }
        assert_eq!(
            (called(&simulator, "/batches"), called(&simulator, "/chat/completions")),
            (1, 0),
            "{more}"
        );
        let upload = simulator.requests().into_iter().find(|call| call.path.ends_with("/files")).unwrap();
        let upload = String::from_utf8(upload.body.to_vec()).unwrap();
        assert_eq!(upload.matches("\"model\":\"small-batch\"").count(), 3, "{upload}");
        // One without such a deployment, and requests of the moment.
        let id = begin(&gateway, &numbered("az/gpt-4.1", 2), "24h").await;
        check(&gateway, &id, 2).await;
        let live = json!({"model": "az/gpt-4.1-mini", "messages": [{"role": "user", "content": "Hello"}]});
        assert_eq!(call(&gateway, ANN, Method::POST, CHAT, Some(live)).await.status, 200);
        assert_eq!(
            (called(&simulator, "/batches"), called(&simulator, "/chat/completions")),
            (1, 3),
            "{more}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_they_are_taken_there_it_finds_them() {
    let simulator = patient(|script| {
        script.rules.push(Rule::always(Fault::HangBeforeHeaders).for_header("idempotency-key", ""));
    })
    .await;
    let mut gateway = Gateway::start(&configured(&simulator, "key: k, api_version: 2024-10-21")).await;
    let id = begin(&gateway, &numbered("az/gpt-4.1-mini", 4), "24h").await;
    eventually("the submission", async || (called(&simulator, "/batches") == 1).then_some(())).await;
    gateway.signal("KILL");
    gateway.ended().await;
    simulator.heal();
    let gateway = gateway.again().await;
    check(&gateway, &id, 4).await;
    assert_eq!((called(&simulator, "/batches"), called(&simulator, "/chat/completions")), (1, 0));
}
