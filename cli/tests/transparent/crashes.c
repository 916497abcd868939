// Ways to end, to print, and to look at oneself. The first argument chooses.
#define _GNU_SOURCE
#include <assert.h>
#include <err.h>
#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

extern char **environ;
static const char *self;

static int is(const char *a, const char *b) { return strcmp(a, b) == 0; }

static void smash(void) {
    char small[8];
    volatile size_t many = 64;
    for (size_t i = 0; i < many; i++) ((volatile char *)small)[i] = 'x';
}

static void on_signal(int signal) { dprintf(1, "signal %d\n", signal); }

static void at_end(void) { printf("at exit\n"); }
__attribute__((destructor)) static void destructor(void) { fflush(stdout); write(1, "destructor\n", 11); }

static jmp_buf back;
static void jump(int signal) { write(2, "jumping\n", 8); longjmp(back, 1); }

static void *printing(void *how) {
    printf("a thread\n");
    if (is(how, "pthread-exit")) pthread_exit(0);
    return 0;
}

static int crash(const char *how) {
    printf("whole\n");
    fflush(stdout);
    if (is(how, "abort")) abort();
    if (is(how, "assert")) assert(!"this holds");
    if (is(how, "smash")) { smash(); return 0; }
    if (is(how, "free")) { char *volatile p = malloc(100); free(p); free(p); return 0; }
    if (is(how, "segv")) { *(volatile int *)8 = 1; return 0; }
    if (is(how, "fpe")) { volatile int zero = 0; return 1 / zero; }
    if (is(how, "ill")) __builtin_trap();
    if (is(how, "bus")) { raise(SIGBUS); return 0; }
    if (is(how, "kill")) { raise(SIGKILL); return 0; }
    if (is(how, "term")) { raise(SIGTERM); return 0; }
    if (is(how, "pipe")) {
        int ends[2];
        pipe(ends);
        close(ends[0]);
        dup2(ends[1], 1);
        printf("into nothing\n");
        fflush(stdout);
        return 0;
    }
    if (is(how, "fsize")) {
        struct rlimit small = {10, 10};
        setrlimit(RLIMIT_FSIZE, &small);
        int fd = open("file", O_WRONLY | O_CREAT, 0600);
        dup2(fd, 1);
        printf("0123456789\n");
        fflush(stdout);
        printf("0123456789\n");
        fflush(stdout);
        return 0;
    }
    return 97;
}

static int ends(const char *how) {
    atexit(at_end);
    printf("half");
    if (is(how, "exit")) exit(3);
    if (is(how, "quick_exit")) quick_exit(4);
    if (is(how, "_exit")) _exit(5);
    if (is(how, "pthread_exit")) pthread_exit(0);
    if (is(how, "err")) { errno = ENOENT; err(6, "err(3)"); }
    if (is(how, "errx")) errx(7, "errx(3) %d", 1);
    if (is(how, "warn")) { errno = EACCES; warn("warn(3)"); return 8; }
    if (is(how, "error")) error(9, ENOENT, "error(3)");
    if (is(how, "psignal")) { psignal(11, "psignal"); return 10; }
    if (is(how, "fcloseall")) { fcloseall(); return 11; }
    if (is(how, "closed")) { close(1); return fflush(stdout) == EOF ? 12 : 0; }
    return 97;
}

static int stdio(const char *how) {
    if (is(how, "unbuffered")) setvbuf(stdout, 0, _IONBF, 0);
    if (is(how, "full")) setvbuf(stdout, 0, _IOFBF, 100);
    if (is(how, "own")) { static char buffer[64]; setbuf(stdout, buffer); }
    for (int i = 0; i < 40; i++) {
        printf("%d %s %.3f\n", i, "text", i / 7.0);
        putchar(i % 3 ? 'x' : '\n');
        fputs(i % 2 ? "err\n" : "", stderr);
        if (i == 20) fprintf(stdout, "%*d\n", 5000, i);
    }
    fprintf(stderr, "%zu %d %d\n", __fbufsize(stdout) > 1024 ? 1024 : __fbufsize(stdout), __flbf(stderr) != 0, fileno(stdout));
    puts("last");
    return ferror(stdout);
}

static int files(void) {
    FILE *file = fopen("data", "w+");
    for (int i = 0; i < 3000; i++) fprintf(file, "line %d\n", i);
    fseek(file, 6 * 100, SEEK_SET);
    char line[100];
    fgets(line, sizeof line, file);
    printf("%s%ld\n", line, ftell(file));
    fclose(file);
    fflush(stdout);
    FILE *both = popen("cat >&2; echo from popen", "w");
    fprintf(both, "to popen\n");
    printf("%d\n", pclose(both));
    char *text;
    size_t size;
    FILE *memory = open_memstream(&text, &size);
    fprintf(memory, "in memory");
    fclose(memory);
    printf("%s %zu\n", text, size);
    FILE *copy = fdopen(dup(1), "w");
    fflush(stdout);
    fprintf(copy, "by a copy\n");
    fclose(copy);
    stdout = freopen("other", "w", stdout);
    printf("in the file\n");
    fflush(stdout);
    return system("wc -c data >&2; wc -c other >&2");
}

