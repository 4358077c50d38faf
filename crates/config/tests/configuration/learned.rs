//! Learned steps: what loads, and how a step or a file that cannot work is named.

use crate::support::{errors, load_one, loaded};
use insta::assert_snapshot;
use trunkline_route::learned::{
    Artefact, Calibration, DataFacts, EmbedderFacts, FORMAT, FORMAT_NAME, GuardFacts, HASHED, Head, Kind,
    LEXICAL, Numbers, TrainingMetrics,
};
use trunkline_route::steps::StepKind;

/// A router that predicts 0.5 for the one model and 0.7 for the other, whatever it is asked.
pub(crate) fn small_router() -> Artefact {
    let models = ["openai/gpt-5-mini", "openai/gpt-5"].map(str::to_owned).to_vec();
    let zeros = |features: usize| Numbers(vec![0.0; features * models.len()]);
    Artefact {
        format: FORMAT_NAME.to_owned(),
        version: FORMAT,
        kind: Kind::Quality,
        created: "2026-11-21T00:00:00Z".to_owned(),
        data: DataFacts { fingerprint: "00".to_owned(), rows: 2, source: "a test".to_owned() },
        features: LEXICAL.map(str::to_owned).to_vec(),
        embedder: EmbedderFacts::bundled(),
        encoder: None,
        metrics: TrainingMetrics::default(),
        head: Head {
            lexical_mean: vec![0.0; LEXICAL.len()],
            lexical_factor: vec![1.0; LEXICAL.len()],
            intercepts: vec![0.5, 0.7],
            lexical: zeros(LEXICAL.len()),
            vector: zeros(256),
            hashed: zeros(HASHED),
            encoded: Numbers::default(),
        },
        models,
        neighbours: None,
        guard: GuardFacts {
            lexical_low: vec![-9.0; LEXICAL.len()],
            lexical_high: vec![99.0; LEXICAL.len()],
            ..GuardFacts::default()
        },
        calibration: Calibration {
            predicted: Numbers(vec![0.5, 0.7, 0.4, 0.5]),
            actual: Numbers(vec![0.0, 1.0, 1.0, 1.0]),
            lengths: Numbers(vec![10.0, 20.0]),
        },
    }
}

/// The same, needing the vectors of an encoder.
pub(crate) fn encoded_router() -> Artefact {
    let with_encoder =
        "providers: { openai: {} }\nencoders: { big: { deployment: openai/text-embedding-3-small } }\n";
    let snapshot = load_one(with_encoder).expect("it loads").snapshot;
    let encoder = snapshot.encoders.first().expect("the encoder");
    let mut artefact = small_router();
    artefact.encoder =
        Some(EmbedderFacts { name: "big".to_owned(), dimensions: 3, fingerprint: encoder.fingerprint() });
    artefact.head.encoded = Numbers(vec![0.0; 3 * artefact.models.len()]);
    artefact
}

fn with_step(file: &str, step: &str) -> String {
    format!(
        "providers: {{ openai: {{}}, edge: {{ preset: openai-compatible, url: \"http://10.0.0.5/v1\", models: [x] }} }}\n\
         learned: {{ quality: {{ file: {file} }} }}\n\
         routes:\n  support:\n    tiers:\n      cheap: {{ deployments: [openai/gpt-5-mini] }}\n      strong: {{ deployments: [openai/gpt-5] }}\n      own: {{ deployments: [edge/x] }}\n    decide:\n      - {step}\n      - {{ use: own }}\n"
    )
}

#[test]
fn a_learned_step_compiles_and_its_file_is_part_of_the_version() {
    let step = "{ learned: quality, cheap: cheap, strong: strong, strong_share: 0.2, daily_spend: 20, on_unknown: strong }";
    let snapshot = loaded(&with_step("small.json", step)).snapshot;
    assert_eq!(snapshot.files, ["small.json"]);
    let route = snapshot.routes.find("support").expect("the route");
    let StepKind::Custom(step) = &route.steps()[0].kind else { panic!("{:?}", route.steps()[0]) };
    assert_eq!(step.name(), "learned");
}

#[test]
fn files_that_cannot_be_used_say_why() {
    let step = "{ learned: quality, cheap: cheap, strong: strong, strong_share: 0.2 }";
    let shown: Vec<String> = ["missing.json", "older.json", "other.json", "cut.json", "\"\""]
        .map(|file| errors(&with_step(file, step)))
        .to_vec();
    assert_snapshot!("learned_files", shown.join("\n"));
}

