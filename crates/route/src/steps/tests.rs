//! What the steps answer, say and never do.

use super::*;
use crate::balance::Balance;
use crate::decide::{DecideInput, decide_with};
use crate::decision::{Decision, StepOutcome};
use crate::features::Prompt;
use crate::fixture::{Case, fleet, tier, use_tier};
use crate::fleet::DeploymentIndex;
use crate::plan::EligibleDeployment;
use crate::policy::{Route, Shadow};
use crate::shadow::ShadowCaps;
use proptest::prelude::*;
use std::borrow::Cow;
use std::time::Duration;
use trunkline_embed::classify::{Classifier, Example, Training};
use trunkline_model::dialect::Operation;
use trunkline_model::facts::Requirement;

struct Text<'a>(&'a str);

impl Prompt for Text<'_> {
    fn last_user_text(&self) -> Cow<'_, str> {
        self.0.into()
    }

    fn system_text(&self) -> Cow<'_, str> {
        "be brief".into()
    }
}

const CHEAP: TierPosition = TierPosition(0);
const STRONG: TierPosition = TierPosition(1);

fn case(steps: Vec<StepKind>) -> Case {
    let fleet = fleet(&["acme/small", "beta/small", "core/large", "data/candidate"]);
    let tiers = vec![
        tier(&fleet, "cheap", &["acme/small", "beta/small"], Balance::Weighted),
        tier(&fleet, "strong", &["core/large"], Balance::Weighted),
    ];
    let mut named: Vec<Step> = steps
        .into_iter()
        .enumerate()
        .map(|(at, kind)| Step { name: format!("step-{at}").into(), kind })
        .collect();
    named.push(use_tier(0));
    Case::new(fleet, Route::new("support".into(), tiers, named).expect("a route"))
}

fn custom(step: impl DecideStep + 'static) -> StepKind {
    StepKind::Custom(Arc::new(step))
}

fn decide(case: &Case, text: &str, answers: &[GivenAnswer]) -> Decision {
    decide_with(&DecideInput { prompt: Some(&Text(text)), ..case.input() }, answers)
}

/// The tier and what the steps said, each on a line.
fn story(decision: &Decision) -> String {
    let mut lines =
        vec![format!("{} by {}", decision.tier.as_deref().unwrap_or("-"), decision.decided_by.name())];
    for trace in &decision.steps {
        let said = match &trace.outcome {
            StepOutcome::Answered { target } => format!("chose {target}"),
            StepOutcome::NoAnswer(why) => format!("no answer, {why}"),
        };
        let names: Vec<&str> = trace.measures.iter().map(|(name, _)| &**name).collect();
        lines.push(format!("{}: {said} [{}]", trace.step, names.join(", ")));
    }
    lines.join("\n")
}

fn intents() -> Arc<Intents> {
    let billing = [
        "why was I charged twice this month",
        "I want a refund for my last invoice",
        "how do I update my credit card",
        "the bill is higher than last month",
        "can I get a receipt for my payment",
        "which payment methods do you accept",
    ];
    let legal = [
        "please review this contract clause",
        "is the liability limit enforceable",
        "draft a non-disclosure agreement",
        "does this license allow commercial use",
        "summarize the terms of the lease",
        "explain the termination clause of the agreement",
    ];
    let examples: Vec<Example<'_>> = [(0, billing), (1, legal)]
        .into_iter()
        .flat_map(|(label, texts)| texts.map(|text| Example { text, label }))
        .collect();
    let labels = vec!["billing".into(), "legal".into()];
    let classifier = Classifier::train(labels, &examples, &Training::default()).expect("examples");
    Arc::new(Intents { name: "intents".into(), learned: Learned::Static(classifier) })
}

fn model() -> Arc<ClassifierModel> {
    let label =
        |label: &str, meaning: &str| ClassifierLabel { label: label.into(), meaning: meaning.to_owned() };
    Arc::new(ClassifierModel {
        name: "judge".into(),
        deployment: DeploymentIndex(0),
        labels: vec![label("simple", "small talk"), label("hard", "needs thought")],
        instructions: None,
        timeout: Duration::from_secs(2),
        spend_cap: None,
        keep: Duration::from_secs(600),
    })
}

