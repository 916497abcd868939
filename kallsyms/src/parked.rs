//! The symbols of some modules out of `/proc/kallsyms` without reading it whole: a descriptor that was read up to the end
//! of the kernel's own symbols and waits there, and reading that stops once it has what it wants.
//!
//! The kernel lists its own symbols first, always the same ones, and then those of modules, the newest first. It makes the
//! lines when they are read, and counts on: whoever stopped before the first line of a module gets, with the next read,
//! the modules as they are then. That is how seq_file works and no promise; so what comes is looked at, line by line, and
//! who does not get the modules that are wanted reads the file anew.
//!
//! A module that comes or goes during the reading shifts all that follows: lines are missing or come twice. The list of
//! modules before and after tells: [`ModuleList`].

#![forbid(unsafe_code)]

use crate::hidden::Rules;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Lines are shorter: 512 bytes of a symbol's name is the kernel's limit, 55 of a module's.
const LINE: usize = 1024;

/// More than any kernel has to say of all of its modules, in bytes.
const MOST: usize = 256 << 20;

/// Why a descriptor is of no use, or what was read from it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ParkError {
    /// The file could not be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// The kernel's own symbols end somewhere else than before.
    #[error("the kernel's own symbols are not as they were")]
    Moved,
    /// They are listed with addresses of zero.
    #[error("every address is hidden: {}", Rules::default().why().advice())]
    Hidden,
    /// What follows the kernel's own symbols is no line of a module.
    #[error("what follows the kernel's own symbols is no module's")]
    NoModule,
    /// More than any kernel has.
    #[error("more than any kernel has to say of its modules")]
    TooLarge,
}

/// What stands before the first module: the kernel's own symbols. It stays the same until the next boot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct KernelPart {
    len: u64,
    last_line: Vec<u8>,
}

/// Reads `kallsyms` from its beginning: the lines of the modules in `wanted`, and where the first module began. No part
/// where no module is listed, and so nothing to wait for: an end that was seen stays one for that descriptor.
pub(crate) fn read(kallsyms: impl Read, wanted: &[&str]) -> Result<(Option<KernelPart>, Taken), ParkError> {
    let mut lines = Lines::new(BufReader::with_capacity(1 << 16, kallsyms));
    let mut part = KernelPart { len: 0, last_line: Vec::new() };
    while let Some(line) = lines.next()? {
        if module_of(line).is_some() {
            let taken = take(lines, true, wanted)?;
            return Ok((Some(part).filter(|part| part.len > 0), taken));
        }
        part.len += line.len() as u64;
        part.last_line.clear();
        part.last_line.extend(line);
    }
    Ok((None, Taken { whole: true, ..Taken::default() }))
}

/// A descriptor that waits before the first module.
pub(crate) struct Parked<R> {
    file: R,
}

impl<R: Read> Parked<R> {
    /// Reads `kallsyms`, just opened, to where the modules begin, and not a byte further: what the kernel has made of a
    /// line it keeps.
    pub(crate) fn park(mut kallsyms: R, part: &KernelPart) -> Result<Self, ParkError> {
        let mut buffer = vec![0; 1 << 16];
        let mut left = part.len;
        let mut tail: Vec<u8> = Vec::new();
        while left > 0 {
            let ask = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let len = match kallsyms.read(&mut buffer[..ask]) {
                Ok(0) => return Err(ParkError::Moved),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            left -= len as u64;
            tail.extend(&buffer[..len]);
            tail.drain(..tail.len().saturating_sub(LINE));
        }
        if !tail.ends_with(&part.last_line) {
            let line = tail.trim_ascii_end().rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
            let address = line.split(|&byte| byte == b' ').next().unwrap_or_default();
            let hidden = !address.is_empty() && address.iter().all(|&digit| digit == b'0');
            return Err(if hidden { ParkError::Hidden } else { ParkError::Moved });
        }
        Ok(Self { file: kallsyms })
    }

    /// The lines of the modules in `wanted`, as far as the kernel has them now.
    ///
    /// # Errors
    ///
    /// Also where the first thing that comes is no module's.
    pub(crate) fn take(self, wanted: &[&str]) -> Result<Taken, ParkError> {
        take(Lines::new(BufReader::with_capacity(1 << 16, self.file)), false, wanted)
    }
}

/// What was read of the wanted modules.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Taken {
    /// Their lines, as the kernel wrote them, in its order, each module's together.
    pub(crate) text: Vec<u8>,
    /// Which were there, the newest first.
    pub(crate) found: Vec<String>,
    /// Lines that were read, of any module.
    pub(crate) lines: u64,
    /// Whether the file was read to its end.
    pub(crate) whole: bool,
}

