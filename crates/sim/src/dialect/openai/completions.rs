//! `POST /v1/completions`, the older endpoint that continues a text.
//!
//! Owns its form only; the prompt counts as a message of the user.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::{Context, Output, Piece, Refusal};
use super::{event, identifier, models};
use crate::tokens;
use crate::turn::{Finish, Prompt, plan};

pub(super) fn answer(body: &Map<String, Value>, context: &Context<'_>) -> Result<Output, Refusal> {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let model = text("model").ok_or_else(|| Refusal::invalid("you must provide a model parameter"))?;
    models::admit(model, context.config)?;
    let mut prompt = Prompt { model: model.to_owned(), seed: context.seed, ..Prompt::default() };
    let given = text("prompt").unwrap_or_default();
    prompt.push_user(given);
    prompt.count(given);
    prompt.max_tokens = Some(body.get("max_tokens").and_then(Value::as_u64).unwrap_or(16));
    prompt.stop = super::chat::stop_sequences(body)?;
    let turn = plan(&prompt, 0);
    let finish = if turn.finish == Finish::Length { "length" } else { "stop" };
    let id = identifier(&mut context.chance(), "cmpl-", 29);
    let usage = json!({"prompt_tokens": prompt.tokens(), "completion_tokens": turn.tokens(),
        "total_tokens": prompt.tokens() + turn.tokens()});
    let form = |text: &str, finish: Value| {
        json!({"id": id, "object": "text_completion", "created": context.config.created, "model": model,
            "choices": [{"text": text, "index": 0, "logprobs": null, "finish_reason": finish}]})
    };
    if body.get("stream").and_then(Value::as_bool) != Some(true) {
        let mut answer = form(&turn.text, json!(finish));
        answer["usage"] = usage;
        return Ok(Output::json(StatusCode::OK, &answer, turn.tokens()));
    }
    let mut pieces: Vec<Piece> = tokens::pieces(&turn.text, context.script.piece_tokens)
        .map(|(piece, number)| Piece::token(event(&form(piece, Value::Null)), number))
        .collect();
    pieces.push(Piece::ending(event(&form("", json!(finish)))));
    if body.get("stream_options").and_then(|options| options["include_usage"].as_bool()) == Some(true) {
        let mut last = form("", Value::Null);
        last["choices"] = json!([]);
        last["usage"] = usage;
        pieces.push(Piece::ending(event(&last)));
    }
    pieces.push(Piece::ending(bytes::Bytes::from_static(b"data: [DONE]\n\n")));
    Ok(Output::stream("text/event-stream; charset=utf-8", pieces))
}
