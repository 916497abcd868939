// fuzz drive SEED LOG ACCOUNT [PREFIX..]: makes standard streams of a kind that SEED chooses, and has PREFIX execute
// `fuzz play ..`, which makes random system calls on them and writes down what each has returned. Equal seeds, equal calls.
//
// LOG gets one line a call, without pids, and what came out at the other ends; it has to be the same with and without us.
// ACCOUNT gets what was written to the streams by calls that are captured: pid, stream, length, bytes.
//
// Nothing here blocks: the streams are non-blocking, and the player itself holds and drains their other ends.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOG_SIZE = 1 << 20, ACCOUNT_SIZE = 1 << 20, FIRST_END = 100, FDS = 13, MOST_TEXT = 250000 };
enum kind { PIPES, SOCKETS, ONE_PIPE, FILES, NULLS, TERMINAL, FULL, KINDS };

// Both lie in shared files: a child's lines stand between its parent's.
static _Atomic size_t *log_length, *account_length;
static char *log_text, *account_text;
static const char *self, *log_path, *account_path;

static uint64_t state;
static uint64_t next(void) {
    state += 0x9e3779b97f4a7c15;
    uint64_t z = state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}
static unsigned below(unsigned n) { return next() % n; }

static void say(const char *format, ...) {
    int error = errno;
    char line[400];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    if (n >= (int)sizeof line) n = sizeof line - 1;
    size_t at = atomic_fetch_add(log_length, n);
    if (at + n < LOG_SIZE - 64) memcpy(log_text + at, line, n);
    errno = error;
}

static void *map(const char *path, size_t size) {
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    if (ftruncate(fd, size)) abort();
    void *at = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return at;
}

static void map_both(void) {
    char *map_of_log = map(log_path, LOG_SIZE), *map_of_account = map(account_path, ACCOUNT_SIZE);
    log_length = (void *)map_of_log, log_text = map_of_log + sizeof *log_length;
    account_length = (void *)map_of_account, account_text = map_of_account + sizeof *account_length;
}

// What standard output and standard error were in the beginning.
static struct stat streams[2];
static char is_open[2];
static pid_t shares_memory_with;

static int same(const struct stat *a, const struct stat *b) { return a->st_dev == b->st_dev && a->st_ino == b->st_ino; }

// Which stream a captured call writes to on `fd`; 0 for none.
static int stream_of(int fd) {
    struct stat now;
    int error = errno, found = 0;
    if (fd >= 0 && fstat(fd, &now) == 0) {
        int out = is_open[0] && same(&now, &streams[0]), err = is_open[1] && same(&now, &streams[1]);
        found = out && err ? (fd == 2 ? 2 : 1) : out ? 1 : err ? 2 : 0;
    }
    errno = error;
    return found;
}

static void account(int stream, const struct iovec *text, ssize_t written) {
    if (stream == 0 || written <= 0) return;
    pid_t pid = shares_memory_with ? shares_memory_with : getpid();
    uint32_t head[3] = {pid, stream, written};
    size_t at = atomic_fetch_add(account_length, sizeof head + written);
    if (at + sizeof head + written > ACCOUNT_SIZE - 64) abort();
    memcpy(account_text + at, head, sizeof head);
    at += sizeof head;
    for (size_t left = written; left != 0; text++) {
        size_t now = text->iov_len < left ? text->iov_len : left;
        memcpy(account_text + at, text->iov_base, now);
        at += now, left -= now;
    }
}

static char text[80000];
// Two pages, of which the second cannot be read.
static char *edge;

static void fill(size_t length) {
    // '<' would be a level.
    for (size_t i = 0; i < length; i++) text[i] = below(24) == 0 ? '\n' : 'a' + below(26);
}

static enum kind kind;

static size_t some_length(void) {
    // A terminal passes on what was written in its own time, so it must never be full.
    if (kind == TERMINAL) return below(100);
    if (atomic_load(account_length) > MOST_TEXT) return below(20);
    switch (below(12)) {
    case 0: return 0;
    case 1: return 4096;
    case 2: return 4000 + below(300);
    case 3: return below(3) ? 9000 : below(6) ? 20000 : 70000;
    default: return 1 + below(200);
    }
}

