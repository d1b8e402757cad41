//! How functions are declared, and where they are found.

use std::sync::OnceLock;

use hashbrown::HashMap;

use super::FunctionKind;
use super::aggregates::{self, AGGREGATES, Aggregate};
use super::fixtures;
use super::signature::Signature;
use super::tables::{self, TABLES, Table};
use crate::error::Result;
use crate::expr::Typed;
use crate::expr::kernel::KernelFn;
use crate::expr::lambda::LambdaFn;
use crate::expr::op::CountingFn;
use crate::types::SqlType;

/// A scalar function as a family's table declares it.
pub(super) struct Scalar {
    pub(super) name: &'static str,
    pub(super) category: &'static str,
    pub(super) about: &'static str,
    /// An expression over literals, and its value as text.
    pub(super) example: (&'static str, &'static str),
    pub(super) overloads: &'static [(&'static str, Body)],
}

/// What an overload does.
#[derive(Clone, Copy)]
pub(super) enum Body {
    Kernel(KernelFn),
    /// Numbers come as DOUBLE, whatever they were.
    OfDoubles(KernelFn),
    /// Another result at each call.
    Volatile(KernelFn),
    /// The result's type follows from the types and values of the arguments.
    Typed(KernelFn, fn(&[Typed]) -> Result<SqlType>),
    /// Some arguments are lambdas.
    Lambda(LambdaFn),
    /// The result depends on how many rows the call has seen.
    Counting(CountingFn),
}

/// What SHOW FUNCTIONS and DESCRIBE FUNCTION tell.
#[derive(Debug, Clone)]
pub struct FunctionDoc {
    /// Upper case.
    pub name: &'static str,
    pub kind: FunctionKind,
    /// As ksqlDB groups them, e.g. `STRING`, `MATHEMATICAL`, `DATE / TIME`.
    pub category: &'static str,
    /// One per overload, e.g. `(STRING, INT) -> STRING`.
    pub signatures: Vec<String>,
    pub description: &'static str,
    /// A call: of a scalar or table function over literals, of an aggregate over columns X, Y, Z.
    pub example: &'static str,
    /// For an aggregate: the rows of the example, each with its values of X, Y, Z.
    pub example_rows: &'static [&'static str],
    /// What the example gives, as CAST to STRING shows it; the rows of a table function by line.
    pub example_result: &'static str,
}

static FAMILIES: [&[Scalar]; 17] = [
    super::array_sets::FUNCTIONS,
    super::arrays::FUNCTIONS,
    super::bytes::FUNCTIONS,
    super::compare::FUNCTIONS,
    super::dates::FUNCTIONS,
    super::json::FUNCTIONS,
    super::json_build::FUNCTIONS,
    super::lambdas::FUNCTIONS,
    super::maps::FUNCTIONS,
    super::masks::FUNCTIONS,
    super::math::FUNCTIONS,
    super::nulls::FUNCTIONS,
    super::regexes::FUNCTIONS,
    super::rounding::FUNCTIONS,
    super::strings::FUNCTIONS,
    super::times::FUNCTIONS,
    super::urls::FUNCTIONS,
];

pub(super) fn scalars() -> impl Iterator<Item = &'static Scalar> {
    FAMILIES.iter().flat_map(|family| family.iter())
}

/// An overload and its parsed signature.
pub(super) struct Overload<B> {
    pub(super) signature: Signature,
    pub(super) text: &'static str,
    pub(super) body: B,
}

impl<B> Overload<B> {
    fn new(text: &'static str, body: B) -> Self {
        let signature = Signature::parse(text).expect("a test parses the signatures of all tables");
        Overload { signature, text, body }
    }
}

/// All functions by name.
#[derive(Default)]
pub(super) struct Registry {
    pub(super) scalars: HashMap<&'static str, Vec<Overload<Body>>>,
    pub(super) aggregates: HashMap<&'static str, (&'static Aggregate, Vec<Overload<()>>)>,
    pub(super) tables: HashMap<&'static str, Vec<Overload<Body>>>,
    docs: Vec<FunctionDoc>,
}

static BUILT_IN: OnceLock<Registry> = OnceLock::new();
static WITH_FIXTURES: OnceLock<Registry> = OnceLock::new();

/// The functions of this process.
pub(super) fn registry() -> &'static Registry {
    WITH_FIXTURES.get().unwrap_or_else(|| BUILT_IN.get_or_init(Registry::built_in))
}

/// Adds the functions that only conformance tests use; for the rest of the process.
pub fn add_test_functions() {
    WITH_FIXTURES.get_or_init(|| {
        let mut registry = Registry::built_in();
        registry.add(fixtures::SCALARS.iter(), fixtures::AGGREGATES, fixtures::TABLES);
        registry
    });
}

impl Registry {
    fn built_in() -> Registry {
        let mut registry = Registry::default();
        registry.add(scalars(), &AGGREGATES, &TABLES);
        registry
    }

    fn add(
        &mut self,
        scalars: impl Iterator<Item = &'static Scalar>,
        aggregates: &'static [Aggregate],
        tables: &'static [Table],
    ) {
        let overloads = |list: &'static [(&'static str, Body)]| {
            list.iter().map(|(text, body)| Overload::new(text, *body)).collect::<Vec<_>>()
        };
        for function in scalars {
            self.scalars.insert(function.name, overloads(function.overloads));
            self.docs.push(scalar_doc(function));
        }
        for function in aggregates {
            let list = function.overloads.iter().map(|text| Overload::new(text, ()));
            self.aggregates.insert(function.name, (function, list.collect()));
            self.docs.push(aggregates::doc(function));
        }
        for function in tables {
            self.tables.insert(function.name, overloads(function.overloads));
            self.docs.push(tables::doc(function));
        }
        self.docs.sort_by_key(|doc| doc.name);
    }
}

fn scalar_doc(function: &'static Scalar) -> FunctionDoc {
    FunctionDoc {
        name: function.name,
        kind: FunctionKind::Scalar,
        category: function.category,
        signatures: function.overloads.iter().map(|(text, _)| text.to_string()).collect(),
        description: function.about,
        example: function.example.0,
        example_rows: &[],
        example_result: function.example.1,
    }
}

/// The kind of the function with this name (any case); `None` if there is none.
pub fn kind(name: &str) -> Option<FunctionKind> {
    let upper = name.to_ascii_uppercase();
    let docs = &registry().docs;
    let at = docs.binary_search_by_key(&upper.as_str(), |doc| doc.name).ok()?;
    Some(docs[at].kind)
}

/// All functions, by name.
pub fn all() -> impl Iterator<Item = &'static FunctionDoc> {
    registry().docs.iter()
}

/// The functions that the product has, by name.
pub(super) fn built_in() -> &'static [FunctionDoc] {
    &BUILT_IN.get_or_init(Registry::built_in).docs
}
