//! Signatures in the notation that people read, and which of them a call fits.
//!
//! `(STRING, INT) -> STRING`; a capital letter is any type; `ANY` is any type too, at each place
//! its own; `T...` repeats, or is left out, anywhere in the list; `!INT` is a constant; `DECIMAL`
//! has any precision and scale; `UNIT` is a time unit such as DAYS; `(K, V) => R` is a lambda. A
//! word in lower case after a type names the parameter.

use super::pattern::{Bindings, Pattern, split};
use crate::expr::{Typed, can_implicitly_cast};
use crate::types::SqlType;

/// A parsed signature.
#[derive(Debug, Clone)]
pub(super) struct Signature {
    params: Vec<Param>,
    /// The parameter that may be repeated, or left out.
    variadic: Option<usize>,
    returns: Pattern,
}

#[derive(Debug, Clone)]
pub(super) struct Param {
    pub(super) pattern: Pattern,
    pub(super) constant: bool,
}

/// An argument of a call, before the bodies of lambdas have types.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape<'a> {
    Value(&'a Typed),
    /// With so many parameters.
    Lambda(usize),
}

/// A signature that a call fits.
#[derive(Debug, Clone)]
pub(super) struct Fit {
    /// Of several that fit the one with the greatest wins.
    pub(super) rank: Rank,
    /// What each argument is to be; `None` for lambdas.
    pub(super) types: Vec<Option<SqlType>>,
    pub(super) bindings: Bindings,
}

/// ksqlDB's preference: no variadic parameter, more parameters, fewer letters, no `ANY...`, the
/// variadic parameter further to the right.
pub(super) type Rank = (bool, usize, std::cmp::Reverse<usize>, bool, usize);

impl Signature {
    /// Parses the notation; `None` when it is not well formed.
    pub(super) fn parse(text: &str) -> Option<Signature> {
        let (params, returns) = text.split_once("->")?;
        let texts = split(params.trim().strip_prefix('(')?.strip_suffix(')')?);
        let mut params = Vec::with_capacity(texts.len());
        let mut variadic = None;
        for (at, text) in texts.into_iter().enumerate() {
            let text = without_name(text);
            let constant = text.starts_with('!');
            let text = text.trim_start_matches('!');
            if text.ends_with("...") && variadic.replace(at).is_some() {
                return None;
            }
            let pattern = Pattern::parse(text.trim_end_matches("..."))?;
            params.push(Param { pattern, constant });
        }
        Some(Signature { params, variadic, returns: Pattern::parse(returns.trim())? })
    }

    /// How well `args` fit, with or without implicit casts; `None` if they do not.
    pub(super) fn fit(&self, args: &[Shape<'_>], casts: bool) -> Option<Fit> {
        let fixed = self.params.len() - usize::from(self.variadic.is_some());
        let enough = match self.variadic {
            Some(_) => args.len() >= fixed,
            None => args.len() == fixed,
        };
        if !enough {
            return None;
        }
        let mut bindings = Bindings::default();
        for (at, arg) in args.iter().enumerate() {
            let pattern = &self.param(at, args.len())?.pattern;
            pattern.bind(*arg, casts, &mut bindings).then_some(())?;
        }
        let mut types = Vec::with_capacity(args.len());
        let mut lambdas = false;
        for (at, arg) in args.iter().enumerate() {
            let Shape::Value(arg) = arg else {
                lambdas = true;
                types.push(None);
                continue;
            };
            let ty = match &self.param(at, args.len())?.pattern {
                // Nothing is cast, and a bare NULL has no type.
                Pattern::Any => arg.ty.clone().unwrap_or(SqlType::String),
                // A bare NULL is of any type; what its letters stand for matters to nobody.
                pattern if arg.ty.is_none() => pattern.resolve_or_text(&bindings)?,
                pattern => pattern.resolve(&bindings)?,
            };
            let fits = arg.ty.as_ref().is_none_or(|from| can_implicitly_cast(from, &ty));
            types.push(Some(Some(ty).filter(|_| fits)?));
        }
        if !lambdas {
            self.returns.resolve(&bindings)?;
        }
        Some(Fit { rank: self.rank(), types, bindings })
    }

    /// The type of the result; `None` while a letter stands for nothing.
    pub(super) fn returns(&self, bindings: &Bindings) -> Option<SqlType> {
        self.returns.resolve(bindings)
    }

    /// The parameter that takes argument `at` of `count`.
    pub(super) fn param(&self, at: usize, count: usize) -> Option<&Param> {
        let Some(variadic) = self.variadic else { return self.params.get(at) };
        let after = self.params.len() - variadic - 1;
        if at < variadic {
            self.params.get(at)
        } else if count - at <= after {
            self.params.get(self.params.len() - (count - at))
        } else {
            self.params.get(variadic)
        }
    }

    fn rank(&self) -> Rank {
        let generic = self.params.iter().filter(|param| param.pattern.has_letters()).count();
        let any = self.variadic.is_some_and(|at| self.params[at].pattern == Pattern::Any);
        let variadic = self.variadic;
        let at = variadic.unwrap_or_default();
        (variadic.is_none(), self.params.len(), std::cmp::Reverse(generic), !any, at)
    }
}

/// `ARRAY<T> list` without ` list`.
fn without_name(param: &str) -> &str {
    match param.rsplit_once(' ') {
        Some((ty, name)) if name.starts_with(|c: char| c.is_ascii_lowercase()) => ty,
        _ => param,
    }
}
