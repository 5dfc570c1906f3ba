#include "format.h"

#include <stdio.h>
#include <string.h>

#include "printable.h"

/* Writes a field of the header, or the RFC's sign for an absent field. */
static void field(struct buffer *out, const uint8_t *text, size_t len, size_t limit) {
    bool fits = is_printable(text, len, limit);
    buffer_add(out, fits ? (const void *)text : "-", fits ? len : 1);
}

/* Writes the event's time in UTC with microseconds, the finest resolution that the RFC allows. */
static void timestamp(struct buffer *out, const jackfield_event *event) {
    if (event->timestamp.len == 0) {
        buffer_text(out, "-");
        return;
    }
    const int64_t second = INT64_C(1000000000);
    const int64_t day = 86400;
    /* Rounded down, also before 1970. */
    int64_t seconds = event->time_unix_nanos / second - (event->time_unix_nanos % second < 0);
    int64_t nanos = event->time_unix_nanos - seconds * second;
    int64_t days = seconds / day - (seconds % day < 0);
    int64_t rest = seconds - days * day;
    /* The civil date of a day, in years that begin in March, so the leap day is the last day of a year. */
    int64_t z = days + 719468; /* days since 0000-03-01 */
    int64_t era = z / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    int64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
    int64_t year = year_of_era + era * 400 + (month <= 2);
    char text[64];
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", (int)year, (int)month,
             (int)(day_of_year - (153 * march_month + 2) / 5 + 1), (int)(rest / 3600), (int)(rest / 60 % 60),
             (int)(rest % 60), (int)(nanos / 1000));
    buffer_text(out, text);
}

/* Writes ` name="value"` and escapes the three characters that RFC 5424, section 6.3.3, names. Everything else is written as
 * it is: a value is any UTF-8, including line feeds, and no framing of this plugin ends at a line feed. */
static void parameter(struct buffer *out, const char *name, jackfield_str value) {
    buffer_text(out, " ");
    buffer_text(out, name);
    buffer_text(out, "=\"");
    size_t done = 0;
    for (size_t at = 0; at < value.len; at++) {
        if (value.ptr[at] == '"' || value.ptr[at] == '\\' || value.ptr[at] == ']') {
            buffer_add(out, value.ptr + done, at - done);
            buffer_text(out, "\\");
            done = at;
        }
    }
    if (value.len > done) {
        buffer_add(out, value.ptr + done, value.len - done);
    }
    buffer_text(out, "\"");
}

static bool has_failed(const jackfield_event *event) {
    return (event->present & JACKFIELD_EVENT_HAS_ERROR) != 0
           || ((event->present & JACKFIELD_EVENT_HAS_EXIT_CODE) != 0 && event->exit_code != 0);
}

void format_message(const struct config *config, const jackfield_event *event, struct buffer *out) {
    unsigned severity = has_failed(event) ? config->error_severity : config->severity;
    buffer_clear(out);
    buffer_text(out, "<");
    buffer_number(out, config->facility * 8 + severity);
    buffer_text(out, ">1 ");
    timestamp(out, event);
    buffer_text(out, " ");
    field(out, (const uint8_t *)config->hostname, strlen(config->hostname), HOSTNAME_LIMIT);
    buffer_text(out, " ");
    if (config->app_name[0] != '\0') {
        buffer_text(out, config->app_name);
    } else {
        field(out, event->tool_name.ptr, event->tool_name.len, APP_NAME_LIMIT);
    }
    /* No PROCID: the process that sends the event may not be the one that recorded it. */
    buffer_text(out, " - ");
    field(out, event->kind.ptr, event->kind.len, MSGID_LIMIT);
    buffer_text(out, " [");
    buffer_text(out, config->sd_id);
    parameter(out, "id", event->id);
    parameter(out, "type", event->kind);
    parameter(out, "name", event->name);
    parameter(out, "machine", event->machine_id);
    buffer_text(out, "] ");
    /* This is MSG-ANY, without the byte order mark of MSG-UTF8: RFC 8259 forbids JSON to begin with one. */
    buffer_add(out, event->json.ptr, event->json.len);
}

void format_frame(const struct buffer *message, struct buffer *out) {
    buffer_clear(out);
    buffer_number(out, message->len);
    buffer_text(out, " ");
    buffer_add(out, message->data, message->len);
}
