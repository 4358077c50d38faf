//! Making one catalogue out of two sources.
//!
//! Owns the rules of the merge. LiteLLM's list is primary, because it is the fresher one and has cache, tier and service
//! prices; models.dev fills what it leaves out and contradicts it where it differs. A contradiction is kept in the entry, not
//! settled silently. Zero prices are dropped unless something vouches for them: most of them mean that nobody filled them in.

use std::collections::BTreeMap;

use trunkline_model::capability::Support;
use trunkline_model::catalogue::{
    Disagreement, Kind, ModelEntry, Rates, ReasoningEffort, Schedule, ServiceTier, TokenClass, undated,
};
use trunkline_model::money::PricePerMillion;

use super::litellm::{Claim, Claims};

/// Merges the claims of both sources, by id.
pub(super) fn merge(primary: Claims, second: Claims) -> Vec<ModelEntry> {
    let mut rest: BTreeMap<String, Claim> = second;
    // Some hosts spell a model's capitals differently in the two lists.
    let folded: BTreeMap<String, String> = rest.keys().map(|id| (id.to_lowercase(), id.clone())).collect();
    let siblings = siblings(&primary, &rest);
    let mut merged: BTreeMap<String, ModelEntry> = BTreeMap::new();
    for (id, claim) in primary {
        let other = rest
            .remove(&id)
            .or_else(|| rest.remove(folded.get(&id.to_lowercase())?))
            .or_else(|| siblings.get(&id).cloned());
        let entry = match other {
            Some(other) => merge_one(claim, &other),
            None => alone(claim),
        };
        merged.insert(id, entry);
    }
    for (id, claim) in rest {
        merged.insert(id, alone(claim));
    }
    merged.into_values().collect()
}

/// What the second source says of the undated sibling of a dated name it lacks, where the primary source gives both names
/// the same limits and price: the two are one model.
fn siblings(primary: &Claims, second: &Claims) -> Claims {
    let mut siblings = Claims::new();
    for (id, claim) in primary.iter().filter(|(id, _)| !second.contains_key(*id)) {
        let stem = undated(id);
        let (Some(sibling), Some(other)) = (primary.get(stem), second.get(stem)) else { continue };
        let facts = |entry: &ModelEntry| {
            (
                entry.max_input_tokens,
                entry.max_output_tokens,
                entry.prices.standard.base.of(TokenClass::Input),
            )
        };
        if facts(&claim.entry) == facts(&sibling.entry) {
            siblings.insert(id.clone(), other.clone());
        }
    }
    siblings
}

/// An entry only one source has.
fn alone(claim: Claim) -> ModelEntry {
    let Claim { mut entry, efforts, effort_flags } = claim;
    if entry.context_window.is_none() {
        entry.context_window = entry.max_input_tokens.take();
    }
    entry.max_input_tokens = entry.max_input_tokens.filter(|input| Some(*input) != entry.context_window);
    entry.reasoning_efforts = reasoning_efforts(&entry, &efforts, &effort_flags);
    let vouched = entry.model().contains("free");
    clean_prices(&mut entry, vouched);
    entry
}

fn merge_one(primary: Claim, second: &Claim) -> ModelEntry {
    let Claim { mut entry, efforts, effort_flags } = primary;
    let other = &second.entry;
    merge_limits(&mut entry, other);
    merge_prices(&mut entry, other);
    for (capability, support) in entry.capabilities.known() {
        let theirs = other.support(capability);
        if theirs != Support::Unknown && theirs != support {
            let word = |support: Support| if support == Support::Yes { "yes" } else { "no" };
            let (taken, theirs) = (word(support).to_owned(), word(theirs).to_owned());
            entry.disagreements.push(disagreement(capability.as_str(), taken, theirs));
        }
    }
    entry.capabilities = other.capabilities.overlaid_with(entry.capabilities);
    let efforts = if efforts.is_empty() { &second.efforts } else { &efforts };
    entry.reasoning_efforts = reasoning_efforts(&entry, efforts, &effort_flags);
    entry.released = entry.released.or(other.released);
    let free = |entry: &ModelEntry| {
        entry.prices.standard.base.of(TokenClass::Input) == Some(PricePerMillion::FREE)
            && entry.prices.standard.base.of(TokenClass::Output) == Some(PricePerMillion::FREE)
    };
    let vouched = entry.model().contains("free") && free(&entry) && free(other);
    clean_prices(&mut entry, vouched);
    entry
}

fn disagreement(fact: &'static str, taken: String, other: String) -> Disagreement {
    Disagreement { fact: fact.into(), taken: taken.into(), other: other.into() }
}

