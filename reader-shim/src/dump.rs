//! The dumper of RFC-0079: records into a slow device, which drops what it cannot carry and says how many, or into files
//! that are rotated. It only takes what a reader hands it, so no writer ever waits for it.

mod batch;
mod error;
mod keeper;
mod options;
mod orders;
mod pace;
mod place;
mod recover;
mod rotate;
mod sink;
mod target;

pub use error::DumpError;
pub use options::{DumpOptions, Sync};
pub use orders::Orders;
pub use rotate::Rotation;

use crate::filter::Filter;
use crate::follow::Item;
use crate::render::{Format, Renderer};
use batch::{Batch, Part};
use orders::Waited;
use pace::Pace;
use place::{Place, State, boot_id};
use recover::recover;
use sink::FileSink;
use std::borrow::Cow;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use target::{Stream, Target, is_file};

/// How often somebody without room looks whether there is some.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(500);

/// What a flush came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flushed {
    /// Everything is out.
    Done,
    /// We were told to finish, and the time for that is over.
    OutOfTime,
}

enum Sink {
    File(Box<FileSink>),
    Stream(Stream),
}

/// Takes records and losses to where they shall go.
pub struct Dump {
    filter: Filter,
    renderer: Renderer,
    batch: Batch,
    sink: Sink,
    place: Option<Place>,
    ring_id: [u64; 2],
    boot: String,
    pace: Option<Pace>,
    orders: Orders,
    to: PathBuf,
    is_raw: bool,
    is_damage_said: bool,
    /// There was no room, which was said.
    is_waiting: bool,
    say: fn(&str),
}

impl Dump {
    /// Opens everything; `say` tells the user what happens meanwhile.
    ///
    /// # Errors
    /// [`DumpError`]: what it is that cannot be opened, and why.
    pub fn open(options: DumpOptions, orders: Orders, say: fn(&str)) -> Result<Self, DumpError> {
        let DumpOptions { to, state, format, filter, rate, rotation, sync } = options;
        let is_file = is_file(&to)?;
        if !is_file && (rotation != Rotation::default() || sync != Sync::Rotate) {
            return Err(DumpError::NoFile { path: to });
        }
        // The lock on the state comes first: before we hold that, the file may be renamed.
        let state = state.or_else(|| is_file.then(|| state_of(&to)));
        let place = state.as_deref().map(Place::open).transpose()?;
        let sink = match Target::open(&to)? {
            Target::File(file) => {
                Sink::File(Box::new(FileSink::new(&to, file, format != Format::Raw, rotation, sync, say)))
            }
            Target::Stream(stream) => Sink::Stream(stream),
        };
        let is_raw = format == Format::Raw;
        Ok(Self {
            filter,
            // Always as for a terminal: losses stand among the records, and no record may look like one.
            renderer: Renderer::new(format, true),
            batch: Batch::new(is_raw),
            sink,
            place,
            ring_id: [0; 2],
            boot: boot_id(),
            pace: rate.map(Pace::new),
            orders,
            to,
            is_raw,
            is_damage_said: false,
            is_waiting: false,
            say,
        })
    }

    /// Where to go on in this ring; `None` where nothing is noted yet. Asked once, in front of the first
    /// [`Dump::start_at`].
    ///
    /// # Errors
    /// The file that was written to cannot be looked at.
    pub fn resume(&mut self, ring_id: [u64; 2]) -> Result<Option<u64>, DumpError> {
        let Some(state) = self.place.as_ref().and_then(|place| place.state.clone()) else {
            self.begin_file(None)?;
            return Ok(None);
        };
        let recovered = recover(&state, &self.to, &self.boot)?;
        self.begin_file(Some(&state))?;
        if state.ring_id != ring_id {
            self.say("the ring is not the one that was written from before; beginning with its sequence 0");
            return Ok(Some(0));
        }
        if recovered.has_lost {
            self.say("the machine went down before all was on the disk; beginning anew with what the ring has");
            return Ok(Some(0));
        }
        Ok(Some(recovered.next))
    }

    fn begin_file(&mut self, state: Option<&State>) -> Result<(), DumpError> {
        match &mut self.sink {
            Sink::File(sink) => sink.begin(state),
            Sink::Stream(_) => Ok(()),
        }
    }

