//! Continuing a broken answer on another deployment.
//!
//! Owns the three pure parts of it: the text that the client has so far, the request for the rest, and fitting the rest into
//! the stream that is under way. Must not know attempts, time or sockets.
//!
//! Why not a prefill (an assistant message at the end that the model goes on from): several providers refuse it, others start
//! a new message all the same, and none says which. A short instruction after the text so far is understood by every model.
//! The price is that the seam is the model's work: it may repeat a word or lose a blank. So this is an option, off unless
//! a route asks for it, and marked in the stream and in the record.

use bytes::Bytes;
use trunkline_model::citation::Claim;
use trunkline_model::content::{Message, Role};
use trunkline_model::event::{Delta, Event, PartKind};
use trunkline_model::request::{ChatRequest, OutputFormat, Request};

/// Longer texts are not continued: they are kept in memory for as long as their stream is open.
const LONGEST_TEXT: usize = 256 * 1024;

/// What the model is told after the text so far.
const INSTRUCTION: &str = "Your last message was cut off. Continue it from exactly where it stopped: give only what comes \
                           next, repeat nothing of it, and add no introduction and no remark about the interruption.";

/// The text of an answer, as long as it is nothing but one text.
#[derive(Debug, Default)]
pub(crate) enum Prose {
    /// Nothing has begun.
    #[default]
    Empty,
    /// One text is under way.
    Open(Unfinished),
    /// Something else has begun, the text has ended or is too long: nobody else can go on from here.
    Unfit,
}

/// A text that was not finished.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unfinished {
    /// The number of its part in the client's stream.
    pub part: u32,
    /// What the client has of it.
    pub text: String,
}

impl Prose {
    /// Notes what goes to the client.
    pub(crate) fn learn(&mut self, event: &Event) {
        match (&mut *self, event) {
            (_, Event::Start { .. } | Event::Usage(_) | Event::Extra { .. }) => {}
            (Self::Empty, Event::PartStart { choice: 0, part, kind: PartKind::Text }) => {
                *self = Self::Open(Unfinished { part: *part, text: String::new() });
            }
            (Self::Open(open), Event::Delta { choice: 0, part, delta: Delta::Text(text) })
                if *part == open.part && open.text.len() + text.len() <= LONGEST_TEXT =>
            {
                open.text.push_str(text);
            }
            // A signature of the text means something to its own provider only.
            (Self::Open(_), Event::Delta { delta: Delta::Opaque(_), .. }) => {}
            _ => *self = Self::Unfit,
        }
    }

    /// Takes the text, if it may be continued. A blank one may not: some providers refuse blank messages.
    pub(crate) fn take(&mut self) -> Option<Unfinished> {
        match std::mem::replace(self, Self::Unfit) {
            Self::Open(unfinished) if !unfinished.text.trim().is_empty() => Some(unfinished),
            _ => None,
        }
    }
}

/// The request for the rest of an answer; `None` where the rest from elsewhere would not fit: several answers, structured
/// output (a second model begins a document of its own) and log-probabilities.
#[must_use]
pub(crate) fn rest(request: &Request, so_far: &str) -> Option<Request> {
    let Request::Chat(chat) = request else { return None };
    if !may_be_continued(chat) {
        return None;
    }
    let mut chat = chat.clone();
    chat.messages.push(Message::text(Role::Assistant, so_far));
    chat.messages.push(Message::text(Role::User, INSTRUCTION));
    // The limit is on the whole answer. Where thinking counts against it, what is left cannot be told.
    if chat.reasoning.is_none() {
        let spent = so_far.len() as u64 / 4;
        chat.max_output_tokens = chat.max_output_tokens.map(|limit| limit.saturating_sub(spent).max(1));
    }
    Some(Request::Chat(chat))
}

/// Whether a plain text is all that the request asks for.
#[must_use]
pub(crate) fn may_be_continued(chat: &ChatRequest) -> bool {
    chat.choices.unwrap_or(1) == 1 && chat.logprobs.is_none() && matches!(chat.output, OutputFormat::Text)
}

