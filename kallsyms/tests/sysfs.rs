//! What is read of modules in `/sys/module`: the truth about real kernels, and nothing out of hostile trees.

#[allow(dead_code)]
mod as_nobody;
mod captured;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use lapwing_kallsyms::sysfs::{FactsError, ModuleFacts, State, TextArea};
use lapwing_kallsyms::sysfs::{kernel_build_id, read_all, read_changed, read_module};
use tempfile::{TempDir, tempdir};

use as_nobody::as_nobody;

/// A tree with `loop` and `dummy` in it, as 6.12 has them in stage 2.
fn two_modules() -> TempDir {
    let root = tempdir().unwrap();
    for name in ["loop", "dummy"] {
        captured::copy(&captured::kernel("6.12").stage(2).sys_module().join(name), &root.path().join(name));
    }
    root
}

fn names(modules: &[ModuleFacts]) -> Vec<&str> {
    modules.iter().map(|facts| &*facts.name).collect()
}

#[test]
fn the_modules_of_real_kernels_are_those_of_proc_modules() {
    for version in ["6.1", "6.12"] {
        for stage in 1..=3 {
            let stage = captured::kernel(version).stage(stage);
            let listed = fs::read_to_string(stage.modules()).unwrap();
            let listed: BTreeMap<&str, (u64, u64)> = listed
                .lines()
                .map(|line| {
                    let fields: Vec<_> = line.split(' ').collect();
                    let address = u64::from_str_radix(fields[5].trim_start_matches("0x"), 16).unwrap();
                    (fields[0], (fields[1].parse().unwrap(), address))
                })
                .collect();
            let listing = read_all(&stage.sys_module()).unwrap();
            assert!(listing.skipped.is_empty(), "{:?}", listing.skipped);
            assert_eq!(names(&listing.modules), listed.keys().copied().collect::<Vec<_>>());
            for facts in &listing.modules {
                let text = facts.identity.text.unwrap();
                assert_eq!((facts.core_size, text), listed[&*facts.name], "{}", facts.name);
                assert_eq!(facts.sections.as_ref().unwrap().text[0], text);
                assert_eq!(facts.identity.build_id.unwrap().as_bytes().len(), 20);
                assert!(facts.file_id().is_some());
                assert_eq!(facts.state, State::Live);
            }
        }
    }
}

#[test]
fn text_of_modules_does_not_overlap_where_the_sizes_do() {
    let listing = read_all(&captured::kernel("6.12").stage(1).sys_module()).unwrap();
    let mut areas: Vec<(TextArea, u64)> = Vec::new();
    for facts in &listing.modules {
        let found = facts.sections.as_ref().unwrap().areas();
        // Text is together, but for code that is only copied from, .altinstr_replacement.
        assert!(found.len() <= 2, "{}: {found:x?}", facts.name);
        areas.extend(found.into_iter().map(|area| (area, facts.identity.text.unwrap() + facts.core_size)));
    }
    areas.sort_by_key(|(area, _)| area.start);
    let mut by_size = 0;
    for pair in areas.windows(2) {
        let ((area, sized_end), (next, _)) = (pair[0], pair[1]);
        let page_end = (area.last + 1).next_multiple_of(4096);
        assert!(area.bound.map_or(page_end, |bound| bound.min(page_end)) <= next.start, "{area:x?} {next:x?}");
        by_size += u32::from(pair[1].1 != sized_end && sized_end > next.start);
    }
    assert!(by_size > 0, "this data has the fault of reckoning with coresize");
}

#[test]
fn a_section_between_two_of_text_parts_them() {
    let root = two_modules();
    let sections = root.path().join("dummy/sections");
    fs::remove_dir_all(&sections).unwrap();
    fs::create_dir(&sections).unwrap();
    let places = [
        (".text", 0x1000),
        (".noinstr.text", 0x1800),
        (".plt", 0x2000),
        (".text.unlikely", 0x2400),
        (".init.text", 0x2200),
    ];
    for (name, address) in places {
        fs::write(sections.join(name), format!("0x{address:016x}\n")).unwrap();
    }
    let facts = read_module(root.path(), "dummy").unwrap().unwrap();
    assert_eq!(facts.identity.text, Some(0x1000));
    let first = TextArea { start: 0x1000, last: 0x1800, bound: Some(0x2000) };
    let second = TextArea { start: 0x2400, last: 0x2400, bound: None };
    assert_eq!(facts.sections.unwrap().areas(), [first, second]);
}

