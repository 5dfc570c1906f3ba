//! A machine in memory: a file system that survives its processes, which die between any two operations, and a
//! scheduler that lets one of them do one operation at a time.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

use crate::spool::fs::{Entry, Facts, File, Folder, FolderError, Fs};

#[derive(Debug)]
pub(super) struct Machine {
    state: Mutex<State>,
    turn: Condvar,
}

#[derive(Debug)]
pub(super) struct State {
    rng: fastrand::Rng,
    pub(super) now_ms: u64,
    files: Vec<Inode>,
    folders: HashMap<PathBuf, usize>,
    contents: Vec<Contents>,
    processes: HashMap<u32, Process>,
    /// Who may act; all may when nobody is scheduled.
    scheduled: Vec<u32>,
    acting: u32,
    /// Whether the turn passes at every operation, and not only between the steps of a program.
    pub(super) fine: bool,
    handles: u64,
    /// Bytes that the disk still takes.
    pub(super) room: Option<u64>,
    pub(super) read_only: bool,
    /// Of 1000 operations so many fail, or write half.
    pub(super) errors: u32,
    pub(super) short_writes: u32,
}

#[derive(Debug, Default)]
struct Inode {
    bytes: Vec<u8>,
    linked: bool,
    /// Process and handle.
    lock: Option<(u32, u64)>,
}

#[derive(Debug, Default)]
struct Contents {
    files: BTreeMap<String, usize>,
    linked: bool,
}

#[derive(Debug, Default)]
struct Process {
    operations: u64,
    dies_at: Option<u64>,
    dead: bool,
}

/// How an operation is met by the death of its process.
enum Death {
    Before,
    After,
}

impl Machine {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        let state = State {
            rng: fastrand::Rng::with_seed(seed),
            now_ms: 1_800_000_000_000,
            files: Vec::new(),
            folders: HashMap::new(),
            contents: Vec::new(),
            processes: HashMap::new(),
            scheduled: Vec::new(),
            acting: 0,
            fine: true,
            handles: 0,
            room: None,
            read_only: false,
            errors: 0,
            short_writes: 0,
        };
        Arc::new(Self { state: Mutex::new(state), turn: Condvar::new() })
    }

    /// A new process, which dies at an operation.
    pub(super) fn process(self: &Arc<Self>, id: u32, dies_at: Option<u64>) -> Arc<dyn Fs> {
        self.state().processes.insert(id, Process { dies_at, ..Process::default() });
        Arc::new(View { machine: Arc::clone(self), id })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics in here")
    }

    pub(super) fn is_dead(&self, id: u32) -> bool {
        self.state().processes[&id].dead
    }

    pub(super) fn operations(&self, id: u32) -> u64 {
        self.state().processes[&id].operations
    }

    pub(super) fn kill(&self, id: u32) {
        self.state().kill(id);
    }

    pub(super) fn schedule(&self, ids: &[u32]) {
        let mut state = self.state();
        state.scheduled = ids.to_vec();
        state.pass_on();
    }

    /// Between two steps of a program.
    pub(super) fn step(&self, id: u32) {
        let mut state = self.wait(id);
        state.pass_on();
        self.turn.notify_all();
    }

    /// A program has ended, or its process is dead.
    pub(super) fn ended(&self, id: u32) {
        let mut state = self.wait(id);
        state.scheduled.retain(|other| *other != id);
        state.pass_on();
        self.turn.notify_all();
    }

    fn wait(&self, id: u32) -> MutexGuard<'_, State> {
        let state = self.state();
        self.turn
            .wait_while(state, |state| state.scheduled.contains(&id) && state.acting != id)
            .expect("no test panics in here")
    }

    /// One operation of a process.
    fn operate<T>(&self, id: u32, operation: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.wait(id);
        if state.fine {
            state.pass_on();
            self.turn.notify_all();
        }
        let dead = || io::Error::other("this process is dead");
        let process = state.processes.get_mut(&id).expect("a process of this machine");
        if process.dead {
            return Err(dead());
        }
        process.operations += 1;
        if process.dies_at == Some(process.operations) {
            if matches!(state.death(), Death::After) {
                _ = operation(&mut state);
            }
            state.kill(id);
            return Err(dead());
        }
        if state.errors > 0 && state.rng.u32(..1000) < state.errors {
            return Err(io::Error::other("injected"));
        }
        operation(&mut state)
    }
}

impl State {
    fn death(&mut self) -> Death {
        if self.rng.bool() { Death::Before } else { Death::After }
    }

    fn kill(&mut self, id: u32) {
        self.processes.get_mut(&id).expect("a process of this machine").dead = true;
        for file in &mut self.files {
            file.lock = file.lock.filter(|(process, _)| *process != id);
        }
    }

    fn pass_on(&mut self) {
        if let Some(next) = self.rng.choice(&self.scheduled) {
            self.acting = *next;
        }
    }

    fn writable(&self) -> io::Result<()> {
        if self.read_only { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }

    /// Deletes a folder and all in it, as `rm -rf` does.
    pub(super) fn delete_folder(&mut self, path: &Path) {
        if let Some(folder) = self.folders.remove(path) {
            self.contents[folder].linked = false;
            for (_, file) in std::mem::take(&mut self.contents[folder].files) {
                self.files[file].linked = false;
            }
        }
    }
}

#[derive(Debug)]
struct View {
    machine: Arc<Machine>,
    id: u32,
}

impl Fs for View {
    fn folder(&self, path: &Path, create: bool) -> Result<Arc<dyn Folder>, FolderError> {
        let opened = self.machine.operate(self.id, |state| {
            if let Some(folder) = state.folders.get(path) {
                return Ok(Some(*folder));
            }
            if !create {
                return Ok(None);
            }
            state.writable()?;
            state.contents.push(Contents { linked: true, ..Contents::default() });
            let folder = state.contents.len() - 1;
            state.folders.insert(path.to_owned(), folder);
            Ok(Some(folder))
        });
        let folder = opened.map_err(FolderError::Io)?.ok_or(FolderError::Missing)?;
        Ok(Arc::new(OpenFolder { machine: Arc::clone(&self.machine), process: self.id, folder }))
    }

