//! `docs/abi.md` is made from `jackfield.h`. `JACKFIELD_BLESS=1 cargo test -p jackfield-tests --test e2e abi_reference`
//! writes it anew.

use std::{fmt::Write as _, fs};

use jackfield_tests::workspace;

const INTRODUCTION: &str = "\
# The ABI, type by type

Made from [`jackfield.h`](../plugin-api/include/jackfield.h), which is made from the Rust source; a test keeps them the same.
How the parts play together is in [the guide for C](backend-in-c.md), what may change in
[compatibility](compatibility.md). Numbers are never reused, and no released type changes.
";

/// What the header says, as Markdown.
fn reference(header: &str) -> String {
    let mut out = INTRODUCTION.to_owned();
    let mut numbers = String::new();
    let mut types = String::new();
    let mut comment: Vec<String> = Vec::new();
    let mut lines = header.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(text) = line.strip_prefix("// ") {
            comment.push(text.to_owned());
            continue;
        }
        let about = std::mem::take(&mut comment).join(" ");
        if let Some(definition) = line.strip_prefix("#define ")
            && let Some((name, value)) = definition.split_once(' ')
            && !about.is_empty()
            && value.starts_with(|first: char| first.is_ascii_digit() || first == 'U' || first == '"')
        {
            _ = writeln!(numbers, "| `{name}` | `{value}` | {about} |");
        } else if line == "typedef struct {" {
            let mut fields = String::new();
            let mut field = String::new();
            let mut about_field: Vec<String> = Vec::new();
            for line in lines.by_ref() {
                if let Some(name) = line.strip_prefix("} ").and_then(|rest| rest.strip_suffix(';')) {
                    _ = write!(types, "\n### `{name}`\n\n{about}\n\n| member | |\n| --- | --- |\n{fields}");
                    break;
                }
                match line.trim().strip_prefix("//").map(str::trim_start) {
                    Some("") => {}
                    Some(text) => about_field.push(text.to_owned()),
                    None => {
                        field.push_str(line.trim());
                        if field.ends_with(';') {
                            let declaration = std::mem::take(&mut field);
                            let declaration =
                                declaration.trim_end_matches(';').replace(",", ", ").replace(",  ", ", ");
                            let text = std::mem::take(&mut about_field)
                                .join(" ")
                                .replace("OWNERSHIP:", "*Ownership:*");
                            _ = writeln!(fields, "| `{declaration}` | {text} |");
                        }
                    }
                }
            }
        } else if let Some(name) = line.strip_prefix("typedef ").and_then(|rest| rest.strip_suffix(';')) {
            _ = write!(types, "\n### `{name}`\n\n{about}\n");
        }
    }
    _ = write!(out, "\n## Types\n{types}\n## Numbers\n\n| name | value | |\n| --- | --- | --- |\n{numbers}");
    out
}

#[test]
fn the_reference_is_what_the_header_says() {
    let root = workspace();
    let header = fs::read_to_string(root.join("plugin-api/include/jackfield.h")).expect("the header");
    let expected = reference(&header);
    for part in ["### `jackfield_event`", "`jackfield_str json`", "`JACKFIELD_OUTCOME_RETRY`", "*Ownership:*"]
    {
        assert!(expected.contains(part), "{part}");
    }
    jackfield_test_support::same_or_bless(&root.join("docs/abi.md"), &expected);
}
