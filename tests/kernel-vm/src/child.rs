//! The same program as another user: it gets orders line by line, and answers likewise.

#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const NOBODY: u32 = 65534;

/// A process without any privilege.
pub struct Nobody {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

pub fn as_nobody(arguments: &[&str]) -> Nobody {
    let mut child = Command::new("/proc/self/exe")
        .args(arguments)
        .uid(NOBODY)
        .gid(NOBODY)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let answers = BufReader::new(child.stdout.take().expect("its answers"));
    Nobody { orders: child.stdin.take(), answers, child }
}

impl Nobody {
    /// What it says to `order`.
    pub fn asked(&mut self, order: &str) -> String {
        let orders = self.orders.as_mut().expect("it takes orders");
        writeln!(orders, "{order}").expect("it takes orders");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("an answer");
        answer.trim_end().to_owned()
    }

    /// All that is left of what it says, when it gets no more orders.
    pub fn ended(mut self) -> Vec<String> {
        drop(self.orders.take());
        let answers = self.answers.lines().collect::<Result<_, _>>().expect("answers");
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "the child ended with {status}, having said {answers:?}");
        answers
    }
}

/// What the child does.
pub fn act(arguments: &[String]) {
    match arguments {
        [part] if part == "hidden" => println!("{:?}", crate::hidden::hidden()),
        [part, path] if part == "shared" => crate::shared::serve(path),
        _ => panic!("no such part: {arguments:?}"),
    }
}
