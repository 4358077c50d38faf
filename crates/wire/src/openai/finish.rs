//! Why an answer ended, in the dialect's words.
//!
//! Owns the map both ways, look-alikes' words included. Must not know the answer.

use trunkline_model::event::Finish;

/// Reads a finish reason; `called` tells that the answer holds tool calls, for providers that say `stop` all the same.
pub(super) fn finish_of(native: &str, called: bool) -> Finish {
    // Nearly every answer ends with this word, as it stands.
    if native == "stop" {
        return if called { Finish::ToolCalls } else { Finish::Stop };
    }
    let reason = match native.to_ascii_lowercase().as_str() {
        "length" | "max_tokens" | "model_length" | "max_output_tokens" => Finish::Length,
        "tool_calls" | "function_call" | "tool_use" | "tool_call" => Finish::ToolCalls,
        "content_filter" | "safety" | "refusal" | "sensitive" | "recitation" | "prohibited_content" => {
            Finish::ContentFilter
        }
        "error" | "network_error" | "abort" | "cancelled" | "insufficient_system_resource" => Finish::Error,
        "pause" | "pause_turn" => Finish::Pause,
        // `stop` and every synonym of it (`eos`, `end_turn`, `stop_sequence`, `COMPLETE`).
        _ => Finish::Stop,
    };
    if called && reason == Finish::Stop { Finish::ToolCalls } else { reason }
}

/// The word a client of this dialect is given.
pub(crate) const fn finish_word(finish: Finish) -> &'static str {
    match finish {
        // A paused turn is complete as far as this dialect can say.
        Finish::Stop | Finish::Pause => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
        Finish::Error => "error",
    }
}
