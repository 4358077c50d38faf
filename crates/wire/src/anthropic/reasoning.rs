//! Reasoning as Anthropic is asked for it: `thinking` and `output_config.effort`.
//!
//! Owns the choice between a budget (older models) and adaptive thinking with an effort (newer ones), by the profile's
//! style. Must not know models. The API wants `1024 <= budget < max_tokens`, and an assistant turn with tool calls that
//! opens with its thinking: what cannot be met turns thinking off with a warning instead of failing upstream.

use crate::codec::{Profile, ReasoningStyle};
use crate::json_text::JsonText;
use bytes::BytesMut;
use trunkline_model::content::{Content, Message, Role};
use trunkline_model::dialect::Dialect;
use trunkline_model::request::{ChatRequest, Effort, Reasoning, Visibility};
use trunkline_model::warning::Warning;

/// The least budget the API takes, in tokens.
const LEAST_BUDGET: u64 = 1_024;
/// Room for the answer beside a budget, where the client sets no limit.
const ANSWER_ROOM: u64 = 4_096;

/// What to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Thinking {
    mode: Mode,
    effort: Option<Effort>,
    visible: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Unsaid,
    Disabled,
    Budget(u64),
    Adaptive,
}

impl Thinking {
    /// Whether the model will think.
    pub(super) const fn is_on(self) -> bool {
        matches!(self.mode, Mode::Budget(_) | Mode::Adaptive)
    }

    /// The effort, in this dialect's words.
    pub(super) fn effort(self) -> Option<&'static str> {
        match self.effort? {
            Effort::None => None,
            Effort::Minimal => Some(Effort::Low.name()),
            effort => Some(effort.name()),
        }
    }

    /// Writes the `thinking` field, if any.
    pub(super) fn write(self, out: &mut BytesMut) {
        if self.mode == Mode::Unsaid {
            return;
        }
        out.key("thinking");
        out.open_object();
        match self.mode {
            Mode::Unsaid => {}
            Mode::Disabled => out.field("type", "disabled"),
            Mode::Adaptive => out.field("type", "adaptive"),
            Mode::Budget(tokens) => {
                out.field("type", "enabled");
                out.field_unsigned("budget_tokens", tokens);
            }
        }
        if let (true, Some(visible)) = (self.is_on(), self.visible) {
            out.field("display", if visible { "summarized" } else { "omitted" });
        }
        out.close_object();
    }
}

/// Decides how to ask for reasoning; may raise `max_tokens` where the client set none.
pub(super) fn plan(
    request: &ChatRequest,
    profile: &Profile,
    max_tokens: &mut u64,
    warnings: &mut Vec<Warning>,
) -> Thinking {
    let Some(reasoning) = &request.reasoning else { return Thinking::default() };
    let refused = profile.reasoning == ReasoningStyle::None || profile.refuses("thinking");
    if reasoning.effort == Some(Effort::None) {
        let mode = if refused { Mode::Unsaid } else { Mode::Disabled };
        return Thinking { mode, ..Thinking::default() };
    }
    if refused && !reasoning.is_only_hidden() {
        warnings.push(Warning::dropped("reasoning", "the model does not reason"));
        return Thinking::default();
    }
    let asks = reasoning.effort.is_some() || reasoning.budget_tokens.is_some() || reasoning.adaptive;
    if !asks {
        if reasoning.visibility == Visibility::Shown {
            warnings.push(Warning::dropped("reasoning visibility", "the model is not asked to reason"));
        }
        return Thinking::default();
    }
    let by_budget = match profile.reasoning {
        ReasoningStyle::Budget => true,
        ReasoningStyle::Unknown | ReasoningStyle::None => reasoning.budget_tokens.is_some(),
        ReasoningStyle::Effort | ReasoningStyle::Adaptive | ReasoningStyle::Level => false,
    };
    if by_budget {
        by_tokens(request, reasoning, profile, max_tokens, warnings)
    } else {
        adaptive(reasoning, warnings)
    }
}

fn adaptive(reasoning: &Reasoning, warnings: &mut Vec<Warning>) -> Thinking {
    let effort = match (reasoning.effort, reasoning.budget_tokens) {
        (Some(Effort::Minimal), _) => {
            warnings.push(Warning::emulated("reasoning_effort", "`minimal` is sent as `low`"));
            Some(Effort::Low)
        }
        (Some(effort), _) => Some(effort),
        (None, Some(budget)) => {
            let effort = effort_of(budget);
            let reason = format!("the model takes no budget: sent as effort `{}`", effort.name());
            warnings.push(Warning::emulated("reasoning budget", reason));
            Some(effort)
        }
        (None, None) => None,
    };
    Thinking { mode: Mode::Adaptive, effort, visible: reasoning.visibility.told() }
}

