//! `lapwing sym` over what two real kernels said of their symbols.

#[path = "../../kallsyms/tests/captured/mod.rs"]
mod captured;
mod kernel;
mod sandbox;

use kernel::{Kernel, NO_SYMBOL};
use sandbox::following::Following;
use sandbox::{Done, Sandbox};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn an_address_is_said_with_its_function_and_module() {
    let (sandbox, kernel) = (Sandbox::new(), Kernel::new());
    let (open, xmit) = (kernel.address("do_sys_open"), kernel.address("dummy_xmit"));
    let asked = [format!("{:x}", open + 0x1f), format!("0x{xmit:X}"), format!("{:#x}", xmit + 1)];
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let done = sandbox.run(&[&kernel.sym()[..], &asked].concat());
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    assert_eq!(
        done.lines(),
        [
            format!("{:#x} do_sys_open+0x1f", open + 0x1f),
            format!("{xmit:#x} dummy_xmit+0x0 [dummy]"),
            format!("{:#x} dummy_xmit+0x1 [dummy]", xmit + 1),
        ]
    );
}

#[test]
fn the_reason_is_said_where_there_is_no_symbol_and_the_others_are_answered_all_the_same() {
    let (sandbox, kernel) = (Sandbox::new(), Kernel::new());
    let open = kernel.address("do_sys_open");
    let done = sandbox.run(&[&kernel.sym()[..], &["10", &format!("{open:x}"), NO_SYMBOL]].concat());
    assert_eq!((done.code, done.lines()), (1, vec![format!("{open:#x} do_sys_open+0x0").as_str()]));
    assert_eq!(
        done.stderr,
        format!(
            "lapwing: 0x0000000000000010: no module at this address\nlapwing: 0x{NO_SYMBOL}: no module at this address\n"
        )
    );
}

