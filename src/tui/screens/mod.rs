//! The screens, a file for each.

pub mod chart;
pub mod compare;
pub mod confirm;
pub mod estimate;
pub mod help;
pub mod home;
pub mod log;
pub mod prompt;
pub mod roll_back;
pub mod run;
pub mod samples;
pub mod start;
pub mod tweak;

pub use confirm::ConfirmPopup;
pub use help::HelpPopup;
pub use home::HomeScreen;
pub use run::RunScreen;
pub use start::StartForm;
