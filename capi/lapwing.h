/*
 * Lapwing: a system-wide debug log with no daemon. Programs append records to a ring in shared memory, and read them.
 *
 *     lapwing_writer_t *log;
 *     if (lapwing_writer_open(NULL, &log, NULL, 0) == LAPWING_OK) {
 *         lapwing_writer_puts(log, LAPWING_WARN, "disk almost full", NULL);
 *         lapwing_writer_close(log);
 *     }
 *
 *     lapwing_reader_t *reader;
 *     lapwing_record_t record;
 *     if (lapwing_reader_open(NULL, LAPWING_COPIED, &reader, NULL, 0) == LAPWING_OK) {
 *         while (lapwing_reader_next(reader, &record, sizeof record, NULL, 0) == LAPWING_RECORD)
 *             printf("%llu after %llu lost: %s\n", (unsigned long long)record.sequence,
 *                    (unsigned long long)record.rolled_out, record.data);
 *         lapwing_reader_close(reader);
 *     }
 *
 * Functions that can fail return a negative lapwing_error where they do. errno is as before after every call, no
 * function is a cancellation point, nothing is ever printed. A thread that can be cancelled asynchronously may call none.
 *
 * Signals: a function marked "signal-safe" may be called in signal handlers, also in one that interrupted the same
 * function. It takes no lock, allocates nothing and waits for nobody. If the library was loaded by dlopen(3), the C library
 * allocates at the first call in each thread: make it, or lapwing_prepare_thread, outside of signal handlers.
 *
 * Forks: a child may go on with its parent's writers, and its records have its own pid; and with its parent's readers, each
 * from its own place. Both close theirs. A child that was forked in a signal handler must not return from that handler. After
 * vfork(2) no function may be called.
 *
 * Whoever may write the ring's file can cut it short, and touching it then raises SIGBUS, as with every mapped file: it ends
 * writers, and readers that were opened with LAPWING_MAPPED, not those with LAPWING_COPIED.
 *
 * Made by capi/header out of capi/src; not to be edited.
 */

#ifndef LAPWING_H
#define LAPWING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/**
 * The uid of a record whose writer's user nobody knows.
 */
#define LAPWING_NO_UID UINT32_MAX

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
   * An argument is NULL that may not be, or out of bounds.
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
 * What lapwing_reader_next found, where it is no error.
 */
typedef enum lapwing_read {
  /**
   * Nothing to read now.
   */
  LAPWING_NOT_YET = 0,
  /**
   * A record.
   */
  LAPWING_RECORD = 1,
  /**
   * Records that this reader does not get.
   */
  LAPWING_GAP = 2,
} lapwing_read;

/**
 * How a reader gets at the ring.
 */
typedef enum lapwing_access {
  /**
   * It copies what it looks at out of the file. Whatever is done to the file meanwhile, the worst is an error.
   */
  LAPWING_COPIED = 0,
  /**
   * It maps the file, which is faster. Who cuts the file short ends this process by SIGBUS.
   */
  LAPWING_MAPPED = 1,
} lapwing_access;

/**
 * Where lapwing_reader_seek goes.
 */
typedef enum lapwing_seek {
  /**
   * To the oldest record there is. What was overwritten before does not count as lost.
   */
  LAPWING_OLDEST = 0,
  /**
   * Behind the newest record: only what comes.
   */
  LAPWING_END = 1,
  /**
   * To a sequence. What is overwritten already comes out as lost; beyond the newest is the same as LAPWING_END.
   */
  LAPWING_SEQUENCE = 2,
} lapwing_seek;

/**
 * Where a record came from.
 */
typedef enum lapwing_source {
  /**
   * Written through a library of Lapwing.
   */
  LAPWING_API = 0,
  /**
   * Captured from a program's standard output.
   */
  LAPWING_STDOUT = 1,
  /**
   * Captured from a program's standard error.
   */
  LAPWING_STDERR = 2,
  /**
   * Written by `lapwing log`.
   */
  LAPWING_LOG = 3,
  /**
   * From syslog(3).
   */
  LAPWING_SYSLOG = 4,
  /**
   * In the journal's native protocol.
   */
  LAPWING_JOURNAL = 5,
  /**
   * From the kernel log.
   */
  LAPWING_KMSG = 6,
} lapwing_source;

/**
 * Bits of a record's flags. There may be others.
 */
typedef enum lapwing_flag {
  /**
   * The text goes on in the next record of this process and source.
   */
  LAPWING_CONT = 2,
  /**
   * The text did not end in a newline.
   */
  LAPWING_PARTIAL = 4,
  /**
   * The last text of a process that died.
   */
  LAPWING_LAST_WORDS = 8,
  /**
   * Pid and uid were vouched for by the kernel.
   */
  LAPWING_ATTESTED = 16,
} lapwing_flag;

