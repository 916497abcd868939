//! `lapwing create` and `lapwing rm`.

use crate::args::{CreateArgs, RmArgs};
use crate::failure::Failure;
use lapwing_ring::{Create, Error, Geometry, Location, Purpose, identify_path};
use lapwing_writer_shim::kmsg::forget_place;
use std::process::ExitCode;

pub fn create(args: &CreateArgs) -> Result<ExitCode, Failure> {
    // Sizes that no ring can have are wrong usage; in a ring that exists they would be damage.
    Geometry::new(args.size, args.page_size)?;
    let group = args.group.as_deref().map(group_id).transpose()?;
    let location = Location::find(Some(&args.ring), Purpose::Write);
    location.check_folder(Purpose::Write)?;
    Create::new().size(args.size).page_size(args.page_size).mode(args.mode).group(group).create(location.path())?;
    Ok(ExitCode::SUCCESS)
}

/// Of a name or a number.
pub fn group_id(name: &str) -> Result<u32, Failure> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let mut ids = groups.lines().filter_map(|line| {
        let mut columns = line.split(':');
        (columns.next() == Some(name)).then(|| columns.nth(1)?.parse().ok())?
    });
    ids.next().ok_or_else(|| Failure::Group { name: name.to_owned() })
}

pub fn remove(args: &RmArgs) -> Result<ExitCode, Failure> {
    let location = Location::find(Some(&args.ring), Purpose::Write);
    match identify_path(location.path()) {
        // Too short to say that it is a ring.
        Err(error @ Error::Truncated { len: ..8, .. }) => return Err(error.into()),
        // It begins as a ring does, and these are what `rm` is wanted for.
        Ok(_)
        | Err(
            Error::Truncated { .. }
            | Error::BadGeometry { .. }
            | Error::BadHeader { .. }
            | Error::UnsupportedVersion { .. }
            | Error::BadClock { .. },
        ) => {}
        Err(error) => return Err(error.into()),
    }
    let failed = |source| Failure::Remove { path: location.path().to_owned(), source };
    std::fs::remove_file(location.path()).map_err(failed)?;
    forget_place(location.path());
    Ok(ExitCode::SUCCESS)
}
