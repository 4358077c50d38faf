//! AWS Signature Version 4, verified.
//!
//! Owns the reading of the `Authorization` header and the recomputation of the signature from what arrived: any set of signed
//! headers, so that official SDKs and gateways are held to the same rule. Without keys of its own a simulator knows one secret,
//! [`SECRET`], for every key id.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::super::{Inbound, Refusal};

/// The secret of every key id where the simulator was given no keys.
pub(super) const SECRET: &str = "simulated-secret-key";
/// The service whose requests carry the digest of their body, and whose paths are signed as they are.
const STORE: &str = "s3";
const CONTENT: &str = "x-amz-content-sha256";
/// How far the clocks may be apart, in seconds.
const SKEW: u64 = 300;

/// What the header says.
struct Claim<'a> {
    id: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    headers: Vec<&'a str>,
    signature: &'a str,
}

fn claim(inbound: &Inbound) -> Option<Claim<'_>> {
    let text = inbound.header("authorization")?.strip_prefix("AWS4-HMAC-SHA256 ")?;
    let part =
        |name: &str| text.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
    let mut scope = part("Credential")?.split('/');
    let (id, date, region, service) = (scope.next()?, scope.next()?, scope.next()?, scope.next()?);
    if scope.next() != Some("aws4_request") || scope.next().is_some() {
        return None;
    }
    let headers = part("SignedHeaders")?.split(';').collect();
    Some(Claim { id, date, region, service, headers, signature: part("Signature")? })
}

/// The id of the key that signed.
pub(super) fn key_id(inbound: &Inbound) -> Option<&str> {
    claim(inbound).map(|claim| claim.id)
}

/// The name of the service that was signed for.
pub(super) fn service(inbound: &Inbound) -> Option<&str> {
    claim(inbound).map(|claim| claim.service)
}

/// The region that was signed for.
pub(super) fn region(inbound: &Inbound) -> Option<&str> {
    claim(inbound).map(|claim| claim.region)
}

/// Checks the signature for a service. `keys` are `ID:SECRET`; those without a secret are bearer keys.
pub(super) fn verify(
    inbound: &Inbound,
    service: &str,
    keys: &[String],
    now: SystemTime,
) -> Result<(), Refusal> {
    let refuse = |code: &'static str, message: String| Refusal::parameter("", Some(code), message);
    let Some(claim) = claim(inbound) else {
        return Err(refuse("IncompleteSignatureException", "Authorization header is malformed.".to_owned()));
    };
    let secrets = keys.iter().filter_map(|key| key.split_once(':'));
    let secret = match secrets.clone().find(|(id, _)| *id == claim.id) {
        Some((_, secret)) => secret,
        None if keys.is_empty() => SECRET,
        None => return Err(Refusal::WrongKey(claim.id.to_owned())),
    };
    let time = inbound.header("x-amz-date").unwrap_or_default();
    if !time.starts_with(claim.date) || claim.service != service {
        let message = "Credential should be scoped to the correct date and service.".to_owned();
        return Err(refuse("InvalidSignatureException", message));
    }
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    if unix(time).is_none_or(|signed| signed.abs_diff(now) > SKEW) {
        return Err(refuse("InvalidSignatureException", format!("Signature expired: {time} is not now")));
    }
    let is_store = service == STORE;
    let content = inbound.header(CONTENT);
    if is_store && content != Some(&hex::encode(Sha256::digest(&inbound.body))) {
        let message =
            "The provided 'x-amz-content-sha256' header does not match what was computed.".to_owned();
        return Err(refuse("IncompleteSignatureException", message));
    }
    let needed = ["host", "x-amz-date"].iter().all(|name| claim.headers.contains(name));
    let token =
        inbound.header("x-amz-security-token").is_none() || claim.headers.contains(&"x-amz-security-token");
    let needed = needed && (!is_store || claim.headers.contains(&CONTENT));
    if !needed || !token || !claim.headers.is_sorted() {
        let message = "'Host' and 'X-Amz-Date' must be signed headers, in order.".to_owned();
        return Err(refuse("IncompleteSignatureException", message));
    }
    let canonical = canonical(inbound, &claim.headers, is_store);
    let scope = format!("{}/{}/{}/aws4_request", claim.date, claim.region, claim.service);
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex::encode(Sha256::digest(&canonical)));
    let key = [claim.date, claim.region, claim.service, "aws4_request"]
        .iter()
        .fold(format!("AWS4{secret}").into_bytes(), |key, part| mac(&key, part));
    if hex::encode(mac(&key, &text)) == claim.signature {
        return Ok(());
    }
    let message = "The request signature we calculated does not match the signature you provided. Check your AWS \
        Secret Access Key and signing method. Consult the service documentation for details.";
    Err(refuse("InvalidSignatureException", message.to_owned()))
}

