//! `lapwing sym --publish`: one makes the table, and others need nothing but to read it.

#[path = "../../kallsyms/tests/captured/mod.rs"]
mod captured;
mod kernel;
#[path = "../../kallsyms/tests/mend/mod.rs"]
mod mend;
mod sandbox;

use kernel::Kernel;
use sandbox::following::Following;
use sandbox::{Done, Sandbox};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

const NOBODY: u32 = 65534;

/// Runs `command` as a user without any privilege, where that can be done here.
fn as_nobody(mut command: Command) -> Option<Done> {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can run it as another user");
        return None;
    }
    Some(Done::of(command.uid(NOBODY).gid(NOBODY).output().unwrap()))
}

fn publish(sandbox: &Sandbox, kernel: &Kernel, more: &[&str]) -> Done {
    let table = sandbox.path("table");
    sandbox.run(&[&kernel.sym()[..], &["--publish", "--shared", table.to_str().unwrap()], more].concat())
}

fn lookup(sandbox: &Sandbox, address: u64) -> Command {
    let table = sandbox.path("table");
    sandbox.command(&["sym", "--shared", table.to_str().unwrap(), &format!("{address:x}")])
}

#[test]
fn who_may_read_the_table_needs_no_privilege_and_others_are_told_so() {
    let (sandbox, kernel) = (Sandbox::new(), Kernel::new());
    // Else nobody gets that far.
    fs::set_permissions(sandbox.path(""), Permissions::from_mode(0o755)).unwrap();
    let published = publish(&sandbox, &kernel, &[]);
    assert_eq!((published.code, published.stdout.as_str()), (0, ""));
    assert!(published.stderr.contains("table: ") && published.stderr.contains(" symbols of "), "{}", published.stderr);
    assert_eq!(fs::metadata(sandbox.path("table")).unwrap().mode() & 0o7777, 0o600);

    let xmit = kernel.address("dummy_xmit");
    let expected = format!("{:#x} dummy_xmit+0x3 [dummy]\n", xmit + 3);
    assert_eq!(Done::of(lookup(&sandbox, xmit + 3).output().unwrap()).stdout, expected);
    if let Some(nobody) = as_nobody(lookup(&sandbox, xmit)) {
        assert_eq!((nobody.code, nobody.stdout.as_str()), (1, ""));
        assert!(nobody.stderr.contains("no permission to read it: mode 0600"), "{}", nobody.stderr);
    }

    assert_eq!(publish(&sandbox, &kernel, &["--mode", "0644"]).code, 0);
    assert_eq!(fs::metadata(sandbox.path("table")).unwrap().mode() & 0o7777, 0o644);
    if let Some(nobody) = as_nobody(lookup(&sandbox, xmit + 3)) {
        assert_eq!((nobody.code, nobody.stdout, nobody.stderr.as_str()), (0, expected, ""));
    }
    if rustix::process::geteuid().is_root() {
        assert_eq!(publish(&sandbox, &kernel, &["--mode", "0640", "--group", "65534"]).code, 0);
        assert_eq!(fs::metadata(sandbox.path("table")).unwrap().gid(), NOBODY);
        assert_eq!(as_nobody(lookup(&sandbox, xmit)).unwrap().code, 0);
    }
    let done = publish(&sandbox, &kernel, &["--group", "no such group"]);
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("no group \"no such group\" in /etc/group"), "{}", done.stderr);
    let json =
        sandbox.ok(&["sym", "--shared", sandbox.path("table").to_str().unwrap(), "--json", &format!("{xmit:x}")]);
    assert!(json.contains(r#""name":"dummy_xmit","offset":0,"build_id":""#), "{json}");
}

#[test]
fn a_table_that_others_could_change_is_not_made_and_not_read() {
    let (sandbox, kernel) = (Sandbox::new(), Kernel::new());
    for mode in ["0666", "0444", "0755"] {
        let done = publish(&sandbox, &kernel, &["--mode", mode]);
        assert_eq!(done.code, 2, "{mode}: {}", done.stderr);
        assert!(!sandbox.path("table").exists(), "{mode}");
    }
    assert_eq!(publish(&sandbox, &kernel, &[]).code, 0);
    fs::set_permissions(sandbox.path("table"), Permissions::from_mode(0o622)).unwrap();
    let done = Done::of(lookup(&sandbox, kernel.address("do_sys_open")).output().unwrap());
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("is not to be trusted"), "{}", done.stderr);
    fs::write(sandbox.path("table"), "no table").unwrap();
    let done = publish(&sandbox, &kernel, &[]);
    assert_eq!(
        (done.code, fs::read_to_string(sandbox.path("table")).unwrap().as_str()),
        (1, "no table"),
        "{}",
        done.stderr
    );
}

#[test]
fn a_table_that_is_not_there_is_an_error_that_says_how_to_make_it() {
    let sandbox = Sandbox::new();
    let done = Done::of(lookup(&sandbox, 1).output().unwrap());
    assert_eq!((done.code, done.stdout.as_str()), (1, ""));
    assert!(done.stderr.contains("no table is published there; `lapwing sym --publish` does that"), "{}", done.stderr);
}

