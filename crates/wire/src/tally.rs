//! What a request cost, told at the end of its stream.
//!
//! Owns the member `trunkline` of the event that carries a stream's usage, and putting it into an event that otherwise passes
//! byte for byte. Must not know prices, dialects or what else the event says: it stands at the end of the event's outermost
//! object, where clients of every dialect skip what they do not know.

use crate::write::string;
use bytes::{BufMut, Bytes, BytesMut};
use memchr::memmem::Finder;
use std::fmt::Write;
use std::sync::LazyLock;
use trunkline_model::id::RequestId;
use trunkline_model::money::{Cost, CostConfidence};
use trunkline_model::warning::Warning;

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Our id of the request.
    pub request_id: RequestId,
    /// What it cost, all attempts together.
    pub cost: Cost,
    /// Upstream calls, the one that answers included.
    pub attempts: u32,
    /// What of the answer had no place in the client's dialect: that shows only behind its head.
    pub warnings: Vec<Warning>,
}

impl Tally {
    /// Appends it as a member of an object: its name and its own object, no comma.
    pub fn write(&self, out: &mut BytesMut) {
        out.put_slice(b"\"trunkline\":");
        self.write_value(out);
    }

    /// Appends its own object.
    pub fn write_value(&self, out: &mut BytesMut) {
        out.put_slice(b"{\"request_id\":\"");
        out.put_slice(&self.request_id.encode());
        out.put_slice(b"\",\"cost_usd\":");
        // A sum with an unknown part is no amount anybody should add up.
        match self.cost.amount.filter(|_| self.cost.confidence != CostConfidence::Unknown) {
            // Writing into a buffer that grows cannot fail.
            Some(amount) => write!(out, "{}", amount.decimal()).expect("the buffer grows"),
            None => out.put_slice(b"null"),
        }
        out.put_slice(b",\"cost_confidence\":\"");
        out.put_slice(self.cost.confidence.as_str().as_bytes());
        write!(out, "\",\"attempts\":{}", self.attempts).expect("the buffer grows");
        for (index, warning) in self.warnings.iter().enumerate() {
            out.put_slice(if index == 0 { b",\"warnings\":[" } else { b"," });
            string(out, &warning.to_string());
        }
        if !self.warnings.is_empty() {
            out.put_u8(b']');
        }
        out.put_u8(b'}');
    }

    /// The pieces of an event with this put at the end of its outermost object; `None` when it has no object.
    #[must_use]
    pub fn insert(&self, event: &Bytes) -> Option<[Bytes; 3]> {
        let end = memchr::memrchr(b'}', event)?;
        let mut member = BytesMut::with_capacity(160);
        if event[..end].trim_ascii_end().last() != Some(&b'{') {
            member.put_u8(b',');
        }
        self.write(&mut member);
        Some([event.slice(..end), member.freeze(), event.slice(end..)])
    }
}

impl Tally {
    /// Bytes that tell a cost of the same request, with this one in its place; `None` when they tell none.
    #[must_use]
    pub fn correct(&self, bytes: &[u8]) -> Option<Bytes> {
        let mut own = BytesMut::with_capacity(160);
        self.write(&mut own);
        // Inside a string the quotes would be escaped; and nobody else knows the id.
        let id_ends = memchr::memmem::find(&own, b",\"cost_usd\"")?;
        let start = memchr::memmem::rfind(bytes, &own[..id_ends])?;
        let end = start + memchr::memchr(b'}', &bytes[start..])? + 1;
        let mut out = BytesMut::with_capacity(bytes.len() + 32);
        out.put_slice(&bytes[..start]);
        out.put_slice(&own);
        out.put_slice(&bytes[end..]);
        Some(out.freeze())
    }
}

