/* The option `address`. */
#ifndef SYSLOG_ADDRESS_H
#define SYSLOG_ADDRESS_H

#include "config.h"

/* Puts an address into the configuration. Null, or what was expected. */
const char *address_parse(struct config *config, const char *text, size_t len);

#endif