    /// Stands before `seq` of this ring, which may be another one than before; all that was taken is out.
    ///
    /// # Errors
    /// That cannot be noted.
    pub fn start_at(&mut self, ring_id: [u64; 2], seq: u64) -> Result<(), DumpError> {
        self.ring_id = ring_id;
        self.batch.start_at(seq);
        self.note_nothing()?;
        self.settle()
    }

    fn settle(&mut self) -> Result<(), DumpError> {
        match &mut self.sink {
            Sink::File(sink) => sink.settle(),
            Sink::Stream(_) => Ok(()),
        }
    }

    /// What the user wants.
    pub fn orders(&mut self) -> &mut Orders {
        &mut self.orders
    }

    /// The first sequence that is not out.
    pub fn next_seq(&self) -> u64 {
        self.batch.first()
    }

    /// Takes one in. It is out after the next [`Dump::flush`].
    pub fn take(&mut self, item: Item<'_>) {
        match item {
            Item::Record(record, who) if !self.filter.wants(&record, &who) => {
                self.batch.pass(record.seq.wrapping_add(1))
            }
            Item::Record(record, who) => {
                self.renderer.record(&mut self.batch.bytes, &record, &who);
                self.batch.line(record.seq, record.seq.wrapping_add(1));
            }
            Item::Loss(loss) if self.is_raw => {
                // There is no place for it among bytes that are no lines.
                let mut line = Vec::new();
                self.renderer.loss(&mut line, &loss);
                self.say(String::from_utf8_lossy(&line).trim_end());
                self.batch.pass(loss.gap.last().wrapping_add(1));
            }
            Item::Loss(loss) => {
                self.renderer.loss(&mut self.batch.bytes, &loss);
                self.batch.line(loss.gap.first, loss.gap.last().wrapping_add(1));
            }
            // Once: a damaged ring can have a great many of them.
            Item::Damage(error) if !std::mem::replace(&mut self.is_damage_said, true) => {
                self.say(&format!("{error}; it is counted as lost, as are others like it"));
            }
            Item::Damage(_) => {}
        }
    }

    fn say(&self, text: &str) {
        (self.say)(text);
    }

    /// Is it time to flush? Before every second record where the sink is slow: what is not read yet is not late yet, and
    /// what the ring drops meanwhile is known.
    pub fn is_full(&self) -> bool {
        let is_slow = self.pace.is_some() || matches!(self.sink, Sink::Stream(_));
        self.batch.is_full() || is_slow && !self.batch.is_empty()
    }

    /// Writes what was taken. Waits while the sink takes nothing, or has no room.
    ///
    /// # Errors
    /// The sink is gone, or refuses for another reason than that it is full.
    pub fn flush(&mut self) -> Result<Flushed, DumpError> {
        loop {
            self.obey();
            let waited = match self.open_next().and_then(|()| self.write_part()) {
                Ok(None) => break,
                Ok(Some(waited)) => waited,
                Err(error) if error.is_no_room() => {
                    if !std::mem::replace(&mut self.is_waiting, true) {
                        self.say(&format!("{error}; waiting for room, from sequence {} on", self.next_seq()));
                    }
                    self.orders.wait(Some(LOOK_FOR_ROOM), None).map_err(DumpError::Wait)?
                }
                Err(error) => return Err(error),
            };
            if waited == Waited::OutOfTime {
                return Ok(Flushed::OutOfTime);
            }
        }
        if std::mem::take(&mut self.is_waiting) {
            self.say(&format!("{}: there is room again", self.to.display()));
        }
        Ok(Flushed::Done)
    }

    /// Leaves the file, if we are told to open it again and somebody has moved it away.
    fn obey(&mut self) {
        if self.orders.take_reopen()
            && let Sink::File(sink) = &mut self.sink
        {
            sink.leave_if_moved();
        }
    }

    /// Opens the next file where one was rotated or moved away. That is noted before the old one may be compressed.
    fn open_next(&mut self) -> Result<(), DumpError> {
        match &mut self.sink {
            Sink::File(sink) if sink.is_between() => sink.open_next()?,
            _ => return Ok(()),
        }
        self.note_nothing()?;
        self.settle()
    }

