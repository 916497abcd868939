#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

static int is(const char *a, const char *b) { return strcmp(a, b) == 0; }
static void say(const char *text) { if (write(1, text, strlen(text)) < 0) abort(); }

static int print(void) {
    printf("printf %d\n", 1);
    puts("puts");
    for (const char *c = "putchar\n"; *c; c++) putchar(*c);
    fwrite("fwrite\n", 1, 7, stdout);
    fflush(stdout);
    say("write\n");
    struct iovec pieces[] = {{"wri", 3}, {0, 0}, {"tev", 3}, {"\n", 1}};
    writev(1, pieces, 4);
    dprintf(1, "dprintf\n");
    fprintf(stderr, "fprintf\n");
    errno = ENOENT;
    perror("opening");
    return 4;
}

static int end(const char *how) {
    puts("whole");
    printf("half");
    if (is(how, "exit")) exit(3);
    if (is(how, "abort")) abort();
    if (is(how, "return")) return 0;
    fflush(stdout);
    char *arguments[] = {"true", 0};
    extern char **environ;
    if (is(how, "_exit")) _exit(5);
    if (is(how, "_Exit")) _Exit(6);
    if (is(how, "execv")) execv("/bin/true", arguments);
    if (is(how, "execvp")) execvp("true", arguments);
    if (is(how, "execve")) execve("/bin/true", arguments, environ);
    return 99;
}

static int child(int is_vfork) {
    say("half");
    pid_t pid = is_vfork ? vfork() : fork();
    if (pid == 0) {
        if (is_vfork) {
            execl("/bin/echo", "echo", " child", (char *)0);
            _exit(1);
        }
        say(" child\n");
        _exit(0);
    }
    waitpid(pid, 0, 0);
    say(" whole\n");
    return 0;
}

static int vfork_first(void) {
    for (int i = 0; i < 2; i++) {
        if (vfork() == 0) {
            say("child\n");
            _exit(0);
        }
        wait(0);
        char line[32];
        snprintf(line, sizeof line, "%d\n", getpid());
        say(line);
        if (i == 0 && fork() != 0) {
            wait(0);
            return 0;
        }
    }
    return 0;
}

static void crashed(int signal) {
    write(2, "crashed\n", 8);
    _exit(11);
}

static int crash(void) {
    static char stack[8192];
    stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&own, 0);
    struct sigaction action = {.sa_handler = crashed, .sa_flags = SA_ONSTACK};
    sigaction(SIGSEGV, &action, 0);
    raise(SIGSEGV);
    return 99;
}

static int pieces(void) {
    for (const char *c = "abcdef\n"; *c; c++) write(1, c, 1);
    static char x[20001];
    memset(x, 'x', 20000);
    x[20000] = '\n';
    for (size_t at = 0; at < sizeof x;) {
        size_t now = sizeof x - at < 3001 ? sizeof x - at : 3001;
        ssize_t n = write(1, x + at, now);
        if (n > 0) at += n;
    }
    return 0;
}

static void *lines(void *number) {
    char line[64];
    for (int i = 0; i < 2000; i++) {
        int n = snprintf(line, sizeof line, "thread %d line %d\n", (int)(long)number, i);
        struct iovec text[] = {{line, n / 2}, {line + n / 2, n - n / 2}};
        if (i % 2 ? write(1, line, n) != n : writev(1, text, 2) != n) abort();
    }
    return 0;
}

static int threads(void) {
    pthread_t all[8];
    for (long i = 0; i < 8; i++) pthread_create(&all[i], 0, lines, (void *)i);
    for (int i = 0; i < 8; i++) pthread_join(all[i], 0);
    return 0;
}

static volatile int ticks;
static void tick(int signal) { ticks++; say("tick\n"); }

static int signals(void) {
    struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, 0);
    struct itimerval every = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &every, 0);
    for (int i = 0; i < 20000; i++) say("a line of the program\n");
    while (ticks < 20) usleep(1000);
    setitimer(ITIMER_REAL, &never, 0);
    fprintf(stderr, "%d\n", ticks);
    return 0;
}

static void *forever(void *unused) { for (;;) say("a line that nobody reads\n"); }

static int cancel(void) {
    pthread_t thread;
    void *result;
    pthread_create(&thread, 0, forever, 0);
    usleep(300000);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    fprintf(stderr, result == PTHREAD_CANCELED ? "cancelled\n" : "ended\n");
    return 0;
}

static int errors(void) {
    errno = 1234;
    ssize_t n = write(1, "x\n", 2);
    fprintf(stderr, "%zd %d\n", n, errno);
    n = write(1, 0, 5);
    fprintf(stderr, "%zd %d\n", n, errno);
    n = write(1, "", 0);
    fprintf(stderr, "%zd %d\n", n, errno);
    struct iovec none = {0, 0};
    n = writev(1, &none, -1);
    fprintf(stderr, "%zd %d\n", n, errno);
    n = writev(1, &none, 1);
    fprintf(stderr, "%zd %d\n", n, errno);
    n = dup2(77, 1);
    fprintf(stderr, "%zd %d\n", n, errno);
    n = close(1);
    fprintf(stderr, "%zd %d\n", n, errno);
    n = write(1, "x\n", 2);
    fprintf(stderr, "%zd %d\n", n, errno);
    n = close(1);
    fprintf(stderr, "%zd %d\n", n, errno);
    return 0;
}

static int reopen(const char *how, const char *path) {
    say("seen\n");
    if (is(how, "close")) close(1);
    if (is(how, "fclose")) fclose(stdout);
    if (is(how, "freopen")) return freopen(path, "w", stdout) ? (puts("unseen"), 0) : 1;
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    if (is(how, "dup2")) dup2(fd, 1);
    if (is(how, "dup3")) dup3(fd, 1, 0);
    say("unseen\n");
    return 0;
}

static int closeall(const char *how) {
    say("before\n");
    if (is(how, "close_range")) close_range(3, ~0u, 0);
    if (is(how, "closefrom")) closefrom(3);
    if (is(how, "daemon")) {
        // As daemon(3) does it, and behind it everything is closed; standard output is kept.
        if (fork() != 0) { wait(0); return 0; }
        setsid();
        chdir("/");
        close_range(3, ~0u, 0);
    }
    say("behind\n");
    return 0;
}

int main(int count, char **arguments) {
    const char *what = arguments[1];
    if (is(what, "print")) return print();
    if (is(what, "wide")) return wprintf(L"wide %d\n", 5) < 0;
    if (is(what, "end")) return end(arguments[2]);
    if (is(what, "fork")) return child(0);
    if (is(what, "vfork")) return child(1);
    if (is(what, "vfork-first")) return vfork_first();
    if (is(what, "crash")) return crash();
    if (is(what, "pieces")) return pieces();
    if (is(what, "threads")) return threads();
    if (is(what, "signals")) return signals();
    if (is(what, "cancel")) return cancel();
    if (is(what, "errno")) return errors();
    if (is(what, "reopen")) return reopen(arguments[2], arguments[3]);
    if (is(what, "closeall")) return closeall(arguments[2]);
    return 98;
}
