/* The plugin `syslog`: events as messages of RFC 5424, over a UNIX socket, UDP or TCP.
 *
 * This file has the metadata and the descriptor, which a host reads before it runs any code of the plugin. The functions
 * of the tables are in backend.c and diagnostics.c.
 */
#include "instance.h"

JACKFIELD_EXPECT_DIGEST(0x43d7ca05e3ed330c);

/* A change of an option here needs a change in config.c and in README.md. */
#define CONFIG_SCHEMA                                                                                                 \
    JACKFIELD_JSON({                                                                                                  \
        "$schema": "https://json-schema.org/draft/2020-12/schema",                                                    \
        "title": "Config",                                                                                            \
        "type": "object",                                                                                             \
        "properties": {                                                                                               \
            "address": {                                                                                              \
                "description": "Where the receiver is: unix:/path, udp://host:port or tcp://host:port.",              \
                "type": "string",                                                                                     \
                "default": "unix:/dev/log"                                                                            \
            },                                                                                                        \
            "facility": {                                                                                             \
                "description": "The kind of program, by which receivers sort.",                                       \
                "enum": ["kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron",           \
                         "authpriv", "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2",           \
                         "local3", "local4", "local5", "local6", "local7"],                                           \
                "default": "user"                                                                                     \
            },                                                                                                        \
            "severity": {                                                                                             \
                "description": "How important an event is.",                                                          \
                "enum": ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"],                      \
                "default": "info"                                                                                     \
            },                                                                                                        \
            "error_severity": {                                                                                       \
                "description": "The same for an event with an error, or with an exit code other than 0.",             \
                "enum": ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"],                      \
                "default": "err"                                                                                      \
            },                                                                                                        \
            "app_name": {                                                                                             \
                "description": "APP-NAME of the messages; by default the name of the event's tool.",                  \
                "type": "string", "minLength": 1, "maxLength": 48                                                     \
            },                                                                                                        \
            "hostname": {                                                                                             \
                "description": "HOSTNAME of the messages; by default the machine's. A dash leaves it out.",           \
                "type": "string", "minLength": 1, "maxLength": 255                                                    \
            },                                                                                                        \
            "sd_id": {                                                                                                \
                "description": "SD-ID of the structured data: a name and a private enterprise number.",               \
                "type": "string", "maxLength": 32, "default": "jackfield@32473"                                       \
            },                                                                                                        \
            "max_bytes": {                                                                                            \
                "description": "Size of the largest message, in bytes. A larger one is rejected, never cut.",         \
                "type": "integer", "minimum": 480, "maximum": 1048576, "default": 2048                                \
            }                                                                                                         \
        },                                                                                                            \
        "additionalProperties": false                                                                                 \
    })

JACKFIELD_METADATA("{" JACKFIELD_FACTS "," JACKFIELD_JSON(
    "name": "syslog",
    "version": "0.1.0",
    "vendor": "Jackfield",
    "description": "events to syslog (RFC 5424), over a UNIX socket, UDP or TCP",
    "requires": ["cancel"],
    "offers": ["diagnostics"],
    "serial": false,
    "acknowledges": false
) ",\"config_schema\":" CONFIG_SCHEMA "}");

static const jackfield_table_entry tables[] = {
    {JACKFIELD_TABLE_BACKEND, 0, &backend_table},
    {JACKFIELD_TABLE_DIAGNOSTICS, 0, &diagnostics_table},
};

JACKFIELD_DESCRIPTOR(tables);
