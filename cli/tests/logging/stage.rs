//! A ring, a program and a /dev/log of our own: a mount namespace in which a folder of the test lies over /dev.

use lapwing_ring::{Create, Field, Flags, Read as Step, Reader, Value};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// What a reader found of one record: source, level, tag and text; the other fields; is it cut or goes on?
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub what: String,
    pub fields: Vec<(String, String)>,
    pub flags: Flags,
    pub pid: u32,
}

/// A record as `Seen` has it: `source level tag: text`.
pub fn texts(records: &[Seen]) -> Vec<&str> {
    records.iter().map(|record| record.what.as_str()).collect()
}

pub struct Stage {
    folder: tempfile::TempDir,
}

/// Needs `/dev/log` in place, which takes root.
pub fn can_mount() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    let can = *CAN.get_or_init(|| {
        let set_up = "mount -t tmpfs none /run && mount --bind /run /dev";
        let tried = Command::new("unshare").args(["--mount", "sh", "-c", set_up]).output();
        tried.is_ok_and(|output| output.status.success())
    });
    if !can {
        println!("skipped: no mounts can be made here, so /dev/log cannot be replaced");
    }
    can
}

const MOUNTS: &str = "set -e
for device in null zero full random urandom; do
    touch $0/dev/$device; mount --bind /dev/$device $0/dev/$device
done
mount --rbind $0/dev /dev
mount -t tmpfs none /run; mkdir -p /run/systemd/journal; mount --bind $0/journal /run/systemd/journal
exec \"$@\"";

impl Stage {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Create::new().size(8 << 20).create(&folder.path().join("ring")).unwrap();
        Self { folder }
    }

    fn ring(&self) -> PathBuf {
        self.folder.path().join("ring")
    }

    fn captured(&self, options: &[&str], command: &[&str]) -> Vec<String> {
        let ring = self.ring();
        let run = [env!("CARGO_BIN_EXE_lapwing"), "run", "--ring", ring.to_str().unwrap()];
        let all = [&run[..], options, &["--"], command].concat();
        all.into_iter().map(String::from).collect()
    }

    fn command(line: &[String]) -> Command {
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]);
        command.env_remove("LD_PRELOAD").env_remove("LAPWING_STREAM").env_remove("LAPWING_PRELOAD");
        command
    }

    /// Runs it with the machine's own /dev/log, if there is any.
    pub fn run(&self, options: &[&str], command: &[&str]) -> Output {
        Self::command(&self.captured(options, command)).output().unwrap()
    }

    /// Runs it with a /dev/log and a journal's socket of our own, and gives what came in there.
    pub fn served(&self, command: &[&str]) -> (Output, Vec<Vec<u8>>) {
        self.serve(&self.captured(&[], command))
    }

    /// As `served`, but not captured.
    pub fn plain(&self, command: &[&str]) -> (Output, Vec<Vec<u8>>) {
        self.serve(&command.iter().map(|word| word.to_string()).collect::<Vec<_>>())
    }

    fn serve(&self, line: &[String]) -> (Output, Vec<Vec<u8>>) {
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap();
        let sockets = ["dev/log", "journal/socket"].map(|name| {
            let path = folder.path().join(name);
            std::fs::create_dir(path.parent().unwrap()).unwrap();
            let socket = UnixDatagram::bind(path).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            socket
        });
        let mounts = ["unshare", "--mount", "sh", "-c", MOUNTS, folder.path().to_str().unwrap()].map(String::from);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let receivers = sockets.map(|socket| scope.spawn(|| receive(socket, &is_over)));
            let output = Self::command(&[&mounts, line].concat()).output();
            is_over.store(true, Relaxed);
            let received = receivers.map(|receiver| receiver.join().unwrap()).concat();
            (output.unwrap(), received)
        })
    }

    /// All records, from the first one on; none may be missing.
    pub fn records(&self) -> Vec<Seen> {
        let mut reader = Reader::open(&self.ring()).unwrap();
        let mut records = Vec::new();
        loop {
            let record = match reader.next().unwrap() {
                Step::Record(record) => record,
                Step::NotYet { in_flight: false } => return records,
                other => panic!("behind {} records: {other:?}", records.len()),
            };
            assert_eq!(record.seq, records.len() as u64);
            let (mut tag, mut fields) = (String::new(), Vec::new());
            for field in record.fields {
                match field {
                    Field::Tag(name) => tag = format!(" {}:", text(name)),
                    Field::KeyValue(key, Value::Text(value)) => fields.push((text(key), text(value))),
                    Field::KeyValue(key, Value::Uint(value)) => fields.push((text(key), value.to_string())),
                    // Who the writer is says the ring.
                    _ => {}
                }
            }
            let what = format!("{} {}{tag} {}", record.source, record.level, text(record.payload));
            let flags = [Flags::CONT, Flags::PARTIAL].into_iter().filter(|&flag| record.flags.contains(flag));
            let flags = flags.fold(Flags::NONE, |all, flag| all | flag);
            records.push(Seen { what, fields, flags, pid: record.pid });
        }
    }
}

fn receive(socket: UnixDatagram, is_over: &AtomicBool) -> Vec<Vec<u8>> {
    let mut received = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        // Before receiving: what was sent by then is there.
        let was_over = is_over.load(Relaxed);
        match socket.recv(&mut buffer) {
            Ok(len) => received.push(buffer[..len].to_vec()),
            Err(_) if was_over => return received,
            Err(_) => {}
        }
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// tests/logging/program.c, compiled as `options` say. `None`, and says so, if it cannot be.
pub fn program(name: &str, options: &[&str]) -> Option<String> {
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("logging-{name}"));
    let mine = binary.with_extension(format!("{}-{:?}", std::process::id(), std::thread::current().id()));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/logging/program.c");
    let cc = Command::new("cc").args(["-w", "-pthread", "-o"]).arg(&mine).arg(source).args(options).output().unwrap();
    if !cc.status.success() {
        println!("skipped: {name} does not compile here: {}", text(&cc.stderr).lines().next().unwrap_or_default());
        return None;
    }
    std::fs::rename(&mine, &binary).unwrap();
    Some(binary.to_str().unwrap().to_owned())
}
