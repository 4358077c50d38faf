//! The live view as lines of styled text.
//!
//! Owns the layout for any size of terminal from 80 by 24 up. Must not write to the terminal: lines are values, so that tests
//! can look at them.

use super::scenario::Happening;
use super::tally::{DeploymentTally, RequestLine, Tally};
use super::words;
use std::net::SocketAddr;
use std::time::Duration;
use trunkline_model::moment::Moment;
use trunkline_model::record::Outcome;
use trunkline_route::health::HealthSnapshot;
use trunkline_route::view::Availability;

/// From this width names are shown whole and columns are added.
const WIDE: usize = 132;

/// How a piece of text is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// As the terminal has it.
    Plain,
    /// Less important.
    Quiet,
    /// More important.
    Strong,
    /// All is well.
    Good,
    /// Worth a look.
    Notice,
    /// Something is wrong.
    Bad,
    /// On a bar of its own.
    Bar,
    /// On a bar that warns.
    Alarm,
}

/// Pieces of text next to each other.
pub(super) type Line = Vec<(String, Tone)>;

/// All that the screen shows.
pub(super) struct Scene<'a> {
    /// Where the gateway listens.
    pub(super) address: SocketAddr,
    /// Since the start.
    pub(super) elapsed: Duration,
    /// The start, Unix milliseconds.
    pub(super) started: u64,
    /// What is going on.
    pub(super) happening: Happening,
    /// The figures.
    pub(super) tally: &'a Tally,
    /// How the deployments fare.
    pub(super) health: &'a [HealthSnapshot],
    /// The gateway's now.
    pub(super) now: Moment,
}

/// The lines for a terminal of this size, at most `height` of them, none wider than `width`.
pub(super) fn lines(scene: &Scene<'_>, width: usize, height: usize) -> Vec<Line> {
    let mut top = vec![title(scene, width), banner(scene, width)];
    if height > 24 {
        top.push(Vec::new());
    }
    top.extend(deployments(scene, width));
    top.push(choices(scene, "assist"));
    if height > 25 {
        top.push(choices(scene, "support"));
        top.push(Vec::new());
    }
    let mut bottom = Vec::new();
    if height > 26 {
        bottom.push(Vec::new());
    }
    bottom.push(totals(scene.tally));
    bottom.push(why(scene));
    bottom.extend(invitation(scene.address, width));
    let room = height.saturating_sub(top.len() + bottom.len() + 1);
    top.extend(requests(scene, width, room));
    top.extend(bottom);
    top.truncate(height);
    top.into_iter().map(|line| cut(line, width)).collect()
}

fn title(scene: &Scene<'_>, width: usize) -> Line {
    let seconds = scene.elapsed.as_secs();
    let left = format!(" Trunkline demo | all providers SIMULATED | {}", scene.address);
    let right = format!("{}:{:02} | q stops ", seconds / 60, seconds % 60);
    let gap = width.saturating_sub(left.chars().count() + right.chars().count());
    vec![(format!("{left}{}{right}", " ".repeat(gap)), Tone::Bar)]
}

fn banner(scene: &Scene<'_>, width: usize) -> Line {
    let calm = matches!(scene.happening, Happening::Calm { .. });
    let text = format!(" {} {}", if calm { "-" } else { "!" }, words::happening(&scene.happening));
    vec![(fit(&text, width, Side::Left), if calm { Tone::Good } else { Tone::Alarm })]
}

/// Which side of its cell a text is on.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

fn deployments(scene: &Scene<'_>, width: usize) -> Vec<Line> {
    let name = if width >= WIDE { 40 } else { 31 };
    let gap = if width >= WIDE { "   " } else { " " };
    let heads = ["STATE", "CALLS", "FAIL", "TTFT", "P95", "TOKENS", "COST $"];
    let mut head = fit("SIMULATED DEPLOYMENT", name, Side::Left);
    for (text, column) in heads.iter().zip(COLUMNS) {
        head.push_str(gap);
        head.push_str(&fit(text, column.0, column.1));
    }
    let mut lines = vec![vec![(head, Tone::Quiet)]];
    for deployment in &scene.tally.deployments {
        lines.push(deployment_line(scene, deployment, name, gap));
    }
    lines
}

