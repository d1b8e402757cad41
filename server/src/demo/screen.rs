//! What the demo shows: tables that change, and a progress line. A terminal is redrawn in place;
//! anything else gets a line now and then, and the tables once at the end.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use chrono::DateTime;
use millrace_engine::api::{Api, Properties};

use crate::cli::shell::width;
use crate::cli::table::draw;
use crate::rows::write_value;

/// Without a terminal: time between two lines.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);
/// Hours of `hourly_departures` that fit on a screen.
const HOURS_SHOWN: i64 = 4;
/// Rows of `airline_delays` that fit.
const AIRLINES_SHOWN: usize = 8;
const HOUR_MS: i64 = 3_600_000;
const PROGRESS_CELLS: usize = 30;

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
            print!("\x1b[2J");
        }
        Screen { terminal, drawn: None, first_window: None, started: Instant::now() }
    }

    /// Draws what there is now. `last`: the replay is over.
    pub fn show(&mut self, api: &dyn Api, progress: Progress, last: bool) {
        let hours = hourly(api);
        if self.first_window.is_none() && !hours.is_empty() {
            self.first_window = Some(self.started.elapsed());
        }
        let line = self.progress_line(progress);
        if self.terminal {
            let frame = format!("{}\n{line}\n", tables(api, &hours)).replace('\n', "\x1b[K\n");
            print!("\x1b[H{frame}\x1b[J");
        } else if last {
            println!("{}\n{line}", tables(api, &hours));
        } else if self.drawn.is_none_or(|at| at.elapsed() >= PLAIN_INTERVAL) {
            println!("{line}");
            self.drawn = Some(Instant::now());
        }
        let _ = std::io::stdout().flush();
    }

    fn progress_line(&self, progress: Progress) -> String {
        let share = progress.sent * PROGRESS_CELLS / progress.total.max(1);
        let bar = "#".repeat(share) + &".".repeat(PROGRESS_CELLS - share.min(PROGRESS_CELLS));
        let first = self.first_window.map_or("no window yet".to_string(), |after| {
            format!("first window after {:.1} s", after.as_secs_f64())
        });
        let memory = memory_mib().map_or(String::new(), |mib| format!(", {mib} MiB of memory"));
        format!(
            "{} UTC [{bar}] {} of {} records, {first}{memory}",
            time(progress.now_ms, "%a %Y-%m-%d %H:%M"),
            progress.sent,
            progress.total,
        )
    }
}

fn tables(api: &dyn Api, hours: &[Vec<String>]) -> String {
    let sql = "SELECT airline, flights, mean_delay_min FROM airline_delays;";
    let mut airlines = pull(api, sql);
    airlines.sort_by_key(|row| std::cmp::Reverse(number(row.get(1))));
    airlines.truncate(AIRLINES_SHOWN);
    airlines.iter_mut().for_each(|row| round(row, 2));
    let sql = "SELECT origin, landed, mean_arrival_delay_min FROM landings;";
    let mut landings = pull(api, sql);
    landings.sort();
    landings.iter_mut().for_each(|row| round(row, 2));
    let width = width();
    format!(
        "Flights out of New York, 1 to 7 January 2013\n\n\
         HOURLY_DEPARTURES: departures, tumbling windows of one hour\n{}\n\
         AIRLINE_DELAYS: departures joined with airlines\n{}\n\
         LANDINGS: departures joined with arrivals within 12 hours\n{}",
        draw(&["Origin", "Hour (UTC)", "Flights", "Mean delay (min)"], hours, width),
        draw(&["Airline", "Flights", "Mean delay (min)"], &airlines, width),
        draw(&["Origin", "Landed", "Mean arrival delay (min)"], &landings, width),
    )
}

/// The newest hours that have a window, newest first. The replay runs far ahead of what an hour of
/// it takes to be committed, so the hours are those of the result and not of the replay.
fn hourly(api: &dyn Api) -> Vec<Vec<String>> {
    let sql = "SELECT origin, WINDOWSTART, flights, mean_delay_min FROM hourly_departures;";
    let mut rows = pull(api, sql);
    let newest = rows.iter().map(|row| number(row.get(1))).max().unwrap_or_default();
    rows.retain(|row| number(row.get(1)) > newest - HOURS_SHOWN * HOUR_MS);
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
