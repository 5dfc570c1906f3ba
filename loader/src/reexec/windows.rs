//! The parent's side on Windows: starts a child in a job, and waits for its end.

use std::ffi::{OsStr, OsString, c_void};
use std::fs::{File, OpenOptions};
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::io::{AsHandle, AsRawHandle as _, BorrowedHandle, FromRawHandle as _, OwnedHandle};
use std::path::Path;
use std::time::{Duration, Instant};
use std::{io, ptr};

use windows_sys::Win32::Foundation::{
    DUPLICATE_SAME_ACCESS, HANDLE, HANDLE_FLAG_INHERIT, SetHandleInformation, TRUE, WAIT_OBJECT_0,
};
use windows_sys::Win32::System::JobObjects::{
    JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
};
use windows_sys::Win32::System::Threading::{
    BELOW_NORMAL_PRIORITY_CLASS, CREATE_BREAKAWAY_FROM_JOB, CREATE_NO_WINDOW, CREATE_SUSPENDED,
    CREATE_UNICODE_ENVIRONMENT, CreateProcessW, DETACHED_PROCESS, DeleteProcThreadAttributeList,
    EXTENDED_STARTUPINFO_PRESENT, GetExitCodeProcess, InitializeProcThreadAttributeList,
    PROC_THREAD_ATTRIBUTE_HANDLE_LIST, PROCESS_INFORMATION, ResumeThread, STARTF_USESTDHANDLES,
    STARTUPINFOEXW, TerminateProcess, UpdateProcThreadAttribute, WaitForSingleObject,
};

use super::spawn::{Ended, MARK, MOST_FILES, Spawn};
use crate::boundary::handles::{check, copy, milliseconds};
use crate::boundary::job::Job;

/// The exit code of a process that its parent ends.
const KILLED: u32 = 1;

/// The start of an error of the system as an exit code: severity 2 or 3, and nobody's own number.
const EXCEPTIONS: [u32; 2] = [0x8, 0xC];

impl Spawn {
    /// Starts the child, and closes its files here.
    ///
    /// # Errors
    /// `Unsupported`, with the line to add, if the program can't be started again; `PermissionDenied` if others than root
    /// and the user could have written a named program.
    pub fn start(self) -> io::Result<Child> {
        self.judge_program()?;
        let program = self.program.path()?;
        let files: Vec<_> = self.files.iter().map(inheritable).collect::<Result<_, _>>()?;
        let null = null_device()?;
        let or_null = |file: &Option<File>| {
            inheritable(file.as_ref().map_or_else(|| null.as_handle(), File::as_handle))
        };
        let standard = [inheritable(&null)?, or_null(&self.stdout)?, or_null(&self.stderr)?];
        let numbers: Vec<_> = files.iter().map(|file| (file.as_raw_handle() as usize).to_string()).collect();
        let words = [std::process::id().to_string()].into_iter().chain(numbers).collect::<Vec<_>>().join(",");
        let mut line = command_line(&program, &[&[MARK, self.job].concat(), &words, &self.title]);
        let environment = self.environment.as_deref().map(environment);
        let inherited: Vec<_> = standard.iter().chain(&files).map(OwnedHandle::as_raw_handle).collect();
        let attributes = Attributes::inheriting(&inherited)?;
        let job = if self.outlives { None } else { Some(job()?) };

        let mut startup = STARTUPINFOEXW::default();
        startup.StartupInfo.cb = size_of::<STARTUPINFOEXW>() as u32;
        startup.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
        startup.StartupInfo.hStdInput = standard[0].as_raw_handle();
        startup.StartupInfo.hStdOutput = standard[1].as_raw_handle();
        startup.StartupInfo.hStdError = standard[2].as_raw_handle();
        startup.lpAttributeList = attributes.list();
        // It runs nothing before it is in its job.
        let flags = match &job {
            Some(_) => CREATE_NO_WINDOW | CREATE_SUSPENDED,
            None => DETACHED_PROCESS | BELOW_NORMAL_PRIORITY_CLASS,
        };
        let mut new = PROCESS_INFORMATION::default();
        let mut create = |flags| {
            // SAFETY: the texts end with null, the line may be changed, and all live until the call returns.
            check(unsafe {
                CreateProcessW(
                    wide(&program).as_ptr(),
                    line.as_mut_ptr(),
                    ptr::null(),
                    ptr::null(),
                    TRUE,
                    flags | CREATE_UNICODE_ENVIRONMENT | EXTENDED_STARTUPINFO_PRESENT,
                    environment.as_ref().map_or(ptr::null(), |block| block.as_ptr().cast()),
                    ptr::null(),
                    (&raw const startup).cast(),
                    &raw mut new,
                )
            })
        };
        match create(if job.is_none() { flags | CREATE_BREAKAWAY_FROM_JOB } else { flags }) {
            // The job of this process lets none leave it.
            Err(error) if job.is_none() && error.kind() == io::ErrorKind::PermissionDenied => create(flags)?,
            created => created?,
        }
        // SAFETY: the call has made both, for this process.
        let (process, thread) = unsafe {
            (OwnedHandle::from_raw_handle(new.hProcess), OwnedHandle::from_raw_handle(new.hThread))
        };
        if let Some(job) = &job {
            let begun = job.add(process.as_handle()).and_then(|()| {
                // SAFETY: the handle is open.
                match unsafe { ResumeThread(thread.as_raw_handle()) } {
                    u32::MAX => Err(io::Error::last_os_error()),
                    _ => Ok(()),
                }
            });
            if let Err(error) = begun {
                // SAFETY: the handle is open.
                unsafe { TerminateProcess(process.as_raw_handle(), KILLED) };
                return Err(error);
            }
        }
        Ok(Child { process, job, id: new.dwProcessId })
    }
}

