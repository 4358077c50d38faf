//! The responses API: answers and streams from every kind of provider, the store, chains, the background.

use crate::support::{Answer, Gateway, eventually, provider, simulator};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use trunkline_sim::{DialectName, Fault, SimConfig, Simulator};

const ANN: &str = "sk-ann-0123456789abcdef";
const BOB: &str = "sk-bob-0123456789abcdef";

/// A provider of each kind, as clients of the responses API meet them: one that speaks it too, and those that do not.
const MODELS: [&str; 4] =
    ["oa/gpt-5-mini", "chat/gpt-4.1-mini", "an/claude-sonnet-4-5", "ge/gemini-2.5-flash"];

struct Stage {
    openai: Simulator,
    second: Simulator,
    others: Vec<Simulator>,
    gateway: Gateway,
}

async fn stage() -> Stage {
    let openai = simulator(DialectName::OpenAi).await;
    let secret = 99;
    let second = Simulator::start(SimConfig { secret, ..SimConfig::new(DialectName::OpenAi) }).await.unwrap();
    let chat = simulator(DialectName::OpenAi).await;
    let anthropic = simulator(DialectName::Anthropic).await;
    let gemini = simulator(DialectName::Gemini).await;
    let chat_only = format!(
        "  chat: {{ preset: openai-compatible, url: \"{}/v1\", key: sim-key, models: [gpt-4.1-mini] }}\n",
        chat.base_url()
    );
    let chat_only = chat_only
        + &format!(
            "  edge: {{ preset: openai-responses, url: \"{}/v1\", key: sim-key, models: [gpt-5-mini, gpt-4.1-mini] }}\n",
            openai.base_url()
        );
    let configuration = format!(
        "keys: {{ ann: {{ key: {ANN} }}, bob: {{ key: {BOB} }} }}\nproviders:\n{}{}{}{}{}routes:\n  \
         pair: {{ tiers: {{ first: {{ deployments: [oa/gpt-5-mini] }}, next: {{ deployments: [two/gpt-5-mini] }} }}, \
         fallback: {{ error: [next] }} }}\n",
        provider("oa", DialectName::OpenAi, &openai.base_url()),
        provider("two", DialectName::OpenAi, &second.base_url()),
        provider("an", DialectName::Anthropic, &anthropic.base_url()),
        provider("ge", DialectName::Gemini, &gemini.base_url()),
        chat_only,
    );
    let gateway = Gateway::start(&configuration).await;
    Stage { openai, second, others: vec![chat, anthropic, gemini], gateway }
}

async fn ask(gateway: &Gateway, key: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
    let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "gateway")
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(Full::new(body));
    gateway.send(request.unwrap()).await
}

impl Stage {
    async fn create(&self, body: Value) -> Answer {
        ask(&self.gateway, ANN, Method::POST, "/v1/responses", Some(body)).await
    }

    async fn get(&self, path: &str) -> Answer {
        ask(&self.gateway, ANN, Method::GET, path, None).await
    }
}

fn text_of(response: &Value) -> String {
    let output = response["output"].as_array().cloned().unwrap_or_default();
    let parts = output.iter().filter_map(|item| item["content"].as_array()).flatten();
    parts.filter_map(|part| part["text"].as_str()).collect()
}

