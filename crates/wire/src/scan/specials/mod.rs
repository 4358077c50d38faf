//! The bytes at which a string's reader must stop: quote, backslash, control character.
//!
//! Owns finding them, and which characters escapes make of them. Must not judge an escape. Strings are the bulk of every prompt, so
//! they are passed over 64 bytes at a time, without a branch for what a block holds: prompts are full of line breaks and quotes,
//! and where the next one stands cannot be foretold. The same steps are compiled for the vector instructions that a processor
//! turns out to have: `x86`.

#[cfg(target_arch = "x86_64")]
mod x86;

use wide::u8x16;

/// Bytes of a block.
const BLOCK: usize = 64;

/// What a block holds, a bit for each of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Marks {
    quotes: u64,
    backslashes: u64,
    controls: u64,
    /// Bytes that are an escape with a backslash before them; not all that there are, but nearly all that are met.
    letters: u64,
}

/// Where a string's text ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Offset of the quote or control character that ends it, or of the end of the bytes.
    pub(crate) end: usize,
    /// Whether it has escapes.
    pub(crate) has_escapes: bool,
}

/// Passes over the text of a string from `at`, which is not within an escape. `check` is asked about every escape that is not of one
/// usual letter, by the offset of its backslash, in order.
///
/// # Errors
/// Those of `check`.
pub(crate) fn pass_text<E>(
    bytes: &[u8],
    at: usize,
    check: impl FnMut(usize) -> Result<(), E>,
) -> Result<Passed, E> {
    #[cfg(target_arch = "x86_64")]
    return x86::pass_text(bytes, at, check);
    #[cfg(not(target_arch = "x86_64"))]
    pass_by(bytes, at, marks, check)
}

/// The same with a way to look at a block.
#[inline(always)]
fn pass_by<E>(
    bytes: &[u8],
    at: usize,
    marks: impl Fn(&[u8; BLOCK]) -> Marks,
    mut check: impl FnMut(usize) -> Result<(), E>,
) -> Result<Passed, E> {
    let (blocks, rest) = bytes.get(at..).unwrap_or_default().as_chunks();
    let mut passing = Passing { at, is_escaped: 0, escaped: 0 };
    for block in blocks {
        if let Some(passed) = passing.over(marks(block), &mut check)? {
            return Ok(passed);
        }
    }
    let passed = passing.over(marks(&padded(rest)), &mut check)?;
    Ok(passed.unwrap_or(Passed { end: bytes.len(), has_escapes: passing.escaped != 0 }))
}

/// On its way through a text.
struct Passing {
    /// Offset of the next block.
    at: usize,
    /// One where its first byte has an escaping backslash before it.
    is_escaped: u64,
    /// What was escaped in all blocks before, one over the other.
    escaped: u64,
}

impl Passing {
    /// Passes over a block; gives where the text ends, if it does.
    #[inline(always)]
    fn over<E>(
        &mut self,
        found: Marks,
        check: &mut impl FnMut(usize) -> Result<(), E>,
    ) -> Result<Option<Passed>, E> {
        let escaped = escaped(found.backslashes, self.is_escaped);
        // A row of backslashes that ends the block began in it, unless it fills it and escapes what it would have without it. So
        // what it escapes does not wait for what the blocks before have come to.
        let row = found.backslashes.leading_ones();
        if row < u64::BITS {
            self.is_escaped = u64::from(row & 1);
        }
        let stops = (found.quotes & !escaped) | found.controls;
        let unusual = escaped & !found.letters;
        if stops | unusual != 0 {
            // The first stop and what comes before it; all where there is none.
            let within = stops ^ stops.wrapping_sub(1);
            if unusual & within != 0 {
                ask(self.at, unusual & within, check)?;
            }
            if stops != 0 {
                let end = self.at + stops.trailing_zeros() as usize;
                return Ok(Some(Passed { end, has_escapes: self.escaped | (escaped & within) != 0 }));
            }
        }
        self.escaped |= escaped;
        self.at += BLOCK;
        Ok(None)
    }
}

/// Asks about the escapes of these characters of a block.
#[inline(never)]
fn ask<E>(at: usize, mut unusual: u64, check: &mut impl FnMut(usize) -> Result<(), E>) -> Result<(), E> {
    while unusual != 0 {
        check(at + unusual.trailing_zeros() as usize - 1)?;
        unusual &= unusual - 1;
    }
    Ok(())
}

/// Which bytes have an escaping backslash before them: every second one of a row of backslashes, and what follows a row of an odd
/// number. `carried` is one where the first byte has one. Done by a subtraction whose borrows run through the rows, as in simdjson
/// ("Parsing Gigabytes of JSON per Second", section 3.1.1).
const fn escaped(backslashes: u64, carried: u64) -> u64 {
    const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
    let open = backslashes & !carried;
    let escapes = ((open << 1) | ODD).wrapping_sub(open) ^ ODD;
    escapes ^ (backslashes | carried)
}

