//! Long texts on their way from one body into another, without a copy.
//!
//! Owns the marks that stand for them while a request is written. Encoders write into one buffer and need not know: a mark is
//! put where the text belongs, and the buffer is cut there afterwards. No mark can be mistaken: it begins with a byte that JSON never
//! holds as itself.

use crate::codec::{EncodeError, Encoded};
use crate::write::Sink;
use bytes::Bytes;
use trunkline_model::content::{Content, MediaSource, Part};
use trunkline_model::request::{ChatRequest, Request, Tool};
use trunkline_model::text::Text;

/// Shorter texts are copied, in bytes: a piece has its price, and the transport writes 16 of them at a time.
const LONG: usize = 16 * 1024;
/// The first byte of a mark; four bytes of its number follow, none of which is this one.
const MARK: u8 = 0x01;
/// Bytes of a mark.
const LENGTH: usize = 5;
/// Most texts that are marked; what there is beyond is copied.
const MOST: usize = 200;

/// Writes a request; its long texts are shares of what they are shares of.
///
/// # Errors
/// Those of the encoder.
pub(crate) fn encode(
    request: &Request,
    encode: impl FnOnce(&Request) -> Result<Encoded, EncodeError>,
) -> Result<Encoded, EncodeError> {
    let Request::Chat(chat) = request else { return encode(request) };
    if !has_long(chat) {
        return encode(request);
    }
    let mut marked = (**chat).clone();
    let mut long = Vec::new();
    for part in marked.messages.iter_mut().flat_map(|message| &mut message.parts) {
        mark(part, &mut long);
    }
    let encoded = encode(&Request::Chat(Box::new(marked)))?;
    Ok(put_together(encoded, &long))
}

/// Room for a request as it will be written, in bytes: about as much as its texts take, so that the buffer is not moved as it
/// grows. It is an estimate, of what the client itself sent.
pub(crate) fn room(chat: &ChatRequest) -> usize {
    /// What is written around a part.
    const AROUND: usize = 64;
    let of_text = |text: &Text| match (text.mark(), text.written()) {
        (Some(_), _) => LENGTH,
        (None, Some(written)) => written.len(),
        (None, None) => text.len(),
    };
    let of_part = |part: &Part| match &part.content {
        Content::ToolCall(call) => call.arguments.text().len(),
        Content::Thinking(text) => text.len(),
        Content::Refusal(text) => of_text(text),
        content => text(content).map_or(0, of_text),
    };
    let parts = chat.messages.iter().flat_map(|message| &message.parts);
    let said: usize = parts
        .map(|part| match &part.content {
            Content::ToolResult(result) => {
                result.parts.iter().map(|part| AROUND + of_part(part)).sum::<usize>() + AROUND
            }
            _ => AROUND + of_part(part),
        })
        .sum();
    let of_tool = |tool: &Tool| match tool {
        Tool::Function(function) => {
            let described = function.description.as_ref().map_or(0, String::len);
            AROUND + described + function.parameters.as_ref().map_or(0, |schema| schema.text().len())
        }
        Tool::BuiltIn { json, .. } => json.text().len(),
    };
    1_024 + said + chat.tools.iter().map(of_tool).sum::<usize>()
}

/// Puts the mark of a text.
pub(crate) fn put_mark(out: &mut impl Sink, number: u32) {
    // Letters: none of them is the first byte of a mark.
    let digit = |shift: u32| b'a' + ((number >> shift) & 15) as u8;
    out.put(&[MARK, digit(12), digit(8), digit(4), digit(0)]);
}

fn number(mark: &[u8]) -> usize {
    mark.iter().skip(1).fold(0, |number, digit| number << 4 | usize::from(digit.saturating_sub(b'a')))
}

fn has_long(chat: &ChatRequest) -> bool {
    chat.messages.iter().flat_map(|message| &message.parts).any(|part| match &part.content {
        Content::ToolResult(result) => {
            result.parts.iter().any(|part| text(&part.content).is_some_and(is_long))
        }
        content => text(content).is_some_and(is_long),
    })
}

fn is_long(text: &Text) -> bool {
    text.written().is_some_and(|written| written.len() >= LONG)
}

fn text(content: &Content) -> Option<&Text> {
    match content {
        Content::Text(text) => Some(text),
        content => match content.media() {
            Some((_, media)) => match &media.source {
                MediaSource::Base64(data) => Some(data),
                _ => None,
            },
            None => None,
        },
    }
}

fn text_mut(content: &mut Content) -> Option<&mut Text> {
    match content {
        Content::Text(text) => Some(text),
        content => match content.media_mut() {
            Some((_, media)) => match &mut media.source {
                MediaSource::Base64(data) => Some(data),
                _ => None,
            },
            None => None,
        },
    }
}

fn mark(part: &mut Part, long: &mut Vec<Bytes>) {
    if let Content::ToolResult(result) = &mut part.content {
        for part in &mut result.parts {
            mark(part, long);
        }
        return;
    }
    let Some(text) = text_mut(&mut part.content).filter(|text| is_long(text)) else { return };
    if long.len() < MOST
        && let Ok(number) = u32::try_from(long.len())
        && let (Some(marked), Some(shared)) = (text.marked(number), text.shared())
    {
        *text = marked;
        long.push(shared);
    }
}

