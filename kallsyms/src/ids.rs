//! What tells one build of the kernel or of a module from another: the build id that the linker left in it, and the file
//! id made of that.

#![forbid(unsafe_code)]

use std::fmt;

/// The GNU build id of a kernel or a module: up to 32 bytes, 20 as a rule.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BuildId {
    bytes: [u8; BuildId::MAX],
    len: u8,
}

impl BuildId {
    /// The longest that is taken, in bytes.
    pub const MAX: usize = 32;

    /// `None` where there are no bytes, or more than [`BuildId::MAX`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() || bytes.len() > Self::MAX {
            return None;
        }
        let mut all = [0; Self::MAX];
        all[..bytes.len()].copy_from_slice(bytes);
        Some(Self { bytes: all, len: bytes.len() as u8 })
    }

    /// The build id in `notes`, the content of an ELF note section as in `/sys/kernel/notes` and
    /// `/sys/module/NAME/notes/.note.gnu.build-id`; `None` where there is none, or the notes are cut off before it.
    pub fn in_notes(notes: &[u8]) -> Option<Self> {
        const NT_GNU_BUILD_ID: u32 = 3;
        let word = |at: usize| Some(u32::from_ne_bytes(notes.get(at..at.checked_add(4)?)?.try_into().ok()?));
        let padded = |len: u32| (len as usize).checked_next_multiple_of(4);
        let mut at = 0usize;
        loop {
            let (name_len, content_len, kind) = (word(at)?, word(at + 4)?, word(at + 8)?);
            let name = at + 12;
            let content = name.checked_add(padded(name_len)?)?;
            let end = content.checked_add(content_len as usize)?;
            if kind == NT_GNU_BUILD_ID && notes.get(name..name.checked_add(name_len as usize)?)? == b"GNU\0" {
                return Self::new(notes.get(content..end)?);
            }
            at = content.checked_add(padded(content_len)?)?;
        }
    }

    /// The bytes themselves.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuildId({self})")
    }
}

/// 128 bits that stand for one build of the kernel or of a module: FNV-1a of its build id in hexadecimal, as the
/// OpenTelemetry profiler computes it, or of its name, size and symbols where there is no build id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FileId(pub u128);

impl FileId {
    /// The id of what has this build id.
    pub fn of_build_id(build_id: &BuildId) -> Self {
        let mut hash = Fnv::new();
        hash.add(build_id.to_string().as_bytes());
        hash.id()
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// FNV-1a of 128 bits, <http://www.isthe.com/chongo/tech/comp/fnv/>.
pub(crate) struct Fnv(u128);

impl Fnv {
    pub(crate) fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }

    pub(crate) fn id(&self) -> FileId {
        FileId(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{BuildId, FileId, Fnv};

    /// Vectors of the reference implementation (test_fnv.c).
    #[test]
    fn fnv_1a_of_128_bits() {
        let of = |text: &str| {
            let mut hash = Fnv::new();
            hash.add(text.as_bytes());
            hash.id().0
        };
        assert_eq!(of(""), 0x6c62272e07bb014262b821756295c58d);
        assert_eq!(of("a"), 0xd228cb696f1a8caf78912b704e4a8964);
        assert_eq!(of("foobar"), 0x343e1662793c64bf6f0d3597ba446f18);
    }

    fn note(name: &[u8], kind: u32, content: &[u8]) -> Vec<u8> {
        let mut note = Vec::new();
        for word in [name.len() as u32, content.len() as u32, kind] {
            note.extend(word.to_ne_bytes());
        }
        for part in [name, content] {
            note.extend(part);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        note
    }

    #[test]
    fn the_build_id_is_found_among_other_notes() {
        let mut notes = note(b"Linux\0", 3, &[9; 5]);
        notes.extend(note(b"GNU\0", 5, &[8; 16]));
        notes.extend(note(b"GNU\0", 3, &[0xab; 20]));
        let found = BuildId::in_notes(&notes).unwrap();
        assert_eq!(found.as_bytes(), &[0xab; 20]);
        assert_eq!(found.to_string(), "ab".repeat(20));
        for cut in 0..notes.len() {
            assert_eq!(BuildId::in_notes(&notes[..cut]), None, "cut at {cut}");
        }
        assert_eq!(BuildId::in_notes(&note(b"GNU\0", 3, &[1; 33])), None);
        assert_eq!(BuildId::in_notes(&[0xff; 64]), None);
    }

    #[test]
    fn another_build_id_is_another_file() {
        let id = |byte| FileId::of_build_id(&BuildId::new(&[byte; 20]).unwrap());
        assert_eq!(id(1), id(1));
        assert_ne!(id(1), id(2));
    }
}
