//! The names of a plugin: the name of its file, which a configuration uses, and the name in its metadata.

use std::path::{Path, PathBuf};

use jackfield_loader::FindError;

/// The value of `plugin = "..."` that leads to `file`: the name in its metadata, else the file's name, else the path.
#[must_use]
pub fn accepted_plugin_name(file: &Path, own: Option<&str>, search_path: &[PathBuf]) -> String {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    let names = [own, stem.and_then(|stem| stem.strip_prefix("lib")), stem];
    let leads_here = |name: &&str| {
        jackfield_loader::find(name, search_path, Path::new("/")).is_ok_and(|found| found == file)
    };
    names
        .into_iter()
        .flatten()
        .find(leads_here)
        .map_or_else(|| file.to_string_lossy().into_owned(), str::to_owned)
}

/// The refusal of a plugin that is in no folder of the search path. If the metadata of a plugin there has that name, the
/// refusal says what to write.
pub(crate) fn explain_missing(refusal: &FindError, search_path: &[PathBuf]) -> String {
    let text = refusal.to_string();
    let FindError::NotOnPath { plugin, nearest, .. } = refusal else { return text };
    let calls_itself_so = |file: &PathBuf| {
        jackfield_loader::inspect(file).is_ok_and(|inspection| inspection.metadata.name == *plugin)
    };
    let Some(file) = jackfield_loader::list(search_path).into_iter().find(calls_itself_so) else {
        return text;
    };
    // An equal name in metadata helps more than a similar name of a file.
    let nearest = nearest.as_ref().map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
    let text = text.strip_suffix(&nearest).unwrap_or(&text);
    let name = accepted_plugin_name(&file, None, search_path);
    format!("{text}; did you mean `plugin = {name:?}`, which calls itself {plugin:?}?")
}
