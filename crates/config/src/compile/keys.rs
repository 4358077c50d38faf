//! Virtual keys: digests, allow-lists, limits.

use crate::compile::Compiler;
use crate::compile::effort::effort;
use crate::compile::fleet::CompiledFleet;
use crate::digest::{KeyDigest, Pepper};
use crate::file::{File, KeySettings};
use crate::problem::did_you_mean;
use crate::snapshot::{KeyLimits, KeyRing, Routes, VirtualKey};
use trunkline_model::facts::Requirement;
use trunkline_model::id::Name;
use trunkline_model::secret::Secret;
use trunkline_route::caller::AllowList;
use trunkline_route::pattern::Pattern;

/// Compiles all keys.
pub(crate) fn compile(
    file: &File,
    fleet: &CompiledFleet,
    routes: &Routes,
    compiler: &mut Compiler<'_>,
) -> KeyRing {
    if file.key_secret.is_some() && file.keys.is_empty() {
        compiler.error(
            &["key_secret"],
            "this has no effect: no virtual key is configured",
            Some("take it out, or add a key under `keys`".to_owned()),
        );
    }
    let secret = file.key_secret.as_ref().and_then(|text| compiler.expand(&["key_secret"], text));
    let pepper = Pepper::new(&Secret::new(secret.unwrap_or_default()));
    let mut ring = KeyRing::new(pepper);
    for (name, settings) in &file.keys {
        let Some(digest) = digest(name, settings, ring.pepper(), compiler) else { continue };
        if settings.digest.is_some() && file.key_secret.is_none() {
            compiler.warning(
                &["keys", name, "digest"],
                "there is no `key_secret`: the digest fits only if `trunkline key` made it without TRUNKLINE_KEY_SECRET",
                None,
            );
        }
        let fits_model = |pattern: &Pattern| fleet.matches(pattern);
        let fits_route = |pattern: &Pattern| routes.matches(pattern);
        let allow = AllowList {
            models: patterns(name, "models", &settings.models, &fits_model, compiler),
            routes: patterns(name, "routes", &settings.routes, &fits_route, compiler),
        };
        let requirements = requirements(&["keys", name, "require"], &settings.require, compiler);
        let key = VirtualKey {
            name: name.as_str().into(),
            pin: pin(name, settings, (&allow, &requirements), fleet, compiler),
            allow,
            passthrough: patterns(
                name,
                "passthrough",
                &settings.passthrough,
                &|pattern| fleet.fleet.iter().any(|(_, one)| pattern.matches(&one.provider)),
                compiler,
            ),
            requirements,
            limits: KeyLimits {
                requests_per_minute: compiler
                    .at_least_one(&["keys", name, "requests_per_minute"], settings.requests_per_minute),
                tokens_per_minute: compiler
                    .at_least_one(&["keys", name, "tokens_per_minute"], settings.tokens_per_minute),
                concurrency: compiler.at_least_one(&["keys", name, "concurrency"], settings.concurrency),
            },
            tags: tags(settings),
            effort: settings.effort.map(effort),
            revoked: settings.revoked.unwrap_or(false),
        };
        if !ring.insert(digest, key) {
            compiler.error(
                &["keys", name],
                format!("the key `{name}` is the same secret as another key"),
                None,
            );
        }
    }
    ring
}

