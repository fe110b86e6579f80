//! Profiles that are recorded in results, perhaps by another version of the program.

use super::schema::{Profile, schema};
use serde_json::Value as Json;

impl Profile {
    /// The profile that a result holds as JSON. Keys that it lacks have their defaults; those that
    /// this version does not know are passed over, because they cannot mean anything here.
    ///
    /// # Errors
    /// A key has a value that this version cannot read, or there is no profile.
    pub fn recorded(value: &Json) -> Result<Self, String> {
        if !value["dataset"]["kind"].is_string() {
            return Err("it holds no profile with a data set".into());
        }
        let mut profile = Self::default();
        for key in schema() {
            let found = match key.section() {
                "" => value.get(key.name()),
                section => value.get(section).and_then(|s| s.get(key.name())),
            };
            if let Some(found) = found {
                (key.set)(&mut profile, found.clone())
                    .map_err(|e| format!("its profile: {}: {e}", key.path))?;
            }
        }
        Ok(profile)
    }
}

#[cfg(test)]
mod tests {
    use super::super::choices::Kind;
    use super::*;
    use serde_json::json;

    #[test]
    fn a_recorded_profile_is_read_whatever_its_version() {
        let mut recorded = json!(Profile::new(Kind::Cifar10));
        recorded["distill"]["ipc"] = 7.into();
        recorded["distill"]["of_the_future"] = true.into();
        let read = Profile::recorded(&recorded);
        assert_eq!(
            read.map(|p| (p.dataset.kind, p.distill.ipc)),
            Ok((Kind::Cifar10, 7))
        );
        if let Some(section) = recorded["evaluate"].as_object_mut() {
            section.clear();
        }
        let epochs = Profile::recorded(&recorded).map(|p| p.evaluate.epochs);
        assert_eq!(epochs, Ok(Profile::default().evaluate.epochs));
    }

    #[test]
    fn what_is_no_profile_is_refused_with_the_key_that_is_wrong() {
        assert!(Profile::recorded(&json!({})).is_err());
        let mut recorded = json!(Profile::new(Kind::Cifar10));
        recorded["network"]["kind"] = "mlp".into();
        assert!(Profile::recorded(&recorded).is_err_and(|e| e.contains("network.kind")));
    }
}
