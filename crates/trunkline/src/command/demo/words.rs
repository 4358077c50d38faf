//! Figures as people read them, and the sentences of the banner.
//!
//! Owns the wording shared by the terminal view, the plain lines and the summary. Must not know how they are laid out.

use super::providers::Trouble;
use super::scenario::Happening;
use super::tally::Choice;
use std::net::SocketAddr;
use trunkline_model::id::RequestId;
use trunkline_model::moment::Moment;
use trunkline_model::money::NanoDollars;
use trunkline_route::view::Availability;

/// Microseconds in at most five characters: `812ms`, `1.21s`, `12.3s`.
pub(super) fn duration(microseconds: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    let seconds = microseconds as f64 / 1e6;
    match microseconds {
        0..1_000 => format!("{microseconds}us"),
        1_000..999_500 => format!("{:.0}ms", seconds * 1e3),
        999_500..9_995_000 => format!("{seconds:.2}s"),
        9_995_000..99_950_000 => format!("{seconds:.1}s"),
        _ => format!("{seconds:.0}s"),
    }
}

/// A count in at most five characters: `950`, `12.3k`, `1.2M`.
pub(super) fn count(number: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    let float = number as f64;
    match number {
        0..10_000 => number.to_string(),
        10_000..99_950 => format!("{:.1}k", float / 1e3),
        99_950..999_500 => format!("{:.0}k", float / 1e3),
        _ => format!("{:.1}M", float / 1e6),
    }
}

/// How a route's requests were decided: `cheap 12 by use-1, strong 4 by complexity-0, 3 escalated`.
pub(super) fn choices(choices: &[Choice], route: &str) -> String {
    let own = || choices.iter().filter(|choice| *choice.route == *route);
    let mut parts: Vec<String> =
        own().map(|choice| format!("{} {} by {}", choice.tier, count(choice.requests), choice.by)).collect();
    let escalated: u64 = own().map(|choice| choice.escalated).sum();
    if escalated > 0 {
        parts.push(format!("{} escalated", count(escalated)));
    }
    if parts.is_empty() { "no request yet".to_owned() } else { parts.join(", ") }
}

/// Where a request's decision can be read.
pub(super) fn why(address: SocketAddr, id: RequestId) -> String {
    format!("curl http://{address}/v1/decisions/{id}")
}

/// Dollars with this many decimals.
pub(super) fn dollars(amount: NanoDollars, decimals: usize) -> String {
    format!("${:.decimals$}", amount.to_f64())
}

/// Dollars without their sign, for columns that have it in their head; something too small for the decimals is not nothing.
pub(super) fn amount(amount: NanoDollars, decimals: usize) -> String {
    let text = format!("{:.decimals$}", amount.to_f64());
    let vanished = amount > NanoDollars::ZERO && text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if vanished { format!("<{}1", &text[1..text.len() - 1]) } else { text }
}

/// What keeps a deployment from being used, in at most eleven characters.
pub(super) fn availability(availability: Availability, now: Moment) -> String {
    let left = |until: Moment| until.since(now).as_secs_f64().ceil();
    match availability {
        Availability::Open => "ok".to_owned(),
        Availability::RateLimited { until } => format!("limited {}s", left(until)),
        Availability::Broken { until, probe: false } => format!("breaker {}s", left(until)),
        Availability::Broken { probe: true, .. } => "probe next".to_owned(),
        Availability::CredentialsOut { until } => format!("key out {}s", left(until)),
        Availability::QuotaExhausted { until } => format!("quota {}s", left(until)),
        Availability::Full => "full".to_owned(),
    }
}

/// The banner: what is going on.
pub(super) fn happening(happening: &Happening) -> String {
    match happening {
        Happening::Calm { next, after } => {
            let next_name = next.provider.name();
            let what = match next.trouble {
                Trouble::Down => "goes down",
                Trouble::RateLimited(_) => "starts to answer 429",
                Trouble::Silent => "opens answers and hangs",
            };
            format!("all simulated providers are well; {next_name} {what} in {} s", after.as_secs() + 1)
        }
        Happening::Scripted { event, since, left } => {
            let (name, since, left) = (event.provider.name(), since.as_secs(), left.as_secs() + 1);
            match event.trouble {
                Trouble::Down => {
                    format!("{name} is DOWN (503) since {since} s, {left} s left: watch requests fail over")
                }
                Trouble::RateLimited(_) => {
                    format!("{name} answers 429 since {since} s, {left} s left: others take its requests")
                }
                Trouble::Silent => {
                    format!("{name} hangs since {since} s, {left} s left: hedges and timeouts step in")
                }
            }
        }
        Happening::ByHand { provider, since } => {
            format!("you took {} DOWN {} s ago; its key brings it back", provider.name(), since.as_secs())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_fit_their_columns() {
        let durations = [0, 999, 1_000, 812_400, 999_600, 9_994_000, 12_345_678, 120_000_000].map(duration);
        assert_eq!(durations.join(" "), "0us 999us 1ms 812ms 1.00s 9.99s 12.3s 120s");
        let counts = [0, 9_999, 12_345, 123_456, 999_700, 1_234_567].map(count);
        assert_eq!(counts.join(" "), "0 9999 12.3k 123k 1.0M 1.2M");
        let amounts = [0, 99, 225_400, 1_234_567].map(|nanos| amount(NanoDollars(nanos), 6));
        assert_eq!(amounts.join(" "), "0.000000 <.000001 0.000225 0.001235");
        assert_eq!(dollars(NanoDollars(1_234_567), 6), "$0.001235");
    }
}