/// Whether an event tells usage: a member `usage` or `usageMetadata` that is an object. Inside strings the quotes would be
/// escaped, so a look at the bytes is enough.
#[must_use]
pub fn carries_usage(event: &[u8]) -> bool {
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"usage"));
    NAME.find_iter(event).any(|at| {
        let rest = &event[at + "\"usage".len()..];
        let rest = rest.strip_prefix(b"Metadata").unwrap_or(rest);
        let Some(rest) = rest.strip_prefix(b"\"") else { return false };
        let Some(rest) = rest.trim_ascii_start().strip_prefix(b":") else { return false };
        rest.trim_ascii_start().first() == Some(&b'{')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use trunkline_model::money::NanoDollars;

    fn tally(cost: Cost) -> Tally {
        Tally { request_id: RequestId::new(1_700_000_000_000, 7), cost, attempts: 2, warnings: Vec::new() }
    }

    fn inserted(tally: &Tally, event: &str) -> Option<String> {
        let pieces = tally.insert(&Bytes::copy_from_slice(event.as_bytes()))?;
        Some(String::from_utf8(pieces.concat()).expect("it was text before"))
    }

    #[test]
    fn it_stands_at_the_end_of_the_outermost_object() {
        let exact = tally(Cost::exact(NanoDollars(123_400)));
        insta::assert_snapshot!(
            inserted(&exact, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3}}\n\n").expect("there is an object"),
            @r#"data: {"choices":[],"usage":{"prompt_tokens":3},"trunkline":{"request_id":"01hf7yat000000000000000007","cost_usd":0.0001234,"cost_confidence":"exact","attempts":2}}"#
        );
        insta::assert_snapshot!(
            inserted(&tally(Cost::UNKNOWN), "data: { }\r\n\r\n").expect("there is an object"),
            @r#"data: { "trunkline":{"request_id":"01hf7yat000000000000000007","cost_usd":null,"cost_confidence":"unknown","attempts":2}}"#
        );
        assert_eq!(inserted(&exact, ": a comment\n\n"), None);
    }

    #[test]
    fn what_was_told_too_early_is_corrected() {
        let early = tally(Cost::exact(NanoDollars(100)));
        let late = Tally { attempts: 3, cost: Cost::exact(NanoDollars(250)), ..early.clone() };
        let event = "data: {\"usage\":{\"n\":1}}\n\ndata: [DONE]\n\n";
        let told = inserted(&early, event).expect("there is an object");
        let corrected = late.correct(told.as_bytes()).expect("it was told");
        assert_eq!(corrected, inserted(&late, event).expect("there is an object"));
        let other = Tally { request_id: RequestId::new(1, 1), ..late.clone() };
        assert_eq!(other.correct(told.as_bytes()), None);
        assert_eq!(late.correct(event.as_bytes()), None);
    }

    #[test]
    fn usage_is_seen_where_it_is_told_and_not_where_it_is_spoken_of() {
        for event in [
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3}}",
            "data: {\"usage\" : {}}",
            "data: {\"usageMetadata\": {\"promptTokenCount\":1}}",
            "data: {\"delta\":{\"content\":\"\\\"usage\\\":{\"},\"usage\":{\"a\":1}}",
        ] {
            assert!(carries_usage(event.as_bytes()), "{event}");
        }
        for event in [
            "data: {\"usage\":null}",
            "data: {\"delta\":{\"content\":\"\\\"usage\\\":{}\"}}",
            "data: {\"usage_tier\":{}}",
            "data: {\"content\":\"usage\"}",
            "data: [DONE]",
        ] {
            assert!(!carries_usage(event.as_bytes()), "{event}");
        }
    }

    proptest! {
        #[test]
        fn the_rest_of_an_event_is_untouched(value in "[a-z{}\"\\\\\n é]{0,40}", amount in any::<i64>()) {
            let event = serde_json::json!({ "text": value, "usage": { "n": 1 } });
            let text = format!("data: {event}\n\n");
            let tally = tally(Cost::exact(NanoDollars(amount)));
            let out = inserted(&tally, &text).expect("there is an object");
            let mut json: serde_json::Value =
                serde_json::from_str(out.strip_prefix("data: ").expect("the same event")).expect("still JSON");
            let told = json.as_object_mut().expect("an object").shift_remove("trunkline").expect("the member");
            prop_assert_eq!(json, event);
            prop_assert_eq!(&told["attempts"], 2);
            let cost = told["cost_usd"].as_f64().expect("a number");
            prop_assert!((cost - NanoDollars(amount).to_f64()).abs() <= cost.abs() * 1e-12);
        }
    }
}
