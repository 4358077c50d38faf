//! What vendors' clients ask for beside answers: how many tokens a prompt has, which models there are, whether anybody is there.

use crate::support::{Answer, Gateway, KEY, model, provider, simulator};
use http::Method;
use http_body_util::Full;
use serde_json::{Value, json};
use trunkline_model::money::Cost;
use trunkline_model::record::Outcome;
use trunkline_model::usage::UsageSource;
use trunkline_sim::{DialectName, Fault, Simulator};

async fn stage() -> (Vec<Simulator>, Gateway) {
    let mut simulators = Vec::new();
    let mut text = String::from("providers:\n");
    for (name, dialect) in [
        ("oa", DialectName::OpenAi),
        ("an", DialectName::Anthropic),
        ("ge", DialectName::Gemini),
        ("mi", DialectName::Mistral),
    ] {
        let simulator = simulator(dialect).await;
        text.push_str(&provider(name, dialect, &simulator.base_url()));
        simulators.push(simulator);
    }
    let routes = format!(
        "routes:\n  plain: {{ tiers: {{ one: {{ deployments: [mi/{}] }} }} }}\n  \
         exact: {{ strict: true, tiers: {{ one: {{ deployments: [mi/{}] }} }} }}\n",
        model(DialectName::Mistral),
        model(DialectName::Mistral)
    );
    let gateway = Gateway::start(&(text + &routes)).await;
    (simulators, gateway)
}

