//! The table: one entry per measured number.

use super::{Getter, Good, Measure};
use crate::text::DIGITS;

const AST: &str = "AST, arXiv 2310.10541";
const MTT: &str = "MTT, arXiv 2203.11932";
const OURS: &str = "defined by astill, from the terms of the final ratio";
const SMOOTH: &str = "defined by astill, smoothness of the expert's path";
const MEASURED: &str = "measured";

/// All measures, in the order of the log and of the documentation.
pub static MEASURES: &[Measure] = &[
    measure(
        "matching_loss",
        "matching loss",
        Getter::Step(|s| s.matching_loss),
    )
    .label("total")
    .good(Good::Lower)
    .log_y()
    .logged()
    .means(
        "How far the student ended from the expert's later checkpoint, relative to how far it \
         started from it, plus the weighted intermediate ratios; this is what distillation \
         minimises",
        AST,
    ),
    measure("reach", "reach", Getter::Step(|s| s.reach))
        .good(Good::Near(1.))
        .logged()
        .means(
            "The length of the student's path from start to end relative to the distance to the \
             expert's checkpoint: below 1 it fell short, above 1 it overshot",
            OURS,
        ),
    measure(
        "alignment",
        "alignment",
        Getter::Step(|s| s.alignment),
    )
    .good(Good::Higher)
    .logged()
    .means(
        "The cosine between the direction that the student moved in and the direction to the \
         expert's checkpoint: 1 is straight towards it",
        OURS,
    ),
    measure(
        "final_ratio",
        "final ratio",
        Getter::Step(|s| s.final_ratio),
    )
    .label("final")
    .good(Good::Lower)
    .log_y()
    .means(
        "The squared distance from the student's end to the expert's checkpoint, divided by the \
         squared distance from its start; below 1 the student came closer to it",
        MTT,
    ),
    measure(
        "intermediate",
        "intermediate ratio",
        Getter::StepEach(|s| &s.intermediate),
    )
    .label("epoch")
    .good(Good::Lower)
    .log_y()
    .means(
        "The same ratio during the student's training, for each expert epoch before the last, \
         unweighted",
        AST,
    ),
    measure(
        "student_lr",
        "student rate",
        Getter::Step(|s| s.student_lr),
    )
    .label("rate")
    .logged()
    .means(
        "The learning rate with which a network should train on the images; it is learned together \
         with them",
        MTT,
    ),
    measure(
        "balance_factor",
        "balance factor",
        Getter::Step(|s| s.balance_factor),
    )
    .means(
        "The factor of the student's cross-entropy in this step, which depends on the expert epoch \
         that it started from; 1 without distill.balance",
        AST,
    ),
    measure(
        "perturbation.relative",
        "perturbation",
        Getter::Step(|s| s.perturbation.relative),
    )
    .label("all")
    .means(
        "How far weight perturbation moved the student's start, relative to the length of its \
         weights",
        AST,
    ),
    measure(
        "perturbation.per_layer",
        "perturbation of a layer",
        Getter::StepEach(|s| &s.perturbation.per_layer),
    )
    .label("layer")
    .means(
        "The same for the weights of every convolution, first layer first",
        AST,
    ),
    measure(
        "image_gradient",
        "image gradient",
        Getter::Step(|s| s.image_gradient),
    )
    .label("norm")
    .log_y()
    .means(
        "The norm of the gradient of the matching loss with respect to all synthetic images; \
         sudden peaks announce divergence",
        MTT,
    ),
    measure("seconds", "time", Getter::Step(|s| s.seconds))
        .unit("s")
        .good(Good::Lower)
        .digits(3)
        .logged()
        .means(
            "The wall time of the step",
            MEASURED,
        ),
    measure(
        "train_loss",
        "train loss",
        Getter::Epoch(|e| Some(e.record.train_loss)),
    )
    .label("loss")
    .good(Good::Lower)
    .logged()
    .means(
        "The mean cross-entropy of the augmented training images in this epoch",
        MEASURED,
    ),
    measure(
        "train_accuracy",
        "train accuracy",
        Getter::Epoch(|e| Some(e.record.train_accuracy)),
    )
    .accuracy()
    .logged()
    .means(
        "The share of the augmented training images that the expert classified correctly in this \
         epoch",
        MEASURED,
    ),
    measure(
        "test_accuracy",
        "test accuracy",
        Getter::Epoch(|e| Some(e.record.test_accuracy)),
    )
    .accuracy()
    .logged()
    .means(
        "The share of the test images that the expert classifies correctly after this epoch",
        MEASURED,
    ),
    measure(
        "clip_factor",
        "clip factor",
        Getter::Epoch(|e| Some(e.record.clip_factor)),
    )
    .means(
        "The factor of the cross-entropy in this epoch, which grows over the first epochs so that \
         the path begins smoothly; 1 without expert.clipping",
        AST,
    ),
    measure(
        "gradient_penalty",
        "gradient penalty",
        Getter::Epoch(|e| Some(e.record.gradient_penalty)),
    )
    .logged()
    .means(
        "The mean of the gradient penalty, its weight included, which keeps the path of the expert \
         smooth",
        AST,
    ),
    measure(
        "step_length",
        "step length",
        Getter::Epoch(|e| Some(e.record.step_length)),
    )
    .logged()
    .means(
        "How far the weights moved in this epoch, as a Euclidean distance",
        SMOOTH,
    ),
    measure("turn", "turn", Getter::Epoch(|e| e.record.turn))
        .good(Good::Near(1.))
        .digits(3)
        .logged()
        .means(
            "The cosine of the angle between the step of this epoch and the one before, from the \
             second epoch on; 1 is straight on",
            SMOOTH,
        ),
    measure(
        "curvature",
        "curvature",
        Getter::Epoch(|e| e.record.curvature),
    )
    .good(Good::Lower)
    .means(
        "How much the step differs from that of the epoch before, as a Euclidean distance; from \
         the second epoch on",
        SMOOTH,
    ),
    measure(
        "tortuosity",
        "tortuosity",
        Getter::Epoch(|e| Some(e.record.tortuosity)),
    )
    .good(Good::Near(1.))
    .means(
        "The length of the path so far divided by the distance from its start; 1 is a straight \
         line",
        SMOOTH,
    ),
    measure(
        "seconds",
        "time",
        Getter::Epoch(|e| Some(e.seconds).filter(|s| s.is_finite())),
    )
    .unit("s")
    .good(Good::Lower)
    .digits(3)
    .logged()
    .means(
        "The wall time of the epoch with its evaluation",
        MEASURED,
    ),
    measure("mean", "accuracy", Getter::Evaluation(|e| e.mean))
        .accuracy()
        .means(
            "The mean accuracy of fresh networks that were trained on these images alone",
            MTT,
        ),
    measure("std", "deviation", Getter::Evaluation(|e| e.std))
        .unit("%")
        .good(Good::Lower)
        .digits(3)
        .means(
            "The standard deviation of the accuracy from network to network",
            MEASURED,
        ),
    measure(
        "values",
        "accuracy of a network",
        Getter::EvaluationEach(|e| &e.values),
    )
    .label("network")
    .accuracy()
    .means(
        "The accuracy of every single network",
        MEASURED,
    ),
];

const fn measure(name: &'static str, title: &'static str, read: Getter) -> Measure {
    Measure {
        name,
        title,
        label: title,
        unit: "",
        good: Good::Neither,
        log_y: false,
        digits: DIGITS,
        logged: false,
        meaning: "",
        source: "",
        read,
    }
}

/// The table is written with these.
impl Measure {
    const fn label(mut self, label: &'static str) -> Self {
        self.label = label;
        self
    }

    const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    const fn good(mut self, good: Good) -> Self {
        self.good = good;
        self
    }

    const fn log_y(mut self) -> Self {
        self.log_y = true;
        self
    }

    const fn digits(mut self, digits: usize) -> Self {
        self.digits = digits;
        self
    }

    const fn logged(mut self) -> Self {
        self.logged = true;
        self
    }

    /// In per cent, with one decimal.
    const fn accuracy(self) -> Self {
        self.unit("%").good(Good::Higher).digits(3)
    }

    const fn means(mut self, meaning: &'static str, source: &'static str) -> Self {
        self.meaning = meaning;
        self.source = source;
        self
    }
}
