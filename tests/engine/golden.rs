//! Numbers that must come out: every case of a folder, through the library's own code, in float64
//! and in float32.
//!
//! A case is a safetensors file with inputs and outputs in float64 (indices int64) and its settings
//! as JSON under the metadata key `case`; it passes if ‖got − want‖ / ‖want‖ < 1e-8 in float64 and
//! < 2e-3 in float32. The folder is ASTILL_GOLDEN, or tests/golden; the device ASTILL_DEVICE
//! (cuda:0), or the CPU.

mod differentiated;

use astill_core::cli::DeviceChoice;
use astill_core::profile::{NetworkSettings, Parameters};
use astill_engine::data::{Zca, augment};
use astill_engine::device;
use astill_engine::distill::expert::{
    expert_gradient, expert_loss, gradient_penalty, gsam_direction,
};
use astill_engine::distill::parameters::{Frequencies, strongest};
use astill_engine::distill::perturb::perturb;
use astill_engine::distill::soft_labels::{initial_logits, logit_gradient};
use astill_engine::distill::{
    Budget, ExpertBatch, ExpertPath, ExpertSettings, Labels, MatchingOptions, Parameterisation,
    Student, StudentStep, TrainingSet, balance_factor, matching_loss, nearest, to_vec,
};
use astill_engine::network::{self, ConvNet, ConvNetConfig, Mode, Network, Task, WeightedBatch};
use astill_engine::random;
use astill_engine::scores::pixels::Operation;
use astill_engine::tensor_file::TensorFile;
use differentiated::{Differentiated, Way};
use serde_json::{Value, json};
use std::path::PathBuf;
use tch::{Device, Kind, Tensor};

type Failure = Box<dyn std::error::Error>;

/// A case in one precision.
struct Case {
    file: TensorFile,
    settings: Value,
    kind: Kind,
    device: Device,
    /// How its network is differentiated.
    way: Way,
    /// The largest relative difference that is allowed.
    limit: f64,
    /// Which noise of 1e-6 is on the images and the parameters to begin with, 0 for none.
    noise: u64,
    /// The largest relative difference so far, and of what.
    worst: (f64, String),
}

impl Case {
    fn tensor(&self, name: &str) -> Result<Tensor, Failure> {
        let t = self.file.tensor(name)?.to_device(self.device);
        Ok(match t.kind() {
            Kind::Double if self.noise > 0 && matches!(name, "start" | "x") => {
                let noise = hashed(self.noise, t.numel() as i64).to_device(self.device);
                let t: Tensor = &t * (noise.view_as(&t) * 1e-6 + 1.);
                t.to_kind(self.kind)
            }
            Kind::Double => t.to_kind(self.kind),
            _ => t,
        })
    }

    fn optional(&self, name: &str) -> Result<Option<Tensor>, Failure> {
        let found = self.file.contains(name).then(|| self.tensor(name));
        found.transpose()
    }

    /// A setting, or `default` where the format says that it may be left out.
    fn number(&self, key: &str, default: Option<f64>) -> Result<f64, Failure> {
        self.settings[key]
            .as_f64()
            .or(default)
            .ok_or_else(|| format!("the case has no number \"{key}\"").into())
    }

    fn name<T: serde::de::DeserializeOwned>(&self, key: &str, default: &str) -> Result<T, Failure> {
        let value = if self.settings[key].is_null() {
            Value::from(default)
        } else {
            self.settings[key].clone()
        };
        Ok(serde_json::from_value(value)?)
    }

    fn expect(&mut self, name: &str, got: &Tensor) -> Result<(), Failure> {
        let want = self.file.tensor(name)?.to_kind(Kind::Double);
        let got = got.detach().to_device(Device::Cpu).to_kind(Kind::Double);
        if got.numel() != want.numel() {
            return Err(
                format!("{name}: {} numbers, expected {}", got.numel(), want.numel()).into(),
            );
        }
        if want.numel() > 0 {
            let difference = (got.view_as(&want) - &want).norm().double_value(&[]);
            let relative = difference / want.norm().double_value(&[]).max(f64::MIN_POSITIVE);
            let limit = self.limit;
            if relative.is_nan() || relative >= limit {
                return Err(format!(
                    "{name}: relative difference {relative:.1e}, at most {limit:.0e} is allowed"
                )
                .into());
            }
            if relative >= self.worst.0 {
                self.worst = (relative, name.to_string());
            }
        }
        Ok(())
    }