/// A prompt as coding agents send it: a long system prompt in blocks, tools, one short message.
fn prompt(model: &str) -> Value {
    json!({
        "model": model,
        "system": [{"type": "text", "text": "Be brief. ".repeat(400), "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "look", "description": "Looks around. ".repeat(100), "input_schema": {"type": "object"}}],
        "messages": [{"role": "user", "content": "Hello"}],
    })
}

async fn count(gateway: &Gateway, model: &str) -> Answer {
    gateway.post("/v1/messages/count_tokens?beta=true", prompt(model).to_string()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_counted_whoever_is_behind_and_estimates_say_so() {
    let (simulators, gateway) = stage().await;
    let counts = [
        ("an", DialectName::Anthropic, false),
        ("ge", DialectName::Gemini, false),
        ("oa", DialectName::OpenAi, false),
        ("mi", DialectName::Mistral, true),
    ];
    let mut counted = Vec::new();
    for (name, dialect, is_estimate) in counts {
        let answer = count(&gateway, &format!("{name}/{}", model(dialect))).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        counted.push(answer.json()["input_tokens"].as_u64().unwrap());
        let warning = answer.headers.get("x-trunkline-warnings").map(|value| value.to_str().unwrap());
        assert_eq!(
            warning.is_some_and(|text| text.starts_with("count_tokens emulated")),
            is_estimate,
            "{warning:?}"
        );
        let record = gateway.record(answer.id()).await;
        assert_eq!(
            (record.outcome, record.usage.total(), record.cost),
            (Outcome::Served, 0, Cost::NOTHING),
            "{name}"
        );
        assert_eq!(record.attempts.len(), usize::from(!is_estimate), "{name}");
    }
    let (least, most) = (counted.iter().min().unwrap(), counted.iter().max().unwrap());
    assert!(*least > 1_000 && *most < 2 * *least, "the estimates are near the counts: {counted:?}");
    assert!(simulators[0].requests()[0].path.ends_with("/responses/input_tokens"));
    assert!(simulators[3].requests().is_empty());
    let google = json!({"contents": [{"role": "user", "parts": [{"text": "Hello there, who is this?"}]}]});
    let answer = gateway.post("/v1beta/models/plain:countTokens", google.to_string()).await;
    assert!(
        answer.json()["totalTokens"].as_u64().is_some_and(|tokens| (5..30).contains(&tokens)),
        "{}",
        answer.text()
    );
}

/// The same prompt, as a client of the responses API would have it answered.
fn turn(model: &str) -> Value {
    json!({
        "model": model,
        "instructions": "Be brief. ".repeat(400),
        "tools": [{"type": "function", "name": "look", "description": "Looks around. ".repeat(100), "parameters": {"type": "object"}}],
        "input": [{"role": "user", "content": "Hello"}],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_responses_prompt_is_counted_whoever_is_behind() {
    const PATH: &str = "/v1/responses/input_tokens";
    let (simulators, gateway) = stage().await;
    let mut counted = Vec::new();
    for (name, dialect, is_estimate) in [
        ("oa", DialectName::OpenAi, false),
        ("an", DialectName::Anthropic, false),
        ("ge", DialectName::Gemini, false),
        ("mi", DialectName::Mistral, true),
    ] {
        let model = format!("{name}/{}", model(dialect));
        let answer = gateway.post(PATH, turn(&model).to_string()).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert_eq!(answer.json()["object"], "response.input_tokens", "{name}");
        counted.push(answer.json()["input_tokens"].as_u64().unwrap());
        let warning = answer.headers.get("x-trunkline-warnings").map(|value| value.to_str().unwrap());
        assert_eq!(
            warning.is_some_and(|text| text.starts_with("count_tokens emulated")),
            is_estimate,
            "{name}: {warning:?}"
        );
        let record = gateway.record(answer.id()).await;
        assert_eq!((record.outcome, record.cost), (Outcome::Served, Cost::NOTHING), "{name}");
        // A conversation that is named counts with it.
        let first = gateway
            .post(
                "/v1/responses",
                json!({"model": model, "input": "Tell me a long story. ".repeat(50)}).to_string(),
            )
            .await;
        let mut next = turn(&model);
        next["previous_response_id"] = first.json()["id"].clone();
        let longer = gateway.post(PATH, next.to_string()).await;
        assert_eq!(longer.status, 200, "{name}: {}", longer.text());
        let (short, long) = (counted.last().unwrap(), longer.json()["input_tokens"].as_u64().unwrap());
        assert!(long > short + 200, "{name}: {long} after {short}");
    }
    let (least, most) = (counted.iter().min().unwrap(), counted.iter().max().unwrap());
    assert!(*least > 1_000 && *most < 2 * *least, "the estimate is near the counts: {counted:?}");
    // Who counts is asked for nothing that it does not know.
    let counts =
        simulators[0].requests().into_iter().filter(|request| request.path.ends_with("/input_tokens"));
    for request in counts {
        let body = request.json();
        let unknown = ["store", "include", "stream", "previous_response_id"]
            .iter()
            .find(|name| !body[**name].is_null());
        assert_eq!(unknown, None, "{body}");
    }
    let wrong =
        gateway.post(PATH, json!({"model": "plain", "input": [{"role": "oracle"}]}).to_string()).await;
    assert_eq!((wrong.status, wrong.error_code()), (400, "invalid_request"), "{}", wrong.text());
    let strict = gateway.post(PATH, turn("exact").to_string()).await;
    assert_eq!(strict.error_code(), "unsupported_parameter", "{}", strict.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_estimate_is_refused_where_it_is_not_wanted_or_the_prompt_is_wrong() {
    let (_simulators, gateway) = stage().await;
    let refused = count(&gateway, "exact").await;
    assert_eq!(refused.error_code(), "unsupported_parameter", "{}", refused.text());
    for (name, value) in [("x-trunkline-strict", "true"), ("x-trunkline-require", "parameters")] {
        let request = gateway.builder("/v1/messages/count_tokens").header(name, value);
        let refused =
            gateway.send(request.body(Full::new(prompt("plain").to_string().into())).unwrap()).await;
        assert_eq!(refused.error_code(), "unsupported_parameter", "{name}: {}", refused.text());
    }
    let wrong = json!({"model": "plain", "messages": [{"role": "oracle", "content": "Hello"}]});
    let refused = gateway.post("/v1/messages/count_tokens", wrong.to_string()).await;
    assert_eq!((refused.status, refused.error_code()), (400, "invalid_request"), "{}", refused.text());
    assert!(refused.text().contains("messages[0].role"), "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_its_provider_fails_is_estimated_and_says_so() {
    let (simulators, gateway) = stage().await;
    let google = json!({"contents": [{"role": "user", "parts": [{"text": "Hello there, who is this?"}]}]});
    let asked = [
        (0, "/v1/responses/input_tokens".to_owned(), turn("oa/gpt-4.1-mini"), "/input_tokens"),
        (1, "/v1/messages/count_tokens".to_owned(), prompt("an/claude-sonnet-4-5"), "/input_tokens"),
        (2, "/v1beta/models/ge%2Fgemini-2.5-flash:countTokens".to_owned(), google, "/totalTokens"),
    ];
    for (simulator, path, body, place) in asked {
        let whole = gateway.post(&path, body.to_string()).await;
        let count = whole.json().pointer(place).and_then(Value::as_u64).unwrap();
        // What the provider finds wrong with a request is no failure of its own.
        simulators[simulator].fail_with(Fault::BadRequest);
        let wrong = gateway.post(&path, body.to_string()).await;
        assert_eq!((wrong.status, wrong.error_code()), (400, "invalid_request"), "{path}: {}", wrong.text());
        simulators[simulator].fail_with(Fault::ServerError);
        let answer = gateway.post(&path, body.to_string()).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let estimate = answer.json().pointer(place).and_then(Value::as_u64).unwrap();
        assert!(estimate > count / 2 && estimate < 2 * count, "{path}: {estimate} for {count}");
        let warnings = answer.header("x-trunkline-warnings");
        assert!(warnings.contains("count_tokens emulated") && warnings.contains("estimate"), "{warnings}");
        let record = gateway.record(answer.id()).await;
        assert_eq!((record.outcome, record.cost), (Outcome::Served, Cost::NOTHING), "{path}");
        assert!(!record.attempts.is_empty(), "{path}: what failed is in the record");
        let request = gateway.builder(&path).header("x-trunkline-strict", "true");
        let strict = gateway.send(request.body(Full::new(body.to_string().into())).unwrap()).await;
        assert!(strict.status >= 500, "{path}: {}", strict.text());
    }
}

/// Clients of OpenAI's protocol are promised a count.
#[tokio::test(flavor = "multi_thread")]
async fn vectors_whose_provider_counts_nothing_come_with_an_estimate() {
    let (_simulators, gateway) = stage().await;
    let body = json!({"model": "ge/gemini-embedding-001", "input": ["Hello there, who is this?", "Nobody you know."]});
    let answer = gateway.post("/v1/embeddings", body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let usage = &answer.json()["usage"];
    let prompt = usage["prompt_tokens"].as_u64().unwrap();
    assert!((6..30).contains(&prompt) && usage["total_tokens"] == prompt, "{usage}");
    let warning = "usage emulated: the provider counts no tokens here: this is an estimate";
    assert_eq!(answer.header("x-trunkline-warnings"), warning);
    let record = gateway.record(answer.id()).await;
    assert_eq!((record.usage.input, record.usage_source), (prompt, UsageSource::Estimated));
    // Who counts is believed, and nothing is to be told.
    let body = json!({"model": "oa/text-embedding-3-small", "input": "Hello"});
    let counted = gateway.post("/v1/embeddings", body.to_string()).await;
    assert!(!counted.headers.contains_key("x-trunkline-warnings"), "{counted:?}");
}

async fn ask(gateway: &Gateway, method: Method, path: &str, header: (&'static str, &str)) -> Answer {
    let mut request = gateway.builder(path).header(header.0, header.1).body(Full::default()).unwrap();
    *request.method_mut() = method;
    gateway.send(request).await
}

const ANTHROPIC: (&str, &str) = ("anthropic-version", "2023-06-01");
const GOOGLE: (&str, &str) = ("x-goog-api-key", KEY);

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_models_come_in_pages_where_the_protocol_has_them() {
    let (_simulators, gateway) = stage().await;
    let whole = ask(&gateway, Method::GET, "/v1/models", ANTHROPIC).await.json();
    let ids: Vec<String> =
        whole["data"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((&whole["has_more"], ids.contains(&"plain".to_owned())), (&json!(false), true));
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/models?limit=100{after}");
        let page = ask(&gateway, Method::GET, &path, ANTHROPIC).await.json();
        let data = page["data"].as_array().unwrap();
        assert!(data.len() <= 100);
        seen.extend(data.iter().map(|one| one["id"].as_str().unwrap().to_owned()));
        if page["has_more"] == false {
            break;
        }
        after = format!("&after_id={}", page["last_id"].as_str().unwrap().replace('/', "%2F"));
    }
    assert_eq!(seen, ids);
    let before = format!("/v1/models?limit=2&before_id={}", ids[5].replace('/', "%2F"));
    let page = ask(&gateway, Method::GET, &before, ANTHROPIC).await.json();
    assert_eq!(
        (&page["first_id"], &page["last_id"], &page["has_more"]),
        (&json!(ids[3]), &json!(ids[4]), &json!(true))
    );
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page =
            ask(&gateway, Method::GET, &format!("/v1beta/models?pageSize=100{token}"), GOOGLE).await.json();
        let models = page["models"].as_array().unwrap();
        seen.extend(
            models.iter().map(|one| one["name"].as_str().unwrap().trim_start_matches("models/").to_owned()),
        );
        assert!(
            models.iter().all(|one| one.get("inputTokenLimit") != Some(&json!(0))),
            "no limit is made up"
        );
        let Some(next) = page["nextPageToken"].as_str() else { break };
        token = format!("&pageToken={}", next.replace('/', "%2F"));
    }
    assert_eq!(seen, ids);
    let wrong = ask(&gateway, Method::GET, "/v1/models?limit=none", ANTHROPIC).await;
    assert_eq!((wrong.status, &wrong.json()["error"]["param"]), (400, &json!("limit")), "{}", wrong.text());
    let wrong = ask(&gateway, Method::GET, "/v1beta/models?pageToken=nobody", GOOGLE).await;
    assert_eq!(
        (wrong.status, &wrong.json()["error"]["status"]),
        (400, &json!("INVALID_ARGUMENT")),
        "{}",
        wrong.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_knocks_is_answered_and_who_asks_for_another_thing_is_sent_there() {
    let (_simulators, gateway) = stage().await;
    let knock = ask(&gateway, Method::HEAD, "/", ANTHROPIC).await;
    assert_eq!((knock.status, knock.body.len()), (200, 0));
    for (method, path, header, place) in [
        (Method::POST, "/v1/files", ANTHROPIC, "/passthrough/PROVIDER/files`"),
        (Method::GET, "/v1/skills", ANTHROPIC, "/passthrough/PROVIDER/skills`"),
        (Method::GET, "/v1/batches/b", GOOGLE, "/passthrough/PROVIDER/batches/b`"),
        (Method::POST, "/upload/v1beta/files", GOOGLE, "/passthrough/PROVIDER/files`"),
        (
            Method::POST,
            "/v1beta/models/plain:batchGenerateContent",
            GOOGLE,
            "/passthrough/PROVIDER/models/MODEL:batch",
        ),
    ] {
        let answer = ask(&gateway, method, path, header).await;
        let error = &answer.json()["error"];
        let told = error["message"].as_str().unwrap();
        assert!(answer.status == 404 && told.contains(place), "{path}: {told}");
        let kind = if header == ANTHROPIC {
            (&error["type"], "not_found_error")
        } else {
            (&error["status"], "NOT_FOUND")
        };
        assert_eq!(kind.0, kind.1, "{path}");
    }
}
