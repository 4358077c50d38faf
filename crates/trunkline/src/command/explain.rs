//! `trunkline explain`: a decision without a server.
//!
//! Owns running the same scan and the same `decide` on a request in a file. Health is that of a fleet nobody has used, unless
//! a running server is asked (`POST /v1/explain`); what bandits have learned is what the gateway kept last, or what a past decision
//! tells of.

use crate::configuration::{self, Origin};
use anyhow::{Context, bail};
use clap::Args;
use std::borrow::Cow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use trunkline_config::{Snapshot, Store};
use trunkline_gateway::{BodyPrompt, restore_bandits};
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::id::{Name, RequestId};
use trunkline_model::moment::Moment;
use trunkline_model::record::RequestRecord;
use trunkline_route::balance::Rotation;
use trunkline_route::caller::{Caller, PinnedBy};
use trunkline_route::decide::{DecideInput, decide_with};
use trunkline_route::explain::{Explanation, Recalled};
use trunkline_route::features::{Prompt, WallClock};
use trunkline_route::policy::Route;
use trunkline_route::steps::{EncodeBy, Intents, StepKind, TextVector, encoded_part};
use trunkline_route::view::AllFresh;
use trunkline_store::{LearningFile, Query, search_file};
use trunkline_wire::codec::PathParts;
use trunkline_wire::dispatch;

/// Options of `explain`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// A request body, as a client would send it.
    #[arg(value_name = "REQUEST.json")]
    request: PathBuf,
    /// A configuration file, or a folder of them.
    #[arg(long, short, value_name = "FILE", env = "TRUNKLINE_CONFIG")]
    config: Option<PathBuf>,
    /// The protocol of the body.
    #[arg(long, default_value = "openai", value_parser = ["openai", "anthropic", "gemini"])]
    dialect: String,
    /// As if this virtual key had asked.
    #[arg(long)]
    key: Option<String>,
    /// The session, for sticky routes.
    #[arg(long)]
    session: Option<String>,
    /// The seed of everything random; that of a logged decision repeats it.
    #[arg(long)]
    seed: Option<u64>,
    /// Decide as this request was decided: with its seed, time and the state that its decision tells of. Read from the log of the
    /// configuration's store.
    #[arg(long, value_name = "ID", conflicts_with = "seed")]
    decision: Option<RequestId>,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// Shows the decision.
///
/// # Errors
/// An unreadable request or configuration, an unknown model or key.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let loaded = configuration::read(&Origin::new(options.config.as_deref()))?;
    let body =
        std::fs::read(&options.request).with_context(|| format!("read {}", options.request.display()))?;
    let dialect =
        Dialect::ALL.into_iter().find(|dialect| dialect.name() == options.dialect).unwrap_or(Dialect::OpenAi);
    let envelope = dispatch::envelope(dialect, Operation::Chat, &body, &PathParts::default())
        .with_context(|| format!("understand {}", options.request.display()))?;
    let snapshot = loaded.snapshot;
    let route = find_route(&snapshot, &envelope.shape.model)?;
    let caller = caller(&snapshot, options)?;
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let id = RequestId::new(unix * 1_000, rand::random());
    let prompt = BodyPrompt::new(dialect, Operation::Chat, &envelope, &body);
    let vectors = encoded_here(&route, &prompt);
    let prompt = EncodedHere { prompt, vectors };
    let past = options.decision.map(|id| past(&snapshot, id)).transpose()?;
    let mut input = DecideInput {
        id,
        fleet: &snapshot.fleet,
        views: &AllFresh,
        route: &route,
        shape: &envelope.shape,
        prompt: Some(&prompt),
        caller: &caller,
        clock: WallClock::from_unix(unix, 0),
        now: NOW,
        seed: options.seed.unwrap_or_else(|| id.seed()),
        rotation: Rotation::Fixed(0),
        config_version: snapshot.version,
    };
    let mut answers = Vec::new();
    match &past {
        None => recall_bandits(&snapshot)?,
        Some((record, old, recalled)) => {
            input.id = record.id;
            input.views = recalled;
            input.clock = WallClock::from_unix(record.id.unix_milliseconds() / 1_000, 0);
            input.seed = record.id.seed();
            input.rotation = Rotation::Fixed(old.turn.unwrap_or(0));
            answers = recalled.answers(&route, snapshot.version);
        }
    }
    let decision = decide_with(&input, &answers);
    if options.json {
        println!("{}", decision.to_json());
    } else {
        println!("{}", Explanation::of(&decision)?);
    }
    Ok(if decision.plan.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Now: far enough from the origin for anything that looks back.
const NOW: Moment = Moment::from_micros(1_000_000_000);

/// A request of the log, its decision and the state that it tells of.
fn past(snapshot: &Snapshot, id: RequestId) -> anyhow::Result<(RequestRecord, Explanation, Recalled)> {
    let Store::Sqlite(path) = &snapshot.server.store else {
        bail!(
            "the configuration keeps its log in memory: ask the gateway itself, with `x-trunkline-as: {id}` on POST /v1/explain"
        )
    };
    let query = Query { id: Some(id), limit: 1, ..Query::default() };
    let record = search_file(path, &query)?.records.into_iter().next();
    let record = record.with_context(|| format!("find `{id}` in the log {}", path.display()))?;
    let text = record
        .decision
        .as_deref()
        .context("read the decision: the request was refused before one was made")?;
    let old: Explanation = serde_json::from_str(text).context("read the decision")?;
    let recalled = Recalled::of(&old, &snapshot.fleet, NOW);
    Ok((record, old, recalled))
}

/// Gives bandits what the gateway of this configuration has learned, as far as it was kept.
fn recall_bandits(snapshot: &Snapshot) -> anyhow::Result<()> {
    if let Store::Sqlite(path) = &snapshot.server.store
        && let Some(learning) = LearningFile::beside(path)?
    {
        restore_bandits(snapshot, &learning.arms()?);
    }
    Ok(())
}

/// A request's text with the vectors that models in process gave.
struct EncodedHere<'a> {
    prompt: BodyPrompt<'a>,
    vectors: Vec<(Name, TextVector)>,
}