const REFUND: &str = "I would like my money back, I was charged for the invoice twice";
const UNKNOWN: &str = "zebras graze near volcanic lakes at dawn";

#[test]
fn semantic_answers_what_it_knows_and_leaves_the_rest() {
    let semantic = |tiers: LabelTiers, sure| custom(Semantic { intents: intents(), tiers, sure });
    let mapped = case(vec![semantic(vec![Some(STRONG), Some(CHEAP)], 0.0)]);
    let unmapped = case(vec![semantic(vec![None, Some(CHEAP)], 0.0)]);
    let sure = case(vec![semantic(vec![Some(STRONG), Some(CHEAP)], 1.0)]);
    let shown = [
        story(&decide(&mapped, REFUND, &[])),
        story(&decide(&mapped, UNKNOWN, &[])),
        story(&decide(&mapped, " ", &[])),
        story(&mapped.decide()),
        story(&decide(&unmapped, REFUND, &[])),
        story(&decide(&sure, REFUND, &[])),
    ];
    insta::assert_snapshot!(shown.join("\n\n"));
}

#[test]
fn a_classifier_is_asked_once_and_its_answer_decides_the_second_time() {
    let step = ClassifierStep { model: model(), tiers: vec![Some(CHEAP), Some(STRONG)] };
    let case = case(vec![custom(step)]);
    let first = decide(&case, "prove it", &[]);
    let question = first.question.as_deref().expect("a question");
    assert_eq!((&*question.step, question.text.as_str()), ("step-0", "prove it"));
    let again = decide(&case, "prove it", &[]);
    assert_eq!(
        again.question.as_ref().map(|question| question.key),
        Some(question.key),
        "the key is the content's"
    );
    let other = decide(&case, "prove that", &[]);
    assert_ne!(other.question.map(|question| question.key), Some(question.key));
    let given = |answer| [GivenAnswer { step: "step-0".into(), answer }];
    let second = decide(&case, "prove it", &given(Ok(1)));
    assert!(second.question.is_none());
    let failed =
        decide(&case, "prove it", &given(Err("the classifier did not answer within 2000 ms".to_owned())));
    assert!(failed.question.is_none());
    let outside = decide(&case, "prove it", &given(Ok(7)));
    let textless = case.decide();
    assert!(textless.question.is_none());
    insta::assert_snapshot!([&first, &second, &failed, &outside, &textless].map(story).join("\n\n"));
}

#[test]
fn a_classifier_sees_nothing_it_may_not_see() {
    let step = ClassifierStep { model: model(), tiers: vec![Some(CHEAP), Some(STRONG)] };
    let mut case = case(vec![custom(step)]);
    let mut all: Vec<_> = case.fleet.iter().map(|(_, deployment)| deployment.clone()).collect();
    for (at, deployment) in all.iter_mut().enumerate() {
        deployment.facts.zdr = Some(at > 0);
    }
    case.fleet = Arc::new(crate::fleet::Fleet::new(all));
    assert!(decide(&case, "prove it", &[]).question.is_some());
    case.caller.requirements = vec![Requirement::Zdr];
    let decision = decide(&case, "prove it", &[]);
    assert!(decision.question.is_none() && decision.plan.is_ok());
}

#[test]
fn an_answer_is_read_or_said_to_be_wrong() {
    let whom = EligibleDeployment::new(DeploymentIndex(0));
    let question = Question::new("ask".into(), &model(), whom, "hello");
    let read = |text: &str| question.read(text);
    assert_eq!(read("{\"label\": \"hard\"}"), Ok(1));
    assert_eq!(read("```json\n{\"label\": \"Simple\"}\n```"), Ok(0));
    assert_eq!(read(" hard "), Ok(1));
    assert_eq!(read("\"simple\""), Ok(0));
    let wrong = ["{\"label\": \"purple\"}", "{\"class\": 1}", "7", "", "I would say hard"];
    insta::assert_snapshot!(wrong.map(|text| read(text).expect_err("no label")).join("\n"));
    insta::assert_snapshot!(
        "question",
        [question.instruction(), question.material(), question.schema()].join("\n---\n")
    );
    let long = Question::new("ask".into(), &model(), question.whom, &"é".repeat(9_000));
    assert!(long.text.len() < 6_100 && long.text.contains("[...]"));
}

