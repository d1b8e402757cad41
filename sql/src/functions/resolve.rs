//! Calls: which overload is meant, implicit casts and guards around the arguments.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::pattern::{Bindings, Pattern};
use super::registry::{Body, Overload, registry};
use super::signature::{Fit, Shape};
use crate::error::{Result, SqlError};
use crate::expr::lambda::{Capture, Lambda};
use crate::expr::op::{OpKind, call, guard, make, make_lambda};
use crate::expr::{Typed, implicit_cast, type_name};
use crate::types::SqlType;

/// An argument of a call.
pub enum Arg<'a> {
    Value(Typed),
    Lambda(&'a dyn LambdaSource),
}

/// A lambda whose parameters have no types yet.
pub trait LambdaSource {
    /// Number of parameters.
    fn arity(&self) -> usize;

    /// Types the body, given the types of the parameters.
    ///
    /// # Errors
    /// Whatever the body's operators and functions refuse.
    fn typed(&self, params: &[SqlType]) -> Result<TypedLambda>;
}

/// A lambda with types.
pub struct TypedLambda {
    pub params: Vec<(String, SqlType)>,
    /// Columns of the surroundings that the body names.
    pub captures: Vec<Capture>,
    pub body: Typed,
}

/// The call of a scalar function, with implicit casts and guards around the arguments.
///
/// # Errors
/// When there is no such function or no overload fits.
pub fn resolve_scalar(name: &str, args: Vec<Typed>) -> Result<Typed> {
    resolve_call(name, args.into_iter().map(Arg::Value).collect())
}

/// [`resolve_scalar`] for calls that may have lambdas among their arguments.
///
/// # Errors
/// As [`resolve_scalar`], and what the bodies of lambdas refuse.
pub fn resolve_call(name: &str, args: Vec<Arg<'_>>) -> Result<Typed> {
    let upper = name.to_ascii_uppercase();
    let Some((name, overloads)) = registry().scalars.get_key_value(upper.as_str()) else {
        return Err(unknown(name));
    };
    let (fit, overload) = choose(&spelled(name), overloads, &shapes(&args), true)?;
    build(name, fit, overload, args, |item| item)
}

