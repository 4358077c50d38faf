//! Texts that are no YAML, or hardly.

use crate::support::{errors, load_all, load_one, loaded, warnings};
use insta::assert_snapshot;
use trunkline_config::LONGEST_TEXT;

#[test]
fn what_is_not_yaml_is_reported_at_its_place() {
    assert_snapshot!("unclosed_list", errors("providers:\n  openai: {}\nroutes: [\n"));
    assert_snapshot!("tab", errors("providers:\n\topenai: {}\n"));
    assert_snapshot!("unclosed_quote", errors("listen: 'é\n"));
    assert_snapshot!("two_documents", errors("providers: { openai: {} }\n---\nlisten: 127.0.0.1:1\n"));
    assert_snapshot!("list_as_key", errors("providers: { openai: {} }\n? [a]\n: b\n"));
    assert_snapshot!("not_a_map", errors("- providers\n- routes\n"));
    assert_snapshot!("unknown_alias", errors("providers: { openai: { data: *missing } }\n"));
}

#[test]
fn letters_of_several_bytes_before_a_mistake_do_not_move_it() {
    assert_snapshot!(
        "letters",
        errors("# héé ü €\nproviders:\n  openai: { url: \"https://ключ\", kye: \"ü\" } # 😀\n")
    );
    assert_snapshot!("byte_order_mark", errors("\u{feff}providers:\n  openai: { kye: a }\n"));
    assert_snapshot!("carriage_returns", errors("providers:\r\n  openai:\r\n    kye: a\r\n"));
    assert_snapshot!("unreadable_after_letters", errors("listen: \"😀é\" \"\n"));
}

#[test]
fn an_alias_is_reported_where_it_stands_and_its_anchor_where_it_is_written() {
    assert_snapshot!(errors(
        "providers:\n  openai:\n    data: &data\n      zdrr: true\n  anthropic:\n    data: *data\n"
    ));
}

#[test]
fn aliases_and_merge_keys_load() {
    let text = "providers:\n  openai: &base { data: &facts { zdr: true } }\n  anthropic: { data: *facts }\n  second: { <<: *base, preset: openai }\n";
    let snapshot = loaded(text).snapshot;
    for provider in ["openai", "anthropic", "second"] {
        let (_, deployment) = snapshot.fleet.iter().find(|(_, found)| &*found.provider == provider).unwrap();
        assert_eq!(deployment.facts.zdr, Some(true), "{provider}");
    }
}

#[test]
fn every_key_given_twice_is_reported() {
    assert_snapshot!(errors(
        "listen: 127.0.0.1:1\nproviders:\n  openai: {}\n  openai: {}\nlisten: 127.0.0.1:2\nkeys: { a: { key: \"${TEAM_KEY}\", key: \"${PEPPER}\" } }\n"
    ));
}

#[test]
fn several_files_are_joined_and_a_name_given_in_two_is_a_mistake() {
    let joined = load_all(&[
        ("10-providers.yaml", "providers: { openai: {} }\n"),
        ("20-empty.yaml", "# nothing yet\n"),
        ("30-more.yaml", "providers: { anthropic: {} }\nlisten: 127.0.0.1:4001\n"),
    ]);
    let snapshot = joined.unwrap().snapshot;
    assert_eq!((snapshot.providers.len(), snapshot.server.listen.port()), (2, 4001));
    let twice = load_all(&[
        ("10-a.yaml", "providers: { openai: {} }\nlisten: 127.0.0.1:1\n"),
        ("20-b.yaml", "providers: { openai: { url: \"https://example.com\" } }\nlisten: 127.0.0.1:2\n"),
    ]);
    // Two maps of one name are joined setting by setting; two values are not.
    assert_snapshot!(twice.unwrap_err().to_string());
}

#[test]
fn one_unreadable_file_does_not_make_the_names_of_the_others_unknown() {
    let invalid = load_all(&[
        ("10-providers.yaml", "providers: { openai: [ }\n"),
        (
            "20-routes.yaml",
            "routes: { a: { tiers: { t: { deployments: [openai/gpt-5] } }, strickt: true } }\n",
        ),
    ]);
    assert_snapshot!(invalid.unwrap_err().to_string());
}

#[test]
fn nothing_at_all_is_a_configuration_without_providers() {
    assert_snapshot!("empty", errors(""));
    assert_snapshot!("only_comments", errors("# later\n\n"));
    assert_snapshot!("only_null", errors("~\n"));
    assert!(load_all(&[]).is_err());
}

#[test]
fn depth_size_and_aliases_are_bounded() {
    assert_snapshot!("deep_lists", errors(&format!("routes: {}", "[".repeat(5_000))));
    assert_snapshot!("deep_maps", errors(&format!("keys: {}{}", "{a: ".repeat(60), "}".repeat(60))));
    let deep_block: String = (0..400).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(load_one(&deep_block).is_err());
    let huge = format!("providers: {{ openai: {{}} }}\n#{}\n", "x".repeat(LONGEST_TEXT));
    let message = load_one(&huge).unwrap_err().problems.iter().next().unwrap().message.clone();
    assert_snapshot!("huge", message);
    let mut bomb = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..8 {
        let (name, before) = (char::from(b'a' + level), char::from(b'a' + level - 1));
        bomb.push_str(&format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 10].join(", ")));
    }
    let invalid = load_one(&bomb).unwrap_err();
    assert!(invalid.to_string().contains("alias"), "{invalid}");
}

#[test]
fn many_mistakes_are_bounded_and_counted() {
    let text: String = (0..150).map(|number| format!("unknown{number}: 1\n")).collect();
    let report = errors(&text);
    assert!(
        report.ends_with("... and 50 more\n\n150 errors, 0 warnings\n"),
        "{}",
        &report[report.len() - 80..]
    );
}

#[test]
fn a_hundred_warnings_do_not_hide_an_error() {
    let tiers: String = (0..120)
        .map(|number| format!("      t{number}: {{ deployments: [openai/gpt-5], balance: cost }}\n"))
        .collect();
    let head = "providers: { openai: {} }\nroutes:\n  a:\n    tiers:\n";
    assert!(warnings(&format!("{head}{tiers}")).contains("... and 20 more"));
    assert!(errors(&format!("{head}{tiers}    attempts: 0\n")).contains("1 error, 120 warnings"));
}

#[test]
fn credentials_written_out_are_not_shown() {
    let text = "providers:\n  openai: { key: \"sk-live-secret\", kye: x, headers: { a: \"hidden value\" } }\nkeys: { a: { key: tiny-secret } }\n";
    let report = errors(text);
    assert!(!report.contains("secret") && !report.contains("hidden"), "{report}");
    assert_snapshot!("masked", report);
    let unreadable = errors("providers:\n  openai: { key: \"sk-live-secret\", kye: [ }\n");
    assert!(!unreadable.contains("secret"), "{unreadable}");
}
