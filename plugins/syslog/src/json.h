/* Reads one JSON object, as strictly as RFC 8259 says, without making a tree of it. */
#ifndef SYSLOG_JSON_H
#define SYSLOG_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum json_type {
    JSON_NULL,
    JSON_BOOLEAN,
    JSON_INTEGER, /* from 0 to 2^64 - 1, written without fraction and exponent */
    JSON_NUMBER,  /* every other number */
    JSON_STRING,
    JSON_ARRAY,  /* checked and skipped */
    JSON_OBJECT, /* checked and skipped */
};

struct json_value {
    enum json_type type;
    bool boolean;
    uint64_t integer;
    /* Of a string: its UTF-8 without escapes, with a NUL behind it, and perhaps others in it. Valid during the visit. */
    const char *text;
    size_t len;
};

/* Gets one member of the object; answers whether to go on. The key is like a value's text. */
typedef bool json_visit(void *context, const char *key, size_t key_len, const struct json_value *value);

enum json_end {
    JSON_DONE,
    JSON_STOPPED, /* by the visitor */
    JSON_MALFORMED,
    JSON_NO_MEMORY,
};

struct json_error {
    const char *expected;
    size_t offset; /* in bytes */
};

/* Visits the members in their order. `error` is set for JSON_MALFORMED. */
enum json_end json_object(const uint8_t *text, size_t len, json_visit *visit, void *context, struct json_error *error);

/* What a value is, for messages: "a string". */
const char *json_type_name(enum json_type type);

#endif
