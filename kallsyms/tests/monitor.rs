//! The monitor, on what real kernels said before and after modules came and went, with uevents from a socket pair.

mod captured;

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use lapwing_kallsyms::uevents::Uevents;
use lapwing_kallsyms::{Monitor, MonitorOptions, MonitorState, Reason, Snapshot, Sources, Symbolizer};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};
use tempfile::TempDir;

/// Long enough for any machine that is not stuck.
const LONG: Duration = Duration::from_secs(60);

/// A kernel whose modules come and go as those of a captured one did.
struct Host {
    dir: TempDir,
    version: &'static str,
    stage: u8,
    changes: u32,
    socket: OwnedFd,
}

impl Host {
    /// In stage 1, with the other end of what its uevents come from.
    fn new(version: &'static str, kind: SocketType) -> (Self, Uevents) {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
        let mut host = Self { dir: tempfile::tempdir().unwrap(), version, stage: 0, changes: 0, socket: ours };
        fs::create_dir(host.modules()).unwrap();
        fs::write(host.dir.path().join("kallsyms"), "").unwrap();
        fs::copy(captured::kernel(version).notes(), host.dir.path().join("notes")).unwrap();
        assert!(!host.change(1).is_empty());
        (host, Uevents::from_socket(theirs))
    }

    fn modules(&self) -> PathBuf {
        self.dir.path().join("sys-module")
    }

    fn sources(&self) -> Sources {
        let modules = Some(self.modules());
        Sources { kallsyms: self.dir.path().join("kallsyms"), modules, notes: Some(self.dir.path().join("notes")) }
    }

    /// Everything as in `stage`, in the order in which the kernel does it; a module that is the same one keeps its inode.
    /// The uevents of what has changed.
    fn change(&mut self, stage: u8) -> Vec<String> {
        let kernel = captured::kernel(self.version);
        let new = kernel.stage(stage);
        let old_inodes = if self.stage == 0 { Default::default() } else { kernel.stage(self.stage).inodes() };
        self.stage = stage;
        self.changes += 1;
        let mut uevents = Vec::new();
        // In place: a descriptor that is open goes on in the new contents.
        let text = kallsyms(&new.kallsyms());
        let file = fs::File::options().write(true).open(self.dir.path().join("kallsyms")).unwrap();
        file.write_all_at(text.as_bytes(), 0).unwrap();
        file.set_len(text.len() as u64).unwrap();
        fs::copy(new.modules(), self.dir.path().join("modules")).unwrap();
        for (name, inode) in old_inodes.iter() {
            if new.inodes().get(name) != Some(inode) && self.modules().join(name).exists() {
                // Not removed: this file system would use the inode again at once.
                fs::rename(self.modules().join(name), self.dir.path().join(format!("gone-{}-{name}", self.changes)))
                    .unwrap();
                uevents.push(format!("remove@/module/{name}"));
            }
        }
        for (name, inode) in new.inodes() {
            let dir = new.sys_module().join(&name);
            if old_inodes.get(&name) != Some(&inode) && dir.join("sections").exists() {
                let spare = self.dir.path().join("spare");
                captured::copy(&dir, &spare);
                fs::rename(spare, self.modules().join(&name)).unwrap();
                uevents.push(format!("add@/module/{name}"));
            }
        }
        uevents
    }

    fn announce(&self, uevents: &[String]) {
        for uevent in uevents {
            let (action, path) = uevent.split_once('@').unwrap();
            let datagram = format!("{uevent}\0ACTION={action}\0DEVPATH={path}\0SUBSYSTEM=module\0SEQNUM=1\0");
            send(&self.socket, datagram.as_bytes(), SendFlags::empty()).unwrap();
        }
    }

    /// As `change`, and says so.
    fn go_to(&mut self, stage: u8) {
        let uevents = self.change(stage);
        self.announce(&uevents);
    }

    fn symbolizer(&self) -> Arc<Symbolizer> {
        Arc::new(Symbolizer::load_from(self.sources()).unwrap())
    }

    /// The addresses of text symbols that kallsyms lists for modules.
    fn addresses(&self) -> Vec<u64> {
        let text = fs::read_to_string(self.sources().kallsyms).unwrap();
        let lines = text.lines().filter(|line| line.contains('\t') && "TtVvWw".contains(&line[17..18]));
        lines.map(|line| u64::from_str_radix(&line[..16], 16).unwrap()).collect()
    }

