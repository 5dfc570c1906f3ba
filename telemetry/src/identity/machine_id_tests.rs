use std::fs;

use super::*;

#[test]
fn the_id_is_the_same_each_time_and_32_hexadecimal_digits() {
    assert_eq!(id("tool"), id("tool"));
    assert_eq!(id("tool").len(), 32);
    assert!(id("tool").bytes().all(|byte| byte.is_ascii_hexdigit()));
}

#[test]
fn two_tools_on_one_machine_can_not_be_linked() {
    assert_ne!(id("one"), id("two"));
}

#[test]
fn two_machines_differ_for_the_same_tool() {
    assert_ne!(derive("tool", "4c1c5d3a"), derive("tool", "4c1c5d3b"));
}

#[test]
fn an_image_that_was_never_booted_has_no_id() {
    for text in ["", "\n", "uninitialized\n", "00000000000000000000000000000000\n"] {
        assert_eq!(plausible(text), None, "{text:?}");
    }
    assert_eq!(plausible("9f5b1ce2a4\n").as_deref(), Some("9f5b1ce2a4"));
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn the_first_id_is_derived_and_private() {
    let folder = folder();
    let state = folder.path().join("a/b");
    let first = MachineIdFile::new("tool", Some(&state)).read();
    assert_eq!(first, MachineId { id: id("tool"), not_kept: None });
    assert_eq!(fs::read_to_string(state.join(NAME)).unwrap(), format!("{}\n", first.id));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&state.join(NAME)), mode(&state)), (0o600, 0o700));
    }
}

#[test]
fn the_file_counts_when_the_machine_has_changed() {
    let folder = folder();
    let kept = "0123456789abcdef0123456789abcdef";
    fs::write(folder.path().join(NAME), kept).unwrap();
    assert_eq!(MachineIdFile::new("tool", Some(folder.path())).read().id, kept);
}

#[test]
fn rotation_gives_another_id_that_stays() {
    let folder = folder();
    let file = MachineIdFile::new("tool", Some(folder.path()));
    let old = file.read();
    let new = file.rotate().unwrap();
    assert_ne!(old.id, new.id);
    assert_eq!(new.id.len(), 32);
    assert_eq!(MachineIdFile::new("tool", Some(folder.path())).read(), new);
    assert_ne!(file.rotate().unwrap().id, new.id);
}

#[test]
fn a_file_that_holds_something_else_is_replaced() {
    for text in [&b""[..], b"hello", b"0123456789ABCDEF0123456789abcdef", b"\xff\xfe", &[b'0'; 3 << 20]] {
        let folder = folder();
        fs::write(folder.path().join(NAME), text).unwrap();
        let file = MachineIdFile::new("tool", Some(folder.path()));
        assert_eq!(file.read(), MachineId { id: id("tool"), not_kept: None });
        assert_eq!(look(&folder.path().join(NAME)).unwrap(), Some(file.read().id));
    }
}

#[test]
fn without_a_folder_the_id_is_derived_and_says_why() {
    let nowhere = MachineIdFile::new("tool", None);
    assert_eq!(nowhere.read().id, id("tool"));
    assert!(nowhere.read().not_kept.is_some());
    assert!(nowhere.rotate().unwrap_err().to_string().contains("machine id"));
    let folder = folder();
    fs::write(folder.path().join("file"), "").unwrap();
    let blocked = MachineIdFile::new("tool", Some(&folder.path().join("file/state"))).read();
    assert!(blocked.not_kept.unwrap().contains("machine-id"));
}

#[cfg(unix)]
#[test]
fn a_link_and_a_file_of_others_are_ignored_and_kept() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let other = "0123456789abcdef0123456789abcdef";
    let path = folder.path().join(NAME);
    fs::write(folder.path().join("elsewhere"), other).unwrap();
    std::os::unix::fs::symlink(folder.path().join("elsewhere"), &path).unwrap();
    let file = MachineIdFile::new("tool", Some(folder.path()));
    assert_eq!(file.read().id, id("tool"));
    assert!(file.read().not_kept.unwrap().contains("expected a regular file, found a symbolic link"));
    file.rotate().unwrap_err();
    fs::remove_file(&path).unwrap();
    fs::write(&path, other).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(file.read().not_kept.unwrap().contains("mode 0666"));
    assert_eq!(fs::read_to_string(&path).unwrap(), other);
}

#[test]
fn all_that_start_at_once_agree_also_beside_a_rotation() {
    let folder = folder();
    let file = MachineIdFile::new("tool", Some(folder.path()));
    let ids: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| file.read().id)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let rotated: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| file.rotate().unwrap().id)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(rotated.contains(&file.read().id));
    assert!(fs::read_dir(folder.path()).unwrap().count() <= 2, "nothing temporary stays");
}
