//! The bodies of the fuzz targets: one per decoder of bytes that come from outside, and one per encoder.
//!
//! Owns what must hold of every decoder whatever it is fed: it returns, and what it returns is consistent. Must not know
//! libFuzzer: the binary's tests include this file and run every corpus file through it, so that the corpus counts in the
//! ordinary test run, without nightly.

mod encoders;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use trunkline_embed::Tokenizer;
use trunkline_model::catalogue::{Date, parse, render};
use trunkline_model::content::MediaKind;
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_model::event::Event;
use trunkline_model::failure::Failure;
use trunkline_model::file_type::judge;
use trunkline_model::id::RequestId;
use trunkline_model::request::VectorEncoding;
use trunkline_providers::limits;
use trunkline_providers::preset::Preset;
use trunkline_route::cel::Condition;
use trunkline_wire::codec::{EmbeddingForm, Encode, EncodeContext, PathParts, Profile};
use trunkline_wire::dispatch;
use trunkline_wire::frame::{FRAME_LIMIT, Framer, Framing};
use trunkline_wire::relayed::{self, AnswerForm, BodyForm};
use trunkline_wire::responses::{Patch, input_items, patch_event, patch_response, replay, response_id};
use trunkline_wire::splice::join_rope;

/// A target: what it is called (also its corpus folder) and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const ALL: &[Target] = &[
    ("envelope_openai", |data| envelope(Dialect::OpenAi, data)),
    ("envelope_anthropic", |data| envelope(Dialect::Anthropic, data)),
    ("envelope_gemini", |data| envelope(Dialect::Gemini, data)),
    ("envelope_responses", |data| envelope(Dialect::Responses, data)),
    ("request_openai", |data| request(Dialect::OpenAi, data)),
    ("request_anthropic", |data| request(Dialect::Anthropic, data)),
    ("request_gemini", |data| request(Dialect::Gemini, data)),
    ("request_responses", |data| request(Dialect::Responses, data)),
    ("answer_openai", |data| answer(Dialect::OpenAi, Delivery::Plain, data)),
    ("answer_anthropic", |data| answer(Dialect::Anthropic, Delivery::Plain, data)),
    ("answer_gemini", |data| answer(Dialect::Gemini, Delivery::Plain, data)),
    ("answer_responses", |data| answer(Dialect::Responses, Delivery::Plain, data)),
    ("stream_openai", |data| answer(Dialect::OpenAi, Delivery::Stream, data)),
    ("stream_anthropic", |data| answer(Dialect::Anthropic, Delivery::Stream, data)),
    ("stream_gemini", |data| answer(Dialect::Gemini, Delivery::Stream, data)),
    ("answer_converse", |data| answer(Dialect::Converse, Delivery::Plain, data)),
    ("stream_converse", |data| answer(Dialect::Converse, Delivery::Stream, data)),
    ("error_converse", |data| error(Dialect::Converse, data)),
    ("error_openai", |data| error(Dialect::OpenAi, data)),
    ("error_anthropic", |data| error(Dialect::Anthropic, data)),
    ("error_gemini", |data| error(Dialect::Gemini, data)),
    ("stream_responses", |data| answer(Dialect::Responses, Delivery::Stream, data)),
    ("error_responses", |data| error(Dialect::Responses, data)),
    ("stored_response", stored_response),
    ("rerank", rerank),
    ("answer_cohere", |data| answer(Dialect::Cohere, Delivery::Plain, data)),
    ("answer_mistral", |data| answer(Dialect::Mistral, Delivery::Plain, data)),
    ("stream_cohere", |data| answer(Dialect::Cohere, Delivery::Stream, data)),
    ("stream_mistral", |data| answer(Dialect::Mistral, Delivery::Stream, data)),
    ("error_cohere", |data| error(Dialect::Cohere, data)),
    ("error_mistral", |data| error(Dialect::Mistral, data)),
    ("frames_sse", |data| frames(Framing::Sse, data)),
    ("frames_array", |data| frames(Framing::JsonArray, data)),
    ("frames_messages", |data| frames(Framing::EventStream, data)),
    ("frames_body", |data| frames(Framing::Body, data)),
    ("configuration", configuration),
    ("preset", preset),
    ("catalogue", catalogue),
    ("condition", condition),
    ("rate_headers", rate_headers),
    ("encode_request_openai", |data| encoders::request(Dialect::OpenAi, data)),
    ("encode_request_anthropic", |data| encoders::request(Dialect::Anthropic, data)),
    ("encode_request_gemini", |data| encoders::request(Dialect::Gemini, data)),
    ("encode_request_responses", |data| encoders::request(Dialect::Responses, data)),
    ("encode_request_mistral", |data| encoders::request(Dialect::Mistral, data)),
    ("encode_request_converse", |data| encoders::request(Dialect::Converse, data)),
    ("encode_request_cohere", |data| encoders::request(Dialect::Cohere, data)),
    ("encode_answer_openai", |data| encoders::answer(Dialect::OpenAi, data)),
    ("encode_answer_anthropic", |data| encoders::answer(Dialect::Anthropic, data)),
    ("encode_answer_gemini", |data| encoders::answer(Dialect::Gemini, data)),
    ("encode_answer_responses", |data| encoders::answer(Dialect::Responses, data)),
    ("encode_error", encoders::error),
    ("form", form),
    ("relayed_answer", relayed_answer),
    ("prompt_text", prompt_text),
    ("json_repair", json_repair),
    ("tokenizer", tokenizer),
    ("file_type", file_type),
];

