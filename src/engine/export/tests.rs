use super::*;
use std::collections::BTreeSet;

#[test]
fn every_format_is_found_by_its_own_name() -> Result<()> {
    let names: BTreeSet<&str> = EXPORTS.iter().map(|e| e.name()).collect();
    assert_eq!(names.len(), EXPORTS.len());
    for name in names {
        assert_eq!(find(name)?.name(), name);
    }
    let refused = find("tiff").err().map(|e| e.to_string());
    assert!(
        refused.is_some_and(|e| e.contains("tiff") && e.contains("safetensors")),
        "the error names what was found and what is expected"
    );
    Ok(())
}
