//! State that only its maker can read: it leads the conversation back, and is taken out where the maker is gone.

use crate::support::{Answer, Face, Gateway, model, provider};
use serde_json::{Value, json};
use trunkline_sim::{DialectName, SimConfig, Simulator};

/// Two accounts whose state is not each other's.
async fn two(dialect: DialectName) -> (Simulator, Simulator, String) {
    let start = async |secret| {
        let mut config = SimConfig::new(dialect);
        config.secret = secret;
        Simulator::start(config).await.unwrap()
    };
    let (first, second) = (start(1).await, start(2).await);
    let providers =
        provider("first", dialect, &first.base_url()) + &provider("second", dialect, &second.base_url());
    (first, second, format!("providers:\n{providers}"))
}

fn thinking(face: Face, text: &str) -> Value {
    let mut body = face.value("both", text, false);
    match face {
        Face::OpenAi => body["reasoning_effort"] = json!("low"),
        Face::Anthropic => body["thinking"] = json!({"type": "enabled", "budget_tokens": 1024}),
    }
    body["max_tokens"] = json!(4000);
    body
}

/// The conversation with the answer and a further question.
fn further(face: Face, body: &Value, answer: &Answer) -> Value {
    let answer = answer.json();
    let said = match face {
        Face::OpenAi => answer["choices"][0]["message"].clone(),
        Face::Anthropic => json!({"role": "assistant", "content": answer["content"]}),
    };
    let mut body = body.clone();
    let messages = body["messages"].as_array_mut().unwrap();
    messages.extend([said, json!({"role": "user", "content": "Go on"})]);
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_with_state_stays_with_its_maker() {
    let (_first, _second, providers) = two(DialectName::Anthropic).await;
    let name = model(DialectName::Anthropic);
    let gateway = Gateway::start(&format!(
        "{providers}routes:\n  both:\n    tiers: {{ one: {{ deployments: [first/{name}, second/{name}], balance: round-robin }} }}\n"
    ))
    .await;
    for face in Face::BOTH {
        let mut makers = Vec::new();
        for _ in 0..4 {
            let mut body = thinking(face, "Hello");
            let opening = gateway.post(face.path(), body.to_string()).await;
            assert_eq!(opening.status, 200, "{}", opening.text());
            let maker = opening.header("x-trunkline-provider").to_owned();
            let mut last = opening;
            for _ in 0..2 {
                body = further(face, &body, &last);
                last = gateway.post(face.path(), body.to_string()).await;
                assert_eq!(last.status, 200, "{}", last.text());
                assert_eq!(last.header("x-trunkline-provider"), maker);
            }
            makers.push(maker);
        }
        makers.sort();
        makers.dedup();
        assert_eq!(makers, ["first", "second"], "conversations begin on both");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn state_is_taken_out_with_a_warning_when_its_maker_is_gone() {
    for dialect in [DialectName::Anthropic, DialectName::Converse] {
        for face in Face::BOTH {
            let (first, second, providers) = two(dialect).await;
            let name = model(dialect);
            let gateway = Gateway::start(&format!(
                "{providers}routes:\n  both:\n    tiers: {{ one: {{ deployments: [first/{name}] }}, two: {{ deployments: [second/{name}] }} }}\n    fallback: {{ error: [two] }}\n"
            ))
            .await;
            let body = thinking(face, "Hello");
            let opening = gateway.post(face.path(), body.to_string()).await;
            assert_eq!(opening.header("x-trunkline-provider"), "first", "{}", opening.text());
            first.stop().await;
            let answer = gateway.post(face.path(), further(face, &body, &opening).to_string()).await;
            assert_eq!(answer.status, 200, "{dialect:?} {face:?}: {}", answer.text());
            assert_eq!(answer.header("x-trunkline-provider"), "second");
            let warnings = answer.header("x-trunkline-warnings");
            let sent = String::from_utf8(second.last_request().unwrap().body.to_vec()).unwrap();
            assert!(
                warnings.contains("made by another provider than the one that answers now"),
                "{dialect:?} {face:?}: {warnings}; {sent}"
            );
        }
    }
}

/// A conversation of a client of Gemini's own protocol with a call, and then its result.
fn gemini_call() -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    json!({
        "contents": [{"role": "user", "parts": [{"text": "Use get_weather"}]}],
        "tools": [{"functionDeclarations": [{"name": "get_weather", "parameters": schema}]}],
    })
}

fn gemini_result(body: &Value, answer: &Answer) -> Value {
    let mut body = body.clone();
    let result = json!({"functionResponse": {"name": "get_weather", "response": {"degrees": 21}}});
    let contents = body["contents"].as_array_mut().unwrap();
    contents.extend([
        answer.json()["candidates"][0]["content"].clone(),
        json!({"role": "user", "parts": [result]}),
    ]);
    body
}

/// The same with a client of OpenAI's protocol.
fn openai_call() -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    json!({
        "model": "both",
        "messages": [{"role": "user", "content": "Use get_weather"}],
        "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": schema}}],
    })
}

