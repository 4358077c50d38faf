//! What relayed answers say they cost.
//!
//! Owns reading the several shapes of `usage` into classes that do not overlap. Must not know prices. Source: the vendor's
//! OpenAPI document, `ImageGenUsage`, `TranscriptTextUsageTokens`, `TranscriptTextUsageDuration`, `SpeechAudioDoneEvent`; what
//! compatible services add is read too (`prompt_audio_seconds`).

use serde::Deserialize;
use trunkline_model::dialect::Operation;
use trunkline_model::usage::{Media, Usage};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wire {
    #[serde(alias = "prompt_tokens")]
    input_tokens: Option<u64>,
    #[serde(alias = "completion_tokens")]
    output_tokens: Option<u64>,
    #[serde(alias = "input_token_details", alias = "prompt_tokens_details")]
    input_tokens_details: Option<Details>,
    #[serde(alias = "output_token_details", alias = "completion_tokens_details")]
    output_tokens_details: Option<Details>,
    seconds: Option<f64>,
    prompt_audio_seconds: Option<f64>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Details {
    text_tokens: Option<u64>,
    image_tokens: Option<u64>,
    audio_tokens: Option<u64>,
    cached_tokens: Option<u64>,
}

/// Reads a `usage` object; nothing when it holds nothing that is known.
pub(super) fn read(operation: Operation, json: &str) -> Option<Usage> {
    let wire: Wire = serde_json::from_str(json).ok()?;
    let seconds = wire.seconds.or(wire.prompt_audio_seconds);
    if wire.input_tokens.is_none() && wire.output_tokens.is_none() && seconds.is_none() {
        return None;
    }
    let input = wire.input_tokens.unwrap_or(0);
    let output = wire.output_tokens.unwrap_or(0);
    let taken = wire.input_tokens_details.unwrap_or_default();
    let made = wire.output_tokens_details.unwrap_or_default();
    let mut usage = Usage::from_inclusive(input, taken.cached_tokens.unwrap_or(0), output, 0);
    let mut media = Media {
        image_input: taken.image_tokens.unwrap_or(0).min(usage.input),
        audio_milliseconds: seconds.map_or(0, milliseconds),
        ..Media::default()
    };
    media.audio_input = taken.audio_tokens.unwrap_or(0).min(usage.input - media.image_input);
    // What is not said to be text is what the operation makes.
    let rest = output - made.text_tokens.unwrap_or(0).min(output);
    match operation {
        Operation::Images | Operation::ImageEdits | Operation::ImageVariations => {
            media.image_output = made.image_tokens.unwrap_or(rest).min(output);
        }
        Operation::Speech => media.audio_output = made.audio_tokens.unwrap_or(rest).min(output),
        _ => {}
    }
    usage.media = media;
    Some(usage)
}

/// Whole milliseconds; what is no duration is none.
pub(super) fn milliseconds(seconds: f64) -> u64 {
    // A cast from a float saturates, and what is not a number becomes 0.
    (seconds.max(0.0) * 1_000.0).round() as u64
}
