//! Virtual keys, listening and the record.

use crate::support::{errors, loaded, warnings};
use insta::assert_snapshot;
use trunkline_config::file::BatchUpstream;

#[test]
fn a_door_to_other_machines_needs_keys_or_a_plain_word() {
    assert_snapshot!("open_door", errors("listen: 0.0.0.0:4000\nproviders: { openai: {} }\n"));
    let told = loaded("listen: 0.0.0.0:4000\nallow_unauthenticated: true\nproviders: { openai: {} }\n");
    assert!(told.snapshot.keys.is_empty());
    let keyed =
        loaded("listen: \"[::]:4000\"\nproviders: { openai: {} }\nkeys: { a: { key: \"${TEAM_KEY}\" } }\n");
    assert_eq!(keyed.snapshot.keys.iter().count(), 1);
    assert_snapshot!(
        "both",
        errors(
            "listen: 0.0.0.0:4000\nallow_unauthenticated: true\nproviders: { openai: {} }\nkeys: { a: { key: \"${TEAM_KEY}\" } }\n"
        )
    );
}

#[test]
fn keys_that_cannot_work_are_reported() {
    assert_snapshot!(errors(
        "providers: { openai: {} }\nkeys:\n  short: { key: abc }\n  missing: { key: \"${NOT_SET}\" }\n  both: { key: \"${TEAM_KEY}\", digest: abc }\n  neither: { models: [\"*\"] }\n  digest: { digest: xyz }\n  one: { key: \"${TEAM_KEY}\" }\n  two: { key: \"${TEAM_KEY}\" }\n  zero: { key: 0123456789abcdef-a, requests_per_minute: 0, tokens_per_minute: 0, concurrency: 0 }\n  demands: { key: 0123456789abcdef-b, require: [zrd, \"region:\"] }\n  pattern: { key: 0123456789abcdef-c, models: [\"a*b*c*d*e*f*g*h*i*j*k\", \"\"] }\n"
    ));
}

#[test]
fn a_pepper_without_keys_has_no_effect_and_digests_without_one_are_odd() {
    assert_snapshot!("pepper_alone", errors("providers: { openai: {} }\nkey_secret: \"${PEPPER}\"\n"));
    let digest = "0".repeat(64);
    assert_snapshot!(
        "no_pepper",
        warnings(&format!("providers: {{ openai: {{}} }}\nkeys: {{ a: {{ digest: \"{digest}\" }} }}\n"))
    );
}

#[test]
fn an_allow_list_that_matches_nothing_is_a_warning() {
    assert_snapshot!(warnings(
        "providers: { openai: {} }\nkeys: { a: { key: \"${TEAM_KEY}\", models: [\"openai/*\", \"mistral/*\"], routes: [auto, supprt] } }\n"
    ));
}

#[test]
fn a_key_and_its_digest_are_the_same_key() {
    let by_key = loaded(
        "providers: { openai: {} }\nkey_secret: \"${PEPPER}\"\nkeys: { a: { key: \"${TEAM_KEY}\", tags: { b: \"2\", a: \"1\" } } }\n",
    );
    let ring = &by_key.snapshot.keys;
    let found = ring.find("sk-trunk-0123456789abcdef").unwrap();
    assert_eq!(found.tags.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["a", "b"]);
    assert!(ring.find("sk-trunk-0123456789abcdeg").is_none());
    let digest = ring.pepper().digest("sk-trunk-0123456789abcdef");
    let text = format!(
        "providers: {{ openai: {{}} }}\nkey_secret: \"${{PEPPER}}\"\nkeys: {{ a: {{ digest: \"{digest}\" }} }}\n"
    );
    assert!(loaded(&text).snapshot.keys.find("sk-trunk-0123456789abcdef").is_some());
}

#[test]
fn the_servers_own_settings_are_checked() {
    assert_snapshot!(errors(
        "listen: localhost\nstore: postgres://user:secret@host\nproviders: { openai: {} }\nserver: { body_limit: huge, open_requests: 0, client_timeout: 10ms, drain: \"30\" }\nlog: { keep: 1s, max_size: 0 }\n"
    ));
}

#[test]
fn settings_of_batches_are_checked() {
    assert_snapshot!(errors(
        "store: memory\nproviders: { openai: {} }\nbatches: { concurrency: 0, headroom: 99%, max_file: 2GB, max_size: 1GB, keep: 1s }\n"
    ));
    let text = "providers: { openai: {} }\nbatches: { concurrency: 3, headroom: 50% }\n";
    let policy = loaded(text).snapshot.server.batches;
    assert_eq!((policy.concurrency, policy.headroom, policy.max_file), (3, 0.5, 200_000_000));
    assert_eq!((policy.upstream, policy.upstream_least), (BatchUpstream::Auto, 1));
    let never = "providers: { openai: {} }\nbatches: { upstream: never, upstream_least: 2 }\n";
    assert_snapshot!(errors(never));
    assert_snapshot!(errors("providers: { openai: {} }\nbatches: { upstream: always, upstream_least: 0 }\n"));
}
