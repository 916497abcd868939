//! Does docs/PROTOCOL.md say what the code does? Every ordering label of the code stands in its table, with the same order
//! and the model that needs it, and the other way round.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The files of ring/src and the folders in it.
fn sources() -> Vec<PathBuf> {
    let mut found = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut i = 0;
    while i < found.len() {
        if found[i].is_dir() {
            let folder = found.swap_remove(i);
            found.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            i += 1;
        }
    }
    found
}

/// The models and what they play on, and where labels are made.
fn is_apart(name: &str) -> bool {
    ["model.rs", "stage.rs", "sync.rs"].contains(&name)
}

/// Each label in ring/src and the orders it is used with; the models themselves left out.
fn labels_in_code() -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in sources() {
        let name = path.file_name().unwrap().to_str().unwrap();
        if is_apart(name) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for (at, _) in text.match_indices("at(\"") {
            let rest = &text[at + 4..];
            let (label, rest) = rest.split_once('"').unwrap();
            let order = rest.trim_start_matches([',', ' ']).split(')').next().unwrap();
            assert!(["Acquire", "Release", "AcqRel", "SeqCst"].contains(&order), "{name}: {label} {order}");
            found.entry(label.to_owned()).or_default().insert(order.to_owned());
        }
    }
    found
}

/// The rows of the table of orderings: label, order, partners, model.
fn table() -> Vec<[String; 4]> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/PROTOCOL.md")).unwrap();
    let rows = text.lines().skip_while(|line| !line.starts_with("| label | order")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [label, order, partner, _, model] = cells[..] else { panic!("{row}") };
        [label.trim_matches('`'), order, partner, model].map(str::to_owned)
    })
    .collect()
}

#[test]
fn the_table_of_orderings_is_the_code() {
    let code = labels_in_code();
    let table = table();
    assert!(table.len() > 20, "the table was found");
    let documented: BTreeMap<String, BTreeSet<String>> =
        table.iter().map(|[label, order, ..]| (label.clone(), BTreeSet::from([order.clone()]))).collect();
    assert_eq!(documented.len(), table.len(), "a label stands twice");
    assert_eq!(code, documented);
    for [label, _, partners, _] in &table {
        for partner in partners.split(", ").filter(|&partner| partner != "itself") {
            assert!(code.contains_key(partner.trim_matches('`')), "{label}: no such partner: {partner}");
        }
    }
}

#[test]
fn the_model_of_each_label_is_the_one_that_is_run() {
    let models = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/model.rs")).unwrap();
    let (_, needed) = models.split_once("const NEEDED").unwrap();
    let (needed, _) = needed.split_once("];").unwrap();
    let words: Vec<&str> = needed.split('"').skip(1).step_by(2).collect();
    let run: BTreeSet<(String, String)> =
        words.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect();
    let (argued, modelled): (Vec<_>, Vec<_>) =
        table().into_iter().partition(|[_, _, _, model]| model == "(argument below)");
    let documented = modelled.into_iter().map(|[label, _, _, model]| (label, model)).collect::<BTreeSet<_>>();
    assert_eq!(run, documented);
    let argued: Vec<String> = argued.into_iter().map(|[label, ..]| label).collect();
    let expected = [
        "advance:decide",
        "advance:pin",
        "line:free",
        "line:text",
        "fetch:index",
        "fetch:records",
        "guard:enter",
        "guard:find",
    ];
    assert_eq!(argued, expected, "what no model can break has its argument in the text");
}

#[test]
fn no_ordering_stronger_than_relaxed_goes_without_a_label() {
    for path in sources() {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if is_apart(&name) {
            continue;
        }
        for (i, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            let code = line.split("//").next().unwrap();
            // A compiler fence orders a thread against its own signal handlers, not against others.
            if code.trim_start().starts_with("use ") || code.contains("compiler_fence(") {
                continue;
            }
            let mut words = code.split(|c: char| !c.is_alphanumeric());
            let bare = words.any(|word| ["Acquire", "Release", "AcqRel", "SeqCst"].contains(&word));
            assert!(!bare || code.contains("at(\""), "{name}:{}: {line}", i + 1);
        }
    }
}
