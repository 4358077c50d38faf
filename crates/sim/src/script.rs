//! What a simulator is told to do: how slow to be, when to fail and how, which limits to announce.
//!
//! Owns the values and the pure question "which fault, if any, is this request's". It must not perform anything. The
//! default script is a healthy provider that answers at once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::chance::Chance;
use crate::fault::Fault;

/// A simulator's behaviour; changed at run time through [`crate::Simulator::script`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// From the request's last byte to the response headers.
    pub headers: Delay,
    /// From the response headers to the first token. Plain answers wait for it, and for all gaps, before their headers.
    pub first_token: Delay,
    /// Between two streamed pieces of the answer.
    pub token_gap: Delay,
    /// Tokens in one streamed piece, at least 1.
    pub piece_tokens: usize,
    /// Cuts everything written into writes of this many bytes, so that characters and events come apart.
    pub write_bytes: Option<usize>,
    /// When to fail and how; the first rule that matches decides.
    pub rules: Vec<Rule>,
    /// Rate limits and what the headers say of them.
    pub limits: Limits,
    /// How batches go.
    pub batches: BatchScript,
    /// The shortest prompt prefix, in tokens, that prompt caching remembers.
    pub cache_minimum_tokens: u64,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            headers: Delay::None,
            first_token: Delay::None,
            token_gap: Delay::None,
            piece_tokens: 1,
            write_bytes: None,
            rules: Vec::new(),
            limits: Limits::default(),
            batches: BatchScript::default(),
            cache_minimum_tokens: 1024,
        }
    }
}

/// How batches go, in every dialect that has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchScript {
    /// How often a batch is looked at before it is over: a client's polling has an end without anybody waiting.
    pub looks: u32,
    /// How it ends.
    pub end: BatchEnd,
    /// Whose files and batches they are, in the OpenAI dialect.
    pub manner: BatchManner,
}

impl Default for BatchScript {
    fn default() -> Self {
        Self { looks: 2, end: BatchEnd::Complete, manner: BatchManner::OpenAi }
    }
}

/// Whose files and batches a simulator of the OpenAI dialect has: the vendor's, or those of somebody who copied and changed them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchManner {
    /// The vendor's own.
    #[default]
    OpenAi,
    /// Uploads at a path and for a purpose of their own, bare lines, a wrapped answer to an order, states in capitals.
    Together,
    /// Two days, other states, empty texts for files that are not there.
    Novita,
    /// Another version in what lines ask for.
    Zhipu,
    /// Counts in place of states, pages of results in place of files.
    Xai,
    /// Lines in the order, results in the batch, no files; nothing stops one.
    #[serde(rename = "openrouter")]
    OpenRouter,
}

/// How a batch ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchEnd {
    /// With an answer to every line.
    #[default]
    Complete,
    /// As a whole, before any line was answered; where the dialect knows that.
    Failed,
    /// Its time runs out with every second line answered.
    Expired,
}

/// A distribution of waiting times, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Delay {
    /// No wait.
    #[default]
    None,
    /// Always the same.
    Constant {
        /// Milliseconds.
        ms: f64,
    },
    /// Evenly between two bounds.
    Uniform {
        /// Lower bound in milliseconds.
        from_ms: f64,
        /// Upper bound in milliseconds.
        to_ms: f64,
    },
    /// A lognormal distribution, the usual shape of latencies.
    LogNormal {
        /// Median in milliseconds.
        median_ms: f64,
        /// Standard deviation of the logarithm; 0.5 puts the 99th percentile at about 3.2 times the median.
        sigma: f64,
    },
}

impl Delay {
    /// A constant delay.
    #[must_use]
    pub fn constant(duration: Duration) -> Self {
        Self::Constant { ms: duration.as_secs_f64() * 1000.0 }
    }

    /// The gap that gives this many pieces a second.
    #[must_use]
    pub fn per_second(pieces: f64) -> Self {
        if pieces > 0.0 { Self::Constant { ms: 1000.0 / pieces } } else { Self::None }
    }
}

/// One way to fail and the requests it concerns: those that meet every condition given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// How to fail.
    pub fault: Fault,
    /// The share of requests, 0 to 1, drawn reproducibly from the seed and the request's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Only within this window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Only requests with these numbers, counted from 1 over the life of the simulator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nth: Vec<u64>,
    /// Only every so many requests (3: the third, sixth, ...).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// Only requests for a model whose name contains this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Only requests whose path contains this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Only requests whose body contains this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Only requests with this header (name, text contained in its value).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<(String, String)>,
}