/// The target of a name.
#[must_use]
pub fn find(name: &str) -> Option<fn(&[u8])> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}

/// Sizes of the pieces that bytes arrive in: how the network cuts them must not show.
const PIECES: [usize; 4] = [1, 3, 64, usize::MAX];

/// The path of dialects that put model and delivery there.
fn path(dialect: Dialect) -> PathParts {
    match dialect {
        Dialect::Gemini => {
            PathParts { model: Some("gemini-2.5-flash".to_owned()), delivery: Some(Delivery::Stream) }
        }
        _ => PathParts::default(),
    }
}

/// Looks at a request body; what it says of places must be inside the body, and passing it on must keep it JSON.
fn envelope(dialect: Dialect, data: &[u8]) {
    for operation in Operation::ALL {
        let envelope = match dispatch::envelope(dialect, operation, data, &path(dialect)) {
            Ok(envelope) => envelope,
            Err(error) => {
                assert!(!error.message.is_empty());
                assert!(error.offset.is_none_or(|offset| offset <= data.len()));
                continue;
            }
        };
        for field in &envelope.fields {
            let (name, value) = (data.get(field.name.clone()), data.get(field.value.clone()));
            assert!(name.is_some() && value.is_some_and(|value| !value.is_empty()));
        }
        for delivery in [Delivery::Plain, Delivery::Stream] {
            let edits = dispatch::pass_edits(dialect, &envelope, data, &Profile::new("target"), delivery);
            let passed = join_rope(&edits.apply(&Bytes::copy_from_slice(data), &envelope));
            assert!(is_plain_json(&passed) || !is_plain_json(data), "an edited body must stay JSON");
        }
    }
}

/// Whether serde_json reads the bytes too; it refuses deeper nesting than we do.
fn is_plain_json(data: &[u8]) -> bool {
    serde_json::from_slice::<&serde_json::value::RawValue>(data).is_ok()
}

/// Decodes a request and writes it for every dialect.
fn request(dialect: Dialect, data: &[u8]) {
    for operation in Operation::ALL {
        let Ok(request) = dispatch::decode_request(dialect, operation, data, &path(dialect)) else {
            continue;
        };
        for target in Dialect::PROVIDERS {
            for delivery in [Delivery::Plain, Delivery::Stream] {
                if let Ok(encoded) =
                    dispatch::encode_request(target, &request, &Profile::new("target"), delivery)
                {
                    assert!(is_plain_json(&encoded.whole()), "an encoded request must be JSON");
                }
            }
        }
    }
}

/// A rerank request written for both kinds of provider, and an answer of theirs written for a client.
fn rerank(data: &[u8]) {
    request(Dialect::Cohere, data);
    for dialect in [Dialect::Cohere, Dialect::OpenAi] {
        let (whole, ending) = events(dialect, Operation::Rerank, Delivery::Plain, data, usize::MAX);
        let (pieces, _) = events(dialect, Operation::Rerank, Delivery::Plain, data, 1);
        assert_eq!(whole, pieces, "cut every byte");
        write(Dialect::Cohere, Operation::Rerank, Delivery::Plain, &whole, ending.is_ok());
    }
    let _ =
        dispatch::envelope(Dialect::Cohere, Operation::Rerank, data, &PathParts::default()).map(|envelope| {
            let profile = Profile::new("m");
            dispatch::may_pass(Dialect::Cohere, Operation::Rerank, &envelope, data, &profile)
        });
}

