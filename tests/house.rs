//! How the sources are laid out: imports between sibling modules form no circle, no file outgrows
//! what one reads in a sitting, and the tests that docs/reliability.md names and the pictures and pages
//! that pages link to exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

type Outcome = Result<(), Box<dyn std::error::Error>>;
type Module = Vec<String>;

/// Lines of a file, by default rustfmt.
const LONGEST_FILE: usize = 500;
/// The sources of each package, and the folders in them that belong to another package.
const PACKAGES: [(&str, &[&str]); 3] = [
    ("src", &["core", "engine"]),
    ("src/core", &[]),
    ("src/engine", &[]),
];

#[test]
fn imports_between_siblings_form_no_circle() -> Outcome {
    for (package, others) in PACKAGES {
        let files = sources(package, others)?;
        let modules: BTreeSet<&Module> = files.keys().collect();
        // folder → sibling → the siblings that it imports
        let mut imports: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for (module, text) in &files {
            for path in paths(text, module) {
                let target = (1..=path.len())
                    .rev()
                    .map(|n| path[..n].to_vec())
                    .find(|prefix| modules.contains(prefix));
                let Some(target) = target else { continue };
                let shared = module.iter().zip(&target).take_while(|(a, b)| a == b);
                let shared = shared.count();
                if let (Some(from), Some(to)) = (module.get(shared), target.get(shared)) {
                    let folder = imports.entry(module[..shared].to_vec()).or_default();
                    folder.entry(from.clone()).or_default().insert(to.clone());
                }
            }
        }
        for (folder, siblings) in &imports {
            let circle: Vec<&String> = siblings
                .keys()
                .filter(|module| reaches(siblings, module, module))
                .collect();
            assert!(
                circle.is_empty(),
                "{package}/{}: {circle:?} import each other: {siblings:?}",
                folder.join("/")
            );
        }
    }
    Ok(())
}

#[test]
fn no_file_is_longer_than_one_reads_in_a_sitting() -> Outcome {
    for (package, others) in PACKAGES {
        for (module, text) in sources(package, others)? {
            let lines = text.lines().count();
            let name = module.join("/");
            assert!(
                lines <= LONGEST_FILE,
                "{package}/{name}: {lines} lines, expected at most {LONGEST_FILE}"
            );
        }
    }
    Ok(())
}

/// docs/reliability.md names a test, or the file of one, beside each promise.
#[test]
fn every_test_that_a_promise_names_exists() -> Outcome {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("tests"), root.join("src")];
    let mut functions = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder)?.flatten().map(|entry| entry.path()) {
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let words = words(&fs::read_to_string(&path)?);
                let named = words.windows(2).filter(|pair| pair[0] == "fn");
                functions.extend(named.map(|pair| pair[1].clone()));
            }
        }
    }
    let promises = fs::read_to_string(root.join("docs/reliability.md"))?;
    let rows = promises.lines().filter(|line| line.starts_with('|'));
    let tests = rows.filter_map(|row| row.rsplit('|').nth(1));
    let named = tests.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let unknown: Vec<&str> = named
        .filter(|name| match name.split_once(": ") {
            Some((_, test)) => !functions.contains(test),
            None if name.contains('/') => !root.join(name).is_file(),
            None => !functions.contains(*name),
        })
        .collect();
    assert!(unknown.is_empty(), "no such test: {unknown:?}");
    Ok(())
}

#[test]
fn every_page_and_picture_that_a_page_links_to_exists() -> Outcome {
    let mut pages = vec![PathBuf::from("README.md"), PathBuf::from("CHANGELOG.md")];
    for entry in fs::read_dir("docs")? {
        pages
            .extend(Some(entry?.path()).filter(|path| path.extension().is_some_and(|e| e == "md")));
    }
    for page in pages {
        let folder = page.parent().unwrap_or(Path::new(""));
        // "[text](link)" and "![text](link)"
        for part in fs::read_to_string(&page)?.split("](").skip(1) {
            let link = part.split(')').next().unwrap_or_default();
            let link = link.split('#').next().unwrap_or_default();
            if !link.is_empty() && !link.contains("://") {
                assert!(folder.join(link).exists(), "{}: {link}", page.display());
            }
        }
    }
    Ok(())
}

/// The modules of a package with their texts, tests left out.
fn sources(package: &str, others: &[&str]) -> Result<BTreeMap<Module, String>, std::io::Error> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(package);
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    let mut found = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)?.flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && !path.is_symlink() {
                let is_other = folder == root && others.contains(&name.as_str());
                if !is_other && name != "tests" {
                    folders.push(path);
                }
            } else if let Some(stem) = name.strip_suffix(".rs").filter(|s| *s != "tests") {
                let folder = folder.strip_prefix(&root).unwrap_or(&folder);
                let folder = folder.iter().map(|c| c.to_string_lossy().into_owned());
                let is_folder = matches!(stem, "mod" | "lib" | "main" | "build");
                let stem = (!is_folder).then(|| stem.to_string());
                found.insert(folder.chain(stem).collect(), fs::read_to_string(&path)?);
            }
        }
    }
    Ok(found)
}

/// Whether `to` can be reached from `from` by one import or more.
fn reaches(imports: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        for next in imports.get(module).into_iter().flatten() {
            if next == to {
                return true;
            }
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    false
}

/// Every path in `text` that begins with `crate` or `super`, from the root of the package.
fn paths(text: &str, module: &[String]) -> Vec<Module> {
    let mut found = Vec::new();
    let words = words(text);
    let mut at = 0;
    while at < words.len() {
        let start = match words[at].as_str() {
            "crate" => Some(Vec::new()),
            "super" => Some(module[..module.len().saturating_sub(1)].to_vec()),
            _ => None,
        };
        at += 1;
        if let Some(start) = start.filter(|_| words.get(at).is_some_and(|w| w == "::")) {
            at = path(&words, at, start, &mut found);
        }
    }
    found
}

/// Follows a path from the `::` at `at`, groups in braces included; where it ends.
fn path(words: &[String], mut at: usize, mut prefix: Module, found: &mut Vec<Module>) -> usize {
    while words.get(at).is_some_and(|w| w == "::") {
        match words.get(at + 1).map(String::as_str) {
            Some("{") => {
                at += 2;
                while at < words.len() && words[at] != "}" {
                    if words[at] == "," {
                        at += 1;
                        continue;
                    }
                    let mut inner = prefix.clone();
                    if words[at] != "self" {
                        inner.push(words[at].clone());
                    }
                    at = path(words, at + 1, inner, found);
                }
                return at + 1;
            }
            Some(name) => prefix.push(name.to_string()),
            None => break,
        }
        at += 2;
    }
    found.push(prefix);
    at
}

/// Names and signs of Rust code, without comments.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default();
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let is_name = |c: char| c.is_alphanumeric() || c == '_';
            let length = match first {
                ':' if rest.starts_with("::") => 2,
                c if is_name(c) => rest.find(|c| !is_name(c)).unwrap_or(rest.len()),
                c => c.len_utf8(),
            };
            words.push(rest[..length].to_string());
            rest = rest[length..].trim_start();
        }
    }
    words
}
