//! The ring: is there one, can it be written, has it room for another writer, and is it whole?

use super::Report;
use crate::args::DoctorArgs;
use crate::quantity::bytes;
use lapwing_ring::{
    DEFAULT_SIZE, Error, Evidence, Life, Location, Log, Purpose, RING_VARIABLE, Reader, SYSTEM_RING, Stat, Writer,
    check,
};
use rustix::fs::{Access, access, statvfs};
use std::env::var_os;
use std::path::{Path, PathBuf};

const ABOUT: &str = "ring";

pub fn look(report: &mut Report, args: &DoctorArgs) {
    let location = args.ring.location(Purpose::Write);
    let path = location.path();
    let why = match &args.ring.ring {
        Some(_) => "as --ring says".to_owned(),
        None if var_os(RING_VARIABLE).is_some_and(|value| !value.is_empty()) => format!("as ${RING_VARIABLE} says"),
        None if path == Path::new(SYSTEM_RING) => "the ring of the whole system".to_owned(),
        None if var_os("XDG_RUNTIME_DIR").is_some_and(|value| !value.is_empty()) => "in $XDG_RUNTIME_DIR".to_owned(),
        None => "in /dev/shm, for $XDG_RUNTIME_DIR is not set".to_owned(),
    };
    let named = format!("{} ({why})", path.display());
    if args.ring.ring.is_none() && path != Path::new(SYSTEM_RING) && Path::new(SYSTEM_RING).exists() {
        report.note(
            ABOUT,
            format!("{SYSTEM_RING} exists, and we may not write to it: what is logged here goes elsewhere"),
        );
    }
    match location.check_folder(Purpose::Read) {
        Ok(()) if path.symlink_metadata().is_ok() => existing(report, path, &named),
        Ok(()) | Err(Error::NotFound { .. }) => missing(report, &location, &named, args.ring.ring.is_none()),
        Err(error) => report.error(ABOUT, error),
    }
}

/// There is none: can there be?
fn missing(report: &mut Report, location: &Location, named: &str, is_default: bool) {
    if !is_default {
        let text = format!("{named} does not exist, and no writer makes it");
        report.wrong(ABOUT, text, format!("`lapwing create {}`", location.path().display()));
        return;
    }
    // The folder beside /dev/shm/lapwing-UID is made as well, one level deep.
    let parents = location.path().ancestors().skip(1).take(2);
    let Some(folder) = parents.map(Path::to_owned).find(|folder| folder.as_os_str().is_empty() || folder.is_dir())
    else {
        let text = format!("{named} does not exist, nor does the folder that it would lie in");
        report.wrong(ABOUT, text, "make the folder, or name another ring by --ring or $LAPWING_RING");
        return;
    };
    let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
    if access(&folder, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let text = format!("{named} does not exist, and we may not make it in {}", folder.display());
        report.wrong(ABOUT, text, "name another ring by --ring or $LAPWING_RING");
        return;
    }
    match space(&folder) {
        Some((_, free)) if free < DEFAULT_SIZE => {
            let text = format!("{named} does not exist, and for its {} {} are free", bytes(DEFAULT_SIZE), shown(free));
            report.wrong(ABOUT, text, "make a smaller one by `lapwing create --size`, or make room");
        }
        Some((size, free)) => {
            let room = format!("{} of {} free", shown(free), shown(size));
            report.note(ABOUT, format!("{named} does not exist yet: whoever writes first makes it ({room})"));
        }
        None => report.note(ABOUT, format!("{named} does not exist yet: whoever writes first makes it")),
    }
}

fn existing(report: &mut Report, path: &Path, named: &str) {
    // What says why not says what to do.
    if let Err(error) = Log::open(path) {
        return report.error(ABOUT, error);
    }
    report.ok(ABOUT, format!("{named}, of this boot, and we may write to it"));
    if let Some((size, free)) = path.parent().and_then(space) {
        report.ok(ABOUT, format!("its file system has {} of {} free", shown(free), shown(size)));
    }
    match check(path) {
        Ok(checked) if checked.found == 0 => {}
        Ok(checked) => {
            let text = format!("is damaged in {} places", checked.found);
            report.wrong(ABOUT, text, "`lapwing check` names them; save what can be read, then `lapwing rm`");
        }
        Err(error) => report.error(ABOUT, error),
    }
    // A slot for a moment, and no record: the only way to know.
    let writer = Writer::open(path);
    let stat = Reader::open(path).ok().and_then(|reader| reader.stat().ok());
    if let Err(error) = &writer {
        let text = error.to_string();
        report.wrong(ABOUT, text, "`lapwing stat --verbose` names the writers; whoever comes now writes nothing");
    }
    if let Some(stat) = stat {
        told(report, &stat, writer.is_ok());
    }
}

fn told(report: &mut Report, stat: &Stat, are_we_in: bool) {
    let me = stat.writers.iter().filter(|writer| writer.pid == std::process::id());
    match me.map(|writer| writer.evidence).next_back() {
        Some(Evidence::LockHeld) => report.ok(ABOUT, "dead writers are known by their locks, in any container"),
        Some(evidence) if evidence.life() == Life::Alive => report.note(
            ABOUT,
            "locks do not tell the truth on this file system, so dead writers are known by their pids, in our pid namespace \
             alone",
        ),
        _ => {}
    }
    let (used, slots) = (stat.writers.len() - usize::from(are_we_in), stat.identity.geometry.slot_count() as usize);
    if are_we_in {
        report.ok(ABOUT, format!("{used} of {slots} writer slots are in use"));
    }
    let refused = &stat.refused;
    let causes = [
        (refused.too_large, "they were too large"),
        (refused.too_many_writers, "all writer slots were in use"),
        (refused.all_pages_pinned, "all pages were held by stopped writers"),
        (refused.damaged, "the ring was damaged"),
    ];
    for (count, cause) in causes.into_iter().filter(|&(count, _)| count > 0) {
        report.note(ABOUT, format!("has refused {count} records since it was made, because {cause}"));
    }
}

/// Size and free space of the file system, bytes.
fn space(folder: &Path) -> Option<(u64, u64)> {
    let system = statvfs(folder).ok()?;
    Some((system.f_blocks * system.f_frsize, system.f_bavail * system.f_frsize))
}

/// About so many bytes.
fn shown(count: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(shift, _)| count >> shift >= 10) {
        Some((shift, unit)) => format!("{} {unit}", count >> shift),
        None => format!("{count} bytes"),
    }
}