/// What marks the seam: headers are gone, and a comment is what every client of server-sent events skips.
#[must_use]
pub(crate) fn mark(deployment: &str) -> Bytes {
    let name: String = deployment.chars().filter(|letter| !letter.is_control()).collect();
    Bytes::from(format!(": trunkline-continued deployment={name}\n\n"))
}

/// Fits the events of a second answer into the stream of the first.
#[derive(Debug)]
pub(crate) struct Splice {
    /// The client's open part.
    base: u32,
    /// Characters of text that the client had before: citations of the second answer count from its own beginning.
    said: usize,
    /// It is still open.
    open: bool,
    /// What becomes of the second answer's current part.
    current: Current,
    /// The next free number of a part.
    free: u32,
}

#[derive(Clone, Copy, Debug)]
enum Current {
    /// It goes on in the open part.
    Joined,
    /// It is a part of its own, under this number.
    Own(u32),
    /// It is left out.
    Skipped,
}

impl Splice {
    /// A splice onto an open part.
    #[must_use]
    pub(crate) fn new(so_far: &Unfinished) -> Self {
        let base = so_far.part;
        Self {
            base,
            said: so_far.text.chars().count(),
            open: true,
            current: Current::Skipped,
            free: base + 1,
        }
    }

    /// Replaces the second answer's events by those that go on with the first.
    pub(crate) fn fit(&mut self, events: &mut Vec<Event>) {
        let mut fitted = Vec::with_capacity(events.len() + 1);
        for event in events.drain(..) {
            self.one(event, &mut fitted);
        }
        *events = fitted;
    }

    fn one(&mut self, event: Event, out: &mut Vec<Event>) {
        match event {
            Event::PartStart { choice: 0, kind, .. } => self.start(kind, out),
            Event::Delta { choice: 0, delta, .. } => {
                let part = match (self.current, &delta) {
                    (Current::Joined, Delta::Text(_)) => self.base,
                    (Current::Own(part), _) => part,
                    // Signatures are of their own text as a whole.
                    (Current::Joined | Current::Skipped, _) => return,
                };
                out.push(Event::Delta { choice: 0, part, delta });
            }
            Event::Citation { choice: 0, mut citation, .. } => {
                let part = match self.current {
                    Current::Own(part) => part,
                    Current::Joined | Current::Skipped => self.base,
                };
                if let Claim::Part(range) | Claim::Stretch(range) = &mut citation.claim {
                    *range = range.start + self.said..range.end + self.said;
                }
                // Its provider's own form says the old places.
                citation.native = None;
                out.push(Event::Citation { choice: 0, part, citation });
            }
            Event::PartEnd { choice: 0, .. } => {
                match self.current {
                    Current::Joined => self.close(out),
                    Current::Own(part) => out.push(Event::PartEnd { choice: 0, part }),
                    Current::Skipped => {}
                }
                self.current = Current::Skipped;
            }
            Event::Finish { choice: 0, .. } => {
                self.close(out);
                out.push(event);
            }
            Event::Usage(_) | Event::End => out.push(event),
            // The client has its start already, and asked for one answer.
            _ => {}
        }
    }

