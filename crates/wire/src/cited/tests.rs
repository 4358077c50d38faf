//! Whoever cites and whoever reads it: the same words of the answer rest on the same sources.

use crate::codec::{PathParts, Profile};
use crate::dispatch;
use crate::testing::{context, frames};
use bytes::BytesMut;
use serde_json::{Value, json};
use std::path::Path;
use trunkline_model::citation::{Citation, CitedSource, Claim};
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::event::{Delta, Event, Finish, PartKind};

/// The golden answers that cite something.
const CITING: [(Dialect, &str); 12] = [
    (Dialect::OpenAi, "cited.answer.sse"),
    (Dialect::OpenAi, "sources.answer.sse"),
    (Dialect::Anthropic, "citations.answer.json"),
    (Dialect::Anthropic, "citations.answer.sse"),
    (Dialect::Gemini, "grounded.answer.json"),
    (Dialect::Gemini, "grounded.answer.sse"),
    (Dialect::Responses, "cited.answer.json"),
    (Dialect::Responses, "cited.answer.sse"),
    (Dialect::Converse, "cited.answer.messages"),
    (Dialect::Cohere, "documents.answer.json"),
    (Dialect::Cohere, "documents.answer.sse"),
    (Dialect::Mistral, "referenced.answer.json"),
];

#[expect(clippy::disallowed_methods, reason = "goldens are files")]
fn events_of(dialect: Dialect, name: &str) -> Vec<Event> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let bytes = std::fs::read(source.join(dialect.name()).join("golden").join(name)).unwrap();
    let is_whole = name.ends_with("json");
    let bytes = if name.ends_with("messages") { crate::testing::messages_of(&bytes) } else { bytes };
    let delivery = if is_whole { Delivery::Plain } else { Delivery::Stream };
    let mut decoder = dispatch::decoder(dialect, Operation::Chat, delivery);
    let mut events = Vec::new();
    for frame in frames(dispatch::framing(dialect, delivery), &bytes, 11) {
        decoder.frame(frame.frame(), &mut events).unwrap();
    }
    decoder.end(&mut events).unwrap();
    events
}

fn written(client: Dialect, delivery: Delivery, events: &[Event]) -> (String, Vec<String>) {
    let mut encoder = dispatch::encoder(client, Operation::Chat, delivery, context());
    let mut out = BytesMut::new();
    events.iter().for_each(|event| encoder.event(event, &mut out));
    encoder.finish(&mut out);
    let warnings = encoder.warnings().iter().map(ToString::to_string).collect();
    (String::from_utf8(out.to_vec()).unwrap(), warnings)
}

/// A page, and the words of the first answer that rest on it.
type Rests = Vec<(String, String)>;

fn characters(text: &str, start: &Value, end: &Value) -> String {
    let (start, end) = (start.as_u64().unwrap() as usize, end.as_u64().unwrap() as usize);
    assert!(start <= end && end <= text.chars().count(), "{start}..{end} of {text}");
    text.chars().skip(start).take(end - start).collect()
}

/// What the events themselves say.
fn canonical(events: &[Event]) -> Rests {
    let mut texts = Vec::new();
    let mut text = String::new();
    let mut rests = Rests::new();
    for event in events {
        match event {
            Event::PartStart { choice: 0, part, kind: PartKind::Text } => texts.push(*part),
            Event::Delta { choice: 0, part, delta: Delta::Text(more) } if texts.contains(part) => {
                text += more
            }
            _ => {}
        }
    }
    for event in events {
        let Event::Citation { choice: 0, part, citation } = event else { continue };
        assert!(texts.contains(part), "it hangs on a text");
        let Some((url, _)) = citation.page() else { continue };
        let range = citation.claim.characters().cloned().unwrap_or(0..0);
        rests.push((url.to_owned(), characters(&text, &range.start.into(), &range.end.into())));
    }
    rests
}