    /// That the monitored table says the same as one that is loaded now.
    fn assert_as_loaded_now(&self, snapshot: &Snapshot) {
        let fresh = Symbolizer::load_from(self.sources()).unwrap().snapshot();
        let mut addresses = self.addresses();
        assert!(addresses.len() > 10_000);
        let beside: Vec<u64> =
            addresses.iter().flat_map(|address| [address - 1, address + 1, address + 4096]).collect();
        addresses.extend(beside);
        for address in addresses {
            let (ours, theirs) = (snapshot.lookup(address), fresh.lookup(address));
            // What is not of a module: BPF programs and trampolines are not read again for the sake of a module.
            let of_module = |name: &str| name != "bpf" && !name.starts_with("__builtin");
            if theirs.as_ref().is_ok_and(|symbol| !of_module(symbol.module().name())) {
                continue;
            }
            let text = |found: Result<_, Reason>| found.map(|symbol: lapwing_kallsyms::Symbol<'_>| symbol.to_string());
            assert_eq!(text(ours), text(theirs), "{address:x}");
        }
        let facts = |snapshot: &Snapshot| -> Vec<_> {
            let modules = snapshot.modules().filter(|module| module.build_id().is_some());
            let mut facts: Vec<_> = modules
                .map(|module| {
                    (module.name().to_owned(), module.file_id(), module.len(), module.ranges().collect::<Vec<_>>())
                })
                .collect();
            facts.sort_by(|a, b| a.0.cmp(&b.0));
            facts
        };
        assert_eq!(facts(snapshot), facts(&fresh));
    }
}

/// The lines of `path`, of the kernel itself but a few: unoptimised, all of them take seconds.
fn kallsyms(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let needed = |line: &str| ["_stext", "_text", "_etext", "vfs_read"].contains(&&line[19..]);
    let lines = text.lines().enumerate();
    let kept = lines.filter(|(number, line)| number % 32 == 0 || line.contains('\t') || needed(line));
    kept.flat_map(|(_, line)| [line, "\n"]).collect()
}

/// Ends the threads of a scope also where a test fails.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn options(uevents: Uevents) -> MonitorOptions {
    MonitorOptions { uevents: Some(uevents), rescan: Duration::from_secs(3600), ..MonitorOptions::default() }
}

#[track_caller]
fn until(monitor: &Monitor, what: &str, reached: impl Fn(&MonitorState) -> bool) -> MonitorState {
    let deadline = Instant::now() + LONG;
    loop {
        let state = monitor.state();
        if reached(&state) {
            return state;
        }
        assert!(state.running, "{state:?}");
        assert!(Instant::now() < deadline, "{what}: {state:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn loaded(modules: usize) -> impl Fn(&MonitorState) -> bool {
    move |state| state.modules == modules && state.without_symbols == 0
}

#[test]
fn stages_of_real_kernels_are_followed_by_parked_reads_while_others_look_up() {
    for (version, counts) in [("6.12", [75, 76, 76]), ("6.1", [88, 89, 89])] {
        let (mut host, uevents) = Host::new(version, SocketType::DGRAM);
        let symbolizer = host.symbolizer();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let _end = SetAtEnd(&done);
            let kernel = symbolizer.snapshot().find("vfs_read").next().unwrap().address();
            let (done, symbolizer) = (&done, &symbolizer);
            let reader = scope.spawn(move || {
                let mut last = 0;
                while !done.load(Relaxed) {
                    let snapshot = symbolizer.snapshot();
                    assert_eq!(snapshot.lookup(kernel).unwrap().name().as_str(), "vfs_read");
                    assert!(snapshot.generation() >= last);
                    last = snapshot.generation();
                }
                last
            });
            let monitor = Monitor::start(Arc::clone(symbolizer), options(uevents)).unwrap();
            let first = until(&monitor, "parked", |state| state.parked && loaded(counts[0])(state));
            assert_eq!((first.generation, first.reloads, first.parked_reads), (1, 0, 0), "nothing had changed");
            let before = symbolizer.snapshot();
            for (stage, count) in [(2, counts[1]), (3, counts[2])] {
                let generation = monitor.state().generation;
                let reads = monitor.state().parked_reads;
                host.go_to(stage);
                let ready = |state: &MonitorState| loaded(count)(state) && state.parked_reads > reads && state.parked;
                let state = until(&monitor, "stage", ready);
                assert!(state.generation > generation && state.failures == 0, "{state:?}");
                host.assert_as_loaded_now(&symbolizer.snapshot());
                assert_eq!(state.parked_reads, u64::from(stage) - 1, "{state:?}");
            }
            // Once measured, and parked three times.
            assert_eq!(monitor.state().full_reads, 4);
            assert!(before.module_named("dummy").is_none(), "a snapshot stays as it is");
            done.store(true, Relaxed);
            assert!(reader.join().unwrap() > 1);
        });
    }
}

