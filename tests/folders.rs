//! Whole runs on folders of images that have misled programs like this one.

mod place;

use astill_core::run::event::{EventKind, ImageSet};
use image::{DynamicImage, Rgb, RgbImage, Rgba, RgbaImage, imageops};
use place::{Outcome, Place, assert_status, in_full, text};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::fs;

/// A profile of a folder of images, which takes a second.
const PROFILE: &str = "
dataset: {kind: image-folder, path: set, size: 8, zca: false}
network: {width: 4, depth: 2}
expert: {count: 1, epochs: 2, batch: 2}
distill: {ipc: 1, iterations: 2, syn_steps: 2, expert_epochs: 1, max_start_epoch: 1, lr_images: 10, lr_student: 0.01}
evaluate: {every: 2, repeats: 2, epochs: 2}
";

/// Writes `counts` images of each class for training and for testing: `draw` gets the class and the number
/// of the image, which is another one in each part.
fn folder(
    place: &Place,
    name: &str,
    (classes, counts): (&[&str], [u64; 2]),
    draw: &dyn Fn(usize, u64) -> DynamicImage,
) -> Outcome {
    for ((part, first), count) in [("train", 0), ("test", 10_000)].into_iter().zip(counts) {
        for (number, class) in classes.iter().enumerate() {
            let folder = place.path(&format!("{name}/{part}/{class}"));
            fs::create_dir_all(&folder)?;
            for index in 0..count {
                draw(number, first + index).save(folder.join(format!("{index:03}.png")))?;
            }
        }
    }
    fs::write(place.path("folder.yaml"), PROFILE)?;
    Ok(())
}

