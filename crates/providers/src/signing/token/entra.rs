//! Tokens of Microsoft Entra, for Azure.
//!
//! Owns the client credentials grant and the machine's managed identity. Source: Microsoft's pages "OAuth 2.0 client credentials
//! flow" and "How to use managed identities to acquire an access token" (api-version 2018-02-01).

use super::response::{form, form_headers, read};
use super::{Identity, IdentityError};
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::credential::{Answer, CredentialSource, Fetch, Renewal, Step};
use trunkline_model::secret::Secret;

const AUTHORITY: &str = "https://login.microsoftonline.com";
const SCOPE: &str = "https://cognitiveservices.azure.com/.default";
const METADATA: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
const PATIENCE: Duration = Duration::from_secs(10);

/// The source for an identity; `None` when none is named.
pub(super) fn source(
    identity: Option<&Identity>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Arc<dyn CredentialSource>>, IdentityError> {
    let given = identity.cloned().unwrap_or_default();
    if given.file.is_some() {
        return Err(IdentityError::Unused("file"));
    }
    let scope = given.scope.unwrap_or_else(|| SCOPE.to_owned());
    if given.machine {
        let resource = scope.strip_suffix("/.default").unwrap_or(&scope).to_owned();
        let url = given.url.unwrap_or_else(|| METADATA.to_owned());
        let client_id = given.client_id;
        let name = format!("entra machine {url} {resource} {}", client_id.as_deref().unwrap_or_default());
        return Ok(Some(Arc::new(Entra { name, way: Way::Machine { url, resource, client_id } })));
    }
    let from = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
    let tenant = given.tenant.or_else(|| from("AZURE_TENANT_ID"));
    let client_id = given.client_id.or_else(|| from("AZURE_CLIENT_ID"));
    let secret = given.client_secret.or_else(|| from("AZURE_CLIENT_SECRET").map(Secret::new));
    let (tenant, client_id, secret) = match (tenant, client_id, secret) {
        (Some(tenant), Some(client_id), Some(secret)) => (tenant, client_id, secret),
        // Nobody asked for it: the environment alone is not complete.
        _ if identity.is_none() => return Ok(None),
        (None, ..) => return Err(IdentityError::Missing("tenant")),
        (_, None, _) => return Err(IdentityError::Missing("client_id")),
        (_, _, None) => return Err(IdentityError::Missing("client_secret")),
    };
    let url = given.url.unwrap_or_else(|| format!("{AUTHORITY}/{tenant}/oauth2/v2.0/token"));
    let name = format!("entra client {url} {client_id} {scope}");
    Ok(Some(Arc::new(Entra { name, way: Way::Client { url, client_id, secret, scope } })))
}

#[derive(Debug)]
struct Entra {
    name: String,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    Client { url: String, client_id: String, secret: Secret, scope: String },
    Machine { url: String, resource: String, client_id: Option<String> },
}

impl CredentialSource for Entra {
    fn identity(&self) -> &str {
        &self.name
    }

    fn renewal(&self) -> Box<dyn Renewal> {
        Box::new(Asking(self.way.clone()))
    }
}

struct Asking(Way);

impl Renewal for Asking {
    fn next(&mut self, answer: Answer, now: u64) -> Step {
        if !matches!(answer, Answer::Start) {
            return read("the token service", answer, now);
        }
        Step::Fetch(match &self.0 {
            Way::Client { url, client_id, secret, scope } => Fetch {
                method: "POST",
                url: url.clone(),
                headers: form_headers(),
                body: form(&[
                    ("grant_type", "client_credentials"),
                    ("client_id", client_id),
                    ("client_secret", secret.expose()),
                    ("scope", scope),
                ]),
                patience: PATIENCE,
            },
            Way::Machine { url, resource, client_id } => {
                let mut fields = vec![("api-version", "2018-02-01"), ("resource", resource.as_str())];
                fields.extend(client_id.as_deref().map(|id| ("client_id", id)));
                Fetch {
                    method: "GET",
                    url: format!("{url}?{}", form(&fields).expose()),
                    headers: vec![("metadata", Secret::new("true".to_owned()))],
                    body: Secret::new(String::new()),
                    patience: PATIENCE,
                }
            }
        })
    }
}
