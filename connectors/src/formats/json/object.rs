//! Objects by schema: names are looked up once and then predicted from the record before.

use std::collections::HashMap;

use millrace_engine::codec::builder::ColumnBuilder;
use millrace_sql::types::SqlType;

use super::ahead::Plain;
use super::scan::{Fail, RawString, Scan, Scanner};
use super::value::Node;

/// How many members of the previous object are remembered.
const ORDER_MAX: usize = 256;
/// How many of them are tried before a name is looked up.
const TRIES_MAX: usize = 8;

/// Reads objects with the members of a STRUCT, or with the columns of a whole record.
///
/// An exact name wins over one that differs in case, and of those the last one wins. Unknown
/// members are skipped; members that are not wanted are checked and not kept.
#[derive(Debug)]
pub struct ObjectPlan {
    members: Vec<Member>,
    names: HashMap<Vec<u8>, usize>,
    /// What stood before the values of the previous object, in order.
    order: Vec<Expected>,
    /// Number of the object being read.
    object: u64,
    wanted: usize,
}

#[derive(Debug)]
struct Member {
    name: String,
    node: Node,
    /// Not wanted: values that need a closer look are decoded to here and dropped.
    scratch: Option<ColumnBuilder>,
    /// The object in which this member was seen last, and seen last under its exact name.
    seen: u64,
    exact: u64,
    /// The object whose last value of this member was bad, and why.
    failed: Option<(u64, Fail)>,
}

/// Text between two values (comma, name, colon, white space) and what it means.
#[derive(Debug)]
struct Expected {
    text: Vec<u8>,
    /// First and last eight bytes of `text` if it has 8 to 16.
    head: u64,
    tail: u64,
    /// It opens an object: it stands before the first member, and the others never do.
    opens: bool,
    target: Target,
    /// How a value behind it is taken on the quick way, if it is for one member at most.
    plain: Option<Plain>,
}

/// Members that a name stands for: itself, and the one that it is in upper case.
#[derive(Debug, Clone, Copy, Default)]
struct Target {
    exact: Option<usize>,
    folded: Option<usize>,
}

impl Target {
    /// The member, if it is one at most, and whether by its exact name.
    #[inline]
    fn only(self) -> (Option<usize>, bool) {
        (self.exact.or(self.folded), self.exact.is_some())
    }
}

impl Expected {
    fn new(text: &[u8], target: Target, plain: Option<Plain>) -> Self {
        let head = text.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        let tail = text.last_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        let opens = text.first() == Some(&b'{');
        Expected { text: text.to_vec(), head, tail, opens, target, plain }
    }

    /// Whether it stands at `at`, behind `place` other members.
    #[inline]
    fn stands_at(&self, bytes: &[u8], at: usize, place: usize) -> bool {
        if self.opens != (place == 0) {
            return false;
        }
        let Some(here) = bytes.get(at..at + self.text.len()) else { return false };
        if let (8..=16, Some(head), Some(tail)) =
            (here.len(), here.first_chunk(), here.last_chunk())
        {
            return u64::from_ne_bytes(*head) == self.head
                && u64::from_ne_bytes(*tail) == self.tail;
        }
        here == self.text
    }

    /// Moves from this text to the value behind it.
    #[inline]
    fn skip(&self, scanner: &mut Scanner<'_>) -> Target {
        scanner.at += self.text.len();
        scanner.skip_space();
        self.target
    }
}