/// Width and side of the columns behind a deployment's name.
const COLUMNS: [(usize, Side); 7] = [
    (11, Side::Left),
    (5, Side::Right),
    (4, Side::Right),
    (5, Side::Right),
    (5, Side::Right),
    (6, Side::Right),
    (6, Side::Right),
];

fn deployment_line(scene: &Scene<'_>, deployment: &DeploymentTally, name: usize, gap: &str) -> Line {
    let health = scene.health.iter().find(|health| health.deployment == deployment.id);
    let availability = health.map_or(Availability::Open, |health| health.view.availability);
    let tone = match availability {
        Availability::Open => Tone::Good,
        Availability::Broken { probe: true, .. } | Availability::RateLimited { .. } | Availability::Full => {
            Tone::Notice
        }
        Availability::Broken { .. }
        | Availability::CredentialsOut { .. }
        | Availability::QuotaExhausted { .. } => Tone::Bad,
    };
    let quantiles = deployment.first_token();
    let cells = [
        (words::availability(availability, scene.now), tone),
        (words::count(deployment.calls), Tone::Plain),
        (words::count(deployment.failures), if deployment.failures > 0 { Tone::Bad } else { Tone::Quiet }),
        (quantiles.map_or_else(dash, |(median, _)| words::duration(median)), Tone::Plain),
        (quantiles.map_or_else(dash, |(_, high)| words::duration(high)), Tone::Plain),
        (words::count(deployment.tokens), Tone::Plain),
        (words::amount(deployment.cost, 4), Tone::Plain),
    ];
    let mut line = vec![(fit(&deployment.id, name, Side::Left), Tone::Strong)];
    for ((text, tone), (width, side)) in cells.into_iter().zip(COLUMNS) {
        line.push((gap.to_owned(), Tone::Plain));
        line.push((fit(&text, width, side), tone));
    }
    line
}

/// Where a route's requests went, and which step sent them there.
fn choices(scene: &Scene<'_>, route: &str) -> Line {
    let text = words::choices(&scene.tally.choices, route);
    vec![(format!("route {route}  "), Tone::Quiet), (text, Tone::Plain)]
}

/// How to ask why; the line is there from the start, so that nothing jumps.
fn why(scene: &Scene<'_>) -> Line {
    let text = match scene.tally.stories.best() {
        Some(story) => words::why(scene.address, story.id),
        None => "once the route assist was asked".to_owned(),
    };
    vec![("why  ".to_owned(), Tone::Quiet), (text, Tone::Strong)]
}

fn dash() -> String {
    "-".to_owned()
}

fn requests(scene: &Scene<'_>, width: usize, room: usize) -> Vec<Line> {
    let layout = RequestLayout::new(width);
    let mut lines = vec![layout.head()];
    lines.extend(scene.tally.recent.iter().take(room).map(|request| layout.line(request, scene.started)));
    // The list keeps its height from the start, so that nothing below it jumps.
    lines.resize_with(room + 1, Vec::new);
    lines
}

/// The columns of the list of requests.
struct RequestLayout {
    wide: bool,
    route: usize,
    served: usize,
    note: usize,
}

impl RequestLayout {
    fn new(width: usize) -> Self {
        if width >= WIDE {
            Self { wide: true, route: 14, served: 31, note: (width - 87).min(50) }
        } else {
            Self { wide: false, route: 7, served: 17, note: 14 }
        }
    }

    fn head(&self) -> Line {
        let served = if self.wide { "SERVED BY SIMULATED DEPLOYMENT" } else { "SIMULATED MODEL" };
        let text = self
            .row(["AT", "CLIENT", "ROUTE", served, "N", "FAILED OVER", "COST $", "TOTAL"].map(str::to_owned));
        vec![(text.concat(), Tone::Quiet)]
    }

    fn line(&self, request: &RequestLine, started: u64) -> Line {
        let at = request.arrived.saturating_sub(started);
        let client = format!("{} {}", request.client, request.form);
        let route = match (&request.tier, self.wide) {
            (Some(tier), true) => format!("{}/{tier}", request.route),
            _ => request.route.to_string(),
        };
        let served = request.deployment.as_deref().unwrap_or("nobody");
        let served = if self.wide { served } else { model(served) };
        let cost = request.cost.map_or_else(dash, |cost| words::amount(cost, 6));
        let (note, note_tone) = self.note(request);
        let cells = self.row([
            words::duration(at * 1_000),
            client,
            route,
            served.to_owned(),
            request.attempts.to_string(),
            note,
            cost,
            words::duration(request.total_us),
        ]);
        let main = if request.foreign { Tone::Strong } else { Tone::Plain };
        let tones = [Tone::Quiet, main, main, Tone::Strong, Tone::Plain, note_tone, Tone::Plain, Tone::Plain];
        cells.into_iter().zip(tones).collect()
    }

