//! What a line of each format of `lapwing tail` costs, without reading the record and writing the line, beside memcpy of the
//! line.

mod pace;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lapwing_benches::texts::{self, NAMES, TEXT};
use lapwing_reader_shim::{Format, Renderer, Who};
use lapwing_ring::{Fields, Flags, Record, Source};
use std::hint::black_box;
use std::ops::Range;

/// As many as make more lines than the caches next to the processor hold.
const RECORDS: u64 = 1024;
/// Lines are gathered before they are written: so many bytes.
const GATHERED: usize = 64 << 10;

/// Some 700 ns apart.
fn record(n: u64, text: &str) -> Record<'_> {
    Record {
        seq: 1_000_000 + n,
        mono_ns: 123_456_789_012_345 + n * 700,
        real_ns: 1_795_240_422_123_456_789 + n as i64 * 700,
        pid: 4711 + n as u32 % 4,
        tid: 4711 + n as u32 % 4,
        level: texts::level(n),
        source: Source::Api,
        flags: Flags::NONE,
        fields: Fields::default(),
        payload: text.as_bytes(),
    }
}

fn who(n: u64) -> Who<'static> {
    Who { comm: NAMES[n as usize % NAMES.len()].as_bytes(), uid: Some(0) }
}

fn render(c: &mut Criterion) {
    let mut texts = vec![String::new(); RECORDS as usize];
    texts.iter_mut().zip(0..).for_each(|(text, n)| texts::write(text, NAMES[n as usize % NAMES.len()], n));
    let records: Vec<_> = texts.iter().zip(0..).map(|(text, n)| (record(n, text), who(n))).collect();
    let mut group = c.benchmark_group("render");
    for format in Format::ALL {
        let mut renderer = Renderer::new(format, false);
        let mut all = Vec::new();
        let mut line = |(record, who): &(Record<'_>, Who<'_>)| -> Range<usize> {
            let start = all.len();
            renderer.record(&mut all, record, who);
            start..all.len()
        };
        let lines: Vec<_> = records.iter().map(&mut line).collect();
        assert!(lines.iter().all(|line| line.len() >= TEXT));
        group.throughput(Throughput::Bytes(all.len() as u64 / RECORDS));

        let (mut out, mut at) = (Vec::with_capacity(2 * GATHERED), 0);
        group.bench_function(BenchmarkId::new("record", format), |b| {
            b.iter(|| {
                let (record, who) = &records[at];
                renderer.record(&mut out, black_box(record), who);
                at = step(at, &mut out);
            });
        });
        group.bench_function(BenchmarkId::new("floor", format), |b| {
            b.iter(|| {
                out.extend_from_slice(&all[black_box(lines[at].clone())]);
                at = step(at, &mut out);
            });
        });
    }
    group.finish();
}

/// The place of the next record; what was gathered goes as it would be written.
fn step(at: usize, out: &mut Vec<u8>) -> usize {
    if out.len() >= GATHERED {
        black_box(out.as_ptr());
        out.clear();
    }
    (at + 1) % RECORDS as usize
}

criterion_group!(name = benches; config = pace::criterion(); targets = render);
criterion_main!(benches);