#[test]
fn hybrid_asks_only_in_between() {
    let hybrid = |sure| {
        let tiers = vec![Some(STRONG), Some(CHEAP)];
        let asked_tiers = vec![Some(CHEAP), Some(STRONG)];
        case(vec![custom(Hybrid { intents: intents(), model: model(), sure, tiers, asked_tiers })])
    };
    assert!(decide(&hybrid(0.0), REFUND, &[]).question.is_none(), "sure enough");
    assert!(decide(&hybrid(1.0), UNKNOWN, &[]).question.is_none(), "out of scope");
    let unsure = hybrid(1.0);
    assert!(decide(&unsure, REFUND, &[]).question.is_some());
    let given = [GivenAnswer { step: "step-0".into(), answer: Ok(1) }];
    assert_eq!(decide(&unsure, REFUND, &given).tier.as_deref(), Some("strong"));
}

#[test]
fn complexity_says_which_score_it_went_by() {
    let complexity = |by, easy| custom(Complexity { above: 0.6, hard: STRONG, easy, by });
    let learned = case(vec![complexity(ComplexityBy::Learned, Some(CHEAP))]);
    let length = case(vec![complexity(ComplexityBy::Length, None)]);
    let long = "why? ".repeat(400);
    let shown = [
        decide(&learned, UNKNOWN, &[]),
        decide(&length, &long, &[]),
        decide(&length, "hi", &[]),
        length.decide(),
    ];
    insta::assert_snapshot!(shown.each_ref().map(story).join("\n\n"));
}

#[test]
fn an_experiment_keeps_everyone_on_one_side() {
    let arms = vec![Arm { tier: CHEAP, share: 0.5 }, Arm { tier: STRONG, share: 0.3 }];
    let mut case = case(vec![custom(Experiment { salt: "prompt".into(), by: SplitBy::User, arms })]);
    assert_eq!(
        story(&case.decide()),
        "cheap by use-0\nstep-0: no answer, no user to split by []\nuse-0: chose cheap []"
    );
    let (mut cheap, mut strong, mut outside) = (0, 0, 0);
    for user in 0..2_000 {
        case.caller.user = Some(format!("user-{user}").into());
        case.seed = user;
        let first = case.decide();
        case.seed = user + 1;
        assert_eq!(first.tier, case.decide().tier);
        match (first.decided_by.name(), first.tier.as_deref()) {
            ("step-0", Some("cheap")) => cheap += 1,
            ("step-0", Some("strong")) => strong += 1,
            _ => outside += 1,
        }
    }
    assert!((940..1_060).contains(&cheap) && (540..660).contains(&strong) && (340..460).contains(&outside));
}

fn bandit(exploration: Exploration, explore: f64, statistics: ArmStatistics) -> Bandit {
    Bandit {
        arms: vec![CHEAP, STRONG],
        exploration,
        explore,
        dollar: 0.0,
        spend_cap: 1.0,
        statistics: Arc::new(statistics),
    }
}

#[test]
fn a_bandit_turns_to_what_pays_and_notices_when_that_changes() {
    for exploration in [Exploration::Thompson, Exploration::Epsilon] {
        let bandit = bandit(exploration, 0.1, ArmStatistics::new(2, 0.99));
        let outcome = |quality| Outcome { quality, dollars: None };
        for turn in 0..300 {
            bandit.statistics.observe(turn % 2, outcome(if turn % 2 == 1 { 1.0 } else { 0.3 }));
        }
        assert!(bandit.probabilities(|_| true)[1] >= 0.9, "{exploration:?}");
        for _ in 0..600 {
            bandit.statistics.observe(1, outcome(0.0));
            bandit.statistics.observe(0, outcome(0.3));
        }
        assert!(bandit.probabilities(|_| true)[0] >= 0.9, "{exploration:?}");
    }
}

