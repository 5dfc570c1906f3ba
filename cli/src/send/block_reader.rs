//! Reads the input on a thread of its own, so that an idle input does not delay a batch.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::mpsc::{Receiver, sync_channel},
    thread,
};
#[cfg(unix)]
use std::{
    os::fd::{AsFd as _, OwnedFd},
    time::Duration,
};

use jackfield::forward::CancellationToken;

use crate::gzip;

/// Bytes of a read: the usual size of a pipe.
const BLOCK: usize = 64 * 1024;

/// Blocks that are read ahead.
const AHEAD: usize = 4;

/// The time in which a wait for input notices a request to stop: a flag, which no wait of the system ends for.
#[cfg(unix)]
const TICK: Duration = Duration::from_millis(50);

/// An open input.
///
/// # Platform
/// On Unix the wait for input does not read, so that no read begins after `stop`, whose bytes would be lost.
/// Elsewhere a read may hang.
pub(super) struct BlockReader {
    reader: Box<dyn Read + Send>,
    #[cfg(unix)]
    handle: OwnedFd,
    /// Whether it is a regular file, which can be read again.
    pub(super) is_file: bool,
    /// The number of bytes that will be read, if it is known.
    pub(super) size: Option<u64>,
}

impl BlockReader {
    /// Opens a file, which gzip may have compressed, or standard input for `-`.
    #[expect(
        clippy::disallowed_methods,
        reason = "what the user names as input, which may be a FIFO or a device"
    )]
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self {
                #[cfg(unix)]
                handle: io::stdin().as_fd().try_clone_to_owned()?,
                reader: Box::new(io::stdin()),
                is_file: false,
                size: None,
            });
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        let is_file = metadata.is_file();
        let is_compressed = is_file && gzip::is_compressed(&file)?;
        // A backend may append to this file, so only its present bytes are sent. A file of /proc has size 0.
        let end = if is_file && metadata.len() > 0 { metadata.len() } else { u64::MAX };
        Ok(Self {
            #[cfg(unix)]
            handle: file.as_fd().try_clone_to_owned()?,
            is_file,
            size: (is_file && !is_compressed).then_some(metadata.len()),
            reader: if is_compressed {
                Box::new(gzip::decompressed(file.take(end)))
            } else {
                Box::new(file.take(end))
            },
        })
    }

    /// Reads blocks until the end, an error or `stop`. An error is the last item. The wait for the reading
    /// thread is short, because that thread may hang in a read.
    pub(super) fn blocks(mut self, stop: CancellationToken) -> io::Result<Receiver<io::Result<Vec<u8>>>> {
        let (sender, receiver) = sync_channel(AHEAD);
        thread::Builder::new().name("jackfield-input".to_owned()).spawn(move || {
            while self.waits_for_input(&stop) {
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

    /// Waits until a read does not have to wait; `false` when `stop` is set first.
    #[cfg(unix)]
    fn waits_for_input(&self, stop: &CancellationToken) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let tick = Timespec { tv_sec: 0, tv_nsec: TICK.subsec_nanos().into() };
        while !stop.is_set() {
            // An input that can't be polled is read at once.
            if !matches!(poll(&mut [PollFd::new(&self.handle, PollFlags::IN)], Some(&tick)), Ok(0)) {
                return !stop.is_set();
            }
        }
        false
    }

    #[cfg(not(unix))]
    fn waits_for_input(&self, stop: &CancellationToken) -> bool {
        !stop.is_set()
    }
}
