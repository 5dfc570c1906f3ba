//! Where links lead, for who replaces a file.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    error::FileError,
    judge::{Owner, judge_link},
};
use crate::boundary::text;

/// How many links lead from one to the next at most, as the kernel has it.
pub(crate) const MOST_LINKS: usize = 40;

/// Where links lead to from `file`, whether or not anything is there: for who replaces a file, which would replace the link
/// else, and leave what others read through it.
///
/// # Errors
/// [`FileError::Untrusted`] for a link of another user, who would choose what is overwritten; links without end.
pub fn behind_links(file: &Path) -> Result<PathBuf, FileError> {
    let mut place = file.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(target) = fs::read_link(&place) else { return Ok(place) };
        judge_link(&fs::symlink_metadata(&place)?, Owner::UserOrRoot).map_err(|reason| {
            FileError::Untrusted { what: format!("the link {}", text::show(&place)), reason }
        })?;
        place = place.parent().unwrap_or(Path::new(".")).join(target);
    }
    Err(io::Error::other("a link that leads to itself, or too many links").into())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_writer_finds_what_is_behind_links_whether_or_not_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        symlink("second", at("first")).unwrap();
        symlink(at("file"), at("second")).unwrap();
        symlink("loop", at("loop")).unwrap();
        for name in ["first", "second", "file"] {
            assert_eq!(behind_links(&at(name)).unwrap(), at("file"));
        }
        assert!(behind_links(&at("loop")).unwrap_err().to_string().contains("leads to itself"));
    }
}
