//! Which crate may depend on which.
//!
//! Owns the table of allowed directions and the list of things a pure crate must never reach. It reads the package
//! graph that cargo resolved, so that a forbidden dependency three crates away is found too; it must not read sources.
//! The table is written out rather than derived: a new edge is a decision, and this is where it is taken.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Deserialize;

use super::finding::Finding;

/// Every workspace crate and the workspace crates it may name among its normal dependencies.
pub(super) const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("wire", &["model"]),
    ("providers", &["model", "wire"]),
    ("embed", &["model"]),
    ("route", &["model", "embed"]),
    ("config", &["model", "wire", "providers", "route"]),
    ("net", &["model"]),
    ("store", &["model"]),
    ("gateway", &["model", "wire", "providers", "route", "embed", "config", "net", "store"]),
    ("console", &["model", "config", "gateway", "store"]),
    ("lab", &["model", "route", "embed", "config", "store"]),
    ("sim", &[]),
    (
        "trunkline",
        &[
            "model",
            "wire",
            "providers",
            "route",
            "embed",
            "config",
            "net",
            "store",
            "gateway",
            "console",
            "lab",
            "sim",
        ],
    ),
    ("xtask", &["model", "providers", "config"]),
];

/// Crates that compute and touch nothing: time, randomness and environment are arguments.
pub(super) const PURE: &[&str] = &["model", "wire", "providers", "route", "config", "embed"];

/// Packages no pure crate may reach through normal dependencies, at any distance.
const IMPURE: &[&str] = &[
    "tokio",
    "mio",
    "socket2",
    "async-io",
    "smol",
    "hyper",
    "hyper-util",
    "reqwest",
    "axum",
    "rusqlite",
    "libsqlite3-sys",
    "tokio-postgres",
    "redis",
    "trunkline-net",
    "trunkline-store",
    "trunkline-gateway",
];

/// Packages a pure crate may not name itself: sources of randomness. Others may use them inside, for hash seeds.
const RANDOM: &[&str] = &["rand", "getrandom", "fastrand"];

/// Only for tests: any crate may test itself against the simulators.
const TEST_ONLY: &str = "sim";

/// The resolved package graph.
#[derive(Debug, Default)]
pub(crate) struct Packages {
    /// Package identifier to name.
    names: BTreeMap<String, String>,
    /// Identifiers of workspace members.
    members: BTreeSet<String>,
    /// Package identifier to the packages it depends on.
    edges: BTreeMap<String, Vec<Edge>>,
}

#[derive(Debug, Clone)]
struct Edge {
    to: String,
    normal: bool,
    development: bool,
}

impl Packages {
    /// Reads what `cargo metadata --format-version 1` prints.
    ///
    /// # Errors
    /// When the text is not that.
    pub(crate) fn parse(metadata: &[u8]) -> serde_json::Result<Self> {
        let metadata: Metadata = serde_json::from_slice(metadata)?;
        let edge = |dependency: Dependency| {
            let has =
                |kind: Option<&str>| dependency.dep_kinds.iter().any(|entry| entry.kind.as_deref() == kind);
            Edge {
                normal: has(None) || has(Some("build")),
                development: has(Some("dev")),
                to: dependency.pkg,
            }
        };
        Ok(Self {
            names: metadata.packages.into_iter().map(|package| (package.id, package.name)).collect(),
            members: metadata.workspace_members.into_iter().collect(),
            edges: metadata
                .resolve
                .nodes
                .into_iter()
                .map(|node| (node.id, node.deps.into_iter().map(edge).collect()))
                .collect(),
        })
    }

    fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.names.get(id).map_or(id, String::as_str)
    }

    fn edges(&self, id: &str) -> &[Edge] {
        self.edges.get(id).map_or(&[], Vec::as_slice)
    }
}

/// Names the edges between workspace crates that the table does not allow.
pub(crate) fn check_directions(packages: &Packages) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in &packages.members {
        let from = short(packages.name(member));
        let manifest = manifest(from);
        let Some((_, allowed)) = MAY_DEPEND_ON.iter().find(|(name, _)| *name == from) else {
            let problem = format!("crate `{from}` is not in the table of dependency directions");
            findings.push(Finding::error(
                &manifest,
                0,
                problem,
                "give it a row in xtask/src/tidy/graph.rs, MAY_DEPEND_ON",
            ));
            continue;
        };
        for edge in packages.edges(member).iter().filter(|edge| packages.members.contains(&edge.to)) {
            let to = short(packages.name(&edge.to));
            let for_tests = !edge.normal && edge.development && to == TEST_ONLY;
            if to != from && !for_tests && !allowed.contains(&to) {
                let problem = format!("`{from}` may not depend on `{to}`: dependencies point down only");
                let remedy =
                    format!("move what is needed to a crate below both; `{from}` may use: {}", list(allowed));
                findings.push(Finding::error(&manifest, 0, problem, remedy));
            }
        }
    }
    findings
}

/// Names what pure crates must not reach, with the chain that leads there.
pub(crate) fn check_purity(packages: &Packages) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in &packages.members {
        let from = short(packages.name(member));
        if !PURE.contains(&from) {
            continue;
        }
        for chain in chains(packages, member) {
            let target = packages.name(chain.last().expect("a chain has at least its start"));
            let direct = chain.len() == 2;
            if IMPURE.contains(&target) || (direct && RANDOM.contains(&target)) {
                let path: Vec<&str> = chain.iter().map(|id| short(packages.name(id))).collect();
                let problem = format!("pure crate `{from}` reaches `{target}`: {}", path.join(" -> "));
                let remedy = "drop the dependency or its feature; take time, randomness and I/O as arguments";
                findings.push(Finding::error(&manifest(from), 0, problem, remedy));
            }
        }
    }
    findings
}

