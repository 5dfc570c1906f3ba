#include "net.h"

#ifdef _WIN32

#include <stdio.h>

bool net_start(void) {
    WSADATA data;
    return WSAStartup(MAKEWORD(2, 2), &data) == 0;
}

void net_stop(void) {
    WSACleanup();
}

uint64_t net_now_ms(void) {
    return GetTickCount64();
}

void net_host_name(char *out, size_t size) {
    if (gethostname(out, (int)size) != 0) {
        out[0] = '\0';
    }
}

net_socket net_open(int family, int type, int *error) {
    SOCKET opened = WSASocketW(family, type, 0, NULL, 0, WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
    u_long on = 1;
    if (opened != INVALID_SOCKET && ioctlsocket(opened, (long)FIONBIO, &on) == 0) {
        return opened;
    }
    *error = WSAGetLastError();
    if (opened != INVALID_SOCKET) {
        closesocket(opened);
    }
    return NET_NONE;
}

void net_close(net_socket socket) {
    closesocket(socket);
}

enum net_result net_connect(net_socket socket, const struct sockaddr *address, size_t len, int *error) {
    if (connect(socket, address, (int)len) == 0) {
        return NET_DONE;
    }
    *error = WSAGetLastError();
    return *error == WSAEWOULDBLOCK ? NET_WAIT : NET_FAILED;
}

enum net_result net_send(net_socket socket, const void *bytes, size_t len, size_t *written, int *error) {
    int sent = send(socket, bytes, (int)len, 0);
    if (sent != SOCKET_ERROR) {
        *written = (size_t)sent;
        return NET_DONE;
    }
    *error = WSAGetLastError();
    return *error == WSAEWOULDBLOCK || *error == WSAENOBUFS ? NET_WAIT
           : *error == WSAEMSGSIZE                          ? NET_TOO_LARGE
                                                            : NET_FAILED;
}

void net_wait_writable(net_socket socket, int timeout_ms) {
    WSAPOLLFD entry = {.fd = socket, .events = POLLOUT};
    (void)WSAPoll(&entry, 1, timeout_ms);
}

void net_sleep(int timeout_ms) {
    Sleep((DWORD)timeout_ms);
}

int net_pending_error(net_socket socket) {
    int error = 0;
    int len = sizeof error;
    return getsockopt(socket, SOL_SOCKET, SO_ERROR, (char *)&error, &len) == 0 ? error : WSAGetLastError();
}

bool net_is_gone(net_socket socket) {
    char dropped[512];
    int got;
    do {
        got = recv(socket, dropped, sizeof dropped, 0);
    } while (got > 0);
    return got == 0 || WSAGetLastError() != WSAEWOULDBLOCK;
}

bool net_is_stream(net_socket socket) {
    int type = 0;
    int len = sizeof type;
    return getsockopt(socket, SOL_SOCKET, SO_TYPE, (char *)&type, &len) == 0 && type == SOCK_STREAM;
}

void net_describe(int error, char *out, size_t size) {
    snprintf(out, size, "Winsock error %d", error);
}

#endif
