//! A token service: gives access tokens for the proofs that Google Cloud and Microsoft Entra accept.
//!
//! Owns the grants it knows and their checks; signatures are not verified, their form is. Sources: RFC 6749, RFC 7523, the
//! metadata servers' documentation of both vendors.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use super::{Context, Dialect, Inbound, Output, Refusal, Stamp};

/// The token that is given; simulators that are to accept it name it among their keys.
pub(crate) const TOKEN: &str = "sim-access-token";

/// The service.
#[derive(Debug)]
pub(crate) struct Tokens;

impl Dialect for Tokens {
    fn claims(&self, inbound: &Inbound) -> bool {
        inbound.path.ends_with("/token")
    }

    fn model(&self, _inbound: &Inbound) -> Option<String> {
        None
    }

    fn credential(&self, _inbound: &Inbound) -> Option<String> {
        // The proof is in the body.
        Some(TOKEN.to_owned())
    }

    fn answer(&self, inbound: &Inbound, _context: &Context<'_>) -> Result<Output, Refusal> {
        if !self.claims(inbound) {
            return Err(Refusal::UnknownPath);
        }
        if inbound.method == Method::GET {
            let google = inbound.header("metadata-flavor") == Some("Google");
            let microsoft =
                inbound.header("metadata") == Some("true") && inbound.parameter("resource").is_some();
            return if google || microsoft { Ok(granted()) } else { Err(Refusal::Forbidden) };
        }
        let text = String::from_utf8_lossy(&inbound.body);
        let field = |name: &str| {
            let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
            pairs.clone().find(|(key, _)| *key == name).map(|(_, value)| value.replace("%3A", ":"))
        };
        let given =
            |names: &[&str]| names.iter().all(|name| field(name).is_some_and(|value| !value.is_empty()));
        let fine = match field("grant_type").as_deref() {
            Some("client_credentials") => given(&["client_id", "client_secret", "scope"]),
            Some("refresh_token") => given(&["client_id", "client_secret", "refresh_token"]),
            Some("urn:ietf:params:oauth:grant-type:jwt-bearer") => {
                field("assertion").is_some_and(|text| is_assertion(&text))
            }
            _ => return Err(Refusal::invalid("unsupported_grant_type")),
        };
        if fine { Ok(granted()) } else { Err(Refusal::invalid("invalid_grant")) }
    }

    fn refuse(&self, refusal: &Refusal, _inbound: &Inbound, _stamp: &Stamp) -> Output {
        let (status, code) = match refusal {
            Refusal::Invalid(invalid) => (StatusCode::BAD_REQUEST, invalid.message.as_str()),
            Refusal::Internal | Refusal::BadGateway => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
            Refusal::Unavailable | Refusal::Overloaded => {
                (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
            }
            Refusal::UnknownPath => (StatusCode::NOT_FOUND, "not_found"),
            Refusal::RateLimited { .. } | Refusal::QuotaExhausted => {
                (StatusCode::TOO_MANY_REQUESTS, "slow_down")
            }
            _ => (StatusCode::UNAUTHORIZED, "invalid_client"),
        };
        Output::json(status, &json!({"error": code, "error_description": "simulated"}), 0)
    }

    fn refuse_in_stream(&self, _refusal: &Refusal, _inbound: &Inbound, _stamp: &Stamp) -> Bytes {
        Bytes::new()
    }

    fn malformed(&self, _inbound: &Inbound) -> Bytes {
        Bytes::from_static(b"{\"access_token\":\n")
    }

    fn identify(&self, _headers: &mut HeaderMap, _stamp: &Stamp) {}
}

fn granted() -> Output {
    Output::json(
        StatusCode::OK,
        &json!({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}),
        0,
    )
}

/// Whether a text is a JSON web token with the claims a service account must make.
fn is_assertion(text: &str) -> bool {
    let parts: Vec<Option<Value>> = text
        .split('.')
        .take(2)
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok())
        .collect();
    let [Some(header), Some(claims)] = parts.as_slice() else { return false };
    let texts = ["iss", "scope", "aud"]
        .iter()
        .all(|name| claims[*name].as_str().is_some_and(|text| !text.is_empty()));
    let life = claims["exp"].as_u64().unwrap_or(0).saturating_sub(claims["iat"].as_u64().unwrap_or(u64::MAX));
    let signed = text.split('.').nth(2).is_some_and(|signature| signature.len() > 300);
    header["alg"] == "RS256" && texts && (1..=3_600).contains(&life) && signed
}