fn noise(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

#[test]
fn images_that_are_all_the_same_are_refused_before_anything_is_trained() -> Outcome {
    let place = Place::new()?;
    let black = |_, _| -> DynamicImage { RgbImage::new(8, 8).into() };
    folder(&place, "set", (&["a", "b"], [4, 2]), &black)?;
    let output = place.run(&["run", "folder.yaml", "--name", "r"])?;
    let said = text(&output.stderr);
    assert!(!output.status.success());
    assert!(
        said.contains("training images in") && said.contains("are the same"),
        "{said}"
    );
    assert!(!place.path("data/trajectories").exists());
    Ok(())
}

#[test]
fn drawings_in_black_ink_are_told_apart_by_their_alpha() -> Outcome {
    let place = Place::new()?;
    let ink = |class: usize, index| -> DynamicImage {
        let mut rng = noise(index);
        RgbaImage::from_fn(8, 8, |x, y| {
            let is_line = [x, y][class].is_multiple_of(3);
            let alpha = if is_line { 200 } else { 0 } + rng.random_range(0..50u8);
            Rgba([0, 0, 0, alpha])
        })
        .into()
    };
    folder(&place, "set", (&["a", "b"], [4, 2]), &ink)?;
    assert_status(&place.run(&["run", "folder.yaml", "--name", "r"])?, 0);
    let warned = place
        .events("r")?
        .into_iter()
        .any(|event| match event.what {
            EventKind::Dataset(loaded) => loaded.warnings.iter().any(|w| w.kind == "transparent"),
            _ => false,
        });
    assert!(warned);
    Ok(())
}

#[test]
fn what_is_left_out_is_in_the_preview_the_record_and_a_list() -> Outcome {
    let place = Place::new()?;
    let draw = |class: usize, index| -> DynamicImage {
        let mut rng = noise(index + 100_000 * class as u64);
        RgbImage::from_fn(8, 8, |_, _| {
            Rgb([rng.random_range(0..200), 60 * class as u8, 9])
        })
        .into()
    };
    folder(&place, "set", (&["a", "b"], [4, 2]), &draw)?;
    fs::write(place.path("set/train/a/9.heic"), "\0\0\0\x18ftypheic")?;
    fs::write(place.path("set/train/b/notes.txt"), "boxes")?;
    let preview = |more: &[&str]| -> Result<Value, Box<dyn std::error::Error>> {
        let output = place.run(&[&["check", "folder.yaml", "--preview"], more].concat())?;
        assert_status(&output, 0);
        Ok(serde_json::from_slice(&output.stdout)?)
    };
    let refused = preview(&[])?;
    let missing = refused["missing"].as_str().unwrap_or_default();
    assert!(
        missing.contains("train/a/9.heic (HEIC is not read"),
        "{missing}"
    );
    let skip = ["--set", "dataset.unreadable=skip"];
    let found = preview(&skip)?;
    let of = |at: usize, key: &str| found["data"]["left_out"][at][key].clone();
    assert_eq!(
        (of(0, "class"), of(0, "count")),
        ("a".into(), 1.into()),
        "{found}"
    );
    assert_eq!(
        (of(1, "class"), of(1, "is_lost")),
        ("b".into(), false.into())
    );
    let run = [&["run", "folder.yaml", "--name", "r"][..], &skip].concat();
    let output = place.run(&run)?;
    assert_status(&output, 0);
    let said = text(&output.stderr) + &text(&output.stdout);
    let line = "2 files left out: 1 file of class a in train: HEIC is not read; convert it to PNG";
    let log = fs::read_to_string(place.path("runs/r/run.log")).unwrap_or_default();
    assert!(said.contains(line) || log.contains(line), "{said}{log}");
    let list = fs::read_to_string(place.path("runs/r/left_out.txt"))?;
    assert!(
        list.contains("train/a/9.heic\tHEIC") && list.contains("train/b/notes.txt"),
        "{list}"
    );
    Ok(())
}

/// An arrow to the right on a dark ground, or to the left.
fn arrow(class: usize, index: u64) -> DynamicImage {
    let mut rng = noise(index + 100_000 * class as u64);
    let mut image = RgbImage::from_fn(16, 16, |_, _| {
        let value = rng.random_range(0..40);
        Rgb([value, value, value])
    });
    let (left, middle) = (rng.random_range(1..4u32), rng.random_range(5..11u32));
    let (length, head) = (rng.random_range(9..12u32), rng.random_range(2..5u32));
    let ink = Rgb([(); 3].map(|()| rng.random_range(150..250)));
    for at in 0..=length {
        image.put_pixel(left + at, middle, ink);
    }
    for at in 0..=head {
        image.put_pixel(left + length - at, middle - at, ink);
        image.put_pixel(left + length - at, middle + at, ink);
    }
    match class {
        0 => image.into(),
        _ => imageops::flip_horizontal(&image).into(),
    }
}

/// Classes that are each other's mirror image cannot be told apart where images are flipped.
#[test]
fn arrows_to_the_left_and_right_are_learned_without_flipping() -> Outcome {
    if !in_full() {
        return Ok(());
    }
    let place = Place::new()?;
    folder(&place, "across", (&["left", "right"], [40, 50]), &arrow)?;
    let accuracy = |name: &str, sets: &[&str]| -> Result<f64, Box<dyn std::error::Error>> {
        let usual = [
            "dataset.size=16",
            "network.width=16",
            "expert.epochs=8",
            "expert.batch=16",
            "distill.iterations=10",
            "distill.syn_steps=4",
            "evaluate.every=10",
            "evaluate.repeats=3",
            "evaluate.epochs=60",
        ];
        let sets = usual.iter().chain(sets).flat_map(|set| ["--set", set]);
        let arguments: Vec<&str> = ["run", "folder.yaml", "--name", name]
            .into_iter()
            .chain(sets)
            .collect();
        assert_status(&place.run(&arguments)?, 0);
        let results = place
            .events(name)?
            .into_iter()
            .rev()
            .find_map(|event| match event.what {
                EventKind::RunFinished(done) => Some(done.results),
                _ => None,
            });
        let distilled = results
            .into_iter()
            .flatten()
            .find(|r| r.labels == ImageSet::Distilled);
        Ok(distilled.ok_or("no result")?.mean)
    };
    let no_flip = "dataset.augment=[color, crop, cutout, scale, rotate]";
    let flipped = accuracy("flipped", &["dataset.path=across"])?;
    let across = accuracy("across", &["dataset.path=across", no_flip])?;
    assert!(
        flipped < 60. && across > flipped + 10.,
        "{flipped} % and {across} %"
    );
    Ok(())
}