    fn start(&mut self, kind: PartKind, out: &mut Vec<Event>) {
        self.current = match kind {
            PartKind::Text if self.open => Current::Joined,
            // How the second model came to the rest has no place in the middle of a text.
            PartKind::Thinking | PartKind::RedactedThinking => Current::Skipped,
            kind => {
                self.close(out);
                let part = self.free;
                self.free += 1;
                out.push(Event::PartStart { choice: 0, part, kind });
                Current::Own(part)
            }
        };
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if std::mem::take(&mut self.open) {
            out.push(Event::PartEnd { choice: 0, part: self.base });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_model::citation::{Citation, CitedSource};
    use trunkline_model::event::Finish;

    fn start(part: u32, kind: PartKind) -> Event {
        Event::PartStart { choice: 0, part, kind }
    }

    fn text(part: u32, text: &str) -> Event {
        Event::Delta { choice: 0, part, delta: Delta::Text(text.to_owned()) }
    }

    fn end(part: u32) -> Event {
        Event::PartEnd { choice: 0, part }
    }

    fn call() -> PartKind {
        PartKind::ToolCall { id: "call".to_owned(), name: "look".to_owned() }
    }

    fn finish() -> Event {
        Event::Finish { choice: 0, reason: Finish::Stop, native: "stop".to_owned(), stop_sequence: None }
    }

    fn begin() -> Event {
        Event::Start { id: "two".to_owned(), model: "other".to_owned(), created: None }
    }

    fn learnt(events: &[Event]) -> Option<Unfinished> {
        let mut prose = Prose::default();
        events.iter().for_each(|event| prose.learn(event));
        prose.take()
    }

    fn fitted(mut events: Vec<Event>) -> Vec<Event> {
        Splice::new(&Unfinished { part: 0, text: "one ".to_owned() }).fit(&mut events);
        events
    }

    #[test]
    fn only_one_open_text_may_be_continued() {
        let open = [begin(), start(0, PartKind::Text), text(0, "one "), text(0, "two")];
        assert_eq!(learnt(&open), Some(Unfinished { part: 0, text: "one two".to_owned() }));
        let with = |more: &[Event]| learnt(&[open.as_slice(), more].concat());
        assert_eq!(with(&[end(0)]), None);
        assert_eq!(with(&[finish()]), None);
        assert_eq!(with(&[end(0), start(1, call())]), None);
        assert_eq!(with(&[Event::PartStart { choice: 1, part: 0, kind: PartKind::Text }]), None);
        assert_eq!(with(&[text(0, &"x".repeat(LONGEST_TEXT))]), None);
        assert_eq!(learnt(&[start(0, PartKind::Thinking), text(0, "hm")]), None);
        assert_eq!(learnt(&[start(0, PartKind::Text), text(0, " \n")]), None);
        assert_eq!(learnt(&[begin()]), None);
    }

    #[test]
    fn the_rest_goes_on_in_the_open_part() {
        let rest = vec![begin(), start(0, PartKind::Text), text(0, "three"), end(0), finish(), Event::End];
        assert_eq!(fitted(rest), [text(0, "three"), end(0), finish(), Event::End]);
    }

    #[test]
    fn thinking_of_the_second_model_is_left_out() {
        let rest = vec![
            start(0, PartKind::Thinking),
            text(0, "where was I"),
            end(0),
            start(1, PartKind::Text),
            text(1, "three"),
            end(1),
            finish(),
        ];
        assert_eq!(fitted(rest), [text(0, "three"), end(0), finish()]);
    }

    #[test]
    fn citations_of_the_rest_count_on() {
        let cited = |part, claim| {
            let source = CitedSource::Web { url: "https://a".to_owned(), title: None };
            Event::Citation {
                choice: 0,
                part,
                citation: Box::new(Citation { source, quote: None, claim, native: None }),
            }
        };
        let rest = vec![
            start(0, PartKind::Thinking),
            end(0),
            start(1, PartKind::Text),
            text(1, "three"),
            cited(1, Claim::Stretch(1..3)),
            end(1),
        ];
        // The client had four characters.
        assert_eq!(fitted(rest), [text(0, "three"), cited(0, Claim::Stretch(5..7)), end(0)]);
    }

    #[test]
    fn other_parts_come_after_the_open_one() {
        let rest = vec![start(0, call()), end(0), start(1, PartKind::Text), text(1, "x"), end(1), finish()];
        let parts =
            [end(0), start(1, call()), end(1), start(2, PartKind::Text), text(2, "x"), end(2), finish()];
        assert_eq!(fitted(rest), parts);
        // Nothing more to say is an end too.
        assert_eq!(fitted(vec![begin(), finish(), Event::End]), [end(0), finish(), Event::End]);
    }
}
