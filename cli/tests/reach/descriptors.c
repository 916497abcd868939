// Writes to descriptors of many numbers; what its calls gave goes to standard error.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int is(const char *a, const char *b) { return strcmp(a, b) == 0; }
static void say(int fd, const char *text) {
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text)) abort();
}

// The same number, every time with something else behind it.
static int numbers(const char *file) {
    int other = open(file, O_CREAT | O_WRONLY | O_APPEND, 0600);
    int fd = dup(1);
    say(fd, "dup\n");
    dup2(other, fd);
    say(fd, "to the file\n");
    dup2(1, fd);
    say(fd, "dup2\n");
    close(fd);
    if (fcntl(other, F_DUPFD, fd) != fd) abort();
    say(fd, "to the file\n");
    dup3(1, fd, O_CLOEXEC);
    say(fd, "dup3\n");
    close_range(fd, fd, 0);
    if (fcntl(1, F_DUPFD_CLOEXEC, fd) != fd) abort();
    say(fd, "fcntl\n");
    // Closed where no hook sees it, then duplicated to.
    say(other, "to the file\n");
    syscall(SYS_close, other);
    if (dup(1) != other) abort();
    say(other, "dup again\n");
    if (dup2(1, 255) == 255) say(255, "255\n");
    struct rlimit many = {1024, 1024};
    setrlimit(RLIMIT_NOFILE, &many);
    if (dup2(1, 256) == 256) say(256, "256 is too far\n");
    FILE *stream = fdopen(dup(1), "w");
    fputs("a stream of its own\n", stream);
    fclose(stream);
    return 0;
}

// A descriptor that is no stream becomes one behind our back. It is found out about, but not at once.
static int behind(const char *file, const char *how) {
    int fd = open(file, O_CREAT | O_WRONLY | O_APPEND, 0600);
    say(fd, "to the file\n");
    syscall(SYS_dup3, 1, fd, 0);
    usleep(25000);
    struct iovec line = {"found\n", 6};
    for (int i = 0; i < 70; i++)
        if ((is(how, "write") ? write(fd, "found\n", 6) : pwritev2(fd, &line, 1, -1, 0)) != 6) abort();
    // The other way round it must not take longer than ten milliseconds and a tick.
    int other = open(file, O_CREAT | O_WRONLY | O_APPEND, 0600);
    syscall(SYS_dup3, other, fd, 0);
    usleep(25000);
    say(fd, "to the file\n");
    return 0;
}

// What a vfork child does to its descriptors is not done to its parent's.
static int borrowed(const char *file) {
    int fd = dup(1);
    if (vfork() == 0) {
        int other = open(file, O_CREAT | O_WRONLY | O_APPEND, 0600);
        dup2(other, fd);
        say(fd, "to the file\n");
        _exit(0);
    }
    wait(0);
    say(fd, "parent\n");
    return 0;
}

int main(int count, char **arguments) {
    if (is(arguments[1], "numbers")) return numbers(arguments[2]);
    if (is(arguments[1], "behind")) return behind(arguments[2], arguments[3]);
    if (is(arguments[1], "borrowed")) return borrowed(arguments[2]);
    return 98;
}
