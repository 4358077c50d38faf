//! What the top-level keys of Anthropic messages requests say of their shape.
//!
//! Owns the reading of these keys. Must not judge values that only the provider or the decoder needs.

use super::prompt::Tally;
use super::reader::{Fault, Reader};
use super::{Facts, fields_of, openai, string_of};
use trunkline_model::dialect::Dialect;

/// Reads the value of one top-level field.
pub(super) fn field(facts: &mut Facts, name: &str, reader: &mut Reader<'_>) -> Result<(), Fault> {
    match name {
        "model" => facts.model(reader),
        "stream" => {
            // Usage is always part of the stream in this dialect.
            facts.wants_stream_usage = true;
            facts.stream(reader)
        }
        "messages" => openai::messages(facts, reader, Dialect::Anthropic),
        "system" => {
            facts.system = Tally::default();
            facts.system.walk(Dialect::Anthropic, reader)
        }
        "tools" => openai::tools(facts, reader),
        "tool_choice" => {
            facts.shape.forces_tool = false;
            fields_of(reader, |reader, key| {
                let value = reader.skip()?;
                facts.shape.forces_tool |= key.raw == "type" && matches!(value, "\"any\"" | "\"tool\"");
                Ok(())
            })
        }
        "max_tokens" => {
            facts.shape.max_output_tokens = reader.optional_count("max_tokens")?;
            Ok(())
        }
        "thinking" => {
            facts.shape.wants_reasoning = false;
            fields_of(reader, |reader, key| {
                let value = reader.skip()?;
                facts.shape.wants_reasoning |= key.raw == "type" && value != "\"disabled\"";
                Ok(())
            })
        }
        "output_config" => output_config(facts, reader),
        "output_format" => output_format(facts, reader),
        "metadata" => fields_of(reader, |reader, key| {
            if key.raw != "user_id" {
                return reader.skip().map(drop);
            }
            if let Some(user) = string_of(reader)? {
                facts.shape.user = Some(user.resolve().into_owned());
            }
            Ok(())
        }),
        _ => reader.skip().map(drop),
    }
}

fn output_config(facts: &mut Facts, reader: &mut Reader<'_>) -> Result<(), Fault> {
    facts.shape.wants_schema = false;
    fields_of(reader, |reader, key| match key.raw {
        "format" => output_format(facts, reader),
        _ => reader.skip().map(drop),
    })
}

fn output_format(facts: &mut Facts, reader: &mut Reader<'_>) -> Result<(), Fault> {
    facts.shape.wants_schema = false;
    fields_of(reader, |reader, key| {
        let value = reader.skip()?;
        facts.shape.wants_schema |= key.raw == "type" && value == "\"json_schema\"";
        Ok(())
    })
}
