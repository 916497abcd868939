//! Is what the header says of signal handlers, allocation and cancellation true of the library, loaded by dlopen(3)?

mod installed;

use installed::{Installed, succeed};
use lapwing_ring::{Create, Read, Reader};
use std::process::Command;

/// Runs `handler.c`; gives how often its first handler allocated.
fn run(prepare: &str) -> u32 {
    let installed = Installed::new();
    // Large enough that nothing is lost, so that the records can be counted.
    let ring = installed.path("large");
    Create::new().size(64 << 20).create(&ring).unwrap();
    let small = installed.path("small");
    Create::new().size(64 << 10).create(&small).unwrap();
    let program = installed.compile("handler", &["tests/handler.c", "-ldl"]);
    let output = succeed(Command::new(program).arg(&ring).arg(installed.library()).arg(prepare).arg(&small));
    let text = String::from_utf8(output.stdout).unwrap();
    let number = |name: &str| -> u32 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
    };
    assert_eq!((number("cancelled"), number("errors")), (1, 0), "{text}");
    assert!(number("handled") > 20, "{text}");

    let (mut handler, mut interrupted) = (0, 0);
    let mut reader = Reader::open(&ring).unwrap();
    loop {
        match reader.next().unwrap() {
            Read::Record(record) => match record.payload {
                b"handler" => handler += 1,
                b"interrupted" => interrupted += 1,
                other => panic!("{}", other.escape_ascii()),
            },
            Read::NotYet { .. } => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(handler, number("handled"));
    assert!(interrupted >= 5000);

    // The dead's record and those of the thread that was cancelled, in a ring that they went around.
    let stat = Reader::open(&small).unwrap().stat().unwrap();
    assert_eq!((stat.bounds.next_seq, stat.refused.all_pages_pinned), (4001, 0));
    assert!(stat.bounds.oldest_seq > 0, "the page of the dead was not needed");
    number("allocations")
}

#[test]
fn a_handler_in_a_prepared_thread_allocates_nothing() {
    assert_eq!(run("1"), 0);
}

#[test]
fn without_preparing_a_handler_writes_all_the_same() {
    println!("{} allocations", run("0"));
}
