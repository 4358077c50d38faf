//! The answers of the reference tokenizer, all of them. `make_golden.py` writes the files.

use trunkline_embed::{Embedder, Tokenizer};

#[test]
fn every_line_of_the_corpus_is_tokenized_as_by_the_reference() {
    let tokenizer = Tokenizer::bundled();
    let mut lines = 0;
    let mut differences = Vec::new();
    for line in include_str!("golden/corpus.jsonl").lines() {
        let (text, expected): (String, Vec<u32>) = serde_json::from_str(line).unwrap();
        let found = tokenizer.encode(&text);
        if found != expected {
            differences.push(format!("{text:?}: {found:?} instead of {expected:?}"));
        }
        lines += 1;
    }
    assert!(lines >= 2_000, "{lines} lines");
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn every_character_is_tokenized_as_by_the_reference() {
    let tokenizer = Tokenizer::bundled();
    let mut characters = 0;
    let mut differences = Vec::new();
    for line in include_str!("golden/characters.txt").lines() {
        let mut numbers = line.split(' ').map(|number| u32::from_str_radix(number, 16).unwrap());
        let (first, count) = (numbers.next().unwrap(), numbers.next().unwrap());
        let expected: Vec<u32> = numbers.collect();
        for character in (first..first + count).map(|code| char::from_u32(code).unwrap()) {
            let found = tokenizer.encode(&format!("a{character}b {character}"));
            if found != expected {
                differences.push(format!("{character:?}: {found:?} instead of {expected:?}"));
            }
            characters += 1;
        }
    }
    assert_eq!(characters, 0x11_0000 - 0x800, "all characters but the surrogates");
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn vectors_are_those_of_the_recipe() {
    let mut embedder = Embedder::bundled();
    let mut lines = 0;
    for line in include_str!("golden/vectors.jsonl").lines() {
        let (text, expected): (String, Vec<f32>) = serde_json::from_str(line).unwrap();
        let found = embedder.embed(&text);
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 2e-5, "{text:?}: {found} instead of {expected}");
        }
        lines += 1;
    }
    assert!(lines >= 20, "{lines} lines");
}
