//! What privacy costs an event: redaction of what has no secret and of what has, and a look at the user's consent.
//!
//! `cargo bench -p jackfield --bench privacy`

use std::{hint::black_box, time::Instant};

use jackfield::{ConsentOptions, ConsentSource, redact};

/// The best of some rounds, in nanoseconds a call.
fn best(mut call: impl FnMut()) -> f64 {
    const CALLS: u32 = 2000;
    let round = |call: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| call());
        start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
    };
    (0..30).map(|_| round(&mut call)).fold(f64::INFINITY, f64::min)
}

#[expect(clippy::print_stdout, reason = "a benchmark reports on it")]
fn main() {
    let sentence =
        "error: could not compile `telemetry` (lib) due to 3 previous errors; warning: 2 warnings emitted. ";
    let path = "/home/me/projects/telemetry/src/redact/scanner.rs:120:17 at 6e5c905d2f1b7a8c9e0d1f2a3b4c5d6e7f8a9b0c ";
    let secret = "GET https://me:pw@host/v1?page=2&access_token=abcdef&limit=3 answered 401 ";
    println!("{:<44}{:>10}", "ns a call", "best");
    for (name, text) in [
        ("redact, an argument of 5 bytes", "build".to_owned()),
        ("redact, 300 bytes of sentences, borrowed", sentence.repeat(4)[..300].to_owned()),
        ("redact, 300 bytes of paths, borrowed", path.repeat(4)[..300].to_owned()),
        ("redact, 300 bytes with 4 secrets", (secret.repeat(2) + sentence + sentence)[..300].to_owned()),
    ] {
        println!("{name:<44}{:>10.0}", best(|| drop(black_box(redact(black_box(&text))))));
    }
    let file = std::env::temp_dir().join(format!("jackfield-bench-{}.toml", std::process::id()));
    let options =
        ConsentOptions { prefix: Some("TOOL".into()), file: Some(file.clone()), ..ConsentOptions::default() };
    let source = ConsentSource::new(options);
    if source.enable().is_ok() {
        println!("{:<44}{:>10.0}", "consent, file just written", best(|| drop(black_box(source.read()))));
        std::thread::sleep(std::time::Duration::from_millis(3100));
        println!("{:<44}{:>10.0}", "consent, file unchanged", best(|| drop(black_box(source.read()))));
        println!(
            "{:<44}{:>10.0}",
            "consent, recent answer",
            best(|| {
                let _ = black_box(source.current());
            })
        );
        println!(
            "{:<44}{:>10.0}",
            "(stat of the file alone)",
            best(|| drop(black_box(std::fs::metadata(&file))))
        );
    }
    let lock =
        file.with_file_name(format!(".{}.lock", file.file_name().unwrap_or_default().to_string_lossy()));
    for file in [file, lock] {
        let _ = std::fs::remove_file(file);
    }
}
