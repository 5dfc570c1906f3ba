
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