#[test]
fn another_time_of_change_is_no_other_module_but_another_directory_is() {
    let root = two_modules();
    let read = || read_module(root.path(), "loop").unwrap().unwrap();
    let before = read();
    let dir = fs::File::open(root.path().join("loop")).unwrap();
    let changed = dir.metadata().unwrap().modified().unwrap();
    dir.set_modified(SystemTime::now() - Duration::from_secs(86400)).unwrap();
    assert_ne!(dir.metadata().unwrap().modified().unwrap(), changed);
    assert_eq!(read(), before);

    captured::copy(&root.path().join("loop"), &root.path().join("other"));
    fs::remove_dir_all(root.path().join("loop")).unwrap();
    fs::rename(root.path().join("other"), root.path().join("loop")).unwrap();
    let after = read();
    assert_ne!(after.identity, before.identity);
    assert_eq!(after.sections, before.sections);
}

#[test]
fn a_module_loaded_anew_has_the_same_build_id_and_another_address() {
    let kernel = captured::kernel("6.12");
    let read = |stage| read_module(&kernel.stage(stage).sys_module(), "loop").unwrap().unwrap().identity;
    assert_eq!(read(1).build_id, read(2).build_id);
    assert_ne!(read(1).text, read(2).text);
    assert_ne!(kernel.stage(1).inodes()["loop"], kernel.stage(2).inodes()["loop"]);
    assert_eq!(read_module(&kernel.stage(1).sys_module(), "dummy").unwrap(), None);
}

#[test]
fn of_a_live_module_that_is_known_only_the_state_is_read_again() {
    let root = two_modules();
    let mut known = read_all(root.path()).unwrap().modules;
    fs::write(root.path().join("dummy/sections/.text"), "0x0000000000abc000\n").unwrap();
    fs::write(root.path().join("dummy/initstate"), "going\n").unwrap();
    let again = read_changed(root.path(), &known).unwrap().modules;
    assert_eq!(again[0].state, State::Going);
    assert_eq!((&again[0].identity, &again[0].sections), (&known[0].identity, &known[0].sections));
    assert_eq!(again[1], known[1]);

    // While it was coming its sections were still in the making.
    known[0].state = State::Coming;
    let again = read_changed(root.path(), &known).unwrap().modules;
    assert!(again[0].sections.as_ref().unwrap().text.contains(&0xabc000));

    fs::write(root.path().join("loop/initstate"), "?\n").unwrap();
    let listing = read_changed(root.path(), &known).unwrap();
    assert_eq!(
        (&listing.modules[1], listing.skipped.len()),
        (&known[1], 1),
        "what cannot be read stays as it is known"
    );

    fs::remove_dir_all(root.path().join("loop")).unwrap();
    assert_eq!(names(&read_changed(root.path(), &known).unwrap().modules), ["dummy"]);
}

#[test]
fn what_is_being_unloaded_and_what_has_no_text_is_no_module() {
    let root = two_modules();
    fs::remove_file(root.path().join("loop/initstate")).unwrap();
    for entry in fs::read_dir(root.path().join("dummy/sections")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains(".text") {
            fs::remove_file(path).unwrap();
        }
    }
    assert_eq!(read_module(root.path(), "loop").unwrap(), None);
    assert_eq!(read_module(root.path(), "dummy").unwrap(), None);
    assert_eq!(read_module(root.path(), "kernel").unwrap(), None);
    let listing = read_all(root.path()).unwrap();
    assert!(listing.modules.is_empty() && listing.skipped.is_empty(), "{listing:?}");
}

