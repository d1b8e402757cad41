//! A tree of syntax as instructions for the machine that backtracks.

use super::syntax::{Assert, Greed, Node, Set, Syntax};
use super::translate::invalid;
use crate::expr::frame::Fault;

/// Instructions of a pattern: counted repetitions are written out.
const INSTRUCTIONS_MAX: usize = 20_000;

/// Instructions are numbers in the program, slots numbers of the machine's registers.
pub(super) enum Instruction {
    Set(Set),
    Assert(Assert),
    BackReference {
        group: usize,
        fold: bool,
    },
    /// Goes on at the first, and if that fails, at the second.
    Split(usize, usize),
    Jump(usize),
    /// Keeps the place in the text.
    Save(usize),
    /// The group goes from the place in the slot to here.
    Group {
        group: usize,
        start: usize,
    },
    /// Keeps how many alternatives are open.
    Mark(usize),
    /// Drops the alternatives that opened since.
    Cut(usize),
    /// Drops them with all they changed, and fails.
    Fail(usize),
    /// Goes back to the place in the slot.
    Return(usize),
    /// Fails anywhere but at the place in the slot.
    At(usize),
    /// Goes so many characters back, fewer first.
    Back {
        least: usize,
        most: usize,
    },
    /// Leaves a loop that has matched nothing.
    Progress {
        slot: usize,
        end: usize,
    },
    Match,
}

/// A compiled pattern.
pub(super) struct Program {
    pub instructions: Vec<Instruction>,
    /// Groups, the whole match included: their starts and ends are the first slots.
    pub groups: usize,
    pub slots: usize,
}

impl Program {
    /// # Errors
    /// A look-behind without a longest match, and what becomes too long.
    pub fn new(syntax: &Syntax) -> Result<Self, Fault> {
        let groups = syntax.groups;
        let mut program = Program { instructions: Vec::new(), groups, slots: 2 * groups };
        program.emit(&syntax.node)?;
        program.push(Instruction::Match)?;
        Ok(program)
    }

    fn push(&mut self, instruction: Instruction) -> Result<usize, Fault> {
        if self.instructions.len() >= INSTRUCTIONS_MAX {
            return Err(invalid("with its repetitions written out, it is too long"));
        }
        self.instructions.push(instruction);
        Ok(self.instructions.len() - 1)
    }

    fn slot(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }

    fn end(&self) -> usize {
        self.instructions.len()
    }

    fn emit(&mut self, node: &Node) -> Result<(), Fault> {
        match node {
            Node::Set(set) => self.push(Instruction::Set(set.clone())).map(drop),
            Node::Assert(assert) => self.push(Instruction::Assert(*assert)).map(drop),
            &Node::BackReference { group, fold } => {
                self.push(Instruction::BackReference { group, fold }).map(drop)
            }
            Node::Sequence(nodes) => nodes.iter().try_for_each(|node| self.emit(node)),
            Node::Choice(nodes) => self.choice(nodes),
            Node::Group(group, node) => {
                let start = self.slot();
                self.push(Instruction::Save(start))?;
                self.emit(node)?;
                self.push(Instruction::Group { group: *group, start }).map(drop)
            }
            Node::Atomic(node) => self.atomic(|program| program.emit(node)),
            Node::Look { node, behind, negative } => self.look(node, *behind, *negative),
            Node::Repeat { node, min, max, greed: Greed::Possessive } => {
                self.atomic(|program| program.repeat(node, *min, *max, Greed::Greedy))
            }
            Node::Repeat { node, min, max, greed } => self.repeat(node, *min, *max, *greed),
        }
    }

    fn choice(&mut self, nodes: &[Node]) -> Result<(), Fault> {
        let Some((last, others)) = nodes.split_last() else { return Ok(()) };
        let mut jumps = Vec::new();
        for node in others {
            let split = self.push(Instruction::Split(0, 0))?;
            self.emit(node)?;
            jumps.push(self.push(Instruction::Jump(0))?);
            self.instructions[split] = Instruction::Split(split + 1, self.end());
        }
        self.emit(last)?;
        for jump in jumps {
            self.instructions[jump] = Instruction::Jump(self.end());
        }
        Ok(())
    }

    fn atomic(&mut self, inner: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        let mark = self.slot();
        self.push(Instruction::Mark(mark))?;
        inner(self)?;
        self.push(Instruction::Cut(mark)).map(drop)
    }

    fn look(&mut self, node: &Node, behind: bool, negative: bool) -> Result<(), Fault> {
        let (mark, place) = (self.slot(), self.slot());
        self.push(Instruction::Mark(mark))?;
        self.push(Instruction::Save(place))?;
        let split = match negative {
            true => Some(self.push(Instruction::Split(0, 0))?),
            false => None,
        };
        if behind {
            let (least, Some(most)) = node.width() else {
                return Err(invalid("a look-behind has no obvious maximum length"));
            };
            self.push(Instruction::Back { least, most })?;
        }
        self.emit(node)?;
        if behind {
            self.push(Instruction::At(place))?;
        }
        match split {
            Some(split) => {
                self.push(Instruction::Fail(mark))?;
                self.instructions[split] = Instruction::Split(split + 1, self.end());
            }
            None => {
                self.push(Instruction::Cut(mark))?;
                self.push(Instruction::Return(place))?;
            }
        }
        Ok(())
    }

    fn repeat(
        &mut self,
        node: &Node,
        min: u32,
        max: Option<u32>,
        greed: Greed,
    ) -> Result<(), Fault> {
        for _ in 0..min {
            self.emit(node)?;
        }
        let split = |once: usize, end: usize| match greed {
            Greed::Lazy => Instruction::Split(end, once),
            _ => Instruction::Split(once, end),
        };
        let Some(max) = max else {
            let start = self.push(Instruction::Split(0, 0))?;
            let slot = self.slot();
            let may_be_empty = node.width().0 == 0;
            if may_be_empty {
                self.push(Instruction::Save(slot))?;
            }
            self.emit(node)?;
            if may_be_empty {
                let end = self.end() + 2;
                self.push(Instruction::Progress { slot, end })?;
            }
            self.push(Instruction::Jump(start))?;
            self.instructions[start] = split(start + 1, self.end());
            return Ok(());
        };
        let mut splits = Vec::new();
        for _ in min..max {
            splits.push(self.push(Instruction::Split(0, 0))?);
            self.emit(node)?;
        }
        for at in splits {
            self.instructions[at] = split(at + 1, self.end());
        }
        Ok(())
    }
}
