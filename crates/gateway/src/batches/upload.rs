//! Files on their way in.
//!
//! Owns the form that uploads have, read piece by piece: what is in memory is one chunk, whatever the file's size. A file that is
//! not complete, for whatever reason, is forgotten and its room given back.

use super::{Visit, files, look, shown};
use crate::accept;
use crate::body::AnswerBody;
use crate::clock;
use crate::patience;
use crate::respond;
use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use multer::{Field, Multipart};
use std::time::Duration;
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_store::StoredFile;

/// The size of a chunk in the store, in bytes.
const CHUNK: usize = 1 << 20;
/// The longest value of a plain field, in bytes.
const LONGEST_FIELD: usize = 1_024;
/// Most fields of an upload.
const MOST_FIELDS: usize = 32;
/// The most bytes of a refused upload that are read for the sake of the answer, and the longest time that takes.
const MOST_DISCARDED: usize = 64 << 20;
const LONGEST_DISCARD: Duration = Duration::from_secs(3);
/// What clients may say a file is for.
const PURPOSES: [&str; 6] = ["assistants", "batch", "fine-tune", "vision", "user_data", "evals"];
/// The shortest and longest life that a client may ask for, in seconds.
const LIVES: std::ops::RangeInclusive<u64> = 3_600..=2_592_000;

/// Takes a file in.
pub(super) async fn upload(visit: &Visit, body: Incoming) -> Result<Response<AnswerBody>, ClientError> {
    let content_type =
        visit.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Ok(boundary) = multer::parse_boundary(content_type) else {
        let message = "a file is uploaded as `multipart/form-data` with the fields `file` and `purpose`";
        accept::discard(body, &visit.headers).await;
        return Err(ClientError::new(ErrorCode::UnsupportedMediaType, message).at("content-type"));
    };
    let generation = visit.gateway.generation();
    let server = &generation.snapshot.server;
    let mut form = Form {
        visit,
        id: format!("file-{}", crate::case::new_id()),
        silence: server.client_timeout,
        most: server.batches.max_file,
        name: None,
        purpose: None,
        life: None,
    };
    let mut multipart = Multipart::new(BodyDataStream::new(body), boundary);
    let taken = form.read(&mut multipart).await;
    let finished = match taken {
        Ok(()) => form.finish(server.batches.keep).await,
        Err(error) => Err(error),
    };
    match finished {
        Ok(file) => Ok(respond::json(StatusCode::OK, &files::object(&file))),
        Err(error) => {
            if form.name.is_some() {
                let (store, id) = (visit.store(), form.id.clone());
                // What cannot be forgotten now is forgotten at the next start.
                let _ = look(move || store.abandon_file(&id)).await;
            }
            discard(multipart).await;
            Err(error)
        }
    }
}

/// An upload so far.
struct Form<'v> {
    visit: &'v Visit,
    id: String,
    silence: Duration,
    most: u64,
    /// The file's name; `None` before there is a file.
    name: Option<String>,
    purpose: Option<String>,
    /// How long it is to be kept, in seconds.
    life: Option<u64>,
}

