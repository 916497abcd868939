"""A handler for Python's logging that appends to a Lapwing ring, through liblapwing. One file: copy it where you need it.

    import logging, lapwing_logging
    logging.getLogger().addHandler(lapwing_logging.LapwingHandler())

The logger's name becomes the record's tag. What is too long for one record goes on in the next (flag `cont`). A child of
os.fork or multiprocessing goes on with the handler of its parent.
"""

import ctypes
import logging
import os

__all__ = ["LapwingError", "LapwingHandler", "level_of"]

# The smallest number of logging for each level; below DEBUG it is trace.
_LEVELS = ((logging.CRITICAL, 18), (logging.ERROR, 17), (logging.WARNING, 13), (logging.INFO, 9), (logging.DEBUG, 5))
_TRACE = 1


def level_of(levelno):
    """The Lapwing level of a level of logging: that of the next name below, so 25 is info and 5 is trace."""
    return next((level for number, level in _LEVELS if levelno >= number), _TRACE)


class LapwingError(OSError):
    """What liblapwing returned. `code` is a negative lapwing_error."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def _load(path):
    # No call waits for anything, so the interpreter's lock is kept: letting it go takes longer than a record.
    library = ctypes.PyDLL(path or os.environ.get("LAPWING_LIBRARY") or "liblapwing.so.0")
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    library.lapwing_strerror.argtypes = [ctypes.c_int]
    library.lapwing_strerror.restype = text
    library.lapwing_writer_open.argtypes = [text, ctypes.POINTER(pointer), text, ctypes.c_size_t]
    library.lapwing_writer_text.argtypes = [pointer, ctypes.c_int, text, text, ctypes.c_size_t, pointer]
    library.lapwing_writer_close.argtypes = [pointer]
    library.lapwing_writer_close.restype = None
    return library


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
        writer, why = ctypes.c_void_p(), ctypes.create_string_buffer(1024)
        name = None if ring is None else os.fsencode(ring)
        code = self._library.lapwing_writer_open(name, ctypes.byref(writer), why, len(why))
        if code:
            raise LapwingError(code, why.value.decode("utf-8", "replace"))
        self._writer = writer
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