pub(super) fn shapes<'a>(args: &'a [Arg<'_>]) -> Vec<Shape<'a>> {
    let shape = |arg: &'a Arg<'_>| match arg {
        Arg::Value(value) => Shape::Value(value),
        Arg::Lambda(source) => Shape::Lambda(source.arity()),
    };
    args.iter().map(shape).collect()
}

/// The overload that is meant: of those that fit as they are, else of those that fit with casts,
/// the preferred one. `name`: as messages show it.
pub(super) fn choose<'a, B>(
    name: &str,
    overloads: &'a [Overload<B>],
    args: &[Shape<'_>],
    casts: bool,
) -> Result<(Fit, &'a Overload<B>)> {
    for casts in [false, true].into_iter().take(1 + usize::from(casts)) {
        let fits = overloads.iter().filter_map(|o| Some((o.signature.fit(args, casts)?, o)));
        let mut fits: Vec<_> = fits.collect();
        fits.sort_by_key(|(fit, _)| std::cmp::Reverse(fit.rank));
        let second = fits.get(1).map(|(fit, _)| fit.rank);
        if let Some((fit, overload)) = fits.into_iter().next() {
            if second == Some(fit.rank) {
                return Err(ambiguous(name, args, overloads));
            }
            return Ok((fit, overload));
        }
    }
    Err(misfit(name, args, overloads))
}

/// `whole`: the type of the value, given what the signature says.
pub(super) fn build(
    name: &str,
    fit: Fit,
    overload: &Overload<Body>,
    args: Vec<Arg<'_>>,
    whole: fn(SqlType) -> SqlType,
) -> Result<Typed> {
    let Fit { types, mut bindings, .. } = fit;
    let count = args.len();
    let (mut values, mut lambdas) = (Vec::with_capacity(count), Vec::new());
    for (at, (arg, ty)) in args.into_iter().zip(types).enumerate() {
        match (arg, ty) {
            (Arg::Value(value), Some(ty)) => values.push(guard(cast_to(value, &ty, overload)?)),
            (Arg::Lambda(source), _) => {
                let param = overload.signature.param(at, count);
                let pattern = param.map(|param| &param.pattern);
                lambdas.push(typed_lambda(source, pattern, &mut bindings)?);
            }
            (Arg::Value(_), None) => return Err(SqlError::invalid("a lambda was expected")),
        }
    }
    let returns = overload.signature.returns(&bindings);
    let returns = returns.ok_or_else(|| SqlError::invalid("Can't infer the type of the result"))?;
    let returns = whole(returns);
    Ok(match overload.body {
        Body::Kernel(kernel) | Body::OfDoubles(kernel) => call(name, kernel, values, returns),
        Body::Volatile(kernel) => make(name, OpKind::Volatile(kernel), values, returns),
        Body::Counting(kernel) => {
            let kind = OpKind::Counting(kernel, Arc::new(AtomicU64::new(0)));
            make(name, kind, values, returns)
        }
        Body::Typed(kernel, returns) => {
            let returns = returns(&values)?;
            call(name, kernel, values, returns)
        }
        Body::Lambda(apply) => {
            let mut captures: Vec<Capture> = Vec::new();
            for capture in lambdas.iter().flat_map(|lambda| &lambda.captures) {
                if !captures.contains(capture) {
                    captures.push(capture.clone());
                }
            }
            let compiled = lambdas.iter().map(|l| Lambda::new(&l.params, &captures, &l.body));
            let compiled = compiled.collect::<Result<Vec<_>>>()?;
            make_lambda(name, apply, values, compiled, &captures, returns)
        }
    })
}

fn cast_to(value: Typed, ty: &SqlType, overload: &Overload<Body>) -> Result<Typed> {
    let double = matches!(overload.body, Body::OfDoubles(_)) && ty.is_numeric();
    implicit_cast(value, if double { &SqlType::Double } else { ty })
}

/// Types a lambda by what its parameter's pattern says, and notes what its result says.
fn typed_lambda(
    source: &dyn LambdaSource,
    pattern: Option<&Pattern>,
    bindings: &mut Bindings,
) -> Result<TypedLambda> {
    let Some(Pattern::Lambda(params, returns)) = pattern else {
        return Err(SqlError::invalid("no lambda was expected"));
    };
    let types = params.iter().map(|param| param.resolve(bindings)).collect::<Option<Vec<_>>>();
    let types = types.ok_or_else(|| {
        SqlError::invalid("Could not resolve the types of a lambda's arguments")
            .hint("CAST a NULL before the lambda to a type")
    })?;
    let mut lambda = source.typed(&types)?;
    let Some(ty) = lambda.body.ty.clone() else {
        let ty = returns.resolve(bindings).ok_or_else(|| {
            SqlError::invalid("Can't infer a type of null in the body of a lambda")
                .hint("write CAST(NULL AS <type>)")
        })?;
        lambda.body = lambda.body.typed_null(&ty);
        return Ok(lambda);
    };
    let known = returns.resolve(bindings);
    if returns.bind_type(&ty, false, bindings) {
        return Ok(lambda);
    }
    Err(match known {
        Some(known) => SqlError::invalid(format!(
            "Found invalid instance of generic schema: the body of a lambda gives {ty}, where \
             {known} was expected"
        ))
        .hint(format!("CAST the body to {known}")),
        None => SqlError::invalid(format!(
            "Cannot infer generics from the {ty} that the body of a lambda gives"
        )),
    })
}

/// Functions whose names ksqlDB's messages show in upper case; all others are in lower case.
const UPPER: [&str; 29] = [
    "ARRAY_CONTAINS",
    "ARRAY_JOIN",
    "ARRAY_LENGTH",
    "AS_MAP",
    "ATTR",
    "COALESCE",
    "COUNT",
    "COUNT_DISTINCT",
    "EARLIEST_BY_OFFSET",
    "ENTRIES",
    "GENERATE_SERIES",
    "IFNULL",
    "IS_JSON_STRING",
    "JSON_ARRAY_CONTAINS",
    "JSON_ARRAY_LENGTH",
    "JSON_CONCAT",
    "JSON_ITEMS",
    "JSON_KEYS",
    "JSON_RECORDS",
    "LATEST_BY_OFFSET",
    "MAX",
    "MIN",
    "STDDEV_SAMP",
    "STDDEV_SAMPLE",
    "SUM",
    "TOPK",
    "TOPKDISTINCT",
    "TO_JSON_STRING",
    "UUID",
];

/// A name as messages show it.
pub(super) fn spelled(name: &str) -> String {
    if UPPER.contains(&name) || super::fixtures::is_upper(name) {
        return name.to_string();
    }
    name.to_ascii_lowercase()
}

pub(super) fn unknown(name: &str) -> SqlError {
    let error = SqlError::invalid(format!("Can't find any functions with the name '{name}'"));
    error.hint("SHOW FUNCTIONS; lists them")
}

/// ksqlDB's message for a call that fits no overload.
fn misfit<B>(name: &str, args: &[Shape<'_>], overloads: &[Overload<B>]) -> SqlError {
    SqlError::invalid(format!(
        "Function '{name}' does not accept parameters ({}).\nValid alternatives are:\n{}\n\
         For detailed information on a function run: DESCRIBE FUNCTION <Function-Name>;",
        types_text(args),
        overloads_text(name, overloads)
    ))
}

/// ksqlDB's message for a call that fits several overloads equally well.
fn ambiguous<B>(name: &str, args: &[Shape<'_>], overloads: &[Overload<B>]) -> SqlError {
    SqlError::invalid(format!(
        "Function '{name}' cannot be resolved due to ambiguous method parameters ({}).\n\
         Use CAST() to explicitly cast your parameters to one of the supported function calls.\n\
         Valid function calls are:\n{}\n\
         For detailed information on a function run: DESCRIBE FUNCTION <Function-Name>;",
        types_text(args),
        overloads_text(name, overloads)
    ))
}

fn types_text(args: &[Shape<'_>]) -> String {
    let texts: Vec<String> = args
        .iter()
        .map(|arg| match arg {
            Shape::Value(value) => type_name(&value.ty),
            Shape::Lambda(_) => "LAMBDA".to_string(),
        })
        .collect();
    texts.join(", ")
}

fn overloads_text<B>(name: &str, overloads: &[Overload<B>]) -> String {
    let texts = overloads.iter().map(|overload| {
        let text = overload.text;
        let params = text.rsplit_once(" ->").map_or(text, |(params, _)| params);
        format!("{name}{}", params.replace('!', ""))
    });
    texts.collect::<Vec<_>>().join("\n")
}
