//! Every refusal with its place and message.

use super::*;

#[test]
fn values_that_do_not_fit_are_refused_at_their_line() {
    let head = "dataset:\n  kind: shapes\n";
    for (tail, wanted) in [
        (
            "distill:\n  # none\n  ipc: 0\n",
            "a.yaml:5: distill.ipc: found 0, expected a whole number from 1 to 10000",
        ),
        (
            "distill: {\n  lr_images: .nan}",
            "a.yaml:4: distill.lr_images: found .nan, expected a number from 0 to 1e9",
        ),
        (
            "distill: {lr_lr: -.inf}",
            "a.yaml:3: distill.lr_lr: found -.inf, expected a number from 0 to 1000, or auto \
             (Gauss-Newton steps of its logarithm)",
        ),
        (
            "distill: {lr_lr: 1e999}",
            "a.yaml:3: distill.lr_lr: found the text \"1e999\", expected a number from 0 to 1000, or \
             auto (Gauss-Newton steps of its logarithm)",
        ),
        (
            "distill: {lr_student: 0}",
            "a.yaml:3: distill.lr_student: found 0, expected a number above 0 and up to 100, or auto \
             (the one that fits best, found by a few rollouts before the first update)",
        ),
        (
            "distill: {ipc: \"10\"}",
            "a.yaml:3: distill.ipc: found the text \"10\", expected a whole number from 1 to \
             10000; write the number without quotes or leading zeros",
        ),
        (
            "distill: {balance: yes}",
            "a.yaml:3: distill.balance: found the text \"yes\", expected true or false; write true",
        ),
        (
            "distill: {init: reel}",
            "a.yaml:3: distill.init: found the text \"reel\", expected one of representative, \
             real, noise, or the path of something that is there, or one with a / in it or that ends in \
             .pt, .npz or .safetensors; did you \
             mean \"real\"?",
        ),
        (
            "distill: {ipc: null}",
            "a.yaml:3: distill.ipc: found nothing (null), expected a whole number from 1 to 10000",
        ),
        (
            "distill: {batch: [1]}",
            "a.yaml:3: distill.batch: found a list, expected a whole number from 1 to 1e7, or \
             null (all of them)",
        ),
        (
            "distill: {ipc: !big 3}",
            "a.yaml:3: distill.ipc: found a value with the tag \"!big\", expected a whole number \
             from 1 to 10000",
        ),
        (
            "evaluate: {networks: []}",
            "a.yaml:3: evaluate.networks: found an empty list, expected a list in brackets, [ ], \
             of one or more of: convnet, convnet-bn, resnet18, resnet18-bn, vgg11, vgg11-bn, \
             alexnet",
        ),
        (
            "evaluate: {networks: [convnet, convnet]}",
            "a.yaml:3: evaluate.networks: found convnet twice, expected a list in brackets, [ ], \
             of one or more of: convnet, convnet-bn, resnet18, resnet18-bn, vgg11, vgg11-bn, \
             alexnet",
        ),
        (
            "distill: 3",
            "a.yaml:3: distill: found 3, expected a mapping with ipc, init, correct_only, \
             parameters, images_per_room, labels, label_experts, iterations, syn_steps, \
             expert_epochs, max_start_epoch, min_start_epoch, expand_from, expand_until, mirror, segments, \
             batch, step, lr_images, clip_gradient, lr_student, lr_lr, lr_labels, max_ratio, ema, \
             momentum, balance, intermediate, match_at, drop_parameters, perturbation",
        ),
        (
            "seed: 1\nseed: 2",
            "a.yaml:4: seed: found twice, first on line 3; keep one",
        ),
        (
            "distill: {ipc: 1, ipc: 2}",
            "a.yaml:3: distill.ipc: found twice, first on line 3; keep one",
        ),
        (
            "distill: {}\nexpert: {}\ndistill: {}",
            "a.yaml:5: distill: found twice, first on line 3; keep one",
        ),
        (
            "extends: 3",
            "a.yaml:3: extends: found 3, expected the name of a built-in profile or a path",
        ),
    ] {
        assert_eq!(refused_text(&format!("{head}{tail}")), wanted);
    }
}

#[test]
fn comments_quotes_and_equal_names_do_not_mislead_about_the_line() {
    let text = "# lr: 3\ndataset: {kind: \"shapes\"} # lr: x\nexpert:\n  # lr: 0 is refused\n  \
                \"lr\": 0\n  momentum : 0\ndistill:\n  lr_student: 1\n  momentum: 2\n";
    assert_eq!(
        refused_text(text),
        "a.yaml:5: expert.lr: found 0, expected a number above 0 and up to 10\n\
         a.yaml:9: distill.momentum: found 2, expected a number from 0 to 0.999"
    );
}

