//! What the top-level keys of Gemini requests say of their shape.
//!
//! Owns the reading of these keys, in both spellings that protobuf's JSON form allows. Must not judge values that only the
//! provider or the decoder needs. Model and delivery usually come from the URL.

use super::prompt::Tally;
use super::reader::{Fault, Kind, Reader, wrong_type};
use super::{Facts, fields_of, string_of};
use trunkline_model::dialect::Dialect;

/// Reads the value of one top-level field.
pub(super) fn field(facts: &mut Facts, name: &str, reader: &mut Reader<'_>) -> Result<(), Fault> {
    facts.wants_stream_usage = true;
    match name {
        // The path is what the provider obeys; the body may repeat it.
        "model" if !facts.has_model => facts.model(reader),
        "contents" => contents(facts, reader),
        "content" => {
            let mut tally = Tally { messages: 1, ..Tally::default() };
            tally.walk(Dialect::Gemini, reader)?;
            facts.conversation = Some(tally);
            Ok(())
        }
        "requests" => batch(facts, reader),
        "generateContentRequest" | "generate_content_request" => fields_of(reader, |reader, key| {
            let inner = key.resolve();
            if inner == "model" { reader.skip().map(drop) } else { field(facts, &inner, reader) }
        }),
        "systemInstruction" | "system_instruction" => {
            facts.system = Tally::default();
            facts.system.walk(Dialect::Gemini, reader)
        }
        "tools" => tools(facts, reader),
        "toolConfig" | "tool_config" => tool_config(facts, reader),
        "generationConfig" | "generation_config" => generation_config(facts, reader),
        _ => reader.skip().map(drop),
    }
}

/// The array of contents, or a content alone; a lone string is accepted by the SDKs only, not on the wire.
fn contents(facts: &mut Facts, reader: &mut Reader<'_>) -> Result<(), Fault> {
    if reader.kind() == Kind::Object {
        let mut tally = Tally { messages: 1, ..Tally::default() };
        tally.walk(Dialect::Gemini, reader)?;
        facts.conversation = Some(tally);
        return Ok(());
    }
    if !matches!(reader.kind(), Kind::Array | Kind::Invalid) {
        return Err(wrong_type("contents", "an array of contents", reader.kind().described()));
    }
    let mut tally = Tally::default();
    reader.array(|reader, index| {
        if !matches!(reader.kind(), Kind::Object | Kind::Invalid) {
            let path = format!("contents[{index}]");
            return Err(wrong_type(&path, "an object", reader.kind().described()));
        }
        tally.messages = tally.messages.saturating_add(1);
        tally.walk(Dialect::Gemini, reader)
    })?;
    facts.conversation = Some(tally);
    Ok(())
}

/// `batchEmbedContents`: one request per vector.
fn batch(facts: &mut Facts, reader: &mut Reader<'_>) -> Result<(), Fault> {
    if !matches!(reader.kind(), Kind::Array | Kind::Invalid) {
        return Err(wrong_type("requests", "an array of requests", reader.kind().described()));
    }
    let mut tally = Tally::default();
    reader.array(|reader, _| {
        tally.messages = tally.messages.saturating_add(1);
        fields_of(reader, |reader, key| match key.raw {
            "content" => tally.walk(Dialect::Gemini, reader),
            _ => reader.skip().map(drop),
        })
    })?;
    facts.conversation = Some(tally);
    Ok(())
}

/// Counts the functions declared, and every other tool as one.
fn tools(facts: &mut Facts, reader: &mut Reader<'_>) -> Result<(), Fault> {
    let mut tally = Tally::default();
    let start = reader.position();
    match reader.kind() {
        Kind::Array => reader.array(|reader, _| tool(&mut tally, reader))?,
        Kind::Object => tool(&mut tally, reader)?,
        _ => {
            reader.skip()?;
            facts.tools = tally;
            return Ok(());
        }
    }
    tally.text_bytes = (reader.position() - start) as u64;
    facts.tools = tally;
    Ok(())
}

fn tool(tally: &mut Tally, reader: &mut Reader<'_>) -> Result<(), Fault> {
    fields_of(reader, |reader, key| {
        let is_list = matches!(key.raw, "functionDeclarations" | "function_declarations");
        if !is_list || reader.kind() != Kind::Array {
            tally.declarations = tally.declarations.saturating_add(1);
            return reader.skip().map(drop);
        }
        reader.array(|reader, _| {
            tally.declarations = tally.declarations.saturating_add(1);
            reader.skip().map(drop)
        })
    })
}

fn tool_config(facts: &mut Facts, reader: &mut Reader<'_>) -> Result<(), Fault> {
    facts.shape.forces_tool = false;
    fields_of(reader, |reader, key| match key.raw {
        "functionCallingConfig" | "function_calling_config" => fields_of(reader, |reader, key| {
            let value = reader.skip()?;
            facts.shape.forces_tool |= key.raw == "mode" && matches!(value, "\"ANY\"" | "\"any\"");
            Ok(())
        }),
        _ => reader.skip().map(drop),
    })
}

fn generation_config(facts: &mut Facts, reader: &mut Reader<'_>) -> Result<(), Fault> {
    let mut json_type = false;
    let mut schema = false;
    fields_of(reader, |reader, key| {
        match key.raw {
            "maxOutputTokens" | "max_output_tokens" => {
                facts.shape.max_output_tokens = reader.optional_count("generationConfig.maxOutputTokens")?;
            }
            "candidateCount" | "candidate_count" => {
                let choices = reader.optional_count("generationConfig.candidateCount")?.unwrap_or(1);
                facts.shape.choices = u32::try_from(choices).unwrap_or(u32::MAX);
            }
            "responseMimeType" | "response_mime_type" => {
                json_type = string_of(reader)?.is_some_and(|kind| kind.resolve() == "application/json");
            }
            "responseSchema" | "response_schema" | "responseJsonSchema" | "response_json_schema" => {
                schema |= reader.skip()? != "null";
            }
            "responseLogprobs" | "response_logprobs" => {
                facts.shape.wants_logprobs = reader.skip()? == "true";
            }
            "thinkingConfig" | "thinking_config" => thinking_config(facts, reader)?,
            _ => {
                reader.skip()?;
            }
        }
        Ok(())
    })?;
    facts.shape.wants_schema = schema;
    facts.shape.wants_json = json_type && !schema;
    Ok(())
}

fn thinking_config(facts: &mut Facts, reader: &mut Reader<'_>) -> Result<(), Fault> {
    let mut wanted = false;
    fields_of(reader, |reader, key| {
        let value = reader.skip()?;
        wanted |= match key.raw {
            "thinkingBudget" | "thinking_budget" => value != "0" && value != "null",
            "thinkingLevel" | "thinking_level" => value != "null",
            "includeThoughts" | "include_thoughts" => value == "true",
            _ => false,
        };
        Ok(())
    })?;
    facts.shape.wants_reasoning = wanted;
    Ok(())
}