/**
 * Why a reader does not get a record.
 */
typedef enum lapwing_gap_kind {
  /**
   * Overwritten before this reader came.
   */
  LAPWING_LOST = 1,
  /**
   * Its writer died inside the append.
   */
  LAPWING_ABANDONED = 2,
  /**
   * Its writer is alive but stopped inside the append, and the reader went on.
   */
  LAPWING_STALLED = 3,
  /**
   * It was written, and its header is impossible: the ring is damaged. Reading goes on; it counts as lost.
   */
  LAPWING_DAMAGED = 4,
} lapwing_gap_kind;

/**
 * A ring that is open for reading, and a place in it.
 */
typedef struct lapwing_reader_t lapwing_reader_t;

/**
 * A ring that is open for writing.
 */
typedef struct lapwing_writer_t lapwing_writer_t;

/**
 * A record. It has no padding, and grows at its end: see lapwing_reader_next.
 *
 * `data`, `comm` and `tag` point into memory of the reader and stay as they are until the next call of
 * lapwing_reader_next, lapwing_reader_seek or lapwing_reader_close for this reader: copy what is to be kept longer.
 * Each has a zero behind it, which its length does not count; there may be zeros inside, and any other byte, so escape
 * what goes to a terminal. None is ever NULL.
 */
typedef struct lapwing_record_t {
  /**
   * The first record of a ring has 0, each other one more than the one before it. No two have the same.
   */
  uint64_t sequence;
  /**
   * When it was written, nanoseconds of CLOCK_MONOTONIC.
   */
  uint64_t mono_ns;
  /**
   * The same, nanoseconds since 1970 in UTC.
   */
  int64_t real_ns;
  /**
   * The process that wrote it, as it says: in its own pid namespace.
   */
  uint32_t pid;
  /**
   * The thread that wrote it.
   */
  uint32_t tid;
  /**
   * How severe it is, 1 to 24: see lapwing_level.
   */
  uint8_t level;
  /**
   * Where it came from: see lapwing_source. There may be other numbers.
   */
  uint8_t source;
  /**
   * What else is true of it: see lapwing_flag.
   */
  uint16_t flags;
  /**
   * Bytes of `data`.
   */
  uint32_t length;
  /**
   * What was written. Not always text.
   */
  const char *data;
  /**
   * Bytes of this struct that the library has filled; behind them are zeros.
   */
  uint32_t size;
  /**
   * The user that the writer runs as; LAPWING_NO_UID where nobody knows.
   */
  uint32_t uid;
  /**
   * Sequences directly in front of this one that this reader did not get, since the record before, or since it was
   * opened or moved: 0 where nothing is missing.
   */
  uint64_t rolled_out;
  /**
   * The name of the writing process; `?` where nobody knows.
   */
  const char *comm;
  /**
   * What the writer calls the subject; empty where it says nothing.
   */
  const char *tag;
  /**
   * Bytes of `comm`.
   */
  uint32_t comm_length;
  /**
   * Bytes of `tag`.
   */
  uint32_t tag_length;
} lapwing_record_t;

/**
 * Records that a reader does not get: `count` from the sequence `first` on. No padding; grows at its end.
 */
typedef struct lapwing_gap_t {
  /**
   * The first sequence that is missing.
   */
  uint64_t first;
  /**
   * How many, at least 1.
   */
  uint64_t count;
  /**
   * Why: see lapwing_gap_kind. There may be other numbers.
   */
  uint32_t kind;
  /**
   * Bytes of this struct that the library has filled; behind them are zeros.
   */
  uint32_t size;
} lapwing_gap_t;

/**
 * What a reader has passed since it was opened or last moved, in records. Their sum is how far it has come. No
 * padding; grows at its end.
 */
typedef struct lapwing_counts_t {
  uint64_t read;
  uint64_t lost;
  uint64_t abandoned;
  uint64_t stalled;
} lapwing_counts_t;

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
 * Opens a ring for reading and stores the reader in `*reader`, or NULL if it fails. It needs permission to read the
 * file and no more, and never makes or changes a ring.
 *
 * `ring` is a path, or a bare name beside the default ring; NULL is the default ring, as lapwing_writer_open finds it.
 * It may be a copy of a ring's file, of any host and boot.
 *
 * `access` is LAPWING_COPIED (0), which is good for every file, or LAPWING_MAPPED, for rings that nobody cuts short.
 *
 * `why` gets, if it fails, a sentence that says why, with path and numbers: at most `why_size` bytes, the zero at its
 * end included; the empty text if it succeeds. May be NULL.
 *
 * The reader stands before sequence 0: what is overwritten already comes out as lost. The caller owns it, to be given to
 * lapwing_reader_close. Each thread that reads has one of its own.
 *
 * Any thread; not signal-safe, it opens files and allocates; in a forked child as safe as malloc(3) is there.
 *
 * # Safety
 *
 * `ring` is NULL or a text that ends in a zero, `reader` points to room for a pointer, `why` is NULL or has room for
 * `why_size` bytes. Nobody changes the environment (setenv(3)) meanwhile.
 */
