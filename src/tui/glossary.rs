//! The words of the field that the app uses, explained: assets/glossary.md.

const TEXT: &str = include_str!("../../assets/glossary.md");

/// Every word with its explanation.
pub fn entries() -> impl Iterator<Item = (&'static str, &'static str)> {
    TEXT.lines()
        .filter_map(|line| line.strip_prefix("- **")?.split_once("**: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_list_is_an_entry() {
        let listed = TEXT.lines().filter(|line| line.starts_with('-')).count();
        assert_eq!(entries().count(), listed);
        assert!(entries().any(|(word, text)| word == "ipc" && text.ends_with('.')));
    }
}
