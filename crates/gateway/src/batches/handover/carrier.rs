//! One handover on its way: submitted, found again, looked at, fetched, cleaned up.
//!
//! Owns what is done in each state and which state follows; every step may end with the process and is then done again. Must not know
//! when the next step is due, nor what a result means. Lines go back into the queue as soon as it is known that no answer will come;
//! where nobody can know, they go back marked as interrupted.

use super::exchange::{self, Trouble};
use super::results;
use super::schedule::Desk;
use super::{age, interval, is_overdue, is_stopped, line_number, order, write};
use crate::clock;
use crate::state::{Gateway, Generation};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use std::sync::Arc;
use std::time::Duration;
use trunkline_providers::batch::{
    BatchApi, BatchRequest, Order, Page, Progress, TheirBatch, TheirResult, Unreadable,
};
use trunkline_providers::upstream::Upstream;
use trunkline_store::{HandoverState, Return, StoredBatch, StoredHandover};

/// How old a handover must be before a provider's list that does not show it is believed.
const SETTLED: Duration = Duration::from_secs(5);
/// How much earlier than our mark a provider's clock may have dated it, in seconds.
const SKEW: u64 = 600;
/// Most pages of a provider's batches that are searched.
const MOST_PAGES: usize = 50;
/// Longest wait between two looks at a batch that was told to stop.
const WHILE_STOPPING: Duration = Duration::from_secs(10);
/// How often what is left at a provider is tried to be deleted.
const MOST_CLEANUPS: u32 = 10;
/// How often an uploaded file is looked at, once a second, before it is given up.
const MOST_LOOKS_AT_UPLOADS: usize = 120;
/// Results that are written together, and bytes at which fewer are.
const PAGE: usize = 32;
const PAGE_BYTES: usize = 4 << 20;
/// The largest line of results, and the largest page.
const LARGEST_RESULT: usize = 64 << 20;

/// What came of a look at a handover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// It is looked at again after a while.
    Again(Duration),
    /// It failed, for the so manyeth time, and is tried again after a while.
    Failed(Duration, u32),
    /// There is nothing left of it.
    Gone,
}

/// What is to be submitted.
pub(super) struct Submission {
    /// The name under which its lines ask.
    pub(super) endpoint: &'static str,
    /// Headers of the client that go with it.
    pub(super) headers: HeaderMap,
    /// The lines.
    pub(super) lines: Bytes,
}

/// The batch API of a deployment.
pub(super) fn api<'g>(generation: &'g Generation, deployment: &str) -> Option<&'g BatchApi> {
    reach(generation, deployment).map(|(_, api)| api)
}

fn reach<'g>(generation: &'g Generation, deployment: &str) -> Option<(&'g Upstream, &'g BatchApi)> {
    let index = generation.snapshot.fleet.find(deployment)?;
    let upstream = &generation.snapshot.upstreams[index.position()];
    Some((upstream, upstream.batch.as_ref()?))
}

/// Submits what was written down just before. Where it is not known whether the provider took it, it stays as it is: the next look
/// searches for it there.
pub(super) async fn submit(
    gateway: &Arc<Gateway>,
    desk: &Desk,
    generation: &Generation,
    handover: StoredHandover,
    submission: Submission,
) {
    let Some((upstream, api)) = reach(generation, &handover.deployment) else { return };
    let uploaded = match api.upload(&handover.id, &submission.lines) {
        None => Ok(None),
        // An upload alone begins nothing, however it ended.
        Some(request) => upload(gateway, upstream, api, &handover.id, request, &submission.headers)
            .await
            .map(Some)
            .map_err(|trouble| Trouble { may_be_done: false, ..trouble }),
    };
    let submitted = match uploaded {
        Err(trouble) => Err(trouble),
        Ok(file) => {
            let Submission { endpoint, lines, .. } = &submission;
            let request = api.submit(&Order { mark: &handover.id, endpoint, file: file.as_deref(), lines });
            let mut headers = exchange::marked(&handover.id);
            headers.extend(submission.headers.clone());
            let answer = exchange::whole(gateway, upstream, request, &headers).await;
            answer.and_then(|body| api.read(&body).map_err(|error| unreadable(&error)))
        }
    };
    match submitted {
        Ok(theirs) => {
            tracing::info!(
                batch = handover.batch,
                handover = handover.id,
                upstream = theirs.id,
                deployment = handover.deployment,
                lines = handover.lines,
                "lines were handed to a provider's batch API"
            );
            desk.count(&desk.submitted, 1);
            let state = HandoverState::Submitted;
            advance(gateway, StoredHandover { state, upstream: Some(theirs.id), ..handover }).await;
        }
        Err(trouble) => {
            tell(desk, &handover, "submit lines of a batch", &trouble);
            desk.hold(&handover.deployment, trouble.failure.retry_after);
            if !trouble.may_be_done {
                end(gateway, desk, &handover, Return::NotSent).await;
            }
        }
    }
}