static int some_fd(void) {
    switch (below(10)) {
    case 0: case 1: case 2: case 3: return 1;
    case 4: case 5: return 2;
    case 6: return below(20) ? (int)below(FDS) : -1;
    default: return below(FDS);
    }
}

static void drain(int end, const char *why) {
    static char room[1 << 17];
    if (kind == TERMINAL) return;
    uint64_t sum = 0;
    size_t all = 0;
    for (ssize_t n; (n = read(end, room, sizeof room)) > 0;) {
        all += n;
        for (ssize_t i = 0; i < n; i++) sum = sum * 31 + (unsigned char)room[i];
    }
    say("%s %d: %zu bytes, sum %llx\n", why, end, all, (unsigned long long)sum);
}

// All that was written before the mark.
static void drain_terminal(int end, int terminal) {
    uint64_t sum = 0;
    size_t all = 0;
    char byte = 0;
    write(terminal, "\4", 1);
    for (struct pollfd ready = {end, POLLIN}; byte != 4 && poll(&ready, 1, 10000) == 1;)
        if (read(end, &byte, 1) == 1) sum = sum * 31 + (unsigned char)byte, all++;
    say("terminal: %zu bytes, sum %llx\n", all, (unsigned long long)sum);
}

static void try_write(void) {
    int fd = some_fd(), stream = stream_of(fd);
    size_t length = some_length();
    fill(length);
    struct iovec whole = {text, length};
    errno = 4321;
    ssize_t n = write(fd, text, length);
    say("write %d %zu = %zd %d\n", fd, length, n, errno);
    account(stream, &whole, n);
}

static void try_writev(void) {
    int fd = some_fd(), stream = stream_of(fd);
    struct iovec pieces[8];
    int count = below(9);
    size_t at = 0;
    fill(3000);
    for (int i = 0; i < count; i++) {
        size_t length = below(4) ? below(kind == TERMINAL ? 40 : 300) : 0;
        pieces[i] = (struct iovec){length || below(2) ? text + at : 0, length};
        at += length;
    }
    errno = 4321;
    ssize_t n = writev(fd, pieces, count);
    say("writev %d %d = %zd %d\n", fd, count, n, errno);
    account(stream, pieces, n);
}

static void try_bad(void) {
    int fd = some_fd(), stream = stream_of(fd);
    ssize_t n;
    errno = 4321;
    // Devices that throw everything away do not look at it, nor does the kernel at what is for the ring alone, so only an address that nobody can have is asked of them.
    int how = below(kind == NULLS || kind == FULL || getenv("FUZZ_ADDRESSES") ? 5 : 8);
    static struct iovec many[1025];
    switch (how) {
    case 0: n = write(fd, (void *)8, 5); break;
    case 1: n = write(fd, 0, 0); break;
    case 2: n = writev(fd, many, 1025); break;
    case 3: n = writev(fd, many, -1); break;
    case 4: n = write(-1, text, 5); break;
    case 5:
        memcpy(edge + 4090, "edge\nx", 6);
        n = write(fd, edge + 4090, 100);
        account(stream, &(struct iovec){edge + 4090, 6}, n);
        break;
    case 6: {
        fill(10);
        struct iovec pieces[] = {{text, 10}, {(void *)16, 10}, {text, 5}};
        n = writev(fd, pieces, 3);
        account(stream, pieces, n);
        break;
    }
    default: n = write(fd, edge + 4096, 100); break;
    }
    say("bad %d %d = %zd %d\n", how, fd, n, errno);
}

