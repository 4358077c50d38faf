//! `/metrics`: counted figures and those read on demand.
//!
//! Owns the gauges that are read from the record, health and pools when somebody asks. Must not touch the request path.

use crate::state::Gateway;
use std::fmt::Write;
use trunkline_route::view::Views;

/// Everything in Prometheus's text format.
#[must_use]
pub(crate) fn text(gateway: &Gateway) -> String {
    let mut text = gateway.metrics.text();
    record(gateway, &mut text);
    deployments(gateway, &mut text);
    batches(gateway, &mut text);
    pools(gateway, &mut text);
    text.push_str("# EOF\n");
    text
}

fn record(gateway: &Gateway, text: &mut String) {
    let stats = gateway.recorder.stats();
    gauge(text, "trunkline_log_queued", "Records waiting to be written", stats.queued as f64);
    gauge(
        text,
        "trunkline_log_journal_bytes",
        "Bytes of records waiting in the journal",
        stats.journal_bytes as f64,
    );
    counter(text, "trunkline_log_written", "Records written", stats.written);
    counter(text, "trunkline_log_spilled", "Records sent to the journal", stats.spilled);
    counter(text, "trunkline_log_lost", "Records lost", stats.lost);
    counter(text, "trunkline_log_errors", "Failed writes of the log", stats.database_errors);
    let lost = gateway.learning.lost_prompts();
    counter(text, "trunkline_prompts_lost", "Prompts that a route should have kept to learn from", lost);
    let now = gateway.clock.now();
    gauge(
        text,
        "trunkline_retry_budget",
        "Retries the fleet may still make at once",
        f64::from(gateway.retry_budget.balance(now)),
    );
}

fn deployments(gateway: &Gateway, text: &mut String) {
    let generation = gateway.generation();
    let now = gateway.clock.now();
    let mut states = String::new();
    let mut outstanding = String::new();
    let mut headroom = String::new();
    for (index, deployment) in generation.snapshot.fleet.iter() {
        let view = generation.health.view(index, now);
        let used = view.latency.or(view.whole_latency).is_some() || view.outstanding > 0 || view.failures > 0;
        // A catalogue has thousands of deployments; those nobody uses say nothing.
        if !used && view.availability.is_usable() {
            continue;
        }
        let label = escape(&deployment.id);
        let state = view.availability.name();
        // Writing to a string cannot fail.
        let _ = writeln!(states, "trunkline_deployment_state{{deployment=\"{label}\",state=\"{state}\"}} 1");
        let _ = writeln!(
            outstanding,
            "trunkline_deployment_outstanding{{deployment=\"{label}\"}} {}",
            view.outstanding
        );
        let _ =
            writeln!(headroom, "trunkline_deployment_headroom{{deployment=\"{label}\"}} {}", view.headroom);
    }
    family(
        text,
        "trunkline_deployment_state",
        "Breaker and limit state of deployments in use",
        "gauge",
        &states,
    );
    family(text, "trunkline_deployment_outstanding", "Open upstream calls", "gauge", &outstanding);
    family(
        text,
        "trunkline_deployment_headroom",
        "Share of the provider's rate limits that is left",
        "gauge",
        &headroom,
    );
}

fn batches(gateway: &Gateway, text: &mut String) {
    let figures = gateway.queue.figures();
    gauge(text, "trunkline_batches_open", "Batches that are not over", figures.stats.open as f64);
    let running = u64::from(figures.running);
    let waiting = figures.stats.lines.saturating_sub(running);
    let lines = format!(
        "trunkline_batch_lines{{state=\"waiting\"}} {waiting}\ntrunkline_batch_lines{{state=\"running\"}} {running}\n"
    );
    family(text, "trunkline_batch_lines", "Lines of batches without a result", "gauge", &lines);
    let ended = format!(
        "trunkline_batch_lines_ended_total{{end=\"succeeded\"}} {}\ntrunkline_batch_lines_ended_total{{end=\"errored\"}} {}\n",
        figures.succeeded, figures.errored
    );
    family(text, "trunkline_batch_lines_ended", "Lines of batches that got their result", "counter", &ended);
    handed(gateway, text);
    gauge(text, "trunkline_batch_bytes", "Bytes of files and batches kept", figures.stats.bytes as f64);
}

fn handed(gateway: &Gateway, text: &mut String) {
    let figures = gateway.queue.handed();
    let stats = figures.stats;
    gauge(
        text,
        "trunkline_batches_upstream_open",
        "Batches at providers' own batch APIs that are not over",
        stats.open as f64,
    );
    gauge(
        text,
        "trunkline_batches_upstream_lines",
        "Lines at providers' own batch APIs without a result",
        stats.lines as f64,
    );
    counter(
        text,
        "trunkline_batches_upstream_submitted",
        "Batches that providers' own batch APIs took",
        figures.submitted,
    );
    let ended = format!(
        "trunkline_batches_upstream_lines_ended_total{{end=\"answered\"}} {}\ntrunkline_batches_upstream_lines_ended_total{{end=\"returned\"}} {}\n",
        figures.answered, figures.returned
    );
    family(
        text,
        "trunkline_batches_upstream_lines_ended",
        "Lines that providers' own batch APIs answered, or that came back to be sent one by one",
        "counter",
        &ended,
    );
    counter(
        text,
        "trunkline_batches_upstream_failures",
        "Failed calls of providers' own batch APIs, and batches they refused",
        figures.failed,
    );
}

fn pools(gateway: &Gateway, text: &mut String) {
    let mut open = String::new();
    let mut dials = String::new();
    for origin in gateway.transport.stats() {
        let label = escape(&origin.origin.to_string());
        let _ = writeln!(open, "trunkline_connections_open{{origin=\"{label}\"}} {}", origin.open);
        let _ = writeln!(dials, "trunkline_connections_dialed_total{{origin=\"{label}\"}} {}", origin.dials);
    }
    family(text, "trunkline_connections_open", "Open upstream connections", "gauge", &open);
    family(text, "trunkline_connections_dialed", "Upstream connections opened so far", "counter", &dials);
}

fn gauge(text: &mut String, name: &str, help: &str, value: f64) {
    family(text, name, help, "gauge", &format!("{name} {value}\n"));
}

fn counter(text: &mut String, name: &str, help: &str, value: u64) {
    family(text, name, help, "counter", &format!("{name}_total {value}\n"));
}

fn family(text: &mut String, name: &str, help: &str, kind: &str, samples: &str) {
    let _ = write!(text, "# HELP {name} {help}.\n# TYPE {name} {kind}\n{samples}");
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
