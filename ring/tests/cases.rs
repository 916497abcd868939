//! The cases of docs/RELIABILITY.md that have no other home: what limits, mounts, owners and callers do to a ring.
#![allow(unsafe_code)]

mod folder;

use folder::{Folder, small};
use lapwing_ring::{AppendError, Create, Error, Level, Read, Reader, Seek, Writer, identify_path};
use std::ffi::CString;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const ROLE: &str = "CASES_ROLE";
const NOBODY: u32 = 65534;

/// Runs this test binary again in `role`, alone in its process.
fn command(role: &str, folder: &Folder) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "actor", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, format!("{role} {}", folder.0.display()));
    command
}

fn run(role: &str, folder: &Folder) -> Output {
    command(role, folder).output().unwrap()
}

/// A run that has to end well, or to say that this machine does not permit it.
fn act(role: &str) {
    let folder = Folder::new(&format!("cases-{role}"));
    let output = run(role, &folder);
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{role}: {text}{errors}");
    match text.lines().find_map(|line| line.strip_prefix("said ")) {
        Some("done") => {}
        Some(other) => eprintln!("SKIPPED: {role}: {other}"),
        None => panic!("{role} did not come to its end: {text}{errors}"),
    }
}

#[test]
fn actor() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (role, folder) = role.split_once(' ').unwrap();
    let folder = Path::new(folder);
    let done = match role {
        "umask" => under_a_strict_umask(folder),
        "owner" => as_somebody_else(folder),
        "read-only" => on_a_read_only_file_system(folder),
        "file-size" => with_a_file_size_limit(folder),
        "quota" => with_a_quota(folder),
        "memory" => without_address_space(folder),
        "huge" => on_huge_pages(folder),
        "hard-link" => beside_a_foreign_hard_link(folder),
        "abort" => abort_while_attached(folder),
        "exec" => exec_while_another_thread_appends(folder),
        _ => panic!("{role}"),
    };
    println!("\nsaid {}", done.err().unwrap_or("done"));
}

/// What a role comes to: `Err` says what this machine does not permit.
type Done = Result<(), &'static str>;

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn become_nobody() -> Done {
    // SAFETY: changes the ids of this process, no more.
    let group = unsafe { libc::setresgid(NOBODY, NOBODY, NOBODY) };
    // SAFETY: as above.
    let user = unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) };
    if group == 0 && user == 0 { Ok(()) } else { Err("only root can become somebody else") }
}

/// Mounts something on `folder` that nobody else sees, and that goes with this process.
fn mount(kind: &str, folder: &Path, options: &str) -> Done {
    // SAFETY: moves this process to a mount namespace of its own, no more.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err("no mount namespaces for us");
    }
    let root = CString::new("/").unwrap();
    let private = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: a path, and numbers.
    unsafe { libc::mount(std::ptr::null(), root.as_ptr(), std::ptr::null(), private, std::ptr::null()) };
    let mounted = Command::new("mount").args(["-t", kind, "-o", options, "lapwing"]).arg(folder).output();
    if mounted.is_ok_and(|output| output.status.success()) { Ok(()) } else { Err("this cannot be mounted here") }
}

fn limit(what: libc::__rlimit_resource_t, to: u64) {
    let limit = libc::rlimit { rlim_cur: to, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: a valid limit.
    assert_eq!(unsafe { libc::setrlimit(what, &limit) }, 0);
}

fn under_a_strict_umask(folder: &Path) -> Done {
    // SAFETY: changes the mask of this process, no more.
    unsafe { libc::umask(0o077) };
    let path = folder.join("ring");
    let gid = fs::metadata(folder).unwrap().gid();
    small().mode(0o660).group(Some(gid)).create(&path).unwrap();
    let meta = fs::metadata(&path).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.gid()), (0o660, gid));
    Ok(())
}

fn as_somebody_else(folder: &Path) -> Done {
    let path = |mode: u32| folder.join(format!("{mode:o}"));
    for mode in [0o600, 0o640, 0o644, 0o444, 0o666, 0o000] {
        small().mode(mode).create(&path(mode)).unwrap();
    }
    become_nobody()?;
    for mode in [0o600, 0o640, 0o000] {
        let denied = [
            Reader::open(&path(mode)).map(drop).unwrap_err(),
            Writer::open(&path(mode)).map(drop).unwrap_err(),
            identify_path(&path(mode)).map(drop).unwrap_err(),
        ];
        for error in denied {
            let owner = matches!(&error, Error::PermissionDenied { mode: m, owner: 0, uid: NOBODY, .. } if *m == mode);
            assert!(owner, "{mode:o}: {error:?}");
        }
    }
    for mode in [0o644, 0o444] {
        assert!(matches!(Reader::open(&path(mode)).unwrap().next(), Ok(Read::NotYet { in_flight: false })));
        let denied = Writer::open(&path(mode)).map(drop).unwrap_err();
        assert!(matches!(denied, Error::PermissionDenied { to: "write", .. }), "{denied:?}");
    }
    assert_eq!(Writer::open(&path(0o666)).unwrap().append(Level::INFO, b"x"), Ok(0));
    assert!(matches!(small().create(&folder.join("mine")), Err(Error::PermissionDenied { .. })));
    Ok(())
}