/// The shortest chain of normal dependencies from `start` to every package it reaches.
fn chains<'a>(packages: &'a Packages, start: &'a str) -> Vec<Vec<&'a str>> {
    let mut seen = BTreeSet::from([start]);
    let mut queue = VecDeque::from([vec![start]]);
    let mut found = Vec::new();
    while let Some(chain) = queue.pop_front() {
        let last = *chain.last().expect("a chain has at least its start");
        for edge in packages.edges(last).iter().filter(|edge| edge.normal) {
            if seen.insert(&edge.to) {
                let mut longer = chain.clone();
                longer.push(&edge.to);
                queue.push_back(longer.clone());
                found.push(longer);
            }
        }
    }
    found
}

fn short(name: &str) -> &str {
    name.strip_prefix("trunkline-").unwrap_or(name)
}

fn manifest(short_name: &str) -> String {
    if short_name == "xtask" {
        "xtask/Cargo.toml".to_owned()
    } else {
        format!("crates/{short_name}/Cargo.toml")
    }
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "no other crate of the workspace".to_owned() } else { names.join(", ") }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A graph in which names serve as identifiers. An edge is `(from, kind, to)`.
    fn graph(members: &[&str], edges: &[(&str, Option<&str>, &str)]) -> Packages {
        let mut names: BTreeSet<&str> = members.iter().copied().collect();
        names.extend(edges.iter().flat_map(|(from, _, to)| [*from, *to]));
        let node = |name: &&str| {
            let deps: Vec<_> = edges
                .iter()
                .filter(|(from, ..)| from == name)
                .map(|(_, kind, to)| serde_json::json!({ "pkg": to, "dep_kinds": [{ "kind": kind, "target": null }] }))
                .collect();
            serde_json::json!({ "id": name, "deps": deps })
        };
        let metadata = serde_json::json!({
            "packages": names.iter().map(|name| serde_json::json!({ "id": name, "name": name })).collect::<Vec<_>>(),
            "workspace_members": members,
            "resolve": { "nodes": names.iter().map(node).collect::<Vec<_>>() },
        });
        Packages::parse(metadata.to_string().as_bytes()).unwrap()
    }

    fn problems(findings: &[Finding]) -> Vec<&str> {
        findings.iter().map(|finding| finding.problem.as_str()).collect()
    }

    #[test]
    fn an_upward_dependency_is_found() {
        let packages = graph(
            &["trunkline-wire", "trunkline-model", "trunkline-route"],
            &[("trunkline-wire", None, "trunkline-model"), ("trunkline-model", None, "trunkline-route")],
        );
        let findings = check_directions(&packages);
        assert_eq!(problems(&findings), ["`model` may not depend on `route`: dependencies point down only"]);
        assert_eq!(findings[0].path, "crates/model/Cargo.toml");
        assert!(findings[0].remedy.ends_with("no other crate of the workspace"));
    }

    #[test]
    fn simulators_may_not_use_the_codecs_they_are_to_check() {
        let members = ["trunkline-sim", "trunkline-wire"];
        let normal = graph(&members, &[("trunkline-sim", None, "trunkline-wire")]);
        assert_eq!(check_directions(&normal).len(), 1);
        let in_tests = graph(&members, &[("trunkline-sim", Some("dev"), "trunkline-wire")]);
        assert_eq!(check_directions(&in_tests).len(), 1);
    }

    #[test]
    fn tests_may_use_the_simulators_and_nothing_else_upward() {
        let members = ["trunkline-net", "trunkline-sim", "trunkline-gateway"];
        let packages = graph(
            &members,
            &[
                ("trunkline-net", Some("dev"), "trunkline-sim"),
                ("trunkline-net", Some("dev"), "trunkline-gateway"),
            ],
        );
        assert_eq!(
            problems(&check_directions(&packages)),
            ["`net` may not depend on `gateway`: dependencies point down only"]
        );
        let shipped = graph(&members, &[("trunkline-net", None, "trunkline-sim")]);
        assert_eq!(check_directions(&shipped).len(), 1);
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        let packages = graph(&["trunkline-surprise"], &[]);
        assert!(check_directions(&packages)[0].problem.contains("`surprise` is not in the table"));
    }

    #[test]
    fn a_pure_crate_that_reaches_a_runtime_far_away_is_found_with_its_chain() {
        let packages = graph(
            &["trunkline-route"],
            &[("trunkline-route", None, "cel"), ("cel", None, "helper"), ("helper", Some("build"), "tokio")],
        );
        assert_eq!(
            problems(&check_purity(&packages)),
            ["pure crate `route` reaches `tokio`: route -> cel -> helper -> tokio"]
        );
    }

    #[test]
    fn purity_ignores_tests_and_hidden_randomness_but_not_named_randomness() {
        let packages = graph(
            &["trunkline-route"],
            &[
                ("trunkline-route", Some("dev"), "tokio"),
                ("trunkline-route", None, "hasher"),
                ("hasher", None, "getrandom"),
                ("trunkline-route", None, "rand"),
            ],
        );
        assert_eq!(problems(&check_purity(&packages)), ["pure crate `route` reaches `rand`: route -> rand"]);
    }

    #[test]
    fn crates_that_do_io_may_reach_a_runtime() {
        assert_eq!(check_purity(&graph(&["trunkline-net"], &[("trunkline-net", None, "tokio")])), []);
    }

    #[test]
    fn the_table_itself_points_down_only() {
        let rank = |name: &str| MAY_DEPEND_ON.iter().position(|(row, _)| *row == name);
        for (name, allowed) in MAY_DEPEND_ON {
            for other in *allowed {
                assert!(rank(other) < rank(name), "{name} -> {other}: rows stand below what they may use");
            }
        }
    }
}
