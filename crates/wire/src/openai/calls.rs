//! Tool calls of one answer, put in sequence.
//!
//! Owns the pieces of calls that a stream may interleave by index, while canonical parts follow one another. Must not know
//! text parts. The call whose turn it is streams live; a later one waits until the arguments of the one before are balanced
//! JSON, or until the answer ends. Streams that send calls one after the other, as nearly all do, never wait.

use trunkline_model::content::Opaque;

/// The most calls in one answer.
const CALL_LIMIT: usize = 128;

/// The most bytes of arguments held back.
const WAITING_LIMIT: usize = 16 << 20;

/// The calls of one choice.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
    /// The first call that is not done.
    turn: usize,
}

#[derive(Debug)]
struct Call {
    index: Option<u32>,
    id: String,
    name: String,
    waiting: String,
    signature: Option<Opaque>,
    balance: Balance,
    is_open: bool,
}

/// What to do next for the calls.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A call begins.
    Open { id: String, name: String },
    /// State of the open call.
    Signature(Opaque),
    /// More arguments of the open call.
    Arguments(String),
    /// The open call is complete.
    Close,
}

/// Calls that cannot be told in sequence: too many, too much held back, or a piece of one already closed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unordered;

impl Calls {
    /// Whether there is any call.
    pub(super) const fn any(&self) -> bool {
        !self.calls.is_empty()
    }

    /// Whether a call is open.
    pub(super) fn is_open(&self) -> bool {
        self.calls.get(self.turn).is_some_and(|call| call.is_open)
    }

    /// Takes a piece of a call; `made_up` names calls without an id by their position.
    pub(super) fn piece(
        &mut self,
        index: Option<u32>,
        id: &str,
        name: &str,
        arguments: &str,
        signature: Option<Opaque>,
        made_up: impl FnOnce(usize) -> String,
    ) -> Result<(), Unordered> {
        let position = match self.position(index, id, name) {
            Some(position) => position,
            None => {
                if self.calls.len() == CALL_LIMIT {
                    return Err(Unordered);
                }
                let position = self.calls.len();
                self.calls.push(Call {
                    index,
                    id: if id.is_empty() { made_up(position) } else { id.to_owned() },
                    name: String::new(),
                    waiting: String::new(),
                    signature: None,
                    balance: Balance::default(),
                    is_open: false,
                });
                position
            }
        };
        let call = &mut self.calls[position];
        if call.name.is_empty() {
            name.clone_into(&mut call.name);
        }
        if position < self.turn {
            return if arguments.trim().is_empty() { Ok(()) } else { Err(Unordered) };
        }
        call.signature = signature.or(call.signature.take());
        call.balance.take(arguments);
        call.waiting.push_str(arguments);
        if call.waiting.len() > WAITING_LIMIT { Err(Unordered) } else { Ok(()) }
    }

    fn position(&self, index: Option<u32>, id: &str, name: &str) -> Option<usize> {
        let found = match index {
            Some(_) => self.calls.iter().rposition(|call| call.index == index)?,
            // Without an index an id begins a call and its absence continues the last.
            None if id.is_empty() => return self.calls.len().checked_sub(1).filter(|_| name.is_empty()),
            None => return self.calls.iter().rposition(|call| call.id == id),
        };
        // Some number every call 0: another id with a name is another call.
        let is_other = !id.is_empty() && !name.is_empty() && self.calls[found].id != id;
        (!is_other).then_some(found)
    }

    /// The next thing to do; `at_end` lets calls begin whose predecessors are not balanced.
    pub(super) fn step(&mut self, at_end: bool) -> Option<Step> {
        let has_next = self.turn + 1 < self.calls.len();
        let call = self.calls.get_mut(self.turn)?;
        if !call.is_open {
            if call.name.is_empty() && !at_end {
                return None;
            }
            call.is_open = true;
            return Some(Step::Open { id: call.id.clone(), name: call.name.clone() });
        }
        if let Some(signature) = call.signature.take() {
            return Some(Step::Signature(signature));
        }
        if !call.waiting.is_empty() {
            return Some(Step::Arguments(std::mem::take(&mut call.waiting)));
        }
        if at_end || (has_next && call.balance.is_complete()) {
            self.turn += 1;
            return Some(Step::Close);
        }
        None
    }
}

/// Whether pieces of JSON text make a whole object yet.
#[derive(Debug, Default)]
struct Balance {
    depth: u32,
    in_string: bool,
    is_escaped: bool,
    began: bool,
}

impl Balance {
    fn take(&mut self, piece: &str) {
        for byte in piece.bytes() {
            if self.in_string {
                match byte {
                    _ if self.is_escaped => self.is_escaped = false,
                    b'\\' => self.is_escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    self.depth += 1;
                    self.began = true;
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    const fn is_complete(&self) -> bool {
        self.began && self.depth == 0 && !self.in_string
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pieces: &[(Option<u32>, &str, &str, &str)]) -> Vec<String> {
        let mut calls = Calls::default();
        let mut steps = Vec::new();
        for (index, id, name, arguments) in pieces {
            calls.piece(*index, id, name, arguments, None, |position| format!("made_{position}")).unwrap();
            steps.extend(std::iter::from_fn(|| calls.step(false)));
        }
        steps.extend(std::iter::from_fn(|| calls.step(true)));
        steps
            .into_iter()
            .map(|step| match step {
                Step::Open { id, name } => format!("open {id} {name}"),
                Step::Arguments(text) => text,
                Step::Close => "close".to_owned(),
                Step::Signature(_) => "signature".to_owned(),
            })
            .collect()
    }

    #[test]
    fn interleaved_calls_come_out_in_sequence() {
        let pieces = [
            (Some(0), "a", "f", ""),
            (Some(1), "b", "g", ""),
            (Some(0), "", "", "{\"x\":\"}"),
            (Some(1), "", "", "{}"),
            (Some(0), "", "", "\\\"\"}"),
        ];
        assert_eq!(run(&pieces), ["open a f", "{\"x\":\"}", "\\\"\"}", "close", "open b g", "{}", "close"]);
    }

    #[test]
    fn calls_without_index_or_id_are_told_apart_by_what_they_have() {
        assert_eq!(
            run(&[(None, "a", "f", "{"), (None, "", "", "}"), (None, "b", "g", "{}")]),
            ["open a f", "{", "}", "close", "open b g", "{}", "close"]
        );
        assert_eq!(
            run(&[(Some(0), "a", "f", "{}"), (Some(0), "b", "f", "{}")]),
            ["open a f", "{}", "close", "open b f", "{}", "close"]
        );
        assert_eq!(
            run(&[(None, "", "f", "{}"), (None, "", "g", "{}")]),
            ["open made_0 f", "{}", "close", "open made_1 g", "{}", "close"]
        );
    }
}
