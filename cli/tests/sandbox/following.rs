//! A run that is not waited for, and the lines of both its streams as they come.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

pub struct Following {
    pub child: Child,
    pub out: Receiver<String>,
    pub err: Receiver<String>,
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    let stream = BufReader::new(stream);
    std::thread::spawn(move || stream.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    lines
}

impl Following {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        Self { child, out, err }
    }

    pub fn out(&self) -> String {
        self.out.recv_timeout(Duration::from_secs(20)).expect("a line within twenty seconds")
    }

    pub fn err(&self) -> String {
        self.err.recv_timeout(Duration::from_secs(20)).expect("a notice within twenty seconds")
    }

    /// Sends it a signal, by its name as kill(1) has it.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// How it ended; it has to within twenty seconds.
    pub fn ended(&mut self) -> ExitStatus {
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(20) {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("it goes on and on");
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
