/* Prints by what every C library has, so that it can be linked in any way. */
#include <stdio.h>
#include <unistd.h>

int main(int count, char **arguments) {
    if (count > 1) return puts(arguments[1]) < 0;
    printf("printf %d\n", 1);
    fprintf(stderr, "fprintf %d\n", 2);
    fflush(stdout);
    if (write(1, "write\n", 6) < 0) return 1;
    for (int i = 0; i < 1000; i++) printf("line %d\n", i);
    return 3;
}
