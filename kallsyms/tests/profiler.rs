//! The behaviours that the kallsyms package of the OpenTelemetry eBPF profiler has tests for, and those where it is wrong.

use lapwing_kallsyms::{Function, Hidden, LoadError, Reason, Snapshot, Sources, Symbolizer, parse};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

fn table(text: &str) -> Snapshot {
    parse(text.as_bytes()).unwrap()
}

fn found(table: &Snapshot, address: u64) -> Result<String, Reason> {
    table.lookup(address).map(|symbol| symbol.to_string())
}

const KERNEL: &str = "\
0000000000000000 A __per_cpu_start
0000000000001000 A cpu_debug_store
0000000000002000 A irq_stack_backing_store
ffffffffb5000000 T pvh_start_xen
ffffffffb5000000 T _stext
ffffffffb5000000 T _text
ffffffffb5000123 t __pfx_startup_64
ffffffffb5000133 T startup_64
ffffffffb5000180 T __pfx___startup_64
ffffffffb5000190 T __startup_64
ffffffffb5000460 T __pfx_startup_64_setup_gdt_idt
ffffffffb5000470 T startup_64_setup_gdt_idt
ffffffffb5001000 T _etext
";

#[test]
fn a_table_of_zeros_is_hidden() {
    let text = "0000000000000000 T _stext\n0000000000000000 T _text\n0000000000000000 T startup_64\n0000000000000000 T _etext\n";
    assert!(matches!(parse(text.as_bytes()), Err(LoadError::Hidden { why: Hidden::Unknown, .. })));
    let modules = format!("{text}0000000000000000 t xfs_open\t[xfs]\n");
    assert!(matches!(parse(modules.as_bytes()), Err(LoadError::Hidden { .. })));
}

#[test]
fn a_table_without_text_is_empty() {
    assert!(matches!(parse(&b""[..]), Err(LoadError::Empty { .. })));
    for text in ["ffffffffb5000000 D data\n", "ffffffffb5000000 T _text\nffffffffb5001000 T _etext\n"] {
        assert!(matches!(parse(text.as_bytes()), Err(LoadError::Empty { .. })), "{text}");
    }
}

#[test]
fn a_malformed_line_is_named_by_its_number() {
    for (text, number) in [
        ("ffffffffb5000000 T a\nffffffffb500\n", 2),
        ("ffffffffb5000000 T a\nz T b\n", 2),
        ("\n", 1),
        ("ffffffffb5000000 T a\t[oops\n", 1),
    ] {
        match parse(text.as_bytes()) {
            Err(LoadError::Malformed { line, .. }) => assert_eq!(line, number, "{text:?}"),
            other => panic!("{text:?}: {other:?}"),
        }
    }
}

#[test]
fn addresses_in_the_kernel_and_outside() {
    let xfs =
        "ffffffffc13fd000 t xfs_bmapi\t[xfs]\nffffffffc13fd100 t xfs_open\t[xfs]\nffffffffc13fd200 d xfs_data\t[xfs]\n";
    let table = table(&format!("{KERNEL}{xfs}"));
    for address in [0, 0x1010, 0xffff_ffff_b4ff_ffff, 0xffff_ffff_b500_1000, 0xffff_ffff_ffff_0000, u64::MAX] {
        assert_eq!(found(&table, address), Err(Reason::NoModule), "{address:#x}");
    }
    assert_eq!(found(&table, 0xffff_ffff_b500_0190).unwrap(), "__startup_64+0x0");
    assert_eq!(found(&table, 0xffff_ffff_b500_0191).unwrap(), "__startup_64+0x1");
    assert_eq!(found(&table, 0xffff_ffff_b500_018f).unwrap(), "__pfx___startup_64+0xf");
    assert_eq!(found(&table, 0xffff_ffff_b500_0fff).unwrap(), "startup_64_setup_gdt_idt+0xb8f");
    assert_eq!(found(&table, 0xffff_ffff_b500_0000).unwrap(), "pvh_start_xen+0x0");
    assert_eq!(found(&table, 0xffff_ffff_c13f_d0ff).unwrap(), "xfs_bmapi+0xff [xfs]");
    assert_eq!(found(&table, 0xffff_ffff_c13f_d201).unwrap(), "xfs_open+0x101 [xfs]");
    assert_eq!(found(&table, 0xffff_ffff_c13f_e000), Err(Reason::NoModule));
    assert_eq!(table.module_named("xfs").unwrap().len(), 2);
    assert!(table.module_named("foo").is_none());
    assert_eq!(table.module_at(0xffff_ffff_c13f_d000).unwrap().name(), "xfs");
}

