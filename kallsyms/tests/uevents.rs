//! Uevents: as the kernel sends them, as a socket pair carries them, and what is no uevent.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use lapwing_kallsyms::uevents::{Action, News, Uevents, Woken, parse};
use proptest::prelude::*;
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};

fn module(action: Action, name: &str) -> Option<News> {
    Some(News::Module { action, name: name.into() })
}

fn pair(kind: SocketType) -> (OwnedFd, Uevents) {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
    (ours, Uevents::from_socket(theirs))
}

fn uevent(action: &str, name: &str) -> Vec<u8> {
    format!("{action}@/module/{name}\0ACTION={action}\0DEVPATH=/module/{name}\0SUBSYSTEM=module\0SEQNUM=737\0")
        .into_bytes()
}

#[test]
fn what_the_kernel_says_of_a_module_is_understood() {
    assert_eq!(parse(&uevent("add", "dummy")), module(Action::Add, "dummy"));
    assert_eq!(parse(&uevent("remove", "nf_tables")), module(Action::Remove, "nf_tables"));
    assert_eq!(parse(&uevent("change", "loop")), module(Action::Other, "loop"));
    // Written to /sys/module/loop/uevent.
    let asked = b"add@/module/loop\0ACTION=add\0DEVPATH=/module/loop\0SUBSYSTEM=module\0SYNTH_UUID=0\0SEQNUM=9\0";
    assert_eq!(parse(asked), module(Action::Add, "loop"));
}

#[test]
fn a_processor_that_comes_online_is_told() {
    let cpu = |action: &str| {
        let path = "/devices/system/cpu/cpu1";
        parse(format!("{action}@{path}\0ACTION={action}\0DEVPATH={path}\0SUBSYSTEM=cpu\0SEQNUM=7\0").as_bytes())
    };
    assert_eq!(cpu("online"), Some(News::Processor));
    assert_eq!(cpu("offline"), None);
}

#[test]
fn everything_else_is_nothing() {
    let others: [&[u8]; 13] = [
        b"",
        b"\0",
        b"add@/module/dummy",
        b"add@/devices/virtual/net/dummy0\0ACTION=add\0DEVPATH=/devices/virtual/net/dummy0\0SUBSYSTEM=net\0",
        b"add@/module/dummy\0ACTION=remove\0DEVPATH=/module/dummy\0SUBSYSTEM=module\0",
        b"add@/module/dummy\0ACTION=add\0DEVPATH=/module/loop\0SUBSYSTEM=module\0",
        b"add@/module/dummy\0ACTION=add\0DEVPATH=/module/dummy\0SUBSYSTEM=drivers\0",
        b"add@/module/dummy\0ACTION=add\0DEVPATH=/module/dummy\0",
        b"add@/module/dummy\0DEVPATH=/module/dummy\0SUBSYSTEM=module\0",
        b"add@/module/\0ACTION=add\0DEVPATH=/module/\0SUBSYSTEM=module\0",
        b"add@/module/a/b\0ACTION=add\0DEVPATH=/module/a/b\0SUBSYSTEM=module\0",
        b"add@/module/\xff\0ACTION=add\0DEVPATH=/module/\xff\0SUBSYSTEM=module\0",
        b"libudev\0\xfe\xed\xca\xfe\0ACTION=add\0DEVPATH=/module/dummy\0SUBSYSTEM=module\0",
    ];
    for other in others {
        assert_eq!(parse(other), None, "{:?}", String::from_utf8_lossy(other));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_datagram_does_harm(datagram in proptest::collection::vec(any::<u8>(), 0..256), cut in 0usize..90) {
        let _ = parse(&datagram);
        let whole = uevent("add", "dummy");
        let _ = parse(&whole[..cut.min(whole.len())]);
        let mut mixed = whole;
        mixed.extend(&datagram);
        let _ = parse(&mixed);
    }
}

#[test]
fn waiting_ends_with_news_with_the_time_or_when_asked() {
    let (ours, mut uevents) = pair(SocketType::DGRAM);
    let wake = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    let wait = |uevents: &Uevents, millis| uevents.wait(wake.as_fd(), Some(Duration::from_millis(millis))).unwrap();
    assert_eq!(uevents.receive(9), Ok(None));
    assert_eq!(wait(&uevents, 1), Woken::Timeout);
    send(&ours, &uevent("add", "dummy"), SendFlags::empty()).unwrap();
    assert_eq!(wait(&uevents, 60_000), Woken::Readable);
    assert_eq!(uevents.receive(9), Ok(module(Action::Add, "dummy")));
    assert_eq!(uevents.receive(9), Ok(None));
    rustix::io::write(&wake, &1u64.to_ne_bytes()).unwrap();
    assert_eq!(uevents.wait(wake.as_fd(), None).unwrap(), Woken::Asked);
}

#[test]
fn those_of_others_are_stepped_over_a_few_at_a_time() {
    let (ours, mut uevents) = pair(SocketType::DGRAM);
    for _ in 0..5 {
        send(&ours, b"add@/x\0ACTION=add\0DEVPATH=/x\0SUBSYSTEM=net\0", SendFlags::empty()).unwrap();
    }
    send(&ours, &uevent("remove", "loop"), SendFlags::empty()).unwrap();
    assert_eq!(uevents.receive(4), Ok(None));
    assert_eq!(uevents.received(), 4);
    assert_eq!(uevents.receive(4), Ok(module(Action::Remove, "loop")));
    assert_eq!(uevents.received(), 6);
}

#[test]
fn one_that_is_too_long_may_have_said_anything() {
    let (ours, mut uevents) = pair(SocketType::DGRAM);
    let mut long = uevent("add", "dummy");
    long.resize(8193, b'x');
    send(&ours, &long, SendFlags::empty()).unwrap();
    assert_eq!(uevents.receive(9), Ok(Some(News::Lost)));
}

#[test]
fn the_end_of_a_stream_is_an_error_and_no_loop() {
    let (ours, mut uevents) = pair(SocketType::SEQPACKET);
    drop(ours);
    assert_eq!(uevents.receive(9), Err(Errno::CONNRESET));
}

/// Makes the kernel send a uevent, by writing to a `uevent` file; false where we may not, or there is none.
fn ask_kernel(file: &Path) -> bool {
    let asked = fs::write(file, "add");
    if let Err(error) = &asked {
        eprintln!("skipped: no uevent can be asked for: {}: {error}", file.display());
    }
    asked.is_ok()
}

/// What the kernel sends within ten seconds.
fn received(uevents: &mut Uevents, until: impl Fn(&Uevents, &Option<News>) -> bool) -> Option<News> {
    let wake = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let news = uevents.receive(1).unwrap();
        if until(uevents, &news) {
            return news;
        }
        assert!(Instant::now() < deadline, "no uevent came");
        if news.is_none() {
            uevents.wait(wake.as_fd(), Some(Duration::from_millis(100))).unwrap();
        }
    }
}

