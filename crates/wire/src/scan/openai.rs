//! What the top-level keys of OpenAI chat and embeddings requests say of their shape.
//!
//! Owns the reading of these keys. Must not judge values that only the provider or the decoder needs.

use super::prompt::Tally;
use super::reader::{Fault, Kind, Reader, wrong_type};
use super::{Facts, fields_of, string_of};
use trunkline_model::dialect::{Dialect, Operation};

/// Reads the value of one top-level field.
pub(super) fn field(facts: &mut Facts, name: &str, reader: &mut Reader<'_>) -> Result<(), Fault> {
    match name {
        "model" => return facts.model(reader),
        "user" => {
            if let Some(user) = string_of(reader)? {
                facts.shape.user = Some(user.resolve().into_owned());
            }
            return Ok(());
        }
        _ => {}
    }
    if facts.shape.operation == Operation::Rerank {
        return match name {
            "documents" => documents(facts, reader),
            _ => reader.skip().map(drop),
        };
    }
    if facts.shape.operation == Operation::Embeddings {
        return match name {
            "input" => input(facts, reader),
            _ => reader.skip().map(drop),
        };
    }
    if facts.shape.operation.is_relayed() || facts.shape.operation == Operation::Completions {
        return relayed(facts, name, reader);
    }
    match name {
        "messages" => messages(facts, reader, Dialect::OpenAi),
        "stream" => facts.stream(reader),
        "stream_options" => stream_options(facts, reader),
        "max_tokens" => {
            facts.shape.max_output_tokens = reader.optional_count("max_tokens")?;
            Ok(())
        }
        "max_completion_tokens" => {
            facts.max_completion_tokens = reader.optional_count("max_completion_tokens")?;
            Ok(())
        }
        "n" => {
            let choices = reader.optional_count("n")?.unwrap_or(1);
            facts.shape.choices = u32::try_from(choices).unwrap_or(u32::MAX);
            Ok(())
        }
        "tools" | "functions" => tools(facts, reader),
        "tool_choice" | "function_call" => tool_choice(facts, reader),
        "response_format" => response_format(facts, reader),
        "reasoning_effort" => {
            let effort = string_of(reader)?;
            facts.shape.wants_reasoning = effort.is_some_and(|effort| effort.raw != "none");
            Ok(())
        }
        "reasoning" | "thinking" => reasoning(facts, reader),
        "logprobs" => {
            facts.shape.wants_logprobs = reader.skip()? == "true";
            Ok(())
        }
        _ => reader.skip().map(drop),
    }
}

/// Reads a field of an endpoint that has no conversation: what is given is an `input` or a `prompt`.
fn relayed(facts: &mut Facts, name: &str, reader: &mut Reader<'_>) -> Result<(), Fault> {
    match name {
        "input" | "prompt" => {
            let mut tally = Tally { messages: 1, ..Tally::default() };
            if reader.kind() == Kind::Text {
                tally.text_bytes = reader.string()?.raw.len() as u64;
            } else {
                tally.walk(Dialect::OpenAi, reader)?;
            }
            facts.conversation = Some(tally);
            Ok(())
        }
        "stream" => facts.stream(reader),
        "stream_options" => stream_options(facts, reader),
        "max_tokens" => {
            facts.shape.max_output_tokens = reader.optional_count("max_tokens")?;
            Ok(())
        }
        "n" => {
            let choices = reader.optional_count("n")?.unwrap_or(1);
            facts.shape.choices = u32::try_from(choices).unwrap_or(u32::MAX);
            Ok(())
        }
        _ => reader.skip().map(drop),
    }
}

/// The model of a request that names none, where the endpoint has a documented default.
pub(super) const fn default_model(operation: Operation) -> Option<&'static str> {
    match operation {
        Operation::Moderations => Some("omni-moderation-latest"),
        _ => None,
    }
}

/// Reads an array of messages; Anthropic's are named and nested the same way.
pub(super) fn messages(facts: &mut Facts, reader: &mut Reader<'_>, dialect: Dialect) -> Result<(), Fault> {
    if !matches!(reader.kind(), Kind::Array | Kind::Invalid) {
        return Err(wrong_type("messages", "an array of messages", reader.kind().described()));
    }
    let mut tally = Tally::default();
    reader.array(|reader, index| {
        if !matches!(reader.kind(), Kind::Object | Kind::Invalid) {
            let path = format!("messages[{index}]");
            return Err(wrong_type(&path, "an object", reader.kind().described()));
        }
        tally.messages = tally.messages.saturating_add(1);
        tally.walk(dialect, reader)
    })?;
    facts.conversation = Some(tally);
    Ok(())
}