static int wide(void) {
    setlocale(LC_ALL, "C.UTF-8");
    wprintf(L"wide \u00e4 %d\n", 5);
    fputws(L"\u4e2d\n", stdout);
    fwprintf(stderr, L"wide err\n");
    return fwide(stdout, 0) > 0;
}

static int children(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    char *echo[] = {"echo", "spawned", 0};
    pid_t pid;
    int status;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, 1, 7);
    posix_spawn_file_actions_adddup2(&actions, 2, 1);
    posix_spawnp(&pid, "echo", &actions, 0, echo, environ);
    waitpid(pid, &status, 0);
    printf("%d\n", status);
    posix_spawnp(&pid, "echo", 0, 0, echo, environ);
    waitpid(pid, &status, 0);
    printf("%d %d\n", status, posix_spawnp(&pid, "no-such-program", 0, 0, echo, environ));
    if (fork() == 0) { printf("forked\n"); exit(3); }
    wait(&status);
    printf("%d\n", status);
    if (vfork() == 0) { write(1, "vforked\n", 8); _exit(4); }
    wait(&status);
    printf("%d\n", status);
    if (vfork() == 0) { dup2(2, 1); execlp("echo", "echo", "onto stderr", (char *)0); _exit(5); }
    wait(&status);
    printf("%d\n", status);
    if (fork() == 0) { raise(SIGSEGV); }
    wait(&status);
    printf("%d %d\n", WTERMSIG(status), system("exit 9"));
    fflush(stdout);
    char *empty[] = {0};
    if (fork() == 0) { execve("/bin/echo", echo, empty); _exit(1); }
    wait(&status);
    if (fork() == 0) { execvpe("echo", echo, empty); _exit(1); }
    wait(&status);
    int fd = open("/bin/echo", O_RDONLY);
    if (fork() == 0) { fexecve(fd, echo, environ); _exit(1); }
    wait(&status);
    if (fork() == 0) { execv("/no such program", echo); dprintf(1, "%d\n", errno); _exit(1); }
    wait(&status);
    return 0;
}

static int descriptors(void) {
    int pair[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    struct iovec text = {"with a descriptor\n", 18};
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    *(int *)CMSG_DATA(header) = 1;
    sendmsg(pair[0], &message, 0);
    char room[100];
    struct iovec into = {room, sizeof room};
    message.msg_iov = &into;
    ssize_t n = recvmsg(pair[1], &message, 0);
    write(*(int *)CMSG_DATA(header), room, n);
    int high = fcntl(1, F_DUPFD_CLOEXEC, 100);
    dprintf(high, "%d %d\n", high, fcntl(high, F_GETFD));
    dprintf(1, "%d %d %d\n", dup(1), isatty(1), open("/dev/null", O_RDONLY));
    struct pollfd ready = {1, POLLOUT};
    dprintf(1, "%d %d\n", poll(&ready, 1, 0), ready.revents);
    close(1);
    dprintf(high, "%zd %d\n", write(1, "x", 1), errno);
    dup2(high, 1);
    dprintf(1, "%ld %d\n", (long)lseek(1, 0, SEEK_CUR), errno);
    return 0;
}

static int signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, 0);
    raise(SIGUSR1);
    signal(SIGSEGV, jump);
    if (setjmp(back) == 0) *(volatile int *)8 = 1;
    printf("behind the jump\n");
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, 0);
    raise(SIGUSR2);
    sigpending(&set);
    printf("%d\n", sigismember(&set, SIGUSR2));
    fflush(stdout);
    raise(SIGTERM);
    return 0;
}

static int threads(const char *how) {
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 64 << 10);
        pthread_create(&thread, &attributes, printing, (void *)how);
        pthread_join(thread, 0);
    }
    if (is(how, "main-exits")) pthread_exit(0);
    return 0;
}

int main(int count, char **arguments) {
    self = arguments[0];
    const char *what = arguments[1], *how = arguments[2] ? arguments[2] : "";
    if (is(what, "crash")) return crash(how);
    if (is(what, "end")) return ends(how);
    if (is(what, "stdio")) return stdio(how);
    if (is(what, "files")) return files();
    if (is(what, "wide")) return wide();
    if (is(what, "children")) return children();
    if (is(what, "descriptors")) return descriptors();
    if (is(what, "signals")) return signals();
    if (is(what, "threads")) return threads(how);
    return 98;
}
