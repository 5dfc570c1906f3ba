/* jackfield.h: the contract between a Jackfield host and its telemetry backends, ABI 1.0.
 *
 * Generated from the Rust source of jackfield-plugin-api; not to be edited.
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A plugin is a shared library that exports one object,
 *
 *     const jackfield_descriptor jackfield_plugin = { ... };      JACKFIELD_DESCRIPTOR makes it
 *
 * and carries its metadata, which JACKFIELD_METADATA places, as a JSON object in a section of its own:
 * .jackfield (ELF), .jackfld (PE), __DATA,__jackfield (Mach-O). Text is UTF-8 without a terminator. Who allocates frees: nothing owned crosses.
 *
 * The members of the metadata, all required, of which JACKFIELD_FACTS writes those that need no thought; further ones are
 * ignored:
 *
 *     "format": 1,
 *     "name": "syslog", "version": "1.2.3", "vendor": "", "description": "",
 *     "abi": {"major": 1, "minor": 0},
 *     "digest": JACKFIELD_DIGEST_TEXT,
 *     "requires": [],                  capabilities that the host must have: "log", "cancel", "stdout"
 *     "offers": [],                    capabilities that the plugin has: "deletion", "diagnostics"
 *     "serial": false,                 whether `send` must not run twice at once, as JACKFIELD_BACKEND_SERIAL says
 *     "target": "x86_64-unknown-linux-gnu",
 *     "panic": "none",                 "unwind" or "abort" for languages that have panics
 *     "language": "c", "compiler": "gcc 12.2.0",
 *     "config_schema": null            or a JSON Schema of the configuration
 *     "acknowledges": false            may be left out: the backend can't know whether the platform has got an event,
 *                                      as over UDP
 *     "isolation": "process"           may be left out: it can run only in a process of its own
 *
 * Built as a shared library that exports nothing else, for instance by
 *
 *     cc -shared -fPIC -fvisibility=hidden -I include -o libsyslog.so syslog.c
 */


#ifndef JACKFIELD_H
#define JACKFIELD_H

#include <stddef.h>
#include <stdint.h>

// A backend instance: the plugin's own data behind a pointer that the host does not look into.
typedef struct jackfield_instance jackfield_instance;

// Digest of the frozen surface, as a number and as the metadata's text.
#define JACKFIELD_DIGEST UINT64_C(0x43d7ca05e3ed330c)
#define JACKFIELD_DIGEST_TEXT "43d7ca05e3ed330c"

// Before the definition of `jackfield_plugin`: makes it the library's one exported object.
#if defined(_WIN32)
#define JACKFIELD_EXPORT __declspec(dllexport)
#else
#define JACKFIELD_EXPORT __attribute__((visibility("default")))
#endif

// Before the definition of the metadata, an array of char: puts it into its section. The compiler keeps it for `used`,
// the linker because the descriptor, which is exported, points to it.
#if defined(_MSC_VER)
#pragma section(".jackfld", read)
#define JACKFIELD_SECTION __declspec(allocate(".jackfld"))
#elif defined(_WIN32)
#define JACKFIELD_SECTION __attribute__((section(".jackfld"), used))
#elif defined(__APPLE__)
#define JACKFIELD_SECTION __attribute__((section("__DATA,__jackfield"), used))
#else
#define JACKFIELD_SECTION __attribute__((section(".jackfield"), used))
#endif

// JSON, written as it is, as a string literal.
#define JACKFIELD_JSON(...) #__VA_ARGS__
#define JACKFIELD_JSON_OF(macro) JACKFIELD_JSON(macro)

// The metadata's `target`, unless the build defines it.
#ifndef JACKFIELD_TARGET
#if defined(__x86_64__) || defined(_M_X64)
#define JACKFIELD_TARGET_ARCH "x86_64"
#elif defined(__aarch64__) || defined(_M_ARM64)
#define JACKFIELD_TARGET_ARCH "aarch64"
#elif defined(__riscv) && __riscv_xlen == 64
#define JACKFIELD_TARGET_ARCH "riscv64gc"
#else
#define JACKFIELD_TARGET_ARCH "unknown"
#endif
#if defined(_MSC_VER)
#define JACKFIELD_TARGET JACKFIELD_TARGET_ARCH "-pc-windows-msvc"
#elif defined(_WIN32)
#define JACKFIELD_TARGET JACKFIELD_TARGET_ARCH "-pc-windows-gnu"
#elif defined(__APPLE__)
#define JACKFIELD_TARGET JACKFIELD_TARGET_ARCH "-apple-darwin"
#elif defined(__linux__) && defined(__GLIBC__)
#define JACKFIELD_TARGET JACKFIELD_TARGET_ARCH "-unknown-linux-gnu"
#elif defined(__linux__)
#define JACKFIELD_TARGET JACKFIELD_TARGET_ARCH "-unknown-linux-musl"
#else
#define JACKFIELD_TARGET JACKFIELD_TARGET_ARCH "-unknown"
#endif
#endif

