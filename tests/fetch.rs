//! `astill fetch` against a server on this machine that cuts, lies, redirects and fails.
#![allow(clippy::expect_used)] // clippy takes only functions with #[test] for tests

#[path = "fetch/server.rs"]
mod server;

use astill::fetch::{
    Checksum, Client, DataSet, Fetched, Packing, Progress, Proof, Repository, SourceFile, fetch,
    is_there, unpack,
};
use astill_core::cli::FetchArgs;
use flate2::Compression;
use flate2::write::GzEncoder;
use server::{Reply, Request, Server, file};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Nobody watches.
struct Silent;

impl Progress for Silent {
    fn say(&mut self, _: &str) {}
    fn bytes(&mut self, _: &str, _: u64, _: Option<u64>) {}
}

/// The content of the set's one file, which cannot be compressed.
fn content() -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..60_000).map(|_| next()).collect()
}

/// An archive with the files `set/a.bin` and `set/deep/b.txt`.
fn tar_gz(entries: impl FnOnce(&mut tar::Builder<GzEncoder<Vec<u8>>>)) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    add(&mut tar, "set/a.bin", &content());
    add(&mut tar, "set/deep/b.txt", b"text");
    entries(&mut tar);
    tar.into_inner()
        .and_then(GzEncoder::finish)
        .expect("in memory")
}

fn add<W: Write>(tar: &mut tar::Builder<W>, path: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    // not through `set_path`, which refuses what a hostile archive does
    let name = &mut header.as_old_mut().name;
    name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_cksum();
    tar.append(&header, bytes).expect("in memory");
}

fn link(
    kind: tar::EntryType,
    path: &str,
    target: &str,
) -> impl Fn(&mut tar::Builder<GzEncoder<Vec<u8>>>) {
    move |tar| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o644);
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        tar.append(&header, std::io::empty()).expect("in memory");
    }
}

fn set(archive: &[u8], packing: Packing, urls: &[String]) -> DataSet {
    let digits: String = Sha256::digest(archive)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    DataSet {
        name: "things".into(),
        about: "things".into(),
        folder: "things".into(),
        files: vec![SourceFile {
            name: "things.tar.gz".into(),
            urls: urls.to_vec(),
            bytes: Some(archive.len() as u64),
            checksums: vec![Checksum::sha256(&digits)],
            packing,
        }],
        proof: vec!["set/a.bin".into(), "set/deep/b.txt".into()],
        hub: None,
        commit: None,
    }
}

fn arguments(from: &[PathBuf], mirror: &[String]) -> FetchArgs {
    FetchArgs {
        set: Some("things".into()),
        from: from.to_vec(),
        mirror: mirror.to_vec(),
        revision: None,
        list: false,
    }
}

fn client() -> Client {
    let mut client = Client::new(|_| None).expect("no certificates to read");
    client.pause = |_| Duration::ZERO;
    client
}

fn get(set: &DataSet, data: &Path, mirror: &[String]) -> astill_core::Result<Fetched> {
    fetch(set, &arguments(&[], mirror), data, &client(), &mut Silent)
}

#[track_caller]
fn assert_complete(data: &Path) {
    assert_eq!(
        fs::read(data.join("things/set/a.bin")).ok(),
        Some(content())
    );
    assert_eq!(
        fs::read(data.join("things/set/deep/b.txt")).ok(),
        Some(b"text".to_vec())
    );
    assert!(!data.join(".fetch").exists(), "nothing else is left");
}

/// The error, with nothing of the set in place.
#[track_caller]
fn refusal(result: astill_core::Result<Fetched>, data: &Path) -> String {
    assert!(!data.join("things").exists(), "nothing is in place");
    result.expect_err("refused").to_string()
}

/// A set whose first address is a server that answers like this.
fn served(
    answer: impl Fn(&Request, usize, &[u8]) -> Reply + Send + Sync + 'static,
) -> Result<(Server, DataSet, TempDir), Box<dyn std::error::Error>> {
    let archive = tar_gz(|_| ());
    let bytes = archive.clone();
    let server = Server::start(move |request, before| answer(request, before, &bytes))?;
    let set = set(
        &archive,
        Packing::TarGz,
        &[format!("{}/things.tar.gz", server.url)],
    );
    Ok((server, set, TempDir::new()?))
}

#[test]
fn a_set_is_fetched_once() -> Outcome {
    let (server, set, data) = served(|r, _, bytes| file(r, bytes, "\"1\""))?;
    let folder = data.path().join("things");
    assert_eq!(get(&set, data.path(), &[])?, Fetched::Done(folder.clone()));
    assert_complete(data.path());
    assert_eq!(get(&set, data.path(), &[])?, Fetched::AlreadyThere(folder));
    assert_eq!(server.requests().len(), 1);
    Ok(())
}

#[test]
fn answers_that_are_cut_are_continued_where_they_ended() -> Outcome {
    let (server, set, data) = served(|r, _, bytes| file(r, bytes, "\"1\"").cut(9_000))?;
    get(&set, data.path(), &[])?;
    assert_complete(data.path());
    let starts: Vec<_> = server.requests().iter().map(Request::from).collect();
    assert!(starts.len() > 4 && starts[0].is_none() && starts[1..].iter().all(Option::is_some));
    assert!(server.requests()[1].header("if-range") == Some("\"1\""));
    Ok(())
}

