/* The optional table `diagnostics`: what a batch would send, and whether the receiver can be reached. */
#include <stdio.h>

#include "format.h"
#include "instance.h"

static jackfield_status preview(const jackfield_instance *instance, const jackfield_batch *batch,
                                const jackfield_call *call, const jackfield_preview_sink *sink) {
    jackfield_status status = usable(instance, call);
    if (status != JACKFIELD_STATUS_OK) {
        return status;
    }
    if (!is_batch(batch) || !sink) {
        return JACKFIELD_STATUS_INVALID_ARGUMENT;
    }
    const struct config *config = &instance->config;
    struct buffer message = {0};
    struct buffer frame = {0};
    char text[sizeof config->address + 32];
    snprintf(text, sizeof text, "message to %s", config->address);
    for (size_t at = 0; at < batch->len && status == JACKFIELD_STATUS_OK; at++) {
        char reason[128];
        format_message(config, &batch->events[at], &message);
        if (message_fits(config, &message, reason, sizeof reason)) {
            const struct buffer *sent = &message;
            if (config->transport == TRANSPORT_TCP) {
                format_frame(&message, &frame);
                sent = &frame;
            }
            sink->message(sink->context, jackfield_text(text), (const uint8_t *)sent->data, sent->len);
        } else {
            report(call, at, 1, JACKFIELD_OUTCOME_REJECTED, reason);
        }
        if (message.failed || frame.failed) {
            explain(call, "", "out of memory");
            status = JACKFIELD_STATUS_UNAVAILABLE;
        }
    }
    buffer_free(&message);
    buffer_free(&frame);
    return status;
}

/* A connection is the only possible check: a receiver of syslog never answers. */
static jackfield_status probe(const jackfield_instance *instance, const jackfield_call *call, uint32_t *answer) {
    jackfield_status status = usable(instance, call);
    if (status != JACKFIELD_STATUS_OK) {
        return status;
    }
    if (!answer) {
        return JACKFIELD_STATUS_INVALID_ARGUMENT;
    }
    if (instance->config.transport == TRANSPORT_UDP) {
        *answer = JACKFIELD_PROBE_UNSUPPORTED;
        explain(call, "", "nobody answers over UDP");
        return JACKFIELD_STATUS_OK;
    }
    struct session session;
    session_start(&session, (struct transport *)&instance->transport, call);
    if (session_connect(&session)) {
        char text[sizeof instance->config.address + 32];
        snprintf(text, sizeof text, "%s takes connections", instance->config.address);
        *answer = JACKFIELD_PROBE_REACHABLE;
        explain(call, "", text);
    } else {
        *answer = JACKFIELD_PROBE_UNREACHABLE;
        explain(call, "", session.reason);
    }
    session_end(&session);
    return JACKFIELD_STATUS_OK;
}

const jackfield_diagnostics_table diagnostics_table = {
    .size = sizeof(jackfield_diagnostics_table),
    .preview = preview,
    .probe = probe,
};
