//! A plugin on its way from a file, or from this program, to callable functions. Each stage is a type.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::guard::error::{CloseError, OpenError, Stage};
use crate::guard::options::Isolation;
use crate::inspect::error::{InspectError, Refusal};
use crate::inspect::inspection::Inspection;
use crate::inspect::metadata::Metadata;
use crate::inspect::{inspect_built_in, inspect_bytes, inspect_file};
use crate::library::built_in::BuiltInPlugin;
use crate::library::content::{Content, Digest};
use crate::library::file::LibraryFile;
use crate::library::find::{self, FindError};
use crate::library::location::Location;
use crate::load::check::{CheckError, Checked, Layout};
use crate::load::dlopen::LoadError;
use crate::load::loaded_libraries;
use crate::load::tables::PluginTables;
use crate::verify::error::VerifyError;
use crate::verify::policy::{self, Policy};
use crate::verify::signature::PublicKey;
use crate::verify::trust::Trust;

/// Why a plugin or its backend failed. The `Display` is one complete line, so there is no `source`: stage,
/// file, what was found and expected, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no file for a plugin's name.
    #[error("find: {0}")]
    Find(FindError),
    /// The file is no plugin, or not one for this host. None of its code has run.
    #[error("inspect: {plugin}: {reason}")]
    Inspect {
        /// Where the plugin is.
        plugin: Location,
        /// Why.
        reason: InspectError,
    },
    /// The trust policy refuses the file or its folder. None of its code has run.
    #[error("verify: {reason}")]
    Verify {
        /// Where the plugin is.
        plugin: Location,
        /// Why.
        reason: VerifyError,
    },
    /// The dynamic linker refuses the file.
    #[error("load: {plugin}: {reason}")]
    Load {
        /// Where the plugin is.
        plugin: Location,
        /// Why.
        reason: LoadError,
    },
    /// The tables of the loaded library are invalid. Its static constructors have run, none of its functions.
    #[error("check: {plugin}: {reason}")]
    Check {
        /// Where the plugin is.
        plugin: Location,
        /// Why.
        reason: CheckError,
    },
    /// The plugin's backend does not open.
    #[error("open: {0}")]
    Open(OpenError),
    /// The backend is closed, but it may not have flushed or freed everything.
    #[error("close: {0}")]
    Close(CloseError),
}

impl Error {
    /// The stage that failed.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Self::Find(_) => Stage::Find,
            Self::Inspect { .. } => Stage::Inspect,
            Self::Verify { .. } => Stage::Verify,
            Self::Load { .. } => Stage::Load,
            Self::Check { .. } => Stage::Check,
            Self::Open(_) => Stage::Open,
            Self::Close(_) => Stage::Close,
        }
    }
}

/// Finds `plugin`, a name on `search_path`, or a path. The last place of every search path are the plugins that are
/// [built in](crate::add_built_in).
///
/// A text with a separator or with the ending of a library (`.so`, `.so.1`, `.dylib`, `.dll`) is a path. For
/// a name, the file is `lib{name}.so` or `{name}.so` on Linux, `{name}.dll` or `lib{name}.dll` on Windows,
/// `lib{name}.dylib`, `{name}.dylib` or as on Linux on macOS, also with `_` for `-`. Relative paths are
/// relative to `base`, the folder of the configuration file. `~/` is the home folder.
///
/// # Errors
/// [`Error::Find`], which names the folders and the most similar plugin.
pub fn find(plugin: &str, search_path: &[PathBuf], base: &Path) -> Result<Location, Error> {
    find::find(plugin, search_path, base).map_err(Error::Find)
}

/// Inspects a plugin: a file, for any platform, or one that is built in. No code of it runs.
///
/// # Errors
/// [`Error::Inspect`]: the file can't be read, is no dynamic library, or has no valid metadata. Whether this
/// host would load it says [`Inspection::verdict`].
pub fn inspect(plugin: impl Into<Location>) -> Result<Inspection, Error> {
    Candidate::open(plugin).map(|candidate| candidate.inspection)
}