    fn net(&self, classes: i64) -> Result<Differentiated, Failure> {
        let default = ConvNetConfig::default();
        let whole = |key, default: i64| self.number(key, Some(default as f64)).map(|v| v as i64);
        let net = ConvNet::new(ConvNetConfig {
            channels: whole("channels", default.channels)?,
            classes,
            width: whole("width", default.width)?,
            depth: whole("depth", default.depth as i64)? as usize,
            size: whole("size", default.size)?,
            norm: self.name("norm", "instance")?,
            activation: self.name("act", "relu")?,
            pooling: self.name("pool", "avg")?,
        })
        .ok_or("no such network")?;
        Ok(Differentiated { net, way: self.way })
    }

    /// Whether the case is about derivatives of a network.
    fn is_differentiated(&self) -> bool {
        const KINDS: [&str; 4] = ["expert", "student", "soft_labels", "gsam"];
        let kind = self.settings["kind"].as_str();
        kind.is_some_and(|kind| KINDS.contains(&kind))
    }

    fn run(&mut self) -> Result<(), Failure> {
        match self.settings["kind"].as_str() {
            Some("network") => self.network(),
            Some("network_of_the_field") => self.network_of_the_field(),
            Some("expert") => self.expert(),
            Some("student") => self.student(),
            Some("augment") => self.augment(),
            Some("zca") => self.zca(),
            Some("soft_labels") => self.soft_labels(),
            Some("smoothness") => self.smoothness(),
            Some("gsam") => self.gsam(),
            Some("expert_labels") => self.expert_labels(),
            Some("parameters") => self.parameters(),
            Some("pixels") => self.pixels(),
            other => Err(format!("a case of kind {other:?} is not known").into()),
        }
    }

    fn network(&mut self) -> Result<(), Failure> {
        let net = self.net(self.number("classes", Some(10.))? as i64)?;
        let logits = net.forward(&self.tensor("theta")?, &self.tensor("x")?);
        self.expect("logits", &logits)
    }

    /// tests/golden/make_networks.py says what these numbers are.
    fn network_of_the_field(&mut self) -> Result<(), Failure> {
        let whole = |key| self.number(key, Some(1.)).map(|v| v as i64);
        let (channels, size, images) = (whole("channels")?, whole("size")?, whole("images")?);
        let classes = whole("classes")?;
        let settings = NetworkSettings {
            width: whole("width")?,
            depth: whole("depth")? as usize,
            ..NetworkSettings::default()
        };
        let task = Task {
            channels,
            size,
            classes,
        };
        let net = network::build(self.name("network", "")?, &settings, task)?;
        let (shapes, parameters) = (net.shapes(), net.parameters());
        let (kind, device) = (self.kind, self.device);
        let numbers = move |seed, n| hashed(seed, n).to_kind(kind).to_device(device);
        let sizes: Vec<i64> = shapes.iter().map(|s| s.iter().product()).collect();
        let parts = numbers(1, parameters).split_with_sizes(&sizes, 0);
        let scaled = |(part, shape): (&Tensor, &Vec<i64>)| match shape[..] {
            [_] => (part + 1.) / 2.,
            _ => part * (6. / shape[1..].iter().product::<i64>() as f64).sqrt(),
        };
        let theta: Vec<Tensor> = parts.iter().zip(&shapes).map(scaled).collect();
        let theta = Tensor::cat(&theta, 0).set_requires_grad(true);
        let x = numbers(2, images * channels * size * size) * 1.5;
        let x = x
            .view([images, channels, size, size])
            .set_requires_grad(true);
        let y = Tensor::arange(images, (Kind::Int64, self.device)).remainder(classes);
        let running = net.init_running().to_kind(self.kind).to_device(self.device);
        let logits = net.forward_in(Mode::Track(&running), &theta, &x);
        let tested = net.forward_in(Mode::Test(&running), &theta, &x);
        self.limit = match self.kind {
            Kind::Double => 1e-9,
            _ => self.limit,
        };
        self.expect("logits", &logits)?;
        self.expect("running", &running)?;
        self.expect("tested", &tested)?;
        // the derivatives of such large networks once, where they are exact
        if !self.file.contains("grad") || self.kind != Kind::Double {
            return Ok(());
        }
        let loss = Labels::Hard(y).cross_entropy(&logits);
        let g = Tensor::run_backward(&[loss], &[&theta], true, true).remove(0);
        let direction = numbers(3, parameters) / 100.;
        let along = Tensor::run_backward(&[g.dot(&direction)], &[&theta, &x], false, false);
        let probe = numbers(4, parameters);
        let dots = |flat: &Tensor| {
            let products = (flat * &probe).split_with_sizes(&sizes, 0);
            let sums: Vec<Tensor> = products.iter().map(|p| p.sum(None::<Kind>)).collect();
            Tensor::stack(&sums, 0)
        };
        let of_images = along[1].sum_dim_intlist([3i64].as_slice(), false, None);
        self.expect("grad", &dots(&g))?;
        self.expect("along", &dots(&along[0]))?;
        self.expect("along_x", &of_images)
    }

