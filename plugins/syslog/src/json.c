#include "json.h"

#include <stdlib.h>
#include <string.h>

/* The deepest nesting. The reader calls itself for each level. */
#define DEPTH_LIMIT 64

struct reader {
    const uint8_t *start;
    const uint8_t *at;
    const uint8_t *end;
    struct json_error *error;
    unsigned depth;
};

static bool malformed(struct reader *reader, const char *expected) {
    reader->error->expected = expected;
    reader->error->offset = (size_t)(reader->at - reader->start);
    return false;
}

static void skip_space(struct reader *reader) {
    while (reader->at < reader->end && memchr(" \t\n\r", *reader->at, 4)) {
        reader->at++;
    }
}

static bool next_is(const struct reader *reader, char byte) {
    return reader->at < reader->end && *reader->at == (uint8_t)byte;
}

/* Skips `byte` if it is next. */
static bool take(struct reader *reader, char byte) {
    bool found = next_is(reader, byte);
    reader->at += found;
    return found;
}

/* Length of the next UTF-8 sequence, or 0: overlong forms, surrogates and values above U+10FFFF are not UTF-8. */
static size_t sequence(const struct reader *reader) {
    const uint8_t *at = reader->at;
    size_t left = (size_t)(reader->end - at);
    size_t len = at[0] < 0x80 ? 1 : at[0] < 0xC2 ? 0 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : at[0] < 0xF5 ? 4 : 0;
    if (len > left) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    if ((at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xED && at[1] > 0x9F) || (at[0] == 0xF0 && at[1] < 0x90)
        || (at[0] == 0xF4 && at[1] > 0x8F)) {
        return 0;
    }
    return len;
}

