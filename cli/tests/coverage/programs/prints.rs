//! The output macros of Rust, a way to use them for each first argument.

use std::io::{IoSlice, Write};

fn main() {
    let how = std::env::args().nth(1).unwrap();
    match how.as_str() {
        "macros" => {
            println!("println {}", 1);
            eprintln!("eprintln {:?}", Some("x"));
            print!("print, ");
            print!("in two\n");
            dbg!(1 + 1);
            let mut out = std::io::stdout().lock();
            out.write_all(b"write_all\n").unwrap();
            let slices = [IoSlice::new(b"write"), IoSlice::new(b"_vectored\n")];
            let _ = std::io::stderr().write_vectored(&slices).unwrap();
            (0..300).for_each(|i| writeln!(out, "line {i}").unwrap());
            write!(out, "no newline").unwrap();
        }
        "panic" => panic!("at the disco"),
        "result" => Result::<(), _>::Err("an error").unwrap(),
        "threads" => {
            let thread = std::thread::Builder::new().name("worker".into());
            let worker = thread.spawn(|| panic!("in a thread")).unwrap();
            let _ = worker.join();
            println!("joined");
        }
        "abort" => {
            println!("printed");
            std::process::abort();
        }
        _ => unreachable!(),
    }
}
