//! Steps that decide, and what they read: routers, intents, encoders, classifiers, bandits, experiments, copies.
//!
//! Owns these settings of the file, as a user writes them. Must not know what comes after a decision.

use crate::file::Effort;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A trained router.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LearnedSettings {
    /// The file that `trunkline train` wrote; a relative path starts at the folder of the configuration.
    pub file: String,
    /// The encoder that it was trained with (`trunkline train --encoder`); a name under `encoders`.
    pub encoder: Option<String>,
}

/// Labelled examples.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IntentsSettings {
    /// Examples by label.
    pub examples: IndexMap<String, Vec<String>>,
    /// A file of further examples: `.jsonl` with `text` and `label` on each line, or YAML with a list of texts by label. A
    /// relative path starts at the folder of the configuration.
    pub file: Option<String>,
    /// Labels whose further examples come from the log: texts that feedback gave this label, on routes with `learn: { keep: text }`.
    pub from_log: Vec<String>,
    /// The encoder by which texts are compared; a name under `encoders`. Without it: the table in the program.
    pub encoder: Option<String>,
    /// How labels are told apart.
    pub head: Option<IntentsHead>,
    /// The share of texts that belong which are taken for such, above 0 and at most 1. Default 0.95; higher lets more through
    /// that does not belong.
    pub keep: Option<f64>,
}

/// A larger encoder of texts.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EncoderSettings {
    /// A deployment that serves embeddings; `provider/model` or a name under `deployments`.
    pub deployment: Option<String>,
    /// Components to ask it for, where its model can shorten vectors.
    pub dimensions: Option<u32>,
    /// The folder of a sentence transformer (BERT, uncased), in builds with the feature `encoder`. A relative path starts at the
    /// folder of the configuration.
    pub folder: Option<String>,
    /// How long the vector of a request's text is waited for. Default `1s`.
    pub timeout: Option<String>,
    /// How long a vector is kept for the same text. Default `1h`; `0s` asks every time.
    pub keep: Option<String>,
}

/// How labels are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IntentsHead {
    /// By weights that set them apart: better from about five examples per label on.
    #[default]
    Logistic,
    /// By nearness to the mean of each label's examples.
    Centroid,
}

/// A model that sorts texts.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClassifierSettings {
    /// The deployment that is asked; `provider/model` or a name under `deployments`.
    pub deployment: String,
    /// The labels it may answer with, each with its meaning in words.
    pub labels: IndexMap<String, String>,
    /// Further instructions for it.
    pub instructions: Option<String>,
    /// How long the answer is waited for. Default `2s`.
    pub timeout: Option<String>,
    /// How long an answer is kept for the same text. Default `1h`; `0s` asks every time.
    pub keep: Option<String>,
    /// Dollars it may cost per day (UTC); when they are used up, its steps leave requests to the next.
    pub spend_cap: Option<String>,
}

/// A choice by how hard a prompt looks.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ComplexitySettings {
    /// The score from which a prompt is hard, between 0 and 1: 0.8 is harder than four fifths of the prompts it was learned from.
    pub above: Option<f64>,
    /// The tier for hard prompts.
    #[serde(rename = "use")]
    pub tier: String,
    /// The tier for the others. Without it the next step decides.
    pub below: Option<String>,
    /// What scores.
    pub by: Option<ComplexityScore>,
    /// A trained router that scores in place of the bundled head, a name under `learned`; needs `below`.
    pub router: Option<String>,
}

/// What scores complexity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ComplexityScore {
    /// The bundled score where it knows the kind of prompt, the length elsewhere.
    #[default]
    Learned,
    /// The length of the user's last turn.
    Length,
}

/// Meaning first, a model where meaning is not sure.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HybridSettings {
    /// Examples, by their name under `intents`.
    pub intents: String,
    /// Who is asked about the rest, by its name under `classifiers`.
    pub classifier: String,
    /// From this probability on the examples alone decide, above 0 and below 1. Default 0.8.
    pub sure: Option<f64>,
}

/// A choice learned from outcomes.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BanditSettings {
    /// The tiers among which it chooses.
    pub tiers: Vec<String>,
    /// How it explores.
    pub method: Option<BanditMethod>,
    /// The most of the requests that go elsewhere than to the best tier, for example `5%` (default).
    pub explore: Option<String>,
    /// The share of the spending that exploring may add, for example `10%` (default).
    pub spend_cap: Option<String>,
    /// Quality, from 0 to 1, that a dollar per request must bring. Default 0: cost does not count.
    pub lambda: Option<f64>,
    /// Outcomes after which one counts half. Default 500.
    pub half_life: Option<u32>,
}

