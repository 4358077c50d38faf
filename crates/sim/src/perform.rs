//! From an answer, a fault and a script to what happens on the wire: a delay, headers, steps.
//!
//! Pure: randomness is an argument and nothing waits here, so that every fault can be checked as data. Faults that are
//! merely another answer (an error body, HTML) are made before, in `service`.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::body::Step;
use crate::chance::Chance;
use crate::connection::Sever;
use crate::dialect::{Output, Piece, PieceKind};
use crate::fault::Fault;
use crate::script::{Delay, Script};

/// Lets what was sent reach the client before the connection closes.
const BEFORE_CLOSE: Duration = Duration::from_millis(20);
/// A reset throws away what the client has not read yet, so it gets more time to read.
const BEFORE_RESET: Duration = Duration::from_millis(100);

/// What to do with one request.
#[derive(Debug)]
pub(crate) struct Performance {
    /// Before anything is sent.
    pub(crate) delay: Duration,
    pub(crate) opening: Opening,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The length announced.
    pub(crate) length: Option<u64>,
    pub(crate) steps: VecDeque<Step>,
}

/// How an exchange begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    Respond,
    Hang,
    Sever(Sever),
}

/// What the performance depends on beside the answer.
pub(crate) struct Staging<'a> {
    pub(crate) script: &'a Script,
    pub(crate) http2: bool,
    /// An event in the dialect's form that is not JSON.
    pub(crate) malformed: Bytes,
    /// A quota error in the dialect's form inside a stream.
    pub(crate) quota: Bytes,
}

/// Stages `output` under `fault`.
pub(crate) fn perform(
    output: Output,
    fault: Option<Fault>,
    staging: &Staging<'_>,
    chance: &mut Chance,
) -> Performance {
    let mut delay = chance.draw(&staging.script.headers);
    if let Some(Fault::SlowHeaders(milliseconds)) = fault {
        delay += Duration::from_millis(milliseconds);
    }
    let opening = match fault {
        Some(Fault::HangBeforeHeaders) => Opening::Hang,
        Some(Fault::CutBeforeHeaders) => Opening::Sever(Sever::Close),
        Some(Fault::Refused | Fault::Tls | Fault::Dns) => Opening::Sever(Sever::Reset),
        Some(Fault::GoAway) => Opening::Sever(Sever::GoAway),
        _ => Opening::Respond,
    };
    let gap = match fault {
        Some(Fault::SlowTokens(milliseconds)) => Delay::Constant { ms: milliseconds as f64 },
        _ => staging.script.token_gap.clone(),
    };
    let Output { status, mut headers, pieces, streamed } = output;
    if matches!(fault, Some(Fault::WrongContentType)) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    let (length, mut steps) = if streamed {
        (None, stream(pieces, fault, &gap, staging, chance))
    } else {
        delay += chance.draw(&staging.script.first_token);
        let tokens: u64 = pieces.iter().map(|piece| piece.tokens).sum();
        delay += total(&gap, tokens / staging.script.piece_tokens.max(1) as u64, chance);
        plain(&pieces, fault, staging.http2)
    };
    if let Some(size) = staging.script.write_bytes {
        steps = fragment(steps, size.max(1));
    }
    Performance { delay, opening, status, headers, length, steps }
}

fn total(gap: &Delay, pieces: u64, chance: &mut Chance) -> Duration {
    match gap {
        Delay::None => Duration::ZERO,
        Delay::Constant { .. } => chance.draw(gap).mul_f64(pieces as f64),
        _ => (0..pieces.min(10_000)).map(|_| chance.draw(gap)).sum(),
    }
}

fn plain(pieces: &[Piece], fault: Option<Fault>, http2: bool) -> (Option<u64>, VecDeque<Step>) {
    let body: Bytes = match pieces {
        [piece] => piece.bytes.clone(),
        _ => pieces.iter().flat_map(|piece| piece.bytes.iter().copied()).collect(),
    };
    let half = body.slice(..body.len() / 2);
    let close = end(Sever::Close, http2);
    let steps = match fault {
        Some(Fault::HangBeforeFirstToken) => vec![Step::Hang],
        Some(Fault::CutBeforeFirstToken) => vec![Step::Wait(BEFORE_CLOSE), close],
        Some(Fault::Stall(_)) => vec![Step::Send(half), Step::Hang],
        Some(Fault::CutAfterFirstToken) => vec![Step::Send(half), Step::Wait(BEFORE_CLOSE), close],
        Some(Fault::ResetAfterFirstToken) => {
            vec![Step::Send(half), Step::Wait(BEFORE_RESET), Step::Sever(Sever::Reset)]
        }
        Some(Fault::CutAtByte(byte)) => {
            let cut = cut_position(byte, body.len());
            vec![Step::Send(body.slice(..cut)), Step::Wait(BEFORE_CLOSE), close]
        }
        Some(Fault::MissingEnd | Fault::MalformedEvent | Fault::MalformedFirstEvent) => {
            return (Some(half.len() as u64), VecDeque::from([Step::Send(half)]));
        }
        _ if body.is_empty() => Vec::new(),
        _ => vec![Step::Send(body.clone())],
    };
    (Some(body.len() as u64), steps.into())
}

