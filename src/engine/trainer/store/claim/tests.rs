use super::*;
use serde_json::json;
use std::process::Command;
use tempfile::TempDir;

fn place() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A store under this root, as every process opens it.
fn store(root: &Path) -> Store {
    let store = Store::new(root, &json!({}), 1);
    store.create_folder().unwrap();
    store
}

fn is_here(claimed: &Claimed) -> bool {
    matches!(claimed, Claimed::Here(_))
}

/// A process of another machine.
fn elsewhere() -> Claimant {
    let holder = "node7\nboot of-another\nprocess 1\n";
    Claimant {
        holder: Holder::parse(holder).unwrap(),
        job: Some("12".into()),
        ..Claimant::this()
    }
}

/// Writes a claim that was touched at `age` before now, or after it.
fn leave(path: &Path, text: &str, age: Duration, is_early: bool) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    let now = SystemTime::now();
    let time = if is_early { now + age } else { now - age };
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

#[test]
fn an_expert_is_claimed_by_one_process_until_it_gives_it_back() {
    let root = place();
    let (mine, theirs) = (store(root.path()), store(root.path()));
    let claim = mine.claim(0).unwrap();
    assert!(is_here(&claim));
    assert!(is_here(&mine.claim(1).unwrap()), "another expert is free");
    let Claimed::There(Some(who)) = theirs.claim(0).unwrap() else {
        panic!("claimed twice");
    };
    assert_eq!(who.holder, Holder::this());
    assert_eq!(Claimant::parse(&who.text()), Some(who));
    drop(claim);
    assert!(is_here(&theirs.claim(0).unwrap()));
    assert!(!mine.claim_file(0).exists());
}

#[test]
fn a_claim_that_was_not_touched_for_ten_minutes_is_taken_over() {
    let minutes = |n: u64| Duration::from_secs(60 * n);
    for (age, is_early, is_abandoned) in [
        (minutes(0), false, false),
        (minutes(9), false, false),
        (minutes(11), false, true),
        // the clock of the file system was set back
        (minutes(11), true, true),
    ] {
        let root = place();
        let store = store(root.path());
        leave(&store.claim_file(0), &elsewhere().text(), age, is_early);
        let claimed = store.claim(0).unwrap();
        assert_eq!(is_here(&claimed), is_abandoned, "{age:?}");
        if let Claimed::There(who) = claimed {
            assert_eq!(who.unwrap().to_string(), "process 1 on node7, job 12");
        }
    }
}

#[test]
fn a_claim_is_touched_by_the_clock_of_the_file_system() {
    let root = place();
    let store = store(root.path());
    let Claimed::Here(mut claim) = store.claim(0).unwrap() else {
        panic!("not claimed");
    };
    claim.file.set_modified(UNIX_EPOCH).unwrap();
    claim.touch();
    let modified = || fs::metadata(&claim.path).unwrap().modified().unwrap();
    assert_eq!(modified(), UNIX_EPOCH, "it was touched a moment ago");
    claim.touched = Instant::now().checked_sub(TOUCHED_EVERY).unwrap();
    claim.touch();
    let modified = fs::metadata(&claim.path).unwrap().modified().unwrap();
    assert!(store.age(modified).unwrap() < TOUCHED_EVERY);
}

#[test]
fn the_claim_of_a_process_that_has_ended_here_is_taken_over_at_once() {
    let mut child = Command::new("true").spawn().unwrap();
    let process = child.id();
    child.wait().unwrap();
    let mine = Claimant::this();
    let of_ended = |started: &str| {
        let text = mine.holder.to_string();
        let own = format!("process {}\n", std::process::id());
        let text = text.replace(&own, &format!("process {process}\n"));
        Claimant {
            holder: Holder::parse(&text).unwrap(),
            started: Some(started.into()),
            ..mine.clone()
        }
    };
    if mine.namespace.is_none() || Holder::this().boot.is_none() {
        return; // without /proc nothing shows that
    }
    let root = place();
    let store = store(root.path());
    leave(
        &store.claim_file(0),
        &of_ended("1").text(),
        Duration::ZERO,
        false,
    );
    let claimed = store.claim(0).unwrap();
    assert!(is_here(&claimed));
    // an id that another process has got since
    let reused = Claimant {
        started: Some("1".into()),
        ..mine.clone()
    };
    leave(&store.claim_file(1), &reused.text(), Duration::ZERO, false);
    assert!(is_here(&store.claim(1).unwrap()));
    // ids of a container say nothing here
    let contained = Claimant {
        namespace: Some("pid:[1]".into()),
        ..of_ended("1")
    };
    leave(
        &store.claim_file(2),
        &contained.text(),
        Duration::ZERO,
        false,
    );
    assert!(!is_here(&store.claim(2).unwrap()));
}

#[test]
fn a_claim_that_names_nobody_is_waited_for_a_moment_only() {
    for (seconds, is_abandoned) in [(0, false), (11, true)] {
        for text in ["", "node7", "node7\nboot of-another\nprocess 1\n"] {
            let root = place();
            let store = store(root.path());
            let age = Duration::from_secs(seconds);
            leave(&store.claim_file(0), text, age, false);
            assert_eq!(is_here(&store.claim(0).unwrap()), is_abandoned, "{text:?}");
        }
    }
}

#[test]
fn a_process_whose_claim_was_taken_over_knows_it_and_leaves_the_other_alone() {
    let root = place();
    let (mine, theirs) = (store(root.path()), store(root.path()));
    let Claimed::Here(slow) = mine.claim(0).unwrap() else {
        panic!("not claimed");
    };
    let long_ago = SystemTime::now() - ABANDONED_AFTER * 2;
    slow.file.set_modified(long_ago).unwrap();
    let Claimed::Here(heir) = theirs.claim(0).unwrap() else {
        panic!("not taken over");
    };
    assert!(!slow.is_held() && heir.is_held());
    drop(slow);
    assert!(heir.is_held());
    // it was removed by hand, and so is nobody's
    fs::remove_file(&heir.path).unwrap();
    assert!(!heir.is_held());
}

#[test]
fn an_heir_that_died_does_not_keep_the_others_from_it() {
    let (hour, old) = (Duration::from_secs(3600), elsewhere().text());
    for (age, is_abandoned) in [(Duration::ZERO, false), (hour, true)] {
        let root = place();
        let store = store(root.path());
        leave(&store.claim_file(0), &old, hour, false);
        let heir = elsewhere().text().replace("node7", "node8");
        leave(&store.heir_file(0), &heir, age, false);
        // the age of the same claim is not measured twice in a moment
        assert!(!is_here(&store.claim(0).unwrap()));
        assert_eq!(store.heir_file(0).exists(), !is_abandoned);
        store.measured.borrow_mut().clear();
        assert_eq!(is_here(&store.claim(0).unwrap()), is_abandoned);
    }
}

#[test]
fn of_many_that_find_a_claim_abandoned_one_takes_it_over() {
    for _ in 0..20 {
        let root = place();
        let stores: Vec<Store> = (0..8).map(|_| store(root.path())).collect();
        let old = elsewhere().text();
        leave(&stores[0].claim_file(0), &old, ABANDONED_AFTER * 2, false);
        let threads: Vec<_> = stores
            .into_iter()
            .map(|store| std::thread::spawn(move || store.claim(0).unwrap()))
            .collect();
        let claimed: Vec<Claimed> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        let held = |c: &&Claimed| matches!(c, Claimed::Here(claim) if claim.is_held());
        assert_eq!(claimed.iter().filter(held).count(), 1);
        assert_eq!(claimed.iter().filter(|c| is_here(c)).count(), 1);
    }
}
