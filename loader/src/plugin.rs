//! Placeholder until the loading stages land.
/// Placeholder.
#[derive(Clone)]
pub struct Plugin(std::path::PathBuf, &'static jackfield_plugin_api::abi::BackendTable);
impl Plugin {
    /// The file.
    pub fn path(&self) -> &std::path::Path {
        &self.0
    }
    pub(crate) fn backend_table(&self) -> &'static jackfield_plugin_api::abi::BackendTable {
        self.1
    }
}
