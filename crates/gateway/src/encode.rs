//! Vectors of texts, from larger encoders.
//!
//! Owns obtaining them, from a deployment or from a model in process on a thread of its own, and keeping them by content, bounded.
//! Must not know what they are compared with. What goes wrong is a reason in words for whoever wanted them.

use crate::admit::Admitted;
use crate::ask;
use crate::attempt;
use crate::case::Case;
use crate::prompt::BodyPrompt;
use crate::state::Gateway;
use crate::subject::Subject;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use trunkline_embed::Encode;
use trunkline_model::dialect::Operation;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::id::Name;
use trunkline_model::moment::Moment;
use trunkline_model::record::AttemptKind;
use trunkline_route::drive::{Attempt, AttemptNumber};
use trunkline_route::features::Prompt;
use trunkline_route::plan::{EligibleDeployment, Leg, Timeouts};
use trunkline_route::steps::{EncodeBy, QuestionKey, TextToEncode, TextVector};

/// Number of the first such call in the record, apart from those of the attempt machine and of classifiers.
const FIRST_ENCODER: u32 = 4_000;
/// Vectors are kept up to this size together, in bytes.
const MOST_BYTES: usize = 64 << 20;
/// The most components of a vector.
const MOST_COMPONENTS: usize = 4_096;

/// What came of the wishes for vectors of one request, by encoder.
pub(crate) type GivenVectors = Vec<(Name, Result<TextVector, String>)>;

/// A request's text, with what is known of its vectors.
pub(crate) struct EncodedPrompt<'a> {
    pub(crate) prompt: BodyPrompt<'a>,
    pub(crate) vectors: &'a GivenVectors,
}

impl Prompt for EncodedPrompt<'_> {
    fn last_user_text(&self) -> Cow<'_, str> {
        self.prompt.last_user_text()
    }

    fn system_text(&self) -> Cow<'_, str> {
        self.prompt.system_text()
    }

    fn encoded(&self, encoder: &str) -> Option<Result<TextVector, String>> {
        self.vectors.iter().find(|(name, _)| **name == *encoder).map(|(_, given)| given.clone())
    }
}

/// The vector of a request's text; `None` where nobody may be asked because it is a dry run.
pub(crate) async fn vector(
    gateway: &Arc<Gateway>,
    admitted: &Admitted,
    case: &mut Case,
    wanted: &TextToEncode,
) -> Option<Result<TextVector, String>> {
    let TextToEncode { encoder, whom, text } = wanted;
    let key = encoder.key(text);
    if let Some(vector) = gateway.vectors.find(&key, gateway.clock.now()) {
        return Some(Ok(vector));
    }
    let made = match (&encoder.by, whom) {
        (EncodeBy::Local(model), _) => {
            let texts = vec![text.clone()];
            let made = local(gateway, model, texts, encoder.timeout).await;
            made.and_then(|mut vectors| vectors.pop().ok_or_else(|| "no vector came".to_owned()))
        }
        (EncodeBy::Deployment { .. }, _) if admitted.options.dry_run => return None,
        (EncodeBy::Deployment { dimensions, .. }, Some(whom)) => {
            let deadline = later(gateway.clock.now(), encoder.timeout);
            let order = Order { texts: &[text], dimensions: *dimensions, number: FIRST_ENCODER, deadline };
            let made = remote(gateway, admitted, case, *whom, &order).await;
            made.map_err(|failure| failure.message)
                .and_then(|mut vectors| vectors.pop().ok_or_else(|| "no vector came".to_owned()))
        }
        (EncodeBy::Deployment { .. }, None) => Err("nobody may be asked".to_owned()),
    };
    if let Ok(vector) = &made {
        gateway.vectors.keep(key, vector, later(gateway.clock.now(), encoder.keep));
    }
    Some(made.map_err(|why| format!("the encoder gave no vector: {why}")))
}