static void try_descriptors(void) {
    int a = some_fd(), b = below(FDS), how = below(14), result;
    errno = 4321;
    switch (how) {
    case 0: result = dup(a); break;
    case 1: case 2: result = dup2(a, b); break;
    case 3: result = dup3(a, b, below(2) ? O_CLOEXEC : 0); break;
    case 4: result = dup2(a, a); break;
    case 5: result = dup3(a, a, 0); break;
    case 6: result = close(a); break;
    case 7: result = fcntl(a, F_DUPFD, b); break;
    case 8: result = fcntl(a, F_DUPFD_CLOEXEC, b); break;
    case 9: result = close_range(3 + b, 3 + b + below(4), 0); break;
    case 10: result = below(4) ? close_range(b, b + below(3), CLOSE_RANGE_CLOEXEC) : close_range(b, b + below(3), 0); break;
    case 11: result = fcntl(a, F_GETFD); break;
    case 12: result = fcntl(a, F_SETFD, below(4) ? 0 : FD_CLOEXEC); break;
    default: result = fcntl(a, F_GETFL); break;
    }
    say("descriptor %d %d %d = %d %d\n", how, a, b, result, errno);
    // Numbers above those that are chosen from would be a leak that grows.
    if (result >= FDS && (how == 0 || how == 7 || how == 8)) close(result);
}

static void try_opening(void) {
    int fds[2] = {-1, -1}, result = 0, how = below(6);
    errno = 4321;
    switch (how) {
    case 0: result = fds[0] = open("file", O_WRONLY | O_CREAT | O_APPEND, 0600); break;
    case 1: result = fds[0] = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600); break;
    case 2: result = pipe2(fds, O_NONBLOCK); break;
    case 3: result = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds); break;
    case 4: result = fds[0] = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY); break;
    default: result = fds[0] = open("/dev/null", O_RDWR); break;
    }
    say("open %d = %d (%d %d) %d\n", how, result, fds[0], fds[1], errno);
    for (int i = 0; i < 2; i++)
        if (fds[i] >= FDS) close(fds[i]);
}

static void try_other_data(void) {
    int fd = some_fd(), how = below(7), stream = stream_of(fd);
    size_t length = 1 + below(300);
    fill(length);
    struct iovec whole = {text, length};
    struct msghdr message = {.msg_iov = &whole, .msg_iovlen = 1};
    ssize_t n;
    errno = 4321;
    switch (how) {
    case 0: n = pwrite(fd, text, length, below(100)); break;
    case 1: n = pwritev(fd, &whole, 1, below(100)); break;
    case 2: n = send(fd, text, length, MSG_NOSIGNAL); break;
    case 3: n = sendto(fd, text, length, MSG_NOSIGNAL | MSG_DONTWAIT, 0, 0); break;
    case 4: n = sendmsg(fd, &message, MSG_NOSIGNAL); break;
    case 5: n = pwritev2(fd, &whole, 1, -1, 0); break;
    default: {
        // What a full pipe or /dev/full says to this call is not what it says to a write, which is made in its place.
        if (kind == FULL) return;
        drain(FIRST_END, "drained");
        drain(FIRST_END + 1, "drained");
        int waiting = 0;
        if (ioctl(fd, FIONREAD, &waiting) == 0 && waiting != 0) return;
        int in = open("/etc/passwd", O_RDONLY);
        errno = 4321;
        n = sendfile(fd, in, 0, length);
        int error = errno;
        if (n > 0 && pread(in, text, n, 0) != n) abort();
        close(in);
        errno = error;
    }
    }
    say("data %d %d %zu = %zd %d\n", how, fd, length, n, errno);
    account(stream, &whole, n);
    // A page that was moved as it is takes more of a pipe than one that was written.
    if (how == 6) drain(FIRST_END, "drained"), drain(FIRST_END + 1, "drained");
}

// Both ends of the streams are empty, so that what stdio flushes goes as a whole or not at all.
static void try_stdio(void) {
    drain(FIRST_END, "drained");
    drain(FIRST_END + 1, "drained");
    FILE *file = below(3) ? stdout : stderr;
    int stream = stream_of(fileno(file));
    fill(200);
    text[200] = 0;
    char line[300];
    int length = snprintf(line, sizeof line, "stdio %d %s", below(100), text + below(190)), result;
    errno = 4321;
    int printed = below(2) ? fprintf(file, "%s", line) : fputs(line, file) < 0 ? -1 : length;
    result = fflush(file);
    say("stdio %d = %d %d %d %d\n", fileno(file), printed, result, ferror(file) != 0, errno);
    // stderr has no buffer of its own: printing is all there is to fail.
    if (printed == length && result == 0) account(stream, &(struct iovec){line, length}, length);
    clearerr(file);
    __fpurge(file);
}

