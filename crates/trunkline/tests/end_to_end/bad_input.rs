//! Bad input: the right status, the client's own error object, nothing sent, nothing crashed, nothing half-recorded.

use crate::support::{Face, Gateway, KEY, model, provider, raw, simulator};
use http_body_util::Full;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trunkline_model::record::Outcome;
use trunkline_sim::{DialectName, Simulator};

const KEYS: &str = "keys:\n  app: { key: sk-test-0123456789abcdef }\n  old: { key: sk-revoked-0123456789abcdef, revoked: true }\n  \
     narrow: { key: sk-narrow-0123456789abcdef, models: [only/gpt-4.1], routes: [other] }\n";

async fn gateway() -> (Simulator, Gateway) {
    let simulator = simulator(DialectName::OpenAi).await;
    let providers = provider("only", DialectName::OpenAi, &simulator.base_url());
    let configuration = format!(
        "{KEYS}server: {{ body_limit: 100kB, client_timeout: 1s }}\nproviders:\n{providers}routes:\n  \
         support: {{ tiers: {{ one: {{ deployments: [only/{}] }} }} }}\n  \
         other: {{ tiers: {{ one: {{ deployments: [only/gpt-4.1] }} }} }}\n",
        model(DialectName::OpenAi)
    );
    let gateway = Gateway::start(&configuration).await;
    (simulator, gateway)
}