    fn expert(&mut self) -> Result<(), Failure> {
        let net = self.net(self.number("classes", Some(10.))? as i64)?;
        let theta = self.tensor("theta")?.set_requires_grad(true);
        let (x, augmented) = (self.tensor("x")?, self.tensor("x_augmented")?);
        let labels = Labels::Hard(self.tensor("y")?);
        let batch = ExpertBatch {
            augmented: &augmented,
            images: &x,
            labels: &labels,
            mode: Mode::Train,
        };
        let settings = ExpertSettings {
            clipping: self.settings["clip"].as_bool().unwrap_or(true),
            gradient_penalty: self.number("gp_weight", None)?,
            ..ExpertSettings::default()
        };
        let epoch = self.number("epoch", None)? as usize;
        let loss = expert_loss(&net, &theta, batch, &settings, epoch);
        let grad = Tensor::run_backward(&[&loss.total], &[&theta], false, false);
        self.expect("loss", &loss.total)?;
        self.expect("grad", &grad[0])?;
        let alone = gradient_penalty(&net, &theta, &x, settings.gradient_penalty);
        self.expect("penalty", &alone)?;
        let whole = expert_gradient(&net, &theta.detach(), batch, &settings, epoch);
        self.expect("grad", &whole.gradient)?;
        self.expect("penalty", &whole.penalty)
    }

    /// By autograd, and by the analytic passes where they are known.
    fn soft_labels(&mut self) -> Result<(), Failure> {
        let net = self.net(self.number("classes", None)? as i64)?;
        let variable = |name| self.tensor(name).map(|t| t.set_requires_grad(true));
        let (theta, x, p) = (variable("theta")?, variable("x")?, variable("p")?);
        let (direction, factor) = (self.tensor("direction")?, self.number("factor", None)?);
        let labels = Labels::Soft(p.shallow_clone());
        let loss = labels.cross_entropy(&net.forward(&theta, &x)) * factor;
        let g = Tensor::run_backward(&[&loss], &[&theta], true, true).remove(0);
        let along = Tensor::run_backward(&[g.dot(&direction)], &[&theta, &x, &p], false, false);
        self.expect("loss", &loss)?;
        self.expect("grad", &g)?;
        for (name, got) in ["along_theta", "along_x", "along_p"].iter().zip(&along) {
            self.expect(name, got)?;
        }
        let Some(analytic) = net.analytic(&x) else {
            return Ok(());
        };
        let batch = WeightedBatch {
            images: &x.detach(),
            targets: &labels.probabilities(net.classes(), self.kind).detach(),
            factor,
        };
        let first = analytic.loss_gradient(&theta, batch, usize::MAX);
        self.expect("grad", &first.parameters)?;
        let along = analytic.gradient_along(&theta, batch, &direction, first.cached);
        self.expect("along_theta", &along.parameters)?;
        self.expect("along_x", &along.images)?;
        self.expect("along_p", &along.targets)
    }

