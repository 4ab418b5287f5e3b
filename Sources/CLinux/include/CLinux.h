// Linux calls that Glibc's Swift module lacks or imports badly: thin static-inline shims, no logic.
// Each returns what the call returns, or -errno, so that Swift never reads `errno` after something else may have set it.
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

typedef struct sockaddr_storage linux_address;
typedef struct epoll_event linux_event;
extern char **environ;

static inline long linux_result(long result) { return result < 0 ? -errno : result; }

// epoll
static inline int linux_epoll_create(void) { return (int)linux_result(epoll_create1(EPOLL_CLOEXEC)); }
static inline int linux_epoll_set(int epoll, int operation, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.events = events;
    event.data.u64 = data;
    return (int)linux_result(epoll_ctl(epoll, operation, fd, &event));
}
static inline int linux_epoll_wait(int epoll, linux_event *events, int capacity, int timeout_milliseconds) {
    return (int)linux_result(epoll_wait(epoll, events, capacity, timeout_milliseconds));
}
static inline uint32_t linux_event_flags(const linux_event *events, int index) { return events[index].events; }
static inline uint64_t linux_event_data(const linux_event *events, int index) { return events[index].data.u64; }
static const uint32_t linux_epoll_in = EPOLLIN, linux_epoll_out = EPOLLOUT, linux_epoll_rdhup = EPOLLRDHUP,
    linux_epoll_hup = EPOLLHUP, linux_epoll_err = EPOLLERR, linux_epoll_edge = (uint32_t)EPOLLET,
    linux_epoll_exclusive = (uint32_t)EPOLLEXCLUSIVE;

