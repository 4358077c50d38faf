//! What the top-level keys of OpenAI responses requests say of their shape.
//!
//! Owns the reading of these keys. Must not judge values that only the provider or the decoder needs. A request may come without
//! `input` where something else stands for it: an earlier response, a stored conversation or prompt.

use super::prompt::Tally;
use super::reader::{Fault, Kind, Reader, wrong_type};
use super::{Facts, fields_of, openai, string_of};
use trunkline_model::dialect::Dialect;

/// Reads the value of one top-level field.
pub(super) fn field(facts: &mut Facts, name: &str, reader: &mut Reader<'_>) -> Result<(), Fault> {
    match name {
        "model" => facts.model(reader),
        "user" | "safety_identifier" => {
            if let Some(user) = string_of(reader)?
                && (name == "user" || facts.shape.user.is_none())
            {
                facts.shape.user = Some(user.resolve().into_owned());
            }
            Ok(())
        }
        "stream" => facts.stream(reader),
        "input" => input(facts, reader),
        "instructions" => {
            facts.system = Tally::default();
            facts.system.walk(Dialect::Responses, reader)
        }
        "previous_response_id" | "conversation" | "prompt" => {
            if reader.skip()? != "null" {
                facts.conversation.get_or_insert_default();
            }
            Ok(())
        }
        "tools" => openai::tools(facts, reader),
        "tool_choice" => tool_choice(facts, reader),
        "max_output_tokens" => {
            facts.shape.max_output_tokens = reader.optional_count("max_output_tokens")?;
            Ok(())
        }
        "text" => text(facts, reader),
        "reasoning" => {
            facts.shape.wants_reasoning = false;
            fields_of(reader, |reader, key| {
                let value = reader.skip()?;
                facts.shape.wants_reasoning |= key.raw == "effort" && !matches!(value, "null" | "\"none\"");
                Ok(())
            })
        }
        "top_logprobs" => {
            facts.shape.wants_logprobs |= !matches!(reader.skip()?, "null" | "0");
            Ok(())
        }
        "include" => {
            let value = reader.skip()?;
            facts.shape.wants_logprobs |=
                memchr::memmem::find(value.as_bytes(), b"\"message.output_text.logprobs\"").is_some();
            Ok(())
        }
        _ => reader.skip().map(drop),
    }
}

/// A text, or a list of items.
fn input(facts: &mut Facts, reader: &mut Reader<'_>) -> Result<(), Fault> {
    let mut tally = Tally::default();
    match reader.kind() {
        Kind::Text => {
            tally.messages = 1;
            tally.text_bytes = reader.string()?.raw.len() as u64;
        }
        Kind::Array => reader.array(|reader, index| {
            if !matches!(reader.kind(), Kind::Object | Kind::Invalid) {
                let path = format!("input[{index}]");
                return Err(wrong_type(&path, "an object", reader.kind().described()));
            }
            tally.messages = tally.messages.saturating_add(1);
            tally.walk(Dialect::Responses, reader)
        })?,
        Kind::Invalid => return reader.skip().map(drop),
        Kind::Null => {
            reader.skip()?;
            return Ok(());
        }
        kind => return Err(wrong_type("input", "a string or an array of items", kind.described())),
    }
    facts.conversation = Some(tally);
    Ok(())
}

fn tool_choice(facts: &mut Facts, reader: &mut Reader<'_>) -> Result<(), Fault> {
    facts.shape.forces_tool = false;
    if reader.kind() == Kind::Text {
        facts.shape.forces_tool = reader.string()?.raw == "required";
        return Ok(());
    }
    // A named tool is forced; a list of allowed tools only in mode `required`.
    let mut forced = false;
    let mut allowed_only = false;
    fields_of(reader, |reader, key| {
        forced = true;
        let value = reader.skip()?;
        allowed_only |= key.raw == "mode" && value == "\"auto\"";
        Ok(())
    })?;
    facts.shape.forces_tool = forced && !allowed_only;
    Ok(())
}

fn text(facts: &mut Facts, reader: &mut Reader<'_>) -> Result<(), Fault> {
    facts.shape.wants_json = false;
    facts.shape.wants_schema = false;
    fields_of(reader, |reader, key| {
        if key.raw != "format" {
            return reader.skip().map(drop);
        }
        fields_of(reader, |reader, key| {
            let value = reader.skip()?;
            if key.raw == "type" {
                facts.shape.wants_json = value == "\"json_object\"";
                facts.shape.wants_schema = value == "\"json_schema\"";
            }
            Ok(())
        })
    })
}
