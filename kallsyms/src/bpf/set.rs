//! The BPF programs that are loaded now: a list of them all, and every change since, in whatever order they arrive.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{Change, Function, Programs};

/// How long a function that went is remembered, in nanoseconds of what changes are stamped with: by then every processor
/// has been read, and no older change of the same address can still arrive.
const MEMORY: u64 = 10_000_000_000;

/// The functions of all BPF programs, by address. What happened last at an address counts, however late it is heard of.
#[derive(Clone, Debug, Default)]
pub struct ProgramSet {
    /// By address, with the time of the loading.
    loaded: BTreeMap<u64, (u64, Function)>,
    /// When the function at this address went.
    gone: HashMap<u64, u64>,
    /// Time and address, as they arrived, of what is in `gone`, and of some that is no more.
    leaving: VecDeque<(u64, u64)>,
    newest: u64,
    asked: Option<u64>,
}

impl ProgramSet {
    /// No programs.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many functions there are.
    pub fn len(&self) -> usize {
        self.loaded.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.loaded.is_empty()
    }

    /// The functions by ascending address; no two overlap.
    pub fn iter(&self) -> impl Iterator<Item = &Function> {
        self.loaded.values().map(|(_, function)| function)
    }

    /// Takes a change in; true where the functions are not the same as before.
    pub fn apply(&mut self, change: &Change) -> bool {
        if change.loaded {
            self.add(change.at, &change.function)
        } else {
            self.remove(change.at, change.function.address)
        }
    }

    /// `function` was loaded, at the time `at`; whatever lies where it does was unloaded before. True where that changes
    /// anything; a function without a byte changes nothing.
    pub fn add(&mut self, at: u64, function: &Function) -> bool {
        let overlapping = self.overlapping(function);
        let newer = |address: &u64| self.loaded.get(address).is_some_and(|(loaded, _)| *loaded > at);
        if function.len == 0 || self.is_old(at, function.address) || overlapping.iter().any(newer) {
            return false;
        }
        for address in &overlapping {
            self.loaded.remove(address);
        }
        self.gone.remove(&function.address);
        self.pass(at);
        let was = self.loaded.insert(function.address, (at, function.clone()));
        !overlapping.is_empty() || was.is_none_or(|(_, was)| was != *function)
    }

    /// The function at `address` was unloaded, at the time `at`. True where there was one.
    pub fn remove(&mut self, at: u64, address: u64) -> bool {
        if self.is_old(at, address) {
            return false;
        }
        self.gone.insert(address, at);
        self.leaving.push_back((at, address));
        self.pass(at);
        self.loaded.remove(&address).is_some()
    }

    /// There are these programs, and no others, but for what is known to have happened since they were asked for. True
    /// where that changes anything.
    pub fn replace_all(&mut self, programs: &Programs) -> bool {
        if self.asked.is_some_and(|asked| programs.asked <= asked) {
            return false;
        }
        let before: Vec<_> = self.iter().cloned().collect();
        self.loaded.retain(|_, (at, _)| *at >= programs.asked);
        // The list may have what went at that very instant, and a change tells of it.
        let earlier = programs.asked.saturating_sub(1);
        for function in programs.functions() {
            self.add(earlier, function);
        }
        self.asked = Some(programs.asked);
        self.pass(programs.asked);
        !self.iter().eq(&before)
    }

    /// Whether something newer is known of the address, or of all.
    fn is_old(&self, at: u64, address: u64) -> bool {
        self.asked.is_some_and(|asked| at < asked)
            || self.gone.get(&address).is_some_and(|gone| *gone > at)
            || self.loaded.get(&address).is_some_and(|(loaded, _)| *loaded > at)
    }

    /// The addresses of the functions that share a byte with `function`, but for one that begins where it does.
    fn overlapping(&self, function: &Function) -> Vec<u64> {
        let end = |function: &Function| function.address.saturating_add(function.len);
        let (start, behind) = (function.address, end(function).max(function.address));
        // Those that there are do not overlap, so only the nearest below can reach that far.
        let below = self.loaded.range(..start).next_back().filter(|(_, (_, below))| end(below) > start);
        let inside = self.loaded.range(start..behind).filter(|(address, _)| **address != start);
        below.into_iter().chain(inside).map(|(address, _)| *address).collect()
    }

