//! What is written in C or C++ since its peer is: compiled in front of the race, loaded by the race's processes.
#![allow(unsafe_code)]

use crate::Result;
use crate::peer::Payload;
use libloading::Library;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A shared object, before it is one.
pub struct Source {
    pub compiler: &'static str,
    /// The text to compile, and what it includes of the race's own: names and texts.
    pub files: &'static [(&'static str, &'static str)],
    /// A header of the peer.
    pub header: &'static str,
    /// What else the compiler is to be told.
    pub flags: &'static [&'static str],
    pub libraries: &'static [&'static str],
    /// The Debian packages with all of it.
    pub packages: &'static str,
}

impl Source {
    /// What to install where compiler or header is not there.
    pub fn missing(&self) -> Option<String> {
        let mut command = Command::new(self.compiler);
        let language = if self.compiler == "c++" { "c++" } else { "c" };
        command.args(["-E", "-x", language, "-include", self.header, "-o", "/dev/null", "/dev/null"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let there = command.status().is_ok_and(|status| status.success());
        (!there).then(|| format!("no {} or no {} (Debian: {})", self.compiler, self.header, self.packages))
    }

    /// Compiles it, as a fast user would.
    pub fn compile(&self, folder: &Path) -> Result<()> {
        for (name, text) in self.files {
            std::fs::write(folder.join(name), text)?;
        }
        let mut command = Command::new(self.compiler);
        command.args(["-O2", "-march=native", "-fPIC", "-shared", "-o"]).arg(self.object(folder)).arg("-I").arg(folder);
        command
            .args(self.flags)
            .arg(folder.join(self.name()))
            .args(self.libraries.iter().map(|name| format!("-l{name}")));
        let output = command.output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let error = said.lines().find(|line| line.contains("error")).unwrap_or("the compiler does not say why");
            return Err(format!("{} cannot be compiled: {error}", self.name()).into());
        }
        Ok(())
    }

    /// Loads what was compiled in that folder.
    pub fn load(&self, folder: &Path) -> Result<Object> {
        // SAFETY: the text is in this folder of the program's own, and of it `compile` made the object; its initializers are
        // those of the libraries that it is linked to, which may be loaded at any time.
        Ok(Object(unsafe { Library::new(self.object(folder)) }?))
    }

    fn name(&self) -> &'static str {
        self.files[0].0
    }

    fn object(&self, folder: &Path) -> PathBuf {
        folder.join(self.name()).with_extension("so")
    }
}

/// A loaded object. Its functions are `void name(const char *, size_t)` and `uint64_t name(void)`, nothing else; all of them
/// may be called by several threads at once.
pub struct Object(Library);

impl Object {
    /// A function that takes a record's payload.
    pub fn append(&self, name: &str) -> Result<Append<'_>> {
        // SAFETY: the function is one of those with a payload and its length, see the texts; all that it needs is in the object.
        let symbol = unsafe { self.0.get::<unsafe extern "C" fn(*const u8, usize)>(name) }?;
        Ok(Append(*symbol, PhantomData))
    }

    /// Calls a function that gives a number.
    pub fn number(&self, name: &str) -> Result<u64> {
        // SAFETY: the function is one of those without arguments, see the texts.
        let symbol = unsafe { self.0.get::<unsafe extern "C" fn() -> u64>(name) }?;
        // SAFETY: it needs nothing but the object, which is borrowed.
        Ok(unsafe { symbol() })
    }
}

/// A function that takes a record's payload. Calling it through its pointer takes 1 to 2 ns, which are the peer's here.
pub struct Append<'o>(unsafe extern "C" fn(*const u8, usize), PhantomData<&'o Object>);

impl Append<'_> {
    #[inline(always)]
    pub fn call(&self, payload: &Payload) {
        // SAFETY: the object is borrowed, so the function is there; it reads so many bytes, and keeps no pointer to them.
        unsafe { (self.0)(payload.as_ptr(), payload.len()) }
    }
}