// The metadata's `compiler`, `language` and `panic`: define them before the header for another language that takes it in.
#if defined(JACKFIELD_COMPILER)
#elif defined(__clang__)
#define JACKFIELD_COMPILER __VERSION__
#elif defined(__GNUC__)
#define JACKFIELD_COMPILER "gcc " __VERSION__
#elif defined(_MSC_VER)
#define JACKFIELD_COMPILER "msvc " JACKFIELD_JSON_OF(_MSC_VER)
#else
#define JACKFIELD_COMPILER ""
#endif

#if defined(__cpp_exceptions)
#include <exception>
#endif

#ifdef __cplusplus
#define JACKFIELD_THIS_LANGUAGE "c++"
#define JACKFIELD_STATIC_ASSERT(condition, text) static_assert(condition, text)
#define JACKFIELD_CAST(type, value) reinterpret_cast<type>(value)
#define JACKFIELD_NUMBER(type, value) static_cast<type>(value)
#else
#define JACKFIELD_THIS_LANGUAGE "c"
#define JACKFIELD_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#define JACKFIELD_CAST(type, value) ((type)(value))
#define JACKFIELD_NUMBER(type, value) ((type)(value))
#endif
#ifndef JACKFIELD_LANGUAGE
#define JACKFIELD_LANGUAGE JACKFIELD_THIS_LANGUAGE
#endif
// A plugin in C++ with exceptions catches them with `JACKFIELD_CATCH`, as one in Rust catches panics.
#ifndef JACKFIELD_PANIC
#if defined(__cpp_exceptions)
#define JACKFIELD_PANIC "unwind"
#else
#define JACKFIELD_PANIC "none"
#endif
#endif

// The members of the metadata that this header and the compiler know: all but "name", "version", "vendor",
// "description", "requires", "offers", "serial" and "config_schema".
#define JACKFIELD_FACTS                                                                                      \
    "\"format\":1,\"abi\":{\"major\":" JACKFIELD_JSON_OF(JACKFIELD_ABI_MAJOR) ",\"minor\":"                 \
    JACKFIELD_JSON_OF(JACKFIELD_ABI_MINOR) "},\"digest\":\"" JACKFIELD_DIGEST_TEXT "\","                      \
    "\"target\":\"" JACKFIELD_TARGET "\",\"panic\":\"" JACKFIELD_PANIC "\","                                                 \
    "\"language\":\"" JACKFIELD_LANGUAGE "\",\"compiler\":\"" JACKFIELD_COMPILER "\""

// Once in a plugin, at file scope: its metadata, a string literal with a JSON object, in its section.
//
//     JACKFIELD_METADATA("{" JACKFIELD_FACTS "," JACKFIELD_JSON("name": "syslog", "version": "1.2.3") "}");
#define JACKFIELD_METADATA(json) JACKFIELD_SECTION static const char jackfield_metadata[] = json

// Once in a plugin, behind `JACKFIELD_METADATA`: the descriptor, over an array of `jackfield_table_entry`.
#define JACKFIELD_DESCRIPTOR(entries)                                                                        \
    JACKFIELD_C_LINKAGE JACKFIELD_EXPORT const jackfield_descriptor jackfield_plugin;                        \
    const jackfield_descriptor jackfield_plugin = {                                                          \
        JACKFIELD_MAGIC,                                                                                     \
        JACKFIELD_ABI_MAJOR,                                                                                 \
        JACKFIELD_ABI_MINOR,                                                                                 \
        JACKFIELD_NUMBER(uint32_t, sizeof(jackfield_descriptor)),                                                              \
        0,                                                                                                   \
        JACKFIELD_DIGEST,                                                                                    \
        {JACKFIELD_CAST(const uint8_t *, jackfield_metadata), sizeof(jackfield_metadata) - 1},                               \
        {(entries), sizeof(entries) / sizeof((entries)[0])},                                                 \
        NULL,                                                                                                \
    }

#ifdef __cplusplus
#define JACKFIELD_C_LINKAGE extern "C"
#else
#define JACKFIELD_C_LINKAGE extern
#endif

// At file scope, for a plugin that wants to know: does not compile against the header of another surface than the one
// that the plugin was written for.
#define JACKFIELD_EXPECT_DIGEST(digest)                                                                      \
    JACKFIELD_STATIC_ASSERT(JACKFIELD_DIGEST == UINT64_C(digest), "jackfield.h is of another surface")

// A string literal as the initialiser of a `jackfield_str`.
#define JACKFIELD_STR(literal) {JACKFIELD_CAST(const uint8_t *, "" literal), sizeof("" literal) - 1}


// First eight bytes of a `Descriptor`: `JACKFLD` and a zero byte, read as a little-endian integer.
#define JACKFIELD_MAGIC 19224163210445130

// Major version of the ABI. A host loads plugins of its own major version only.
#define JACKFIELD_ABI_MAJOR 1

