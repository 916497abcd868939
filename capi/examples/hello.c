/*
 * Writes records at several levels, from a signal handler and from a forked child.
 *
 *     cc hello.c $(pkg-config --cflags --libs lapwing) -o hello
 *     ./hello && lapwing tail -o verbose
 */
#define _POSIX_C_SOURCE 200809L
#include <lapwing.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static lapwing_writer_t *writer;

static void on_signal(int number)
{
    static const char text[] = "a signal came";
    (void)number;
    lapwing_writer_write(writer, LAPWING_NOTICE, text, sizeof text - 1, NULL);
}

/* 1 for a record that was refused, having said why. */
static int failed(int code)
{
    if (code != LAPWING_OK)
        fprintf(stderr, "hello: %s\n", lapwing_strerror(code));
    return code != LAPWING_OK;
}

int main(int argc, char **argv)
{
    char why[512];
    if (lapwing_writer_open(argc > 1 ? argv[1] : NULL, &writer, why, sizeof why) != LAPWING_OK) {
        fprintf(stderr, "hello: %s\n", why);
        return 1;
    }

    uint64_t first, last;
    int errors = failed(lapwing_writer_puts(writer, LAPWING_INFO, "hello", &first));

    int disk = 2, percent = 93;
    char text[64];
    int size = snprintf(text, sizeof text, "disk %d is %d%% full", disk, percent);
    errors += failed(lapwing_writer_text(writer, LAPWING_WARN, "disk", text, (size_t)size, NULL));

    struct iovec pieces[] = { { "one record, ", 12 }, { "three ", 6 }, { "pieces", 6 } };
    errors += failed(lapwing_writer_writev(writer, LAPWING_DEBUG, pieces, 3, NULL));

    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);

    pid_t child = fork();
    if (child == 0) {
        errors = failed(lapwing_writer_puts(writer, LAPWING_ERR, "hello from the child", NULL));
        lapwing_writer_close(writer);
        _exit(errors);
    }
    int status = 1;
    errors += child < 0 || waitpid(child, &status, 0) != child || status != 0;

    errors += failed(lapwing_writer_puts(writer, LAPWING_INFO, "goodbye", &last));
    lapwing_writer_close(writer);
    printf("records %llu to %llu\n", (unsigned long long)first, (unsigned long long)last);
    return errors != 0;
}
