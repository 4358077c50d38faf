//! Answers of the dialect: whole, streamed, broken, of embeddings and of counts.

use super::*;

#[test]
fn answers_come_out_as_they_went_in() {
    for (name, body) in golden(".answer.json") {
        let events = plain_events(&body);
        collect(&events);
        assert_eq!(value(&written(Delivery::Plain, &events)), value(&body), "{name}");
    }
}

#[test]
fn streams_come_out_as_they_went_in() {
    for (name, body) in golden(".answer.sse") {
        let out = written(Delivery::Stream, &stream_events(&body));
        assert_eq!(String::from_utf8(out).unwrap(), String::from_utf8(body).unwrap(), "{name}");
    }
}

#[test]
fn calls_end_an_answer_as_calls_and_go_out_as_stop() {
    let (_, body) = golden(".answer.json").into_iter().find(|(name, _)| name == "tools").unwrap();
    let answer = collect(&plain_events(&body));
    assert_eq!(answer.finishes[0].1, Finish::ToolCalls);
    let Some((_, call)) = answer.parts.get(2) else { panic!("a call") };
    insta::assert_debug_snapshot!(call.kind, @r#"
    ToolCall {
        id: "call_gemini_mAitaLmkHPPlz7IPvtfUqQ4_0",
        name: "get_weather",
    }
    "#);
    assert_eq!(call.opaque.as_ref().unwrap().value, "c2lnMg==");
    let usage = Usage { input: 60, cache_read: 40, output: 20, reasoning: 30, ..Usage::default() };
    assert_eq!(answer.usage, Some(usage));
    let (_, body) = golden(".answer.json").into_iter().find(|(name, _)| name == "several").unwrap();
    let reasons: Vec<Finish> =
        collect(&plain_events(&body)).finishes.into_iter().map(|(_, reason, _)| reason).collect();
    assert_eq!(reasons, [Finish::Length, Finish::ContentFilter, Finish::Error]);
}

#[test]
fn an_observer_sees_what_a_decoder_sees() {
    for (name, body) in golden(".answer.sse") {
        let mut observer = observer(Operation::Chat, Delivery::Stream, true);
        let mut decoder = decoder(Operation::Chat, Delivery::Stream);
        for chunk in
            String::from_utf8(body.clone()).unwrap().split("\r\n\r\n").filter(|chunk| !chunk.is_empty())
        {
            let frame = Frame { event: "", data: &chunk.as_bytes()[6..] };
            let mut now = Vec::new();
            decoder.frame(frame, &mut now).unwrap();
            let seen = observer.frame(frame).unwrap();
            assert_eq!(seen.semantic, now.iter().any(Event::is_semantic), "{name}: {chunk}");
            assert!(!seen.hide);
        }
        observer.end().unwrap();
        let answer = collect(&stream_events(&body));
        assert_eq!(observer.summary().usage, answer.usage);
        assert_eq!(observer.summary().finish, Some(answer.finishes[0].1));
        assert!(observer.summary().complete && observer.summary().output_bytes > 0);
    }
    for (name, body) in golden(".answer.json") {
        let mut observer = observer(Operation::Chat, Delivery::Plain, true);
        assert!(observer.frame(Frame { event: "", data: &body }).unwrap().semantic);
        observer.end().unwrap();
        let answer = collect(&plain_events(&body));
        assert_eq!(observer.summary().usage, answer.usage, "{name}");
        assert_eq!(observer.summary().finish, Some(answer.finishes[0].1), "{name}");
    }
}

#[test]
fn words_inside_arguments_are_not_taken_for_ours() {
    let chunk = br#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{
        "usageMetadata":{"promptTokenCount":999,"totalTokenCount":999},"finishReason":"STOP","error":{"code":500}}}}]}}]}"#;
    let mut observer = observer(Operation::Chat, Delivery::Stream, true);
    let seen = observer.frame(Frame { event: "", data: chunk }).unwrap();
    assert!(seen.semantic);
    assert_eq!((observer.summary().usage, observer.summary().complete), (None, false));
    assert!(observer.end().is_err());
}

