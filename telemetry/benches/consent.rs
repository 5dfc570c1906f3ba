//! What a look at the user's consent costs an event. `scripts/bench redact` has the cost of redaction.
//!
//! `cargo bench -p jackfield --bench consent`

use std::{hint::black_box, time::Instant};

use jackfield::{ConsentOptions, ConsentSource};

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
    println!("{:<44}{:>10}", "ns a call", "best");
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
