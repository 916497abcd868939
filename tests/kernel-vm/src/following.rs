//! What the monitor makes of trouble: caches that are dropped, addresses that are hidden for a while, uevents that are lost,
//! modules that come and go faster than anyone can read.

#![forbid(unsafe_code)]

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use lapwing_kallsyms::uevents::Uevents;
use lapwing_kallsyms::{Monitor, MonitorOptions, MonitorState, Symbolizer};
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};

use crate::scene::{ANCHOR, Scene, milliseconds};
use crate::{agree, hidden, modules, plain, scene};

/// A module is not taken for another because the kernel has thrown away its cached directory, and so the time that it shows.
pub fn dropped_caches(scene: &Scene) -> String {
    scene.rest();
    let before = scene.monitor.state();
    let dated = || {
        let facts = fs::metadata(format!("/sys/module/{ANCHOR}")).expect("a folder of sysfs");
        (facts.mtime(), facts.mtime_nsec())
    };
    let date = dated();
    let mut drops = 0;
    while dated() == date {
        assert!(drops < 50, "after {drops} drops the kernel shows the same time: this checks nothing");
        fs::write("/proc/sys/vm/drop_caches", "2").expect("drop_caches");
        drops += 1;
        thread::sleep(Duration::from_millis(20));
    }
    scene.monitor.rescan();
    scene.until("it has looked", Duration::from_millis(5), || scene.monitor.state().scans > before.scans);
    // Reading, if there were any, would take this long at least.
    thread::sleep(Duration::from_secs(1));
    let after = scene.monitor.state();
    let reads = |state: &MonitorState| (state.generation, state.parked_reads, state.full_reads);
    assert_eq!(reads(&after), reads(&before), "a module is taken for another");
    format!("/sys/module/{ANCHOR} has another time after {drops} drops, and nothing was read")
}

/// While addresses are hidden nothing wrong is said of any, and the monitor tells why it knows no better; afterwards it
/// catches up.
pub fn hidden_for_a_while(scene: &Scene) -> String {
    scene.rest();
    let known = plain::of_module(ANCHOR);
    let before = scene.monitor.state();
    hidden::set("kernel/kptr_restrict", "2");
    // Who has opened the file before sees in it what he was allowed to see then.
    let (seen, unseen) = ("loop", "dummy");
    scene.modules.load(seen);
    scene.until("the descriptor is used", Duration::from_millis(5), || !scene.monitor.state().parked);
    scene.modules.load(unseen);
    scene.until("it tells", Duration::from_millis(5), || !errors(&scene.monitor.state()).is_empty());
    let (during, state) = (scene.snapshot(), scene.monitor.state());
    hidden::set("kernel/kptr_restrict", "0");
    for symbol in &known {
        let found = during.lookup(symbol.address).map(|found| found.address());
        assert_eq!(found, Ok(symbol.address), "{} of a module that was known", symbol.name);
    }
    for symbol in plain::of_module(seen) {
        let found = during.lookup(symbol.address).ok().filter(|found| found.address() != symbol.address);
        assert!(found.is_none(), "{} at {:x} is called {found:?}", symbol.name, symbol.address);
    }
    assert!(during.module_named(unseen).is_none_or(|module| module.is_empty()), "nobody can have seen its symbols");
    assert!(state.running, "{state:?}");
    scene.monitor.rescan();
    scene.settle();
    agree::all(&scene.snapshot());
    scene.until("all is well", Duration::from_millis(5), || errors(&scene.monitor.state()).is_empty());
    scene.modules.unload(seen);
    scene.modules.unload(unseen);
    scene.settle();
    let reads = scene.monitor.state().parked_reads - before.parked_reads;
    format!("{reads} parked reads nevertheless; meanwhile \"{}\"", errors(&state))
}

