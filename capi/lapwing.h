/*
 * Lapwing: a system-wide debug log with no daemon. Programs append records to a ring in shared memory.
 *
 *     lapwing_writer_t *log;
 *     if (lapwing_writer_open(NULL, &log, NULL, 0) == LAPWING_OK) {
 *         lapwing_writer_puts(log, LAPWING_WARN, "disk almost full", NULL);
 *         lapwing_writer_close(log);
 *     }
 *
 * Functions that can fail return LAPWING_OK (0) or a negative lapwing_error. errno is as before after every call, no
 * function is a cancellation point, nothing is ever printed. A thread that can be cancelled asynchronously may call none.
 *
 * Signals: a function marked "signal-safe" may be called in signal handlers, also in one that interrupted the same
 * function. It takes no lock, allocates nothing and never waits. If the library was loaded by dlopen(3), the C library
 * allocates at the first call in each thread: make it, or lapwing_prepare_thread, outside of signal handlers.
 *
 * Forks: a child may go on with its parent's writers, and its records have its own pid. Both close theirs. A child that was
 * forked in a signal handler must not return from that handler. After vfork(2) no function may be called.
 *
 * Whoever may write the ring's file can cut it short, and touching it then raises SIGBUS, as with every mapped file.
 *
 * Made by capi/header out of capi/src; not to be edited.
 */

#ifndef LAPWING_H
#define LAPWING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/**
 * The most pieces that lapwing_writer_writev takes.
 */
#define LAPWING_MAX_PIECES 64

/**
 * How severe a record is: OpenTelemetry severity numbers. Every number from 1 to 24 is a level; these have names.
 */
typedef enum lapwing_level {
  LAPWING_TRACE = 1,
  LAPWING_DEBUG = 5,
  LAPWING_INFO = 9,
  LAPWING_NOTICE = 10,
  LAPWING_WARN = 13,
  LAPWING_ERR = 17,
  LAPWING_CRIT = 18,
  LAPWING_ALERT = 19,
  LAPWING_EMERG = 21,
} lapwing_level;

/**
 * What functions return. A number never changes its meaning; later versions may have more of them.
 */
typedef enum lapwing_error {
  /**
   * Done.
   */
  LAPWING_OK = 0,
  /**
   * An argument is NULL that may not be, or no level, or longer than it may be.
   */
  LAPWING_E_INVALID = -1,
  /**
   * The record is longer than this ring's records can be; nothing of it was appended.
   */
  LAPWING_E_TOO_LARGE = -2,
  /**
   * Every writer slot of the ring is in use.
   */
  LAPWING_E_TOO_MANY_WRITERS = -3,
  /**
   * Every page of the ring is held by a writer that stopped in the middle of a record.
   */
  LAPWING_E_ALL_PAGES_PINNED = -4,
  /**
   * Too many appends of this process are in progress at once.
   */
  LAPWING_E_BUSY = -5,
  /**
   * The ring is damaged: its words contradict each other.
   */
  LAPWING_E_DAMAGED = -6,
  /**
   * There is no such ring, or not the folder that it would lie in.
   */
  LAPWING_E_NOT_FOUND = -7,
  /**
   * It is not a ring.
   */
  LAPWING_E_NOT_A_RING = -8,
  /**
   * The file is shorter than its header says.
   */
  LAPWING_E_TRUNCATED = -9,
  /**
   * The ring has another version of the format.
   */
  LAPWING_E_VERSION = -10,
  /**
   * Not allowed to us.
   */
  LAPWING_E_PERMISSION = -11,
  /**
   * No space for the ring, or this process may not make files of its size.
   */
  LAPWING_E_NO_SPACE = -12,
  /**
   * The ring was made before this host was last started: it can be read and not written to.
   */
  LAPWING_E_OTHER_BOOT = -13,
  /**
   * The file is a copy of a ring: it can be read and not written to.
   */
  LAPWING_E_COPIED = -14,
  /**
   * The folder of the default ring is not ours alone.
   */
  LAPWING_E_UNSAFE_FOLDER = -15,
  /**
   * The ring keeps time by a clock that this machine does not have.
   */
  LAPWING_E_CLOCK = -16,
  /**
   * The kernel refused something else.
   */
  LAPWING_E_OS = -17,
  /**
   * An error in this library.
   */
  LAPWING_E_INTERNAL = -18,
} lapwing_error;

/**
 * A ring that is open for writing.
 */
typedef struct lapwing_writer_t lapwing_writer_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * What an error code means, in English: a text without a newline, never NULL, that lives as long as the program; also for
 * numbers that are no error code.
 *
 * Any thread; signal-safe; fork-safe.
 */
const char *lapwing_strerror(int code);

/**
 * Makes this thread ready to write in signal handlers. Needed only in programs that load the library by dlopen(3), once in
 * each thread whose first call may come from a signal handler; lapwing_writer_open does it for its own thread.
 *
 * Any thread; not signal-safe; fork-safe.
 */
