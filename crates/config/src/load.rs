//! The way from texts to a snapshot.
//!
//! Owns the order of the steps: tree, structure, serde, meaning, masking. Must not know any one setting.

use crate::compile::{self, Inputs, StandIn};
use crate::file::File;
use crate::mask;
use crate::problem::{InvalidConfiguration, Problem, Problems};
use crate::snapshot::Snapshot;
use crate::source::{self, Source, Tree};
use crate::structure;
use trunkline_providers::upstream::Account;

/// A usable configuration and what was odd about it.
#[derive(Debug)]
pub struct Loaded {
    /// The compiled configuration.
    pub snapshot: Snapshot,
    /// Warnings only.
    pub problems: Problems,
    /// The texts it was made from, for showing: credentials written out in them are masked.
    pub sources: Vec<Source>,
    /// The routes that the texts name; the snapshot has the built-in one beside them.
    pub named_routes: Vec<String>,
}

/// Reads, checks and compiles a configuration.
///
/// # Errors
/// Everything that is wrong with it, at once, in the order of the text.
pub fn load(sources: Vec<Source>, inputs: &Inputs<'_>) -> Result<Loaded, InvalidConfiguration> {
    read(sources, inputs, None)
}

/// As [`load`], with other accounts in place of the configured ones: `stand_in` gets the account of each deployment (base URL
/// and credential resolved) and returns the one to use. Everything else is the configuration's own, which is what lets a
/// drill play a real configuration on simulators.
///
/// # Errors
/// Everything that is wrong with the configuration, at once.
pub fn load_standing_in(
    sources: Vec<Source>,
    inputs: &Inputs<'_>,
    stand_in: &dyn Fn(&Account) -> Account,
) -> Result<Loaded, InvalidConfiguration> {
    read(sources, inputs, Some(stand_in))
}

fn read(
    sources: Vec<Source>,
    inputs: &Inputs<'_>,
    stand_in: StandIn<'_>,
) -> Result<Loaded, InvalidConfiguration> {
    let mut problems = Problems::default();
    let tree = source::read(&sources, &mut problems);
    let (snapshot, named_routes) = match understand(&tree, &sources, &mut problems, inputs, stand_in) {
        Some((snapshot, named_routes)) => (Some(snapshot), named_routes),
        None => (None, Vec::new()),
    };
    problems.sort();
    let sources = mask::masked(sources, &tree);
    match snapshot {
        Some(snapshot) if !problems.has_errors() => Ok(Loaded { snapshot, problems, sources, named_routes }),
        _ => Err(InvalidConfiguration { problems, sources }),
    }
}

/// Checks structure and meaning. What has the wrong form is left out and the rest is compiled all the same, so that one run
/// tells of both; what only follows from a wrong form is not reported.
fn understand(
    tree: &Tree,
    sources: &[Source],
    problems: &mut Problems,
    inputs: &Inputs<'_>,
    stand_in: StandIn<'_>,
) -> Option<(Snapshot, Vec<String>)> {
    let root = &tree.root;
    let value = structure::check(root, &json_schema(), problems);
    if !tree.complete {
        return None;
    }
    let mistaken = problems.iter().map(|problem| problem.place.clone()).collect();
    match serde_json::from_value::<File>(value) {
        Ok(file) => {
            let snapshot = compile::compile(&file, root, mistaken, sources, problems, inputs, stand_in)?;
            Some((snapshot, file.routes.keys().cloned().collect()))
        }
        Err(error) => {
            // The structure check speaks first and knows places; this is the net below it.
            problems.push(Problem::new(root.place.clone(), format!("not a configuration: {error}")));
            None
        }
    }
}

/// The JSON Schema of a configuration file, for editors.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(File).to_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::Labelled;
    use std::time::Duration;
    use trunkline_model::catalogue::Date;
    use trunkline_model::secret::Secret;

    fn loaded(text: &str, stand_in: StandIn<'_>) -> Loaded {
        let source = Source { path: "test".to_owned(), text: text.to_owned() };
        let inputs = Inputs {
            environment: &|_| None,
            today: Date::from_unix_seconds(1_763_000_000),
            files: &|_| Err("no files here".to_owned()),
            labelled: &|_| Labelled { file: String::new(), texts: Ok(Vec::new()) },
        };
        read(vec![source], &inputs, stand_in).unwrap_or_else(|invalid| panic!("{invalid}"))
    }

    const TEXT: &str = "
        providers: { openai: { key: real } }
        deployments: { second: { model: openai/gpt-5, key: other, url: 'https://elsewhere/v1' } }
        routes: { one: { tiers: { main: { deployments: [openai/gpt-5-mini] } }, timeouts: { total: 20s, connect: 15s } } }
    ";

    #[test]
    fn timeouts_that_are_not_stated_leave_time_for_a_second_attempt() {
        let loaded = loaded(TEXT, None);
        let timeouts = loaded.snapshot.routes.find("one").unwrap().timeouts;
        assert_eq!([timeouts.first_token, timeouts.between_tokens], [Duration::from_secs(10); 2]);
        assert_eq!(timeouts.connect, Duration::from_secs(15));
        assert_eq!(loaded.named_routes, ["one"]);
    }

    #[test]
    fn an_account_that_stands_in_is_the_only_one_reached() {
        let stand_in = |account: &Account| Account {
            base_url: account.base_url.replace("https://", "http://stand-in.invalid/"),
            key: Some(Secret::new("dummy".to_owned())),
            ..account.clone()
        };
        let snapshot = loaded(TEXT, Some(&stand_in)).snapshot;
        for upstream in &snapshot.upstreams {
            assert_eq!(upstream.any_uri().and_then(|uri| uri.host()), Some("stand-in.invalid"));
            assert_eq!(upstream.headers["authorization"], "Bearer dummy");
        }
    }
}
