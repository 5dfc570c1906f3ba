//! The stages in order: each type is a plugin that has come so far.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{
    Error, InspectError, Inspection, Isolation, Layout, Metadata, Policy, Refusal,
    check::{Checked, PluginTables},
    image::Image,
    inspect::inspect_bytes,
    os::Content,
    registry, verify,
};

/// What `path` is and says of itself, on whatever platform it is for. Nothing of it runs.
///
/// # Errors
/// [`Error::Inspect`]: the file can't be read, is no dynamic library, or carries no valid metadata. A plugin that this
/// host would not load is no error here: see [`Inspection::verdict`].
pub fn inspect(path: &Path) -> Result<Inspection, Error> {
    Candidate::open(path).map(|candidate| candidate.inspection)
}

/// A file that was read and inspected. What follows concerns the bytes that were read, whatever becomes of the file.
pub struct Candidate {
    path: PathBuf,
    image: Image,
    inspection: Inspection,
}

impl Candidate {
    /// Reads and inspects a file.
    ///
    /// # Errors
    /// As [`inspect`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let error = |source| Error::Inspect { path: path.to_owned(), source };
        let image = Image::open(path).map_err(error)?;
        let inspection = inspect_bytes(image.content.bytes()).map_err(error)?;
        Ok(Self { path: path.to_owned(), image, inspection })
    }

    /// What was found.
    #[must_use]
    pub fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    /// The bytes that were read.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.image.content.bytes()
    }

    /// Whether a policy, or a bare [`Trust`](crate::Trust), allows the file, by the handles that were opened and the bytes
    /// that were read. A signature is read from beside the file now.
    ///
    /// # Errors
    /// [`Error::Verify`].
    pub fn allowed_by(&self, policy: impl Into<Policy>) -> Result<(), Error> {
        verify::verify(&self.path, &self.image, &self.inspection.metadata, &policy.into())
            .map_err(|source| Error::Verify { path: self.path.clone(), source })
    }

    /// Requires that this host can load the plugin and that `policy` allows it.
    ///
    /// # Errors
    /// [`Error::Inspect`] with the verdict, or [`Error::Verify`].
    pub fn verify(self, policy: impl Into<Policy>) -> Result<Verified, Error> {
        let verdict = self.inspection.verdict();
        self.accept(verdict, policy)
    }

    /// Requires that this host can load the plugin with that isolation and that `policy` allows it.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_for(self, isolation: &Isolation, policy: impl Into<Policy>) -> Result<Verified, Error> {
        let verdict = match isolation {
            Isolation::Thread => self.inspection.verdict(),
            Isolation::Process(_) => self.inspection.verdict_in_process(),
        };
        self.accept(verdict, policy)
    }

    fn accept(self, verdict: Result<(), Refusal>, policy: impl Into<Policy>) -> Result<Verified, Error> {
        verdict.map_err(|refusal| Error::Inspect {
            path: self.path.clone(),
            source: InspectError::Refused(refusal),
        })?;
        self.allowed_by(policy)?;
        Ok(Verified(self))
    }
}

/// A file that this host can load and may load.
pub struct Verified(Candidate);

impl Verified {
    /// Loads the bytes that were verified, once a process, and checks what they export. Runs the library's static
    /// constructors, on a thread of their own, and none of the backend's functions. Waits for them at most for 30 s.
    ///
    /// # Errors
    /// As [`load_within`](Self::load_within).
    pub fn load(self) -> Result<Plugin, Error> {
        self.load_within(registry::LOAD_TIMEOUT)
    }

    /// [`load`](Self::load) with another limit.
    ///
    /// # Errors
    /// [`Error::Load`], [`Error::Check`]. When the constructors have not returned by then, [`LoadError::Hangs`]; and as
    /// long as they have not, [`LoadError::Blocked`] for each further library that is not loaded yet, because the dynamic
    /// loader loads one at a time.
    ///
    /// [`LoadError::Hangs`]: crate::LoadError::Hangs
    /// [`LoadError::Blocked`]: crate::LoadError::Blocked
    pub fn load_within(&self, limit: Duration) -> Result<Plugin, Error> {
        let Candidate { path, image, inspection } = &self.0;
        // One that was accepted for a process of its own is not one for this process.
        inspection.verdict().map_err(|refusal| Error::Inspect {
            path: path.clone(),
            source: InspectError::Refused(refusal),
        })?;
        let loaded = registry::load(&image.content, &inspection.needed, path, limit)
            .map_err(|source| Error::Load { path: path.clone(), source })?;
        let checked =
            loaded.check(inspection).map_err(|source| Error::Check { path: path.clone(), source })?;
        Ok(Plugin(Arc::new(Inner { path: path.clone(), metadata: inspection.metadata.clone(), checked })))
    }

    /// Where it was found.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// What it says of itself.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.0.inspection.metadata
    }

    /// The bytes that were verified.
    pub(crate) fn content(&self) -> &Arc<Content> {
        &self.0.image.content
    }
}

/// A plugin that is loaded and checked, until the process ends. A clone is the same plugin.
#[derive(Clone)]
pub struct Plugin(Arc<Inner>);

struct Inner {
    path: PathBuf,
    metadata: Metadata,
    checked: &'static Checked,
}

impl Plugin {
    /// Takes a file through all stages.
    ///
    /// # Errors
    /// [`Error::Inspect`], [`Error::Verify`], [`Error::Load`], [`Error::Check`]: in this order.
    pub fn load(path: &Path, policy: impl Into<Policy>) -> Result<Self, Error> {
        Candidate::open(path)?.verify(policy)?.load()
    }

    /// The file that it was loaded from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// What it says of itself.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// How its tables were compared with the host's.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.0.checked.layout
    }

    /// The plugin's functions.
    pub(crate) fn tables(&self) -> PluginTables {
        self.0.checked.tables
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("path", &self.0.path)
            .field("name", &self.0.metadata.name)
            .field("version", &self.0.metadata.version)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate").field("path", &self.path).finish_non_exhaustive()
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("path", &self.0.path).finish_non_exhaustive()
    }
}
