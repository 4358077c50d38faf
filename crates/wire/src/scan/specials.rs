//! The bytes at which a string's reader must stop: quote, backslash, control character.
//!
//! Owns finding them. Must not know what they mean. Strings are the bulk of every prompt, so they are passed over 64 bytes at a time;
//! the three tests of a block are vector instructions on any target: whether there is a hit is left to the compiler, where the hits
//! are is what no compiler finds by itself.

use wide::u8x16;

/// Where escapes are, more are near: goes on block by block, each looked at once however many escapes it holds. Gives the
/// offset of the first byte that is neither plain nor part of an escape, or of the last bytes too few for a block. `check` is
/// asked for the end of the escape whose backslash is at an offset, where that is not one letter.
pub(crate) fn pass_escapes<E>(
    bytes: &[u8],
    mut at: usize,
    mut check: impl FnMut(usize) -> Result<usize, E>,
) -> Result<usize, E> {
    while let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk::<64>()) {
        let mut hits = specials(block);
        let mut next = at + 64;
        while hits != 0 {
            let found = at + hits.trailing_zeros() as usize;
            if bytes[found] != b'\\' {
                return Ok(found);
            }
            let after = match bytes.get(found + 1) {
                Some(&letter) if SHORT_ESCAPES[usize::from(letter)] => found + 2,
                _ => check(found)?,
            };
            if after - at >= 64 {
                next = after;
                break;
            }
            hits &= u64::MAX << (after - at);
        }
        at = next;
    }
    Ok(at)
}

/// What may follow a backslash and is the end of the escape: nearly all of them.
const SHORT_ESCAPES: [bool; 256] = {
    let mut table = [false; 256];
    let letters = b"\"\\/bfnrt";
    let mut index = 0;
    while index < letters.len() {
        table[letters[index] as usize] = true;
        index += 1;
    }
    table
};

/// Length of the prefix without quote, backslash or control character: what needs no escape either.
pub(crate) fn plain_prefix(bytes: &[u8]) -> usize {
    // What is short ends within the first steps: no block set-up for it.
    let mut at = 0;
    for _ in 0..2 {
        match special_in_step(bytes, at) {
            Some(None) => at += STEP,
            Some(Some(found)) => return at + found,
            None => return at + plain_tail(&bytes[at..]),
        }
    }
    let (blocks, _) = bytes[at..].as_chunks::<64>();
    at += 64 * blocks.iter().take_while(|block| !has_special(block)).count();
    loop {
        match special_in_step(bytes, at) {
            Some(None) => at += STEP,
            Some(Some(found)) => return at + found,
            None => return at + plain_tail(&bytes[at..]),
        }
    }
}

const fn is_special(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// No early exit, so that it vectorises.
fn has_special(block: &[u8; 64]) -> bool {
    let mut found = false;
    for &byte in block {
        found |= is_special(byte);
    }
    found
}

/// The first special byte of the step at `at`; outer `None` when fewer bytes are left.
fn special_in_step(bytes: &[u8], at: usize) -> Option<Option<usize>> {
    let specials = specials_of_step(bytes.get(at..)?.first_chunk()?);
    Some((specials != 0).then(|| specials.trailing_zeros() as usize))
}

/// Where the special bytes of a block are, a bit each.
fn specials(block: &[u8; 64]) -> u64 {
    let (steps, _) = block.as_chunks::<STEP>();
    let shifted =
        steps.iter().enumerate().map(|(index, step)| u64::from(specials_of_step(step)) << (STEP * index));
    shifted.fold(0, |mask, part| mask | part)
}

/// Bytes of a step.
pub(crate) const STEP: usize = 16;

/// Where the special bytes of a step are, a bit each.
pub(crate) fn specials_of_step(step: &[u8; STEP]) -> u32 {
    let bytes = u8x16::new(*step);
    let control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    (control | bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\'))).to_bitmask()
}

fn plain_tail(bytes: &[u8]) -> usize {
    bytes.iter().position(|&byte| is_special(byte)).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn blocks_show_every_special_byte(block in proptest::collection::vec(any::<u8>(), 64)) {
            let mask = specials(block.first_chunk().unwrap());
            for (index, &byte) in block.iter().enumerate() {
                prop_assert_eq!(mask >> index & 1 == 1, is_special(byte));
            }
        }
    }
}
