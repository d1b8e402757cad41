//! How a function is declared, found and called.

use std::sync::OnceLock;

use hashbrown::HashMap;

use super::FunctionKind;
use super::aggregates::{self, AGGREGATES};
use super::signature::{Fit, Signature};
use crate::error::{Result, SqlError};
use crate::expr::kernel::KernelFn;
use crate::expr::op::{OpKind, call, guard, make};
use crate::expr::{Typed, implicit_cast, type_name};
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
    /// Another result at each call.
    Volatile(KernelFn),
    /// The result's type follows from the types and values of the arguments.
    Typed(KernelFn, fn(&[Typed]) -> Result<SqlType>),
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
    /// An expression; that of a scalar function is over literals and can be evaluated.
    pub example: &'static str,
}

static FAMILIES: [&[Scalar]; 16] = [
    super::array_sets::FUNCTIONS,
    super::arrays::FUNCTIONS,
    super::bytes::FUNCTIONS,
    super::compare::FUNCTIONS,
    super::dates::FUNCTIONS,
    super::json::FUNCTIONS,
    super::json_build::FUNCTIONS,
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

type Overload = (Signature, &'static str, Body);

fn index() -> &'static HashMap<&'static str, Vec<Overload>> {
    static INDEX: OnceLock<HashMap<&'static str, Vec<Overload>>> = OnceLock::new();
    INDEX.get_or_init(|| {
        let overloads = |function: &'static Scalar| {
            let parsed = function.overloads.iter().map(|(text, body)| {
                let parsed = Signature::parse(text);
                (parsed.expect("a test parses the signatures of all tables"), *text, *body)
            });
            (function.name, parsed.collect())
        };
        scalars().map(overloads).collect()
    })
}

/// The call of a scalar function, with implicit casts and guards around the arguments.
///
/// # Errors
/// When there is no such function or no overload fits.
pub fn resolve_scalar(name: &str, args: Vec<Typed>) -> Result<Typed> {
    let upper = name.to_ascii_uppercase();
    let Some((name, overloads)) = index().get_key_value(upper.as_str()) else {
        return Err(unknown(name));
    };
    let fits =
        overloads.iter().filter_map(|overload| Some((overload.0.fit(&args, true)?, overload)));
    let Some((fit, (_, _, body))) = fits.min_by_key(|(fit, _)| fit.cost) else {
        let alternatives: Vec<&str> = overloads.iter().map(|(_, text, _)| *text).collect();
        return Err(misfit(name, &args, &alternatives));
    };
    build(name, fit, *body, args)
}

fn build(name: &str, fit: Fit, body: Body, args: Vec<Typed>) -> Result<Typed> {
    let args = args.into_iter().zip(&fit.types);
    let args =
        args.map(|(arg, ty)| implicit_cast(arg, ty).map(guard)).collect::<Result<Vec<_>>>()?;
    Ok(match body {
        Body::Kernel(kernel) => call(name, kernel, args, fit.returns),
        Body::Volatile(kernel) => make(name, OpKind::Volatile(kernel), args, fit.returns),
        Body::Typed(kernel, returns) => {
            let returns = returns(&args)?;
            call(name, kernel, args, returns)
        }
    })
}

pub(super) fn unknown(name: &str) -> SqlError {
    let error = SqlError::invalid(format!("Can't find any functions with the name '{name}'"));
    error.hint("SHOW FUNCTIONS; lists them")
}

/// ksqlDB's message for a call that fits no overload.
pub(super) fn misfit(name: &str, args: &[Typed], alternatives: &[&str]) -> SqlError {
    let name = name.to_ascii_lowercase();
    let types: Vec<String> = args.iter().map(|arg| type_name(&arg.ty)).collect();
    let alternatives: Vec<String> = alternatives
        .iter()
        .map(|text| text.split_once(" ->").map_or(*text, |(params, _)| params).replace('!', ""))
        .map(|params| format!("{name}{params}"))
        .collect();
    SqlError::invalid(format!(
        "Function '{name}' does not accept parameters ({}).\nValid alternatives are:\n{}\n\
         For detailed information on a function run: DESCRIBE FUNCTION <Function-Name>;",
        types.join(", "),
        alternatives.join("\n")
    ))
}

fn docs() -> &'static [FunctionDoc] {
    static DOCS: OnceLock<Vec<FunctionDoc>> = OnceLock::new();
    DOCS.get_or_init(|| {
        let mut docs: Vec<FunctionDoc> = AGGREGATES.iter().map(aggregates::doc).collect();
        docs.extend(scalars().map(|function| FunctionDoc {
            name: function.name,
            kind: FunctionKind::Scalar,
            category: function.category,
            signatures: function.overloads.iter().map(|(text, _)| text.to_string()).collect(),
            description: function.about,
            example: function.example.0,
        }));
        docs.sort_by_key(|doc| doc.name);
        docs
    })
}

/// The kind of the function with this name (any case); `None` if there is none.
pub fn kind(name: &str) -> Option<FunctionKind> {
    let upper = name.to_ascii_uppercase();
    let at = docs().binary_search_by_key(&upper.as_str(), |doc| doc.name).ok()?;
    Some(docs()[at].kind)
}

/// All functions, by name.
pub fn all() -> impl Iterator<Item = &'static FunctionDoc> {
    docs().iter()
}
