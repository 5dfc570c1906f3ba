//! The tables of rules, read when this crate is compiled.
//!
//! A table is a file of lines with tabs between the columns, and comments behind `#`. The last two columns of a row are a
//! text from which the rule takes a secret, and a text that it leaves; `tests/rules.rs` walks all of them. Only the
//! columns that the engine needs are in the program: no example is.

/// A short text that is copied out of a table, so that the program does not contain the whole table.
#[derive(Clone, Copy)]
pub(super) struct Text<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Text<N> {
    pub(super) const fn of(text: &[u8]) -> Self {
        assert!(
            text.len() <= N && std::str::from_utf8(text).is_ok(),
            "a text that is too long for its column"
        );
        let mut bytes = [0; N];
        let mut at = 0;
        while at < text.len() {
            bytes[at] = text[at];
            at += 1;
        }
        Self { bytes, len: text.len() as u8 }
    }

    /// The last bytes that are no marks between words; 0 stands for those that a shorter text lacks.
    pub(super) const fn end<const LEN: usize>(&self) -> [u8; LEN] {
        let mut end = [0; LEN];
        let (mut at, mut found) = (self.len as usize, 0);
        while found < LEN && at > 0 {
            at -= 1;
            if !matches!(self.bytes[at], b'_' | b' ' | b'\'') {
                found += 1;
                end[LEN - found] = self.bytes[at];
            }
        }
        end
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl<const N: usize> std::fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_str().fmt(f)
    }
}

/// The rows of a table, without its comments and empty lines.
pub(super) struct Rows {
    rest: &'static [u8],
}

impl Rows {
    pub(super) const fn of(table: &'static [u8]) -> Self {
        Self { rest: table }
    }

    pub(super) const fn next(&mut self) -> Option<&'static [u8]> {
        while !self.rest.is_empty() {
            let mut end = 0;
            while end < self.rest.len() && self.rest[end] != b'\n' {
                end += 1;
            }
            let (line, rest) = self.rest.split_at(end);
            self.rest = if rest.is_empty() { rest } else { rest.split_at(1).1 };
            if !line.is_empty() && line[0] != b'#' {
                return Some(line);
            }
        }
        None
    }
}

/// The number of rows of a table.
pub(super) const fn count(table: &'static [u8]) -> usize {
    let mut rows = Rows::of(table);
    let mut count = 0;
    while rows.next().is_some() {
        count += 1;
    }
    count
}

/// The column with this number, from 0.
pub(super) const fn column(row: &[u8], number: usize) -> &[u8] {
    let mut rest = row;
    let mut skipped = 0;
    let mut end = 0;
    while end < rest.len() {
        if rest[end] == b'\t' {
            if skipped == number {
                return rest.split_at(end).0;
            }
            rest = rest.split_at(end + 1).1;
            skipped += 1;
            end = 0;
        } else {
            end += 1;
        }
    }
    assert!(skipped == number, "a row with too few columns");
    rest
}

/// The number that a column has in decimal digits.
pub(super) const fn number(column: &[u8]) -> usize {
    let mut number = 0;
    let mut at = 0;
    while at < column.len() {
        assert!(column[at].is_ascii_digit(), "a column that is no number");
        number = number * 10 + (column[at] - b'0') as usize;
        at += 1;
    }
    number
}

/// A column of all rows.
pub(super) const fn texts<const ROWS: usize, const LONGEST: usize>(
    table: &'static [u8],
    number: usize,
) -> [Text<LONGEST>; ROWS] {
    let mut texts = [Text::of(b""); ROWS];
    let mut rows = Rows::of(table);
    let mut at = 0;
    while let Some(row) = rows.next() {
        texts[at] = Text::of(column(row, number));
        at += 1;
    }
    texts
}

/// For a table whose first column is a kind: the number of the first row of each kind, and the number of rows.
pub(super) const fn firsts<const KINDS: usize, const ENDS: usize>(
    table: &'static [u8],
    kinds: &[&[u8]; KINDS],
) -> [usize; ENDS] {
    let mut first = [0; ENDS];
    let mut rows = Rows::of(table);
    let mut kind = 0;
    let mut at = 0;
    while let Some(row) = rows.next() {
        while !same(column(row, 0), kinds[kind]) {
            kind += 1;
            first[kind] = at;
        }
        at += 1;
    }
    assert!(kind + 1 == KINDS && ENDS == KINDS + 1, "a kind without rows");
    first[ENDS - 1] = at;
    first
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// For a table whose rows are sorted by the first byte of their first column: the rows of each first byte.
pub(super) const fn by_first_byte(table: &'static [u8]) -> [(u16, u16); 256] {
    let mut index = [(0, 0); 256];
    let mut rows = Rows::of(table);
    let mut at = 0;
    while let Some(row) = rows.next() {
        let first = row[0] as usize;
        if index[first].1 == 0 {
            index[first].0 = at;
        }
        assert!(index[first].1 == 0 || index[first].1 == at, "rows that are not sorted by the first byte");
        at += 1;
        index[first].1 = at;
    }
    index
}

/// The rows of a first byte.
pub(super) fn rows_of<T>(rows: &'static [T], index: &[(u16, u16); 256], first: u8) -> &'static [T] {
    let (from, to) = index[usize::from(first)];
    &rows[usize::from(from)..usize::from(to)]
}