// Minor version of the ABI: which optional tables the headers knew. It never decides whether a plugin loads.
#define JACKFIELD_ABI_MINOR 0

// The event has arrived where this backend sends it.
#define JACKFIELD_OUTCOME_DELIVERED 1

// The event has not arrived and may be sent again, not before `retry_after_ms`.
#define JACKFIELD_OUTCOME_RETRY 2

// The event will never be accepted as it is.
#define JACKFIELD_OUTCOME_REJECTED 3

// The batch is too large for the platform: the host splits it and sends the parts.
#define JACKFIELD_OUTCOME_TOO_LARGE 4

// Log level: an error.
#define JACKFIELD_LEVEL_ERROR 1

// Log level: a warning.
#define JACKFIELD_LEVEL_WARN 2

// Log level: information.
#define JACKFIELD_LEVEL_INFO 3

// Log level: debugging.
#define JACKFIELD_LEVEL_DEBUG 4

// Log level: tracing.
#define JACKFIELD_LEVEL_TRACE 5

// `Event::duration_ms` is set.
#define JACKFIELD_EVENT_HAS_DURATION 1

// `Event::exit_code` is set.
#define JACKFIELD_EVENT_HAS_EXIT_CODE 2

// `Event::args` is set (possibly to an empty list).
#define JACKFIELD_EVENT_HAS_ARGS 4

// `Event::error` is set.
#define JACKFIELD_EVENT_HAS_ERROR 8

// `Event::metadata` is set (possibly to an empty list).
#define JACKFIELD_EVENT_HAS_METADATA 16

// `send` must not be called while another call on the same instance is running.
#define JACKFIELD_BACKEND_SERIAL 1

// A plugin's `BackendTable`. Every plugin has it.
#define JACKFIELD_TABLE_BACKEND 1

// A host's `HostServices`. Every host has it.
#define JACKFIELD_HOST_TABLE_SERVICES 1

// Id of a plugin's `DeletionTable`.
#define JACKFIELD_TABLE_DELETION 2

// The request has reached the platform.
#define JACKFIELD_DELETION_SENT 1

// This backend, as it is configured, has no way to ask.
#define JACKFIELD_DELETION_UNSUPPORTED 2

// The request has not reached the platform.
#define JACKFIELD_DELETION_FAILED 3

// Id of a plugin's `DiagnosticsTable`.
#define JACKFIELD_TABLE_DIAGNOSTICS 3

// The platform answers and accepts this backend.
#define JACKFIELD_PROBE_REACHABLE 1

// There is no answer, or none by which events could be delivered now.
#define JACKFIELD_PROBE_UNREACHABLE 2

// The platform answers and does not accept this backend: its credentials, its permissions, or what it says.
#define JACKFIELD_PROBE_REFUSED 3

// This backend, as it is configured, has no way to find out without delivering an event.
#define JACKFIELD_PROBE_UNSUPPORTED 4

// What every exported function returns: one of the `STATUS_` numbers. A host treats an unknown number as `STATUS_FAILED`.
typedef int32_t jackfield_status;

// A view of UTF-8 text: `len` bytes at `ptr`, no terminator. `ptr` may be null only when `len` is 0.
typedef struct {
    // First byte.
    const uint8_t *ptr;
    // Length in bytes.
    size_t len;
} jackfield_str;

// A key and its value.
typedef struct {
    // The key.
    jackfield_str key;
    // The value.
    jackfield_str value;
} jackfield_pair;

// A view of `len` strings at `ptr`. `ptr` may be null only when `len` is 0.
typedef struct {
    // First string.
    const jackfield_str *ptr;
    // Number of strings.
    size_t len;
} jackfield_str_list;

// A view of `len` pairs at `ptr`. `ptr` may be null only when `len` is 0.
typedef struct {
    // First pair.
    const jackfield_pair *ptr;
    // Number of pairs.
    size_t len;
} jackfield_pair_list;

// One table, by id.
typedef struct {
    // What the table is: a `TABLE_` number (plugin's) or a `HOST_TABLE_` number (host's). Unknown ids are ignored.
    uint32_t id;
    // Zero.
    uint32_t reserved;
    // The table, whose type the id determines.
    const void *table;
} jackfield_table_entry;

// Tables by id. There is at most one table for each id; of several, the first counts.
typedef struct {
    // First entry; null only when `len` is 0.
    const jackfield_table_entry *ptr;
    // Number of entries.
    size_t len;
} jackfield_tables;

// The only exported symbol of a plugin: a static of this type under the name `jackfield_plugin`.
typedef struct {
    // `MAGIC`.
    uint64_t magic;
    // `ABI_MAJOR` that the plugin was built against.
    uint32_t abi_major;
    // `ABI_MINOR` that the plugin was built against.
    uint32_t abi_minor;
    // `sizeof` this struct, in bytes.
    uint32_t size;
    // Zero.
    uint32_t reserved;
    // Digest of the frozen surface that the plugin was built against.
    uint64_t digest;
    // The metadata section's JSON. The host checks that it is what it read from the file.
    jackfield_str metadata;
    // The plugin's tables.
    jackfield_tables tables;
    // From Rust: a pointer to the type layouts of this surface. From any other language: null.
    const void *layouts;
} jackfield_descriptor;