#[test]
fn a_server_that_ignores_ranges_is_read_from_the_beginning() -> Outcome {
    let (server, set, data) = served(|_, before, bytes| match before {
        0 => Reply::new(200, bytes).cut(20_000),
        _ => Reply::new(200, bytes),
    })?;
    get(&set, data.path(), &[])?;
    assert_complete(data.path());
    assert_eq!(server.requests().len(), 2);
    Ok(())
}

#[test]
fn a_file_that_has_changed_meanwhile_is_read_from_the_beginning() -> Outcome {
    let (_server, set, data) = served(|r, before, bytes| match before {
        0 => {
            let other: Vec<u8> = bytes.iter().map(|b| !b).collect();
            file(r, &other, "\"old\"").cut(20_000)
        }
        _ => file(r, bytes, "\"new\""),
    })?;
    get(&set, data.path(), &[])?;
    assert_complete(data.path());
    Ok(())
}

/// One that begins again each time and is cut anywhere is given up: it does not get any further.
#[test]
fn a_server_that_ignores_ranges_and_is_always_cut_is_given_up() -> Outcome {
    let (server, set, data) = served(|_, before, bytes| {
        let after = [20_000, 10_000, 19_000, 15_000, 18_000][before % 5];
        Reply::new(200, bytes).cut(after)
    })?;
    let error = refusal(get(&set, data.path(), &[]), data.path());
    assert!(error.contains("--mirror URL"), "{error}");
    assert!(server.requests().len() < 20, "{}", server.requests().len());
    Ok(())
}

#[test]
fn a_part_of_a_file_of_unknown_length_is_continued_and_a_weak_tag_names_no_version() -> Outcome {
    let (server, set, data) = served(|r, before, bytes| match before {
        0 => file(r, bytes, "W/\"1\"").cut(20_000),
        _ => {
            let from = r.from().unwrap_or(0);
            let range = format!("bytes {from}-{}/*", bytes.len() - 1);
            Reply::new(206, &bytes[from..]).with("content-range", &range)
        }
    })?;
    get(&set, data.path(), &[])?;
    assert_complete(data.path());
    let again = &server.requests()[1];
    assert_eq!(
        (again.header("if-range"), again.from()),
        (None, Some(20_000))
    );
    Ok(())
}

#[test]
fn of_two_that_fetch_the_same_set_one_waits_for_the_other() -> Outcome {
    let (server, set, data) = served(|r, _, bytes| file(r, bytes, "\"1\""))?;
    let both = std::thread::scope(|scope| {
        let fetches = [(); 2].map(|()| scope.spawn(|| get(&set, data.path(), &[])));
        fetches.map(|fetch| fetch.join().expect("no panic"))
    });
    for fetched in both {
        fetched?;
    }
    assert_complete(data.path());
    assert_eq!(server.requests().len(), 1);
    Ok(())
}

/// Somebody who stops once a part has arrived.
struct Stopping {
    arrived: u64,
}

impl Progress for Stopping {
    fn say(&mut self, _: &str) {}
    fn bytes(&mut self, _: &str, done: u64, _: Option<u64>) {
        self.arrived = done;
    }
    fn is_ended(&self) -> bool {
        self.arrived > 0
    }
}

#[test]
fn a_fetch_that_is_stopped_keeps_what_has_arrived() -> Outcome {
    let (server, set, data) = served(|r, before, bytes| match before {
        // the rest comes only to who asks again
        0 => file(r, bytes, "\"1\"").cut(20_000).stall(),
        _ => file(r, bytes, "\"1\""),
    })?;
    let mut stopping = Stopping { arrived: 0 };
    let stopped = fetch(
        &set,
        &arguments(&[], &[]),
        data.path(),
        &client(),
        &mut stopping,
    );
    assert!(matches!(stopped, Err(astill_core::Error::Interrupted)));
    assert!(!data.path().join("things").exists());
    get(&set, data.path(), &[])?;
    assert_complete(data.path());
    assert_eq!(server.requests()[1].from(), Some(stopping.arrived as usize));
    Ok(())
}

/// A good archive is not thrown away because of the disk that it is unpacked to.
#[test]
fn an_archive_stays_where_it_cannot_be_unpacked() -> Outcome {
    // no file system has a name so long
    let name = "n".repeat(300);
    let archive = tar_gz(|tar| {
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        tar.append_data(&mut header, format!("set/{name}"), &b"x"[..])
            .expect("in memory");
    });
    let bytes = archive.clone();
    let server = Server::start(move |r, _| file(r, &bytes, "\"1\""))?;
    let data = TempDir::new()?;
    let url = format!("{}/things.tar.gz", server.url);
    let set = set(&archive, Packing::TarGz, &[url]);
    for _again in 0..2 {
        let error = get(&set, data.path(), &[]).expect_err("a name that is too long");
        assert!(matches!(error, astill_core::Error::Io { .. }), "{error}");
        let part = data.path().join(".fetch/things/things.tar.gz.part");
        assert_eq!(fs::read(part)?, archive);
    }
    assert_eq!(server.requests().len(), 1, "it was fetched once");
    Ok(())
}

