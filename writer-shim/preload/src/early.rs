//! What the constructor allocates lies in memory of this library: setting a heap up is the program's business, and many end
//! without one. Behind the constructor whatever is allocated is the C library's again.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// Bytes for the constructor; what it needs beyond them comes from the C library. What is not used takes no memory.
const ROOM: usize = 16 << 10;

/// Aligned to where [`next`] begins to count.
#[repr(C, align(128))]
struct Room(UnsafeCell<[u8; ROOM]>);

// SAFETY: nobody looks at the bytes but through the pieces handed out, and no two of these overlap.
unsafe impl Sync for Room {}

static PLACE: Room = Room(UnsafeCell::new([0; ROOM]));

/// Bytes handed out; [`CLOSED`] or more: no further ones are.
static TAKEN: AtomicUsize = AtomicUsize::new(CLOSED);
const CLOSED: usize = ROOM + 1;

struct Early;

#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: Early = Early;

/// Runs the constructor.
pub(crate) fn allocate_here(construct: impl FnOnce()) {
    TAKEN.store(0, Relaxed);
    construct();
    TAKEN.store(CLOSED, Relaxed);
}

/// Where the next piece begins and ends, if so many bytes are taken already.
fn next(taken: usize, layout: Layout) -> Option<(usize, usize)> {
    let start = taken.checked_next_multiple_of(layout.align())?;
    let end = start.checked_add(layout.size())?;
    (layout.align() <= align_of::<Room>() && end <= ROOM).then_some((start, end))
}

/// A piece of our memory, all zeros; null if there is none.
fn take(layout: Layout) -> *mut u8 {
    // Another library's constructor may have made threads that come by here.
    let taken = TAKEN.fetch_update(Relaxed, Relaxed, |taken| next(taken, layout).map(|(_, end)| end));
    match taken.ok().and_then(|taken| next(taken, layout)) {
        Some((start, _)) => PLACE.0.get().cast::<u8>().wrapping_add(start),
        None => ptr::null_mut(),
    }
}

fn is_here(place: *mut u8) -> bool {
    let start = PLACE.0.get() as usize;
    (start..start + ROOM).contains(&(place as usize))
}

// SAFETY: a piece lies in our own memory, which is never unmapped, is aligned as `next` counts and overlaps no other, since
// what is given back is not handed out again; everything else is the system's.
unsafe impl GlobalAlloc for Early {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let place = take(layout);
        if !place.is_null() {
            return place;
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let place = take(layout);
        if !place.is_null() {
            return place;
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        if !is_here(place) {
            // SAFETY: the caller's promise, and not ours, so the system's.
            unsafe { System.dealloc(place, layout) }
        }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !is_here(place) {
            // SAFETY: as in `dealloc`.
            return unsafe { System.realloc(place, layout, size) };
        }
        // SAFETY: the caller's promise: `size` is valid for this alignment.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: of the caller's size, which is not 0.
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            // SAFETY: both have so many bytes, and pieces do not overlap.
            unsafe { ptr::copy_nonoverlapping(place, moved, layout.size().min(size)) };
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_lie_apart_and_are_zeros_and_behind_the_constructor_there_are_none() {
        let any = Layout::new::<u8>();
        assert!(take(any).is_null(), "before it");
        let mut ends = Vec::new();
        allocate_here(|| {
            for (size, align) in [(1, 1), (8, 8), (3, 1), (896, 128), (0, 1), (64, 16)] {
                let place = take(Layout::from_size_align(size, align).unwrap());
                assert!(is_here(place) && (place as usize).is_multiple_of(align), "{size} {align}");
                assert!(ends.last().is_none_or(|&end| end <= place as usize), "{size} {align}");
                ends.push(place as usize + size);
                // SAFETY: a piece of this length that nobody else has.
                let bytes = unsafe { std::slice::from_raw_parts_mut(place, size) };
                assert!(bytes.iter().all(|&byte| byte == 0));
                bytes.fill(7);
            }
            assert!(take(Layout::new::<[u8; ROOM]>()).is_null(), "more than is left");
            assert!(take(Layout::from_size_align(1, 4096).unwrap()).is_null(), "aligned to a page");
            let four = Layout::new::<[u8; 4]>();
            // SAFETY: a layout of some size.
            let place = unsafe { Early.alloc(four) };
            // SAFETY: a piece of this length that nobody else has.
            unsafe { place.cast::<[u8; 4]>().write([1, 2, 3, 4]) };
            // SAFETY: of this allocator and this layout, and larger than nothing.
            let longer = unsafe { Early.realloc(place, four, 6) };
            // SAFETY: as long as this.
            assert_eq!(unsafe { longer.cast::<[u8; 6]>().read() }, [1, 2, 3, 4, 0, 0]);
            assert!(is_here(longer) && longer != place);
        });
        assert!(take(any).is_null(), "behind it");
    }
}