    /// Learned are pixels, unless `variables` are given, and with hard labels, unless `label_logits`
    /// are.
    fn student(&mut self) -> Result<(), Failure> {
        let whole = |key| self.number(key, None).map(|v| v as usize);
        let (start_epoch, expert_epochs) = (whole("start_epoch")?, whole("expert_epochs")?);
        let net = self.net(self.number("classes", None)? as i64)?;
        let expert = self.tensor("expert")?;
        let (noise, order) = (self.tensor("noise")?, self.tensor("order")?);
        let map = self.parameterisation()?;
        let x = match &map {
            Some(map) => map.images(&self.tensor("variables")?),
            None => self.tensor("x")?,
        };
        let logits = self.optional("label_logits")?;
        let labels = match &logits {
            Some(logits) => Labels::of_logits(logits),
            None => Labels::Hard(self.tensor("y")?),
        };
        let target = expert.get(start_epoch as i64);
        let start = match self.number("alpha", None)? {
            0. => target,
            strength => perturb(&net, &target, &noise, strength),
        };
        let balance = self.settings["balance"].as_bool().unwrap_or(false);
        let set = TrainingSet {
            images: &x,
            labels: &labels,
            lr: self.tensor("lr")?.double_value(&[0]),
        };
        let student = Student {
            net: &net,
            set: &set,
            momentum: self.number("momentum", None)?,
            loss_factor: if balance {
                balance_factor(start_epoch, whole("max_start_epoch")?)
            } else {
                1.
            },
        };
        let steps: Vec<StudentStep> = (0..order.size()[0])
            .map(|i| StudentStep {
                rows: order.get(i),
                augmentation: None,
            })
            .collect();
        let mut rollout = student.unroll(&start, &steps, &mut |_| Ok(()))?;
        let targets: Vec<Tensor> = (1..=expert_epochs)
            .map(|j| expert.get((start_epoch + j) as i64))
            .collect();
        let options = MatchingOptions {
            intermediate: self.name("intermediate", "sum")?,
            at: self.name("match_at", "end")?,
            drop: self.number("drop_parameters", Some(0.))?,
        };
        let matching = matching_loss(&rollout.points, &targets, options);
        let gradient =
            student.adjoint(&mut rollout, &steps, &matching.derivatives, &mut |_| Ok(()))?;
        let middle = match matching.intermediate.as_slice() {
            [] => Tensor::zeros([0], (self.kind, x.device())),
            ratios => Tensor::stack(ratios, 0),
        };
        let end = rollout.points.last().ok_or("no student point")?;
        let mut found = vec![
            ("x", x.shallow_clone()),
            ("start", start),
            ("student_end", end.shallow_clone()),
            ("final", matching.final_ratio),
            ("middle", middle),
            ("total", matching.total),
            (
                "nearest",
                Tensor::from_slice(&[nearest(&to_vec(&matching.distances)) as f64]),
            ),
            ("reach", matching.reach),
            ("alignment", matching.alignment),
            ("grad_lr", gradient.lr),
        ];
        if let Some(map) = map {
            found.push(("grad_variables", map.pull_back(&gradient.images)));
        }
        found.push(("grad_x", gradient.images));
        if let (Some(logits), Some(derivative)) = (logits, gradient.labels) {
            found.push(("grad_label_logits", logit_gradient(&logits, &derivative)));
        }
        // older cases have fewer outputs, but these always
        let always = [
            "start",
            "student_end",
            "final",
            "middle",
            "total",
            "grad_x",
            "grad_lr",
        ];
        for (name, got) in found {
            if always.contains(&name) || self.file.contains(name) {
                self.expect(name, &got)?;
            }
        }
        Ok(())
    }

    /// How the images are made of `variables`, if there are any.
    fn parameterisation(&self) -> Result<Option<Parameterisation>, Failure> {
        let kind: Parameters = self.name("parameters", "pixels")?;
        if kind == Parameters::Pixels {
            return Ok(None);
        }
        let factor = self.number("images_per_room", None)? as usize;
        let budget = Budget {
            images_per_class: self.number("ipc", Some(1.))? as usize * factor,
            images_per_room: factor,
            side: self.number("size", None)? as i64,
        };
        if let Some(positions) = self.optional("positions")? {
            let images = budget.images_per_class as i64;
            let frequencies = Frequencies::new(budget.side, positions, images);
            return Ok(Some(Parameterisation::Frequency(frequencies)));
        }
        let no_images = |_| {
            Err(astill_core::Error::Usage(
                "tiles need no real images".into(),
            ))
        };
        Ok(Some(Parameterisation::new(kind, budget, 1, &mut {
            no_images
        })?))
    }

    fn parameters(&mut self) -> Result<(), Failure> {
        let map = self.parameterisation()?.ok_or("pixels are learned")?;
        if let Some(real) = self.optional("real")? {
            let count = self.file.shape("positions")?[1];
            let classes = real.unbind(0);
            let positions: Vec<Tensor> = classes.iter().map(|c| strongest(c, count)).collect();
            self.expect("positions", &Tensor::stack(&positions, 0))?;
        }
        self.expect("images", &map.images(&self.tensor("variables")?))?;
        self.expect("pulled_back", &map.pull_back(&self.tensor("derivative")?))?;
        self.expect("fitted", &map.fit(&self.tensor("start")?))
    }

