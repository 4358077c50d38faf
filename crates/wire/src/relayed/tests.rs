//! Relayed bodies: forms cut in place, answers told from nonsense, usage in classes.

use super::answer::*;
use super::*;
use crate::codec::{Frame, Summary};
use crate::testing::profile;
use bytes::Bytes;
use proptest::prelude::*;
use trunkline_model::dialect::{Delivery, Operation};
use trunkline_model::failure::FailureClass;
use trunkline_model::usage::{Media, Usage};

const TYPE: &str = "multipart/form-data; boundary=\"x y\"; charset=utf-8";
const FORM: &str = "preamble\r\n--x y \t\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n--x y\r\n\
    Content-Disposition: form-data; name=file; filename=\"a;name=\\\"model\\\".mp3\"\r\nContent-Type: audio/mpeg\r\n\r\n\
    \u{1}\u{2}\r\n--x\r\n\r\n--x y\r\nContent-Disposition: form-data; name=\"stream\"\r\n\r\ntrue\r\n--x y--\r\nepilogue";

fn look(content_type: &str, body: &str) -> Result<crate::codec::Envelope, String> {
    let form = BodyForm::of(Some(content_type));
    envelope(Operation::Transcriptions, form, body.as_bytes()).map_err(|error| error.message)
}

#[test]
fn the_parts_of_a_form_are_found_in_place() {
    let envelope = look(TYPE, FORM).unwrap();
    let part = |name: &str| {
        let field = envelope.field(FORM.as_bytes(), name).unwrap();
        &FORM[field.value.clone()]
    };
    assert_eq!((part("model"), part("file"), part("stream")), ("whisper", "\u{1}\u{2}\r\n--x\r\n", "true"));
    assert_eq!((envelope.shape.model.as_str(), envelope.shape.delivery), ("whisper", Delivery::Stream));
    assert_eq!(envelope.fields.len(), 3);
}

#[test]
fn only_the_model_changes_and_nothing_is_copied() {
    let body = Bytes::from_static(FORM.as_bytes());
    let envelope = look(TYPE, FORM).unwrap();
    let edits = pass_edits(BodyForm::Multipart(TYPE), &envelope, &body, &profile());
    let rope = edits.apply(&body, &envelope);
    assert_eq!(rope[0].as_ptr(), body.as_ptr());
    assert_eq!(rope.len(), 3);
    let joined: Vec<u8> = rope.concat();
    assert_eq!(String::from_utf8(joined).unwrap(), FORM.replace("\r\n\r\nwhisper", "\r\n\r\ntarget-model"));
}

#[test]
fn a_part_that_there_is_once_may_not_stand_twice() {
    let part = |name: &str| format!("--b\r\nContent-Disposition: form-data; name={name}\r\n\r\n1\r\n");
    let told = |name: &str| {
        let body = [part("model"), part(name), part(name), "--b--".to_owned()].concat();
        look("multipart/form-data; boundary=b", &body).map(|envelope| envelope.fields.len())
    };
    for name in ["model", "stream", "user", "prompt", "n", "response_format"] {
        assert_eq!(told(name), Err(format!("{name}: the form has more than one such part")));
    }
    // Several pictures, several details to add.
    assert_eq!([told("image[]"), told("image"), told("include[]")], [Ok(3), Ok(3), Ok(3)]);
}

