//! Times what one chunk of a stream costs, passed through and translated, and what translating a small request costs.
//!
//! Owns no check: figures are for reading, a timed test would only measure the neighbours.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use bytes::{Bytes, BytesMut};
use std::hint::black_box;
use std::time::Instant;
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::id::RequestId;
use trunkline_model::request::VectorEncoding;
use trunkline_wire::codec::{EncodeContext, PathParts, Profile};
use trunkline_wire::dispatch;
use trunkline_wire::frame::{FRAME_LIMIT, Framer, Framing};

const CHUNKS: u32 = 100;

fn main() {
    let chunk = r#"data: {"id":"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz","object":"chat.completion.chunk","created":1741570283,"model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_0123456789","choices":[{"index":0,"delta":{"content":" word\n"},"logprobs":null,"finish_reason":null}],"usage":null}"#;
    chunks(Dialect::OpenAi, chunk);
    let chunk = r#"data: {"candidates":[{"content":{"parts":[{"text":" word\n"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":120,"candidatesTokenCount":40,"totalTokenCount":160,"promptTokensDetails":[{"modality":"TEXT","tokenCount":120}]},"modelVersion":"gemini-2.5-flash","responseId":"mAitaLmkHPPlz7IPvtfUqQ4"}"#;
    chunks(Dialect::Gemini, chunk);
    let body = Bytes::from(format!(
        r#"{{"model":"auto","messages":[{{"role":"system","content":"You are helpful."}},{{"role":"user","content":"{}"}}],"temperature":0.7,"max_tokens":100}}"#,
        "The quick brown fox. ".repeat(19)
    ));
    println!("request: {} bytes", body.len());
    let path = PathParts::default();
    time("scan and pass", 1, || {
        let envelope = dispatch::envelope(Dialect::OpenAi, Operation::Chat, &body, &path)
            .unwrap_or_else(|_| unreachable!());
        let edits =
            dispatch::pass_edits(Dialect::OpenAi, &envelope, &body, &Profile::new("m"), Delivery::Plain);
        black_box(edits.apply(&body, &envelope).len());
    });
    time("decode and encode", 1, || {
        let request = dispatch::decode_request(Dialect::OpenAi, Operation::Chat, &body, &path);
        let request = request.unwrap_or_else(|_| unreachable!());
        black_box(
            dispatch::encode_request(Dialect::OpenAi, &request, &Profile::new("m"), Delivery::Plain).is_ok(),
        );
    });
}

/// One chunk between equals, watched and translated.
fn chunks(dialect: Dialect, chunk: &str) {
    println!("{dialect} chunk: {} bytes", chunk.len());
    let chunk = Bytes::from(format!("{chunk}\n\n"));
    time("frame", CHUNKS, || {
        each_frame(&chunk, |frame| {
            black_box(frame.frame().data.len());
        });
    });
    time("frame and observe", CHUNKS, || {
        let mut observer = dispatch::observer(dialect, Operation::Chat, Delivery::Stream, true);
        each_frame(&chunk, |frame| {
            black_box(observer.frame(frame.frame()).is_ok());
        });
    });
    time("frame, decode and encode", CHUNKS, || {
        let mut decoder = dispatch::decoder(dialect, Operation::Chat, Delivery::Stream);
        let mut encoder = dispatch::encoder(dialect, Operation::Chat, Delivery::Stream, context());
        let mut events = Vec::new();
        let mut out = BytesMut::with_capacity(1_024);
        each_frame(&chunk, |frame| {
            events.clear();
            out.clear();
            let _ = decoder.frame(frame.frame(), &mut events);
            events.iter().for_each(|event| encoder.event(event, &mut out));
        });
        black_box(out);
    });
}

fn each_frame(chunk: &Bytes, mut take: impl FnMut(&trunkline_wire::frame::RawFrame)) {
    let mut framer = Framer::new(Framing::Sse, FRAME_LIMIT);
    for _ in 0..CHUNKS {
        framer.push(chunk.clone());
        while let Ok(Some(frame)) = framer.next() {
            take(&frame);
        }
    }
}

fn time(name: &str, units: u32, mut run: impl FnMut()) {
    let rounds = 200_000 / units;
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..rounds {
            run();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(rounds * units));
    }
    println!("{name}: {best:.0} ns");
}

fn context() -> EncodeContext {
    EncodeContext {
        request_id: RequestId::from_bits(7),
        created: 0,
        model: "m".to_owned(),
        stream_usage: true,
        encoding: VectorEncoding::Float,
        embedding_form: Default::default(),
        echo: None,
    }
}
