//! Generators of canonical values for the property tests of every dialect.
//!
//! Owns what all dialects can express; a dialect's test narrows it where its dialect cannot. Must not hold tests.

use crate::codec::{EncodeContext, Profile};
use crate::frame::{FRAME_LIMIT, Framer, Framing, RawFrame};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use trunkline_model::content::{
    Content, Media, MediaSource, Message, Opaque, Part, Role, ToolCall, ToolResult,
};
use trunkline_model::dialect::Dialect;
use trunkline_model::event::{Delta, Event, Finish, PartKind};
use trunkline_model::id::RequestId;
use trunkline_model::json::Json;
use trunkline_model::request::{
    ChatRequest, Effort, FunctionTool, OutputFormat, Reasoning, Sampling, Tool, ToolChoice, VectorEncoding,
};
use trunkline_model::usage::Usage;

/// A text with everything that needs care: quotes, escapes, controls, characters beyond ASCII and the basic plane.
pub(crate) fn text() -> impl Strategy<Value = String> {
    "[a-z \"\\\\/\n\t\u{1}é漢😀]{1,12}"
}

/// A small JSON object.
pub(crate) fn json_object() -> impl Strategy<Value = Json> {
    vec(
        (
            "[a-z]{1,4}",
            prop_oneof![Just("1".to_owned()), Just("[true,null]".to_owned()), Just("\"x}\\\"\"".to_owned())],
        ),
        0..3,
    )
    .prop_map(|fields| {
        let fields: Vec<String> = fields
            .iter()
            .enumerate()
            .map(|(index, (name, value))| format!("\"{name}{index}\":{value}"))
            .collect();
        Json::parse(format!("{{{}}}", fields.join(","))).unwrap()
    })
}

fn media() -> impl Strategy<Value = Part> {
    let source = prop_oneof![
        "[A-Za-z0-9+/]{4}".prop_map(|data| MediaSource::Base64(data.into())),
        "[a-z]{1,6}".prop_map(|name| MediaSource::Url(format!("https://example.com/{name}.png"))),
    ];
    source.prop_map(|source| {
        let media_type = matches!(source, MediaSource::Base64(_)).then(|| "image/png".to_owned());
        Part::new(Content::Image(Media { source, media_type, name: None, detail: None }))
    })
}

/// Parts of a user's message: text and pictures.
pub(crate) fn user_parts() -> impl Strategy<Value = Vec<Part>> {
    vec(prop_oneof![3 => text().prop_map(Part::text), 1 => media()], 1..4)
}

/// One exchange: a user's message, an answer, and the results of the calls in it.
fn exchange() -> impl Strategy<Value = Vec<Message>> {
    (user_parts(), option::of(text()), vec(("[a-z_]{1,8}", json_object(), text()), 0..3), "[a-z0-9]{6}")
        .prop_map(|(user, answer, calls, id)| {
            let mut messages = vec![Message { role: Role::User, parts: user, name: None }];
            let mut parts: Vec<Part> = answer.into_iter().map(Part::text).collect();
            let mut results = Vec::new();
            for (index, (name, arguments, result)) in calls.into_iter().enumerate() {
                let call_id = format!("call_{id}_{index}");
                parts.push(Part::new(Content::ToolCall(ToolCall { id: call_id.clone(), name, arguments })));
                let content =
                    ToolResult { call_id, name: None, parts: vec![Part::text(result)], is_error: false };
                results.push(Message {
                    role: Role::Tool,
                    parts: vec![Part::new(Content::ToolResult(content))],
                    name: None,
                });
            }
            if !parts.is_empty() {
                messages.push(Message { role: Role::Assistant, parts, name: None });
            }
            messages.extend(results);
            messages
        })
}

/// A conversation that ends with the user's turn or with tool results.
pub(crate) fn messages() -> impl Strategy<Value = Vec<Message>> {
    (option::of(text()), vec(exchange(), 1..3)).prop_map(|(system, exchanges)| {
        let system = system.map(|text| Message::text(Role::System, text));
        system.into_iter().chain(exchanges.into_iter().flatten()).collect()
    })
}