/// A plugin that was inspected. What is read of a file for that are headers, symbols and metadata.
///
/// The whole file is copied when its bytes are needed first. From then on nothing can change them, and all later
/// stages use the copy, whose inspection must have the same result. The bytes of a plugin that is built in are its metadata.
pub struct Candidate {
    location: Location,
    code: Code,
    inspection: Inspection,
    content: OnceLock<Arc<Content>>,
}

/// Where the bytes of a candidate come from.
enum Code {
    File(LibraryFile),
    BuiltIn(BuiltInPlugin),
}

impl Candidate {
    /// Opens and inspects a plugin.
    ///
    /// # Errors
    /// As [`inspect`].
    pub fn open(plugin: impl Into<Location>) -> Result<Self, Error> {
        let location = plugin.into();
        let error = |reason| Error::Inspect { plugin: location.clone(), reason };
        let (code, inspection) = match &location {
            Location::File(path) => {
                let file = LibraryFile::open(path).map_err(|reason| error(reason.into()))?;
                let inspection = inspect_file(&file.handles.file, file.size).map_err(error)?;
                (Code::File(file), inspection)
            }
            Location::BuiltIn(plugin) => {
                (Code::BuiltIn(*plugin), inspect_built_in(plugin.metadata()).map_err(error)?)
            }
        };
        Ok(Self { location, code, inspection, content: OnceLock::new() })
    }

    /// The result of the inspection.
    #[must_use]
    pub fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    /// The bytes, which are copied by the first call.
    ///
    /// # Errors
    /// [`Error::Inspect`]: the file can't be read, or was changed since it was inspected.
    pub fn bytes(&self) -> Result<&[u8], Error> {
        Ok(self.content()?.bytes())
    }

    /// SHA-256 of these bytes, computed once.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub fn digest(&self) -> Result<Digest, Error> {
        Ok(self.content()?.digest())
    }

    pub(crate) fn content(&self) -> Result<&Arc<Content>, Error> {
        if let Some(content) = self.content.get() {
            return Ok(content);
        }
        let content =
            self.copy().map_err(|reason| Error::Inspect { plugin: self.location.clone(), reason })?;
        Ok(self.content.get_or_init(|| Arc::new(content)))
    }

    fn copy(&self) -> Result<Content, InspectError> {
        let file = match &self.code {
            Code::File(file) => file,
            Code::BuiltIn(plugin) => return Ok(Content::built_in(*plugin)),
        };
        let content = file.copy()?;
        let inspection = inspect_bytes(content.bytes())?;
        if inspection.agrees_with(&self.inspection) { Ok(content) } else { Err(InspectError::Changed) }
    }

    /// Whether a policy or a bare [`Trust`] allows the file. A policy that requires a pin or a signature judges
    /// the bytes, and reads a signature beside the file. Every policy allows what is built in, because it is a part of the
    /// program that asks.
    ///
    /// # Errors
    /// [`Error::Verify`], and [`Error::Inspect`] as for [`bytes`](Self::bytes).
    pub fn allowed_by(&self, policy: impl Into<Policy>) -> Result<(), Error> {
        self.judge(&policy.into()).map(drop)
    }

    /// As [`allowed_by`](Self::allowed_by), for what the policy requires of the owner and the folders of the file.
    /// Reads no bytes.
    ///
    /// # Errors
    /// [`Error::Verify`].
    pub fn place_allowed_by(&self, policy: impl Into<Policy>) -> Result<(), Error> {
        let Some(file) = self.file() else { return Ok(()) };
        policy::verify_place(&file.handles, &policy.into()).map_err(|reason| self.distrusted(reason))
    }

    fn judge(&self, policy: &Policy) -> Result<Option<PublicKey>, Error> {
        self.place_allowed_by(policy)?;
        let Some(file) = self.file().filter(|_| policy.judges_content()) else { return Ok(None) };
        let (metadata, content) = (&self.inspection.metadata, self.content()?);
        policy::verify_content(&file.path, &file.handles, metadata, content, policy)
            .map_err(|reason| self.distrusted(reason))
    }

    /// The open file; `None` for a plugin that is built in.
    fn file(&self) -> Option<&LibraryFile> {
        match &self.code {
            Code::File(file) => Some(file),
            Code::BuiltIn(_) => None,
        }
    }

    fn distrusted(&self, reason: VerifyError) -> Error {
        Error::Verify { plugin: self.location.clone(), reason }
    }

    /// Requires that this host can load the plugin and that `policy` allows it.
    ///
    /// # Errors
    /// [`Error::Inspect`] with the verdict, or [`Error::Verify`].
    pub fn verify(self, policy: impl Into<Policy>) -> Result<Verified, Error> {
        let verdict = self.inspection.verdict();
        self.accept(verdict, policy)
    }

    /// As [`verify`](Self::verify), for a plugin with that isolation.
    pub fn verify_for(self, isolation: &Isolation, policy: impl Into<Policy>) -> Result<Verified, Error> {
        let verdict = self.verdict(isolation);
        self.accept(verdict, policy)
    }

    /// Whether this host can load the plugin with that isolation. Trust is another question.
    ///
    /// # Errors
    /// [`Error::Inspect`] with the verdict.
    pub fn fits(&self, isolation: &Isolation) -> Result<(), Error> {
        require(&self.location, self.verdict(isolation))
    }

    fn verdict(&self, isolation: &Isolation) -> Result<(), Refusal> {
        match isolation.process_of(&self.inspection.metadata) {
            None => self.inspection.verdict(),
            Some(_) => self.inspection.verdict_in_process(),
        }
    }

    /// Where it was found.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    fn accept(self, verdict: Result<(), Refusal>, policy: impl Into<Policy>) -> Result<Verified, Error> {
        require(&self.location, verdict)?;
        let signer = self.judge(&policy.into())?;
        let content = Arc::clone(self.content()?);
        let Self { location, inspection, .. } = self;
        Ok(Verified(Accepted { location, inspection, content, signer }))
    }
}