/// Window, input and output limits. What LiteLLM calls `max_input_tokens` is the window for most models and the input limit
/// for some; the other source, which has both, tells which.
fn merge_limits(entry: &mut ModelEntry, other: &ModelEntry) {
    let output = entry.max_output_tokens.or(other.max_output_tokens);
    match (entry.max_input_tokens, other.context_window) {
        (None, window) => {
            entry.context_window = window;
            entry.max_input_tokens = other.max_input_tokens;
        }
        (Some(input), None) => {
            entry.context_window = Some(input);
            entry.max_input_tokens = None;
        }
        (Some(input), Some(window)) => {
            let is_input_limit = input < window
                && (other.max_input_tokens == Some(input)
                    || output.is_some_and(|output| input + output == window));
            if is_input_limit {
                entry.context_window = Some(window);
            } else {
                entry.context_window = Some(input);
                entry.max_input_tokens = other.max_input_tokens.filter(|limit| *limit < input);
                if differ(input, window) {
                    entry.disagreements.push(disagreement("window", input.to_string(), window.to_string()));
                }
            }
        }
    }
    if let (Some(ours), Some(theirs)) = (entry.max_output_tokens, other.max_output_tokens)
        && differ(ours, theirs)
    {
        entry.disagreements.push(disagreement("output", ours.to_string(), theirs.to_string()));
    }
    entry.max_output_tokens = output;
}

/// Standard prices: contradictions are noted, gaps filled where the sources agree on the price of input.
fn merge_prices(entry: &mut ModelEntry, other: &ModelEntry) {
    let theirs = other.prices.standard.base;
    let base = &mut entry.prices.standard.base;
    if base.is_empty() && entry.prices.standard.above.is_empty() {
        entry.prices.standard = other.prices.standard.clone();
        return;
    }
    let same_scale = match (base.of(TokenClass::Input), theirs.of(TokenClass::Input)) {
        (Some(ours), Some(theirs)) => !differ(ours.0, theirs.0),
        _ => false,
    };
    for (class, price) in theirs.stated() {
        match base.of(class) {
            Some(ours) if price.0 > 0 && differ(ours.0, price.0) => {
                let (taken, other) = (ours.decimal().to_string(), price.decimal().to_string());
                entry.disagreements.push(disagreement(class.price_fact(), taken, other));
            }
            None if same_scale => base.set(class, Some(price)),
            _ => {}
        }
    }
}

/// Whether two figures are more than one per cent apart.
fn differ(one: u64, two: u64) -> bool {
    let (one, two) = (u128::from(one), u128::from(two));
    one.abs_diff(two) * 100 > one.max(two)
}

/// The efforts a model accepts: the list of a source, corrected by single flags; from flags alone the usual three besides.
fn reasoning_efforts(
    entry: &ModelEntry,
    listed: &[ReasoningEffort],
    flags: &[(ReasoningEffort, bool)],
) -> Vec<ReasoningEffort> {
    let usual = [ReasoningEffort::Low, ReasoningEffort::Medium, ReasoningEffort::High];
    let mut efforts = listed.to_vec();
    let reasons = entry.support(trunkline_model::capability::Capability::Reasoning) == Support::Yes;
    if efforts.is_empty() && reasons && flags.iter().any(|(_, accepted)| *accepted) {
        efforts.extend(usual);
    }
    if efforts.is_empty() {
        return efforts;
    }
    for (effort, accepted) in flags {
        if *accepted {
            efforts.push(*effort);
        } else {
            efforts.retain(|known| known != effort);
        }
    }
    efforts.sort_unstable();
    efforts.dedup();
    efforts
}

/// Drops prices that say nothing, and zeros nobody vouches for.
fn clean_prices(entry: &mut ModelEntry, zero_is_vouched: bool) {
    let kind = entry.kind;
    for service in ServiceTier::ALL {
        if entry.prices.service(*service).is_none() {
            continue;
        }
        let schedule = entry.prices.service_mut(*service);
        clean_rates(&mut schedule.base, kind, zero_is_vouched);
        for (_, rates) in &mut schedule.above {
            clean_rates(rates, kind, zero_is_vouched);
        }
        schedule.above.retain(|(_, rates)| !rates.is_empty());
    }
    entry.prices.services.retain(|(_, schedule)| !schedule.is_empty() && *schedule != Schedule::default());
}

fn clean_rates(rates: &mut Rates, kind: Kind, zero_is_vouched: bool) {
    if rates.of(TokenClass::Reasoning) == rates.of(TokenClass::Output) {
        rates.set(TokenClass::Reasoning, None);
    }
    if zero_is_vouched {
        return;
    }
    let input_has_price = rates.of(TokenClass::Input).is_some_and(|price| price.0 > 0);
    for class in TokenClass::ALL {
        // Models that answer with vectors or an order have no answer tokens to pay for: that zero is meant.
        let no_answer = matches!(kind, Kind::Embedding | Kind::Rerank | Kind::Moderation);
        let meant = *class == TokenClass::Output && no_answer && input_has_price;
        if rates.of(*class) == Some(PricePerMillion::FREE) && !meant {
            rates.set(*class, None);
        }
    }
}