int lapwing_reader_open(const char *ring,
                        int access,
                        struct lapwing_reader_t **reader,
                        char *why,
                        size_t why_size);

/**
 * Gives the next record, or the gap in front of it; never sleeps, but lets a stream of records get 8 microseconds ahead
 * rather than slow their writers. Returns
 *
 * - LAPWING_RECORD: `*record` is a record,
 * - LAPWING_GAP: `*gap` says which records this reader does not get,
 * - LAPWING_NOT_YET (0): nothing to read now; neither struct is touched,
 * - a negative lapwing_error: LAPWING_E_DAMAGED, LAPWING_E_TRUNCATED or LAPWING_E_OS say that the ring cannot be read
 *   any more.
 *
 * How to detect loss. Sequences have no holes, so `sequence` minus that of the record before, minus 1, is how many
 * records are missing between the two; `rolled_out` is the same number. Of a reader that was just opened or moved, the
 * first record counts from where it stood (lapwing_reader_seq). Where the reason matters, `gap` tells it before the
 * record comes: the counts of all gaps between two records add up to `rolled_out`. If `gap` is NULL, gaps are passed
 * in silence.
 *
 * `record_size` is `sizeof *record` and `gap_size` is `sizeof *gap`. Both structs grow at their ends as the library
 * does. A program that was compiled against an older header gets the fields it knows; one compiled against a newer
 * header finds zeros behind `record->size` bytes. A size below 56 (of a record) or 24 is LAPWING_E_INVALID.
 *
 * A record that is being written is LAPWING_NOT_YET until it is there, or until its writer is found dead
 * (LAPWING_ABANDONED) or has not moved for a second (LAPWING_STALLED).
 *
 * One thread at a time; not signal-safe, it may allocate; a forked child goes on with its own place.
 *
 * # Safety
 *
 * `reader` is NULL or open and in use by no other thread, `record` has room for `record_size` bytes, `gap` is NULL or
 * has room for `gap_size` bytes.
 */
int lapwing_reader_next(struct lapwing_reader_t *reader,
                        struct lapwing_record_t *record,
                        size_t record_size,
                        struct lapwing_gap_t *gap,
                        size_t gap_size);

/**
 * Waits until lapwing_reader_next has something to give: `timeout_ms` milliseconds at most, for ever if that is
 * negative, not at all if it is 0. Returns 1 if there is something, 0 if time is up, or a negative lapwing_error.
 *
 * The thread sleeps and looks: after microseconds at first, every 6 ms at last. Where it may write the ring's file, and
 * that lies in memory, it sleeps for 25 ms, and the next writer wakes it. Signal handlers run meanwhile and do not end
 * it, nor can the thread be cancelled; who has other things to wait for uses lapwing_reader_fd.
 *
 * One thread at a time; not signal-safe; a forked child goes on with its own place.
 *
 * # Safety
 *
 * `reader` is NULL or open and in use by no other thread.
 */
int lapwing_reader_wait(struct lapwing_reader_t *reader, int timeout_ms);

/**
 * A descriptor for poll(2), select(2), epoll(7) and event loops: readable when lapwing_reader_next has something to
 * give, and then until it has returned LAPWING_NOT_YET (or lapwing_reader_wait has returned 0). So read until that
 * comes, also with EPOLLET. Once in a while it is readable and LAPWING_NOT_YET comes at once. Returns the descriptor,
 * or a negative lapwing_error.
 *
 * The first call starts a thread, which sleeps while there is something to read, looks at the ring every 6 ms at last
 * while there is nothing, takes no signals, and ends with lapwing_reader_close. The descriptor is the reader's: never
 * read, write or close it.
 *
 * One thread at a time; not signal-safe; a forked child calls it again and gets a descriptor of its own, for the one
 * it was born with speaks of its parent's reader.
 *
 * # Safety
 *
 * `reader` is NULL or open and in use by no other thread.
 */
int lapwing_reader_fd(struct lapwing_reader_t *reader);

/**
 * Moves a reader: to LAPWING_OLDEST, to LAPWING_END, or to LAPWING_SEQUENCE, which is `sequence`. The sequence that it
 * stands before now goes to `*now`, unless that is NULL or the call fails. Counts start anew.
 *
 * One thread at a time; not signal-safe; a forked child goes on with its own place.
 *
 * # Safety
 *
 * `reader` is NULL or open and in use by no other thread, `now` is NULL or has room for a number.
 */
