//! A golden data set against simulators, with a planted wrong answer.

use crate::support::{model, provider, simulator};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;
use trunkline_sim::{DialectName, Fault, Simulator};

struct Bench {
    folder: TempDir,
    first: Simulator,
    second: Simulator,
}

const CHEAP: &str = "first/gpt-4.1-mini";

impl Bench {
    async fn new(rows: &[Value]) -> Self {
        let first = simulator(DialectName::OpenAi).await;
        let second = simulator(DialectName::Anthropic).await;
        let configuration = format!(
            "listen: 127.0.0.1:0\nstore: memory\nproviders:\n{}{}routes:\n  main: {{ tiers: {{ one: {{ deployments: [second/{}] }} }} }}\n",
            provider("first", DialectName::OpenAi, &first.base_url()),
            provider("second", DialectName::Anthropic, &second.base_url()),
            model(DialectName::Anthropic)
        );
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("trunkline.yaml"), configuration).unwrap();
        let lines: Vec<String> = rows.iter().map(ToString::to_string).collect();
        std::fs::write(folder.path().join("golden.jsonl"), lines.join("\n")).unwrap();
        Self { folder, first, second }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
        command.current_dir(self.folder.path());
        command.args(["eval", "--json", "--config", "trunkline.yaml", "--data", "golden.jsonl"]);
        command.args(arguments).output().unwrap()
    }

    fn found(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let output = self.run(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {told}"));
        (output.status.code(), value)
    }
}

/// Ten questions that the simulators answer by repeating them; the expectation of the seventh is wrong.
fn golden() -> Vec<Value> {
    (0..10)
        .map(|number| {
            let expected = if number == 6 { "something else".to_owned() } else { format!("city {number}") };
            json!({"id": format!("q{number}"), "input": format!("city {number} [[sim: echo]]"), "expected": expected,
                   "checks": ["exact", {"regex": "^(city|something)"}]})
        })
        .collect()
}

