// What needs _GNU_SOURCE: Swift's own Glibc module is built without it, and a header that defines it clashes with that module.
#define _GNU_SOURCE
#include "CLinux.h"
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>

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

struct start {
    const char *path;
    char *const *arguments, *const *environment;
    char *process;   // where the environment has room for the process's number
    const int *descriptors;
    int count, error;
};

// What the new process does, in the memory of the one that starts it: nothing but system calls.
static int linux_become(void *argument) {
    struct start *start = argument;
    struct sigaction ordinary = { .sa_handler = SIG_DFL };
    sigset_t blocked;
    char digits[16];
    int length = 0;
    for (int i = 0; i < start->count; i++) {
        if (dup2(start->descriptors[i], 3 + i) < 0) goto failed;
    }
    close_range(3 + start->count, ~0U, 0);   // which all close on exec: this is for what a library may have missed
    for (pid_t rest = getpid(); rest > 0; rest /= 10) digits[length++] = (char)('0' + rest % 10);
    for (int i = 0; i < length; i++) start->process[i] = digits[length - 1 - i];
    start->process[length] = 0;
    for (int i = 1; i < NSIG; i++) sigaction(i, &ordinary, 0);
    // Until the program takes them, what an operator sends to all of a unit must not end it.
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGHUP);
    sigaddset(&blocked, SIGUSR1);
    sigaddset(&blocked, SIGUSR2);
    sigprocmask(SIG_SETMASK, &blocked, 0);
    execve(start->path, start->arguments, start->environment);
failed:
    start->error = errno;
    _exit(127);
}

int linux_start(
    const char *path, char *const *arguments, char *const *environment, char *process, const int *descriptors, int count, int *handle
) {
    struct start start = { path, arguments, environment, process, descriptors, count, 0 };
    const size_t stack_size = 64 * 1024;
    char *stack = mmap(0, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) return -errno;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    // As posix_spawn(3) does it, and a sibling: see the header. It returns once the other program runs, or has failed to.
    int number = clone(linux_become, stack + stack_size, CLONE_VM | CLONE_VFORK | CLONE_PARENT | CLONE_PIDFD | SIGCHLD, &start, handle);
    int error = number < 0 ? errno : start.error;
    if (number >= 0 && error) close(*handle);
    pthread_sigmask(SIG_SETMASK, &before, 0);
    munmap(stack, stack_size);
    return error ? -error : number;
}

int linux_end_process(int handle) { return (int)linux_result(syscall(SYS_pidfd_send_signal, handle, SIGKILL, 0, 0)); }
