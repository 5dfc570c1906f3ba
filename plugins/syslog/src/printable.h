/* PRINTUSASCII of RFC 5424: the characters of the fields of a header. */
#ifndef SYSLOG_PRINTABLE_H
#define SYSLOG_PRINTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the text is 1 to `limit` bytes of PRINTUSASCII. */
static inline bool is_printable(const uint8_t *text, size_t len, size_t limit) {
    for (size_t at = 0; at < len; at++) {
        if (text[at] < 33 || text[at] > 126) {
            return false;
        }
    }
    return len > 0 && len <= limit;
}

#endif
