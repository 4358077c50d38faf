//! Parameters by the names that each client protocol has for them.
//!
//! Owns the table. Must not know what becomes of them. The first place that the body has counts: where a protocol has several
//! places for one thing, the one that says most comes first.

use trunkline_model::dialect::Dialect;

/// The places at which a client of that protocol may have said what encoders call by this name.
pub(super) fn candidates(dialect: Dialect, feature: &str) -> &'static [&'static str] {
    match dialect {
        Dialect::Anthropic => anthropic(feature),
        Dialect::Gemini => gemini(feature),
        Dialect::Responses => responses(feature),
        // No client speaks the others: their names are those of chat completions.
        Dialect::OpenAi | Dialect::Converse | Dialect::Cohere | Dialect::Mistral => openai(feature),
    }
}

/// Other names for what hangs on a message, a part or a tool.
pub(super) fn tails(rest: &str) -> &'static [&'static str] {
    match rest {
        ".parameters" => &[".input_schema", ".parametersJsonSchema"],
        ".name" => &[".function.name"],
        _ => &[],
    }
}

fn openai(feature: &str) -> &'static [&'static str] {
    match feature {
        "max_tokens" | "max_output_tokens" | "max_completion_tokens" => {
            &["max_completion_tokens", "max_tokens"]
        }
        "n" => &["n"],
        "logprobs" => &["logprobs", "top_logprobs"],
        "tool_choice" => &["tool_choice", "function_call"],
        "tools" => &["tools", "functions"],
        "user" => &["user", "safety_identifier"],
        "text.format" | "response_format" => &["response_format"],
        "response_format.json_schema.schema" => &["response_format.json_schema.schema", "response_format"],
        "reasoning_effort" | "reasoning effort" => {
            &["reasoning_effort", "reasoning.effort", "thinking.type", "reasoning", "thinking"]
        }
        "reasoning budget" => {
            &["reasoning.max_tokens", "thinking.budget_tokens", "reasoning_effort", "reasoning", "thinking"]
        }
        "reasoning visibility" => &["reasoning.exclude", "thinking.exclude", "reasoning", "thinking"],
        "reasoning" | "thinking" => &["reasoning_effort", "reasoning", "thinking"],
        "stop" => &["stop"],
        "dimensions" => &["dimensions"],
        "task" => &["input_type"],
        "messages" => &["messages", "prompt"],
        _ => &[],
    }
}

fn responses(feature: &str) -> &'static [&'static str] {
    match feature {
        "max_tokens" | "max_completion_tokens" => &["max_output_tokens"],
        "logprobs" => &["top_logprobs", "include"],
        "response_format" => &["text.format"],
        "response_format.json_schema.schema" => &["text.format.schema"],
        "response_format.json_schema.description" => &["text.format.description"],
        "verbosity" => &["text.verbosity"],
        "reasoning_effort" | "reasoning effort" | "reasoning budget" => &["reasoning.effort", "reasoning"],
        "reasoning visibility" => &["reasoning.summary", "reasoning.generate_summary", "reasoning"],
        "thinking" => &["reasoning"],
        "user" => &["user", "safety_identifier"],
        "messages" => &["input"],
        _ => &[],
    }
}

fn anthropic(feature: &str) -> &'static [&'static str] {
    match feature {
        "max_output_tokens" | "max_completion_tokens" => &["max_tokens"],
        "stop" => &["stop_sequences"],
        "parallel_tool_calls" => &["tool_choice.disable_parallel_tool_use"],
        "response_format" | "text.format" => &["output_config.format", "output_format"],
        "response_format.json_schema.schema" => &["output_config.format.schema", "output_format.schema"],
        "response_format.json_schema.description" => &["output_config.format.schema"],
        "reasoning_effort" | "reasoning effort" => &["output_config.effort", "thinking.type"],
        "reasoning budget" => &["thinking.budget_tokens", "thinking"],
        "reasoning visibility" => &["thinking.display", "thinking"],
        "reasoning" => &["thinking", "output_config.effort"],
        "user" => &["metadata.user_id"],
        _ => &[],
    }
}

fn gemini(feature: &str) -> &'static [&'static str] {
    match feature {
        "temperature" => &["generationConfig.temperature"],
        "top_p" => &["generationConfig.topP"],
        "top_k" => &["generationConfig.topK"],
        "frequency_penalty" => &["generationConfig.frequencyPenalty"],
        "presence_penalty" => &["generationConfig.presencePenalty"],
        "seed" => &["generationConfig.seed"],
        "stop" => &["generationConfig.stopSequences"],
        "n" => &["generationConfig.candidateCount"],
        "max_tokens" | "max_output_tokens" | "max_completion_tokens" => &["generationConfig.maxOutputTokens"],
        "logprobs" | "top_logprobs" => &["generationConfig.responseLogprobs", "generationConfig.logprobs"],
        "tool_choice" => &["toolConfig.functionCallingConfig", "toolConfig"],
        "response_format" | "text.format" | "response_format.json_schema.schema" => &[
            "generationConfig.responseJsonSchema",
            "generationConfig.responseSchema",
            "generationConfig.responseFormat",
            "generationConfig.responseMimeType",
        ],
        "reasoning_effort" | "reasoning effort" => &[
            "generationConfig.thinkingConfig.thinkingLevel",
            "generationConfig.thinkingConfig.thinkingBudget",
            "generationConfig.thinkingConfig",
        ],
        "reasoning budget" => {
            &["generationConfig.thinkingConfig.thinkingBudget", "generationConfig.thinkingConfig"]
        }
        "reasoning visibility" => {
            &["generationConfig.thinkingConfig.includeThoughts", "generationConfig.thinkingConfig"]
        }
        "reasoning" | "thinking" => &["generationConfig.thinkingConfig"],
        "messages" => &["contents"],
        "dimensions" => &["outputDimensionality", "requests[0].outputDimensionality"],
        "task" => &["taskType", "requests[0].taskType"],
        _ => &[],
    }
}
