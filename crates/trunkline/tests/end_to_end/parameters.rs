//! Support of everything in a request, demanded: who would drop or refuse something is not chosen, and says what.

use crate::support::{Answer, Face, Gateway, model, provider, simulator};
use bytes::Bytes;
use http_body_util::Full;
use serde_json::{Value, json};
use trunkline_sim::DialectName;

async fn gateway(settings: &str) -> (trunkline_sim::Simulator, trunkline_sim::Simulator, Gateway) {
    let first = simulator(DialectName::Anthropic).await;
    let second = simulator(DialectName::OpenAi).await;
    let providers = provider("first", DialectName::Anthropic, &first.base_url())
        + &provider("second", DialectName::OpenAi, &second.base_url());
    let gateway = Gateway::start(&format!(
        "providers:\n{providers}routes:\n  both:\n    {settings}tiers: {{ one: {{ deployments: [first/{}] }}, two: {{ deployments: [second/{}] }} }}\n    fallback: {{ error: [two] }}\n",
        model(DialectName::Anthropic),
        model(DialectName::OpenAi)
    ))
    .await;
    (first, second, gateway)
}

async fn send(gateway: &Gateway, body: &Value, header: Option<(&str, &str)>) -> Answer {
    let mut request = gateway.builder("/v1/chat/completions");
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    gateway.send(request.body(Full::new(Bytes::from(body.to_string()))).unwrap()).await
}

fn seeded(model: &str) -> Value {
    let mut body = Face::OpenAi.value(model, "Hello", false);
    body["seed"] = json!(4711);
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn who_would_drop_a_parameter_is_passed_over_in_every_way_of_asking() {
    let (first, _second, open) = gateway("").await;
    let warned = send(&open, &seeded("both"), None).await;
    assert_eq!(warned.header("x-trunkline-provider"), "first");
    assert!(warned.header("x-trunkline-warnings").contains("seed dropped"), "{:?}", warned.headers);
    let seen = first.requests().len();
    let by_header = send(&open, &seeded("both"), Some(("x-trunkline-require", "parameters"))).await;
    assert_eq!(by_header.status, 200, "{}", by_header.text());
    assert_eq!(by_header.header("x-trunkline-provider"), "second");
    let (first_too, _second, always) = gateway("require_parameters: true\n    ").await;
    let by_route = send(&always, &seeded("both"), None).await;
    assert_eq!(by_route.header("x-trunkline-provider"), "second");
    let plain = send(&always, &Face::OpenAi.value("both", "Hello", false), None).await;
    assert_eq!(plain.header("x-trunkline-provider"), "first", "nothing of it would be dropped");
    assert_eq!((first.requests().len(), first_too.requests().len()), (seen, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reason_names_the_parameter() {
    let (_first, _second, gateway) = gateway("").await;
    let name = format!("first/{}", model(DialectName::Anthropic));
    let answer = send(&gateway, &seeded(&name), Some(("x-trunkline-require", "parameters"))).await;
    assert_eq!((answer.status, answer.error_code()), (400, "unsupported_parameter"), "{}", answer.text());
    assert!(
        answer.text().contains("support of every parameter is required: seed dropped: "),
        "{}",
        answer.text()
    );
    let answer = send(&gateway, &seeded(&name), Some(("x-trunkline-strict", "true"))).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("seed dropped: "), "{}", answer.text());
}

/// However deep it stands: what nobody at the target knows is told, and a strict request is refused for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_one_message_does_not_vanish_either() {
    let (first, _second, gateway) = gateway("").await;
    let (first_model, second_model) = (model(DialectName::Anthropic), model(DialectName::OpenAi));
    let chat = json!({"model": format!("first/{first_model}"), "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hello", "zap": 1}]},
        {"role": "assistant", "content": "Yes", "audio": {"id": "a"}, "refusal": null, "annotations": []},
        {"role": "user", "content": "And now?", "mood": "glad"}]});
    let messages = json!({"model": format!("second/{second_model}"), "max_tokens": 100, "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hello", "zap": 1}], "mood": "glad"}]});
    let responses = json!({"model": format!("first/{first_model}"), "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Hello", "zap": 1}], "mood": "glad"}]});
    let google = json!({"contents": [{"parts": [{"text": "Hello", "zap": 1}]}]});
    let asked = [
        (
            "/v1/chat/completions".to_owned(),
            chat,
            vec!["messages[0].content[0].zap", "messages[1].audio", "messages[2].mood"],
        ),
        ("/v1/messages".to_owned(), messages, vec!["messages[0].content[0].zap", "messages[0].mood"]),
        ("/v1/responses".to_owned(), responses, vec!["input[0].content[0].zap", "input[0].mood"]),
        (
            format!("/v1beta/models/first%2F{first_model}:generateContent"),
            google,
            vec!["contents[0].parts[0].zap"],
        ),
    ];
    for (path, body, names) in asked {
        all_is_told(&gateway, &first, (&path, &body), &names).await;
    }
}

