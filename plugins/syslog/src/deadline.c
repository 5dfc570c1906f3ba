#include "deadline.h"

#include <stdio.h>

#include "net.h"

/* How often a waiting call checks whether it is cancelled. */
#define SLICE_MS 50

#define LEAST_MARGIN_MS 5
#define MOST_MARGIN_MS 250

struct deadline deadline_start(const jackfield_call *call, const atomic_bool *closed) {
    uint64_t timeout = call->timeout_ns / 1000000;
    uint64_t margin = timeout / 20;
    margin = margin < LEAST_MARGIN_MS ? LEAST_MARGIN_MS : margin > MOST_MARGIN_MS ? MOST_MARGIN_MS : margin;
    uint64_t total = timeout > margin ? timeout - margin : 0;
    /* The sum can't overflow: 2^64 ns are fewer than 2^45 ms. */
    return (struct deadline){call, closed, net_now_ms() + total, total};
}

static bool is_cancelled(const struct deadline *deadline) {
    return deadline->call->cancelled(deadline->call->context) != 0;
}

int deadline_slice(const struct deadline *deadline) {
    uint64_t now = net_now_ms();
    if (now >= deadline->end_ms || atomic_load(deadline->closed) || is_cancelled(deadline)) {
        return 0;
    }
    uint64_t left = deadline->end_ms - now;
    return left < SLICE_MS ? (int)left : SLICE_MS;
}

void deadline_reason(const struct deadline *deadline, const char *address, char *out, size_t size) {
    if (atomic_load(deadline->closed)) {
        snprintf(out, size, "the backend was closed meanwhile");
    } else if (is_cancelled(deadline)) {
        snprintf(out, size, "the host no longer waits for it");
    } else {
        snprintf(out, size, "%s: takes nothing within %llu ms", address, (unsigned long long)deadline->total_ms);
    }
}