/// The values of a stream's events.
fn data(stream: &str) -> Vec<Value> {
    let lines = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.filter(|line| *line != "[DONE]").map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_chat(text: &str, annotations: &[Value]) -> Rests {
    let rest = |annotation: &Value| {
        let fields = &annotation["url_citation"];
        let said = characters(text, &fields["start_index"], &fields["end_index"]);
        Some((fields["url"].as_str()?.to_owned(), said))
    };
    annotations.iter().filter_map(rest).collect()
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn chat(delivery: Delivery, out: &str) -> Rests {
    if !delivery.is_stream() {
        let body: Value = serde_json::from_str(out).unwrap();
        let message = &body["choices"][0]["message"];
        return of_chat(message["content"].as_str().unwrap(), &list(&message["annotations"]));
    }
    let (mut text, mut annotations) = (String::new(), Vec::new());
    for chunk in data(out) {
        let first = list(&chunk["choices"]).into_iter().find(|choice| choice["index"] == 0);
        let Some(choice) = first else { continue };
        text += choice["delta"]["content"].as_str().unwrap_or_default();
        annotations.extend(list(&choice["delta"]["annotations"]));
    }
    of_chat(&text, &annotations)
}

fn responses(delivery: Delivery, out: &str) -> Rests {
    let body = if delivery.is_stream() {
        let mut told = data(out);
        let last = told.pop().unwrap()["response"].clone();
        let added = told.iter().filter(|event| event["type"] == "response.output_text.annotation.added");
        let in_parts: usize = list(&last["output"])
            .iter()
            .flat_map(|item| list(&item["content"]))
            .map(|part| list(&part["annotations"]).len())
            .sum();
        assert_eq!(added.count(), in_parts, "each is told once on the way and once at the end");
        last
    } else {
        serde_json::from_str(out).unwrap()
    };
    let mut rests = Rests::new();
    for part in list(&body["output"]).iter().flat_map(|item| list(&item["content"])) {
        for annotation in list(&part["annotations"]) {
            if let Some(url) = annotation["url"].as_str() {
                let text = part["text"].as_str().unwrap();
                rests.push((
                    url.to_owned(),
                    characters(text, &annotation["start_index"], &annotation["end_index"]),
                ));
            }
        }
    }
    rests
}

fn gemini(delivery: Delivery, out: &str) -> Rests {
    let answers = if delivery.is_stream() { data(out) } else { vec![serde_json::from_str(out).unwrap()] };
    // Pieces of the same kind are one part, as clients join them.
    let mut parts: Vec<(bool, String)> = Vec::new();
    let mut grounding = Value::Null;
    for answer in &answers {
        for part in list(&answer["candidates"][0]["content"]["parts"]) {
            let (is_thought, text) = (part["thought"] == true, part["text"].as_str().unwrap_or_default());
            match parts.last_mut() {
                Some((same, joined)) if delivery.is_stream() && *same == is_thought => joined.push_str(text),
                _ => parts.push((is_thought, text.to_owned())),
            }
        }
        if answer["candidates"][0]["groundingMetadata"].is_object() {
            grounding = answer["candidates"][0]["groundingMetadata"].clone();
        }
    }
    let chunks = list(&grounding["groundingChunks"]);
    let mut rests = Rests::new();
    let mut used = Vec::new();
    for support in list(&grounding["groundingSupports"]) {
        let number = |name: &str| support["segment"][name].as_u64().unwrap_or(0) as usize;
        let text = &parts
            .get(number("partIndex"))
            .filter(|(thought, _)| !thought)
            .unwrap_or_else(|| parts.iter().find(|(thought, _)| !thought).unwrap())
            .1;
        for index in list(&support["groundingChunkIndices"]) {
            used.push(index.as_u64().unwrap() as usize);
            if let Some(url) = chunks[*used.last().unwrap()]["web"]["uri"].as_str() {
                rests.push((url.to_owned(), text[number("startIndex")..number("endIndex")].to_owned()));
            }
        }
    }
    for (index, chunk) in chunks.iter().enumerate() {
        if let Some(url) = chunk["web"]["uri"].as_str().filter(|_| !used.contains(&index)) {
            rests.push((url.to_owned(), String::new()));
        }
    }
    rests
}

#[test]
fn the_same_words_rest_on_the_same_pages_in_every_dialect() {
    let mut seen = 0;
    for (provider, name) in CITING {
        let events = events_of(provider, name);
        let mut told = canonical(&events);
        told.sort();
        assert!(events.iter().any(|event| matches!(event, Event::Citation { .. })), "{provider} {name}");
        seen += told.len();
        for delivery in [Delivery::Plain, Delivery::Stream] {
            for (client, read) in [
                (Dialect::OpenAi, chat as fn(Delivery, &str) -> Rests),
                (Dialect::Responses, responses),
                (Dialect::Gemini, gemini),
            ] {
                let mut rests = read(delivery, &written(client, delivery, &events).0);
                rests.sort();
                assert_eq!(rests, told, "{provider} {name} -> {client} {delivery:?}");
            }
        }
    }
    assert!(seen >= 20, "{seen}");
}

fn citation(source: CitedSource, claim: Claim) -> Event {
    let quote = Some("so".to_owned());
    Event::Citation {
        choice: 0,
        part: 0,
        citation: Box::new(Citation { source, quote, claim, native: None }),
    }
}

/// An answer of two texts; `cited` stands after the first, which is over.
fn answer(cited: &[Event]) -> Vec<Event> {
    let mut events = Vec::new();
    for part in 0..2 {
        events.push(Event::PartStart { choice: 0, part, kind: PartKind::Text });
        events.push(Event::Delta { choice: 0, part, delta: Delta::Text("Ja. ".to_owned()) });
        if part == 1 {
            events.extend_from_slice(cited);
        }
        events.push(Event::PartEnd { choice: 0, part });
    }
    events.push(Event::Finish {
        choice: 0,
        reason: Finish::Stop,
        native: String::new(),
        stop_sequence: None,
    });
    events.push(Event::End);
    events
}

#[test]
fn what_has_no_place_is_told() {
    let web = CitedSource::Web { url: "https://a".to_owned(), title: None };
    let file = CitedSource::Document { index: None, title: None, id: Some("f".to_owned()), within: None };
    let mut lines = Vec::new();
    for (name, source) in [("a page", web), ("a file", file), ("something", CitedSource::Other)] {
        for client in Dialect::CLIENTS {
            let [plain, stream] = [Delivery::Plain, Delivery::Stream].map(|delivery| {
                written(client, delivery, &answer(&[citation(source.clone(), Claim::Stretch(0..2))])).1
            });
            assert_eq!(plain, stream, "{client}");
            lines.push(format!("{name}, told after its part, to {client}: {plain:?}"));
        }
    }
    insta::assert_snapshot!(lines.join("\n"));
}

/// What a client sends back: pages that we cited have no index that their provider could read.
#[test]
fn what_we_cited_does_not_go_to_who_could_not_read_it() {
    let web = CitedSource::Web { url: "https://a".to_owned(), title: None };
    let mut cited = answer(&[]);
    let citation = Citation { source: web, quote: None, claim: Claim::Part(4..8), native: None };
    let at = cited.len() - 3;
    cited.insert(at, Event::Citation { choice: 0, part: 1, citation: Box::new(citation) });
    let (message, warnings) = written(Dialect::Anthropic, Delivery::Plain, &cited);
    assert_eq!(warnings, [""; 0]);
    let message: Value = serde_json::from_str(&message).unwrap();
    let request = json!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": message["content"]},
        {"role": "user", "content": "b"},
    ]});
    let body = request.to_string();
    assert!(body.contains("\"encrypted_index\":\"trunkline:none\""), "{body}");
    let path = PathParts::default();
    let envelope = dispatch::envelope(Dialect::Anthropic, Operation::Chat, body.as_bytes(), &path).unwrap();
    let profile = Profile::new("m");
    assert!(!dispatch::may_pass(Dialect::Anthropic, Operation::Chat, &envelope, body.as_bytes(), &profile));
    let request =
        dispatch::decode_request(Dialect::Anthropic, Operation::Chat, body.as_bytes(), &path).unwrap();
    let encoded = dispatch::encode_request(Dialect::Anthropic, &request, &profile, Delivery::Plain).unwrap();
    assert!(!String::from_utf8_lossy(&encoded.whole()).contains("encrypted_index"));
    let told: Vec<String> = encoded.warnings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"));
}