#[test]
fn what_marks_the_ends_of_the_text_is_no_symbol() {
    let table = table(KERNEL);
    let kernel = table.module_named("vmlinux").unwrap();
    assert!(kernel.ranges().eq(std::iter::once(0xffff_ffff_b500_0000..0xffff_ffff_b500_1000)));
    assert_eq!(kernel.len(), 7);
    assert_eq!(table.find("_stext").count(), 0);
    assert_eq!(table.find("cpu_debug_store").count(), 0);
}

#[test]
fn names_are_found_and_prefixes() {
    let table = table(KERNEL);
    let addresses = |name| table.find(name).map(|symbol| symbol.address()).collect::<Vec<_>>();
    assert_eq!(addresses("startup_64"), [0xffff_ffff_b500_0133]);
    assert_eq!(addresses("__pfx_startup_64"), [0xffff_ffff_b500_0123]);
    assert_eq!(addresses("__pfx___startup_64"), [0xffff_ffff_b500_0180]);
    assert_eq!(addresses("startup_6"), [0; 0]);
    let names = |prefix| table.find_prefix(prefix).map(|symbol| symbol.name().as_str().to_owned()).collect::<Vec<_>>();
    assert_eq!(names("startup"), ["startup_64", "startup_64_setup_gdt_idt"]);
    assert_eq!(names("__pfx_s"), ["__pfx_startup_64", "__pfx_startup_64_setup_gdt_idt"]);
    assert_eq!(table.module_named("vmlinux").unwrap().address_of("__startup_64"), Some(0xffff_ffff_b500_0190));
}

#[test]
fn the_name_of_an_address_does_not_depend_on_the_order_of_lines() {
    let lines = ["t do_it", "T do_it_long", "T __do_it", "T do_it_now", "W a", "t __pfx_x", "T __pfx_y"];
    let mut expected = None;
    for turn in 0..lines.len() {
        let mut text = String::from("ffffffff80000000 T first\n");
        for at in 0..lines.len() {
            writeln!(text, "ffffffff80000100 {}", lines[(at + turn) % lines.len()]).unwrap();
        }
        let table = table(&text);
        let all: Vec<_> = table.aliases(0xffff_ffff_8000_0105).unwrap().map(|symbol| symbol.to_string()).collect();
        assert_eq!(all[..3], ["do_it_now+0x5", "do_it_long+0x5", "__do_it+0x5"]);
        assert_eq!(all.len(), lines.len());
        assert_eq!(*expected.get_or_insert_with(|| all.clone()), all);
    }
}

#[test]
fn lines_of_the_kernel_in_no_order_give_the_same_table() {
    let mut lines: Vec<&str> = KERNEL.lines().collect();
    let sorted = table(KERNEL);
    lines.reverse();
    let reversed = table(&lines.join("\n"));
    let all = |table: &Snapshot| -> Vec<_> {
        (0xffff_ffff_b4ff_fff0..0xffff_ffff_b500_1010u64).map(|address| found(table, address)).collect()
    };
    assert_eq!(all(&sorted), all(&reversed));
}

/// A folder with a kallsyms and, if asked for, a `/sys/module`.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn set_kallsyms(&self, text: &str) {
        std::fs::write(self.path("kallsyms"), text).unwrap();
    }

    fn set_module(&self, name: &str, files: &[(&str, &str)]) {
        let folder = self.path("module").join(name);
        // Another folder than the one before, as in sysfs.
        if folder.exists() {
            std::fs::rename(&folder, self.path("gone")).unwrap();
        }
        for (file, content) in files {
            let path = folder.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let _ = std::fs::remove_dir_all(self.path("gone"));
    }

    fn load(&self) -> Symbolizer {
        let modules = Some(self.path("module")).filter(|path| Path::exists(path));
        Symbolizer::load_from(Sources { kallsyms: self.path("kallsyms"), modules, notes: None }).unwrap()
    }
}

