//! Reasoning left out of an answer whose client asked not to see it, where the target has no word for that.
//!
//! Owns the wish as a body says it that passes as it is, and taking thoughts out of events. Must not touch sealed state: what a
//! provider wants back goes to the client as it came, in a part without words, which is the form in which providers that can
//! hide thoughts give them themselves.

use crate::codec::{Envelope, Profile, ReasoningStyle};
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::event::{Delta, Event, PartKind};

/// Whether a body that passes to a target of its own dialect asks to leave reasoning out of the answer in words that the target
/// does not know: those of OpenRouter in a body of chat completions. The other dialects have words of their own.
#[must_use]
pub fn is_needed(dialect: Dialect, envelope: &Envelope, body: &[u8], profile: &Profile) -> bool {
    #[derive(serde::Deserialize)]
    struct Wish {
        #[serde(default)]
        exclude: Option<bool>,
        #[serde(default)]
        effort: Option<String>,
    }
    let knows = profile.reasoning_object || profile.reasoning == ReasoningStyle::None;
    if dialect != Dialect::OpenAi || envelope.shape.operation != Operation::Chat || knows {
        return false;
    }
    let Some(field) = envelope.field(body, "reasoning") else { return false };
    let wish = body.get(field.value.clone()).and_then(|json| serde_json::from_slice::<Wish>(json).ok());
    wish.is_some_and(|wish| {
        let is_off = wish.effort.is_some_and(|effort| effort.eq_ignore_ascii_case("none"));
        wish.exclude == Some(true) && !is_off
    })
}

/// Takes the words of thoughts out of the events of one answer.
#[derive(Debug, Default)]
pub struct Veil {
    choices: Vec<Choice>,
    has_hidden: bool,
}

/// One of the answers.
#[derive(Debug)]
struct Choice {
    number: u32,
    thoughts: Thoughts,
    /// How many parts were left out: those that follow count on without them.
    left_out: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thoughts {
    /// The open part, if any, is none.
    None,
    /// The open part holds nothing so far that may be shown.
    Unshown,
    /// The open part holds state.
    Shown,
}

impl Veil {
    /// Whether thoughts were among the events so far.
    #[must_use]
    pub const fn has_hidden(&self) -> bool {
        self.has_hidden
    }

    /// Replaces events by those that may be shown. `hidden` is told each piece of thought that is left out: it was paid for.
    pub fn hide(&mut self, events: &mut Vec<Event>, hidden: &mut dyn FnMut(&Event)) {
        let mut shown = Vec::with_capacity(events.len() + 1);
        for event in events.drain(..) {
            self.one(event, &mut shown, hidden);
        }
        *events = shown;
    }

    fn one(&mut self, event: Event, shown: &mut Vec<Event>, hidden: &mut dyn FnMut(&Event)) {
        match event {
            Event::PartStart { choice, part, kind } => {
                let state = self.choice(choice);
                state.thoughts = if kind == PartKind::Thinking { Thoughts::Unshown } else { Thoughts::None };
                if state.thoughts == Thoughts::None {
                    shown.push(Event::PartStart { choice, part: part - state.left_out.min(part), kind });
                }
            }
            Event::Delta { choice, part, delta } => {
                let state = self.choice(choice);
                let number = part - state.left_out.min(part);
                if state.thoughts == Thoughts::None {
                    shown.push(Event::Delta { choice, part: number, delta });
                } else if let Delta::Opaque(_) = delta {
                    if state.thoughts == Thoughts::Unshown {
                        state.thoughts = Thoughts::Shown;
                        shown.push(Event::PartStart { choice, part: number, kind: PartKind::Thinking });
                    }
                    shown.push(Event::Delta { choice, part: number, delta });
                } else {
                    let event = Event::Delta { choice, part, delta };
                    self.has_hidden |= event.is_semantic();
                    hidden(&event);
                }
            }
            Event::PartEnd { choice, part } => {
                let state = self.choice(choice);
                if state.thoughts == Thoughts::Unshown {
                    state.left_out += 1;
                } else {
                    shown.push(Event::PartEnd { choice, part: part - state.left_out.min(part) });
                }
                state.thoughts = Thoughts::None;
            }
            Event::Citation { choice, part, citation } => {
                let left_out = self.choice(choice).left_out;
                shown.push(Event::Citation { choice, part: part - left_out.min(part), citation });
            }
            event => shown.push(event),
        }
    }

