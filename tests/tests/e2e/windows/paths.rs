//! The forms in which a user of Windows writes a path, and the folders of Windows.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Stdio,
};

use jackfield_tests::events::events;

use super::{Windows, backend, built, delivery::file, prefix};
use crate::site::{Ended, start};

/// A folder of another machine, as Wine has it: a link that goes with the value.
struct Share(PathBuf);

impl Share {
    /// The folder of a site, as `\\localhost\NAME`.
    fn of(site: &Windows) -> (Self, String) {
        let machine = prefix().join("dosdevices/unc/localhost");
        fs::create_dir_all(&machine).expect("writable");
        let name = site.path("").file_name().expect("a name").to_str().expect("UTF-8").to_owned();
        let link = machine.join(&name);
        symlink(site.path(""), &link).expect("writable");
        (Self(link), format!(r"\\localhost\{name}"))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
}

fn send(site: &Windows, arguments: &[&str]) -> Ended {
    site.send(&events(0..3), &[&["--give-up-after", "1s"], arguments].concat())
}

/// Runs the command until it has delivered ten events.
fn run(site: &Windows, arguments: &[&str]) -> Ended {
    let mut running = start(site.jackfield(&[&["run"], arguments].concat()).stdin(Stdio::piped()));
    running.feed(events(0..10).into());
    running.end()
}

/// The forms of the path of what is in this folder. Drive C is the current one, and the folder the working folder.
fn forms(site: &Windows, share: &str, path: &str) -> Vec<String> {
    let whole = site.on_drive_c(path);
    let below = whole.strip_prefix("C:").expect("on drive C");
    let here = path.replace('/', "\\");
    vec![
        whole.clone(),
        whole.replace('\\', "/"),
        whole.replacen('\\', "/", 2),
        whole.to_lowercase().replace("program dateïen", "Program Dateïen"),
        format!(r"\\?\{whole}"),
        format!(r"\\?\UNC{}\{here}", &share[1..]),
        format!(r"{share}\{here}"),
        below.to_owned(),
        format!(r"C:{here}"),
        format!(r".\{path}"),
        format!(r"plugins\..\{path}"),
    ]
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn each_form_of_a_path_leads_to_the_same_plugin_which_is_judged_alike() {
    let site = Windows::new(&["file"], &[]);
    let (_link, share) = Share::of(&site);
    for (number, form) in forms(&site, &share, "plugins/file.dll").iter().enumerate() {
        let output = format!("{number}.jsonl");
        site.configure("", &[backend(form, &format!("name = \"it\"\nconfig = {{ path = {output:?} }}"))]);
        let ended = send(&site, &[]);
        assert_eq!(ended.with_code(0).counts("it")[0], 3, "{form}");
        assert_eq!(site.read(&output), events(0..3), "{form}");
        for (path, open, closed) in [("plugins/file.dll", 0o646, 0o644), ("plugins", 0o757, 0o755)] {
            mode(&site.path(path), open);
            let ended = send(&site, &[]);
            assert!(
                ended.code != Some(0) && ended.stderr.contains("/remove:g *S-1-1-0"),
                "{form} {path}: {ended:#?}"
            );
            mode(&site.path(path), closed);
        }
    }
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn a_name_leads_into_no_other_folder_and_its_case_does_not_matter() {
    let site = Windows::new(&["file"], &[]);
    fs::copy(site.path("plugins/file.dll"), site.path("other.dll")).expect("room");
    site.configure("", &[backend("C:other", "name = \"it\"\nconfig = { path = \"out.jsonl\" }")]);
    let ended = send(&site, &[]);
    assert!(ended.code != Some(0) && ended.stderr.contains("no file C:other"), "{ended:#?}");
    fs::rename(site.path("plugins/file.dll"), site.path("plugins/FILE.DLL")).expect("ours");
    site.configure("", &[file("it", "out.jsonl")]);
    assert_eq!(send(&site, &[]).with_code(0).counts("it")[0], 3);
    assert!(site.run(&["plugins"]).with_code(0).stdout.contains("FILE.DLL"));
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn each_form_of_a_path_leads_to_the_same_configuration_which_is_judged_alike() {
    let site = Windows::new(&["file"], &[file("it", "out.jsonl")]);
    let (_link, share) = Share::of(&site);
    for form in forms(&site, &share, "config.toml") {
        let ended = send(&site, &["--config", &form]);
        assert_eq!(ended.with_code(0).counts("it")[0], 3, "{form}");
        fs::remove_file(site.path("out.jsonl")).expect("written");
        mode(&site.path("config.toml"), 0o646);
        let ended = send(&site, &["--config", &form]);
        assert!(ended.code != Some(0) && ended.stderr.contains("/remove:g *S-1-1-0"), "{form}: {ended:#?}");
        mode(&site.path("config.toml"), 0o644);
    }
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn each_form_of_a_path_leads_to_the_same_spool_input_and_output() {
    let site = Windows::new(&["file"], &[]);
    let (_link, share) = Share::of(&site);
    for form in forms(&site, &share, "it") {
        site.configure("", &[file("it", &format!("{form}.out"))]);
        site.write("it.in", events(0..10));
        run(&site, &["--state", &format!("{form}.state")]).with_code(0);
        assert_eq!(site.read("it.out"), events(0..10), "{form}");
        assert!(site.read("it.state/status.v1.json").contains("\"state\":\"ended\""), "{form}");
        fs::remove_dir_all(site.path("it.state")).expect("written");
        fs::remove_file(site.path("it.out")).expect("written");
        site.run(&["send", &format!("{form}.in")]).with_code(0);
        assert_eq!(site.read("it.out"), events(0..10), "{form}");
        fs::remove_file(site.path("it.out")).expect("written");
    }
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn a_path_of_more_than_260_characters_holds_configuration_plugins_spool_and_output() {
    let site = Windows::new(&["file"], &[]);
    let deep = ["a folder with a längthy name of fifty characters !"; 6].join("/");
    fs::create_dir_all(site.path(&deep).join("plugins")).expect("writable");
    fs::rename(site.path("plugins/file.dll"), site.path(&deep).join("plugins/file.dll")).expect("ours");
    let folder = site.on_drive_c(&deep);
    assert!(folder.len() > 300, "{folder}");
    for base in [folder.clone(), format!(r"\\?\{folder}"), deep.replace('/', "\\")] {
        let at = |name: &str| format!(r"{base}\{name}");
        let (config, state) = (at("config.toml"), at("state"));
        let text = format!("[plugins]\npath = [\"plugins\"]\n{}", file("it", &at("out.jsonl")));
        site.write(&format!("{deep}/config.toml"), text);
        let arguments = ["--config", &config, "--state", &state];
        run(&site, &arguments).with_code(0);
        let output = format!("{deep}/out.jsonl");
        assert_eq!(site.read(&output), events(0..10), "{base}");
        assert!(site.read(format!("{deep}/state/status.v1.json")).contains("\"state\":\"ended\""), "{base}");
        fs::remove_file(site.path(&output)).expect("written");
        fs::remove_dir_all(site.path(&deep).join("state")).expect("written");
        mode(&site.path(&deep), 0o757);
        let ended = run(&site, &arguments);
        assert!(ended.code != Some(0) && ended.stderr.contains("/remove:g *S-1-1-0"), "{base}: {ended:#?}");
        mode(&site.path(&deep), 0o755);
    }
}

#[test]
#[ignore = "scripts/test --windows runs it"]
fn the_configuration_is_that_of_the_user_or_else_that_of_the_machine() {
    let site = Windows::new(&["file"], &[]);
    let own = |name: &str| {
        fs::create_dir_all(site.path(&format!("{name}/jackfield"))).expect("writable");
        let text = format!("[plugins]\npath = ['{}']\n", site.on_drive_c("plugins"));
        let output = site.on_drive_c(&format!("{name}.jsonl"));
        site.write(&format!("{name}/jackfield/config.toml"), text + &file(name, &output))
    };
    site.write("in.jsonl", events(0..3));
    let send = || {
        let send = ["send", "--json", "in.jsonl"];
        let mut command = site.with_own_folders(&built().join("jackfield.exe"), &send);
        start(command.env_remove("JACKFIELD_CONFIG").stdin(Stdio::null())).end()
    };
    let tried = send();
    for name in ["appdata", "programdata"] {
        let place = site.on_drive_c(&format!("{name}/jackfield/config.toml"));
        assert!(tried.stderr.contains(&place), "{place}: {tried:#?}");
    }
    let machine = own("programdata");
    assert_eq!(send().with_code(0).counts("programdata")[0], 3);
    mode(&machine, 0o646);
    let ended = send();
    assert!(ended.code != Some(0) && ended.stderr.contains("/remove:g *S-1-1-0"), "{ended:#?}");
    mode(&machine, 0o644);
    own("appdata");
    assert_eq!(send().with_code(0).counts("appdata")[0], 3);
}