    /// Something happened at the time `at`: forgets what went long before.
    fn pass(&mut self, at: u64) {
        self.newest = self.newest.max(at);
        while let Some(&(left, address)) =
            self.leaving.front().filter(|(left, _)| left.saturating_add(MEMORY) < self.newest)
        {
            if self.gone.get(&address) == Some(&left) {
                self.gone.remove(&address);
            }
            self.leaving.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Change, Function, Program, Programs};
    use super::{MEMORY, ProgramSet};

    fn function(address: u64, len: u64) -> Function {
        Function { address, len, name: format!("bpf_prog_0123456789abcdef_{address:x}_{len}") }
    }

    fn addresses(set: &ProgramSet) -> Vec<u64> {
        set.iter().map(|function| function.address).collect()
    }

    /// What happened on a machine: every change in the order of time, no two functions on one byte at one time.
    #[derive(Clone, Debug, Default)]
    struct History {
        changes: Vec<Change>,
        loaded: Vec<Function>,
    }

    impl History {
        /// Each step toggles what is in its way: a function that overlaps goes, else the function comes.
        fn of(steps: &[(u64, u64)]) -> Self {
            let mut history = Self::default();
            for (address, len) in steps {
                let new = function(*address, *len);
                let reaches =
                    |a: &Function, b: &Function| a.address < b.address + b.len && b.address < a.address + a.len;
                match history.loaded.iter().position(|old| reaches(old, &new)) {
                    Some(old) => {
                        let function = history.loaded.remove(old);
                        history.happens(function, false);
                    }
                    None => {
                        history.loaded.push(new.clone());
                        history.happens(new, true);
                    }
                }
            }
            history.loaded.sort_by_key(|function| function.address);
            history
        }

        fn happens(&mut self, function: Function, loaded: bool) {
            let at = 1000 + 10 * self.changes.len() as u64;
            self.changes.push(Change { at, function, loaded });
        }

        /// The functions that were loaded before `time`.
        fn before(&self, time: u64) -> Vec<Function> {
            let mut there: Vec<Function> = Vec::new();
            for change in self.changes.iter().take_while(|change| change.at < time) {
                there.retain(|function| function.address != change.function.address);
                there.extend(change.loaded.then(|| change.function.clone()));
            }
            there
        }

        /// A list that was asked for at `asked`, and made step by step until `answered`.
        fn listed(&self, asked: u64, answered: u64) -> Programs {
            let (early, late) = (self.before(asked), self.before(answered));
            let half = |functions: Vec<Function>, odd| {
                functions.into_iter().filter(move |function| function.address / 16 % 2 == odd)
            };
            let functions = half(early, 0).chain(half(late, 1)).collect();
            Programs { asked, list: vec![Program { id: 1, functions }] }
        }
    }

    fn steps() -> impl Strategy<Value = Vec<(u64, u64)>> {
        prop::collection::vec((0u64..24, 1u64..=3).prop_map(|(slot, size)| (slot * 16, size * 16)), 0..80)
    }

    proptest! {
        #[test]
        fn changes_give_the_same_set_in_any_order(
            (steps, order) in steps().prop_flat_map(|steps| {
                let count = steps.len();
                (Just(steps), Just((0..count).collect::<Vec<_>>()).prop_shuffle())
            })
        ) {
            let history = History::of(&steps);
            let mut set = ProgramSet::new();
            for at in order {
                set.apply(&history.changes[at]);
                prop_assert!(set.iter().zip(set.iter().skip(1)).all(|(a, b)| a.address + a.len <= b.address));
            }
            prop_assert!(set.iter().eq(&history.loaded), "{set:?}\n{:?}", history.loaded);
        }

        #[test]
        fn a_list_makes_up_for_all_changes_before_it(
            (steps, order) in steps().prop_flat_map(|steps| {
                let count = steps.len() + 1;
                (Just(steps), Just((0..count).collect::<Vec<_>>()).prop_shuffle())
            }),
            asked in 995u64..1900,
            took in 0u64..200,
            lost: u64,
        ) {
            let history = History::of(&steps);
            let programs = history.listed(asked, asked + took);
            let mut set = ProgramSet::new();
            for at in order {
                match history.changes.get(at) {
                    Some(change) if change.at < asked && lost >> (at % 64) & 1 == 1 => {}
                    Some(change) => { set.apply(change); }
                    None => { set.replace_all(&programs); }
                }
            }
            prop_assert!(set.iter().eq(&history.loaded), "{set:?}\n{:?}", history.loaded);
        }

        #[test]
        fn true_is_answered_for_what_changes_something(steps in steps(), again in 0usize..80) {
            let history = History::of(&steps);
            let mut set = ProgramSet::new();
            let twice = history.changes.iter().chain(history.changes.get(again));
            for change in twice {
                let before = set.clone();
                let changed = set.apply(change);
                prop_assert_eq!(changed, !before.iter().eq(set.iter()));
            }
        }
    }

    #[test]
    fn a_late_word_of_an_old_function_removes_no_new_one() {
        let mut set = ProgramSet::new();
        assert!(set.add(30, &function(0x1000, 32)));
        assert!(!set.remove(20, 0x1000), "that was the one before");
        assert!(!set.add(10, &function(0x1010, 64)));
        assert_eq!(addresses(&set), [0x1000]);
        assert!(set.add(40, &function(0x0ff0, 64)), "whose going was lost");
        assert_eq!(addresses(&set), [0x0ff0]);
    }

    #[test]
    fn what_went_is_forgotten_in_time_and_takes_no_memory() {
        let mut set = ProgramSet::new();
        for round in 0..100_000u64 {
            let (at, address) = (round * (MEMORY / 1000), 0x1000 + round * 64);
            set.add(at, &function(address, 64));
            set.remove(at + 1, address);
        }
        assert!(set.is_empty());
        assert!(set.gone.len() <= 1002 && set.leaving.len() <= 1002, "{} {}", set.gone.len(), set.leaving.len());
    }

    #[test]
    fn an_older_list_is_no_news() {
        let list =
            |asked, address| Programs { asked, list: vec![Program { id: 1, functions: vec![function(address, 16)] }] };
        let mut set = ProgramSet::new();
        assert!(set.replace_all(&list(20, 0x2000)));
        assert!(!set.replace_all(&list(10, 0x1000)));
        assert!(!set.replace_all(&list(30, 0x2000)));
        assert_eq!(addresses(&set), [0x2000]);
        assert!(set.remove(31, 0x2000));
        assert!(!set.replace_all(&list(31, 0x2000)), "that is where it still was");
        assert!(set.add(35, &function(0x3000, 16)));
        assert!(set.replace_all(&Programs { asked: 40, list: vec![] }));
        assert!(set.is_empty());
    }
}
