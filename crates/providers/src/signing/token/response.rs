//! The answer of a token service (RFC 6749, section 5), the same form everywhere.
//!
//! Owns its reading. Must not repeat any of it but the error code, which is not secret.

use serde::Deserialize;
use trunkline_model::credential::{Answer, Credential, Issued, Step};
use trunkline_model::secret::Secret;

/// How long a token lives whose end is not told.
const USUAL_LIFE: u64 = 3_000;

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    /// Seconds; Microsoft's metadata service writes it as a string.
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Refused {
    #[serde(default)]
    error: String,
}

/// What the answer of the service called `name` comes to.
pub(super) fn read(name: &str, answer: Answer, now: u64) -> Step {
    let (status, body) = match answer {
        Answer::Response { status, body } => (status, body),
        Answer::Unavailable(reason) => return Step::Failed(reason),
        Answer::Start | Answer::File(_) => return Step::Failed(format!("{name} was not asked")),
    };
    if status != 200 {
        let code =
            serde_json::from_str::<Refused>(body.expose()).map(|refused| refused.error).unwrap_or_default();
        let known = !code.is_empty()
            && code.len() <= 64
            && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let reason = if known { format!(": {code}") } else { String::new() };
        return Step::Failed(format!("{name} refused with HTTP {status}{reason}"));
    }
    let Ok(granted) = serde_json::from_str::<Granted>(body.expose()) else {
        return Step::Failed(format!("{name} answered something that is no token"));
    };
    let life = match granted.expires_in {
        Some(serde_json::Value::Number(seconds)) => seconds.as_u64(),
        Some(serde_json::Value::String(seconds)) => seconds.parse().ok(),
        _ => None,
    };
    let expires = now.saturating_add(life.unwrap_or(USUAL_LIFE));
    Step::Done(Issued {
        credential: Credential::Token(Secret::new(granted.access_token)),
        expires: Some(expires),
    })
}

/// The body of a token request.
pub(super) fn form(fields: &[(&str, &str)]) -> Secret {
    let mut text = String::new();
    for (name, value) in fields {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    text.push(char::from(byte))
                }
                _ => text.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    Secret::new(text)
}

/// The header of such a body.
pub(super) fn form_headers() -> Vec<(&'static str, Secret)> {
    vec![("content-type", Secret::new("application/x-www-form-urlencoded".to_owned()))]
}
