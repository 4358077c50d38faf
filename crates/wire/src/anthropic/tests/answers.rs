//! Answers of the dialect: whole, streamed, broken.

use super::*;

#[test]
fn answers_come_out_as_they_went_in() {
    for (name, body) in golden("answers") {
        let mut events = Vec::new();
        let mut decoder = decoder(Operation::Chat, Delivery::Plain);
        decoder.frame(Frame { event: "", data: &body }, &mut events).unwrap();
        decoder.end(&mut events).unwrap();
        collect(&events);
        let mut out = value(&written(Delivery::Plain, &events));
        // The order of extras among the parts is theirs: compare as sets of blocks.
        let sorted = |value: &mut Value| {
            value["content"].as_array_mut().unwrap().sort_by_key(|block| block["type"].to_string());
        };
        let mut expected = value(&body);
        sorted(&mut out);
        sorted(&mut expected);
        assert_eq!(out, expected, "{name}");
    }
}

#[test]
fn streams_come_out_as_they_went_in() {
    for (name, body) in golden("streams") {
        let events =
            decode_pieces(decoder(Operation::Chat, Delivery::Stream), Framing::Sse, [&body[..]]).unwrap();
        let out = String::from_utf8(written(Delivery::Stream, &events)).unwrap();
        // Only the usage known by the first block is written ahead: compare the whole text.
        assert_eq!(out, String::from_utf8(body).unwrap().trim_end().to_owned() + "\n\n", "{name}");
    }
}

#[test]
fn an_observer_sees_what_a_decoder_sees() {
    for (name, body) in golden("streams") {
        let events =
            decode_pieces(decoder(Operation::Chat, Delivery::Stream), Framing::Sse, [&body[..]]).unwrap();
        let mut observer = observer(Operation::Chat, Delivery::Stream, true);
        let mut decoder = decoder(Operation::Chat, Delivery::Stream);
        for frame in String::from_utf8(body).unwrap().split("\n\n").filter(|frame| !frame.is_empty()) {
            let (event, data) = frame.split_once('\n').unwrap();
            let frame = Frame { event: &event[7..], data: data.as_bytes()[6..].as_ref() };
            let mut now = Vec::new();
            decoder.frame(frame, &mut now).unwrap();
            let seen = observer.frame(frame).unwrap();
            assert_eq!(seen.semantic, now.iter().any(Event::is_semantic), "{name}: {frame:?}");
            assert!(!seen.hide);
            let nameless = Frame { event: "", data: frame.data };
            assert_eq!(super::observer(Operation::Chat, Delivery::Stream, true).frame(nameless), Ok(seen));
        }
        observer.end().unwrap();
        let answer = collect(&events);
        assert_eq!(observer.summary().usage, answer.usage);
        assert_eq!(observer.summary().finish, Some(answer.finishes[0].1));
        assert!(observer.summary().complete && observer.summary().output_bytes > 0);
    }
    for (name, body) in golden("answers") {
        let mut observer = observer(Operation::Chat, Delivery::Plain, true);
        let mut events = Vec::new();
        observer.frame(Frame { event: "", data: &body }).unwrap();
        decoder(Operation::Chat, Delivery::Plain)
            .frame(Frame { event: "", data: &body }, &mut events)
            .unwrap();
        assert_eq!(observer.summary().usage, collect(&events).usage, "{name}");
    }
}

#[test]
fn broken_streams_are_typed_failures() {
    let (_, body) = golden("streams").remove(0);
    let text = String::from_utf8(body).unwrap();
    let run = |text: &str| {
        decode_pieces(decoder(Operation::Chat, Delivery::Stream), Framing::Sse, [text.as_bytes()])
            .map(|_| String::new())
            .unwrap_or_else(|failure| format!("{}: {}", failure.class.name(), failure.message))
    };
    let watch = |text: &str| {
        let mut observer = observer(Operation::Chat, Delivery::Stream, true);
        let mut framer = crate::frame::Framer::new(Framing::Sse, 1 << 20);
        framer.push(bytes::Bytes::copy_from_slice(text.as_bytes()));
        let mut result = Ok(());
        while let (true, Ok(Some(frame))) = (result.is_ok(), framer.next()) {
            result = observer.frame(frame.frame()).map(|_| ());
        }
        result
            .and_then(|()| observer.end())
            .map(|()| String::new())
            .unwrap_or_else(|failure| failure.class.name().to_owned())
    };
    let cut = text.replace("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", "");
    let error = |kind: &str| {
        format!(
            "event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"{kind}\",\"message\":\"m\"}}}}\n\n"
        )
    };
    let cases = [
        cut,
        error("overloaded_error"),
        error("rate_limit_error"),
        error("api_error"),
        "data: <html>\n\n".to_owned(),
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"del\n\n"
            .to_owned(),
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":7}\n\n".to_owned(),
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":3,\"delta\":{}}\n\n"
            .to_owned(),
        String::new(),
    ];
    let lines: Vec<String> = cases.iter().map(|case| format!("{} | {}", run(case), watch(case))).collect();
    insta::assert_snapshot!(lines.join("\n"));
    let mut plain = decoder(Operation::Chat, Delivery::Plain);
    let failures: Vec<String> =
        ["{}", "<html>", r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#]
            .iter()
            .map(|body| plain.frame(Frame { event: "", data: body.as_bytes() }, &mut Vec::new()).unwrap_err())
            .map(|failure| format!("{}: {}", failure.class.name(), failure.message))
            .collect();
    insta::assert_snapshot!(failures.join("\n"));
}

#[test]
fn a_failed_stream_ends_in_an_error_event_and_nothing_else() {
    let mut out = BytesMut::new();
    let mut encoder = encoder(Operation::Chat, Delivery::Stream, context());
    encoder.event(&Event::PartStart { choice: 0, part: 0, kind: PartKind::Text }, &mut out);
    encoder.event(&Event::Delta { choice: 0, part: 0, delta: Delta::Text("Hal".to_owned()) }, &mut out);
    let before = out.len();
    let error =
        trunkline_model::error::ClientError::new(trunkline_model::error::ErrorCode::Timeout, "stalled");
    encoder.fail(&error, &mut out);
    insta::assert_snapshot!(std::str::from_utf8(&out[before..]).unwrap(), @r#"
    event: error
    data: {"type":"error","error":{"type":"timeout_error","message":"stalled","code":"timeout"},"request_id":"00000000000000000000000001"}
    "#);
}
