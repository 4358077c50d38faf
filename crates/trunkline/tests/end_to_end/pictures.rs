//! Pictures that a model makes in the middle of a conversation, as clients of each protocol meet them.

use crate::support::{Answer, Face, Gateway, eventually, provider, simulator};
use http::Method;
use http_body_util::Full;
use serde_json::{Value, json};
use trunkline_sim::{DialectName, Simulator};

const MODEL: &str = "ge/gemini-2.5-flash";
const DRAW: &str = "Draw a cat [[sim: picture]]";
const PICTURE: &str = "iVBORw0KGgo=";

async fn stage() -> (Vec<Simulator>, Gateway) {
    let simulators = vec![simulator(DialectName::Gemini).await, simulator(DialectName::Anthropic).await];
    let text = format!(
        "providers:\n{}{}",
        provider("ge", DialectName::Gemini, &simulators[0].base_url()),
        provider("an", DialectName::Anthropic, &simulators[1].base_url()),
    );
    let gateway = Gateway::start(&text).await;
    (simulators, gateway)
}

async fn respond(gateway: &Gateway, body: &Value) -> Answer {
    let answer = gateway.post("/v1/responses", body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

/// The items of a response that are pictures.
fn drawn(response: &Value) -> Vec<&Value> {
    let items = response["output"].as_array().unwrap();
    items.iter().filter(|item| item["type"] == "image_generation_call").collect()
}

/// The part of Gemini's second content, which the model said, that is a picture.
fn returned(simulator: &Simulator) -> Value {
    let body = simulator.last_request().unwrap().json();
    let said = body["contents"][1].clone();
    assert_eq!(said["role"], "model", "{body}");
    let parts = said["parts"].as_array().unwrap();
    parts.iter().find(|part| !part["inlineData"].is_null()).unwrap_or_else(|| panic!("{said}")).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_responses_get_them_and_give_them_back() {
    let (simulators, gateway) = stage().await;
    let plain = respond(&gateway, &json!({"model": MODEL, "input": DRAW})).await.json();
    let pictures = drawn(&plain);
    assert_eq!(pictures.len(), 1, "{plain}");
    assert_eq!((&pictures[0]["result"], &pictures[0]["status"]), (&json!(PICTURE), &json!("completed")));
    // In the same order as the vendor: added, three steps, done; and once more in the last event.
    let streamed = respond(&gateway, &json!({"model": MODEL, "input": DRAW, "stream": true})).await;
    let events: Vec<Value> =
        streamed.events().iter().map(|(_, data)| serde_json::from_str(data).unwrap()).collect();
    let of_picture = |event: &&Value| {
        event["item"]["type"] == "image_generation_call"
            || event["item_id"].as_str().is_some_and(|id| id.starts_with("ig_"))
    };
    let names: Vec<&str> =
        events.iter().filter(of_picture).map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "response.output_item.added",
            "response.image_generation_call.in_progress",
            "response.image_generation_call.generating",
            "response.image_generation_call.completed",
            "response.output_item.done"
        ]
    );
    let last = &events.last().unwrap()["response"];
    assert_eq!(drawn(last)[0]["result"], PICTURE);
    let numbers: Vec<u64> = events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted_by(|one, next| one + 1 == *next), "{numbers:?}");
    // The next turn, by the stored response and by its items sent back.
    let mut items = vec![json!({"role": "user", "content": DRAW})];
    items.extend_from_slice(plain["output"].as_array().unwrap());
    items.push(json!({"role": "user", "content": "Make it blue"}));
    for next in [
        json!({"model": MODEL, "previous_response_id": last["id"], "input": "Make it blue"}),
        json!({"model": MODEL, "store": false, "input": items}),
    ] {
        respond(&gateway, &next).await;
        let part = returned(&simulators[0]);
        assert_eq!(part["inlineData"], json!({"mimeType": "image/png", "data": PICTURE}));
        assert!(part["thoughtSignature"].is_string(), "the simulator has checked it: {part}");
    }
    // A target that takes none back is told as such.
    let elsewhere =
        json!({"model": "an/claude-sonnet-4-5", "previous_response_id": last["id"], "input": "And now?"});
    let answer = respond(&gateway, &elsewhere).await;
    assert!(
        answer.header("x-trunkline-warnings").contains("dropped: Anthropic takes no files"),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_stream_is_told_again_with_them() {
    let (_simulators, gateway) = stage().await;
    let body = json!({"model": MODEL, "input": DRAW, "background": true});
    let begun = respond(&gateway, &body).await.json();
    let path = format!("/v1/responses/{}", begun["id"].as_str().unwrap());
    let get = async |path: &str| {
        let mut request = gateway.builder(path).body(Full::default()).unwrap();
        *request.method_mut() = Method::GET;
        gateway.send(request).await
    };
    eventually("the response's end", async || {
        (get(&path).await.json()["status"] == "completed").then_some(())
    })
    .await;
    let told = get(&format!("{path}?stream=true")).await;
    let text = told.text();
    let at = |name: &str| text.find(&format!("event: {name}\n")).unwrap_or_else(|| panic!("{name}: {text}"));
    let steps = ["in_progress", "generating", "completed"]
        .map(|step| at(&format!("response.image_generation_call.{step}")));
    assert!(steps.is_sorted(), "{text}");
    assert!(text[steps[2]..].contains(PICTURE) && !text[..steps[0]].contains(PICTURE), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_messages_are_told_that_there_was_one() {
    const WARNING: &str =
        "picture dropped: the model made one, and answers of this protocol have no place for it";
    let (_simulators, gateway) = stage().await;
    let plain = gateway.post(Face::Anthropic.path(), Face::Anthropic.body(MODEL, DRAW, false)).await;
    assert_eq!((plain.status, plain.header("x-trunkline-warnings")), (200, WARNING), "{}", plain.text());
    let streamed = gateway.post(Face::Anthropic.path(), Face::Anthropic.body(MODEL, DRAW, true)).await;
    assert!(streamed.text().contains(&format!(r#""warnings":["{WARNING}"]"#)), "{}", streamed.text());
    let record = gateway.record(streamed.id()).await;
    assert!(record.warnings.iter().any(|warning| warning.to_string() == WARNING), "{record:?}");
    // Clients of chat completions have a place for it, and nothing to be told.
    let chat = gateway.post(Face::OpenAi.path(), Face::OpenAi.body(MODEL, DRAW, false)).await;
    assert_eq!(chat.json()["choices"][0]["message"]["images"].as_array().map(Vec::len), Some(1));
    assert!(!chat.headers.contains_key("x-trunkline-warnings"), "{chat:?}");
}
