//! Where the text of modules lies, as far as it can be told.

#![forbid(unsafe_code)]

use super::Draft;
use crate::block::Block;
use crate::sysfs::{ModuleFacts, TextArea};

const PAGE: u64 = 4096;
/// No function is longer: symbols further apart lie in different pieces of memory.
const APART: u64 = 2 << 20;

/// The next page from here.
pub(super) fn page_up(address: u64) -> u64 {
    address.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX)
}

/// The areas of a module's text and where each ends at the latest.
pub(super) fn areas(facts: &ModuleFacts) -> Vec<(TextArea, u64)> {
    let areas = facts.sections.as_ref().map(|sections| sections.areas()).unwrap_or_default();
    let size = match facts.core_size {
        0 => APART,
        size => size,
    };
    areas
        .into_iter()
        .map(|area| (area, area.bound.unwrap_or(u64::MAX).min(page_up(area.last.max(area.start.saturating_add(size))))))
        .collect()
}

/// Ranges for the modules of which only the symbols are known: from the first of symbols that follow each other with nothing
/// of another module between them, to the end of the last one's page.
pub(super) fn add_ranges(drafts: &mut [Draft<'_>]) {
    let unknown = |draft: &Draft<'_>| draft.ranges.is_empty() && !draft.block.is_empty();
    if !drafts.iter().any(unknown) {
        return;
    }
    let mut marks: Vec<(u64, usize, bool)> = Vec::new();
    for (number, draft) in drafts.iter().enumerate() {
        if unknown(draft) {
            let block = Block::new(&draft.block);
            let ids = 0..block.map_or(0, |block| block.stored() * 2);
            marks.extend(ids.filter_map(|id| Some((block?.address(id)?, number, true))));
        } else {
            marks.extend(draft.ranges.iter().map(|range| (range.start, number, false)));
        }
    }
    marks.sort_unstable();
    let mut at = 0;
    while let Some(&(start, number, symbol)) = marks.get(at) {
        let mut last = start;
        at += 1;
        if !symbol {
            continue;
        }
        while let Some(&(next, owner, _)) =
            marks.get(at).filter(|(next, owner, _)| *owner == number && next - last <= APART)
        {
            debug_assert_eq!(owner, number);
            last = next;
            at += 1;
        }
        let next = marks.get(at).map_or(u64::MAX, |&(next, ..)| next);
        drafts[number].ranges.push(start..page_up(last.saturating_add(1)).min(next));
    }
}
