//! Does every function refuse what it has to refuse, say why, and leave the rest alone? Called as C calls them.
#![allow(unsafe_code)]

mod installed;

use installed::Installed;
use lapwing::lapwing_error::*;
use lapwing::*;
use lapwing_ring::{Create, Flags, Level, Reader};
use libc::{c_char, c_int, c_void, iovec};
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::ptr::{null, null_mut};

const INFO: c_int = lapwing_level::LAPWING_INFO as c_int;

/// A writer, closed when it goes out of scope.
struct Open(*mut lapwing_writer_t);

impl Drop for Open {
    fn drop(&mut self) {
        // SAFETY: open, and not used again.
        unsafe { lapwing_writer_close(self.0) };
    }
}

/// Opens the ring at `path`, with room for `size` bytes of the reason.
fn open(path: &Path, size: usize) -> Result<Open, (c_int, String)> {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    let mut writer = std::ptr::dangling_mut();
    let mut why = vec![0x7f as c_char; size + 1];
    // SAFETY: a text, room for a pointer, `size` bytes of room.
    let code = unsafe { lapwing_writer_open(path.as_ptr(), &mut writer, why.as_mut_ptr(), size) };
    assert_eq!(why[size], 0x7f, "written behind the room");
    let why: Vec<u8> = why.into_iter().take_while(|&byte| byte != 0).map(|byte| byte as u8).collect();
    assert_eq!(writer.is_null(), code != 0);
    if code == 0 { Ok(Open(writer)) } else { Err((code, String::from_utf8(why).unwrap())) }
}

fn write(writer: &Open, level: c_int, data: &[u8], seq: &mut u64) -> c_int {
    // SAFETY: open, bytes with their length, room for a number.
    unsafe { lapwing_writer_write(writer.0, level, data.as_ptr().cast(), data.len(), seq) }
}

fn text(code: c_int) -> &'static str {
    let text = lapwing_strerror(code);
    // SAFETY: a text that lives as long as the program.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap()
}

#[test]
fn every_level_from_1_to_24_is_one_and_no_other_number_is() {
    let ring = Installed::without_library();
    let writer = open(&ring.ring(), 100).unwrap();
    let mut seq = 77;
    for level in [0, 25, -1, 256 + INFO, c_int::MAX, c_int::MIN] {
        assert_eq!((write(&writer, level, b"no", &mut seq), seq), (LAPWING_E_INVALID as c_int, 77), "{level}");
    }
    for level in 1..=24 {
        assert_eq!((write(&writer, level, b"yes", &mut seq), seq), (0, level as u64 - 1));
    }
    let levels: Vec<_> = ring.records().iter().map(|record| record.level.number()).collect();
    assert_eq!(levels, (1..=24).collect::<Vec<_>>());
}

#[test]
#[allow(clippy::multiple_unsafe_ops_per_block, reason = "tables")]
fn null_is_an_error_or_nothing() {
    let ring = Installed::without_library();
    let writer = open(&ring.ring(), 0).unwrap();
    let invalid = LAPWING_E_INVALID as c_int;
    let data: *const c_void = b"text".as_ptr().cast();
    let piece = iovec { iov_base: null_mut(), iov_len: 1 };
    // SAFETY: NULL is what the functions say they refuse, or take for nothing; the rest is there.
    let codes = unsafe {
        [
            lapwing_writer_open(c"/ring".as_ptr(), null_mut(), null_mut(), 0),
            lapwing_writer_write(null(), INFO, data, 4, null_mut()),
            lapwing_writer_write(writer.0, INFO, null(), 4, null_mut()),
            lapwing_writer_write(writer.0, INFO, data, usize::MAX, null_mut()),
            lapwing_writer_writev(null(), INFO, &piece, 0, null_mut()),
            lapwing_writer_writev(writer.0, INFO, null(), 1, null_mut()),
            lapwing_writer_writev(writer.0, INFO, &piece, 1, null_mut()),
            lapwing_writer_writev(writer.0, INFO, &piece, LAPWING_MAX_PIECES + 1, null_mut()),
            lapwing_writer_text(null(), INFO, null(), data, 4, null_mut()),
            lapwing_writer_text(writer.0, INFO, null(), null(), 4, null_mut()),
            lapwing_writer_puts(null(), INFO, c"text".as_ptr(), null_mut()),
            lapwing_writer_puts(writer.0, INFO, null(), null_mut()),
        ]
    };
    assert_eq!(codes, [invalid; 12]);
    assert_eq!(ring.records(), []);
    // SAFETY: as above.
    let codes = unsafe {
        [
            lapwing_writer_write(writer.0, INFO, null(), 0, null_mut()),
            lapwing_writer_writev(writer.0, INFO, null(), 0, null_mut()),
            lapwing_writer_text(writer.0, INFO, null(), null(), 0, null_mut()),
        ]
    };
    assert_eq!(codes, [0; 3]);
    assert!(ring.records().iter().all(|record| record.text.is_empty()) && ring.records().len() == 3);
    // SAFETY: NULL is no writer.
    assert_eq!(unsafe { lapwing_writer_max(null()) }, 0);
    // SAFETY: as above.
    unsafe { lapwing_writer_close(null_mut()) };
}

