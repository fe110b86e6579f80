//! What differs between the profile that a run has recorded and the one that it is given now.

use super::key::ProfileKey;
use super::key::written;
use super::schema::{Profile, schema};
use serde_json::Value as Json;

/// A key that has another value now than in the record.
#[derive(Debug, Clone)]
pub struct Difference {
    pub key: &'static ProfileKey,
    /// As people write them.
    pub recorded: String,
    pub now: String,
}

impl Difference {
    /// A line of its own below a refusal: "  distill.ipc: found 1, but the run was begun with 2".
    #[must_use]
    pub fn refusal(&self) -> String {
        format!(
            "\n  {}: found {}, but the run was begun with {}",
            self.key.path, self.now, self.recorded
        )
    }
}

impl Profile {
    /// The keys whose values differ between `recorded`, a profile as JSON, and this one. A key that
    /// the record lacks had its default.
    ///
    /// # Errors
    /// The record is of no profile that this version can read, or has keys that it does not know:
    /// then these might mean anything.
    pub fn differences(&self, recorded: &Json) -> Result<Vec<Difference>, String> {
        let before = Self::recorded(recorded)?;
        let unknown = unknown_keys(recorded);
        if !unknown.is_empty() {
            return Err(format!(
                "it has settings that this version of astill does not know: {}",
                unknown.join(", ")
            ));
        }
        let differing = schema()
            .iter()
            .map(|key| (key, (key.get)(&before), (key.get)(self)))
            .filter(|(_, recorded, now)| recorded != now);
        Ok(differing
            .map(|(key, recorded, now)| Difference {
                key,
                recorded: written(&recorded),
                now: written(&now),
            })
            .collect())
    }
}

/// "distill.future" for every key of the record that is not in the table.
fn unknown_keys(recorded: &Json) -> Vec<String> {
    let mut unknown = Vec::new();
    let known = |path: &str| schema().iter().any(|key| key.path == path);
    for (name, value) in recorded.as_object().into_iter().flatten() {
        match value.as_object() {
            Some(section) => {
                let paths = section.keys().map(|key| format!("{name}.{key}"));
                unknown.extend(paths.filter(|path| !known(path)));
            }
            None if known(name) => {}
            None => unknown.push(name.clone()),
        }
    }
    unknown
}

#[cfg(test)]
mod tests {
    use super::super::choices::Kind;
    use super::*;
    use serde_json::json;

    #[test]
    fn every_key_that_differs_is_named_with_both_values() {
        let mut profile = Profile::new(Kind::Shapes);
        let recorded = json!(profile);
        assert!(profile.differences(&recorded).is_ok_and(|d| d.is_empty()));
        profile.distill.ipc = 2;
        profile.seed = 7;
        profile.distill.lr_images = 0.5;
        let found = profile.differences(&recorded).unwrap_or_default();
        let found: Vec<_> = found
            .iter()
            .map(|d| (d.key.path, &*d.recorded, &*d.now, d.key.live))
            .collect();
        assert_eq!(
            found,
            [
                ("distill.ipc", "10", "2", false),
                ("distill.lr_images", "100", "0.5", true),
                ("seed", "0", "7", false)
            ]
        );
    }

    #[test]
    fn a_record_without_a_key_had_its_default_and_one_with_more_is_refused() {
        let profile = Profile::new(Kind::Shapes);
        let mut recorded = json!(profile);
        if let Some(section) = recorded["evaluate"].as_object_mut() {
            section.clear();
        }
        assert!(profile.differences(&recorded).is_ok_and(|d| d.is_empty()));
        recorded["distill"]["future"] = true.into();
        assert!(
            profile
                .differences(&recorded)
                .is_err_and(|e| e.contains("distill.future"))
        );
    }
}
