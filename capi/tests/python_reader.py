"""python_reader.py GAPS LIVE COPY FOREIGN: reads rings as programs do; what is in them is in python_reader.rs.

GAPS has lost records, then "record N" up to 2999, an abandoned 3000, 3001. LIVE is empty. FOREIGN is no ring.
"""

import asyncio
import io
import logging
import os
import selectors
import subprocess
import sys
import threading
import time

import lapwing
from lapwing import Gap, LapwingError, LapwingHandler, Reader

gaps, live, copy, foreign = sys.argv[1:]


def threads():
    return len(os.listdir("/proc/self/task"))


def descriptors():
    return len(os.listdir("/proc/self/fd"))


# Every record and every gap, where it is.
for mapped in (False, True):
    with Reader(gaps, gaps=True, mapped=mapped) as reader:
        oldest, behind = reader.bounds
        first = next(reader)
        assert first == Gap(0, oldest, "lost") and first.last == oldest - 1, first
        found = []
        # What is in flight is no end: the dead are found out about in a millisecond.
        while reader.sequence < behind:
            found += list(reader)
            time.sleep(0.005)
        assert reader.counts == (3001 - oldest, oldest, 1, 0), reader.counts
    records = [record for record in found if not isinstance(record, Gap)]
    assert [record.sequence for record in records] == list(range(oldest, 3000)) + [3001]
    assert all(record.text == f"record {record.sequence}" for record in records)
    assert [record.rolled_out for record in records] == [oldest] + [0] * (len(records) - 2) + [1]
    assert found[-2] == Gap(3000, 1, "abandoned") and str(found[-2]) == "*** 1 records abandoned (seq 3000..3000) ***"
    try:
        reader.read()
        sys.exit("read what is closed")
    except ValueError:
        pass

# Without gaps they are passed, and rolled_out tells; a copy is as good.
for path in (gaps, copy):
    reader = Reader(path, start=5)
    record = next(reader)
    assert (record.sequence, record.rolled_out) == (oldest, oldest - 5)
    assert (record.pid, record.level, record.source, record.uid) == (os.getppid(), 9, "api", os.geteuid()), record
    assert abs(record.time.timestamp() - time.time()) < 3600 and 0 < record.mono_ns < time.monotonic_ns()
    assert reader.seek("oldest") == oldest and reader.seek(2990) == 2990 and next(reader).sequence == 2990
    assert reader.seek("end") == behind and reader.read() is None and list(reader) == []
    reader.close()

# Following: a thread that logs, and a loop that waits for it; what Python logs comes back.
before = (threads(), descriptors())
handler = LapwingHandler(live)
log = logging.getLogger("disk.sda")
log.addHandler(handler)
log.setLevel(1)
log.propagate = False


def later(*texts):
    def run():
        for text in texts:
            time.sleep(0.02)
            log.warning("%s", text)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


reader = Reader(live, follow=True)
thread = later("one", "two\0\udcff", "")
seen = [next(reader) for _ in range(3)]
thread.join()
assert [record.data for record in seen] == [b"one", b"two\0\\udcff", b""], seen
assert all((record.tag, record.pid, record.level) == (b"disk.sda", os.getpid(), 13) for record in seen)
assert all(record.comm.startswith(b"python") for record in seen), seen
since = time.monotonic()
assert not reader.wait(0.1) and 0.09 < time.monotonic() - since < 5

# A selector; the reader is the file.
selector = selectors.DefaultSelector()
selector.register(reader, selectors.EVENT_READ)
assert selector.select(0) == []
thread = later("by selector")
assert selector.select(10)[0][0].fileobj is reader and reader.read().text == "by selector"
assert reader.read() is None and selector.select(0) == []
thread.join()
selector.close()


# asyncio, with something else in the same loop.
async def both():
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    other = asyncio.create_task(tick())
    thread = later(*(f"task {n}" for n in range(5)))
    texts = []
    async for record in reader:
        texts.append(record.text)
        if len(texts) == 5:
            break
    other.cancel()
    thread.join()
    assert texts == [f"task {n}" for n in range(5)] and ticks > 5, (texts, ticks)


asyncio.run(asyncio.wait_for(both(), 20))

# A child of a fork reads on, and so does its parent.
log.warning("for both")
pid = os.fork()
if pid == 0:
    ok = next(reader).text == "for both" and not reader.wait(0)
    log.warning("from the child")
    os._exit(0 if ok and next(reader).text == "from the child" else 1)
