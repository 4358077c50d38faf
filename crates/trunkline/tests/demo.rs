//! The demo from outside: the real binary, a short run, its summary.
//!
//! Owns what a newcomer relies on: no key, no file, every request answered although providers fail, and a summary that says so.

use std::process::{Command, Output};

/// Runs the demo in an empty folder without any provider's key, so that nothing can lean on either.
fn demo(arguments: &[&str]) -> (Output, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .arg("demo")
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .output()
        .expect("the binary starts");
    (output, folder)
}

/// The number behind a label of the summary.
fn figure(summary: &str, label: &str) -> u64 {
    let line = summary.lines().find_map(|line| line.trim_start().strip_prefix(label));
    let line = line.unwrap_or_else(|| panic!("no `{label}` in:\n{summary}"));
    let number = line.split_whitespace().next().and_then(|word| word.parse().ok());
    number.unwrap_or_else(|| panic!("no number behind `{label}` in:\n{summary}"))
}

#[test]
fn every_request_of_a_short_run_is_answered_and_accounted_for_while_providers_fail() {
    let (output, folder) = demo(&["--seconds", "6", "--rate", "12", "--listen", "127.0.0.1:0"]);
    let text = String::from_utf8(output.stdout).expect("text");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    let sent = figure(&text, "requests sent");
    assert!(sent > 0);
    assert_eq!(figure(&text, "answered whole"), sent);
    assert_eq!(figure(&text, "client errors"), 0);
    assert_eq!(figure(&text, "accounted for"), sent);
    assert!(figure(&text, "failed over") > 0, "{text}");
    assert!(figure(&text, "upstream calls") > sent, "{text}");
    // Simple prompts go cheap, hard ones strong, a cascade escalates, and the steps say why.
    let sent_escalating = figure(&text, "escalated");
    assert!(sent_escalating > 0, "{text}");
    let assist = text.lines().find(|line| line.trim_start().starts_with("route assist")).expect("the route");
    for part in ["cheap", "by use-1", "strong", "by complexity-0", "escalated"] {
        assert!(assist.contains(part), "{assist}");
    }
    for (kind, told) in [
        ("why simple", ["complexity-0: no answer, the prompt is not hard enough", "use-1: chose cheap"]),
        ("why hard", ["complexity-0: chose strong", "hard from 0.30"]),
        ("why escalated", ["use-1: chose cheap", "cascade: the cheap answer was found wanting, not_refusal"]),
    ] {
        let story = text.split_once(kind).unwrap_or_else(|| panic!("no `{kind}` in:\n{text}")).1;
        let story = story.split("\n  why ").next().expect("a part");
        assert!(told.iter().all(|told| story.contains(told)), "{kind}:\n{text}");
    }
    assert!(text.contains("/v1/explain --json"), "{text}");
    for deployment in ["sim-openai/gpt-5-mini", "sim-gemini/", "sim-edge/", "sim-anthropic/", "embed-us"] {
        let row = text.lines().find(|line| line.trim_start().starts_with(deployment)).expect("a row");
        let columns: Vec<&str> = row.split_whitespace().collect();
        let count = |position: usize| -> u64 { columns[position].parse().expect("a number") };
        assert!(count(1) > count(2), "some calls succeed: {row}");
    }
    assert!(text.contains("simulated"), "{text}");
    let left = std::fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!(left, 0, "no file is left behind");
}

#[test]
fn the_printed_configuration_passes_the_check() {
    let (output, folder) = demo(&["--print-config"]);
    assert!(output.status.success());
    let file = folder.path().join("demo.yaml");
    std::fs::write(&file, &output.stdout).expect("written");
    let check = Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .arg("check")
        .arg(&file)
        .output()
        .expect("the binary starts");
    let text = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success(), "{text}");
    assert!(text.contains("is valid"), "{text}");
    assert!(!String::from_utf8_lossy(&check.stderr).contains("warning"), "{text}");
}
