//! Random and damaged input for whatever reads bytes of others: decoders, schemas and the parser. No
//! crash, no hang, and no more memory than the input's own order of size.

pub mod counting;
mod decoders;
mod random;
mod texts;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use self::counting::{Allocated, counted};
use self::random::Random;

/// Something that reads bytes of others.
pub trait Target {
    fn name(&self) -> &str;

    /// A random input.
    fn input(&self, random: &mut Random) -> Vec<u8>;

    /// Reads it.
    ///
    /// # Errors
    /// What must not be. An input that is refused is fine.
    fn read(&mut self, input: &[u8]) -> Result<(), String>;

    /// Bytes that may be held per byte of input.
    fn bytes_per_byte(&self) -> usize {
        BYTES_PER_BYTE
    }
}

/// Bytes that a decoder may hold per byte of input: a row has columns that the input does not name,
/// and buffers double.
const BYTES_PER_BYTE: usize = 32;
/// Bytes that any input may cost.
const BYTES_FLOOR: usize = 128 << 10;
/// Time that any input may take.
const TIME_FLOOR: Duration = Duration::from_millis(50);
/// Time per byte of input.
const TIME_PER_BYTE: Duration = Duration::from_micros(10);
/// A slow input is slow each time; a busy machine is not.
const SLOW_TRIES: usize = 5;

/// What is run.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    /// For all targets together.
    pub time: Duration,
    /// Only targets whose names contain this.
    pub only: String,
    /// Only this case.
    pub case: Option<u64>,
    /// Where the case that runs is noted, so that a crash has a name.
    pub trace: Option<std::path::PathBuf>,
}

/// How a target did.
#[derive(Debug)]
pub struct Outcome {
    pub name: String,
    pub cases: u64,
    /// Most bytes per byte of input, of inputs beyond a kilobyte.
    pub worst: usize,
}

/// Runs all targets.
///
/// # Errors
/// The first case that must not be, with what repeats it.
pub fn run(plan: &Plan) -> Result<Vec<Outcome>, String> {
    let mut targets = decoders::targets();
    targets.extend(texts::targets());
    targets.retain(|target| target.name().contains(&plan.only));
    if targets.is_empty() {
        return Err(format!("no target is called {}", plan.only));
    }
    let share = plan.time / targets.len() as u32;
    targets.iter_mut().map(|target| run_target(plan, target.as_mut(), share)).collect()
}

fn run_target(plan: &Plan, target: &mut dyn Target, time: Duration) -> Result<Outcome, String> {
    let trace = plan.trace.as_ref().map(File::create).transpose();
    let trace = trace.map_err(|e| format!("the trace: {e}"))?;
    let (start, mut cases, mut worst) = (Instant::now(), 0, 0);
    while start.elapsed() < time {
        let case = plan.case.unwrap_or_else(|| plan.seed.wrapping_mul(1 << 32).wrapping_add(cases));
        if let Some(file) = &trace {
            let line = format!("{:40} {case:20}\n", target.name());
            file.write_all_at(line.as_bytes(), 0).map_err(|e| format!("the trace: {e}"))?;
        }
        let input = target.input(&mut Random::new(case));
        let name = target.name().to_owned();
        let told = |what: String| {
            let shown = &input[..input.len().min(500)];
            format!(
                "{name}: {what}\n  again: fuzz --only {name} --case {case}\n  input of {} bytes: {}",
                input.len(),
                shown.escape_ascii()
            )
        };
        match one(target, &input) {
            Ok(allocated) if input.len() > 1024 => worst = worst.max(allocated.peak / input.len()),
            Ok(_) => {}
            Err(what) => return Err(told(what)),
        }
        cases += 1;
        if plan.case.is_some() {
            break;
        }
    }
    Ok(Outcome { name: target.name().to_owned(), cases, worst })
}

fn one(target: &mut dyn Target, input: &[u8]) -> Result<Allocated, String> {
    let mut least = Duration::MAX;
    let time_max = TIME_FLOOR + TIME_PER_BYTE * input.len() as u32;
    let bytes_max = BYTES_FLOOR + target.bytes_per_byte() * input.len();
    for _ in 0..SLOW_TRIES {
        let (start, worked) = (Instant::now(), worked());
        let (done, allocated) = counted(|| catch_unwind(AssertUnwindSafe(|| target.read(input))));
        let cpu = self::worked().zip(worked).map(|(after, before)| after.saturating_sub(before));
        least = least.min(start.elapsed()).min(cpu.unwrap_or(Duration::MAX));
        done.map_err(|_| "it panicked".to_owned())??;
        if allocated.peak > bytes_max {
            let Allocated { peak, largest } = allocated;
            return Err(format!("{peak} bytes were held (a block of {largest}), not {bytes_max}"));
        }
        if least <= time_max {
            return Ok(allocated);
        }
    }
    Err(format!("it took {least:?}, not {time_max:?}"))
}

/// How long this thread has had a processor: on a busy machine that is less than the time that
/// passes. `None` where the system does not tell.
fn worked() -> Option<Duration> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}