fn openai_result(body: &Value, answer: &Answer) -> Value {
    let mut body = body.clone();
    let said = answer.json()["choices"][0]["message"].clone();
    let id = said["tool_calls"][0]["id"].clone();
    let result = json!({"role": "tool", "tool_call_id": id, "content": "21 degrees"});
    body["messages"].as_array_mut().unwrap().extend([said, result]);
    body
}

const GEMINI: &str = "/v1beta/models/both:generateContent";
const OPENAI: &str = "/v1/chat/completions";

/// Gemini refuses a call without its signature, so what is taken out must be put in place by what it accepts instead.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_sealed_by_one_gemini_account_is_answered_by_another() {
    type Next = fn(&Value, &Answer) -> Value;
    let clients: [(&str, Value, Next); 2] =
        [(GEMINI, gemini_call(), gemini_result), (OPENAI, openai_call(), openai_result)];
    for (path, body, next) in clients {
        let (first, second, providers) = two(DialectName::Gemini).await;
        let name = "gemini-3.5-flash";
        let gateway = Gateway::start(&format!(
            "{providers}routes:\n  both:\n    tiers: {{ one: {{ deployments: [first/{name}] }}, two: {{ deployments: [second/{name}] }} }}\n    fallback: {{ error: [two] }}\n"
        ))
        .await;
        let opening = gateway.post(path, body.to_string()).await;
        assert_eq!(opening.header("x-trunkline-provider"), "first", "{}", opening.text());
        let further = next(&body, &opening);
        assert!(further.to_string().contains("ignature"), "{further}");
        let own = gateway.post(path, further.to_string()).await;
        assert_eq!((own.status, own.header("x-trunkline-provider")), (200, "first"), "{}", own.text());
        let warned = own.headers.get("x-trunkline-warnings").map(|value| value.to_str().unwrap().to_owned());
        assert!(!warned.unwrap_or_default().contains("another provider"), "its own state passes");
        first.stop().await;
        let answer = gateway.post(path, further.to_string()).await;
        assert_eq!(
            (answer.status, answer.header("x-trunkline-provider")),
            (200, "second"),
            "{}",
            answer.text()
        );
        let warnings = answer.header("x-trunkline-warnings");
        let sent = String::from_utf8(second.last_request().unwrap().body.to_vec()).unwrap();
        assert!(
            warnings.contains("made by another provider than the one that answers now"),
            "{path}: {warnings}; {sent}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_sealed_by_gemini_is_answered_by_a_provider_of_another_protocol() {
    let gemini = Simulator::start(SimConfig::new(DialectName::Gemini)).await.unwrap();
    let anthropic = Simulator::start(SimConfig::new(DialectName::Anthropic)).await.unwrap();
    let gateway = Gateway::start(&format!(
        "providers:\n{}{}routes:\n  both:\n    tiers: {{ one: {{ deployments: [first/gemini-3.5-flash] }}, two: {{ deployments: [second/{}] }} }}\n    fallback: {{ error: [two] }}\n",
        provider("first", DialectName::Gemini, &gemini.base_url()),
        provider("second", DialectName::Anthropic, &anthropic.base_url()),
        model(DialectName::Anthropic),
    ))
    .await;
    let body = gemini_call();
    let opening = gateway.post(GEMINI, body.to_string()).await;
    assert_eq!(opening.header("x-trunkline-provider"), "first", "{}", opening.text());
    gemini.stop().await;
    let answer = gateway.post(GEMINI, gemini_result(&body, &opening).to_string()).await;
    assert_eq!((answer.status, answer.header("x-trunkline-provider")), (200, "second"), "{}", answer.text());
    let sent = String::from_utf8(anthropic.last_request().unwrap().body.to_vec()).unwrap();
    assert!(!sent.contains("ignature"), "{sent}");
    assert!(answer.header("x-trunkline-warnings").contains("dropped"), "{:?}", answer.headers);
}

/// Another replica, or this one after a restart, does not remember who made what; the maker is found by asking.
/// After a restart it is still known whose the state is.
#[tokio::test(flavor = "multi_thread")]
async fn state_is_taken_out_after_a_restart_as_before() {
    let (first, second, providers) = two(DialectName::Anthropic).await;
    let name = model(DialectName::Anthropic);
    let mut gateway = Gateway::start(&format!(
        "{providers}routes:\n  both:\n    tiers: {{ one: {{ deployments: [first/{name}] }}, two: {{ deployments: [second/{name}] }} }}\n    fallback: {{ error: [two] }}\n"
    ))
    .await;
    let body = thinking(Face::Anthropic, "Hello");
    let opening = gateway.post(Face::Anthropic.path(), body.to_string()).await;
    assert_eq!(opening.header("x-trunkline-provider"), "first", "{}", opening.text());
    let next = further(Face::Anthropic, &body, &opening);
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    gateway = gateway.again().await;
    let own = gateway.post(Face::Anthropic.path(), next.to_string()).await;
    assert_eq!((own.status, own.header("x-trunkline-provider")), (200, "first"), "{}", own.text());
    first.stop().await;
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    gateway = gateway.again().await;
    let answer = gateway.post(Face::Anthropic.path(), next.to_string()).await;
    assert_eq!((answer.status, answer.header("x-trunkline-provider")), (200, "second"), "{}", answer.text());
    let warnings = answer.header("x-trunkline-warnings");
    assert!(warnings.contains("made by another provider than the one that answers now"), "{warnings}");
    assert!(!String::from_utf8_lossy(&second.last_request().unwrap().body).contains("\"signature\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_remembers_nothing_finds_the_maker() {
    for (dialect, name) in [
        (DialectName::Anthropic, model(DialectName::Anthropic)),
        (DialectName::Converse, model(DialectName::Converse)),
        (DialectName::Gemini, "gemini-3.5-flash"),
    ] {
        let (_first, second, providers) = two(dialect).await;
        let gateway = async |order: [&str; 2]| {
            Gateway::start(&format!(
                "{providers}routes:\n  both:\n    tiers: {{ one: {{ deployments: [{}/{name}] }}, two: {{ deployments: [{}/{name}] }} }}\n",
                order[0], order[1]
            ))
            .await
        };
        let (one, another) = (gateway(["first", "second"]).await, gateway(["second", "first"]).await);
        let (path, further) = if dialect == DialectName::Gemini {
            let body = gemini_call();
            let opening = one.post(GEMINI, body.to_string()).await;
            (GEMINI, gemini_result(&body, &opening))
        } else {
            let body = thinking(Face::Anthropic, "Hello");
            let opening = one.post(Face::Anthropic.path(), body.to_string()).await;
            (Face::Anthropic.path(), further(Face::Anthropic, &body, &opening))
        };
        let answer = another.post(path, further.to_string()).await;
        assert_eq!(
            (answer.status, answer.header("x-trunkline-provider")),
            (200, "first"),
            "{dialect:?}: {}",
            answer.text()
        );
        assert_eq!(second.requests().len(), 1, "it was asked, and could not read it");
        // Where nobody can read it, the provider's own words are told.
        let nobody = Gateway::start(&format!(
            "{providers}routes:\n  both: {{ tiers: {{ one: {{ deployments: [second/{name}] }} }} }}\n"
        ))
        .await;
        let refused = nobody.post(path, further.to_string()).await;
        assert_eq!(refused.status, 400, "{dialect:?}: {}", refused.text());
        assert!(refused.text().to_lowercase().contains("signature"), "{dialect:?}: {}", refused.text());
    }
}
