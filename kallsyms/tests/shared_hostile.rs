//! What is no table, or not to be trusted, is an error, and nothing else's file is replaced.

mod mend;
mod tables;

use lapwing_kallsyms::shared::{AttachError, Attached, Options, PublishError, publish};
use lapwing_kallsyms::{Damage, NameBuffer, Snapshot, parse};
use mend::mend;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use tables::{FOR_ALL, Player, attached_number, names, part, publish_number, say, table};

fn refused(path: &Path) -> AttachError {
    match Attached::open(path) {
        Err(error) => {
            assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
            error
        }
        Ok(_) => panic!("{}: attached", path.display()),
    }
}

/// The file of a small table, which has a pair of a function and its prefix and two modules.
fn small() -> Vec<u8> {
    let lines = "ffffffff81000000 T _text\n\
                 ffffffff81000000 t __pfx_do_one\n\
                 ffffffff81000010 T do_one\n\
                 ffffffff81002000 W an_alias\n\
                 ffffffff81002000 T do_another\n\
                 ffffffff81003000 T _etext\n\
                 ffffffffc0000000 t start_of_it\t[dummy]\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small");
    publish(&path, &parse(lines.as_bytes()).unwrap(), &Options::default()).unwrap();
    fs::read(&path).unwrap()
}

/// Asks everything that can be asked. Returns what it would print, in characters.
fn ask(snapshot: &Snapshot) -> usize {
    let mut asked = 0;
    let mut name = NameBuffer::default();
    let mut ask = |address: u64| {
        asked += snapshot.module_at(address).map_or(0, |module| module.name().len());
        asked += snapshot.lookup(address).map_or(0, |symbol| symbol.to_string().len());
        asked += snapshot.aliases(address).map_or(0, |aliases| aliases.map(|alias| alias.to_string().len()).sum());
    };
    for module in snapshot.modules() {
        for range in module.ranges() {
            for address in [range.start.wrapping_sub(1), range.start, range.end.wrapping_sub(1), range.end] {
                ask(address);
            }
        }
        for symbol in module.symbols() {
            ask(symbol.address());
            ask(symbol.address().wrapping_add(1));
        }
        (0..64).filter_map(|id| module.symbol_with_id(id)).for_each(|symbol| _ = symbol.name_into(&mut name));
    }
    [0, 1, u64::MAX, 0xffff_ffff_8100_0017].into_iter().for_each(&mut ask);
    asked + snapshot.find_prefix("do").count()
}

#[test]
fn a_table_cut_short_anywhere_or_too_long_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kallsyms");
    let whole = small();
    for len in 0..whole.len() {
        fs::write(&path, &whole[..len]).unwrap();
        let error = refused(&path);
        assert!(matches!(error, AttachError::Unfit { source: Damage::Foreign | Damage::Length, .. }), "{len}: {error}");
    }
    let mut longer = whole.clone();
    longer.push(0);
    fs::write(&path, longer).unwrap();
    assert!(matches!(refused(&path), AttachError::Unfit { source: Damage::Length, .. }));
    fs::write(&path, whole).unwrap();
    Attached::open_of_any_boot(&path).unwrap();
}

/// Lines from anywhere give a table that looks like any other.
#[test]
fn a_table_made_of_a_copy_is_of_no_boot() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kallsyms");
    publish_number(&path, 1).unwrap();
    assert!(matches!(refused(&path), AttachError::NoBoot { .. }));
    assert_eq!(attached_number(&path), 1);
}

#[test]
fn no_bit_of_a_table_but_of_its_generations_can_change_unseen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kallsyms");
    let whole = small();
    for bit in 0..whole.len() * 8 {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, changed).unwrap();
        let is_generation = (16 * 8..32 * 8).contains(&bit);
        assert_eq!(Attached::open_of_any_boot(&path).is_ok(), is_generation, "bit {bit}");
    }
}