fn tools() -> impl Strategy<Value = Vec<Tool>> {
    vec(("[a-z_]{1,10}", option::of(text()), option::of(json_object())), 0..3).prop_map(|tools| {
        let tools = tools.into_iter().enumerate().map(|(index, (name, description, parameters))| {
            let name = format!("{name}_{index}");
            Tool::Function(FunctionTool { name, description, parameters, strict: None, cache: None })
        });
        tools.collect()
    })
}

fn sampling() -> impl Strategy<Value = Sampling> {
    (option::of(0u8..=4), option::of(0u8..=4), option::of(1u64..100), option::of(any::<i32>())).prop_map(
        |(temperature, top_p, top_k, seed)| Sampling {
            temperature: temperature.map(|quarter| f64::from(quarter) / 4.0),
            top_p: top_p.map(|quarter| f64::from(quarter) / 4.0),
            top_k,
            seed: seed.map(i64::from),
            ..Sampling::default()
        },
    )
}

/// A chat request that every dialect can express but for sampling parameters it lacks.
pub(crate) fn chat_request() -> impl Strategy<Value = ChatRequest> {
    let effort = prop_oneof![Just(Effort::Low), Just(Effort::Medium), Just(Effort::High)];
    let output = prop_oneof![
        3 => Just(OutputFormat::Text),
        1 => json_object().prop_map(|schema| OutputFormat::JsonSchema {
            name: Some("answer".to_owned()), description: None, schema, strict: None }),
    ];
    let parameters =
        (option::of(1u64..100_000), vec("[a-z]{1,5}", 0..3), option::of(effort), output, any::<u8>());
    (messages(), tools(), sampling(), parameters).prop_map(|(messages, tools, sampling, parameters)| {
        let (max_output_tokens, stop, effort, output, choice) = parameters;
        let tool_choice = match (choice % 5, tools.first()) {
            (0, Some(_)) => Some(ToolChoice::Auto),
            (1, Some(_)) => Some(ToolChoice::Required),
            (2, Some(Tool::Function(function))) => Some(ToolChoice::Named(function.name.clone())),
            (3, Some(_)) => Some(ToolChoice::None),
            _ => None,
        };
        ChatRequest {
            model: "model".to_owned(),
            messages,
            tools,
            tool_choice,
            max_output_tokens,
            sampling,
            stop,
            output,
            reasoning: effort.map(|effort| Reasoning { effort: Some(effort), ..Reasoning::default() }),
            ..ChatRequest::default()
        }
    })
}

#[derive(Clone, Debug)]
enum Piece {
    Text(Vec<String>),
    Thinking(Vec<String>, Option<String>),
    Call(String, Json, usize),
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        vec(text(), 1..4).prop_map(Piece::Text),
        (vec(text(), 1..3), option::of("[A-Za-z0-9+/=]{4,12}"))
            .prop_map(|(texts, signature)| Piece::Thinking(texts, signature)),
        ("[a-z_]{1,8}", json_object(), 0usize..20)
            .prop_map(|(name, arguments, cut)| Piece::Call(name, arguments, cut)),
    ]
}

/// The events of one answer of one choice; `origin` makes the signatures. No two neighbours are of the same kind of text,
/// because most dialects have no border between them. Usage comes after the finish, the end last.
pub(crate) fn answer(origin: Dialect) -> impl Strategy<Value = Vec<Event>> {
    let usage = (0u64..1000, 0u64..1000, 0u64..1000, 0u64..1000);
    (vec(piece(), 0..5), usage, any::<bool>(), "[a-z0-9]{8}").prop_map(move |(pieces, usage, is_cut, id)| {
        let mut events =
            vec![Event::Start { id, model: "upstream-model".to_owned(), created: Some(1_700_000_000) }];
        let mut part = 0;
        let mut last_kind = None;
        let mut has_calls = false;
        for piece in pieces {
            let kind = std::mem::discriminant(&piece);
            if last_kind == Some(kind) && !matches!(piece, Piece::Call(..)) {
                continue;
            }
            last_kind = Some(kind);
            has_calls |= matches!(piece, Piece::Call(..));
            push_piece(&mut events, part, piece, origin);
            part += 1;
        }
        let (reason, native) = match (has_calls, is_cut) {
            (true, _) => (Finish::ToolCalls, "tool_calls"),
            (false, true) => (Finish::Length, "length"),
            (false, false) => (Finish::Stop, "stop"),
        };
        events.push(Event::Finish { choice: 0, reason, native: native.to_owned(), stop_sequence: None });
        let (input, cache_read, output, reasoning) = usage;
        events.push(Event::Usage(Usage { input, cache_read, output, reasoning, ..Usage::default() }));
        events.push(Event::End);
        events
    })
}