// The host, as a plugin sees it. Lives as long as the process.
typedef struct {
    // `sizeof` this struct, in bytes.
    uint32_t size;
    // Major version of the host's ABI.
    uint32_t abi_major;
    // Minor version of the host's ABI.
    uint32_t abi_minor;
    // Zero.
    uint32_t reserved;
    // The host's tables.
    jackfield_tables tables;
} jackfield_host;

// The outcome of events.
typedef struct {
    // One of the `OUTCOME_` numbers. The host treats an unknown number as `OUTCOME_RETRY`.
    uint32_t code;
    // Zero.
    uint32_t reserved;
    // For `OUTCOME_RETRY`: milliseconds to wait at least; 0 leaves it to the host.
    uint64_t retry_after_ms;
    // Why, in one line without secrets; empty for `OUTCOME_DELIVERED`.
    jackfield_str reason;
} jackfield_outcome;

// One call: its deadline, and the functions by which the plugin reports. Valid until the called function returns.
typedef struct {
    // `sizeof` this struct, in bytes.
    uint32_t size;
    // Zero.
    uint32_t reserved;
    // How long the call may take, in nanoseconds from its start. The host answers its caller when it has passed.
    uint64_t timeout_ns;
    // To be handed back as the first argument of the functions below.
    const void *context;
    // Whether the host has stopped waiting for this call (1) or still waits (0). Callable from any thread.
    uint32_t (*cancelled)(const void *context);
    // Reports the outcome of the events `first .. first + count` of the batch. Callable from any thread, as often as
    // wanted; of several reports about an event, the last counts. Out-of-range parts are ignored.
    // OWNERSHIP: `outcome` is copied before this function returns.
    void (*report)(const void *context, uint64_t first, uint64_t count, const jackfield_outcome *outcome);
    // Says why the call is about to return a status other than `STATUS_OK`. `subject` is the path of the configuration
    // key, the source position of a panic, or empty.
    // OWNERSHIP: both are copied before this function returns.
    void (*explain)(const void *context, jackfield_str subject, jackfield_str message);
    // Further tables of this call, none in ABI 1.0.
    jackfield_tables tables;
} jackfield_call;

// One event: its fields and its finished JSON.
typedef struct {
    // The whole event as one JSON object on one line, without a line feed. It may have members that have no field here.
    jackfield_str json;
    // Identifies the event; the same on every retry. A UUIDv7 unless the tool brought its own.
    jackfield_str id;
    // When it happened, RFC 3339.
    jackfield_str timestamp;
    // What kind of event, such as `command.invocation` (JSON: `type`).
    jackfield_str kind;
    // Its name, such as the command's.
    jackfield_str name;
    // Pseudonymous id of the machine.
    jackfield_str machine_id;
    // The tool's name.
    jackfield_str tool_name;
    // The tool's version (JSON: `version`).
    jackfield_str tool_version;
    // Operating system.
    jackfield_str os;
    // Processor architecture.
    jackfield_str arch;
    // Version of the operating system; may be empty.
    jackfield_str os_version;
    // Version of the language runtime or compiler; may be empty.
    jackfield_str runtime_version;
    // Error message, with `EVENT_HAS_ERROR`.
    jackfield_str error;
    // Arguments, with `EVENT_HAS_ARGS`.
    jackfield_str_list args;
    // Metadata, with `EVENT_HAS_METADATA`, in the order of the JSON.
    jackfield_pair_list metadata;
    // `timestamp` in nanoseconds since 1970-01-01T00:00:00Z.
    int64_t time_unix_nanos;
    // Duration in milliseconds, with `EVENT_HAS_DURATION`.
    uint64_t duration_ms;
    // Exit code, with `EVENT_HAS_EXIT_CODE`.
    int64_t exit_code;
    // `EVENT_HAS_` bits.
    uint32_t present;
    // Zero.
    uint32_t reserved;
} jackfield_event;

// A batch of events: a view into the host's memory.
typedef struct {
    // `sizeof` this struct, in bytes.
    uint32_t size;
    // `sizeof(Event)`, in bytes.
    uint32_t event_size;
    // First event.
    const jackfield_event *events;
    // Number of events.
    size_t len;
    // Further views of the same events, none in ABI 1.0.
    jackfield_tables tables;
} jackfield_batch;

