// launch ACTION.. -- COMMAND..: changes what a process inherits, then executes the command.
// look FILE: writes into FILE what this process has inherited.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static int launch(char **arguments) {
    for (; strcmp(*arguments, "--") != 0; arguments++) {
        char *value = strchr(*arguments, ':');
        *value++ = 0;
        int number = strtol(value, 0, 0);
        struct rlimit limit = {number, number};
        sigset_t set;
        if (!strcmp(*arguments, "block")) { sigemptyset(&set); sigaddset(&set, number); sigprocmask(SIG_BLOCK, &set, 0); }
        if (!strcmp(*arguments, "ignore")) signal(number, SIG_IGN);
        if (!strcmp(*arguments, "default")) signal(number, SIG_DFL);
        if (!strcmp(*arguments, "close")) close(number);
        if (!strcmp(*arguments, "open")) dup2(open("/dev/null", O_RDWR), number);
        if (!strcmp(*arguments, "cloexec")) fcntl(number, F_SETFD, FD_CLOEXEC);
        if (!strcmp(*arguments, "nonblock")) fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK);
        if (!strcmp(*arguments, "umask")) umask(number);
        if (!strcmp(*arguments, "nice")) nice(number);
        if (!strcmp(*arguments, "nofile")) setrlimit(RLIMIT_NOFILE, &limit);
        if (!strcmp(*arguments, "core")) setrlimit(RLIMIT_CORE, &limit);
        if (!strcmp(*arguments, "stack")) setrlimit(RLIMIT_STACK, &limit);
        if (!strcmp(*arguments, "slack")) prctl(PR_SET_TIMERSLACK, number);
        if (!strcmp(*arguments, "subreaper")) prctl(PR_SET_CHILD_SUBREAPER, number);
        if (!strcmp(*arguments, "deathsig")) prctl(PR_SET_PDEATHSIG, number);
        if (!strcmp(*arguments, "nonewprivs")) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (!strcmp(*arguments, "nothp")) prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
        if (!strcmp(*arguments, "norandom")) personality(ADDR_NO_RANDOMIZE);
        if (!strcmp(*arguments, "batch")) sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
        if (!strcmp(*arguments, "cpu")) { cpu_set_t cpus; CPU_ZERO(&cpus); CPU_SET(number, &cpus); sched_setaffinity(0, sizeof cpus, &cpus); }
        if (!strcmp(*arguments, "chdir")) chdir(value);
        if (!strcmp(*arguments, "putenv")) putenv(value);
        if (!strcmp(*arguments, "odd")) {
            // Entries that no shell would make, and in no order.
            static char *odd[] = {"zz=1", "aa=2", "no equals sign", "zz=again", "=begins", "bad=\xff\xfe", "empty=", 0, 0};
            static char path[4096];
            snprintf(path, sizeof path, "PATH=%s", getenv("PATH"));
            odd[7] = path;
            environ = odd;
        }
    }
    execvp(arguments[1], arguments + 1);
    perror(arguments[1]);
    return 127;
}

static int look(char **arguments) {
    char *text;
    size_t size;
    FILE *to = open_memstream(&text, &size);
    fprintf(to, "argv0 %s\npid %d ppid %d\ngroup %d session %d\n", arguments[0], getpid(), getppid(), getpgrp() == getpid(), getsid(0) == getpid());
    for (char **variable = environ; *variable; variable++)
        if (strncmp(*variable, "LAPWING_", 8) && strncmp(*variable, "LD_PRELOAD=", 11)) fprintf(to, "env %s\n", *variable);
    for (int fd = 0; fd < 200; fd++) {
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0) continue;
        char name[64], target[4096];
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(name, target, sizeof target - 1);
        // A pipe's number differs from run to run.
        if (n > 4 && !strncmp(target, "pipe", 4)) n = 4;
        fprintf(to, "fd %d %.*s flags %#x %#x tty %d\n", fd, (int)(n < 0 ? 0 : n), target, flags, fcntl(fd, F_GETFD), isatty(fd));
    }
    char line[4096];
    FILE *status = fopen("/proc/self/status", "r");
    const char *wanted[] = {"Name:", "Umask:", "Sig", "ShdPnd:", "Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:", "Seccomp:", "Cpus_allowed_list:", "THP_enabled:", "Threads:"};
    while (fgets(line, sizeof line, status))
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
            if (!strncmp(line, wanted[i], strlen(wanted[i]))) {
                // How many signals may wait, and are waiting for the whole user, is not ours.
                if (strncmp(line, "SigQ", 4)) fputs(line, to);
            }
    fclose(status);
    for (int i = 0; i < RLIM_NLIMITS; i++) {
        struct rlimit limit;
        getrlimit(i, &limit);
        fprintf(to, "limit %d %llx %llx\n", i, (unsigned long long)limit.rlim_cur, (unsigned long long)limit.rlim_max);
    }
    int reaper = 0, death = 0;
    prctl(PR_GET_CHILD_SUBREAPER, &reaper);
    prctl(PR_GET_PDEATHSIG, &death);
    stack_t stack;
    sigaltstack(0, &stack);
    fprintf(to, "nice %d policy %d slack %d dumpable %d reaper %d death %d\n", getpriority(PRIO_PROCESS, 0), sched_getscheduler(0),
            prctl(PR_GET_TIMERSLACK), prctl(PR_GET_DUMPABLE), reaper, death);
    fprintf(to, "personality %#x altstack %#x keepcaps %d\ncwd %s\n", personality(0xffffffff), stack.ss_flags, prctl(PR_GET_KEEPCAPS), getcwd(line, sizeof line));
    fclose(to);
    int fd = open(arguments[2], O_WRONLY | O_CREAT | O_TRUNC, 0666);
    return write(fd, text, size) == (ssize_t)size ? 23 : 1;
}

int main(int count, char **arguments) {
    if (!strcmp(arguments[1], "launch")) return launch(arguments + 2);
    return look(arguments);
}