#[test]
fn a_table_changed_by_who_mends_its_checksum_is_refused_or_answers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kallsyms");
    let whole = small();
    let mut mended = whole.clone();
    mend(&mut mended);
    assert_eq!(mended, whole, "the checksum of the format");
    let (mut refusals, mut answers) = (0, 0);
    // Every bit, and every byte at its lowest and highest.
    let changes = (0..whole.len()).flat_map(|at| {
        let byte = whole[at];
        (0..8).map(move |bit| (at, byte ^ 1 << bit)).chain([(at, 0), (at, 0xff), (at, 0x7f), (at, 0x80)])
    });
    for (at, byte) in changes {
        let mut changed = whole.clone();
        changed[at] = byte;
        mend(&mut changed);
        fs::write(&path, changed).unwrap();
        match Attached::open_of_any_boot(&path) {
            Err(error) => {
                assert!(matches!(error, AttachError::Unfit { .. }), "{error}");
                refusals += 1;
            }
            Ok(attached) => {
                let snapshot = attached.snapshot();
                ask(&snapshot);
                // These take long to get ready.
                if answers % 256 == 0 {
                    snapshot.find("__pfx_do_one").count();
                    snapshot.modules().for_each(|module| _ = module.address_of("do_one"));
                }
                answers += 1;
            }
        }
    }
    println!("{} bytes, changed: refused {refusals}, answered {answers}", whole.len());
    assert!(refusals > 0 && answers > 0);
}

#[test]
fn a_table_of_another_boot_is_refused_unless_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kallsyms");
    let mut table = small();
    fs::write(&path, &table).unwrap();
    assert!(matches!(refused(&path), AttachError::NoBoot { .. }), "it is made of a copy");
    table[40] = 1;
    mend(&mut table);
    fs::write(&path, &table).unwrap();
    assert!(matches!(refused(&path), AttachError::OtherBoot { .. }));
    Attached::open_of_any_boot(&path).unwrap();
    // It is replaced like any other.
    publish_number(&path, 1).unwrap();
    assert_eq!(attached_number(&path), 1);
}

#[test]
fn a_huge_file_is_refused_without_being_mapped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kallsyms");
    const MAX: u64 = 256 << 20;
    fs::write(&path, small()).unwrap();
    for len in [MAX + 1, 1 << 42] {
        File::options().write(true).open(&path).unwrap().set_len(len).unwrap();
        assert!(matches!(refused(&path), AttachError::TooLarge { len: found, .. } if found == len));
    }
    // As long as allowed, and as its header says: what it says is wrong is found by looking at all of it.
    let mut header = small();
    header[32..40].copy_from_slice(&MAX.to_le_bytes());
    fs::write(&path, header).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(MAX).unwrap();
    assert!(matches!(refused(&path), AttachError::Unfit { source: Damage::Checksum, .. }));
}

fn is_kind(error: AttachError, wanted: &str) -> bool {
    matches!(error, AttachError::NotARegularFile { kind, .. } if kind == wanted)
}

#[test]
fn what_is_no_regular_file_is_refused_by_readers_and_publishers_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name| folder.path().join(name);
    publish_number(&at("real"), 1).unwrap();
    let make_pipe = |name| mknodat(CWD, at(name), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    symlink(at("real"), at("link")).unwrap();
    symlink(at("nothing"), at("dangling")).unwrap();
    symlink(at("loop"), at("loop")).unwrap();
    fs::create_dir(at("folder")).unwrap();
    make_pipe("pipe");
    let _socket = UnixListener::bind(at("socket")).unwrap();
    let kinds = [
        ("link", "a symbolic link"),
        ("dangling", "a symbolic link"),
        ("loop", "a symbolic link"),
        ("folder", "a folder"),
        ("pipe", "a pipe"),
        ("socket", "a socket"),
    ];
    for (name, wanted) in kinds {
        assert!(is_kind(refused(&at(name)), wanted), "{name}");
        let published = publish_number(&at(name), 2);
        let error = published.unwrap_err();
        assert!(matches!(error, PublishError::NotARegularFile { kind, .. } if kind == wanted), "{name}: {error}");
        fs::remove_file(at(name).with_added_extension("lock")).unwrap();
    }
    assert!(is_kind(refused(Path::new("/dev/null")), "a device"));
    assert_eq!(attached_number(&at("real")), 1, "a link was followed");
    // In the way of the lock, and of the file that is not finished.
    symlink(at("elsewhere"), at("a.lock")).unwrap();
    make_pipe("b.lock");
    for name in ["a", "b"] {
        assert!(matches!(publish_number(&at(name), 2), Err(PublishError::NotARegularFile { .. })), "{name}");
    }
    symlink(at("elsewhere"), at("c.new")).unwrap();
    publish_number(&at("c"), 2).unwrap();
    assert!(!at("elsewhere").exists(), "a link was followed");
    assert!(!at("c").symlink_metadata().unwrap().is_symlink());
    fs::create_dir(at("d.new")).unwrap();
    assert!(matches!(publish_number(&at("d"), 2), Err(PublishError::Os { .. })));
}

