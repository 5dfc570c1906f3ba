/* Makes connections. */
#ifndef SYSLOG_CONNECT_H
#define SYSLOG_CONNECT_H

#include "config.h"
#include "deadline.h"
#include "net.h"

/* Connects a socket to the configured address. Returns NET_NONE and the reason on failure. */
net_socket connection_open(const struct config *config, const struct deadline *deadline, char *reason, size_t size);

#endif
