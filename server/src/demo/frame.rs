//! One picture of the demo, made to fit: a heading, tables one below another, how far the replay is.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::cli::table::Layout;

const HEADING: &str = "Flights out of New York, 1 to 7 January 2013";
/// Lines of a table besides its rows: title, names of columns, rule.
const TABLE_LINES: usize = 3;
/// Blank lines are left out rather than rows below this count in each table.
const ROWS_BEFORE_BLANKS: usize = 3;
/// The bar of the progress shrinks to this before anything is cut.
const BAR_MIN: usize = 5;
const BAR_MAX: usize = 30;

/// Of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub rows: usize,
    pub columns: usize,
}

/// A table, its most telling rows first.
#[derive(Debug, Clone)]
pub struct Table {
    pub title: &'static str,
    pub names: &'static [&'static str],
    pub rows: Vec<Vec<String>>,
}

/// How far the replay is, as text.
#[derive(Debug, Clone)]
pub struct Status {
    /// The time of the replay.
    pub time: String,
    pub sent: usize,
    pub total: usize,
    /// When the first result came, what it costs.
    pub notes: String,
}

/// Lines that fit: one fewer than there are rows, for the cursor, and none wider than the columns.
pub fn frame(size: Size, tables: &[Table], status: &Status) -> Vec<String> {
    let below = [progress(status, size.columns), status.notes.clone()];
    let room = size.rows.saturating_sub(1 + 1 + below.len());
    let rows_room = room.saturating_sub(tables.len() * TABLE_LINES);
    let blanks = tables.len() + 1;
    let has_blanks = rows_room >= tables.len() * ROWS_BEFORE_BLANKS + blanks;
    let wanted: Vec<usize> = tables.iter().map(|table| table.rows.len()).collect();
    let shares = shares(&wanted, if has_blanks { rows_room - blanks } else { rows_room });
    let mut lines = Vec::new();
    for (table, share) in tables.iter().zip(shares) {
        lines.extend(has_blanks.then(String::new));
        lines.extend(table.lines(share, size.columns));
    }
    lines.extend(has_blanks.then(String::new));
    lines.truncate(room);
    let all = std::iter::once(HEADING.to_string()).chain(lines).chain(below);
    let height = size.rows.saturating_sub(1).max(1);
    all.take(height).map(|line| cut(&line, size.columns)).collect()
}

impl Table {
    fn lines(&self, rows: usize, width: usize) -> Vec<String> {
        let names: Vec<String> = self.names.iter().map(|name| (*name).to_string()).collect();
        let rows = &self.rows[..rows.min(self.rows.len())];
        let layout = Layout::fitting(&names, rows, width);
        let mut text = format!("{}\n{}{}", self.title, layout.row(&names), layout.rule());
        rows.iter().for_each(|row| text.push_str(&layout.row(row)));
        text.lines().map(str::to_string).collect()
    }
}

/// Shares `room` out, one by one to each that still wants.
fn shares(wanted: &[usize], mut room: usize) -> Vec<usize> {
    let mut shares = vec![0; wanted.len()];
    while room > 0 && shares != wanted {
        for (share, wanted) in shares.iter_mut().zip(wanted) {
            if *share < *wanted && room > 0 {
                *share += 1;
                room -= 1;
            }
        }
    }
    shares
}

/// Time, bar and count in one line.
fn progress(status: &Status, width: usize) -> String {
    let Status { time, sent, total, .. } = status;
    let count = format!("{sent} of {total} records");
    // The blanks and brackets around the bar.
    let taken = time.width() + count.width() + 4;
    let cells = width.saturating_sub(taken).clamp(BAR_MIN, BAR_MAX);
    let done = (sent * cells / (*total).max(1)).min(cells);
    format!("{time} [{}{}] {count}", "#".repeat(done), ".".repeat(cells - done))
}

