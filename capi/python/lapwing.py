"""Lapwing for Python, through liblapwing. One file: copy it where you need it.

What `logging` logs goes into a ring:

    import logging, lapwing
    logging.getLogger().addHandler(lapwing.LapwingHandler())

The logger's name becomes the record's tag. What is too long for one record goes on in the next (flag `cont`). A child of
os.fork or multiprocessing goes on with the handler of its parent.

A ring is read by iterating, to its end or for ever, in a loop of one's own, in select, or in asyncio:

    for record in lapwing.Reader("/run/lapwing/ring", follow=True):
        print(record.sequence, record.comm, record.text)

and what is in it goes to any handler of `logging`:

    lapwing.replay(lapwing.Reader(gaps=True), logging.StreamHandler())

`python3 lapwing.py [-f] [RING]` does that.
"""

import ctypes
import datetime
import logging
import operator
import os
import re
import select
import sys
import time
import typing

__all__ = ["Counts", "Gap", "LapwingError", "LapwingHandler", "Reader", "Record", "level_of", "log_record", "replay"]

# The smallest number of logging for each level; below DEBUG it is trace.
_LEVELS = ((logging.CRITICAL, 18), (logging.ERROR, 17), (logging.WARNING, 13), (logging.INFO, 9), (logging.DEBUG, 5))
_TRACE = 1
# The names of levels, each from its number on, with what logging calls it.
_NAMES = (
    (21, "EMERG", logging.CRITICAL),
    (19, "ALERT", logging.CRITICAL),
    (18, "CRIT", logging.CRITICAL),
    (17, "ERR", logging.ERROR),
    (13, "WARN", logging.WARNING),
    (10, "NOTICE", logging.INFO + 5),
    (9, "INFO", logging.INFO),
    (5, "DEBUG", logging.DEBUG),
    (0, "TRACE", logging.DEBUG - 5),
)
_SOURCES = ("api", "stdout", "stderr", "log", "syslog", "journal", "kmsg")
_KINDS = {1: "lost", 2: "abandoned", 3: "stalled", 4: "damaged"}


def level_of(levelno):
    """The Lapwing level of a level of logging: that of the next name below, so 25 is info and 5 is trace."""
    return next((level for number, level in _LEVELS if levelno >= number), _TRACE)


class LapwingError(OSError):
    """What liblapwing returned. `code` is a negative lapwing_error."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


class _Record(ctypes.Structure):
    """lapwing_record_t. Its pointers are read as addresses: there may be zeros in what they point to."""

    _fields_ = [
        ("sequence", ctypes.c_uint64),
        ("mono_ns", ctypes.c_uint64),
        ("real_ns", ctypes.c_int64),
        ("pid", ctypes.c_uint32),
        ("tid", ctypes.c_uint32),
        ("level", ctypes.c_uint8),
        ("source", ctypes.c_uint8),
        ("flags", ctypes.c_uint16),
        ("length", ctypes.c_uint32),
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_uint32),
        ("uid", ctypes.c_uint32),
        ("rolled_out", ctypes.c_uint64),
        ("comm", ctypes.c_void_p),
        ("tag", ctypes.c_void_p),
        ("comm_length", ctypes.c_uint32),
        ("tag_length", ctypes.c_uint32),
    ]


class _Gap(ctypes.Structure):
    """lapwing_gap_t."""

    _fields_ = [
        ("first", ctypes.c_uint64),
        ("count", ctypes.c_uint64),
        ("kind", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
    ]


class _Counts(ctypes.Structure):
    """lapwing_counts_t."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("read", "lost", "abandoned", "stalled")]


def _path(ring):
    if ring is None:
        return None
    path = os.fsencode(ring)
    if b"\0" in path:
        # To C that is where it ends, and what is in front of it may be another ring.
        raise ValueError("embedded null byte")
    return path