void lapwing_prepare_thread(void);

/**
 * Opens a ring for writing and stores its writer in `*writer`, or NULL if it fails.
 *
 * `ring` is a path, or a bare name beside the default ring; NULL is the default ring, which is made if it is missing: 16
 * MiB, mode 0600. The default is `$LAPWING_RING`, else `/run/lapwing/ring` if it exists and we may use it, else
 * `$XDG_RUNTIME_DIR/lapwing/ring`, else `/dev/shm/lapwing-$UID/ring`.
 *
 * `why` gets, if it fails, a sentence that says why, with path and numbers, and what to do: at most `why_size` bytes, the
 * zero at its end included; the empty text if it succeeds. May be NULL.
 *
 * The caller owns the writer, to be given to lapwing_writer_close. One for a process is enough: any number of threads and
 * signal handlers may use it at once.
 *
 * Any thread; not signal-safe, it opens files and allocates; in a forked child as safe as malloc(3) is there.
 *
 * # Safety
 *
 * `ring` is NULL or a text that ends in a zero, `writer` points to room for a pointer, `why` is NULL or has room for
 * `why_size` bytes. Nobody changes the environment (setenv(3)) meanwhile.
 */
int lapwing_writer_open(const char *ring,
                        struct lapwing_writer_t **writer,
                        char *why,
                        size_t why_size);

/**
 * Appends one record: `size` bytes from `data`, at `level` (1 to 24, see lapwing_level). Its sequence goes to `*seq`, unless
 * that is NULL or the call fails.
 *
 * A record that is longer than lapwing_writer_max is refused whole, with LAPWING_E_TOO_LARGE. Whatever is refused is also
 * counted in the ring, by cause. It makes no system call, except for a thread's first record, and when more records are
 * being written at once than ever before in this process.
 *
 * Any thread; signal-safe; fork-safe.
 *
 * # Safety
 *
 * `writer` is open, `data` has `size` bytes that do not change meanwhile (any pointer if `size` is 0), `seq` is NULL or has
 * room for a number.
 */
int lapwing_writer_write(const struct lapwing_writer_t *writer,
                         int level,
                         const void *data,
                         size_t size,
                         uint64_t *seq);

/**
 * Appends one record made of `count` pieces, one after the other; otherwise as lapwing_writer_write. More than
 * LAPWING_MAX_PIECES pieces are LAPWING_E_INVALID.
 *
 * Any thread; signal-safe; fork-safe.
 *
 * # Safety
 *
 * As lapwing_writer_write; `piece` points to `count` pieces, each with its bytes.
 */
int lapwing_writer_writev(const struct lapwing_writer_t *writer,
                          int level,
                          const struct iovec *piece,
                          size_t count,
                          uint64_t *seq);

/**
 * Appends a text of any length, `size` bytes from `data`, with the tag `tag` unless that is NULL. What is too long for one
 * record goes on in the next, and all but the last have the flag `cont`; a record holds 8 KiB of it, less where this ring's
 * records are smaller. A newline is a byte like any other. The last record's sequence goes to `*seq`, unless that is NULL
 * or the call fails.
 *
 * If a record is refused, those behind it are still appended, and the first error is returned.
 *
 * Any thread; signal-safe; fork-safe.
 *
 * # Safety
 *
 * As lapwing_writer_write; `tag` is NULL or a text that ends in a zero.
 */
int lapwing_writer_text(const struct lapwing_writer_t *writer,
                        int level,
                        const char *tag,
                        const void *data,
                        size_t size,
                        uint64_t *seq);

/**
 * Appends a text that ends in a zero: lapwing_writer_text without a tag.
 *
 * Any thread; signal-safe; fork-safe.
 *
 * # Safety
 *
 * As lapwing_writer_write; `line` is a text that ends in a zero.
 */
int lapwing_writer_puts(const struct lapwing_writer_t *writer, int level, const char *line, uint64_t *seq);

/**
 * The longest record that lapwing_writer_write takes, bytes; 0 if `writer` is NULL.
 *
 * Any thread; signal-safe; fork-safe.
 *
 * # Safety
 *
 * `writer` is NULL or open.
 */
size_t lapwing_writer_max(const struct lapwing_writer_t *writer);

/**
 * Closes a writer: its slots in the ring are free for others. Records stay. Does nothing with NULL. A process that ends
 * without it does no harm. After a fork, parent and child close theirs independently.
 *
 * Any thread, once nobody uses the writer; not signal-safe, it frees memory; in a forked child as safe as free(3) is there.
 *
 * # Safety
 *
 * `writer` is NULL or open, and never used again.
 */
void lapwing_writer_close(struct lapwing_writer_t *writer);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* LAPWING_H */
