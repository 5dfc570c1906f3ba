//! What lines are read from, so that nothing is gone from a pipe before it is stored.
//!
//! # Platform
//! Linux: what is in a pipe or FIFO is looked at by `tee(2)`, and taken out when it has been stored. Elsewhere, and of what is
//! no pipe, it is read, and what has not been stored when the process is killed is lost.

use std::{
    fs::File,
    io::{self, Read as _},
};

/// An open input.
pub(super) struct Source {
    input: File,
    #[cfg(target_os = "linux")]
    look: Option<Look>,
}

/// What was looked at and is still in the input.
#[cfg(target_os = "linux")]
struct Look {
    reader: io::PipeReader,
    writer: io::PipeWriter,
    taken: Vec<u8>,
}

impl Source {
    pub(super) fn new(input: File) -> Self {
        Self {
            #[cfg(target_os = "linux")]
            look: Look::at(&input),
            input,
        }
    }

    /// Standard input, without the buffer that hides what has been read.
    #[cfg(unix)]
    pub(super) fn stdin() -> io::Result<Self> {
        use std::os::fd::AsFd as _;
        Ok(Self::new(io::stdin().as_fd().try_clone_to_owned()?.into()))
    }

    /// The next bytes; 0 at the end. They are to be [`stored`](Self::stored) before the next ones.
    pub(super) fn next(&mut self, block: &mut [u8]) -> io::Result<usize> {
        #[cfg(target_os = "linux")]
        if let Some(look) = &mut self.look {
            return look.next(&self.input, block);
        }
        self.input.read(block)
    }

    /// Takes the last bytes out of the input.
    pub(super) fn stored(&mut self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if let Some(look) = &mut self.look {
            self.input.read_exact(&mut look.taken)?;
            look.taken.clear();
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
impl Look {
    /// `None` for what is no pipe.
    fn at(input: &File) -> Option<Self> {
        use std::os::unix::fs::FileTypeExt as _;
        if !input.metadata().is_ok_and(|input| input.file_type().is_fifo()) {
            return None;
        }
        let (reader, writer) = io::pipe().ok()?;
        Some(Self { reader, writer, taken: Vec::new() })
    }

    fn next(&mut self, input: &File, block: &mut [u8]) -> io::Result<usize> {
        // The pipe of our own is empty: what it is given is taken out at once.
        let len = rustix::pipe::tee(input, &self.writer, block.len(), rustix::pipe::SpliceFlags::empty())?;
        self.reader.read_exact(&mut block[..len])?;
        self.taken.resize(len, 0);
        Ok(len)
    }
}