#[test]
fn the_longest_record_goes_in_and_one_byte_more_is_refused_and_counted() {
    let ring = Installed::without_library();
    let writer = open(&ring.ring(), 0).unwrap();
    // SAFETY: open.
    let max = unsafe { lapwing_writer_max(writer.0) };
    let mut seq = 77;
    assert_eq!((write(&writer, INFO, &vec![b'x'; max], &mut seq), seq), (0, 0));
    assert_eq!((write(&writer, INFO, &vec![b'x'; max + 1], &mut seq), seq), (LAPWING_E_TOO_LARGE as c_int, 0));
    assert_eq!(ring.records().iter().map(|record| record.text.len()).collect::<Vec<_>>(), [max]);
    assert_eq!(Reader::open(&ring.ring()).unwrap().stat().unwrap().refused.too_large, 1);
}

#[test]
fn as_many_pieces_as_there_may_be_make_one_record() {
    let ring = Installed::without_library();
    let writer = open(&ring.ring(), 0).unwrap();
    let letters: Vec<u8> = (0..LAPWING_MAX_PIECES).map(|i| b'0' + i as u8).collect();
    let pieces: Vec<_> = letters
        .iter()
        .map(|letter| iovec { iov_base: std::ptr::from_ref(letter) as *mut c_void, iov_len: 1 })
        .collect();
    let mut seq = 77;
    // SAFETY: open, pieces with their number, room for a number.
    let code = unsafe { lapwing_writer_writev(writer.0, INFO, pieces.as_ptr(), pieces.len(), &mut seq) };
    assert_eq!((code, seq, &ring.records()[0].text), (0, 0, &letters));
}

#[test]
fn a_long_text_goes_on_in_the_next_record() {
    let ring = Installed::without_library();
    let writer = open(&ring.ring(), 0).unwrap();
    let long: Vec<u8> = (0..20_000u32).map(|i| (i % 251) as u8).collect();
    let mut seq = 77;
    // SAFETY: open, texts, bytes with their length, room for a number.
    let code =
        unsafe { lapwing_writer_text(writer.0, INFO, c"disk".as_ptr(), long.as_ptr().cast(), long.len(), &mut seq) };
    assert_eq!((code, seq), (0, 2));
    let records = ring.records();
    assert!(records.iter().all(|record| (record.tag.as_deref(), record.level) == (Some("disk"), Level::INFO)));
    assert_eq!(records.iter().map(|record| record.flags).collect::<Vec<_>>(), [Flags::CONT, Flags::CONT, Flags::NONE]);
    assert_eq!(records.iter().map(|record| record.text.len()).max(), Some(8192));
    assert_eq!(records.iter().flat_map(|record| record.text.clone()).collect::<Vec<_>>(), long);
    // A tag beside which no text fits.
    let tag = CString::new(vec![b't'; 40_000]).unwrap();
    // SAFETY: as above.
    let code = unsafe { lapwing_writer_text(writer.0, INFO, tag.as_ptr(), long.as_ptr().cast(), 1, &mut seq) };
    assert_eq!((code, seq), (LAPWING_E_TOO_LARGE as c_int, 2));
}

