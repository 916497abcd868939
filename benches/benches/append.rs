//! `append` from one writer and from two, beside what it cannot do without: memcpy of the same bytes into a buffer as large
//! as the ring, one uncontended compare-exchange, and the counter that gives the ticks. Then what attaching and reading cost.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lapwing_benches::{Buffer, PAYLOADS, Ring, Word, ticks};
use lapwing_ring::{Access, Body, Level, Read, Reader, Seek, Writer};
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

fn one_writer(c: &mut Criterion) {
    let ring = Ring::new("append");
    let mut group = c.benchmark_group("one-writer");
    for len in PAYLOADS {
        let payload = vec![b'x'; len];
        group.throughput(Throughput::Bytes(len as u64));
        let modes =
            [("append", Body::BEST, true), ("append-no-ticks", Body::BEST, false), ("append-words", Body::Words, true)];
        for (name, body, ticking) in modes {
            let mut writer = ring.writer();
            writer.set_modes(body, ticking);
            group.bench_with_input(BenchmarkId::new(name, len), &payload[..], |b, payload| {
                b.iter(|| writer.append(Level::INFO, black_box(payload)).unwrap());
            });
        }
        let mut buffer = Buffer::default();
        group.bench_with_input(BenchmarkId::new("memcpy", len), &payload[..], |b, payload| {
            b.iter(|| buffer.copy(black_box(payload)));
        });
        let word = Word::default();
        group.bench_with_input(BenchmarkId::new("floor", len), &payload[..], |b, payload| {
            b.iter(|| {
                assert!(word.compare_exchange());
                buffer.copy(black_box(payload));
            });
        });
    }
    group.finish();
}

fn two_writers(c: &mut Criterion) {
    const WRITERS: usize = 2;
    let ring = Ring::new("two");
    let mut writers: Vec<_> = (0..WRITERS).map(|_| ring.writer()).collect();
    let mut group = c.benchmark_group("two-writers");
    for len in PAYLOADS {
        let payload = vec![b'x'; len];
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_with_input(BenchmarkId::new("append", len), &payload[..], |b, payload| {
            // Each writer's own time for its own appends, all of them at once; the mean of that.
            b.iter_custom(|iters| {
                let start = Barrier::new(WRITERS);
                let total: Duration = std::thread::scope(|scope| {
                    let threads: Vec<_> = writers
                        .iter_mut()
                        .map(|writer| {
                            scope.spawn(|| {
                                start.wait();
                                let since = Instant::now();
                                for _ in 0..iters {
                                    writer.append(Level::INFO, black_box(payload)).unwrap();
                                }
                                since.elapsed()
                            })
                        })
                        .collect();
                    threads.into_iter().map(|thread| thread.join().unwrap()).sum()
                });
                total / WRITERS as u32
            });
        });
    }
    group.finish();
}

/// What a process pays once: attach, and give the slot back.
fn attach(c: &mut Criterion) {
    let ring = Ring::new("attach");
    c.bench_function("attach-and-detach", |b| b.iter(|| Writer::open(ring.path()).unwrap()));
}

/// What a reader pays for a record, in a mapping and by copies; the ring is read from its oldest record again and again.
fn read(c: &mut Criterion) {
    let ring = Ring::new("read");
    let mut writer = ring.writer();
    for _ in 0..1_000_000 {
        writer.append(Level::INFO, &[b'x'; 100]).unwrap();
    }
    let mut group = c.benchmark_group("read-100");
    for (name, access) in [("mapped", Access::Mapped), ("copied", Access::Copied)] {
        let mut reader = Reader::open_with(ring.path(), access).unwrap();
        group.bench_function(name, |b| {
            b.iter(|| {
                if !matches!(black_box(reader.next()), Ok(Read::Record(_))) {
                    reader.seek(Seek::Oldest).unwrap();
                }
            });
        });
    }
    group.finish();
}

fn parts(c: &mut Criterion) {
    let word = Word::default();
    c.bench_function("compare-exchange", |b| b.iter(|| word.compare_exchange()));
    c.bench_function("rdtsc", |b| b.iter(ticks));
}

criterion_group!(benches, one_writer, two_writers, attach, read, parts);
criterion_main!(benches);