fn exists(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.len() > 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_wrong_answer_is_found_and_fails_the_job() {
    let bench = Bench::new(&golden()).await;
    let html = bench.path("eval.html");
    let arguments =
        ["--target", CHEAP, "--target", "main", "--min-quality", "0.9", "--html", html.to_str().unwrap()];
    let (code, found) = bench.found(&arguments);
    assert_eq!(code, Some(0), "{found:#}");
    for (target, name) in found["targets"].as_array().unwrap().iter().zip([CHEAP, "main"]) {
        assert_eq!(
            (&target["target"], &target["asked"], &target["errors"]),
            (&name.into(), &10.into(), &0.into())
        );
        // Nine of ten pass; the tenth still passes its second check.
        assert!((target["passed"]["value"].as_f64().unwrap() - 0.9).abs() < 1e-9, "{target:#}");
        assert!((target["quality"]["value"].as_f64().unwrap() - 0.95).abs() < 1e-9);
        assert!(target["spent_usd"].as_f64().unwrap() > 0.0 && target["unknown_cost"] == 0, "{target:#}");
    }
    assert_eq!(found["targets"][1]["against_first"]["value"], 0.0);
    let failed: Vec<&Value> = found["outcomes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|outcome| outcome["grade"]["passed"] == false)
        .collect();
    assert!(failed.len() == 2 && failed.iter().all(|outcome| outcome["of"]["row"] == "q6"), "{failed:#?}");
    assert!(exists(&html));
    let (code, found) = bench.found(&["--target", CHEAP, "--min-passed", "0.95"]);
    assert_eq!((code, found["missed"].as_array().unwrap().len()), (Some(1), 1));
    assert_eq!(bench.first.requests().len(), 20, "ten rows, asked twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capped_run_stops_in_time_and_is_taken_up_again() {
    let bench = Bench::new(&golden()).await;
    let plan = bench.found(&["--target", CHEAP, "--max-output-tokens", "50", "--dry-run"]).1;
    let worst = plan["worst_usd"].as_f64().unwrap();
    assert_eq!((plan["requests"].as_u64(), bench.first.requests().len()), (Some(10), 0));
    let cap = (worst / 3.0).to_string();
    let common = ["--target", CHEAP, "--max-output-tokens", "50", "--state", "state.jsonl", "--jobs", "1"];
    let (code, found) = bench.found(&[&common[..], &["--max-spend", "0.000001"]].concat());
    assert_eq!((code, found["left"].as_u64()), (Some(1), Some(10)), "nothing may start: {found:#}");
    let (_, found) = bench.found(&[&common[..], &["--max-spend", &cap]].concat());
    assert!(found["targets"][0]["spent_usd"].as_f64().unwrap() <= worst / 3.0);
    let asked = bench.first.requests().len();
    let (code, found) = bench.found(&common);
    assert_eq!(
        (code, found["left"].as_u64(), found["targets"][0]["asked"].as_u64()),
        (Some(0), Some(0), Some(10))
    );
    assert_eq!(found["resumed"].as_u64(), Some(asked as u64));
    assert_eq!(bench.first.requests().len(), 10, "nothing is paid for twice");
    let (_, again) = bench.found(&common);
    assert_eq!((again["resumed"].as_u64(), bench.first.requests().len()), (Some(10), 10));
    // What was found out can be trained on, without asking anybody.
    let (_, taught) = bench.found(&[&common[..], &["--labels", "rows.jsonl"]].concat());
    let rows = std::fs::read_to_string(bench.path("rows.jsonl")).unwrap();
    assert_eq!((taught["resumed"].as_u64(), rows.lines().count()), (Some(10), 10));
    let row: Value = serde_json::from_str(rows.lines().next().unwrap()).unwrap();
    assert!(row["models"][CHEAP]["score"].is_number() && row["models"][CHEAP]["cost"].is_number(), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_count_against_the_target_and_are_asked_again() {
    let bench = Bench::new(&golden()[..3]).await;
    bench.first.fail_with(Fault::ServerError);
    let common = ["--target", CHEAP, "--state", "state.jsonl"];
    let (code, found) = bench.found(&[&common[..], &["--min-quality", "0.5"]].concat());
    assert_eq!((code, &found["targets"][0]["errors"]), (Some(1), &3.into()), "{found:#}");
    assert!(found["outcomes"][0]["error"].as_str().unwrap().contains("upstream_failed"), "{found:#}");
    bench.first.heal();
    let (_, found) = bench.found(&common);
    assert_eq!((&found["targets"][0]["errors"], found["resumed"].as_u64()), (&0.into(), Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn judges_are_asked_and_paid_for() {
    let rows = [json!({"input": "Hello [[sim: echo]]", "checks": [{"judge": "Is it polite?"}]})];
    let bench = Bench::new(&rows).await;
    let (_, found) = bench.found(&["--target", CHEAP, "--judge", "main"]);
    assert_eq!((bench.first.requests().len(), bench.second.requests().len()), (1, 1));
    let outcome = &found["outcomes"][0];
    assert!(outcome["judge_cost_usd"].as_f64().unwrap() > 0.0, "{outcome:#}");
    // A simulator is no judge; what it says is no judgement, and that is said instead of a score made up.
    let why = outcome["grade"]["checks"][0]["why"].as_str().unwrap();
    assert!(why.starts_with("not judged: "), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told_before_anything_is_sent() {
    let bench =
        Bench::new(&[json!({"input": "x", "expected": "y"}), json!({"input": "x", "chekcs": []})]).await;
    let told = |arguments: &[&str]| {
        let output = bench.run(arguments);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let wrong = told(&["--target", CHEAP]);
    assert!(
        wrong.contains("golden.jsonl:2: `chekcs`: there is no such field; did you mean `checks`?"),
        "{wrong}"
    );
    std::fs::write(bench.path("golden.jsonl"), "{\"input\": \"x\", \"expected\": \"y\"}").unwrap();
    assert!(told(&["--target", "nobody"]).contains("there is no route, deployment or model `nobody`"));
    assert!(bench.first.requests().is_empty());
}
