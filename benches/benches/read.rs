//! What a reader pays for a record that was written a moment ago, in a mapping and by copies, beside memcpy of as many bytes
//! and one load of each of their cache lines.

mod pace;

use criterion::{Bencher, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lapwing_benches::{PAYLOADS, Ring, SIZE};
use lapwing_ring::{Access, Level, RECORD_HEADER_LEN, Read, Reader, Seek, Writer};
use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Bytes of the ring that a record takes with its index entry.
const fn taken(len: usize) -> usize {
    (RECORD_HEADER_LEN + len).next_multiple_of(8) + 8
}

/// The time of `read`; in front of each, as many records as it is to read are written, less than the ring holds.
fn written_before(b: &mut Bencher<'_>, len: usize, mut write: impl FnMut(usize), mut read: impl FnMut(usize)) {
    // A page has room for one record in 128 bytes, if they are that small.
    let most = (SIZE / taken(len).max(128) * 3 / 4) as u64;
    b.iter_custom(|iters| {
        let (mut left, mut total) = (iters, Duration::ZERO);
        while left > 0 {
            let now = left.min(most);
            left -= now;
            write(now as usize);
            let since = Instant::now();
            read(now as usize);
            total += since.elapsed();
        }
        total
    });
}

fn append(writer: &mut Writer, payload: &[u8], count: usize) {
    for _ in 0..count {
        writer.append(Level::INFO, black_box(payload)).unwrap();
    }
}

fn follow(reader: &mut Reader, count: usize) {
    let handed_out = reader
        .batch(count, |read| {
            let Read::Record(record) = read else { panic!("{read:?}") };
            black_box((record.seq, record.payload.as_ptr()));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(handed_out, count);
}

fn next(reader: &mut Reader, count: usize) {
    for _ in 0..count {
        let Ok(Read::Record(record)) = reader.next() else { panic!("a record is missing") };
        black_box((record.seq, record.payload.as_ptr()));
    }
}

fn next_record(reader: &mut Reader, count: usize) {
    for _ in 0..count {
        if let Some(record) = reader.next_record() {
            black_box((record.seq, record.payload.as_ptr()));
        } else {
            // The first record of a page.
            next(reader, 1);
        }
    }
}

fn read(c: &mut Criterion) {
    type Way = fn(&mut Reader, usize);
    let ways: [(&str, Access, Way); 4] = [
        ("batch", Access::Mapped, follow),
        ("next-record", Access::Mapped, next_record),
        ("next", Access::Mapped, next),
        ("batch-copied", Access::Copied, follow),
    ];
    let ring = Ring::new("read");
    let mut writer = ring.writer();
    let mut group = c.benchmark_group("read");
    for len in PAYLOADS {
        group.throughput(Throughput::Elements(1));
        let payload = vec![b'x'; len];
        for (name, access, way) in ways {
            let mut reader = Reader::open_with(ring.path(), access).unwrap();
            group.bench_function(BenchmarkId::new(name, len), |b| {
                // Once all around: a copy's memory has been touched then, as the mapping's.
                reader.seek(Seek::Oldest).unwrap();
                while !matches!(reader.next(), Ok(Read::NotYet { .. })) {}
                written_before(b, len, |count| append(&mut writer, &payload, count), |count| way(&mut reader, count));
            });
        }
        let (mut from, mut to) = (vec![1u8; SIZE], vec![0u8; taken(len)]);
        group.bench_function(BenchmarkId::new("memcpy", len), |b| {
            let read = |from: &Vec<u8>, count| {
                for record in from.chunks_exact(taken(len)).take(count) {
                    to.copy_from_slice(record);
                    black_box(to.as_mut_ptr());
                }
            };
            floor(b, len, &mut from, read);
        });
        group.bench_function(BenchmarkId::new("floor", len), |b| {
            let read = |from: &Vec<u8>, count| {
                // Lines that two records share are loaded once.
                let lines = from[..taken(len) * count].chunks(64);
                black_box(lines.map(|line| u64::from(line[0])).sum::<u64>());
            };
            floor(b, len, &mut from, read);
        });
    }
    group.finish();
}

fn floor(b: &mut Bencher<'_>, len: usize, from: &mut Vec<u8>, mut read: impl FnMut(&Vec<u8>, usize)) {
    let from = std::cell::RefCell::new(from);
    let write = |count| {
        let mut from = from.borrow_mut();
        from[..taken(len) * count].fill(black_box(1));
    };
    written_before(b, len, write, |count| read(&from.borrow(), count));
}

criterion_group!(name = benches; config = pace::criterion(); targets = read);
criterion_main!(benches);
