// Prints by stdio before the library is loaded, while it is, and when it has been closed; in a child too.
#include <dlfcn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **words) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("before");
    void *library = count == 2 ? dlopen(words[1], RTLD_NOW) : NULL;
    if (library == NULL) return 1;
    puts("loaded");
    if (dlclose(library) != 0) return 2;
    puts("closed");
    pid_t child = fork();
    if (child == 0) {
        puts("child");
        _exit(0);
    }
    int status;
    if (waitpid(child, &status, 0) != child || status != 0) return 3;
    puts("parent");
    return 0;
}
