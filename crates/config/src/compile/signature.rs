//! What an account says of signing its requests: the region, and whose credential.
//!
//! Owns the checks that each of these settings can take effect where it stands. Must not know any way of signing: `providers`
//! does.

use crate::compile::{Compiler, Inputs};
use crate::file::ProviderSettings;
use std::sync::Arc;
use trunkline_model::secret::Secret;
use trunkline_providers::preset::{Preset, UrlError};
use trunkline_providers::signing::{self, CredentialSettings, Signing};

/// Whether the settings name a credential to sign with.
pub(super) fn is_stated(preset: &Preset, settings: &ProviderSettings) -> bool {
    preset.signature.is_some() && stated(settings).is_some()
}

/// The first setting that names a credential to sign with.
fn stated(settings: &ProviderSettings) -> Option<&'static str> {
    let all = [
        ("profile", &settings.profile),
        ("access_key", &settings.access_key),
        ("secret_key", &settings.secret_key),
        ("session_token", &settings.session_token),
    ];
    all.into_iter().find(|(_, value)| value.is_some()).map(|(name, _)| name)
}

/// Where the variables of an address get their values: the account's settings, then the environment.
pub(super) fn address_parts<'a>(
    preset: &'a Preset,
    settings: &'a ProviderSettings,
    inputs: &'a Inputs<'_>,
) -> impl Fn(&str) -> Option<String> + 'a {
    move |variable| match preset.signature.as_ref().filter(|signature| signature.region == variable) {
        Some(signature) => {
            let settings = CredentialSettings {
                region: expanded_region(settings, inputs),
                ..CredentialSettings::default()
            };
            signing::region(signature.kind, &settings, inputs.environment)
        }
        None => (inputs.environment)(variable),
    }
}

/// What is wrong with it is reported where the signature is made.
fn expanded_region(settings: &ProviderSettings, inputs: &Inputs<'_>) -> Option<String> {
    crate::scalar::expand(settings.region.as_deref()?, inputs.environment).ok()
}

/// How to name the part of an address that is missing.
pub(super) fn missing_part(preset: &Preset, error: &UrlError) -> Option<String> {
    let UrlError::Unset { variable, .. } = error else { return None };
    let signature = preset.signature.as_ref().filter(|signature| signature.region == *variable)?;
    Some(format!("set {}, or write `region`, for example `region: us-east-1`", signature.region))
}

/// How requests are signed, where no key is sent. The outer `None` is a mistake that has been reported.
#[expect(clippy::option_option, reason = "a mistake and an account with a key are different things")]
pub(super) fn signing(
    name: &str,
    preset: &Preset,
    settings: &ProviderSettings,
    has_key: bool,
    compiler: &mut Compiler<'_>,
) -> Option<Option<Arc<Signing>>> {
    let Some(signature) = &preset.signature else {
        let region = settings.region.is_some().then_some("region");
        if let Some(field) = region.or_else(|| stated(settings)) {
            let problem = format!("this has no effect: requests to `{}` are not signed", preset.id);
            compiler.error(&["providers", name, field], problem, Some("remove it".to_owned()));
            return None;
        }
        return Some(None);
    };
    if has_key {
        if let Some(field) = stated(settings) {
            let problem = format!("`{field}` has no effect beside `key`");
            compiler.error(&["providers", name, field], problem, Some("keep one of them".to_owned()));
            return None;
        }
        if settings.region.is_some() && settings.url.is_some() {
            let problem = "this has no effect: the `url` says it already, and a key needs no region";
            compiler.error(&["providers", name, "region"], problem, Some("remove it".to_owned()));
            return None;
        }
        return Some(None);
    }
    let mut read = |field: &str, text: &Option<String>| -> Option<Option<String>> {
        match text {
            None => Some(None),
            Some(text) => compiler.expand(&["providers", name, field], text).map(Some),
        }
    };
    let credentials = CredentialSettings {
        region: read("region", &settings.region)?,
        profile: read("profile", &settings.profile)?,
        access_key: read("access_key", &settings.access_key)?,
        secret_key: read("secret_key", &settings.secret_key)?.map(Secret::new),
        session_token: read("session_token", &settings.session_token)?.map(Secret::new),
    };
    match Signing::signature(signature.kind, &signature.service, &credentials, compiler.inputs.environment) {
        Ok(signing) => Some(Some(Arc::new(signing))),
        // A region that is missing from the address has been reported there.
        Err(mistake) if mistake.setting.is_none() && settings.url.is_none() => None,
        Err(mistake) => {
            let field = mistake.setting.unwrap_or("url");
            compiler.error(&["providers", name, field], mistake.message, Some(mistake.hint));
            None
        }
    }
}
