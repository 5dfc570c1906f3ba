//! Text in HTML.

use std::fmt::Display;

/// `text` as it stands in an element or between the quotes of an attribute.
pub(super) fn escaped(text: impl Display) -> String {
    let text = text.to_string();
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c => escaped.push(c),
        }
    }
    escaped
}

/// An element with text.
pub(super) fn element(name: &str, text: impl Display) -> String {
    format!("<{name}>{}</{name}>\n", escaped(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_can_neither_open_an_element_nor_end_an_attribute() {
        let hostile = "<script>\"'&amp;";
        assert_eq!(element("p", hostile), "<p>&lt;script&gt;&quot;&#39;&amp;amp;</p>\n");
    }
}
