//! The shape of a preset file.
//!
//! Owns the strict serde types and the checks between fields. It knows no provider: every fact stands in the TOML files, with
//! the page it comes from. Where nobody documents a fact the field is absent, and absent means unknown.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::access::{Key, KeyScheme, Signature, SisterService};
use super::endpoint::Endpoint;
use crate::batch::{BatchForm, BatchSupport, Manner};
use serde::Deserialize;
use trunkline_model::dialect::Dialect;
use trunkline_model::facts::DataFacts;
use trunkline_model::failure::FailureClass;
use trunkline_wire::codec::OutputLimitName;

/// One provider: a hosted service, or a server people run themselves.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// The name used in configuration; also the name of the file.
    pub id: String,
    /// The name people use.
    pub name: String,
    /// The protocol it speaks.
    pub dialect: Dialect,
    /// Where its documentation stands.
    pub docs: String,
    /// What a user should know and no field can say.
    pub notes: Option<String>,
    /// The base address, without a slash at its end. `{NAME}` stands for the value of an environment variable or setting. With
    /// `url_required` it is only where such a server usually listens.
    pub base_url: Option<String>,
    /// What the filled-in address reads in cases that break its pattern: what stands there, what must stand there.
    #[serde(default)]
    pub url_exceptions: BTreeMap<String, String>,
    /// The settings of an account that fill in variables of the address: setting, variable.
    #[serde(default)]
    pub url_settings: BTreeMap<UrlSetting, String>,
    /// Whether the address must be stated by whoever uses it.
    #[serde(default)]
    pub url_required: bool,
    /// Environment variables that hold the address, the first that is set wins.
    #[serde(default)]
    pub url_env: Vec<String>,
    /// Whether finding its variables in the environment is reason enough to use it. Not so where the variable is usually there
    /// for something else, or where another preset has the better claim to it.
    #[serde(default = "yes")]
    pub detect: bool,
    /// The provider whose catalogue entries describe its models, when they are not under its own id.
    pub catalogue: Option<String>,
    /// How requests are authenticated.
    pub key: Key,
    /// How requests are signed where the account has no key.
    pub signature: Option<Signature>,
    /// Headers that every request carries besides.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The endpoints it serves, as paths below the base address; `{model}` stands for the model.
    pub endpoints: BTreeMap<Endpoint, String>,
    /// The same for accounts that name a version of the API, `{api_version}` standing for it; empty where it has no dates.
    #[serde(default)]
    pub dated_endpoints: BTreeMap<Endpoint, String>,
    /// Endpoints that another service of the vendor serves, which takes signed requests only.
    #[serde(default)]
    pub sister_services: BTreeMap<Endpoint, SisterService>,
    /// Members that every conversation's body carries besides, as texts.
    #[serde(default)]
    pub body: BTreeMap<String, String>,
    /// Whether bodies leave out the model, because the path names it: of conversations, and of requests for vectors.
    #[serde(default)]
    pub model_in_path_only: bool,
    /// Whether models for conversations refuse to continue a bare text, so that the endpoint is for models made for it.
    #[serde(default)]
    pub separate_completions: bool,
    /// Models that are served in another protocol, by how their names begin.
    #[serde(default)]
    pub families: Vec<Family>,
    /// Whether it serves nothing but what the account has set up, so that only models the configuration names exist.
    #[serde(default)]
    pub listed_models_only: bool,
    /// What is different about request parameters.
    #[serde(default)]
    pub parameters: Parameters,
    /// Its batch API, where there is one that lines of batches can go to.
    pub batch: Option<BatchSupport>,
    /// How it reports rate limits.
    #[serde(default)]
    pub limits: LimitHeaders,
    /// What it documents about the handling of data.
    #[serde(default)]
    pub data: DataClaims,
    /// Statuses that mean something else than usual.
    #[serde(default)]
    pub errors: Vec<ErrorRow>,
    /// Where its models stand in the sources the catalogue is made from.
    #[serde(default)]
    pub sources: Sources,
}

