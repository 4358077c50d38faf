//! Endpoints whose bodies are relayed: judging, pictures, sound. One attempt machine, bytes untouched but for the model.

use crate::support::{self, Answer, Gateway, KEY, simulator};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use trunkline_model::money::CostConfidence::{Exact, Unknown};
use trunkline_sim::{DialectName, Fault, Simulator};

/// A provider whose models are named, so that none of them disappears on the day its provider retires it.
fn provider(name: &str, dialect: DialectName, base_url: &str) -> String {
    let text = support::provider(name, dialect, base_url);
    let models = "omni-moderation-latest, gpt-image-2, whisper-1, gpt-4o-transcribe, gpt-4o-mini-tts, tts-1";
    match dialect {
        DialectName::OpenAi => text.replace(" }", &format!(", models: [{models}] }}")),
        _ => text,
    }
}

async fn one() -> (Simulator, Gateway) {
    let sim = simulator(DialectName::OpenAi).await;
    let gateway =
        Gateway::start(&format!("providers:\n{}", provider("oa", DialectName::OpenAi, &sim.base_url())))
            .await;
    (sim, gateway)
}

const EDGE: &str = "a boundary";

/// A form as clients write it: fields, then a file of `size` bytes that look like anything.
fn form(fields: &[(&str, &str)], file: &str, size: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = format!("--{EDGE}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    let head = format!(
        "--{EDGE}\r\nContent-Disposition: form-data; name=\"{file}\"; filename=\"a.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend((0..size).map(|index| (index * 7 % 251) as u8));
    body.extend_from_slice(format!("\r\n--{EDGE}--\r\n").as_bytes());
    body
}

async fn send_form(gateway: &Gateway, path: &str, body: Vec<u8>) -> Answer {
    let request = Request::post(path)
        .header("host", gateway.address().to_string())
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", format!("multipart/form-data; boundary=\"{EDGE}\""))
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    gateway.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn json_passes_but_for_the_model_and_is_metered() {
    let (sim, gateway) = one().await;
    let odd = |model: &str| {
        format!("{{ \"input\":\"I will k\\u0069ll it\",\n\"odd\": 1e0 ,\"model\" :\"{model}\"}} ")
    };
    let judged = gateway.post("/v1/moderations", odd("oa/omni-moderation-latest")).await;
    assert_eq!(
        (judged.status, &judged.json()["results"][0]["flagged"]),
        (200, &json!(true)),
        "{}",
        judged.text()
    );
    let received = sim.last_request().unwrap();
    assert_eq!(std::str::from_utf8(&received.body).unwrap(), odd("omni-moderation-latest"));
    let record = gateway.record(judged.id()).await;
    assert_eq!(
        (record.operation.name(), record.cost.confidence),
        ("moderations", Unknown),
        "no price is no zero"
    );
    assert_eq!(judged.header("x-trunkline-cost-confidence"), "unknown");
    assert_eq!(judged.header("x-trunkline-provider"), "oa");
    // The endpoint has a documented default.
    let bare = gateway.post("/v1/moderations", r#"{"input":"a"}"#).await;
    assert_eq!(bare.json()["model"], "omni-moderation-latest", "{}", bare.text());
    let drawn =
        gateway.post("/v1/images/generations", r#"{"model":"oa/gpt-image-2","prompt":"a cat","n":2}"#).await;
    assert_eq!(drawn.json()["data"].as_array().map(Vec::len), Some(2), "{}", drawn.text());
    let record = gateway.record(drawn.id()).await;
    assert_eq!(
        (record.usage.media.images, record.usage.media.image_output, record.cost.confidence),
        (2, 544, Exact)
    );
    assert!(drawn.header("x-trunkline-cost-usd").starts_with("0.0"), "{:?}", drawn.headers);
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_pass_but_for_the_model() {
    let (sim, gateway) = one().await;
    let made = |model: &str| form(&[("model", model), ("prompt", "more"), ("n", "1")], "image[]", 300_000);
    let edited = send_form(&gateway, "/v1/images/edits", made("oa/gpt-image-2")).await;
    assert_eq!(edited.status, 200, "{}", edited.text());
    assert_eq!(sim.last_request().unwrap().body, made("gpt-image-2"));
    assert_eq!(gateway.record(edited.id()).await.usage.media.image_input, 272);
    let varied = form(&[("model", "oa/gpt-image-2")], "image", 10);
    assert_eq!(send_form(&gateway, "/v1/images/variations", varied).await.status, 200);
    for (format, content_type, confidence) in [
        ("json", "application/json", Exact),
        ("verbose_json", "application/json", Exact),
        ("text", "text/plain; charset=utf-8", Unknown),
        ("srt", "text/plain; charset=utf-8", Unknown),
        ("vtt", "text/plain; charset=utf-8", Unknown),
    ] {
        for path in ["/v1/audio/transcriptions", "/v1/audio/translations"] {
            let body = form(&[("model", "oa/whisper-1"), ("response_format", format)], "file", 2_048);
            let heard = send_form(&gateway, path, body).await;
            assert_eq!((heard.status, heard.header("content-type")), (200, content_type), "{}", heard.text());
            assert!(heard.text().contains("quick brown fox"), "{}", heard.text());
            let record = gateway.record(heard.id()).await;
            assert_eq!(record.cost.confidence, confidence, "{format}");
            // Two seconds at a hundred dollars for a million of them.
            let amount = record.cost.amount.map_or(0, |amount| amount.0);
            // What is unknown is at least nothing.
            assert_eq!(amount, if confidence == Exact { 200_000 } else { 0 }, "{format}");
        }
    }
    let tokens = form(&[("model", "oa/gpt-4o-transcribe")], "file", 2_048);
    let heard = send_form(&gateway, "/v1/audio/transcriptions", tokens).await;
    let record = gateway.record(heard.id()).await;
    assert_eq!((record.usage.media.audio_input, record.cost.confidence), (20, Exact));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_pass_and_tell_the_cost_at_their_end() {
    let (_sim, gateway) = one().await;
    let drawn = r#"{"model":"oa/gpt-image-2","prompt":"a cat","stream":true,"partial_images":2}"#;
    let drawn = gateway.post("/v1/images/generations", drawn).await;
    let kinds: Vec<_> = drawn.events().iter().map(|(name, _)| name.unwrap_or_default().to_owned()).collect();
    assert_eq!(
        kinds,
        ["image_generation.partial_image", "image_generation.partial_image", "image_generation.completed"]
    );
    assert_eq!(drawn.header("content-type"), "text/event-stream; charset=utf-8");
    let last: Value = serde_json::from_str(drawn.events()[2].1).unwrap();
    assert_eq!(last["trunkline"]["cost_confidence"], "exact", "{last}");
    let fields = [("model", "oa/gpt-4o-transcribe"), ("stream", "true")];
    let heard = send_form(&gateway, "/v1/audio/transcriptions", form(&fields, "file", 2_048)).await;
    assert!(heard.text().contains("transcript.text.delta") && heard.text().contains("transcript.text.done"));
    assert_eq!(gateway.record(heard.id()).await.cost.confidence, Exact);
    // Whisper does not stream: what it answers instead goes on as what it is.
    let fields = [("model", "oa/whisper-1"), ("stream", "true")];
    let whole = send_form(&gateway, "/v1/audio/transcriptions", form(&fields, "file", 2_048)).await;
    assert_eq!((whole.status, whole.header("content-type")), (200, "application/json"), "{}", whole.text());
    assert!(whole.json()["text"].is_string());
    let spoken =
        r#"{"model":"oa/gpt-4o-mini-tts","input":"Hello you","voice":"alloy","stream_format":"sse"}"#;
    let spoken = gateway.post("/v1/audio/speech", spoken).await;
    assert!(spoken.text().contains("speech.audio.done"), "{}", spoken.text());
    let record = gateway.record(spoken.id()).await;
    assert_eq!((record.usage.media.audio_output, record.cost.confidence), (5, Exact), "{record:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_passes_byte_by_byte_and_a_cut_one_is_not_whole() {
    let (sim, gateway) = one().await;
    let text = "Hello, ".repeat(40);
    let body =
        json!({"model": "oa/tts-1", "input": text, "voice": "alloy", "response_format": "wav"}).to_string();
    let spoken = gateway.post("/v1/audio/speech", body.clone()).await;
    assert_eq!((spoken.status, spoken.header("content-type"), spoken.whole), (200, "audio/wav", true));
    assert_eq!(spoken.body.len(), text.len() * 64);
    let record = gateway.record(spoken.id()).await;
    assert_eq!((record.usage.media.characters, record.cost.confidence), (280, Exact));
    assert_eq!(record.cost.amount.map(|amount| amount.0), Some(4_200_000));
    for fault in [Fault::CutAfterFirstToken, Fault::ResetAfterFirstToken, Fault::CutAtByte(700)] {
        sim.fail_with(fault);
        let cut = gateway.post("/v1/audio/speech", body.clone()).await;
        assert!(!cut.whole && !cut.body.is_empty(), "{fault}: {} bytes", cut.body.len());
        assert!(spoken.body.starts_with(&cut.body), "{fault}");
        let record = gateway.record(cut.id()).await;
        assert_eq!((record.outcome.name(), record.cost.confidence), ("broken_off", Unknown), "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_provider_stands_in_before_the_first_byte() {
    let (one, two) = (simulator(DialectName::OpenAi).await, simulator(DialectName::OpenAi).await);
    let route = |name: &str, model: &str| {
        format!(
            "  {name}: {{ tiers: {{ first: {{ deployments: [oa/{model}] }}, second: {{ deployments: [ob/{model}] }} }} }}\n"
        )
    };
    let gateway = Gateway::start(&format!(
        "providers:\n{}{}routes:\n{}{}{}",
        provider("oa", DialectName::OpenAi, &one.base_url()),
        provider("ob", DialectName::OpenAi, &two.base_url()),
        route("say", "tts-1"),
        route("draw", "gpt-image-2"),
        route("hear", "whisper-1"),
    ))
    .await;
    for fault in
        [Fault::ServerError, Fault::HtmlOk, Fault::EmptyBody, Fault::CutBeforeFirstToken, Fault::WrongJson]
    {
        one.fail_with(fault);
        let spoken = gateway.post("/v1/audio/speech", r#"{"model":"say","input":"Hi","voice":"a"}"#).await;
        assert_eq!((spoken.status, spoken.header("x-trunkline-provider")), (200, "ob"), "{fault}");
        let drawn = gateway.post("/v1/images/generations", r#"{"model":"draw","prompt":"a"}"#).await;
        assert_eq!(
            (drawn.status, drawn.header("x-trunkline-provider")),
            (200, "ob"),
            "{fault}: {}",
            drawn.text()
        );
        let heard =
            send_form(&gateway, "/v1/audio/transcriptions", form(&[("model", "hear")], "file", 99)).await;
        assert_eq!(
            (heard.status, heard.header("x-trunkline-provider")),
            (200, "ob"),
            "{fault}: {}",
            heard.text()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_in_words() {
    let (openai, anthropic) = (simulator(DialectName::OpenAi).await, simulator(DialectName::Anthropic).await);
    let gateway = Gateway::start(&format!(
        "providers:\n{}{}",
        provider("oa", DialectName::OpenAi, &openai.base_url()),
        provider("an", DialectName::Anthropic, &anthropic.base_url())
    ))
    .await;
    let mut told = Vec::new();
    for (path, body) in [
        ("/v1/moderations", r#"{"model":"oa/omni-moderation-latest"}"#),
        ("/v1/images/generations", r#"{"prompt":"a"}"#),
        ("/v1/images/generations", r#"{"model":"an/claude-sonnet-4-5","prompt":"a"}"#),
        ("/v1/audio/speech", r#"{"model":"oa/gpt-image-2","input":"a","voice":"b"}"#),
        ("/v1/audio/speech", r#"{"model":"oa/tts-1","voice":"b"}"#),
        ("/v1/audio/speech", r#"{"model":"oa/tts-1","input":"a"}"#),
        ("/v1/chat/completions", r#"{"model":"oa/tts-1","messages":[]}"#),
        ("/v1/audio/transcriptions", "{"),
    ] {
        let answer = gateway.post(path, body).await;
        let error = &answer.json()["error"];
        // Who serves it instead changes with the catalogue.
        let message = error["message"].as_str().unwrap_or_default();
        let message = message.split_inclusive(" are served by").next().unwrap_or_default();
        told.push(format!("{path} {} {}: {message}", answer.status, error["code"]));
    }
    for body in [form(&[], "file", 3), b"nothing".to_vec()] {
        let answer = send_form(&gateway, "/v1/audio/transcriptions", body).await;
        let error = &answer.json()["error"];
        told.push(format!("form {} {}: {}", answer.status, error["code"], error["message"]));
    }
    let mut request = gateway.builder("/v1/audio/speech").body(Full::default()).unwrap();
    request.headers_mut().insert("content-type", "multipart/form-data; boundary=b".parse().unwrap());
    let answer = gateway.send(request).await;
    told.push(format!("a form where none is taken {}: {}", answer.status, answer.json()["error"]["message"]));
    insta::assert_snapshot!(told.join("\n"));
}
