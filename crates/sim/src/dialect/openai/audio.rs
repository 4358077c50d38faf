//! `POST /v1/audio/transcriptions`, `/translations` and `/speech`: audio to text and back.
//!
//! Owns their forms. What is heard is made up from the size of the sound: a kilobyte is a second. Models called `whisper` are
//! billed by the second and cannot stream; all others report tokens.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::{Context, Inbound, Output, Piece, Refusal};
use super::{check, event, form, models};
use crate::chance::{Chance, fingerprint};
use crate::tokens;

/// Bytes that make a second of sound.
const SECOND: usize = 1_024;
/// Bytes of sound for a character that is spoken.
const PER_CHARACTER: usize = 64;
/// Bytes of sound sent at once.
const AT_ONCE: usize = 512;
const HEARD: &str = "The quick brown fox jumps over the lazy dog.";

/// Speech to text.
pub(super) fn heard(inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
    let parts = form::parts(inbound);
    let field = |name: &str| form::text(&parts, name);
    let model = field("model").ok_or_else(|| check::missing("model"))?;
    models::admit(&model, context.config)?;
    let file = parts.iter().find(|part| part.name == "file" && part.is_file);
    let file = file.ok_or_else(|| check::missing("file"))?;
    let by_second = model.contains("whisper");
    let seconds = file.contents.len() as f64 / SECOND as f64;
    let words = tokens::count(HEARD);
    let sound = (file.contents.len() / 100) as u64;
    let usage = if by_second {
        json!({"type": "duration", "seconds": seconds})
    } else {
        json!({"type": "tokens", "input_tokens": sound + 4, "output_tokens": words, "total_tokens": sound + 4 + words,
            "input_token_details": {"text_tokens": 4, "audio_tokens": sound}})
    };
    if field("stream").as_deref() == Some("true") && !by_second {
        let mut pieces: Vec<Piece> = tokens::pieces(HEARD, context.script.piece_tokens)
            .map(|(piece, number)| {
                Piece::token(event(&json!({"type": "transcript.text.delta", "delta": piece})), number)
            })
            .collect();
        let done = json!({"type": "transcript.text.done", "text": HEARD, "usage": usage});
        pieces.push(Piece::ending(event(&done)));
        return Ok(Output::stream("text/event-stream; charset=utf-8", pieces));
    }
    let format = field("response_format").unwrap_or_else(|| "json".to_owned());
    let bare = |text: String| {
        Ok(Output::whole(StatusCode::OK, "text/plain; charset=utf-8", Bytes::from(text), words))
    };
    match format.as_str() {
        "json" => Ok(Output::json(StatusCode::OK, &json!({"text": HEARD, "usage": usage}), words)),
        "verbose_json" => {
            let segment = json!({"id": 0, "seek": 0, "start": 0.0, "end": seconds, "text": HEARD, "tokens": [1, 2],
                "temperature": 0.0, "avg_logprob": -0.2, "compression_ratio": 1.1, "no_speech_prob": 0.01});
            let body = json!({"task": "transcribe", "language": "english", "duration": seconds, "text": HEARD,
                "segments": [segment], "usage": usage});
            Ok(Output::json(StatusCode::OK, &body, words))
        }
        "text" => bare(format!("{HEARD}\n")),
        "srt" => bare(format!("1\n00:00:00,000 --> 00:00:01,000\n{HEARD}\n\n")),
        "vtt" => bare(format!("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n{HEARD}\n\n")),
        other => {
            let message = format!("response_format '{other}' is not compatible with model '{model}'.");
            Err(Refusal::parameter("response_format", Some("unsupported_value"), message))
        }
    }
}

/// Text to speech.
pub(super) fn spoken(body: &Map<String, Value>, context: &Context<'_>) -> Result<Output, Refusal> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let model = text("model").ok_or_else(|| check::missing("model"))?;
    models::admit(model, context.config)?;
    let input = text("input").ok_or_else(|| check::missing("input"))?;
    if body.get("voice").is_none() {
        return Err(check::missing("voice"));
    }
    let sound = sound(input, context.seed);
    let content_type = match text("response_format").unwrap_or("mp3") {
        "mp3" => "audio/mpeg",
        "opus" => "audio/opus",
        "aac" => "audio/aac",
        "flac" => "audio/flac",
        "wav" => "audio/wav",
        "pcm" => "audio/pcm",
        _ => {
            return Err(Refusal::parameter(
                "response_format",
                Some("invalid_value"),
                "Invalid 'response_format'.",
            ));
        }
    };
    let pieces = sound.chunks(AT_ONCE);
    if text("stream_format") != Some("sse") {
        let pieces = pieces.map(|piece| Piece::token(Bytes::copy_from_slice(piece), 1)).collect();
        return Ok(Output::stream(content_type, pieces));
    }
    let mut events: Vec<Piece> = pieces
        .map(|piece| {
            let delta = json!({"type": "speech.audio.delta", "audio": STANDARD.encode(piece)});
            Piece::token(event(&delta), 1)
        })
        .collect();
    let (taken, made) = (tokens::count(input), (sound.len() / 100) as u64);
    let usage = json!({"input_tokens": taken, "output_tokens": made, "total_tokens": taken + made});
    events.push(Piece::ending(event(&json!({"type": "speech.audio.done", "usage": usage}))));
    Ok(Output::stream("text/event-stream; charset=utf-8", events))
}

/// The same bytes for the same request.
fn sound(input: &str, seed: u64) -> Vec<u8> {
    let mut chance = Chance::new(fingerprint(seed, input.as_bytes()));
    (0..input.chars().count() * PER_CHARACTER / 8).flat_map(|_| chance.next().to_le_bytes()).collect()
}
