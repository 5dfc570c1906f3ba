//! The gates of the frozen surface: `abi/` says what `src/abi.rs` is, `include/jackfield.h` is generated from it,
//! and a C compiler agrees on every size and offset.
//!
//! `JACKFIELD_BLESS=1 cargo test -p jackfield-plugin-api --test surface` writes the files anew: once for a change
//! of `abi/1.txt`, and again for the digest that follows from it. Before the first release that is how they follow
//! `src/abi.rs`; after it, a change of `abi/1.txt` is a new ABI major version.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]
#![allow(clippy::unwrap_used, reason = "writing to a String")]

use std::{fmt::Write as _, fs, path::Path, process::Command};

use jackfield_plugin_api::{abi, deletion, diagnostics};
use jackfield_test_support::same_or_bless;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Size, alignment and field offsets of one type, as the compiler lays it out.
struct Layout {
    name: &'static str,
    size: usize,
    align: usize,
    fields: Vec<(&'static str, usize, usize)>,
}

macro_rules! layout {
    ($name:ident {$($field:ident),* $(,)?}) => { layout!(abi, $name { $($field),* }) };
    ($module:ident, $name:ident { $($field:ident),* }) => {{
        // A field that is missing here does not compile.
        #[allow(dead_code)]
        fn complete(value: $module::$name) { let $module::$name { $($field: _),* } = value; }
        fn size_of_field<T, F>(_: fn(&T) -> &F) -> usize { size_of::<F>() }
        Layout {
            name: stringify!($name),
            size: size_of::<$module::$name>(),
            align: align_of::<$module::$name>(),
            fields: vec![$((
                stringify!($field),
                std::mem::offset_of!($module::$name, $field),
                size_of_field(|value: &$module::$name| &value.$field),
            )),*],
        }
    }};
}

/// One file of C types and numbers, and where its types are recorded.
struct Part {
    source: &'static str,
    record: &'static str,
    title: &'static str,
    layouts: Vec<Layout>,
}

fn parts() -> [Part; 3] {
    [
        Part {
            source: "src/abi.rs",
            record: "abi/1.txt",
            title: "Jackfield plugin ABI 1: the frozen types",
            layouts: core(),
        },
        Part {
            source: "src/deletion/abi.rs",
            record: "abi/deletion.txt",
            title: "Jackfield plugin ABI 1: the types of the optional table 2, deletion",
            layouts: vec![
                layout!(deletion, DeletionTable { size, reserved, request }),
                layout!(deletion, DeletionRequestView { size, reserved, machine_id, event }),
            ],
        },
        Part {
            source: "src/diagnostics/abi.rs",
            record: "abi/diagnostics.txt",
            title: "Jackfield plugin ABI 1: the types of the optional table 3, diagnostics",
            layouts: vec![
                layout!(diagnostics, DiagnosticsTable { size, reserved, preview, probe }),
                layout!(diagnostics, PreviewSink { size, reserved, context, message }),
            ],
        },
    ]
}

fn core() -> Vec<Layout> {
    vec![
        layout!(Str { ptr, len }),
        layout!(Pair { key, value }),
        layout!(StrList { ptr, len }),
        layout!(PairList { ptr, len }),
        layout!(TableEntry { id, reserved, table }),
        layout!(Tables { ptr, len }),
        layout!(Descriptor {
            magic,
            abi_major,
            abi_minor,
            size,
            reserved,
            digest,
            metadata,
            tables,
            layouts
        }),
        layout!(BackendTable { size, flags, open, send, close, free }),
        layout!(Call { size, reserved, timeout_ns, context, cancelled, report, explain, tables }),
        layout!(Outcome { code, reserved, retry_after_ms, reason }),
        layout!(Batch { size, event_size, events, len, tables }),
        layout!(Event {
            json,
            id,
            timestamp,
            kind,
            name,
            machine_id,
            tool_name,
            tool_version,
            os,
            arch,
            os_version,
            runtime_version,
            error,
            args,
            metadata,
            time_unix_nanos,
            duration_ms,
            exit_code,
            present,
            reserved
        }),
        layout!(Host { size, abi_major, abi_minor, reserved, tables }),
        layout!(HostServices {
            size,
            reserved,
            context,
            tool_name,
            tool_version,
            backend_name,
            log_enabled,
            log,
            cancelled
        }),
        layout!(LogRecord { level, line, target, file, message }),
    ]
}

/// Tokens without the white space and the trailing commas that no compiler cares about.
fn canonical(tokens: impl quote::ToTokens) -> String {
    let text = tokens.to_token_stream().to_string();
    let mut out = String::new();
    for word in text.split_whitespace() {
        let joint = out.ends_with(|c: char| c.is_alphanumeric() || c == '_')
            && word.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        if joint {
            out.push(' ');
        }
        out.push_str(word);
    }
    out.replace(",)", ")")
}

impl Part {
    fn items(&self) -> Vec<syn::Item> {
        let source = fs::read_to_string(root().join(self.source)).expect("the source");
        syn::parse_file(&source).expect("Rust").items
    }
}

/// The record of the types: in the order of the source, with what the source says and what the compiler makes of it.
fn surface(part: &Part) -> String {
    let layouts = &part.layouts;
    let mut seen = 0;
    let mut out = format!("{}; offset and size in bytes on a 64-bit target\n", part.title);
    for item in part.items() {
        let syn::Item::Struct(item) = item else { continue };
        let name = item.ident.to_string();
        if !matches!(item.vis, syn::Visibility::Public(_)) || name == "Instance" {
            continue;
        }
        let layout = layouts.iter().find(|layout| layout.name == name).unwrap_or_else(|| {
            panic!("{name} stands in {} and not in this test's list", part.source);
        });
        seen += 1;
        writeln!(out, "\nstruct {name} size {} align {}", layout.size, layout.align).unwrap();
        assert_eq!(item.fields.len(), layout.fields.len(), "fields of {name}");
        for (field, (listed, offset, size)) in item.fields.iter().zip(&layout.fields) {
            let ident = field.ident.as_ref().expect("named").to_string();
            assert_eq!(&ident, listed, "order of the fields of {name}");
            writeln!(out, "{offset:4} {size:3} {ident}: {}", canonical(&field.ty)).unwrap();
        }
    }
    assert_eq!(seen, layouts.len(), "a type of this test's list is gone from {}", part.source);
    out
}

/// The record of the numbers. A number may be added; none may change, and none may be used again.
fn numbers() -> String {
    let mut out = String::from("Jackfield plugin ABI 1: the numbers; one may be added, none may change\n\n");
    for item in parts().iter().flat_map(Part::items) {
        if let syn::Item::Const(item) = item
            && item.ident != "ABI_MINOR"
        {
            writeln!(out, "{} = {}", item.ident, canonical(&item.expr)).unwrap();
        }
    }
    out
}

fn header() -> String {
    let mut config = cbindgen::Config::from_file(root().join("cbindgen.toml")).expect("cbindgen.toml");
    for item in parts().iter().flat_map(Part::items) {
        let (rust, c) = match &item {
            syn::Item::Struct(item) => (item.ident.to_string(), c_type(&item.ident.to_string())),
            syn::Item::Type(item) => (item.ident.to_string(), c_type(&item.ident.to_string())),
            syn::Item::Const(item) => (item.ident.to_string(), format!("JACKFIELD_{}", item.ident)),
            _ => continue,
        };
        if rust != "Instance" {
            config.export.include.push(rust.clone());
        }
        config.export.rename.insert(rust, c);
    }
    config.after_includes =
        Some(BEFORE.replace("DIGEST_HEX", &format!("{:016x}", jackfield_plugin_api::DIGEST)));
    config.trailer = Some(static_asserts());
    let mut out = Vec::new();
    cbindgen::Builder::new()
        .with_src(root().join("src/abi.rs"))
        .with_src(root().join("src/deletion/abi.rs"))
        .with_src(root().join("src/diagnostics/abi.rs"))
        .with_config(config)
        .generate()
        .expect("a header")
        .write(&mut out);
    let out = String::from_utf8(out).expect("UTF-8");
    let end = "#endif  /* JACKFIELD_H */";
    assert!(out.contains(end), "cbindgen ends the guard otherwise now");
    let out = out.replacen(end, &format!("{}{end}", AFTER.trim_start()), 1);
    // Links of rustdoc mean nothing to a C reader.
    out.replace("[`", "`").replace("`]", "`")
}

/// What a vendor in C needs besides the types: macros in front of these, functions behind them.
const BEFORE: &str = include_str!("../header/before.h");
const AFTER: &str = include_str!("../header/after.h");

/// What a 64-bit C compiler must find, or it refuses the header.
fn static_asserts() -> String {
    let mut out = String::from(
        "/* The layouts that every 64-bit target has. */\n#if UINTPTR_MAX == UINT64_MAX && (defined(__cplusplus) || __STDC_VERSION__ >= 201112L)\n",
    );
    out.push_str("#ifdef __cplusplus\n#define JACKFIELD_ASSERT(c) static_assert(c, #c)\n#else\n#define JACKFIELD_ASSERT(c) _Static_assert(c, #c)\n#endif\n");
    for layout in parts().into_iter().flat_map(|part| part.layouts) {
        let name = c_type(layout.name);
        writeln!(out, "JACKFIELD_ASSERT(sizeof({name}) == {});", layout.size).unwrap();
        for (field, offset, _) in layout.fields {
            writeln!(out, "JACKFIELD_ASSERT(offsetof({name}, {field}) == {offset});").unwrap();
        }
    }
    out.push_str("#undef JACKFIELD_ASSERT\n#endif\n");
    out
}

fn c_type(rust: &str) -> String {
    let mut out = String::from("jackfield");
    for c in rust.chars() {
        if c.is_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[test]
fn the_record_equals_the_frozen_surface() {
    for part in parts() {
        same_or_bless(&root().join(part.record), &surface(&part));
    }
    same_or_bless(&root().join("abi/1-numbers.txt"), &numbers());
}

#[test]
fn the_header_is_generated_from_the_source() {
    same_or_bless(&root().join("include/jackfield.h"), &header());
}

/// All that a vendor writes beyond the functions: the header, twice, and its macros.
const VENDOR: &str = r#"
#include <jackfield.h>
#include <jackfield.h>
JACKFIELD_EXPECT_DIGEST(0xDIGEST_HEX);
JACKFIELD_METADATA("{" JACKFIELD_FACTS "," JACKFIELD_JSON("name": "x", "offers": []) "}");
extern const jackfield_backend_table backend;
static const jackfield_table_entry tables[] = {{JACKFIELD_TABLE_BACKEND, 0, &backend}};
JACKFIELD_DESCRIPTOR(tables);
static const jackfield_str text = JACKFIELD_STR("text");
size_t probe(void);
size_t probe(void) { return text.len + jackfield_text("x").len + (jackfield_find_table(jackfield_plugin.tables, 1) != NULL); }
"#;

#[test]
fn c_and_cpp_compilers_agree_with_the_header() {
    for (compiler, language, std) in [("cc", "c", "c11"), ("cc", "c", "c17"), ("c++", "c++", "c++17")] {
        let directory = std::env::temp_dir().join(format!("jackfield-header-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a folder");
        let source = directory.join("main.c");
        let text = VENDOR.replace("DIGEST_HEX", &format!("{:016x}", jackfield_plugin_api::DIGEST));
        fs::write(&source, text).expect("writable");
        let output = Command::new(compiler)
            .args(["-x", language, &format!("-std={std}")])
            .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"])
            .args((language == "c++").then_some("-Wold-style-cast"))
            .arg("-I")
            .arg(root().join("include"))
            .arg(&source)
            .output()
            .unwrap_or_else(|error| panic!("{compiler}: {error} (scripts/setup installs it)"));
        fs::remove_dir_all(&directory).expect("removable");
        assert!(
            output.status.success(),
            "{compiler} -std={std}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
