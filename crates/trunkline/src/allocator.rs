//! The allocator of the program: mimalloc, asked in the way that is cheap for it.
//!
//! Owns the choice between its two entrances. mimalloc's own Rust binding names the alignment of every request, and for all
//! sizes but powers of two that entrance takes a larger block and looks for the place in it, which also makes freeing dearer.
//! Without an alignment blocks are aligned to eight bytes at least, which is all that nearly every type asks for.

#![expect(unsafe_code, reason = "an allocator hands out raw memory; there is no safe way to be one")]

use libmimalloc_sys as mimalloc;
use std::alloc::{GlobalAlloc, Layout};

/// mimalloc.
pub(crate) struct Allocator;

/// What mimalloc aligns every block to: a word (its `MI_MAX_ALIGN_SIZE` is two, but not for blocks smaller than that).
const ALIGNED: usize = size_of::<usize>();

// SAFETY: every function passes the request on to mimalloc, which keeps the contract of `GlobalAlloc`: blocks of at least the size
// asked for, aligned as asked for (to a word where nothing is asked), null when there is no memory, no unwinding. A block may be
// freed or grown through either entrance, whichever it came from.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size and any power of two are allowed; a layout's alignment is one.
        unsafe {
            if layout.align() <= ALIGNED {
                mimalloc::mi_malloc(layout.size()).cast()
            } else {
                mimalloc::mi_malloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        unsafe {
            if layout.align() <= ALIGNED {
                mimalloc::mi_zalloc(layout.size()).cast()
            } else {
                mimalloc::mi_zalloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller gives a block of this allocator that nobody uses any more.
        unsafe { mimalloc::mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller gives a block of this allocator, and uses only what comes back.
        unsafe {
            if layout.align() <= ALIGNED {
                mimalloc::mi_realloc(block.cast(), size).cast()
            } else {
                mimalloc::mi_realloc_aligned(block.cast(), size, layout.align()).cast()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_keep_what_is_in_them_and_are_zero_where_that_is_asked() {
        for align in [1, 2, 4, 8, 16, 64, 4_096] {
            for size in (1..100).chain([1_000, 4_097, 70_000, 3_000_001]) {
                let layout = Layout::from_size_align(size, align).unwrap();
                let grown = size * 2 + 1;
                // SAFETY: the size is not zero, blocks are used within their sizes and freed once.
                unsafe {
                    let zeroed = Allocator.alloc_zeroed(layout);
                    assert!(std::slice::from_raw_parts(zeroed, size).iter().all(|&byte| byte == 0));
                    zeroed.write_bytes(7, size);
                    let block = Allocator.alloc(layout);
                    block.write_bytes(9, size);
                    let zeroed = Allocator.realloc(zeroed, layout, grown);
                    assert!(std::slice::from_raw_parts(zeroed, size).iter().all(|&byte| byte == 7));
                    assert_eq!((zeroed as usize % align, block as usize % align), (0, 0));
                    Allocator.dealloc(block, layout);
                    Allocator.dealloc(zeroed, Layout::from_size_align(grown, align).unwrap());
                }
            }
        }
    }
}
