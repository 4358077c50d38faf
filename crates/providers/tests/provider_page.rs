//! The list of providers in `docs/reference/providers.md` is what the presets say. Written anew with `UPDATE_PROVIDERS=1`.

#![expect(
    clippy::disallowed_methods,
    reason = "the test compares a checked-in file; the crate itself stays pure"
)]

use std::fmt::Write as _;
use trunkline_providers::preset::{self, Endpoint};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/providers.md");

fn page() -> String {
    let mut page = String::from(
        "# Providers\n\n\
         What each preset serves, made from the presets by a test. `trunkline providers` shows the same with what your environment and\n\
         configuration use; [add a provider](../providers.md) says how to use one that is not here. An endpoint stands here only if the\n\
         documentation of the service says that it has it; a blank key variable means that none is looked for.\n\n",
    );
    let mut lines = String::new();
    let mut count = 0;
    for id in preset::ids() {
        let preset = preset::find(id).unwrap();
        let served: Vec<&str> = preset.served().map(Endpoint::name).collect();
        let keys: Vec<String> = preset.key.env.iter().map(|name| format!("`{name}`")).collect();
        count += 1;
        let (name, dialect) = (&preset.name, preset.dialect.name());
        let _ = writeln!(
            lines,
            "| `{id}` | [{name}]({}) | {dialect} | {} | {} |",
            preset.docs,
            keys.join(" "),
            served.join(", ")
        );
    }
    let _ = writeln!(
        page,
        "{count} presets.\n\n| preset | service | protocol | key variables | endpoints |\n|---|---|---|---|---|"
    );
    page.push_str(&lines);
    page
}

#[test]
fn the_page_lists_what_the_presets_say() {
    let page = page();
    if std::env::var_os("UPDATE_PROVIDERS").is_some() {
        std::fs::write(PAGE, &page).unwrap();
    }
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(written == page, "run this test with UPDATE_PROVIDERS=1 and read the difference");
}

#[test]
fn there_are_more_than_a_hundred_beside_the_vendors_of_protocols() {
    let services = preset::ids().filter_map(preset::find);
    let compatible = services.filter(|preset| preset.dialect.name() == "openai" && preset.id != "openai");
    assert!(compatible.count() >= 100);
}