#[test]
fn forms_that_can_be_read_otherwise_are_refused() {
    let part = |head: &str| format!("--b\r\n{head}\r\n\r\nm\r\n--b--");
    let named = "Content-Disposition: form-data; name=\"model\"";
    let plain = "multipart/form-data; boundary=b";
    let told: Vec<String> = [
        ("multipart/form-data", part(named)),
        ("multipart/form-data; boundary=\"\"", part(named)),
        (plain, "{}".to_owned()),
        (plain, part(named).replace("--b--", "")),
        (plain, part(named).replace("m\r\n", "m\n--b\n")),
        (plain, part("Content-Disposition: form-data; name*=utf-8''model")),
        (plain, part("Content-Disposition: form-data; name=a; name=model")),
        (plain, part("Content-Disposition: form-data;\r\n name=model")),
        (plain, part(&format!("{named}\r\n{named}"))),
        (plain, part("Content-Disposition: attachment; name=model")),
        (plain, part("Content-Type: text/plain")),
        (plain, part("no header")),
        (plain, part(named).replace("\"model\"", "\"file\"")),
        (
            plain,
            format!(
                "--b\r\n{named}\r\n\r\nm\r\n--b\r\n{}\r\n\r\nmaybe\r\n--b--",
                named.replace("model", "stream")
            ),
        ),
        (plain, format!("--bc\r\n{named}\r\n\r\nm\r\n--b--")),
        (plain, format!("--b\r\n{}", "x".repeat(9_000))),
    ]
    .iter()
    .map(|(content_type, body)| look(content_type, body).map_or_else(|error| error, |_| "-".to_owned()))
    .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_form_has_a_bounded_number_of_parts() {
    let model = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n";
    let part = model.replace("model", "image[]");
    let within = format!("{model}{}--b--", part.repeat(MOST_PARTS - 1));
    let beyond = format!("{model}{}--b--", part.repeat(MOST_PARTS));
    assert!(look("multipart/form-data; boundary=b", &within).is_ok());
    assert!(look("multipart/form-data; boundary=b", &beyond).unwrap_err().contains("256 parts"));
}

#[test]
fn a_judgement_without_a_model_gets_the_documented_one() {
    let body = br#"{"input":"hello"}"#;
    let seen = envelope(Operation::Moderations, BodyForm::Json, body).unwrap();
    assert_eq!(seen.shape.model, "omni-moderation-latest");
    let edits = pass_edits(BodyForm::Json, &seen, body, &profile());
    let rope = edits.apply(&Bytes::from_static(body), &seen);
    assert_eq!(String::from_utf8(rope.concat()).unwrap(), r#"{"input":"hello","model":"target-model"}"#);
}

fn watched(
    operation: Operation,
    asked: Asked,
    form: AnswerForm,
    frames: &[&str],
) -> Result<Summary, FailureClass> {
    let mut observer = observer(Asked { operation, ..asked }, form);
    for data in frames {
        observer.frame(Frame { event: "", data: data.as_bytes() }).map_err(|failure| failure.class)?;
    }
    observer.end().map_err(|failure| failure.class)?;
    Ok(observer.summary().clone())
}

const ASKED: Asked = Asked { operation: Operation::Images, takes_text: false, characters: 0 };

fn used(operation: Operation, frame: &str) -> Option<Usage> {
    watched(operation, ASKED, AnswerForm::Whole, &[frame]).unwrap().usage
}

#[test]
fn usage_is_read_into_classes() {
    let images = r#"{"created":1,"data":[{"b64_json":"x"},{}],"usage":{"total_tokens":150,"input_tokens":50,"output_tokens":100,"input_tokens_details":{"text_tokens":10,"image_tokens":40}}}"#;
    let media = Media { image_input: 40, image_output: 100, images: 2, ..Media::default() };
    assert_eq!(
        used(Operation::ImageEdits, images),
        Some(Usage { input: 50, output: 100, media, ..Usage::default() })
    );
    let counted = Media { images: 1, ..Media::default() };
    assert_eq!(
        used(Operation::Images, r#"{"created":1,"data":[{"url":"u"}]}"#),
        Some(Usage { media: counted, ..Usage::default() })
    );
    let heard = r#"{"text":"a","usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":10,"audio_tokens":4},"output_tokens":3,"total_tokens":17}}"#;
    let media = Media { audio_input: 4, ..Media::default() };
    assert_eq!(
        used(Operation::Transcriptions, heard),
        Some(Usage { input: 14, output: 3, media, ..Usage::default() })
    );
    for timed in
        [r#"{"text":"a","usage":{"type":"duration","seconds":1.5}}"#, r#"{"text":"a","duration":"1.5"}"#]
    {
        let media = Media { audio_milliseconds: 1_500, ..Media::default() };
        assert_eq!(
            used(Operation::Transcriptions, timed),
            Some(Usage { media, ..Usage::default() }),
            "{timed}"
        );
    }
    assert_eq!(used(Operation::Transcriptions, r#"{"text":"a"}"#), None);
    assert_eq!(used(Operation::Moderations, r#"{"id":"m","results":[{}]}"#), None);
}

#[test]
fn nonsense_is_no_answer() {
    let class = |operation, frame| watched(operation, ASKED, AnswerForm::Whole, &[frame]).unwrap_err();
    for frame in [r#"{"ok":true,"data":[1,2,3]}"#, "<html>", "", "[]", r#"{"text":"#] {
        assert_eq!(class(Operation::Transcriptions, frame), FailureClass::Malformed, "{frame}");
    }
    assert_eq!(class(Operation::Images, r#"{"ok":true,"data":[1,2,3]}"#), FailureClass::Malformed);
    let limited = r#"{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}"#;
    assert_eq!(class(Operation::Images, limited), FailureClass::RateLimited);
    // Where bare text was asked for, text is an answer; an object without one is not.
    let takes_text = Asked { takes_text: true, ..ASKED };
    let text = |frame| watched(Operation::Transcriptions, takes_text, AnswerForm::Whole, &[frame]);
    assert_eq!(text("1\n00:00:00,000 --> 00:00:01,000\nHi\n").unwrap().usage, None);
    assert_eq!(text(r#"{"ok":true}"#).unwrap_err(), FailureClass::Malformed);
}

#[test]
fn a_stream_is_complete_when_it_says_so() {
    let partial = r#"{"type":"image_generation.partial_image","b64_json":"aa","partial_image_index":0}"#;
    let done = r#"{"type":"image_generation.completed","b64_json":"bbb","usage":{"input_tokens":5,"output_tokens":7,"total_tokens":12}}"#;
    let seen = |frames: &[&str]| watched(Operation::Images, ASKED, AnswerForm::Events, frames);
    assert_eq!(seen(&[partial]), Err(FailureClass::Cut));
    let two = seen(&[partial, done, done]).unwrap();
    let usage = two.usage.unwrap();
    assert_eq!((usage.input, usage.media.image_output, usage.media.images), (10, 14, 2));
    assert_eq!(two.output_bytes, 8);
    assert_eq!(seen(&[partial, r#"{"ok":true}"#]), Err(FailureClass::Malformed));
    assert_eq!(seen(&[r#"{"error":{"message":"m","code":"server_error"}}"#]), Err(FailureClass::Server));
}

#[test]
fn sound_is_counted_in_characters_and_empty_sound_is_cut() {
    let body = r#"{"model":"m","input":"Grüße \"du\"","voice":"alloy"}"#;
    let seen = envelope(Operation::Speech, BodyForm::Json, body.as_bytes()).unwrap();
    assert!(seen.shape.delivery.is_stream());
    let asked = asked(BodyForm::Json, &seen, body.as_bytes());
    assert_eq!(asked.characters, 10);
    let summary = watched(Operation::Speech, asked, AnswerForm::Bytes, &["ab", "c"]).unwrap();
    assert_eq!((summary.usage.unwrap().media.characters, summary.output_bytes), (10, 3));
    assert_eq!(watched(Operation::Speech, asked, AnswerForm::Bytes, &[]), Err(FailureClass::Cut));
    for (content_type, form) in [
        (Some("audio/mpeg"), AnswerForm::Bytes),
        (Some("text/event-stream; charset=utf-8"), AnswerForm::Events),
        (Some("application/json"), AnswerForm::Whole),
    ] {
        assert_eq!(AnswerForm::of(Operation::Speech, content_type), form);
    }
    assert_eq!(AnswerForm::of(Operation::Transcriptions, Some("audio/mpeg")), AnswerForm::Whole);
}

#[test]
fn a_transcript_may_be_text_when_it_was_asked_for() {
    let form = |format: &str| {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b\r\nContent-Disposition: form-data; name=\"response_format\"\r\n\r\n{format}\r\n--b--\r\n"
        );
        let kind = BodyForm::Multipart("multipart/form-data; boundary=b");
        let seen = envelope(Operation::Translations, kind, body.as_bytes()).unwrap();
        asked(kind, &seen, body.as_bytes()).takes_text
    };
    assert!(form("srt") && form("vtt") && form("text"));
    assert!(!form("json") && !form("verbose_json"));
}

proptest! {
    #[test]
    fn any_contents_are_found_again(contents in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..5)) {
        let mut body = Vec::new();
        for (index, content) in contents.iter().enumerate() {
            prop_assume!(memchr::memmem::find(content, b"--edge").is_none());
            body.extend_from_slice(format!("--edge\r\nContent-Disposition: form-data; name=\"p{index}\"\r\n\r\n").as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--edge--\r\n");
        let parts = super::form::parts("multipart/form-data; boundary=edge", &body).unwrap();
        let found: Vec<Vec<u8>> = parts.iter().map(|part| body[part.value.clone()].to_vec()).collect();
        prop_assert_eq!(found, contents);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..200), kind in ".{0,40}") {
        // Whether it is a form or not: it is told.
        let found = super::form::parts("multipart/form-data; boundary=b", &body);
        prop_assert!(found.is_ok() || !found.unwrap_err().message.is_empty());
        let odd = super::form::parts(&kind, &body);
        prop_assert!(odd.is_ok() || !odd.unwrap_err().message.is_empty());
    }

    #[test]
    fn media_is_never_more_than_what_it_is_a_part_of(input in 0u64..1000, output in 0u64..1000, image in 0u64..2000, audio in 0u64..2000, cached in 0u64..2000) {
        let json = format!(r#"{{"data":[],"usage":{{"input_tokens":{input},"output_tokens":{output},"input_tokens_details":{{"image_tokens":{image},"audio_tokens":{audio},"cached_tokens":{cached}}},"output_tokens_details":{{"image_tokens":{audio}}}}}}}"#);
        let usage = used(Operation::Images, &json).unwrap();
        prop_assert_eq!(usage.total(), input + output);
        prop_assert!(usage.media.image_input + usage.media.audio_input <= usage.input);
        prop_assert!(usage.media.image_output <= usage.output);
    }
}
