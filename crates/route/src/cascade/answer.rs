//! An answer as checks see it.
//!
//! Owns collecting the first choice of an answer from its events, within bounds. Must not keep what no check reads.

use serde::Deserialize;
use trunkline_model::event::{Delta, Event, Finish, PartKind};

/// The longest text kept, in bytes; what is longer counts as cut off for checks.
const LONGEST: usize = 4 << 20;
/// The most tool calls kept.
const MOST_CALLS: usize = 128;

/// The first choice of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Its text, reasoning not included.
    pub text: String,
    /// Its tool calls.
    pub calls: Vec<ToolCall>,
    /// Why it ended, where the provider said so.
    pub finish: Option<Finish>,
    /// The provider marked it as a refusal.
    pub declined: bool,
    /// It is longer than what is kept.
    pub clipped: bool,
    pub(super) log_probability: f64,
    pub(super) scored: u64,
    pub(super) kinds: Vec<(u32, Kind)>,
}

/// One tool call of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// The tool.
    pub name: String,
    /// Its arguments, JSON as text.
    pub arguments: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Call(usize),
    Other,
}

impl Answer {
    /// Takes one event.
    pub fn learn(&mut self, event: &Event) {
        match event {
            Event::PartStart { choice: 0, part, kind } => self.start(*part, kind),
            Event::Delta { choice: 0, part, delta } => self.more(*part, delta),
            Event::Logprobs { choice: 0, json } => self.score(json.text()),
            Event::Finish { choice: 0, reason, .. } => {
                self.finish = Some(*reason);
                self.declined |= *reason == Finish::ContentFilter;
            }
            _ => {}
        }
    }

    /// The mean natural logarithm of the probability of its tokens, where the provider gave any.
    #[must_use]
    pub fn mean_log_probability(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "far fewer tokens than a float can count")]
        let count = self.scored as f64;
        (self.scored > 0).then(|| self.log_probability / count)
    }

    fn start(&mut self, part: u32, kind: &PartKind) {
        let kind = match kind {
            PartKind::Text => Kind::Text,
            PartKind::ToolCall { name, .. } if self.calls.len() < MOST_CALLS => {
                self.calls.push(ToolCall { name: name.clone(), arguments: String::new() });
                Kind::Call(self.calls.len() - 1)
            }
            PartKind::ToolCall { .. } => {
                self.clipped = true;
                Kind::Other
            }
            PartKind::Refusal => {
                self.declined = true;
                Kind::Text
            }
            PartKind::Thinking | PartKind::RedactedThinking => Kind::Other,
        };
        if self.kinds.len() < MOST_CALLS * 2 {
            self.kinds.push((part, kind));
        }
    }

    fn more(&mut self, part: u32, delta: &Delta) {
        let kind = self.kinds.iter().rev().find(|(number, _)| *number == part).map(|(_, kind)| *kind);
        let (target, piece) = match (kind, delta) {
            (Some(Kind::Text), Delta::Text(piece)) => (&mut self.text, piece),
            (Some(Kind::Call(position)), Delta::Arguments(piece)) => {
                (&mut self.calls[position].arguments, piece)
            }
            _ => return,
        };
        if target.len() + piece.len() <= LONGEST {
            target.push_str(piece);
        } else {
            self.clipped = true;
        }
    }

    /// Log-probabilities come in the form of chat completions: `{"content": [{"logprob": -0.1, ...}]}`.
    fn score(&mut self, json: &str) {
        #[derive(Deserialize)]
        struct Scores {
            #[serde(default)]
            content: Option<Vec<Score>>,
        }
        #[derive(Deserialize)]
        struct Score {
            logprob: f64,
        }
        let Ok(scores) = serde_json::from_str::<Scores>(json) else { return };
        for score in scores.content.unwrap_or_default() {
            self.log_probability += score.logprob;
            self.scored += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_model::json::Json;

    #[test]
    fn text_calls_and_scores_are_collected_and_reasoning_is_not() {
        let mut answer = Answer::default();
        let delta = |part, delta| Event::Delta { choice: 0, part, delta };
        let events = [
            Event::PartStart { choice: 0, part: 0, kind: PartKind::Thinking },
            delta(0, Delta::Text("hmm".into())),
            Event::PartStart { choice: 0, part: 1, kind: PartKind::Text },
            delta(1, Delta::Text("4".into())),
            delta(1, Delta::Text("2".into())),
            Event::PartStart {
                choice: 0,
                part: 2,
                kind: PartKind::ToolCall { id: "a".into(), name: "add".into() },
            },
            delta(2, Delta::Arguments("{}".into())),
            Event::Logprobs {
                choice: 0,
                json: Json::parse(r#"{"content":[{"logprob":-1.0},{"logprob":-0.5}]}"#.into()).unwrap(),
            },
            Event::Delta { choice: 1, part: 0, delta: Delta::Text("other".into()) },
            Event::Finish { choice: 0, reason: Finish::Stop, native: "stop".into(), stop_sequence: None },
        ];
        events.iter().for_each(|event| answer.learn(event));
        assert_eq!(answer.text, "42");
        assert_eq!(answer.calls, [ToolCall { name: "add".into(), arguments: "{}".into() }]);
        assert_eq!(answer.mean_log_probability(), Some(-0.75));
        assert_eq!(answer.finish, Some(Finish::Stop));
        assert!(!answer.declined && !answer.clipped);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut answer = Answer::default();
        answer.learn(&Event::PartStart { choice: 0, part: 0, kind: PartKind::Text });
        for _ in 0..6 {
            answer.learn(&Event::Delta { choice: 0, part: 0, delta: Delta::Text("x".repeat(1 << 20)) });
        }
        assert!(answer.clipped && answer.text.len() <= LONGEST);
    }
}
