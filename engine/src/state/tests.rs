//! The layers against a model: a map of what is committed, and one of what is open.

use std::collections::BTreeMap;

use super::lane::LaneState;
use super::memory::{MemoryDisk, MemoryStore};
use super::{Shape, StateView, StoreId};
use crate::ids::{Offset, TopicId};
use crate::seams::{Entropy, SeededEntropy};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

const STORES: [StoreId; 2] =
    [StoreId { store: 1, partition: 0 }, StoreId { store: 1, partition: 1 }];
const STEPS: usize = 300;

struct Run {
    dice: SeededEntropy,
    state: LaneState,
    committed: [Map; 2],
    open: [Map; 2],
    /// Windows before are expired, in what is committed and in what is open: nothing is put there.
    live: [[u64; 2]; 2],
    commits: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let disk = MemoryStore::open(&MemoryDisk::default());
        let state = LaneState::new(Box::new(disk)).expect("an empty disk");
        let dice = SeededEntropy::new(seed);
        let (committed, open, live) = Default::default();
        Run { dice, state, committed, open, live, commits: 0 }
    }

    fn below(&self, n: u64) -> u64 {
        self.dice.next_u64() % n
    }

    fn key(&self, from: u64) -> Vec<u8> {
        let mut key = (from + self.below(20)).to_be_bytes().to_vec();
        key.extend((0..self.below(3)).map(|_| self.below(4) as u8));
        key
    }

    fn put(&mut self) {
        let which = self.below(2) as usize;
        let key = self.key(self.live[1][which]);
        let value = (self.below(4) > 0).then(|| vec![self.below(9) as u8; self.below(30) as usize]);
        let (store, shape) = (STORES[which], Shape::WindowFirst);
        self.state.put(store, shape, &key, value.as_deref(), 5).expect("memory");
        match value {
            Some(value) => self.open[which].insert(key, value),
            None => self.open[which].remove(&key),
        };
    }

    fn step(&mut self) {
        match self.below(40) {
            0 => {
                self.state.abort();
                self.open = self.committed.clone();
                self.live[1] = self.live[0];
            }
            1..4 => self.commit(),
            4 => self.state.spill().expect("memory"),
            5 => {
                let which = self.below(2) as usize;
                self.live[1][which] += self.below(5);
                let to = self.live[1][which].to_be_bytes();
                self.state.expire(STORES[which], &to).expect("memory");
                self.open[which].retain(|key, _| key.as_slice() >= to.as_slice());
            }
            6 => {
                // Only while nothing is open, as in a recovery.
                self.state.abort();
                self.live[1] = self.live[0];
                let key = self.key(self.live[0][0]);
                self.state.replay(STORES[0], Shape::WindowFirst, &key, Some(b"replayed"));
                self.committed[0].insert(key, b"replayed".to_vec());
                self.open = self.committed.clone();
            }
            _ => self.put(),
        }
    }

    fn commit(&mut self) {
        self.commits += 1;
        let ends = STORES.map(|store| (store, TopicId(9), Offset(self.commits as i64)));
        self.state.apply(self.commits, &ends);
        assert!(self.state.is_clean() && self.state.open_bytes() == 0);
        self.committed = self.open.clone();
        self.live[0] = self.live[1];
    }

    fn check(&self, what: &str) {
        for (which, store) in STORES.into_iter().enumerate() {
            let live = self.live[0][which].saturating_sub(5);
            let (from, to) = (self.key(live), self.key(live));
            let ranges: [(&[u8], &[u8]); 3] = [(&[], &[]), (&from, &to), (&from, &[])];
            for range in ranges {
                let inside = |key: &[u8]| key >= range.0 && (range.1.is_empty() || key < range.1);
                let model = |map: &Map| -> Vec<_> {
                    let pairs = map.iter().filter(|(key, _)| inside(key));
                    pairs.map(|(key, value)| (key.clone(), value.clone())).collect()
                };
                let (mut open, mut committed) = (Vec::new(), Vec::new());
                let (from, to) = range;
                let shape = Shape::WindowFirst;
                let mut visit = |key: &[u8], value: &[u8]| {
                    open.push((key.to_vec(), value.to_vec()));
                    true
                };
                self.state.scan(store, shape, from, to, &mut visit).expect("memory");
                let mut visit = |key: &[u8], value: &[u8]| {
                    committed.push((key.to_vec(), value.to_vec()));
                    true
                };
                let view = self.state.committed_view();
                view.scan(store, shape, range, &mut visit).expect("memory");
                assert_eq!(open, model(&self.open[which]), "{what}: open, {range:?}");
                assert_eq!(committed, model(&self.committed[which]), "{what}: {range:?}");
            }
            let keys: Vec<Vec<u8>> = (0..5).map(|_| self.key(live)).collect();
            let asked: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
            let got = self.state.get_many(store, Shape::WindowFirst, &asked).expect("memory");
            let want: Vec<_> = keys.iter().map(|key| self.open[which].get(key).cloned()).collect();
            assert_eq!(got, want, "{what}");
        }
    }
}