/// Reads lines of modules, with the one that was read last `again`, until all that are `wanted` were there and ended. A module that shows up a second time is not it: ftrace lists symbols of init text once more, at the
/// end, under the name of the module they were of.
fn take<R: BufRead>(mut lines: Lines<R>, again: bool, wanted: &[&str]) -> Result<Taken, ParkError> {
    // True from when the module begins.
    let mut begun: HashMap<&[u8], bool> = wanted.iter().map(|name| (name.as_bytes(), false)).collect();
    let mut left = begun.len();
    let mut taken = Taken::default();
    let (mut current, mut keep) = (Vec::new(), false);
    lines.again = again;
    while let Some(line) = lines.next()? {
        let module = module_of(line).ok_or(ParkError::NoModule)?;
        taken.lines += 1;
        if module != current {
            if left == 0 {
                return Ok(taken);
            }
            current.clear();
            current.extend(module);
            keep = begun.get_mut(module).is_some_and(|begun| !std::mem::replace(begun, true));
            if keep {
                left -= 1;
                taken.found.push(String::from_utf8_lossy(module).into_owned());
            }
        }
        if keep {
            taken.text.extend(line);
            if taken.text.len() > MOST {
                return Err(ParkError::TooLarge);
            }
        }
    }
    taken.whole = true;
    Ok(taken)
}

/// What stands between the brackets at the end of a line.
fn module_of(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\n").unwrap_or(line).strip_suffix(b"]")?;
    let open = memchr::memrchr(b'[', line)?;
    let blank = matches!(line.get(open.checked_sub(1)?)?, b'\t' | b' ');
    Some(&line[open + 1..]).filter(|name| blank && !name.is_empty())
}

/// Lines of bounded length.
struct Lines<R> {
    from: R,
    line: Vec<u8>,
    /// The line that was handed out last is handed out once more.
    again: bool,
}

impl<R: BufRead> Lines<R> {
    fn new(from: R) -> Self {
        Self { from, line: Vec::new(), again: false }
    }

    /// The next line, with its line feed.
    fn next(&mut self) -> Result<Option<&[u8]>, ParkError> {
        if std::mem::take(&mut self.again) {
            return Ok(Some(&self.line));
        }
        self.line.clear();
        let len = self.from.by_ref().take(LINE as u64 + 1).read_until(b'\n', &mut self.line)?;
        match len {
            0 => Ok(None),
            1..=LINE => Ok(Some(&self.line)),
            _ => Err(ParkError::TooLarge),
        }
    }
}

/// Which modules the kernel has, how large each is and where, in the order in which `/proc/kallsyms` lists them: two that
/// are equal, read before and after, say that nothing came, went, or lost its init symbols between.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ModuleList(Vec<u8>);

impl ModuleList {
    /// Reads `/proc/modules`.
    pub(crate) fn read(modules: &Path) -> io::Result<Self> {
        let mut text = Vec::new();
        File::open(modules)?.take(MOST as u64).read_to_end(&mut text)?;
        let mut list = Vec::new();
        for line in text.split(|&byte| byte == b'\n') {
            // Name, size, then how many use it and which, and the state: those change without any symbol changing.
            let mut fields = line.split(|&byte| byte == b' ');
            for field in [fields.next(), fields.next(), fields.nth(3)].into_iter().flatten() {
                list.extend(field);
                list.push(b' ');
            }
            list.push(b'\n');
        }
        Ok(Self(list))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs::{self, File};
    use std::io::{self, Read, Seek};

    use super::{KernelPart, ModuleList, ParkError, Parked, Taken, read};
    use crate::captured;

    /// A file of `/proc` that makes its lines when they are read, as fs/seq_file.c and kernel/kallsyms.c do: not more than a
    /// page at a time, whole lines until the reader has what it asked for; what does not fit into the reader's buffer waits.
    struct Proc<'m> {
        kernel: &'m [String],
        modules: &'m RefCell<Vec<(String, Vec<String>)>>,
        at: usize,
        /// An end of the modules that was seen stays.
        ended: bool,
        made: Vec<u8>,
    }

    impl<'m> Proc<'m> {
        fn open(kernel: &'m [String], modules: &'m RefCell<Vec<(String, Vec<String>)>>) -> Self {
            Self { kernel, modules, at: 0, ended: false, made: Vec::new() }
        }

        fn line(&mut self, at: usize) -> Option<String> {
            if let Some(line) = self.kernel.get(at) {
                return Some(line.clone());
            }
            let modules = self.modules.borrow();
            let line = modules.iter().flat_map(|(_, lines)| lines).nth(at - self.kernel.len()).cloned();
            self.ended |= line.is_none();
            line.filter(|_| !self.ended)
        }
    }

