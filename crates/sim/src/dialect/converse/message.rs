//! Binary messages of the event-stream encoding.
//!
//! Owns lengths, text headers and both checksums (CRC-32 of IEEE 802.3, written out here so that the simulator shares no reading
//! of the format with what it tests).

use bytes::Bytes;

/// The event-stream media type.
pub(crate) const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// An event with a JSON payload.
pub(crate) fn event(name: &str, payload: &[u8]) -> Bytes {
    message(
        &[(":event-type", name), (":content-type", "application/json"), (":message-type", "event")],
        payload,
    )
}

/// An exception with a JSON payload.
pub(crate) fn exception(name: &str, payload: &[u8]) -> Bytes {
    let headers =
        [(":exception-type", name), (":content-type", "application/json"), (":message-type", "exception")];
    message(&headers, payload)
}

fn message(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(name.len() as u8);
        head.extend_from_slice(name.as_bytes());
        // A text, with two bytes of length.
        head.push(7);
        head.extend_from_slice(&(value.len() as u16).to_be_bytes());
        head.extend_from_slice(value.as_bytes());
    }
    let mut bytes = Vec::with_capacity(16 + head.len() + payload.len());
    bytes.extend_from_slice(&((16 + head.len() + payload.len()) as u32).to_be_bytes());
    bytes.extend_from_slice(&(head.len() as u32).to_be_bytes());
    bytes.extend_from_slice(&crc32(&bytes).to_be_bytes());
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(&crc32(&bytes).to_be_bytes());
    Bytes::from(bytes)
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { 0xedb8_8320 ^ (value >> 1) } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
};

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| TABLE[((sum ^ u32::from(*byte)) & 0xff) as usize] ^ (sum >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn a_message_is_laid_out_as_documented() {
        let bytes = event("x", b"{}");
        assert_eq!(bytes.len() as u32, u32::from_be_bytes(*bytes.first_chunk().unwrap()));
        let headers = u32::from_be_bytes(*bytes[4..].first_chunk().unwrap()) as usize;
        assert_eq!(&bytes[12 + headers..bytes.len() - 4], b"{}");
        assert_eq!(&bytes[12..28], b"\x0b:event-type\x07\0\x01x");
    }
}
