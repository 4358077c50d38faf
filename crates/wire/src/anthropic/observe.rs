//! Watching Anthropic answers pass to Anthropic clients.
//!
//! Owns what is read of bytes that go through unchanged: usage, the end, errors. Must not build text. A content delta, which
//! is nearly every frame, is looked at by its name and its ends only; a few events per answer are parsed.

use super::answer_decode::finish;
use super::error::ErrorObject;
use super::malformed;
use super::usage::{Counters, WireUsage};
use crate::codec::{Frame, Observe, Seen, Summary, whole};
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;
use trunkline_model::failure::{Failure, FailureClass};

/// Bytes of a content delta around its text.
const DELTA_FRAME: usize = 80;

#[derive(Deserialize)]
struct Watched {
    message: Option<WatchedMessage>,
    delta: Option<WatchedDelta>,
    usage: Option<WireUsage>,
    error: Option<ErrorObject>,
}

#[derive(Deserialize)]
struct WatchedMessage {
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
struct WatchedDelta {
    stop_reason: Option<String>,
}

/// Observes the event stream.
#[derive(Default)]
pub(super) struct StreamObserver {
    counters: Counters,
    summary: Summary,
}

impl Observe for StreamObserver {
    fn frame(&mut self, frame: Frame<'_>) -> Result<Seen, Failure> {
        const NOTHING: Seen = Seen { semantic: false, hide: false };
        let data = frame.data.trim_ascii();
        if data.is_empty() {
            return Ok(NOTHING);
        }
        if !(data.starts_with(b"{") && data.ends_with(b"}")) {
            return Err(Failure::new(
                FailureClass::Malformed,
                "a stream event of the provider is not a JSON object",
            ));
        }
        let semantic = match name(frame.event, data) {
            b"content_block_delta" => {
                let bytes = data.len().saturating_sub(DELTA_FRAME);
                self.summary.output_bytes += bytes as u64;
                self.summary.beginning.push(said(data));
                !is_empty_delta(data)
            }
            b"content_block_start" => starts_meaning(data),
            b"message_start" | b"message_delta" => self.counted(data)?,
            b"message_stop" => {
                self.summary.complete = true;
                true
            }
            b"error" => {
                let watched = watch(data)?;
                return Err(watched.error.map_or_else(
                    || {
                        Failure::new(
                            FailureClass::Server,
                            "the provider reported an error without saying which",
                        )
                    },
                    |error| error.into_failure(None),
                ));
            }
            _ => false,
        };
        Ok(Seen { semantic, hide: false })
    }

    fn end(&mut self) -> Result<(), Failure> {
        if self.summary.complete {
            return Ok(());
        }
        Err(Failure::new(FailureClass::Cut, "the provider's stream ended without `message_stop`"))
    }

    fn summary(&self) -> &Summary {
        &self.summary
    }
}

impl StreamObserver {
    /// Reads the counts, and the end where it is one.
    fn counted(&mut self, data: &[u8]) -> Result<bool, Failure> {
        let watched = watch(data)?;
        for usage in [watched.message.and_then(|message| message.usage), watched.usage].iter().flatten() {
            self.counters.take(usage);
            self.summary.usage = Some(self.counters.usage());
        }
        let Some(reason) = watched.delta.and_then(|delta| delta.stop_reason) else { return Ok(false) };
        self.summary.finish.get_or_insert(finish(&reason, false));
        Ok(true)
    }
}

fn watch(data: &[u8]) -> Result<Watched, Failure> {
    serde_json::from_slice(data).map_err(|error| malformed(&error))
}

/// The event's name, from the frame or else from the payload's first `type`.
fn name<'f>(event: &'f str, data: &'f [u8]) -> &'f [u8] {
    if !event.is_empty() {
        return event.as_bytes();
    }
    let Some(start) = memmem::find(data, b"\"type\"").map(|place| place + 6) else { return b"" };
    let rest = &data[start..];
    let mut quotes = memchr::memchr_iter(b'"', rest);
    match (quotes.next(), quotes.next()) {
        (Some(open), Some(close)) => &rest[open + 1..close],
        _ => b"",
    }
}

/// Whether a delta carries an empty string, as the first one of a tool call does.
fn is_empty_delta(data: &[u8]) -> bool {
    let tail = &data[data.len().saturating_sub(16)..];
    let end = tail.iter().rposition(|byte| !matches!(byte, b'}' | b' ')).unwrap_or_default();
    tail[..=end].ends_with(b":\"\"") || tail[..=end].ends_with(b": \"\"")
}

/// Whether a block's start already carries meaning: anything but the empty beginning of text or thinking.
fn starts_meaning(data: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Start<'a> {
        #[serde(borrow)]
        content_block: Option<Block<'a>>,
    }
    #[derive(Deserialize)]
    struct Block<'a> {
        #[serde(rename = "type", default)]
        kind: String,
        #[serde(borrow)]
        text: Option<&'a RawValue>,
        #[serde(borrow)]
        thinking: Option<&'a RawValue>,
    }
    let Ok(Start { content_block: Some(block) }) = serde_json::from_slice::<Start<'_>>(data) else {
        return false;
    };
    let empty = |text: Option<&RawValue>| text.is_none_or(|text| text.get() == "\"\"");
    match &*block.kind {
        "text" | "thinking" => !(empty(block.text) && empty(block.thinking)),
        _ => true,
    }
}

/// The text of a delta: the last string of its frame, as it stands there. Nothing, where the frame is written otherwise.
fn said(data: &[u8]) -> &str {
    let text = std::str::from_utf8(data).unwrap_or_default();
    // Within a string every quote has a backslash before it.
    let last = text.rsplit_once("\":\"").map_or("", |(_, last)| last);
    last.strip_suffix("\"}}").unwrap_or_default()
}

/// Observes a whole message.
#[derive(Default)]
pub(super) struct PlainObserver {
    summary: Summary,
}

impl Observe for PlainObserver {
    fn frame(&mut self, frame: Frame<'_>) -> Result<Seen, Failure> {
        #[derive(Deserialize)]
        struct Message<'a> {
            #[serde(borrow)]
            content: Option<&'a RawValue>,
            stop_reason: Option<String>,
            usage: Option<WireUsage>,
            error: Option<ErrorObject>,
        }
        let message: Message<'_> = serde_json::from_slice(frame.data).map_err(|error| malformed(&error))?;
        if let Some(error) = message.error {
            return Err(error.into_failure(None));
        }
        let Some(content) = message.content.filter(|content| content.get().starts_with('[')) else {
            return Err(Failure::new(FailureClass::Malformed, "the provider's answer is not a message"));
        };
        self.summary.output_bytes = content.get().len() as u64;
        self.summary.beginning = content.get().into();
        self.summary.finish = Some(finish(message.stop_reason.as_deref().unwrap_or_default(), false));
        self.summary.usage = message.usage.map(|usage| {
            let mut counters = Counters::default();
            counters.take(&usage);
            counters.usage()
        });
        self.summary.complete = true;
        Ok(Seen { semantic: true, hide: false })
    }

    fn end(&mut self) -> Result<(), Failure> {
        whole(self.summary.complete)
    }

    fn summary(&self) -> &Summary {
        &self.summary
    }
}
