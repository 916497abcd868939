/* Every way of the C library to write to the standard streams, a way for each first argument. */
#define _GNU_SOURCE
#include <aio.h>
#include <argp.h>
#include <assert.h>
#include <err.h>
#include <errno.h>
#include <error.h>
#include <execinfo.h>
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

static void varying(FILE *file, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(file, format, arguments);
    va_end(arguments);
}

static void printing(void) {
    printf("printf %d %s\n", 7, "words");
    puts("puts");
    fputs("fputs\n", stdout);
    fwrite("fwrite\n", 1, 7, stdout);
    for (const char *c = "putchar\n"; *c; c++) putchar(*c);
    for (const char *c = "putc\n"; *c; c++) putc(*c, stderr);
    for (const char *c = "fputc\n"; *c; c++) fputc(*c, stdout);
    fprintf(stderr, "fprintf %s\n", "to stderr");
    varying(stdout, "vfprintf %c\n", 'c');
    varying(stderr, "vfprintf %5.2f\n", 1.5);
    printf("no newline");
}

static void unlocked(void) {
    fputs_unlocked("fputs_unlocked\n", stdout);
    fwrite_unlocked("fwrite_unlocked\n", 1, 16, stderr);
    for (const char *c = "putchar_unlocked\n"; *c; c++) putchar_unlocked(*c);
    for (const char *c = "fputc_unlocked\n"; *c; c++) fputc_unlocked(*c, stderr);
    flockfile(stdout);
    for (const char *c = "putc_unlocked\n"; *c; c++) putc_unlocked(*c, stdout);
    funlockfile(stdout);
}

static void buffers(void) {
    static char buffer[64];
    setvbuf(stdout, 0, _IONBF, 0);
    printf("unbuffered %d and %d\n", 1, 2);
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    for (int i = 0; i < 40; i++) printf("a small buffer %d\n", i);
    fflush(stdout);
    setlinebuf(stdout);
    printf("in two ");
    printf("parts\n");
    char large[20000];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = 0;
    puts(large);
    fwrite("\0\1\xff\n\n\n", 1, 6, stdout);
}

static void opened(void) {
    FILE *again = fdopen(dup(1), "w");
    fprintf(again, "fdopen of a dup\n");
    fclose(again);
    FILE *path = fopen("/dev/stdout", "a");
    if (path) {
        fprintf(path, "fopen of /dev/stdout\n");
        fclose(path);
    }
    int high = fcntl(2, F_DUPFD, 100);
    if (write(high, "a high number\n", 14) < 0) abort();
    dprintf(high, "dprintf to a high number\n");
    close(high);
}

static void wide(void) {
    wprintf(L"wprintf %d\n", 1);
    fputws(L"fputws \u00e4\u20ac\n", stdout);
    putwchar(L'w');
    putwc(L'\n', stdout);
    fwprintf(stderr, L"fwprintf %ls\n", L"\u00fc");
}

static void calls(void) {
    struct iovec pieces[] = {{"wri", 3}, {0, 0}, {"tev\n", 4}};
    if (write(1, "write\n", 6) < 0 || writev(2, pieces, 3) < 0) abort();
    dprintf(1, "dprintf %d\n", 3);
    dprintf(2, "dprintf %d\n", 4);
}

static void descriptors(void) {
    static char text[5000];
    memset(text, 'y', sizeof text - 1);
    int results[8] = {
        dprintf(1, "dprintf %d %s %.2f %Lf %c\n", 1, "two", 3.0, 4.0L, '5'),
        dprintf(2, "%d %d %d %d %d %d %d %d %g %g %g %g %g %g %g %g %g %g\n", 1, 2, 3, 4, 5, 6, 7, 8, .1, .2, .3, .4, .5, .6,
                .7, .8, .9, 1.),
        dprintf(1, "%s\n", text),
        dprintf(1, "%1022d\n", 1),
        dprintf(1, "%1023d\n", 1),
        dprintf(1, ""),
        dprintf(-1, "nowhere\n"),
    };
    errno = EXDEV;
    dprintf(2, "%m\n");
    errno = EXDEV;
    results[7] = dprintf(2, "%s%m\n", text);
    for (int i = 0; i < 8; i++) printf("%d ", results[i]);
    puts("");
    close(2);
    int closed = dprintf(2, "closed\n");
    printf("%d %d\n", closed, errno == EBADF);
}

static void complaints(void) {
    errno = ENOENT;
    perror("perror");
    warn("warn %d", 1);
    warnx("warnx");
    error(0, EPERM, "error %d", 2);
    error_at_line(0, 0, "file.c", 12, "error_at_line");
    psignal(SIGHUP, "psignal");
    errno = EACCES;
    err(3, "err");
}

static void options(int count, char **arguments) {
    static struct option known[] = {{"known", required_argument, 0, 'k'}, {0, 0, 0, 0}};
    while (getopt_long(count - 1, arguments + 1, "ab:", known, 0) != -1) {}
}

static void parser(int count, char **arguments) {
    static struct argp_option known[] = {{"known", 'k', "VALUE", 0, "An option", 0}, {0}};
    static struct argp description = {known, 0, "ARGUMENT", "A program.", 0, 0, 0};
    arguments[1] = arguments[0];
    argp_parse(&description, count - 1, arguments + 1, 0, 0, 0);
}

static int smashed(volatile int len) {
    volatile char room[8];
    for (volatile int i = 0; i < len; i++) room[i] = 'A';
    return room[0];
}

static void *speak(void *name) {
    for (int i = 0; i < 50; i++) {
        printf("thread %s line %d\n", (char *)name, i);
        fflush(stdout);
    }
    return 0;
}