/// Linux since 5.17, built to load compressed modules.
#[test]
fn a_file_among_the_modules_is_none() {
    let root = two_modules();
    fs::write(root.path().join("compression"), "xz\n").unwrap();
    let listing = read_all(root.path()).unwrap();
    assert_eq!(names(&listing.modules), ["dummy", "loop"]);
    assert!(listing.skipped.is_empty(), "{:?}", listing.skipped);
}

#[test]
fn a_module_without_notes_has_no_build_id() {
    let root = two_modules();
    fs::remove_dir_all(root.path().join("loop/notes")).unwrap();
    fs::write(root.path().join("dummy/notes/.note.gnu.build-id"), [0xff; 20]).unwrap();
    for facts in read_all(root.path()).unwrap().modules {
        assert_eq!((facts.identity.build_id, facts.file_id()), (None, None), "{}", facts.name);
    }
}

#[test]
fn zero_addresses_are_hidden_ones() {
    let root = two_modules();
    for entry in fs::read_dir(root.path().join("loop/sections")).unwrap() {
        fs::write(entry.unwrap().path(), "0x0000000000000000\n").unwrap();
    }
    let facts = read_module(root.path(), "loop").unwrap().unwrap();
    assert_eq!((facts.sections, facts.identity.text), (None, None));
    assert!(facts.identity.build_id.is_some());
}

#[test]
fn addresses_that_were_hidden_are_read_once_they_are_not() {
    let root = two_modules();
    let seen = read_all(root.path()).unwrap().modules;
    let text = root.path().join("dummy/sections/.text");
    let content = fs::read(&text).unwrap();
    fs::write(&text, "0x0000000000000000\n").unwrap();
    let hidden = read_all(root.path()).unwrap().modules;
    assert_eq!(hidden[0].sections, None);
    assert_eq!(read_changed(root.path(), &seen).unwrap().modules, seen, "what was seen stays known");
    fs::write(&text, content).unwrap();
    assert_eq!(read_changed(root.path(), &hidden).unwrap().modules, seen);
}

/// The kernel lets only root open these files.
#[test]
fn who_may_not_read_sections_still_gets_name_and_build_id() {
    as_nobody("who_may_not_read_sections_still_gets_name_and_build_id", || {
        let root = tempdir().unwrap();
        let module = root.path().join("loop");
        fs::create_dir_all(module.join("sections")).unwrap();
        fs::write(module.join("initstate"), "live\n").unwrap();
        fs::write(module.join("sections/.text"), "0xffffffffc0306000\n").unwrap();
        fs::set_permissions(module.join("sections/.text"), fs::Permissions::from_mode(0o0)).unwrap();
        let facts = read_module(root.path(), "loop").unwrap().unwrap();
        assert_eq!((&*facts.name, facts.sections, facts.identity.text), ("loop", None, None));
        assert_ne!(facts.identity.inode, 0);
    });
}

#[test]
fn hostile_contents_are_errors_of_that_module_alone() {
    let addresses = [
        "",
        "\n",
        "0x",
        "ffffffffc0306000\n",
        "0xfffffffffc03060001\n",
        "0xffffffffc030600g\n",
        "0x+fffffffc0306000\n",
        "0xffffffffc0306000 \n",
        "0xffffffffc0306000\n\n",
        "-1\n",
    ];
    let sizes = ["", "\n", "-1\n", "+1\n", "0x10\n", "18446744073709551616\n", "12 34\n"];
    let states = ["", "lively\n", "live live\n", "LIVE\n"];
    let cases = (addresses.iter().map(|text| ("sections/.text", text)))
        .chain(sizes.iter().map(|text| ("coresize", text)))
        .chain(states.iter().map(|text| ("initstate", text)));
    let root = two_modules();
    for (file, text) in cases {
        let path = root.path().join("loop").join(file);
        let original = fs::read(&path).unwrap();
        fs::write(&path, text).unwrap();
        let listing = read_all(root.path()).unwrap();
        assert_eq!(names(&listing.modules), ["dummy"], "{file} {text:?}");
        assert!(
            matches!(&listing.skipped[..], [FactsError::Malformed { path: named, .. }] if *named == path),
            "{file} {text:?}: {:?}",
            listing.skipped
        );
        fs::write(&path, original).unwrap();
    }
    assert_eq!(names(&read_all(root.path()).unwrap().modules), ["dummy", "loop"]);
}

