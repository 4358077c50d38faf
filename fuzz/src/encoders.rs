//! The bodies of the fuzz targets of encoders: what decoders never hand them is asked of them too.
//!
//! Owns making canonical requests, answers and errors of any bytes, by the rules that the model states, and what must hold of
//! every encoder: what it writes is JSON and well framed, and its own dialect's decoder reads the same out of it. Must not know how
//! a dialect spells anything.

use super::{PIECES, begun, events, finish, is_plain_json, path};
use bytes::BytesMut;
use trunkline_model::citation::{Citation, CitedSource, Claim, Within};
use trunkline_model::content::{
    Content, Media, MediaSource, Message, Opaque, Part, Role, ToolCall, ToolResult,
};
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_model::event::{Delta, Event, Finish, PartKind};
use trunkline_model::id::RequestId;
use trunkline_model::json::Json;
use trunkline_model::request::{
    ChatRequest, Effort, FunctionTool, OutputFormat, Reasoning, Request, Tool, ToolChoice, Visibility,
};
use trunkline_model::usage::Usage;
use trunkline_wire::codec::Profile;
use trunkline_wire::dispatch;

/// The most parts of one made-up conversation or answer: more only repeats.
const MOST_PARTS: usize = 16;

/// Bytes to make things of; zeros when they are used up.
struct Source<'a> {
    data: &'a [u8],
}

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.data.split_first() else { return 0 };
        self.data = rest;
        *first
    }

    fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn some<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| make(self))
    }

    fn text(&mut self) -> String {
        let length = usize::from(self.byte() % 24).min(self.data.len());
        let (taken, rest) = self.data.split_at(length);
        self.data = rest;
        String::from_utf8_lossy(taken).into_owned()
    }

    fn name(&mut self) -> String {
        format!("tool_{}", self.byte() % 4)
    }

    fn object(&mut self) -> Json {
        let mut fields = serde_json::Map::new();
        for number in 0..self.byte() % 3 {
            fields.insert(format!("{number}{}", self.text()), self.text().into());
        }
        Json::of(&serde_json::Value::Object(fields))
    }

    fn dialect(&mut self) -> Dialect {
        Dialect::ALL[usize::from(self.byte()) % Dialect::ALL.len()]
    }

    fn opaque(&mut self) -> Opaque {
        Opaque { origin: self.dialect(), value: self.text() }
    }

    fn media(&mut self) -> Media {
        let source = match self.byte() % 4 {
            0 => MediaSource::Base64("iVBORw0KGgo=".into()),
            1 => MediaSource::Url(format!("https://files.example/{}", self.byte())),
            2 => MediaSource::FileId(self.text()),
            _ => MediaSource::Text(self.text().into()),
        };
        Media { source, media_type: self.some(Self::text), name: self.some(Self::text), detail: None }
    }

    /// A source, cited anywhere: in the text, across its parts, or beyond its end.
    fn citation(&mut self) -> Citation {
        let title = self.some(Self::text);
        let start = usize::from(self.byte());
        let range = start..start + usize::from(self.byte());
        let source = match self.byte() % 4 {
            0 => CitedSource::Web { url: self.text(), title },
            1 => CitedSource::Document {
                index: self.some(|source| source.byte().into()),
                title,
                id: self.some(Self::text),
                within: self.some(|_| Within::Pages(1..2)),
            },
            2 => CitedSource::SearchResult { index: 0, source: self.text(), title, blocks: 0..1 },
            _ => CitedSource::Other,
        };
        let claim = match self.byte() % 3 {
            0 => Claim::Unsaid,
            1 => Claim::Part(range),
            _ => Claim::Stretch(range),
        };
        Citation { source, quote: self.some(Self::text), claim, native: None }
    }

    fn content(&mut self) -> Content {
        match self.byte() % 8 {
            0 => Content::Image(self.media()),
            1 => Content::Document(self.media()),
            2 => Content::Audio(self.media()),
            3 => Content::Video(self.media()),
            _ => Content::Text(self.text().into()),
        }
    }
}

/// A conversation by the model's rules: results answer calls, and the user speaks last.
fn conversation(source: &mut Source<'_>) -> ChatRequest {
    let mut chat = ChatRequest { model: "model".to_owned(), ..ChatRequest::default() };
    let mut calls = 0;
    while !source.is_empty() && chat.messages.len() < MOST_PARTS {
        match source.byte() % 6 {
            0 => chat.messages.push(Message::text(Role::System, source.text())),
            1 => chat.messages.push(Message::text(Role::Developer, source.text())),
            2 => turn(source, &mut chat.messages, &mut calls),
            _ => {
                let parts = (0..=source.byte() % 3).map(|_| Part::new(source.content())).collect();
                chat.messages.push(Message { role: Role::User, parts, name: source.some(Source::text) });
            }
        }
    }
    chat.messages.push(Message::text(Role::User, "And then?"));
    for number in 0..source.byte() % 4 {
        chat.tools.push(Tool::Function(FunctionTool {
            name: format!("tool_{number}"),
            description: source.some(Source::text),
            parameters: source.some(|_| Json::of(&serde_json::json!({"type": "object", "properties": {}}))),
            strict: source.some(Source::flag),
            cache: None,
        }));
    }
    settings(source, &mut chat);
    chat
}

