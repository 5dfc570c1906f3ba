use super::*;
use crate::config::model::Config;

fn refusal(path: &Path) -> String {
    let error = ConfigFile::open(path).and_then(ConfigFile::read).expect_err("no configuration").to_string();
    let expected = format!("configuration {}: can't be read: ", path.display());
    error.strip_prefix(&expected).unwrap_or_else(|| panic!("{error}")).to_owned()
}

/// A file that goes with its folder.
fn written(content: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    std::fs::write(&path, content).expect("writable");
    (folder, path)
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    assert_eq!(refusal(Path::new("/dev/zero")), "expected a regular file, found a device");
    assert_eq!(refusal(Path::new("/dev")), "expected a regular file, found a folder");
    let (_folder, path) = written("");
    std::fs::remove_file(&path).expect("ours");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
    assert_eq!(refusal(&path), "expected a regular file, found a FIFO or pipe");
}

#[test]
fn a_file_beyond_the_limit_is_refused() {
    let comment = "#".repeat(usize::try_from(MAX_BYTES).expect("small"));
    let (_folder, path) = written(&comment);
    assert!(Config::read(&path).expect("a configuration").backends.is_empty());
    let (_folder, path) = written(&(comment + "#"));
    assert_eq!(refusal(&path), "larger than 1 MiB");
}

#[test]
fn the_refusal_says_to_move_or_to_change_the_mode() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, path) = written("");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("ours");
    let shown = std::fs::canonicalize(folder.path()).expect("there");
    let chmod = format!("chmod go-w {}", shown.display());
    for (mode, remedy) in [(0o1777, "move it to a folder that only you can write to"), (0o777, &*chmod)] {
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).expect("ours");
        let refused = ConfigFile::open(&path).expect("readable").check_owner().expect_err("not safe");
        let expected = format!("has mode {mode:04o}: {remedy}");
        assert!(refused.to_string().ends_with(&expected), "{refused}");
    }
}

#[test]
fn the_folder_of_a_link_to_the_file_is_judged_too() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_folder, path) = written("");
    let shared = tempfile::tempdir().expect("a folder");
    let link = shared.path().join("config.toml");
    std::os::unix::fs::symlink(&path, &link).expect("writable");
    let judged = || ConfigFile::open(&link).expect("readable").check_owner();
    judged().expect("the user's alone");
    std::fs::set_permissions(shared.path(), std::fs::Permissions::from_mode(0o770)).expect("ours");
    let refused = judged().expect_err("others choose where the link leads").to_string();
    assert!(refused.contains("on the way to it must not be writable by group or others"), "{refused}");
}

#[test]
fn what_is_no_text_is_refused() {
    let (_folder, path) = written("");
    std::fs::write(&path, b"\xff").expect("writable");
    assert!(refusal(&path).contains("UTF-8"));
}
