//! Credentials of Amazon Web Services, and its signature.
//!
//! Owns which source an account's settings and the environment lead to. Must not read files or call addresses: sources say what
//! they need. What is stated in the configuration goes before the environment, keys before a profile, and a profile that was
//! named is the only source, so that a mistyped name does not end up as somebody else's credential.

mod chain;
mod profile;
mod sigv4;

use super::{CredentialSettings, Mistake, Scheme, Signing};
use chain::{Chain, Source};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use trunkline_model::credential::{Credential, CredentialSource, Fixed};
use trunkline_model::secret::Secret;

pub(super) use sigv4::{Keys, Scope, sign};

/// The address of the instance's metadata service.
const INSTANCE: &str = "http://169.254.169.254";
/// The address of the endpoint of ECS tasks.
const TASK: &str = "http://169.254.170.2";

/// Reads a variable of the environment.
type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// The region that settings or environment name.
pub(super) fn region(settings: &CredentialSettings, environment: Environment<'_>) -> Option<String> {
    let stated = settings.region.clone().or_else(|| variable(environment, "AWS_REGION"));
    stated.or_else(|| variable(environment, "AWS_DEFAULT_REGION"))
}

/// How an account signs its requests.
///
/// # Errors
/// Settings that contradict each other, or lack something.
pub(super) fn signing(
    service: &str,
    settings: &CredentialSettings,
    environment: Environment<'_>,
) -> Result<Signing, Mistake> {
    let Some(region) = region(settings, environment) else {
        return Err(Mistake {
            setting: None,
            message: "the region is not known, and requests are signed for one".to_owned(),
            hint: "add `region`, for example `region: us-east-1`, or set AWS_REGION".to_owned(),
        });
    };
    if region.is_empty()
        || !region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    {
        return Err(Mistake {
            setting: Some("region"),
            message: format!("`{region}` is not a region"),
            hint: "regions look like `us-east-1`".to_owned(),
        });
    }
    let source = source(&region, settings, environment)?;
    Ok(Signing { source, scheme: Scheme::AwsV4 { region, service: service.to_owned() } })
}

fn source(
    region: &str,
    settings: &CredentialSettings,
    environment: Environment<'_>,
) -> Result<Arc<dyn CredentialSource>, Mistake> {
    let CredentialSettings { access_key, secret_key, session_token, profile, .. } = settings;
    match (access_key, secret_key) {
        (Some(_), Some(_)) if profile.is_some() => Err(Mistake {
            setting: Some("profile"),
            message: "`profile` has no effect beside `access_key`".to_owned(),
            hint: "keep one of them".to_owned(),
        }),
        (Some(id), Some(secret)) => Ok(fixed(id, secret, session_token.as_ref())),
        (Some(_), None) => Err(Mistake {
            setting: Some("access_key"),
            message: "`access_key` needs its `secret_key`".to_owned(),
            hint: "add `secret_key: \"${AWS_SECRET_ACCESS_KEY}\"`".to_owned(),
        }),
        (None, Some(_)) => Err(Mistake {
            setting: Some("secret_key"),
            message: "`secret_key` needs its `access_key`".to_owned(),
            hint: "add `access_key: \"${AWS_ACCESS_KEY_ID}\"`".to_owned(),
        }),
        (None, None) if session_token.is_some() => Err(Mistake {
            setting: Some("session_token"),
            message: "`session_token` has no effect without `access_key` and `secret_key`".to_owned(),
            hint: "add both, or take it out".to_owned(),
        }),
        (None, None) => Ok(from_surroundings(region, profile.as_deref(), environment)),
    }
}

fn from_surroundings(
    region: &str,
    profile: Option<&str>,
    environment: Environment<'_>,
) -> Arc<dyn CredentialSource> {
    let keys = (variable(environment, "AWS_ACCESS_KEY_ID"), variable(environment, "AWS_SECRET_ACCESS_KEY"));
    if let (None, (Some(id), Some(secret))) = (profile, keys) {
        let session = variable(environment, "AWS_SESSION_TOKEN").map(Secret::new);
        return fixed(&id, &Secret::new(secret), session.as_ref());
    }
    let sources = match profile {
        Some(name) => vec![shared_files(name, environment)],
        None => usual(environment),
    };
    // The description shows no token, but another token is another source.
    let tokens: String = sources
        .iter()
        .filter_map(|source| match source {
            Source::Container { token, .. } => token.as_ref().map(Secret::expose),
            _ => None,
        })
        .collect();
    let whole = format!("{region} {sources:?} {tokens}");
    let identity = format!("aws chain {}", hex::encode(&Sha256::digest(whole)[..8]));
    Arc::new(Chain { identity, region: region.to_owned(), sources })
}

/// The usual chain after keys in the environment.
fn usual(environment: Environment<'_>) -> Vec<Source> {
    let mut sources = Vec::new();
    let identity =
        (variable(environment, "AWS_WEB_IDENTITY_TOKEN_FILE"), variable(environment, "AWS_ROLE_ARN"));
    if let (Some(file), Some(role)) = identity {
        let session = variable(environment, "AWS_ROLE_SESSION_NAME");
        sources.push(Source::WebIdentity { file, role, session });
    }
    let profile = variable(environment, "AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
    sources.push(shared_files(&profile, environment));
    let relative =
        variable(environment, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").map(|path| format!("{TASK}{path}"));
    if let Some(url) = relative.or_else(|| variable(environment, "AWS_CONTAINER_CREDENTIALS_FULL_URI")) {
        sources.push(Source::Container {
            url,
            token: variable(environment, "AWS_CONTAINER_AUTHORIZATION_TOKEN").map(Secret::new),
            token_file: variable(environment, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        });
    }
    let disabled = variable(environment, "AWS_EC2_METADATA_DISABLED");
    if !disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        let endpoint = variable(environment, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
        let endpoint = endpoint.unwrap_or_else(|| INSTANCE.to_owned()).trim_end_matches('/').to_owned();
        sources.push(Source::Instance { endpoint });
    }
    sources
}

fn shared_files(profile: &str, environment: Environment<'_>) -> Source {
    let home = variable(environment, "HOME").unwrap_or_default();
    let file = |name: &str, usual: &str| {
        variable(environment, name).unwrap_or_else(|| format!("{home}/.aws/{usual}"))
    };
    Source::Profile {
        name: profile.to_owned(),
        credentials: file("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        config: file("AWS_CONFIG_FILE", "config"),
    }
}

fn fixed(id: &str, secret: &Secret, session: Option<&Secret>) -> Arc<dyn CredentialSource> {
    let whole = format!("{id} {} {}", secret.expose(), session.map_or("", Secret::expose));
    let identity = format!("aws keys {}", hex::encode(&Sha256::digest(whole)[..8]));
    let credential =
        Credential::KeyPair { id: id.to_owned(), secret: secret.clone(), session: session.cloned() };
    Arc::new(Fixed::new(identity, credential))
}

fn variable(environment: Environment<'_>, name: &str) -> Option<String> {
    environment(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests;