/// Where uevents are lost the monitor looks for itself, at once and not when it next does anyway.
pub fn lost_uevents(scene: &Scene) -> String {
    let name = "dummy";
    let symbolizer = Arc::new(Symbolizer::load().expect("the symbols"));
    let uevents = Some(Uevents::from_socket(narrow_socket()));
    let options = MonitorOptions { uevents, rescan: Duration::from_secs(3600), ..scene::options() };
    let monitor = Monitor::start(Arc::clone(&symbolizer), options).expect("a second monitor");
    scene.until("it has looked", Duration::from_millis(5), || monitor.state().scans > 0);
    let mut bursts = 0;
    while monitor.state().lost_uevents == 0 {
        assert!(bursts < 100, "nothing is lost: this checks nothing");
        for _ in 0..50 {
            fs::write(format!("/sys/module/{ANCHOR}/uevent"), "change").expect("a uevent");
        }
        bursts += 1;
    }
    let looks = monitor.state().scans;
    for _ in 0..200 {
        fs::write(format!("/sys/module/{ANCHOR}/uevent"), "change").expect("a uevent");
    }
    scene.modules.load(name);
    scene.until("the second monitor knows it", Duration::from_millis(5), || {
        symbolizer.snapshot().module_named(name).is_some_and(|module| module.is_loaded())
    });
    let state = monitor.state();
    assert!(state.running && state.scans > looks, "{state:?}");
    format!("{} times, beside {} uevents that were heard; {} looks", state.lost_uevents, state.uevents, state.scans)
}

/// Receives uevents of the kernel, and has room for one or two.
fn narrow_socket() -> OwnedFd {
    let (family, kind) = (AddressFamily::NETLINK, SocketType::DGRAM);
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, Some(KOBJECT_UEVENT)).expect("a socket");
    set_socket_recv_buffer_size(&socket, 1).expect("the least room");
    bind(&socket, &SocketAddrNetlink::new(0, 1)).expect("the group of the kernel");
    socket
}

/// Readers never see anything but a whole table, and at the end it is that of the modules that are there.
pub fn churn(scene: &Scene, cycles: u32) -> String {
    let name = "dummy";
    scene.rest();
    let before = scene.monitor.state();
    let known: Vec<u64> = plain::text_symbols().iter().step_by(1009).map(|symbol| symbol.address).collect();
    let expected: Vec<String> = known.iter().map(|&address| said(scene, address)).collect();
    let (done, looked) = (AtomicBool::new(false), AtomicU64::new(0));
    let began = Instant::now();
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !done.load(Relaxed) {
                for (&address, expected) in known.iter().zip(&expected) {
                    assert_eq!(&said(scene, address), expected);
                    looked.fetch_add(1, Relaxed);
                }
                // It is not to take the processor from those who change things.
                thread::sleep(Duration::from_millis(20));
            }
        });
        // Whatever happens in here, the reader ends.
        let finished = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..cycles {
                scene.modules.load(name);
                scene.modules.unload(name);
            }
        }));
        done.store(true, Relaxed);
        reader.join().expect("what was known stays so");
        finished.expect("modules come and go");
    });
    let took = began.elapsed();
    scene.settle();
    assert!(!modules::loaded().iter().any(|loaded| loaded == name));
    // It is there once more, and known.
    scene.modules.load(name);
    scene.settle();
    let caught_up = scene.wait("it has symbols", |now| now.module_named(name).is_some_and(|module| !module.is_empty()));
    agree::all(&scene.snapshot());
    scene.modules.unload(name);
    scene.settle();
    let after = scene.monitor.state();
    assert!(after.running && errors(&after).is_empty(), "{after:?}");
    assert!(
        after.uevents - before.uevents >= u64::from(cycles) || after.lost_uevents > before.lost_uevents,
        "{after:?}"
    );
    format!(
        "{cycles} cycles in {}, {} uevents, {} looks, {} tables, {} parked and {} full reads, {} thrown away, {} lookups \
         beside them; {} behind",
        milliseconds(took),
        after.uevents - before.uevents,
        after.scans - before.scans,
        after.reloads - before.reloads,
        after.parked_reads - before.parked_reads,
        after.full_reads - before.full_reads,
        after.unsteady_reads - before.unsteady_reads,
        looked.into_inner(),
        milliseconds(caught_up),
    )
}

fn errors(state: &MonitorState) -> String {
    let all = [&state.uevent_error, &state.scan_error, &state.read_error];
    all.into_iter().flatten().cloned().collect::<Vec<_>>().join("; ")
}

fn said(scene: &Scene, address: u64) -> String {
    match scene.snapshot().lookup(address) {
        Ok(symbol) => symbol.to_string(),
        Err(reason) => reason.to_string(),
    }
}
