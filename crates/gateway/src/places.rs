//! What a client is told of its request, by the names and places of its own body.
//!
//! Owns asking for them: of the body that was decoded, and of how much of it the client wrote, where a stored conversation was put
//! before its items. Must not be asked where there is nothing to tell: the body is read again for it.

use crate::responses::Turn;
use bytes::Bytes;
use trunkline_model::dialect::Dialect;
use trunkline_model::failure::Failure;
use trunkline_model::request::Request;
use trunkline_model::warning::Warning;
use trunkline_wire::codec::{BadRequest, EncodeError};
use trunkline_wire::places::{Places, counted};

/// A body and what was put into it.
#[derive(Clone, Copy)]
pub(crate) struct Told<'a> {
    /// The protocol.
    pub dialect: Dialect,
    /// The body, with the conversation that it names.
    pub body: &'a Bytes,
    /// What the client wrote of it.
    pub turn: Option<&'a Turn>,
}

impl Told<'_> {
    /// Warnings about a request.
    pub(crate) fn warnings(self, request: &Request, mut warnings: Vec<Warning>) -> Vec<Warning> {
        if !warnings.is_empty()
            && let Some(places) = self.places(request)
        {
            places.rename(&mut warnings);
        }
        warnings
    }

    /// Why a request cannot be sent.
    pub(crate) fn error(self, request: &Request, error: EncodeError) -> EncodeError {
        match self.places(request) {
            Some(places) => places.rename_error(error),
            None => error,
        }
    }

    /// A failure that names a place in canonical form, which its message begins with.
    pub(crate) fn failure(self, request: &Request, mut failure: Failure) -> Failure {
        if let (Some(places), Some(parameter)) = (self.places(request), failure.parameter.take()) {
            let name = places.name(&parameter).into_owned();
            if let Some(rest) = failure.message.strip_prefix(&parameter) {
                failure.message = format!("{name}{rest}");
            }
            failure.parameter = Some(name);
        }
        failure
    }

    /// A mistake in the body.
    pub(crate) fn mistake(self, error: &BadRequest) -> BadRequest {
        let mut told = error.clone();
        if let (Some(earlier), Some(path)) = (self.turn.and_then(|turn| turn.earlier(self.body)), &error.path)
        {
            let place = counted(path, Some(earlier));
            told.message = error.message.replacen(path, &place, 1);
            told.path = Some(place);
        }
        told
    }

    fn places<'r>(self, request: &'r Request) -> Option<Places<'r>> {
        let earlier = self.turn.and_then(|turn| turn.earlier(self.body));
        Places::of(self.dialect, request, self.body, earlier)
    }
}