/// Models of a provider that are served in another protocol than the rest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// How their names begin, any of these.
    pub prefixes: Vec<String>,
    /// The protocol.
    pub dialect: Dialect,
    /// Their endpoints, in place of the provider's.
    pub endpoints: BTreeMap<Endpoint, String>,
    /// As [`Preset::body`].
    #[serde(default)]
    pub body: BTreeMap<String, String>,
    /// As [`Preset::model_in_path_only`].
    #[serde(default)]
    pub model_in_path_only: bool,
    /// In place of the provider's.
    #[serde(default)]
    pub parameters: Parameters,
    /// Whether the provider's batch API takes them, too.
    #[serde(default)]
    pub batch: bool,
}

/// A setting of an account that is a part of its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UrlSetting {
    /// Who is billed.
    Project,
    /// Where requests are served.
    Location,
}

/// What is different about request parameters, compared with OpenAI chat completions. Absent is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// How the output limit is spelled.
    pub output_limit: Option<OutputLimit>,
    /// Whether `stream_options.include_usage` is accepted; where it is not, usage comes unasked or not at all.
    pub stream_usage: Option<bool>,
    /// Whether answers can be held to a JSON schema, whatever the catalogue says of single models.
    pub json_schema: Option<bool>,
    /// Whether pictures may be given as addresses.
    pub image_urls: Option<bool>,
    /// Whether messages may have the role `developer`.
    pub developer_role: Option<bool>,
    /// Where reasoning stands in answers.
    pub reasoning_field: Option<ReasoningField>,
    /// Whether it takes OpenRouter's `reasoning` object, which can ask to leave reasoning out of the answer.
    pub reasoning_object: Option<bool>,
    /// Parameters that make it refuse a request: never sent, with a warning.
    #[serde(default)]
    pub refused: Vec<String>,
    /// Parameters it takes and does nothing with: sent, with a warning.
    #[serde(default)]
    pub ignored: Vec<String>,
    /// The most texts that `stop` takes.
    pub stop_texts: Option<u32>,
    /// Parameters it spells otherwise.
    #[serde(default)]
    pub renamed: BTreeMap<String, String>,
}

/// How the output limit is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputLimit {
    /// `max_tokens`.
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

impl From<OutputLimit> for OutputLimitName {
    fn from(limit: OutputLimit) -> Self {
        match limit {
            OutputLimit::MaxTokens => Self::MaxTokens,
            OutputLimit::MaxCompletionTokens => Self::MaxCompletionTokens,
        }
    }
}

/// Where reasoning stands in the messages and deltas of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningField {
    /// `reasoning_content`.
    ReasoningContent,
    /// `reasoning`.
    Reasoning,
}

/// How rate limits are reported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitHeaders {
    /// The family of headers.
    #[serde(default)]
    pub style: LimitStyle,
    /// For [`LimitStyle::Named`]: the header with the most requests allowed.
    pub limit_requests: Option<String>,
    /// The header with the requests left.
    pub remaining_requests: Option<String>,
    /// The header with the time until requests are given back.
    pub reset_requests: Option<String>,
    /// The header with the most tokens allowed.
    pub limit_tokens: Option<String>,
    /// The header with the tokens left.
    pub remaining_tokens: Option<String>,
    /// The header with the time until tokens are given back.
    pub reset_tokens: Option<String>,
}

/// A family of rate-limit headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitStyle {
    /// `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, times as `1s` or `6m0s`.
    #[serde(rename = "openai")]
    OpenAi,
    /// `anthropic-ratelimit-*`, times as RFC 3339.
    Anthropic,
    /// Headers of its own, named beside this field.
    Named,
    /// None are sent.
    None,
    /// Nobody says.
    #[default]
    Unknown,
}

/// What a provider documents about the handling of data for every account. Agreements of single accounts belong in the
/// configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataClaims {
    /// Nothing is kept.
    pub zdr: Option<bool>,
    /// Requests may be used for training.
    pub train: Option<bool>,
    /// A business associate agreement covers it.
    pub baa: Option<bool>,
    /// Where data is processed.
    pub region: Option<String>,
    /// The page that says so.
    pub source: Option<String>,
}

