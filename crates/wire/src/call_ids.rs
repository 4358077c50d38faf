//! Ids of tool calls that stand in a conversation more than once.
//!
//! Owns the ids that later calls get instead, and which result belongs to which call. Must not know how ids are spelled. Clients of
//! providers whose calls have no ids make some up, and count from the beginning in every turn; targets that pair results with calls
//! by their ids refuse such a conversation (`tool_use` ids must be unique). An id depends on what stands before it only, so that it
//! stays the same as the conversation grows, and with it what the target has cached.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use trunkline_model::content::{Content, Message, Role};

/// Position of a message and of a part in it.
type Place = (usize, usize);

/// The ids that differ from what the client said: none in nearly every conversation.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallIds(HashMap<Place, String>);

impl CallIds {
    /// Looks for ids that calls share.
    pub(crate) fn of(messages: &[Message]) -> Self {
        let mut seen = HashSet::new();
        let parts = messages.iter().flat_map(|message| &message.parts);
        let mut calls = parts.filter_map(|part| match &part.content {
            Content::ToolCall(call) => Some(call.id.as_str()),
            _ => None,
        });
        if calls.all(|id| seen.insert(id)) {
            return Self::default();
        }
        Walk::default().through(messages)
    }

    /// Whether every id stays as it is.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The id of the call, or of the result of one, that stands at a place.
    pub(crate) fn at<'i>(&'i self, place: Place, given: &'i str) -> &'i str {
        self.0.get(&place).map_or(given, String::as_str)
    }

    /// As [`CallIds::at`], for what outlives these.
    pub(crate) fn shared<'i>(&self, place: Place, given: &'i str) -> Cow<'i, str> {
        self.0.get(&place).map_or(Cow::Borrowed(given), |id| Cow::Owned(id.clone()))
    }
}

/// A way through the conversation.
#[derive(Default)]
struct Walk<'r> {
    ids: HashMap<Place, String>,
    /// Every id that a call has by now.
    taken: HashSet<String>,
    /// The calls of each given id that wait for a result, and the one that was answered last.
    open: HashMap<&'r str, Open>,
    /// How often the model began to speak.
    turn: usize,
}

#[derive(Default)]
struct Open {
    turn: usize,
    waiting: VecDeque<String>,
    answered: Option<String>,
}

impl<'r> Walk<'r> {
    fn through(mut self, messages: &'r [Message]) -> CallIds {
        let mut speaks = false;
        for (index, message) in messages.iter().enumerate() {
            let spoke = std::mem::replace(&mut speaks, message.role == Role::Assistant);
            self.turn += usize::from(speaks && !spoke);
            for (position, part) in message.parts.iter().enumerate() {
                let place = (index, position);
                match &part.content {
                    Content::ToolCall(call) => self.call(place, &call.id),
                    Content::ToolResult(result) => self.result(place, &result.call_id),
                    _ => {}
                }
            }
        }
        CallIds(self.ids)
    }

    fn call(&mut self, place: Place, given: &'r str) {
        let mut id = given.to_owned();
        let mut number = 2_u32;
        while self.taken.contains(&id) {
            id = format!("{given}_{number}");
            number += 1;
        }
        self.taken.insert(id.clone());
        self.note(place, given, &id);
        let open = self.open.entry(given).or_default();
        if open.turn != self.turn {
            // What no result came for in its own turn gets none any more.
            *open = Open { turn: self.turn, ..Open::default() };
        }
        open.waiting.push_back(id);
    }

    fn result(&mut self, place: Place, given: &'r str) {
        let Some(open) = self.open.get_mut(given) else { return };
        if let Some(id) = open.waiting.pop_front() {
            open.answered = Some(id);
        }
        if let Some(id) = open.answered.clone() {
            self.note(place, given, &id);
        }
    }

    fn note(&mut self, place: Place, given: &str, id: &str) {
        if id != given {
            self.ids.insert(place, id.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_model::content::{Part, ToolCall, ToolResult};
    use trunkline_model::json::Json;

    fn said(role: Role, contents: Vec<Content>) -> Message {
        Message { role, parts: contents.into_iter().map(Part::new).collect(), name: None }
    }

    fn calls(ids: &[&str]) -> Message {
        let call = |id: &&str| {
            let (id, name) = ((*id).to_owned(), "look".to_owned());
            Content::ToolCall(ToolCall { id, name, arguments: Json::empty_object() })
        };
        said(Role::Assistant, ids.iter().map(call).collect())
    }

    fn result(id: &str) -> Message {
        let result = ToolResult { call_id: id.to_owned(), name: None, parts: Vec::new(), is_error: false };
        said(Role::Tool, vec![Content::ToolResult(result)])
    }

    /// Every id in order, calls as they are, results behind an arrow.
    fn shown(messages: &[Message]) -> String {
        let ids = CallIds::of(messages);
        let mut shown = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            for (position, part) in message.parts.iter().enumerate() {
                match &part.content {
                    Content::ToolCall(call) => shown.push(ids.at((index, position), &call.id).to_owned()),
                    Content::ToolResult(result) => {
                        shown.push(format!(">{}", ids.at((index, position), &result.call_id)));
                    }
                    _ => {}
                }
            }
        }
        shown.join(" ")
    }

    #[test]
    fn later_calls_of_an_id_get_another_and_their_results_with_them() {
        assert_eq!(shown(&[calls(&["a", "b"]), result("b"), result("a")]), "a b >b >a");
        let turns = [calls(&["a"]), result("a"), calls(&["a"]), result("a"), calls(&["a"]), result("a")];
        assert_eq!(shown(&turns), "a >a a_2 >a_2 a_3 >a_3");
        // What was said first does not change as more is said.
        assert_eq!(shown(&turns[..4]), "a >a a_2 >a_2");
        // Side by side they are paired in order.
        let beside = [calls(&["a", "a", "b"]), result("a"), result("b"), result("a")];
        assert_eq!(shown(&beside), "a a_2 b >a >b >a_2");
        // A call that nobody answered takes no result of a later one.
        assert_eq!(
            shown(&[calls(&["a"]), calls(&["b"]), result("b"), calls(&["a"]), result("a")]),
            "a b >b a_2 >a_2"
        );
        // A client may have the very id that would have been made.
        let crossed = [calls(&["a"]), result("a"), calls(&["a", "a_2"]), result("a"), result("a_2")];
        assert_eq!(shown(&crossed), "a >a a_2 a_2_2 >a_2 >a_2_2");
        // Results twice, results of nothing.
        assert_eq!(
            shown(&[result("a"), calls(&["a"]), calls(&["a"]), result("a"), result("a"), result("a")]),
            ">a a a_2 >a >a_2 >a_2"
        );
    }
}
