//! Rings in files: open one and believe nothing it says before it is checked, map it.
#![allow(unsafe_code)]

use crate::clock::Clock;
use crate::copy::Body;
use crate::error::Error;
use crate::evidence::Verdict;
use crate::file::{born, is_in_memory, open_regular, open_to_use, os_error};
use crate::layout::{
    FORMAT_VERSION, Geometry, HEADER_LEN, Header, LineHeader, MAGIC, MAX_LINES, PAGE_HEADER_WORDS, SLOT_LEN, Slot,
};
use crate::liveness::Liveness;
use crate::lock::{LockFile, Taken};
use crate::memory::Memory;
use crate::private::{Alarm, PrivateCopy, Trouble};
use crate::process::effective_uid;
use crate::ring::{Look, Ring};
use crate::sleep::{Bell, waker};
use crate::sync::Atomic;
use crate::unfinished::Unfinished;
use crate::word::{EntryWord, HeadWord, OwnerWord};
use atomic::Ordering::Relaxed;
use std::fs::File;
use std::io::{self, Read};
use std::mem::offset_of;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// The kernel's id of this boot.
pub(crate) fn boot_id() -> io::Result<[u64; 2]> {
    // In one piece, as the kernel gives it: every process that is captured asks when it starts.
    let mut text = [0; 64];
    let len = File::open("/proc/sys/kernel/random/boot_id")?.read(&mut text)?;
    let digits: String = text[..len].iter().map(|&byte| byte as char).filter(char::is_ascii_hexdigit).collect();
    let number = u128::from_str_radix(&digits, 16).map_err(io::Error::other)?;
    Ok([(number >> 64) as u64, number as u64])
}

/// What a header says once, copied out and checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Names this ring among all rings.
    pub ring_id: [u64; 2],
    /// The boot it was made in.
    pub boot_id: [u64; 2],
    /// When it was made, nanoseconds of the Unix epoch.
    pub created_ns: u64,
    #[allow(missing_docs)]
    pub geometry: Geometry,
    #[allow(missing_docs)]
    pub clock: Clock,
    /// Unfinished lines that there is room for behind the pages.
    pub lines: u32,
    /// The file is a copy of the one that was made as a ring: it can be read, and nobody may write to it.
    pub copied: bool,
    /// It is for certain of this boot, whatever that is called: the file that was made as a ring, since no other was born at
    /// that nanosecond, and it would not have outlived its boot.
    of_this_boot: bool,
    /// When it was saved out of a ring ([`Snapshot`](crate::Snapshot)), nanoseconds of the Unix epoch. `None`: it was made as a
    /// ring. What was saved is a copy.
    pub saved_ns: Option<u64>,
}

impl Identity {
    /// Was it made before this host last started, or on another one? No when the kernel does not tell its boot id, nor of a
    /// ring in memory whose file has a time of birth: a container can have a boot id of its own.
    pub fn is_of_another_boot(&self) -> bool {
        !self.of_this_boot && boot_id().is_ok_and(|boot| boot != self.boot_id)
    }
}

/// Bytes of the header that say something once and for all.
const STATED: usize = std::mem::offset_of!(Header, saved) + 8;

