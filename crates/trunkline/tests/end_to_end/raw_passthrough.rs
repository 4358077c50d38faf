//! `/passthrough/PROVIDER/...`: any method and path, the gateway's credential, the client's bytes.

use crate::support::{Gateway, KEY, PATIENCE, provider, raw, simulator};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use trunkline_model::money::CostConfidence;
use trunkline_sim::{DialectName, Fault, Headroom, SimConfig, Simulator};

fn request(gateway: &Gateway, method: Method, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut request = gateway.builder(path).body(Full::new(body.into())).unwrap();
    *request.method_mut() = method;
    request
}

/// A gateway whose key may pass requests everywhere.
async fn passing(providers: &str) -> Gateway {
    let keys = format!("keys: {{ app: {{ key: {KEY}, passthrough: [\"*\"], tags: {{ team: web }} }} }}\n");
    Gateway::start(&format!("{keys}providers:\n{providers}")).await
}

fn chat() -> String {
    // Written as no encoder of ours would.
    r#"{ "messages":[{"content" : "Hello","role":"user"}] ,"model" : "gpt-4.1-mini"}"#.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_method_and_path_passes_with_the_gateway_s_credential() {
    let sim = simulator(DialectName::OpenAi).await;
    let gateway = passing(&provider("oa", DialectName::OpenAi, &sim.base_url())).await;
    // With and without the part of the path that is the base's own.
    for path in ["/passthrough/oa/models?limit=2&a=%20b", "/passthrough/oa/v1/models?limit=2&a=%20b"] {
        let mut listed = request(&gateway, Method::GET, path, "");
        listed.headers_mut().insert("x-api-key", KEY.parse().unwrap());
        listed.headers_mut().insert("x-trunkline-tags", "team=other,job=a".parse().unwrap());
        listed.headers_mut().insert("openai-beta", "assistants=v2".parse().unwrap());
        let listed = gateway.send(listed).await;
        assert_eq!((listed.status, &listed.json()["object"]), (200, &json!("list")), "{}", listed.text());
        let received = sim.last_request().unwrap();
        assert_eq!(
            (received.path.as_str(), received.query.as_deref()),
            ("/v1/models", Some("limit=2&a=%20b"))
        );
        assert_eq!(received.headers["authorization"], "Bearer sim-key-oa");
        assert_eq!(received.headers["openai-beta"], "assistants=v2");
        let foreign = |name: &str| name == "x-api-key" || name.starts_with("x-trunkline-");
        assert!(!received.headers.keys().any(|name| foreign(name.as_str())), "{:?}", received.headers);
        let tags = gateway.record(listed.id()).await.tags;
        assert_eq!(tags, [("job".into(), "a".into()), ("team".into(), "web".into())]);
    }
    let answer =
        gateway.send(request(&gateway, Method::POST, "/passthrough/oa/chat/completions", chat())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(std::str::from_utf8(&sim.last_request().unwrap().body).unwrap(), chat(), "not a byte changes");
    assert_eq!(answer.header("x-trunkline-provider"), "oa");
    let record = gateway.record(answer.id()).await;
    assert_eq!(
        (record.operation.name(), record.status, record.usage.input),
        ("passthrough", 200, answer.json()["usage"]["prompt_tokens"].as_u64().unwrap())
    );
    assert_eq!(record.cost.confidence, CostConfidence::Estimated, "it names a model of the catalogue");
    assert!(record.cost.amount.is_some());
    assert_eq!(
        (record.request_bytes, record.response_bytes),
        (chat().len() as u64, answer.body.len() as u64)
    );
    let listed = gateway.get("/passthrough/oa/models").await;
    let record = gateway.record(listed.id()).await;
    assert_eq!(record.cost.confidence, CostConfidence::Unknown, "nobody says what it costs");
    let deleted =
        gateway.send(request(&gateway, Method::DELETE, "/passthrough/oa/responses/resp_1", "")).await;
    assert_eq!(deleted.status, 404, "{}", deleted.text());
    assert_eq!(sim.last_request().unwrap().method, Method::DELETE);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_stream_and_a_cut_one_is_not_whole() {
    let sim = simulator(DialectName::OpenAi).await;
    let gateway = passing(&provider("oa", DialectName::OpenAi, &sim.base_url())).await;
    let body =
        chat().replace("\"model\"", "\"stream\":true,\"stream_options\":{\"include_usage\":true},\"model\"");
    let path = "/passthrough/oa/chat/completions";
    let streamed = gateway.send(request(&gateway, Method::POST, path, body.clone())).await;
    assert_eq!(
        (streamed.whole, streamed.events().last().unwrap().1),
        (true, "[DONE]"),
        "{}",
        streamed.text()
    );
    assert!(gateway.record(streamed.id()).await.usage.output > 0);
    let before = sim.requests().len();
    sim.fail_with(Fault::CutAfterFirstToken);
    let cut = gateway.send(request(&gateway, Method::POST, path, body.clone())).await;
    assert!(!cut.whole && !cut.body.is_empty());
    let record = gateway.record(cut.id()).await;
    assert_eq!(record.outcome.name(), "broken_off");
    sim.fail_with(Fault::ServerError);
    let failed = gateway.send(request(&gateway, Method::POST, path, body)).await;
    assert_eq!(failed.status, 500, "{}", failed.text());
    assert_eq!(sim.requests().len(), before + 2, "nothing is sent twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_passes_only_where_it_may_and_within_its_limits() {
    let (openai, anthropic) = (simulator(DialectName::OpenAi).await, simulator(DialectName::Anthropic).await);
    let gateway = Gateway::start(&format!(
        "providers:\n{}{}keys:\n  none: {{ key: sk-none-0123456789abcdef }}\n  one: {{ key: \"{KEY}\", passthrough: [oa], requests_per_minute: 3 }}\n  \
         strict: {{ key: sk-strict-0123456789abcdef, passthrough: [\"*\"], require: [zdr] }}\n",
        provider("oa", DialectName::OpenAi, &openai.base_url()),
        provider("an", DialectName::Anthropic, &anthropic.base_url())
    ))
    .await;
    let mut told = Vec::new();
    for (key, path) in [
        ("sk-none-0123456789abcdef", "/passthrough/oa/models"),
        ("sk-wrong-0123456789abcdef", "/passthrough/oa/models"),
        ("sk-strict-0123456789abcdef", "/passthrough/oa/models"),
        (KEY, "/passthrough/an/v1/models"),
        (KEY, "/passthrough/nobody/models"),
        (KEY, "/passthrough/"),
        (KEY, "/passthrough/oa/../../admin"),
        (KEY, "/passthrough/oa/%2e%2e/admin"),
        (KEY, "/passthrough/oa/models"),
        (KEY, "/passthrough/oa/models"),
        (KEY, "/passthrough/oa/models"),
        (KEY, "/passthrough/oa/models"),
    ] {
        let mut request = request(&gateway, Method::GET, path, "");
        let value = if path.contains("/an/") { key.to_owned() } else { format!("Bearer {key}") };
        let name = if path.contains("/an/") { "x-api-key" } else { "authorization" };
        request.headers_mut().insert(name, value.parse().unwrap());
        let answer = gateway.send(request).await;
        let message =
            if answer.status == 200 { json!("-") } else { answer.json()["error"]["message"].clone() };
        // How long it takes is not the same each time.
        let message = message.as_str().unwrap().split("; retry in").next().unwrap();
        told.push(format!("{path} {}: {message}", answer.status));
    }
    insta::assert_snapshot!(told.join("\n"));
    assert_eq!((openai.requests().len(), anthropic.requests().len()), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_providers_work() {
    let sim = simulator(DialectName::Converse).await;
    let gateway = passing(&format!(
        "  be: {{ preset: bedrock, url: \"{}\", region: us-east-1, access_key: AKIDSIM, secret_key: simulated-secret-key }}\n",
        sim.base_url()
    ))
    .await;
    let body = json!({"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}).to_string();
    let path = "/passthrough/be/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse";
    let answer = gateway.send(request(&gateway, Method::POST, path, body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let received = sim.last_request().unwrap();
    assert!(received.headers["authorization"].to_str().unwrap().starts_with("AWS4-HMAC-SHA256"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_is_what_is_sent() {
    let config = SimConfig::new(DialectName::Converse).with_keys(&["AKIDSIM:the-secret"]);
    let sim = Simulator::start(config).await.unwrap();
    let gateway = passing(&format!(
        "  be: {{ preset: bedrock, url: \"{url}\", region: us-east-1, access_key: AKIDSIM, secret_key: the-secret }}\n  \
         wrong: {{ preset: bedrock, url: \"{url}\", region: us-east-1, access_key: AKIDSIM, secret_key: not-the-secret }}\n",
        url = sim.base_url()
    ))
    .await;
    let model = "anthropic.claude-sonnet-4-5-20250929-v1%3A0";
    let body = r#"{ "messages":[{"role":"user","content":[ {"text":"gr\u00fc\u00dfe"}]}]}"#;
    for (path, body) in [
        (format!("model/{model}/converse?b=2&a=1%20x"), body.to_owned()),
        (format!("model/{model}/converse-stream"), body.to_owned()),
        (format!("model/{model}/count-tokens"), format!("{{\"input\":{{\"converse\":{body}}}}}")),
    ] {
        let target = format!("/passthrough/be/{path}");
        let answer = gateway.send(request(&gateway, Method::POST, &target, body.clone())).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let received = sim.last_request().unwrap();
        assert_eq!(received.body, body, "{path}");
        assert_eq!(received.headers.get_all("authorization").iter().count(), 1);
        let query = path.split_once('?').map(|(_, query)| query);
        assert_eq!(received.query.as_deref(), query, "{path}");
    }
    // The path names the model, so the record does too.
    let target = format!("/passthrough/be/model/{model}/converse");
    let answer = gateway.send(request(&gateway, Method::POST, &target, body)).await;
    let record = gateway.record(answer.id()).await;
    assert_eq!(record.model.as_deref(), Some("anthropic.claude-sonnet-4-5-20250929-v1:0"), "{record:?}");
    let target = format!("/passthrough/wrong/model/{model}/converse");
    let refused = gateway.send(request(&gateway, Method::POST, &target, body)).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(!gateway.log().contains("not-the-secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn access_tokens_are_put_on_and_shown_to_nobody() {
    let tokens = Simulator::start(SimConfig::new(DialectName::Tokens)).await.unwrap();
    let config = SimConfig::new(DialectName::Gemini).with_keys(&["sim-access-token"]);
    let sim = Simulator::start(config).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("account.json");
    let account = json!({"type": "service_account", "client_email": "robot@p.example", "private_key_id": "k",
        "private_key": include_str!("../../../providers/src/signing/token/test_key.pem"),
        "token_uri": format!("{}/token", tokens.base_url())});
    std::fs::write(&file, account.to_string()).unwrap();
    let gateway = passing(&format!(
        "  cloud: {{ preset: vertex, url: \"{}/v1/projects/p/locations/global\", identity: {{ file: \"{}\" }}, models: [gemini-3.5-flash] }}\n",
        sim.base_url(),
        file.display(),
    ))
    .await;
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}).to_string();
    let model = "publishers/google/models/gemini-3.5-flash";
    for (method, status) in [("generateContent", 200), ("streamGenerateContent?alt=sse", 200), ("fly", 404)] {
        let target = format!("/passthrough/cloud/{model}:{method}");
        let mut passed = request(&gateway, Method::POST, &target, body.clone());
        passed.headers_mut().insert("x-goog-api-key", KEY.parse().unwrap());
        let answer = gateway.send(passed).await;
        assert_eq!(answer.status, status, "{method}: {}", answer.text());
        let received = sim.last_request().unwrap();
        assert_eq!(received.headers["authorization"], "Bearer sim-access-token");
        assert!(!received.headers.contains_key("x-goog-api-key"));
        assert!(
            received.path.starts_with("/v1/projects/p/locations/global/publishers/"),
            "{}",
            received.path
        );
        assert!(!answer.text().contains("sim-access-token"));
        let record = gateway.record(answer.id()).await;
        if status == 200 {
            assert_eq!(record.model.as_deref(), Some("gemini-3.5-flash"), "{record:?}");
            assert!(record.usage.input > 0 && record.cost.amount.is_some(), "{record:?}");
        }
    }
    assert_eq!(tokens.requests().len(), 1, "one token serves them all");
    assert!(!gateway.log().contains("sim-access-token"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_wants_rest_is_left_alone_by_routes_too() {
    let (first, second) = (simulator(DialectName::OpenAi).await, simulator(DialectName::OpenAi).await);
    let gateway = Gateway::start(&format!(
        "keys: {{ app: {{ key: {KEY}, passthrough: [\"*\"] }} }}\nproviders:\n{}{}routes:\n  \
         both: {{ tiers: {{ one: {{ deployments: [oa/gpt-4.1-mini] }}, two: {{ deployments: [ob/gpt-4.1-mini] }} }} }}\n",
        provider("oa", DialectName::OpenAi, &first.base_url()),
        provider("ob", DialectName::OpenAi, &second.base_url())
    ))
    .await;
    let ask = || async {
        let body = json!({"model": "both", "messages": [{"role": "user", "content": "Hi"}]});
        let answer = gateway.post("/v1/chat/completions", body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.header("x-trunkline-provider").to_owned()
    };
    let path = "/passthrough/oa/chat/completions";
    assert_eq!(ask().await, "oa");
    // What is left of the limits is learnt of passed answers too.
    first.script(|script| {
        let told = Headroom { limit_requests: 100, remaining_requests: 20, ..Headroom::default() };
        script.limits.announce = Some(Headroom { reset_requests_ms: 3_600_000, ..told });
    });
    let passed = gateway.send(request(&gateway, Method::POST, path, chat())).await;
    assert_eq!(passed.status, 200, "{}", passed.text());
    let metrics = gateway.get("/metrics").await;
    let metrics = metrics.text();
    let headroom = metrics.lines().find(|line| {
        line.starts_with("trunkline_deployment_headroom{") && line.contains("\"oa/gpt-4.1-mini\"")
    });
    let left: f64 = headroom.and_then(|line| line.rsplit(' ').next()?.parse().ok()).expect("a figure");
    assert!((0.19..0.3).contains(&left), "{headroom:?}");
    first.fail_with(Fault::RateLimitedRetryAfter(3_600));
    let refused = gateway.send(request(&gateway, Method::POST, path, chat())).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "3600"), "{}", refused.text());
    let before = first.requests().len();
    first.heal();
    assert_eq!(ask().await, "ob");
    assert_eq!(first.requests().len(), before, "it is not asked before its time");
    // A path that names no model says nothing of any.
    second.fail_with(Fault::RateLimitedRetryAfter(3_600));
    let listed = gateway.get("/passthrough/ob/models").await;
    assert_eq!(listed.status, 429, "{}", listed.text());
    second.heal();
    assert_eq!(ask().await, "ob");
}

/// A provider that does what a test tells it, byte by byte.
struct Scripted {
    listener: TcpListener,
}

impl Scripted {
    async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    async fn gateway(&self) -> Gateway {
        let url = format!("http://{}", self.listener.local_addr().unwrap());
        // Without virtual keys, anybody may.
        let provider = provider("oa", DialectName::OpenAi, &url);
        Gateway::start(&format!("keys: {}\nproviders:\n{provider}", "{}")).await
    }

    async fn accept(&self) -> TcpStream {
        timeout(PATIENCE, self.listener.accept()).await.expect("the gateway connects").unwrap().0
    }
}

/// Reads until what came ends with `end`.
async fn read_until(connection: &mut TcpStream, end: &str) -> String {
    let mut came = Vec::new();
    let reading = async {
        while !came.ends_with(end.as_bytes()) {
            came.push(connection.read_u8().await.expect("the other side goes on"));
        }
    };
    let is_late = timeout(PATIENCE, reading).await.is_err();
    assert!(!is_late, "{end:?} did not come; there is {:?}", String::from_utf8_lossy(&came));
    String::from_utf8(came).unwrap()
}

const UPLOAD: &[u8] = b"PUT /passthrough/oa/files/a.bin HTTP/1.1\r\nhost: a\r\ncontent-type: audio/mpeg\r\nconnection: x-secret\r\nx-secret: 1\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn neither_way_waits_for_the_whole() {
    let scripted = Scripted::start().await;
    let gateway = scripted.gateway().await;
    let mut client = TcpStream::connect(gateway.address()).await.unwrap();
    client.write_all(UPLOAD).await.unwrap();
    let mut upstream = scripted.accept().await;
    // Each side goes on only when the other has seen the part before.
    let head = read_until(&mut upstream, "5\r\nfirst\r\n").await.to_ascii_lowercase();
    assert!(head.starts_with("put /v1/files/a.bin http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: audio/mpeg\r\n") && !head.contains("x-secret"), "{head}");
    client.write_all(b"6\r\nsecond\r\n0\r\n\r\n").await.unwrap();
    read_until(&mut upstream, "6\r\nsecond\r\n0\r\n\r\n").await;
    upstream.write_all(b"HTTP/1.1 201 Created\r\ncontent-type: audio/mpeg\r\nset-cookie: a=b\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n").await.unwrap();
    let head = read_until(&mut client, "3\r\none\r\n").await;
    assert!(head.starts_with("HTTP/1.1 201 Created\r\n") && !head.contains("set-cookie"), "{head}");
    upstream.write_all(b"3\r\ntwo\r\n0\r\n\r\n").await.unwrap();
    read_until(&mut client, "3\r\ntwo\r\n0\r\n\r\n").await;
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.status, record.request_bytes, record.response_bytes), (201, 11, 6));
    assert_eq!((record.outcome.name(), record.cost.confidence), ("served", CostConfidence::Unknown));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_shorter_than_it_says_is_not_whole() {
    let scripted = Scripted::start().await;
    let gateway = scripted.gateway().await;
    let mut client = TcpStream::connect(gateway.address()).await.unwrap();
    client.write_all(b"GET /passthrough/oa/files/a.bin HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut upstream = scripted.accept().await;
    read_until(&mut upstream, "\r\n\r\n").await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\na part of it").await.unwrap();
    let head = read_until(&mut client, "a part of it").await.to_ascii_lowercase();
    // The length goes on, or the end of the last chunk does not come: either way the client can tell.
    assert!(
        head.contains("content-length: 100\r\n") || head.contains("transfer-encoding: chunked"),
        "{head}"
    );
    drop(upstream);
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, client.read_to_end(&mut rest)).await.expect("the connection closes");
    assert!(!String::from_utf8_lossy(&rest).contains("0\r\n\r\n"), "{:?}", String::from_utf8_lossy(&rest));
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome.name(), record.response_bytes), ("broken_off", 12), "{record:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_slows_the_provider_down() {
    let scripted = Scripted::start().await;
    let gateway = scripted.gateway().await;
    let mut client = TcpStream::connect(gateway.address()).await.unwrap();
    client.write_all(b"GET /passthrough/oa/files/a.bin HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut upstream = scripted.accept().await;
    read_until(&mut upstream, "\r\n\r\n").await;
    const LENGTH: usize = 256 * 1024 * 1024;
    upstream
        .write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let piece = vec![b'x'; 1024 * 1024];
    let mut written = 0;
    // What the sockets and the gateway hold is all that goes out while nobody reads.
    while let Ok(Ok(more)) = timeout(Duration::from_secs(2), upstream.write(&piece)).await {
        written += more;
        assert!(written < LENGTH / 2, "the gateway reads on for a client that does not");
    }
    drop(client);
    let gone = async { while upstream.write(&piece).await.is_ok() {} };
    timeout(PATIENCE, gone).await.expect("the call is cancelled");
    assert_eq!(gateway.records(1).await[0].outcome.name(), "client_gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_takes_its_call_with_it() {
    for rest in ["", "0\r\n\r\n"] {
        let scripted = Scripted::start().await;
        let gateway = scripted.gateway().await;
        let mut client = TcpStream::connect(gateway.address()).await.unwrap();
        client.write_all(UPLOAD).await.unwrap();
        client.write_all(rest.as_bytes()).await.unwrap();
        let mut upstream = scripted.accept().await;
        read_until(&mut upstream, &format!("first\r\n{rest}")).await;
        drop(client);
        let mut came = Vec::new();
        // A reset is as good an end as a close.
        let _ = timeout(PATIENCE, upstream.read_to_end(&mut came)).await.expect("the call is cancelled");
        assert_eq!(came, b"", "an upload that broke off does not look complete");
        assert_eq!(gateway.records(1).await[0].outcome.name(), "client_gone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_told_in_the_provider_s_protocol_and_the_host_stays() {
    let sim = simulator(DialectName::OpenAi).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gateway = passing(&format!(
        "{}{}",
        provider("oa", DialectName::OpenAi, &sim.base_url()),
        provider("an", DialectName::Anthropic, &format!("http://{closed}"))
    ))
    .await;
    let answer =
        gateway.send(request(&gateway, Method::POST, "/passthrough/an/v1/messages/batches", "{}")).await;
    assert_eq!((answer.status, &answer.json()["type"]), (502, &json!("error")), "{}", answer.text());
    let mut told = vec![answer.json()["error"]["message"].clone()];
    for (header, value) in [
        ("x-trunkline-dry-run", "true"),
        ("x-trunkline-route", "fast"),
        ("x-trunkline-require", "parameters"),
    ] {
        let mut request = request(&gateway, Method::POST, "/passthrough/oa/chat/completions", chat());
        request.headers_mut().insert(header, value.parse().unwrap());
        let answer = gateway.send(request).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        told.push(answer.json()["error"]["message"].clone());
    }
    let answer = gateway.send(request(&gateway, Method::TRACE, "/passthrough/oa/models", "")).await;
    assert_eq!(answer.status, 405, "{}", answer.text());
    told.push(answer.json()["error"]["message"].clone());
    assert_eq!(sim.requests().len(), 0);
    insta::assert_json_snapshot!(told);
    for target in [
        "http://evil.example/passthrough/oa/models",
        "/passthrough/oa//evil.example/models",
        "/passthrough/oa/@evil.example",
    ] {
        let text = format!(
            "GET {target} HTTP/1.1\r\nauthorization: Bearer {KEY}\r\nhost: evil.example\r\nx-forwarded-host: evil.example\r\nconnection: close\r\n\r\n"
        );
        let answer = raw(gateway.address(), text.as_bytes(), false).await;
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
        let received = sim.last_request().expect("it comes to the provider");
        assert_eq!(received.headers["host"], sim.addr().to_string(), "{target}");
        assert!(!received.headers.contains_key("x-forwarded-host"));
    }
    assert_eq!(sim.requests().len(), 3);
}
