// Every call that moves data to standard output without write(2). What the calls gave goes to standard error.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static int is(const char *a, const char *b) { return strcmp(a, b) == 0; }
static void told(const char *what, ssize_t result) {
    int error = errno;
    dprintf(2, "%s %zd %s\n", what, result, result < 0 ? strerrorname_np(error) : "");
}

static char text[500000];
// Many lines, numbered, in a file; gives its descriptor, read from the start.
static int file_of(int count, const char *word) {
    char name[] = "/tmp/lapwing-moves-XXXXXX";
    int fd = mkstemp(name), len = 0;
    unlink(name);
    for (int i = 0; i < count; i++) len += sprintf(text + len, "%s %d\n", word, i);
    if (pwrite(fd, text, len, 0) != len) abort();
    return fd;
}
static int length(int fd) {
    int len = lseek(fd, 0, SEEK_END);
    lseek(fd, 0, SEEK_SET);
    return len;
}
static void fill(int pipe, const char *word) {
    int len = sprintf(text, "%s\n", word);
    if (write(pipe, text, len) != len) abort();
}

static void pieces(void) {
    struct iovec two[] = {{"pie", 3}, {"ces\n", 4}};
    told("pwrite", pwrite(1, "pwrite\n", 7, 0));
    told("pwrite before the start", pwrite(1, "no\n", 3, -5));
    told("pwritev", pwritev(1, two, 2, 7));
    told("pwritev2", pwritev2(1, two, 2, 14, 0));
    told("pwritev2 flags", pwritev2(1, two, 2, 14, 0x4000));
    // Not where standard output is a file: there it is at the start still.
    told("seek", lseek(1, 0, SEEK_END) >= 0);
    told("pwritev2 here", pwritev2(1, two, 2, -1, 0));
}

static void sends(void) {
    struct iovec two[] = {{"mes", 3}, {"sage\n", 5}};
    struct msghdr message = {.msg_iov = two, .msg_iovlen = 2};
    struct mmsghdr many[2] = {{message, 77}, {message, 77}};
    told("send", send(1, "send\n", 5, MSG_NOSIGNAL));
    told("sendto", sendto(1, "sendto\n", 7, 0, 0, 0));
    told("sendmsg", sendmsg(1, &message, MSG_DONTWAIT));
    told("sendmmsg", sendmmsg(1, many, 2, 0));
    told("lengths", many[0].msg_len * 100 + many[1].msg_len);
}

static void files(void) {
    int fd = file_of(3, "sendfile"), len = length(fd);
    off_t at = 0;
    told("sendfile", sendfile(1, fd, 0, len));
    told("position", lseek(fd, 0, SEEK_CUR));
    told("at the end", sendfile(1, fd, 0, len));
    at = 11;
    told("sendfile from", sendfile(1, fd, &at, 100000));
    told("offset", at);
    told("position", lseek(fd, 0, SEEK_CUR));
    at = -1;
    told("bad offset", sendfile(1, fd, &at, 10));
    told("bad input", sendfile(1, -1, 0, 10));
    int big = file_of(6000, "a big file"), all = length(big);
    for (int left = all; left > 0;) {
        ssize_t now = sendfile(1, big, 0, left);
        if (now <= 0) { told("big", now); break; }
        left -= now;
    }
    told("big position", lseek(big, 0, SEEK_CUR) - all);
}

static void ranges(void) {
    int fd = file_of(3, "range"), len = length(fd);
    off64_t from = 8, to = 5;
    told("copy", copy_file_range(fd, 0, 1, 0, len, 0));
    told("position", lseek(fd, 0, SEEK_CUR));
    told("copy from", copy_file_range(fd, &from, 1, 0, 8, 0));
    told("offset", from);
    told("flags", copy_file_range(fd, &from, 1, 0, 8, 77));
    told("bad input", copy_file_range(-1, 0, 1, 0, 8, 0));
    told("a pipe", (pipe((int[2]){0}), copy_file_range(0, 0, 1, 0, 8, 0)));
}

static void pipes(void) {
    int ends[2], all[2];
    pipe(ends);
    fill(ends[1], "spliced");
    told("splice", splice(ends[0], 0, 1, 0, 100, 0));
    told("empty", splice(ends[0], 0, 1, 0, 100, SPLICE_F_NONBLOCK));
    fill(ends[1], "two\nlines");
    told("four bytes", splice(ends[0], 0, 1, 0, 4, 0));
    told("the rest", splice(ends[0], 0, 1, 0, 400, SPLICE_F_NONBLOCK));
    loff_t at = 0;
    told("a pipe has no offset", splice(ends[0], &at, 1, 0, 10, 0));
    fill(ends[1], "teed");
    told("tee", tee(ends[0], 1, 100, 0));
    char back[100];
    told("still there", read(ends[0], back, sizeof back));
    close(ends[1]);
    told("end", splice(ends[0], 0, 1, 0, 100, 0));
    int fd = file_of(2, "from a file");
    length(fd);
    told("file", splice(fd, 0, 1, 0, 100, 0));
    at = 14;
    told("file from", splice(fd, &at, 1, 0, 100, SPLICE_F_NONBLOCK));
    told("offset", at);
    struct iovec two[] = {{"vm", 2}, {"splice\n", 7}};
    told("vmsplice", vmsplice(1, two, 2, 0));
    // A pipe of our own is nobody's business.
    pipe(all);
    told("elsewhere", vmsplice(all[1], two, 2, 0) + splice(all[0], 0, open("/dev/null", O_WRONLY), 0, 100, 0));
}

static volatile int guard[2];
__attribute__((noinline)) static void smash(void) {
    char small[8];
    memset(small, guard[0] + 'x', sizeof small + 32 + guard[1]);
    __asm__ volatile("" : : "r"(small) : "memory");
}

int main(int count, char **arguments) {
    if (is(arguments[1], "pieces")) pieces();
    if (is(arguments[1], "sends")) sends();
    if (is(arguments[1], "files")) files();
    if (is(arguments[1], "ranges")) ranges();
    if (is(arguments[1], "pipes")) pipes();
    if (is(arguments[1], "smash")) smash();
    return 0;
}
