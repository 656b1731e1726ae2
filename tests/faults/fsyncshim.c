/* LD_PRELOAD shim: after every completed fsync or fdatasync, appends "<size when it was called> <path>\n" to $FSYNC_LOG.
 *
 * `kill -9` and then cutting each file to its last logged size is a power loss, as far as the page cache goes (blocks
 * that were torn or written out of order are not modelled).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef int (*sync_call)(int);

static int logged(const char *name, int fd) {
    sync_call real = (sync_call)dlsym(RTLD_NEXT, name);
    struct stat state;
    int known = fstat(fd, &state) == 0;
    int result = real(fd);
    const char *log_path = getenv("FSYNC_LOG");
    if (result != 0 || !known || !log_path) return result;
    char link[64], path[1024], line[1100];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return result;
    path[length] = 0;
    int size = snprintf(line, sizeof line, "%lld %s\n", (long long)state.st_size, path);
    int log = open(log_path, O_CREAT | O_WRONLY | O_APPEND, 0600);
    if (log >= 0) {
        if (write(log, line, size) != size) abort(); /* a log with a gap would prove nothing */
        close(log);
    }
    return result;
}

int fsync(int fd) { return logged("fsync", fd); }
int fdatasync(int fd) { return logged("fdatasync", fd); }
