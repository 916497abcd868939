"""python.py RING: uses the handler as programs do; what it has to have appended is in python.rs."""

import io
import logging
import multiprocessing
import os
import sys
import threading

import lapwing
from lapwing import LapwingError, LapwingHandler

ring = sys.argv[1]

handler = LapwingHandler(ring)
handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
root = logging.getLogger()
root.addHandler(handler)
root.setLevel(1)
log = logging.getLogger("disk.sda")

# Levels, those between names too.
for number in (1, 5, 10, 20, 25, 30, 40, 50, 60):
    log.log(number, "level %d", number)

# Texts that are not plain.
log.info("größe\nzweite Zeile")
log.info("half \udcff, zero \0 and on")
root.info("")
logging.getLogger("a\0b").info("tag with a zero")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("it failed")
log.info("long " + "ä" * 10000)

# A child of a fork, and a process of multiprocessing.
pid = os.fork()
if pid == 0:
    log.warning("child")
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
process = multiprocessing.get_context("fork").Process(target=log.warning, args=("worker",))
process.start()
process.join()
assert process.exitcode == 0
print("pids", os.getpid(), pid, process.pid)

# Threads at once.
threads = [threading.Thread(target=lambda: [log.debug("thread") for _ in range(100)]) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()

# Nothing leaves emit: neither a message that cannot be formatted nor a closed handler. logging prints both.
sys.stderr = io.StringIO()
log.info("%d", "no number")
assert "no number" in sys.stderr.getvalue(), sys.stderr.getvalue()
sys.stderr = io.StringIO()
handler.close()
handler.close()
log.info("closed")
assert "LapwingError" in sys.stderr.getvalue(), sys.stderr.getvalue()
sys.stderr = sys.__stderr__

# A ring that is none.
try:
    LapwingHandler(ring + ".none")
    sys.exit("opened what is not there")
except LapwingError as error:
    assert error.code == -7 and ring + ".none: no such ring" in str(error), error