/// Reads the header into private memory and checks it against the file's real length.
pub(crate) fn identify(file: &File, path: &Path, meta: &std::fs::Metadata) -> Result<Identity, Error> {
    let len = meta.len();
    let truncated = |needed| Error::Truncated { path: path.to_owned(), len, needed };
    let mut bytes = [[0; 8]; STATED / 8];
    if len < 8 {
        return Err(truncated(HEADER_LEN as u64));
    }
    let flat = bytes.as_flattened_mut();
    let prefix = usize::try_from(len).map_or(flat.len(), |len| flat.len().min(len));
    file.read_exact_at(&mut flat[..prefix], 0).map_err(|error| os_error(path, "read", error))?;
    let word = |offset: usize| u64::from_le_bytes(bytes[offset / 8]);
    if word(0) != MAGIC {
        return Err(Error::NotARing { path: path.to_owned(), found: word(0) });
    }
    if len < HEADER_LEN as u64 {
        return Err(truncated(HEADER_LEN as u64));
    }
    if word(8) != FORMAT_VERSION {
        return Err(Error::UnsupportedVersion { path: path.to_owned(), version: word(8), supported: FORMAT_VERSION });
    }
    let bad = |what, found| Err(Error::BadHeader { path: path.to_owned(), what, found });
    if word(16) != HEADER_LEN as u64 {
        return bad("the header's length", word(16));
    }
    if word(48) != SLOT_LEN as u64 {
        return bad("a writer slot's length", word(48));
    }
    if word(104) == 0 {
        return bad("the length of a tick", 0);
    }
    let geometry = Geometry::from_stored(word(24), word(32), word(40), word(56))
        .map_err(|source| Error::BadGeometry { path: path.to_owned(), source })?;
    let lines = match u32::try_from(word(136)) {
        Ok(lines @ 0..=MAX_LINES) => lines,
        _ => return bad("the number of unfinished lines", word(136)),
    };
    if geometry.file_len(lines) > len {
        return Err(truncated(geometry.file_len(lines)));
    }
    let clock = Clock::from_stored(word(96), word(104));
    let clock = clock.ok_or_else(|| Error::BadClock { path: path.to_owned(), kind: word(96) })?;
    let differs = |(stored, found): (u64, u64)| stored != 0 && found != 0 && stored != found;
    let born = born(meta);
    let saved_ns = Some(word(144)).filter(|&saved| saved != 0);
    let copied = saved_ns.is_some() || [word(120), word(128)].into_iter().zip(born).any(differs);
    Ok(Identity {
        ring_id: [word(64), word(72)],
        boot_id: [word(80), word(88)],
        created_ns: word(112),
        geometry,
        clock,
        lines,
        copied,
        of_this_boot: !copied && word(128) != 0 && word(128) == born[1] && is_in_memory(file),
        saved_ns,
    })
}

/// Is there a ring at `path`? Nothing is mapped.
///
/// # Errors
/// What is there instead.
pub fn identify_path(path: &Path) -> Result<Identity, Error> {
    let (file, meta) = open_regular(path, false)?;
    identify(&file, path, &meta)
}

/// How a reader gets at the words of a ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// The file is mapped. Whoever may write the file can cut it short, and touching the mapping then raises SIGBUS, unless
    /// [`guard_mappings`](crate::guard_mappings) was called.
    Mapped,
    /// What is looked at is copied out of the file before. A file that is cut short is an error, whatever is done to it
    /// meanwhile. Slower, and needs as much memory as is read of the ring.
    Copied,
}

/// An open ring: its words, and what is needed to trust them.
pub(crate) struct Mapping {
    /// Borrows from what is shared below and from `memory`; the lifetime is a lie that [`Mapping::ring`] takes back.
    ring: Ring<'static>,
    /// Borrows as `ring` does.
    lines: Unfinished<'static>,
    path: PathBuf,
    access: Access,
    locks: LockFile,
    alarm: Arc<Alarm>,
    copy: Option<Arc<PrivateCopy>>,
    /// Its place among the guarded mappings.
    guarded: Option<usize>,
    /// Of a reader: what it can sleep by, once that was looked for.
    bell: OnceLock<Option<Bell>>,
    #[allow(dead_code, reason = "owns what `ring` borrows")]
    judge: Arc<JudgeFn>,
    #[allow(dead_code, reason = "owns what `ring` borrows")]
    fetch: Option<Arc<FetchFn>>,
    #[allow(dead_code, reason = "owns the memory that `ring` borrows")]
    memory: Memory,
}

type JudgeFn = dyn Fn(&Header, usize, OwnerWord) -> Verdict + Send + Sync;
type FetchFn = dyn Fn(Look) + Send + Sync;

impl Mapping {
    /// Opens the ring at `path` for reading alone. Unless `access` says how, a ring of ours or of root is mapped, and one of
    /// somebody else is copied.
    pub(crate) fn open_to_read(path: &Path, access: Option<Access>) -> Result<(Self, Identity), Error> {
        let (file, meta) = open_to_use(path, false)?;
        let identity = identify(&file, path, &meta)?;
        let trusted = [0, effective_uid()].contains(&meta.uid());
        let access = access.unwrap_or(if trusted { Access::Mapped } else { Access::Copied });
        Ok((Self::new(file, path, &meta, &identity, access, false)?, identity))
    }

    /// Maps the ring at `path` for reading and writing.
    pub(crate) fn open_to_write(path: &Path) -> Result<(Self, Identity), Error> {
        let (file, meta) = open_to_use(path, true)?;
        let identity = identify(&file, path, &meta)?;
        if identity.saved_ns.is_some() {
            return Err(Error::Saved { path: path.to_owned() });
        }
        if identity.copied {
            return Err(Error::Copied { path: path.to_owned() });
        }
        if !identity.clock.is_here() {
            return Err(Error::BadClock { path: path.to_owned(), kind: identity.clock.kind() as u64 });
        }
        // Ticks, pids and start times of another boot mean nothing in this one.
        if identity.is_of_another_boot() {
            return Err(Error::OtherBoot { path: path.to_owned() });
        }
        Ok((Self::new(file, path, &meta, &identity, Access::Mapped, true)?, identity))
    }

