//! `lapwing tail --symbolize`: records with symbols in place of kernel addresses.

#[path = "../../kallsyms/tests/captured/mod.rs"]
mod captured;
mod kernel;
mod sandbox;

use kernel::{Kernel, NO_SYMBOL};
use sandbox::following::Following;
use sandbox::{Sandbox, is_of_another_boot};

/// What `tail` is told of the kernel.
fn tail<'a>(kernel: &'a Kernel, more: &[&'a str]) -> Vec<&'a str> {
    let [_, sources @ ..] = kernel.sym();
    [&["tail", "--symbolize"], &sources[..], more].concat()
}

#[test]
fn every_format_but_raw_has_symbols() {
    let (sandbox, kernel) = (Sandbox::with_ring("64K"), Kernel::new());
    let (open, xmit) = (kernel.address("do_sys_open"), kernel.address("dummy_xmit"));
    let text = format!("ip={:#x} in [<{xmit:x}>], {NO_SYMBOL}", open + 0x1f);
    sandbox.ok(&["log", &text]);
    let symbols = format!("ip=do_sys_open+0x1f in dummy_xmit+0x0 [dummy], {NO_SYMBOL}");
    for format in ["short", "short-iso", "mono", "verbose", "cat", "json", "logfmt"] {
        let shown = sandbox.ok(&tail(&kernel, &["-o", format]));
        assert!(shown.contains(&symbols), "{format}: {shown}");
        assert!(sandbox.ok(&["tail", "-o", format]).contains(&text), "{format}: as it is, without the option");
    }
    assert_eq!(sandbox.ok(&tail(&kernel, &["-o", "raw"])), text);
    let json: serde_json::Value = serde_json::from_str(&sandbox.ok(&tail(&kernel, &["-o", "json"]))).unwrap();
    assert_eq!(json["text"], symbols);
}

#[test]
fn filters_see_what_is_shown() {
    let (sandbox, kernel) = (Sandbox::with_ring("64K"), Kernel::new());
    sandbox.log_lines(["plain".to_owned(), format!("at {:x}", kernel.address("do_sys_open")), "plain".to_owned()]);
    for filter in [["-g", "do_sys_open"], ["-q", r#"text~"open\+0x0$""#]] {
        assert_eq!(sandbox.ok(&tail(&kernel, &[&["-o", "cat"][..], &filter].concat())), "at do_sys_open+0x0\n");
    }
    assert_eq!(sandbox.ok(&tail(&kernel, &["-o", "cat", "-n", "2"])), "at do_sys_open+0x0\nplain\n");
    assert_eq!(sandbox.run(&tail(&kernel, &["-g", "at ffff"])).code, 1);
}

#[test]
fn a_follower_shows_symbols_too() {
    let (sandbox, kernel) = (Sandbox::with_ring("64K"), Kernel::new());
    let mut following = Following::start(sandbox.command(&tail(&kernel, &["-f", "-o", "cat"])));
    for i in 0..3 {
        sandbox.ok(&["log", &format!("{:x}", kernel.address("dummy_xmit") + i)]);
        assert_eq!(following.out(), format!("dummy_xmit+{i:#x} [dummy]"));
    }
    following.signal("-TERM");
    following.ended();
}

/// Of the running kernel, whose modules may come and go meanwhile.
#[test]
fn a_follower_of_this_kernel_shows_its_symbols() {
    let sandbox = Sandbox::with_ring("64K");
    let lines = std::fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    let line = lines.lines().find(|line| line.ends_with(" T vfs_read"));
    let Some(address) = line.map(|line| &line[..16]).filter(|address| *address != "0000000000000000") else {
        println!("skipped: /proc/kallsyms shows us no addresses");
        return;
    };
    let mut command = sandbox.command(&["tail", "--symbolize", "-f", "-o", "cat"]);
    command.env("LAPWING_KALLSYMS", "/nonexistent");
    let mut following = Following::start(command);
    sandbox.ok(&["log", address]);
    assert_eq!(following.out(), "vfs_read+0x0");
    following.signal("-TERM");
    following.ended();
}

#[test]
fn where_addresses_are_hidden_that_is_said_and_the_log_is_shown() {
    let (sandbox, kernel) = (Sandbox::with_ring("64K"), Kernel::new());
    let text = format!("at {:x}", kernel.address("do_sys_open"));
    sandbox.ok(&["log", &text]);
    let hidden = captured::kernel("6.12").hidden_kallsyms();
    let done = sandbox.run(&["tail", "--symbolize", "--kallsyms", hidden.to_str().unwrap(), "-o", "cat"]);
    assert_eq!((done.code, done.stdout), (0, format!("{text}\n")));
    for part in ["every address is hidden", "kernel.kptr_restrict", "CAP_SYSLOG", "addresses stay as they are"] {
        assert!(done.stderr.contains(part), "{part}: {}", done.stderr);
    }
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
}

#[test]
fn symbols_that_were_named_and_cannot_be_had_are_an_error() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.ok(&["log", "text"]);
    for (args, code, said) in [
        (&["--symbolize", "--kallsyms", "nowhere"][..], 1, "nowhere: No such file"),
        (&["--symbolize", "--shared", "nowhere"], 1, "nowhere: no table is published there"),
        (&["--symbolize", "--shared", "a", "--kallsyms", "b"], 2, "--shared cannot be used with"),
        (&["--kallsyms", "nowhere"], 2, "--symbolize"),
    ] {
        let done = sandbox.run(&[&["tail"], args].concat());
        assert_eq!((done.code, done.stdout.as_str()), (code, ""), "{args:?}");
        assert!(done.stderr.contains(said), "{args:?}: {}", done.stderr);
    }
}

#[test]
fn the_addresses_of_another_boot_are_left_alone_unless_its_symbols_are_named() {
    let (sandbox, kernel) = (Sandbox::with_ring("64K"), Kernel::new());
    let lines = std::fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    let line =
        lines.lines().find(|line| line.ends_with(" T vfs_read")).filter(|line| !line.starts_with("0000000000000000"));
    let address = line.map_or(NO_SYMBOL, |line| &line[..16]);
    let ours = format!("{address} {:x}", kernel.address("do_sys_open"));
    sandbox.ok(&["log", &ours]);
    let run = |args: &[&str]| {
        let mut command = sandbox.command(args);
        sandbox::Done::of(command.env("LAPWING_KALLSYMS", "/nonexistent").output().unwrap())
    };
    if line.is_some() {
        assert!(run(&["tail", "--symbolize"]).stdout.contains("vfs_read+0x0 "), "of this boot");
    } else {
        println!("skipped in part: /proc/kallsyms shows us no addresses");
    }
    is_of_another_boot(&sandbox.path("ring"));
    if line.is_some() {
        let done = run(&["tail", "--symbolize", "-o", "cat"]);
        assert_eq!((done.code, done.stdout), (0, format!("{ours}\n")));
        assert!(done.stderr.contains("ring: is of another boot, which had other addresses"), "{}", done.stderr);
    }
    let done = run(&tail(&kernel, &["-o", "cat"]));
    assert_eq!((done.code, done.stdout), (0, format!("{address} do_sys_open+0x0\n")), "{}", done.stderr);
}
