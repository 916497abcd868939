//! Bytes as the contents of /sys/module and /sys/kernel/notes: facts in order, and a table that is made with them.
//!
//! Parts of a kind, a length and so many bytes: the next module, an attribute of it, a section.

#![no_main]

use lapwing_fuzz::tables::{Place, ask};
use lapwing_kallsyms::sysfs::{ModuleFacts, read_all, read_changed, read_module};
use lapwing_kallsyms::{BuildId, Sources, Symbolizer};
use libfuzzer_sys::fuzz_target;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// Symbols of modules that an input can name, up to the last address there is.
const KALLSYMS: &str = "ffffffff81000000 T _text\nffffffff81000010 T f\nffffffff81002000 T _etext\n\
    ffffffffc0000000 t a\t[m]\nffffffffc0000100 t b\t[m]\nffffffffc0003000 t c\t[m]\n\
    ffffffffc0001000 t d\t[n]\n1 t e\t[q]\nffffffffffffffff t g\t[o]\nfffffffffffff000 t h\t[o]\n";

fn named(bytes: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(bytes).ok()?;
    (!name.is_empty() && name.len() < 200 && name != "." && name != ".." && !name.contains(['/', '\0'])).then_some(name)
}

/// Makes the tree.
fn make(root: &Path, mut input: &[u8]) {
    fs::create_dir(root).expect("room in /dev/shm");
    let mut module = root.join("m");
    while let Some((&[kind, len], rest)) = input.split_first_chunk() {
        let (part, rest) = rest.split_at(rest.len().min(len.into()));
        input = rest;
        // What is in the way, or full, is another input's business.
        let write = |below: &str, content: &[u8]| {
            let path = module.join(below);
            let _ = path.parent().map(fs::create_dir_all);
            let _ = fs::write(path, content);
        };
        match kind % 8 {
            0 => module = root.join(named(part).unwrap_or("n")),
            1 => write("initstate", part),
            2 => write("initstate", b"live\n"),
            3 => write("coresize", part),
            4 => write("notes/.note.gnu.build-id", part),
            5 => write("sections/.text", part),
            _ => {
                let cut = part.iter().position(|&byte| byte == 0).unwrap_or(part.len());
                let (name, content) = part.split_at(cut);
                if let Some(name) = named(name) {
                    write(&format!("sections/{name}"), content.get(1..).unwrap_or(b"0xffffffffc0002000\n"));
                }
            }
        }
    }
}

fn plausible(facts: &ModuleFacts) {
    let Some(sections) = &facts.sections else { return };
    let areas = sections.areas();
    assert!(!areas.is_empty() && facts.identity.text == Some(areas[0].start));
    for area in &areas {
        assert!(area.start <= area.last && area.bound.is_none_or(|bound| bound > area.last));
    }
    assert!(areas.windows(2).all(|two| two[0].bound.is_some_and(|bound| bound <= two[1].start)));
}

fuzz_target!(|input: &[u8]| {
    static PLACE: OnceLock<Place> = OnceLock::new();
    let place = PLACE.get_or_init(|| {
        let place = Place::new("sysfs");
        fs::write(place.folder.join("kallsyms"), KALLSYMS).expect("room in /dev/shm");
        place
    });
    if let Some(id) = BuildId::in_notes(input) {
        assert!(input.windows(id.as_bytes().len()).any(|part| part == id.as_bytes()));
    }
    let (root, notes) = (place.folder.join("module"), place.folder.join("notes"));
    let _ = fs::remove_dir_all(&root);
    fs::write(&notes, input).expect("room in /dev/shm");
    make(&root, input);

    let all = read_all(&root).expect("a folder");
    assert!(all.modules.is_sorted_by(|one, next| one.name < next.name));
    for facts in &all.modules {
        plausible(facts);
        assert_eq!(read_module(&root, &facts.name).expect("as before").as_ref(), Some(facts));
    }
    let again = read_changed(&root, &all.modules).expect("a folder");
    assert_eq!((again.modules, again.skipped.len()), (all.modules, all.skipped.len()));

    let sources = Sources { kallsyms: place.folder.join("kallsyms"), modules: Some(root), notes: Some(notes) };
    let symbolizer = Symbolizer::load_from(sources).expect("lines as the kernel prints them");
    ask(&symbolizer.snapshot());
    assert!(!symbolizer.reload().expect("as before"), "nothing has changed");
});