    pub(crate) fn new(
        file: File,
        path: &Path,
        meta: &std::fs::Metadata,
        identity: &Identity,
        access: Access,
        write: bool,
    ) -> Result<Self, Error> {
        let geometry = identity.geometry;
        let len = geometry.file_len(identity.lines) as usize;
        let memory = match access {
            Access::Mapped => Memory::of_file(&file, len, write),
            Access::Copied => Memory::private(len),
        };
        let memory = memory.map_err(|error| os_error(path, "map", error))?;
        let alarm = Arc::new(Alarm::new());
        let copy = (access == Access::Copied).then(|| {
            // SAFETY: private memory of this length, looked at through the ring's atomics alone; it and the alarm go when
            // the `Mapping` goes, and the copy with them.
            let copy =
                unsafe { PrivateCopy::new(file, geometry, identity.lines, memory.as_mut_ptr(), Arc::as_ptr(&alarm)) };
            Arc::new(copy)
        });
        let fetch = copy.clone().map(|copy| Arc::new(move |part| copy.fetch(part)) as Arc<FetchFn>);
        let locks = LockFile::new(path, (meta.dev(), meta.ino()), write);
        // Who writes has asked before.
        let other_boot = !write && identity.is_of_another_boot();
        let liveness = Liveness { locks: Some(locks.clone()), other_boot, frees: write };
        let judge: Arc<JudgeFn> = Arc::new(move |header, slot, owner| liveness.judge(header, slot, owner));
        // SAFETY: `memory` has `geometry.file_len(..)` bytes from its start, page-aligned, and lives as long as the `Mapping`
        // that it is stored in; `Mapping::ring` gives the view out for no longer than that.
        let mut ring = unsafe { view(memory.as_mut_ptr(), geometry, identity.clock) };
        // SAFETY: stored beside the ring and never replaced, and what is in an Arc does not move.
        ring.judge = unsafe { &*Arc::as_ptr(&judge) };
        // SAFETY: as above.
        ring.fetch = fetch.as_ref().map(|fetch| unsafe { &*Arc::as_ptr(fetch) });
        ring.saved = identity.saved_ns.is_some();
        // SAFETY: the same mapping, which is as long as this many lines need.
        let lines = unsafe { view_lines(memory.as_mut_ptr(), geometry, identity.lines) };
        let guarded = match access {
            Access::Mapped => crate::guard::enter(memory.as_mut_ptr() as usize, len, &alarm),
            Access::Copied => None,
        };
        let bell = OnceLock::new();
        if access == Access::Copied || identity.copied || other_boot {
            // Nobody rings it, and the file is to stay as it is.
            let _ = bell.set(None);
        }
        Ok(Self { ring, lines, path: path.to_owned(), access, locks, alarm, copy, guarded, bell, judge, fetch, memory })
    }