// The table `TABLE_BACKEND`: what every plugin implements.
//
// No function may unwind, exit the process, or print to standard output unless that is the backend's purpose.
typedef struct {
    // `sizeof` this struct, in bytes.
    uint32_t size;
    // `BACKEND_` bits.
    uint32_t flags;
    // Opens an instance and stores it in `out`; on any status but `STATUS_OK`, `out` is not changed.
    //
    // `config` is the backend's configuration as a JSON object.
    // OWNERSHIP: `host` and everything it points to lives as long as the process and may be kept. `config` and `call`
    // may not be kept. The plugin owns the instance until `free`.
    jackfield_status (*open)(const jackfield_host *host,
                             jackfield_str config,
                             const jackfield_call *call,
                             jackfield_instance **out);
    // Sends a batch and blocks until it knows the outcomes, at most for the call's timeout.
    //
    // It reports the outcome of each event through `call->report`, before it returns. Silence about an event counts as
    // `OUTCOME_RETRY`, however the call ends. A call that returns `STATUS_OK` before its deadline, and was not cancelled, is
    // silent about all events of its batch or about none: the host sends again what may have arrived.
    // May be called from several threads at once unless `BACKEND_SERIAL` is set.
    // OWNERSHIP: `batch`, `call` and all they point to are borrowed until this function returns.
    jackfield_status (*send)(const jackfield_instance *instance,
                             const jackfield_batch *batch,
                             const jackfield_call *call);
    // Flushes buffered data and releases connections, files and threads. The instance stays valid: a second `close`
    // and a `send` after `close` return a status.
    jackfield_status (*close)(const jackfield_instance *instance, const jackfield_call *call);
    // Destroys the instance. No other call on it is running or follows.
    // OWNERSHIP: takes the instance.
    jackfield_status (*free)(jackfield_instance *instance);
} jackfield_backend_table;

// One log record.
typedef struct {
    // One of the `LEVEL_` numbers.
    uint32_t level;
    // Line in `file`, or 0.
    uint32_t line;
    // Where it comes from, such as a module path.
    jackfield_str target;
    // Source file, or empty.
    jackfield_str file;
    // What it says, fields included.
    jackfield_str message;
} jackfield_log_record;

// The table `HOST_TABLE_SERVICES`: what every host offers. Lives as long as the process; callable from any thread.
typedef struct {
    // `sizeof` this struct, in bytes.
    uint32_t size;
    // Zero.
    uint32_t reserved;
    // To be handed back as the first argument of the functions below.
    const void *context;
    // Name of the tool whose telemetry this is.
    jackfield_str tool_name;
    // Version of that tool.
    jackfield_str tool_version;
    // What the configuration calls this backend.
    jackfield_str backend_name;
    // Whether the host wants a log record of `level` from `target` (1) or not (0).
    uint32_t (*log_enabled)(const void *context, uint32_t level, jackfield_str target);
    // Takes a log record.
    // OWNERSHIP: `record` is copied before this function returns.
    void (*log)(const void *context, const jackfield_log_record *record);
    // Whether the host no longer uses this backend, so that its own threads should end (1), or still uses it (0).
    //
    // The threads end in `close`. A later backend of the same name may get this host some time after `free`, and the
    // answer is 0 again from then on.
    uint32_t (*cancelled)(const void *context);
} jackfield_host_services;

// The request: what the platform should delete.
typedef struct {
    // `sizeof` this struct, in bytes.
    uint32_t size;
    // Zero.
    uint32_t reserved;
    // The pseudonymous id of the machine, as in its events.
    jackfield_str machine_id;
    // A batch of one event of the type `data.deletion_request`, for platforms that accept nothing but events.
    const jackfield_batch *event;
} jackfield_deletion_request_view;

// The table `TABLE_DELETION`.
typedef struct {
    // `sizeof` this struct, in bytes.
    uint32_t size;
    // Zero.
    uint32_t reserved;
    // Asks the platform to delete what it has of a machine, and blocks until it knows whether the request arrived, at
    // most for the call's timeout.
    //
    // Writes one of the `DELETION_` numbers to `answer`, and says through `call->explain` what was requested from which
    // platform, or why nothing was. With any status but `STATUS_OK` the host takes the answer as `DELETION_FAILED`.
    // OWNERSHIP: `request`, `call` and all they point to are borrowed until this function returns.
    jackfield_status (*request)(const jackfield_instance *instance,
                                const jackfield_deletion_request_view *request,
                                const jackfield_call *call,
                                uint32_t *answer);
} jackfield_deletion_table;

// The receiver of a preview.
typedef struct {
    // `sizeof` this struct, in bytes.
    uint32_t size;
    // Zero.
    uint32_t reserved;
    // The host's; handed back to `message` unchanged.
    const void *context;
    // Takes one request or message, from any thread, until `preview` returns. The label is one line for people, such as
    // `POST https://host/path (application/json)`, without secrets. The bytes are its body as it is sent. A
    // compressed body is given before compression, and the label says so. Null is allowed when there are no bytes.
    // OWNERSHIP: both are copied before it returns.
    void (*message)(const void *context, jackfield_str label, const uint8_t *bytes, size_t len);
} jackfield_preview_sink;

