//! A machine that is busy.

use std::process::{Child, Command};

/// Processes that never wait, which end with this value.
pub struct Load(Vec<Child>);

impl Load {
    /// Starts so many of them.
    ///
    /// # Panics
    /// When there is no `sh`.
    #[must_use]
    pub fn start(processes: usize) -> Self {
        let busy = |_| Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("sh");
        Self((0..processes).map(busy).collect())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for busy in &mut self.0 {
            let _ = busy.kill();
            let _ = busy.wait();
        }
    }
}
