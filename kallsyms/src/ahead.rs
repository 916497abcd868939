//! Reads a file in a thread of its own: the kernel makes the next lines of `/proc/kallsyms`, which takes it most of the time
//! of a load, while those before are packed.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread;

/// Several pages, which the kernel hands out one at a time.
const CHUNK: usize = 1 << 15;
/// So many are under way at most.
const CHUNKS: usize = 3;

/// What a thread reads ahead.
pub(crate) struct Ahead {
    read: Receiver<io::Result<Vec<u8>>>,
    used: Sender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Ahead {
    /// Begins to read; an error where there can be no thread.
    pub(crate) fn new(mut file: File) -> io::Result<Self> {
        let (send, read) = sync_channel(CHUNKS);
        let (used, spare) = channel::<Vec<u8>>();
        // Made here, not by the thread: the allocator would make an arena for it.
        for _ in 0..=CHUNKS {
            let _ = used.send(Vec::with_capacity(CHUNK));
        }
        let read_all = move || {
            // Ends when nobody reads any more: an error was found in what came before.
            while let Ok(mut chunk) = spare.recv() {
                chunk.clear();
                let filled = (&mut file).take(CHUNK as u64).read_to_end(&mut chunk);
                let ended = filled.as_ref().map_or(true, |&filled| filled == 0);
                if send.send(filled.map(|_| chunk)).is_err() || ended {
                    return;
                }
            }
        };
        thread::Builder::new().name("lapwing-kallsyms".into()).spawn(read_all)?;
        Ok(Self { read, used, current: Vec::new(), at: 0, ended: false })
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.current.len() && !self.ended {
            // Without a word of the end there is nobody to read: that does not happen.
            let next = self.read.recv().map_err(|_| io::Error::from(ErrorKind::BrokenPipe))??;
            let used = std::mem::replace(&mut self.current, next);
            if used.capacity() > 0 {
                // Not taken where the thread has come to the end.
                let _ = self.used.send(used);
            }
            self.at = 0;
            self.ended = self.current.is_empty();
        }
        let len = buffer.len().min(self.current.len() - self.at);
        buffer[..len].copy_from_slice(&self.current[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ahead, CHUNK, CHUNKS};
    use std::fs::File;
    use std::io::{Read, Write};

    #[test]
    fn everything_comes_in_order_and_ends() {
        let mut file = tempfile::tempfile().unwrap();
        let content: Vec<u8> = (0..3 * CHUNK * CHUNKS + 17).map(|at| (at / 7) as u8).collect();
        file.write_all(&content).unwrap();
        let mut file = Ahead::new(reopened(&file)).unwrap();
        let mut all = Vec::new();
        file.read_to_end(&mut all).unwrap();
        assert!(all == content);
        assert_eq!(file.read(&mut [0; 10]).unwrap(), 0);
    }

    #[test]
    fn an_error_comes_through() {
        let mut folder = Ahead::new(File::open("/").unwrap()).unwrap();
        assert!(folder.read(&mut [0; 10]).is_err());
    }

    /// The file from its start.
    fn reopened(file: &File) -> File {
        use std::os::fd::AsRawFd;
        File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap()
    }
}