fn stream(
    mut pieces: Vec<Piece>,
    fault: Option<Fault>,
    gap: &Delay,
    staging: &Staging<'_>,
    chance: &mut Chance,
) -> VecDeque<Step> {
    let close = end(Sever::Close, staging.http2);
    let tail = match fault {
        Some(Fault::HangBeforeFirstToken) => until(&mut pieces, 0, [Step::Hang]),
        Some(Fault::CutBeforeFirstToken) => until(&mut pieces, 0, [Step::Wait(BEFORE_CLOSE), close]),
        Some(Fault::QuotaBeforeFirstToken) => until(&mut pieces, 0, [Step::Send(staging.quota.clone())]),
        Some(Fault::MalformedFirstEvent) => {
            let index = strike(&pieces, 0);
            if let Some(piece) = pieces.get_mut(index) {
                piece.bytes = staging.malformed.clone();
            }
            Vec::new()
        }
        Some(Fault::Stall(tokens)) => until(&mut pieces, tokens, [Step::Hang]),
        Some(Fault::ResetAfterFirstToken) => {
            until(&mut pieces, 1, [Step::Wait(BEFORE_RESET), Step::Sever(Sever::Reset)])
        }
        Some(Fault::CutAfterFirstToken) => {
            let index = strike(&pieces, 1);
            let cut = pieces.get(index).map(|piece| piece.bytes.slice(..piece.bytes.len() / 2));
            pieces.truncate(index);
            unfinished(cut.unwrap_or_default(), staging.http2)
        }
        Some(Fault::CutAtByte(byte)) => cut_at(&mut pieces, byte, staging.http2),
        Some(Fault::MalformedEvent) => {
            pieces.insert(strike(&pieces, 1), Piece::frame(staging.malformed.clone()));
            Vec::new()
        }
        Some(Fault::QuotaMidStream(tokens)) => {
            until(&mut pieces, tokens.max(1), [Step::Send(staging.quota.clone())])
        }
        Some(Fault::MissingEnd) => {
            pieces.retain(|piece| piece.kind != PieceKind::Ending);
            Vec::new()
        }
        _ => Vec::new(),
    };
    let mut steps = VecDeque::with_capacity(pieces.len() * 2 + tail.len());
    let mut begun = false;
    for piece in pieces {
        if piece.kind == PieceKind::Token {
            let distribution = if begun { gap } else { &staging.script.first_token };
            begun = true;
            push_wait(&mut steps, chance.draw(distribution));
        }
        steps.push_back(Step::Send(piece.bytes));
    }
    steps.extend(tail);
    steps
}

fn push_wait(steps: &mut VecDeque<Step>, wait: Duration) {
    if !wait.is_zero() {
        steps.push_back(Step::Wait(wait));
    }
}

/// The index of the first piece behind `tokens` tokens, at the latest the first of the stream's end.
fn strike(pieces: &[Piece], tokens: u64) -> usize {
    let mut seen = 0;
    for (index, piece) in pieces.iter().enumerate() {
        let counts = piece.kind == PieceKind::Token;
        if piece.kind == PieceKind::Ending || (counts && seen >= tokens) {
            return index;
        }
        seen += if counts { piece.tokens.max(1) } else { 0 };
    }
    pieces.len()
}

fn until<const N: usize>(pieces: &mut Vec<Piece>, tokens: u64, tail: [Step; N]) -> Vec<Step> {
    pieces.truncate(strike(pieces, tokens));
    Vec::from(tail)
}

fn cut_at(pieces: &mut Vec<Piece>, byte: u64, http2: bool) -> Vec<Step> {
    let length = pieces.iter().map(|piece| piece.bytes.len()).sum();
    let mut left = cut_position(byte, length);
    for index in 0..pieces.len() {
        let size = pieces[index].bytes.len();
        if left < size {
            let cut = pieces[index].bytes.slice(..left);
            pieces.truncate(index);
            return unfinished(cut, http2);
        }
        left -= size;
    }
    unfinished(Bytes::new(), http2)
}

fn cut_position(byte: u64, length: usize) -> usize {
    usize::try_from(byte).unwrap_or(usize::MAX).min(length.saturating_sub(1))
}

/// Sends `cut` and closes, over HTTP/1.1 inside the chunk that carries it.
fn unfinished(cut: Bytes, http2: bool) -> Vec<Step> {
    let send = if http2 { Step::Send(cut) } else { Step::SendUnfinished(cut) };
    vec![send, Step::Wait(BEFORE_CLOSE), end(Sever::Close, http2)]
}

/// Over HTTP/2 a single stream is reset; the connection carries others.
fn end(how: Sever, http2: bool) -> Step {
    if http2 { Step::Break } else { Step::Sever(how) }
}

