//! A response as a client has it at the end.
//!
//! Owns the bytes and whether they came to their proper end. Must not judge them.

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

/// A response and all of its body that arrived.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The body ended as HTTP says it must; otherwise the connection broke.
    pub(crate) whole: bool,
}

impl Answer {
    /// Reads a response to its end, whatever that is.
    pub(crate) async fn read(response: Response<Incoming>) -> Self {
        let (head, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        let whole = loop {
            match body.frame().await {
                None => break true,
                Some(Err(_)) => break false,
                Some(Ok(frame)) => bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            }
        };
        Self { status: head.status.as_u16(), headers: head.headers, body: bytes.into(), whole }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value =
            self.headers.get(name).unwrap_or_else(|| panic!("no header {name} in {:?}", self.headers));
        value.to_str().unwrap()
    }

    /// The request's id, which is also its decision's and its record's.
    pub(crate) fn id(&self) -> &str {
        self.header("x-trunkline-request-id")
    }

    /// The error code for clients that do not parse bodies.
    pub(crate) fn error_code(&self) -> &str {
        self.header("x-trunkline-error-code")
    }

    /// Status and body with what differs from run to run replaced, for snapshots.
    pub(crate) fn shown(&self) -> String {
        let pretty = serde_json::to_string_pretty(&self.json()).unwrap();
        format!("HTTP {}\n{}", self.status, pretty.replace(self.id(), "[id]"))
    }

    /// The events of a stream: the name, if there is one, and the data.
    pub(crate) fn events(&self) -> Vec<(Option<&str>, &str)> {
        self.text().split("\n\n").filter_map(parse).collect()
    }
}

fn parse(block: &str) -> Option<(Option<&str>, &str)> {
    let field = |name: &str| block.lines().find_map(|line| Some(line.strip_prefix(name)?.trim_start()));
    Some((field("event:"), field("data:")?))
}