static void threads(void) {
    pthread_t a;
    pthread_create(&a, 0, speak, "a");
    pthread_join(a, 0);
    speak("main");
}

static void children(void) {
    fprintf(stdout, "parent\n");
    fflush(stdout);
    if (system("echo by system; echo bad by system >&2")) abort();
    FILE *pipe = popen("cat", "w");
    fprintf(pipe, "by popen\n");
    pclose(pipe);
    pid_t child = fork();
    if (child == 0) {
        printf("forked\n");
        exit(0);
    }
    waitpid(child, 0, 0);
    child = vfork();
    if (child == 0) {
        execl("/bin/echo", "echo", "vforked", (char *)0);
        _exit(1);
    }
    waitpid(child, 0, 0);
}

static int source(void) {
    FILE *file = tmpfile();
    fputs("copied by the kernel\n", file);
    fflush(file);
    lseek(fileno(file), 0, SEEK_SET);
    return fileno(file);
}

static void copied(const char *how) {
    int pipes[2], file = source();
    if (write(1, "before\n", 7) < 0 || pipe(pipes) < 0) abort();
    if (!strcmp(how, "sendfile")) sendfile(1, file, 0, 100);
    if (!strcmp(how, "copy_file_range")) copy_file_range(file, 0, 1, 0, 100, 0);
    if (!strcmp(how, "splice")) {
        splice(file, 0, pipes[1], 0, 100, 0);
        splice(pipes[0], 0, 1, 0, 21, 0);
    }
    struct iovec piece = {"copied by the kernel\n", 21};
    if (!strcmp(how, "vmsplice")) vmsplice(1, &piece, 1, 0);
    if (!strcmp(how, "tee")) {
        if (write(pipes[1], piece.iov_base, 21) < 0) abort();
        tee(pipes[0], 1, 100, 0);
    }
    if (write(1, "after\n", 6) < 0) abort();
}

static void placed(const char *how) {
    struct iovec piece = {"placed\n", 7};
    off_t end = lseek(1, 0, SEEK_END);
    if (!strcmp(how, "pwrite")) pwrite(1, "placed\n", 7, end);
    if (!strcmp(how, "pwritev")) pwritev(1, &piece, 1, end);
    if (!strcmp(how, "pwritev2")) pwritev2(1, &piece, 1, end, 0);
    if (!strcmp(how, "aio")) {
        struct aiocb block = {.aio_fildes = 1, .aio_buf = "placed\n", .aio_nbytes = 7, .aio_offset = end};
        const struct aiocb *blocks[] = {&block};
        if (aio_write(&block) == 0) aio_suspend(blocks, 1, 0);
    }
}

static void sent(void) {
    struct iovec pieces[] = {{"sen", 3}, {"dmsg\n", 5}};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
    send(1, "send\n", 5, 0);
    sendto(1, "sendto\n", 7, 0, 0, 0);
    sendmsg(1, &message, 0);
    struct mmsghdr both[] = {{.msg_hdr = message}, {.msg_hdr = message}};
    sendmmsg(1, both, 2, 0);
    if (write(1, "write\n", 6) < 0) abort();
}

int main(int count, char **arguments) {
    const char *how = arguments[1];
    setlocale(LC_ALL, "");
#define IS(name) if (!strcmp(how, name))
    IS("stdio") printing();
    IS("unlocked") unlocked();
    IS("buffers") buffers();
    IS("opened") opened();
    IS("wide") wide();
    IS("calls") calls();
    IS("dprintf") descriptors();
    IS("complaints") complaints();
    IS("getopt") options(count, arguments);
    IS("argp") parser(count, arguments);
    IS("assert") assert(count == 77);
    IS("threads") threads();
    IS("children") children();
    IS("copied") copied(arguments[2]);
    IS("placed") placed(arguments[2]);
    IS("sent") sent();
    IS("by-number") {
        if (write(1, "write\n", 6) < 0) abort();
        syscall(SYS_write, 1, "syscall\n", 8);
    }
    IS("backtrace") {
        void *frames[1] = {0};
        fflush(stderr);
        backtrace_symbols_fd(frames, 1, 2);
    }
    IS("psiginfo") {
        siginfo_t info = {.si_signo = SIGINT, .si_code = SI_USER};
        psiginfo(&info, "psiginfo");
    }
    IS("malloc") malloc_stats();
    IS("smashed") {
        fprintf(stderr, "next\n");
        smashed(100);
    }
    IS("freed") {
        char *volatile block = malloc(2000);
        malloc(10);
        free(block);
        free(block);
    }
    IS("overflow") {
        char small[8];
        volatile size_t len = 20;
        memset(small, 0, len);
        __memcpy_chk(small, "aaaaaaaaaaaaaaaaaaaa", len, sizeof small);
    }
    IS("high") {
        int high = fcntl(1, F_DUPFD, 300);
        if (write(1, "low\n", 4) < 0 || write(high, "high\n", 5) < 0) abort();
    }
    IS("unfinished") {
        printf("whole\n");
        printf("half");
        fflush(stdout);
        kill(getpid(), SIGKILL);
    }
    IS("die") {
        printf("printed before it dies\n");
        if (!strcmp(arguments[2], "abort")) abort();
        if (!strcmp(arguments[2], "segv")) raise(SIGSEGV);
        if (!strcmp(arguments[2], "_exit")) _exit(4);
        if (!strcmp(arguments[2], "kill")) kill(getpid(), SIGKILL);
    }
    return 0;
}
