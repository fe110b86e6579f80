//! Values that are fine each and cannot be together, or not with the data.

use super::*;

#[test]
fn combinations_that_cannot_run_name_both_keys() {
    for (sets, wanted) in [
        (
            &["expert.epochs=20"][..],
            "--set expert.epochs=20: distill.max_start_epoch: found 20, and with \
             distill.expert_epochs 2 distillation reads 21 epochs, more than expert.epochs 20; lower \
             distill.max_start_epoch or distill.expert_epochs, or raise expert.epochs to 21",
        ),
        (
            &["expert.train_epochs=20"],
            "--set expert.train_epochs=20: distill.max_start_epoch: found 20, and with \
             distill.expert_epochs 2 distillation reads 21 epochs, more than expert.train_epochs 20; \
             lower distill.max_start_epoch or distill.expert_epochs, or raise expert.train_epochs \
             to 21",
        ),
        (
            &["expert.train_epochs=60"],
            "--set expert.train_epochs=60: expert.train_epochs: found 60, more than expert.epochs 50, \
             the length of the whole training; lower expert.train_epochs, or raise expert.epochs to \
             60",
        ),
        (
            &["distill.min_start_epoch=20"],
            "--set distill.min_start_epoch=20: distill.min_start_epoch: found 20, expected less than \
             distill.max_start_epoch 20; lower distill.min_start_epoch, or raise \
             distill.max_start_epoch",
        ),
        (
            &["distill.expand_from=21"],
            "--set distill.expand_from=21: distill.expand_from: found 21, expected more than \
             distill.min_start_epoch 0 and at most distill.max_start_epoch 20",
        ),
        (
            &["distill.labels=soft", "distill.label_experts=200"],
            "--set distill.label_experts=200: distill.label_experts: found 200, more than \
             expert.count 100; lower distill.label_experts, or raise expert.count",
        ),
        (
            &["distill.parameters=tiles", "distill.images_per_room=9"],
            "--set distill.images_per_room=9: distill.images_per_room: found 9, but k × k tiles fill \
             the room of one image, and dataset.size 32 must be a multiple of k; expected one of: \
             1, 4, 16, 64",
        ),
        (
            &["dataset.color=grey"],
            "--set dataset.color=grey: dataset.color: found grey, but cifar10 is read with the colours \
             that it has; leave dataset.color out, or use files of images (dataset.kind: image-folder)",
        ),
        (
            &["distill.mirror=true", "dataset.size=30"],
            "--set distill.mirror=true: distill.mirror: found true, but dataset.size 30 cannot be \
             halved network.depth 3 times without a remainder, so the mirror image of an expert is \
             no expert; set distill.mirror to false, or dataset.size to 24 or 32",
        ),
        (
            &["distill.syn_steps=1"],
            "--set distill.syn_steps=1: distill.syn_steps: found 1, fewer than \
             distill.expert_epochs 2; raise distill.syn_steps to 2 or more, or lower \
             distill.expert_epochs",
        ),
        (
            &["network.depth=6"],
            "--set network.depth=6: network.depth: found 6, but halving dataset.size 32 that \
             many times by pooling leaves no pixel; lower network.depth to 5 or less, raise \
             dataset.size, or set network.pooling to none",
        ),
        (
            &["network.norm=group", "network.width=30"],
            "--set network.width=30: network.width: found 30, but network.norm group needs a \
             multiple of 4; use 32, or another norm",
        ),
    ] {
        assert_eq!(refusal(with_sets(sets)), wanted);
    }
    assert!(
        with_sets(&["expert.epochs=21"]).is_ok()
            && with_sets(&["network.depth=6", "network.pooling=none"]).is_ok()
    );
}

#[test]
fn settings_are_checked_against_the_data() {
    let classes = ["cat".to_string(), "dog".to_string()];
    let loaded = with_sets(&["distill.batch=21"]).unwrap();
    assert_eq!(
        refusal(loaded.check_classes(&classes, &[200, 9])),
        "profile \"cifar10\": distill.ipc: found 10, but class \"dog\", the smallest, has only 9 \
         training images; lower distill.ipc to 9 or less, raise \
         dataset.train_limit, or lower dataset.validation\n\
         profile \"cifar10\": expert.batch: found 256, but there are only 209 training images; \
         lower expert.batch to 209 or less, or raise dataset.train_limit\n\
         --set distill.batch=21: distill.batch: found 21, larger than the set of 20 synthetic \
         images (distill.ipc 10 × 2 classes); lower distill.batch, or write null for all of them"
    );
    let tiles = with_sets(&["distill.parameters=tiles", "distill.batch=81"]).unwrap();
    assert_eq!(
        refusal(tiles.check_classes(&classes, &[250, 39])),
        "profile \"cifar10\": distill.ipc: found 10 × distill.images_per_room 4, but class \"dog\", \
         the smallest, has only 39 training images; lower distill.ipc to 9 or less, raise \
         dataset.train_limit, or lower dataset.validation\n\
         --set distill.batch=81: distill.batch: found 81, larger than the set of 80 synthetic images \
         (distill.ipc 10 × distill.images_per_room 4 × 2 classes); lower distill.batch, or write null \
         for all of them"
    );
    assert!(
        with_sets(&["distill.batch=20"])
            .unwrap()
            .check_classes(&classes, &[246, 10])
            .is_ok()
    );
}