fn require(plugin: &Location, verdict: Result<(), Refusal>) -> Result<(), Error> {
    verdict.map_err(|refusal| Error::Inspect { plugin: plugin.clone(), reason: refusal.into() })
}

/// A plugin that this host can load and that the policy allows.
pub struct Verified(Accepted);

/// The facts of a verified plugin.
#[derive(Clone)]
struct Accepted {
    location: Location,
    inspection: Inspection,
    content: Arc<Content>,
    /// The key of the accepted signature, if one was required.
    signer: Option<PublicKey>,
}

impl Accepted {
    fn is_of(&self, candidate: &Candidate) -> bool {
        match &candidate.code {
            Code::File(file) => file.has(self.content.bytes()),
            Code::BuiltIn(plugin) => plugin.metadata() == self.content.bytes(),
        }
    }

    fn still_allowed_by(&self, policy: &Policy) -> Result<(), Error> {
        let Self { location, inspection, content, signer } = self;
        let refused = |reason| Err(Error::Verify { plugin: location.clone(), reason });
        // No policy judges what is built in, and this policy requires nothing.
        let Some(path) = location.file().filter(|_| policy.trust() != Trust::Any) else { return Ok(()) };
        let now = Candidate::open(path).ok().filter(|candidate| self.is_of(candidate));
        match now.map(|candidate| candidate.judge(policy)) {
            Some(Err(Error::Verify { reason, .. })) if !reason.is_fault() => refused(reason),
            Some(Ok(_)) => Ok(()),
            _ => policy::verify_again(path, &inspection.metadata, content, signer.as_ref(), policy)
                .or_else(refused),
        }
    }
}

impl Verified {
    /// Loads the verified bytes, once in a process, and checks their tables. The library's static
    /// constructors run on their own thread, for at most 30 s. No function of the backend runs. Of a plugin that is built in,
    /// the tables are checked.
    ///
    /// # Errors
    /// As [`load_within`](Self::load_within).
    pub fn load(self) -> Result<Plugin, Error> {
        self.load_within(loaded_libraries::LOAD_TIMEOUT)
    }