static void handler(int signal) {
    if (signal == SIGPIPE) {
        say("broken pipe\n");
        return;
    }
    int stream = stream_of(1), error = errno;
    struct iovec whole = {"in a handler\n", 13};
    ssize_t n = write(1, whole.iov_base, whole.iov_len);
    say("signal %d: %zd\n", signal, n);
    account(stream, &whole, n);
    errno = error;
}

static void play(unsigned steps, unsigned depth);

static void *in_a_thread(void *depth) {
    play(1 + below(4), (uintptr_t)depth);
    if (below(2)) pthread_exit(0);
    return 0;
}

static void try_processes(unsigned depth) {
    int status = -1, how = below(6);
    if (depth == 0) return;
    uint64_t seed = next();
    // What waits in a buffer would go out twice.
    fflush(0);
    __fpurge(stdout);
    switch (how) {
    case 0: case 1: {
        pid_t pid = fork();
        if (pid == 0) {
            state = seed;
            play(1 + below(10), depth - 1);
            if (how) exit(7);
            _exit(8);
        }
        waitpid(pid, &status, 0);
        break;
    }
    case 2: {
        int fd = 1 + below(2), stream = stream_of(fd);
        fill(30);
        pid_t parent = getpid(), pid = vfork();
        if (pid == 0) {
            ssize_t n = write(fd, text, 30);
            say("vfork child %d = %zd %d\n", fd, n, n < 0 ? errno : 0);
            shares_memory_with = parent;
            account(stream, &(struct iovec){text, 30}, n);
            shares_memory_with = 0;
            _exit(6);
        }
        waitpid(pid, &status, 0);
        break;
    }
    case 3: {
        pid_t pid = fork();
        if (pid == 0) {
            int stream = stream_of(1);
            ssize_t n = write(1, "then killed\n", 12);
            account(stream, &(struct iovec){"then killed\n", 12}, n);
            raise(SIGKILL);
        }
        waitpid(pid, &status, 0);
        break;
    }
    case 4: {
        pthread_t thread;
        status = pthread_create(&thread, 0, in_a_thread, (void *)(uintptr_t)(depth - 1));
        if (status == 0) pthread_join(thread, 0);
        break;
    }
    default: {
        pid_t pid = fork();
        if (pid == 0) {
            char numbers[3][24];
            snprintf(numbers[0], 24, "%llu", (unsigned long long)seed);
            snprintf(numbers[1], 24, "%d", kind);
            snprintf(numbers[2], 24, "%d", depth - 1);
            // The streams are still those of the first program, whatever has become of 1 and 2 meanwhile.
            char ids[100];
            snprintf(ids, sizeof ids, "%d:%lu:%lu:%d:%lu:%lu", is_open[0], streams[0].st_dev, streams[0].st_ino, is_open[1], streams[1].st_dev, streams[1].st_ino);
            execl(self, self, "play", numbers[0], log_path, account_path, numbers[1], numbers[2], ids, (char *)0);
            _exit(99);
        }
        waitpid(pid, &status, 0);
    }
    }
    say("process %d = %#x\n", how, status);
}

static void play(unsigned steps, unsigned depth) {
    // Nobody waits longer.
    alarm(100);
    for (unsigned i = 0; i < steps; i++) {
        switch (below(16)) {
        case 0: case 1: case 2: case 3: try_write(); break;
        case 4: case 5: try_writev(); break;
        case 6: try_bad(); break;
        case 7: case 8: try_descriptors(); break;
        case 9: try_opening(); break;
        case 10: try_other_data(); break;
        case 11: try_stdio(); break;
        case 12: try_processes(depth); break;
        case 13: raise(SIGUSR1); break;
        case 14:
            // Back to where they were, or all programs would soon play with closed descriptors.
            if (below(2)) {
                int n = dup2(FIRST_END + 2, 1);
                say("restored %d %d\n", n, dup2(FIRST_END + 3, 2));
            }
            if (below(20) == 0) say("no reader %d\n", close(FIRST_END + below(2)));
            break;
        default:
            drain(FIRST_END, "drained");
            drain(FIRST_END + 1, "drained");
        }
    }
}