#[test]
fn exploring_stops_at_its_cap() {
    let mut bandit = bandit(Exploration::Epsilon, 0.2, ArmStatistics::new(2, 1.0));
    bandit.spend_cap = 0.05;
    for _ in 0..100 {
        bandit.statistics.observe(0, Outcome { quality: 1.0, dollars: Some(0.001) });
    }
    assert!(bandit.probabilities(|_| true)[1] > 0.0);
    for _ in 0..5 {
        bandit.statistics.observe(1, Outcome { quality: 0.5, dollars: Some(0.1) });
    }
    assert_eq!(bandit.probabilities(|_| true).as_slice(), [1.0, 0.0]);
}

#[test]
fn a_reload_forgets_nothing() {
    let before = ArmStatistics::new(2, 0.9);
    before.observe(1, Outcome { quality: 1.0, dollars: Some(0.5) });
    let after = ArmStatistics::new(2, 0.9);
    after.adopt(&before);
    assert_eq!(after.view(), before.view());
    let other = ArmStatistics::new(3, 0.9);
    other.adopt(&before);
    assert_eq!(other.view()[1], ArmView::default());
}

proptest! {
    #[test]
    fn propensities_sum_to_one_and_closed_arms_have_none(
        outcomes in proptest::collection::vec((0usize..4, 0.0f64..=1.0, 0.0f64..1.0), 0..60),
        open in proptest::collection::vec(any::<bool>(), 4),
        explore in 0.0f64..=1.0, dollar in 0.0f64..5.0, thompson: bool,
    ) {
        let statistics = ArmStatistics::new(4, 0.97);
        for (arm, quality, dollars) in outcomes {
            statistics.observe(arm, Outcome { quality, dollars: Some(dollars) });
        }
        let bandit = Bandit {
            arms: (0..4).map(TierPosition).collect(),
            exploration: if thompson { Exploration::Thompson } else { Exploration::Epsilon },
            explore, dollar, spend_cap: 0.3, statistics: Arc::new(statistics),
        };
        let probabilities = bandit.probabilities(|arm| open[arm]);
        let sum: f64 = probabilities.iter().sum();
        let any = open.iter().any(|open| *open);
        prop_assert!((sum - f64::from(u8::from(any))).abs() < 1e-9, "{probabilities:?}");
        for (probability, open) in probabilities.iter().zip(&open) {
            prop_assert!((0.0..=1.0 + 1e-9).contains(probability), "{probabilities:?}");
            prop_assert!(*open || *probability == 0.0);
        }
        let best = probabilities.iter().copied().fold(0.0, f64::max);
        prop_assert!(!any || best >= 1.0 - explore - 1e-9 || 1.0 - best <= explore + 1e-9, "{probabilities:?} {explore}");
    }

    #[test]
    fn decisions_repeat_and_hold_nothing_filtered(
        seed: u64, text in "\\PC{0,80}", user in proptest::option::of("[a-z]{1,5}"), closed in 0u32..16, answer in proptest::option::of(0usize..4),
        share in prop_oneof![Just(0.5), Just(1.0)],
    ) {
        let bandit = bandit(Exploration::Thompson, 0.5, ArmStatistics::new(2, 0.99));
        let arms = vec![Arm { tier: STRONG, share: 0.2 }];
        let mut case = case(vec![
            custom(Experiment { salt: "s".into(), by: SplitBy::User, arms }),
            custom(ClassifierStep { model: model(), tiers: vec![Some(CHEAP), None] }),
            custom(Complexity { above: 0.7, hard: STRONG, easy: None, by: ComplexityBy::Learned }),
            custom(bandit),
        ]);
        let mut all: Vec<_> = case.fleet.iter().map(|(_, deployment)| deployment.clone()).collect();
        for (at, deployment) in all.iter_mut().enumerate() {
            deployment.facts.zdr = Some(closed & (1 << at) == 0);
        }
        case.fleet = Arc::new(crate::fleet::Fleet::new(all));
        case.route.require = vec![Requirement::Zdr];
        case.route.shadow = Some(Shadow {
            deployment: DeploymentIndex(3), share, caps: ShadowCaps::default(), agree: 0.8, keeps_answers: false,
        });
        case.seed = seed;
        case.caller.user = user.map(Into::into);
        let answers: Vec<GivenAnswer> =
            answer.map(|label| GivenAnswer { step: "step-1".into(), answer: Ok(label) }).into_iter().collect();
        let decision = decide(&case, &text, &answers);
        prop_assert_eq!(decision.to_json(), decide(&case, &text, &answers).to_json());
        let allowed = |index: DeploymentIndex| case.fleet.deployment(index).facts.zdr == Some(true);
        if let Ok(plan) = &decision.plan {
            let lists = [
                &plan.legs, &plan.on_rate_limit, &plan.on_context_length, &plan.on_content_filter, &plan.on_bad_answer,
            ];
            prop_assert!(lists.into_iter().flatten().all(|leg| allowed(leg.deployment.index())));
            let judges = plan.inspection.iter().flat_map(|inspection| &inspection.judges);
            prop_assert!(judges.clone().all(|judge| allowed(judge.index())));
        }
        match decision.shadow {
            Some(shadow) => {
                prop_assert!(decision.plan.is_ok() && allowed(shadow.deployment.index()));
                prop_assert_eq!(shadow.deployment.index(), DeploymentIndex(3));
            }
            None => prop_assert!(share < 1.0 || decision.plan.is_err() || !allowed(DeploymentIndex(3))),
        }
        prop_assert!((0.0..=1.0).contains(&decision.propensity));
    }
}