/// A turn of the model, with the results of what it called.
fn turn(source: &mut Source<'_>, messages: &mut Vec<Message>, calls: &mut u32) {
    let mut parts = Vec::new();
    if source.flag() {
        parts.push(Part {
            content: Content::Thinking(source.text()),
            cache: None,
            opaque: source.some(Source::opaque),
        });
    }
    parts.push(if source.flag() {
        Part::text(source.text())
    } else {
        Part::new(Content::Refusal(source.text().into()))
    });
    let mut results = Vec::new();
    for _ in 0..source.byte() % 3 {
        *calls += 1;
        let call = ToolCall { id: format!("call_{calls}"), name: source.name(), arguments: source.object() };
        results.push(Part::new(Content::ToolResult(ToolResult {
            call_id: call.id.clone(),
            name: Some(call.name.clone()),
            parts: vec![Part::new(source.content())],
            is_error: source.flag(),
        })));
        parts.push(Part {
            content: Content::ToolCall(call),
            cache: None,
            opaque: source.some(Source::opaque),
        });
    }
    messages.push(Message { role: Role::Assistant, parts, name: None });
    if !results.is_empty() {
        messages.push(Message { role: Role::Tool, parts: results, name: None });
    }
}

fn settings(source: &mut Source<'_>, chat: &mut ChatRequest) {
    chat.tool_choice = source.some(|source| match source.byte() % 4 {
        0 => ToolChoice::Auto,
        1 => ToolChoice::None,
        2 => ToolChoice::Required,
        _ => ToolChoice::Named(source.name()),
    });
    chat.parallel_tool_calls = source.some(Source::flag);
    chat.max_output_tokens = source.some(|source| u64::from(source.byte()) * 100 + 1);
    chat.sampling.temperature = source.some(|source| f64::from(source.byte()) / 128.0);
    chat.sampling.top_p = source.some(|source| f64::from(source.byte()) / 255.0);
    chat.sampling.seed = source.some(|source| i64::from(source.byte()) << 40);
    chat.stop = (0..source.byte() % 3).map(|_| source.text()).collect();
    chat.choices = source.some(|source| u32::from(source.byte() % 4) + 1);
    chat.logprobs = source.some(|source| u32::from(source.byte() % 21));
    chat.reasoning = source.some(|source| Reasoning {
        effort: source.some(|_| Effort::High),
        budget_tokens: source.some(|source| u64::from(source.byte()) * 64),
        adaptive: source.flag(),
        visibility: match source.byte() % 4 {
            0 => Visibility::Shown,
            1 => Visibility::Hidden,
            2 => Visibility::Unasked,
            _ => Visibility::Unsaid,
        },
    });
    chat.output = match source.byte() % 4 {
        0 => OutputFormat::JsonObject,
        1 => OutputFormat::JsonSchema {
            name: source.some(Source::text),
            description: source.some(Source::text),
            schema: Json::of(&serde_json::json!({"type": "object", "properties": {"a": {"type": "string"}}})),
            strict: source.some(Source::flag),
        },
        _ => OutputFormat::Text,
    };
    chat.user = source.some(Source::text);
}

/// Writes a made-up request for a provider; what clients can write too is read again and must be a request.
pub(super) fn request(dialect: Dialect, data: &[u8]) {
    let chat = conversation(&mut Source { data });
    let request = Request::Chat(Box::new(chat));
    for delivery in [Delivery::Plain, Delivery::Stream] {
        let Ok(encoded) = dispatch::encode_request(dialect, &request, &Profile::new("target"), delivery)
        else {
            continue;
        };
        let body = encoded.whole();
        assert!(is_plain_json(&body), "an encoded request must be JSON");
        if !Dialect::CLIENTS.contains(&dialect) {
            continue;
        }
        let again = dispatch::decode_request(dialect, Operation::Chat, &body, &path(dialect));
        let again =
            again.unwrap_or_else(|error| panic!("an encoded request must be a request: {}", error.message));
        let Request::Chat(again) = again else { panic!("a chat stays a chat") };
        let last = again.messages.last().map(|message| &message.parts);
        let said = last
            .into_iter()
            .flatten()
            .any(|part| matches!(&part.content, Content::Text(text) if text.contains("And then?")));
        assert!(said, "what the user says last stays last");
    }
}

/// What of an answer every client dialect can say.
#[derive(Debug, Default, PartialEq)]
struct Said {
    text: String,
    calls: Vec<(String, serde_json::Value)>,
    finish: Option<Finish>,
}

