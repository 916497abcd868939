//! What opening a page costs: an append that opens one, beside one that does not, each timed by itself, as is the floor: what
//! no append that opens a page can do without.

mod pace;

use criterion::{Bencher, Criterion, criterion_group, criterion_main};
use lapwing_benches::{Buffer, Opener, Ring, Word};
use lapwing_ring::Writer;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

const LEN: usize = 100;

/// The time of `timed` alone, each time behind `before`.
fn alone<T>(b: &mut Bencher<'_>, what: &mut T, mut before: impl FnMut(&mut T), mut timed: impl FnMut(&mut T)) {
    b.iter_custom(|iters| {
        let mut total = Duration::ZERO;
        for _ in 0..iters {
            before(what);
            let since = Instant::now();
            timed(what);
            total += since.elapsed();
        }
        total
    });
}

/// What a page's opener has to do at least: three exchanges on HEAD (close, decide, open), one announcement behind which
/// no load may come early, and the four words of the page's header; then an append.
struct Floor {
    head: Word,
    announce: Word,
    headers: Vec<[AtomicU64; 8]>,
    at: usize,
    buffer: Buffer,
}

/// Lines of a page of 64 KiB.
const STRIDE: usize = 1024;

impl Floor {
    fn new() -> Self {
        let headers = (0..lapwing_benches::SIZE / 64).map(|_| Default::default()).collect();
        Self { head: Word::default(), announce: Word::default(), headers, at: 0, buffer: Buffer::default() }
    }

    fn open(&mut self) {
        for _ in 0..2 {
            assert!(self.head.compare_exchange());
        }
        self.announce.store(1);
        fence(Ordering::SeqCst);
        self.at = (self.at + STRIDE) % self.headers.len();
        for word in &self.headers[self.at][..4] {
            word.store(1, Ordering::Relaxed);
        }
        assert!(self.head.compare_exchange());
        self.announce.store(0);
    }

    fn append(&mut self) {
        assert!(self.head.compare_exchange());
        self.buffer.copy(std::hint::black_box(&[b'x'; LEN]));
    }
}

fn advance(c: &mut Criterion) {
    let ring = Ring::new("advance");
    let mut opener = Opener::new(&ring, LEN);
    let mut group = c.benchmark_group("advance");
    group.bench_function("clock-alone", |b| alone(b, &mut (), |()| (), |()| ()));
    group.bench_function("append", |b| {
        alone(b, &mut opener, Opener::fill_half, Opener::append);
        assert!(!opener.has_opened());
    });
    let mut opening = |b: &mut Bencher<'_>| {
        alone(b, &mut opener, Opener::fill, Opener::append);
        assert!(opener.has_opened());
    };
    group.bench_function("append-that-opens", &mut opening);
    // They have a slot each, and append nothing.
    let others: Vec<_> = (0..100).map(|_| Writer::open(ring.path()).unwrap()).collect();
    group.bench_function("append-that-opens-100-idle-writers", &mut opening);
    drop(others);
    let between = opener.per_page() - 1;
    group.bench_function("floor", |b| {
        let before = |floor: &mut Floor| (0..between).for_each(|_| floor.append());
        let timed = |floor: &mut Floor| {
            floor.open();
            floor.append();
        };
        alone(b, &mut Floor::new(), before, timed);
    });
    group.finish();
}

criterion_group!(name = benches; config = pace::criterion(); targets = advance);
criterion_main!(benches);
