//! The compact JSON of a decision.
//!
//! Owns the field order and the bounds. Written by hand into the caller's buffer, because every request is logged with it:
//! building a value tree first costs ten times as much.

use crate::decision::{Decision, Expectation, FeatureValue, StepOutcome};
use crate::fleet::DeploymentIndex;
use crate::plan::{Leg, Plan};
use std::fmt::{self, Write as _};

/// Most candidates and most rejections that are written one by one; the rest is counted.
pub const REJECTION_LIMIT: usize = 50;

impl Decision {
    /// Appends the decision as one line of JSON, in the form that [`super::Explanation`] reads.
    pub fn write_compact(&self, out: &mut String) {
        let id = self.id.encode();
        out.push_str("{\"id\":\"dec_");
        out.push_str(std::str::from_utf8(&id).expect("ids are made of ASCII letters and digits"));
        out.push_str("\",\"route\":");
        push_text(out, &self.route);
        if let Some(tier) = &self.tier {
            out.push_str(",\"tier\":");
            push_text(out, tier);
        }
        out.push_str(",\"decided_by\":");
        push_text(out, self.decided_by.name());
        match &self.plan {
            Ok(plan) => self.push_plan(out, plan),
            Err(why) => {
                out.push_str(",\"no_plan\":");
                push_shown(out, why);
            }
        }
        self.push_candidates(out);
        self.push_rejections(out);
        self.push_steps(out);
        self.push_features(out);
        out.push_str(",\"propensity\":");
        push_measure(out, self.propensity);
        self.push_expectation(out, ",\"expected\":", self.expected.as_ref());
        self.push_expectation(out, ",\"runner_up\":", self.runner_up.as_ref());
        if let Some(shadow) = &self.shadow {
            out.push_str(",\"shadow\":");
            self.push_deployment(out, shadow.deployment.index());
        }
        out.push_str(",\"seed\":");
        push_hexadecimal(out, self.seed);
        if let Some(turn) = self.turn {
            out.push_str(",\"turn\":");
            push_whole(out, turn);
        }
        out.push_str(",\"config_version\":");
        push_hexadecimal(out, self.config_version);
        out.push('}');
    }

    /// The decision as one line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(1_024);
        self.write_compact(&mut out);
        out
    }

    fn push_deployment(&self, out: &mut String, index: DeploymentIndex) {
        push_text(out, self.deployment_name(index));
    }

    fn push_plan(&self, out: &mut String, plan: &Plan) {
        out.push_str(",\"plan\":{\"legs\":");
        self.push_legs(out, &plan.legs);
        let lists = [
            (",\"on_rate_limit\":", &plan.on_rate_limit),
            (",\"on_context_length\":", &plan.on_context_length),
            (",\"on_content_filter\":", &plan.on_content_filter),
        ];
        for (name, legs) in lists {
            if !legs.is_empty() {
                out.push_str(name);
                self.push_legs(out, legs);
            }
        }
        out.push_str(",\"attempts\":");
        push_whole(out, plan.attempts);
        out.push_str(",\"total_ms\":");
        push_whole(out, u64::try_from(plan.timeouts.total.as_millis()).unwrap_or(u64::MAX));
        out.push('}');
    }

    fn push_legs(&self, out: &mut String, legs: &[Leg]) {
        push_list(out, legs.iter().take(REJECTION_LIMIT), |out, leg| {
            self.push_deployment(out, leg.deployment.index());
        });
    }

    fn push_candidates(&self, out: &mut String) {
        // Candidates that are planned stand in the order of the legs, so the leg tells the tier.
        let legs: &[Leg] = self.plan.as_ref().map_or(&[], |plan| &plan.legs);
        let listed = self.candidates.iter().take(REJECTION_LIMIT).enumerate();
        out.push_str(",\"candidates\":");
        push_list(out, listed, |out, (position, candidate)| {
            out.push_str("{\"deployment\":");
            self.push_deployment(out, candidate.ranked.deployment.index());
            if let Some(leg) = legs.get(position).filter(|_| candidate.planned) {
                out.push_str(",\"tier\":");
                push_text(out, &leg.tier);
            }
            if candidate.ranked.score.is_finite() {
                out.push_str(",\"score\":");
                push_measure(out, candidate.ranked.score);
            }
            out.push_str(",\"availability\":\"");
            out.push_str(candidate.ranked.availability.name());
            out.push_str("\"}");
        });
        push_rest(out, ",\"candidates_more\":", self.candidates.len());
    }

    fn push_rejections(&self, out: &mut String) {
        out.push_str(",\"rejected\":");
        push_list(out, self.rejections.iter().take(REJECTION_LIMIT), |out, rejection| {
            out.push_str("{\"deployment\":");
            self.push_deployment(out, rejection.deployment);
            out.push_str(",\"reason\":\"");
            out.push_str(rejection.reason.name());
            out.push_str("\",\"text\":");
            push_shown(out, &rejection.reason);
            out.push('}');
        });
        push_rest(out, ",\"rejected_more\":", self.rejections.len());
    }

    fn push_steps(&self, out: &mut String) {
        out.push_str(",\"steps\":");
        push_list(out, self.steps.iter(), |out, trace| {
            out.push_str("{\"step\":");
            push_text(out, &trace.step);
            match &trace.outcome {
                StepOutcome::Answered { target } => {
                    out.push_str(",\"answer\":");
                    push_text(out, target);
                }
                StepOutcome::NoAnswer(why) => {
                    out.push_str(",\"no_answer\":");
                    push_shown(out, why);
                }
            }
            if let Some(note) = &trace.note {
                out.push_str(",\"note\":");
                push_text(out, note);
            }
            if !trace.measures.is_empty() {
                out.push_str(",\"measures\":{");
                for (position, (name, value)) in trace.measures.iter().enumerate() {
                    if position > 0 {
                        out.push(',');
                    }
                    push_text(out, name);
                    out.push(':');
                    push_measure(out, *value);
                }
                out.push('}');
            }
            out.push('}');
        });
    }

    fn push_features(&self, out: &mut String) {
        out.push_str(",\"features\":{");
        // Both run in the order of the list of features.
        let mut values = self.values.iter().peekable();
        for (position, feature) in self.features.iter().enumerate() {
            if position > 0 {
                out.push(',');
            }
            out.push('"');
            out.push_str(feature.name());
            out.push_str("\":");
            match values.next_if(|(valued, _)| *valued == feature) {
                Some((_, FeatureValue::Bool(value))) => out.push_str(if *value { "true" } else { "false" }),
                Some((_, FeatureValue::Int(value))) => push_whole(out, *value),
                Some((_, FeatureValue::Double(value))) => push_number(out, *value),
                Some((_, FeatureValue::Text(value))) => push_text(out, value),
                None => out.push_str("null"),
            }
        }
        out.push('}');
    }

    fn push_expectation(&self, out: &mut String, name: &str, expectation: Option<&Expectation>) {
        let Some(expectation) = expectation else { return };
        out.push_str(name);
        out.push_str("{\"deployment\":");
        self.push_deployment(out, expectation.deployment);
        out.push_str(",\"cost\":{\"amount\":");
        match expectation.cost.amount {
            Some(amount) => push_whole(out, amount.nanos()),
            None => out.push_str("null"),
        }
        out.push_str(",\"confidence\":\"");
        out.push_str(expectation.cost.confidence.as_str());
        out.push_str("\"}");
        if let Some(quality) = expectation.quality {
            out.push_str(",\"quality\":");
            push_measure(out, quality);
        }
        out.push('}');
    }
}