/// Cuts the buffer at its marks.
fn put_together(encoded: Encoded, long: &[Bytes]) -> Encoded {
    let written = encoded.body;
    let mut pieces = Vec::with_capacity(2 * long.len() + 1);
    let mut from = 0;
    for at in memchr::memchr_iter(MARK, &written) {
        let Some(text) = written.get(at..at + LENGTH).and_then(|mark| long.get(number(mark))) else {
            continue;
        };
        pieces.push(written.slice(from..at));
        pieces.push(text.clone());
        from = at + LENGTH;
    }
    let body = if pieces.is_empty() { written.clone() } else { pieces.remove(0) };
    if from > 0 {
        pieces.push(written.slice(from..));
    }
    Encoded { body, rest: pieces, warnings: encoded.warnings }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{PathParts, Profile};
    use crate::dispatch;
    use trunkline_model::dialect::{Delivery, Dialect, Operation};

    const TARGETS: [Dialect; 7] = [
        Dialect::OpenAi,
        Dialect::Anthropic,
        Dialect::Gemini,
        Dialect::Responses,
        Dialect::Converse,
        Dialect::Mistral,
        Dialect::Cohere,
    ];

    fn body(text: &str, data: &str) -> Bytes {
        let picture = format!("data:image/png;base64,{data}");
        let parts = serde_json::json!([
            {"type": "text", "text": text},
            {"type": "image_url", "image_url": {"url": picture}},
            {"type": "text", "text": "short"},
        ]);
        let call = serde_json::json!({"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}});
        let messages = serde_json::json!([
            {"role": "system", "content": text},
            {"role": "user", "content": parts},
            {"role": "assistant", "content": text, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": text},
            {"role": "user", "content": [{"type": "text", "text": text}, {"type": "text", "text": text}]},
        ]);
        Bytes::from(serde_json::json!({"model": "m", "max_tokens": 9, "messages": messages}).to_string())
    }

    /// Text of its own everywhere: what was written before anything was shared.
    fn owned(request: &Request) -> Request {
        let Request::Chat(chat) = request else { unreachable!() };
        let mut chat = chat.clone();
        for part in chat.messages.iter_mut().flat_map(|message| &mut message.parts) {
            let parts = match &mut part.content {
                Content::ToolResult(result) => result.parts.as_mut_slice(),
                _ => std::slice::from_mut(part),
            };
            for text in parts.iter_mut().filter_map(|part| text_mut(&mut part.content)) {
                *text = Text::from(text.as_str());
            }
        }
        Request::Chat(chat)
    }

    #[test]
    fn what_is_shared_means_what_is_copied() {
        let (plain, escaped) = ("words and é漢 ", "line\n\"quoted\" \\ é漢\t");
        let by_number = "line\n\"quoted\" \\ é漢 \u{1} ";
        for ((repeat, size), said) in [(1, 40), (20, 4_000), (2_000, 2 * LONG)]
            .into_iter()
            .flat_map(|sizes| [plain, escaped, by_number].map(|said| (sizes, said)))
        {
            let body = body(&said.repeat(repeat), &"QUJD".repeat(size / 4));
            let request =
                dispatch::decode_request(Dialect::OpenAi, Operation::Chat, &body, &PathParts::default())
                    .unwrap();
            let copied =
                dispatch::decode_request(Dialect::OpenAi, Operation::Chat, &body[..], &PathParts::default());
            assert_eq!(copied.as_ref(), Ok(&request));
            for target in TARGETS {
                let profile = Profile::new("m");
                let written = |request: &Request| {
                    let encoded =
                        dispatch::encode_request(target, request, &profile, Delivery::Plain).unwrap();
                    serde_json::from_slice::<serde_json::Value>(&encoded.whole()).unwrap()
                };
                assert_eq!(written(&request), written(&owned(&request)), "{target:?}");
            }
        }
    }

    #[test]
    fn what_is_long_is_not_copied() {
        let body = body(&"so it is:\n\"thus\"".repeat(LONG / 8), &"QUJD".repeat(LONG));
        let request =
            dispatch::decode_request(Dialect::OpenAi, Operation::Chat, &body, &PathParts::default()).unwrap();
        for target in TARGETS {
            let encoded =
                dispatch::encode_request(target, &request, &Profile::new("m"), Delivery::Plain).unwrap();
            let pieces = || std::iter::once(&encoded.body).chain(&encoded.rest);
            let is_shared = |piece: &&Bytes| body.as_ptr_range().contains(&piece.as_ptr());
            assert!(pieces().filter(is_shared).count() >= 3, "{target:?}");
            let copied: usize = pieces().filter(|piece| !is_shared(piece)).map(Bytes::len).sum();
            assert!(copied < 4_000, "{target:?}: {copied} bytes");
        }
    }

    #[test]
    fn marks_are_told_apart() {
        for expected in [0, 1, 15, 16, 199] {
            let mut out = Vec::new();
            put_mark(&mut out, expected);
            assert_eq!((out.len(), number(&out)), (LENGTH, expected as usize));
            assert!(!out[1..].contains(&MARK));
        }
    }
}