/// Decodes an answer cut in several ways, which must not show, and writes what it said for every dialect.
fn answer(dialect: Dialect, delivery: Delivery, data: &[u8]) {
    for operation in [Operation::Chat, Operation::Embeddings] {
        let (whole, ending) = events(dialect, operation, delivery, data, usize::MAX);
        for size in PIECES {
            let (pieces, other) = events(dialect, operation, delivery, data, size);
            assert_eq!(whole, pieces, "cut every {size} bytes");
            let (one, other) = (ending.as_ref().err(), other.as_ref().err());
            assert_eq!(one.map(|failure| failure.class), other.map(|failure| failure.class));
        }
        for client in Dialect::CLIENTS {
            for delivery in [Delivery::Plain, Delivery::Stream] {
                write(client, operation, delivery, &whole, ending.is_ok());
            }
        }
    }
}

fn events(
    dialect: Dialect,
    operation: Operation,
    delivery: Delivery,
    data: &[u8],
    size: usize,
) -> (Vec<Event>, Result<(), Failure>) {
    let mut framer = Framer::new(dispatch::framing(dialect, delivery), FRAME_LIMIT);
    let mut decoder = dispatch::decoder(dialect, operation, delivery);
    let mut observer = dispatch::observer(dialect, operation, delivery, false);
    let mut events = Vec::new();
    let mut read = || -> Result<(), Failure> {
        for piece in data.chunks(size.min(data.len()).max(1)) {
            framer.push(Bytes::copy_from_slice(piece));
            while let Some(raw) = framer.next()? {
                if raw.has_data() {
                    // The observer may be laxer than the decoder; it must only not break.
                    let _ = observer.frame(raw.frame());
                    decoder.frame(raw.frame(), &mut events)?;
                }
            }
        }
        if let Some(raw) = framer.finish()?
            && raw.has_data()
        {
            let _ = observer.frame(raw.frame());
            decoder.frame(raw.frame(), &mut events)?;
        }
        let _ = observer.end();
        decoder.end(&mut events)
    };
    let ending = read();
    (events, ending)
}

fn write(client: Dialect, operation: Operation, delivery: Delivery, events: &[Event], complete: bool) {
    let (mut encoder, mut out) = begun(client, operation, delivery, events);
    if complete {
        finish(&mut *encoder, delivery, &mut out);
    } else {
        encoder.fail(&ClientError::new(ErrorCode::UpstreamFailed, "it broke off"), &mut out);
    }
}

/// An encoder that has taken events, and what it wrote of them.
fn begun(
    client: Dialect,
    operation: Operation,
    delivery: Delivery,
    events: &[Event],
) -> (Box<dyn Encode>, BytesMut) {
    let context = EncodeContext {
        request_id: RequestId::from_bits(7),
        created: 1_790_000_000,
        model: "model".to_owned(),
        stream_usage: true,
        encoding: VectorEncoding::Float,
        embedding_form: EmbeddingForm::default(),
        echo: None,
    };
    let mut encoder = dispatch::encoder(client, operation, delivery, context);
    let mut out = BytesMut::new();
    events.iter().for_each(|event| encoder.event(event, &mut out));
    (encoder, out)
}

/// Writes the rest of an answer that is complete.
fn finish(encoder: &mut dyn Encode, delivery: Delivery, out: &mut BytesMut) {
    encoder.finish(out);
    assert!(delivery.is_stream() || is_plain_json(out), "a plain answer must be JSON");
}

/// Reads the body of an error answer, with the statuses that mean something.
fn error(dialect: Dialect, data: &[u8]) {
    for status in [200, 400, 401, 403, 404, 408, 413, 429, 500, 502, 503, 529] {
        let failure = dispatch::decode_error(dialect, status, data);
        assert!(!failure.message.is_empty() && failure.message.chars().count() <= Failure::MESSAGE_LIMIT);
    }
}