fn push_list<T>(out: &mut String, items: impl Iterator<Item = T>, mut push: impl FnMut(&mut String, T)) {
    out.push('[');
    for (position, item) in items.enumerate() {
        if position > 0 {
            out.push(',');
        }
        push(out, item);
    }
    out.push(']');
}

fn push_rest(out: &mut String, name: &str, all: usize) {
    if let Some(rest) = all.checked_sub(REJECTION_LIMIT).filter(|rest| *rest > 0) {
        out.push_str(name);
        push_whole(out, rest as u64);
    }
}

fn push_whole(out: &mut String, number: impl itoa::Integer) {
    out.push_str(itoa::Buffer::new().format(number));
}

fn push_number(out: &mut String, number: f64) {
    if number.is_finite() {
        out.push_str(ryu::Buffer::new().format_finite(number));
    } else {
        out.push_str("null");
    }
}

/// A measure in single precision: seven digits tell all there is to tell, and fit a log line.
fn push_measure(out: &mut String, measure: f64) {
    #[expect(clippy::cast_possible_truncation, reason = "the rounding is the point")]
    let measure = measure as f32;
    if measure.is_finite() {
        out.push_str(ryu::Buffer::new().format_finite(measure));
    } else {
        out.push_str("null");
    }
}

/// As a text, because a reader that takes all numbers for doubles would change it.
fn push_hexadecimal(out: &mut String, number: u64) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits: [u8; 16] = std::array::from_fn(|index| DIGITS[(number >> ((15 - index) * 4) & 15) as usize]);
    out.push('"');
    out.push_str(std::str::from_utf8(&digits).expect("digits are ASCII"));
    out.push('"');
}

fn push_text(out: &mut String, text: &str) {
    out.push('"');
    Escaped(out).push(text);
    out.push('"');
}

fn push_shown(out: &mut String, shown: &impl fmt::Display) {
    out.push('"');
    // Writing to a string cannot fail.
    let _ = write!(Escaped(out), "{shown}");
    out.push('"');
}

/// Escapes what is written through it for the inside of a JSON string.
struct Escaped<'a>(&'a mut String);

impl Escaped<'_> {
    fn push(&mut self, text: &str) {
        let is_special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
        // Names hold nothing to escape; without an early exit the test is vector instructions.
        if !text.bytes().fold(false, |found, byte| found | is_special(byte)) {
            return self.0.push_str(text);
        }
        let mut rest = text;
        while let Some(at) = rest.bytes().position(is_special) {
            self.0.push_str(&rest[..at]);
            match rest.as_bytes()[at] {
                b'"' => self.0.push_str("\\\""),
                b'\\' => self.0.push_str("\\\\"),
                b'\n' => self.0.push_str("\\n"),
                b'\r' => self.0.push_str("\\r"),
                b'\t' => self.0.push_str("\\t"),
                8 => self.0.push_str("\\b"),
                12 => self.0.push_str("\\f"),
                byte => {
                    let _ = write!(self.0, "\\u{byte:04x}");
                }
            }
            rest = &rest[at + 1..];
        }
        self.0.push_str(rest);
    }
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}
