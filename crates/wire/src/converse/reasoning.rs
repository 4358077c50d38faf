//! Reasoning as each family of models is asked for it.
//!
//! Owns the fields that carry it: `thinking` of Claude and `reasoningConfig` of Nova travel in the additional fields, the
//! effort has a field of the dialect's own. Must not know single models: the profile's style says budget or adaptive. Claude
//! wants `1024 <= budget < maxTokens`, and an assistant turn with tool calls that opens with its signed thinking: what cannot be
//! met turns thinking off with a warning instead of failing upstream.

use super::family::Family;
use crate::anthropic::reasoning::{budget_of, effort_of};
use crate::codec::{Profile, ReasoningStyle};
use crate::json_text::JsonText;
use bytes::BytesMut;
use trunkline_model::content::{Content, Message, Role};
use trunkline_model::dialect::Dialect;
use trunkline_model::request::{ChatRequest, Effort, Reasoning, Visibility};
use trunkline_model::warning::Warning;

/// The least budget Claude takes, in tokens.
const LEAST_BUDGET: u64 = 1_024;
/// Room for the answer beside a budget, where the client sets no limit.
const ANSWER_ROOM: u64 = 4_096;

/// What to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing.
    #[default]
    Unsaid,
    /// Claude: no thinking.
    Disabled,
    /// Claude: thinking with a budget in tokens.
    Budget { tokens: u64, visible: Option<bool> },
    /// Claude: it chooses how much, steered by the effort.
    Adaptive { effort: Option<Effort>, visible: Option<bool> },
    /// Nova: by effort, in its own field.
    Nova(Effort),
    /// OpenAI's open models: by effort, in their own field.
    Field(Effort),
    /// Others: by the dialect's field.
    Effort(Effort),
}

impl Plan {
    /// Whether Claude will think, which forbids some other parameters.
    pub(super) const fn is_thinking(self) -> bool {
        matches!(self, Self::Budget { .. } | Self::Adaptive { .. })
    }

    /// The value of `outputConfig.effort`.
    pub(super) fn effort(self) -> Option<&'static str> {
        match self {
            Self::Adaptive { effort: Some(effort), .. } | Self::Effort(effort) => Some(named(effort)),
            _ => None,
        }
    }

    /// Writes its fields into `additionalModelRequestFields`.
    pub(super) fn write(self, out: &mut BytesMut) {
        match self {
            Self::Unsaid | Self::Effort(_) => {}
            Self::Disabled => out.field_raw("thinking", r#"{"type":"disabled"}"#),
            Self::Budget { tokens, visible } => {
                out.key("thinking");
                out.open_object();
                out.field("type", "enabled");
                out.field_unsigned("budget_tokens", tokens);
                write_display(visible, out);
                out.close_object();
            }
            Self::Adaptive { visible, .. } => {
                out.key("thinking");
                out.open_object();
                out.field("type", "adaptive");
                write_display(visible, out);
                out.close_object();
            }
            Self::Nova(effort) => {
                out.key("reasoningConfig");
                out.open_object();
                out.field("type", "enabled");
                out.field("maxReasoningEffort", coarse(effort));
                out.close_object();
            }
            Self::Field(effort) => out.field("reasoning_effort", coarse(effort)),
        }
    }
}

fn write_display(visible: Option<bool>, out: &mut BytesMut) {
    if let Some(visible) = visible {
        out.field("display", if visible { "summarized" } else { "omitted" });
    }
}

/// The dialect's word for an effort.
const fn named(effort: Effort) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal => Effort::Low.name(),
        effort => effort.name(),
    }
}

/// For models that know three efforts.
const fn coarse(effort: Effort) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal | Effort::Low => Effort::Low.name(),
        Effort::Medium => Effort::Medium.name(),
        Effort::High | Effort::ExtraHigh | Effort::Max => Effort::High.name(),
    }
}

/// Decides how to ask for reasoning; may raise the output limit where the client set none.
pub(super) fn plan(
    request: &ChatRequest,
    profile: &Profile,
    family: Family,
    max_tokens: &mut Option<u64>,
    warnings: &mut Vec<Warning>,
) -> Plan {
    let Some(reasoning) = &request.reasoning else { return Plan::Unsaid };
    let refused = profile.reasoning == ReasoningStyle::None || profile.refuses("thinking");
    if reasoning.effort == Some(Effort::None) {
        return if family == Family::Claude && !refused { Plan::Disabled } else { Plan::Unsaid };
    }
    let asks = reasoning.effort.is_some() || reasoning.budget_tokens.is_some() || reasoning.adaptive;
    if family != Family::Claude
        && !refused
        && let Some(how) =
            crate::write::without_a_word_for(reasoning).filter(|_| asks || reasoning.is_hidden())
    {
        warnings.push(Warning::emulated("reasoning visibility", how));
    }
    if !asks {
        if reasoning.visibility == Visibility::Shown {
            warnings.push(Warning::dropped("reasoning visibility", "the model is not asked to reason"));
        }
        return Plan::Unsaid;
    }
    if refused {
        warnings.push(Warning::dropped("reasoning", "the model does not reason"));
        return Plan::Unsaid;
    }
    match family {
        Family::Claude if by_budget(reasoning, profile) => {
            by_tokens(request, reasoning, profile, max_tokens, warnings)
        }
        Family::Claude => adaptive(reasoning, warnings),
        Family::Nova | Family::OpenAi => {
            let effort = effort(reasoning, warnings);
            let sent = coarse(effort);
            if sent != effort.name() {
                let reason = format!("`{}` is sent as `{sent}`", effort.name());
                warnings.push(Warning::emulated("reasoning_effort", reason));
            }
            if family == Family::Nova { Plan::Nova(effort) } else { Plan::Field(effort) }
        }
        Family::Titan | Family::Cohere | Family::Other => {
            let effort = effort(reasoning, warnings);
            if effort == Effort::Minimal {
                warnings.push(Warning::emulated("reasoning_effort", "`minimal` is sent as `low`"));
            }
            Plan::Effort(effort)
        }
    }
}