fn on_a_read_only_file_system(folder: &Path) -> Done {
    mount("tmpfs", folder, "size=4m")?;
    let path = folder.join("ring");
    small().create(&path).unwrap();
    Writer::open(&path).unwrap().append(Level::INFO, b"before").unwrap();
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(folder).status();
    if !remounted.is_ok_and(|status| status.success()) {
        return Err("no remounting here");
    }
    assert!(matches!(Reader::open(&path).unwrap().next(), Ok(Read::Record(record)) if record.payload == b"before"));
    assert!(matches!(Writer::open(&path), Err(Error::PermissionDenied { to: "write", .. })));
    assert!(matches!(small().create(&folder.join("other")), Err(Error::PermissionDenied { .. })));
    Ok(())
}

fn with_a_file_size_limit(folder: &Path) -> Done {
    limit(libc::RLIMIT_FSIZE, 70_000);
    let error = small().create(&folder.join("ring")).unwrap_err();
    assert!(matches!(error, Error::FileSizeLimit { limit: 70_000, needed: 98_304, .. }), "{error:?}");
    assert_eq!(names(folder), [""; 0]);
    limit(libc::RLIMIT_FSIZE, 98_304);
    small().create(&folder.join("ring")).unwrap();
    Ok(())
}

fn with_a_quota(folder: &Path) -> Done {
    mount("tmpfs", folder, "size=16m,mode=0777,usrquota,usrquota_block_hardlimit=512k")?;
    become_nobody()?;
    small().create(&folder.join("small")).unwrap();
    let error = Create::new().size(1 << 20).create(&folder.join("ring")).unwrap_err();
    assert!(matches!(error, Error::NoSpace { needed: 1_187_840, .. }), "{error:?}");
    assert_eq!(names(folder), ["small"]);
    Ok(())
}

fn without_address_space(folder: &Path) -> Done {
    let path = folder.join("ring");
    Create::new().size(64 << 20).create(&path).unwrap();
    let status = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = status.split(' ').next().unwrap().parse().unwrap();
    limit(libc::RLIMIT_AS, pages * 4096 + (24 << 20));
    let errors = [
        Reader::open(&path).map(drop).unwrap_err(),
        Writer::open(&path).map(drop).unwrap_err(),
        Create::new().size(64 << 20).create(&folder.join("other")).unwrap_err(),
    ];
    for error in errors {
        let Error::Os { call: "map", source, .. } = &error else { panic!("{error:?}") };
        assert_eq!(source.raw_os_error(), Some(libc::ENOMEM));
    }
    assert_eq!(names(folder), ["ring"]);
    assert!(identify_path(&path).is_ok(), "this needs no mapping");
    Ok(())
}

fn on_huge_pages(folder: &Path) -> Done {
    mount("tmpfs", folder, "size=64m,huge=always")?;
    let path = folder.join("ring");
    Create::new().size(4 << 20).create(&path).unwrap();
    assert_eq!(Writer::open(&path).unwrap().append(Level::INFO, b"huge"), Ok(0));
    assert!(matches!(Reader::open(&path).unwrap().next(), Ok(Read::Record(record)) if record.payload == b"huge"));
    let inner = folder.join("hugetlbfs");
    fs::create_dir(&inner).unwrap();
    mount("hugetlbfs", &inner, "min_size=0")?;
    // A file there is made of whole huge pages, and a ring is not.
    let error = small().create(&inner.join("ring")).unwrap_err();
    assert!(matches!(error, Error::NoSpace { .. } | Error::Os { .. }), "{error:?}");
    assert_eq!(names(&inner), [""; 0]);
    Ok(())
}

