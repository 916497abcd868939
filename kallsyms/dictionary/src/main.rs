//! Makes the dictionary that `lapwing-kallsyms` codes the names of symbols with, from the names of two kernels:
//!
//! ```text
//! cargo run --release -p lapwing-kallsyms-dictionary -- make kallsyms/tests/data/real-kernel-modules.tar.xz kallsyms/src/names/dictionary.bin
//! ```
//!
//! The same archive makes the same bytes everywhere; a test makes them again. What a dictionary is worth for a kernel that it was not
//! learnt from:
//!
//! ```text
//! sudo cargo run --release -p lapwing-kallsyms-dictionary -- measure ARCHIVE linux-6.12.107-small/s3 /proc/kallsyms
//! ```
//!
//! with the folders of the archive that are learnt from, separated by commas, and files in the form of `/proc/kallsyms`.

#![forbid(unsafe_code)]

mod captured;
mod climb;
mod code;
mod corpus;
mod fit;
mod layout;
mod measure;
mod names;

use code::Classes;
use corpus::Corpus;
use layout::Dictionary;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

/// How many first nibbles begin codes of two, three and four nibbles: the best of those tried.
/// How many first nibbles begin codes of two, three and four nibbles: the best of those tried.
const CLASSES: Classes = Classes([9, 6, 1]);
/// A part of names that is stored less often is no token: rarer ones help the kernels that are learnt from, and hardly others.
const LEAST: u64 = 16;
/// How often tokens are exchanged; more changes nothing that can be seen.
const ROUNDS: usize = 6;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["make", archive, file] => make(Path::new(archive), &captured::KERNELS)
            .and_then(|dictionary| fs::write(file, dictionary.bytes()))
            .map_err(|error| format!("{archive}, {file}: {error}")),
        ["measure", archive, folders, ref files @ ..] => {
            measure(Path::new(archive), &folders.split(',').collect::<Vec<_>>(), files)
        }
        _ => Err("usage: make ARCHIVE FILE, or measure ARCHIVE FOLDER[,FOLDER].. KALLSYMS..".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("lapwing-kallsyms-dictionary: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Learns from the kernels in these folders of the archive.
fn make(archive: &Path, folders: &[&str]) -> io::Result<Dictionary> {
    let files = captured::kallsyms(archive, folders)?;
    let names = files.iter().flat_map(|file| names::stored(file));
    let corpus = Corpus::new(names, of_names(), LEAST);
    let say = |step| eprintln!("{step}");
    let book = climb::climb(&corpus, CLASSES, fit::fit(&corpus, CLASSES, say), ROUNDS, say);
    Ok(Dictionary::new(&corpus, &book, CLASSES))
}

/// The bytes that names of symbols consist of: each is a token, whether it is learnt or not.
fn of_names() -> impl Iterator<Item = u8> {
    (b'0'..=b'9').chain(b'a'..=b'z').chain(b'A'..=b'Z').chain(*b"_.$")
}

fn measure(archive: &Path, folders: &[&str], files: &[&str]) -> Result<(), String> {
    let dictionary = make(archive, folders).map_err(|error| format!("{}: {error}", archive.display()))?;
    let size = dictionary.bytes().len();
    println!("{size} bytes of dictionary; averages of a stored name:");
    println!(
        "{:>8} {:>7} {:>7} {:>8} {:>8} {:>16}  file",
        "names", "bytes", "tokens", "nibbles", "shortest", "with dictionary"
    );
    for file in files {
        let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        let names = names::stored(&text);
        let found = measure::measure(&dictionary, &names);
        let whole = found.nibbles / 2.0 + size as f64 / names.len().max(1) as f64;
        println!(
            "{:8} {:7.2} {:7.3} {:8.3} {:8.3} {whole:10.3} bytes  {file}",
            names.len(),
            found.bytes,
            found.tokens,
            found.nibbles,
            found.shortest
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_makes_the_dictionary_that_is_in_use() {
        let crate_ = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the symbolizer's folder");
        let made =
            make(&crate_.join("tests/data/real-kernel-modules.tar.xz"), &captured::KERNELS).expect("the archive");
        let in_use = fs::read(crate_.join("src/names/dictionary.bin")).expect("the dictionary");
        assert!(made.bytes() == in_use, "dictionary.bin is not what this program makes: see its first lines");
    }
}