def _load(path):
    # No call waits for anything, so the interpreter's lock is kept: letting it go takes longer than a record.
    library = ctypes.PyDLL(path or os.environ.get("LAPWING_LIBRARY") or "liblapwing.so.0")
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint64
    library.lapwing_strerror.argtypes = [ctypes.c_int]
    library.lapwing_strerror.restype = text
    library.lapwing_writer_open.argtypes = [text, ctypes.POINTER(pointer), text, ctypes.c_size_t]
    library.lapwing_writer_text.argtypes = [pointer, ctypes.c_int, text, text, ctypes.c_size_t, pointer]
    library.lapwing_writer_close.argtypes = [pointer]
    library.lapwing_writer_close.restype = None
    library.lapwing_reader_open.argtypes = [text, ctypes.c_int, ctypes.POINTER(pointer), text, ctypes.c_size_t]
    library.lapwing_reader_next.argtypes = [
        pointer,
        ctypes.POINTER(_Record),
        ctypes.c_size_t,
        ctypes.POINTER(_Gap),
        ctypes.c_size_t,
    ]
    library.lapwing_reader_wait.argtypes = [pointer, ctypes.c_int]
    library.lapwing_reader_fd.argtypes = [pointer]
    library.lapwing_reader_seek.argtypes = [pointer, ctypes.c_int, number, ctypes.POINTER(number)]
    library.lapwing_reader_seq.argtypes = [pointer]
    library.lapwing_reader_seq.restype = number
    library.lapwing_reader_bounds.argtypes = [pointer, ctypes.POINTER(number), ctypes.POINTER(number)]
    library.lapwing_reader_counts.argtypes = [pointer, ctypes.POINTER(_Counts), ctypes.c_size_t]
    library.lapwing_reader_close.argtypes = [pointer]
    library.lapwing_reader_close.restype = None
    return library


def _opened(library, function, *arguments):
    """What a function that opens something gives, its name and options first; LapwingError says why it does not."""
    handle, why = ctypes.c_void_p(), ctypes.create_string_buffer(1024)
    code = function(*arguments, ctypes.byref(handle), why, len(why))
    if code:
        text = why.value or library.lapwing_strerror(code)
        raise LapwingError(code, text.decode("utf-8", "replace"))
    return handle


def _bytes(text):
    """UTF-8; half surrogates, which have none, are spelled out."""
    return text.encode("utf-8", "backslashreplace")


class LapwingHandler(logging.Handler):
    """Appends what is logged to a ring.

    `ring` is a path, or a name beside the default ring; None is the default ring, which is made if it is missing. `library`
    is the path of liblapwing.so; else $LAPWING_LIBRARY, else where the loader finds liblapwing.so.0.

    Raises LapwingError if the ring cannot be opened. What goes wrong later goes to handleError, as with every handler.
    """

    def __init__(self, ring=None, level=logging.NOTSET, library=None):
        self._writer = None
        self._library = _load(library)
        name = _path(ring)
        self._writer = _opened(self._library, self._library.lapwing_writer_open, name)
        super().__init__(level)

    def emit(self, record):
        """Appends one record; more if its text is long."""
        try:
            text = _bytes(self.format(record))
            # Of a tag that C cannot have, what is in front of the zero; of one that is no name any more, the beginning.
            tag = _bytes(record.name).partition(b"\0")[0][:255]
            level = level_of(record.levelno)
            code = self._library.lapwing_writer_text(self._writer, level, tag, text, len(text), None)
            if code:
                raise LapwingError(code, self._library.lapwing_strerror(code).decode())
        except Exception:
            self.handleError(record)

    def close(self):
        """Gives the writer back; what is logged afterwards goes to handleError."""
        self.acquire()
        try:
            writer, self._writer = self._writer, None
            if writer is not None:
                self._library.lapwing_writer_close(writer)
        finally:
            self.release()
        super().close()


class Record(typing.NamedTuple):
    """A record, as lapwing.h describes it. `comm`, `tag` and `data` are bytes."""

    sequence: int
    mono_ns: int
    real_ns: int
    pid: int
    tid: int
    level: int
    source: str
    flags: int
    uid: typing.Optional[int]
    rolled_out: int
    comm: bytes
    tag: bytes
    data: bytes

    @property
    def text(self):
        """The data as text; bytes that are no UTF-8 become half surrogates (PEP 383)."""
        return self.data.decode("utf-8", "surrogateescape")

    @property
    def time(self):
        """When it was written, in UTC, cut to microseconds."""
        return datetime.datetime.fromtimestamp(0, datetime.timezone.utc) + datetime.timedelta(
            microseconds=self.real_ns // 1000
        )


