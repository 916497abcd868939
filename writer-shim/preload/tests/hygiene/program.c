// Calls what is hooked, then says how often the library allocated, looked up a name or made a thread meanwhile.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

extern void guard_arm(void);
extern int guard_calls(void);
extern const char *guard_last(void);

static void handle(int signal) { write(1, "handler\n", 8); }
static void *run(void *data) {
    write(1, "thread\n", 7);
    write(1, "unfinished", 10);
    write(1, " line\n", 6);
    return 0;
}

int main(void) {
    int threads = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task; (task = readdir(tasks));) threads += task->d_name[0] != '.';
    closedir(tasks);
    signal(SIGUSR1, handle);
    guard_arm();

    struct iovec two[] = {{"pie", 3}, {"ces\n", 4}};
    struct msghdr message = {.msg_iov = two, .msg_iovlen = 2};
    struct mmsghdr many = {message};
    write(1, "write\n", 6);
    write(1, "half", 4);
    writev(1, two, 2);
    pwrite(1, "no\n", 3, 0);
    pwritev2(1, two, 2, -1, 0);
    send(1, "no\n", 3, 0), sendmsg(1, &message, 0), sendmmsg(1, &many, 1, 0);
    puts("stdio");
    fflush(stdout);
    raise(SIGUSR1);
    int fd = dup(1), other = fcntl(1, F_DUPFD, 100), ends[2], file = open("/proc/self/exe", O_RDONLY);
    write(fd, "other\n", 6), dup2(other, fd), dup3(1, other, 0), close(fd), close(other);
    pipe(ends);
    write(ends[1], "spliced\n", 8);
    tee(ends[0], 1, 100, 0), splice(ends[0], 0, 1, 0, 100, 0), vmsplice(1, two, 2, 0);
    sendfile(1, file, 0, 100), splice(file, 0, 1, 0, 100, 0), copy_file_range(file, 0, 1, 0, 100, 0);
    openlog("hygiene", LOG_PERROR, LOG_USER);
    syslog(LOG_INFO, "short %d", 1);
    struct sockaddr_un address = {AF_UNIX, "/dev/log"};
    int log = socket(AF_UNIX, SOCK_DGRAM, 0);
    connect(log, (struct sockaddr *)&address, sizeof address);
    send(log, "<6>sent", 7, 0), sendmsg(log, &message, 0), close(log);
    char *arguments[] = {"true", 0}, *none[] = {0};
    pid_t pid;
    posix_spawn(&pid, "/bin/true", 0, 0, arguments, none);
    waitpid(pid, 0, 0);
    if (vfork() == 0) {
        write(1, "vfork\n", 6);
        execle("/bin/true", "true", (char *)0, none);
        _exit(1);
    }
    wait(0);
    if (fork() == 0) {
        write(1, "fork\n", 5);
        execve("/no such program", arguments, none);
        _exit(guard_calls());
    }
    int status;
    wait(&status);
    pthread_t thread;
    pthread_create(&thread, 0, run, 0);
    pthread_join(thread, 0);
    close_range(200, 300, 0);
    int calls = guard_calls();
    const char *last = guard_last();

    // Longer than fits on the stack: here the C library allocates as well, and so may we.
    static char text[3000];
    memset(text, 'x', sizeof text - 1);
    syslog(LOG_INFO, "%s", text);
    dprintf(2, "%d threads, %d calls%s%s, %d in the child, long texts %s\n", threads, calls, calls ? ", last " : "", last,
            WEXITSTATUS(status), guard_calls() > calls ? "allocate" : "do not");
    return 0;
}