    /// The ring in this mapping. Of a mapping made for reading, only loads may be used.
    #[inline(always)]
    pub(crate) fn ring(&self) -> &Ring<'_> {
        &self.ring
    }

    /// The unfinished lines behind the ring's pages; as with [`Mapping::ring`].
    #[inline(always)]
    pub(crate) fn lines(&self) -> &Unfinished<'_> {
        &self.lines
    }

    /// Takes the lock of a slot that is about to be claimed, where that tells the truth.
    pub(crate) fn lock(&self, slot: usize) -> Taken {
        self.locks.take(slot)
    }

    /// What a reader can sleep by, where it may write the file: looked for once. Not for who stores to this mapping.
    pub(crate) fn bell(&self) -> Option<&Bell> {
        let open = || Bell::open(&self.path, self.locks.identity(), Arc::clone(&self.alarm));
        self.bell.get_or_init(open).as_ref()
    }

    /// Wakes all who sleep by [`Mapping::bell`], here and elsewhere.
    pub(crate) fn ring_bell(&self) {
        if let Some(Some(bell)) = self.bell.get() {
            bell.ring();
        }
    }

    /// What went wrong with the file since it was opened.
    #[inline(always)]
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        self.alarm.trouble()
    }

    /// Chooses how payload is copied, and whether records get ticks.
    pub(crate) fn set_modes(&mut self, body: Body, ticking: bool) {
        (self.ring.body, self.ring.ticking) = (body, ticking);
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// HEAD as it is now, also behind the back of a reader that copies.
    pub(crate) fn head_now(&self) -> io::Result<HeadWord> {
        match &self.copy {
            Some(copy) => Ok(bytemuck::cast(copy.word(offset_of!(Header, head))?)),
            None => Ok(self.ring.header.head.load(Relaxed)),
        }
    }

    /// The index entry at `index` of the page of `epoch`, as [`Mapping::head_now`].
    pub(crate) fn entry_now(&self, epoch: u64, index: u32) -> io::Result<EntryWord> {
        match &self.copy {
            Some(copy) => copy.entry(epoch, index),
            None => Ok(self.ring.page(epoch).load_entry(index)),
        }
    }

    /// Is this still the file of that path?
    pub(crate) fn has_its_path(&self) -> io::Result<bool> {
        Ok(self.owner_at_its_path()?.is_some())
    }

    /// Is it, and does it belong to us?
    pub(crate) fn has_its_path_and_is_ours(&self) -> io::Result<bool> {
        Ok(self.owner_at_its_path()? == Some(effective_uid()))
    }

    /// Whose it is, if it is still the file of that path. One look: another file could come between two.
    fn owner_at_its_path(&self) -> io::Result<Option<u32>> {
        match self.path.symlink_metadata() {
            Ok(meta) => Ok(((meta.dev(), meta.ino()) == self.locks.identity()).then_some(meta.uid())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Is it the same file?
    pub(crate) fn is_file_of(&self, other: &Self) -> bool {
        self.locks.identity() == other.locks.identity()
    }

    pub(crate) fn access(&self) -> Access {
        self.access
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if let Some(place) = self.guarded {
            crate::guard::leave(place);
        }
    }
}

/// The room for unfinished lines in the `geometry.file_len(lines)` bytes from `base`.
///
/// # Safety
/// As [`view`].
unsafe fn view_lines<'m>(base: *mut u8, geometry: Geometry, lines: u32) -> Unfinished<'m> {
    if lines == 0 {
        return Unfinished { headers: &[], texts: &[] };
    }
    // SAFETY: within the file by the definition of its length.
    let headers_at = unsafe { base.add(geometry.pages_end() as usize) }.cast::<LineHeader>();
    // SAFETY: this many headers lie between the pages and the texts.
    let headers = unsafe { std::slice::from_raw_parts(headers_at, lines as usize) };
    // SAFETY: as above.
    let texts_at = unsafe { base.add(geometry.line_texts_offset(lines) as usize) }.cast::<Atomic<u64>>();
    // SAFETY: this many texts, each of whole words, end where the file ends.
    let texts = unsafe { std::slice::from_raw_parts(texts_at, lines as usize * geometry.line_len() / 8) };
    Unfinished { headers, texts }
}

/// The ring in the `geometry.pages_end()` bytes from `base`.
///
/// # Safety
/// `base` is aligned to 8 bytes and the memory stays mapped for `'m`. Where it is mapped read-only, nobody stores through
/// the ring. Other processes may change it: every word of it is an atomic or never looked at.
pub(crate) unsafe fn view<'m>(base: *mut u8, geometry: Geometry, clock: Clock) -> Ring<'m> {
    // SAFETY: the caller's: the header is the first 4096 bytes.
    let header = unsafe { &*base.cast::<Header>() };
    // SAFETY: within the file by the definition of `pages_offset`.
    let slots_at = unsafe { base.add(HEADER_LEN) }.cast::<Slot>();
    // SAFETY: `slot_count` slots lie between the header and the pages.
    let slots = unsafe { std::slice::from_raw_parts(slots_at, geometry.slot_count() as usize) };
    // SAFETY: the pages end where the file ends.
    let pages_at = unsafe { base.add(geometry.pages_offset() as usize) }.cast::<Atomic<u64>>();
    let words = geometry.page_words() * geometry.page_count() as usize;
    // SAFETY: `size` bytes of pages follow, every one a whole number of words.
    let pages = unsafe { std::slice::from_raw_parts(pages_at, words) };
    debug_assert!(PAGE_HEADER_WORDS < geometry.page_words());
    let judge = &|header: &Header, slot, owner| Liveness::WITHOUT_FILE.judge(header, slot, owner);
    Ring {
        header,
        slots,
        pages,
        geometry,
        clock,
        body: Body::BEST,
        ticking: true,
        judge,
        waker,
        fetch: None,
        saved: false,
    }
}
