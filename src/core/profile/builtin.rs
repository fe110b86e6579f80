//! The profiles that are built into the program.

/// A built-in profile.
#[derive(Debug)]
pub struct Builtin {
    pub name: &'static str,
    /// The YAML, as in `profiles/NAME.yaml`.
    pub text: &'static str,
    /// Whether menus list it; the others exist to be extended, but load all the same.
    pub listed: bool,
}

/// What the names of profiles with published settings begin with.
const AUTHORS: [&str; 5] = ["ast-", "mtt-", "ftd-", "att-", "datm-"];

impl Builtin {
    /// Whether it has the published settings of a method, rates included.
    pub fn is_published(&self) -> bool {
        AUTHORS.iter().any(|author| self.name.starts_with(author))
    }

    /// The profile in one line: the comment at the top of its file.
    pub fn description(&self) -> &'static str {
        self.text
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches('#')
            .trim()
    }
}

/// All built-in profiles in the order of the menu: those for a first try come first, then those
/// with automatic rates, then those with published settings.
pub fn builtin() -> &'static [Builtin] {
    BUILTIN
}

macro_rules! profiles {
    ($($name:literal $listed:literal)*) => {
        &[$(Builtin {
            name: $name,
            text: include_str!(concat!("../profiles/", $name, ".yaml")),
            listed: $listed,
        }),*]
    };
}

static BUILTIN: &[Builtin] = profiles! {
    "shapes" true
    "cifar10-cpu" true
    "cifar10-ipc1" true
    "cifar10-ipc10" true
    "cifar10-ipc50" true
    "cifar100-ipc1" true
    "cifar100-ipc10" true
    "cifar100-ipc50" true
    "tiny-imagenet-ipc1" true
    "tiny-imagenet-ipc10" true
    "tiny-imagenet-ipc50" true
    "imagenette-ipc1" true
    "imagenette-ipc10" true
    "ast-cifar10-ipc10" true
    "ast-cifar100-ipc1" true
    "ast-cifar100-ipc10" true
    "ast-cifar100-ipc50" true
    "ast-tiny-imagenet-ipc1" true
    "mtt-cifar10-ipc1" true
    "ftd-cifar10-ipc1" true
    "ftd-cifar10-ipc10" true
    "ftd-cifar10-ipc50" true
    "ftd-cifar100-ipc1" true
    "ftd-cifar100-ipc10" true
    "ftd-cifar100-ipc50" true
    "att-cifar10-ipc1" true
    "att-cifar10-ipc10" true
    "att-cifar10-ipc50" true
    "att-cifar100-ipc1" true
    "att-cifar100-ipc10" true
    "att-cifar100-ipc50" true
    "datm-cifar10-ipc1" true
    "datm-cifar10-ipc10" true
    "datm-cifar10-ipc50" true
    "datm-cifar100-ipc1" true
    "datm-cifar100-ipc10" true
    "datm-cifar100-ipc50" true
    "datm-tiny-imagenet-ipc1" true
    "datm-tiny-imagenet-ipc10" true
    "datm-tiny-imagenet-ipc50" true
    "datm-imagenette-ipc1" true
    "datm-imagenette-ipc10" true
    "cifar10" false
    "cifar100" false
    "tiny-imagenet" false
    "imagenette" false
    "ast" false
    "mtt" false
    "ftd" false
    "att" false
    "datm" false
};