/// An answer by the model's rules: parts one after the other, then why it ended, then the end.
fn made_up_answer(source: &mut Source<'_>) -> (Vec<Event>, Said) {
    let mut said = Said::default();
    let mut events = vec![Event::Start {
        id: "answer-1".to_owned(),
        model: "model".to_owned(),
        created: Some(1_790_000_000),
    }];
    let mut part = 0;
    while !source.is_empty() && part < MOST_PARTS as u32 {
        let kind = match source.byte() % 4 {
            0 => PartKind::Thinking,
            1 => PartKind::ToolCall { id: format!("call_{part}"), name: source.name() },
            _ => PartKind::Text,
        };
        events.push(Event::PartStart { choice: 0, part, kind: kind.clone() });
        let mut push = |delta| events.push(Event::Delta { choice: 0, part, delta });
        match &kind {
            PartKind::ToolCall { name, .. } => {
                let arguments = source.object();
                said.calls.push((name.clone(), arguments.value()));
                // In two pieces, cut at a border of characters.
                let text = arguments.text();
                let middle = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
                push(Delta::Arguments(text[..middle].to_owned()));
                push(Delta::Arguments(text[middle..].to_owned()));
            }
            _ => {
                for _ in 0..source.byte() % 4 {
                    let text = source.text();
                    if kind == PartKind::Text {
                        said.text.push_str(&text);
                    }
                    push(Delta::Text(text));
                }
            }
        }
        if kind == PartKind::Text && source.flag() {
            let citation = Box::new(source.citation());
            events.push(Event::Citation { choice: 0, part, citation });
        }
        events.push(Event::PartEnd { choice: 0, part });
        part += 1;
    }
    let reason = match (source.flag(), said.calls.is_empty()) {
        (true, _) => Finish::Length,
        (false, true) => Finish::Stop,
        (false, false) => Finish::ToolCalls,
    };
    said.finish = Some(reason);
    let count = || 7;
    events.push(Event::Usage(Usage::from_inclusive(count(), 0, count(), 0)));
    events.push(Event::Finish { choice: 0, reason, native: String::new(), stop_sequence: None });
    events.push(Event::End);
    (events, said)
}

/// Writes a made-up answer for a client, plain and streamed, and reads it as that client's own decoder does.
pub(super) fn answer(dialect: Dialect, data: &[u8]) {
    let (told, said) = made_up_answer(&mut Source { data });
    for delivery in [Delivery::Plain, Delivery::Stream] {
        let (mut encoder, mut out) = begun(dialect, Operation::Chat, delivery, &told);
        finish(&mut *encoder, delivery, &mut out);
        for size in PIECES {
            let (again, ending) = events(dialect, Operation::Chat, delivery, &out, size);
            assert!(ending.is_ok(), "an encoded answer must be a whole one: {ending:?}");
            assert_eq!(heard(&again), said, "{delivery:?}, cut every {size} bytes");
        }
    }
}

fn heard(events: &[Event]) -> Said {
    let mut said = Said::default();
    let mut kinds = std::collections::BTreeMap::new();
    let mut arguments: std::collections::BTreeMap<u32, String> = std::collections::BTreeMap::new();
    for event in events {
        match event {
            Event::PartStart { part, kind, .. } => {
                kinds.insert(*part, kind.clone());
            }
            Event::Delta { part, delta: Delta::Text(text), .. }
                if kinds.get(part) == Some(&PartKind::Text) =>
            {
                said.text.push_str(text);
            }
            Event::Delta { part, delta: Delta::Arguments(text), .. } => {
                arguments.entry(*part).or_default().push_str(text);
            }
            Event::Finish { reason, .. } => said.finish = Some(*reason),
            _ => {}
        }
    }
    for (part, kind) in kinds {
        if let PartKind::ToolCall { name, .. } = kind {
            let text = arguments.get(&part).map_or("{}", String::as_str);
            let text = if text.is_empty() { "{}" } else { text };
            said.calls.push((name, serde_json::from_str(text).expect("arguments are JSON")));
        }
    }
    said
}

/// Writes errors for clients of every dialect, as a body and as the end of a stream.
pub(super) fn error(data: &[u8]) {
    const CODES: [ErrorCode; 5] = [
        ErrorCode::InvalidRequest,
        ErrorCode::RateLimited,
        ErrorCode::UpstreamFailed,
        ErrorCode::Timeout,
        ErrorCode::NoEligibleDeployment,
    ];
    let mut source = Source { data };
    let code = CODES[usize::from(source.byte()) % CODES.len()];
    let mut error = ClientError::new(code, source.text());
    error.parameter = source.some(Source::text);
    for dialect in Dialect::ALL {
        let body = dispatch::encode_error(dialect, &error, RequestId::from_bits(7));
        assert!(is_plain_json(&body), "an error must be JSON");
        let failure = dispatch::decode_error(dialect, code.status(), &body);
        assert!(error.message.trim().is_empty() || !failure.message.is_empty());
        let mut out = BytesMut::new();
        dispatch::encode_error_frame(dialect, &error, RequestId::from_bits(7), 0, &mut out);
        assert!(std::str::from_utf8(&out).is_ok());
    }
}