#[test]
fn a_table_that_somebody_else_may_write_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kallsyms");
    publish(&path, table(1), &FOR_ALL).unwrap();
    for mode in [0o620, 0o602, 0o666] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert!(matches!(refused(&path), AttachError::NotTrusted { mode: found, .. } if found == mode));
    }
    for mode in [0o666, 0o660, 0o400, 0o700, 0o4600, 0] {
        let published = publish(&path, table(2), &Options { mode, group: None });
        assert!(matches!(published, Err(PublishError::Mode { mode: found }) if found == mode));
    }
}

#[test]
fn what_is_no_table_is_neither_published_nor_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("thesis.tex");
    for content in ["", "\\documentclass", &"long ".repeat(100)] {
        fs::write(&path, content).unwrap();
        assert!(matches!(publish_number(&path, 1), Err(PublishError::NotATable { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(publish_number(&folder.path().join("no/such"), 1), Err(PublishError::NoFolder { .. })));
    assert!(matches!(publish_number(Path::new("/"), 1), Err(PublishError::NoName { .. })));
    assert!(!path.exists());
}

#[test]
#[ignore = "a process of the test below"]
fn publisher_with_a_limit() {
    let Some((path, numbers)) = part() else { return };
    let limit = rustix::process::Rlimit { current: Some(numbers[0]), maximum: Some(numbers[0]) };
    rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).unwrap();
    let error = publish_number(&path, 2).unwrap_err();
    assert!(matches!(error, PublishError::FileSizeLimit { limit, .. } if limit == numbers[0]), "{error}");
    say(1);
}

#[test]
fn a_publisher_that_may_not_write_so_much_is_told_and_lives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kallsyms");
    publish_number(&path, 1).unwrap();
    assert_eq!(Player::start("publisher_with_a_limit", &path, &[4096]).hear_all(), [1]);
    assert_eq!(attached_number(&path), 1);
    assert_eq!(names(folder.path()), ["kallsyms", "kallsyms.lock"]);
}

const NOBODY: u32 = 65534;

#[test]
#[ignore = "a process of the test below"]
fn nobody() {
    let Some((path, _)) = part() else { return };
    match Attached::open_of_any_boot(&path) {
        Ok(attached) => say(tables::number(&attached.snapshot())),
        Err(AttachError::PermissionDenied { mode: 0o600, owner: 0, uid: NOBODY, .. }) => say(1000),
        Err(AttachError::NotTrusted { .. }) => say(1001),
        Err(error) => panic!("{error}"),
    }
    match publish_number(&path, 9) {
        Err(PublishError::NotOurs { owner: 0, uid: NOBODY, .. }) => say(2000),
        Err(PublishError::Os { .. }) => say(2001),
        published => panic!("{published:?}"),
    }
}

#[test]
fn readers_without_privilege_read_what_the_mode_allows_and_root_trusts_nobody_elses() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root, to be two users");
        return;
    }
    if Command::new("setpriv").arg("--version").output().is_err() {
        println!("skipped: needs setpriv");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o1777)).unwrap();
    let path = folder.path().join("kallsyms");
    let hear = |path: &Path| {
        let mut setpriv = Command::new("setpriv");
        setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]);
        setpriv.arg(std::env::current_exe().unwrap());
        Player::of(setpriv, "nobody", path, &[]).hear_all()
    };
    publish(&path, table(5), &FOR_ALL).unwrap();
    assert_eq!(hear(&path)[0], 5);
    publish_number(&path, 6).unwrap();
    assert_eq!(hear(&path)[0], 1000);
    // In a folder where everybody may make files, the names beside it are somebody else's too.
    assert_eq!(hear(&path)[1], 2000);
    assert_eq!(attached_number(&path), 6);

    let theirs = folder.path().join("theirs");
    publish(&theirs, table(7), &FOR_ALL).unwrap();
    chown(&theirs, Some(NOBODY), None).unwrap();
    assert!(matches!(refused(&theirs), AttachError::NotTrusted { owner: NOBODY, .. }));
    assert!(matches!(publish_number(&theirs, 8), Err(PublishError::NotOurs { owner: NOBODY, .. })));
}
