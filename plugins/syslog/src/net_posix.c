#define _POSIX_C_SOURCE 200809L
#ifdef __APPLE__
#define _DARWIN_C_SOURCE
#endif

#include "net.h"

#ifndef _WIN32

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* macOS has a socket option instead. */
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

bool net_start(void) {
    return true;
}

void net_stop(void) {
}

uint64_t net_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void net_host_name(char *out, size_t size) {
    /* A truncated name may lack its NUL. */
    if (gethostname(out, size) != 0 || memchr(out, '\0', size) == NULL) {
        out[0] = '\0';
    }
}

net_socket net_open(int family, int type, int *error) {
#ifdef SOCK_CLOEXEC
    /* Set at once, so that a process that is started meanwhile does not inherit the socket. */
    type |= SOCK_CLOEXEC;
#endif
    int fd = socket(family, type, 0);
    if (fd < 0) {
        *error = errno;
        return NET_NONE;
    }
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        *error = errno;
        close(fd);
        return NET_NONE;
    }
#ifdef SO_NOSIGPIPE
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    return fd;
}

void net_close(net_socket socket) {
    close(socket);
}

enum net_result net_connect(net_socket socket, const struct sockaddr *address, size_t len, int *error) {
    if (connect(socket, address, (socklen_t)len) == 0) {
        return NET_DONE;
    }
    *error = errno;
    return *error == EINPROGRESS || *error == EINTR ? NET_WAIT : NET_FAILED;
}

enum net_result net_send(net_socket socket, const void *bytes, size_t len, size_t *written, int *error) {
    ssize_t sent = send(socket, bytes, len, MSG_NOSIGNAL);
    if (sent >= 0) {
        *written = (size_t)sent;
        return NET_DONE;
    }
    *error = errno;
    switch (*error) {
    case EAGAIN:
#if EWOULDBLOCK != EAGAIN
    case EWOULDBLOCK:
#endif
    case EINTR:
    case ENOBUFS:
        return NET_WAIT;
    case EMSGSIZE:
        return NET_TOO_LARGE;
    default:
        return NET_FAILED;
    }
}

void net_wait_writable(net_socket socket, int timeout_ms) {
    struct pollfd entry = {.fd = socket, .events = POLLOUT};
    /* The caller checks again, whatever the result is. */
    (void)poll(&entry, 1, timeout_ms);
}

void net_sleep(int timeout_ms) {
    (void)poll(NULL, 0, timeout_ms);
}

int net_pending_error(net_socket socket) {
    int error = 0;
    socklen_t len = sizeof error;
    return getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

bool net_is_gone(net_socket socket) {
    char dropped[512];
    ssize_t got;
    do {
        got = recv(socket, dropped, sizeof dropped, 0);
    } while (got > 0 || (got < 0 && errno == EINTR));
    return got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

bool net_is_stream(net_socket socket) {
    int type = 0;
    socklen_t len = sizeof type;
    return getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

size_t net_unix_address(const char *path, struct sockaddr_storage *out) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    memcpy(out, &address, sizeof address);
    return sizeof address;
}

bool net_is_wrong_type(int error) {
    return error == EPROTOTYPE;
}

void net_describe(int error, char *out, size_t size) {
    if (strerror_r(error, out, size) != 0) {
        snprintf(out, size, "error %d", error);
    }
}

#endif
