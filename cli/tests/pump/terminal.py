"""Runs a command on a terminal of its own, and plays the user. terminal.py PLAY COMMAND...; prints what the screen got."""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time


def resize(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


play, command = sys.argv[1], sys.argv[2:]
child, screen = pty.fork()
if child == 0:
    # Whoever runs the tests in the background has these ignored.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    resize(0, 24, 80)
    os.execvp(command[0], command)

# What is typed, or a size, when this has appeared for the first time behind what came before.
steps = {
    "look": [],
    "quit": [(b"lines 1-", b"q")],
    "resize": [(b"waiting", (50, 100))],
    "jobs": [
        (b"ready> ", b"%s 1\n"),
        (b"told 0", b"\x1a"),
        (b"Stopped", b"jobs; fg\n"),
        (b"told", b"\n"),
        (b"told 1", b"\x03"),
        (b"ready> ", b"echo status $?\n"),
        (b"status 130", b"exit\n"),
    ],
}[play]
if play == "jobs":
    steps = [(wait, step.replace(b"%s", os.environb.get(b"TYPED", b""))) for wait, step in steps]

seen, behind, deadline = b"", 0, time.time() + 30
while time.time() < deadline:
    if select.select([screen], [], [], 0.1)[0]:
        try:
            more = os.read(screen, 65536)
        except OSError:
            break
        if not more:
            break
        seen += more
    while steps and steps[0][0] in seen[behind:]:
        wait, step = steps.pop(0)
        behind += seen[behind:].index(wait) + len(wait)
        time.sleep(0.1)
        if isinstance(step, tuple):
            resize(screen, *step)
        else:
            os.write(screen, step)
            # Not what is typed: what comes of it.
            time.sleep(0.2)
else:
    os.kill(child, 9)
    seen += b"\nTOO LATE"
sys.stdout.buffer.write(seen)
sys.stdout.buffer.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 255)
