//! Requests to continue a text, read as conversations.
//!
//! Owns which parameters have a counterpart. What would change the meaning if it were left out is refused.

use crate::codec::{BadRequest, EncodeError, Envelope};
use crate::scan::tree::{Node, Place, Value, parse};
use trunkline_model::content::{Message, Role};
use trunkline_model::dialect::Dialect;
use trunkline_model::request::{ChatRequest, Extra};
use trunkline_model::warning::Warning;

/// The length of an answer where the client states none, in tokens: the endpoint's documented default.
const DEFAULT_LENGTH: u64 = 16;

/// Reads a request.
///
/// # Errors
/// What is wrong with the body, by path.
pub(crate) fn decode(body: &[u8]) -> Result<ChatRequest, BadRequest> {
    let root = parse(body, &[])?;
    let place = Place::ROOT;
    let mut chat = ChatRequest {
        model: place.needed_text(&root, "model")?.to_owned(),
        max_output_tokens: Some(DEFAULT_LENGTH),
        ..ChatRequest::default()
    };
    let mut has_prompt = false;
    for (name, node) in root.fields() {
        if matches!(node.value, Value::Null) {
            continue;
        }
        let at = place.key(name);
        match name {
            "model" => {}
            "prompt" => {
                has_prompt = true;
                let text = prompt(node).ok_or_else(|| at.expected("a string", node))?;
                chat.messages = vec![Message::text(Role::User, text)];
            }
            "max_tokens" => chat.max_output_tokens = Some(at.positive(node)?),
            "temperature" => chat.sampling.temperature = Some(at.number(node)?),
            "top_p" => chat.sampling.top_p = Some(at.number(node)?),
            "frequency_penalty" => chat.sampling.frequency_penalty = Some(at.number(node)?),
            "presence_penalty" => chat.sampling.presence_penalty = Some(at.number(node)?),
            "seed" => chat.sampling.seed = Some(at.whole(node, "a whole number of 64 bits")?),
            "n" => chat.choices = Some(at.choices(node)?),
            "stop" => chat.stop = stop(node, &at)?,
            "user" => chat.user = Some(at.text(node)?.to_owned()),
            "stream" => chat.stream = at.boolean(node)?,
            "stream_options" => {
                let usage = at.object(node)?.field("include_usage");
                chat.stream_usage =
                    usage.map(|flag| at.key("include_usage").boolean(flag)).transpose()?.unwrap_or(false);
                crate::openai::leftovers::of_parameter(name, node, &mut chat.extras);
            }
            // Said in `warnings` and `unsupported`.
            "logprobs" | "best_of" | "echo" | "suffix" => {}
            _ => {
                chat.extras.push(Extra { origin: Dialect::OpenAi, name: name.to_owned(), value: node.json() })
            }
        }
    }
    if !has_prompt {
        return Err(place.key("prompt").missing("the text to continue"));
    }
    Ok(chat)
}

/// The one text of a prompt.
fn prompt<'a>(node: &'a Node<'_>) -> Option<&'a str> {
    match node.as_text() {
        Some(text) => Some(text),
        None => match Place::ROOT.array(node).ok()? {
            [one] => one.as_text(),
            _ => None,
        },
    }
}

fn stop(node: &Node<'_>, place: &Place<'_>) -> Result<Vec<String>, BadRequest> {
    if let Some(text) = node.as_text() {
        return Ok(vec![text.to_owned()]);
    }
    let each = place.array(node)?.iter().enumerate();
    each.map(|(index, one)| place.index(index).text(one).map(ToOwned::to_owned)).collect()
}

/// What of a request a conversation cannot stand in for.
#[must_use]
pub fn unsupported(envelope: &Envelope, body: &[u8]) -> Option<EncodeError> {
    let value = |name: &str| {
        let field = envelope.field(body, name)?;
        let value: serde_json::Value = serde_json::from_slice(body.get(field.value.clone())?).ok()?;
        (!value.is_null()).then_some(value)
    };
    let refused = |feature: &str, reason: &str| {
        Some(EncodeError::Unsupported { feature: feature.to_owned(), reason: reason.to_owned() })
    };
    let prompt = value("prompt").unwrap_or_default();
    let is_text = |value: &serde_json::Value| value.is_string();
    let is_one =
        is_text(&prompt) || prompt.as_array().is_some_and(|list| list.len() == 1 && is_text(&list[0]));
    if !is_one {
        return refused(
            "prompt",
            "it holds conversations, which take one text and no token ids; send one prompt at a time",
        );
    }
    if value("echo") == Some(true.into()) {
        return refused("echo", "it holds conversations, whose answers do not repeat the prompt");
    }
    if value("suffix").is_some_and(|suffix| suffix != "") {
        return refused("suffix", "it holds conversations, which have no text after the answer");
    }
    if value("best_of")
        .and_then(|best| best.as_u64())
        .is_some_and(|best| best > envelope.shape.choices.into())
    {
        return refused("best_of", "it holds conversations, which are not made several times to choose from");
    }
    None
}

/// What the client is told of a request that is sent as a conversation.
#[must_use]
pub fn warnings(envelope: &Envelope, body: &[u8]) -> Vec<Warning> {
    let mut warnings = vec![Warning::emulated(
        "completions",
        "the provider does not continue texts; the prompt was sent as a message",
    )];
    let field = envelope.field(body, "logprobs").and_then(|field| body.get(field.value.clone()));
    if field.is_some_and(|value| value != b"null") {
        warnings.push(Warning::dropped("logprobs", "conversations have them in another form"));
    }
    warnings
}
