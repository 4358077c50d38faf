//! What an account says beyond its key: which version of the API, which project and place, whose access tokens.
//!
//! Owns the checks that each of these settings can take effect where it stands.

use crate::compile::{Compiler, Inputs, signature};
use crate::file::{IdentitySettings, ProviderSettings};
use std::sync::Arc;
use trunkline_model::secret::Secret;
use trunkline_providers::preset::{Preset, UrlError, UrlSetting};
use trunkline_providers::signing::Signing;
use trunkline_providers::signing::token::{self, Identity, IdentityError};

/// The preset with the paths of the version that the account names; `None` is a mistake that has been reported.
pub(super) fn versioned(
    preset: Preset,
    name: &str,
    settings: &ProviderSettings,
    compiler: &mut Compiler<'_>,
) -> Option<Preset> {
    let path = |field| ["providers", name, field];
    let parts = [
        (UrlSetting::Project, "project", &settings.project),
        (UrlSetting::Location, "location", &settings.location),
    ];
    for (part, field, value) in parts {
        let problem = match value {
            None => continue,
            Some(_) if !preset.url_settings.contains_key(&part) => "it is no part of this provider's address",
            Some(_) if settings.url.is_some() => "the `url` says it already",
            Some(value) if value.is_empty() || value.contains(['/', ' ', '?', '#']) => {
                let hint = "write one word, as the provider's console shows it".to_owned();
                compiler.error(&path(field), format!("`{value}` is not a {field}"), Some(hint));
                return None;
            }
            Some(_) => continue,
        };
        compiler.error(&path(field), format!("this has no effect: {problem}"), Some("remove it".to_owned()));
        return None;
    }
    let Some(version) = &settings.api_version else { return Some(preset) };
    if preset.dated_endpoints.is_empty() {
        let problem = format!("this has no effect: `{}` has no dated versions", preset.id);
        compiler.error(&path("api_version"), problem, Some("remove it".to_owned()));
        return None;
    }
    let is_version = |text: &str| {
        let (date, rest) = text.split_at_checked(10).unwrap_or((text, ""));
        let digits = date.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
        text == "preview"
            || text == "latest"
            || (date.len() == 10 && digits && matches!(rest, "" | "-preview"))
    };
    if !is_version(version) {
        let hint = "write a date, for example `2024-10-21`, or a date with `-preview`".to_owned();
        compiler.error(&path("api_version"), format!("`{version}` is not a version"), Some(hint));
        return None;
    }
    Some(preset.of_version(version))
}

/// Where the variables of an address get their values: the account's settings, then the environment.
pub(super) fn address_parts<'a>(
    preset: &'a Preset,
    settings: &'a ProviderSettings,
    inputs: &'a Inputs<'_>,
) -> impl Fn(&str) -> Option<String> + 'a {
    let of_signature = signature::address_parts(preset, settings, inputs);
    move |variable| {
        let part = preset.url_settings.iter().find(|(_, name)| *name == variable).map(|(part, _)| part);
        let own = match part {
            Some(UrlSetting::Project) => settings.project.clone(),
            Some(UrlSetting::Location) => settings.location.clone(),
            None => None,
        };
        own.or_else(|| of_signature(variable))
    }
}

/// How to name the part of an address that is missing.
pub(super) fn missing_part(preset: &Preset, error: &UrlError) -> Option<String> {
    let UrlError::Unset { variable, .. } = error else { return None };
    if let Some(hint) = signature::missing_part(preset, error) {
        return Some(hint);
    }
    let part = preset.url_settings.iter().find(|(_, name)| *name == variable).map(|(part, _)| part);
    Some(match part {
        Some(UrlSetting::Project) => format!("set {variable}, or write `project: name`"),
        Some(UrlSetting::Location) => format!("set {variable}, or write `location: global` (or a region)"),
        None => format!("set {variable}, or write the whole address as `url`"),
    })
}

/// Access tokens in place of a key. The outer `None` is a mistake that has been reported.
#[expect(clippy::option_option, reason = "a mistake and an account with a key are different things")]
pub(super) fn signing(
    name: &str,
    preset: &Preset,
    settings: &ProviderSettings,
    compiler: &mut Compiler<'_>,
) -> Option<Option<Arc<Signing>>> {
    let path = ["providers", name, "identity"];
    let Some(service) = preset.key.tokens else {
        if settings.identity.is_some() {
            let problem = format!("this has no effect: `{}` takes a key, no access tokens", preset.id);
            compiler.error(&path, problem, Some("write a `key` instead".to_owned()));
            return None;
        }
        return Some(None);
    };
    if settings.identity.is_some() && settings.key.is_some() {
        let problem = "a `key` and an `identity` exclude each other";
        compiler.error(&path, problem, Some("remove one of them".to_owned()));
        return None;
    }
    let has_key = settings.key.is_some()
        || preset
            .key
            .env
            .iter()
            .any(|name| (compiler.inputs.environment)(name).is_some_and(|key| !key.trim().is_empty()));
    if settings.identity.is_none() && has_key {
        return Some(None);
    }
    let identity = match &settings.identity {
        Some(settings) => Some(expanded(name, settings, compiler)?),
        None => None,
    };
    match token::signing(service, identity.as_ref(), compiler.inputs.environment) {
        Ok(found) => Some(found),
        Err(error) => {
            let hint = match &error {
                IdentityError::Missing(field) => {
                    format!("add `{field}`, or `machine: true` for the identity of the machine")
                }
                IdentityError::Unused(field) => format!("remove `{field}`"),
            };
            compiler.error(&path, format!("failed to {error}"), Some(hint));
            None
        }
    }
}

fn expanded(name: &str, settings: &IdentitySettings, compiler: &mut Compiler<'_>) -> Option<Identity> {
    let mut read = |field: &str, text: &Option<String>| -> Option<Option<String>> {
        match text {
            None => Some(None),
            Some(text) => compiler.expand(&["providers", name, "identity", field], text).map(Some),
        }
    };
    Some(Identity {
        file: read("file", &settings.file)?,
        tenant: read("tenant", &settings.tenant)?,
        client_id: read("client_id", &settings.client_id)?,
        client_secret: read("client_secret", &settings.client_secret)?.map(Secret::new),
        scope: read("scope", &settings.scope)?,
        url: read("url", &settings.url)?,
        machine: settings.machine.unwrap_or(false),
    })
}
