//! Files that are no plugin, or damaged ones: each command answers with one line and a documented code, in bounded memory and
//! processor time, and no byte of them runs.

use std::{
    ffi::OsString,
    fs::{self, File, Permissions},
    os::unix::{
        ffi::OsStringExt as _,
        fs::{PermissionsExt as _, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    process::Stdio,
};

use jackfield_tests::cli;
use object::{Object as _, ObjectSection as _};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use super::libraries::{self, CPU_ARM64, CPU_X86_64, Foreign, Plugin, fat};
use crate::site::{Ended, Site, backend, events, start, to_file};

/// More than any answer takes.
const BOUNDS: &str = "ulimit -t 20; ulimit -v 4194304; ulimit -d 524288";

/// Room for metadata that is larger than a host reads.
const ROOM: usize = (1 << 20) + (1 << 16);

/// The files of the attack, in a folder.
struct Files {
    folder: PathBuf,
    all: Vec<PathBuf>,
}

impl Files {
    /// A library of this name, made by `make`.
    fn add(&mut self, name: &str, make: impl FnOnce(&Path)) {
        self.add_named(format!("lib{}.so", name.replace([' ', '/'], "_")), make);
    }

    fn add_named(&mut self, name: impl Into<OsString>, make: impl FnOnce(&Path)) {
        let path = self.folder.join(name.into());
        assert!(!self.all.contains(&path), "{} is there twice", path.display());
        make(&path);
        self.all.push(path);
    }

    fn bytes(&mut self, name: &str, bytes: impl AsRef<[u8]>) {
        self.add(name, |path| fs::write(path, bytes).expect("writable"));
    }

    /// Copies of `of` with these bytes in these places.
    fn patched(&mut self, group: &str, of: &[u8], patches: &[(&str, usize, &[u8])]) {
        for (name, at, bytes) in patches {
            let mut copy = of.to_vec();
            copy[*at..at + bytes.len()].copy_from_slice(bytes);
            self.bytes(&format!("{group} {name}"), copy);
        }
    }

    /// The first bytes of `of`.
    fn cut(&mut self, group: &str, of: &[u8], lengths: &[usize]) {
        for length in lengths {
            self.bytes(&format!("{group} cut at {length}"), &of[..*length]);
        }
    }
}

const MAX: [u8; 8] = [0xff; 8];

/// Where the header of the section of this name is in a library for 64 bits of this host.
fn section(library: &[u8], name: &str) -> usize {
    let file = object::File::parse(library).expect("a library");
    let index = file.section_by_name(name).unwrap_or_else(|| panic!("no section {name}")).index().0;
    let table = u64::from_le_bytes(library[40..48].try_into().expect("8 bytes"));
    usize::try_from(table).expect("small") + 64 * index
}

fn add_elf(files: &mut Files, good: &[u8]) {
    files.cut("elf", good, &[1, 3, 4, 16, 63, 64, good.len() / 2, good.len() - 1]);
    let of = |name| section(good, name);
    let (metadata, dynamic, symbols) = (of(".jackfield"), of(".dynamic"), of(".dynsym"));
    let names = of(".shstrtab");
    files.patched(
        "elf",
        good,
        &[
            ("class 0", 4, &[0]),
            ("class of 32 bits", 4, &[1]),
            ("byte order 0", 5, &[0]),
            ("big endian", 5, &[2]),
            ("of FreeBSD", 7, &[9]),
            ("object file", 16, &[1, 0]),
            ("executable", 16, &[2, 0]),
            ("core dump", 16, &[4, 0]),
            ("unknown type", 16, &[0xff, 0xff]),
            ("processor 0", 18, &[0, 0]),
            ("other processor", 18, &[22, 0]),
            ("no sections", 40, &[0; 8]),
            ("sections beyond the end", 40, &[0, 0, 0, 0x10, 0, 0, 0, 0]),
            ("sections at the end of numbers", 40, &MAX),
            ("size of a section header", 58, &[1, 0]),
            ("no number of sections", 60, &[0, 0]),
            ("65535 sections", 60, &[0xff, 0xff]),
            ("section of names beyond", 62, &[0xfe, 0xff]),
            ("section of names elsewhere", 62, &[0xff, 0xff]),
            ("section of names 0", 62, &[0, 0]),
            ("names beyond the end", names + 24, &MAX),
            ("names of any size", names + 32, &MAX),
            ("name of the metadata beyond", metadata, &MAX[..4]),
            ("metadata beyond the end", metadata + 24, &[0, 0, 0, 0x10, 0, 0, 0, 0]),
            ("metadata at the end of numbers", metadata + 24, &MAX),
            ("metadata of any size", metadata + 32, &MAX),
            ("metadata of no size", metadata + 32, &[0; 8]),
            ("metadata is the header", metadata + 24, &[0; 8]),
            ("metadata without bytes", metadata + 4, &[8, 0, 0, 0]),
            ("dynamic section beyond", dynamic + 24, &MAX),
            ("dynamic section of 1 byte", dynamic + 32, &[1, 0, 0, 0, 0, 0, 0, 0]),
            ("dynamic section of any size", dynamic + 32, &MAX),
            ("dynamic strings nowhere", dynamic + 40, &MAX[..4]),
            ("symbols beyond", symbols + 24, &MAX),
            ("symbols of any size", symbols + 32, &MAX),
            ("names of symbols nowhere", symbols + 40, &MAX[..4]),
            ("names of symbols are the symbols", symbols + 40, &[0; 4]),
        ],
    );
}

fn add_metadata(files: &mut Files, roomy: &[u8]) {
    let at = section(roomy, ".jackfield");
    let number =
        |at: usize| usize::try_from(u64::from_le_bytes(roomy[at..at + 8].try_into().expect("8 bytes")));
    let (offset, size) = (number(at + 24).expect("small"), number(at + 32).expect("small"));
    assert!(size >= ROOM);
    let mut metadata = |name: &str, text: &[u8]| {
        let mut copy = roomy.to_vec();
        copy[offset..offset + text.len()].copy_from_slice(text);
        copy[at + 32..at + 40].copy_from_slice(&(text.len() as u64).to_le_bytes());
        files.bytes(&format!("metadata {name}"), copy);
    };
    let good = libraries::metadata("victim");
    let with = |member: &str, value: Value| {
        let mut changed = good.clone();
        changed[member] = value;
        changed.to_string()
    };
    let text = good.to_string();
    let open = text.strip_suffix('}').expect("an object");
    metadata("blank", b"    ");
    metadata("of zeroes", &[0; 64]);
    metadata("not UTF-8", &[b"\xff\xfe", text.as_bytes()].concat());
    metadata("with a byte order mark", format!("\u{feff}{text}").as_bytes());
    metadata("a list", b"[]");
    metadata("a number", b"1e999999999");
    metadata("torn", open.as_bytes());
    metadata("two objects", format!("{text}{text}").as_bytes());
    metadata("with a tail", format!("{text}\0x").as_bytes());
    metadata("a member twice", format!("{open},\"name\":\"other\"}}").as_bytes());
    metadata("half a surrogate", text.replace("\"victim\"", "\"\\ud800\"").as_bytes());
    metadata("nested without end", "[".repeat(1 << 20).as_bytes());
    metadata("nested member without end", format!("{open},\"x\":{}", "[".repeat(1 << 19)).as_bytes());
    metadata("larger than read", " ".repeat(ROOM).as_bytes());
    metadata("of any version", text.replace("\"major\":1", "\"major\":18446744073709551616").as_bytes());
    metadata("of a version below 0", text.replace("\"major\":1", "\"major\":-1").as_bytes());
    for member in good.as_object().expect("an object").keys().filter(|member| *member != "config_schema") {
        let mut less = good.clone();
        less.as_object_mut().expect("an object").remove(member);
        metadata(&format!("without {member}"), less.to_string().as_bytes());
        metadata(&format!("{member} of another type"), with(member, json!([[]])).as_bytes());
    }
    for (member, name, value) in [
        ("name", "empty", json!("")),
        ("name", "of lines", json!("a\nb")),
        ("name", "of escapes", json!("\u{1b}[2J\u{9b}31m")),
        ("description", "of escapes", json!("\u{1b}]0;title\u{7}")),
        ("format", "0", json!(0)),
        ("format", "of tomorrow", json!(4_000_000_000_u32)),
        ("digest", "short", json!("0123")),
        ("digest", "other", json!("0123456789abcdef")),
        ("digest", "no digits", json!("ghijklmnopqrstuv")),
        ("requires", "without end", json!(vec![""; 300_000])),
        ("requires", "unknown", json!(["log", "teleport"])),
        ("requires", "of escapes", json!(["\u{1b}c\u{202e}"])),
        ("offers", "of numbers", json!([1, 2])),
        ("panic", "unknown", json!("boom")),
        ("abi", "of tomorrow", json!({"major": 2, "minor": 0})),
    ] {
        metadata(&format!("{member} {name}"), with(member, value).as_bytes());
    }
}

fn add_foreign(files: &mut Files, scratch: &Path) {
    let plugin = Foreign::new("victim");
    let read = |path: PathBuf| fs::read(path).expect("built");
    let dll = read(plugin.msvc("x86_64", scratch));
    let headers = u32::from_le_bytes(dll[0x3c..0x40].try_into().expect("4 bytes")) as usize;
    files.cut("pe", &dll, &[2, 0x3c, 0x40, headers + 3, headers + 24, dll.len() / 2]);
    files.patched(
        "pe",
        &dll,
        &[
            ("headers in the header", 0x3c, &[0; 4]),
            ("headers beyond", 0x3c, &[0, 0, 0, 0x10]),
            ("headers at the end of numbers", 0x3c, &MAX[..4]),
            ("other processor", headers + 4, &[1, 1]),
            ("no sections", headers + 6, &[0, 0]),
            ("65535 sections", headers + 6, &[0xff, 0xff]),
            ("no optional header", headers + 20, &[0, 0]),
            ("an optional header of any size", headers + 20, &[0xff, 0xff]),
            ("a program", headers + 22, &[2, 0]),
            ("an unknown kind", headers + 24, &[7, 7]),
            ("directories of any number", headers + 24 + 108, &MAX[..4]),
            ("exports elsewhere", headers + 24 + 112, &MAX[..4]),
            ("exports of any size", headers + 24 + 116, &MAX[..4]),
            ("imports elsewhere", headers + 24 + 120, &MAX[..4]),
            ("good", 0, b"MZ"),
        ],
    );
    let (intel, arm) = (read(plugin.mach_o("x86_64", scratch)), read(plugin.mach_o("arm64", scratch)));
    files.cut("mach-o", &arm, &[4, 31, 32, 40, arm.len() / 2]);
    files.patched(
        "mach-o",
        &arm,
        &[
            ("other processor", 4, &MAX[..4]),
            ("a program", 12, &[2, 0, 0, 0]),
            ("no commands", 16, &[0; 4]),
            ("commands of any number", 16, &MAX[..4]),
            ("commands of no size", 20, &[0; 4]),
            ("commands of any size", 20, &MAX[..4]),
            ("a command of no size", 36, &[0; 4]),
            ("a command of 1 byte", 36, &[1, 0, 0, 0]),
            ("a command of any size", 36, &MAX[..4]),
            ("good", 0, &arm[..4]),
        ],
    );
    let both = fat(&[(CPU_ARM64, &arm), (CPU_X86_64, &intel)], false);
    let wide = fat(&[(CPU_ARM64, &arm), (CPU_X86_64, &intel)], true);
    files.cut("fat", &both, &[7, 8, 20, 1 << 14]);
    files.patched(
        "fat",
        &both,
        &[
            ("no slices", 4, &[0; 4]),
            ("33 slices", 4, &[0, 0, 0, 33]),
            ("slices of any number", 4, &MAX[..4]),
            ("a slice beyond", 16, &MAX[..4]),
            ("a slice of any size", 20, &MAX[..4]),
            ("a slice that is the file", 16, &[0; 4]),
            ("good", 0, &both[..4]),
        ],
    );
    files.patched("wide fat", &wide, &[("a slice beyond", 16, &MAX), ("a slice of any size", 24, &MAX)]);
    files.bytes("fat of fat", fat(&[(CPU_ARM64, &both)], false));
    files.bytes("fat of text", fat(&[(CPU_X86_64, b"no image"), (CPU_ARM64, b"")], false));
}

fn add_other_formats(files: &mut Files) {
    for (name, bytes) in [
        ("empty", &b""[..]),
        ("of a zero", b"\0"),
        ("of zeroes", &[0; 4096]),
        ("of ones", &[0xff; 4096]),
        ("text", b"This is a text.\n"),
        ("script", b"#!/bin/sh\ntouch mark\n"),
        ("linker script", b"/* GNU ld script */\nINPUT(libvictim.so.1)\n"),
        ("web page", b"<!DOCTYPE html><title>404</title>"),
        ("pointer to a large file", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
        ("UTF-16", b"\xff\xfet\0e\0x\0t\0"),
        ("escapes", b"\x1b[2J\x1b]0;t\x07\x9b31m\n"),
        ("zip", b"PK\x03\x04\x14\0\0\0"),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03"),
        ("xz", b"\xfd7zXZ\0"),
        ("wasm", b"\0asm\x01\0\0\0"),
        ("bitcode", b"BC\xc0\xde5\x14\0\0"),
        ("archive", b"!<arch>\nx/              0           0     0     644     4         `\nxxxx"),
        ("thin archive", b"!<thin>\n"),
        ("class", b"\xca\xfe\xba\xbe\0\0\0\x41\0\0"),
        ("dos program", b"MZ\x90\0\x03\0\0\0"),
        ("xcoff", b"\x01\xf7\0\x04\0\0\0\0\0\0\0\0"),
        ("coff", b"\x64\x86\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ("import library", b"\0\0\xff\xff\0\0\x64\x86\0\0\0\0"),
        ("pdf", b"%PDF-1.7\n"),
    ] {
        files.bytes(name, bytes);
    }
}

/// What is no regular file, and files that are odd in what is not their content.
fn add_special(files: &mut Files, good: &Path) -> Option<UnixListener> {
    let link = |target: &Path| {
        let target = target.to_owned();
        move |path: &Path| symlink(target, path).expect("writable")
    };
    for (name, target) in [
        ("link to nowhere", "/no/such/file"),
        ("link to itself", "liblink_to_itself.so"),
        ("link to an endless device", "/dev/zero"),
        ("link to the null device", "/dev/null"),
        ("link to a full device", "/dev/full"),
        ("link to the terminal", "/dev/tty"),
        ("link to memory", "/proc/self/mem"),
        ("link to the program", "/proc/self/exe"),
        ("link to a file of the kernel", "/proc/self/maps"),
        ("link to a log of the kernel", "/proc/kmsg"),
        ("link to a setting", "/sys/kernel/mm/transparent_hugepage/enabled"),
        ("link to standard input", "/proc/self/fd/0"),
        ("link to a folder", "/"),
        ("link through a file", "libtext.so/libvictim.so"),
        ("link to a long name", &"n".repeat(300)),
    ] {
        files.add(name, link(target.as_ref()));
    }
    for step in 0..60 {
        let next = files.folder.join(format!("step{}", step + 1));
        symlink(next, files.folder.join(format!("step{step}"))).expect("writable");
    }
    symlink(good, files.folder.join("step60")).expect("writable");
    files.add("link of 60 steps", link("step0".as_ref()));
    let node =
        |kind| move |path: &Path| mknodat(CWD, path, kind, Mode::RUSR | Mode::WUSR, 0).expect("writable");
    files.add("fifo", node(FileType::Fifo));
    let mut listener = None;
    files.add("socket", |path| listener = UnixListener::bind(path).ok());
    let sparse = |length: u64, head: Option<&Path>| {
        let head = head.map(|head| fs::read(head).expect("built")).unwrap_or_default();
        move |path: &Path| {
            fs::write(path, head).expect("writable");
            File::options().append(true).open(path).and_then(|file| file.set_len(length)).expect("sparse");
        }
    };
    files.add("sparse of 511 MiB", sparse(511 << 20, None));
    files.add("sparse of 1 TiB", sparse(1 << 40, None));
    files.add("larger than read", sparse((512 << 20) + 1, Some(good)));
    listener
}

/// Runs the command within [`BOUNDS`].
pub(super) fn bounded(site: &Site, arguments: &[&std::ffi::OsStr]) -> Ended {
    let script = format!("{BOUNDS}; exec \"$0\" \"$@\"");
    let mut command = site.command_of("sh".as_ref(), &["-c", &script]);
    command.arg(cli()).args(arguments).env("JACKFIELD_PLUGIN_PATH", site.path("plugins"));
    let mut running = start(command.stdin(Stdio::piped()));
    running.feed(events(0..3).into());
    running.end()
}

/// The words of a command line.
pub(super) fn words<'a>(words: &'a [&'a str]) -> Vec<&'a std::ffi::OsStr> {
    words.iter().map(std::ffi::OsStr::new).collect()
}

/// Fails unless this is one clear line.
fn one_line(line: &str) {
    let is_clear = (20..700).contains(&line.len()) && !line.chars().any(char::is_control);
    assert!(is_clear && line.contains(": ") && !line.contains("panicked"), "{line:?}");
}

/// What `inspect` or `plugins` says of a file that it does not refuse, in one line.
fn is_accepted(said: &Value) -> Option<String> {
    let refusal = said["refusal"].as_str().or(said["trust_refusal"].as_str());
    refusal.map(one_line).map_or_else(|| Some(said.to_string()), |()| None)
}

#[test]
fn a_hostile_file_is_refused_in_one_line_by_each_command() {
    let site = Site::new(&[]);
    let (mark, scratch) = (site.path("mark"), tempfile::tempdir().expect("a folder"));
    let folder = site.path("plugins");
    fs::create_dir(&folder).expect("writable");
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).expect("ours");
    let built = |plugin: Plugin, name: &str| {
        let path = plugin.mark(&mark).build(scratch.path(), name);
        fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("ours");
        path
    };
    let good = built(Plugin::new("victim"), "libvictim.so");
    let roomy = Plugin::new("victim").section(&" ".repeat(ROOM)).in_file(scratch.path());
    let roomy = fs::read(built(roomy, "libroomy.so")).expect("built");
    let bytes = fs::read(&good).expect("built");

    let mut files = Files { folder, all: Vec::new() };
    add_elf(&mut files, &bytes);
    add_metadata(&mut files, &roomy);
    add_foreign(&mut files, scratch.path());
    add_other_formats(&mut files);
    let _listener = add_special(&mut files, &good);
    files.add_named(OsString::from_vec(b"lib\xff\xc2\x1b[2J\n.so".to_vec()), |path| {
        fs::write(path, "text").expect("writable");
    });
    files.add_named(format!("lib{}.so", "n".repeat(249)), |path| fs::write(path, "text").expect("writable"));
    files.add("that everybody may write", |path| {
        fs::copy(&good, path).expect("copied");
        fs::set_permissions(path, Permissions::from_mode(0o666)).expect("ours");
    });

    let (mut unusable, mut accepted) = (Vec::new(), Vec::new());
    for file in &files.all {
        let ended = bounded(&site, &[&words(&["inspect", "--json"])[..], &[file.as_os_str()]].concat());
        assert!(
            matches!(ended.code, Some(0 | 4)) && ended.stderr.is_empty(),
            "{}: {ended:#?}",
            file.display()
        );
        let found = ended.json()[0].clone();
        accepted.extend(is_accepted(&found));
        assert_eq!(found["compatible"], ended.code == Some(0), "{}", file.display());
        // A configuration names files in UTF-8.
        unusable.extend(file.to_str());
    }

    let listed = bounded(&site, &words(&["plugins", "--json"])).with_code(0);
    let rows = listed.json();
    let rows = rows.as_array().expect("a list");
    // A folder is no plugin, whatever its name is.
    assert_eq!(rows.len(), files.all.iter().filter(|file| !file.is_dir()).count());
    accepted.extend(rows.iter().filter_map(is_accepted));
    assert_eq!(accepted, [""; 0]);

    let backends =
        unusable.iter().enumerate().map(|(at, file)| backend(&format!("b{at}"), file.as_ref(), ""));
    site.write("config.toml", backends.collect::<String>() + &to_file("healthy", "healthy.jsonl"));
    let ended = bounded(&site, &words(&["send", "--json"])).with_code(4);
    assert_eq!(site.read("healthy.jsonl"), events(0..3));
    let told: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(told.len(), unusable.len(), "a line for each: {ended:#?}");
    for line in told {
        assert!(line.starts_with("error: "), "{line}");
        one_line(line);
    }
    assert!(!mark.exists(), "code of a refused file has run");

    site.write("config.toml", backend("good", &good, ""));
    bounded(&site, &words(&["send"])).with_code(0);
    assert!(mark.exists(), "the mark would have been seen");
    super::tried("hostile files", files.all.len());
}