/// The vectors of texts by a model in process. It computes on threads that serve nobody, as many at a time as there are cores.
pub(crate) async fn local(
    gateway: &Gateway,
    model: &Arc<dyn Encode>,
    texts: Vec<String>,
    patience: Duration,
) -> Result<Vec<TextVector>, String> {
    let model = Arc::clone(model);
    let computed = async {
        // Never closed.
        let permit = Arc::clone(&gateway.vectors.encoding).acquire_owned().await;
        let made = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            texts.iter().map(|text| TextVector::from(model.encode(text))).collect::<Vec<_>>()
        });
        made.await.map_err(|error| error.to_string())
    };
    match tokio::time::timeout(patience, computed).await {
        Ok(made) => made,
        Err(_) => Err(format!("it took longer than {} ms", patience.as_millis())),
    }
}

/// Texts to be encoded by a deployment.
pub(crate) struct Order<'a> {
    /// The texts.
    pub(crate) texts: &'a [&'a str],
    /// Components to ask for.
    pub(crate) dimensions: Option<u32>,
    /// The number of the call in the record.
    pub(crate) number: u32,
    /// When the vectors must be there.
    pub(crate) deadline: Moment,
}

/// The vectors of texts by a deployment. What it costs is noted on the case.
///
/// # Errors
/// The failure of the call, or what is wrong with the answer.
pub(crate) async fn remote(
    gateway: &Arc<Gateway>,
    asked_for: &Admitted,
    case: &mut Case,
    whom: EligibleDeployment,
    order: &Order<'_>,
) -> Result<Vec<TextVector>, Failure> {
    let mut body = json!({ "model": "texts", "input": order.texts, "encoding_format": "float" });
    if let Some(dimensions) = order.dimensions {
        body["dimensions"] = json!(dimensions);
    }
    let admitted = ask::admitted(asked_for, Operation::Embeddings, &body)?;
    let subject = Subject::beside(&admitted, case.id()).unread();
    let left = order.deadline.since(gateway.clock.now());
    let times = Timeouts::default();
    let attempt = Attempt {
        number: AttemptNumber(order.number),
        leg: Leg { deployment: whom, tier: Name::from(AttemptKind::Encoder.name()) },
        kind: AttemptKind::Encoder,
        connect: times.connect.min(left),
        first_token: times.first_token.min(left),
        between_tokens: times.between_tokens.min(left),
        deadline: order.deadline,
        hedge: None,
    };
    ask::note_begun(&subject, case, &attempt);
    match attempt::open(gateway, &subject, attempt).await {
        Ok(mut opened) => {
            let answer: Vec<u8> = std::mem::take(&mut opened.held).concat();
            ask::conclude(gateway, case, *opened);
            read(&answer, order.texts.len())
                .map_err(|what| Failure::new(FailureClass::Malformed, format!("the answer {what}")))
        }
        Err(lost) => {
            let failure = lost.failure.clone();
            ask::note_lost(gateway, case, *lost);
            Err(failure)
        }
    }
}

#[derive(Deserialize)]
struct Embeddings {
    data: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    index: usize,
    embedding: Vec<f32>,
}

/// Reads the vectors of an answer, in the order of the texts.
///
/// # Errors
/// What is wrong with it.
fn read(answer: &[u8], texts: usize) -> Result<Vec<TextVector>, String> {
    let answer: Embeddings =
        serde_json::from_slice(answer).map_err(|error| format!("holds no embeddings: {error}"))?;
    let mut vectors: Vec<Option<TextVector>> = vec![None; texts];
    for row in answer.data {
        let components = row.embedding.len();
        if !(1..=MOST_COMPONENTS).contains(&components) {
            return Err(format!("has a vector of {components} components, not 1 to {MOST_COMPONENTS}"));
        }
        if !row.embedding.iter().all(|component| component.is_finite()) {
            return Err("has a vector with something that is no number".to_owned());
        }
        match vectors.get_mut(row.index) {
            Some(place @ None) => *place = Some(row.embedding.into()),
            _ => return Err(format!("has a vector for text {}, of {texts}", row.index)),
        }
    }
    let whole: Option<Vec<TextVector>> = vectors.into_iter().collect();
    whole.ok_or_else(|| format!("has fewer vectors than the {texts} texts"))
}

