//! Larger encoders: what they name, and every mistake with its place.

use crate::support::{errors, loaded, route, warnings};
use insta::assert_snapshot;
use trunkline_route::steps::{EncodeBy, StepKind};

const TIERS: &str =
    "tiers:\n  cheap: { deployments: [openai/gpt-5-mini] }\n  strong: { deployments: [openai/gpt-5] }\n";

/// A route that chooses by examples, with these encoders and this setting of the examples.
fn with(encoders: &str, setting: &str, demands: &str) -> String {
    let steps = "decide: [{ semantic: topics, map: { billing: cheap } }, { use: strong }]";
    let examples = "examples: { billing: [refund, invoice, receipt], legal: [contract, clause, lease] }";
    format!(
        "{}intents: {{ topics: {{ {setting}{examples} }} }}\nencoders: {{ {encoders} }}\n",
        route(&format!("{TIERS}{demands}{steps}"))
    )
}

#[test]
fn examples_name_an_encoder_and_wait_for_its_vectors() {
    let text = with(
        "big: { deployment: openai/text-embedding-3-small, dimensions: 256, timeout: 300ms, keep: 0s }",
        "encoder: big, ",
        "",
    );
    let snapshot = loaded(&text).snapshot;
    let route = snapshot.routes.find("support").unwrap();
    let StepKind::Custom(step) = &route.steps()[0].kind else { panic!("a step of its own kind") };
    let examples = step.intents().unwrap().encoded().unwrap();
    let EncodeBy::Deployment { deployment, dimensions } = examples.encoder.by else { panic!("a deployment") };
    assert_eq!(&*snapshot.fleet.deployment(deployment).id, "openai/text-embedding-3-small");
    assert_eq!((dimensions, examples.encoder.timeout.as_millis()), (Some(256), 300));
    assert_eq!((examples.texts().count(), examples.is_trained()), (6, false));
    let labels: Vec<&str> = examples.labels().iter().map(AsRef::as_ref).collect();
    assert_eq!(labels, ["billing", "legal"]);
}

#[test]
fn mistakes_are_named() {
    let big = "big: { deployment: openai/text-embedding-3-small }";
    let texts = [
        with("big: {}", "encoder: big, ", ""),
        with("big: { deployment: openai/text-embedding-3-small, folder: there }", "encoder: big, ", ""),
        with("big: { deployment: openai/text-embedding-4 }", "encoder: big, ", ""),
        with("big: { deployment: openai/gpt-5 }", "encoder: big, ", ""),
        with("big: { deployment: openai/text-embedding-3-small, dimensions: 0 }", "encoder: big, ", ""),
        with("big: { deployment: openai/text-embedding-3-small, timeout: 2m }", "encoder: big, ", ""),
        with("big: { folder: there, dimensions: 3 }", "encoder: big, ", ""),
        with(big, "encoder: bog, ", ""),
        with(big, "encoder: big, ", "require: [baa]\n"),
    ];
    assert_snapshot!(texts.map(|text| errors(&text)).join("\n"));
    assert_snapshot!("unused", warnings(&with(big, "", "")));
}

#[cfg(not(feature = "encoder"))]
#[test]
fn a_build_without_them_says_so_of_folders() {
    assert_snapshot!(errors(&with("own: { folder: models/tiny }", "encoder: own, ", "")));
}

#[cfg(feature = "encoder")]
#[test]
fn a_folder_is_loaded_and_its_files_are_watched() {
    let text = with("own: { folder: sentence/ }", "encoder: own, ", "");
    let loaded = loaded(&text);
    assert!(
        loaded.snapshot.files.contains(&"sentence/model.safetensors".to_owned()),
        "{:?}",
        loaded.snapshot.files
    );
    let route = loaded.snapshot.routes.find("support").unwrap();
    let StepKind::Custom(step) = &route.steps()[0].kind else { panic!("a step of its own kind") };
    let EncodeBy::Local(model) = &step.intents().unwrap().encoded().unwrap().encoder.by else {
        panic!("a folder")
    };
    assert_eq!(model.dimensions(), 8);
    let wrong = errors(&with("own: { folder: elsewhere }", "encoder: own, ", ""));
    assert!(wrong.contains("failed to read `config.json` of the model\'s folder"), "{wrong}");
}
