//! What a learned decision costs, in time and memory.
//!
//! Owns the measurement: whole decisions over twenty deployments, single thread, with a router trained on the benchmark's own
//! data. Printed, never asserted: a figure says as much of the machine as of the program.

use serde::Serialize;
use std::fmt;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trunkline_lab::bench::Data;
use trunkline_lab::fit::{Prepared, Settings, fit};
use trunkline_model::catalogue::{Kind, ModelEntry, TokenClass};
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::id::{Name, RequestId};
use trunkline_model::moment::Moment;
use trunkline_model::money::PricePerMillion;
use trunkline_model::shape::Shape;
use trunkline_route::balance::{Balance, Rotation};
use trunkline_route::caller::Caller;
use trunkline_route::decide::{DecideInput, decide};
use trunkline_route::features::{Prompt, WallClock, embed};
use trunkline_route::fleet::{Deployment, DeploymentIndex, DeploymentLimits, Fleet};
use trunkline_route::learned::{LearnedStep, Mode, OnUnknown, Predictor};
use trunkline_route::policy::{Route, Tier, TierPosition};
use trunkline_route::steps::{Step, StepKind};
use trunkline_route::view::AllFresh;

/// Fifteen words.
const PROMPT: &str = "If a train travels 60 miles in 45 minutes, what is its average speed per hour?";

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Times {
    embed: Percentiles,
    two_tiers: Percentiles,
    ranking: Percentiles,
    router_bytes: usize,
    neighbours_of: u32,
}

/// Times in nanoseconds.
#[derive(Clone, Copy, Debug, Serialize)]
struct Percentiles {
    p50: u128,
    p99: u128,
}

impl fmt::Display for Times {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = |nanos: u128| nanos as f64 / 1e3;
        writeln!(
            formatter,
            "time, one thread, p50 / p99 in microseconds (wanted: embed 5 / 15, decision 30 / 100)"
        )?;
        let rows = [
            ("embed a 15-word prompt", self.embed),
            ("whole learned decision, 20 deployments, two tiers", self.two_tiers),
            ("whole learned decision, 20 deployments ranked", self.ranking),
        ];
        for (name, times) in rows {
            writeln!(formatter, "  {name:<52} {:>6.1} / {:>6.1}", micros(times.p50), micros(times.p99))?;
        }
        writeln!(
            formatter,
            "memory of the router trained on {} prompts: {:.1} MB; the embedding table takes 7.9 MB",
            self.neighbours_of,
            self.router_bytes as f64 / 1e6
        )
    }
}

struct Fixed;

impl Prompt for Fixed {
    fn last_user_text(&self) -> std::borrow::Cow<'_, str> {
        PROMPT.into()
    }

    fn system_text(&self) -> std::borrow::Cow<'_, str> {
        "".into()
    }
}

/// Trains on nine models' data without inner folds worth the name (a time does not depend on how good it is), and measures.
///
/// # Errors
/// When the data cannot be fitted.
pub(super) fn measure(data: &Data) -> anyhow::Result<Times> {
    let prepared = Prepared::new(data.ulab_train.rows.iter().map(|row| row.prompt.as_str()));
    let labels = data.ulab_train.rows.iter().map(|row| row.scores.clone()).collect();
    let rows: Vec<usize> = (0..prepared.len()).collect();
    let settings = Settings { penalties: vec![12.0], ..Settings::quick() };
    let fitted = fit(&prepared, &labels, &rows, &data.ulab_train.models, &settings, &|| ())?;
    let predictor = Arc::new(Predictor::new(fitted.artefact)?);
    let models = predictor.models().to_vec();
    let deployments =
        (0..20u32).map(|number| deployment(number, &models[number as usize % models.len()])).collect();
    let fleet = Arc::new(Fleet::new(deployments));
    let indexes: Vec<DeploymentIndex> = fleet.iter().map(|(index, _)| index).collect();
    let (cheap, strong) = (TierPosition(0), TierPosition(1));
    let two = Mode::Tiers { cheap, strong, share: Some(0.3), quality_within: None };
    let two_tiers = decisions(&fleet, &indexes, step(&predictor, two, OnUnknown::Length, &fleet, &indexes)?)?;
    let ranking = step(&predictor, Mode::Ranking, OnUnknown::Tier(strong), &fleet, &indexes)?;
    let ranking = decisions(&fleet, &indexes, ranking)?;
    let embed = percentiles(|_| {
        black_box(embed(black_box(PROMPT)));
    });
    Ok(Times { embed, two_tiers, ranking, router_bytes: predictor.bytes(), neighbours_of: rows.len() as u32 })
}

