//! What goes into an outbox comes out, once and in order, however often the writer is full.

use super::*;
use crate::ids::TopicId;
use crate::log::{Ending, TxnState, push_header};
use crate::state::StoreId;

/// A record as it was sent.
type Sent = (Tp, i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

/// Takes `room` records, and none whose value is "large".
#[derive(Default)]
struct Slow {
    room: usize,
    sent: Vec<Sent>,
}

impl Writer for Slow {
    fn send(&mut self, to: Tp, record: &RecordRef<'_>) -> Result<(), SendError> {
        if record.value == Some(b"large") {
            return Err(SendError::TooLarge { bytes: 9, bytes_max: 8 });
        }
        let Some(room) = self.room.checked_sub(1) else { return Err(SendError::Full) };
        self.room = room;
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        let headers = record.headers.iter().map(|(name, v)| ((*name).to_owned(), owned(*v)));
        let (key, value) = (owned(record.key), owned(record.value));
        self.sent.push((to, record.timestamp.0, key, value, headers.collect()));
        Ok(())
    }

    fn poll(&mut self) -> TxnState {
        TxnState::Idle
    }

    fn commit(self: Box<Self>) -> Box<dyn Ending> {
        unreachable!("not ended here")
    }

    fn abort(self: Box<Self>) -> Box<dyn Ending> {
        unreachable!("not ended here")
    }

    fn settle(self: Box<Self>, _at: &[Tp]) -> Box<dyn Ending> {
        unreachable!("nothing is left here")
    }
}

fn tp(topic: u128, partition: u32) -> Tp {
    Tp::new(TopicId(topic), partition)
}

fn expected(i: usize) -> Sent {
    let key = (!i.is_multiple_of(3)).then(|| vec![b'k'; i % 5]);
    let value = (!i.is_multiple_of(4)).then(|| format!("value {i}").into_bytes());
    let headers: Vec<_> = match i % 7 {
        0 => vec![("a".to_owned(), Some(b"x".to_vec())), ("b".to_owned(), None)],
        1 => vec![(String::new(), Some(Vec::new()))],
        _ => Vec::new(),
    };
    (tp(1 + i as u128 % 2, i as u32 % 11), i as i64 - 50, key, value, headers)
}

fn push(outbox: &mut Outbox, record: &Sent) {
    let (to, time, key, value, headers) = record;
    let mut encoded = Vec::new();
    for (name, value) in headers {
        push_header(&mut encoded, name.as_bytes(), value.as_deref());
    }
    let headers = (!encoded.is_empty()).then_some(encoded.as_slice());
    outbox.push_with(*to, Timestamp(*time), key.as_deref(), value.as_deref(), headers);
}

#[test]
fn records_come_out_as_they_went_in() {
    let mut outbox = Outbox::default();
    for round in 0..3 {
        let want: Vec<Sent> = (0..100).map(expected).collect();
        want.iter().for_each(|record| push(&mut outbox, record));
        let (mut writer, mut noted) = (Slow::default(), 0);
        loop {
            let mut note = |_, bytes| noted += bytes;
            match outbox.drain(&mut writer, &mut note).expect("a writer that lives") {
                Drained::All => break,
                Drained::Some => writer.room = 7,
                refused => panic!("{refused:?}"),
            }
        }
        assert_eq!(writer.sent, want, "round {round}");
        let len = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        assert_eq!(noted, want.iter().map(|r| len(&r.2) + len(&r.3)).sum::<usize>());
        assert!(outbox.is_empty() && outbox.bytes() == 0);
    }
}

#[test]
fn what_is_too_large_is_left_out_and_its_owner_told() {
    let mut outbox = Outbox::default();
    let store = |store| Owner::Store(StoreId { store, partition: 0 });
    let records = [("one", store(1)), ("large", store(2)), ("two", store(3)), ("large", store(3))];
    for (value, owner) in &records {
        outbox.owned_by(owner.clone());
        outbox.push(tp(1, 0), Timestamp(0), Some(b"key"), Some(value.as_bytes()));
    }
    let (mut writer, mut refused) = (Slow { room: 9, ..Slow::default() }, Vec::new());
    loop {
        match outbox.drain(&mut writer, &mut |_, _| {}).expect("a writer that lives") {
            Drained::Refused(Refused { owner, .. }) => refused.push(owner),
            drained => break assert_eq!(drained, Drained::All),
        }
    }
    assert_eq!(refused, [store(2), store(3)]);
    let sent: Vec<_> = writer.sent.iter().map(|record| record.3.as_deref()).collect();
    assert_eq!(sent, [Some(b"one".as_slice()), Some(b"two")]);
}
