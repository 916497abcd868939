// Starts echo with an environment that it is told, by a function that it is told.
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int, char **);
extern char **environ;
static int is(const char *a, const char *b) { return strcmp(a, b) == 0; }

#define TEN "a", "b", "c", "d", "e", "f", "g", "h", "i", "j"
#define HUNDRED TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN

static int start(const char *how) {
    char *none[] = {0};
    char *few[] = {"PATH=/usr/bin:/bin", "LD_PRELOAD=libc.so.6", "LAPWING_BUFFER=keep", 0};
    char *off[] = {"LAPWING_PROPAGATE=0", 0};
    char *twice[] = {"LD_PRELOAD=", "LD_PRELOAD=libc.so.6", 0};
    char *arguments[] = {"echo", (char *)how, 0};
    char *print[] = {"env", 0};
    static char *many[400];
    pid_t pid;
    if (is(how, "execve")) execve("/bin/echo", arguments, none);
    if (is(how, "execve, null")) execve("/bin/echo", arguments, 0);
    if (is(how, "execvpe")) execvpe("echo", arguments, none);
    if (is(how, "fexecve")) fexecve(open("/bin/echo", O_RDONLY), arguments, none);
    if (is(how, "execveat")) execveat(AT_FDCWD, "/bin/echo", arguments, none, 0);
    if (is(how, "execle")) execle("/bin/echo", "echo", how, (char *)0, none);
    if (is(how, "execle, many"))
        execle("/bin/echo", "echo", HUNDRED, how, (char *)0, none);
    if (is(how, "posix_spawn")) posix_spawn(&pid, "/bin/echo", 0, 0, arguments, none);
    if (is(how, "posix_spawnp")) posix_spawnp(&pid, "echo", 0, 0, arguments, none);
    if (is(how, "what is added")) execve("/usr/bin/env", print, few);
    if (is(how, "off")) execve("/bin/echo", arguments, off);
    if (is(how, "twice")) execve("/bin/echo", arguments, twice);
    if (is(how, "too many")) {
        for (int i = 0; i < 300; i++) many[i] = "A=B";
        execve("/bin/echo", arguments, many);
    }
    clearenv();
    if (is(how, "execv")) execv("/bin/echo", arguments);
    if (is(how, "execvp")) execvp("echo", arguments);
    if (is(how, "execl")) execl("/bin/echo", "echo", how, (char *)0);
    if (is(how, "execlp")) execlp("echo", "echo", how, (char *)0);
    // Where the program is not found, everything goes on.
    if (is(how, "failed")) {
        int result = execl("/no such program", "echo", (char *)0);
        int error = errno;
        printf("%d %d\n", result, error == ENOENT);
        return 0;
    }
    wait(0);
    return 0;
}

static int ends(const char *how) {
    if (is(how, "daemon")) {
        dprintf(1, "half");
        if (daemon(0, 1) != 0) return 1;
        dprintf(1, "child\n");
        return 0;
    }
    errno = ENOENT;
    if (is(how, "err")) err(3, "opening %s", "it");
    if (is(how, "backtrace")) {
        void *frames[20] = {0, main, printf};
        backtrace_symbols_fd(frames, 20, 2);
    }
    if (is(how, "psignal")) psignal(SIGTERM, "got");
    return 0;
}

int main(int count, char **arguments) {
    if (is(arguments[1], "start")) return start(arguments[2]);
    if (is(arguments[1], "ends")) return ends(arguments[2]);
    return 98;
}