fn by_budget(reasoning: &Reasoning, profile: &Profile) -> bool {
    match profile.reasoning {
        ReasoningStyle::Budget => true,
        ReasoningStyle::Unknown | ReasoningStyle::None => reasoning.budget_tokens.is_some(),
        ReasoningStyle::Effort | ReasoningStyle::Adaptive | ReasoningStyle::Level => false,
    }
}

/// The effort asked for, or the one nearest to the budget.
fn effort(reasoning: &Reasoning, warnings: &mut Vec<Warning>) -> Effort {
    match (reasoning.effort, reasoning.budget_tokens) {
        (Some(effort), _) => effort,
        (None, Some(budget)) => {
            let effort = effort_of(budget);
            let reason = format!("the model takes no budget: sent as effort `{}`", effort.name());
            warnings.push(Warning::emulated("reasoning budget", reason));
            effort
        }
        (None, None) => Effort::Medium,
    }
}

fn adaptive(reasoning: &Reasoning, warnings: &mut Vec<Warning>) -> Plan {
    let asked = reasoning.effort.is_some() || reasoning.budget_tokens.is_some();
    let effort = asked.then(|| effort(reasoning, warnings));
    if effort == Some(Effort::Minimal) {
        warnings.push(Warning::emulated("reasoning_effort", "`minimal` is sent as `low`"));
    }
    Plan::Adaptive { effort, visible: reasoning.visibility.told() }
}

fn by_tokens(
    request: &ChatRequest,
    reasoning: &Reasoning,
    profile: &Profile,
    max_tokens: &mut Option<u64>,
    warnings: &mut Vec<Warning>,
) -> Plan {
    if lacks_signed_thinking(&request.messages) {
        let reason =
            "the open tool calls came without this provider's signed thinking, which Claude wants back";
        warnings.push(Warning::dropped("reasoning", reason));
        return Plan::Unsaid;
    }
    let wanted = reasoning.budget_tokens.unwrap_or(budget_of(reasoning.effort.unwrap_or(Effort::Medium)));
    let mut budget = wanted.max(LEAST_BUDGET);
    let limit = match *max_tokens {
        Some(limit) => limit,
        None => {
            let room = budget.saturating_add(ANSWER_ROOM);
            let limit = profile.max_output_tokens.map_or(room, |most| most.min(room));
            *max_tokens = Some(limit);
            limit
        }
    };
    if budget >= limit {
        budget = limit / 5 * 4;
    }
    if budget < LEAST_BUDGET {
        let reason = "max_tokens leaves no room for the least thinking budget of 1024 tokens";
        warnings.push(Warning::dropped("reasoning", reason));
        return Plan::Unsaid;
    }
    if reasoning.budget_tokens.is_none() {
        let reason = format!("sent as a thinking budget of {budget} tokens");
        warnings.push(Warning::emulated("reasoning_effort", reason));
    } else if budget != wanted {
        let reason = format!("changed to {budget} tokens: at least 1024 and less than max_tokens");
        warnings.push(Warning::emulated("reasoning budget", reason));
    }
    Plan::Budget { tokens: budget, visible: reasoning.visibility.told() }
}

/// Whether the conversation waits for an answer to tool results whose calls do not open with signed thinking of this dialect.
fn lacks_signed_thinking(messages: &[Message]) -> bool {
    if messages.last().is_none_or(|last| last.role != Role::Tool) {
        return false;
    }
    let Some(call) = messages.iter().rev().find(|message| message.role == Role::Assistant) else {
        return false;
    };
    !call.parts.first().is_some_and(|part| {
        matches!(part.content, Content::Thinking(_) | Content::RedactedThinking)
            && part.opaque.as_ref().is_some_and(|opaque| opaque.origin == Dialect::Converse)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is asked, Claude's rule on budgets holds.
        #[test]
        fn budgets_fit(
            limit in proptest::option::of(1u64..40_000), most in proptest::option::of(1u64..100_000),
            budget in proptest::option::of(0u64..100_000), effort in 0usize..7,
        ) {
            let efforts = [Effort::Minimal, Effort::Low, Effort::Medium, Effort::High, Effort::ExtraHigh, Effort::Max];
            let reasoning =
                Reasoning { effort: efforts.get(effort).copied(), budget_tokens: budget, ..Reasoning::default() };
            let request = ChatRequest { reasoning: Some(reasoning), ..ChatRequest::default() };
            let mut profile = Profile::new("anthropic.claude-x");
            profile.max_output_tokens = most;
            profile.reasoning = ReasoningStyle::Budget;
            let mut max_tokens = limit;
            if let Plan::Budget { tokens, .. } =
                plan(&request, &profile, Family::Claude, &mut max_tokens, &mut Vec::new())
            {
                let max_tokens = max_tokens.unwrap();
                prop_assert!(tokens >= LEAST_BUDGET && tokens < max_tokens);
                prop_assert!(most.is_none_or(|most| max_tokens <= most) || limit.is_some());
            }
            prop_assert!(limit.is_none() || max_tokens == limit);
        }
    }
}