/// Corrects, lists and tells again what a store may hold.
fn stored_response(data: &[u8]) {
    let patch = Patch::default().text("id", "resp_1").raw("store", "true");
    if let Some(patched) = patch_response(data, &patch) {
        assert_eq!(response_id(&patched).as_deref(), Some("resp_1"));
    }
    if let Some((event, response)) = patch_event(data, &patch) {
        assert!(is_plain_json(&response) || !is_plain_json(&event));
    }
    for item in input_items(data, "tail") {
        assert!(item.get("id").is_some() && item.get("type").is_some());
    }
    for after in [None, Some(3), Some(u64::MAX)] {
        let told = replay(data, after);
        assert!(told.is_empty() || told.ends_with(b"\n\n"));
    }
}

/// Cuts bytes into frames; frames follow each other without gaps, and how the bytes arrived does not show.
fn frames(framing: Framing, data: &[u8]) {
    let cut = |size: usize| {
        let mut framer = Framer::new(framing, 4_096);
        let (mut seen, mut frames) = (Vec::new(), Vec::new());
        let mut read = || -> Result<(), Failure> {
            let mut take = |raw: trunkline_wire::frame::RawFrame| {
                if raw.has_data() {
                    frames.push((raw.frame().event.to_owned(), raw.frame().data.to_vec()));
                }
                seen.extend_from_slice(raw.raw());
            };
            for piece in data.chunks(size.min(data.len()).max(1)) {
                framer.push(Bytes::copy_from_slice(piece));
                while let Some(raw) = framer.next()? {
                    take(raw);
                }
            }
            if let Some(raw) = framer.finish()? {
                take(raw);
            }
            Ok(())
        };
        let ending = read().map_err(|failure| failure.class);
        assert!(data.starts_with(&seen), "frames must be the bytes that came");
        assert!(
            ending.is_err() || framing != Framing::Sse || seen.len() == data.len(),
            "no byte may be lost"
        );
        (frames, ending)
    };
    let whole = cut(usize::MAX);
    for size in PIECES {
        assert_eq!(whole, cut(size), "cut every {size} bytes");
    }
}

/// Loads a configuration; problems have places on the borders of characters, and can be shown.
fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let inputs = trunkline_config::Inputs {
        environment: &|name| (name == "OPENAI_API_KEY").then(|| "sk-openai".to_owned()),
        today: Date::from_unix_seconds(1_795_132_800),
        files: &|_| Err("there are no files".to_owned()),
        labelled: &|_| trunkline_config::Labelled { file: String::new(), texts: Ok(Vec::new()) },
    };
    let source = trunkline_config::Source { path: "fuzz.yaml".to_owned(), text: text.to_owned() };
    let (problems, sources) = match trunkline_config::load(vec![source], &inputs) {
        Ok(loaded) => (loaded.problems, loaded.sources),
        Err(invalid) => (invalid.problems, invalid.sources),
    };
    for problem in problems.iter() {
        assert!(
            text.get(problem.place.span.clone()).is_some(),
            "a place inside a character or outside the text"
        );
    }
    assert!(!problems.render(&sources, false).is_empty());
}

/// Parses a provider preset.
fn preset(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Err(error) = Preset::parse(text)
    {
        assert!(!error.to_string().is_empty());
    }
}

/// Parses lines of the catalogue; what was read is written and read again as the same.
fn catalogue(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(entries) = parse(kept(text.to_owned())) else { return };
    for entry in entries {
        let line = render(&entry);
        let again = parse(kept(line)).expect("a rendered entry can be read");
        assert_eq!(again, [entry]);
    }
}

/// The catalogue borrows from texts that live as long as the program; these are kept where a leak check finds them.
fn kept(text: String) -> &'static str {
    static KEPT: std::sync::Mutex<Vec<&'static str>> = std::sync::Mutex::new(Vec::new());
    let text: &'static str = Box::leak(text.into_boxed_str());
    if let Ok(mut kept) = KEPT.lock() {
        kept.push(text);
    }
    text
}

/// Compiles a rule; a place it names is inside the text.
fn condition(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Err(error) = Condition::compile(text)
    {
        assert!(error.offset.is_none_or(|offset| offset <= text.len()));
        assert!(!error.to_string().is_empty());
    }
}

/// Reads rate-limit and retry headers, one `name: value` a line.
fn rate_headers(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(32) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) =
            (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(&line[colon + 1..]));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    for now in [0, 1_790_000_000, u64::MAX] {
        let wait = limits::retry_after(&headers, now);
        assert!(wait.is_none_or(|wait| wait <= limits::LONGEST_WAIT));
        let _ = limits::rate_headers(&headers, now);
    }
}