/// A moment by a time later.
pub(crate) fn later(moment: Moment, by: Duration) -> Moment {
    Moment::from_micros(moment.as_micros().saturating_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)))
}

/// Vectors that were made, by content, and the places for making them in process. Survives a reload: a key holds which encoder.
pub(crate) struct Vectors {
    kept: Mutex<Kept>,
    encoding: Arc<Semaphore>,
}

#[derive(Default)]
struct Kept {
    vectors: HashMap<QuestionKey, (TextVector, Moment)>,
    /// In the order they came; the oldest goes first.
    order: VecDeque<QuestionKey>,
    bytes: usize,
}

impl Default for Vectors {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self { kept: Mutex::default(), encoding: Arc::new(Semaphore::new(cores)) }
    }
}

impl Vectors {
    /// The vector kept under a key.
    pub(crate) fn find(&self, key: &QuestionKey, now: Moment) -> Option<TextVector> {
        let kept = self.kept.lock();
        let (vector, until) = kept.vectors.get(key)?;
        (*until > now).then(|| Arc::clone(vector))
    }

    /// Keeps a vector.
    pub(crate) fn keep(&self, key: QuestionKey, vector: &TextVector, until: Moment) {
        let mut kept = self.kept.lock();
        let kept = &mut *kept;
        match kept.vectors.insert(key, (Arc::clone(vector), until)) {
            Some((before, _)) => kept.bytes -= size(&before),
            None => kept.order.push_back(key),
        }
        kept.bytes += size(vector);
        while kept.bytes > MOST_BYTES
            && let Some(oldest) = kept.order.pop_front()
        {
            if let Some((vector, _)) = kept.vectors.remove(&oldest) {
                kept.bytes -= size(&vector);
            }
        }
    }
}

/// Bytes that a kept vector takes, with its places in map and list.
fn size(vector: &TextVector) -> usize {
    4 * vector.len() + 128
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_read_in_the_order_of_the_texts_and_mistakes_are_named() {
        let row = |index: usize, vector: &str| format!(r#"{{"index": {index}, "embedding": [{vector}]}}"#);
        let read = |rows: &[String]| {
            let found = super::read(format!(r#"{{"data": [{}]}}"#, rows.join(", ")).as_bytes(), 2);
            found.map(|vectors| vectors.iter().map(|vector| vector.to_vec()).collect::<Vec<_>>())
        };
        assert_eq!(read(&[row(1, "3"), row(0, "1, 2")]).unwrap(), [vec![1.0, 2.0], vec![3.0]]);
        let wrong = [
            read(&[row(0, "1")]),
            read(&[row(0, "1"), row(0, "1")]),
            read(&[row(0, "1"), row(2, "1")]),
            read(&[row(0, "1"), row(1, "")]),
            read(&[row(0, "1e39"), row(1, "1")]),
            super::read(b"{\"data\": 1}", 2).map(|_| Vec::new()),
        ];
        insta::assert_snapshot!(wrong.map(Result::unwrap_err).join("\n"));
    }

    #[test]
    fn vectors_are_kept_for_their_time_and_within_bounds() {
        let vectors = Vectors::default();
        let at = Moment::from_micros;
        let key = |number: usize| {
            let mut key = QuestionKey::default();
            key[..8].copy_from_slice(&(number as u64).to_le_bytes());
            key
        };
        let vector: TextVector = vec![0.5; 4_000].into();
        vectors.keep(key(0), &vector, at(100));
        assert_eq!(vectors.find(&key(0), at(99)), Some(Arc::clone(&vector)));
        assert_eq!(vectors.find(&key(0), at(100)), None);
        for number in 0..10_000 {
            vectors.keep(key(number), &vector, at(1_000));
        }
        let kept = vectors.kept.lock();
        assert!(kept.bytes <= MOST_BYTES && kept.bytes + size(&vector) > MOST_BYTES);
        assert_eq!((kept.bytes, kept.order.len()), (kept.vectors.len() * size(&vector), kept.vectors.len()));
        assert!(kept.vectors.contains_key(&key(9_999)) && !kept.vectors.contains_key(&key(1)));
    }
}
