//! The README and the pages under `docs/`, and their blocks of code.

use std::{fs, path::PathBuf};

use crate::workspace;

/// The pages under `docs/`, with their text.
///
/// # Panics
/// When they can't be read.
#[must_use]
pub fn pages() -> Vec<(PathBuf, String)> {
    let mut found: Vec<_> = ["docs", "docs/operating"]
        .into_iter()
        .flat_map(|folder| fs::read_dir(workspace().join(folder)).expect("a folder of pages"))
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| (path.clone(), fs::read_to_string(&path).expect("UTF-8")))
        .collect();
    found.sort();
    assert!(found.len() > 3, "the guides are in docs/");
    found
}

/// The README.
///
/// # Panics
/// When they can't be read.
#[must_use]
pub fn readme() -> String {
    fs::read_to_string(workspace().join("README.md")).expect("README.md")
}

/// The pages and the README, with their text.
#[must_use]
pub fn documents() -> Vec<(PathBuf, String)> {
    let mut all = pages();
    all.push((workspace().join("README.md"), readme()));
    all
}

/// A block of code.
#[derive(Debug)]
pub struct Block {
    /// Page and line.
    pub at: String,
    /// The page, from the root of the repository.
    pub page: String,
    /// The words behind the quotes with which it begins.
    pub info: Vec<String>,
    /// Its lines.
    pub lines: Vec<String>,
}

/// The blocks of all pages and of the README.
///
/// # Panics
/// When one does not end.
#[must_use]
pub fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    for (path, text) in documents() {
        let mut open: Option<Block> = None;
        for (number, line) in text.lines().enumerate() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(info), None) => {
                    let page =
                        path.strip_prefix(workspace()).expect("in the repository").display().to_string();
                    open = Some(Block {
                        at: format!("{page}:{}", number + 1),
                        page,
                        info: info.split_whitespace().map(str::to_owned).collect(),
                        lines: Vec::new(),
                    });
                }
                (None, Some(block)) => block.lines.push(line.to_owned()),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block does not end", path.display());
    }
    blocks
}

/// The blocks of one page, whose path is from the root of the repository.
#[must_use]
pub fn blocks_of_page(page: &str) -> Vec<Block> {
    blocks().into_iter().filter(|block| block.page == page).collect()
}
