use super::*;

/// The file, the number of bytes that were given, and what the next run would begin with.
fn resumed(folder: &Path, taken: usize) -> (RegularFile, u64) {
    let (input, state) = (folder.join("input"), folder.join("state"));
    let mut file = resume(&input, Position::open(&state).expect("room")).expect("there");
    let mut block = vec![0; BLOCK];
    file.next(&mut block, &|| true).expect("readable");
    file.take(taken).expect("there");
    let kept = Position::open(&state).expect("there").offset;
    (file, kept)
}

#[test]
fn a_run_that_is_killed_inside_a_long_line_begins_with_its_start() {
    let folder = tempfile::tempdir().expect("room");
    let long = "x".repeat(2 * BLOCK);
    fs::write(folder.path().join("input"), format!("one\n{long}")).expect("room");
    let (mut file, kept) = resumed(folder.path(), 4);
    assert_eq!(kept, 4);
    let mut block = vec![0; BLOCK];
    assert!(file.next(&mut block, &|| true).expect("readable").full);
    file.take(BLOCK).expect("there");
    assert_eq!(Position::open(&folder.path().join("state")).expect("there").offset, 4);
    fs::write(folder.path().join("input"), format!("one\n{long}\n")).expect("room");
    assert_eq!(file.next(&mut block, &|| true).expect("readable").len, BLOCK);
    file.take(BLOCK).expect("there");
    assert_eq!(file.next(&mut block, &|| true).expect("readable").len, 1);
    file.take(1).expect("there");
    let end = 4 + long.len() as u64 + 1;
    assert_eq!(Position::open(&folder.path().join("state")).expect("there").offset, end);
}

#[test]
fn a_new_file_that_can_not_be_opened_yet_is_waited_for() {
    let folder = tempfile::tempdir().expect("room");
    let input = folder.path().join("input");
    fs::write(&input, "one\n").expect("room");
    let (RegularFile::Followed(mut file), _) = resumed(folder.path(), 4) else { panic!("compressed") };
    let mut next = || {
        // Nothing is appended to the old file any more.
        file.came = Instant::now().checked_sub(LAST_BYTES).expect("the clock has run for a second");
        let mut block = vec![0; BLOCK];
        let len = file.next(&mut block, &|| true).expect("it waits").len;
        file.left = 0;
        file.position.advance(len, false);
        String::from_utf8_lossy(&block[..len]).into_owned()
    };
    fs::rename(&input, folder.path().join("input.1")).expect("renamed");
    fs::create_dir(&input).expect("room");
    assert_eq!([next(), next()], ["", ""]);
    fs::remove_dir(&input).expect("empty");
    fs::write(&input, "two\n").expect("room");
    assert_eq!(next(), "two\n");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |mode| fs::set_permissions(&input, fs::Permissions::from_mode(mode)).expect("ours");
        fs::rename(&input, folder.path().join("input.2")).expect("renamed");
        fs::write(&input, "three\n").expect("room");
        mode(0);
        // Root opens it all the same.
        if open(&input).is_err() {
            assert_eq!(next(), "");
            mode(0o600);
        }
        assert_eq!(next(), "three\n");
    }
}

#[test]
fn the_whole_lines_of_a_damaged_archive_are_given_before_its_error() {
    use std::io::Write as _;

    let lines: String = (0..20_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let text = lines.trim_end();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).expect("memory");
    let archive = encoder.finish().expect("memory");
    let len = archive.len();
    let wrong_sum = [&archive[..len - 8], &[0; 8]].concat();
    for (what, bytes, least) in [
        ("garbage after a member", [&archive[..], b"garbage"].concat(), text.len()),
        ("a wrong checksum", wrong_sum, text.len()),
        ("no checksum", archive[..len - 8].to_vec(), text.len()),
        ("cut off", archive[..len / 2].to_vec(), text.len() / 3),
    ] {
        let folder = tempfile::tempdir().expect("room");
        let input = folder.path().join("input");
        fs::write(&input, bytes).expect("room");
        let position = || Position::open(&folder.path().join("state")).expect("room");
        let mut file = resume(&input, position()).expect("there");
        let (mut block, mut given) = (vec![0; BLOCK], Vec::new());
        let error = loop {
            let found = match file.next(&mut block, &|| false) {
                Ok(found) => found,
                Err(error) => break error.to_string(),
            };
            let whole = memchr::memrchr(b'\n', &block[..found.len]).map_or(0, |at| at + 1);
            let len = if found.end { found.len } else { whole };
            assert!(len > 0, "{what}: no end");
            given.extend_from_slice(&block[..len]);
            file.take(len).expect("there");
        };
        let given = String::from_utf8(given).expect("the text");
        assert!(given.len() >= least && text.starts_with(&given), "{what}: {} bytes", given.len());
        assert!(given.ends_with(['\n', '}']), "{what}");
        assert!(error.contains(" bytes could be decompressed"), "{what}: {error}");
        // The next run gives none of them again.
        let mut file = resume(&input, position()).expect("there");
        assert!(file.next(&mut block, &|| false).is_err(), "{what}");
    }
}

#[test]
fn a_compressed_file_that_was_renamed_is_not_read_as_lines() {
    let folder = tempfile::tempdir().expect("room");
    let input = folder.path().join("input");
    fs::write(&input, [&[0x1f, 0x8b][..], &[0; 100]].concat()).expect("room");
    let of = identity_at(&input).expect("there");
    let mut position = Position::open(&folder.path().join("state")).expect("room");
    position.set(of, 10);
    fs::rename(&input, folder.path().join("input.1")).expect("renamed");
    fs::write(&input, "one\n").expect("room");
    let RegularFile::Followed(file) = resume(&input, position).expect("there") else { panic!("compressed") };
    assert_eq!(file.position.of, identity_at(&input).expect("there"));
}