/// Nor what files, calls and their results say, nor what does nothing without another parameter.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_files_and_calls_does_not_vanish_either() {
    let (first, _second, gateway) = gateway("").await;
    let (first_model, second_model) = (model(DialectName::Anthropic), model(DialectName::OpenAi));
    const PNG: &str =
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let chat = json!({"model": format!("first/{first_model}"), "top_logprobs": 3, "parallel_tool_calls": false, "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hello"},
            {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG}"), "zap": 1}}]},
        {"role": "assistant", "tool_calls": [
            {"id": "a", "type": "function", "zap": 1, "function": {"name": "f", "arguments": "{\"zap\":1}", "zap": 1}}]},
        {"role": "tool", "tool_call_id": "a", "content": "Yes"}]});
    let messages = json!({"model": format!("second/{second_model}"), "max_tokens": 100, "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hello"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG, "zap": 1}}]}]});
    let google = json!({"generationConfig": {"logprobs": 3}, "contents": [
        {"role": "user", "parts": [{"text": "Hello"}, {"inlineData": {"mimeType": "image/png", "data": PNG, "zap": 1}}]},
        {"role": "model", "parts": [{"functionCall": {"id": "a", "name": "f", "args": {"zap": 1}, "zap": 1}}]},
        {"role": "user", "parts": [{"functionResponse": {"id": "a", "name": "f", "response": {"zap": 1}, "zap": 1}}]}]});
    let asked = [
        (
            "/v1/chat/completions".to_owned(),
            chat,
            vec![
                "top_logprobs",
                "parallel_tool_calls",
                "messages[0].content[1].image_url.zap",
                "messages[1].tool_calls[0].zap",
                "messages[1].tool_calls[0].function.zap",
            ],
        ),
        ("/v1/messages".to_owned(), messages, vec!["messages[0].content[1].source.zap"]),
        (
            format!("/v1beta/models/first%2F{first_model}:generateContent"),
            google,
            vec![
                "generationConfig.logprobs",
                "contents[0].parts[1].inlineData.zap",
                "contents[1].parts[0].functionCall.zap",
                "contents[2].parts[0].functionResponse.zap",
            ],
        ),
    ];
    for (path, body, names) in asked {
        all_is_told(&gateway, &first, (&path, &body), &names).await;
    }
}

