//! Tables.

use super::mime::escape;
use super::{MimeBundle, Show};

/// The alignment of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Align {
    /// Left-aligned, for words.
    #[default]
    Left,
    /// Centered, for short marks.
    Center,
    /// Right-aligned, for numbers.
    Right,
}

/// A table: HTML in a notebook, aligned columns in a terminal.
///
/// ```
/// use metamers::display::{Align, Show, Table};
///
/// let table = Table::new(["stage", "units"])
///     .align([Align::Left, Align::Right])
///     .row(["stem", "401408"])
///     .row(["block2", "75264"]);
/// assert!(table.mime_bundles()[0].data()["text/html"].contains("<td align=\"right\""));
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Table {
    headers: Vec<String>,
    rows: Vec<Vec<String>>,
    align: Vec<Align>,
    caption: String,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table({} columns, {} rows)", self.columns(), self.rows.len())
    }
}

impl Table {
    /// Creates a table with these column names and no rows.
    pub fn new<T: Into<String>>(headers: impl IntoIterator<Item = T>) -> Self {
        Self { headers: headers.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Adds a row. A short row is padded with empty cells; a long row adds columns without a name.
    pub fn row<T: Into<String>>(mut self, cells: impl IntoIterator<Item = T>) -> Self {
        self.push(cells);
        self
    }

    /// Adds a row to an existing table, for use in loops.
    pub fn push<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Sets the alignment of the columns, from the first; the default is left.
    pub fn align(mut self, align: impl IntoIterator<Item = Align>) -> Self {
        self.align = align.into_iter().collect();
        self
    }

    /// Sets the caption above the table.
    pub fn caption(mut self, caption: impl Into<String>) -> Self {
        self.caption = caption.into();
        self
    }

    fn columns(&self) -> usize {
        self.rows.iter().map(Vec::len).chain([self.headers.len()]).max().unwrap_or(0)
    }

    fn alignment(&self, column: usize) -> Align {
        self.align.get(column).copied().unwrap_or_default()
    }

    fn html(&self) -> String {
        let line = |cells: &[String], tag: &str| -> String {
            let cells = (0..self.columns()).map(|column| {
                let alignment = match self.alignment(column) {
                    Align::Left => "left",
                    Align::Center => "center",
                    Align::Right => "right",
                };
                let text = escape(cells.get(column).map_or("", String::as_str)).replace('\n', "<br>");
                // GitHub strips styles, so it needs the attribute; JupyterLab aligns all cells right, so it needs the style.
                format!("<{tag} align=\"{alignment}\" style=\"text-align:{alignment}\">{text}</{tag}>")
            });
            format!("<tr>{}</tr>\n", cells.collect::<String>())
        };
        let mut html = String::from("<table>\n");
        if !self.caption.is_empty() {
            html += &format!("<caption>{}</caption>\n", escape(&self.caption).replace('\n', "<br>"));
        }
        if !self.headers.is_empty() {
            html += &format!("<thead>\n{}</thead>\n", line(&self.headers, "th"));
        }
        let rows: String = self.rows.iter().map(|row| line(row, "td")).collect();
        html + &format!("<tbody>\n{rows}</tbody>\n</table>")
    }

    fn plain(&self) -> String {
        let one_line = |cell: &String| cell.split_whitespace().collect::<Vec<_>>().join(" ");
        let headers: Vec<String> = self.headers.iter().map(one_line).collect();
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| row.iter().map(one_line).collect()).collect();
        let widths: Vec<usize> = (0..self.columns())
            .map(|column| {
                let cells = rows.iter().chain([&headers]).filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let line = |cells: &[String]| {
            let cells: Vec<String> = widths
                .iter()
                .enumerate()
                .map(|(column, width)| {
                    let cell = cells.get(column).map_or("", String::as_str);
                    let space = width.saturating_sub(cell.chars().count());
                    let before = match self.alignment(column) {
                        Align::Left => 0,
                        Align::Center => space / 2,
                        Align::Right => space,
                    };
                    format!("{}{cell}{}", " ".repeat(before), " ".repeat(space - before))
                })
                .collect();
            cells.join("  ").trim_end().to_owned()
        };
        let mut lines = Vec::new();
        if !self.caption.is_empty() {
            lines.push(self.caption.clone());
        }
        if !headers.is_empty() {
            lines.push(line(&headers));
            let rules: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
            lines.push(rules.join("  "));
        }
        lines.extend(rows.iter().map(|row| line(row)));
        lines.join("\n")
    }
}

impl Show for Table {
    fn mime_bundles(&self) -> Vec<MimeBundle> {
        vec![MimeBundle::text(self.plain()).html(self.html())]
    }
}

crate::show_in_notebooks!(Table);
