//! The drill as a user runs it: the binary on its sample configuration, on one that cannot survive, and as documented.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};
use trunkline_sim::Fault;

fn trunkline(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .output()
        .expect("the binary was built for this test")
}

fn findings(output: &Output) -> Value {
    let stdout = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&stdout).unwrap_or_else(|error| {
        panic!("{error}: {stdout}\n{}", String::from_utf8_lossy(&output.stderr));
    })
}

fn not_survived(findings: &Value) -> Vec<String> {
    let cells = findings["cells"].as_array().expect("findings hold cells");
    let lost = cells.iter().filter(|cell| cell["verdict"] == "not_survived");
    lost.map(|cell| {
        let word = |name: &str| cell[name].as_str().unwrap_or_default().to_owned();
        let what = ["route", "endpoint", "delivery", "fault", "reason"].map(word);
        format!("{} {:?}", what.join(" "), cell["attempts"])
    })
    .collect()
}

/// The names of faults without their parameters, which a drill scales.
fn name(fault: &str) -> String {
    fault.split('=').next().unwrap_or_default().to_owned()
}

#[test]
fn every_fault_is_survived_or_visible_on_every_endpoint_streamed_and_plain() {
    let folder = tempfile::tempdir().unwrap();
    let output = trunkline(folder.path(), &["drill", "--json"]);
    let findings = findings(&output);
    assert_eq!(not_survived(&findings), Vec::<String>::new());
    assert_eq!(output.status.code(), Some(0));

    let mut played: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let mut struck = BTreeSet::new();
    for cell in findings["cells"].as_array().unwrap() {
        let word = |name: &str| cell[name].as_str().unwrap().to_owned();
        played.entry((word("endpoint"), word("delivery"))).or_default().insert(name(&word("fault")));
        struck.insert(word("struck"));
    }
    let kinds: Vec<String> =
        played.keys().map(|(endpoint, delivery)| format!("{endpoint} {delivery}")).collect();
    insta::assert_snapshot!(kinds.join("\n"), @r"
    /v1/audio/speech stream
    /v1/audio/speech (events) stream
    /v1/audio/transcriptions plain
    /v1/audio/transcriptions stream
    /v1/audio/translations plain
    /v1/chat/completions plain
    /v1/chat/completions stream
    /v1/completions plain
    /v1/completions stream
    /v1/embeddings plain
    /v1/images/edits plain
    /v1/images/generations plain
    /v1/images/generations stream
    /v1/images/variations plain
    /v1/messages plain
    /v1/messages stream
    /v1/messages/count_tokens plain
    /v1/moderations plain
    /v1/responses plain
    /v1/responses stream
    /v1beta/models/{model}:batchEmbedContents plain
    /v1beta/models/{model}:countTokens plain
    /v1beta/models/{model}:embedContent plain
    /v1beta/models/{model}:generateContent plain
    /v1beta/models/{model}:generateContent stream
    /v1beta/models/{model}:streamGenerateContent stream
    /v2/rerank plain
    ");
    let catalogue: BTreeSet<String> = Fault::ALL.iter().map(|fault| fault.name().to_owned()).collect();
    for (kind, mut faults) in played {
        if kind.0 == "/v1/audio/speech" {
            // Bare sound has no events to be wrong in.
            let events =
                ["malformed-event", "malformed-first-event", "quota-before-first-token", "quota-mid-stream"];
            assert!(events.iter().all(|fault| faults.insert((*fault).to_owned())), "{faults:?}");
        }
        assert_eq!(faults, catalogue, "{kind:?}");
    }
    for provider in ["openai", "anthropic", "gemini", "cohere"] {
        assert!(struck.contains(provider), "{provider} was never hit: {struck:?}");
    }
}

#[test]
fn the_demo_s_configuration_survives() {
    let folder = tempfile::tempdir().unwrap();
    let printed = trunkline(folder.path(), &["demo", "--print-config"]);
    assert!(printed.status.success());
    std::fs::write(folder.path().join("demo.yaml"), printed.stdout).unwrap();
    let output = trunkline(folder.path(), &["drill", "--config", "demo.yaml", "--json"]);
    assert_eq!(not_survived(&findings(&output)), Vec::<String>::new());
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_route_with_one_deployment_does_not_survive() {
    let folder = tempfile::tempdir().unwrap();
    let text = "providers: { openai: { key: \"${OPENAI_API_KEY}\" } }\n\
                routes: { only: { tiers: { main: { deployments: [openai/gpt-5-mini] } } } }\n";
    std::fs::write(folder.path().join("single.yaml"), text).unwrap();
    let faults = [
        "--fault",
        "unauthorized",
        "--fault",
        "server-error",
        "--fault",
        "bad-request",
        "--fault",
        "slow-tokens",
    ];
    let arguments = [&["drill", "--config", "single.yaml"][..], &faults[..]].concat();

    let output = trunkline(folder.path(), &arguments);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    assert!(stdout.contains("NOT SURVIVED: the fault hits every deployment of the route"), "{stdout}");

    let output = trunkline(folder.path(), &[&arguments[..], &["--json"][..]].concat());
    let findings = findings(&output);
    // What is only slow is answered, what is the caller's own fault is told; the rest would have needed somewhere to go,
    // but for counts of tokens, which an estimate stands in for.
    insta::assert_json_snapshot!(findings["summary"], @r#"
    {
      "cells": 52,
      "survived": 17,
      "visible": 13,
      "not_survived": 22
    }
    "#);
}

#[test]
fn one_account_s_trouble_is_not_the_other_s() {
    let folder = tempfile::tempdir().unwrap();
    let text = "providers: { openai: { key: \"${OPENAI_API_KEY}\" } }\n\
                deployments:\n\
                \x20 first: { model: openai/gpt-5-mini, key: \"${FIRST_KEY}\" }\n\
                \x20 second: { model: openai/gpt-5-mini, key: \"${SECOND_KEY}\" }\n\
                routes: { both: { tiers: { main: { deployments: [first, second], balance: weighted } } } }\n";
    std::fs::write(folder.path().join("two.yaml"), text).unwrap();
    let survived = |fault: &str| {
        let output = trunkline(folder.path(), &["drill", "--config", "two.yaml", "--json", "--fault", fault]);
        not_survived(&findings(&output)).is_empty()
    };
    assert!(survived("quota-exhausted"));
    assert!(!survived("unavailable"));
}

#[test]
fn wrong_options_are_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let told = |arguments: &[&str]| {
        let output = trunkline(folder.path(), arguments);
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    insta::assert_snapshot!(told(&["drill", "--route", "nowhere"]), @"error: there is no route `nowhere`; there are auto, hearing, judging, ordering, pictures, search, speaking, support, vectors, writing");
    insta::assert_snapshot!(told(&["drill", "--patience", "10ms"]), @"error: --patience must be at least 500 ms");
    assert!(told(&["drill", "--fault", "nonsense"]).contains("know the fault `nonsense`"));
}

#[test]
fn the_documented_commands_work() {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/drill.md")).unwrap();
    let commands: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert!(commands.len() >= 4, "{commands:?}");
    let folder = tempfile::tempdir().unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_trunkline")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
    for command in commands {
        // The whole catalogue is played by another test.
        let whole = !command.contains("--fault") && !command.contains("--print-sample");
        let command =
            if whole { command.replacen("drill", "drill --fault stall", 1) } else { command.to_owned() };
        let output = Command::new("sh")
            .args(["-c", &command])
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", &path)
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