/// How a bandit explores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BanditMethod {
    /// Tiers in proportion to the probability that they are the best.
    #[default]
    Thompson,
    /// All tiers alike.
    Epsilon,
}

/// A lasting split.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExperimentSettings {
    /// Its name: experiments of different names split independently, and a new name splits anew.
    pub name: String,
    /// Who stays on one side. Default `user`.
    pub by: Option<ExperimentSplit>,
    /// Shares by tier, for example `{ cheap: 10% }`; together at most 100 %, the rest is left to the next step.
    pub shares: IndexMap<String, String>,
}

/// Who stays on one side of an experiment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExperimentSplit {
    /// The end user.
    #[default]
    User,
    /// The session.
    Session,
    /// The virtual key.
    Key,
}

/// A candidate that gets copies of some requests; its answers are compared and never sent to a client.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShadowSettings {
    /// Where copies go; `provider/model` or a name under `deployments`.
    pub deployment: String,
    /// The share of the requests that are copied, for example `1%` (default).
    pub share: Option<String>,
    /// The share of the route's spending of the day that copies may add, for example `5%`: the default where `spend_per_day` is
    /// not given.
    pub spend_cap: Option<String>,
    /// The most that copies may cost a day (of UTC), in dollars, for example `"2.50"`. With both caps, both hold.
    pub spend_per_day: Option<String>,
    /// Answers at least this similar agree, 0 to 1. Default 0.8.
    pub agree: Option<f64>,
    /// Keep the text of both answers in the copy's record. Default false: only how they compare is kept.
    pub keep_answers: Option<bool>,
}

/// One decision step. Exactly one of `when` (with `use`), `pin`, `semantic`, `complexity`, `classifier`, `hybrid`, `bandit`,
/// `experiment`, `learned` or `use` alone.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StepSettings {
    /// A CEL condition over `request`, `caller`, `fleet` and `time`.
    pub when: Option<String>,
    /// The tier to use.
    #[serde(rename = "use")]
    pub tier: Option<String>,
    /// Honour the `x-trunkline-pin` header here.
    pub pin: Option<bool>,
    /// How deeply to reason when this step decides, over the tier's and the route's.
    pub effort: Option<Effort>,
    /// Chooses by meaning: examples, by their name under `intents`; with `map`.
    pub semantic: Option<String>,
    /// Chooses by asking a model: its name under `classifiers`; with `map`.
    pub classifier: Option<String>,
    /// Chooses by meaning, and asks a model where that is not sure; with `map`.
    pub hybrid: Option<HybridSettings>,
    /// Of `semantic`, `classifier` and `hybrid` steps: the tier of each label. Labels that are not listed are left to the next
    /// step.
    pub map: IndexMap<String, String>,
    /// Of a `semantic` step: the least probability of an answer, 0 to 1. Default 0.5.
    pub sure: Option<f64>,
    /// Chooses by how hard a prompt looks.
    pub complexity: Option<ComplexitySettings>,
    /// Chooses what has paid best so far.
    pub bandit: Option<BanditSettings>,
    /// Splits users, sessions or keys for good.
    pub experiment: Option<ExperimentSettings>,
    /// A trained router, by its name under `learned`: predicts the quality of each model's answer.
    pub learned: Option<String>,
    /// Of a `learned` step: the tier for prompts that a cheap model answers well. Without `cheap` and `strong` all deployments
    /// of the route are ranked.
    pub cheap: Option<String>,
    /// Of a `learned` step: the tier for prompts that gain from a stronger model.
    pub strong: Option<String>,
    /// Of a `learned` step: the largest share of prompts that goes to `strong`, 0 to 1.
    pub strong_share: Option<f64>,
    /// Of a `learned` step: the part of strong's quality that may be given up, for example `0.02`; the share follows from it.
    pub quality_within: Option<f64>,
    /// Of a `learned` step: dollars the route may spend per day (UTC); the share of strong falls as spending runs ahead of the
    /// day, to nothing when the amount is spent.
    pub daily_spend: Option<String>,
    /// Of a `learned` step: quality that a dollar per request must bring.
    pub lambda: Option<f64>,
    /// Of a `learned` step: quality that a second to the first token must bring.
    pub mu: Option<f64>,
    /// Of a `learned` step: what happens to prompts unlike the training data: `length` (default; longer ones count as harder)
    /// or the name of a tier.
    pub on_unknown: Option<String>,
}
