//! An explanation for a terminal.
//!
//! Owns the words and their order: what was chosen and why first, then what was not. Plain text without colour, so that it can
//! be compared and pasted.

use super::explanation::{Explanation, PlanExplanation};
use std::fmt;

impl fmt::Display for Explanation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "decision {} on `{}`", self.id, self.route)?;
        match (&self.plan, &self.tier, &self.no_plan) {
            (Some(plan), tier, _) => {
                let tier = tier.as_deref().unwrap_or("-");
                writeln!(
                    formatter,
                    "chose `{tier}`, decided by `{}`, with a probability of {}",
                    self.decided_by,
                    rounded(self.propensity)
                )?;
                self.write_plan(formatter, plan)?;
            }
            (None, _, why) => {
                writeln!(formatter, "no plan: {}", why.as_deref().unwrap_or("no reason was recorded"))?;
            }
        }
        self.write_steps(formatter)?;
        self.write_features(formatter)?;
        self.write_others(formatter)?;
        write!(formatter, "seed {}, configuration {}", self.seed, self.config_version)?;
        match self.turn {
            Some(turn) => writeln!(formatter, ", turn {turn}"),
            None => writeln!(formatter),
        }
    }
}

impl Explanation {
    fn write_plan(&self, formatter: &mut fmt::Formatter<'_>, plan: &PlanExplanation) -> fmt::Result {
        writeln!(
            formatter,
            "\nplan (at most {} attempts in {} s):",
            plan.attempts,
            rounded(plan.total_ms as f64 / 1_000.0)
        )?;
        let width = plan.legs.iter().map(|name| name.chars().count()).max().unwrap_or_default();
        for (position, (leg, candidate)) in plan.legs.iter().zip(&self.candidates).enumerate() {
            write!(formatter, "  {}. {leg:width$}  {}", position + 1, candidate.availability)?;
            if let Some(tier) = &candidate.tier {
                write!(formatter, ", tier {tier}")?;
            }
            if let Some(score) = candidate.score {
                write!(formatter, ", score {}", rounded(score))?;
            }
            let expected = [&self.expected, &self.runner_up].into_iter().flatten();
            for expectation in expected.filter(|expectation| expectation.deployment == *leg) {
                write!(formatter, ", expected cost {}", expectation.cost)?;
                if let Some(quality) = expectation.quality {
                    write!(formatter, ", expected quality {}", rounded(quality))?;
                }
            }
            writeln!(formatter)?;
        }
        let lists = [
            ("when rate limited", &plan.on_rate_limit),
            ("when the prompt is too long", &plan.on_context_length),
            ("when the content is refused", &plan.on_content_filter),
        ];
        for (when, legs) in lists {
            if !legs.is_empty() {
                writeln!(formatter, "  {when}: {}", legs.join(", "))?;
            }
        }
        Ok(())
    }

    fn write_steps(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() {
            return Ok(());
        }
        writeln!(formatter, "\nsteps:")?;
        for step in &self.steps {
            match (&step.answer, &step.no_answer) {
                (Some(answer), _) => writeln!(formatter, "  {}: chose `{answer}`", step.step)?,
                (None, why) => {
                    writeln!(
                        formatter,
                        "  {}: no answer, {}",
                        step.step,
                        why.as_deref().unwrap_or("no reason")
                    )?;
                }
            }
            if let Some(note) = &step.note {
                writeln!(formatter, "    {note}")?;
            }
            if !step.measures.is_empty() {
                let shown: Vec<String> = step
                    .measures
                    .iter()
                    .map(|(name, value)| {
                        format!("{name} {}", value.as_f64().map_or_else(|| "-".to_owned(), rounded))
                    })
                    .collect();
                writeln!(formatter, "    {}", shown.join(", "))?;
            }
        }
        Ok(())
    }

    fn write_features(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.features.is_empty() {
            return Ok(());
        }
        writeln!(formatter, "\nread:")?;
        for (name, value) in &self.features {
            if value.is_null() {
                writeln!(formatter, "  {name}")?;
            } else {
                writeln!(formatter, "  {name} = {value}")?;
            }
        }
        Ok(())
    }

    fn write_others(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spare: Vec<&str> = self
            .candidates
            .iter()
            .filter(|candidate| candidate.tier.is_none())
            .map(|candidate| candidate.deployment.as_str())
            .collect();
        if let Some(shadow) = &self.shadow {
            writeln!(formatter, "\ncopied to {shadow}, whose answer is only compared")?;
        }
        if !spare.is_empty() {
            writeln!(
                formatter,
                "\nmay serve, but not planned: {}{}",
                spare.join(", "),
                more(self.candidates_more)
            )?;
        }
        if !self.rejected.is_empty() {
            writeln!(formatter, "\nmay not serve:")?;
            for rejection in &self.rejected {
                writeln!(formatter, "  {}: {}", rejection.deployment, rejection.text)?;
            }
            if self.rejected_more > 0 {
                writeln!(formatter, "  and {} more", self.rejected_more)?;
            }
        }
        writeln!(formatter)
    }
}

fn more(count: u64) -> String {
    if count == 0 { String::new() } else { format!(" and {count} more") }
}

/// Four significant digits are enough to read.
fn rounded(number: f64) -> String {
    let magnitude = if number == 0.0 { 0.0 } else { number.abs().log10().floor() };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to a handful of digits"
    )]
    let places = (3.0 - magnitude).clamp(0.0, 9.0) as usize;
    let text = format!("{number:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
