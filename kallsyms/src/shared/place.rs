//! Where the table is when nobody says: one answer for publisher and readers.

#![forbid(unsafe_code)]

use super::error::PublishError;
use super::trusted::CAREFULLY;
use rustix::process::geteuid;
use std::env;
use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The table that root publishes, for everybody whom its mode allows.
pub const SYSTEM_TABLE: &str = "/run/lapwing/kallsyms";
/// Names the default table.
pub const TABLE_VARIABLE: &str = "LAPWING_KALLSYMS";

/// Where the table is published and looked for, beside the rings.
///
/// `$LAPWING_KALLSYMS`, else `/run/lapwing/kallsyms` if we are root or may read it, else
/// `$XDG_RUNTIME_DIR/lapwing/kallsyms`, else `/dev/shm/lapwing-$UID/kallsyms`. So a reader without privilege finds root's
/// table first, and its own where root has published none or not for it.
///
/// Not a bare name in `/dev/shm`: anybody could take it before root does, and nobody's table would be there.
pub fn default_path() -> PathBuf {
    if let Some(path) = set(TABLE_VARIABLE) {
        return path;
    }
    let may_read = || OpenOptions::new().read(true).custom_flags(CAREFULLY).open(SYSTEM_TABLE).is_ok();
    if geteuid().is_root() || may_read() {
        return SYSTEM_TABLE.into();
    }
    match set("XDG_RUNTIME_DIR") {
        Some(folder) => folder.join("lapwing/kallsyms"),
        None => format!("/dev/shm/lapwing-{}/kallsyms", geteuid().as_raw()).into(),
    }
}

fn set(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Makes the folder of [`default_path`] if it is missing, for a publisher: `/run/lapwing` with mode 0755, one of our own with
/// 0700. What `$LAPWING_KALLSYMS` names has to be there.
///
/// # Errors
/// [`PublishError::UnsafeFolder`], or that it could not be made.
pub fn make_default_folder() -> Result<(), PublishError> {
    if set(TABLE_VARIABLE).is_some() {
        return Ok(());
    }
    let path = default_path();
    let is_system = path == Path::new(SYSTEM_TABLE);
    if is_system && !geteuid().is_root() {
        // There is a table of root's, and publishing over it says whose it is.
        return Ok(());
    }
    let mode = if is_system { 0o755 } else { 0o700 };
    path.parent().map_or(Ok(()), |folder| make_folder(folder, mode))
}

fn make_folder(folder: &Path, mode: u32) -> Result<(), PublishError> {
    let failed = |call| move |source| PublishError::Os { path: folder.to_owned(), call, source };
    match DirBuilder::new().mode(mode).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed("make the folder")(error));
        }
        _ => {}
    }
    let meta = folder.symlink_metadata().map_err(failed("look at the folder"))?;
    let (mode, owner, uid) = (meta.mode() & 0o7777, meta.uid(), geteuid().as_raw());
    if !meta.is_dir() || owner != uid || mode & 0o022 != 0 {
        return Err(PublishError::UnsafeFolder { path: folder.to_owned(), mode, owner, uid });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::make_folder;
    use crate::shared::PublishError;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_folder_that_others_can_change_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let ours = folder.path().join("lapwing");
        make_folder(&ours, 0o700).unwrap();
        assert_eq!(fs::metadata(&ours).unwrap().permissions().mode() & 0o7777, 0o700);
        make_folder(&ours, 0o700).unwrap();
        fs::set_permissions(&ours, Permissions::from_mode(0o720)).unwrap();
        assert!(matches!(make_folder(&ours, 0o700), Err(PublishError::UnsafeFolder { mode: 0o720, .. })));
        fs::set_permissions(&ours, Permissions::from_mode(0o700)).unwrap();
        let link = folder.path().join("link");
        symlink(&ours, &link).unwrap();
        assert!(matches!(make_folder(&link, 0o700), Err(PublishError::UnsafeFolder { .. })));
        assert!(matches!(make_folder(&folder.path().join("a/b"), 0o700), Err(PublishError::Os { .. })));
    }
}
