//! The predictor and the step on a router small enough to be worked out by hand.

use super::*;
use crate::balance::Balance;
use crate::decision::Decision;
use crate::features::{Prompt, embed};
use crate::fixture::{self, Case};
use crate::policy::TierPosition;
use crate::steps::{Complexity, ComplexityBy, EncodeBy, Encoder, Step, StepKind, TextVector};
use std::borrow::Cow;
use std::sync::Arc;
use trunkline_embed::DIMENSIONS;
use trunkline_model::money::NanoDollars;

/// Predicts 0.5 for `weak`, and for `strong` the more, the more question marks there are.
fn router() -> Artefact {
    let models = vec!["weak".to_owned(), "strong".to_owned()];
    let mut lexical = vec![0.0; LEXICAL.len() * 2];
    let question_marks = LEXICAL.iter().position(|name| *name == "question_marks").unwrap();
    lexical[question_marks * 2 + 1] = 0.1;
    let gains: Vec<f32> = (0..20).map(|number| number as f32 / 40.0).collect();
    Artefact {
        format: FORMAT_NAME.to_owned(),
        version: FORMAT,
        kind: Kind::Quality,
        created: String::new(),
        data: DataFacts { fingerprint: String::new(), rows: 20, source: String::new() },
        features: LEXICAL.map(str::to_owned).to_vec(),
        embedder: EmbedderFacts::bundled(),
        encoder: None,
        models,
        metrics: TrainingMetrics::default(),
        head: Head {
            lexical_mean: vec![0.0; LEXICAL.len()],
            lexical_factor: vec![1.0; LEXICAL.len()],
            intercepts: vec![0.5, 0.5],
            lexical: Numbers(lexical),
            vector: Numbers(vec![0.0; DIMENSIONS * 2]),
            hashed: Numbers(vec![0.0; HASHED * 2]),
            encoded: Numbers::default(),
        },
        neighbours: None,
        guard: GuardFacts {
            lexical_low: vec![-1.0; LEXICAL.len()],
            lexical_high: vec![20.0; LEXICAL.len()],
            choices: Some(false),
            least_similarity: None,
            least_pieces: 1,
        },
        calibration: Calibration {
            predicted: Numbers(gains.iter().flat_map(|gain| [0.5, 0.5 + gain]).collect()),
            actual: Numbers(gains.iter().flat_map(|gain| [0.5, 0.5 + gain]).collect()),
            lengths: Numbers((1..=20).map(|number| number as f32 * 10.0).collect()),
        },
    }
}

fn predicted(predictor: &Predictor, text: &str) -> (Familiarity, Vec<f32>) {
    let mut scratch = Scratch::default();
    let familiarity = predictor.predict(text, &embed(text), None, &mut scratch);
    (familiarity, scratch.quality)
}

#[test]
fn a_prediction_is_the_sum_of_its_parts() {
    let predictor = Predictor::new(router()).unwrap();
    let (familiarity, quality) = predicted(&predictor, "why? how? when?");
    assert_eq!(familiarity, Familiarity::Familiar);
    assert_eq!(quality[0], 0.5);
    assert!((quality[1] - (0.5 + 0.1 * 3.0_f32.ln_1p())).abs() < 1e-6, "{quality:?}");
}

