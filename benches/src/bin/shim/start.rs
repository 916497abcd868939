//! What it costs to start a program with the library.

use crate::median;
use lapwing_benches::Ring;
use lapwing_benches::shim::{Output, library};
use std::process::{Command, Stdio};
use std::time::Instant;

/// From before the fork to behind the wait, for a program that does nothing.
pub(crate) fn measure(rounds: usize, ring: &Ring) {
    let output = Output::pipe();
    let plain = || {
        let mut command = Command::new("/bin/true");
        command.env_clear().stdin(Stdio::null()).stdout(output.writer()).stderr(Stdio::null());
        command
    };
    let idle = || {
        let mut command = plain();
        command.env("LD_PRELOAD", library()).env("LAPWING_STREAM", "");
        command
    };
    let captured = || {
        let mut command = idle();
        command.env("LAPWING_RING", ring.path()).env("LAPWING_STREAM", output.stream()).env("LAPWING_BUFFER", "line");
        command
    };
    let kinds: [(&str, &dyn Fn() -> Command); 3] =
        [("/bin/true", &plain), ("/bin/true, library with nothing to do", &idle), ("/bin/true, captured", &captured)];
    let mut figures = kinds.map(|_| Vec::new());
    for _ in 0..rounds {
        for ((_, command), figures) in kinds.iter().zip(&mut figures) {
            let mut command = command();
            let since = Instant::now();
            let status = command.status().expect("/bin/true");
            figures.push(since.elapsed().as_nanos() as f64 / 1000.0);
            assert!(status.success());
        }
    }
    println!("us from fork to wait, median of {rounds}");
    let medians = figures.each_mut().map(|figures| median(figures));
    for ((name, _), now) in kinds.iter().zip(medians) {
        println!("{name:36} {now:9.1}{:+10.1}", now - medians[0]);
    }
}