#[test]
fn a_ring_that_cannot_be_opened_has_a_code_and_a_reason() {
    let folder = Installed::without_library();
    let ring = fs::read(folder.ring()).unwrap();
    let put = |name: &str, bytes: &[u8]| {
        fs::write(folder.path(name), bytes).unwrap();
        folder.path(name)
    };
    let with_word = |offset: usize, value: u64| {
        let mut bytes = ring.clone();
        bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    let cases = [
        (folder.path("none"), LAPWING_E_NOT_FOUND, "no such ring"),
        (folder.path("none/ring"), LAPWING_E_NOT_FOUND, "no such ring"),
        (folder.path("").join("."), LAPWING_E_NOT_A_RING, "is a folder"),
        (put("text", &[b'x'; 100]), LAPWING_E_NOT_A_RING, "is not a ring"),
        (put("short", &ring[..ring.len() / 2]), LAPWING_E_TRUNCATED, "is cut short"),
        (put("version", &with_word(8, 999)), LAPWING_E_VERSION, "format version 999"),
        (put("pages", &with_word(24, 3)), LAPWING_E_DAMAGED, "power of two"),
        (put("clock", &with_word(96, 77)), LAPWING_E_CLOCK, "clock 77"),
        (put("copy", &ring), LAPWING_E_COPIED, "is a copy"),
    ];
    for (path, code, reason) in cases {
        let (found, why) = open(&path, 500).err().unwrap_or_else(|| panic!("{path:?} was opened"));
        assert_eq!(found, code as c_int, "{why}");
        assert!(why.contains(reason) && why.contains(path.to_str().unwrap()), "{code:?}: {why}");
    }
}

#[test]
fn a_reason_is_cut_between_two_characters() {
    let folder = Installed::without_library();
    let path = folder.path("ä".repeat(50).as_str());
    let (_, whole) = open(&path, 500).err().unwrap();
    let before = whole.find('ä').unwrap();
    for size in 1..=before + 20 {
        let (_, cut) = open(&path, size).err().unwrap();
        assert!(whole.starts_with(&cut) && cut.len() < size && cut.len() + 2 >= size, "{size}: {cut:?}");
    }
}

#[test]
fn every_code_has_a_text_of_its_own_and_other_numbers_have_one_too() {
    let texts: BTreeSet<_> = (LAPWING_E_INTERNAL as c_int..=0).map(text).collect();
    assert_eq!(texts.len(), 19);
    for other in [1, LAPWING_E_INTERNAL as c_int - 1, c_int::MAX, c_int::MIN] {
        assert_eq!(text(other), "no error code of Lapwing");
    }
}

#[test]
fn errno_is_left_alone() {
    let ring = Installed::without_library();
    // SAFETY: the address of this thread's errno.
    let errno = unsafe { libc::__errno_location() };
    let set = |value| {
        // SAFETY: the thread's own.
        unsafe { errno.write(value) }
    };
    // SAFETY: as above.
    let get = || unsafe { errno.read() };
    set(4711);
    let writer = open(&ring.ring(), 0).unwrap();
    assert_eq!(get(), 4711);
    assert_eq!((write(&writer, INFO, b"first", &mut 0), get()), (0, 4711));
    drop(writer);
    assert_eq!(get(), 4711);
    assert!(open(&ring.path("none"), 100).is_err());
    assert_eq!(get(), 4711);
}

#[test]
fn two_writers_of_one_process_are_independent() {
    let ring = Installed::without_library();
    let (one, two) = (open(&ring.ring(), 0).unwrap(), open(&ring.ring(), 0).unwrap());
    assert_eq!(write(&one, INFO, b"one", &mut 0), 0);
    drop(one);
    assert_eq!(write(&two, INFO, b"two", &mut 0), 0);
    assert_eq!(ring.records().iter().map(|record| record.text()).collect::<Vec<_>>(), ["one", "two"]);
}

#[test]
fn who_may_not_write_is_told_so() {
    let folder = Installed::without_library();
    let path = folder.path("read-only");
    Create::new().size(64 << 10).mode(0o400).create(&path).unwrap();
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } == 0 {
        println!("skipped: root may write to everything");
        return;
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
    assert_eq!(open(&path, 500).err().unwrap().0, LAPWING_E_PERMISSION as c_int);
}
