//! What a plugin must not change of the process that has it isolated.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::site::Site;

/// The processes that are in a session of one of these, or one of these themselves.
pub(super) fn session_members(leaders: &[u32]) -> Vec<u32> {
    let numbers = fs::read_dir("/proc")
        .expect("Linux")
        .filter_map(|entry| entry.expect("readable").file_name().to_str()?.parse::<u32>().ok());
    numbers
        .filter(|number| {
            // It may have ended meanwhile.
            let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            let (Some(state), Some(session)) = (fields.first(), fields.get(3)) else { return false };
            *state != "Z" && leaders.iter().any(|leader| leader == number || leader.to_string() == *session)
        })
        .collect()
}

/// A process from outside.
#[derive(Debug)]
pub(super) struct Host {
    directory: PathBuf,
    /// Signals that are blocked, ignored and caught, as the kernel writes them.
    signals: Vec<String>,
    /// What the three standard descriptors lead to.
    standard: Vec<PathBuf>,
    /// How many descriptors lead to what, numbers left out.
    descriptors: BTreeMap<String, usize>,
}

impl Host {
    pub(super) fn look(process: u32) -> Self {
        let folder = Path::new("/proc").join(process.to_string());
        let status = fs::read_to_string(folder.join("status")).expect("it runs");
        let signals = ["SigBlk", "SigIgn", "SigCgt"];
        let signals = status.lines().filter(|line| signals.iter().any(|name| line.starts_with(name)));
        let mut descriptors = BTreeMap::new();
        for entry in fs::read_dir(folder.join("fd")).expect("it runs").flatten() {
            // It may be closed by now.
            let Ok(target) = fs::read_link(entry.path()) else { continue };
            let target: String = target.display().to_string().chars().filter(|c| !c.is_numeric()).collect();
            *descriptors.entry(target).or_default() += 1;
        }
        Self {
            directory: fs::read_link(folder.join("cwd")).expect("it runs"),
            signals: signals.map(str::to_owned).collect(),
            standard: (0..3)
                .map(|number| fs::read_link(folder.join("fd").join(number.to_string())).expect("open"))
                .collect(),
            descriptors,
        }
    }

    /// Fails unless it is as with a plugin that does nothing wrong.
    pub(super) fn is_as_ever(&self, site: &Site) {
        static SOUND: OnceLock<Host> = OnceLock::new();
        let sound = SOUND.get_or_init(|| super::run("", "send", "").host);
        assert_eq!(self.directory, site.path("").canonicalize().expect("there"));
        assert_eq!(self.signals, sound.signals);
        assert!(self.standard.iter().all(|target| target.to_string_lossy().starts_with("pipe:")), "{self:?}");
        let (now, ever) =
            (self.descriptors.values().sum::<usize>(), sound.descriptors.values().sum::<usize>());
        assert!(now <= ever, "{now} descriptors, {ever} with a sound plugin: {self:?} {sound:?}");
    }
}