/// Reads a form whose content type is the first line; what it says of places is inside, and with the model changed it is a form.
fn form(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let Ok(content_type) = std::str::from_utf8(&data[..end]) else { return };
    let body = &data[end + 1..];
    let form = BodyForm::of(Some(content_type));
    for operation in Operation::ALL.into_iter().filter(|operation| operation.is_relayed()) {
        let Ok(envelope) = relayed::envelope(operation, form, body) else { continue };
        for field in &envelope.fields {
            assert!(body.get(field.name.clone()).is_some() && body.get(field.value.clone()).is_some());
        }
        let _ = relayed::asked(form, &envelope, body);
        let edits = relayed::pass_edits(form, &envelope, body, &Profile::new("target"));
        let passed = join_rope(&edits.apply(&Bytes::copy_from_slice(body), &envelope));
        if let BodyForm::Multipart(_) = form {
            let again = relayed::envelope(operation, form, &passed).expect("an edited form is one");
            assert_eq!(again.shape.model, "target");
        }
    }
}

/// Watches a relayed answer go by, and looks in its ends for usage and model.
fn relayed_answer(data: &[u8]) {
    for operation in Operation::ALL.into_iter().filter(|operation| operation.is_relayed()) {
        for content_type in ["application/json", "text/event-stream", "text/plain", "audio/mpeg"] {
            let asked = relayed::Asked { operation, takes_text: content_type == "text/plain", characters: 7 };
            let form = AnswerForm::of(operation, Some(content_type));
            let mut framer = Framer::new(form.framing(), FRAME_LIMIT);
            let mut observer = relayed::observer(asked, form);
            framer.push(Bytes::copy_from_slice(data));
            while let Ok(Some(raw)) = framer.next() {
                let _ = observer.frame(raw.frame());
            }
            if let Ok(Some(raw)) = framer.finish() {
                let _ = observer.frame(raw.frame());
            }
            let _ = observer.end();
            let _ = observer.summary();
        }
    }
    let _ = relayed::usage_told(data);
    assert!(relayed::model_told(data).is_none_or(|model| !model.is_empty()));
}

/// Takes the words of a prompt out of a body, for those that decide by them.
fn prompt_text(data: &[u8]) {
    for dialect in Dialect::CLIENTS {
        for operation in Operation::ALL {
            if let Ok(envelope) = dispatch::envelope(dialect, operation, data, &path(dialect)) {
                let text = trunkline_wire::scan::prompt_text(dialect, operation, &envelope, data);
                // Escapes never grow into longer text.
                assert!(text.last_user().len() <= 3 * data.len() && text.system().len() <= 3 * data.len());
            }
        }
    }
}

/// Finds the one JSON value in a text; it is part of the text and JSON.
fn json_repair(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(value) = trunkline_route::cascade::repaired(text)
    {
        assert!(text.contains(value) && value.len() < text.len());
        assert!(is_plain_json(value.as_bytes()));
    }
}

/// Cuts a text into pieces of the vocabulary, which are so many at the most.
fn tokenizer(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let tokenizer = Tokenizer::bundled();
    let pieces = tokenizer.encode(text);
    assert!(pieces.iter().all(|id| tokenizer.piece(*id).is_some()));
    assert_eq!(pieces, tokenizer.encode(text));
}

/// Judges the bytes of a file behind a URL: which kind was asked for, what its server calls it (a line of its own), and the file.
fn file_type(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let kind = MediaKind::ALL[usize::from(*kind) % MediaKind::ALL.len()];
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let declared = std::str::from_utf8(&rest[..end]).ok();
    let bytes = rest.get(end + 1..).unwrap_or_default();
    let Some(found) = judge(kind, declared, bytes) else { return };
    let of_its_kind = match kind {
        MediaKind::Image => found.starts_with("image/"),
        MediaKind::Audio => found.starts_with("audio/"),
        MediaKind::Video => found.starts_with("video/"),
        MediaKind::Document => found.starts_with("application/") || found.starts_with("text/"),
    };
    assert!(of_its_kind, "{found} is not what was asked for");
    assert_eq!(judge(kind, Some(found), bytes), Some(found), "called what it is, it stays that");
    let others = MediaKind::ALL.into_iter().filter(|other| *other != kind);
    for other in others.filter(|_| !found.ends_with("/mp4")) {
        assert_eq!(judge(other, Some(found), bytes), None, "{found} is of one kind");
    }
}
