// As a library: a constructor that prints, allocates in a thread and makes children, while other constructors run. As a
// program: prints a line.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *text) {
    if (write(1, text, strlen(text)) < 0) _exit(9);
}

#ifdef LIBRARY
static pthread_t thread;

static void *allocate(void *unused) {
    for (int i = 0; i < 300; i++) {
        char *text = realloc(malloc(100 + i), 10000 + i);
        snprintf(text, 64, "thread %d\n", i);
        say(text);
        setenv("OF_THE_THREAD", text, 1);
        free(text);
    }
    return unused;
}

__attribute__((constructor)) static void construct(void) {
    say("constructor\n");
    if (pthread_create(&thread, NULL, allocate, NULL) != 0) _exit(8);
    pid_t child = fork();
    if (child == 0) {
        say("child\n");
        _exit(0);
    }
    waitpid(child, NULL, 0);
    child = vfork();
    if (child == 0) {
        say("vfork child\n");
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

__attribute__((destructor)) static void destruct(void) {
    pthread_join(thread, NULL);
    say("destructor\n");
}
#else
int main(void) {
    puts("program");
    return 7;
}
#endif