#[test]
fn broken_answers_are_typed_failures() {
    let (_, body) = golden(".answer.sse").remove(0);
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
    let error = |status: &str| {
        format!("data: {{\"error\":{{\"code\":503,\"message\":\"m\",\"status\":\"{status}\"}}}}\r\n\r\n")
    };
    let cases = [
        text.replace("\"finishReason\":\"STOP\",", ""),
        error("UNAVAILABLE"),
        error("RESOURCE_EXHAUSTED"),
        error("INTERNAL"),
        "data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"},\"usageMetadata\":{\"promptTokenCount\":4}}\n\n".to_owned(),
        "data: <html>\n\n".to_owned(),
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"te\n\n".to_owned(),
        "data: {\"candidates\":7}\n\n".to_owned(),
        // One of two candidates never ends.
        "data: {\"candidates\":[{\"index\":0,\"finishReason\":\"STOP\"},{\"index\":1,\"content\":{\"parts\":[{\"text\":\"x\"}]}}]}\n\n".to_owned(),
        String::new(),
    ];
    let lines: Vec<String> = cases.iter().map(|case| format!("{} | {}", run(case), watch(case))).collect();
    insta::assert_snapshot!(lines.join("\n"));
    let bodies = [
        "{}",
        "<html>",
        r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}"#,
        r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT","blockReasonMessage":"no"}}"#,
    ];
    let failures: Vec<String> = bodies
        .iter()
        .map(|body| {
            let frame = Frame { event: "", data: body.as_bytes() };
            let failure =
                decoder(Operation::Chat, Delivery::Plain).frame(frame, &mut Vec::new()).unwrap_err();
            let watched = observer(Operation::Chat, Delivery::Plain, true).frame(frame).unwrap_err();
            assert_eq!(failure, watched);
            format!("{}: {}", failure.class.name(), failure.message)
        })
        .collect();
    insta::assert_snapshot!(failures.join("\n"));
}

#[test]
fn a_finish_reason_on_every_chunk_ends_nothing() {
    let chunk = |text: &str| {
        format!(
            "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\"{text}\"}}]}},\"finishReason\":\"STOP\"}}]}}\n\n"
        )
    };
    let answer = collect(&stream_events((chunk("a") + &chunk("b")).as_bytes()));
    assert_eq!((answer.parts[0].1.text.as_str(), answer.parts.len(), answer.finishes.len()), ("ab", 1, 1));
}

