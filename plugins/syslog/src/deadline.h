/* How long a call may take, and whether anybody still waits for it. */
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

/* Ends a little before the host stops waiting, so that the answer still reaches it. */
struct deadline deadline_start(const jackfield_call *call, const atomic_bool *closed);

/* How long to wait at once, in milliseconds: until the end, or until it is time to ask again whether the call is cancelled.
 * 0 when the call must end now. */
int deadline_slice(const struct deadline *deadline);

/* Why the call must end now. */
void deadline_reason(const struct deadline *deadline, const char *address, char *out, size_t size);

#endif
