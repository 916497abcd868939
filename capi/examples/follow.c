/*
 * Follows a ring: prints each record, and each gap where it is. Ends at SIGINT or SIGTERM, with the counts on stderr; exits
 * with 3 if records are missing.
 *
 *     cc follow.c $(pkg-config --cflags --libs lapwing) -o follow
 *     ./follow [RING]
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <lapwing.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

/* Not a byte of a record steers a terminal or begins a line of its own. */
static void print_text(const char *text, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte == '\t' || (byte >= ' ' && byte <= '~' && byte != '\\'))
            putchar(byte);
        else
            printf("\\x%02x", byte);
    }
}

static void print_record(const lapwing_record_t *record)
{
    printf("%" PRIu64 " %" PRId64 ".%09" PRId64 " ", record->sequence, record->real_ns / 1000000000,
           record->real_ns % 1000000000);
    print_text(record->comm, record->comm_length);
    printf("[%" PRIu32 "] <%u> ", record->pid, (unsigned)record->level);
    if (record->tag_length > 0) {
        print_text(record->tag, record->tag_length);
        fputs(": ", stdout);
    }
    print_text(record->data, record->length);
    putchar('\n');
}

static const char *name_of(uint32_t kind)
{
    switch (kind) {
    case LAPWING_LOST: return "lost";
    case LAPWING_ABANDONED: return "abandoned";
    case LAPWING_STALLED: return "stalled";
    case LAPWING_DAMAGED: return "damaged";
    default: return "missing";
    }
}

int main(int argc, char **argv)
{
    lapwing_reader_t *reader;
    char why[512];
    if (lapwing_reader_open(argc > 1 ? argv[1] : NULL, LAPWING_COPIED, &reader, why, sizeof why) != LAPWING_OK) {
        fprintf(stderr, "follow: %s\n", why);
        return 1;
    }

    /* Signals come while ppoll waits, and at no other time. */
    sigset_t blocked, open;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, &open);
    struct sigaction action = { .sa_handler = on_signal };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    struct pollfd waits = { .fd = lapwing_reader_fd(reader), .events = POLLIN };
    int code = waits.fd < 0 ? waits.fd : 0;
    uint64_t expected = lapwing_reader_seq(reader), missing = 0;
    while (code >= 0) {
        lapwing_record_t record;
        lapwing_gap_t gap;
        code = lapwing_reader_next(reader, &record, sizeof record, &gap, sizeof gap);
        if (code == LAPWING_GAP) {
            printf("*** %" PRIu64 " records %s (seq %" PRIu64 "..%" PRIu64 ") ***\n", gap.count, name_of(gap.kind),
                   gap.first, gap.first + gap.count - 1);
            missing += gap.count;
        } else if (code == LAPWING_RECORD) {
            /* What the gaps told, the sequences tell too. */
            if (record.sequence - expected != missing || record.rolled_out != missing) {
                fprintf(stderr, "follow: %" PRIu64 " told, %" PRIu64 " by sequence, %" PRIu64 " rolled out\n", missing,
                        record.sequence - expected, record.rolled_out);
                return 1;
            }
            expected = record.sequence + 1;
            missing = 0;
            print_record(&record);
        } else if (code == LAPWING_NOT_YET) {
            if (stop)
                break;
            fflush(stdout);
            ppoll(&waits, 1, NULL, &open);
        }
    }
    fflush(stdout);
    if (code < 0)
        fprintf(stderr, "follow: %s\n", lapwing_strerror(code));

    lapwing_counts_t counts;
    lapwing_reader_counts(reader, &counts, sizeof counts);
    uint64_t gone = counts.lost + counts.abandoned + counts.stalled;
    fprintf(stderr, "follow: %" PRIu64 " read, %" PRIu64 " lost, %" PRIu64 " abandoned, %" PRIu64 " stalled\n", counts.read,
            counts.lost, counts.abandoned, counts.stalled);
    lapwing_reader_close(reader);
    return code < 0 ? 1 : gone > 0 ? 3 : 0;
}