static bool four_digits(struct reader *reader, uint32_t *unit) {
    *unit = 0;
    for (int i = 0; i < 4; i++) {
        int c = reader->at < reader->end ? *reader->at : 0;
        uint32_t digit;
        if (c >= '0' && c <= '9') {
            digit = (uint32_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            digit = (uint32_t)(c - 'a' + 10);
        } else if (c >= 'A' && c <= 'F') {
            digit = (uint32_t)(c - 'A' + 10);
        } else {
            return malformed(reader, "four hexadecimal digits");
        }
        *unit = *unit * 16 + digit;
        reader->at++;
    }
    return true;
}

/* Decodes the digits after `\u` to UTF-8. Twelve bytes of escapes become at most four. */
static bool unicode_escape(struct reader *reader, char **out) {
    uint32_t code;
    if (!four_digits(reader, &code)) {
        return false;
    }
    if (code >= 0xD800 && code < 0xE000) {
        uint32_t low = 0;
        bool pair = code < 0xDC00 && take(reader, '\\') && take(reader, 'u') && four_digits(reader, &low);
        if (!pair || low < 0xDC00 || low >= 0xE000) {
            return malformed(reader, "a surrogate pair");
        }
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    char *o = *out;
    if (code < 0x80) {
        *o++ = (char)code;
    } else if (code < 0x800) {
        *o++ = (char)(0xC0 | code >> 6);
        *o++ = (char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *o++ = (char)(0xE0 | code >> 12);
        *o++ = (char)(0x80 | (code >> 6 & 0x3F));
        *o++ = (char)(0x80 | (code & 0x3F));
    } else {
        *o++ = (char)(0xF0 | code >> 18);
        *o++ = (char)(0x80 | (code >> 12 & 0x3F));
        *o++ = (char)(0x80 | (code >> 6 & 0x3F));
        *o++ = (char)(0x80 | (code & 0x3F));
    }
    *out = o;
    return true;
}

static bool escape(struct reader *reader, char **out) {
    static const char names[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    if (take(reader, 'u')) {
        return unicode_escape(reader, out);
    }
    const char *name = reader->at < reader->end ? memchr(names, *reader->at, sizeof names - 1) : NULL;
    if (!name) {
        return malformed(reader, "an escape");
    }
    reader->at++;
    *(*out)++ = meanings[name - names];
    return true;
}

/* Decodes a string into `out`, which has room: a decoded string is never longer than its text. */
static bool string(struct reader *reader, char *out, size_t *len) {
    char *start = out;
    if (!take(reader, '"')) {
        return malformed(reader, "a string");
    }
    while (!take(reader, '"')) {
        if (reader->at == reader->end) {
            return malformed(reader, "the end of a string");
        }
        if (take(reader, '\\')) {
            if (!escape(reader, &out)) {
                return false;
            }
            continue;
        }
        size_t bytes = *reader->at < 0x20 ? 0 : sequence(reader);
        if (bytes == 0) {
            return malformed(reader, "UTF-8 without control characters");
        }
        memcpy(out, reader->at, bytes);
        out += bytes;
        reader->at += bytes;
    }
    *out = '\0';
    *len = (size_t)(out - start);
    return true;
}

/* At least one digit. */
static bool digits(struct reader *reader) {
    const uint8_t *first = reader->at;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') {
        reader->at++;
    }
    return reader->at > first || malformed(reader, "a digit");
}

static bool number(struct reader *reader, struct json_value *value) {
    bool integer = !take(reader, '-');
    const uint8_t *first = reader->at;
    if (take(reader, '0')) {
        if (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') {
            return malformed(reader, "no digit behind a leading zero");
        }
    } else if (!digits(reader)) {
        return false;
    }
    value->integer = 0;
    for (const uint8_t *at = first; at < reader->at; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        integer = integer && value->integer <= (UINT64_MAX - digit) / 10;
        value->integer = integer ? value->integer * 10 + digit : 0;
    }
    if (take(reader, '.')) {
        integer = false;
        if (!digits(reader)) {
            return false;
        }
    }
    if (take(reader, 'e') || take(reader, 'E')) {
        integer = false;
        if (!take(reader, '+')) {
            take(reader, '-');
        }
        if (!digits(reader)) {
            return false;
        }
    }
    value->type = integer ? JSON_INTEGER : JSON_NUMBER;
    return true;
}

static bool word(struct reader *reader, const char *word) {
    size_t len = strlen(word);
    if ((size_t)(reader->end - reader->at) < len || memcmp(reader->at, word, len) != 0) {
        return malformed(reader, "a value");
    }
    reader->at += len;
    return true;
}

static bool value(struct reader *reader, char *scratch, struct json_value *out);

/* Skips the rest of an array or object after its opening bracket. */
static bool skip_members(struct reader *reader, char *scratch, bool object) {
    struct json_value ignored;
    char closing = object ? '}' : ']';
    if (reader->depth == DEPTH_LIMIT) {
        return malformed(reader, "less nesting");
    }
    reader->depth++;
    skip_space(reader);
    bool more = !take(reader, closing);
    while (more) {
        size_t len;
        skip_space(reader);
        if (object) {
            if (!string(reader, scratch, &len)) {
                return false;
            }
            skip_space(reader);
            if (!take(reader, ':')) {
                return malformed(reader, "a colon");
            }
            skip_space(reader);
        }
        if (!value(reader, scratch, &ignored)) {
            return false;
        }
        skip_space(reader);
        more = take(reader, ',');
        if (!more && !take(reader, closing)) {
            return malformed(reader, object ? "a comma or }" : "a comma or ]");
        }
    }
    reader->depth--;
    return true;
}

static bool value(struct reader *reader, char *scratch, struct json_value *out) {
    *out = (struct json_value){.type = JSON_NULL};
    switch (reader->at < reader->end ? *reader->at : 0) {
    case '"':
        out->type = JSON_STRING;
        out->text = scratch;
        return string(reader, scratch, &out->len);
    case '[':
    case '{':
        out->type = *reader->at++ == '{' ? JSON_OBJECT : JSON_ARRAY;
        return skip_members(reader, scratch, out->type == JSON_OBJECT);
    case 't':
    case 'f':
        out->type = JSON_BOOLEAN;
        out->boolean = *reader->at == 't';
        return word(reader, out->boolean ? "true" : "false");
    case '-':
    case '0': case '1': case '2': case '3': case '4':
    case '5': case '6': case '7': case '8': case '9':
        return number(reader, out);
    default:
        return word(reader, "null");
    }
}

/* Visits the members of the outermost object. `stopped` distinguishes a visitor's refusal from malformed text. */
static bool members(struct reader *reader, char *key, char *scratch, json_visit *visit, void *context, bool *stopped) {
    skip_space(reader);
    if (!take(reader, '{')) {
        return malformed(reader, "an object");
    }
    skip_space(reader);
    bool more = !take(reader, '}');
    while (more) {
        size_t key_len;
        struct json_value found;
        skip_space(reader);
        if (!string(reader, key, &key_len)) {
            return false;
        }
        skip_space(reader);
        if (!take(reader, ':')) {
            return malformed(reader, "a colon");
        }
        skip_space(reader);
        if (!value(reader, scratch, &found)) {
            return false;
        }
        if (!visit(context, key, key_len, &found)) {
            *stopped = true;
            return false;
        }
        skip_space(reader);
        more = take(reader, ',');
        if (!more && !take(reader, '}')) {
            return malformed(reader, "a comma or }");
        }
    }
    skip_space(reader);
    return reader->at == reader->end || malformed(reader, "the end");
}

enum json_end json_object(const uint8_t *text, size_t len, json_visit *visit, void *context, struct json_error *error) {
    if (len == 0) {
        *error = (struct json_error){"an object", 0};
        return JSON_MALFORMED;
    }
    char *key = malloc(len + 1);
    char *scratch = malloc(len + 1);
    enum json_end end = JSON_NO_MEMORY;
    if (key && scratch) {
        struct reader reader = {text, text, text + len, error, 0};
        bool stopped = false;
        bool read = members(&reader, key, scratch, visit, context, &stopped);
        end = read ? JSON_DONE : stopped ? JSON_STOPPED : JSON_MALFORMED;
    }
    free(key);
    free(scratch);
    return end;
}

const char *json_type_name(enum json_type type) {
    static const char *const names[] = {"null", "a boolean", "an integer", "a number", "a string", "a list", "an object"};
    return names[type];
}
