//! BPF programs: what the kernel tells of them by bpf(2) and perf events, and what it lists.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::time::Duration;

use lapwing_kallsyms::bpf::Watch;
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::scene::Scene;
use crate::{agree, bpf, plain};

fn listed() -> BTreeMap<u64, String> {
    plain::of_module("bpf").into_iter().map(|symbol| (symbol.address, symbol.name)).collect()
}

fn told(watch: &Watch) -> BTreeMap<u64, String> {
    watch.functions().map(|function| (function.address, function.name.to_string())).collect()
}

/// Programs have their symbols as soon as they are loaded, without a look at /proc/kallsyms, and none when they are gone.
pub fn come_and_go(scene: &Scene) -> String {
    let early: Vec<OwnedFd> = (0..3).map(|number| bpf::load(&format!("early_{number}")).expect("a program")).collect();
    let mut watch = Watch::start().expect("programs");
    assert_eq!(told(&watch), listed(), "what the kernel tells is what it lists");

    let late: Vec<OwnedFd> = (0..40).map(|number| bpf::load(&format!("late_{number}")).expect("a program")).collect();
    drop(early);
    let reads = scene.monitor.state().full_reads;
    follow(&mut watch, late.len());
    assert_eq!(told(&watch), listed(), "what perf events tell is what the kernel lists");
    scene.symbolizer.set_programs(Some(watch.functions().cloned().collect())).expect("programs");
    let with = scene.snapshot();
    assert_eq!(agree::all(&with).programs, late.len());
    for function in watch.functions() {
        let last = function.address + function.len - 1;
        let found = with.lookup(last).expect("its last byte");
        assert_eq!((found.module().name(), found.name().as_str()), ("bpf", &*function.name));
        assert!(with.lookup(last + 1).is_err(), "behind {}", function.name);
    }

    let addresses: Vec<u64> = watch.functions().map(|function| function.address).collect();
    drop(late);
    follow(&mut watch, 0);
    scene.symbolizer.set_programs(Some(watch.functions().cloned().collect())).expect("programs");
    let without = scene.snapshot();
    assert!(addresses.iter().all(|&address| without.lookup(address).is_err()), "an unloaded program has symbols");
    assert_eq!(scene.monitor.state().full_reads, reads, "/proc/kallsyms was read for programs");
    scene.symbolizer.set_programs(None).expect("programs");
    format!("3 told and listed alike, {} seen to come and go", addresses.len())
}

/// A processor that went and came back is watched again once that is asked for.
pub fn on_another_processor(_: &Scene) -> String {
    let switch = |to: &str| fs::write("/sys/devices/system/cpu/cpu1/online", to).expect("a second processor");
    let mut watch = Watch::start().expect("programs");
    switch("0");
    switch("1");
    assert_eq!(watch.reopen().ok(), Some(false), "no program has come or gone");
    let mut second = CpuSet::new();
    second.set(1);
    // The thread ends with its place.
    let loaded = std::thread::spawn(move || {
        sched_setaffinity(None, &second).expect("a place on it");
        bpf::load("second").expect("a program")
    });
    let program = loaded.join().expect("it loads");
    follow(&mut watch, 1);
    drop(program);
    follow(&mut watch, 0);
    "seen to come and go".into()
}

/// The kernel unloads a program some time after its last descriptor is closed.
fn follow(watch: &mut Watch, count: usize) {
    for _ in 0..500 {
        watch.update().expect("programs");
        if watch.functions().count() == count && listed().len() == count {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{} functions instead of {count}", watch.functions().count());
}
