
// A view of a text that ends with a NUL, which is not part of it. Null becomes the empty text.
static inline jackfield_str jackfield_text(const char *text) {
    jackfield_str view = {(const uint8_t *)text, 0};
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