class Gap(typing.NamedTuple):
    """`count` records that this reader does not get, from `first` on. `kind` is lost, abandoned, stalled or damaged."""

    first: int
    count: int
    kind: str

    @property
    def last(self):
        """The last of them."""
        return self.first + self.count - 1

    def __str__(self):
        return f"*** {self.count} records {self.kind} (seq {self.first}..{self.last}) ***"


class Counts(typing.NamedTuple):
    """What a reader has passed since it was opened or moved."""

    read: int
    lost: int
    abandoned: int
    stalled: int


class Reader:
    """Reads a ring: an iterator of records, and with `gaps` of the gaps between them, each where it is.

    `ring` and `library` are as for LapwingHandler, but the ring has to be there. `start` is "oldest", "end" or a sequence; the
    default is 0: what is overwritten already comes out as lost. The iterator ends where the ring ends, unless `follow` is
    set. `mapped` is faster, and lets whoever cuts the file short end this process.

    Loss shows without gaps too: `record.rolled_out` records are missing in front of `record`. One thread may use a
    reader at a time. LapwingError says what is wrong with the ring.
    """

    _START = {"oldest": 0, "end": 1}

    def __init__(self, ring=None, *, start=0, follow=False, gaps=False, mapped=False, library=None):
        self._reader = None
        self._library = _load(library)
        self._record, self._gap = _Record(), _Gap()
        self.follow, self.gaps = follow, gaps
        name = _path(ring)
        self._reader = _opened(self._library, self._library.lapwing_reader_open, name, int(mapped))
        if start != 0:
            self.seek(start)

    def _checked(self, code):
        if code < 0:
            raise LapwingError(code, self._library.lapwing_strerror(code).decode())
        return code

    @property
    def _open(self):
        if self._reader is None:
            raise ValueError("the reader is closed")
        return self._reader

    def read(self):
        """The next record or gap, whether gaps are wanted or not; None if there is nothing to read now. Never waits."""
        record, gap = self._record, self._gap
        code = self._library.lapwing_reader_next(
            self._open, ctypes.byref(record), ctypes.sizeof(record), ctypes.byref(gap), ctypes.sizeof(gap)
        )
        if self._checked(code) == 0:
            return None
        if code == 2:
            return Gap(gap.first, gap.count, _KINDS.get(gap.kind, "missing"))
        return Record(
            record.sequence,
            record.mono_ns,
            record.real_ns,
            record.pid,
            record.tid,
            record.level,
            _SOURCES[record.source] if record.source < len(_SOURCES) else str(record.source),
            record.flags,
            None if record.uid == 0xFFFFFFFF else record.uid,
            record.rolled_out,
            ctypes.string_at(record.comm, record.comm_length),
            ctypes.string_at(record.tag, record.tag_length),
            ctypes.string_at(record.data, record.length),
        )

    def _wanted(self):
        while True:
            found = self.read()
            if self.gaps or not isinstance(found, Gap):
                return found

    def __iter__(self):
        return self

    def __next__(self):
        while True:
            found = self._wanted()
            if found is not None:
                return found
            if not self.follow:
                raise StopIteration
            self.wait()

    def __aiter__(self):
        return self

    async def __anext__(self):
        import asyncio

        loop = asyncio.get_running_loop()
        while True:
            found = self._wanted()
            if found is not None:
                return found
            if not self.follow:
                raise StopAsyncIteration
            ready, descriptor = asyncio.Event(), self.fileno()
            loop.add_reader(descriptor, ready.set)
            try:
                await ready.wait()
            finally:
                loop.remove_reader(descriptor)

    def fileno(self):
        """A descriptor for select, selectors and asyncio: readable until read() has given None. The first call starts a thread."""
        return self._checked(self._library.lapwing_reader_fd(self._open))

    def wait(self, timeout=None):
        """Waits until there is something to read, `timeout` seconds at most. Signals and other threads go on meanwhile."""
        poll, end = select.poll(), None if timeout is None else time.monotonic() + timeout
        poll.register(self.fileno(), select.POLLIN)
        while not self._checked(self._library.lapwing_reader_wait(self._open, 0)):
            left = None if end is None else (end - time.monotonic()) * 1000
            if not poll.poll(left if left is None or left > 0 else 0) and end is not None:
                return False
        return True

    def seek(self, to):
        """Moves to "oldest", "end" or a sequence; gives the sequence that it stands before now. Counts start anew."""
        now = ctypes.c_uint64()
        where = (self._START[to], 0) if isinstance(to, str) else (2, operator.index(to))
        if not 0 <= where[1] < 1 << 64:
            # ctypes would cut it to 64 bits, and -1 would be the end.
            raise ValueError(f"no sequence: {to}")
        self._checked(self._library.lapwing_reader_seek(self._open, *where, ctypes.byref(now)))
        return now.value

    @property
    def sequence(self):
        """The sequence that comes next."""
        return self._library.lapwing_reader_seq(self._open)

    @property
    def bounds(self):
        """The oldest sequence that can be read, and the one that the next record will get."""
        oldest, behind = ctypes.c_uint64(), ctypes.c_uint64()
        self._checked(self._library.lapwing_reader_bounds(self._open, ctypes.byref(oldest), ctypes.byref(behind)))
        return oldest.value, behind.value

    @property
    def counts(self):
        """What it has passed since it was opened or moved."""
        counts = _Counts()
        self._checked(self._library.lapwing_reader_counts(self._open, ctypes.byref(counts), ctypes.sizeof(counts)))
        return Counts(counts.read, counts.lost, counts.abandoned, counts.stalled)

    def close(self):
        """Gives memory, thread and descriptor back."""
        reader, self._reader = self._reader, None
        if reader is not None:
            self._library.lapwing_reader_close(reader)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()


