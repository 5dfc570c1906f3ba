/* A buffer that grows. */
#ifndef SYSLOG_BUFFER_H
#define SYSLOG_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

/* All zero is an empty buffer. `failed` means that there was no memory: nothing more is added then. */
struct buffer {
    char *data;
    size_t len;
    size_t capacity;
    bool failed;
};

void buffer_add(struct buffer *buffer, const void *bytes, size_t len);
void buffer_text(struct buffer *buffer, const char *text);
void buffer_number(struct buffer *buffer, unsigned long long number);
/* Empties the buffer and keeps its memory. */
void buffer_clear(struct buffer *buffer);
void buffer_free(struct buffer *buffer);

#endif
