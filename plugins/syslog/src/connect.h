/* Makes connections. */
#ifndef SYSLOG_CONNECT_H
#define SYSLOG_CONNECT_H

#include "config.h"
#include "deadline.h"
#include "net.h"

/* A connected socket to the configured address, or NET_NONE and why in `reason`. */
net_socket connection_open(const struct config *config, const struct deadline *deadline, char *reason, size_t size);

#endif
