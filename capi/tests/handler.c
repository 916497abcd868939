/*
 * handler RING LIBRARY PREPARE SMALL: loads the library by dlopen(3) and writes from signal handlers, in a thread of which the
 * library knows nothing if PREPARE is 0. Says how often memory was allocated meanwhile. Then writes in a thread that is being
 * cancelled, to the ring SMALL in which somebody died within a record; and in one whose handlers interrupt its own writing.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <lapwing.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

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
static int (*writer_write)(const lapwing_writer_t *, int, const void *, size_t, uint64_t *);
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

/* A child that dies in the middle of a record: there is no memory where its text should be. */
static void die_writing(const char *ring)
{
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = { 0, 0 };
        setrlimit(RLIMIT_CORE, &none);
        void *nothing = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        lapwing_writer_t *own;
        if (writer_open(ring, &own, NULL, 0) == LAPWING_OK)
            writer_write(own, LAPWING_INFO, nothing, 100, NULL);
        _exit(1);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV)
        errors++;
}

static void *cancelled(void *ring)
{
    pthread_cancel(pthread_self());
    /* Opening, the first record, and taking the page of the dead from him all open files. */
    lapwing_writer_t *own;
    if (writer_open(ring, &own, NULL, 0) != LAPWING_OK)
        errors++;
    for (int i = 0; i < 4000; i++)
        if (writer_puts(own, LAPWING_INFO, "about to be cancelled", NULL) != LAPWING_OK)
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
    if (argc != 5)
        return 2;
    void *library = dlopen(argv[2], RTLD_NOW);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    *(void **)&writer_open = load(library, "lapwing_writer_open");
    *(void **)&writer_write = load(library, "lapwing_writer_write");
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

    die_writing(argv[4]);
    void *result;
    pthread_create(&thread, NULL, cancelled, argv[4]);
    pthread_join(thread, &result);
    printf("cancelled %d\n", result == PTHREAD_CANCELED);

    interrupted();
    writer_close(writer);
    printf("handled %d\n", (int)handled);
    printf("errors %d\n", (int)errors);
    return 0;
}
