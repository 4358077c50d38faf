//! What a client says about a request in headers, beside its body.
//!
//! Owns the `x-trunkline-*` request headers and where each protocol carries its key. Must not act on them.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use std::time::Duration;
use trunkline_model::catalogue::ReasoningEffort;
use trunkline_model::dialect::Dialect;
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_model::facts::Requirement;
use trunkline_model::id::Name;

/// The request headers of one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Options {
    /// Use this route, whatever the body's `model` says.
    pub route: Option<Name>,
    /// Use this deployment or model.
    pub pin: Option<Name>,
    /// Reason this deeply, whatever the body says.
    pub effort: Option<ReasoningEffort>,
    /// Labels for the record.
    pub tags: Vec<(Name, Name)>,
    /// The end user.
    pub user: Option<Name>,
    /// The session, for stickiness.
    pub session: Option<Name>,
    /// The most time the whole request may take.
    pub timeout: Option<Duration>,
    /// Hard demands on every deployment.
    pub require: Vec<Requirement>,
    /// Only deployments that neither drop nor refuse anything of the request.
    pub require_parameters: bool,
    /// Refuse instead of warn.
    pub strict: Option<bool>,
    /// Send nothing, answer with the decision.
    pub dry_run: bool,
    /// Decide as this request was decided; on dry runs only.
    pub decide_as: Option<Name>,
    /// It counts on none of its key's rate limits; no client can ask for this.
    pub unlimited: bool,
}

/// The longest value of an option, in bytes.
const LONGEST: usize = 256;
/// Most tags on one request.
const MOST_TAGS: usize = 16;

/// Reads the options.
///
/// # Errors
/// Which header is wrong and what it takes.
pub(crate) fn read(headers: &HeaderMap) -> Result<Options, ClientError> {
    let mut options = Options::default();
    for (name, value) in headers {
        let Some(option) = name.as_str().strip_prefix("x-trunkline-") else { continue };
        let text = value
            .to_str()
            .ok()
            .filter(|text| text.len() <= LONGEST)
            .ok_or_else(|| wrong(option, "at most 256 characters of plain text"))?
            .trim();
        match option {
            "route" => options.route = Some(text.into()),
            "pin" => options.pin = Some(text.into()),
            "effort" => {
                let effort = text.to_ascii_lowercase().parse();
                options.effort = Some(effort.map_err(|_| {
                    wrong(option, "`none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`")
                })?);
            }
            "user" => options.user = Some(text.into()),
            "session" => options.session = Some(text.into()),
            "tags" => {
                options.tags =
                    tags(text).ok_or_else(|| wrong(option, "`name=value,name=value`, at most 16"))?
            }
            "timeout-ms" => {
                let milliseconds =
                    text.parse::<u64>().ok().filter(|number| (1..=86_400_000).contains(number));
                let milliseconds =
                    milliseconds.ok_or_else(|| wrong(option, "milliseconds from 1 to 86400000"))?;
                options.timeout = Some(Duration::from_millis(milliseconds));
            }
            "require" => {
                for word in text.split(',') {
                    match Requirement::parse(word) {
                        Some(requirement) => options.require.push(requirement),
                        None if word.trim() == "parameters" => options.require_parameters = true,
                        None => {
                            return Err(wrong(
                                option,
                                "a list of `zdr`, `no-train`, `baa`, `region:NAME` and `parameters`",
                            ));
                        }
                    }
                }
            }
            "strict" => options.strict = Some(flag(option, text)?),
            "dry-run" => options.dry_run = flag(option, text)?,
            "as" => options.decide_as = Some(text.into()),
            _ => {
                return Err(wrong(
                    option,
                    "nothing: there is no such option; there are route, pin, effort, tags, user, session, timeout-ms, require, strict, dry-run and as",
                ));
            }
        }
    }
    Ok(options)
}