assert os.waitpid(pid, 0)[1] == 0
assert [next(reader).text for _ in range(2)] == ["for both", "from the child"]

# Thread and descriptors go with the reader and the handler.
reader.close()
log.removeHandler(handler)
handler.close()
since = time.monotonic()
while (threads(), descriptors()) != before and time.monotonic() - since < 10:
    time.sleep(0.01)
assert (threads(), descriptors()) == before, (threads(), descriptors(), before)

# To handlers of logging.
stream = io.StringIO()
printer = logging.StreamHandler(stream)
printer.setFormatter(logging.Formatter("%(levelname)s %(levelno)d %(name)s %(process)d %(message)s"))
lapwing.replay(Reader(live, gaps=True), printer)
lines = stream.getvalue().splitlines()
assert lines[:3] == [
    f"WARN 30 disk.sda {os.getpid()} one",
    f"WARN 30 disk.sda {os.getpid()} two\\x00\\\\udcff".replace("\\\\udcff", "\\udcff"),
    f"WARN 30 disk.sda {os.getpid()} ",
], lines
assert len(lines) == 11, lines
stream.truncate(0)
printer.setLevel(logging.ERROR)
lapwing.replay(Reader(live), printer)
assert stream.getvalue() == ""
printer.setLevel(logging.WARNING)
lapwing.replay(Reader(gaps, gaps=True), printer)
assert stream.getvalue().strip("\0").startswith(f"WARNING 30 lapwing {os.getpid()} *** {oldest} records lost (seq 0..{oldest - 1}) ***\n")

# Every level has its name and number, and no text forges a line or a name.
made = Reader(gaps, start=oldest).read()
for level, name, number in ((1, "TRACE", 5), (8, "DEBUG", 10), (9, "INFO", 20), (10, "NOTICE", 25), (13, "WARN", 30)):
    assert lapwing.log_record(made._replace(level=level)).levelname == name
    assert lapwing.log_record(made._replace(level=level)).levelno == number
for level, name in ((17, "ERR"), (18, "CRIT"), (19, "ALERT"), (20, "ALERT"), (21, "EMERG"), (24, "EMERG")):
    record = lapwing.log_record(made._replace(level=level))
    assert record.levelname == name and record.levelno == (40 if level == 17 else 50)
forged = lapwing.log_record(
    made._replace(data="a\tb\x1b[31m\n\x7f é\x9b \u202e \\x1b".encode() + b"\xff\\", comm=b"init[1] \n", tag=b"")
)
assert forged.getMessage() == "a\tb\\x1b[31m\\x0a\\x7f é\\u{9b} \\u{202e} \\\\x1b\\xff\\", forged.getMessage()
assert forged.name == forged.processName == "init\\x5b1] \\x0a", forged.name
made = made._replace(real_ns=1_795_240_422_123_456_789)
assert made.time.isoformat() == "2026-11-21T05:53:42.123456+00:00", made.time
record = lapwing.log_record(made)
assert record.msecs == 123 and record.lapwing is made and abs(record.created - 1795240422.123456) < 1e-5

# What cannot be read.
for path, code in ((live + ".none", -7), (foreign, -8)):
    try:
        Reader(path)
        sys.exit(f"opened {path}")
    except LapwingError as error:
        assert error.code == code and path in str(error), error

# What C would take for something else.
reader = Reader(live)
for wrong in (-1, 1 << 64):
    try:
        reader.seek(wrong)
        raise AssertionError(f"stands at {reader.sequence} after {wrong}")
    except ValueError:
        assert reader.sequence == 0
for opens in (Reader, lapwing.LapwingHandler):
    try:
        opens(live + "\0.other")
        raise AssertionError(f"{opens} opened {live}")
    except ValueError:
        pass
reader.close()

# The printer.
program = [sys.executable, lapwing.__file__]
done = subprocess.run([*program, live], capture_output=True, text=True, check=True)
lines = done.stdout.splitlines()
assert len(lines) == 11 and lines[0].endswith(f" disk.sda[{os.getpid()}] <WARN> one"), lines
assert subprocess.run([*program, foreign], capture_output=True).returncode == 1
assert subprocess.run([*program, "-x"], capture_output=True).returncode == 2
# Nobody reads what it prints any more.
with subprocess.Popen([*program, "-f", gaps], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as printing:
    assert "records lost" in printing.stdout.readline()
    printing.stdout.close()
    assert printing.stderr.read() == "" and printing.wait(20) == 0
print("done")