#[test]
fn a_filter_takes_up_the_table_that_took_the_place_of_its_own() {
    let (sandbox, kernel) = (Sandbox::new(), Kernel::new());
    assert_eq!(publish(&sandbox, &kernel, &[]).code, 0);
    let mut command = sandbox.command(&["sym", "--shared", sandbox.path("table").to_str().unwrap()]);
    command.stdin(std::process::Stdio::piped());
    let mut filter = Following::start(command);
    let mut input = filter.child.stdin.take().unwrap();
    let mut ask = |address: u64| {
        use std::io::Write;
        writeln!(input, "{address:x}").unwrap();
        filter.out()
    };
    let (xmit, open) = (kernel.address("dummy_xmit"), kernel.address("do_sys_open"));
    assert_eq!((ask(xmit), ask(open)), ("dummy_xmit+0x0 [dummy]".to_owned(), "do_sys_open+0x0".to_owned()));
    // Without modules.
    let lines = fs::read_to_string(&kernel.kallsyms).unwrap();
    let core: String = lines.lines().filter(|line| !line.ends_with(']')).map(|line| format!("{line}\n")).collect();
    fs::write(sandbox.path("core"), core).unwrap();
    let core = sandbox.path("core");
    let table = sandbox.path("table");
    let again =
        sandbox.run(&["sym", "--kallsyms", core.to_str().unwrap(), "--publish", "--shared", table.to_str().unwrap()]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!((ask(xmit), ask(open)), (format!("{xmit:x}"), "do_sys_open+0x0".to_owned()));
    drop(input);
    assert!(filter.ended().success());
}

/// The captured modules are not loaded here, so the table is out of date.
#[test]
fn a_table_that_is_out_of_date_is_for_those_who_have_nothing_better() {
    let (sandbox, kernel) = (Sandbox::new(), Kernel::new());
    let Some(address) = vfs_read() else { return };
    fs::set_permissions(sandbox.path(""), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(publish(&sandbox, &kernel, &["--mode", "0644"]).code, 0);
    publish_of_this_boot(&sandbox);
    let xmit = format!("{:x}", kernel.address("dummy_xmit"));
    let at_default = |address: &str| {
        let mut command = sandbox.command(&["sym", address]);
        command.env("LAPWING_KALLSYMS", sandbox.path("table"));
        command
    };
    let found = Done::of(at_default(&address).output().unwrap());
    assert_eq!((found.stdout, found.stderr.as_str()), (format!("0x{address} vfs_read+0x0\n"), ""), "the kernel's own");
    assert_eq!(Done::of(at_default(&xmit).output().unwrap()).code, 1);
    let Some(nobody) = as_nobody(at_default(&xmit)) else { return };
    if nobody.code == 1 {
        println!("skipped in part: this kernel shows addresses to everybody");
        return;
    }
    assert_eq!(nobody.stdout, format!("0x{xmit} dummy_xmit+0x0 [dummy]\n"));
    assert!(nobody.stderr.contains("table: modules have come or gone since it was published"), "{}", nobody.stderr);
}

/// Makes the table one of the running kernel, which it is not.
fn publish_of_this_boot(sandbox: &Sandbox) {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let boot = u128::from_str_radix(&boot.trim().replace('-', ""), 16).unwrap();
    let mut table = fs::read(sandbox.path("table")).unwrap();
    table[40..56].copy_from_slice(&boot.to_be_bytes());
    mend::mend(&mut table);
    fs::write(sandbox.path("table"), table).unwrap();
}

/// Whoever looks at the default place means the running kernel.
#[test]
fn a_table_of_a_copy_is_taken_only_where_it_is_named() {
    let (sandbox, kernel) = (Sandbox::new(), Kernel::new());
    fs::set_permissions(sandbox.path(""), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(publish(&sandbox, &kernel, &["--mode", "0644"]).code, 0);
    let xmit = kernel.address("dummy_xmit");
    assert_eq!(Done::of(lookup(&sandbox, xmit).output().unwrap()).code, 0);
    let mut at_default = sandbox.command(&["sym", &format!("{xmit:x}")]);
    at_default.env("LAPWING_KALLSYMS", sandbox.path("table"));
    let Some(nobody) = as_nobody(at_default) else { return };
    assert_eq!((nobody.code, nobody.stdout.as_str()), (1, ""), "{}", nobody.stderr);
}

/// Where it is, if the running kernel shows us that.
fn vfs_read() -> Option<String> {
    let lines = fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    let line = lines.lines().find(|line| line.ends_with(" T vfs_read"));
    let address = line.map(|line| line[..16].to_owned()).filter(|address| address != "0000000000000000");
    if address.is_none() {
        println!("skipped: /proc/kallsyms shows us no addresses");
    }
    address
}

/// Of the running kernel, by a publisher that stays, at the place where all look for it.
#[test]
fn a_publisher_that_follows_leaves_a_table_that_everybody_finds() {
    let sandbox = Sandbox::new();
    let Some(address) = vfs_read() else { return };
    fs::set_permissions(sandbox.path(""), Permissions::from_mode(0o755)).unwrap();
    let at_default = |args: &[&str]| {
        let mut command = sandbox.command(args);
        command.env("LAPWING_KALLSYMS", sandbox.path("table"));
        command
    };
    let mut publisher = Following::start(at_default(&["sym", "--publish", "--follow", "--mode", "0644"]));
    let said = publisher.err();
    assert!(said.contains("/table: ") && said.contains("symbols of"), "{said}");
    assert!(publisher.child.try_wait().unwrap().is_none(), "it goes on");
    let expected = format!("0x{address} vfs_read+0x0\n");
    let found = Done::of(at_default(&["sym", &address]).output().unwrap());
    assert_eq!((found.code, found.stdout.as_str(), found.stderr.as_str()), (0, expected.as_str(), ""));
    fs::remove_file(sandbox.path("table")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !sandbox.path("table").exists() {
        assert!(Instant::now() < deadline, "{}", publisher.err());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(publisher.err().contains("/table: it was removed, and is published again"), "{}", publisher.err());
    publisher.signal("-TERM");
    assert!(!publisher.ended().success());
    if let Some(nobody) = as_nobody(at_default(&["sym", &address])) {
        assert_eq!((nobody.code, nobody.stdout.as_str()), (0, expected.as_str()), "it survives: {}", nobody.stderr);
    }
}