/// Bodies that are wrong, each with what is wrong with it.
fn bodies(face: Face) -> Vec<(&'static str, Vec<u8>)> {
    let good = face.value("support", "Hello", false);
    let with = |path: &str, value: serde_json::Value| {
        let mut body = good.clone();
        match body.pointer_mut(path) {
            Some(place) => *place = value,
            None => body[path.trim_start_matches('/')] = value,
        }
        body.to_string().into_bytes()
    };
    let without = |name: &str| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(name);
        body.to_string().into_bytes()
    };
    let deep =
        good.to_string().replacen('{', &format!("{{\"x\":{}{},", "[".repeat(20_000), "]".repeat(20_000)), 1);
    let mut invalid_text = good.to_string().into_bytes();
    let at = invalid_text.windows(5).position(|window| window == b"Hello").unwrap();
    invalid_text[at] = 0xff;
    vec![
        ("no body", Vec::new()),
        ("not JSON", b"model=support".to_vec()),
        ("a comma too many", br#"{"model": "support", "messages": [],, "stream": true}"#.to_vec()),
        ("a field twice", br#"{"model": "support", "messages": [], "mod\u0065l": "other"}"#.to_vec()),
        ("cut off", good.to_string().into_bytes()[..40].to_vec()),
        ("two documents", [good.to_string(), good.to_string()].concat().into_bytes()),
        ("a list", b"[1, 2]".to_vec()),
        ("a model that is a number", with("/model", json!(7))),
        ("an empty model", with("/model", json!(""))),
        ("no model", without("model")),
        ("no messages", without("messages")),
        ("messages that are a text", with("/messages", json!("Hello"))),
        ("a message that is a number", with("/messages/0", json!(1))),
        ("a content that is a number", with("/messages/0/content", json!(5))),
        ("a role nobody has", with("/messages/0/role", json!("oracle"))),
        ("stream that is a text", with("/stream", json!("yes"))),
        ("a limit that is a text", with("/max_tokens", json!("many"))),
        ("a negative limit", with("/max_tokens", json!(-1))),
        ("an unknown model", with("/model", json!("suport"))),
        ("an unknown deployment", with("/model", json!("only/gpt-4.1-mino"))),
        ("an unknown further model", with("/models", json!(["only/gpt-4.1-mini", "only/gpt-4.1-mino"]))),
        ("a route as a further model", with("/models", json!(["support"]))),
        ("invalid UTF-8", invalid_text),
        ("deep nesting", deep.into_bytes()),
        ("too large", with("/messages/0/content", json!("x".repeat(110_000)))),
    ]
}

async fn refusals(face: Face) -> String {
    let (simulator, gateway) = gateway().await;
    let mut shown = String::new();
    for (what, body) in bodies(face) {
        let before = simulator.counters().requests;
        let answer = gateway.post(face.path(), body).await;
        assert!(answer.status >= 400 && answer.whole, "{what}: {answer:?}");
        // What passes through unchanged is judged by the provider where it is not read here.
        let judge = if simulator.counters().requests > before { " (the provider's word)" } else { "" };
        shown.push_str(&format!("## {what}{judge}\n{}\n\n", answer.shown()));
    }
    let sent = simulator.counters().requests;
    let good = face.body("support", "Hello", false);
    let heads: [(&str, &[(&str, &str)]); 8] = [
        ("no key", &[("authorization", "")]),
        ("an unknown key", &[("authorization", "Bearer sk-unknown")]),
        ("a revoked key", &[("authorization", "Bearer sk-revoked-0123456789abcdef")]),
        ("a key that may not use this route", &[("authorization", "Bearer sk-narrow-0123456789abcdef")]),
        ("a wrong content type", &[("content-type", "text/plain")]),
        ("a compressed body", &[("content-encoding", "gzip")]),
        ("a wrong option", &[("x-trunkline-timeout-ms", "soon")]),
        ("an unknown option", &[("x-trunkline-rout", "support")]),
    ];
    for (what, headers) in heads {
        let mut request = gateway.builder(face.path()).body(Full::new(good.clone().into())).unwrap();
        for (name, value) in headers {
            request
                .headers_mut()
                .insert(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let answer = gateway.send(request).await;
        shown.push_str(&format!("## {what}\n{}\n\n", answer.shown()));
    }
    assert_eq!(simulator.counters().requests, sent, "nothing of these may reach a provider");
    let answer = gateway.post(face.path(), good).await;
    assert_eq!(answer.status, 200, "it still serves: {}", answer.text());
    shown
}

#[tokio::test(flavor = "multi_thread")]
async fn openai_clients_are_told_what_is_wrong_in_their_own_form() {
    insta::assert_snapshot!(refusals(Face::OpenAi).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn anthropic_clients_are_told_what_is_wrong_in_their_own_form() {
    insta::assert_snapshot!(refusals(Face::Anthropic).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_methods_and_paths_are_told_in_the_caller_s_form() {
    let (_simulator, gateway) = gateway().await;
    let mut shown = String::new();
    for (method, path) in [
        ("GET", "/v1/chat/completions"),
        ("PUT", "/v1/messages"),
        ("POST", "/v1/models"),
        ("DELETE", "/metrics"),
        ("POST", "/v1/chat/completion"),
        ("GET", "/v2"),
        ("POST", "/v1/vector_stores"),
        ("POST", "/v1/responses/compact"),
    ] {
        let mut request = gateway.builder(path).body(Full::default()).unwrap();
        *request.method_mut() = method.parse().unwrap();
        let answer = gateway.send(request).await;
        let allowed = answer
            .headers
            .get("allow")
            .map_or(String::new(), |value| format!("allow: {}\n", value.to_str().unwrap()));
        shown.push_str(&format!("## {method} {path}\n{allowed}{}\n\n", answer.shown()));
    }
    insta::assert_snapshot!(shown);
}

fn head(headers: &str, length: usize) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {KEY}\r\n\
         content-type: application/json\r\n{headers}content-length: {length}\r\n\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_headers_is_refused_and_the_connection_closed() {
    let (simulator, gateway) = gateway().await;
    let many: String = (0..2000).map(|number| format!("x-flood-{number}: 1\r\n")).collect();
    let large = format!("x-flood: {}\r\n", "x".repeat(2 << 20));
    for flood in [many, large] {
        let answer = raw(gateway.address(), head(&flood, 2).as_bytes(), false).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    assert_eq!(simulator.counters().requests, 0);
    assert_eq!(gateway.get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_http_is_refused() {
    let (_simulator, gateway) = gateway().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS\r\n\r\n"[..],
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ] {
        let answer = raw(gateway.address(), bytes, true).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(gateway.get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_cut_half_way_sends_nothing_and_is_recorded_once() {
    let (simulator, gateway) = gateway().await;
    let body = Face::OpenAi.body("support", "Hello", false);
    let mut bytes = head("", body.len()).into_bytes();
    bytes.extend_from_slice(&body.as_bytes()[..body.len() / 2]);
    let answer = raw(gateway.address(), &bytes, true).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(simulator.counters().requests, 0);
    let records = gateway.records(1).await;
    assert_eq!(records.len(), 1);
    assert!(matches!(records[0].outcome, Outcome::Refused | Outcome::ClientGone), "{:?}", records[0]);
    assert!(records[0].attempts.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_too_slow_with_its_body_is_told_so() {
    let (simulator, gateway) = gateway().await;
    let answer = raw(gateway.address(), (head("", 500) + "{\"model\":").as_bytes(), false).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("the request body stopped for more than 1 s before it was complete"), "{answer}");
    assert_eq!(simulator.counters().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_too_slow_with_its_head_is_cut_off() {
    let (_simulator, gateway) = gateway().await;
    let answer = raw(gateway.address(), b"POST /v1/chat/completions HTTP/1.1\r\nhost: gate", false).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_a_length_is_bounded_too() {
    let (simulator, gateway) = gateway().await;
    let mut stream = tokio::net::TcpStream::connect(gateway.address()).await.unwrap();
    let chunked = head("transfer-encoding: chunked\r\n", 0).replace("content-length: 0\r\n", "");
    stream.write_all(chunked.as_bytes()).await.unwrap();
    let piece = format!("2000\r\n{}\r\n", "x".repeat(0x2000));
    // More than the limit; where the gateway stops reading is its own business.
    for _ in 0..20 {
        if stream.write_all(piece.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    assert_eq!(simulator.counters().requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_too_much_gets_its_answer_and_not_a_reset() {
    let (_simulator, gateway) = gateway().await;
    let body = Face::OpenAi.body("support", &"x".repeat(4 << 20), false);
    for _ in 0..10 {
        assert_eq!(gateway.post(Face::OpenAi.path(), body.clone()).await.status, 413);
        let request = gateway.builder(Face::OpenAi.path()).body(Full::new(body.clone().into())).unwrap();
        let (mut head, body) = request.into_parts();
        head.headers.insert("authorization", "Bearer sk-unknown".parse().unwrap());
        assert_eq!(gateway.send(http::Request::from_parts(head, body)).await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_in_errors_or_logs() {
    let simulator = simulator(DialectName::OpenAi).await;
    let providers = provider("only", DialectName::OpenAi, &simulator.base_url());
    let gateway = Gateway::start(&format!("providers:\n{providers}")).await;
    simulator.fail_with(trunkline_sim::Fault::Unauthorized);
    let answer =
        gateway.post(Face::OpenAi.path(), Face::OpenAi.body("only/gpt-4.1-mini", "Hello", false)).await;
    assert_eq!((answer.status, answer.error_code()), (502, "upstream_credentials_rejected"));
    let record = serde_json::to_string(&gateway.record(answer.id()).await).unwrap();
    for secret in ["sim-key-only", KEY, &simulator.base_url()] {
        for place in [answer.text(), &record, &gateway.log()] {
            assert!(!place.contains(secret), "{secret} in {place}");
        }
    }
}

/// A combination that the provider would refuse is explained before it is sent, whoever asks in whatever protocol.
#[tokio::test(flavor = "multi_thread")]
async fn combinations_that_cannot_be_are_explained_before_they_are_sent() {
    let mut shown = String::new();
    for dialect in [DialectName::Anthropic, DialectName::Converse] {
        let simulator = simulator(dialect).await;
        let providers = provider("only", dialect, &simulator.base_url());
        let gateway = Gateway::start(&format!("providers:\n{providers}")).await;
        let named = format!("only/{}", model(dialect));
        for face in Face::BOTH {
            let mut body = face.value(&named, "Hello", false);
            body["max_tokens"] = json!(4000);
            match face {
                Face::OpenAi => {
                    body["reasoning_effort"] = json!("high");
                    body["tools"] = json!([{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]);
                    body["tool_choice"] = json!("required");
                }
                Face::Anthropic => {
                    body["thinking"] = json!({"type": "enabled", "budget_tokens": 2000});
                    body["tools"] = json!([{"name": "look", "input_schema": {"type": "object"}}]);
                    body["tool_choice"] = json!({"type": "any"});
                }
            }
            let answer = gateway.post(face.path(), body.to_string()).await;
            shown.push_str(&format!("## {dialect:?}, {}\n{}\n\n", face.name(), answer.shown()));
        }
        assert_eq!(simulator.requests().len(), 0);
    }
    insta::assert_snapshot!(shown);
}