#[test]
fn a_set_of_two_archives_has_what_both_hold() -> Outcome {
    let first = tar_gz(|_| ());
    let mut second = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    add(&mut second, "set/deep/c.txt", b"more");
    let second = second.into_inner()?.finish()?;
    let files = TempDir::new()?;
    let mut set = set(&first, Packing::TarGz, &[]);
    let mut more = self::set(&second, Packing::TarGz, &[]).files;
    more[0].name = "more.tar.gz".into();
    set.files.append(&mut more);
    set.proof.push("set/deep/c.txt".into());
    let paths = [("things.tar.gz", &first), ("more.tar.gz", &second)].map(|(name, bytes)| {
        let path = files.path().join(name);
        fs::write(&path, bytes).map(|()| path)
    });
    let [first, second] = paths;
    // in any order, and a file that is missing is named
    let given = [second?, first?];
    for (from, is_whole) in [(&given[..1], false), (&given[..], true)] {
        let data = TempDir::new()?;
        let fetched = fetch(
            &set,
            &arguments(from, &[]),
            data.path(),
            &client(),
            &mut Silent,
        );
        match is_whole {
            true => {
                fetched?;
                assert_complete(data.path());
                assert_eq!(
                    fs::read(data.path().join("things/set/deep/c.txt"))?,
                    b"more"
                );
            }
            false => {
                let error = refusal(fetched, data.path());
                assert!(error.contains("is not things.tar.gz"), "{error}");
            }
        }
    }
    Ok(())
}

#[test]
fn another_part_than_the_one_asked_for_is_not_taken() -> Outcome {
    let (_server, set, data) = served(|r, before, bytes| match before {
        0 => file(r, bytes, "\"1\"").cut(20_000),
        1 => Reply::new(206, &bytes[5..]).with("content-range", "bytes 5-9/10"),
        _ => file(r, bytes, "\"1\""),
    })?;
    get(&set, data.path(), &[])?;
    assert_complete(data.path());
    Ok(())
}

#[test]
fn redirects_are_followed_and_endless_ones_end() -> Outcome {
    let (_server, set, data) = served(|r, _, bytes| match r.path.as_str() {
        "/elsewhere" => file(r, bytes, "\"1\""),
        _ => Reply::new(302, b"").with("location", "/elsewhere"),
    })?;
    get(&set, data.path(), &[])?;
    assert_complete(data.path());

    let (_server, set, data) =
        served(|_, _, _| Reply::new(302, b"").with("location", "/things.tar.gz"))?;
    let error = refusal(get(&set, data.path(), &[]), data.path());
    assert!(
        error.contains("redirect") && error.contains("--from FILE"),
        "{error}"
    );
    Ok(())
}

#[test]
fn what_one_address_gets_wrong_the_next_makes_right() -> Outcome {
    type Wrong = fn(&[u8]) -> Reply;
    let wrongs: [(&str, Wrong); 5] = [
        ("is not there", |_| Reply::new(404, b"")),
        ("is out of order", |_| Reply::new(503, b"")),
        ("has another length", |bytes| Reply::new(200, &bytes[1..])),
        ("has other bytes", |bytes| {
            Reply::new(200, &bytes.iter().map(|b| b ^ 1).collect::<Vec<_>>())
        }),
        ("sends more", |bytes| {
            let mut reply = Reply::new(200, &[bytes, b"more"].concat());
            reply.headers.clear();
            reply
        }),
    ];
    for (what, wrong) in wrongs {
        let (bad, mut set, data) = served(move |_, _, bytes| wrong(bytes))?;
        let archive = tar_gz(|_| ());
        let good = Server::start(move |r, _| file(r, &archive, "\"1\""))?;
        set.files[0]
            .urls
            .push(format!("{}/things.tar.gz", good.url));
        get(&set, data.path(), &[])?;
        assert_complete(data.path());
        assert!(
            !bad.requests().is_empty() && good.requests().len() == 1,
            "{what}"
        );

        // alone, it is refused with what it did
        set.files[0].urls.truncate(1);
        let data = TempDir::new()?;
        let error = refusal(get(&set, data.path(), &[]), data.path());
        assert!(
            error.contains(&bad.url) && error.contains("--mirror URL"),
            "{what}: {error}"
        );
    }
    Ok(())
}

#[test]
fn what_has_arrived_is_kept_for_the_next_address() -> Outcome {
    for wrong in [404, 200] {
        // the first address gives a part, and then another file or none
        let (bad, mut set, data) = served(move |r, before, bytes| match before {
            0 => file(r, bytes, "\"of the first\"").cut(20_000),
            _ => Reply::new(wrong, b"short"),
        })?;
        let archive = tar_gz(|_| ());
        let good = Server::start(move |r, _| file(r, &archive, "\"of the second\""))?;
        set.files[0]
            .urls
            .push(format!("{}/things.tar.gz", good.url));
        get(&set, data.path(), &[])?;
        assert_complete(data.path());
        let asked = &good.requests()[0];
        // the second one may call the same file anything
        assert_eq!(asked.header("if-range"), None, "{wrong}");
        assert_eq!(asked.from(), Some(20_000), "{wrong}");
        assert!(bad.requests()[1].header("if-range").is_some());
    }
    Ok(())
}

