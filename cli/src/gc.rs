//! `lapwing gc`: removes rings that nobody uses and nobody needs. What it keeps, it says why.

use crate::args::GcArgs;
use crate::failure::{ERROR, Failure};
use crate::folder::{FoundRing, RingState, files, look};
use crate::users::first_user;
use lapwing_reader_shim::push_escaped;
use lapwing_ring::{Error, Leftover, Life, Location, Purpose, Stat, Unused};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// A ring without records may just have been made, for somebody who is about to use it.
const EMPTY_FOR: Duration = Duration::from_secs(3600);

/// What becomes of a file, and why.
enum Fate {
    Removed(String),
    Kept(String),
}

pub fn gc(args: &GcArgs) -> Result<ExitCode, Failure> {
    let location = Location::find(None, Purpose::Read);
    match location.check_folder(Purpose::Read) {
        Err(Error::NotFound { .. }) => return Ok(ExitCode::SUCCESS),
        checked => checked?,
    }
    let folder = location.path().parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let files = match files(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(ExitCode::SUCCESS),
        files => files.map_err(|source| Failure::Folder { path: folder.to_owned(), source })?,
    };
    let default = std::path::absolute(location.path()).ok();
    let mut code = 0;
    for (path, meta) in files {
        let is_default = std::path::absolute(&path).ok() == default;
        let fate = match leftover(&path, args.dry_run) {
            Ok(None) => {
                let Some(ring) = look(path.clone(), meta) else { continue };
                fate(&ring, is_default, args)
            }
            Ok(Some(fate)) => Ok(fate),
            Err(error) => Err(error),
        };
        match fate {
            Ok(fate) => say(&path, &fate, args.dry_run),
            Err(error) => {
                Failure::from(error).say();
                code = ERROR;
            }
        }
    }
    Ok(ExitCode::from(code))
}

fn say(path: &Path, fate: &Fate, dry_run: bool) {
    let mut name = Vec::new();
    push_escaped(&mut name, path.as_os_str().as_encoded_bytes());
    let (word, why) = match fate {
        Fate::Removed(why) if dry_run => ("would be removed", why),
        Fate::Removed(why) => ("removed", why),
        Fate::Kept(why) => ("kept", why),
    };
    println!("{}: {word}: {why}", String::from_utf8_lossy(&name));
}

/// `None`: it is something else.
fn leftover(path: &Path, dry_run: bool) -> Result<Option<Fate>, Error> {
    let held = match Leftover::hold(path) {
        // Whatever it is, it is none of ours to remove.
        Err(_) | Ok(None) => return Ok(None),
        Ok(Some(held)) => held,
    };
    if !dry_run {
        held.remove()?;
    }
    Ok(Some(Fate::Removed("left behind by somebody who died while he made a ring".to_owned())))
}

fn fate(ring: &FoundRing, is_default: bool, args: &GcArgs) -> Result<Fate, Error> {
    let kept = |why: String| Ok(Fate::Kept(why));
    let (stat, last_ns) = match &ring.state {
        RingState::Sound { stat, last_ns } => (stat, *last_ns),
        RingState::Broken => return kept("damaged; `lapwing check` says how, `lapwing rm` removes it".to_owned()),
        RingState::Closed => return kept("we may not look into it".to_owned()),
    };
    if stat.identity.saved_ns.is_some() {
        return kept("it was saved, for somebody to read".to_owned());
    }
    let why = match reason(stat, last_ns, is_default, args.older_than) {
        Ok(why) => why,
        Err(why) => return kept(why),
    };
    if let Some(why) = user(stat) {
        return kept(why);
    }
    if let Some((pid, name)) = first_user(&ring.path, &ring.meta) {
        return kept(format!("process {pid} ({}) has it open", shown(name.as_bytes())));
    }
    // From here on nobody takes it up unnoticed, so the last look is the one that counts.
    let Some(unused) = Unused::hold(&ring.path)? else { return kept("somebody has it open".to_owned()) };
    match unused.stat() {
        Ok(now) if now.identity != stat.identity => return kept("it was replaced meanwhile".to_owned()),
        Ok(now) if now.bounds != stat.bounds => return kept("somebody writes to it".to_owned()),
        Ok(now) => {
            if let Some(why) = user(&now) {
                return kept(why);
            }
        }
        Err(_) => return kept("it was damaged meanwhile".to_owned()),
    }
    if !args.dry_run {
        unused.remove()?;
    }
    Ok(Fate::Removed(why))
}

/// A writer that is not proven dead.
fn user(stat: &Stat) -> Option<String> {
    let writer = stat.writers.iter().find(|writer| writer.is_alive())?;
    let comm = shown(&writer.comm);
    let life = if writer.evidence.life() == Life::Alive { "is alive" } else { "may be alive" };
    Some(format!("writer {} ({comm}) {life}: {}", writer.pid, writer.evidence))
}

/// Why nobody needs the ring; or else why it is kept.
fn reason(stat: &Stat, last_ns: u64, is_default: bool, older_than: Option<Duration>) -> Result<String, String> {
    if stat.identity.is_of_another_boot() {
        return Ok("it was written before this host last started, and nobody can write to it".to_owned());
    }
    if stat.last_words != 0 {
        return Err(format!(
            "it has {} unfinished lines of dead writers; `lapwing tail` appends and shows them",
            stat.last_words
        ));
    }
    if is_default {
        return Err("the default ring".to_owned());
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let idle = now.saturating_sub(Duration::from_nanos(last_ns));
    let records = stat.bounds.next_seq;
    let limit = older_than.or((records == 0).then_some(EMPTY_FOR));
    let since = format!("{} seconds ago", idle.as_secs());
    match limit {
        Some(limit) if idle >= limit && records == 0 => {
            Ok(format!("nothing was ever written to it, and it was made {since}"))
        }
        Some(limit) if idle >= limit => Ok(format!("its last record was written {since}")),
        _ if records == 0 => Err(format!("it was made {since}")),
        _ => Err(format!("it holds {} records, the last written {since}", records - stat.bounds.oldest_seq)),
    }
}

fn shown(name: &[u8]) -> String {
    let mut out = Vec::new();
    push_escaped(&mut out, name);
    String::from_utf8_lossy(&out).into_owned()
}