/// The deployment a key is pinned to, where it can serve the key at all.
fn pin(
    name: &str,
    settings: &KeySettings,
    (allow, requirements): (&AllowList, &[Requirement]),
    fleet: &CompiledFleet,
    compiler: &mut Compiler<'_>,
) -> Option<Name> {
    let written = settings.pin.as_ref()?;
    let path = ["keys", name, "pin"];
    let index = fleet.resolve(&path, written, compiler)?;
    let deployment = fleet.fleet.deployment(index);
    if !allow.models.is_empty()
        && !allow.models.iter().any(|pattern| fleet.fleet.matches(index, pattern))
        && !compiler.is_mistaken(&["keys", name, "models"])
    {
        compiler.error(
            &path,
            format!("every request would be refused: the key's `models` leave out `{written}`"),
            Some("list it there, or take `pin` or `models` out".to_owned()),
        );
    }
    for unmet in requirements.iter().filter(|requirement| !requirement.is_satisfied_by(&deployment.facts)) {
        compiler.error(
            &path,
            format!("every request would be refused: the key requires `{unmet}`, which `{written}` is not known to satisfy"),
            Some("state it under `data` of the provider or deployment, or pin another one".to_owned()),
        );
    }
    if !settings.passthrough.is_empty() {
        compiler.error(
            &["keys", name, "passthrough"],
            "requests that are passed as they are could use any model: they cannot be pinned",
            Some("give them a key of their own, without `pin`".to_owned()),
        );
    }
    Some(Name::clone(&deployment.id))
}

fn digest(
    name: &str,
    settings: &KeySettings,
    pepper: &Pepper,
    compiler: &mut Compiler<'_>,
) -> Option<KeyDigest> {
    let path = ["keys", name];
    match (&settings.key, &settings.digest) {
        (Some(text), None) => {
            let text = compiler.expand(&["keys", name, "key"], text)?;
            if text.len() < 16 {
                compiler.error(
                    &["keys", name, "key"],
                    format!("the key `{name}` is shorter than 16 characters, which can be guessed"),
                    Some("`trunkline key new` makes one".to_owned()),
                );
                return None;
            }
            Some(pepper.digest(&text))
        }
        (None, Some(text)) => KeyDigest::parse(text).or_else(|| {
            compiler.error(
                &["keys", name, "digest"],
                "not a digest: expected 64 hexadecimal digits",
                Some("`trunkline key digest` prints it".to_owned()),
            );
            None
        }),
        // A digest or key of the wrong form has been reported.
        (None, None) if compiler.is_mistaken(&path) => None,
        _ => {
            compiler.error(
                &path,
                format!("the key `{name}` needs exactly one of `key` and `digest`"),
                Some("write `key: \"${ENVIRONMENT_VARIABLE}\"`".to_owned()),
            );
            None
        }
    }
}

fn patterns(
    name: &str,
    field: &str,
    texts: &[String],
    matches: &dyn Fn(&Pattern) -> bool,
    compiler: &mut Compiler<'_>,
) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for (position, text) in texts.iter().enumerate() {
        let path = ["keys", name, field, &position.to_string()];
        match Pattern::new(text.as_str()) {
            Ok(pattern) => {
                // With mistakes elsewhere, what it should match may only be missing for now.
                if !matches(&pattern) && !compiler.problems.has_errors() {
                    compiler.warning(
                        &path,
                        format!("`{text}` matches nothing that is configured, so it allows nothing"),
                        None,
                    );
                }
                patterns.push(pattern);
            }
            Err(error) => compiler.error(&path, format!("failed to {error}"), None),
        }
    }
    patterns
}

/// Reads a list of hard demands.
pub(crate) fn requirements(path: &[&str], texts: &[String], compiler: &mut Compiler<'_>) -> Vec<Requirement> {
    let mut requirements = Vec::new();
    for (position, text) in texts.iter().enumerate() {
        match Requirement::parse(text) {
            Some(requirement) => requirements.push(requirement),
            None => {
                let position = position.to_string();
                let mut path = path.to_vec();
                path.push(&position);
                let hint = did_you_mean(text, ["zdr", "no-train", "baa", "region:eu"]);
                compiler.error(&path, format!("`{text}` is not a requirement"), hint);
            }
        }
    }
    requirements
}

fn tags(settings: &KeySettings) -> Vec<(Name, Name)> {
    let mut tags: Vec<(Name, Name)> =
        settings.tags.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect();
    tags.sort();
    tags
}
