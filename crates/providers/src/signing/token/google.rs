//! Tokens of Google Cloud.
//!
//! Owns the usual chain: a file (a service account's key, or a user's refresh token), and where none is named the file that
//! `gcloud` writes, then the machine's metadata server. Files are read anew at each renewal, so that a rotated key is taken up.
//! Sources: Google's pages "Application Default Credentials" and "Using OAuth 2.0 for Server to Server Applications"; RFC 7523.

use super::response::{form, form_headers, read};
use super::{Identity, IdentityError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Deserializer};
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::credential::{Answer, CredentialSource, Fetch, Renewal, Step};
use trunkline_model::secret::Secret;

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
const METADATA_HOST: &str = "metadata.google.internal";
const METADATA_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const PATIENCE: Duration = Duration::from_secs(10);
/// Off Google's machines nobody answers there.
const METADATA_PATIENCE: Duration = Duration::from_secs(3);
/// The longest an assertion may be valid.
const ASSERTION_LIFE: u64 = 3_600;
/// What the service is called in messages.
const NAME: &str = "the token service";

/// The source for an identity. There always is one: the machine's own is the last resort.
pub(super) fn source(
    identity: Option<&Identity>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Arc<dyn CredentialSource>>, IdentityError> {
    let given = identity.cloned().unwrap_or_default();
    for (name, is_given) in [
        ("tenant", given.tenant.is_some()),
        ("client_id", given.client_id.is_some()),
        ("client_secret", given.client_secret.is_some()),
    ] {
        if is_given {
            return Err(IdentityError::Unused(name));
        }
    }
    let from = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
    let host = from("GCE_METADATA_HOST").unwrap_or_else(|| METADATA_HOST.to_owned());
    let way = Way {
        named: if given.machine {
            None
        } else {
            given.file.or_else(|| from("GOOGLE_APPLICATION_CREDENTIALS"))
        },
        usual: from("HOME")
            .filter(|_| !given.machine)
            .map(|home| format!("{home}/.config/gcloud/application_default_credentials.json")),
        metadata: format!("http://{host}{METADATA_PATH}"),
        scope: given.scope.unwrap_or_else(|| SCOPE.to_owned()),
        token_url: given.url,
    };
    let place = way.named.as_ref().or(way.usual.as_ref()).unwrap_or(&way.metadata);
    let name = format!("google {place} {} {}", way.scope, way.token_url.as_deref().unwrap_or_default());
    Ok(Some(Arc::new(Google { name, way })))
}

#[derive(Debug)]
struct Google {
    name: String,
    way: Way,
}

#[derive(Clone, Debug)]
struct Way {
    /// The file that someone named.
    named: Option<String>,
    /// The file where it usually stands.
    usual: Option<String>,
    metadata: String,
    scope: String,
    /// Over the address that the file names.
    token_url: Option<String>,
}

impl CredentialSource for Google {
    fn identity(&self) -> &str {
        &self.name
    }

    fn renewal(&self) -> Box<dyn Renewal> {
        Box::new(Asking { way: self.way.clone(), stage: Stage::Begin })
    }
}

struct Asking {
    way: Way,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begin,
    /// A file is being read; whether the metadata server is asked when there is none.
    Reading {
        or_else: bool,
    },
    Asked,
}

/// A file with credentials.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum File {
    ServiceAccount {
        client_email: String,
        #[serde(deserialize_with = "secret")]
        private_key: Secret,
        #[serde(default)]
        private_key_id: String,
        #[serde(default)]
        token_uri: Option<String>,
    },
    AuthorizedUser {
        client_id: String,
        #[serde(deserialize_with = "secret")]
        client_secret: Secret,
        #[serde(deserialize_with = "secret")]
        refresh_token: Secret,
        #[serde(default)]
        token_uri: Option<String>,
    },
    #[serde(other)]
    Other,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}

