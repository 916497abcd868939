//! What strace has seen a program and its children write: which process, to what, which bytes, by which way.

use lapwing_ring::Source;
use std::collections::{BTreeSet, HashMap};

/// The calls that put bytes somewhere, and those that say who is who and what is where.
pub const TRACED: &str = "write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,sendmmsg,sendfile,copy_file_range,\
splice,tee,vmsplice,dup2,dup3,clone,clone3,fork,vfork,execve,execveat";

/// The longest string that strace shows.
pub const LONGEST: usize = 4 << 20;

/// One call that wrote to standard output or standard error.
#[derive(Clone, Debug)]
pub struct Written {
    pub pid: u32,
    pub source: Source,
    pub bytes: Bytes,
    /// How the library heard of it; `None`: not at all. Known only where strace shows stacks.
    pub way: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Bytes {
    Known(Vec<u8>),
    /// So many, which the kernel took from another descriptor.
    Copied(usize),
}

impl Bytes {
    pub fn len(&self) -> usize {
        match self {
            Self::Known(bytes) => bytes.len(),
            Self::Copied(len) => *len,
        }
    }

    /// May these be the bytes `other`?
    pub fn may_be(&self, other: &[u8]) -> bool {
        match self {
            Self::Known(bytes) => bytes == other,
            Self::Copied(len) => *len == other.len(),
        }
    }
}

/// What the two streams are, as /proc/self/fd says it; several where the pump puts something in their place.
pub struct Names {
    pub out: Vec<String>,
    pub err: Vec<String>,
}

impl Names {
    /// The rule of `lapwing run`: what a descriptor is open on counts, and its number where both are the same.
    fn source(&self, fd: u32, name: &str) -> Option<Source> {
        let is = |names: &[String]| names.iter().any(|known| known == name);
        match (is(&self.out), is(&self.err)) {
            (true, true) if fd == 2 => Some(Source::Stderr),
            (true, _) => Some(Source::Stdout),
            (false, true) => Some(Source::Stderr),
            (false, false) => None,
        }
    }
}

/// A line of the trace: a call that has returned, the line that it began in, and its stack.
struct Call<'a> {
    tid: u32,
    began: usize,
    ended: usize,
    name: String,
    /// What stands between the parentheses.
    arguments: String,
    result: i64,
    stack: Vec<&'a str>,
}

/// Reads a trace made with `-f -y -v -xx`, with or without `-k`. What the kernel copies is `copied`, if it is as long.
pub fn read(trace: &str, mut names: Names, copied: &str) -> Vec<Written> {
    let calls = calls(trace);
    let people = People::of(&calls);
    for call in calls.iter().filter(|call| people.prepares(call)) {
        let Some((_, name)) = target(call) else { continue };
        match call.result {
            1 => names.out.push(name),
            2 => names.err.push(name),
            _ => {}
        }
    }
    let mut all = Vec::new();
    for call in &calls {
        let Some((fd, name)) = target(call).filter(|_| !call.name.starts_with("dup")) else { continue };
        let Some(source) = names.source(fd, &name) else { continue };
        let pid = people.process(call.tid);
        if call.result > 0 && !people.is_lapwing(call.tid, call.ended) {
            all.push(Written { pid, source, bytes: bytes(call, copied), way: way(call) });
        }
    }
    all
}

fn calls(trace: &str) -> Vec<Call<'_>> {
    let mut unfinished = HashMap::new();
    let mut calls: Vec<Call<'_>> = Vec::new();
    for (number, line) in trace.lines().enumerate() {
        if let Some(frame) = line.strip_prefix(" > ") {
            if let Some(call) = calls.last_mut() {
                call.stack.push(frame);
            }
            continue;
        }
        let Some((tid, rest)) = line.split_once(' ') else { continue };
        let (Ok(tid), rest) = (tid.parse::<u32>(), rest.trim_start()) else { continue };
        if let Some(begin) = rest.strip_suffix(" <unfinished ...>") {
            unfinished.insert(tid, (number, begin.to_owned()));
            continue;
        }
        let mut whole = (number, rest.to_owned());
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some((_, end)) = resumed.split_once(" resumed>") else { continue };
            let Some((began, begin)) = unfinished.remove(&tid) else { continue };
            whole = (began, begin + end);
        }
        let (began, text) = whole;
        let Some((head, result)) = text.rsplit_once(" = ") else { continue };
        let Some((name, arguments)) = head.split_once('(') else { continue };
        let digits = result.split(|c: char| c != '-' && !c.is_ascii_digit()).next().unwrap_or_default();
        let Ok(result) = digits.parse() else { continue };
        let (name, arguments) = (name.to_owned(), arguments.to_owned());
        calls.push(Call { tid, began, ended: number, name, arguments, result, stack: Vec::new() });
    }
    calls
}

