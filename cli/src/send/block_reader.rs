//! Reads the input on a thread of its own, so that an idle input does not delay a batch.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::mpsc::{Receiver, sync_channel},
    thread,
};

use jackfield::forward::CancellationToken;

/// Bytes of a read. As much as a pipe holds.
const BLOCK: usize = 64 * 1024;

/// Blocks that are read ahead.
const AHEAD: usize = 4;

/// An open input.
pub(super) struct BlockReader {
    reader: Box<dyn Read + Send>,
    /// Size in bytes, if it is a regular file.
    pub(super) size: Option<u64>,
}

impl BlockReader {
    /// Opens a file, or standard input for `-`.
    #[expect(
        clippy::disallowed_methods,
        reason = "what the user names as input, which may be a FIFO or a device"
    )]
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self { reader: Box::new(io::stdin()), size: None });
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        // A backend may append to the file that is read, so only the bytes that it holds now are sent. A file of /proc has no
        // size.
        let end = if metadata.is_file() && metadata.len() > 0 { metadata.len() } else { u64::MAX };
        Ok(Self { size: metadata.is_file().then_some(metadata.len()), reader: Box::new(file.take(end)) })
    }

    /// Reads blocks until the end, an error or `stop`. An error is the last item. Nobody waits for the thread that reads: it
    /// may hang in a read.
    pub(super) fn blocks(mut self, stop: CancellationToken) -> io::Result<Receiver<io::Result<Vec<u8>>>> {
        let (sender, receiver) = sync_channel(AHEAD);
        thread::Builder::new().name("jackfield-input".to_owned()).spawn(move || {
            while !stop.is_set() {
                let mut block = vec![0; BLOCK];
                let read = match self.reader.read(&mut block) {
                    Ok(0) => return,
                    Ok(len) => {
                        block.truncate(len);
                        Ok(block)
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let last = read.is_err();
                if sender.send(read).is_err() || last {
                    return;
                }
            }
        })?;
        Ok(receiver)
    }
}
