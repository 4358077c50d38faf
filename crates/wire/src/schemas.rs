//! Every request that leaves is valid by its receiver's own schema, where the receiver publishes one.
//!
//! Owns the check over all goldens and over generated requests, and the list of what is known to differ, each with its reason.
//! The schemas in `official/` are reduced from published specifications (`official/README.md`): they were not written by us,
//! which is what makes them worth asking.

use crate::codec::Encoded;
use crate::dispatch;
use crate::goldens;
use crate::testing::{chat_request, profile};
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::LazyLock;
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_model::request::Request;

/// One schema: who publishes it, the dialect it is of, and its root in the file.
struct Official {
    name: &'static str,
    dialect: Dialect,
    operation: Operation,
    validator: Validator,
}

/// Members that a schema does not have and that are sent all the same, with the reason.
const BESIDE: &[(&str, &[&str], &str)] = &[
    ("openai chat", &["top_k"], "compatible servers take it; the vendor's preset says that it does not"),
    (
        "anthropic chat",
        &["temperature", "top_p", "top_k"],
        "models up to Opus 4.6 take them; for those after it the profile leaves them out",
    ),
];

/// What differs on purpose in one golden: golden, schema, what the complaint holds, reason.
const KNOWN: &[(&str, &str, &str, &str)] = &[
    ("gemini/parameters", "gemini chat", "'later'", "the client's own word to its own dialect passes"),
    ("gemini/parameters", "vertex chat", "'later'", "the client's own word to its own dialect passes"),
    (
        "gemini/tools",
        "gemini chat",
        "'labels'",
        "the client's own word to its own dialect passes; it is Vertex's",
    ),
    ("openai/everything", "openai chat", "/messages/1", "a kind of part that only compatible servers know"),
    (
        "openai/texts",
        "openai embeddings",
        "'input_type', 'truncate'",
        "the client's own words to its own dialect pass",
    ),
];

static OFFICIAL: LazyLock<Vec<Official>> = LazyLock::new(|| {
    let files: [(&str, Dialect, &str); 6] = [
        ("openai", Dialect::OpenAi, include_str!("official/openai.json")),
        ("anthropic", Dialect::Anthropic, include_str!("official/anthropic.json")),
        ("gemini", Dialect::Gemini, include_str!("official/gemini.json")),
        ("vertex", Dialect::Gemini, include_str!("official/vertex.json")),
        ("mistral", Dialect::Mistral, include_str!("official/mistral.json")),
        ("bedrock", Dialect::Converse, include_str!("official/bedrock.json")),
    ];
    let mut found = Vec::new();
    for (name, dialect, text) in files {
        let document: Value = serde_json::from_str(text).unwrap();
        for (root, definition) in document["roots"].as_object().unwrap() {
            let schema = json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$ref": format!("#/$defs/{}", definition.as_str().unwrap()),
                "$defs": document["$defs"],
            });
            let (dialect, operation) = match root.as_str() {
                "chat" => (dialect, Operation::Chat),
                "embeddings" => (dialect, Operation::Embeddings),
                "responses" => (Dialect::Responses, Operation::Chat),
                other => panic!("no operation is called {other}"),
            };
            let validator = jsonschema::draft202012::new(&schema).unwrap();
            let name = Box::leak(format!("{name} {root}").into_boxed_str());
            found.push(Official { name, dialect, operation, validator });
        }
    }
    found
});

/// Complaints about a request as one dialect would send it; none where the dialect cannot say it.
fn complaints(request: &Request, operation: Operation) -> Complaints {
    let mut all = Complaints::default();
    for official in OFFICIAL.iter().filter(|official| official.operation == operation) {
        let Ok(Encoded { body, .. }) =
            dispatch::encode_request(official.dialect, request, &profile(), Delivery::Plain)
        else {
            continue;
        };
        let mut body: Value = serde_json::from_slice(&body).unwrap();
        for (_, members, _) in BESIDE.iter().filter(|(name, ..)| *name == official.name) {
            for member in *members {
                if body.as_object_mut().unwrap().remove(*member).is_some() {
                    all.beside.insert((official.name, *member));
                }
            }
        }
        for error in official.validator.iter_errors(&body) {
            all.found.push((official.name, format!("{}: {error}", error.instance_path())));
        }
    }
    all
}

#[derive(Default)]
struct Complaints {
    /// By schema.
    found: Vec<(&'static str, String)>,
    /// What was sent of [`BESIDE`].
    beside: BTreeSet<(&'static str, &'static str)>,
}

#[test]
fn every_golden_is_valid_wherever_it_is_sent() {
    let (mut used, mut beside) = (BTreeSet::new(), BTreeSet::new());
    let mut unknown = Vec::new();
    let mut requests = 0;
    for golden in goldens::requests() {
        let (case, operation) = (golden.name, golden.operation);
        // Some goldens are refusals: nothing is sent for them.
        let Ok(request) = goldens::decode(golden.dialect, operation, &golden.body) else { continue };
        requests += 1;
        let Complaints { found, beside: sent } = complaints(&request, operation);
        beside.extend(sent);
        for (schema, complaint) in found {
            let known = KNOWN.iter().position(|(golden, name, words, _)| {
                *golden == case && *name == schema && complaint.contains(words)
            });
            match known {
                Some(index) => _ = used.insert(index),
                None => unknown.push(format!("{case} by {schema}: {:.300}", complaint)),
            }
        }
    }
    assert!(requests >= 15, "only {requests} goldens were found");
    assert_eq!(unknown, Vec::<String>::new(), "requests that their receivers would not know");
    let stale: Vec<_> =
        (0..KNOWN.len()).filter(|index| !used.contains(index)).map(|index| KNOWN[index]).collect();
    assert!(stale.is_empty(), "known differences that are none any more: {stale:?}");
    let listed: BTreeSet<_> =
        BESIDE.iter().flat_map(|(name, members, _)| members.iter().map(|member| (*name, *member))).collect();
    assert_eq!(beside, listed, "members beside the schema that are sent no more");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_can_be_asked_is_valid_wherever_it_is_sent(chat in chat_request()) {
        let request = Request::Chat(Box::new(chat));
        let found = complaints(&request, Operation::Chat).found;
        prop_assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn the_schemas_refuse_what_is_wrong() {
    let broken = [
        ("openai chat", json!({"model": "m", "messages": "hello"})),
        ("openai responses", json!({"model": "m", "input": "x", "text": {"format": {"type": "prose"}}})),
        ("openai embeddings", json!({"model": "m", "input": 7})),
        ("anthropic chat", json!({"model": "m", "messages": []})),
        ("gemini chat", json!({"contents": [{"role": "user", "parts": [{"txt": "x"}]}]})),
        ("vertex chat", json!({"contents": [{"role": "user", "parts": [{"txt": "x"}]}]})),
        ("mistral chat", json!({"model": "m", "messages": [{"role": "robot", "content": "x"}]})),
        ("bedrock chat", json!({"messages": [{"role": "user", "content": [{"txt": "x"}]}]})),
    ];
    for (name, body) in broken {
        let official = OFFICIAL.iter().find(|official| official.name == name).unwrap();
        assert!(!official.validator.is_valid(&body), "{name} takes {body}");
    }
}
