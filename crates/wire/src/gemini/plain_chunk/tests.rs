//! What is plain, and that the short way and the long one lead to the same.

use super::super::answer_decode::Decoder;
use super::super::observe::ChatObserver;
use super::*;
use crate::codec::{Decode, Frame, Observe, Summary};
use proptest::prelude::*;
use trunkline_model::dialect::Delivery;
use trunkline_model::event::Event;
use trunkline_model::failure::Failure;

/// A field that nobody knows, whose name might be that of another: nothing more is said, and a chunk goes the long way.
const LONG_WAY: &str = r#","o\u0064d":null"#;

const FIRST: &str =
    r#"{"candidates":[{"content":{"parts":[],"role":"model"}}],"responseId":"r","modelVersion":"m"}"#;

/// What the chunks are after a stream has begun.
fn events(chunks: &[String]) -> Result<Vec<Event>, Failure> {
    let mut decoder = Decoder::new(Delivery::Stream);
    let mut events = Vec::new();
    for chunk in std::iter::once(FIRST).chain(chunks.iter().map(String::as_str)) {
        decoder.frame(Frame { event: "", data: chunk.as_bytes() }, &mut events)?;
    }
    Ok(events)
}

/// What is seen of them on their way.
fn seen(chunks: &[String]) -> Result<(Vec<bool>, Summary), Failure> {
    let mut observer = ChatObserver::new(Delivery::Stream);
    let mut semantic = Vec::new();
    for chunk in chunks {
        semantic.push(observer.frame(Frame { event: "", data: chunk.as_bytes() })?.semantic);
    }
    Ok((semantic, observer.summary().clone()))
}

fn piece(chunk: &str) -> Option<(u32, bool, String, Option<u64>)> {
    let piece = read(chunk.as_bytes())?;
    let total = piece.usage.and_then(|usage| usage.usage()).map(|usage| usage.total());
    Some((piece.index, piece.is_thought, piece.text.resolve().into_owned(), total))
}

