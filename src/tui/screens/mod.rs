//! The screens, a file for each.

pub mod chart;
pub mod compare;
pub mod confirm;
pub mod help;
pub mod home;
pub mod log;
pub mod roll_back;
pub mod run;
pub mod samples;
pub mod tweak;

pub use confirm::ConfirmPopup;
pub use help::HelpPopup;
pub use home::HomeScreen;
pub use run::RunScreen;
