//! Prints what a decision costs: the rule alone (here and in the general interpreter), the whole decision over 20 deployments,
//! and its explanation. Run with `cargo run --release -p trunkline-route --example decide_speed`.

#![expect(
    clippy::disallowed_methods,
    reason = "an example that times needs a clock; the crate itself has none"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trunkline_model::catalogue::{Kind, ModelEntry};
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::facts::{DataFacts, Requirement};
use trunkline_model::id::{Name, RequestId};
use trunkline_model::moment::Moment;
use trunkline_model::money::PricePerMillion;
use trunkline_model::shape::Shape;
use trunkline_route::balance::{Balance, Rotation};
use trunkline_route::caller::Caller;
use trunkline_route::cel::Condition;
use trunkline_route::decide::{DecideInput, decide};
use trunkline_route::features::{FeatureSource, FleetFacts, WallClock};
use trunkline_route::fleet::{Deployment, DeploymentIndex, DeploymentLimits, Fleet};
use trunkline_route::policy::{Fallback, Route, Tier, TierPosition};
use trunkline_route::steps::{Step, StepKind, Target};
use trunkline_route::view::{Availability, View, Views};

const RULE: &str = "request.input_tokens > 50000 || request.has_images && caller.team == 'research'";

fn deployment(number: u32) -> Deployment {
    let mut entry = ModelEntry::new(format!("maker{number}/model"), Kind::Chat).expect("an id");
    let base = &mut entry.prices.standard.base;
    base.set(trunkline_model::catalogue::TokenClass::Input, Some(PricePerMillion(150_000_000)));
    base.set(trunkline_model::catalogue::TokenClass::Output, Some(PricePerMillion(600_000_000)));
    Deployment {
        id: format!("maker{number}/model").into(),
        provider: format!("maker{number}").into(),
        model: "model".into(),
        dialect: Dialect::OpenAi,
        operations: vec![Operation::Chat],
        weight: 1 + number % 3,
        facts: DataFacts { zdr: Some(true), ..DataFacts::default() },
        capabilities: entry.capabilities,
        context_window: Some(128_000),
        max_input_tokens: None,
        max_output_tokens: Some(16_000),
        entry: Some(Arc::new(entry)),
        limits: DeploymentLimits::default(),
    }
}

struct Recorded(Vec<View>);

impl Views for Recorded {
    fn view(&self, index: DeploymentIndex, _now: Moment) -> View {
        self.0[index.position()]
    }
}

fn measure(name: &str, mut work: impl FnMut(u64)) {
    const BATCH: u64 = 20;
    let mut times: Vec<Duration> = Vec::new();
    for round in 0..20_000 {
        let start = Instant::now();
        for number in 0..BATCH {
            work(round * BATCH + number);
        }
        times.push(start.elapsed() / BATCH as u32);
    }
    times.sort_unstable();
    println!("{name:<44} p50 {:>7} ns   p99 {:>7} ns", times[10_000].as_nanos(), times[19_800].as_nanos());
}

