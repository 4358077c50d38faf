//! AWS Signature Version 4.
//!
//! Owns the canonical request, the string to sign and the header that carries the signature. Must not read a clock or obtain
//! keys. A pure function of request, keys and time, so that it is tested against known answers. Source: "Create a signed AWS
//! API request" in AWS's IAM user guide. The path stands in the URL as it goes on the wire, encoded once; its canonical form is
//! that encoded again, as for every service but S3, which also wants the digest of the body in a header ("Signature calculations for the
//! Authorization header" in its API reference).

use super::super::{SigningError, Unsigned, secret_value};
use hmac::{Hmac, KeyInit, Mac};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Uri};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// The name of the algorithm.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
/// The digest of the body, which one service wants as a header too.
const CONTENT: HeaderName = HeaderName::from_static("x-amz-content-sha256");
/// That service. The path of its requests is signed as it stands.
const OBJECT_STORE: &str = "s3";

/// Keys to sign with.
#[derive(Clone, Copy)]
pub(in super::super) struct Keys<'a> {
    /// The access key's id.
    pub(in super::super) id: &'a str,
    /// The secret access key.
    pub(in super::super) secret: &'a str,
    /// The session's token, for keys that live for a while.
    pub(in super::super) session: Option<&'a str>,
}

/// Where a signature is valid.
#[derive(Clone, Copy)]
pub(in super::super) struct Scope<'a> {
    /// The region, for example `us-east-1`.
    pub(in super::super) region: &'a str,
    /// The service's signing name, for example `bedrock`.
    pub(in super::super) service: &'a str,
}

/// Signs a request: adds `x-amz-date`, `authorization`, and the session's token if there is one. `now` is Unix seconds.
///
/// # Errors
/// When a key holds characters that no header can carry.
pub(in super::super) fn sign(
    keys: Keys<'_>,
    scope: Scope<'_>,
    request: &Unsigned<'_>,
    now: u64,
    headers: &mut HeaderMap,
) -> Result<(), SigningError> {
    let time = timestamp(now);
    let date = &time[..8];
    headers.insert(DATE, HeaderValue::from_str(&time).expect("digits and letters make a header"));
    if let Some(session) = keys.session {
        headers.insert(TOKEN, secret_value(session)?);
    }
    let mut digest = Sha256::new();
    request.body.iter().for_each(|piece| digest.update(piece));
    let content = hex::encode(digest.finalize());
    let Scope { region, service } = scope;
    let is_object_store = service == OBJECT_STORE;
    if is_object_store {
        headers.insert(CONTENT, HeaderValue::from_str(&content).expect("digits and letters make a header"));
    }
    let (canonical, signed) = canonical_request(request, headers, &content, is_object_store);
    let place = format!("{date}/{region}/{service}/aws4_request");
    let digest = hex::encode(Sha256::digest(canonical.as_bytes()));
    let to_sign = format!("{ALGORITHM}\n{time}\n{place}\n{digest}");
    let mut key = mac(format!("AWS4{}", keys.secret).as_bytes(), date.as_bytes());
    for part in [region, service, "aws4_request"] {
        key = mac(&key, part.as_bytes());
    }
    let signature = hex::encode(mac(&key, to_sign.as_bytes()));
    let text =
        format!("{ALGORITHM} Credential={}/{place}, SignedHeaders={signed}, Signature={signature}", keys.id);
    headers.insert(AUTHORIZATION, secret_value(&text)?);
    Ok(())
}

/// The canonical request over a body of some digest, and the names of the headers that are signed.
fn canonical_request(
    request: &Unsigned<'_>,
    headers: &HeaderMap,
    content: &str,
    is_object_store: bool,
) -> (String, String) {
    // In the order of their names.
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .map_or_else(|| host(request.uri), str::to_owned);
    let mut lines = Vec::with_capacity(5);
    let mut add = |name: &'static str, value: Option<&HeaderValue>| {
        if let Some(value) = value.and_then(|value| value.to_str().ok()) {
            lines.push((name, collapse(value)));
        }
    };
    add("content-type", headers.get(CONTENT_TYPE));
    lines.push(("host", host));
    let mut add = |name: &'static str, value: Option<&HeaderValue>| {
        if let Some(value) = value.and_then(|value| value.to_str().ok()) {
            lines.push((name, collapse(value)));
        }
    };
    add("x-amz-content-sha256", headers.get(CONTENT).filter(|_| is_object_store));
    add("x-amz-date", headers.get(DATE));
    add("x-amz-security-token", headers.get(TOKEN));
    let signed: Vec<&str> = lines.iter().map(|(name, _)| *name).collect();
    let signed = signed.join(";");
    let mut text = String::with_capacity(512);
    let path = request.uri.path();
    text.push_str(request.method);
    text.push('\n');
    match if path.is_empty() { "/" } else { path } {
        path if is_object_store => text.push_str(path),
        path => encode_again(path, &mut text),
    }
    text.push('\n');
    text.push_str(&canonical_query(request.uri.query().unwrap_or_default()));
    text.push('\n');
    for (name, value) in &lines {
        text.push_str(name);
        text.push(':');
        text.push_str(value);
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&signed);
    text.push('\n');
    text.push_str(content);
    (text, signed)
}

/// The value of the `host` header that the URL leads to: without the scheme's usual port.
fn host(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    match (uri.scheme_str(), uri.port_u16()) {
        (_, None) | (Some("https"), Some(443)) | (Some("http"), Some(80)) => host.to_owned(),
        (_, Some(port)) => format!("{host}:{port}"),
    }
}

/// Blanks around a value go, and those inside are one each.
fn collapse(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn encode_again(path: &str, out: &mut String) {
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => write!(out, "%{byte:02X}").expect("a string takes everything"),
        }
    }
}

/// Parameters, encoded as they are, in the order of their names and values.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(&str, &str)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

fn mac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// `20261121T053000Z`.
fn timestamp(unix: u64) -> String {
    let (days, seconds) = (unix / 86_400, unix % 86_400);
    let (year, month, day) = date(days);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// The civil date of a day since 1970, by eras of 400 years that begin in March.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + u64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests;
