//! Loading texts with a fixed environment and date.

use trunkline_config::{Inputs, InvalidConfiguration, Labelled, Loaded, Source, load};
use trunkline_model::catalogue::Date;

/// The variables that are set.
pub(crate) fn environment(name: &str) -> Option<String> {
    match name {
        "OPENAI_API_KEY" => Some("sk-openai".to_owned()),
        "ANTHROPIC_API_KEY" => Some("sk-anthropic".to_owned()),
        "TEAM_KEY" => Some("sk-trunk-0123456789abcdef".to_owned()),
        "PEPPER" => Some("pepper".to_owned()),
        "SPACES" => Some("  ".to_owned()),
        "BROKEN_URL" => Some("ftp://user:password@host".to_owned()),
        _ => None,
    }
}

/// The files that a configuration may name.
pub(crate) fn file(name: &str) -> Result<Vec<u8>, String> {
    match name {
        "no-label.jsonl" => Ok(b"{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": \"b\"}\n".to_vec()),
        "two-labels.jsonl" => {
            Ok(b"{\"text\": \"a\", \"label\": \"x\"}\n\n{\"text\": \"a\", \"label\": \"y\"}\n".to_vec())
        }
        "broken.jsonl" => Ok(b"{\"text\": \"a\", \"lable\": \"x\"}\n".to_vec()),
        "empty-label.yaml" => Ok(b"x: [a]\ny: []\n".to_vec()),
        "list.yaml" => Ok(b"- a\n- b\n".to_vec()),
        "good.jsonl" => Ok((0..6)
            .map(|at| format!("{{\"text\": \"word{at}\", \"label\": \"{}\"}}\n", ["x", "y"][at % 2]))
            .collect::<String>()
            .into_bytes()),
        "misspelt.jsonl" => Ok(examples_of(&["billing", "legal", "billing", "legal", "legall", "other"])),
        "misspelt-often.jsonl" => {
            Ok(examples_of(&["billing", "legal", "legall", "billing", "legal", "legall", "legall"]))
        }
        "older.json" => Ok(br#"{"format": "trunkline-router", "version": 0}"#.to_vec()),
        "other.json" => Ok(br#"{"format": "trunkline-other", "version": 1}"#.to_vec()),
        "cut.json" => Ok(br#"{"format": "trunkline-router", "version": 1, "kind""#.to_vec()),
        "encoded.json" => Ok(crate::learned::encoded_router().to_text().into_bytes()),
        "small.json" => Ok(crate::learned::small_router().to_text().into_bytes()),
        _ => sentence(name).ok_or_else(|| "there is no such file".to_owned()),
    }
}

/// One example for each of these labels.
fn examples_of(labels: &[&str]) -> Vec<u8> {
    let line = |(at, label): (usize, &&str)| format!("{{\"text\": \"word{at}\", \"label\": \"{label}\"}}\n");
    labels.iter().enumerate().map(line).collect::<String>().into_bytes()
}

/// The folder of a sentence transformer.
fn sentence(name: &str) -> Option<Vec<u8>> {
    let bytes: &[u8] = match name.strip_prefix("sentence/")? {
        "config.json" => include_bytes!("../../../embed/tests/golden/sentence/config.json"),
        "vocab.txt" => include_bytes!("../../../embed/tests/golden/sentence/vocab.txt"),
        "model.safetensors" => include_bytes!("../../../embed/tests/golden/sentence/model.safetensors"),
        "1_Pooling/config.json" => {
            include_bytes!("../../../embed/tests/golden/sentence/1_Pooling/config.json")
        }
        _ => return None,
    };
    Some(bytes.to_vec())
}

/// What feedback said in the log of that name.
pub(crate) fn labelled(log: &std::path::Path) -> Labelled {
    let rows = [("pay me back", "billing"), ("sue them", "legal"), ("word1", "x"), ("sue them", "billing")];
    let texts = match log.to_str() {
        Some("broken.db") => Err("it is broken".to_owned()),
        Some("labels.db") => Ok(rows.map(|(text, label)| (text.to_owned(), label.to_owned())).to_vec()),
        _ => Ok(Vec::new()),
    };
    Labelled { file: format!("/{}", log.display()), texts }
}

/// Loads one text.
pub(crate) fn load_one(text: &str) -> Result<Loaded, Box<InvalidConfiguration>> {
    load_all(&[("trunkline.yaml", text)])
}

/// Loads several texts as files of a folder.
pub(crate) fn load_all(texts: &[(&str, &str)]) -> Result<Loaded, Box<InvalidConfiguration>> {
    let sources = texts
        .iter()
        .map(|(path, text)| Source { path: (*path).to_owned(), text: (*text).to_owned() })
        .collect();
    // 2026-11-20: the catalogue has models that retire soon after.
    let inputs = Inputs {
        environment: &environment,
        today: Date::from_unix_seconds(1_795_132_800),
        files: &file,
        labelled: &labelled,
    };
    load(sources, &inputs).map_err(Box::new)
}

/// The problems of a text that must not load.
pub(crate) fn errors(text: &str) -> String {
    load_one(text).expect_err("this text must not load").to_string()
}

/// The warnings of a text that must load.
pub(crate) fn warnings(text: &str) -> String {
    let loaded = load_one(text).unwrap_or_else(|invalid| panic!("this text must load:\n{invalid}"));
    loaded.problems.render(&loaded.sources, false)
}

/// The snapshot of a text that must load without a warning.
pub(crate) fn loaded(text: &str) -> Loaded {
    let loaded = load_one(text).unwrap_or_else(|invalid| panic!("this text must load:\n{invalid}"));
    assert!(loaded.problems.is_empty(), "{}", loaded.problems.render(&loaded.sources, false));
    loaded
}

/// A file with one provider and this route.
pub(crate) fn route(settings: &str) -> String {
    let indented: String = settings.lines().map(|line| format!("    {line}\n")).collect();
    format!("providers: {{ openai: {{}}, anthropic: {{}} }}\nroutes:\n  support:\n{indented}")
}
