//! AWS's chain of credential sources.
//!
//! Owns the order of the sources and the dialogue with each: an identity exchanged for a role, the shared files, a container's
//! endpoint, the instance's metadata service (its second version only: the first is open to request forgery). Must not read or
//! call anything: it asks for steps. A source that has nothing to say is passed over, and all their reasons are told when none
//! has. Sources: "Standardized credential providers" in AWS's SDK reference guide and the pages of STS, ECS and EC2 it names.

use super::profile::{Files, Origin};
use super::sigv4::{self, Keys, Scope};
use crate::limits::rfc3339;
use crate::signing::Unsigned;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;
use trunkline_model::credential::{Answer, Credential, CredentialSource, Fetch, Issued, Renewal, Step};
use trunkline_model::secret::Secret;

/// How long an endpoint on the same machine may take.
const NEAR: Duration = Duration::from_secs(2);
/// How long the token service may take.
const FAR: Duration = Duration::from_secs(10);
/// The name of our sessions where nobody chose one.
const SESSION: &str = "trunkline";
const FORM: &str = "application/x-www-form-urlencoded";

/// The sources to ask, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    /// Their description.
    pub(super) identity: String,
    /// The region whose token service is asked.
    pub(super) region: String,
    /// The sources.
    pub(super) sources: Vec<Source>,
}

/// One source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// An identity token in a file, exchanged for a role.
    WebIdentity { file: String, role: String, session: Option<String> },
    /// A profile of the shared files.
    Profile { name: String, credentials: String, config: String },
    /// A container's endpoint.
    Container { url: String, token: Option<Secret>, token_file: Option<String> },
    /// The instance's metadata service.
    Instance { endpoint: String },
}

impl CredentialSource for Chain {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn renewal(&self) -> Box<dyn Renewal> {
        Box::new(Walk {
            region: self.region.clone(),
            left: self.sources.iter().cloned().collect(),
            state: State::Between,
            reasons: Vec::new(),
        })
    }
}

/// Asking one source after the other.
struct Walk {
    region: String,
    left: VecDeque<Source>,
    state: State,
    reasons: Vec<String>,
}

enum State {
    /// Before the next source.
    Between,
    /// The identity token was asked for.
    Identity { role: String, session: Option<String> },
    /// The token service was asked for a role.
    Role,
    /// The credentials file was asked for.
    Credentials { profile: String, config: String },
    /// The config file was asked for.
    Config { profile: String, files: Files },
    /// The token for the container's endpoint was asked for.
    ContainerToken { url: String },
    /// An endpoint was asked for the credential itself.
    Document,
    /// The instance was asked for a token.
    InstanceToken { endpoint: String },
    /// The instance was asked for its role.
    InstanceRole { endpoint: String, token: Secret },
}

impl Renewal for Walk {
    fn next(&mut self, answer: Answer, now: u64) -> Step {
        match self.advance(answer, now) {
            Ok(step) => step,
            Err(reason) => {
                self.reasons.push(reason);
                self.another()
            }
        }
    }
}

impl Walk {
    /// The first step of the next source.
    fn another(&mut self) -> Step {
        let Some(source) = self.left.pop_front() else {
            let reasons = std::mem::take(&mut self.reasons);
            return Step::Failed(format!("no AWS credential was found: {}", reasons.join("; ")));
        };
        match source {
            Source::WebIdentity { file, role, session } => {
                self.state = State::Identity { role, session };
                Step::Read(file)
            }
            Source::Profile { name, credentials, config } => {
                self.state = State::Credentials { profile: name, config };
                Step::Read(credentials)
            }
            Source::Container { url, token_file: Some(file), .. } => {
                self.state = State::ContainerToken { url };
                Step::Read(file)
            }
            Source::Container { url, token, .. } => self.container(url, token),
            Source::Instance { endpoint } => {
                let url = format!("{endpoint}/latest/api/token");
                self.state = State::InstanceToken { endpoint };
                let life = ("x-aws-ec2-metadata-token-ttl-seconds", Secret::new("21600".to_owned()));
                Step::Fetch(fetch("PUT", url, vec![life], String::new(), NEAR))
            }
        }
    }

