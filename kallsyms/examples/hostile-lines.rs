//! How long hostile inputs of some sizes take to be parsed, and how much memory: nothing may grow faster than the input.
//! `cargo run --release -p lapwing-kallsyms --example hostile-lines -- [MEGABYTES]..`, by default 10 20 40 100.

#[path = "../tests/hostile_lines/mod.rs"]
mod hostile_lines;
#[path = "../tests/hostile_lines/memory.rs"]
mod memory;

use hostile_lines::{Hostile, SHAPES};
use memory::{Counting, counted};
use std::io::BufReader;
use std::time::Instant;

#[global_allocator]
static MEMORY: Counting = Counting;

fn main() {
    let mut sizes: Vec<usize> = std::env::args().skip(1).filter_map(|size| size.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![10, 20, 40, 100];
    }
    for shape in &SHAPES {
        for &size in &sizes {
            let start = Instant::now();
            let input = BufReader::with_capacity(1 << 16, Hostile::new(shape, size << 20));
            let (parsed, taken) = counted(|| lapwing_kallsyms::parse(input));
            let end = match &parsed {
                Ok(table) => format!("a table of {:.1} MB", table.size() as f64 / 1e6),
                Err(error) => error.to_string(),
            };
            let unlike = if parsed.is_ok() == shape.good { "" } else { ", unlike longer ones" };
            let (seconds, peak) = (start.elapsed().as_secs_f64(), taken.peak as f64 / 1e6);
            let (copied, calls) = (taken.bytes as f64 / 1e6, taken.calls);
            println!(
                "{:30} {size:4} MB  {seconds:6.2} s  peak {peak:6.1} MB  {copied:7.1} MB in {calls:8} calls  {end}{unlike}",
                shape.name
            );
        }
    }
}