fn step(
    predictor: &Arc<Predictor>,
    mode: Mode,
    on_unknown: OnUnknown,
    fleet: &Fleet,
    indexes: &[DeploymentIndex],
) -> anyhow::Result<Step> {
    let tier = |position: TierPosition| {
        if position.0 == 0 { ("cheap", &indexes[..12]) } else { ("strong", &indexes[12..]) }
    };
    let step = LearnedStep::new(Arc::clone(predictor), mode, 1.0, 0.01, None, on_unknown, fleet, tier)?;
    Ok(Step { name: "learned".into(), kind: StepKind::Custom(Arc::new(step)) })
}

fn decisions(fleet: &Arc<Fleet>, indexes: &[DeploymentIndex], step: Step) -> anyhow::Result<Percentiles> {
    let tier = |name: &str, deployments: &[DeploymentIndex]| Tier {
        name: Name::from(name),
        deployments: deployments.to_vec(),
        balance: Balance::Weighted,
        sticky: None,
    };
    let tiers = vec![tier("cheap", &indexes[..12]), tier("strong", &indexes[12..])];
    let route = Route::new("bench".into(), tiers, vec![step])
        .map_err(|error| anyhow::anyhow!("failed to {error}"))?;
    let mut shape = Shape::new(Dialect::OpenAi, Operation::Chat);
    (shape.text_bytes, shape.messages) = (PROMPT.len() as u64, 1);
    let caller = Caller::default();
    Ok(percentiles(|seed| {
        let input = DecideInput {
            id: RequestId::new(1, seed.into()),
            fleet,
            views: &AllFresh,
            route: &route,
            shape: &shape,
            prompt: Some(&Fixed),
            caller: &caller,
            clock: WallClock::from_unix(1_795_303_800, 0),
            now: Moment::ORIGIN,
            seed,
            rotation: Rotation::Fixed(0),
            config_version: 1,
        };
        black_box(decide(black_box(&input)));
    }))
}

fn percentiles(mut work: impl FnMut(u64)) -> Percentiles {
    const ROUNDS: u64 = 20_000;
    (0..1_000).for_each(&mut work);
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|round| {
            let start = Instant::now();
            work(round);
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let at = |part: f64| times[(ROUNDS as f64 * part) as usize].as_nanos();
    Percentiles { p50: at(0.5), p99: at(0.99) }
}

fn deployment(number: u32, model: &str) -> Deployment {
    let mut entry = ModelEntry::new(format!("provider{number}/{model}"), Kind::Chat).ok();
    if let Some(entry) = &mut entry {
        let base = &mut entry.prices.standard.base;
        base.set(TokenClass::Input, Some(PricePerMillion(150_000_000)));
        base.set(TokenClass::Output, Some(PricePerMillion(600_000_000)));
    }
    Deployment {
        id: format!("provider{number}/{model}").into(),
        provider: format!("provider{number}").into(),
        model: model.into(),
        dialect: Dialect::OpenAi,
        operations: vec![Operation::Chat],
        weight: 1,
        facts: trunkline_model::facts::DataFacts::default(),
        capabilities: entry.as_ref().map(|entry| entry.capabilities).unwrap_or_default(),
        context_window: Some(128_000),
        max_input_tokens: None,
        max_output_tokens: Some(16_000),
        entry: entry.map(Arc::new),
        limits: DeploymentLimits::default(),
    }
}
