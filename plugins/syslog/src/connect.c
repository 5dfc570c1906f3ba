#define _POSIX_C_SOURCE 200809L

#include "connect.h"

#include <stdio.h>

/* Connects a socket of the type to the address. Returns NET_NONE and the reason on failure. */
static net_socket connect_to(const struct config *config, int type, const struct sockaddr *address, size_t len,
                             const struct deadline *deadline, int *error, char *reason, size_t size) {
    char text[128];
    net_socket opened = net_open(address->sa_family, type, error);
    enum net_result result = opened == NET_NONE ? NET_FAILED : net_connect(opened, address, len, error);
    while (result == NET_WAIT) {
        int slice = deadline_slice(deadline);
        if (slice == 0) {
            deadline_reason(deadline, config->address, reason, size);
            net_close(opened);
            return NET_NONE;
        }
        struct sockaddr_storage peer;
        socklen_t peer_len = sizeof peer;
        net_wait_writable(opened, slice);
        *error = net_pending_error(opened);
        if (*error != 0) {
            result = NET_FAILED;
        } else if (getpeername(opened, (struct sockaddr *)&peer, &peer_len) == 0) {
            result = NET_DONE;
        }
    }
    if (result == NET_DONE) {
        return opened;
    }
    net_describe(*error, text, sizeof text);
    snprintf(reason, size, "%s: %s", config->address, text);
    if (opened != NET_NONE) {
        net_close(opened);
    }
    return NET_NONE;
}

#ifndef _WIN32
/* Tries a datagram socket, which /dev/log is on most systems, then a stream, which it is on others. */
static net_socket connect_unix(const struct config *config, const struct deadline *deadline, char *reason, size_t size) {
    struct sockaddr_storage address;
    size_t len = net_unix_address(config->path, &address);
    int error = 0;
    const struct sockaddr *to = (const struct sockaddr *)&address;
    net_socket opened = connect_to(config, SOCK_DGRAM, to, len, deadline, &error, reason, size);
    if (opened == NET_NONE && net_is_wrong_type(error)) {
        opened = connect_to(config, SOCK_STREAM, to, len, deadline, &error, reason, size);
    }
    return opened;
}
#endif

/* Tries each address of the name in turn. The system's lookup of a name has no deadline; an address needs no lookup. */
static net_socket connect_host(const struct config *config, const struct deadline *deadline, char *reason, size_t size) {
    bool udp = config->transport == TRANSPORT_UDP;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = udp ? SOCK_DGRAM : SOCK_STREAM};
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(config->host, config->port, &hints, &found);
    if (failed != 0) {
        snprintf(reason, size, "%s: the name of the host is not found (error %d of getaddrinfo)", config->address, failed);
        return NET_NONE;
    }
    net_socket opened = NET_NONE;
    snprintf(reason, size, "%s: the host has no address", config->address);
    for (const struct addrinfo *at = found; at && opened == NET_NONE && deadline_slice(deadline) > 0; at = at->ai_next) {
        int error = 0;
        opened = connect_to(config, at->ai_socktype, at->ai_addr, (size_t)at->ai_addrlen, deadline, &error, reason, size);
    }
    freeaddrinfo(found);
    return opened;
}

net_socket connection_open(const struct config *config, const struct deadline *deadline, char *reason, size_t size) {
    if (deadline_slice(deadline) == 0) {
        deadline_reason(deadline, config->address, reason, size);
        return NET_NONE;
    }
#ifndef _WIN32
    if (config->transport == TRANSPORT_UNIX) {
        return connect_unix(config, deadline, reason, size);
    }
#endif
    return connect_host(config, deadline, reason, size);
}