    /// Writes the next part; `None` when there is none.
    fn write_part(&mut self) -> Result<Option<Waited>, DumpError> {
        if self.batch.is_empty() {
            return Ok(None);
        }
        if let Some(wait) = self.pace.as_ref().and_then(|pace| pace.wait(Instant::now())) {
            return self.orders.wait(Some(wait), None).map(Some).map_err(DumpError::Wait);
        }
        let written = match &mut self.sink {
            Sink::Stream(stream) => {
                let part = self.batch.part(u64::MAX);
                let bytes = match !self.is_raw && stream.wants_returns() {
                    true => Cow::Owned(with_returns(&self.batch.bytes)),
                    false => Cow::Borrowed(self.batch.bytes.as_slice()),
                };
                let waited = stream.write(&bytes, &mut self.orders).map_err(DumpError::os(&self.to, "write"))?;
                let len = bytes.len();
                if waited == Waited::OutOfTime {
                    return Ok(Some(waited));
                }
                self.batch.drop_front(part);
                if self.place.is_some() {
                    self.note_nothing()?;
                }
                len
            }
            Sink::File(_) => self.write_to_file()?.len,
        };
        if let Some(pace) = &mut self.pace {
            pace.spent(written, Instant::now());
        }
        Ok(Some(Waited::Ready))
    }

    fn write_to_file(&mut self) -> Result<Part, DumpError> {
        let Sink::File(sink) = &mut self.sink else { return Ok(Part { len: 0, lines: 0 }) };
        if sink.is_to_rotate(self.batch.first_line())? {
            sink.rotate()?;
            self.open_next()?;
        }
        let Sink::File(sink) = &mut self.sink else { return Ok(Part { len: 0, lines: 0 }) };
        let part = self.batch.part(sink.room()?);
        sink.begin_at(self.batch.first());
        let (runs, next) = self.batch.runs_of(part.lines);
        if let Some(place) = &mut self.place {
            let base = sink.state(State::new(self.ring_id, next, &self.boot))?;
            place.store(State { len: part.len as u64, is_raw: self.is_raw, runs, ..base })?;
        }
        let (whole, outcome) = sink.append(&self.batch, part.len);
        self.batch.drop_front(whole);
        outcome?;
        Ok(whole)
    }

    /// Notes that all that was taken is out, as far as the batch says so.
    fn note_nothing(&mut self) -> Result<(), DumpError> {
        let next = self.batch.first();
        let Some(place) = &mut self.place else { return Ok(()) };
        let state = State::new(self.ring_id, next, &self.boot);
        place.store(match &self.sink {
            Sink::File(sink) => sink.state(state)?,
            Sink::Stream(_) => state,
        })
    }

    /// To be called now and then, and when there is nothing to read: everything is out.
    ///
    /// # Errors
    /// As [`Dump::flush`].
    pub fn idle(&mut self) -> Result<Flushed, DumpError> {
        if self.flush()? == Flushed::OutOfTime {
            return Ok(Flushed::OutOfTime);
        }
        let next = self.batch.first();
        let is_noted = self.place.as_ref().is_none_or(|place| {
            place.state.as_ref().is_some_and(|state| {
                (state.ring_id, state.start(), state.next, state.len) == (self.ring_id, next, next, 0)
            })
        });
        if !is_noted {
            self.note_unless_full()?;
        }
        if let Sink::File(sink) = &mut self.sink {
            sink.sync_if_due()?;
            if sink.is_over()? {
                sink.rotate()?;
                return self.flush();
            }
        }
        Ok(Flushed::Done)
    }

    /// The note can wait for room: the one before it tells the same from the file.
    fn note_unless_full(&mut self) -> Result<(), DumpError> {
        match self.note_nothing() {
            Err(error) if error.is_no_room() => Ok(()),
            noted => noted,
        }
    }

    /// Writes what was taken, notes how far it came, and has both written down for good, unless that is never wanted.
    ///
    /// # Errors
    /// As [`Dump::flush`].
    pub fn finish(mut self) -> Result<Flushed, DumpError> {
        let flushed = self.flush()?;
        self.note_unless_full()?;
        if let Sink::File(sink) = &mut self.sink
            && sink.finish()?
            && let Some(place) = &self.place
        {
            place.sync()?;
        }
        Ok(flushed)
    }
}

/// Newlines stand at the ends of lines and nowhere else.
fn with_returns(lines: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(lines.len() + 8);
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        out.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// `TO.state`.
fn state_of(to: &Path) -> PathBuf {
    let mut name = OsString::from(to);
    name.push(".state");
    name.into()
}
