//! BPF programs as the running kernel lists them, against what `/proc/kallsyms` lists; skipped by name where the kernel
//! does not let us.

mod load;

use std::collections::{BTreeMap, HashSet};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lapwing_kallsyms::bpf::{BpfError, Function, Ksymbols, News, ProgramSet, Programs, Watch};
use lapwing_kallsyms::{Hidden, Monitor, MonitorOptions, NameBuffer, Symbolizer};
use load::Loaded;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::thread::{CapabilitySet, CpuSet};

/// What a test holds while it loads programs: a ring that one overflows is every test's.
static ALONE: Mutex<()> = Mutex::new(());

/// The right to load, list and follow programs; `None` where this process may not, and says why.
fn alone() -> Option<MutexGuard<'static, ()>> {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let tried = load::simple("lw_try").map_err(|error| format!("BPF_PROG_LOAD: {error}"));
    let tried = tried.and_then(|program| {
        Programs::read().map_err(|error| error.to_string())?;
        Ksymbols::open().map_err(|error| error.to_string())?;
        drop(program);
        Ok(alone)
    });
    tried.inspect_err(|why| println!("skipped: {why}")).ok()
}

/// The `bpf_prog_` lines of `/proc/kallsyms` that contain `mark`; `None`, and says so, where they are not listed.
fn kallsyms(mark: &str) -> Option<BTreeMap<u64, String>> {
    let setting = |name| std::fs::read_to_string(format!("/proc/sys/net/core/{name}")).unwrap_or_default();
    if setting("bpf_jit_kallsyms").trim() != "1" || setting("bpf_jit_harden").trim() != "0" {
        println!("skipped: /proc/kallsyms lists no BPF programs here (net.core.bpf_jit_kallsyms, bpf_jit_harden)");
        return None;
    }
    let text = std::fs::read_to_string("/proc/kallsyms").unwrap();
    let lines = text.lines().filter(|line| line.ends_with("\t[bpf]") && line.contains(mark));
    let listed: BTreeMap<_, _> = lines
        .map(|line| {
            let mut words = line.split_ascii_whitespace();
            let address = u64::from_str_radix(words.next().unwrap(), 16).unwrap();
            (address, words.nth(1).unwrap().to_owned())
        })
        .filter(|(_, name)| name.starts_with("bpf_prog_"))
        .collect();
    if listed.keys().any(|address| *address == 0) {
        println!("skipped: /proc/kallsyms hides its addresses");
        return None;
    }
    Some(listed)
}

fn with<'a>(functions: impl Iterator<Item = &'a Function>, mark: &str) -> BTreeMap<u64, String> {
    let own = functions.filter(|function| function.name.contains(mark));
    own.map(|function| (function.address, function.name.to_string())).collect()
}

/// All news until `enough` of what there is so far; waits by the descriptors, as a monitor does.
fn follow(ksymbols: &mut Ksymbols, set: &mut ProgramSet, enough: impl Fn(&[News]) -> bool) -> Vec<News> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut all = Vec::new();
    while !enough(&all) {
        assert!(Instant::now() < deadline, "no more came: {all:?}");
        {
            let mut fds: Vec<_> =
                ksymbols.descriptors().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
            let wait = Timespec { tv_sec: 5, tv_nsec: 0 };
            assert_ne!(poll(&mut fds, Some(&wait)).unwrap(), 0, "nothing became readable: {all:?}");
        }
        let news = ksymbols.read();
        for change in &news.changes {
            set.apply(change);
        }
        all.push(news);
    }
    all
}

/// `CLOCK_MONOTONIC`, in nanoseconds.
fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn changes_of(news: &[News], mark: &str, loaded: bool) -> usize {
    let all = news.iter().flat_map(|news| &news.changes);
    all.filter(|change| change.loaded == loaded && change.function.name.contains(mark)).count()
}

/// Everything that this thread loads or unloads from now on is recorded on processor `cpu`.
fn run_on(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    rustix::thread::sched_setaffinity(None, &set).unwrap();
}

