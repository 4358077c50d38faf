//! What becomes of every feature of every client protocol on its way to every kind of provider.
//!
//! Owns the table in `docs/reference/translation.md`: it is what the real encoders do with one probe per feature, with the real
//! presets. A feature that neither arrives nor is warned of nor refused fails the test, whatever the page says. Written anew with
//! `UPDATE_TRANSLATION=1`.

#![expect(
    clippy::needless_pass_by_value,
    reason = "values of the `json!` macro are written where they are used"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "the test compares a checked-in file; the crate itself stays pure"
)]
#![expect(clippy::unwrap_used, reason = "a test's helper that cannot go on is a failed test")]

mod judge;
mod page;
mod probes;
mod targets;

use judge::Verdict;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/translation.md");

#[test]
fn nothing_vanishes_without_a_word() {
    let targets = targets::all();
    let mut vanished = Vec::new();
    for client in probes::all() {
        for probe in &client.probes {
            for target in &targets {
                let outcome = judge::judge(&client, probe, target);
                if let Verdict::Vanished(what) = &outcome.verdict {
                    vanished
                        .push(format!("{} -> {}: {}: {what}", client.dialect, target.name, probe.feature));
                }
            }
        }
    }
    assert!(vanished.is_empty(), "{} cells:\n{}", vanished.len(), vanished.join("\n"));
}

#[test]
fn the_page_shows_what_the_code_does() {
    let page = page::write(&probes::all(), &targets::all());
    if std::env::var_os("UPDATE_TRANSLATION").is_some() {
        std::fs::write(PAGE, &page).unwrap();
    }
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(written == page, "run this test with UPDATE_TRANSLATION=1 and read the difference");
}

/// A strict request is refused wherever there is a warning, so it is enough that there is one for everything that is not passed.
#[test]
fn whatever_is_not_passed_is_refused_to_a_strict_request() {
    let targets = targets::all();
    for client in probes::all() {
        for probe in &client.probes {
            for target in &targets {
                let outcome = judge::judge(&client, probe, target);
                let is_told = !outcome.reasons.is_empty();
                assert_eq!(
                    is_told,
                    outcome.verdict != Verdict::Passed,
                    "{} -> {}: {}",
                    client.dialect,
                    target.name,
                    probe.feature
                );
            }
        }
    }
}
