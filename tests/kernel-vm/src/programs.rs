//! BPF programs: what the kernel tells of them by bpf(2) and perf events, and what it lists.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::time::Duration;

use lapwing_kallsyms::bpf::Watch;
use lapwing_kallsyms::{MonitorState, Snapshot};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::scene::{Scene, milliseconds};
use crate::{agree, bpf, plain};

fn listed() -> BTreeMap<u64, String> {
    plain::of_module("bpf").into_iter().map(|symbol| (symbol.address, symbol.name)).collect()
}

fn told(watch: &Watch) -> BTreeMap<u64, String> {
    watch.functions().map(|function| (function.address, function.name.to_string())).collect()
}

/// Programs have their symbols as soon as they are loaded, without a look at /proc/kallsyms, and none when they are gone.
pub fn come_and_go(scene: &Scene) -> String {
    scene.rest();
    let reads = |state: &MonitorState| (state.parked_reads, state.full_reads);
    let before = scene.monitor.state();
    assert_eq!((before.programs, before.programs_error.as_ref()), (Some(0), None));
    let early: Vec<OwnedFd> = (0..3).map(|number| bpf::load(&format!("early_{number}")).expect("a program")).collect();
    let mut watch = Watch::start().expect("programs");
    assert_eq!(told(&watch), listed(), "what the kernel tells is what it lists");

    let late: Vec<OwnedFd> = (0..40).map(|number| bpf::load(&format!("late_{number}")).expect("a program")).collect();
    drop(early);
    follow(&mut watch, late.len());
    assert_eq!(told(&watch), listed(), "what perf events tell is what the kernel lists");
    scene.wait("the programs have symbols", |now| known(now) == told(&watch));
    let with = scene.snapshot();
    assert_eq!(agree::all(&with).programs, late.len());
    for function in watch.functions() {
        let last = function.address + function.len - 1;
        let found = with.lookup(last).expect("its last byte");
        assert_eq!((found.module().name(), found.name().as_str()), ("bpf", &*function.name));
        assert!(with.lookup(last + 1).is_err(), "behind {}", function.name);
    }

    let one = bpf::load("one_more").expect("a program");
    let came = scene.wait("one more has a symbol", |now| known(now).len() == late.len() + 1);
    drop(one);
    let went = scene.wait("one is gone", |now| known(now) == told(&watch));
    drop(late);
    scene.wait("all are gone", |now| known(now).is_empty());
    assert!(watch.functions().all(|function| scene.snapshot().lookup(function.address).is_err()));
    assert_eq!(reads(&scene.monitor.state()), reads(&before), "/proc/kallsyms was read for programs");
    let [came, went] = [came, went].map(milliseconds);
    format!("3, 40 and 1; the last with a symbol after {came}, without after {went}")
}

/// What the table has of them.
fn known(snapshot: &Snapshot) -> BTreeMap<u64, String> {
    let symbols = snapshot.module_named("bpf").into_iter().flat_map(|module| module.symbols());
    symbols.map(|symbol| (symbol.address(), symbol.name().as_str().to_owned())).collect()
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