#[test]
fn a_set_is_there_only_with_the_lengths_of_its_files() -> Outcome {
    let (_server, mut set, data) = served(|r, _, bytes| file(r, bytes, "\"1\""))?;
    set.proof[0].bytes = Some(content().len() as u64);
    set.proof.push(Proof::folder("set/deep", 1));
    get(&set, data.path(), &[])?;
    assert!(is_there(&set, data.path()));
    // what a fetch that was killed at its end has left goes with the next one
    let left = data.path().join(".fetch/things");
    fs::create_dir_all(left.join("unpacked"))?;
    fs::write(left.join("lock"), "")?;
    assert!(matches!(
        get(&set, data.path(), &[])?,
        Fetched::AlreadyThere(_)
    ));
    assert_complete(data.path());

    let path = data.path().join("things/set/a.bin");
    fs::write(&path, "short")?;
    assert!(!is_there(&set, data.path()));
    let error = get(&set, data.path(), &[]).expect_err("a short file");
    assert!(
        error
            .to_string()
            .contains("set/a.bin has 5 bytes, expected 60000"),
        "{error}"
    );
    fs::remove_file(&path)?;
    let error = get(&set, data.path(), &[]).expect_err("no file");
    assert!(
        error.to_string().contains("set/a.bin is missing"),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_mirror_is_asked_first() -> Outcome {
    let (own, set, data) = served(|_, _, _| Reply::new(404, b""))?;
    let archive = tar_gz(|_| ());
    let mirror = Server::start(move |r, _| file(r, &archive, "\"1\""))?;
    get(&set, data.path(), &[format!("{}/pub/", mirror.url)])?;
    assert_complete(data.path());
    assert_eq!(mirror.requests()[0].path, "/pub/things.tar.gz");
    assert!(own.requests().is_empty());
    Ok(())
}

#[test]
fn files_are_taken_without_a_network_if_they_are_the_right_ones() -> Outcome {
    let archive = tar_gz(|_| ());
    let set = set(
        &archive,
        Packing::TarGz,
        &["http://127.0.0.1:1/things.tar.gz".into()],
    );
    let (data, files) = (TempDir::new()?, TempDir::new()?);
    let path = files.path().join("renamed");
    let from = |path: &Path| {
        fetch(
            &set,
            &arguments(&[path.to_path_buf()], &[]),
            data.path(),
            &client(),
            &mut Silent,
        )
    };
    fs::write(&path, &archive[..archive.len() - 1])?;
    let error = from(&path).expect_err("one byte short");
    assert!(
        error.exit_status() == 2 && error.to_string().contains("expected"),
        "{error}"
    );
    let error = from(&files.path().join("missing")).expect_err("no file");
    assert!(
        error.exit_status() == 2 && error.to_string().contains("things.tar.gz"),
        "{error}"
    );
    assert!(!data.path().join("things").exists());

    fs::write(files.path().join("things.tar.gz"), &archive)?;
    from(files.path())?;
    assert_complete(data.path());
    assert!(
        files.path().join("things.tar.gz").exists(),
        "the user's file stays"
    );
    Ok(())
}

#[test]
fn hostile_archives_write_nothing_outside() -> Outcome {
    let archives: Vec<(&str, Vec<u8>)> = vec![
        ("..", tar_gz(|tar| add(tar, "set/../../../evil", b"x"))),
        ("absolute", tar_gz(|tar| add(tar, "/tmp/astill-evil", b"x"))),
        (
            "symlink",
            tar_gz(link(tar::EntryType::Symlink, "set/l", "/etc/passwd")),
        ),
        (
            "hard link",
            tar_gz(link(tar::EntryType::Link, "set/l", "/etc/passwd")),
        ),
        ("device", tar_gz(link(tar::EntryType::Char, "set/l", ""))),
        ("pipe", tar_gz(link(tar::EntryType::Fifo, "set/l", ""))),
        ("twice", tar_gz(|tar| add(tar, "set/a.bin", b"other"))),
        (
            "through a file",
            tar_gz(|tar| add(tar, "set/a.bin/below", b"x")),
        ),
        (
            "bomb",
            tar_gz(|tar| add(tar, "set/zeros", &vec![0; 40 << 20])),
        ),
        ("cut", {
            let whole = tar_gz(|_| ());
            whole[..whole.len() / 2].to_vec()
        }),
        ("no archive", b"<html>Sign in</html>".to_vec()),
        ("lacks a part", {
            let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
            add(&mut tar, "set/a.bin", b"alone");
            tar.into_inner()?.finish()?
        }),
    ];
    for (what, archive) in archives {
        let data = TempDir::new()?;
        let bytes = archive.clone();
        let server = Server::start(move |r, _| file(r, &bytes, "\"1\""))?;
        let set = set(
            &archive,
            Packing::TarGz,
            &[format!("{}/things.tar.gz", server.url)],
        );
        let result = get(&set, data.path(), &[]);
        assert!(result.is_err(), "{what} is accepted");
        refusal(result, data.path());
        let left: Vec<_> = fs::read_dir(data.path())?
            .flatten()
            .map(|e| e.file_name())
            .collect();
        assert!(left.is_empty(), "{what}: {left:?}");
        assert!(!Path::new("/tmp/astill-evil").exists());
    }
    Ok(())
}

#[test]
fn zip_archives_are_unpacked_under_the_same_rules() -> Outcome {
    let archive = |more: &[(&str, Option<u32>)]| -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file("set/a.bin", options)?;
        zip.write_all(&content())?;
        zip.start_file("set/deep/b.txt", options)?;
        zip.write_all(b"text")?;
        for (name, mode) in more {
            match mode {
                Some(_) => zip.add_symlink(*name, "/etc/passwd", options)?,
                None => zip.start_file(*name, options)?,
            }
        }
        Ok(zip.finish()?.into_inner())
    };
    let good = archive(&[])?;
    let evils = [
        archive(&[("../evil", None)])?,
        archive(&[("/tmp/astill-evil", None)])?,
        archive(&[("set/l", Some(0))])?,
    ];
    for (is_good, bytes) in [(true, good)].into_iter().chain(evils.map(|e| (false, e))) {
        let data = TempDir::new()?;
        let file_path = data.path().join("things.zip");
        fs::write(&file_path, &bytes)?;
        let set = set(&bytes, Packing::Zip, &["http://127.0.0.1:1/x".into()]);
        let result = fetch(
            &set,
            &arguments(&[file_path], &[]),
            data.path(),
            &client(),
            &mut Silent,
        );
        match is_good {
            true => {
                result?;
                assert_complete(data.path());
            }
            false => _ = refusal(result, data.path()),
        }
    }
    Ok(())
}

#[test]
fn what_is_in_the_way_is_named_before_anything_is_fetched() -> Outcome {
    let (server, set, data) = served(|r, _, bytes| file(r, bytes, "\"1\""))?;
    fs::create_dir_all(data.path().join("things/set"))?;
    fs::write(data.path().join("things/set/mine"), "mine")?;
    let error = get(&set, data.path(), &[]).expect_err("in the way");
    assert!(
        error.exit_status() == 2 && error.to_string().contains("things/set"),
        "{error}"
    );
    assert!(server.requests().is_empty() && data.path().join("things/set/mine").exists());
    Ok(())
}

/// A small Hub: one data set with two files, which are served from another address.
fn hub(stall_at: Option<usize>) -> Result<(Server, Server, Vec<u8>), Box<dyn std::error::Error>> {
    let bytes = content();
    let (served, digits): (_, String) = (
        bytes.clone(),
        Sha256::digest(&bytes)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect(),
    );
    let store = Server::start(move |r, before| {
        let reply = file(r, &served, "\"1\"");
        match stall_at {
            Some(at) if before == 0 => reply.cut(at).stall(),
            _ => reply,
        }
    })?;
    let (elsewhere, size) = (store.url.clone(), bytes.len());
    let hub = Server::start(move |r, _| match r.path.as_str() {
        "/api/datasets/o/n/revision/main" => Reply::new(200, br#"{"sha":"abc123"}"#),
        "/api/datasets/o/n/tree/abc123?recursive=true" => {
            let list = format!(
                r#"[{{"type":"directory","path":"data"}},{{"type":"file","path":"README.md","size":3}},
                {{"type":"file","path":"data/test-00000-of-00001.parquet","size":4}},
                {{"type":"file","path":"data/train-00000-of-00001.parquet","size":1,"lfs":{{"oid":"{digits}","size":{size}}}}}]"#
            );
            Reply::new(200, list.as_bytes())
        }
        "/datasets/o/n/resolve/abc123/data/test-00000-of-00001.parquet" => Reply::new(200, b"PAR1"),
        "/datasets/o/n/resolve/abc123/data/train-00000-of-00001.parquet" => {
            Reply::new(302, b"").with("location", &format!("{elsewhere}/blob"))
        }
        _ => Reply::new(404, b""),
    })?;
    Ok((hub, store, bytes))
}

fn astill(data: &Path, hub: &str, set: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_astill"));
    command
        .args(["--data".as_ref(), data.as_os_str()])
        .args(["fetch", set])
        .env_remove("HTTPS_PROXY")
        .env_remove("HTTP_PROXY")
        .env_remove("http_proxy")
        .env_remove("https_proxy")
        .env_remove("ALL_PROXY")
        .env_remove("all_proxy")
        .env("HF_ENDPOINT", hub)
        .env("HF_TOKEN", "secret")
        .stdin(Stdio::null());
    command
}

#[test]
fn a_data_set_of_the_hub_is_fetched_with_a_token_that_nobody_else_gets() -> Outcome {
    let (hub, store, bytes) = hub(None)?;
    let data = TempDir::new()?;
    let output = astill(data.path(), &hub.url, "hf:o/n").output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let folder = data.path().join("o--n");
    assert_eq!(
        fs::read(folder.join("data/train-00000-of-00001.parquet"))?,
        bytes
    );
    assert_eq!(
        fs::read(folder.join("data/test-00000-of-00001.parquet"))?,
        b"PAR1"
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        folder.display().to_string()
    );
    let has_token = |r: &Request| r.header("authorization") == Some("Bearer secret");
    assert!(hub.requests().iter().all(has_token));
    assert!(
        !store
            .requests()
            .iter()
            .any(|r| r.header("authorization").is_some())
    );

    let output = astill(data.path(), &hub.url, "hf:o/unknown").output()?;
    assert_eq!(output.status.code(), Some(2));
    Ok(())
}

#[test]
fn a_fetch_that_was_killed_continues_where_it_was() -> Outcome {
    const THERE: usize = 25_000;
    let (hub, store, bytes) = hub(Some(THERE))?;
    let data = TempDir::new()?;
    let mut child = astill(data.path(), &hub.url, "hf:o/n")
        .stderr(Stdio::null())
        .spawn()?;
    let part = data
        .path()
        .join(".fetch/o--n/data--train-00000-of-00001.parquet.part");
    let begin = Instant::now();
    while fs::metadata(&part).map_or(0, |m| m.len()) < THERE as u64 {
        assert!(begin.elapsed() < Duration::from_secs(60), "nothing arrived");
        std::thread::yield_now();
    }
    child.kill()?;
    child.wait()?;
    assert!(!data.path().join("o--n").exists());
    let output = astill(data.path(), &hub.url, "hf:o/n").output()?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        fs::read(data.path().join("o--n/data/train-00000-of-00001.parquet"))?,
        bytes
    );
    let starts: Vec<_> = store.requests().iter().map(Request::from).collect();
    assert_eq!(starts, [None, Some(THERE)]);
    Ok(())
}

