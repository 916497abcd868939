//! The modules that the guest brought along, loaded and unloaded as `insmod` and `rmmod` do it.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;

use rustix::io::Errno;

const FOLDER: &str = "/modules";

/// Which files are loaded for which module, in order; the module's own is the last.
pub struct Modules {
    files: BTreeMap<String, Vec<String>>,
}

impl Modules {
    pub fn brought() -> Self {
        let order = std::fs::read_to_string(format!("{FOLDER}/order")).expect("the order of modules");
        let files = order.lines().filter_map(|line| {
            let mut words = line.split(' ').map(String::from);
            Some((words.next()?, words.collect()))
        });
        Self { files: files.collect() }
    }

    pub fn names(&self) -> Vec<String> {
        self.files.keys().cloned().collect()
    }

    /// Loads what `name` needs, and not itself; says what that was.
    pub fn load_needs(&self, name: &str) -> Vec<String> {
        let (_, needs) = self.files[name].split_last().expect("a module has a file");
        needs.iter().filter(|file| insert(file)).map(|file| name_of(file)).collect()
    }

    /// Loads `name` alone: what it needs is there.
    pub fn load(&self, name: &str) {
        let file = self.files[name].last().expect("a module has a file");
        assert!(insert(file), "{name} is loaded already");
    }

    /// Unloads `name`, and then what it needed that nobody else does.
    pub fn unload(&self, name: &str) {
        remove(name).unwrap_or_else(|error| panic!("rmmod {name}: {error}"));
        for file in self.files[name].iter().rev().skip(1) {
            match remove(&name_of(file)) {
                Ok(()) | Err(Errno::WOULDBLOCK | Errno::BUSY | Errno::NOENT) => {}
                Err(error) => panic!("rmmod {file}: {error}"),
            }
        }
    }

    /// Unloads all but `kept`, whatever state a check that failed has left.
    pub fn unload_all_but(kept: &str) {
        loop {
            // Who needs others is listed before them.
            let gone = loaded().iter().filter(|name| *name != kept && remove(name).is_ok()).count();
            if gone == 0 {
                return;
            }
        }
    }
}

/// Where the text of a loaded module begins.
pub fn text(name: &str) -> u64 {
    section(name, ".text")
}

/// Where its sections begin, of whatever kind.
pub fn sections(name: &str) -> Vec<u64> {
    let folder = std::fs::read_dir(format!("/sys/module/{name}/sections")).expect("sections");
    folder.map(|entry| section(name, entry.expect("a section").file_name().to_str().expect("a name"))).collect()
}

fn section(name: &str, section: &str) -> u64 {
    let path = format!("/sys/module/{name}/sections/{section}");
    let address = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    u64::from_str_radix(address.trim().trim_start_matches("0x"), 16).expect("an address")
}

/// In hexadecimal: the last twenty bytes of the note.
pub fn build_id(name: &str) -> String {
    let path = format!("/sys/module/{name}/notes/.note.gnu.build-id");
    let note = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    note[note.len() - 20..].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The modules that the kernel has.
pub fn loaded() -> Vec<String> {
    let all = std::fs::read_to_string("/proc/modules").expect("/proc/modules");
    all.lines().filter_map(|line| line.split(' ').next()).map(String::from).collect()
}

/// Whether it was not there before.
fn insert(file: &str) -> bool {
    let opened = File::open(format!("{FOLDER}/{file}")).unwrap_or_else(|error| panic!("{file}: {error}"));
    match rustix::system::finit_module(opened, c"", 0) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(error) => panic!("insmod {file}: {error}"),
    }
}

fn remove(name: &str) -> Result<(), Errno> {
    let name = CString::new(name).expect("a name of a module");
    rustix::system::delete_module(&name, libc::O_NONBLOCK)
}

/// The kernel writes dashes as underscores.
fn name_of(file: &str) -> String {
    file.trim_end_matches(".ko").replace('-', "_")
}