    fn pixels(&mut self) -> Result<(), Failure> {
        let (x, operations) = (self.tensor("x")?, self.settings["operations"].clone());
        for (name, argument) in operations.as_object().ok_or("no operations")? {
            let operation: Operation = match argument {
                Value::Null => serde_json::from_value(Value::from(name.as_str()))?,
                argument => serde_json::from_value(json!({ name: argument }))?,
            };
            self.expect(name, &operation.apply(&x))?;
        }
        Ok(())
    }

    /// By the analytic passes where they are known, and by autograd.
    fn gsam(&mut self) -> Result<(), Failure> {
        let net = self.net(self.number("classes", None)? as i64)?;
        let (theta, x, augmented) = (
            self.tensor("theta")?,
            self.tensor("x")?,
            self.tensor("x_augmented")?,
        );
        let labels = Labels::Hard(self.tensor("y")?);
        let batch = ExpertBatch {
            augmented: &augmented,
            images: &x,
            labels: &labels,
            mode: Mode::Train,
        };
        let settings = ExpertSettings {
            clipping: self.settings["clip"].as_bool().unwrap_or(true),
            gradient_penalty: self.number("gp_weight", None)?,
            ..ExpertSettings::default()
        };
        let epoch = self.number("epoch", None)? as usize;
        let radius_and_gap = (self.number("rho", None)?, self.number("alpha", None)?);
        let gradient = |at: &Tensor| expert_gradient(&net, at, batch, &settings, epoch).gradient;
        let g = gradient(&theta);
        let direction = gsam_direction(&theta, &g, radius_and_gap, gradient);
        self.expect("grad", &g)?;
        self.expect("direction", &direction)?;
        let by_autograd = |at: &Tensor| {
            let at = at.detach().set_requires_grad(true);
            let loss = expert_loss(&net, &at, batch, &settings, epoch).total;
            Tensor::run_backward(&[loss], &[&at], false, false).remove(0)
        };
        let g = by_autograd(&theta);
        let direction = gsam_direction(&theta, &g, radius_and_gap, by_autograd);
        self.expect("direction", &direction)
    }

    fn expert_labels(&mut self) -> Result<(), Failure> {
        let experts = self.tensor("logits")?.unbind(0);
        let logits = initial_logits(&experts, &self.tensor("classes")?);
        self.expect("label_logits", &logits)
    }

    fn augment(&mut self) -> Result<(), Failure> {
        let (x, u, u2) = (self.tensor("x")?, self.tensor("u")?, self.tensor("u2")?);
        let crop = augment::crop(&x, &self.tensor("crop_y")?, &self.tensor("crop_x")?);
        let cutout = augment::cutout(&x, &self.tensor("cutout_y")?, &self.tensor("cutout_x")?);
        for (name, got) in [
            ("brightness", augment::brightness(&x, &u)),
            ("saturation", augment::saturation(&x, &u)),
            ("contrast", augment::contrast(&x, &u)),
            ("flip", augment::flip(&x, &u)),
            ("crop", crop),
            ("cutout", cutout),
            ("scale", augment::scale(&x, &u, &u2)),
            ("rotate", augment::rotate(&x, &u)),
        ] {
            self.expect(name, &got)?;
        }
        Ok(())
    }

    fn zca(&mut self) -> Result<(), Failure> {
        let x = self.tensor("x")?;
        let zca = Zca::fit(&x, self.number("eps", None)?);
        let whitened = zca.apply(&x);
        self.expect("mean", &zca.mean)?;
        self.expect("whitened", &whitened)?;
        self.expect("restored", &zca.invert(&whitened))
    }

    fn smoothness(&mut self) -> Result<(), Failure> {
        let points = self.tensor("trajectory")?;
        let mut path = ExpertPath::new(&points.get(0));
        let measured: Vec<_> = (1..points.size()[0])
            .map(|e| path.push(&points.get(e)))
            .collect();
        let column = |values: Vec<f64>| Tensor::from_slice(&values);
        self.expect(
            "step",
            &column(measured.iter().map(|s| s.step_length).collect()),
        )?;
        self.expect(
            "turn",
            &column(measured.iter().filter_map(|s| s.turn).collect()),
        )?;
        self.expect(
            "curvature",
            &column(measured.iter().filter_map(|s| s.curvature).collect()),
        )?;
        self.expect(
            "tortuosity",
            &column(measured.last().map(|s| s.tortuosity).into_iter().collect()),
        )
    }
}

