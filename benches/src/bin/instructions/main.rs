//! Does one thing a few times in a function that callgrind counts: benches/instructions runs it and does the sums.
//!
//! `instructions list` names all cases, each with how often it does its thing; `instructions copy` how payload is copied;
//! `instructions run CASE`.

mod append;
mod captured;
mod lookup;
mod read;

use std::env;
use std::hint::black_box;

/// How often a case does its thing. All on one page: 59 records of 1000 bytes make one.
const TIMES: usize = 32;

/// What callgrind counts: from its call to its return.
#[inline(never)]
fn lapwing_counted<R>(operation: &mut impl FnMut() -> R) {
    black_box(operation());
}

/// A thing to count, which is done so often in [`lapwing_counted`].
struct Case {
    name: String,
    times: usize,
    run: Box<dyn FnOnce()>,
}

impl Case {
    fn new(name: &str, times: usize, run: impl FnOnce() + 'static) -> Self {
        Self { name: name.to_owned(), times, run: Box::new(run) }
    }
}

/// What [`lapwing_counted`] takes by itself, to be taken off the others.
fn nothing() {
    for _ in 0..TIMES {
        lapwing_counted(&mut || ());
    }
}

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let cases = || {
        let own = [Case::new("nothing", TIMES, nothing)];
        own.into_iter().chain(append::cases()).chain(read::cases()).chain(captured::cases()).chain(lookup::cases())
    };
    match words[..] {
        ["list"] => cases().for_each(|case| println!("{} {}", case.name, case.times)),
        ["copy"] => println!("{:?}", lapwing_ring::Body::BEST),
        ["write"] => captured::write(),
        ["run", name] => {
            let case = cases().find(|case| case.name == name);
            (case.unwrap_or_else(|| panic!("{name} is no case")).run)();
        }
        _ => panic!("list, copy, or run CASE"),
    }
}