/// The last bytes as a block, filled up with what means nothing.
#[cold]
fn padded(rest: &[u8]) -> [u8; BLOCK] {
    let mut block = [b' '; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
}

/// What a block holds, with the vector instructions that every processor of its kind has.
fn marks(block: &[u8; BLOCK]) -> Marks {
    let (steps, _) = block.as_chunks::<STEP>();
    let mut marks = Marks { quotes: 0, backslashes: 0, controls: 0, letters: 0 };
    for (index, step) in steps.iter().enumerate() {
        let bytes = u8x16::new(*step);
        let mask = |found: u8x16| u64::from(found.to_bitmask()) << (STEP * index);
        let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
        marks.quotes |= mask(is(b'"'));
        marks.backslashes |= mask(is(b'\\'));
        marks.controls |= mask(bytes.min(u8x16::splat(0x1f)).simd_eq(bytes));
        marks.letters |= mask(is(b'n') | is(b't'));
    }
    marks.letters |= marks.quotes | marks.backslashes;
    marks
}

/// Bytes of a step.
pub(crate) const STEP: usize = 16;

/// Where the special bytes of a step are, a bit each.
pub(crate) fn specials_of_step(step: &[u8; STEP]) -> u32 {
    let bytes = u8x16::new(*step);
    let control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    (control | bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\'))).to_bitmask()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is asked about escapes.
    type Check<'a> = &'a mut dyn FnMut(usize) -> Result<(), ()>;

    /// The same by the rule itself, byte by byte, with every escape asked about.
    fn by_bytes(bytes: &[u8], mut at: usize) -> (Passed, Vec<usize>) {
        let mut escapes = Vec::new();
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'\\' => {
                    escapes.push(at);
                    if bytes.get(at + 1).is_some_and(|&byte| byte < 0x20) {
                        at += 1;
                        break;
                    }
                    at += 2;
                }
                b'"' | 0..0x20 => break,
                _ => at += 1,
            }
        }
        (Passed { end: at.min(bytes.len()), has_escapes: !escapes.is_empty() }, escapes)
    }

    /// Every way there is on this machine gives the same; those asked about are a part of the escapes, and all that are not of
    /// one letter.
    fn agree(bytes: &[u8], at: usize) {
        let (expected, escapes) = by_bytes(bytes, at);
        let usual = |escape: &usize| bytes.get(escape + 1).is_some_and(|byte| b"\"\\/bfnrt".contains(byte));
        let try_one = |passed: &dyn Fn(Check<'_>) -> Result<Passed, ()>| {
            let mut asked = Vec::new();
            let passed = passed(&mut |escape| {
                asked.push(escape);
                Ok(())
            });
            assert_eq!(passed, Ok(expected), "{bytes:?} from {at}");
            let not_asked: Vec<usize> =
                escapes.iter().copied().filter(|escape| !asked.contains(escape)).collect();
            assert!(not_asked.iter().all(usual), "{bytes:?}: {not_asked:?}");
            assert!(asked.iter().all(|escape| escapes.contains(escape)), "{bytes:?}: {asked:?}");
            assert!(asked.is_sorted());
        };
        try_one(&|check| pass_by(bytes, at, marks, check));
        try_one(&|check| pass_text(bytes, at, check));
        #[cfg(target_arch = "x86_64")]
        x86::each(|pass| try_one(&|check| pass(bytes, at, check)));
    }

    proptest! {
        #[test]
        fn texts_end_where_the_rule_says(
            bytes in proptest::collection::vec(
                prop_oneof![8 => 0x20_u8..0x80, 6 => Just(b'\\'), 1 => Just(b'"'), 2 => Just(b'n'), 2 => Just(b'u'), 1 => any::<u8>()],
                0..300,
            ),
            at in 0_usize..70,
        ) {
            agree(&bytes, at.min(bytes.len()));
        }

        #[test]
        fn long_ones_too(plain in 0_usize..200, row in 0_usize..140, after in any::<u8>()) {
            let bytes = [vec![b'a'; plain], vec![b'\\'; row], vec![after, b'b', b'"']].concat();
            agree(&bytes, 0);
        }

        #[test]
        fn blocks_show_every_byte_that_means_something(block in proptest::collection::vec(any::<u8>(), BLOCK)) {
            let found = marks(block.first_chunk().unwrap());
            for (index, &byte) in block.iter().enumerate() {
                let has = |mask: u64| mask >> index & 1 == 1;
                prop_assert_eq!(has(found.quotes), byte == b'"');
                prop_assert_eq!(has(found.backslashes), byte == b'\\');
                prop_assert_eq!(has(found.controls), byte < 0x20);
                prop_assert!(!has(found.letters) || b"\"\\/bfnrt".contains(&byte));
            }
        }
    }

    #[test]
    fn a_failing_check_is_the_result() {
        let asked = pass_text(br#"a\u00e9b\x"#, 0, |escape| if escape == 1 { Ok(()) } else { Err(escape) });
        assert_eq!(asked, Err(8));
    }
}