// eventfd
static inline int linux_eventfd(void) { return (int)linux_result(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }
static inline int linux_blocking_eventfd(void) { return (int)linux_result(eventfd(0, EFD_CLOEXEC)); }
static inline void linux_eventfd_signal(int fd) { uint64_t one = 1; ssize_t ignored = write(fd, &one, sizeof one); (void)ignored; }
static inline void linux_eventfd_clear(int fd) { uint64_t count; ssize_t ignored = read(fd, &count, sizeof count); (void)ignored; }

// sockets
static inline int linux_socket(int family) {
    return (int)linux_result(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}
int linux_accept(int fd, linux_address *address, socklen_t *length);
static inline int linux_connect(int fd, const linux_address *address, socklen_t length) {
    return (int)linux_result(connect(fd, (const struct sockaddr *)address, length));
}
static inline int linux_bind(int fd, const linux_address *address, socklen_t length) {
    return (int)linux_result(bind(fd, (const struct sockaddr *)address, length));
}
static inline int linux_listen(int fd, int backlog) { return (int)linux_result(listen(fd, backlog)); }
static inline int linux_local_address(int fd, linux_address *address, socklen_t *length) {
    return (int)linux_result(getsockname(fd, (struct sockaddr *)address, length));
}
static inline long linux_receive(int fd, void *bytes, size_t count) { return linux_result(recv(fd, bytes, count, 0)); }
static inline long linux_receive_now(int fd, void *bytes, size_t count) { return linux_result(recv(fd, bytes, count, MSG_DONTWAIT)); }
// Leaves what it copies to be received.
static inline long linux_peek(int fd, void *bytes, size_t count) { return linux_result(recv(fd, bytes, count, MSG_PEEK)); }
static inline long linux_send(int fd, const void *bytes, size_t count) {
    return linux_result(send(fd, bytes, count, MSG_NOSIGNAL));
}
static inline int linux_set_option(int fd, int level, int name, int value) {
    return (int)linux_result(setsockopt(fd, level, name, &value, sizeof value));
}
static inline int linux_socket_error(int fd) {
    int error = 0;
    socklen_t length = sizeof error;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 ? errno : error;
}
static inline void linux_set_abortive_close(int fd) {
    struct linger linger = { .l_onoff = 1, .l_linger = 0 };
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}
int linux_peer_uid(int fd, uint32_t *uid, int32_t *pid);
// The value of an option, or -errno (-ENOTSOCK where it is no socket); no option asked for here is negative.
static inline int linux_option(int fd, int level, int name) {
    int value = 0;
    socklen_t length = sizeof value;
    return getsockopt(fd, level, name, &value, &length) < 0 ? -errno : value;
}
static inline int linux_is_stream(int fd) {
    int type = linux_option(fd, SOL_SOCKET, SO_TYPE);
    return type < 0 ? type : type == SOCK_STREAM;
}
// Two ends of a connection between processes, each blocking.
static inline int linux_socket_pair(int *ends) {
    return (int)linux_result(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
}

// users
// The number of the user of this name, or a negative errno: -ENOENT where there is none.
static inline int64_t linux_user_number(const char *name) {
    struct passwd user, *found = 0;
    char text[16384];   // a line of the user database with all that may stand in it
    int error = getpwnam_r(name, &user, text, sizeof text, &found);
    return found ? (int64_t)user.pw_uid : -(error ? error : ENOENT);
}

// addresses
static inline socklen_t linux_unix_address(linux_address *address, const char *path) {
    struct sockaddr_un *unix_address = (struct sockaddr_un *)address;
    memset(address, 0, sizeof *address);
    unix_address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof unix_address->sun_path) return 0;
    strcpy(unix_address->sun_path, path);
    // '@' as the first character names an abstract socket, as systemd does.
    if (path[0] == '@') {
        unix_address->sun_path[0] = 0;
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    }
    return sizeof *unix_address;
}
// Of 16 bytes in network order; an IPv4 address is the last 4 of them.
static inline socklen_t linux_ip_address(linux_address *address, const uint8_t *bytes, int is_ipv4, uint16_t port) {
    memset(address, 0, sizeof *address);
    if (is_ipv4) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)address;
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        memcpy(&v4->sin_addr, bytes + 12, 4);
        return sizeof *v4;
    }
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    memcpy(&v6->sin6_addr, bytes, 16);
    return sizeof *v6;
}
static inline int linux_address_family(const linux_address *address) { return address->ss_family; }
// The path of a Unix socket's address, "@name" for an abstract one; 0 for a socket without one, and for other families.
static inline size_t linux_unix_path(const linux_address *address, socklen_t length, char *path, size_t capacity) {
    const struct sockaddr_un *unix_address = (const struct sockaddr_un *)address;
    size_t start = offsetof(struct sockaddr_un, sun_path);
    if (address->ss_family != AF_UNIX || length <= start || length - start > capacity) return 0;
    size_t count = length - start;
    memcpy(path, unix_address->sun_path, count);
    if (path[0] == 0) path[0] = '@'; else count = strnlen(path, count);
    return count;
}
static inline int linux_address_port(const linux_address *address) {
    if (address->ss_family == AF_INET) return ntohs(((const struct sockaddr_in *)address)->sin_port);
    if (address->ss_family == AF_INET6) return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
    return 0;
}
// Writes the address without its port; an IPv4 address mapped into IPv6 is written as IPv4. Returns 0 for other families.
static inline size_t linux_address_text(const linux_address *address, char *text, size_t capacity) {
    const char *written = 0;
    if (address->ss_family == AF_INET)
        written = inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text, (socklen_t)capacity);
    if (address->ss_family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
        written = IN6_IS_ADDR_V4MAPPED(v6) ? inet_ntop(AF_INET, &v6->s6_addr[12], text, (socklen_t)capacity)
                                           : inet_ntop(AF_INET6, v6, text, (socklen_t)capacity);
    }
    return written ? strlen(text) : 0;
}

