// Programs that make life hard for a library inside them. The first argument chooses.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int is(const char *a, const char *b) { return strcmp(a, b) == 0; }
static void say(const char *text) { if (write(1, text, strlen(text)) < 0) _exit(90); }
static void must(int ok, const char *what) { if (!ok) { dprintf(2, "cannot %s: %s\n", what, strerror(errno)); _exit(77); } }

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

// Longer than anybody would believe that a descriptor is still what it was.
static void pass_time(void) { for (double until = now() + 0.025; now() < until;) ; }

// Whoever makes another system call than these is killed at once.
static void confine(const char *how, const int *allowed, int count) {
    struct sock_filter filter[100] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    int n = 1;
    for (int i = 0; i < count; i++) {
        filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
        filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    struct sock_fprog program = {n, filter};
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "give up privileges");
    if (is(how, "syscall")) must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0, "filter");
    else must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "filter");
}

static void *in_a_thread(void *unused) {
    say("in a thread\n");
    pass_time();
    say("in a thread still\n");
    return 0;
}

static int seccomp(const char *how, const char *what, const char *before) {
    if (is(before, "before")) say("before\n");
    if (is(how, "strict")) {
        must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0, "be strict");
        // Not even the time can be asked for.
        for (int i = 0; i < 5; i++) { say("strictly\n"); for (volatile int j = 0; j < 10000000; j++) ; }
        say("half a line");
        syscall(SYS_exit, 5);
    }
    // What the rest of this function needs, and nothing else.
    if (is(what, "print")) {
        printf("buffered, ");
        int allowed[] = {SYS_write, SYS_exit_group};
        confine(how, allowed, 2);
        for (int i = 0; i < 5; i++) { say("confined\n"); pass_time(); }
        printf("and flushed\n");
        say("half a line");
        exit(6);
    }
    if (is(what, "stderr")) {
        int allowed[] = {SYS_write, SYS_writev, SYS_exit_group};
        confine(how, allowed, 3);
        for (int i = 0; i < 3; i++) { fprintf(stderr, "to stderr\n"); pass_time(); }
        _exit(7);
    }
    if (is(what, "fork")) {
        int allowed[] = {SYS_write, SYS_exit_group, SYS_clone, SYS_wait4, SYS_set_robust_list};
        confine(how, allowed, 5);
        if (fork() == 0) { say("a child\n"); pass_time(); say("half"); _exit(3); }
        int status;
        wait(&status);
        say("the parent\n");
        _exit(WEXITSTATUS(status));
    }
    if (is(what, "thread")) {
        int allowed[] = {SYS_write, SYS_exit_group, SYS_clone, SYS_clone3, SYS_mmap, SYS_mprotect, SYS_munmap, SYS_madvise, SYS_rt_sigprocmask, SYS_rseq, SYS_set_robust_list, SYS_futex, SYS_exit, SYS_brk};
        confine(how, allowed, sizeof allowed / sizeof *allowed);
        pthread_t thread;
        pthread_create(&thread, 0, in_a_thread, 0);
        say("meanwhile\n");
        pthread_join(thread, 0);
        _exit(8);
    }
    return 97;
}

static int jail(const char *folder, const char *what) {
    say("outside\n");
    mkdir(folder, 0700);
    must(chroot(folder) == 0 && chdir("/") == 0, "chroot");
    say("inside\n");
    if (fork() == 0) { say("a child inside\n"); _exit(0); }
    wait(0);
    if (fork() == 0) {
        // As a server does that trusts itself with nothing.
        must(setgroups(0, 0) == 0 && setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0, "be nobody");
        closefrom(3);
        if (fork() == 0) { say("nobody's child inside\n"); _exit(0); }
        wait(0);
        say("nobody inside\n");
        _exit(0);
    }
    wait(0);
    return 4;
}

static int nobody(void) {
    must(setgroups(0, 0) == 0 && setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0, "be nobody");
    for (int i = 0; i < 3; i++) {
        if (fork() == 0) { printf("nobody's child %d\n", i); exit(0); }
        wait(0);
    }
    printf("nobody\n");
    return 5;
}

static int closing(const char *how) {
    if (is(how, "closefrom")) closefrom(3);
    else if (is(how, "close_range")) close_range(3, ~0u, 0);
    else for (int fd = 3; fd < 1024; fd++) close(fd);
    if (fork() == 0) { say("a child\n"); exit(0); }
    wait(0);
    say("the parent\n");
    int fd = open("/dev/null", O_RDONLY);
    return fd;
}

