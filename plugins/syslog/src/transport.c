#include "transport.h"

#include <stdio.h>

#include "connect.h"
#include "format.h"

void transport_init(struct transport *transport, const struct config *config) {
    transport->config = config;
    atomic_init(&transport->closed, false);
    for (size_t at = 0; at < IDLE_LIMIT; at++) {
        atomic_init(&transport->idle[at], NET_NONE);
    }
}

/* Takes an idle connection, which then belongs to the caller, or returns NET_NONE. */
static net_socket take_idle(struct transport *transport) {
    for (size_t at = 0; at < IDLE_LIMIT; at++) {
        net_socket found = atomic_exchange(&transport->idle[at], NET_NONE);
        if (found != NET_NONE) {
            return found;
        }
    }
    return NET_NONE;
}

static void drop_idle(struct transport *transport) {
    for (net_socket found; (found = take_idle(transport)) != NET_NONE;) {
        net_close(found);
    }
}

static void keep(struct transport *transport, net_socket socket) {
    for (size_t at = 0; at < IDLE_LIMIT && socket != NET_NONE; at++) {
        net_socket free = NET_NONE;
        if (atomic_compare_exchange_strong(&transport->idle[at], &free, socket)) {
            socket = NET_NONE;
        }
    }
    if (socket != NET_NONE) {
        net_close(socket);
    }
    /* transport_close sets the flag first and drops connections then, so one of the two functions drops this connection. */
    if (atomic_load(&transport->closed)) {
        drop_idle(transport);
    }
}

void transport_close(struct transport *transport) {
    atomic_store(&transport->closed, true);
    drop_idle(transport);
}

void session_start(struct session *session, struct transport *transport, const jackfield_call *call) {
    *session = (struct session){
        .transport = transport,
        .deadline = deadline_start(call, &transport->closed),
        .socket = NET_NONE,
    };
}

static void disconnect(struct session *session) {
    if (session->socket != NET_NONE) {
        net_close(session->socket);
        session->socket = NET_NONE;
    }
}

static void explain(struct session *session, const char *what, int error) {
    char text[128];
    net_describe(error, text, sizeof text);
    snprintf(session->reason, sizeof session->reason, "%s: %s%s", session->transport->config->address, what, text);
}

static void explain_deadline(struct session *session) {
    deadline_reason(&session->deadline, session->transport->config->address, session->reason, sizeof session->reason);
}

/* Connects the session. With `fresh` it uses no idle connection, which may lead to a receiver that has ended. */
static bool connect_session(struct session *session, bool fresh) {
    if (session->socket != NET_NONE) {
        return true;
    }
    while (!fresh && (session->socket = take_idle(session->transport)) != NET_NONE) {
        session->kept = true;
        session->used = false;
        session->stream = net_is_stream(session->socket);
        if (!session->stream || !net_is_gone(session->socket)) {
            return true;
        }
        disconnect(session);
    }
    session->kept = false;
    session->used = false;
    session->socket =
        connection_open(session->transport->config, &session->deadline, session->reason, sizeof session->reason);
    session->stream = session->socket != NET_NONE && net_is_stream(session->socket);
    return session->socket != NET_NONE;
}

bool session_connect(struct session *session) {
    return connect_session(session, false);
}

enum written { WRITTEN, TOO_LARGE, LATE, BROKEN };

/* Writes all bytes over the session's connection. */
static enum written write_all(struct session *session, const char *bytes, size_t len) {
    while (len > 0) {
        size_t written = 0;
        int error = 0;
        int slice = deadline_slice(&session->deadline);
        if (slice == 0) {
            explain_deadline(session);
            return LATE;
        }
        switch (net_send(session->socket, bytes, len, &written, &error)) {
        case NET_DONE:
            bytes += written;
            len -= written;
            break;
        case NET_WAIT:
            net_wait_writable(session->socket, slice);
            /* A datagram socket may be writable while its device or its receiver has no room. */
            if (!session->stream) {
                net_sleep(1);
            }
            break;
        case NET_TOO_LARGE:
            explain(session, "the system refuses a message of this size: ", error);
            return TOO_LARGE;
        case NET_FAILED:
            explain(session, "", error);
            return BROKEN;
        }
    }
    return WRITTEN;
}

enum sent session_send(struct session *session, const struct buffer *message) {
    for (bool fresh = false;; fresh = true) {
        if (!connect_session(session, fresh)) {
            return SENT_FAILED;
        }
        const struct buffer *bytes = message;
        if (session->stream) {
            format_frame(message, &session->frame);
            if (session->frame.failed) {
                snprintf(session->reason, sizeof session->reason, "out of memory");
                return SENT_FAILED;
            }
            bytes = &session->frame;
        }
        switch (write_all(session, bytes->data, bytes->len)) {
        case WRITTEN:
            session->used = true;
            return SENT;
        case TOO_LARGE:
            return SENT_TOO_LARGE;
        case LATE:
            /* The stream may have got a part of the message; the receiver would misread the next one. */
            disconnect(session);
            return SENT_FAILED;
        case BROKEN:
            session->broken = session->broken || session->used;
            disconnect(session);
            if (!session->kept) {
                return SENT_FAILED;
            }
            /* The receiver may have been restarted since. */
            break;
        }
    }
}

bool session_holds(struct session *session) {
    if (session->broken || session->socket == NET_NONE) {
        return !session->broken;
    }
    int error = net_pending_error(session->socket);
    if (error != 0) {
        explain(session, "", error);
    } else if (session->stream && net_is_gone(session->socket)) {
        snprintf(session->reason, sizeof session->reason,
                 "%s: closed the connection; whether it took the events is not known", session->transport->config->address);
    } else {
        return true;
    }
    disconnect(session);
    return false;
}

void session_end(struct session *session) {
    if (session->socket != NET_NONE) {
        keep(session->transport, session->socket);
        session->socket = NET_NONE;
    }
    buffer_free(&session->frame);
}
