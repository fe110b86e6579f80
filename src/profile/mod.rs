//! Profiles.

/// One thing that is wrong with a profile.
#[derive(Debug, Clone)]
pub struct Problem(pub String);

/// All problems, a line each.
pub fn problems_text(problems: &[Problem]) -> String {
    problems.iter().map(|p| p.0.as_str()).collect::<Vec<_>>().join("\n")
}