/// Uploads lines, and waits until the provider has looked through them; what the file is called there.
async fn upload(
    gateway: &Arc<Gateway>,
    upstream: &Upstream,
    api: &BatchApi,
    mark: &str,
    request: BatchRequest,
    headers: &HeaderMap,
) -> Result<String, Trouble> {
    let read = |body: Bytes| api.read_upload(mark, &body).map_err(|error| unreadable(&error));
    let mut file = read(exchange::whole(gateway, upstream, Some(request), headers).await?)?;
    for _ in 0..MOST_LOOKS_AT_UPLOADS {
        if file.is_ready {
            return Ok(file.id);
        }
        if gateway.is_draining() {
            return Err(Trouble::malformed(
                "the gateway stops before the provider has looked through the lines",
            ));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let look = api.look_at_upload(&file.id);
        file = read(exchange::whole(gateway, upstream, look, headers).await?)?;
    }
    Err(Trouble::malformed("the provider took too long to look through the lines"))
}

/// Does what is to be done now. `batch` is the batch of its lines, while that is not over.
pub(crate) async fn carry(
    gateway: &Arc<Gateway>,
    desk: &Desk,
    handover: StoredHandover,
    batch: Option<StoredBatch>,
    troubles: u32,
) -> Carried {
    let generation = gateway.generation();
    let Some((upstream, api)) = reach(&generation, &handover.deployment) else {
        tracing::warn!(
            handover = handover.id,
            deployment = handover.deployment,
            "a deployment to which lines of a batch were handed is no longer configured; they are sent anew"
        );
        end(gateway, desk, &handover, Return::Unknown).await;
        return forget(gateway, &handover).await;
    };
    let carrier = Carrier { gateway, desk, upstream, api, handover: &handover, batch: batch.as_ref() };
    let (what, done) = match handover.state {
        HandoverState::Preparing => ("find lines of a batch at their provider", carrier.find().await),
        HandoverState::Submitted | HandoverState::Fetching => {
            ("fetch results of a provider's batch", carrier.look(troubles).await)
        }
        HandoverState::Over => ("delete what a batch left at its provider", carrier.discard().await),
    };
    let trouble = match done {
        Ok(carried) => return carried,
        Err(trouble) => trouble,
    };
    tell(desk, &handover, what, &trouble);
    if handover.state == HandoverState::Over {
        if troubles >= MOST_CLEANUPS {
            return forget(gateway, &handover).await;
        }
    } else if carrier.is_overdue() {
        end(gateway, desk, &handover, Return::Unknown).await;
    }
    Carried::Failed(trouble.wait(troubles), troubles.saturating_add(1))
}

struct Carrier<'a> {
    gateway: &'a Arc<Gateway>,
    desk: &'a Desk,
    upstream: &'a Upstream,
    api: &'a BatchApi,
    handover: &'a StoredHandover,
    batch: Option<&'a StoredBatch>,
}