/// Between stage 2 and 3 `dummy` was loaded anew, with the same build id at the same address.
#[test]
fn a_module_loaded_anew_at_the_same_place_is_read_again_and_listed_once() {
    let (mut host, uevents) = Host::new("6.12", SocketType::DGRAM);
    host.change(2);
    let symbolizer = host.symbolizer();
    let monitor = Monitor::start(Arc::clone(&symbolizer), options(uevents)).unwrap();
    until(&monitor, "parked", |state| state.parked);
    let ranges = |snapshot: &Snapshot| snapshot.module_named("dummy").unwrap().ranges().collect::<Vec<_>>();
    let before = ranges(&symbolizer.snapshot());
    host.go_to(3);
    until(&monitor, "read", |state| state.parked_reads == 1 && loaded(76)(state));
    let snapshot = symbolizer.snapshot();
    assert_eq!(ranges(&snapshot), before);
    let dummies: Vec<_> = snapshot.modules().filter(|module| module.name() == "dummy").collect();
    assert!(dummies.len() == 1 && dummies[0].len() > 10, "{dummies:?}");
    for symbol in dummies[0].symbols() {
        let found = snapshot.lookup(symbol.address()).unwrap();
        assert_eq!((found.module().name(), found.address()), ("dummy", symbol.address()));
    }
}

#[test]
fn where_a_module_lies_is_known_before_its_symbols_and_a_failure_is_tried_again() {
    let (mut host, uevents) = Host::new("6.12", SocketType::DGRAM);
    let symbolizer = host.symbolizer();
    let mut options = options(uevents);
    options.retry = Duration::from_millis(5);
    let monitor = Monitor::start(Arc::clone(&symbolizer), options).unwrap();
    until(&monitor, "parked", |state| state.parked);
    // What is parked is used up, and there is nothing to read anew.
    let uevents = host.change(2);
    let (kallsyms, aside) = (host.sources().kallsyms, host.dir.path().join("aside"));
    fs::copy(&kallsyms, &aside).unwrap();
    fs::File::options().write(true).open(&kallsyms).unwrap().set_len(0).unwrap();
    fs::remove_file(&kallsyms).unwrap();
    host.announce(&uevents);

    let state = until(&monitor, "failed", |state| state.failures >= 3 && state.read_error.is_some());
    assert!(state.read_error.as_ref().unwrap().contains(kallsyms.to_str().unwrap()), "{state:?}");
    assert_eq!((state.modules, state.without_symbols), (76, 2), "{state:?}");
    let snapshot = symbolizer.snapshot();
    let text = captured::kernel("6.12").stage(2).sys_module().join("dummy/sections/.text");
    let text = u64::from_str_radix(fs::read_to_string(text).unwrap().trim().trim_start_matches("0x"), 16).unwrap();
    let dummy = snapshot.module_at(text + 16).unwrap();
    assert_eq!((dummy.name(), dummy.is_loaded()), ("dummy", false));
    assert!(dummy.build_id().is_some());
    assert_eq!(snapshot.lookup(text + 16).unwrap_err(), Reason::NotYet);
    assert!(snapshot.find("ext4_file_open").next().is_some(), "what was loaded stays");

    fs::rename(&aside, &kallsyms).unwrap();
    until(&monitor, "read", |state| loaded(76)(state) && state.read_error.is_none());
    host.assert_as_loaded_now(&symbolizer.snapshot());
}

#[test]
fn a_module_that_is_gone_answers_no_more() {
    let (mut host, uevents) = Host::new("6.12", SocketType::DGRAM);
    host.change(2);
    let symbolizer = host.symbolizer();
    let monitor = Monitor::start(Arc::clone(&symbolizer), options(uevents)).unwrap();
    let start = symbolizer.snapshot().module_named("loop").unwrap().start();
    until(&monitor, "parked", |state| state.parked);
    // The kernel removes this one first, the directory last.
    fs::remove_file(host.modules().join("loop/initstate")).unwrap();
    let generation = monitor.state().generation;
    host.announce(&["remove@/module/loop".into()]);
    assert!(monitor.wait(generation, LONG) > generation);
    assert_eq!(symbolizer.snapshot().lookup(start).unwrap_err(), Reason::NoModule);
    let state = until(&monitor, "gone", loaded(75));
    assert_eq!((state.parked_reads, state.parked), (0, true), "nothing to read: {state:?}");
    let quick = Instant::now();
    assert_eq!(monitor.wait(state.generation, Duration::from_millis(20)), state.generation);
    assert!(quick.elapsed() >= Duration::from_millis(20));
}