    fn advance(&mut self, answer: Answer, now: u64) -> Result<Step, String> {
        match std::mem::replace(&mut self.state, State::Between) {
            State::Between => Ok(self.another()),
            State::Identity { role, session } => {
                let token = file(answer)?;
                let form = [
                    ("Action", "AssumeRoleWithWebIdentity"),
                    ("Version", "2011-06-15"),
                    ("RoleArn", role.as_str()),
                    ("RoleSessionName", session.as_deref().unwrap_or(SESSION)),
                    ("WebIdentityToken", token.expose().trim()),
                ];
                self.state = State::Role;
                let kind = ("content-type", Secret::new(FORM.to_owned()));
                Ok(Step::Fetch(fetch("POST", self.token_service(), vec![kind], encode(&form), FAR)))
            }
            State::Role => issued_role(&body(answer, "the token service")?),
            State::Credentials { profile, config } => {
                let mut files = Files::default();
                if let Answer::File(text) = answer {
                    files.add(text.expose());
                }
                self.state = State::Config { profile, files };
                Ok(Step::Read(config))
            }
            State::Config { profile, mut files } => {
                if let Answer::File(text) = answer {
                    files.add(text.expose());
                }
                self.profile(&profile, &files, now)
            }
            State::ContainerToken { url } => {
                let token = Secret::new(file(answer)?.expose().trim().to_owned());
                Ok(self.container(url, Some(token)))
            }
            State::Document => issued_document(&body(answer, "the credential endpoint")?),
            State::InstanceToken { endpoint } => {
                let token = body(answer, "the instance's metadata service")?;
                let url = format!("{endpoint}/latest/meta-data/iam/security-credentials/");
                let header = ("x-aws-ec2-metadata-token", token.clone());
                self.state = State::InstanceRole { endpoint, token };
                Ok(Step::Fetch(fetch("GET", url, vec![header], String::new(), NEAR)))
            }
            State::InstanceRole { endpoint, token } => {
                let roles = body(answer, "the instance's metadata service")?;
                let role = roles.expose().lines().next().map(str::trim).filter(|role| !role.is_empty());
                let role = role.ok_or("the instance has no role")?;
                let url = format!("{endpoint}/latest/meta-data/iam/security-credentials/{role}");
                self.state = State::Document;
                let header = ("x-aws-ec2-metadata-token", token);
                Ok(Step::Fetch(fetch("GET", url, vec![header], String::new(), NEAR)))
            }
        }
    }

    fn container(&mut self, url: String, token: Option<Secret>) -> Step {
        self.state = State::Document;
        let header = token.map(|token| ("authorization", token));
        Step::Fetch(fetch("GET", url, header.into_iter().collect(), String::new(), NEAR))
    }

    fn profile(&mut self, name: &str, files: &Files, now: u64) -> Result<Step, String> {
        match files.origin(name) {
            Origin::Keys { id, secret, session } => Ok(Step::Done(issued(id, secret, session, None))),
            Origin::WebIdentity { role, file, session } => {
                self.state = State::Identity { role: role.to_owned(), session: session.map(str::to_owned) };
                Ok(Step::Read(file.to_owned()))
            }
            Origin::Role { role, source, external, session } => {
                let Origin::Keys { id, secret, session: token } = files.origin(source) else {
                    return Err(format!("the profile `{source}`, source of `{name}`, has no keys"));
                };
                let mut form = vec![
                    ("Action", "AssumeRole"),
                    ("Version", "2011-06-15"),
                    ("RoleArn", role),
                    ("RoleSessionName", session.unwrap_or(SESSION)),
                ];
                form.extend(external.map(|external| ("ExternalId", external)));
                self.state = State::Role;
                self.signed(encode(&form), Keys { id, secret, session: token }, now).map(Step::Fetch)
            }
            Origin::Unsupported(what) => {
                Err(format!("the profile `{name}` uses {what}, which is not supported"))
            }
            Origin::Nothing if files.has(name) => {
                Err(format!("the profile `{name}` says nothing of credentials"))
            }
            Origin::Nothing => Err(format!("there is no profile `{name}` in the shared files")),
        }
    }

