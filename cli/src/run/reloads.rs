//! The message about a reload.

use jackfield::{ReloadError, ReloadReport};

/// The result of a reload in one line. The log says why a backend is not as configured.
pub(super) fn told(outcome: &Result<ReloadReport, ReloadError>) -> String {
    let reloaded = match outcome {
        Ok(reloaded) => reloaded,
        Err(error) => return error.to_string(),
    };
    let refused: Vec<_> = reloaded.refused.iter().map(|(name, _)| name.clone()).collect();
    let refused = refused.into_iter().filter(|name| !reloaded.closed.contains(name));
    let (waiting, kept): (Vec<_>, Vec<_>) = refused.partition(|name| reloaded.added.contains(name));
    let mut added = reloaded.added.clone();
    added.retain(|name| !waiting.contains(name));
    let parts = [
        (&reloaded.swapped, "swapped"),
        (&added, "added"),
        (&reloaded.removed, "removed"),
        (&reloaded.unchanged, "unchanged"),
        (&reloaded.closed, "closed, not trusted any more"),
        (&kept, "not swapped"),
        (&waiting, "not available yet"),
    ];
    let parts: Vec<_> = parts
        .into_iter()
        .filter(|(names, _)| !names.is_empty())
        .map(|(names, what)| {
            let backends = if names.len() == 1 { "backend" } else { "backends" };
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            format!("{backends} {} {what}", names.join(", "))
        })
        .collect();
    if parts.is_empty() { "nothing is open yet".to_owned() } else { parts.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_whose_name_is_a_word_reads_as_a_backend() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let mut reloaded = ReloadReport::default();
        assert_eq!(told(&Ok(reloaded.clone())), "nothing is open yet");
        reloaded.removed = names(&["file"]);
        assert_eq!(told(&Ok(reloaded.clone())), "backend `file` removed");
        reloaded.swapped = names(&["a", "b"]);
        reloaded.added = names(&["c", "new"]);
        reloaded.closed = names(&["e"]);
        reloaded.refused = ["new", "e", "d"].map(|name| (name.to_owned(), "why".to_owned())).to_vec();
        assert_eq!(
            told(&Ok(reloaded)),
            "backends `a`, `b` swapped; backend `c` added; backend `file` removed; backend `e` closed, \
             not trusted any more; backend `d` not swapped; \
             backend `new` not available yet"
        );
        let error = ReloadError { reason: "no".into() };
        assert_eq!(told(&Err(error)), "all backends stay as they are: no");
    }
}
