//! Pretty JSON by white space alone: members keep their order, and numbers and strings keep their spelling.

/// The number of indented levels. Deeper levels have the same indent, so hostile nesting can't make the output huge.
const DEEPEST_INDENT: usize = INDENT.len() / 2;

/// The white space of the deepest indent.
const INDENT: &str = "                                ";

/// The most bytes that one byte of JSON becomes: the byte, a line feed and the deepest indent.
#[cfg(test)]
const GROWTH: usize = 2 + INDENT.len();

/// Appends `json`, which is one valid JSON value, with a line for each member and element, indented by two spaces.
///
/// The form is that of most JSON libraries: `"key": value`, and `{}` and `[]` for what is empty. Of text that is not
/// valid JSON, every byte except white space outside of strings is kept, too. A byte becomes at most 34 bytes, in time
/// linear in the text.
pub(crate) fn write(json: &str, out: &mut Vec<u8>) {
    let json = json.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        at += 1;
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b'"' => {
                let end = at + string_len(&json[at..]);
                out.extend_from_slice(&json[at - 1..end]);
                at = end;
            }
            b'{' | b'[' => {
                out.push(byte);
                depth += 1;
                let next = json[at..].iter().position(|byte| !byte.is_ascii_whitespace());
                match next.map(|skipped| at + skipped) {
                    Some(next) if json[next] == closing(byte) => {
                        out.push(json[next]);
                        depth -= 1;
                        at = next + 1;
                    }
                    _ => new_line(depth, out),
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                new_line(depth, out);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                new_line(depth, out);
            }
            b':' => out.extend_from_slice(b": "),
            _ => out.push(byte),
        }
    }
}

/// Length of the rest of a string, including its closing quote. `rest` begins after the opening quote.
fn string_len(rest: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&byte) = rest.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    rest.len()
}

const fn closing(opening: u8) -> u8 {
    if opening == b'{' { b'}' } else { b']' }
}

fn new_line(depth: usize, out: &mut Vec<u8>) {
    out.push(b'\n');
    out.extend_from_slice(&INDENT.as_bytes()[..2 * depth.min(DEEPEST_INDENT)]);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    fn pretty(json: &str) -> String {
        let mut out = Vec::new();
        super::write(json, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn each_member_gets_a_line_and_keeps_its_place() {
        let json = r#"{"type":"feature.used","name":"init","args":["a","b"],"metadata":{},"id":"0199"}"#;
        let expected = r#"{
  "type": "feature.used",
  "name": "init",
  "args": [
    "a",
    "b"
  ],
  "metadata": {},
  "id": "0199"
}"#;
        assert_eq!(pretty(json), expected);
    }

    #[test]
    fn numbers_keep_every_digit_and_duplicate_members_stay() {
        let json = r#"{"n":12345678901234567890123,"f":0.10000000000000000000001,"e":1.50E+400,"n":-0.0}"#;
        let expected = "{\n  \"n\": 12345678901234567890123,\n  \"f\": 0.10000000000000000000001,\n  \"e\": 1.50E+400,\n  \"n\": -0.0\n}";
        assert_eq!(pretty(json), expected);
    }

    #[test]
    fn json_inside_a_string_is_not_changed() {
        let json = r#"{"a":"{\"b\": [1, 2]}\\","c\\\"":"x , y : z\u0022 ü"}"#;
        let expected = "{\n  \"a\": \"{\\\"b\\\": [1, 2]}\\\\\",\n  \"c\\\\\\\"\": \"x , y : z\\u0022 ü\"\n}";
        assert_eq!(pretty(json), expected);
    }

    #[test]
    fn white_space_is_replaced() {
        assert_eq!(
            pretty(" { \"a\" :\t[ ] , \"b\" : { \n } , \"c\" : [ 1 ,2 ] } "),
            pretty(r#"{"a":[],"b":{},"c":[1,2]}"#)
        );
    }

    #[test]
    fn the_form_is_that_of_serde_json() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..2_000 {
            let value = arbitrary(&mut random, 4);
            let expected = serde_json::to_string_pretty(&value).expect("JSON");
            assert_eq!(pretty(&value.to_string()), expected);
        }
    }

    fn arbitrary(random: &mut u64, depth: u32) -> Value {
        // xorshift64: the same values in every run.
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        let choice = *random % if depth == 0 { 4 } else { 6 };
        let len = (*random >> 32) % 4;
        match choice {
            0 => Value::Null,
            1 => json!(*random as i64),
            2 => json!(*random as f64 / 3.0),
            3 => json!(["", "\"", "\\", "a\\\"{}[],:\n\u{1}é", "{", "\\\\"][(*random >> 40) as usize % 6]),
            4 => (0..len).map(|_| arbitrary(random, depth - 1)).collect(),
            _ => (0..len).map(|at| (format!("k\"{at}"), arbitrary(random, depth - 1))).collect(),
        }
    }

    #[test]
    fn text_that_is_no_json_keeps_its_characters() {
        for broken in ["", "}", "]]]]", "\"", "\"\\", "{\"a", "[1,,", "{]", "[}"] {
            let out = pretty(broken);
            assert_eq!(out.replace(['\n', ' '], ""), broken, "{broken}");
        }
    }

    #[test]
    fn hostile_text_grows_by_a_bounded_factor() {
        const SIZE: usize = 1 << 20;
        let started = std::time::Instant::now();
        let deep = "[".repeat(SIZE / 2) + &"]".repeat(SIZE / 2);
        let wide = format!("{}{}{}", "[".repeat(40), "0,".repeat(SIZE / 2), "]".repeat(40));
        let commas = "[".repeat(40) + &",".repeat(SIZE);
        for json in [deep, wide, commas, "{\"a\":".repeat(SIZE / 5), "[]".repeat(SIZE / 2)] {
            let len = pretty(&json).len();
            assert!(len <= json.len() * super::GROWTH, "{len} bytes of {}", json.len());
        }
        assert_eq!((super::GROWTH, super::DEEPEST_INDENT), (34, 16), "as the documentation says");
        // A square of the size would take hours.
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }

    #[test]
    fn the_deepest_levels_share_an_indent() {
        let json = "[".repeat(20) + "1" + &"]".repeat(20);
        let pretty = pretty(&json);
        let indents: Vec<_> = pretty.lines().map(|line| line.len() - line.trim_start().len()).collect();
        assert_eq!(indents[..21], (0..=20).map(|level| 2 * level.min(16)).collect::<Vec<_>>());
    }
}