fn beside_a_foreign_hard_link(folder: &Path) -> Done {
    let (theirs, link) = (folder.join("theirs"), folder.join("link"));
    fs::write(&theirs, b"precious").unwrap();
    fs::hard_link(&theirs, &link).unwrap();
    fs::set_permissions(folder, Permissions::from_mode(0o777)).unwrap();
    become_nobody()?;
    assert!(matches!(small().create(&link), Err(Error::Exists { .. })));
    assert_eq!(fs::read(&theirs).unwrap(), b"precious");
    assert!(matches!(Reader::open(&link), Err(Error::NotARing { .. })));
    Ok(())
}

fn abort_while_attached(folder: &Path) -> Done {
    let mut writer = Writer::open(&folder.join("ring")).unwrap();
    writer.append(Level::INFO, b"last words").unwrap();
    std::process::abort();
}

extern "C" fn wait_for_ever(_: libc::c_int) {
    loop {
        // SAFETY: waits for a signal, and is safe in a handler.
        unsafe { libc::pause() };
    }
}

fn exec_while_another_thread_appends(folder: &Path) -> Done {
    let path = folder.join("ring");
    let handler = wait_for_ever as extern "C" fn(libc::c_int);
    // SAFETY: the handler makes async-signal-safe calls alone.
    unsafe { libc::signal(libc::SIGSEGV, handler as libc::sighandler_t) };
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a fresh anonymous mapping without access.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_NONE, flags, -1, 0) };
    assert_ne!(at, libc::MAP_FAILED);
    // SAFETY: mapped for ever; the test is what happens when it is read.
    let faulting: &'static [u8] = unsafe { std::slice::from_raw_parts(at.cast(), 100) };
    let reader = Reader::open(&path).unwrap();
    let mut writer = Writer::open(&path).unwrap();
    std::thread::spawn(move || writer.append(Level::INFO, faulting));
    while !reader.stat().unwrap().writers.iter().any(|writer| writer.appending) {
        std::thread::yield_now();
    }
    panic!("{}", Command::new("sh").args(["-c", "echo; echo said done; exec cat"]).exec());
}

