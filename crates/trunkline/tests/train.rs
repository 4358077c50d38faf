//! Training on one's own data, deciding with what came of it, and what is refused.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

fn trunkline(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("OPENAI_API_KEY", "sk-none")
        .output()
        .expect("the binary runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

const HARD: [&str; 4] = [
    "Prove the theorem about",
    "Derive the bound on",
    "Integrate the function of",
    "Factor the polynomial in",
];
const EASY: [&str; 4] = ["Name the colour of", "Say hello to", "Spell the name of", "Describe the taste of"];
const WHAT: [&str; 7] = ["apples", "prime numbers", "rivers", "graphs", "old houses", "light", "bread"];

/// Rows of which the weak model fails the hard ones; or, without a signal, any.
fn rows(has_signal: bool) -> String {
    let mut text = String::new();
    for number in 0..160usize {
        let hard = number % 5 < 2;
        let start = if hard { HARD } else { EASY }[number / 5 % 4];
        let fails = if has_signal { hard } else { number * 7_919 % 101 < 40 };
        let prompt = format!("{start} {} and {}", WHAT[number % 7], WHAT[number / 7 % 7]);
        let score = u8::from(!fails);
        writeln!(text, r#"{{"prompt": "{prompt}", "models": {{"openai/gpt-5-mini": {score}, "openai/gpt-5": {{"score": 1, "cost": 0.01}}}}}}"#)
            .expect("a string can be written to");
    }
    text
}

const CONFIGURATION: &str = "
providers: { openai: {} }
learned: { quality: { file: quality.router.json } }
routes:
  auto:
    tiers:
      cheap: { deployments: [openai/gpt-5-mini] }
      strong: { deployments: [openai/gpt-5] }
    decide:
      - { learned: quality, cheap: cheap, strong: strong, strong_share: 0.4 }
      - { use: cheap }
";

fn explained(folder: &Path, prompt: &str) -> String {
    let body = format!(r#"{{"model": "auto", "messages": [{{"role": "user", "content": "{prompt}"}}]}}"#);
    std::fs::write(folder.join("request.json"), body).expect("the request can be written");
    said(&trunkline(folder, &["explain", "request.json", "--config", "trunkline.yaml"]))
}

#[test]
fn a_router_is_trained_decides_and_is_not_replaced_by_a_worse_one() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let folder = folder.path();
    std::fs::write(folder.join("signal.jsonl"), rows(true)).expect("the data can be written");
    std::fs::write(folder.join("noise.jsonl"), rows(false)).expect("the data can be written");
    std::fs::write(folder.join("trunkline.yaml"), CONFIGURATION).expect("the configuration can be written");

    let check = trunkline(folder, &["check", "trunkline.yaml"]);
    assert!(
        !check.status.success() && said(&check).contains("failed to read `quality.router.json`"),
        "{}",
        said(&check)
    );

    let trained = trunkline(folder, &["train", "--data", "signal.jsonl"]);
    assert!(trained.status.success(), "{}", said(&trained));
    assert!(
        said(&trained)
            .contains("better than random, than its own decisions shuffled and than prompt length alone"),
        "{}",
        said(&trained)
    );
    assert!(trunkline(folder, &["check", "trunkline.yaml"]).status.success());

    let hard = explained(folder, "Derive the bound on bread and rivers");
    assert!(hard.contains("learned-0: chose `strong`") && hard.contains("reaches"), "{hard}");
    let easy = explained(folder, "Say hello to old houses and light");
    assert!(easy.contains("learned-0: chose `cheap`") && easy.contains("is below"), "{easy}");
    assert!(hard.contains("expected quality") && easy.contains("expected quality"), "{hard}\n{easy}");
    let strange = explained(folder, "What is 12 * 7 - 5 / 2 + 99?\\nA. 3\\nB. 178\\nC. 180.5\\nD. 12");
    assert!(strange.contains("not predicted, ") && strange.contains("length decides"), "{strange}");

    let before = std::fs::read(folder.join("quality.router.json")).expect("the router can be read");
    let refused = trunkline(folder, &["train", "--data", "noise.jsonl"]);
    assert!(
        !refused.status.success() && said(&refused).contains("refused: its APGR is at least"),
        "{}",
        said(&refused)
    );
    assert!(said(&refused).contains("NOT better than"), "{}", said(&refused));
    assert!(before == std::fs::read(folder.join("quality.router.json")).expect("the router can be read"));
    let forced = trunkline(folder, &["train", "--data", "noise.jsonl", "--force", "for the test"]);
    assert!(
        forced.status.success() && said(&forced).contains("the reason given: for the test"),
        "{}",
        said(&forced)
    );
    let kept = std::fs::read_to_string(folder.join("quality.router.json")).expect("the router can be read");
    assert!(kept.contains("(forced: for the test)"));
}

#[test]
fn data_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let folder = folder.path();
    std::fs::write(
        folder.join("bad.jsonl"),
        "{\"prompt\": \"p\", \"models\": {\"a\": 1}}\n{\"prompt\": \"p\"}\n",
    )
    .expect("the data can be written");
    std::fs::write(folder.join("few.jsonl"), "{\"prompt\": \"p\", \"models\": {\"a\": 1}}\n")
        .expect("the data can be written");
    let shown = |arguments: &[&str]| {
        let output = trunkline(folder, arguments);
        assert!(!output.status.success());
        said(&output)
    };
    let bad = shown(&["train", "--data", "bad.jsonl"]);
    assert!(
        bad.contains("failed to read the dataset bad.jsonl, row 2, field `models`: expected an object"),
        "{bad}"
    );
    let few = shown(&["train", "--data", "few.jsonl"]);
    assert!(few.contains("failed to train on 1 rows: at least 30 are needed"), "{few}");
    let absent = shown(&["bench-router", "--data", "nowhere"]);
    assert!(absent.contains("there is no folder nowhere"), "{absent}");
    std::fs::create_dir(folder.join("empty")).expect("a folder can be made");
    let incomplete = shown(&["bench-router", "--data", "empty"]);
    assert!(
        incomplete.contains("routellm/compact.jsonl: the benchmark's data is incomplete"),
        "{incomplete}"
    );
}
