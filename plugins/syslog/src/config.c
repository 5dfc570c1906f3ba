#include "config.h"

#include <stdio.h>
#include <string.h>

#include "address.h"
#include "json.h"
#include "printable.h"

/* In the order of their numbers, from 0: RFC 5424, tables 1 and 2. */
static const char *const facilities[] = {
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
};
static const char *const severities[] = {"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static bool refuse(struct refusal *refusal, const char *message) {
    snprintf(refusal->message, sizeof refusal->message, "%s", message);
    return false;
}

static bool expect(const struct json_value *value, enum json_type type, struct refusal *refusal) {
    if (value->type == type) {
        return true;
    }
    snprintf(refusal->message, sizeof refusal->message, "invalid type: %s, expected %s", json_type_name(value->type),
             json_type_name(type));
    return false;
}

/* The number of one of the names. */
static bool one_of(const char *const *names, size_t count, const struct json_value *value, unsigned *out,
                   struct refusal *refusal) {
    if (!expect(value, JSON_STRING, refusal)) {
        return false;
    }
    for (size_t at = 0; at < count; at++) {
        if (value->len == strlen(names[at]) && memcmp(value->text, names[at], value->len) == 0) {
            *out = (unsigned)at;
            return true;
        }
    }
    size_t len = (size_t)snprintf(refusal->message, sizeof refusal->message, "unknown value, expected one of");
    for (size_t at = 0; at < count && len < sizeof refusal->message; at++) {
        len += (size_t)snprintf(refusal->message + len, sizeof refusal->message - len, "%s `%s`", at ? "," : "", names[at]);
    }
    return false;
}

/* A name of RFC 5424: printable ASCII, at most `limit` bytes. `out` has room for them and a NUL. */
static bool name(const struct json_value *value, char *out, size_t limit, struct refusal *refusal) {
    if (!expect(value, JSON_STRING, refusal)) {
        return false;
    }
    if (!is_printable((const uint8_t *)value->text, value->len, limit)) {
        snprintf(refusal->message, sizeof refusal->message,
                 "is no name of RFC 5424: expected 1 to %zu printable ASCII characters without spaces", limit);
        return false;
    }
    memcpy(out, value->text, value->len + 1);
    return true;
}

static bool set_address(struct config *config, const struct json_value *value, struct refusal *refusal) {
    if (!expect(value, JSON_STRING, refusal)) {
        return false;
    }
    const char *expected = address_parse(config, value->text, value->len);
    return !expected || refuse(refusal, expected);
}

static bool set_facility(struct config *config, const struct json_value *value, struct refusal *refusal) {
    return one_of(facilities, LENGTH(facilities), value, &config->facility, refusal);
}

static bool set_severity(struct config *config, const struct json_value *value, struct refusal *refusal) {
    return one_of(severities, LENGTH(severities), value, &config->severity, refusal);
}

static bool set_error_severity(struct config *config, const struct json_value *value, struct refusal *refusal) {
    return one_of(severities, LENGTH(severities), value, &config->error_severity, refusal);
}

static bool set_app_name(struct config *config, const struct json_value *value, struct refusal *refusal) {
    return name(value, config->app_name, APP_NAME_LIMIT, refusal);
}

static bool set_hostname(struct config *config, const struct json_value *value, struct refusal *refusal) {
    return name(value, config->hostname, HOSTNAME_LIMIT, refusal);
}

static bool set_sd_id(struct config *config, const struct json_value *value, struct refusal *refusal) {
    if (!name(value, config->sd_id, SD_NAME_LIMIT, refusal)) {
        return false;
    }
    const char *at = strchr(config->sd_id, '@');
    if (strpbrk(config->sd_id, "=]\"") || !at || at == config->sd_id || at[1] == '\0'
        || at[1 + strspn(at + 1, "0123456789.")] != '\0') {
        return refuse(refusal, "is no SD-ID of RFC 5424: expected `name@enterprise-number`");
    }
    return true;
}

