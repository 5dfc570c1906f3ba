/* Sends messages over sockets. Any number of threads send at once, each over a connection of its own. Some idle connections
 * are kept. */
#ifndef SYSLOG_TRANSPORT_H
#define SYSLOG_TRANSPORT_H

#include <jackfield.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "buffer.h"
#include "config.h"
#include "deadline.h"
#include "net.h"

/* The number of idle connections that are kept. */
#define IDLE_LIMIT 4

struct transport {
    const struct config *config;
    atomic_bool closed;
    _Atomic(net_socket) idle[IDLE_LIMIT];
};

void transport_init(struct transport *transport, const struct config *config);

/* Ends running calls at their next check, and drops the idle connections. May be called again. */
void transport_close(struct transport *transport);

/* The state of one call that sends messages. */
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
/* Connects the session if it has no connection. */
bool session_connect(struct session *session);
enum sent session_send(struct session *session, const struct buffer *message);
/* Whether there is no sign that messages were lost; otherwise `reason` says what the sign is. syslog has no answers, but a
 * connection that was closed meanwhile and a datagram that was refused are noticed. */
bool session_holds(struct session *session);
/* Keeps the connection for other calls, unless it failed. */
void session_end(struct session *session);

#endif
