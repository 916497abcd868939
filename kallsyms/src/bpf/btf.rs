//! The names of functions in BTF, the type information that comes with a BPF program
//! (<https://docs.kernel.org/bpf/btf.html>).

#![forbid(unsafe_code)]

use std::collections::HashMap;

const MAGIC: u16 = 0xeb9f;
const INT: u32 = 1;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FUNC: u32 = 12;
const FUNC_PROTO: u32 = 13;
const VAR: u32 = 14;
const DATASEC: u32 = 15;
const DECL_TAG: u32 = 17;
const ENUM64: u32 = 19;

/// The name of every function, by its type id; `None` where `btf` is none, or is cut off.
pub(super) fn functions(btf: &[u8]) -> Option<HashMap<u32, String>> {
    if u16::from_ne_bytes(btf.get(..2)?.try_into().ok()?) != MAGIC {
        return None;
    }
    let section = |at: usize| {
        let start = (word(btf, 4)? as usize).checked_add(word(btf, at)? as usize)?;
        btf.get(start..start.checked_add(word(btf, at + 4)? as usize)?)
    };
    let (types, strings) = (section(8)?, section(16)?);
    let mut names = HashMap::new();
    let (mut at, mut id) = (0, 1u32);
    while at < types.len() {
        let (name, info) = (word(types, at)? as usize, word(types, at + 4)?);
        let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        if kind == FUNC {
            let name = strings.get(name..)?.split(|&byte| byte == 0).next()?;
            names.insert(id, String::from_utf8_lossy(name).into_owned());
        }
        at += 12
            + match kind {
                INT | VAR | DECL_TAG => 4,
                ARRAY => 12,
                STRUCT | UNION | DATASEC | ENUM64 => 12 * count,
                ENUM | FUNC_PROTO => 8 * count,
                _ => 0,
            };
        id += 1;
    }
    Some(names)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::functions;

    /// A BTF of `types`, each with the words behind its first three, and `strings`.
    fn btf(types: &[(u32, u32, u32, &[u32])], strings: &[u8]) -> Vec<u8> {
        let mut data = Vec::new();
        for (name, info, kind, more) in types {
            for word in [name, info, kind].into_iter().chain(*more) {
                data.extend(word.to_ne_bytes());
            }
        }
        let mut all = Vec::from(0xeb9f_u16.to_ne_bytes());
        all.extend([1, 0]);
        for word in [24, 0, data.len() as u32, data.len() as u32, strings.len() as u32] {
            all.extend(word.to_ne_bytes());
        }
        all.extend(data);
        all.extend(strings);
        all
    }

    fn sample() -> Vec<u8> {
        let types: [(u32, u32, u32, &[u32]); 8] = [
            (1, 1 << 24, 4, &[32]),                     // 1: int
            (0, 13 << 24 | 2, 1, &[0, 1, 0, 1]),        // 2: int (*)(int, int)
            (5, 12 << 24 | 1, 2, &[]),                  // 3: main
            (5, 4 << 24 | 1, 4, &[5, 1, 0]),            // 4: a structure of the same name
            (5, 1 << 31 | 19 << 24 | 1, 8, &[5, 1, 0]), // 5: an enumeration of 64 bits
            (0, 3 << 24, 0, &[1, 1, 9]),                // 6: an array
            (5, 17 << 24, 4, &[0]),                     // 7: a tag
            (10, 12 << 24, 2, &[]),                     // 8: helper
        ];
        btf(&types, b"\0int\0main\0helper\0")
    }

    #[test]
    fn functions_are_found_among_other_types() {
        let names = functions(&sample()).unwrap();
        let mut names: Vec<_> = names.iter().map(|(id, name)| (*id, name.as_str())).collect();
        names.sort();
        assert_eq!(names, [(3, "main"), (8, "helper")]);
    }

    #[test]
    fn what_is_cut_off_or_none_has_no_functions() {
        let whole = sample();
        for cut in 0..whole.len() {
            assert_eq!(functions(&whole[..cut]), None, "cut at {cut}");
        }
        let mut other = whole.clone();
        other[0] ^= 1;
        assert_eq!(functions(&other), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_too_strange(at in 0usize..200, byte: u8, tail in proptest::collection::vec(0u8.., 0..64)) {
            let mut bytes = sample();
            let len = bytes.len();
            bytes[at % len] = byte;
            bytes.extend(tail);
            let names = functions(&bytes);
            proptest::prop_assert!(names.is_none_or(|names| names.len() <= bytes.len() / 12));
        }
    }
}
