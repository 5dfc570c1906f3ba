/* Messages over sockets. Any number of threads send at once, each over a connection of its own, of which some are kept. */
#ifndef SYSLOG_TRANSPORT_H
#define SYSLOG_TRANSPORT_H

#include <jackfield.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "buffer.h"
#include "config.h"
#include "deadline.h"
#include "net.h"

/* Connections that are kept while nobody uses them. */
#define IDLE_LIMIT 4

struct transport {
    const struct config *config;
    atomic_bool closed;
    _Atomic(net_socket) idle[IDLE_LIMIT];
};

void transport_init(struct transport *transport, const struct config *config);

/* Ends what is under way, at its next look, and drops the connections that are kept. May be called again. */
void transport_close(struct transport *transport);

/* What one call needs to send its messages. */
struct session {
    struct transport *transport;
    struct deadline deadline;
    net_socket socket;
    bool kept;   /* the connection has served before this call */
    bool stream; /* and its messages are framed */
    bool used;   /* a message of this call went over the connection */
    bool broken; /* a connection broke behind such a message, which may be lost with it */
    struct buffer frame;
    char reason[512]; /* of the last failure */
};

enum sent {
    SENT,
    SENT_TOO_LARGE, /* for the system: a smaller message may pass */
    SENT_FAILED,    /* so would the next message */
};

void session_start(struct session *session, struct transport *transport, const jackfield_call *call);
/* Connects, unless it is connected. */
bool session_connect(struct session *session);
enum sent session_send(struct session *session, const struct buffer *message);
/* Whether nothing speaks against it that the messages have arrived; if something does, `reason` says what. There is no
 * answer in syslog, but a connection that was closed meanwhile, or a datagram that was refused, is noticed. */
bool session_holds(struct session *session);
/* Keeps the connection for others, unless something failed. */
void session_end(struct session *session);

#endif