impl ObjectPlan {
    /// Members as (name, type, wanted).
    ///
    /// # Errors
    /// For types that JSON cannot hold.
    pub fn new<'a>(
        members: impl Iterator<Item = (&'a str, &'a SqlType, bool)>,
    ) -> Result<Self, String> {
        let member = |(name, ty, wanted): (&str, &SqlType, bool)| {
            let scratch = if wanted { None } else { Some(ColumnBuilder::new(ty)) };
            let (name, node) = (name.to_string(), Node::new(ty)?);
            Ok(Member { name, node, scratch, seen: 0, exact: 0, failed: None })
        };
        let members = members.map(member).collect::<Result<Vec<_>, String>>()?;
        let names = members.iter().enumerate().map(|(i, m)| (m.name.clone().into_bytes(), i));
        let names = names.collect();
        let wanted = members.iter().filter(|member| member.scratch.is_none()).count();
        Ok(ObjectPlan { members, names, order: Vec::new(), object: 0, wanted })
    }

    /// Takes maps also as arrays of entries.
    pub fn take_entries(&mut self) {
        self.members.iter_mut().for_each(|member| member.node.take_entries());
    }

    /// Reads the object whose brace is here as row `row` of `columns`, one per member. Those of
    /// members that are not wanted stay untouched.
    pub fn decode(
        &mut self,
        scanner: &mut Scanner<'_>,
        columns: &mut [ColumnBuilder],
        row: usize,
    ) -> Scan<()> {
        self.object += 1;
        let mut found = 0;
        let mut failed = false;
        let mut place = 0;
        let start = scanner.at;
        scanner.enter()?;
        scanner.at = start;
        loop {
            found += self.run_ahead(scanner, columns, &mut place);
            let Some(target) = self.next_member(scanner, &mut place)? else { break };
            let (at, depth) = (scanner.at, scanner.depth());
            for (member, exact) in [(target.exact, true), (target.folded, false)] {
                let Some(member) = member else { continue };
                scanner.rewind(at, depth);
                let column = &mut columns[member];
                match self.members[member].decode(scanner, column, row, self.object, exact)? {
                    Seen::First => found += 1,
                    Seen::Again => {}
                    Seen::Bad => failed = true,
                }
            }
            if scanner.at == at {
                scanner.skip_value()?;
            }
        }
        scanner.leave();
        if failed {
            self.first_failure()?;
        }
        if found < self.wanted || failed {
            self.fill(columns, row);
        }
        Ok(())
    }

    /// Takes members as long as they stand where they stood before and their values are plain; how
    /// many wanted ones there were.
    #[inline]
    fn run_ahead(
        &mut self,
        scanner: &mut Scanner<'_>,
        columns: &mut [ColumnBuilder],
        place: &mut usize,
    ) -> usize {
        let mut found = 0;
        if scanner.is_careful() {
            return found;
        }
        let (bytes, mut at) = (scanner.bytes(), scanner.at);
        while let Some(expected) = self.order.get(*place)
            && let Some(plain) = expected.plain
            && expected.stands_at(bytes, at, *place)
        {
            let start = at + expected.text.len();
            let (member, exact) = expected.target.only();
            let Some(member) = member else {
                let Some(end) = plain.take(bytes, start, None) else { break };
                (at, *place) = (end, *place + 1);
                continue;
            };
            let (column, member) = (&mut columns[member], &mut self.members[member]);
            if member.seen == self.object {
                break;
            }
            let Some(end) = plain.take(bytes, start, Some(&mut *column)) else { break };
            (at, *place) = (end, *place + 1);
            member.seen = self.object;
            if exact {
                member.exact = self.object;
            }
            if plain.keeps() {
                column.push_valid();
                found += 1;
            }
        }
        scanner.at = at;
        found
    }

    /// Moves to the next member's value; `None` behind the closing brace.
    #[inline]
    fn next_member(
        &mut self,
        scanner: &mut Scanner<'_>,
        place: &mut usize,
    ) -> Scan<Option<Target>> {
        let (bytes, at) = (scanner.bytes(), scanner.at);
        let ahead = self.order.get(*place..).unwrap_or_default();
        if let Some(expected) = ahead.first()
            && expected.stands_at(bytes, at, *place)
        {
            *place += 1;
            return Ok(Some(expected.skip(scanner)));
        }
        if *place > 0 && scanner.eat(b'}') {
            return Ok(None);
        }
        let stands = |other: &Expected| other.stands_at(bytes, at, *place);
        let skipped = ahead.iter().take(TRIES_MAX).position(stands);
        if let Some(skipped) = skipped {
            *place += skipped + 1;
            return Ok(Some(ahead[skipped].skip(scanner)));
        }
        self.learn_member(scanner, place)
    }

    /// Reads a name that was not predicted, and remembers it.
    fn learn_member(
        &mut self,
        scanner: &mut Scanner<'_>,
        place: &mut usize,
    ) -> Scan<Option<Target>> {
        let start = scanner.at;
        let first = *place == 0 && scanner.eat(b'{');
        if !scanner.next_item(b'}', first)? {
            return Ok(None);
        }
        let target = self.target(scanner.key()?);
        let plain = self.plain(target);
        let expected = Expected::new(&scanner.bytes()[start..scanner.at], target, plain);
        if self.order.len() < ORDER_MAX {
            self.order.insert(*place, expected);
        } else if let Some(old) = self.order.get_mut(*place) {
            *old = expected;
        }
        *place += 1;
        Ok(Some(target))
    }

    fn target(&self, key: RawString<'_>) -> Target {
        let mut name = Vec::new();
        key.unescape(&mut name);
        let upper = String::from_utf8_lossy(&name).to_uppercase().into_bytes();
        let exact = self.names.get(&name).copied();
        let folded = if upper == name { None } else { self.names.get(&upper).copied() };
        Target { exact, folded }
    }

    /// How plain values of what a name stands for are taken.
    fn plain(&self, target: Target) -> Option<Plain> {
        match (target.exact, target.folded) {
            (None, None) => Some(Plain::Any),
            (Some(_), Some(_)) => None,
            (Some(member), None) | (None, Some(member)) => {
                let Member { node, scratch, .. } = &self.members[member];
                Plain::of(node, scratch.is_none())
            }
        }
    }

    /// The failure of the first member, in schema order, whose last value was bad.
    #[cold]
    fn first_failure(&mut self) -> Scan<()> {
        for member in &mut self.members {
            match member.failed.take() {
                Some((object, fail)) if object == self.object => {
                    return Err(fail.below(|| format!(".{}", member.name)));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// NULL for wanted members that were not there.
    fn fill(&self, columns: &mut [ColumnBuilder], row: usize) {
        for (member, column) in self.members.iter().zip(columns) {
            if member.scratch.is_none() && column.len() == row {
                column.push_null();
            }
        }
    }
}

/// What reading a member gave.
enum Seen {
    /// A wanted member, for the first time in this object.
    First,
    Again,
    Bad,
}

impl Member {
    #[inline]
    fn decode(
        &mut self,
        scanner: &mut Scanner<'_>,
        column: &mut ColumnBuilder,
        row: usize,
        object: u64,
        exact: bool,
    ) -> Scan<Seen> {
        let mut seen = if self.scratch.is_none() { Seen::First } else { Seen::Again };
        if self.seen == object {
            seen = Seen::Again;
            if self.exact == object && !exact {
                scanner.skip_value()?;
                return Ok(seen);
            }
            self.failed = None;
            if self.scratch.is_none() {
                column.truncate(row);
            }
        }
        self.seen = object;
        if exact {
            self.exact = object;
        }
        let (at, depth) = (scanner.at, scanner.depth());
        let outcome = match &mut self.scratch {
            None => self.node.decode(scanner, column),
            Some(scratch) => check(&mut self.node, scanner, scratch),
        };
        match outcome {
            Ok(()) => Ok(seen),
            Err(fail @ Fail::Syntax { .. }) => Err(fail),
            Err(fail) => {
                self.failed = Some((object, fail));
                if self.scratch.is_none() {
                    column.truncate(row);
                }
                scanner.rewind(at, depth);
                scanner.skip_value()?;
                Ok(Seen::Bad)
            }
        }
    }
}

/// Reads a value that is not kept.
#[inline]
fn check(node: &mut Node, scanner: &mut Scanner<'_>, scratch: &mut ColumnBuilder) -> Scan<()> {
    if node.skip_if_fits(scanner)? {
        return Ok(());
    }
    let outcome = node.decode(scanner, scratch);
    scratch.truncate(0);
    outcome
}
