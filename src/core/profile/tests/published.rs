//! The built-in profiles with published settings, beside what the authors' scripts and tables say.

use super::*;

const FAMILIES: [&str; 5] = ["ast", "mtt", "ftd", "att", "datm"];

fn family(name: &str) -> &str {
    name.split('-').next().unwrap_or(name)
}

fn profile(name: &str) -> Profile {
    load(name, &[]).unwrap().profile
}

/// The profiles of these families, and what they share.
fn of(families: &[&str]) -> Vec<(&'static str, Profile)> {
    let named = builtin()
        .iter()
        .filter(|b| families.contains(&family(b.name)));
    named.map(|b| (b.name, profile(b.name))).collect()
}

#[test]
fn published_profiles_have_fixed_rates_and_all_others_automatic_ones() {
    for b in builtin() {
        let (loaded, is_published) = (
            load(b.name, &[]).unwrap(),
            FAMILIES.contains(&family(b.name)),
        );
        let rates = ["lr_images", "lr_lr", "lr_student"].map(|key| format!("distill.{key}"));
        let given = rates
            .iter()
            .filter(|key| loaded.locations.contains_key(key.as_str()))
            .count();
        let d = loaded.profile.distill;
        let fixed = (d.step, d.clip_gradient) == (None, None);
        if !is_published {
            // a run of 200 iterations has no time for small steps
            let step = if b.name == "cifar10-cpu" { 0.12 } else { 0.06 };
            let automatic = (d.lr_student, d.lr_lr, d.step) == (Auto::Auto, Auto::Auto, Some(step));
            assert!(automatic && !fixed && given == 0, "{}", b.name);
        } else if b.listed {
            let numbers = d.lr_student.given().is_some() && d.lr_lr.given().is_some();
            assert!(fixed && numbers && given == 3, "{}", b.name);
        } else {
            assert!(fixed && given == 0, "{}", b.name);
        }
    }
}

#[test]
fn bases_of_data_tune_nothing() {
    for name in ["cifar10", "cifar100", "tiny-imagenet", "imagenette"] {
        let mut given = load(name, &[]).unwrap().locations.into_keys();
        assert!(
            given.all(|key| key.starts_with("dataset.") || key == "network.depth"),
            "{name}"
        );
    }
}

#[test]
fn matching_without_ast_has_every_part_of_it_off_and_no_fall_of_the_rate() {
    for (name, p) in of(&["mtt", "ftd", "att", "datm"]) {
        let (e, d) = (&p.expert, &p.distill);
        assert_eq!((e.clipping, e.gradient_penalty), (false, 0.), "{name}");
        assert_eq!((e.lr, e.lr_decay), (0.01, 1.), "{name}");
        assert_eq!((e.momentum, e.weight_decay), (0., 0.), "{name}");
        assert_eq!(
            (d.init.chosen(), d.momentum),
            (Some(Init::Real), 0.),
            "{name}"
        );
        assert_eq!((d.balance, d.perturbation), (false, 0.), "{name}");
        assert_eq!(d.intermediate, Intermediate::Off, "{name}");
    }
}

#[test]
fn what_each_successor_of_mtt_adds_is_on_and_nothing_else() {
    for (name, p) in of(&["mtt", "ftd", "att", "datm"]) {
        let (e, d, is) = (&p.expert, &p.distill, |f: &str| family(name) == f);
        assert_eq!(e.gsam_rho > 0., is("ftd") || is("datm"), "{name}");
        assert_eq!(d.match_at == MatchAt::Nearest, is("att"), "{name}");
        assert_eq!(e.batch == 512, is("att"), "{name}");
        assert_eq!(d.labels == LabelKind::Soft, is("datm"), "{name}");
        assert_eq!(e.epochs == 100, is("datm"), "{name}");
        let is_listed = name != family(name);
        assert_eq!(d.ema > 0., (is("ftd") || is("att")) && is_listed, "{name}");
        let (learned, bounded) = (d.lr_labels > 0., d.max_ratio.is_some());
        assert_eq!(
            (learned, bounded),
            (is("datm") && is_listed, is("datm") && is_listed)
        );
        assert!(
            !d.mirror && d.drop_parameters == 0. && e.per_epoch == 1,
            "{name}"
        );
        assert_eq!(d.parameters, Parameters::Pixels, "{name}");
    }
}