fn cut(line: &str, width: usize) -> String {
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= width
    };
    line.chars().take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(title: &'static str, names: &'static [&'static str], rows: usize) -> Table {
        let row = |row: usize| match names.len() {
            4 => vec!["EWR".into(), "Mon 23:00".into(), row.to_string(), "123.4".into()],
            _ => vec!["AirTran Airways Corporation".into(), row.to_string(), "123.4".into()],
        };
        Table { title, names, rows: (0..rows).map(row).collect() }
    }

    fn week() -> Vec<Table> {
        vec![
            table("HOURLY", &["Origin", "Hour (UTC)", "Flights", "Mean delay (min)"], 400),
            table("AIRLINES", &["Airline", "Flights", "Mean delay (min)"], 16),
            table("LANDINGS", &["Origin", "Landed", "Mean arrival delay (min)"], 3),
        ]
    }

    fn status() -> Status {
        Status {
            time: "Mon 2013-01-07 23:59 UTC".into(),
            sent: 12_053,
            total: 12_053,
            notes: "first window after 12.3 s, 1234 MiB of memory".into(),
        }
    }

    /// The frame of a terminal, and that it fits.
    fn fitting(columns: usize, rows: usize, tables: &[Table]) -> Vec<String> {
        let lines = frame(Size { rows, columns }, tables, &status());
        assert!(lines.len() < rows.max(2), "{columns}x{rows}: {} lines", lines.len());
        for line in &lines {
            assert!(line.width() <= columns, "{columns}x{rows}: {line}");
        }
        lines
    }

    #[test]
    fn all_is_seen_at_usual_sizes() {
        // Columns and rows of the terminal; rows that each of the three tables shows, at least.
        for (columns, rows, shown) in [
            (80, 24, [4, 4, 3]),
            (80, 25, [4, 4, 3]),
            (80, 40, [9, 9, 3]),
            (120, 40, [9, 9, 3]),
            (200, 80, [40, 16, 3]),
        ] {
            let lines = fitting(columns, rows, &week());
            assert_eq!(lines[0], HEADING);
            let at = |text: &str| lines.iter().position(|line| line.starts_with(text));
            let starts = ["HOURLY", "AIRLINES", "LANDINGS"].map(|title| at(title).unwrap());
            let bar = at("Mon 2013").unwrap();
            let ends = [starts[1], starts[2], bar];
            for ((start, end), least) in starts.into_iter().zip(ends).zip(shown) {
                let of_table = lines[start..end].iter().filter(|line| line.starts_with('|'));
                // The names of the columns are one of them.
                assert!(of_table.count() > least, "{columns}x{rows}: {lines:#?}");
            }
            assert!(lines[bar].ends_with("] 12053 of 12053 records"), "{}", lines[bar]);
            assert_eq!(lines[bar + 1..], [status().notes]);
        }
    }

    #[test]
    fn nothing_is_too_small() {
        for (columns, rows) in [(80, 12), (40, 24), (20, 10), (10, 3), (1, 1), (0, 0)] {
            fitting(columns, rows, &week());
            fitting(columns, rows, &[]);
        }
        assert_eq!(fitting(80, 12, &week()).len(), 11, "rows give way before the progress does");
    }

    #[test]
    fn before_the_first_result_there_are_names_only() {
        let empty: Vec<Table> = week().into_iter().map(|t| Table { rows: vec![], ..t }).collect();
        assert_eq!(fitting(80, 24, &empty).len(), 1 + 3 * TABLE_LINES + 2);
    }

    #[test]
    fn rows_are_shared_out() {
        for (wanted, room, expected) in [
            ([12, 16, 3], 9, [3, 3, 3]),
            ([12, 16, 3], 11, [4, 4, 3]),
            ([1, 16, 3], 11, [1, 7, 3]),
            ([1, 2, 3], 100, [1, 2, 3]),
            ([1, 2, 3], 0, [0, 0, 0]),
        ] {
            assert_eq!(shares(&wanted, room), expected);
        }
    }
}
