//! One call of `log!` and one of `tracing`, each into a ring and into a logger that drops it, beside an append of the
//! same record.

mod pace;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use lapwing_benches::Ring;
use lapwing_log::{Logger, Sink};
use lapwing_ring::{Draft, Field, Level, Log, Value};
use lapwing_tracing::RingLayer;
use std::hint::black_box;
use tracing::subscriber::with_default;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry;

const TEXT: &str = "the disk sda is almost full, which somebody should look at before it is full";

/// Takes what it is given and does nothing with it.
struct Null;

impl log::Log for Null {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        black_box(record);
    }

    fn flush(&self) {}
}

impl<S: tracing::Subscriber> Layer<S> for Null {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        black_box(event);
    }
}

/// An append of the same text, and one with the tag and the place that every record of the front ends has.
fn floor(group: &mut BenchmarkGroup<'_, WallTime>, log: &Log) {
    group.bench_function("append", |b| b.iter(|| log.append(Level::INFO, black_box(TEXT).as_bytes())));
    group.bench_function("floor", |b| {
        b.iter(|| {
            let fields = [
                Field::Tag(b"fronts"),
                Field::KeyValue(b"file", Value::Text(file!().as_bytes())),
                Field::KeyValue(b"line", Value::Uint(line!().into())),
            ];
            log.append_slices(&Draft { fields: &fields, ..Draft::new(Level::INFO) }, &[black_box(TEXT).as_bytes()])
        })
    });
}

fn log_facade(c: &mut Criterion) {
    log::set_max_level(log::LevelFilter::Info);
    let ring = Ring::new("fronts-log");
    // All around the ring once, so that no first touch is measured.
    let log = ring.log();
    let logger = Logger::new(Sink::open_at(ring.path()).unwrap());
    let mut group = c.benchmark_group("log");
    floor(&mut group, &log);
    group.bench_function("off", |b| b.iter(|| log::debug!(logger: logger, "{}", black_box(TEXT))));
    group.bench_function("null", |b| b.iter(|| log::info!(logger: Null, "{}", black_box(TEXT))));
    group.bench_function("text", |b| b.iter(|| log::info!(logger: logger, "{}", black_box(TEXT))));
    group.bench_function("number", |b| b.iter(|| log::info!(logger: logger, "{TEXT} {}", black_box(123_456))));
    group.bench_function("two-fields", |b| {
        b.iter(|| log::info!(logger: logger, free = black_box(12), name = "sda"; "{}", black_box(TEXT)))
    });
    group.finish();
    assert_eq!(logger.refused(), 0);
}

fn tracing_layer(c: &mut Criterion) {
    let ring = Ring::new("fronts-tracing");
    let log = ring.log();
    let layer = RingLayer::new(Sink::open_at(ring.path()).unwrap());
    let mut group = c.benchmark_group("tracing");
    floor(&mut group, &log);
    let call = || tracing::info!(free = black_box(12), name = "sda", "{}", black_box(TEXT));
    with_default(registry().with(Null), || {
        let _span = tracing::info_span!("request", id = 7).entered();
        group.bench_function("null-two-fields-in-a-span", |b| b.iter(call));
    });
    with_default(registry().with(layer.clone()), || {
        group.bench_function("text", |b| b.iter(|| tracing::info!("{}", black_box(TEXT))));
        group.bench_function("two-fields", |b| b.iter(call));
        let _span = tracing::info_span!("request", id = 7).entered();
        group.bench_function("two-fields-in-a-span", |b| b.iter(call));
        let _span = tracing::info_span!("query", table = "t").entered();
        group.bench_function("two-fields-in-two-spans", |b| b.iter(call));
        group.bench_function("span", |b| b.iter(|| tracing::info_span!("request", id = black_box(7))));
    });
    group.finish();
    assert_eq!(layer.refused(), 0);
}

criterion_group!(name = benches; config = pace::criterion(); targets = log_facade, tracing_layer);
criterion_main!(benches);
