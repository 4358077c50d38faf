//! What holds for every framing: cuts do not show, bytes are kept, sizes are bounded.

use super::*;
use crate::testing::{message, raw_message};
use proptest::prelude::*;

/// Event name, data and exact bytes.
type Seen = (String, Vec<u8>, Vec<u8>);

/// Drives a framer over chunks; gives every frame and how it ended.
fn drive(framing: Framing, limit: usize, chunks: &[&[u8]]) -> (Vec<Seen>, Option<Failure>) {
    let mut framer = Framer::new(framing, limit);
    let mut frames = Vec::new();
    let mut take = |frame: RawFrame| {
        let seen = frame.frame();
        frames.push((seen.event.to_owned(), seen.data.to_vec(), frame.raw().to_vec()));
    };
    for chunk in chunks {
        framer.push(Bytes::copy_from_slice(chunk));
        loop {
            match framer.next() {
                Ok(Some(frame)) => take(frame),
                Ok(None) => break,
                Err(failure) => return (frames, Some(failure)),
            }
        }
    }
    let ended = match framer.finish() {
        Ok(Some(frame)) => {
            take(frame);
            None
        }
        Ok(None) => None,
        Err(failure) => Some(failure),
    };
    (frames, ended)
}

fn cut<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut chunks = Vec::new();
    let mut start = 0;
    for place in places {
        chunks.push(&bytes[start..place]);
        start = place;
    }
    chunks.push(&bytes[start..]);
    chunks
}

fn data_of(frames: &[Seen]) -> Vec<String> {
    frames.iter().map(|(event, data, _)| format!("{event}|{}", String::from_utf8_lossy(data))).collect()
}