    /// A request to the token service, signed with the source's keys.
    fn signed(&self, form: String, keys: Keys<'_>, now: u64) -> Result<Fetch, String> {
        let url = self.token_service();
        let uri = url.parse().map_err(|_| "the region makes no address of the token service".to_owned())?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
        let unsigned = Unsigned { method: "POST", uri: &uri, body: &[form.as_bytes()] };
        let scope = Scope { region: &self.region, service: "sts" };
        sigv4::sign(keys, scope, &unsigned, now, &mut headers)
            .map_err(|error| format!("failed to {error}"))?;
        let names = ["content-type", "x-amz-date", "x-amz-security-token", "authorization"];
        let headers = names
            .into_iter()
            .filter_map(|name| Some((name, Secret::new(headers.get(name)?.to_str().ok()?.to_owned()))))
            .collect();
        Ok(fetch("POST", url, headers, form, FAR))
    }

    fn token_service(&self) -> String {
        let region = &self.region;
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        format!("https://sts.{region}.{domain}/")
    }
}

fn fetch(
    method: &'static str,
    url: String,
    headers: Vec<(&'static str, Secret)>,
    body: String,
    patience: Duration,
) -> Fetch {
    Fetch { method, url, headers, body: Secret::new(body), patience }
}

fn file(answer: Answer) -> Result<Secret, String> {
    match answer {
        Answer::File(text) => Ok(text),
        Answer::Unavailable(reason) => Err(reason),
        Answer::Start | Answer::Response { .. } => Err("a file was expected".to_owned()),
    }
}

fn body(answer: Answer, whose: &str) -> Result<Secret, String> {
    match answer {
        Answer::Response { status: 200, body } => Ok(body),
        Answer::Response { status, body } => {
            // Error bodies of the token service name what is wrong and hold no secret.
            let message = element(body.expose(), "Message").unwrap_or_default();
            Err(format!("{whose} answered status {status} {}", message.chars().take(200).collect::<String>()))
        }
        Answer::Unavailable(reason) => Err(reason),
        Answer::Start | Answer::File(_) => Err("a response was expected".to_owned()),
    }
}

fn issued(id: &str, secret: &str, session: Option<&str>, expires: Option<u64>) -> Issued {
    let credential = Credential::KeyPair {
        id: id.to_owned(),
        secret: Secret::new(secret.to_owned()),
        session: session.map(|session| Secret::new(session.to_owned())),
    };
    Issued { credential, expires }
}

/// The answer of the token service, in XML.
fn issued_role(body: &Secret) -> Result<Step, String> {
    let text = body.expose();
    let part = |name| element(text, name).ok_or_else(|| format!("the token service's answer lacks `{name}`"));
    let expires =
        rfc3339(part("Expiration")?).ok_or("the token service's answer has no readable `Expiration`")?;
    let (id, secret, session) = (part("AccessKeyId")?, part("SecretAccessKey")?, part("SessionToken")?);
    Ok(Step::Done(issued(id, secret, Some(session), Some(expires))))
}

/// The text of the first element of that name. The values in question need no entity.
fn element<'t>(xml: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0.trim())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<String>,
}

/// The answer of a container's endpoint or of the metadata service, in JSON.
fn issued_document(body: &Secret) -> Result<Step, String> {
    // The reader's own words could quote the credential.
    let unreadable = || "the credential endpoint's answer is not a credential".to_owned();
    let document: Document = serde_json::from_str(body.expose()).map_err(|_| unreadable())?;
    let expires = match document.expiration.as_deref() {
        None => None,
        Some(text) => Some(rfc3339(text).ok_or_else(unreadable)?),
    };
    let Document { access_key_id, secret_access_key, token, .. } = &document;
    Ok(Step::Done(issued(access_key_id, secret_access_key, token.as_deref(), expires)))
}

/// A form as bodies carry it.
fn encode(form: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in form {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(name);
        out.push('=');
        for byte in value.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    out.push(char::from(byte));
                }
                _ => write!(out, "%{byte:02X}").expect("a string takes everything"),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