impl DataClaims {
    /// The claims as facts for the compliance filter.
    #[must_use]
    pub fn facts(&self) -> DataFacts {
        DataFacts { zdr: self.zdr, train: self.train, baa: self.baa, region: self.region.clone() }
    }

    fn claims_anything(&self) -> bool {
        self.facts() != DataFacts::default()
    }
}

/// A status that means something else than usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorRow {
    /// The HTTP status.
    pub status: u16,
    /// What it means here.
    pub class: FailureClass,
}

/// Where a provider's models stand in the sources of the catalogue; read when the catalogue is made, not at run time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    /// Values of `litellm_provider` in LiteLLM's price list.
    #[serde(default)]
    pub litellm: Vec<String>,
    /// Single entries of LiteLLM's price list, by key, where most of what their `litellm_provider` holds is not wanted.
    #[serde(default)]
    pub litellm_models: Vec<String>,
    /// The provider's folder in models.dev.
    pub models_dev: Option<String>,
    /// What the provider's full names begin with where LiteLLM also has short ones without a slash, the most likely first; a
    /// short name becomes an alias.
    #[serde(default)]
    pub model_prefixes: Vec<String>,
}

/// A preset that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PresetError {
    /// Not TOML, a wrong type, an unknown field or a missing one.
    #[error("read a preset: {0}")]
    Toml(#[from] toml::de::Error),
    /// Fields that contradict each other.
    #[error("read the preset `{id}`: {problem}")]
    Inconsistent {
        /// The preset.
        id: String,
        /// The contradiction.
        problem: &'static str,
    },
}

/// An address that cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// There is no usual address.
    #[error("find the address of `{id}`: it has none of its own, state `url`")]
    Required {
        /// The preset.
        id: String,
    },
    /// A part of the address is neither set nor in the environment.
    #[error("find the address of `{id}`: `{variable}` is not set")]
    Unset {
        /// The preset.
        id: String,
        /// The variable that stands for the part.
        variable: String,
    },
}

impl Preset {
    /// Reads and checks one preset.
    ///
    /// # Errors
    /// [`PresetError`] when the text is no preset or its fields contradict each other.
    pub fn parse(text: &str) -> Result<Self, PresetError> {
        let preset: Self = toml::from_str(text)?;
        match preset.contradiction() {
            None => Ok(preset),
            Some(problem) => Err(PresetError::Inconsistent { id: preset.id, problem }),
        }
    }

