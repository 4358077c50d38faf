//! Runs the codecs over the requests and streams of a plan, each once and apart, and says what each took.
//!
//! Owns no figures: `cargo xtask bench --rows codecs` writes the plan, has the instructions counted and makes the table. With
//! `--counted` each is run once before, so that what is counted is warm; without it, the best of many runs is printed in nanoseconds.

#![expect(
    clippy::disallowed_methods,
    reason = "an example that measures reads a plan and a clock; the crate itself does neither"
)]

use bytes::{Bytes, BytesMut};
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::id::RequestId;
use trunkline_model::request::VectorEncoding;
use trunkline_wire::codec::{EncodeContext, Envelope, PathParts, Profile};
use trunkline_wire::dispatch;
use trunkline_wire::frame::{FRAME_LIMIT, Framer, RawFrame};
use trunkline_wire::source::Source;

/// The allocator of the binary: what a large buffer costs is its matter.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the network gives at a time, in bytes.
const READ: usize = 8 * 1024;
const MODEL: &str = "bench-model";
/// How long one line of the plan is timed.
const ENOUGH: Duration = Duration::from_millis(40);

/// A line of the plan: `request` or `stream`, the dialects of client and provider, and the file with what is read.
struct Line {
    is_stream: bool,
    client: Dialect,
    provider: Dialect,
    content: Bytes,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let plan = arguments.first().expect("the first argument is the plan's file");
    let is_counted = arguments.iter().any(|argument| argument == "--counted");
    for line in read(Path::new(plan)) {
        let mut run: Box<dyn FnMut()> =
            if line.is_stream { Box::new(move || stream(&line)) } else { Box::new(move || request(&line)) };
        run();
        if is_counted {
            measured(&mut *run);
            continue;
        }
        let (mut best, begun) = (Duration::MAX, Instant::now());
        while begun.elapsed() < ENOUGH {
            let start = Instant::now();
            measured(&mut *run);
            best = best.min(start.elapsed());
        }
        println!("{}", best.as_nanos());
    }
}

/// What is counted by this function's name.
#[inline(never)]
fn measured(run: &mut dyn FnMut()) {
    run();
    black_box(());
}

fn read(plan: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(plan).expect("the plan can be read");
    let dialect = |name: &str| {
        Dialect::ALL
            .into_iter()
            .find(|dialect| dialect.name() == name)
            .expect("a dialect of the plan is known")
    };
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let mut word = || words.next().expect("a line of the plan has four words");
        let (kind, client, provider, file) = (word(), word(), word(), word());
        let content = std::fs::read(plan.with_file_name(file)).expect("a file of the plan can be read");
        Line {
            is_stream: kind == "stream",
            client: dialect(client),
            provider: dialect(provider),
            content: Bytes::from(content),
        }
    };
    text.lines().map(line).collect()
}

/// A request on its way through: looked at, then its fields edited or all of it translated.
fn request(line: &Line) {
    let Line { client, provider, content, .. } = line;
    let path = PathParts {
        model: (*client == Dialect::Gemini).then(|| MODEL.to_owned()),
        delivery: (*client == Dialect::Gemini).then_some(Delivery::Plain),
    };
    let envelope = dispatch::envelope(*client, Operation::Chat, content, &path);
    let envelope = envelope.unwrap_or_else(|error| panic!("{error}"));
    envelope.refuse_repeated(content).unwrap_or_else(|error| panic!("{error}"));
    let profile = Profile::new(MODEL);
    if client == provider {
        let edits = dispatch::pass_edits(*client, &envelope, content, &profile, Delivery::Plain);
        black_box(edits.apply(content, &envelope));
    } else {
        translate(line, &envelope, &path, &profile);
    }
}

fn translate(line: &Line, envelope: &Envelope, path: &PathParts, profile: &Profile) {
    let body = Source::seen(&line.content, envelope);
    let request = dispatch::decode_request(line.client, Operation::Chat, body, path);
    let request = request.unwrap_or_else(|error| panic!("{error}"));
    let encoded = dispatch::encode_request(line.provider, &request, profile, Delivery::Plain);
    black_box(encoded.unwrap_or_else(|error| panic!("{error}")));
}

/// A stream on its way through: cut into frames, then watched or translated.
fn stream(line: &Line) {
    let Line { client, provider, .. } = *line;
    if client == provider {
        let mut observer = dispatch::observer(provider, Operation::Chat, Delivery::Stream, true);
        each_frame(line, |frame| {
            black_box(observer.frame(frame.frame()).is_ok());
        });
        assert!(observer.end().is_ok(), "the stream is whole");
        return;
    }
    let mut decoder = dispatch::decoder(provider, Operation::Chat, Delivery::Stream);
    let mut encoder = dispatch::encoder(client, Operation::Chat, Delivery::Stream, context());
    let (mut events, mut out) = (Vec::new(), BytesMut::new());
    each_frame(line, |frame| {
        events.clear();
        assert!(decoder.frame(frame.frame(), &mut events).is_ok(), "the stream is sound");
        out.clear();
        events.iter().for_each(|event| encoder.event(event, &mut out));
        black_box(&out);
    });
    assert!(decoder.end(&mut events).is_ok(), "the stream is whole");
    encoder.finish(&mut out);
    black_box(out);
}

fn each_frame(line: &Line, mut take: impl FnMut(&RawFrame)) {
    let mut framer = Framer::new(dispatch::framing(line.provider, Delivery::Stream), FRAME_LIMIT);
    for start in (0..line.content.len()).step_by(READ) {
        framer.push(line.content.slice(start..line.content.len().min(start + READ)));
        while let Ok(Some(frame)) = framer.next() {
            if frame.has_data() {
                take(&frame);
            }
        }
    }
}

fn context() -> EncodeContext {
    EncodeContext {
        request_id: RequestId::from_bits(7),
        created: 0,
        model: MODEL.to_owned(),
        stream_usage: true,
        encoding: VectorEncoding::Float,
        embedding_form: Default::default(),
        echo: None,
    }
}
