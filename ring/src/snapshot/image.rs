//! The bytes of a snapshot: a ring in the format of docs/FORMAT.md whose pages have the numbers 1, 2, .., and the file with
//! them.

#![forbid(unsafe_code)]

use super::{Owned, Page, Slice, Snapshot};
use crate::create::{NewFile, may_have};
use crate::error::Error;
use crate::file::os_error;
use crate::layout::{
    FORMAT_VERSION, HEADER_LEN, Header, LINE_HEADER_LEN, LineHeader, MAGIC, PAGE_HEADER_WORDS, RECORD_HEADER_LEN,
    SLOT_LEN, Slot,
};
use crate::map::identify_path;
use crate::unfinished::{Holder, Placed};
use crate::word::{AnnounceWord, EntryWord, HeadWord, LeftOut};
use bytemuck::Zeroable;
use core::mem::offset_of;
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

/// The least that a record takes, words: what a sequence without one takes in a snapshot.
const LEAST: u32 = (RECORD_HEADER_LEN as u32).div_ceil(8);
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

impl Snapshot {
    /// Bytes of the file.
    pub fn file_len(&self) -> u64 {
        self.identity.geometry.file_len(self.identity.lines)
    }

    /// Writes the file, with zeros where the ring is empty. `progress` hears how many bytes of how many were written.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write(&self, out: &mut impl Write, mut progress: impl FnMut(u64, u64)) -> io::Result<()> {
        let (mut at, end) = (0, self.file_len());
        let mut put = |offset: u64, bytes: &[u8]| {
            while at < offset {
                let some = usize::try_from(offset - at).map_or(ZEROS.len(), |some| some.min(ZEROS.len()));
                out.write_all(&ZEROS[..some])?;
                at += some as u64;
            }
            out.write_all(bytes)?;
            at += bytes.len() as u64;
            progress(at, end);
            Ok(())
        };
        self.parts(&mut put)?;
        put(end, &[])?;
        out.flush()
    }

    /// Makes the file at `path`, mode 0600: complete and on its disk before it has the name, or not at all. No space is
    /// taken where the ring is empty. `replace`: in place of another file, unless that is a ring which was not saved.
    /// `progress` hears how many bytes of how many were written.
    ///
    /// # Errors
    /// Something is at `path` already that may not be replaced, no space, no permission.
    pub fn save(&self, path: &Path, replace: bool, mut progress: impl FnMut(u64, u64)) -> Result<(), Error> {
        if let Ok(meta) = path.symlink_metadata() {
            let is_ring = identify_path(path).is_ok_and(|identity| !identity.copied);
            if !replace || !meta.is_file() || is_ring {
                return Err(Error::Exists { path: path.to_owned() });
            }
        }
        may_have(path, self.file_len())?;
        let new = NewFile::open(path)?;
        let failed = |call| move |error: io::Error| os_error(path, call, error);
        new.file.set_permissions(Permissions::from_mode(0o600)).map_err(failed("set the mode"))?;
        let written = self.parts(|offset, bytes| {
            progress(offset, self.file_len());
            new.file.write_all_at(bytes, offset)
        });
        let written = written.and_then(|()| new.file.set_len(self.file_len())).and_then(|()| new.file.sync_all());
        written.map_err(failed("write"))?;
        if replace { new.replace(path) } else { new.link(path) }
    }

    /// Hands out what is not zero, in the order of the offsets.
    fn parts(&self, mut each: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let geometry = self.identity.geometry;
        let mut put = |at: u64, words: &[u64]| each(at, bytemuck::cast_slice(words));
        put(0, &self.header())?;
        put(HEADER_LEN as u64, &self.table())?;
        // The last page lies in front of the others where the ring is full.
        let mut order: Vec<(usize, u64)> =
            (1..=self.pages.len() as u64).map(|number| (geometry.physical(number), number)).collect();
        order.sort_unstable();
        for (physical, number) in order {
            let at = geometry.pages_offset() + physical as u64 * geometry.page_size();
            put(at, &self.pages[number as usize - 1].image(number, geometry.index_len()))?;
        }
        let mut lines: Vec<&Placed> = self.lines.iter().collect();
        lines.sort_unstable_by_key(|placed| placed.place);
        for placed in &lines {
            put(geometry.pages_end() + (placed.place * LINE_HEADER_LEN) as u64, &line_header(placed))?;
        }
        let texts = geometry.line_texts_offset(self.identity.lines);
        for placed in lines {
            let at = texts + (placed.place * geometry.line_len()) as u64;
            let mut text = placed.left.text.clone();
            text.resize(text.len().next_multiple_of(8), 0);
            let (words, _) = text.as_chunks();
            put(at, &words.iter().map(|&word| u64::from_le_bytes(word)).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    fn header(&self) -> Vec<u64> {
        let Self { identity, .. } = self;
        let geometry = identity.geometry;
        let mut words = vec![0; HEADER_LEN / 8];
        let mut set = |offset: usize, values: &[u64]| words[offset / 8..][..values.len()].copy_from_slice(values);
        set(offset_of!(Header, magic), &[MAGIC, FORMAT_VERSION, HEADER_LEN as u64]);
        set(offset_of!(Header, page_size), &[geometry.page_size(), geometry.page_count().into()]);
        set(
            offset_of!(Header, slot_count),
            &[geometry.slot_count().into(), SLOT_LEN as u64, geometry.index_len().into()],
        );
        set(offset_of!(Header, ring_id), &identity.ring_id);
        set(offset_of!(Header, boot_id), &identity.boot_id);
        set(offset_of!(Header, clock_kind), &[identity.clock.kind() as u64, identity.clock.ns_per_tick()]);
        set(offset_of!(Header, created), &[identity.created_ns]);
        // No file has these, so also those who do not know of snapshots take it for a copy.
        set(offset_of!(Header, file), &[u64::MAX; 2]);
        set(offset_of!(Header, line_count), &[identity.lines.into()]);
        set(offset_of!(Header, saved), &[self.saved_ns]);
        set(offset_of!(Header, refused), &self.refused);
        set(offset_of!(Header, slots_high), &[self.slots_high]);
        set(offset_of!(Header, namespaces), &self.namespaces);
        set(offset_of!(Header, head), &[bytemuck::cast(self.head())]);
        words
    }

    fn head(&self) -> HeadWord {
        let open = HeadWord::open(self.pages.len() as u64);
        let Some(last) = self.pages.last() else { return open };
        last.records.iter().fold(open, |head, record| head.with_record(last.size(record)))
    }

    /// The writer slots.
    fn table(&self) -> Vec<u64> {
        const WORDS: usize = SLOT_LEN / 8;
        let mut words = vec![0; self.slots_high as usize * WORDS];
        for Owned { slot, owner, announce, evidence, words: known } in &self.slots {
            let at = &mut words[slot * WORDS..][..WORDS];
            at[offset_of!(Slot, owner) / 8] = bytemuck::cast(*owner);
            // Of a page that is not here: one that never was.
            let page = self.pages.iter().position(|page| announce.is_page(page.epoch)).map_or(0, |i| i as u64 + 1);
            let announce = if announce.is_idle() { *announce } else { AnnounceWord::zeroed().enter(page) };
            at[offset_of!(Slot, announce) / 8] = bytemuck::cast(announce);
            at[offset_of!(Slot, records) / 8..][..known.len()].copy_from_slice(known);
            at[offset_of!(Slot, evidence) / 8] = *evidence as u64;
        }
        words
    }
}

impl Page {
    /// Its words up to the last that is not zero, as page `number`.
    fn image(&self, number: u64, index_len: u32) -> Vec<u64> {
        let [mono, real] = self.clock;
        let data = PAGE_HEADER_WORDS + index_len as usize;
        let mut words = vec![number, self.base, mono, real];
        words.resize(data, 0);
        for (i, (record, at)) in self.records.iter().zip(self.places()).enumerate() {
            words[PAGE_HEADER_WORDS + i] = match record {
                Slice::Record(from) => {
                    words.resize(data + at as usize, 0);
                    words.extend_from_slice(self.record(*from));
                    EntryWord::new(number, at).to_bits()
                }
                // Settled, before a snapshot is handed out.
                Slice::InFlight => LeftOut::Stalled as u64,
                Slice::LeftOut(why) => *why as u64,
            };
        }
        words
    }

    /// Where in the data region each of its sequences begins. One without a record has the place of the smallest.
    fn places(&self) -> impl Iterator<Item = u32> + use<'_> {
        self.records.iter().scan(0, |next, record| {
            let len = self.size(record);
            *next += len;
            Some(*next - len)
        })
    }

    fn size(&self, record: &Slice) -> u32 {
        match record {
            Slice::Record(from) => self.record(*from).len() as u32,
            _ => LEAST,
        }
    }

    /// Gives up what a page has no room for, which is so where records overlapped; was there any?
    pub(super) fn fit(&mut self, data_words: u32) -> bool {
        let behind = |records: usize| LEAST * (self.records.len() - records) as u32;
        let ends: Vec<u32> = self.places().zip(&self.records).map(|(at, record)| at + self.size(record)).collect();
        let Some(from) = (0..ends.len()).find(|&i| ends[i] + behind(i + 1) > data_words) else { return false };
        self.records[from..].fill(Slice::LeftOut(LeftOut::Lost));
        true
    }
}

fn line_header(placed: &Placed) -> Vec<u64> {
    let left = &placed.left;
    let holder = if left.alive { placed.holder() } else { Holder::GONE };
    let mut words = vec![0; LINE_HEADER_LEN / 8];
    let mut set = |offset: usize, values: &[u64]| words[offset / 8..][..values.len()].copy_from_slice(values);
    set(offset_of!(LineHeader, holder), &[holder.to_bits()]);
    set(offset_of!(LineHeader, who), &[u64::from(left.of.pid) | u64::from(left.of.tid) << 32]);
    let meta = u64::from(left.level.number()) << 32 | (left.source as u64) << 40 | left.text.len() as u64;
    set(offset_of!(LineHeader, meta), &[meta, left.ticks]);
    set(offset_of!(LineHeader, comm), &left.of.comm);
    set(offset_of!(LineHeader, uid), &[left.of.uid.into()]);
    words
}