proptest! {
    /// An outcome that was first taken for something else weighs as if it had been known at once.
    #[test]
    fn second_thoughts_count_as_if_they_had_been_the_first(
        outcomes in prop::collection::vec((0usize..2, 0.0f64..=1.0, 0.0f64..=1.0), 1..40),
        discount in 0.9f64..=1.0,
    ) {
        let (revised, known) = (ArmStatistics::new(2, discount), ArmStatistics::new(2, discount));
        let mut seen = Vec::new();
        for (arm, first, second) in &outcomes {
            seen.push(revised.seen());
            revised.observe(*arm, Outcome { quality: *first, dollars: None });
            known.observe(*arm, Outcome { quality: *second, dollars: None });
        }
        for ((arm, first, second), seen) in outcomes.iter().zip(seen) {
            revised.revise(*arm, seen, *first, *second);
        }
        for (one, other) in revised.view().iter().zip(&known.view()) {
            prop_assert!((one.quality - other.quality).abs() < 1e-9 && one.weight == other.weight);
            prop_assert!((one.variance - other.variance).abs() < 1e-9);
        }
        let restored = ArmStatistics::new(2, discount);
        prop_assert!(restored.restore(&revised.saved()));
        prop_assert_eq!(restored.view(), revised.view());
        prop_assert!(!ArmStatistics::new(3, discount).restore(&revised.saved()));
    }
}

/// A text with what came of encoding it.
struct Encoded(&'static str, Option<Result<TextVector, String>>);

impl Prompt for Encoded {
    fn last_user_text(&self) -> Cow<'_, str> {
        self.0.into()
    }

    fn system_text(&self) -> Cow<'_, str> {
        "".into()
    }

    fn encoded(&self, encoder: &str) -> Option<Result<TextVector, String>> {
        assert_eq!(encoder, "big");
        self.1.clone()
    }
}