#[test]
fn layers_read_as_the_model_does() {
    for seed in 0..60 {
        let mut run = Run::new(seed);
        for step in 0..STEPS {
            run.step();
            if step % 5 == 0 {
                run.check(&format!("seed {seed}, step {step}"));
            }
        }
        run.commit();
        run.state.spill().expect("memory");
        assert_eq!(run.state.committed_bytes(), 0);
        run.check(&format!("seed {seed}, spilled"));
        for store in STORES {
            let applied = run.state.applied(store).map(|meta| meta.applied);
            assert_eq!(applied, Some(Offset(run.commits as i64)));
        }
    }
}

#[test]
fn memory_is_counted_as_it_comes_and_goes() {
    let mut run = Run::new(1);
    let (store, shape) = (STORES[0], Shape::WindowFirst);
    let put = |run: &mut Run, key: u64, value: &[u8]| {
        let key = key.to_be_bytes();
        run.state.put(store, shape, &key, Some(value), 0).expect("memory");
    };
    put(&mut run, 1, b"a");
    let one = run.state.open_bytes();
    put(&mut run, 1, b"b");
    assert_eq!(run.state.open_bytes(), one, "the same key again");
    (2..=10).for_each(|key| put(&mut run, key, b"c"));
    assert_eq!(run.state.open_bytes(), 10 * one);
    run.state.expire(store, &6u64.to_be_bytes()).expect("memory");
    assert_eq!(run.state.open_bytes(), 5 * one, "windows 6 to 10");
    run.state.apply(1, &[]);
    // Few changes over many, and many over few.
    for (from, to, all) in [(6, 6, 5), (100, 200, 106), (150, 150, 106), (90, 210, 126)] {
        (from..=to).for_each(|key| put(&mut run, key, b"d"));
        run.state.apply(2, &[]);
        assert_eq!((run.state.open_bytes(), run.state.committed_bytes()), (0, all * one));
    }
    run.state.expire(store, &200u64.to_be_bytes()).expect("memory");
    run.state.apply(3, &[]);
    assert_eq!(run.state.committed_bytes(), 11 * one, "windows 200 to 210");
}

/// What is whole goes with each commit, store by store, and stays on the disk.
#[test]
fn each_store_has_its_own_time() {
    let disk = MemoryDisk::default();
    let mut state = LaneState::new(Box::new(MemoryStore::open(&disk))).expect("an empty disk");
    let [mine, paused] = STORES;
    let topic = TopicId(9);
    for store in STORES {
        state.begin(store, Shape::KeyValue, topic, Offset(0));
    }
    let times = |state: &LaneState| {
        STORES.map(|store| state.applied(store).map_or(-1, |meta| meta.whole_ms))
    };
    assert_eq!(times(&state), [0, 0], "nothing is restored yet");
    state.advance(mine, topic, Offset(7));
    assert_eq!(times(&state), [0, 0], "a part of a changelog");
    // (stores of tasks that run, now, times)
    let cases: [(&[StoreId], i64, [i64; 2]); 4] = [
        (&STORES, 100, [100, 100]),
        (&[mine], 150, [150, 100]),
        (&[mine], 200, [200, 100]),
        (&[StoreId { store: 8, partition: 0 }], 300, [200, 100]),
    ];
    for (commit, (running, now_ms, want)) in (1..).zip(cases) {
        state.apply(commit, &[(mine, topic, Offset(now_ms))]);
        state.are_whole(running.iter().copied(), now_ms);
        assert_eq!(times(&state), want, "{running:?} at {now_ms}");
    }
    state.flush().expect("memory");
    let mut state = LaneState::new(Box::new(MemoryStore::open(&disk))).expect("the disk");
    assert_eq!(times(&state), [200, 100], "after a start");
    state.drop_store(paused, Shape::KeyValue);
    state.begin(paused, Shape::KeyValue, topic, Offset(0));
    assert_eq!(times(&state), [200, 0], "it is rebuilt");
}
