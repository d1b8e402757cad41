//! Stream time over a repartition topic (rule R18). The rows of its partitions come from many tasks,
//! and a backlog makes some of them run ahead: if the latest row of all moved stream time, rows of the
//! slower tasks would be late. So each record names its task and that task's stream time, and time
//! here is the minimum over the tasks that are not idle.

use std::time::Duration;

use crate::limits::UPSTREAM_IDLE_MAX;

/// Which task sent a record, and how far its stream time was (milliseconds).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upstream {
    pub task: u32,
    pub stream_time_ms: i64,
}

/// No record of the task has been seen.
const UNSEEN: i64 = i64::MIN;

/// Stream times of the tasks that send to one input.
#[derive(Debug, Clone)]
pub struct Upstreams {
    times_ms: Vec<i64>,
    /// When each was last heard of.
    heard: Vec<Option<Duration>>,
    /// When the first record was read: who has sent nothing is waited for from then on.
    since: Option<Duration>,
}

impl Upstreams {
    /// None of `tasks` has sent anything.
    pub fn new(tasks: u32) -> Self {
        let tasks = tasks as usize;
        Upstreams { times_ms: vec![UNSEEN; tasks], heard: vec![None; tasks], since: None }
    }

    /// Stream time as of each of the records, in order.
    pub fn clock(&mut self, records: &[Upstream], now: Duration) -> Vec<i64> {
        let since = *self.since.get_or_insert(now);
        for record in records {
            if let Some(heard) = self.heard.get_mut(record.task as usize) {
                *heard = Some(now);
            }
        }
        let heard = self.heard.iter();
        let active: Vec<bool> = heard
            .map(|heard| now.saturating_sub(heard.unwrap_or(since)) < UPSTREAM_IDLE_MAX)
            .collect();
        let mut least = self.least(&active);
        records
            .iter()
            .map(|record| {
                let Some(time) = self.times_ms.get_mut(record.task as usize) else {
                    // More tasks than there were: its rows count as they come.
                    return record.stream_time_ms;
                };
                let before = *time;
                *time = before.max(record.stream_time_ms);
                if before == least && *time > before {
                    least = self.least(&active);
                }
                least
            })
            .collect()
    }

    /// Stream time as of now, of the tasks that are not idle; `None`: all are.
    pub fn active_time(&mut self, now: Duration) -> Option<i64> {
        let since = *self.since.get_or_insert(now);
        let heard = self.heard.iter().map(|heard| heard.unwrap_or(since));
        let idle = heard.map(|heard| now.saturating_sub(heard) >= UPSTREAM_IDLE_MAX);
        let times = self.times_ms.iter().zip(idle).filter(|(_, idle)| !idle);
        times.map(|(time, _)| *time).min()
    }

    /// The furthest stream time that any task has sent.
    pub fn latest_time(&self) -> Option<i64> {
        self.times_ms.iter().copied().filter(|time| *time > UNSEEN).max()
    }

    /// What must survive a restart.
    pub fn progress(&self) -> Vec<i64> {
        self.times_ms.clone()
    }

    /// Back to what was committed; nobody has been heard of since.
    pub fn restore(&mut self, times_ms: &[i64]) {
        for (at, time) in self.times_ms.iter_mut().enumerate() {
            *time = times_ms.get(at).copied().unwrap_or(UNSEEN);
        }
        self.heard.fill(None);
        self.since = None;
    }

    fn least(&self, active: &[bool]) -> i64 {
        let times = self.times_ms.iter().zip(active).filter(|(_, active)| **active);
        times.map(|(time, _)| *time).min().unwrap_or(UNSEEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(upstreams: &mut Upstreams, at_s: u64, records: &[(u32, i64)], want: &[i64]) {
        let record = |(task, stream_time_ms): &(u32, i64)| Upstream {
            task: *task,
            stream_time_ms: *stream_time_ms,
        };
        let records: Vec<Upstream> = records.iter().map(record).collect();
        assert_eq!(upstreams.clock(&records, Duration::from_secs(at_s)), want, "{records:?}");
    }

    #[test]
    fn time_is_that_of_the_slowest() {
        let two = &mut Upstreams::new(2);
        check(two, 0, &[(0, 5), (0, 9)], &[UNSEEN, UNSEEN]);
        check(two, 1, &[(1, 3), (1, 4), (0, 20), (1, 30)], &[3, 4, 4, 20]);
        let kept = two.progress();
        // The other is silent: it is not waited for.
        check(two, 20, &[(0, 45)], &[30]);
        check(two, 22, &[(0, 50)], &[50]);
        two.restore(&kept);
        check(two, 23, &[(0, 60)], &[30]);
        // It comes back, behind; operators do not let time go back.
        check(two, 50, &[(1, 40)], &[40]);
    }

    #[test]
    fn time_goes_on_when_nobody_sends() {
        let (two, at) = (&mut Upstreams::new(2), Duration::from_secs);
        assert_eq!((two.active_time(at(0)), two.latest_time()), (Some(UNSEEN), None));
        check(two, 1, &[(0, 5)], &[UNSEEN]);
        check(two, 5, &[(1, 3)], &[3]);
        assert_eq!(two.active_time(at(20)), Some(3));
        // The one that has been silent for longer is not waited for, and in the end none is.
        assert_eq!(two.active_time(at(22)), Some(3));
        assert_eq!(two.active_time(at(25)), None);
        assert_eq!(two.latest_time(), Some(5));
        two.restore(&[5, 3]);
        assert_eq!(two.active_time(at(30)), Some(3));
        assert_eq!(two.active_time(at(50)), None);
    }

    #[test]
    fn one_task_is_its_own_time() {
        check(&mut Upstreams::new(1), 0, &[(0, 5), (0, 3), (0, 9)], &[5, 5, 9]);
        // A task that was not known of.
        check(&mut Upstreams::new(1), 0, &[(7, 5)], &[5]);
    }
}