/// Where a call writes to, or what it duplicates: a descriptor, and what it is open on.
fn target(call: &Call<'_>) -> Option<(u32, String)> {
    let place = match call.name.as_str() {
        "copy_file_range" | "splice" | "tee" => call.arguments.rfind('<')?,
        "clone" | "clone3" | "fork" | "vfork" | "execve" | "execveat" => return None,
        _ => call.arguments.find('<')?,
    };
    let digits = call.arguments[..place].rsplit(|c: char| !c.is_ascii_digit()).next()?;
    let name = call.arguments[place + 1..].split('>').next()?;
    Some((digits.parse().ok()?, String::from_utf8(unescape(name)).ok()?))
}

fn bytes(call: &Call<'_>, copied: &str) -> Bytes {
    let len = call.result as usize;
    if ["sendfile", "copy_file_range", "splice", "tee"].contains(&call.name.as_str()) {
        return if copied.len() == len { Bytes::Known(copied.into()) } else { Bytes::Copied(len) };
    }
    // A call for many messages says in the end how many it has sent, not how many bytes.
    let all: Vec<u8> = call.arguments.split('"').skip(1).step_by(2).flat_map(unescape).collect();
    assert!(call.name == "sendmmsg" || all.len() >= len, "strace has cut {} off: {} of {len}", call.name, all.len());
    Bytes::Known(if call.name == "sendmmsg" { all } else { all[..len].to_vec() })
}

/// Undoes `\xNN`; strace writes some names without.
fn unescape(text: &str) -> Vec<u8> {
    let (text, mut bytes) = (text.as_bytes(), Vec::new());
    let mut at = 0;
    while at < text.len() {
        let hex = text.get(at + 2..at + 4).filter(|_| text[at..].starts_with(b"\\x"));
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(text[at]));
        at += if byte.is_some() { 4 } else { 1 };
    }
    bytes
}

fn way(call: &Call<'_>) -> Option<&'static str> {
    let hook = call.stack.iter().position(|frame| frame.contains("liblapwing_preload.so("))?;
    if call.stack[..hook].iter().any(|frame| frame.contains("_IO_file_write")) {
        return Some("stdio");
    }
    TRACED.split(',').find(|known| *known == call.name)
}

/// Which thread belongs to which process, and which process runs our own command.
struct People {
    /// The thread that made a thread, and whether the two are one process.
    made_by: HashMap<u32, (u32, bool, usize)>,
    /// Line, and whether it is ours, of each exec.
    execs: HashMap<u32, Vec<(usize, bool)>>,
}

impl People {
    fn of(calls: &[Call<'_>]) -> Self {
        let mut people = Self { made_by: HashMap::new(), execs: HashMap::new() };
        // A child may be through its exec before the call that made it returns.
        for call in calls.iter().filter(|call| call.result > 0) {
            if let "clone" | "clone3" | "fork" | "vfork" = call.name.as_str() {
                let is_thread = call.arguments.contains("CLONE_THREAD");
                people.made_by.insert(call.result as u32, (call.tid, is_thread, call.began));
            }
        }
        for call in calls {
            match call.name.as_str() {
                "execve" | "execveat" if call.result == 0 => {
                    let path = call.arguments.split('"').nth(1).map(unescape).unwrap_or_default();
                    let is_lapwing = match path.as_slice() {
                        b"/proc/self/exe" => people.is_lapwing(call.tid, call.began),
                        path => path.rsplit(|&byte| byte == b'/').next() == Some(b"lapwing"),
                    };
                    people.execs.entry(call.tid).or_default().push((call.ended, is_lapwing));
                }
                _ => {}
            }
        }
        people
    }

    fn process(&self, mut tid: u32) -> u32 {
        while let Some(&(maker, true, _)) = self.made_by.get(&tid) {
            tid = maker;
        }
        tid
    }

    /// Does our own command here make the streams of the program that it is about to become?
    fn prepares(&self, call: &Call<'_>) -> bool {
        let then = self.execs.get(&call.tid).and_then(|execs| execs.iter().find(|(at, _)| *at > call.ended));
        call.name.starts_with("dup")
            && self.is_lapwing(call.tid, call.ended)
            && then.is_some_and(|(_, is_ours)| !is_ours)
    }

    /// What our own command prints is not meant to be captured.
    fn is_lapwing(&self, tid: u32, line: usize) -> bool {
        let pid = self.process(tid);
        let execs = self.execs.get(&pid).into_iter().flatten();
        match (execs.take_while(|(at, _)| *at < line).last(), self.made_by.get(&pid)) {
            (Some((_, is_lapwing)), _) => *is_lapwing,
            (None, Some(&(maker, _, began))) => self.is_lapwing(maker, began),
            (None, None) => false,
        }
    }
}

/// The ways of all, each once.
pub fn ways(written: &[Written]) -> BTreeSet<&'static str> {
    written.iter().filter_map(|call| call.way).collect()
}
