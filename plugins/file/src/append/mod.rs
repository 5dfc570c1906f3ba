//! Appends batches of lines to the file at a path: under the file's lock, in few writes, with a rotation before a line
//! that would make the file too large.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    handle::{Disk, Failure, Handle},
    rotate::{self, Rotation},
};

/// Lines are collected up to this many bytes for one write; a longer line gets a write of its own.
const GATHER_BYTES: usize = 1 << 20;

/// Where and how to append.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) path: PathBuf,
    pub(crate) fsync: bool,
    pub(crate) rotation: Option<Rotation>,
    pub(crate) disk: Disk,
}

/// Adds `line` in the form in which it is in the file.
pub(crate) fn push_line(line: &str, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(line.as_bytes());
    bytes.push(b'\n');
}

/// Appends lines to the file at a path.
pub(crate) struct Appender {
    options: Options,
    /// The open file. It is not locked between batches.
    handle: Option<Handle>,
    /// Whole lines that wait to be written.
    gathered: Vec<u8>,
    /// How many lines they are.
    lines: usize,
    /// Whether a device or FIFO got the beginning of a line and not its end.
    torn: bool,
}

impl Appender {
    pub(crate) fn new(options: Options) -> Self {
        Self { options, handle: None, gathered: Vec::new(), lines: 0, torn: false }
    }

    /// Opens the file, or makes it.
    pub(crate) fn open(&mut self) -> Result<(), Failure> {
        self.handle = Some(self.opened()?);
        Ok(())
    }

    /// Closes the file. A later batch opens it again.
    pub(crate) fn close(&mut self) {
        self.handle = None;
    }

    /// Opens the file at the path for appending, or makes it, as the next batch would, and writes nothing. It does not
    /// open a device or a FIFO again that is already open, because that may wait for a reader.
    pub(crate) fn probe(&self) -> Result<(), Failure> {
        if self.handle.as_ref().is_some_and(|handle| handle.size().is_none()) {
            return Ok(());
        }
        self.opened().map(drop)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.options.path
    }

    /// The failure in one line that names the path.
    pub(crate) fn explain(&self, failure: &Failure) -> String {
        format!("{}: {failure}", self.options.path.display())
    }

    /// Appends `lines`, none of which has a line feed. `written` counts those that are in the file, also when the rest
    /// fails. Waits for other writers while `go_on` allows.
    pub(crate) fn append<'a>(
        &mut self,
        lines: impl IntoIterator<Item = &'a str>,
        written: &mut usize,
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), Failure> {
        // An earlier batch may have failed and left lines here; the host sends them again.
        self.gathered.clear();
        self.lines = 0;
        let mut handle = self.locked(go_on)?;
        let result = self.append_to(&mut handle, lines, written, go_on);
        self.gathered.shrink_to(GATHER_BYTES);
        // A handle that can't be unlocked is dropped, which frees the lock as well. A handle that failed is kept: the
        // next batch checks the file's end anyway, and a FIFO can't be opened while it has no reader.
        if handle.unlock().is_ok() {
            self.handle = Some(handle);
        }
        result
    }

    fn append_to<'a>(
        &mut self,
        handle: &mut Handle,
        lines: impl IntoIterator<Item = &'a str>,
        written: &mut usize,
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), Failure> {
        for line in lines {
            if !self.gathered.is_empty() && self.gathered.len() + line.len() >= GATHER_BYTES {
                self.write(handle, written)?;
            }
            while let Some(rotation) = self.options.rotation
                && self.would_exceed(rotation.bytes, handle, line)
            {
                self.write(handle, written)?;
                rotate::shift(&self.options.path, rotation.keep).map_err(Failure::Rotate)?;
                handle.unlock()?;
                *handle = self.locked(go_on)?;
            }
            push_line(line, &mut self.gathered);
            self.lines += 1;
        }
        self.write(handle, written)
    }

    /// Whether `line` would make a file that is not empty larger than `limit`.
    fn would_exceed(&self, limit: u64, handle: &Handle, line: &str) -> bool {
        handle.size().is_some_and(|size| {
            let before = size + self.gathered.len() as u64;
            before > 0 && before + line.len() as u64 + 1 > limit
        })
    }

    /// Writes the collected lines.
    fn write(&mut self, handle: &mut Handle, written: &mut usize) -> Result<(), Failure> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        match handle.write(&self.gathered, self.options.fsync) {
            Ok(()) => {
                *written += self.lines;
                self.gathered.clear();
                self.lines = 0;
                Ok(())
            }
            Err(short) => {
                let kept = &self.gathered[..short.kept];
                *written += kept.iter().filter(|&&byte| byte == b'\n').count();
                self.torn = handle.size().is_none() && kept.last().is_some_and(|&byte| byte != b'\n');
                Err(short.error.into())
            }
        }
    }

    fn opened(&self) -> Result<Handle, Failure> {
        let handle = Handle::open(&self.options.path, self.options.disk)?;
        if self.options.fsync {
            handle.sync_name(&self.options.path)?;
        }
        Ok(handle)
    }

    /// The file that is at the path now, locked and with a complete last line.
    fn locked(&mut self, go_on: &dyn Fn() -> bool) -> Result<Handle, Failure> {
        loop {
            let mut handle = match self.handle.take() {
                Some(handle) => handle,
                None => self.opened()?,
            };
            handle.lock(go_on)?;
            if handle.is_at(&self.options.path)? {
                if self.torn {
                    handle.write(b"\n", false).map_err(|short| short.error)?;
                    self.torn = false;
                }
                handle.end_torn_line()?;
                return Ok(handle);
            }
            if !go_on() {
                return Err(io::Error::other("it is being replaced again and again").into());
            }
        }
    }
}

#[cfg(test)]
mod tests;
