//! A reader of RFC 5424 that takes nothing but what its grammar says.

use std::io::{self, Read};

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Facility, from 0 to 23.
    pub facility: u8,
    /// Severity, from 0 to 7.
    pub severity: u8,
    /// TIMESTAMP, HOSTNAME, APP-NAME, PROCID and MSGID; `-` is none.
    pub header: [String; 5],
    /// ID and parameters of each element, without escapes.
    pub data: Vec<(String, Vec<(String, String)>)>,
    /// MSG.
    pub text: String,
}

impl Message {
    /// The parameter of the first element.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn parameter(&self, name: &str) -> &str {
        let (_, value) = self.data[0].1.iter().find(|(found, _)| found == name).expect("the parameter");
        value
    }
}

/// Reads a message.
///
/// # Panics
/// When it is none, and why.
#[must_use]
pub fn parse(bytes: &[u8]) -> Message {
    let text = std::str::from_utf8(bytes).unwrap_or_else(|error| panic!("{error}: {bytes:?}"));
    let (pri, rest) = text.strip_prefix('<').and_then(|rest| rest.split_once('>')).expect("PRI");
    let number: u8 = pri.parse().expect("a number");
    assert!(number < 192 && number.to_string() == pri, "PRI {pri:?}");
    let rest = rest.strip_prefix("1 ").expect("VERSION 1");
    let mut parts = rest.splitn(6, ' ');
    let header: [String; 5] =
        std::array::from_fn(|_| parts.next().expect("five fields of the header").to_owned());
    for (field, limit) in header[1..].iter().zip([255, 48, 128, 32]) {
        let printable = field.bytes().all(|byte| (33..=126).contains(&byte));
        assert!(printable && (1..=limit).contains(&field.len()), "field {field:?}");
    }
    assert!(header[0] == "-" || is_timestamp(&header[0]), "TIMESTAMP {:?}", header[0]);
    let rest = parts.next().expect("STRUCTURED-DATA");
    let (data, rest) = structured_data(rest);
    let text = match rest {
        "" => "",
        rest => rest.strip_prefix(' ').expect("a space before MSG"),
    };
    Message { facility: number / 8, severity: number % 8, header, data, text: text.to_owned() }
}

/// With at most six digits of a second, and in UTC, as all of ours are.
fn is_timestamp(text: &str) -> bool {
    let Some((whole, fraction)) = text.strip_suffix('Z').and_then(|text| text.split_once('.')) else {
        return false;
    };
    let shape = "dddd-dd-ddTdd:dd:dd";
    let fits = whole.len() == shape.len()
        && whole.bytes().zip(shape.bytes()).all(|(byte, shape)| match shape {
            b'd' => byte.is_ascii_digit(),
            other => byte == other,
        });
    fits && (1..=6).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

type Elements = Vec<(String, Vec<(String, String)>)>;

fn structured_data(text: &str) -> (Elements, &str) {
    let mut elements = Elements::new();
    if let Some(rest) = text.strip_prefix('-') {
        return (elements, rest);
    }
    let mut rest = text;
    while let Some(element) = rest.strip_prefix('[') {
        let end = element.find([' ', ']']).expect("the end of an SD-ID");
        let (id, mut tail) = element.split_at(end);
        assert_name(id);
        let mut parameters = Vec::new();
        while let Some(parameter) = tail.strip_prefix(' ') {
            let (name, value) = parameter.split_once("=\"").expect("a parameter");
            assert_name(name);
            let (value, after) = unescape(value);
            parameters.push((name.to_owned(), value));
            tail = after;
        }
        rest = tail.strip_prefix(']').expect("the end of an element");
        elements.push((id.to_owned(), parameters));
    }
    assert!(!elements.is_empty(), "STRUCTURED-DATA: {text:?}");
    (elements, rest)
}

fn assert_name(name: &str) {
    let good = |byte: u8| (33..=126).contains(&byte) && !b"=]\"".contains(&byte);
    assert!((1..=32).contains(&name.len()) && name.bytes().all(good), "SD-NAME {name:?}");
}

/// A value up to its quote, and what follows that.
fn unescape(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            ']' => panic!("a bracket that is not escaped: {text:?}"),
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\' | ']'))) => value.push(escaped),
                other => panic!("no escape: {other:?}"),
            },
            c => value.push(c),
        }
    }
    panic!("a value without end: {text:?}")
}

/// The next message of a stream by octet counting (RFC 6587), or `None` at its end between two messages.
///
/// # Errors
/// Of reading, also that the stream ends inside a message.
///
/// # Panics
/// When the length is none.
pub fn next_frame(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = String::new();
    loop {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            return if length.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        match byte[0] {
            b' ' if !length.is_empty() => break,
            digit @ b'1'..=b'9' => length.push(char::from(digit)),
            b'0' if !length.is_empty() => length.push('0'),
            other => panic!("no MSG-LEN: {other:?} behind {length:?}"),
        }
    }
    let mut message = vec![0; length.parse().expect("a length")];
    stream.read_exact(&mut message)?;
    Ok(Some(message))
}
