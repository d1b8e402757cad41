//! What the demo shows: tables that change, and a progress line. A terminal is redrawn in place;
//! anything else gets a line now and then, and the tables once at the end.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use chrono::DateTime;
use millrace_engine::api::{Api, Properties};

use super::frame::{Size, Status, Table, frame};
use crate::cli::shell::{height, width};
use crate::rows::write_value;
use crate::terminal::{out, outln};

/// Without a terminal: time between two lines.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);
/// Without a terminal: how much of the tables is written at the end.
const PLAIN_ROWS: usize = 40;

/// How far the replay is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Event time, milliseconds since the epoch.
    pub now_ms: i64,
    pub sent: usize,
    pub total: usize,
}

/// Draws.
pub struct Screen {
    terminal: bool,
    drawn: Option<Instant>,
    first_window: Option<Duration>,
    started: Instant,
}

impl Screen {
    pub fn new() -> Self {
        let terminal = std::io::stdout().is_terminal();
        if terminal {
            out!("\x1b[2J");
        }
        Screen { terminal, drawn: None, first_window: None, started: Instant::now() }
    }

    /// Draws what there is now. `last`: the replay is over.
    pub fn show(&mut self, api: &dyn Api, progress: Progress, last: bool) {
        let hours = hourly(api);
        if self.first_window.is_none() && !hours.is_empty() {
            self.first_window = Some(self.started.elapsed());
        }
        let status = self.status(progress);
        if self.terminal {
            let size = Size { rows: height(), columns: width() };
            let lines = frame(size, &tables(api, hours), &status);
            let lines: Vec<String> = lines.iter().map(|line| format!("{line}\x1b[K\n")).collect();
            out!("\x1b[H{}\x1b[J", lines.concat());
        } else if last {
            let size = Size { rows: PLAIN_ROWS, columns: width() };
            outln!("{}", frame(size, &tables(api, hours), &status).join("\n"));
        } else if self.drawn.is_none_or(|at| at.elapsed() >= PLAIN_INTERVAL) {
            let Status { time, sent, total, notes } = status;
            outln!("{time} {sent} of {total} records, {notes}");
            self.drawn = Some(Instant::now());
        }
    }

    fn status(&self, progress: Progress) -> Status {
        let first = self.first_window.map_or("no window yet".to_string(), |after| {
            format!("first window after {:.1} s", after.as_secs_f64())
        });
        let memory = memory_mib().map_or(String::new(), |mib| format!(", {mib} MiB of memory"));
        Status {
            time: format!("{} UTC", time(progress.now_ms, "%a %Y-%m-%d %H:%M")),
            sent: progress.sent,
            total: progress.total,
            notes: format!("{first}{memory}"),
        }
    }
}

fn tables(api: &dyn Api, hours: Vec<Vec<String>>) -> Vec<Table> {
    let sql = "SELECT airline, flights, mean_delay_min FROM airline_delays;";
    let mut airlines = pull(api, sql);
    airlines.sort_by_key(|row| std::cmp::Reverse(number(row.get(1))));
    airlines.iter_mut().for_each(|row| round(row, 2));
    let sql = "SELECT origin, landed, mean_arrival_delay_min FROM landings;";
    let mut landings = pull(api, sql);
    landings.sort();
    landings.iter_mut().for_each(|row| round(row, 2));
    vec![
        Table {
            title: "HOURLY_DEPARTURES: departures, tumbling windows of one hour",
            names: &["Origin", "Hour (UTC)", "Flights", "Mean delay (min)"],
            rows: hours,
        },
        Table {
            title: "AIRLINE_DELAYS: departures joined with airlines",
            names: &["Airline", "Flights", "Mean delay (min)"],
            rows: airlines,
        },
        Table {
            title: "LANDINGS: departures joined with arrivals within 12 hours",
            names: &["Origin", "Landed", "Mean arrival delay (min)"],
            rows: landings,
        },
    ]
}

/// The hours that have a window, newest first. The replay runs far ahead of what an hour of it takes
/// to be committed, so the hours are those of the result and not of the replay.
fn hourly(api: &dyn Api) -> Vec<Vec<String>> {
    let sql = "SELECT origin, WINDOWSTART, flights, mean_delay_min FROM hourly_departures;";
    let mut rows = pull(api, sql);
    rows.sort_by_key(|row| (std::cmp::Reverse(number(row.get(1))), row.first().cloned()));
    for row in &mut rows {
        round(row, 3);
        let start = number(row.get(1));
        if let Some(cell) = row.get_mut(1) {
            *cell = time(start, "%a %H:%M");
        }
    }
    rows
}

/// Rows of a pull query as text; none when it cannot be answered yet.
pub fn pull(api: &dyn Api, sql: &str) -> Vec<Vec<String>> {
    match api.pull(sql, &Properties::new()) {
        Ok(answer) => answer.rows.iter().flat_map(cells).collect(),
        Err(e) => {
            tracing::debug!("{sql}: {e:?}");
            Vec::new()
        }
    }
}

fn cells(batch: &RecordBatch) -> Vec<Vec<String>> {
    let row = |row: usize| {
        let cell = |column: &arrow::array::ArrayRef| {
            let mut text = Vec::new();
            write_value(&mut text, column.as_ref(), row, false);
            String::from_utf8_lossy(&text).trim_matches('"').to_string()
        };
        batch.columns().iter().map(cell).collect()
    };
    (0..batch.num_rows()).map(row).collect()
}

fn number(cell: Option<&String>) -> i64 {
    cell.and_then(|c| c.parse().ok()).unwrap_or(0)
}

/// One digit after the point is enough to read.
fn round(row: &mut [String], column: usize) {
    if let Some(cell) = row.get_mut(column)
        && let Ok(value) = cell.parse::<f64>()
    {
        *cell = format!("{value:.1}");
    }
}

fn time(ms: i64, format: &str) -> String {
    let time = DateTime::from_timestamp_millis(ms);
    time.map_or(ms.to_string(), |t| t.format(format).to_string())
}

/// Resident memory of this process.
fn memory_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024)
}