/// `n` numbers in [-1, 1) from a hash of their position: those of tests/golden/make_networks.py.
fn hashed(seed: u64, n: i64) -> Tensor {
    let number = |i: u64| {
        let mut x = (i + seed * 0x9E37_79B9) as u32;
        x = (x ^ (x >> 16)).wrapping_mul(0x7FEB_352D);
        x = (x ^ (x >> 15)).wrapping_mul(0x846C_A68B);
        f64::from(x ^ (x >> 16)) / f64::from(1 << 30) / 2. - 1.
    };
    let values: Vec<f64> = (0..n as u64).map(number).collect();
    Tensor::from_slice(&values)
}

/// One case in one precision: the worst relative difference, and of what.
///
/// In float32 an activation that is 0 but for rounding may fall on its other side, which moves a gradient
/// by some thousandths: of `student_full` by 2.4e-3, by every way of differentiating, for one noise in
/// four. A case that is over the limit must be under it with two of three noises.
fn check(
    path: &std::path::Path,
    kind: Kind,
    place: (Device, Way),
) -> Result<(f64, String), Failure> {
    let exact = check_with_noise(0, path, kind, place);
    if exact.is_ok() || kind == Kind::Double {
        return exact;
    }
    let with_noise = [1, 2, 3].map(|noise| check_with_noise(noise, path, kind, place));
    let mut passed: Vec<_> = with_noise.into_iter().flatten().collect();
    match passed.pop() {
        Some(one) if !passed.is_empty() => Ok(one),
        _ => exact,
    }
}

fn check_with_noise(
    noise: u64,
    path: &std::path::Path,
    kind: Kind,
    (device, way): (Device, Way),
) -> Result<(f64, String), Failure> {
    let file = TensorFile::open(path)?;
    let settings = serde_json::from_str(file.metadata("case")?)?;
    let mut case = Case {
        file,
        settings,
        kind,
        device,
        way,
        limit: match kind {
            Kind::Double => 1e-8,
            _ => 2e-3,
        },
        noise,
        worst: (0., String::new()),
    };
    if way == Way::Chosen || case.is_differentiated() {
        case.run()?;
    }
    Ok(case.worst)
}

/// All cases of a folder, with a line each on stdout; how many there are and how many failed.
fn check_folder(
    folder: &std::path::Path,
    device: Device,
    way: Way,
) -> Result<(usize, usize), Failure> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(|e| format!("{}: {e}", folder.display()))?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|e| e == "safetensors"));
    files.sort();
    let mut failed = 0;
    for path in &files {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let results =
            [("float64", Kind::Double), ("float32", Kind::Float)].map(|(label, kind)| match check(
                path,
                kind,
                (device, way),
            ) {
                Ok((worst, name)) => (true, format!("{label} {worst:.1e} ({name})")),
                Err(e) => (false, format!("{label} {e}")),
            });
        let passed = results.iter().all(|(ok, _)| *ok);
        failed += usize::from(!passed);
        println!(
            "{name:40} {}  {}, {}",
            if passed { "pass" } else { "FAIL" },
            results[0].1,
            results[1].1
        );
    }
    Ok((files.len(), failed))
}

/// ASTILL_DEVICE, or the CPU.
fn chosen_device() -> Result<Device, Failure> {
    let choice = std::env::var("ASTILL_DEVICE")
        .map_or(Ok(DeviceChoice::Cpu), |name| name.parse::<DeviceChoice>())?;
    let chosen = device::choose(&choice)?;
    match chosen.warnings.as_slice() {
        [] => Ok(chosen.device),
        warnings => Err(warnings.join("; ").into()),
    }
}

fn golden_folder() -> PathBuf {
    let folder = std::env::var_os("ASTILL_GOLDEN")
        .map_or_else(|| PathBuf::from("tests/golden"), PathBuf::from);
    // a relative one is meant from the top of the project, where `make` stands
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(folder)
}

#[test]
fn every_golden_case_comes_out() -> Result<(), Failure> {
    let folder = golden_folder();
    let device = chosen_device()?;
    let (cases, failed) = check_folder(&folder, device, Way::Chosen)?;
    assert!(
        cases > 0,
        "there is no case (*.safetensors) in {}",
        folder.display()
    );
    assert_eq!(failed, 0, "{failed} of {cases} golden cases failed");
    Ok(())
}

