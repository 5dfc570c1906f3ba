
// A backend instance: the plugin's own data behind a pointer that the host does not look into.
typedef struct jackfield_instance jackfield_instance;

// Digest of the frozen surface, as a number and as the metadata's text.
#define JACKFIELD_DIGEST UINT64_C(0xDIGEST_HEX)
#define JACKFIELD_DIGEST_TEXT "DIGEST_HEX"

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
