//! Answers collected for comparison in tests.
//!
//! Owns what two event sequences must agree on to be the same answer, however it was cut into deltas, and a generator of
//! answers. Must not be part of the product.

use crate::codec::{Decode, Frame};
use crate::frame::{Framer, Framing};
use bytes::Bytes;
use proptest::prelude::*;
use trunkline_model::citation::Citation;
use trunkline_model::content::Opaque;
use trunkline_model::dialect::Dialect;
use trunkline_model::event::{Delta, Event, Finish, PartKind};
use trunkline_model::failure::Failure;
use trunkline_model::json::Json;
use trunkline_model::usage::Usage;

/// One part, whole.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Whole {
    pub(crate) kind: PartKind,
    pub(crate) text: String,
    pub(crate) opaque: Option<Opaque>,
}

/// An answer, whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Collected {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) parts: Vec<(u32, Whole)>,
    pub(crate) finishes: Vec<(u32, Finish, Option<String>)>,
    pub(crate) citations: Vec<(u32, u32, Citation)>,
    pub(crate) usage: Option<Usage>,
    pub(crate) vectors: Vec<Vec<f32>>,
    pub(crate) extras: Vec<(String, Json)>,
    pub(crate) ended: bool,
}

/// Collects events, checking the rules of their order on the way.
pub(crate) fn collect(events: &[Event]) -> Collected {
    let mut answer = Collected::default();
    let mut open: Vec<(u32, u32, usize)> = Vec::new();
    for event in events {
        assert!(!answer.ended, "nothing follows the end: {event:?}");
        match event {
            Event::Start { id, model, .. } => {
                answer.id.clone_from(id);
                answer.model.clone_from(model);
            }
            Event::PartStart { choice, part, kind } => {
                assert!(!open.iter().any(|(other, ..)| other == choice), "one open part per choice");
                open.push((*choice, *part, answer.parts.len()));
                let kind = kind.clone();
                answer.parts.push((*choice, Whole { kind, text: String::new(), opaque: None }));
            }
            Event::Delta { choice, part, delta } => {
                let at = open.iter().find(|(c, p, _)| c == choice && p == part).expect("the part is open").2;
                let whole = &mut answer.parts[at].1;
                match delta {
                    Delta::Text(text) | Delta::Arguments(text) => whole.text.push_str(text),
                    Delta::Opaque(opaque) => whole.opaque = Some(opaque.clone()),
                }
            }
            Event::PartEnd { choice, part } => {
                let at = open.iter().position(|(c, p, _)| c == choice && p == part);
                open.swap_remove(at.expect("the part is open"));
            }
            Event::Finish { choice, reason, stop_sequence, .. } => {
                answer.finishes.push((*choice, *reason, stop_sequence.clone()));
            }
            Event::Citation { choice, part, citation } => {
                assert!(
                    !answer.finishes.iter().any(|(other, ..)| other == choice),
                    "cited before the finish"
                );
                answer.citations.push((*choice, *part, (**citation).clone()));
            }
            Event::Usage(usage) => answer.usage = Some(*usage),
            Event::Embedding { values, .. } => answer.vectors.push(values.clone()),
            Event::Extra { name, json } => answer.extras.push((name.clone(), json.clone())),
            Event::Logprobs { .. } | Event::Ranked { .. } => {}
            Event::End => answer.ended = true,
        }
    }
    assert!(open.is_empty(), "every part is closed");
    answer
}

/// Decodes a stream given in pieces.
pub(crate) fn decode_pieces<'p>(
    mut decoder: Box<dyn Decode>,
    framing: Framing,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Result<Vec<Event>, Failure> {
    let mut framer = Framer::new(framing, 1 << 20);
    let mut events = Vec::new();
    for piece in pieces {
        framer.push(Bytes::copy_from_slice(piece));
        while let Some(frame) = framer.next()? {
            decoder.frame(Frame { event: frame.frame().event, data: frame.frame().data }, &mut events)?;
        }
    }
    if let Some(frame) = framer.finish()? {
        decoder.frame(frame.frame(), &mut events)?;
    }
    decoder.end(&mut events)?;
    Ok(events)
}

/// Answers a dialect can express in both directions: each part kind, each finish, several deltas per part.
pub(crate) fn answers(origin: Dialect, redacted: bool) -> impl Strategy<Value = Vec<Event>> {
    let text = || "[a-zé\"\\\\\n ]{1,12}";
    let pieces = || proptest::collection::vec(text(), 1..4);
    let signature = || "[A-Za-z0-9+/]{8}".prop_map(move |value| Opaque { origin, value });
    let words =
        pieces().prop_map(|pieces| (PartKind::Text, pieces.into_iter().map(Delta::Text).collect::<Vec<_>>()));
    let thinking = (pieces(), signature()).prop_map(|(pieces, opaque)| {
        let mut deltas: Vec<Delta> = pieces.into_iter().map(Delta::Text).collect();
        deltas.push(Delta::Opaque(opaque));
        (PartKind::Thinking, deltas)
    });
    let hidden = signature().prop_map(|opaque| (PartKind::RedactedThinking, vec![Delta::Opaque(opaque)]));
    let call = ("[a-z_]{1,8}", 0u32..1000).prop_map(|(name, number)| {
        let arguments = Delta::Arguments(format!("{{\"n\":{number}}}"));
        (PartKind::ToolCall { id: String::new(), name }, vec![arguments])
    });
    let part = if redacted {
        prop_oneof![words, thinking, call, hidden].boxed()
    } else {
        prop_oneof![words, thinking, call].boxed()
    };
    let usage = proptest::array::uniform4(0u64..100_000);
    (proptest::collection::vec(part, 0..6), usage, 0usize..4).prop_map(|(parts, counts, finish)| {
        let [input, cache_read, output, reasoning] = counts;
        let usage = Usage { input, cache_read, output, reasoning, ..Usage::default() };
        let mut events =
            vec![Event::Start { id: "answer-1".to_owned(), model: "model-1".to_owned(), created: None }];
        let mut calls = false;
        for (part, (mut kind, deltas)) in parts.into_iter().enumerate() {
            let part = u32::try_from(part).expect("few parts");
            if let PartKind::ToolCall { id, .. } = &mut kind {
                calls = true;
                *id = format!("call_{part}");
            }
            events.push(Event::PartStart { choice: 0, part, kind });
            events.extend(deltas.into_iter().map(|delta| Event::Delta { choice: 0, part, delta }));
            events.push(Event::PartEnd { choice: 0, part });
        }
        let reason = match finish {
            0 => Finish::Length,
            1 => Finish::ContentFilter,
            _ if calls => Finish::ToolCalls,
            _ => Finish::Stop,
        };
        events.push(Event::Usage(usage));
        events.push(Event::Finish { choice: 0, reason, native: String::new(), stop_sequence: None });
        events.push(Event::End);
        events
    })
}
