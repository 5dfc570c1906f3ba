/* As source/rust/src/lib.rs, in C: a plugin that does what its events' names say.
 *
 * Uses the types and numbers of jackfield.h and none of its macros but the digest's, so that every revision of the header
 * compiles it; and of the C library calloc, free and the string functions, declared here, so that it needs no headers of a
 * platform. There is no panic in C: it answers the status of one.
 */
#include <jackfield.h>

#ifndef TARGET
#error "define TARGET, the target's triple as a string"
#endif

void *calloc(size_t count, size_t size);
void free(void *pointer);
void *memcpy(void *to, const void *from, size_t count);
int memcmp(const void *a, const void *b, size_t count);
size_t strlen(const char *text);

#define JSON                                                                                                      \
    "{\"format\":1,\"name\":\"skew\",\"version\":\"1.0.0\",\"vendor\":\"Jackfield\","                             \
    "\"description\":\"does what its events' names say\",\"abi\":{\"major\":1,\"minor\":0},"                      \
    "\"digest\":\"" JACKFIELD_DIGEST_TEXT "\",\"requires\":[\"log\",\"cancel\"],"                                 \
    "\"offers\":[\"deletion\",\"diagnostics\"],\"serial\":false,\"target\":\"" TARGET "\",\"panic\":\"none\","    \
    "\"language\":\"c\",\"compiler\":\"" __VERSION__ "\",\"config_schema\":{\"type\":\"object\","                 \
    "\"properties\":{\"close\":{\"type\":\"string\"}},\"additionalProperties\":false}}"

#if defined(_WIN32)
#define IN_SECTION __attribute__((section(".jackfld"), used))
#define EXPORTED __declspec(dllexport)
#elif defined(__APPLE__)
#define IN_SECTION __attribute__((section("__DATA,__jackfield"), used))
#define EXPORTED __attribute__((visibility("default")))
#else
#define IN_SECTION __attribute__((section(".jackfield"), used))
#define EXPORTED __attribute__((visibility("default")))
#endif

IN_SECTION static const char metadata[sizeof(JSON) - 1] = JSON;

enum { ROOM = 4096 };

struct jackfield_instance {
    const jackfield_host_services *services;
    jackfield_str close; /* What `close` fails with; empty for nothing. */
    char room[ROOM];
    uint32_t closed;
};

static jackfield_str text(const char *text) {
    jackfield_str view = {(const uint8_t *)text, strlen(text)};
    return view;
}

static int is(jackfield_str view, const char *wanted) {
    return view.len == strlen(wanted) && (view.len == 0 || memcmp(view.ptr, wanted, view.len) == 0);
}

static const void *find(jackfield_tables tables, uint32_t id) {
    for (size_t at = 0; at < tables.len; at++) {
        if (tables.ptr[at].id == id) {
            return tables.ptr[at].table;
        }
    }
    return NULL;
}

static int usable(const jackfield_call *call) {
    return call && call->size == sizeof(jackfield_call);
}

static int readable(const jackfield_batch *batch) {
    return batch && batch->size == sizeof(jackfield_batch) && batch->event_size == sizeof(jackfield_event);
}

/* Text that grows until it is full. */
struct line {
    char bytes[ROOM];
    size_t len;
};

static void add(struct line *line, jackfield_str view) {
    size_t len = view.len < ROOM - line->len ? view.len : ROOM - line->len;
    if (len > 0) {
        memcpy(line->bytes + line->len, view.ptr, len);
        line->len += len;
    }
}

static void add_number(struct line *line, int negative, uint64_t number) {
    char digits[21];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    if (negative) {
        digits[--at] = '-';
    }
    jackfield_str view = {(const uint8_t *)digits + at, sizeof digits - at};
    add(line, view);
}