#[test]
fn unknown_keys_say_where_the_key_lives() {
    let head = "dataset:\n  kind: shapes\n";
    for (tail, wanted) in [
        (
            "distill: {\n  lr_image: 3}",
            "a.yaml:4: unknown key \"lr_image\"; did you mean \"lr_images\"? distill has: ipc, ",
        ),
        (
            "distil: {ipc: 3}",
            "a.yaml:3: unknown key or section \"distil\"; did you mean \"distill\"? a profile has: \
             extends, dataset, network, expert, distill, evaluate, seed",
        ),
        (
            "distill.ipc: 3",
            "a.yaml:3: unknown key or section \"distill.ipc\"; write it as \"ipc: …\" in the \
             section distill",
        ),
        (
            "ipc: 3",
            "a.yaml:3: unknown key or section \"ipc\"; it belongs in the section distill",
        ),
        (
            "lr: 3",
            "a.yaml:3: unknown key or section \"lr\"; it belongs in the section expert or \
             evaluate",
        ),
        (
            "momentum: 3",
            "a.yaml:3: unknown key or section \"momentum\"; it belongs in the section expert or \
             distill",
        ),
        (
            "expert: {ipc: 3}",
            "a.yaml:3: unknown key \"ipc\"; it belongs in the section distill",
        ),
        (
            "expert: {ipcs: 3}",
            "a.yaml:3: unknown key \"ipcs\"; did you mean \"ipc\" in the section distill? expert \
             has: count, ",
        ),
        (
            "distill: {seed: 3}",
            "a.yaml:3: unknown key \"seed\"; it belongs at the top level, outside distill",
        ),
        (
            "expert: {distill.ipc: 3}",
            "a.yaml:3: unknown key \"distill.ipc\"; write it as \"ipc: …\" in the section distill",
        ),
        (
            "<<: {ipc: 3}",
            "a.yaml:3: unknown key or section \"<<\"; a profile has no merge keys: use extends",
        ),
        (
            "3: 4",
            "a.yaml:3: unknown key or section \"3\"; a profile has: extends, ",
        ),
    ] {
        let text = refused_text(&format!("{head}{tail}"));
        assert!(text.starts_with(wanted), "{text}\n{wanted}");
        assert!(!text.contains('\n'), "{text}");
    }
}

#[test]
fn texts_that_are_no_profile_are_refused() {
    let bomb: String = (1..12)
        .map(|i| {
            format!(
                "b{i}: &b{i} [{}]\n",
                vec![format!("*b{}", i - 1); 9].join(", ")
            )
        })
        .collect();
    for (text, wanted) in [
        (
            "",
            "a.yaml: is empty, expected a mapping with extends, dataset, ",
        ),
        (
            "# only a comment\n",
            "a.yaml: is empty, expected a mapping with ",
        ),
        (
            "just text",
            "a.yaml: found the text \"just text\", expected a mapping with ",
        ),
        ("[1, 2]", "a.yaml: found a list, expected a mapping with "),
        (
            "seed: 1\n---\nseed: 2\n",
            "a.yaml:3: a second YAML document; expected exactly one",
        ),
        ("seed: 1\ndistill: {ipc: 3\n", "a.yaml:3: not valid YAML: "),
        ("seed: 1\n\tx: 2", "a.yaml:2: not valid YAML: "),
        ("seed: *nobody", "a.yaml:1: not valid YAML: unknown anchor"),
        (
            "seed: 1\n[1, 2]: 3",
            "a.yaml:2: not valid YAML: invalid type: sequence, expected the name of a key",
        ),
        (
            "seed: 1\n!big zca: true",
            "a.yaml:2: not valid YAML: invalid type: enum, expected the name of a key",
        ),
        (
            &"{a: ".repeat(250_000),
            "a.yaml:1: nested more than 16 levels deep",
        ),
        (
            "seed: [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]",
            "a.yaml:1: nested more than 16 levels deep; expected sections with keys",
        ),
        (
            &format!("seed: {}", "[".repeat(100_000)),
            "a.yaml:1: nested more than 16 levels deep",
        ),
        (
            &"- ".repeat(100_000),
            "a.yaml:1: nested more than 16 levels deep",
        ),
        (
            &format!("b0: &b0 x\n{bomb}"),
            "a.yaml:2: more than 1000 values once aliases (*name) are expanded; expected at \
             most that",
        ),
        (
            &"x".repeat((1 << 20) + 1),
            "a.yaml: is larger than 1 MiB, expected a YAML profile",
        ),
    ] {
        let found = refused_text(text);
        assert!(found.starts_with(wanted), "{found}\n{wanted}");
        assert!(
            !found.contains('\n') || found.contains("not valid YAML"),
            "{found}"
        );
    }
    assert_eq!(
        accepted(b"dataset: {kind: shapes}\ndistill: {ipc: &n 3, batch: *n}")
            .distill
            .batch,
        Some(3)
    );
}

