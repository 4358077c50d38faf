//! Tokens of a prompt counted: `/v1/responses/input_tokens`, both sides.
//!
//! Owns its request, which is the part of a response's request that is read, and its answer. Must not know who counts. Source:
//! `TokenCountsBody` and `TokenCountsResource` of the vendor's OpenAPI document.

use super::error;
use super::request_encode::Draft;
use crate::codec::{Encode, EncodeContext, EncodeError, Encoded, Profile};
use crate::openai::not_an_answer;
use crate::write::Object;
use bytes::{Bytes, BytesMut};
use trunkline_model::error::ClientError;
use trunkline_model::event::Event;
use trunkline_model::failure::Failure;
use trunkline_model::request::Request;
use trunkline_model::usage::Usage;

/// What an answer says it is.
const OBJECT: &str = "response.input_tokens";

/// Writes a request to count a prompt's tokens. What only says how to answer is left out without a word: it has none.
///
/// # Errors
/// What the target cannot express.
pub fn encode_count_request(request: &Request, profile: &Profile) -> Result<Encoded, EncodeError> {
    let Request::Chat(chat) = request else {
        return Err(EncodeError::Unsupported {
            feature: "input".to_owned(),
            reason: "tokens are counted of conversations only".to_owned(),
        });
    };
    let mut out = Vec::with_capacity(crate::pieces::room(chat));
    let mut draft = Draft::open(&mut out, chat, profile)?;
    draft.prompt(chat)?;
    let warnings = draft.close();
    Ok(Encoded::new(Bytes::from(out), warnings))
}

/// Writes the count.
pub(super) struct Encoder {
    context: EncodeContext,
    usage: Usage,
}

impl Encoder {
    pub(super) fn new(context: EncodeContext) -> Self {
        Self { context, usage: Usage::default() }
    }
}

impl Encode for Encoder {
    fn event(&mut self, event: &Event, _out: &mut BytesMut) {
        if let Event::Usage(usage) = event {
            self.usage = *usage;
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        let mut count = Object::open(out);
        count.text("object", OBJECT);
        count.whole("input_tokens", self.usage.prompt());
        count.close();
    }

    fn fail(&mut self, error: &ClientError, out: &mut BytesMut) {
        out.extend_from_slice(&error::encode_error(error, self.context.request_id));
    }
}

/// The usage that a count stands for.
pub(super) fn counted(data: &[u8]) -> Result<Usage, Failure> {
    #[derive(serde::Deserialize)]
    struct Count {
        input_tokens: Option<u64>,
    }
    let count: Count = serde_json::from_slice(data).map_err(|_| not_an_answer(data))?;
    let input = count.input_tokens.ok_or_else(|| not_an_answer(data))?;
    Ok(Usage { input, ..Usage::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Frame;
    use crate::dispatch;
    use crate::goldens;
    use crate::testing::context;
    use serde_json::{Value, json};
    use trunkline_model::dialect::{Delivery, Dialect, Operation};

    #[test]
    fn a_count_is_asked_for_with_what_is_read_and_nothing_else() {
        let body = json!({"model": "m", "max_tokens": 9000, "temperature": 0.5, "stop_sequences": ["x"], "system": "s",
            "metadata": {"user_id": "u"}, "thinking": {"type": "enabled", "budget_tokens": 2000},
            "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
            "messages": [{"role": "user", "content": "a"}],
            "tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": {"type": "auto"}});
        let request =
            goldens::decode(Dialect::Anthropic, Operation::CountTokens, body.to_string().as_bytes()).unwrap();
        let encoded =
            dispatch::encode_count_request(Dialect::Responses, &request, &Profile::new("gpt")).unwrap();
        let sent: Value = serde_json::from_slice(&encoded.whole()).unwrap();
        insta::assert_snapshot!(sent.to_string());
        insta::assert_snapshot!(
            encoded.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        );
    }

    #[test]
    fn a_count_is_read_watched_and_written() {
        let data = br#"{"object":"response.input_tokens","input_tokens":11}"#;
        let frame = Frame { event: "", data };
        let mut decoder = dispatch::decoder(Dialect::Responses, Operation::CountTokens, Delivery::Plain);
        let mut events = Vec::new();
        decoder.frame(frame, &mut events).unwrap();
        decoder.end(&mut events).unwrap();
        let usage = Usage { input: 11, ..Usage::default() };
        assert_eq!(events, [Event::Usage(usage), Event::End]);
        let mut observer =
            dispatch::observer(Dialect::Responses, Operation::CountTokens, Delivery::Plain, true);
        assert!(observer.end().is_err());
        observer.frame(frame).unwrap();
        assert_eq!(observer.summary().usage, Some(usage));
        let mut encoder =
            dispatch::encoder(Dialect::Responses, Operation::CountTokens, Delivery::Plain, context());
        let mut out = BytesMut::new();
        events.iter().for_each(|event| encoder.event(event, &mut out));
        encoder.finish(&mut out);
        assert_eq!(&out[..], data);
    }

    #[test]
    fn what_is_no_count_is_a_failure() {
        for data in [&b"{}"[..], b"[]", b"<html>", br#"{"input_tokens":"many"}"#, br#"{"input_tokens":-1}"#] {
            assert!(counted(data).is_err());
        }
    }
}