/// What the specification requires of every response object.
fn check_object(response: &Value) {
    let required = [
        "id",
        "object",
        "created_at",
        "error",
        "incomplete_details",
        "instructions",
        "model",
        "tools",
        "output",
        "parallel_tool_calls",
        "metadata",
        "tool_choice",
        "temperature",
        "top_p",
    ];
    for name in required {
        assert!(response.get(name).is_some(), "{name} is missing in {response}");
    }
    assert_eq!(response["object"], "response");
    assert!(response["id"].as_str().unwrap().starts_with("resp_"), "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_made_kept_shown_and_deleted_whatever_is_behind() {
    let stage = stage().await;
    for model in MODELS {
        let body = json!({"model": model, "input": "Hello there", "instructions": "Be kind.", "metadata": {"a": "b"}});
        let answer = stage.create(body).await;
        assert_eq!(answer.status, 200, "{model}: {}", answer.text());
        let response = answer.json();
        check_object(&response);
        assert!(text_of(&response).contains("\"Hello there\""), "{model}: {response}");
        assert!(text_of(&response).contains("Be kind."), "{model}: {response}");
        assert_eq!(
            (&response["store"], &response["metadata"]),
            (&json!(true), &json!({"a": "b"})),
            "{model}"
        );
        assert_eq!(response["status"], "completed");
        let usage = &response["usage"];
        let number = |name: &str| usage[name].as_u64().unwrap();
        assert_eq!(number("total_tokens"), number("input_tokens") + number("output_tokens"));
        let path = format!("/v1/responses/{}", response["id"].as_str().unwrap());
        assert_eq!(stage.get(&path).await.json(), response, "{model}");
        let items = stage.get(&format!("{path}/input_items")).await.json();
        assert_eq!(items["data"][0]["content"][0]["text"], "Hello there", "{model}: {items}");
        // Another key's response is not there.
        for (method, path) in [
            (Method::GET, path.clone()),
            (Method::DELETE, path.clone()),
            (Method::POST, format!("{path}/cancel")),
            (Method::GET, format!("{path}/input_items")),
        ] {
            assert_eq!(ask(&stage.gateway, BOB, method, &path, None).await.status, 404);
        }
        let deleted = ask(&stage.gateway, ANN, Method::DELETE, &path, None).await;
        assert_eq!(deleted.json()["deleted"], true);
        let gone = stage.get(&path).await;
        assert_eq!((gone.status, gone.error_code()), (404, "not_found"));
        let unkept = stage.create(json!({"model": model, "input": "Hello", "store": false})).await.json();
        assert_eq!(unkept["store"], false, "{model}");
        let path = format!("/v1/responses/{}", unkept["id"].as_str().unwrap());
        assert_eq!(stage.get(&path).await.status, 404, "{model}: not to be stored");
    }
    // What the provider was told: nothing to store, everything that its state needs.
    let first = &stage.openai.requests()[0];
    let sent: Value = serde_json::from_slice(&first.body).unwrap();
    assert_eq!((first.path.as_str(), &sent["store"]), ("/v1/responses", &json!(false)));
    assert_eq!(sent["include"], json!(["reasoning.encrypted_content"]));
    assert!(
        stage.others.iter().all(|simulator| simulator
            .requests()
            .iter()
            .all(|request| !request.path.ends_with("/responses")))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_every_event_in_order_and_is_kept_and_told_again() {
    let stage = stage().await;
    for model in MODELS {
        let body = json!({"model": model, "input": "Hello there", "stream": true, "metadata": {"a": "b"}});
        let answer = stage.create(body).await;
        assert_eq!((answer.status, answer.whole), (200, true), "{model}: {}", answer.text());
        let events: Vec<Value> =
            answer.events().iter().map(|(_, data)| serde_json::from_str(data).unwrap()).collect();
        for (number, (event, (name, _))) in events.iter().zip(answer.events()).enumerate() {
            assert_eq!(event["sequence_number"], json!(number), "{model}");
            assert_eq!(event["type"].as_str(), name, "{model}");
        }
        let names: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(names[..2], ["response.created", "response.in_progress"], "{model}");
        for name in [
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
        ] {
            assert!(names.contains(&name), "{model}: no {name}");
        }
        assert_eq!(names.last(), Some(&"response.completed"), "{model}");
        let response = &events.last().unwrap()["response"];
        check_object(response);
        let deltas = events.iter().filter(|event| event["type"] == "response.output_text.delta");
        let said: String = deltas.map(|event| event["delta"].as_str().unwrap()).collect();
        assert_eq!(said, text_of(response), "{model}");
        assert_eq!(response["store"], true, "{model}");
        let path = format!("/v1/responses/{}", response["id"].as_str().unwrap());
        assert_eq!(&stage.get(&path).await.json(), response, "{model}");
        let again = stage.get(&format!("{path}?stream=true&starting_after=1")).await;
        let last: Value = serde_json::from_str(again.events().last().unwrap().1).unwrap();
        assert_eq!(&last["response"], response, "{model}");
        assert!(!again.text().contains("response.created"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_goes_on_by_its_id_whatever_is_behind() {
    let stage = stage().await;
    for model in MODELS {
        let tool = json!({"type": "function", "name": "get_weather", "strict": false,
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}});
        let first = stage
            .create(json!({"model": model, "input": "Use get_weather", "tools": [tool], "reasoning": {"effort": "low", "summary": "auto"}}))
            .await;
        assert_eq!(first.status, 200, "{model}: {}", first.text());
        let first = first.json();
        let call =
            first["output"].as_array().unwrap().iter().find(|item| item["type"] == "function_call").unwrap();
        let result =
            json!({"type": "function_call_output", "call_id": call["call_id"], "output": "21 degrees"});
        let second = stage
            .create(json!({"model": model, "previous_response_id": first["id"], "input": [result], "tools": [tool], "reasoning": {"effort": "low"}}))
            .await;
        // The simulators check calls, results and every seal and signature.
        assert_eq!(second.status, 200, "{model}: {}", second.text());
        let second = second.json();
        assert!(text_of(&second).contains("get_weather returned: 21 degrees"), "{model}: {second}");
        assert_eq!(second["previous_response_id"], first["id"], "{model}");
        let third = stage
            .create(json!({"model": model, "previous_response_id": second["id"], "input": "And now?"}))
            .await;
        assert_eq!(third.status, 200, "{model}: {}", third.text());
        let path =
            format!("/v1/responses/{}/input_items?order=asc&limit=2", third.json()["id"].as_str().unwrap());
        let items = stage.get(&path).await.json();
        assert_eq!(items["data"][0]["content"][0]["text"], "Use get_weather", "{model}: {items}");
        assert_eq!((items["has_more"].as_bool(), items["data"].as_array().unwrap().len()), (Some(true), 2));
        let stolen = json!({"model": model, "previous_response_id": first["id"], "input": "x"});
        let stolen = ask(&stage.gateway, BOB, Method::POST, "/v1/responses", Some(stolen)).await;
        assert_eq!(
            (stolen.status, stolen.json()["error"]["param"].as_str()),
            (400, Some("previous_response_id"))
        );
        let reference = json!([{"role": "user", "content": "x"}, {"type": "item_reference", "id": second["output"].as_array().unwrap().last().unwrap()["id"]},
            {"role": "user", "content": "Say more"}]);
        let referring = stage.create(json!({"model": model, "input": reference})).await;
        assert_eq!(referring.status, 200, "{model}: {}", referring.text());
        let nameless = json!([{"type": "item_reference", "id": ""}]);
        let nameless = stage
            .create(json!({"model": model, "previous_response_id": first["id"], "input": nameless}))
            .await;
        assert_eq!(nameless.status, 404, "{model}: {}", nameless.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn state_binds_its_deployment_and_is_left_out_elsewhere() {
    let stage = stage().await;
    let first =
        stage.create(json!({"model": "pair", "input": "Hello", "reasoning": {"effort": "low"}})).await;
    assert_eq!(first.header("x-trunkline-provider"), "oa", "{}", first.text());
    stage.openai.fail_with(Fault::Unavailable);
    let body = json!({"model": "pair", "previous_response_id": first.json()["id"], "input": "Go on"});
    let second = stage.create(body).await;
    assert_eq!(second.status, 200, "{}", second.text());
    assert_eq!(second.header("x-trunkline-provider"), "two");
    assert!(
        second
            .header("x-trunkline-warnings")
            .contains("previous_response_id dropped: 1 pieces made by another provider"),
        "{:?}",
        second.headers
    );
    assert!(
        !String::from_utf8_lossy(&stage.second.last_request().unwrap().body)
            .contains("\"encrypted_content\"")
    );
    stage.openai.heal();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_in_the_background_is_polled_cancelled_and_survives_no_restart_in_silence() {
    let mut stage = stage().await;
    for model in MODELS {
        let begun = stage.create(json!({"model": model, "input": "Hello there", "background": true})).await;
        assert_eq!(begun.status, 200, "{model}: {}", begun.text());
        let begun = begun.json();
        check_object(&begun);
        assert_eq!((&begun["status"], &begun["background"]), (&json!("queued"), &json!(true)), "{model}");
        let path = format!("/v1/responses/{}", begun["id"].as_str().unwrap());
        let done = eventually("the end of the response", async || {
            let now = stage.get(&path).await.json();
            (!matches!(now["status"].as_str(), Some("queued" | "in_progress"))).then_some(now)
        })
        .await;
        assert_eq!(
            (&done["status"], &done["id"], &done["background"]),
            (&json!("completed"), &begun["id"], &json!(true)),
            "{model}: {done}"
        );
        assert!(text_of(&done).contains("Hello there"), "{model}: {done}");
        // Cancelling what is over changes nothing.
        let cancelled = ask(&stage.gateway, ANN, Method::POST, &format!("{path}/cancel"), None).await;
        assert_eq!(cancelled.json()["status"], "completed", "{model}");
        let streamed = stage
            .create(json!({"model": model, "input": "Hello there", "background": true, "stream": true}))
            .await;
        assert!(streamed.text().contains("event: response.completed"), "{model}: {}", streamed.text());
        let id =
            streamed.events()[0].1.split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let rest = stage.get(&format!("/v1/responses/{id}?stream=true&starting_after=3")).await;
        assert!(
            streamed.text().ends_with(rest.text()) && !rest.text().is_empty(),
            "{model}: {}",
            rest.text()
        );
    }
    stage.openai.fail_with(Fault::HangBeforeHeaders);
    let hang = json!({"model": "oa/gpt-5-mini", "input": "Hello", "background": true});
    let id = stage.create(hang.clone()).await.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/responses/{id}");
    eventually("the call upstream", async || (stage.openai.counters().requests > 0).then_some(())).await;
    eventually("progress", async || (stage.get(&path).await.json()["status"] == "in_progress").then_some(()))
        .await;
    let before = stage.openai.counters().disconnects;
    let cancelled = ask(&stage.gateway, ANN, Method::POST, &format!("{path}/cancel"), None).await;
    assert_eq!(cancelled.json()["status"], "cancelled", "{}", cancelled.text());
    eventually("the call upstream to be dropped", async || {
        (stage.openai.counters().disconnects > before).then_some(())
    })
    .await;
    assert_eq!(stage.get(&path).await.json()["status"], "cancelled");
    // One that nobody can finish any more.
    let id = stage.create(hang).await.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/responses/{id}");
    eventually("progress", async || (stage.get(&path).await.json()["status"] == "in_progress").then_some(()))
        .await;
    stage.gateway.signal("KILL");
    stage.gateway.ended().await;
    stage.gateway = stage.gateway.again().await;
    let after = stage.get(&path).await.json();
    assert_eq!(
        (&after["status"], &after["error"]["code"]),
        (&json!("failed"), &json!("server_error")),
        "{after}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_stream_ends_with_an_error_and_is_kept_as_failed() {
    let stage = stage().await;
    for model in MODELS {
        let body = json!({"model": model, "input": "[[sim: words=40]] [[sim: fault=cut-after-first-token]]", "stream": true});
        let answer = stage.create(body).await;
        assert!(answer.whole, "{model}");
        let (name, last) = *answer.events().last().unwrap();
        assert_eq!(name, Some("error"), "{model}: {last}");
        assert!(!answer.text().contains("event: response.completed"), "{model}");
        let first: Value = serde_json::from_str(answer.events()[0].1).unwrap();
        let kept =
            stage.get(&format!("/v1/responses/{}", first["response"]["id"].as_str().unwrap())).await.json();
        assert_eq!(kept["status"], "failed", "{model}: {kept}");
        let refused = stage.create(json!({"model": model, "input": "[[sim: fault=bad-request]]"})).await;
        assert_eq!(refused.status, 400, "{model}: {}", refused.text());
        let gone_on = json!({"model": model, "input": "x", "previous_response_id": kept["id"]});
        assert_eq!(stage.create(gone_on).await.status, 400, "a failed response cannot be gone on with");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_clients_conversations_go_to_a_responses_endpoint_where_there_is_no_other() {
    let stage = stage().await;
    let tool = json!({"type": "function", "function": {"name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}});
    let mut messages = vec![json!({"role": "user", "content": "Use get_weather"})];
    let body = |messages: &[Value]| json!({"model": "edge/gpt-5-mini", "messages": messages, "tools": [tool], "reasoning_effort": "low"});
    let answer = ask(&stage.gateway, ANN, Method::POST, "/v1/chat/completions", Some(body(&messages))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let message = answer.json()["choices"][0]["message"].clone();
    assert_eq!(message["tool_calls"][0]["function"]["name"], "get_weather");
    // Sealed reasoning travels in the one place this client has for it, and is checked when it comes back.
    assert!(
        message["thinking_blocks"][0]["data"].as_str().unwrap().starts_with("trunkline:responses:"),
        "{message}"
    );
    let id = message["tool_calls"][0]["id"].clone();
    messages.push(message);
    messages.push(json!({"role": "tool", "tool_call_id": id, "content": "21 degrees"}));
    let answer = ask(&stage.gateway, ANN, Method::POST, "/v1/chat/completions", Some(body(&messages))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("get_weather returned: 21 degrees"), "{}", answer.text());
    let sent = stage.openai.last_request().unwrap();
    assert_eq!(sent.path, "/v1/responses");
    assert!(String::from_utf8_lossy(&sent.body).contains("\"encrypted_content\":\""));
    let messages = json!({"model": "edge/gpt-4.1-mini", "max_tokens": 100, "stream": true, "messages": [{"role": "user", "content": "Hello"}]});
    let answer = ask(&stage.gateway, ANN, Method::POST, "/v1/messages", Some(messages)).await;
    assert!(answer.text().contains("message_stop"), "{}", answer.text());
    let contents = json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]});
    let path = "/v1beta/models/edge%2Fgpt-4.1-mini:generateContent";
    let answer = ask(&stage.gateway, ANN, Method::POST, path, Some(contents)).await;
    assert!(answer.text().contains("Hello"), "{}", answer.text());
}
