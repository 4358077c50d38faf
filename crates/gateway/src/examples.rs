//! Examples that are learned by larger encoders.
//!
//! Owns encoding them when a configuration takes effect, in batches, beside all requests, and trying again where that fails.
//! Must not delay anything: until they are learned, the steps that read them say so and the next step decides. What was learned
//! of the same examples under an earlier configuration is taken over, and what was encoded once is not encoded again, over a
//! restart either where the log is a file.

use crate::ask;
use crate::case::{self, Case};
use crate::encode::{self, Order, later};
use crate::state::{Gateway, Generation};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use trunkline_config::Snapshot;
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::id::Name;
use trunkline_model::record::Outcome;
use trunkline_route::caller::Caller;
use trunkline_route::filter::{RouteDemands, filter};
use trunkline_route::fleet::DeploymentIndex;
use trunkline_route::plan::EligibleDeployment;
use trunkline_route::steps::{
    EncodeBy, EncodedIntents, Encoder, Intents, StepKind, TextVector, embedding_shape,
};
use trunkline_store::{StoredVector, VectorKey};

/// Texts of one call, and bytes of them together.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 100_000;
/// How long a batch is waited for: nobody waits behind it.
const BATCH_TIMEOUT: Duration = Duration::from_secs(60);
/// How long after a failure it is tried again, first and at the most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Vectors of examples are kept as long as there is room.
const KEEP: Duration = Duration::from_secs(30 * 86_400);

/// The sets of examples that larger encoders read, each once.
fn of(snapshot: &Snapshot) -> Vec<&Intents> {
    let steps = snapshot.routes.iter().flat_map(|(_, route)| route.steps());
    let mut found: Vec<&Intents> = Vec::new();
    for step in steps {
        let StepKind::Custom(custom) = &step.kind else { continue };
        let Some(intents) = custom.intents().filter(|intents| intents.encoded().is_some()) else { continue };
        if !found.iter().any(|known| known.name == intents.name) {
            found.push(intents);
        }
    }
    found
}

/// Takes over what the same examples taught before.
pub(crate) fn carry_over(before: &Snapshot, after: &Snapshot) {
    let earlier = of(before);
    for intents in of(after) {
        let same = earlier.iter().find(|known| known.name == intents.name);
        if let (Some(new), Some(old)) = (intents.encoded(), same.and_then(|known| known.encoded())) {
            new.adopt(old);
        }
    }
}

/// Begins to learn what the configuration in force has not learned yet. Returns at once.
pub(crate) fn begin(gateway: &Arc<Gateway>) {
    let generation = gateway.generation();
    let Ok(runtime) = Handle::try_current() else { return };
    for intents in of(&generation.snapshot) {
        if intents.encoded().is_some_and(|examples| !examples.is_trained()) {
            let name = Name::clone(&intents.name);
            runtime.spawn(learn(Arc::clone(gateway), Arc::clone(&generation), name));
        }
    }
}