#[test]
fn strange_prompts_are_told_and_why() {
    let predictor = Predictor::new(router()).unwrap();
    let strange = |text: &str| match predicted(&predictor, text).0 {
        Familiarity::Unfamiliar(why) => why.to_string(),
        Familiarity::Familiar => "familiar".to_owned(),
    };
    let mut narrow = router();
    narrow.guard.lexical_high[0] = 3.0;
    let narrow = Predictor::new(narrow).unwrap();
    let (long, _) = predicted(&narrow, "a prompt that is longer than any that was seen");
    let shown = [
        strange("hello there"),
        strange("\u{1f980}\u{1f980}"),
        strange("which?\nA. one\nB. two"),
        format!("{long:?}"),
    ];
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn a_repeated_prompt_is_known_and_neighbours_help_the_near_only() {
    let vectors =
        ["how do I reset my password", "the boiling point of nitrogen"].map(|text| embed(text).vector);
    let mut facts =
        NeighbourFacts { blend: 0.5, prior: 1.0, starts: vec![0, 1, 2], ..NeighbourFacts::default() };
    for (vector, residual) in vectors.iter().zip([40i8, -40]) {
        let (bytes, scale) = quantized(vector);
        facts.centres.0.extend(&bytes);
        facts.centre_scales.0.push(scale);
        facts.rows.0.extend(&bytes);
        facts.row_scales.0.push(scale);
        facts.residuals.0.extend([0, residual]);
        facts.cluster_residuals.0.extend([0.0, 0.0]);
    }
    let neighbours = Neighbours::new(2, facts);
    let mut estimate = LocalEstimate::default();
    let mut at = |text: &str, without| {
        neighbours.estimate(&embed(text).vector, without, &mut estimate);
        (estimate.residuals[1], estimate.similarity)
    };
    let (same, _) = at("how do I reset my password", None);
    assert!((same - 0.29).abs() < 0.05, "{same}");
    let (near, _) = at("I forgot my password", None);
    assert!(near > 0.0 && near < same, "{near}");
    // Asked about itself, a row must not answer.
    let (itself, similarity) = at("how do I reset my password", Some(0));
    assert!(itself <= 0.0 && similarity < 0.5, "{itself} {similarity}");
}

#[test]
fn damaged_files_are_refused() {
    let damaged = |damage: fn(&mut Artefact)| {
        let mut artefact = router();
        damage(&mut artefact);
        Artefact::parse(artefact.to_text().as_bytes()).unwrap_err().to_string()
    };
    let shown = [
        damaged(|artefact| artefact.version = 7),
        damaged(|artefact| artefact.embedder.fingerprint = "0".to_owned()),
        damaged(|artefact| artefact.embedder.dimensions = 384),
        damaged(|artefact| artefact.features.truncate(3)),
        damaged(|artefact| artefact.models.clear()),
        damaged(|artefact| artefact.head.vector.0.truncate(10)),
        damaged(|artefact| artefact.head.hashed.0[5] = f32::NAN),
        damaged(|artefact| artefact.calibration = Calibration::default()),
        damaged(|artefact| artefact.neighbours = Some(NeighbourFacts::default())),
    ]
    .map(|shown| shown.replace(&embedder_fingerprint(), "(this one)"));
    insta::assert_snapshot!(shown.join("\n"));
}

struct Said(&'static str);

impl Prompt for Said {
    fn last_user_text(&self) -> Cow<'_, str> {
        self.0.into()
    }

    fn system_text(&self) -> Cow<'_, str> {
        "".into()
    }
}

/// What a route with one learned step decides about a prompt: the tier and the note.
fn decided(
    mode: Mode,
    budget: Option<Budget>,
    on_unknown: OnUnknown,
    prompt: &'static str,
) -> (String, String) {
    let fleet = fixture::fleet(&["one/weak", "two/strong"]);
    let both = [("cheap", "one/weak"), ("strong", "two/strong")];
    let both = both.map(|(name, id)| fixture::tier(&fleet, name, &[id], Balance::Weighted)).to_vec();
    let mut case = Case::new(fleet, crate::policy::Route::new("auto".into(), both, Vec::new()).unwrap());
    let predictor = Arc::new(Predictor::new(router()).unwrap());
    let tiers = case.route.tiers().to_vec();
    let tier = |position: TierPosition| {
        let tier = &tiers[usize::from(position.0)];
        (&*tier.name, tier.deployments.as_slice())
    };
    let step = LearnedStep::new(predictor, mode, 0.0, 0.0, budget, on_unknown, &case.fleet, tier).unwrap();
    let kind = StepKind::Custom(Arc::new(step));
    case.route =
        crate::policy::Route::new("auto".into(), tiers, vec![Step { name: "learned-0".into(), kind }])
            .unwrap();
    let said = Said(prompt);
    let decision = crate::decide::decide(&crate::decide::DecideInput { prompt: Some(&said), ..case.input() });
    assert_eq!(
        decision.to_json(),
        crate::decide::decide(&crate::decide::DecideInput { prompt: Some(&said), ..case.input() }).to_json()
    );
    let note = decision.steps[0].note.as_deref().unwrap_or_default().to_owned();
    (decision.tier.as_deref().unwrap_or_default().to_owned(), note)
}