fn by_tokens(
    request: &ChatRequest,
    reasoning: &Reasoning,
    profile: &Profile,
    max_tokens: &mut u64,
    warnings: &mut Vec<Warning>,
) -> Thinking {
    if lacks_signed_thinking(&request.messages) {
        warnings.push(Warning::dropped(
            "reasoning",
            "the open tool calls came without this provider's signed thinking, which Anthropic wants back",
        ));
        return Thinking::default();
    }
    let wanted = reasoning.budget_tokens.unwrap_or(budget_of(reasoning.effort.unwrap_or(Effort::Medium)));
    let mut budget = wanted.max(LEAST_BUDGET);
    if request.max_output_tokens.is_none() && budget >= *max_tokens {
        let room = budget.saturating_add(ANSWER_ROOM);
        *max_tokens = profile.max_output_tokens.map_or(room, |most| most.min(room)).max(*max_tokens);
    }
    if budget >= *max_tokens {
        budget = *max_tokens / 5 * 4;
    }
    if budget < LEAST_BUDGET {
        let reason = "max_tokens leaves no room for the least thinking budget of 1024 tokens";
        warnings.push(Warning::dropped("reasoning", reason));
        return Thinking::default();
    }
    if reasoning.budget_tokens.is_none() {
        let reason = format!("sent as a thinking budget of {budget} tokens");
        warnings.push(Warning::emulated("reasoning_effort", reason));
    } else if budget != wanted {
        let reason = format!("changed to {budget} tokens: at least 1024 and less than max_tokens");
        warnings.push(Warning::emulated("reasoning budget", reason));
    }
    // Effort does not pass to models that think by budget, unless the client gave both.
    let effort = reasoning.budget_tokens.and(reasoning.effort);
    Thinking { mode: Mode::Budget(budget), effort, visible: reasoning.visibility.told() }
}

/// Whether the conversation waits for an answer to tool results whose calls do not open with signed thinking of this dialect.
fn lacks_signed_thinking(messages: &[Message]) -> bool {
    let Some(last) = messages.last() else { return false };
    if last.role != Role::Tool {
        return false;
    }
    let Some(call) = messages.iter().rev().find(|message| message.role == Role::Assistant) else {
        return false;
    };
    !call.parts.first().is_some_and(|part| {
        matches!(part.content, Content::Thinking(_) | Content::RedactedThinking)
            && part.opaque.as_ref().is_some_and(|opaque| opaque.origin == Dialect::Anthropic)
    })
}

/// Token budgets for named efforts: doubling steps within what models with budgets accept.
pub(crate) const fn budget_of(effort: Effort) -> u64 {
    match effort {
        Effort::None => 0,
        Effort::Minimal => 1_024,
        Effort::Low => 2_048,
        Effort::Medium => 8_192,
        Effort::High => 16_384,
        Effort::ExtraHigh => 24_576,
        Effort::Max => 32_000,
    }
}

/// The named effort nearest to a budget.
pub(crate) const fn effort_of(budget: u64) -> Effort {
    match budget {
        0..=4_096 => Effort::Low,
        4_097..=12_288 => Effort::Medium,
        12_289..=20_480 => Effort::High,
        20_481..=28_672 => Effort::ExtraHigh,
        _ => Effort::Max,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is asked, the API's rule on budgets holds.
        #[test]
        fn budgets_fit(
            limit in proptest::option::of(1u64..40_000), most in proptest::option::of(1u64..100_000),
            budget in proptest::option::of(0u64..100_000), effort in 0usize..7,
        ) {
            let efforts = [Effort::Minimal, Effort::Low, Effort::Medium, Effort::High, Effort::ExtraHigh, Effort::Max];
            let request = ChatRequest {
                max_output_tokens: limit,
                reasoning: Some(Reasoning { effort: efforts.get(effort).copied(), budget_tokens: budget, ..Reasoning::default() }),
                ..ChatRequest::default()
            };
            let mut profile = Profile::new("m");
            profile.max_output_tokens = most;
            profile.reasoning = ReasoningStyle::Budget;
            let mut max_tokens = limit.or(most).unwrap_or(4_096);
            let before = max_tokens;
            let thinking = plan(&request, &profile, &mut max_tokens, &mut Vec::new());
            if let Mode::Budget(tokens) = thinking.mode {
                prop_assert!(tokens >= LEAST_BUDGET && tokens < max_tokens);
            }
            prop_assert!(limit.is_none() || max_tokens == before);
            prop_assert!(most.is_none_or(|most| max_tokens <= most.max(before)));
        }
    }
}