    fn now_ms(&self) -> u64 {
        self.machine.state().now_ms
    }

    fn process(&self) -> u32 {
        self.id
    }

    fn random(&self) -> u32 {
        self.machine.state().rng.u32(..)
    }

    fn pause(&self) {
        _ = self.machine.operate(self.id, |_| Ok(()));
    }
}

#[derive(Debug)]
struct OpenFolder {
    machine: Arc<Machine>,
    process: u32,
    folder: usize,
}

impl OpenFolder {
    fn open_with(&self, name: &str, create: bool, exclusive: bool) -> io::Result<Box<dyn File>> {
        let (file, handle) = self.machine.operate(self.process, |state| {
            state.handles += 1;
            let contents = &state.contents[self.folder];
            if let Some(file) = contents.files.get(name) {
                return if exclusive {
                    Err(io::ErrorKind::AlreadyExists.into())
                } else {
                    Ok((*file, state.handles))
                };
            }
            if !create || !contents.linked {
                return Err(io::ErrorKind::NotFound.into());
            }
            state.writable()?;
            state.files.push(Inode { linked: true, ..Inode::default() });
            let file = state.files.len() - 1;
            state.contents[self.folder].files.insert(name.to_owned(), file);
            Ok((file, state.handles))
        })?;
        Ok(Box::new(OpenFile { machine: Arc::clone(&self.machine), process: self.process, handle, file }))
    }
}

impl Folder for OpenFolder {
    fn list(&self) -> io::Result<Vec<Entry>> {
        self.machine.operate(self.process, |state| {
            let files = &state.contents[self.folder].files;
            let entry =
                |(name, file): (&String, &usize)| Entry { name: name.clone(), len: state.files[*file].bytes.len() as u64 };
            Ok(files.iter().map(entry).collect())
        })
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.open_with(name, false, false)
    }

    fn open_or_create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.open_with(name, true, false)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.open_with(name, true, true)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.machine.operate(self.process, |state| {
            state.writable()?;
            let files = &mut state.contents[self.folder].files;
            let moved = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
            if let Some(replaced) = files.insert(to.to_owned(), moved) {
                state.files[replaced].linked = false;
            }
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.machine.operate(self.process, |state| {
            state.writable()?;
            let file = state.contents[self.folder].files.remove(name).ok_or(io::ErrorKind::NotFound)?;
            state.files[file].linked = false;
            if let Some(room) = &mut state.room {
                *room += state.files[file].bytes.len() as u64;
            }
            Ok(())
        })
    }
}

#[derive(Debug)]
struct OpenFile {
    machine: Arc<Machine>,
    process: u32,
    handle: u64,
    file: usize,
}

impl File for OpenFile {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        self.machine.operate(self.process, |state| {
            state.writable()?;
            let mut take = bytes.len();
            let process = &state.processes[&self.process];
            if process.dies_at == Some(process.operations)
                || state.short_writes > 0 && state.rng.u32(..1000) < state.short_writes
            {
                take = state.rng.usize(1..=take);
            }
            if let Some(room) = &mut state.room {
                take = take.min(usize::try_from(*room).unwrap_or(take));
                *room -= take as u64;
                if take == 0 {
                    return Err(io::ErrorKind::StorageFull.into());
                }
            }
            state.files[self.file].bytes.extend_from_slice(&bytes[..take]);
            Ok(take)
        })
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.machine.operate(self.process, |state| {
            let bytes = &state.files[self.file].bytes;
            let start = usize::try_from(offset).expect("small files").min(bytes.len());
            let len = buffer.len().min(bytes.len() - start);
            buffer[..len].copy_from_slice(&bytes[start..start + len]);
            Ok(len)
        })
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.machine.operate(self.process, |state| {
            state.writable()?;
            let bytes = &mut state.files[self.file].bytes;
            let freed = bytes.len() as u64 - len;
            bytes.truncate(usize::try_from(len).expect("small files"));
            if let Some(room) = &mut state.room {
                *room += freed;
            }
            Ok(())
        })
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.machine.operate(self.process, |state| {
            let lock = &mut state.files[self.file].lock;
            Ok(*lock.get_or_insert((self.process, self.handle)) == (self.process, self.handle))
        })
    }

    fn unlock(&self) -> io::Result<()> {
        self.machine.operate(self.process, |state| {
            let lock = &mut state.files[self.file].lock;
            *lock = lock.filter(|held| *held != (self.process, self.handle));
            Ok(())
        })
    }

    fn facts(&self) -> io::Result<Facts> {
        // Never an injected error: on a local disk there is none.
        let state = self.machine.state();
        let file = &state.files[self.file];
        Ok(Facts { len: file.bytes.len() as u64, linked: file.linked })
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if let Ok(mut state) = self.machine.state.lock() {
            let lock = &mut state.files[self.file].lock;
            *lock = lock.filter(|held| *held != (self.process, self.handle));
        }
    }
}