fn fragment(steps: VecDeque<Step>, size: usize) -> VecDeque<Step> {
    let mut fragments = VecDeque::with_capacity(steps.len() * 2);
    for step in steps {
        let Step::Send(mut bytes) = step else {
            fragments.push_back(step);
            continue;
        };
        while bytes.len() > size {
            fragments.push_back(Step::Send(bytes.split_to(size)));
            fragments.push_back(Step::Wait(Duration::ZERO));
        }
        fragments.push_back(Step::Send(bytes));
    }
    fragments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staged(streamed: bool, fault: Option<Fault>, script: &Script, http2: bool) -> Performance {
        let piece =
            |kind, text: &'static str| Piece { kind, bytes: Bytes::from_static(text.as_bytes()), tokens: 1 };
        let pieces = vec![
            Piece { tokens: 0, ..piece(PieceKind::Frame, "<open>") },
            piece(PieceKind::Token, "<one>"),
            piece(PieceKind::Token, "<two>"),
            piece(PieceKind::Token, "<three>"),
            Piece { tokens: 0, ..piece(PieceKind::Ending, "<end>") },
        ];
        let output = Output { status: StatusCode::OK, headers: HeaderMap::new(), pieces, streamed };
        let (malformed, quota) = (Bytes::from_static(b"<bad>"), Bytes::from_static(b"<quota>"));
        perform(output, fault, &Staging { script, http2, malformed, quota }, &mut Chance::new(1))
    }

    /// Steps in short: text as it is, waits in brackets, the rest by name.
    fn shown(fault: Fault) -> String {
        show(&staged(true, Some(fault), &Script::default(), false))
    }

    fn show(performance: &Performance) -> String {
        let step = |step: &Step| match step {
            Step::Wait(duration) => format!("[{duration:?}]"),
            Step::Send(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Step::SendUnfinished(bytes) => format!("{}...", String::from_utf8_lossy(bytes)),
            other => format!("{other:?}"),
        };
        performance.steps.iter().map(step).collect()
    }

    #[test]
    fn each_fault_strikes_where_its_name_says() {
        use Fault as F;
        let expected = [
            (F::HangBeforeFirstToken, "<open>Hang"),
            (F::CutBeforeFirstToken, "<open>[20ms]Sever(Close)"),
            (F::QuotaBeforeFirstToken, "<open><quota>"),
            (F::MalformedFirstEvent, "<open><bad><two><three><end>"),
            (F::Stall(2), "<open><one><two>Hang"),
            (F::Stall(99), "<open><one><two><three>Hang"),
            (F::CutAfterFirstToken, "<open><one><t...[20ms]Sever(Close)"),
            (F::ResetAfterFirstToken, "<open><one>[100ms]Sever(Reset)"),
            (F::CutAtByte(8), "<open><o...[20ms]Sever(Close)"),
            (F::CutAtByte(6), "<open>...[20ms]Sever(Close)"),
            (F::CutAtByte(9999), "<open><one><two><three><end...[20ms]Sever(Close)"),
            (F::MalformedEvent, "<open><one><bad><two><three><end>"),
            (F::QuotaMidStream(2), "<open><one><two><quota>"),
            (F::MissingEnd, "<open><one><two><three>"),
            (F::SlowTokens(70), "<open><one>[70ms]<two>[70ms]<three><end>"),
            (F::WrongContentType, "<open><one><two><three><end>"),
        ];
        for (fault, steps) in expected {
            assert_eq!(shown(fault), steps, "{fault}");
        }
    }

    #[test]
    fn over_http2_a_cut_is_a_stream_reset() {
        let cut = staged(true, Some(Fault::CutAfterFirstToken), &Script::default(), true);
        assert_eq!(show(&cut), "<open><one><t[20ms]Break");
    }

    #[test]
    fn a_plain_answer_is_one_body_of_known_length_that_can_be_cut() {
        let plain = |fault| staged(false, fault, &Script::default(), false);
        assert_eq!(show(&plain(None)), "<open><one><two><three><end>");
        assert_eq!(plain(None).length, Some(28));
        assert_eq!(show(&plain(Some(Fault::Stall(2)))), "<open><one><twHang");
        assert_eq!(plain(Some(Fault::Stall(2))).length, Some(28));
        assert_eq!(plain(Some(Fault::MissingEnd)).length, Some(14));
    }

    #[test]
    fn a_plain_answer_waits_for_all_its_tokens() {
        let ms = |ms| Delay::Constant { ms };
        let script =
            Script { headers: ms(1.0), first_token: ms(10.0), token_gap: ms(5.0), ..Script::default() };
        assert_eq!(staged(false, None, &script, false).delay, Duration::from_millis(26));
        let streamed = staged(true, None, &script, false);
        assert_eq!(streamed.delay, Duration::from_millis(1));
        assert_eq!(show(&streamed), "<open>[10ms]<one>[5ms]<two>[5ms]<three><end>");
    }

    #[test]
    fn writes_are_cut_to_size_without_losing_a_byte() {
        let script = Script { write_bytes: Some(4), ..Script::default() };
        let performance = staged(true, None, &script, false);
        assert_eq!(show(&performance).replace("[0ns]", ""), "<open><one><two><three><end>");
        assert!(performance.steps.iter().all(|step| !matches!(step, Step::Send(bytes) if bytes.len() > 4)));
    }
}
