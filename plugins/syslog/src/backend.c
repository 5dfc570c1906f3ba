/* The table that every plugin has: open, send, close, free. */
#include <stdio.h>
#include <stdlib.h>

#include "format.h"
#include "instance.h"

static jackfield_status open_backend(const jackfield_host *host, jackfield_str config, const jackfield_call *call,
                                     jackfield_instance **out) {
    struct refusal refusal;
    if (!host || !call || !out || (!config.ptr && config.len > 0)) {
        return JACKFIELD_STATUS_INVALID_ARGUMENT;
    }
    jackfield_instance *instance = malloc(sizeof *instance);
    if (!instance) {
        explain(call, "", "out of memory");
        return JACKFIELD_STATUS_UNAVAILABLE;
    }
    if (!config_read(&instance->config, config.ptr, config.len, &refusal)) {
        explain(call, refusal.key, refusal.message);
        free(instance);
        return refusal.no_memory ? JACKFIELD_STATUS_UNAVAILABLE : JACKFIELD_STATUS_INVALID_CONFIG;
    }
    if (!net_start()) {
        explain(call, "", "the system has no sockets to offer");
        free(instance);
        return JACKFIELD_STATUS_UNAVAILABLE;
    }
    if (instance->config.hostname[0] == '\0') {
        net_host_name(instance->config.hostname, sizeof instance->config.hostname);
    }
    /* The first event connects: `open` must not fail because the receiver is not running yet. */
    transport_init(&instance->transport, &instance->config);
    *out = instance;
    return JACKFIELD_STATUS_OK;
}

bool message_fits(const struct config *config, const struct buffer *message, char *reason, size_t size) {
    if (message->len <= config->max_bytes) {
        return true;
    }
    snprintf(reason, size, "message too large: %zu bytes, the limit is %zu (max_bytes)", message->len, config->max_bytes);
    return false;
}

bool is_batch(const jackfield_batch *batch) {
    return batch && (batch->events || batch->len == 0) && batch->event_size == sizeof(jackfield_event);
}

jackfield_status usable(const jackfield_instance *instance, const jackfield_call *call) {
    if (!instance || !call) {
        return JACKFIELD_STATUS_INVALID_ARGUMENT;
    }
    if (atomic_load(&instance->transport.closed)) {
        explain(call, "", "the backend is closed");
        return JACKFIELD_STATUS_FAILED;
    }
    return JACKFIELD_STATUS_OK;
}

/* Sends the events one by one, and marks in `delivered` those that were sent. */
static void send_events(struct session *session, const jackfield_batch *batch, const jackfield_call *call,
                        bool *delivered) {
    const struct config *config = session->transport->config;
    struct buffer message = {0};
    char reason[128];
    for (size_t at = 0; at < batch->len; at++) {
        format_message(config, &batch->events[at], &message);
        if (message.failed) {
            report(call, at, batch->len - at, JACKFIELD_OUTCOME_RETRY, "out of memory");
            break;
        }
        /* Rejected, not TOO_LARGE, which is for a batch that the host can split. */
        if (!message_fits(config, &message, reason, sizeof reason)) {
            report(call, at, 1, JACKFIELD_OUTCOME_REJECTED, reason);
            continue;
        }
        enum sent sent = session_send(session, &message);
        if (sent == SENT_FAILED) {
            report(call, at, batch->len - at, JACKFIELD_OUTCOME_RETRY, session->reason);
            break;
        }
        delivered[at] = sent == SENT;
        /* Reported at once, so the outcome counts even if the host stops waiting for the call. */
        report(call, at, 1, delivered[at] ? JACKFIELD_OUTCOME_DELIVERED : JACKFIELD_OUTCOME_REJECTED,
               delivered[at] ? "" : session->reason);
    }
    buffer_free(&message);
}

static jackfield_status send_batch(const jackfield_instance *instance, const jackfield_batch *batch,
                                   const jackfield_call *call) {
    jackfield_status status = usable(instance, call);
    if (status != JACKFIELD_STATUS_OK) {
        return status;
    }
    if (!is_batch(batch)) {
        return JACKFIELD_STATUS_INVALID_ARGUMENT;
    }
    bool *delivered = calloc(batch->len + 1, sizeof *delivered);
    if (!delivered) {
        explain(call, "", "out of memory");
        return JACKFIELD_STATUS_UNAVAILABLE;
    }
    struct session session;
    /* `open` made the instance, and it is const only for the host. The transport consists of atomics. */
    session_start(&session, (struct transport *)&instance->transport, call);
    send_events(&session, batch, call, delivered);
    if (!session_holds(&session)) {
        for (size_t at = 0; at < batch->len; at++) {
            if (delivered[at]) {
                report(call, at, 1, JACKFIELD_OUTCOME_RETRY, session.reason);
            }
        }
    }
    session_end(&session);
    free(delivered);
    return JACKFIELD_STATUS_OK;
}

static jackfield_status close_backend(const jackfield_instance *instance, const jackfield_call *call) {
    if (!instance || !call) {
        return JACKFIELD_STATUS_INVALID_ARGUMENT;
    }
    transport_close((struct transport *)&instance->transport);
    return JACKFIELD_STATUS_OK;
}

static jackfield_status free_backend(jackfield_instance *instance) {
    if (!instance) {
        return JACKFIELD_STATUS_INVALID_ARGUMENT;
    }
    transport_close(&instance->transport);
    net_stop();
    free(instance);
    return JACKFIELD_STATUS_OK;
}

const jackfield_backend_table backend_table = {
    .size = sizeof(jackfield_backend_table),
    .open = open_backend,
    .send = send_batch,
    .close = close_backend,
    .free = free_backend,
};
