//! Whether a program can be captured by a preloaded library, told from its file.

#![forbid(unsafe_code)]

use crate::identity;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What this library is made for.
#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

/// How its names begin; the second is what old ones are called behind a link.
const GLIBC_LOADERS: [&[u8]; 2] = [b"ld-linux", b"ld-2."];

/// Why the dynamic loader will not preload our library into a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Obstacle {
    /// It has no dynamic loader.
    Static,
    /// It runs as somebody else.
    SetId,
    /// It is given more rights than who runs it has.
    Capabilities,
    /// It is made for another word size.
    OtherClass,
    /// It is made for another processor.
    OtherMachine,
    /// Its dynamic loader is not the GNU C library's.
    OtherLoader,
}

impl Obstacle {
    /// Is it a program that is given rights? Those talk to terminals in their own ways (su, sudo, passwd).
    pub const fn is_privileged(self) -> bool {
        matches!(self, Self::SetId | Self::Capabilities)
    }

    /// Is a library of ours in its environment worse than nothing? The others' loader passes it over, and it is there for
    /// what they start.
    pub const fn minds_a_library(self) -> bool {
        matches!(self, Self::OtherClass | Self::OtherMachine | Self::OtherLoader)
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Static => "it is statically linked",
            Self::SetId => "it is setuid or setgid",
            Self::Capabilities => "its file has capabilities",
            Self::OtherClass => "it is not a 64-bit program",
            Self::OtherMachine => "it is made for another processor",
            Self::OtherLoader => "it is linked with another C library",
        })
    }
}

/// The file that exec runs for `command`, found as execvp(3) does along `path`.
pub fn find(command: &OsStr, path: &OsStr) -> Option<PathBuf> {
    if command.as_bytes().contains(&b'/') {
        return Some(command.into());
    }
    let runs = |file: &PathBuf| file.metadata().is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0);
    std::env::split_paths(path).map(|folder| folder.join(command)).find(runs)
}

/// What keeps the loader from preloading into the program in `file`; for a script, into its interpreter. `None` as well
/// when the file cannot be read: then exec says more than we could.
pub fn obstacle(file: &Path) -> Option<Obstacle> {
    let file = File::open(file).ok()?;
    let mut line = [0; LONGEST_LINE];
    match interpreter_of(&file, &mut line) {
        Some(interpreter) => obstacle_of(&File::open(OsStr::from_bytes(interpreter)).ok()?),
        None => obstacle_of(&file),
    }
}

/// The program that the kernel runs for a script, by its first line.
pub fn interpreter(script: &Path) -> Option<PathBuf> {
    let mut line = [0; LONGEST_LINE];
    Some(OsStr::from_bytes(interpreter_of(&File::open(script).ok()?, &mut line)?).into())
}

/// Of a script's first line the kernel reads no more.
pub const LONGEST_LINE: usize = 256;

/// As [`interpreter`], of an open file, whose first line is read into `line`. Safe in a signal handler.
pub fn interpreter_of<'l>(script: &File, line: &'l mut [u8; LONGEST_LINE]) -> Option<&'l [u8]> {
    let len = script.read_at(line, 0).ok()?;
    let words = line[..len].split(|&byte| byte == b'\n').next()?.strip_prefix(b"#!")?;
    words.split(|byte| byte.is_ascii_whitespace()).find(|word| !word.is_empty())
}

/// As [`obstacle`], of an open program that is no script. Safe in a signal handler.
pub fn obstacle_of(file: &File) -> Option<Obstacle> {
    let meta = file.metadata().ok()?;
    let is_others = |bit, owner, us| meta.mode() & bit != 0 && owner != us;
    let (user, group) = identity::user_and_group();
    if is_others(libc::S_ISUID, meta.uid(), user) || is_others(libc::S_ISGID, meta.gid(), group) {
        return Some(Obstacle::SetId);
    }
    // Root has all of them anyway.
    if user != 0 && identity::has_capabilities(file) {
        return Some(Obstacle::Capabilities);
    }
    obstacle_of_image(file)
}

