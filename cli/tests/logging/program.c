/* What tests/logging.rs runs. The first argument chooses what it does; it prints what its calls gave. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

static int is(const char *a, const char *b) { return strcmp(a, b) == 0; }

static void gave(const char *what, long result) {
    int error = errno;
    printf("%s %ld %s\n", what, result, result < 0 ? strerror(error) : "");
    errno = 0;
}

static struct sockaddr_un address(const char *path) {
    struct sockaddr_un to = {AF_UNIX, {0}};
    strcpy(to.sun_path, path);
    return to;
}

static int attach(const char *path) {
    struct sockaddr_un to = address(path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (void *)&to, sizeof to) != 0 && errno != ENOENT) abort();
    return fd;
}

/* A /dev/log of our own, that nobody reads unless we do. */
static int serve(void) {
    struct sockaddr_un here = address("/dev/log");
    unlink("/dev/log");
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (bind(fd, (void *)&here, sizeof here) != 0) abort();
    return fd;
}

static void valist(int priority, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsyslog(priority, format, arguments);
    va_end(arguments);
}

static void calls(void) {
    syslog(LOG_INFO, "before openlog");
    openlog("named", LOG_PID, LOG_DAEMON);
    syslog(LOG_WARNING, "%s", "after");
    syslog(LOG_ERR | LOG_LOCAL3, "a facility of its own\n");
    syslog(LOG_INFO, "%d %d %d %d %d %d %d %d", 1, 2, 3, 4, 5, 6, 7, 8);
    syslog(LOG_INFO, "%g %d %g %s %g %g %g %g %g %g %g", .5, 1, 1.5, "s", 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5);
    valist(LOG_CRIT, "%s %d %g", "list", 2, 3.5);
    errno = ENOENT;
    syslog(LOG_NOTICE, "%m");
    setlogmask(LOG_UPTO(LOG_ERR));
    syslog(LOG_WARNING, "masked");
    syslog(LOG_ALERT, "two\nlines");
    setlogmask(LOG_UPTO(LOG_DEBUG));
    char *large = malloc(20001);
    memset(large, 'l', 20000);
    large[20000] = 0;
    errno = EPERM;
    syslog(LOG_DEBUG, "%s %m", large);
    gave("errno", -1);
    closelog();
    syslog(LOG_EMERG, "behind closelog");
}

static void copied(void) {
    openlog("copied", LOG_PERROR | LOG_PID, LOG_USER);
    syslog(LOG_WARNING, "on standard error too");
    syslog(LOG_WARNING, "with a newline\n");
    fprintf(stderr, "something else\n");
}

static void datagrams(void) {
    char fits[] = "<28>Nov  1 10:00:00 sent[9]: by send";
    int fd = attach("/dev/log");
    gave("send", send(fd, fits, strlen(fits), MSG_NOSIGNAL));
    gave("sendto", sendto(fd, "<27>sendto: connected", 21, 0, 0, 0));
    struct iovec pieces[] = {{"<26>", 4}, {0, 0}, {"piece: of ", 10}, {"sendmsg\n", 8}};
    struct msghdr message = {0, 0, pieces, 4, 0, 0, 0};
    gave("sendmsg", sendmsg(fd, &message, 0));
    struct iovec one = {"<25>many: one", 13}, two = {"<24>many: two", 13};
    struct mmsghdr both[] = {{{0, 0, &one, 1, 0, 0, 0}, 0}, {{0, 0, &two, 1, 0, 0, 0}, 0}};
    gave("sendmmsg", sendmmsg(fd, both, 2, 0));
    if (vfork() == 0) {
        close(fd);
        close_range(3, ~0u, 0);
        _exit(0);
    }
    wait(0);
    gave("write", write(fd, "<23>write: it", 13));
    gave("writev", writev(fd, pieces, 4));
    gave("empty", send(fd, "", 0, 0));
    gave("EFAULT", send(fd, (void *)1, 9, 0));
    gave("EBADF", send(-1, (void *)1, 9, 0));
    gave("EINVAL", writev(fd, (void *)1, 1 << 20));
    struct msghdr many = {0, 0, (void *)1, 1 << 20, 0, 0, 0};
    gave("too many", sendmsg(fd, &many, 0));
    gave("null", sendmsg(fd, (void *)1, 0));
    if (fork() == 0) {
        send(fd, "no priority", 11, 0);
        _exit(0);
    }
    wait(0);
    int plain = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct sockaddr_un to = address("/dev/log"), journal = address("/run/systemd/journal/socket");
    gave("address", sendto(plain, "<14>to: an address", 18, 0, (void *)&to, sizeof to));
    char native[] = "MESSAGE=native\nPRIORITY=4\nSYSLOG_IDENTIFIER=raw\nKEY=value\n";
    gave("journal", sendto(plain, native, strlen(native), 0, (void *)&journal, sizeof journal));
    int file = memfd_create("large", MFD_CLOEXEC);
    if (write(file, "MESSAGE=in a file\nPRIORITY=2\n", 29) != 29) abort();
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {{CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    memcpy(CMSG_DATA(&control.header), &file, sizeof file);
    struct msghdr passing = {&journal, sizeof journal, 0, 0, &control, sizeof control.room, 0};
    gave("file", sendmsg(plain, &passing, 0));
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) != 0) abort();
    gave("other", send(pair[0], "<14>other: socket", 17, 0));
}