#[test]
fn what_changed_before_the_start_or_was_lost_or_asked_for_is_found() {
    let (mut host, uevents) = Host::new("6.12", SocketType::DGRAM);
    let symbolizer = host.symbolizer();
    host.change(2);
    let monitor = Monitor::start(Arc::clone(&symbolizer), options(uevents)).unwrap();
    until(&monitor, "before the start", loaded(76));
    host.assert_as_loaded_now(&symbolizer.snapshot());
    host.change(1);
    // Longer than any of the kernel's: what it said is not known.
    send(&host.socket, &[b'x'; 9000], SendFlags::empty()).unwrap();
    let state = until(&monitor, "lost", loaded(75));
    assert_eq!((state.lost_uevents, state.uevents), (1, 0));
    host.change(3);
    monitor.rescan();
    until(&monitor, "asked for", loaded(76));
    host.assert_as_loaded_now(&symbolizer.snapshot());
}

#[test]
fn many_uevents_are_one_look() {
    let (mut host, uevents) = Host::new("6.12", SocketType::DGRAM);
    let mut options = options(uevents);
    options.quiet = Duration::from_millis(50);
    options.patience = Duration::from_secs(3600);
    let monitor = Monitor::start(host.symbolizer(), options).unwrap();
    let scans = until(&monitor, "parked", |state| state.parked).scans;
    let uevents = host.change(2);
    for _ in 0..100 {
        host.announce(&uevents);
    }
    let state = until(&monitor, "read", loaded(76));
    assert_eq!(state.uevents, 100 * uevents.len() as u64);
    // One, where this process was not kept from sending for 50 ms.
    assert!(state.scans - scans <= 30, "{state:?}");
    assert_eq!(state.parked_reads, 1);
}

#[test]
fn what_is_read_while_modules_come_and_go_is_not_believed() {
    let (mut host, uevents) = Host::new("6.12", SocketType::DGRAM);
    let symbolizer = host.symbolizer();
    let monitor = Monitor::start(Arc::clone(&symbolizer), options(uevents)).unwrap();
    until(&monitor, "parked", |state| state.parked);
    let uevents = host.change(2);
    // Another one each time it is read.
    let list = host.dir.path().join("modules");
    fs::remove_file(&list).unwrap();
    symlink("/proc/sys/kernel/random/uuid", &list).unwrap();
    host.announce(&uevents);
    let state = until(&monitor, "unsteady", |state| state.unsteady_reads >= 3);
    assert_eq!((state.modules, state.without_symbols, state.failures), (76, 2, 0), "{state:?}");
    fs::remove_file(&list).unwrap();
    fs::copy(captured::kernel("6.12").stage(2).modules(), &list).unwrap();
    until(&monitor, "read", loaded(76));
    host.assert_as_loaded_now(&symbolizer.snapshot());
}

#[test]
fn a_module_on_its_way_in_is_read_when_it_has_arrived() {
    let (mut host, uevents) = Host::new("6.12", SocketType::DGRAM);
    let symbolizer = host.symbolizer();
    let monitor = Monitor::start(Arc::clone(&symbolizer), options(uevents)).unwrap();
    until(&monitor, "parked", |state| state.parked);
    let uevents = host.change(2);
    fs::write(host.modules().join("dummy/initstate"), "coming\n").unwrap();
    host.announce(&uevents);
    let state = until(&monitor, "read", |state| state.parked_reads == 1 && state.parked);
    assert_eq!((state.modules, state.without_symbols), (76, 1), "{state:?}");
    assert!(!symbolizer.snapshot().module_named("dummy").unwrap().is_loaded());
    // No uevent: it is looked after.
    fs::write(host.modules().join("dummy/initstate"), "live\n").unwrap();
    until(&monitor, "arrived", loaded(76));
    host.assert_as_loaded_now(&symbolizer.snapshot());
}

