/* The deadline of a call, and whether the host still waits for it. */
#ifndef SYSLOG_DEADLINE_H
#define SYSLOG_DEADLINE_H

#include <jackfield.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct deadline {
    const jackfield_call *call;
    const atomic_bool *closed; /* of the instance */
    uint64_t end_ms;           /* by the monotonic clock */
    uint64_t total_ms;
};

/* The deadline is a little before the host stops waiting, so the answer reaches the host in time. */
struct deadline deadline_start(const jackfield_call *call, const atomic_bool *closed);

/* How long to wait without a check, in milliseconds: until the deadline, or until the next check for cancellation.
 * 0 when the call must end now. */
int deadline_slice(const struct deadline *deadline);

/* Why the call must end now. */
void deadline_reason(const struct deadline *deadline, const char *address, char *out, size_t size);

#endif
