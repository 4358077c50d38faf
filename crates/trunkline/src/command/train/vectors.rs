//! The vectors of prompts to train on, by a larger encoder of the configuration.
//!
//! Owns asking for them, in batches, several at a time. Must not fit. A deployment is asked through a gateway in this process, so
//! that its credentials, retries and costs are those of every request.

use crate::command::in_process::{self, InProcess, played};
use crate::command::outcome;
use crate::configuration::{self, Origin};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::task::JoinSet;
use trunkline_config::Snapshot;
use trunkline_route::learned::EmbedderFacts;
use trunkline_route::steps::{EncodeBy, Encoder, encoded_part};

/// Texts of one request, and requests under way.
const BATCH: usize = 64;
const JOBS: usize = 4;
/// What marks these requests in a gateway's record.
const SOURCE: &str = "train";

/// What an encoder made of prompts.
pub(super) struct Encoded {
    /// The encoder, as a router's file names it.
    pub(super) encoder: EmbedderFacts,
    /// One for each prompt, in their order.
    pub(super) vectors: Vec<Vec<f32>>,
    /// What it cost in dollars; `None` when unknown.
    pub(super) cost_usd: Option<f64>,
}

/// Has prompts encoded.
///
/// # Errors
/// An unknown encoder, a deployment that gives no vectors, vectors of several lengths.
pub(super) fn encode(config: Option<&Path>, name: &str, prompts: &[&str]) -> anyhow::Result<Encoded> {
    let snapshot = configuration::read(&Origin::new(config))?.snapshot;
    let Some(encoder) = snapshot.encoders.iter().find(|encoder| *encoder.name == *name).cloned() else {
        let known: Vec<&str> = snapshot.encoders.iter().map(|encoder| &*encoder.name).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        bail!("there is no encoder `{name}` under `encoders` of the configuration; there is {known}");
    };
    let texts: Vec<&str> = prompts.iter().map(|prompt| encoded_part(prompt)).collect();
    let (vectors, cost_usd) = match &encoder.by {
        EncodeBy::Local(model) => {
            let bar = outcome::progress(texts.len() as u64, "encoding");
            let made = texts.iter().map(|text| {
                bar.inc(1);
                model.encode(text)
            });
            (made.collect(), Some(0.0))
        }
        EncodeBy::Deployment { .. } => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .context("start the runtime")?;
            runtime.block_on(remote(snapshot, &encoder, &texts))?
        }
    };
    let dimensions = vectors.first().map_or(0, Vec::len);
    if let Some((row, vector)) = vectors.iter().enumerate().find(|(_, vector)| vector.len() != dimensions) {
        bail!(
            "the encoder `{name}` gave {dimensions} components for prompt 1 and {} for prompt {}",
            vector.len(),
            row + 1
        );
    }
    let facts = EmbedderFacts {
        name: name.to_owned(),
        dimensions: u32::try_from(dimensions).unwrap_or(u32::MAX),
        fingerprint: encoder.fingerprint(),
    };
    Ok(Encoded { encoder: facts, vectors, cost_usd })
}

async fn remote(
    snapshot: Snapshot,
    encoder: &Arc<Encoder>,
    texts: &[&str],
) -> anyhow::Result<(Vec<Vec<f32>>, Option<f64>)> {
    let EncodeBy::Deployment { deployment, dimensions } = &encoder.by else { return Ok((Vec::new(), None)) };
    let model = snapshot.fleet.deployment(*deployment).id.to_string();
    let gateway = InProcess::start(played(snapshot)).await?;
    let bar = outcome::progress(texts.len() as u64, "encoding");
    let mut vectors: Vec<Vec<f32>> = vec![Vec::new(); texts.len()];
    let mut cost = Some(0.0);
    let mut open = JoinSet::new();
    let mut batches = texts.chunks(BATCH).enumerate();
    loop {
        while open.len() < JOBS
            && let Some((number, batch)) = batches.next()
        {
            let mut body = json!({"model": model, "input": batch, "encoding_format": "float"});
            if let Some(dimensions) = dimensions {
                body["dimensions"] = json!(dimensions);
            }
            let (address, count) = (gateway.address, batch.len());
            open.spawn(async move { (number * BATCH, batch_of(address, &body, count).await) });
        }
        let Some(done) = open.join_next().await else { break };
        let (first, made) = done.context("encode prompts")?;
        let (made, paid) =
            made.map_err(|why| anyhow::anyhow!("encode prompts {} and on by `{model}`: {why}", first + 1))?;
        bar.inc(made.len() as u64);
        cost = cost.zip(paid).map(|(cost, paid)| cost + paid);
        for (place, vector) in vectors[first..].iter_mut().zip(made) {
            *place = vector;
        }
    }
    bar.finish_and_clear();
    gateway.stop().await?;
    Ok((vectors, cost))
}

/// The vectors of one batch in the order of its texts, and what they cost.
async fn batch_of(
    address: SocketAddr,
    body: &Value,
    count: usize,
) -> Result<(Vec<Vec<f32>>, Option<f64>), String> {
    let said = in_process::post(address, "/v1/embeddings", SOURCE, body).await?;
    let cost = said.cost_usd();
    Ok((read(&said.body?, count)?, cost))
}

fn read(answer: &Value, count: usize) -> Result<Vec<Vec<f32>>, String> {
    let rows = answer["data"].as_array().ok_or("the answer holds no embeddings")?;
    let mut vectors = vec![None; count];
    for row in rows {
        let numbers = row["embedding"].as_array().ok_or("the answer has a row without an embedding")?;
        let vector: Option<Vec<f32>> =
            numbers.iter().map(|number| number.as_f64().map(|number| number as f32)).collect();
        let vector = vector
            .filter(|vector| !vector.is_empty() && vector.iter().all(|part| part.is_finite()))
            .ok_or("the answer has an embedding with something that is no number")?;
        let place = row["index"].as_u64().and_then(|index| vectors.get_mut(index as usize));
        *place.ok_or("the answer has an embedding for a text that was not sent")? = Some(vector);
    }
    let whole: Option<Vec<Vec<f32>>> = vectors.into_iter().collect();
    whole.ok_or_else(|| format!("the answer has fewer embeddings than the {count} texts"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_come_in_the_order_of_the_texts_and_mistakes_are_named() {
        let whole = json!({"data": [{"index": 1, "embedding": [2, 0]}, {"index": 0, "embedding": [1.5, 1]}]});
        assert_eq!(read(&whole, 2), Ok(vec![vec![1.5, 1.0], vec![2.0, 0.0]]));
        let wrong = [
            read(&json!({}), 1),
            read(&whole, 1),
            read(&whole, 3),
            read(&json!({"data": [{"index": 0}]}), 1),
            read(&json!({"data": [{"index": 0, "embedding": [1, "a"]}]}), 1),
            read(&json!({"data": [{"index": 0, "embedding": [1e300]}]}), 1),
        ];
        insta::assert_snapshot!(wrong.map(Result::unwrap_err).join("\n"));
    }
}