#[test]
fn the_step_sends_gains_to_strong_and_says_why() {
    let (cheap, strong) = (TierPosition(0), TierPosition(1));
    let share = |share| Mode::Tiers { cheap, strong, share: Some(share), quality_within: None };
    let length = OnUnknown::Length;
    let daily = |nanos| Some(Budget { daily: NanoDollars(nanos) });
    let shown = [
        decided(share(0.9), None, length, "why? how? when?"),
        decided(share(0.1), None, length, "why? how? when?"),
        decided(
            share(0.5),
            None,
            length,
            "which?\nA. one\nB. two\nC. three\nD. four\nE. five\nF. six\nG. seven\nH. eight\nI. nine\nJ. ten, and a great deal more than any prompt of the training data had, so that it counts as hard",
        ),
        decided(share(0.5), None, OnUnknown::Tier(cheap), "which?\nA. one\nB. two"),
        decided(
            Mode::Tiers { cheap, strong, share: None, quality_within: Some(0.5) },
            None,
            length,
            "why? how? when?",
        ),
        decided(share(0.9), daily(0), length, "why? how? when?"),
        decided(share(0.9), daily(1_000), length, "why? how? when?"),
        decided(Mode::Ranking, None, OnUnknown::Tier(cheap), "why? how? when?"),
        decided(share(0.9), None, length, "  "),
    ];
    let shown: Vec<String> = shown.into_iter().map(|(tier, note)| format!("{tier}: {note}")).collect();
    insta::assert_snapshot!(shown.join("\n"));
}

/// A prompt, with what came of the wish to have it encoded.
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

#[derive(Debug)]
struct Never;

impl trunkline_embed::Encode for Never {
    fn dimensions(&self) -> usize {
        2
    }

    fn encode(&self, _: &str) -> Vec<f32> {
        unreachable!("a decision does not encode")
    }
}

/// The router, needing an encoder of two components too: the more the first says, the better `strong`.
fn encoded_router() -> Artefact {
    let mut artefact = router();
    artefact.encoder =
        Some(EmbedderFacts { name: "big".to_owned(), dimensions: 2, fingerprint: "07".repeat(16) });
    artefact.head.encoded = Numbers(vec![0.0, 0.4, 0.0, 0.0]);
    artefact
}

fn decided_by(
    as_complexity: bool,

    on_unknown: OnUnknown,
    prompt: &'static str,
    given: Option<Result<TextVector, String>>,
) -> Decision {
    let fleet = fixture::fleet(&["one/weak", "two/strong"]);
    let both = [("cheap", "one/weak"), ("strong", "two/strong")];
    let tiers = both.map(|(name, id)| fixture::tier(&fleet, name, &[id], Balance::Weighted)).to_vec();
    let predictor = Arc::new(Predictor::new(encoded_router()).unwrap());
    let tier = |position: TierPosition| {
        let tier = &tiers[usize::from(position.0)];
        (&*tier.name, tier.deployments.as_slice())
    };
    let (cheap, strong) = (TierPosition(0), TierPosition(1));
    let mode = Mode::Tiers { cheap, strong, share: Some(0.5), quality_within: None };
    let encoder = Encoder {
        name: "big".into(),
        by: EncodeBy::Local(Arc::new(Never)),
        identity: [7; 16],
        timeout: std::time::Duration::from_secs(1),
        keep: std::time::Duration::from_secs(1),
    };
    let step = LearnedStep::new(predictor, mode, 0.0, 0.0, None, on_unknown, &fleet, tier).unwrap();
    let step = Arc::new(step.with_encoder(Some(Arc::new(encoder))));
    let scored = Complexity {
        above: 0.5,
        hard: strong,
        easy: Some(cheap),
        by: ComplexityBy::Router(Arc::clone(&step)),
    };
    let kind = match as_complexity {
        true => StepKind::Custom(Arc::new(scored)),
        false => StepKind::Custom(step),
    };
    let steps = vec![Step { name: "step-0".into(), kind }];
    let route = crate::policy::Route::new("auto".into(), tiers.clone(), steps).unwrap();
    let case = Case::new(fleet, route);
    crate::decide::decide(&crate::decide::DecideInput {
        prompt: Some(&Encoded(prompt, given)),
        ..case.input()
    })
}

