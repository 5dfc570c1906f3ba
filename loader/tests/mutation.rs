//! Damaged and hostile files: every inspection ends with an answer, in bounded memory.
//!
//! The seed is fixed, so a failure is reproducible. The message identifies the mutation.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]
#![allow(clippy::unwrap_used, reason = "a test helper that fails fails the test")]
#![cfg(unix)]
#![allow(unsafe_code, reason = "an allocator that counts")]

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    collections::BTreeMap,
    fs,
    ops::Range,
    panic::catch_unwind,
};

use common::{CPU_ARM64, CPU_X86_64, Foreign, Plugin, fat, folder};
use jackfield_loader::{InspectError, Inspection, Refusal, inspect, inspect_bytes};
use object::{Object as _, ObjectSection as _};

/// Number of mutations of each library.
const MUTATIONS: u32 = 16_000;

/// Most memory of one inspection, in bytes. The inspector's limits add up to less: three times the metadata
/// (text, members, schema), and the names of needed libraries.
const MEMORY_LIMIT: usize = 4 << 20;

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// Counts the allocated bytes of each thread.
struct Counting;

fn count(plus: usize, minus: usize) {
    let live = (LIVE.get() + plus).saturating_sub(minus);
    LIVE.set(live);
    PEAK.set(PEAK.get().max(live));
}

