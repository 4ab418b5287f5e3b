// What needs _GNU_SOURCE: Swift's own Glibc module is built without it, and a header that defines it clashes with that module.
#define _GNU_SOURCE
#include "CLinux.h"
#include <sched.h>

int linux_accept(int fd, linux_address *address, socklen_t *length) {
    return (int)linux_result(accept4(fd, (struct sockaddr *)address, length, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

int linux_peer_uid(int fd, uint32_t *uid, int32_t *pid) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0) return -errno;
    *uid = credentials.uid;
    *pid = credentials.pid;
    return 0;
}

void linux_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

int linux_processor_count(void) {
    cpu_set_t processors;
    return sched_getaffinity(0, sizeof processors, &processors) < 0 ? -errno : CPU_COUNT(&processors);
}