static int limits(const char *how) {
    struct rlimit none = {0, 0}, some = {1 << 16, 1 << 16};
    if (is(how, "nofile")) setrlimit(RLIMIT_NOFILE, &none);
    if (is(how, "fsize")) setrlimit(RLIMIT_FSIZE, &none);
    if (is(how, "nproc")) setrlimit(RLIMIT_NPROC, &none);
    if (is(how, "memlock")) setrlimit(RLIMIT_MEMLOCK, &none);
    if (is(how, "as")) setrlimit(RLIMIT_AS, &some);
    if (is(how, "data")) setrlimit(RLIMIT_DATA, &some);
    if (is(how, "stack")) setrlimit(RLIMIT_STACK, &some);
    for (int i = 0; i < 3; i++) {
        say("limited\n");
        pass_time();
    }
    pid_t pid = fork();
    if (pid == 0) { say("a limited child\n"); _exit(0); }
    if (pid > 0) wait(0);
    return 6;
}

static char room[1 << 16] __attribute__((aligned(4096)));
static void from_the_stack(int signal) { say("on a small stack\n"); }

static int small_stack(const char *size) {
    // As much as the kernel itself needs, and what is asked for.
    stack_t stack = {.ss_sp = room, .ss_size = sysconf(_SC_MINSIGSTKSZ) + atoi(size)};
    // Nothing may be written below.
    char *bottom = room + 4096;
    stack.ss_sp = bottom;
    mprotect(room, 4096, PROT_NONE);
    must(sigaltstack(&stack, 0) == 0, "have a small stack");
    struct sigaction action = {.sa_handler = from_the_stack, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, 0);
    raise(SIGUSR1);
    raise(SIGUSR1);
    if (fork() == 0) { raise(SIGUSR1); _exit(0); }
    wait(0);
    return 7;
}

static void *on_a_small_stack(void *unused) { say("in a small thread\n"); return 0; }

static int small_thread(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    must(pthread_attr_setstacksize(&attributes, sysconf(_SC_THREAD_STACK_MIN)) == 0, "have a small thread");
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        must(pthread_create(&thread, &attributes, on_a_small_stack, 0) == 0, "start it");
        pthread_join(thread, 0);
    }
    return 8;
}

static void *without_end(void *unused) {
    for (;;) if (write(2, "on and on\n", 10) < 0) return 0;
}

static int leaving(const char *how) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], 0, without_end, 0);
        pthread_detach(threads[i]);
    }
    usleep(5000);
    if (is(how, "exit")) exit(9);
    if (is(how, "_exit")) _exit(9);
    if (is(how, "exec")) execl("/bin/sh", "sh", "-c", "exit 9", (char *)0);
    for (int i = 0; i < 4; i++) pthread_cancel(threads[i]);
    usleep(5000);
    return 9;
}

static int memory(const char *size) {
    char *all = malloc(atol(size));
    if (!all) { say("no memory\n"); return 1; }
    memset(all, 1, atol(size));
    printf("enough\n");
    return 0;
}

static int bad(void) {
    int n = write(1, (void *)8, 5);
    dprintf(2, "%d %d\n", n, n < 0 ? errno : 0);
    n = write(1, (void *)(1l << 63), 5);
    dprintf(2, "%d %d\n", n, n < 0 ? errno : 0);
    n = write(2, (void *)8, 0);
    dprintf(2, "%d\n", n);
    return 0;
}

static int locked(void) {
    must(mlockall(MCL_CURRENT | MCL_FUTURE) == 0, "lock");
    printf("locked\n");
    return 0;
}

int main(int count, char **arguments) {
    const char *what = arguments[1], *how = count > 2 ? arguments[2] : "";
    if (is(what, "seccomp")) return seccomp(how, arguments[3], arguments[4]);
    if (is(what, "jail")) return jail(how, "");
    if (is(what, "nobody")) return nobody();
    if (is(what, "closing")) return closing(how);
    if (is(what, "limits")) return limits(how);
    if (is(what, "small-stack")) return small_stack(how);
    if (is(what, "small-thread")) return small_thread();
    if (is(what, "leaving")) return leaving(how);
    if (is(what, "memory")) return memory(how);
    if (is(what, "bad")) return bad();
    if (is(what, "locked")) return locked();
    if (is(what, "mdwe")) {
        // PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN: no memory that was ever writable becomes executable, from here on.
        must(prctl(65, 1, 0, 0, 0) == 0, "refuse writable code");
        execvp(arguments[2], arguments + 2);
    }
    return 98;
}