static void add_signed(struct line *line, int64_t number) {
    add_number(line, number < 0, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

static jackfield_str seen(const struct line *line) {
    jackfield_str view = {(const uint8_t *)line->bytes, line->len};
    return view;
}

static void add_fields(struct line *line, const jackfield_instance *instance, const jackfield_event *event) {
    add(line, instance->services->tool_name);
    add(line, text(" "));
    add(line, instance->services->tool_version);
    add(line, text(" "));
    add(line, instance->services->backend_name);
    const jackfield_str fields[] = {
        event->json, event->id, event->timestamp, event->kind, event->machine_id, event->tool_name,
        event->tool_version, event->os, event->arch, event->os_version, event->runtime_version,
        event->present & JACKFIELD_EVENT_HAS_ERROR ? event->error : text("-"),
    };
    for (size_t at = 0; at < sizeof fields / sizeof fields[0]; at++) {
        add(line, text("|"));
        add(line, fields[at]);
    }
    add(line, text(event->present & JACKFIELD_EVENT_HAS_ARGS ? "|args" : "|-"));
    for (size_t at = 0; event->present & JACKFIELD_EVENT_HAS_ARGS && at < event->args.len; at++) {
        add(line, text(","));
        add(line, event->args.ptr[at]);
    }
    add(line, text("|metadata"));
    for (size_t at = 0; event->present & JACKFIELD_EVENT_HAS_METADATA && at < event->metadata.len; at++) {
        add(line, text(","));
        add(line, event->metadata.ptr[at].key);
        add(line, text("="));
        add(line, event->metadata.ptr[at].value);
    }
    add(line, text("|"));
    add_signed(line, event->time_unix_nanos);
    add(line, text("|"));
    if (event->present & JACKFIELD_EVENT_HAS_DURATION) {
        add_number(line, 0, event->duration_ms);
    } else {
        add(line, text("-"));
    }
    add(line, text("|"));
    if (event->present & JACKFIELD_EVENT_HAS_EXIT_CODE) {
        add_signed(line, event->exit_code);
    } else {
        add(line, text("-"));
    }
}

/* Reads {} and {"close":"text without escapes"}. */
static jackfield_status configure(jackfield_instance *instance, jackfield_str config, const jackfield_call *call) {
    static const char start[] = "{\"close\":\"";
    if (is(config, "{}")) {
        return JACKFIELD_STATUS_OK;
    }
    size_t before = sizeof start - 1;
    if (config.len < before + 2 || memcmp(config.ptr, start, before) != 0
        || memcmp(config.ptr + config.len - 2, "\"}", 2) != 0 || config.len - before - 2 > ROOM) {
        struct line key = {.len = 0};
        if (config.len > 2 && config.ptr[0] == '{' && config.ptr[1] == '"') {
            size_t end = 2;
            while (end < config.len && config.ptr[end] != '"') {
                end++;
            }
            jackfield_str name = {config.ptr + 2, end - 2};
            add(&key, name);
        }
        call->explain(call->context, seen(&key), text("unknown key"));
        return JACKFIELD_STATUS_INVALID_CONFIG;
    }
    instance->close.len = config.len - before - 2;
    memcpy(instance->room, config.ptr + before, instance->close.len);
    instance->close.ptr = (const uint8_t *)instance->room;
    return JACKFIELD_STATUS_OK;
}

static jackfield_status open_backend(const jackfield_host *host, jackfield_str config, const jackfield_call *call,
                                     jackfield_instance **out) {
    if (!host || host->size != sizeof(jackfield_host) || host->abi_major != JACKFIELD_ABI_MAJOR || !usable(call)
        || !out) {
        return JACKFIELD_STATUS_INVALID_ARGUMENT;
    }
    const jackfield_host_services *services = find(host->tables, JACKFIELD_HOST_TABLE_SERVICES);
    if (!services || services->size != sizeof *services) {
        return JACKFIELD_STATUS_INVALID_ARGUMENT;
    }
    jackfield_instance *instance = calloc(1, sizeof *instance);
    if (!instance) {
        return JACKFIELD_STATUS_UNAVAILABLE;
    }
    instance->services = services;
    jackfield_status status = configure(instance, config, call);
    if (status == JACKFIELD_STATUS_OK) {
        *out = instance;
    } else {
        free(instance);
    }
    return status;
}

static jackfield_status send_event(const jackfield_instance *instance, const jackfield_event *event,
                                   const jackfield_call *call, uint64_t at) {
    struct line line;
    line.len = 0;
    jackfield_outcome outcome = {.code = JACKFIELD_OUTCOME_REJECTED, .reason = text("no such name")};
    if (is(event->name, "delivered")) {
        outcome.code = JACKFIELD_OUTCOME_DELIVERED;
        outcome.reason = text("");
    } else if (is(event->name, "retry")) {
        outcome.code = JACKFIELD_OUTCOME_RETRY;
        outcome.reason = text("later");
    } else if (is(event->name, "retry after")) {
        outcome.code = JACKFIELD_OUTCOME_RETRY;
        outcome.retry_after_ms = 1500;
        outcome.reason = text("in 1.5 s");
    } else if (is(event->name, "rejected")) {
        add_fields(&line, instance, event);
        outcome.reason = seen(&line);
    } else if (is(event->name, "too large")) {
        outcome.code = JACKFIELD_OUTCOME_TOO_LARGE;
        outcome.reason = text("split it");
    } else if (is(event->name, "panic")) {
        call->explain(call->context, text("plugin.c"), text("as it was asked to"));
        return JACKFIELD_STATUS_PANIC;
    } else if (is(event->name, "hang")) {
        while (!call->cancelled(call->context)) {
        }
        outcome.code = JACKFIELD_OUTCOME_RETRY;
        outcome.reason = text("cancelled");
    }
    call->report(call->context, at, 1, &outcome);
    return JACKFIELD_STATUS_OK;
}

static jackfield_status closed(const jackfield_call *call) {
    call->explain(call->context, text(""), text("the backend is closed"));
    return JACKFIELD_STATUS_FAILED;
}

static jackfield_status send_batch(const jackfield_instance *instance, const jackfield_batch *batch,
                                   const jackfield_call *call) {
    if (!instance || !usable(call) || !readable(batch)) {
        return JACKFIELD_STATUS_INVALID_ARGUMENT;
    }
    if (__atomic_load_n(&instance->closed, __ATOMIC_ACQUIRE)) {
        return closed(call);
    }
    for (size_t at = 0; at < batch->len; at++) {
        jackfield_status status = send_event(instance, &batch->events[at], call, at);
        if (status != JACKFIELD_STATUS_OK) {
            return status;
        }
    }
    return JACKFIELD_STATUS_OK;
}

static jackfield_status close_backend(const jackfield_instance *instance, const jackfield_call *call) {
    if (!instance || !usable(call)) {
        return JACKFIELD_STATUS_INVALID_ARGUMENT;
    }
    uint32_t *flag = (uint32_t *)&instance->closed;
    if (__atomic_exchange_n(flag, 1, __ATOMIC_ACQ_REL) == 0 && instance->close.len > 0) {
        call->explain(call->context, text(""), instance->close);
        return JACKFIELD_STATUS_FAILED;
    }
    return JACKFIELD_STATUS_OK;
}

static jackfield_status free_backend(jackfield_instance *instance) {
    if (!instance) {
        return JACKFIELD_STATUS_INVALID_ARGUMENT;
    }
    free(instance);
    return JACKFIELD_STATUS_OK;
}

static jackfield_status request_deletion(const jackfield_instance *instance,
                                         const jackfield_deletion_request_view *request, const jackfield_call *call,
                                         uint32_t *answer) {
    if (!instance || !request || request->size != sizeof *request || !readable(request->event) || !usable(call)
        || !answer) {
        return JACKFIELD_STATUS_INVALID_ARGUMENT;
    }
    struct line line;
    line.len = 0;
    add(&line, request->machine_id);
    add(&line, text(" in "));
    add_number(&line, 0, request->event->len);
    add(&line, text(" event"));
    call->explain(call->context, text(""), seen(&line));
    *answer = JACKFIELD_DELETION_SENT;
    return JACKFIELD_STATUS_OK;
}

static jackfield_status preview(const jackfield_instance *instance, const jackfield_batch *batch,
                                const jackfield_call *call, const jackfield_preview_sink *sink) {
    if (!instance || !readable(batch) || !usable(call) || !sink || sink->size != sizeof *sink) {
        return JACKFIELD_STATUS_INVALID_ARGUMENT;
    }
    for (size_t at = 0; at < batch->len; at++) {
        sink->message(sink->context, text("an event"), batch->events[at].json.ptr, batch->events[at].json.len);
    }
    return JACKFIELD_STATUS_OK;
}

static jackfield_status probe(const jackfield_instance *instance, const jackfield_call *call, uint32_t *answer) {
    if (!instance || !usable(call) || !answer) {
        return JACKFIELD_STATUS_INVALID_ARGUMENT;
    }
    call->explain(call->context, text(""), text("always"));
    *answer = JACKFIELD_PROBE_REACHABLE;
    return JACKFIELD_STATUS_OK;
}

static const jackfield_backend_table backend = {
    .size = sizeof(jackfield_backend_table),
    .open = open_backend,
    .send = send_batch,
    .close = close_backend,
    .free = free_backend,
};

static const jackfield_deletion_table deletion = {
    .size = sizeof(jackfield_deletion_table),
    .request = request_deletion,
};

static const jackfield_diagnostics_table diagnostics = {
    .size = sizeof(jackfield_diagnostics_table),
    .preview = preview,
    .probe = probe,
};

static const jackfield_table_entry tables[] = {
    {.id = JACKFIELD_TABLE_BACKEND, .table = &backend},
    {.id = JACKFIELD_TABLE_DELETION, .table = &deletion},
    {.id = JACKFIELD_TABLE_DIAGNOSTICS, .table = &diagnostics},
};

extern EXPORTED const jackfield_descriptor jackfield_plugin;
const jackfield_descriptor jackfield_plugin = {
    .magic = JACKFIELD_MAGIC,
    .abi_major = JACKFIELD_ABI_MAJOR,
    .abi_minor = JACKFIELD_ABI_MINOR,
    .size = sizeof(jackfield_descriptor),
    .digest = JACKFIELD_DIGEST,
    .metadata = {(const uint8_t *)metadata, sizeof metadata},
    .tables = {tables, sizeof tables / sizeof tables[0]},
};