#[test]
fn a_router_gets_the_encoder_that_it_was_trained_with_or_none() {
    let with = |learned: &str, route: &str| {
        let encoders = "encoders:\n  big: { deployment: openai/text-embedding-3-small, timeout: 200ms }\n  \
                        larger: { deployment: openai/text-embedding-3-large }\n";
        format!(
            "providers: {{ openai: {{}} }}\n{encoders}learned: {{ quality: {{ {learned} }} }}\nroutes:\n  support:\n    {route}tiers:\n      \
             cheap: {{ deployments: [openai/gpt-5-mini] }}\n      strong: {{ deployments: [openai/gpt-5] }}\n    decide:\n      \
             - {{ learned: quality, cheap: cheap, strong: strong, strong_share: 0.2 }}\n      - {{ use: cheap }}\n"
        )
    };
    let only = |text: &str| text.replace("  larger: { deployment: openai/text-embedding-3-large }\n", "");
    let snapshot = loaded(&only(&with("file: encoded.json, encoder: big", ""))).snapshot;
    assert_eq!(snapshot.encoders.len(), 1);
    let shown = [
        errors(&with("file: encoded.json", "")),
        errors(&with("file: encoded.json, encoder: larger", "")),
        errors(&with("file: encoded.json, encoder: bigg", "")),
        errors(&with("file: small.json, encoder: big", "")),
        // The model's provider keeps nothing, the encoder's is not known to.
        errors(
            &with("file: encoded.json, encoder: big", "require: [zdr]\n    ")
                .replace("openai: {}", "openai: {}, own: { preset: openai, key: k, data: { zdr: true } }")
                .replace("[openai/gpt-5", "[own/gpt-5"),
        ),
    ];
    assert_snapshot!("learned_encoders", shown.join("\n"));
}

#[test]
fn complexity_can_be_scored_by_a_router() {
    let with = |settings: &str| {
        with_step("small.json", &format!("{{ complexity: {{ above: 0.8, use: strong{settings} }} }}"))
    };
    let snapshot = loaded(&with(", below: cheap, router: quality")).snapshot;
    let route = snapshot.routes.find("support").expect("the route");
    assert_eq!(&*route.steps()[0].name, "complexity-0");
    let shown = [
        errors(&with(", router: quality")),
        errors(&with(", below: cheap, router: qualty")),
        errors(&with(", below: cheap, router: quality, by: length")),
        errors(&with(", below: own, router: quality")),
    ];
    assert_snapshot!("complexity_by_a_router", shown.join("\n"));
}

#[test]
fn steps_that_cannot_work_say_why() {
    let steps = [
        "{ learned: qualty, cheap: cheap, strong: strong, strong_share: 0.2 }",
        "{ learned: quality, cheap: cheap, strong: strong }",
        "{ learned: quality, cheap: cheap, strong: strong, strong_share: 20 }",
        "{ learned: quality, cheap: cheap, strong: strong, quality_within: -0.1 }",
        "{ learned: quality, cheap: cheap, strong: strong, strong_share: 0.2, quality_within: 0.1 }",
        "{ learned: quality, cheap: cheap, strong: stong, strong_share: 0.2 }",
        "{ learned: quality, cheap: cheap, strong_share: 0.2 }",
        "{ learned: quality, cheap: cheap, strong: cheap, strong_share: 0.2 }",
        "{ learned: quality, strong_share: 0.2 }",
        "{ learned: quality }",
        "{ learned: quality, cheap: cheap, strong: own, strong_share: 0.2 }",
        "{ learned: quality, lambda: 5, on_unknown: own }",
        "{ learned: quality, cheap: cheap, strong: strong, lambda: -5 }",
        "{ learned: quality, cheap: cheap, strong: strong, strong_share: 0.2, on_unknown: lenght }",
        "{ learned: quality, cheap: cheap, strong: strong, daily_spend: 0 }",
        "{ use: cheap, strong_share: 0.2 }",
        "{ learned: quality, use: cheap }",
    ];
    let shown: Vec<String> = steps.map(|step| errors(&with_step("small.json", step))).to_vec();
    assert_snapshot!("learned_steps", shown.join("\n"));
}