/// A Hub whose data set has four commits: v2 has two shards, v3 other bytes in files of the same names
/// as v1, and v4 the same files as v1.
fn hub_with_revisions() -> std::io::Result<Server> {
    let files = |revision: &str| -> Vec<(String, Vec<u8>)> {
        let shards = if revision == "v2" { 2 } else { 1 };
        let bytes = if revision == "v4" { "v1" } else { revision };
        let train = (0..shards).map(|i| format!("data/train-0000{i}-of-0000{shards}.parquet"));
        let all = train.chain(["data/test-00000-of-00001.parquet".to_owned()]);
        all.map(|name| (name.clone(), format!("{bytes} {name}").into_bytes()))
            .collect()
    };
    Server::start(move |r, _| {
        let path = r.path.trim_end_matches("?recursive=true");
        if let Some(revision) = path.strip_prefix("/api/datasets/o/n/revision/") {
            let sha = revision.replace('v', "c0");
            return Reply::new(200, format!(r#"{{"sha":"{sha}"}}"#).as_bytes());
        }
        if let Some(sha) = path.strip_prefix("/api/datasets/o/n/tree/") {
            let listed: Vec<String> = files(&sha.replace("c0", "v"))
                .iter()
                .map(|(name, bytes)| {
                    let digest = Sha256::digest(bytes);
                    let digits: String = digest.iter().map(|b| format!("{b:02x}")).collect();
                    let size = bytes.len();
                    format!(
                        r#"{{"type":"file","path":"{name}","lfs":{{"oid":"{digits}","size":{size}}}}}"#
                    )
                })
                .collect();
            return Reply::new(200, format!("[{}]", listed.join(",")).as_bytes());
        }
        let rest = path.strip_prefix("/datasets/o/n/resolve/").unwrap_or(path);
        let (sha, name) = rest.split_once('/').unwrap_or_default();
        let all = files(&sha.replace("c0", "v"));
        match all.iter().find(|(of, _)| of == name) {
            Some((_, bytes)) => file(r, bytes, "\"1\""),
            None => Reply::new(404, b""),
        }
    })
}

#[test]
fn another_commit_is_refused_and_never_mixed_with_the_one_that_is_there() -> Outcome {
    const TRAIN: &str = "data/train-00000-of-00001.parquet";
    let hub = hub_with_revisions()?;
    let data = TempDir::new()?;
    let folder = data.path().join("o--n");
    let get = |revision: &str| -> Result<(Option<i32>, String), std::io::Error> {
        let mut command = astill(data.path(), &hub.url, "hf:o/n");
        let output = command.args(["--revision", revision]).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok((output.status.code(), said))
    };
    // of another commit, which a killed fetch has left
    let left = data.path().join(".fetch/o--n/unpacked").join(TRAIN);
    fs::create_dir_all(left.parent().ok_or("no parent")?)?;
    fs::write(&left, format!("v3 {TRAIN}"))?;
    assert_eq!(get("v1")?.0, Some(0));
    let v1 = format!("v1 {TRAIN}").into_bytes();
    assert_eq!(fs::read(folder.join(TRAIN))?, v1);
    for same in ["v1", "v4"] {
        let (status, said) = get(same)?;
        assert!(
            status == Some(0) && said.contains("there already"),
            "{same}: {said}"
        );
    }
    for other in ["v2", "v3"] {
        let (status, said) = get(other)?;
        assert_eq!(status, Some(2), "{other}: {said}");
        assert!(
            said.contains("commit c01") && said.contains("--revision c01"),
            "{said}"
        );
        assert_eq!(fs::read(folder.join(TRAIN))?, v1);
        assert_eq!(fs::read_dir(folder.join("data"))?.count(), 2);
    }
    // a part of the same commit is completed, a damaged file is not taken for a good one
    fs::remove_file(folder.join(TRAIN))?;
    assert_eq!(get("v1")?.0, Some(0));
    assert_eq!(fs::read(folder.join(TRAIN))?, v1);
    fs::write(folder.join(TRAIN), "")?;
    let (status, said) = get("v1")?;
    assert!(status == Some(2) && said.contains("found 0"), "{said}");
    fs::remove_dir_all(&folder)?;
    assert_eq!(get("v2")?.0, Some(0));
    assert_eq!(fs::read_dir(folder.join("data"))?.count(), 3);
    Ok(())
}

#[test]
fn files_are_not_there_by_their_names_alone() -> Outcome {
    let data = TempDir::new()?;
    let folder = data.path().join("mnist");
    fs::create_dir(&folder)?;
    for (part, kind) in [("train", "images-idx3"), ("train", "labels-idx1")]
        .into_iter()
        .chain([("t10k", "images-idx3"), ("t10k", "labels-idx1")])
    {
        fs::write(folder.join(format!("{part}-{kind}-ubyte.gz")), "")?;
    }
    // refused before anything is asked for
    let output = astill(data.path(), "http://127.0.0.1:1", "mnist").output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("mnist/train-images") && said.contains("move it away"),
        "{said}"
    );
    let mut list = Command::new(env!("CARGO_BIN_EXE_astill"));
    list.args(["--data".as_ref(), data.path().as_os_str()])
        .args(["fetch", "--list"]);
    let listed = String::from_utf8_lossy(&list.output()?.stdout).into_owned();
    assert!(!listed.contains("there "), "{listed}");

    // of the right length, but with another content
    let (bytes, other) = (content(), vec![7; content().len()]);
    let served = bytes.clone();
    let server = Server::start(move |r, _| file(r, &served, "\"1\""))?;
    let mut set = set(&bytes, Packing::Plain, &[format!("{}/x", server.url)]);
    set.proof = vec!["things.tar.gz".into()];
    let path = data.path().join("things/things.tar.gz");
    fs::create_dir(data.path().join("things"))?;
    fs::write(&path, &other)?;
    let error = get(&set, data.path(), &[]).expect_err("another file");
    assert!(error.to_string().contains("SHA-256"), "{error}");
    assert_eq!(fs::read(&path)?, other);
    fs::write(&path, &bytes)?;
    assert!(matches!(
        get(&set, data.path(), &[])?,
        Fetched::AlreadyThere(_)
    ));
    assert!(server.requests().is_empty());
    Ok(())
}

#[test]
fn names_in_an_archive_are_not_read_beyond_those_of_files() -> Outcome {
    let archive = tar_gz(|tar| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_size(1 << 20);
        header.set_cksum();
        tar.append(&header, &vec![b'k'; 1 << 20][..])
            .expect("in memory");
        add(tar, "set/short", b"x");
    });
    let bytes = archive.clone();
    let server = Server::start(move |r, _| file(r, &bytes, "\"1\""))?;
    let data = TempDir::new()?;
    let url = format!("{}/things.tar.gz", server.url);
    let set = set(&archive, Packing::TarGz, &[url]);
    let error = refusal(get(&set, data.path(), &[]), data.path());
    assert!(error.contains("a name longer than any file's"), "{error}");
    Ok(())
}

