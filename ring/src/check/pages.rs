//! HEAD and the pages' own words: which pages make up the ring, and where their sequences begin.

#![forbid(unsafe_code)]

use super::{Expected, Look, Tally, Words};
use crate::layout::{Geometry, Header};
use crate::word::{EntryWord, HeadWord};
use core::mem::offset_of;

pub(super) const HEAD: u64 = offset_of!(Header, head) as u64;
/// Words of a page's own that are looked at: epoch and base_seq.
const OWN: usize = 2;
/// How many damaged pages in a row leave no doubt which of their neighbours belong together.
const LOOK_BACK: usize = 4;
const MAX_EPOCH: u64 = u64::MAX >> 1;

/// A page as its own words have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PageWords {
    pub(super) epoch: u64,
    pub(super) base: u64,
}

/// Where page `epoch` lies in the file.
pub(super) fn offset_of_page(geometry: Geometry, epoch: u64) -> u64 {
    geometry.pages_offset() + geometry.physical(epoch) as u64 * geometry.page_size()
}

pub(super) fn index_offset(geometry: Geometry, epoch: u64) -> u64 {
    offset_of_page(geometry, epoch) + 8 * crate::layout::PAGE_HEADER_WORDS as u64
}

fn head(words: &Words<'_>) -> HeadWord {
    bytemuck::cast(words.word(HEAD).unwrap_or(0))
}

/// The number of HEAD's page, if HEAD is sound.
fn page_of(words: &Words<'_>, geometry: Geometry, head: HeadWord) -> Option<u64> {
    let epoch = words.word(offset_of_page(geometry, head.tag()))?;
    (head.is_page(epoch) && epoch <= MAX_EPOCH && head.step() < geometry.page_count()).then_some(epoch)
}

/// The greatest number that a page can have at this moment, if HEAD is sound.
pub(super) fn last_page(words: &Words<'_>, geometry: Geometry) -> Option<u64> {
    let head = head(words);
    page_of(words, geometry, head).map(|epoch| epoch + head.step() as u64)
}

/// Can `b` come behind `a` in one ring? Each page between them, and `a`, holds at most an index full of records.
fn follows(a: PageWords, b: PageWords, geometry: Geometry) -> bool {
    let most = (b.epoch - a.epoch).saturating_mul(geometry.index_len() as u64);
    (1..=most).contains(&b.base.wrapping_sub(a.base))
}

/// The longest run of pages that agree with each other, of pages in the order of their numbers.
fn longest_chain(pages: &[PageWords], geometry: Geometry) -> Vec<PageWords> {
    let mut best: Vec<(u32, usize)> = Vec::with_capacity(pages.len());
    for (i, &page) in pages.iter().enumerate() {
        let before = (i.saturating_sub(LOOK_BACK)..i).filter(|&j| follows(pages[j], page, geometry));
        let longest = before.max_by_key(|&j| best[j].0);
        best.push(longest.map_or((1, i), |j| (best[j].0 + 1, j)));
    }
    let Some(mut i) = (0..best.len()).max_by_key(|&i| best[i].0) else { return Vec::new() };
    let mut chain = vec![pages[i]];
    while best[i].1 != i {
        i = best[i].1;
        chain.push(pages[i]);
    }
    chain.reverse();
    chain
}

