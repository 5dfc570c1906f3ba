//! The input of a run. A line stays in its pipe until it is stored.
//!
//! # Platform
//! Linux: `tee(2)` copies the bytes of a pipe or FIFO, and they are removed from it once they are stored. An
//! incomplete line stays in the pipe until its end has come, unless it fills the pipe. On other systems, and
//! from an input that is no pipe, bytes are removed when they are read, so those that are not stored when the
//! process is killed are lost.

use std::{
    fs::File,
    io::{self, Read as _},
};

/// Bytes of a read: the usual size of a pipe.
pub(super) const BLOCK: usize = 64 * 1024;

/// An open input.
pub(super) trait Source {
    /// Whether bytes that are not taken stay in the input.
    fn keeps(&self) -> bool;

    /// Whether the next run reads on where this one has stopped.
    fn is_continued(&self) -> bool;

    /// The number of bytes that [`next`](Self::next) has given and that are still in the input.
    fn left(&self) -> usize;

    /// Waits for more bytes than are [`left`](Self::left), and copies all of them to the block of [`BLOCK`]
    /// bytes. While some are left, `stop` ends the wait; else the wait may have no limit.
    fn next(&mut self, block: &mut [u8], stop: &dyn Fn() -> bool) -> io::Result<Found>;

    /// Removes the first bytes from the input. The others come again if it [`keeps`](Self::keeps) them.
    fn take(&mut self, len: usize) -> io::Result<()>;
}

/// Standard input, a FIFO, or another stream.
pub(super) struct Stream {
    input: File,
    #[cfg(target_os = "linux")]
    look: Option<pipe::Look>,
}

/// The bytes that an input has at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// The number of bytes.
    pub(super) len: usize,
    /// The input has no writer any more, so it ends after these bytes.
    pub(super) end: bool,
    /// The pipe is full, so no more bytes come until some are taken.
    pub(super) full: bool,
}

/// Whether text without a line feed is a complete line: valid JSON is one, because nothing follows an event.
pub(super) fn is_whole(line: &[u8]) -> bool {
    !line.contains(&b'\n') && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}

impl Stream {
    pub(super) fn new(input: File) -> Self {
        Self {
            #[cfg(target_os = "linux")]
            look: pipe::Look::at(&input),
            input,
        }
    }

    /// Standard input, without the buffer that hides what has been read.
    #[cfg(unix)]
    pub(super) fn stdin() -> io::Result<Self> {
        use std::os::fd::AsFd as _;
        Ok(Self::new(io::stdin().as_fd().try_clone_to_owned()?.into()))
    }

    /// Standard input, without the buffer that hides what has been read.
    #[cfg(windows)]
    pub(super) fn stdin() -> io::Result<Self> {
        use std::os::windows::io::AsHandle as _;
        Ok(Self::new(io::stdin().as_handle().try_clone_to_owned()?.into()))
    }
}

impl Source for Stream {
    fn keeps(&self) -> bool {
        #[cfg(target_os = "linux")]
        return self.look.is_some();
        #[cfg(not(target_os = "linux"))]
        false
    }

    fn is_continued(&self) -> bool {
        false
    }

    fn left(&self) -> usize {
        #[cfg(target_os = "linux")]
        return self.look.as_ref().map_or(0, |look| look.left);
        #[cfg(not(target_os = "linux"))]
        0
    }

    fn next(&mut self, block: &mut [u8], stop: &dyn Fn() -> bool) -> io::Result<Found> {
        #[cfg(target_os = "linux")]
        if let Some(look) = &mut self.look {
            return look.next(&self.input, block, stop);
        }
        let _ = stop;
        let len = self.input.read(block)?;
        Ok(Found { len, end: len == 0, full: true })
    }

    fn take(&mut self, len: usize) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if let Some(look) = &mut self.look {
            return look.take(&self.input, len);
        }
        let _ = len;
        Ok(())
    }
}

#[cfg(target_os = "linux")]
mod pipe {
    use std::{
        fs::File,
        io::{self, Read as _},
        time::Duration,
    };

    use rustix::{
        event::{PollFd, PollFlags, Timespec, poll},
        io::ioctl_fionread,
        pipe::{SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, tee},
    };

    use crate::run::source::Found;

    /// The pause between two checks of an incomplete line: the first one, and the longest one. A pipe that holds a part of a
    /// line is always ready, so no wait of the system ends with its rest.
    const PAUSES: [Duration; 2] = [Duration::from_micros(50), Duration::from_millis(10)];

    /// Copies the bytes of a pipe.
    pub(super) struct Look {
        /// The pipe to which bytes are copied. It is empty between two copies.
        reader: io::PipeReader,
        writer: io::PipeWriter,
        /// Bytes that were copied and are still in the input.
        pub(super) left: usize,
        taken: Vec<u8>,
    }

    impl Look {
        /// `None` for an input that is no pipe.
        pub(super) fn at(input: &File) -> Option<Self> {
            use std::os::unix::fs::FileTypeExt as _;
            if !input.metadata().is_ok_and(|input| input.file_type().is_fifo()) {
                return None;
            }
            let (reader, writer) = io::pipe().ok()?;
            Some(Self { reader, writer, left: 0, taken: Vec::new() })
        }

