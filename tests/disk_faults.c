/* Fails one call of a process that writes below a folder, or keeps what is safe on the disk.

   Preloaded. FAULT_DIR is the folder, FAULT_AT the number of the call that fails (0 for none),
   FAULT_ERRNO with what. At its end the process writes how many calls it made to FAULT_REPORT.
   With FAULT_COPIES each fsync of a file of the warehouse leaves a copy of it in that folder. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long calls, copies;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int below(const char *path) {
    const char *folder = getenv("FAULT_DIR");
    return folder && path && strncmp(path, folder, strlen(folder)) == 0;
}

static int path_of(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

static int watched(int fd) {
    int before = errno;
    char path[4096];
    int found = path_of(fd, path, sizeof path);
    errno = before;
    return found;
}

static int fails(void) {
    const char *at = getenv("FAULT_AT"), *with = getenv("FAULT_ERRNO");
    pthread_mutex_lock(&lock);
    long number = ++calls;
    pthread_mutex_unlock(&lock);
    if (!at || number != atol(at)) return 0;
    errno = with ? atoi(with) : EIO;
    return 1;
}

static void keep(int fd) {
    const char *folder = getenv("FAULT_COPIES");
    char path[4096], name[4096 + 64];
    if (!folder || !path_of(fd, path, sizeof path)) return;
    const char *base = strrchr(path, '/') + 1;
    if (strncmp(base, "warehouse.duckdb", strlen("warehouse.duckdb")) != 0) return;
    pthread_mutex_lock(&lock);
    snprintf(name, sizeof name, "%s/%06ld.%s", folder, ++copies, base);
    FILE *from = fopen(path, "rb"), *to = fopen(name, "wb");
    static char buffer[1 << 16];
    size_t size;
    while (from && to && (size = fread(buffer, 1, sizeof buffer, from)) > 0)
        fwrite(buffer, 1, size, to);
    if (from) fclose(from);
    if (to) fclose(to);
    pthread_mutex_unlock(&lock);
}

__attribute__((destructor)) static void report(void) {
    const char *path = getenv("FAULT_REPORT");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    fprintf(file, "%ld\n", calls);
    fclose(file);
}

ssize_t write(int fd, const void *data, size_t size) {
    return watched(fd) && fails() ? -1 : REAL(write)(fd, data, size);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    return watched(fd) && fails() ? -1 : REAL(writev)(fd, parts, count);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    return watched(fd) && fails() ? -1 : REAL(pwrite)(fd, data, size, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    return watched(fd) && fails() ? -1 : REAL(pwrite64)(fd, data, size, at);
}
int ftruncate(int fd, off_t size) {
    return watched(fd) && fails() ? -1 : REAL(ftruncate)(fd, size);
}
int ftruncate64(int fd, off64_t size) {
    return watched(fd) && fails() ? -1 : REAL(ftruncate64)(fd, size);
}
int fsync(int fd) {
    if (!watched(fd)) return REAL(fsync)(fd);
    if (fails()) return -1;
    int result = REAL(fsync)(fd);
    keep(fd);
    return result;
}
int fdatasync(int fd) {
    if (!watched(fd)) return REAL(fdatasync)(fd);
    if (fails()) return -1;
    int result = REAL(fdatasync)(fd);
    keep(fd);
    return result;
}
int rename(const char *from, const char *to) {
    return below(to) && fails() ? -1 : REAL(rename)(from, to);
}

#define OPENS(name, declared, passed, path)                                   \
    int name declared {                                                       \
        mode_t mode = 0;                                                      \
        if (flags & O_CREAT) {                                                \
            va_list rest;                                                     \
            va_start(rest, flags);                                            \
            mode = va_arg(rest, mode_t);                                      \
            va_end(rest);                                                     \
            if (below(path) && fails()) return -1;                            \
        }                                                                     \
        return REAL(name) passed;                                             \
    }
OPENS(open, (const char *path, int flags, ...), (path, flags, mode), path)
OPENS(open64, (const char *path, int flags, ...), (path, flags, mode), path)
OPENS(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode), path)
OPENS(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode), path)
