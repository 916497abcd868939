/*
 * handler RING LIBRARY PREPARE: loads the library by dlopen(3) and writes from signal handlers, in a thread of which the
 * library knows nothing if PREPARE is 0. Says how often memory was allocated meanwhile. Then writes in a thread that is being
 * cancelled, and in one whose handlers interrupt its own writing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <lapwing.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static volatile sig_atomic_t watching, allocations;

static void note(void)
{
    if (watching)
        allocations++;
}

/* What everything in this process calls, the loader too. */
void *malloc(size_t size)
{
    note();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    note();
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    note();
    return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size)
{
    note();
    return __libc_memalign(alignment, size);
}

static int (*writer_open)(const char *, lapwing_writer_t **, char *, size_t);
static int (*writer_puts)(const lapwing_writer_t *, int, const char *, uint64_t *);
static void (*writer_close)(lapwing_writer_t *);
static void (*prepare_thread)(void);

static lapwing_writer_t *writer;
static volatile sig_atomic_t handled, errors;

static void on_signal(int number)
{
    (void)number;
    watching = 1;
    if (writer_puts(writer, LAPWING_NOTICE, "handler", NULL) != LAPWING_OK)
        errors++;
    watching = 0;
    handled++;
}

static void *fresh(void *prepare)
{
    if (prepare != NULL)
        prepare_thread();
    raise(SIGUSR1);
    return NULL;
}

static void *cancelled(void *result)
{
    pthread_cancel(pthread_self());
    /* A new writer, so that opening and the first record both open files. */
    lapwing_writer_t *own;
    if (writer_open((const char *)result, &own, NULL, 0) != LAPWING_OK ||
        writer_puts(own, LAPWING_INFO, "about to be cancelled", NULL) != LAPWING_OK)
        errors++;
    writer_close(own);
    pthread_testcancel();
    errors++;
    return NULL;
}

static void interrupted(void)
{
    struct itimerval often = { { 0, 50 }, { 0, 50 } }, never = { { 0, 0 }, { 0, 0 } };
    int before = handled;
    signal(SIGALRM, on_signal);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 5000 || (handled - before < 20 && i < 500000); i++)
        if (writer_puts(writer, LAPWING_INFO, "interrupted", NULL) != LAPWING_OK)
            errors++;
    setitimer(ITIMER_REAL, &never, NULL);
}

static void *load(void *library, const char *name)
{
    void *symbol = dlsym(library, name);
    if (symbol == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return symbol;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    void *library = dlopen(argv[2], RTLD_NOW);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    *(void **)&writer_open = load(library, "lapwing_writer_open");
    *(void **)&writer_puts = load(library, "lapwing_writer_puts");
    *(void **)&writer_close = load(library, "lapwing_writer_close");
    *(void **)&prepare_thread = load(library, "lapwing_prepare_thread");
    char why[512];
    if (writer_open(argv[1], &writer, why, sizeof why) != LAPWING_OK) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }

    signal(SIGUSR1, on_signal);
    pthread_t thread;
    pthread_create(&thread, NULL, fresh, strcmp(argv[3], "0") != 0 ? argv : NULL);
    pthread_join(thread, NULL);
    printf("allocations %d\n", (int)allocations);

    void *result;
    pthread_create(&thread, NULL, cancelled, argv[1]);
    pthread_join(thread, &result);
    printf("cancelled %d\n", result == PTHREAD_CANCELED);

    interrupted();
    writer_close(writer);
    printf("handled %d\n", (int)handled);
    printf("errors %d\n", (int)errors);
    return 0;
}
