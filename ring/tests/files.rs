//! Creating and opening: complete or not at all, nothing followed, nothing replaced, and an error that says why.

mod folder;

use folder::{Folder, small};
use lapwing_ring::{Create, Error, GeometryError, Level, Log, Read, Reader, Writer, identify_path};
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Barrier, mpsc};
use std::time::Duration;

#[test]
fn what_is_no_regular_file_is_a_typed_error_and_nobody_waits() {
    let folder = Folder::new("kinds");
    let good = folder.join("good");
    small().create(&good).unwrap();
    let (link, dangling, fifo) = (folder.join("link"), folder.join("dangling"), folder.join("fifo"));
    symlink(&good, &link).unwrap();
    symlink(folder.join("nowhere"), &dangling).unwrap();
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let socket = folder.join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let cases = [
        (folder.0.clone(), "a folder"),
        (link, "a symbolic link"),
        (dangling, "a symbolic link"),
        (fifo, "a pipe"),
        (socket, "a socket"),
        (PathBuf::from("/dev/null"), "a device"),
    ];
    let (done, wait) = mpsc::channel();
    let opener = std::thread::spawn(move || {
        for (path, expected) in cases {
            let errors = [
                identify_path(&path).map(drop).unwrap_err(),
                Reader::open(&path).map(drop).unwrap_err(),
                Writer::open(&path).map(drop).unwrap_err(),
            ];
            for error in errors {
                assert!(matches!(&error, Error::NotARegularFile { kind, .. } if *kind == expected), "{error:?}");
            }
            assert!(matches!(small().create(&path), Err(Error::Exists { .. })), "{path:?}");
        }
        done.send(()).unwrap();
    });
    let waited = wait.recv_timeout(Duration::from_secs(20));
    assert_ne!(waited, Err(mpsc::RecvTimeoutError::Timeout), "opening something that is no ring blocked");
    opener.join().unwrap();
    assert!(matches!(Reader::open(&folder.join("nothing")), Err(Error::NotFound { .. })));
    assert!(matches!(small().create(&folder.join("no/such/folder")), Err(Error::NoFolder { .. })));
    assert_eq!(folder.names(), ["dangling", "fifo", "good", "link", "socket"], "nothing was left behind");
}

#[test]
fn creating_leaves_what_is_there_alone() {
    let folder = Folder::new("exists");
    let (file, link) = (folder.join("file"), folder.join("link"));
    fs::write(&file, b"precious").unwrap();
    symlink(&file, &link).unwrap();
    for path in [&file, &link] {
        assert!(matches!(small().create(path), Err(Error::Exists { path: p }) if p == *path));
    }
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    assert!(matches!(
        Create::new().size(100_000).create(&folder.join("odd")),
        Err(Error::BadGeometry { source: GeometryError::Size { .. }, .. })
    ));
    assert_eq!(folder.names(), ["file", "link"]);
}

#[test]
fn the_mode_is_the_one_asked_for() {
    let folder = Folder::new("mode");
    for mode in [0o600, 0o640, 0o666] {
        let path = folder.join(&format!("{mode:o}"));
        small().mode(mode).create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, mode, "whatever the umask");
    }
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        eprintln!("SKIPPED: root may open everything");
        return;
    }
    let path = folder.join("closed");
    small().mode(0).create(&path).unwrap();
    assert!(matches!(Reader::open(&path), Err(Error::PermissionDenied { mode: 0, .. })));
    let path = folder.join("read-only");
    small().mode(0o400).create(&path).unwrap();
    assert!(matches!(Writer::open(&path), Err(Error::PermissionDenied { mode: 0o400, .. })));
    assert!(Reader::open(&path).is_ok());
}

#[test]
fn one_of_many_creators_wins_and_nobody_sees_half_a_ring() {
    let folder = Folder::new("race");
    for round in 0..12 {
        let path = folder.join(&format!("ring{round}"));
        let start = Barrier::new(5);
        let wins = std::thread::scope(|scope| {
            let creators: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        match small().create(&path) {
                            Ok(()) => 1,
                            Err(Error::Exists { .. }) => 0,
                            Err(other) => panic!("{other:?}"),
                        }
                    })
                })
                .collect();
            scope.spawn(|| {
                start.wait();
                loop {
                    match Reader::open(&path) {
                        Ok(reader) => break assert!(reader.bounds().is_ok()),
                        Err(Error::NotFound { .. }) => std::thread::yield_now(),
                        Err(other) => panic!("{other:?}"),
                    }
                }
            });
            creators.into_iter().map(|creator| creator.join().unwrap()).sum::<u32>()
        });
        assert_eq!(wins, 1);
        assert_eq!(Writer::open(&path).unwrap().append(Level::INFO, b"first"), Ok(0));
    }
    assert_eq!(folder.names().len(), 12, "nothing was left behind");
}

