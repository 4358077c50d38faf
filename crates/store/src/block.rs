//! Blocks: many records packed into one value.
//!
//! Owns the layout of a block's bytes and the rule which records share one. Must not know the database. Records of one gateway
//! repeat each other almost word for word, so a hundred of them packed together take a tenth of their room, and the database,
//! which costs most per row and page, is asked once for all of them.
//!
//! Layout: one byte for the form, the length unpacked (u32), then LZ4 of the entries. An entry is the record's id (16 bytes, big
//! endian), the lengths of two JSON texts (u32 each, little endian), the record without its decision, the decision.

use crate::batch::Written;
use crate::compact::{self, CompactError};
use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};
use trunkline_model::id::RequestId;
use trunkline_model::record::RequestRecord;

/// The records of a block arrived within this many milliseconds, so that a search by time knows where to stop.
pub(crate) const SPAN: u64 = 10_000;
/// Most records in a block: what one lookup has to unpack.
const RECORDS: u32 = 128;
/// Bytes at which a block is closed, unpacked.
const BYTES: usize = 128 * 1_024;
/// More than any block can have: a damaged length is not believed.
const MAX_BYTES: usize = 256 * 1_024 * 1_024;
/// The only form so far.
const FORM: u8 = 1;
/// Form and length.
const HEAD: usize = 5;
/// Id and two lengths.
const ENTRY_HEAD: usize = 24;

/// Why a block cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlockError {
    /// A record has no JSON form.
    #[error("write a record as JSON: {0}")]
    Encode(CompactError),
    /// The packer was not given enough room.
    #[error("pack a block: {0}")]
    Pack(lz4_flex::block::CompressError),
    /// The bytes were not packed by this code.
    #[error("unpack a block: {0}")]
    Unpack(lz4_flex::block::DecompressError),
    /// A length points outside, or the form is unknown.
    #[error("read a block: it is damaged or of a newer form")]
    Damaged,
    /// A record's text is not one.
    #[error("read a record: {0}")]
    Decode(serde_json::Error),
}

/// A finished block.
#[derive(Debug)]
pub(crate) struct Sealed<'a> {
    /// Arrival of its oldest record, Unix milliseconds.
    pub(crate) first: u64,
    /// Its newest record.
    pub(crate) last: RequestId,
    /// How many.
    pub(crate) count: u32,
    /// The bytes to keep.
    pub(crate) body: &'a [u8],
}

/// Puts records, which must come in the order of their ids, into blocks.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    raw: Vec<u8>,
    packed: Vec<u8>,
    first: u64,
    last: Option<RequestId>,
    count: u32,
}

impl Packer {
    /// Whether a record belongs into the block under way; if not, `seal` comes first.
    pub(crate) fn takes(&self, id: RequestId) -> bool {
        self.count == 0
            || (self.count < RECORDS
                && self.raw.len() < BYTES
                && id.unix_milliseconds().saturating_sub(self.first) <= SPAN)
    }

    /// Adds a record.
    pub(crate) fn push(&mut self, written: Written<'_>) {
        self.raw.extend_from_slice(written.bytes);
        if self.count == 0 {
            self.first = written.id.unix_milliseconds();
        }
        self.last = Some(written.id);
        self.count += 1;
    }

    /// Closes the block under way, if there is one; the next `push` begins another.
    pub(crate) fn seal(&mut self) -> Result<Option<Sealed<'_>>, BlockError> {
        let Some(last) = self.last.take() else { return Ok(None) };
        let room = HEAD + get_maximum_output_size(self.raw.len());
        if self.packed.len() < room {
            self.packed.resize(room, 0);
        }
        self.packed[0] = FORM;
        self.packed[1..HEAD].copy_from_slice(&short(self.raw.len())?);
        let packed = compress_into(&self.raw, &mut self.packed[HEAD..]).map_err(BlockError::Pack)?;
        self.raw.clear();
        let count = std::mem::take(&mut self.count);
        Ok(Some(Sealed { first: self.first, last, count, body: &self.packed[..HEAD + packed] }))
    }
}

/// Appends a record as an entry. It is handed over only because its decision is set aside while the rest is written.
pub(crate) fn write_entry(out: &mut Vec<u8>, record: &mut RequestRecord) -> Result<(), BlockError> {
    let start = out.len();
    out.extend_from_slice(&record.id.bits().to_be_bytes());
    out.extend_from_slice(&[0; 8]);
    // The decision is JSON already: beside the record it need not be quoted.
    let decision = record.decision.take();
    let written = compact::write(out, record);
    record.decision = decision;
    if let Err(error) = written {
        out.truncate(start);
        return Err(BlockError::Encode(error));
    }
    let text = out.len() - start - ENTRY_HEAD;
    let decision = record.decision.as_deref().unwrap_or_default();
    out.extend_from_slice(decision.as_bytes());
    out[start + 16..start + 20].copy_from_slice(&short(text)?);
    out[start + 20..start + 24].copy_from_slice(&short(decision.len())?);
    Ok(())
}

fn short(length: usize) -> Result<[u8; 4], BlockError> {
    u32::try_from(length).map(u32::to_le_bytes).map_err(|_| BlockError::Damaged)
}

/// One record, still as text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    /// Its id.
    pub(crate) id: RequestId,
    text: &'a [u8],
    decision: &'a [u8],
}

