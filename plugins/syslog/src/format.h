/* An event as a message of RFC 5424. */
#ifndef SYSLOG_FORMAT_H
#define SYSLOG_FORMAT_H

#include <jackfield.h>

#include "buffer.h"
#include "config.h"

/* Puts the message into `out`, in the place of what is there. Nothing is cut: what a field of the header can't hold is
 * left out there, and stands whole in the structured data and in the JSON. */
void format_message(const struct config *config, const jackfield_event *event, struct buffer *out);

#endif