impl Look {
    pub(super) fn pages(&mut self, words: &Words<'_>, geometry: Geometry) {
        let count = geometry.page_count() as u64;
        let before = head(words);
        let opened = page_of(words, geometry, before);
        self.head = bytemuck::cast(before);
        let all: Vec<Option<PageWords>> = (0..count)
            .map(|physical| {
                let own = words.words(offset_of_page(geometry, physical), OWN)?;
                Some(PageWords { epoch: own[0], base: own[1] })
            })
            .collect();
        let now = last_page(words, geometry);
        let moved = head(words) != before;
        // What was opened meanwhile is no concern of HEAD as it was; what is out of the ring by now may have been caught
        // between its two words.
        let is_sound = |physical: usize, epoch: u64| {
            if !(1..=MAX_EPOCH).contains(&epoch) {
                return false;
            }
            let too_late = moved && opened.is_some_and(|opened| epoch > opened);
            let too_old = now.is_some_and(|now| epoch + count <= now);
            geometry.physical(epoch) == physical && !too_late && !too_old
        };
        let mut pages: Vec<PageWords> =
            all.iter().enumerate().filter_map(|(i, page)| page.filter(|page| is_sound(i, page.epoch))).collect();
        pages.sort_by_key(|page| page.epoch);
        let chain = longest_chain(&pages, geometry);
        let Some(&end) = chain.last() else {
            // A file that ends in front of its pages says nothing against HEAD.
            if all.iter().all(Option::is_none) {
                return;
            }
            let expected = Expected::Rule("a page of the ring, and there is none");
            return self.wrong(HEAD, None, "HEAD", bytemuck::cast(before), expected);
        };
        let cut_off = all[geometry.physical(before.tag())].is_none();
        let newest = self.newest(before, end, cut_off, &pages, geometry);
        let last = now.unwrap_or(0).max(newest.epoch + newest.step);
        let oldest = (newest.epoch + newest.step + 1).saturating_sub(count).max(1);
        let mut doubtful = self.strangers(words, geometry, &all, newest.epoch, last, oldest);
        let chain: Vec<PageWords> = chain.into_iter().filter(|page| page.epoch >= oldest).collect();
        let Some((first, end)) = chain.first().zip(chain.last()) else { return };
        let mut tally = Tally { overwritten: first.base, ..Tally::default() };
        let is_member = |epoch: u64| chain.binary_search_by_key(&epoch, |page| page.epoch).is_ok();
        for page in pages.iter().filter(|page| (oldest..=newest.epoch).contains(&page.epoch)) {
            if !is_member(page.epoch) {
                self.misplaced(geometry, *page, &chain);
                doubtful.push(page.epoch);
                let held = entries(words, geometry, page.epoch).map_or(0, |(count, _)| count);
                if page.epoch < first.epoch {
                    let held = held.min(tally.overwritten);
                    (tally.overwritten, tally.damaged) = (tally.overwritten - held, tally.damaged + held);
                } else if page.epoch > end.epoch {
                    tally.damaged += held;
                }
            }
        }
        doubtful.sort_unstable();
        for (i, &page) in chain.iter().enumerate() {
            let next = chain.get(i + 1);
            let is_newest = page.epoch == newest.epoch;
            let records = match next {
                Some(next) => {
                    let behind = doubtful.partition_point(|&epoch| epoch <= page.epoch);
                    let whole = doubtful.get(behind).is_none_or(|&epoch| epoch > next.epoch);
                    let count = next.base.wrapping_sub(page.base);
                    (whole && count <= geometry.index_len() as u64).then_some(count as u32)
                }
                None if is_newest => newest.count,
                None => None,
            };
            let next_free = if is_newest { newest.next_free } else { None };
            let held = self.records(words, geometry, page, records, next_free, &mut tally);
            if let Some(next) = next {
                tally.damaged += (next.base.wrapping_sub(page.base)).saturating_sub(held as u64);
            }
        }
        self.tally = Some(tally);
    }

    /// The open page, and what HEAD says of it as far as that can be true.
    fn newest(
        &mut self,
        head: HeadWord,
        end: PageWords,
        cut_off: bool,
        pages: &[PageWords],
        geometry: Geometry,
    ) -> Newest {
        let bits: u64 = bytemuck::cast(head);
        let unknown = Newest { epoch: end.epoch, step: 0, count: None, next_free: None };
        let page = pages.iter().rev().find(|page| head.is_page(page.epoch));
        let Some(page) = page.filter(|page| page.epoch + head.step() as u64 >= end.epoch) else {
            if !cut_off {
                let expected = Expected::Exactly(HeadWord::open(end.epoch).tag());
                self.wrong(HEAD, None, "the page in HEAD", head.tag(), expected);
            }
            return unknown;
        };
        let (index_len, data_words) = (geometry.index_len() as u64, geometry.data_words() as u64);
        let (count, low) = (head.count() as u64, bits & 0xffff);
        let mut newest = Newest { epoch: page.epoch, ..unknown };
        if count > index_len {
            self.wrong(HEAD, None, "the count in HEAD", count, Expected::AtMost(index_len));
        } else {
            newest.count = Some(head.count());
        }
        if !head.closed() {
            let least = count * crate::layout::record_words(0) as u64;
            if low > data_words || newest.count.is_some() && low < least || count == 0 && low != 0 {
                let most = if count == 0 { 0 } else { data_words };
                self.wrong(HEAD, None, "the next free word in HEAD", low, Expected::Between(least, most));
            } else {
                newest.next_free = Some(head.offset());
            }
        } else if low >= geometry.page_count() as u64 {
            let most = Expected::AtMost(geometry.page_count() as u64 - 1);
            self.wrong(HEAD, None, "the step in HEAD", low, most);
        } else {
            newest.step = low;
            if count == 0 {
                self.wrong(HEAD, None, "the count in HEAD", 0, Expected::AtLeast(1));
            }
        }
        newest
    }

