//! What the reader takes and refuses, against another parser and byte by byte.

use super::*;
use proptest::prelude::*;

fn check(text: &str) -> Result<(), Fault> {
    let mut reader = Reader::new(text);
    reader.blanks();
    reader.skip()?;
    reader.end()
}

proptest! {
    #[test]
    fn accepts_exactly_what_serde_accepts(text in r#"[\[\]{}:,"a0-9eE.+\-tru \\nl/u]{0,24}"#) {
        // Ranges of numbers are not syntax: serde refuses 1e999, the grammar does not.
        let serde = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
        prop_assert_eq!(check(&text).is_ok(), serde, "{}", text);
    }

    #[test]
    fn strings_of_any_length_end_where_they_end(
        before in "[ -!#-\\[\\]-~é漢]{0,300}", after in "[ -~]{0,80}",
    ) {
        let text = format!("\"{before}\"{after}");
        let mut reader = Reader::new(&text);
        let string = reader.string().unwrap();
        prop_assert_eq!(string.raw, before.as_str());
        prop_assert_eq!(reader.position(), before.len() + 2);
    }

    #[test]
    fn escapes_at_any_distance_are_read(pieces in proptest::collection::vec(("[a-zé]{0,70}", "\\\\(n|\"|\\\\|u00e9|ud83d)|"), 0..12)) {
        let raw: String = pieces.iter().flat_map(|(plain, escape)| [plain.as_str(), escape]).collect();
        let text = format!("\"{raw}\" ,\"next\"");
        let mut reader = Reader::new(&text);
        prop_assert_eq!(reader.string().unwrap().raw, raw.as_str());
        let broken = format!("\"{raw}\\q\"{}", "x".repeat(80));
        prop_assert_eq!(Reader::new(&broken).string().unwrap_err().offset, Some(raw.len() + 2));
        let open = format!("\"{raw}");
        prop_assert_eq!(Reader::new(&open).string().unwrap_err().offset, Some(open.len()));
    }

    #[test]
    fn escapes_resolve_as_serde_does(content in any::<String>(), ascii in any::<bool>()) {
        let mut text = serde_json::to_string(&content).unwrap();
        if ascii {
            text = text.chars().map(|character| {
                if character.is_ascii() { return character.to_string() }
                character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
            }).collect();
        }
        let mut reader = Reader::new(&text);
        let resolved = reader.string().unwrap().resolve();
        prop_assert_eq!(resolved.as_ref(), content.as_str());
    }
}

#[test]
fn a_control_character_anywhere_in_a_string_is_found() {
    for length in 0..200 {
        let text = format!("\"{}\u{1f}{}\"", "x".repeat(length), "y".repeat(100));
        assert_eq!(check(&text).unwrap_err().offset, Some(length + 1));
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(check(&deep(128)).is_ok());
    insta::assert_snapshot!(check(&deep(129)).unwrap_err(), @"JSON nested deeper than 128 levels at byte 128");
    assert!(check(&"[".repeat(1_000_000)).is_err());
}

#[test]
fn a_lone_surrogate_is_valid_json_and_reads_as_the_replacement_character() {
    let mut reader = Reader::new(r#""a\ud800b\udc00\ud83d\ude00""#);
    assert_eq!(reader.string().unwrap().resolve(), "a\u{fffd}b\u{fffd}😀");
}

#[test]
fn syntax_errors_name_the_byte_and_what_was_expected() {
    let cases = [
        "",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1 \"b\"}",
        "{a:1}",
        "[1,]",
        "[1 2]",
        "tru",
        "nul1",
        "-",
        "01",
        "1.",
        "1e",
        "1e+",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u12",
        "\"a\nb\"",
        "1 2",
        "\u{feff}{}",
    ];
    let report: Vec<String> =
        cases.iter().map(|case| format!("{case:?} -> {}", check(case).unwrap_err())).collect();
    insta::assert_snapshot!(report.join("\n"));
}
