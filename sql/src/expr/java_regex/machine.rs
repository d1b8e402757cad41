//! Runs programs over a text, as Java does: the first way to match counts. Each step is counted, so
//! that no pattern takes for ever.

use super::Spans;
use super::program::{Instruction, Program};
use super::syntax::{Assert, is_line_end};
use crate::expr::frame::Fault;

/// Instructions that one row may take.
pub(super) const STEPS_MAX: u32 = 1 << 21;

/// What is left of the steps of a row.
pub(super) struct Steps(u32);

impl Steps {
    pub fn of_a_row() -> Self {
        Steps(STEPS_MAX)
    }

    fn take(&mut self, steps: usize) -> Result<(), Fault> {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        self.0 = self.0.checked_sub(steps).ok_or_else(|| {
            Fault::Owned(format!(
                "the regular expression needs more than {STEPS_MAX} steps on this text; say it with \
                 fewer nested repetitions"
            ))
        })?;
        Ok(())
    }
}

/// The first match at `from` or later.
///
/// # Errors
/// No steps are left.
pub(super) fn find(
    program: &Program,
    text: &str,
    from: usize,
    spans: &mut Spans,
    steps: &mut Steps,
) -> Result<bool, Fault> {
    let mut machine =
        Machine { text, slots: vec![UNSET; program.slots], undo: Vec::new(), at: from, next: 0 };
    let mut start = from;
    loop {
        machine.at = start;
        machine.next = 0;
        if machine.run(&program.instructions, steps)? {
            machine.spans(start, program.groups, spans);
            return Ok(true);
        }
        match text[start..].chars().next() {
            Some(c) => start += c.len_utf8(),
            None => return Ok(false),
        }
    }
}

const UNSET: usize = usize::MAX;

struct Machine<'a> {
    text: &'a str,
    /// Starts and ends of groups, then what the program keeps for itself.
    slots: Vec<usize>,
    undo: Vec<Undo>,
    /// The place in the text.
    at: usize,
    /// The next instruction.
    next: usize,
}

/// What to do when a way fails, last first.
enum Undo {
    Slot { slot: usize, was: usize },
    GoOn { next: usize, at: usize },
}

