//! What a dump that was killed has left: which lines are in its file, and a line that it did not finish.

use super::batch::{next_after, whole};
use super::error::DumpError;
use super::place::State;
use super::target::FileId;
use std::fs::{File, OpenOptions, read_dir};
use std::io;
use std::os::unix::fs::{DirEntryExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Recovered {
    /// The first sequence that is in no file yet.
    pub(crate) next: u64,
    /// The file had lost what it was given: the machine went down.
    pub(crate) has_lost: bool,
}

/// Finds out from `state` and the file that it is about, at `path` or moved elsewhere in its folder. A line that is not
/// whole is cut off.
pub(crate) fn recover(state: &State, path: &Path, boot: &str) -> Result<Recovered, DumpError> {
    let start = Recovered { next: state.start(), has_lost: false };
    let Some(id) = state.file else { return Ok(Recovered { next: state.next, ..start }) };
    let Some((file, path)) = find(id, path)? else { return Ok(start) };
    let os = |call| DumpError::os(&path, call);
    let len = file.metadata().map_err(os("look at"))?.len();
    let Some(written) = len.checked_sub(state.at) else {
        // Cut short by somebody, who has what he cut off; or never written down.
        return Ok(Recovered { has_lost: state.boot != boot, ..start });
    };
    let mut bytes = vec![0; written.min(state.len) as usize];
    file.read_exact_at(&mut bytes, state.at).map_err(os("read"))?;
    let there = whole(&bytes, state.len as usize, state.is_raw);
    if there.len < bytes.len() && written < state.len {
        file.set_len(state.at + there.len as u64).map_err(os("cut"))?;
    }
    let next = match written < state.len {
        true => next_after(&state.runs, there.lines).unwrap_or(state.next),
        false => state.next,
    };
    Ok(Recovered { next, ..start })
}

/// The file, wherever in its folder it is now.
fn find(id: FileId, path: &Path) -> Result<Option<(File, PathBuf)>, DumpError> {
    let open = |path: &Path| -> io::Result<Option<File>> {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags.bits() as i32).open(path)?;
        let meta = file.metadata()?;
        Ok((meta.is_file() && FileId::of(&meta) == id).then_some(file))
    };
    if let Ok(Some(file)) = open(path) {
        return Ok(Some((file, path.to_owned())));
    }
    let folder = folder_of(path);
    let entries = read_dir(folder).map_err(DumpError::os(folder, "list"))?;
    for entry in entries.filter_map(Result::ok).filter(|entry| entry.ino() == id.inode) {
        if let Ok(Some(file)) = open(&entry.path()) {
            return Ok(Some((file, entry.path())));
        }
    }
    Ok(None)
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::super::batch::Run;
    use super::*;

    /// A file with `old` in it, to which `lines` for 5, 6, a loss up to 19, and 20 were about to be appended.
    const OLD: &str = "old\n";
    const LINES: &str = "five\nsix\n***\ntwenty\n";

    fn state(file: &Path) -> State {
        let run = |first, lines| Run { first, lines };
        State {
            file: Some(FileId::of(&file.metadata().unwrap())),
            at: OLD.len() as u64,
            len: LINES.len() as u64,
            runs: vec![run(5, 3), run(20, 1)],
            ..State::new([1, 2], 25, "boot")
        }
    }

    #[test]
    fn wherever_the_writing_ended_whole_lines_stay_and_the_rest_comes_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("log"), folder.path().join("log.1"));
        for is_moved in [false, true] {
            for cut in 0..=LINES.len() {
                let there = format!("{OLD}{}", &LINES[..cut]);
                std::fs::write(&path, &there).unwrap();
                let state = state(&path);
                let at = if is_moved { &moved } else { &path };
                if is_moved {
                    std::fs::rename(&path, &moved).unwrap();
                }
                let recovered = recover(&state, &path, &state.boot).unwrap();
                let whole = LINES[..cut].matches('\n').count();
                assert_eq!(recovered, Recovered { next: [5, 6, 7, 20, 25][whole], has_lost: false }, "{cut}");
                let text = std::fs::read_to_string(at).unwrap();
                assert!(text.ends_with('\n') && there.starts_with(&text) && text.matches('\n').count() == 1 + whole);
                std::fs::remove_file(at).unwrap();
            }
        }
    }

    #[test]
    fn bytes_that_are_no_lines_are_cut_off_unless_all_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for cut in 0..=LINES.len() {
            std::fs::write(&path, format!("{OLD}{}", &LINES[..cut])).unwrap();
            let run = Run { first: 5, lines: 1 };
            let state = State { is_raw: true, runs: vec![run], ..state(&path) };
            let is_whole = cut == LINES.len();
            assert_eq!(recover(&state, &path, &state.boot).unwrap().next, if is_whole { 25 } else { 5 });
            assert_eq!(path.metadata().unwrap().len() as usize, OLD.len() + if is_whole { cut } else { 0 });
        }
    }

    #[test]
    fn a_file_that_somebody_cut_short_or_took_away_or_wrote_to_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, OLD).unwrap();
        let state = state(&path);
        let next = |boot| recover(&state, &path, boot).unwrap();
        std::fs::write(&path, format!("{OLD}{LINES}theirs, without an end")).unwrap();
        assert_eq!(next(&state.boot), Recovered { next: 25, has_lost: false });
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("an end"));
        std::fs::write(&path, "x").unwrap();
        assert_eq!(next(&state.boot), Recovered { next: 5, has_lost: false });
        assert_eq!(next("another boot"), Recovered { next: 5, has_lost: true });
        std::fs::remove_file(&path).unwrap();
        assert_eq!(next(&state.boot), Recovered { next: 5, has_lost: false });
    }
}