/// Examples of two labels for an encoder of three components, which `trained` tells apart by the first two.
fn encoded_intents(by: EncodeBy, trained: bool) -> Arc<Intents> {
    let encoder = Encoder {
        name: "big".into(),
        by,
        identity: [1; 16],
        timeout: Duration::from_secs(1),
        keep: Duration::from_secs(60),
    };
    let texts: Vec<String> = (0..12).map(|number| format!("text {number}")).collect();
    let examples: Vec<Example<'_>> =
        texts.iter().enumerate().map(|(at, text)| Example { text, label: at % 2 }).collect();
    let labels = vec!["billing".into(), "legal".into()];
    let encoded = EncodedIntents::new(Arc::new(encoder), labels, &examples, Training::default()).unwrap();
    if trained {
        let side = |at| if at % 2 == 0 { vec![1.0, 0.0, 0.1] } else { vec![0.0, 1.0, 0.1] };
        let vectors: Vec<TextVector> = (0..12).map(|at| side(at).into()).collect();
        encoded.train(&vectors).unwrap();
    }
    Arc::new(Intents { name: "intents".into(), learned: Learned::Encoded(encoded) })
}

#[derive(Debug)]
struct InProcess;

impl trunkline_embed::Encode for InProcess {
    fn dimensions(&self) -> usize {
        3
    }

    fn encode(&self, _: &str) -> Vec<f32> {
        vec![1.0, 0.0, 0.0]
    }
}

#[test]
fn a_step_says_which_text_it_would_have_encoded_and_decides_by_the_vector() {
    let step = |by, trained| {
        let intents = encoded_intents(by, trained);
        case(vec![custom(Semantic { intents, tiers: vec![Some(CHEAP), Some(STRONG)], sure: 0.5 })])
    };
    let local = || EncodeBy::Local(Arc::new(InProcess));
    let decide = |case: &Case, given: Option<Result<Vec<f32>, String>>| {
        let given = given.map(|given| given.map(TextVector::from));
        decide_with(&DecideInput { prompt: Some(&Encoded("which clause", given)), ..case.input() }, &[])
    };
    let mut told = Vec::new();
    let untrained = decide(&step(local(), false), None);
    assert!(untrained.to_encode.is_none(), "a vector would tell nothing");
    told.push(story(&untrained));
    let trained = step(local(), true);
    let wish = decide(&trained, None);
    let wanted = wish.to_encode.as_deref().expect("a wish");
    assert_eq!((&*wanted.encoder.name, wanted.text.as_str()), ("big", "which clause"));
    assert!(wanted.whom.is_none(), "nobody is asked for what is here");
    told.push(story(&wish));
    told.push(story(&decide(&trained, Some(Ok(vec![0.0, 2.0, 0.1])))));
    told.push(story(&decide(&trained, Some(Err("the encoder gave no vector: it is down".to_owned())))));
    told.push(story(&decide(&trained, Some(Ok(vec![1.0])))));
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_text_goes_to_no_encoder_that_may_not_see_it() {
    let remote = EncodeBy::Deployment { deployment: DeploymentIndex(3), dimensions: None };
    let intents = encoded_intents(remote, true);
    let mut case =
        case(vec![custom(Semantic { intents, tiers: vec![Some(CHEAP), Some(STRONG)], sure: 0.5 })]);
    let mut all: Vec<_> = case.fleet.iter().map(|(_, deployment)| deployment.clone()).collect();
    for (at, deployment) in all.iter_mut().enumerate() {
        deployment.facts.zdr = Some(at < 3);
    }
    all[3].operations = vec![Operation::Embeddings];
    case.fleet = Arc::new(crate::fleet::Fleet::new(all));
    let decide = |case: &Case| {
        decide_with(&DecideInput { prompt: Some(&Encoded("which clause", None)), ..case.input() }, &[])
    };
    let wanted = decide(&case).to_encode.expect("a wish");
    assert_eq!(wanted.whom.map(|whom| whom.index()), Some(DeploymentIndex(3)));
    case.caller.requirements = vec![Requirement::Zdr];
    let decision = decide(&case);
    assert!(decision.to_encode.is_none(), "{}", story(&decision));
    assert!(story(&decision).contains("its encoder may not see this request"), "{}", story(&decision));
}
