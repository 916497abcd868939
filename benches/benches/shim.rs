//! What a write(2) costs in a program under the preloaded library, beside the same without it and an append: by processes
//! that this one starts and asks for the time of so many writes.

mod pace;

use criterion::{Criterion, criterion_group};
use lapwing_benches::Ring;
use lapwing_benches::shim::{self, Output, Worker};

fn captured(c: &mut Criterion) {
    let ring = Ring::new("shim");
    let mut group = c.benchmark_group("shim");
    let pipe = Output::pipe();
    // What they write to, and how: with the library or not, and does that write to the pipe too?
    let workers = [
        ("floor-quiet", "append", None),
        ("line-quiet", "write", Some(true)),
        ("pipe-alone", "write", None),
        ("floor-pipe", "write-and-append", None),
        ("line-pipe", "write", Some(false)),
        ("floor-other", "other", None),
        ("line-other", "other", Some(false)),
    ];
    for (name, what, quiet) in workers {
        let mut worker = None;
        group.bench_function(name, |b| {
            let worker = worker.get_or_insert_with(|| Worker::start(what, pipe.clone(), &ring, quiet));
            b.iter_custom(|iters| worker.take(iters));
        });
    }
    group.finish();
}

criterion_group!(name = benches; config = pace::criterion(); targets = captured);

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [word, what] = &arguments[..]
        && word == "worker"
    {
        return shim::work(what);
    }
    benches();
    criterion::Criterion::default().configure_from_args().final_summary();
}
