//! The rows of the form.

/// A row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    Name,
    Seed,
    Device,
    /// A setting, by its place in the list.
    Set(usize),
    /// One more setting.
    Add,
    /// The button.
    Start,
}

impl Row {
    pub fn name(self) -> &'static str {
        match self {
            Self::Name => "Name",
            Self::Seed => "Seed",
            Self::Device => "Device",
            Self::Set(_) => "Setting",
            Self::Add => "Settings",
            Self::Start => "",
        }
    }
}