    fn choice(&mut self, number: u32) -> &mut Choice {
        let known = self.choices.iter().position(|choice| choice.number == number);
        let position = known.unwrap_or_else(|| {
            self.choices.push(Choice { number, thoughts: Thoughts::None, left_out: 0 });
            self.choices.len() - 1
        });
        &mut self.choices[position]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::PathParts;
    use crate::dispatch;
    use proptest::prelude::*;
    use trunkline_model::content::Opaque;

    fn start(part: u32, kind: PartKind) -> Event {
        Event::PartStart { choice: 0, part, kind }
    }

    fn text(part: u32, text: &str) -> Event {
        Event::Delta { choice: 0, part, delta: Delta::Text(text.to_owned()) }
    }

    fn sealed(part: u32) -> Event {
        let opaque = Opaque { origin: Dialect::Anthropic, value: "signature".to_owned() };
        Event::Delta { choice: 0, part, delta: Delta::Opaque(opaque) }
    }

    fn end(part: u32) -> Event {
        Event::PartEnd { choice: 0, part }
    }

    fn hidden(mut events: Vec<Event>) -> Vec<Event> {
        Veil::default().hide(&mut events, &mut |_| {});
        events
    }

    #[test]
    fn thoughts_without_state_leave_no_trace() {
        let answer = vec![
            start(0, PartKind::Thinking),
            text(0, "hm"),
            end(0),
            start(1, PartKind::Text),
            text(1, "yes"),
            end(1),
        ];
        assert_eq!(hidden(answer), [start(0, PartKind::Text), text(0, "yes"), end(0)]);
    }

    #[test]
    fn state_comes_without_the_words_it_is_about() {
        let answer = vec![
            start(0, PartKind::Thinking),
            text(0, "hm"),
            sealed(0),
            end(0),
            start(1, PartKind::RedactedThinking),
            sealed(1),
            end(1),
            start(2, PartKind::Text),
            sealed(2),
            end(2),
        ];
        let shown = [
            start(0, PartKind::Thinking),
            sealed(0),
            end(0),
            start(1, PartKind::RedactedThinking),
            sealed(1),
            end(1),
            start(2, PartKind::Text),
            sealed(2),
            end(2),
        ];
        assert_eq!(hidden(answer), shown);
    }

    #[test]
    fn the_wish_is_read_where_only_its_own_dialect_has_words_for_it() {
        let asked = |dialect, body: &str, profile: &Profile| {
            let path = PathParts::default();
            let envelope = dispatch::envelope(dialect, Operation::Chat, body.as_bytes(), &path).unwrap();
            is_needed(dialect, &envelope, body.as_bytes(), profile)
        };
        let body = |reasoning: &str| {
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}],"reasoning":{reasoning}}}"#)
        };
        let profile = Profile::new("m");
        let chat = |reasoning: &str| asked(Dialect::OpenAi, &body(reasoning), &profile);
        assert!(chat(r#"{"exclude":true}"#));
        assert!(chat(r#"{"exclude":true,"effort":"high","zap":1}"#));
        assert!(!chat(r#"{"exclude":true,"effort":"none"}"#));
        assert!(!chat(r#"{"exclude":false}"#));
        assert!(!chat(r#"{"effort":"high"}"#));
        assert!(!chat("null"));
        let responses = r#"{"model":"m","input":"a","reasoning":{"exclude":true}}"#;
        assert!(!asked(Dialect::Responses, responses, &profile));
        let knows = Profile { reasoning_object: true, ..profile.clone() };
        let never_thinks = Profile { reasoning: ReasoningStyle::None, ..profile.clone() };
        let wish = body(r#"{"exclude":true}"#);
        assert!(!asked(Dialect::OpenAi, &wish, &knows) && !asked(Dialect::OpenAi, &wish, &never_thinks));
    }

    proptest! {
        /// However an answer is cut, its parts count up from 0 without a gap, open and close in turn, and no thought is in them.
        #[test]
        fn what_is_left_is_an_answer(
            parts in proptest::collection::vec((0u32..3, 0usize..3, any::<bool>(), 0usize..3), 0..12), cut in 1usize..5,
        ) {
            let mut numbers = [0u32; 3];
            let mut answer = Vec::new();
            for (choice, kind, has_state, words) in parts {
                let part = numbers[choice as usize];
                numbers[choice as usize] += 1;
                let kind = [PartKind::Text, PartKind::Thinking, PartKind::Refusal][kind].clone();
                let said = if kind == PartKind::Thinking { "thought" } else { "said" };
                answer.push(Event::PartStart { choice, part, kind });
                for _ in 0..words {
                    answer.push(Event::Delta { choice, part, delta: Delta::Text(said.to_owned()) });
                }
                if has_state {
                    let opaque = Opaque { origin: Dialect::Anthropic, value: "s".to_owned() };
                    answer.push(Event::Delta { choice, part, delta: Delta::Opaque(opaque) });
                }
                answer.push(Event::PartEnd { choice, part });
            }
            let count = |events: &[Event], wanted: fn(&Delta) -> bool| {
                events.iter().filter(|event| matches!(event, Event::Delta { delta, .. } if wanted(delta))).count()
            };
            let is_state = |delta: &Delta| matches!(delta, Delta::Opaque(_));
            let is_said = |delta: &Delta| matches!(delta, Delta::Text(text) if text == "said");
            let is_thought = |delta: &Delta| matches!(delta, Delta::Text(text) if text == "thought");
            let before = (count(&answer, is_state), count(&answer, is_said), count(&answer, is_thought));
            let mut veil = Veil::default();
            let (mut shown, mut told) = (Vec::new(), 0);
            for piece in answer.chunks(cut) {
                let mut piece = piece.to_vec();
                veil.hide(&mut piece, &mut |_| told += 1);
                shown.extend(piece);
            }
            prop_assert_eq!((count(&shown, is_state), count(&shown, is_said), count(&shown, is_thought)), (before.0, before.1, 0));
            prop_assert_eq!((veil.has_hidden(), told), (before.2 > 0, before.2));
            let mut next = [0u32; 3];
            let mut open = [false; 3];
            for event in &shown {
                match event {
                    Event::PartStart { choice, part, .. } => {
                        prop_assert!(!std::mem::replace(&mut open[*choice as usize], true));
                        prop_assert_eq!(*part, next[*choice as usize]);
                    }
                    Event::Delta { choice, part, .. } => {
                        prop_assert!(open[*choice as usize]);
                        prop_assert_eq!(*part, next[*choice as usize]);
                    }
                    Event::PartEnd { choice, part } => {
                        prop_assert!(std::mem::replace(&mut open[*choice as usize], false));
                        prop_assert_eq!(*part, next[*choice as usize]);
                        next[*choice as usize] += 1;
                    }
                    _ => {}
                }
            }
        }
    }
}