/// Measures declarations whole: their schemas are prompt text too.
pub(super) fn tools(facts: &mut Facts, reader: &mut Reader<'_>) -> Result<(), Fault> {
    let mut tally = Tally::default();
    if reader.kind() == Kind::Array {
        let start = reader.position();
        reader.array(|reader, _| {
            tally.declarations = tally.declarations.saturating_add(1);
            reader.skip().map(drop)
        })?;
        tally.text_bytes = (reader.position() - start) as u64;
    } else {
        reader.skip()?;
    }
    facts.tools = tally;
    Ok(())
}

fn stream_options(facts: &mut Facts, reader: &mut Reader<'_>) -> Result<(), Fault> {
    facts.wants_stream_usage = false;
    fields_of(reader, |reader, key| {
        let value = reader.skip()?;
        if key.resolve() == "include_usage" {
            facts.wants_stream_usage = value == "true";
        }
        Ok(())
    })
}

fn tool_choice(facts: &mut Facts, reader: &mut Reader<'_>) -> Result<(), Fault> {
    facts.shape.forces_tool = false;
    if reader.kind() == Kind::Text {
        facts.shape.forces_tool = matches!(reader.string()?.raw, "required" | "any");
        return Ok(());
    }
    // A named tool is forced; a list of allowed tools only in mode `required`.
    let mut forced = false;
    let mut allowed_only = false;
    fields_of(reader, |reader, key| {
        forced = true;
        match key.raw {
            "allowed_tools" => fields_of(reader, |reader, key| {
                let value = reader.skip()?;
                allowed_only |= key.raw == "mode" && value == "\"auto\"";
                Ok(())
            }),
            _ => reader.skip().map(drop),
        }
    })?;
    facts.shape.forces_tool = forced && !allowed_only;
    Ok(())
}

fn response_format(facts: &mut Facts, reader: &mut Reader<'_>) -> Result<(), Fault> {
    facts.shape.wants_json = false;
    facts.shape.wants_schema = false;
    fields_of(reader, |reader, key| {
        let value = reader.skip()?;
        if key.raw == "type" {
            facts.shape.wants_json = value == "\"json_object\"";
            facts.shape.wants_schema = value == "\"json_schema\"";
        }
        Ok(())
    })
}

/// `reasoning` and `thinking` objects of look-alikes.
fn reasoning(facts: &mut Facts, reader: &mut Reader<'_>) -> Result<(), Fault> {
    let mut wanted = reader.kind() == Kind::Object;
    fields_of(reader, |reader, key| {
        let value = reader.skip()?;
        let refused = matches!(
            (key.raw, value),
            ("enabled", "false") | ("effort", "\"none\"") | ("type", "\"disabled\"")
        );
        wanted &= !refused;
        Ok(())
    })?;
    facts.shape.wants_reasoning = wanted;
    Ok(())
}

/// A text, several texts, token ids, or several lists of token ids.
/// Documents to be ordered, counted with all that they hold.
fn documents(facts: &mut Facts, reader: &mut Reader<'_>) -> Result<(), Fault> {
    let mut tally = Tally::default();
    if reader.kind() != Kind::Array {
        return Err(wrong_type("documents", "an array of texts", reader.kind().described()));
    }
    reader.array(|reader, _| {
        tally.messages = tally.messages.saturating_add(1);
        tally.text_bytes += reader.skip()?.len() as u64;
        Ok(())
    })?;
    facts.conversation = Some(tally);
    Ok(())
}

fn input(facts: &mut Facts, reader: &mut Reader<'_>) -> Result<(), Fault> {
    const EXPECTED: &str = "a string, an array of strings, or an array of token ids";
    // An average token is four bytes: a token id counts as one token.
    const TOKEN_BYTES: u64 = 4;
    let mut tally = Tally::default();
    match reader.kind() {
        Kind::Text => {
            tally.text_bytes = reader.string()?.raw.len() as u64;
            tally.messages = 1;
        }
        Kind::Array => {
            let mut token_ids = 0u64;
            reader.array(|reader, index| {
                match reader.kind() {
                    Kind::Text => tally.text_bytes += reader.string()?.raw.len() as u64,
                    Kind::Array => reader.array(|reader, _| {
                        tally.text_bytes += TOKEN_BYTES;
                        reader.skip().map(drop)
                    })?,
                    Kind::Number => {
                        reader.number()?;
                        tally.text_bytes += TOKEN_BYTES;
                        token_ids += 1;
                        return Ok(());
                    }
                    Kind::Invalid => return reader.skip().map(drop),
                    kind => {
                        return Err(wrong_type(
                            &format!("input[{index}]"),
                            "a string or token ids",
                            kind.described(),
                        ));
                    }
                }
                tally.messages = tally.messages.saturating_add(1);
                Ok(())
            })?;
            if token_ids > 0 {
                tally.messages = tally.messages.saturating_add(1);
            }
        }
        Kind::Invalid => return reader.skip().map(drop),
        kind => return Err(wrong_type("input", EXPECTED, kind.described())),
    }
    facts.conversation = Some(tally);
    Ok(())
}