    impl Read for Proc<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.made.is_empty() {
                while let Some(line) = self.line(self.at) {
                    if self.made.len() + line.len() > 4096 || self.made.len() >= buffer.len() {
                        break;
                    }
                    self.made.extend(line.bytes());
                    self.at += 1;
                }
            }
            let len = self.made.len().min(buffer.len());
            buffer[..len].copy_from_slice(&self.made[..len]);
            self.made.drain(..len);
            Ok(len)
        }
    }

    fn kernel() -> Vec<String> {
        (0..1000).map(|number| format!("{:016x} T function_{number}\n", 0xffffffff81000000u64 + number * 64)).collect()
    }

    fn module(name: &str, base: u64, lines: u64) -> (String, Vec<String>) {
        let line = |number| format!("{:016x} t {name}_{number}\t[{name}]\n", base + number * 16);
        (name.to_owned(), (0..lines).map(line).collect())
    }

    fn text(modules: &[&(String, Vec<String>)]) -> Vec<u8> {
        modules.iter().flat_map(|(_, lines)| lines).flat_map(|line| line.bytes()).collect()
    }

    fn part(kernel: &[String], modules: &RefCell<Vec<(String, Vec<String>)>>) -> KernelPart {
        read(Proc::open(kernel, modules), &[]).unwrap().0.unwrap()
    }

    #[test]
    fn a_parked_descriptor_gives_the_modules_that_came_later_and_stops() {
        let kernel = kernel();
        let old = [module("old", 0xffffffffc0000000, 500), module("older", 0xffffffffc0100000, 500)];
        let modules = RefCell::new(old.to_vec());
        let part = part(&kernel, &modules);
        assert_eq!(part.len, kernel.iter().map(|line| line.len() as u64).sum::<u64>());
        let parked = Parked::park(Proc::open(&kernel, &modules), &part).unwrap();
        let new = [module("newest", 0xffffffffc0300000, 300), module("new", 0xffffffffc0200000, 700)];
        modules.borrow_mut().splice(0..0, new.clone());
        let taken = parked.take(&["new", "newest"]).unwrap();
        assert_eq!(taken.text, text(&[&new[0], &new[1]]));
        assert_eq!(taken.found, ["newest", "new"]);
        assert_eq!((taken.lines, taken.whole), (1001, false), "one line of the next module tells that they are whole");
    }

    #[test]
    fn modules_that_are_not_wanted_are_passed_over() {
        let kernel = kernel();
        let all: Vec<_> = ["a", "b", "c", "d"].map(|name| module(name, 0xffffffffc0000000, 90)).into();
        let modules = RefCell::new(all.clone());
        let part = part(&kernel, &modules);
        let park = || Parked::park(Proc::open(&kernel, &modules), &part).unwrap();
        let taken = park().take(&["b", "d"]).unwrap();
        assert_eq!((taken.text, taken.whole), (text(&[&all[1], &all[3]]), true));
        let taken = park().take(&["b", "gone"]).unwrap();
        assert_eq!((&taken.found[..], taken.whole), (&["b".to_owned()][..], true));
        let (_, fresh) = read(Proc::open(&kernel, &modules), &["a"]).unwrap();
        assert_eq!((fresh.text, fresh.lines), (text(&[&all[0]]), 91));
    }

    #[test]
    fn an_end_that_was_seen_is_seen_again() {
        let kernel = kernel();
        let modules = RefCell::new(vec![module("first", 0xffffffffc0000000, 9)]);
        let part = part(&kernel, &modules);
        modules.borrow_mut().clear();
        assert_eq!(read(Proc::open(&kernel, &modules), &[]).unwrap().0, None);
        let parked = Parked::park(Proc::open(&kernel, &modules), &part).unwrap();
        modules.borrow_mut().push(module("next", 0xffffffffc0000000, 9));
        assert_eq!(parked.take(&["next"]).unwrap(), Taken { whole: true, ..Taken::default() });
    }

    #[test]
    fn another_kernel_part_is_noticed() {
        let kernel = kernel();
        let modules = RefCell::new(vec![module("m", 0xffffffffc0000000, 900)]);
        let part = part(&kernel, &modules);
        let mut other = kernel.clone();
        other.insert(500, "ffffffff81000000 T inserted_\n".into());
        let park = |kernel: &[String]| Parked::park(Proc::open(kernel, &modules), &part).err();
        assert!(matches!(park(&other), Some(ParkError::Moved)));
        let hidden: Vec<String> = kernel.iter().map(|line| format!("{:016}{}", 0, &line[16..])).collect();
        assert!(matches!(park(&hidden), Some(ParkError::Hidden)));
        assert!(matches!(park(&kernel[..900]), Some(ParkError::Moved)));
        *modules.borrow_mut() = Vec::new();
        assert!(matches!(park(&kernel[..999]), Some(ParkError::Moved)));
        assert!(park(&kernel).is_none());
        // More of the kernel where modules are expected.
        let mut longer = kernel.clone();
        longer.push("ffffffff8fffffff T more\n".into());
        let parked = Parked::park(Proc::open(&longer, &modules), &part).unwrap();
        assert!(matches!(parked.take(&["m"]), Err(ParkError::NoModule)));
    }

    #[test]
    fn a_second_block_of_a_module_is_not_the_module() {
        let kernel = kernel();
        let mut clone = module("b", 0xffffffffc0900000, 1);
        let all = vec![module("a", 0xffffffffc0000000, 5), module("b", 0xffffffffc0100000, 5), module("c", 1, 5)];
        let mut listed = all.clone();
        listed.push(std::mem::take(&mut clone));
        let modules = RefCell::new(listed);
        let (_, taken) = read(Proc::open(&kernel, &modules), &["b", "missing"]).unwrap();
        assert_eq!(taken.text, text(&[&all[1]]));
    }

    #[test]
    fn endless_and_malformed_contents_end() {
        assert!(matches!(read(io::repeat(b'a'), &["m"]), Err(ParkError::TooLarge)));
        let endless = || io::Cursor::new("1 t f\t[m]\n").chain(io::repeat(b'\n'));
        assert!(matches!(read(endless(), &["m"]), Err(ParkError::NoModule)));
        for bad in ["[m]\n", "1 t f\t[]\n", "1 t f\t[m\n", "1 t f[m]\n", "]\n", "\n"] {
            let (part, taken) = read(bad.as_bytes(), &["m", ""]).unwrap();
            assert_eq!((part, taken.found.len()), (None, 0), "{bad:?}");
        }
        let part = KernelPart { len: u64::MAX, last_line: Vec::new() };
        assert!(matches!(Parked::park(&b"1 T f\n"[..], &part), Err(ParkError::Moved)));
    }

    /// The kernel's lines and its lists are as real kernels wrote them.
    #[test]
    fn a_module_of_a_real_kernel_is_all_there() {
        for version in ["6.1", "6.12"] {
            let stage = captured::kernel(version).stage(3);
            let whole = fs::read_to_string(stage.kallsyms()).unwrap();
            let mut file = File::open(stage.kallsyms()).unwrap();
            let part = read(&file, &[]).unwrap().0.unwrap();
            assert_eq!(part.len as usize, whole[..whole.find("\t[").unwrap()].rfind('\n').unwrap() + 1);
            file.rewind().unwrap();
            let taken = Parked::park(file, &part).unwrap().take(&["dummy", "ext4"]).unwrap();
            let lines = |name: &str| whole.lines().filter(|line| line.ends_with(&format!("\t[{name}]"))).count();
            // The last line of dummy is ftrace's, of init text that is gone.
            assert_eq!(taken.text.iter().filter(|&&byte| byte == b'\n').count(), lines("dummy") - 1 + lines("ext4"));
            assert!(!taken.whole);
            let list = fs::read_to_string(stage.modules()).unwrap();
            let order: Vec<&str> = list.lines().map(|line| line.split(' ').next().unwrap()).collect();
            let place = |name: &str| order.iter().position(|module| *module == name).unwrap();
            assert_eq!(place("dummy") < place("ext4"), taken.found == ["dummy", "ext4"]);
        }
    }

    #[test]
    fn a_list_of_modules_changes_with_what_moves_symbols_and_with_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            fs::write(dir.path().join("modules"), text).unwrap();
            ModuleList::read(&dir.path().join("modules")).unwrap()
        };
        let [a, b] = ["loop 45056 0 - Live 0xffffffffc0306000", "fuse 9 2 cuse,x, Live 0xffffffffc0506000 (E)"];
        let list = read(&format!("{a}\n{b}\n"));
        assert_eq!(list, read(&format!("{a}\n{}\n", b.replace("2 cuse,x,", "0 -").replace("Live", "Unloading"))));
        for other in [
            format!("{b}\n{a}\n"),
            format!("{a}\n"),
            format!("{}\n{b}\n", a.replace("45056", "53248")),
            format!("{}\n{b}\n", a.replace("306000", "406000")),
        ] {
            assert_ne!(list, read(&other), "{other}");
        }
        assert!(ModuleList::read(&dir.path().join("none")).is_err());
    }
}