impl Carrier<'_> {
    fn is_stopped(&self) -> bool {
        self.batch.is_none_or(|batch| is_stopped(batch, clock::unix_seconds()))
    }

    fn is_overdue(&self) -> bool {
        self.batch.is_none_or(|batch| is_overdue(batch, clock::unix_seconds()))
    }

    async fn whole(&self, request: Option<BatchRequest>) -> Result<Bytes, Trouble> {
        exchange::whole(self.gateway, self.upstream, request, &HeaderMap::new()).await
    }

    /// The batch as the provider has it now, which may hold its results.
    async fn theirs(&self, id: &str) -> Result<Bytes, Trouble> {
        let (look, none) = (self.api.look(id), HeaderMap::new());
        exchange::whole_within(self.gateway, self.upstream, look, &none, LARGEST_RESULT).await
    }

    /// Whether it is so new that the provider may not find it yet.
    fn is_unseen(&self) -> bool {
        age(self.handover.made) < Duration::from_secs(self.api.unseen())
    }

    /// Searches the provider's batches for this one.
    async fn find(&self) -> Result<Carried, Trouble> {
        let since = self.handover.made.saturating_sub(SKEW);
        let files = self.uploaded().await?;
        let mut cursor: Option<String> = None;
        let mut is_unsure = false;
        for _ in 0..MOST_PAGES {
            let body = self.whole(self.api.list(cursor.as_deref())).await?;
            let page = self.api.read_page(&body, cursor.as_deref());
            let Page { batches, next } = page.map_err(|error| unreadable(&error))?;
            for theirs in &batches {
                match self.recognise(theirs, &files, since).await? {
                    Some(true) => return Ok(self.found(theirs).await),
                    Some(false) => {}
                    None => is_unsure = true,
                }
            }
            let last = batches.last().and_then(|batch| batch.created);
            let is_behind = self.api.is_newest_first() && last.is_some_and(|created| created < since);
            cursor = next.filter(|_| !is_behind);
            if cursor.is_none() {
                break;
            }
        }
        if is_unsure && !self.is_overdue() {
            // One of them may be it, and shows that only with its results.
            return Ok(Carried::Again(interval(age(self.handover.made)).max(SETTLED)));
        }
        if !is_unsure && (age(self.handover.made) < SETTLED || self.is_unseen()) {
            return Ok(Carried::Again(SETTLED));
        }
        tracing::info!(
            handover = self.handover.id,
            "lines of a batch were not found at their provider; they are sent anew"
        );
        end(self.gateway, self.desk, self.handover, Return::Unknown).await;
        Ok(Carried::Again(Duration::ZERO))
    }

    async fn found(&self, theirs: &TheirBatch) -> Carried {
        tracing::info!(
            handover = self.handover.id,
            upstream = theirs.id,
            "lines of a batch were found at their provider"
        );
        let (state, upstream) = (HandoverState::Submitted, Some(theirs.id.clone()));
        advance(self.gateway, StoredHandover { state, upstream, ..self.handover.clone() }).await;
        Carried::Again(Duration::ZERO)
    }

    /// Whether a listed batch is this one; `None` when it may be, and cannot be told yet.
    async fn recognise(
        &self,
        theirs: &TheirBatch,
        files: &[String],
        since: u64,
    ) -> Result<Option<bool>, Trouble> {
        // Not everyone who copied the form keeps what is said of a batch; the file of its lines is ours by its name.
        if theirs.input.as_ref().is_some_and(|input| files.contains(input)) {
            return Ok(Some(true));
        }
        if let Some(is_ours) = self.api.is_marked(theirs, &self.handover.id) {
            return Ok(Some(is_ours));
        }
        let fits = theirs.lines.is_none_or(|lines| lines == self.handover.lines)
            && theirs.created.is_none_or(|created| created >= since);
        if !fits {
            return Ok(Some(false));
        }
        if theirs.progress != Progress::Ended {
            return Ok(None);
        }
        // Its lines have our names, or they have not: the first one tells.
        for request in self.api.results(theirs) {
            match self.first_name(theirs, request).await {
                Ok(None) => {}
                Ok(Some(name)) => return Ok(Some(line_number(&self.handover.id, &name).is_some())),
                Err(trouble) if trouble.is_missing() => {}
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(Some(false))
    }

    /// The name of the first of a batch's results; empty where that cannot be read.
    async fn first_name(
        &self,
        theirs: &TheirBatch,
        request: BatchRequest,
    ) -> Result<Option<String>, Trouble> {
        let (request, none) = (Some(request), HeaderMap::new());
        let first = if self.api.has_result_pages() {
            let body =
                exchange::whole_within(self.gateway, self.upstream, request, &none, LARGEST_RESULT).await?;
            let page = self.api.read_result_page(theirs, &body).map_err(|error| unreadable(&error))?;
            page.results.into_iter().next()
        } else {
            let body = exchange::call(self.gateway, self.upstream, request, &none).await?;
            Lines::new(body).next().await?.map(|line| self.api.read_result(&line))
        };
        Ok(first.map(|result| result.map(|result| result.name).unwrap_or_default()))
    }

    /// Asks how far it is, and fetches what there is once it is over.
    async fn look(&self, troubles: u32) -> Result<Carried, Trouble> {
        let id = self.handover.upstream.as_deref().unwrap_or_default();
        let body = match self.theirs(id).await {
            Ok(body) => body,
            // What is gone twice is gone.
            Err(trouble) if trouble.is_missing() && troubles > 0 && !self.is_unseen() => {
                tell(self.desk, self.handover, "find a provider's batch", &trouble);
                end(self.gateway, self.desk, self.handover, Return::Unknown).await;
                return Ok(Carried::Again(Duration::ZERO));
            }
            Err(trouble) => return Err(trouble),
        };
        let theirs = self.api.read(&body).map_err(|error| unreadable(&error))?;
        let next = interval(age(self.handover.made));
        match &theirs.progress {
            Progress::Running | Progress::Stopping if self.is_overdue() => {
                end(self.gateway, self.desk, self.handover, Return::Unknown).await;
                Ok(Carried::Again(Duration::ZERO))
            }
            Progress::Running if self.is_stopped() => {
                let Some(cancel) = self.api.cancel(id) else {
                    // Nothing stops it: what it answers is waited for, and kept.
                    return Ok(Carried::Again(next));
                };
                match self.whole(Some(cancel)).await {
                    // Refused means that it ended meanwhile.
                    Err(trouble) if trouble.may_be_done => Err(trouble),
                    _ => Ok(Carried::Again(Duration::from_secs(1))),
                }
            }
            Progress::Stopping => Ok(Carried::Again(next.min(WHILE_STOPPING))),
            Progress::Running => Ok(Carried::Again(next)),
            Progress::Refused(reason) => {
                let deployment = &self.handover.deployment;
                tracing::warn!(handover = self.handover.id, deployment, reason, "a provider refused a batch");
                self.desk.count(&self.desk.failed, 1);
                self.desk.hold(deployment, None);
                end(self.gateway, self.desk, self.handover, Return::NotSent).await;
                Ok(Carried::Again(Duration::ZERO))
            }
            Progress::Ended => self.fetch(&theirs).await,
        }
    }

    /// Fetches the results, page by page: what is in memory is one page, whatever the batch's size.
    async fn fetch(&self, theirs: &TheirBatch) -> Result<Carried, Trouble> {
        if self.handover.state != HandoverState::Fetching {
            let state = HandoverState::Fetching;
            advance(self.gateway, StoredHandover { state, ..self.handover.clone() }).await;
        }
        let theirs = &self.with_objects(theirs.clone()).await?;
        for request in self.api.results(theirs) {
            if self.api.has_result_pages() {
                if !self.fetch_pages(theirs, request).await? {
                    return Ok(Carried::Again(Duration::from_secs(1)));
                }
                continue;
            }
            let body = exchange::call(self.gateway, self.upstream, Some(request), &HeaderMap::new()).await?;
            let mut lines = Lines::new(body);
            let (mut page, mut bytes) = (Vec::new(), 0);
            while let Some(line) = lines.next().await? {
                bytes += line.len();
                match self.api.read_result(&line) {
                    Ok(result) => page.push(result),
                    Err(error) => {
                        tracing::warn!(handover = self.handover.id, %error, "a result cannot be read");
                    }
                }
                if page.len() >= PAGE || bytes >= PAGE_BYTES {
                    self.settle(std::mem::take(&mut page)).await;
                    bytes = 0;
                    if self.gateway.is_draining() {
                        return Ok(Carried::Again(Duration::from_secs(1)));
                    }
                }
            }
            self.settle(page).await;
        }
        end(self.gateway, self.desk, self.handover, Return::Failed).await;
        Ok(Carried::Again(Duration::ZERO))
    }

    /// Fetches results that come in pages; tells whether it got to their end before the gateway stops.
    async fn fetch_pages(&self, theirs: &TheirBatch, first: BatchRequest) -> Result<bool, Trouble> {
        let mut request = Some(first);
        while request.is_some() {
            let none = HeaderMap::new();
            let body =
                exchange::whole_within(self.gateway, self.upstream, request, &none, LARGEST_RESULT).await?;
            let page = self.api.read_result_page(theirs, &body).map_err(|error| unreadable(&error))?;
            let mut results = Vec::new();
            for result in page.results {
                match result {
                    Ok(result) => results.push(result),
                    Err(error) => {
                        tracing::warn!(handover = self.handover.id, %error, "a result cannot be read");
                    }
                }
            }
            while !results.is_empty() {
                let rest = results.split_off(results.len().min(PAGE));
                self.settle(std::mem::replace(&mut results, rest)).await;
            }
            request = page.next;
            if request.is_some() && self.gateway.is_draining() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn settle(&self, page: Vec<TheirResult>) {
        if let Some(batch) = self.batch.filter(|_| !page.is_empty()) {
            results::settle(self.gateway, self.desk, &order(batch), self.handover, page).await;
        }
    }

    /// A batch with what it wrote, where that is found only by looking for it.
    async fn with_objects(&self, mut theirs: TheirBatch) -> Result<TheirBatch, Trouble> {
        if self.api.leaves_objects() {
            theirs.results = self.uploaded().await?;
        }
        Ok(theirs)
    }

    /// The files that were uploaded for it and are there.
    async fn uploaded(&self) -> Result<Vec<String>, Trouble> {
        let Some(list) = self.api.uploads(&self.handover.id) else { return Ok(Vec::new()) };
        match self.whole(Some(list)).await {
            Ok(body) => self.api.read_uploads(&body, &self.handover.id).map_err(|error| unreadable(&error)),
            Err(trouble) if trouble.is_missing() => Ok(Vec::new()),
            Err(trouble) => Err(trouble),
        }
    }

    /// Deletes what is left at the provider.
    async fn discard(&self) -> Result<Carried, Trouble> {
        let left = match self.handover.upstream.as_deref() {
            Some(id) => match self.theirs(id).await {
                Ok(body) => Some(self.api.read(&body).map_err(|error| unreadable(&error))?),
                // What it read and wrote is not the provider's to forget.
                Err(trouble) if trouble.is_missing() => self.api.leaves_objects().then(TheirBatch::nothing),
                Err(trouble) => return Err(trouble),
            },
            None => Some(TheirBatch::nothing()),
        };
        let Some(left) = left else { return Ok(forget(self.gateway, self.handover).await) };
        let mut left = self.with_objects(left).await?;
        if left.input.is_none() && !self.api.leaves_objects() {
            left.results.extend(self.uploaded().await?);
        }
        let mut refused = None;
        for request in self.api.discard(&left) {
            match self.whole(Some(request)).await {
                Err(trouble) if !trouble.is_missing() => refused = Some(trouble),
                _ => {}
            }
        }
        // One that cannot be deleted does not keep the others.
        if let Some(trouble) = refused {
            return Err(trouble);
        }
        Ok(forget(self.gateway, self.handover).await)
    }
}

/// Lines of a body, as they come.
struct Lines {
    body: trunkline_net::UpstreamBody,
    rest: BytesMut,
    /// Bytes of `rest` that hold no line break.
    seen: usize,
    is_over: bool,
}

impl Lines {
    fn new(body: trunkline_net::UpstreamBody) -> Self {
        Self { body, rest: BytesMut::new(), seen: 0, is_over: false }
    }

    /// The next line that is not blank.
    async fn next(&mut self) -> Result<Option<Bytes>, Trouble> {
        loop {
            let end = self.rest[self.seen..].iter().position(|byte| *byte == b'\n');
            if let Some(end) = end {
                let line = self.rest.split_to(self.seen + end + 1).freeze();
                self.seen = 0;
                if !line.trim_ascii().is_empty() {
                    return Ok(Some(line));
                }
                continue;
            }
            self.seen = self.rest.len();
            if self.is_over {
                let line = std::mem::take(&mut self.rest).freeze();
                self.seen = 0;
                return Ok((!line.trim_ascii().is_empty()).then_some(line));
            }
            if self.rest.len() > LARGEST_RESULT {
                return Err(Trouble::malformed("a result is far too large"));
            }
            let chunk = exchange::next(&mut self.body).await;
            match chunk.map_err(|failure| Trouble { failure, may_be_done: true })? {
                Some(chunk) => self.rest.extend_from_slice(&chunk),
                None => self.is_over = true,
            }
        }
    }
}

/// Puts what has no result back into the queue and ends the handover; what is left at the provider is deleted next.
async fn end(gateway: &Gateway, desk: &Desk, handover: &StoredHandover, why: Return) {
    let ended = StoredHandover { state: HandoverState::Over, ..handover.clone() };
    let returned = write(gateway, move |store| {
        let returned = store.return_lines(&ended, None, why)?;
        store.advance(&ended)?;
        Ok(returned)
    })
    .await;
    desk.count(&desk.returned, returned);
    gateway.queue.wake();
}

async fn forget(gateway: &Gateway, handover: &StoredHandover) -> Carried {
    let id = handover.id.clone();
    write(gateway, move |store| store.forget_handover(&id)).await;
    Carried::Gone
}

async fn advance(gateway: &Gateway, handover: StoredHandover) {
    write(gateway, move |store| store.advance(&handover)).await;
}

fn unreadable(error: &Unreadable) -> Trouble {
    Trouble::malformed(format!("failed to {error}"))
}

fn tell(desk: &Desk, handover: &StoredHandover, what: &str, trouble: &Trouble) {
    desk.count(&desk.failed, 1);
    tracing::warn!(
        batch = handover.batch,
        handover = handover.id,
        deployment = handover.deployment,
        class = trouble.failure.class.name(),
        status = trouble.failure.status,
        "failed to {what}: {}",
        trouble.failure.message
    );
}
