//! The published JSON Schema.

use std::path::Path;

/// Where it is published, from this crate's folder.
const PUBLISHED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schema/trunkline.schema.json");

/// Run with `UPDATE_SCHEMA=1` to write the file again.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the test compares with a committed file, and writes it when told to"
)]
fn the_published_schema_is_the_one_of_the_settings() {
    let mut text = serde_json::to_string_pretty(&trunkline_config::json_schema()).unwrap();
    text.push('\n');
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(PUBLISHED, &text).unwrap();
    }
    let published = std::fs::read_to_string(PUBLISHED).unwrap_or_default();
    assert!(
        published == text,
        "schema/trunkline.schema.json is out of date: UPDATE_SCHEMA=1 cargo nextest run -p trunkline-config schema"
    );
}

#[test]
fn every_setting_is_described() {
    let schema = trunkline_config::json_schema();
    let mut bare = Vec::new();
    let definitions = schema["$defs"].as_object().unwrap().iter().map(|(name, value)| (name.as_str(), value));
    for (name, definition) in definitions.chain([("File", &schema)]) {
        for (setting, property) in definition["properties"].as_object().into_iter().flatten() {
            if property["description"].as_str().is_none_or(|text| !text.ends_with(['.', ')'])) {
                bare.push(format!("{name}.{setting}"));
            }
        }
    }
    assert_eq!(bare, Vec::<String>::new());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test reads the sources of the settings")]
fn no_setting_is_flattened_or_untagged_and_unknown_ones_are_denied() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let rooms = std::fs::read_dir(folder.join("file")).unwrap().map(|entry| entry.unwrap().path());
    let mut settings = 0;
    for file in rooms.chain([folder.join("file.rs")]) {
        let source = std::fs::read_to_string(&file).unwrap();
        assert!(!source.contains("flatten)") && !source.contains("untagged)"), "{}", file.display());
        let structs = source.matches("pub struct ").count();
        assert_eq!(structs, source.matches("deny_unknown_fields").count(), "{}", file.display());
        settings += structs;
    }
    assert!(settings > 30, "the rooms were found");
}