// SAFETY: every call goes to the system's allocator. The counters are integers without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both allocations may exist for a moment.
        count(size, 0);
        count(0, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// SplitMix64. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A library, and its parts with offsets and sizes.
struct Subject {
    name: &'static str,
    bytes: Vec<u8>,
    structure: Vec<Range<usize>>,
}

impl Subject {
    fn new(name: &'static str, bytes: Vec<u8>) -> Self {
        // Headers come first in every format. The section table of ELF comes last.
        let mut structure = vec![0..bytes.len().min(64), 0..bytes.len().min(1024)];
        if let Ok(file) = object::File::parse(&*bytes) {
            for section in file.sections() {
                let known = ["dynamic", "dynsym", "dynstr", "data", "shstrtab", "jackf"];
                let name = section.name().unwrap_or("");
                if let Some((start, length)) = section.file_range()
                    && known.iter().any(|known| name.contains(known))
                {
                    structure.push(start as usize..(start + length) as usize);
                }
            }
            structure.push(bytes.len().saturating_sub(1024)..bytes.len());
        } else {
            // In a fat file, the headers of its slices.
            structure.extend([1 << 14..(1 << 14) + 1024, bytes.len() - 4096..bytes.len()]);
        }
        structure.retain(|range| range.end <= bytes.len() && !range.is_empty());
        Self { name, bytes, structure }
    }
}

fn subjects() -> Vec<Subject> {
    let folder = folder();
    let plugin = Foreign::new("mutant");
    let read = |path| fs::read(path).unwrap();
    let (intel, arm) =
        (read(plugin.mach_o("x86_64", folder.path())), read(plugin.mach_o("arm64", folder.path())));
    vec![
        Subject::new("ELF of this host", read(Plugin::new("mutant").build(folder.path(), "libx.so"))),
        Subject::new("ELF, 64 bits", read(plugin.elf("x86_64-linux-gnu", folder.path()))),
        Subject::new("ELF, 32 bits, big-endian", read(plugin.elf("powerpc-linux-gnu", folder.path()))),
        Subject::new("PE, 64 bits", read(plugin.mingw(folder.path()))),
        Subject::new("PE, 32 bits", read(plugin.msvc("i686", folder.path()))),
        Subject::new("fat Mach-O", fat(&[(CPU_X86_64, &intel), (CPU_ARM64, &arm)], false)),
        Subject::new("Mach-O, x86_64", intel),
        Subject::new("Mach-O, arm64", arm),
    ]
}

/// Numbers at the limits of sizes and offsets.
fn boundary(random: &mut Random, length: usize) -> u64 {
    let length = length as u64;
    let base = random.pick(&[
        0,
        1,
        0x7f,
        0xff,
        0x7fff,
        0xffff,
        0x7fff_ffff,
        0xffff_ffff,
        0x1_0000_0000,
        i64::MAX as u64,
        u64::MAX,
        length,
        length / 2,
        64,
        4096,
    ]);
    base.wrapping_add(random.pick(&[0, 0, 0, 1, u64::MAX, 8, 8u64.wrapping_neg()]))
}

/// Changes `bytes`, stores the old bytes in `undo`, and returns the length of the file.
fn mutate(
    random: &mut Random,
    subject: &Subject,
    bytes: &mut [u8],
    undo: &mut Vec<(usize, Vec<u8>)>,
) -> usize {
    let all = 0..bytes.len();
    for _ in 0..random.pick(&[1, 1, 1, 2, 4]) {
        // Three of four mutations change offsets or sizes.
        let range = if random.below(4) > 0 {
            &subject.structure[random.below(subject.structure.len())]
        } else {
            &all
        };
        let at = range.start + random.below(range.len());
        let kind = random.below(8);
        let width = match kind {
            0..=1 => 1,
            2 => 2,
            3..=4 => 4,
            5 => 8,
            _ => 1 + random.below(64),
        };
        let at = if (2..=5).contains(&kind) && random.below(4) > 0 { at & !(width - 1) } else { at };
        let width = width.min(bytes.len() - at);
        undo.push((at, bytes[at..at + width].to_vec()));
        match kind {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.pick(&[0, 1, 0x7f, 0x80, 0xff]),
            2..=5 => {
                let value = boundary(random, bytes.len());
                let value = if random.below(2) == 0 {
                    value.to_le_bytes()
                } else {
                    let mut value = value.to_be_bytes();
                    value.rotate_left(8 - width);
                    value
                };
                bytes[at..at + width].copy_from_slice(&value[..width]);
            }
            6 => bytes[at..at + width].fill(0),
            _ => {
                let from = random.below(bytes.len() - width + 1);
                bytes.copy_within(from..from + width, at);
            }
        }
    }
    if random.below(8) == 0 { random.below(bytes.len() + 1) } else { bytes.len() }
}

/// The outcome of an inspection in a word. Reads the whole result.
fn outcome(result: Result<Inspection, InspectError>) -> &'static str {
    match result {
        Ok(found) => {
            assert!(
                found.needed.len() <= 256 && found.needed.iter().all(|name| name.as_raw().len() <= 3 * 4096)
            );
            assert!(found.metadata_json.len() <= 1 << 20);
            match found.verdict() {
                Ok(()) => "accepted",
                Err(Refusal::Platform { .. } | Refusal::CLibrary { .. }) => "refused: platform",
                Err(_) => "refused: contract",
            }
        }
        Err(error) => {
            let line = error.to_string();
            assert!(!line.is_empty() && !line.contains('\n') && line.len() < 1000, "{line}");
            match error {
                InspectError::NotALibrary { .. } | InspectError::Image(_) => "not a library",
                InspectError::Corrupt { .. } => "corrupt",
                InspectError::NotDynamic { .. } => "not dynamic",
                InspectError::NoMetadata { .. }
                | InspectError::NoSections
                | InspectError::MetadataTooLarge { .. } => "no metadata",
                _ => "bad metadata",
            }
        }
    }
}

/// The outcome of inspecting `bytes`, and its largest memory.
fn measured(bytes: &[u8]) -> (&'static str, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let outcome = outcome(inspect_bytes(bytes));
    (outcome, PEAK.get() - before)
}

