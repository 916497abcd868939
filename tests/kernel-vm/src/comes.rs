//! Modules that come, go, and come back elsewhere.

#![forbid(unsafe_code)]

use std::time::Duration;

use lapwing_kallsyms::{Reason, Snapshot};

use crate::scene::{ANCHOR, Scene, milliseconds};
use crate::{modules, plain};

/// An emulated machine that others share is slow; what these catch is a symbol that comes with the next full load.
const ATTRIBUTABLE: Duration = Duration::from_secs(3);
const SYMBOLIZED: Duration = Duration::from_secs(10);

fn module_at(snapshot: &Snapshot, address: u64) -> Option<String> {
    snapshot.module_at(address).ok().map(|module| module.name().to_owned())
}

/// Every function of a module has its name as soon as it is loaded, and none when it is unloaded; who holds a table from
/// before sees neither.
pub fn comes_and_goes(scene: &Scene, name: &str) -> String {
    scene.modules.load_needs(name);
    scene.rest();
    let (before, state) = (scene.snapshot(), scene.monitor.state());
    scene.modules.load(name);
    let text = modules::text(name);
    let attributable = scene.wait("it is attributable", |now| module_at(now, text).as_deref() == Some(name));
    let symbolized = attributable
        + scene.wait("it has symbols", |now| now.module_named(name).is_some_and(|module| module.is_loaded()));

    let parked = scene.monitor.state().parked_reads > state.parked_reads;
    let symbols = plain::of_module(name);
    let with = scene.snapshot();
    for symbol in &symbols {
        assert_eq!(with.lookup(symbol.address).map(|found| found.address()), Ok(symbol.address), "{}", symbol.name);
        assert_eq!(before.lookup(symbol.address).err(), Some(Reason::NoModule), "{}, before", symbol.name);
    }
    let module = with.module_named(name).expect("it is there");
    assert_eq!(module.build_id().map(|id| id.to_string()), Some(modules::build_id(name)));

    scene.modules.unload(name);
    let gone = scene.wait("it is gone", |now| now.lookup(text).err() == Some(Reason::NoModule));
    assert!(with.generation() > before.generation() && scene.symbolizer.generation() > with.generation());
    assert_eq!(module_at(&with, text).as_deref(), Some(name), "in the table from before");
    assert!(attributable < ATTRIBUTABLE && symbolized < SYMBOLIZED, "after {attributable:?} and {symbolized:?}");
    let [attributable, symbolized, gone] = [attributable, symbolized, gone].map(milliseconds);
    let how = if parked { "the parked descriptor" } else { "a full read" };
    format!(
        "{} symbols; attributable after {attributable}, symbolized after {symbolized} by {how}, gone after {gone}",
        symbols.len()
    )
}

/// The first module of a kernel that has none.
pub fn first(scene: &Scene) -> String {
    scene.modules.load_needs(ANCHOR);
    scene.modules.load(ANCHOR);
    let text = modules::text(ANCHOR);
    let attributable = scene.wait("it is attributable", |now| module_at(now, text).as_deref() == Some(ANCHOR));
    scene.settle();
    let state = scene.monitor.state();
    assert!(state.uevents > 0 && state.full_reads > 0, "{state:?}");
    format!("{ANCHOR}, attributable after {}", milliseconds(attributable))
}

/// A module that comes back elsewhere has left its old address to whoever is there now.
pub fn moves(scene: &Scene) -> String {
    let (moved, filler) = ("loop", "dummy");
    scene.modules.load(moved);
    scene.settle();
    let from = plain::of_module(moved);
    scene.modules.unload(moved);
    // Smaller, so that the kernel puts it where the other was.
    scene.modules.load(filler);
    scene.modules.load(moved);
    let to = plain::of_module(moved);
    assert_ne!(modules::text(moved), from[0].address, "the kernel has put {moved} where it was");
    scene.wait("it is known where it is now", |now| {
        module_at(now, to[0].address).as_deref() == Some(moved) && now.modules().all(|module| module.is_loaded())
    });
    let now = scene.snapshot();
    let mut taken = 0;
    for (old, new) in from.iter().zip(&to) {
        assert_eq!(old.name, new.name, "the same module lists the same symbols");
        assert_eq!(now.lookup(new.address).map(|found| found.address()), Ok(new.address), "{}", new.name);
        // Where it was, and where it is, may overlap.
        if let Some(other) = module_at(&now, old.address).filter(|other| other != moved) {
            assert_eq!(other, filler, "at {:x}", old.address);
            taken += 1;
        }
    }
    scene.modules.unload(moved);
    scene.modules.unload(filler);
    scene.settle();
    format!(
        "{moved} from {:x} to {:x}, {filler} is where {taken} of {} symbols were",
        from[0].address,
        to[0].address,
        from.len()
    )
}
