//! BPF programs as they come and go: `PERF_RECORD_KSYMBOL` of every processor, and what such records say.

#![forbid(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use super::{BpfError, Function, PREFIX};
use crate::kernel::perf::Ring;

/// For each processor. A record of a program is about a hundred bytes.
const RING_BYTES: usize = 16 << 10;

const RECORD_LOST: u32 = 2;
const RECORD_KSYMBOL: u32 = 17;
const KSYM_TYPE_BPF: u16 = 1;
const UNREGISTER: u16 = 1;

/// A function of a BPF program that came or went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// When: nanoseconds of `CLOCK_MONOTONIC`.
    pub at: u64,
    /// Which.
    pub function: Function,
    /// True where it was loaded, false where it was unloaded.
    pub loaded: bool,
}

/// What came since the time before.
#[derive(Debug, Default)]
pub struct News {
    /// In the order of time; one read may still bring what is older than the last of the read before.
    pub changes: Vec<Change>,
    /// Some changes may be missing: ask for all programs again.
    pub lost: bool,
}

/// Follows the BPF programs that are loaded and unloaded, from when it was opened.
#[derive(Debug)]
pub struct Ksymbols {
    rings: Vec<Ring>,
    bytes: usize,
    records: Vec<u8>,
}

impl Ksymbols {
    /// Follows every processor that is online now; what happens on one that comes later, or goes and comes again, is not
    /// seen. Takes `CAP_PERFMON`
    /// or `kernel.perf_event_paranoid` of 0 or less, and Linux 5.1; a descriptor and 16 KiB of locked memory for each
    /// processor.
    pub fn open() -> Result<Self, BpfError> {
        Self::with_capacity(RING_BYTES)
    }

    /// As [`Ksymbols::open`], with room for `bytes` of records on each processor: at least a page, a power of two.
    pub fn with_capacity(bytes: usize) -> Result<Self, BpfError> {
        let failed = |call| move |error| BpfError::new(call, "CAP_PERFMON, or kernel.perf_event_paranoid=0", error);
        let mut rings = Vec::new();
        for cpu in online(Path::new("/sys/devices/system/cpu/online")) {
            match Ring::open(cpu, bytes) {
                Ok(ring) => rings.push(ring),
                // It went offline.
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {}
                Err(error) => return Err(failed("perf_event_open")(error)),
            }
        }
        if rings.is_empty() {
            return Err(failed("perf_event_open")(std::io::ErrorKind::NotFound.into()));
        }
        Ok(Self { rings, bytes, records: Vec::new() })
    }

    /// The same, of every processor that is online now, from now on.
    pub(super) fn reopened(&self) -> Result<Self, BpfError> {
        Self::with_capacity(self.bytes)
    }

    /// What poll(2) tells readable once when there is news; read all of it then.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.rings.iter().map(AsFd::as_fd)
    }

    /// All that came since the last call, without waiting.
    pub fn read(&mut self) -> News {
        let mut news = News::default();
        for ring in &mut self.rings {
            self.records.clear();
            news.lost |= !ring.take(&mut self.records);
            news.lost |= !read_records(&self.records, &mut news.changes);
        }
        // One processor unloads what another loaded.
        news.changes.sort_by_key(|change| change.at);
        news
    }
}

/// Appends what `records` tell of programs; false where they say that some are missing, or are no records.
fn read_records(mut records: &[u8], changes: &mut Vec<Change>) -> bool {
    let mut whole = true;
    while let Some((header, _)) = records.split_at_checked(8) {
        let size = usize::from(u16::from_ne_bytes([header[6], header[7]]));
        let Some((record, rest)) = records.split_at_checked(size).filter(|_| size >= 8) else {
            return false;
        };
        match u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) {
            RECORD_LOST => whole = false,
            RECORD_KSYMBOL => match ksymbol(&record[8..]) {
                Some(change) if !change.function.name.starts_with(PREFIX) || change.function.len == 0 => {}
                Some(change) => changes.push(change),
                None => whole &= !is_bpf(&record[8..]),
            },
            _ => {}
        }
        records = rest;
    }
    whole && records.is_empty()
}

/// Whether a record is of BPF; the others are of code that the kernel moves for kprobes.
fn is_bpf(body: &[u8]) -> bool {
    body.get(12..14).is_none_or(|kind| kind == KSYM_TYPE_BPF.to_ne_bytes())
}

/// Address, length, type, flags, name with zeros up to a multiple of 8, time. Then some bytes of anything where others
/// follow symbols too: for each of them the kernel (`perf_event_ksymbol_output`) makes the same record longer, and fills in
/// no more.
fn ksymbol(body: &[u8]) -> Option<Change> {
    let (fixed, rest) = body.split_at_checked(16)?;
    let len = memchr::memchr(0, rest)?;
    let name = std::str::from_utf8(&rest[..len]).ok()?;
    let (time, _) = rest.get((len + 1).next_multiple_of(8)..)?.split_first_chunk::<8>()?;
    let flags = u16::from_ne_bytes(fixed[14..16].try_into().ok()?);
    is_bpf(fixed).then_some(())?;
    Some(Change {
        at: u64::from_ne_bytes(*time),
        function: Function {
            address: u64::from_ne_bytes(fixed[..8].try_into().ok()?),
            len: u32::from_ne_bytes(fixed[8..12].try_into().ok()?).into(),
            name: name.to_owned(),
        },
        loaded: flags & UNREGISTER == 0,
    })
}