fn decided_encoded(
    on_unknown: OnUnknown,
    prompt: &'static str,
    given: Option<Result<TextVector, String>>,
) -> Decision {
    decided_by(false, on_unknown, prompt, given)
}

#[test]
fn complexity_by_a_router_decides_as_the_router_does_and_says_from_where_on_a_prompt_is_hard() {
    for vector in [vec![1.0, 5.0], vec![12.0, 5.0]] {
        let given = || Some(Ok(TextVector::from(vector.as_slice())));
        let scored = decided_by(true, OnUnknown::Length, "hello there", given());
        let learned = decided_encoded(OnUnknown::Length, "hello there", given());
        assert_eq!((&scored.tier, &scored.steps[0].note), (&learned.tier, &learned.steps[0].note));
        assert_eq!(scored.steps[0].measures, [("hard from".into(), 0.5)]);
    }
    assert!(decided_by(true, OnUnknown::Length, "hello there", None).to_encode.is_some());
}

#[test]
fn a_router_that_needs_an_encoder_asks_for_it_and_does_without_as_it_does_with_the_unknown() {
    let vector = |numbers: &[f32]| Some(Ok(TextVector::from(numbers)));
    let length = OnUnknown::Length;
    let wish = decided_encoded(length, "hello there", None);
    let wanted = wish.to_encode.as_deref().expect("a wish");
    assert_eq!((&*wanted.encoder.name, wanted.text.as_str()), ("big", "hello there"));
    let strange = decided_encoded(length, "which?\nA. one\nB. two", None);
    assert!(strange.to_encode.is_none(), "a vector would change nothing for a prompt that is not known");
    let told = |decision: Decision| {
        let note = decision.steps[0].note.as_deref().unwrap_or_default().to_owned();
        format!("{}: {note}", decision.tier.as_deref().unwrap_or_default())
    };
    let down = || Some(Err("the encoder gave no vector: it took longer than 1000 ms".to_owned()));
    let shown = [
        told(decided_encoded(length, "hello there", vector(&[1.0, 5.0]))),
        told(decided_encoded(length, "hello there", vector(&[12.0, 5.0]))),
        told(decided_encoded(length, "hello there", down())),
        told(decided_encoded(OnUnknown::Tier(TierPosition(1)), "hello there", down())),
        told(decided_encoded(length, "hello there", vector(&[1.0]))),
        told(strange),
    ];
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn a_file_whose_encoder_does_not_fit_its_numbers_is_refused() {
    let whole = encoded_router();
    assert_eq!(Artefact::parse(whole.to_text().as_bytes()).unwrap(), whole);
    let damaged = |damage: fn(&mut Artefact)| {
        let mut artefact = encoded_router();
        damage(&mut artefact);
        Artefact::parse(artefact.to_text().as_bytes()).unwrap_err().to_string()
    };
    let shown = [
        damaged(|artefact| artefact.head.encoded.0.truncate(3)),
        damaged(|artefact| artefact.encoder = None),
        damaged(|artefact| artefact.encoder.as_mut().unwrap().dimensions = 0),
        damaged(|artefact| artefact.encoder.as_mut().unwrap().dimensions = 9_000),
    ];
    insta::assert_snapshot!(shown.join("\n"));
}
