//! What the demo did, in lines for the end of a run.
//!
//! Owns the last words and the verdict. Must not count: every figure is the tally's.

use super::prompts::ASSIST;
use super::tally::Tally;
use super::words;
use std::fmt::{self, Display};
use std::time::Duration;

/// A finished run.
pub(super) struct Summary<'a> {
    /// How long requests were sent.
    pub(super) ran: Duration,
    /// Requests sent by the demo's clients.
    pub(super) sent: u64,
    /// Whether the user stopped it: then some requests may be unfinished.
    pub(super) stopped: bool,
    /// The figures.
    pub(super) tally: &'a Tally,
}

impl Summary<'_> {
    /// Whether every request was answered, and the clients and the record agree on all of them.
    pub(super) fn is_good(&self) -> bool {
        let clients = &self.tally.clients;
        let unfinished = if self.stopped { self.unfinished() } else { 0 };
        clients.errors == 0 && clients.accounted + unfinished == self.sent
    }

    /// Requests whose end no client saw: the demo was stopped before.
    fn unfinished(&self) -> u64 {
        let clients = &self.tally.clients;
        self.sent.saturating_sub(clients.answered + clients.errors + clients.excused)
    }
}

impl Display for Summary<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (totals, clients) = (&self.tally.totals, &self.tally.clients);
        writeln!(formatter, "Trunkline demo, {:.1} s, every provider simulated", self.ran.as_secs_f64())?;
        writeln!(formatter, "  requests sent    {} ({} streamed)", self.sent, totals.streamed)?;
        writeln!(formatter, "  answered whole   {}", clients.answered)?;
        writeln!(formatter, "  client errors    {}", clients.errors)?;
        if clients.excused > 0 {
            writeln!(formatter, "  while you held providers down: {} further errors", clients.excused)?;
        }
        if self.unfinished() > 0 {
            writeln!(formatter, "  unfinished       {}", self.unfinished())?;
        }
        writeln!(
            formatter,
            "  failed over      {} were answered although an attempt had failed",
            totals.failed_over
        )?;
        writeln!(
            formatter,
            "  escalated        {} cheap answers were found wanting, and a better model answered",
            totals.escalated
        )?;
        writeln!(
            formatter,
            "  hedged           {} ({} won by the second attempt)",
            totals.hedged, totals.hedges_won
        )?;
        writeln!(formatter, "  upstream calls   {}", totals.attempts)?;
        write!(formatter, "  cost             {}", words::dollars(totals.cost, 6))?;
        if totals.unpriced > 0 {
            write!(formatter, " (and {} requests without a known cost)", totals.unpriced)?;
        }
        writeln!(formatter)?;
        if let (Some((saved, percent)), Some(strong)) = (totals.saved(), self.tally.strong()) {
            let all_strong = words::dollars(totals.all_strong, 6);
            writeln!(formatter, "  all strong       {all_strong} (all chat on {strong})")?;
            writeln!(formatter, "  saved            {} ({percent} %)", words::dollars(saved, 6))?;
        }
        writeln!(
            formatter,
            "  accounted for    {} of {}: the gateway's record and the clients agree",
            clients.accounted, self.sent
        )?;
        self.routes(formatter)?;
        for message in &clients.messages {
            writeln!(formatter, "  error: {message}")?;
        }
        self.table(formatter)
    }
}

impl Summary<'_> {
    /// Which step sent requests where, and why it did for the last of each kind.
    fn routes(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for route in ["support", ASSIST] {
            writeln!(formatter, "  route {route:<10} {}", words::choices(&self.tally.choices, route))?;
        }
        let stories = &self.tally.stories;
        let kinds = [("simple", &stories.simple), ("hard", &stories.hard), ("escalated", &stories.escalated)];
        for (kind, story) in kinds {
            let Some(story) = story else { continue };
            writeln!(formatter, "  why {kind:<9}    {}", story.id)?;
            for step in &story.decision.steps {
                let said = match (&step.answer, &step.no_answer) {
                    (Some(tier), _) => format!("chose {tier}"),
                    (None, why) => format!("no answer, {}", why.as_deref().unwrap_or("no reason")),
                };
                let measured: Vec<String> = step
                    .measures
                    .iter()
                    .filter_map(|(name, value)| Some(format!("{name} {:.2}", value.as_f64()?)))
                    .collect();
                let measured =
                    if measured.is_empty() { String::new() } else { format!(" ({})", measured.join(", ")) };
                writeln!(formatter, "    {}: {said}{measured}", step.step)?;
            }
            if let Some(found) = &story.found {
                writeln!(formatter, "    cascade: the cheap answer was found wanting, {found}")?;
            }
        }
        Ok(())
    }
}

impl Summary<'_> {
    /// Fits 80 columns, which a drawn table does not.
    fn table(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |cells: [&str; 7]| {
            let [name, calls, failed, median, high, tokens, cost] = cells;
            write!(
                formatter,
                "\n{name:<31} {calls:>6} {failed:>6} {median:>6} {high:>6} {tokens:>7} {cost:>10}"
            )
        };
        row(["simulated deployment", "calls", "failed", "ttft50", "ttft95", "tokens", "cost"])?;
        for deployment in &self.tally.deployments {
            let quantiles = deployment.first_token();
            let time = |time: Option<u64>| time.map_or_else(|| "-".to_owned(), words::duration);
            row([
                &deployment.id,
                &deployment.calls.to_string(),
                &deployment.failures.to_string(),
                &time(quantiles.map(|(median, _)| median)),
                &time(quantiles.map(|(_, high)| high)),
                &deployment.tokens.to_string(),
                &words::dollars(deployment.cost, 6),
            ])?;
        }
        Ok(())
    }
}
