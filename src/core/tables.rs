//! Tables as text: for people and for spreadsheets.

/// A table in Markdown, its columns aligned, the first to the left and the others to the right;
/// `cells` are its rows of equal length, the heads first.
#[must_use]
pub fn markdown(cells: &[Vec<String>]) -> String {
    let columns = cells.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let lengths = cells.iter().map(|row| row[column].chars().count());
        lengths.max().unwrap_or(0).max(3)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (i, row) in cells.iter().enumerate() {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            text += &match column {
                0 => format!("| {cell:<width$} "),
                _ => format!("| {cell:>width$} "),
            };
        }
        text += "|\n";
        if i == 0 {
            for (column, width) in widths.iter().enumerate() {
                let line = "-".repeat(*width);
                text += &match column {
                    0 => format!("|-{line}-"),
                    _ => format!("|-{line}:"),
                };
            }
            text += "|\n";
        }
    }
    text
}

/// A line of a CSV file, with quotes where a field needs them (RFC 4180).
#[must_use]
pub fn csv_row<S: AsRef<str>>(fields: &[S]) -> String {
    let quoted = |field: &S| {
        let field = field.as_ref();
        match field.contains(['"', ',', '\n', '\r']) {
            true => format!("\"{}\"", field.replace('"', "\"\"")),
            false => field.to_string(),
        }
    };
    let fields: Vec<String> = fields.iter().map(quoted).collect();
    fields.join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_quoted_where_it_has_to_be() {
        assert_eq!(csv_row(&["a b", "1.5", ""]), "a b,1.5,\n");
        assert_eq!(
            csv_row(&["a, b", "say \"x\"", "two\nlines"]),
            "\"a, b\",\"say \"\"x\"\"\",\"two\nlines\"\n"
        );
    }
}