impl Machine<'_> {
    /// Whether there is a match at the place. Where there is none, all is as before.
    fn run(&mut self, program: &[Instruction], steps: &mut Steps) -> Result<bool, Fault> {
        loop {
            steps.take(1)?;
            let on = match &program[self.next] {
                Instruction::Match => return Ok(true),
                instruction => self.step(instruction, steps)?,
            };
            if !on && !self.undo(0) {
                return Ok(false);
            }
        }
    }

    /// False where this way fails.
    fn step(&mut self, instruction: &Instruction, steps: &mut Steps) -> Result<bool, Fault> {
        self.next += 1;
        match instruction {
            Instruction::Set(set) => match self.ahead() {
                Some(c) if set.contains(c) => self.at += c.len_utf8(),
                _ => return Ok(false),
            },
            Instruction::Assert(assert) => return Ok(self.holds(*assert)),
            &Instruction::BackReference { group, fold } => return self.again(group, fold, steps),
            &Instruction::Split(first, second) => {
                self.undo.push(Undo::GoOn { next: second, at: self.at });
                self.next = first;
            }
            Instruction::Jump(to) => self.next = *to,
            Instruction::Save(slot) => self.set(*slot, self.at),
            &Instruction::Group { group, start } => {
                self.set(2 * group, self.slots[start]);
                self.set(2 * group + 1, self.at);
            }
            Instruction::Mark(slot) => self.set(*slot, self.undo.len() + 1),
            Instruction::Cut(slot) => {
                let open = self.undo.len() - self.slots[*slot];
                steps.take(open)?;
                self.cut(self.slots[*slot]);
            }
            Instruction::Fail(slot) => {
                let mark = self.slots[*slot];
                while self.undo(mark) {}
                return Ok(false);
            }
            Instruction::Return(slot) => self.at = self.slots[*slot],
            Instruction::At(slot) => return Ok(self.at == self.slots[*slot]),
            &Instruction::Back { least, most } => {
                let begun = self.undo.len();
                let (next, before) = (self.next, &self.text[..self.at]);
                let starts = before.char_indices().rev().map(|(start, _)| start);
                let starts = std::iter::once(self.at).chain(starts).take(most.saturating_add(1));
                let ways = starts.skip(least).map(|at| Undo::GoOn { next, at });
                self.undo.extend(ways);
                self.undo[begun..].reverse();
                steps.take(self.undo.len() - begun)?;
                return Ok(false);
            }
            &Instruction::Progress { slot, end } => {
                if self.at == self.slots[slot] {
                    self.next = end;
                }
            }
            Instruction::Match => self.next -= 1,
        }
        Ok(true)
    }

    fn ahead(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn behind(&self) -> Option<char> {
        self.text[..self.at].chars().next_back()
    }

    fn set(&mut self, slot: usize, value: usize) {
        let was = std::mem::replace(&mut self.slots[slot], value);
        self.undo.push(Undo::Slot { slot, was });
    }

    /// Back to the last open alternative above `mark`; false where there is none.
    fn undo(&mut self, mark: usize) -> bool {
        while self.undo.len() > mark {
            match self.undo.pop() {
                Some(Undo::Slot { slot, was }) => self.slots[slot] = was,
                Some(Undo::GoOn { next, at }) => {
                    (self.next, self.at) = (next, at);
                    return true;
                }
                None => break,
            }
        }
        false
    }

    /// Drops the alternatives above `mark`, but keeps what slots were.
    fn cut(&mut self, mark: usize) {
        let mut kept = mark;
        for at in mark..self.undo.len() {
            if let Undo::Slot { .. } = self.undo[at] {
                self.undo.swap(kept, at);
                kept += 1;
            }
        }
        self.undo.truncate(kept);
    }

    fn holds(&self, assert: Assert) -> bool {
        let (before, after) = (self.behind(), self.ahead());
        // Between \r and \n no line ends or starts.
        let within = before == Some('\r') && after == Some('\n');
        match assert {
            Assert::Start => before.is_none(),
            Assert::End => after.is_none(),
            Assert::LastEnd => {
                let rest = &self.text[self.at..];
                let one = rest == "\r\n" || rest.chars().eq(after.filter(|c| is_line_end(*c)));
                after.is_none() || one && !within
            }
            Assert::LineEnd => after.is_none_or(is_line_end) && !within,
            // Never at the end, not even of an empty text.
            Assert::LineStart => after.is_some() && before.is_none_or(is_line_end) && !within,
            Assert::Boundary => is_word(before) != is_word(after),
            Assert::NoBoundary => is_word(before) == is_word(after),
        }
    }

    /// Goes past the text of a group once more.
    fn again(&mut self, group: usize, fold: bool, steps: &mut Steps) -> Result<bool, Fault> {
        let (start, end) = (self.slots[2 * group], self.slots[2 * group + 1]);
        if start == UNSET {
            return Ok(false);
        }
        let (wanted, rest) = (&self.text[start..end], &self.text[self.at..]);
        steps.take(wanted.len())?;
        let mut there = rest.chars();
        let same = wanted.chars().all(|c| {
            there.next().is_some_and(|found| c == found || fold && lower(c) == lower(found))
        });
        if same {
            self.at = self.text.len() - there.as_str().len();
        }
        Ok(same)
    }

    fn spans(&self, start: usize, groups: usize, spans: &mut Spans) {
        spans.clear();
        spans.push(Some((start, self.at)));
        spans.extend((1..groups).map(|group| match self.slots[2 * group] {
            UNSET => None,
            start => Some((start, self.slots[2 * group + 1])),
        }));
    }
}

fn is_word(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// For comparing in any case, one character with one.
fn lower(c: char) -> char {
    let one = |mut chars: std::char::ToUppercase| chars.next().filter(|_| chars.next().is_none());
    let upper = one(c.to_uppercase()).unwrap_or(c);
    upper.to_lowercase().next().unwrap_or(upper)
}
