//! Backends that are compiled into the host's own program.

use std::{marker::PhantomData, sync::Arc};

use jackfield_plugin_api::{Backend as PluginBackend, DeletesData, Diagnoses, deletion, diagnostics, export};

use super::Backend;
use crate::{
    guard::{error::OpenError, executor::Source, options::BackendOptions},
    load::tables::PluginTables,
    plugin::Error,
};

/// A backend that is compiled into this program, with those of its abilities that are optional tables in a plugin.
///
/// [`Backend::open_static`] and [`Backend::open_with`] open one without any.
pub struct StaticBackend<B> {
    tables: PluginTables,
    /// `None`: the configuration of the options.
    source: Option<Source>,
    backend: PhantomData<fn() -> B>,
}

impl<B: PluginBackend> StaticBackend<B> {
    /// A backend that is opened with the configuration of the options.
    #[must_use]
    pub const fn configured() -> Self {
        let tables = PluginTables::new(export::static_table::<B>());
        Self { tables, source: None, backend: PhantomData }
    }

    /// A backend that is a value of this program. `make` is called when it opens, and again after a panic or a hang, for
    /// the instance that takes over. The configuration of the options plays no part.
    #[must_use]
    pub fn made(make: impl Fn() -> B + Send + Sync + 'static) -> Self {
        let source = Source::Value(Arc::new(move || export::instance(make())));
        Self { source: Some(source), ..Self::configured() }
    }

    /// It can ask its platform to delete data.
    #[must_use]
    pub fn deletion(mut self) -> Self
    where
        B: DeletesData,
    {
        self.tables.deletion = Some(deletion::table::<B>());
        self
    }

    /// It can show what it would send, and probe its platform.
    #[must_use]
    pub fn diagnostics(mut self) -> Self
    where
        B: Diagnoses,
    {
        self.tables.diagnostics = Some(diagnostics::table::<B>());
        self
    }

    /// Opens it, behind the same guard as a plugin.
    ///
    /// # Errors
    /// [`Error::Open`]: it refused its configuration, failed, panicked, or did not answer within the timeout.
    pub fn open(self, options: &BackendOptions) -> Result<Backend, Error> {
        let source = self.source.unwrap_or_else(|| Source::Config(Arc::from(options.config.as_str())));
        Backend::open_entry(Box::new(self.tables), source, options)
            .map_err(|failure| Error::Open(OpenError { backend: options.name.clone(), file: None, failure }))
    }
}

impl Backend {
    /// Opens a backend that is compiled into this program, behind the same guard as a plugin, with the configuration of
    /// the options. One with optional abilities is opened by [`StaticBackend`].
    ///
    /// # Errors
    /// [`Error::Open`], as for [`open`](Self::open).
    pub fn open_static<B: PluginBackend>(options: &BackendOptions) -> Result<Self, Error> {
        StaticBackend::<B>::configured().open(options)
    }

    /// Opens a backend from a value of this program, behind the same guard as a plugin. `make` is called now, and again
    /// after a panic or a hang, for the instance that takes over. The configuration of the options plays no part.
    ///
    /// # Errors
    /// [`Error::Open`] when `make` panics or takes longer than the timeout.
    pub fn open_with<B: PluginBackend>(
        options: &BackendOptions,
        make: impl Fn() -> B + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        StaticBackend::made(make).open(options)
    }
}

impl<B> std::fmt::Debug for StaticBackend<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StaticBackend")
            .field("deletion", &self.tables.deletion.is_some())
            .field("diagnostics", &self.tables.diagnostics.is_some())
            .finish_non_exhaustive()
    }
}
