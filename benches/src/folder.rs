//! Where a bench keeps its files.

use std::path::{Path, PathBuf};

/// A folder that goes when the bench ends.
pub struct Folder(PathBuf);

impl Folder {
    /// A new one in `place`, for the bench of this name.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new_in(place: &Path, name: &str) -> Self {
        let path = place.join(format!("lapwing-bench-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
