/* The options of one backend. */
#ifndef SYSLOG_CONFIG_H
#define SYSLOG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lengths of RFC 5424, section 6. */
#define HOSTNAME_LIMIT 255
#define APP_NAME_LIMIT 48
#define MSGID_LIMIT 32
#define SD_NAME_LIMIT 32

/* The message size that every receiver should accept (RFC 5424, section 6.1; RFC 5426, section 3.2), and the size that it
 * must accept. */
#define DEFAULT_MAX_BYTES 2048
#define LEAST_MAX_BYTES 480
/* The payload of the largest datagram over IPv4. */
#define UDP_MAX_BYTES 65507
#define MOST_MAX_BYTES (1024 * 1024)

/* Room of `sockaddr_un.sun_path` on the systems where it is smallest, with the NUL. */
#define UNIX_PATH_SIZE 104

enum transport_kind { TRANSPORT_UNIX, TRANSPORT_UDP, TRANSPORT_TCP };

struct config {
    enum transport_kind transport;
    char address[300];         /* as it was written, for messages */
    char path[UNIX_PATH_SIZE]; /* of a UNIX socket */
    char host[256];            /* of the others */
    char port[6];
    unsigned facility;
    unsigned severity;
    unsigned error_severity;
    char app_name[APP_NAME_LIMIT + 1]; /* empty: the event's tool */
    char hostname[HOSTNAME_LIMIT + 1]; /* empty: this machine's name */
    char sd_id[SD_NAME_LIMIT + 1];
    size_t max_bytes;
};

/* Why a configuration is refused. The message never quotes a value, which may be a secret in the wrong place. */
struct refusal {
    char key[72];
    char message[400];
    bool no_memory;
};

/* Reads the JSON of a configuration. */
bool config_read(struct config *config, const uint8_t *json, size_t len, struct refusal *refusal);

#endif
