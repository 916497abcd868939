//! What it costs to find the symbol of an address of a kernel, without and with its name, beside a binary search in an array
//! of all addresses, and that with a copy of the name. Random addresses of two kernels that were captured.

mod pace;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lapwing_benches::captured::{self, Kernel};
use lapwing_benches::{Folder, addresses};
use lapwing_kallsyms::{NameBuffer, Snapshot, Sources, Symbolizer};
use std::env;
use std::hint::black_box;
use std::path::Path;

/// Random addresses, asked one after the other and again.
const QUERIES: usize = 1 << 20;

fn load(kernel: &Kernel) -> Snapshot {
    let sources = Sources {
        kallsyms: kernel.kallsyms.clone(),
        modules: Some(kernel.modules.clone()),
        notes: Some(kernel.notes.clone()),
    };
    Symbolizer::load_from(sources).expect("the kernel's symbols").snapshot()
}

/// As flat as a table can be: addresses, and the names one behind the other.
struct Flat {
    addresses: Vec<u64>,
    ends: Vec<u32>,
    names: String,
}

impl Flat {
    /// What the table answers for each of these addresses.
    fn of(table: &Snapshot, addresses: Vec<u64>) -> Self {
        let (mut names, mut buffer) = (String::new(), NameBuffer::default());
        let mut end = |&address: &u64| {
            names.push_str(table.lookup(address).expect("a symbol").name_into(&mut buffer));
            names.len() as u32
        };
        Self { ends: addresses.iter().map(&mut end).collect(), addresses, names }
    }

    #[inline]
    fn lookup(&self, address: u64) -> usize {
        self.addresses.partition_point(|&start| start <= address) - 1
    }

    #[inline]
    fn name(&self, symbol: usize) -> &str {
        let start = if symbol == 0 { 0 } else { self.ends[symbol - 1] };
        &self.names[start as usize..self.ends[symbol] as usize]
    }
}

fn symbolize(c: &mut Criterion) {
    let place = if Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { env::temp_dir() };
    let folder = Folder::new_in(&place, "symbolize");
    let mut group = c.benchmark_group("symbolize");
    for kernel in captured::unpack(folder.path()) {
        let table = load(&kernel);
        let mut text = addresses::text(&kernel.kallsyms);
        text.dedup();
        text.retain(|&address| table.lookup(address).is_ok());
        let queries = addresses::queries(&text, QUERIES, true);
        let flat = Flat::of(&table, text);
        let mut at = 0;
        let mut next = || {
            at = (at + 1) % QUERIES;
            queries[at]
        };
        let mut buffer = NameBuffer::default();
        group.bench_function(BenchmarkId::new("lookup", kernel.name), |b| {
            b.iter(|| table.lookup(next()).map(|found| (found.offset(), found.id())));
        });
        group.bench_function(BenchmarkId::new("floor", kernel.name), |b| b.iter(|| flat.lookup(next())));
        group.bench_function(BenchmarkId::new("lookup-with-name", kernel.name), |b| {
            b.iter(|| table.lookup(next()).map(|found| found.name_into(&mut buffer).len()));
        });
        let mut name = String::new();
        group.bench_function(BenchmarkId::new("floor-with-name", kernel.name), |b| {
            b.iter(|| {
                name.clear();
                name.push_str(flat.name(flat.lookup(next())));
                black_box(name.as_ptr());
            });
        });
    }
    group.finish();
}

criterion_group!(name = benches; config = pace::criterion(); targets = symbolize);
criterion_main!(benches);