/* A number that was a log's socket is somebody else's now. */
static void reused(const char *how) {
    int fd = attach("/dev/log"), pair[2];
    send(fd, "<14>how: seen", 13, 0);
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) != 0) abort();
    if (is(how, "dup2")) dup2(pair[0], fd);
    if (is(how, "dup3")) dup3(pair[0], fd, O_CLOEXEC);
    if (is(how, "close")) close(fd);
    if (is(how, "fclose")) fclose(fdopen(fd, "w"));
    if (is(how, "close_range")) close_range(fd, fd, 0);
    if (is(how, "close") || is(how, "fclose") || is(how, "close_range")) {
        if (dup(pair[0]) != fd) abort();
    }
    if (is(how, "connect")) {
        struct sockaddr_un to = address("/run/other");
        int other = socket(AF_UNIX, SOCK_DGRAM, 0);
        if (bind(other, (void *)&to, sizeof to) != 0 || connect(fd, (void *)&to, sizeof to) != 0) abort();
    }
    if (send(fd, "<14>how: unseen", 15, 0) != 15) abort();
}

static void inherited(const char *program) {
    serve();
    int fd = attach("/dev/log");
    char number[12];
    sprintf(number, "%d", dup(fd));
    execl(program, program, "inheritor", number, (char *)0);
}

/* Nobody reads: until the queue is full, and again when there is room. */
static void again(void) {
    int log = serve(), fd = attach("/dev/log"), sent = 0, failed = 0;
    char text[32], taken[32];
    while (failed < 3) {
        int len = sprintf(text, "<14>again: %d", sent);
        if (send(fd, text, len, MSG_DONTWAIT) == len) {
            sent++;
        } else {
            failed++;
            send(fd, text, len, MSG_DONTWAIT);
            if (recv(log, taken, sizeof taken, 0) < 0) abort();
        }
    }
    printf("%d\n", sent);
}

static void *forever(void *how) {
    int fd = attach("/dev/log");
    for (;;) {
        if (is(how, "syslog")) syslog(LOG_INFO, "again and again");
        if (is(how, "send")) send(fd, "<14>again: and again", 20, 0);
    }
}

static void cancelled(char *how) {
    pthread_t thread;
    void *result;
    serve();
    pthread_create(&thread, 0, forever, how);
    usleep(300000);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    printf(result == PTHREAD_CANCELED ? "cancelled\n" : "ended\n");
}

static void *many(void *number) {
    int thread = (long)number, fd = attach("/dev/log");
    for (int i = 0; i < 100; i++) {
        char head[32], tail[3000];
        int len = sprintf(head, "<14>t%d: %d ", thread, i);
        memset(tail, 'a' + thread, sizeof tail);
        struct iovec pieces[] = {{head, len}, {tail, sizeof tail}};
        struct msghdr message = {0, 0, pieces, 2, 0, 0, 0};
        sendmsg(fd, &message, 0);
        syslog(LOG_INFO, "%d of %d", i, thread);
    }
    return 0;
}

static void threads(void) {
    pthread_t all[24];
    for (long i = 0; i < 24; i++) pthread_create(&all[i], 0, many, (void *)i);
    for (int i = 0; i < 24; i++) pthread_join(all[i], 0);
}

static int ticking;
static volatile int ticks;

static void tick(int signal) {
    int error = errno;
    char text[] = "<14>tick: tick";
    ticks++;
    send(ticking, text, sizeof text - 1, 0);
    errno = error;
}

static void signals(void) {
    struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 500}, {0, 500}}, never = {0};
    ticking = attach("/dev/log");
    sigaction(SIGALRM, &action, 0);
    setitimer(ITIMER_REAL, &often, 0);
    for (int i = 0; i < 5000; i++) syslog(LOG_INFO, "line");
    setitimer(ITIMER_REAL, &never, 0);
    fprintf(stderr, "%d\n", ticks);
}

#ifdef JOURNAL
#include <systemd/sd-journal.h>
static void journal(void) {
    sd_journal_print(LOG_WARNING, "print %d", 1);
    sd_journal_send("MESSAGE=send %d", 2, "PRIORITY=3", "KEY=value", "LINES=a\nb", NULL);
    errno = ENOENT;
    sd_journal_perror("perror");
    struct iovec fields[] = {{"MESSAGE=sendv", 13}, {"PRIORITY=7", 10}, {"SYSLOG_IDENTIFIER=own", 21}};
    sd_journal_sendv(fields, 3);
    /* More than a datagram can be, so it goes as a file. */
    size_t len = 9 << 20;
    char *large = malloc(len);
    memset(large, 'l', len);
    memcpy(large, "MESSAGE=large", 13);
    struct iovec field = {large, len};
    gave("large", sd_journal_sendv(&field, 1));
}
#endif

int main(int count, char **arguments) {
    const char *what = arguments[1];
    if (is(what, "calls")) calls();
    if (is(what, "copied")) copied();
    if (is(what, "datagrams")) datagrams();
    if (is(what, "reused")) reused(arguments[2]);
    if (is(what, "inherited")) inherited(arguments[0]);
    if (is(what, "inheritor")) {
        int fd = atoi(arguments[2]);
        gave("inherited", write(fd, "<14>heir: by exec", 17));
        gave("duplicate", send(dup(fd), "<14>heir: by dup", 16, 0));
    }
    if (is(what, "again")) again();
    if (is(what, "threads")) threads();
    if (is(what, "signals")) signals();
    if (is(what, "cancelled")) cancelled(arguments[2]);
#ifdef JOURNAL
    if (is(what, "journal")) journal();
#endif
    return count == 1;
}