/// The virtual key a client sent, in the place its protocol has for it or in any other's.
#[must_use]
pub(crate) fn virtual_key<'a>(
    headers: &'a HeaderMap,
    query: Option<&'a str>,
    dialect: Dialect,
) -> Option<&'a str> {
    let text = |value: &'a HeaderValue| value.to_str().ok().map(str::trim);
    let header = |name: &str| headers.get(name).and_then(text);
    let bearer = || {
        headers
            .get(AUTHORIZATION)
            .and_then(text)
            .and_then(|text| text.strip_prefix("Bearer ").or_else(|| text.strip_prefix("bearer ")))
    };
    let in_query = || query?.split('&').find_map(|pair| pair.strip_prefix("key="));
    let places: [&dyn Fn() -> Option<&'a str>; 4] = match dialect {
        Dialect::OpenAi | Dialect::Responses | Dialect::Converse | Dialect::Cohere | Dialect::Mistral => {
            [&bearer, &|| header("api-key"), &|| header("x-api-key"), &|| header("x-goog-api-key")]
        }
        Dialect::Anthropic => {
            [&|| header("x-api-key"), &bearer, &|| header("api-key"), &|| header("x-goog-api-key")]
        }
        Dialect::Gemini => [&|| header("x-goog-api-key"), &in_query, &bearer, &|| header("x-api-key")],
    };
    places.iter().find_map(|place| place()).map(str::trim).filter(|key| !key.is_empty())
}

fn tags(text: &str) -> Option<Vec<(Name, Name)>> {
    let mut tags: Vec<(Name, Name)> = Vec::new();
    for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let name = name.trim();
        if name.is_empty() || tags.len() == MOST_TAGS {
            return None;
        }
        tags.push((name.into(), value.trim().into()));
    }
    tags.sort();
    tags.dedup_by(|later, earlier| later.0 == earlier.0);
    Some(tags)
}

fn flag(option: &str, text: &str) -> Result<bool, ClientError> {
    match text {
        "true" | "1" | "" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(wrong(option, "`true` or `false`")),
    }
}

fn wrong(option: &str, expected: &str) -> ClientError {
    let header = format!("x-trunkline-{option}");
    ClientError::new(ErrorCode::InvalidRequest, format!("the header `{header}` takes {expected}")).at(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), http::HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn options_are_read_and_mistakes_are_named() {
        let read_one = |name, value| read(&headers(&[(name, value)]));
        let options = read(&headers(&[
            ("x-trunkline-tags", "team=search, env=prod"),
            ("x-trunkline-require", "zdr,region:EU, parameters"),
            ("x-trunkline-timeout-ms", "1500"),
            ("x-trunkline-strict", "true"),
        ]))
        .unwrap();
        assert_eq!(options.tags, [("env".into(), "prod".into()), ("team".into(), "search".into())]);
        assert_eq!(options.require, [Requirement::Zdr, Requirement::Region("eu".into())]);
        assert!(options.require_parameters);
        assert_eq!(options.timeout, Some(Duration::from_millis(1_500)));
        assert_eq!(options.strict, Some(true));
        insta::assert_snapshot!(read_one("x-trunkline-timeout-ms", "soon").unwrap_err().message, @"the header `x-trunkline-timeout-ms` takes milliseconds from 1 to 86400000");
        assert_eq!(read_one("x-trunkline-effort", "High").unwrap().effort, Some(ReasoningEffort::High));
        insta::assert_snapshot!(read_one("x-trunkline-effort", "much").unwrap_err().message, @"the header `x-trunkline-effort` takes `none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`");
        insta::assert_snapshot!(read_one("x-trunkline-require", "nice").unwrap_err().message, @"the header `x-trunkline-require` takes a list of `zdr`, `no-train`, `baa`, `region:NAME` and `parameters`");
        insta::assert_snapshot!(read_one("x-trunkline-strict", "maybe").unwrap_err().message, @"the header `x-trunkline-strict` takes `true` or `false`");
        insta::assert_snapshot!(read_one("x-trunkline-tags", "a").unwrap_err().message, @"the header `x-trunkline-tags` takes `name=value,name=value`, at most 16");
        insta::assert_snapshot!(read_one("x-trunkline-rout", "a").unwrap_err().message, @"the header `x-trunkline-rout` takes nothing: there is no such option; there are route, pin, effort, tags, user, session, timeout-ms, require, strict, dry-run and as");
    }

    #[test]
    fn keys_are_found_where_each_protocol_puts_them() {
        let openai = headers(&[("authorization", "Bearer sk-1")]);
        assert_eq!(virtual_key(&openai, None, Dialect::OpenAi), Some("sk-1"));
        assert_eq!(virtual_key(&openai, None, Dialect::Anthropic), Some("sk-1"));
        let anthropic = headers(&[("x-api-key", "sk-2")]);
        assert_eq!(virtual_key(&anthropic, None, Dialect::Anthropic), Some("sk-2"));
        assert_eq!(virtual_key(&HeaderMap::new(), Some("alt=sse&key=sk-3"), Dialect::Gemini), Some("sk-3"));
        assert_eq!(virtual_key(&HeaderMap::new(), None, Dialect::OpenAi), None);
    }
}
