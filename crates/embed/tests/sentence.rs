//! Sentence transformers: the reference's vectors from a tiny random model, and every mistake of a folder by name.
//! `make_sentence_golden.py` writes the files.
#![cfg(feature = "encoder")]

use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use trunkline_embed::Encode;
use trunkline_embed::sentence::{FolderError, SentenceEncoder};

type Folder = HashMap<String, Vec<u8>>;

fn folder() -> Folder {
    let files: [(&str, &[u8]); 4] = [
        ("config.json", include_bytes!("golden/sentence/config.json")),
        ("vocab.txt", include_bytes!("golden/sentence/vocab.txt")),
        ("model.safetensors", include_bytes!("golden/sentence/model.safetensors")),
        ("1_Pooling/config.json", include_bytes!("golden/sentence/1_Pooling/config.json")),
    ];
    files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect()
}

fn load(folder: &Folder) -> Result<SentenceEncoder, FolderError> {
    SentenceEncoder::load(&mut |name| {
        folder.get(name).cloned().ok_or_else(|| "No such file or directory".to_owned())
    })
}

#[derive(Deserialize)]
struct Line {
    text: String,
    vectors: BTreeMap<String, Vec<f32>>,
}

fn expected() -> Vec<Line> {
    let lines = include_str!("golden/sentence/expected.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The folder with other words in one of its texts.
fn with(file: &str, from: &str, to: &str) -> Folder {
    let mut folder = folder();
    let text = String::from_utf8(folder[file].clone()).unwrap();
    assert!(text.contains(from), "{text}");
    folder.insert(file.to_owned(), text.replace(from, to).into_bytes());
    folder
}

#[test]
fn vectors_are_those_of_the_published_formula() {
    let mut compared = 0;
    for mode in ["mean_tokens", "cls_token", "max_tokens"] {
        let mut folder = with("1_Pooling/config.json", "true", "false");
        let text = String::from_utf8(folder["1_Pooling/config.json"].clone()).unwrap();
        let chosen = format!("\"pooling_mode_{mode}\": ");
        let text = text.replace(&format!("{chosen}false"), &format!("{chosen}true"));
        folder.insert("1_Pooling/config.json".to_owned(), text.into_bytes());
        let encoder = load(&folder).unwrap();
        assert_eq!(encoder.dimensions(), 8);
        for line in expected() {
            let vector = encoder.encode(&line.text);
            assert_eq!(vector.len(), 8);
            for (found, wanted) in vector.iter().zip(&line.vectors[mode]) {
                assert!((found - wanted).abs() < 2e-5, "{mode} {:?}: {vector:?}", line.text);
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 3 * 7 * 8);
}

#[test]
fn the_vocabulary_may_stand_in_the_other_file_and_names_may_have_a_prefix() {
    let mut other = folder();
    let text = String::from_utf8(other.remove("vocab.txt").unwrap()).unwrap();
    let vocabulary: HashMap<&str, usize> = text.lines().enumerate().map(|(id, piece)| (piece, id)).collect();
    let file = serde_json::json!({
        "normalizer": {"type": "BertNormalizer", "lowercase": true},
        "model": {"type": "WordPiece", "vocab": vocabulary},
    });
    other.insert("tokenizer.json".to_owned(), file.to_string().into_bytes());
    let weights = String::from_utf8_lossy(&other["model.safetensors"]).into_owned();
    let encoder = load(&folder()).unwrap();
    assert_eq!(load(&other).unwrap().encode("review this"), encoder.encode("review this"));
    assert!(weights.contains("\"embeddings.word_embeddings.weight\""));
    let bytes = &other["model.safetensors"];
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let renamed: serde_json::Map<_, _> =
        header.into_iter().map(|(name, facts)| (format!("bert.{name}"), facts)).collect();
    let mut header = serde_json::to_vec(&renamed).unwrap();
    header.resize(header.len().next_multiple_of(8), b' ');
    let file = [&(header.len() as u64).to_le_bytes()[..], &header, &bytes[8 + length..]].concat();
    other.insert("model.safetensors".to_owned(), file);
    assert_eq!(load(&other).unwrap().encode("review this"), encoder.encode("review this"));
}

#[test]
fn a_longer_text_is_cut_where_the_model_ends() {
    let encoder = load(&folder()).unwrap();
    assert_eq!(encoder.encode(&"the ".repeat(10)), encoder.encode(&"the ".repeat(100_000)));
    let mut short = folder();
    short.insert("sentence_bert_config.json".to_owned(), br#"{"max_seq_length": 4}"#.to_vec());
    let short = load(&short).unwrap();
    assert_eq!(short.encode("the court pay card"), encoder.encode("the court"));
}

#[test]
fn what_is_wrong_with_a_folder_is_named() {
    let without = |name: &str| {
        let mut folder = folder();
        folder.remove(name).unwrap();
        folder
    };
    let also = |name: &str, text: &str| {
        let mut folder = folder();
        folder.insert(name.to_owned(), text.as_bytes().to_vec());
        folder
    };
    let bytes = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut folder = folder();
        change(folder.get_mut("model.safetensors").unwrap());
        folder
    };
    let rename = |bytes: &mut Vec<u8>, from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    };
    let tokenizer = |normalizer: &str, kind: &str| {
        let mut folder = without("vocab.txt");
        let text =
            format!(r#"{{"normalizer": {normalizer}, "model": {{"type": "{kind}", "vocab": {{"a": 1}}}}}}"#);
        folder.insert("tokenizer.json".to_owned(), text.into_bytes());
        folder
    };
    let lowers = r#"{"type": "BertNormalizer", "lowercase": true}"#;
    let folders = [
        Folder::new(),
        without("vocab.txt"),
        without("model.safetensors"),
        without("1_Pooling/config.json"),
        with("config.json", "\"bert\"", "\"mpnet\""),
        with("config.json", "\"gelu\"", "\"silu\""),
        with("config.json", "\"hidden_size\": 8", "\"hidden_size\": 12"),
        with("config.json", "\"hidden_size\": 8", "\"hidden_size\": 0"),
        with("config.json", "\"num_attention_heads\": 2", "\"num_attention_heads\": 3"),
        with("config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3"),
        with("config.json", "\"max_position_embeddings\": 12", "\"max_position_embeddings\": 2"),
        with("config.json", "{", "["),
        with("1_Pooling/config.json", "true", "false"),
        with("vocab.txt", "[CLS]", "[CLX]"),
        with("vocab.txt", "refund\n", ""),
        also("modules.json", r#"[{"type": "sentence_transformers.models.Dense"}]"#),
        also("tokenizer_config.json", r#"{"do_lower_case": false}"#),
        tokenizer(r#"{"type": "NFC"}"#, "WordPiece"),
        tokenizer(lowers, "BPE"),
        tokenizer(lowers, "WordPiece"),
        bytes(&|bytes| bytes.truncate(2_000)),
        bytes(&|bytes| rename(bytes, "layer.1.output.dense.bias", "layer.1.output.dense.bios")),
        bytes(&|bytes| rename(bytes, "\"F32\"", "\"I32\"")),
        bytes(&|bytes| {
            let end = bytes.len() - 4;
            bytes[end..].copy_from_slice(&f32::NAN.to_le_bytes());
        }),
    ];
    let told = folders.map(|folder| format!("failed to {}", load(&folder).unwrap_err()));
    insta::assert_snapshot!(told.join("\n"));
}