/// Learns one set, however often it takes, as long as its configuration is in force.
async fn learn(gateway: Arc<Gateway>, generation: Arc<Generation>, name: Name) {
    let mut pause = FIRST_PAUSE;
    loop {
        let found = of(&generation.snapshot).into_iter().find(|intents| intents.name == name);
        let Some(examples) = found.and_then(Intents::encoded) else { return };
        match vectors(&gateway, &generation, examples).await {
            Ok(vectors) => return train(&generation, &name, vectors).await,
            Err(why) => {
                tracing::warn!(
                    intents = &*name,
                    encoder = &*examples.encoder.name,
                    why,
                    retry_s = pause.as_secs(),
                    "examples could not be encoded"
                );
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        if gateway.is_draining() || !Arc::ptr_eq(&gateway.generation(), &generation) {
            return;
        }
    }
}

/// Learns one set by its vectors. It takes as long as thousands of requests, so it has a thread of its own.
async fn train(generation: &Arc<Generation>, name: &Name, vectors: Vec<TextVector>) {
    let (number, set, configuration) = (vectors.len(), Name::clone(name), Arc::clone(generation));
    let trained = tokio::task::spawn_blocking(move || {
        let found = of(&configuration.snapshot).into_iter().find(|intents| intents.name == set);
        found.and_then(Intents::encoded).map_or(Ok(()), |examples| examples.train(&vectors))
    });
    match trained.await {
        Ok(Ok(())) => tracing::info!(intents = &**name, examples = number, "examples are learned"),
        Ok(Err(error)) => tracing::error!(intents = &**name, %error, "examples cannot be learned"),
        Err(error) => tracing::error!(intents = &**name, %error, "examples cannot be learned"),
    }
}

/// The vectors of all examples, in order.
async fn vectors(
    gateway: &Arc<Gateway>,
    generation: &Arc<Generation>,
    examples: &EncodedIntents,
) -> Result<Vec<TextVector>, String> {
    let encoder = &examples.encoder;
    let now = gateway.clock.now();
    let texts: Vec<&str> = examples.texts().collect();
    let mut vectors: Vec<Option<TextVector>> =
        texts.iter().map(|text| gateway.vectors.find(&encoder.key(text), now)).collect();
    stored(gateway, encoder, &texts, &mut vectors).await;
    let missing: Vec<usize> = (0..texts.len()).filter(|place| vectors[*place].is_none()).collect();
    for batch in batches(&missing, &texts) {
        let texts: Vec<&str> = batch.iter().map(|place| texts[*place]).collect();
        let made = match &encoder.by {
            EncodeBy::Local(model) => {
                let texts = texts.iter().map(|text| (*text).to_owned()).collect();
                encode::local(gateway, model, texts, Duration::MAX).await?
            }
            EncodeBy::Deployment { deployment, dimensions } => {
                remote(gateway, generation, *deployment, &encoder.name, &texts, *dimensions).await?
            }
        };
        let mut to_store = Vec::with_capacity(batch.len());
        for ((place, text), vector) in batch.iter().zip(texts).zip(made) {
            let key = encoder.key(text);
            gateway.vectors.keep(key, &vector, later(gateway.clock.now(), KEEP));
            to_store.push(StoredVector { key, vector: vector.to_vec() });
            vectors[*place] = Some(vector);
        }
        if !gateway.learning.keep_vectors(to_store) {
            tracing::warn!(
                encoder = &*encoder.name,
                "vectors of examples could not be kept for the next start"
            );
        }
    }
    vectors
        .into_iter()
        .collect::<Option<_>>()
        .ok_or_else(|| "fewer vectors came than texts were sent".to_owned())
}

/// Fills in what an earlier process kept. Where that cannot be read, it is asked for again.
async fn stored(
    gateway: &Arc<Gateway>,
    encoder: &Encoder,
    texts: &[&str],
    vectors: &mut [Option<TextVector>],
) {
    let missing: Vec<usize> = (0..texts.len()).filter(|place| vectors[*place].is_none()).collect();
    if missing.is_empty() {
        return;
    }
    let keys: Vec<VectorKey> = missing.iter().map(|place| encoder.key(texts[*place])).collect();
    let (learning, asked) = (gateway.learning.clone(), keys.clone());
    let found = match tokio::task::spawn_blocking(move || learning.vectors(&asked)).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return tracing::warn!(%error, "kept vectors of examples cannot be read"),
        Err(error) => return tracing::warn!(%error, "kept vectors of examples cannot be read"),
    };
    for ((place, key), vector) in missing.into_iter().zip(keys).zip(found) {
        if let Some(vector) = vector.map(TextVector::from) {
            gateway.vectors.keep(key, &vector, later(gateway.clock.now(), KEEP));
            vectors[place] = Some(vector);
        }
    }
}

/// Places of texts, in batches of bounded number and size.
fn batches<'p>(places: &'p [usize], texts: &[&str]) -> Vec<&'p [usize]> {
    let (mut batches, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (at, place) in places.iter().enumerate() {
        let size = texts[*place].len();
        if at > start && (at - start == BATCH || bytes + size > BATCH_BYTES) {
            batches.push(&places[start..at]);
            (start, bytes) = (at, 0);
        }
        bytes += size;
    }
    if start < places.len() {
        batches.push(&places[start..]);
    }
    batches
}

