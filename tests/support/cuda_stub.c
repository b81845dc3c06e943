/* A stand-in for NVIDIA's driver library, for machines without a GPU: it notes who initialises CUDA, and who is forked
 * from a process that has. Such a process can't use CUDA: "CUDA error: initialization error".
 *
 *   cc -shared -fPIC -pthread -o FOLDER/libcuda.so.1 cuda_stub.c
 *   CUDA_STUB_LOG=FILE LD_LIBRARY_PATH=FOLDER genbench run ...
 *
 * torch calls cuInit in the first `backward()` (autograd starts a thread per device) and in
 * `torch.cuda.is_available()`, which the first step of its optimisers calls. On a machine without a driver both pass
 * unnoticed. Each line of the log: "initialised" or "forked", the process's number, and the command line of the process,
 * for "forked" that of its parent. A program that is started anew (`subprocess`) is not noted: that does no harm. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int initialised;

static void note(const char *what, int whose) {
    const char *path = getenv("CUDA_STUB_LOG");
    FILE *log = path ? fopen(path, "a") : NULL;
    if (!log) return;
    char name[64], line[4096];
    snprintf(name, sizeof name, "/proc/%d/cmdline", whose);
    FILE *file = fopen(name, "r");
    size_t length = file ? fread(line, 1, sizeof line - 1, file) : 0;
    if (file) fclose(file);
    for (size_t i = 0; i < length; i++)
        if (line[i] == '\0' || line[i] == '\n') line[i] = ' ';
    line[length] = '\0';
    fprintf(log, "%s %d %s\n", what, getpid(), line);
    fclose(log);
}

static void in_the_child(void) {
    if (initialised) note("forked", getppid());
}

int cuInit(unsigned flags) {
    if (!initialised) {
        pthread_atfork(NULL, NULL, in_the_child);
        initialised = 1;
    }
    note("initialised", getpid());
    return 100; /* CUDA_ERROR_NO_DEVICE */
}

int cuDriverGetVersion(int *version) {
    *version = 13000;
    return 0;
}