/// A span of time since the simulator started, once or again and again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Start in milliseconds since the simulator started.
    pub from_ms: u64,
    /// End in milliseconds, exclusive.
    pub until_ms: u64,
    /// Repeats with this period in milliseconds, if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<u64>,
}

impl Window {
    pub(crate) fn contains(&self, elapsed: Duration) -> bool {
        let at = self.phase(elapsed);
        (self.from_ms..self.until_ms).contains(&at)
    }

    /// How long from `elapsed` to the next start or end, if there is one.
    pub(crate) fn next_edge(&self, elapsed: Duration) -> Option<Duration> {
        let at = self.phase(elapsed);
        let edges = [self.from_ms, self.until_ms];
        let next = edges.into_iter().filter(|edge| *edge > at).min();
        let wrapped =
            self.every_ms.filter(|period| *period > 0).map(|period| period + self.from_ms.min(period));
        next.or(wrapped).map(|edge| Duration::from_millis(edge - at))
    }

    fn phase(&self, elapsed: Duration) -> u64 {
        let at = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        match self.every_ms {
            Some(period) if period > 0 => at % period,
            _ => at,
        }
    }
}

impl Rule {
    /// Concerns every request.
    #[must_use]
    pub fn always(fault: Fault) -> Self {
        Self {
            fault,
            rate: None,
            window: None,
            nth: Vec::new(),
            every: None,
            model: None,
            path: None,
            body: None,
            header: None,
        }
    }

    /// Only this share of requests.
    #[must_use]
    pub fn rate(mut self, rate: f64) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Only the requests with these numbers, counted from 1.
    #[must_use]
    pub fn nth(mut self, numbers: &[u64]) -> Self {
        self.nth = numbers.to_vec();
        self
    }

    /// Only between two moments since the start.
    #[must_use]
    pub fn between(mut self, from: Duration, until: Duration) -> Self {
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.window =
            Some(Window { from_ms: milliseconds(from), until_ms: milliseconds(until), every_ms: None });
        self
    }

    /// Only requests for models whose name contains `text`.
    #[must_use]
    pub fn for_model(mut self, text: &str) -> Self {
        self.model = Some(text.to_owned());
        self
    }

    /// Only requests whose body contains `text`.
    #[must_use]
    pub fn for_body(mut self, text: &str) -> Self {
        self.body = Some(text.to_owned());
        self
    }

    /// Only requests with this header.
    #[must_use]
    pub fn for_header(mut self, name: &str, value: &str) -> Self {
        self.header = Some((name.to_owned(), value.to_owned()));
        self
    }

    /// Whether the rule holds for all requests at this moment; what decides if the port is to be closed.
    pub(crate) fn holds_for_all(&self, elapsed: Duration) -> bool {
        let unconditional = Self { window: None, ..self.clone() } == Self::always(self.fault);
        unconditional && self.window.is_none_or(|window| window.contains(elapsed))
    }

    fn matches(&self, facts: &Facts<'_>, chance: &mut Chance) -> bool {
        let drawn = chance.unit();
        self.rate.is_none_or(|rate| drawn < rate)
            && self.window.is_none_or(|window| window.contains(facts.elapsed))
            && (self.nth.is_empty() || self.nth.contains(&facts.number))
            && self.every.is_none_or(|every| every > 0 && facts.number.is_multiple_of(every))
            && self.model.as_deref().is_none_or(|text| facts.model.is_some_and(|model| model.contains(text)))
            && self.path.as_deref().is_none_or(|text| facts.path.contains(text))
            && self.body.as_deref().is_none_or(|text| contains(facts.body, text.as_bytes()))
            && self.header.as_ref().is_none_or(|(name, value)| {
                let values = facts.headers.get_all(name.as_str());
                values.iter().any(|found| contains(found.as_bytes(), value.as_bytes()))
            })
    }
}

/// What a rule may look at.
pub(crate) struct Facts<'a> {
    pub(crate) number: u64,
    pub(crate) elapsed: Duration,
    pub(crate) path: &'a str,
    pub(crate) model: Option<&'a str>,
    pub(crate) headers: &'a http::HeaderMap,
    pub(crate) body: &'a [u8],
}

impl Script {
    /// The fault of the first rule that matches.
    pub(crate) fn fault(&self, facts: &Facts<'_>, chance: &mut Chance) -> Option<Fault> {
        self.rules.iter().find(|rule| rule.matches(facts, chance)).map(|rule| rule.fault)
    }
}

pub(crate) fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(haystack, needle).is_some()
}