#[test]
fn a_piece_of_text_is_read_and_whatever_else_is_said_is_left_alone() {
    let plain = r#"{"candidates":[{"content":{"parts":[{"text":" w\n\"é","thought":true}],"role":"model"},"finishReason":null,"index":2,"safetyRatings":[]}],"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":3,"totalTokenCount":11,"promptTokensDetails":[{"modality":"TEXT","tokenCount":8}]},"modelVersion":"m","responseId":"r"}"#;
    assert_eq!(piece(plain), Some((2, true, " w\n\"é".to_owned(), Some(11))));
    assert_eq!(
        piece(r#"{"candidates":[{"content":{"parts":[{"text":"x"}]}}]}"#),
        Some((0, false, "x".to_owned(), None))
    );
    for (told, other) in [
        ("\"finishReason\":null", "\"finishReason\":\"STOP\""),
        ("\"finishReason\":null", "\"groundingMetadata\":{}"),
        ("\"finishReason\":null", "\"index\":2"),
        ("\"finishReason\":null", "\"ind\\u0065x\":2"),
        ("\"thought\":true", "\"thoughtSignature\":\"s\""),
        ("\"thought\":true", "\"functionCall\":{}"),
        ("\"thought\":true", "\"thought\":1"),
        ("\"thought\":true", "\"text\":\"y\""),
        ("}],\"role\"", "},{}],\"role\""),
        ("}],\"usageMetadata\"", "},{}],\"usageMetadata\""),
        ("\"index\":2", "\"index\":-1"),
        ("\"index\":2", "\"index\":null"),
        ("\\n", "\\ud83d"),
        ("\"totalTokenCount\":11", "\"totalTokenCount\":1.5"),
        ("\"totalTokenCount\":11", "\"totalTokenCount\":-1"),
        ("\"totalTokenCount\":11", "\"promptTokenCount\":8"),
        ("\"totalTokenCount\":11", "\"serviceTier\":\"flex\""),
        ("\"totalTokenCount\":11", "\"total\\u0054okenCount\":11"),
        ("\"tokenCount\":8}", "\"tokenCount\":{}}"),
        ("\"tokenCount\":8}", "\"modality\":\"AUDIO\"}"),
        ("\"modelVersion\":\"m\"", "\"error\":{}"),
        ("\"modelVersion\":\"m\"", "\"promptFeedback\":{}"),
        ("\"modelVersion\":\"m\"", "\"responseId\":\"s\""),
        ("\"responseId\":\"r\"}", "\"responseId\":\"r\""),
    ] {
        let chunk = plain.replacen(told, other, 1);
        assert_ne!(chunk, plain);
        assert_eq!(piece(&chunk), None, "{chunk}");
    }
    assert!(read(b"{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\xff\"}]}}]}").is_none());
    assert!(read(b"[DONE]").is_none());
}

const BESIDE_THE_TEXT: &[&str] = &[
    "",
    "",
    r#","thought":false"#,
    r#","thought":true"#,
    r#","odd":[1,{}]"#,
    r#","text":"again""#,
    r#","thoughtSignature":"s""#,
    r#","functionCall":{"name":"f","args":{}}"#,
    "},{\"text\":\"more\"",
];
const BESIDE_THE_CONTENT: &[&str] = &[
    "",
    "",
    r#","finishReason":null"#,
    r#","finishReason":"STOP""#,
    r#","groundingMetadata":{"webSearchQueries":["q"]}"#,
    r#","safetyRatings":[{"category":"HARM"}]"#,
    r#","index":0"#,
];
const BESIDE_THE_CANDIDATES: &[&str] = &[
    "",
    r#","usageMetadata":{}"#,
    r#","usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":2,"totalTokenCount":9}"#,
    r#","usageMetadata":{"promptTokenCount":7,"thoughtsTokenCount":2,"totalTokenCount":12,"cachedContentTokenCount":3}"#,
    r#","usageMetadata":{"promptTokenCount":7,"totalTokenCount":12,"promptTokensDetails":[{"modality":"AUDIO","tokenCount":4},{"modality":"TEXT"}],"candidatesTokensDetails":[{"modality":"IMAGE","tokenCount":2}]}"#,
    r#","usageMetadata":{"promptTokenCount":7,"trafficType":"ON_DEMAND_FLEX"}"#,
    r#","usageMetadata":{"promptTokenCount":null,"totalTokenCount":3}"#,
    r#","usageMetadata":{"promptTokenCount":"7"}"#,
    r#","usageMetadata":null"#,
    r#","modelVersion":7"#,
    r#","promptFeedback":{"blockReason":"SAFETY"}"#,
    r#","x":1e999"#,
    ",",
    "]",
];

proptest! {
    #[test]
    fn the_short_way_and_the_long_one_lead_to_the_same(
        chunks in proptest::collection::vec((
            0usize..3,
            "[a-z \n\\\\é漢]{0,9}",
            proptest::sample::select(BESIDE_THE_TEXT),
            proptest::sample::select(BESIDE_THE_CONTENT),
            proptest::sample::select(BESIDE_THE_CANDIDATES),
        ), 0..6),
    ) {
        let written = |long: &str| -> Vec<String> {
            let chunk = |(index, text, part, beside, around): &(usize, String, &str, &str, &str)| {
                let text = serde_json::to_string(text).unwrap();
                format!(
                    "{{\"candidates\":[{{\"index\":{index},\"content\":{{\"parts\":[{{\"text\":{text}{part}}}]}}{beside}}}]{long}{around}}}"
                )
            };
            chunks.iter().map(chunk).collect()
        };
        fn told<T>(found: Result<T, Failure>) -> Result<T, (trunkline_model::failure::FailureClass, String)> {
            // Places in the text differ, for what sends it the long way is in it.
            found.map_err(|failure| (failure.class, failure.message.split(" (line").next().unwrap_or_default().to_owned()))
        }
        let (short, long) = (written(""), written(LONG_WAY));
        prop_assert!(long.iter().all(|chunk| piece(chunk).is_none()));
        prop_assert_eq!(told(events(&short)), told(events(&long)));
        prop_assert_eq!(told(seen(&short)), told(seen(&long)));
    }
}
