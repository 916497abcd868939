//! `append` from one writer and from two, beside what it cannot do without: memcpy of the same bytes into a buffer as large
//! as the ring and one compare-exchange. Then the parts alone, and what attaching costs.
#![allow(unsafe_code)]

mod pace;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lapwing_benches::{Buffer, PAYLOADS, Ring, Word, ticks};
use lapwing_ring::{Body, Draft, Level, Log, Writer};
use rustix::mm::{MapFlags, ProtFlags};
use std::fs::File;
use std::hint::black_box;
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

fn one_writer(c: &mut Criterion) {
    let ring = Ring::new("append");
    let mut group = c.benchmark_group("append");
    for len in PAYLOADS {
        let payload = vec![b'x'; len];
        group.throughput(Throughput::Bytes(len as u64));
        let modes =
            [("writer", Body::BEST, true), ("writer-no-ticks", Body::BEST, false), ("writer-words", Body::Words, true)];
        for (name, body, ticking) in modes {
            let mut writer = ring.writer();
            writer.set_modes(body, ticking);
            group.bench_with_input(BenchmarkId::new(name, len), &payload[..], |b, payload| {
                b.iter(|| writer.append(Level::INFO, black_box(payload)).unwrap());
            });
        }
        let mut writer = ring.writer();
        group.bench_with_input(BenchmarkId::new("writer-two-slices", len), &payload[..], |b, payload| {
            let (front, end) = payload.split_at(payload.len() / 2);
            b.iter(|| writer.append_slices(&Draft::new(Level::INFO), black_box(&[front, end])).unwrap());
        });
        for (name, ticking) in [("log", true), ("log-no-ticks", false)] {
            let mut log = ring.log();
            log.set_modes(Body::BEST, ticking);
            group.bench_with_input(BenchmarkId::new(name, len), &payload[..], |b, payload| {
                b.iter(|| log.append(Level::INFO, black_box(payload)).unwrap());
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

const WRITERS: usize = 2;

/// The mean of what each of the threads needed for its own `iters` operations, all of them at once.
fn at_once<T: Send>(iters: u64, each: &mut [T], operation: impl Fn(&mut T) + Sync) -> Duration {
    let start = Barrier::new(each.len());
    let run = |own: &mut T| {
        start.wait();
        let since = Instant::now();
        for _ in 0..iters {
            operation(own);
        }
        since.elapsed()
    };
    let total: Duration = std::thread::scope(|scope| {
        let threads: Vec<_> = each.iter_mut().map(|own| scope.spawn(|| run(own))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    total / WRITERS as u32
}

fn two_writers(c: &mut Criterion) {
    let ring = Ring::new("two");
    let mut writers: Vec<_> = (0..WRITERS).map(|_| ring.writer()).collect();
    let mut buffers: Vec<_> = (0..WRITERS).map(|_| Buffer::default()).collect();
    let word = Word::default();
    let mut group = c.benchmark_group("two-writers");
    for len in PAYLOADS {
        let payload = vec![b'x'; len];
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_with_input(BenchmarkId::new("append", len), &payload[..], |b, payload| {
            b.iter_custom(|iters| {
                at_once(iters, &mut writers, |writer| {
                    writer.append(Level::INFO, black_box(payload)).unwrap();
                })
            });
        });
        group.bench_with_input(BenchmarkId::new("floor", len), &payload[..], |b, payload| {
            b.iter_custom(|iters| {
                at_once(iters, &mut buffers, |buffer| {
                    while !word.compare_exchange() {}
                    buffer.copy(black_box(payload));
                })
            });
        });
    }
    group.finish();
}

/// What a process pays once: attach and give the slot back; and its first append. The floor: open and map a file as large,
/// and take that back.
fn attach(c: &mut Criterion) {
    let ring = Ring::new("attach");
    let mut group = c.benchmark_group("attach");
    group.bench_function("writer", |b| b.iter(|| Writer::open(ring.path()).unwrap()));
    group.bench_function("log", |b| b.iter(|| Log::open(ring.path()).unwrap()));
    group.bench_function("floor", |b| b.iter(|| map(ring.path())));
    group.bench_function("first-append", |b| {
        let open = || Writer::open(ring.path()).unwrap();
        b.iter_batched_ref(open, |writer| writer.append(Level::INFO, &[b'x'; 100]).unwrap(), BatchSize::PerIteration);
    });
    group.finish();
}

fn map(path: &Path) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let len = file.metadata().unwrap().len() as usize;
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping, which covers nothing that is there already.
    let memory = unsafe { rustix::mm::mmap(std::ptr::null_mut(), len, access, MapFlags::SHARED, &file, 0) }.unwrap();
    // SAFETY: exactly the mapping that was made above; nobody has a pointer into it.
    unsafe { rustix::mm::munmap(memory, len) }.unwrap();
}

fn parts(c: &mut Criterion) {
    let word = Word::default();
    let mut group = c.benchmark_group("parts");
    group.bench_function("compare-exchange", |b| b.iter(|| word.compare_exchange()));
    group.bench_function("rdtsc", |b| b.iter(ticks));
    group.finish();
}

criterion_group!(name = benches; config = pace::criterion(); targets = one_writer, two_writers, attach, parts);
criterion_main!(benches);
