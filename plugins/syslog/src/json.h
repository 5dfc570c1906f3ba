/* Reads one JSON object strictly by RFC 8259, without building a tree. */
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
    /* For a string: its UTF-8 without escapes, followed by a NUL; it may contain further NULs. Valid during the visit. */
    const char *text;
    size_t len;
};

/* Receives one member of the object; returns whether to continue. The key has the form of a value's text. */
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

/* The name of a type for messages: "a string". */
const char *json_type_name(enum json_type type);

#endif
