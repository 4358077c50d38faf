//! What is said where embeddings are asked of this dialect: it has none.
//!
//! Owns the refusal on both sides, so that a misrouted operation ends in a typed failure and not in a panic.

use super::error;
use crate::codec::{Decode, Encode, EncodeContext, Frame, Observe, Seen, Summary};
use bytes::BytesMut;
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_model::event::Event;
use trunkline_model::failure::{Failure, FailureClass};

fn failure() -> Failure {
    Failure::new(FailureClass::Unsupported, "the Anthropic dialect has no embeddings")
}

/// The provider side: every answer is a failure.
#[derive(Default)]
pub(super) struct NoAnswer {
    summary: Summary,
}

impl Decode for NoAnswer {
    fn frame(&mut self, _frame: Frame<'_>, _events: &mut Vec<Event>) -> Result<(), Failure> {
        Err(failure())
    }

    fn end(&mut self, _events: &mut Vec<Event>) -> Result<(), Failure> {
        Err(failure())
    }
}

impl Observe for NoAnswer {
    fn frame(&mut self, _frame: Frame<'_>) -> Result<Seen, Failure> {
        Err(failure())
    }

    fn end(&mut self) -> Result<(), Failure> {
        Err(failure())
    }

    fn summary(&self) -> &Summary {
        &self.summary
    }
}

/// The client side: every answer is an error.
pub(super) struct Absent {
    context: EncodeContext,
}

impl Absent {
    pub(super) const fn new(context: EncodeContext) -> Self {
        Self { context }
    }
}

impl Encode for Absent {
    fn event(&mut self, _event: &Event, _out: &mut BytesMut) {}

    fn finish(&mut self, out: &mut BytesMut) {
        self.fail(&ClientError::new(ErrorCode::UnsupportedParameter, failure().message), out);
    }

    fn fail(&mut self, error: &ClientError, out: &mut BytesMut) {
        out.extend_from_slice(&error::encode_error(error, self.context.request_id));
    }
}
