//! Pictures in an answer of the dialect.
//!
//! Owns where they stand. Must not know the rest of a message.

use crate::picture::Picture;
use crate::write::{Object, escaped};
use bytes::BytesMut;

/// Writes a picture that the model made. The dialect has no place for it; where its look-alikes put pictures (`images` of a message),
/// clients of models that make some look for it.
pub(super) fn write(out: &mut BytesMut, picture: &Picture<'_>) {
    out.reserve(picture.data.len() + 80);
    let mut object = Object::open(out);
    object.text("type", "image_url");
    let mut place = Object::open(object.key("image_url"));
    let url = place.key("url");
    url.extend_from_slice(b"\"data:");
    escaped(url, &picture.media_type);
    url.extend_from_slice(b";base64,");
    escaped(url, &picture.data);
    url.extend_from_slice(b"\"");
    place.close();
    object.close();
}
