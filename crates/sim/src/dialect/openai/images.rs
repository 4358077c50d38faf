//! `POST /v1/images/generations`, `/edits` and `/variations`: pictures made.
//!
//! Owns their forms; a picture is a pixel. Models called `dall-e` charge by the picture and stream nothing, all others report
//! tokens.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::{Context, Inbound, Output, Piece, Refusal};
use super::{check, form, models};
use crate::tokens;

/// What kind of request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Making {
    Generation,
    Edit,
    Variation,
}

/// What is asked for, whatever the form.
struct Asked {
    model: String,
    prompt: String,
    number: u64,
    partial: u64,
    is_stream: bool,
    pictures: u64,
}

const PIXEL: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00,
    0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06, 0x00, 0x00, 0x00, 0x1f, 0x15, 0xc4, 0x89, 0x00,
    0x00, 0x00, 0x0d, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x62, 0x00, 0x01, 0x00, 0x00, 0x05, 0x00, 0x01,
    0x0d, 0x0a, 0x2d, 0xb4, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];
/// Tokens of one picture, taken in or made.
const PICTURE_TOKENS: u64 = 272;

pub(super) fn answer(making: Making, inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
    let asked = read(making, inbound)?;
    models::admit(&asked.model, context.config)?;
    let by_piece = asked.model.contains("dall-e");
    let text = tokens::count(&asked.prompt);
    let taken = asked.pictures * PICTURE_TOKENS;
    let usage = |made: u64| {
        json!({"input_tokens": text + taken, "output_tokens": made, "total_tokens": text + taken + made,
            "input_tokens_details": {"text_tokens": text, "image_tokens": taken}})
    };
    let picture = STANDARD.encode(PIXEL);
    if !asked.is_stream || by_piece {
        let data: Vec<Value> = (0..asked.number)
            .map(|number| match by_piece {
                true => json!({"url": format!("https://images.example/{number}.png"), "revised_prompt": asked.prompt}),
                false => json!({"b64_json": picture}),
            })
            .collect();
        let mut body = json!({"created": context.config.created, "data": data});
        if !by_piece {
            body["usage"] = usage(asked.number * PICTURE_TOKENS);
            body["size"] = json!("1024x1024");
            body["quality"] = json!("low");
            body["background"] = json!("opaque");
            body["output_format"] = json!("png");
        }
        return Ok(Output::json(StatusCode::OK, &body, asked.number * PICTURE_TOKENS));
    }
    let kind = if making == Making::Generation { "image_generation" } else { "image_edit" };
    let event = |word: &str, more: Value| {
        let mut body = json!({"type": format!("{kind}.{word}"), "b64_json": picture, "background": "opaque",
            "created_at": context.config.created, "output_format": "png", "quality": "low", "size": "1024x1024"});
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        Bytes::from(format!("event: {kind}.{word}\ndata: {body}\n\n"))
    };
    let mut pieces: Vec<Piece> = (0..asked.partial)
        .map(|index| Piece::token(event("partial_image", json!({"partial_image_index": index})), 1))
        .collect();
    for _ in 0..asked.number {
        pieces.push(Piece::ending(event("completed", json!({"usage": usage(PICTURE_TOKENS)}))));
    }
    Ok(Output::stream("text/event-stream; charset=utf-8", pieces))
}

fn read(making: Making, inbound: &Inbound) -> Result<Asked, Refusal> {
    let parts = form::parts(inbound);
    let asked = if parts.is_empty() { of_json(super::body(inbound)?)? } else { of_form(&parts) };
    if making != Making::Variation && asked.prompt.is_empty() {
        return Err(check::missing("prompt"));
    }
    if making != Making::Generation && asked.pictures == 0 {
        return Err(check::missing("image"));
    }
    if asked.model.is_empty() {
        return Err(check::missing("model"));
    }
    if !(1..=10).contains(&asked.number) {
        return Err(Refusal::parameter("n", None, "Invalid 'n': expected a value between 1 and 10."));
    }
    Ok(asked)
}

fn of_form(parts: &[form::FormPart]) -> Asked {
    let text = |name: &str| form::text(parts, name);
    let number = |name: &str, default| text(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let is_picture =
        |part: &&form::FormPart| part.is_file && matches!(part.name.as_str(), "image" | "image[]");
    Asked {
        model: text("model").unwrap_or_default(),
        prompt: text("prompt").unwrap_or_default(),
        number: number("n", 1),
        partial: number("partial_images", 0),
        is_stream: text("stream").as_deref() == Some("true"),
        pictures: parts.iter().filter(is_picture).count() as u64,
    }
}

fn of_json(body: &Map<String, Value>) -> Result<Asked, Refusal> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |name: &str, default| match body.get(name) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => value.as_u64().ok_or_else(|| check::wrong_type(name, "an integer")),
    };
    Ok(Asked {
        model: text("model"),
        prompt: text("prompt"),
        number: number("n", 1)?,
        partial: number("partial_images", 0)?,
        is_stream: body.get("stream").and_then(Value::as_bool) == Some(true),
        pictures: body.get("images").and_then(Value::as_array).map_or(0, |list| list.len() as u64),
    })
}