// The table `TABLE_DIAGNOSTICS`.
typedef struct {
    // `sizeof` this struct, in bytes.
    uint32_t size;
    // Zero.
    uint32_t reserved;
    // Gives the sink what `send` would send for a batch, byte for byte, and sends nothing.
    //
    // Calls `sink->message` once for each request or message that `send` would make, in order. An event that `send`
    // itself would refuse is reported to the call as `send` would report it; nothing else is reported. With any status but
    // `STATUS_OK` the host drops what the sink has taken.
    // OWNERSHIP: `batch`, `call`, `sink` and all they point to are borrowed until this function returns.
    jackfield_status (*preview)(const jackfield_instance *instance,
                                const jackfield_batch *batch,
                                const jackfield_call *call,
                                const jackfield_preview_sink *sink);
    // Finds out whether the platform can be reached and accepts this backend, without delivering an event, and blocks
    // until it knows, at most for the call's timeout.
    //
    // Writes one of the `PROBE_` numbers to `answer`, and says through `call->explain` what answered, or why nothing did.
    // With any status but `STATUS_OK` the host takes the answer as `PROBE_UNREACHABLE`.
    // OWNERSHIP: `call` is borrowed until this function returns.
    jackfield_status (*probe)(const jackfield_instance *instance, const jackfield_call *call, uint32_t *answer);
} jackfield_diagnostics_table;

// The call did what it is for.
#define JACKFIELD_STATUS_OK 0

// The plugin panicked (or threw) and caught it. The host discards the instance and opens a new one.
#define JACKFIELD_STATUS_PANIC 1

// A null pointer, a table of the wrong size, text that is not UTF-8: the caller broke the contract.
#define JACKFIELD_STATUS_INVALID_ARGUMENT 2

// The configuration was refused; `explain` names the key and the reason.
#define JACKFIELD_STATUS_INVALID_CONFIG 3

// The call failed for good; `explain` says why.
#define JACKFIELD_STATUS_FAILED 4

// The call failed for now, a later one may succeed; `explain` says why.
#define JACKFIELD_STATUS_UNAVAILABLE 5

// A view of a text that ends with a NUL, which is not part of it. Null becomes the empty text.
static inline jackfield_str jackfield_text(const char *text) {
    jackfield_str view = {JACKFIELD_CAST(const uint8_t *, text), 0};
    while (text != NULL && text[view.len] != '\0') {
        view.len++;
    }
    return view;
}

// The table with this id, or null.
static inline const void *jackfield_find_table(jackfield_tables tables, uint32_t id) {
    for (size_t at = 0; at < tables.len; at++) {
        if (tables.ptr[at].id == id) {
            return tables.ptr[at].table;
        }
    }
    return NULL;
}

#if defined(__cpp_exceptions)
// The answer of a function in C++ that has caught an exception.
static inline jackfield_status jackfield_thrown(const jackfield_call *call, const char *what) noexcept {
    if (call != nullptr) {
        call->explain(call->context, jackfield_text(""), jackfield_text(what));
    }
    return JACKFIELD_STATUS_PANIC;
}

// Behind the body of each function of a table in C++, since no exception may leave a function of a plugin. `free` has no
// call, and takes `nullptr`.
//
//     static jackfield_status send_batch(const jackfield_instance *self, const jackfield_batch *batch,
//                                        const jackfield_call *call) try {
//         ...
//     } JACKFIELD_CATCH(call)
#define JACKFIELD_CATCH(call)                                                                                \
    catch (const std::exception &thrown) {                                                                   \
        return jackfield_thrown(call, thrown.what());                                                        \
    }                                                                                                        \
    catch (...) {                                                                                            \
        return jackfield_thrown(call, "an exception that is no std::exception");                             \
    }
#endif
#endif  /* JACKFIELD_H */

