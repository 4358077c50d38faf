//! Reasoning as Gemini is asked for it: `thinkingConfig` with a budget (2.5) or a level (3).
//!
//! Owns the choice between the two, by the profile's style, and the table between efforts and budgets. The table is the one
//! of Google's OpenAI compatibility page (ai.google.dev/gemini-api/docs/openai, "Thinking"): minimal and low 1,024 tokens,
//! medium 8,192, high 24,576, which is also the most that every 2.5 model takes. `maxOutputTokens` includes the thoughts, so
//! a budget leaves room for the answer.

use crate::codec::{Profile, ReasoningStyle};
use crate::json_text::JsonText;
use bytes::BytesMut;
use trunkline_model::request::{ChatRequest, Effort, Reasoning};
use trunkline_model::warning::Warning;

/// The client's parameter, as most dialects name it.
const FEATURE: &str = "reasoning_effort";

/// What to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Thinking {
    /// -1 lets the model decide, 0 turns thinking off.
    budget: Option<i64>,
    level: Option<&'static str>,
    visible: Option<bool>,
}

impl Thinking {
    /// Writes the `thinkingConfig` field, if any. `extras` are fields of it that only this dialect knows.
    pub(super) fn write(self, extras: &[(&str, &str)], out: &mut BytesMut) {
        if self == Self::default() && extras.is_empty() {
            return;
        }
        out.key("thinkingConfig");
        out.open_object();
        if let Some(visible) = self.visible {
            out.key("includeThoughts");
            out.boolean(visible);
        }
        if let Some(budget) = self.budget {
            out.key("thinkingBudget");
            out.signed(budget);
        }
        if let Some(level) = self.level {
            out.field("thinkingLevel", level);
        }
        for (name, json) in extras {
            out.field_raw(name, json);
        }
        out.close_object();
    }
}

/// Decides how to ask for reasoning.
pub(super) fn plan(request: &ChatRequest, profile: &Profile, warnings: &mut Vec<Warning>) -> Thinking {
    let Some(reasoning) = &request.reasoning else { return Thinking::default() };
    let off = reasoning.effort == Some(Effort::None);
    if profile.reasoning == ReasoningStyle::None || profile.refuses("thinkingConfig") {
        if !off && asks(reasoning) {
            warnings.push(Warning::dropped(FEATURE, "the model does not reason"));
        }
        return Thinking::default();
    }
    if !off && !asks(reasoning) {
        // Nothing but the wish to see the thoughts, or not to.
        return Thinking {
            visible: reasoning.visibility.told().filter(|visible| *visible),
            ..Thinking::default()
        };
    }
    let by_level = match profile.reasoning {
        ReasoningStyle::Level => true,
        ReasoningStyle::Budget => false,
        _ => reasoning.budget_tokens.is_none() && !reasoning.adaptive && by_levels(profile),
    };
    if by_level {
        return by_level_name(reasoning, profile, warnings);
    }
    let limits = [request.max_output_tokens, profile.max_output_tokens.filter(|most| *most > 0)];
    by_budget(reasoning, limits.into_iter().flatten().min(), warnings)
}

const fn asks(reasoning: &Reasoning) -> bool {
    reasoning.effort.is_some() || reasoning.budget_tokens.is_some() || reasoning.adaptive
}

/// Whether the target is of the generation that is asked by level, checks signatures, and takes what older ones do not.
pub(super) fn by_levels(profile: &Profile) -> bool {
    profile.reasoning == ReasoningStyle::Level || profile.model.contains("gemini-3")
}

/// Whether thoughts are shown: as the client says; where it says nothing, those who ask by budget see them by default.
fn visible(reasoning: &Reasoning) -> Option<bool> {
    reasoning
        .visibility
        .told()
        .or_else(|| (reasoning.budget_tokens.is_some() || reasoning.adaptive).then_some(true))
}

fn by_level_name(reasoning: &Reasoning, profile: &Profile, warnings: &mut Vec<Warning>) -> Thinking {
    // Only the smaller models take the least level.
    let least = if profile.model.contains("flash") { "MINIMAL" } else { "LOW" };
    let mut emulated = |reason: String| warnings.push(Warning::emulated(FEATURE, reason));
    let level = match (reasoning.effort, reasoning.budget_tokens) {
        (Some(Effort::None), _) => {
            emulated(format!("the model always reasons: sent as level `{least}`"));
            return Thinking { level: Some(least), ..Thinking::default() };
        }
        (Some(Effort::Minimal), _) => {
            if least != "MINIMAL" {
                emulated("`minimal` is sent as level `LOW`".to_owned());
            }
            Some(least)
        }
        (Some(Effort::Low), _) => Some("LOW"),
        (Some(Effort::Medium), _) => Some("MEDIUM"),
        (Some(Effort::High), _) => Some("HIGH"),
        (Some(effort @ (Effort::ExtraHigh | Effort::Max)), _) => {
            emulated(format!("`{}` is sent as level `HIGH`, the highest", effort.name()));
            Some("HIGH")
        }
        (None, Some(budget)) => {
            let level = match budget {
                0..=1_024 => "LOW",
                1_025..=8_192 => "MEDIUM",
                _ => "HIGH",
            };
            emulated(format!("the model takes no budget: sent as level `{level}`"));
            Some(level)
        }
        // The model decides by itself.
        (None, None) => None,
    };
    Thinking { level, budget: None, visible: visible(reasoning) }
}

fn by_budget(reasoning: &Reasoning, limit: Option<u64>, warnings: &mut Vec<Warning>) -> Thinking {
    let budget = match (reasoning.budget_tokens, reasoning.effort) {
        (_, Some(Effort::None)) => return Thinking { budget: Some(0), ..Thinking::default() },
        (Some(budget), _) => budget,
        (None, Some(effort)) => {
            let budget = budget_of(effort);
            let reason = format!("sent as a thinking budget of {budget} tokens");
            warnings.push(Warning::emulated(FEATURE, reason));
            budget
        }
        (None, None) => return Thinking { budget: Some(-1), level: None, visible: visible(reasoning) },
    };
    let room = limit.map(|limit| (limit / 5 * 4).max(1));
    let budget = match room {
        Some(room) if room < budget => {
            let reason = format!("reduced to {room} tokens: the output limit includes the thoughts");
            warnings.push(Warning::emulated("reasoning budget", reason));
            room
        }
        _ => budget,
    };
    let budget = i64::try_from(budget).unwrap_or(i64::from(i32::MAX)).min(i64::from(i32::MAX));
    Thinking { budget: Some(budget), level: None, visible: visible(reasoning) }
}

const fn budget_of(effort: Effort) -> u64 {
    match effort {
        Effort::None => 0,
        Effort::Minimal | Effort::Low => 1_024,
        Effort::Medium => 8_192,
        Effort::High | Effort::ExtraHigh | Effort::Max => 24_576,
    }
}
