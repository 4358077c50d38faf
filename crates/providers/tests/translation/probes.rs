//! One probe for each feature of each client protocol.
//!
//! A probe is a merge patch (RFC 7396) over a plain request. Its marks are values that must be found in the body that goes out
//! where the feature is said to have passed; `a|b` is one mark with two spellings.

mod anthropic;
mod gemini;
mod openai;
mod responses;

use serde_json::Value;
use trunkline_model::dialect::Dialect;

/// A client protocol with its probes.
pub(crate) struct Client {
    pub(crate) name: &'static str,
    pub(crate) dialect: Dialect,
    pub(crate) base: Value,
    pub(crate) probes: Vec<Probe>,
}

/// One feature.
pub(crate) struct Probe {
    pub(crate) feature: &'static str,
    patch: Value,
    pub(crate) marks: &'static [&'static str],
    /// Where the target does it anyway, there is nothing to say.
    pub(crate) may_be_silent: bool,
}

impl Probe {
    pub(crate) fn merged(&self, base: &Value) -> Value {
        let mut body = base.clone();
        merge(&mut body, &self.patch);
        body
    }
}

pub(crate) fn all() -> Vec<Client> {
    vec![openai::client(), responses::client(), anthropic::client(), gemini::client()]
}

fn probe(feature: &'static str, patch: Value, marks: &'static [&'static str]) -> Probe {
    Probe { feature, patch, marks, may_be_silent: false }
}

/// A probe for what a target may do without being told: not to reason, for one that does not.
fn quiet(feature: &'static str, patch: Value) -> Probe {
    Probe { feature, patch, marks: &[], may_be_silent: true }
}

fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (name, value) in patch {
                merge(target.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}