    fn contradiction(&self) -> Option<&'static str> {
        let named = matches!(self.key.scheme, KeyScheme::Header | KeyScheme::Query);
        let limits = LimitHeaders { style: self.limits.style, ..LimitHeaders::default() };
        let checks = [
            (
                self.base_url.is_none() && !self.url_required,
                "base_url is missing and url_required is not set",
            ),
            (
                self.base_url.as_deref().is_some_and(|url| url.ends_with('/')),
                "base_url must not end with a slash",
            ),
            (
                named != self.key.name.is_some(),
                "key.name goes with the schemes header and query, and only with them",
            ),
            (self.endpoints.is_empty(), "it serves no endpoint"),
            (
                self.all_paths().any(|path| !path.starts_with('/')),
                "the path of an endpoint must start with a slash",
            ),
            (
                (self.limits.style == LimitStyle::Named) == (self.limits == limits),
                "limit headers go with the style named, and only with it",
            ),
            (
                self.dated_endpoints.values().any(|path| !path.contains("{api_version}")),
                "the path of a dated endpoint must hold {api_version}",
            ),
            (
                self.url_settings.values().any(|variable| !self.url_variables().any(|part| part == variable)),
                "url_settings must name variables of base_url",
            ),
            (
                self.sister_services.keys().any(|endpoint| self.path(*endpoint).is_none()),
                "a sister service must serve one of the endpoints",
            ),
            (
                self.signature.is_none() && !self.sister_services.is_empty(),
                "a sister service takes signed requests, and nothing says how they are signed",
            ),
            (self.data.claims_anything() && self.data.source.is_none(), "data claims need their source"),
            (
                self.is_batch_incomplete(),
                "a batch API needs the endpoints batches and, but for the forms inline and bundles, files",
            ),
            (
                self.batch.as_ref().is_some_and(|batch| batch.form.needs_bucket() != batch.store.is_some()),
                "batch.store goes with the forms that need a bucket, and only with them",
            ),
            (
                self.batch.as_ref().and_then(|batch| batch.percent).is_some_and(|percent| percent > 99),
                "batch.percent is what a line costs in percent of a request by itself, less than 100",
            ),
            (
                self.has_wrong_manner(),
                "batch.manner says how the form files is spoken differently: paths that start with a slash, a window",
            ),
        ];
        checks.into_iter().find(|(wrong, _)| *wrong).map(|(_, problem)| problem)
    }

    fn has_wrong_manner(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| {
            let Manner { upload, version, window, .. } = &batch.manner;
            let paths = upload.iter().chain([version]);
            let is_wrong = *window == 0 || paths.into_iter().any(|path| !path.starts_with('/'));
            is_wrong || batch.form != BatchForm::Files && batch.manner != Manner::default()
        })
    }

    fn is_batch_incomplete(&self) -> bool {
        let has = |endpoint| self.endpoints.contains_key(&endpoint);
        self.batch.as_ref().is_some_and(|batch| {
            let needs_files = batch.form.needs_files();
            batch.endpoints.is_empty() || !has(Endpoint::Batches) || needs_files && !has(Endpoint::Files)
        })
    }

    /// The provider whose catalogue entries describe its models.
    #[must_use]
    pub fn catalogue_provider(&self) -> &str {
        self.catalogue.as_deref().unwrap_or(&self.id)
    }

    fn all_paths(&self) -> impl Iterator<Item = &String> {
        let of_families = self.families.iter().flat_map(|family| family.endpoints.values());
        self.endpoints.values().chain(self.dated_endpoints.values()).chain(of_families)
    }

    /// The variables that stand for parts of the base address.
    pub fn url_variables(&self) -> impl Iterator<Item = &str> {
        let rest = self.base_url.as_deref().unwrap_or_default();
        rest.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0))
    }

    /// The base address with its variables filled in; for a server people run themselves, where it usually listens.
    ///
    /// A value that is itself an address (`https://host/`) fits where a host name is expected.
    ///
    /// # Errors
    /// [`UrlError`] when there is no address or a variable has no value.
    pub fn resolved_base_url(&self, value: impl Fn(&str) -> Option<String>) -> Result<String, UrlError> {
        let base = self.base_url.as_deref().ok_or_else(|| UrlError::Required { id: self.id.clone() })?;
        let mut url = String::with_capacity(base.len());
        let mut rest = base;
        while let Some((before, after)) = rest.split_once('{') {
            url.push_str(before);
            let (variable, after) = after.split_once('}').unwrap_or((after, ""));
            let filled = value(variable)
                .filter(|filled| !filled.is_empty())
                .ok_or_else(|| UrlError::Unset { id: self.id.clone(), variable: variable.to_owned() })?;
            let host =
                filled.strip_prefix("https://").or_else(|| filled.strip_prefix("http://")).unwrap_or(&filled);
            url.push_str(host.trim_end_matches('/'));
            rest = after;
        }
        url.push_str(rest);
        for (irregular, right) in &self.url_exceptions {
            if url.contains(irregular.as_str()) {
                return Ok(url.replacen(irregular.as_str(), right, 1));
            }
        }
        Ok(url)
    }

    /// The provider as it serves a model: with the protocol and the paths of the model's family.
    #[must_use]
    pub fn for_model(&self, model: &str) -> Cow<'_, Self> {
        let Some(family) = self
            .families
            .iter()
            .find(|family| family.prefixes.iter().any(|prefix| model.starts_with(prefix)))
        else {
            return Cow::Borrowed(self);
        };
        Cow::Owned(Self {
            dialect: family.dialect,
            endpoints: family.endpoints.clone(),
            body: family.body.clone(),
            model_in_path_only: family.model_in_path_only,
            parameters: family.parameters.clone(),
            batch: self.batch.clone().filter(|_| family.batch),
            ..self.clone()
        })
    }

    /// The provider as it serves accounts that name a version of its API.
    #[must_use]
    pub fn of_version(&self, version: &str) -> Self {
        let fill = |path: &String| path.replace("{api_version}", version);
        let dated = self.dated_endpoints.iter().map(|(endpoint, path)| (*endpoint, fill(path)));
        Self { endpoints: dated.collect(), ..self.clone() }
    }

    /// The endpoints it serves, of any of its models, in the order of [`Endpoint::EVERY`].
    pub fn served(&self) -> impl Iterator<Item = Endpoint> {
        // How conversations are streamed is no endpoint of its own to anybody but the gateway.
        let apart = Endpoint::EVERY.into_iter().filter(|endpoint| *endpoint != Endpoint::ChatStream);
        apart.filter(|endpoint| self.serves(*endpoint))
    }

    /// Whether it serves an endpoint, for any of its models.
    #[must_use]
    pub fn serves(&self, endpoint: Endpoint) -> bool {
        let of_families = || self.families.iter().any(|family| family.endpoints.contains_key(&endpoint));
        self.endpoints.contains_key(&endpoint) || of_families()
    }

    /// The path of an endpoint, if it is served.
    #[must_use]
    pub fn path(&self, endpoint: Endpoint) -> Option<&str> {
        self.endpoints.get(&endpoint).map(String::as_str)
    }

    /// What a status means here, where that is not what it usually means.
    #[must_use]
    pub fn error_class(&self, status: u16) -> Option<FailureClass> {
        self.errors.iter().find(|row| row.status == status).map(|row| row.class)
    }
}

