//! Goldens: real requests and answers, what they mean, and how they look in every dialect.
//!
//! Owns the walk over `src/<dialect>/golden/`. A case is one file; its snapshot beside it (`expected/`) shows the canonical
//! form and every translation. A new case is a new file, nothing else. Names end by what they hold: `.request.json`,
//! `.embeddings.json` (a client's request), `.answer.json`, `.answer.sse`, `.answer.messages` (binary ones as text, a line each), `.vectors.json`, `.count.json` (a
//! provider's answer),
//! `.error.STATUS.json`.

use crate::codec::{Decode, PathParts};
use crate::dispatch;
use crate::testing::{context, frames, profile};
use bytes::BytesMut;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::event::Event;

#[test]
fn goldens_hold() {
    let mut seen = 0;
    for dialect in &Dialect::PROVIDERS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(dialect.name()).join("golden");
        for path in cases(&folder) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let bytes = read(&path);
            let report = report(*dialect, &name, &bytes);
            insta::with_settings!({
                snapshot_path => folder.join("expected"), prepend_module_to_snapshot => false, omit_expression => true,
            }, { insta::assert_snapshot!(name, report) });
            seen += 1;
        }
    }
    assert!(seen > 0, "no golden was found");
}

#[expect(clippy::disallowed_methods, reason = "goldens are files")]
fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "goldens are files")]
fn cases(folder: &Path) -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    cases.sort();
    cases
}

fn report(dialect: Dialect, name: &str, bytes: &[u8]) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    match parts.as_slice() {
        [_, "request", "json"] => requests(dialect, Operation::Chat, bytes),
        [_, "embeddings", "json"] => requests(dialect, Operation::Embeddings, bytes),
        [_, "answer", "json"] => answers(dialect, Operation::Chat, Delivery::Plain, bytes),
        [_, "answer", "messages"] => {
            answers(dialect, Operation::Chat, Delivery::Stream, &crate::testing::messages_of(bytes))
        }
        [_, "answer", "sse"] => answers(dialect, Operation::Chat, Delivery::Stream, bytes),
        [_, "vectors", "json"] => answers(dialect, Operation::Embeddings, Delivery::Plain, bytes),
        [_, "count", "json"] => answers(dialect, Operation::CountTokens, Delivery::Plain, bytes),
        [_, "error", status, "json"] => {
            format!("{:#?}", dispatch::decode_error(dialect, status.parse().unwrap(), bytes))
        }
        _ => panic!("the golden `{name}` is of no known kind"),
    }
}

fn requests(dialect: Dialect, operation: Operation, bytes: &[u8]) -> String {
    // Dialects with the model in the URL need it from there.
    let path = match dialect {
        Dialect::Gemini => PathParts { model: Some("model".to_owned()), delivery: Some(Delivery::Plain) },
        _ => PathParts::default(),
    };
    let request = match dispatch::decode_request(dialect, operation, bytes, &path) {
        Ok(request) => request,
        Err(error) => return format!("refused: {error}"),
    };
    let mut report = format!("== canonical\n{request:#?}\n");
    for target in &Dialect::PROVIDERS {
        writeln!(report, "== to {target}").unwrap();
        match dispatch::encode_request(*target, &request, &profile(), Delivery::Plain) {
            Ok(encoded) => {
                writeln!(report, "{}", String::from_utf8_lossy(&encoded.body)).unwrap();
                for warning in encoded.warnings {
                    writeln!(report, "warning: {warning}").unwrap();
                }
                serde_json::from_slice::<serde_json::Value>(&encoded.body).unwrap();
            }
            Err(error) => writeln!(report, "refused: {error}").unwrap(),
        }
    }
    report
}

fn answers(dialect: Dialect, operation: Operation, delivery: Delivery, bytes: &[u8]) -> String {
    let (events, ended) = decode(dialect, operation, delivery, bytes);
    let mut report = "== events\n".to_owned();
    for event in &events {
        writeln!(report, "{event:?}").unwrap();
    }
    if let Some(failure) = ended {
        writeln!(report, "failed: {} {:?}: {}", failure.class.name(), failure.code, failure.message).unwrap();
        return report;
    }
    for client in &Dialect::CLIENTS {
        for delivery in [Delivery::Plain, Delivery::Stream] {
            writeln!(report, "== to {client} {delivery:?}").unwrap();
            let mut encoder = dispatch::encoder(*client, operation, delivery, context());
            let mut out = BytesMut::new();
            events.iter().for_each(|event| encoder.event(event, &mut out));
            encoder.finish(&mut out);
            writeln!(report, "{}", String::from_utf8_lossy(&out)).unwrap();
            for warning in encoder.warnings() {
                writeln!(report, "warning: {warning}").unwrap();
            }
        }
    }
    report
}

type Ended = Option<trunkline_model::failure::Failure>;

fn decode(dialect: Dialect, operation: Operation, delivery: Delivery, bytes: &[u8]) -> (Vec<Event>, Ended) {
    let framing = dispatch::framing(dialect, delivery);
    let mut decoder: Box<dyn Decode> = dispatch::decoder(dialect, operation, delivery);
    let mut events = Vec::new();
    for frame in frames(framing, bytes, 7) {
        if let Err(failure) = decoder.frame(frame.frame(), &mut events) {
            return (events, Some(failure));
        }
    }
    let ended = decoder.end(&mut events).err();
    (events, ended)
}
