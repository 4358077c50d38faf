//! The events of a response that runs in the background, held for those who look at it.
//!
//! Owns their bound and their numbers. Must not know tasks or who follows. Pieces hold whole events: the keeper cuts them so.

use bytes::Bytes;

/// Most bytes of events held for those who look at a running stream.
const MOST_EVENTS: usize = 64 << 20;

/// What was told of a running response so far.
#[derive(Default)]
pub(super) struct Events {
    pub pieces: Vec<Bytes>,
    bytes: usize,
    pub is_over: bool,
}

impl Events {
    /// Takes a piece while there is room. Who follows is told where there is none.
    pub(super) fn push(&mut self, piece: Bytes) {
        let had_room = self.bytes <= MOST_EVENTS;
        self.bytes += piece.len();
        if self.bytes <= MOST_EVENTS {
            self.pieces.push(piece);
        } else if had_room {
            let message = format!(
                "the events of this response take more than {MOST_EVENTS} bytes: retrieve it when it is complete"
            );
            let event = serde_json::json!({"type": "error", "code": "server_error", "message": message, "param": null,
                "sequence_number": self.next_sequence()});
            self.pieces.push(Bytes::from(format!("event: error\ndata: {event}\n\n")));
        }
    }

    /// The number behind that of the last event.
    pub(super) fn next_sequence(&self) -> u64 {
        let last = self.pieces.iter().rev().find_map(|piece| {
            let text = String::from_utf8_lossy(piece);
            text.split_inclusive("\n\n").filter_map(sequence_of).last()
        });
        last.map_or(0, |last| last.saturating_add(1))
    }
}

/// The events of a piece behind a sequence number. Pieces hold whole events: the keeper cuts them so.
pub(super) fn behind(piece: &Bytes, after: u64) -> Bytes {
    let text = String::from_utf8_lossy(piece);
    let mut left = String::new();
    for event in text.split_inclusive("\n\n") {
        if sequence_of(event).is_none_or(|number| number > after) {
            left.push_str(event);
        }
    }
    Bytes::from(left)
}

/// The number of an event.
fn sequence_of(event: &str) -> Option<u64> {
    let rest = event.split("\"sequence_number\":").nth(1)?.trim_start();
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u64, text: &str) -> Bytes {
        Bytes::from(format!("event: x\ndata: {{\"sequence_number\":{number},\"delta\":\"{text}\"}}\n\n"))
    }

    #[test]
    fn numbers_go_on_behind_the_last_event() {
        let mut events = Events::default();
        assert_eq!(events.next_sequence(), 0);
        events.push(event(0, "a"));
        events.push(Bytes::from([event(1, "b"), event(12, "c")].concat()));
        assert_eq!(events.next_sequence(), 13);
        assert_eq!(behind(&events.pieces[1], 1), event(12, "c"));
    }

    #[test]
    fn who_follows_what_has_no_room_is_told_once() {
        let mut events = Events::default();
        events.push(event(0, "a"));
        let half = Bytes::from(vec![b' '; MOST_EVENTS / 2]);
        for _ in 0..4 {
            events.push(half.clone());
        }
        assert_eq!(events.pieces.len(), 3, "one event, one half, and what is told of the rest");
        let told = String::from_utf8_lossy(&events.pieces[2]).into_owned();
        assert!(told.starts_with("event: error\n") && told.contains("\"sequence_number\":1"), "{told}");
    }
}