#[test]
fn files_that_cannot_be_read_are_refused() {
    let folder = folder(&[("mine.yaml", "dataset: {kind: shapes}")]);
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    fs::write(at("latin.yaml"), b"dataset: {kind: shapes}\n# caf\xe9").unwrap();
    fs::create_dir(at("sub.yaml")).unwrap();
    for (name, wanted) in [
        ("latin.yaml", "is not UTF-8 text (line 2); save it as UTF-8"),
        ("sub.yaml", "is a directory, expected a YAML file"),
        (
            "mime.yaml",
            "there is no such file; did you mean \"mine.yaml\"?",
        ),
        (
            "cifar10-ipc1.yaml",
            "there is no such file; the built-in profile is called \"cifar10-ipc1\"",
        ),
        (
            "mine.yaml/x.yaml",
            "cannot be read: Not a directory (os error 20)",
        ),
    ] {
        assert_eq!(
            refusal(load(&at(name), &[])),
            format!("{}: {wanted}", at(name))
        );
    }
    let text = refusal(load("cifar10-ipc2", &[]));
    assert!(
        text.starts_with(
            "profile \"cifar10-ipc2\": there is no such profile; did you mean \"cifar10-ipc1\"? \
             built-in profiles: shapes, "
        ),
        "{text}"
    );
    assert!(
        refusal(load("", &[]))
            .starts_with("profile \"\": there is no such profile; built-in profiles: ")
    );
}

#[test]
fn extends_that_leads_nowhere_is_refused() {
    assert_eq!(
        refused(&[
            ("a.yaml", "seed: 1\nextends: b.yaml"),
            ("b.yaml", "extends: ./c.yaml"),
            ("c.yaml", "extends: a.yaml")
        ]),
        "c.yaml:1: extends: found a circle, a.yaml → b.yaml → c.yaml → a.yaml; remove one of these \
         extends"
    );
    assert!(refused(&[("a.yaml", "extends: a.yaml")]).contains("found a circle, a.yaml → a.yaml;"));
    assert_eq!(
        refused(&[("a.yaml", "seed: 1\nextends: bass.yaml"), ("base.yaml", "")]),
        "a.yaml:2: extends: bass.yaml: there is no such file; did you mean \"base.yaml\"?"
    );
    let text = refused(&[("a.yaml", "extends: cifar11")]);
    assert!(
        text.starts_with(
            "a.yaml:1: extends: \"cifar11\": there is no such profile; did you mean \"cifar10\"? \
             built-in profiles: "
        ),
        "{text}"
    );
}

#[test]
fn all_problems_are_reported_at_once_by_file_and_line() {
    let text = refused(&[
        (
            "a.yaml",
            "expert: {lr: 0}\nextends: b.yaml\ndistill: {syn_steps: 2, expert_epochs: 3,\n  ipc: \
             0}\nnosuch: 1",
        ),
        ("b.yaml", "\nseed: -1"),
    ]);
    let starts: Vec<_> = text
        .lines()
        .map(|l| l.splitn(4, ": ").take(2).collect::<Vec<_>>().join(": "))
        .collect();
    assert_eq!(
        starts,
        [
            "a.yaml: dataset.kind",
            "a.yaml:1: expert.lr",
            "a.yaml:3: distill.syn_steps",
            "a.yaml:4: distill.ipc",
            "a.yaml:5: unknown key or section \"nosuch\"; a profile has",
            "b.yaml:2: seed",
        ]
    );
}

#[test]
fn sets_are_refused_with_their_text() {
    for (set, wanted) in [
        (
            "distill.ipc",
            "found no \"=\", expected SECTION.KEY=VALUE, for example distill.ipc=10",
        ),
        ("ipc=3", "unknown key \"ipc\"; did you mean distill.ipc?"),
        (
            "distill.lr_image=3",
            "unknown key \"lr_image\"; did you mean \"lr_images\"? distill has: ipc, ",
        ),
        (
            "distil.ipc=3",
            "unknown key \"distil.ipc\"; did you mean \"distill.ipc\"?",
        ),
        (
            "distill={ipc: 3}",
            "distill is a section; set one of its keys, distill.NAME=VALUE with NAME one of ipc, ",
        ),
        (
            "extends=shapes",
            "extends belongs in a profile file, not here",
        ),
        (
            "distill.ipc=",
            "distill.ipc: found nothing (null), expected a whole number from 1 to 10000",
        ),
        ("distill.ipc=[", "distill.ipc: not valid YAML: "),
        (
            "distill.ipc=0",
            "distill.ipc: found 0, expected a whole number from 1 to 10000",
        ),
        (
            "dataset.path=12",
            "dataset.path: found 12, expected a path as text, or null (the folder named like the \
             kind, in the data folder); put it in quotes",
        ),
    ] {
        let text = refused_set(set);
        assert!(
            text.starts_with(&format!("--set {set}: {wanted}")),
            "{text}"
        );
    }
    assert_eq!(
        with_sets(&["dataset.path=data/x y"])
            .unwrap()
            .profile
            .dataset
            .path,
        Some(PathBuf::from("data/x y"))
    );
}