proptest! {
    #[test]
    fn cuts_do_not_show_in_events(
        lines in proptest::collection::vec(
            ("(data|event|id|retry|)(:|: |)[ -~é漢]{0,12}|", "\n|\r|\r\n"), 0..24),
        mark in any::<bool>(),
        cuts in proptest::collection::vec(any::<usize>(), 0..40),
    ) {
        let mut text = if mark { "\u{feff}".to_owned() } else { String::new() };
        text.extend(lines.iter().flat_map(|(line, end)| [line.as_str(), end.as_str()]));
        let whole = drive(Framing::Sse, FRAME_LIMIT, &[text.as_bytes()]);
        let pieces = drive(Framing::Sse, FRAME_LIMIT, &cut(text.as_bytes(), &cuts));
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        prop_assert_eq!(&whole, &pieces);
        prop_assert_eq!(&whole, &drive(Framing::Sse, FRAME_LIMIT, &bytes));
        if whole.1.is_none() {
            let joined: Vec<u8> = whole.0.iter().flat_map(|(_, _, raw)| raw.clone()).collect();
            prop_assert_eq!(joined, text.as_bytes());
        }
    }

    #[test]
    fn cuts_do_not_show_in_arrays(
        elements in proptest::collection::vec(r#"[ \n]?\{"[a-z{}\[\]é]{0,5}":("[a-z{}\[\],]{0,8}(\\"|\\\\)?"|\[1,\{\}\])\}[ \n]?"#, 0..8),
        cuts in proptest::collection::vec(any::<usize>(), 0..40),
        tail in "[ \n]{0,2}",
    ) {
        let text = format!("[{}]{tail}", elements.join(","));
        let whole = drive(Framing::JsonArray, FRAME_LIMIT, &[text.as_bytes()]);
        prop_assert_eq!(&whole, &drive(Framing::JsonArray, FRAME_LIMIT, &cut(text.as_bytes(), &cuts)));
        prop_assert_eq!(&whole.1, &None);
        let found: Vec<String> = whole.0.iter().filter(|(_, data, _)| !data.is_empty())
            .map(|(_, data, _)| String::from_utf8(data.clone()).unwrap()).collect();
        let trimmed: Vec<String> = elements.iter().map(|element| element.trim().to_owned()).collect();
        prop_assert_eq!(found, trimmed);
        let joined: Vec<u8> = whole.0.iter().flat_map(|(_, _, raw)| raw.clone()).collect();
        prop_assert_eq!(joined, text.as_bytes());
    }

    #[test]
    fn cuts_do_not_show_in_messages(
        messages in proptest::collection::vec(("[a-zA-Z]{0,9}", "\\PC{0,40}", any::<bool>()), 0..8),
        cuts in proptest::collection::vec(any::<usize>(), 0..40),
    ) {
        let mut bytes = Vec::new();
        for (name, payload, is_exception) in &messages {
            let (kind, header) =
                if *is_exception { ("exception", ":exception-type") } else { ("event", ":event-type") };
            let headers = [(":content-type", "application/json"), (header, name.as_str()), (":message-type", kind)];
            bytes.extend(message(&headers, payload.as_bytes()));
        }
        let whole = drive(Framing::EventStream, FRAME_LIMIT, &[&bytes]);
        prop_assert_eq!(&whole, &drive(Framing::EventStream, FRAME_LIMIT, &cut(&bytes, &cuts)));
        prop_assert_eq!(&whole.1, &None);
        let expected: Vec<String> =
            messages.iter().map(|(name, payload, _)| format!("{name}|{payload}")).collect();
        prop_assert_eq!(data_of(&whole.0), expected);
        let joined: Vec<u8> = whole.0.iter().flat_map(|(_, _, raw)| raw.clone()).collect();
        prop_assert_eq!(joined, bytes);
    }

    #[test]
    fn a_changed_bit_never_passes(bit in 0usize..8 * 90, payload in "[a-z]{20}") {
        let mut bytes = message(&[(":message-type", "event"), (":event-type", "x")], payload.as_bytes());
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let (frames, ended) = drive(Framing::EventStream, FRAME_LIMIT, &[&bytes]);
        prop_assert!(frames.is_empty() && ended.is_some());
    }

    #[test]
    fn no_bytes_crash_a_framer(bytes in proptest::collection::vec(any::<u8>(), 0..200), cuts in proptest::collection::vec(any::<usize>(), 0..8)) {
        for framing in [Framing::Sse, Framing::JsonArray, Framing::EventStream, Framing::Body] {
            let whole = drive(framing, 64, &[&bytes]);
            let pieces = drive(framing, 64, &cut(&bytes, &cuts));
            // Both may refuse, at different places, only because of the limit.
            if whole.1.is_none() && pieces.1.is_none() {
                prop_assert_eq!(whole, pieces);
            }
        }
    }
}

#[test]
fn events_are_parsed_as_the_standard_says() {
    let stream = b"\xef\xbb\xbf: comment\n\nevent: a\ndata: one\ndata:two\ndata\nid: 7\nretry: 5\nother: x\n\ndata:  kept space\r\n\r\nevent: b\r\rdata: {\"x\":\"a:b\"}\n\n";
    let (frames, ended) = drive(Framing::Sse, FRAME_LIMIT, &[stream]);
    assert_eq!(ended, None);
    assert_eq!(data_of(&frames), ["|", "a|one\ntwo\n", "| kept space", "b|", "|{\"x\":\"a:b\"}"]);
}

#[test]
fn an_event_within_one_chunk_is_not_copied() {
    let chunk = Bytes::from_static(b"data: {\"a\":1}\n\ndata: {\"b\":2}\n\n");
    let range = chunk.as_ptr_range();
    let mut framer = Framer::new(Framing::Sse, FRAME_LIMIT);
    framer.push(chunk);
    for _ in 0..2 {
        let frame = framer.next().unwrap().unwrap();
        assert!(range.contains(&frame.raw().as_ptr()));
        assert!(range.contains(&frame.frame().data.as_ptr()));
    }
    assert_eq!(framer.pending(), 0);
}

#[test]
fn the_last_event_may_lack_its_blank_line() {
    for stream in [
        "data: {\"a\":1}\n\ndata: [DONE]",
        "data: {\"a\":1}\n\ndata: [DONE]\n",
        "data: {\"a\":1}\r\rdata: [DONE]\r",
    ] {
        let (frames, ended) = drive(Framing::Sse, FRAME_LIMIT, &[stream.as_bytes()]);
        assert_eq!((data_of(&frames), ended), (vec!["|{\"a\":1}".to_owned(), "|[DONE]".to_owned()], None));
    }
}

#[test]
fn a_body_that_ends_inside_a_frame_is_cut() {
    let sse = drive(Framing::Sse, FRAME_LIMIT, &[b"data: {\"a\":1}\n\ndata: {\"b\":"]).1.unwrap();
    let array = drive(Framing::JsonArray, FRAME_LIMIT, &[b"[{\"a\":1},"]).1.unwrap();
    let nonsense = drive(Framing::JsonArray, FRAME_LIMIT, &[b"<html>"]).1.unwrap();
    let large = drive(Framing::Sse, 16, &[b"data: 0123456789abcdef"]).1.unwrap();
    let report =
        [sse, array, nonsense, large].map(|failure| format!("{}: {}", failure.class.name(), failure.message));
    insta::assert_snapshot!(report.join("\n"));
}

#[test]
fn the_size_of_a_frame_is_bounded_however_it_arrives() {
    let frame = b"data: 0123456789\n\n";
    for limit in [10, 17, 18] {
        for framing in [Framing::Sse, Framing::Body] {
            let refused = drive(framing, limit, &[frame]).1.is_some();
            let bytewise: Vec<&[u8]> = frame.chunks(1).collect();
            assert_eq!(refused, limit < 18);
            assert_eq!(drive(framing, limit, &bytewise).1.is_some(), limit < 18);
        }
    }
}

#[test]
fn a_lone_object_stands_for_an_array_of_one() {
    let (frames, ended) = drive(Framing::JsonArray, FRAME_LIMIT, &[b"{\"error\":{\"code\":429}}\n"]);
    assert_eq!(
        (data_of(&frames), ended),
        (vec!["|{\"error\":{\"code\":429}}".to_owned(), "|".to_owned()], None)
    );
}

#[test]
fn headers_of_every_type_are_passed_over() {
    let mut head = Vec::new();
    let header = |head: &mut Vec<u8>, name: &str, kind: u8, value: &[u8]| {
        head.push(u8::try_from(name.len()).unwrap());
        head.extend_from_slice(name.as_bytes());
        head.push(kind);
        head.extend_from_slice(value);
    };
    header(&mut head, "true", 0, &[]);
    header(&mut head, "false", 1, &[]);
    header(&mut head, "byte", 2, &[1]);
    header(&mut head, "short", 3, &[1; 2]);
    header(&mut head, "int", 4, &[1; 4]);
    header(&mut head, "long", 5, &[1; 8]);
    header(&mut head, "bytes", 6, &[0, 2, 9, 9]);
    header(&mut head, "time", 8, &[1; 8]);
    header(&mut head, "uuid", 9, &[1; 16]);
    header(&mut head, ":message-type", 7, &[&[0, 5][..], b"event"].concat());
    header(&mut head, ":event-type", 7, &[&[0, 1][..], b"x"].concat());
    let bytes = raw_message(&head, b"{}");
    let (frames, ended) = drive(Framing::EventStream, FRAME_LIMIT, &[&bytes]);
    assert_eq!((data_of(&frames), ended), (vec!["x|{}".to_owned()], None));
}

#[test]
fn what_is_no_message_is_told() {
    let event = |headers: &[(&str, &str)]| message(headers, b"{}");
    let whole = event(&[(":message-type", "event"), (":event-type", "x")]);
    let mut broken = whole.clone();
    *broken.last_mut().unwrap() ^= 1;
    let cases: [(&str, &[u8], usize); 8] = [
        ("html", b"<html><body>Bad gateway</body></html>", FRAME_LIMIT),
        ("cut", &whole[..whole.len() - 1], FRAME_LIMIT),
        ("short", &whole[..5], FRAME_LIMIT),
        ("checksum", &broken, FRAME_LIMIT),
        ("large", &whole, 20),
        ("nameless", &event(&[]), FRAME_LIMIT),
        ("header", &raw_message(&[3, b'a'], b"{}"), FRAME_LIMIT),
        ("header type", &raw_message(&[1, b'a', 99, 0], b"{}"), FRAME_LIMIT),
    ];
    let lines: Vec<String> = cases
        .iter()
        .map(|(name, bytes, limit)| {
            let failure = drive(Framing::EventStream, *limit, &[bytes]).1.unwrap();
            format!("{name}: {}: {}", failure.class.name(), failure.message)
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
    let error =
        event(&[(":message-type", "error"), (":error-code", "Oops"), (":error-message", "it \"broke\"")]);
    let (frames, _) = drive(Framing::EventStream, FRAME_LIMIT, &[&error]);
    assert_eq!(data_of(&frames), [r#"error|{"__type":"Oops","message":"it \"broke\""}"#]);
}