#[test]
fn programs_are_listed_with_the_names_and_addresses_of_kallsyms() {
    let Some(_alone) = alone() else { return };
    let _programs: Vec<Loaded> = vec![
        load::simple("lw_list_one").unwrap(),
        load::pair("lw_list_two", None).unwrap(),
        load::pair("lw_list_btf", Some(["lw_list_a_main_function_with_a_long_name", "lw_list_helper"])).unwrap(),
        load::pair("lw_list_btf2", Some(["lw_list_entry", "lw_list_another_helper"])).unwrap(),
    ];
    let read = Programs::read().unwrap();
    let own: Vec<_> = read
        .list
        .iter()
        .filter(|program| program.functions.iter().any(|function| function.name.contains("_lw_list_")))
        .collect();
    assert_eq!(own.iter().map(|program| program.functions.len()).collect::<Vec<_>>(), [1, 2, 2, 2]);
    let functions: Vec<_> = own.iter().flat_map(|program| &program.functions).collect();
    let last = |function: &&Function| function.name[26..].to_owned();
    let names: Vec<_> = functions.iter().map(last).collect();
    assert_eq!(
        names,
        [
            "lw_list_one",
            "lw_list_two",
            "F",
            "lw_list_a_main_function_with_a_long_name",
            "lw_list_helper",
            "lw_list_entry",
            "lw_list_another_helper"
        ]
    );
    assert!(functions.iter().all(|function| (1..4096).contains(&function.len)), "{functions:?}");

    let Some(all) = kallsyms("bpf_prog_") else { return };
    for function in functions {
        // Before Linux 6.5 the first function has a second name at the same address.
        assert_eq!(all.get(&function.address), Some(&function.name), "{all:#?}");
    }
}

#[test]
fn an_address_in_a_program_has_its_name_and_offset() {
    let Some(_alone) = alone() else { return };
    let symbolizer = match Symbolizer::load() {
        Ok(symbolizer) => symbolizer,
        Err(why) => return println!("skipped: {why}"),
    };
    let _programs = [load::simple("lw_find_one").unwrap(), load::pair("lw_find_two", None).unwrap()];
    let mut set = ProgramSet::new();
    set.replace_all(&Programs::read().unwrap());
    assert!(symbolizer.set_programs(Some(set.iter().cloned().collect())).unwrap());
    let snapshot = symbolizer.snapshot();
    let (mut found, mut name) = (0, NameBuffer::default());
    for function in set.iter() {
        for address in [function.address, function.address + function.len - 1] {
            let symbol = snapshot.lookup(address).unwrap();
            assert_eq!(symbol.module().name(), "bpf");
            let (name, offset) = (symbol.name_into(&mut name), symbol.offset());
            assert_eq!((name, offset), (function.name.as_str(), address - function.address));
        }
        let behind = snapshot.lookup(function.address + function.len);
        assert!(behind.is_err() || behind.is_ok_and(|symbol| symbol.offset() == 0));
        found += usize::from(function.name.contains("_lw_find_") || function.name.ends_with("_F"));
    }
    assert!(found >= 3, "{found}");
}