#[test]
fn answers_are_bounded() {
    let parts = vec![r#"{"functionCall":{"name":"f"}}"#; 5_000].join(",");
    let body = format!(r#"{{"candidates":[{{"content":{{"parts":[{parts}]}}}}]}}"#);
    let frame = Frame { event: "", data: body.as_bytes() };
    let failure = decoder(Operation::Chat, Delivery::Plain).frame(frame, &mut Vec::new()).unwrap_err();
    insta::assert_snapshot!(failure.message, @"the answer has too many parts");
    let candidates: Vec<String> = (0..200).map(|index| format!(r#"{{"index":{index}}}"#)).collect();
    let body = format!(r#"{{"candidates":[{}]}}"#, candidates.join(","));
    let frame = Frame { event: "", data: body.as_bytes() };
    let failure = decoder(Operation::Chat, Delivery::Plain).frame(frame, &mut Vec::new()).unwrap_err();
    insta::assert_snapshot!(failure.message, @"the answer has too many candidates");
}

#[test]
fn a_failed_stream_ends_in_an_error_event_and_nothing_else() {
    let mut out = BytesMut::new();
    let mut encoder = encoder(Operation::Chat, Delivery::Stream, context());
    encoder.event(&Event::PartStart { choice: 0, part: 0, kind: PartKind::Text }, &mut out);
    encoder.event(&Event::Delta { choice: 0, part: 0, delta: Delta::Text("Hal".to_owned()) }, &mut out);
    let before = out.len();
    encoder.fail(&ClientError::new(ErrorCode::Timeout, "stalled"), &mut out);
    insta::assert_snapshot!(std::str::from_utf8(&out[..before]).unwrap().replace('\r', "<CR>"), @r#"
    data: {"candidates":[{"content":{"parts":[{"text":"Hal"}],"role":"model"},"index":0}],"modelVersion":"asked","responseId":"00000000000000000000000001"}<CR>
    <CR>
    "#);
    insta::assert_snapshot!(std::str::from_utf8(&out[before..]).unwrap().replace('\r', "<CR>"), @r#"
    data: {"error":{"code":504,"message":"stalled","status":"DEADLINE_EXCEEDED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"TIMEOUT","domain":"trunkline","metadata":{"code":"timeout"}},{"@type":"type.googleapis.com/google.rpc.RequestInfo","requestId":"00000000000000000000000001"}]}}<CR>
    <CR>
    "#);
}

#[test]
fn tokens_are_counted_both_ways() {
    let body = br#"{"generateContentRequest":{"model":"models/m","contents":[{"parts":[{"text":"x"}]}]}}"#;
    let request = decode_request(Operation::CountTokens, body, &PathParts::default()).unwrap();
    let Request::Chat(chat) = &request else { panic!("a chat") };
    assert_eq!(chat.model, "m");
    let encoded = encode_count_request(&request, &Profile::new("gemini-x")).unwrap();
    insta::assert_snapshot!(std::str::from_utf8(&encoded.body).unwrap(), @r#"{"generateContentRequest":{"model":"models/gemini-x","contents":[{"role":"user","parts":[{"text":"x"}]}]}}"#);
    let bare = br#"{"contents":[{"parts":[{"text":"x"}]}]}"#;
    assert!(decode_request(Operation::CountTokens, bare, &path()).is_ok());

    let answer = br#"{"totalTokens":31,"cachedContentTokenCount":11}"#;
    let mut events = Vec::new();
    decoder(Operation::CountTokens, Delivery::Plain)
        .frame(Frame { event: "", data: answer }, &mut events)
        .unwrap();
    let usage = Usage { input: 20, cache_read: 11, ..Usage::default() };
    assert_eq!(events, [Event::Usage(usage), Event::End]);
    let mut observer = observer(Operation::CountTokens, Delivery::Plain, true);
    observer.frame(Frame { event: "", data: answer }).unwrap();
    assert_eq!(observer.summary().usage, Some(usage));
    let mut out = BytesMut::new();
    let mut encoder = encoder(Operation::CountTokens, Delivery::Plain, context());
    events.iter().for_each(|event| encoder.event(event, &mut out));
    encoder.finish(&mut out);
    assert_eq!(out, answer[..]);
}

#[test]
fn embeddings_are_asked_in_batch_and_answered_as_asked() {
    let single = br#"{"content":{"parts":[{"text":"a"},{"text":"b"}]},"taskType":"CLUSTERING","outputDimensionality":2,"title":"t"}"#;
    let request = decode_request(Operation::Embeddings, single, &path()).unwrap();
    let encoded = encode_request(&request, &Profile::new("gemini-embedding-001"), Delivery::Plain).unwrap();
    assert!(encoded.warnings.is_empty());
    insta::assert_snapshot!(std::str::from_utf8(&encoded.body).unwrap(), @r#"{"requests":[{"model":"models/gemini-embedding-001","content":{"parts":[{"text":"a\nb"}]},"taskType":"CLUSTERING","outputDimensionality":2,"title":"t"}]}"#);
    assert_eq!(decode_request(Operation::Embeddings, &encoded.body, &path()), Ok(request));

    let answer = br#"{"embeddings":[{"values":[0.25,-1.5]},{"values":[1.0,0.1]}]}"#;
    let mut events = Vec::new();
    decoder(Operation::Embeddings, Delivery::Plain)
        .frame(Frame { event: "", data: answer }, &mut events)
        .unwrap();
    assert_eq!(collect(&events).vectors, [vec![0.25, -1.5], vec![1.0, 0.1]]);
    observer(Operation::Embeddings, Delivery::Plain, true).frame(Frame { event: "", data: answer }).unwrap();
    let write = |form| {
        let mut out = BytesMut::new();
        let mut encoder = encoder(
            Operation::Embeddings,
            Delivery::Plain,
            EncodeContext { embedding_form: form, ..context() },
        );
        events.iter().for_each(|event| encoder.event(event, &mut out));
        encoder.finish(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    };
    assert_eq!(write(EmbeddingForm::Batch), std::str::from_utf8(answer).unwrap());
    assert_eq!(write(EmbeddingForm::Single), r#"{"embedding":{"values":[0.25,-1.5]}}"#);
}

#[test]
fn mistakes_in_embeddings_are_named() {
    let bodies = [
        r#"{}"#,
        r#"{"content":{"parts":[{"inlineData":{}}]}}"#,
        r#"{"requests":[]}"#,
        r#"{"requests":[{"content":{"parts":[{"text":"a"}]},"taskType":"CLUSTERING"},{"content":{"parts":[{"text":"b"}]}}]}"#,
        r#"{"content":{"parts":[{"text":"a"}]},"outputDimensionality":0}"#,
    ];
    let lines: Vec<String> = bodies
        .iter()
        .map(|body| decode_request(Operation::Embeddings, body.as_bytes(), &path()).unwrap_err().message)
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    content: missing, expected a content with text parts
    content.parts[0].text: missing, expected a string: only text can be embedded
    requests: expected at least one request
    requests[1]: expected the same taskType and outputDimensionality in all requests of a batch
    outputDimensionality: expected a whole number, 1 or more
    "#);
    let request = EmbeddingRequest {
        inputs: vec![EmbeddingInput::Tokens(vec![1])],
        task: Some("poetry".to_owned()),
        user: Some("u".to_owned()),
        ..EmbeddingRequest::default()
    };
    let refused = encode_request(&Request::Embeddings(request.clone()), &Profile::new("m"), Delivery::Plain);
    insta::assert_snapshot!(refused.unwrap_err(), @"input[0] cannot be expressed for this target: Gemini takes text and not token ids: send the text");
    let request = EmbeddingRequest { inputs: vec![EmbeddingInput::Text("x".to_owned())], ..request };
    let encoded = encode_request(&Request::Embeddings(request), &Profile::new("m"), Delivery::Plain).unwrap();
    let warnings: Vec<String> = encoded.warnings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(warnings.join("\n"), @r#"
    input_type dropped: Gemini knows no task `poetry`
    user dropped: Gemini has nothing like it
    "#);
}

proptest! {
    /// An answer of Gemini's survives its own stream, however the network cuts it; signed parts are never joined.
    #[test]
    fn streams_round_trip(events in answers(Dialect::Gemini, false), size in 1usize..64) {
        let bytes = written(Delivery::Stream, &events);
        let decoder = decoder(Operation::Chat, Delivery::Stream);
        let back = decode_pieces(decoder, Framing::Sse, bytes.chunks(size)).unwrap();
        prop_assert_eq!(flat(&back), flat(&events));
        prop_assert_eq!(decode_pieces(super::decoder(Operation::Chat, Delivery::Stream), Framing::Sse, [&bytes[..]]).unwrap(), back);
    }

    /// And its own plain form, part by part.
    #[test]
    fn plain_answers_round_trip(events in answers(Dialect::Gemini, false)) {
        let back = plain_events(&written(Delivery::Plain, &events));
        prop_assert_eq!(flat(&back), flat(&events));
    }

    /// Nonsense never panics and never ends an answer.
    #[test]
    fn nonsense_is_refused(data in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut events = Vec::new();
        let mut decoder = decoder(Operation::Chat, Delivery::Stream);
        let _ = decoder.frame(Frame { event: "", data: &data }, &mut events);
        prop_assert!(decoder.end(&mut events).is_err());
    }
}

/// What an answer says, without where parts of one kind were cut.
fn flat(events: &[Event]) -> (String, Vec<Finish>, Option<Usage>, bool) {
    let answer = collect(events);
    let mut said = String::new();
    let mut last = "";
    for (_, whole) in &answer.parts {
        let kind = match &whole.kind {
            PartKind::ToolCall { name, .. } => {
                said.push_str(&format!("\n{name}({})", whole.text));
                last = "";
                continue;
            }
            PartKind::Thinking => "\nthought: ",
            _ => "\ntext: ",
        };
        if last != kind && !whole.text.is_empty() {
            said.push_str(kind);
            last = kind;
        }
        said.push_str(&whole.text);
        if let Some(opaque) = &whole.opaque {
            said.push_str(&format!("[{}]", opaque.value));
        }
    }
    let finishes = answer.finishes.iter().map(|(_, finish, _)| *finish).collect();
    (said, finishes, answer.usage, answer.ended)
}