impl Prompt for EncodedHere<'_> {
    fn last_user_text(&self) -> Cow<'_, str> {
        self.prompt.last_user_text()
    }

    fn system_text(&self) -> Cow<'_, str> {
        self.prompt.system_text()
    }

    fn encoded(&self, encoder: &str) -> Option<Result<TextVector, String>> {
        self.vectors.iter().find(|(name, _)| **name == *encoder).map(|(_, vector)| Ok(Arc::clone(vector)))
    }
}

/// Learns the examples that models in process read, and encodes the text by them. Deployments are not asked.
fn encoded_here(route: &Route, prompt: &BodyPrompt<'_>) -> Vec<(Name, TextVector)> {
    let mut vectors: Vec<(Name, TextVector)> = Vec::new();
    for step in route.steps() {
        let StepKind::Custom(custom) = &step.kind else { continue };
        let Some(examples) = custom.intents().and_then(Intents::encoded) else { continue };
        let EncodeBy::Local(model) = &examples.encoder.by else { continue };
        let learned: Vec<TextVector> = examples.texts().map(|text| model.encode(text).into()).collect();
        if let Err(error) = examples.train(&learned) {
            eprintln!("warning: the examples of the step `{}` cannot be learned: {error}", step.name);
        }
        if vectors.iter().all(|(name, _)| *name != examples.encoder.name) {
            let vector = model.encode(encoded_part(&prompt.last_user_text())).into();
            vectors.push((Name::clone(&examples.encoder.name), vector));
        }
    }
    vectors
}

fn find_route(snapshot: &Snapshot, model: &str) -> anyhow::Result<Arc<Route>> {
    if let Some(route) = snapshot.routes.find(model) {
        return Ok(Arc::clone(route));
    }
    let named = snapshot.fleet.named(model);
    if named.is_empty() {
        bail!("there is no model or route `{model}` in this configuration");
    }
    Ok(Arc::new(Route::direct(Name::from(model), named)))
}

fn caller(snapshot: &Snapshot, options: &Options) -> anyhow::Result<Caller> {
    let mut caller = Caller { session: options.session.as_deref().map(Name::from), ..Caller::default() };
    if let Some(name) = &options.key {
        let key = snapshot.keys.iter().find(|key| *key.name == **name);
        let key = key.with_context(|| format!("find the virtual key `{name}`"))?;
        caller.key = Some(Arc::clone(&key.name));
        caller.allow = key.allow.clone();
        caller.requirements.clone_from(&key.requirements);
        caller.tags.clone_from(&key.tags);
        if let Some(pin) = &key.pin {
            (caller.pin, caller.pinned_by) = (Some(Name::clone(pin)), PinnedBy::Key);
        }
    }
    Ok(caller)
}