#[test]
fn every_loading_and_unloading_is_seen() {
    let Some(_alone) = alone() else { return };
    let mut ksymbols = Ksymbols::open().unwrap();
    let mut set = ProgramSet::new();
    set.replace_all(&Programs::read().unwrap());
    assert_eq!(with(set.iter(), "_lw_see"), BTreeMap::new());

    let before = now();
    let mut programs: Vec<_> = (0..20).map(|at| load::simple(&format!("lw_see_{at}")).unwrap()).collect();
    programs.push(load::pair("lw_see_two", Some(["lw_see_main", "lw_see_helper"])).unwrap());
    let news = follow(&mut ksymbols, &mut set, |news| changes_of(news, "_lw_see", true) >= 22);
    assert_eq!(changes_of(&news, "_lw_see", true), 22);
    assert_eq!(changes_of(&news, "_lw_see", false), 0);
    assert!(news.iter().all(|news| !news.lost));
    let during = before..=now();
    assert!(
        news.iter().flat_map(|news| &news.changes).all(|change| during.contains(&change.at)),
        "{during:?} {news:?}"
    );
    assert_eq!(with(set.iter(), "_lw_see"), with(Programs::read().unwrap().functions(), "_lw_see"));
    if let Some(listed) = kallsyms("_lw_see") {
        assert_eq!(with(set.iter(), "_lw_see"), listed);
    }

    programs.truncate(5);
    let news = follow(&mut ksymbols, &mut set, |news| changes_of(news, "_lw_see", false) >= 17);
    assert_eq!(changes_of(&news, "_lw_see", false), 17);
    let left: Vec<_> = with(set.iter(), "_lw_see").into_values().map(|name| name[26..].to_owned()).collect();
    assert_eq!(left.len(), 5);
    assert!((0..5).all(|at| left.contains(&format!("lw_see_{at}"))), "{left:?}");
}

#[test]
fn records_that_go_around_the_end_of_the_ring_are_whole() {
    let Some(_alone) = alone() else { return };
    std::thread::spawn(|| {
        run_on(0);
        let (mut ksymbols, mut set) = (Ksymbols::with_capacity(1).unwrap(), ProgramSet::new());
        // Names of every length, so that records begin and end everywhere.
        for round in 0..1000 {
            let name = format!("lw_{:a<1$}", "", round % 12);
            drop(load::simple(&name).unwrap());
            let news = follow(&mut ksymbols, &mut set, |news| changes_of(news, &format!("_{name}"), false) == 1);
            assert_eq!(changes_of(&news, &format!("_{name}"), true), 1, "{news:?}");
            assert!(news.iter().all(|news| !news.lost), "round {round}");
        }
    })
    .join()
    .unwrap();
}