#[test]
fn endless_files_links_and_pipes_are_neither_followed_nor_waited_for() {
    let root = two_modules();
    fs::write(root.path().join("loop/coresize"), vec![b'1'; 10 << 20]).unwrap();
    let dummy = root.path().join("dummy/sections/.text");
    fs::remove_file(&dummy).unwrap();
    symlink(root.path().join("loop/sections/.text"), &dummy).unwrap();
    symlink(root.path().join("loop"), root.path().join("linked")).unwrap();
    captured::copy(&captured::kernel("6.12").stage(2).sys_module().join("loop"), &root.path().join("pipe"));
    let pipe = root.path().join("pipe/initstate");
    fs::remove_file(&pipe).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();

    let listing = read_all(root.path()).unwrap();
    assert!(listing.modules.is_empty(), "{:?}", names(&listing.modules));
    let mut skipped: Vec<_> = listing.skipped.iter().map(|error| error.to_string()).collect();
    skipped.sort();
    let at = |below: &str| root.path().join(below).display().to_string();
    let expected = [
        ("dummy/sections/.text", "symbolic"),
        ("linked", ""),
        ("loop/coresize", "no size"),
        ("pipe/initstate", "no state"),
    ];
    assert_eq!(skipped.len(), expected.len(), "{skipped:#?}");
    for (skipped, (path, what)) in skipped.iter().zip(expected) {
        assert!(skipped.starts_with(&at(path)) && skipped.contains(what), "{skipped}");
    }
}

#[test]
fn names_that_break_out_of_a_line_or_a_path_are_none() {
    let root = two_modules();
    let too_long = "m".repeat(65);
    for name in
        ["", ".", "..", "../loop", "loop/../dummy", "a b", "a]", "[a", "a\nb", "a\x1b[m", "ä", "a\0b", &too_long]
    {
        let error = read_module(root.path(), name).unwrap_err();
        assert!(matches!(error, FactsError::Name(_)), "{name:?}: {error}");
    }
    for name in ["a b", "a]", "a\nb", &too_long] {
        fs::rename(root.path().join("loop"), root.path().join(name)).unwrap();
        let listing = read_all(root.path()).unwrap();
        assert_eq!(names(&listing.modules), ["dummy"]);
        assert!(matches!(&listing.skipped[..], [FactsError::Name(_)]), "{:?}", listing.skipped);
        fs::rename(root.path().join(name), root.path().join("loop")).unwrap();
    }
}

#[test]
fn without_sysfs_there_is_an_error_that_names_it() {
    let error = read_all(Path::new("/nonexistent/module")).unwrap_err();
    assert!(error.to_string().starts_with("/nonexistent/module: "), "{error}");
}

#[test]
fn the_kernels_own_build_id_is_among_its_notes() {
    for version in ["6.1", "6.12"] {
        let id = kernel_build_id(&captured::kernel(version).notes()).unwrap().unwrap();
        assert_eq!(id.as_bytes().len(), 20);
    }
    assert!(kernel_build_id(Path::new("/nonexistent/notes")).is_err());
    // Endless.
    assert_eq!(kernel_build_id(Path::new("/dev/zero")).unwrap(), None);
}

/// This kernel's own, whatever it has.
#[test]
fn the_running_kernel_can_be_read() {
    let listing = read_all(Path::new("/sys/module")).unwrap();
    assert!(listing.skipped.is_empty(), "{:?}", listing.skipped);
    if Path::new("/proc/modules").exists() {
        let listed = fs::read_to_string("/proc/modules").unwrap();
        for facts in &listing.modules {
            assert!(listed.contains(&format!("{} ", facts.name)), "{}", facts.name);
        }
    } else {
        assert!(listing.modules.is_empty());
    }
}
