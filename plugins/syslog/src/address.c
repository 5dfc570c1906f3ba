#include "address.h"

#include <stdlib.h>
#include <string.h>

#include "printable.h"

static bool starts_with(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* `host:port`, `1.2.3.4:port` or `[::1]:port`. */
static bool host_and_port(struct config *config, const char *text) {
    const char *host = text;
    const char *colon = strrchr(text, ':');
    if (!colon) {
        return false;
    }
    size_t host_len = (size_t)(colon - text);
    if (host[0] == '[') {
        if (host_len < 3 || host[host_len - 1] != ']') {
            return false;
        }
        host++;
        host_len -= 2;
    } else if (memchr(host, ':', host_len)) {
        return false;
    }
    const char *port = colon + 1;
    size_t port_len = strlen(port);
    if (port_len == 0 || port_len >= sizeof config->port || strspn(port, "0123456789") != port_len) {
        return false;
    }
    long number = strtol(port, NULL, 10);
    if (number < 1 || number > 65535 || !is_printable((const uint8_t *)host, host_len, sizeof config->host - 1)
        || memchr(host, '/', host_len) || memchr(host, '@', host_len)) {
        return false;
    }
    memcpy(config->host, host, host_len);
    config->host[host_len] = '\0';
    memcpy(config->port, port, port_len + 1);
    return true;
}

const char *address_parse(struct config *config, const char *text, size_t len) {
    if (strlen(text) != len || len >= sizeof config->address) {
        return "is too long, or has a NUL: expected an address";
    }
    if (starts_with(text, "unix:")) {
        const char *path = text + strlen("unix:");
        if (path[0] != '/' || strlen(path) >= sizeof config->path) {
            return "expected `unix:` and the absolute path of a socket, of at most 103 bytes";
        }
        config->transport = TRANSPORT_UNIX;
        memcpy(config->path, path, strlen(path) + 1);
    } else if (starts_with(text, "udp://") || starts_with(text, "tcp://")) {
        if (!host_and_port(config, text + strlen("udp://"))) {
            return "expected a host and a port behind `//`, such as `udp://logs.example:514` or `tcp://[::1]:6514`";
        }
        config->transport = text[0] == 'u' ? TRANSPORT_UDP : TRANSPORT_TCP;
    } else {
        return "expected `unix:/path`, `udp://host:port` or `tcp://host:port`";
    }
    memcpy(config->address, text, len + 1);
    return NULL;
}
