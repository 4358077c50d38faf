//! Learning from one's own requests on the real binary: prompts kept, scores given, a router trained and put in force without a
//! restart; examples gathered from labels.

use crate::support::{Face, Gateway, eventually, provider, simulator};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use trunkline_sim::{DialectName, Simulator};

const TIERS: &str = "    tiers:
      cheap: { deployments: [models/gpt-4.1-mini] }
      strong: { deployments: [models/gpt-4.1] }
";
const BY_LENGTH: &str =
    "    decide: [{ when: \"request.max_output_tokens > 100\", use: strong }, { use: cheap }]\n";

struct Scene {
    gateway: Gateway,
    models: Simulator,
}

impl Scene {
    async fn new(route: &str) -> Self {
        let models = simulator(DialectName::OpenAi).await;
        let gateway = Gateway::start(&configuration(&models, "", route)).await;
        Self { gateway, models }
    }

    /// Asks and returns the decision's id.
    async fn ask(&self, text: &str, strong: bool) -> String {
        let mut body = Face::OpenAi.value("main", text, false);
        body["max_tokens"] = json!(if strong { 200 } else { 50 });
        let answer = self.gateway.post(Face::OpenAi.path(), body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-trunkline-tier"), if strong { "strong" } else { "cheap" });
        answer.header("x-trunkline-decision").to_owned()
    }

    async fn say(&self, body: Value) {
        let answer = self.gateway.post("/v1/feedback", body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    async fn decided(&self, text: &str) -> Value {
        let body = json!({ "model": "main", "messages": [{ "role": "user", "content": text }] });
        let answer = self.gateway.post("/v1/explain", body.to_string()).await;
        serde_json::from_str(answer.text()).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.gateway.configuration().with_file_name(name)
    }

    fn trunkline(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_trunkline"))
            .args(arguments)
            .current_dir(self.gateway.configuration().parent().unwrap())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.success(), text)
    }
}

fn configuration(models: &Simulator, top: &str, route: &str) -> String {
    let providers = provider("models", DialectName::OpenAi, &models.base_url());
    format!("providers:\n{providers}{top}routes:\n  main:\n{TIERS}{route}")
}

const HARD: [&str; 4] = [
    "Prove the theorem about",
    "Derive the bound on",
    "Integrate the function of",
    "Factor the polynomial in",
];
const EASY: [&str; 4] = ["Name the colour of", "Say hello to", "Spell the name of", "Describe the taste of"];
const WHAT: [&str; 7] = ["apples", "prime numbers", "rivers", "graphs", "old houses", "light", "bread"];

#[tokio::test(flavor = "multi_thread")]
async fn a_router_learns_from_feedback_and_is_in_force_without_a_restart() {
    let mut scene = Scene::new(&format!("{BY_LENGTH}    learn: {{ keep: vectors }}\n")).await;
    for number in 0..56usize {
        let hard = number % 2 == 0;
        let start = if hard { HARD } else { EASY }[number / 2 % 4];
        let text = format!("{start} {} and {}", WHAT[number % 7], WHAT[number / 7 % 7]);
        let cheap = scene.ask(&text, false).await;
        scene.say(json!({"decision": cheap, "label": if hard { "bad" } else { "good" }})).await;
        let strong = scene.ask(&text, true).await;
        scene.say(json!({"decision": strong, "score": 0.95})).await;
    }
    let database = scene.gateway.database();
    let stored = std::fs::read(trunkline_store::learning_file(&database)).unwrap();
    assert!(!stored.windows(7).any(|window| window == b"theorem"), "no text is kept");
    let (trained, output) =
        scene.trunkline(&["train", "--from-log", "--database", "log.db", "--route", "main"]);
    assert!(trained && output.contains("112 scored requests") && !output.contains("warning"), "{output}");
    assert!(output.contains("better than random") && !output.contains("NOT better"), "{output}");
    let learned = "    decide: [{ learned: quality, cheap: cheap, strong: strong, strong_share: 0.5 }, { use: cheap }]\n    \
                   learn: { keep: vectors }\n";
    let top = "learned: { quality: { file: quality.router.json } }\n";
    scene.gateway.configure(&configuration(&scene.models, top, learned));
    scene.gateway.logged("the configuration was reloaded").await;
    let (hard, easy) = ("Derive the bound on bread and rivers", "Say hello to old houses and light");
    assert_eq!(scene.decided(hard).await["tier"], "strong");
    assert_eq!(scene.decided(easy).await["tier"], "cheap");
    // The other way round, in place of the file that the running server reads.
    let mut turned = String::new();
    for number in 0..80usize {
        let hard = number % 2 == 0;
        let start = if hard { HARD } else { EASY }[number / 2 % 4];
        let prompt = format!("{start} {} and {}", WHAT[number % 7], WHAT[number / 7 % 7]);
        let models = json!({"models/gpt-4.1-mini": u8::from(hard), "models/gpt-4.1": 1});
        turned += &format!("{}\n", json!({"prompt": prompt, "models": models}));
    }
    std::fs::write(scene.file("turned.jsonl"), turned).unwrap();
    let (trained, output) = scene.trunkline(&["train", "--data", "turned.jsonl", "--force", "for the test"]);
    assert!(trained, "{output}");
    eventually("the new router", async || {
        (scene.decided(easy).await["tier"] == "strong" && scene.decided(hard).await["tier"] == "cheap")
            .then_some(())
    })
    .await;
    // Both together go through the same judgement.
    let (_, output) =
        scene.trunkline(&["train", "--data", "turned.jsonl", "--from-log", "--database", "log.db", "--json"]);
    let told: Value =
        serde_json::from_str(&output[output.find('{').unwrap()..output.rfind('}').unwrap() + 1]).unwrap();
    assert_eq!((&told["log"]["scored"], told["data"]["rows"].as_u64()), (&json!(112), Some(133)), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_lacks_is_said_with_the_setting_that_gives_it() {
    let scene = Scene::new(BY_LENGTH).await;
    let train = ["train", "--from-log", "--database", "log.db", "--out", "new.json"];
    let id = scene.ask("hello", false).await;
    scene.gateway.record(&id).await;
    let (trained, output) = scene.trunkline(&train);
    assert!(!trained && output.contains("none of 1 requests has a score: give feedback"), "{output}");
    scene.say(json!({"decision": id, "score": 1, "label": "greeting"})).await;
    let (trained, output) = scene.trunkline(&train);
    assert!(
        !trained && output.contains("1 scored or labelled requests of `main` have no kept prompt"),
        "{output}"
    );
    assert!(output.contains("`learn: { keep: vectors }`"), "{output}");
    let (trained, output) = scene.trunkline(&["train", "--data", "x.jsonl", "--since", "1d"]);
    assert!(!trained && output.contains("add `--from-log`"), "{output}");
    let (written, output) =
        scene.trunkline(&["feedback", "examples", "--out", "x.jsonl", "--database", "log.db"]);
    assert!(
        !written && output.contains("nothing was written") && !scene.file("x.jsonl").exists(),
        "{output}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_of_feedback_become_examples_of_a_semantic_step() {
    let mut scene = Scene::new(&format!("{BY_LENGTH}    learn: {{ keep: text }}\n")).await;
    let labelled = [
        ("billing", "why was I charged twice this month"),
        ("billing", "I want a refund for my last invoice"),
        ("billing", "can I get a receipt for my payment"),
        ("billing", "my card was declined at checkout"),
        ("billing", "which payment methods do you accept"),
        ("legal", "please review this contract clause"),
        ("legal", "is the liability limit enforceable"),
        ("legal", "draft a non-disclosure agreement"),
        ("legal", "explain the termination clause of the agreement"),
        ("legal", "does this license allow commercial use"),
    ];
    for (label, text) in labelled {
        let id = scene.ask(text, false).await;
        scene.say(json!({"decision": id, "label": label})).await;
    }
    let examples = ["feedback", "examples", "--out", "topics.jsonl", "--config", "trunkline.yaml"];
    let (written, output) = scene.trunkline(&examples);
    assert!(written && output.contains("10 examples in topics.jsonl: billing 5, legal 5"), "{output}");
    let semantic =
        "    decide: [{ semantic: topics, map: { billing: cheap, legal: strong } }, { use: cheap }]\n";
    let top = "intents: { topics: { file: topics.jsonl, examples: { billing: [how do I update my credit card] } } }\n";
    scene.gateway.configure(&configuration(&scene.models, top, semantic));
    scene.gateway.logged("the configuration was reloaded").await;
    let decided = scene.decided("is this contract clause about liability enforceable?").await;
    assert_eq!(
        (&decided["tier"], &decided["decided_by"]),
        (&json!("strong"), &json!("semantic-0")),
        "{decided}"
    );
    // The same without a file in between.
    let top = "intents: { topics: { from_log: [billing, legal] } }\n";
    let store = format!("store: sqlite:{}\n", scene.gateway.database().display());
    let text = store + &configuration(&scene.models, top, semantic);
    std::fs::write(scene.file("hoped.yaml"), text).unwrap();
    let body = Face::OpenAi.body("main", "is this contract clause about liability enforceable?", false);
    std::fs::write(scene.file("request.json"), body).unwrap();
    let (_, output) = scene.trunkline(&["explain", "request.json", "--config", "hoped.yaml", "--json"]);
    let decided: Value = serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"));
    assert_eq!(
        (&decided["tier"], &decided["decided_by"]),
        (&json!("strong"), &json!("semantic-0")),
        "{decided}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_of_the_log_are_learned_by_the_running_server() {
    let route = "    decide: [{ semantic: topics, map: { travel: strong } }, { use: cheap }]\n    learn: { keep: text }\n";
    let top = "intents:
  topics:
    from_log: [travel, billing]
    examples:
      billing: [why was I charged twice this month, I want a refund for my last invoice, can I get a receipt]
      legal: [please review this contract clause, is the liability limit enforceable, draft an agreement]
";
    let models = simulator(DialectName::OpenAi).await;
    let gateway = Gateway::start(&configuration(&models, top, route)).await;
    let scene = Scene { gateway, models };
    let wanted = "book me a hotel room near the beach";
    assert_eq!(scene.decided(wanted).await["tier"], "cheap");
    for text in [
        "book a flight to Lisbon for two",
        "which hotel near the beach has a pool",
        "I need a hotel room for three nights",
        "rent a car at the airport",
        "find a train to the mountains",
    ] {
        let id = scene.ask(text, false).await;
        scene.say(json!({"decision": id, "label": "travel"})).await;
    }
    eventually("the new label", async || (scene.decided(wanted).await["tier"] == "strong").then_some(()))
        .await;
}

const BANDIT: &str = "    decide: [{ bandit: { tiers: [cheap, strong], explore: 40%, spend_cap: 100% } }]\n";

impl Scene {
    /// Asks a route whose bandit chooses; the answer's decision.
    async fn drawn(&self, text: &str) -> Value {
        let answer = self.gateway.post(Face::OpenAi.path(), Face::OpenAi.body("main", text, false)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.gateway.get(&format!("/v1/decisions/{}", answer.id())).await.json()["decision"].clone()
    }
}

fn id(decision: &Value) -> &str {
    decision["id"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bandit_hears_feedback_and_remembers_it_over_a_restart() {
    let mut scene = Scene::new(BANDIT).await;
    let mut drawn = Vec::new();
    for _ in 0..30 {
        let decision = scene.drawn("hello").await;
        let good = decision["tier"] == "strong";
        scene.say(json!({"decision": id(&decision), "label": if good { "good" } else { "bad" }})).await;
        drawn.push(decision);
    }
    let measured = |decision: &Value, name: &str| decision["steps"][0]["measures"][name].as_f64().unwrap();
    let first = &drawn[0];
    assert!(
        (measured(first, "cheap") - 0.5).abs() < 0.2 && measured(first, "outcomes seen") == 0.0,
        "{first}"
    );
    let learned = scene.decided("hello").await;
    assert!(measured(&learned, "strong") >= 0.6, "{learned}");
    assert!(measured(&learned, "cheap quality") < 0.01, "what it was taken for is taken back: {learned}");
    assert!(
        measured(&learned, "strong quality") > 0.99 && measured(&learned, "outcomes seen") == 30.0,
        "{learned}"
    );
    // Second thoughts replace the first ones.
    let cheap = drawn.iter().find(|decision| decision["tier"] == "cheap").unwrap();
    scene.say(json!({"decision": id(cheap), "score": 1})).await;
    scene.say(json!({"decision": id(cheap), "score": 0})).await;
    let again = scene.decided("hello").await;
    assert!(measured(&again, "cheap quality") < 0.01 && measured(&again, "outcomes seen") == 30.0, "{again}");
    scene.gateway.signal("TERM");
    scene.gateway.ended().await;
    std::fs::write(scene.file("request.json"), Face::OpenAi.body("main", "hello", false)).unwrap();
    let explain = ["explain", "request.json", "--config", "trunkline.yaml", "--json"];
    let (_, offline) = scene.trunkline(&explain);
    let offline: Value = serde_json::from_str(&offline).unwrap();
    assert_eq!(
        offline["steps"][0]["measures"], again["steps"][0]["measures"],
        "the command line knows it too"
    );
    scene.gateway = scene.gateway.again().await;
    let restarted = scene.decided("hello").await;
    assert_eq!(restarted["steps"][0]["measures"], again["steps"][0]["measures"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_bandit_hears_what_is_imported() {
    let scene = Scene::new(BANDIT).await;
    let mut lines = String::new();
    for _ in 0..30 {
        let decision = scene.drawn("hello").await;
        let score = if decision["tier"] == "strong" { 1 } else { 0 };
        lines += &format!("{}\n", json!({"decision": id(&decision), "score": score}));
    }
    scene.gateway.records(30).await;
    std::fs::write(scene.file("said.jsonl"), lines).unwrap();
    let (imported, output) =
        scene.trunkline(&["feedback", "import", "said.jsonl", "--config", "trunkline.yaml"]);
    assert!(imported && output.contains("feedback on 30 requests"), "{output}");
    let heard = eventually("the bandit hears it", async || {
        let decision = scene.decided("hello").await;
        let quality = decision["steps"][0]["measures"]["cheap quality"].as_f64().unwrap();
        (quality < 0.01).then_some(decision)
    })
    .await;
    let measured = |name: &str| heard["steps"][0]["measures"][name].as_f64().unwrap();
    assert!(measured("strong quality") > 0.99 && measured("outcomes seen") == 30.0, "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_past_decision_can_be_made_again_by_server_and_command_line() {
    let scene = Scene::new(BANDIT).await;
    let mut drawn = Vec::new();
    for _ in 0..12 {
        drawn.push(scene.drawn("hello").await);
        scene.say(json!({"decision": id(drawn.last().unwrap()), "score": 0.3})).await;
    }
    let body = Face::OpenAi.body("main", "hello", false);
    std::fs::write(scene.file("request.json"), &body).unwrap();
    for past in &drawn {
        let mut request = scene.gateway.builder("/v1/explain");
        request = request.header("x-trunkline-as", id(past));
        let answer =
            scene.gateway.send(request.body(http_body_util::Full::new(body.clone().into())).unwrap()).await;
        let told: Value = serde_json::from_str(answer.text()).unwrap();
        let (_, offline) = scene.trunkline(&[
            "explain",
            "request.json",
            "--config",
            "trunkline.yaml",
            "--key",
            "app",
            "--decision",
            id(past),
            "--json",
        ]);
        let offline: Value =
            serde_json::from_str(&offline).unwrap_or_else(|error| panic!("{error}: {offline}"));
        for again in [&told, &offline] {
            for part in ["id", "tier", "decided_by", "propensity", "plan", "seed", "config_version"] {
                assert_eq!(again[part], past[part], "{part} of {again}");
            }
            let measures = |decision: &Value| {
                let mut measures = decision["steps"][0]["measures"].clone();
                measures.as_object_mut().unwrap().remove("outcomes seen");
                measures
            };
            assert_eq!(measures(again), measures(past));
        }
    }
    let tiers: std::collections::BTreeSet<&str> =
        drawn.iter().map(|decision| decision["tier"].as_str().unwrap()).collect();
    assert_eq!(tiers.len(), 2, "both were drawn, or the test shows nothing");
    let (replayed, output) =
        scene.trunkline(&["replay", "--log", "log.db", "--policy", "trunkline.yaml", "--json"]);
    assert!(replayed, "{output}");
    let replayed: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(
        (&replayed["replayed"], replayed["changes"].as_array().map(Vec::len)),
        (&json!(12), Some(0)),
        "{output}"
    );
    let served = scene.gateway.builder(Face::OpenAi.path()).header("x-trunkline-as", id(&drawn[0]));
    let refused = scene.gateway.send(served.body(http_body_util::Full::new(body.into())).unwrap()).await;
    assert_eq!((refused.status, refused.error_code()), (400, "invalid_request"), "{}", refused.text());
}
