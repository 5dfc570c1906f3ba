//! Windows: the open file. Owners and access lists are not looked at.

use std::{
    fs::{self, File},
    path::Path,
};

use crate::{ImageError, image};

/// An open file.
pub(crate) struct Handles {
    pub(crate) file: File,
}

/// Opens `real`, a path without links.
pub(crate) fn open(real: &Path) -> Result<Handles, ImageError> {
    let before = fs::symlink_metadata(real).map_err(ImageError::io("examine"))?;
    if !before.is_file() {
        return Err(ImageError::NotAFile { found: image::kind(before.file_type()) });
    }
    Ok(Handles { file: File::open(real).map_err(ImageError::io("open"))? })
}
