//! The table: one entry per measured number.

use super::{Getter, Good, Measure};
use crate::text::{number, percent, significant};

const AST: &str = "AST, arXiv 2310.10541";
const MTT: &str = "MTT, arXiv 2203.11932";
const OURS: &str = "defined by astill, from the terms of the final ratio";
const SMOOTH: &str = "defined by astill, smoothness of the expert's path";
const ATT: &str = "ATT, arXiv 2407.14245";
const OURS_SCALE: &str = "defined by astill";
const MEASURED: &str = "measured";
const NVML: &str = "NVIDIA's management library";

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
        "How far the student ends from the expert's path, relative to where it started: the final \
         ratio plus the weighted intermediate ratios; distillation minimises this",
        AST,
    ),
    measure("reach", "reach", Getter::Step(|s| s.reach))
        .logged()
        .means(
            "How far the student ends from its start, relative to the distance from there to the \
             expert's checkpoint; best when it equals alignment",
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
        "The cosine of the angle between the direction the student moved in and the direction to \
         the expert's checkpoint; 1 means straight towards it",
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
         squared distance from its start to that checkpoint; below 1, the student came closer to it",
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
        "The same ratio measured during the student's training, against each earlier expert epoch \
         to be matched, before weighting",
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
        "The learning rate for training a network on the images; it is learned together with them",
        MTT,
    ),
    measure(
        "balance_factor",
        "balance factor",
        Getter::Step(|s| s.balance_factor),
    )
    .means(
        "The factor that scales the student's cross-entropy in this step, larger for later start \
         epochs; 1 without distill.balance",
        AST,
    ),
    measure(
        "perturbation.relative",
        "perturbation",
        Getter::Step(|s| s.perturbation.relative),
    )
    .label("all")
    .means(
        "How far weight perturbation moved the student's starting point, relative to the norm of its \
         parameters",
        AST,
    ),
    measure(
        "perturbation.per_layer",
        "perturbation of a layer",
        Getter::StepEach(|s| &s.perturbation.per_layer),
    )
    .label("layer")
    .means(
        "The same for the weights of each convolution, first layer first",
        AST,
    ),
    measure("nearest", "nearest step", Getter::Step(|s| s.nearest))
        .label("step")
        .means(
            "The student step after which it was nearest to the expert's checkpoint; mostly below half \
             of all steps means that the student rate or distill.syn_steps is too large",
            ATT,
        ),
    measure(
        "best_ratio",
        "best final ratio by start",
        Getter::StepEach(|s| &s.best_ratio),
    )
    .label("start")
    .good(Good::Lower)
    .means(
        "The least final ratio that the student's direction allows, 1 - alignment^2, averaged over the \
         latest steps: for each start epoch, or each quarter of them, the earliest first. Starts that \
         stay near 1 teach the images nothing",
        OURS,
    ),
    measure(
        "image_scale",
        "image scale",
        Getter::Step(|s| s.image_scale),
    )
    .label("scale")
    .log_y()
    .means(
        "The root mean square of the synthetic images' pixels, relative to that of the real images'; \
         above 2, the images have become something that no real image is",
        OURS_SCALE,
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
         sudden peaks are a sign of divergence",
        MTT,
    ),
    measure("seconds", "time", Getter::Step(|s| s.seconds))
        .unit("s")
        .good(Good::Lower)
        .spell(briefly)
        .logged()
        .means(
            "Wall-clock time of the step",
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
        "Mean cross-entropy on the augmented training images in this epoch, before clipping",
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
        "Percentage of the augmented training images that the expert classified correctly during this \
         epoch",
        MEASURED,
    ),
    measure(
        "validation_accuracy",
        "validation accuracy",
        Getter::Epoch(|e| e.record.validation_accuracy),
    )
    .accuracy()
    .logged()
    .means(
        "Percentage of the validation images that the expert classifies correctly after this epoch",
        MEASURED,
    ),
    measure(
        "clip_factor",
        "clip factor",
        Getter::Epoch(|e| Some(e.record.clip_factor)),
    )
    .means(
        "The factor that scales the cross-entropy in this epoch; it grows from 0.5 to 1 over the \
         first ten epochs so that the path begins smoothly; 1 without expert.clipping",
        AST,
    ),
    measure(
        "gradient_penalty",
        "gradient penalty",
        Getter::Epoch(|e| Some(e.record.gradient_penalty)),
    )
    .logged()
    .means(
        "Mean gradient penalty in this epoch, including its weight; it keeps the expert's path smooth",
        AST,
    ),
    measure(
        "step_length",
        "step length",
        Getter::Epoch(|e| Some(e.record.step_length)),
    )
    .logged()
    .means(
        "How far the parameters moved in this epoch (Euclidean distance)",
        SMOOTH,
    ),
    measure("turn", "turn", Getter::Epoch(|e| e.record.turn))
        .good(Good::Near(1.))
        .spell(briefly)
        .logged()
        .means(
            "The cosine of the angle between the moves of this epoch and the one before; 1 means \
             straight ahead",
            SMOOTH,
        ),
    measure(
        "curvature",
        "curvature",
        Getter::Epoch(|e| e.record.curvature),
    )
    .good(Good::Lower)
    .means(
        "How much the move of this epoch differs from that of the epoch before (Euclidean distance)",
        SMOOTH,
    ),
    measure(
        "tortuosity",
        "tortuosity",
        Getter::Epoch(|e| Some(e.record.tortuosity)),
    )
    .good(Good::Near(1.))
    .means(
        "The length of the path so far divided by the straight-line distance from its start; 1 means \
         a straight line",
        SMOOTH,
    ),
    measure(
        "seconds",
        "time",
        Getter::Epoch(|e| Some(e.seconds).filter(|s| s.is_finite())),
    )
    .unit("s")
    .good(Good::Lower)
    .spell(briefly)
    .logged()
    .means(
        "Wall-clock time of the epoch, including its test",
        MEASURED,
    ),
    measure("mean", "accuracy", Getter::Evaluation(|e| e.mean))
        .accuracy()
        .means(
            "Mean accuracy of fresh networks trained on these images alone",
            MTT,
        ),
    measure("std", "deviation", Getter::Evaluation(|e| e.std))
        .unit("%")
        .good(Good::Lower)
        .spell(percent)
        .means(
            "Standard deviation of the accuracy across networks",
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
        "The accuracy of each network",
        MEASURED,
    ),
    measure("gpu.used_gib", "GPU memory used", Getter::Usage(|u| u.gpu?.used_gib))
        .label("used")
        .unit("GiB")
        .spell(briefly)
        .means(
            "Memory of the engine's GPU that all programs together use, at most since the last record",
            NVML,
        ),
    measure("gpu.total_gib", "GPU memory", Getter::Usage(|u| u.gpu?.total_gib))
        .label("all")
        .unit("GiB")
        .spell(briefly)
        .means("All memory of the engine's GPU", NVML),
    measure("gpu.load", "GPU load", Getter::Usage(|u| u.gpu?.load))
        .label("GPU")
        .unit("%")
        .good(Good::Higher)
        .spell(briefly)
        .means(
            "The share of the time in which the GPU computed, whatever part of it; far below 100 it waits \
             for the CPU or the disk",
            NVML,
        ),
    measure(
        "gpu.temperature",
        "GPU temperature",
        Getter::Usage(|u| u.gpu?.temperature),
    )
    .label("GPU")
    .unit("C")
    .spell(briefly)
    .means(
        "The temperature of the GPU in degrees Celsius; above its limit it slows itself down",
        NVML,
    ),
    measure("host.used_gib", "host memory used", Getter::Usage(|u| u.host.used_gib))
        .label("used")
        .unit("GiB")
        .spell(briefly)
        .means(
            "Memory of the engine's machine that is not available to programs, at most since the last \
             record",
            MEASURED,
        ),
    measure("host.total_gib", "host memory", Getter::Usage(|u| u.host.total_gib))
        .label("all")
        .unit("GiB")
        .spell(briefly)
        .means(
            "All memory of the engine's machine, or the limit of its control group where that is less",
            MEASURED,
        ),
    measure("host.load", "CPU load", Getter::Usage(|u| u.host.load))
        .label("CPU")
        .unit("%")
        .spell(briefly)
        .means(
            "The share of the time in which the processors that the engine may use were at work, for any \
             program",
            MEASURED,
        ),
];

fn briefly(value: f64) -> String {
    significant(value, 3)
}

const fn measure(name: &'static str, title: &'static str, read: Getter) -> Measure {
    Measure {
        name,
        title,
        label: title,
        unit: "",
        good: Good::Neither,
        log_y: false,
        spell: number,
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

    const fn spell(mut self, spell: fn(f64) -> String) -> Self {
        self.spell = spell;
        self
    }

    const fn logged(mut self) -> Self {
        self.logged = true;
        self
    }

    /// In per cent.
    const fn accuracy(self) -> Self {
        self.unit("%").good(Good::Higher).spell(percent)
    }

    const fn means(mut self, meaning: &'static str, source: &'static str) -> Self {
        self.meaning = meaning;
        self.source = source;
        self
    }
}