#[test]
fn ast_profiles_have_the_parts_that_their_script_names() {
    for (name, parts) in [
        ("ast-cifar10-ipc10", "zca perturb middle balance"),
        ("ast-cifar100-ipc1", "zca avg perturb middle balance"),
        ("ast-cifar100-ipc10", "avg perturb middle"),
        ("ast-cifar100-ipc50", "avg"),
        ("ast-tiny-imagenet-ipc1", "perturb middle"),
    ] {
        let p = profile(name);
        let has = |part| parts.split(' ').any(|p| p == part);
        let start = if has("avg") {
            Init::Representative
        } else {
            Init::Real
        };
        assert_eq!(p.dataset.zca, has("zca"), "{name}");
        let d = &p.distill;
        assert_eq!(d.init.chosen(), Some(start), "{name}");
        assert_eq!(d.perturbation == 1., has("perturb"), "{name}");
        assert_eq!(d.balance, has("balance"), "{name}");
        assert_eq!(d.intermediate == Intermediate::Sum, has("middle"), "{name}");
        assert_eq!(d.momentum, 0.9, "{name}");
        let default = ExpertSettings::default();
        assert_eq!(p.expert, default, "{name}");
        let e = &p.expert;
        assert_eq!((e.lr, e.lr_decay, e.momentum), (0.003, 0.6, 0.9), "{name}");
        assert_eq!((e.weight_decay, e.gradient_penalty), (1e-3, 2.), "{name}");
        assert!(e.clipping, "{name}");
    }
}

/// N, M, T⁺, batch; then lr_images, lr_lr, α₀.
type Numbers = (usize, usize, usize, Option<usize>, f64, f64, f64);

const PUBLISHED: &[(&str, Numbers)] = &[
    ("ast-cifar10-ipc10", (30, 2, 20, None, 100., 1e-6, 0.01)),
    ("ast-cifar100-ipc1", (20, 3, 20, None, 1e3, 1e-5, 0.01)),
    (
        "ast-cifar100-ipc10",
        (20, 2, 30, Some(128), 1e3, 1e-5, 0.01),
    ),
    (
        "ast-cifar100-ipc50",
        (80, 2, 40, Some(700), 1e3, 1e-5, 0.01),
    ),
    ("ast-tiny-imagenet-ipc1", (10, 2, 10, None, 1e4, 1e-4, 0.01)),
    ("mtt-cifar10-ipc1", (50, 2, 2, None, 100., 1e-7, 0.01)),
    ("ftd-cifar10-ipc1", (50, 2, 2, None, 100., 1e-7, 0.01)),
    ("ftd-cifar10-ipc10", (30, 2, 20, None, 100., 1e-5, 0.001)),
    ("ftd-cifar10-ipc50", (30, 2, 40, None, 1e3, 1e-5, 0.01)),
    ("ftd-cifar100-ipc1", (40, 3, 20, None, 1e3, 1e-5, 0.01)),
    ("ftd-cifar100-ipc10", (20, 2, 40, None, 1e3, 1e-5, 0.01)),
    (
        "ftd-cifar100-ipc50",
        (80, 2, 40, Some(1000), 1e3, 1e-5, 0.01),
    ),
    ("att-cifar10-ipc1", (80, 4, 2, None, 100., 1e-7, 0.01)),
    ("att-cifar10-ipc10", (30, 2, 20, None, 1e4, 1e-4, 0.01)),
    ("att-cifar10-ipc50", (50, 2, 40, None, 100., 1e-5, 0.001)),
    ("att-cifar100-ipc1", (50, 4, 20, None, 500., 1e-5, 0.01)),
    ("att-cifar100-ipc10", (20, 2, 40, None, 1e3, 1e-5, 0.01)),
    (
        "att-cifar100-ipc50",
        (80, 2, 40, Some(1200), 1e3, 1e-5, 0.01),
    ),
    ("datm-cifar10-ipc1", (80, 2, 4, None, 100., 1e-7, 0.01)),
    ("datm-cifar10-ipc10", (80, 2, 20, None, 100., 1e-5, 0.01)),
    ("datm-cifar10-ipc50", (80, 2, 40, None, 1e3, 1e-5, 0.01)),
    ("datm-cifar100-ipc1", (40, 3, 20, None, 1e3, 1e-5, 0.01)),
    ("datm-cifar100-ipc10", (80, 2, 50, None, 1e3, 1e-5, 0.01)),
    (
        "datm-cifar100-ipc50",
        (80, 2, 70, Some(1000), 1e3, 1e-5, 0.01),
    ),
    (
        "datm-tiny-imagenet-ipc1",
        (40, 2, 20, None, 1e4, 1e-4, 0.01),
    ),
    (
        "datm-tiny-imagenet-ipc10",
        (40, 2, 50, Some(500), 100., 1e-4, 0.01),
    ),
    (
        "datm-tiny-imagenet-ipc50",
        (20, 2, 60, Some(1000), 100., 1e-4, 0.01),
    ),
    ("datm-imagenette-ipc1", (20, 2, 10, None, 1e4, 1e-6, 0.001)),
    ("datm-imagenette-ipc10", (40, 2, 10, None, 1e5, 1e-6, 0.01)),
];