#[test]
fn a_module_that_moves_is_found_where_it_is() {
    let machine = Machine::new();
    machine.set_kallsyms(&format!("{KERNEL}ffffffffc13fd000 t xfs_bmapi\t[xfs]\nffffffffc13fd100 t xfs_open\t[xfs]\n"));
    let symbolizer = machine.load();
    let before = symbolizer.snapshot();
    // The kernel's own lines are not read again: what is wrong with them is not seen.
    machine.set_kallsyms(
        "this line has no tab and is not looked at\n\
         ffffffffc23fd000 t xfs_bmapi\t[xfs]\nffffffffc23fd100 t xfs_open\t[xfs]\n\
         ffffffffc2400000 t foo_it\t[foo]\n\
         ffffffffc24f0000 t init_xfs_fs\t[xfs]\n",
    );
    assert!(symbolizer.reload().unwrap());
    let after = symbolizer.snapshot();
    assert_eq!(after.generation(), before.generation() + 1);
    assert_eq!(found(&after, 0xffff_ffff_c13f_d000), Err(Reason::NoModule));
    assert_eq!(found(&after, 0xffff_ffff_c24f_0000), Err(Reason::NoModule), "a clone that ftrace keeps of freed code");
    assert_eq!(found(&after, 0xffff_ffff_c23f_d105).unwrap(), "xfs_open+0x5 [xfs]");
    assert_eq!(found(&after, 0xffff_ffff_c240_0000).unwrap(), "foo_it+0x0 [foo]");
    assert_eq!(found(&after, 0xffff_ffff_b500_0191).unwrap(), "__startup_64+0x1");
    assert_eq!(found(&before, 0xffff_ffff_c13f_d105).unwrap(), "xfs_open+0x5 [xfs]", "who holds a table keeps it");
    assert!(!symbolizer.reload().unwrap(), "nothing has changed");
    assert_eq!(symbolizer.generation(), after.generation());
}

#[test]
fn a_failed_reload_keeps_the_table() {
    let machine = Machine::new();
    machine.set_kallsyms(&format!("{KERNEL}ffffffffc13fd000 t xfs_bmapi\t[xfs]\n"));
    let symbolizer = machine.load();
    for broken in
        ["ffffffffb5000000 T _text\nffffffffc13fd000 t xfs_bmapi\t[xfs\n", "0000000000000000 t xfs_bmapi\t[xfs]\n"]
    {
        machine.set_kallsyms(broken);
        assert!(symbolizer.reload().is_err());
        assert_eq!(found(&symbolizer.snapshot(), 0xffff_ffff_c13f_d001).unwrap(), "xfs_bmapi+0x1 [xfs]");
    }
    std::fs::remove_file(machine.path("kallsyms")).unwrap();
    assert!(matches!(symbolizer.reload(), Err(LoadError::Read { .. })));
    assert_eq!(symbolizer.generation(), 1);
}

