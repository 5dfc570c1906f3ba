//! All that is wrong with a configured backend, as far as this shows without running the plugin's code.
//!
//! Each stage before `load` is that of [`open_backend`](crate::delivery::open_backend). Where opening stops at the first
//! refusal, this goes on, so that all of them are found at once.

use std::path::Path;

use jackfield_loader::{
    Backend,
    files::{self, Access},
};

use crate::config::model::{BackendConfig, Config};
use crate::delivery::open_backend::{OpenError, PluginSource, option};
use crate::error::Place;

/// Everything for which the backend can't be opened: its file, the trust in it, its options by the plugin's schema, the
/// files that they name, and its limits and its sandbox, which a child process tries out. No code of the plugin runs.
///
/// Nothing is said of options on the lines of `known`, because a mistake there is known already.
#[must_use]
pub fn check_backend(config: &Config, backend: &BackendConfig, known: &[Place]) -> Vec<OpenError> {
    let source = PluginSource { config: backend, plugins: &config.plugins, folder: &config.folder };
    let file = match source.read() {
        Ok(file) => file,
        Err(refusal) => return vec![source.explained(refusal)],
    };
    // As many calls at once as the command makes: each takes memory and descriptors of the process.
    let options = backend.options(&config.plugins, None).concurrency(1);
    let mut found = Vec::new();
    let fits = file.candidate.fits(&options.isolation);
    found.extend(fits.err().map(|error| source.refused(&error)));
    found.extend(source.trusts(&file).err());
    let faults = source.faults_of_options(file.schema()).into_iter().map(|fault| (fault.path, fault.what));
    let faults = faults.chain(faults_of_files(source, file.schema()));
    let mut faults: Vec<_> = faults.map(|(path, what)| (option(&path), what)).collect();
    faults.sort_by_key(|(key, _)| backend.place_below(key).map(|place| place.line));
    for (key, what) in faults {
        let at = backend.place_below(&key);
        if !at.is_some_and(|place| known.contains(place)) {
            let reason = backend.conceal(&source.line(&key, &what)).into();
            found.push(OpenError::Config { reason, at: at.cloned() });
        }
    }
    let rehearsed = Backend::rehearse(&file.candidate, &options);
    found.extend(rehearsed.err().map(|error| source.refused_at(&error, file.schema())));
    found
}

/// The options that name a file which can't be read, or a file in a folder that does not exist, and why.
fn faults_of_files(source: PluginSource<'_>, schema: Option<&str>) -> Vec<(String, String)> {
    let Some((schema, options)) = source.options(schema) else { return Vec::new() };
    let named = schema.files(&options).into_iter();
    named.filter_map(|named| Some((named.option, fault_of_file(&named.file, named.is_read)?))).collect()
}

fn fault_of_file(file: &Path, is_read: bool) -> Option<String> {
    let shown = jackfield_loader::show_path(file);
    if is_read {
        let error = files::open(file, Access::ReadLinked).err()?;
        return Some(format!("{shown}: {error}"));
    }
    if file.is_dir() {
        return Some(format!("{shown}: expected a file, found a folder"));
    }
    // The folder of a bare name is the working folder.
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    (!folder.is_dir()).then(|| format!("{shown}: its folder does not exist"))
}