#[test]
fn an_exec_abandons_what_other_threads_were_writing() {
    let folder = Folder::new("cases-exec");
    let path = folder.join("ring");
    small().create(&path).unwrap();
    let mut child = command("exec", &folder).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "said done"), "the process goes on as another program");
    let mut writer = Writer::open(&path).unwrap();
    assert_eq!(writer.append(Level::INFO, b"after"), Ok(1));
    let mut reader = Reader::open(&path).unwrap();
    reader.set_patience(Duration::from_secs(3600));
    let gap = loop {
        match reader.next().unwrap() {
            Read::NotYet { in_flight: true } => reader.pause(),
            Read::Abandoned(gap) => break gap,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((gap.first, gap.count), (0, 1));
    assert!(matches!(reader.next(), Ok(Read::Record(record)) if record.payload == b"after"));
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_umask_takes_nothing_from_the_mode_that_was_asked_for() {
    act("umask");
}

#[test]
fn who_may_not_read_or_write_is_told_so_with_owner_and_mode() {
    act("owner");
}

#[test]
fn a_ring_on_a_read_only_file_system_can_be_read_and_not_written() {
    act("read-only");
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_before_anything_is_there() {
    act("file-size");
}

#[test]
fn a_quota_is_an_error_before_anything_is_there() {
    act("quota");
}

#[test]
fn without_room_for_a_mapping_there_is_an_error_and_nothing_is_left() {
    act("memory");
}

#[test]
fn huge_pages_hold_a_ring_or_refuse_it_cleanly() {
    act("huge");
}

#[test]
fn a_hard_link_to_the_file_of_another_is_left_alone() {
    act("hard-link");
}

#[test]
fn a_caller_that_panics_gives_its_slot_back_and_one_that_aborts_loses_it() {
    let folder = Folder::new("cases-abort");
    let path = folder.join("ring");
    small().create(&path).unwrap();
    let writers = || Reader::open(&path).unwrap().stat().unwrap().writers;
    let unwound = std::panic::catch_unwind(|| {
        let mut writer = Writer::open(&path).unwrap();
        writer.append(Level::INFO, b"before the panic").unwrap();
        std::panic::resume_unwind(Box::new("a panic of the caller's"));
    });
    assert!(unwound.is_err());
    assert_eq!(writers(), []);
    assert!(!run("abort", &folder).status.success());
    assert!(matches!(&writers()[..], [writer] if !writer.is_alive() && writer.records == 1));
    // Whoever comes next takes the slot over.
    let mut writer = Writer::open(&path).unwrap();
    assert_eq!(writer.append(Level::INFO, b"after"), Ok(2));
    assert!(matches!(&writers()[..], [writer] if writer.is_alive()));
}

#[test]
fn what_lies_behind_a_ring_is_not_looked_at() {
    let folder = Folder::new("cases-longer");
    let path = folder.join("ring");
    small().create(&path).unwrap();
    let len = fs::metadata(&path).unwrap().len();
    let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    file.write_all_at(&[0xff; 5000], len).unwrap();
    let mut writer = Writer::open(&path).unwrap();
    for seq in 0..2000 {
        assert_eq!(writer.append(Level::INFO, &[b'x'; 100]), Ok(seq));
    }
    let mut reader = Reader::open(&path).unwrap();
    while let Read::Record(_) | Read::Lost(_) = reader.next().unwrap() {}
    assert_eq!(reader.seq(), 2000);
    let mut behind = [0; 5000];
    file.read_exact_at(&mut behind, len).unwrap();
    assert_eq!(behind, [0xff; 5000]);
}

#[test]
fn what_the_header_says_once_somebody_is_attached_changes_nothing_for_him() {
    let folder = Folder::new("cases-header");
    let path = folder.join("ring");
    small().create(&path).unwrap();
    let (mut writer, mut reader) = (Writer::open(&path).unwrap(), Reader::open(&path).unwrap());
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    // Sizes, lengths and clock: all that a position or a bound could be computed from.
    for at in [0, 8, 16, 24, 32, 40, 48, 56, 96, 104, 112, 120, 128] {
        file.write_all_at(&u64::MAX.to_le_bytes(), at).unwrap();
    }
    for seq in 0..2000u64 {
        assert_eq!(writer.append(Level::INFO, &seq.to_le_bytes()), Ok(seq));
        assert!(matches!(reader.next(), Ok(Read::Record(r)) if r.seq == seq && r.payload == seq.to_le_bytes()));
    }
    assert!(Reader::open(&path).is_err(), "who comes now is told");
}

#[test]
fn a_reader_begins_at_any_sequence_that_it_names() {
    let folder = Folder::new("cases-places");
    let path = folder.join("ring");
    small().create(&path).unwrap();
    let mut writer = Writer::open(&path).unwrap();
    for seq in 0..3000u64 {
        writer.append(Level::INFO, &seq.to_le_bytes()).unwrap();
    }
    let mut reader = Reader::open(&path).unwrap();
    let oldest = reader.bounds().unwrap().oldest_seq;
    assert!(oldest > 0);
    let places = [
        (Seek::Oldest, oldest),
        (Seek::Newest, 3000),
        (Seek::Seq(oldest), oldest),
        (Seek::Seq(2999), 2999),
        (Seek::Seq(3000), 3000),
        (Seek::Seq(3001), 3000),
        (Seek::Seq(u64::MAX), 3000),
        (Seek::Seq(oldest - 1), oldest - 1),
        (Seek::Seq(0), 0),
    ];
    for (to, expected) in places {
        assert_eq!(reader.seek(to), Ok(expected), "{to:?}");
        match reader.next().unwrap() {
            Read::Record(record) => assert_eq!((record.seq, record.payload), (expected, &expected.to_le_bytes()[..])),
            Read::Lost(gap) => assert_eq!((gap.first, gap.count), (expected, oldest - expected)),
            Read::NotYet { in_flight: false } => assert_eq!(expected, 3000),
            other => panic!("{to:?}: {other:?}"),
        }
    }
    // At the end, and the end moves on.
    reader.seek(Seek::Seq(u64::MAX)).unwrap();
    writer.append(Level::INFO, b"new").unwrap();
    assert!(matches!(reader.next(), Ok(Read::Record(record)) if record.seq == 3000));
}

#[test]
fn a_record_has_any_length_from_nothing_to_the_limit_and_not_a_byte_more() {
    let folder = Folder::new("cases-lengths");
    let path = folder.join("ring");
    small().create(&path).unwrap();
    let mut writer = Writer::open(&path).unwrap();
    let limit = writer.max_body();
    let lengths = [0, 1, 3, 4, 5, 100, limit - 1, limit];
    for len in lengths {
        writer.append(Level::INFO, &vec![b'x'; len]).unwrap();
    }
    let refused = writer.append(Level::INFO, &vec![b'x'; limit + 1]);
    assert_eq!(refused, Err(AppendError::TooLarge { len: limit + 1, limit }));
    let mut reader = Reader::open(&path).unwrap();
    for len in lengths {
        assert!(matches!(reader.next(), Ok(Read::Record(record)) if record.payload == vec![b'x'; len]));
    }
    assert!(matches!(reader.next(), Ok(Read::NotYet { in_flight: false })), "a refused record has no sequence");
}
