//! The configuration for those who have none.
//!
//! Owns the text made from the API keys found in the environment. It is a text, not a snapshot, so that it goes through the
//! same checks as any file and can be printed, kept and edited.

use crate::source::Source;
use std::fmt::Write;
use trunkline_providers::preset;

/// The configuration made from the environment; `None` when no provider's key is there.
#[must_use]
pub fn from_environment(environment: &dyn Fn(&str) -> Option<String>) -> Option<Source> {
    let is_set = |name: &str| environment(name).is_some_and(|value| !value.trim().is_empty());
    let detected = preset::detect(is_set);
    if detected.is_empty() {
        return None;
    }
    let mut text = String::from("providers:\n");
    for provider in detected {
        let mut settings = Vec::new();
        if let Some(variable) = provider.key {
            settings.push(format!("key: \"${{{variable}}}\""));
        }
        if let Some(variable) = provider.url {
            settings.push(format!("url: \"${{{variable}}}\""));
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {}: {{ {} }}", provider.id, settings.join(", "));
    }
    Some(Source { path: "environment".to_owned(), text })
}
