//! Tables drawn to a width. Characters count as wide as a terminal draws them.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Narrowest column.
const COLUMN_MIN: usize = 5;
/// Lines that one cell may take; the rest is cut.
const CELL_LINES_MAX: usize = 30;

/// Columns of a table, each with the width of its cells.
#[derive(Debug, Clone)]
pub struct Layout {
    widths: Vec<usize>,
}

impl Layout {
    /// Equal columns over `width`, for rows that are not there yet.
    pub fn equal(columns: usize, width: usize) -> Layout {
        let columns_max = columns.max(1);
        let inner = width.saturating_sub(columns_max + 1);
        Layout { widths: vec![(inner / columns_max).max(COLUMN_MIN); columns] }
    }

    /// As wide as the content needs, but not wider than `width` together: the widest give way.
    pub fn fitting(header: &[String], rows: &[Vec<String>], width: usize) -> Layout {
        let mut widths: Vec<usize> = header.iter().map(|h| h.width()).collect();
        for row in rows {
            for (have, cell) in widths.iter_mut().zip(row) {
                *have = (*have).max(cell.lines().map(UnicodeWidthStr::width).max().unwrap_or(0));
            }
        }
        let inner = width.saturating_sub(widths.len() + 1);
        while widths.iter().sum::<usize>() > inner {
            let Some(widest) = widths.iter_mut().max() else { break };
            if *widest <= COLUMN_MIN {
                break;
            }
            *widest -= 1;
        }
        Layout { widths }
    }

    /// `+----+----+`.
    pub fn rule(&self) -> String {
        let parts: Vec<String> = self.widths.iter().map(|w| "-".repeat(*w)).collect();
        format!("+{}+\n", parts.join("+"))
    }

    /// `|a   |b   |`, on several lines where a cell is wrapped.
    pub fn row(&self, cells: &[String]) -> String {
        let empty = String::new();
        let wrapped: Vec<Vec<String>> = self
            .widths
            .iter()
            .enumerate()
            .map(|(i, width)| wrap(cells.get(i).unwrap_or(&empty), *width))
            .collect();
        let lines = wrapped.iter().map(Vec::len).max().unwrap_or(0);
        let mut out = String::new();
        for line in 0..lines {
            out.push('|');
            for (cell, width) in wrapped.iter().zip(&self.widths) {
                let text = cell.get(line).map(String::as_str).unwrap_or_default();
                out.push_str(text);
                out.push_str(&" ".repeat(width.saturating_sub(text.width())));
                out.push('|');
            }
            out.push('\n');
        }
        out
    }

    /// The rule, the header, the rule.
    pub fn header(&self, names: &[String]) -> String {
        format!("{0}{1}{0}", self.rule(), self.row(names))
    }
}

/// A whole table.
pub fn draw(header: &[&str], rows: &[Vec<String>], width: usize) -> String {
    let header: Vec<String> = header.iter().map(|h| (*h).to_string()).collect();
    let layout = Layout::fitting(&header, rows, width);
    let mut out = layout.header(&header);
    rows.iter().for_each(|row| out.push_str(&layout.row(row)));
    out.push_str(&layout.rule());
    out
}

/// Lines of at most `width`; control characters become blanks.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for c in text.chars() {
        let c = if c == '\t' { ' ' } else { c };
        let wide = c.width().unwrap_or(0);
        if c == '\n' || used + wide > width {
            if lines.len() == CELL_LINES_MAX {
                mark_cut(&mut lines, width);
                return lines;
            }
            lines.push(String::new());
            used = 0;
        }
        if !c.is_control()
            && let Some(line) = lines.last_mut()
        {
            line.push(c);
            used += wide;
        }
    }
    lines
}

fn mark_cut(lines: &mut [String], width: usize) {
    let Some(line) = lines.last_mut() else { return };
    while line.width() + 3 > width && line.pop().is_some() {}
    line.push_str("...");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides_the_widths() {
        let rows = vec![vec!["a".to_string(), "123456789".to_string()]];
        let expected = "+---+---------+\n|Key|V        |\n+---+---------+\n|a  |123456789|\n\
                        +---+---------+\n";
        assert_eq!(draw(&["Key", "V"], &rows, 80), expected);
    }

    #[test]
    fn long_cells_are_wrapped_to_the_width() {
        let rows = vec![vec!["a".to_string(), "x".repeat(20)]];
        let drawn = draw(&["Key", "V"], &rows, 16);
        assert!(drawn.lines().all(|l| l.width() == 16), "{drawn}");
        assert_eq!(drawn.matches('x').count(), 20);
    }

    #[test]
    fn wide_characters_count_double() {
        let layout = Layout::equal(2, 17);
        let row = layout.row(&["日本語日本".to_string(), "é".to_string()]);
        assert_eq!(row, "|日本語 |é      |\n|日本   |       |\n");
    }

    #[test]
    fn endless_cells_are_cut() {
        let row = Layout::equal(1, 10).row(&["x".repeat(10_000)]);
        assert_eq!(row.lines().count(), CELL_LINES_MAX);
        assert!(row.ends_with("...|\n"), "{row}");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(wrap("a\u{1b}[31mb", 20), ["a[31mb"]);
        assert_eq!(Layout::equal(0, 0).row(&[]), "");
    }
}