#[test]
fn published_numbers_are_those_of_the_scripts_and_tables() {
    let named: Vec<_> = PUBLISHED.iter().map(|(name, _)| *name).collect();
    let built: Vec<_> = builtin()
        .iter()
        .filter(|b| b.listed && FAMILIES.contains(&family(b.name)))
        .map(|b| b.name)
        .collect();
    assert_eq!(named, built);
    for (name, numbers) in PUBLISHED {
        let p = profile(name);
        let d = &p.distill;
        let found = (
            d.syn_steps,
            d.expert_epochs,
            d.max_start_epoch,
            d.batch,
            d.lr_images,
            d.lr_lr.given().unwrap(),
            d.lr_student.given().unwrap(),
        );
        assert_eq!(found, *numbers, "{name}");
        assert!(name.ends_with(&format!("-ipc{}", d.ipc)), "{name}");
        let data = match p.dataset.kind {
            Kind::ImageFolder => "imagenette".to_string(),
            kind => kind.to_string(),
        };
        assert!(name.contains(&format!("-{data}-")), "{name}");
        assert_eq!(p.expert.count, 100, "{name}");
    }
}

#[test]
fn averages_iterations_and_windows_are_the_published_ones() {
    for (name, alpha, ema) in [
        ("ftd-cifar10-ipc1", 0.3, 0.9999),
        ("ftd-cifar10-ipc10", 0.3, 0.9995),
        ("ftd-cifar10-ipc50", 1., 0.999),
        ("ftd-cifar100-ipc1", 1., 0.9995),
        ("ftd-cifar100-ipc10", 1., 0.9995),
        ("ftd-cifar100-ipc50", 1., 0.999),
    ] {
        let p = profile(name);
        assert_eq!((p.expert.gsam_rho, p.expert.gsam_alpha), (0.01, alpha));
        assert_eq!((p.distill.ema, p.distill.iterations), (ema, 5000), "{name}");
    }
    for (name, ema, iterations, zca) in [
        ("att-cifar10-ipc1", 0.9999, 6000, true),
        ("att-cifar10-ipc10", 0.9999, 60_000, true),
        ("att-cifar10-ipc50", 0.999, 1_000_000, false),
        ("att-cifar100-ipc1", 0.9995, 3000, true),
        ("att-cifar100-ipc10", 0.9995, 200_000, false),
        ("att-cifar100-ipc50", 0.999, 100_000, true),
    ] {
        let p = profile(name);
        assert_eq!((p.distill.ema, p.distill.iterations), (ema, iterations));
        assert_eq!(p.dataset.zca, zca, "{name}");
    }
    for (name, first, window, lr_labels, max_ratio) in [
        ("datm-cifar10-ipc1", 0, None, 5., 1.1),
        ("datm-cifar10-ipc10", 0, Some((10, 1000)), 2., 1.),
        ("datm-cifar10-ipc50", 0, Some((20, 2000)), 2., 1.),
        ("datm-cifar100-ipc1", 0, Some((10, 1000)), 10., 1.),
        ("datm-cifar100-ipc10", 0, Some((30, 2000)), 10., 1.),
        ("datm-cifar100-ipc50", 20, None, 10., 1.),
        ("datm-tiny-imagenet-ipc1", 0, Some((15, 2000)), 10., 1.),
        ("datm-tiny-imagenet-ipc10", 10, None, 10., 1.),
        ("datm-tiny-imagenet-ipc50", 40, None, 10., 1.),
        ("datm-imagenette-ipc1", 0, None, 1000., 1.),
        ("datm-imagenette-ipc10", 0, None, 5., 2.),
    ] {
        let p = profile(name);
        let d = &p.distill;
        let found = d.expand_from.map(|from| (from, d.expand_until));
        assert_eq!((d.min_start_epoch, found), (first, window), "{name}");
        assert_eq!((d.lr_labels, d.max_ratio), (lr_labels, Some(max_ratio)));
        let chosen = name != "datm-cifar100-ipc50";
        let experts = if chosen { 100 } else { 1 };
        assert_eq!(
            (d.correct_only, d.label_experts),
            (chosen, experts),
            "{name}"
        );
        assert_eq!((p.expert.gsam_alpha, d.iterations), (0.3, 10_000), "{name}");
        assert_eq!(p.dataset.zca, !name.contains("imagenette"), "{name}");
    }
}