/// The processors listed in `file`, or the first where there is none.
fn online(file: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let listed = listed(&text);
    if listed.is_empty() { vec![0] } else { listed }
}

/// The numbers in a list such as `0-3,8`; no more than the kernel has processors (`NR_CPUS`).
fn listed(text: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<u32>().ok()?..=last.parse::<u32>().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().take(1 << 13).collect()
}

#[cfg(test)]
mod tests {
    use super::{Change, listed, read_records};

    fn record(kind: u32, body: &[u8]) -> Vec<u8> {
        let mut record = Vec::from(kind.to_ne_bytes());
        record.extend(0u16.to_ne_bytes());
        record.extend((body.len() as u16 + 8).to_ne_bytes());
        record.extend(body);
        record
    }

    fn ksymbol(address: u64, kind: u16, flags: u16, name: &str, at: u64) -> Vec<u8> {
        let mut body = Vec::from(address.to_ne_bytes());
        body.extend(64u32.to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(flags.to_ne_bytes());
        body.extend(name.as_bytes());
        body.resize((body.len() + 1).next_multiple_of(8), 0);
        body.extend(at.to_ne_bytes());
        record(17, &body)
    }

    fn read(records: &[u8]) -> (Vec<Change>, bool) {
        let mut changes = Vec::new();
        let whole = read_records(records, &mut changes);
        (changes, whole)
    }

    #[test]
    fn programs_that_come_and_go_are_read() {
        let mut records = ksymbol(0x1000, 1, 0, "bpf_prog_0123456789abcdef_a", 5);
        records.extend(ksymbol(0x1000, 1, 1, "bpf_prog_0123456789abcdef_a", 6));
        let (changes, whole) = read(&records);
        assert!(whole);
        assert_eq!(
            changes.iter().map(|change| (change.at, change.loaded)).collect::<Vec<_>>(),
            [(5, true), (6, false)]
        );
        assert_eq!((changes[0].function.address, changes[0].function.len), (0x1000, 64));
        assert_eq!(changes[0].function.name, "bpf_prog_0123456789abcdef_a");
    }

    /// As the second of two that follow symbols gets it.
    #[test]
    fn the_time_stands_behind_the_name_whatever_follows() {
        for name in ["bpf_prog_0123456789abcdef", "bpf_prog_0123456789abcdef_1234"] {
            let mut body = ksymbol(0x1000, 1, 0, name, 5)[8..].to_vec();
            body.extend([0xee; 16]);
            let (changes, whole) = read(&record(17, &body));
            assert!(whole);
            assert_eq!((changes[0].at, &*changes[0].function.name), (5, name));
        }
    }

    #[test]
    fn what_is_no_program_is_passed_over() {
        let mut records = ksymbol(0x1000, 1, 0, "bpf_trampoline_6442450944", 5);
        records.extend(ksymbol(0x2000, 1, 0, "bpf_dispatcher_xdp", 6));
        records.extend(ksymbol(0x3000, 2, 0, "kprobe_optinsn_page", 7));
        records.extend(record(9, &[0; 24]));
        assert_eq!(read(&records), (vec![], true));
    }

    #[test]
    fn losses_and_damage_are_told_and_the_rest_is_read() {
        let good = ksymbol(0x1000, 1, 0, "bpf_prog_0123456789abcdef_a", 5);
        let lost = record(2, &[0; 24]);
        let both = [&good[..], &lost, &good].concat();
        let (changes, whole) = read(&both);
        assert_eq!((changes.len(), whole), (2, false));
        for cut in 1..good.len() {
            assert_eq!(read(&good[..cut]), (vec![], false), "cut at {cut}");
        }
        assert_eq!(read(&record(17, &[0; 8])), (vec![], false));
        assert_eq!(read(&[0; 64]), (vec![], false));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(0u8.., 0..256)) {
            let (changes, whole) = read(&bytes);
            proptest::prop_assert!(changes.len() <= bytes.len() / 32);
            proptest::prop_assert!(!whole || bytes.is_empty() || bytes.len() >= 8);
        }
    }

    #[test]
    fn processors_are_listed_in_ranges() {
        assert_eq!(listed("0-3,8,10-11\n"), [0, 1, 2, 3, 8, 10, 11]);
        assert_eq!(listed("0\n"), [0]);
        assert_eq!(listed(""), [0; 0]);
        assert_eq!(listed("x,5-,7"), [7]);
        assert_eq!(listed("0-4294967295").len(), 1 << 13);
    }
}