impl<'a> Entry<'a> {
    /// The entry that these bytes begin with.
    pub(crate) fn of(mut bytes: &'a [u8]) -> Result<Self, BlockError> {
        next_entry(&mut bytes)
    }

    /// Whether the record's text holds these bytes.
    pub(crate) fn holds(&self, needle: &memchr::memmem::Finder<'_>) -> bool {
        needle.find(self.text).is_some()
    }

    /// The record.
    pub(crate) fn read(&self) -> Result<RequestRecord, BlockError> {
        let mut record: RequestRecord = serde_json::from_slice(self.text).map_err(BlockError::Decode)?;
        if !self.decision.is_empty() {
            let text = std::str::from_utf8(self.decision).map_err(|_| BlockError::Damaged)?;
            record.decision = Some(text.into());
        }
        Ok(record)
    }
}

/// Unpacks a block's bytes into `raw`, which is reused from block to block.
pub(crate) fn unpack(body: &[u8], raw: &mut Vec<u8>) -> Result<(), BlockError> {
    let (head, packed) = body.split_at_checked(HEAD).ok_or(BlockError::Damaged)?;
    let length = length(&head[1..])?;
    if head[0] != FORM || length > MAX_BYTES {
        return Err(BlockError::Damaged);
    }
    raw.resize(length, 0);
    let read = decompress_into(packed, raw).map_err(BlockError::Unpack)?;
    if read == length { Ok(()) } else { Err(BlockError::Damaged) }
}

/// The entries of unpacked bytes, oldest first; ends with an error where they make no sense.
pub(crate) fn entries(raw: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, BlockError>> {
    let mut rest = raw;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let entry = next_entry(&mut rest);
        if entry.is_err() {
            rest = &[];
        }
        Some(entry)
    })
}

fn next_entry<'a>(rest: &mut &'a [u8]) -> Result<Entry<'a>, BlockError> {
    let (head, body) = rest.split_at_checked(ENTRY_HEAD).ok_or(BlockError::Damaged)?;
    let id = head[..16].try_into().map_err(|_| BlockError::Damaged)?;
    let (text, body) = body.split_at_checked(length(&head[16..20])?).ok_or(BlockError::Damaged)?;
    let (decision, body) = body.split_at_checked(length(&head[20..24])?).ok_or(BlockError::Damaged)?;
    *rest = body;
    Ok(Entry { id: RequestId::from_bits(u128::from_be_bytes(id)), text, decision })
}

fn length(bytes: &[u8]) -> Result<usize, BlockError> {
    let bytes = bytes.try_into().map_err(|_| BlockError::Damaged)?;
    usize::try_from(u32::from_le_bytes(bytes)).map_err(|_| BlockError::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch;
    use proptest::prelude::*;
    use trunkline_model::dialect::{Dialect, Operation};

    fn record(milliseconds: u64, decision: Option<&str>) -> RequestRecord {
        let id = RequestId::new(milliseconds, u128::from(milliseconds) << 3);
        let mut record = RequestRecord::new(id, Dialect::OpenAi, Operation::Chat, 1);
        record.decision = decision.map(Into::into);
        record
    }

    fn pack(records: &mut [RequestRecord]) -> Vec<(u64, RequestId, Vec<u8>)> {
        let mut packer = Packer::default();
        let mut blocks = Vec::new();
        for record in records {
            if !packer.takes(record.id) {
                let sealed = packer.seal().unwrap().unwrap();
                blocks.push((sealed.first, sealed.last, sealed.body.to_vec()));
            }
            batch::written(record, |written| packer.push(written)).unwrap();
        }
        if let Some(sealed) = packer.seal().unwrap() {
            blocks.push((sealed.first, sealed.last, sealed.body.to_vec()));
        }
        blocks
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_is_packed_comes_out_again_and_no_block_spans_too_long(
            mut times in prop::collection::vec(0u64..60_000, 0..400),
            decision in prop::option::of("[ -~]{1,40}"),
        ) {
            times.sort_unstable();
            times.dedup();
            let mut records: Vec<_> = times.iter().map(|&time| record(time, decision.as_deref())).collect();
            let mut raw = Vec::new();
            let mut out = Vec::new();
            for (first, last, body) in pack(&mut records) {
                unpack(&body, &mut raw).unwrap();
                let block: Vec<_> = entries(&raw).map(|entry| entry.unwrap().read().unwrap()).collect();
                prop_assert_eq!(block.first().unwrap().id.unix_milliseconds(), first);
                prop_assert_eq!(block.last().unwrap().id, last);
                prop_assert!(last.unix_milliseconds() - first <= SPAN);
                out.extend(block);
            }
            prop_assert_eq!(out, records);
        }

        #[test]
        fn damaged_blocks_are_errors(damage in prop::collection::vec((0usize..400, any::<u8>()), 1..8), cut in 0usize..400) {
            let mut records: Vec<_> = (0..3).map(|time| record(time, Some("{}"))).collect();
            let (_, _, mut body) = pack(&mut records).remove(0);
            for (place, byte) in damage {
                let place = place % body.len();
                body[place] = byte;
            }
            body.truncate(cut);
            let mut raw = Vec::new();
            if unpack(&body, &mut raw).is_ok() {
                // Whatever it says, reading it ends.
                prop_assert!(entries(&raw).count() <= raw.len() / ENTRY_HEAD + 1);
            }
        }
    }
}
