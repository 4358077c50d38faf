//! What loaders accept, and how they name what is wrong.

use super::*;

#[test]
fn rows_of_ones_own_data_may_know_some_models_only() {
    let text = "{\"prompt\": \"one\", \"models\": {\"a/x\": {\"score\": 0.5, \"cost\": 0.001}, \"b/y\": true}}\n\n\
                {\"prompt\": \"two\", \"group\": \"g\", \"models\": {\"b/y\": 0}}\n";
    let data = generic("own.jsonl", text).unwrap();
    assert_eq!(data.models, ["a/x", "b/y"]);
    assert_eq!(data.rows[0].scores, [0.5, 1.0]);
    assert!(data.rows[1].scores[0].is_nan() && data.rows[1].scores[1] == 0.0);
    assert_eq!(data.rows[1].group, "g");
    assert_eq!(data.means(), [0.5, 0.5]);
    assert_ne!(data.fingerprint(), data.of_group("one", |row| row.group == "g").fingerprint());
}

#[test]
fn files_are_joined_by_the_names_of_models() {
    let one = generic("one", "{\"prompt\": \"p\", \"models\": {\"a\": 1, \"c\": 0}}").unwrap();
    let other = generic("other", "{\"prompt\": \"q\", \"models\": {\"c\": 1, \"b\": 0}}").unwrap();
    let both = Dataset::joined("both", vec![one, other]);
    assert_eq!(both.models, ["a", "b", "c"]);
    assert!(both.rows[0].scores[1].is_nan() && both.rows[1].scores[0].is_nan());
    assert_eq!((both.rows[0].scores[2], both.rows[1].scores[1], both.rows[1].scores[2]), (0.0, 0.0, 1.0));
}

#[test]
fn mistakes_are_named_by_file_row_and_field() {
    let generic_texts = [
        "",
        "not json",
        "[1]",
        "{\"models\": {\"a\": 1}}",
        "{\"prompt\": \" \", \"models\": {\"a\": 1}}",
        "{\"prompt\": 5, \"models\": {\"a\": 1}}",
        "{\"prompt\": \"p\"}",
        "{\"prompt\": \"p\", \"models\": {}}",
        "{\"prompt\": \"p\", \"models\": {\"a\": 7}}",
        "{\"prompt\": \"p\", \"models\": {\"a\": \"good\"}}",
        "{\"prompt\": \"p\", \"models\": {\"a\": {\"cost\": 1}}}",
        "{\"prompt\": \"p\", \"models\": {\"a\": {\"score\": 1, \"cost\": -1}}}",
        "{\"prompt\": \"p\", \"models\": {\"a\": {\"score\": 1, \"price\": 1}}}",
        "{\"prompt\": \"p\", \"model\": {\"a\": 1}}",
        "{\"prompt\": \"p\", \"models\": {\"a\": 1}}\n{\"prompt\": \"p\"}",
    ];
    let mut shown: Vec<String> =
        generic_texts.iter().map(|text| generic("own.jsonl", text).unwrap_err().to_string()).collect();
    let routellm_texts = [
        "{\"bench\": \"mmlu\", \"prompt\": \"p\", \"weak\": 1}",
        "{\"bench\": \"mmlu\", \"weak\": 1, \"strong\": 2}",
    ];
    shown.extend(routellm_texts.iter().map(|text| routellm("compact.jsonl", text).unwrap_err().to_string()));
    let ulab_texts = [
        "{}",
        "[{\"question\": \"q\"}]",
        "[{\"question\": \"q\", \"scores\": {\"a\": 1}}, {\"question\": \"q\", \"scores\": {\"b\": 1}}]",
        "[{\"question\": \"q\", \"scores\": {\"a\": 1, \"b\": 0}}, {\"question\": \"q\", \"scores\": {\"b\": 1}}]",
    ];
    shown.extend(ulab_texts.iter().map(|text| ulab("train.json", text).unwrap_err().to_string()));
    insta::assert_snapshot!(shown.join("\n"));
}