fn push_piece(events: &mut Vec<Event>, part: u32, piece: Piece, origin: Dialect) {
    let choice = 0;
    let mut delta = |delta| events.push(Event::Delta { choice, part, delta });
    let kind = match &piece {
        Piece::Text(_) => PartKind::Text,
        Piece::Thinking(..) => PartKind::Thinking,
        Piece::Call(name, _, _) => PartKind::ToolCall { id: format!("call_{part}"), name: name.clone() },
    };
    match piece {
        Piece::Text(texts) => texts.into_iter().for_each(|text| delta(Delta::Text(text))),
        Piece::Thinking(texts, signature) => {
            texts.into_iter().for_each(|text| delta(Delta::Text(text)));
            if let Some(value) = signature {
                delta(Delta::Opaque(Opaque { origin, value }));
            }
        }
        Piece::Call(_, arguments, cut) => {
            let text = arguments.text();
            let cut = (0..=cut.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            for piece in [&text[..cut], &text[cut..]] {
                if !piece.is_empty() {
                    delta(Delta::Arguments(piece.to_owned()));
                }
            }
        }
    }
    let deltas = events
        .iter()
        .rev()
        .take_while(|event| matches!(event, Event::Delta { part: other, .. } if *other == part))
        .count();
    events.insert(events.len() - deltas, Event::PartStart { choice, part, kind });
    events.push(Event::PartEnd { choice, part });
}

/// A context with fixed values.
pub(crate) fn context() -> EncodeContext {
    EncodeContext {
        request_id: RequestId::from_bits(7),
        created: 1_700_000_000,
        model: "route".to_owned(),
        stream_usage: true,
        encoding: VectorEncoding::Float,
        embedding_form: Default::default(),
        echo: None,
    }
}

/// A profile of a target about which nothing is known but its limit.
pub(crate) fn profile() -> Profile {
    Profile { max_output_tokens: Some(4_096), ..Profile::new("target-model") }
}

/// The frames of bytes that come in chunks of `size`.
pub(crate) fn frames(framing: Framing, bytes: &[u8], size: usize) -> Vec<RawFrame> {
    let mut framer = Framer::new(framing, FRAME_LIMIT);
    let mut frames = Vec::new();
    for chunk in bytes.chunks(size.max(1)) {
        framer.push(Bytes::copy_from_slice(chunk));
        frames.extend(std::iter::from_fn(|| framer.next().unwrap()));
    }
    frames.extend(framer.finish().unwrap());
    frames
}

/// One binary message with text headers.
pub(crate) fn message(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(u8::try_from(name.len()).unwrap());
        head.extend_from_slice(name.as_bytes());
        head.push(7);
        head.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        head.extend_from_slice(value.as_bytes());
    }
    raw_message(&head, payload)
}

/// One binary message with headers as they are on the wire.
pub(crate) fn raw_message(head: &[u8], payload: &[u8]) -> Vec<u8> {
    let total = u32::try_from(16 + head.len() + payload.len()).unwrap();
    let mut out = total.to_be_bytes().to_vec();
    out.extend_from_slice(&u32::try_from(head.len()).unwrap().to_be_bytes());
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out.extend_from_slice(head);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out
}

/// Binary messages written as lines: the event's type, a blank, its JSON. Types that end in `Exception` are exceptions.
pub(crate) fn messages_of(lines: &[u8]) -> Vec<u8> {
    let lines = std::str::from_utf8(lines).unwrap().lines().filter(|line| !line.is_empty());
    lines
        .flat_map(|line| {
            let (name, json) = line.split_once(' ').unwrap();
            let (kind, header) = if name.ends_with("Exception") {
                ("exception", ":exception-type")
            } else {
                ("event", ":event-type")
            };
            let headers = [(":message-type", kind), (header, name), (":content-type", "application/json")];
            message(&headers, json.as_bytes())
        })
        .collect()
}