        pub(super) fn next(
            &mut self,
            input: &File,
            block: &mut [u8],
            stop: impl Fn() -> bool,
        ) -> io::Result<Found> {
            let end = self.left > 0 && self.wait(input, stop)?;
            self.fit(input);
            let len = tee(input, &self.writer, block.len(), SpliceFlags::empty())?;
            // The copy's pipe has at least as many buffers as the input: bytes that fill it fill the input.
            let full = len == block.len() || !has_room(&self.writer)?;
            self.reader.read_exact(&mut block[..len])?;
            self.left = len;
            Ok(Found { len, end: end || len == 0, full })
        }

        /// Waits until there are more bytes than are left, no more can come, or `stop` ends the wait. Gives
        /// whether no more can come.
        fn wait(&self, input: &File, stop: impl Fn() -> bool) -> io::Result<bool> {
            let [mut pause, longest] = PAUSES;
            let mut gone = false;
            while !stop() {
                if ioctl_fionread(input)? > self.left as u64 {
                    return Ok(false);
                }
                if gone {
                    return Ok(true);
                }
                // Polling, because `poll` reports the last writer's end, but no new bytes after old ones.
                let mut fds = [PollFd::new(input, PollFlags::empty())];
                let time = Timespec { tv_sec: 0, tv_nsec: pause.subsec_nanos().into() };
                gone = poll(&mut fds, Some(&time))? > 0;
                pause = (pause * 2).min(longest);
            }
            Ok(false)
        }

        /// Gives the copy's pipe as many buffers as the input has. With more buffers it would never be full.
        fn fit(&self, input: &File) {
            if let (Ok(theirs), Ok(ours)) = (fcntl_getpipe_size(input), fcntl_getpipe_size(&self.writer))
                && theirs != ours
            {
                // If this fails, the pipe is full too soon, and an incomplete line is removed from the input.
                let _ = fcntl_setpipe_size(&self.writer, theirs);
            }
        }

        pub(super) fn take(&mut self, mut input: &File, len: usize) -> io::Result<()> {
            self.taken.resize(len, 0);
            input.read_exact(&mut self.taken)?;
            self.left -= len;
            Ok(())
        }
    }

    fn has_room(writer: &io::PipeWriter) -> io::Result<bool> {
        let mut fds = [PollFd::new(writer, PollFlags::OUT)];
        poll(&mut fds, Some(&Timespec::default()))?;
        Ok(fds[0].revents().contains(PollFlags::OUT))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{io::Write as _, os::fd::OwnedFd};

    use super::*;

    fn pair() -> (Stream, io::PipeWriter) {
        let (reader, writer) = io::pipe().expect("a pipe");
        (Stream::new(OwnedFd::from(reader).into()), writer)
    }

    fn found(len: usize, end: bool, full: bool) -> Found {
        Found { len, end, full }
    }

    #[test]
    fn bytes_that_are_not_taken_come_again() {
        let (mut source, mut writer) = pair();
        let mut block = vec![0; BLOCK];
        writer.write_all(b"one\ntw").expect("room");
        assert_eq!(source.next(&mut block, &|| false).expect("a pipe"), found(6, false, false));
        source.take(4).expect("there");
        assert_eq!((source.left(), source.keeps()), (2, true));
        assert_eq!(source.next(&mut block, &|| true).expect("a pipe"), found(2, false, false), "given up");
        writer.write_all(b"o\n").expect("room");
        assert_eq!(source.next(&mut block, &|| false).expect("a pipe"), found(4, false, false));
        assert_eq!(&block[..4], b"two\n");
        source.take(2).expect("there");
        drop(writer);
        assert_eq!(source.next(&mut block, &|| false).expect("a pipe"), found(2, true, false));
        assert_eq!(&block[..2], b"o\n");
        source.take(2).expect("there");
        assert_eq!(source.next(&mut block, &|| false).expect("a pipe"), found(0, true, false));
    }

    #[test]
    fn a_pipe_without_a_free_buffer_is_full() {
        for size in [4096, 65_536] {
            let (mut source, mut writer) = pair();
            rustix::pipe::fcntl_setpipe_size(&writer, size).expect("allowed");
            rustix::io::ioctl_fionbio(&writer, true).expect("a pipe");
            // More than half of a buffer, so that no two pieces share one.
            let piece = [b'x'; 2_100];
            let mut written = 0;
            loop {
                let mut block = vec![0; BLOCK];
                match writer.write(&piece) {
                    Ok(len) => written += len,
                    Err(error) => {
                        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                        break;
                    }
                }
                let found = source.next(&mut block, &|| false).expect("a pipe");
                assert_eq!((found.len, found.end), (written, false));
                assert_eq!(found.full, written + piece.len() > size * 2_100 / 4_096, "{written} of {size}");
            }
            assert!(written < size, "{written}");
        }
    }
}