/// Rate limits. Where a limit is given it is enforced by a real token bucket that answers 429.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests per minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens per minute, prompt and answer together.
    pub tokens_per_minute: Option<u64>,
    /// What the headers say, whatever is true.
    pub announce: Option<Headroom>,
}

/// What rate-limit headers say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Headroom {
    /// Requests allowed per minute.
    pub limit_requests: u64,
    /// Requests left.
    pub remaining_requests: u64,
    /// Milliseconds until all requests are allowed again.
    pub reset_requests_ms: u64,
    /// Tokens allowed per minute.
    pub limit_tokens: u64,
    /// Tokens left.
    pub remaining_tokens: u64,
    /// Milliseconds until all tokens are allowed again.
    pub reset_tokens_ms: u64,
}

impl Default for Headroom {
    fn default() -> Self {
        Self {
            limit_requests: 10_000,
            remaining_requests: 9_999,
            reset_requests_ms: 6,
            limit_tokens: 2_000_000,
            remaining_tokens: 1_999_000,
            reset_tokens_ms: 30,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault_of(script: &Script, number: u64, elapsed_ms: u64, body: &str) -> Option<Fault> {
        let headers = http::HeaderMap::from_iter([(http::header::USER_AGENT, "drill/1".parse().unwrap())]);
        let facts = Facts {
            number,
            elapsed: Duration::from_millis(elapsed_ms),
            path: "/v1/chat/completions",
            model: Some("gpt-5-mini"),
            headers: &headers,
            body: body.as_bytes(),
        };
        script.fault(&facts, &mut Chance::new(number))
    }

    fn script(rule: Rule) -> Script {
        Script { rules: vec![rule], ..Script::default() }
    }

    #[test]
    fn every_condition_of_a_rule_counts() {
        let nth = script(Rule::always(Fault::ServerError).nth(&[2, 4]));
        let failing: Vec<_> = (1..=5).filter(|number| fault_of(&nth, *number, 0, "").is_some()).collect();
        assert_eq!(failing, [2, 4]);

        let body = script(Rule::always(Fault::ServerError).for_body("boom").for_model("mini"));
        assert_eq!(fault_of(&body, 1, 0, "a boom"), Some(Fault::ServerError));
        assert_eq!(fault_of(&body, 1, 0, "quiet"), None);

        let header = script(Rule::always(Fault::ServerError).for_header("user-agent", "drill"));
        assert_eq!(fault_of(&header, 1, 0, ""), Some(Fault::ServerError));
        let other = script(Rule::always(Fault::ServerError).for_header("user-agent", "curl"));
        assert_eq!(fault_of(&other, 1, 0, ""), None);
    }

    #[test]
    fn a_rate_is_met_on_average_and_reproducibly() {
        let script = script(Rule::always(Fault::ServerError).rate(0.25));
        let failing = (1..=4000).filter(|number| fault_of(&script, *number, 0, "").is_some()).count();
        assert!((900..1100).contains(&failing), "{failing}");
        assert_eq!(failing, (1..=4000).filter(|number| fault_of(&script, *number, 0, "").is_some()).count());
    }

    #[test]
    fn a_window_repeats_with_its_period() {
        let window = Window { from_ms: 100, until_ms: 200, every_ms: Some(1000) };
        let inside = |ms| window.contains(Duration::from_millis(ms));
        assert_eq!([99, 100, 199, 200, 1150, 2300].map(inside), [false, true, true, false, true, false]);
        let edge = |ms| window.next_edge(Duration::from_millis(ms)).map(|edge| edge.as_millis());
        assert_eq!([0, 100, 500].map(edge), [Some(100), Some(100), Some(600)]);
        let once = Window { every_ms: None, ..window };
        assert_eq!(once.next_edge(Duration::from_millis(300)), None);
    }

    #[test]
    fn a_script_reads_from_json_with_defaults() {
        let text = r#"{"first_token": {"log-normal": {"median_ms": 300, "sigma": 0.4}},
            "rules": [{"fault": "stall=3", "rate": 0.1, "window": {"from_ms": 5, "until_ms": 9}}]}"#;
        let script: Script = serde_json::from_str(text).unwrap();
        assert_eq!(script.rules[0].fault, Fault::Stall(3));
        assert_eq!(script.piece_tokens, 1);
        let again: Script = serde_json::from_str(&serde_json::to_string(&script).unwrap()).unwrap();
        assert_eq!(again, script);
        assert!(serde_json::from_str::<Script>(r#"{"rulez": []}"#).is_err());
    }
}