int lapwing_reader_seek(struct lapwing_reader_t *reader, int to, uint64_t sequence, uint64_t *now);

/**
 * The sequence that comes next; 0 if `reader` is NULL.
 *
 * One thread at a time; not signal-safe; a forked child goes on with its own place.
 *
 * # Safety
 *
 * `reader` is NULL or open and in use by no other thread.
 */
uint64_t lapwing_reader_seq(const struct lapwing_reader_t *reader);

/**
 * The ends of the log now: the oldest record that can still be read goes to `*oldest`, the sequence that the next
 * record will get to `*next`. They are equal if there is none. Either may be NULL.
 *
 * One thread at a time; not signal-safe; a forked child goes on with its own place.
 *
 * # Safety
 *
 * `reader` is NULL or open and in use by no other thread, `oldest` and `next` are NULL or have room for a number.
 */
int lapwing_reader_bounds(struct lapwing_reader_t *reader, uint64_t *oldest, uint64_t *next);

/**
 * What a reader has passed since it was opened or last moved. `size` is `sizeof *counts`, as with lapwing_reader_next;
 * less than 32 is LAPWING_E_INVALID.
 *
 * One thread at a time; not signal-safe; a forked child goes on with its own place.
 *
 * # Safety
 *
 * `reader` is NULL or open and in use by no other thread, `counts` has room for `size` bytes.
 */
int lapwing_reader_counts(const struct lapwing_reader_t *reader, struct lapwing_counts_t *counts, size_t size);

/**
 * Closes a reader, and its descriptor; records that it gave are gone. Does nothing with NULL. A process that ends
 * without it does no harm.
 *
 * Any thread, once nobody uses the reader; not signal-safe, it frees memory; in a forked child as safe as free(3) is
 * there.
 *
 * # Safety
 *
 * `reader` is NULL or open, and never used again.
 */
void lapwing_reader_close(struct lapwing_reader_t *reader);

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

/* The layout, which record.rs asserts too. */
#if defined(__cplusplus) && __cplusplus >= 201103L
#define LAPWING_ASSERT(what) static_assert(what, #what)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define LAPWING_ASSERT(what) _Static_assert(what, #what)
#endif
#ifdef LAPWING_ASSERT
LAPWING_ASSERT(sizeof(lapwing_record_t) == 88);
LAPWING_ASSERT(offsetof(lapwing_record_t, sequence) == 0);
LAPWING_ASSERT(offsetof(lapwing_record_t, mono_ns) == 8);
LAPWING_ASSERT(offsetof(lapwing_record_t, real_ns) == 16);
LAPWING_ASSERT(offsetof(lapwing_record_t, pid) == 24);
LAPWING_ASSERT(offsetof(lapwing_record_t, tid) == 28);
LAPWING_ASSERT(offsetof(lapwing_record_t, level) == 32);
LAPWING_ASSERT(offsetof(lapwing_record_t, source) == 33);
LAPWING_ASSERT(offsetof(lapwing_record_t, flags) == 34);
LAPWING_ASSERT(offsetof(lapwing_record_t, length) == 36);
LAPWING_ASSERT(offsetof(lapwing_record_t, data) == 40);
LAPWING_ASSERT(offsetof(lapwing_record_t, size) == 48);
LAPWING_ASSERT(offsetof(lapwing_record_t, uid) == 52);
LAPWING_ASSERT(offsetof(lapwing_record_t, rolled_out) == 56);
LAPWING_ASSERT(offsetof(lapwing_record_t, comm) == 64);
LAPWING_ASSERT(offsetof(lapwing_record_t, tag) == 72);
LAPWING_ASSERT(offsetof(lapwing_record_t, comm_length) == 80);
LAPWING_ASSERT(offsetof(lapwing_record_t, tag_length) == 84);
LAPWING_ASSERT(sizeof(lapwing_gap_t) == 24);
LAPWING_ASSERT(offsetof(lapwing_gap_t, first) == 0);
LAPWING_ASSERT(offsetof(lapwing_gap_t, count) == 8);
LAPWING_ASSERT(offsetof(lapwing_gap_t, kind) == 16);
LAPWING_ASSERT(offsetof(lapwing_gap_t, size) == 20);
LAPWING_ASSERT(sizeof(lapwing_counts_t) == 32);
LAPWING_ASSERT(offsetof(lapwing_counts_t, read) == 0);
LAPWING_ASSERT(offsetof(lapwing_counts_t, lost) == 8);
LAPWING_ASSERT(offsetof(lapwing_counts_t, abandoned) == 16);
LAPWING_ASSERT(offsetof(lapwing_counts_t, stalled) == 24);
#undef LAPWING_ASSERT
#endif
