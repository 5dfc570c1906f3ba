//! Cutting blocks of bytes into lines.
//!
//! A line ends at a line feed or at the end of the input. One carriage return before the line feed is dropped, and so is a
//! byte order mark at the beginning of the input. At most [`MAX_LINE`] bytes are held between blocks: a longer line is
//! passed on in pieces.

use crate::event::parse::MAX_LINE;

/// Cuts blocks into lines.
#[derive(Debug, Default)]
pub struct Lines {
    /// The beginning of a line without its end.
    carry: Vec<u8>,
    /// Whether the next bytes belong to a line that is too long.
    too_long: bool,
    /// The number of complete lines.
    ended: u64,
}

/// A line, or a piece of a line that is too long.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line without its end.
    Whole(&'a [u8]),
    /// The first bytes of a line of more than [`MAX_LINE`] bytes; [`Line::More`] follows.
    TooLong(&'a [u8]),
    /// A further piece of that line, and whether it is the last piece.
    More(&'a [u8], bool),
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Lines {
    /// The state before the first line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `each` for each line that ends in `block`, with its number from 1.
    pub fn feed(&mut self, mut block: &[u8], mut each: impl FnMut(u64, Line<'_>)) {
        while let Some(end) = memchr::memchr(b'\n', block) {
            let (line, rest) = (&block[..end], &block[end + 1..]);
            block = rest;
            if self.too_long {
                self.too_long = false;
                each(self.ended + 1, Line::More(line, true));
            } else if self.carry.is_empty() {
                self.whole(line, &mut each);
            } else {
                let mut carry = std::mem::take(&mut self.carry);
                if carry.len() + line.len() <= MAX_LINE + 1 {
                    carry.extend_from_slice(line);
                    self.whole(&carry, &mut each);
                } else {
                    each(self.ended + 1, Line::TooLong(&carry));
                    each(self.ended + 1, Line::More(line, true));
                }
                carry.clear();
                self.carry = carry;
            }
            self.ended += 1;
        }
        if block.is_empty() {
            return;
        }
        if !self.too_long && self.carry.len() + block.len() > MAX_LINE + 1 {
            self.too_long = true;
            each(self.ended + 1, Line::TooLong(&self.carry));
            self.carry = Vec::new();
        }
        if self.too_long {
            each(self.ended + 1, Line::More(block, false));
        } else {
            self.carry.extend_from_slice(block);
        }
    }

    /// Calls `each` for a last line without a line feed.
    pub fn finish(&mut self, mut each: impl FnMut(u64, Line<'_>)) {
        if self.too_long {
            self.too_long = false;
            each(self.ended + 1, Line::More(b"", true));
        } else if !self.carry.is_empty() {
            let carry = std::mem::take(&mut self.carry);
            self.whole(&carry, &mut each);
        } else {
            return;
        }
        self.ended += 1;
    }

    /// The number of lines that were passed on completely.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ended
    }

    fn whole(&self, line: &[u8], each: &mut impl FnMut(u64, Line<'_>)) {
        let line = if self.ended == 0 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > MAX_LINE {
            each(self.ended + 1, Line::TooLong(line));
            each(self.ended + 1, Line::More(b"", true));
        } else {
            each(self.ended + 1, Line::Whole(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `input`, fed in blocks of `size`; a line that is too long as its length.
    fn cut(input: &[u8], size: usize) -> Vec<(u64, Result<Vec<u8>, usize>)> {
        let mut lines = Lines::new();
        let mut cut: Vec<(u64, Result<Vec<u8>, usize>)> = Vec::new();
        let mut each = |number, line: Line<'_>| match line {
            Line::Whole(line) => cut.push((number, Ok(line.to_vec()))),
            Line::TooLong(part) => cut.push((number, Err(part.len()))),
            Line::More(part, _) => {
                let (at, Err(len)) = cut.last_mut().expect("more of something") else {
                    panic!("more of a whole line")
                };
                assert_eq!(*at, number);
                *len += part.len();
            }
        };
        for block in input.chunks(size) {
            lines.feed(block, &mut each);
        }
        lines.finish(&mut each);
        assert_eq!(lines.count(), cut.len() as u64);
        cut
    }

    #[test]
    fn the_size_of_the_blocks_does_not_matter() {
        let input = b"\xef\xbb\xbfone\r\n\ntwo\n\xef\xbb\xbfthree\r\r\nlast";
        let expected: Vec<(u64, Result<Vec<u8>, usize>)> =
            [&b"one"[..], b"", b"two", b"\xef\xbb\xbfthree\r", b"last"]
                .iter()
                .zip(1..)
                .map(|(line, number)| (number, Ok(line.to_vec())))
                .collect();
        for size in 1..=input.len() {
            assert_eq!(cut(input, size), expected, "blocks of {size}");
        }
    }

    #[test]
    fn a_long_line_passes_in_pieces_and_the_next_is_whole() {
        let mut input = vec![b'x'; 3 * MAX_LINE + 7];
        input.extend_from_slice(b"\nnext\n");
        for size in [1000, 65536, 2 * MAX_LINE, input.len()] {
            assert_eq!(
                cut(&input, size),
                [(1, Err(3 * MAX_LINE + 7)), (2, Ok(b"next".to_vec()))],
                "blocks of {size}"
            );
        }
        assert_eq!(cut(&input[..MAX_LINE + 1], 4096), [(1, Err(MAX_LINE + 1))]);
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_whole() {
        for end in ["", "\n", "\r\n"] {
            let mut input = vec![b'x'; MAX_LINE];
            input.extend_from_slice(end.as_bytes());
            for size in [4096, 65536, input.len()] {
                assert_eq!(
                    cut(&input, size),
                    [(1, Ok(vec![b'x'; MAX_LINE]))],
                    "blocks of {size}, end {end:?}"
                );
            }
        }
    }
}