/* The layouts that every 64-bit target has. */
#if UINTPTR_MAX == UINT64_MAX && (defined(__cplusplus) || __STDC_VERSION__ >= 201112L)
#ifdef __cplusplus
#define JACKFIELD_ASSERT(c) static_assert(c, #c)
#else
#define JACKFIELD_ASSERT(c) _Static_assert(c, #c)
#endif
JACKFIELD_ASSERT(sizeof(jackfield_str) == 16);
JACKFIELD_ASSERT(offsetof(jackfield_str, ptr) == 0);
JACKFIELD_ASSERT(offsetof(jackfield_str, len) == 8);
JACKFIELD_ASSERT(sizeof(jackfield_pair) == 32);
JACKFIELD_ASSERT(offsetof(jackfield_pair, key) == 0);
JACKFIELD_ASSERT(offsetof(jackfield_pair, value) == 16);
JACKFIELD_ASSERT(sizeof(jackfield_str_list) == 16);
JACKFIELD_ASSERT(offsetof(jackfield_str_list, ptr) == 0);
JACKFIELD_ASSERT(offsetof(jackfield_str_list, len) == 8);
JACKFIELD_ASSERT(sizeof(jackfield_pair_list) == 16);
JACKFIELD_ASSERT(offsetof(jackfield_pair_list, ptr) == 0);
JACKFIELD_ASSERT(offsetof(jackfield_pair_list, len) == 8);
JACKFIELD_ASSERT(sizeof(jackfield_table_entry) == 16);
JACKFIELD_ASSERT(offsetof(jackfield_table_entry, id) == 0);
JACKFIELD_ASSERT(offsetof(jackfield_table_entry, reserved) == 4);
JACKFIELD_ASSERT(offsetof(jackfield_table_entry, table) == 8);
JACKFIELD_ASSERT(sizeof(jackfield_tables) == 16);
JACKFIELD_ASSERT(offsetof(jackfield_tables, ptr) == 0);
JACKFIELD_ASSERT(offsetof(jackfield_tables, len) == 8);
JACKFIELD_ASSERT(sizeof(jackfield_descriptor) == 72);
JACKFIELD_ASSERT(offsetof(jackfield_descriptor, magic) == 0);
JACKFIELD_ASSERT(offsetof(jackfield_descriptor, abi_major) == 8);
JACKFIELD_ASSERT(offsetof(jackfield_descriptor, abi_minor) == 12);
JACKFIELD_ASSERT(offsetof(jackfield_descriptor, size) == 16);
JACKFIELD_ASSERT(offsetof(jackfield_descriptor, reserved) == 20);
JACKFIELD_ASSERT(offsetof(jackfield_descriptor, digest) == 24);
JACKFIELD_ASSERT(offsetof(jackfield_descriptor, metadata) == 32);
JACKFIELD_ASSERT(offsetof(jackfield_descriptor, tables) == 48);
JACKFIELD_ASSERT(offsetof(jackfield_descriptor, layouts) == 64);
JACKFIELD_ASSERT(sizeof(jackfield_backend_table) == 40);
JACKFIELD_ASSERT(offsetof(jackfield_backend_table, size) == 0);
JACKFIELD_ASSERT(offsetof(jackfield_backend_table, flags) == 4);
JACKFIELD_ASSERT(offsetof(jackfield_backend_table, open) == 8);
JACKFIELD_ASSERT(offsetof(jackfield_backend_table, send) == 16);
JACKFIELD_ASSERT(offsetof(jackfield_backend_table, close) == 24);
JACKFIELD_ASSERT(offsetof(jackfield_backend_table, free) == 32);
JACKFIELD_ASSERT(sizeof(jackfield_call) == 64);
JACKFIELD_ASSERT(offsetof(jackfield_call, size) == 0);
JACKFIELD_ASSERT(offsetof(jackfield_call, reserved) == 4);
JACKFIELD_ASSERT(offsetof(jackfield_call, timeout_ns) == 8);
JACKFIELD_ASSERT(offsetof(jackfield_call, context) == 16);
JACKFIELD_ASSERT(offsetof(jackfield_call, cancelled) == 24);
JACKFIELD_ASSERT(offsetof(jackfield_call, report) == 32);
JACKFIELD_ASSERT(offsetof(jackfield_call, explain) == 40);
JACKFIELD_ASSERT(offsetof(jackfield_call, tables) == 48);
JACKFIELD_ASSERT(sizeof(jackfield_outcome) == 32);
JACKFIELD_ASSERT(offsetof(jackfield_outcome, code) == 0);
JACKFIELD_ASSERT(offsetof(jackfield_outcome, reserved) == 4);
JACKFIELD_ASSERT(offsetof(jackfield_outcome, retry_after_ms) == 8);
JACKFIELD_ASSERT(offsetof(jackfield_outcome, reason) == 16);
JACKFIELD_ASSERT(sizeof(jackfield_batch) == 40);
JACKFIELD_ASSERT(offsetof(jackfield_batch, size) == 0);
JACKFIELD_ASSERT(offsetof(jackfield_batch, event_size) == 4);
JACKFIELD_ASSERT(offsetof(jackfield_batch, events) == 8);
JACKFIELD_ASSERT(offsetof(jackfield_batch, len) == 16);
JACKFIELD_ASSERT(offsetof(jackfield_batch, tables) == 24);
JACKFIELD_ASSERT(sizeof(jackfield_event) == 272);
JACKFIELD_ASSERT(offsetof(jackfield_event, json) == 0);
JACKFIELD_ASSERT(offsetof(jackfield_event, id) == 16);
JACKFIELD_ASSERT(offsetof(jackfield_event, timestamp) == 32);
JACKFIELD_ASSERT(offsetof(jackfield_event, kind) == 48);
JACKFIELD_ASSERT(offsetof(jackfield_event, name) == 64);
JACKFIELD_ASSERT(offsetof(jackfield_event, machine_id) == 80);
JACKFIELD_ASSERT(offsetof(jackfield_event, tool_name) == 96);
JACKFIELD_ASSERT(offsetof(jackfield_event, tool_version) == 112);
JACKFIELD_ASSERT(offsetof(jackfield_event, os) == 128);
JACKFIELD_ASSERT(offsetof(jackfield_event, arch) == 144);
JACKFIELD_ASSERT(offsetof(jackfield_event, os_version) == 160);
JACKFIELD_ASSERT(offsetof(jackfield_event, runtime_version) == 176);
JACKFIELD_ASSERT(offsetof(jackfield_event, error) == 192);
JACKFIELD_ASSERT(offsetof(jackfield_event, args) == 208);
JACKFIELD_ASSERT(offsetof(jackfield_event, metadata) == 224);
JACKFIELD_ASSERT(offsetof(jackfield_event, time_unix_nanos) == 240);
JACKFIELD_ASSERT(offsetof(jackfield_event, duration_ms) == 248);
JACKFIELD_ASSERT(offsetof(jackfield_event, exit_code) == 256);
JACKFIELD_ASSERT(offsetof(jackfield_event, present) == 264);
JACKFIELD_ASSERT(offsetof(jackfield_event, reserved) == 268);
JACKFIELD_ASSERT(sizeof(jackfield_host) == 32);
JACKFIELD_ASSERT(offsetof(jackfield_host, size) == 0);
JACKFIELD_ASSERT(offsetof(jackfield_host, abi_major) == 4);
JACKFIELD_ASSERT(offsetof(jackfield_host, abi_minor) == 8);
JACKFIELD_ASSERT(offsetof(jackfield_host, reserved) == 12);
JACKFIELD_ASSERT(offsetof(jackfield_host, tables) == 16);
JACKFIELD_ASSERT(sizeof(jackfield_host_services) == 88);
JACKFIELD_ASSERT(offsetof(jackfield_host_services, size) == 0);
JACKFIELD_ASSERT(offsetof(jackfield_host_services, reserved) == 4);
JACKFIELD_ASSERT(offsetof(jackfield_host_services, context) == 8);
JACKFIELD_ASSERT(offsetof(jackfield_host_services, tool_name) == 16);
JACKFIELD_ASSERT(offsetof(jackfield_host_services, tool_version) == 32);
JACKFIELD_ASSERT(offsetof(jackfield_host_services, backend_name) == 48);
JACKFIELD_ASSERT(offsetof(jackfield_host_services, log_enabled) == 64);
JACKFIELD_ASSERT(offsetof(jackfield_host_services, log) == 72);
JACKFIELD_ASSERT(offsetof(jackfield_host_services, cancelled) == 80);
JACKFIELD_ASSERT(sizeof(jackfield_log_record) == 56);
JACKFIELD_ASSERT(offsetof(jackfield_log_record, level) == 0);
JACKFIELD_ASSERT(offsetof(jackfield_log_record, line) == 4);
JACKFIELD_ASSERT(offsetof(jackfield_log_record, target) == 8);
JACKFIELD_ASSERT(offsetof(jackfield_log_record, file) == 24);
JACKFIELD_ASSERT(offsetof(jackfield_log_record, message) == 40);
JACKFIELD_ASSERT(sizeof(jackfield_deletion_table) == 16);
JACKFIELD_ASSERT(offsetof(jackfield_deletion_table, size) == 0);
JACKFIELD_ASSERT(offsetof(jackfield_deletion_table, reserved) == 4);
JACKFIELD_ASSERT(offsetof(jackfield_deletion_table, request) == 8);
JACKFIELD_ASSERT(sizeof(jackfield_deletion_request_view) == 32);
JACKFIELD_ASSERT(offsetof(jackfield_deletion_request_view, size) == 0);
JACKFIELD_ASSERT(offsetof(jackfield_deletion_request_view, reserved) == 4);
JACKFIELD_ASSERT(offsetof(jackfield_deletion_request_view, machine_id) == 8);
JACKFIELD_ASSERT(offsetof(jackfield_deletion_request_view, event) == 24);
JACKFIELD_ASSERT(sizeof(jackfield_diagnostics_table) == 24);
JACKFIELD_ASSERT(offsetof(jackfield_diagnostics_table, size) == 0);
JACKFIELD_ASSERT(offsetof(jackfield_diagnostics_table, reserved) == 4);
JACKFIELD_ASSERT(offsetof(jackfield_diagnostics_table, preview) == 8);
JACKFIELD_ASSERT(offsetof(jackfield_diagnostics_table, probe) == 16);
JACKFIELD_ASSERT(sizeof(jackfield_preview_sink) == 24);
JACKFIELD_ASSERT(offsetof(jackfield_preview_sink, size) == 0);
JACKFIELD_ASSERT(offsetof(jackfield_preview_sink, reserved) == 4);
JACKFIELD_ASSERT(offsetof(jackfield_preview_sink, context) == 8);
JACKFIELD_ASSERT(offsetof(jackfield_preview_sink, message) == 16);
#undef JACKFIELD_ASSERT
#endif