/// In a child, takes the files whose numbers are in `word`, behind that of the parent, and returns both. It has no others.
pub(super) fn take(word: &str, _job: &str) -> Option<(Vec<OwnedHandle>, u32)> {
    let mut numbers = word.split(',');
    let parent = numbers.next()?.parse().ok()?;
    let files: Vec<usize> = numbers.map(|number| number.parse().ok()).collect::<Option<_>>()?;
    let is_open = |number: &usize| {
        // SAFETY: the call fails if the number is not that of a handle.
        *number != 0 && unsafe { SetHandleInformation(*number as HANDLE, HANDLE_FLAG_INHERIT, 0) } != 0
    };
    if files.len() > MOST_FILES || !files.iter().all(is_open) {
        return None;
    }
    // SAFETY: they are open, and `init` requires that no other code of this process has them.
    let files = files.into_iter().map(|file| unsafe { OwnedHandle::from_raw_handle(file as HANDLE) });
    Some((files.collect(), parent))
}

/// A child that was started. Dropping the value ends it, unless it outlives this process.
#[derive(Debug)]
pub struct Child {
    process: OwnedHandle,
    job: Option<Job>,
    id: u32,
}

impl Child {
    pub(crate) fn process(&self) -> BorrowedHandle<'_> {
        self.process.as_handle()
    }

    /// The number of the process.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Kills the child and every process that it has started. Of one that outlives this process, the child alone.
    pub fn kill(&self) {
        match &self.job {
            Some(job) => job.end(KILLED),
            // SAFETY: the handle is open.
            None => drop(unsafe { TerminateProcess(self.process.as_raw_handle(), KILLED) }),
        }
    }

    /// As [`kill`](Self::kill): nothing leaves the job.
    pub(crate) fn kill_tree(&self) {
        self.kill();
    }

    /// Waits for the end of the child, at most for `within`.
    #[must_use]
    pub fn wait(&self, within: Duration) -> Option<Ended> {
        let start = Instant::now();
        loop {
            let left = within.saturating_sub(start.elapsed());
            // SAFETY: the handle is open.
            match unsafe { WaitForSingleObject(self.process.as_raw_handle(), milliseconds(left)) } {
                WAIT_OBJECT_0 => return Some(self.how()),
                _ if left.is_zero() => return None,
                _ => {}
            }
        }
    }

    /// The system keeps nothing of a child that nobody waits for.
    ///
    /// # Errors
    /// None.
    pub fn reap(self) -> io::Result<()> {
        drop(self);
        Ok(())
    }

    /// How the child, which has ended, did so.
    fn how(&self) -> Ended {
        let mut code = 0;
        // SAFETY: the handle is open, and the number can be written.
        if unsafe { GetExitCodeProcess(self.process.as_raw_handle(), &raw mut code) } == 0 {
            return Ended::Unknown;
        }
        if EXCEPTIONS.contains(&(code >> 28)) {
            Ended::Exception(code)
        } else {
            Ended::Code(code.cast_signed())
        }
    }
}