#[test]
fn mutated_libraries_end_in_an_answer_and_in_bounded_memory() {
    let subjects = subjects();
    assert!(subjects.len() as u32 * MUTATIONS >= 100_000);
    let mut outcomes = BTreeMap::<_, u32>::new();
    let mut most = 0;
    let folder = folder();
    let file = folder.path().join("libx.so");
    for subject in &subjects {
        let clean = inspect_bytes(&subject.bytes).unwrap();
        assert_eq!(clean.contract, Ok(()), "{}: undamaged", subject.name);
        let mut random = Random(0x6a61_636b_6669_656c);
        let mut bytes = subject.bytes.clone();
        let mut undo = Vec::new();
        for number in 0..MUTATIONS {
            let length = mutate(&mut random, subject, &mut bytes, &mut undo);
            let (outcome, peak) = catch_unwind(|| measured(&bytes[..length])).unwrap_or_else(|_| {
                panic!("{}: mutation {number} at {undo:?}, {length} bytes", subject.name);
            });
            assert!(peak <= MEMORY_LIMIT, "{}: mutation {number} takes {peak} bytes: {undo:?}", subject.name);
            // What is read of a file leads to the same answer.
            if number % 200 == 0 {
                std::fs::write(&file, &bytes[..length]).unwrap();
                let told = |refusal: String| refusal.replace(&format!("inspect: {}: ", file.display()), "");
                let of_file = inspect(&file).map(|found| format!("{found:?}"));
                let of_bytes = inspect_bytes(&bytes[..length]).map(|found| format!("{found:?}"));
                assert_eq!(
                    of_file.map_err(|refusal| told(refusal.to_string())),
                    of_bytes.map_err(|refusal| refusal.to_string()),
                    "{}: mutation {number}: {undo:?}",
                    subject.name
                );
            }
            most = most.max(peak);
            *outcomes.entry(outcome).or_default() += 1;
            for (at, before) in undo.drain(..).rev() {
                bytes[at..at + before.len()].copy_from_slice(&before);
            }
        }
        assert_eq!(bytes, subject.bytes, "{}: every mutation is undone", subject.name);
    }
    println!("{outcomes:?}, at most {most} bytes");
    // Mutations with a single outcome would test nothing else.
    for expected in [
        "accepted",
        "refused: platform",
        "refused: contract",
        "not a library",
        "corrupt",
        "no metadata",
        "bad metadata",
    ] {
        assert!(outcomes.get(expected).is_some_and(|count| *count >= 20), "{expected}: {outcomes:?}");
    }
}

#[test]
fn the_largest_metadata_that_is_read_fits_in_bounded_memory() {
    let folder = folder();
    let room = (1 << 20) - 4096;
    let good = common::metadata("large");
    let with = |member: &str, value: &str| {
        let text = good.to_string();
        format!("{},\"{member}\":{value}}}", text.strip_suffix('}').unwrap())
    };
    let mut description = good.clone();
    description["description"] = "d".repeat(room).into();
    let mut schema = good.clone();
    schema["config_schema"] = serde_json::json!({ "description": "s".repeat(room) });
    let mut list = good.clone();
    list["requires"] = vec![""; room / 3].into();
    for (name, text, expected) in [
        ("a long description", description.to_string(), "accepted"),
        ("a long schema", schema.to_string(), "accepted"),
        ("a long list", list.to_string(), "bad metadata"),
        ("deep nesting", with("later", &("[".repeat(room / 2) + &"]".repeat(room / 2))), "accepted"),
        ("nesting without end", with("later", &"[".repeat(room)), "bad metadata"),
        ("many members", with("later", &format!("{{{}\"\":0}}", "\"\":0,".repeat(room / 6))), "accepted"),
        (
            "many unknown members",
            good.to_string().replacen('{', &format!("{{{}", "\"u\":0,".repeat(room / 7)), 1),
            "accepted",
        ),
    ] {
        let path = Plugin::new("large").section(&text).in_file(folder.path()).build(folder.path(), "libx.so");
        let (outcome, peak) = measured(&fs::read(path).unwrap());
        println!("{name}: {outcome}, {peak} bytes");
        assert_eq!(outcome, expected, "{name}");
        assert!(peak <= MEMORY_LIMIT, "{name} takes {peak} bytes");
    }
}
