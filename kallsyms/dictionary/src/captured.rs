//! The symbols of real kernels, from the archive in the repository.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The kernels that are learnt from, as folders of the archive.
pub const KERNELS: [&str; 2] = ["linux-6.1.192-small/s3", "linux-6.12.107-small/s3"];

/// The text of `kallsyms` in each of the folders, in their order.
pub fn kallsyms(archive: &Path, folders: &[&str]) -> io::Result<Vec<String>> {
    let mut found = vec![None; folders.len()];
    let mut archive = tar::Archive::new(lzma_rust2::XzReader::new(File::open(archive)?, true));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let is_here = |folder: &&str| path == Path::new(".").join(folder).join("kallsyms");
        if let Some(index) = folders.iter().position(is_here) {
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            found[index] = Some(text);
        }
    }
    let missing = |folder| io::Error::new(io::ErrorKind::NotFound, format!("no {folder}/kallsyms in the archive"));
    found.into_iter().zip(folders).map(|(text, folder)| text.ok_or_else(|| missing(folder))).collect()
}
