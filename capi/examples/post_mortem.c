/*
 * Says who wrote to a ring and what came last from each: of a copied file too, when all writers are dead.
 *
 *     cc post_mortem.c $(pkg-config --cflags --libs lapwing) -o post_mortem
 *     cp /run/lapwing/ring kept && ./post_mortem kept
 */
#include <inttypes.h>
#include <lapwing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct process {
    uint64_t records;
    uint64_t last;
    uint32_t pid;
    uint32_t text_length;
    char comm[16];
    char text[120];
};

static struct process *processes;
static size_t count;

/* The place of the process in the list, made if it is new; NULL if there is no memory. */
static struct process *find(uint32_t pid)
{
    for (size_t i = count; i-- > 0;)
        if (processes[i].pid == pid)
            return &processes[i];
    struct process *more = realloc(processes, (count + 1) * sizeof *more);
    if (more == NULL)
        return NULL;
    processes = more;
    memset(&processes[count], 0, sizeof *processes);
    processes[count].pid = pid;
    return &processes[count++];
}

static int note(const lapwing_record_t *record)
{
    struct process *process = find(record->pid);
    if (process == NULL)
        return -1;
    process->records++;
    process->last = record->sequence;
    /* The record's texts are there until the next call: what is to be kept is copied. */
    uint32_t room = sizeof process->text;
    process->text_length = record->length < room ? record->length : room;
    memcpy(process->text, record->data, process->text_length);
    snprintf(process->comm, sizeof process->comm, "%s", record->comm);
    return 0;
}

static void print_text(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte >= ' ' && byte <= '~' && byte != '\\')
            putchar(byte);
        else
            printf("\\x%02x", byte);
    }
}

int main(int argc, char **argv)
{
    lapwing_reader_t *reader;
    char why[512];
    if (argc != 2) {
        fprintf(stderr, "usage: post_mortem FILE\n");
        return 2;
    }
    if (lapwing_reader_open(argv[1], LAPWING_COPIED, &reader, why, sizeof why) != LAPWING_OK) {
        fprintf(stderr, "post_mortem: %s\n", why);
        return 1;
    }
    uint64_t oldest = 0, next = 0;
    int code = lapwing_reader_bounds(reader, &oldest, &next);
    if (code == LAPWING_OK)
        printf("the oldest is %" PRIu64 ", the next would be %" PRIu64 "\n", oldest, next);

    while (code >= 0) {
        lapwing_record_t record;
        lapwing_gap_t gap;
        code = lapwing_reader_next(reader, &record, sizeof record, &gap, sizeof gap);
        if (code == LAPWING_GAP && gap.kind != LAPWING_LOST)
            printf("record %" PRIu64 ": its writer %s\n", gap.first,
                   gap.kind == LAPWING_ABANDONED ? "died while it wrote" : "did not finish it");
        if (code == LAPWING_RECORD && note(&record) != 0) {
            fprintf(stderr, "post_mortem: no memory\n");
            return 1;
        }
        /* A writer that stands in the middle of a record is judged within a second. */
        if (code == LAPWING_NOT_YET && (lapwing_reader_seq(reader) >= next || lapwing_reader_wait(reader, 2000) != 1))
            break;
    }
    if (code < 0) {
        fprintf(stderr, "post_mortem: %s\n", lapwing_strerror(code));
        return 1;
    }

    for (size_t i = 0; i < count; i++) {
        print_text(processes[i].comm, strlen(processes[i].comm));
        printf("[%" PRIu32 "]: %" PRIu64 " records, the last, %" PRIu64 ": ", processes[i].pid, processes[i].records,
               processes[i].last);
        print_text(processes[i].text, processes[i].text_length);
        putchar('\n');
    }
    lapwing_counts_t counts;
    lapwing_reader_counts(reader, &counts, sizeof counts);
    printf("%" PRIu64 " read, %" PRIu64 " lost, %" PRIu64 " abandoned, %" PRIu64 " stalled\n", counts.read, counts.lost,
           counts.abandoned, counts.stalled);
    lapwing_reader_close(reader);
    free(processes);
    return 0;
}