/// The job of a child: it ends its processes when this process closes it or ends, and no dialog box follows a crash.
fn job() -> io::Result<Job> {
    let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    limits.BasicLimitInformation.LimitFlags =
        JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION;
    Job::new(&limits)
}

/// There are none outside the jobs of children.
pub const fn adopt_orphans() {}

/// Each ends with the job of its child.
pub const fn kill_descendants() {}

/// The system does not list the processes of another process's job.
#[must_use]
pub const fn processes_beside() -> Vec<u32> {
    Vec::new()
}

/// As [`processes_beside`].
#[must_use]
pub const fn processes_below() -> Vec<u32> {
    Vec::new()
}

/// The attributes of a new process: the handles that it inherits, and no others.
struct Attributes<'a> {
    // Aligned for pointers.
    list: Vec<usize>,
    _handles: &'a [HANDLE],
}

impl<'a> Attributes<'a> {
    fn inheriting(handles: &'a [HANDLE]) -> io::Result<Self> {
        let mut size = 0;
        // SAFETY: without a list the call only tells its size.
        unsafe { InitializeProcThreadAttributeList(ptr::null_mut(), 1, 0, &raw mut size) };
        let mut list = vec![0_usize; size.div_ceil(size_of::<usize>())];
        // SAFETY: the list has this size.
        check(unsafe { InitializeProcThreadAttributeList(list.as_mut_ptr().cast(), 1, 0, &raw mut size) })?;
        let new = Self { list, _handles: handles };
        // SAFETY: the list was made above, and the handles live as long as it.
        check(unsafe {
            UpdateProcThreadAttribute(
                new.list(),
                0,
                PROC_THREAD_ATTRIBUTE_HANDLE_LIST as usize,
                handles.as_ptr().cast(),
                size_of_val(handles),
                ptr::null_mut(),
                ptr::null(),
            )
        })?;
        Ok(new)
    }

    fn list(&self) -> *mut c_void {
        self.list.as_ptr().cast_mut().cast()
    }
}

impl Drop for Attributes<'_> {
    fn drop(&mut self) {
        // SAFETY: made once, deleted once.
        unsafe { DeleteProcThreadAttributeList(self.list()) };
    }
}

/// A copy of a handle that a child may inherit.
fn inheritable(handle: impl AsHandle) -> io::Result<OwnedHandle> {
    copy(handle.as_handle(), 0, true, DUPLICATE_SAME_ACCESS)
}

/// The line from which a program takes its arguments. What would need an escape in the words becomes a space.
fn command_line(program: &Path, words: &[&str]) -> Vec<u16> {
    let mut line = OsString::from("\"");
    line.push(program);
    line.push("\"");
    for word in words {
        line.push(" \"");
        line.push(word.replace(['"', '\\', '\0'], " "));
        line.push("\"");
    }
    wide(line)
}

/// A block of variables, in the order that Windows wants.
fn environment(variables: &[(OsString, OsString)]) -> Vec<u16> {
    let mut variables: Vec<_> = variables.iter().collect();
    variables.sort_by_key(|(name, _)| name.to_ascii_uppercase());
    let block = variables.into_iter().flat_map(|(name, value)| {
        name.encode_wide().chain([u16::from(b'=')]).chain(value.encode_wide()).chain([0])
    });
    block.chain([0, 0]).collect()
}

fn wide(text: impl AsRef<OsStr>) -> Vec<u16> {
    text.as_ref().encode_wide().chain([0]).collect()
}

#[expect(clippy::disallowed_methods, reason = "a device, and no file that anybody could have written")]
fn null_device() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("NUL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_of_a_command_line_ends_early() {
        let line = command_line(Path::new(r"C:\a b\x.exe"), &["jackfield:child", r#"a" b\"#]);
        let said = String::from_utf16(&line).unwrap();
        assert_eq!(said, "\"C:\\a b\\x.exe\" \"jackfield:child\" \"a  b \"\0");
    }

    #[test]
    fn numbers_that_are_no_files_are_not_taken() {
        for word in ["", "1", "1,", "1,x", "1,0", "1,4294967292"] {
            assert_eq!(take(word, "x").is_some(), word == "1", "{word:?}");
        }
    }
}
