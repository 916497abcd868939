/* What the tests of the pump run. The first argument chooses what it does. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void all(int fd, const char *text, size_t len) {
  while (len) {
    ssize_t n = write(fd, text, len);
    if (n < 0) exit(99);
    text += n;
    len -= n;
  }
}

static volatile sig_atomic_t resized;
static void on_size(int signal) { resized = 1; }

int main(int count, char **arguments) {
  const char *what = arguments[1];
  long n = count > 2 ? atol(arguments[2]) : 0;
  char line[256];

  /* N numbered lines, each a write of its own. */
  if (!strcmp(what, "lines")) {
    for (long i = 0; i < n; i++) all(1, line, sprintf(line, "line %ld of the program\n", i));
    return 0;
  }
  /* The same, and every tenth on standard error. */
  if (!strcmp(what, "both")) {
    for (long i = 0; i < n; i++) all(i % 10 ? 1 : 2, line, sprintf(line, "line %ld\n", i));
    return 0;
  }
  /* N bytes of every value in any order, in pieces of any size. */
  if (!strcmp(what, "binary")) {
    uint32_t state = 1;
    static char buffer[70000];
    while (n > 0) {
      size_t len = 1 + (state >> 8) % sizeof buffer;
      if (len > (size_t)n) len = n;
      for (size_t i = 0; i < len; i++) {
        state = state * 1664525 + 1013904223;
        buffer[i] = state >> 24;
      }
      all(1, buffer, len);
      n -= len;
    }
    return 0;
  }
  /* Who this is, to itself. */
  if (!strcmp(what, "who")) {
    struct sigaction chld;
    sigset_t pending, blocked;
    struct rlimit files;
    sigaction(SIGCHLD, 0, &chld);
    sigpending(&pending);
    sigprocmask(SIG_BLOCK, 0, &blocked);
    int waited = waitpid(-1, 0, WNOHANG), error = errno, open = 0;
    getrlimit(RLIMIT_NOFILE, &files);
    for (int fd = 3; fd < 1024; fd++) open += fcntl(fd, F_GETFD) >= 0;
    printf("pid %d parent %d group %d session %d\n", getpid(), getppid(), getpgrp(), getsid(0));
    printf("foreground %d files %d children %d %d\n", tcgetpgrp(0), open, waited, error);
    printf("chld %d pending %d blocked %d\n", chld.sa_handler != SIG_DFL, sigismember(&pending, SIGCHLD),
           sigismember(&blocked, SIGCHLD));
    return 0;
  }
  if (!strcmp(what, "end")) {
    all(1, "half", 4);
    if (n >= 0) _exit(n);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    /* Ignored where the tests run under nohup. */
    signal(-n, SIG_DFL);
    kill(getpid(), -n);
    pause();
  }
  /* A child that goes on when its parent has ended and been waited for. */
  if (!strcmp(what, "daemon")) {
    if (fork()) {
      all(1, "parent\n", 7);
      return 0;
    }
    setsid();
    while (getppid() != 1) usleep(1000);
    usleep(100000);
    for (long i = 0; i < n; i++) all(1, line, sprintf(line, "daemon %ld %d\n", i, getpid()));
    all(2, "daemon ends", 11);
    return 0;
  }
  /* Children that write at the same time, each its own lines in two pieces. */
  if (!strcmp(what, "children")) {
    for (int child = 0; child < 4; child++)
      if (!fork()) {
        for (long i = 0; i < n; i++) {
          all(1, line, sprintf(line, "%d ", getpid()));
          all(1, line, sprintf(line, "child %d line %ld\n", child, i));
        }
        _exit(0);
      }
    while (wait(0) > 0) continue;
    return 0;
  }
  /* Until nobody reads: how writing ends. */
  if (!strcmp(what, "until")) {
    if (n) signal(SIGPIPE, SIG_IGN);
    for (long i = 0;; i++) {
      sprintf(line, "line %ld\n", i);
      if (write(1, line, strlen(line)) < 0) {
        dprintf(2, "error %d\n", errno);
        return 7;
      }
    }
  }
  /* A line, and when it has been told to by standard input the next one. */
  if (!strcmp(what, "told")) {
    if (n) signal(SIGPIPE, SIG_IGN);
    for (long i = 0;; i++) {
      sprintf(line, "told %ld\n", i);
      if (write(1, line, strlen(line)) < 0) {
        dprintf(2, "error %d\n", errno);
        return 7;
      }
      char word;
      if (read(0, &word, 1) != 1) return 0;
    }
  }
  /* What the streams are. */
  if (!strcmp(what, "kinds")) {
    for (int fd = 1; fd <= 2; fd++) {
      struct stat stat;
      struct winsize size = {0};
      fstat(fd, &stat);
      ioctl(fd, TIOCGWINSZ, &size);
      dprintf(fd, "fd %d tty %d kind %o size %dx%d\n", fd, isatty(fd), stat.st_mode & S_IFMT, size.ws_row, size.ws_col);
    }
    return 0;
  }
  /* Waits for a terminal of another size. */
  if (!strcmp(what, "resize")) {
    struct winsize size = {0};
    signal(SIGWINCH, on_size);
    all(1, "waiting\n", 8);
    for (int i = 0; i < 1000; i++) {
      ioctl(1, TIOCGWINSZ, &size);
      if (resized && size.ws_row == n) break;
      usleep(10000);
    }
    dprintf(1, "size %dx%d\n", size.ws_row, size.ws_col);
    return 0;
  }
  /* Opens its standard output by name. */
  if (!strcmp(what, "reopen")) {
    int fd = open(arguments[2], O_WRONLY);
    if (fd < 0) return errno;
    all(fd, "by name\n", 8);
    return 0;
  }
  return 98;
}
