//! The plugins that are linked into this program.

use std::fmt;
use std::sync::Mutex;

use jackfield_plugin_api::StaticPlugin;
use jackfield_plugin_api::abi::Descriptor;

use crate::boundary::process::lock;

static PLUGINS: Mutex<Vec<&'static Linked>> = Mutex::new(Vec::new());

struct Linked {
    plugin: StaticPlugin,
    /// For this process.
    descriptor: Descriptor,
    /// For a process that runs nothing but this plugin.
    isolated: Descriptor,
}

// SAFETY: the descriptors are never written, nor is anything that they point to.
unsafe impl Send for Linked {}
// SAFETY: as above.
unsafe impl Sync for Linked {}

/// Makes plugins that are linked into this program the last place of every search path, after those of earlier calls. Of two
/// with one name, the first one counts. Call it before [`init`](crate::isolated::init), whose children need them, too.
pub fn add_built_in(plugins: &[StaticPlugin]) {
    for plugin in plugins {
        if BuiltInPlugin::find(plugin.name()).is_none() {
            let (descriptor, isolated) = (plugin.descriptor(), plugin.library_descriptor(plugin.metadata()));
            let linked = Linked { plugin: *plugin, descriptor, isolated };
            lock(&PLUGINS).push(Box::leak(Box::new(linked)));
        }
    }
}

/// A plugin that is linked into this program.
#[derive(Clone, Copy)]
pub struct BuiltInPlugin(&'static Linked);

impl BuiltInPlugin {
    /// The plugin with this name. A hyphen equals an underscore, as in the names of files.
    pub(crate) fn find(name: &str) -> Option<Self> {
        let plain = |name: &str| name.replace('-', "_");
        lock(&PLUGINS).iter().find(|linked| plain(linked.plugin.name()) == plain(name)).map(|it| Self(it))
    }

    /// The names of all of them.
    pub(crate) fn names() -> Vec<&'static str> {
        lock(&PLUGINS).iter().map(|linked| linked.plugin.name()).collect()
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.plugin.name()
    }

    /// The bytes by which it is inspected and told from others: its metadata.
    pub(crate) fn metadata(self) -> &'static [u8] {
        self.0.plugin.metadata()
    }

    /// The address of its descriptor for this process.
    pub(crate) fn descriptor(self) -> *const Descriptor {
        &raw const self.0.descriptor
    }

    /// The address of its descriptor for a process that runs nothing but this plugin.
    pub(crate) fn isolated_descriptor(self) -> *const Descriptor {
        &raw const self.0.isolated
    }
}

impl PartialEq for BuiltInPlugin {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for BuiltInPlugin {}

impl fmt::Debug for BuiltInPlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BuiltInPlugin").field(&self.name()).finish()
    }
}