/// Serde wants a function for a default of `true`.
const fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_called_in_presets_as_everywhere() {
        for endpoint in Endpoint::EVERY {
            let text = LEAST.replace("chat = ", &format!("{} = ", endpoint.name()));
            assert_eq!(Preset::parse(&text).expect("a preset").path(endpoint), Some("/chat/completions"));
        }
    }

    const LEAST: &str = r#"
id = "acme"
name = "Acme"
dialect = "openai"
docs = "https://acme.example/docs"
base_url = "https://{ACME_HOST}/v1"
[key]
env = ["ACME_API_KEY"]
scheme = "bearer"
[endpoints]
chat = "/chat/completions"
"#;

    #[test]
    fn what_is_not_stated_is_unknown() {
        let preset = Preset::parse(LEAST).expect("a preset");
        assert!(preset.detect && preset.key.required && !preset.url_required);
        assert_eq!(preset.limits.style, LimitStyle::Unknown);
        assert_eq!(preset.parameters, Parameters::default());
        assert_eq!(preset.data.facts(), DataFacts::default());
        assert_eq!(preset.catalogue_provider(), "acme");
        assert_eq!(preset.path(Endpoint::Chat), Some("/chat/completions"));
        assert_eq!(preset.path(Endpoint::Embeddings), None);
        assert_eq!(preset.error_class(402), None);
    }

    #[test]
    fn variables_of_the_address_are_filled_in() {
        let preset = Preset::parse(LEAST).expect("a preset");
        assert_eq!(preset.url_variables().collect::<Vec<_>>(), ["ACME_HOST"]);
        for host in ["eu.acme.example", "https://eu.acme.example/"] {
            let url = preset.resolved_base_url(|_| Some(host.to_owned()));
            assert_eq!(url.as_deref(), Ok("https://eu.acme.example/v1"));
        }
        let unset = preset.resolved_base_url(|_| None).expect_err("no host");
        insta::assert_snapshot!(unset, @"find the address of `acme`: `ACME_HOST` is not set");
    }

    #[test]
    fn mistakes_are_told() {
        let wrong = [
            ("scheme = \"bearer\"", "scheme = \"header\""),
            ("https://{ACME_HOST}/v1", "https://acme.example/v1/"),
            ("base_url", "notes"),
            ("\"/chat", "\"chat"),
            ("chat = \"/chat/completions\"", ""),
            ("chat = ", "chatter = "),
            ("[endpoints]", "[limits]\nstyle = \"named\"\n[endpoints]"),
            ("[endpoints]", "[data]\nzdr = true\n[endpoints]"),
            (
                "[endpoints]",
                "[batch]\nform = \"files\"\nendpoints = [\"chat\"]\nmost_lines = 1\nmost_bytes = 1\nsource = \"\"\n[endpoints]",
            ),
            (
                "[endpoints]",
                "[batch]\nform = \"inline\"\nendpoints = [\"chat\"]\nmost_lines = 1\nmost_bytes = 1\nsource = \"\"\nmanner = { window = 48 }\n[endpoints]\nbatches = \"/b\"",
            ),
            ("[endpoints]", "[parameters]\nrefuse = [\"n\"]\n[endpoints]"),
            ("\"openai\"", "\"telnet\""),
            (
                "[endpoints]",
                "[sister_services.rerank]\nhost = \"a\"\nsister_host = \"b\"\nmodel = \"{model}\"\n[endpoints]",
            ),
            (
                "[endpoints]",
                "[sister_services.chat]\nhost = \"a\"\nsister_host = \"b\"\nmodel = \"{model}\"\n[endpoints]",
            ),
        ];
        let told: Vec<String> = wrong
            .iter()
            .map(|(from, to)| {
                let error = Preset::parse(&LEAST.replace(from, to)).expect_err("a mistake").to_string();
                format!("{to:?}: {}", error.lines().last().unwrap_or_default())
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        "scheme = \"header\"": read the preset `acme`: key.name goes with the schemes header and query, and only with them
        "https://acme.example/v1/": read the preset `acme`: base_url must not end with a slash
        "notes": read the preset `acme`: base_url is missing and url_required is not set
        "\"chat": read the preset `acme`: the path of an endpoint must start with a slash
        "": read the preset `acme`: it serves no endpoint
        "chatter = ": unknown variant `chatter`, expected one of `chat`, `chat_stream`, `responses`, `completions`, `embeddings`, `count_tokens`, `moderations`, `images`, `image_edits`, `image_variations`, `transcriptions`, `translations`, `speech`, `rerank`, `models`, `files`, `batches`
        "[limits]\nstyle = \"named\"\n[endpoints]": read the preset `acme`: limit headers go with the style named, and only with it
        "[data]\nzdr = true\n[endpoints]": read the preset `acme`: data claims need their source
        "[batch]\nform = \"files\"\nendpoints = [\"chat\"]\nmost_lines = 1\nmost_bytes = 1\nsource = \"\"\n[endpoints]": read the preset `acme`: a batch API needs the endpoints batches and, but for the forms inline and bundles, files
        "[batch]\nform = \"inline\"\nendpoints = [\"chat\"]\nmost_lines = 1\nmost_bytes = 1\nsource = \"\"\nmanner = { window = 48 }\n[endpoints]\nbatches = \"/b\"": read the preset `acme`: batch.manner says how the form files is spoken differently: paths that start with a slash, a window
        "[parameters]\nrefuse = [\"n\"]\n[endpoints]": unknown field `refuse`, expected one of `output_limit`, `stream_usage`, `json_schema`, `image_urls`, `developer_role`, `reasoning_field`, `reasoning_object`, `refused`, `ignored`, `stop_texts`, `renamed`
        "\"telnet\"": unknown variant `telnet`, expected one of `openai`, `anthropic`, `gemini`, `responses`, `converse`, `cohere`, `mistral`
        "[sister_services.rerank]\nhost = \"a\"\nsister_host = \"b\"\nmodel = \"{model}\"\n[endpoints]": read the preset `acme`: a sister service must serve one of the endpoints
        "[sister_services.chat]\nhost = \"a\"\nsister_host = \"b\"\nmodel = \"{model}\"\n[endpoints]": read the preset `acme`: a sister service takes signed requests, and nothing says how they are signed
        "#);
    }
}
