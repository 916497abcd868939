//! The header's words that never change, and the writer table.

#![forbid(unsafe_code)]

use super::{Expected, Look, Words};
use crate::clock::Clock;
use crate::error::GeometryError;
use crate::layout::{Geometry, HEADER_LEN, Header, LINE_HEADER_LEN, LineHeader, MAX_LINES, NAMESPACES, SLOT_LEN, Slot};
use crate::unfinished::Holder;
use crate::word::{AnnounceWord, OwnerWord};
use core::mem::offset_of;

impl Look {
    /// Gives the geometry, if the header has a sound one.
    pub(super) fn header(&mut self, words: &Words<'_>) -> Option<Geometry> {
        let word = |offset: usize| words.word(offset as u64).unwrap_or(0);
        let mut exactly = |offset: usize, what, expected| {
            let found = word(offset);
            if found != expected {
                self.wrong(offset as u64, None, what, found, Expected::Exactly(expected));
            }
        };
        exactly(offset_of!(Header, header_len), "the header's length", HEADER_LEN as u64);
        exactly(offset_of!(Header, slot_len), "a writer slot's length", SLOT_LEN as u64);
        let (kind, ns_per_tick) = (word(offset_of!(Header, clock_kind)), word(offset_of!(Header, ns_per_tick)));
        if Clock::from_stored(kind, 1).is_none() {
            self.wrong(offset_of!(Header, clock_kind) as u64, None, "the clock", kind, Expected::AtMost(2));
        }
        if ns_per_tick == 0 {
            let at = offset_of!(Header, ns_per_tick) as u64;
            self.wrong(at, None, "the length of a tick", 0, Expected::AtLeast(1));
        }
        self.saved = word(offset_of!(Header, saved)) != 0;
        let geometry = self.geometry(word);
        if let Some(geometry) = geometry {
            let high = word(offset_of!(Header, slots_high));
            let slots = geometry.slot_count() as u64;
            if high > slots {
                let at = offset_of!(Header, slots_high) as u64;
                self.wrong(at, None, "the number of slots that were ever owned", high, Expected::AtMost(slots));
            }
            let lines = match u32::try_from(word(offset_of!(Header, line_count))) {
                Ok(lines @ 0..=MAX_LINES) => lines,
                _ => {
                    let at = offset_of!(Header, line_count);
                    let what = "the number of unfinished lines";
                    self.wrong(at as u64, None, what, word(at), Expected::AtMost(MAX_LINES.into()));
                    0
                }
            };
            if words.len < geometry.file_len(lines) {
                let expected = Expected::AtLeast(geometry.file_len(lines));
                self.wrong(words.len, None, "the end of the file", words.len, expected);
            }
        }
        let mut ended = false;
        for i in 0..NAMESPACES {
            let at = offset_of!(Header, namespaces) + 8 * i;
            if word(at) != 0 && ended {
                let expected = Expected::Rule("0 behind the first free word");
                self.wrong(at as u64, None, "a pair of namespaces", word(at), expected);
            }
            ended |= word(at) == 0;
        }
        geometry
    }

    /// Each number is tried among others that are right, so that each is named that is wrong.
    fn geometry(&mut self, word: impl Fn(usize) -> u64) -> Option<Geometry> {
        let at = [
            offset_of!(Header, page_size),
            offset_of!(Header, page_count),
            offset_of!(Header, slot_count),
            offset_of!(Header, index_len),
        ];
        let [page_size, pages, slots, index_len] = at.map(&word);
        let tries = [
            Geometry::from_stored(page_size, 16, 64, page_size / 128),
            Geometry::from_stored(4096, pages, 64, 32),
            Geometry::from_stored(4096, 16, slots, 32),
        ];
        for error in tries.into_iter().filter_map(Result::err) {
            let (i, found, expected) = match error {
                GeometryError::PageSize { page_size, .. } => (0, page_size, "a power of two from 4096 to 65536"),
                GeometryError::PageCount { pages, .. } => (1, pages, "a power of two from 4 to 65536"),
                GeometryError::SlotCount { slots, .. } => (2, slots, "1 to 1024"),
                GeometryError::Size { .. } | GeometryError::IndexLen { .. } => continue,
            };
            let what = ["the page size", "the number of pages", "the number of writer slots"][i];
            self.wrong(at[i] as u64, None, what, found, Expected::Rule(expected));
        }
        let geometry = Geometry::from_stored(page_size, pages, slots, index_len);
        if let Err(GeometryError::IndexLen { index_len, expected }) = geometry {
            self.wrong(at[3] as u64, None, "the length of a page's index", index_len, Expected::Exactly(expected));
        }
        geometry.ok()
    }