#[test]
fn a_proxy_is_used() -> Outcome {
    let (hub, _store, _) = hub(None)?;
    let data = TempDir::new()?;
    // nobody has such a server, but the proxy knows it
    let output = astill(data.path(), "http://hub.invalid", "hf:o/unknown")
        .env("HTTP_PROXY", &hub.url)
        .env("ALL_PROXY", &hub.url)
        .output()?;
    assert_eq!(
        output.status.code(),
        Some(2),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        hub.requests()
            .iter()
            .any(|r| r.path.ends_with("/api/datasets/o/unknown/revision/main"))
    );
    Ok(())
}

/// A Hub with SVHN in three splits.
fn hub_with_svhn(is_out_of_order: bool) -> std::io::Result<Server> {
    const AT: &str = "/api/datasets/ufldl-stanford/svhn";
    Server::start(move |r, before| {
        let path = r.path.as_str();
        if is_out_of_order && before < 2 {
            return Reply::new(503, b"");
        }
        if path == format!("{AT}/revision/main") {
            return Reply::new(200, br#"{"sha":"abc"}"#);
        }
        if path == format!("{AT}/tree/abc?recursive=true") {
            let listed = ["test", "train", "extra"].map(|split| {
                format!(r#"{{"type":"file","path":"cropped_digits/{split}-00000-of-00001.parquet","size":4}}"#)
            });
            return Reply::new(200, format!("[{}]", listed.join(",")).as_bytes());
        }
        match path.contains("/resolve/abc/cropped_digits/") {
            true => Reply::new(200, b"PAR1"),
            false => Reply::new(404, b""),
        }
    })
}

#[test]
fn of_svhn_two_splits_are_fetched_and_they_are_there_without_a_network() -> Outcome {
    let hub = hub_with_svhn(false)?;
    let data = TempDir::new()?;
    let offline = "http://127.0.0.1:1";
    let fetch = |hub: &str, more: &[&str]| -> Result<(Option<i32>, String), std::io::Error> {
        let output = astill(data.path(), hub, "svhn").args(more).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok((output.status.code(), said))
    };
    let listed = || -> Result<String, std::io::Error> {
        let mut list = Command::new(env!("CARGO_BIN_EXE_astill"));
        list.args(["--data".as_ref(), data.path().as_os_str()]);
        let output = list.args(["fetch", "--list"]).output()?;
        let all = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(all
            .lines()
            .filter(|line| line.starts_with("svhn"))
            .collect())
    };
    let (status, said) = fetch(offline, &[])?;
    assert!(
        status == Some(1) && said.contains("try again later"),
        "{said}"
    );
    let (status, said) = fetch(&hub.url, &["--mirror", "http://m"])?;
    assert!(status == Some(2) && said.contains("HF_ENDPOINT"), "{said}");
    let (status, said) = fetch(&hub.url, &[])?;
    assert_eq!(status, Some(0), "{said}");
    let folder = data.path().join("svhn/cropped_digits");
    let test = folder.join("test-00000-of-00001.parquet");
    assert_eq!(fs::read_dir(&folder)?.count(), 2);
    assert!(test.exists() && listed()?.contains("there"));
    let (status, said) = fetch(offline, &[])?;
    assert!(
        status == Some(0) && said.contains("the commit abc are there"),
        "{said}"
    );
    // what a fetch that was killed between two files has left is not all of it
    fs::remove_file(&test)?;
    assert!(!listed()?.contains("there"), "{}", listed()?);
    assert_eq!(fetch(offline, &[])?.0, Some(1));
    assert_eq!(fetch(&hub.url, &[])?.0, Some(0));
    assert!(test.exists());
    Ok(())
}

#[test]
fn svhn_is_taken_from_files_without_a_network() -> Outcome {
    let (data, files) = (TempDir::new()?, TempDir::new()?);
    let given = |name: &str| fs::write(files.path().join(name), name);
    given("train-00000-of-00002.parquet")?;
    given("test-00000-of-00001.parquet")?;
    given("extra-00000-of-00001.parquet")?;
    let fetch = || {
        let mut command = astill(data.path(), "http://127.0.0.1:1", "svhn");
        command.arg("--from").arg(files.path()).output()
    };
    let output = fetch()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(2)
            && said.contains("found 1 files of the split train, expected 2"),
        "{said}"
    );
    given("train-00001-of-00002.parquet")?;
    let output = fetch()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("dataset.kind: parquet and dataset.path: svhn"),
        "{said}"
    );
    let folder = data.path().join("svhn/cropped_digits");
    assert_eq!(fs::read_dir(folder)?.count(), 3);
    assert!(!data.path().join(".fetch").exists());
    Ok(())
}