fn canonical(inbound: &Inbound, names: &[&str], is_store: bool) -> String {
    let mut lines: Vec<String> = vec![inbound.method.to_string()];
    // Encoded once by the sender; the signature is over it encoded again, but for the object store.
    let path = inbound.path.bytes().map(|byte| {
        let plain = is_store || byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
        if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    });
    lines.push(path.collect());
    let mut query: Vec<&str> = inbound.query.as_deref().unwrap_or_default().split('&').collect();
    query.sort_unstable();
    lines.push(query.join("&"));
    for name in names {
        let values: Vec<String> = inbound
            .headers
            .get_all(*name)
            .iter()
            .map(|value| {
                String::from_utf8_lossy(value.as_bytes()).split_whitespace().collect::<Vec<_>>().join(" ")
            })
            .collect();
        lines.push(format!("{name}:{}", values.join(",")));
    }
    lines.push(String::new());
    lines.push(names.join(";"));
    lines.push(hex::encode(Sha256::digest(&inbound.body)));
    lines.join("\n")
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("keys of any length are taken");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Unix seconds of `20261121T053000Z`.
fn unix(text: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    if text.len() != 16 || !text.ends_with('Z') {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let leap = |year: u64| (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let months = lengths.get(..usize::try_from(month.checked_sub(1)?).ok()?)?;
    let years: u64 = (1970..year).map(|year| 365 + u64::from(leap(year))).sum();
    let days = years + months.iter().sum::<u64>() + day.checked_sub(1)?;
    Some(days * 86_400 + number(9..11)? * 3_600 + number(11..13)? * 60 + number(13..15)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, Method};
    use std::time::Duration;

    /// A request signed by botocore 1.44.5 at second 1,790,000,000.
    fn signed() -> Inbound {
        let mut headers = HeaderMap::new();
        let authorization = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260921/us-east-1/bedrock/aws4_request, \
            SignedHeaders=content-type;host;x-amz-date, \
            Signature=076b7ac5d5b537eabfb0e290b41a663666f996afc759c72d2d43363e6d297844";
        for (name, value) in [
            ("authorization", authorization),
            ("content-type", "application/json"),
            ("host", "bedrock-runtime.us-east-1.amazonaws.com"),
            ("x-amz-date", "20260921T141320Z"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let path = "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse".to_owned();
        Inbound::new(Method::POST, path, None, headers, Bytes::from_static(br#"{"messages":[]}"#))
    }

    const NOW: u64 = 1_790_000_000;

    fn verdict(inbound: &Inbound, keys: &[&str], now: u64) -> Result<(), Refusal> {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        verify(inbound, "bedrock", &keys, UNIX_EPOCH + Duration::from_secs(now))
    }

    #[test]
    fn only_the_unaltered_request_of_the_moment_is_genuine() {
        let keys = ["AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"];
        assert_eq!(verdict(&signed(), &keys, NOW), Ok(()));
        assert_eq!(verdict(&signed(), &keys, NOW + 299), Ok(()));
        assert!(verdict(&signed(), &keys, NOW + 301).is_err(), "too late");
        assert!(verdict(&signed(), &["AKIDEXAMPLE:other"], NOW).is_err(), "another secret");
        assert_eq!(verdict(&signed(), &["OTHER:x"], NOW), Err(Refusal::WrongKey("AKIDEXAMPLE".to_owned())));
        let mut body = signed();
        body.body = Bytes::from_static(b"{}");
        assert!(verdict(&body, &keys, NOW).is_err(), "another body");
        let mut path = signed();
        path.path = "/model/other/converse".to_owned();
        assert!(verdict(&path, &keys, NOW).is_err(), "another path");
        let mut host = signed();
        host.headers.insert("host", HeaderValue::from_static("elsewhere"));
        assert!(verdict(&host, &keys, NOW).is_err(), "another host");
        let mut none = signed();
        none.headers.insert("authorization", HeaderValue::from_static("AWS4-HMAC-SHA256 Credential=x"));
        assert!(verdict(&none, &keys, NOW).is_err(), "no signature");
    }
}