impl Renewal for Asking {
    fn next(&mut self, answer: Answer, now: u64) -> Step {
        match (self.stage, answer) {
            (Stage::Begin, _) => {
                let (path, or_else) = match (&self.way.named, &self.way.usual) {
                    (Some(path), _) => (path, false),
                    (None, Some(path)) => (path, true),
                    (None, None) => return self.metadata(),
                };
                self.stage = Stage::Reading { or_else };
                Step::Read(path.clone())
            }
            (Stage::Reading { .. }, Answer::File(text)) => self.exchange(&text, now),
            (Stage::Reading { or_else: true }, _) => self.metadata(),
            (Stage::Reading { .. }, Answer::Unavailable(reason)) => Step::Failed(reason),
            (Stage::Reading { .. }, _) => Step::Failed("the file was not read".to_owned()),
            (Stage::Asked, answer) => read(NAME, answer, now),
        }
    }
}

impl Asking {
    fn metadata(&mut self) -> Step {
        self.stage = Stage::Asked;
        Step::Fetch(Fetch {
            method: "GET",
            url: self.way.metadata.clone(),
            headers: vec![("metadata-flavor", Secret::new("Google".to_owned()))],
            body: Secret::new(String::new()),
            patience: METADATA_PATIENCE,
        })
    }

    fn exchange(&mut self, text: &Secret, now: u64) -> Step {
        self.stage = Stage::Asked;
        // The parser's own message could quote the key.
        let Ok(file) = serde_json::from_str::<File>(text.expose()) else {
            return Step::Failed(
                "the file with credentials is not one of a service account or a user".to_owned(),
            );
        };
        let (url, body) = match file {
            File::ServiceAccount { client_email, private_key, private_key_id, token_uri } => {
                let url = self.token_url(token_uri);
                let claims = Claims { email: &client_email, scope: &self.way.scope, audience: &url, now };
                match assertion(&claims, &private_key, &private_key_id) {
                    Ok(assertion) => {
                        let body = form(&[("grant_type", GRANT), ("assertion", assertion.expose())]);
                        (url, body)
                    }
                    Err(reason) => return Step::Failed(reason.to_owned()),
                }
            }
            File::AuthorizedUser { client_id, client_secret, refresh_token, token_uri } => {
                let body = form(&[
                    ("grant_type", "refresh_token"),
                    ("client_id", &client_id),
                    ("client_secret", client_secret.expose()),
                    ("refresh_token", refresh_token.expose()),
                ]);
                (self.token_url(token_uri), body)
            }
            File::Other => {
                return Step::Failed(
                    "the file with credentials is of another kind than service_account and authorized_user"
                        .to_owned(),
                );
            }
        };
        Step::Fetch(Fetch { method: "POST", url, headers: form_headers(), body, patience: PATIENCE })
    }

    fn token_url(&self, in_file: Option<String>) -> String {
        self.way.token_url.clone().or(in_file).unwrap_or_else(|| TOKEN_URL.to_owned())
    }
}

struct Claims<'a> {
    email: &'a str,
    scope: &'a str,
    audience: &'a str,
    now: u64,
}

/// The signed statement that is exchanged for a token (RFC 7523): a JSON web token with RS256.
fn assertion(claims: &Claims<'_>, key: &Secret, key_id: &str) -> Result<Secret, &'static str> {
    const NOT_A_KEY: &str = "the private key in the file with credentials is not an RSA key in PKCS #8";
    let der = PrivatePkcs8KeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|_| NOT_A_KEY)?;
    let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| NOT_A_KEY)?;
    let mut header = serde_json::json!({"alg": "RS256", "typ": "JWT"});
    if !key_id.is_empty() {
        header["kid"] = key_id.into();
    }
    let claims = serde_json::json!({"iss": claims.email, "scope": claims.scope, "aud": claims.audience,
        "iat": claims.now, "exp": claims.now.saturating_add(ASSERTION_LIFE)});
    let mut text = URL_SAFE_NO_PAD.encode(header.to_string());
    text.push('.');
    text.push_str(&URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut signature = vec![0; pair.public().modulus_len()];
    // The signature depends on nothing random: the generator only blinds the computation.
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
        .map_err(|_| "the private key in the file with credentials cannot sign")?;
    text.push('.');
    text.push_str(&URL_SAFE_NO_PAD.encode(signature));
    Ok(Secret::new(text))
}
