//! What the guest says to the machine that started it: one line for each check, by the second serial port.

#![forbid(unsafe_code)]

use std::any::Any;
use std::fs::File;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Instant;

const PORT: &str = "/dev/ttyS1";

/// Counts checks, and says of each whether it passed.
pub struct Verdicts {
    port: File,
    failed: usize,
    passed: usize,
    /// Where the last panic was.
    place: Arc<Mutex<String>>,
}

impl Verdicts {
    /// From here on a panic leaves its place for the verdict, beside what it says on the console.
    pub fn open() -> Self {
        let place = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&place);
        let say = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            *kept.lock().expect("nobody panics here") = panic.location().map_or_else(String::new, ToString::to_string);
            say(panic);
        }));
        let port = File::options().write(true).open(PORT).expect("the second serial port");
        Self { port, failed: 0, passed: 0, place }
    }

    /// Says what `body` returns, or where and why it panicked.
    pub fn check(&mut self, name: &str, body: impl FnOnce() -> String) {
        let began = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(body));
        let took = began.elapsed().as_millis();
        match outcome {
            Ok(detail) => {
                self.passed += 1;
                writeln!(self.port, "ok   {name}: {detail} ({took} ms)").expect("the serial port");
            }
            Err(panic) => {
                self.failed += 1;
                let place = self.place.lock().expect("nobody panics here").clone();
                let why = message(panic.as_ref()).replace('\n', "");
                writeln!(self.port, "FAIL {name}: {why}, {place} ({took} ms)").expect("the serial port");
            }
        }
    }

    /// The line that the script looks for: without it the guest died.
    pub fn end(mut self) {
        let word = if self.failed == 0 && self.passed > 0 { "passed" } else { "failed" };
        writeln!(self.port, "{word}: {} checks, {} failed", self.passed + self.failed, self.failed)
            .expect("the serial port");
        rustix::termios::tcdrain(&self.port).expect("the serial port");
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "a panic without words",
    }
}