/// Runs the test of this name again in a mount namespace of its own, so that nothing stays mounted whatever happens. In that
/// run: the folder that is there for it.
fn alone(name: &str) -> Option<PathBuf> {
    const INSIDE: &str = "LAPWING_TEST_MOUNTS";
    if let Some(folder) = std::env::var_os(INSIDE) {
        return Some(folder.into());
    }
    let folder = Folder::new(name);
    let program = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(program)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, &folder.0)
        .output();
    match output {
        Err(error) => eprintln!("SKIPPED: no unshare ({error})"),
        Ok(output) => {
            let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            if errors.contains("panicked") {
                panic!("{text}\n{errors}");
            }
            if !errors.contains("CHECKED") {
                eprintln!("SKIPPED: no mounting here ({})", errors.trim());
            }
        }
    }
    None
}

fn mount(arguments: &[&str], at: &Path) -> bool {
    let is_there = Command::new("mount").args(arguments).arg(at).status().is_ok_and(|status| status.success());
    if !is_there {
        eprintln!("no mount");
    }
    is_there
}

#[test]
fn a_full_file_system_is_told_before_anything_is_there() {
    let Some(folder) = alone("a_full_file_system_is_told_before_anything_is_there") else { return };
    if !mount(&["-t", "tmpfs", "-o", "size=1m", "lapwing"], &folder) {
        return;
    }
    let left = || fs::read_dir(&folder).unwrap().count();
    match Create::new().size(16 << 20).create(&folder.join("ring")) {
        Err(Error::NoSpace { needed, free, .. }) => {
            assert!(needed > 16 << 20 && free > 1 << 19 && free <= 1 << 20, "{needed} {free}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(left(), 0);
    small().create(&folder.join("small")).unwrap();
    // Nearly full: the last page of a ring does not fit.
    let mut filler = OpenOptions::new().create_new(true).write(true).open(folder.join("filler")).unwrap();
    while filler.write_all(&[1; 4096]).is_ok() {}
    assert!(matches!(small().create(&folder.join("second")), Err(Error::NoSpace { free: 0, .. })));
    assert_eq!(left(), 2);
    // Nor does a snapshot, neither under a new name nor in place of a file.
    fs::write(folder.join("old"), b"").unwrap();
    let snapshot = Reader::open(&folder.join("small")).unwrap().snapshot(|_, _| {}).unwrap();
    for (name, replace) in [("saved", false), ("saved", true), ("old", true)] {
        let saved = snapshot.save(&folder.join(name), replace, |_, _| {});
        let kind = |error: &std::io::Error| error.kind() == std::io::ErrorKind::StorageFull;
        assert!(matches!(&saved, Err(Error::Os { source, .. }) if kind(source)), "{saved:?}");
    }
    assert_eq!((left(), fs::read(folder.join("old")).unwrap()), (3, vec![]));
    fs::remove_file(folder.join("old")).unwrap();
    // A ring that exists has all its space: it is written from end to end on the full file system.
    let mut writer = Writer::open(&folder.join("small")).unwrap();
    for _ in 0..2000 {
        writer.append(Level::INFO, &[b'x'; 100]).unwrap();
    }
    eprintln!("CHECKED");
}

#[test]
fn what_is_missing_for_a_new_ring_is_said_and_not_that_the_ring_is() {
    let Some(folder) = alone("what_is_missing_for_a_new_ring_is_said_and_not_that_the_ring_is") else { return };
    if !mount(&["-t", "tmpfs", "lapwing"], Path::new("/proc")) {
        return;
    }
    let error = small().create(&folder.join("ring")).unwrap_err();
    assert!(matches!(error, Error::Os { call, .. } if call.contains("/proc")), "{error}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    eprintln!("CHECKED");
}

#[test]
fn a_container_s_own_boot_id_makes_no_other_boot_of_a_ring_in_memory() {
    let Some(folder) = alone("a_container_s_own_boot_id_makes_no_other_boot_of_a_ring_in_memory") else { return };
    let boot = folder.join("boot");
    fs::write(&boot, "01234567-89ab-cdef-0123-456789abcdef\n").unwrap();
    // Files of the one have a time of birth, those of the other none.
    let rings = ["tmpfs", "ramfs"].map(|kind| {
        let memory = folder.join(kind);
        fs::create_dir(&memory).unwrap();
        let ring = memory.join("ring");
        (mount(&["-t", kind, "lapwing"], &memory) && small().create(&ring).is_ok()).then_some(ring)
    });
    let kernel = Path::new("/proc/sys/kernel/random/boot_id");
    if !mount(&["--bind", boot.to_str().unwrap()], kernel) {
        return;
    }
    for ring in rings.iter().flatten() {
        let is_refused = matches!(Writer::open(ring), Err(Error::OtherBoot { .. }));
        let is_called_another = identify_path(ring).unwrap().is_of_another_boot();
        let has_birth = ring.metadata().unwrap().created().is_ok();
        assert_eq!((is_refused, is_called_another), (!has_birth, !has_birth), "{}", ring.display());
    }
    eprintln!("CHECKED");
}

#[test]
fn a_hole_in_the_file_does_not_make_it_shorter() {
    // A ring that somebody copied sparsely is the same ring.
    let folder = Folder::new("sparse");
    let (path, copy) = (folder.join("ring"), folder.join("copy"));
    small().create(&path).unwrap();
    let mut writer = Writer::open(&path).unwrap();
    for seq in 0..3 {
        assert_eq!(writer.append(Level::INFO, b"hello"), Ok(seq));
    }
    drop(writer);
    let bytes = fs::read(&path).unwrap();
    let file = File::create(&copy).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (i, block) in bytes.chunks(4096).enumerate().filter(|(_, block)| block.iter().any(|&byte| byte != 0)) {
        file.write_all_at(block, i as u64 * 4096).unwrap();
    }
    let mut reader = Reader::open(&copy).unwrap();
    for seq in 0..3 {
        assert!(matches!(reader.next(), Ok(Read::Record(record)) if record.seq == seq));
    }
}

#[test]
fn a_copy_is_read_as_a_snapshot_and_written_to_by_nobody() {
    let folder = Folder::new("copy");
    let (path, copy, moved) = (folder.join("ring"), folder.join("copy"), folder.join("moved"));
    small().create(&path).unwrap();
    let mut writer = Writer::open(&path).unwrap();
    writer.append(Level::INFO, b"before the copy").unwrap();
    fs::copy(&path, &copy).unwrap();
    writer.append(Level::INFO, b"after it").unwrap();
    let original = identify_path(&path).unwrap();
    let identity = identify_path(&copy).unwrap();
    assert!(!original.copied && identity.copied);
    assert_eq!(original.ring_id, identity.ring_id, "the same ring, at another moment");
    assert!(matches!(Writer::open(&copy), Err(Error::Copied { path }) if path == copy));
    assert!(matches!(Log::open(&copy), Err(Error::Copied { .. })));
    let mut reader = Reader::open(&copy).unwrap();
    assert!(matches!(reader.next(), Ok(Read::Record(record)) if record.payload == b"before the copy"));
    assert!(matches!(reader.next(), Ok(Read::NotYet { in_flight: false })));
    // On another file system a copy can have the inode number of the ring; then its birth tells.
    let file = OpenOptions::new().write(true).open(&copy).unwrap();
    file.write_all_at(&file.metadata().unwrap().ino().to_le_bytes(), 120).unwrap();
    if file.metadata().unwrap().created().is_ok() {
        assert!(matches!(Writer::open(&copy), Err(Error::Copied { .. })));
    }
    // Another name is no copy.
    fs::hard_link(&path, &moved).unwrap();
    assert_eq!(Writer::open(&moved).unwrap().append(Level::INFO, b"linked"), Ok(2));
    fs::rename(&path, &moved).unwrap();
    assert_eq!(Writer::open(&moved).unwrap().append(Level::INFO, b"renamed"), Ok(3));
}

#[test]
fn a_ring_that_was_made_in_memory_is_of_this_boot_whatever_the_boot_is_called() {
    let path = Path::new("/dev/shm").join(format!("lapwing-boot-{}", std::process::id()));
    small().create(&path).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    file.write_all_at(&[0xab; 16], 80).unwrap();
    let opened = Writer::open(&path).map(drop);
    // Without a time of birth it could be a file of the same number that somebody restored.
    file.write_all_at(&[0; 8], 128).unwrap();
    let without = Writer::open(&path).map(drop);
    fs::remove_file(&path).unwrap();
    assert!(matches!(without, Err(Error::OtherBoot { .. })));
    match file.metadata().unwrap().created() {
        Ok(_) => opened.unwrap(),
        Err(_) => eprintln!("SKIPPED: files in /dev/shm have no time of birth"),
    }
}

#[test]
fn whoever_has_a_ring_mapped_shares_a_lock_on_it_and_who_removes_it_holds_it_alone() {
    let folder = Folder::new("lock");
    let path = folder.join("ring");
    small().create(&path).unwrap();
    let gc = File::open(&path).unwrap();
    let alone = || gc.try_lock().map(|()| gc.unlock().unwrap()).is_ok();
    assert!(alone());
    let (reader, writer) = (Reader::open(&path).unwrap(), Writer::open(&path).unwrap());
    assert!(!alone());
    drop(reader);
    assert!(!alone());
    drop(writer);
    assert!(alone());
    // A lock that is never given back is an annoyance and no more.
    gc.try_lock().unwrap();
    assert_eq!(Writer::open(&path).unwrap().append(Level::INFO, b"anyway"), Ok(0));
    // Who opened the file before it was removed does not write where nobody looks.
    let opener = std::thread::spawn({
        let path = path.clone();
        move || Writer::open(&path).map(drop)
    });
    std::thread::sleep(Duration::from_millis(5));
    fs::remove_file(&path).unwrap();
    gc.unlock().unwrap();
    assert!(matches!(opener.join().unwrap(), Err(Error::NotFound { .. })));
}