#[test]
fn the_kernels_own_are_received() {
    let mut uevents = Uevents::open().unwrap();
    if !ask_kernel(Path::new("/sys/class/net/lo/uevent")) {
        return;
    }
    let news = received(&mut uevents, |uevents, _| uevents.received() > 0);
    assert_eq!(news, None, "of a network device, and no module's");
}

#[test]
fn the_kernels_own_of_a_module_are_received() {
    let mut modules = fs::read_dir("/sys/module").unwrap().map(|entry| entry.unwrap().path());
    let Some(module_dir) = modules.find(|dir| dir.join("uevent").exists()) else {
        eprintln!("skipped: no uevent can be asked for: this kernel has no loadable modules");
        return;
    };
    let mut uevents = Uevents::open().unwrap();
    if !ask_kernel(&module_dir.join("uevent")) {
        return;
    }
    let name = module_dir.file_name().unwrap().to_str().unwrap();
    received(&mut uevents, |_, news| *news == module(Action::Add, name));
}

/// Anybody may send to a netlink socket's own address.
#[test]
fn what_another_process_sends_is_not_believed() {
    use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
    use rustix::net::{bind, getsockname, sendto, socket_with};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let make = || {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(KOBJECT_UEVENT)).unwrap();
        bind(&socket, &SocketAddrNetlink::new(0, 0)).unwrap();
        socket
    };
    let (ours, theirs) = (make(), make());
    let address = SocketAddrNetlink::try_from(getsockname(&theirs).unwrap()).unwrap();
    let mut uevents = Uevents::from_socket(theirs);
    if let Err(error) = sendto(&ours, &uevent("add", "forged"), SendFlags::empty(), &address) {
        eprintln!("skipped: this kernel does not let us send: {error}");
        return;
    }
    assert_eq!(uevents.receive(9), Ok(None));
    assert_eq!(uevents.received(), 1);
}

#[test]
fn more_than_fits_is_reported_as_lost() {
    use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
    use rustix::net::{bind, socket_with, sockopt};
    let file = Path::new("/sys/class/net/lo/uevent");
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(KOBJECT_UEVENT)).unwrap();
    sockopt::set_socket_recv_buffer_size(&socket, 1).unwrap();
    bind(&socket, &SocketAddrNetlink::new(0, 1)).unwrap();
    let mut uevents = Uevents::from_socket(socket);
    for _ in 0..64 {
        if !ask_kernel(file) {
            return;
        }
    }
    let mut lost = 0;
    loop {
        let before = uevents.received();
        match uevents.receive(1).unwrap() {
            Some(News::Lost) => lost += 1,
            _ if uevents.received() == before => break,
            _ => {}
        }
    }
    assert!(lost > 0 && uevents.received() < 64, "{lost} of losing, {} received", uevents.received());
    // And what comes later is received again.
    assert!(ask_kernel(file));
    let so_far = uevents.received();
    received(&mut uevents, |uevents, _| uevents.received() > so_far);
}
