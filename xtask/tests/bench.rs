//! The parts of the benchmark as processes: upstream, pass-through and load generator find each other and agree.
//!
//! Nothing here is timed: what is checked is that every request and every chunk arrives, plain and streamed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

struct Part(Child);

impl Drop for Part {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn spawn(arguments: &[&str]) -> Part {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("bench-part").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    Part(command.spawn().unwrap())
}

/// Starts a part that listens and returns its address.
fn listening(arguments: &[&str]) -> (Part, String) {
    let mut part = spawn(arguments);
    let mut line = String::new();
    BufReader::new(part.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening ").unwrap().to_owned();
    (part, address)
}

fn load(address: &str, stream_marks: Option<u64>) -> Value {
    let plan = json!({
        "address": address,
        "key": "",
        "model": "bench-model",
        "size": 10_240,
        "turns": 1,
        "stream_marks": stream_marks,
        "connections": 4,
        "rhythm": { "Count": 40 },
        "warm_up": { "secs": 0, "nanos": 0 },
        "duration": { "secs": 0, "nanos": 0 },
    });
    let mut part = spawn(&["load"]);
    part.0.stdin.take().unwrap().write_all(plan.to_string().as_bytes()).unwrap();
    serde_json::from_reader(part.0.stdout.take().unwrap()).unwrap()
}

fn expect_all(address: &str) {
    let plain = load(address, None);
    assert_eq!((&plain["requests"], &plain["errors"]), (&json!(40), &json!(0)), "{plain}");
    let streamed = load(address, Some(100));
    assert_eq!((&streamed["requests"], &streamed["marks"]), (&json!(40), &json!(4000)), "{streamed}");
    assert_eq!(streamed["first_token"]["count"], 40);
}

#[test]
fn every_request_and_chunk_arrives_directly_and_through_both_floors() {
    let (_upstream, upstream) = listening(&["mock"]);
    expect_all(&upstream);
    for reading in ["nothing", "model-and-usage"] {
        let (_floor, floor) = listening(&["floor", "--upstream", &upstream, "--reading", reading]);
        expect_all(&floor);
    }
}

#[test]
fn an_answer_that_is_not_what_was_asked_for_is_an_error() {
    let (_upstream, upstream) = listening(&["mock"]);
    let report = load(&upstream, Some(99));
    assert_eq!((&report["requests"], &report["errors"]), (&json!(0), &json!(40)), "{report}");
    assert!(
        report["first_error"].as_str().unwrap().starts_with("100 of 99 pieces of content arrived"),
        "{report}"
    );
}

#[test]
fn a_part_ends_with_the_process_that_started_it() {
    let (mut upstream, _) = listening(&["mock"]);
    drop(upstream.0.stdin.take());
    assert!(upstream.0.wait().unwrap().success());
}
