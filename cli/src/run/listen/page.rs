//! The page: what `jackfield status` shows, and the plots. It has no script, and loads nothing.

use jackfield_loader::span;

use super::{
    board::View,
    health::ready,
    history::Sample,
    html::{element, escaped},
    plot::plots,
};
use crate::{
    run_state::{BackendNow, Snapshot, SpoolNow},
    status_text::{self, CIRCUIT, HEAD, cells},
};

const STYLE: &str = include_str!("page.css");

/// What a browser may do with any answer: show it with its own style. The digest is that of `page.css`.
pub(super) const POLICY: &str = "default-src 'none'; img-src data:; \
     style-src 'sha256-KuWzvMXbppNNYYXvME9JKFxc6K/b4Lvs7H4gi8XFhQg='; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The query of the page that is not updated.
pub(super) const STILL: &str = "still";
/// Seconds between two updates.
const REFRESH: u32 = 10;

/// The columns with numbers.
const NUMBERS: [bool; HEAD.len()] = [false, false, false, true, true, true, true, true, true, false, true];

pub(super) fn page(view: &View, samples: &[Sample], updates: bool) -> String {
    let now = &*view.snapshot;
    let refresh = if updates {
        format!("<meta http-equiv=\"refresh\" content=\"{REFRESH}\">\n")
    } else {
        String::new()
    };
    let update = match updates {
        true => format!("updated every {REFRESH} s, <a href=\"/?{STILL}\">stop</a>"),
        false => "not updated, <a href=\"/\">start</a>".to_owned(),
    };
    let age = match view.age.as_secs() {
        0..2 => String::new(),
        age => escaped(format!("The numbers are {} old. ", span(age))),
    };
    let more: String = status_text::uses(now)
        .into_iter()
        .chain(status_text::last_reload(now))
        .map(|it| element("p", it))
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n{refresh}<link rel=\"icon\" href=\"data:,\">\n\
         {}<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header>\n<h1>jackfield run</h1>\n{}</header>\n{}{}\
         <section aria-label=\"The last hour\" class=\"plots\">\n{}</section>\n{}\
         <footer>\n{more}<p>{age}This page is {update}. \
         <a href=\"/metrics\">/metrics</a> <a href=\"/healthz\">/healthz</a> <a href=\"/readyz\">/readyz</a></p>\n\
         </footer>\n</main>\n</body>\n</html>\n",
        element("title", format!("jackfield run: {}", now.state)),
        state(view),
        element("p", status_text::running(now)),
        input(now),
        plots(samples, !now.of_tools),
        now.spools.iter().map(spool).collect::<String>(),
    )
}

/// Whether the run is ready, in words and in colour, and why not.
fn state(view: &View) -> String {
    match ready(Some(view)) {
        Ok(()) => "<p class=\"state good\">ready</p>\n".to_owned(),
        Err(reason) => format!("<p class=\"state bad\">not ready: {}</p>\n", escaped(reason)),
    }
}

fn input(now: &Snapshot) -> String {
    let read = if now.of_tools { element("p", &now.input) } else { element("p", status_text::input(now)) };
    let wrong = status_text::holding(now).into_iter().chain(status_text::not_stored(now));
    read + &wrong.map(warning).collect::<String>()
}

fn warning(line: impl std::fmt::Display) -> String {
    format!("<p class=\"warning\">{}</p>\n", escaped(line))
}

fn spool(spool: &SpoolNow) -> String {
    let oldest =
        spool.oldest_s.map(|age| element("p", format!("the oldest waiting event is {} old", span(age))));
    let lines: String = status_text::of_spool(spool).into_iter().map(warning).collect();
    let errors: String = spool.backends.iter().flat_map(status_text::of_backend).map(warning).collect();
    format!(
        "<section>\n{}{}{lines}{}{errors}</section>\n",
        element("h2", status_text::waiting(spool)),
        oldest.unwrap_or_default(),
        table(spool)
    )
}

/// The table of the backends. The style stacks its cells on a narrow screen, so the roles are written out: without them a
/// browser takes a table whose cells are stacked for none.
fn table(spool: &SpoolNow) -> String {
    let class = |column: usize| if NUMBERS[column] { " class=\"number\"" } else { "" };
    let head = |(column, name): (usize, &&str)| {
        format!("<th role=\"columnheader\" scope=\"col\"{}>{}</th>", class(column), escaped(name))
    };
    let head: String = HEAD.iter().enumerate().map(head).collect();
    let row = |backend: &BackendNow| {
        let cell = |(column, text)| {
            let (text, name) = (escaped(text), HEAD[column]);
            match column {
                0 => format!("<th role=\"rowheader\" scope=\"row\">{text}</th>"),
                CIRCUIT if backend.paused_s.is_some() => {
                    format!("<td role=\"cell\" data-name=\"{name}\" class=\"warned\">{text}</td>")
                }
                _ => format!("<td role=\"cell\" data-name=\"{name}\"{}>{text}</td>", class(column)),
            }
        };
        let cells: String = cells(backend).into_iter().enumerate().map(cell).collect();
        format!("<tr role=\"row\">{cells}</tr>\n")
    };
    let rows: String = spool.backends.iter().map(row).collect();
    format!(
        "<table role=\"table\">\n<caption>{}</caption>\n<thead role=\"rowgroup\"><tr role=\"row\">{head}</tr></thead>\n\
         <tbody role=\"rowgroup\">\n{rows}</tbody>\n</table>\n",
        escaped(format!("Backends of {}", spool.tool))
    )
}

#[cfg(test)]
mod tests {
    use ct_codecs::{Base64, Encoder as _};
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_policy_allows_the_style_of_the_page_and_no_other() {
        let digest = Base64::encode_to_string(Sha256::digest(STYLE)).expect("short");
        assert!(
            POLICY.contains(&format!("style-src 'sha256-{digest}';")),
            "the digest of page.css is {digest}"
        );
    }
}
