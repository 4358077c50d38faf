//! Blocks looked at with the wide vector instructions of x86 processors.
//!
//! Owns the choice between them, made by what the processor says of itself, and the only unsafe code of the codecs. Must not hold a
//! rule: what a block holds is the same by every way, which the tests compare.
#![expect(
    unsafe_code,
    reason = "instructions that not every processor has cannot be called in any other way"
)]

use super::{BLOCK, Marks, Passed, marks, pass_by};
use std::arch::x86_64::{
    __m256i, __m512i, _mm_setr_epi8, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8,
    _mm256_movemask_epi8, _mm256_set1_epi8, _mm256_setr_epi8, _mm256_shuffle_epi8, _mm512_broadcast_i32x4,
    _mm512_cmpeq_epi8_mask, _mm512_cmplt_epu8_mask, _mm512_loadu_si512, _mm512_set1_epi8,
    _mm512_shuffle_epi8,
};

/// By the widest there is.
pub(super) fn pass_text<E>(
    bytes: &[u8],
    at: usize,
    check: impl FnMut(usize) -> Result<(), E>,
) -> Result<Passed, E> {
    if has_512() {
        // SAFETY: the processor has what the function is compiled for.
        unsafe { by_512(bytes, at, check) }
    } else if has_256() {
        // SAFETY: as above.
        unsafe { by_256(bytes, at, check) }
    } else {
        pass_by(bytes, at, marks, check)
    }
}

fn has_512() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") && has_256()
}

fn has_256() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1")
}

#[target_feature(enable = "avx512f,avx512bw,avx2,bmi1")]
fn by_512<E>(bytes: &[u8], at: usize, check: impl FnMut(usize) -> Result<(), E>) -> Result<Passed, E> {
    // By its lower half a letter is looked up, and compared with what was found there.
    let letters = _mm512_broadcast_i32x4(_mm_setr_epi8(
        -1, -1, LETTER_R, -1, LETTER_T, -1, LETTER_F, -1, -1, -1, -1, -1, -1, -1, LETTER_N, SLASH,
    ));
    let look = |block: &[u8; BLOCK]| {
        // SAFETY: the block has as many bytes as are read, which need no alignment.
        let read: __m512i = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
        let quotes = _mm512_cmpeq_epi8_mask(read, _mm512_set1_epi8(QUOTE));
        let backslashes = _mm512_cmpeq_epi8_mask(read, _mm512_set1_epi8(BACKSLASH));
        let letters = _mm512_cmpeq_epi8_mask(read, _mm512_shuffle_epi8(letters, read));
        Marks {
            quotes,
            backslashes,
            controls: _mm512_cmplt_epu8_mask(read, _mm512_set1_epi8(0x20)),
            letters: letters | quotes | backslashes,
        }
    };
    pass_by(bytes, at, look, check)
}

#[target_feature(enable = "avx2,bmi1")]
fn by_256<E>(bytes: &[u8], at: usize, check: impl FnMut(usize) -> Result<(), E>) -> Result<Passed, E> {
    let letters = _mm256_setr_epi8(
        -1, -1, LETTER_R, -1, LETTER_T, -1, LETTER_F, -1, -1, -1, -1, -1, -1, -1, LETTER_N, SLASH, //
        -1, -1, LETTER_R, -1, LETTER_T, -1, LETTER_F, -1, -1, -1, -1, -1, -1, -1, LETTER_N, SLASH,
    );
    let look = |block: &[u8; BLOCK]| {
        let (halves, _) = block.as_chunks::<32>();
        let mut marks = Marks { quotes: 0, backslashes: 0, controls: 0, letters: 0 };
        for (index, half) in halves.iter().enumerate() {
            // SAFETY: the half has as many bytes as are read, which need no alignment.
            let read: __m256i = unsafe { _mm256_loadu_si256(half.as_ptr().cast()) };
            let mask =
                |found: __m256i| u64::from(_mm256_movemask_epi8(found).cast_unsigned()) << (32 * index);
            marks.quotes |= mask(_mm256_cmpeq_epi8(read, _mm256_set1_epi8(QUOTE)));
            marks.backslashes |= mask(_mm256_cmpeq_epi8(read, _mm256_set1_epi8(BACKSLASH)));
            marks.controls |= mask(_mm256_cmpeq_epi8(_mm256_min_epu8(read, _mm256_set1_epi8(0x1f)), read));
            marks.letters |= mask(_mm256_cmpeq_epi8(read, _mm256_shuffle_epi8(letters, read)));
        }
        marks.letters |= marks.quotes | marks.backslashes;
        marks
    };
    pass_by(bytes, at, look, check)
}

const QUOTE: i8 = b'"'.cast_signed();
const BACKSLASH: i8 = b'\\'.cast_signed();
const SLASH: i8 = b'/'.cast_signed();
const LETTER_F: i8 = b'f'.cast_signed();
const LETTER_N: i8 = b'n'.cast_signed();
const LETTER_R: i8 = b'r'.cast_signed();
const LETTER_T: i8 = b't'.cast_signed();

/// Every way that this processor has.
#[cfg(test)]
pub(super) fn each(
    mut try_one: impl FnMut(&dyn Fn(&[u8], usize, &mut dyn FnMut(usize) -> Result<(), ()>) -> Result<Passed, ()>),
) {
    if has_512() {
        // SAFETY: the processor has what the function is compiled for.
        try_one(&|bytes, at, check| unsafe { by_512(bytes, at, check) });
    }
    if has_256() {
        // SAFETY: as above.
        try_one(&|bytes, at, check| unsafe { by_256(bytes, at, check) });
    }
}
