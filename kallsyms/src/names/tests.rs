//! Names come back from their codes, and codes that nobody wrote are none.

#![forbid(unsafe_code)]

use super::dictionary::{self, TOKENS};
use super::*;
use proptest::prelude::*;

thread_local! {
    static ENCODER: Encoder = Encoder::new();
}

fn coded(name: &[u8]) -> (Vec<u8>, usize) {
    let mut codes = Nibbles::default();
    ENCODER.with(|encoder| encoder.encode(name, &mut codes));
    let length = codes.len();
    (codes.finish().to_vec(), length)
}

fn decoded(codes: &[u8], at: usize, nibbles: usize) -> Option<Vec<u8>> {
    let mut name = NameBuffer::default();
    decode(codes, at, nibbles, &mut name)?;
    Some(name.as_bytes().to_vec())
}

/// Like names of the kernel: words of it, digits, separators.
fn kernel_like() -> impl Strategy<Value = Vec<u8>> {
    const PARTS: &[&str] = &["sys_", "get", "__x64", "device", "_", ".", "isra", "init", "4", "Z", "$"];
    prop::collection::vec(prop::sample::select(PARTS), 0..40).prop_map(|parts| parts.concat().into_bytes())
}

#[test]
fn every_token_comes_back_from_its_code() {
    for text in (0..TOKENS).filter_map(dictionary::token) {
        let (codes, nibbles) = coded(text);
        assert!(nibbles <= 4, "{}: {nibbles} nibbles, and the longest code has 4", text.escape_ascii());
        assert_eq!(decoded(&codes, 0, nibbles).as_deref(), Some(text));
    }
}

#[test]
fn a_number_that_no_token_has_is_damage() {
    let unused = (0..TOKENS).filter(|&number| dictionary::token(number).is_none() && number != dictionary::ESCAPE);
    let mut count = 0;
    for number in unused {
        let (code, nibbles) = dictionary::code(number);
        let codes = (u32::from(code) << (32 - 4 * u32::from(nibbles))).to_be_bytes();
        assert_eq!(decoded(&codes, 0, usize::from(nibbles)), None, "token {number}");
        count += 1;
    }
    assert!(count >= dictionary::GROUP - 1, "the escape is alone in its group");
}

#[test]
fn bytes_of_kernel_names_need_no_escape() {
    for byte in (b'0'..=b'9').chain(b'a'..=b'z').chain(b'A'..=b'Z').chain(*b"_.$") {
        assert!(coded(&[byte]).1 <= 4, "{}", byte.escape_ascii());
    }
    assert_eq!(coded(b"\0").1, 6);
}

#[test]
fn a_name_has_at_most_512_bytes() {
    for byte in [b'a', b'\0'] {
        let (codes, nibbles) = coded(&[byte; LONGEST_NAME]);
        assert_eq!(decoded(&codes, 0, nibbles), Some(vec![byte; LONGEST_NAME]));
        let (codes, nibbles) = coded(&[byte; LONGEST_NAME + 1]);
        assert_eq!(decoded(&codes, 0, nibbles), None);
    }
    let (codes, nibbles) = coded(&[b'a'; 4 * LONGEST_NAME]);
    assert_eq!(decoded(&codes, 0, nibbles), None);
}

#[test]
fn names_lie_behind_each_other_at_any_nibble() {
    let names: [&[u8]; 5] = [b"do_sys_open", b"x", b"", b"\xff\x00", b"__x64_sys_read.isra.0"];
    let mut codes = Nibbles::default();
    let ends: Vec<_> = names
        .iter()
        .map(|name| {
            ENCODER.with(|encoder| encoder.encode(name, &mut codes));
            codes.len()
        })
        .collect();
    let codes = codes.finish();
    let mut start = 0;
    for (name, end) in names.iter().zip(ends) {
        assert_eq!(decoded(codes, start, end - start).as_deref(), Some(*name));
        start = end;
    }
}

#[test]
fn nowhere_there_is_no_name() {
    assert_eq!(decoded(&[], 0, 0), Some(Vec::new()));
    for (at, nibbles) in [(0, 1), (5, 0), (usize::MAX, 1), (1, usize::MAX), (usize::MAX, usize::MAX)] {
        assert_eq!(decoded(&[0, 0], at, nibbles).filter(|name| !name.is_empty()), None, "{nibbles} nibbles from {at}");
    }
    assert_eq!(decoded(&[0, 0], 5, 0), None);
}

proptest! {
    #[test]
    fn every_byte_string_comes_back(before in 0_usize..3, name in prop::collection::vec(any::<u8>(), 0..=LONGEST_NAME)) {
        round_trip(before, &name)?;
    }

    #[test]
    fn names_come_back(before in 0_usize..3, name in kernel_like()) {
        round_trip(before, &name)?;
    }

    #[test]
    fn a_beginning_of_a_name_is_a_shorter_name_or_damage(name in kernel_like(), cut in 1_usize..4) {
        let (codes, nibbles) = coded(&name);
        let left = nibbles.saturating_sub(cut);
        if let Some(beginning) = decoded(&codes, 0, left) {
            prop_assert!(name.starts_with(&beginning));
            prop_assert!(nibbles == 0 || beginning.len() < name.len());
        }
    }

    #[test]
    fn any_codes_are_a_name_or_damage(
        codes in prop::collection::vec(any::<u8>(), 0..600), at in 0_usize..1300, nibbles in 0_usize..1300,
    ) {
        if let Some(name) = decoded(&codes, at, nibbles) {
            prop_assert!(at + nibbles <= 2 * codes.len());
            prop_assert!(name.len() <= LONGEST_NAME);
        }
    }
}

/// Encodes and decodes, with nibbles in front and without anything behind, and with something behind.
fn round_trip(before: usize, name: &[u8]) -> Result<(), TestCaseError> {
    let mut codes = Nibbles::default();
    for _ in 0..before {
        codes.push(0xf, 1);
    }
    ENCODER.with(|encoder| encoder.encode(name, &mut codes));
    let nibbles = codes.len() - before;
    let mut codes = codes.finish().to_vec();
    let alone = decoded(&codes, before, nibbles);
    prop_assert_eq!(alone.as_deref(), Some(name));
    codes.extend([0xa5; 8]);
    let followed = decoded(&codes, before, nibbles);
    prop_assert_eq!(followed.as_deref(), Some(name));
    Ok(())
}