/// Its list of modules is another one after each reading.
#[test]
fn modules_that_never_stop_coming_are_an_error() {
    let machine = Machine::new();
    let pipe = machine.path("kallsyms");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    let list = machine.path("modules");
    std::fs::write(&list, "").unwrap();
    // Ends with this process: it waits for a reader that does not come.
    std::thread::spawn(move || {
        for number in 0.. {
            let mut lines = std::fs::File::options().write(true).open(&pipe).unwrap();
            std::fs::write(&list, format!("m{number} 4096 0 - Live 0xffffffffc0000000\n")).unwrap();
            lines.write_all(format!("{KERNEL}ffffffffc0000000 t f\t[m{number}]\n").as_bytes()).unwrap();
            drop(lines);
            // Else the next lines could follow these before their end was seen.
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    });
    let sources = Sources { kallsyms: machine.path("kallsyms"), modules: None, notes: None };
    match Symbolizer::load_from(sources) {
        Err(error @ LoadError::Read { .. }) => assert!(error.to_string().contains("modules came or went"), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn sysfs_that_answers_no_more_keeps_the_table() {
    let machine = Machine::new();
    machine.set_module("dummy", SECTIONS);
    machine.set_kallsyms(&format!("{KERNEL}ffffffffc0300010 t dummy_xmit\t[dummy]\n"));
    let symbolizer = machine.load();
    std::fs::rename(machine.path("module"), machine.path("elsewhere")).unwrap();
    assert!(matches!(symbolizer.reload(), Err(LoadError::Read { .. })));
    let table = symbolizer.snapshot();
    assert_eq!(table.lookup(0xffff_ffff_c030_0000).err(), Some(Reason::NoSymbol), "the range is that of the section");
    std::fs::rename(machine.path("elsewhere"), machine.path("module")).unwrap();
    assert!(!symbolizer.reload().unwrap());
}

/// On arm64 programs lie anywhere in the memory that the kernel maps as it needs it.
#[test]
fn programs_lie_as_far_apart_as_they_like() {
    let machine = Machine::new();
    let first = "ffff800080000000 T _text\nffff800080000000 T start\nffff800081000000 T _etext\n";
    machine.set_kallsyms(&format!(
        "{first}ffff800060000000 t bpf_prog_one\t[bpf]\nffff800260000000 t bpf_prog_two\t[bpf]\n\
         ffffffdfff000000 t bpf_prog_three\t[bpf]\n"
    ));
    let symbolizer = machine.load();
    let all = |symbolizer: &Symbolizer| -> Vec<_> {
        [0xffff_8000_6000_0004, 0xffff_8002_6000_0004, 0xffff_ffdf_ff00_0004u64]
            .map(|address| found(&symbolizer.snapshot(), address).unwrap_or_else(|why| why.to_string()))
            .to_vec()
    };
    let expected = ["bpf_prog_one+0x4 [bpf]", "bpf_prog_two+0x4 [bpf]", "bpf_prog_three+0x4 [bpf]"];
    assert_eq!(all(&symbolizer), expected);
    assert!(!symbolizer.reload().unwrap());
    let function = |name: &str, address| Function { address, len: 64, name: name.into() };
    let told = vec![function("bpf_prog_one", 0xffff_8000_6000_0000), function("bpf_prog_two", 0xffff_8002_6000_0000)];
    assert!(symbolizer.set_programs(Some(told)).unwrap());
    assert_eq!(all(&symbolizer), [expected[0], expected[1], "no module at this address"]);
    assert!(!symbolizer.reload().unwrap(), "who tells of programs is believed");
    symbolizer.set_programs(None).unwrap();
    assert!(symbolizer.reload().unwrap());
    assert_eq!(all(&symbolizer), expected);
}

const SECTIONS: &[(&str, &str)] = &[
    ("coresize", "12288\n"),
    ("initstate", "live\n"),
    ("sections/.text", "0xffffffffc0300000\n"),
    ("sections/.exit.text", "0xffffffffc03002c0\n"),
    ("sections/.init.text", "0xffffffffc0e99000\n"),
    ("sections/.data", "0xffffffffc0302048\n"),
];

#[test]
fn ranges_are_those_of_the_sections() {
    let machine = Machine::new();
    machine.set_module("dummy", SECTIONS);
    machine.set_kallsyms(&format!(
        "{KERNEL}ffffffffc0300010 t dummy_xmit\t[dummy]\nffffffffc03002c0 t dummy_cleanup\t[dummy]\n\
         ffffffffc0e99010 t dummy_init\t[dummy]\nffffffffc0302048 d dummy_ops\t[dummy]\n"
    ));
    let table = machine.load().snapshot();
    let dummy = table.module_named("dummy").unwrap();
    assert!(dummy.ranges().eq(std::iter::once(0xffff_ffff_c030_0000..0xffff_ffff_c030_1000)));
    assert_eq!(found(&table, 0xffff_ffff_c030_0000), Err(Reason::NoSymbol), "before the first symbol");
    assert_eq!(found(&table, 0xffff_ffff_c030_0010).unwrap(), "dummy_xmit+0x0 [dummy]");
    assert_eq!(found(&table, 0xffff_ffff_c030_02c5).unwrap(), "dummy_cleanup+0x5 [dummy]");
    for outside in [0xffff_ffff_c030_1000, 0xffff_ffff_c030_2048, 0xffff_ffff_c0e9_9010] {
        assert_eq!(found(&table, outside), Err(Reason::NoModule), "{outside:#x}");
    }
}

#[test]
fn a_module_without_build_id_has_a_file_id_of_its_own() {
    let machine = Machine::new();
    let with = |symbols: &str| {
        machine.set_kallsyms(&format!("{KERNEL}{symbols}"));
        let table = machine.load().snapshot();
        table.module_named("xfs").map(|module| module.file_id()).unwrap()
    };
    let one = with("ffffffffc13fd000 t xfs_bmapi\t[xfs]\nffffffffc13fd100 t xfs_open\t[xfs]\n");
    assert_ne!(one.0, 0);
    assert_eq!(
        one,
        with("ffffffffc23fd000 t xfs_bmapi\t[xfs]\nffffffffc23fd100 t xfs_open\t[xfs]\n"),
        "the same module elsewhere"
    );
    assert_ne!(one, with("ffffffffc13fd000 t xfs_bmapi\t[xfs]\nffffffffc13fd110 t xfs_open\t[xfs]\n"));
    assert_ne!(one, with("ffffffffc13fd000 t xfs_bmapi\t[xfs]\nffffffffc13fd100 t xfs_close\t[xfs]\n"));
}

#[test]
fn long_names_are_kept_whole() {
    let name = "n".repeat(511);
    let table =
        table(&format!("{KERNEL}ffffffffc0000000 t {name}\t[m]\nffffffffc0000010 t __pfx_{}\t[m]\n", &name[..505]));
    assert_eq!(table.lookup(0xffff_ffff_c000_0001).unwrap().name().as_str(), name);
    assert_eq!(table.lookup(0xffff_ffff_c000_0011).unwrap().name().as_str(), format!("__pfx_{}", &name[..505]));
    assert!(matches!(
        parse(format!("ffffffffb5000000 T {name}n\n").as_bytes()),
        Err(LoadError::Malformed { line: 1, .. })
    ));
}