/// What a GPU takes, on the CPU.
#[test]
fn derivatives_come_out_by_the_kernels_for_gpus_too() -> Result<(), Failure> {
    let (cases, failed) = check_folder(&golden_folder(), Device::Cpu, Way::Kernels(1))?;
    assert!(cases > 0);
    assert_eq!(
        failed, 0,
        "{failed} of {cases} golden cases failed by kernels"
    );
    Ok(())
}

/// What other networks take, with the common one.
#[test]
fn derivatives_come_out_by_autograd_too() -> Result<(), Failure> {
    let (cases, failed) = check_folder(&golden_folder(), Device::Cpu, Way::Autograd)?;
    assert!(cases > 0);
    assert_eq!(
        failed, 0,
        "{failed} of {cases} golden cases failed by autograd"
    );
    Ok(())
}

/// The exact gradient of a student step with respect to images, parameters and rate, of the common
/// network in its usual width.
fn student_step(
    (way, kind, device): (Way, Kind, Device),
    batch: i64,
) -> Result<[Tensor; 3], Failure> {
    let net = Differentiated {
        net: ConvNet::new(ConvNetConfig::default()).ok_or("no such network")?,
        way,
    };
    let numbers = |seed, n| hashed(seed, n).to_kind(kind).to_device(device);
    let mut rng = random::generator(11, "full width", &[]);
    let theta = net.init(&mut rng).to_kind(kind).to_device(device);
    let images = numbers(2, batch * 3 * 32 * 32).view([batch, 3, 32, 32]);
    let classes = Tensor::arange(batch, (Kind::Int64, device)).remainder(10);
    let labels = Labels::Hard(classes);
    let set = TrainingSet {
        images: &images,
        labels: &labels,
        lr: 0.01,
    };
    let student = Student {
        net: &net,
        set: &set,
        momentum: 0.9,
        loss_factor: 1.,
    };
    let steps = [0, 1].map(|_| StudentStep {
        rows: Tensor::arange(batch, (Kind::Int64, device)),
        augmentation: None,
    });
    let mut rollout = student.unroll(&theta, &steps, &mut |_| Ok(()))?;
    let end = rollout.points[2].shallow_clone();
    let direction = numbers(3, net.parameters());
    let gradient = student.adjoint(&mut rollout, &steps, &[(2, direction)], &mut |_| Ok(()))?;
    Ok([end - theta, gradient.images, gradient.lr])
}

/// Which algorithm a GPU's library takes for a convolution depends on its size.
#[test]
fn the_derivatives_come_out_at_full_width_too() -> Result<(), Failure> {
    let device = chosen_device()?;
    let batches: &[i64] = match device {
        Device::Cpu => &[3],
        _ => &[10, 128, 1000],
    };
    for (i, batch) in batches.iter().enumerate() {
        let exact = student_step((Way::Chosen, Kind::Double, device), *batch)?;
        let mut others = vec![(Way::Chosen, Kind::Float, 2e-3)];
        // takes ten times as much memory
        if i == 0 {
            others.push((Way::Autograd, Kind::Double, 1e-8));
        }
        for (way, kind, limit) in others {
            let found = student_step((way, kind, device), *batch)?;
            for (name, (got, want)) in ["path", "images", "rate"]
                .iter()
                .zip(found.iter().zip(&exact))
            {
                let difference = (got.to_kind(Kind::Double) - want).norm() / want.norm();
                let difference = difference.double_value(&[]);
                println!("full width, batch {batch}, {way:?}, {kind:?}: {name} {difference:.1e}");
                assert!(
                    difference < limit,
                    "batch {batch}: {name} by {way:?}, {kind:?}: {difference:.1e}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn an_unknown_kind_of_case_fails() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("strange.safetensors");
    let x = Tensor::from_slice(&[1f64]);
    astill_engine::tensor_file::write(
        &path,
        &[("x", &x)],
        Some(("case", r#"{"kind": "strange"}"#.into())),
    )?;
    let check = |folder| check_folder(folder, Device::Cpu, Way::Chosen);
    assert_eq!(check(folder.path())?, (1, 1));
    assert_eq!(check(tempfile::tempdir()?.path())?, (0, 0));
    Ok(())
}