/// The Hub's API is asked again, as files are; and what it sends is bounded in all.
#[test]
fn a_hub_that_is_out_of_order_for_a_moment_or_endless_is_dealt_with() -> Outcome {
    let hub = hub_with_svhn(true)?;
    let mut client = Client::new(|name| (name == "HF_ENDPOINT").then(|| hub.url.clone()))?;
    client.pause = |_| Duration::ZERO;
    let repository = Repository::named("hf:ufldl-stanford/svhn").ok_or("no name")??;
    assert_eq!(repository.data_set(&client, &|| false)?.files.len(), 3);

    let page = format!(
        r#"[{{"type":"file","path":"{}","size":1}}]"#,
        "x".repeat(30 << 20)
    );
    let endless = Server::start(move |r, _| match r.path.contains("/revision/") {
        true => Reply::new(200, br#"{"sha":"abc"}"#),
        false => {
            let here = r.header("host").unwrap_or_default();
            let next = format!("<http://{here}/api/datasets/o/n/tree/abc?cursor=1>; rel=\"next\"");
            Reply::new(200, page.as_bytes()).with("link", &next)
        }
    })?;
    let client = Client::new(|name| (name == "HF_ENDPOINT").then(|| endless.url.clone()))?;
    let repository = Repository::named("hf:o/n").ok_or("no name")??;
    let error = repository
        .data_set(&client, &|| false)
        .expect_err("endless")
        .to_string();
    assert!(error.contains("more than 64 MiB"), "{error}");
    assert_eq!(endless.requests().len(), 4);
    Ok(())
}

/// A fetch that nobody wants any more ends wherever it is, and what it has downloaded stays.
#[test]
fn asking_the_hub_waiting_and_unpacking_end_when_nobody_wants_the_set() -> Outcome {
    let hub = hub_with_svhn(true)?;
    let mut client = Client::new(|name| (name == "HF_ENDPOINT").then(|| hub.url.clone()))?;
    client.pause = |_| Duration::from_secs(3600);
    let repository = Repository::named("hf:ufldl-stanford/svhn").ok_or("no name")??;
    // out of order at first, so it would wait for an hour
    let asked = std::cell::Cell::new(0);
    let is_ended = || asked.replace(asked.get() + 1) > 1;
    let error = repository.data_set(&client, &is_ended).expect_err("ended");
    assert!(matches!(error, astill_core::Error::Interrupted));

    let data = tempfile::tempdir()?;
    let archive = data.path().join("a.tar.gz");
    fs::write(&archive, tar_gz(|_| ()))?;
    let into = data.path().join("into");
    fs::create_dir(&into)?;
    let error = unpack(&archive, Packing::TarGz, &into, &mut |_, _| {
        std::ops::ControlFlow::Break(())
    });
    assert!(matches!(error, Err(astill_core::Error::Interrupted)));
    assert!(!into.join("set/deep").exists());
    Ok(())
}

#[test]
fn a_host_in_no_proxy_is_asked_itself_and_odd_certificates_are_refused() -> Outcome {
    let (hub, _store, _) = hub(None)?;
    let data = TempDir::new()?;
    let run = |set: &dyn Fn(&mut Command)| {
        let mut command = astill(data.path(), &hub.url, "hf:o/unknown");
        set(&mut command);
        command.output()
    };
    // nobody listens there
    let proxy = "http://127.0.0.1:1";
    let output = run(&|command| {
        command.envs([
            ("HTTP_PROXY", proxy),
            ("ALL_PROXY", proxy),
            ("NO_PROXY", "127.0.0.1"),
        ]);
    })?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(2) && said.contains("no data set hf:o/unknown"),
        "{said}"
    );
    let odd = data.path().join("odd.pem");
    fs::write(&odd, "not PEM")?;
    for (path, part) in [
        (odd.as_path(), "holds no certificate"),
        (Path::new("/nowhere.pem"), "cannot be read"),
    ] {
        let output = run(&|command| _ = command.env("SSL_CERT_FILE", path))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(2) && said.contains(part),
            "{said}"
        );
    }
    Ok(())
}

#[test]
fn names_that_are_not_known_are_refused_with_those_that_are() -> Outcome {
    let data = TempDir::new()?;
    for (name, part) in [
        ("cifar", "cifar100"),
        ("imagenet", "account"),
        ("hf:x", "OWNER/NAME"),
    ] {
        let output = astill(data.path(), "http://127.0.0.1:1", name).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(2) && said.contains(part),
            "{said}"
        );
    }
    assert_eq!(fs::read_dir(data.path())?.count(), 0);
    Ok(())
}
