/* The option `address`. */
#ifndef SYSLOG_ADDRESS_H
#define SYSLOG_ADDRESS_H

#include "config.h"

/* Writes an address into the configuration. Returns null, or what was expected. */
const char *address_parse(struct config *config, const char *text, size_t len);

#endif