/// Asks a deployment for the vectors of a batch. The call is a request of its own in the log, decided by `encoder`.
async fn remote(
    gateway: &Arc<Gateway>,
    generation: &Arc<Generation>,
    deployment: DeploymentIndex,
    name: &Name,
    texts: &[&str],
    dimensions: Option<u32>,
) -> Result<Vec<TextVector>, String> {
    let whom = eligible(gateway, generation, deployment, texts)?;
    let place = gateway.enter(u32::MAX).ok_or("no place is free")?;
    let (dialect, operation) = (Dialect::OpenAi, Operation::Embeddings);
    let version = generation.snapshot.version;
    let mut case = Case::open_beside(Arc::clone(gateway), place, case::new_id(), dialect, operation, version);
    let described = generation.snapshot.fleet.deployment(deployment);
    let record = &mut case.record;
    record.requested_model = Arc::clone(&described.id);
    record.deployment = Some(Arc::clone(&described.id));
    record.provider = Some(Arc::clone(&described.provider));
    record.model = Some(Arc::clone(&described.model));
    record.decided_by = Some(Name::from("encoder"));
    record.tags = vec![(Name::from("encoder"), Name::clone(name))];
    let body = json!({ "model": &*described.id, "input": texts });
    let asked_for = ask::standing_alone(generation, generation.direct(deployment), operation, &body)
        .map_err(|failure| failure.message)?;
    let deadline = later(gateway.clock.now(), BATCH_TIMEOUT);
    let order = Order { texts, dimensions, number: 1, deadline };
    match encode::remote(gateway, &asked_for, &mut case, whom, &order).await {
        Ok(vectors) => {
            case.record.status = 200;
            case.finish(Outcome::Served);
            Ok(vectors)
        }
        Err(failure) => {
            case.record.status = 502;
            case.record.error_message = Some(failure.message.clone());
            case.finish(Outcome::Failed);
            Err(failure.message)
        }
    }
}

/// The deployment, if it takes requests now. What routes demand of it was checked when the configuration was read.
fn eligible(
    gateway: &Gateway,
    generation: &Generation,
    deployment: DeploymentIndex,
    texts: &[&str],
) -> Result<EligibleDeployment, String> {
    let shape = embedding_shape(texts.iter().map(|text| text.len()).max().unwrap_or(0));
    let caller = Caller::default();
    let now = gateway.clock.now();
    let fleet = &generation.snapshot.fleet;
    let demands = RouteDemands {
        require: &[],
        allow: &[],
        deny: &[],
        max_price: &trunkline_route::caller::PriceCap::NONE,
    };
    let filtered = filter(fleet, &[deployment], &shape, &caller, &demands, &generation.health, now);
    match filtered.eligible.find(deployment) {
        Some(entry) if entry.view().availability.is_usable() => Ok(entry.deployment()),
        Some(_) => Err("its deployment takes no requests now".to_owned()),
        None => {
            let why = filtered.rejected.first().map(|rejection| rejection.reason.to_string());
            Err(format!("its deployment may not serve: {}", why.unwrap_or_default()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_in_number_and_size_and_lose_nothing() {
        let long = "x".repeat(60_000);
        let texts: Vec<&str> =
            (0..200).map(|at| if at % 50 == 49 { long.as_str() } else { "short" }).collect();
        let places: Vec<usize> = (0..200).filter(|place| place % 7 != 0).collect();
        let batches = batches(&places, &texts);
        assert_eq!(batches.concat(), places);
        for batch in &batches {
            let bytes: usize = batch.iter().map(|place| texts[*place].len()).sum();
            assert!((1..=BATCH).contains(&batch.len()) && bytes <= BATCH_BYTES, "{} {bytes}", batch.len());
        }
        assert!(super::batches(&[], &texts).is_empty());
    }
}