static int player(char **arguments) {
    state = strtoull(arguments[2], 0, 10);
    kind = atoi(arguments[5]);
    map_both();
    unsigned long long id[4];
    int open[2];
    if (arguments[7]) {
        sscanf(arguments[7], "%d:%llu:%llu:%d:%llu:%llu", &open[0], &id[0], &id[1], &open[1], &id[2], &id[3]);
        for (int i = 0; i < 2; i++) is_open[i] = open[i], streams[i].st_dev = id[2 * i], streams[i].st_ino = id[2 * i + 1];
    } else
        for (int i = 0; i < 2; i++) is_open[i] = fstat(1 + i, &streams[i]) == 0;
    edge = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(edge + 4096, 4096, PROT_NONE);
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGUSR1, &action, 0);
    if (below(2)) signal(SIGPIPE, SIG_IGN);
    else sigaction(SIGPIPE, &action, 0);
    play(20 + below(80), atoi(arguments[6]));
    fflush(0);
    switch (below(3)) {
    case 0: _exit(3);
    case 1: exit(4);
    default: return 5;
    }
}

static int drive(int count, char **arguments) {
    state = strtoull(arguments[2], 0, 10);
    map_both();
    kind = below(KINDS);
    // {read, write} of standard output, then of standard error.
    int ends[4], flags = O_NONBLOCK | O_CLOEXEC;
    switch (kind) {
    case PIPES: pipe2(ends, flags), pipe2(ends + 2, flags); break;
    case ONE_PIPE: pipe2(ends, flags), ends[2] = ends[0], ends[3] = ends[1]; break;
    case SOCKETS:
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends);
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends + 2);
        break;
    case FILES:
        for (int i = 0; i < 4; i++) ends[i] = open(i / 2 ? "err" : "out", (i % 2 ? O_WRONLY | O_APPEND : O_RDONLY) | O_CREAT | O_CLOEXEC, 0600);
        break;
    case NULLS: case FULL:
        for (int i = 0; i < 4; i++) ends[i] = open(kind == FULL && i % 2 ? "/dev/full" : "/dev/null", O_RDWR | O_CLOEXEC);
        break;
    default:
        openpty(&ends[0], &ends[1], 0, 0, 0);
        ends[2] = ends[0], ends[3] = ends[1];
        for (int i = 0; i < 2; i++) fcntl(ends[i], F_SETFL, fcntl(ends[i], F_GETFL) | O_NONBLOCK), fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    }
    if (kind == PIPES || kind == ONE_PIPE)
        for (int i = 1; i < 4; i += 2) fcntl(ends[i], F_SETPIPE_SZ, below(2) ? 4096 : 16384);
    char numbers[2][24];
    snprintf(numbers[0], 24, "%llu", (unsigned long long)next());
    snprintf(numbers[1], 24, "%d", kind);
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 2; i++) {
            dup2(ends[2 * i + 1], 1 + i);
            dup2(ends[2 * i + 1], FIRST_END + 2 + i);
            dup2(ends[2 * i], FIRST_END + i);
        }
        char *play[] = {(char *)self, "play", numbers[0], arguments[3], arguments[4], numbers[1], "3", 0};
        char **line = calloc(count + 10, sizeof *line);
        memcpy(line, arguments + 5, (count - 5) * sizeof *line);
        memcpy(line + count - 5, play, sizeof play);
        execvp(line[0], line);
        _exit(98);
    }
    int status;
    waitpid(pid, &status, 0);
    say("kind %d: %#x\n", kind, status);
    if (kind == TERMINAL) {
        drain_terminal(ends[0], ends[1]);
    } else {
        drain(ends[0], "left");
        drain(ends[2], "left");
    }
    return WIFEXITED(status) && WEXITSTATUS(status) >= 3 && WEXITSTATUS(status) <= 5 ? 0 : 1;
}

int main(int count, char **arguments) {
    self = arguments[0], log_path = arguments[3], account_path = arguments[4];
    return strcmp(arguments[1], "drive") == 0 ? drive(count, arguments) : player(arguments);
}
