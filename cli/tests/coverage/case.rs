//! One line of the table: a program, how it is called, and what of its output the ring is expected to hold.

use lapwing_ring::Source;

/// A program that prints.
pub struct Case {
    /// What the book calls it.
    pub name: &'static str,
    /// What it is made to do, for the book.
    pub what: &'static str,
    /// The functions by which the library hears of it, for the book.
    pub ways: &'static str,
    /// `{dir}` is a folder of its own, `{bin}` that of our programs, `{url}` a server's, `{python}` what python3 is.
    pub command: &'static [&'static str],
    /// The last word of the command, if it is a script.
    pub script: &'static str,
    /// What a shell does in the folder beforehand.
    pub prepare: &'static str,
    /// Programs without which it is skipped, besides the command itself.
    pub needs: &'static [&'static str],
    pub target: Target,
    /// Its output goes through the pump.
    pub is_pumped: bool,
    /// Those of `lapwing run`.
    pub options: &'static [&'static str],
    /// What the kernel takes from another descriptor, which strace does not show.
    pub copied: &'static str,
    pub gaps: &'static [Gap],
}

/// What both standard streams are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    Pipe,
    File,
    Null,
    Terminal,
    Socket,
}

impl Target {
    /// For the book.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pipe => "a pipe",
            Self::File => "a file",
            Self::Null => "/dev/null",
            Self::Terminal => "a terminal",
            Self::Socket => "a socket",
        }
    }
}

/// What a call wrote that does not come into the ring.
pub struct Gap {
    pub source: Source,
    pub text: &'static str,
    /// Why, for the book.
    pub why: &'static str,
}

/// What runs a script.
pub mod by {
    pub const SH: &[&str] = &["sh", "-c"];
    pub const BASH: &[&str] = &["bash", "-c"];
    pub const DASH: &[&str] = &["dash", "-c"];
    pub const PYTHON: &[&str] = &["{python}", "-c"];
    pub const PERL: &[&str] = &["perl", "-e"];
    pub const NODE: &[&str] = &["node", "-e"];
}

impl Case {
    pub const fn new(
        name: &'static str,
        what: &'static str,
        ways: &'static str,
        command: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            what,
            ways,
            command,
            script: "",
            prepare: "",
            needs: &[],
            target: Target::Pipe,
            is_pumped: false,
            options: &[],
            copied: "",
            gaps: &[],
        }
    }

    pub const fn script(
        name: &'static str,
        what: &'static str,
        ways: &'static str,
        interpreter: &'static [&'static str],
        script: &'static str,
    ) -> Self {
        Self { script, ..Self::new(name, what, ways, interpreter) }
    }

    pub const fn prepare(self, prepare: &'static str) -> Self {
        Self { prepare, ..self }
    }

    pub const fn needs(self, needs: &'static [&'static str]) -> Self {
        Self { needs, ..self }
    }

    pub const fn to(self, target: Target) -> Self {
        Self { target, ..self }
    }

    pub const fn pumped(self) -> Self {
        Self { is_pumped: true, ..self }
    }

    pub const fn options(self, options: &'static [&'static str]) -> Self {
        Self { options, ..self }
    }

    pub const fn copies(self, copied: &'static str) -> Self {
        Self { copied, ..self }
    }

    /// A terminal has one other end, so the pump cannot tell which of the two streams it was.
    pub const fn is_merged(&self) -> bool {
        self.is_pumped && matches!(self.target, Target::Terminal)
    }

    pub const fn gaps(self, gaps: &'static [Gap]) -> Self {
        Self { gaps, ..self }
    }
}