impl Form<'_> {
    async fn read(&mut self, multipart: &mut Multipart<'_>) -> Result<(), ClientError> {
        for _ in 0..MOST_FIELDS {
            let next = patience::during(self.silence, multipart.next_field()).await;
            let Some(field) = next.map_err(|_| self.too_slow())?.map_err(|error| unreadable(&error))? else {
                return Ok(());
            };
            let name = field.name().unwrap_or_default().to_owned();
            match name.as_str() {
                "file" => self.file(field).await?,
                "purpose" => self.purpose = Some(purpose(&self.text(field).await?)?),
                "expires_after[anchor]" => {
                    if self.text(field).await? != "created_at" {
                        return Err(wrong(&name, "the only anchor is `created_at`"));
                    }
                }
                "expires_after[seconds]" => self.life = Some(life(&name, &self.text(field).await?)?),
                _ => {
                    let what = "there is no such field; there are `file`, `purpose` and `expires_after`";
                    return Err(wrong(&shown(&name), what));
                }
            }
        }
        Err(wrong("body", "an upload has a few fields only"))
    }

    async fn finish(&self, keep: Duration) -> Result<StoredFile, ClientError> {
        let Some(name) = &self.name else {
            return Err(wrong("file", "the upload has no field of this name with the file in it"));
        };
        let purpose = self
            .purpose
            .clone()
            .ok_or_else(|| wrong("purpose", "the upload does not say what the file is for"))?;
        let created = clock::unix_seconds();
        let life = self.life.unwrap_or(u64::MAX).min(keep.as_secs());
        let file = StoredFile {
            id: self.id.clone(),
            owner: self.visit.owner.clone(),
            created,
            expires: Some(created.saturating_add(life)),
            name: name.clone(),
            purpose,
            bytes: 0,
            results: None,
        };
        let store = self.visit.store();
        let file = look(move || store.finish_file(&file)).await?;
        if file.bytes == 0 {
            return Err(wrong("file", "the file is empty"));
        }
        Ok(file)
    }

    async fn file(&mut self, mut field: Field<'_>) -> Result<(), ClientError> {
        if self.name.is_some() {
            return Err(wrong("file", "one upload is one file"));
        }
        let name = field.file_name().unwrap_or("upload").chars().take(255).collect::<String>();
        let file = StoredFile {
            id: self.id.clone(),
            owner: self.visit.owner.clone(),
            created: clock::unix_seconds(),
            expires: None,
            name: name.clone(),
            purpose: String::new(),
            bytes: 0,
            results: None,
        };
        let store = self.visit.store();
        look(move || store.begin_file(&file)).await?;
        self.name = Some(name);
        let (mut chunk, mut number, mut length) = (BytesMut::new(), 0, 0_u64);
        loop {
            let next = patience::during(self.silence, field.chunk()).await;
            let piece = next.map_err(|_| self.too_slow())?.map_err(|error| unreadable(&error))?;
            let is_end = piece.is_none();
            if let Some(piece) = piece {
                length += piece.len() as u64;
                if length > self.most {
                    return Err(self.too_large());
                }
                chunk.extend_from_slice(&piece);
            }
            while chunk.len() >= CHUNK || (is_end && !chunk.is_empty()) {
                let whole: Bytes = chunk.split_to(chunk.len().min(CHUNK)).freeze();
                let (store, id) = (self.visit.store(), self.id.clone());
                look(move || store.append(&id, number, &whole)).await?;
                number += 1;
            }
            if is_end {
                return Ok(());
            }
        }
    }

    async fn text(&self, mut field: Field<'_>) -> Result<String, ClientError> {
        let mut value = Vec::new();
        loop {
            let next = patience::during(self.silence, field.chunk()).await;
            let Some(piece) = next.map_err(|_| self.too_slow())?.map_err(|error| unreadable(&error))? else {
                break;
            };
            value.extend_from_slice(&piece);
            if value.len() > LONGEST_FIELD {
                return Err(wrong(field.name().unwrap_or_default(), "the value is too long"));
            }
        }
        String::from_utf8(value).map_err(|_| wrong("body", "a field is not UTF-8"))
    }

    fn too_slow(&self) -> ClientError {
        let message =
            format!("the upload stopped for more than {} s before it was complete", self.silence.as_secs());
        ClientError { status: Some(408), ..ClientError::new(ErrorCode::InvalidRequest, message) }
    }

    fn too_large(&self) -> ClientError {
        let message = format!(
            "the file is larger than the limit of {} bytes; the operator can raise `batches.max_file`",
            self.most
        );
        ClientError::new(ErrorCode::RequestTooLarge, message).at("file")
    }
}

fn purpose(text: &str) -> Result<String, ClientError> {
    if PURPOSES.contains(&text) {
        return Ok(text.to_owned());
    }
    let message = format!("`{}` is not a purpose; there are {}", shown(text), PURPOSES.join(", "));
    Err(wrong("purpose", &message))
}

fn life(name: &str, text: &str) -> Result<u64, ClientError> {
    let seconds = text.trim().parse().ok().filter(|seconds| LIVES.contains(seconds));
    seconds.ok_or_else(|| wrong(name, "takes seconds from 3600 to 2592000"))
}

fn unreadable(error: &multer::Error) -> ClientError {
    wrong("body", &format!("the upload could not be read to its end: {error}"))
}

fn wrong(parameter: &str, what: &str) -> ClientError {
    ClientError::new(ErrorCode::InvalidRequest, format!("{parameter}: {what}")).at(parameter)
}

/// Reads on without keeping anything, within bounds: see [`accept::discard`].
async fn discard(mut multipart: Multipart<'_>) {
    let mut left = MOST_DISCARDED;
    let reading = async {
        while let Ok(Some(mut field)) = multipart.next_field().await {
            while let Ok(Some(piece)) = field.chunk().await {
                if piece.len() > left {
                    return;
                }
                left -= piece.len();
            }
        }
    };
    // Out of time is as good as done: the answer goes out either way.
    let _ = tokio::time::timeout(LONGEST_DISCARD, reading).await;
}
