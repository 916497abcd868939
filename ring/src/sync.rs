//! The only file that names an atomics crate, and where ordering labels live.
//!
//! In a normal build [`Atomic`] is the `atomic` crate's typed cell and a label is nothing. Under loom the same names are
//! loom's cells, and one label at a time can be weakened, to prove that some model needs it. In the unit tests a label is
//! where a process can be made to die or stop.

#![forbid(unsafe_code)]

pub(crate) use imp::{Atomic, at, fence_at};

// Every cell of a mapping must be one machine word without a lock behind it.
#[cfg(not(all(test, loom)))]
const _: () = assert!(Atomic::<u64>::is_lock_free());

#[cfg(any(not(test), all(miri, not(loom))))]
mod imp {
    pub(crate) use atomic::Atomic;
    use atomic::Ordering;

    /// The ordering `order` under the name `label`; docs/PROTOCOL.md has one row for each label.
    #[inline(always)]
    pub(crate) const fn at(_label: &'static str, order: Ordering) -> Ordering {
        order
    }

    /// A fence of the ordering `order` under the name `label`.
    #[inline(always)]
    pub(crate) fn fence_at(_label: &'static str, order: Ordering) {
        atomic::fence(order);
    }
}

#[cfg(all(test, not(loom), not(miri)))]
mod imp {
    pub(crate) use atomic::Atomic;
    use atomic::Ordering;

    pub(crate) fn at(label: &'static str, order: Ordering) -> Ordering {
        crate::deaths::pass(label);
        order
    }

    pub(crate) fn fence_at(label: &'static str, order: Ordering) {
        crate::deaths::pass(label);
        atomic::fence(order);
    }
}

#[cfg(all(test, loom))]
pub(crate) use imp::weaken;

#[cfg(all(test, loom))]
mod imp {
    use atomic::Ordering;
    use std::cell::Cell;
    use std::marker::PhantomData;

    // Loom runs all threads of a model on the thread that started it.
    thread_local!(static WEAKENED: Cell<Option<&'static str>> = const { Cell::new(None) });

    /// Makes every use of `label` on this thread Relaxed (a fence: nothing) until the next call; `None` restores all.
    pub(crate) fn weaken(label: Option<&'static str>) {
        WEAKENED.set(label);
    }

    fn weakened(label: &'static str) -> bool {
        WEAKENED.get() == Some(label)
    }

    pub(crate) fn at(label: &'static str, order: Ordering) -> Ordering {
        if weakened(label) { Ordering::Relaxed } else { order }
    }

    pub(crate) fn fence_at(label: &'static str, order: Ordering) {
        if !weakened(label) {
            loom::sync::atomic::fence(order);
        }
    }

    pub(crate) struct Atomic<T>(loom::sync::atomic::AtomicU64, PhantomData<T>);

    impl<T: bytemuck::Pod> Atomic<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::atomic::AtomicU64::new(bytemuck::cast(value)), PhantomData)
        }
        #[track_caller]
        pub(crate) fn load(&self, order: Ordering) -> T {
            bytemuck::cast(self.0.load(order))
        }
        #[track_caller]
        pub(crate) fn store(&self, value: T, order: Ordering) {
            self.0.store(bytemuck::cast(value), order);
        }
        #[track_caller]
        pub(crate) fn compare_exchange(&self, old: T, new: T, ok: Ordering, err: Ordering) -> Result<T, T> {
            self.0
                .compare_exchange(bytemuck::cast(old), bytemuck::cast(new), ok, err)
                .map(bytemuck::cast)
                .map_err(bytemuck::cast)
        }
    }

    impl Atomic<u64> {
        #[track_caller]
        pub(crate) fn swap(&self, n: u64, order: Ordering) -> u64 {
            self.0.swap(n, order)
        }
        #[track_caller]
        pub(crate) fn fetch_add(&self, n: u64, order: Ordering) -> u64 {
            self.0.fetch_add(n, order)
        }
        #[track_caller]
        pub(crate) fn fetch_max(&self, n: u64, order: Ordering) -> u64 {
            self.0.fetch_max(n, order)
        }
    }
}
