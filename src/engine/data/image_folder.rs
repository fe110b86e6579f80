//! Image files in one folder per class: `train/CLASS/*` and `test/CLASS/*` or else `val/CLASS/*`.

use super::image_list::{ImageList, folders, images_in};
use super::layout::{BySplit, MissingFiles};
use astill_core::{Error, Result};
use std::path::{Path, PathBuf};

/// Lists `folder`, or, if it has no train/, its only sub-folder that has one. Classes are the
/// sub-folders of train/, sorted by name.
///
/// # Errors
/// [`Error::Usage`] if there is no train/ or neither test/ nor val/; [`Error::File`] for test
/// images of a class without training ones.
pub fn find(folder: &Path) -> Result<ImageList> {
    let absent = |found: &str| {
        MissingFiles {
            name: "image-folder",
            folder,
            expected: "train/CLASS/*.png or *.jpg, and test/CLASS/* or val/CLASS/*, there or in its \
                       only subfolder",
            found,
            remedy: "Put one folder of images per class there",
        }
        .into_error()
    };
    if !folder.is_dir() {
        return Err(absent("that folder does not exist"));
    }
    let root = root_with(folder, "train")?.ok_or_else(|| absent("it has no folder `train`"))?;
    // the test folder of a challenge that withholds its labels has no classes: val is used
    let with_classes = ["test", "val"]
        .into_iter()
        .find(|name| folders(&root.join(name)).is_ok_and(|classes| !classes.is_empty()));
    let Some(test_folder) = with_classes else {
        return Err(absent(&format!(
            "{} has `train`, but neither `test` nor `val` with a folder per class",
            root.display()
        )));
    };
    let classes = folders(&root.join("train"))?;
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for (label, class) in (0i64..).zip(&classes) {
        train.extend(
            images_in(&root, &Path::new("train").join(class))?
                .into_iter()
                .map(|path| (path, label)),
        );
    }
    for class in folders(&root.join(test_folder))? {
        let Ok(label) = classes.binary_search(&class) else {
            let path = root.join(test_folder).join(&class);
            return Err(Error::file(
                path,
                format!(
                    "expected a class that is also in {}",
                    root.join("train").display()
                ),
            ));
        };
        test.extend(
            images_in(&root, &Path::new(test_folder).join(&class))?
                .into_iter()
                .map(|path| (path, label as i64)),
        );
    }
    Ok(ImageList::new(root, classes, BySplit { train, test }))
}

/// `folder` if it holds a folder `name`, or else the only one of its sub-folders that does.
fn root_with(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    if folder.join(name).is_dir() {
        return Ok(Some(folder.to_path_buf()));
    }
    let mut below = folders(folder)?
        .into_iter()
        .map(|sub| folder.join(sub))
        .filter(|sub| sub.join(name).is_dir());
    Ok(below.next().filter(|_| below.next().is_none()))
}