    fn note(&self, request: &RequestLine) -> (String, Tone) {
        let name = |deployment: &str| {
            if self.wide { deployment.to_owned() } else { provider(deployment).to_owned() }
        };
        if request.outcome != Outcome::Served {
            return (request.outcome.name().replace('_', " "), Tone::Bad);
        }
        if let Some((first, why)) = request.failed.first() {
            let more = match request.failed.len() {
                1 => String::new(),
                several => format!(" +{}", several - 1),
            };
            return (format!("{} {why}{more}", name(first)), Tone::Notice);
        }
        if let Some(check) = &request.wanting {
            let note = if self.wide { format!("escalated: {check}") } else { "escalated".to_owned() };
            return (note, Tone::Good);
        }
        match request.hedge {
            Some(true) => ("hedge won".to_owned(), Tone::Good),
            Some(false) => ("hedge lost".to_owned(), Tone::Quiet),
            None if request.foreign => ("- yours".to_owned(), Tone::Strong),
            None => (String::new(), Tone::Plain),
        }
    }

    /// Cells of one row, each with the space before the next.
    fn row(&self, texts: [String; 8]) -> [String; 8] {
        let cell = |text: &str, width: usize, side| fit(text, width, side) + " ";
        let [at, client, route, served, attempts, note, cost, total] = texts;
        [
            cell(&at, 5, Side::Right),
            cell(&client, 16, Side::Left),
            cell(&route, self.route, Side::Left),
            cell(&served, self.served, Side::Left),
            cell(&attempts, 1, Side::Right),
            cell(&note, self.note, Side::Left),
            cell(&cost, 8, Side::Right),
            fit(&total, 5, Side::Right),
        ]
    }
}

/// The model of a deployment's name.
fn model(deployment: &str) -> &str {
    deployment.split_once('/').map_or(deployment, |(_, model)| model)
}

/// The provider of a deployment's name, without the prefix that all of the demo's have.
fn provider(deployment: &str) -> &str {
    let provider = deployment.split_once('/').map_or(deployment, |(provider, _)| provider);
    provider.strip_prefix("sim-").unwrap_or(provider)
}

fn totals(tally: &Tally) -> Line {
    let totals = &tally.totals;
    let mut line = Line::new();
    let mut add = |label: &str, value: String, tone| {
        let gap = if line.is_empty() { "" } else { "  " };
        line.push((format!("{gap}{label} "), Tone::Quiet));
        line.push((value, tone));
    };
    add("served", words::count(totals.served), Tone::Strong);
    add("failed over", words::count(totals.failed_over), Tone::Notice);
    add("hedged", words::count(totals.hedged), Tone::Strong);
    let errors = tally.clients.errors + tally.clients.excused;
    add("client errors", errors.to_string(), if errors == 0 { Tone::Good } else { Tone::Bad });
    add("cost", words::dollars(totals.cost, 4), Tone::Strong);
    if let Some((_, percent)) = totals.saved() {
        add("saved", format!("{percent}%"), Tone::Good);
    }
    line
}

fn invitation(address: SocketAddr, width: usize) -> Vec<Line> {
    let url = format!("curl http://{address}/v1/chat/completions");
    let body = "--json '{\"model\":\"support\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}'";
    let keys = "take down, bring back: o openai  u its EU  a anthropic  g gemini  e edge";
    let mut lines: Vec<Line> = if width >= WIDE {
        vec![vec![("try it  ".to_owned(), Tone::Quiet), (format!("{url} {body}"), Tone::Strong)]]
    } else {
        vec![vec![(format!("{url} \\"), Tone::Strong)], vec![(format!("  {body}"), Tone::Strong)]]
    };
    lines.push(vec![(keys.to_owned(), Tone::Quiet)]);
    lines
}

