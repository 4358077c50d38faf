//! The fast upstream: answers that were made once, streams at a chosen pace.
//!
//! Owns the server that stands in for the providers. It must cost as little as a hyper server can, because it shares a
//! core with the load generator, and it must write each event of a stream by itself, as providers do: a proxy that is
//! handed a hundred events in one read would look better than it is.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, Sleep};

use super::scenario::CHUNKS;
use super::subject;
use super::traffic::Script;
use super::upstreams::Spoken;

/// Where streams are set up: the path ends in microseconds between events, 0 for a burst, and the number of content events.
pub(super) const PACE_PATH: &str = "/bench/pace/";

struct Upstream {
    answers: BTreeMap<Spoken, Bytes>,
    streams: RwLock<Streams>,
}

/// What streams are now.
struct Streams {
    scripts: BTreeMap<Spoken, Arc<Script>>,
    pace: Duration,
}

impl Streams {
    fn new(pace: Duration, chunks: usize) -> Self {
        let script = |spoken: Spoken| (spoken, Arc::new(spoken.stream(chunks)));
        Self { scripts: Spoken::all().map(script).collect(), pace }
    }

    /// As the path says that sets them up.
    fn of(path: &str) -> Option<Self> {
        let (pace, chunks) = path.strip_prefix(PACE_PATH)?.split_once('/')?;
        Some(Self::new(Duration::from_micros(pace.parse().ok()?), chunks.parse().ok()?))
    }
}

/// Serves until standard input ends.
///
/// # Errors
/// When no port can be had.
pub(super) fn run() -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start")?;
    let upstream = Arc::new(Upstream {
        answers: Spoken::all().map(|spoken| (spoken, spoken.answer())).collect(),
        streams: RwLock::new(Streams::new(Duration::ZERO, CHUNKS)),
    });
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("failed to listen")?;
        subject::announce(listener.local_addr().context("failed to read the port")?);
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            stream.set_nodelay(true).context("failed to set TCP_NODELAY")?;
            let upstream = Arc::clone(&upstream);
            let service = hyper::service::service_fn(move |request| answer(Arc::clone(&upstream), request));
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            // A connection that fails has a client that went away; the next one is served all the same.
            tokio::spawn(async move { drop(connection.await) });
        }
    })
}

async fn answer(
    upstream: Arc<Upstream>,
    request: Request<Incoming>,
) -> Result<Response<Reply>, hyper::Error> {
    let path = request.uri().path().to_owned();
    if let Some(streams) = Streams::of(&path) {
        *upstream.streams.write().unwrap_or_else(PoisonError::into_inner) = streams;
        return Ok(whole(StatusCode::OK, Bytes::from_static(b"{}")));
    }
    let body = request.into_body().collect().await?.to_bytes();
    let Some((spoken, delivery)) = Spoken::of(&path) else {
        let said = Bytes::from_static(b"{\"error\":{\"message\":\"no such path\"}}");
        return Ok(whole(StatusCode::NOT_FOUND, said));
    };
    let is_stream = delivery.unwrap_or_else(|| memchr::memmem::find(&body, b"\"stream\":true").is_some());
    let streams = upstream.streams.read().unwrap_or_else(PoisonError::into_inner);
    let (answer, script) = (&upstream.answers[&spoken], &streams.scripts[&spoken]);
    if !is_stream {
        return Ok(whole(StatusCode::OK, answer.clone()));
    }
    let reply = Reply::Stream(Playing::new(Arc::clone(script), streams.pace));
    Ok(Response::builder()
        .header(header::CONTENT_TYPE, spoken.stream_type())
        .header(header::CACHE_CONTROL, "no-cache")
        .body(reply)
        .expect("the parts are constants"))
}

fn whole(status: StatusCode, body: Bytes) -> Response<Reply> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Reply::Whole(Some(body)))
        .expect("the parts are constants")
}

enum Reply {
    Whole(Option<Bytes>),
    Stream(Playing),
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match self.get_mut() {
            Self::Whole(bytes) => bytes.take(),
            Self::Stream(playing) => std::task::ready!(playing.poll_event(context)),
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Whole(bytes) => {
                hyper::body::SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Stream(_) => hyper::body::SizeHint::default(),
        }
    }
}

/// A stream being played.
struct Playing {
    script: Arc<Script>,
    next: usize,
    start: Instant,
    pace: Duration,
    timer: Pin<Box<Sleep>>,
    /// Set while the event before the next one is on its way: hyper writes when the body has nothing more at hand.
    flushed: bool,
}

impl Playing {
    fn new(script: Arc<Script>, pace: Duration) -> Self {
        let start = Instant::now();
        Self { script, next: 0, start, pace, timer: Box::pin(tokio::time::sleep_until(start)), flushed: true }
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(event) = self.script.events.get(self.next).cloned() else { return Poll::Ready(None) };
        if !self.flushed {
            self.flushed = true;
            if let Some(due) = self.due() {
                self.timer.as_mut().reset(due);
            } else {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        if self.due().is_some() {
            std::task::ready!(self.timer.as_mut().poll(context));
        }
        self.next += 1;
        self.flushed = false;
        Poll::Ready(Some(event))
    }

    /// When the next event is due; `None` for those that follow at once: what comes before the second content event,
    /// what comes after the last, and all of them in a burst.
    fn due(&self) -> Option<Instant> {
        let content = self.next.checked_sub(self.script.content)?;
        let is_paced = !self.pace.is_zero() && (1..self.script.chunks).contains(&content);
        is_paced.then(|| self.start + self.pace * u32::try_from(content).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocols::Protocol;
    use super::*;

    async fn played(pace: Duration) -> (Vec<Bytes>, Duration) {
        let start = Instant::now();
        let mut reply = Reply::Stream(Playing::new(Arc::new(Protocol::Chat.stream(CHUNKS)), pace));
        let mut events = Vec::new();
        while let Some(frame) = reply.frame().await {
            events.push(frame.unwrap().into_data().unwrap());
        }
        (events, start.elapsed())
    }

    fn paused() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
    }

    #[test]
    fn a_burst_takes_no_time_and_sends_every_event() {
        paused().block_on(async {
            let (events, took) = played(Duration::ZERO).await;
            assert_eq!(events, Protocol::Chat.stream(CHUNKS).events);
            assert_eq!(took, Duration::ZERO);
        });
    }

    #[test]
    fn a_paced_stream_spaces_content_from_its_start() {
        paused().block_on(async {
            let (events, took) = played(Duration::from_millis(5)).await;
            assert_eq!(events.len(), Protocol::Chat.stream(CHUNKS).events.len());
            assert!(took >= Duration::from_millis(495) && took < Duration::from_millis(500), "{took:?}");
        });
    }
}