/// Two threads on two processors load and unload, each what the other loaded, and the kernel uses the addresses again.
#[test]
fn the_set_is_right_whichever_processor_told_it() {
    let Some(_alone) = alone() else { return };
    let mut ksymbols = Ksymbols::open().unwrap();
    let mut set = ProgramSet::new();
    set.replace_all(&Programs::read().unwrap());
    let second = 1.min(ksymbols.descriptors().count() - 1);
    let rounds = 500;
    let work = |cpu: usize, send: SyncSender<Loaded>, receive: Receiver<Loaded>| {
        move || {
            run_on(cpu);
            for round in 0..rounds {
                send.send(load::simple(&format!("lw_both_{cpu}_{round}")).unwrap()).unwrap();
                drop(receive.recv().unwrap());
            }
        }
    };
    let ((to_second, from_first), (to_first, from_second)) = (sync_channel(4), sync_channel(4));
    let mut all = Vec::new();
    std::thread::scope(|scope| {
        let workers = [scope.spawn(work(0, to_second, from_second)), scope.spawn(work(second, to_first, from_first))];
        loop {
            let done = workers.iter().all(|worker| worker.is_finished());
            let news = ksymbols.read();
            for change in &news.changes {
                set.apply(change);
            }
            if news.lost {
                set.replace_all(&Programs::read().unwrap());
            }
            all.push(news);
            if done {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    if all.iter().all(|news| !news.lost) {
        assert_eq!(changes_of(&all, "_lw_both", true), 2 * rounds);
        assert_eq!(changes_of(&all, "_lw_both", false), 2 * rounds);
    }
    assert!(all.iter().all(|news| news.changes.is_sorted_by_key(|change| change.at)));
    let addresses: HashSet<_> =
        all.iter().flat_map(|news| &news.changes).map(|change| change.function.address).collect();
    assert!(addresses.len() < 2 * rounds, "no address was used twice");
    assert_eq!(with(set.iter(), "_lw_both"), BTreeMap::new());
}

/// More than the rings have room for, and nothing after it that would carry the kernel's own word of the loss.
#[test]
fn too_many_records_are_a_loss_that_a_list_makes_up_for() {
    let Some(_alone) = alone() else { return };
    let mut ksymbols = Ksymbols::with_capacity(1).unwrap();
    let mut set = ProgramSet::new();
    let loader = std::thread::spawn(|| {
        run_on(0);
        (0..200).map(|at| load::simple(&format!("lw_many_{at}")).unwrap()).collect::<Vec<_>>()
    });
    let programs = loader.join().unwrap();
    let news = ksymbols.read();
    for change in &news.changes {
        set.apply(change);
    }
    assert!(news.lost);
    let seen = changes_of(&[news], "_lw_many", true);
    assert!((20..200).contains(&seen), "{seen} in a page of records");
    assert!(set.replace_all(&Programs::read().unwrap()));
    assert_eq!(with(set.iter(), "_lw_many").len(), programs.len());

    // What comes after is not a loss, but for the record with which the kernel counts the old one.
    let news = ksymbols.read();
    assert!(news.changes.is_empty() && !news.lost, "{news:?}");
    let program = load::simple("lw_many_after").unwrap();
    follow(&mut ksymbols, &mut set, |news| changes_of(news, "_lw_many_after", true) == 1);
    drop(program);
    follow(&mut ksymbols, &mut set, |news| changes_of(news, "_lw_many_after", false) == 1);
    assert!(!ksymbols.read().lost);
}

#[test]
fn a_watch_is_current_whatever_was_lost() {
    let Some(_alone) = alone() else { return };
    let early = load::simple("lw_watch_early").unwrap();
    let mut watch = Watch::over(Ksymbols::with_capacity(1).unwrap()).unwrap();
    let own = |watch: &Watch| with(watch.functions(), "_lw_watch");
    assert_eq!(own(&watch).len(), 1);
    let programs: Vec<_> = (0..200).map(|at| load::simple(&format!("lw_watch_{at}")).unwrap()).collect();
    assert!(watch.update().unwrap());
    assert_eq!(own(&watch).len(), 201);
    drop(programs);
    assert!(watch.update().unwrap());
    assert_eq!(own(&watch).into_values().map(|name| name[26..].to_owned()).collect::<Vec<_>>(), ["lw_watch_early"]);

    // The list that the loss asks for is denied; the loss is not forgotten.
    let programs: Vec<_> = (0..200).map(|at| load::simple(&format!("lw_watch_{at}")).unwrap()).collect();
    let denied = deprived(CapabilitySet::SYS_ADMIN | CapabilitySet::BPF, || watch.update());
    assert!(matches!(denied, Err(BpfError::Denied { .. })), "{denied:?}");
    assert!(own(&watch).len() < 201);
    assert!(watch.update().unwrap(), "no record came since, and still");
    assert_eq!(own(&watch).len(), 201);
    drop((programs, early));
}

/// `cargo test -p lapwing-kallsyms --test bpf -- --ignored`, as root, on a machine that can miss a processor.
#[test]
#[ignore = "takes a processor offline for an instant"]
fn a_processor_that_comes_again_is_watched_when_reopened() {
    let Some(_alone) = alone() else { return };
    let switch = "/sys/devices/system/cpu/cpu1/online";
    let mut watch = Watch::start().unwrap();
    if let Err(why) = std::fs::write(switch, "0") {
        return println!("skipped: {switch}: {why}");
    }
    std::fs::write(switch, "1").unwrap();
    std::thread::spawn(move || {
        run_on(1);
        let own = |watch: &Watch| with(watch.functions(), "_lw_again").len();
        let _unseen = load::simple("lw_again_one").unwrap();
        assert!(!watch.update().unwrap());
        assert_eq!(own(&watch), 0);
        assert!(watch.reopen().unwrap());
        assert_eq!(own(&watch), 1);
        let _seen = load::simple("lw_again_two").unwrap();
        assert!(watch.update().unwrap());
        assert_eq!(own(&watch), 2);
    })
    .join()
    .unwrap();
}

/// `ask` in a thread that has all capabilities of this process but `without`.
fn deprived<T: Send>(without: CapabilitySet, ask: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let mut own = rustix::thread::capabilities(None).unwrap();
            own.effective -= without;
            rustix::thread::set_capabilities(None, own).unwrap();
            ask()
        });
        asked.join().unwrap()
    })
}

