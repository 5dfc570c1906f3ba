/* An event as a message of RFC 5424. */
#ifndef SYSLOG_FORMAT_H
#define SYSLOG_FORMAT_H

#include <jackfield.h>

#include "buffer.h"
#include "config.h"

/* Writes the message into `out`, and replaces its content. Nothing is truncated: a value that does not fit into a field of the
 * header is left out there, and is complete in the structured data and in the JSON. */
void format_message(const struct config *config, const jackfield_event *event, struct buffer *out);

/* Writes the message into `out` as it is sent over a stream, and replaces its content. RFC 6587, section 3.4.1: octet
 * counting, so that a message may contain line feeds. */
void format_frame(const struct buffer *message, struct buffer *out);

#endif