/// Nor what tools and parameters say, nor what is said of tools where there are none.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_tools_and_parameters_does_not_vanish_either() {
    let (first, _second, gateway) = gateway("").await;
    let (first_model, second_model) = (model(DialectName::Anthropic), model(DialectName::OpenAi));
    let schema = json!({"type": "object", "properties": {"zap": {"type": "string"}}});
    let chat = json!({"model": format!("first/{first_model}"), "messages": [{"role": "user", "content": "Hello"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": schema, "zap": 1}}],
        "tool_choice": {"type": "function", "function": {"name": "f", "zap": 1}}, "stream_options": {"include_obfuscation": false}});
    let alone = json!({"model": format!("second/{second_model}"), "max_tokens": 100, "tool_choice": {"type": "any"},
        "messages": [{"role": "user", "content": "Hello"}]});
    let messages = json!({"model": format!("second/{second_model}"), "max_tokens": 100,
        "tools": [{"name": "f", "input_schema": schema, "zap": 1}], "tool_choice": {"type": "auto", "zap": 1},
        "messages": [{"role": "user", "content": "Hello"}]});
    let responses = json!({"model": format!("first/{first_model}"), "input": "Hello", "user": "ann", "safety_identifier": "ben",
        "tools": [{"type": "function", "name": "f", "parameters": schema, "strict": false, "zap": 1}],
        "tool_choice": "none", "parallel_tool_calls": false, "text": {"zap": 1}});
    let google = json!({"contents": [{"parts": [{"text": "Hello"}], "zap": 1}],
        "tools": [{"functionDeclarations": [{"name": "f", "parameters": schema, "zap": 1}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "AUTO", "zap": 1}}});
    let asked = [
        ("/v1/chat/completions".to_owned(), chat, vec!["tools[0].function.zap", "tool_choice.function.zap"]),
        ("/v1/messages".to_owned(), alone, vec!["tool_choice"]),
        ("/v1/messages".to_owned(), messages, vec!["tools[0].zap", "tool_choice.zap"]),
        (
            "/v1/responses".to_owned(),
            responses,
            vec!["safety_identifier", "tools[0].zap", "parallel_tool_calls", "text.zap"],
        ),
        (
            format!("/v1beta/models/first%2F{first_model}:generateContent"),
            google,
            vec![
                "contents[0].zap",
                "tools[0].functionDeclarations[0].zap",
                "toolConfig.functionCallingConfig.zap",
            ],
        ),
    ];
    for (path, body, names) in asked {
        all_is_told(&gateway, &first, (&path, &body), &names).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newer_name_of_the_end_user_reaches_a_provider_of_another_protocol() {
    let (first, _second, gateway) = gateway("").await;
    let mut body = Face::OpenAi.value(&format!("first/{}", model(DialectName::Anthropic)), "Hello", false);
    body["safety_identifier"] = json!("ann");
    let answer = send(&gateway, &body, Some(("x-trunkline-strict", "true"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = first.last_request().expect("one was sent").json();
    assert_eq!(seen["metadata"], json!({"user_id": "ann"}), "{seen}");
}

/// Newer models of the one vendor refuse a conversation that ends with words of their own, and every one of them does while it thinks.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_cannot_go_on_from_a_begun_answer_is_passed_over_with_the_reason() {
    let (first, second) = (simulator(DialectName::Anthropic).await, simulator(DialectName::OpenAi).await);
    let gateway = Gateway::start(&format!(
        "providers:\n{}{}routes:\n  both:\n    tiers:\n      a: {{ deployments: [first/claude-opus-4-6] }}\n      b: {{ deployments: [second/gpt-4.1-mini] }}\n    fallback: {{ error: [b] }}\n",
        provider("first", DialectName::Anthropic, &first.base_url()),
        provider("second", DialectName::OpenAi, &second.base_url()),
    ))
    .await;
    let body = |model: &str, more: serde_json::Value| {
        let mut body = Face::OpenAi.value(model, "Name a colour as JSON", false);
        body["messages"].as_array_mut().unwrap().push(json!({"role": "assistant", "content": "{"}));
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let alone = send(&gateway, &body("first/claude-opus-4-6", json!({})), None).await;
    assert_eq!((alone.status, alone.error_code()), (400, "unsupported_parameter"), "{}", alone.text());
    assert!(alone.text().contains("end with a user message"), "{}", alone.text());
    let thinking =
        send(&gateway, &body("first/claude-sonnet-4-5", json!({"reasoning_effort": "low"})), None).await;
    assert_eq!(thinking.status, 400, "{}", thinking.text());
    assert!(thinking.text().contains("turn reasoning off"), "{}", thinking.text());
    assert!(first.requests().is_empty(), "it is explained before it is sent");
    let older = send(&gateway, &body("first/claude-sonnet-4-5", json!({})), None).await;
    assert_eq!(older.status, 200, "{}", older.text());
    let routed = send(&gateway, &body("both", json!({})), None).await;
    assert_eq!(routed.status, 200, "{}", routed.text());
    assert_eq!(routed.headers["x-trunkline-provider"], "second");
}

/// What OpenAI itself would answer 400 to is not sent there for clients of other protocols.
#[tokio::test(flavor = "multi_thread")]
async fn what_only_look_alikes_take_does_not_reach_the_vendor() {
    let vendor = simulator(DialectName::OpenAi).await;
    let gateway = Gateway::start(&format!(
        "providers:\n{}",
        provider("vendor", DialectName::OpenAi, &vendor.base_url())
    ))
    .await;
    let mut body = Face::Anthropic.value("vendor/gpt-4.1-mini", "Hello", false);
    body["top_k"] = json!(5);
    let answer = gateway.post(Face::Anthropic.path(), body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.header("x-trunkline-warnings").contains("top_k dropped"), "{:?}", answer.headers);
    assert!(vendor.last_request().unwrap().json().get("top_k").is_none());
    body["stop_sequences"] = json!(["a", "b", "c", "d", "e"]);
    let answer = gateway.post(Face::Anthropic.path(), body.to_string()).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("at most 4 stop texts"), "{}", answer.text());
    // Penalties are sampling, and reasoning models take none of it.
    for path in [Face::OpenAi.path(), "/v1beta/models/vendor%2Fgpt-5:generateContent"] {
        let body = if path.starts_with("/v1beta") {
            json!({"contents": [{"parts": [{"text": "Hello"}]}], "generationConfig": {"frequencyPenalty": 0.5}})
        } else {
            let mut body = Face::OpenAi.value("vendor/gpt-5", "Hello", false);
            body["frequency_penalty"] = json!(0.5);
            body["presence_penalty"] = json!(0.0);
            body
        };
        let answer = gateway.post(path, body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let warnings = answer.header("x-trunkline-warnings");
        assert!(
            warnings.contains("frequency_penalty dropped") && !warnings.contains("presence"),
            "{warnings}"
        );
        assert!(vendor.last_request().unwrap().json().get("frequency_penalty").is_none());
    }
}

/// A preset says what its provider refuses and what it takes in vain: the one goes elsewhere, of the other the client is told.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_preset_knows_of_parameters_holds_where_bodies_pass() {
    let (first, second) = (simulator(DialectName::OpenAi).await, simulator(DialectName::OpenAi).await);
    let own = |name: &str, preset: &str, simulator: &trunkline_sim::Simulator| {
        format!(
            "  {name}: {{ preset: {preset}, url: \"{}/v1\", key: sim-key-{name}, models: [mine] }}\n",
            simulator.base_url()
        )
    };
    let gateway = Gateway::start(&format!(
        "providers:\n{}{}{}routes:\n  both:\n    tiers:\n      a: {{ deployments: [refuses/mine] }}\n      b: {{ deployments: [takes/mine] }}\n    fallback: {{ error: [b] }}\n",
        own("refuses", "perplexity", &first),
        own("ignores", "sambanova", &first),
        own("takes", "openai-compatible", &second),
    ))
    .await;
    let body = |model: &str, name: &str, value: serde_json::Value| {
        let mut body = Face::OpenAi.value(model, "Hello", false);
        body[name] = value;
        body
    };
    let stopped = send(&gateway, &body("both", "stop", json!(["END"])), None).await;
    assert_eq!(stopped.status, 200, "{}", stopped.text());
    assert_eq!(
        stopped.headers["x-trunkline-provider"], "takes",
        "an answer without the stop text is another answer"
    );
    assert_eq!(second.last_request().unwrap().json()["stop"], json!(["END"]));
    let alone = send(&gateway, &body("refuses/mine", "stop", json!(["END"])), None).await;
    assert_eq!((alone.status, alone.error_code()), (400, "unsupported_parameter"), "{}", alone.text());
    assert!(first.requests().is_empty());
    for (face, name) in [(Face::OpenAi, "seed"), (Face::OpenAi, "presence_penalty")] {
        let told = send(&gateway, &body("ignores/mine", name, json!(1)), None).await;
        assert_eq!(told.status, 200, "{} {}", face.name(), told.text());
        let warnings = told.header("x-trunkline-warnings");
        assert!(
            warnings.contains(&format!("{name} dropped: the target takes it and does nothing with it")),
            "{warnings}"
        );
        assert_eq!(first.last_request().unwrap().json()[name], 1, "it is sent all the same");
    }
    let strict =
        send(&gateway, &body("ignores/mine", "seed", json!(1)), Some(("x-trunkline-strict", "true"))).await;
    assert_eq!(strict.status, 400, "{}", strict.text());
}

/// Betas reach whoever speaks the protocol, also where the body has to be written anew; anybody else's answer lacks them, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn betas_reach_every_provider_of_their_protocol_and_are_told_elsewhere() {
    const BETA: &str = "anthropic-beta";
    const ASKED: &str = "context-1m-2025-08-07,interleaved-thinking-2025-05-14";
    let (first, second) = (simulator(DialectName::Anthropic).await, simulator(DialectName::OpenAi).await);
    let gateway = Gateway::start(&format!(
        "providers:\n{}{}",
        provider("first", DialectName::Anthropic, &first.base_url()),
        provider("second", DialectName::OpenAi, &second.base_url()),
    ))
    .await;
    let post = async |body: &Value, more: Option<(&str, &str)>| {
        let mut request = gateway.builder(Face::Anthropic.path()).header(BETA, ASKED);
        if let Some((name, value)) = more {
            request = request.header(name, value);
        }
        gateway.send(request.body(Full::new(Bytes::from(body.to_string()))).unwrap()).await
    };
    let mut body = Face::Anthropic.value(&format!("first/{}", model(DialectName::Anthropic)), "Hello", false);
    let passed = post(&body, None).await;
    assert_eq!(passed.status, 200, "{}", passed.text());
    assert_eq!(first.last_request().unwrap().header(BETA), Some(ASKED));
    // Thinking that nobody signed is taken out, so that this body does not pass.
    body["messages"] = json!([
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hmm", "signature": ""}, {"type": "text", "text": "Hi"}]},
        {"role": "user", "content": "Hello again"},
    ]);
    let translated = post(&body, None).await;
    assert_eq!(translated.status, 200, "{}", translated.text());
    let seen = first.last_request().unwrap();
    assert!(!seen.json().to_string().contains("Hmm"), "{}", seen.json());
    assert_eq!(seen.header(BETA), Some(ASKED));
    let other = Face::Anthropic.value(&format!("second/{}", model(DialectName::OpenAi)), "Hello", false);
    let told = post(&other, None).await;
    assert_eq!(told.status, 200, "{}", told.text());
    assert!(told.header("x-trunkline-warnings").contains("anthropic-beta dropped"), "{:?}", told.headers);
    assert_eq!(second.last_request().unwrap().header(BETA), None);
    for header in [("x-trunkline-strict", "true"), ("x-trunkline-require", "parameters")] {
        let refused = post(&other, Some(header)).await;
        assert!(refused.status >= 400 && refused.text().contains(BETA), "{header:?} {}", refused.text());
    }
}

/// Models that cannot do something, one provider for two protocols.
async fn limited() -> (trunkline_sim::Simulator, trunkline_sim::Simulator, Gateway) {
    let (plain, claude) = (simulator(DialectName::OpenAi).await, simulator(DialectName::Anthropic).await);
    let with_model =
        |settings: String, model: &str| settings.replace(" }\n", &format!(", models: [{model}] }}\n"));
    let providers = with_model(provider("plain", DialectName::OpenAi, &plain.base_url()), "mute")
        + &with_model(provider("claude", DialectName::Anthropic, &claude.base_url()), "mute");
    let gateway = Gateway::start(&format!(
        "providers:\n{providers}models:\n  plain/mute: {{ capabilities: {{ tools: false, reasoning: false, image_input: false, json_schema: false }}, context_window: 2000 }}\n  \
         claude/mute: {{ capabilities: {{ tools: true, reasoning: false, image_input: false, json_schema: false }}, context_window: 2000 }}\n\
         routes:\n  both:\n    tiers: {{ one: {{ deployments: [plain/mute] }}, two: {{ deployments: [claude/mute] }} }}\n    \
         fallback: {{ error: [two] }}\n"
    ))
    .await;
    (plain, claude, gateway)
}

/// Translation leaves reasoning out with a warning, and so does routing where nobody can reason: it is no outage.
#[tokio::test(flavor = "multi_thread")]
async fn reasoning_that_nobody_can_do_is_left_out_with_a_warning() {
    let (plain, claude, gateway) = limited().await;
    let chat = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "Hello", "name": "ann"}], "reasoning_effort": "high", "user": "ann"});
    for model in ["both", "plain/mute"] {
        let answer = send(&gateway, &chat(model), None).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            answer.header("x-trunkline-warnings"),
            "reasoning dropped: given up: no deployment that may serve the request can do it"
        );
        let mut expected = chat(model);
        expected["model"] = json!("mute");
        expected.as_object_mut().unwrap().remove("reasoning_effort");
        assert_eq!(plain.last_request().expect("one was sent").json(), expected, "the rest passes");
    }
    let messages = json!({"model": "claude/mute", "max_tokens": 1500, "thinking": {"type": "enabled", "budget_tokens": 1024},
        "messages": [{"role": "user", "content": "Hello"}]});
    let answer = gateway.post("/v1/messages", messages.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.header("x-trunkline-warnings").contains("reasoning dropped: "), "{:?}", answer.headers);
    let seen = claude.last_request().expect("one was sent").json();
    assert_eq!((&seen["thinking"], &seen["messages"]), (&Value::Null, &messages["messages"]), "{seen}");
    for header in [("x-trunkline-strict", "true"), ("x-trunkline-require", "parameters")] {
        let refused = send(&gateway, &chat("both"), Some(header)).await;
        assert_eq!((refused.status, refused.error_code()), (400, "unsupported_parameter"), "{header:?}");
    }
}

