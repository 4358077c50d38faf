//! Same dialect: bytes go through, apart from what must be edited.

use crate::support::{Face, Gateway, KEY, exchange, model, provider, simulator};
use http::Request;
use http_body_util::Full;
use trunkline_sim::{DialectName, Simulator};

/// A body as no serializer would write it: spaces, escapes, members nobody knows, numbers that a float would change.
fn odd_body(dialect: DialectName, model: &str) -> String {
    let limit = if dialect == DialectName::Anthropic { " \"max_tokens\" :100 ,\n" } else { "" };
    format!(
        "\n {{ \"messages\" : [ {{\"role\":\"user\" ,\t\"content\":\"Gr\\u00fc\\u00dfe \\ud83d\\ude00 \\/ 日本\"}} ],{limit}\
         \"temperature\":0.70,\"model\":\"{model}\" , \"metadata\": {{\"user_id\":\"u-1\"}}\n}}\n "
    )
}

fn face(dialect: DialectName) -> Face {
    if dialect == DialectName::Anthropic { Face::Anthropic } else { Face::OpenAi }
}

async fn straight(simulator: &Simulator, dialect: DialectName, body: String) -> Vec<u8> {
    let request = Request::post(face(dialect).path())
        .header("host", simulator.addr().to_string())
        .header("authorization", "Bearer sim-key-only")
        .header("x-api-key", "sim-key-only")
        .header("anthropic-version", "2023-06-01")
        .header("content-type", "application/json");
    let request =
        if dialect == DialectName::OpenAi { without(request, "anthropic-version") } else { request };
    let response = exchange(simulator.addr(), request.body(Full::new(body.into())).unwrap()).await.unwrap();
    crate::support::Answer::read(response).await.body.to_vec()
}

fn without(mut request: http::request::Builder, name: &str) -> http::request::Builder {
    request.headers_mut().unwrap().remove(name);
    request
}

async fn gateway_to(dialect: DialectName) -> (Simulator, Gateway) {
    let simulator = simulator(dialect).await;
    let gateway =
        Gateway::start(&format!("providers:\n{}", provider("only", dialect, &simulator.base_url()))).await;
    (simulator, gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_reaches_its_provider_unchanged_but_for_the_model() {
    for dialect in [DialectName::OpenAi, DialectName::Anthropic] {
        let (simulator, gateway) = gateway_to(dialect).await;
        let named = format!("only/{}", model(dialect));
        let answer = gateway.post(face(dialect).path(), odd_body(dialect, &named)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let received = simulator.last_request().unwrap();
        let received = String::from_utf8(received.body.to_vec()).unwrap();
        assert_eq!(received, odd_body(dialect, model(dialect)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_reaches_its_client_unchanged() {
    for dialect in [DialectName::OpenAi, DialectName::Anthropic] {
        let (simulator, gateway) = gateway_to(dialect).await;
        for streamed in [false, true] {
            let body = |model: &str| face(dialect).body(model, "[[sim: unicode]]", streamed);
            let through = gateway.post(face(dialect).path(), body(&format!("only/{}", model(dialect)))).await;
            assert_eq!(through.status, 200, "{}", through.text());
            // The simulator answers the same bytes with the same bytes; streams ask for usage, which is not the client's.
            let sent = simulator.last_request().unwrap().body;
            let direct = straight(&simulator, dialect, String::from_utf8(sent.to_vec()).unwrap()).await;
            let direct = String::from_utf8(direct).unwrap();
            if streamed && dialect == DialectName::OpenAi {
                let asked: serde_json::Value = serde_json::from_slice(&sent).unwrap();
                assert_eq!(asked["stream_options"]["include_usage"], true, "usage is always metered");
                let kept: Vec<&str> = direct
                    .split_inclusive("\n\n")
                    .filter(|event| !event.contains("\"choices\":[]"))
                    .collect();
                let kept = kept.concat().replace(",\"usage\":null", "");
                assert_eq!(through.text().replace(",\"usage\":null", ""), kept);
            } else if streamed {
                // The event with the usage says what it cost, and is otherwise the provider's.
                let start = through.text().find(",\"trunkline\":{").unwrap();
                let length = through.text()[start..].find('}').unwrap() + 1;
                let mut kept = through.text().to_owned();
                kept.replace_range(start..start + length, "");
                assert_eq!(kept, direct);
            } else {
                assert_eq!(through.text(), direct);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_s_key_stays_here_and_the_provider_s_goes_out() {
    for dialect in [DialectName::OpenAi, DialectName::Anthropic, DialectName::Gemini] {
        let (simulator, gateway) = gateway_to(dialect).await;
        let body = Face::OpenAi.body(&format!("only/{}", model(dialect)), "Hello", false);
        let request = gateway
            .builder(Face::OpenAi.path())
            .header("cookie", "session=mine")
            .header("x-trunkline-user", "ann");
        let answer = gateway.send(request.body(Full::new(body.into())).unwrap()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let received = simulator.last_request().unwrap();
        let shown: Vec<String> = received
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
            .collect();
        let shown = shown.join("\n");
        assert!(shown.contains("sim-key-only"), "{shown}");
        for ours in [KEY, "session=mine", "x-trunkline"] {
            assert!(!shown.contains(ours), "{ours} went out:\n{shown}");
        }
        assert!(!gateway.log().contains("sim-key-only") && !gateway.log().contains(KEY), "{}", gateway.log());
    }
}