#[test]
fn without_uevents_it_looks_now_and_then_and_says_so() {
    let (mut host, uevents) = Host::new("6.12", SocketType::SEQPACKET);
    let mut options = options(uevents);
    options.rescan = Duration::from_millis(20);
    let monitor = Monitor::start(host.symbolizer(), options).unwrap();
    until(&monitor, "parked", |state| state.parked);
    // Its other end.
    host.socket = fs::File::open("/dev/null").unwrap().into();
    let state = until(&monitor, "broken", |state| state.uevent_error.is_some());
    assert!(state.running);
    host.change(2);
    let state = until(&monitor, "seen", loaded(76));
    assert!(state.uevent_error.is_some() && state.running, "{state:?}");
}

#[test]
fn a_module_that_kallsyms_does_not_list_is_not_looked_for_again_and_again() {
    let (host, uevents) = Host::new("6.12", SocketType::DGRAM);
    let mut options = options(uevents);
    options.rescan = Duration::from_millis(1);
    let monitor = Monitor::start(host.symbolizer(), options).unwrap();
    until(&monitor, "parked", |state| state.parked);
    let dummy = captured::kernel("6.12").stage(2).sys_module().join("dummy");
    captured::copy(&dummy, &host.dir.path().join("dummy"));
    fs::rename(host.dir.path().join("dummy"), host.modules().join("dummy")).unwrap();
    // Measured, parked, looked for, parked again.
    let state = until(&monitor, "looked for", |state| state.full_reads == 4 && state.parked);
    assert_eq!((state.modules, state.without_symbols), (76, 1));
    let later = until(&monitor, "looked at", |later| later.scans > state.scans + 50);
    assert_eq!((later.full_reads, later.failures), (4, 0), "{later:?}");
}

#[test]
fn without_sysfs_all_is_read_again() {
    let (mut host, uevents) = Host::new("6.12", SocketType::DGRAM);
    let sources = Sources { modules: None, ..host.sources() };
    let symbolizer = Arc::new(Symbolizer::load_from(sources).unwrap());
    assert!(symbolizer.snapshot().module_named("dummy").is_none());
    let monitor = Monitor::start(Arc::clone(&symbolizer), options(uevents)).unwrap();
    host.go_to(2);
    let dummy = || symbolizer.snapshot().module_named("dummy").is_some_and(|dummy| dummy.len() > 10);
    let state = until(&monitor, "read again", |_| dummy());
    assert!(!state.parked && state.generation > 1, "{state:?}");
}

#[test]
fn sysfs_that_is_damaged_or_gone_changes_nothing_and_shows() {
    let (mut host, uevents) = Host::new("6.12", SocketType::DGRAM);
    let symbolizer = host.symbolizer();
    let mut options = options(uevents);
    options.retry = Duration::from_millis(5);
    let monitor = Monitor::start(Arc::clone(&symbolizer), options).unwrap();
    until(&monitor, "parked", |state| state.parked);
    let aside = host.dir.path().join("aside");
    fs::rename(host.modules(), &aside).unwrap();
    monitor.rescan();
    let state = until(&monitor, "gone", |state| state.failures >= 2 && state.scan_error.is_some());
    assert_eq!((state.generation, state.modules), (1, 75), "{state:?}");
    fs::rename(&aside, host.modules()).unwrap();
    until(&monitor, "back", |state| state.scan_error.is_none());

    fs::write(host.modules().join("ext4/initstate"), "?\n").unwrap();
    host.go_to(2);
    let state = until(&monitor, "damaged", |state| loaded(76)(state) && state.scan_error.is_some());
    assert!(state.scan_error.unwrap().contains("ext4/initstate"));
    assert!(symbolizer.snapshot().module_named("ext4").unwrap().is_loaded());
    fs::write(host.modules().join("ext4/initstate"), "live\n").unwrap();
    host.assert_as_loaded_now(&symbolizer.snapshot());
}

/// Hearing the running kernel.
#[test]
fn it_starts_and_stops_on_this_machine() {
    let symbolizer = match Symbolizer::load() {
        Ok(symbolizer) => Arc::new(symbolizer),
        Err(error) => {
            eprintln!("skipped: {error}");
            return;
        }
    };
    let monitor = Monitor::start(Arc::clone(&symbolizer), MonitorOptions::default()).unwrap();
    let state = until(&monitor, "scanned", |state| state.scans == 1);
    assert_eq!((state.failures, state.uevent_error), (0, None));
    monitor.stop();
    assert_eq!(Arc::strong_count(&symbolizer), 1, "the threads are gone");
}