    /// [`load`](Self::load) with another limit.
    ///
    /// # Errors
    /// [`Error::Load`], [`Error::Check`]. [`LoadError::Hangs`] if the constructors exceed the limit, and
    /// until they return [`LoadError::Blocked`] for each further library.
    pub fn load_within(&self, limit: Duration) -> Result<Plugin, Error> {
        // A plugin that was accepted for a child process may not be fit for this one.
        require(&self.0.location, self.0.inspection.verdict())?;
        self.load_here(limit)
    }

    /// As [`load_within`](Self::load_within), for a process that runs nothing but this plugin, which may be one that this
    /// host does not load into a tool's process.
    pub(crate) fn load_here(&self, limit: Duration) -> Result<Plugin, Error> {
        let Accepted { location, inspection, content, .. } = &self.0;
        let loaded = match location {
            Location::File(path) => loaded_libraries::load(content, &inspection.needed, path, limit),
            Location::BuiltIn(plugin) => Ok(loaded_libraries::built_in(content, plugin.descriptor())),
        };
        let loaded = loaded.map_err(|reason| Error::Load { plugin: location.clone(), reason })?;
        let checked =
            loaded.check(inspection).map_err(|reason| Error::Check { plugin: location.clone(), reason })?;
        // Of equal bytes, only those of the loaded library are kept.
        let accepted = Accepted { content: Arc::clone(&loaded.content), ..self.0.clone() };
        Ok(Plugin { accepted: Arc::new(accepted), checked })
    }

    /// Where it was found.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.0.location
    }

    /// The metadata.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.0.inspection.metadata
    }

    /// Whether these are the bytes that the candidate has now. They are read and not copied.
    #[must_use]
    pub fn is_of(&self, candidate: &Candidate) -> bool {
        self.0.is_of(candidate)
    }

    pub(crate) fn content(&self) -> &Arc<Content> {
        &self.0.content
    }

    /// Whether a policy allows the verified bytes now. If the file still has these bytes, the file is judged
    /// as by [`Candidate::allowed_by`]. Otherwise digest, version and the key that signed them decide.
    ///
    /// # Errors
    /// [`Error::Verify`].
    pub fn still_allowed_by(&self, policy: impl Into<Policy>) -> Result<(), Error> {
        self.0.still_allowed_by(&policy.into())
    }
}

/// A loaded and checked plugin. Clones are the same plugin.
#[derive(Clone)]
pub struct Plugin {
    accepted: Arc<Accepted>,
    checked: &'static Checked,
}

impl Plugin {
    /// Takes a plugin through all stages.
    ///
    /// # Errors
    /// In this order: [`Error::Inspect`], [`Error::Verify`], [`Error::Load`], [`Error::Check`].
    pub fn load(plugin: impl Into<Location>, policy: impl Into<Policy>) -> Result<Self, Error> {
        Candidate::open(plugin)?.verify(policy)?.load()
    }

    /// Where it was found.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.accepted.location
    }

    /// The metadata.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.accepted.inspection.metadata
    }

    /// As [`Verified::is_of`].
    #[must_use]
    pub fn is_of(&self, candidate: &Candidate) -> bool {
        self.accepted.is_of(candidate)
    }

    /// The comparison of its tables with the host's.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.checked.layout
    }

    /// As [`Verified::still_allowed_by`].
    pub fn still_allowed_by(&self, policy: impl Into<Policy>) -> Result<(), Error> {
        self.accepted.still_allowed_by(&policy.into())
    }

    pub(crate) fn tables(&self) -> PluginTables {
        self.checked.tables
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("location", self.location())
            .field("name", &self.metadata().name)
            .field("version", &self.metadata().version)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate").field("location", &self.location).finish_non_exhaustive()
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("location", self.location()).finish_non_exhaustive()
    }
}