// files and threads
// Raises the limit of open descriptors as far as this process may, and returns it; or a negative errno.
static inline int64_t linux_raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
    return limit.rlim_cur > 1000000000 ? 1000000000 : (int64_t)limit.rlim_cur;
}
static inline long linux_write(int fd, const void *bytes, size_t count) { return linux_result(write(fd, bytes, count)); }
static inline int linux_open_log(const char *path) {
    return (int)linux_result(open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640));
}
static inline int linux_open_lock(const char *path) {
    return (int)linux_result(open(path, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600));
}
static inline int linux_lock(int fd) { return (int)linux_result(flock(fd, LOCK_EX | LOCK_NB)); }
static inline int linux_is_file(int fd, const char *path) {
    struct stat one, other;
    return fstat(fd, &one) == 0 && lstat(path, &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}
// The permissions of what is at a path, or -errno.
static inline int linux_mode(const char *path) {
    struct stat status;
    return lstat(path, &status) < 0 ? -errno : (int)(status.st_mode & 07777);
}
static inline int linux_chmod(const char *path, mode_t mode) { return (int)linux_result(chmod(path, mode)); }
static inline int linux_make_directory(const char *path, mode_t mode) { return (int)linux_result(mkdir(path, mode)); }
// 1: a socket is there, 2: something else is, 0: nothing is, or a negative errno.
static inline int linux_socket_file(const char *path) {
    struct stat status;
    if (lstat(path, &status) < 0) return errno == ENOENT ? 0 : -errno;
    return S_ISSOCK(status.st_mode) ? 1 : 2;
}
void linux_name_thread(const char *name);
// Processors that the calling thread may run on, or -errno.
int linux_processor_count(void);

// clocks
static inline int64_t linux_clock_nanoseconds(int clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// datagrams to the service manager
static inline int linux_datagram_socket(void) { return (int)linux_result(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)); }

// signals, blocked in every thread and taken by one
static inline void linux_block_signals(const int *signals, int count) {
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < count; i++) sigaddset(&set, signals[i]);
    pthread_sigmask(SIG_BLOCK, &set, 0);
}
static inline void linux_ignore_broken_pipes(void) { signal(SIGPIPE, SIG_IGN); }
static inline int linux_wait_signal(const int *signals, int count) {
    sigset_t set;
    int taken = 0;
    sigemptyset(&set);
    for (int i = 0; i < count; i++) sigaddset(&set, signals[i]);
    while (sigwait(&set, &taken) != 0) {}
    return taken;
}

// descriptors and processes
static inline int linux_close_on_exec(int fd) { return (int)linux_result(fcntl(fd, F_SETFD, FD_CLOEXEC)); }
static inline int linux_make_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -errno : (int)linux_result(fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}
// Another descriptor of the same, numbered `minimum` or above.
static inline int linux_duplicate(int fd, int minimum) { return (int)linux_result(fcntl(fd, F_DUPFD_CLOEXEC, minimum)); }
// Whether one of two (-1: none) has something to read, or has lost its other end, within so many milliseconds.
static inline int linux_await_readable(int fd, int other, int milliseconds) {
    struct pollfd descriptors[2] = { { .fd = fd, .events = POLLIN }, { .fd = other, .events = POLLIN } };
    return (int)linux_result(poll(descriptors, 2, milliseconds));
}
// Starts a program whose only descriptors are 0 to 2 and, from 3 on, those named, which must be numbered above where they go. Its
// signals are at their defaults, and its number is written into `process`, a place in the environment. It is no child, but a sibling:
// a service manager that waits for its children's ends follows a process only if it is one. Returns its number, and a handle of it
// (pidfd_open(2)), which is readable when it has ended; or -errno.
int linux_start(
    const char *path, char *const *arguments, char *const *environment, char *process, const int *descriptors, int count, int *handle);
int linux_end_process(int handle);
static inline char **linux_environment(void) { return environ; }
// What this program was started as (execve(2)): /proc/self/exe would follow the file to where a newer one has pushed it.
static inline const char *linux_program_path(void) { return (const char *)getauxval(AT_EXECFN); }

// How many bytes may be written at an address that malloc has returned: as many as were asked for, or some more.
static inline size_t linux_malloc_usable_size(void *place) { return malloc_usable_size(place); }