fn main() {
    let fleet = Arc::new(Fleet::new((0..20).map(deployment).collect()));
    let indexes: Vec<DeploymentIndex> = fleet.iter().map(|(index, _)| index).collect();
    let views = Recorded(
        indexes
            .iter()
            .map(|index| View {
                availability: Availability::Open,
                outstanding: index.0 % 5,
                latency: Some(Duration::from_millis(200 + u64::from(index.0) * 7)),
                whole_latency: Some(Duration::from_secs(9)),
                headroom: 0.9,
                failures: 0,
            })
            .collect(),
    );
    let caller = Caller { team: Some("support".into()), session: Some("abc".into()), ..Caller::default() };
    let mut shape = Shape::new(Dialect::OpenAi, Operation::Chat);
    (shape.text_bytes, shape.messages, shape.images) = (2_000, 5, 1);
    let clock = WallClock::from_unix(1_795_303_800, 0);

    rules(&shape, &caller, clock);
    for name in Balance::NAMES {
        let balance = Balance::parse(name).expect("a strategy");
        let route = route(&indexes, &balance);
        let counters = [const { std::sync::atomic::AtomicU64::new(0) }; 2];
        let input = |seed: u64| DecideInput {
            id: RequestId::new(1_795_303_800_000, seed.into()),
            fleet: &fleet,
            views: &views,
            route: &route,
            shape: &shape,
            prompt: None,
            caller: &caller,
            clock,
            now: Moment::ORIGIN,
            seed,
            rotation: Rotation::Counters(&counters),
            config_version: 7,
        };
        measure(&format!("decision over 20 deployments, {name}"), |seed| {
            black_box(decide(black_box(&input(seed))));
        });
        if name == "weighted" {
            let decision = decide(&input(1));
            let mut line = String::with_capacity(8_192);
            measure("its explanation, 20 candidates", |_| {
                line.clear();
                decision.write_compact(&mut line);
            });
        }
    }
    let small = Route::direct("model".into(), &indexes[..3]);
    let input = DecideInput {
        route: &small,
        id: RequestId::new(1, 2),
        fleet: &fleet,
        views: &views,
        shape: &shape,
        prompt: None,
        caller: &caller,
        clock,
        now: Moment::ORIGIN,
        seed: 1,
        rotation: Rotation::Fixed(0),
        config_version: 7,
    };
    direct(&input);
}

fn direct(input: &DecideInput<'_>) {
    measure("decision over 3 deployments, direct", |_| {
        black_box(decide(black_box(input)));
    });
    let decision = decide(input);
    let mut line = String::with_capacity(8_192);
    measure("its explanation, 3 candidates", |_| {
        line.clear();
        decision.write_compact(&mut line);
    });
    println!("{line}");
}

fn rules(shape: &Shape, caller: &Caller, clock: WallClock) {
    let condition = Condition::compile(RULE).expect("a rule");
    let source = FeatureSource::new(shape, caller, clock, FleetFacts::default());
    measure("rule, typed tree", |_| {
        black_box(condition.holds(black_box(&source))).ok();
    });
    let macro_rule =
        Condition::compile("['research', 'legal'].exists(team, team == caller.team)").expect("a rule");
    measure("rule with a macro, general interpreter", |_| {
        black_box(macro_rule.holds(black_box(&source))).ok();
    });
    let program = cel::Program::compile(RULE).expect("a rule");
    let environment = Arc::new(cel::Env::stdlib());
    measure("the same rule, general interpreter", |_| {
        let mut context = cel::Context::with_env(Arc::clone(&environment));
        context.add_variable_from_value("request.input_tokens", 520i64);
        context.add_variable_from_value("request.has_images", true);
        context.add_variable_from_value("caller.team", "support");
        black_box(program.execute(&context)).ok();
    });
    measure("compiling the rule", |number| {
        if number % 20 == 0 {
            black_box(Condition::compile(RULE)).ok();
        }
    });
}

fn route(indexes: &[DeploymentIndex], balance: &Balance) -> Route {
    let tier = |name: &str, deployments: &[DeploymentIndex]| Tier {
        name: Name::from(name),
        deployments: deployments.to_vec(),
        balance: balance.clone(),
        sticky: None,
    };
    let condition = Condition::compile(RULE).expect("a rule");
    let steps = vec![
        Step { name: "long".into(), kind: StepKind::When { condition, then: Target::Tier(TierPosition(1)) } },
        Step { name: "usual".into(), kind: StepKind::Use(Target::Tier(TierPosition(0))) },
    ];
    let tiers = vec![tier("cheap", &indexes[..12]), tier("strong", &indexes[12..])];
    let mut route = Route::new("support".into(), tiers, steps).expect("a route");
    route.require = vec![Requirement::Zdr];
    let both = vec![TierPosition(0), TierPosition(1)];
    route.fallback = Fallback {
        error: both.clone(),
        rate_limit: both,
        context_length: vec![TierPosition(1)],
        content_filter: vec![TierPosition(1)],
    };
    route
}