/// A schema is reached with other means where translation has some, and refused where it has none.
#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_no_model_follows_is_left_to_translation() {
    let (plain, claude, gateway) = limited().await;
    let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "schema":
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false}}});
    let body = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "Where?"}], "response_format": format});
    let answer = send(&gateway, &body("both"), None).await;
    assert_eq!((answer.status, answer.header("x-trunkline-provider")), (200, "claude"), "{}", answer.text());
    let warnings = answer.header("x-trunkline-warnings");
    assert_eq!(warnings, "response_format emulated: reached with a forced tool");
    assert_eq!(claude.last_request().expect("one was sent").json()["tool_choice"]["type"], "tool");
    let refused = send(&gateway, &body("plain/mute"), None).await;
    assert_eq!((refused.status, refused.error_code()), (400, "unsupported_parameter"), "{}", refused.text());
    let refused = send(&gateway, &body("both"), Some(("x-trunkline-strict", "true"))).await;
    assert_eq!((refused.status, refused.error_code()), (400, "unsupported_parameter"), "{}", refused.text());
    assert_eq!((plain.requests().len(), claude.requests().len()), (0, 1));
}

/// Nor is anything else an outage that a request asks for and nobody can do: it says what, who, and a way out.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_do_is_the_requests_fault() {
    let (plain, claude, gateway) = limited().await;
    let user = |content: Value| json!([{"role": "user", "content": content}]);
    let picture = user(json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]));
    let tool = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let mut told = Vec::new();
    for (body, strict) in [
        (json!({"model": "both", "messages": picture}), "false"),
        (json!({"model": "plain/mute", "messages": user(json!("Hello")), "tools": tool}), "false"),
        (json!({"model": "both", "messages": user(json!("Hello")), "reasoning_effort": "low"}), "true"),
        (json!({"model": "both", "messages": user(json!("Hello ".repeat(5_000)))}), "false"),
    ] {
        let refused = send(&gateway, &body, Some(("x-trunkline-strict", strict))).await;
        let error = refused.json()["error"].clone();
        told.push(format!("{} {}: {}", refused.status, error["code"], error["message"].as_str().unwrap()));
    }
    let messages = json!({"model": "claude/mute", "max_tokens": 100, "messages": [
        {"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]}]});
    let refused = gateway.post("/v1/messages", messages.to_string()).await;
    told.push(format!("{} {}", refused.status, refused.json()["error"]["type"]));
    insta::assert_snapshot!(told.join("\n"));
    assert_eq!((plain.requests().len(), claude.requests().len()), (0, 0));
}

/// Each name is in the warnings, and nothing else is dropped; a strict request is refused before it is sent.
async fn all_is_told(
    gateway: &Gateway,
    first: &trunkline_sim::Simulator,
    (path, body): (&str, &Value),
    names: &[&str],
) {
    let told = gateway.post(path, body.to_string()).await;
    assert_eq!(told.status, 200, "{}", told.text());
    let warnings = told.header("x-trunkline-warnings");
    assert_eq!(warnings.matches(" dropped: ").count(), names.len(), "{warnings}");
    assert!(names.iter().all(|name| warnings.contains(&format!("{name} dropped: "))), "{warnings}");
    let seen = first.requests().len();
    let request = gateway.builder(path).header("x-trunkline-strict", "true");
    let refused = gateway.send(request.body(Full::new(Bytes::from(body.to_string()))).unwrap()).await;
    assert_eq!((refused.status, first.requests().len()), (400, seen), "{}", refused.text());
}