#[test]
fn json_has_an_object_for_each_address() {
    let (sandbox, kernel) = (Sandbox::new(), Kernel::new());
    let (open, xmit) = (kernel.address("do_sys_open"), kernel.address("dummy_xmit"));
    let asked = [format!("{:x}", open + 31), format!("{xmit:x}"), "0".to_owned()];
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let done = sandbox.run(&[&kernel.sym()[..], &["--json"], &asked].concat());
    assert_eq!((done.code, done.stderr.as_str()), (1, ""));
    let lines = done.lines();
    let build_id = kernel.build_id();
    assert_eq!(
        lines[0],
        format!(
            r#"{{"address":"{:#x}","module":"vmlinux","name":"do_sys_open","offset":31,"build_id":"{build_id}"}}"#,
            open + 31
        )
    );
    let module: Value = serde_json::from_str(lines[1]).unwrap();
    assert_eq!(
        (&module["module"], &module["name"], &module["offset"]),
        (&json!("dummy"), &json!("dummy_xmit"), &json!(0))
    );
    assert_eq!(module["build_id"].as_str().map(str::len), Some(40), "{module}");
    assert_eq!(lines[2..], [r#"{"address":"0x0000000000000000","reason":"no module at this address"}"#]);
}

#[test]
fn without_sysfs_there_are_symbols_and_no_build_ids() {
    let (sandbox, kernel) = (Sandbox::new(), Kernel::new());
    let xmit = kernel.address("dummy_xmit");
    let done = sandbox.run(&["sym", "--kallsyms", &kernel.kallsyms, "--json", &format!("{:x}", xmit + 2)]);
    assert_eq!(
        (done.code, done.lines()),
        (
            0,
            vec![
                format!(r#"{{"address":"{:#x}","module":"dummy","name":"dummy_xmit","offset":2}}"#, xmit + 2).as_str()
            ]
        )
    );
}

#[test]
fn names_have_addresses_all_that_are_the_same_or_begin_alike() {
    let (sandbox, kernel) = (Sandbox::new(), Kernel::new());
    let named = |pattern: &str| sandbox.run(&[&kernel.sym()[..], &["--name", pattern]].concat());
    let xmit = format!("{:#x} dummy_xmit [dummy]", kernel.address("dummy_xmit"));
    assert_eq!(named("dummy_xmit").lines(), [&xmit]);
    // There is one in many files of the kernel, and in many modules.
    let expected = kernel.text("cleanup_module");
    assert!(expected.len() > 10, "{expected:?}");
    assert_eq!(sorted(named("cleanup_module").lines()), sorted(expected.iter().map(String::as_str)));
    let mut expected = kernel.text("dummy_*");
    // Gone since the module was loaded; ftrace remembers it.
    expected.retain(|line| !line.ends_with(" dummy_init_module [dummy]"));
    assert!(expected.len() > 4 && expected.contains(&xmit), "{expected:?}");
    assert_eq!(sorted(named("dummy_*").lines()), sorted(expected.iter().map(String::as_str)));

    let done = sandbox.run(&[&kernel.sym()[..], &["--json", "--name", "dummy_xmit"]].concat());
    let object: Value = serde_json::from_str(done.stdout.trim()).unwrap();
    assert_eq!((&object["name"], &object["offset"], done.lines().len()), (&json!("dummy_xmit"), &json!(0), 1));

    for (pattern, what) in [("no_such_function", "is called"), ("no_such_*", "has a name that begins with")] {
        let done = named(pattern);
        let pattern = pattern.trim_end_matches('*');
        assert_eq!((done.code, done.stdout.as_str()), (1, ""));
        assert_eq!(done.stderr, format!("lapwing: no function of the kernel {what} \"{pattern}\"\n"));
    }
}

fn sorted<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut lines: Vec<&str> = lines.into_iter().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_log_passes_through_with_symbols_in_place_of_addresses() {
    let (sandbox, kernel) = (Sandbox::new(), Kernel::new());
    let (open, xmit) = (kernel.address("do_sys_open"), kernel.address("dummy_xmit"));
    let log = |open: &str, xmit: &str, bracketed: &str| {
        let text = format!(
            "[   12.345678] BUG: unable to handle page fault for address: ffffc90000f3a000\n\
             [   12.345679] RIP: 0010:{open}\n\
             \t{bracketed}\n\
             entry_SYSCALL_64_after_hwframe+0x76/0x7e {NO_SYMBOL} \n\
             \n\
             ip={xmit}, no newline behind it"
        );
        [b"\xff\x1b[1m\n", text.as_bytes()].concat()
    };
    let addresses = log(&format!("{:x}", open + 0x1f), &format!("{:#x}", xmit + 5), &format!("[<{xmit:x}>] ? x"));
    let symbols = log("do_sys_open+0x1f", "dummy_xmit+0x5 [dummy]", "dummy_xmit+0x0 [dummy] ? x");
    let done = sandbox.run_with_input(&kernel.sym(), &addresses);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    assert_eq!(String::from_utf8_lossy(&done.raw), String::from_utf8_lossy(&symbols));
    assert!(done.raw == symbols, "byte by byte");
    let again = sandbox.run_with_input(&kernel.sym(), &symbols);
    assert!(again.raw == symbols, "what has symbols is passed on as it is");

    let done = sandbox.run_with_input(&[&kernel.sym()[..], &["--json"]].concat(), &addresses);
    let said = |key: &str| -> Vec<String> {
        let value = |line: &&str| serde_json::from_str::<Value>(line).unwrap()[key].to_string();
        done.lines().iter().map(value).collect()
    };
    assert_eq!(said("name"), ["null", r#""do_sys_open""#, r#""dummy_xmit""#, "null", r#""dummy_xmit""#]);
    assert_eq!(said("reason")[3], r#""no module at this address""#);
}

#[test]
fn whoever_follows_a_log_sees_each_line_when_it_came() {
    let (sandbox, kernel) = (Sandbox::new(), Kernel::new());
    let open = kernel.address("do_sys_open");
    let mut command = sandbox.command(&kernel.sym());
    command.stdin(Stdio::piped());
    let mut following = Following::start(command);
    let mut input = following.child.stdin.take().unwrap();
    for i in 0..3 {
        write!(input, "{i} {:x}\nthe beginning of", open + i).unwrap();
        let begins = if i == 0 { "" } else { "the beginning of" };
        assert_eq!(following.out(), format!("{begins}{i} do_sys_open+{i:#x}"), "not before it has ended");
    }
    drop(input);
    assert_eq!(following.out(), "the beginning of");
    assert!(following.ended().success());
}

#[test]
fn a_line_without_end_is_passed_on_in_pieces() {
    let (sandbox, kernel) = (Sandbox::new(), Kernel::new());
    let mut text = vec![b'f'; 3 << 20];
    text.extend_from_slice(format!(" {:x}\n", kernel.address("do_sys_open")).as_bytes());
    fs::write(sandbox.path("log"), &text).unwrap();
    let done = sandbox.command(&kernel.sym()).stdin(File::open(sandbox.path("log")).unwrap()).output().unwrap();
    let expected = [&text[..3 << 20], b" do_sys_open+0x0\n"].concat();
    assert!(done.status.success() && done.stdout == expected, "{} bytes", done.stdout.len());
}

#[test]
fn where_addresses_are_hidden_it_says_what_hides_them_and_passes_logs_on() {
    let (sandbox, kernel) = (Sandbox::new(), Kernel::new());
    let hidden = captured::kernel("6.12").hidden_kallsyms();
    let sym = ["sym", "--kallsyms", hidden.to_str().unwrap()];
    let log = format!("at {:x}\n", kernel.address("do_sys_open"));
    for done in [sandbox.run(&[&sym[..], &["1"]].concat()), sandbox.run_with_input(&sym, log.as_bytes())] {
        assert_eq!(done.code, 1);
        for part in ["every address is hidden", "kernel.kptr_restrict", "CAP_SYSLOG"] {
            assert!(done.stderr.contains(part), "{part}: {}", done.stderr);
        }
    }
    assert_eq!(sandbox.run_with_input(&sym, log.as_bytes()).stdout, log);
    assert_eq!(sandbox.run_with_input(&[&sym[..], &["--json"]].concat(), log.as_bytes()).stdout, "");
}

#[test]
fn a_file_that_has_no_symbols_is_an_error_that_says_where() {
    let sandbox = Sandbox::new();
    let broken = sandbox.path("broken");
    fs::write(&broken, "ffffffff81000000 T _stext\nffffffff81000010 T\n").unwrap();
    let sym = |args: &[&str]| sandbox.run(&[&["sym"], args].concat());
    let done = sym(&["--kallsyms", broken.to_str().unwrap(), "1"]);
    assert_eq!((done.code, done.stdout.as_str()), (1, ""));
    assert!(done.stderr.contains("broken:2: "), "{}", done.stderr);
    let done = sym(&["--kallsyms", "/nonexistent/kallsyms"]);
    assert_eq!(done.code, 1, "nothing is read from standard input either");
    assert!(done.stderr.contains("/nonexistent/kallsyms: No such file"), "{}", done.stderr);
}

#[test]
fn a_folder_of_modules_that_is_none_is_an_error() {
    let (sandbox, kernel) = (Sandbox::new(), Kernel::new());
    fs::write(sandbox.path("text"), "no folder").unwrap();
    for folder in ["nowhere", "text"] {
        let folder = sandbox.path(folder);
        let args = ["sym", "--kallsyms", &kernel.kallsyms, "--sys-module", folder.to_str().unwrap(), "1"];
        let done = sandbox.run(&args);
        assert_eq!((done.code, done.stdout.as_str()), (1, ""));
        assert!(done.stderr.contains(folder.to_str().unwrap()), "{}", done.stderr);
    }
}

#[test]
fn what_says_how_to_publish_needs_something_to_publish() {
    let sandbox = Sandbox::new();
    for args in [["--mode", "0644"], ["--group", "0"]] {
        assert_eq!(sandbox.run(&["sym", args[0], args[1], "1"]).code, 2, "{args:?}");
    }
}

#[test]
fn names_from_a_file_cannot_steer_a_terminal() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("kallsyms");
    fs::write(&file, "ffffffff81000000 T _stext\nffffffff81000010 T evil\x1b[2J\nffffffff81000020 T _etext\n").unwrap();
    let done = sandbox.run(&["sym", "--kallsyms", file.to_str().unwrap(), "ffffffff81000011"]);
    assert_eq!((done.code, done.stdout.as_str()), (1, ""));
    assert!(done.stderr.contains("kallsyms:2: the name has control characters"), "{}", done.stderr);
}

#[test]
fn a_log_cannot_steer_a_terminal_and_is_as_it_was_elsewhere() {
    let (sandbox, kernel) = (Sandbox::new(), Kernel::new());
    let log = format!("\x1b[2J\u{202e}{:x}\u{7}\tx\n", kernel.address("do_sys_open"));
    fs::write(sandbox.path("log"), &log).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pump/terminal.py");
    let command = format!("{} {} < log", env!("CARGO_BIN_EXE_lapwing"), kernel.sym().join(" "));
    let mut python = Command::new("python3");
    let screen = python.arg(script).args(["look", "sh", "-c", &command]).current_dir(sandbox.path(".")).output();
    let Ok(screen) = screen else {
        println!("skipped: no python3");
        return;
    };
    let shown = String::from_utf8_lossy(&screen.stdout);
    assert!(shown.contains("\\x1b[2J\\u{202e}do_sys_open+0x0\\x07\tx\r\n"), "{shown:?}");
    let piped = sandbox.run_with_input(&kernel.sym(), log.as_bytes());
    assert_eq!(piped.stdout, "\x1b[2J\u{202e}do_sys_open+0x0\u{7}\tx\n");
}

#[test]
fn wrong_usage_is_told_apart() {
    let sandbox = Sandbox::new();
    for args in [
        &["xyz"][..],
        &["0x"],
        &["1ffffffff81234567"],
        &["--name", "a*b"],
        &["--name", ""],
        &["--name", "a", "1"],
        &["--follow"],
        &["--mode", "0600"],
        &["--publish", "1"],
        &["--publish", "--json"],
        &["--publish", "--mode", "rw"],
        &["--publish", "--name", "a"],
        &["--shared", "a", "--kallsyms", "b"],
        &["--publish", "--kallsyms", "b"],
    ] {
        let done = sandbox.run(&[&["sym"], args].concat());
        assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{args:?}: {}", done.stderr);
    }
}

/// The running kernel's own, as far as we may see them.
#[test]
fn the_running_kernel_s_symbols_are_found_by_address_and_by_name() {
    let sandbox = Sandbox::new();
    let lines = fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    let line =
        lines.lines().find(|line| line.ends_with(" T vfs_read")).filter(|line| !line.starts_with("0000000000000000"));
    let Some(address) = line.map(|line| &line[..16]) else {
        println!("skipped: /proc/kallsyms shows us no addresses");
        return;
    };
    let run = |args: &[&str]| {
        Done::of(sandbox.command(&[&["sym"], args].concat()).env("LAPWING_KALLSYMS", "/nonexistent").output().unwrap())
    };
    let done = run(&[address]);
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (0, format!("0x{address} vfs_read+0x0\n").as_str()),
        "{}",
        done.stderr
    );
    assert_eq!(run(&["--name", "vfs_read"]).stdout, format!("0x{address} vfs_read\n"));
}