#[test]
fn who_may_not_is_told_what_it_takes() {
    let Some(_alone) = alone() else { return };
    let _program = load::simple("lw_may").unwrap();
    match deprived(CapabilitySet::SYS_ADMIN | CapabilitySet::BPF, Programs::read) {
        Err(BpfError::Denied { call, needs, .. }) => {
            assert_eq!((call, needs), ("BPF_PROG_GET_NEXT_ID", "CAP_SYS_ADMIN"))
        }
        other => panic!("{other:?}"),
    }
    let setting = |name| std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    match deprived(CapabilitySet::SYSLOG, Programs::read) {
        Err(BpfError::Hidden(Hidden::Capability)) => {}
        // With these settings everybody may.
        Ok(read)
            if setting("kptr_restrict").trim() == "0"
                && ["-1", "0", "1"].contains(&setting("perf_event_paranoid").trim()) =>
        {
            assert!(read.functions().all(|function| function.address != 0));
        }
        other => panic!("{other:?}"),
    }
    match deprived(CapabilitySet::SYS_ADMIN | CapabilitySet::PERFMON, Ksymbols::open) {
        Err(BpfError::Denied { call, error, .. }) => {
            assert_eq!((call, error.raw_os_error()), ("perf_event_open", Some(libc::EACCES)));
        }
        Ok(_) if ["-1", "0"].contains(&setting("perf_event_paranoid").trim()) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn rings_are_unmapped_with_what_mapped_them() {
    let Some(_alone) = alone() else { return };
    let held = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().filter(|line| line.contains("[perf_event]")).count()
    };
    let ksymbols = Ksymbols::open().unwrap();
    assert_eq!(held(), ksymbols.descriptors().count());
    drop(ksymbols);
    assert_eq!(held(), 0);
}

#[test]
fn a_monitor_keeps_programs_in_the_table() {
    let Some(_alone) = alone() else { return };
    let symbolizer = match Symbolizer::load() {
        Ok(symbolizer) => Arc::new(symbolizer),
        Err(why) => return println!("skipped: {why}"),
    };
    let monitor = match Monitor::start(Arc::clone(&symbolizer), MonitorOptions::default()) {
        Ok(monitor) => monitor,
        Err(why) => return println!("skipped: {why}"),
    };
    let listed = |mark: &str| {
        symbolizer.snapshot().find_prefix("bpf_prog_").any(|symbol| symbol.name().as_str().ends_with(mark))
    };
    let until = |what: &str, done: &dyn Fn() -> bool| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !done() {
            assert!(Instant::now() < deadline, "{what}: {:?}", monitor.state());
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    until("they are listed", &|| monitor.state().programs.is_some());
    assert!(!listed("_lw_watched"));
    let program = load::simple("lw_watched").unwrap();
    until("it is there", &|| listed("_lw_watched"));
    let table = symbolizer.snapshot();
    let found = table.find_prefix("bpf_prog_").find(|symbol| symbol.name().as_str().ends_with("_lw_watched")).unwrap();
    assert_eq!(table.lookup(found.address() + 1).unwrap().to_string(), format!("{}+0x1 [bpf]", found.name().as_str()));
    assert!(symbolizer.reload().is_ok());
    assert!(listed("_lw_watched"), "a reload of everything keeps it");
    drop(program);
    until("it is gone", &|| !listed("_lw_watched"));
    monitor.stop();
}
