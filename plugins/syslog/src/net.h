/* Sockets that never block, of POSIX and of Windows alike. Nothing else in this plugin differs between systems. */
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

/* What became of one try to write. */
enum net_result {
    NET_DONE,
    NET_WAIT,      /* there is no room now */
    NET_TOO_LARGE, /* for a datagram */
    NET_FAILED,
};

/* Before the first socket, and once for each success after the last. */
bool net_start(void);
void net_stop(void);

uint64_t net_now_ms(void);
void net_host_name(char *out, size_t size);

/* The functions below leave the system's number of their failure in `error`. */

net_socket net_open(int family, int type, int *error);
void net_close(net_socket socket);
/* NET_WAIT says that the connection is being made: it stands when the socket is writable and net_pending_error is 0. */
enum net_result net_connect(net_socket socket, const struct sockaddr *address, size_t len, int *error);
enum net_result net_send(net_socket socket, const void *bytes, size_t len, size_t *written, int *error);
/* Waits until the socket is writable or has failed, at most so long. */
void net_wait_writable(net_socket socket, int timeout_ms);
void net_sleep(int timeout_ms);
/* What the system has found out about the socket since it was asked last; 0 is nothing. */
int net_pending_error(net_socket socket);
/* Whether the other end of a stream is gone. What it has said is dropped: a receiver of syslog says nothing. */
bool net_is_gone(net_socket socket);
/* Whether it is a stream: its messages need a framing. */
bool net_is_stream(net_socket socket);

#ifndef _WIN32
/* The address of a UNIX socket; `path` fits. */
size_t net_unix_address(const char *path, struct sockaddr_storage *out);
/* Whether a connect failed since the socket at the path is a stream. */
bool net_is_wrong_type(int error);
#endif

/* An error in words, on one line. */
void net_describe(int error, char *out, size_t size);

#endif