/// A text in exactly this many columns.
fn fit(text: &str, width: usize, side: Side) -> String {
    let length = text.chars().count();
    if length > width {
        let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
        if width > 0 {
            cut.push('…');
        }
        return cut;
    }
    let space = " ".repeat(width - length);
    match side {
        Side::Left => format!("{text}{space}"),
        Side::Right => format!("{space}{text}"),
    }
}

/// A line without what does not fit.
fn cut(line: Line, width: usize) -> Line {
    let mut left = width;
    let mut kept = Line::new();
    for (text, tone) in line {
        let length = text.chars().count();
        if length <= left {
            left -= length;
            kept.push((text, tone));
        } else {
            kept.push((text.chars().take(left).collect(), tone));
            break;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::super::scenario::Scenario;
    use super::super::tally::tests::{record, tally};
    use super::*;
    use trunkline_model::dialect::Delivery;
    use trunkline_model::failure::FailureClass;
    use trunkline_model::money::{Cost, NanoDollars};
    use trunkline_model::record::{AttemptKind, AttemptRecord, PhaseTimes};
    use trunkline_model::usage::{Usage, UsageSource};

    fn attempt(deployment: &str, failure: Option<FailureClass>) -> AttemptRecord {
        let failed = failure.is_some();
        AttemptRecord {
            deployment: deployment.into(),
            kind: if failed { AttemptKind::First } else { AttemptKind::Failover },
            failure,
            message: None,
            status: Some(if failed { 503 } else { 200 }),
            upstream_request_id: None,
            started_us: 0,
            phases: PhaseTimes { first_token_us: (!failed).then_some(321_000), ..PhaseTimes::default() },
            usage: Usage { input: 20, output: 100, ..Usage::default() },
            usage_source: UsageSource::Reported,
            cost: Cost::exact(NanoDollars(215_000)),
        }
    }

    fn show(width: usize, height: usize) -> Vec<String> {
        let mut tally = tally(&["sim-anthropic/claude-sonnet-4-6", "sim-openai/gpt-5"]);
        for number in 0..40 {
            let mut record = record(number, Outcome::Served);
            record.delivery = Delivery::Stream;
            record.route = Some("support".into());
            record.tier = Some("strong".into());
            record.deployment = Some("sim-openai/gpt-5".into());
            record.attempts.push(attempt("sim-anthropic/claude-sonnet-4-6", Some(FailureClass::Overloaded)));
            record.attempts.push(attempt("sim-openai/gpt-5", None));
            record.cost = Cost::exact(NanoDollars(430_000));
            record.total_us = 1_234_000;
            tally.record(&record);
        }
        let elapsed = Duration::from_secs(75);
        let scene = Scene {
            address: "127.0.0.1:40123".parse().unwrap(),
            elapsed,
            started: 0,
            happening: Scenario::new(None).happening(elapsed),
            tally: &tally,
            health: &[],
            now: Moment::ORIGIN,
        };
        let text =
            |line: Line| line.into_iter().map(|(text, _)| text).collect::<String>().trim_end().to_owned();
        lines(&scene, width, height).into_iter().map(text).collect()
    }

    #[test]
    fn it_fits_terminals_of_any_size() {
        for width in [20, 60, 79, 80, 100, 131, 132, 150, 300] {
            for height in [5, 15, 24, 25, 26, 27, 60, 120] {
                let shown = show(width, height);
                assert!(shown.len() <= height, "{width}x{height}");
                assert!(
                    shown.iter().all(|line| line.chars().count() <= width),
                    "{width}x{height}: {shown:#?}"
                );
            }
        }
    }

    #[test]
    fn nothing_is_cut_from_80_columns_on() {
        for width in [80, 132] {
            let shown = show(width, 24);
            assert!(shown[0].ends_with("q stops"), "{}", shown[0]);
            let heads =
                shown.iter().filter(|line| line.ends_with("COST $") || line.ends_with("TOTAL")).count();
            assert_eq!(heads, 2, "{shown:#?}");
            assert!(shown.iter().any(|line| line.ends_with("e edge")), "{shown:#?}");
            assert!(shown.iter().all(|line| !line.contains('…')), "{shown:#?}");
        }
    }

    #[test]
    fn it_looks_like_this() {
        insta::assert_snapshot!("screen", show(80, 16).join("\n"));
    }
}