    /// Names pages whose number is none that their place can have now, or that their own index contradicts. Gives the
    /// numbers they should have.
    fn strangers(
        &mut self,
        words: &Words<'_>,
        geometry: Geometry,
        all: &[Option<PageWords>],
        opened: u64,
        last: u64,
        oldest: u64,
    ) -> Vec<u64> {
        let mut should_be = Vec::new();
        for (physical, page) in all.iter().enumerate() {
            let Some(page) = page else { continue };
            let belongs = page.epoch == 0 || geometry.physical(page.epoch) == physical;
            if belongs && (oldest..=last).contains(&page.epoch) {
                continue;
            }
            // The greatest number of this place that was given out, unless it was stepped over.
            let due = opened - (opened.wrapping_sub(physical as u64) & (all.len() as u64 - 1)).min(opened);
            let Some((_, written)) = entries(words, geometry, physical as u64) else { continue };
            // A stepped-over page keeps its old number, and its old records.
            let later = written > page.epoch && written <= last;
            let wrong = !belongs || page.epoch > last || later || page.epoch == 0 && due != 0;
            let at = offset_of_page(geometry, physical as u64);
            // It may have been opened while we looked.
            if wrong && words.word(at) == Some(page.epoch) {
                let expected = if later { written } else { due };
                self.wrong(at, None, "the number of a page", page.epoch, Expected::Exactly(expected));
                should_be.push(expected);
            }
        }
        should_be
    }

    fn misplaced(&mut self, geometry: Geometry, page: PageWords, chain: &[PageWords]) {
        let index_len = geometry.index_len() as u64;
        let before = chain.iter().rev().find(|other| other.epoch < page.epoch);
        let after = chain.iter().find(|other| other.epoch > page.epoch);
        let least = before.map_or(0, |before| before.base.saturating_add(1));
        let most = match (before, after) {
            (_, Some(after)) => after.base.saturating_sub(1),
            (Some(before), None) => before.base.saturating_add((page.epoch - before.epoch).saturating_mul(index_len)),
            (None, None) => u64::MAX,
        };
        let at = offset_of_page(geometry, page.epoch) + 8;
        self.wrong(at, None, "the first sequence of a page", page.base, Expected::Between(least, most));
    }

    /// Looks again at what was not committed, now that it is known who is inside of which page.
    pub(super) fn settle(&mut self, words: &Words<'_>, geometry: Geometry) {
        let holes = std::mem::take(&mut self.holes);
        for (gap, epoch, index) in holes {
            for i in 0..gap.count {
                let entry = words.word(index_offset(geometry, epoch) + 8 * (index as u64 + i)).unwrap_or(0);
                let committed = EntryWord::from_bits(entry).offset_in(epoch).is_some();
                let gone = words.word(offset_of_page(geometry, epoch)) != Some(epoch);
                let Some(tally) = &mut self.tally else { return };
                if gone {
                    tally.uncommitted -= 1;
                    tally.overwritten = tally.overwritten.saturating_add(1);
                } else if committed {
                    tally.uncommitted -= 1;
                    tally.readable += 1;
                } else {
                    self.hole(gap.first.wrapping_add(i), epoch, index + i as u32);
                }
            }
        }
    }
}

/// What HEAD says, as far as it is sound.
struct Newest {
    epoch: u64,
    step: u64,
    count: Option<u32>,
    next_free: Option<u32>,
}

/// Of the page at the place of `epoch`: the greatest tag among its entries that its place can have, and how many have it.
fn entries(words: &Words<'_>, geometry: Geometry, epoch: u64) -> Option<(u64, u64)> {
    let index = words.words(index_offset(geometry, epoch), geometry.index_len() as usize)?;
    let physical = geometry.physical(epoch);
    let tags = index.iter().map(|&bits| EntryWord::from_bits(bits).tag());
    let tags: Vec<u64> = tags.filter(|&tag| tag != 0 && geometry.physical(tag) == physical).collect();
    let newest = tags.iter().copied().max().unwrap_or(0);
    Some((tags.iter().filter(|&&tag| tag == newest && tag != 0).count() as u64, newest))
}
