/* The instance and the functions that the plugin's tables share. */
#ifndef SYSLOG_INSTANCE_H
#define SYSLOG_INSTANCE_H

#include <jackfield.h>

#include "config.h"
#include "transport.h"

struct jackfield_instance {
    struct config config;
    struct transport transport;
};

/* The tables of backend.c and diagnostics.c. */
extern const jackfield_backend_table backend_table;
extern const jackfield_diagnostics_table diagnostics_table;

/* Tells the host why a call returns another status than OK. */
static inline void explain(const jackfield_call *call, const char *subject, const char *message) {
    call->explain(call->context, jackfield_text(subject), jackfield_text(message));
}

/* Reports the outcome of the events `first .. first + count`. */
static inline void report(const jackfield_call *call, uint64_t first, uint64_t count, uint32_t code, const char *reason) {
    const jackfield_outcome outcome = {.code = code, .reason = jackfield_text(reason)};
    call->report(call->context, first, count, &outcome);
}

/* Whether a message's size is allowed; if not, writes the reason, in one line. */
bool message_fits(const struct config *config, const struct buffer *message, char *reason, size_t size);

/* Whether the pointer leads to a batch of this ABI. */
bool is_batch(const jackfield_batch *batch);

/* Whether a call that needs the instance may continue. */
jackfield_status usable(const jackfield_instance *instance, const jackfield_call *call);

#endif
