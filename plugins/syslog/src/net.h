/* Sockets that never block, for POSIX and Windows. Nothing else in this plugin differs between systems. */
#ifndef SYSLOG_NET_H
#define SYSLOG_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
/* Before winsock2.h: Windows Vista and later, for getaddrinfo and WSAPoll. */
#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0600
#endif
#include <winsock2.h>
#include <ws2tcpip.h>
typedef SOCKET net_socket;
#define NET_NONE INVALID_SOCKET
#else
#include <netdb.h>
#include <sys/socket.h>
typedef int net_socket;
#define NET_NONE (-1)
#endif

/* The result of one try to write. */
enum net_result {
    NET_DONE,
    NET_WAIT,      /* there is no room now */
    NET_TOO_LARGE, /* for a datagram */
    NET_FAILED,
};

/* net_start before the first socket; net_stop after the last, once for each successful net_start. */
bool net_start(void);
void net_stop(void);

uint64_t net_now_ms(void);
void net_host_name(char *out, size_t size);

/* The functions below write the system's number of their failure to `error`. */

net_socket net_open(int family, int type, int *error);
void net_close(net_socket socket);
/* NET_WAIT means that the connection is being made. It is complete when the socket is writable and net_pending_error is 0. */
enum net_result net_connect(net_socket socket, const struct sockaddr *address, size_t len, int *error);
enum net_result net_send(net_socket socket, const void *bytes, size_t len, size_t *written, int *error);
/* Waits until the socket is writable or has failed, at most for timeout_ms. */
void net_wait_writable(net_socket socket, int timeout_ms);
void net_sleep(int timeout_ms);
/* The system's error of the socket since the last question; 0 means none. */
int net_pending_error(net_socket socket);
/* Whether the other end of a stream is gone. Received bytes are dropped: a receiver of syslog sends none. */
bool net_is_gone(net_socket socket);
/* Whether the socket is a stream, whose messages need a framing. */
bool net_is_stream(net_socket socket);

#ifndef _WIN32
/* The address of a UNIX socket; `path` fits. */
size_t net_unix_address(const char *path, struct sockaddr_storage *out);
/* Whether a connect failed because the socket at the path is a stream. */
bool net_is_wrong_type(int error);
#endif

/* An error in words, on one line. */
void net_describe(int error, char *out, size_t size);

#endif