    pub(super) fn lines(&mut self, words: &Words<'_>, geometry: Geometry) {
        let count = words.word(offset_of!(Header, line_count) as u64).unwrap_or(0);
        for i in 0..count.min(MAX_LINES.into()) {
            let at = geometry.pages_end() + i * LINE_HEADER_LEN as u64;
            let Some(line) = words.words(at, LINE_HEADER_LEN / 8) else { return };
            let (holder, meta) = (line[offset_of!(LineHeader, holder) / 8], line[offset_of!(LineHeader, meta) / 8]);
            // 1: left behind by somebody who could not append it.
            if holder > 1 && Holder::from_bits(holder).slot() >= geometry.slot_count() as usize {
                let expected = Expected::Rule("0, or a writer slot and its owner");
                self.wrong(at, None, "the holder of a line", holder, expected);
            }
            let (len, most) = (meta & u64::from(u32::MAX), geometry.line_len() as u64);
            if len > most {
                let at = at + offset_of!(LineHeader, meta) as u64;
                self.wrong(at, None, "the length of a line", len, Expected::AtMost(most));
            }
        }
    }

    pub(super) fn slots(&mut self, words: &Words<'_>, geometry: Geometry) {
        let high = words.word(offset_of!(Header, slots_high) as u64).unwrap_or(0);
        for i in 0..geometry.slot_count() as u64 {
            let at = HEADER_LEN as u64 + i * SLOT_LEN as u64;
            let Some(slot) = words.words(at, SLOT_LEN / 8) else { return };
            let word = |offset: usize| slot[offset / 8];
            if i >= high {
                if let Some(used) = slot.iter().position(|&word| word != 0) {
                    let expected = Expected::Rule("0 in a slot that was never owned");
                    self.wrong(at + 8 * used as u64, None, "a word of a writer slot", slot[used], expected);
                }
                continue;
            }
            let bits = word(offset_of!(Slot, owner));
            let owner: OwnerWord = bytemuck::cast(bits);
            if !owner.is_free() {
                let index = owner.namespace() as usize;
                let entered = |i: usize| words.word((offset_of!(Header, namespaces) + 8 * i) as u64) != Some(0);
                let known = index == OwnerWord::UNKNOWN_NAMESPACE as usize || index < NAMESPACES && entered(index);
                if owner.pid() == 0 || !known {
                    let expected = Expected::Rule("0, or a pid and a pair of namespaces in the header");
                    self.wrong(at + offset_of!(Slot, owner) as u64, None, "the owner of a writer slot", bits, expected);
                }
                let uid = word(offset_of!(Slot, uid));
                if uid > u32::MAX as u64 {
                    let expected = Expected::AtMost(u32::MAX as u64);
                    self.wrong(at + offset_of!(Slot, uid) as u64, None, "the uid of a writer", uid, expected);
                }
            }
            let bits = word(offset_of!(Slot, announce));
            let announced: AnnounceWord = bytemuck::cast(bits);
            if announced.is_idle() && !announced.is_blank() {
                let expected = Expected::Rule("a counter alone while it is idle");
                self.wrong(at + offset_of!(Slot, announce) as u64, None, "an announcement", bits, expected);
            }
            if !announced.is_idle() && !owner.is_free() {
                self.inside.push((i as usize, owner, announced));
            }
            // HEAD was there before anybody could announce its page, so it is read behind the announcement.
            if let Some(last) = super::pages::last_page(words, geometry)
                && announced.pages_before(last).is_none()
                && !announced.is_idle()
                && !announced.is_page(last)
            {
                let expected = Expected::Rule("a page that exists");
                self.wrong(at + offset_of!(Slot, announce) as u64, None, "an announcement", bits, expected);
            }
        }
    }
}