/// What the file itself says. Offsets are those of elf(5).
fn obstacle_of_image(file: &File) -> Option<Obstacle> {
    const HEADER: usize = 64;
    const SEGMENT: usize = 56;
    const MOST_SEGMENTS: usize = 32;
    const PT_INTERP: u32 = 3;
    let mut header = [0; HEADER];
    let len = file.read_at(&mut header, 0).ok()?;
    header.strip_prefix(b"\x7fELF")?;
    let (is_64_bit, is_little_endian) = (header[4] == 2, header[5] == 1);
    if !is_64_bit {
        return Some(Obstacle::OtherClass);
    }
    if !is_little_endian || u16::from_le_bytes([header[18], header[19]]) != MACHINE {
        return Some(Obstacle::OtherMachine);
    }
    let long = |bytes: &[u8], at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let table = long(&header[..len], 32)?;
    let segment_len = usize::from(u16::from_le_bytes([header[54], header[55]]));
    if segment_len != SEGMENT {
        return None;
    }
    let count = usize::from(u16::from_le_bytes([header[56], header[57]]));
    let mut segments = [0; MOST_SEGMENTS * SEGMENT];
    let segments = &mut segments[..count.min(MOST_SEGMENTS) * SEGMENT];
    file.read_exact_at(segments, table).ok()?;
    let is_loader = |segment: &&[u8]| segment[..4] == PT_INTERP.to_le_bytes();
    let Some(loader) = segments.chunks(SEGMENT).find(is_loader) else {
        return (count <= MOST_SEGMENTS).then_some(Obstacle::Static);
    };
    let mut name = [0; 256];
    let room = name.len().min(long(loader, 32)? as usize);
    let len = file.read_at(&mut name[..room], long(loader, 8)?).ok()?;
    let name = name[..len].rsplit(|&byte| byte == b'/').next()?;
    (!GLIBC_LOADERS.iter().any(|known| name.starts_with(known))).then_some(Obstacle::OtherLoader)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_dynamic_program_has_no_obstacle_and_the_loader_itself_is_static() {
        let program = std::env::current_exe().unwrap();
        assert_eq!(obstacle(&program), None);
        assert_eq!(obstacle(Path::new("/no such file")), None);
        // Any shared object without PT_INTERP will do: the test's own file, with that entry's type overwritten.
        let mut bytes = std::fs::read(&program).unwrap();
        let table = u64::from_le_bytes(bytes[32..40].try_into().unwrap()) as usize;
        let count = u16::from_le_bytes(bytes[56..58].try_into().unwrap()) as usize;
        for entry in (0..count).map(|i| table + 56 * i) {
            if bytes[entry..entry + 4] == 3u32.to_le_bytes() {
                bytes[entry..entry + 4].copy_from_slice(&0u32.to_le_bytes());
            }
        }
        let copy = std::env::temp_dir().join(format!("lapwing-static-{}", std::process::id()));
        std::fs::write(&copy, &bytes).unwrap();
        assert_eq!(obstacle(&copy), Some(Obstacle::Static));

        let script = copy.with_extension("script");
        std::fs::write(&script, format!("#! {}\n", copy.display())).unwrap();
        assert_eq!(obstacle(&script), Some(Obstacle::Static), "a script is as its interpreter");

        let mut other = std::fs::read(&program).unwrap();
        let name = other.windows(8).position(|name| name == b"ld-linux").unwrap();
        other[name..name + 8].copy_from_slice(b"ld-musl-");
        std::fs::write(&copy, &other).unwrap();
        assert_eq!(obstacle(&copy), Some(Obstacle::OtherLoader));

        bytes[18] = 8;
        std::fs::write(&copy, &bytes).unwrap();
        assert_eq!(obstacle(&copy), Some(Obstacle::OtherMachine), "a big MIPS");
        bytes[4] = 1;
        std::fs::write(&copy, &bytes).unwrap();
        assert_eq!(obstacle(&copy), Some(Obstacle::OtherClass));

        std::fs::write(&copy, std::fs::read(&program).unwrap()).unwrap();
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o4755)).unwrap();
        assert_eq!(obstacle(&copy), None, "it runs as who runs it");
        // Only root can give a file away.
        if std::os::unix::fs::chown(&copy, Some(4242), None).is_ok() {
            std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o4755)).unwrap();
            assert_eq!(obstacle(&copy), Some(Obstacle::SetId));
        }
        std::fs::remove_file(&copy).unwrap();
        std::fs::remove_file(&script).unwrap();
    }

    #[test]
    fn a_command_is_found_along_the_path_and_a_file_by_its_name() {
        let path = OsStr::new("/no such folder:/bin:/usr/bin");
        assert!(find(OsStr::new("sh"), path).is_some_and(|file| file.ends_with("sh")));
        assert_eq!(find(OsStr::new("no such command"), path), None);
        assert_eq!(find(OsStr::new("./a"), path), Some("./a".into()));
    }
}