static bool set_max_bytes(struct config *config, const struct json_value *value, struct refusal *refusal) {
    if (!expect(value, JSON_INTEGER, refusal)) {
        return false;
    }
    if (value->integer < LEAST_MAX_BYTES || value->integer > MOST_MAX_BYTES) {
        snprintf(refusal->message, sizeof refusal->message, "is out of range: expected %d to %d", LEAST_MAX_BYTES,
                 MOST_MAX_BYTES);
        return false;
    }
    config->max_bytes = (size_t)value->integer;
    return true;
}

static const struct option {
    const char *key;
    bool (*set)(struct config *config, const struct json_value *value, struct refusal *refusal);
} options[] = {
    {"address", set_address},
    {"facility", set_facility},
    {"severity", set_severity},
    {"error_severity", set_error_severity},
    {"app_name", set_app_name},
    {"hostname", set_hostname},
    {"sd_id", set_sd_id},
    {"max_bytes", set_max_bytes},
};

struct reading {
    struct config *config;
    struct refusal *refusal;
    bool seen[LENGTH(options)];
};

/* Shortens a key for a message: up to the first character that is not allowed in names. */
static void show_key(struct refusal *refusal, const char *key, size_t len) {
    size_t shown = 0;
    while (shown < len && shown < sizeof refusal->key - 4 && key[shown] != '\0'
           && strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.", key[shown])) {
        shown++;
    }
    snprintf(refusal->key, sizeof refusal->key, "%.*s%s", (int)shown, key, shown < len ? "…" : "");
}

static bool visit(void *context, const char *key, size_t len, const struct json_value *value) {
    struct reading *reading = context;
    show_key(reading->refusal, key, len);
    for (size_t at = 0; at < LENGTH(options); at++) {
        if (strlen(options[at].key) != len || memcmp(options[at].key, key, len) != 0) {
            continue;
        }
        if (reading->seen[at]) {
            return refuse(reading->refusal, "stands there twice");
        }
        reading->seen[at] = true;
        return options[at].set(reading->config, value, reading->refusal);
    }
    return refuse(reading->refusal, "unknown key, expected one of `address`, `facility`, `severity`, `error_severity`, "
                                    "`app_name`, `hostname`, `sd_id`, `max_bytes`");
}

static const struct config defaults = {
    .transport = TRANSPORT_UNIX,
    .address = "unix:/dev/log",
    .path = "/dev/log",
    .facility = 1,
    .severity = 6,
    .error_severity = 3,
    .sd_id = "jackfield@32473",
    .max_bytes = DEFAULT_MAX_BYTES,
};

bool config_read(struct config *config, const uint8_t *json, size_t len, struct refusal *refusal) {
    struct reading reading = {.config = config, .refusal = refusal};
    struct json_error error = {0};
    *config = defaults;
    *refusal = (struct refusal){0};
    switch (json_object(json, len, visit, &reading, &error)) {
    case JSON_STOPPED:
        return false;
    case JSON_NO_MEMORY:
        refusal->no_memory = true;
        return refuse(refusal, "out of memory");
    case JSON_MALFORMED:
        refusal->key[0] = '\0';
        snprintf(refusal->message, sizeof refusal->message, "the configuration is no JSON object: expected %s at byte %zu",
                 error.expected, error.offset);
        return false;
    case JSON_DONE:
        break;
    }
#ifdef _WIN32
    if (config->transport == TRANSPORT_UNIX) {
        snprintf(refusal->key, sizeof refusal->key, "address");
        return refuse(refusal, "expected `udp://host:port` or `tcp://host:port`: this system has no UNIX socket for it");
    }
#endif
    if (config->transport == TRANSPORT_UDP && config->max_bytes > UDP_MAX_BYTES) {
        snprintf(refusal->key, sizeof refusal->key, "max_bytes");
        snprintf(refusal->message, sizeof refusal->message, "is more than a datagram holds: expected at most %d",
                 UDP_MAX_BYTES);
        return false;
    }
    refusal->key[0] = '\0';
    return true;
}
