//! Answers written in the form of the endpoint that continues a text.
//!
//! Owns whole bodies and streams. What a text has no place for (reasoning, calls) is left out: nothing of the kind was asked for.

use crate::cited::Lost;
use crate::codec::{Encode, EncodeContext};
use crate::openai::{encode_error, encode_error_frame, finish_word, write_usage};
use crate::tally::Tally;
use crate::write::{Object, array};
use bytes::BytesMut;
use trunkline_model::dialect::Delivery;
use trunkline_model::error::ClientError;
use trunkline_model::event::{Delta, Event, Finish, PartKind};
use trunkline_model::usage::Usage;
use trunkline_model::warning::Warning;

/// Writes answers for a client.
pub(crate) struct Encoder {
    delivery: Delivery,
    context: EncodeContext,
    id: String,
    model: String,
    created: u64,
    /// Parts that hold thoughts, which a text that goes on has no place for: choice and part.
    thoughts: Vec<(u32, u32)>,
    /// Of a whole answer.
    choices: Vec<Choice>,
    usage: Option<Usage>,
    tally: Option<Tally>,
    lost: Lost,
}

#[derive(Default)]
struct Choice {
    text: String,
    finish: Option<Finish>,
}

impl Encoder {
    pub(crate) fn new(delivery: Delivery, context: EncodeContext) -> Self {
        let id = context.request_id.encode();
        Self {
            delivery,
            id: format!("cmpl-{}", std::str::from_utf8(&id).unwrap_or_default()),
            model: context.model.clone(),
            created: context.created,
            context,
            thoughts: Vec::new(),
            choices: Vec::new(),
            usage: None,
            tally: None,
            lost: Lost::default(),
        }
    }

    fn text(&mut self, choice: u32, text: &str, out: &mut BytesMut) {
        if self.delivery.is_stream() {
            self.chunk(choice, text, None, out);
        } else {
            self.choice(choice).text.push_str(text);
        }
    }

    fn finished(&mut self, choice: u32, reason: Finish, out: &mut BytesMut) {
        if self.delivery.is_stream() {
            self.chunk(choice, "", Some(reason), out);
        } else {
            self.choice(choice).finish = Some(reason);
        }
    }

    fn choice(&mut self, number: u32) -> &mut Choice {
        // Providers make as many answers as were asked for, and none is asked for more than 128.
        let number = number.min(127) as usize;
        if self.choices.len() <= number {
            self.choices.resize_with(number + 1, Choice::default);
        }
        &mut self.choices[number]
    }

    fn chunk(&self, choice: u32, text: &str, finish: Option<Finish>, out: &mut BytesMut) {
        out.extend_from_slice(b"data: ");
        let mut body = self.head(out);
        array(body.key("choices"), [()], |out, ()| write_choice(out, choice, text, finish));
        body.close();
        out.extend_from_slice(b"\n\n");
    }

    fn head<'o>(&self, out: &'o mut BytesMut) -> Object<'o, BytesMut> {
        let mut body = Object::open(out);
        body.text("id", &self.id);
        body.text("object", "text_completion");
        body.whole("created", self.created);
        body.text("model", &self.model);
        body
    }
}

fn write_choice(out: &mut BytesMut, index: u32, text: &str, finish: Option<Finish>) {
    let mut choice = Object::open(out);
    choice.text("text", text);
    choice.whole("index", index);
    choice.raw("logprobs", "null");
    match finish {
        // A text has no other words for its end.
        Some(Finish::ToolCalls) => choice.text("finish_reason", "stop"),
        Some(reason) => choice.text("finish_reason", finish_word(reason)),
        None => choice.raw("finish_reason", "null"),
    }
    choice.close();
}

impl Encode for Encoder {
    fn event(&mut self, event: &Event, out: &mut BytesMut) {
        match event {
            Event::Start { id, model, created } => {
                if !id.is_empty() {
                    self.id.clone_from(id);
                }
                if !model.is_empty() {
                    self.model.clone_from(model);
                }
                self.created = created.unwrap_or(self.created);
            }
            Event::PartStart { choice, part, kind: PartKind::Thinking } => {
                self.thoughts.push((*choice, *part))
            }
            Event::PartEnd { choice, part } => self.thoughts.retain(|open| open != &(*choice, *part)),
            Event::Delta { choice, part, delta: Delta::Text(text) }
                if !text.is_empty() && !self.thoughts.contains(&(*choice, *part)) =>
            {
                self.text(*choice, text, out);
            }
            Event::Finish { choice, reason, .. } => self.finished(*choice, *reason, out),
            Event::Citation { .. } => self.lost.source(),
            Event::Usage(usage) => self.usage = Some(*usage),
            _ => {}
        }
    }

    fn tally(&mut self, tally: Tally) {
        self.tally = Some(tally);
    }

    fn finish(&mut self, out: &mut BytesMut) {
        if !self.delivery.is_stream() {
            let mut body = self.head(out);
            array(body.key("choices"), self.choices.iter().enumerate(), |out, (index, choice)| {
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                write_choice(out, index, &choice.text, choice.finish.or(Some(Finish::Stop)));
            });
            if let Some(usage) = &self.usage {
                write_usage(body.key("usage"), usage);
            }
            body.close();
            return;
        }
        self.lost.comment(out);
        if let Some(usage) = self.usage.filter(|_| self.context.stream_usage) {
            out.extend_from_slice(b"data: ");
            let mut body = self.head(out);
            body.raw("choices", "[]");
            write_usage(body.key("usage"), &usage);
            if let Some(tally) = &self.tally {
                tally.write_value(body.key("trunkline"));
            }
            body.close();
            out.extend_from_slice(b"\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn warnings(&self) -> Vec<Warning> {
        self.lost.warnings()
    }

    fn fail(&mut self, error: &ClientError, out: &mut BytesMut) {
        if self.delivery.is_stream() {
            encode_error_frame(error, self.context.request_id, out);
        } else {
            out.extend_from_slice(&encode_error(error, self.context.request_id));
        }
    }
}