# What would end a line, steer a terminal, or change the order of the characters around it; bytes that are no UTF-8; and
# what only looks like one of the escapes below.
_HIDDEN = re.compile(
    "(\\\\*)([\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
    "|(?<=\\\\)(?=x[0-9A-Fa-f]{2}|u\\{))"
)


def _escaped(data):
    """Bytes as one line of text, as `lapwing tail` writes them."""

    def spelled(match):
        slashes, character = match.groups()
        if not character:
            return slashes * 2
        code = ord(character)
        if 0xDC80 <= code <= 0xDCFF:
            code -= 0xDC00
        elif code >= 0x80:
            return slashes * 2 + f"\\u{{{code:x}}}"
        return slashes * 2 + f"\\x{code:02x}"

    return _HIDDEN.sub(spelled, data.decode("utf-8", "surrogateescape"))


def log_record(found):
    """A record or gap as a logging.LogRecord, for formatters, filters and handlers.

    The tag is the name, else the program's name is; process, thread, time and text are the record's, escaped so that one record
    is one line. `levelname` is Lapwing's. A gap is a warning by `lapwing`. `lapwing` is the record or gap itself.
    """
    if isinstance(found, Gap):
        log = logging.LogRecord("lapwing", logging.WARNING, "", 0, str(found), None, None)
        log.lapwing = found
        return log
    name, level = next((name, level) for number, name, level in _NAMES if found.level >= number)
    # No bracket opens in a name, so that the one in front of a pid is the first.
    comm, tag = (_escaped(name).replace("[", "\\x5b") for name in (found.comm, found.tag))
    log = logging.LogRecord(tag or comm, level, "", 0, _escaped(found.data), None, None)
    log.levelname = name
    log.process, log.processName = found.pid, comm
    log.thread, log.threadName = found.tid, str(found.tid)
    created = found.real_ns / 1e9
    log.relativeCreated += (created - log.created) * 1000
    log.created, log.msecs = created, found.real_ns // 1_000_000 % 1000 + 0.0
    log.lapwing = found
    return log


def replay(reader, handler):
    """Hands everything that `reader` gives to a handler of logging, whose level and filters decide what it takes."""
    for found in reader:
        log = log_record(found)
        if log.levelno >= handler.level:
            handler.handle(log)


def _main(arguments):
    follow = arguments[:1] == ["-f"]
    names = arguments[1:] if follow else arguments
    if len(names) > 1 or any(name.startswith("-") for name in names):
        print("usage: lapwing.py [-f] [RING]", file=sys.stderr)
        return 2

    class Printer(logging.StreamHandler):
        """Nobody who reads what is printed any more is the end, and no error."""

        def handleError(self, record):
            raise

    printer = Printer(sys.stdout)
    printer.setFormatter(logging.Formatter("%(asctime)s %(name)s[%(process)d] <%(levelname)s> %(message)s"))
    try:
        with Reader(*names, follow=follow, gaps=True) as reader:
            replay(reader, printer)
    except LapwingError as error:
        print(f"lapwing.py: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Nor when the interpreter flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
