//! What a plugin is called: by its file's name in a configuration, and by itself in its metadata.

use std::path::{Path, PathBuf};

use jackfield_loader::FindError;

/// What `plugin = "..."` accepts for `file`, which is on the search path: the plugin's own name if that leads to the file,
/// or else the file's name, or else the path.
#[must_use]
pub fn accepted_plugin_name(file: &Path, own: Option<&str>, search_path: &[PathBuf]) -> String {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    let names = [own, stem.and_then(|stem| stem.strip_prefix("lib")), stem];
    let leads_here = |name: &&str| {
        jackfield_loader::find(name, search_path, Path::new("/")).is_ok_and(|found| found == file)
    };
    names.into_iter().flatten().find(leads_here).map_or_else(|| file.display().to_string(), str::to_owned)
}

/// The refusal of a plugin that is in no folder of the search path. If a plugin there calls itself so, the refusal says what
/// to write for that one.
pub(crate) fn explain_missing(refusal: &FindError, search_path: &[PathBuf]) -> String {
    let text = refusal.to_string();
    let FindError::NotOnPath { plugin, nearest, .. } = refusal else { return text };
    let calls_itself_so = |file: &PathBuf| {
        jackfield_loader::inspect(file).is_ok_and(|inspection| inspection.metadata.name == *plugin)
    };
    let Some(file) = jackfield_loader::list(search_path).into_iter().find(calls_itself_so) else {
        return text;
    };
    // A name that is the very one says more than one that is spelt alike.
    let nearest = nearest.as_ref().map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
    let text = text.strip_suffix(&nearest).unwrap_or(&text);
    let name = accepted_plugin_name(&file, None, search_path);
    format!("{text}; did you mean `plugin = {name:?}`, which calls itself {plugin:?}?")
}
